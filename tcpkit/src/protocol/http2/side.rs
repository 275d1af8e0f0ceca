//! One direction of a connection: where it stands among its frames, and what its header blocks refer to.

use super::{
    frame::{FrameHeader, HEADER_LEN, MAX_PAYLOAD, USUAL_PAYLOAD, flag, kind},
    hpack::{self, Extent, Headers},
};
use crate::protocol::MAX_LOOKAHEAD;

/// A header block in more pieces than this is not looked at; honest senders fill their frames.
const MAX_PIECES: usize = 64;

/// One direction.
#[derive(Debug)]
pub(super) struct Side {
    hpack: Option<Box<hpack::Decoder>>,
    pub(super) at: At,
    /// The longest payload that is sent in this direction, in bytes.
    pub(super) max_payload: u32,
    /// Bytes are missing, and reading has not begun anew yet.
    pub(super) is_lost: bool,
}

/// Where a direction stands.
#[derive(Debug, Default)]
pub(super) enum At {
    /// Before its first byte.
    #[default]
    Start,
    /// At a frame's header.
    Frame,
    /// In a payload that says nothing.
    Rest(Rest),
    /// In a SETTINGS frame.
    Settings(Rest),
    /// In the payload of a DATA frame.
    Data(Data),
    /// In a header block that is cut off or too long.
    Block(Box<HiddenBlock>),
    /// In a RST_STREAM frame whose error code is cut off.
    Reset { stream: u32, left: u32 },
}

/// What is left of a payload that belongs to no message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) left: u32,
    /// Some of it was not seen, which the caller takes for a message's beginning until told otherwise.
    pub(super) was_cut: bool,
}

/// What is left of a DATA frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) stream: u32,
    /// Bytes of content and padding.
    pub(super) left: u32,
    /// Bytes of padding.
    pub(super) padding: u32,
    pub(super) end_stream: bool,
    /// The response's first message was complete before.
    pub(super) had_first: bool,
}

/// What a header block belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) is_promise: bool,
    pub(super) end_stream: bool,
}

/// A header block of which the beginning was seen at most.
#[derive(Debug)]
pub(super) struct HiddenBlock {
    pub(super) block: Block,
    seen: Vec<u8>,
    /// What is left of the frame.
    pub(super) left: u64,
    /// The frame is the block's last.
    pub(super) is_last: bool,
}

impl Default for Side {
    fn default() -> Self {
        Self { hpack: None, at: At::default(), max_payload: USUAL_PAYLOAD, is_lost: false }
    }
}

/// The frames of a header block: HEADERS or PUSH_PROMISE, and what continues it.
pub(super) enum Frames {
    /// They end here.
    Whole(usize),
    /// So many bytes are needed to know more.
    More(usize),
    /// More than is looked at; the first frame has this header.
    TooLong,
    Broken(&'static str),
}

impl Side {
    /// Bytes were lost, or make no sense.
    pub(super) fn lose(&mut self) {
        self.at = At::Frame;
        self.is_lost = true;
        self.hpack().spoil();
    }

    /// Reading begins anew at a frame.
    pub(super) fn rejoin(&mut self) {
        self.lose();
        self.is_lost = false;
    }

    fn hpack(&mut self) -> &mut hpack::Decoder {
        self.hpack.get_or_insert_default()
    }

    /// The longest payload that is to be believed when it is not known what was agreed on.
    pub(super) fn plausible_payload(&self) -> u32 {
        if self.max_payload == MAX_PAYLOAD { USUAL_PAYLOAD } else { self.max_payload }
    }

    /// Takes apart the header block in these frames.
    pub(super) fn decode_block(
        &mut self,
        frames: &[u8],
        mut memory: Vec<u8>,
    ) -> Result<(Block, Headers), &'static str> {
        let first = FrameHeader::parse(frames).ok_or(BROKEN)?;
        let block = Block::of(&first);
        if first.has(flag::END_HEADERS) {
            let payload = frames.get(HEADER_LEN..).unwrap_or_default();
            let fragment = fragment(&first, payload).ok_or(BROKEN)?;
            let mut headers = Headers::new(memory);
            let result = self.hpack().decode(fragment, Extent::Whole, &mut headers);
            return result.map(|()| (block, headers)).map_err(|_| COMPRESSION);
        }
        memory.clear();
        let joined = joined(frames).ok_or(BROKEN)?;
        let mut headers = Headers::new(memory);
        let result = self.hpack().decode(&joined, Extent::Whole, &mut headers);
        result.map(|()| (block, headers)).map_err(|_| COMPRESSION)
    }

