//! gRPC: calls over HTTP/2 streams (`PROTOCOL-HTTP2.md` of the gRPC project).
//!
//! A call is a stream whose content type is gRPC's. Both sides send any number of messages on it, each
//! behind a prefix of five bytes. Whether a method is unary or streams is nothing that the wire says: a
//! stream may have one message too. So the messages are counted, and a call's kind is what its counts say.

use super::{Http2Decoder, View, probe};
use crate::protocol::{Detection, Entry, Protocol, text::Text};

/// gRPC, of which only calls are shown; what else a connection carries is counted.
pub static PROTOCOL: Protocol = Protocol {
    name: "grpc",
    summary: "gRPC calls over HTTP/2 without TLS",
    ports: &[50051],
    field_names: FIELD_NAMES,
    probe: probe::probe,
    entry: Entry::Number,
    detection: Detection::Asked,
    decoder: || Box::new(Http2Decoder::new(View::Calls)),
    datagrams: None,
};

/// The names of the fields that messages carry, in the order of [`super::FIELD_NAMES`]; `method` is the
/// call's. The fields are the same otherwise.
pub static FIELD_NAMES: &[&str] = &[
    "stream",
    "http_method",
    "scheme",
    "host",
    "path",
    "query",
    "request_content_type",
    "user_agent",
    "authorization",
    "status",
    "content_type",
    "request_body",
    "response_body",
    "reset",
    "service",
    "method",
    "encoding",
    "request_messages",
    "response_messages",
    "grpc_status",
    "grpc_status_name",
    "grpc_message",
    "trailers_only",
    "kind",
];

/// What kind of call exchanges so many messages, as far as they tell.
pub(super) fn kind(request: u32, response: u32) -> &'static str {
    match (request > 1, response > 1) {
        (false, false) => "unary",
        (true, false) => "client_streaming",
        (false, true) => "server_streaming",
        (true, true) => "bidi_streaming",
    }
}

/// The length of what stands in front of each message: whether it is compressed, and its length.
const PREFIX: u8 = 5;

/// The messages of one direction of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Messages {
    count: u32,
    /// Bytes of the message that are still to come; in its prefix what is known of its length.
    left: u32,
    /// Bytes of the prefix that came.
    at: u8,
    /// Where messages begin is not known any more.
    hidden: bool,
}

impl Messages {
    /// How many are complete; `None` when that is not known.
    pub(super) fn count(&self) -> Option<u32> {
        (!self.hidden).then_some(self.count)
    }

    /// Whether some of the content was not seen.
    pub(super) fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Some of the content was not seen.
    pub(super) fn hide(&mut self) {
        self.hidden = true;
    }

    /// So many of the bytes that follow need not be seen.
    pub(super) fn unseen(&self) -> u32 {
        if self.at == PREFIX { self.left } else { 0 }
    }

    /// Goes over bytes that need not be seen.
    pub(super) fn pass(&mut self, len: u32) {
        self.left = self.left.saturating_sub(len);
        if self.left == 0 {
            self.count = self.count.saturating_add(1);
            self.at = 0;
        }
    }

    /// Goes over bytes that are here.
    pub(super) fn walk(&mut self, mut bytes: &[u8]) {
        while !self.hidden {
            let unseen = self.unseen();
            if unseen > 0 {
                let here = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(unseen);
                if here == 0 {
                    return;
                }
                self.pass(here);
                bytes = bytes.get(here as usize..).unwrap_or_default();
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.prefix(byte);
        }
    }

    /// The next byte of a prefix.
    fn prefix(&mut self, byte: u8) {
        if self.at == 0 {
            // Compressed or not; anything else is no gRPC.
            self.hidden = byte > 1;
            self.left = 0;
        } else {
            self.left = self.left << 8 | u32::from(byte);
        }
        self.at = self.at.saturating_add(1);
        if self.at == PREFIX && self.left == 0 {
            self.pass(0);
        }
    }
}

/// Whether this content type is gRPC's.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The name of a status (`statuscodes.md` of the gRPC project).
pub(super) fn status_name(code: u32) -> Option<&'static str> {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(code as usize).copied()
}

