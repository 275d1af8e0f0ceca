//! Requests in a file, and files of packets, as a service writes them: moved away and begun anew.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tcpkit_tests::{
    agent::{Agent, command},
    folder::Folder,
    netns::{Netns, eventually},
    process::root,
    redis::{Client, RedisServer, SERVER, run_benchmark},
    statistics::{self, metric},
};

const NOBODY: u32 = 65534;

fn start(netns: &Netns, folder: &Folder, arguments: &str) -> Agent {
    let mut command = command(arguments);
    command.args(["-i", "veth0", "-p", "redis", "tcp", "port", "6379"]);
    command.current_dir(folder.path());
    Agent::spawn(netns, command)
}

#[test]
fn no_request_is_missing_when_files_are_moved_away_under_load() {
    const COUNT: usize = 60_000;
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for workers in [1, 3] {
        let folder = Folder::new();
        let options = format!("-o requests.json --format json --workers {workers}");
        let mut agent = start(&near, &folder, &options);
        let name = |number: usize| folder.file(&format!("requests.json.{number}"));
        let mut moved = 0;
        std::thread::scope(|scope| {
            let load =
                scope.spawn(|| run_benchmark(&near, &format!("-t set,get -n {} -c 20", COUNT / 2)));
            while !load.is_finished() && moved < 20 {
                moved += 1;
                fs::rename(folder.file("requests.json"), name(moved)).unwrap();
                agent.signal(Signal::SIGHUP);
                agent.wait_for_stderr("options were read again", moved);
            }
            load.join().unwrap();
        });
        let finished = agent.stop();
        finished.ledger().check_no_loss();
        assert!(moved >= 2, "{moved}");
        let mut texts = vec![fs::read_to_string(folder.file("requests.json")).unwrap()];
        texts.extend((1..=moved).map(|number| fs::read_to_string(name(number)).unwrap()));
        let lines = || texts.iter().flat_map(|text| text.lines());
        assert!(lines().all(|line| serde_json::from_str::<Value>(line).unwrap().is_object()));
        // redis-benchmark asks for the configuration first.
        let count = |operation: &str| {
            let operation = format!("\"operation\":\"{operation}\"");
            lines().filter(|line| line.contains(&operation)).count()
        };
        assert_eq!((count("SET"), count("GET")), (COUNT / 2, COUNT / 2));
        assert!(finished.stdout.is_empty());
    }
}

#[test]
fn a_file_is_whole_after_sigterm_and_goes_on_after_a_new_start() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let folder = Folder::new();
    let mut client = Client::connect(&near, SERVER);
    for turn in 1..=2 {
        let agent = start(&near, &folder, "-o requests -w packets.pcapng");
        for _ in 0..100 {
            client.say("ping");
        }
        agent.signal(Signal::SIGTERM);
        let finished = agent.wait();
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        finished.ledger().check_no_loss();
        let text = fs::read_to_string(folder.file("requests")).unwrap();
        assert_eq!(text.lines().filter(|line| line.ends_with("| ping")).count(), 100 * turn);
        assert_eq!(text.lines().count(), 100 * turn);
        let again = command("-p redis -r packets.pcapng").current_dir(folder.path()).output();
        let again = again.unwrap();
        assert_eq!(again.stdout.iter().filter(|byte| **byte == b'\n').count(), 100);
        assert!(finished.stdout.is_empty());
    }
    // It is the agent's user's, who has to open it anew.
    assert_eq!(fs::metadata(folder.file("requests")).unwrap().uid(), NOBODY);
}

#[test]
fn what_cannot_be_opened_is_said_and_lines_go_on() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let output = near.run(|| command("-p redis -i veth0 -o /nowhere/x tcp").output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        said,
        "tcpkit: cannot write to /nowhere/x (-o): No such file or directory (os error 2)\n"
    );

    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut agent = start(&near, &folder, "-o requests");
    let mut client = Client::connect(&near, SERVER);
    client.say("set a 1");
    fs::rename(folder.file("requests"), folder.file("moved")).unwrap();
    agent.signal(Signal::SIGHUP);
    agent.wait_for_stderr("cannot open requests anew: Permission denied", 1);
    agent.wait_for_stderr("options were read again", 1);
    client.say("set a 2");
    drop(agent.stop());
    let text = fs::read_to_string(folder.file("moved")).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
}

