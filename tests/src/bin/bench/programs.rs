//! What kernel programs cost, by the kernel's own statistics, and an empty program to compare with.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    time::Duration,
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{
        ProgramFd, ProgramInfo, SchedClassifier, TcAttachType, TestRun as _, TestRunOptions,
        loaded_programs,
    },
};
use nix::unistd::Pid;
use tcpkit_tests::{netns::Netns, program::object};

/// The agent's programs that see what comes in and goes out on Ethernet.
pub(crate) const INGRESS: &str = "tcpkit_eth_in";
pub(crate) const EGRESS: &str = "tcpkit_eth_out";

/// `r0 = -1; exit`: let the next program decide.
const EMPTY: [u8; 16] = [0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// How often a program ran, and how long in all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Runs {
    pub(crate) count: u64,
    pub(crate) ns: u64,
}

impl Runs {
    /// What happened since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { count: self.count - before.count, ns: self.ns - before.ns }
    }

    /// How long one run took.
    pub(crate) fn mean_ns(self) -> f64 {
        assert!(self.count > 0, "the program did not run");
        self.ns as f64 / self.count as f64
    }
}

/// A loaded program.
pub(crate) struct Program {
    fd: ProgramFd,
    classifier: SchedClassifier,
}

impl Program {
    /// A process's program of a name. Programs of other processes may have the same name.
    pub(crate) fn of(pid: Pid, name: &str) -> Self {
        let ids = ids_of(pid);
        let is_it =
            |info: &ProgramInfo| info.name_as_str() == Some(name) && ids.contains(&info.id());
        let found = loaded_programs().filter_map(Result::ok).find(is_it);
        let info = found.unwrap_or_else(|| panic!("process {pid} has no kernel program {name}"));
        Self::new(info)
    }

    fn new(info: ProgramInfo) -> Self {
        let fd = info.fd().unwrap();
        let classifier = SchedClassifier::from_program_info(info, Cow::Borrowed("")).unwrap();
        Self { fd, classifier }
    }

    /// Its statistics until now; they stand still unless the kernel is told to keep them.
    pub(crate) fn runs(&self) -> Runs {
        let path = format!("/proc/self/fdinfo/{}", self.fd.as_fd().as_raw_fd());
        let text = fs::read_to_string(path).unwrap();
        Runs { count: number(&text, "run_cnt").unwrap(), ns: number(&text, "run_time_ns").unwrap() }
    }

    /// The mean duration of one of `repeat` runs on a frame; an error says why there was none.
    pub(crate) fn test(&self, frame: &[u8], repeat: u32) -> Result<Duration, String> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        let result = self.classifier.test_run(options).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            cause.unwrap_or_else(|| error.to_string())
        })?;
        Ok(result.duration)
    }
}

/// The programs that a process holds, or that its links attach.
fn ids_of(pid: Pid) -> BTreeSet<u32> {
    let folder = format!("/proc/{pid}/fdinfo");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    // A descriptor may be closed while they are looked at.
    let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    texts.filter_map(|text| number(&text, "prog_id")).map(|id| id as u32).collect()
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

/// An empty program on one hook of interfaces, as long as this lives.
pub(crate) struct Empty {
    _ebpf: Ebpf,
    /// The program.
    pub(crate) program: Program,
}

impl Empty {
    /// Attaches it behind the programs that are there.
    pub(crate) fn attach(netns: &Netns, interfaces: &[String], hook: TcAttachType) -> Self {
        const NAME: &str = "bench_empty";
        let mut ebpf = EbpfLoader::new().load(&object(NAME, b"classifier", &EMPTY)).unwrap();
        let classifier: &mut SchedClassifier = ebpf.program_mut(NAME).unwrap().try_into().unwrap();
        classifier.load().unwrap();
        netns.run(|| {
            for interface in interfaces {
                classifier.attach(interface, hook).unwrap();
            }
        });
        let program = Program::new(classifier.info().unwrap());
        Self { _ebpf: ebpf, program }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_behind_their_names() {
        let text = "prog_type:\t3\nprog_id:\t71\nrun_time_ns:\t0\nrun_cnt:\t12\n";
        assert_eq!(number(text, "prog_id"), Some(71));
        assert_eq!(number(text, "run_cnt"), Some(12));
        assert_eq!(number(text, "prog"), None);
        assert_eq!(number(text, "link_id"), None);
    }
}