/// The code that a `grpc-status` says.
pub(super) fn status_code(value: &[u8]) -> Option<u32> {
    number(value).and_then(|code| u32::try_from(code).ok())
}

/// How long a `grpc-timeout` says that the client is willing to wait, in ns: at most eight digits and a
/// unit.
pub(super) fn timeout_ns(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    let unit_ns = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1000,
        b'n' => 1,
        _ => return None,
    };
    number(digits)?.checked_mul(unit_ns)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The service and the method of a path such as `/pkg.Service/Method`.
pub(super) fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = path.strip_prefix(b"/")?;
    let (service, method) = path.split_at_checked(memchr::memrchr(b'/', path)?)?;
    Some((service, method.get(1..)?))
}

/// The part of a path that names a call; parameters are none of it, and may be secrets.
pub(super) fn call(path: &[u8]) -> &[u8] {
    path.get(..memchr::memchr(b';', path).unwrap_or(path.len())).unwrap_or_default()
}

/// Writes a call's path where only `room` bytes are: what is left out is the package's front.
pub(super) fn push_operation(text: &mut Text, path: &[u8], room: usize) {
    const CUT: &str = "...";
    if path.len() <= room {
        return text.push_bytes(path);
    }
    let kept = room.saturating_sub(CUT.len());
    let tail = path.get(path.len().saturating_sub(kept)..).unwrap_or_default();
    // Whole words of the package, where there are some.
    let begin = memchr::memchr2(b'.', b'/', tail).map_or(0, |at| at.saturating_add(1));
    text.push_str(CUT);
    text.push_bytes(tail.get(begin..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let bytes = [&[0, 0, 0, 0, 3, 1, 2, 3][..], &[1, 0, 0, 0, 0], &[0, 0, 0, 1, 0], &[7; 256]];
        let bytes = bytes.concat();
        for size in 1..=bytes.len() {
            let mut messages = Messages::default();
            for piece in bytes.chunks(size) {
                messages.walk(piece);
            }
            assert_eq!(messages.count(), Some(3), "in pieces of {size}");
        }
        let mut messages = Messages::default();
        messages.walk(&[0, 0, 0, 1, 0, 1]);
        assert_eq!((messages.unseen(), messages.count()), (255, Some(0)));
        messages.pass(255);
        assert_eq!((messages.unseen(), messages.count()), (0, Some(1)));
        messages.walk(b"no prefix");
        assert_eq!(messages.count(), None);
    }

    #[test]
    fn timeouts_have_units() {
        let seconds = |text: &str| timeout_ns(text.as_bytes());
        assert_eq!(seconds("1S"), Some(1_000_000_000));
        assert_eq!(seconds("250m"), Some(250_000_000));
        assert_eq!(seconds("99999999H"), None);
        assert_eq!(seconds("2H"), Some(7_200_000_000_000));
        assert_eq!((seconds("5u"), seconds("5n")), (Some(5000), Some(5)));
        for wrong in ["", "S", "1", "1s", "-1S", "123456789S", "1 S"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn content_types_are_told_apart() {
        for grpc in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"]
        {
            assert!(is_grpc(grpc.as_bytes()), "{grpc}");
        }
        for other in ["", "application/json", "application/grpc-web", "application/grp"] {
            assert!(!is_grpc(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_long_path_loses_its_front() {
        let operation = |path: &str| {
            let mut text = Text::default();
            text.reset(48);
            push_operation(&mut text, path.as_bytes(), 48);
            text.as_str().to_owned()
        };
        assert_eq!(operation("/pkg.Service/Method"), "/pkg.Service/Method");
        assert_eq!(
            operation("/google.cloud.bigquery.storage.v1.BigQueryRead/CreateReadSession"),
            "...storage.v1.BigQueryRead/CreateReadSession"
        );
        assert_eq!(operation(&"x".repeat(60)), format!("...{}", "x".repeat(45)));
        assert_eq!(split_path(b"/pkg.Service/Method"), Some((&b"pkg.Service"[..], &b"Method"[..])));
        assert_eq!(split_path(b"/x"), None);
    }
}
