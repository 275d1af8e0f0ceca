//! Capture files with generated Redis traffic, the same bytes in every run.
//!
//! Connections take turns at random: one whose request waits gets its response, another sends its
//! next request. So requests of all connections are under way at once, as with a real client.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use tcpkit_tests::redis::encode;

use crate::{
    connection::{Connection, SEGMENT_BYTES, Sender},
    random::Random,
};

/// How many connections share the requests.
const CONNECTIONS: usize = 50;

/// How many different keys there are.
const KEYS: u64 = 100_000;

/// 2026-01-01 00:00:00 UTC.
const BEGIN_NS: u64 = 1_767_225_600_000_000_000;

/// What traffic is generated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How many requests.
    pub(crate) requests: usize,
    /// How many a client sends at once.
    pub(crate) pipeline: usize,
    /// How long values are.
    pub(crate) value_bytes: usize,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Packets.
    pub(crate) packets: u64,
    /// Requests that are whole and answered.
    pub(crate) requests: u64,
    /// The file's own length.
    pub(crate) bytes: u64,
}

/// Writes a file of all the traffic, or of its first packets.
pub(crate) fn write(path: &Path, shape: Shape, max_packets: u64) -> io::Result<Contents> {
    let mut file = Recording::new(BufWriter::with_capacity(1 << 20, File::create(path)?))?;
    let mut connections = Connection::many(CONNECTIONS);
    let mut frame = Vec::new();
    for step in 0..3 {
        for connection in &mut connections {
            connection.open(step, &mut frame);
            file.packet(&frame)?;
        }
    }
    let mut clients: Vec<_> = connections.into_iter().map(|it| (it, Vec::new())).collect();
    let mut random = Random::new(1);
    let mut unsent = shape.requests;
    let mut waiting = 0;
    let mut answered = 0;
    while (unsent > 0 || waiting > 0) && file.contents.packets < max_packets {
        let (connection, open) = &mut clients[random.below(CONNECTIONS as u64) as usize];
        let (sender, payload) = if !open.is_empty() {
            waiting -= 1;
            answered += open.len();
            (Sender::Server, responses(open, shape))
        } else if unsent > 0 {
            waiting += 1;
            *open = (0..shape.pipeline.min(unsent)).map(|_| Operation::next(&mut random)).collect();
            unsent -= open.len();
            (Sender::Client, requests(open, shape))
        } else {
            continue;
        };
        if sender == Sender::Server {
            open.clear();
        }
        for part in payload.chunks(SEGMENT_BYTES) {
            connection.send(sender, part, &mut frame);
            file.packet(&frame)?;
        }
        file.time_ns += 2_000 + random.below(4_000);
    }
    file.contents.requests = answered as u64;
    file.out.flush()?;
    Ok(file.contents)
}

/// One request.
#[derive(Clone, Copy, Debug)]
struct Operation {
    is_set: bool,
    key: u64,
}

impl Operation {
    fn next(random: &mut Random) -> Self {
        Self { is_set: random.below(2) == 0, key: random.below(KEYS) }
    }
}

fn requests(operations: &[Operation], shape: Shape) -> Vec<u8> {
    let value = vec![b'x'; shape.value_bytes];
    let mut payload = Vec::new();
    for operation in operations {
        let key = format!("key:{:012}", operation.key);
        payload.extend(match operation.is_set {
            true => encode(&[b"SET", key.as_bytes(), &value]),
            false => encode(&[b"GET", key.as_bytes()]),
        });
    }
    payload
}

fn responses(operations: &[Operation], shape: Shape) -> Vec<u8> {
    let mut payload = Vec::new();
    for operation in operations {
        if operation.is_set {
            payload.extend(b"+OK\r\n");
        } else {
            payload.extend(format!("${}\r\n", shape.value_bytes).into_bytes());
            payload.resize(payload.len() + shape.value_bytes, b'x');
            payload.extend(b"\r\n");
        }
    }
    payload
}

/// A pcap file of Ethernet frames, timed in nanoseconds.
struct Recording<W: Write> {
    out: W,
    time_ns: u64,
    contents: Contents,
}

impl<W: Write> Recording<W> {
    fn new(mut out: W) -> io::Result<Self> {
        let mut header = Vec::new();
        header.extend(0xa1b2_3c4d_u32.to_le_bytes());
        header.extend([2, 0, 4, 0]);
        header.extend([0; 8]);
        header.extend(0x0004_0000_u32.to_le_bytes());
        header.extend(1_u32.to_le_bytes());
        out.write_all(&header)?;
        let contents = Contents { bytes: header.len() as u64, ..Contents::default() };
        Ok(Self { out, time_ns: BEGIN_NS, contents })
    }

    fn packet(&mut self, frame: &[u8]) -> io::Result<()> {
        self.time_ns += 1_000;
        let (second, rest) = (self.time_ns / 1_000_000_000, self.time_ns % 1_000_000_000);
        let mut header = [0; 16];
        let words = [second as u32, rest as u32, frame.len() as u32, frame.len() as u32];
        for (place, word) in header.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.out.write_all(&header)?;
        self.out.write_all(frame)?;
        self.contents.packets += 1;
        self.contents.bytes += (header.len() + frame.len()) as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tcpkit_tests::folder::Folder;

    use super::*;

    fn check(shape: Shape, max_packets: u64, packets: u64, requests: u64) {
        let folder = Folder::new();
        let (file, again) = (folder.file("one.pcap"), folder.file("two.pcap"));
        let contents = write(&file, shape, max_packets).unwrap();
        assert_eq!((contents.packets, contents.requests), (packets, requests));
        assert_eq!(contents.bytes, std::fs::metadata(&file).unwrap().len());
        let (link, read) = tcpkit_tests::tcpdump::read(&file);
        assert_eq!((link, read.len() as u64), (1, packets));
        assert!(read.is_sorted_by_key(|packet| packet.unix_ns));
        write(&again, shape, max_packets).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&again).unwrap());
    }

    #[test]
    fn a_file_holds_what_it_says() {
        let single = Shape { requests: 1000, pipeline: 1, value_bytes: 3 };
        check(single, u64::MAX, 150 + 2000, 1000);
        check(Shape { pipeline: 16, ..single }, u64::MAX, 150 + 2 * 63, 1000);
        check(single, 150, 150, 0);
    }
}
