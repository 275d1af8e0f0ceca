//! What the programs share with the agent: settings, counters, the ring.

#![expect(unsafe_code, reason = "maps and globals are shared memory")]

use aya_ebpf::{
    Global,
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use tcpkit_common::{COUNTER_SLOTS, CaptureConfig, Counters, RingControl, counter_slot};

/// The loader's settings. Read-only and frozen, so the verifier knows the values and drops the code
/// that they rule out.
#[unsafe(no_mangle)]
static CONFIG: Global<CaptureConfig> = Global::new(CaptureConfig {
    snaplen: u32::MAX,
    largest_copy: 0,
    ring_mask: 0,
    workers: 1,
    wakeup_bytes: 0,
    debug: 0,
});

/// For each hook, and of those one for each CPU: no program is interrupted by another on its CPU, so
/// nothing is atomic.
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(COUNTER_SLOTS, 0);

/// A ring for each worker on each CPU, and in it the captured packets. The loader sets how many there
/// are, and how long each is.
#[map]
static RINGS: Array<RingControl> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Through this the agent is woken.
#[map]
pub(crate) static DOORBELL: RingBuf = RingBuf::with_byte_size(4096, 0);

/// The ring of a CPU for a worker.
#[inline(always)]
pub(crate) fn ring(cpu: u32, worker: u32) -> Option<*mut RingControl> {
    RINGS.get_ptr_mut(cpu * workers() + worker)
}

/// This CPU's counters of a hook; every hook has some.
#[inline(always)]
pub(crate) fn counters(ifindex: u32, direction: u8) -> Option<&'static mut Counters> {
    let counters = COUNTERS.get_ptr_mut(counter_slot(ifindex, direction))?;
    // SAFETY: the map's value is a `Counters`, lives as long as the program, and only the program
    // that runs on this CPU writes to it.
    Some(unsafe { &mut *counters })
}

/// Reads one field of `CONFIG`, and not the whole of it.
macro_rules! setting {
    ($field:ident) => {{
        let config = (&raw const CONFIG).cast::<CaptureConfig>();
        // SAFETY: `Global` is a transparent wrapper of an initialised value. Volatile, because the
        // compiler must not believe the initial value.
        unsafe { (&raw const (*config).$field).read_volatile() }
    }};
}

#[inline(always)]
pub(crate) fn snaplen() -> u32 {
    setting!(snaplen)
}

#[inline(always)]
pub(crate) fn largest_copy() -> u32 {
    setting!(largest_copy)
}

#[inline(always)]
pub(crate) fn ring_mask() -> u32 {
    setting!(ring_mask)
}

#[inline(always)]
pub(crate) fn workers() -> u32 {
    setting!(workers)
}

#[inline(always)]
pub(crate) fn wakeup_bytes() -> u32 {
    setting!(wakeup_bytes)
}

#[inline(always)]
pub(crate) fn debug() -> bool {
    setting!(debug) != 0
}
