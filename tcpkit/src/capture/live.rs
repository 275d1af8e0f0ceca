//! Live capture: attaches the programs to interfaces and reads what they put into the ring.

use std::{
    io,
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
};

use aya::{
    maps::MapData,
    programs::{
        SchedClassifier, TcAttachType,
        links::LinkOrder,
        tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions},
    },
};
use aya_log::EbpfLogger;
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
};
use tcpkit_common::{
    Counters, DIRECTION_EGRESS, DIRECTION_INGRESS, LINK_ETHERNET, LINK_RAW_IP, RECORD_VERSION,
    RecordHeader,
};

use super::{
    CaptureError, Frame, HookDirection, InterfaceNames, LinkType, Progress, Source, VlanTag,
    WallClock,
    guardian::Guardian,
    interfaces::{self, Interface},
    monotonic_ns,
    netlink::{Netlink, Request},
    programs::{Hook, Programs, ProgramsConfig, kernel_release, kernel_version},
    ring::{Drained, RingReader, round_size},
};
use crate::filter::CaptureFilter;

/// How long frames wait in the ring at most, in ms, while fewer than the watermark wait.
const POLL_MS: u16 = 10;

/// The most bytes that one call of [`Source::read`] hands over, so that the caller looks at its
/// clock and its signals under any load.
const BATCH_BYTES: usize = 4 << 20;

/// How long the last records are waited for after the programs were taken off, in ns.
const LINGER_NS: u64 = 100_000_000;

/// Waiting bytes from which the kernel wakes the agent before its time: at most this, or a
/// sixteenth of the ring.
const MAX_WATERMARK: u32 = 1 << 20;
const WATERMARK_SHARE: u32 = 16;

/// The first kernel whose interfaces take programs by links (TCX).
const FIRST_TCX_KERNEL: (u32, u32) = (6, 6);

/// How programs are attached to interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// As the kernel's version allows.
    #[default]
    Auto,
    /// By links that vanish with the agent; from kernel 6.6.
    Tcx,
    /// As filters of the `clsact` qdisc, which a child process removes when the agent is gone.
    Netlink,
}

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct LiveConfig<'a> {
    /// The interfaces' names; none or `any` for all.
    pub interfaces: Vec<String>,
    /// The ring's size in bytes; rounded up to a power of two of whole pages.
    pub ring_bytes: u64,
    /// The most payload bytes of a packet that are captured; `u32::MAX` for all.
    pub snaplen: u32,
    /// Which packets are captured.
    pub filter: &'a CaptureFilter,
    /// Whether the kernel's programs write debug messages to the agent's log.
    pub debug: bool,
    /// How the programs are attached.
    pub attach: AttachMode,
}

/// Frames from the kernel, live.
pub struct LiveSource {
    // Dropped in this order: first the programs, which takes them off the interfaces, then the
    // guardian, which removes what is left.
    programs: Programs,
    guardian: Option<Guardian>,
    _records: MapData,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    ring: RingReader,
    epoll: Epoll,
    clock: WallClock,
    interfaces: Vec<Interface>,
    names: InterfaceNames,
    drained: bool,
    /// From when on all programs were attached, in ns on the monotonic clock.
    started_ns: u64,
    /// When the first of the programs was about to be taken off.
    stopped_ns: Option<u64>,
    /// When the last of them was.
    unloaded_ns: Option<u64>,
    /// Frames from before and after.
    outside: u64,
    records: u64,
    rejected: u64,
}

impl LiveSource {
    /// Loads the programs and attaches them.
    ///
    /// # Errors
    /// An interface is unknown, the kernel is too old, or permission is missing; each message says
    /// what to do.
    pub fn open(config: &LiveConfig<'_>) -> Result<Self, CaptureError> {
        let selected = interfaces::select(&config.interfaces)?;
        let everywhere = config.interfaces.is_empty()
            || config.interfaces.iter().any(|name| name == interfaces::ANY);
        let ring_bytes = round_size(config.ring_bytes);
        let mut programs = Programs::open(&ProgramsConfig {
            ring_bytes,
            snaplen: config.snaplen,
            wakeup_bytes: MAX_WATERMARK.min(ring_bytes / WATERMARK_SHARE),
            filter: config.filter,
            debug: config.debug,
        })?;
        let records = programs.take_records()?;
        let ring = RingReader::new(records.fd().as_fd(), ring_bytes).map_err(CaptureError::Ring)?;
        let epoll = watch(records.fd().as_fd()).map_err(CaptureError::Ring)?;
        let logger = if config.debug { open_logger(&mut programs) } else { None };
        let mut attacher = Attacher::new(config.attach)?;
        let mut attached = Vec::new();
        for (interface, link) in selected {
            if let (LinkType::RawIp, Some(why)) = (link, config.filter.no_raw_ip()) {
                log::warn!("nothing is captured on '{}': {why}", interface.name);
            }
            match attacher.attach(&mut programs, &interface, link) {
                Ok(()) => attached.push(interface),
                // One of many may have vanished meanwhile, or be of a kind that takes no programs.
                Err(error @ CaptureError::Attach { .. }) if everywhere => log::warn!("{error}"),
                Err(error) => return Err(error),
            }
        }
        if attached.is_empty() {
            return Err(CaptureError::NoInterface);
        }
        let names = InterfaceNames::default();
        for interface in &attached {
            names.insert(interface.index, &interface.name);
        }
        Ok(Self {
            programs,
            guardian: attacher.guardian,
            _records: records,
            logger,
            ring,
            epoll,
            clock: WallClock::new(),
            interfaces: attached,
            names,
            drained: false,
            started_ns: monotonic_ns(),
            stopped_ns: None,
            unloaded_ns: None,
            outside: 0,
            records: 0,
            rejected: 0,
        })
    }

