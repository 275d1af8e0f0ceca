//! Frames: their headers, and what is allowed where (RFC 9113 §4 and §6).

use crate::protocol::Direction;

/// The length of a frame's header, in bytes.
pub(super) const HEADER_LEN: usize = 9;

/// The longest payload that everybody takes, in bytes (RFC 9113 §4.2).
pub(super) const USUAL_PAYLOAD: u32 = 16 * 1024;

/// The longest payload there can be, in bytes.
pub(super) const MAX_PAYLOAD: u32 = 0x00ff_ffff;

/// With what a client begins (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub(super) mod kind {
    pub(in crate::protocol::http2) const DATA: u8 = 0;
    pub(in crate::protocol::http2) const HEADERS: u8 = 1;
    pub(in crate::protocol::http2) const PRIORITY: u8 = 2;
    pub(in crate::protocol::http2) const RST_STREAM: u8 = 3;
    pub(in crate::protocol::http2) const SETTINGS: u8 = 4;
    pub(in crate::protocol::http2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::protocol::http2) const PING: u8 = 6;
    pub(in crate::protocol::http2) const GOAWAY: u8 = 7;
    pub(in crate::protocol::http2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::protocol::http2) const CONTINUATION: u8 = 9;
}

/// Flags of frames; what they mean depends on the type.
pub(super) mod flag {
    /// The sender's last frame of the stream, apart from those that continue its header block.
    pub(in crate::protocol::http2) const END_STREAM: u8 = 0x01;
    /// On SETTINGS and PING.
    pub(in crate::protocol::http2) const ACK: u8 = 0x01;
    /// The header block ends with this frame.
    pub(in crate::protocol::http2) const END_HEADERS: u8 = 0x04;
    pub(in crate::protocol::http2) const PADDED: u8 = 0x08;
    /// Five bytes of an old scheme of priorities come first.
    pub(in crate::protocol::http2) const PRIORITY: u8 = 0x20;
}

/// The setting that says how long a payload may be (RFC 9113 §6.5.2).
pub(super) const SETTINGS_MAX_FRAME_SIZE: u16 = 5;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// The payload's length in bytes.
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// The bit that nobody sets.
    reserved: bool,
}

impl FrameHeader {
    /// The header that `input` begins with; `None` when it is too short.
    #[inline]
    pub(super) fn parse(input: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, d, e, f, g] = input.first_chunk::<HEADER_LEN>()?;
        let stream = u32::from_be_bytes([d, e, f, g]);
        Some(Self {
            len: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: stream & 0x7fff_ffff,
            reserved: stream & 0x8000_0000 != 0,
        })
    }

    /// Whether this flag is set.
    #[inline]
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The whole frame's length in bytes.
    #[inline]
    pub(super) fn total(&self) -> usize {
        HEADER_LEN.saturating_add(self.len as usize)
    }

    /// What rule the header breaks, if any.
    #[inline]
    pub(super) fn check(&self, direction: Direction, max_payload: u32) -> Result<(), &'static str> {
        if self.len > max_payload {
            return Err("a frame is longer than allowed");
        }
        let is_of_stream = self.stream != 0;
        let is_from_client = direction == Direction::Request;
        let is_fine = match self.kind {
            kind::DATA | kind::HEADERS => {
                is_of_stream && (!is_from_client || !self.stream.is_multiple_of(2))
            }
            kind::PRIORITY => is_of_stream,
            kind::RST_STREAM => is_of_stream && self.len == 4,
            kind::SETTINGS => {
                let len_fits =
                    if self.has(flag::ACK) { self.len == 0 } else { self.len.is_multiple_of(6) };
                !is_of_stream && len_fits
            }
            kind::PUSH_PROMISE => is_of_stream && !is_from_client && self.len >= 4,
            kind::PING => !is_of_stream && self.len == 8,
            kind::GOAWAY => !is_of_stream && self.len >= 8,
            kind::WINDOW_UPDATE => self.len == 4,
            kind::CONTINUATION => is_of_stream,
            _ => true,
        };
        if is_fine { Ok(()) } else { Err("a frame with a wrong length or on a wrong stream") }
    }

    /// Whether a frame that anybody would send begins like this; stricter than [`Self::check`], to tell
    /// frames from other bytes.
    pub(super) fn is_plausible(&self, direction: Direction, max_payload: u32) -> bool {
        use flag::{ACK, END_HEADERS, END_STREAM, PADDED, PRIORITY};
        let (flags, is_long_enough) = match self.kind {
            kind::DATA => (END_STREAM | PADDED, self.len > 0 || self.has(END_STREAM)),
            kind::HEADERS => (END_STREAM | END_HEADERS | PADDED | PRIORITY, self.len > 0),
            kind::PRIORITY => (0, self.len == 5),
            kind::RST_STREAM | kind::GOAWAY | kind::WINDOW_UPDATE => (0, true),
            kind::SETTINGS | kind::PING => (ACK, true),
            kind::PUSH_PROMISE => (END_HEADERS | PADDED, true),
            kind::CONTINUATION => (END_HEADERS, true),
            _ => return false,
        };
        // What is pushed is rare: a packet that begins with it is let pass.
        let is_pushed = self.kind <= kind::HEADERS && self.stream.is_multiple_of(2);
        !self.reserved
            && is_long_enough
            && self.flags & !flags == 0
            && !is_pushed
            && self.check(direction, max_payload).is_ok()
    }
}

/// The name of an error that a RST_STREAM frame carries (RFC 9113 §7).
pub(super) fn error_name(code: u32) -> Option<&'static str> {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).copied()
}

/// The error with which a client says that it has no use for the response any more.
pub(super) const CANCEL: u32 = 8;
