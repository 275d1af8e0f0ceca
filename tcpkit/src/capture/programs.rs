//! The eBPF programs: embedded in the agent, configured, and loaded into the kernel.

#![expect(unsafe_code, reason = "one system call that has no safe wrapper")]

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Map, MapData, PerCpuArray, RingBuf},
    programs::{Program, SchedClassifier, Xdp, XdpMode},
};
use nix::sys::utsname::uname;
use tcpkit_common::{COUNTER_SLOTS, CaptureConfig, Counters, largest_copy};

use super::{
    CaptureError, LinkType,
    object::{self, RINGS},
    ring::RingLayout,
};
use crate::filter::{CaptureFilter, FilterError, patch::PatchError};

/// The first kernel with a ring buffer.
const OLDEST_KERNEL: (u32, u32) = (5, 8);

/// The first kernel whose XDP programs see packets of any size, and all of their bytes
/// (`bpf_xdp_load_bytes`, `BPF_F_XDP_HAS_FRAGS`).
const OLDEST_XDP_KERNEL: (u32, u32) = (5, 18);

/// The most that `AYA_LOG_LEVEL` lets pass: debug messages, or none.
const LOG_LEVEL_DEBUG: u8 = 4;
const LOG_LEVEL_OFF: u8 = 0;

/// What the programs are to do.
#[derive(Clone, Copy, Debug)]
pub struct ProgramsConfig<'a> {
    /// The rings, and the snaplen.
    pub rings: RingLayout,
    /// The reader is woken when so many bytes wait in a ring.
    pub wakeup_bytes: u32,
    /// Which packets are wanted.
    pub filter: &'a CaptureFilter,
    /// Whether the programs write debug messages.
    pub debug: bool,
}

/// Where a program is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets that come in.
    Ingress,
    /// Packets that go out.
    Egress,
}

/// The loaded object. Its programs stay in the kernel for as long as it lives.
pub struct Programs {
    ebpf: Ebpf,
    counters: PerCpuArray<MapData, Counters>,
    /// The slots that are counted; none for all.
    watched: Vec<u32>,
    /// Why the filter cannot run at XDP.
    no_xdp: Option<FilterError>,
}

impl Programs {
    /// Creates the maps and makes the programs ready to load.
    ///
    /// # Errors
    /// The kernel is too old, has no eBPF, or refuses it; each says what to do.
    pub fn open(config: &ProgramsConfig<'_>) -> Result<Self, CaptureError> {
        check_kernel(kernel_release().as_str())?;
        raise_memory_limit();
        let settings = CaptureConfig {
            snaplen: config.rings.snaplen,
            largest_copy: largest_copy(config.rings.snaplen),
            ring_mask: config.rings.len.saturating_sub(1),
            workers: config.rings.workers,
            wakeup_bytes: config.wakeup_bytes,
            debug: u32::from(config.debug),
        };
        let load = |error: PatchError| CaptureError::Load { reason: error.to_string() };
        let mut object = object::prepared(config.filter, &config.rings).map_err(load)?;
        let no_xdp = object::add_xdp_filter(&mut object, config.filter).map_err(load)?;
        let log_level = if config.debug { LOG_LEVEL_DEBUG } else { LOG_LEVEL_OFF };
        let mut ebpf = EbpfLoader::new()
            .verifier_log_level(VerifierLogLevel::STATS)
            .map_max_entries(RINGS, config.rings.rings())
            .override_global("CONFIG", &settings, true)
            .override_global("AYA_LOG_LEVEL", &log_level, true)
            .load(&object)
            .map_err(|error| CaptureError::loading(&error))?;
        let counters = PerCpuArray::try_from(take_map(&mut ebpf, "COUNTERS")?)
            .map_err(CaptureError::Counters)?;
        Ok(Self { ebpf, counters, watched: Vec::new(), no_xdp })
    }

    /// The map of the rings; only once.
    ///
    /// # Errors
    /// It was taken before.
    pub fn take_rings(&mut self) -> Result<MapData, CaptureError> {
        match take_map(&mut self.ebpf, RINGS)? {
            Map::Array(map) => Ok(map),
            _ => Err(CaptureError::Load { reason: format!("{RINGS} is no array") }),
        }
    }

    /// What the programs ring to wake the reader; only once.
    ///
    /// # Errors
    /// It was taken before.
    pub fn take_doorbell(&mut self) -> Result<RingBuf<MapData>, CaptureError> {
        let map = take_map(&mut self.ebpf, "DOORBELL")?;
        RingBuf::try_from(map).map_err(CaptureError::Counters)
    }

