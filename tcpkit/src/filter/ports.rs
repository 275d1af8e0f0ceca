//! Ports by number and by the names in /etc/services.

use std::{fs, ops::RangeInclusive};

const SERVICES: &str = "/etc/services";

/// Reads a port, a service's name or a range such as `6379-6389`.
pub(super) fn parse(word: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| text.parse::<u16>().ok();
    if let Some(port) = number(word) {
        return Some(port..=port);
    }
    if let Some((first, last)) = word.split_once('-')
        && let (Some(first), Some(last)) = (number(first), number(last))
    {
        return Some(first.min(last)..=first.max(last));
    }
    // The file need not be there: then there are no names.
    let services = fs::read_to_string(SERVICES).unwrap_or_default();
    find_service(&services, word).map(|port| port..=port)
}

/// The port of a service or of one of its aliases.
fn find_service(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let line = line.split_once('#').map_or(line, |(entry, _comment)| entry);
        let mut words = line.split_whitespace();
        let service = words.next()?;
        let (port, _transport) = words.next()?.split_once('/')?;
        let named = service == name || words.any(|alias| alias == name);
        named.then(|| port.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_by_name_and_alias() {
        const TEXT: &str = "# services\n\nhttp\t80/tcp\twww # web\nsyslog 514/udp\n";
        for (name, expect) in [
            ("http", Some(80)),
            ("www", Some(80)),
            ("syslog", Some(514)),
            ("web", None),
            ("#", None),
        ] {
            assert_eq!(find_service(TEXT, name), expect, "{name}");
        }
    }

    #[test]
    fn ranges_may_be_the_wrong_way_round() {
        assert_eq!(parse("7005-7000"), Some(7000..=7005));
        assert_eq!(parse("65536"), None);
        assert_eq!(parse("1-"), None);
    }
}
