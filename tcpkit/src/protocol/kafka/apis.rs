//! The calls that Kafka knows: names, versions, and where a response says that it failed.
//!
//! From the message definitions of Apache Kafka 4.1 (`clients/src/main/resources/common/message`), with the
//! versions that only older brokers speak.

/// What is known of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Api {
    /// Its name.
    pub(super) name: &'static str,
    /// The highest version whose layout is known; version 0 is the lowest.
    pub(super) highest: i16,
    /// The first version with compact lengths and tagged fields (KIP-482).
    pub(super) flexible: i16,
    /// Where its responses say that they failed.
    pub(super) answer: Answer,
}

/// Where a response says that it failed, and how long its client was throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// At its beginning.
    Error,
    /// Behind the throttle time; each is there from a version on.
    Throttled { throttle: i16, error: i16 },
    /// At the beginning of each element of an array, which follows the throttle time that is there from a
    /// version on. Only the first element is looked at, since the others lie behind what varies.
    Results { throttle: i16 },
    /// Where a layout of its own says.
    Own,
    /// It is not looked for.
    Unread,
}

/// For calls that never got tagged fields.
const NEVER: i16 = i16::MAX;

const THROTTLED: Answer = Answer::Throttled { throttle: 0, error: 0 };

const fn api(name: &'static str, highest: i16, flexible: i16, answer: Answer) -> Api {
    Api { name, highest, flexible, answer }
}

