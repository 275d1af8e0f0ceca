//! `transaction(t)` beside lines of JSON: each says what the other says.

use serde_json::{Map, Value};
use tcpkit_tests::{
    netns::Netns,
    redis::{Client, RedisServer, SERVER, encode},
    script::{Script, emitted},
};

/// Prints all that a transaction has, as JSON has it.
const EVERYTHING: &str = r"
function transaction(t)
    local all = {}
    for name, value in pairs(t) do
        all[name] = value
    end
    all.client, all.server = tostring(t.client), tostring(t.server)
    assert(t.client .. '' == all.client and t.client == t.client and t.client ~= t.server)
    local ip = t.server.ip:find ':' and '[' .. t.server.ip .. ']' or t.server.ip
    assert(ip .. ':' .. t.server.port == all.server)
    tcpkit.emit { lua = all }
end
";

/// What only Lua has: the time in two parts, and in one.
const OWN: [&str; 3] = ["time_ns", "tv_sec", "tv_nsec"];

type Objects = Vec<Map<String, Value>>;

/// The objects of both kinds, in their order.
fn split(printed: &[u8]) -> (Objects, Objects) {
    let (mut lua, mut json) = (Vec::new(), Vec::new());
    for value in emitted(printed) {
        match value.get("lua") {
            Some(of_lua) => lua.push(of_lua.as_object().unwrap().clone()),
            None => json.push(value.as_object().unwrap().clone()),
        }
    }
    (lua, json)
}

#[test]
fn live_requests_are_the_same_to_lua_and_json() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new(EVERYTHING);
    let agent = script.start(&near, "-p redis --print --format json -s 0 -i veth0 tcp port 6379");
    let mut count = 0;
    for server in [SERVER, "[fd09::2]:6379"] {
        let mut client = Client::connect(&near, server);
        for words in ["set foo bar", "get foo", "lpush foo x", "hello 3", "ping", "select 1"] {
            client.say(words);
            count += 1;
        }
        client.send(&encode(&[b"SET", b"big\x1b\xff\"\\", &[b'x'; 100_000]]));
        client.receive();
        client.say("debug sleep 0.01");
        client.send(&encode(&[b"PING"]).repeat(20));
        for _ in 0..20 {
            client.receive();
        }
        count += 22;
    }
    agent.wait_for_lines(2 * count);
    let finished = agent.stop();
    let (lua, json) = split(&finished.stdout);
    assert_eq!((lua.len(), json.len()), (count, count));
    for (mut lua, json) in lua.into_iter().zip(json) {
        let [ns, seconds, rest] = OWN.map(|name| lua.remove(name).unwrap());
        let (seconds, rest) = (seconds.as_u64().unwrap(), rest.as_u64().unwrap());
        assert_eq!(ns, format!("{seconds}{rest:09}"));
        assert!(json["time"].as_str().unwrap().ends_with(&format!(".{rest:09}Z")), "{json:?}");
        assert!(lua.keys().eq(sorted(&json).into_keys()), "{lua:?}\n{json:?}");
        for (key, value) in &json {
            assert!(is_same(&lua[key], value), "{key}: {lua:?}\n{json:?}");
        }
    }
    let ledger = finished.ledger();
    ledger.check_no_loss();
    assert_eq!(ledger.total("transactions"), count as u64);
}

fn sorted(object: &Map<String, Value>) -> std::collections::BTreeMap<&String, &Value> {
    object.iter().collect()
}

/// The same value; numbers as double precision has them.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|it| is_same(value, it)))
        }
        (one, other) => one == other,
    }
}

#[test]
fn only_slow_requests_are_handed_over_with_a_threshold() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new("function transaction(t) print(t.request) end");
    let agent = script.start(&near, "-p redis -t 20 -i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    for _ in 0..10 {
        client.say("get foo");
        client.say("debug sleep 0.03");
    }
    agent.wait_for_lines(10);
    assert_eq!(agent.stop().text(), "debug sleep 0.03\n".repeat(10));
}

/// Times between events are exact, and a script may keep what it got.
#[test]
fn a_script_may_keep_and_change_its_tables() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new(
        r"
        local packets, all = {}, {}
        function process(p) p.mine = #packets; packets[#packets + 1] = p end
        function transaction(t) t.operation = t.operation .. '!'; all[#all + 1] = t end
        function finish()
            for at, t in ipairs(all) do
                local first, last
                for _, p in ipairs(packets) do
                    if p.size > 0 and p.sport == t.client.port and p.payload:find(t.request:sub(-6), 1, true) then
                        first = p
                    elseif first and not last and p.size > 0 and p.type == 'response' then
                        last = p
                    end
                end
                print(t.operation, first.mine > 0, t.latency_us * 1000 - tcpkit.elapsed_ns(first, last),
                      t.time_ns == first.time_ns)
            end
        end",
    );
    let agent = script.start(&near, "-p redis -i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    for at in 0..3 {
        client.say(&format!("echo number{at}"));
    }
    client.say_goodbye();
    let printed = agent.stop();
    let expect: Vec<_> = printed.text().lines().collect();
    assert_eq!(expect.len(), 3, "{}", printed.stderr);
    for line in expect {
        let words: Vec<_> = line.split('\t').collect();
        assert_eq!((words[0], words[1], words[3]), ("ECHO!", "true", "true"), "{line}");
        // Of a µs with three decimals double precision keeps more than a ns.
        assert!(words[2].parse::<f64>().unwrap().abs() < 0.01, "{line}");
    }
}
