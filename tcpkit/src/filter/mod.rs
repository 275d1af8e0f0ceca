//! The user's filter expression: which packets are wanted.
//!
//! Today it understands transports and ports, the part of tcpdump's language that the kernel
//! programs judge by themselves.

mod ports;

use tcpkit_common::{MAX_PORT_RANGES, PortRange, TRANSPORT_TCP, TRANSPORT_UDP};

/// A filter that the kernel programs understand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureFilter {
    expression: String,
    transports: u32,
    ranges: Vec<PortRange>,
}

/// Why an expression is no filter. Each message is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A word that the grammar does not have at this place.
    #[error("filter: '{word}' is not understood here; {UNDERSTOOD}")]
    Unexpected {
        /// The word.
        word: String,
    },
    /// The expression ends too early.
    #[error("filter: something is missing after '{word}'; {UNDERSTOOD}")]
    Incomplete {
        /// The last word.
        word: String,
    },
    /// Neither a port number nor a service's name.
    #[error("filter: '{word}' is neither a port (0 to 65535) nor a service in /etc/services")]
    NotAPort {
        /// The word.
        word: String,
    },
    /// Not two ports with a dash between them.
    #[error("filter: '{word}' is not a range of ports such as 6379-6389")]
    NotARange {
        /// The word.
        word: String,
    },
    /// The parts joined by `or` ask for different transports.
    #[error(
        "filter: all parts joined by 'or' must name the same transport: \
         not yet understood is 'tcp port 1 or udp port 2'"
    )]
    MixedTransports,
    /// More ports and ranges than the kernel programs hold.
    #[error("filter: {count} ports and ranges are more than the {MAX_PORT_RANGES} that fit")]
    TooManyPorts {
        /// How many the expression names.
        count: usize,
    },
}

/// What error messages say of the grammar.
const UNDERSTOOD: &str = "understood are [tcp|udp], [tcp|udp] port N, [tcp|udp] portrange A-B, \
                          and several of these joined by 'or'";

const ANY_TRANSPORT: u32 = TRANSPORT_TCP | TRANSPORT_UDP;

/// One part of an expression, between `or` and `or`.
struct Term {
    transports: u32,
    ports: Option<PortRange>,
}

impl CaptureFilter {
    /// Reads an expression that came as separate words, as one quoted argument, or both; no words
    /// let every packet pass.
    ///
    /// # Errors
    /// Names the word that is outside the grammar.
    pub fn parse(words: &[String]) -> Result<Self, FilterError> {
        let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
        let expression = words.join(" ");
        if words.is_empty() {
            return Ok(Self::default());
        }
        let terms = parse_terms(&words)?;
        let ranges: Vec<PortRange> = terms.iter().filter_map(|term| term.ports).collect();
        let transports = terms.iter().fold(0, |all, term| all | term.transports);
        let with_ports = ranges.len() == terms.len();
        let alike = terms.iter().all(|term| term.transports == transports);
        if !(ranges.is_empty() || with_ports && alike) {
            return Err(FilterError::MixedTransports);
        }
        if ranges.len() > MAX_PORT_RANGES {
            return Err(FilterError::TooManyPorts { count: ranges.len() });
        }
        Ok(Self { expression, transports, ranges })
    }

    /// What the kernel programs need: the transports that pass (`TRANSPORT_*` bits, 0 for every
    /// packet), and the ranges of which source or destination port must be in one (none for all
    /// ports).
    #[must_use]
    pub fn to_capture_config(&self) -> (u32, &[PortRange]) {
        (self.transports, &self.ranges)
    }

    /// Whether the filter names this port; then whoever has it is likely the server.
    #[must_use]
    pub fn server_port(&self, port: u16) -> bool {
        self.ranges.iter().any(|range| range.first <= port && port <= range.last)
    }

    /// The expression, its words separated by single spaces.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }
}

fn parse_terms(words: &[&str]) -> Result<Vec<Term>, FilterError> {
    let mut terms: Vec<Term> = Vec::new();
    // As with tcpdump, what a part leaves out is taken from the one before: `port 1 or 2`.
    let mut qualifiers: Option<(u32, &str)> = None;
    let mut words = words.iter().copied().peekable();
    let mut last = "";
    loop {
        let Some(first) = words.next() else {
            return Err(FilterError::Incomplete { word: last.into() });
        };
        let transports = match first {
            "tcp" => TRANSPORT_TCP,
            "udp" => TRANSPORT_UDP,
            _ => ANY_TRANSPORT,
        };
        let kind = if transports == ANY_TRANSPORT { Some(first) } else { words.peek().copied() };
        let term = match (kind, qualifiers) {
            (Some(kind @ ("port" | "portrange")), _) => {
                if transports != ANY_TRANSPORT {
                    words.next();
                }
                let Some(value) = words.next() else {
                    return Err(FilterError::Incomplete { word: kind.into() });
                };
                qualifiers = Some((transports, kind));
                Term { transports, ports: Some(ports::parse(kind, value, transports)?) }
            }
            _ if transports != ANY_TRANSPORT => Term { transports, ports: None },
            (_, Some((transports, kind))) if !is_keyword(first) => {
                Term { transports, ports: Some(ports::parse(kind, first, transports)?) }
            }
            _ => return Err(FilterError::Unexpected { word: first.into() }),
        };
        terms.push(term);
        match words.next() {
            None => return Ok(terms),
            Some(word @ ("or" | "||")) => last = word,
            Some(word) => return Err(FilterError::Unexpected { word: word.into() }),
        }
    }
}

