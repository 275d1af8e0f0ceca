//! Which addresses of this host have a listening TCP socket, from `/proc/net/tcp` and `tcp6`.

use std::{
    cell::RefCell,
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use crate::packet::Endpoint;

/// How old an answer may be.
const MAX_AGE: Duration = Duration::from_secs(1);

/// `TCP_LISTEN` of the kernel's `include/net/tcp_states.h`, as the files write it.
const LISTEN: &str = "0A";

/// The host's listening sockets, read again when asked after a while.
#[derive(Debug, Default)]
pub struct ListeningPorts {
    cache: RefCell<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    read_at: Option<Instant>,
    listening: HashSet<SocketAddr>,
}

impl ListeningPorts {
    /// Reads nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a socket listens at this address, or at its port on all addresses.
    #[must_use]
    pub fn contains(&self, end: &Endpoint) -> bool {
        let mut cache = self.cache.borrow_mut();
        if cache.read_at.is_none_or(|at| at.elapsed() >= MAX_AGE) {
            cache.read_at = Some(Instant::now());
            cache.listening = ["/proc/net/tcp", "/proc/net/tcp6"]
                .into_iter()
                .filter_map(|path| fs::read_to_string(path).ok())
                .flat_map(|table| parse(&table))
                .collect();
        }
        let port = end.port();
        [end.ip(), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
            .into_iter()
            .any(|ip| cache.listening.contains(&SocketAddr::new(ip, port)))
    }
}

/// The listening sockets of a table in the form of the kernel's `tcp4_seq_show` and
/// `tcp6_seq_show`: address words in hexadecimal host order, a colon, the port.
fn parse(table: &str) -> Vec<SocketAddr> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let local = words.nth(1)?;
            let state = words.nth(1)?;
            if state != LISTEN {
                return None;
            }
            let (address, port) = local.split_once(':')?;
            let port = u16::from_str_radix(port, 16).ok()?;
            let ip = match address.len() {
                8 => IpAddr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes()),
                32 => {
                    let mut octets = [0; 16];
                    for (index, slot) in octets.chunks_exact_mut(4).enumerate() {
                        let word = address.get(index * 8..index * 8 + 8)?;
                        slot.copy_from_slice(&u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
                    }
                    Ipv6Addr::from(octets).to_canonical()
                }
                _ => return None,
            };
            Some(SocketAddr::new(ip, port))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_that_listen_are_found_and_others_are_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let ports = ListeningPorts::new();
        assert!(ports.contains(&Endpoint::from(address)));
        let elsewhere = SocketAddr::new(IpAddr::from([127, 0, 0, 2]), address.port());
        assert!(!ports.contains(&Endpoint::from(elsewhere)));
    }

    #[test]
    fn a_socket_that_listens_everywhere_is_found_at_every_address() {
        let listener = TcpListener::bind("[::]:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let ports = ListeningPorts::new();
        for ip in [IpAddr::from([192, 0, 2, 1]), "2001:db8::1".parse().expect("an address")] {
            assert!(ports.contains(&Endpoint::from(SocketAddr::new(ip, port))));
        }
    }

    #[test]
    fn lines_of_another_form_are_passed_over() {
        assert!(parse("header\n\n 0: x\n 0: 0100007F:XXXX 0:0 0A\n 1: 01:1 0:0 0A\n").is_empty());
    }
}
