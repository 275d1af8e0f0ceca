//! What is seen is what clients did, and keys change how.

use nix::sys::signal::Signal;
use tcpkit_tests::{
    netns::eventually,
    redis::{Client, SERVER, run_benchmark},
};

use super::{Seen, TOP, top_with, words};

/// The operations on the screen, in their order.
fn operations(lines: &[String]) -> Vec<String> {
    let rows = lines.iter().skip_while(|line| !line.starts_with("OPERATION")).skip(1);
    let rows = rows.take_while(|line| !line.starts_with("SLOW"));
    rows.filter_map(|line| words(line).first().map(|it| (*it).to_owned())).collect()
}

/// How many lines begin with a text.
fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(text)).count()
}

#[test]
fn counts_are_those_of_clients() {
    let mut seen = Seen::start((40, 120), TOP);
    run_benchmark(&seen.near, "-t set,get -n 5000 -c 10 -P 4");
    let mut client = seen.client();
    for number in 0..300 {
        client.say(&format!("echo {number}"));
    }
    client.say("lpush x");
    // redis-benchmark asks for two settings.
    let expect =
        [(SERVER, "10303"), ("SET", "5000"), ("GET", "5000"), ("ECHO", "300"), ("LPUSH", "1")];
    seen.terminal.wait_for("the counts", |lines| {
        expect
            .iter()
            .all(|(name, count)| lines.iter().any(|line| words(line).starts_with(&[name, count])))
    });
    let heads = seen.terminal.line("OPERATION");
    for title in ["REQUESTS", "REQ/S", "ERR/S", "BYTES/S", "P50", "P90", "P99", "P99.9", "MAX"] {
        assert!(heads.contains(title), "{heads}");
    }
    let head = seen.terminal.line("tcpkit redis: listening on veth0");
    assert!(head.contains("requests/s") && head.ends_with("last minute"), "{head}");
    // Errors are there, times are in ms and shares are of all.
    let row = seen.terminal.line("LPUSH");
    let number = |word: &&str| word.trim_end_matches('%').parse::<f64>().unwrap();
    let row: Vec<f64> = words(&row)[2..].iter().map(number).collect();
    assert!(row[0] > 0.0 && row[1] == row[0], "{row:?}");
    assert!(row[3] > 0.0 && row[3] <= row[7] && row[7] < 1000.0, "{row:?}");
    let share = |name: &String| number(words(&seen.terminal.line(name)).last().unwrap());
    let shares: f64 = operations(&seen.terminal.lines()).iter().map(share).sum();
    assert!((shares - 100.0).abs() < 1.0, "{shares}");
    seen.terminal.press("q");
    assert!(seen.terminal.wait().success());
}

