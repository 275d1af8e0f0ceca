//! `process(packet)`: every field is what tshark reads of the same packet.

use std::{
    collections::BTreeMap,
    fs,
    net::UdpSocket,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use tcpkit_tests::{
    agent::Finished,
    folder::Folder,
    netns::Netns,
    process::root,
    redis::{Client, RedisServer, SERVER, encode},
    script::{Script, emitted},
    tcpdump::{MARKER, MARKER_PORT, Tcpdump, send_marker},
};

/// Redis, an echo of datagrams, and markers.
const FILTER: &str = "tcp port 6379 or udp port 53 or udp port 6399";

/// How far the times of two captures of a packet may be apart: they look at it one behind the other, and
/// another program may get the CPU between them.
const APART_NS: u64 = 20_000_000;

/// Every field of every packet, and those that `pairs` gives beside them.
const EVERYTHING: &str = r"
function process(packet)
    local all = {}
    for name, value in pairs(packet) do
        all[name] = value
    end
    all.payload = tcpkit.bytes.hex(packet.payload)
    tcpkit.emit(all)
end
";

/// The fields that say when a packet was captured.
const TIMES: [&str; 5] = ["tv_sec", "tv_usec", "tv_nsec", "time_ns", "time"];

/// What is asked of tshark, in the order of [`from_tshark`].
const FIELDS: [&str; 18] = [
    "frame.time_epoch",
    "frame.len",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.len",
    "tcp.payload",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "udp.payload",
];

/// The packets of TCP and UDP in a file by tshark, as the script should show them; the interface and the
/// direction, which a file may not know, are left out.
fn tshark(file: &Path) -> Vec<Value> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file).args(["-T", "fields", "-E", "occurrence=f"]);
    command.args(["-Y", "(tcp.port == 6379 or udp.port == 53 or udp.port == 6399) and not icmp"]);
    command.args(["-o", "tcp.desegment_tcp_streams:FALSE", "--disable-protocol", "dns"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(from_tshark).collect()
}

/// Seconds since 1970 as date(1) writes them.
fn date(seconds: &str, format: &str) -> String {
    let output = Command::new("date").args(["-u", "-d", &format!("@{seconds}"), format]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim_end().to_owned()
}

fn from_tshark(line: &str) -> Value {
    let columns: BTreeMap<_, _> = FIELDS.into_iter().zip(line.split('\t')).collect();
    let text = |name: &str| columns[name];
    let number =
        |name: &str| -> u64 { text(name).parse().unwrap_or_else(|_| panic!("{name}: {line}")) };
    let either = |one: &str, other: &str| [text(one), text(other)].concat();
    let is_tcp = !text("tcp.srcport").is_empty();
    let proto = if is_tcp { "tcp" } else { "udp" };
    let ports = ["srcport", "dstport"].map(|port| number(&format!("{proto}.{port}")));
    let (seconds, ns) = text("frame.time_epoch").split_once('.').unwrap();
    assert_eq!(ns.len(), 9, "{line}");
    let ns: u64 = ns.parse().unwrap();
    let is_request = ports[0] > ports[1] || ports[1] == u64::from(MARKER_PORT);
    let mut packet = json!({
        "tv_sec": seconds.parse::<u64>().unwrap(),
        "tv_usec": ns / 1000,
        "tv_nsec": ns,
        "time_ns": format!("{seconds}{ns:09}"),
        "time": format!("{}.{ns:09}Z", date(seconds, "+%Y-%m-%dT%H:%M:%S")),
        "sip": either("ip.src", "ipv6.src"),
        "dip": either("ip.dst", "ipv6.dst"),
        "sport": ports[0],
        "dport": ports[1],
        "type": if is_request { "request" } else { "response" },
        "request": is_request,
        "proto": proto,
        "len": number("frame.len"),
        "size": if is_tcp { number("tcp.len") } else { number("udp.length") - 8 },
        "payload": text(if is_tcp { "tcp.payload" } else { "udp.payload" }),
    });
    if is_tcp {
        let flags = u64::from_str_radix(text("tcp.flags").trim_start_matches("0x"), 16).unwrap();
        packet["flags"] = json!(flags & 0xff);
        packet["seq"] = json!(number("tcp.seq_raw"));
        packet["ack"] = json!(number("tcp.ack_raw"));
        packet["window"] = json!(number("tcp.window_size_value"));
    }
    packet
}

/// Takes fields out, and gives their values.
fn take<const N: usize>(packet: &mut Value, names: [&str; N]) -> [Option<Value>; N] {
    names.map(|name| packet.as_object_mut().unwrap().remove(name))
}

fn time_ns(packet: &Value) -> u64 {
    packet["time_ns"].as_str().unwrap().parse().unwrap()
}

/// The same packets in two captures: all of a packet but its times is the same, and those nearly.
fn compare_captures(mut ours: Vec<Value>, mut theirs: Vec<Value>) {
    let mut times = Vec::new();
    for packets in [&mut ours, &mut theirs] {
        packets.sort_by_key(time_ns);
        // Those that are alike stay in the order of their times.
        packets.sort_by_cached_key(|it| {
            let mut it = it.clone();
            take(&mut it, TIMES);
            let fields = it.as_object().unwrap().iter();
            fields
                .map(|(name, value)| (name.clone(), value.to_string()))
                .collect::<BTreeMap<_, _>>()
        });
        times.push(packets.iter().map(time_ns).collect::<Vec<_>>());
        for packet in packets.iter_mut() {
            let [seconds, us, ns, all, text] = take(packet, TIMES).map(Option::unwrap);
            assert_eq!(us.as_u64().unwrap(), ns.as_u64().unwrap() / 1000);
            assert_eq!(all, format!("{seconds}{:09}", ns.as_u64().unwrap()));
            let second = date(&seconds.to_string(), "+%Y-%m-%dT%H:%M:%S");
            assert_eq!(text, format!("{second}.{:09}Z", ns.as_u64().unwrap()));
        }
    }
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    for (ours, theirs) in times[0].iter().zip(&times[1]) {
        assert!(ours.abs_diff(*theirs) < APART_NS, "{ours} {theirs}");
    }
}

/// Answers datagrams in a namespace until a marker comes to its port.
fn echo(netns: &Netns) -> thread::JoinHandle<()> {
    let socket = netns.run(|| UdpSocket::bind("[::]:53").unwrap());
    thread::spawn(move || {
        let mut bytes = [0; 2048];
        loop {
            let (len, from) = socket.recv_from(&mut bytes).unwrap();
            if &bytes[..len] == MARKER {
                return;
            }
            socket.send_to(&bytes[..len], from).unwrap();
        }
    })
}

/// Asks servers of both kinds over IPv4 and IPv6, and ends with a marker.
fn converse(near: &Netns, far: &Netns) {
    let echo = echo(far);
    for (redis, udp) in [(SERVER, "10.9.0.2:53"), ("[fd09::2]:6379", "[fd09::2]:53")] {
        let mut client = Client::connect(near, redis);
        for words in ["set foo bar", "get foo", "lpush foo x", "ping"] {
            client.say(words);
        }
        client.send(&encode(&[b"ECHO", &(0..=255).cycle().take(20_000).collect::<Vec<u8>>()]));
        client.receive();
        client.say_goodbye();
        let any = if udp.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = near.run(|| UdpSocket::bind(any).unwrap());
        for len in [0, 1, 512, 1400] {
            let question = vec![len as u8; len];
            socket.send_to(&question, udp).unwrap();
            let mut answer = [0; 2048];
            assert_eq!(socket.recv(&mut answer).unwrap(), len);
        }
        if udp.starts_with('[') {
            socket.send_to(MARKER, udp).unwrap();
        }
    }
    echo.join().unwrap();
    send_marker(near, "10.9.0.2");
}

/// Waits until a script that shows payloads in hexadecimal has shown the last marker.
fn stop_after_marker(agent: tcpkit_tests::agent::Agent) -> Finished {
    let marker: String = MARKER.iter().map(|byte| format!("{byte:02x}")).collect();
    agent.wait_for_printed(&marker, 2);
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    finished
}

#[test]
fn every_field_is_what_tshark_reads_at_both_ends_and_from_the_file() {
    check_every_field("--backend ebpf", true);
}

#[test]
fn every_field_is_what_tshark_reads_through_packet_sockets() {
    // Those of named interfaces do not say which way a packet went.
    check_every_field("--backend packet", false);
}

fn check_every_field(arguments: &str, knows_direction: bool) {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new(EVERYTHING);
    let watch = |netns| {
        (
            script.start(netns, &format!("{arguments} -i veth0 -s 0 {FILTER}")),
            Tcpdump::start(netns, &["-i", "veth0", "-s", "0"]),
        )
    };
    let ends = [("out", watch(&near)), ("in", watch(&far))];
    converse(&near, &far);
    for (way_of_requests, (agent, tcpdump)) in ends {
        let folder = Folder::new();
        let file = folder.file("witness.pcap");
        tcpdump.stop_into(2, &file);
        let live = stop_after_marker(agent);
        let mut packets = emitted(&live.stdout);
        assert_eq!(live.ledger().total("packets handed to the script"), packets.len() as u64);
        for packet in &mut packets {
            let is_request = packet["request"] == true;
            let way = if is_request == (way_of_requests == "out") { "out" } else { "in" };
            let [interface, direction] = take(packet, ["interface", "direction"]);
            assert_eq!(interface, Some("veth0".into()));
            assert_eq!(direction, knows_direction.then(|| way.into()));
        }
        let expect = tshark(&file);
        assert!(expect.len() > 60, "{}", expect.len());
        // In the order of their times.
        assert!(packets.is_sorted_by_key(time_ns));
        compare_captures(packets, expect.clone());
        // A pcap file knows neither interface nor direction, but its times are these.
        let read = script.read(&file, FILTER);
        assert_eq!(emitted(&read.stdout), expect);
    }
}

#[test]
fn a_file_that_is_written_meanwhile_says_the_same() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new(EVERYTHING);
    let folder = Folder::new();
    for name in ["a.pcap", "a.pcapng"] {
        let file = folder.file(name);
        let agent = script.start(&near, &format!("-i veth0 -s 0 -w {} {FILTER}", file.display()));
        converse(&near, &far);
        let live = stop_after_marker(agent);
        assert_eq!(live.ledger().total("written"), emitted(&live.stdout).len() as u64);
        let mut packets = emitted(&live.stdout);
        if name == "a.pcap" {
            for packet in &mut packets {
                take(packet, ["interface", "direction"]);
            }
            assert_eq!(packets, tshark(&file));
        }
        assert_eq!(emitted(&script.read(&file, FILTER).stdout), packets, "{name}");
    }
}

/// What the script of the introduction prints of a file's packets, by tshark.
fn introduction(file: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for it in tshark(file).iter().filter(|it| it["proto"] == "tcp" && it["size"] != 0) {
        let word =
            |name: &str| it[name].as_str().map_or_else(|| it[name].to_string(), str::to_owned);
        let time = date(&word("tv_sec"), "+%Y-%m-%d %H:%M:%S");
        let ends = format!("{}:{}=>{}:{}", word("sip"), it["sport"], word("dip"), it["dport"]);
        let numbers = ["type", "seq", "ack", "flags", "size"].map(word).join(" ");
        text.extend(format!("{time}.{} {ends} {numbers} ", it["tv_usec"]).bytes());
        let hex = word("payload");
        text.extend(
            hex.as_bytes().chunks(2).map(|digits| {
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            }),
        );
        text.push(b'\n');
    }
    text
}

#[test]
fn the_script_of_old_introductions_prints_what_it_did() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let old = root().join("tests/fixtures/scripts-old/introduction.lua");
    let script = Script::new(fs::read(old).unwrap());
    let folder = Folder::new();
    let file = folder.file("a.pcap");
    let arguments = format!("-i veth0 -s 0 -w {} tcp port 6379", file.display());
    let mut command = script.command(&arguments);
    command.env("TZ", "UTC");
    let agent = tcpkit_tests::agent::Agent::spawn(&near, command);
    converse(&near, &far);
    Client::connect(&near, SERVER).say("echo the-last-word");
    agent.wait_for_printed("the-last-word", 2);
    let live = agent.stop();
    let expect = introduction(&file);
    assert!(expect.len() > 80_000, "{}", expect.len());
    assert!(live.stdout == expect, "{}", String::from_utf8_lossy(&live.stdout));
    let mut command = script.command(&format!("-r {} tcp port 6379", file.display()));
    let read = tcpkit_tests::script::finished(command.env("TZ", "UTC").output().unwrap());
    assert!(read.stdout == expect, "{}", String::from_utf8_lossy(&read.stdout));
}