/// All calls, by their keys.
#[rustfmt::skip]
static APIS: [Api; 93] = [
    api("Produce", 13, 9, Answer::Own),
    api("Fetch", 18, 12, Answer::Own),
    api("ListOffsets", 11, 6, Answer::Own),
    api("Metadata", 13, 9, Answer::Own),
    api("LeaderAndIsr", 7, 4, Answer::Error),
    api("StopReplica", 4, 2, Answer::Error),
    api("UpdateMetadata", 8, 6, Answer::Error),
    api("ControlledShutdown", 3, 3, Answer::Error),
    api("OffsetCommit", 10, 8, Answer::Own),
    api("OffsetFetch", 10, 6, Answer::Own),
    api("FindCoordinator", 6, 3, Answer::Own),
    api("JoinGroup", 9, 6, Answer::Throttled { throttle: 2, error: 0 }),
    api("Heartbeat", 4, 4, Answer::Throttled { throttle: 1, error: 0 }),
    api("LeaveGroup", 5, 4, Answer::Own),
    api("SyncGroup", 5, 4, Answer::Throttled { throttle: 1, error: 0 }),
    api("DescribeGroups", 6, 5, Answer::Results { throttle: 1 }),
    api("ListGroups", 5, 3, Answer::Throttled { throttle: 1, error: 0 }),
    api("SaslHandshake", 1, NEVER, Answer::Error),
    api("ApiVersions", 4, 3, Answer::Error),
    api("CreateTopics", 7, 5, Answer::Own),
    api("DeleteTopics", 6, 4, Answer::Own),
    api("DeleteRecords", 2, 2, Answer::Own),
    api("InitProducerId", 6, 2, THROTTLED),
    api("OffsetForLeaderEpoch", 4, 4, Answer::Own),
    api("AddPartitionsToTxn", 5, 3, Answer::Own),
    api("AddOffsetsToTxn", 4, 3, THROTTLED),
    api("EndTxn", 5, 3, THROTTLED),
    api("WriteTxnMarkers", 2, 1, Answer::Unread),
    api("TxnOffsetCommit", 5, 3, Answer::Own),
    api("DescribeAcls", 3, 2, THROTTLED),
    api("CreateAcls", 3, 2, Answer::Own),
    api("DeleteAcls", 3, 2, Answer::Results { throttle: 0 }),
    api("DescribeConfigs", 4, 4, Answer::Results { throttle: 0 }),
    api("AlterConfigs", 2, 2, Answer::Own),
    api("AlterReplicaLogDirs", 2, 2, Answer::Unread),
    api("DescribeLogDirs", 5, 2, Answer::Throttled { throttle: 0, error: 3 }),
    api("SaslAuthenticate", 2, 2, Answer::Error),
    api("CreatePartitions", 3, 2, Answer::Own),
    api("CreateDelegationToken", 3, 2, Answer::Error),
    api("RenewDelegationToken", 2, 2, Answer::Error),
    api("ExpireDelegationToken", 2, 2, Answer::Error),
    api("DescribeDelegationToken", 3, 2, Answer::Error),
    api("DeleteGroups", 2, 2, Answer::Own),
    api("ElectLeaders", 2, 2, Answer::Throttled { throttle: 0, error: 1 }),
    api("IncrementalAlterConfigs", 1, 1, Answer::Own),
    api("AlterPartitionReassignments", 1, 0, Answer::Own),
    api("ListPartitionReassignments", 0, 0, THROTTLED),
    api("OffsetDelete", 0, NEVER, Answer::Own),
    api("DescribeClientQuotas", 1, 1, THROTTLED),
    api("AlterClientQuotas", 1, 1, Answer::Results { throttle: 0 }),
    api("DescribeUserScramCredentials", 0, 0, THROTTLED),
    api("AlterUserScramCredentials", 0, 0, Answer::Own),
    api("Vote", 2, 0, Answer::Error),
    api("BeginQuorumEpoch", 1, 1, Answer::Error),
    api("EndQuorumEpoch", 1, 1, Answer::Error),
    api("DescribeQuorum", 2, 0, Answer::Error),
    api("AlterPartition", 3, 0, THROTTLED),
    api("UpdateFeatures", 2, 0, THROTTLED),
    api("Envelope", 0, 0, Answer::Unread),
    api("FetchSnapshot", 1, 0, THROTTLED),
    api("DescribeCluster", 2, 0, THROTTLED),
    api("DescribeProducers", 0, 0, Answer::Unread),
    api("BrokerRegistration", 4, 0, THROTTLED),
    api("BrokerHeartbeat", 1, 0, THROTTLED),
    api("UnregisterBroker", 0, 0, THROTTLED),
    api("DescribeTransactions", 0, 0, Answer::Results { throttle: 0 }),
    api("ListTransactions", 2, 0, THROTTLED),
    api("AllocateProducerIds", 0, 0, THROTTLED),
    api("ConsumerGroupHeartbeat", 1, 0, THROTTLED),
    api("ConsumerGroupDescribe", 1, 0, Answer::Results { throttle: 0 }),
    api("ControllerRegistration", 0, 0, THROTTLED),
    api("GetTelemetrySubscriptions", 0, 0, THROTTLED),
    api("PushTelemetry", 0, 0, THROTTLED),
    api("AssignReplicasToDirs", 0, 0, THROTTLED),
    api("ListConfigResources", 1, 0, THROTTLED),
    api("DescribeTopicPartitions", 0, 0, Answer::Results { throttle: 0 }),
    api("ShareGroupHeartbeat", 1, 0, THROTTLED),
    api("ShareGroupDescribe", 1, 0, Answer::Results { throttle: 0 }),
    api("ShareFetch", 2, 0, THROTTLED),
    api("ShareAcknowledge", 2, 0, THROTTLED),
    api("AddRaftVoter", 1, 0, THROTTLED),
    api("RemoveRaftVoter", 0, 0, THROTTLED),
    api("UpdateRaftVoter", 0, 0, THROTTLED),
    api("InitializeShareGroupState", 0, 0, Answer::Unread),
    api("ReadShareGroupState", 0, 0, Answer::Unread),
    api("WriteShareGroupState", 0, 0, Answer::Unread),
    api("DeleteShareGroupState", 0, 0, Answer::Unread),
    api("ReadShareGroupStateSummary", 1, 0, Answer::Unread),
    api("StreamsGroupHeartbeat", 0, 0, THROTTLED),
    api("StreamsGroupDescribe", 0, 0, Answer::Results { throttle: 0 }),
    api("DescribeShareGroupOffsets", 1, 0, Answer::Unread),
    api("AlterShareGroupOffsets", 0, 0, THROTTLED),
    api("DeleteShareGroupOffsets", 0, 0, THROTTLED),
];

/// The call with this key.
pub(super) fn lookup(key: i16) -> Option<&'static Api> {
    APIS.get(usize::try_from(key).ok()?)
}

/// Whether a call of this version has tagged fields; one that is too new to be known is taken to.
pub(super) fn is_flexible(key: i16, version: i16) -> bool {
    lookup(key).is_none_or(|api| version >= api.flexible)
}

