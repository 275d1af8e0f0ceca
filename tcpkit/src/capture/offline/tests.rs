//! Files and pipes, plain and compressed, whole and broken.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::OwnedFd,
    path::PathBuf,
};

use flate2::{Compression, write::GzEncoder};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::*;
use crate::pcapfile::samples::{
    Order, block, enhanced, interface, option, pcap, pcap_packet, section, simple,
};

fn filter(expression: &str) -> CaptureFilter {
    CaptureFilter::parse(&[expression.to_owned()]).unwrap()
}

fn source(file: impl Into<OwnedFd>, len: Option<u64>, expression: &str) -> OfflineSource {
    let input = Input::new(file.into(), len);
    OfflineSource::new("x.pcap".to_owned(), input, &filter(expression), Screen::default())
}

/// From a regular file.
fn file(content: &[u8], expression: &str) -> OfflineSource {
    let file = memfd_create(c"capture", MFdFlags::MFD_CLOEXEC).unwrap();
    File::from(file.try_clone().unwrap()).write_all(content).unwrap();
    nix::unistd::lseek(&file, 0, nix::unistd::Whence::SeekSet).unwrap();
    source(file, Some(content.len() as u64), expression)
}

/// Reads up to the end: the frames' times, and the error's message.
fn read_all(source: &mut OfflineSource) -> (Vec<u64>, Option<String>) {
    let mut times = Vec::new();
    loop {
        let progress = source.read(&mut |frame| {
            times.push(frame.time_ns);
            ControlFlow::Continue(())
        });
        match progress {
            Ok(Progress::Eof) => return (times, None),
            Ok(Progress::Busy) => {}
            Ok(Progress::Idle { .. }) => panic!("a file has no pauses"),
            Err(error) => {
                assert_eq!(source.read(&mut |_| panic!("no more frames")).unwrap(), Progress::Eof);
                return (times, Some(error.to_string()));
            }
        }
    }
}

fn packet(number: u32) -> Vec<u8> {
    pcap_packet(Order::Little, (0, number), 60, &[number as u8; 60])
}

/// Packets at 0, 1, 2 … ns.
fn sample(packets: u32) -> Vec<u8> {
    let mut file = pcap(Order::Little, true, 1);
    file.extend((0..packets).flat_map(packet));
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn times(packets: u32) -> Vec<u64> {
    (0..u64::from(packets)).collect()
}

#[test]
fn plain_and_compressed_files_give_the_same() {
    let plain = sample(3_000);
    let (head, tail) = plain.split_at(100_001);
    let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 7, 7, 7];
    for content in [
        plain.clone(),
        gzip(&plain),
        zstd(&plain),
        [gzip(head), gzip(tail)].concat(),
        [zstd(head), skippable.to_vec(), zstd(tail)].concat(),
        [skippable.to_vec(), zstd(&plain)].concat(),
    ] {
        assert_eq!(read_all(&mut file(&content, "")), (times(3_000), None));
    }
}

#[test]
fn what_is_whole_comes_before_the_error() {
    let plain = sample(9);
    for (content, kind) in [(plain.clone(), ""), (gzip(&plain), "gzip"), (zstd(&plain), "zstd")] {
        for len in 1..content.len() {
            let (seen, error) = read_all(&mut file(&content[..len], ""));
            let is_end = kind.is_empty() && len >= 24 && (len - 24) % 76 == 0;
            assert_eq!(error.is_none(), is_end, "{kind} {len}");
            assert_eq!(seen, times(seen.len() as u32));
            let Some(error) = error else { continue };
            assert!(error.starts_with("x.pcap: ") && !error.contains('\n'), "{error}");
            if len >= 4 && !kind.is_empty() {
                let place = match seen.len() {
                    // The header may have come.
                    0 => String::new(),
                    n => format!("stopped behind packet {n} (byte {}): ", 24 + 76 * n),
                };
                let reason = format!("its {kind} data ends early: the file was cut");
                assert!(error.contains(&place) && error.contains(&reason), "{error}");
            }
        }
    }
    let mut corrupt = sample(17);
    corrupt.extend(&packet(1)[..20]);
    assert_eq!(
        read_all(&mut file(&corrupt, "")).1.unwrap(),
        "x.pcap: stopped behind packet 17 (byte 1316): the file ends inside a packet"
    );
}

#[test]
fn corrupt_compression_is_named() {
    for (whole, name) in [(gzip(&sample(3_000)), "gzip"), (zstd(&sample(3_000)), "zstd")] {
        let content = [&whole, &b"no such header"[..]].concat();
        let (seen, error) = read_all(&mut file(&content, ""));
        let expect = format!(
            "x.pcap: stopped behind packet 3000 (byte 228024): its {name} data is corrupt: "
        );
        assert!(seen == times(3_000) && error.as_ref().unwrap().starts_with(&expect), "{error:?}");
        // What comes of flipped bits is anything, but no harm.
        for at in (4..whole.len()).step_by(whole.len() / 50) {
            let mut content = whole.clone();
            content[at] ^= 0x55;
            let (_, error) = read_all(&mut file(&content, ""));
            assert!(error.is_none_or(|error| !error.contains('\n')));
        }
    }
}

