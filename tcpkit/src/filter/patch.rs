//! Changes the eBPF object before it is loaded: writes a translated filter over the function that keeps
//! its place, and the size of a map's values.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, read::elf::ElfFile64};

use super::ebpf::Insn;

/// The functions that keep the place of the filter for packets with an Ethernet header.
pub const ETHERNET_SLOT: &str = "tcpkit_filter_eth";
/// The same for packets that begin with an IP header.
pub const RAW_IP_SLOT: &str = "tcpkit_filter_ip";
/// [`ETHERNET_SLOT`] of the XDP programs.
pub const ETHERNET_XDP_SLOT: &str = "tcpkit_filter_xdp_eth";
/// [`RAW_IP_SLOT`] of the XDP programs.
pub const RAW_IP_XDP_SLOT: &str = "tcpkit_filter_xdp_ip";

const INSN_LEN: usize = 8;

/// Where a map's definition has the size of its values: behind its kind and the size of its keys
/// (`struct bpf_map_def` of libbpf and aya).
const VALUE_SIZE: usize = 8;

/// Why a filter could not be placed: the object is not what this agent was built with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The object cannot be read.
    #[error("the eBPF object cannot be read: {0}")]
    Object(String),
    /// The place is missing.
    #[error("the eBPF object lacks a symbol: {0}")]
    NoSlot(&'static str),
    /// The filter does not fit.
    #[error("the filter has {needed} instructions, and {slot} has room for {room}")]
    TooLong {
        /// How long the filter is.
        needed: usize,
        /// How long it may be.
        room: usize,
        /// The place.
        slot: &'static str,
    },
}

/// Overwrites a slot. What the filter does not fill becomes instructions that do nothing, in front:
/// behind the filter's end they could not be reached, which the verifier refuses. They are jumped
/// over on a condition that always holds, so that the kernel removes them all at once when it loads
/// the program; one by one, as it does with those it passes, takes it a second for each program.
///
/// # Errors
/// The object has no such slot, or it is too small.
pub fn patch(object: &mut [u8], slot: &'static str, filter: &[Insn]) -> Result<(), PatchError> {
    let (start, len) = find(object, slot)?;
    let room = len / INSN_LEN;
    let needed = filter.len();
    let too_long = PatchError::TooLong { needed, room, slot };
    let padding = room.checked_sub(needed).ok_or(too_long)?;
    let front = i16::try_from(padding.saturating_sub(2))
        .map_or_else(|_| Vec::new(), |skip| Insn::skip(skip).to_vec());
    let front = if padding > front.len() { front } else { Vec::new() };
    let nops = std::iter::repeat_n(&Insn::NOP, padding - front.len());
    let instructions = front.iter().chain(nops).chain(filter);
    let body = object.get_mut(start..).unwrap_or_default();
    for (place, insn) in body.chunks_exact_mut(INSN_LEN).zip(instructions) {
        place.copy_from_slice(&insn.to_bytes());
    }
    Ok(())
}

/// Sets how many bytes each value of a map has.
///
/// # Errors
/// The object has no such map.
pub fn patch_value_size(
    object: &mut [u8],
    map: &'static str,
    value_size: u32,
) -> Result<(), PatchError> {
    let (start, _) = find(object, map)?;
    let place = object
        .get_mut(start.saturating_add(VALUE_SIZE)..)
        .and_then(|rest| rest.first_chunk_mut())
        .ok_or(PatchError::NoSlot(map))?;
    *place = value_size.to_ne_bytes();
    Ok(())
}

/// Where a symbol's bytes are in the file, and how many bytes they are.
fn find(object: &[u8], slot: &'static str) -> Result<(usize, usize), PatchError> {
    let broken = |error: object::Error| PatchError::Object(error.to_string());
    let missing = PatchError::NoSlot(slot);
    let endian_agnostic: ElfFile64<'_> = ElfFile64::parse(object).map_err(broken)?;
    let symbol = endian_agnostic.symbols().find(|symbol| symbol.name() == Ok(slot));
    let symbol = symbol.ok_or_else(|| missing.clone())?;
    let section = symbol.section_index().ok_or_else(|| missing.clone())?;
    let section = endian_agnostic.section_by_index(section).map_err(broken)?;
    let (section_start, section_len) = section.file_range().ok_or_else(|| missing.clone())?;
    let offset = symbol.address().saturating_sub(section.address());
    if offset.saturating_add(symbol.size()) > section_len {
        return Err(missing);
    }
    let start = usize::try_from(section_start.saturating_add(offset)).unwrap_or(usize::MAX);
    Ok((start, usize::try_from(symbol.size()).unwrap_or(0)))
}
