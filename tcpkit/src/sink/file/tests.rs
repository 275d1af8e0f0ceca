//! Tests of whole capture files: what is in them, how they end, and when they cannot be written.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use pcap::{Capture, Precision};
use proptest::{collection::vec, prelude::*};
use tcpkit_common::Counters;

use super::*;
use crate::{
    capture::{HookDirection, LinkType, VlanTag},
    pcapfile::write::MAX_CAPTURED,
};

const NS_PER_S: u64 = 1_000_000_000;

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcpkit-test-{}-files-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The files' names in order.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
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

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        time_ns: 0,
        ifindex: 1,
        direction: HookDirection::Unknown,
        link: LinkType::Ethernet,
        vlan: None,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// What a reader finds: time in ns, length on the wire, bytes.
type Found = (u64, u32, Vec<u8>);

/// All packets of a file, read by libpcap, which must find no fault with it.
#[track_caller]
fn read(path: &Path) -> Vec<Found> {
    let mut capture = Capture::from_file_with_precision(path, Precision::Nano).unwrap();
    let mut found = Vec::new();
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                let time = packet.header.ts;
                // With this precision the field has nanoseconds.
                let unix_ns = time.tv_sec as u64 * NS_PER_S + time.tv_usec as u64;
                found.push((unix_ns, packet.header.len, packet.data.to_vec()));
            }
            Err(pcap::Error::NoMorePackets) => return found,
            Err(error) => panic!("{error} after {} packets", found.len()),
        }
    }
}

/// A frame that owns its bytes.
#[derive(Clone, Debug)]
struct Owned {
    unix_ns: u64,
    ifindex: u32,
    direction: HookDirection,
    vlan: Option<VlanTag>,
    missing: u32,
    bytes: Vec<u8>,
}

impl Owned {
    fn frame(&self) -> Frame<'_> {
        Frame {
            ifindex: self.ifindex,
            direction: self.direction,
            vlan: self.vlan,
            wire_len: self.bytes.len() as u32 + self.missing,
            ..frame(&self.bytes)
        }
    }

    /// What is to be found of it.
    fn expect(&self) -> Found {
        let mut bytes = self.bytes.clone();
        let mut wire_len = bytes.len() as u32 + self.missing;
        if let Some(tag) = self.vlan {
            wire_len += 4;
            if bytes.len() >= 12 {
                let tag = [tag.ethertype.to_be_bytes(), tag.tci.to_be_bytes()].concat();
                bytes.splice(12..12, tag);
            }
        }
        (self.unix_ns, wire_len, bytes)
    }
}

