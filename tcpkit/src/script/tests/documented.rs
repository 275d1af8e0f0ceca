//! The library for editors, `docs/lua.md` and the tables themselves name the same things.

use std::collections::BTreeSet;

use super::*;
use crate::simulation::Connection as Simulated;

const DOCS: &str = include_str!("../../../../docs/lua.md");

/// The fields that the library gives a class; those that may be nil apart.
fn fields(class: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut always, mut sometimes) = (BTreeSet::new(), BTreeSet::new());
    let begin = format!("---@class {class}\n");
    let (_, rest) = API.split_once(&begin).expect("the class is documented");
    for line in rest.lines() {
        let Some(field) = line.strip_prefix("---@field ") else { break };
        let name = field.split(' ').next().expect("a name");
        match name.strip_suffix('?') {
            Some(name) => sometimes.insert(name.to_owned()),
            None => always.insert(name.to_owned()),
        };
    }
    (always, sometimes)
}

/// The names that a script finds in a table that a callback gets, over all its calls.
fn found(callback: &str) -> BTreeSet<String> {
    let frames = Simulated::open()
        .ask("*2\r\n$3\r\nget\r\n$3\r\nfoo\r\n")
        .answer("-ERR no\r\n")
        .close()
        .frames();
    let script = format!(
        "function {callback}(t) for name in pairs(t) do print(name) end end function finish() end"
    );
    let outcome = Trial { frames, decodes: true, ..Trial::default() }.run(&script);
    assert_eq!(outcome.errors, 0);
    outcome.printed.lines().map(str::to_owned).collect()
}

fn check(callback: &str, class: &str, never_here: &[&str]) {
    let (always, sometimes) = fields(class);
    assert!(always.len() > 10, "{class}: {always:?}");
    let mut expect: BTreeSet<_> = always.union(&sometimes).cloned().collect();
    for name in &expect {
        assert!(DOCS.contains(&format!("`{name}`")), "docs/lua.md does not know {class}.{name}");
    }
    for name in never_here {
        assert!(expect.remove(*name), "{name} is not documented");
    }
    assert_eq!(found(callback), expect, "{callback}");
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_there() {
    // The simulation's frames have no direction.
    check("process", "tcpkit.Packet", &["direction"]);
    let streams_only = ["cancelled", "first_us", "deadline_us", "past_deadline", "response"];
    check("transaction", "tcpkit.Transaction", &streams_only);
    check("connection", "tcpkit.Connection", &[]);
}

#[test]
fn every_function_is_documented_and_every_documented_function_is_there() {
    let outcome = run(r#"function finish()
            for name in pairs(tcpkit) do print(name) end
            for name in pairs(tcpkit.bytes) do print("bytes." .. name) end
        end"#);
    let found: BTreeSet<_> = outcome.printed.lines().collect();
    let mut documented = BTreeSet::from(["version"]);
    for line in API.lines() {
        let name = line.strip_prefix("function ").unwrap_or(line).strip_prefix("tcpkit.");
        documented.extend(name.and_then(|name| name.split(['(', ' ']).next()));
    }
    assert_eq!(found, documented);
    for name in found.iter().filter(|name| !name.starts_with("bytes.")) {
        assert!(DOCS.contains(&format!("tcpkit.{name}")), "docs/lua.md does not know {name}");
    }
    for method in API.lines().filter_map(|line| line.strip_prefix("function Histogram:")) {
        let name = method.split('(').next().expect("a name");
        assert!(DOCS.contains(&format!("`{name}(")), "docs/lua.md does not know {name}");
        let script = format!("function finish() print(type(tcpkit.histogram().{name})) end");
        assert_eq!(run(&script).printed, "function\n", "{name}");
    }
}

#[test]
fn the_library_is_lua() {
    Lua::new().load(API).exec().expect("no error");
    for name in CALLBACKS.iter().chain(&["init"]) {
        assert!(API.contains(&format!("\nfunction {name}(")), "{name}");
        assert!(DOCS.contains(&format!("| `{name}(")), "{name}");
    }
}
