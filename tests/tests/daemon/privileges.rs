//! What the agent may do once it captures, as the kernel has it in `/proc`.

use std::{
    fs,
    ops::ControlFlow,
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
};

use nix::{
    sys::signal::Signal,
    unistd::{Pid, User},
};
use tcpkit::{
    capture::{AttachMode, LiveConfig, LiveSource, Source},
    filter::CaptureFilter,
    privileges::Privileges,
};
use tcpkit_tests::{
    agent::{Agent, PublicCopy, binary, command},
    folder::Folder,
    netns::{Netns, eventually},
    process::root,
    redis::{Client, RedisServer, SERVER},
    statistics,
};

/// Numbers of capabilities, from the kernel's `linux/capability.h`.
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;

/// What a thread may do.
#[derive(Debug, PartialEq, Eq)]
struct May {
    users: Vec<u32>,
    groups: Vec<u32>,
    inheritable: u64,
    permitted: u64,
    effective: u64,
    ambient: u64,
    gets_no_more: bool,
}

impl May {
    fn read(status: &str) -> Self {
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
        };
        let numbers =
            |name: &str| value(name).split_whitespace().map(|it| it.parse().unwrap()).collect();
        let bits = |name: &str| u64::from_str_radix(&value(name), 16).unwrap();
        Self {
            users: numbers("Uid"),
            groups: [numbers("Gid"), numbers("Groups")].concat(),
            inheritable: bits("CapInh"),
            permitted: bits("CapPrm"),
            effective: bits("CapEff"),
            ambient: bits("CapAmb"),
            gets_no_more: value("NoNewPrivs") == "1",
        }
    }

    /// A user with some capabilities, and nothing else.
    fn only(user: &User, capabilities: u64) -> Self {
        Self {
            users: vec![user.uid.as_raw(); 4],
            groups: vec![user.gid.as_raw(); 5],
            inheritable: 0,
            permitted: capabilities,
            effective: capabilities,
            ambient: 0,
            gets_no_more: true,
        }
    }
}

/// Of each thread its name, and what it may do.
fn threads(pid: Pid) -> Vec<(String, May)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| {
            let read = |name: &str| fs::read_to_string(task.as_ref().unwrap().path().join(name));
            (read("comm").unwrap().trim().to_owned(), May::read(&read("status").unwrap()))
        })
        .collect()
}

/// The same of this process's children.
fn children() -> Vec<(String, May)> {
    let own = format!("PPid:\t{}\n", std::process::id());
    let statuses = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        // It may be gone by now.
        let path = entry.unwrap().path();
        let status = fs::read_to_string(path.join("status")).ok().filter(|it| it.contains(&own))?;
        Some((fs::read_to_string(path.join("comm")).ok()?.trim().to_owned(), May::read(&status)))
    });
    statuses.collect()
}

fn user(name: &str) -> User {
    User::from_name(name).unwrap().unwrap()
}

/// All threads may only what this user may, and the one that captures has these capabilities.
#[track_caller]
fn check(agent: &Agent, user: &User, capabilities: u64) {
    // Threads give up what is theirs when they begin.
    let expect = |name: &str| May::only(user, if name == "capture" { capabilities } else { 0 });
    eventually("privileges are dropped", || {
        threads(agent.pid()).iter().all(|(name, may)| *may == expect(name))
    });
    assert!(threads(agent.pid()).iter().any(|(name, _)| name == "capture"));
}

#[test]
fn nobody_captures_with_no_capabilities_at_all() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for (options, kept) in [
        ("-i veth0", 0),
        ("-i veth0 --workers 3", 0),
        ("-i any", 0),
        ("-i any --backend packet", 0),
        ("-i veth0 --hook xdp", 0),
        ("-i veth0 --promiscuous", NET_RAW),
    ] {
        let agent = Agent::start(&near, &format!("{options} tcp port 6379"));
        check(&agent, &user("nobody"), kept);
        let mut client = Client::connect(&near, SERVER);
        for _ in 0..20 {
            client.say("ping");
        }
        agent.wait_for_lines(20);
        assert!(statistics::get(&near, "/metrics").contains("tcpkit_requests_total"), "{options}");
        agent.report().check_no_loss();
        let finished = agent.stop();
        assert_eq!(finished.lines().len(), 20, "{options}");
        assert!(!finished.stderr.contains("WARN"), "{options}: {}", finished.stderr);
    }
}

