//! The binary protocol: packets of 24 bytes of header, extras, key and value.
//!
//! From the wiki's `BinaryProtocolRevamped` and `SASLAuthProtocol`, and protocol_binary.h. A response
//! repeats its request's opcode and opaque, so that quiet requests are told apart by these.

mod opcodes;

use self::opcodes::{Kind, Opcode};
use super::{
    answer::{Answer, Echo, class, fingerprint},
    ask::{self, Fate, Held},
    field, invalid,
    line::MAX_KEY,
    link::{Asked, For, Link},
    render,
    request::{Extent, Fit, Requests},
    response::{self, Report, Responses},
};
use crate::protocol::{
    Correlation, Part, Probe, Scratch, Status, Step, digits::Digits, scratch::Draft,
};

/// The first byte of every request.
pub(super) const REQUEST: u8 = 0x80;

/// The first byte of every response.
pub(super) const RESPONSE: u8 = 0x81;

/// The length of a header, in bytes.
const HEADER: usize = 24;

/// The most bytes of an error's text, or of another short value, that are looked at.
const MAX_VALUE: usize = 128;

/// A packet's header.
#[derive(Clone, Copy, Debug)]
struct Header {
    opcode: &'static Opcode,
    code: u8,
    extras_len: u8,
    key_len: u16,
    /// In a response; in a request it is the number of a vbucket.
    status: u16,
    /// The length of the value.
    value_len: u32,
    /// The length of the packet.
    total: u64,
    opaque: u32,
}

impl Header {
    fn read(bytes: &[u8], magic: u8) -> Result<Self, &'static str> {
        let (
            [first, code, key_high, key_low, extras_len, _, status_high, status_low, body @ ..],
            _,
        ) = bytes.split_first_chunk::<HEADER>().ok_or("no header")?;
        let (body_len, rest) = body.split_first_chunk::<4>().ok_or("no header")?;
        let (opaque, _) = rest.split_first_chunk::<4>().ok_or("no header")?;
        if *first != magic {
            return Err("no magic byte");
        }
        let key_len = u16::from_be_bytes([*key_high, *key_low]);
        let body_len = u32::from_be_bytes(*body_len);
        let named = u32::from(key_len).saturating_add(u32::from(*extras_len));
        let value_len = body_len.checked_sub(named).ok_or("a body that is too short")?;
        Ok(Self {
            opcode: Opcode::of(*code),
            code: *code,
            extras_len: *extras_len,
            key_len,
            status: u16::from_be_bytes([*status_high, *status_low]),
            value_len,
            total: (HEADER as u64).saturating_add(u64::from(body_len)),
            opaque: u32::from_be_bytes(*opaque),
        })
    }

    /// Header, extras, and as much of the key as a key may have.
    fn head(&self) -> usize {
        HEADER
            .saturating_add(usize::from(self.extras_len))
            .saturating_add(usize::from(self.key_len).min(MAX_KEY))
    }

    fn extras<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let rest = packet.get(HEADER..).unwrap_or_default();
        rest.get(..usize::from(self.extras_len)).unwrap_or_default()
    }

    fn key<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let from = HEADER.saturating_add(usize::from(self.extras_len));
        packet.get(from..self.head()).unwrap_or_default()
    }

    /// What a response to this request, or this response, sends back.
    fn echo(&self, packet: &[u8]) -> Echo {
        // In an error's packet no key may be there.
        let key = match self.opcode.returns_key && self.key_len > 0 {
            true => fingerprint(self.key(packet)),
            false => 0,
        };
        // So that none looks like one that is not there.
        let opaque = self.opaque.wrapping_add(1).max(1);
        Echo { opaque, key, opcode: self.code }
    }
}

/// Takes a request apart.
pub(super) fn decode_request<'s>(
    requests: &mut Requests,
    input: &[u8],
    link: &mut Link,
    scratch: &'s mut Scratch,
) -> Step<'s> {
    if requests.is_busy() {
        if let Some(seen) = requests.take_cut()
            && let Ok(header) = Header::read(&seen, REQUEST)
        {
            let held = read_request(&header, &seen, scratch.draft());
            requests.hold_cut(held, false, extent(&header), &seen);
        }
        return requests.go_on(input, link, scratch);
    }
    let header = match input.get(..HEADER) {
        Some(bytes) => match Header::read(bytes, REQUEST) {
            Ok(header) => header,
            Err(reason) => return invalid(reason),
        },
        None if matches!(input, [] | [REQUEST, ..]) => return Step::NeedMore { at_least: HEADER },
        None => return invalid("no magic byte"),
    };
    if input.len() < header.head() {
        return Step::NeedMore { at_least: header.head() };
    }
    let held = read_request(&header, input, scratch.draft());
    let extent = extent(&header);
    if extent.value == 0 && !extent.shows && extent.total == extent.head as u64 {
        return requests.hand_out(held, Part::Whole, extent.head, link, scratch);
    }
    requests.with_value(held, false, extent, input, link, scratch)
}

