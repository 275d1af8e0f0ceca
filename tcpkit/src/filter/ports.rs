//! Ports by number and by the names in /etc/services.

use std::fs;

use tcpkit_common::{PortRange, TRANSPORT_TCP, TRANSPORT_UDP};

use super::FilterError;

const SERVICES: &str = "/etc/services";

/// Reads what follows `port` or `portrange`.
pub(super) fn parse(kind: &str, word: &str, transports: u32) -> Result<PortRange, FilterError> {
    if kind == "portrange" {
        let range = word.split_once('-').and_then(|(first, last)| {
            let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
            Some(PortRange { first: first.min(last), last: first.max(last) })
        });
        return range.ok_or_else(|| FilterError::NotARange { word: word.into() });
    }
    let port = word.parse().ok().or_else(|| {
        // The file need not be there: then there are no names.
        find_service(&fs::read_to_string(SERVICES).unwrap_or_default(), word, transports)
    });
    port.map(|port| PortRange { first: port, last: port })
        .ok_or_else(|| FilterError::NotAPort { word: word.into() })
}

/// The port of a service or of one of its aliases.
fn find_service(services: &str, name: &str, transports: u32) -> Option<u16> {
    services.lines().find_map(|line| {
        let line = line.split_once('#').map_or(line, |(entry, _comment)| entry);
        let mut words = line.split_whitespace();
        let service = words.next()?;
        let (port, transport) = words.next()?.split_once('/')?;
        let bit = match transport {
            "tcp" => TRANSPORT_TCP,
            "udp" => TRANSPORT_UDP,
            _ => 0,
        };
        let named = service == name || words.any(|alias| alias == name);
        (named && transports & bit != 0).then(|| port.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# services\n\nhttp\t80/tcp\twww # web\nsyslog 514/udp\nshell 514/tcp cmd\n";

    #[test]
    fn services_are_found_by_name_alias_and_transport() {
        for (name, transports, expect) in [
            ("http", 3, Some(80)),
            ("www", TRANSPORT_TCP, Some(80)),
            ("www", TRANSPORT_UDP, None),
            ("syslog", TRANSPORT_UDP, Some(514)),
            ("cmd", 3, Some(514)),
            ("web", 3, None),
            ("#", 3, None),
        ] {
            assert_eq!(find_service(TEXT, name, transports), expect, "{name}");
        }
    }
}
