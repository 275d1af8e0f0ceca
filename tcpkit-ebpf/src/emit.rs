//! Hands a packet to the agent: reserve a record, copy, submit, wake rarely.

#![expect(unsafe_code, reason = "ring memory")]

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_ktime_get_ns,
};
use tcpkit_common::{RECORD_VERSION, RecordHeader};

use crate::{context::Context, maps};

/// What became of a packet that the filter wanted.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Captured,
    RingFull,
    CopyFailed,
}

const HEADER: usize = size_of::<RecordHeader>();

/// Room for Ethernet, two tags, IP with options and TCP with options in front of a payload.
const HEADERS: usize = 160;

/// Room in a record behind the largest packet that it is for. The verifier knows of the length that
/// it is, say, 3 more than a multiple of 4; from "at most 96 and not less" it then concludes 99.
const SLACK: usize = 4;

/// How far above the watermark the waiting bytes still wake the agent: enough for several CPUs to
/// pass it at the same time. Further above, the agent is awake already, and waking it again would
/// only cost.
const WAKE_BAND: u64 = 8 * 1024;

/// The largest record's capacity.
const LARGEST: usize = 262_144 + HEADERS - SLACK;

/// Copies the packet up to `payload` and the snaplen behind it into the smallest record that takes
/// it: the ring's memory is best used that way, and the size of a reservation must be constant.
/// The second value is how many bytes of the packet were left out.
#[inline(always)]
pub(crate) fn emit<C: Context, const LINK: u8, const DIRECTION: u8>(
    packet: &C,
    payload: u32,
) -> (Outcome, u64) {
    let wire = u64::from(packet.len());
    let most = C::MOST.min(LARGEST as u64);
    let wanted = (u64::from(payload) + u64::from(maps::snaplen())).min(wire).min(most);
    // The compiler may keep the value in two registers, compare one and use the other; the verifier
    // then does not see the bound. A value read anew is in one register.
    // SAFETY: a valid reference.
    let len = unsafe { (&raw const wanted).read_volatile() };
    if len == 0 || len > most {
        return (Outcome::CopyFailed, wire);
    }
    macro_rules! by_size {
        ($($capacity:expr),+) => {
            $(if len <= ($capacity - SLACK) as u64 {
                put::<C, { HEADER + $capacity }, LINK, DIRECTION>(packet, len)
            } else)+ {
                put::<C, { HEADER + LARGEST + SLACK }, LINK, DIRECTION>(packet, len)
            }
        };
    }
    let outcome = by_size!(
        96,
        160,
        256,
        512,
        1024,
        1536,
        2048 + HEADERS,
        4096 + HEADERS,
        8192 + HEADERS,
        16_384 + HEADERS,
        32_768 + HEADERS,
        65_536 + HEADERS
    );
    (outcome, wire - len)
}

/// Copies `len` bytes into a record of `RECORD` bytes, which has room for the header and for them.
#[inline(always)]
fn put<C: Context, const RECORD: usize, const LINK: u8, const DIRECTION: u8>(
    packet: &C,
    len: u64,
) -> Outcome {
    // SAFETY: a helper without arguments.
    let ts_ns = unsafe { bpf_ktime_get_ns() };
    let Some(mut record) = maps::RECORDS.reserve_bytes(RECORD, 0) else {
        return Outcome::RingFull;
    };
    let (vlan_tci, vlan_proto) = packet.vlan();
    let start = record.as_mut_ptr();
    let header = RecordHeader {
        ts_ns,
        ifindex: C::ifindex(packet.raw()),
        wire_len: packet.len(),
        cap_len: len as u32,
        version: RECORD_VERSION,
        direction: DIRECTION,
        link: LINK,
        vlan_tci,
        vlan_proto,
        reserved: 0,
    };
    // SAFETY: `RECORD` has room for both, and records begin at multiples of 8. The verifier checks
    // it again.
    let copied = unsafe {
        start.cast::<RecordHeader>().write(header);
        packet.copy(start.add(HEADER), len as u32)
    };
    if !copied {
        record.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Outcome::CopyFailed;
    }
    let waiting = maps::RECORDS.query(u64::from(BPF_RB_AVAIL_DATA));
    let above = waiting.wrapping_sub(u64::from(maps::wakeup_bytes()));
    let wake = above < RECORD as u64 + WAKE_BAND;
    record.submit(u64::from(if wake { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
    Outcome::Captured
}
