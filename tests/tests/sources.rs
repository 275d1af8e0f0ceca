//! Where packets come from: interfaces that come and go, directions, hooks, and packet sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use tcpkit_tests::{
    agent::{Agent, PublicCopy, binary, command},
    folder::Folder,
    frames::{IPV4, Ipv4Extra, QINQ, TCP, UDP, VLAN, ethernet, ipv4, tcp, udp, vlan},
    netns::Netns,
    raw::{PacketSocket, Tun},
    redis::{Client, RedisServer, SERVER, run_benchmark},
    tcpdump::{MARKER_PORT, Packet, Tcpdump, read, send_marker, wait_for_markers, without_markers},
};

const FILTER: &str = "tcp port 6379";

/// Connects two namespaces by a further cable with one name at both ends.
fn cable(near: &Netns, far: &Netns, name: &str, network: u8) {
    near.ip(&format!("link add {name} type veth peer name {name} netns {}", far.name()));
    for (netns, last) in [(near, 1), (far, 2)] {
        netns.ip(&format!("addr add 10.{network}.0.{last}/24 dev {name}"));
        netns.ip(&format!("link set {name} up"));
    }
}

#[test]
fn interfaces_that_come_later_are_followed() {
    for backend in ["ebpf", "packet"] {
        // Nothing of one round is left to be seen by the next.
        let (near, far) = Netns::pair();
        let _redis = RedisServer::start(&far);
        let mut agent = Agent::start(&near, &format!("-v --backend {backend} {FILTER}"));
        let mut steady = Client::connect(&near, SERVER);
        for round in 0..3 {
            let network = 50 + round;
            steady.say("ping");
            cable(&near, &far, "later0", network);
            if backend == "ebpf" {
                agent.wait_for_stderr("interface 'later0' came", round as usize + 1);
            }
            let mut client = Client::connect(&near, &format!("10.{network}.0.2:6379"));
            for _ in 0..10 {
                client.say("incr later");
                steady.say("incr steady");
            }
            agent.wait_for_lines(21 * (round as usize + 1));
            near.ip("link del later0");
            steady.say("incr steady");
            agent.wait_for_lines(21 * (round as usize + 1) + 1 + round as usize);
        }
        let finished = agent.stop();
        let lines = finished.lines();
        let count = |request| lines.iter().filter(|line| line.request == request).count();
        assert_eq!((count("incr later"), count("incr steady")), (30, 33), "{backend}");
        assert!(lines.iter().all(|line| line.quality == "exact"), "{backend}: {lines:?}");
        let ledger = finished.ledger();
        ledger.check_no_loss();
        let by_interface = ledger.totals("packets on ");
        assert!(by_interface.keys().any(|name| name.starts_with("later0")), "{by_interface:?}");
    }
}

#[test]
fn a_named_interface_is_waited_for() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    cable(&near, &far, "named0", 60);
    let mut agent = Agent::start(&near, &format!("-v -i named0 {FILTER}"));
    Client::connect(&near, "10.60.0.2:6379").say("ping");
    agent.wait_for_lines(1);
    near.ip("link del named0");
    agent.wait_for_stderr("interface 'named0' is gone; waiting for it", 1);
    cable(&near, &far, "other0", 61);
    cable(&near, &far, "named0", 60);
    agent.wait_for_stderr("interface 'named0' came", 1);
    Client::connect(&near, "10.61.0.2:6379").say("set not seen");
    Client::connect(&near, "10.60.0.2:6379").say("get seen");
    agent.wait_for_lines(2);
    let requests: Vec<_> = agent.stop().lines().iter().map(|it| it.request.clone()).collect();
    assert_eq!(requests, ["ping", "get seen"]);
}

#[test]
fn an_interface_that_moves_away_is_let_go() {
    let (near, far) = Netns::pair();
    let elsewhere = Netns::new();
    let filter = "udp port 7000";
    let mut agent = Agent::start_with(&near, &format!("-v {filter}"));
    cable(&near, &far, "moves0", 70);
    agent.wait_for_stderr("interface 'moves0' came", 1);
    near.ip(&format!("link set moves0 netns {}", elsewhere.name()));
    agent.wait_for_stderr("interface 'moves0' is gone", 1);
    elsewhere.ip("addr add 10.70.0.1/24 dev moves0");
    elsewhere.ip("link set moves0 up");
    // What passes there is nobody's business here.
    let send = |netns: &Netns, to: &str| {
        netns.run(|| UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", to).unwrap());
    };
    send(&elsewhere, "10.70.0.2:7000");
    send(&near, "10.9.0.2:7000");
    agent.wait_for_lines(1);
    let finished = agent.stop();
    assert_eq!(finished.ledger().total("packets captured"), 1, "{}", finished.stderr);
}

#[test]
fn interfaces_are_listed_and_taken_by_number() {
    let (near, _far) = Netns::pair();
    let output = near.run(|| command("-D").output().unwrap());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let listed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines[..2], ["1.veth0 [Up, Running]", "2.lo [Up, Running, Loopback]"], "{listed}");
    assert!(lines[2].starts_with("3.any "), "{listed}");
    let agent = Agent::start_with(&near, "-i 2 udp port 7000");
    near.run(|| {
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", "127.0.0.1:7000").unwrap();
    });
    agent.wait_for_lines(1);
    assert!(agent.stop().stderr.contains("listening on lo\n"));
}

