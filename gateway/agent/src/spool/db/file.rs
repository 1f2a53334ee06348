//! The file: how it is opened, made and looked over.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::new_epoch;
use super::standing::Standing;
use super::to_sql;
use crate::spool::SpoolFault;

/// Kept in `user_version`. Another one is healed like damage: its records are carried over.
pub(super) const FORMAT: i64 = 2;
/// Files up to this size are checked page by page when they are opened: some hundred milliseconds.
const CHECK_BYTES_MAX: u64 = 32 << 20;
/// Pages that the log may hold before they are moved into the file: a megabyte, so that the
/// reserve is enough to empty it on a full disk.
const CHECKPOINT_PAGES: i64 = 256;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS record (
  offset INTEGER PRIMARY KEY, span INTEGER NOT NULL, te INTEGER NOT NULL,
  alarm INTEGER NOT NULL, crc INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS catalogue (
  first INTEGER PRIMARY KEY, revision INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS point (
  tag TEXT PRIMARY KEY, number INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshot (
  id INTEGER PRIMARY KEY, covers INTEGER NOT NULL, limits INTEGER NOT NULL, bytes BLOB NOT NULL,
  crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS standing (
  id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, next INTEGER NOT NULL,
  durable_next INTEGER NOT NULL, bytes INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS room (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
";

/// Opens or makes the file.
pub(super) fn connect(path: &Path) -> Result<Connection, SpoolFault> {
    let mut sql = Connection::open(path)?;
    sql.busy_timeout(Duration::from_secs(2))?;
    sql.pragma_update(None, "journal_mode", "WAL")?;
    sql.pragma_update(None, "synchronous", "FULL")?;
    // More than this helps nobody; a small site needs less ([`super::names`]).
    sql.pragma_update(None, "cache_size", -512)?;
    sql.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    lay_out(&mut sql)?;
    if let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| SpoolFault::File(folder.to_owned(), e))?;
    }
    Ok(sql)
}

/// Makes the tables; a new database gets its epoch.
pub(super) fn lay_out(sql: &mut Connection) -> Result<(), SpoolFault> {
    let tx = sql.transaction()?;
    let format: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && format != FORMAT {
        return Err(SpoolFault::Implausible("another format"));
    }
    tx.execute_batch(SCHEMA)?;
    if format != FORMAT {
        tx.pragma_update(None, "user_version", FORMAT)?;
    }
    if Standing::read(&tx)?.is_none() {
        Standing { epoch: new_epoch(), next: 0, durable_next: 0, bytes: 0 }.write(&tx)?;
    }
    tx.commit()?;
    Ok(())
}

/// What can be said quickly about a file: its ends, and its pages where there are few.
pub(super) fn verify(path: &Path, sql: Connection) -> Result<Connection, SpoolFault> {
    let at = Standing::read(&sql)?.ok_or(SpoolFault::Implausible("no standing"))?;
    let end: Option<i64> = sql
        .query_row("SELECT offset + span FROM record ORDER BY offset DESC LIMIT 1", [], |row| {
            row.get(0)
        })
        .optional()?;
    if end.is_some_and(|end| end != to_sql(at.next)) {
        return Err(SpoolFault::Implausible("records up to another offset than it says"));
    }
    if fs::metadata(path).is_ok_and(|m| m.len() <= CHECK_BYTES_MAX) {
        let word: String = sql.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if word != "ok" {
            return Err(SpoolFault::Implausible("damaged pages"));
        }
    }
    Ok(sql)
}
