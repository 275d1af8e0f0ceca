//! What is known of Redis' commands: which have subcommands, where the key is, which are special.
//!
//! From the reply to `COMMAND` (Redis 7.0; a few newer ones and Sentinel's added by hand).

/// The longest command name in the table, in bytes.
pub(super) const MAX_NAME: usize = 24;

/// What is known of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Its name in upper case.
    pub(super) name: &'static str,
    /// Where its first key is.
    pub(super) key: Key,
    /// Whether its first argument names one of several operations.
    pub(super) container: bool,
    /// What about it touches the rest of the connection.
    pub(super) role: Role,
    /// Which of its arguments nobody may read.
    pub(super) secret: Secret,
}

/// Where a command's first key is; arguments are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// It has none, or where it is is not known.
    None,
    /// Here.
    At(u32),
    /// Behind the argument that counts the keys, which is here.
    Counted(u32),
    /// Behind the word `STREAMS`.
    AfterStreams,
}

/// What about a command touches the rest of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// One response, nothing else.
    Ordinary,
    /// `CLIENT`, which can turn replies off.
    Client,
    /// `REPLCONF`, whose `ACK` nobody answers.
    Replconf,
    /// `MONITOR`: a feed follows its response.
    Monitor,
    /// `SYNC` and `PSYNC`: the connection becomes a replication link.
    Sync,
    /// `RESET`: back to how the connection began.
    Reset,
    /// `MULTI`.
    Multi,
    /// `EXEC`.
    Exec,
    /// `DISCARD`.
    Discard,
    /// One of the (un)subscribe commands: one confirmation a channel.
    Subscription(Subscription),
    /// Allowed on a subscribed RESP2 connection, beside the subscribe commands.
    Neutral,
}

/// Which (un)subscribe command, or the confirmation of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    /// What is subscribed to.
    pub(super) kind: Kind,
    /// Whether it adds subscriptions or takes them away.
    pub(super) adds: bool,
}

/// What a subscription is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Channels.
    Channel,
    /// Patterns of channel names.
    Pattern,
    /// Channels of a shard.
    Shard,
}

/// Which arguments of a command nobody may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    /// None.
    None,
    /// `AUTH [user] password`.
    Auth,
    /// The second argument behind the word `AUTH`: `HELLO`.
    Hello,
    /// The argument behind the word `AUTH`, or the second behind `AUTH2`: `MIGRATE`.
    Migrate,
    /// What follows the name of a secret setting: `CONFIG SET`, `SENTINEL SET`.
    Setting,
    /// Rules of `ACL SETUSER` that carry a password or its hash.
    AclRule,
}

impl Command {
    const fn new(name: &'static str) -> Self {
        Self { name, key: Key::None, container: false, role: Role::Ordinary, secret: Secret::None }
    }

    const fn keyed(name: &'static str, key: Key) -> Self {
        Self { key, ..Self::new(name) }
    }

    const fn with_role(name: &'static str, role: Role) -> Self {
        Self { role, ..Self::new(name) }
    }

    const fn container(name: &'static str, key: Key) -> Self {
        Self { key, container: true, ..Self::new(name) }
    }

    const fn subscription(name: &'static str, kind: Kind, adds: bool) -> Self {
        Self::with_role(name, Role::Subscription(Subscription { kind, adds }))
    }
}

