//! Scripts and lines of JSON say the same of all golden captures: every key, every value.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails ends"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Map, Value};
use tcpkit::protocol::PROTOCOLS;

/// A folder for each protocol, by its name.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");

/// Prints all that a transaction has, as JSON has it.
const EVERYTHING: &str = r"
function transaction(t)
    local all = {}
    for name, value in pairs(t) do
        all[name] = value
    end
    all.client, all.server = tostring(t.client), tostring(t.server)
    tcpkit.emit { lua = all }
end
";

/// The same without `pairs`: fields that are made when they are touched, one by one.
const BY_NAME: &str = r"
local names = {
    'time', 'time_ns', 'tv_sec', 'tv_nsec', 'protocol', 'operation', 'response', 'status', 'cancelled',
    'latency_us', 'request_us', 'wait_us', 'response_us', 'first_us', 'deadline_us', 'past_deadline',
    'request_bytes', 'response_bytes', 'quality', 'fields', 'request',
}
function transaction(t)
    local all = { client = tostring(t.client), server = tostring(t.server) }
    for _, name in ipairs(names) do
        all[name] = t[name]
    end
    tcpkit.emit { lua = all }
end
";

/// What only Lua has: the time in two parts, and in one.
const OWN: [&str; 3] = ["time_ns", "tv_sec", "tv_nsec"];

/// All keys that a line of JSON may have.
const KEYS: [&str; 20] = [
    "time",
    "client",
    "server",
    "protocol",
    "operation",
    "request",
    "response",
    "status",
    "cancelled",
    "latency_us",
    "request_us",
    "wait_us",
    "response_us",
    "first_us",
    "deadline_us",
    "past_deadline",
    "request_bytes",
    "response_bytes",
    "quality",
    "fields",
];

fn captures(protocol: &str) -> Vec<PathBuf> {
    let folder = fs::read_dir(Path::new(FIXTURES).join(protocol)).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "pcap"));
    paths.sort();
    paths
}

/// What the agent prints of a capture, with a script and lines of JSON.
fn run(script: &Path, protocol: &str, capture: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpkit"));
    command.args(["-p", protocol, "--print", "--format", "json", "--script-strict", "-S"]);
    command.arg(script).arg("-r").arg(capture).env_remove("RUST_LOG").stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", capture.display());
    String::from_utf8(output.stdout).unwrap()
}

type Object = Map<String, Value>;

/// The objects of both kinds, in their order.
fn split(printed: &str) -> (Vec<Object>, Vec<Object>) {
    let (mut lua, mut json) = (Vec::new(), Vec::new());
    for line in printed.lines() {
        let mut value: Object =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        match value.remove("lua") {
            Some(Value::Object(object)) => lua.push(object),
            Some(other) => panic!("{other}"),
            None => json.push(value),
        }
    }
    (lua, json)
}

/// The same value: numbers as double precision has them, and those that it could not hold in digits.
fn is_same(lua: &Value, json: &Value) -> bool {
    match (lua, json) {
        (Value::Number(lua), Value::Number(json)) => lua.as_f64() == json.as_f64(),
        (Value::String(lua), Value::Number(json)) => {
            json.as_i64().is_some_and(|it| it.unsigned_abs() > 1 << 53) && *lua == json.to_string()
        }
        (Value::Object(lua), Value::Object(json)) => {
            let has =
                |(key, json): (&String, &Value)| lua.get(key).is_some_and(|lua| is_same(lua, json));
            lua.len() == json.len() && json.iter().all(has)
        }
        (lua, json) => lua == json,
    }
}

/// Compares, and counts each key of the JSON in `seen`.
#[track_caller]
fn compare(lua: &mut Object, json: &Object, seen: &mut BTreeMap<String, usize>) {
    let [ns, seconds, rest] = OWN.map(|name| lua.remove(name).unwrap_or_default());
    let rest = rest.as_u64().unwrap();
    assert_eq!(ns, format!("{seconds}{rest:09}"));
    assert!(json["time"].as_str().unwrap().ends_with(&format!(".{rest:09}Z")), "{json:?}");
    let keys = |object: &Object| object.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(lua), keys(json), "{json:?}");
    for (key, value) in json {
        assert!(is_same(&lua[key], value), "{key}: {} {value} in {json:?}", lua[key]);
        *seen.entry(key.clone()).or_default() += 1;
    }
}

fn check_all(script: &str) {
    let path = std::env::temp_dir().join(format!(
        "tcpkit-test-{}-{}.lua",
        std::process::id(),
        script.len()
    ));
    fs::write(&path, script).unwrap();
    let mut seen = BTreeMap::new();
    for protocol in PROTOCOLS {
        let mut count = 0;
        for capture in captures(protocol.name) {
            let (mut lua, json) = split(&run(&path, protocol.name, &capture));
            assert_eq!(lua.len(), json.len(), "{}", capture.display());
            for (lua, json) in lua.iter_mut().zip(&json) {
                compare(lua, json, &mut seen);
            }
            count += json.len();
        }
        assert!(count > 0, "no transactions of {}", protocol.name);
    }
    fs::remove_file(&path).unwrap();
    let unseen: Vec<_> = KEYS.iter().filter(|key| !seen.contains_key(**key)).collect();
    assert!(unseen.is_empty(), "{unseen:?} never occurred: {seen:?}");
    assert_eq!(seen.len(), KEYS.len(), "keys that are not documented: {seen:?}");
}

#[test]
fn pairs_gives_what_json_has() {
    check_all(EVERYTHING);
}

#[test]
fn fields_by_name_are_what_json_has() {
    check_all(BY_NAME);
}
