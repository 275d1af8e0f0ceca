//! `tick`, `finish` and the ends of a run: signals, counts and the script's own word.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use tcpkit_tests::{
    netns::{Netns, eventually},
    process::Stepwise,
    redis::{Client, RedisServer, SERVER},
    script::{Script, finished, fixture},
};

const TICKS: &str = r"
function tick(now) print('tick', now) end
function finish() print('finish') end
";

/// The seconds of the ticks, behind which `finish` has to be the last word.
#[track_caller]
fn seconds(printed: &str) -> Vec<u64> {
    let ticks = printed.strip_suffix("finish\n").unwrap_or_else(|| panic!("{printed}"));
    ticks.lines().map(|line| line.strip_prefix("tick\t").unwrap().parse().unwrap()).collect()
}

#[test]
fn a_second_passes_without_packets() {
    let netns = Netns::new();
    let script = Script::new(TICKS);
    let agent = script.start(&netns, "-i lo");
    let unix_s = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let began = unix_s();
    agent.wait_for_lines(3);
    let finished = agent.stop();
    let seconds = seconds(finished.text());
    assert!(seconds.len() >= 3);
    for pair in seconds.windows(2) {
        // A host that is busy may leave one out.
        assert!(pair[1] > pair[0], "{seconds:?}");
    }
    assert!(seconds[0] >= began && *seconds.last().unwrap() <= unix_s(), "{began} {seconds:?}");
    let took = seconds.last().unwrap() - seconds[0];
    assert!(took as usize <= seconds.len() + 1, "some three seconds: {seconds:?}");
}

#[test]
fn a_file_has_a_tick_for_each_second_in_which_packets_are() {
    let script = Script::new(
        r"
        local at
        function process(p) at = p.tv_sec end
        function tick(now) print(now, at < now) end
        ",
    );
    let read = script.read(&fixture("redis/commands"), "");
    let ticks: Vec<(u64, bool)> = read
        .text()
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(now, is_before)| (now.parse().unwrap(), is_before.parse().unwrap()))
        .collect();
    assert!(!ticks.is_empty());
    assert!(ticks.windows(2).all(|pair| pair[0].0 < pair[1].0), "{ticks:?}");
    // All packets before that second came before the tick, none of it did.
    assert!(ticks.iter().all(|tick| tick.1), "{ticks:?}");
}

#[test]
fn signals_call_finish_and_its_words_arrive() {
    let netns = Netns::new();
    let script = Script::new("function finish() io.write('last', ' ', 'words') end");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let agent = script.start(&netns, "-i lo");
        agent.signal(signal);
        let finished = agent.wait();
        assert_eq!(finished.status.code(), Some(0), "{signal}: {}", finished.stderr);
        assert_eq!(finished.text(), "last words", "{signal}");
        finished.ledger().check_sums();
    }
}

#[test]
fn a_script_may_end_the_run() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for (callback, arguments) in [
        ("process(p)", ""),
        ("transaction(t)", "-p redis"),
        ("connection(c)", ""),
        ("tick(now)", ""),
    ] {
        let script = Script::new(format!(
            r"
            local calls = 0
            function {callback} calls = calls + 1; tcpkit.stop(); print('stopped') end
            function finish() print('finish', calls) end
            "
        ));
        let agent = script.start(&near, &format!("{arguments} -i veth0 tcp port 6379"));
        let mut client = Client::connect(&near, SERVER);
        client.say("ping");
        client.say("ping");
        let finished = agent.wait();
        assert_eq!(finished.status.code(), Some(0), "{callback}: {}", finished.stderr);
        assert_eq!(finished.text(), "stopped\nfinish\t1\n", "{callback}");
        finished.ledger().check_sums();
        // The traffic goes on, and nobody looks at it.
        assert_eq!(client.say("ping"), b"+PONG\r\n");
        assert!(!near.tc("filter show dev veth0 ingress").contains("bpf"));
    }
}

#[test]
fn a_script_may_end_the_run_before_it_begins() {
    let netns = Netns::new();
    for text in [
        "print('loaded') tcpkit.stop() function finish() print('finish') end",
        "function init() print('loaded') tcpkit.stop() end function finish() print('finish') end",
    ] {
        let agent = Script::new(text).start(&netns, "-i lo");
        let finished = agent.wait();
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        assert_eq!(finished.text(), "loaded\nfinish\n");
    }
}

