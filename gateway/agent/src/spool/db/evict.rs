//! Making room.
//!
//! - First goes what the centre has, oldest first; then the oldest telemetry, with a Gap that
//!   stands for its offsets. This is the only freeing before an acknowledgement.
//! - An alarm record is kept for thirty days, and in any case until the centre has it.

use fengsui_telemetry::wire::decode_record;
use fengsui_telemetry::{Body, GapCause, Offset, TimeMs};
use rusqlite::{Connection, OptionalExtension};
use tracing::warn;

use super::{
    Db, SpoolFault, Stored, cost, from_sql, gap, insert_gap, oldest, set_meta, stored, to_sql,
};

/// Rows that one pass looks at: some milliseconds of work between two commits.
const ROWS: i64 = 1_000;
/// How long an alarm record is kept after the centre has it.
const ALARM_KEPT_MS: i64 = 30 * 86_400_000;

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::spool) struct Evicted {
    /// Offsets that the centre had.
    pub(in crate::spool) freed: u64,
    /// Offsets that it had not.
    pub(in crate::spool) lost: u64,
}

/// Rows in a row, all acknowledged or all not.
struct Run {
    first: Offset,
    end: Offset,
    early: TimeMs,
    late: TimeMs,
    acked: bool,
    cost: u64,
}

impl Db {
    /// One pass. Nothing evicted means that nothing may be.
    pub(in crate::spool) fn evict(&mut self, now: TimeMs) -> Result<Evicted, SpoolFault> {
        let mut runs = self.runs(
            "SELECT offset, span, te, crc, bytes FROM record
             WHERE alarm = 0 OR (alarm = 1 AND te < ?1 AND offset < ?2) ORDER BY offset LIMIT ?3",
            now - ALARM_KEPT_MS,
        )?;
        if runs.is_empty() {
            // Alarms alone fill the spool: those that the centre has go before their time.
            runs = self.runs(
                "SELECT offset, span, te, crc, bytes FROM record
                 WHERE alarm = 1 AND te < ?1 AND offset < ?2 ORDER BY offset LIMIT ?3",
                TimeMs::MAX,
            )?;
        }
        let mut evicted = Evicted::default();
        let mut bytes = self.bytes;
        let tx = self.sql.transaction()?;
        for run in &runs {
            bytes = bytes.saturating_add(replace(&tx, run)?).saturating_sub(run.cost);
            let count = run.end - run.first;
            if run.acked {
                evicted.freed += count;
            } else {
                evicted.lost += count;
            }
        }
        bytes = bytes.saturating_sub(trim(&tx, self.durable_next)?);
        set_meta(&tx, "bytes", to_sql(bytes))?;
        let oldest = oldest(&tx)?.unwrap_or(self.next);
        tx.commit()?;
        (self.bytes, self.oldest) = (bytes, oldest);
        if evicted.lost > 0 {
            warn!(records = evicted.lost, "spool is full: telemetry gave way to a gap");
        }
        Ok(evicted)
    }

    fn runs(&self, query: &str, before: TimeMs) -> Result<Vec<Run>, SpoolFault> {
        let mut select = self.sql.prepare_cached(query)?;
        let mut rows = select.query((before.0, to_sql(self.durable_next), ROWS))?;
        let mut runs: Vec<Run> = Vec::new();
        while let Some(row) = rows.next()? {
            let row = stored(row)?;
            let acked = row.end() <= self.durable_next;
            match runs.last_mut().filter(|run| run.end == row.offset && run.acked == acked) {
                Some(run) => {
                    run.end = row.end();
                    run.early = run.early.min(row.te);
                    run.late = run.late.max(row.te);
                    run.cost += cost(row.sealed.bytes.len());
                }
                None => runs.push(Run {
                    first: row.offset,
                    end: row.end(),
                    early: row.te,
                    late: row.te,
                    acked,
                    cost: cost(row.sealed.bytes.len()),
                }),
            }
        }
        Ok(runs)
    }

    /// Bytes that the rows take.
    pub(in crate::spool) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Puts a Gap in the place of a run; a Gap just before it is taken in. Gives back the cost of the
/// new one, less that of the old one where it is smaller.
fn replace(sql: &Connection, run: &Run) -> Result<u64, SpoolFault> {
    sql.execute(
        "DELETE FROM record WHERE offset >= ?1 AND offset < ?2",
        [to_sql(run.first), to_sql(run.end)],
    )?;
    let before = sql
        .prepare_cached(
            "SELECT offset, span, te, crc, bytes FROM record
             WHERE offset < ?1 AND alarm = 2 ORDER BY offset DESC LIMIT 1",
        )?
        .query_row([to_sql(run.first)], stored)
        .optional()?
        .filter(|row| row.end() == run.first);
    let (mut first, mut early, mut late) = (run.first, run.early, run.late);
    let (cause, mut spared) = (GapCause::SpoolFull, 0);
    if let Some((row, from, to)) = before.and_then(|row| merge_with(row, cause)) {
        sql.execute("DELETE FROM record WHERE offset = ?1", [to_sql(row.offset)])?;
        spared = cost(row.sealed.bytes.len());
        (first, early, late) = (row.offset, early.min(from), late.max(to));
    }
    let detail = if run.acked { "freed after acknowledgement" } else { "spool full" };
    let added = insert_gap(sql, first, &gap(early, late, run.end - first, cause, detail))?;
    Ok(added.saturating_sub(spared))
}

/// The earlier Gap and its times, if it is of the same cause.
fn merge_with(row: Stored, cause: GapCause) -> Option<(Stored, TimeMs, TimeMs)> {
    match decode_record(&row.sealed.bytes).ok()?.body {
        Body::Gap(gap) if gap.cause == cause => Some((row, gap.from, gap.to)),
        Body::Gap(_) | Body::Scan(_) | Body::Transition(_) | Body::Clock(_) => None,
    }
}

/// Gaps at the very front that the centre has say nothing any more. Gives back their cost.
fn trim(sql: &Connection, durable_next: Offset) -> Result<u64, SpoolFault> {
    let mut freed = 0;
    loop {
        let first = sql
            .prepare_cached(
                "SELECT offset, alarm, offset + span, length(bytes) FROM record
                 ORDER BY offset LIMIT 1",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((offset, alarm, end, bytes)) = first else { return Ok(freed) };
        let (offset, alarm, end, bytes): (i64, i64, i64, i64) = (offset, alarm, end, bytes);
        if alarm != 2 || from_sql(end) > durable_next {
            return Ok(freed);
        }
        sql.execute("DELETE FROM record WHERE offset = ?1", [offset])?;
        freed += cost(usize::try_from(bytes).unwrap_or(0));
    }
}
