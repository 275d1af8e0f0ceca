//! What scripts may do and may not do.

use super::*;

/// What a call says when it is off.
fn error_of(call: &str, allows_all: bool) -> String {
    let script = format!(
        "function finish() local ok, text = pcall(function() {call} end) print(ok, text) end"
    );
    Trial { allows_all, ..Trial::default() }.run(&script).printed
}

#[test]
fn what_is_off_says_so_by_its_name() {
    for (call, name) in [
        ("io.open('/etc/passwd')", "io.open"),
        ("io.popen('id')", "io.popen"),
        ("io.lines('/etc/passwd')", "io.lines"),
        ("io.input('/etc/passwd')", "io.input"),
        ("io.output('/tmp/x')", "io.output"),
        ("io.tmpfile()", "io.tmpfile"),
        ("io.read()", "io.read"),
        ("io.stdin:read()", "io.stdin:read"),
        ("os.execute('id')", "os.execute"),
        ("os.remove('x')", "os.remove"),
        ("os.rename('x', 'y')", "os.rename"),
        ("os.tmpname()", "os.tmpname"),
        ("os.setlocale('C')", "os.setlocale"),
        ("os.exit(1)", "os.exit"),
        ("dofile('x')", "dofile"),
        ("loadfile('x')", "loadfile"),
        ("package.searchpath('x', '?')", "package.searchpath"),
        ("setmetatable({}, { __gc = print })", "__gc"),
    ] {
        let text = error_of(call, false);
        assert!(text.starts_with("false\t"), "{call}: {text}");
        assert!(text.contains(&format!("{name} is off")), "{call}: {text}");
        assert!(text.contains("--script-unsafe"), "{call}: {text}");
        assert!(text.contains("test.lua:1:"), "it says where: {text}");
    }
    let text = error_of("package.loadlib('x', '*')", false);
    assert!(text.contains("test.lua:1: package.loadlib is off"), "{text}");
}

#[test]
fn compiled_chunks_are_not_loaded() {
    let dumped = "load(string.dump(function() return 1 end))";
    let text = error_of(&format!("assert({dumped})"), false);
    assert!(text.contains("load of compiled chunks is off"), "{text}");
    let asked = "load(string.dump(function() return 1 end), 'x', 'b')";
    let text = error_of(asked, false);
    assert!(text.contains("load of compiled chunks is off"), "{text}");
    assert_eq!(error_of("return load('return 1 + 1')() == 2 or error('x')", false), "true\ttrue\n");
    let with_environment = "assert(load('return x', 'n', 't', {x = 5})() == 5)";
    assert_eq!(error_of(with_environment, false), "true\tnil\n");
    let state = Lua::new();
    let bytecode = state
        .load("return string.dump(function() end)")
        .eval::<mlua::LuaString>()
        .expect("a string");
    let text = refused(&[("test.lua", &bytecode.as_bytes())]);
    assert!(text.contains("binary chunk"), "{text}");
}

