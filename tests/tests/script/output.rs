//! What scripts print: one stream, in order, bytes as they are; and modules beside the script.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    process::Stdio,
};

use tcpkit_tests::{
    agent::Agent,
    netns::Netns,
    redis::{Client, RedisServer, SERVER},
    script::{Script, finished, fixture},
};

fn run(script: &Script) -> tcpkit_tests::agent::Finished {
    script.run(&format!("-r {} -c 1", fixture("redis/commands").display()))
}

#[test]
fn all_ways_to_print_are_one_stream() {
    let script = Script::new(
        r"
        print('loaded')
        function init() io.write('init ', 1, ' ', 2.5, '\n') end
        function process(p)
            print('a', nil, true, 1, 0.5)
            io.write('b'):write('c', 'd'):write('\n')
            io.stdout:write('e'):write('\n'):flush()
            tcpkit.emit { f = 1 }
            io.output():write('g\n')
            io.stdout:setvbuf('no')
            print()
            assert(io.type(io.stdout) == 'file' and io.stdout:flush() == io.stdout)
        end
        function finish() io.stdout:write('last') end
        ",
    );
    let run = run(&script);
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    let expect = "loaded\ninit 1 2.5\na\tnil\ttrue\t1\t0.5\nbcd\ne\n{\"f\":1}\ng\n\nlast";
    assert_eq!(run.text(), expect, "{}", run.stderr);
}

#[test]
fn bytes_pass_as_they_are() {
    let script = Script::new(
        r"
        local all = {}
        for at = 0, 255 do all[#all + 1] = string.char(at) end
        all = table.concat(all)
        function process(p) print(all, all) io.write(all) io.stderr:write('to stderr ', 1, '\n') end
        ",
    );
    let run = run(&script);
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(run.stdout, [&all[..], b"\t", &all, b"\n", &all].concat(), "{}", run.stderr);
    assert!(run.stderr.contains("to stderr 1\n"), "{}", run.stderr);
}

/// Lines of the agent's own go to the same place, each whole.
#[test]
fn lines_beside_a_script_stay_whole() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new("function transaction(t) print(('x'):rep(5000)) end");
    let agent = script.start(&near, "-p redis --print -i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    for at in 0..300 {
        client.say(&format!("echo {at}"));
    }
    agent.wait_for_lines(600);
    let finished = agent.stop();
    let (ours, lines): (Vec<_>, Vec<_>) =
        finished.text().lines().partition(|line| line.starts_with('x'));
    assert_eq!((ours.len(), lines.len()), (300, 300));
    assert!(ours.iter().all(|line| line.len() == 5000));
    assert!(lines.iter().all(|line| line.contains(" | echo ")), "{lines:?}");
}

const MUCH: &str = "function process(p) for i = 1, 1000 do print(('x'):rep(1000)) end end";

