//! Live capture: reads what the programs put into the ring, and follows the interfaces.

use std::{
    io,
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use caps::Capability;
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
};
use tcpkit_common::Counters;

use super::{
    AttachMode, CaptureError, Directions, Frame, IngressHook, InterfaceCounters, InterfaceNames,
    LinkType, Progress, Source, WallClock,
    attach::Attacher,
    early::Latecomers,
    interfaces::{ANY, Selection},
    monotonic_ns,
    programs::{Programs, ProgramsConfig, kernel_release, kernel_version},
    ring::{Drained, RingLayout, RingMemory, present_cpus},
    watched::Watched,
    worker::{LiveWorker, Reading, Team},
};
use crate::filter::CaptureFilter;

/// How often interfaces that come and go are looked after, in ns: a container's first packets come
/// later than that.
const FOLLOW_NS: u64 = 5_000_000;

/// How long the last records are waited for after the programs were taken off, in ns.
const LINGER_NS: u64 = 100_000_000;

/// The first kernel that lets everybody read maps whose descriptors he has, whatever
/// `kernel.unprivileged_bpf_disabled` says.
const FIRST_FREE_READ_KERNEL: (u32, u32) = (5, 19);

/// Waiting bytes in a ring from which the kernel wakes the agent before its time: at most this, or a
/// sixteenth of it.
const MAX_WATERMARK: u32 = 1 << 20;
const WATERMARK_SHARE: u32 = 16;

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct LiveConfig<'a> {
    /// The interfaces' names; none or `any` for all.
    pub interfaces: Vec<String>,
    /// The size of all rings together, in bytes; each is rounded up to a power of two.
    pub ring_bytes: u64,
    /// Among how many workers connections are divided; see [`LiveSource::take_workers`].
    pub workers: u32,
    /// The most payload bytes of a packet that are captured; `u32::MAX` for all.
    pub snaplen: u32,
    /// Which packets are captured.
    pub filter: &'a CaptureFilter,
    /// Whether the kernel's programs write debug messages to the agent's log.
    pub debug: bool,
    /// How the programs are attached.
    pub attach: AttachMode,
    /// Where packets that come in are captured.
    pub hook: IngressHook,
    /// Which way packets go that are captured.
    pub directions: Directions,
    /// Whether named interfaces receive what is for others.
    pub promiscuous: bool,
}

impl<'a> LiveConfig<'a> {
    /// Captures what `filter` selects, whole, on these interfaces, with a ring of 16 MiB.
    #[must_use]
    pub fn new(interfaces: &[&str], filter: &'a CaptureFilter) -> Self {
        Self {
            interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
            ring_bytes: 16 << 20,
            workers: 1,
            snaplen: u32::MAX,
            filter,
            debug: false,
            attach: AttachMode::Auto,
            hook: IngressHook::Tc,
            directions: Directions::Inout,
            promiscuous: false,
        }
    }
}

/// Frames from the kernel, live.
pub struct LiveSource {
    // Dropped in this order: first the programs, which takes them off the interfaces, then what is
    // left is removed.
    programs: Programs,
    watched: Watched,
    _rings: MapData,
    doorbell: RingBuf<MapData>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    memory: Arc<RingMemory>,
    reading: Reading,
    latecomers: Arc<Latecomers>,
    workers: u32,
    team: Arc<Team>,
    epoll: Epoll,
    clock: WallClock,
    /// When the interfaces were looked after last, in ns on the monotonic clock.
    followed_ns: u64,
    drained: bool,
    /// When the programs were taken off, in ns on the monotonic clock.
    unloaded_ns: Option<u64>,
}

impl LiveSource {
    /// Loads the programs and attaches them. The source has to be read on a thread of the same network
    /// namespace, where it goes on to look for interfaces.
    ///
    /// # Errors
    /// An interface is unknown, the kernel is too old, or permission is missing; each message says
    /// what to do.
    pub fn open(config: &LiveConfig<'_>) -> Result<Self, CaptureError> {
        config.filter.for_kernel()?;
        let selection = Selection::new(&config.interfaces)?;
        let layout =
            RingLayout::new(config.ring_bytes, present_cpus(), config.workers, config.snaplen)
                .for_kernel(kernel_version(&kernel_release()));
        let bytes = u64::from(layout.len).saturating_mul(layout.rings().into());
        if bytes < config.ring_bytes {
            log::warn!("the buffers take {} KiB: more cannot be had here", bytes / 1024);
        }
        let mut programs = Programs::open(&ProgramsConfig {
            rings: layout,
            wakeup_bytes: MAX_WATERMARK.min(layout.len / WATERMARK_SHARE),
            filter: config.filter,
            debug: config.debug,
        })?;
        let rings = programs.take_rings()?;
        let doorbell = programs.take_doorbell()?;
        let memory = RingMemory::new(rings.fd().as_fd(), layout).map_err(CaptureError::Ring)?;
        let memory = Arc::new(memory);
        let latecomers = Arc::default();
        let logger = if config.debug { open_logger(&mut programs) } else { None };
        let attacher = Attacher::new(config.attach, config.hook, config.directions)?;
        let promiscuous = config.promiscuous && !selection.is_any();
        let attacher = attacher.promiscuous(promiscuous);
        let watched =
            Watched::open(selection, attacher, config.filter, &mut programs, &latecomers)?;
        let epoll = watch(doorbell.as_fd(), watched.monitor().as_fd());
        let reading = Reading::new(&memory, 0, &latecomers);
        // While the programs were attached, only some of the directions were seen.
        memory.open();
        Ok(Self {
            programs,
            watched,
            _rings: rings,
            doorbell,
            memory,
            logger,
            reading,
            latecomers,
            workers: layout.workers,
            team: Arc::default(),
            epoll: epoll.map_err(CaptureError::Ring)?,
            clock: WallClock::new(),
            followed_ns: monotonic_ns(),
            drained: false,
            unloaded_ns: None,
        })
    }