fn extent(header: &Header) -> Extent {
    Extent {
        head: header.head(),
        value: u64::from(header.value_len),
        total: header.total,
        shows: header.opcode.kind.stores() && usize::from(header.key_len) <= MAX_KEY,
    }
}

/// Writes a request down of which head and key are there.
fn read_request(header: &Header, packet: &[u8], mut draft: Box<Draft>) -> Held {
    let opcode = header.opcode;
    opcode.name_to(header.code, &mut draft);
    let (extras, key) = (header.extras(packet), header.key(packet));
    let mut digits = Digits::default();
    let mut number = |draft: &mut Draft, number: u64| {
        draft.text.push_str(" ");
        draft.text.push_str(digits.unsigned(number));
    };
    let exptime = match (opcode.kind, extras.len()) {
        (Kind::Touch, 4) => integer(extras, 0, 4),
        (Kind::Store, 8) => integer(extras, 4, 4),
        (Kind::Count, 20) => integer(extras, 16, 4),
        _ => None,
    };
    if let (Kind::Touch, Some(exptime)) = (opcode.kind, exptime)
        && opcode.name != "TOUCH"
    {
        number(&mut draft, exptime);
    }
    if key.is_empty() {
        if opcode.kind.stores() {
            draft.text.push_str(" \"\"");
        }
    } else {
        draft.text.push_str(" ");
        render::words(&mut draft.text, key);
        match opcode.kind {
            Kind::Sasl => {
                draft.fields.wire(field::MECHANISM, render::MAX_FIELD, key);
                draft.text.push_str(" ");
                render::secret(&mut draft.text);
            }
            _ => ask::note_key(&mut draft, key),
        }
    }
    match opcode.kind {
        Kind::Touch if opcode.name == "TOUCH" => {
            exptime.into_iter().for_each(|exptime| number(&mut draft, exptime));
        }
        Kind::Store | Kind::Append => {
            if let (Some(flags), Some(exptime)) = (integer(extras, 0, 4), exptime) {
                number(&mut draft, flags);
                number(&mut draft, exptime);
            }
            number(&mut draft, u64::from(header.value_len));
            draft.fields.int(field::BYTES, i64::from(header.value_len));
        }
        Kind::Count => {
            let delta = integer(extras, 0, 8);
            let initial = integer(extras, 8, 8);
            [delta, initial].into_iter().flatten().for_each(|it| number(&mut draft, it));
        }
        _ => {}
    }
    if let Some(exptime) = exptime {
        draft.fields.int(field::EXPTIME, i64::try_from(exptime).unwrap_or(i64::MAX));
    }
    draft.fields.int(field::OPAQUE, i64::from(header.opaque));
    let echo = header.echo(packet);
    let quiet = opcode.quiet && matches!(opcode.kind, Kind::Get | Kind::Touch);
    let fate = if opcode.quiet && !quiet {
        // What it is answered with shows by its opcode.
        Fate::Muted(0)
    } else {
        Fate::Waits(Asked { classes: class::PACKET, quiet, echo, ..Asked::default() })
    };
    Held { draft, fate }
}

/// A number of `len` bytes, the highest first.
fn integer(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// See [`crate::protocol::Decoder::handle_gap`].
pub(super) fn request_gap(requests: &mut Requests, before: &[u8], len: u64) -> u64 {
    if requests.is_busy() {
        return requests.gap_within(before, len);
    }
    match Header::read(before, REQUEST) {
        Ok(header) if before.len() >= header.head() => requests.cut(before, len, header.total),
        _ => 0,
    }
}

/// How the request at the beginning of `bytes` fits into them.
pub(super) fn fit(bytes: &[u8]) -> Fit {
    Header::read(bytes, REQUEST).map_or(Fit::Other, |header| Fit::new(header.total, bytes.len()))
}

/// Takes a response apart.
pub(super) fn decode_response<'s>(
    responses: &mut Responses,
    input: &[u8],
    link: &mut Link,
    scratch: &'s mut Scratch,
) -> Step<'s> {
    if let Some(seen) = responses.take_cut()
        && let Ok(header) = Header::read(&seen, RESPONSE)
    {
        match read_response(&header, &seen, link, scratch) {
            Ok((report, draft)) => responses.hold(report, draft),
            Err(reason) => return invalid(reason),
        }
    }
    if responses.is_busy() {
        return responses.go_on(scratch);
    }
    let header = match input.get(..HEADER) {
        Some(bytes) => match Header::read(bytes, RESPONSE) {
            Ok(header) => header,
            Err(reason) => return invalid(reason),
        },
        None if matches!(input, [] | [RESPONSE, ..]) => return Step::NeedMore { at_least: HEADER },
        None => return invalid("no magic byte"),
    };
    if is_item(&header) {
        return match usize::try_from(header.total) {
            Ok(len) if len <= input.len() => Step::Consumed { len, message: None },
            _ => Step::Skip { len: header.total },
        };
    }
    if input.len() < needed(&header) {
        return Step::NeedMore { at_least: needed(&header) };
    }
    let (report, draft) = match read_response(&header, input, link, scratch) {
        Ok(read) => read,
        Err(reason) => return invalid(reason),
    };
    match usize::try_from(header.total) {
        Ok(len) if len <= input.len() => response::hand_out(report, draft, len, scratch),
        _ => {
            responses.hold(report, draft);
            Step::Skip { len: header.total }
        }
    }
}

