//! Capture without eBPF: packet sockets through libpcap, as tcpdump captures (packet(7)).
//!
//! For kernels and containers where eBPF programs cannot be loaded and `CAP_NET_RAW` is all there is.
//! The filter runs in the kernel here, too, as classic BPF. What it costs more: every packet is copied
//! up to the snaplen before the agent sees it, whatever the agent needs of it.

#![expect(unsafe_code, reason = "the pcap crate gives a descriptor's number only")]

use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
};
use pcap::{Active, Capture, Direction, Linktype, Precision};
use tcpkit_common::Counters;

use super::{
    CaptureError, Directions, Frame, HookDirection, InterfaceCounters, InterfaceNames, LinkType,
    LiveConfig, Progress, Source, WallClock,
    interfaces::{self, ANY, Selection},
    monotonic_ns,
};
use crate::{filter::message, packet::cooked};

/// How long packets wait in the kernel's buffer at most, in ms, unless a block of it is full.
const TIMEOUT_MS: i32 = 10;

/// The same for waiting.
const POLL_MS: u16 = 10;

/// How many packets one call of [`Source::read`] hands over.
const BATCH: usize = 4096;

/// How long packets that were captured before the end are waited for, in ns.
const LINGER_NS: u64 = 30_000_000;

/// Headers that come on top of the snaplen, which is of payload: link, IP and TCP with options.
const HEADERS: u32 = 192;

/// How many interfaces are counted apart, each way; and where the packets of further ones are counted.
const MAX_PLACES: usize = 4096;
const OTHERS: (u32, HookDirection) = (0, HookDirection::Unknown);

/// libpcap's largest snaplen.
const MAX_SNAPLEN: u32 = 262_144;

/// An open packet socket.
struct Handle {
    capture: Capture<Active>,
    name: String,
    ifindex: u32,
    link: LinkType,
    /// Packets lost in front of this socket, as libpcap counted them last.
    lost: u64,
}

/// Frames from packet sockets, live.
pub struct PacketSocketSource {
    handles: Vec<Handle>,
    /// What was captured on each interface, each way.
    captured: Captured,
    /// What was lost in front of sockets that are closed, by interface.
    lost_before: BTreeMap<u32, u64>,
    /// Which way all packets go, if only one way is captured.
    direction: HookDirection,
    epoll: Epoll,
    clock: WallClock,
    names: InterfaceNames,
    /// Which handle is read first the next time.
    turn: usize,
    drained: bool,
    /// When nothing waited last, in ns on the monotonic clock.
    drained_ns: u64,
    stopped_ns: Option<u64>,
    outside: u64,
}

impl PacketSocketSource {
    /// Opens a socket for each interface, or one for all. Of the configuration, what concerns eBPF
    /// programs is not looked at.
    ///
    /// # Errors
    /// An interface is unknown, permission is missing, or libpcap does not take the expression for
    /// this kind of interface.
    pub fn open(config: &LiveConfig<'_>) -> Result<Self, CaptureError> {
        let selection = Selection::new(&config.interfaces)?;
        let names = InterfaceNames::default();
        for interface in interfaces::list()? {
            names.insert(interface.index, &interface.name);
        }
        let mut handles = Vec::new();
        if selection.is_any() {
            handles.push(Handle::open(ANY, 0, config)?);
        } else {
            for (interface, _) in selection.present()? {
                handles.push(Handle::open(&interface.name, interface.index, config)?);
            }
        }
        if handles.is_empty() {
            return Err(CaptureError::NoInterface);
        }
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(wait_failed)?;
        for handle in &handles {
            handle.add_to(&epoll).map_err(wait_failed)?;
        }
        Ok(Self {
            handles,
            captured: Captured::default(),
            lost_before: BTreeMap::new(),
            direction: match config.directions {
                Directions::In => HookDirection::Ingress,
                Directions::Out => HookDirection::Egress,
                Directions::Inout => HookDirection::Unknown,
            },
            epoll,
            clock: WallClock::new(),
            names,
            turn: 0,
            drained: false,
            drained_ns: monotonic_ns(),
            stopped_ns: None,
            outside: 0,
        })
    }

    /// The names of the interfaces that sockets are bound to; [`ANY`] for all.
    #[must_use]
    pub fn interfaces(&self) -> String {
        let names: Vec<_> = self.handles.iter().map(|handle| handle.name.as_str()).collect();
        names.join(", ")
    }

    /// What packets begin with, if it is the same on all interfaces.
    #[must_use]
    pub fn link(&self) -> Option<LinkType> {
        let first = self.handles.first()?.link;
        self.handles.iter().all(|handle| handle.link == first).then_some(first)
    }

    /// Whether packets may come from several interfaces.
    #[must_use]
    pub fn is_several(&self) -> bool {
        let named = self.handles.first().is_some_and(|handle| handle.ifindex != 0);
        self.handles.len() > 1 || !named
    }

