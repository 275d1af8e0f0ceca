//! What is known of who is client and who is server in a run.

use std::net::SocketAddr;

use crate::{
    capture::listening::ListeningPorts, filter::CaptureFilter, flow::role::Hints, packet::Endpoint,
    protocol::Selection,
};

/// Ports below this are for servers (RFC 6335, 6: system ports).
const SYSTEM_PORTS: u16 = 1024;

/// What filter, protocols and this host say of ports.
pub(super) struct RunHints {
    filter: CaptureFilter,
    /// `None` where no protocol is decoded.
    selection: Option<Selection>,
    /// Servers' usual ports are also those that the system keeps for servers.
    knows_system_ports: bool,
    /// `None` when it is not this host's traffic.
    listening: Option<ListeningPorts>,
    /// Where this process listens itself.
    own: Option<SocketAddr>,
}

impl RunHints {
    pub(super) fn new(
        filter: CaptureFilter,
        selection: Option<Selection>,
        follows_host: bool,
        own: Option<SocketAddr>,
    ) -> Self {
        let listening = follows_host.then(ListeningPorts::new);
        let own = own.filter(|_| follows_host);
        Self { filter, selection, knows_system_ports: false, listening, own }
    }

    /// The same for all traffic, whatever is decoded: the system's ports are servers'.
    pub(super) fn with_system_ports(self) -> Self {
        Self { knows_system_ports: true, ..self }
    }
}

impl Hints for RunHints {
    fn is_named(&self, port: u16) -> bool {
        self.filter.server_port(port)
            || self.selection.as_ref().is_some_and(|selection| selection.names_port(port))
    }

    fn is_listening(&self, end: &Endpoint) -> bool {
        self.listening.as_ref().is_some_and(|listening| listening.contains(end))
    }

    fn is_usual(&self, port: u16) -> bool {
        self.selection.as_ref().is_some_and(|selection| selection.has_usual_port(port))
            || self.knows_system_ports && port < SYSTEM_PORTS
    }

    fn is_own(&self, end: &Endpoint) -> bool {
        self.own.is_some_and(|own| {
            own.port() == end.port()
                && if own.ip().is_unspecified() {
                    self.is_listening(end)
                } else {
                    own.ip() == end.ip()
                }
        })
    }
}
