//! What the page listens to.

use serde_json::{Value, json};
use tcpkit_tests::{
    agent::Agent,
    netns::Netns,
    redis::{Client, RedisServer, SERVER},
    statistics::Events,
};

fn numbers(server: &Value, field: &str) -> u64 {
    match &server[field] {
        Value::Array(column) => column.iter().map(|it| it.as_u64().unwrap_or(0)).sum(),
        number => number.as_u64().unwrap_or(0),
    }
}

/// How many requests of the server a history and ticks know together.
fn requests(events: &[(String, Value)]) -> u64 {
    let servers = events.iter().flat_map(|(_, data)| data["servers"].as_array()).flatten();
    servers.filter(|it| it["name"] == SERVER).map(|it| numbers(it, "requests")).sum()
}

#[test]
fn each_second_is_told_and_remembered() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, "-i veth0 --slow 5 tcp port 6379");
    let mut listener = Events::listen(&near);
    let mut events = vec![listener.receive(), listener.receive()];
    assert_eq!((&*events[0].0, &*events[1].0), ("hello", "history"));
    assert_eq!(events[0].1["version"], "0.1.0");
    assert_eq!(events[0].1["protocols"], json!(["redis"]));
    assert!(events[0].1["started_unix"].as_u64().unwrap() > 1_700_000_000);
    let mut client = Client::connect(&near, SERVER);
    for _ in 0..100 {
        client.say("ping");
    }
    client.say("lpush x");
    client.say("debug sleep 0.03");
    let mut last = 0;
    while requests(&events) < 102 {
        let (name, data) = listener.receive();
        assert_eq!(name, "tick");
        let t = data["t"].as_u64().unwrap();
        assert!(last == 0 || t > last, "{t} behind {last}");
        last = t;
        events.push((name, data));
        assert!(events.len() < 20, "{} of 102 after so many events", requests(&events));
    }
    assert_eq!(requests(&events), 102);
    let ticks = || events.iter().map(|(_, data)| data);
    let servers: Vec<_> = ticks().flat_map(|it| it["servers"].as_array()).flatten().collect();
    let sum = |field: &str| servers.iter().map(|it| numbers(it, field)).sum::<u64>();
    assert_eq!((sum("errors"), sum("buckets")), (1, 102));
    let slow: Vec<_> = ticks().flat_map(|it| it["slow"].as_array()).flatten().collect();
    assert_eq!(slow.iter().map(|it| &it["request"]).collect::<Vec<_>>(), ["debug sleep 0.03"]);
    let (_, tick) = events.last().unwrap();
    assert_eq!(tick["operations"][0]["operation"], "DEBUG SLEEP", "it took most time: {tick}");
    let pings = tick["operations"].as_array().unwrap().iter().find(|it| it["operation"] == "PING");
    assert_eq!(pings.unwrap()["requests"], 100);
    assert_eq!(
        tick["ledger"],
        json!({
            "lost": 0,
            "missing_bytes": 0,
            "unread_bytes": 0,
            "is_stale": false,
            "script_errors": 0,
            "lines": [],
        })
    );
    // Who comes later is told what was.
    let mut late = Events::listen(&near);
    let late = [late.receive(), late.receive()];
    assert_eq!(requests(&late), 102);
    let times = late[1].1["t"].as_array().unwrap();
    assert!(times.is_sorted_by_key(|it| it.as_u64()));
    for server in late[1].1["servers"].as_array().unwrap() {
        for column in ["requests", "errors", "bytes", "p50", "p90", "p99", "p999", "max", "buckets"]
        {
            assert_eq!(server[column].as_array().map(Vec::len), Some(times.len()), "{column}");
        }
    }
    agent.stop().ledger().check_no_loss();
}
