//! The agent as a command: signals, counts, thresholds, closed output, errors, and what it leaves.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Output, Stdio},
};

use aya::programs::{SchedClassifier, TcAttachType};
use nix::sys::signal::Signal;
use tcpkit_tests::{
    agent::{Agent, PublicCopy, command},
    netns::{Netns, eventually},
    raw::Tun,
    redis::{Client, RedisServer, SERVER, encode_words},
};

const FILTER: &str = "tcp port 6379";

/// How many programs are attached to an interface.
fn attached(netns: &Netns, interface: &str) -> usize {
    netns.run(|| {
        [TcAttachType::Ingress, TcAttachType::Egress]
            .into_iter()
            .map(|hook| SchedClassifier::query_tcx(interface, hook).unwrap().1.len())
            .sum()
    })
}

#[test]
fn nothing_is_left_however_it_ends() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let (near, far) = Netns::pair();
        let _redis = RedisServer::start(&far);
        let agent = Agent::start(&near, &format!("-i veth0,lo {FILTER}"));
        assert_eq!((attached(&near, "veth0"), attached(&near, "lo")), (2, 1));
        let mut client = Client::connect(&near, SERVER);
        client.say("ping");
        agent.signal(signal);
        let finished = agent.wait();
        if signal == Signal::SIGKILL {
            eventually("the kernel takes the programs off", || {
                attached(&near, "veth0") + attached(&near, "lo") == 0
            });
        } else {
            assert_eq!(attached(&near, "veth0") + attached(&near, "lo"), 0, "{signal}");
            assert_eq!(finished.status.code(), Some(0), "{signal}: {}", finished.stderr);
            assert_eq!(finished.lines().len(), 1);
            let ledger = finished.ledger();
            ledger.check_sums();
            ledger.check_no_loss();
            assert_eq!(ledger.total("printed"), 1);
        }
        // The client noticed nothing.
        assert_eq!(client.say("ping"), b"+PONG\r\n");
        assert_eq!(near.tc("qdisc show dev veth0").matches("clsact").count(), 0);
    }
}

/// As timeout(1) and terminals do.
#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let netns = Netns::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let agent = Agent::start_with(&netns, "-i lo udp port 7000");
        agent.signal(signal);
        agent.signal(signal);
        let finished = agent.wait();
        assert_eq!(finished.status.code(), Some(0), "{signal}: {}", finished.stderr);
        finished.ledger().check_sums();
    }
}

#[test]
fn a_running_agent_reports() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    // Others may have sent something, such as neighbour solicitations.
    assert_eq!(agent.report().total("packets matched"), 0);
    let mut client = Client::connect(&near, SERVER);
    for expect in [100, 200] {
        for _ in 0..100 {
            client.say("ping");
        }
        agent.wait_for_lines(expect);
        let ledger = agent.report();
        assert_eq!(ledger.total("printed"), expect as u64, "{}", ledger.text());
        assert!(ledger.total("packets seen") >= 2 * expect as u64, "{}", ledger.text());
    }
    assert_eq!(agent.stop().lines().len(), 200);
}

#[test]
fn a_count_ends_it() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 -c 7 {FILTER}"));
    let mut client = Client::connect(&near, SERVER);
    client.send(&encode_words("echo hello").repeat(100));
    let finished = agent.wait();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert_eq!(finished.lines().len(), 7);
    let ledger = finished.ledger();
    assert_eq!(ledger.total("printed"), 7);
    ledger.check_sums();
}

#[test]
fn a_threshold_leaves_the_slow() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 -t 40.5 {FILTER}"));
    let mut client = Client::connect(&near, SERVER);
    for _ in 0..3 {
        for words in ["ping", "debug sleep 0.041", "debug sleep 0.001"] {
            client.say(words);
        }
    }
    let finished = agent.stop();
    let lines = finished.lines();
    assert!(lines.iter().all(|line| line.latency_us >= 40_500.0), "{lines:?}");
    let slept = lines.iter().filter(|line| line.request == "debug sleep 0.041").count();
    assert_eq!(slept, 3, "{lines:?}");
    let ledger = finished.ledger();
    assert_eq!((ledger.total("transactions"), ledger.total("printed")), (9, lines.len() as u64));
}

