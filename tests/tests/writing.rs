//! Capture files as their readers see them: tcpdump, tshark, capinfos and editcap.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    cell::RefCell,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Once,
};

use tcpkit::{
    capture::{Frame, HookDirection, InterfaceCounters, InterfaceNames, LinkType, VlanTag},
    ledger::Ledger,
    sink::{
        Sink,
        file::{FileLink, FileSink, FileSinkConfig},
    },
};
use tcpkit_common::Counters;
use tcpkit_tests::{
    folder::Folder,
    frames::{IPV4, IPV6, Ipv4Extra, TCP, UDP, ethernet, ipv4, ipv6, tcp, udp},
};

/// The files of a folder in order, with what is in them.
fn files(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Runs a tool in a folder and gives what it prints; it must find no fault. A `~` in the arguments
/// is a space.
#[track_caller]
fn run(folder: &Folder, tool: &str, arguments: &str) -> Vec<u8> {
    let output = Command::new(tool)
        .args(arguments.split_whitespace().map(|word| word.replace('~', " ")))
        .current_dir(folder.path())
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments}: {error}");
    let complains = ["truncated", "cut short", "damaged", "corrupt"];
    assert!(!complains.iter().any(|word| error.contains(word)), "{tool} {arguments}: {error}");
    output.stdout
}

