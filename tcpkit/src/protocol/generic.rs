//! Protocols that nobody knows: who talks when, and how a request begins.
//!
//! The client's bytes up to the server's first are a request, the server's up to the client's next are
//! its response. That holds for whoever waits for an answer before asking again. Where requests are
//! sent without waiting, a turn covers several, and its time is that of all of them.

use super::{
    Correlation, Decoder, Detection, Direction, Entry, Message, Part, Probe, Protocol, Scratch,
    Status, Step,
};

/// Whatever takes turns.
pub static PROTOCOL: Protocol = Protocol {
    name: "generic",
    summary: "any other: who takes turns, and how requests begin",
    ports: &[],
    field_names: &[],
    probe,
    entry: Entry::Turn,
    detection: Detection::Last,
    decoder: || Box::new(GenericDecoder::default()),
    datagrams: None,
};

fn probe(bytes: &[u8]) -> Probe {
    if bytes.is_empty() { Probe::Unsure } else { Probe::Either }
}

/// The decoder of one connection.
#[derive(Debug, Default)]
struct GenericDecoder {
    /// Whose turn it is, as far as bytes came.
    turn: Option<Direction>,
    /// What the request of this turn begins with, as far as it is shown.
    shown: Vec<u8>,
    /// What follows it is not known.
    cut: bool,
    /// Bytes are missing of which no message told yet.
    hidden: bool,
}

impl Decoder for GenericDecoder {
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let hidden = std::mem::take(&mut self.hidden);
        if input.is_empty() && !hidden {
            return Step::NeedMore { at_least: 1 };
        }
        if self.turn.replace(direction) != Some(direction) {
            (self.shown, self.cut) = (Vec::new(), false);
        }
        // One more than fits tells that it does not.
        let room = scratch.options().max_text.saturating_add(1).saturating_sub(self.shown.len());
        let bare = Message::bare(Correlation::Turn, Part::Middle);
        let message = if direction == Direction::Request && room > 0 && !self.cut {
            self.shown.extend_from_slice(input.get(..room).unwrap_or(input));
            self.cut = hidden;
            let mut draft = scratch.draft();
            draft.text.push_bytes(&self.shown);
            if hidden {
                draft.text.push_str("...");
            }
            let message = scratch.finish(draft, Correlation::Turn, Status::Ok);
            Message { text: message.text, ..bare }
        } else {
            bare
        };
        Step::Consumed { len: input.len(), message: Some(message) }
    }

    fn handle_gap(&mut self, _: Direction, before: &[u8], len: u64) -> u64 {
        self.hidden = true;
        len.saturating_add(u64::try_from(before.len()).unwrap_or(u64::MAX))
    }

    fn resync(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{DecodeOptions, driver::Driver};
    use Direction::{Request, Response};

    #[test]
    fn a_turn_is_told_by_its_first_bytes() {
        let mut driver = Driver::new(&PROTOCOL, DecodeOptions::default());
        driver.feed(Request, b"HELO me\r\n");
        driver.feed(Request, b"more");
        driver.feed(Response, b"250 ok\r\n");
        driver.feed(Request, &[0, 27, b'x']);
        assert!(driver.lose(Response, 9));
        assert_eq!(
            driver.lines(),
            [
                ">  | turn middle | HELO me\\r\\n",
                ">  | turn middle | HELO me\\r\\nmore",
                "< ok | turn middle",
                ">  | turn middle | \\x00\\x1bx",
                "< ok | turn middle",
            ]
        );
    }
}
