//! The real tcpdump as a witness, and files as libpcap reads them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pcap::{Capture, Precision};

use crate::{
    folder::Folder,
    netns::{Netns, eventually},
};

/// A packet of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// When it was captured, in ns since the Unix epoch.
    pub unix_ns: u64,
    /// Its length on the wire.
    pub len: u32,
    /// What was captured of it.
    pub bytes: Vec<u8>,
}

/// A file's packets and link type, as libpcap reads them.
#[must_use]
pub fn read(file: &Path) -> (i32, Vec<Packet>) {
    let mut capture = Capture::from_file_with_precision(file, Precision::Nano)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let link = capture.get_datalink().0;
    let mut packets = Vec::new();
    loop {
        match capture.next_packet() {
            Ok(packet) => packets.push(Packet {
                unix_ns: packet.header.ts.tv_sec as u64 * 1_000_000_000
                    + packet.header.ts.tv_usec as u64,
                len: packet.header.len,
                bytes: packet.data.to_vec(),
            }),
            Err(pcap::Error::NoMorePackets) => return (link, packets),
            Err(error) => panic!("{}: {error}", file.display()),
        }
    }
}

/// A running tcpdump that writes to a file. It is killed when this is dropped.
#[derive(Debug)]
pub struct Tcpdump {
    child: Child,
    stderr: BufReader<ChildStderr>,
    file: PathBuf,
    _folder: Folder,
}

impl Tcpdump {
    /// Starts it with further arguments, and waits until it captures.
    #[must_use]
    pub fn start(netns: &Netns, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let file = folder.file("witness.pcap");
        let mut command = Command::new("tcpdump");
        // As root all along: the folder is nobody else's. In immediate mode the buffer has room for few
        // packets if they may be long.
        command.args(["-U", "--immediate-mode", "-Z", "root", "-s", "4096", "-B", "16384"]);
        command.args(["--time-stamp-precision=nano", "-w"]).arg(&file).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = netns.run(|| command.spawn().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            let count = stderr.read_line(&mut said).unwrap();
            assert!(count > 0, "tcpdump ended, saying: {said}");
        }
        Self { child, stderr, file, _folder: folder }
    }

    /// Waits until so many markers are in the file, and stops it; gives what came before, without
    /// them.
    #[must_use]
    pub fn stop_after_markers(mut self, count: usize) -> Vec<Packet> {
        self.end(count);
        without_markers(read(&self.file).1)
    }

    /// The same, and keeps the whole file.
    pub fn stop_into(mut self, count: usize, file: &Path) {
        self.end(count);
        fs::copy(&self.file, file).unwrap();
    }

    fn end(&mut self, count: usize) {
        wait_for_markers(&self.file, count);
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        let mut said = String::new();
        while self.stderr.read_line(&mut said).unwrap() > 0 {}
        assert!(self.child.wait().unwrap().success(), "{said}");
        assert!(said.contains("0 packets dropped by kernel"), "{said}");
    }
}

/// What a datagram carries behind the traffic of a test: whoever captured it captured all before.
pub const MARKER: &[u8] = b"all of it was sent before";

/// The port that markers are sent to.
pub const MARKER_PORT: u16 = 6399;

/// Sends a marker from a namespace.
pub fn send_marker(from: &Netns, to: &str) {
    from.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(MARKER, (to, MARKER_PORT)).unwrap();
    });
}

fn is_marker(bytes: &[u8]) -> bool {
    bytes.ends_with(MARKER)
}

/// Waits until so many markers are in a file that is being written.
#[track_caller]
pub fn wait_for_markers(file: &Path, count: usize) {
    eventually(&format!("{count} markers in {}", file.display()), || {
        // The file may be empty yet, or end inside a packet.
        let mut found = 0;
        if let Ok(mut capture) = Capture::from_file(file) {
            while let Ok(packet) = capture.next_packet() {
                found += usize::from(is_marker(packet.data));
            }
        }
        found >= count
    });
}

/// The packets that are no markers.
#[must_use]
pub fn without_markers(mut packets: Vec<Packet>) -> Vec<Packet> {
    packets.retain(|packet| !is_marker(&packet.bytes));
    packets
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}