#[test]
fn interfaces_that_come_later_are_attached_to_without_any_capability() {
    for (options, interface) in [
        ("-i any", "veth0"),
        ("-i any --hook xdp", "veth0"),
        // Named, gone and back.
        ("-i lo,veth0", "veth0"),
    ] {
        let (near, far) = Netns::pair();
        let _redis = RedisServer::start(&far);
        let mut agent = Agent::start(&near, &format!("{options} -v tcp port 6379"));
        check(&agent, &user("nobody"), 0);
        near.ip(&format!("link del {interface}"));
        agent.wait_for_stderr("interface 'veth0' is gone", 1);
        near.ip(&format!("link add {interface} type veth peer name veth0 netns {}", far.name()));
        for (netns, last) in [(&near, 1), (&far, 2)] {
            netns.ip(&format!("addr add 10.9.0.{last}/24 dev veth0"));
            netns.ip("link set veth0 up");
        }
        agent.wait_for_stderr("interface 'veth0' came: listening on it", 1);
        Client::connect(&near, SERVER).say("ping");
        agent.wait_for_lines(1);
        agent.signal(Signal::SIGINT);
        assert_eq!(agent.wait().status.code(), Some(0));
    }
}

/// Before kernel 6.6 programs are attached as filters, which takes a capability each time.
#[test]
fn filters_take_the_capability_that_is_kept_for_them() {
    let filter = CaptureFilter::parse(&[]).unwrap();
    for (attach, kept) in [(AttachMode::Netlink, NET_ADMIN), (AttachMode::Tcx, 0)] {
        let netns = Netns::new();
        let (dropped, is_dropped) = mpsc::channel();
        let (added, is_added) = mpsc::channel();
        let (netns, filter) = (&netns, &filter);
        // What is told is told by who is inside: a panic ends the waiting.
        thread::scope(move |scope| {
            // Capabilities are a thread's own, and this one ends.
            let capture = scope.spawn(move || {
                netns.run(move || {
                    let config = LiveConfig { attach, ..LiveConfig::new(&["any"], filter) };
                    let mut source = LiveSource::open(&config).unwrap();
                    // Another user would be the whole process's.
                    Privileges::default().drop_all_but(&source.capabilities(), |_| ()).unwrap();
                    let may = fs::read_to_string("/proc/thread-self/status").unwrap();
                    let may = May::read(&may);
                    assert_eq!((may.permitted, may.effective), (kept, kept), "{attach:?}");
                    // Who takes filters off again has no more than that either.
                    let guardians = children().into_iter().filter(|it| it.0 == "tcpkit-guardian");
                    let guardians: Vec<_> = guardians.map(|(_, may)| may.permitted).collect();
                    let expect = if kept == 0 { vec![] } else { vec![NET_ADMIN] };
                    assert_eq!(guardians, expect, "{attach:?}");
                    dropped.send(()).unwrap();
                    is_added.recv().unwrap();
                    eventually("the interface that came is attached to", || {
                        source.read(&mut |_| ControlFlow::Continue(())).unwrap();
                        source.interfaces().contains("later0")
                    });
                });
            });
            if is_dropped.recv().is_ok() {
                netns.ip("link add later0 up type veth peer name later1");
                added.send(()).unwrap();
            }
            capture.join().unwrap();
        });
    }
}

#[test]
fn a_user_can_be_named_and_root_kept() {
    let netns = Netns::new();
    let daemon = user("daemon");
    for option in ["-Z daemon", "--user daemon", "--relinquish-privileges=daemon", "-Z 1"] {
        assert_eq!(daemon.uid.as_raw(), 1);
        let agent = Agent::start_with(&netns, &format!("-i lo {option} tcp"));
        check(&agent, &daemon, 0);
        drop(agent.stop());
    }
    let own = May::read(&fs::read_to_string("/proc/self/status").unwrap());
    for option in ["--keep-root", "-Z root"] {
        let agent = Agent::start_with(&netns, &format!("-i lo {option} tcp"));
        for (name, may) in threads(agent.pid()) {
            assert_eq!(may, own, "{option}: {name}");
        }
        drop(agent.stop());
    }
}

