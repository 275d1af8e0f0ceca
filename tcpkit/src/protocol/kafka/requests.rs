//! What requests ask: the layouts of their bodies by version, as far as they are shown.
//!
//! From the message definitions of Apache Kafka 4.1. A layout is read up to what is shown of it; records,
//! metadata, configurations and credentials are never looked at.

use super::{
    apis::key,
    fields as field,
    header::Header,
    reader::Reader,
    saying::{Naming, Saying, Topic},
};
use crate::protocol::secrets::REDACTED;

/// What the rest of the connection has to know of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// What a producer waits for: `Some(0)` is no response at all.
    pub(super) acks: Option<i16>,
    /// The body goes on behind what is there.
    pub(super) is_cut: bool,
}

/// Writes down the body of a request in a known version, up to where it ends, is cut, or is not what it
/// should be, which the reader knows.
pub(super) fn describe(
    header: &Header<'_>,
    body: &mut Reader<'_>,
    saying: &mut Saying<'_>,
) -> Asked {
    let version = header.version;
    let mut asked = Asked::default();
    let end = match header.key {
        key::PRODUCE => produce(version, body, saying, &mut asked),
        key::FETCH => fetch(version, body, saying),
        key::LIST_OFFSETS => list_offsets(version, body, saying),
        key::METADATA => metadata(version, body, saying),
        key::OFFSET_COMMIT => offset_commit(version, body, saying),
        key::OFFSET_FETCH => offset_fetch(version, body, saying),
        key::FIND_COORDINATOR => find_coordinator(version, body, saying),
        key::JOIN_GROUP => join_group(version, body, saying),
        key::HEARTBEAT | key::SYNC_GROUP => generation(body, saying),
        key::LEAVE_GROUP => leave_group(version, body, saying),
        key::DESCRIBE_GROUPS
        | key::DELETE_GROUPS
        | key::CONSUMER_GROUP_DESCRIBE
        | key::SHARE_GROUP_DESCRIBE
        | key::STREAMS_GROUP_DESCRIBE => groups(body, saying),
        key::SASL_HANDSHAKE => mechanism(body, saying),
        key::SASL_AUTHENTICATE => {
            saying.words(REDACTED);
            Some(())
        }
        key::CREATE_TOPICS => create_topics(body, saying),
        key::DELETE_TOPICS => delete_topics(version, body, saying),
        key::DELETE_RECORDS => delete_records(body, saying),
        key::INIT_PRODUCER_ID => init_producer_id(body, saying),
        key::OFFSET_FOR_LEADER_EPOCH => offset_for_leader_epoch(version, body, saying),
        key::ADD_PARTITIONS_TO_TXN => add_partitions_to_txn(version, body, saying),
        key::ADD_OFFSETS_TO_TXN => add_offsets_to_txn(body, saying),
        key::END_TXN => end_txn(body, saying),
        key::TXN_OFFSET_COMMIT => txn_offset_commit(version, body, saying),
        key::CREATE_PARTITIONS => create_partitions(body, saying),
        key::OFFSET_DELETE => offset_delete(body, saying),
        key::CONSUMER_GROUP_HEARTBEAT
        | key::SHARE_GROUP_HEARTBEAT
        | key::STREAMS_GROUP_HEARTBEAT
        | key::SHARE_FETCH
        | key::SHARE_ACKNOWLEDGE => member(body, saying),
        key::DESCRIBE_TOPIC_PARTITIONS => describe_topic_partitions(body, saying),
        _ => Some(()),
    };
    asked.is_cut = end.is_none();
    asked
}

fn produce(
    version: i16,
    body: &mut Reader<'_>,
    saying: &mut Saying<'_>,
    asked: &mut Asked,
) -> Option<()> {
    if version >= 3 {
        transaction_field(body, saying)?;
    }
    let acks = body.i16()?;
    asked.acks = Some(acks);
    saying.int(field::ACKS, i64::from(acks));
    timeout(body, saying, field::TIMEOUT_MS);
    let listed = saying.topics(body, Naming::of(version, 13), |partition| {
        partition.skip_bytes()?;
        partition.tags()
    });
    saying.end_list();
    match acks {
        -1 => saying.plain("acks", "all"),
        _ => saying.number("acks", i64::from(acks), ""),
    }
    listed.map(drop)
}

fn fetch(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    let replica = if version <= 14 { body.i32()? } else { -1 };
    let max_wait = body.i32()?;
    saying.int(field::MAX_WAIT_MS, i64::from(max_wait));
    let mut session = 0;
    let mut listed = None;
    if let Some(found) = fetch_settings(version, body, saying) {
        session = found;
        listed = saying.topics(body, Naming::of(version, 13), |partition| {
            let size = [(0, 8), (9, 4), (12, 4), (5, 8), (0, 4)];
            partition.bytes(sizes(version, &size))?;
            partition.tags()
        });
        saying.end_list();
    }
    // A session's later requests name only what changed.
    if listed == Some(0) && session != 0 {
        saying.number("session", i64::from(session), "");
    }
    if replica >= 0 {
        saying.number("replica", i64::from(replica), "");
    }
    saying.number("max_wait", i64::from(max_wait), "ms");
    listed.map(drop)
}

