//! What readers ask: samples, columns of a plot, counts, gaps, the journal again.

use std::collections::HashMap;
use std::ops::ControlFlow;

use fengsui_telemetry::{Reading, TimeMs};

use super::key::{Spreading, pack};
use super::shared::Shared;
use super::sql;
use super::start::{damaged_row, journal_block};
use super::tail::Tail;
use super::visit::{PAGE, merged, visit};
use crate::codec::decode_group;
use crate::{Bucket, Counts, GapRow, Intake, Sample, StoreError};

/// Points whose tails are copied under one hold of the read lock.
const POINTS_A_COPY: usize = 256;
/// Columns of one answer: more than any screen has.
const COLUMNS_MAX: usize = 100_000;

pub(super) fn range(
    shared: &Shared,
    point: u32,
    from: TimeMs,
    to: TimeMs,
    max: usize,
) -> Result<Vec<Sample>, StoreError> {
    let mut found = Vec::new();
    if max == 0 {
        return Ok(found);
    }
    visit(shared, point, from, to, &mut |samples| {
        let room = max - found.len();
        found.extend(samples.iter().take(room));
        if found.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

pub(super) fn envelope(
    shared: &Shared,
    point: u32,
    from: TimeMs,
    to: TimeMs,
    buckets: usize,
) -> Result<Vec<Bucket>, StoreError> {
    let span = i128::from(to.0) - i128::from(from.0);
    let count = i128::try_from(buckets.min(COLUMNS_MAX)).unwrap_or(0).min(span);
    if count <= 0 {
        return Ok(Vec::new());
    }
    let edge = |i: i128| {
        let at = i128::from(from.0) + i * span / count;
        TimeMs(i64::try_from(at).unwrap_or(i64::MAX))
    };
    let mut columns: Vec<Bucket> = (0..count).map(|i| empty(edge(i))).collect();
    let mut at = 0_usize;
    visit(shared, point, from, to, &mut |samples| {
        for sample in samples {
            while columns.get(at + 1).is_some_and(|next| next.t <= sample.te) {
                at += 1;
            }
            if let Some(column) = columns.get_mut(at) {
                add(column, sample);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(columns)
}

fn empty(t: TimeMs) -> Bucket {
    Bucket { t, min: None, max: None, last: None, n_good: 0, n_bad: 0 }
}

fn add(column: &mut Bucket, sample: &Sample) {
    match sample.reading.value() {
        Some(number) => {
            column.min = Some(column.min.map_or(number, |min| min.min(number)));
            column.max = Some(column.max.map_or(number, |max| max.max(number)));
            column.last = Some(number);
            column.n_good += 1;
        }
        None => column.n_bad += 1,
    }
}

pub(super) fn gaps(shared: &Shared, from: TimeMs, to: TimeMs) -> Result<Vec<GapRow>, StoreError> {
    let mut gaps = shared.readers.read("read the gaps", |conn| sql::gaps(conn, from, to))?;
    for (_, gap) in shared.unwritten() {
        if gap.from < to && gap.to >= from && !gaps.contains(&gap) {
            gaps.push(gap);
        }
    }
    gaps.sort_by_key(|gap| gap.from);
    Ok(gaps)
}

pub(super) fn replay(
    shared: &Shared,
    after_seq: u64,
    each: &mut dyn FnMut(u64, &Intake),
) -> Result<(), StoreError> {
    let mut at = after_seq;
    while let Some(row) =
        shared.readers.read("read the journal", |conn| sql::next_journal(conn, at))?
    {
        at = row.seq;
        // An emptied row was damaged: it stands in the gap table.
        if row.data.is_empty() {
            continue;
        }
        match decode_group(row.seq, &row.data) {
            Ok(intakes) => {
                for (seq, intake) in intakes.iter().filter(|(seq, _)| *seq > after_seq) {
                    each(*seq, intake);
                }
            }
            Err(why) => shared.report(journal_block(row.seq), damaged_row(&row, why)),
        }
    }
    Ok(())
}

pub(super) fn count(shared: &Shared) -> Result<Counts, StoreError> {
    let mut tails: HashMap<i64, Tail, Spreading> = HashMap::default();
    let points = shared.hot().points();
    for some in points.chunks(POINTS_A_COPY) {
        let hot = shared.hot();
        for point in some {
            let of_point = hot.tails(*point, i64::MIN, i64::MAX);
            tails.extend(of_point.into_iter().map(|tail| (pack(tail.bucket, *point), tail)));
        }
    }
    let mut counts = Counts::default();
    let mut next = Some(i64::MIN);
    while let Some(start) = next {
        let rows =
            shared.readers.read("count chunks", |conn| sql::chunks_from(conn, start, PAGE * 4))?;
        next = rows.last().and_then(|row| row.id.checked_add(1));
        for row in rows {
            let (samples, damage) = merged(shared, &row, tails.remove(&row.id).as_ref());
            tally(&mut counts, &samples);
            counts.damaged += u64::from(damage.is_some());
        }
    }
    for tail in tails.into_values() {
        tally(&mut counts, &tail.in_order());
    }
    Ok(counts)
}

fn tally(counts: &mut Counts, samples: &[Sample]) {
    let bad = samples.iter().filter(|s| matches!(s.reading, Reading::Bad(_))).count() as u64;
    counts.samples += samples.len() as u64;
    counts.bad += bad;
    counts.good += samples.len() as u64 - bad;
}
