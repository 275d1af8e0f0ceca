//! What the kernel knows of a running process: the time it had a CPU, and its memory.

use std::fs;

use nix::{
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// How mappings of kernel programs' maps are called; the ring is one.
const BPF_MAPPING: &str = "anon_inode:bpf-map";

/// How long a process had a CPU until now, user and system time of all its threads, in ns.
pub(crate) fn cpu_ns(pid: Pid) -> u64 {
    read_ns(ClockId::pid_cpu_clock_id(pid).unwrap())
}

/// The same of the thread that asks.
pub(crate) fn own_cpu_ns() -> u64 {
    read_ns(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn read_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).unwrap();
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// A process's memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// All that is resident: `VmRSS`.
    pub(crate) resident: u64,
    /// Of it, the process's own and not a file's: `RssAnon`.
    pub(crate) anonymous: u64,
    /// Of what is resident, the mappings of kernel maps.
    pub(crate) ring: u64,
}

impl Memory {
    /// Reads it as it is now.
    pub(crate) fn of(pid: Pid) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            kib(line.unwrap_or_else(|| panic!("no {name} in {status}")))
        };
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
        Self { resident: value("VmRSS"), anonymous: value("RssAnon"), ring: bpf_mappings(&smaps) }
    }

    /// What is resident beside the ring.
    pub(crate) fn beside_ring(self) -> u64 {
        self.resident.saturating_sub(self.ring)
    }
}

/// How much of the mappings of kernel maps is resident.
fn bpf_mappings(smaps: &str) -> u64 {
    let mut is_bpf = false;
    let mut sum = 0;
    for line in smaps.lines() {
        match line.split_once(':') {
            Some(("Rss", value)) if is_bpf => sum += kib(value),
            // The lines that begin a mapping begin with its addresses.
            Some((name, _)) if name.contains('-') => is_bpf = line.contains(BPF_MAPPING),
            _ => {}
        }
    }
    sum
}

/// `    12 kB` in bytes.
fn kib(text: &str) -> u64 {
    let number = text.trim().strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or_else(|| panic!("{text:?} is no amount of kB")) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kernel_maps_are_the_ring() {
        let smaps = "\
7f00-7f10 rw-s 00000000 00:0f 12    anon_inode:bpf-map
Size:                 16 kB
Rss:                  12 kB
7f10-7f20 rw-p 00000000 00:00 0     [heap]
Rss:                 100 kB
7f20-7f30 r--s 00001000 00:0f 12    anon_inode:bpf-map
Rss:                   4 kB
VmFlags: rd mr";
        assert_eq!(bpf_mappings(smaps), 16 * 1024);
    }
}
