//! Packets of the binary protocol as tests write them.

pub(super) const GET: u8 = 0x00;
pub(super) const SET: u8 = 0x01;
pub(super) const ADD: u8 = 0x02;
pub(super) const DELETE: u8 = 0x04;
pub(super) const INCREMENT: u8 = 0x05;
pub(super) const QUIT: u8 = 0x07;
pub(super) const GETQ: u8 = 0x09;
pub(super) const NOOP: u8 = 0x0a;
pub(super) const VERSION: u8 = 0x0b;
pub(super) const GETKQ: u8 = 0x0d;
pub(super) const APPEND: u8 = 0x0e;
pub(super) const STAT: u8 = 0x10;
pub(super) const SETQ: u8 = 0x11;
pub(super) const TOUCH: u8 = 0x1c;
pub(super) const GAT: u8 = 0x1d;
pub(super) const SASL_LIST: u8 = 0x20;
pub(super) const SASL_AUTH: u8 = 0x21;
pub(super) const SASL_STEP: u8 = 0x22;

pub(super) fn packet(
    magic: u8,
    opcode: u8,
    status: u16,
    opaque: u32,
    [extras, key, value]: [&[u8]; 3],
) -> Vec<u8> {
    let mut bytes = vec![magic, opcode];
    bytes.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
    bytes.extend([u8::try_from(extras.len()).unwrap(), 0]);
    bytes.extend(status.to_be_bytes());
    bytes.extend(u32::try_from(extras.len() + key.len() + value.len()).unwrap().to_be_bytes());
    bytes.extend(opaque.to_be_bytes());
    bytes.extend([0; 8]);
    [extras, key, value].iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

pub(super) fn request(opcode: u8, opaque: u32, key: &str) -> Vec<u8> {
    packet(0x80, opcode, 0, opaque, [b"", key.as_bytes(), b""])
}

/// A store with flags 5, and 0 for its time of expiry.
pub(super) fn store(opcode: u8, opaque: u32, key: &str, value: &[u8]) -> Vec<u8> {
    packet(0x80, opcode, 0, opaque, [&[0, 0, 0, 5, 0, 0, 0, 0], key.as_bytes(), value])
}

pub(super) fn expires(opcode: u8, opaque: u32, key: &str, seconds: u32) -> Vec<u8> {
    packet(0x80, opcode, 0, opaque, [&seconds.to_be_bytes(), key.as_bytes(), b""])
}

pub(super) fn response(opcode: u8, status: u16, opaque: u32, value: &[u8]) -> Vec<u8> {
    packet(0x81, opcode, status, opaque, [b"", b"", value])
}

pub(super) fn hit(opcode: u8, opaque: u32, key: &str, value: &[u8]) -> Vec<u8> {
    packet(0x81, opcode, 0, opaque, [&[0; 4], key.as_bytes(), value])
}
