//! Making room.
//!
//! - First goes what the centre has, oldest first, but for its newest part: a centre that lost it
//!   again is offered it. Then telemetry becomes coarser ([`super::super::thin`] says which), with
//!   Gaps that stand for the offsets. This is the only freeing before an acknowledgement.
//! - An alarm record is kept for thirty days, and in any case until the centre has it.

use fengsui_telemetry::wire::decode_record;
use fengsui_telemetry::{Body, GapCause, Offset, Record, TimeMs};
use rusqlite::{Connection, OptionalExtension};
use tracing::warn;

use super::{
    COLUMNS, Db, Kind, ROW_OVERHEAD, SpoolFault, Standing, Stored, cost, from_sql, gap, insert_gap,
    is_whole, oldest, stored, to_sql,
};
use crate::spool::thin::{Before, Cut, Follows, Memory, Plan, Seen, Step};

/// Rows that one pass looks at: some milliseconds of work between two commits.
const ROWS: i64 = 1_000;
/// Bytes that one pass may look at: a quarter of the log, which on a full disk cannot grow.
const PASS_BYTES: u64 = 256 << 10;
/// How long an alarm record is kept after the centre has it.
const ALARM_KEPT_MS: i64 = 30 * 86_400_000;
/// Acknowledged records that are kept to be offered again, and the time that they must cover: a
/// disk at the centre may lose what it wrote in its last second.
const REOFFER_RECORDS: u64 = 10_000;
const REOFFER_MS: i64 = 60_000;
/// They take this part of the spool at most: in a small one, what nobody has is worth more.
const REOFFER_PART: u64 = 8;

/// What may go because the centre has it: `?1` is the time before which alarms are old, `?2` what
/// the centre has.
const OLD: &str = "offset < ?2 AND (alarm = 0 OR (alarm = 1 AND te < ?1))";

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::spool) struct Evicted {
    /// Offsets that the centre had.
    pub(in crate::spool) freed: u64,
    /// Offsets that it had not.
    pub(in crate::spool) lost: u64,
    /// It found nothing to free, but a next pass may.
    pub(in crate::spool) looks_on: bool,
}

/// How a pass makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spool) enum Haste {
    /// What is oldest becomes coarser.
    Grain,
    /// What is oldest goes: somebody waits.
    Now,
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

/// What is to go in one pass.
struct Planned {
    cuts: Vec<Cut>,
    up_to: Offset,
    /// Of the rows that were looked at.
    bytes: u64,
}

impl Db {
    /// One pass, in a spool of so many bytes. Nothing done means that nothing may be.
    pub(in crate::spool) fn evict(
        &mut self,
        now: TimeMs,
        quota: u64,
        haste: Haste,
    ) -> Result<Evicted, SpoolFault> {
        let aged = now - ALARM_KEPT_MS;
        let spare = self.keep_from(quota)?;
        for below in [spare, Offset::MAX] {
            let runs = self.runs(&format!("{OLD} AND offset < ?3"), aged, below)?;
            if !runs.is_empty() {
                return self.replace_all(&runs);
            }
        }
        self.zones.freed(self.durable_next, 0);
        let step = match haste {
            Haste::Grain => self.zones.coarsen(self.next),
            Haste::Now => self.zones.evict(self.next),
        };
        // What an alarm needs of telemetry goes last.
        if let Some(step) = step.or_else(|| self.zones.strip(self.next)) {
            return self.coarsen(&step);
        }
        // Alarms alone fill the spool: those that the centre has go before their time.
        let acked = "alarm = 1 AND te < ?1 AND offset < ?2 AND offset < ?3";
        let runs = self.runs(acked, TimeMs::MAX, Offset::MAX)?;
        self.replace_all(&runs)
    }

