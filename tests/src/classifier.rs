//! A filter alone as a kernel program, whose return value is the verdict.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, TestRun, TestRunOptions},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};
use tcpkit::filter::Insn;

const NAME: &str = "filter";

/// A loaded filter.
pub struct Classifier {
    ebpf: Ebpf,
}

impl Classifier {
    /// Loads the instructions; for packets that come in.
    #[must_use]
    pub fn load(filter: &[Insn]) -> Self {
        let program = [&[Insn::second_argument(0)], filter].concat();
        let object = object(&program);
        let mut ebpf = EbpfLoader::new().load(&object).unwrap();
        let classifier: &mut SchedClassifier = ebpf.program_mut(NAME).unwrap().try_into().unwrap();
        classifier.load().unwrap_or_else(|error| panic!("the verifier refuses: {error:?}"));
        Self { ebpf }
    }

    /// The verdict on a frame; `None` when the kernel runs no tests on such.
    #[must_use]
    pub fn run(&self, frame: &[u8]) -> Option<bool> {
        let classifier: &SchedClassifier = self.ebpf.program(NAME).unwrap().try_into().unwrap();
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        let result = classifier.test_run(options).ok()?;
        assert!(result.return_value <= 1);
        Some(result.return_value == 1)
    }
}

/// The smallest object that holds a program.
fn object(program: &[Insn]) -> Vec<u8> {
    let order = if cfg!(target_endian = "big") { Endianness::Big } else { Endianness::Little };
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, order);
    let text = object.add_section(Vec::new(), b"classifier".to_vec(), SectionKind::Text);
    let bytes: Vec<u8> = program.iter().flat_map(|insn| insn.to_bytes()).collect();
    let value = object.append_section_data(text, &bytes, 8);
    object.add_symbol(Symbol {
        name: NAME.into(),
        value,
        size: bytes.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    object.write().unwrap()
}
