//! Lines of packets against the real tcpdump's: byte by byte, but for what its decoders of
//! applications append.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    cell::RefCell,
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    rc::Rc,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcpkit::{
    capture::{Frame, HookDirection, InterfaceNames, LinkType, VlanTag},
    sink::{
        Sink as _,
        packets::{HexDump, PacketLineOptions, PacketLines, PacketTime},
    },
};
use tcpkit_tests::{
    frames::{IPV4, IPV6, Ipv4Extra, TCP, UDP, ipv4, ipv6, udp},
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER},
    shapes::{SLL2_IFINDEX, behind, carries, datagrams, packets, segments, tagged},
};

/// A frame as a capture file holds it.
#[derive(Clone)]
struct Captured {
    bytes: Vec<u8>,
    wire_len: usize,
}

impl Captured {
    fn whole(bytes: Vec<u8>) -> Self {
        Self { wire_len: bytes.len(), bytes }
    }
}

const LINKS: [(LinkType, u32); 6] = [
    (LinkType::Ethernet, 1),
    (LinkType::RawIp, 101),
    (LinkType::Null, 0),
    (LinkType::Loop, 108),
    (LinkType::LinuxSll, 113),
    (LinkType::LinuxSll2, 276),
];

const EPOCH_S: u32 = 1_700_000_000;

/// A pcap file with microseconds, of which the frames are one apart.
fn pcap(link: LinkType, frames: &[Captured]) -> Vec<u8> {
    let number = LINKS.iter().find(|it| it.0 == link).unwrap().1;
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, number] {
        file.extend(u32::to_le_bytes(word));
    }
    for (position, frame) in frames.iter().enumerate() {
        let lengths = [frame.bytes.len() as u32, frame.wire_len as u32];
        for word in [EPOCH_S, position as u32, lengths[0], lengths[1]] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&frame.bytes);
    }
    file
}

