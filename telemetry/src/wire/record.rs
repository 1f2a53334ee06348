//! One record to bytes and back.

use prost::Message;

use super::scan::{clock_code, clock_from};
use super::{RECORD_BYTES_MAX, WireFault, field, limit, malformed, proto, scan};
use crate::{Body, ClockChange, Gap, GapCause, LocalTransition, Record, Revision, TimeMs};

/// A record as the spool holds it and the wire carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The encoded record.
    pub bytes: Vec<u8>,
    /// CRC-32C of the bytes, made here and checked wherever they are read.
    pub crc: u32,
}

impl Sealed {
    /// True while the bytes are what was sealed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        crc32c::crc32c(&self.bytes) == self.crc
    }
}

/// Encodes a record and seals it with its checksum.
#[must_use]
pub fn seal(record: &Record) -> Sealed {
    let bytes = to_wire(record).encode_to_vec();
    let crc = crc32c::crc32c(&bytes);
    Sealed { bytes, crc }
}

/// How many offsets a record stands for: a spool gap replaces the records that it names.
#[must_use]
pub fn span(record: &Record) -> u64 {
    match &record.body {
        Body::Gap(gap) => match gap.cause {
            GapCause::SpoolFull | GapCause::Thinned | GapCause::Corrupt => gap.records.max(1),
            GapCause::QueueFull | GapCause::FreedBefore => 1,
        },
        Body::Scan(_) | Body::Transition(_) | Body::Clock(_) => 1,
    }
}

fn to_wire(record: &Record) -> proto::Record {
    use proto::record::Body as Wire;
    let body = match &record.body {
        Body::Scan(scan) => Wire::Scan(scan::encode(scan)),
        Body::Transition(t) => Wire::Transition(proto::Transition {
            alarm: t.alarm.clone(),
            occurrence: t.occurrence,
            from: u32::from(t.from),
            to: u32::from(t.to),
            revision: t.revision.0,
            value: t.value.unwrap_or(f64::NAN),
            why: t.why.clone(),
            known_ms: t.known.0,
        }),
        Body::Gap(gap) => Wire::Gap(proto::Gap {
            from_ms: gap.from.0,
            to_ms: gap.to.0,
            records: gap.records,
            cause: cause_code(gap.cause),
            point: gap.points.clone(),
            detail: gap.detail.clone(),
            thinned: gap.cause == GapCause::Thinned,
        }),
        Body::Clock(change) => Wire::Clock(proto::ClockEvent {
            step_ms: change.step_ms,
            boot: change.boot,
            monotonic_ms: change.monotonic_ms,
            clock_quality: clock_code(change.quality),
        }),
    };
    proto::Record { te_ms: record.te.0, body: Some(body) }
}

/// Decodes a record.
///
/// # Errors
/// [`WireFault`] names the message and the field.
pub fn decode_record(bytes: &[u8]) -> Result<Record, WireFault> {
    use proto::record::Body as Wire;
    limit("record", bytes.len(), RECORD_BYTES_MAX)?;
    let wire = proto::Record::decode(bytes).map_err(|e| malformed("record", &e))?;
    let body = match wire.body.ok_or_else(|| field("record", "body", "is empty"))? {
        Wire::Scan(scan) => Body::Scan(scan::decode(&scan)?),
        Wire::Transition(t) => Body::Transition(LocalTransition {
            alarm: t.alarm,
            occurrence: t.occurrence,
            from: letter("from", t.from)?,
            to: letter("to", t.to)?,
            revision: Revision(t.revision),
            value: Some(t.value).filter(|v| v.is_finite()),
            why: t.why,
            known: TimeMs(t.known_ms),
        }),
        Wire::Gap(gap) => Body::Gap(Gap {
            from: TimeMs(gap.from_ms),
            to: TimeMs(gap.to_ms),
            records: gap.records,
            cause: cause_from(gap.cause, gap.thinned)?,
            points: gap.point,
            detail: gap.detail,
        }),
        Wire::Clock(change) => Body::Clock(ClockChange {
            boot: change.boot,
            monotonic_ms: change.monotonic_ms,
            step_ms: change.step_ms,
            quality: clock_from(change.clock_quality)?,
        }),
    };
    Ok(Record { te: TimeMs(wire.te_ms), body })
}

fn letter(name: &'static str, code: u32) -> Result<char, WireFault> {
    char::from_u32(code)
        .filter(|letter| ('A'..='I').contains(letter))
        .ok_or_else(|| field("transition", name, format!("{code} is no state letter A..I")))
}

/// A thinned stretch is a full spool to a centre of before, so that it counts the same offsets.
fn cause_code(cause: GapCause) -> u32 {
    match cause {
        GapCause::SpoolFull | GapCause::Thinned => 1,
        GapCause::Corrupt => 2,
        GapCause::QueueFull => 3,
        GapCause::FreedBefore => 4,
    }
}

fn cause_from(code: u32, thinned: bool) -> Result<GapCause, WireFault> {
    match code {
        1 if thinned => Ok(GapCause::Thinned),
        1 => Ok(GapCause::SpoolFull),
        2 => Ok(GapCause::Corrupt),
        3 => Ok(GapCause::QueueFull),
        4 => Ok(GapCause::FreedBefore),
        other => Err(field("gap", "cause", format!("{other} is unknown"))),
    }
}
