//! The names of the fields that messages carry, and their places.

/// Requests have
///
/// - `api`: the call's name; `api_key`, `version`: its number and version;
/// - `client_id`: what the client calls itself; `correlation_id`: the number of request and response;
/// - `topics`: the topics named, with commas, by number (as Kafka writes UUIDs) where the request does so;
///   `partitions`: the partitions named, as `topic-0`; both at most 256 bytes and as far as they stand at
///   the beginning of the request;
/// - `group`, `member`, `transactional_id`: whom it is about; of several, the first;
/// - `acks`: what a producer waits for (-1 for all replicas); `timeout_ms`: how long the broker may take;
/// - `max_wait_ms`, `min_bytes`: how long a fetch waits for how much;
/// - `mechanism`: how a client wants to authenticate;
///
/// and responses have
///
/// - `error`, `error_code`: the first error, where there is one;
/// - `throttle_ms`: for how long the broker holds the client back, where it does.
///
/// Texts are at most 128 bytes where nothing else is said.
pub static FIELD_NAMES: &[&str] = &[
    "api",
    "api_key",
    "version",
    "client_id",
    "correlation_id",
    "topics",
    "partitions",
    "group",
    "member",
    "transactional_id",
    "acks",
    "timeout_ms",
    "max_wait_ms",
    "min_bytes",
    "mechanism",
    "error",
    "error_code",
    "throttle_ms",
];

pub(super) const API: u8 = 0;
pub(super) const API_KEY: u8 = 1;
pub(super) const VERSION: u8 = 2;
pub(super) const CLIENT_ID: u8 = 3;
pub(super) const CORRELATION_ID: u8 = 4;
pub(super) const TOPICS: u8 = 5;
pub(super) const PARTITIONS: u8 = 6;
pub(super) const GROUP: u8 = 7;
pub(super) const MEMBER: u8 = 8;
pub(super) const TRANSACTIONAL_ID: u8 = 9;
pub(super) const ACKS: u8 = 10;
pub(super) const TIMEOUT_MS: u8 = 11;
pub(super) const MAX_WAIT_MS: u8 = 12;
pub(super) const MIN_BYTES: u8 = 13;
pub(super) const MECHANISM: u8 = 14;
pub(super) const ERROR: u8 = 15;
pub(super) const ERROR_CODE: u8 = 16;
pub(super) const THROTTLE_MS: u8 = 17;