#[test]
fn lines_are_sorted_by_the_column_that_is_chosen() {
    let mut seen = Seen::usual();
    let mut client = seen.client();
    for (words, count) in [("echo a", 9), ("ping", 5), ("debug sleep 0.05", 2), ("incr n", 7)] {
        (0..count).for_each(|_| drop(client.say(words)));
    }
    let by = |order: [&'static str; 4]| move |lines: &[String]| operations(lines) == order;
    // By the time that all took together.
    seen.terminal.wait_for("by total time", |lines| {
        operations(lines).len() == 4 && operations(lines)[0] == "DEBUG"
    });
    // On to the last column, and then to the first one.
    let mut heads = seen.terminal.line("OPERATION");
    assert!(heads.contains("▼TOTAL"), "{heads}");
    while !heads.starts_with("OPERATION▲") {
        seen.terminal.press(">");
        let is_another = |lines: &[String]| {
            lines.iter().any(|line| line.starts_with("OPERATION") && *line != heads)
        };
        seen.terminal.wait_for("another column", is_another);
        heads = seen.terminal.line("OPERATION");
    }
    seen.terminal.wait_for("by name", by(["DEBUG", "ECHO", "INCR", "PING"]));
    seen.terminal.press("r");
    seen.terminal.wait_for("by name from the end", by(["PING", "INCR", "ECHO", "DEBUG"]));
    seen.terminal.press("\x1b[C");
    seen.terminal.wait_for("by count", by(["ECHO", "INCR", "PING", "DEBUG"]));
    seen.terminal.press("r");
    seen.terminal.wait_for("the fewest first", by(["DEBUG", "PING", "INCR", "ECHO"]));
    seen.terminal.press("<");
    seen.terminal.wait_for("by name again", by(["DEBUG", "ECHO", "INCR", "PING"]));
}

#[test]
fn windows_follow_each_other() {
    let mut seen = Seen::usual();
    for name in ["last minute", "last 5 minutes", "since the start", "last minute"] {
        seen.terminal.wait_for(name, |lines| lines[0].ends_with(name));
        seen.terminal.press("w");
    }
}

#[test]
fn while_it_is_paused_nothing_moves() {
    let mut seen = Seen::usual();
    let mut client = seen.client();
    client.say("ping");
    seen.terminal
        .wait_for("one", |lines| lines.iter().any(|it| words(it).starts_with(&["PING", "1"])));
    seen.terminal.press("p");
    seen.terminal.wait_for_text("PAUSED");
    client.say("ping");
    client.say("echo x");
    // Whatever is known by now is not shown, and what is shown can be looked at.
    seen.terminal.signal(Signal::SIGUSR1);
    seen.terminal
        .wait_for("a message", |lines| lines.last().is_some_and(|it| it.ends_with(" printed")));
    let lines = seen.terminal.lines();
    assert!(lines.iter().any(|it| words(it).starts_with(&["PING", "1"])), "{lines:?}");
    assert_eq!(count(&lines, "ECHO"), 0);
    seen.terminal.press(" ");
    seen.terminal
        .wait_for("two", |lines| lines.iter().any(|it| words(it).starts_with(&["PING", "2"])));
}

#[test]
fn slow_requests_are_listed_and_opened() {
    let mut seen = Seen::start((30, 110), TOP);
    let mut client = seen.client();
    client.say("echo fast");
    client.say("debug sleep 0.03");
    client.say("debug sleep 0.2");
    seen.terminal.wait_for("both", |lines| {
        lines.iter().filter(|line| line.contains("debug sleep 0.")).count() == 2
    });
    let address = client.address().to_string();
    let lines = seen.terminal.lines();
    let slow: Vec<_> = lines.iter().filter(|line| line.contains(&address)).collect();
    assert_eq!(slow.len(), 2, "only what was slow: {slow:?}");
    assert!(slow[0].contains("sleep 0.2"), "the newest first: {slow:?}");
    let latency: f64 = words(slow[0])[1].parse().unwrap();
    assert!((200.0..400.0).contains(&latency), "{slow:?}");
    // To the pane, to the second line, and open it.
    seen.terminal.press("\tj\r");
    seen.terminal.wait_for_text("SLOW REQUEST");
    for (name, value) in [
        ("client", &*address),
        ("request", "debug sleep 0.03"),
        ("status", "ok"),
        ("quality", "exact"),
    ] {
        let line = seen.terminal.line(&format!("{name} "));
        assert!(line.ends_with(value), "{name}: {line:?}");
    }
    assert!(seen.terminal.line("latency").ends_with(" ms"));
    seen.terminal.press("\x1b");
    seen.terminal.wait_for_text("OPERATION");
    // By latency, the least first.
    seen.terminal.press(">r");
    seen.terminal.wait_for("the least first", |lines| {
        let at = |text: &str| lines.iter().position(|line| line.contains(text));
        at("sleep 0.03") < at("sleep 0.2")
    });
}

#[test]
fn a_filter_and_an_endpoint_leave_out_the_rest() {
    let mut seen = Seen::start((30, 110), TOP);
    let mut clients = [seen.client(), Client::connect(&seen.near, "[fd09::2]:6379")];
    for (client, name) in clients.iter_mut().zip(["one", "two"]) {
        client.say(&format!("echo {name}"));
        client.say("debug sleep 0.02");
        client.say(&format!("incr {name}"));
    }
    let slow = |lines: &[String]| lines.iter().filter(|it| it.contains("debug sleep")).count();
    seen.terminal.wait_for("both", |lines| count(lines, "ECHO") == 2 && slow(lines) == 2);
    seen.terminal.press("/incr\r");
    seen.terminal.wait_for("what has these words", |lines| {
        count(lines, "INCR") == 2 && count(lines, "ECHO") == 0 && slow(lines) == 0
    });
    assert!(seen.terminal.line("Esc: all").ends_with("only what has “incr”"));
    seen.terminal.press("\x1b");
    seen.terminal.wait_for("all again", |lines| count(lines, "ECHO") == 2);
    // One operation of one server: the one that took most time.
    seen.terminal.press("\r");
    seen.terminal.wait_for("one operation", |lines| {
        count(lines, "DEBUG SLEEP") == 1 && count(lines, "ECHO") == 0 && slow(lines) == 1
    });
    assert!(seen.terminal.line("Esc: all").contains("only DEBUG SLEEP of "));
    seen.terminal.press("\x1b");
    seen.terminal.wait_for("all again", |lines| count(lines, "ECHO") == 2);
    // In the endpoints' pane, the second one by name.
    seen.terminal.press("\x1b[Z<\x1b[B\r");
    seen.terminal.wait_for("one endpoint", |lines| count(lines, "ECHO") == 1 && slow(lines) == 1);
    assert!(seen.terminal.line("Esc: all").ends_with("only [fd09::2]:6379"));
    seen.terminal.press("\x1b");
    seen.terminal.wait_for("all once more", |lines| count(lines, "ECHO") == 2);
}

#[test]
fn it_follows_the_size_of_the_terminal() {
    let mut seen = Seen::usual();
    seen.client().say("echo x");
    seen.terminal.wait_for_text("ECHO");
    for (rows, columns) in [(15, 60), (1, 1), (2, 20), (50, 200), (24, 80)] {
        let before = seen.terminal.written().matches("\x1b[2J").count();
        seen.terminal.resize(rows, columns);
        eventually("all drawn anew", || {
            seen.terminal.written().matches("\x1b[2J").count() > before
        });
        if rows < 15 {
            continue;
        }
        seen.terminal.wait_for(&format!("{rows} x {columns}"), |lines| {
            lines.len() == usize::from(rows)
                && lines[0].chars().count() == usize::from(columns)
                && count(lines, "ECHO") == 1
        });
        let foot = seen.terminal.lines().pop().unwrap();
        assert!(foot.starts_with("q quit"), "{foot}");
    }
    seen.terminal.press("q");
    assert!(seen.terminal.wait().success());
}

#[test]
fn what_was_lost_is_seen_at_once() {
    let mut seen = Seen::start((24, 100), &top_with("-B 64"));
    assert_eq!(count(&seen.terminal.lines(), " LOST: "), 0);
    // A small ring that nobody reads for a while.
    seen.terminal.signal(Signal::SIGSTOP);
    run_benchmark(&seen.near, "-t set -n 20000 -c 10 -P 16 -d 500");
    seen.terminal.signal(Signal::SIGCONT);
    seen.terminal.wait_for("a banner", |lines| lines[1].starts_with(" LOST: "));
    seen.terminal.look(|screen| {
        let cell = screen.cell(1, 2).unwrap();
        assert_eq!(cell.bgcolor(), vt100::Color::Idx(1), "it is red");
    });
    seen.terminal.press("l");
    seen.terminal.wait_for_text("lost: ring full");
    seen.terminal.press("qq");
    assert!(seen.terminal.wait().success());
    seen.terminal.check_whole();
    seen.terminal.wait_for_text("LOST: ");
}

#[test]
fn hostile_texts_do_not_drive_the_terminal() {
    let mut seen = Seen::start((30, 150), &top_with("--slow 0"));
    let mut client = seen.client();
    let hostile = "\x1b]0;title\x07\x1b[2J\u{9b}31m\u{202e}evil\r\n中文e\u{301}";
    client.exchange(&[b"ECHO", hostile.as_bytes()]);
    client.exchange(&[hostile.as_bytes(), b"x"]);
    seen.terminal.wait_for("the texts", |lines| {
        lines.iter().filter(|line| line.contains("evil")).count() >= 2
    });
    seen.terminal.press("\t\r");
    seen.terminal.wait_for_text("SLOW REQUEST");
    seen.terminal.press("qq");
    assert!(seen.terminal.wait().success());
    let written = seen.terminal.written();
    for part in ["\x1b]", "\x07", "\u{9b}", "\u{202e}", "\u{301}"] {
        assert!(!written.contains(part), "{part:?}");
    }
}

#[test]
fn without_colours_there_are_none() {
    let mut seen = Seen::start((24, 80), &top_with("--color never"));
    seen.client().say("debug sleep 0.12");
    seen.terminal.wait_for_text("debug sleep");
    seen.terminal.press("q");
    assert!(seen.terminal.wait().success());
    let written = seen.terminal.written();
    let sequences = written.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|it: char| it.is_ascii_alphabetic())?;
        let (parameters, rest) = rest.split_at(end);
        rest.starts_with('m').then_some(parameters)
    });
    // ECMA-48, 8.3.117; 39 and 49 are what was there before.
    let mut colours = sequences
        .flat_map(|it| it.split(';'))
        .filter(|it| matches!(it.parse::<u8>(), Ok(30..=38 | 40..=48 | 90..)));
    assert_eq!(colours.next(), None, "{written:?}");
}
