//! UDP.

use super::{packets, *};
use crate::protocol::{Correlation, Decoder, Message, Part, Scratch, Step};

/// Feeds datagrams; a message is shown as its number (counted from the first), part and text.
struct Feed {
    decoder: Box<dyn Decoder>,
    scratch: Scratch,
}

impl Feed {
    fn new() -> Self {
        let decoder = PROTOCOL.datagrams.expect("there is one")();
        Self { decoder, scratch: Scratch::new(DecodeOptions::default()) }
    }

    fn feed(&mut self, direction: Direction, id: u16, part: (u16, u16), payload: &[u8]) -> String {
        let mut datagram = Vec::new();
        [id, part.0, part.1, 0].iter().for_each(|it| datagram.extend(it.to_be_bytes()));
        datagram.extend_from_slice(payload);
        self.take(direction, &datagram)
    }

    fn take(&mut self, direction: Direction, datagram: &[u8]) -> String {
        let step = self.decoder.decode(direction, datagram, &mut self.scratch);
        let Step::Consumed { len, message: Some(message) } = step else {
            panic!("no message: {step:?}")
        };
        assert_eq!(len, datagram.len());
        show(&message)
    }

    /// The same with bytes behind it that were not captured.
    fn cut(
        &mut self,
        direction: Direction,
        id: u16,
        part: (u16, u16),
        payload: &[u8],
        len: u64,
    ) -> String {
        let mut datagram = Vec::new();
        [id, part.0, part.1, 0].iter().for_each(|it| datagram.extend(it.to_be_bytes()));
        datagram.extend_from_slice(payload);
        let total = datagram.len() as u64 + len;
        assert_eq!(self.decoder.handle_gap(direction, &datagram, len), total);
        self.take(direction, &[])
    }

    fn ask(&mut self, id: u16, text: &str) -> String {
        self.feed(Request, id, (0, 1), &bytes(text))
    }

    fn answer(&mut self, id: u16, text: &str) -> String {
        self.feed(Response, id, (0, 1), &bytes(text))
    }
}

fn show(message: &Message<'_>) -> String {
    let number = match message.correlation {
        Correlation::Id(number) => format!("#{}", number - 65536),
        _ => "-".to_owned(),
    };
    let part = match message.part {
        Part::Whole => "",
        Part::First => " first",
        Part::Middle => " middle",
        Part::Last => " last",
        Part::Void => " void",
        Part::Cancel => " cancel",
    };
    format!("{number}{part} {}", message.text).trim_end().to_owned()
}

#[test]
fn requests_and_responses_find_each_other_by_their_ids() {
    let mut feed = Feed::new();
    assert_eq!(feed.ask(7, "get a|"), "#1 get a");
    assert_eq!(feed.ask(9, "set a 0 0 3|b c|"), "#2 set a 0 0 3 \"b c\"");
    assert_eq!(feed.answer(9, "STORED|"), "#2");
    assert_eq!(feed.answer(7, "VALUE a 0 1|x|END|"), "#1");
    assert_eq!(feed.ask(7, "get a|"), "#3 get a");
    assert_eq!(feed.answer(7, "END|"), "#3 MISS");
    let get = packets::request(packets::GET, 1, "a");
    assert_eq!(feed.feed(Request, 8, (0, 1), &get), "#4 get a");
    let miss = packets::response(packets::GET, 1, 1, b"Not found");
    assert_eq!(feed.feed(Response, 8, (0, 1), &miss), "#4 MISS");
}

#[test]
fn a_response_of_several_datagrams_comes_in_parts() {
    let mut feed = Feed::new();
    feed.ask(1, "get a|");
    assert_eq!(feed.feed(Response, 1, (0, 3), &bytes("VALUE a 0 7|xxx")), "#1 first");
    assert_eq!(feed.feed(Response, 1, (1, 3), b"xxx"), "#1 middle");
    assert_eq!(feed.feed(Response, 1, (2, 3), &bytes("x|END|")), "#1 last");
    assert_eq!(feed.feed(Response, 1, (2, 3), &bytes("x|END|")), "-");
}

#[test]
fn an_overtaken_datagram_makes_the_response_one_of_nobody() {
    let mut feed = Feed::new();
    feed.ask(1, "get a|");
    assert_eq!(feed.feed(Response, 1, (0, 3), b"VALUE"), "#1 first");
    assert_eq!(feed.feed(Response, 1, (2, 3), b"x"), "-");
    assert_eq!(feed.feed(Response, 1, (1, 3), b"x"), "-");
    assert_eq!(feed.ask(1, "get b|"), "#2 get b");
}