/// Commands whose first argument is a key, and nothing else is worth knowing.
#[rustfmt::skip]
const KEY_FIRST: &[&str] = &[
    "APPEND", "BITCOUNT", "BITFIELD", "BITFIELD_RO", "BITPOS", "BLMOVE", "BLPOP", "BRPOP",
    "BRPOPLPUSH", "BZPOPMAX", "BZPOPMIN", "COPY", "DECR", "DECRBY", "DEL", "DELEX", "DUMP",
    "EXISTS", "EXPIRE", "EXPIREAT", "EXPIRETIME", "GEOADD", "GEODIST", "GEOHASH", "GEOPOS",
    "GEORADIUS", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO", "GEORADIUS_RO", "GEOSEARCH",
    "GEOSEARCHSTORE", "GET", "GETBIT", "GETDEL", "GETEX", "GETRANGE", "GETSET", "HDEL",
    "HEXISTS", "HEXPIRE", "HEXPIREAT", "HEXPIRETIME", "HGET", "HGETALL", "HGETDEL", "HGETEX",
    "HINCRBY", "HINCRBYFLOAT", "HKEYS", "HLEN", "HMGET", "HMSET", "HPERSIST", "HPEXPIRE",
    "HPTTL", "HRANDFIELD", "HSCAN", "HSET", "HSETEX", "HSETNX", "HSTRLEN", "HTTL", "HVALS",
    "INCR", "INCRBY", "INCRBYFLOAT", "LCS", "LINDEX", "LINSERT", "LLEN", "LMOVE", "LPOP", "LPOS",
    "LPUSH", "LPUSHX", "LRANGE", "LREM", "LSET", "LTRIM", "MGET", "MOVE", "MSET", "MSETNX",
    "PERSIST", "PEXPIRE", "PEXPIREAT", "PEXPIRETIME", "PFADD", "PFCOUNT", "PFMERGE", "PSETEX",
    "PTTL", "RENAME", "RENAMENX", "RESTORE", "RESTORE-ASKING", "RPOP", "RPOPLPUSH", "RPUSH",
    "RPUSHX", "SADD", "SCARD", "SDIFF", "SDIFFSTORE", "SET", "SETBIT", "SETEX", "SETNX",
    "SETRANGE", "SINTER", "SINTERSTORE", "SISMEMBER", "SMEMBERS", "SMISMEMBER", "SMOVE", "SORT",
    "SORT_RO", "SPOP", "SRANDMEMBER", "SREM", "SSCAN", "STRLEN", "SUBSTR", "SUNION",
    "SUNIONSTORE", "TOUCH", "TTL", "TYPE", "UNLINK", "WATCH", "XACK", "XADD", "XAUTOCLAIM",
    "XCLAIM", "XDEL", "XLEN", "XPENDING", "XRANGE", "XREVRANGE", "XSETID", "XTRIM", "ZADD",
    "ZCARD", "ZCOUNT", "ZDIFFSTORE", "ZINCRBY", "ZINTERSTORE", "ZLEXCOUNT", "ZMSCORE", "ZPOPMAX",
    "ZPOPMIN", "ZRANDMEMBER", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZRANGESTORE", "ZRANK",
    "ZREM", "ZREMRANGEBYLEX", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZREVRANGE",
    "ZREVRANGEBYLEX", "ZREVRANGEBYSCORE", "ZREVRANK", "ZSCAN", "ZSCORE", "ZUNIONSTORE",
];

/// Commands that have no key (or none worth naming) and nothing special.
#[rustfmt::skip]
const KEYLESS: &[&str] = &[
    "ASKING", "BGREWRITEAOF", "BGSAVE", "DBSIZE", "ECHO", "FAILOVER", "FLUSHALL", "FLUSHDB",
    "INFO", "KEYS", "LASTSAVE", "LOLWUT", "PFSELFTEST", "PUBLISH", "RANDOMKEY", "READONLY",
    "READWRITE", "REPLICAOF", "ROLE", "SAVE", "SCAN", "SELECT", "SHUTDOWN", "SLAVEOF", "SPUBLISH",
    "SWAPDB", "TIME", "UNWATCH", "WAIT", "WAITAOF",
];

/// Commands whose keys are counted by their first or second argument.
const KEYS_COUNTED: &[(&str, u32)] = &[
    ("BLMPOP", 2),
    ("BZMPOP", 2),
    ("EVAL", 2),
    ("EVALSHA", 2),
    ("EVALSHA_RO", 2),
    ("EVAL_RO", 2),
    ("FCALL", 2),
    ("FCALL_RO", 2),
    ("LMPOP", 1),
    ("SINTERCARD", 1),
    ("ZDIFF", 1),
    ("ZINTER", 1),
    ("ZINTERCARD", 1),
    ("ZMPOP", 1),
    ("ZUNION", 1),
];

/// Commands of which there is more to say.
const OTHERS: &[Command] = &[
    Command { secret: Secret::Auth, ..Command::new("AUTH") },
    Command { secret: Secret::Hello, ..Command::new("HELLO") },
    Command { secret: Secret::Migrate, ..Command::keyed("MIGRATE", Key::At(3)) },
    Command { secret: Secret::Setting, ..Command::container("CONFIG", Key::None) },
    Command { secret: Secret::Setting, ..Command::container("SENTINEL", Key::None) },
    Command { secret: Secret::AclRule, ..Command::container("ACL", Key::None) },
    Command { role: Role::Client, ..Command::container("CLIENT", Key::None) },
    Command::container("CLUSTER", Key::None),
    Command::container("COMMAND", Key::None),
    Command::container("DEBUG", Key::None),
    Command::container("FUNCTION", Key::None),
    Command::container("LATENCY", Key::None),
    Command::container("MEMORY", Key::None),
    Command::container("MODULE", Key::None),
    Command::container("OBJECT", Key::At(2)),
    Command::container("PFDEBUG", Key::At(2)),
    Command::container("PUBSUB", Key::None),
    Command::container("SCRIPT", Key::None),
    Command::container("SLOWLOG", Key::None),
    Command::container("XGROUP", Key::At(2)),
    Command::container("XINFO", Key::At(2)),
    Command::keyed("BITOP", Key::At(2)),
    Command::keyed("XREAD", Key::AfterStreams),
    Command::keyed("XREADGROUP", Key::AfterStreams),
    Command::with_role("REPLCONF", Role::Replconf),
    Command::with_role("MONITOR", Role::Monitor),
    Command::with_role("SYNC", Role::Sync),
    Command::with_role("PSYNC", Role::Sync),
    Command::with_role("RESET", Role::Reset),
    Command::with_role("MULTI", Role::Multi),
    Command::with_role("EXEC", Role::Exec),
    Command::with_role("DISCARD", Role::Discard),
    Command::with_role("PING", Role::Neutral),
    Command::with_role("QUIT", Role::Neutral),
    Command::subscription("SUBSCRIBE", Kind::Channel, true),
    Command::subscription("UNSUBSCRIBE", Kind::Channel, false),
    Command::subscription("PSUBSCRIBE", Kind::Pattern, true),
    Command::subscription("PUNSUBSCRIBE", Kind::Pattern, false),
    Command::subscription("SSUBSCRIBE", Kind::Shard, true),
    Command::subscription("SUNSUBSCRIBE", Kind::Shard, false),
];