/// What tcpdump prints, packet by packet.
fn theirs(file: &[u8], arguments: &str) -> Vec<String> {
    let mut tcpdump = Command::new("tcpdump")
        .args("-n -S -r -".split(' ').chain(arguments.split_whitespace()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = tcpdump.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(file).unwrap());
        tcpdump.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    split(&String::from_utf8_lossy(&output.stdout))
}

/// Lines to packets: a packet begins with a time of day.
fn split(output: &str) -> Vec<String> {
    let mut packets: Vec<String> = Vec::new();
    for line in output.lines() {
        let begins = line.len() > 15 && line.as_bytes()[2] == b':' && line.as_bytes()[8] == b'.';
        if begins {
            packets.push(line.to_owned());
        } else {
            let packet = packets.last_mut().unwrap();
            packet.push('\n');
            packet.push_str(line);
        }
    }
    packets
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the sink prints, packet by packet.
fn ours(link: LinkType, frames: &[Captured], options: PacketLineOptions) -> Vec<String> {
    let names = InterfaceNames::default();
    names.insert(SLL2_IFINDEX, "?");
    let output = Shared::default();
    // tcpdump has the column for this link type, and only for it.
    let options = PacketLineOptions { interface_column: link == LinkType::LinuxSll2, ..options };
    let mut sink = PacketLines::new(Box::new(output.clone()), options, names);
    for (position, captured) in frames.iter().enumerate() {
        let frame = Frame {
            time_ns: 0,
            ifindex: SLL2_IFINDEX,
            direction: HookDirection::Unknown,
            link,
            vlan: None,
            wire_len: captured.wire_len as u32,
            bytes: &captured.bytes,
        };
        let unix_ns = u64::from(EPOCH_S) * 1_000_000_000 + position as u64 * 1000;
        sink.on_packet(&frame, unix_ns).unwrap();
    }
    sink.flush().unwrap();
    let bytes = output.0.borrow().clone();
    split(&String::from_utf8(bytes).unwrap())
}

/// The options by their letters.
fn options(letters: &str) -> PacketLineOptions {
    let has = |word: &str| letters.split_whitespace().any(|it| it == word);
    PacketLineOptions {
        time: PacketTime::Clock,
        quiet: has("-q"),
        link_header: has("-e"),
        ascii: has("-A"),
        hex: match () {
            () if has("-x") => HexDump::FromNetwork { text: false },
            () if has("-X") => HexDump::FromNetwork { text: true },
            () if has("-xx") => HexDump::FromLink { text: false },
            () if has("-XX") => HexDump::FromLink { text: true },
            () => HexDump::None,
        },
        interface_column: false,
    }
}

/// Both print the same for each frame.
#[track_caller]
fn check(link: LinkType, frames: &[Captured], letters: &str) {
    let expect = theirs(&pcap(link, frames), letters);
    let lines = ours(link, frames, options(letters));
    let mut wrong = Vec::new();
    // What tcpdump does not understand it shows in hexadecimal, unasked.
    let is_dump = letters.contains('x') || letters.contains('X');
    for ((expect, line), frame) in expect.iter().zip(&lines).zip(frames) {
        let expect = if is_dump { expect } else { expect.lines().next().unwrap() };
        // tcpdump 4.99 has no name for this option of T/TCP, later ones do.
        if line.replace("ccecho", "") != expect {
            wrong.push(format!(
                "theirs {expect}\n  ours {line}\n       {} of {} bytes: {}",
                frame.bytes.len(),
                frame.wire_len,
                frame.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{link:?} {letters}: {} of {} differ\n{}",
        wrong.len(),
        frames.len(),
        wrong[..wrong.len().min(25)].join("\n")
    );
    assert_eq!(expect.len(), frames.len());
    assert_eq!(lines.len(), frames.len());
}

#[test]
fn every_shape_has_tcpdumps_line() {
    for (link, _) in LINKS {
        let frames: Vec<Captured> = packets()
            .iter()
            .filter(|(ethertype, _)| carries(link, *ethertype))
            .map(|(ethertype, packet)| Captured::whole(behind(link, *ethertype, packet)))
            .collect();
        for letters in ["", "-q", "-e", "-e -q"] {
            check(link, &frames, letters);
        }
    }
}

/// A part of the packets: of those that differ in little one of many.
fn sample() -> Vec<(u16, Vec<u8>)> {
    let all = packets();
    let is_kept = |position: usize| position.is_multiple_of(41) || position + 700 > all.len();
    all.iter().enumerate().filter(|(it, _)| is_kept(*it)).map(|(_, it)| it.clone()).collect()
}

#[test]
fn frames_that_are_cut_say_where() {
    for (link, _) in LINKS {
        // Where the column is not captured tcpdump does not print one.
        let shortest = if link == LinkType::LinuxSll2 { 20 } else { 1 };
        let mut frames = Vec::new();
        for (ethertype, packet) in sample() {
            if carries(link, ethertype) {
                let whole = behind(link, ethertype, &packet);
                frames.extend(
                    (shortest..whole.len()).map(|len| Captured {
                        bytes: whole[..len].to_vec(),
                        wire_len: whole.len(),
                    }),
                );
            }
        }
        assert!(frames.len() > 10_000);
        check(link, &frames, "");
        check(link, &frames, "-e");
    }
}

#[test]
fn dumps_have_tcpdumps_layout() {
    for (link, _) in LINKS {
        let frames: Vec<Captured> = segments()
            .iter()
            .step_by(13)
            .flat_map(|it| [(IPV4, ipv4(TCP, Ipv4Extra::default(), it)), (IPV6, ipv6(TCP, it))])
            .chain((0..200).map(|len| {
                let payload: Vec<u8> = (0..len).map(|it| it as u8).collect();
                (IPV4, ipv4(UDP, Ipv4Extra::default(), &udp(40_000, 6400, &payload)))
            }))
            .map(|(ethertype, packet)| Captured::whole(behind(link, ethertype, &packet)))
            .flat_map(|whole| {
                // Cut in the payload, in the transport header and in the link header.
                let cut = |len: usize| Captured {
                    bytes: whole.bytes[..whole.bytes.len().min(len)].to_vec(),
                    wire_len: whole.wire_len,
                };
                let shortest = if link == LinkType::LinuxSll2 { 20 } else { 3 };
                [cut(usize::MAX), cut(70), cut(60), cut(50), cut(shortest)]
            })
            .collect();
        for letters in ["-x", "-X", "-xx", "-XX", "-X -e -q"] {
            check(link, &frames, letters);
        }
    }
}

#[test]
fn tags_are_shown() {
    let mut frames = Vec::new();
    for whole in tagged() {
        frames.extend(
            (1..=whole.len())
                .map(|len| Captured { bytes: whole[..len].to_vec(), wire_len: whole.len() }),
        );
    }
    for letters in ["", "-e", "-e -q"] {
        check(LinkType::Ethernet, &frames, letters);
    }
    let known: Vec<Captured> = frames.into_iter().filter(|it| it.bytes.len() > 60).collect();
    let is_ip = |it: &Captured| !it.bytes.windows(2).any(|pair| pair == [0x88, 0xb5]);
    let known: Vec<Captured> = known.into_iter().filter(is_ip).collect();
    for letters in ["-x", "-XX"] {
        check(LinkType::Ethernet, &known, letters);
    }
}

#[test]
fn a_tag_beside_the_bytes_is_part_of_the_frame() {
    for whole in tagged() {
        for len in 18..=whole.len() {
            for letters in ["", "-e", "-e -q", "-x", "-XX"] {
                let inside = Captured { bytes: whole[..len].to_vec(), wire_len: whole.len() };
                let expect = ours(LinkType::Ethernet, &[inside], options(letters));
                let word = |at: usize| u16::from_be_bytes([whole[at], whole[at + 1]]);
                let bytes = [&whole[..12], &whole[16..len]].concat();
                let frame = Frame {
                    time_ns: 0,
                    ifindex: 1,
                    direction: HookDirection::Ingress,
                    link: LinkType::Ethernet,
                    vlan: Some(VlanTag { ethertype: word(12), tci: word(14) }),
                    wire_len: whole.len() as u32 - 4,
                    bytes: &bytes,
                };
                let output = Shared::default();
                let mut sink = PacketLines::new(
                    Box::new(output.clone()),
                    options(letters),
                    InterfaceNames::default(),
                );
                sink.on_packet(&frame, u64::from(EPOCH_S) * 1_000_000_000).unwrap();
                sink.flush().unwrap();
                let line = String::from_utf8(output.0.borrow().clone()).unwrap();
                assert_eq!(split(&line), expect, "{len} {letters}");
            }
        }
    }
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn broken_headers_have_the_same_line() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut transports: Vec<(u8, Vec<u8>)> = segments().into_iter().map(|it| (TCP, it)).collect();
    for _ in 0..100 {
        transports.extend(datagrams().into_iter().map(|it| (UDP, it)));
    }
    let mut frames = Vec::new();
    for (transport, bytes) in transports {
        for is_v6 in [false, true] {
            let mut bytes = bytes.clone();
            for _ in 0..=random.below(4) {
                // The ports stay: they choose decoders of applications.
                let at = 4 + random.below(bytes.len() - 4);
                bytes[at] = random.below(256) as u8;
            }
            let packet = if is_v6 {
                behind(LinkType::Ethernet, IPV6, &ipv6(transport, &bytes))
            } else {
                behind(LinkType::Ethernet, IPV4, &ipv4(transport, Ipv4Extra::default(), &bytes))
            };
            let cut = packet.len() - random.below(2) * random.below(30);
            frames.push(Captured { bytes: packet[..cut].to_vec(), wire_len: packet.len() });
        }
    }
    assert!(frames.len() > 8_000);
    check(LinkType::Ethernet, &frames, "");
    check(LinkType::Ethernet, &frames, "-q");
}

/// Without what tcpdump's decoders of applications append: `, length 14: HTTP: GET / HTTP/1.1`.
fn without_application(line: &str) -> String {
    let Some((before, behind)) = line.split_once(", length ") else { return line.to_owned() };
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    format!("{before}, length {digits}")
}

#[test]
fn real_traffic_has_the_same_lines() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let path = std::env::temp_dir().join(format!("tcpkit-lines-{}.pcap", std::process::id()));
    let mut tcpdump = Command::new("ip")
        .args(["netns", "exec", near.name(), "tcpdump", "-i", "veth0", "-U", "--immediate-mode"])
        .args(["-B", "65536", "-Z", "root", "-w"])
        .arg(&path)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(tcpdump.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "tcpdump does not start");
    }
    let mut client = Client::connect(&near, SERVER);
    for _ in 0..50 {
        client.say("set foo bared");
        client.say("get foo");
    }
    // Nobody listens: a reset. An address that nobody has: only questions.
    near.run(|| {
        assert!(TcpStream::connect("10.9.0.2:81").is_err());
        assert!(TcpStream::connect("[fd09::2]:81").is_err());
    });
    // A transfer with a window that fills, in both families, where tcpdump decodes nothing.
    for address in ["10.9.0.2:6401", "[fd09::2]:6401", "10.9.0.2:80"] {
        let listener = far.run(|| TcpListener::bind(address).unwrap());
        let mut sender = near.run(|| TcpStream::connect(address).unwrap());
        let (mut receiver, _) = listener.accept().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || sender.write_all(&[b'x'; 500_000]).unwrap());
            let mut received = Vec::new();
            receiver.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), 500_000);
        });
    }
    drop(client);
    eventually("the last packets are written", || {
        theirs_of(&path, "tcp port 80 and tcp[13] & 1 != 0").len() >= 2
    });
    kill(Pid::from_raw(tcpdump.id() as i32), Signal::SIGINT).unwrap();
    tcpdump.wait().unwrap();

    let expect = theirs_of(&path, "");
    let frames = read_pcap(&fs::read(&path).unwrap());
    fs::remove_file(&path).unwrap();
    assert_eq!(expect.len(), frames.len());
    let options = PacketLineOptions::default();
    let output = Shared::default();
    let mut sink = PacketLines::new(Box::new(output.clone()), options, InterfaceNames::default());
    for (unix_ns, captured) in &frames {
        let frame = Frame {
            time_ns: 0,
            ifindex: 1,
            direction: HookDirection::Unknown,
            link: LinkType::Ethernet,
            vlan: None,
            wire_len: captured.wire_len as u32,
            bytes: &captured.bytes,
        };
        sink.on_packet(&frame, *unix_ns).unwrap();
    }
    sink.flush().unwrap();
    let lines = split(&String::from_utf8(output.0.borrow().clone()).unwrap());
    for (line, expect) in lines.iter().zip(&expect) {
        let expect = expect.lines().next().unwrap();
        assert_eq!(*line, without_application(expect));
    }
    for word in ["Flags [S.]", "Flags [F.]", "Flags [R.]", "IP6 fd09::", "sackOK", "ARP, Request"] {
        assert!(lines.iter().any(|line| line.contains(word)), "{word} did not happen");
    }
    assert!(lines.len() > 300);
}

/// What tcpdump prints of a file.
fn theirs_of(path: &Path, expression: &str) -> Vec<String> {
    let output = Command::new("tcpdump")
        .args(["-n", "-S", "-r"])
        .arg(path)
        .arg(expression)
        .output()
        .unwrap();
    split(&String::from_utf8_lossy(&output.stdout))
}

/// The frames of a pcap file in this machine's order, with their times in ns.
fn read_pcap(file: &[u8]) -> Vec<(u64, Captured)> {
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 1));
    let mut frames = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let [s, us, len, wire_len] = [0, 4, 8, 12].map(|it| word(at + it));
        let bytes = file[at + 16..at + 16 + len as usize].to_vec();
        let unix_ns = u64::from(s) * 1_000_000_000 + u64::from(us) * 1000;
        frames.push((unix_ns, Captured { bytes, wire_len: wire_len as usize }));
        at += 16 + len as usize;
    }
    frames
}
