//! Clients that do what they should not: capture goes on, nothing is lost, and they are bounded.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use tcpkit_tests::{
    agent::Agent,
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER},
    statistics::{self, ADDRESS, connect},
};

/// How many files and sockets the agent has open.
fn open_files(agent: &Agent) -> usize {
    fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count()
}

/// Waits until the other end closes, and says how long that took; whatever it sends is thrown away.
fn until_closed(stream: &mut TcpStream) -> Duration {
    let begin = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    loop {
        match stream.read(&mut [0; 1 << 16]) {
            Ok(0) => return begin.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return begin.elapsed(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn who_asks_badly_is_refused() {
    let netns = Netns::new();
    let agent = Agent::start(&netns, "-i lo tcp port 6379");
    let long =
        format!("GET /stats HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for (bytes, statuses) in [
        (b"nonsense\r\n\r\n".to_vec(), &[400][..]),
        (vec![0; 1000], &[400]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[400]),
        // HTTP/2 is closed without a word.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[]),
        (long.into_bytes(), &[431]),
        ("X: x\r\n".repeat(10_000).into_bytes(), &[400, 431]),
    ] {
        let mut stream = connect(&netns, ADDRESS);
        // It may be closed before all of it is sent.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let is_one = statuses.iter().any(|it| answer.starts_with(&format!("HTTP/1.1 {it} ")));
        let may_be_silent = statuses.is_empty() || bytes.len() > 8192;
        assert!(is_one || answer.is_empty() && may_be_silent, "{statuses:?}: {answer}");
    }
    assert_eq!(statistics::get(&netns, "/healthz"), "ok\n");
    agent.stop().ledger().check_no_loss();
}

#[test]
fn clients_are_bounded_and_capture_goes_on() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, "-i veth0 tcp port 6379");
    let before = open_files(&agent);
    let mut client = Client::connect(&near, SERVER);
    let mut asked = 0;
    let mut ask = |agent: &Agent| {
        asked += 1;
        client.say(&format!("echo {asked}"));
        agent.wait_for_lines(asked);
    };
    // A thousand come and say nothing, or begin to.
    let mut all = Vec::new();
    for number in 0..1000 {
        let mut stream = connect(&near, ADDRESS);
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: loc");
        }
        all.push(stream);
        if number % 20 == 0 {
            ask(&agent);
            // One may just be coming.
            assert!(open_files(&agent) <= before + 65, "{} files", open_files(&agent));
        }
    }
    // Those who go on slowly are sent away, too.
    let begin = Instant::now();
    while open_files(&agent) > before {
        for stream in &mut all {
            let _ = stream.write_all(b"a");
        }
        ask(&agent);
        assert!(begin.elapsed() < Duration::from_secs(15), "they are still there");
        std::thread::sleep(Duration::from_millis(100));
    }
    for stream in &mut all {
        until_closed(stream);
    }
    assert!(statistics::say_nothing(&near).contains(&format!("\"requests\": {asked},")));
    let finished = agent.stop();
    assert_eq!(finished.lines().len(), asked);
    finished.ledger().check_no_loss();
}

#[test]
fn more_than_so_many_are_sent_away_and_others_served_again() {
    let netns = Netns::new();
    let agent = Agent::start(&netns, "-i lo --max-clients 2 tcp port 6379");
    let mut held: Vec<_> = (0..2).map(|_| statistics::Events::listen(&netns)).collect();
    held.iter_mut().for_each(|it| assert_eq!(it.receive().0, "hello"));
    let mut late = connect(&netns, ADDRESS);
    assert!(until_closed(&mut late) < Duration::from_secs(1));
    held.pop();
    // It is noticed at the latest with the next event.
    eventually("a place", || {
        let mut stream = connect(&netns, ADDRESS);
        let _ = stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.ends_with("ok\n")
    });
    drop(agent.stop());
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, "-i veth0 tcp port 6379");
    let before = open_files(&agent);
    let mut client = Client::connect(&near, SERVER);
    // Much is asked for and nothing is read, until no more can be asked.
    let mut reader = connect(&near, ADDRESS);
    reader.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let question = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    while reader.write_all(&question).is_ok() {}
    let begin = Instant::now();
    let mut asked = 0;
    while open_files(&agent) > before {
        asked += 1;
        client.say(&format!("echo {asked}"));
        agent.wait_for_lines(asked);
        assert_eq!(statistics::get(&near, "/healthz"), "ok\n");
        assert!(begin.elapsed() < Duration::from_secs(20), "it is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(begin.elapsed() >= Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(reader);
    let finished = agent.stop();
    assert_eq!(finished.lines().len(), asked);
    finished.ledger().check_no_loss();
}