    /// One pass that frees what the centre has, until the rows take no more than `most`. True when
    /// they do, what is kept to be offered again aside: that gives way before anything is thinned.
    pub(in crate::spool) fn ease(
        &mut self,
        now: TimeMs,
        quota: u64,
        most: u64,
    ) -> Result<bool, SpoolFault> {
        if self.bytes <= most {
            return Ok(true);
        }
        let spare = self.keep_from(quota)?;
        let runs = self.runs(&format!("{OLD} AND offset < ?3"), now - ALARM_KEPT_MS, spare)?;
        if !runs.is_empty() {
            self.replace_all(&runs)?;
            return Ok(self.bytes <= most);
        }
        let kept: i64 = self
            .sql
            .prepare_cached(
                "SELECT coalesce(sum(length(bytes) + ?3), 0) FROM record
                 WHERE alarm = 0 AND offset >= ?1 AND offset < ?2",
            )?
            .query_row([to_sql(spare), to_sql(self.durable_next), to_sql(ROW_OVERHEAD)], |row| {
                row.get(0)
            })?;
        Ok(self.bytes.saturating_sub(from_sql(kept)) <= most)
    }

    /// Puts Gaps in the places of these.
    fn replace_all(&mut self, runs: &[Run]) -> Result<Evicted, SpoolFault> {
        let mut evicted = Evicted::default();
        let mut bytes = self.bytes;
        let at = self.standing();
        let tx = self.sql.transaction()?;
        for run in runs {
            bytes = bytes.saturating_add(replace(&tx, run)?).saturating_sub(run.cost);
            let count = run.end - run.first;
            if run.acked {
                evicted.freed += count;
            } else {
                evicted.lost += count;
            }
        }
        bytes = bytes.saturating_sub(trim(&tx, self.durable_next)?);
        Standing { bytes, ..at }.write(&tx)?;
        let oldest = oldest(&tx)?.unwrap_or(self.next);
        tx.commit()?;
        self.zones.freed(self.durable_next, self.bytes.saturating_sub(bytes));
        (self.bytes, self.oldest) = (bytes, oldest);
        if evicted.lost > 0 {
            warn!(records = evicted.lost, "spool is full: telemetry gave way to a gap");
        }
        Ok(evicted)
    }

    /// One pass of a step.
    fn coarsen(&mut self, step: &Step) -> Result<Evicted, SpoolFault> {
        let mut memory = std::mem::take(self.zones.memory(step));
        let planned = self.look_over(step, &mut memory);
        *self.zones.memory(step) = memory;
        let Planned { cuts, up_to, bytes: before } = planned?;
        if cuts.is_empty() {
            self.zones.stepped(step, up_to, before, before);
            return Ok(Evicted { freed: 0, lost: 0, looks_on: true });
        }
        let at = self.standing();
        let tx = self.sql.transaction()?;
        let (mut gone, mut added) = (0, 0);
        for Cut { first, end, cost, gap, .. } in &cuts {
            let range = [to_sql(*first), to_sql(*end)];
            tx.execute("DELETE FROM record WHERE offset >= ?1 AND offset < ?2", range)?;
            let record = Record { te: gap.to, body: Body::Gap(gap.clone()) };
            (gone, added) = (gone + cost, added + insert_gap(&tx, *first, &record)?);
        }
        let bytes = self.bytes.saturating_add(added).saturating_sub(gone);
        Standing { bytes, ..at }.write(&tx)?;
        tx.commit()?;
        self.bytes = bytes;
        self.zones.stepped(step, up_to, before, before.saturating_add(added).saturating_sub(gone));
        let lost = cuts.iter().map(|cut| cut.rows).sum();
        if lost > 0 {
            warn!(records = lost, grain = ?step.grain, "spool is full: telemetry is thinned");
        }
        Ok(Evicted { freed: 0, lost, looks_on: lost == 0 })
    }

