//! The golden captures: their frames in memory, and which connection each belongs to.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use tcpkit::{
    capture::{Frame, HookDirection, LinkType, VlanTag},
    flow::FlowKey,
    packet::{Decoded, decode},
    pcapfile::Reader,
    protocol::Protocol,
};

/// A frame that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) time_ns: u64,
    pub(crate) ifindex: u32,
    pub(crate) direction: HookDirection,
    pub(crate) link: LinkType,
    pub(crate) vlan: Option<VlanTag>,
    pub(crate) wire_len: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Packet {
    fn of(frame: &Frame<'_>) -> Self {
        let Frame { time_ns, ifindex, direction, link, vlan, wire_len, bytes } = *frame;
        Self { time_ns, ifindex, direction, link, vlan, wire_len, bytes: bytes.to_vec() }
    }

    /// As a source hands it over.
    pub(crate) fn frame(&self) -> Frame<'_> {
        let &Self { time_ns, ifindex, direction, link, vlan, wire_len, ref bytes } = self;
        Frame { time_ns, ifindex, direction, link, vlan, wire_len, bytes }
    }
}

/// A capture file of a protocol.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) protocol: &'static Protocol,
    /// With the ending `.pcap`.
    pub(crate) path: PathBuf,
    pub(crate) packets: Vec<Packet>,
}

impl Capture {
    fn read(protocol: &'static Protocol, path: PathBuf) -> Self {
        let file = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut packets = Vec::new();
        let mut reader = Reader::new();
        let mut rest = &file[..];
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => packets.push(Packet::of(&frame)),
                Ok(None) if rest.is_empty() => break,
                Ok(None) => {
                    let room = reader.room();
                    let len = room.len().min(rest.len());
                    room[..len].copy_from_slice(&rest[..len]);
                    reader.filled(len);
                    rest = &rest[len..];
                }
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
        let end = reader.finish();
        assert!(end.is_ok(), "{}: {end:?}", path.display());
        Self { protocol, path, packets }
    }

    /// `redis/load`, for messages.
    pub(crate) fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        format!("{}/{stem}", self.protocol.name)
    }

    pub(crate) fn frames(&self) -> Vec<Frame<'_>> {
        self.packets.iter().map(Packet::frame).collect()
    }

    /// The frames of each connection, or pair of ends that exchange datagrams, in the file's order.
    /// Connections do not know of each other, so what is done to one is tried on it alone.
    pub(crate) fn connections(&self) -> Vec<Vec<Frame<'_>>> {
        let mut places = HashMap::new();
        let mut connections: Vec<Vec<Frame<'_>>> = Vec::new();
        for frame in self.frames() {
            let (addresses, is_tcp) = match decode(&frame) {
                Decoded::Tcp(segment) => (segment.addresses, true),
                Decoded::Udp(datagram) => (datagram.addresses, false),
                Decoded::Other(_) => continue,
            };
            let (key, _) = FlowKey::of(&addresses);
            let place = *places.entry((key, is_tcp)).or_insert(connections.len());
            if place == connections.len() {
                connections.push(Vec::new());
            }
            connections[place].push(frame);
        }
        connections
    }
}

/// The files of one protocol, in the order of their names; `fixtures` has a folder for each protocol.
pub(crate) fn captures_of(protocol: &'static Protocol, fixtures: &Path) -> Vec<Capture> {
    let Ok(entries) = fs::read_dir(fixtures.join(protocol.name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "pcap"));
    paths.sort();
    paths.into_iter().map(|path| Capture::read(protocol, path)).collect()
}
