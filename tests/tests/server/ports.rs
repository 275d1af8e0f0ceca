//! Where the agent listens, and what happens when it cannot.

use std::net::{TcpListener, TcpStream};

use tcpkit_tests::{
    agent::{Agent, command},
    netns::Netns,
    statistics,
};

fn listens(netns: &Netns, address: &str) -> bool {
    netns.run(|| TcpStream::connect(address).is_ok())
}

#[test]
fn the_port_can_be_chosen_or_left_out() {
    let netns = Netns::new();
    for (options, open) in [
        ("", &["127.0.0.1:33333"][..]),
        ("-P off", &[]),
        ("-P 4444", &["127.0.0.1:4444"]),
        ("-P 127.0.0.2:4444", &["127.0.0.2:4444"]),
        ("-P [::1]:4444", &["[::1]:4444"]),
        ("-P 0.0.0.0:4444", &["127.0.0.1:4444", "127.0.0.2:4444"]),
    ] {
        let agent = Agent::start(&netns, &format!("-i lo {options} tcp"));
        for address in
            ["127.0.0.1:33333", "127.0.0.1:4444", "127.0.0.2:4444", "[::1]:4444", "[::1]:33333"]
        {
            assert_eq!(listens(&netns, address), open.contains(&address), "{options}: {address}");
        }
        let said = agent.stop().stderr;
        let warns = said.contains("whoever reaches 0.0.0.0:4444 can read requests");
        assert_eq!(warns, options.contains("0.0.0.0"), "{said}");
        assert_eq!(said.contains("statistics on http://"), !open.is_empty(), "{said}");
    }
    // Packets alone have no statistics.
    let agent = Agent::start_with(&netns, "-i lo tcp");
    assert!(!listens(&netns, statistics::ADDRESS));
    drop(agent.stop());
}

#[test]
fn a_port_that_is_taken_ends_only_who_asked_for_it() {
    let netns = Netns::new();
    let _taken = netns.run(|| TcpListener::bind(statistics::ADDRESS).unwrap());
    let agent = Agent::start(&netns, "-i lo tcp");
    let said = agent.stop().stderr;
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{said}");
    assert!(warnings[0].contains("127.0.0.1:33333: Address already in use"), "{said}");
    assert!(!said.contains("statistics on http://"), "{said}");

    let output = netns.run(|| command("-p redis -i lo -P 33333 tcp").output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("tcpkit: cannot listen on 127.0.0.1:33333 (-P): Address already in use")
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    // An address that is another host's.
    let output = netns.run(|| command("-p redis -i lo -P 192.0.2.1:4444 tcp").output().unwrap());
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (arguments, word) in [
        ("-p redis -P nonsense", "nonsense"),
        ("-p redis -P 70000", "70000"),
        ("-p redis -P localhost:80", "localhost"),
        ("-P 4444", "needs -p"),
        ("-p redis --max-clients 0", "max-clients"),
        ("-p redis --slow x", "slow"),
        ("-p redis --max-series 1", "max-series"),
        ("--summary", "needs -p"),
    ] {
        let output = command(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(word), "{arguments}: {said}");
    }
}

/// What is asked of the agent itself is not what it looks for.
#[test]
fn the_agents_own_connections_are_not_read() {
    let netns = Netns::new();
    for options in ["-p redis", "-p auto", "-p auto -p generic", "-p redis -P 0.0.0.0:33333"] {
        let agent = Agent::start_with(&netns, &format!("{options} --format json -i lo"));
        for _ in 0..20 {
            assert_eq!(statistics::get(&netns, "/stats"), "{}\n", "{options}");
        }
        assert_eq!(statistics::say_nothing(&netns), "{}\n");
        let finished = agent.stop();
        let ledger = finished.ledger();
        ledger.check_no_loss();
        assert_eq!(ledger.total("connections not read"), 21, "{}", ledger.text());
        assert!(finished.stdout.is_empty());
    }
}
