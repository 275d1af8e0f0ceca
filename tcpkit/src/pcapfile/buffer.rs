//! The one buffer between a file's bytes and its packets.

use super::MAX_PACKET;

/// What it begins with, in bytes; one read of a large file.
const FIRST: usize = 256 * 1024;
/// What it grows to at most, in bytes: the smallest doubling that has room for the largest packet
/// with its headers.
pub const MAX_BUFFER: usize = 2 * MAX_PACKET;

/// Bytes that came and are not used yet.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes were used before.
    offset: u64,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; FIRST], start: 0, end: 0, offset: 0 }
    }

    /// What came and is not used.
    pub(super) fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or(&[])
    }

    /// Uses up to `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let from = self.start;
        let len = len.min(self.end.saturating_sub(from));
        self.start = from.saturating_add(len);
        self.offset = self.offset.saturating_add(len as u64);
        self.bytes.get(from..self.start).unwrap_or(&[])
    }

    /// Where in the file what is not used begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Room for more; only where the buffer is full of what came does it become larger. Empty at the
    /// bound only.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            // What is left is a part of a packet.
            self.bytes.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            let larger = self.bytes.len().saturating_mul(2).min(MAX_BUFFER);
            self.bytes.resize(larger, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or(&mut [])
    }

    /// So many bytes of the room were filled.
    pub(super) fn filled(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.bytes.len());
    }
}
