//! The dashboard in a real browser, with real traffic: `tests/browser/dashboard.py` says what has to hold.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use tcpkit_tests::{
    agent::Agent,
    folder::Folder,
    netns::Netns,
    process::{self, Background},
    redis::{Client, RedisServer, SERVER, encode},
    statistics,
};

/// The same server, as another endpoint.
const ALSO: &str = "[fd09::2]:6379";

/// A key that would become markup if the page took it for that.
const HOSTILE: &str = "<img/src=x/onerror=window.broken=1>";

/// More than redis-benchmark can ask while the browser looks, so that it has an end whatever happens.
const REQUESTS: u32 = 50_000_000;

/// How long to wait between slow requests: more of them would push each other out of the page's table.
const PAUSE: Duration = Duration::from_millis(250);

/// redis-benchmark, for as long as this is there. Whoever is measured goes first.
fn load(netns: &Netns) -> Background {
    let mut command = Command::new("nice");
    command.args(["-n", "19", "redis-benchmark", "-h", "10.9.0.2", "-q", "-c", "4"]);
    Background::start(netns, command.args(["-t", "get", "-n", &REQUESTS.to_string()]))
}

/// Asks at both endpoints for what takes long, and for what fails, until it is told to stop.
fn ask_slowly(near: &Netns, stop: &AtomicBool) {
    let mut clients = [Client::connect(near, SERVER), Client::connect(near, ALSO)];
    while !stop.load(Ordering::Relaxed) {
        for client in &mut clients {
            client.exchange(&[b"BLPOP", HOSTILE.as_bytes(), b"0.02"]);
            client.say("lpush x");
            client.say("set a b");
        }
        clients[0].send(&encode(&[b"DEBUG", b"SLEEP", b"0.03"]));
        clients[0].receive();
        thread::sleep(PAUSE);
    }
}

#[test]
fn the_dashboard_shows_what_happens() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    // Slow requests have fields with JSON, and what is printed must not fill this process's memory.
    let agent = Agent::start(&near, "-t 15 --slow 15 -i veth0 tcp port 6379");
    let load = load(&near);
    let pictures = Folder::new();
    let stop = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        scope.spawn(|| ask_slowly(&near, &stop));
        let mut command = process::python("browser/dashboard.py");
        command.arg(format!("http://{}", statistics::ADDRESS)).arg(pictures.path());
        command.args(["--holds", HOSTILE]).stdin(Stdio::null());
        let output = near.run(|| command.output());
        stop.store(true, Ordering::Relaxed);
        output.unwrap()
    });
    drop(load);
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{wrong}", output.status);
    let stats = statistics::stats(&near);
    println!("{said}{} at {SERVER} in all", stats[SERVER]["requests"]);
    for server in [SERVER, ALSO] {
        assert!(stats[server]["requests"].as_u64().is_some_and(|count| count > 0), "{stats}");
    }
    drop(agent.stop());
}
