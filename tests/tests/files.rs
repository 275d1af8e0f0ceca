//! Capture files of other tools give the same packets and times here as there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
};

use pcap::Capture;
use tcpkit::{
    capture::{OfflineSource, Progress, Screen, Source as _},
    filter::CaptureFilter,
};
use tcpkit_tests::{
    expressions::EXPRESSIONS,
    folder::Folder,
    frames::{IPV4, IPV6, Ipv4Extra, TCP, UDP, VLAN, ethernet, ipv4, ipv6, vlan},
};

fn write(folder: &Folder, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.file(name);
    fs::write(&path, content).unwrap();
    path
}

/// Runs a tool in the folder; gives what it prints.
fn run(folder: &Folder, command: &str) -> Vec<u8> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(folder.path())
        .output()
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {stderr}");
    output.stdout
}

/// Time in ns, length on the wire, bytes.
type Packet = (u64, u32, Vec<u8>);

fn read(path: &Path, expression: &str) -> Vec<Packet> {
    let filter = CaptureFilter::parse(&[expression.to_owned()]).unwrap();
    let mut source = OfflineSource::open(path, &filter, Screen::default()).unwrap();
    let mut packets = Vec::new();
    loop {
        let progress = source.read(&mut |frame| {
            packets.push((frame.time_ns, frame.wire_len, frame.bytes.to_vec()));
            ControlFlow::Continue(())
        });
        if progress.unwrap() == Progress::Eof {
            return packets;
        }
    }
}

fn tcp(source: u16, destination: u16) -> Vec<u8> {
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 2, 0, 0, 0, 0, 0]);
    segment.extend(b"*1\r\n$4\r\nPING\r\n");
    segment
}

fn frames() -> Vec<Vec<u8>> {
    let plain = Ipv4Extra::default();
    let mut frames = Vec::new();
    for port in [6379, 80, 443] {
        let packet = ipv4(TCP, plain, &tcp(40_000, port));
        frames.push(ethernet(IPV4, &packet));
        frames.push(ethernet(
            IPV4,
            &ipv4(TCP, Ipv4Extra { options: &[1; 8], ..plain }, &tcp(port, 9)),
        ));
        frames.push(ethernet(IPV6, &ipv6(TCP, &tcp(port, 40_000))));
        frames.push(ethernet(IPV6, &ipv6(UDP, &[0, 53, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4])));
        frames.push(ethernet(VLAN, &vlan(5, IPV4, &packet)));
        frames.push(ethernet(0x0806, &[port as u8; 28]));
    }
    frames
}

/// A pcap file of these frames, the last ten bytes of every third cut off, and what is in it.
fn sample(big: bool, nanoseconds: bool) -> (Vec<u8>, Vec<Packet>) {
    let u32 = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let u16 = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut file = u32(if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }).to_vec();
    file.extend([u16(2), u16(4)].concat());
    file.extend([0, 0, 65_535, 1].map(u32).concat());
    let mut packets = Vec::new();
    for (number, mut bytes) in (0..).zip(frames()) {
        let wire_len = bytes.len() as u32;
        if number % 3 == 0 {
            bytes.truncate(bytes.len() - 10);
        }
        let (seconds, fraction) = (1_700_000_000 + number / 4, number * 1_001);
        file.extend([seconds, fraction, bytes.len() as u32, wire_len].map(u32).concat());
        file.extend(&bytes);
        let unit = if nanoseconds { 1 } else { 1_000 };
        let time_ns = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit;
        packets.push((time_ns, wire_len, bytes));
    }
    (file, packets)
}

