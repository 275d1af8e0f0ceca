//! From transactions and keys to what is on the screen.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ratatui::{buffer::Buffer, layout::Rect, style::Color};

use super::{
    draw::{Palette, draw},
    keys::Key,
    look::Pane,
    model::{About, Model, Wish},
};
use crate::{
    ledger::Ledger,
    sink::Sink as _,
    stats::{SlowLog, Statistics, Window, tests::transaction as counted},
    transaction::Transaction,
};

const HOSTILE: &str = "a\u{1b}[2J\u{9b}\u{202e}中\u{301}\n";

fn transaction(port: u16, operation: &str, latency_ns: u64) -> Transaction<'_> {
    Transaction { request: operation, ..counted(port, operation, latency_ns) }
}

fn statistics() -> Arc<Statistics> {
    Arc::new(Statistics::new(1000, Some(SlowLog::new(10_000_000))))
}

/// So many transactions of each kind happen.
fn happen(statistics: &Arc<Statistics>, transactions: &[(u16, &str, u64, usize)]) {
    let mut sink = statistics.sink();
    for &(port, operation, ms, count) in transactions {
        for _ in 0..count {
            let transaction = transaction(port, operation, ms * 1_000_000);
            sink.on_transaction(&transaction).expect("it only counts");
        }
    }
}

fn empty(is_live: bool) -> Model {
    let (does, protocols) = ("listening on nothing".into(), vec!["any"]);
    let mut model = Model::new(About { does, protocols, is_live });
    model.window = Window::All;
    model
}

/// A model of so many transactions of each kind.
fn model(transactions: &[(u16, &str, u64, usize)]) -> Model {
    let (statistics, mut model) = (statistics(), empty(true));
    happen(&statistics, transactions);
    model.renew(&statistics);
    model
}

fn usual() -> Model {
    model(&[(1, "GET", 1, 300), (1, "BAD", 2, 5), (2, "SET", 30, 20), (2, "GET", 4, 7)])
}

fn on_screen(model: &mut Model, width: u16, height: u16) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(&mut buffer, model, Palette { has_colour: true });
    buffer
}

fn lines(model: &mut Model, width: u16, height: u16) -> Vec<String> {
    let buffer = on_screen(model, width, height);
    let rows = buffer.content().chunks(width.into());
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>()).collect()
}

