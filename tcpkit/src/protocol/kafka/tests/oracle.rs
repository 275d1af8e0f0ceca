//! Requests as another implementation encodes them, in every version it knows.

use kafka_protocol::{
    messages::*,
    protocol::{Encodable, HeaderVersion, Request as Call, StrBytes},
};

use super::*;

pub(super) fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// A call's request in a version, with the number 7.
pub(super) fn encode<C: Call>(version: i16, body: &C) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(C::KEY)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(text("client")));
    let mut bytes = Vec::new();
    header.encode(&mut bytes, C::header_version(version)).unwrap();
    body.encode(&mut bytes, version).unwrap();
    sized(&bytes)
}

/// A response to a call in a version, with the number 7.
pub(super) fn encode_response<C: Call>(version: i16, body: &C::Response) -> Vec<u8> {
    let header = ResponseHeader::default().with_correlation_id(7);
    let mut bytes = Vec::new();
    header.encode(&mut bytes, C::Response::header_version(version)).unwrap();
    body.encode(&mut bytes, version).unwrap();
    sized(&bytes)
}

/// The texts of a call in all versions from `min` to `max`, as far as the oracle knows them.
fn check<C: Call>(min: i16, max: i16, make: impl Fn(i16) -> C, expect: &str) {
    let (first, last) = (C::VERSIONS.min.max(min), C::VERSIONS.max.min(max));
    assert!(first <= last);
    for version in first..=last {
        let bytes = encode(version, &make(version));
        let driver = decode_all(Request, &bytes);
        assert_eq!(driver.broken, None);
        assert_eq!(driver.seen.len(), 1);
        assert_eq!(driver.seen[0].text, expect, "version {version}");
        assert!(new_driver().decoder.rejoin(Request, &bytes), "{expect} version {version}");
    }
}

fn topic(name: &'static str) -> TopicName {
    TopicName(text(name))
}

const ID: &str = "AwMDAwMDAwMDAwMDAwMDAw";

/// A topic's number, as the oracle's type; it is not named here, so that its crate is not needed.
macro_rules! id {
    () => {
        "03030303-0303-0303-0303-030303030303".parse().unwrap()
    };
}

#[test]
fn produce() {
    let make = |version| {
        let partition = |index| {
            produce_request::PartitionProduceData::default()
                .with_index(index)
                .with_records(Some(vec![0xee; 20].into()))
        };
        let data = produce_request::TopicProduceData::default()
            .with_partition_data(vec![partition(4), partition(5)]);
        let data =
            if version >= 13 { data.with_topic_id(id!()) } else { data.with_name(topic("orders")) };
        ProduceRequest::default()
            .with_transactional_id(Some(TransactionalId(text("t"))))
            .with_acks(-1)
            .with_timeout_ms(1000)
            .with_topic_data(vec![data])
    };
    check(0, 12, make, "Produce orders[4,5] acks=all");
    check(13, 99, make, &format!("Produce {ID}[4,5] acks=all"));
}

#[test]
fn fetch() {
    let make = |version| {
        let partition = |index| fetch_request::FetchPartition::default().with_partition(index);
        let asked =
            fetch_request::FetchTopic::default().with_partitions(vec![partition(4), partition(5)]);
        let asked = if version >= 13 {
            asked.with_topic_id(id!())
        } else {
            asked.with_topic(topic("orders"))
        };
        FetchRequest::default().with_max_wait_ms(250).with_min_bytes(1).with_topics(vec![asked])
    };
    check(0, 12, make, "Fetch orders[4,5] max_wait=250ms");
    check(13, 99, make, &format!("Fetch {ID}[4,5] max_wait=250ms"));
}