/// Words of tcpdump's language that cannot be a service's name here.
fn is_keyword(word: &str) -> bool {
    const KEYWORDS: [&str; 22] = [
        "or",
        "and",
        "not",
        "src",
        "dst",
        "host",
        "net",
        "ip",
        "ip6",
        "icmp",
        "icmp6",
        "arp",
        "ether",
        "vlan",
        "less",
        "greater",
        "proto",
        "inbound",
        "outbound",
        "sctp",
        "gateway",
        "broadcast",
    ];
    KEYWORDS.contains(&word) || word.contains(['(', ')', '[', '!', '&', '|'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CaptureFilter, FilterError> {
        CaptureFilter::parse(&[text.to_owned()])
    }

    fn check(text: &str, transports: u32, ranges: &[(u16, u16)]) {
        let filter = parse(text).unwrap();
        let ranges: Vec<_> =
            ranges.iter().map(|&(first, last)| PortRange { first, last }).collect();
        assert_eq!(filter.to_capture_config(), (transports, ranges.as_slice()), "{text}");
    }

    #[test]
    fn the_grammar() {
        check("", 0, &[]);
        check("tcp", TRANSPORT_TCP, &[]);
        check("udp", TRANSPORT_UDP, &[]);
        check("tcp or udp", ANY_TRANSPORT, &[]);
        check("port 6379", ANY_TRANSPORT, &[(6379, 6379)]);
        check("tcp port 6379", TRANSPORT_TCP, &[(6379, 6379)]);
        check("udp port 0", TRANSPORT_UDP, &[(0, 0)]);
        check("port 1 or port 2 or port 65535", ANY_TRANSPORT, &[(1, 1), (2, 2), (65535, 65535)]);
        check("tcp port 1 or tcp port 2", TRANSPORT_TCP, &[(1, 1), (2, 2)]);
        check("tcp port 1 or 2 || 3", TRANSPORT_TCP, &[(1, 1), (2, 2), (3, 3)]);
        check("portrange 7000-7005", ANY_TRANSPORT, &[(7000, 7005)]);
        check("tcp portrange 7005-7000", TRANSPORT_TCP, &[(7000, 7005)]);
        check("tcp portrange 1-2 or tcp port 9", TRANSPORT_TCP, &[(1, 2), (9, 9)]);
    }

    #[test]
    fn words_may_be_separate_quoted_or_both() {
        let words = ["tcp".to_owned(), " port  6379 ".to_owned(), "or 6380".to_owned()];
        let filter = CaptureFilter::parse(&words).unwrap();
        assert_eq!(filter.expression(), "tcp port 6379 or 6380");
        assert_eq!(filter, parse("tcp port 6379 or 6380").unwrap());
    }

    #[test]
    fn ports_that_the_filter_names_are_servers() {
        let filter = parse("port 6379 or portrange 7000-7001").unwrap();
        for (port, named) in [(6379, true), (6380, false), (7000, true), (7001, true)] {
            assert_eq!(filter.server_port(port), named, "{port}");
        }
        assert!(!parse("tcp").unwrap().server_port(6379));
    }

    #[test]
    fn errors_name_the_word() {
        for (text, word) in [
            ("host 10.0.0.1", "host"),
            ("tcp host 10.0.0.1", "host"),
            ("tcp port 1 and port 2", "and"),
            ("src port 1", "src"),
            ("tcp dst port 1", "dst"),
            ("not port 1", "not"),
            ("(tcp port 1)", "(tcp"),
            ("port 1 or (port 2)", "(port"),
            ("port 1 or host", "host"),
            ("6379", "6379"),
            ("tcp 6379", "6379"),
        ] {
            assert_eq!(parse(text), Err(FilterError::Unexpected { word: word.into() }), "{text}");
        }
        for (text, word) in [("port", "port"), ("tcp or", "or"), ("tcp portrange", "portrange")] {
            assert_eq!(parse(text), Err(FilterError::Incomplete { word: word.into() }), "{text}");
        }
        for (text, word) in [("port 65536", "65536"), ("port -1", "-1"), ("port x_y", "x_y")] {
            assert_eq!(parse(text), Err(FilterError::NotAPort { word: word.into() }), "{text}");
        }
        for (text, word) in [("portrange 7", "7"), ("portrange a-b", "a-b"), ("portrange 1-", "1-")]
        {
            assert_eq!(parse(text), Err(FilterError::NotARange { word: word.into() }), "{text}");
        }
        for text in ["tcp port 1 or udp port 2", "tcp or port 2", "tcp port 1 or port 2"] {
            assert_eq!(parse(text), Err(FilterError::MixedTransports), "{text}");
        }
        let many = vec!["port 1"; 17].join(" or ");
        assert_eq!(parse(&many), Err(FilterError::TooManyPorts { count: 17 }));
    }

    #[test]
    fn messages_are_one_line() {
        for text in ["host x", "port", "port x_y", "portrange 1", "tcp or port 1"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with("filter: ") && !message.contains('\n'), "{message}");
        }
    }
}