#[test]
fn files_that_other_tools_wrote_give_the_same_packets() {
    for big in [false, true] {
        for nanoseconds in [false, true] {
            let folder = Folder::new();
            let (content, packets) = sample(big, nanoseconds);
            write(&folder, "a.pcap", &content);
            assert_eq!(read(&folder.file("a.pcap"), ""), packets);
            let same = if nanoseconds { "nsecpcap" } else { "pcap" };
            for (command, name) in [
                (format!("editcap -F {same} a.pcap b.pcap"), "b.pcap"),
                ("editcap -F pcapng a.pcap c".to_owned(), "c"),
                ("tshark -r a.pcap -F pcapng -w d".to_owned(), "d"),
                (format!("tshark -r c -F {same} -w e"), "e"),
                ("gzip -k a.pcap".to_owned(), "a.pcap.gz"),
            ] {
                run(&folder, &command);
                assert_eq!(read(&folder.file(name), ""), packets, "{command}");
            }
            let precision = if nanoseconds { "nano" } else { "micro" };
            run(&folder, &format!("tcpdump --time-stamp-precision {precision} -r a.pcap -w f"));
            assert_eq!(read(&folder.file("f"), ""), packets, "tcpdump");
        }
    }
}

#[test]
fn merged_files_keep_their_interfaces_and_order() {
    let folder = Folder::new();
    let (micro, _) = sample(false, false);
    let (nano, _) = sample(true, true);
    write(&folder, "a", &micro);
    write(&folder, "b", &nano);
    run(&folder, "mergecap -I none -F pcapng -w merged a b");
    let shown = run(
        &folder,
        "tshark -r merged -T fields -e frame.time_epoch -e frame.len -e frame.cap_len \
         -e frame.interface_id",
    );
    let filter = CaptureFilter::parse(&[]).unwrap();
    let mut source =
        OfflineSource::open(&folder.file("merged"), &filter, Screen::default()).unwrap();
    let mut ours = String::new();
    loop {
        let progress = source.read(&mut |frame| {
            let (seconds, ns) = (frame.time_ns / 1_000_000_000, frame.time_ns % 1_000_000_000);
            let (len, captured) = (frame.wire_len, frame.bytes.len());
            let interface = frame.ifindex - 1;
            ours += &format!("{seconds}.{ns:09}\t{len}\t{captured}\t{interface}\n");
            ControlFlow::Continue(())
        });
        if progress.unwrap() == Progress::Eof {
            break;
        }
    }
    assert_eq!(ours, String::from_utf8(shown).unwrap());
    assert!(ours.contains("\t0\n") && ours.contains("\t1\n"), "{ours}");
}

#[test]
fn sections_that_follow_each_other_are_read() {
    let folder = Folder::new();
    let (content, packets) = sample(false, true);
    write(&folder, "a", &content);
    run(&folder, "editcap -F pcapng a b");
    let one = fs::read(folder.file("b")).unwrap();
    write(&folder, "c", &[&one[..], &one].concat());
    assert_eq!(read(&folder.file("c"), ""), [&packets[..], &packets].concat());
}

#[test]
fn an_expression_selects_what_it_selects_in_tcpdump() {
    let folder = Folder::new();
    let (content, _) = sample(false, false);
    let path = write(&folder, "a.pcap", &content);
    let mut compared = 0;
    for &expression in EXPRESSIONS {
        let mut capture = Capture::from_file(&path).unwrap();
        // Some ask for what no file tells.
        if capture.filter(expression, true).is_err() {
            continue;
        }
        let mut expect = Vec::new();
        while let Ok(packet) = capture.next_packet() {
            expect.push(packet.data.to_vec());
        }
        let ours: Vec<_> = read(&path, expression).into_iter().map(|(_, _, bytes)| bytes).collect();
        assert_eq!(ours, expect, "{expression}");
        compared += 1;
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn a_cut_file_says_where_it_stopped() {
    let folder = Folder::new();
    let (content, packets) = sample(false, false);
    let path = write(&folder, "a.pcap", &content[..content.len() - 5]);
    let filter = CaptureFilter::parse(&[]).unwrap();
    let mut source = OfflineSource::open(&path, &filter, Screen::default()).unwrap();
    let mut seen = 0;
    let error = loop {
        let progress = source.read(&mut |_| {
            seen += 1;
            ControlFlow::Continue(())
        });
        match progress {
            Ok(Progress::Eof) => panic!("the file is cut"),
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    let whole = packets.len() - 1;
    let offset = content.len() - 16 - packets[whole].2.len();
    assert_eq!(seen, whole);
    assert_eq!(
        error,
        format!(
            "{}: stopped behind packet {whole} (byte {offset}): the file ends inside a packet",
            path.display()
        )
    );
}