/// The lines that tshark prints of a file's packets.
#[track_caller]
fn tshark(folder: &Folder, file: &str, fields: &[&str]) -> Vec<String> {
    let fields: Vec<_> = fields.iter().map(|field| format!("-e {field}")).collect();
    let text = run(folder, "tshark", &format!("-n -r {file} -T fields {}", fields.join(" ")));
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// What tcpdump makes of a file when it writes it anew: pcap with ns.
#[track_caller]
fn rewritten(folder: &Folder, file: &str) -> Vec<u8> {
    run(folder, "tcpdump", &format!("--time-stamp-precision=nano -r {file} -w -"))
}

fn config(path: PathBuf) -> FileSinkConfig {
    FileSinkConfig {
        path,
        per_packet_flush: false,
        max_bytes: None,
        seconds: None,
        count: None,
        start_unix_ns: None,
        link: FileLink::Same(LinkType::Ethernet),
        names: InterfaceNames::default(),
    }
}

/// 2020-03-08 19:23:06.258761123 UTC.
const START_NS: u64 = 1_583_695_386_258_761_123;

const NEAR: u32 = 3;
const FAR: u32 = 7;

fn names() -> InterfaceNames {
    let names = InterfaceNames::default();
    names.insert(NEAR, "eth0");
    names.insert(FAR, "veth7a");
    names
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        time_ns: 0,
        ifindex: NEAR,
        direction: HookDirection::Ingress,
        link: LinkType::Ethernet,
        vlan: None,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

fn tcp_packet(payload: &[u8]) -> Vec<u8> {
    ipv4(TCP, Ipv4Extra::default(), &tcp(40000, 6379, &[], payload))
}

/// Writes frames, one each microsecond and a nanosecond, and finishes.
fn write(sink: &mut FileSink, frames: &[Frame<'_>]) {
    for (at, frame) in (0..).zip(frames) {
        sink.on_packet(frame, START_NS + at * 1001).unwrap();
    }
    sink.finish().unwrap();
}

/// Ethernet frames of two interfaces and all directions: plain, cut, tagged.
fn with_ethernet_frames<T>(work: impl FnOnce(&[Frame<'_>]) -> T) -> T {
    let v4 = ethernet(IPV4, &tcp_packet(b"*1\r\n$4\r\nPING\r\n"));
    let v6 = ethernet(IPV6, &ipv6(UDP, &udp(53, 40000, b"odd")));
    let tag = Some(VlanTag { ethertype: 0x8100, tci: 0x6005 });
    work(&[
        frame(&v4),
        Frame { direction: HookDirection::Egress, ..frame(&v6) },
        Frame { ifindex: FAR, direction: HookDirection::Unknown, ..frame(&v4) },
        Frame { vlan: tag, ..frame(&v4) },
        Frame { wire_len: 1500, ..frame(&v4[..60]) },
        Frame { vlan: tag, wire_len: 1500, ifindex: FAR, ..frame(&v4[..61]) },
    ])
}

#[test]
fn both_formats_are_the_same_packets_to_tcpdump_and_editcap() {
    let folder = Folder::new();
    with_ethernet_frames(|frames| {
        for name in ["a", "a.pcapng"] {
            let path = folder.file(name);
            let mut sink =
                FileSink::create(FileSinkConfig { names: names(), ..config(path) }).unwrap();
            write(&mut sink, frames);
            assert_eq!((sink.written(), sink.unwritten()), (6, 0));
        }
    });
    let pcap = fs::read(folder.file("a")).unwrap();
    // To the last bit: headers, times, lengths, bytes.
    assert_eq!(rewritten(&folder, "a"), pcap);
    assert_eq!(rewritten(&folder, "a.pcapng"), pcap);
    run(&folder, "editcap", "-F nsecpcap a.pcapng b");
    assert_eq!(fs::read(folder.file("b")).unwrap()[24..], pcap[24..]);
}

#[test]
fn pcapng_tells_interface_direction_tag_and_time() {
    let folder = Folder::new();
    let path = folder.file("a.pcapng");
    let mut sink = FileSink::create(FileSinkConfig { names: names(), ..config(path) }).unwrap();
    with_ethernet_frames(|frames| write(&mut sink, frames));
    let fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "vlan.id",
        "vlan.priority",
        "frame.encap_type",
    ];
    let expect = [
        "eth0\t0x00000001\t1583695386.258761123\t68\t68\t\t\t1",
        "eth0\t0x00000002\t1583695386.258762124\t65\t65\t\t\t1",
        "veth7a\t\t1583695386.258763125\t68\t68\t\t\t1",
        "eth0\t0x00000001\t1583695386.258764126\t72\t72\t5\t3\t1",
        "eth0\t0x00000001\t1583695386.258765127\t1500\t60\t\t\t1",
        "veth7a\t0x00000001\t1583695386.258766128\t1504\t65\t5\t3\t1",
    ];
    assert_eq!(tshark(&folder, "a.pcapng", &fields), expect);
    let info = String::from_utf8(run(&folder, "capinfos", "-M a.pcapng")).unwrap();
    for part in [
        "File type:           pcapng",
        "File timestamp precision:  nanoseconds (9)",
        "Number of packets:   6",
        "Capture application: tcpkit ",
        "Name = eth0",
        "Name = veth7a",
    ] {
        assert!(info.contains(part), "{part}: {info}");
    }
}

#[test]
fn pcapng_tells_what_was_lost() {
    let folder = Folder::new();
    let path = folder.file("a.pcapng");
    let mut sink = FileSink::create(FileSinkConfig { names: names(), ..config(path) }).unwrap();
    let at = |ifindex, direction, ring_full| InterfaceCounters {
        ifindex,
        name: String::new(),
        direction,
        counters: Counters {
            seen: 1000,
            matched: 100,
            captured: 99 - ring_full,
            ring_full,
            copy_failed: 1,
            ..Counters::default()
        },
    };
    let interfaces = vec![
        at(NEAR, HookDirection::Ingress, 20),
        at(NEAR, HookDirection::Egress, 30),
        at(FAR, HookDirection::Ingress, 0),
        at(9, HookDirection::Ingress, 0),
    ];
    sink.on_ledger(&Ledger { interfaces, ..Ledger::default() }).unwrap();
    with_ethernet_frames(|frames| write(&mut sink, frames));
    let text = run(&folder, "tshark", "-X read_format:MIME~Files~Format -V -r a.pcapng");
    let text = String::from_utf8(text).unwrap();
    let blocks: Vec<_> = text.split("    Block: Interface Statistics Block").skip(1).collect();
    assert_eq!(
        blocks.len(),
        2,
        "nothing is known of what an interface without packets begins with"
    );
    for (block, expect) in blocks.iter().zip([
        [
            "Interface: 0",
            "Timestamp: Mar  8, 2020 19:23:06.258766128 UTC",
            "Number of Received Packets = 2000",
            "Number of Accepted Packets = 200",
            "Number of Packets Dropped by OS = 52",
            "Number of Packets Delivered to the User = 148",
        ],
        [
            "Interface: 1",
            "Timestamp: Mar  8, 2020 19:23:06.258766128 UTC",
            "Number of Received Packets = 1000",
            "Number of Accepted Packets = 100",
            "Number of Packets Dropped by OS = 1",
            "Number of Packets Delivered to the User = 99",
        ],
    ]) {
        for line in expect {
            assert!(block.contains(line), "{line}: {block}");
        }
    }
}

#[test]
fn every_link_type_is_known_to_readers() {
    let folder = Folder::new();
    let ip = tcp_packet(b"PING\r\n");
    let framed = ethernet(IPV4, &ip);
    let null = [&2_u32.to_le_bytes()[..], &ip].concat();
    let looped = [&2_u32.to_be_bytes()[..], &ip].concat();
    let sll = [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0][..], &ip].concat();
    let mut sll2 = vec![8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    sll2.extend(&ip);
    for (link, bytes, protocols) in [
        (LinkType::Ethernet, &framed, "eth:ethertype:ip:tcp"),
        (LinkType::RawIp, &ip, "raw:ip:tcp"),
        (LinkType::Null, &null, "null:ip:tcp"),
        (LinkType::Loop, &looped, "null:ip:tcp"),
        (LinkType::LinuxSll, &sll, "sll:ethertype:ip:tcp"),
        (LinkType::LinuxSll2, &sll2, "sll:ethertype:ip:tcp"),
    ] {
        for name in ["a", "a.pcapng"] {
            let link_of_file = FileLink::Same(link);
            let config = FileSinkConfig { link: link_of_file, ..config(folder.file(name)) };
            let mut sink = FileSink::create(config).unwrap();
            write(&mut sink, &[Frame { link, ..frame(bytes) }]);
            assert_eq!((sink.written(), sink.unwritten()), (1, 0));
            let lines = tshark(&folder, name, &["frame.protocols", "tcp.dstport"]);
            assert!(lines[0].starts_with(protocols), "{link:?}: {lines:?}");
            assert!(lines[0].ends_with("\t6379"), "{link:?}: {lines:?}");
            let text =
                String::from_utf8(run(&folder, "tcpdump", &format!("-n -r {name}"))).unwrap();
            assert!(text.contains("10.9.0.1.40000 > 10.9.0.2.6379"), "{link:?}: {text}");
        }
    }
}

#[test]
fn cooked_frames_say_where_they_come_from() {
    let folder = Folder::new();
    let config = FileSinkConfig { link: FileLink::Cooked, ..config(folder.file("a")) };
    let mut sink = FileSink::create(config).unwrap();
    let ip = tcp_packet(b"PING\r\n");
    let framed = ethernet(IPV4, &ip);
    let mut unicast = framed.clone();
    unicast[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    let mut group = framed.clone();
    group[0] = 1;
    let tag = Some(VlanTag { ethertype: 0x8100, tci: 0x6005 });
    let llc = ethernet(3, &[0x42, 0x42, 3]);
    let frames = [
        frame(&unicast),
        frame(&framed),
        frame(&group),
        Frame { direction: HookDirection::Egress, ifindex: FAR, ..frame(&unicast) },
        Frame { vlan: tag, wire_len: 1500, ..frame(&unicast) },
        Frame { link: LinkType::RawIp, ..frame(&ip) },
        frame(&llc),
        // Too short for what its link type says.
        frame(&unicast[..13]),
    ];
    write(&mut sink, &frames);
    assert_eq!((sink.written(), sink.unwritten()), (7, 1));
    let fields = [
        "frame.len",
        "sll.pkttype",
        "sll.ifindex",
        "sll.hatype",
        "sll.src.eth",
        "vlan.id",
        "tcp.dstport",
        "frame.protocols",
    ];
    let lines = tshark(&folder, "a", &fields);
    let expect = [
        "66\t0\t3\t1\t02:00:00:00:00:01\t\t6379\tsll:ethertype:ip:tcp",
        "66\t1\t3\t1\t02:00:00:00:00:01\t\t6379\tsll:ethertype:ip:tcp",
        "66\t2\t3\t1\t02:00:00:00:00:01\t\t6379\tsll:ethertype:ip:tcp",
        "66\t4\t7\t1\t02:00:00:00:00:01\t\t6379\tsll:ethertype:ip:tcp",
        "1510\t0\t3\t1\t02:00:00:00:00:01\t5\t6379\tsll:ethertype:vlan:ethertype:ip:tcp",
        "66\t0\t3\t65534\t\t\t6379\tsll:ethertype:ip:tcp",
        "23\t1\t3\t1\t02:00:00:00:00:01\t\t\tsll:llc",
    ];
    assert_eq!(lines.len(), expect.len());
    for (line, expect) in lines.iter().zip(expect) {
        assert!(line.starts_with(expect), "{line:?} {expect:?}");
    }
    let text = String::from_utf8(run(&folder, "tcpdump", "-n -e -r a")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for (line, part) in lines.iter().zip([
        " In ",
        " B ",
        " M ",
        " Out ",
        " vlan 5, p 3, ethertype IPv4",
        " 10.9.0.1.40000 > ",
        "STP",
    ]) {
        assert!(line.contains(part), "{part:?}: {line}");
    }
}

#[test]
fn rotation_by_size_is_tcpdumps() {
    for count in [None, Some(1), Some(3), Some(11)] {
        let (ours, theirs) = (Folder::new(), Folder::new());
        let mut all = FileSink::create(config(theirs.file("all"))).unwrap();
        let path = ours.file("f");
        let config = FileSinkConfig { max_bytes: Some(1_000_000), count, ..config(path) };
        let mut sink = FileSink::create(config).unwrap();
        for at in 0..7000 {
            let frame = ethernet(IPV4, &tcp_packet(&vec![b'.'; at % 1400]));
            for sink in [&mut sink, &mut all] {
                sink.on_packet(&self::frame(&frame), START_NS + at as u64).unwrap();
            }
        }
        sink.finish().unwrap();
        all.finish().unwrap();
        let count = count.map_or(String::new(), |count| format!("-W {count}"));
        // As root it would give up its rights first, and could not write to the folder.
        let arguments = format!("-Z root --time-stamp-precision=nano -r all -w f -C 1 {count}");
        run(&theirs, "tcpdump", &arguments);
        fs::remove_file(theirs.file("all")).unwrap();
        let (ours, theirs) = (files(&ours), files(&theirs));
        let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&ours), names(&theirs), "{count}");
        assert!(ours == theirs, "{count}: the files differ");
    }
}

#[test]
fn files_are_readable_after_every_flush() {
    let folder = Folder::new();
    for name in ["a", "a.pcapng"] {
        let path = folder.file(name);
        let mut sink = FileSink::create(FileSinkConfig { names: names(), ..config(path) }).unwrap();
        with_ethernet_frames(|frames| {
            for (at, frame) in frames.iter().enumerate() {
                sink.on_packet(frame, START_NS).unwrap();
                sink.flush().unwrap();
                let tcpdump = run(&folder, "tcpdump", &format!("-r {name} --count"));
                assert_eq!(
                    tcpdump,
                    format!("{} packets\n", at + 1).replace("1 packets", "1 packet").into_bytes()
                );
                assert_eq!(tshark(&folder, name, &["frame.number"]).len(), at + 1);
            }
        });
    }
}

thread_local! {
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what is logged by a thread for the test on that thread.
struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        WARNINGS.with_borrow_mut(|lines| lines.push(record.args().to_string()));
    }

    fn flush(&self) {}
}

#[test]
fn a_full_disk_is_reported_once_and_leaves_a_whole_file() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Warnings).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
    for name in ["f", "f.pcapng"] {
        for per_packet_flush in [false, true] {
            let folder = Folder::with_room(64 * 1024);
            let path = folder.file(name);
            let config = FileSinkConfig { per_packet_flush, ..config(path.clone()) };
            let mut sink = FileSink::create(config).unwrap();
            let frame = ethernet(IPV4, &tcp_packet(&[b'.'; 1000]));
            for at in 0..1000 {
                sink.on_packet(&self::frame(&frame), START_NS + at).unwrap();
                if at % 7 == 0 {
                    sink.flush().unwrap();
                }
            }
            sink.finish().unwrap();
            let lines = WARNINGS.take();
            let [line] = lines.as_slice() else { panic!("{lines:?}") };
            let says = format!("cannot write the capture file '{}': No space left", path.display());
            assert!(line.starts_with(&says), "{line}");
            assert!(line.ends_with("; capture goes on without the file"), "{line}");
            assert!(!line.contains('\n'));
            let size = fs::metadata(&path).unwrap().len();
            let packet = frame.len() as u64 + 16;
            assert!(size > 65_536 - 2 * packet, "{name}: {size}");
            let written = sink.written();
            assert_eq!(sink.unwritten(), 1000 - written);
            let count = run(&folder, "tcpdump", &format!("-r {name} --count"));
            assert_eq!(count, format!("{written} packets\n").into_bytes());
            assert_eq!(tshark(&folder, name, &["frame.number"]).len() as u64, written);
        }
    }
}