    /// The interfaces that the programs are attached to.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Whether the programs were taken off and everything they captured was read.
    fn is_finished(&self, now_ns: u64) -> Result<bool, CaptureError> {
        let Some(unloaded_ns) = self.unloaded_ns else { return Ok(false) };
        // A program may still have been running on another CPU when it was taken off.
        Ok(self.records >= self.programs.counters()?.captured
            || now_ns.saturating_sub(unloaded_ns) >= LINGER_NS)
    }

    /// Waits until the kernel wakes the agent or [`POLL_MS`] are over.
    fn wait(&self) -> Result<(), CaptureError> {
        let mut events = [EpollEvent::empty()];
        match self.epoll.wait(&mut events, POLL_MS) {
            // A signal: the caller will want to look at it.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(CaptureError::Ring(error.into())),
        }
    }
}

impl Source for LiveSource {
    /// As long as the ring is not empty, hands over batches; then says [`Progress::Idle`] and waits
    /// in the next call, so that the caller's own work is done first.
    fn read(
        &mut self,
        on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Progress, CaptureError> {
        if self.drained {
            self.wait()?;
        }
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        // It takes a while to attach all programs and to take them off; meanwhile only some of the
        // directions are seen, which would look like loss.
        let whole = self.started_ns..=self.stopped_ns.unwrap_or(u64::MAX);
        let (records, rejected) = (&mut self.records, &mut self.rejected);
        let outside = &mut self.outside;
        let drained = self.ring.drain(BATCH_BYTES, |record| {
            *records += 1;
            match parse(record) {
                Some(frame) if whole.contains(&frame.time_ns) => on_frame(frame),
                Some(_) => {
                    *outside += 1;
                    ControlFlow::Continue(())
                }
                None => {
                    *rejected += 1;
                    ControlFlow::Continue(())
                }
            }
        })?;
        let now_ns = monotonic_ns();
        self.clock.refresh(now_ns);
        self.drained = drained == Drained::Empty;
        Ok(if !self.drained {
            Progress::Busy
        } else if self.is_finished(now_ns)? {
            Progress::Eof
        } else {
            Progress::Idle { now_ns }
        })
    }

    fn stop(&mut self) -> Result<(), CaptureError> {
        self.stopped_ns = Some(monotonic_ns());
        self.programs.unload();
        self.guardian = None;
        self.unloaded_ns = Some(monotonic_ns());
        Ok(())
    }

    /// Always 0 unless there is a bug; the kernel counted them as captured.
    fn bad_records(&self) -> u64 {
        self.rejected
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

    fn kernel_counters(&self) -> Result<Option<Counters>, CaptureError> {
        self.programs.counters().map(Some)
    }
}

/// Edge-triggered: the ring counts as readable as soon as one record waits, but the agent is to be
/// woken only when the kernel calls for it.
fn watch(ring: BorrowedFd<'_>) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(ring, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0))?;
    Ok(epoll)
}

fn open_logger(programs: &mut Programs) -> Option<EbpfLogger<&'static dyn log::Log>> {
    match EbpfLogger::init(programs.ebpf_mut()) {
        Ok(logger) => Some(logger),
        Err(error) => {
            log::warn!("no debug messages from the kernel's programs: {error}");
            None
        }
    }
}

/// Reads a record; `None` when it contradicts itself.
fn parse(record: &[u8]) -> Option<Frame<'_>> {
    let (header, rest) = record.split_first_chunk::<{ size_of::<RecordHeader>() }>()?;
    let (ts_ns, header) = header.split_first_chunk::<8>()?;
    let (ifindex, header) = header.split_first_chunk::<4>()?;
    let (wire_len, header) = header.split_first_chunk::<4>()?;
    let (cap_len, header) = header.split_first_chunk::<4>()?;
    let (version, header) = header.split_first_chunk::<2>()?;
    let &[direction, link, t0, t1, p0, p1, ..] = header else { return None };
    let vlan_proto = u16::from_ne_bytes([p0, p1]);
    let wire_len = u32::from_ne_bytes(*wire_len);
    let cap_len = u32::from_ne_bytes(*cap_len);
    if u16::from_ne_bytes(*version) != RECORD_VERSION || cap_len > wire_len {
        return None;
    }
    Some(Frame {
        time_ns: u64::from_ne_bytes(*ts_ns),
        ifindex: u32::from_ne_bytes(*ifindex),
        direction: match direction {
            DIRECTION_INGRESS => HookDirection::Ingress,
            DIRECTION_EGRESS => HookDirection::Egress,
            _ => return None,
        },
        link: match link {
            LINK_ETHERNET => LinkType::Ethernet,
            LINK_RAW_IP => LinkType::RawIp,
            _ => return None,
        },
        vlan: (vlan_proto != 0)
            .then(|| VlanTag { ethertype: vlan_proto, tci: u16::from_ne_bytes([t0, t1]) }),
        wire_len,
        // The record is of one of a few sizes, most of them larger than needed.
        bytes: rest.get(..cap_len as usize)?,
    })
}

