//! `connection(c)`: handshakes, ends and counts of real connections.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;
use tcpkit_tests::{
    agent::Agent,
    netns::Netns,
    redis::{Client, PORT, RedisServer, SERVER, encode_words},
    script::{Script, emitted},
};

/// Prints every event.
const EVENTS: &str = r"
function connection(c)
    local all = {}
    for name, value in pairs(c) do
        all[name] = value
    end
    all.client, all.server = tostring(c.client), tostring(c.server)
    tcpkit.emit(all)
end
";

/// What every event has.
const ALWAYS: [&str; 19] = [
    "id",
    "event",
    "time",
    "time_ns",
    "tv_sec",
    "tv_nsec",
    "client",
    "server",
    "interface",
    "midstream",
    "duration_us",
    "syn_retransmits",
    "synack_retransmits",
    "client_packets",
    "client_bytes",
    "client_retransmits",
    "server_packets",
    "server_bytes",
    "server_retransmits",
];

fn start(netns: &Netns) -> (Script, Agent) {
    let script = Script::new(EVENTS);
    let agent = script.start(netns, "-i veth0 tcp");
    (script, agent)
}

/// Waits for so many events of this kind, ends the run and gives the events of one client.
fn events_of(client: SocketAddr, agent: Agent, event: &str, count: usize) -> Vec<Value> {
    agent.wait_for_printed(&format!("\"event\":\"{event}\""), count);
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let mut events = emitted(&finished.stdout);
    for event in &events {
        let object = event.as_object().unwrap();
        for key in ALWAYS {
            assert!(object.contains_key(key), "{key}: {event}");
        }
        assert_eq!(event["interface"], "veth0");
        assert_eq!(event["event"] == "close", object.contains_key("reason"), "{event}");
        let seconds = event["tv_sec"].as_u64().unwrap();
        assert_eq!(event["time_ns"], format!("{seconds}{:09}", event["tv_nsec"].as_u64().unwrap()));
    }
    events.retain(|event| event["client"] == client.to_string());
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

fn float(event: &Value, key: &str) -> f64 {
    event[key].as_f64().unwrap_or_else(|| panic!("{key}: {event}"))
}

#[test]
fn a_connection_opens_is_established_and_ends_with_what_was_sent() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for server in [SERVER, "[fd09::2]:6379"] {
        let (_script, agent) = start(&near);
        let mut client = Client::connect(&near, server);
        let address = client.address();
        let (mut sent, mut received) = (0, 0);
        for words in ["set foo bar", "get foo", "debug sleep 0.02"] {
            sent += encode_words(words).len();
            received += client.say(words).len();
        }
        client.say_goodbye();
        let events = events_of(address, agent, "close", 1);
        assert_eq!(kinds(&events), ["open", "established", "close"]);
        let [open, established, close] = &events[..] else { panic!("{events:?}") };
        for event in &events {
            assert_eq!((&event["server"], &event["midstream"]), (&server.into(), &false.into()));
            assert_eq!(event["id"], open["id"]);
            assert_eq!(event["syn_retransmits"], 0);
            assert_eq!(event["synack_retransmits"], 0);
        }
        assert!(open["connect_us"].is_null() && open["handshake_us"].is_null(), "{open}");
        assert_eq!((float(open, "duration_us"), float(open, "client_packets")), (0.0, 1.0));
        let connect_us = float(established, "connect_us");
        assert!(connect_us > 0.0 && connect_us <= float(established, "handshake_us"));
        assert_eq!(established["duration_us"], established["handshake_us"]);
        assert_eq!((&close["reason"], &close["client_bytes"]), (&"fin".into(), &sent.into()));
        assert_eq!(close["server_bytes"], received);
        assert_eq!(close["connect_us"], established["connect_us"]);
        assert!(float(close, "duration_us") >= 20_000.0, "{close}");
        assert_eq!(
            (&close["client_retransmits"], &close["server_retransmits"]),
            (&0.into(), &0.into())
        );
        // SYN, acknowledgment, three requests, FIN; SYN, three answers, FIN; and acknowledgments.
        assert!(float(close, "client_packets") >= 6.0 && float(close, "server_packets") >= 5.0);
    }
}