#[test]
fn an_id_that_comes_again_before_its_answer_is_not_trusted() {
    let mut feed = Feed::new();
    assert_eq!(feed.ask(1, "get a|"), "#1 get a");
    assert_eq!(feed.ask(1, "get b|"), "- get b");
    assert_eq!(feed.answer(1, "END|"), "-");
    // That may still be the answer to the second.
    assert_eq!(feed.ask(1, "get c|"), "- get c");
    assert_eq!(feed.answer(1, "END|"), "-");
    assert_eq!(feed.answer(1, "END|"), "-");
    assert_eq!(feed.ask(1, "get d|"), "#4 get d");
    assert_eq!(feed.answer(1, "END|"), "#4 MISS");
    // One that was lost is not waited for for ever.
    feed.ask(1, "get e|");
    let mut asked = Vec::new();
    for _ in 0..40 {
        asked.push(feed.ask(1, "get f|").starts_with('#'));
        feed.answer(1, "END|");
    }
    assert!(!asked[0] && asked[39]);
}

#[test]
fn what_nobody_answers_or_understands_is_one_way() {
    let mut feed = Feed::new();
    assert_eq!(feed.ask(1, "set a 0 0 1 noreply|x|"), "- set a 0 0 1 noreply x");
    assert_eq!(feed.ask(2, "get a|get b|"), "-");
    assert_eq!(feed.ask(3, "get a"), "-");
    assert_eq!(feed.feed(Request, 4, (0, 2), &bytes("get a|")), "-");
    assert_eq!(feed.feed(Response, 5, (0, 1), &bytes("END|")), "-");
    assert_eq!(feed.feed(Response, 5, (3, 2), &bytes("END|")), "-");
    for _ in 0..10_000 {
        feed.ask(6, "get a|");
    }
    let short = feed.decoder.decode(Request, b"abc", &mut feed.scratch);
    assert!(matches!(short, Step::Discard { len: 3 }));
    assert_eq!(feed.decoder.handle_gap(Request, b"abc", 5), 8);
}

#[test]
fn a_datagram_that_was_cut_is_still_a_request() {
    let mut feed = Feed::new();
    assert_eq!(feed.ask(1, "set a 0 0 500|xxx"), "#1 set a 0 0 500 xxx...");
    let large = format!("set a 0 0 2000|{}|", "x".repeat(2000));
    assert_eq!(feed.ask(2, &large), format!("#2 set a 0 0 2000 {}...", "x".repeat(110)));
    // Where the line of its answer ends is not known, nor whether more follows.
    assert_eq!(feed.cut(Response, 1, (0, 1), b"STOR", 4), "-");
}

#[test]
fn a_response_ends_with_its_message_or_is_not_paired() {
    let mut feed = Feed::new();
    feed.ask(1, "get a|");
    assert_eq!(feed.answer(1, "VALUE a 0 1|x|"), "-");
    assert_eq!(feed.answer(1, "END|"), "-");
    feed.ask(2, "get a|");
    assert_eq!(feed.feed(Response, 2, (0, 2), &bytes("END|")), "-");
    // Each value comes in a message of its own, and nobody would miss a lost one.
    assert_eq!(feed.ask(3, "gets a b|"), "- gets a b");
    assert_eq!(feed.answer(3, "VALUE a 0 1 7|x|"), "-");
    assert_eq!(feed.answer(3, "END|"), "-");
}

#[test]
fn what_is_cut_off_a_value_is_skipped() {
    let mut feed = Feed::new();
    feed.ask(1, "get a|");
    assert_eq!(feed.cut(Response, 1, (0, 2), &bytes("VALUE a 0 1990|xx"), 1378), "#1 first");
    assert_eq!(feed.feed(Response, 1, (1, 2), &bytes(&("x".repeat(610) + "|END|"))), "#1 last");
    feed.ask(2, "get a|");
    // The value ends among what was cut off.
    assert_eq!(feed.cut(Response, 2, (0, 1), &bytes("VALUE a 0 1000|xx"), 1005), "-");
}

#[test]
fn memory_is_bounded_whatever_is_not_answered() {
    let mut feed = Feed::new();
    for id in 0..60_000_u16 {
        assert!(feed.ask(id, "get a|").starts_with('#'));
    }
    assert_eq!(feed.answer(0, "END|"), "-");
    assert_eq!(feed.answer(59_999, "END|"), "#60000 MISS");
}