/// On a bridge each packet crosses two or three interfaces.
#[test]
fn each_packet_comes_once_from_any_interface() {
    let (host, left, right) = (Netns::new(), Netns::new(), Netns::new());
    host.ip("link add br0 type bridge");
    for (netns, port, last) in [(&left, "left", 1), (&right, "right", 2)] {
        host.ip(&format!("link add {port} type veth peer name veth0 netns {}", netns.name()));
        host.ip(&format!("link set {port} master br0 up"));
        netns.ip(&format!("addr add 10.9.0.{last}/24 dev veth0"));
        netns.ip("link set veth0 up");
    }
    host.ip("link set br0 up");
    let _redis = RedisServer::start(&right);
    let script = Script::new(EVERYTHING);
    let agent = script.start(&host, &format!("-i any -s 0 {FILTER}"));
    let tcpdump = Tcpdump::start(&left, &["-i", "veth0", "-s", "0"]);
    let mut client = Client::connect(&left, SERVER);
    for number in 0..50 {
        client.say(&format!("echo {number}"));
    }
    client.say_goodbye();
    send_marker(&left, "10.9.0.2");
    let marker: String = MARKER.iter().map(|byte| format!("{byte:02x}")).collect();
    agent.wait_for_printed(&marker, 1);
    let file = script.folder().file("witness.pcap");
    tcpdump.stop_into(1, &file);
    let finished = agent.stop();
    let mut packets = emitted(&finished.stdout);
    for packet in &mut packets {
        let [interface, _] = take(packet, ["interface", "direction"]);
        let interface = interface.unwrap();
        assert!(interface == "left" || interface == "right" || interface == "br0", "{interface}");
    }
    compare_captures(packets, tshark(&file));
}

