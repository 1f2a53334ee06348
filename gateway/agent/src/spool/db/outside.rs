//! Reading a spool from outside, while the gateway may run.
//!
//! - Nothing is written, and each page of rows is a query of its own: a reader that took its time
//!   would keep the log from being emptied.
//! - Meanwhile the gateway may free old rows, or merge them into a Gap: that is no hole.

use std::fs;
use std::path::Path;

use anyhow::Context;
use fengsui_telemetry::wire::{decode_catalogue, decode_record};
use fengsui_telemetry::{Catalogue, GatewayId, Offset, Record};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::owned::holds_still;
use super::standing::Standing;
use super::{COLUMNS, FILE, Stored, from_sql, is_whole, oldest, owner, stored, to_sql};

/// Rows of one query: some milliseconds.
const PAGE_ROWS: usize = 1_000;

/// What stands at a place of the spool.
pub(in crate::spool) enum Met<'a> {
    /// A whole record, and how many offsets it stands for.
    Record(Offset, u64, &'a Record),
    /// A whole record of a later version.
    Unknown(Offset),
    /// A record that does not fit its checksum, or does not say what its columns say.
    Damaged(Offset, Offset),
    /// Offsets for which nothing stands.
    Missing(Offset, Offset),
}

/// A spool, read only.
pub(in crate::spool) struct Outside {
    sql: Connection,
}

impl Outside {
    pub(in crate::spool) fn open(data: &Path) -> anyhow::Result<Self> {
        let path = data.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let unread = || format!("{}: 没有可读的缓存 | no spool to read", path.display());
        fs::metadata(&path).and_then(|found| holds_still(&found)).with_context(unread)?;
        let sql = Connection::open_with_flags(&path, flags).with_context(unread)?;
        sql.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(Self { sql })
    }

    /// What it says about itself, and its first offset.
    pub(in crate::spool) fn standing(&self) -> anyhow::Result<(Standing, Offset)> {
        let at = Standing::read(&self.sql)?.context("缓存文件不完整 | not a whole spool")?;
        Ok((at, oldest(&self.sql)?.unwrap_or(at.next)))
    }

    /// Whose it is; none where it does not say so.
    pub(in crate::spool) fn owner(&self) -> anyhow::Result<Option<GatewayId>> {
        Ok(owner::read(&self.sql)?)
    }

    /// Everything from `from` up to `to`, in order.
    pub(in crate::spool) fn each(
        &self,
        from: Offset,
        to: Offset,
        meet: &mut dyn FnMut(Met<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut at = from;
        while at < to {
            let rows = self.page(at, to)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                if row.offset > at {
                    at = self.skip_freed(at, row.offset)?;
                }
                if row.offset > at {
                    meet(Met::Missing(at, row.offset))?;
                }
                at = row.end();
                match decode_record(&row.sealed.bytes) {
                    _ if !is_whole(&row) => meet(Met::Damaged(row.offset, row.end()))?,
                    Ok(record) => meet(Met::Record(row.offset, row.span, &record))?,
                    Err(_) => meet(Met::Unknown(row.offset))?,
                }
            }
        }
        let at = if at < to { self.skip_freed(at, to)? } else { at };
        if at < to { meet(Met::Missing(at, to)) } else { Ok(()) }
    }

    fn page(&self, from: Offset, to: Offset) -> anyhow::Result<Vec<Stored>> {
        let query = format!(
            "{COLUMNS} WHERE offset >= ?1 AND offset < ?2 ORDER BY offset LIMIT {PAGE_ROWS}"
        );
        let mut select = self.sql.prepare_cached(&query)?;
        let rows = select.query_map([to_sql(from), to_sql(to)], stored)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Where a seeming hole before `next` really begins.
    fn skip_freed(&self, at: Offset, next: Offset) -> anyhow::Result<Offset> {
        let first = oldest(&self.sql)?.unwrap_or(next);
        let before = self
            .sql
            .prepare_cached(
                "SELECT offset + span FROM record WHERE offset < ?1 ORDER BY offset DESC LIMIT 1",
            )?
            .query_row([to_sql(next)], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(at.max(first).max(before.map_or(0, from_sql)).min(next.max(at)))
    }

    /// Catalogues, oldest first, each with its first offset.
    pub(in crate::spool) fn catalogues(&self) -> anyhow::Result<Vec<(Offset, Catalogue)>> {
        let mut select = self.sql.prepare("SELECT first, bytes FROM catalogue ORDER BY first")?;
        let rows =
            select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let mut found = Vec::new();
        for row in rows {
            let (first, bytes) = row?;
            found.push((from_sql(first), decode_catalogue(&bytes)?));
        }
        Ok(found)
    }

    /// Records by kind: telemetry, alarms, gaps.
    pub(in crate::spool) fn counts(&self) -> anyhow::Result<[u64; 3]> {
        let mut select = self.sql.prepare("SELECT alarm, count(*) FROM record GROUP BY alarm")?;
        let mut rows = select.query([])?;
        let mut counts = [0; 3];
        while let Some(row) = rows.next()? {
            let kind: u32 = row.get(0)?;
            if let Some(count) = counts.get_mut(kind as usize) {
                *count = from_sql(row.get(1)?);
            }
        }
        Ok(counts)
    }

    /// Source time of the oldest record that the centre does not have, ms.
    pub(in crate::spool) fn unacked_since(&self, durable: Offset) -> anyhow::Result<Option<i64>> {
        let query = "SELECT te FROM record WHERE offset >= ?1 ORDER BY offset LIMIT 1";
        Ok(self.sql.query_row(query, [to_sql(durable)], |row| row.get(0)).optional()?)
    }

    /// What SQLite says about its pages: `ok`, or its complaints.
    pub(in crate::spool) fn pages(&self) -> anyhow::Result<String> {
        Ok(self.sql.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?)
    }
}
