//! The room of the file and its log on a full disk.

use std::fs;

use fengsui_telemetry::Revision;
use rusqlite::OptionalExtension;

use super::{Db, FILE, Snapshot, from_sql, standing, to_sql};
use crate::spool::SpoolFault;

/// What [`Db::take_room`] takes: as much as the log holds before it is emptied.
const ROOM_BYTES: u64 = 1 << 20;
/// Of the file, as this program makes it.
const PAGE_BYTES: u64 = 4_096;
/// SQLite's own limit: <https://www.sqlite.org/limits.html>.
const PAGES_MAX: i64 = 4_294_967_294;

impl Db {
    /// Moves the log into the file and begins it again. Its room stays with it: given back, on a
    /// full disk somebody else would have it.
    pub(in crate::spool) fn restart_log(&self) -> Result<(), SpoolFault> {
        Ok(self.sql.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?)
    }

    /// On a full disk: the file must not want to grow. What it would grow by is written to the log
    /// first, where nothing refuses it, and then the log can never be emptied again.
    pub(in crate::spool) fn hold_size(&self) -> Result<(), SpoolFault> {
        let pages: i64 = self.sql.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        self.limit_pages(pages)
    }

    /// Bytes of the file that are free for rows.
    pub(in crate::spool) fn free_bytes(&self) -> Result<u64, SpoolFault> {
        let pages = self.sql.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        Ok(from_sql(pages).saturating_mul(PAGE_BYTES))
    }

    /// Commits a state of the engine by itself; it does not cover the last so many offsets.
    pub(in crate::spool) fn save(
        &mut self,
        after: u64,
        limits: Revision,
        state: &[u8],
    ) -> Result<(), SpoolFault> {
        let one =
            Snapshot { covers: self.next.saturating_sub(after), limits, bytes: state.to_vec() };
        let tx = self.sql.transaction()?;
        standing::write_snapshot(&tx, &one)?;
        Ok(tx.commit()?)
    }

    /// Bytes of the saved state of the engine.
    pub(in crate::spool) fn saved_bytes(&self) -> Result<u64, SpoolFault> {
        let bytes: Option<i64> = self
            .sql
            .query_row("SELECT length(bytes) FROM snapshot", [], |row| row.get(0))
            .optional()?;
        Ok(bytes.map_or(0, from_sql))
    }

    /// There is room again.
    pub(in crate::spool) fn let_grow(&self) -> Result<(), SpoolFault> {
        self.limit_pages(PAGES_MAX)
    }

    fn limit_pages(&self, pages: i64) -> Result<(), SpoolFault> {
        let query = format!("PRAGMA max_page_count = {pages}");
        Ok(self.sql.query_row(&query, [], |_| Ok(()))?)
    }

    /// Lays down room that a full disk cannot take away: the log at the length that it is used
    /// to, and as many free pages in the file.
    pub(in crate::spool) fn take_room(&mut self) -> Result<(), SpoolFault> {
        let log = fs::metadata(self.folder.join(format!("{FILE}-wal"))).map_or(0, |m| m.len());
        if self.lock.is_none() || log >= ROOM_BYTES {
            return Ok(());
        }
        self.sql.execute(
            "INSERT OR REPLACE INTO room VALUES (1, zeroblob(?1))",
            [to_sql(ROOM_BYTES)],
        )?;
        self.sql.execute("DELETE FROM room", [])?;
        self.restart_log()
    }
}
