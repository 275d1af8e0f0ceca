//! Row 4: capture files, read by the agent, by tshark, and by nobody in particular.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tcpkit_tests::ledger::Ledger;

use crate::{
    finished::{self, Finished},
    options::{Contestant, Options},
    process::own_cpu_ns,
    recording::{self, Contents, Shape},
    report::{Goal, Report},
};

/// How much is read at once, where reading is all that is done.
const CHUNK_BYTES: usize = 64 << 10;

/// How many packets tshark gets: it is slow.
const SLICE_PACKETS: u64 = 20_000;

/// A capture file.
struct Recorded {
    name: &'static str,
    path: PathBuf,
    contents: Contents,
}

impl Recorded {
    fn write(options: &Options, name: &'static str, shape: Shape, max_packets: u64) -> Self {
        let path = options.file(&format!("{}.pcap", name.replace(' ', "-")));
        let contents = recording::write(&path, shape, max_packets).unwrap();
        Self { name, path, contents }
    }
}

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let requests = options.choose(600_000, 60_000);
    let single = Shape { requests, pipeline: 1, value_bytes: 3 };
    let pipelined = Shape { pipeline: 16, ..single };
    let large = Shape { requests: requests / 30, value_bytes: 10_240, ..single };
    report.progress("the capture files are generated");
    let files = [
        Recorded::write(options, "unpipelined", single, u64::MAX),
        Recorded::write(options, "pipelined 16", pipelined, u64::MAX),
        Recorded::write(options, "10 KB values", large, u64::MAX),
    ];
    let slice = Recorded::write(options, "unpipelined, slice", single, SLICE_PACKETS);
    let empty = Recorded::write(options, "no traffic", Shape { requests: 0, ..single }, 0);
    let mut agents: Vec<&Contestant> = options.agents.iter().collect();
    set_up(report, &files, &agents);
    let rounds = options.choose(9, 2);
    for round in 0..rounds {
        report.progress(&format!("round {} of {rounds}", round + 1));
        for file in &files {
            options.check_stop();
            let ns = read_plainly(&file.path);
            let what = format!("{}, read and summed only", file.name);
            report.sample(&what, "MB/s", rate(file.contents.bytes, ns) / 1e6);
            report.sample(&what, "packets/s", rate(file.contents.packets, ns));
            for agent in &agents {
                for prints in [true, false] {
                    let finished = run_agent(options, agent, file, prints);
                    record(report, &name(file, agent, prints), file, finished);
                }
            }
        }
        agents.rotate_left(1);
        let start = run_tshark(&empty.path).cpu;
        let cpu = run_tshark(&slice.path).cpu.saturating_sub(start);
        let what = format!("unpipelined, tshark, the first {} packets", slice.contents.packets);
        report.sample(&what, "packets/s", rate(slice.contents.packets, cpu.as_nanos() as u64));
        report.note(&what, "packets/s", "its start, as over an empty file, does not count");
    }
}

fn name(file: &Recorded, agent: &Contestant, prints: bool) -> String {
    format!("{}, {} {}", file.name, agent.name(), if prints { "printed" } else { "-t 1000" })
}

fn set_up(report: &mut Report, files: &[Recorded], agents: &[&Contestant]) {
    for file in files {
        for agent in agents {
            for prints in [true, false] {
                let what = name(file, agent, prints);
                report.place(&what, "packets/s");
                if file.name == "unpipelined" {
                    let goal = if prints { 3e6 } else { 5e6 };
                    report.goal(&what, "packets/s", Goal::AtLeast(goal));
                }
            }
        }
    }
}

fn record(report: &mut Report, what: &str, file: &Recorded, finished: Finished) {
    let Contents { packets, requests, bytes } = file.contents;
    let ns = finished.cpu.as_nanos() as u64;
    report.sample(what, "packets/s", rate(packets, ns));
    report.sample(what, "requests/s", rate(requests, ns));
    report.sample(what, "MB/s", rate(bytes, ns) / 1e6);
    report.sample(what, "packets/s by the clock", rate(packets, finished.wall.as_nanos() as u64));
}

fn rate(count: u64, ns: u64) -> f64 {
    count as f64 / (ns as f64 / 1e9)
}

/// Runs the agent over a file, and makes sure that it found everything.
fn run_agent(options: &Options, agent: &Contestant, file: &Recorded, prints: bool) -> Finished {
    let (printed, said) = (options.file("printed.txt"), options.file("said.txt"));
    let threshold = if prints { "" } else { "-t 1000" };
    let mut command = agent.command(&format!("-p redis {threshold} -r"));
    command.arg(&file.path);
    command.stdout(File::create(&printed).unwrap()).stderr(File::create(&said).unwrap());
    let finished = finished::run(&mut command);
    let said = fs::read_to_string(said).unwrap();
    assert!(finished.status.success(), "{}: {}: {said}", file.path.display(), finished.status);
    let ledger = Ledger::parse(&said);
    assert_eq!(ledger.losses(), [""; 0], "{}", file.path.display());
    assert_eq!(ledger.total("transactions"), file.contents.requests, "{}", ledger.text());
    let lines = if prints { file.contents.requests } else { 0 };
    assert_eq!(ledger.total("printed"), lines, "{}", ledger.text());
    finished
}

/// tshark, asked for the same as the agent's lines say.
fn run_tshark(file: &Path) -> Finished {
    let mut command = Command::new("tshark");
    command.args(["-n", "-d", "tcp.port==6379,resp", "-Y", "resp", "-T", "fields"]);
    for field in [
        "frame.time_epoch",
        "ip.src",
        "tcp.srcport",
        "ip.dst",
        "tcp.dstport",
        "resp.bulk_string.value",
    ] {
        command.args(["-e", field]);
    }
    command.arg("-r").arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let finished = finished::run(&mut command);
    assert!(finished.status.success(), "tshark: {}", finished.status);
    finished
}

/// Reads a file and touches each byte: less cannot be done. Gives the CPU time in ns.
fn read_plainly(path: &Path) -> u64 {
    let mut file = File::open(path).unwrap();
    let mut chunk = vec![0; CHUNK_BYTES];
    let before = own_cpu_ns();
    let mut sum = 0_u64;
    loop {
        let count = file.read(&mut chunk).unwrap();
        if count == 0 {
            break;
        }
        let (words, rest) = chunk[..count].as_chunks::<8>();
        for word in words {
            sum = sum.wrapping_add(u64::from_ne_bytes(*word));
        }
        sum = rest.iter().fold(sum, |sum, &byte| sum.wrapping_add(u64::from(byte)));
    }
    std::hint::black_box(sum);
    own_cpu_ns() - before
}
