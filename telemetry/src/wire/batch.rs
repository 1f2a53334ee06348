//! Consecutive records of one gateway in one message.

use prost::Message;

use super::unpack::unpack;
use super::{
    BATCH_BYTES_MAX, BATCH_READINGS_MAX, BATCH_RECORDS_MAX, Sealed, UNPACKED_MAX, WireFault,
    decode_record, field, limit, malformed, proto, span,
};
use crate::{Body, Epoch, GatewayId, Offset, Record, Revision};

/// Below this many bytes of records zstd rarely wins.
const COMPRESS_FROM: usize = 256;
/// Level 1: the numbers are packed already, repeated shapes are what is left.
const COMPRESS_LEVEL: i32 = 1;

/// What a batch says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Whose records.
    pub gateway: GatewayId,
    /// Of which life of its spool.
    pub epoch: Epoch,
    /// Number of the first record.
    pub first: Offset,
    /// The catalogue that gives the point indexes their meaning.
    pub catalogue: Revision,
}

/// One record of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number.
    pub offset: Offset,
    /// How many offsets it stands for.
    pub span: u64,
    /// What it says, or why it cannot be read though its checksum is right: a record of another
    /// version, to be quarantined. Its number is known all the same, so the stream goes on.
    pub record: Result<Record, WireFault>,
    /// The bytes, for quarantine.
    pub bytes: Vec<u8>,
}

/// A decoded batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// What it says of itself.
    pub head: BatchHead,
    /// Its records, consecutive.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// One past the last offset that the batch covers.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.entries.last().map_or(self.head.first, |entry| entry.offset.saturating_add(entry.span))
    }
}

/// Encodes a batch of sealed records; the caller keeps it within [`BATCH_BYTES_MAX`].
///
/// # Errors
/// [`WireFault::TooLarge`] when it does not.
pub fn encode_batch(head: &BatchHead, sealed: Vec<Sealed>) -> Result<Vec<u8>, WireFault> {
    limit("records of a batch", sealed.len(), BATCH_RECORDS_MAX)?;
    let mut records = proto::Records::default();
    for Sealed { bytes, crc } in sealed {
        records.record.push(bytes);
        records.crc32c.push(crc);
    }
    let mut batch = proto::Batch {
        gateway: head.gateway.as_str().to_owned(),
        epoch: head.epoch.0,
        first_offset: head.first,
        catalogue: head.catalogue.0,
        ..Default::default()
    };
    let size = records.encoded_len();
    limit("unpacked batch", size, UNPACKED_MAX)?;
    let packed = (size >= COMPRESS_FROM)
        .then(|| zstd::bulk::compress(&records.encode_to_vec(), COMPRESS_LEVEL).ok())
        .flatten()
        .filter(|packed| packed.len() < size);
    match packed {
        Some(packed) => batch.zstd_records = packed,
        None => batch.records = Some(records),
    }
    let bytes = batch.encode_to_vec();
    limit("batch", bytes.len(), BATCH_BYTES_MAX)?;
    Ok(bytes)
}

/// Decodes a batch. A damaged record refuses the whole batch (it will come again); a record that
/// is whole and unreadable does not.
///
/// # Errors
/// [`WireFault`] names the field.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, WireFault> {
    limit("batch", bytes.len(), BATCH_BYTES_MAX)?;
    let wire = proto::Batch::decode(bytes).map_err(|e| malformed("batch", &e))?;
    let gateway = GatewayId::parse(&wire.gateway)
        .map_err(|fault| field("batch", "gateway", fault.to_string()))?;
    if wire.epoch == 0 {
        return Err(field("batch", "epoch", "is 0; an epoch is a random number"));
    }
    let records = match (wire.records, wire.zstd_records.is_empty()) {
        (Some(records), true) => records,
        (None, false) => {
            let unpacked = unpack("batch", "zstd_records", &wire.zstd_records, UNPACKED_MAX)?;
            proto::Records::decode(unpacked.as_slice()).map_err(|e| malformed("records", &e))?
        }
        (Some(_), false) => return Err(field("batch", "records", "stands beside zstd_records")),
        (None, true) => return Err(field("batch", "records", "is empty")),
    };
    limit("records of a batch", records.record.len(), BATCH_RECORDS_MAX)?;
    if records.record.len() != records.crc32c.len() {
        return Err(field("records", "crc32c", "needs one entry a record"));
    }
    let head = BatchHead {
        gateway,
        epoch: Epoch(wire.epoch),
        first: wire.first_offset,
        catalogue: Revision(wire.catalogue),
    };
    let entries = entries(&head, records)?;
    Ok(Batch { head, entries })
}

fn entries(head: &BatchHead, records: proto::Records) -> Result<Vec<Entry>, WireFault> {
    let mut offset = head.first;
    let mut readings = 0;
    let mut entries = Vec::with_capacity(records.record.len());
    for (index, (bytes, found)) in records.record.into_iter().zip(records.crc32c).enumerate() {
        let computed = crc32c::crc32c(&bytes);
        if computed != found {
            return Err(WireFault::Checksum { index, found, computed });
        }
        let record = decode_record(&bytes);
        if let Ok(Record { body: Body::Scan(scan), .. }) = &record {
            readings += scan.readings.len();
            limit("readings of a batch", readings, BATCH_READINGS_MAX)?;
        }
        let span = record.as_ref().map_or(1, span);
        let next = offset
            .checked_add(span)
            .filter(|next| *next <= Offset::MAX / 2)
            .ok_or_else(|| field("batch", "first_offset", "leads beyond the last offset"))?;
        entries.push(Entry { offset, span, record, bytes });
        offset = next;
    }
    Ok(entries)
}
