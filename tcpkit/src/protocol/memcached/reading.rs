//! One response that comes in datagrams: what they say is read as one stream.

use super::{
    binary,
    link::{Asked, Link},
    response::Responses,
};
use crate::protocol::{Correlation, Message, Scratch, Status, Step};

/// The most bytes that are kept from one datagram to the next: a line's beginning.
const MAX_PENDING: usize = 4096;

/// A response of which a part came.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) is_binary: bool,
    responses: Responses,
    link: Link,
    pending: Vec<u8>,
    skip: u64,
    said: Option<Said>,
}

/// What a complete response says.
#[derive(Debug)]
struct Said {
    status: Status,
    text: Box<str>,
    fields: Box<[u8]>,
}

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More has to come.
    More,
    /// It is complete, and nothing is behind it.
    Done,
    /// It cannot be read.
    Lost,
}

impl Reading {
    /// The response to this request.
    pub(super) fn new(asked: Asked, is_binary: bool) -> Option<Self> {
        let mut link = Link::default();
        link.push(asked).ok()?;
        Some(Self {
            is_binary,
            responses: Responses::default(),
            link,
            pending: Vec::new(),
            skip: 0,
            said: None,
        })
    }

    /// Reads a datagram's payload, and as many bytes behind it that were cut off.
    pub(super) fn feed(&mut self, payload: &[u8], hidden: u64, scratch: &mut Scratch) -> Progress {
        let mut input = std::mem::take(&mut self.pending);
        input.extend_from_slice(payload);
        let progress = self.run(&input, scratch);
        if progress != Progress::More || hidden == 0 {
            return progress;
        }
        let mut hidden = hidden;
        while hidden > 0 {
            let skipped = self.skip.min(hidden);
            self.skip = self.skip.saturating_sub(skipped);
            hidden = hidden.saturating_sub(skipped);
            if hidden > 0 {
                let before = std::mem::take(&mut self.pending);
                let held = before.len() as u64;
                let behind = match self.is_binary {
                    true => binary::response_gap(&mut self.responses, &before, hidden),
                    // What is no value is a line, and where that ends is hidden.
                    false => 0,
                };
                if behind <= held {
                    return Progress::Lost;
                }
                hidden = hidden.saturating_sub(behind.saturating_sub(held));
            }
            match self.run(&[], scratch) {
                Progress::More => {}
                Progress::Done if hidden == 0 => return Progress::Done,
                Progress::Done | Progress::Lost => return Progress::Lost,
            }
        }
        Progress::More
    }

    fn run(&mut self, mut input: &[u8], scratch: &mut Scratch) -> Progress {
        loop {
            let here = self.skip.min(input.len() as u64);
            self.skip = self.skip.saturating_sub(here);
            input = input.get(usize::try_from(here).unwrap_or(usize::MAX)..).unwrap_or_default();
            if self.skip > 0 {
                return Progress::More;
            }
            let step = match self.is_binary {
                true => {
                    binary::decode_response(&mut self.responses, input, &mut self.link, scratch)
                }
                false => self.responses.decode(input, &mut self.link, scratch),
            };
            match step {
                Step::Consumed { len, message } => {
                    let is_all = len >= input.len();
                    if let Some(Message { status, text, fields, .. }) = message {
                        self.said = Some(Said { status, text: text.into(), fields: fields.into() });
                        return if is_all { Progress::Done } else { Progress::Lost };
                    }
                    if len == 0 {
                        return Progress::Lost;
                    }
                    input = input.get(len..).unwrap_or_default();
                }
                Step::Skip { len } if len > 0 => self.skip = len,
                Step::NeedMore { .. } if input.len() <= MAX_PENDING => {
                    self.pending = input.to_vec();
                    return Progress::More;
                }
                _ => return Progress::Lost,
            }
        }
    }

    /// The message of a response that is done.
    pub(super) fn message<'s>(&self, scratch: &'s mut Scratch) -> Option<Message<'s>> {
        let Said { status, text, fields } = self.said.as_ref()?;
        let mut draft = scratch.draft();
        draft.text.push_str(text);
        draft.fields.copy(fields);
        Some(scratch.finish(draft, Correlation::OneWay, *status))
    }
}
