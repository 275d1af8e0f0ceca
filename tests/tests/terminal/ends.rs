//! However it ends, the terminal is whole, and what is to be said stands on it.

use std::{fs, path::Path, thread, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcpkit_tests::{
    agent,
    folder::Folder,
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER},
    terminal::{OnTerminal, USUAL},
};

use super::{Seen, TOP, top_with};

/// The terminal is as it was, with something more said on it.
#[track_caller]
fn check_said(seen: &mut Seen, text: &str) {
    seen.terminal.check_whole();
    seen.terminal.wait_for_text(text);
    let written = seen.terminal.written();
    assert!(written.starts_with("tcpkit: listening on veth0\r\n\x1b[?1049h"), "{written:?}");
}

/// What was said since the screen was left.
fn said_since(seen: &Seen) -> String {
    let written = seen.terminal.written();
    written.rsplit_once("\x1b[?1049l").unwrap().1.to_owned()
}

#[test]
fn it_ends_as_it_is_asked_to() {
    for (keys, signal) in
        [("q", None), ("\x03", None), ("", Some(Signal::SIGTERM)), ("", Some(Signal::SIGINT))]
    {
        let mut seen = Seen::usual();
        let mut client = seen.client();
        (0..7).for_each(|_| drop(client.say("ping")));
        seen.terminal.wait_for_text("PING");
        seen.terminal.press(keys);
        if let Some(signal) = signal {
            seen.terminal.signal(signal);
        }
        let status = seen.terminal.wait();
        assert!(status.success(), "{keys:?} {signal:?}: {status}");
        check_said(&mut seen, "7 requests: 7 answered");
    }
}

#[test]
fn a_count_ends_it_and_the_summary_follows() {
    let mut seen = Seen::start(USUAL, &top_with("--summary -c 3"));
    let mut client = seen.client();
    (0..3).for_each(|_| drop(client.say("ping")));
    assert!(seen.terminal.wait().success());
    check_said(&mut seen, "3 requests: 3 answered");
    let said = said_since(&seen);
    let row = said.lines().find(|line| line.starts_with(SERVER)).expect(&said);
    assert_eq!(super::words(row)[..4], [SERVER, "redis", "PING", "3"]);
}

#[test]
fn a_report_that_was_asked_for_is_said_afterwards() {
    let mut seen = Seen::usual();
    seen.terminal.signal(Signal::SIGUSR1);
    seen.terminal.wait_for("its last line", |lines| {
        lines.last().is_some_and(|line| line.ends_with(" 0 printed"))
    });
    seen.terminal.press("q");
    assert!(seen.terminal.wait().success());
    check_said(&mut seen, "0 printed");
    assert_eq!(said_since(&seen).matches("packets matched").count(), 2);
}

#[test]
fn what_goes_wrong_is_seen_and_said_afterwards() {
    let folder = Folder::with_room(1 << 16);
    let file = folder.file("full.pcap");
    let mut seen = Seen::start((24, 160), &top_with(&format!("-U -w {}", file.display())));
    let mut client = seen.client();
    (0..200).for_each(|_| drop(client.exchange(&[b"ECHO", &[b'x'; 1000]])));
    seen.terminal.wait_for("a warning", |lines| {
        lines.last().is_some_and(|line| line.contains("No space left"))
    });
    seen.terminal.press("q");
    assert_eq!(seen.terminal.wait().code(), Some(1));
    check_said(&mut seen, "packets could not be written");
}

#[test]
fn a_panic_anywhere_leaves_the_screen_first() {
    let netns = Netns::new();
    let program = Path::new(env!("CARGO_BIN_EXE_panic_on_screen"));
    let mut terminal = OnTerminal::start::<&str>(&netns, USUAL, program, &[]);
    terminal.wait_for_text("no requests in the last minute");
    terminal.press("q");
    assert_eq!(terminal.wait().code(), Some(1));
    terminal.check_whole();
    terminal.wait_for_text("as it was told to");
}

#[test]
fn a_terminal_that_goes_away_is_the_end() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    // Also where the signal that tells of it is ignored.
    for ignores in ["", "trap '' HUP;"] {
        let folder = Folder::new();
        let said = folder.file("said");
        let script = format!("{ignores} \"$0\" --summary {TOP}; echo $? >{}", said.display());
        let arguments = ["-c".into(), script.into(), agent::binary().into_os_string()];
        let mut terminal = OnTerminal::start(&near, USUAL, Path::new("/bin/sh"), &arguments);
        terminal.wait_for_text("ENDPOINT");
        Client::connect(&near, SERVER).say("ping");
        terminal.wait_for_text("PING");
        let agent = agents_below(&terminal);
        terminal.hang_up();
        terminal.wait();
        eventually("the agent ends", || {
            agent.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        });
        if !ignores.is_empty() {
            assert_eq!(fs::read_to_string(&said).unwrap().trim(), "0");
        }
    }
}

