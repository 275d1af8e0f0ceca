//! Responses as another implementation encodes them, in every version it knows.

use kafka_protocol::{messages::*, protocol::Request as Call};

use super::{
    oracle::{encode, encode_response, text},
    *,
};
use crate::protocol::kafka::apis::{self, Answer, key};

const OK: &str = "< ok | #7";
const UNKNOWN: &str = "< unknown | #7";
const ERROR: &str = "< error | #7 | NOT_COORDINATOR";

/// What a response reads as in all versions from `min` to `max`, as far as the oracle knows them.
fn check<C: Call + Default>(min: i16, max: i16, make: impl Fn(i16) -> C::Response, expect: &str) {
    let (first, last) = (C::VERSIONS.min.max(min), C::VERSIONS.max.min(max));
    assert!(first <= last);
    for version in first..=last {
        let asked = flexible_or_not(version, &C::default());
        let bytes = encode_response::<C>(version, &make(version));
        for cut in [0, 1, 5, bytes.len() / 2] {
            let mut driver = new_driver();
            driver.feed(Request, &asked);
            driver.feed(Response, &bytes[..cut.min(bytes.len())]);
            driver.feed(Response, &bytes[cut.min(bytes.len())..]);
            assert_eq!(driver.broken, None);
            // Where nothing is read that would say so, it is not called a success.
            let api = apis::lookup(C::KEY).unwrap();
            let expect = match api.answer {
                Answer::Unread if expect == OK => UNKNOWN,
                Answer::Throttled { error, .. } if expect == OK && version < error => UNKNOWN,
                Answer::Own if expect == OK && C::KEY == key::ALTER_PARTITION_REASSIGNMENTS => {
                    UNKNOWN
                }
                _ => expect,
            };
            assert_eq!(driver.lines()[1..], [expect], "key {} version {version}", C::KEY);
        }
        let mut driver = new_driver();
        driver.feed(Request, &asked);
        assert!(driver.decoder.rejoin(Response, &bytes), "key {} version {version}", C::KEY);
    }
}

/// A request of a version whose body does not matter. Of `Produce` it would say that nobody answers.
fn flexible_or_not<C: Call>(version: i16, body: &C) -> Vec<u8> {
    if C::KEY != 0 {
        return encode(version, body);
    }
    let head = if version >= 9 { Wire::flexible().end() } else { Wire::plain() };
    let body = head.null_string().i16(-1).i32(1000).count(0).end();
    request(0, version, 7, Some("client"), &body.bytes)
}

/// Requests and responses of all calls, by default: their headers, and bodies without an error.
macro_rules! all {
    ($($call:ident)*) => {
        #[test]
        fn every_call_in_every_version() {
            $(
                let versions = <$call as kafka_protocol::protocol::Message>::VERSIONS;
                for version in versions.min..=versions.max {
                    let bytes = flexible_or_not(version, &$call::default());
                    let driver = decode_all(Request, &bytes);
                    assert_eq!(driver.broken, None);
                    let name = stringify!($call).trim_end_matches("Request");
                    let line = format!("> {name} | #7 | {name}");
                    assert!(driver.lines()[0].starts_with(&line), "{:?} {line}", driver.lines());
                    let known = !driver.seen[0].text.contains(&format!(" v{version}"));
                    assert!(known, "version {version} of {name} is not in the table");
                    assert!(new_driver().decoder.rejoin(Request, &bytes), "{line} {version}");
                    assert_eq!((PROTOCOL.probe)(&bytes), crate::protocol::Probe::Request, "{line}");
                }
                check::<$call>(0, 99, |_| Default::default(), OK);
            )*
        }
    };
}

