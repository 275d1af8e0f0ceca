//! What responses answer: where they say that something failed, by version.
//!
//! From the message definitions of Apache Kafka 4.1. A layout is read up to its last error code, and no
//! further than the part of the message that the decoder looks at: of many partitions, the first.

use super::{
    apis::{Answer, Api, key},
    errors,
    reader::Reader,
};

/// What a response says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    /// The first code that is not [`errors::NONE`].
    pub(super) error: i16,
    /// How long the client was held back, in ms, where that is said.
    pub(super) throttle: Option<i32>,
    /// Something was read that no broker says.
    pub(super) strange: bool,
    /// The body goes on behind what is there.
    pub(super) is_cut: bool,
    /// Nothing was looked for.
    pub(super) is_unread: bool,
}

/// The longest time for which a broker is believed to hold a client back, in ms.
const MAX_THROTTLE_MS: i32 = 24 * 3600 * 1000;

impl Answered {
    /// A code that says whether something failed.
    fn error(&mut self, body: &mut Reader<'_>) -> Option<()> {
        let code = body.i16()?;
        self.strange |= !errors::is_plausible(code);
        if self.error == errors::NONE {
            self.error = code;
        }
        Some(())
    }

    fn throttle(&mut self, body: &mut Reader<'_>) -> Option<()> {
        let throttle = body.i32()?;
        self.strange |= !(0..=MAX_THROTTLE_MS).contains(&throttle);
        self.throttle = Some(throttle);
        Some(())
    }

    /// The same where it is there.
    fn throttle_if(&mut self, is_there: bool, body: &mut Reader<'_>) -> Option<()> {
        if is_there { self.throttle(body) } else { Some(()) }
    }
}

/// Reads the body of a response to a known version of a call, up to where it ends, is cut, or is not what
/// it should be, which the reader knows.
pub(super) fn read(api: &Api, key: i16, version: i16, body: &mut Reader<'_>) -> Answered {
    let mut answered = Answered::default();
    let end = match api.answer {
        Answer::Error => answered.error(body),
        Answer::Throttled { throttle, error } => {
            throttled(version >= throttle, version >= error, body, &mut answered)
        }
        Answer::Results { throttle } => results(version >= throttle, body, &mut answered),
        Answer::Own => own(key, version, body, &mut answered),
        Answer::Unread => {
            answered.is_unread = true;
            Some(())
        }
    };
    answered.is_cut = end.is_none();
    answered
}

fn own(key: i16, version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    match key {
        key::PRODUCE => produce(version, body, answered),
        key::FETCH => fetch(version, body, answered),
        key::LIST_OFFSETS => list_offsets(version, body, answered),
        key::METADATA => metadata(version, body, answered),
        key::OFFSET_COMMIT => {
            answered.throttle_if(version >= 3, body)?;
            partitions(version >= 10, body, answered)
        }
        key::OFFSET_FETCH => offset_fetch(version, body, answered),
        key::FIND_COORDINATOR => find_coordinator(version, body, answered),
        key::LEAVE_GROUP => leave_group(version, body, answered),
        key::CREATE_TOPICS => create_topics(version, body, answered),
        key::DELETE_TOPICS => delete_topics(version, body, answered),
        key::DELETE_RECORDS => delete_records(body, answered),
        key::OFFSET_FOR_LEADER_EPOCH => offset_for_leader_epoch(version, body, answered),
        key::ADD_PARTITIONS_TO_TXN => add_partitions_to_txn(version, body, answered),
        key::TXN_OFFSET_COMMIT => {
            answered.throttle(body)?;
            partitions(false, body, answered)
        }
        key::CREATE_ACLS => each(true, body, answered, |result, answered| {
            answered.error(result)?;
            result.nullable().map(drop)
        }),
        key::ALTER_CONFIGS | key::INCREMENTAL_ALTER_CONFIGS => {
            each(true, body, answered, |resource, answered| {
                answered.error(resource)?;
                resource.nullable()?;
                resource.i8()?;
                resource.string().map(drop)
            })
        }
        key::CREATE_PARTITIONS | key::ALTER_USER_SCRAM_CREDENTIALS => {
            each(true, body, answered, |result, answered| {
                result.string()?;
                answered.error(result)?;
                result.nullable().map(drop)
            })
        }
        key::DELETE_GROUPS => each(true, body, answered, |group, answered| {
            group.string()?;
            answered.error(group)
        }),
        key::ALTER_PARTITION_REASSIGNMENTS => {
            answered.throttle(body)?;
            if version >= 1 {
                body.i8()?;
            }
            answered.error(body)?;
            answered.is_unread = answered.error == errors::NONE;
            Some(())
        }
        key::OFFSET_DELETE => {
            answered.error(body)?;
            answered.throttle(body)?;
            partitions(false, body, answered)
        }
        _ => Some(()),
    }
}