fn frames() -> impl Strategy<Value = Vec<Owned>> {
    let direction = prop_oneof![
        Just(HookDirection::Ingress),
        Just(HookDirection::Egress),
        Just(HookDirection::Unknown)
    ];
    let vlan = proptest::option::of(
        any::<(u16, u16)>().prop_map(|(ethertype, tci)| VlanTag { ethertype, tci }),
    );
    let one = (
        // libpcap reads the seconds of pcap files as signed.
        0..(u64::from(u32::MAX / 2) * NS_PER_S),
        0_u32..4,
        direction,
        vlan,
        0_u32..5000,
        vec(any::<u8>(), 0..200),
    );
    let one = one.prop_map(|(unix_ns, ifindex, direction, vlan, missing, bytes)| Owned {
        unix_ns,
        ifindex,
        direction,
        vlan,
        missing,
        bytes,
    });
    vec(one, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_frames_are_read_back(
        frames in frames(), is_pcapng: bool, per_packet_flush: bool, flush_every in 1_usize..10,
    ) {
        let folder = Folder::new();
        let path = folder.join(if is_pcapng { "f.pcapng" } else { "f" });
        let mut sink =
            FileSink::create(FileSinkConfig { per_packet_flush, ..config(path.clone()) }).unwrap();
        let expect: Vec<_> = frames.iter().map(Owned::expect).collect();
        for (at, one) in frames.iter().enumerate() {
            sink.on_packet(&one.frame(), one.unix_ns).unwrap();
            let is_flushed = (at + 1) % flush_every == 0;
            if is_flushed {
                sink.flush().unwrap();
            }
            if is_flushed || per_packet_flush {
                // What a reader finds when the process is killed here.
                prop_assert_eq!(sink.written(), at as u64 + 1);
                prop_assert_eq!(&read(&path)[..], &expect[..=at]);
            }
        }
        sink.finish().unwrap();
        prop_assert_eq!((sink.written(), sink.unwritten()), (frames.len() as u64, 0));
        prop_assert_eq!(read(&path), expect);
    }

    #[test]
    fn of_any_part_the_whole_packets_are_known(
        frames in frames(), is_pcapng: bool, cut in 0.0..=1.0,
    ) {
        let mut encoding = if is_pcapng {
            Encoding::pcapng(InterfaceNames::default(), FileLink::Cooked)
        } else {
            Encoding::pcap(FileLink::Cooked)
        };
        let mut buffer = Vec::new();
        let mut ends = vec![0];
        for one in &frames {
            // What is too short for a cooked header is not written.
            if encoding.push(&mut buffer, &one.frame(), one.unix_ns) {
                ends.push(buffer.len());
            }
        }
        let cut = (buffer.len() as f64 * cut) as usize;
        let (whole, packets) = encoding.whole(&buffer[..cut]);
        let expect = ends.iter().filter(|&&end| end <= cut).count() - 1;
        prop_assert_eq!(packets, expect as u64);
        prop_assert!(ends[expect] <= whole && whole <= cut);
    }
}

#[test]
fn writes_end_with_whole_packets() {
    let folder = Folder::new();
    for name in ["f", "f.pcapng"] {
        let path = folder.join(name);
        let mut sink = FileSink::create(config(path.clone())).unwrap();
        let bytes = vec![7; 60_001];
        let mut last = fs::metadata(&path).unwrap().len();
        for count in 1..=20 {
            sink.on_packet(&frame(&bytes), 1).unwrap();
            let len = fs::metadata(&path).unwrap().len();
            if len != last {
                last = len;
                assert_eq!(read(&path).len() as u64, sink.written());
            }
            assert!(count - sink.written() < 5, "{name}: too much waits");
        }
        assert_eq!(sink.written(), 20, "{name}");
        sink.on_packet(&frame(&vec![7; MAX_CAPTURED + 1]), 1).unwrap();
        assert_eq!(sink.written(), 21, "{name}");
        assert_eq!(read(&path)[20], (1, MAX_CAPTURED as u32 + 1, vec![7; MAX_CAPTURED]));
    }
}

/// Names of files and the times of the packets in them, in s.
fn rotated(change: impl FnOnce(&mut FileSinkConfig), times_s: &[u64]) -> Vec<(String, Vec<u64>)> {
    let folder = Folder::new();
    let mut config = config(folder.join("%s"));
    change(&mut config);
    let mut sink = FileSink::create(config).unwrap();
    for &time_s in times_s {
        sink.on_packet(&frame(&[1; 1000]), time_s * NS_PER_S).unwrap();
    }
    let is_done = sink.is_done();
    sink.finish().unwrap();
    assert_eq!(is_done, sink.late() > 0);
    assert_eq!(sink.written() + sink.late(), times_s.len() as u64);
    let names = folder.names();
    let times = |name| read(&folder.join(name)).iter().map(|it| it.0 / NS_PER_S).collect();
    names.iter().map(|name| (name.clone(), times(name))).collect()
}

#[test]
fn time_rotates_by_the_packets() {
    let times = [5, 6, 14, 15, 30, 31, 40];
    let name = |name: &str| name.to_owned();
    assert_eq!(
        rotated(|config| config.seconds = Some(10), &times),
        [
            (name("15"), vec![15]),
            (name("30"), vec![30, 31]),
            (name("40"), vec![40]),
            (name("5"), vec![5, 6, 14]),
        ]
    );
    let live = |config: &mut FileSinkConfig| {
        config.seconds = Some(10);
        config.count = Some(2);
        config.start_unix_ns = Some(NS_PER_S);
    };
    assert_eq!(rotated(live, &times), [(name("1"), vec![5, 6]), (name("14"), vec![14, 15])]);
}

#[test]
fn size_and_count_make_a_ring() {
    let ring = |config: &mut FileSinkConfig| {
        config.max_bytes = Some(2000);
        config.count = Some(2);
    };
    // Two packets make a file too long for a third.
    assert_eq!(
        rotated(ring, &[1, 2, 3, 4, 5]),
        [("%s0".to_owned(), vec![5]), ("%s1".to_owned(), vec![3, 4])]
    );
}

#[test]
fn a_name_that_needs_a_time_gets_one_in_the_end() {
    let files = rotated(|config| config.seconds = Some(10), &[]);
    let [(name, times)] = files.as_slice() else { panic!("{files:?}") };
    assert!(name.parse::<u64>().unwrap() > 1_583_695_386 && times.is_empty());
}

#[test]
fn what_does_not_fit_is_counted() {
    let folder = Folder::new();
    let path = folder.join("f");
    let mut sink = FileSink::create(config(path.clone())).unwrap();
    let cooked = Frame { link: LinkType::LinuxSll2, ..frame(&[0; 30]) };
    let ip = Frame { link: LinkType::RawIp, ..frame(&[0x45; 30]) };
    for frame in [&cooked, &ip, &cooked] {
        sink.on_packet(frame, 1).unwrap();
    }
    sink.finish().unwrap();
    assert_eq!((sink.written(), sink.unwritten()), (1, 2));
    assert_eq!(read(&path), [(1, 44, [&[0; 12][..], &[8, 0], &[0x45; 30]].concat())]);
}

#[test]
fn a_pcapng_file_tells_each_interface_once_and_what_it_lost() {
    let folder = Folder::new();
    let path = folder.join("f.pcapng");
    let mut sink = FileSink::create(config(path.clone())).unwrap();
    let counters = |ifindex, direction, ring_full| InterfaceCounters {
        ifindex,
        name: String::new(),
        direction,
        counters: Counters {
            seen: 10,
            matched: 8,
            captured: 7 - ring_full,
            ring_full,
            copy_failed: 1,
            ..Counters::default()
        },
    };
    let interfaces = vec![
        counters(1, HookDirection::Ingress, 2),
        counters(2, HookDirection::Ingress, 3),
        counters(1, HookDirection::Egress, 4),
    ];
    sink.on_ledger(&Ledger { interfaces, ..Ledger::default() }).unwrap();
    let other = Frame { link: LinkType::RawIp, ..frame(&[0x45]) };
    let third = Frame { ifindex: 3, ..frame(&[1]) };
    for (frame, unix_ns) in [(&frame(&[1]), 5), (&other, 6), (&third, 7), (&frame(&[2]), 8)] {
        sink.on_packet(frame, unix_ns).unwrap();
    }
    sink.finish().unwrap();
    let mut file = &fs::read(&path).unwrap()[..];
    let mut kinds = Vec::new();
    let mut last = file;
    while let Some((block, rest)) = file.split_at_checked(u32_at(file, 4) as usize) {
        kinds.push(u32_at(block, 0));
        last = block;
        file = rest;
        if file.is_empty() {
            break;
        }
    }
    // Of three descriptions two are of the first interface, and nobody counts at the third.
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 1, 6, 1, 6, 6, 5]);
    assert_eq!((u32_at(last, 8), u32_at(last, 16)), (0, 8));
    let values: Vec<_> = (0..4).map(|option| u32_at(last, 24 + 12 * option)).collect();
    assert_eq!(values, [20, 16, 8, 8]);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn errors_come_before_the_capture_and_say_what_to_do() {
    let error = |path: &str, seconds| {
        let config = FileSinkConfig { seconds, ..config(path.into()) };
        FileSink::create(config).unwrap_err().to_string()
    };
    for (path, seconds) in [("/nowhere/f", None), ("/nowhere/f", Some(1)), ("/nowhere/%s", Some(1))]
    {
        let error = error(path, seconds);
        assert!(error.starts_with(&format!("cannot create the capture file '{path}'")), "{error}");
        assert!(error.contains("No such file") && error.contains("-w needs"), "{error}");
        assert!(!error.contains('\n'));
    }
    assert!(error("/dev/full", None).contains("No space left"));
    assert!(error("-", Some(1)).contains("standard output is one"));
}

#[test]
fn a_reader_that_went_away_closes_the_output() {
    let folder = Folder::new();
    let path = folder.join("pipe");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let mut options = OpenOptions::new();
    let reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let mut sink = FileSink::create(config(path)).unwrap();
    sink.on_packet(&frame(&[1]), 1).unwrap();
    sink.flush().unwrap();
    drop(reader);
    sink.on_packet(&frame(&[1]), 1).unwrap();
    assert!(matches!(sink.flush(), Err(SinkError::Closed)));
    assert_eq!((sink.written(), sink.unwritten()), (1, 1));
    sink.on_packet(&frame(&[1]), 1).unwrap();
    sink.finish().unwrap();
    assert_eq!((sink.written(), sink.unwritten()), (1, 2));
}