#[test]
fn what_is_on_works() {
    let outcome = run(r##"function finish()
        assert(os.date("!%Y", 0) == "1970" and os.time() > 1.7e9 and os.clock() >= 0)
        assert(os.getenv("PATH") and os.difftime(2, 1) == 1)
        assert(bit32.band(6, 3) == 2 and ("%u"):format(3) == "3")
        assert(debug.traceback("x"):find("stack traceback"))
        assert(io.type(io.stdout) == "file" and io.type(1) == nil and io.output() == io.stdout)
        assert(select("#", table.unpack({ 1, 2 })) == 2)
        local co = coroutine.wrap(function() coroutine.yield(1) return 2 end)
        assert(co() == 1 and co() == 2)
    end"##);
    assert_eq!(outcome.errors, 0, "{outcome:?}");
}

#[test]
fn all_output_is_one_stream() {
    let outcome = run(r#"
        print("first", nil, 1.5, true)
        io.write("a", 1, "\n")
        io.stdout:write("b"):write("c\0\255\n")
        function finish()
            io.stdout:setvbuf("no")
            io.output():write("d\n")
            print()
            print(setmetatable({}, { __tostring = function() return "named" end }))
            io.stdout:flush():write("e\n")
            print(pcall(io.write, {}))
            print((pcall(io.stdout.read, io.stdout)))
        end"#);
    let expect = "first\tnil\t1.5\ttrue\na1\nbc\0\u{fffd}\nd\n\nnamed\ne\nfalse\tbad argument #1 to \
                  'write' (string expected, got table)\nfalse\n";
    assert_eq!(outcome.printed, expect);
}

#[test]
fn modules_lie_beside_the_script() {
    let folder = Folder::with(&[
        (
            "test.lua",
            b"local a = require 'a'\nlocal again = require 'a'\nassert(a == again)\n\
              local deep = require 'lib.deep'\nlocal folder = require 'folder'\n\
              function finish() print(a.name, a.file:match('[^/]*$'), deep, folder)\n\
              print((select(2, pcall(require, 'gone')):match(\"module 'gone' not found\")))\n\
              print((select(2, pcall(require, '../a')):match('is no name of a module')))\n\
              print((select(2, pcall(require, 'broken')):match('broken.lua:2:'))) end",
        ),
        ("a.lua", b"local name, file = ...\nreturn { name = name, file = file }"),
        ("lib/deep.lua", b"#!/usr/bin/lua\nreturn 'deep'"),
        ("folder/init.lua", b"return 'folder'"),
        ("broken.lua", b"\nx ="),
    ]);
    let outcome = Trial::default().run_in(&folder);
    assert_eq!(
        outcome.printed,
        "a\ta.lua\tdeep\tfolder\nmodule 'gone' not found\nis no name of a module\nbroken.lua:2:\n"
    );
}

#[test]
fn a_script_that_cannot_start_says_where_and_why() {
    let text = refused(&[("test.lua", b"local x = 1\nlocal y = = 2\n")]);
    assert!(
        text.starts_with(
            "the script DIR/test.lua cannot be run: DIR/test.lua:2: unexpected symbol"
        ),
        "{text}"
    );
    let text = refused(&[("test.lua", b"\n\nerror('no luck')")]);
    assert!(text.contains("DIR/test.lua:3: no luck\nstack traceback:"), "{text}");
    let text = refused(&[("test.lua", b"function init() error('not so') end function tick() end")]);
    assert!(text.contains("DIR/test.lua:1: not so"), "{text}");
    let of_user = b"function init() error('top takes a number', 0) end function tick() end";
    let text = refused(&[("test.lua", of_user)]);
    assert!(text.ends_with("test.lua cannot be run: top takes a number"), "{text}");
    let text = refused(&[("test.lua", b"process = 5")]);
    for name in ["process(packet)", "transaction(t)", "connection(c)", "tick(now)", "finish()"] {
        assert!(text.contains(name), "{text}");
    }
    let text = refused(&[("other.lua", b"")]);
    assert!(text.starts_with("cannot read the script DIR/test.lua: "), "{text}");
    // A first line for the shell is no error, and lines keep their numbers.
    let text = refused(&[("test.lua", b"#!/usr/bin/env tcpkit\nx =")]);
    assert!(text.contains("test.lua:2:"), "{text}");
}

#[test]
fn unsafe_scripts_may_do_everything() {
    let folder = Folder::with(&[(
        "test.lua",
        b"function init(o)\n\
          local file = assert(io.open(o[1], 'w')) file:write('x') file:close()\n\
          for line in io.lines(o[1]) do print(line) end\n\
          io.output(o[2]) io.write('to the file') io.close() io.output(io.stdout) io.write('y\\n')\n\
          print(io.open(o[2]):read('*a'), os.execute('exit 3') == nil, os.remove(o[1]))\n\
          print(loadfile(o[2]) == nil) end\n\
          function finish() end",
    )]);
    let arguments = ["one", "two"].map(|name| folder.path(name).display().to_string()).to_vec();
    let outcome = Trial { allows_all: true, arguments, ..Trial::default() }.run_in(&folder);
    assert_eq!(outcome.printed, "x\ny\nto the file\ttrue\ttrue\ntrue\n");
}

#[test]
fn a_script_may_end_the_run() {
    let frames = crate::simulation::Connection::open().frames();
    let script = r#"local n = 0
        function process() n = n + 1 if n == 2 then tcpkit.stop() end end
        function finish() print(n) end"#;
    let outcome = Trial { frames: frames.clone(), ..Trial::default() }.run(script);
    assert_eq!((outcome.printed.as_str(), outcome.exit_code), ("2\n", Some(0)));
    let script = script.replace("tcpkit.stop()", "os.exit(3) n = 100");
    let outcome = Trial { frames, allows_all: true, ..Trial::default() }.run(&script);
    assert_eq!((outcome.printed.as_str(), outcome.exit_code), ("2\n", Some(3)));
    assert_eq!(outcome.errors, 0);
}
