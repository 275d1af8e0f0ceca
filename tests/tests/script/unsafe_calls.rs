//! What scripts may not do, and may with `--script-unsafe`.

use std::{fs, io::Write, process::Stdio};

use tcpkit_tests::{
    agent::Finished,
    netns::Netns,
    redis::{Client, RedisServer, SERVER},
    script::{Script, finished, fixture},
};

/// Runs a body once, with a capture to read.
fn run_in(body: &str, arguments: &str) -> (Script, Finished) {
    let script = Script::new(format!("function process(p)\n{body}\nend"))
        .beside("file", "one line\n")
        .beside("more.lua", "return 'more'");
    let mut command =
        script.command(&format!("-r {} -c 1 {arguments}", fixture("redis/commands").display()));
    let run = finished(command.current_dir(script.folder().path()).output().unwrap());
    (script, run)
}

#[test]
fn what_is_off_says_so_by_its_name() {
    for (name, call) in [
        ("os.exit", "os.exit(1)"),
        ("os.execute", "os.execute('touch made')"),
        ("os.remove", "os.remove('file')"),
        ("os.rename", "os.rename('file', 'made')"),
        ("os.tmpname", "os.tmpname()"),
        ("os.setlocale", "os.setlocale('C')"),
        ("io.open", "io.open('made', 'w')"),
        ("io.popen", "io.popen('touch made')"),
        ("io.lines", "io.lines('file')"),
        ("io.input", "io.input('file')"),
        ("io.output", "io.output('made')"),
        ("io.read", "io.read()"),
        ("io.tmpfile", "io.tmpfile()"),
        ("io.close", "io.close()"),
        ("io.stdin:read", "io.stdin:read()"),
        ("dofile", "dofile('more.lua')"),
        ("loadfile", "loadfile('more.lua')"),
        ("load of compiled chunks", "load(string.dump(function() end))"),
        ("load of compiled chunks", "load('return 1', 'x', 'b')"),
        ("package.searchpath", "package.searchpath('more', '?.lua')"),
        ("package.loadlib", "package.loadlib('libc.so.6', 'exit')"),
    ] {
        let (script, run) = run_in(call, "");
        assert_eq!(run.status.code(), Some(0), "{call}: {}", run.stderr);
        let says = format!("script.lua:2: {name} is off");
        assert!(run.stderr.contains(&says), "{call}: {}", run.stderr);
        let can_be_had = run.stderr.contains("--script-unsafe allows it");
        assert_eq!(can_be_had, name != "package.loadlib", "{call}: {}", run.stderr);
        assert!(run.stderr.contains("SCRIPT: 1 calls "), "{call}: {}", run.stderr);
        assert!(!script.folder().file("made").exists(), "{call}");
        assert!(script.folder().file("file").exists(), "{call}");
        // It is an error as others are: a script may catch it.
        let (_, run) = run_in(&format!("print(pcall(function() {call} end))"), "");
        assert!(run.text().starts_with("false\t"), "{call}: {}", run.stderr);
    }
}

/// No way around: the functions that are off are nowhere else.
#[test]
fn what_is_off_is_off_by_every_way() {
    for (body, expect) in [
        ("pairs, next, tostring = nil print(tcpkit.emit(p))", "{"),
        ("print(require 'io' == io, require 'os' == os)", "true\ttrue\n"),
        ("print(package.loaded.io == io, package.loaded.debug == debug)", "true\ttrue\n"),
        ("print(debug.getregistry, debug.getupvalue, debug.sethook)", "nil\tnil\tnil\n"),
        ("print(getmetatable(io.stdout).__index.open, io.stdout.open)", "nil\tnil\n"),
        ("print(load(function() return nil end))", "function"),
        (
            "print((load(coroutine.wrap(function() coroutine.yield(string.dump(print and function() end)) end))))",
            "nil\n",
        ),
        ("package.path = './?.lua' print(pcall(require, 'file'))", "false\t"),
        ("package.cpath = '/lib/?.so' print(pcall(require, 'libc'))", "false\t"),
    ] {
        let (_, run) = run_in(body, "");
        assert!(run.text().starts_with(expect), "{body}: {:?} {}", run.text(), run.stderr);
    }
}