/// The lines go elsewhere: nothing but the signal tells that the terminal is gone.
#[test]
fn a_hang_up_of_the_terminal_ends_a_run_and_another_one_reloads() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let folder = Folder::new();
    let (lines, said) = (folder.file("lines"), folder.file("said"));
    let (to_lines, to_said) = (lines.display(), said.display());
    let arguments = "-p redis -i veth0 tcp port 6379";
    let script = format!("\"$0\" {arguments} >{to_lines} 2>{to_said} </dev/null; true");
    let arguments = ["-c".into(), script.into(), agent::binary().into_os_string()];
    let mut terminal = OnTerminal::start(&near, USUAL, Path::new("/bin/sh"), &arguments);
    let has_said = |text: &str| fs::read_to_string(&said).is_ok_and(|it| it.contains(text));
    eventually("it listens", || has_said("listening on veth0"));
    let agent: i32 = agents_below(&terminal)[0].parse().unwrap();
    kill(Pid::from_raw(agent), Signal::SIGHUP).unwrap();
    eventually("options are read", || has_said("options were read again"));
    Client::connect(&near, SERVER).say("ping");
    eventually("the line is printed", || fs::read_to_string(&lines).unwrap().contains("ping"));
    terminal.hang_up();
    terminal.wait();
    eventually("the agent ends", || !Path::new(&format!("/proc/{agent}")).exists());
    assert!(has_said("1 requests: 1 answered"), "{:?}", fs::read_to_string(&said));
}

/// Left running in the background by who has logged out since: then it is logrotate that sends the signal.
#[test]
fn without_its_terminal_a_hang_up_is_a_reload() {
    let netns = Netns::new();
    let folder = Folder::new();
    let (said, number) = (folder.file("said"), folder.file("pid"));
    let (to_said, to_number) = (said.display(), number.display());
    let script = format!(
        "set -m; \"$0\" -i lo tcp >/dev/null 2>{to_said} </dev/null & echo $! >{to_number}; sleep 0.2"
    );
    let arguments = ["-c".into(), script.into(), agent::binary().into_os_string()];
    let mut terminal = OnTerminal::start(&netns, USUAL, Path::new("/bin/sh"), &arguments);
    terminal.wait();
    terminal.hang_up();
    let has_said = |text: &str| fs::read_to_string(&said).is_ok_and(|it| it.contains(text));
    eventually("it listens", || has_said("listening on lo"));
    let pid = Pid::from_raw(fs::read_to_string(&number).unwrap().trim().parse().unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    eventually("options are read", || has_said("options were read again"));
    kill(pid, Signal::SIGTERM).unwrap();
    eventually("the agent ends", || !Path::new(&format!("/proc/{pid}")).exists());
}

/// The children of a shell.
fn agents_below(terminal: &OnTerminal) -> Vec<String> {
    let pid = terminal.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let children: Vec<_> = children.split_whitespace().map(str::to_owned).collect();
    assert_eq!(children.len(), 1);
    children
}

#[test]
fn it_is_suspended_and_comes_back() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    // A shell with jobs: it waits for a line before it lets the agent go on.
    let script = format!("\"$0\" {TOP}; stty -a; echo stopped; read line; fg; echo ended $?");
    let mut terminal = shell(&near, &script);
    terminal.wait_for_text("ENDPOINT");
    terminal.press("\x1a");
    terminal.wait_for("the shell's screen", |lines| lines.iter().any(|it| it == "stopped"));
    terminal.check_whole();
    let lines = terminal.lines().join("\n");
    assert!(lines.contains("isig icanon iexten echo "), "{lines}");
    terminal.press("\n");
    terminal.wait_for_text("ENDPOINT");
    terminal.look(|screen| assert!(screen.alternate_screen() && screen.hide_cursor()));
    Client::connect(&near, SERVER).say("ping");
    terminal.wait_for_text("PING");
    terminal.press("q");
    terminal.wait_for_text("ended 0");
    terminal.wait();
    terminal.check_whole();
}

/// A shell with jobs on a terminal, that does what a script says; `$0` is the agent. (Its `wait` without `-f`
/// may tell of a job that it has not seen going on yet.)
fn shell(netns: &Netns, script: &str) -> OnTerminal {
    let arguments = ["-mc".into(), script.into(), agent::binary().into_os_string()];
    OnTerminal::start(netns, USUAL, Path::new("/bin/bash"), &arguments)
}

