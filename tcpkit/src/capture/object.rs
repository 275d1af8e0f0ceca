//! The eBPF object that the agent carries, made ready for one run: the filter in its places, the rings
//! of the size that was asked for.

use super::ring::RingLayout;
use crate::filter::{
    CaptureFilter, FilterError,
    patch::{
        ETHERNET_SLOT, ETHERNET_XDP_SLOT, PatchError, RAW_IP_SLOT, RAW_IP_XDP_SLOT, patch,
        patch_value_size,
    },
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tcpkit-ebpf"));

/// The map of the rings.
pub(super) const RINGS: &str = "RINGS";

/// The object with the filter in its places for TC and rings of the right size. (Memory of this size
/// comes aligned as the loader needs it.)
pub(super) fn prepared(filter: &CaptureFilter, layout: &RingLayout) -> Result<Vec<u8>, PatchError> {
    let mut object = OBJECT.to_vec();
    patch(&mut object, ETHERNET_SLOT, filter.ethernet().instructions())?;
    patch(&mut object, RAW_IP_SLOT, filter.raw_ip().instructions())?;
    let size = u32::try_from(layout.ring_size()).unwrap_or(u32::MAX);
    patch_value_size(&mut object, RINGS, size)?;
    Ok(object)
}

/// Puts the filter into its places for XDP, or says why it has none there: then they stay as they
/// are, and the programs that use them are never loaded.
pub(super) fn add_xdp_filter(
    object: &mut [u8],
    filter: &CaptureFilter,
) -> Result<Option<FilterError>, PatchError> {
    let filters = match filter.xdp() {
        Ok(filters) => filters,
        Err(error) => return Ok(Some(error)),
    };
    patch(object, ETHERNET_XDP_SLOT, filters.ethernet().instructions())?;
    patch(object, RAW_IP_XDP_SLOT, filters.raw_ip().instructions())?;
    Ok(None)
}