fn throttled(
    throttle: bool,
    error: bool,
    body: &mut Reader<'_>,
    answered: &mut Answered,
) -> Option<()> {
    answered.throttle_if(throttle, body)?;
    // Older ones say it somewhere among what they list.
    answered.is_unread = !error;
    if error { answered.error(body) } else { Some(()) }
}

fn results(throttle: bool, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    answered.throttle_if(throttle, body)?;
    let count = body.array()?;
    if count > 0 {
        answered.error(body)?;
        // Of the others nothing is known.
        answered.is_unread = count > 1 && answered.error == errors::NONE;
    }
    Some(())
}

/// The elements of an array; their tagged fields are gone over.
fn each<'a>(
    throttle: bool,
    body: &mut Reader<'a>,
    answered: &mut Answered,
    mut element: impl FnMut(&mut Reader<'a>, &mut Answered) -> Option<()>,
) -> Option<()> {
    answered.throttle_if(throttle, body)?;
    for _ in 0..body.array()? {
        element(body, answered)?;
        body.tags()?;
    }
    Some(())
}

/// A topic's name or number.
fn topic(by_id: bool, body: &mut Reader<'_>) -> Option<()> {
    if by_id { body.uuid().map(drop) } else { body.string().map(drop) }
}

/// Topics with partitions of which nothing but the number and the error is said.
fn partitions(by_id: bool, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    each(false, body, answered, |body, answered| {
        topic(by_id, body)?;
        each(false, body, answered, |partition, answered| {
            partition.i32()?;
            answered.error(partition)
        })
    })
}

fn produce(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    each(false, body, answered, |body, answered| {
        topic(version >= 13, body)?;
        each(false, body, answered, |partition, answered| {
            partition.i32()?;
            answered.error(partition)?;
            partition.i64()?;
            if version >= 2 {
                partition.i64()?;
            }
            if version >= 5 {
                partition.i64()?;
            }
            if version >= 8 {
                for _ in 0..partition.array()? {
                    partition.i32()?;
                    partition.nullable()?;
                    partition.tags()?;
                }
                partition.nullable()?;
            }
            Some(())
        })
    })?;
    answered.throttle_if(version >= 1, body)
}

fn fetch(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    answered.throttle_if(version >= 1, body)?;
    if version >= 7 {
        answered.error(body)?;
        body.i32()?;
    }
    each(false, body, answered, |body, answered| {
        topic(version >= 13, body)?;
        each(false, body, answered, |partition, answered| {
            partition.i32()?;
            answered.error(partition)?;
            partition.i64()?;
            if version >= 4 {
                partition.i64()?;
            }
            if version >= 5 {
                partition.i64()?;
            }
            if version >= 4 {
                for _ in 0..partition.array()? {
                    partition.bytes(16)?;
                    partition.tags()?;
                }
            }
            if version >= 11 {
                partition.i32()?;
            }
            partition.skip_bytes()
        })
    })
}

fn list_offsets(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    answered.throttle_if(version >= 2, body)?;
    each(false, body, answered, |body, answered| {
        topic(false, body)?;
        each(false, body, answered, |partition, answered| {
            partition.i32()?;
            answered.error(partition)?;
            if version == 0 {
                return partition.skip_array_of(8);
            }
            partition.bytes(16)?;
            if version >= 4 {
                partition.i32()?;
            }
            Some(())
        })
    })
}

