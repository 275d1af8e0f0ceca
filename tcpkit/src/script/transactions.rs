//! `transaction(t)`: a request and its response as a Lua table.
//!
//! Texts and fields are packed into one string, which is taken apart when a script touches one of them:
//! most scripts look at a few numbers of most transactions.

use std::cell::RefCell;

use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};

use super::cache::Cache;
use crate::{
    packet::Endpoint,
    protocol::{Fields, Status, fields::FieldValue},
    transaction::{Quality, Transaction},
};

/// Ends, operations and words whose Lua values are kept.
const ENDS: usize = 4096;
const OPERATIONS: usize = 512;
const WORDS: usize = 64;

/// Numbers beyond this, either way, would lose digits: Lua's are double precision.
const EXACT: u64 = 1 << 53;

/// Names of fields, by numbers that stand in packed texts.
#[derive(Default)]
pub(super) struct FieldNames(Vec<&'static [&'static str]>);

impl FieldNames {
    fn number(&mut self, names: &'static [&'static str]) -> u8 {
        let known = self.0.iter().position(|known| std::ptr::eq(*known, names));
        let at = known.unwrap_or_else(|| {
            self.0.push(names);
            self.0.len().saturating_sub(1)
        });
        // There are as many as protocols: a few.
        u8::try_from(at).unwrap_or(u8::MAX)
    }
}

/// The Lua values of ends of connections.
pub(super) struct Ends {
    make: Function,
    tables: Cache<Endpoint, Table>,
}

impl Ends {
    pub(super) fn new(callers: &Table) -> mlua::Result<Self> {
        Ok(Self { make: callers.get("endpoint")?, tables: Cache::new(ENDS) })
    }

    /// The table of an end.
    pub(super) fn table(&mut self, end: &Endpoint) -> mlua::Result<Table> {
        let number = end.number();
        #[expect(clippy::cast_possible_truncation, reason = "any bits tell addresses apart")]
        let hash = ((number >> 64) as u64 ^ number as u64).rotate_left(16) ^ u64::from(end.port());
        let make = &self.make;
        let table = self.tables.find(
            hash,
            |known| known == end,
            || mlua::Result::Ok((*end, make.call((end.ip().to_string(), end.port()))?)),
        )?;
        Ok(table.clone())
    }
}

/// Hands transactions to the script.
pub(super) struct Transactions {
    call: Function,
    operations: Cache<Box<str>, LuaString>,
    words: Cache<&'static str, LuaString>,
    packed: Vec<u8>,
}

impl Transactions {
    /// Calls the script through `callers`, the prelude's functions.
    pub(super) fn new(callers: &Table) -> mlua::Result<Self> {
        Ok(Self {
            call: callers.get("transaction")?,
            operations: Cache::new(OPERATIONS),
            words: Cache::new(WORDS),
            packed: Vec::new(),
        })
    }

    /// Calls `transaction`.
    #[expect(clippy::cast_precision_loss, reason = "seconds and parts of one are far from 2^53")]
    pub(super) fn call(
        &mut self,
        lua: &Lua,
        it: &Transaction<'_>,
        ends: &mut Ends,
        names: &RefCell<FieldNames>,
    ) -> mlua::Result<()> {
        pack(&mut self.packed, it, &mut names.borrow_mut());
        let packed = lua.create_string(&self.packed)?;
        let (client, server) = (ends.table(&it.client)?, ends.table(&it.server)?);
        let protocol = word(lua, &mut self.words, it.protocol)?;
        let status = word(lua, &mut self.words, status(it.status))?;
        let quality = word(lua, &mut self.words, quality(it.quality))?;
        let operation = self.operations.find(
            hash(it.operation),
            |known| **known == *it.operation,
            || mlua::Result::Ok((it.operation.into(), lua.create_string(it.operation)?)),
        )?;
        let timing = &it.timing;
        let is_special = it.cancelled || it.first_ns.is_some() || it.deadline_ns.is_some();
        let special = is_special.then(|| {
            (
                it.cancelled.then_some(true),
                it.first_ns.map(us),
                it.deadline_ns.map(us),
                it.deadline_ns.map(|_| it.is_past_deadline()),
            )
        });
        self.call.call((
            packed,
            (it.unix_ns / 1_000_000_000) as f64,
            (it.unix_ns % 1_000_000_000) as f64,
            client,
            server,
            protocol,
            operation,
            status,
            us(timing.latency_ns()),
            us(timing.request_ns),
            us(timing.wait_ns),
            us(timing.response_ns),
            it.request_bytes as f64,
            it.response_bytes as f64,
            (quality, is_special, Special(special)),
        ))
    }
}

