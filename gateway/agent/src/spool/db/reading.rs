//! Reading back, and mending what turns out to be damaged.

use fengsui_telemetry::wire::{self, decode_record};
use fengsui_telemetry::{Body, GapCause, Offset, Reading, Record, Revision, TimeMs};
use rusqlite::{Connection, OptionalExtension};
use tracing::{error, warn};

use super::standing::Standing;
use super::{COLUMNS, Db, ROW_OVERHEAD, from_sql, gap, insert_gap, is_whole, stored, to_sql};
use crate::spool::{Chunk, SpoolFault};

/// Samples that one recall may bring: a week of a point at ten-second scans.
const HISTORY_MAX: usize = 60_000;

/// What was read, and the damaged place that ended it.
type Found = (Option<Chunk>, Option<(Offset, Offset)>);

impl Db {
    /// Consecutive records from `from` on, of one catalogue. None where there is nothing.
    pub(in crate::spool) fn read(
        &mut self,
        from: Offset,
        to: Offset,
        bytes: usize,
    ) -> Result<Option<Chunk>, SpoolFault> {
        // Each pass mends one damaged place at most; a place once mended is whole.
        loop {
            let (chunk, hole) = self.read_once(from, to, bytes)?;
            match hole {
                Some((lo, hi)) if chunk.is_none() => self.mend(lo, hi)?,
                Some(_) | None => return Ok(chunk),
            }
        }
    }

    /// Reads up to the first damaged place, and names it.
    pub(super) fn read_once(
        &self,
        from: Offset,
        to: Offset,
        bytes: usize,
    ) -> Result<Found, SpoolFault> {
        let to = to.min(self.next);
        if from >= to {
            return Ok((None, None));
        }
        let first = self.row_holding(from)?;
        let (catalogue, until) = self.catalogue_at(first)?;
        let to = to.min(until.max(first + 1));
        let mut chunk =
            Chunk { epoch: self.epoch, first, end: first, catalogue, sealed: Vec::new() };
        let mut size = 0;
        let mut hole = None;
        let mut select = self.sql.prepare_cached(&format!(
            "{COLUMNS} WHERE offset >= ?1 AND offset < ?2 ORDER BY offset"
        ))?;
        let mut rows = select.query([to_sql(first), to_sql(to)])?;
        while let Some(row) = rows.next()? {
            let row = stored(row)?;
            if row.offset < chunk.end {
                return Err(SpoolFault::Implausible("records out of order"));
            }
            if row.offset > chunk.end {
                hole = Some((chunk.end, row.offset));
                break;
            }
            if !is_whole(&row) {
                hole = Some((row.offset, row.end()));
                break;
            }
            size += row.sealed.bytes.len();
            if size > bytes && !chunk.sealed.is_empty() {
                break;
            }
            chunk.end = row.end();
            chunk.sealed.push(row.sealed);
        }
        if chunk.sealed.is_empty() {
            return Ok((None, Some(hole.unwrap_or((first, to)))));
        }
        Ok((Some(chunk), hole))
    }

    /// The offset of the row that stands for `from`, or `from` where none does.
    pub(super) fn row_holding(&self, from: Offset) -> rusqlite::Result<Offset> {
        let before = self
            .sql
            .prepare_cached(
                "SELECT offset, span FROM record WHERE offset <= ?1 ORDER BY offset DESC LIMIT 1",
            )?
            .query_row([to_sql(from)], |row| Ok((from_sql(row.get(0)?), from_sql(row.get(1)?))))
            .optional()?;
        Ok(before.filter(|(offset, span)| offset + span > from).map_or(from, |(offset, _)| offset))
    }

    pub(super) fn catalogue_at(&self, offset: Offset) -> rusqlite::Result<(Revision, Offset)> {
        let here = self
            .sql
            .prepare_cached(
                "SELECT revision FROM catalogue WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
            )?
            .query_row([to_sql(offset)], |row| row.get::<_, i64>(0))
            .optional()?;
        let until = self
            .sql
            .prepare_cached("SELECT min(first) FROM catalogue WHERE first > ?1")?
            .query_row([to_sql(offset)], |row| row.get::<_, Option<i64>>(0))?;
        let revision = here.map_or(self.catalogue, |r| Revision(r.cast_unsigned()));
        Ok((revision, until.map_or(self.next, from_sql)))
    }