/// Fails unless the agent has ended well in the background, and the shell's terminal is whole.
#[track_caller]
fn check_ended_behind(terminal: &mut OnTerminal, is_entered: bool) {
    terminal.wait_for("its end", |lines| lines.iter().any(|line| line.starts_with("ended ")));
    terminal.wait_for_text("packets matched");
    assert_eq!(terminal.line("ended "), "ended 0");
    let written = terminal.written();
    assert!(!written.contains("panicked"), "{written:?}");
    assert_eq!(written.matches("\x1b[?1049h").count(), usize::from(is_entered), "{written:?}");
    terminal.wait();
}

#[test]
fn while_it_is_suspended_it_can_be_ended() {
    let netns = Netns::new();
    let top = "-p redis --top -P off -i lo tcp port 6379";
    let script =
        format!("\"$0\" {top}; echo stopped; read line; kill %1; wait -f %1; echo ended $?");
    let mut terminal = shell(&netns, &script);
    terminal.wait_for_text("ENDPOINT");
    terminal.press("\x1a");
    terminal.wait_for("the shell's screen", |lines| lines.iter().any(|it| it == "stopped"));
    terminal.press("\n");
    check_ended_behind(&mut terminal, true);
    terminal.check_whole();
}

#[test]
fn in_the_background_it_waits_for_its_turn_and_can_be_ended() {
    let netns = Netns::new();
    let top = "-p redis --top -P off -i lo tcp port 6379";
    let script = format!("\"$0\" {top} & read line; kill %1; wait -f %1; echo ended $?");
    let mut terminal = shell(&netns, &script);
    terminal.wait_for_text("listening on lo");
    // So that it has had time to do something to the terminal.
    thread::park_timeout(Duration::from_millis(700));
    terminal.press("\n");
    check_ended_behind(&mut terminal, false);
    let script = format!("\"$0\" {top} & read line; fg; echo ended $?");
    let mut terminal = shell(&netns, &script);
    terminal.wait_for_text("listening on lo");
    assert!(!terminal.look(|screen| screen.alternate_screen()));
    terminal.press("\n");
    terminal.wait_for_text("ENDPOINT");
    terminal.press("q");
    check_ended_behind(&mut terminal, true);
    terminal.check_whole();
}

#[test]
fn an_escape_ends_nothing() {
    let mut seen = Seen::usual();
    // The bytes of an arrow, the first of which comes alone.
    seen.terminal.press("\x1b");
    thread::park_timeout(Duration::from_millis(150));
    seen.terminal.press("[C");
    seen.terminal.wait_for_text("▼SHARE");
    // Nothing follows.
    seen.terminal.press("\x1b");
    thread::park_timeout(Duration::from_millis(600));
    seen.terminal.press("?");
    seen.terminal.wait_for_text("KEYS (Esc: back)");
    seen.terminal.press("\x1b");
    seen.terminal.wait_for_text("ENDPOINT");
    seen.terminal.press("?");
    seen.terminal.wait_for_text("KEYS (Esc: back)");
    seen.terminal.press("qq");
    assert!(seen.terminal.wait().success());
    check_said(&mut seen, "0 requests");
}

#[test]
fn what_is_pasted_presses_no_keys() {
    let mut seen = Seen::usual();
    assert!(seen.terminal.look(|screen| screen.bracketed_paste()));
    seen.terminal.press("\x1b[200~qp?\x03\x1b[201~/\x1b[200~a\r\nb\x1b[201~");
    seen.terminal.wait_for("the filter", |lines| {
        lines.last().is_some_and(|line| line.starts_with("filter: ab"))
    });
    assert!(!seen.terminal.lines()[0].contains("PAUSED"));
    seen.terminal.press("\rq");
    assert!(seen.terminal.wait().success());
    seen.terminal.check_whole();
}

#[test]
fn it_needs_a_terminal() {
    let netns = Netns::new();
    for kind in ["dumb", ""] {
        let script = format!("TERM={kind} \"$0\" -p redis --top -i lo; echo ended $?");
        let mut terminal = shell(&netns, &script);
        terminal.wait_for_text("ended 1");
        terminal.wait_for_text("tcpkit: --top needs a terminal that can be drawn on");
    }
    for arguments in ["-p redis --top -i lo", "-p redis --top -r nothing.pcap"] {
        let output = agent::command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("tcpkit: --top needs a terminal"), "{said}");
        assert!(said.lines().count() == 1 && output.stdout.is_empty(), "{said}");
    }
    for arguments in ["--top -i lo", "-p redis --top --format json", "-p redis --top -w -"] {
        let output = agent::command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}");
    }
}