/// Who may write to the folder must not make root write to, or give away, what is not his.
#[test]
fn links_of_others_are_not_followed() {
    let netns = Netns::new();
    let folder = Folder::new();
    let (victim, link) = (folder.file("victim"), folder.file("link"));
    fs::write(&victim, "secret\n").unwrap();
    symlink(&victim, &link).unwrap();
    let start = |arguments: &str| {
        let mut command = command(arguments);
        command.args(["-i", "lo", "-p", "redis", "tcp"]).current_dir(folder.path());
        netns.run(|| command.output().unwrap())
    };
    lchown(&link, Some(NOBODY), Some(NOBODY)).unwrap();
    for options in ["-o link", "-w link", "-w link -C 1"] {
        let output = start(options);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{options}: {said}");
        assert!(said.contains("it is a link that another user made"), "{options}: {said}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "secret\n");
    }
    // Root's own are; but what was there is not given away.
    lchown(&link, Some(0), Some(0)).unwrap();
    let mut command = command("-o link -i lo -p redis tcp");
    command.current_dir(folder.path());
    drop(Agent::spawn(&netns, command).stop());
    assert_eq!(fs::metadata(&victim).unwrap().uid(), 0);
}

#[test]
fn a_pipe_that_nobody_reads_hinders_nobody() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let folder = Folder::new();
    nix::unistd::mkfifo(&folder.file("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut nobody = command("-p redis -i veth0 -o pipe tcp");
    nobody.current_dir(folder.path());
    let output = near.run(|| nobody.output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "tcpkit: cannot write to pipe (-o): it is a pipe that nobody reads\n");

    // Somebody has it open, and does not read.
    let pipe = fs::OpenOptions::new().read(true).write(true).open(folder.file("pipe")).unwrap();
    let agent = start(&near, &folder, "-o pipe");
    run_benchmark(&near, "-t ping_mbulk -n 50000 -c 20");
    agent.signal(Signal::SIGHUP);
    for _ in 0..3 {
        assert_eq!(statistics::get(&near, "/healthz"), "ok\n");
    }
    // Nobody takes what was known before for what is.
    eventually("the ledger is known to be old", || {
        let age = metric(&statistics::get(&near, "/metrics"), "tcpkit_ledger_age_seconds");
        age.unwrap() >= 3.0
    });
    let mut events = statistics::Events::listen(&near);
    eventually("listeners are told", || {
        let (name, data) = events.receive();
        name == "tick" && data["ledger"]["is_stale"] == true
    });
    agent.signal(Signal::SIGTERM);
    agent.signal(Signal::SIGHUP);
    // Later than it would be the first one's twin.
    std::thread::sleep(std::time::Duration::from_millis(600));
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait().status.code(), Some(130));
    drop(pipe);
}

#[test]
fn a_full_disk_costs_lines_that_are_counted() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let folder = Folder::with_room(64 * 1024);
    let mut agent = start(&near, &folder, "-o requests.json --format json");
    let mut client = Client::connect(&near, SERVER);
    (0..1000).for_each(|_| drop(client.say("echo x")));
    agent.wait_for_stderr("No space left on device", 1);
    fs::rename(folder.file("requests.json"), folder.file("full.json")).unwrap();
    let full = fs::read_to_string(folder.file("full.json")).unwrap();
    fs::remove_file(folder.file("full.json")).unwrap();
    agent.signal(Signal::SIGHUP);
    agent.wait_for_stderr("options were read again", 1);
    client.say("echo last");
    agent.wait_for_stderr("requests.json takes lines again", 1);
    agent.signal(Signal::SIGTERM);
    let finished = agent.wait();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let rest = fs::read_to_string(folder.file("requests.json")).unwrap();
    let lines: Vec<_> = full.lines().chain(rest.lines()).collect();
    assert!(lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    let lost = 1001 - lines.len();
    let said = format!("NOT WRITTEN: {lost} lines are missing from the output (-o)");
    assert!(finished.stderr.contains(&said), "{said}: {}", finished.stderr);
    assert!(rest.contains("last") && lost > 0);
}

#[test]
fn files_that_another_run_left_do_not_hinder() {
    let netns = Netns::new();
    let capture = root().join("tests/fixtures/redis/load.pcap");
    for mode in [0o777, 0o1777] {
        let folder = Folder::new();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        for turn in 0..2 {
            let mut command = command("-w part -C 8k -W 3 -r");
            command.arg(&capture).current_dir(folder.path());
            let output = command.output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && !said.contains("WARN"), "{mode:o} {turn}: {said}");
            // As an older version would have left them, which stayed root.
            if mode == 0o777 {
                for name in ["part0", "part1", "part2"] {
                    chown(folder.file(name), Some(0), Some(0)).unwrap();
                }
            }
            let mut command = self::command("-o requests -i lo -p redis tcp");
            command.current_dir(folder.path());
            drop(Agent::spawn(&netns, command).stop());
        }
    }
}

#[test]
fn capture_files_that_are_begun_later_are_the_users() {
    let capture = root().join("tests/fixtures/redis/load.pcap");
    let split = |folder: &Folder, options: &str| {
        let mut command = command(options);
        command.arg("-r").arg(&capture).args(["-w", "part", "-C", "8k", "-W", "3"]);
        command.current_dir(folder.path()).stdin(Stdio::null());
        command.output().unwrap()
    };
    let folder = Folder::new();
    let output = split(&folder, "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("WARN"), "{said}");
    for name in ["part0", "part1", "part2"] {
        assert_eq!(fs::metadata(folder.file(name)).unwrap().uid(), NOBODY, "{name}");
    }

    // Where they could not be begun nothing is captured at all.
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = split(&folder, "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("are begun later, as the user nobody"), "{said}");
    assert!(split(&folder, "--keep-root").status.success());

    // One file is opened before, wherever it is.
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let file = folder.file("whole");
    let status = Command::new(tcpkit_tests::agent::binary())
        .arg("-r")
        .arg(&capture)
        .arg("-w")
        .arg(&file)
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    assert_eq!(fs::metadata(&file).unwrap().uid(), 0);
    assert!(fs::metadata(&file).unwrap().len() > 10_000);
}