/// The packets of a file, without what tells two captures of one packet apart.
fn contents(packets: &[Packet]) -> Vec<(u32, Vec<u8>)> {
    let mut contents: Vec<_> = packets.iter().map(|it| (it.len, it.bytes.clone())).collect();
    contents.sort_unstable();
    contents
}

/// Runs the agent and tcpdump at the same time with the same expression, and compares what they
/// write. `mark` sends so many markers.
fn compare(
    netns: &Netns,
    (ours, theirs): (&str, &str),
    expression: &str,
    traffic: impl Fn(),
    (markers, mark): (usize, &dyn Fn()),
) {
    let folder = Folder::new();
    let file = folder.file("ours.pcap");
    let written = file.display();
    let with_markers = format!("udp port {MARKER_PORT} or ({expression})");
    let agent = Agent::start_with(netns, &format!("{ours} -w {written} {with_markers}"));
    let words: Vec<&str> = theirs.split(' ').chain(with_markers.split(' ')).collect();
    let tcpdump = Tcpdump::start(netns, &words);
    traffic();
    mark();
    let seen = tcpdump.stop_after_markers(markers);
    wait_for_markers(&file, markers);
    let finished = agent.stop();
    let packets = without_markers(read(&file).1);
    let what = format!("{ours} {expression}");
    assert_eq!(packets.len(), seen.len(), "{what}: {}", finished.stderr);
    assert!(contents(&packets) == contents(&seen), "{what}: the bytes differ");
    let mut late: Vec<u64> = Vec::new();
    let times = |packets: &[Packet]| -> BTreeMap<Vec<u8>, u64> {
        packets.iter().map(|it| (it.bytes.clone(), it.unix_ns)).collect()
    };
    let theirs = times(&seen);
    for (bytes, unix_ns) in times(&packets) {
        late.push(theirs[&bytes].abs_diff(unix_ns));
    }
    late.sort_unstable();
    assert!(late[late.len() / 2] < 1_000_000, "{what}: {late:?} ns apart");
}

/// Sends a few of everything through the end of a cable, to addresses that nobody has, so that nobody
/// answers.
fn send_frames(from: &Netns) {
    let plain = Ipv4Extra::default();
    let mut packets = Vec::new();
    for port in [6379, 6380, 53] {
        for len in [0, 5, 300, 1200] {
            packets.push((
                IPV4,
                ipv4(TCP, plain, &tcp(port, 40_000 + len as u16, &[], &vec![7; len])),
            ));
            packets.push((IPV4, ipv4(UDP, plain, &udp(40_000 + len as u16, port, &vec![7; len]))));
        }
    }
    from.run(|| {
        let socket = PacketSocket::open("veth0");
        for (ethertype, packet) in packets {
            for mut frame in [
                ethernet(ethertype, &packet),
                ethernet(VLAN, &vlan(5, ethertype, &packet)),
                ethernet(QINQ, &vlan(9, VLAN, &vlan(5, ethertype, &packet))),
            ] {
                frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
                socket.send(&frame);
            }
        }
    });
}

/// The ways to capture whose packets have to be tcpdump's.
const WAYS: [&str; 3] = ["--backend ebpf", "--backend ebpf --hook xdp", "--backend packet"];

#[test]
fn on_a_cable_packets_are_tcpdumps() {
    let (near, far) = Netns::pair();
    let mark = || send_marker(&far, "10.9.0.1");
    for expression in ["tcp port 6379", "udp port 53", "vlan 5 and tcp", "len > 300", "ip or vlan"]
    {
        for way in WAYS {
            let arguments = (&*format!("-i veth0 {way}"), "-i veth0");
            compare(&near, arguments, expression, || send_frames(&far), (1, &mark));
        }
    }
}

/// One request, and a goodbye that is over when this returns.
fn ping(netns: &Netns, server: &str) {
    let mut client = Client::connect(netns, server);
    assert_eq!(client.say("ping"), b"+PONG\r\n");
    client.say_goodbye();
}

