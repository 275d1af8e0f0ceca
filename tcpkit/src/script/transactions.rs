//! `transaction(t)`: a request and its response as a Lua table.
//!
//! Texts and fields are packed into one string, which is taken apart when a script touches one of them:
//! most scripts look at a few numbers of most transactions.

use std::{cell::RefCell, fmt};

use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};

use super::cache::Cache;
use crate::{
    packet::Endpoint,
    protocol::{Fields, PROTOCOLS, Status, fields::FieldValue},
    transaction::{Quality, Transaction},
};

/// Ends and operations whose Lua values are kept.
const ENDS: usize = 4096;
const OPERATIONS: usize = 512;

/// Numbers beyond this, either way, would lose digits: Lua's are double precision.
const EXACT: u64 = 1 << 53;

/// Names of fields, by numbers that stand in packed texts.
#[derive(Default)]
pub(super) struct FieldNames(Vec<Names>);

/// The names of one protocol's fields, and the same as Lua has them once they were asked for.
struct Names {
    names: &'static [&'static str],
    texts: Vec<LuaString>,
}

impl FieldNames {
    fn number(&mut self, names: &'static [&'static str]) -> u8 {
        let known = self.0.iter().position(|known| std::ptr::eq(known.names, names));
        let at = known.unwrap_or_else(|| {
            self.0.push(Names { names, texts: Vec::new() });
            self.0.len().saturating_sub(1)
        });
        // There are as many as protocols: a few.
        u8::try_from(at).unwrap_or(u8::MAX)
    }

    fn get(&mut self, lua: &Lua, number: u8) -> mlua::Result<Option<&Names>> {
        let Some(known) = self.0.get_mut(usize::from(number)) else { return Ok(None) };
        if known.texts.is_empty() {
            known.texts =
                known.names.iter().map(|name| lua.create_string(name)).collect::<Result<_, _>>()?;
        }
        Ok(Some(known))
    }
}

/// The Lua values of ends of connections.
pub(super) struct Ends {
    make: Function,
    clients: Cache<Endpoint, Table>,
    servers: Cache<Endpoint, Table>,
}

impl Ends {
    pub(super) fn new(callers: &Table) -> mlua::Result<Self> {
        Ok(Self {
            make: callers.get("endpoint")?,
            clients: Cache::new(ENDS),
            servers: Cache::new(ENDS),
        })
    }

    /// The tables of a client and of a server.
    pub(super) fn tables(
        &mut self,
        client: &Endpoint,
        server: &Endpoint,
    ) -> mlua::Result<(&Table, &Table)> {
        let Self { make, clients, servers } = self;
        Ok((table(clients, make, client)?, table(servers, make, server)?))
    }
}

fn table<'t>(
    tables: &'t mut Cache<Endpoint, Table>,
    make: &Function,
    end: &Endpoint,
) -> mlua::Result<&'t Table> {
    tables.find(end, || make.call((end.ip().to_string(), end.port())))
}

/// Texts that stand in many transactions.
struct Words {
    status: [LuaString; 3],
    quality: [LuaString; 4],
    protocols: Vec<(&'static str, LuaString)>,
}

impl Words {
    fn new(lua: &Lua) -> mlua::Result<Self> {
        let text = |text: &dyn fmt::Display| lua.create_string(text.to_string());
        let status = [Status::Ok, Status::Error, Status::Unknown];
        let quality = [Quality::Exact, Quality::Midstream, Quality::Gap, Quality::Truncated];
        let [ok, error, unknown] = status.map(|it| text(&it));
        let [exact, midstream, gap, truncated] = quality.map(|it| text(&it));
        Ok(Self {
            status: [ok?, error?, unknown?],
            quality: [exact?, midstream?, gap?, truncated?],
            protocols: PROTOCOLS
                .iter()
                .map(|it| Ok((it.name, text(&it.name)?)))
                .collect::<mlua::Result<_>>()?,
        })
    }

    fn status(&self, status: Status) -> &LuaString {
        let [ok, error, unknown] = &self.status;
        match status {
            Status::Ok => ok,
            Status::Error => error,
            Status::Unknown => unknown,
        }
    }

    fn quality(&self, quality: Quality) -> &LuaString {
        let [exact, midstream, gap, truncated] = &self.quality;
        match quality {
            Quality::Exact => exact,
            Quality::Midstream => midstream,
            Quality::Gap => gap,
            Quality::Truncated => truncated,
        }
    }

    fn protocol(&self, name: &'static str) -> Option<&LuaString> {
        self.protocols.iter().find(|(known, _)| std::ptr::eq(*known, name)).map(|(_, text)| text)
    }
}

/// Hands transactions to the script.
pub(super) struct Transactions {
    call: Function,
    operations: Cache<String, LuaString>,
    words: Words,
    packed: Vec<u8>,
}

impl Transactions {
    /// Calls the script through `callers`, the prelude's functions.
    pub(super) fn new(lua: &Lua, callers: &Table) -> mlua::Result<Self> {
        Ok(Self {
            call: callers.get("transaction")?,
            operations: Cache::new(OPERATIONS),
            words: Words::new(lua)?,
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
        let Self { call, operations, words, packed } = self;
        pack(packed, it, &mut names.borrow_mut());
        let packed = lua.create_string(packed)?;
        let (client, server) = ends.tables(&it.client, &it.server)?;
        let operation = operations.find(it.operation, || lua.create_string(it.operation))?;
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
        call.call((
            packed,
            (it.unix_ns / 1_000_000_000) as f64,
            (it.unix_ns % 1_000_000_000) as f64,
            client,
            server,
            words.protocol(it.protocol),
            operation,
            words.status(it.status),
            us(timing.latency_ns()),
            us(timing.request_ns),
            us(timing.wait_ns),
            us(timing.response_ns),
            it.request_bytes as f64,
            it.response_bytes as f64,
            (words.quality(it.quality), is_special, Special(special)),
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
    names: &mut FieldNames,
) -> mlua::Result<(LuaString, Option<LuaString>, Table)> {
    let bytes = packed.as_bytes();
    let broken = || mlua::Error::runtime("a transaction's texts were changed");
    let (&[of_request, of_response], rest) = bytes.split_first_chunk().ok_or_else(broken)?;
    let (request, rest) = split(rest).ok_or_else(broken)?;
    let (response, rest) = split(rest).ok_or_else(broken)?;
    let (request_fields, response_fields) = split(rest).ok_or_else(broken)?;
    let fields = lua.create_table_with_capacity(0, 8)?;
    for (of, bytes) in [(of_request, request_fields), (of_response, response_fields)] {
        let Some(Names { names, texts }) = names.get(lua, of)? else { continue };
        for (name, value) in Fields::new(names, bytes) {
            let text = names.iter().zip(texts).find(|(known, _)| std::ptr::eq(**known, name));
            if let Some((_, text)) = text {
                fields.raw_set(text, field(lua, value)?)?;
            }
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