#[test]
fn a_closed_pipe_ends_the_run_in_silence() {
    let script = Script::new(MUCH);
    let mut command = script.command(&format!("-r {}", fixture("redis/load").display()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim_end().len(), 1000);
    let run = finished(child.wait_with_output().unwrap());
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn a_closed_pipe_ends_a_live_run_too() {
    let netns = Netns::new();
    let script = Script::new("function tick(now) print(now) end");
    let mut command = script.command("-i lo");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = netns.run(|| command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.trim_end().parse::<u64>().is_ok(), "{line}");
    let run = finished(child.wait_with_output().unwrap());
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
}

#[test]
fn a_full_disk_is_an_error() {
    for text in [MUCH, "function finish() print('x') end", "print('x') function finish() end"] {
        let script = Script::new(text);
        let mut command = script.command(&format!("-r {}", fixture("redis/commands").display()));
        command.stdout(File::create("/dev/full").unwrap());
        let run = finished(command.output().unwrap());
        assert_eq!(run.status.code(), Some(1), "{text}: {}", run.stderr);
        assert!(run.stderr.contains("cannot write the output: No space left"), "{}", run.stderr);
    }
}

#[test]
fn packets_are_written_to_a_file_beside_the_script() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script =
        Script::new("local n = 0 function process(p) n = n + 1 end function finish() print(n) end");
    let file = script.folder().file("a.pcap");
    let agent = script.start(&near, &format!("-i veth0 -w {} tcp port 6379", file.display()));
    let mut client = Client::connect(&near, SERVER);
    for _ in 0..20 {
        client.say("ping");
    }
    client.say_goodbye();
    let finished = agent.stop();
    let (_, packets) = tcpkit_tests::tcpdump::read(&file);
    assert_eq!(finished.text(), format!("{}\n", packets.len()));
    assert_eq!(finished.ledger().total("written"), packets.len() as u64);
    assert!(packets.len() > 40);
}

#[test]
fn modules_are_found_beside_the_script() {
    let script = Script::new(
        r"
        local one, two, three = require 'one', require('sub.two'), require 'three'
        assert(require 'one' == one and package.loaded.one == one and require 'tcpkit' == tcpkit)
        function process(p) print(one.name, two, three) end
        ",
    )
    .beside("one.lua", "#!/usr/bin/lua\nreturn { name = ... }")
    .beside("sub/two.lua", "return require('sub.more') .. '2'")
    .beside("sub/more.lua", "return 'more'")
    .beside("three/init.lua", "return 3");
    let expect = "one\tmore2\t3\n";
    let run = run(&script);
    assert_eq!(run.text(), expect, "{}", run.stderr);
    // By a relative path, from its own folder and from others.
    fs::create_dir(script.folder().file("else")).unwrap();
    for (folder, path) in
        [(".", "script.lua"), (".", "./script.lua"), ("else", "../script.lua"), ("..", "")]
    {
        let mut command = tcpkit_tests::agent::command("-c 1");
        command.arg("-r").arg(fixture("redis/commands")).arg("-S");
        match path {
            "" => command.arg(script.path()),
            path => command.arg(path),
        };
        command.current_dir(script.folder().file(folder));
        let run = finished(command.output().unwrap());
        assert_eq!(run.text(), expect, "{folder} {path}: {}", run.stderr);
    }
    // With --script-unsafe Lua looks itself.
    let all =
        script.run(&format!("--script-unsafe -r {} -c 1", fixture("redis/commands").display()));
    assert_eq!(all.status.code(), Some(0), "{}", all.stderr);
    assert_eq!(all.text(), expect);
}

#[test]
fn modules_that_are_missing_or_broken_stop_the_start() {
    for (name, files, expect) in [
        ("nothing", &[][..], "module 'nothing' not found"),
        ("wrong", &[("wrong.lua", "\nreturn return")][..], "wrong.lua:2: "),
        ("fails", &[("fails.lua", "\n\nerror('boom')")][..], "fails.lua:3: boom"),
        ("../up", &[][..], "is no name of a module"),
        ("/etc/passwd", &[][..], "is no name of a module"),
    ] {
        let script = Script::new(format!("local m = require '{name}' function process() end"));
        let script = files.iter().fold(script, |script, (name, text)| script.beside(name, text));
        let run = run(&script);
        assert_eq!(run.status.code(), Some(1), "{name}: {}", run.stderr);
        assert!(run.stderr.contains(expect), "{name}: {}", run.stderr);
        assert!(run.stderr.starts_with("tcpkit: the script "), "{}", run.stderr);
    }
}

/// The agent does not mix up what one script prints with another's: each run has its own.
#[test]
fn old_scripts_print_the_packets_type_by_the_name_of_a_function() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new(
        r"
        function process(p)
            assert(type(p) == 'table' and tostring(type) == p.type)
            io.write(string.format('%s|', type))
        end
        function finish() print(tostring(type):match '^function') end
        ",
    );
    let agent: Agent = script.start(&near, "-i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    client.say("ping");
    client.say_goodbye();
    let finished = agent.stop();
    let text = finished.text();
    assert!(text.starts_with("request|response|request|request|"), "{text}");
    assert!(text.ends_with("|function\n"), "{text}");
}