/// Whether more packets of the same response follow: statistics end with one without key.
fn is_item(header: &Header) -> bool {
    header.opcode.kind == Kind::Stat && header.status == 0 && header.key_len > 0
}

/// How much of a response has to be seen.
fn needed(header: &Header) -> usize {
    let wants_value = header.status != 0 || header.opcode.kind == Kind::Count;
    let value = usize::try_from(header.value_len).unwrap_or(usize::MAX).min(MAX_VALUE);
    header.head().saturating_add(if wants_value { value } else { 0 })
}

fn read_response(
    header: &Header,
    packet: &[u8],
    link: &mut Link,
    scratch: &mut Scratch,
) -> Result<(Report, Option<Box<Draft>>), &'static str> {
    let Header { opcode, status, .. } = *header;
    let answer = Answer { class: class::PACKET, echo: header.echo(packet) };
    let is_get = matches!(opcode.kind, Kind::Get | Kind::Touch) && opcode.name != "TOUCH";
    let found = if opcode.quiet && !matches!(opcode.kind, Kind::Get | Kind::Touch) {
        For::Unpaired
    } else {
        link.answer(answer)?
    };
    let (correlation, passed_over) = match found {
        For::Request(_, passed_over) => (Correlation::Ordered, passed_over),
        For::Unpaired => (Correlation::OneWay, 0),
        For::Nobody => (Correlation::Ordered, 0),
    };
    let (name, is_error) = opcodes::status(status);
    let name = if is_get && name == "NOT_FOUND" { "MISS" } else { name };
    let report = Report {
        correlation,
        status: if is_error { Status::Error } else { Status::Ok },
        passed_over,
    };
    if !scratch.options().fields && status == 0 {
        return Ok((report, None));
    }
    let mut draft = scratch.draft();
    let value = packet.get(header.head()..).unwrap_or_default();
    let value =
        value.get(..usize::try_from(header.value_len).unwrap_or(usize::MAX)).unwrap_or(value);
    if status == 0 {
        match (opcode.kind, integer(value, 0, 8)) {
            (Kind::Count, Some(number)) if header.value_len == 8 => {
                draft.fields.text(field::RESULT, Digits::default().unsigned(number));
            }
            _ => draft.fields.text(field::RESULT, opcode.done),
        }
        if is_get {
            draft.fields.int(field::REPLY_BYTES, i64::from(header.value_len));
        }
    } else {
        draft.text.push_str(name);
        draft.fields.text(if is_error { field::ERROR } else { field::RESULT }, name);
    }
    Ok((report, Some(draft)))
}

/// See [`crate::protocol::Decoder::handle_gap`].
pub(super) fn response_gap(responses: &mut Responses, before: &[u8], len: u64) -> u64 {
    match Header::read(before, RESPONSE) {
        Ok(header) if !is_item(&header) && before.len() >= header.head() => {
            responses.cut(before, len, header.total)
        }
        _ => responses.gap_within(len),
    }
}

/// What the first bytes that one side sent look like, which begin with one of the magic bytes.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    let [magic, rest @ ..] = bytes else { return Probe::Unsure };
    let is_request = *magic == REQUEST;
    let [code, rest @ ..] = rest else { return Probe::Unsure };
    let opcode = Opcode::of(*code);
    if opcode.kind == Kind::Unknown {
        return Probe::No;
    }
    let [key_high, rest @ ..] = rest else { return Probe::Unsure };
    if *key_high != 0 {
        return Probe::No;
    }
    let [key_low, rest @ ..] = rest else { return Probe::Unsure };
    if usize::from(*key_low) > MAX_KEY {
        return Probe::No;
    }
    let [extras, rest @ ..] = rest else { return Probe::Unsure };
    if is_request && !opcode.extras.contains(extras) || !is_request && !matches!(extras, 0 | 4) {
        return Probe::No;
    }
    let [data_type, rest @ ..] = rest else { return Probe::Unsure };
    if *data_type != 0 {
        return Probe::No;
    }
    let Some((status, rest)) = rest.split_first_chunk::<2>() else { return Probe::Unsure };
    if !is_request && opcodes::status(u16::from_be_bytes(*status)).0 == opcodes::UNKNOWN_STATUS {
        return Probe::No;
    }
    let Some((body, _)) = rest.split_first_chunk::<4>() else { return Probe::Unsure };
    let named = u32::from(*key_low).saturating_add(u32::from(*extras));
    let body = u32::from_be_bytes(*body);
    let has_value = !is_request || opcode.kind.stores() || opcode.kind == Kind::Sasl;
    match body.checked_sub(named) {
        None => Probe::No,
        Some(value) if value > 0 && !has_value => Probe::No,
        Some(_) if is_request => Probe::Request,
        Some(_) => Probe::Response,
    }
}