fn metadata(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    answered.throttle_if(version >= 3, body)?;
    each(false, body, answered, |broker, _| {
        broker.i32()?;
        broker.string()?;
        broker.i32()?;
        if version >= 1 {
            broker.nullable()?;
        }
        Some(())
    })?;
    if version >= 2 {
        body.nullable()?;
    }
    if version >= 1 {
        body.i32()?;
    }
    each(false, body, answered, |topic, answered| metadata_topic(version, topic, answered))?;
    if (8..=10).contains(&version) {
        body.i32()?;
    }
    if version >= 13 { answered.error(body) } else { Some(()) }
}

fn metadata_topic(version: i16, topic: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    answered.error(topic)?;
    topic.nullable()?;
    if version >= 10 {
        topic.uuid()?;
    }
    if version >= 1 {
        topic.i8()?;
    }
    each(false, topic, answered, |partition, answered| {
        answered.error(partition)?;
        partition.bytes(8)?;
        if version >= 7 {
            partition.i32()?;
        }
        partition.skip_array_of(4)?;
        partition.skip_array_of(4)?;
        if version >= 5 { partition.skip_array_of(4) } else { Some(()) }
    })?;
    if version >= 8 {
        topic.i32()?;
    }
    Some(())
}

fn offset_fetch(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    answered.throttle_if(version >= 3, body)?;
    if version >= 8 {
        return each(false, body, answered, |group, answered| {
            group.string()?;
            offset_fetch_topics(version, group, answered)?;
            answered.error(group)
        });
    }
    offset_fetch_topics(version, body, answered)?;
    if version >= 2 { answered.error(body) } else { Some(()) }
}

fn offset_fetch_topics(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    each(false, body, answered, |body, answered| {
        topic(version >= 10, body)?;
        each(false, body, answered, |partition, answered| {
            partition.bytes(12)?;
            if version >= 5 {
                partition.i32()?;
            }
            partition.nullable()?;
            answered.error(partition)
        })
    })
}

fn find_coordinator(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    answered.throttle_if(version >= 1, body)?;
    if version <= 3 {
        return answered.error(body);
    }
    each(false, body, answered, |coordinator, answered| {
        coordinator.string()?;
        coordinator.i32()?;
        coordinator.string()?;
        coordinator.i32()?;
        answered.error(coordinator)?;
        coordinator.nullable().map(drop)
    })
}

fn leave_group(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    answered.throttle_if(version >= 1, body)?;
    answered.error(body)?;
    if version <= 2 {
        return Some(());
    }
    each(false, body, answered, |member, answered| {
        member.string()?;
        member.nullable()?;
        answered.error(member)
    })
}

fn create_topics(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    each(version >= 2, body, answered, |topic, answered| {
        topic.string()?;
        if version >= 7 {
            topic.uuid()?;
        }
        answered.error(topic)?;
        if version >= 1 {
            topic.nullable()?;
        }
        if version >= 5 {
            topic.bytes(6)?;
            for _ in 0..topic.array()? {
                topic.string()?;
                topic.nullable()?;
                topic.bytes(3)?;
                topic.tags()?;
            }
        }
        Some(())
    })
}

fn delete_topics(version: i16, body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    each(version >= 1, body, answered, |topic, answered| {
        topic.nullable()?;
        if version >= 6 {
            topic.uuid()?;
        }
        answered.error(topic)?;
        if version >= 5 { topic.nullable().map(drop) } else { Some(()) }
    })
}

fn delete_records(body: &mut Reader<'_>, answered: &mut Answered) -> Option<()> {
    each(true, body, answered, |body, answered| {
        topic(false, body)?;
        each(false, body, answered, |partition, answered| {
            partition.bytes(12)?;
            answered.error(partition)
        })
    })
}

fn offset_for_leader_epoch(
    version: i16,
    body: &mut Reader<'_>,
    answered: &mut Answered,
) -> Option<()> {
    each(version >= 2, body, answered, |body, answered| {
        topic(false, body)?;
        each(false, body, answered, |partition, answered| {
            answered.error(partition)?;
            partition.bytes(if version >= 1 { 16 } else { 12 }).map(drop)
        })
    })
}

fn add_partitions_to_txn(
    version: i16,
    body: &mut Reader<'_>,
    answered: &mut Answered,
) -> Option<()> {
    answered.throttle(body)?;
    if version <= 3 {
        return partitions(false, body, answered);
    }
    answered.error(body)?;
    each(false, body, answered, |transaction, answered| {
        transaction.string()?;
        partitions(false, transaction, answered)
    })
}
