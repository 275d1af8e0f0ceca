//! Operations over the last minute, five minutes and all time, for whoever asks.

use serde_json::Value;
use tcpkit_tests::{
    agent::Agent,
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER},
    statistics,
};

fn list(netns: &Netns, query: &str) -> Vec<Value> {
    serde_json::from_str(&statistics::get(netns, &format!("/operations{query}"))).unwrap()
}

#[test]
fn each_window_has_what_clients_did() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, "-i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    let mut bytes = 0;
    for _ in 0..30 {
        // "*1\r\n$4\r\nping\r\n" is 14 bytes.
        bytes += 14 + client.say("ping").len();
        client.say("lpush x");
    }
    client.say("debug sleep 0.02");
    eventually("all are counted", || statistics::stats(&near)[SERVER]["requests"] == 61);
    for query in ["", "?window=minute", "?window=five-minutes", "?window=all"] {
        let all = list(&near, query);
        let names: Vec<_> = all.iter().map(|it| it["operation"].as_str().unwrap()).collect();
        assert_eq!((names.len(), names[0]), (3, "DEBUG SLEEP"), "it took most time: {all:?}");
        let of = |name: &str| &all[names.iter().position(|it| *it == name).unwrap()];
        for it in &all {
            assert_eq!((&it["server"], &it["protocol"]), (&SERVER.into(), &"redis".into()));
            let times = ["p50", "p90", "p99", "p999", "max", "total_us"];
            let times = times.map(|name| it[name].as_f64().unwrap());
            assert!(times[0] > 0.0 && times.is_sorted(), "{it}");
        }
        assert_eq!((&of("PING")["requests"], &of("PING")["bytes"]), (&30.into(), &bytes.into()));
        assert_eq!((&of("LPUSH")["requests"], &of("LPUSH")["errors"]), (&30.into(), &30.into()));
        let slept = of("DEBUG SLEEP");
        let [p50, max] = ["p50", "max"].map(|name| slept[name].as_f64().unwrap());
        assert!(max >= 20_000.0 && (p50 - max).abs() <= max / 100.0, "{slept}");
    }
    assert_eq!(list(&near, "?window=all&limit=1").len(), 1);
    drop(agent.stop());
}
