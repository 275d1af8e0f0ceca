//! Row 5: the highest packet rate at which nothing is lost, and a minute of redis-benchmark.

use std::{
    fs::File,
    thread,
    time::{Duration, Instant},
};

use tcpkit_tests::{agent::Agent, ledger::Ledger};

use crate::{
    live::{Crowd, Hosts, INTERFACE, PRINTING, QUIET, losses, settle, wait_until_received},
    options::{Contestant, Options},
    report::Report,
};

/// How many connections the packets belong to.
const CONNECTIONS: usize = 50;

/// How many requests are sent between two looks at the clock.
const SLICE: usize = 320;

/// Below this rate, in packets a second, nothing can be found.
const LOWEST: f64 = 1000.0;

/// The search ends when the answer is known this well.
const PRECISION: f64 = 0.05;

/// How long an agent gets to read what waits.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let hosts = Hosts::new();
    for agent in &options.agents {
        for (how, arguments) in [("-t 1000", QUIET), ("printed", PRINTING)] {
            let what = format!("{} {how}, highest rate without loss", agent.name());
            for round in 0..options.choose(3, 1) {
                report.progress(&format!("{what}, round {}", round + 1));
                search(&hosts, agent, arguments, &what, options, report);
            }
        }
    }
    for pipeline in [1, 16] {
        let seconds = options.choose(60.0, 5.0);
        let requests = hosts.requests_in(seconds, pipeline);
        for agent in &options.agents {
            options.check_stop();
            let what = format!("{} -t 1000, {seconds:.0} s of redis-benchmark", agent.name());
            let what = if pipeline == 1 { what } else { format!("{what} -P {pipeline}") };
            report.progress(&what);
            let begin = Instant::now();
            let agent = agent.start(&hosts.server, QUIET);
            let rate = hosts.ask(requests, pipeline);
            let took = begin.elapsed().as_secs_f64();
            settle();
            let ledger = agent.stop().ledger();
            report.sample(&what, "packets lost", ledger.lost_packets() as f64);
            report.sample(&what, "packets matched", ledger.total("packets matched") as f64);
            report.sample(&what, "requests/s", rate);
            report.note(&what, "packets lost", &format!("it took {took:.0} s"));
            for loss in losses(&ledger) {
                report.note(&what, "packets lost", &loss);
            }
        }
    }
}

/// A rate that was held for a while.
struct Held {
    /// What passed the interface, in packets a second.
    rate: f64,
    lost: u64,
}

fn search(
    hosts: &Hosts,
    contestant: &Contestant,
    arguments: &str,
    what: &str,
    options: &Options,
    report: &mut Report,
) {
    let seconds = options.choose(3.0, 0.3);
    // Lines are printed to a file: to read them would be work for this process.
    let file = File::create(options.file("printed.txt")).unwrap();
    let agent = Agent::spawn_into(&hosts.server, contestant.command(arguments), file);
    let mut crowd = Crowd::new(&hosts.client, &[INTERFACE.to_owned()], CONNECTIONS, None);
    crowd.open();
    wait_until_received(&agent, crowd.sent);
    let fastest = hold(&agent, &mut crowd, None, seconds);
    report.sample("the sender's maximum", "packets/s", fastest.rate);
    if fastest.lost == 0 {
        report.sample(what, "packets/s", fastest.rate);
        report.note(what, "packets/s", "at least: the sender's maximum");
        return;
    }
    let (mut asked, mut without, mut with) = (0.0, 0.0, fastest.rate);
    while with - asked > PRECISION * with {
        options.check_stop();
        assert!(with > LOWEST, "something is lost at any rate");
        let rate = f64::midpoint(asked, with);
        let held = hold(&agent, &mut crowd, Some(rate), seconds);
        report.progress(&format!("{:.0} packets/s: {} lost", held.rate, held.lost));
        if held.lost == 0 {
            // What passed may be less than was asked for.
            (asked, without) = (rate, held.rate);
        } else {
            with = rate;
        }
    }
    report.sample(what, "packets/s", without);
}

/// Sends at a rate for a while.
fn hold(agent: &Agent, crowd: &mut Crowd, rate: Option<f64>, seconds: f64) -> Held {
    let before = agent.report();
    crowd.set_rate(rate);
    let (begin, time) = (Instant::now(), Duration::from_secs_f64(seconds));
    while begin.elapsed() < time {
        crowd.exchange(SLICE);
    }
    let took = begin.elapsed().as_secs_f64();
    let after = read_all(agent);
    let since = |count: fn(&Ledger) -> u64| count(&after) - count(&before);
    let passed = since(|ledger| ledger.total("packets matched"));
    Held { rate: passed as f64 / took, lost: since(Ledger::lost_packets) }
}

/// Waits until the agent has read everything that was captured.
fn read_all(agent: &Agent) -> Ledger {
    let deadline = Instant::now() + PATIENCE;
    loop {
        settle();
        let ledger = agent.report();
        if ledger.total("packets captured") == ledger.total("packets received") {
            return ledger;
        }
        assert!(Instant::now() < deadline, "packets are not read:\n{}", ledger.text());
        thread::sleep(Duration::from_millis(10));
    }
}