/// As in `tcpkit … | head -1`.
#[test]
fn a_closed_output_is_a_quiet_end() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let mut child = near.run(|| {
        let mut command = command(&format!("-p redis -P off -i veth0 {FILTER}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.starts_with("tcpkit: listening on veth0"), "{said}");
    let mut client = Client::connect(&near, SERVER);
    client.say("ping");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with(" ms | ping\n"), "{line}");
    let mut status = None;
    eventually("it ends with the next line", || {
        client.say("ping");
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
    said.clear();
    stderr.read_to_string(&mut said).unwrap();
    assert!(!said.contains("tcpkit: ") && !said.contains("panic"), "{said}");
    assert_eq!(attached(&near, "veth0"), 0);
}

fn run(netns: &Netns, arguments: &str) -> Output {
    netns.run(|| command(arguments).output().unwrap())
}

/// The agent ends with this exit code, and says one line, which contains all of `words`.
fn check_error(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("tcpkit: "), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing: {said}");
    }
}

#[test]
fn errors_are_one_line_that_says_what_is_wrong() {
    let netns = Netns::new();
    check_error(&run(&netns, "-p redis -i eth7"), 1, &["no interface 'eth7'", "lo"]);
    check_error(&run(&netns, "-p redis -i lo,eth7 tcp"), 1, &["no interface 'eth7'", "lo"]);
    check_error(&run(&netns, "-p redis -i lo tcp port 70000"), 2, &["filter: ", "70000"]);
    check_error(&run(&netns, "-p redis -i lo tcp prot 1"), 2, &["filter: ", "'tcp prot 1'"]);
    check_error(&run(&netns, "-p redis -i lo ip protochain 6"), 2, &["filter: ", "protochain"]);
    check_error(&run(&netns, "-p redis -i lo -F /nowhere"), 1, &["/nowhere", "No such file"]);
    check_error(&run(&netns, "-i lo -w /nowhere/at/all"), 1, &["/nowhere/at/all", "No such file"]);
    check_error(&run(&netns, "-r /nowhere"), 1, &["/nowhere", "no such file"]);
    let _tun = netns.run(|| Tun::open("tun0"));
    netns.ip("link set tun0 up");
    check_error(&run(&netns, "-i tun0 ether host 1:2:3:4:5:6"), 2, &["filter: ", "ethernet"]);
}

#[test]
fn compiled_filters_are_printed_without_root() {
    const NOBODY: u32 = 65534;
    let copy = PublicCopy::new();
    let file = std::env::temp_dir().join(format!("tcpkit-test-{}-filter", std::process::id()));
    fs::write(&file, "# the port\ntcp port 6379\n").unwrap();
    let file = file.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(copy.path());
        let output = command.args(arguments).uid(NOBODY).gid(NOBODY).current_dir("/").output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    };
    let classic = run(&["-d", "tcp", "port", "6379"]);
    assert!(classic.starts_with("(000) ldh      [12]\n(001) jeq      #0x86dd "), "{classic}");
    assert_eq!(run(&["-d", "-F", file]), classic);
    assert_eq!(run(&["-d", "-i", "lo", "tcp port 6379"]), classic);
    let raw = std::env::temp_dir().join(format!("tcpkit-test-{}-raw", std::process::id()));
    // A pcap file of raw IP with one packet.
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
    bytes.extend([101, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 20, 0, 0, 0, 0x45]);
    bytes.extend([0; 19]);
    fs::write(&raw, bytes).unwrap();
    fs::set_permissions(&raw, fs::Permissions::from_mode(0o644)).unwrap();
    let of_file = run(&["-d", "-r", raw.to_str().unwrap(), "tcp", "port", "6379"]);
    assert!(
        of_file.starts_with("(000) ldb      [0]\n"),
        "what the file's packets begin with: {of_file}"
    );
    fs::remove_file(raw).unwrap();
    let ebpf = run(&["-dd", "tcp port 6379"]);
    assert!(ebpf.contains("if w7 != 0x18eb goto +") && ebpf.contains("exit\n"), "{ebpf}");
    fs::remove_file(file).unwrap();
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let netns = Netns::new();
    for arguments in [
        "-p nonsense",
        "-p redis -A",
        "-w - --print",
        "-p redis --nonsense",
        "-p redis -c 0",
        "-p redis -t x",
    ] {
        let output = run(&netns, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments}");
    }
    // tcpdump's habit is explained.
    let output = run(&netns, "-i lo -tttt");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("--time"), "{said}");
    for arguments in ["--help", "-V"] {
        let output = run(&netns, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}");
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{arguments}");
    }
}

#[test]
fn without_permission_the_missing_capabilities_are_named() {
    const NOBODY: u32 = 65534;
    let (netns, copy) = (Netns::new(), PublicCopy::new());
    let output = netns.run(|| {
        let mut command = Command::new(copy.path());
        command.args(["-p", "redis", "-i", "lo", "tcp", "port", "6379"]).current_dir("/");
        command.uid(NOBODY).gid(NOBODY).output().unwrap()
    });
    let words = ["no permission", "CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "setcap"];
    check_error(&output, 1, &words);
    assert_eq!(attached(&netns, "lo"), 0);
}
