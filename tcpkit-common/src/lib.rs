//! Types that tcpkit's eBPF programs and its agent share.
//!
//! Everything here crosses the border between kernel and user space: plain integers in a fixed
//! layout, no padding, no enums in the shared bytes.

#![no_std]

mod config;
mod counters;
mod record;
mod ring;

pub use config::{CaptureConfig, FILTER_SLOT_LEN};
pub use counters::{COUNTER_SLOTS, Counters, counter_slot};
pub use record::{
    DIRECTION_EGRESS, DIRECTION_INGRESS, LINK_ETHERNET, LINK_RAW_IP, RECORD_VERSION, RecordHeader,
};
pub use ring::{
    LARGEST_COPY, LARGEST_HEADERS, RECORD_ALIGN, RING_DATA, RingControl, largest_copy, record_len,
    ring_size,
};