/// What few transactions have; for the others nothing is handed over.
struct Special<T>(Option<T>);

impl<T: IntoLuaMulti> IntoLuaMulti for Special<T> {
    fn into_lua_multi(self, lua: &Lua) -> mlua::Result<MultiValue> {
        self.0.map_or_else(|| Ok(MultiValue::new()), |values| values.into_lua_multi(lua))
    }
}

/// Microseconds, with three decimals.
#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Error => "error",
        Status::Unknown => "unknown",
    }
}

fn quality(quality: Quality) -> &'static str {
    match quality {
        Quality::Exact => "exact",
        Quality::Midstream => "midstream",
        Quality::Gap => "gap",
        Quality::Truncated => "truncated",
    }
}

fn word(
    lua: &Lua,
    words: &mut Cache<&'static str, LuaString>,
    text: &'static str,
) -> mlua::Result<LuaString> {
    let known = words.find(
        hash(text),
        |known| *known == text,
        || mlua::Result::Ok((text, lua.create_string(text)?)),
    )?;
    Ok(known.clone())
}

/// Any number that tells texts apart: FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Packs the number of the names, the two texts (each with its length in front, two bytes, little-endian)
/// and the fields as the decoder packed them.
fn pack(packed: &mut Vec<u8>, it: &Transaction<'_>, names: &mut FieldNames) {
    packed.clear();
    packed.push(names.number(it.request_fields.names()));
    packed.push(names.number(it.response_fields.names()));
    for text in [it.request, it.response] {
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        packed.extend_from_slice(&len.to_le_bytes());
        packed.extend(text.bytes().take(usize::from(len)));
    }
    let fields = it.request_fields.bytes();
    let len = u16::try_from(fields.len()).unwrap_or(u16::MAX);
    packed.extend_from_slice(&len.to_le_bytes());
    packed.extend(fields.iter().take(usize::from(len)));
    packed.extend_from_slice(it.response_fields.bytes());
}

/// The request's text, the response's (nil where there is none), and a table of the fields.
pub(super) fn unpack(
    lua: &Lua,
    packed: &LuaString,
    names: &FieldNames,
) -> mlua::Result<(LuaString, Option<LuaString>, Table)> {
    let bytes = packed.as_bytes();
    let broken = || mlua::Error::runtime("a transaction's texts were changed");
    let (&[of_request, of_response], rest) = bytes.split_first_chunk().ok_or_else(broken)?;
    let (request, rest) = split(rest).ok_or_else(broken)?;
    let (response, rest) = split(rest).ok_or_else(broken)?;
    let (request_fields, response_fields) = split(rest).ok_or_else(broken)?;
    let fields = lua.create_table()?;
    for (of, bytes) in [(of_request, request_fields), (of_response, response_fields)] {
        let names = names.0.get(usize::from(of)).copied().unwrap_or(&[]);
        for (name, value) in Fields::new(names, bytes) {
            fields.raw_set(name, field(lua, value)?)?;
        }
    }
    let response = match response {
        [] => None,
        text => Some(lua.create_string(text)?),
    };
    Ok((lua.create_string(request)?, response, fields))
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

/// A field's value. A whole number that Lua's could not hold is a string of its digits.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 it is a string")]
fn field(lua: &Lua, value: FieldValue<'_>) -> mlua::Result<Value> {
    Ok(match value {
        FieldValue::Text(text) => Value::String(lua.create_string(text)?),
        FieldValue::Int(number) if number.unsigned_abs() <= EXACT => Value::Number(number as f64),
        FieldValue::Int(number) => Value::String(lua.create_string(number.to_string())?),
    })
}