#[test]
fn offsets() {
    check(
        0,
        99,
        |_| {
            let partition =
                list_offsets_request::ListOffsetsPartition::default().with_partition_index(3);
            let asked = list_offsets_request::ListOffsetsTopic::default()
                .with_name(topic("orders"))
                .with_partitions(vec![partition.clone(), partition]);
            ListOffsetsRequest::default().with_topics(vec![asked])
        },
        "ListOffsets orders[3,3]",
    );
    check(
        0,
        99,
        |_| {
            let partition = offset_commit_request::OffsetCommitRequestPartition::default()
                .with_partition_index(3)
                .with_committed_metadata(Some(text("metadata")));
            let asked = offset_commit_request::OffsetCommitRequestTopic::default()
                .with_name(topic("orders"))
                .with_partitions(vec![partition.clone(), partition]);
            OffsetCommitRequest::default()
                .with_group_id(GroupId(text("g")))
                .with_member_id(text("m"))
                .with_topics(vec![asked])
        },
        "OffsetCommit group=g orders[3,3]",
    );
    let asked = || {
        offset_fetch_request::OffsetFetchRequestTopic::default()
            .with_name(topic("orders"))
            .with_partition_indexes(vec![1, 2])
    };
    check(
        0,
        7,
        |_| {
            OffsetFetchRequest::default()
                .with_group_id(GroupId(text("g")))
                .with_topics(Some(vec![asked()]))
        },
        "OffsetFetch group=g orders[1,2]",
    );
    check(
        8,
        99,
        |_| {
            let asked = offset_fetch_request::OffsetFetchRequestTopics::default()
                .with_name(topic("orders"))
                .with_partition_indexes(vec![1, 2]);
            let group = offset_fetch_request::OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(text("g")))
                .with_topics(Some(vec![asked]));
            OffsetFetchRequest::default().with_groups(vec![group.clone(), group.with_topics(None)])
        },
        "OffsetFetch group=g orders[1,2] group=g",
    );
    check(
        0,
        99,
        |_| {
            let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default()
                .with_partition(8);
            let asked = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
                .with_topic(topic("orders"))
                .with_partitions(vec![partition.clone(), partition]);
            OffsetForLeaderEpochRequest::default().with_topics(vec![asked])
        },
        "OffsetForLeaderEpoch orders[8,8]",
    );
}

#[test]
fn topics() {
    check(
        0,
        99,
        |_| {
            let asked = |name| {
                metadata_request::MetadataRequestTopic::default().with_name(Some(topic(name)))
            };
            MetadataRequest::default().with_topics(Some(vec![asked("a"), asked("b")]))
        },
        "Metadata a,b",
    );
    check(
        0,
        99,
        |_| {
            let assignment = create_topics_request::CreatableReplicaAssignment::default()
                .with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
            let config = create_topics_request::CreatableTopicConfig::default()
                .with_name(text("retention.ms"))
                .with_value(Some(text("1")));
            let made = |name| {
                create_topics_request::CreatableTopic::default()
                    .with_name(topic(name))
                    .with_assignments(vec![assignment.clone()])
                    .with_configs(vec![config.clone()])
            };
            CreateTopicsRequest::default().with_topics(vec![made("a"), made("b")])
        },
        "CreateTopics a,b",
    );
    check(
        0,
        5,
        |_| DeleteTopicsRequest::default().with_topic_names(vec![topic("a"), topic("b")]),
        "DeleteTopics a,b",
    );
    check(
        6,
        99,
        |_| {
            let dropped = delete_topics_request::DeleteTopicState::default();
            let named = dropped.clone().with_name(Some(topic("a")));
            DeleteTopicsRequest::default().with_topics(vec![named, dropped.with_topic_id(id!())])
        },
        &format!("DeleteTopics a,{ID}"),
    );
    check(
        0,
        99,
        |_| {
            let partition =
                delete_records_request::DeleteRecordsPartition::default().with_partition_index(2);
            let asked = delete_records_request::DeleteRecordsTopic::default()
                .with_name(topic("a"))
                .with_partitions(vec![partition]);
            DeleteRecordsRequest::default().with_topics(vec![asked.clone(), asked])
        },
        "DeleteRecords a[2] a[2]",
    );
    check(
        0,
        99,
        |_| {
            let assignment = create_partitions_request::CreatePartitionsAssignment::default()
                .with_broker_ids(vec![BrokerId(1)]);
            let asked = create_partitions_request::CreatePartitionsTopic::default()
                .with_name(topic("a"))
                .with_assignments(Some(vec![assignment]));
            CreatePartitionsRequest::default().with_topics(vec![asked.clone(), asked])
        },
        "CreatePartitions a,a",
    );
}

