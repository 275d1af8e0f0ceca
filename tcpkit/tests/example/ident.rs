//! The Identification Protocol (RFC 1413), as an example of how a protocol is added: a client asks with a
//! line whose connection between two ports this is, and the server answers with a line.
//!
//! As `tcpkit/src/protocol/ident.rs`, with `crate` for `tcpkit` below, and with its two lines in
//! `mod.rs`, it is all that `-p ident` takes. CONTRIBUTING.md goes through it.

use tcpkit::protocol::{
    Correlation, DecodeError, Decoder, Detection, Direction, Entry, Probe, Protocol, Scratch,
    Status, Step,
};

/// What the rest of the program knows of it.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "ident",
    summary: "the Identification Protocol of RFC 1413",
    ports: &[113],
    field_names: &["server_port", "client_port", "answer"],
    probe,
    // Answers carry no numbers: they come in the order of the questions.
    entry: Entry::Turn,
    detection: Detection::Auto,
    decoder: || Box::new(IdentDecoder),
    datagrams: None,
};

/// Positions in `field_names`.
mod field {
    pub(super) const SERVER_PORT: u8 = 0;
    pub(super) const CLIENT_PORT: u8 = 1;
    pub(super) const ANSWER: u8 = 2;
}

/// A line may have 1000 bytes (RFC 1413 §5).
const MAX_LINE: usize = 1000;

/// Nothing has to be remembered from one message to the next.
struct IdentDecoder;

impl Decoder for IdentDecoder {
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        // Half a line says nothing: the caller keeps it and asks again when there is more.
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
            return match input.len() {
                ..MAX_LINE => Step::NeedMore { at_least: input.len().saturating_add(1) },
                _ => invalid("a line without an end"),
            };
        };
        let len = end.saturating_add(1);
        let line = input.get(..end).unwrap_or_default().trim_ascii();
        let mut parts = line.split(|&byte| byte == b':').map(<[u8]>::trim_ascii);
        let Some((server, client)) = parts.next().and_then(ports) else {
            return invalid("a line that does not begin with two ports");
        };
        let mut draft = scratch.draft();
        let status = match (direction, parts.next()) {
            (Direction::Request, None) => {
                draft.operation.push_str("QUERY");
                // Escaped and bounded: what comes from the wire goes to a terminal.
                draft.text.push_bytes(line);
                draft.fields.int(field::SERVER_PORT, i64::from(server));
                draft.fields.int(field::CLIENT_PORT, i64::from(client));
                Status::Ok
            }
            (Direction::Response, Some(b"USERID")) => Status::Ok,
            (Direction::Response, Some(b"ERROR")) => {
                draft.text.push_bytes(parts.next().unwrap_or_default());
                draft.fields.text(field::ANSWER, draft.text.as_str());
                Status::Error
            }
            _ => {
                scratch.discard(draft);
                return invalid("a line of neither kind");
            }
        };
        let message = scratch.finish(draft, Correlation::Ordered, status);
        Step::Consumed { len, message: Some(message) }
    }

    fn handle_gap(&mut self, _: Direction, _before: &[u8], _len: u64) -> u64 {
        // Where a line ends of which a part is missing, nobody knows.
        0
    }

    fn resync(&mut self) {}
}

/// The two numbers that every line begins with.
fn ports(text: &[u8]) -> Option<(u16, u16)> {
    let (server, client) = std::str::from_utf8(text).ok()?.split_once(',')?;
    Some((server.trim().parse().ok()?, client.trim().parse().ok()?))
}

/// What either side's first bytes look like.
fn probe(bytes: &[u8]) -> Probe {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let allowed = |byte: &u8| matches!(byte, b'0'..=b'9' | b' ' | b'\t' | b'\r' | b',');
    match line.iter().position(|&byte| byte == b':') {
        Some(at) if line.get(..at).and_then(ports).is_some() => Probe::Response,
        None if !line.iter().all(allowed) || line.len() > MAX_LINE => Probe::No,
        None if line.len() == bytes.len() => Probe::Unsure,
        None if ports(line.trim_ascii()).is_some() => Probe::Request,
        _ => Probe::No,
    }
}

fn invalid(reason: &'static str) -> Step<'static> {
    Step::Invalid(DecodeError { protocol: PROTOCOL.name, reason })
}
