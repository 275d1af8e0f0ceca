//! What one capture file holds so far, in either format.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::{
    capture::{Frame, InterfaceCounters, InterfaceNames, LinkType},
    pcapfile::write::{
        Packet, pcap,
        pcapng::{self, Statistics},
    },
};

/// Which link type the packets of a pcap file have; a pcapng file keeps that of each interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileLink {
    /// This one: such frames are written as they are, and others if they can be made such.
    Same(LinkType),
    /// That of the first packet, with which the file begins.
    First,
    /// One for frames of several kinds of devices: Linux's cooked header ([`LinkType::LinuxSll2`]) in
    /// pcap. In pcapng each interface may have its own, but libpcap reads no file with two, so IP
    /// packets without a link header are put into Ethernet frames there.
    Cooked,
}

impl FileLink {
    fn link(self) -> LinkType {
        match self {
            Self::Same(link) => link,
            // Until there is a packet.
            Self::First => LinkType::Ethernet,
            Self::Cooked => LinkType::LinuxSll2,
        }
    }
}

/// The most interfaces that one file describes; packets of further ones are not written.
const MAX_INTERFACES: usize = 1 << 16;

/// The program's name in files.
const PROGRAM: &str = concat!("tcpkit ", env!("CARGO_PKG_VERSION"));

/// An interface of a file: its index and what its packets begin with.
type Interface = (u32, LinkType);

/// A file's format, and what stands in the file already.
#[derive(Debug)]
pub(super) enum Encoding {
    /// Packets of one link type.
    Pcap { link: LinkType },
    /// Packets of the interfaces that are described before.
    Pcapng(Interfaces),
}

impl Encoding {
    pub(super) fn pcap(link: FileLink) -> Self {
        Self::Pcap { link: link.link() }
    }

    pub(super) fn pcapng(names: InterfaceNames, link: FileLink) -> Self {
        Self::Pcapng(Interfaces {
            link: link.link(),
            names,
            ethernet: link == FileLink::Cooked,
            known: HashMap::default(),
            in_order: Vec::new(),
            last: None,
        })
    }

    /// Sets what the packets of files that begin from now on begin with.
    pub(super) fn set_link(&mut self, new: LinkType) {
        match self {
            Self::Pcap { link } => *link = new,
            Self::Pcapng(interfaces) => interfaces.link = new,
        }
    }

    /// Appends the beginning of a new file.
    pub(super) fn begin(&mut self, buffer: &mut Vec<u8>) {
        match self {
            Self::Pcap { link } => pcap::push_header(buffer, *link),
            Self::Pcapng(interfaces) => {
                interfaces.forget();
                pcapng::push_section(buffer, PROGRAM);
            }
        }
    }

    /// Appends a packet; returns whether this file can hold it.
    #[inline]
    pub(super) fn push(&mut self, buffer: &mut Vec<u8>, frame: &Frame<'_>, unix_ns: u64) -> bool {
        match self {
            Self::Pcap { link } => {
                let Some(packet) = Packet::with_link(frame, *link) else { return false };
                pcap::push_packet(buffer, &packet, unix_ns);
            }
            Self::Pcapng(interfaces) => {
                let (link, packet) = interfaces.packet(frame);
                let Some(number) = interfaces.number((frame.ifindex, link), buffer) else {
                    return false;
                };
                pcapng::push_packet(buffer, number, frame.direction, &packet, unix_ns);
            }
        }
        true
    }

    /// Appends the end of a file, whose last packet passed at `unix_ns`.
    pub(super) fn end(
        &mut self,
        buffer: &mut Vec<u8>,
        counters: &[InterfaceCounters],
        unix_ns: u64,
    ) {
        let Self::Pcapng(interfaces) = self else { return };
        if interfaces.in_order.is_empty() {
            // libpcap refuses a file that tells of no interface.
            pcapng::push_interface(buffer, interfaces.link, None);
        }
        let mut told = Vec::new();
        for (number, &(ifindex, _)) in (0..).zip(&interfaces.in_order) {
            // Frames of two link types make one interface two.
            if told.contains(&ifindex) {
                continue;
            }
            told.push(ifindex);
            if let Some(statistics) = sum(counters, ifindex) {
                pcapng::push_statistics(buffer, number, unix_ns, &statistics);
            }
        }
    }

    /// How many of `bytes` are whole packets or blocks, and how many packets.
    pub(super) fn whole(&self, bytes: &[u8]) -> (usize, u64) {
        let (mut whole, mut packets) = (0, 0);
        while let Some(rest) = bytes.get(whole..) {
            let first = match self {
                Self::Pcap { .. } => pcap::first_packet_len(rest).map(|len| (len, true)),
                Self::Pcapng(_) => pcapng::first_block(rest),
            };
            let Some((len, is_packet)) = first else { break };
            whole += len;
            packets += u64::from(is_packet);
        }
        (whole, packets)
    }
}

/// Both directions of an interface together; `None` when its packets are not counted.
fn sum(counters: &[InterfaceCounters], ifindex: u32) -> Option<Statistics> {
    let mut of_it = counters.iter().filter(|one| one.ifindex == ifindex).peekable();
    of_it.peek()?;
    Some(of_it.fold(Statistics::default(), |sum, one| {
        let counters = &one.counters;
        Statistics {
            received: sum.received.saturating_add(counters.seen),
            accepted: sum.accepted.saturating_add(counters.matched),
            dropped: sum.dropped.saturating_add(counters.lost()),
            delivered: sum.delivered.saturating_add(counters.captured),
        }
    }))
}

/// The interfaces that a pcapng file describes.
#[derive(Debug)]
pub(super) struct Interfaces {
    /// What the packets of a file without packets begin with.
    link: LinkType,
    names: InterfaceNames,
    /// Whether what can be put into Ethernet frames is.
    ethernet: bool,
    known: HashMap<Interface, u32, RandomState>,
    in_order: Vec<Interface>,
    /// The one of the last packet, which is often that of the next.
    last: Option<(Interface, u32)>,
}

impl Interfaces {
    fn forget(&mut self) {
        self.known.clear();
        self.in_order.clear();
        self.last = None;
    }

    /// A frame as it is written, and what it begins with then.
    #[inline]
    fn packet<'a>(&self, frame: &Frame<'a>) -> (LinkType, Packet<'a>) {
        if self.ethernet
            && frame.link == LinkType::RawIp
            && let Some(packet) = Packet::with_link(frame, LinkType::Ethernet)
        {
            return (LinkType::Ethernet, packet);
        }
        (frame.link, Packet::as_captured(frame))
    }

    /// The number that an interface has in the file; describes it there if it is new.
    #[inline]
    fn number(&mut self, interface: Interface, buffer: &mut Vec<u8>) -> Option<u32> {
        match self.last {
            Some((last, number)) if last == interface => Some(number),
            _ => self.find(interface, buffer),
        }
    }

    fn find(&mut self, interface: Interface, buffer: &mut Vec<u8>) -> Option<u32> {
        let number = match self.known.get(&interface) {
            Some(&number) => number,
            None => self.describe(interface, buffer)?,
        };
        self.last = Some((interface, number));
        Some(number)
    }

    #[cold]
    fn describe(&mut self, interface: Interface, buffer: &mut Vec<u8>) -> Option<u32> {
        if self.in_order.len() >= MAX_INTERFACES {
            return None;
        }
        let number = u32::try_from(self.in_order.len()).ok()?;
        let (ifindex, link) = interface;
        pcapng::push_interface(buffer, link, self.names.find(ifindex).as_deref());
        self.in_order.push(interface);
        self.known.insert(interface, number);
        Some(number)
    }
}