/// What stands between how long a fetch waits and what it asks for; returns its session's number.
fn fetch_settings(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<i32> {
    let min_bytes = body.i32()?;
    saying.int(field::MIN_BYTES, i64::from(min_bytes));
    body.bytes(sizes(version, &[(3, 4), (4, 1)]))?;
    if version < 7 {
        return Some(0);
    }
    let session = body.i32()?;
    body.i32()?;
    Some(session)
}

fn list_offsets(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    body.bytes(sizes(version, &[(0, 4), (2, 1)]))?;
    let rest = sizes(version, &[(4, 4), (0, 8)]).saturating_add(if version == 0 { 4 } else { 0 });
    listed(body, saying, Naming::Name, |partition| {
        partition.bytes(rest)?;
        partition.tags()
    })
}

fn metadata(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    let count = body.nullable_array()?;
    match count {
        None => saying.words("(all)"),
        Some(0) if version == 0 => saying.words("(all)"),
        Some(count) => {
            let listed = saying.names(
                body,
                count,
                |topic| {
                    let id = if version >= 10 { Some(topic.uuid()?) } else { None };
                    Some(named(topic.nullable()?, id))
                },
                Reader::tags,
            );
            saying.end_list();
            listed?;
        }
    }
    Some(())
}

fn offset_commit(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    group(body, saying)?;
    if version >= 1 {
        body.i32()?;
        saying.field(field::MEMBER, body.string()?);
    }
    if version >= 7 {
        body.nullable()?;
    }
    if (2..=4).contains(&version) {
        body.i64()?;
    }
    let rest = sizes(version, &[(0, 8), (6, 4)]).saturating_add(if version == 1 { 8 } else { 0 });
    listed(body, saying, Naming::of(version, 10), |partition| {
        partition.bytes(rest)?;
        partition.nullable()?;
        partition.tags()
    })
}

fn offset_fetch(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    let groups = if version >= 8 { body.array()? } else { 1 };
    for _ in 0..groups {
        group(body, saying)?;
        if version >= 9 {
            let member = body.nullable()?.unwrap_or_default();
            if !member.is_empty() {
                saying.field(field::MEMBER, member);
            }
            body.i32()?;
        }
        // Null asks for all topics.
        listed(body, saying, Naming::of(version, 10), |_| Some(()))?;
        if version >= 8 {
            body.tags()?;
        }
    }
    Some(())
}

fn find_coordinator(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    let first = if version <= 3 { Some(body.string()?) } else { None };
    let kind = if version >= 1 { body.i8()? } else { 0 };
    let (name, field) = match kind {
        0 => ("group", field::GROUP),
        1 => ("transaction", field::TRANSACTIONAL_ID),
        _ => ("key", field::GROUP),
    };
    match first {
        Some(key) => saying.word(field, name, key),
        None => {
            for _ in 0..body.array()? {
                saying.word(field, name, body.string()?);
            }
        }
    }
    Some(())
}

fn join_group(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    group(body, saying)?;
    body.bytes(sizes(version, &[(0, 4), (1, 4)]))?;
    saying.field(field::MEMBER, body.string()?);
    Some(())
}

/// A group, its generation, and a member of it.
fn generation(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    group(body, saying)?;
    body.i32()?;
    saying.field(field::MEMBER, body.string()?);
    Some(())
}

fn leave_group(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    group(body, saying)?;
    if version >= 3 && body.array()? == 0 {
        return Some(());
    }
    saying.field(field::MEMBER, body.string()?);
    Some(())
}

/// A group and a member of it.
fn member(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    group(body, saying)?;
    saying.field(field::MEMBER, body.string()?);
    Some(())
}

fn groups(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    for _ in 0..body.array()? {
        saying.word(field::GROUP, "group", body.string()?);
    }
    Some(())
}

fn mechanism(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    saying.bare(field::MECHANISM, body.string()?);
    Some(())
}

fn create_topics(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    let count = body.array()?;
    let listed = saying.names(body, count, name, skip_new_topic);
    saying.end_list();
    listed
}

/// What stands behind the name of a topic that is to be made; the configuration may be anybody's secret.
fn skip_new_topic(topic: &mut Reader<'_>) -> Option<()> {
    topic.bytes(6)?;
    for _ in 0..topic.array()? {
        topic.i32()?;
        topic.skip_array_of(4)?;
        topic.tags()?;
    }
    for _ in 0..topic.array()? {
        topic.string()?;
        topic.nullable()?;
        topic.tags()?;
    }
    topic.tags()
}

fn delete_topics(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    let count = body.array()?;
    let listed = if version < 6 {
        saying.names(body, count, name, |_| Some(()))
    } else {
        saying.names(body, count, name_and_id, Reader::tags)
    };
    saying.end_list();
    listed
}

fn delete_records(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    listed(body, saying, Naming::Name, |partition| {
        partition.i64()?;
        partition.tags()
    })?;
    timeout(body, saying, field::TIMEOUT_MS)
}

fn init_producer_id(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    if let Some(transaction) = body.nullable()? {
        saying.word(field::TRANSACTIONAL_ID, "transaction", transaction);
    }
    timeout(body, saying, field::TIMEOUT_MS)
}

fn offset_for_leader_epoch(
    version: i16,
    body: &mut Reader<'_>,
    saying: &mut Saying<'_>,
) -> Option<()> {
    body.bytes(sizes(version, &[(3, 4)]))?;
    let rest = sizes(version, &[(2, 4), (0, 4)]);
    listed(body, saying, Naming::Name, |partition| {
        partition.bytes(rest)?;
        partition.tags()
    })
}

fn add_partitions_to_txn(
    version: i16,
    body: &mut Reader<'_>,
    saying: &mut Saying<'_>,
) -> Option<()> {
    let transactions = if version >= 4 { body.array()? } else { 1 };
    for _ in 0..transactions {
        transaction(body, saying)?;
        body.bytes(sizes(version, &[(0, 10), (4, 1)]))?;
        listed(body, saying, Naming::Name, |_| Some(()))?;
        if version >= 4 {
            body.tags()?;
        }
    }
    Some(())
}

fn add_offsets_to_txn(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    transaction(body, saying)?;
    body.bytes(10)?;
    group(body, saying)
}

fn end_txn(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    transaction(body, saying)?;
    body.bytes(10)?;
    saying.words(if body.i8()? != 0 { "commit" } else { "abort" });
    Some(())
}

fn txn_offset_commit(version: i16, body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    transaction(body, saying)?;
    group(body, saying)?;
    body.bytes(10)?;
    if version >= 3 {
        body.i32()?;
        saying.field(field::MEMBER, body.string()?);
        body.nullable()?;
    }
    let rest = sizes(version, &[(0, 8), (2, 4)]);
    listed(body, saying, Naming::Name, |partition| {
        partition.bytes(rest)?;
        partition.nullable()?;
        partition.tags()
    })
}

fn create_partitions(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    let count = body.array()?;
    let listed = saying.names(body, count, name, |topic| {
        topic.i32()?;
        for _ in 0..topic.array()? {
            topic.skip_array_of(4)?;
            topic.tags()?;
        }
        topic.tags()
    });
    saying.end_list();
    listed
}

fn offset_delete(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    group(body, saying)?;
    listed(body, saying, Naming::Name, |partition| partition.tags())
}

fn describe_topic_partitions(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    let count = body.array()?;
    let listed = saying.names(body, count, name, Reader::tags);
    saying.end_list();
    listed
}

/// Topics with partitions, with nothing behind them in the text.
fn listed<'a>(
    body: &mut Reader<'a>,
    saying: &mut Saying<'_>,
    naming: Naming,
    rest: impl FnMut(&mut Reader<'a>) -> Option<()>,
) -> Option<()> {
    let listed = saying.topics(body, naming, rest);
    saying.end_list();
    listed.map(drop)
}

/// A topic's name.
fn name<'a>(body: &mut Reader<'a>) -> Option<Topic<'a>> {
    body.string().map(Topic::Name)
}

