//! `scripts/dns.lua` beside a real name server (unbound), over UDP and TCP.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    process::Command,
    time::{Duration, Instant},
};

use tcpkit_tests::{
    agent::Agent,
    netns::Netns,
    process::{Server, root},
};

/// Answers for itself, and asks nobody.
const UNBOUND: &str = "server:
    username: \"\"
    chroot: \"\"
    pidfile: \"unbound.pid\"
    use-syslog: no
    interface: 10.9.0.2
    access-control: 10.9.0.0/24 allow
    module-config: \"iterator\"
    do-ip6: no
    num-threads: 1
    local-zone: \"example.com.\" static
    local-data: \"www.example.com. A 192.0.2.1\"
    local-data: \"example.com. MX 10 mx1.example.com.\"
    local-data: \"example.com. MX 20 mx2.example.com.\"
";

const A: u16 = 1;
const MX: u16 = 15;

/// A query with one question, of the class IN (RFC 1035, 4.1).
fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = [id.to_be_bytes(), [1, 0], [0, 1], [0; 2], [0; 2], [0; 2]].concat();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// Asks, and gives how long the client waited.
fn ask_by_udp(socket: &UdpSocket, query: &[u8]) -> Duration {
    let mut answer = [0; 512];
    let begin = Instant::now();
    socket.send(query).unwrap();
    socket.recv(&mut answer).unwrap();
    let waited = begin.elapsed();
    assert_eq!(answer[..2], query[..2]);
    waited
}

fn ask_by_tcp(query: &[u8]) -> Duration {
    let mut stream = TcpStream::connect("10.9.0.2:53").unwrap();
    let begin = Instant::now();
    stream
        .write_all(&[&u16::try_from(query.len()).unwrap().to_be_bytes(), query].concat())
        .unwrap();
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut answer).unwrap();
    begin.elapsed()
}

#[test]
fn queries_take_no_longer_than_their_clients_waited() {
    let (near, far) = Netns::pair();
    let _server = Server::start(&far, 53, |folder| {
        fs::write(folder.join("unbound.conf"), UNBOUND).unwrap();
        let mut command = Command::new("unbound");
        command.args(["-d", "-c", "unbound.conf"]);
        command
    });
    let script = root().join("scripts/dns.lua");
    let options = format!("-i veth0 -S {} --script-strict port 53", script.display());
    let agent = Agent::start_with(&near, &options);
    let waited = near.run(|| {
        let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
        socket.connect("10.9.0.2:53").unwrap();
        [
            ask_by_udp(&socket, &query(7, "www.example.com", A)),
            ask_by_udp(&socket, &query(8, "nosuch.example.com", A)),
            ask_by_tcp(&query(9, "example.com", MX)),
        ]
    });
    agent.wait_for_printed(" => 10.9.0.2:53 | ", 3);
    let finished = agent.stop();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(!finished.stderr.contains("SCRIPT:"), "{}", finished.stderr);
    let text = finished.text();
    let lines: Vec<Vec<&str>> =
        text.lines().take(3).map(|line| line.split(" | ").collect()).collect();
    let expect = [
        ("www.example.com A", "NOERROR 1: 192.0.2.1"),
        ("nosuch.example.com A", "NXDOMAIN"),
        ("example.com MX", "NOERROR 2"),
    ];
    for ((line, (question, answer)), waited) in lines.iter().zip(expect).zip(waited) {
        assert_eq!(line[2], question, "{text}");
        assert!(line[3].starts_with(answer), "{text}");
        let ms: f64 = line[1].strip_suffix(" ms").unwrap().parse().unwrap();
        // The client's clock began before the packet passed, and ended after its answer.
        assert!(ms > 0.0 && ms <= waited.as_secs_f64() * 1e3, "{ms} ms, {waited:?}: {text}");
    }
    let row = text.lines().find(|line| line.starts_with("10.9.0.2:53 ")).unwrap();
    let counts: Vec<&str> = row.split_whitespace().skip(1).take(4).collect();
    assert_eq!(counts, ["3", "0", "3", "1"], "queries, asked again, answered, NXDOMAIN: {text}");
}
