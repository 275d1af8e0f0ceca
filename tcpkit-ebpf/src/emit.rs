//! Hands a packet to the agent: finds room in this CPU's ring, copies, publishes, wakes rarely.

#![expect(unsafe_code, reason = "ring memory")]

use core::sync::atomic::{Ordering, compiler_fence};

use aya_ebpf::{
    bindings::BPF_RB_FORCE_WAKEUP,
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
};
use tcpkit_common::{
    LARGEST_COPY, RECORD_VERSION, RING_DATA, RecordHeader, RingControl, record_len,
};

use crate::{context::Context, flow, frame::Packet, maps};

/// What became of a packet that the filter wanted.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    /// The agent is not ready yet, or was told to stop.
    Outside,
    /// Handed over, without so many of its bytes.
    Captured {
        cut: u64,
    },
    /// The agent has not made room yet.
    RingFull,
    /// There is no ring, or the program was interrupted by itself.
    NoRing,
    CopyFailed,
}

const HEADER: usize = size_of::<RecordHeader>();

/// A ring that was found empty begins at the beginning of its memory again, once this much was
/// written: what the caches hold is enough then, as long as the agent keeps up.
const REWIND: u64 = 64 * 1024;

/// Copies the packet up to the snaplen behind its headers into the ring.
#[inline(always)]
pub(crate) fn emit<C: Context, const LINK: u8, const DIRECTION: u8>(packet: &Packet<C>) -> Outcome {
    let wire = packet.context.len();
    // No headers need to be found for what is shorter than the snaplen anyway.
    let wanted = if wire <= maps::snaplen() {
        wire
    } else {
        packet.payload_offset::<LINK>().saturating_add(maps::snaplen()).min(wire)
    };
    let most = maps::largest_copy().min(C::MOST);
    let wanted = u64::from(wanted.min(most));
    // The compiler may keep the value in two registers, compare one and use the other; the verifier
    // then does not see the bound. A value read anew is in one register.
    // SAFETY: a valid reference.
    let len = unsafe { (&raw const wanted).read_volatile() };
    if len == 0 || len > u64::from(most) || len > u64::from(LARGEST_COPY) {
        return Outcome::CopyFailed;
    }
    // SAFETY: a helper without arguments.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let worker = flow::worker::<C, LINK>(packet);
    let Some(ring) = maps::ring(cpu, worker) else { return Outcome::NoRing };
    // SAFETY: the map's value begins with the control. What the reader writes is read anew, and what
    // this program writes is written in this order: volatile.
    unsafe {
        if (&raw const (*ring).closed).read_volatile() != 0 {
            return Outcome::Outside;
        }
        let writing = &raw mut (*ring).writing;
        if writing.read_volatile() != 0 {
            return Outcome::NoRing;
        }
        writing.write_volatile(1);
        // Nothing of the ring is looked at before, or written behind.
        compiler_fence(Ordering::SeqCst);
        let outcome = put::<C, LINK, DIRECTION>(&packet.context, ring, worker, len);
        compiler_fence(Ordering::SeqCst);
        writing.write_volatile(0);
        outcome
    }
}

/// Copies `len` bytes into the ring.
///
/// # Safety
/// `ring` must be a ring of this CPU, which nobody else writes to, and `len` at most
/// `maps::largest_copy()`.
#[inline(always)]
unsafe fn put<C: Context, const LINK: u8, const DIRECTION: u8>(
    packet: &C,
    ring: *mut RingControl,
    worker: u32,
    len: u64,
) -> Outcome {
    let mask = u64::from(maps::ring_mask());
    // SAFETY: the caller vouches for `ring`.
    let (head, mut base, tail) =
        unsafe { ((*ring).head, (*ring).base, (&raw const (*ring).tail).read_volatile()) };
    let waiting = head.wrapping_sub(tail);
    if waiting == 0 && head.wrapping_sub(base) >= REWIND {
        base = head;
        // SAFETY: as above.
        unsafe { (&raw mut (*ring).base).write_volatile(base) };
    }
    let needed = record_len(len);
    let after = waiting.wrapping_add(needed);
    if after > mask + 1 {
        return Outcome::RingFull;
    }
    let at = head.wrapping_sub(base) & mask;
    let (vlan_tci, vlan_proto) = packet.vlan();
    let wire_len = packet.len();
    // SAFETY: `at` is below the ring's length, and behind that there is room for the largest record.
    // The verifier checks it again. Records begin at multiples of 8.
    let copied = unsafe {
        let record = ring.cast::<u8>().add(RING_DATA + at as usize);
        record.cast::<RecordHeader>().write(RecordHeader {
            ts_ns: bpf_ktime_get_ns(),
            ifindex: C::ifindex(packet.raw()),
            wire_len,
            cap_len: len as u32,
            version: RECORD_VERSION,
            direction: DIRECTION,
            link: LINK,
            vlan_tci,
            vlan_proto,
            reserved: 0,
        });
        packet.copy(record.add(HEADER), len as u32)
    };
    if !copied {
        return Outcome::CopyFailed;
    }
    // SAFETY: a position in the ring's control, which the agent reads atomically.
    unsafe { publish(&raw mut (*ring).head, head.wrapping_add(needed)) };
    let watermark = u64::from(maps::wakeup_bytes());
    if waiting < watermark && after >= watermark {
        wake(worker);
    }
    Outcome::Captured { cut: u64::from(wire_len).wrapping_sub(len) }
}

/// Writes a position after everything that was written before.
///
/// Machines whose stores become visible in their order (x86-TSO, s390) need nothing more. On all others
/// that the kernel compiles for an exchange keeps the order; but verifiers before Linux 5.12 refuse an
/// object that has one.
///
/// # Safety
/// `place` must be valid, and changed atomically only.
#[inline(always)]
unsafe fn publish(place: *mut u64, position: u64) {
    compiler_fence(Ordering::Release);
    #[cfg(all(
        target_arch = "bpf",
        not(any(bpf_target_arch = "x86_64", bpf_target_arch = "s390x"))
    ))]
    // SAFETY: the caller vouches for `place`.
    unsafe {
        core::arch::asm!(
            "{position} = xchg_64({place} + 0, {position})",
            position = inout(reg) position => _,
            place = in(reg) place,
        );
    }
    #[cfg(any(not(target_arch = "bpf"), bpf_target_arch = "x86_64", bpf_target_arch = "s390x"))]
    // SAFETY: the caller vouches for `place`.
    unsafe {
        place.write_volatile(position);
    }
}

/// Calls a worker before its time. If there is no room for that, it was called often enough.
#[inline(never)]
fn wake(worker: u32) {
    let _ = maps::DOORBELL.output::<u32>(worker, u64::from(BPF_RB_FORCE_WAKEUP));
}
