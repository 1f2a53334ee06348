//! The native delivery plane, version 1: bytes in, core types out, and back.
//!
//! - Whatever arrives is checked here, once; nothing that arrives can panic or allocate without
//!   bound.
//! - A record's bytes are made once, at the gateway, and stay the same through spool, wire and
//!   quarantine; their CRC-32C goes with them.
//! - `docs/wire.md` specifies it for strangers; `telemetry/golden/` holds examples.

mod batch;
mod envelope;
mod fields;
mod limits;
mod record;
mod scan;
mod topic;
mod unpack;

#[expect(unreachable_pub, reason = "generated")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/fengsui.wire.v1.rs"));
}

use thiserror::Error;

pub use batch::{Batch, BatchHead, Entry, decode_batch, encode_batch};
pub use envelope::{
    Ack, Beat, Birth, DeviceHealth, Storage, catalogue_bytes, decode_ack, decode_beat,
    decode_birth, decode_catalogue, encode_ack, encode_beat, encode_birth, encode_birth_around,
};
pub use limits::{
    LimitsOrder, OrderBytes, SignedLimits, decode_limits, decode_limits_order, encode_limits,
    encode_limits_order,
};
pub use record::{Sealed, decode_record, seal, span};
pub use topic::{Channel, Topic};

/// Largest MQTT packet at either end. Anything larger is refused before it is published.
pub const PACKET_MAX: usize = 1 << 20;
/// Payload bytes of one batch: a packet less its topic and header.
pub const BATCH_BYTES_MAX: usize = PACKET_MAX - 4_096;
/// Bytes of one record. A scan of 30,000 points fits ten times over.
pub const RECORD_BYTES_MAX: usize = 768 * 1_024;
/// Bytes that a compressed batch may unpack to: four packets.
pub const UNPACKED_MAX: usize = 4 * PACKET_MAX;
/// Records of one batch.
pub const BATCH_RECORDS_MAX: usize = 10_000;
/// Readings of one batch. In memory a reading takes up to twenty times its bytes on the wire.
pub const BATCH_READINGS_MAX: usize = 500_000;
/// Bytes that a birth may unpack to: 120,000 points of 130 bytes.
pub const BIRTH_UNPACKED_MAX: usize = 16 * PACKET_MAX;
/// Bytes of a file of limits: 120,000 points with two limits each.
pub const LIMITS_UNPACKED_MAX: usize = 16 * PACKET_MAX;
/// Readings of one scan.
pub const SCAN_READINGS_MAX: usize = 125_000;

/// What is wrong with bytes that came over a wire.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireFault {
    /// Too big to look at.
    #[error("{what}: {size} bytes or entries, at most {max}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How much.
        size: usize,
        /// How much is allowed.
        max: usize,
    },
    /// Not the protobuf message that belongs there.
    #[error("not a {what} message: {why}")]
    Malformed {
        /// Which message.
        what: &'static str,
        /// What the decoder said.
        why: String,
    },
    /// A field that is wrong.
    #[error("{message}.{field}: {why}")]
    Field {
        /// Which message.
        message: &'static str,
        /// Which field.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A checksum that does not match: the bytes were damaged on the way.
    #[error("record {index}: CRC-32C is {found:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// Which record of the batch.
        index: usize,
        /// As sent.
        found: u32,
        /// As computed.
        computed: u32,
    },
}

fn malformed(what: &'static str, error: &prost::DecodeError) -> WireFault {
    WireFault::Malformed { what, why: error.to_string() }
}

fn field(message: &'static str, field: &'static str, why: impl Into<String>) -> WireFault {
    WireFault::Field { message, field, why: why.into() }
}

fn limit(what: &'static str, size: usize, max: usize) -> Result<(), WireFault> {
    if size > max { Err(WireFault::TooLarge { what, size, max }) } else { Ok(()) }
}
