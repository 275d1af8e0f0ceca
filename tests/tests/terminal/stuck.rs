//! A terminal that takes nothing keeps nobody from anything.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tcpkit_tests::{
    netns::eventually,
    redis::{SERVER, run_benchmark},
    statistics,
};

use super::{Seen, TOP};

/// Makes the terminal full: there is enough to be drawn.
fn get_stuck(seen: &Seen) {
    seen.terminal.set_reading(false);
    for _ in 0..50 {
        seen.terminal.press("\x0c");
    }
}

#[test]
fn a_terminal_that_takes_nothing_delays_nobody() {
    let options = "-p redis --top --slow 0 -i veth0 tcp port 6379";
    let mut seen = Seen::start((200, 400), options);
    get_stuck(&seen);
    run_benchmark(&seen.near, "-t set -n 20000 -c 10");
    eventually("all are counted", || {
        statistics::stats(&seen.near)[SERVER]["requests"].as_u64() == Some(20_002)
    });
    let asked = Instant::now();
    assert_eq!(statistics::get(&seen.near, "/healthz").trim(), "ok");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let asked = Instant::now();
    seen.terminal.signal(Signal::SIGTERM);
    assert!(seen.terminal.wait().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    seen.terminal.set_reading(true);
    seen.terminal.check_whole();
    seen.terminal.wait_for_text("20002 answered");
}

#[test]
fn a_terminal_that_takes_something_again_is_drawn_on() {
    let mut seen = Seen::start((24, 80), TOP);
    get_stuck(&seen);
    let mut client = seen.client();
    (0..1234).for_each(|_| drop(client.say("ping")));
    seen.terminal.set_reading(true);
    seen.terminal.wait_for("what happened meanwhile", |lines| {
        lines.iter().any(|line| super::words(line).starts_with(&["PING", "1234"]))
    });
}
