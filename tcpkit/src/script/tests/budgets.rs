//! Scripts that fail, never end, or want too much.

use super::*;
use crate::simulation::Connection as Simulated;

/// Runs `process` over five packets.
fn five(process: &str, trial: Trial) -> Outcome {
    let frames = Simulated::open().ask("a").answer("b").frames();
    let script = format!(
        "local calls = 0\nfunction process(packet) calls = calls + 1\n{process}\nend\n\
         function finish() print(calls) end"
    );
    Trial { frames, ..trial }.run(&script)
}

#[test]
fn errors_are_counted_and_the_run_goes_on() {
    let outcome = five("if calls > 2 then error('no ' .. nil) end", Trial::default());
    assert_eq!((outcome.printed.as_str(), outcome.errors), ("5\n", 3));
    let outcome = five("error({})", Trial::default());
    assert_eq!((outcome.printed.as_str(), outcome.errors), ("5\n", 5));
}

#[test]
fn when_it_is_strict_the_first_error_ends_the_run() {
    let trial = Trial { is_strict: true, ..Trial::default() };
    let outcome = five("local x = packet.nothing.more", trial);
    let ended = outcome.ended.expect("an end");
    assert!(ended.starts_with("the script failed in process: "), "{ended}");
    assert!(ended.contains("test.lua:3: attempt to index field 'nothing'"), "{ended}");
    assert!(ended.contains("\nstack traceback:\n"), "{ended}");
    assert_eq!((outcome.printed.as_str(), outcome.errors), ("", 1), "nothing is called any more");
}

#[test]
fn loops_without_end_are_ended_however_they_are_made() {
    for process in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function again() return again() end again()",
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "setmetatable({}, { __index = function() while true do end end }).x = nil \
         return setmetatable({}, { __index = function() while true do end end }).x",
        "('x'):gsub('x', function() while true do end end)",
        "table.sort({ 1, 2, 3 }, function() while true do end end)",
        "local f = load('while true do end') f()",
        "repeat local ok = pcall(error) until false",
        "while true do xpcall(function() while true do end end, function(e) while true do end end) end",
        "local function spin() while true do end end \
         coroutine.wrap(function() pcall(spin) end)() while true do pcall(spin) end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        // The hook looks at every instruction of the inner coroutine only.
        "local function spin() for i = 1, 1e6 do local x = i end end \
         coroutine.wrap(function() \
             coroutine.resume(coroutine.create(function() while true do end end)) \
             while true do pcall(spin) end \
         end)()",
    ] {
        let outcome = five(process, Trial::default());
        assert_eq!((outcome.printed.as_str(), outcome.errors), ("5\n", 5), "{process}");
    }
    let trial = Trial { is_strict: true, ..Trial::default() };
    let ended = five("while true do end", trial).ended.expect("an end");
    assert!(ended.contains("test.lua:3: it ran for more than 1000000 instructions"), "{ended}");
}

#[test]
fn only_the_call_that_did_too_much_fails() {
    // The first call's coroutine uses everything up, and the call goes on to its end.
    let outcome = five(
        "if calls == 1 then coroutine.wrap(function() pcall(function() while true do end end) end)() end \
         for i = 1, 2000 do local x = i end print('to the end')",
        Trial::default(),
    );
    assert_eq!(outcome.errors, 1);
    assert_eq!(outcome.printed.matches("to the end").count(), 4);
}

#[test]
fn tracebacks_keep_errors_that_are_no_text() {
    let outcome = five(
        "local ok, it = xpcall(function() error({ code = 5 }) end, debug.traceback) \
         assert(not ok and it.code == 5) \
         ok, it = xpcall(function() error('\\255') end, debug.traceback) \
         assert(not ok and it:find('stack traceback'), it) \
         assert(debug.traceback(coroutine.create(print), 'x'):find('^x'))",
        Trial::default(),
    );
    assert_eq!(outcome.errors, 0);
}

#[test]
fn a_script_that_keeps_all_it_may_is_left_alone() {
    let limits = ScriptLimits { instructions: 50_000_000, memory_bytes: 16 << 20 };
    let outcome = five(
        "kept = kept or {} print(calls) for i = 1, 400000 do kept[#kept + 1] = { i } end",
        Trial { limits, ..Trial::default() },
    );
    assert_eq!(outcome.errors, 1);
    assert_eq!(outcome.printed, "1\n", "neither process nor finish is called any more");
    assert!(outcome.gave_up);
}

#[test]
fn each_call_has_the_whole_budget() {
    // Some 400,000 instructions each.
    let outcome = five("for i = 1, 200000 do local x = i end", Trial::default());
    assert_eq!((outcome.printed.as_str(), outcome.errors), ("5\n", 0));
    let limits = ScriptLimits { instructions: 0, ..ScriptLimits::default() };
    let outcome =
        five("for i = 1, 2000000 do local x = i end", Trial { limits, ..Trial::default() });
    assert_eq!(outcome.errors, 0);
}

#[test]
fn memory_has_an_end_too() {
    for process in [
        "local s = 'x' while true do s = s .. s end",
        "kept = kept or {} for i = 1, 400000 do kept[#kept + 1] = { i } end",
        "string.rep('x', 1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
    ] {
        let limits = ScriptLimits { instructions: 50_000_000, memory_bytes: 16 << 20 };
        let outcome = five(process, Trial { limits, ..Trial::default() });
        assert!(outcome.errors >= 1, "{process}: {outcome:?}");
        let trial = Trial { limits, is_strict: true, ..Trial::default() };
        let ended = five(process, trial).ended.expect("an end");
        assert!(ended.contains("needs more than 16 MiB (--script-budget"), "{process}: {ended}");
    }
}

#[test]
fn too_deep_is_an_error_like_others() {
    let outcome = five("local function f() return 1 + f() end f()", Trial::default());
    assert_eq!((outcome.printed.as_str(), outcome.errors), ("5\n", 5));
}

#[test]
fn a_request_for_the_end_ends_what_runs_without_limits() {
    let folder = Folder::with(&[("running", b"")]);
    let begun = folder.path("begun");
    let stop = Arc::new(AtomicBool::new(false));
    let trial = Trial {
        limits: ScriptLimits { instructions: 0, memory_bytes: 0 },
        is_strict: true,
        allows_all: true,
        stop: Arc::clone(&stop),
        ..Trial::default()
    };
    let process = format!("io.open('{}', 'w'):close() while true do end", begun.display());
    let ended = std::thread::scope(|scope| {
        let running = scope.spawn(|| five(&process, trial).ended);
        while !begun.exists() {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        running.join().expect("no panic")
    });
    let ended = ended.expect("an end");
    assert!(ended.contains("still running 1 s after"), "{ended}");
}
