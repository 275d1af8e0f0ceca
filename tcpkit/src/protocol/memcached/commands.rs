//! The commands of the text protocol: how they are framed, and what they can be answered with.

use super::answer::class;

/// What is known of a text command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Its name in upper case; empty for one that is not known.
    pub(super) name: &'static str,
    /// How its line is laid out.
    pub(super) shape: Shape,
    /// What it can be answered with.
    pub(super) classes: u16,
}

/// How a command's line is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `get <key>*`.
    Get,
    /// `gat <exptime> <key>*`.
    Gat,
    /// `set <key> <flags> <exptime> <bytes> [noreply]` and a value.
    Store,
    /// `cas <key> <flags> <exptime> <bytes> <cas unique> [noreply]` and a value.
    Cas,
    /// `delete <key> [noreply]`.
    Key,
    /// `incr <key> <number> [noreply]`.
    KeyAndNumber,
    /// `touch <key> <exptime> [noreply]`.
    KeyAndExptime,
    /// `mg <key> <flags>*`.
    MetaGet,
    /// `ms <key> <bytes> <flags>*` and a value.
    MetaStore,
    /// `md <key> <flags>*`.
    MetaKey,
    /// `me <key>`.
    MetaDebug,
    /// A name and whatever belongs to it, with `noreply` at its end or without.
    Admin,
    /// A name and whatever belongs to it.
    Plain,
    /// `quit`, which nobody answers.
    Quit,
    /// `watch`.
    Watch,
}

const fn command(name: &'static str, shape: Shape, classes: u16) -> Command {
    Command { name, shape, classes: classes | class::ERROR }
}

const GET: u16 = class::VALUES | class::END;
const STORE: u16 = class::STORED | class::REFUSED | class::NOT_FOUND;
const META: u16 = class::META | class::META_REFUSED;
const ANY_LINE: u16 = class::OTHER | class::LIST | class::END;

/// Every command that doc/protocol.txt has, those first that are sent most.
static COMMANDS: &[Command] = &[
    command("GET", Shape::Get, GET),
    command("SET", Shape::Store, STORE),
    command("MG", Shape::MetaGet, class::META | class::META_MISS),
    command("MS", Shape::MetaStore, META),
    command("GETS", Shape::Get, GET),
    command("DELETE", Shape::Key, class::DELETED | class::NOT_FOUND),
    command("INCR", Shape::KeyAndNumber, class::NUMBER | class::NOT_FOUND),
    command("DECR", Shape::KeyAndNumber, class::NUMBER | class::NOT_FOUND),
    command("ADD", Shape::Store, STORE),
    command("CAS", Shape::Cas, STORE),
    command("TOUCH", Shape::KeyAndExptime, class::TOUCHED | class::NOT_FOUND),
    command("GAT", Shape::Gat, GET),
    command("GATS", Shape::Gat, GET),
    command("REPLACE", Shape::Store, STORE),
    command("APPEND", Shape::Store, STORE),
    command("PREPEND", Shape::Store, STORE),
    command("MD", Shape::MetaKey, META),
    command("MA", Shape::MetaKey, META),
    // Nothing can be wrong with it.
    Command { name: "MN", shape: Shape::Plain, classes: class::META_NOOP },
    command("ME", Shape::MetaDebug, class::OTHER | class::META_MISS),
    command("VERSION", Shape::Plain, class::OTHER),
    command("STATS", Shape::Plain, ANY_LINE),
    command("QUIT", Shape::Quit, 0),
    command("FLUSH_ALL", Shape::Admin, class::OTHER),
    command("VERBOSITY", Shape::Admin, class::OTHER),
    command("CACHE_MEMLIMIT", Shape::Admin, class::OTHER),
    command("SLABS", Shape::Admin, class::OTHER),
    command("LRU", Shape::Admin, class::OTHER),
    // `mgdump` ends with EN.
    command("LRU_CRAWLER", Shape::Admin, ANY_LINE | class::META_MISS),
    command("EXTSTORE", Shape::Admin, class::OTHER),
    command("SHUTDOWN", Shape::Admin, class::OTHER),
    command("REFRESH_CERTS", Shape::Admin, class::OTHER),
    command("MISBEHAVE", Shape::Admin, class::OTHER),
    command("DEBUGTIME", Shape::Admin, class::OTHER),
    command("DEBUGITEM", Shape::Admin, class::OTHER),
    command("WATCH", Shape::Watch, class::OTHER),
];

/// A command that the table does not know, and so does no server: any answer but an error means that
/// this is another protocol.
pub(super) static UNKNOWN: Command =
    Command { name: "", shape: Shape::Plain, classes: class::ERROR };

/// The command of this name, which is in lower case; that of another case is none.
#[inline]
pub(super) fn lookup(name: &[u8]) -> &'static Command {
    let is_it = |command: &&Command| {
        command.name.len() == name.len()
            && command
                .name
                .bytes()
                .zip(name)
                .all(|(upper, byte)| upper.to_ascii_lowercase() == *byte)
    };
    COMMANDS.iter().find(is_it).unwrap_or(&UNKNOWN)
}

/// Whether a command's name begins with these bytes.
pub(super) fn is_prefix(prefix: &[u8]) -> bool {
    let lower = |command: &Command| command.name.to_ascii_lowercase();
    COMMANDS.iter().any(|command| lower(command).as_bytes().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_lower_case() {
        for command in COMMANDS {
            let name = command.name.to_ascii_lowercase();
            assert_eq!(lookup(name.as_bytes()), command);
            assert_eq!(lookup(command.name.as_bytes()), &UNKNOWN);
            assert!((0..name.len()).all(|end| is_prefix(&name.as_bytes()[..end])));
        }
        assert_eq!(lookup(b""), &UNKNOWN);
        assert!(!is_prefix(b"getx") && !is_prefix(b"GET"));
    }
}