/// A topic's name, which may be null, and its number behind it.
fn name_and_id<'a>(body: &mut Reader<'a>) -> Option<Topic<'a>> {
    let name = body.nullable()?;
    Some(named(name, Some(body.uuid()?)))
}

fn named<'a>(name: Option<&'a [u8]>, id: Option<[u8; 16]>) -> Topic<'a> {
    match (name, id) {
        (None, Some(id)) => Topic::Id(id),
        (name, _) => Topic::Name(name.unwrap_or_default()),
    }
}

fn group(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    saying.word(field::GROUP, "group", body.string()?);
    Some(())
}

fn transaction(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    saying.word(field::TRANSACTIONAL_ID, "transaction", body.string()?);
    Some(())
}

/// A transaction that the text does not show.
fn transaction_field(body: &mut Reader<'_>, saying: &mut Saying<'_>) -> Option<()> {
    if let Some(transaction) = body.nullable()? {
        saying.field(field::TRANSACTIONAL_ID, transaction);
    }
    Some(())
}

fn timeout(body: &mut Reader<'_>, saying: &mut Saying<'_>, field: u8) -> Option<()> {
    saying.int(field, i64::from(body.i32()?));
    Some(())
}

/// How many bytes the fields take of which each is there from a version on.
fn sizes(version: i16, fields: &[(i16, usize)]) -> usize {
    fields.iter().filter(|(since, _)| version >= *since).map(|(_, size)| size).sum()
}