/// As in containers that have no more than the agent.
#[test]
fn a_system_without_users_has_one_all_the_same() {
    let netns = Netns::new();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg("mount --bind /dev/null /etc/passwd && exec \"$0\" \"$@\"");
    command.arg(binary()).args(["-i", "lo", "tcp"]);
    let agent = Agent::spawn(&netns, command);
    check(&agent, &user("nobody"), 0);
    drop(agent.stop());
}

fn ended(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.stdin(Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn whom_one_cannot_become_is_said() {
    let public = PublicCopy::new();
    for (arguments, code, says) in [
        ("-i lo -Z nosuchuser", 1, "there is no user `nosuchuser` (-Z)"),
        ("-i lo -Z daemon --keep-root", 2, "cannot be used with"),
    ] {
        let (found, said) = ended(command(arguments));
        assert_eq!(found, Some(code), "{arguments}: {said}");
        assert!(said.contains(says), "{arguments}: {said}");
    }
    let mut other = Command::new(public.path());
    other.args(["-i", "lo", "-Z", "daemon"]).uid(65534).gid(65534);
    let (code, said) = ended(other);
    assert_eq!((code, said.as_str()), (Some(1), "tcpkit: only root can become `daemon` (-Z)\n"));
}

/// As systemd starts it with `AmbientCapabilities=`.
#[test]
fn who_is_not_root_gives_up_what_was_given() {
    let netns = Netns::new();
    let public = PublicCopy::new();
    let mut command = Command::new("setpriv");
    let capabilities = "+bpf,+net_admin,+perfmon";
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    command.arg(format!("--inh-caps={capabilities}"));
    command.arg(format!("--ambient-caps={capabilities}"));
    command.arg(public.path()).args(["-i", "any", "-p", "redis", "tcp"]);
    let agent = Agent::spawn(&netns, command);
    eventually("privileges are dropped", || {
        threads(agent.pid()).iter().all(|(_, may)| {
            let sets = [may.inheritable, may.permitted, may.effective, may.ambient];
            may.users == [65534; 4] && sets == [0; 4] && may.gets_no_more
        })
    });
    drop(agent.stop());
}

/// A container may have the capabilities for eBPF and not those for becoming another user.
#[test]
fn root_that_cannot_become_another_user_gives_up_capabilities_all_the_same() {
    let netns = Netns::new();
    let start = |option: &str| {
        let mut command = Command::new("setpriv");
        let bounds = "-all,+bpf,+net_admin,+perfmon";
        command.arg(format!("--bounding-set={bounds}")).arg(format!("--inh-caps={bounds}"));
        command.arg(binary());
        command.args(option.split_whitespace()).args(["-i", "lo", "tcp"]);
        command
    };
    let agent = Agent::spawn(&netns, start(""));
    for (name, may) in threads(agent.pid()) {
        assert_eq!((may.users, may.permitted), (vec![0; 4], 0), "{name}");
    }
    let said = agent.stop().stderr;
    assert!(said.contains("cannot become `nobody`: "), "{said}");
    // Who names a user means it.
    let (code, said) = netns.run(|| ended(start("-Z daemon")));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("tcpkit: cannot become `daemon`: "), "{said}");
}

#[test]
fn what_is_read_from_a_file_is_decoded_by_nobody_too() {
    let netns = Netns::new();
    let folder = Folder::new();
    let script = folder.file("a.lua");
    // It tells who it is when it sees a packet, of which this file has some.
    fs::write(
        &script,
        "function process() local f = io.open('/proc/self/status') print(f:read('*a')) \
         tcpkit.stop() end",
    )
    .unwrap();
    let capture = root().join("tests/fixtures/redis/commands.pcap");
    let mut command = command("--script-unsafe -S");
    command.arg(&script).arg("-r").arg(capture);
    let output = netns.run(|| command.output().unwrap());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(May::read(&printed).users, [65534; 4]);
}
