//! `connection(c)`: what happened to a connection as a Lua table.

use mlua::{Function, Lua, Table};

use super::transactions::Ends;
use crate::{
    capture::InterfaceNames,
    connection::{CloseReason, Connection, Happening},
};

/// Hands what happens to connections to the script.
pub(super) struct ConnectionCalls {
    call: Function,
    names: InterfaceNames,
}

impl ConnectionCalls {
    /// Calls the script through `callers`, the prelude's functions.
    pub(super) fn new(callers: &Table, names: InterfaceNames) -> mlua::Result<Self> {
        Ok(Self { call: callers.get("connection")?, names })
    }

    /// Calls `connection`.
    #[expect(clippy::cast_precision_loss, reason = "counts and times are far from 2^53")]
    pub(super) fn call(&self, lua: &Lua, it: &Connection, ends: &mut Ends) -> mlua::Result<()> {
        let us = |ns: u64| ns as f64 / 1000.0;
        let table = lua.create_table_with_capacity(0, 32)?;
        table.raw_set("id", it.id as f64)?;
        let (event, reason) = match it.happening {
            Happening::Open => ("open", None),
            Happening::Established => ("established", None),
            Happening::Close(reason) => ("close", Some(word(reason))),
        };
        table.raw_set("event", event)?;
        table.raw_set("reason", reason)?;
        table.raw_set("tv_sec", (it.unix_ns / 1_000_000_000) as f64)?;
        table.raw_set("tv_nsec", (it.unix_ns % 1_000_000_000) as f64)?;
        let (client, server) = ends.tables(&it.client, &it.server)?;
        table.raw_set("client", client)?;
        table.raw_set("server", server)?;
        table.raw_set("interface", self.names.find(it.ifindex).as_deref())?;
        table.raw_set("midstream", it.midstream)?;
        table.raw_set("connect_us", it.connect_ns.map(us))?;
        table.raw_set("handshake_us", it.handshake_ns.map(us))?;
        table.raw_set("duration_us", us(it.duration_ns))?;
        table.raw_set("syn_retransmits", it.from_client.syn_retransmits as f64)?;
        table.raw_set("synack_retransmits", it.from_server.syn_retransmits as f64)?;
        for (names, sent) in [
            (
                ["client_packets", "client_bytes", "client_retransmits", "client_retransmit_bytes"],
                &it.from_client,
            ),
            (
                ["server_packets", "server_bytes", "server_retransmits", "server_retransmit_bytes"],
                &it.from_server,
            ),
        ] {
            let counts = [sent.packets, sent.bytes, sent.retransmits, sent.retransmit_bytes];
            for (name, count) in names.into_iter().zip(counts) {
                table.raw_set(name, count as f64)?;
            }
        }
        self.call.call(table)
    }
}

/// How a connection ended, in a word.
fn word(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Fin => "fin",
        CloseReason::Reset => "reset",
        CloseReason::Refused => "refused",
        CloseReason::Unanswered => "unanswered",
        CloseReason::Quiet => "quiet",
        CloseReason::Evicted => "evicted",
        CloseReason::Replaced => "replaced",
        CloseReason::End => "end",
    }
}
