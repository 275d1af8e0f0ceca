//! The table at the end, and that nothing is missing there, however the end comes.

use nix::sys::signal::Signal;
use tcpkit_tests::{
    agent::{Agent, command},
    netns::Netns,
    process::root,
    redis::{Client, RedisServer, SERVER},
    statistics::{self, Events},
};

/// The lines of the table, by words.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().skip_while(|line| !line.starts_with("SERVER "));
    lines.take_while(|it| !it.starts_with(' ')).map(|it| it.split_whitespace().collect()).collect()
}

#[test]
fn everything_is_written_when_the_end_is_asked_for() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for (signal, workers) in [(Signal::SIGTERM, 1), (Signal::SIGINT, 3)] {
        let options = format!("-p redis --summary --workers {workers} -i veth0 tcp port 6379");
        let agent = Agent::start_with(&near, &options);
        // Some listen, some are about to ask.
        let mut listener = Events::listen(&near);
        assert_eq!(listener.receive().0, "hello");
        let _silent = statistics::connect(&near, statistics::ADDRESS);
        let mut client = Client::connect(&near, SERVER);
        for number in 0..500 {
            client.say(&format!("echo {number}"));
        }
        client.say("lpush x");
        agent.signal(signal);
        let finished = agent.wait();
        assert!(finished.status.success(), "{}", finished.stderr);
        finished.ledger().check_no_loss();
        let text = finished.text();
        assert_eq!(text.matches(" ms | echo ").count(), 500, "{text}");
        let rows = rows(text);
        assert_eq!(rows[0][..5], ["SERVER", "PROTOCOL", "OPERATION", "COUNT", "ERRORS"]);
        assert_eq!(rows[1][..5], [SERVER, "redis", "ECHO", "500", "0"], "{text}");
        assert_eq!(rows[2][..5], [SERVER, "redis", "LPUSH", "1", "1"], "{text}");
        assert!(text.ends_with('\n'));
    }
}

#[test]
fn a_table_does_not_disturb_programs() {
    let file = root().join("tests/fixtures/redis/commands.pcap");
    let run = |options: &str| {
        let output =
            command(&format!("-p redis {options} -r {}", file.display())).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert!(output.status.success());
        (text(output.stdout), text(output.stderr))
    };
    let (plain, _) = run("");
    assert!(rows(&plain).is_empty(), "it is no terminal: {plain}");
    let (both, _) = run("--summary");
    assert!(both.starts_with(&plain) && rows(&both).len() > 5, "{both}");
    let (json, said) = run("--summary --format json");
    assert!(json.lines().all(|line| line.starts_with('{')), "{json}");
    assert_eq!(rows(&said).len(), rows(&both).len(), "{said}");
    let counts: usize =
        rows(&both).iter().skip(1).map(|row| row[row.len() - 8].parse::<usize>().unwrap()).sum();
    assert_eq!(plain.lines().count(), counts, "{both}");
    // What is too short to be printed is in the table.
    let (none, _) = run("--summary -t 60000");
    assert_eq!(rows(&none), rows(&both));
    // A file has no port, unless somebody wants one.
    assert!(!said.contains("statistics on"));
    let (_, said) = run("-P 127.0.0.1:0");
    assert!(said.contains("tcpkit: statistics on http://127.0.0.1:"), "{said}");
}
