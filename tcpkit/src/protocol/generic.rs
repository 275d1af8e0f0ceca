//! Protocols that nobody knows: who talks when, and how a request begins.
//!
//! The client's bytes up to the server's first are a request, the server's up to the client's next are
//! its response. That holds for whoever waits for an answer before asking again. Where requests are
//! sent without waiting, a turn covers several, and its time is that of all of them.

use super::Status;
use super::{
    Correlation, Decoder, Direction, Entry, Message, Part, Probe, Protocol, Scratch, Step,
};

/// Whatever takes turns.
pub static PROTOCOL: Protocol = Protocol {
    name: "generic",
    summary: "any other: who takes turns, and how requests begin",
    ports: &[],
    field_names: &[],
    probe,
    entry: Entry::Turn,
    detected: false,
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
        if input.is_empty() && !std::mem::take(&mut self.hidden) {
            return Step::NeedMore { at_least: 1 };
        }
        let begins = self.turn.replace(direction) != Some(direction);
        let message = if begins && direction == Direction::Request {
            let mut draft = scratch.draft();
            draft.text.push_bytes(input);
            scratch.finish(draft, Correlation::Turn, Status::Ok)
        } else {
            Message::bare(Correlation::Turn, Part::Middle)
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
                ">  | turn | HELO me\\r\\n",
                ">  | turn middle",
                "< ok | turn middle",
                ">  | turn | \\x00\\x1bx",
                "< ok | turn middle",
            ]
        );
    }
}