    /// Puts a Gap in the place of what cannot be read.
    pub(super) fn mend(&mut self, lo: Offset, hi: Offset) -> Result<(), SpoolFault> {
        error!(from = lo, to = hi, "spool records are damaged; a gap stands for them");
        let te = |sql: &Connection, query: &str, at: Offset| {
            sql.query_row(query, [to_sql(at)], |row| row.get::<_, i64>(0)).optional()
        };
        let at = self.standing();
        let tx = self.sql.transaction()?;
        let before = "SELECT te FROM record WHERE offset < ?1 ORDER BY offset DESC LIMIT 1";
        let after = "SELECT te FROM record WHERE offset >= ?1 ORDER BY offset LIMIT 1";
        let late = te(&tx, after, hi)?;
        let early = te(&tx, before, lo)?.or(late).unwrap_or(0);
        let late = late.unwrap_or(early);
        let gap = gap(TimeMs(early), TimeMs(late), hi - lo, GapCause::Corrupt, "damage on disk");
        let place = [to_sql(lo), to_sql(hi)];
        let freed: i64 = tx.query_row(
            "SELECT coalesce(sum(length(bytes) + ?3), 0) FROM record
             WHERE offset >= ?1 AND offset < ?2",
            [to_sql(lo), to_sql(hi), to_sql(ROW_OVERHEAD)],
            |row| row.get(0),
        )?;
        tx.execute("DELETE FROM record WHERE offset >= ?1 AND offset < ?2", place)?;
        let added = insert_gap(&tx, lo, &gap)?;
        let bytes = (self.bytes + added).saturating_sub(from_sql(freed));
        Standing { bytes, ..at }.write(&tx)?;
        tx.commit()?;
        self.load()
    }

    pub(in crate::spool) fn replay(
        &mut self,
        from: Offset,
        most: u64,
        each: &mut dyn FnMut(Record),
    ) -> Result<u64, SpoolFault> {
        let mut at = from.max(self.oldest).max(self.next.saturating_sub(most));
        let mut unread = 0;
        while let Some(chunk) = self.read(at, self.next, 1 << 20)? {
            let mut offset = chunk.first;
            for sealed in &chunk.sealed {
                match decode_record(&sealed.bytes) {
                    Ok(record) => {
                        let span = wire::span(&record);
                        // What alarms did is told by their keys; points are numbered by the
                        // catalogue of their time.
                        let told = matches!(record.body, Body::Transition(_));
                        if told || chunk.catalogue == self.catalogue {
                            each(record);
                        }
                        offset += span;
                    }
                    Err(fault) => {
                        warn!(offset, %fault, "a kept record is not readable");
                        unread += 1;
                        offset += 1;
                    }
                }
            }
            at = chunk.end;
        }
        Ok(unread)
    }

    /// The kept samples of one point between two source times, in order of te.
    pub(in crate::spool) fn history(
        &self,
        point: u32,
        from: TimeMs,
        to: TimeMs,
    ) -> Result<Vec<(TimeMs, Reading)>, SpoolFault> {
        let mut select = self.sql.prepare_cached(&format!(
            "{COLUMNS} WHERE te >= ?1 AND te <= ?2 AND alarm = 0 ORDER BY offset"
        ))?;
        let mut rows = select.query([from.0, to.0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let row = stored(row)?;
            let Ok(Record { te, body: Body::Scan(scan) }) = decode_record(&row.sealed.bytes) else {
                continue;
            };
            let of_point = scan.readings.iter().filter(|(index, _)| *index == point);
            found.extend(of_point.map(|(_, reading)| (te, *reading)));
            if found.len() >= HISTORY_MAX {
                warn!(point, "recall is cut short");
                break;
            }
        }
        found.sort_by_key(|(te, _)| *te);
        Ok(found)
    }
}
