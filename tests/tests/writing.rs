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
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tcpkit::{
    capture::{Frame, HookDirection, InterfaceCounters, InterfaceNames, LinkType, VlanTag},
    ledger::Ledger,
    sink::{
        Sink,
        file::{FileLink, FileSink, FileSinkConfig},
    },
};
use tcpkit_common::Counters;
use tcpkit_tests::frames::{IPV4, IPV6, Ipv4Extra, TCP, UDP, ethernet, ipv4, ipv6, tcp, udp};

/// A folder that is gone when the test is over, and what is mounted on it.
struct Folder {
    path: PathBuf,
    is_mounted: bool,
}

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcpkit-test-{}-writing-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self { path, is_mounted: false }
    }

    /// One that has room for so many bytes, in pages.
    fn with_room(bytes: usize) -> Self {
        let mut folder = Self::new();
        let options = format!("size={bytes}");
        let none = MsFlags::empty();
        mount(Some("tmpfs"), &folder.path, Some("tmpfs"), none, Some(options.as_str())).unwrap();
        folder.is_mounted = true;
        folder
    }

    fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The files in order, with what is in them.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_mounted {
            umount2(&self.path, MntFlags::MNT_DETACH).unwrap();
        }
        fs::remove_dir_all(&self.path).unwrap();
    }
}

/// Runs a tool in a folder and gives what it prints; it must find no fault.
#[track_caller]
fn run(folder: &Folder, tool: &str, arguments: &str) -> Vec<u8> {
    let output = Command::new(tool)
        .args(arguments.split_whitespace())
        .current_dir(&folder.path)
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
            let path = folder.join(name);
            let mut sink =
                FileSink::create(FileSinkConfig { names: names(), ..config(path) }).unwrap();
            write(&mut sink, frames);
            assert_eq!((sink.written(), sink.unwritten()), (6, 0));
        }
    });
    let pcap = fs::read(folder.join("a")).unwrap();
    // To the last bit: headers, times, lengths, bytes.
    assert_eq!(rewritten(&folder, "a"), pcap);
    assert_eq!(rewritten(&folder, "a.pcapng"), pcap);
    run(&folder, "editcap", "-F nsecpcap a.pcapng b");
    assert_eq!(fs::read(folder.join("b")).unwrap()[24..], pcap[24..]);
}

#[test]
fn pcapng_tells_interface_direction_tag_and_time() {
    let folder = Folder::new();
    let path = folder.join("a.pcapng");
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
        "File type:           Wireshark/... - pcapng",
        "File timestamp precision:  nanoseconds (9)",
        "Number of packets:   6",
        "Capture application: tcpkit 0.1.0",
        "Name = eth0",
        "Name = veth7a",
    ] {
        assert!(info.contains(part), "{part}: {info}");
    }
}

#[test]
fn pcapng_tells_what_was_lost() {
    let folder = Folder::new();
    let path = folder.join("a.pcapng");
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
    let text = run(&folder, "tshark", "-X read_format:MIME\\ Files\\ Format -V -r a.pcapng");
    let text = String::from_utf8_lossy(&text);
    println!("{text}");
    panic!();
}
