//! Where and why a capture file stops making sense.

/// A capture file cannot be read further. Everything before has been handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", place(*packets, *offset))]
pub struct FormatError {
    /// How many packets came before.
    pub packets: u64,
    /// Where what could not be read begins, in bytes from the beginning of the (uncompressed) file.
    pub offset: u64,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is nothing at all.
    #[error("it is empty: there are no packets in it")]
    Empty,
    /// It begins like no capture.
    #[error(
        "no capture file: it is neither pcap nor pcapng, plain or compressed with gzip or zstd"
    )]
    NoCapture,
    /// A version of the format that nobody described yet.
    #[error("the format's version is {major}.{minor}, which is not known; convert it with editcap")]
    Version {
        /// Its number before the dot.
        major: u16,
        /// Its number behind the dot.
        minor: u16,
    },
    /// Packets begin with something unknown.
    #[error(
        "its link type is {number}, which is not understood: Ethernet (1), raw IP (101), \
         null (0), loop (108), Linux SLL (113) and SLL2 (276) are"
    )]
    Link {
        /// The file format's number for it (`LINKTYPE_*`).
        number: u32,
    },
    /// The bytes end too early.
    #[error("the file ends inside {0}")]
    Cut(Part),
    /// A packet claims a length that none has.
    #[error("a packet claims {claimed} bytes, more than any has: the file is corrupt")]
    Packet {
        /// The length it claims.
        claimed: u32,
    },
    /// A block's length cannot be.
    #[error(
        "a block of type {kind:#x} claims {claimed} bytes, which cannot be: the file is corrupt"
    )]
    Length {
        /// The block's type.
        kind: u32,
        /// The length it claims.
        claimed: u32,
    },
    /// A block says one length at its beginning and another at its end.
    #[error("a block's two lengths, {front} and {back}, differ: the file is corrupt")]
    Lengths {
        /// The length at its beginning.
        front: u32,
        /// The length at its end.
        back: u32,
    },
    /// A block's contents do not fit into it.
    #[error("a block of type {kind:#x} is too short for what it holds: the file is corrupt")]
    Contents {
        /// The block's type.
        kind: u32,
    },
    /// A section's bytes are in no known order.
    #[error("a section's byte-order magic is {0:#010x}, which is not known: the file is corrupt")]
    Order(u32),
    /// A packet was captured on an interface that the file did not introduce.
    #[error("a packet names interface {number}, and its section has {there}: the file is corrupt")]
    Interface {
        /// The number it names; they begin at 0.
        number: u32,
        /// How many there are.
        there: usize,
    },
    /// There are more interfaces than are remembered.
    #[error("it has more than {} interfaces; split it with editcap", super::MAX_INTERFACES)]
    Interfaces,
}

/// What the end of a file can be inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its own header.
    Header,
    /// A packet.
    Packet,
    /// A block of a pcapng file.
    Block,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "its header",
            Self::Packet => "a packet",
            Self::Block => "a block",
        })
    }
}

/// What an error message begins with; nothing when the file stopped at its very beginning.
pub(crate) fn place(packets: u64, offset: u64) -> String {
    match (packets, offset) {
        (_, 0) => String::new(),
        (0, _) => format!("stopped before the first packet (byte {offset}): "),
        _ => format!("stopped behind packet {packets} (byte {offset}): "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_where_and_why_in_one_line() {
        let check = |packets, offset, reason, expect: &str| {
            assert_eq!(FormatError { packets, offset, reason }.to_string(), expect);
        };
        let cut = Reason::Cut(Part::Packet);
        check(17, 2314, cut, "stopped behind packet 17 (byte 2314): the file ends inside a packet");
        check(
            0,
            24,
            cut,
            "stopped before the first packet (byte 24): the file ends inside a packet",
        );
        check(0, 0, Reason::Cut(Part::Header), "the file ends inside its header");
    }
}