/// The first words of a pane's lines.
fn names(model: &mut Model, pane: &str) -> Vec<String> {
    let lines = lines(model, 120, 40);
    let rows = lines.iter().skip_while(|line| !line.starts_with(pane)).skip(1);
    let is_head =
        |line: &str| ["OPERATION", "SLOW", "q quit", "Esc"].iter().any(|it| line.starts_with(it));
    let rows = rows.take_while(|line| !is_head(line));
    rows.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn lines_say_what_was_counted() {
    let mut model = usual();
    let lines = lines(&mut model, 120, 40);
    let words = |begin: &str| -> Vec<&str> {
        let line = lines.iter().find(|line| line.starts_with(begin)).expect(begin);
        line.split_whitespace().collect()
    };
    assert_eq!(words("ENDPOINT")[..2], ["ENDPOINT", "▼REQUESTS"]);
    // 300 of 1 ms and 5 of 2 ms.
    let row = words("10.0.0.2:1");
    assert_eq!((row[1], row[9], row[10]), ("305", "2.000", "0.310"));
    let p50: f64 = row[5].parse().expect("a number");
    assert!((0.99..=1.01).contains(&p50), "{row:?}");
    let row = words("SET");
    assert_eq!((row[1], row[9], row[10], row[11]), ("20", "30.00", "0.600", "64.0%"));
}

#[test]
fn keys_change_what_is_seen() {
    let mut model = usual();
    assert_eq!(names(&mut model, "OPERATION"), ["SET", "GET", "GET", "BAD"]);
    model.press(Key::Char('r'));
    assert_eq!(names(&mut model, "OPERATION"), ["BAD", "GET", "GET", "SET"]);
    // One of two endpoints, of which the first has most requests.
    model.press(Key::BackTab);
    model.press(Key::Down);
    model.press(Key::Enter);
    assert_eq!(names(&mut model, "OPERATION"), ["GET", "SET"]);
    assert_eq!(names(&mut model, "ENDPOINT"), ["10.0.0.2:1", "10.0.0.2:2"]);
    assert_eq!(model.press(Key::Escape), Wish::Draw);
    assert_eq!(names(&mut model, "OPERATION").len(), 4);
    // What has a word.
    model.press(Key::Char('/'));
    for character in "ge".chars() {
        model.press(Key::Char(character));
    }
    assert_eq!(names(&mut model, "OPERATION"), ["GET", "GET"]);
    model.press(Key::Enter);
    model.press(Key::Escape);
    assert_eq!(names(&mut model, "OPERATION").len(), 4);
    // It is also what the bytes of an arrow begin with, and ends nothing.
    assert_eq!(model.press(Key::Escape), Wish::Draw);
    // A sheet is closed by what would else be the end.
    model.press(Key::Char('?'));
    assert!(lines(&mut model, 80, 24).iter().any(|line| line.starts_with("KEYS")));
    assert_eq!(model.press(Key::Char('q')), Wish::Draw);
    assert_eq!(model.press(Key::Char('q')), Wish::Quit);
}

#[test]
fn what_is_chosen_stays_chosen_when_others_overtake_it() {
    let mut model = model(&[(1, "A", 1, 9), (1, "B", 1, 5), (1, "C", 1, 3)]);
    model.press(Key::Down);
    assert_eq!(model.look(Pane::Operations).position(&model.identities(Pane::Operations)), 1);
    model.press(Key::Char('r'));
    model.press(Key::Down);
    let identities = model.identities(Pane::Operations);
    let at = model.look(Pane::Operations).position(&identities);
    assert!(identities[at].contains("\nA\n"), "{identities:?} {at}");
}

#[test]
fn a_long_list_is_seen_in_parts() {
    let operations: Vec<_> = (0..200).map(|it| format!("OP{it:03}")).collect();
    let all: Vec<_> = operations.iter().map(|it| (1, it.as_str(), 1, 1)).collect();
    let mut model = model(&all);
    let first = names(&mut model, "OPERATION");
    assert!(first.len() > 5 && first[0] == "OP000", "{first:?}");
    model.press(Key::PageDown);
    model.press(Key::PageDown);
    assert!(!names(&mut model, "OPERATION").contains(&"OP000".to_owned()));
    model.press(Key::End);
    assert_eq!(names(&mut model, "OPERATION").last().map(String::as_str), Some("OP199"));
    model.press(Key::Home);
    assert_eq!(names(&mut model, "OPERATION"), first);
}

#[test]
fn nothing_breaks_on_any_size_and_what_is_drawn_is_plain() {
    let mut model = model(&[(1, HOSTILE, 50, 3), (2, "A", 1, 3)]);
    for sheet in [None, Some(Key::Char('?')), Some(Key::Char('l')), Some(Key::Enter)] {
        model.focus = Pane::Slow;
        if let Some(key) = sheet {
            model.press(key);
        }
        for (columns, rows) in [(1, 1), (2, 3), (7, 5), (20, 10), (60, 15), (80, 24), (300, 90)] {
            let buffer = on_screen(&mut model, columns, rows);
            for cell in buffer.content() {
                assert!(cell.symbol().chars().count() == 1, "{:?}", cell.symbol());
                assert!(!cell.symbol().chars().any(|it| it.is_control() || it == '\u{202e}'));
            }
        }
        model.sheet = None;
    }
}

#[test]
fn numbers_stand_below_their_heads_whatever_names_are() {
    let names = ["A", HOSTILE, "中文", "لالا", "کلا", "ꓻꓽ", "का", "👍🏽", &"中".repeat(40)];
    let all: Vec<_> = names.iter().map(|name| (1, *name, 50, 3)).collect();
    let mut model = model(&all);
    for (columns, rows) in [(80, 40), (120, 40), (61, 40)] {
        let buffer = on_screen(&mut model, columns, rows);
        let cell = |x, y| buffer[(x, y)].symbol();
        let begins =
            |y, text: &str| text.chars().zip(0..).all(|(it, x)| cell(x, y) == it.to_string());
        let heads = (0..rows).find(|y| begins(*y, "OPERATION")).expect("heads");
        // The last letters of what stands above a number, which stands at the right.
        let line: Vec<_> = (0..columns).map(|x| cell(x, heads)).collect();
        let end = line.windows(8).position(|it| it.concat() == "REQUESTS").expect("a column") + 7;
        for y in (heads + 1..).take(names.len()) {
            let x = u16::try_from(end).expect("it is on the screen");
            assert_eq!(
                [cell(x - 1, y), cell(x, y), cell(x + 1, y)],
                [" ", "3", " "],
                "{y} {columns}"
            );
        }
    }
}

#[test]
fn an_operation_alone_is_that_one_and_no_other() {
    let all = [(1, "GET", 20, 9), (1, "GETSET", 20, 5), (2, "GET", 20, 3), (1, "", 20, 1)];
    let mut model = model(&all);
    let kinds = |model: &Model| -> Vec<(String, u64)> {
        model.operations().iter().map(|it| (it.operation.clone(), it.requests)).collect()
    };
    model.press(Key::Enter);
    assert_eq!(kinds(&model), [("GET".into(), 9)]);
    assert_eq!(model.slow_requests().len(), 9);
    assert!(lines(&mut model, 80, 24)[23].contains("only GET of 10.0.0.2:1"));
    // A filter has a place beside it, and is closed first.
    model.press(Key::Char('/'));
    for character in "get".chars() {
        model.press(Key::Char(character));
    }
    model.press(Key::Enter);
    assert_eq!((kinds(&model).len(), &*model.filter), (1, "get"));
    model.press(Key::Escape);
    assert_eq!(kinds(&model).len(), 1);
    model.press(Key::Escape);
    assert_eq!(kinds(&model).len(), 4);
    // One without a name.
    model.press(Key::End);
    model.press(Key::Enter);
    assert_eq!((kinds(&model), model.slow_requests().len()), (vec![(String::new(), 1)], 1));
    // Another endpoint has none of it.
    model.press(Key::BackTab);
    model.press(Key::End);
    model.press(Key::Enter);
    assert_eq!(kinds(&model), [("GET".into(), 3)]);
}

#[test]
fn the_first_line_stays_chosen_once_somebody_moved() {
    let (statistics, mut model) = (statistics(), empty(true));
    happen(&statistics, &[(1, "A", 9, 1), (1, "B", 5, 1)]);
    model.renew(&statistics);
    let chosen = |model: &Model| {
        let identities = model.identities(Pane::Operations);
        identities[model.look(Pane::Operations).position(&identities)].clone()
    };
    let overtake = |model: &mut Model, operation| {
        happen(&statistics, &[(1, operation, 100, 9)]);
        model.renew(&statistics);
    };
    // Nobody moved: the first, whichever that is.
    overtake(&mut model, "B");
    assert!(chosen(&model).contains("\nB\n"));
    model.press(Key::Down);
    model.press(Key::Up);
    overtake(&mut model, "C");
    overtake(&mut model, "C");
    assert!(chosen(&model).contains("\nB\n"));
    model.press(Key::Home);
    assert!(chosen(&model).contains("\nC\n"));
    for _ in 0..4 {
        overtake(&mut model, "A");
    }
    assert!(chosen(&model).contains("\nA\n"));
}

#[test]
fn while_it_is_paused_all_is_collected() {
    let (statistics, mut model) = (statistics(), empty(true));
    happen(&statistics, &[(1, "A", 1, 1)]);
    model.renew(&statistics);
    model.press(Key::Char('p'));
    happen(&statistics, &[(1, "A", 1, 600)]);
    // It goes on to look at what is counted: there is a rate once half a second is over.
    let began = Instant::now();
    while model.pace.rate().is_none() {
        assert!(began.elapsed() < Duration::from_secs(10), "nobody looks");
        model.renew(&statistics);
        thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(model.snapshot.total, 1);
    let head = lines(&mut model, 80, 24)[0].clone();
    assert!(head.contains("PAUSED"), "{head}");
    // Numbers of another window are those of now.
    assert_eq!(model.press(Key::Char('w')), Wish::Renew);
    model.renew(&statistics);
    assert_eq!(model.snapshot.total, 601);
    let head = lines(&mut model, 80, 24)[0].clone();
    assert!(!head.contains("PAUSED") && head.contains("last minute"), "{head}");
}

#[test]
fn the_head_says_how_many_are_in_the_tables_and_what_goes_on() {
    let (statistics, mut model) = (statistics(), empty(false));
    happen(&statistics, &[(1, "A", 1, 7)]);
    // However soon it is looked.
    model.renew(&statistics);
    model.press(Key::Char('p'));
    happen(&statistics, &[(1, "A", 1, 5)]);
    model.complete(Ledger::default());
    model.renew(&statistics);
    let head = lines(&mut model, 80, 24)[0].clone();
    assert!(head.contains("12 requests  complete") && !head.contains("PAUSED"), "{head}");
    assert_eq!(model.operations()[0].requests, 12);
    assert!(!head.contains("ending"), "{head}");
    model.is_ending = true;
    assert!(lines(&mut model, 80, 24)[0].contains("ending …"));
    // Of a live run nobody knows the pace yet.
    let head = lines(&mut empty(true), 80, 24)[0].clone();
    assert!(!head.contains("requests/s"), "{head}");
}

#[test]
fn a_message_hides_the_keys_for_a_while() {
    let mut model = usual();
    let said = |text: &str| Some(text.to_owned());
    let foot = |model: &mut Model| lines(model, 80, 24)[23].trim_end().to_owned();
    let at = Duration::from_secs;
    model.hear(said("one"), at(1));
    assert_eq!(foot(&mut model), "one");
    model.hear(said("one"), at(10));
    assert_eq!(foot(&mut model), "one");
    model.hear(said("one"), at(11));
    assert!(foot(&mut model).starts_with("q quit"));
    model.hear(said("two"), at(12));
    assert_eq!(foot(&mut model), "two");
    model.press(Key::Down);
    model.hear(said("two"), at(13));
    assert!(foot(&mut model).starts_with("q quit"));
}

#[test]
fn how_slow_a_request_has_to_be_is_what_it_is_now() {
    let (statistics, mut model) = (statistics(), empty(true));
    model.renew(&statistics);
    let says =
        |model: &mut Model, text: &str| lines(model, 80, 24).iter().any(|it| it.contains(text));
    assert!(says(&mut model, "none took 10 ms"));
    statistics.slow().expect("it is kept").set_least_ns(25_000_000);
    model.renew(&statistics);
    assert!(says(&mut model, "none took 25 ms"));
}

#[test]
fn what_is_pasted_goes_into_the_filter_or_nowhere() {
    let mut model = usual();
    let paste = |model: &mut Model| {
        "qp".chars().for_each(|it| assert_eq!(model.press(Key::Pasted(it)), Wish::Draw));
    };
    paste(&mut model);
    assert!(!model.is_paused && model.filter.is_empty());
    model.press(Key::Char('/'));
    paste(&mut model);
    assert!(model.is_typing && model.filter == "qp");
}

#[test]
fn losses_are_red_and_notes_are_not() {
    let mut model = usual();
    let banner = |model: &mut Model| {
        let line = lines(model, 80, 24)[1].clone();
        (line, on_screen(model, 80, 24)[(3, 1)].bg)
    };
    assert!(banner(&mut model).0.starts_with("ENDPOINT"));
    model.ledger.messages.unread_bytes = 7;
    let (text, colour) = banner(&mut model);
    assert!(text.contains("NOT READ: 7 bytes"), "{text}");
    assert_eq!(colour, Color::Reset);
    model.ledger = Ledger::default();
    model.ledger.bytes.lost = 5;
    let (text, colour) = banner(&mut model);
    assert!(text.contains("LOST: 5 bytes missing"), "{text}");
    assert_eq!(colour, Color::Red);
    // What is old says less than that.
    model.ledger.age_s = 7;
    let (text, colour) = banner(&mut model);
    assert!(text.contains("has taken nothing for 7 s"), "{text}");
    assert_eq!(colour, Color::Red);
}