/// Attaches programs, and sees to it that they come off again.
struct Attacher {
    /// Present in netlink mode.
    netlink: Option<Netlink>,
    guardian: Option<Guardian>,
}

impl Attacher {
    fn new(mode: AttachMode) -> Result<Self, CaptureError> {
        let by_link = match mode {
            AttachMode::Auto => {
                kernel_version(&kernel_release()).is_none_or(|found| found >= FIRST_TCX_KERNEL)
            }
            AttachMode::Tcx => true,
            AttachMode::Netlink => false,
        };
        if by_link {
            return Ok(Self { netlink: None, guardian: None });
        }
        let failed = |error: io::Error| CaptureError::attaching("all", &error);
        let netlink = Netlink::open().map_err(|error| failed(error.into()))?;
        Ok(Self { netlink: Some(netlink), guardian: Some(Guardian::start().map_err(failed)?) })
    }

    fn attach(
        &mut self,
        programs: &mut Programs,
        interface: &Interface,
        link: LinkType,
    ) -> Result<(), CaptureError> {
        // On a loopback each packet goes out and comes in again at once: one of the two will do.
        let hooks: &[Hook] =
            if interface.is_loopback() { &[Hook::Ingress] } else { &[Hook::Ingress, Hook::Egress] };
        for &hook in hooks {
            programs.program(link, hook)?;
        }
        let created = self.add_clsact(interface)?;
        let mut result = Ok(());
        let mut attached = Vec::new();
        for &hook in hooks {
            match self.attach_program(programs.program(link, hook)?, interface, hook) {
                Ok(id) => attached.push((hook, id)),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if created {
            self.remember(interface, &Request::delete_clsact(interface.index))?;
        }
        if result.is_err() {
            // One direction alone would look like loss.
            for (hook, id) in attached {
                if let Some(id) = id
                    && let Err(error) = programs.program(link, hook)?.detach(id)
                {
                    log::debug!("{hook:?} of {} was not taken off: {error}", interface.name);
                }
            }
        }
        result
    }

    /// In netlink mode makes room for filters; whether it was not there.
    fn add_clsact(&self, interface: &Interface) -> Result<bool, CaptureError> {
        let Some(netlink) = &self.netlink else { return Ok(false) };
        match netlink.send(&Request::add_clsact(interface.index)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(error) => Err(CaptureError::attaching(&interface.name, &io::Error::from(error))),
        }
    }

    /// Returns the link where the program owns it.
    ///
    /// In front of other programs: what those redirect or drop was on the wire all the same.
    fn attach_program(
        &self,
        program: &mut SchedClassifier,
        interface: &Interface,
        hook: Hook,
    ) -> Result<Option<SchedClassifierLinkId>, CaptureError> {
        let attach_type = match hook {
            Hook::Ingress => TcAttachType::Ingress,
            Hook::Egress => TcAttachType::Egress,
        };
        let options = match self.netlink {
            None => TcAttachOptions::TcxOrder(LinkOrder::first()),
            // Without a priority, the kernel puts a filter in front of those that are there.
            Some(_) => TcAttachOptions::Netlink(NlOptions::default()),
        };
        let failed = |error| CaptureError::attaching(&interface.name, &error);
        let id =
            program.attach_with_options(&interface.name, attach_type, options).map_err(failed)?;
        if self.netlink.is_none() {
            // The program owns the link and closes it with itself.
            return Ok(Some(id));
        }
        let link = program.take_link(id).map_err(failed)?;
        let (priority, handle) = (link.priority().map_err(failed)?, link.handle().map_err(failed)?);
        let undo = Request::delete_filter(interface.index, hook, priority, handle.into());
        // From here on the guardian takes it off, whatever becomes of the agent.
        std::mem::forget(link);
        self.remember(interface, &undo)?;
        Ok(None)
    }

    fn remember(&self, interface: &Interface, undo: &Request) -> Result<(), CaptureError> {
        let Some(guardian) = &self.guardian else { return Ok(()) };
        guardian.remember(undo).map_err(|error| CaptureError::attaching(&interface.name, &error))
    }
}
