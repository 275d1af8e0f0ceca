//! Scripts that loop or allocate without end: they are ended, and the run goes on.

use std::fs;

use tcpkit_tests::{
    agent::{Agent, Finished},
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER},
    script::{Script, fixture},
};

/// Runs a body once, in the first call; the rest of the packets have to come all the same.
fn run_once(body: &str, arguments: &str) -> Finished {
    let text = format!(
        "local n = 0
         function process(p)
             n = n + 1
             if n == 1 then
                 {body}
             end
         end
         function finish() print(n) end"
    );
    let capture = fixture("redis/commands");
    let run = Script::new(text).run(&format!("-r {} {arguments}", capture.display()));
    assert_eq!(run.status.code(), Some(0), "{body}: {}", run.stderr);
    assert_eq!(run.text(), "144\n", "{body}: {}", run.stderr);
    assert!(run.stderr.contains("SCRIPT: 1 calls "), "{body}: {}", run.stderr);
    run.ledger().check_sums();
    run
}

#[test]
fn loops_without_end_are_ended_wherever_they_are() {
    const LOOP: &str = "while true do end";
    for body in [
        LOOP.to_owned(),
        "repeat until false".into(),
        "::again:: goto again".into(),
        "local function f() return f() end f()".into(),
        format!("pcall(function() {LOOP} end) {LOOP}"),
        format!("while true do pcall(function() {LOOP} end) end"),
        format!("while true do xpcall(error, function() {LOOP} end) end"),
        format!("xpcall(function() {LOOP} end, function() {LOOP} end) {LOOP}"),
        format!("coroutine.wrap(function() {LOOP} end)()"),
        format!("while true do coroutine.resume(coroutine.create(function() {LOOP} end)) end"),
        format!(
            "local co = coroutine.create(function() while true do pcall(function() {LOOP} end) end end) \
             while true do coroutine.resume(co) end"
        ),
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) \
         while true do co() end"
            .into(),
        format!("local x = setmetatable({{}}, {{ __index = function() {LOOP} end }}).x"),
        format!("local x = setmetatable({{}}, {{ __add = function() {LOOP} end }}) + 1"),
        format!("print(setmetatable({{}}, {{ __tostring = function() {LOOP} end }}))"),
        format!("error(setmetatable({{}}, {{ __tostring = function() {LOOP} end }}))"),
        format!("tcpkit.emit(setmetatable({{}}, {{ __pairs = function() {LOOP} end }}))"),
        format!("string.gsub('aaa', 'a', function() {LOOP} end)"),
        format!("table.sort({{ 1, 2, 3 }}, function() {LOOP} end)"),
        format!("load(function() {LOOP} end)"),
        format!("for x in (function() {LOOP} end) do end"),
    ] {
        // A coroutine's yields are instructions of several.
        let run = run_once(&body, "--script-budget 1");
        let says = "it ran for more than 1000000 instructions: a loop without end?";
        assert!(run.stderr.contains(says), "{body}: {}", run.stderr);
        assert!(run.stderr.contains("script.lua:5: in function"), "where: {body}: {}", run.stderr);
    }
}

#[test]
fn a_finalizer_which_nothing_could_end_is_refused() {
    let body = "setmetatable({}, { __gc = function() while true do end end }) collectgarbage()";
    let run = run_once(body, "--script-budget 1");
    assert!(run.stderr.contains("__gc is off"), "{}", run.stderr);
}

/// What ended one call does not shorten the next, and what one call used the next has again.
#[test]
fn each_call_has_the_whole_budget() {
    let text = r"
        local n = 0
        function process(p)
            n = n + 1
            for i = 1, n % 3 == 0 and 1e9 or 1e5 do end
            io.write '.'
        end";
    let script = Script::new(text);
    let run = script.run(&format!("-r {} --script-budget 1", fixture("redis/commands").display()));
    assert_eq!(run.text(), ".".repeat(96), "{}", run.stderr);
    assert!(run.stderr.contains("SCRIPT: 48 calls "), "{}", run.stderr);
}

#[test]
fn memory_has_a_limit_that_is_named() {
    for body in [
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = ('x'):rep(1e10)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local co = {} while true do co[#co + 1] = coroutine.create(print) end",
        "local s = ('x'):rep(2 ^ 20) local t = {} while true do t[#t + 1] = s .. #t end",
        "local s = string.gsub(('x'):rep(2 ^ 20), 'x', ('y'):rep(1000))",
    ] {
        let run = run_once(body, "--script-budget 0,32");
        let says =
            "the script failed in process: the script needs more than 32 MiB (--script-budget";
        assert!(run.stderr.contains(says), "{body}: {}", run.stderr);
    }
}

/// Memory in kB, as the kernel counts it: now, and at most so far.
fn resident_kb(agent: &Agent, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn an_agent_whose_script_keeps_everything_stays_small() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    // Without a limit this would come to 240 MB.
    let script = Script::new(
        r"
        all = {}
        function process(p)
            if p.size == 0 then return end
            for i = 1, 4e4 do all[#all + 1] = { p, i } end
        end
        ",
    );
    let mut agent = script.start(&near, "--script-budget 100,24 -i veth0 tcp port 6379");
    let before = resident_kb(&agent, "VmRSS");
    let mut client = Client::connect(&near, SERVER);
    for _ in 0..30 {
        client.say("ping");
    }
    client.say_goodbye();
    agent.wait_for_stderr("the script needs more than 24 MiB", 1);
    // Whatever was captured is handed over, however the calls end.
    eventually("all packets are handed over", || {
        agent.report().total("packets handed to the script") > 60
    });
    let most = resident_kb(&agent, "VmHWM");
    assert!(most < before + 48 * 1024, "{before} kB, {most} kB");
    let finished = agent.stop();
    finished.ledger().check_no_loss();
}
