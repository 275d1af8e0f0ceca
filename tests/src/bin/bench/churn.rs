//! Row 9: whether memory stays the same while thousands of connections come and go.
//!
//! The agent is used as a resident one is: somebody looks at its page, and Prometheus comes by.

use std::{
    fs::File,
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use tcpkit_tests::{
    agent::Agent,
    netns::Netns,
    process::Background,
    redis::{RedisServer, benchmark},
    statistics::{self, Events},
};

use crate::{
    crowd::{Clients, Counts},
    live::losses,
    options::{Contestant, Options},
    process::Memory,
    report::{Goal, Report},
    statistics::{Spread, median},
};

/// How long it lasts unless somebody says how long, in s.
const SECONDS: u64 = 600;

/// More than the clients have open at once.
const MAX_CLIENTS: &str = "12000";

/// Slow requests are kept, and printed to nowhere.
const ARGUMENTS: &str = "-i veth0 -p redis -t 5 --slow 5 tcp port 6379";

/// How often the metrics are asked for.
const SCRAPES: Duration = Duration::from_secs(5);

/// Memory is flat when at the end there is at most so much more than in the second minute …
const GROWTH_PERCENT: f64 = 5.0;

/// … and at most so much in MiB.
const GROWTH_MIB: f64 = 4.0;

const MIB: f64 = 1024.0 * 1024.0;
const RESIDENT: &str = "MiB resident";

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let seconds = options.seconds.unwrap_or_else(|| options.choose(SECONDS, 30));
    for agent in &options.agents {
        options.check_stop();
        run(agent, seconds, options, report);
    }
}

fn run(contestant: &Contestant, seconds: u64, options: &Options, report: &mut Report) {
    let (client, server) = Netns::pair();
    let redis = RedisServer::start(&server);
    let answer = redis.unseen().say(&format!("config set maxclients {MAX_CLIENTS}"));
    assert_eq!(answer, b"+OK\r\n", "redis-server takes no {MAX_CLIENTS} clients");
    let nowhere = File::create("/dev/null").unwrap();
    let agent = Agent::spawn_into(&server, contestant.command(ARGUMENTS), nowhere);
    let clients = Clients::prepare(&client);
    let (stop, counts) = (AtomicBool::new(false), Counts::default());
    let watched = AtomicU64::new(0);
    let samples = thread::scope(|scope| {
        let ends = Ends(&stop);
        let mut threads = clients.start(scope, &stop, &counts);
        threads.push(scope.spawn(|| listen(&server, &stop, &watched)));
        threads.push(scope.spawn(|| scrape(&server, &stop)));
        while !clients.are_all_open(&counts) {
            options.check_stop();
            thread::sleep(Duration::from_millis(100));
            if threads.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        report.progress(&format!("{} connections are open", counts.open()));
        let load = Background::start(&client, &mut benchmark("-t get,set -c 50 -l"));
        let mut samples = Vec::new();
        let begin = Instant::now();
        for second in 1..=seconds {
            let next = begin + Duration::from_secs(second);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            options.check_stop();
            samples.push(Memory::of(agent.pid()));
            if threads.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            if second % 60 == 0 {
                let resident = samples.last().map_or(0.0, |it| it.resident as f64 / MIB);
                let opened = counts.opened();
                report.progress(&format!("{second} s: {resident:.1} MiB, {opened} opened"));
            }
        }
        drop((load, ends));
        // Why one ended is why the row cannot be measured.
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        samples
    });
    let ledger = agent.stop().ledger();
    let name = contestant.name();
    record_memory(report, name, &samples);
    let what = format!("{name}, in {seconds} s");
    report.sample(&what, "connections opened", counts.opened() as f64);
    report.sample(&what, "connections tracked", ledger.total("connections") as f64);
    for line in ledger.text().lines().filter(|line| line.contains(" connections")) {
        report.note(&what, "connections tracked", line.trim());
    }
    report.sample(&what, "requests answered", ledger.part("requests", "answered") as f64);
    report.sample(&what, "ticks heard", watched.load(Ordering::Relaxed) as f64);
    report.sample(&what, "packets matched", ledger.total("packets matched") as f64);
    report.sample(&what, "packets lost", ledger.lost_packets() as f64);
    for loss in losses(&ledger) {
        report.note(&what, "packets lost", &loss);
    }
}

/// Tells all threads to end, however the row ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks at what the page would be told.
fn listen(server: &Netns, stop: &AtomicBool, watched: &AtomicU64) {
    let mut events = Events::listen(server);
    while !stop.load(Ordering::Relaxed) {
        let _ = events.receive();
        watched.fetch_add(1, Ordering::Relaxed);
    }
}

fn scrape(server: &Netns, stop: &AtomicBool) {
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if Instant::now() >= next {
            let _ = statistics::get(server, "/metrics");
            next += SCRAPES;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Compares the last minute with the second one; in short runs, the last third with the second one.
fn record_memory(report: &mut Report, name: &str, samples: &[Memory]) {
    let all: Vec<f64> = samples.iter().map(|it| it.resident as f64 / MIB).collect();
    let part = (all.len() / 3).clamp(1, 60);
    let begin = &all[part.min(all.len() - 1)..(2 * part).min(all.len())];
    let end = &all[all.len() - part..];
    for (when, samples) in [
        (format!("{name}, from second {part} to {}", 2 * part), begin),
        (format!("{name}, the last {part} s"), end),
        (format!("{name}, all the time"), &all),
    ] {
        samples.iter().for_each(|sample| report.sample(&when, RESIDENT, *sample));
    }
    let ring = samples.iter().map(|it| it.ring as f64 / MIB);
    ring.for_each(|it| report.sample(&format!("{name}, all the time"), "MiB of the ring", it));
    let growth = median(end) - median(begin);
    let percent = 100.0 * growth / median(begin);
    let what = format!("{name}, growth between these");
    report.sample(&what, "%", percent);
    report.goal(&what, "%", Goal::AtMost(GROWTH_PERCENT));
    report.sample(&what, RESIDENT, growth);
    report.goal(&what, RESIDENT, Goal::AtMost(GROWTH_MIB));
    let is_flat = percent <= GROWTH_PERCENT && growth <= GROWTH_MIB;
    let verdict = if is_flat { "memory is flat" } else { "memory is NOT flat" };
    report.note(&what, "%", verdict);
    let max = Spread::of(&all).map_or(0.0, |it| it.max);
    report.progress(&format!(
        "{verdict}: {:.2} MiB, then {:.2} MiB ({percent:+.1} %), at most {max:.2} MiB",
        median(begin),
        median(end),
    ));
}