/// A command that the table does not know.
pub(super) static UNKNOWN: Command = Command::new("");

const SLOTS: usize = 1024;

/// All commands by the hash of their name, with empty slots where none is.
static TABLE: [Command; SLOTS] = table();

/// The command of this name in any case.
pub(super) fn lookup(name: &[u8]) -> &'static Command {
    if name.is_empty() || name.len() > MAX_NAME {
        return &UNKNOWN;
    }
    let mut slot = hash(name);
    loop {
        match TABLE.get(slot) {
            Some(command) if command.name.as_bytes().eq_ignore_ascii_case(name) => return command,
            Some(command) if !command.name.is_empty() => slot = next(slot),
            _ => return &UNKNOWN,
        }
    }
}

/// Whether a command's name begins with `prefix`, in any case.
pub(super) fn is_prefix(prefix: &[u8]) -> bool {
    TABLE.iter().any(|command| {
        command
            .name
            .as_bytes()
            .get(..prefix.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(prefix))
    })
}

/// A slot for a name; the same in either case.
const fn hash(name: &[u8]) -> usize {
    let mut hash = name.len() as u32;
    let mut rest = name;
    while let [byte, tail @ ..] = rest {
        // The fifth bit is what makes letters differ in case.
        hash = (hash.rotate_left(5) ^ (*byte | 0x20) as u32).wrapping_mul(0x9e37_79b9);
        rest = tail;
    }
    (hash >> 22) as usize % SLOTS
}

const fn next(slot: usize) -> usize {
    slot.wrapping_add(1) % SLOTS
}

#[expect(clippy::indexing_slicing, reason = "runs in the compiler only")]
#[expect(clippy::arithmetic_side_effects, reason = "runs in the compiler only")]
const fn table() -> [Command; SLOTS] {
    let mut table = [Command::new(""); SLOTS];
    let mut i = 0;
    while i < KEY_FIRST.len() {
        insert(&mut table, Command::keyed(KEY_FIRST[i], Key::At(1)));
        i += 1;
    }
    i = 0;
    while i < KEYLESS.len() {
        insert(&mut table, Command::new(KEYLESS[i]));
        i += 1;
    }
    i = 0;
    while i < KEYS_COUNTED.len() {
        insert(&mut table, Command::keyed(KEYS_COUNTED[i].0, Key::Counted(KEYS_COUNTED[i].1)));
        i += 1;
    }
    i = 0;
    while i < OTHERS.len() {
        insert(&mut table, OTHERS[i]);
        i += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "runs in the compiler only")]
const fn insert(table: &mut [Command; SLOTS], command: Command) {
    assert!(command.name.len() <= MAX_NAME);
    let mut slot = hash(command.name.as_bytes());
    while !table[slot].name.is_empty() {
        slot = next(slot);
    }
    table[slot] = command;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case() {
        let names = KEY_FIRST
            .iter()
            .chain(KEYLESS)
            .copied()
            .chain(KEYS_COUNTED.iter().map(|(name, _)| *name))
            .chain(OTHERS.iter().map(|command| command.name));
        let mut count = 0;
        for name in names {
            assert_eq!(lookup(name.as_bytes()).name, name);
            assert_eq!(lookup(name.to_lowercase().as_bytes()).name, name);
            count += 1;
        }
        assert_eq!(
            TABLE.iter().filter(|command| !command.name.is_empty()).count(),
            count,
            "a double"
        );
    }

    #[test]
    fn what_is_no_command_is_not_found() {
        for name in [&b""[..], b"GE", b"GETX", b"\x07\x05\x14", b"config get", &[b'A'; 1000]] {
            assert_eq!(lookup(name), &UNKNOWN);
        }
    }

    #[test]
    fn prefixes_are_recognised() {
        for prefix in ["", "g", "GeT", "subscr"] {
            assert!(is_prefix(prefix.as_bytes()));
        }
        assert!(!is_prefix(b"getx"));
        assert!(!is_prefix(b"post"));
    }
}
