//! Capture files on a terminal: the view stays, and the table at the end comes by itself.

use std::fs;

use tcpkit_tests::{
    agent,
    folder::Folder,
    netns::Netns,
    process::root,
    terminal::{OnTerminal, USUAL},
};

use super::words;

fn file() -> String {
    root().join("tests/fixtures/redis/commands.pcap").display().to_string()
}

#[test]
fn what_was_read_stays_until_somebody_has_seen_enough() {
    let netns = Netns::new();
    let options = format!("-p redis --top --summary -r {}", file());
    let mut terminal = OnTerminal::agent(&netns, (40, 120), &options);
    terminal.wait_for("all of it", |lines| {
        lines[0].ends_with("complete  whole file") && lines.iter().any(|it| it.starts_with("SET "))
    });
    let lines = terminal.lines();
    let heads = lines.iter().position(|line| line.starts_with("ENDPOINT")).unwrap();
    let endpoint = words(&lines[heads + 1]);
    terminal.press("q");
    assert!(terminal.wait().success());
    terminal.check_whole();
    // What the table says is what was seen.
    let written = terminal.written();
    let (_, table) = written.rsplit_once("\x1b[?1049l").unwrap();
    let rows = table.lines().filter(|line| line.starts_with(&format!("{} ", endpoint[0])));
    let counts = rows.map(|row| words(row)[words(row).len() - 8].parse::<u64>().unwrap());
    assert_eq!(endpoint[1], counts.sum::<u64>().to_string(), "{endpoint:?}\n{table}");
}

#[test]
fn a_file_that_is_no_capture_is_told_on_a_whole_terminal() {
    let (netns, folder) = (Netns::new(), Folder::new());
    let file = folder.file("none.pcap");
    fs::write(&file, "nothing of the kind").unwrap();
    let options = format!("-p redis --top -r {}", file.display());
    let mut terminal = OnTerminal::agent(&netns, USUAL, &options);
    assert_eq!(terminal.wait().code(), Some(1));
    terminal.wait_for_text("none.pcap");
    terminal.look(|screen| assert!(!screen.alternate_screen()));
}

#[test]
fn on_a_terminal_a_table_follows_by_default() {
    let (netns, folder) = (Netns::new(), Folder::new());
    let options = format!("-p redis -r {}", file());
    let mut terminal = OnTerminal::agent(&netns, (100, 140), &options);
    assert!(terminal.wait().success());
    terminal.wait_for_text("SERVER ");
    // Into a file there is none, though stderr is the terminal.
    let into = folder.file("lines");
    let script = format!("\"$0\" {options} >{}", into.display());
    let arguments = ["-c".into(), script.into(), agent::binary().into_os_string()];
    let mut terminal = OnTerminal::start(&netns, (100, 140), "/bin/sh".as_ref(), &arguments);
    assert!(terminal.wait().success());
    terminal.wait_for_text(" printed");
    let lines = fs::read_to_string(&into).unwrap();
    assert!(lines.lines().count() > 10 && !lines.contains("SERVER "), "{lines}");
    assert!(!terminal.lines().iter().any(|line| line.starts_with("SERVER ")));
}