#[test]
fn dates_times_and_the_environment_are_on() {
    let body = "print(os.date('!%Y', 0), os.time { year = 2020, month = 1, day = 2, hour = 0 }, \
                type(os.clock()), os.getenv 'HOME', os.difftime(5, 3))";
    let script = Script::new(format!("function finish() {body} end"));
    let mut command = script.command(&format!("-r {}", fixture("redis/commands").display()));
    let run = finished(command.env("TZ", "UTC").env("HOME", "/nowhere").output().unwrap());
    assert_eq!(run.text(), "1970\t1577923200\tnumber\t/nowhere\t2\n", "{}", run.stderr);
}

#[test]
fn what_is_off_is_on_where_the_user_says_so() {
    for (call, printed) in [
        ("print(os.execute 'exit 3')", "nil\texit\t3\n"),
        (
            "print(os.remove 'file', io.open 'file')",
            "true\tnil\tfile: No such file or directory\t2\n",
        ),
        ("print(os.rename('file', 'made'), io.open('made'):read '*l')", "true\tone line\n"),
        (
            "local f = io.open('made', 'w') f:write('x', 1) f:close() print(io.open('made'):read '*a')",
            "x1\n",
        ),
        ("print(io.popen('echo hi'):read '*a')", "hi\n\n"),
        ("for line in io.lines 'file' do print(line) end", "one line\n"),
        ("print(dofile 'more.lua', loadfile 'more.lua' ())", "more\tmore\n"),
        ("print(load(string.dump(function() return 5 end))())", "5\n"),
        ("print(require 'more')", "more\n"),
        (
            "io.output('made') io.write 'x' io.output():close() print(io.open('made'):read '*a')",
            "x\n",
        ),
        ("io.write 'a' print 'b' io.stdout:write 'c'", "ab\nc"),
        ("local f = io.tmpfile() f:write 'x' f:seek 'set' print(f:read '*a')", "x\n"),
    ] {
        let (_, run) = run_in(call, "--script-unsafe");
        assert_eq!(run.status.code(), Some(0), "{call}: {}", run.stderr);
        assert_eq!(run.text(), printed, "{call}: {}", run.stderr);
    }
    let (script, run) = run_in("io.open('kept', 'w'):write 'data'", "--script-unsafe");
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert_eq!(fs::read(script.folder().file("kept")).unwrap(), b"data");
}

#[test]
fn a_capture_that_comes_by_standard_input_is_not_the_scripts() {
    let script =
        Script::new("local n = 0 function process() n = n + 1 end function finish() print(n) end");
    let mut command = script.command("-r -");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let capture = fs::read(fixture("redis/commands")).unwrap();
    child.stdin.take().unwrap().write_all(&capture).unwrap();
    assert_eq!(finished(child.wait_with_output().unwrap()).text(), "144\n");
}

#[test]
fn exit_ends_the_agent_with_its_code() {
    for (code, expect) in [("3", 3), ("", 0), ("true", 0), ("false", 1), ("0", 0), ("255", 255)] {
        let (_, run) =
            run_in(&format!("print 'before' os.exit({code}) print 'behind'"), "--script-unsafe");
        assert_eq!(
            (run.status.code(), run.text()),
            (Some(expect), "before\n"),
            "{code}: {}",
            run.stderr
        );
        assert!(!run.stderr.contains("SCRIPT"), "{}", run.stderr);
    }
    for text in
        ["print 'x' os.exit(4)", "function init() print 'x' os.exit(4) end function tick() end"]
    {
        let script = Script::new(text);
        let capture = fixture("redis/commands");
        let run = script.run(&format!("--script-unsafe -r {}", capture.display()));
        assert_eq!((run.status.code(), run.text()), (Some(4), "x\n"), "{}", run.stderr);
    }
}

#[test]
fn exit_takes_the_programs_off_first() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new("function transaction(t) print(t.request) os.exit(3) end");
    let agent = script.start(&near, "-p redis --script-unsafe -i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    client.say("ping");
    let finished = agent.wait();
    assert_eq!(
        (finished.status.code(), finished.text()),
        (Some(3), "ping\n"),
        "{}",
        finished.stderr
    );
    finished.ledger().check_sums();
    let programs = near.run(|| {
        use aya::programs::{SchedClassifier, TcAttachType};
        [TcAttachType::Ingress, TcAttachType::Egress]
            .map(|hook| SchedClassifier::query_tcx("veth0", hook).unwrap().1.len())
    });
    assert_eq!(programs, [0, 0]);
    assert_eq!(client.say("ping"), b"+PONG\r\n");
}