    /// The names of the interfaces that the programs are attached to.
    #[must_use]
    pub fn interfaces(&self) -> String {
        let names: Vec<_> = self.watched.interfaces().map(|it| it.name.as_str()).collect();
        let names = names.join(", ");
        if self.watched.is_any() { format!("{ANY}: {names}") } else { names }
    }

    /// The sources of the workers but the first, whose source this is; only once. Each has to be read,
    /// on a thread of its own, until it ends, which is after this one was stopped and read to its end.
    #[must_use]
    pub fn take_workers(&mut self) -> Vec<LiveWorker> {
        let workers = 1..std::mem::replace(&mut self.workers, 1);
        let worker = |number| {
            let reading = Reading::new(&self.memory, number, &self.latecomers);
            LiveWorker::new(number, reading, &self.team, self.watched.names().clone())
        };
        workers.map(worker).collect()
    }

    /// The capabilities that it still needs; all others may be given up.
    #[must_use]
    pub fn capabilities(&self) -> Vec<Capability> {
        let asks = kernel_version(&kernel_release()).is_some_and(|it| it < FIRST_FREE_READ_KERNEL);
        let reads = asks.then_some(Capability::CAP_BPF);
        self.watched.capabilities().chain(reads).collect()
    }

    /// What their packets begin with: one kind, if it is the same for all that can be watched.
    #[must_use]
    pub fn link(&self) -> Option<LinkType> {
        self.watched.link()
    }

    /// Whether packets may come from several interfaces.
    #[must_use]
    pub fn is_several(&self) -> bool {
        self.watched.is_several()
    }

    /// Whether the programs were taken off and everything they captured was read.
    fn is_finished(&self, now_ns: u64) -> Result<bool, CaptureError> {
        let Some(unloaded_ns) = self.unloaded_ns else { return Ok(false) };
        // A program may still have been running on another CPU when it was taken off.
        Ok(self.reading.records + self.team.read() >= self.programs.counters()?.captured
            || now_ns.saturating_sub(unloaded_ns) >= LINGER_NS)
    }

    /// Looks after the interfaces, under any load, but not with every batch.
    fn follow(&mut self) {
        let now_ns = monotonic_ns();
        if now_ns.saturating_sub(self.followed_ns) >= FOLLOW_NS && self.unloaded_ns.is_none() {
            self.followed_ns = now_ns;
            self.watched.follow(&mut self.programs);
        }
    }

    /// Passes on the calls for other workers; one for this worker has been heard by now.
    fn answer_doorbell(&mut self) {
        while let Some(called) = self.doorbell.next() {
            match called.first_chunk().map(|&number| u32::from_ne_bytes(number)) {
                Some(0) | None => {}
                Some(worker) => self.team.wake(worker),
            }
        }
    }

    /// Waits until the kernel wakes the agent or the time for it has come.
    fn wait(&self) -> Result<(), CaptureError> {
        let mut events = [EpollEvent::empty(); 2];
        match self.epoll.wait(&mut events, self.reading.pause_ms()) {
            // A signal: the caller will want to look at it.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(CaptureError::Ring(error.into())),
        }
    }
}

impl Drop for LiveSource {
    /// Nobody waits for records that nobody will capture.
    fn drop(&mut self) {
        self.team.finish();
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
        self.answer_doorbell();
        self.follow();
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        let drained = self.reading.drain(on_frame)?;
        let now_ns = monotonic_ns();
        self.clock.refresh(now_ns);
        self.drained = drained == Drained::Empty;
        Ok(if !self.drained {
            Progress::Busy
        } else if self.is_finished(now_ns)? {
            self.team.finish();
            Progress::Eof
        } else {
            Progress::Idle { now_ns }
        })
    }

    fn stop(&mut self) -> Result<(), CaptureError> {
        // While the programs are taken off, only some of the directions are seen.
        self.memory.close();
        self.watched.close(&mut self.programs);
        self.unloaded_ns = Some(monotonic_ns());
        Ok(())
    }

    /// Always 0 unless there is a bug; the kernel counted them as captured.
    fn bad_records(&self) -> u64 {
        self.reading.rejected
    }

    fn outside(&self) -> u64 {
        self.reading.outside
    }

    fn interface_names(&self) -> InterfaceNames {
        self.watched.names().clone()
    }

    fn wall_offset_ns(&self) -> i64 {
        self.clock.offset_ns()
    }

    fn kernel_counters(&self) -> Result<Option<Counters>, CaptureError> {
        self.programs.counters().map(Some)
    }

    fn interface_counters(&self) -> Result<Vec<InterfaceCounters>, CaptureError> {
        self.watched.counters(&self.programs)
    }
}

/// Waits for both. Changes of interfaces are looked after a little later than they come, and must not
/// wake again and again until then.
fn watch(doorbell: BorrowedFd<'_>, interfaces: BorrowedFd<'_>) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(doorbell, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0))?;
    epoll.add(interfaces, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 1))?;
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
