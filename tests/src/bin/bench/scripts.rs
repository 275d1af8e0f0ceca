//! Row 8: what a Lua script costs over none, for each packet and each transaction of a file.
//!
//! Without a script the same file is read with the same options, and nothing is printed in either case.

use std::{
    fs::{self, File},
    path::PathBuf,
    time::Duration,
};

use tcpkit_tests::ledger::Ledger;

use crate::{
    finished,
    options::{Contestant, Options},
    recording::{self, Contents, Shape},
    report::{Goal, Report},
};

/// What a callback that does nothing may cost, in ns.
const GOAL_NS: f64 = 1_000.0;

/// A script, and what it is measured by.
struct Measured {
    name: &'static str,
    script: &'static str,
    /// Its options; those without a script are `BASE`'s.
    options: &'static str,
    unit: &'static str,
    has_goal: bool,
}

/// Nothing is printed, and nothing handed to anybody.
const BASE: &str = "-p redis -t 1000";

/// Every field of a packet.
const ALL_FIELDS: &str = "
    function process(p)
        local all = { p.tv_sec, p.tv_usec, p.tv_nsec, p.time_ns, p.sip, p.sport, p.dip, p.dport, p.type,
            p.request, p.proto, p.size, p.payload, p.len, p.interface, p.direction, p.seq, p.ack, p.flags,
            p.window }
    end";

/// Every field of a transaction.
const ALL_OF_TRANSACTION: &str = "
    function transaction(t)
        local all = { t.time, t.client.ip, t.client.port, t.server.ip, t.server.port, t.protocol,
            t.operation, t.request, t.response, t.status, t.latency_us, t.request_us, t.wait_us,
            t.response_us, t.request_bytes, t.response_bytes, t.quality, t.fields.key }
    end";

const PER_PACKET: &str = "ns/packet";
const PER_TRANSACTION: &str = "ns/transaction";

const SCRIPTS: [Measured; 5] = [
    Measured {
        name: "empty process",
        script: "function process(packet) end",
        options: BASE,
        unit: PER_PACKET,
        has_goal: true,
    },
    Measured {
        name: "process touching all fields",
        script: ALL_FIELDS,
        options: BASE,
        unit: PER_PACKET,
        has_goal: false,
    },
    Measured {
        name: "empty transaction",
        script: "function transaction(t) end",
        options: "-p redis",
        unit: PER_TRANSACTION,
        has_goal: true,
    },
    Measured {
        name: "transaction touching all fields",
        script: ALL_OF_TRANSACTION,
        options: "-p redis",
        unit: PER_TRANSACTION,
        has_goal: false,
    },
    Measured {
        name: "connection",
        script: "function connection(c) end",
        options: BASE,
        unit: PER_PACKET,
        has_goal: false,
    },
];

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let requests = options.choose(600_000, 60_000);
    report.progress("the capture file is generated");
    let path = options.file("scripts.pcap");
    let shape = Shape { requests, pipeline: 1, value_bytes: 3 };
    let contents = recording::write(&path, shape, u64::MAX).unwrap();
    let files: Vec<PathBuf> = SCRIPTS
        .iter()
        .map(|it| {
            let file = options.file(&format!("{}.lua", it.name.replace(' ', "-")));
            fs::write(&file, it.script).unwrap();
            file
        })
        .collect();
    let mut agents: Vec<&Contestant> = options.agents.iter().collect();
    for agent in &agents {
        for it in &SCRIPTS {
            report.place(&name(agent, it), it.unit);
            if it.has_goal {
                report.goal(&name(agent, it), it.unit, Goal::AtMost(GOAL_NS));
            }
        }
    }
    let rounds = options.choose(7, 2);
    for round in 0..rounds {
        report.progress(&format!("round {} of {rounds}", round + 1));
        for agent in &agents {
            options.check_stop();
            let base = run(options, agent, &path, &contents, BASE, None);
            let what = format!("no script {}", agent.name());
            let packets = contents.packets as f64;
            report.sample(&what, PER_PACKET, base.as_nanos() as f64 / packets);
            for (it, file) in SCRIPTS.iter().zip(&files) {
                let cpu = run(options, agent, &path, &contents, it.options, Some(file));
                let cost = cpu.as_nanos() as f64 - base.as_nanos() as f64;
                let count = match it.unit {
                    PER_PACKET => packets,
                    _ => contents.requests as f64,
                };
                report.sample(&name(agent, it), it.unit, cost / count);
            }
        }
        agents.rotate_left(1);
    }
}

fn name(agent: &Contestant, it: &Measured) -> String {
    format!("{} {}, over no script", it.name, agent.name())
}

/// Runs the agent over the file, and makes sure that it found everything and that the script did not fail.
fn run(
    options: &Options,
    agent: &Contestant,
    file: &PathBuf,
    contents: &Contents,
    words: &str,
    script: Option<&PathBuf>,
) -> Duration {
    let said = options.file("said.txt");
    let mut command = agent.command(&format!("{words} -r"));
    command.arg(file);
    if let Some(script) = script {
        command.arg("-S").arg(script).arg("--script-strict");
    }
    command.stdout(File::create(options.file("printed.txt")).unwrap());
    command.stderr(File::create(&said).unwrap());
    let finished = finished::run(&mut command);
    let said = fs::read_to_string(said).unwrap();
    assert!(finished.status.success(), "{}: {said}", finished.status);
    let ledger = Ledger::parse(&said);
    assert_eq!(ledger.losses(), [""; 0], "{}", ledger.text());
    assert_eq!(ledger.total("transactions"), contents.requests, "{}", ledger.text());
    finished.cpu
}
