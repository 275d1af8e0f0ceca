//! `process(packet)`: a captured packet as a Lua table.

use mlua::{Function, Lua, LuaString, Table};

use super::cache::Cache;
use crate::{
    capture::{Frame, HookDirection, InterfaceNames},
    packet::{Decoded, Endpoint},
    protocol::Direction,
};

/// Addresses and interfaces whose texts are kept.
const ADDRESSES: usize = 4096;
const INTERFACES: usize = 64;

/// The bits that scripts of the older tool know: FIN, SYN, RST, PSH, ACK. They compare all at once, so that
/// those of ECN beside them would hide a SYN.
const OLD_FLAGS: u8 = 0x1f;

/// Hands packets to the script.
pub(super) struct Packets {
    call: Function,
    leave: Function,
    names: InterfaceNames,
    addresses: Cache<u128, LuaString>,
    interfaces: Cache<u32, Option<LuaString>>,
    words: Words,
}

/// Texts that stand in many packets.
struct Words {
    request: LuaString,
    response: LuaString,
    tcp: LuaString,
    udp: LuaString,
    into: LuaString,
    out: LuaString,
    empty: LuaString,
}

impl Packets {
    /// Calls the script through `callers`, the prelude's functions; interfaces have the `names` that the
    /// source knows.
    pub(super) fn new(lua: &Lua, callers: &Table, names: InterfaceNames) -> mlua::Result<Self> {
        Ok(Self {
            call: callers.get("process")?,
            leave: callers.get("leave")?,
            names,
            addresses: Cache::new(ADDRESSES),
            interfaces: Cache::new(INTERFACES),
            words: Words {
                request: lua.create_string("request")?,
                response: lua.create_string("response")?,
                tcp: lua.create_string("tcp")?,
                udp: lua.create_string("udp")?,
                into: lua.create_string("in")?,
                out: lua.create_string("out")?,
                empty: lua.create_string("")?,
            },
        })
    }

    /// Interfaces may have other names by now.
    pub(super) fn forget_names(&mut self) {
        self.interfaces.clear();
    }

    /// Calls `process` with a packet that passed at `unix_ns` (ns since the Unix epoch), if it is one of
    /// TCP or UDP.
    #[expect(clippy::cast_precision_loss, reason = "seconds and parts of one are far from 2^53")]
    pub(super) fn process(
        &mut self,
        lua: &Lua,
        frame: &Frame<'_>,
        packet: &Decoded<'_>,
        direction: Option<Direction>,
        unix_ns: u64,
    ) -> mlua::Result<()> {
        let (addresses, payload, tcp) = match packet {
            Decoded::Tcp(segment) => (segment.addresses, segment.payload, Some(segment.tcp)),
            Decoded::Udp(datagram) => (datagram.addresses, datagram.payload, None),
            Decoded::Other(_) => return Ok(()),
        };
        let Self { call, addresses: texts, interfaces, words, names, .. } = self;
        let ns = unix_ns % 1_000_000_000;
        let interface = interfaces.find(&frame.ifindex, || {
            let name = names.find(frame.ifindex);
            name.map(|name| lua.create_string(&*name)).transpose()
        })?;
        let way = match frame.direction {
            HookDirection::Ingress => Some(&words.into),
            HookDirection::Egress => Some(&words.out),
            HookDirection::Unknown => None,
        };
        let kind = direction.map(|direction| match direction {
            Direction::Request => &words.request,
            Direction::Response => &words.response,
        });
        let bytes = match payload.bytes {
            [] => None,
            bytes => Some(lua.create_string(bytes)?),
        };
        let source = address(lua, texts, &addresses.source)?.clone();
        let destination = address(lua, texts, &addresses.destination)?;
        call.call((
            (unix_ns / 1_000_000_000) as f64,
            (ns / 1000) as f64,
            ns as f64,
            source,
            addresses.source.port(),
            destination,
            addresses.destination.port(),
            kind,
            direction.map(|direction| direction == Direction::Request),
            if tcp.is_some() { &words.tcp } else { &words.udp },
            (
                payload.wire_len,
                frame.wire_len,
                interface.as_ref(),
                way,
                bytes.as_ref().unwrap_or(&words.empty),
                tcp.map(|tcp| tcp.seq),
                tcp.map(|tcp| tcp.ack),
                tcp.map(|tcp| tcp.flags.bits() & OLD_FLAGS),
                tcp.map(|tcp| tcp.flags.bits()),
                tcp.map(|tcp| tcp.window),
            ),
        ))
    }

    /// A call ended with an error: what belongs to its packet is not to be seen any more.
    pub(super) fn leave(&self) -> mlua::Result<()> {
        self.leave.call(())
    }
}

/// The text of an address.
fn address<'t>(
    lua: &Lua,
    texts: &'t mut Cache<u128, LuaString>,
    end: &Endpoint,
) -> mlua::Result<&'t LuaString> {
    texts.find(&end.number(), || lua.create_string(end.ip().to_string()))
}