#[test]
fn a_closed_port_refuses() {
    let (near, far) = Netns::pair();
    for server in ["10.9.0.2:7777", "[fd09::2]:7777"] {
        let (_script, agent) = start(&near);
        assert!(near.run(|| TcpStream::connect(server)).is_err());
        agent.wait_for_printed("\"event\":\"close\"", 1);
        let events = emitted(&agent.stop().stdout);
        assert_eq!(kinds(&events), ["open", "close"]);
        assert_eq!(
            (&events[1]["reason"], &events[1]["server"]),
            (&"refused".into(), &server.into())
        );
        assert_eq!(
            (&events[1]["client_packets"], &events[1]["server_packets"]),
            (&1.into(), &1.into())
        );
    }
    drop(far);
}

/// Packets to an address that nobody has go into the void, given that somebody's hardware is named for it.
#[test]
fn a_silent_host_is_asked_again() {
    let (near, _far) = Netns::pair();
    near.ip("neigh add 10.9.0.77 lladdr 02:00:00:00:00:77 dev veth0");
    let script = Script::new(format!("{EVENTS} function process(p) print('packet', p.flags) end"));
    let agent = script.start(&near, "-i veth0 tcp");
    let server: SocketAddr = "10.9.0.77:6379".parse().unwrap();
    let client = thread::scope(|scope| {
        let connects = scope.spawn(|| {
            near.run(|| TcpStream::connect_timeout(&server, Duration::from_millis(1500)))
        });
        agent.wait_for_printed("packet\t2\n", 2);
        connects.join().unwrap()
    });
    assert!(client.is_err());
    let finished = agent.stop();
    let text = finished.text().replace("packet\t2\n", "");
    let events = emitted(text.as_bytes());
    assert_eq!(kinds(&events), ["open", "close"]);
    let close = &events[1];
    assert_eq!(close["reason"], "end");
    assert_eq!(close["server"], server.to_string());
    assert_eq!((&close["syn_retransmits"], &close["client_packets"]), (&1.into(), &2.into()));
    assert_eq!(close["server_packets"], 0);
    // Linux waits for a second before it asks again.
    let duration_us = float(close, "duration_us");
    assert!((900_000.0..5_000_000.0).contains(&duration_us), "{duration_us}");
    assert!(close["connect_us"].is_null(), "{close}");
}

#[test]
fn a_reset_is_one_and_says_who_sent_what() {
    let (near, far) = Netns::pair();
    let listener = far.run(|| TcpListener::bind(("10.9.0.2", PORT)).unwrap());
    let (_script, agent) = start(&near);
    let mut client = near.run(|| TcpStream::connect(SERVER).unwrap());
    let address = client.local_addr().unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"12345").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    server.write_all(b"abc").unwrap();
    client.read_exact(&mut [0; 3]).unwrap();
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&client, sockopt::Linger, &linger).unwrap();
    drop(client);
    let events = events_of(address, agent, "close", 1);
    assert_eq!(kinds(&events), ["open", "established", "close"]);
    let close = &events[2];
    assert_eq!(close["reason"], "reset");
    assert_eq!((&close["client_bytes"], &close["server_bytes"]), (&5.into(), &3.into()));
}

#[test]
fn a_connection_that_was_open_before_is_said_to_be() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let mut client = Client::connect(&near, SERVER);
    client.say("ping");
    let address = client.address();
    let (_script, agent) = start(&near);
    let received = client.say("get foo").len();
    client.say_goodbye();
    let events = events_of(address, agent, "close", 1);
    assert_eq!(kinds(&events), ["open", "close"]);
    for event in &events {
        assert_eq!((&event["midstream"], &event["server"]), (&true.into(), &SERVER.into()));
        assert!(event["connect_us"].is_null() && event["handshake_us"].is_null(), "{event}");
    }
    let close = &events[1];
    assert_eq!(close["reason"], "fin");
    assert_eq!(close["client_bytes"], encode_words("get foo").len());
    assert_eq!(close["server_bytes"], received);
}

/// Whatever is open at the end is closed by it, before `finish`.
#[test]
fn what_is_open_at_the_end_is_closed_by_it() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new(
        "function connection(c) print(c.event, c.reason) end function finish() print('end') end",
    );
    let agent = script.start(&near, "-i veth0 tcp");
    let mut client = Client::connect(&near, SERVER);
    client.say("ping");
    agent.wait_for_lines(2);
    assert_eq!(agent.stop().text(), "open\tnil\nestablished\tnil\nclose\tend\nend\n");
}