#[test]
fn directions_are_tcpdumps() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let mark = || {
        send_marker(&far, "10.9.0.1");
        send_marker(&near, "10.9.0.2");
    };
    for (direction, markers) in [("in", 1), ("out", 1), ("inout", 2)] {
        for way in WAYS {
            let ours = format!("-i veth0 {way} -Q {direction}");
            let theirs = format!("-i veth0 -Q {direction}");
            compare(&near, (&ours, &theirs), FILTER, || ping(&near, SERVER), (markers, &mark));
        }
    }
}

#[test]
fn on_a_loopback_each_packet_counts_once() {
    let netns = Netns::new();
    let _redis = RedisServer::start(&netns);
    let traffic = || {
        for _ in 0..10 {
            ping(&netns, "127.0.0.1:6379");
        }
    };
    let mark = || send_marker(&netns, "127.0.0.1");
    for way in WAYS {
        compare(&netns, (&format!("-i lo {way}"), "-i lo"), FILTER, traffic, (1, &mark));
    }
}

#[test]
fn on_a_tun_device_packets_are_tcpdumps() {
    let netns = Netns::new();
    let tun = netns.run(|| Tun::open("tun0"));
    netns.ip("addr add 10.9.0.2/24 dev tun0");
    netns.ip("link set tun0 up");
    let traffic = || {
        for len in [1, 100, 1000] {
            tun.send(&ipv4(UDP, Ipv4Extra::default(), &udp(len, 6379, &vec![1; len.into()])));
        }
        netns.run(|| {
            let socket = UdpSocket::bind("10.9.0.2:9").unwrap();
            socket.send_to(b"out", "10.9.0.77:6379").unwrap();
        });
    };
    let mark = || send_marker(&netns, "10.9.0.77");
    for way in WAYS {
        let arguments = (&*format!("-i tun0 {way}"), "-i tun0");
        compare(&netns, arguments, "udp dst port 6379", traffic, (1, &mark));
    }
}

/// Three hosts: the middle one is a bridge, on which every packet passes three interfaces.
#[test]
fn on_a_bridge_each_packet_counts_once() {
    let (near, middle, far) = (Netns::new(), Netns::new(), Netns::new());
    middle.ip("link add br0 type bridge");
    middle.ip("link set br0 up");
    for (netns, port, last) in [(&near, "port1", 1), (&far, "port2", 2)] {
        netns.ip(&format!("link add veth0 type veth peer name {port} netns {}", middle.name()));
        netns.ip(&format!("addr add 10.9.0.{last}/24 dev veth0"));
        netns.ip("link set veth0 up");
        middle.ip(&format!("link set {port} master br0 up"));
    }
    let _redis = RedisServer::start(&far);
    let folder = Folder::new();
    for backend in ["ebpf", "packet"] {
        let file = folder.file(&format!("{backend}.pcapng"));
        let written = file.display();
        let agent = Agent::start(&middle, &format!("--backend {backend} -w {written} {FILTER}"));
        let lines = Agent::start_with(&middle, &format!("--backend {backend} {FILTER}"));
        let words = ["-i", "veth0", "udp", "port", "6399", "or", "tcp", "port", "6379"];
        let tcpdump = Tcpdump::start(&near, &words);
        for _ in 0..20 {
            ping(&near, SERVER);
        }
        agent.wait_for_lines(20);
        send_marker(&near, "10.9.0.2");
        let seen = tcpdump.stop_after_markers(1).len();
        lines.wait_for_lines(seen);
        let (finished, lines) = (agent.stop(), lines.stop());
        assert_eq!(finished.lines().len(), 20);
        assert_eq!(read(&file).1.len(), seen, "{backend}: {}", finished.stderr);
        assert_eq!(lines.ledger().total("printed"), seen as u64, "{backend}: {}", lines.stderr);
        assert!(lines.ledger().part("packets for output", "seen on another interface before") > 0);
    }
}

#[test]
fn the_ledger_covers_each_interface_and_hook() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for hook in ["tc", "xdp"] {
        let agent = Agent::start(&near, &format!("-i veth0,lo --hook {hook} {FILTER}"));
        let mut client = Client::connect(&near, SERVER);
        for _ in 0..10 {
            client.say("ping");
        }
        agent.wait_for_lines(10);
        let finished = agent.stop();
        let ledger = finished.ledger();
        let by_interface = ledger.totals("packets on ");
        let names: Vec<_> = by_interface.keys().copied().collect();
        assert_eq!(names, ["lo in", "veth0 in", "veth0 out"], "{}", ledger.text());
        assert_eq!(by_interface.values().sum::<u64>(), ledger.total("packets seen"));
        let captured = |name: &str| ledger.part(&format!("packets on {name}"), "captured");
        assert_eq!(captured("lo in"), 0);
        assert!(captured("veth0 in") >= 10 && captured("veth0 out") >= 10, "{}", ledger.text());
    }
}

