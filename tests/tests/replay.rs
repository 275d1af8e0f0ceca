//! Capture files as users have them: written beside the lines, read again, piped, cut, rotated, and
//! when the disk is full.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use nix::sys::signal::Signal;
use tcpkit_tests::{
    agent::{Agent, binary, command},
    expressions::EXPRESSIONS,
    folder::Folder,
    ledger::Ledger,
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER, encode_words, run_benchmark},
    tcpdump::{Tcpdump, read},
};

const FILTER: &str = "tcp port 6379";

/// Runs the agent, which has to end well, and gives what it prints.
fn run(arguments: &str) -> String {
    let output = command(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments}: {said}");
    Ledger::parse(&said).check_sums();
    String::from_utf8(output.stdout).unwrap()
}

fn tcpdump(arguments: &[&str]) -> Output {
    Command::new("tcpdump").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// How many packets of a file tcpdump selects.
fn selected_by_tcpdump(file: &Path, expression: &str) -> Option<usize> {
    let output = tcpdump(&["-n", "-t", "-q", "-r", file.to_str().unwrap(), expression]);
    output.status.success().then(|| output.stdout.iter().filter(|&&byte| byte == b'\n').count())
}

/// Some of everything that a host sends and receives, as tcpdump wrote it.
fn record(folder: &Folder) -> PathBuf {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let tcpdump = Tcpdump::start(&near, &["-i", "any"]);
    run_benchmark(&near, "-n 300 -c 5 -t get,set");
    // Nobody listens there, which the hosts say (ICMP).
    for (from, to) in [("0.0.0.0", "10.9.0.2"), ("::", "fd09::2"), ("127.0.0.1", "127.0.0.1")] {
        near.run(|| {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            for port in [9, 53, 6379] {
                socket.send_to(b"anybody?", (to, port)).unwrap();
            }
        });
    }
    tcpkit_tests::tcpdump::send_marker(&near, "10.9.0.2");
    let file = folder.file("recorded.pcap");
    // Both interfaces of the marker's way are one here: the cable's near end.
    tcpdump.stop_into(1, &file);
    file
}

#[test]
fn a_file_gives_the_packets_that_tcpdump_selects() {
    let folder = Folder::new();
    let cooked = record(&folder);
    let ethernet = folder.file("ethernet.pcap");
    {
        let (near, far) = Netns::pair();
        let _redis = RedisServer::start(&far);
        let agent = Agent::start_with(&near, &format!("-i veth0 -w {}", ethernet.display()));
        run_benchmark(&near, "-n 300 -c 5 -t get,set");
        drop(agent.stop());
    }
    let mut compared = 0;
    for file in [&cooked, &ethernet] {
        for expression in EXPRESSIONS.iter().step_by(3) {
            let Some(expect) = selected_by_tcpdump(file, expression) else { continue };
            let arguments = ["-q", "-r", file.to_str().unwrap(), expression];
            let output = command("").args(arguments).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.code() != Some(0) {
                // Some expressions cannot run in the kernel; they do not in files either.
                assert!(said.contains("cannot run in the kernel"), "{expression}: {said}");
                continue;
            }
            let found = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(found, expect, "{expression:?} on {}: {said}", file.display());
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn lines_of_a_file_are_those_of_the_live_capture() {
    let folder = Folder::new();
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for name in ["a.pcap", "a.pcapng"] {
        let file = folder.file(name);
        let written = file.display();
        let agent = Agent::start_with(&near, &format!("-i veth0 -p redis -w {written} {FILTER}"));
        run_benchmark(&near, "-n 2000 -c 20 -P 4 -t get,lpush,lrange_100");
        let finished = agent.stop();
        let live = String::from_utf8(finished.stdout).unwrap();
        assert!(live.lines().count() > 6000, "{}", finished.stderr);
        assert_eq!(run(&format!("-r {written} -p redis")), live, "{name}");
        // The same through everything that a file may go through.
        let packed = folder.file(&format!("{name}.gz"));
        let gzip = Command::new("gzip").args(["-k", "-1"]).arg(&file).status().unwrap();
        assert!(gzip.success());
        assert_eq!(run(&format!("-r {} -p redis", packed.display())), live, "{name}.gz");
        let again = folder.file(&format!("again-{name}"));
        run(&format!("-r {written} -w {}", again.display()));
        assert_eq!(run(&format!("-r {} -p redis", again.display())), live, "{name} again");
        let packets = read(&file);
        assert_eq!(packets, read(&again), "{name}");
        if name == "a.pcap" {
            assert!(fs::read(&file).unwrap() == fs::read(&again).unwrap(), "byte by byte");
        }
        // tcpdump as a reader.
        assert_eq!(selected_by_tcpdump(&file, ""), Some(packets.1.len()));
        assert_eq!(run(&format!("-r {written}")).lines().count(), packets.1.len());
    }
}

#[test]
fn counts_are_of_packets_or_of_transactions() {
    let folder = Folder::new();
    let file = record(&folder);
    let written = file.display();
    assert_eq!(run(&format!("-r {written} -c 7")).lines().count(), 7);
    assert_eq!(run(&format!("-r {written} -p raw -c 7 {FILTER}")).lines().count(), 7);
    assert_eq!(run(&format!("-r {written} -p redis -c 7")).lines().count(), 7);
    let some = folder.file("some.pcap");
    assert_eq!(run(&format!("-r {written} -c 9 -w {}", some.display())), "");
    assert_eq!(read(&some).1.len(), 9);
    let printed = run(&format!("-r {written} -c 9 -w {} --print", some.display()));
    assert_eq!(printed.lines().count(), 9);
}

#[test]
fn a_pipe_is_read_as_it_comes() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let mut tcpdump = near.run(|| {
        let mut command = Command::new("tcpdump");
        command.args(["-i", "veth0", "-U", "--immediate-mode", "-Z", "root", "-w", "-", "tcp"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let mut stderr = BufReader::new(tcpdump.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("listening on") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let mut reader = command("-r - -p redis --format text");
    reader.stdin(tcpdump.stdout.take().unwrap()).stdout(Stdio::piped());
    let mut reader = reader.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let mut client = Client::connect(&near, SERVER);
    for at in 0..5 {
        let request = format!("set key {at}");
        client.say(&request);
        // While the pipe stays open.
        let line = lines.next().unwrap().unwrap();
        assert!(line.ends_with(&format!("| {request}")), "{line}");
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(tcpdump.id().cast_signed()), Signal::SIGINT)
        .unwrap();
    tcpdump.wait().unwrap();
    assert!(reader.wait().unwrap().success());
}

#[test]
fn what_is_whole_of_a_cut_file_is_analysed() {
    let folder = Folder::new();
    let file = record(&folder);
    let whole = fs::read(&file).unwrap();
    let all = run(&format!("-r {}", file.display()));
    let cut = folder.file("cut.pcap");
    for (len, packets, words) in [
        (whole.len() - 1, all.lines().count() - 1, "the file ends inside a packet"),
        (24 + 16 + 5, 0, "the file ends inside a packet"),
        (10, 0, "ends inside"),
    ] {
        fs::write(&cut, &whole[..len]).unwrap();
        let output = command(&format!("-r {}", cut.display())).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.lines().count(), packets, "{len}: {said}");
        assert!(all.starts_with(&printed));
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("tcpkit: ") && last.contains("cut.pcap"), "{said}");
        assert_eq!(last.matches(words).count(), 1, "{last}");
    }
    for (content, words) in [
        (&b"nothing that anybody captured, but long enough"[..], "no capture file"),
        (b"", "empty"),
    ] {
        fs::write(&cut, content).unwrap();
        let output = command(&format!("-r {}", cut.display())).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.lines().last().unwrap().contains(words), "{said}");
    }
    // Plain pcap of Ethernet does not tell directions.
    let ethernet = folder.file("ethernet.pcap");
    let mut frame = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
    frame.extend([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0]);
    frame.extend([0; 60]);
    fs::write(&ethernet, frame).unwrap();
    let output = command(&format!("-r {} inbound", ethernet.display())).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("which way packets went"), "{said}");
    let nowhere = command("-r /nowhere/at/all.pcap").output().unwrap();
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert_eq!((nowhere.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("/nowhere/at/all.pcap") && said.contains("no such file"), "{said}");
}

#[test]
fn a_killed_agent_leaves_a_file_that_others_read() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let folder = Folder::new();
    for name in ["killed.pcap", "killed.pcapng"] {
        let file = folder.file(name);
        let arguments = format!("-i veth0 -w {} {FILTER}", file.display());
        let agent = Agent::start_with(&near, &arguments);
        let benchmark = std::thread::scope(|scope| {
            let run = scope.spawn(|| run_benchmark(&near, "-n 20000 -c 20 -t get"));
            eventually("something is written", || {
                fs::metadata(&file).is_ok_and(|file| file.len() > 200_000)
            });
            agent.signal(Signal::SIGKILL);
            drop(agent.wait());
            run.join()
        });
        benchmark.unwrap();
        let output = tcpdump(&["-n", "-q", "-r", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        let count = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
        assert!(count > 1000, "{count} {said}");
        assert!(output.status.success() || said.contains("truncated"), "{said}");
        let tshark = Command::new("tshark").arg("-r").arg(&file).output().unwrap();
        let found = tshark.stdout.iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(found, count, "{}", String::from_utf8_lossy(&tshark.stderr));
    }
}

#[test]
fn on_a_full_disk_capture_goes_on_without_the_file() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let disk = Folder::with_room(256 * 1024);
    let file = disk.file("full.pcap");
    let agent = Agent::start(&near, &format!("-i veth0 -w {} {FILTER}", file.display()));
    run_benchmark(&near, "-n 5000 -c 10 -t get");
    agent.wait_for_lines(5000);
    agent.signal(Signal::SIGINT);
    let finished = agent.wait();
    let said = &finished.stderr;
    assert_eq!(finished.status.code(), Some(1), "{said}");
    let count = |words: &str| said.lines().filter(|line| line.contains(words)).count();
    assert_eq!(count("capture goes on without the file"), 1, "{said}");
    assert_eq!(count("NOT WRITTEN: "), 1, "{said}");
    let ledger = finished.ledger();
    ledger.check_sums();
    assert!(ledger.total("printed") >= 5000, "{said}");
    // Everything was analysed, and what is in the file is whole.
    let written = selected_by_tcpdump(&file, "").expect("tcpdump reads it");
    assert!(written > 100, "{written}");
    let missing: usize = said
        .lines()
        .find_map(|line| line.strip_prefix("NOT WRITTEN: "))
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap();
    assert_eq!(written + missing, ledger.part("packets for output", "put out") as usize, "{said}");
}

#[test]
fn files_are_rotated() {
    let folder = Folder::new();
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let form = folder.file("ring.pcap");
    let arguments = format!("-i veth0 -w {} -C 1 -W 3 {FILTER}", form.display());
    let agent = Agent::start_with(&near, &arguments);
    run_benchmark(&near, "-n 30000 -c 10 -d 100 -t set");
    let finished = agent.stop();
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["ring.pcap0", "ring.pcap1", "ring.pcap2"], "{}", finished.stderr);
    for name in names {
        let file = folder.file(&name);
        let len = fs::metadata(&file).unwrap().len();
        // A file is left once it is larger: by one packet at most.
        assert!(len < 1_000_000 + 2_000, "{name}: {len}");
        assert!(selected_by_tcpdump(&file, "").is_some(), "{name}");
    }
    finished.ledger().check_sums();
    // Seconds by the packets' own times: -G works on files, too.
    let recorded = record(&folder);
    let by_time = folder.file("at-%s");
    run(&format!("-r {} -G 1 -w {}", recorded.display(), by_time.display()));
    let files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("at-"))
        .collect();
    let packets: usize = files.iter().map(|file| read(file).1.len()).sum();
    assert_eq!(packets, read(&recorded).1.len());
    for file in files {
        let (_, packets) = read(&file);
        let (first, last) = (packets[0].unix_ns, packets.last().unwrap().unix_ns);
        assert!(last - first < 1_000_000_000 + 1_000_000, "{}", file.display());
    }
}

#[test]
fn standard_output_takes_a_capture() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for backend in ["ebpf", "packet"] {
        let agent =
            Agent::start_with(&near, &format!("-i veth0 --backend {backend} -U -w - {FILTER}"));
        let mut client = Client::connect(&near, SERVER);
        client.say("ping");
        client.say_goodbye();
        let finished = agent.stop();
        let mut reader = Command::new("tcpdump");
        reader.args(["-n", "-r", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut reader = reader.stderr(Stdio::null()).spawn().unwrap();
        reader.stdin.take().unwrap().write_all(&finished.stdout).unwrap();
        let output = reader.wait_with_output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        let count = finished.ledger().part("packets for output", "put out");
        assert_eq!(lines.lines().count() as u64, count, "{}", finished.stderr);
        assert!(lines.contains("Flags [S]") && lines.contains("Flags [F.]"), "{lines}");
    }
}

#[test]
fn cut_packets_are_paired_on() {
    // With a small snaplen files hold the beginnings of packets only.
    let folder = Folder::new();
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let file = folder.file("cut.pcapng");
    let arguments = format!("-i veth0 -s 64 -p redis --format json -w {} {FILTER}", file.display());
    let agent = Agent::start_with(&near, &arguments);
    let mut client = Client::connect(&near, SERVER);
    let large = format!("set large {}", "x".repeat(5000));
    client.send(&encode_words(&large));
    assert_eq!(client.receive(), b"+OK\r\n");
    client.say("get large");
    client.say("ping");
    agent.wait_for_lines(3);
    let live = String::from_utf8(agent.stop().stdout).unwrap();
    assert_eq!(run(&format!("-r {} -p redis --format json", file.display())), live);
    assert!(read(&file).1.iter().any(|packet| packet.len as usize > packet.bytes.len()));
}

#[test]
fn the_bar_is_for_terminals_only() {
    // Neither of the outputs is one here: nothing but the usual lines.
    let folder = Folder::new();
    let file = record(&folder);
    let mut agent = Command::new(binary());
    let output = agent.arg("-r").arg(&file).stdin(File::open("/dev/null").unwrap()).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(!said.contains('\x1b') && !said.contains('\r'), "{said:?}");
}
