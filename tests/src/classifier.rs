//! A filter alone as a kernel program, whose return value is the verdict.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, TestRun, TestRunOptions, Xdp},
};
use tcpkit::filter::Insn;

use crate::program::object;

const NAME: &str = "filter";

/// `xdp_md`: what the kernel makes of a test's frame, its linear part among it.
const XDP_MD_LEN: usize = 24;

/// A loaded filter.
pub struct Classifier {
    ebpf: Ebpf,
    xdp: bool,
}

impl Classifier {
    /// Loads the instructions for TC; for packets that come in.
    #[must_use]
    pub fn load(filter: &[Insn]) -> Self {
        let program = [&[Insn::second_argument(0)], filter].concat();
        let mut ebpf =
            EbpfLoader::new().load(&object(NAME, b"classifier", &code(&program))).unwrap();
        let classifier: &mut SchedClassifier = ebpf.program_mut(NAME).unwrap().try_into().unwrap();
        classifier.load().unwrap_or_else(|error| panic!("the verifier refuses: {error:?}"));
        Self { ebpf, xdp: false }
    }

    /// Loads the instructions for XDP.
    #[must_use]
    pub fn load_xdp(filter: &[Insn]) -> Self {
        let mut ebpf = EbpfLoader::new().load(&object(NAME, b"xdp.frags", &code(filter))).unwrap();
        let program: &mut Xdp = ebpf.program_mut(NAME).unwrap().try_into().unwrap();
        program.load().unwrap_or_else(|error| panic!("the verifier refuses: {error:?}"));
        Self { ebpf, xdp: true }
    }

    /// The verdict on a frame; `None` when the kernel runs no tests on such.
    #[must_use]
    pub fn run(&self, frame: &[u8]) -> Option<bool> {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        self.run_with(options)
    }

    /// The same at XDP, with a frame of which only the first bytes are linear; kernels before 6.18 run
    /// no such tests.
    #[must_use]
    pub fn run_split(&self, frame: &[u8], linear: usize) -> Option<bool> {
        let mut context = [0; XDP_MD_LEN];
        context[4..8].copy_from_slice(&(linear as u32).to_ne_bytes());
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        self.run_with(options)
    }

    fn run_with(&self, options: TestRunOptions<'_>) -> Option<bool> {
        let program = self.ebpf.program(NAME).unwrap();
        let result = if self.xdp {
            let program: &Xdp = program.try_into().unwrap();
            program.test_run(options).ok()?
        } else {
            let program: &SchedClassifier = program.try_into().unwrap();
            program.test_run(options).ok()?
        };
        assert!(result.return_value <= 1);
        Some(result.return_value == 1)
    }
}

fn code(program: &[Insn]) -> Vec<u8> {
    program.iter().flat_map(|insn| insn.to_bytes()).collect()
}
