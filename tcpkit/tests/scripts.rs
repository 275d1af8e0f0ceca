//! The scripts that are shipped, run by the finished agent on captures of real traffic.
//!
//! What a script prints stands in `tests/fixtures/scripts/NAME.expected`. `TCPKIT_BLESS=1 cargo test -p
//! tcpkit --test scripts` writes down what comes out instead of comparing; look at the difference before it
//! is committed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails ends"
)]

#[path = "scripts/agent.rs"]
mod agent;
#[path = "scripts/frames.rs"]
mod frames;
#[path = "scripts/hostile_dns.rs"]
mod hostile_dns;
#[path = "scripts/numbers.rs"]
mod numbers;

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use self::agent::{FIXTURES, SCRIPTS, fixture, run, run_words};

/// Set to write down what comes out.
const BLESS: &str = "TCPKIT_BLESS";

/// A script on a capture.
struct Case {
    name: &'static str,
    script: &'static str,
    capture: &'static str,
    arguments: &'static [&'static str],
    options: &'static [&'static str],
}

const fn case(
    name: &'static str,
    script: &'static str,
    capture: &'static str,
    arguments: &'static [&'static str],
    options: &'static [&'static str],
) -> Case {
    Case { name, script, capture, arguments, options }
}

const CONNECTS: &str = "scripts/connects.pcap";
const DNS_UDP: &str = "scripts/dns-udp.pcap";
const DNS_TCP: &str = "scripts/dns-tcp.pcap";
const KEYS: &str = "scripts/keys.pcap";
const RETRANSMITS: &str = "scripts/retransmits.pcap";

const HTTP: &[&str] = &["-p", "http"];
const HTTP2: &[&str] = &["-p", "http2"];
const GRPC: &[&str] = &["-p", "grpc"];
const REDIS: &[&str] = &["-p", "redis"];
const AUTO: &[&str] = &["-p", "auto"];

const CASES: &[Case] = &[
    case("example-tcp", "example.lua", CONNECTS, &[], &[]),
    case("example-udp", "example.lua", DNS_UDP, &[], &[]),
    case("tcp-connect", "tcp-connect.lua", CONNECTS, &[], &[]),
    case("tcp-connect-slow", "tcp-connect.lua", CONNECTS, &[], &["slow=100"]),
    case("tcp-connect-midstream", "tcp-connect.lua", "http2/midstream.pcap", &[], &[]),
    case("tcp-connect-json", "tcp-connect.lua", CONNECTS, &[], &["json=1"]),
    case("dns-udp", "dns.lua", DNS_UDP, &[], &[]),
    case("dns-udp-slow", "dns.lua", DNS_UDP, &[], &["slow=40"]),
    case("dns-udp-timeout", "dns.lua", DNS_UDP, &[], &["slow=1000", "timeout=1.5"]),
    case("dns-udp-other-port", "dns.lua", DNS_UDP, &[], &["port=54"]),
    case("dns-tcp", "dns.lua", DNS_TCP, &["port 53"], &[]),
    case("dns-tcp-json", "dns.lua", DNS_TCP, &[], &["json=1"]),
    case("redis-hotkeys", "redis-hotkeys.lua", KEYS, REDIS, &["top=6"]),
    case("redis-hotkeys-json", "redis-hotkeys.lua", KEYS, REDIS, &["json=1", "top=3"]),
    case("redis-hotkeys-others", "redis-hotkeys.lua", "http/keepalive.pcap", AUTO, &[]),
    case("redis-bigkeys", "redis-bigkeys.lua", KEYS, REDIS, &[]),
    case("redis-bigkeys-json", "redis-bigkeys.lua", KEYS, REDIS, &["json=1", "min=5000"]),
    case("slow-by-command", "slow-by-command.lua", KEYS, AUTO, &[]),
    case(
        "slow-by-command-max",
        "slow-by-command.lua",
        "redis/commands.pcap",
        REDIS,
        &["sort=max", "top=5"],
    ),
    case("slow-by-command-count", "slow-by-command.lua", "grpc/calls.pcap", GRPC, &["sort=count"]),
    case(
        "slow-by-command-json",
        "slow-by-command.lua",
        KEYS,
        REDIS,
        &["json=1", "sort=p99", "top=2"],
    ),
    case("retransmits", "retransmits.lua", RETRANSMITS, &[], &[]),
    case("retransmits-every", "retransmits.lua", CONNECTS, &[], &["every=10"]),
    case("retransmits-json", "retransmits.lua", RETRANSMITS, &[], &["json=1", "top=1"]),
    case("http-status", "http-status.lua", "http/keepalive.pcap", HTTP, &["top=5"]),
    case("http-status-class", "http-status.lua", "http2/nginx.pcap", HTTP2, &["by=class", "top=3"]),
    case("http-status-grpc", "http-status.lua", "grpc/errors.pcap", GRPC, &["top=4"]),
    case(
        "http-status-grpc-http2",
        "http-status.lua",
        "grpc/errors.pcap",
        HTTP2,
        &["by=class", "top=2"],
    ),
    case("http-status-cancelled", "http-status.lua", "grpc/cancelled.pcap", GRPC, &[]),
    case("http-status-json", "http-status.lua", "http/keepalive.pcap", HTTP, &["json=1", "top=1"]),
];