    /// The object, for aya-log.
    pub(super) fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// The program for a hook of a kind of device, loaded into the kernel.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn program(
        &mut self,
        link: LinkType,
        hook: Hook,
    ) -> Result<&mut SchedClassifier, CaptureError> {
        let name = match (link, hook) {
            (LinkType::Ethernet, Hook::Ingress) => "tcpkit_eth_in",
            (LinkType::Ethernet, Hook::Egress) => "tcpkit_eth_out",
            (_, Hook::Ingress) => "tcpkit_ip_in",
            (_, Hook::Egress) => "tcpkit_ip_out",
        };
        let missing = || CaptureError::Load { reason: format!("the object has no {name}") };
        let program = self.ebpf.program_mut(name).ok_or_else(missing)?;
        let program: &mut SchedClassifier =
            program.try_into().map_err(|error| CaptureError::program(&error))?;
        if program.fd().is_err() {
            program.load().map_err(|error| CaptureError::program(&error))?;
        }
        Ok(program)
    }

    /// The program for XDP at a kind of device, loaded into the kernel, to be attached in this mode.
    ///
    /// # Errors
    /// The filter cannot run at XDP, the kernel is too old for it, or refuses the program.
    pub fn xdp_program(&mut self, link: LinkType, mode: XdpMode) -> Result<&mut Xdp, CaptureError> {
        if let Some(error) = &self.no_xdp {
            return Err(CaptureError::NoXdp { reason: error.to_string() });
        }
        let name = match (link, mode) {
            (LinkType::Ethernet, XdpMode::Skb) => "tcpkit_eth_xdp_skb",
            (LinkType::Ethernet, _) => "tcpkit_eth_xdp",
            (_, XdpMode::Skb) => "tcpkit_ip_xdp_skb",
            (_, _) => "tcpkit_ip_xdp",
        };
        let missing = || CaptureError::Load { reason: format!("the object has no {name}") };
        let program = self.ebpf.program_mut(name).ok_or_else(missing)?;
        let program: &mut Xdp =
            program.try_into().map_err(|error| CaptureError::program(&error))?;
        if program.fd().is_err() {
            check_xdp_kernel(kernel_release().as_str())?;
            program.load().map_err(|error| match CaptureError::program(&error) {
                CaptureError::Load { reason } => CaptureError::NoXdp { reason },
                other => other,
            })?;
        }
        Ok(program)
    }

    /// Takes all programs off their interfaces; the maps stay.
    pub(super) fn unload(&mut self) {
        for (name, program) in self.ebpf.programs_mut() {
            let unloaded = match program {
                Program::SchedClassifier(program) => program.unload(),
                Program::Xdp(program) => program.unload(),
                _ => continue,
            };
            if let Err(error) = unloaded {
                // Never loaded, or gone with its interface.
                log::debug!("{name} was not unloaded: {error}");
            }
        }
    }

    /// Adds a slot (see [`tcpkit_common::counter_slot`]) to those that [`Self::counters`] sums.
    pub fn watch_slot(&mut self, slot: u32) {
        if !self.watched.contains(&slot) {
            self.watched.push(slot);
        }
    }

    /// The counters of one slot (see [`tcpkit_common::counter_slot`]), summed over all CPUs.
    ///
    /// # Errors
    /// There is no such slot, or the map could not be read.
    pub fn slot_counters(&self, slot: u32) -> Result<Counters, CaptureError> {
        let per_cpu = self.counters.get(&slot, 0).map_err(CaptureError::Counters)?;
        Ok(per_cpu.iter().copied().sum())
    }

    /// The counters of all slots that are watched, or of all there are while none is.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn counters(&self) -> Result<Counters, CaptureError> {
        if self.watched.is_empty() {
            return (0..COUNTER_SLOTS).map(|slot| self.slot_counters(slot)).sum();
        }
        self.watched.iter().map(|&slot| self.slot_counters(slot)).sum()
    }
}

fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<Map, CaptureError> {
    let missing = || CaptureError::Load { reason: format!("the object has no map {name}") };
    ebpf.take_map(name).ok_or_else(missing)
}

/// The running kernel's release, such as `6.1.0-28-amd64`.
pub(super) fn kernel_release() -> String {
    uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// The first two numbers of a release.
pub(super) fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn check_kernel(release: &str) -> Result<(), CaptureError> {
    match kernel_version(release) {
        Some(version) if version < OLDEST_KERNEL => {
            Err(CaptureError::KernelTooOld { found: release.to_owned() })
        }
        _ => Ok(()),
    }
}

fn check_xdp_kernel(release: &str) -> Result<(), CaptureError> {
    match kernel_version(release) {
        Some(version) if version < OLDEST_XDP_KERNEL => Err(CaptureError::NoXdp {
            reason: format!("the kernel is {release}, and it needs 5.18 or later"),
        }),
        _ => Ok(()),
    }
}

/// Before 5.11 the kernel counts maps as locked memory, of which a process may have little. Where
/// this fails, creating the maps tells why.
fn raise_memory_limit() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel only reads the structure.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
    if result != 0 {
        log::debug!("the limit of locked memory could not be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_from_5_8_on_will_do() {
        for release in ["5.8.0", "5.10.0-32-amd64", "6.18.44", "7.0-rc1", "strange"] {
            check_kernel(release).unwrap();
        }
        for release in ["4.19.0-26-amd64", "5.7.19", "3.10.0-1160.el7.x86_64"] {
            let error = check_kernel(release).unwrap_err().to_string();
            assert!(error.contains(release) && error.contains("5.8"), "{error}");
        }
    }

    #[test]
    fn xdp_needs_5_18() {
        for release in ["5.18.0", "6.1.0-28-amd64", "strange"] {
            check_xdp_kernel(release).unwrap();
        }
        for release in ["5.8.0", "5.15.0-91-generic", "4.19.0-26-amd64"] {
            let error = check_xdp_kernel(release).unwrap_err().to_string();
            assert!(error.contains(release) && error.contains("--hook tc"), "{error}");
        }
    }
}
