//! The format pcapng: sections of blocks, each with a byte order and interfaces of its own.

use super::{
    MAX_PACKET, Reason,
    order::{ByteOrder, Fields},
    reader::{Found, Step, link_type},
    units::Units,
};
use crate::capture::{HookDirection, InterfaceNames, LinkType};

/// Types of blocks.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;

/// What a file of this format begins with: a section's type, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = SECTION.to_be_bytes();

/// Options of interfaces and packets.
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const PACKET_FLAGS: u16 = 2;

/// Type and length, and the length again at the end.
const FRONT: usize = 8;
const BACK: usize = 4;
/// The largest block that is looked into: a packet with generous options.
const MAX_BLOCK: usize = MAX_PACKET + 1024 * 1024;

/// How many interfaces a file may have, over all its sections.
pub const MAX_INTERFACES: usize = 65_536;
/// How much of an interface's name is kept, in bytes.
const MAX_NAME: usize = 128;

/// An interface that a file introduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    link: Option<LinkType>,
    number: u16,
    snaplen: u32,
    units: Units,
    offset_ns: i64,
}

impl Interface {
    /// What its packets begin with, or the number that is not understood (`LINKTYPE_*`).
    ///
    /// # Errors
    /// The file format's number for it.
    pub fn link(&self) -> Result<LinkType, u16> {
        self.link.ok_or(self.number)
    }
}

/// What the blocks so far say of those that come.
#[derive(Debug)]
pub(super) struct Blocks {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    names: InterfaceNames,
    /// Where this section's interfaces begin.
    section: usize,
    /// The time of the last packet that had one.
    time_ns: u64,
    /// The length of a block that was skipped up to its end.
    ending: Option<u32>,
    untimed: u64,
}

impl Blocks {
    /// Names are added to `names` under the interfaces' numbers.
    pub(super) fn new(names: InterfaceNames) -> Self {
        Self {
            // The first section says it.
            order: ByteOrder::Little,
            interfaces: Vec::new(),
            names,
            section: 0,
            time_ns: 0,
            ending: None,
            untimed: 0,
        }
    }

    pub(super) fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Packets that carried no time.
    pub(super) fn untimed(&self) -> u64 {
        self.untimed
    }

    /// Whether a block may end here.
    pub(super) fn is_between_blocks(&self) -> bool {
        self.ending.is_none()
    }

    /// Looks at the block at the beginning of `data`.
    #[inline]
    pub(super) fn step(&mut self, data: &[u8]) -> Result<Step, Reason> {
        if let Some(front) = self.ending {
            let Some(&back) = data.first_chunk::<BACK>() else { return Ok(Step::NeedMore) };
            check_lengths(front, self.order.u32(back))?;
            self.ending = None;
            return Ok(Step::Skip(BACK as u64));
        }
        let Some((&[t0, t1, t2, t3, l0, l1, l2, l3], rest)) = data.split_first_chunk::<FRONT>()
        else {
            return Ok(Step::NeedMore);
        };
        let mut order = self.order;
        let kind = order.u32([t0, t1, t2, t3]);
        if kind == SECTION {
            let Some(&magic) = rest.first_chunk::<4>() else { return Ok(Step::NeedMore) };
            order = match magic {
                [0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
                [0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
                other => return Err(Reason::Order(u32::from_be_bytes(other))),
            };
        }
        let claimed = order.u32([l0, l1, l2, l3]);
        let len = claimed as usize;
        let known = matches!(kind, SECTION | INTERFACE | OLD_PACKET | SIMPLE_PACKET | PACKET);
        let Some(body_len) = len.checked_sub(FRONT.saturating_add(BACK)) else {
            return Err(Reason::Length { kind, claimed });
        };
        if claimed & 3 != 0 || (known && len > MAX_BLOCK) {
            return Err(Reason::Length { kind, claimed });
        }
        if !known {
            self.ending = Some(claimed);
            return Ok(Step::Skip(u64::from(claimed).saturating_sub(BACK as u64)));
        }
        let Some((body, back)) = rest.split_at_checked(body_len) else { return Ok(Step::NeedMore) };
        let Some(&back) = back.first_chunk::<BACK>() else { return Ok(Step::NeedMore) };
        check_lengths(claimed, order.u32(back))?;
        let fields = Fields { order, rest: body };
        let found = match kind {
            SECTION => self.start_section(fields)?,
            INTERFACE => self.add_interface(fields)?,
            SIMPLE_PACKET => self.simple_packet(fields)?,
            kind => self.packet(fields, kind)?,
        };
        Ok(match found {
            Some(found) => Step::Packet(Found { size: len, ..found }),
            None if matches!(kind, SECTION | INTERFACE) => Step::Skip(len as u64),
            None => Step::Foreign(len),
        })
    }

    fn start_section(&mut self, mut fields: Fields<'_>) -> Result<Option<Found>, Reason> {
        let contents = Reason::Contents { kind: SECTION };
        let (_magic, major, minor) = (fields.u32(), fields.u16(), fields.u16());
        let major = major.ok_or(contents)?;
        let minor = minor.ok_or(contents)?;
        // The section's length, 8 bytes, is of no use: many writers do not know it.
        fields.bytes(8).ok_or(contents)?;
        // Some writers took 1.2 for 1.0.
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(Reason::Version { major, minor });
        }
        self.order = fields.order;
        self.section = self.interfaces.len();
        Ok(None)
    }

    fn add_interface(&mut self, mut fields: Fields<'_>) -> Result<Option<Found>, Reason> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Reason::Interfaces);
        }
        let contents = Reason::Contents { kind: INTERFACE };
        let number = fields.u16().ok_or(contents)?;
        let _reserved = fields.u16().ok_or(contents)?;
        let snaplen = fields.u32().ok_or(contents)?;
        let mut interface = Interface {
            link: link_type(number.into()),
            number,
            snaplen,
            units: Units::DEFAULT,
            offset_ns: 0,
        };
        let mut name = None;
        while let Some((code, value)) = fields.option() {
            match (code, value) {
                (IF_NAME, value) => name = readable(value),
                (IF_TSRESOL, &[resolution]) => interface.units = Units::from_option(resolution),
                (IF_TSOFFSET, &[a, b, c, d, e, f, g, h]) => {
                    let seconds = match fields.order {
                        ByteOrder::Little => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
                        ByteOrder::Big => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
                    };
                    interface.offset_ns = seconds.saturating_mul(1_000_000_000);
                }
                _ => {}
            }
        }
        let index = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        let name = name.unwrap_or_else(|| format!("if{index}"));
        self.names.insert(index.saturating_add(1), &name);
        self.interfaces.push(interface);
        Ok(None)
    }