#[test]
fn a_count_ends_the_run() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let counts = |callback: &str| {
        Script::new(format!(
            "local n = 0 function {callback}() n = n + 1 end function finish() print(n) end"
        ))
    };
    for (callback, arguments) in [("process", "-c 5"), ("transaction", "-p redis -c 5")] {
        let agent = counts(callback).start(&near, &format!("{arguments} -i veth0 tcp port 6379"));
        let mut client = Client::connect(&near, SERVER);
        for _ in 0..10 {
            client.say("ping");
        }
        let finished = agent.wait();
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        assert_eq!(finished.text(), "5\n", "{callback}");
        finished.ledger().check_sums();
    }
    let read = counts("process").read(&fixture("redis/commands"), "-c 7");
    assert_eq!(read.text(), "7\n");
}

/// What is printed is seen at once, not when a buffer is full.
#[test]
fn what_is_printed_is_seen_while_the_run_goes_on() {
    let netns = Netns::new();
    let script = Script::new("function tick(now) io.write('x') end");
    let agent = script.start(&netns, "-i lo");
    eventually("a byte", || agent.printed().starts_with(b"x"));
    let _ = agent.stop();
    // Of a pipe, too, that pauses within a file.
    let script = Script::new("function process(p) print(p.seq) end");
    let capture = fixture("redis/commands");
    let mut feeder = Command::new("sh");
    let tcpkit = script.command("-r -");
    let run = format!("(cat {}; read line) | exec \"$@\"", capture.display());
    feeder.arg("-c").arg(run).arg("sh").arg(tcpkit.get_program()).args(tcpkit.get_args());
    feeder.stderr(Stdio::null());
    let mut reader = Stepwise::start(&netns, &mut feeder);
    assert!(reader.line().parse::<u64>().is_ok());
    reader.tell("go on");
    drop(reader);
}

/// Waits for nothing: a script that loops when somebody asks for the end is ended, too.
#[test]
fn a_loop_without_end_does_not_outlive_a_signal() {
    let netns = Netns::new();
    for body in ["while true do end", "while true do pcall(function() while true do end end) end"] {
        let text = format!("function tick(now) print('begins') io.stdout:flush() {body} end");
        let script = Script::new(text);
        let agent = script.start(&netns, "-i lo --script-budget 0");
        agent.wait_for_printed("begins", 1);
        let asked = std::time::Instant::now();
        agent.signal(Signal::SIGINT);
        let finished = agent.wait();
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        let says = "it was still running 1 s after somebody asked for the end";
        assert!(finished.stderr.contains(says), "{}", finished.stderr);
        finished.ledger().check_sums();
    }
}

/// No instruction of the script passes while one of Lua's functions works.
#[test]
fn what_nothing_can_count_ends_with_a_second_signal() {
    let netns = Netns::new();
    let script = Script::new(
        "function tick(now)
             print('begins') io.stdout:flush()
             string.find(('a'):rep(50000), ('a-'):rep(5) .. 'b')
         end",
    );
    let agent = script.start(&netns, "-i lo");
    agent.wait_for_printed("begins", 1);
    let pid = agent.pid();
    // One that comes at once is the first one's twin.
    eventually("the second signal ends it", || {
        agent.signal(Signal::SIGINT);
        std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ")
    });
    assert_eq!(agent.wait().status.code(), Some(130));
}

/// Words behind `--` are the script's.
#[test]
fn init_gets_the_words_behind_the_options() {
    let script = Script::new(
        r"
        function init(o) print(#o, o[1], o[2], o[3], o.top, o.verbose, o['a b']) end
        function finish() end
        ",
    );
    let mut command = script.command(&format!("-r {}", fixture("redis/commands").display()));
    command.args(["tcp", "--", "top=3", "--verbose=x=y", "-S"]);
    let run = finished(command.output().unwrap());
    assert_eq!(run.text(), "3\ttop=3\t--verbose=x=y\t-S\t3\tx=y\tnil\n", "{}", run.stderr);
}
