//! Opening SQLite files in the one way that this crate trusts.
//!
//! - WAL, `synchronous=FULL`, no mmap, the bundled library: a commit that returned is on disk as
//!   far as fsync tells the truth.
//! - One writer per file. Readers are read-only connections from a small pool; a read
//!   transaction is one page of rows, because a forgotten one stops the log from being reused.
//! - No SQL of any table stands here.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{StoreError, database, opening};

/// Idle read-only connections kept for the next read. More may be open while more reads run.
const READERS_MAX: usize = 4;
/// How long a statement waits for another connection's lock before it fails.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// The log file is cut back to this after a checkpoint.
const LOG_BYTES_MAX: i64 = 64 << 20;
/// Statements kept prepared by a connection: each module has fewer.
const STATEMENTS_MAX: usize = 48;

/// Opens, or makes, a file for its one writer.
pub(crate) fn open_writer(path: &Path, page_size: u32) -> Result<Connection, StoreError> {
    let fresh = !path.exists();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(opening(folder))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(database("open the file", path))?;
    prepare_writer(&conn, page_size).map_err(database("set up the file", path))?;
    if fresh && let Some(folder) = path.parent() {
        // A new name in a folder is durable only once the folder is.
        std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(opening(folder))?;
    }
    Ok(conn)
}

fn prepare_writer(conn: &Connection, page_size: u32) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_WAIT)?;
    conn.pragma_update(None, "page_size", page_size)?;
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::InvalidQuery);
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "recursive_triggers", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

/// What became of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// All of it is in the database file, and that is on disk.
    Whole,
    /// A reader of another program held it open.
    HeldOpen,
}

/// Brings the whole log home with a fresh fsync of the database file.
///
/// After a failed fsync the kernel may call pages clean that never reached the disk: frames that
/// later commits would chain onto. Copying them once more makes them dirty, and durable, again.
pub(crate) fn settle(conn: &Connection) -> rusqlite::Result<Settled> {
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(if busy == 0 { Settled::Whole } else { Settled::HeldOpen })
}

/// Read-only connections to one file.
pub(crate) struct Readers {
    path: PathBuf,
    // A pool is shared by whoever reads, on any thread, and held for a push or a pop only: a
    // channel would need a thread to serve it.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::new(Vec::new()) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// One read transaction: everything inside sees one state of the file.
    pub(crate) fn read<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let pooled = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match pooled {
            Some(conn) => conn,
            None => self.open()?,
        };
        let result = conn
            .transaction()
            .and_then(|tx| {
                let value = work(&tx)?;
                tx.finish()?;
                Ok(value)
            })
            .map_err(database(doing, &self.path))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS_MAX {
            idle.push(conn);
        }
        Ok(result)
    }

    fn open(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)
            .map_err(database("open the file for reading", &self.path))?;
        let set_up = || {
            conn.busy_timeout(BUSY_WAIT)?;
            conn.pragma_update(None, "mmap_size", 0)
        };
        set_up().map_err(database("open the file for reading", &self.path))?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(conn)
    }
}
