//! A single kernel program as the object that loads it.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

/// The smallest object that holds a program: its code, in a section that says of which kind it is.
#[must_use]
pub fn object(name: &str, section: &[u8], code: &[u8]) -> Vec<u8> {
    let order = if cfg!(target_endian = "big") { Endianness::Big } else { Endianness::Little };
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, order);
    let text = object.add_section(Vec::new(), section.to_vec(), SectionKind::Text);
    let value = object.append_section_data(text, code, 8);
    object.add_symbol(Symbol {
        name: name.into(),
        value,
        size: code.len() as u64,
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
