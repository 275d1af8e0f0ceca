//! What the programs share with the agent: settings, counters, the ring.

#![expect(unsafe_code, reason = "maps and globals are shared memory")]

use aya_ebpf::{
    Global,
    macros::map,
    maps::{PerCpuArray, RingBuf},
};
use tcpkit_common::{COUNTER_SLOTS, CaptureConfig, Counters, counter_slot};

/// The loader's settings. Read-only and frozen, so the verifier knows the values and drops the code
/// that they rule out.
#[unsafe(no_mangle)]
static CONFIG: Global<CaptureConfig> =
    Global::new(CaptureConfig { snaplen: u32::MAX, wakeup_bytes: 0, debug: 0 });

/// For each hook, and of those one for each CPU: no program is interrupted by another on its CPU, so
/// nothing is atomic.
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(COUNTER_SLOTS, 0);

/// The captured packets; the loader sets the size.
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

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
pub(crate) fn wakeup_bytes() -> u32 {
    setting!(wakeup_bytes)
}

#[inline(always)]
pub(crate) fn debug() -> bool {
    setting!(debug) != 0
}