/// The agent with no capability but CAP_NET_RAW, as in many containers.
fn with_net_raw_only(copy: &PublicCopy, arguments: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all,+net_raw",
    ]);
    command.args(["--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw"]);
    command.arg(copy.path()).args(arguments.split(' ')).env_remove("RUST_LOG").stdin(Stdio::null());
    command.current_dir("/");
    command
}

#[test]
fn without_ebpf_packet_sockets_do() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let copy = PublicCopy::new();
    let arguments = format!("-i veth0 -p redis --format json {FILTER}");
    let agent = Agent::spawn(&near, with_net_raw_only(&copy, &arguments));
    let mut client = Client::connect(&near, SERVER);
    for request in ["set foo bared", "get foo", "debug sleep 0.05"] {
        client.say(request);
    }
    agent.wait_for_lines(3);
    let finished = agent.stop();
    let lines = finished.lines();
    let requests: Vec<_> = lines.iter().map(|line| line.request.as_str()).collect();
    assert_eq!(requests, ["set foo bared", "get foo", "debug sleep 0.05"]);
    assert!((50_000.0..500_000.0).contains(&lines[2].latency_us), "{lines:?}");
    let warnings: Vec<_> = finished.stderr.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{}", finished.stderr);
    assert!(warnings[0].contains("packet sockets instead"), "{}", finished.stderr);
    finished.ledger().check_no_loss();
    // Asked for eBPF, it says what is missing.
    let output = near
        .run(|| with_net_raw_only(&copy, &format!("--backend ebpf {arguments}")).output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("tcpkit: no permission to load eBPF programs"), "{said}");
}

#[test]
fn packet_sockets_lose_nothing_of_a_benchmark() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 --backend packet {FILTER}"));
    run_benchmark(&near, "-n 20000 -c 20 -t get");
    // Its own two requests for the configuration come on top.
    agent.wait_for_lines(20_000);
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    assert!(finished.ledger().total("transactions") >= 20_000, "{}", finished.stderr);
}

#[test]
fn a_file_of_all_kinds_of_interfaces_is_read_by_tcpdump() {
    let (near, far) = Netns::pair();
    let tun = near.run(|| Tun::open("tun0"));
    near.ip("addr add 10.8.0.2/24 dev tun0");
    near.ip("link set tun0 up");
    let folder = Folder::new();
    for name in ["all.pcapng", "all.pcap"] {
        let file = folder.file(name);
        let agent = Agent::start_with(&near, &format!("-w {} udp port 6399", file.display()));
        send_marker(&far, "10.9.0.1");
        tun.send(&ipv4(UDP, Ipv4Extra::default(), &udp(7, MARKER_PORT, b"from the tunnel")));
        send_marker(&far, "10.9.0.1");
        wait_for_markers(&file, 2);
        drop(agent.stop());
        let (_, packets) = read(&file);
        let found = packets.iter().filter(|it| it.bytes.ends_with(b"from the tunnel")).count();
        assert_eq!((packets.len(), found), (3, 1), "{name}");
    }
}

#[test]
fn an_interface_is_promiscuous_only_as_long_as_somebody_asks() {
    let (near, _far) = Netns::pair();
    let is_promiscuous = || near.ip("-d link show veth0").contains("promiscuity 1");
    for backend in ["ebpf", "packet"] {
        let agent = Agent::start_with(&near, &format!("-i veth0 --backend {backend} tcp"));
        assert!(!is_promiscuous(), "{backend}");
        drop(agent);
        let agent =
            Agent::start_with(&near, &format!("-i veth0 --promiscuous --backend {backend} tcp"));
        assert!(is_promiscuous(), "{backend}");
        agent.signal(Signal::SIGKILL);
        drop(agent.wait());
        assert!(!is_promiscuous(), "{backend}");
    }
}

#[test]
fn a_hang_up_is_ignored_where_it_was_before() {
    let netns = Netns::new();
    for (ignored, prefix) in [(false, &[][..]), (true, &["nohup"][..])] {
        let words: Vec<&str> = prefix.iter().copied().chain(["env"]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(binary()).args(["-i", "lo", "udp", "port", "7000"]);
        let mut agent = Agent::spawn(&netns, command);
        agent.signal(Signal::SIGHUP);
        netns.run(|| {
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", "127.0.0.1:7000").unwrap();
        });
        agent.wait_for_lines(1);
        if !ignored {
            agent.wait_for_stderr("options were read again", 1);
        }
        let finished = agent.stop();
        assert_eq!(finished.stderr.contains("read again"), !ignored, "{}", finished.stderr);
    }
}