/// `Produce` and the other calls that are more than a line of the table to the decoder, by their keys.
pub(super) mod key {
    pub(in super::super) const PRODUCE: i16 = 0;
    pub(in super::super) const FETCH: i16 = 1;
    pub(in super::super) const LIST_OFFSETS: i16 = 2;
    pub(in super::super) const METADATA: i16 = 3;
    pub(in super::super) const CONTROLLED_SHUTDOWN: i16 = 7;
    pub(in super::super) const OFFSET_COMMIT: i16 = 8;
    pub(in super::super) const OFFSET_FETCH: i16 = 9;
    pub(in super::super) const FIND_COORDINATOR: i16 = 10;
    pub(in super::super) const JOIN_GROUP: i16 = 11;
    pub(in super::super) const HEARTBEAT: i16 = 12;
    pub(in super::super) const LEAVE_GROUP: i16 = 13;
    pub(in super::super) const SYNC_GROUP: i16 = 14;
    pub(in super::super) const DESCRIBE_GROUPS: i16 = 15;
    pub(in super::super) const SASL_HANDSHAKE: i16 = 17;
    pub(in super::super) const API_VERSIONS: i16 = 18;
    pub(in super::super) const CREATE_TOPICS: i16 = 19;
    pub(in super::super) const DELETE_TOPICS: i16 = 20;
    pub(in super::super) const DELETE_RECORDS: i16 = 21;
    pub(in super::super) const INIT_PRODUCER_ID: i16 = 22;
    pub(in super::super) const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
    pub(in super::super) const ADD_PARTITIONS_TO_TXN: i16 = 24;
    pub(in super::super) const ADD_OFFSETS_TO_TXN: i16 = 25;
    pub(in super::super) const END_TXN: i16 = 26;
    pub(in super::super) const TXN_OFFSET_COMMIT: i16 = 28;
    pub(in super::super) const CREATE_ACLS: i16 = 30;
    pub(in super::super) const ALTER_CONFIGS: i16 = 33;
    pub(in super::super) const SASL_AUTHENTICATE: i16 = 36;
    pub(in super::super) const CREATE_PARTITIONS: i16 = 37;
    pub(in super::super) const DELETE_GROUPS: i16 = 42;
    pub(in super::super) const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
    pub(in super::super) const ALTER_PARTITION_REASSIGNMENTS: i16 = 45;
    pub(in super::super) const OFFSET_DELETE: i16 = 47;
    pub(in super::super) const ALTER_USER_SCRAM_CREDENTIALS: i16 = 51;
    pub(in super::super) const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
    pub(in super::super) const CONSUMER_GROUP_DESCRIBE: i16 = 69;
    pub(in super::super) const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;
    pub(in super::super) const SHARE_GROUP_HEARTBEAT: i16 = 76;
    pub(in super::super) const SHARE_GROUP_DESCRIBE: i16 = 77;
    pub(in super::super) const SHARE_FETCH: i16 = 78;
    pub(in super::super) const SHARE_ACKNOWLEDGE: i16 = 79;
    pub(in super::super) const STREAMS_GROUP_HEARTBEAT: i16 = 88;
    pub(in super::super) const STREAMS_GROUP_DESCRIBE: i16 = 89;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_where_its_keys_say() {
        for (key, name) in [
            (key::PRODUCE, "Produce"),
            (key::CONTROLLED_SHUTDOWN, "ControlledShutdown"),
            (key::SASL_HANDSHAKE, "SaslHandshake"),
            (key::END_TXN, "EndTxn"),
            (key::SASL_AUTHENTICATE, "SaslAuthenticate"),
            (key::OFFSET_DELETE, "OffsetDelete"),
            (key::ALTER_USER_SCRAM_CREDENTIALS, "AlterUserScramCredentials"),
            (key::DESCRIBE_TOPIC_PARTITIONS, "DescribeTopicPartitions"),
            (key::STREAMS_GROUP_DESCRIBE, "StreamsGroupDescribe"),
            (92, "DeleteShareGroupOffsets"),
        ] {
            assert_eq!(lookup(key).map(|api| api.name), Some(name));
        }
        assert_eq!(lookup(-1), None);
        assert_eq!(lookup(93), None);
        assert!(APIS.iter().all(|api| api.highest >= 0 && api.name.len() <= 32));
    }

    #[test]
    fn flexible_versions_begin_where_the_table_says() {
        assert!(!is_flexible(key::PRODUCE, 8) && is_flexible(key::PRODUCE, 9));
        assert!(!is_flexible(key::SASL_HANDSHAKE, 1));
        assert!(is_flexible(500, 0), "what is not known is new");
    }
}