all! {
    ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest
    OffsetFetchRequest FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest
    SyncGroupRequest DescribeGroupsRequest ListGroupsRequest SaslHandshakeRequest ApiVersionsRequest
    CreateTopicsRequest DeleteTopicsRequest DeleteRecordsRequest InitProducerIdRequest
    OffsetForLeaderEpochRequest AddPartitionsToTxnRequest AddOffsetsToTxnRequest EndTxnRequest
    WriteTxnMarkersRequest TxnOffsetCommitRequest DescribeAclsRequest CreateAclsRequest
    DeleteAclsRequest DescribeConfigsRequest AlterConfigsRequest AlterReplicaLogDirsRequest
    DescribeLogDirsRequest SaslAuthenticateRequest CreatePartitionsRequest
    CreateDelegationTokenRequest RenewDelegationTokenRequest ExpireDelegationTokenRequest
    DescribeDelegationTokenRequest DeleteGroupsRequest ElectLeadersRequest
    IncrementalAlterConfigsRequest AlterPartitionReassignmentsRequest
    ListPartitionReassignmentsRequest OffsetDeleteRequest DescribeClientQuotasRequest
    AlterClientQuotasRequest DescribeUserScramCredentialsRequest AlterUserScramCredentialsRequest
    VoteRequest BeginQuorumEpochRequest EndQuorumEpochRequest DescribeQuorumRequest
    AlterPartitionRequest UpdateFeaturesRequest EnvelopeRequest FetchSnapshotRequest
    DescribeClusterRequest DescribeProducersRequest BrokerRegistrationRequest
    BrokerHeartbeatRequest UnregisterBrokerRequest DescribeTransactionsRequest
    ListTransactionsRequest AllocateProducerIdsRequest ConsumerGroupHeartbeatRequest
    ConsumerGroupDescribeRequest ControllerRegistrationRequest GetTelemetrySubscriptionsRequest
    PushTelemetryRequest AssignReplicasToDirsRequest ListConfigResourcesRequest
    DescribeTopicPartitionsRequest ShareGroupHeartbeatRequest ShareGroupDescribeRequest
    ShareFetchRequest ShareAcknowledgeRequest AddRaftVoterRequest RemoveRaftVoterRequest
    UpdateRaftVoterRequest InitializeShareGroupStateRequest ReadShareGroupStateRequest
    WriteShareGroupStateRequest DeleteShareGroupStateRequest ReadShareGroupStateSummaryRequest
    DescribeShareGroupOffsetsRequest AlterShareGroupOffsetsRequest
    DeleteShareGroupOffsetsRequest
}

/// Responses with an error of the whole; each call and the first version that has one.
macro_rules! errors {
    ($($call:ident $response:ident $since:literal)*) => {
        #[test]
        fn an_error_of_the_whole_is_found_in_every_version() {
            $( check::<$call>($since, 99, |_| $response::default().with_error_code(16), ERROR); )*
        }
    };
}

errors! {
    FetchRequest FetchResponse 7
    MetadataRequest MetadataResponse 13
    JoinGroupRequest JoinGroupResponse 0
    HeartbeatRequest HeartbeatResponse 0
    LeaveGroupRequest LeaveGroupResponse 0
    SyncGroupRequest SyncGroupResponse 0
    ListGroupsRequest ListGroupsResponse 0
    SaslHandshakeRequest SaslHandshakeResponse 0
    ApiVersionsRequest ApiVersionsResponse 0
    InitProducerIdRequest InitProducerIdResponse 0
    AddPartitionsToTxnRequest AddPartitionsToTxnResponse 4
    AddOffsetsToTxnRequest AddOffsetsToTxnResponse 0
    EndTxnRequest EndTxnResponse 0
    DescribeAclsRequest DescribeAclsResponse 0
    DescribeLogDirsRequest DescribeLogDirsResponse 3
    SaslAuthenticateRequest SaslAuthenticateResponse 0
    CreateDelegationTokenRequest CreateDelegationTokenResponse 0
    RenewDelegationTokenRequest RenewDelegationTokenResponse 0
    ExpireDelegationTokenRequest ExpireDelegationTokenResponse 0
    DescribeDelegationTokenRequest DescribeDelegationTokenResponse 0
    ElectLeadersRequest ElectLeadersResponse 1
    AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse 0
    ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse 0
    OffsetDeleteRequest OffsetDeleteResponse 0
    DescribeClientQuotasRequest DescribeClientQuotasResponse 0
    DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse 0
    VoteRequest VoteResponse 0
    BeginQuorumEpochRequest BeginQuorumEpochResponse 0
    EndQuorumEpochRequest EndQuorumEpochResponse 0
    DescribeQuorumRequest DescribeQuorumResponse 0
    AlterPartitionRequest AlterPartitionResponse 0
    UpdateFeaturesRequest UpdateFeaturesResponse 0
    FetchSnapshotRequest FetchSnapshotResponse 0
    DescribeClusterRequest DescribeClusterResponse 0
    BrokerRegistrationRequest BrokerRegistrationResponse 0
    BrokerHeartbeatRequest BrokerHeartbeatResponse 0
    UnregisterBrokerRequest UnregisterBrokerResponse 0
    ListTransactionsRequest ListTransactionsResponse 0
    AllocateProducerIdsRequest AllocateProducerIdsResponse 0
    ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse 0
    ControllerRegistrationRequest ControllerRegistrationResponse 0
    GetTelemetrySubscriptionsRequest GetTelemetrySubscriptionsResponse 0
    PushTelemetryRequest PushTelemetryResponse 0
    AssignReplicasToDirsRequest AssignReplicasToDirsResponse 0
    ListConfigResourcesRequest ListConfigResourcesResponse 0
    ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse 0
    ShareFetchRequest ShareFetchResponse 0
    ShareAcknowledgeRequest ShareAcknowledgeResponse 0
    AddRaftVoterRequest AddRaftVoterResponse 0
    RemoveRaftVoterRequest RemoveRaftVoterResponse 0
    UpdateRaftVoterRequest UpdateRaftVoterResponse 0
    AlterShareGroupOffsetsRequest AlterShareGroupOffsetsResponse 0
    DeleteShareGroupOffsetsRequest DeleteShareGroupOffsetsResponse 0
}

