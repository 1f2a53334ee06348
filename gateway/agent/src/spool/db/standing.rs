//! What the spool says about itself: one row, with a checksum of its own.
//!
//! - SQLite has no checksum on its pages. A flipped bit in `durable_next` would free what nobody
//!   has, one in `next` would number records twice: a row that does not fit its checksum is
//!   damage, and the file is healed.
//! - The saved state of the engine and the numbers of the points are sealed the same way.

use fengsui_telemetry::{Epoch, Offset, Revision};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Snapshot, from_sql, to_sql};
use crate::spool::SpoolFault;

/// Where the spool stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spool) struct Standing {
    pub(in crate::spool) epoch: Epoch,
    pub(in crate::spool) next: Offset,
    pub(in crate::spool) durable_next: Offset,
    pub(in crate::spool) bytes: u64,
}

impl Standing {
    fn crc(&self) -> u32 {
        let words = [self.epoch.0, self.next, self.durable_next, self.bytes];
        words.iter().fold(0, |crc, word| crc32c::crc32c_append(crc, &word.to_le_bytes()))
    }

    /// The row; none in a database that is being made.
    pub(super) fn read(sql: &Connection) -> Result<Option<Self>, SpoolFault> {
        let row = sql
            .prepare_cached("SELECT epoch, next, durable_next, bytes, crc FROM standing")?
            .query_row([], |row| {
                let one = Self {
                    epoch: Epoch(row.get::<_, i64>(0)?.cast_unsigned()),
                    next: from_sql(row.get(1)?),
                    durable_next: from_sql(row.get(2)?),
                    bytes: from_sql(row.get(3)?),
                };
                Ok((one, row.get::<_, i64>(4)?))
            })
            .optional()?;
        let Some((one, crc)) = row else { return Ok(None) };
        if i64::from(one.crc()) != crc || one.epoch.0 == 0 || one.durable_next > one.next {
            return Err(SpoolFault::Implausible("a standing that does not fit its checksum"));
        }
        Ok(Some(one))
    }

    pub(super) fn write(&self, sql: &Connection) -> rusqlite::Result<()> {
        sql.prepare_cached(
            "INSERT OR REPLACE INTO standing (id, epoch, next, durable_next, bytes, crc)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            self.epoch.0.cast_signed(),
            to_sql(self.next),
            to_sql(self.durable_next),
            to_sql(self.bytes),
            self.crc()
        ])
        .map(|_| ())
    }
}

pub(super) fn snapshot_crc(one: &Snapshot) -> u32 {
    let head = crc32c::crc32c_append(
        crc32c::crc32c(&one.covers.to_le_bytes()),
        &one.limits.0.to_le_bytes(),
    );
    crc32c::crc32c_append(head, &one.bytes)
}

/// The saved state of the engine, if it is whole.
pub(super) fn read_snapshot(sql: &Connection) -> Result<Option<Snapshot>, SpoolFault> {
    let row = sql
        .query_row("SELECT covers, limits, bytes, crc FROM snapshot WHERE id = 1", [], |row| {
            let one = Snapshot {
                covers: from_sql(row.get(0)?),
                limits: Revision(row.get::<_, i64>(1)?.cast_unsigned()),
                bytes: row.get(2)?,
            };
            Ok((one, row.get::<_, i64>(3)?))
        })
        .optional()?;
    Ok(row.filter(|(one, crc)| i64::from(snapshot_crc(one)) == *crc).map(|(one, _)| one))
}

pub(super) fn write_snapshot(sql: &Connection, one: &Snapshot) -> rusqlite::Result<()> {
    sql.execute(
        "INSERT OR REPLACE INTO snapshot (id, covers, limits, bytes, crc)
         VALUES (1, ?1, ?2, ?3, ?4)",
        params![to_sql(one.covers), one.limits.0.cast_signed(), one.bytes, snapshot_crc(one)],
    )
    .map(|_| ())
}

/// Seals a point's number to its tag: a saved state of the engine under another point's number
/// would be an alarm on the wrong tank.
pub(super) fn point_crc(tag: &str, number: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(tag.as_bytes()), &number.to_le_bytes())
}
