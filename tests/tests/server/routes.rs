//! What is where, and who may ask for it.

use serde_json::Value;
use tcpkit_tests::{
    agent::Agent,
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER},
    statistics::{get, request, send},
};

#[test]
fn each_path_has_its_answer() {
    let netns = Netns::new();
    let agent = Agent::start(&netns, "-i lo tcp port 6379");
    for (path, status, kind, begin) in [
        ("/", 200, "text/html; charset=utf-8", "<!doctype html>"),
        ("/stats", 200, "application/json", "{}\n"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "# HELP tcpkit_build_info "),
        ("/transactions", 200, "application/json", "[]\n"),
        ("/transactions?slow=1&limit=2", 200, "application/json", "[]\n"),
        ("/transactions?slow=x", 400, "text/plain; charset=utf-8", "slow is a number of ms"),
        ("/operations", 200, "application/json", "[]\n"),
        ("/operations?window=all&limit=2", 200, "application/json", "[]\n"),
        (
            "/operations?window=x",
            400,
            "text/plain; charset=utf-8",
            "window is minute, five-minutes",
        ),
        ("/healthz", 200, "text/plain; charset=utf-8", "ok\n"),
        ("/nosuch", 404, "text/plain; charset=utf-8", "there is nothing here"),
        ("/stats/", 404, "text/plain; charset=utf-8", "there is nothing here"),
    ] {
        let answer = request(&netns, "GET", path, "localhost:33333");
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.body.starts_with(begin), "{path}: {answer:?}");
        let head = request(&netns, "HEAD", path, "localhost:33333");
        assert_eq!((head.status, &*head.body), (status, ""), "{path}");
        for one in [&answer, &head] {
            assert!(one.head.contains(&format!("content-type: {kind}")), "{path}: {}", one.head);
            for line in [
                "content-security-policy: default-src ",
                "x-content-type-options: nosniff",
                "cache-control: no-store",
            ] {
                assert!(one.head.contains(line), "{path}: {}", one.head);
            }
            assert!(!one.head.contains("access-control-"), "{path}: {}", one.head);
        }
        let posted = request(&netns, "POST", path, "localhost:33333");
        assert_eq!(posted.status, 405, "{path}");
        assert!(posted.head.contains("allow: get, head"), "{}", posted.head);
    }
    let head = request(&netns, "HEAD", "/events", "localhost");
    assert!(head.status == 200 && head.head.contains("content-type: text/event-stream"));
    drop(agent.stop());
}

/// A page elsewhere whose name was made to point here.
#[test]
fn other_names_are_refused_on_loopback() {
    let netns = Netns::new();
    let agent = Agent::start(&netns, "-i lo tcp port 6379");
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1:33333", 200),
        ("[::1]:33333", 200),
        ("evil.example", 421),
        ("evil.example:33333", 421),
        ("localhost.evil.example", 421),
        ("", 421),
    ] {
        for path in ["/stats", "/nosuch"] {
            let expect = if path == "/nosuch" && status == 200 { 404 } else { status };
            assert_eq!(request(&netns, "GET", path, host).status, expect, "{host:?}");
        }
    }
    for (text, status) in [
        ("GET http://evil.example/stats HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        ("GET /stats HTTP/1.1\r\n\r\n", 400),
        ("GET /stats HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        ("GET /stats HTTP/1.0\r\n\r\n", 200),
    ] {
        let text = text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        assert_eq!(send(&netns, &text).status, status, "{text}");
    }
    drop(agent.stop());
    // Who opens it to others has names of his own.
    let agent = Agent::start(&netns, "-P 0.0.0.0:33333 -i lo tcp port 6379");
    assert_eq!(request(&netns, "GET", "/stats", "db.example").status, 200);
    drop(agent.stop());
}

#[test]
fn slow_transactions_are_listed_the_newest_first() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, "-t 5 --slow 1 -i veth0 tcp port 6379");
    let mut client = Client::connect(&near, SERVER);
    for words in ["debug sleep 0.03", "ping", "debug sleep 0.01", "debug sleep 0.02", "ping"] {
        client.say(words);
    }
    let list = |query: &str| -> Vec<Value> {
        serde_json::from_str(&get(&near, &format!("/transactions{query}"))).unwrap()
    };
    eventually("all three", || list("").len() == 3);
    let requests = |query: &str| -> Vec<String> {
        list(query).iter().map(|it| it["request"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(requests(""), ["debug sleep 0.02", "debug sleep 0.01", "debug sleep 0.03"]);
    assert_eq!(requests("?limit=1"), ["debug sleep 0.02"]);
    assert_eq!(requests("?slow=15"), ["debug sleep 0.02", "debug sleep 0.03"]);
    assert_eq!(requests("?slow=1000"), [""; 0]);
    // They are what lines are.
    let mut objects = list("");
    objects.reverse();
    let finished = agent.stop();
    let lines: Vec<Value> =
        finished.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects, lines);
}
