//! TCP options, in tcpdump's words.

use super::{
    bytes::{Bytes, Cut},
    line::Line,
    mptcp,
};

const EOL: u8 = 0;
const NOP: u8 = 1;
const TCP_AO: u8 = 29;
/// RFC 6994: what follows is told apart by its first two bytes.
const EXPERIMENT: u8 = 254;
/// Fast Open, while it was an experiment (RFC 7413).
const EXPERIMENT_TFO: [u8; 2] = [0xf9, 0x89];

/// The kinds with a name (IANA's registry, and older ones).
fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        EOL => "eol",
        NOP => "nop",
        2 => "mss",
        3 => "wscale",
        4 => "sackOK",
        5 => "sack",
        6 => "echo",
        7 => "echoreply",
        8 => "TS",
        11 => "cc",
        12 => "ccnew",
        13 => "ccecho",
        19 => "md5",
        20 => "scps",
        28 => "uto",
        TCP_AO => "tcp-ao",
        30 => "mptcp",
        34 => "tfo",
        EXPERIMENT => "exp",
        _ => return None,
    })
}

/// Why the options cannot be read on.
enum Stop {
    /// An option is longer than the header has room for.
    Bad,
    /// They were not captured.
    Cut,
}

/// Appends `, options [...]`, of which the header has `left` bytes. Says whether they could be read
/// to their end, which is said in the line as well.
pub(super) fn push(
    line: &mut Line<'_, '_>,
    bytes: Bytes<'_>,
    mut left: u32,
    flags: u8,
) -> Result<bool, Cut> {
    line.str(", options [");
    let mut rest = bytes;
    let mut first = true;
    while left > 0 {
        if !first {
            line.text.push(b',');
        }
        let kind = rest.u8(0)?;
        let (len, head) = match kind {
            EOL | NOP => (1, 1),
            _ => (u32::from(rest.u8(1)?), 2),
        };
        let (Some(data_len), true) = (len.checked_sub(head), len <= left) else {
            stop(line, &Stop::Bad, first);
            return Ok(false);
        };
        rest = rest.skip(head);
        left = left.saturating_sub(head);
        match name(kind) {
            Some(name) => line.str(name),
            None => line.field("unknown-", kind),
        }
        let option = Claimed { rest, left, data_len, flags };
        let used = match option.push(line, kind) {
            Ok(used) => used,
            Err(reason) => {
                stop(line, &reason, first);
                return Ok(false);
            }
        };
        rest = rest.skip(used);
        left = left.saturating_sub(used);
        if used != data_len {
            line.field("[len ", len);
            line.text.push(b']');
        }
        first = false;
        if kind == EOL {
            break;
        }
    }
    line.text.push(b']');
    Ok(true)
}

fn stop(line: &mut Line<'_, '_>, reason: &Stop, first: bool) {
    match reason {
        Stop::Bad => {
            line.str("[bad opt]");
            if !first {
                line.text.push(b']');
            }
        }
        Stop::Cut => {
            line.cut();
            if !first {
                line.text.push(b'>');
            }
        }
    }
}

/// One option behind its kind and length.
struct Claimed<'a> {
    rest: Bytes<'a>,
    /// What is left of the header from here on.
    left: u32,
    /// How much of it the option claims.
    data_len: u32,
    /// The segment's control bits.
    flags: u8,
}

