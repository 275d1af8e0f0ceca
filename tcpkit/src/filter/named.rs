//! The ports that an expression names: whoever has one of them is likely the server.

use std::ops::RangeInclusive;

use super::ports;

/// Words that end what `port` began: `port 80 or host 10.0.0.1`.
const KEYWORDS: [&str; 40] = [
    "host",
    "net",
    "gateway",
    "proto",
    "protochain",
    "ip",
    "ip6",
    "icmp",
    "icmp6",
    "arp",
    "rarp",
    "ether",
    "fddi",
    "tr",
    "wlan",
    "tcp",
    "udp",
    "sctp",
    "vlan",
    "mpls",
    "pppoed",
    "pppoes",
    "geneve",
    "less",
    "greater",
    "len",
    "inbound",
    "outbound",
    "broadcast",
    "multicast",
    "ifname",
    "on",
    "action",
    "mask",
    "igmp",
    "pim",
    "vrrp",
    "carp",
    "link",
    "type",
];

/// Finds them by the words alone, and leaves out what is doubtful: ports behind `not`, ports of the
/// source only (which may be the client's), ports that are numbers in arithmetic.
pub(super) fn ports(expression: &str) -> Vec<RangeInclusive<u16>> {
    let mut reader = Reader { groups: Vec::new(), ..Reader::default() };
    for word in words(expression) {
        reader.word(&word);
    }
    reader.ports
}

#[derive(Default)]
struct Reader {
    ports: Vec<RangeInclusive<u16>>,
    /// For each open parenthesis, whether it is negated.
    groups: Vec<bool>,
    negated: bool,
    /// `port` or `portrange` holds for the next values.
    reads_ports: bool,
    source: bool,
    destination: bool,
    /// The last word was a direction, `and`, `or` and a direction may follow.
    in_direction: bool,
}

impl Reader {
    fn word(&mut self, word: &str) {
        match word {
            "(" => self.groups.push(self.is_negated()),
            ")" => {
                self.groups.pop();
                self.negated = false;
            }
            "not" | "!" => self.negated = true,
            "and" | "or" | "&&" | "||" => {}
            "src" | "dst" => {
                if !self.in_direction {
                    (self.source, self.destination) = (false, false);
                }
                self.source |= word == "src";
                self.destination |= word == "dst";
                self.reads_ports = false;
                self.in_direction = true;
            }
            "port" | "portrange" => {
                if !self.in_direction {
                    (self.source, self.destination) = (false, false);
                }
                self.reads_ports = true;
                self.in_direction = false;
            }
            _ if self.reads_ports && !KEYWORDS.contains(&word) => {
                if let Some(range) = ports::parse(word)
                    && !self.is_negated()
                    && (self.destination || !self.source)
                {
                    self.ports.push(range);
                }
                self.negated = false;
            }
            // Such as `tcp` in `not tcp port 1`, or the name in `host db`.
            _ => {
                self.reads_ports = false;
                self.in_direction = false;
                if !KEYWORDS.contains(&word) {
                    self.negated = false;
                }
            }
        }
    }

    fn is_negated(&self) -> bool {
        self.negated || self.groups.last() == Some(&true)
    }
}

/// Words and parentheses; what stands in brackets belongs to the word in front.
fn words(expression: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut brackets = 0_u32;
    for character in expression.chars() {
        match character {
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        let is_sign = brackets == 0 && matches!(character, '(' | ')' | '!');
        let is_space = brackets == 0 && character.is_whitespace();
        if (is_sign || is_space) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if is_sign {
            words.push(character.to_string());
        } else if !is_space && character != '\\' {
            word.push(character);
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expect: &[(u16, u16)]) {
        let expect: Vec<_> = expect.iter().map(|&(first, last)| first..=last).collect();
        assert_eq!(ports(expression), expect, "{expression}");
    }

    #[test]
    fn ports_are_found_where_they_are_surely_servers() {
        check("", &[]);
        check("tcp", &[]);
        check("tcp port 6379", &[(6379, 6379)]);
        check("port 1 or 2 or port 65535", &[(1, 1), (2, 2), (65535, 65535)]);
        check("tcp portrange 7005-7000", &[(7000, 7005)]);
        check("dst port 80", &[(80, 80)]);
        check("src or dst port 80", &[(80, 80)]);
        check("(port 1)or(port 2)", &[(1, 1), (2, 2)]);
        check("port (6379 or 6380) and host 10.0.0.1", &[(6379, 6379), (6380, 6380)]);
        check("host 10.0.0.1 and tcp port 6379", &[(6379, 6379)]);
        check("vlan 5 and tcp port 6379", &[(6379, 6379)]);
        check("not host db and port 6379", &[(6379, 6379)]);
        check("not (host db or port 5) and port 6379", &[(6379, 6379)]);
        check("udp port domain", &[(53, 53)]);
    }

    #[test]
    fn what_is_doubtful_names_none() {
        check("not port 22", &[]);
        check("! tcp port 22", &[]);
        check("!(port 22 or (port 23))", &[]);
        check("src port 6379", &[]);
        check("tcp src portrange 1-5", &[]);
        check("tcp[0:2] = 6379", &[]);
        check("tcp[2 : 2] = 6379 and less 100", &[]);
        check("port 80 and len > 443", &[(80, 80)]);
        check("port nobody-knows", &[]);
        check("vlan 80", &[]);
        check("src port 5 and dst port 6", &[(6, 6)]);
    }
}