/// `size` is what a packet carries, `payload` what was captured of it.
#[test]
fn the_snaplen_cuts_payloads_only() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let script = Script::new("function process(p) print(p.size, #p.payload, p.len) end");
    for (snaplen, most) in [("-s 100", 100), ("", 16_384)] {
        let agent = script.start(&near, &format!("{snaplen} -i veth0 tcp port 6379"));
        let mut client = Client::connect(&near, SERVER);
        client.send(&encode(&[b"SET", b"foo", &[b'x'; 60_000]]));
        client.receive();
        client.say_goodbye();
        let finished = agent.stop();
        let mut is_cut = false;
        for line in finished.text().lines() {
            let numbers: Vec<usize> = line.split('\t').map(|it| it.parse().unwrap()).collect();
            let &[size, captured, len] = &numbers[..] else { panic!("{line}") };
            assert_eq!(captured, size.min(most), "{line}");
            assert!(len >= size + 54, "{line}");
            is_cut |= captured < size;
        }
        assert!(is_cut, "{}", finished.text());
    }
}

/// Of TCP the handshake says who the client is, or who listens; of datagrams a port of the filter or one
/// below 1024.
#[test]
fn who_asks_is_nil_where_nothing_says_it() {
    let (near, far) = Netns::pair();
    let script = Script::new(
        "function process(p) print(p.dport, p.type, p.request, p.seq, p.ack, p.flags, p.window) end",
    );
    let bind = |netns: &Netns, port: u16| netns.run(|| UdpSocket::bind(("0.0.0.0", port)).unwrap());
    let client = bind(&near, 0);
    let own = client.local_addr().unwrap().port();
    for (port, expression, [ask, answer]) in [
        (5353, "udp", ["nil\tnil", "nil\tnil"]),
        (5354, "udp port 5354", ["request\ttrue", "response\tfalse"]),
        (999, "udp", ["request\ttrue", "response\tfalse"]),
    ] {
        let server = bind(&far, port);
        let agent = script.start(&near, &format!("-i veth0 {expression}"));
        client.send_to(b"?", ("10.9.0.2", port)).unwrap();
        let (_, from) = server.recv_from(&mut [0; 9]).unwrap();
        server.send_to(b"!", from).unwrap();
        client.recv_from(&mut [0; 9]).unwrap();
        agent.wait_for_lines(2);
        let tcp = "nil\tnil\tnil\tnil";
        let expect = format!("{port}\t{ask}\t{tcp}\n{own}\t{answer}\t{tcp}\n");
        assert_eq!(agent.stop().text(), expect);
    }
}
