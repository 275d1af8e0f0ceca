//! SIGHUP: what the agent takes on while it goes on.

use std::{fs, path::PathBuf};

use nix::sys::signal::Signal;
use tcpkit_tests::{
    agent::{Agent, command},
    folder::Folder,
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER},
    statistics,
};

/// Says that a reload is over.
const READ: &str = "options were read again";

/// A file of options, and what it names.
struct Config {
    folder: Folder,
    reloads: usize,
}

impl Config {
    fn new(text: &str) -> Self {
        let config = Self { folder: Folder::new(), reloads: 0 };
        config.write(text);
        config
    }

    fn path(&self) -> PathBuf {
        self.folder.file("tcpkit.toml")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    fn start(&self, netns: &Netns, arguments: &str) -> Agent {
        let mut command = command(arguments);
        command.arg("--config").arg(self.path()).current_dir(self.folder.path());
        Agent::spawn(netns, command)
    }

    /// Changes the file, and waits until the agent goes by it.
    fn change(&mut self, agent: &mut Agent, text: &str) {
        self.write(text);
        self.reload(agent);
    }

    fn reload(&mut self, agent: &mut Agent) {
        agent.signal(Signal::SIGHUP);
        self.reloads += 1;
        agent.wait_for_stderr(READ, self.reloads);
    }
}

/// Requests that take no time, and one of 30 ms.
fn talk(client: &mut Client) {
    for _ in 0..10 {
        client.say("ping");
    }
    client.say("debug sleep 0.03");
}

#[test]
fn the_threshold_is_reloaded_in_every_worker() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for options in ["", "--workers 3", "-P off", "-P off --workers 3"] {
        let mut config = Config::new("threshold = 20");
        let arguments = format!("-p redis --format json -i veth0 {options} tcp port 6379");
        let mut agent = config.start(&near, &arguments);
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(&near, SERVER)).collect();
        let mut lines = 0;
        for (text, each) in [("", 1), ("threshold = 0", 11), ("threshold = 1000", 0)] {
            if !text.is_empty() {
                config.change(&mut agent, text);
            }
            clients.iter_mut().for_each(talk);
            lines += 8 * each;
            agent.wait_for_lines(lines);
        }
        // What is typed counts more than what is in the file.
        let finished = agent.stop();
        assert_eq!(finished.lines().len(), lines, "{options}");
        assert_eq!(finished.ledger().total("requests"), 8 * 11 * 3, "{options}");
    }
    let mut config = Config::new("threshold = 0");
    let mut agent = config.start(&near, "-p redis -i veth0 -t 20 tcp port 6379");
    config.change(&mut agent, "threshold = 1");
    talk(&mut Client::connect(&near, SERVER));
    agent.wait_for_printed(" | ", 2);
    assert_eq!(agent.stop().text().lines().count(), 1);
}

#[test]
fn what_is_slow_is_reloaded_and_what_needs_a_new_start_is_said() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let mut config = Config::new("slow = 1000\nmax-flows = 10");
    let mut agent = config.start(&near, "-p redis -i veth0 tcp port 6379");
    let slow = || statistics::get(&near, "/transactions").matches("latency").count();
    let mut client = Client::connect(&near, SERVER);
    talk(&mut client);
    agent.wait_for_printed("debug", 1);
    assert_eq!(slow(), 0);
    config.change(&mut agent, "slow = 20\nmax-flows = 11\nprotocol = 'http'\ncount = 5");
    talk(&mut client);
    eventually("the slow one is kept", || slow() == 1);
    // A file with a mistake changes nothing.
    config.write("slow = 0\nthreshold = 'x'");
    agent.signal(Signal::SIGHUP);
    agent.wait_for_stderr("the options stay as they are", 1);
    talk(&mut client);
    eventually("the slow one is kept", || slow() == 2);
    let said = agent.stop().stderr;
    let warning = "a change of these options needs a new start: count, max-flows";
    assert!(said.lines().any(|line| line.ends_with(warning)), "{said}");
    assert!(said.contains("invalid value 'x' for '--threshold <MS>'"), "{said}");
}

#[test]
fn a_script_is_loaded_anew() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let mut config = Config::new("script = 'a.lua'\narguments = ['first']");
    let script = config.folder.file("a.lua");
    let write = |name: &str, more: &str| {
        let text = format!(
            "function init(words) print('{name} init ' .. words[1]) tcpkit.metric('made_by_{name}', {{}}, 1) end
             function transaction(t) print('{name} ' .. t.operation) end
             function finish() print('{name} finish') tcpkit.metric('ended_by_{name}', {{}}, 1) end {more}"
        );
        fs::write(&script, text).unwrap();
    };
    write("one", "");
    let mut agent = config.start(&near, "-p redis -i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    let metrics = || statistics::get(&near, "/metrics");
    client.say("ping");
    agent.wait_for_printed("one PING", 1);
    assert!(metrics().contains("made_by_one 1"));

    write("two", "");
    config.change(&mut agent, "script = 'a.lua'\narguments = ['second']\nthreshold = 20");
    talk(&mut client);
    agent.wait_for_printed("two DEBUG", 1);
    let text = metrics();
    assert!(text.contains("made_by_two 1") && !text.contains("by_one"), "{text}");

    // Mistakes leave the one that runs, and what it counted.
    for (text, says) in [
        ("for x", "a.lua:1: '=' or 'in' expected"),
        ("x = 1", "has none of the functions that are called"),
        ("function process(p) end", "now has the function process"),
        ("error('not today', 0)", "not today"),
        ("pcall(tcpkit.stop) error('and not tomorrow', 0)", "and not tomorrow"),
    ] {
        fs::write(&script, text).unwrap();
        config.reload(&mut agent);
        agent.wait_for_stderr(says, 1);
        client.say("debug sleep 0.03");
    }
    fs::remove_file(&script).unwrap();
    config.reload(&mut agent);
    agent.wait_for_stderr("cannot read the script", 1);
    agent.wait_for_printed("two DEBUG", 6);
    assert!(metrics().contains("made_by_two 1"));
    // None instead of one.
    config.change(&mut agent, "");
    agent.wait_for_stderr("needs a new start: script", 1);
    let finished = agent.stop();
    let printed = finished.text();
    let expect = ["one init first", "one PING", "one finish", "two init second"]
        .into_iter()
        .chain(["two DEBUG SLEEP"; 6])
        .chain(["two finish"]);
    assert_eq!(printed.lines().collect::<Vec<_>>(), expect.collect::<Vec<_>>());
    assert!(finished.stderr.contains("7 calls of the script"), "{}", finished.stderr);
}

#[test]
fn a_reload_without_anything_to_read_changes_nothing() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let mut agent = Agent::start(&near, "-i veth0 -t 20 tcp port 6379");
    for _ in 0..3 {
        agent.signal(Signal::SIGHUP);
    }
    agent.wait_for_stderr(READ, 1);
    talk(&mut Client::connect(&near, SERVER));
    agent.wait_for_lines(1);
    assert_eq!(agent.stop().lines().len(), 1);
}