#[test]
fn groups_and_transactions() {
    let group = || GroupId(text("g"));
    let transaction = || TransactionalId(text("t"));
    check(
        0,
        99,
        |_| JoinGroupRequest::default().with_group_id(group()).with_member_id(text("m")),
        "JoinGroup group=g",
    );
    check(0, 99, |_| HeartbeatRequest::default().with_group_id(group()), "Heartbeat group=g");
    check(0, 99, |_| SyncGroupRequest::default().with_group_id(group()), "SyncGroup group=g");
    check(0, 99, |_| LeaveGroupRequest::default().with_group_id(group()), "LeaveGroup group=g");
    check(
        0,
        99,
        |_| DescribeGroupsRequest::default().with_groups(vec![group(), group()]),
        "DescribeGroups group=g group=g",
    );
    check(
        0,
        99,
        |_| DeleteGroupsRequest::default().with_groups_names(vec![group()]),
        "DeleteGroups group=g",
    );
    check(
        0,
        99,
        |_| ConsumerGroupHeartbeatRequest::default().with_group_id(group()),
        "ConsumerGroupHeartbeat group=g",
    );
    check(
        1,
        3,
        |_| FindCoordinatorRequest::default().with_key(text("g")),
        "FindCoordinator group=g",
    );
    check(
        4,
        99,
        |_| {
            FindCoordinatorRequest::default()
                .with_key_type(1)
                .with_coordinator_keys(vec![text("t"), text("u")])
        },
        "FindCoordinator transaction=t transaction=u",
    );
    check(
        0,
        99,
        |_| InitProducerIdRequest::default().with_transactional_id(Some(transaction())),
        "InitProducerId transaction=t",
    );
    let added = || {
        add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(topic("a"))
            .with_partitions(vec![0, 1])
    };
    check(
        0,
        3,
        |_| {
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(transaction())
                .with_v3_and_below_topics(vec![added()])
        },
        "AddPartitionsToTxn transaction=t a[0,1]",
    );
    check(
        4,
        99,
        |_| {
            let transaction =
                add_partitions_to_txn_request::AddPartitionsToTxnTransaction::default()
                    .with_transactional_id(transaction())
                    .with_topics(vec![added()]);
            AddPartitionsToTxnRequest::default().with_transactions(vec![transaction])
        },
        "AddPartitionsToTxn transaction=t a[0,1]",
    );
    check(
        0,
        99,
        |_| {
            AddOffsetsToTxnRequest::default()
                .with_transactional_id(transaction())
                .with_group_id(group())
        },
        "AddOffsetsToTxn transaction=t group=g",
    );
    check(
        0,
        99,
        |_| EndTxnRequest::default().with_transactional_id(transaction()).with_committed(true),
        "EndTxn transaction=t commit",
    );
    check(
        0,
        99,
        |_| {
            let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()
                .with_partition_index(3)
                .with_committed_metadata(Some(text("x")));
            let asked = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
                .with_name(topic("a"))
                .with_partitions(vec![partition.clone(), partition]);
            TxnOffsetCommitRequest::default()
                .with_transactional_id(transaction())
                .with_group_id(group())
                .with_topics(vec![asked])
        },
        "TxnOffsetCommit transaction=t group=g a[3,3]",
    );
    check(
        0,
        99,
        |_| SaslHandshakeRequest::default().with_mechanism(text("PLAIN")),
        "SaslHandshake PLAIN",
    );
    check(
        0,
        99,
        |_| SaslAuthenticateRequest::default().with_auth_bytes(vec![0, 1, 2].into()),
        "SaslAuthenticate (redacted)",
    );
}