impl<'a> Claimed<'a> {
    /// The first `len` bytes, if the header has them and they were captured.
    fn data(&self, len: u32) -> Result<&'a [u8], Stop> {
        if len > self.left {
            return Err(Stop::Bad);
        }
        let len = usize::try_from(len).map_err(|_| Stop::Cut)?;
        self.rest.captured().get(..len).ok_or(Stop::Cut)
    }

    fn array<const N: usize>(&self) -> Result<[u8; N], Stop> {
        let len = u32::try_from(N).map_err(|_| Stop::Bad)?;
        self.data(len)?.first_chunk().copied().ok_or(Stop::Cut)
    }

    /// Appends what the option says. Returns how many bytes its kind has, which need not be what
    /// its length claims.
    fn push(&self, line: &mut Line<'_, '_>, kind: u8) -> Result<u32, Stop> {
        Ok(match kind {
            EOL | NOP | 4 => 0,
            2 => {
                line.field(" ", u16::from_be_bytes(self.array()?));
                2
            }
            3 => {
                let [shift] = self.array()?;
                line.field(" ", shift);
                1
            }
            5 => self.push_sack(line)?,
            6 | 7 | 11 | 12 | 13 => {
                line.field(" ", u32::from_be_bytes(self.array()?));
                4
            }
            8 => {
                let [v0, v1, v2, v3, e0, e1, e2, e3] = self.array()?;
                line.field(" val ", u32::from_be_bytes([v0, v1, v2, v3]));
                line.field(" ecr ", u32::from_be_bytes([e0, e1, e2, e3]));
                8
            }
            19 => {
                let digest: [u8; 16] = self.array()?;
                line.str(" shared secret not supplied with -M, can't check - ");
                line.hex_bytes(&digest);
                16
            }
            20 => {
                let [capabilities, id] = self.array()?;
                line.str(" cap ");
                line.hex(capabilities, 2);
                line.field(" id ", id);
                2
            }
            28 => {
                // RFC 5482: the highest bit should say whether minutes are meant; tcpdump looks at
                // the lowest.
                let value = u16::from_be_bytes(self.array()?);
                line.str(" 0x");
                line.hex(value, 1);
                let unit = if value & 1 == 1 { 60 } else { 1 };
                line.field(" ", u32::from(value >> 1).saturating_mul(unit));
                2
            }
            TCP_AO => self.push_tcp_ao(line)?,
            30 => {
                let data = self.data(self.data_len)?;
                mptcp::push(line, data, self.flags).ok_or(Stop::Bad)?;
                self.data_len
            }
            34 => {
                let data = self.data(self.data_len)?;
                line.text.push(b' ');
                push_fast_open(line, data);
                self.data_len
            }
            EXPERIMENT => {
                let (magic, data) =
                    self.data(self.data_len)?.split_first_chunk::<2>().ok_or(Stop::Bad)?;
                line.text.push(b'-');
                if *magic == EXPERIMENT_TFO {
                    line.str("tfo");
                    push_fast_open(line, data);
                } else {
                    line.hex_bytes(magic);
                }
                self.data_len
            }
            _ => {
                if self.data_len > 0 {
                    line.str(" 0x");
                }
                self.push_hex(line, 0)?;
                self.data_len
            }
        })
    }

    /// Blocks that were received (RFC 2018).
    fn push_sack(&self, line: &mut Line<'_, '_>) -> Result<u32, Stop> {
        if !self.data_len.is_multiple_of(8) {
            line.str(" invalid sack");
            return Ok(self.data_len);
        }
        line.field(" ", self.data_len / 8);
        line.text.push(b' ');
        for end in (8..=self.data_len).step_by(8) {
            let (_, block) = self.data(end)?.split_last_chunk().ok_or(Stop::Cut)?;
            let &[s0, s1, s2, s3, e0, e1, e2, e3] = block;
            line.field("{", u32::from_be_bytes([s0, s1, s2, s3]));
            line.field(":", u32::from_be_bytes([e0, e1, e2, e3]));
            line.text.push(b'}');
        }
        Ok(self.data_len)
    }

    /// Authentication (RFC 5925, 2.2).
    fn push_tcp_ao(&self, line: &mut Line<'_, '_>) -> Result<u32, Stop> {
        if self.data_len < 2 {
            line.invalid();
            return Ok(self.data_len);
        }
        let [key_id] = self.array()?;
        line.field(" keyid ", key_id);
        let [_, next_key_id] = self.array()?;
        line.field(" rnextkeyid ", next_key_id);
        if self.data_len > 2 {
            line.str(" mac 0x");
            self.push_hex(line, 2)?;
        }
        Ok(self.data_len)
    }

    /// The option's bytes from the `skip`th on, as far as there are any.
    fn push_hex(&self, line: &mut Line<'_, '_>, skip: u32) -> Result<(), Stop> {
        for end in skip.saturating_add(1)..=self.data_len {
            line.hex_bytes(self.data(end)?.last_chunk::<1>().ok_or(Stop::Cut)?);
        }
        Ok(())
    }
}

/// A cookie or the request for one (RFC 7413, 4.1.1).
fn push_fast_open(line: &mut Line<'_, '_>, cookie: &[u8]) {
    match cookie.len() {
        0 => line.str(" cookiereq"),
        4..=16 if cookie.len().is_multiple_of(2) => {
            line.str(" cookie ");
            line.hex_bytes(cookie);
        }
        _ => line.invalid(),
    }
}
