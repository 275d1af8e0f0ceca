//! What the fuzz targets that are run for each protocol share: which protocol it is, and seeds made of
//! its golden captures.

#[allow(dead_code, reason = "the golden tests need more of it")]
#[path = "../../../tcpkit/tests/golden/capture.rs"]
mod capture;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use tcpkit::{
    capture::Frame,
    packet::{Decoded, TcpFlags, decode},
    protocol::{self, Direction, Protocol},
};

/// Names the protocol; `cargo xtask fuzz` sets it.
const PROTOCOL: &str = "TCPKIT_FUZZ_PROTOCOL";

/// Names a folder that seeds are written to; none are if it is not set.
const SEEDS: &str = "TCPKIT_FUZZ_SEEDS";

/// A folder for each protocol, by its name.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures");

/// The longest seed, in bytes: what libFuzzer makes inputs of when it knows nothing else.
const MAX_SEED: usize = 4096;

/// How many seeds a protocol gets at most, evenly from all its captures.
const MAX_SEEDS: usize = 200;

/// The protocol that is fuzzed.
pub static FUZZED: LazyLock<&'static Protocol> = LazyLock::new(|| {
    let name = env::var(PROTOCOL).unwrap_or_default();
    protocol::by_name(&name).unwrap_or_else(|| panic!("{PROTOCOL}={name:?} is no protocol"))
});

/// What one end of a connection said in one packet.
#[derive(Clone, Debug)]
pub struct Said {
    pub direction: Direction,
    pub bytes: Vec<u8>,
}

/// Writes one seed for each connection of the protocol's captures, before libFuzzer looks for them.
/// `push` adds a packet to a program; what would make it too long is left out.
pub fn write_seeds(first: u8, push: fn(&mut Vec<u8>, &Said)) {
    let Some(folder) = env::var_os(SEEDS).map(PathBuf::from) else { return };
    let captures = capture::captures_of(*FUZZED, Path::new(FIXTURES));
    let mut seeds = Vec::new();
    for frames in captures.iter().flat_map(capture::Capture::connections) {
        let mut seed = vec![first];
        for said in conversation(&frames) {
            let before = seed.len();
            push(&mut seed, &said);
            if seed.len() > MAX_SEED {
                seed.truncate(before);
                break;
            }
        }
        seeds.push(seed);
    }
    seeds.sort();
    seeds.dedup();
    let step = seeds.len().div_ceil(MAX_SEEDS).max(1);
    for (number, seed) in seeds.iter().step_by(step).enumerate() {
        fs::write(folder.join(format!("{}-{number}", FUZZED.name)), seed).unwrap();
    }
}

/// The payloads of a connection's packets, in the order of the capture.
fn conversation(frames: &[Frame<'_>]) -> Vec<Said> {
    let mut client = None;
    let mut all = Vec::new();
    for frame in frames {
        let (addresses, payload, opens) = match decode(frame) {
            Decoded::Tcp(it) => {
                let opens = it.tcp.flags.contains(TcpFlags::SYN);
                let opens = opens && !it.tcp.flags.contains(TcpFlags::ACK);
                (it.addresses, it.payload, opens)
            }
            Decoded::Udp(it) => (it.addresses, it.payload, false),
            Decoded::Other(_) => continue,
        };
        let is_request = opens || FUZZED.ports.contains(&addresses.destination.port());
        let first = if is_request { addresses.source } else { addresses.destination };
        let client = *client.get_or_insert(first);
        if !payload.bytes.is_empty() {
            let direction = match addresses.source == client {
                true => Direction::Request,
                false => Direction::Response,
            };
            all.push(Said { direction, bytes: payload.bytes.to_vec() });
        }
    }
    all
}

/// Adds bytes to a program of which two bits of an instruction say what, one the direction and five how
/// much: 0 that many bytes, 1 that many times 32.
pub fn push_bytes(program: &mut Vec<u8>, said: &Said) {
    let side = (said.direction as u8) << 5;
    let mut rest = &said.bytes[..];
    while !rest.is_empty() {
        let (instruction, len) = match rest.len() {
            len @ ..32 => (len as u8, len),
            len => {
                let amount = (len / 32).min(31);
                (0x40 | amount as u8, amount * 32)
            }
        };
        program.push(instruction | side);
        program.extend_from_slice(&rest[..len]);
        rest = &rest[len..];
    }
}