    fn wait(&self) -> Result<(), CaptureError> {
        let mut events = [EpollEvent::empty(); 8];
        match self.epoll.wait(&mut events, POLL_MS) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(wait_failed(error)),
        }
    }

    /// Drops a socket that gives nothing any more.
    fn let_go(&mut self, at: usize, error: &pcap::Error) -> Result<(), CaptureError> {
        let mut handle = self.handles.swap_remove(at);
        handle.count_lost();
        let reason = message(error);
        *self.lost_before.entry(handle.ifindex).or_default() += handle.lost;
        if self.handles.is_empty() {
            return Err(CaptureError::PacketSocket { interface: handle.name, reason });
        }
        log::warn!("nothing is captured on '{}' any more: {reason}", handle.name);
        Ok(())
    }
}

impl Source for PacketSocketSource {
    fn read(
        &mut self,
        on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Progress, CaptureError> {
        if self.drained {
            self.wait()?;
        }
        let mut now_ns = monotonic_ns();
        self.clock.refresh(now_ns);
        // What waits now came after everything that waited last time was read, give or take what the
        // kernel keeps back for a while.
        let range = self.drained_ns.saturating_sub(LINGER_NS)..=now_ns.saturating_add(LINGER_NS);
        self.drained = true;
        let mut left = BATCH;
        let count = self.handles.len();
        self.turn = self.turn.wrapping_add(1);
        let mut broken = None;
        'all: for step in 0..count {
            let at = self.turn.wrapping_add(step) % count;
            let Some(handle) = self.handles.get_mut(at) else { continue };
            let origin = (handle.ifindex, self.direction, handle.link);
            loop {
                match handle.capture.next_packet() {
                    Ok(packet) => {
                        let time_ns = self.clock.monotonic_of(unix_ns(packet.header), &range);
                        let frame = frame(&packet, time_ns, origin);
                        self.captured.count(&frame, &self.names);
                        let flow = if self.stopped_ns.is_some_and(|it| time_ns > it) {
                            self.outside += 1;
                            ControlFlow::Continue(())
                        } else {
                            on_frame(frame)
                        };
                        left -= 1;
                        if flow.is_break() || left == 0 {
                            self.drained = false;
                            break 'all;
                        }
                    }
                    Err(pcap::Error::TimeoutExpired) => break,
                    Err(error) => {
                        broken = Some((at, error));
                        break 'all;
                    }
                }
            }
        }
        if let Some((at, error)) = broken {
            self.let_go(at, &error)?;
            self.drained = false;
        }
        now_ns = monotonic_ns();
        let is_over = self.stopped_ns.is_some_and(|it| now_ns.saturating_sub(it) >= LINGER_NS);
        if !self.drained && !is_over {
            return Ok(Progress::Busy);
        }
        self.drained_ns = now_ns;
        for handle in &mut self.handles {
            handle.count_lost();
        }
        Ok(if is_over { Progress::Eof } else { Progress::Idle { now_ns } })
    }

    /// The sockets cannot be closed before they were read: what comes later is counted, not handed
    /// over.
    fn stop(&mut self) -> Result<(), CaptureError> {
        self.stopped_ns = Some(monotonic_ns());
        Ok(())
    }

    fn outside(&self) -> u64 {
        self.outside
    }

    fn interface_names(&self) -> InterfaceNames {
        self.names.clone()
    }

    fn wall_offset_ns(&self) -> i64 {
        self.clock.offset_ns()
    }

    fn counts_refused(&self) -> bool {
        false
    }

    fn kernel_counters(&self) -> Result<Option<Counters>, CaptureError> {
        Ok(Some(self.interface_counters()?.iter().map(|one| one.counters).sum()))
    }

    fn interface_counters(&self) -> Result<Vec<InterfaceCounters>, CaptureError> {
        let name = |ifindex: u32| match self.names.find(ifindex) {
            Some(name) => name.to_string(),
            None if ifindex == OTHERS.0 => "others".to_owned(),
            None => ifindex.to_string(),
        };
        let one = |(&(ifindex, direction), &counters): (&(u32, HookDirection), &Counters)| {
            InterfaceCounters { ifindex, name: name(ifindex), direction, counters }
        };
        let mut all: Vec<_> = self.captured.0.iter().map(one).collect();
        let now = self.handles.iter().map(|handle| (handle.ifindex, handle.lost));
        let before = self.lost_before.iter().map(|(&ifindex, &lost)| (ifindex, lost));
        for (ifindex, lost) in now.chain(before).filter(|it| it.1 > 0) {
            // A socket of all interfaces does not say on which one it was.
            let name = match ifindex {
                0 => "sockets".to_owned(),
                _ => name(ifindex),
            };
            let counters =
                Counters { seen: lost, matched: lost, ring_full: lost, ..Counters::default() };
            let direction = HookDirection::Unknown;
            all.push(InterfaceCounters { ifindex, name, direction, counters });
        }
        Ok(all)
    }
}