    /// The rows of a step that fit into one pass, and where the next one begins: at the last Gap,
    /// so that it grows.
    fn look_over(&self, step: &Step, memory: &mut Memory) -> Result<Planned, SpoolFault> {
        let from = self.row_holding(step.from)?;
        let mut plan = Plan::new(step.grain, memory, self.before(from)?);
        // Indexes mean something only under one catalogue.
        let to = step.to.min(self.catalogue_at(step.from)?.1.max(step.from + 1));
        let (mut bytes, mut count, mut end) = (0, 0, from);
        let query =
            format!("{COLUMNS} WHERE offset >= ?1 AND offset < ?2 ORDER BY offset LIMIT {ROWS}");
        let mut select = self.sql.prepare_cached(&query)?;
        let mut rows = select.query([to_sql(from), to_sql(to)])?;
        let mut cut_short = false;
        while let Some(row) = rows.next()? {
            let row = stored(row)?;
            let record = if is_whole(&row) { decode_record(&row.sealed.bytes).ok() } else { None };
            let cost = cost(row.sealed.bytes.len());
            let (first, record) = (row.offset, record.as_ref());
            plan.meet(Seen { first, end: row.end(), cost, record });
            (bytes, count, end) = (bytes + cost, count + 1, row.end());
            // Three at least: a Gap, what it takes in, and what the next row decides about.
            cut_short = count == ROWS || (count > 2 && bytes > PASS_BYTES);
            if cut_short {
                break;
            }
        }
        let (cuts, undecided) = plan.end(if cut_short { Follows::More } else { Follows::Nothing });
        let end = undecided.unwrap_or(end);
        let grows = cuts.last().filter(|cut| cut.end == end).map_or(end, |cut| cut.first);
        Ok(Planned { up_to: if cut_short { grows } else { to }, cuts, bytes })
    }

    /// Acknowledged records from here on are kept as long as there is anything else to free.
    fn keep_from(&self, quota: u64) -> Result<Offset, SpoolFault> {
        let te = |at: Offset| {
            self.sql
                .prepare_cached("SELECT te FROM record WHERE offset >= ?1 ORDER BY offset LIMIT 1")?
                .query_row([to_sql(at)], |row| row.get::<_, i64>(0))
                .optional()
        };
        let first = self.durable_next.saturating_sub(REOFFER_RECORDS).max(self.oldest);
        let last = self.durable_next.saturating_sub(1).max(first);
        let mut records = self.durable_next.saturating_sub(first);
        if let (Some(early), Some(late)) = (te(first)?, te(last)?) {
            let covered = late.saturating_sub(early).max(1);
            if records > 0 && covered < REOFFER_MS {
                let times = REOFFER_MS.unsigned_abs().div_ceil(covered.unsigned_abs());
                records = records.saturating_mul(times);
            }
        }
        let kept = self.next.saturating_sub(self.oldest).max(1);
        let share = (quota / REOFFER_PART).saturating_mul(kept) / self.bytes.max(1);
        Ok(self.durable_next.saturating_sub(records.min(share)))
    }

    /// Runs of rows of which this holds: `?1` a time, `?2` what the centre has, `?3` an offset.
    fn runs(&self, such: &str, before: TimeMs, below: Offset) -> Result<Vec<Run>, SpoolFault> {
        let query = format!("{COLUMNS} WHERE {such} ORDER BY offset LIMIT {ROWS}");
        let mut select = self.sql.prepare_cached(&query)?;
        let mut rows = select.query((before.0, to_sql(self.durable_next), to_sql(below)))?;
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

    fn before(&self, offset: Offset) -> Result<Before, SpoolFault> {
        let alarm = self
            .sql
            .prepare_cached(
                "SELECT alarm FROM record WHERE offset < ?1 ORDER BY offset DESC LIMIT 1",
            )?
            .query_row([to_sql(offset)], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(if alarm == Some(Kind::Alarm.code()) { Before::Alarm } else { Before::Other })
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
        .prepare_cached(&format!(
            "{COLUMNS} WHERE offset < ?1 AND alarm = 2 ORDER BY offset DESC LIMIT 1"
        ))?
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
