//! The readers of capture files, on any bytes, which come in pieces of any length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpkit::pcapfile::{FormatError, MAX_BUFFER, Reader};

/// Time, interface, length on the wire, bytes.
type Seen = (u64, u32, u32, Vec<u8>);

/// Reads a file whose pieces have lengths made of `seed`; of 0 it comes as a whole.
fn read(file: &[u8], seed: u8) -> (Vec<Seen>, Result<(), FormatError>) {
    let mut reader = Reader::new();
    let mut seen = Vec::new();
    let mut rest = file;
    let mut state = u32::from(seed);
    loop {
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    assert!(frame.bytes.len() <= usize::try_from(frame.wire_len).unwrap());
                    let bytes = frame.bytes.to_vec();
                    seen.push((frame.time_ns, frame.ifindex, frame.wire_len, bytes));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.next_frame().unwrap_err(), error);
                    return (seen, Err(error));
                }
            }
        }
        assert!(reader.offset() <= u64::try_from(file.len()).unwrap());
        // A buffer is doubled only when it is full of what came.
        assert!(
            reader.capacity() <= MAX_BUFFER && reader.capacity() <= (256 << 10).max(2 * file.len())
        );
        if rest.is_empty() {
            return (seen, reader.finish());
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let piece = if seed == 0 { usize::MAX } else { (state >> 24) as usize % 60 + 1 };
        let room = reader.room();
        let len = piece.min(room.len()).min(rest.len());
        assert!(len > 0);
        room[..len].copy_from_slice(&rest[..len]);
        reader.filled(len);
        rest = &rest[len..];
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&seed, file)) = input.split_first() else { return };
    let (whole, end) = read(file, 0);
    if let Err(error) = end {
        assert!(error.packets >= u64::try_from(whole.len()).unwrap());
        assert!(!error.to_string().contains('\n'));
    }
    assert_eq!((whole, end), read(file, seed | 1));
});