impl Handle {
    fn open(name: &str, ifindex: u32, config: &LiveConfig<'_>) -> Result<Self, CaptureError> {
        let failed = |error: &pcap::Error| CaptureError::PacketSocket {
            interface: name.to_owned(),
            reason: message(error),
        };
        let snaplen = config.snaplen.saturating_add(HEADERS).min(MAX_SNAPLEN);
        let buffer = i32::try_from(config.ring_bytes).unwrap_or(i32::MAX);
        let mut capture = Capture::from_device(name)
            .map(|it| it.snaplen(snaplen.cast_signed()).buffer_size(buffer).timeout(TIMEOUT_MS))
            .map(|it| it.promisc(config.promiscuous && name != ANY))
            .and_then(|it| it.precision(Precision::Nano).open())
            .map_err(|error| failed(&error))?;
        if name == ANY {
            // Says which interface it was; libpcap before 1.10 does not know it.
            if let Err(error) = capture.set_datalink(Linktype(276)) {
                log::debug!("no interface indexes from packet sockets: {}", message(&error));
            }
        }
        let number = capture.get_datalink();
        let link = link_of(number).ok_or_else(|| CaptureError::PacketSocket {
            interface: name.to_owned(),
            reason: format!("its packets have link type {}, which is not understood", number.0),
        })?;
        let direction = match config.directions {
            Directions::In => Some(Direction::In),
            Directions::Out => Some(Direction::Out),
            Directions::Inout => None,
        };
        if let Some(direction) = direction {
            capture.direction(direction).map_err(|error| failed(&error))?;
        }
        capture
            .filter(config.filter.expression(), config.filter.optimizes())
            .map_err(|error| CaptureError::Filter(config.filter.refused(&error)))?;
        let capture = capture.setnonblock().map_err(|error| failed(&error))?;
        Ok(Self { capture, name: name.to_owned(), ifindex, link, lost: 0 })
    }

    fn add_to(&self, epoll: &Epoll) -> nix::Result<()> {
        // SAFETY: the descriptor is open as long as the handle, which outlives this call.
        let fd = unsafe { BorrowedFd::borrow_raw(self.capture.as_raw_fd()) };
        epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
    }

    /// Asks how many packets found no room. Where that fails, what was known stays.
    fn count_lost(&mut self) {
        if let Ok(stats) = self.capture.stats() {
            // libpcap's counters have 32 bits and go round.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the lower half is what is compared"
            )]
            let step = stats.dropped.wrapping_sub(self.lost as u32);
            self.lost += u64::from(step);
        }
    }
}

/// Counters by interface and direction.
#[derive(Default)]
struct Captured(BTreeMap<(u32, HookDirection), Counters>);

impl Captured {
    fn count(&mut self, frame: &Frame<'_>, names: &InterfaceNames) {
        let mut place = (frame.ifindex, frame.direction);
        if self.0.len() >= MAX_PLACES && !self.0.contains_key(&place) {
            place = OTHERS;
        }
        let counters = self.0.entry(place).or_insert_with(|| {
            learn_name(names, frame.ifindex);
            Counters::default()
        });
        counters.seen += 1;
        counters.matched += 1;
        counters.captured += 1;
        counters.matched_bytes += u64::from(frame.wire_len);
        let cut = u64::from(frame.wire_len).saturating_sub(frame.bytes.len() as u64);
        counters.truncated += u64::from(cut > 0);
        counters.truncated_bytes += cut;
    }
}

/// A packet of a socket's; where it was captured is what its cooked header says, if it has one.
fn frame<'a>(
    packet: &pcap::Packet<'a>,
    time_ns: u64,
    (ifindex, direction, link): (u32, HookDirection, LinkType),
) -> Frame<'a> {
    let bytes = packet.data;
    let wire_len = packet.header.len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let frame = Frame { time_ns, ifindex, direction, link, vlan: None, wire_len, bytes };
    match cooked(&frame) {
        Some(cooked) => Frame {
            ifindex: cooked.ifindex.unwrap_or(ifindex),
            direction: cooked.direction,
            ..frame
        },
        None => frame,
    }
}

/// Asks for the name of an interface that came after the start.
fn learn_name(names: &InterfaceNames, ifindex: u32) {
    if names.find(ifindex).is_none()
        && let Ok(all) = interfaces::list()
    {
        for interface in all {
            names.insert(interface.index, &interface.name);
        }
    }
}

/// A packet's time, which is in ns where libpcap's structure says µs.
fn unix_ns(header: &pcap::PacketHeader) -> u64 {
    let (seconds, ns) = (header.ts.tv_sec.max(0).unsigned_abs(), header.ts.tv_usec.max(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(ns.unsigned_abs())
}

/// The link types that libpcap gives on Linux's interfaces, by its own numbers (`DLT_*`).
fn link_of(number: Linktype) -> Option<LinkType> {
    match number.0 {
        1 => Some(LinkType::Ethernet),
        12 => Some(LinkType::RawIp),
        113 => Some(LinkType::LinuxSll),
        276 => Some(LinkType::LinuxSll2),
        _ => None,
    }
}

fn wait_failed(error: Errno) -> CaptureError {
    CaptureError::PacketSocket {
        interface: ANY.to_owned(),
        reason: io::Error::from(error).to_string(),
    }
}