/// Responses with an error in an element of a list; the first one is well where all of them are read.
macro_rules! element_errors {
    ($($call:ident $response:ident $with:ident [$($error:literal)*] $module:ident $element:ident)*) => {
        #[test]
        fn an_error_of_an_element_is_found_in_every_version() {
            $(
                let elements = || vec![$($module::$element::default().with_error_code($error)),*];
                check::<$call>(0, 99, |_| $response::default().$with(elements()), ERROR);
            )*
        }
    };
}

element_errors! {
    CreateTopicsRequest CreateTopicsResponse with_topics [0 16]
        create_topics_response CreatableTopicResult
    DeleteTopicsRequest DeleteTopicsResponse with_responses [0 16]
        delete_topics_response DeletableTopicResult
    CreatePartitionsRequest CreatePartitionsResponse with_results [0 16]
        create_partitions_response CreatePartitionsTopicResult
    DeleteGroupsRequest DeleteGroupsResponse with_results [0 16]
        delete_groups_response DeletableGroupResult
    CreateAclsRequest CreateAclsResponse with_results [0 16]
        create_acls_response AclCreationResult
    AlterConfigsRequest AlterConfigsResponse with_responses [0 16]
        alter_configs_response AlterConfigsResourceResponse
    IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse with_responses [0 16]
        incremental_alter_configs_response AlterConfigsResourceResponse
    AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse with_results [0 16]
        alter_user_scram_credentials_response AlterUserScramCredentialsResult
    MetadataRequest MetadataResponse with_topics [0 16]
        metadata_response MetadataResponseTopic
    DescribeGroupsRequest DescribeGroupsResponse with_groups [16]
        describe_groups_response DescribedGroup
    DeleteAclsRequest DeleteAclsResponse with_filter_results [16]
        delete_acls_response DeleteAclsFilterResult
    DescribeConfigsRequest DescribeConfigsResponse with_results [16]
        describe_configs_response DescribeConfigsResult
    DescribeTransactionsRequest DescribeTransactionsResponse with_transaction_states [16]
        describe_transactions_response TransactionState
    ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse with_groups [16]
        consumer_group_describe_response DescribedGroup
    ShareGroupDescribeRequest ShareGroupDescribeResponse with_groups [16]
        share_group_describe_response DescribedGroup
    DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse with_topics [16]
        describe_topic_partitions_response DescribeTopicPartitionsResponseTopic
    AlterClientQuotasRequest AlterClientQuotasResponse with_entries [16]
        alter_client_quotas_response EntryData
}

/// Responses with an error in the second partition.
macro_rules! partition_errors {
    ($($call:ident $response:ident $with:ident $module:ident $topic:ident $with_partitions:ident $partition:ident)*) => {
        #[test]
        fn an_error_of_a_partition_is_found_in_every_version() {
            $(
                let partition = |code| $module::$partition::default().with_error_code(code);
                let topic = || $module::$topic::default().$with_partitions(vec![partition(0), partition(16)]);
                check::<$call>(0, 99, |_| $response::default().$with(vec![topic(), topic()]), ERROR);
            )*
        }
    };
}