#[test]
fn scripts_print_what_is_expected() {
    let mut failures = Vec::new();
    for case in CASES {
        let output = run(case.script, &fixture(case.capture), case.arguments, case.options);
        output.assert_clean(case.name);
        let path = Path::new(FIXTURES).join(format!("scripts/{}.expected", case.name));
        let expected = fs::read_to_string(&path).ok();
        if expected.as_ref() == Some(&output.stdout) {
            continue;
        }
        if env::var_os(BLESS).is_some() {
            fs::write(&path, &output.stdout).unwrap();
            continue;
        }
        failures.push(format!(
            "{}: not what {} says (if it is right, set {BLESS}=1):\n{}",
            case.name,
            path.display(),
            output.stdout
        ));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_expectation_is_looked_at() {
    let entries = fs::read_dir(fixture("scripts")).unwrap().map(|entry| entry.unwrap().path());
    let names: BTreeSet<String> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "expected"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let cases: BTreeSet<String> = CASES.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(names, cases);
}

#[test]
fn every_script_is_tested() {
    let entries = fs::read_dir(SCRIPTS).unwrap().map(|entry| entry.unwrap().path());
    let scripts: BTreeSet<String> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "lua"))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let tested: BTreeSet<String> = CASES.iter().map(|case| case.script.to_owned()).collect();
    assert_eq!(scripts, tested);
    let about = fs::read_to_string(Path::new(SCRIPTS).join("README.md")).unwrap();
    for script in scripts {
        assert!(about.contains(&format!("`{script}`")), "{script} is missing in scripts/README.md");
    }
}

#[test]
fn the_api_is_the_library_for_editors() {
    let agent = env!("CARGO_BIN_EXE_tcpkit");
    let output = Command::new(agent).arg("--script-api").output().expect("the agent runs");
    assert!(output.status.success());
    let library = fs::read(Path::new(SCRIPTS).join("library/tcpkit.lua")).expect("it is there");
    assert!(output.stdout == library, "it prints something else than scripts/library/tcpkit.lua");
}

#[test]
fn what_is_no_option_ends_the_start() {
    for (script, word, says) in [
        (
            "dns.lua",
            "solw=5",
            "`solw=5` is no option of this script; there are: json, port, slow, timeout",
        ),
        ("dns.lua", "slow", "`slow` is no option"),
        ("dns.lua", "slow=much", "slow=much: a number from 0 on is needed"),
        ("dns.lua", "slow=-1", "slow=-1: a number from 0 on is needed"),
        ("dns.lua", "json=yes", "json=yes: 0 or 1 is needed"),
        ("slow-by-command.lua", "sort=p98", "sort=p98: one of total, p99, count, max is needed"),
    ] {
        let output = run(script, &fixture(DNS_UDP), AUTO, &[word]);
        assert!(!output.is_success, "{script} {word}");
        assert!(output.stderr.contains(says), "{script} {word}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{script} {word}");
    }
}

/// The rooms that scripts share, tested by a script beside a copy of them.
#[test]
fn the_library_keeps_its_word() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("script-library");
    fs::create_dir_all(folder.join("lib")).unwrap();
    for entry in fs::read_dir(Path::new(SCRIPTS).join("lib")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join("lib").join(entry.file_name())).unwrap();
    }
    let script = folder.join("check.lua");
    fs::write(&script, include_str!("scripts/library.lua")).unwrap();
    let output = run_words(&script, &fixture(DNS_UDP), &[], &[]);
    output.assert_clean("library");
    assert_eq!(output.stdout, "all checks passed\n");
}
