//! Scripts with errors: those that do not start, and those that fail on the way.

use tcpkit_tests::{
    agent::Finished,
    netns::Netns,
    redis::{Client, RedisServer, SERVER},
    script::{Script, fixture},
};

/// Runs a script on a capture with 144 packets.
fn run(text: &str, arguments: &str) -> Finished {
    let capture = fixture("redis/commands");
    Script::new(text).run(&format!("-r {} {arguments}", capture.display()))
}

const PACKETS: u64 = 144;

/// The script does not get to a packet.
#[track_caller]
fn check_no_start(run: &Finished, parts: &[&str]) {
    assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
    assert!(run.stderr.starts_with("tcpkit: "), "{}", run.stderr);
    for part in parts {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert!(!run.stderr.contains("reading from"), "{}", run.stderr);
    assert!(!run.stderr.contains("mlua"), "{}", run.stderr);
}

#[test]
fn what_is_no_script_stops_the_start() {
    check_no_start(
        &run("\nfunction process(p", ""),
        &["script.lua:2: ", "')' expected near <eof>"],
    );
    check_no_start(
        &run("\n\nlocal x = nil + 1", ""),
        &["script.lua:3: ", "attempt to perform arith"],
    );
    check_no_start(&run("error('boom')", ""), &["script.lua:1: boom", "stack traceback:"]);
    check_no_start(
        &run("function process() end function init() error('boom') end", ""),
        &["script.lua:1: boom"],
    );
    check_no_start(&run("while true do end", "--script-budget 1"), &["1000000 instructions"]);
    check_no_start(
        &run("x = ('x'):rep(1e10) function process() end", ""),
        &["the script needs more than 256 MiB", "--script-budget"],
    );
    let callbacks = ["process(packet)", "transaction(t)", "connection(c)", "tick(now)", "finish()"];
    check_no_start(&run("x = 1", ""), &callbacks);
    check_no_start(&run("", ""), &callbacks);
    check_no_start(&run("function init() end", ""), &callbacks);
    check_no_start(&run("process = 1", ""), &callbacks);
    check_no_start(&run("function transaction(t) end", ""), &["transaction(t)", "add -p"]);
    // What a compiler wrote is not looked at.
    check_no_start(&run("\x1bLuaR", ""), &["attempt to load a binary chunk"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let script = Script::new("");
    for path in ["missing.lua", "."] {
        let path = script.folder().file(path);
        let mut command = tcpkit_tests::agent::command("-i lo -S");
        let output = command.arg(&path).output().unwrap();
        let run = tcpkit_tests::script::finished(output);
        let expect = format!("cannot read the script {}: ", path.display());
        check_no_start(&run, &[&expect]);
    }
}

/// What the ledger says of errors.
#[track_caller]
fn errors(run: &Finished) -> Option<u64> {
    let lines: Vec<_> = run.stderr.lines().filter(|it| it.starts_with("SCRIPT: ")).collect();
    assert!(lines.len() <= 1, "{}", run.stderr);
    let (count, rest) = lines.first()?.strip_prefix("SCRIPT: ")?.split_once(' ').unwrap();
    assert_eq!(rest, "calls of the script's functions ended with an error");
    Some(count.parse().unwrap())
}

#[test]
fn an_error_costs_one_call_and_is_shown_once_a_second() {
    let text = r"
local n = 0
local function fail() error('boom ' .. n) end
function process(p)
    n = n + 1
    if n % 2 == 1 then fail() end
    io.write('.')
end
function finish() print(n) end
";
    let run = run(text, "");
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert_eq!(run.text(), format!("{}{PACKETS}\n", ".".repeat(72)));
    assert_eq!(errors(&run), Some(72));
    run.ledger().check_sums();
    assert_eq!(run.ledger().total("packets handed to the script"), PACKETS);
    // The first, with its way there; and whatever falls into a second further on.
    let shown = run.stderr.matches("the script failed in process: ").count();
    assert!((1..=2).contains(&shown), "{}", run.stderr);
    let expect = ["script.lua:3: boom 1", "stack traceback:", "script.lua:3: in function 'fail'"];
    for part in expect.into_iter().chain(["script.lua:6: in function 'process'"]) {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
}

#[test]
fn errors_of_a_live_run_are_counted_while_it_goes_on() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new(
        r"
        function transaction(t)
            if t.request == 'echo bad' then error { 'a table' } end
            print(t.request)
        end
        function connection(c) local x = c.nothing.at_all end
        function tick(now) error() end
        function finish() print 'finish' end
        ",
    );
    let mut agent = script.start(&near, "-p redis -i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    for words in ["echo good", "echo bad", "echo bad", "echo better"] {
        client.say(words);
    }
    agent.wait_for_lines(2);
    // At least two seconds of errors of tick().
    agent.wait_for_stderr("the script failed in ", 3);
    let finished = agent.stop();
    assert_eq!(finished.text(), "echo good\necho better\nfinish\n");
    // Two transactions; open, established and the end; the seconds.
    assert!(errors(&finished).unwrap() >= 2 + 3 + 2, "{}", finished.stderr);
    finished.ledger().check_sums();
    let shown = finished.stderr.matches("the script failed in ").count() as u64;
    assert!(shown < errors(&finished).unwrap(), "{}", finished.stderr);
    assert!(finished.stderr.contains("errors before this one were not shown"));
}

/// Errors may hold what came by the wire.
#[test]
fn a_terminal_gets_no_codes_from_errors() {
    let run = run(r"function finish() tcpkit.log 'log \27[2J' error 'boom \27[31m\r' end", "");
    for expect in [r"log \u{1b}[2J", r"boom \u{1b}[31m\r"] {
        assert!(run.stderr.contains(expect), "{expect}: {}", run.stderr);
    }
    assert!(!run.stderr.contains(['\u{1b}', '\r']), "{}", run.stderr);
}

#[test]
fn no_error_is_not_told() {
    let run = run("function process(p) end", "");
    assert_eq!(errors(&run), None);
    assert_eq!(run.stderr.matches("script").count(), 1, "{}", run.stderr);
}

#[test]
fn a_strict_run_ends_with_the_first_error() {
    for (text, printed, callback) in [
        ("print 'a' function process(p) print 'b' error 'boom' end", "a\nb\n", "process"),
        ("function finish() print 'b' error 'boom' end", "b\n", "finish"),
        ("function connection(c) print(c.event) error 'boom' end", "open\n", "connection"),
        (
            "function transaction(t) print(t.protocol) error 'boom' end function finish() print 'c' end",
            "redis\n",
            "transaction",
        ),
    ] {
        let arguments = if callback == "transaction" { "-p redis" } else { "" };
        let run = run(text, &format!("--script-strict {arguments}"));
        assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
        assert_eq!(run.text(), printed);
        let says = format!("tcpkit: the script failed in {callback}: ");
        let (_, error) = run.stderr.split_once(&says).unwrap_or_else(|| panic!("{}", run.stderr));
        assert!(error.contains("script.lua:1: boom\nstack traceback:"), "{}", run.stderr);
        assert_eq!(errors(&run), Some(1));
        run.ledger().check_sums();
    }
}

#[test]
fn a_strict_live_run_takes_its_programs_off() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script =
        Script::new("function process(p) error 'boom' end function finish() print 'x' end");
    let agent = script.start(&near, "--script-strict -i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    client.say("ping");
    let finished = agent.wait();
    assert_eq!((finished.status.code(), finished.text()), (Some(1), ""));
    assert_eq!(errors(&finished), Some(1));
    finished.ledger().check_sums();
    assert_eq!(client.say("ping"), b"+PONG\r\n");
}

/// `print` of the global `type` is the packet's, but not once its call is over, however that ended.
#[test]
fn nothing_of_a_packet_is_left_when_its_call_fails() {
    for body in ["error 'boom'", "while true do end", "local s = 'x' while true do s = s .. s end"]
    {
        let text = format!(
            "local n = 0 function process(p) if p.size > 0 then n = n + 1 {body} end end \
             function transaction(t) assert(tostring(type):match '^function') io.write '.' end \
             function finish() print(n) end"
        );
        let run = run(&text, "-p redis --script-budget 1,32");
        let count = errors(&run).unwrap();
        // A packet is handed over in front of the transaction that it completes.
        assert!(run.text().ends_with(&format!(".{count}\n")), "{body}: {}", run.text());
        assert!(count > 10 && run.stdout.len() > 10, "{body}: {}", run.stderr);
    }
}