partition_errors! {
    ProduceRequest ProduceResponse with_responses
        produce_response TopicProduceResponse with_partition_responses PartitionProduceResponse
    FetchRequest FetchResponse with_responses
        fetch_response FetchableTopicResponse with_partitions PartitionData
    ListOffsetsRequest ListOffsetsResponse with_topics
        list_offsets_response ListOffsetsTopicResponse with_partitions ListOffsetsPartitionResponse
    OffsetCommitRequest OffsetCommitResponse with_topics
        offset_commit_response OffsetCommitResponseTopic with_partitions OffsetCommitResponsePartition
    MetadataRequest MetadataResponse with_topics
        metadata_response MetadataResponseTopic with_partitions MetadataResponsePartition
    DeleteRecordsRequest DeleteRecordsResponse with_topics
        delete_records_response DeleteRecordsTopicResult with_partitions DeleteRecordsPartitionResult
    OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse with_topics
        offset_for_leader_epoch_response OffsetForLeaderTopicResult with_partitions EpochEndOffset
    TxnOffsetCommitRequest TxnOffsetCommitResponse with_topics
        txn_offset_commit_response TxnOffsetCommitResponseTopic with_partitions TxnOffsetCommitResponsePartition
    OffsetDeleteRequest OffsetDeleteResponse with_topics
        offset_delete_response OffsetDeleteResponseTopic with_partitions OffsetDeleteResponsePartition
}

#[test]
fn layouts_that_changed_are_read_in_every_version() {
    check::<FindCoordinatorRequest>(
        0,
        3,
        |_| FindCoordinatorResponse::default().with_error_code(16),
        ERROR,
    );
    check::<FindCoordinatorRequest>(
        4,
        99,
        |_| {
            let found = find_coordinator_response::Coordinator::default().with_key(text("g"));
            FindCoordinatorResponse::default()
                .with_coordinators(vec![found.clone(), found.with_error_code(16)])
        },
        ERROR,
    );
    check::<LeaveGroupRequest>(
        3,
        99,
        |_| {
            let member = leave_group_response::MemberResponse::default();
            LeaveGroupResponse::default()
                .with_members(vec![member.clone(), member.with_error_code(16)])
        },
        ERROR,
    );
    check::<OffsetFetchRequest>(
        2,
        7,
        |_| OffsetFetchResponse::default().with_error_code(16),
        ERROR,
    );
    check::<OffsetFetchRequest>(
        0,
        7,
        |_| {
            let partition = offset_fetch_response::OffsetFetchResponsePartition::default()
                .with_metadata(Some(text("m")));
            let topic = offset_fetch_response::OffsetFetchResponseTopic::default()
                .with_partitions(vec![partition.clone(), partition.with_error_code(16)]);
            OffsetFetchResponse::default().with_topics(vec![topic])
        },
        ERROR,
    );
    check::<OffsetFetchRequest>(
        8,
        99,
        |_| {
            let partition = offset_fetch_response::OffsetFetchResponsePartitions::default();
            let topic = offset_fetch_response::OffsetFetchResponseTopics::default()
                .with_partitions(vec![partition.clone(), partition.with_error_code(16)]);
            let group = offset_fetch_response::OffsetFetchResponseGroup::default();
            OffsetFetchResponse::default()
                .with_groups(vec![group.clone(), group.with_topics(vec![topic])])
        },
        ERROR,
    );
    let result = |code| {
        let partition =
            add_partitions_to_txn_response::AddPartitionsToTxnPartitionResult::default();
        add_partitions_to_txn_response::AddPartitionsToTxnTopicResult::default()
            .with_results_by_partition(vec![partition.with_partition_error_code(code)])
    };
    check::<AddPartitionsToTxnRequest>(
        0,
        3,
        |_| {
            AddPartitionsToTxnResponse::default()
                .with_results_by_topic_v3_and_below(vec![result(0), result(16)])
        },
        ERROR,
    );
    check::<AddPartitionsToTxnRequest>(
        4,
        99,
        |_| {
            let one = add_partitions_to_txn_response::AddPartitionsToTxnResult::default()
                .with_topic_results(vec![result(0), result(16)]);
            AddPartitionsToTxnResponse::default().with_results_by_transaction(vec![one])
        },
        ERROR,
    );
}