#[test]
fn what_is_no_capture_says_so() {
    let check = |content: &[u8], expect: &str| {
        let (seen, error) = read_all(&mut file(content, ""));
        assert_eq!((seen.len(), error.as_deref()), (0, Some(expect)));
    };
    let no_capture = "x.pcap: no capture file: it is neither pcap nor pcapng, plain or compressed \
                      with gzip or zstd";
    check(b"", "x.pcap: it is empty: there are no packets in it");
    check(b"a", no_capture);
    check(b"#!/bin/sh\n", no_capture);
    check(&gzip(b"text"), no_capture);
    let open = |path: &str| {
        OfflineSource::open(&PathBuf::from(path), &filter(""), Screen::default())
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(open("/no/such.pcap"), "/no/such.pcap: there is no such file");
    assert_eq!(open("/proc"), "/proc: it is a directory; name a capture file in it");
}

/// Writes to a pipe and reads what comes of it.
struct Live {
    source: OfflineSource,
    seen: Vec<u64>,
}

impl Live {
    /// Reads until there is nothing for now, or the end.
    fn read(&mut self) -> Progress {
        loop {
            let seen = &mut self.seen;
            let progress = self.source.read(&mut |frame| {
                seen.push(frame.time_ns);
                ControlFlow::Continue(())
            });
            match progress.unwrap() {
                Progress::Busy => {}
                progress => return progress,
            }
        }
    }
}

/// Every piece is flushed, and what is whole in it comes at once.
fn check_live<W: Write>(make: impl Fn(File) -> W, finish: impl Fn(W) -> io::Result<()>) {
    let (reading, writing) = nix::unistd::pipe().unwrap();
    let mut live = Live { source: source(reading, None, ""), seen: Vec::new() };
    assert_eq!(live.read(), Progress::Idle { now_ns: 0 });
    let mut writer = make(writing.into());
    let content = sample(3);
    for (from, to) in [(0, 2), (2, 11), (11, 24), (24, 30), (30, 100), (100, 101), (101, 252)] {
        writer.write_all(&content[from..to]).unwrap();
        writer.flush().unwrap();
        let packets = to.saturating_sub(24) / 76;
        let now_ns = packets.saturating_sub(1) as u64;
        assert_eq!(live.read(), Progress::Idle { now_ns }, "{from} to {to}");
        assert_eq!(live.seen, times(packets as u32), "{from} to {to}");
    }
    finish(writer).unwrap();
    assert_eq!(live.read(), Progress::Eof);
}

#[test]
fn pipes_are_live() {
    check_live(|file| file, |_| Ok(()));
    check_live(
        |file| GzEncoder::new(file, Compression::fast()),
        |encoder| encoder.finish().map(drop),
    );
    check_live(|file| zstd::Encoder::new(file, 1).unwrap(), |encoder| encoder.finish().map(drop));
}

#[test]
fn a_named_pipe_may_be_opened_before_its_writer_comes() {
    let path = std::env::temp_dir().join(format!("tcpkit-fifo-{}", std::process::id()));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let opened = OfflineSource::open(&path, &filter(""), Screen::default());
    let mut live = Live { source: opened.unwrap(), seen: Vec::new() };
    assert_eq!(live.read(), Progress::Idle { now_ns: 0 });
    let mut writer = File::options().write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    writer.write_all(&sample(2)).unwrap();
    assert_eq!(live.read(), Progress::Idle { now_ns: 1 });
    assert_eq!(live.seen, times(2));
    drop(writer);
    assert_eq!(live.read(), Progress::Eof);
}

#[test]
fn compressed_bytes_may_come_one_by_one() {
    for content in
        [gzip(&sample(2)), zstd(&sample(2)), [gzip(&sample(2)), gzip(&packet(2))].concat()]
    {
        let (reading, writing) = nix::unistd::pipe().unwrap();
        let mut live = Live { source: source(reading, None, ""), seen: Vec::new() };
        let mut writing = File::from(writing);
        for byte in content.chunks(1) {
            writing.write_all(byte).unwrap();
            // A pause after every byte.
            assert!(matches!(live.read(), Progress::Idle { .. }));
        }
        drop(writing);
        assert_eq!(live.read(), Progress::Eof);
        assert!(live.seen.len() >= 2 && live.seen == times(live.seen.len() as u32));
    }
}

#[test]
fn the_ledger_says_what_the_filter_did() {
    let mut source = file(&sample(1_500), "ether[0] & 3 = 0");
    let mut batches = 0;
    let mut handed = 0;
    loop {
        let mut in_batch = 0;
        let progress = source.read(&mut |_| {
            in_batch += 1;
            ControlFlow::Continue(())
        });
        assert!(in_batch <= BATCH);
        batches += 1;
        handed += in_batch;
        if progress.unwrap() == Progress::Eof {
            break;
        }
    }
    assert!(batches >= 3);
    let expect = Counters {
        seen: 1_500,
        refused: 1_125,
        matched: 375,
        captured: 375,
        matched_bytes: 375 * 60,
        ..Counters::default()
    };
    assert_eq!((handed, source.kernel_counters().unwrap()), (375, Some(expect)));
}

#[test]
fn stopping_ends_it() {
    let mut source = file(&sample(1_500), "");
    let mut seen = 0;
    let mut stop_at_seven = |_: Frame<'_>| {
        seen += 1;
        if seen == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    // The first call only reads.
    for _ in 0..3 {
        assert_eq!(source.read(&mut stop_at_seven).unwrap(), Progress::Busy);
    }
    assert_eq!(seen, 7);
    assert_eq!(source.kernel_counters().unwrap().unwrap().captured, 7);
    source.stop().unwrap();
    assert_eq!(source.read(&mut |_| panic!("no more")).unwrap(), Progress::Eof);
}

#[test]
fn cooked_headers_tell_direction_and_interface() {
    let check = |link: u32, bytes: &[u8], expect: (u32, HookDirection)| {
        let mut content = pcap(Order::Big, false, link);
        content.extend(pcap_packet(Order::Big, (1, 0), 60, bytes));
        let mut seen = Vec::new();
        let mut source = file(&content, "");
        while source
            .read(&mut |frame| {
                seen.push((frame.ifindex, frame.direction));
                ControlFlow::Continue(())
            })
            .unwrap()
            != Progress::Eof
        {}
        assert_eq!(seen, [expect]);
    };
    let (ingress, egress) = (HookDirection::Ingress, HookDirection::Egress);
    let sll2 = |kind| [&[8, 0, 0, 0, 0, 0, 0, 7, 0, 1, kind, 6][..], &[0; 8]].concat();
    check(113, &[0, 4], (0, egress));
    check(113, &[0, 3], (0, ingress));
    check(113, &[0, 9], (0, HookDirection::Unknown));
    check(113, &[0], (0, HookDirection::Unknown));
    check(276, &sll2(4), (7, egress));
    check(276, &sll2(0), (7, ingress));
    check(276, &sll2(4)[..10], (0, HookDirection::Unknown));
}

#[test]
fn interfaces_of_a_file_have_numbers_and_names() {
    let order = Order::Little;
    let content = [
        section(order),
        interface(order, 1, 0, &[option(order, 2, b"eth7")]),
        interface(order, 105, 0, &[]),
        interface(order, 276, 0, &[]),
        enhanced(order, 1, 1, 60, &[0; 60], &[]),
        enhanced(order, 2, 2, 50, &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 4, 6], &[]),
        enhanced(order, 0, 3, 60, &[0; 60], &[option(order, 2, &[1, 0, 0, 0])]),
        enhanced(order, 0, 4, 60, &[0; 60], &[]),
        simple(order, 60, &[0; 60]),
        block(order, 5, &[]),
    ];
    let mut source = file(&content.concat(), "inbound or less 59");
    let names = source.interface_names();
    let mut seen = Vec::new();
    loop {
        let progress = source.read(&mut |frame| {
            let name = names.find(frame.ifindex).map(|name| name.to_string());
            seen.push((frame.ifindex, name, frame.direction));
            ControlFlow::Continue(())
        });
        if progress.unwrap() == Progress::Eof {
            break;
        }
    }
    let expect = [
        (65_537, None, HookDirection::Egress),
        (1, Some("eth7".to_owned()), HookDirection::Ingress),
    ];
    assert_eq!(seen, expect);
    assert_eq!(names.find(3).as_deref(), Some("if2"));
    assert_eq!((source.bad_records(), source.undirected), (1, 2));
    let counters = source.kernel_counters().unwrap().unwrap();
    // The packet that is not understood was captured, and not handed over.
    assert_eq!((counters.seen, counters.refused, counters.captured), (5, 2, 3));
}

#[test]
fn a_filter_without_a_meaning_ends_a_pcap_file() {
    let mut content = pcap(Order::Big, false, 101);
    content.extend(pcap_packet(Order::Big, (1, 0), 60, &[0x45; 20]));
    let (_, error) = read_all(&mut file(&content, "ether host 02:00:00:00:00:01"));
    let error = error.unwrap();
    assert!(error.starts_with("x.pcap: its packets cannot be filtered: filter: "), "{error}");
    let order = Order::Big;
    let content = [
        section(order),
        interface(order, 101, 0, &[]),
        enhanced(order, 0, 1, 20, &[0x45; 20], &[]),
    ];
    let mut mixed = file(&content.concat(), "ether host 02:00:00:00:00:01");
    assert_eq!(read_all(&mut mixed), (Vec::new(), None));
    assert_eq!(mixed.kernel_counters().unwrap().unwrap().refused, 1);
}