    /// Takes apart what was seen of a header block.
    pub(super) fn decode_hidden(
        &mut self,
        hidden: &HiddenBlock,
        memory: Vec<u8>,
    ) -> Result<Headers, &'static str> {
        let mut headers = Headers::new(memory);
        let result = self.hpack().decode(&hidden.seen, Extent::Beginning, &mut headers);
        result.map(|()| headers).map_err(|_| COMPRESSION)
    }
}

const BROKEN: &str = "a header block with a wrong length";
const COMPRESSION: &str = "a header block that cannot be decoded";

impl Block {
    fn of(first: &FrameHeader) -> Self {
        let is_promise = first.kind == kind::PUSH_PROMISE;
        let end_stream = !is_promise && first.has(flag::END_STREAM);
        Self { stream: first.stream, is_promise, end_stream }
    }
}

impl HiddenBlock {
    /// A block that is too long, and begins with this frame.
    pub(super) fn too_long(first: &FrameHeader) -> Box<Self> {
        Box::new(Self {
            block: Block::of(first),
            seen: Vec::new(),
            left: first.total() as u64,
            is_last: first.has(flag::END_HEADERS),
        })
    }

    /// A block of which `before` is seen, and what follows is not; `None` when the cut is between
    /// frames, so that it is not known where the next ends.
    pub(super) fn cut(before: &[u8]) -> Option<Box<Self>> {
        let first = FrameHeader::parse(before)?;
        let mut at = 0_usize;
        let mut last = first;
        while let Some(rest) = before.get(at..).filter(|rest| !rest.is_empty()) {
            last = FrameHeader::parse(rest)?;
            at = at.saturating_add(last.total());
        }
        let left = at.checked_sub(before.len())?;
        if left == 0 && !last.has(flag::END_HEADERS) {
            return None;
        }
        Some(Box::new(Self {
            block: Block::of(&first),
            seen: joined(before).unwrap_or_default(),
            left: left as u64,
            is_last: last.has(flag::END_HEADERS),
        }))
    }
}

/// Where the header block ends that `input` begins with.
pub(super) fn frames(input: &[u8], max_payload: u32) -> Frames {
    let Some(first) = FrameHeader::parse(input) else { return Frames::More(HEADER_LEN) };
    let mut last = first;
    let mut end = first.total();
    for _ in 0..MAX_PIECES {
        if end > MAX_LOOKAHEAD {
            return Frames::TooLong;
        }
        if last.has(flag::END_HEADERS) {
            return if input.len() < end { Frames::More(end) } else { Frames::Whole(end) };
        }
        let Some(next) = input.get(end..).and_then(FrameHeader::parse) else {
            let need = end.saturating_add(HEADER_LEN);
            return if need > MAX_LOOKAHEAD { Frames::TooLong } else { Frames::More(need) };
        };
        if next.kind != kind::CONTINUATION || next.stream != first.stream || next.len > max_payload
        {
            return Frames::Broken("a header block that is not continued");
        }
        last = next;
        end = end.saturating_add(next.total());
    }
    Frames::TooLong
}

/// The part of a frame's payload that is of the header block, as far as it is there; `None` when the
/// lengths contradict each other.
fn fragment<'a>(header: &FrameHeader, payload: &'a [u8]) -> Option<&'a [u8]> {
    let mut begin = 0_usize;
    let mut end = header.len as usize;
    if header.kind != kind::CONTINUATION && header.has(flag::PADDED) {
        let Some(padding) = payload.first() else { return (end > 0).then_some(&[]) };
        begin = 1;
        end = end.checked_sub(usize::from(*padding))?;
    }
    let ahead: usize = match header.kind {
        kind::PUSH_PROMISE => 4,
        kind::HEADERS if header.has(flag::PRIORITY) => 5,
        _ => 0,
    };
    begin = begin.saturating_add(ahead);
    if begin > end {
        return None;
    }
    let end = end.min(payload.len());
    Some(payload.get(begin.min(end)..end).unwrap_or_default())
}

/// The header block in these frames, of which the last may be cut off.
fn joined(mut frames: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    while !frames.is_empty() {
        let header = FrameHeader::parse(frames)?;
        let (frame, rest) = frames.split_at_checked(header.total()).unwrap_or((frames, &[]));
        let payload = frame.get(HEADER_LEN..).unwrap_or_default();
        joined.extend_from_slice(fragment(&header, payload)?);
        frames = rest;
    }
    Some(joined)
}
