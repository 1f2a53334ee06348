//! Walking through a point's samples in order of source time, tail and chunks merged.
//!
//! - The tail is copied first, the chunks are read after it: what is sealed in between is seen
//!   twice, and `seq_hi` says that the chunk holds all of the tail.
//! - A read transaction covers one page of chunks, so none stays open for long.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use fengsui_telemetry::TimeMs;
use rusqlite::Connection;

use super::key::{base, bucket_of, pack, span, unpack};
use super::shared::{Shared, damaged_chunk};
use super::sql::{self, ChunkRow};
use super::tail::{Tail, overlay};
use crate::codec::decode_chunk;
use crate::{Damage, Sample, StoreError};

/// Chunks of one read transaction: a few milliseconds of reading.
pub(super) const PAGE: usize = 64;

/// Hands over the samples of a point with `from <= te < to`, a bucket at a time, until told to
/// stop.
pub(super) fn visit(
    shared: &Shared,
    point: u32,
    from: TimeMs,
    to: TimeMs,
    each: &mut dyn FnMut(&[Sample]) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let bucket_ms = shared.options.bucket_ms;
    let (least, most) = span(bucket_ms);
    let (from, to) = (from.max(least), to.min(most));
    if from >= to {
        return Ok(());
    }
    let (Some(first), Some(last)) = (bucket_of(from, bucket_ms), bucket_of(to - 1, bucket_ms))
    else {
        return Ok(());
    };
    let mut tails: VecDeque<Tail> = shared.hot().tails(point, first, last).into();
    let mut emit = |samples: &[Sample]| {
        let lo = samples.partition_point(|s| s.te < from);
        let hi = samples.partition_point(|s| s.te < to);
        match samples.get(lo..hi) {
            Some(part) if !part.is_empty() => each(part),
            Some(_) | None => ControlFlow::Continue(()),
        }
    };
    let mut next = Some(first);
    while let Some(start) = next {
        let (rows, after) =
            shared.readers.read("read chunks", |conn| page(conn, point, start, last))?;
        next = after;
        for row in rows {
            let (bucket, _) = unpack(row.id);
            while tails.front().is_some_and(|tail| tail.bucket < bucket) {
                let Some(tail) = tails.pop_front() else { break };
                if emit(&tail.in_order()).is_break() {
                    return Ok(());
                }
            }
            let tail = tails.pop_front_if(|tail| tail.bucket == bucket);
            let (samples, _) = merged(shared, &row, tail.as_ref());
            if emit(&samples).is_break() {
                return Ok(());
            }
        }
    }
    for tail in tails {
        if emit(&tail.in_order()).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// A chunk with the tail of the same bucket laid over it. A damaged chunk is reported, and what
/// the tail has is given with the damage.
pub(super) fn merged(
    shared: &Shared,
    row: &ChunkRow,
    tail: Option<&Tail>,
) -> (Vec<Sample>, Option<Damage>) {
    let (bucket, _) = unpack(row.id);
    let bucket_ms = shared.options.bucket_ms;
    match decode_chunk(row.id, base(bucket, bucket_ms), &row.data) {
        Ok(older) => match tail {
            Some(tail) if tail.last_seq > row.seq_hi => (overlay(older, &tail.in_order()), None),
            Some(_) | None => (older, None),
        },
        Err(why) => {
            let gap = damaged_chunk(row.id, row.n, bucket_ms, why);
            shared.report(format!("chunk {}", row.id), gap);
            (tail.map(Tail::in_order).unwrap_or_default(), Some(why))
        }
    }
}

/// Up to a page of a point's chunks in `start..=last`, and where to go on. Stretches without
/// chunks are jumped over: the next key of any point says how far.
fn page(
    conn: &Connection,
    point: u32,
    start: i64,
    last: i64,
) -> rusqlite::Result<(Vec<ChunkRow>, Option<i64>)> {
    let mut rows = Vec::new();
    let mut bucket = start;
    // Misses count too: a page must end even where other points fill every bucket.
    let mut steps = 0;
    while bucket <= last {
        if rows.len() >= PAGE || steps >= PAGE * 8 {
            return Ok((rows, Some(bucket)));
        }
        steps += 1;
        match sql::chunk(conn, pack(bucket, point))? {
            Some(row) => {
                rows.push(row);
                bucket += 1;
            }
            None => match sql::next_chunk_id(conn, pack(bucket, point))?.map(unpack) {
                None => return Ok((rows, None)),
                Some((found, first)) => bucket = if first <= point { found } else { found + 1 },
            },
        }
    }
    Ok((rows, None))
}