    /// A packet of the usual or the obsolete kind; they differ in how they name the interface.
    #[inline]
    fn packet(&mut self, mut fields: Fields<'_>, kind: u32) -> Result<Option<Found>, Reason> {
        let contents = Reason::Contents { kind };
        let number = if kind == PACKET {
            fields.u32().ok_or(contents)?
        } else {
            let number = fields.u16().ok_or(contents)?;
            let _drops = fields.u16().ok_or(contents)?;
            number.into()
        };
        let high = fields.u32().ok_or(contents)?;
        let low = fields.u32().ok_or(contents)?;
        let captured = fields.u32().ok_or(contents)?;
        let wire_len = fields.u32().ok_or(contents)?;
        let len = captured as usize;
        if len > MAX_PACKET {
            return Err(Reason::Packet { claimed: captured });
        }
        fields.bytes(len).ok_or(contents)?;
        let (index, interface) = self.interface(number)?;
        let Some(link) = interface.link else { return Ok(None) };
        let count = u64::from(high) << 32 | u64::from(low);
        let time_ns = interface.units.to_ns(count).saturating_add_signed(interface.offset_ns);
        self.time_ns = time_ns;
        fields.bytes(len.wrapping_neg() & 3);
        Ok(Some(Found {
            size: 0,
            // Both kinds have 20 bytes of fields.
            start: FRONT.saturating_add(20),
            len,
            time_ns,
            interface: index,
            direction: direction(fields),
            link,
            wire_len: wire_len.max(captured),
        }))
    }

    /// A packet of the first interface with nothing but its length: no time, no options.
    fn simple_packet(&mut self, mut fields: Fields<'_>) -> Result<Option<Found>, Reason> {
        let wire_len = fields.u32().ok_or(Reason::Contents { kind: SIMPLE_PACKET })?;
        let (index, interface) = self.interface(0)?;
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = wire_len.min(snaplen);
        let len = captured as usize;
        let Some(link) = interface.link else { return Ok(None) };
        if len > MAX_PACKET {
            return Err(Reason::Packet { claimed: captured });
        }
        fields.bytes(len).ok_or(Reason::Contents { kind: SIMPLE_PACKET })?;
        self.untimed = self.untimed.saturating_add(1);
        Ok(Some(Found {
            size: 0,
            start: FRONT.saturating_add(4),
            len,
            // The best guess; and libpcap's, where no packet has a time.
            time_ns: self.time_ns,
            interface: index,
            direction: HookDirection::Unknown,
            link,
            wire_len,
        }))
    }

    /// An interface by its number in the section, and its number in the file, from 1.
    fn interface(&self, number: u32) -> Result<(u32, &Interface), Reason> {
        let index = self.section.saturating_add(number as usize);
        let interface = self.interfaces.get(index).ok_or_else(|| Reason::Interface {
            number,
            there: self.interfaces.len().saturating_sub(self.section),
        })?;
        Ok((u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1), interface))
    }
}

fn check_lengths(front: u32, back: u32) -> Result<(), Reason> {
    if front == back { Ok(()) } else { Err(Reason::Lengths { front, back }) }
}

/// From a packet's options.
fn direction(mut options: Fields<'_>) -> HookDirection {
    while let Some((code, value)) = options.option() {
        if let (PACKET_FLAGS, Some(&flags)) = (code, value.first_chunk()) {
            return match options.order.u32(flags) & 3 {
                1 => HookDirection::Ingress,
                2 => HookDirection::Egress,
                _ => HookDirection::Unknown,
            };
        }
    }
    HookDirection::Unknown
}

/// A name from a file, which may hold anything: the part that prints.
fn readable(name: &[u8]) -> Option<String> {
    let name = name.get(..MAX_NAME).unwrap_or(name);
    let name: String =
        String::from_utf8_lossy(name).chars().filter(|letter| !letter.is_control()).collect();
    (!name.is_empty()).then_some(name)
}
