//! The spool's database, and all its SQL.
//!
//! - WAL, `synchronous=FULL`: what a commit has returned is on the disk.
//! - From the oldest row to `next` the offsets are dense: a row stands for `span` of them, more
//!   than one only where it is a Gap.
//! - A row whose checksum or place is wrong is replaced by a Gap when it is met.

mod evict;
mod heal;
mod names;
mod reading;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fengsui_telemetry::wire::{self, Sealed, decode_record, seal};
use fengsui_telemetry::{Body, Epoch, Gap, GapCause, Offset, Record, Revision, TimeMs};
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tracing::{error, warn};

use super::{SpoolFault, SpoolState};

const FILE: &str = "spool.db";
const FORMAT: i64 = 1;
/// A row's share of pages, index and header beside its bytes.
const ROW_OVERHEAD: u64 = 40;
/// Files up to this size are checked page by page when they are opened: some hundred milliseconds.
const CHECK_BYTES_MAX: u64 = 32 << 20;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS record (
  offset INTEGER PRIMARY KEY, span INTEGER NOT NULL, te INTEGER NOT NULL,
  alarm INTEGER NOT NULL, crc INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS catalogue (
  first INTEGER PRIMARY KEY, revision INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS point (tag TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshot (
  id INTEGER PRIMARY KEY, covers INTEGER NOT NULL, limits INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS meta (k TEXT PRIMARY KEY, v INTEGER NOT NULL) WITHOUT ROWID;
";

/// What a row is, as its column `alarm` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Telemetry,
    Alarm,
    Gap,
}

impl Kind {
    pub(super) fn of(record: &Record) -> Self {
        match &record.body {
            Body::Scan(_) | Body::Clock(_) => Self::Telemetry,
            Body::Transition(_) => Self::Alarm,
            Body::Gap(_) => Self::Gap,
        }
    }

    fn code(self) -> i64 {
        match self {
            Self::Telemetry => 0,
            Self::Alarm => 1,
            Self::Gap => 2,
        }
    }
}

/// A record on its way into the database.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) sealed: Sealed,
    pub(super) te: TimeMs,
    pub(super) kind: Kind,
    pub(super) span: u64,
}

impl Incoming {
    pub(super) fn new(record: &Record) -> Self {
        Self {
            sealed: seal(record),
            te: record.te,
            kind: Kind::of(record),
            span: wire::span(record),
        }
    }

    pub(super) fn cost(&self) -> u64 {
        cost(self.sealed.bytes.len())
    }
}

fn cost(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(ROW_OVERHEAD)
}

/// A saved state of the engine.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Every record below is in it.
    pub(crate) covers: Offset,
    /// The limits by which it judged.
    pub(crate) limits: Revision,
    pub(crate) bytes: Vec<u8>,
}

/// A row as it stands.
struct Stored {
    offset: Offset,
    span: u64,
    te: TimeMs,
    sealed: Sealed,
}

impl Stored {
    fn end(&self) -> Offset {
        self.offset.saturating_add(self.span)
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let crc: i64 = row.get(3)?;
    Ok(Stored {
        offset: from_sql(row.get(0)?),
        span: from_sql(row.get(1)?).max(1),
        te: TimeMs(row.get(2)?),
        sealed: Sealed { bytes: row.get(4)?, crc: u32::try_from(crc).unwrap_or(0) },
    })
}

/// Offsets stay below 2⁶², so they are the same in SQLite's signed integers.
fn to_sql(offset: Offset) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

fn from_sql(value: i64) -> Offset {
    Offset::try_from(value).unwrap_or(0)
}

/// The one database of the spool.
#[derive(Debug)]
pub(super) struct Db {
    folder: PathBuf,
    /// Held for life: the mark that no other process may use this folder. None in memory.
    _lock: Option<File>,
    sql: Connection,
    epoch: Epoch,
    oldest: Offset,
    next: Offset,
    durable_next: Offset,
    bytes: u64,
    catalogue: Revision,
}

impl Db {
    pub(super) fn open(folder: &Path, now: TimeMs) -> Result<Self, SpoolFault> {
        let file_fault = |e| SpoolFault::File(folder.to_owned(), e);
        fs::create_dir_all(folder).map_err(file_fault)?;
        let lock = File::create(folder.join("lock")).map_err(file_fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolFault::InUse(folder.to_owned())),
            Err(TryLockError::Error(e)) => return Err(file_fault(e)),
        }
        let path = folder.join(FILE);
        let sql = match connect(&path).and_then(|sql| verify(&path, sql)) {
            Ok(sql) => sql,
            Err(fault) => {
                error!(%fault, "spool is damaged; keeping what can be read");
                heal::heal(folder, now)?
            }
        };
        Self::over(folder, Some(lock), sql)
    }

    /// Over memory: the disk is dead.
    pub(super) fn in_memory(folder: &Path) -> Result<Self, SpoolFault> {
        let mut sql = Connection::open_in_memory()?;
        lay_out(&mut sql)?;
        Self::over(folder, None, sql)
    }

    fn over(folder: &Path, lock: Option<File>, sql: Connection) -> Result<Self, SpoolFault> {
        let mut db = Self {
            folder: folder.to_owned(),
            _lock: lock,
            sql,
            epoch: Epoch(0),
            oldest: 0,
            next: 0,
            durable_next: 0,
            bytes: 0,
            catalogue: Revision(0),
        };
        db.load()?;
        Ok(db)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// After a failed write: sets the file aside and goes on in a new one, in a new epoch.
    pub(super) fn reopen(&mut self, now: TimeMs) -> Result<(), SpoolFault> {
        // The old handle must be gone before its files are moved.
        self.sql = Connection::open_in_memory()?;
        self.sql = heal::heal(&self.folder, now)?;
        self.load()
    }

    fn load(&mut self) -> Result<(), SpoolFault> {
        let meta = |k: &str| meta(&self.sql, k);
        let epoch = meta("epoch")?.ok_or(SpoolFault::Implausible("no epoch"))?;
        self.epoch = Epoch(epoch.cast_unsigned());
        self.next = from_sql(meta("next")?.unwrap_or(0));
        self.durable_next = from_sql(meta("durable_next")?.unwrap_or(0)).min(self.next);
        self.oldest = oldest(&self.sql)?.unwrap_or(self.next);
        self.bytes = from_sql(meta("bytes")?.unwrap_or(0));
        Ok(())
    }

    pub(super) fn state(&self) -> SpoolState {
        SpoolState {
            epoch: self.epoch,
            oldest: self.oldest,
            next: self.next,
            durable_next: self.durable_next,
            bytes: self.bytes,
            unacked_since: self.unacked_since().unwrap_or(None),
            failing: None,
        }
    }

    fn unacked_since(&self) -> rusqlite::Result<Option<TimeMs>> {
        self.sql
            .prepare_cached("SELECT te FROM record WHERE offset >= ?1 ORDER BY offset LIMIT 1")?
            .query_row([to_sql(self.durable_next)], |row| row.get(0))
            .optional()
            .map(|te| te.map(TimeMs))
    }

    /// Commits records, and with them the latest acknowledgement and a state of the engine.
    pub(super) fn append(
        &mut self,
        records: &[Incoming],
        snapshot: Option<(Revision, &[u8])>,
        durable: Option<Offset>,
    ) -> Result<(), SpoolFault> {
        let tx = self.sql.transaction()?;
        let mut next = self.next;
        let mut bytes = self.bytes;
        {
            let mut insert = tx.prepare_cached(
                "INSERT INTO record (offset, span, te, alarm, crc, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for one in records {
                insert.execute(params![
                    to_sql(next),
                    to_sql(one.span),
                    one.te.0,
                    one.kind.code(),
                    one.sealed.crc,
                    one.sealed.bytes
                ])?;
                next += one.span;
                bytes += one.cost();
            }
        }
        set_meta(&tx, "next", to_sql(next))?;
        set_meta(&tx, "bytes", to_sql(bytes))?;
        if let Some((limits, state)) = snapshot {
            tx.execute(
                "INSERT OR REPLACE INTO snapshot (id, covers, limits, bytes)
                 VALUES (1, ?1, ?2, ?3)",
                params![to_sql(next), limits.0.cast_signed(), state],
            )?;
        }
        let durable_next = durable.unwrap_or(self.durable_next).min(next);
        set_meta(&tx, "durable_next", to_sql(durable_next))?;
        tx.commit()?;
        (self.next, self.bytes, self.durable_next) = (next, bytes, durable_next);
        Ok(())
    }

    pub(super) fn snapshot(&self) -> Result<Option<Snapshot>, SpoolFault> {
        let found = self.sql.query_row(
            "SELECT covers, limits, bytes FROM snapshot WHERE id = 1",
            [],
            |row| {
                Ok(Snapshot {
                    covers: from_sql(row.get(0)?),
                    limits: Revision(row.get::<_, i64>(1)?.cast_unsigned()),
                    bytes: row.get(2)?,
                })
            },
        );
        Ok(found.optional()?)
    }

    /// Begins a new epoch: what the centre has is dropped, the rest is numbered from 0.
    pub(super) fn new_epoch(&mut self) -> Result<(), SpoolFault> {
        let base = self.row_holding(self.durable_next)?;
        let epoch = new_epoch();
        let tx = self.sql.transaction()?;
        tx.execute("DELETE FROM record WHERE offset < ?1", [to_sql(base)])?;
        // Over negative numbers, since an UPDATE may visit rows in any order.
        tx.execute("UPDATE record SET offset = -1 - (offset - ?1)", [to_sql(base)])?;
        tx.execute("UPDATE record SET offset = -1 - offset", [])?;
        tx.execute("UPDATE snapshot SET covers = max(covers - ?1, 0)", [to_sql(base)])?;
        tx.execute(
            "DELETE FROM catalogue WHERE first <
             (SELECT max(first) FROM catalogue WHERE first <= ?1)",
            [to_sql(base)],
        )?;
        tx.execute("UPDATE catalogue SET first = -1 - max(first - ?1, 0)", [to_sql(base)])?;
        tx.execute("UPDATE catalogue SET first = -1 - first", [])?;
        set_meta(&tx, "epoch", epoch.0.cast_signed())?;
        set_meta(&tx, "next", to_sql(self.next.saturating_sub(base)))?;
        set_meta(&tx, "durable_next", 0)?;
        tx.commit()?;
        warn!(epoch = epoch.0, kept = self.next - base, "spool begins a new epoch");
        self.load()
    }
}

fn is_whole(row: &Stored) -> bool {
    row.sealed.is_whole()
        && decode_record(&row.sealed.bytes).map_or(row.span == 1, |r| wire::span(&r) == row.span)
}

/// A random number, never 0.
fn new_epoch() -> Epoch {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).expect("the system has a source of random numbers");
    Epoch(u64::from_be_bytes(bytes).max(1))
}

fn gap(from: TimeMs, to: TimeMs, records: u64, cause: GapCause, detail: &str) -> Record {
    let (from, to) = (from.min(to), from.max(to));
    let detail = detail.to_owned();
    Record { te: to, body: Body::Gap(Gap { from, to, records, cause, points: vec![], detail }) }
}

fn insert_gap(sql: &Connection, at: Offset, gap: &Record) -> rusqlite::Result<u64> {
    let one = Incoming::new(gap);
    sql.execute(
        "INSERT INTO record (offset, span, te, alarm, crc, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            to_sql(at),
            to_sql(one.span),
            one.te.0,
            one.kind.code(),
            one.sealed.crc,
            one.sealed.bytes
        ],
    )?;
    Ok(one.cost())
}

fn oldest(sql: &Connection) -> rusqlite::Result<Option<Offset>> {
    sql.query_row("SELECT min(offset) FROM record", [], |row| row.get::<_, Option<i64>>(0))
        .map(|found| found.map(from_sql))
}

fn meta(sql: &Connection, k: &str) -> rusqlite::Result<Option<i64>> {
    sql.prepare_cached("SELECT v FROM meta WHERE k = ?1")?
        .query_row([k], |row| row.get(0))
        .optional()
}

fn set_meta(sql: &Connection, k: &str, v: i64) -> rusqlite::Result<()> {
    sql.prepare_cached("INSERT OR REPLACE INTO meta (k, v) VALUES (?1, ?2)")?
        .execute(params![k, v])
        .map(|_| ())
}

/// Opens or makes the file.
fn connect(path: &Path) -> Result<Connection, SpoolFault> {
    let mut sql = Connection::open(path)?;
    sql.busy_timeout(Duration::from_secs(2))?;
    sql.pragma_update(None, "journal_mode", "WAL")?;
    sql.pragma_update(None, "synchronous", "FULL")?;
    // Half a megabyte: rows are written in order and read in order, so more helps nobody.
    sql.pragma_update(None, "cache_size", -512)?;
    lay_out(&mut sql)?;
    if let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| SpoolFault::File(folder.to_owned(), e))?;
    }
    Ok(sql)
}

/// Makes the tables; a new database gets its epoch.
fn lay_out(sql: &mut Connection) -> Result<(), SpoolFault> {
    let tx = sql.transaction()?;
    tx.execute_batch(SCHEMA)?;
    match meta(&tx, "format")? {
        Some(FORMAT) => {}
        Some(_) => return Err(SpoolFault::Implausible("another format")),
        None => {
            set_meta(&tx, "format", FORMAT)?;
            set_meta(&tx, "epoch", new_epoch().0.cast_signed())?;
            for k in ["next", "durable_next", "bytes"] {
                set_meta(&tx, k, 0)?;
            }
        }
    }
    tx.commit()?;
    Ok(())
}

/// What can be said quickly about a file: its ends, and its pages where there are few.
fn verify(path: &Path, sql: Connection) -> Result<Connection, SpoolFault> {
    let next = meta(&sql, "next")?.ok_or(SpoolFault::Implausible("no next offset"))?;
    meta(&sql, "epoch")?.filter(|e| *e != 0).ok_or(SpoolFault::Implausible("no epoch"))?;
    let end: Option<i64> = sql
        .query_row("SELECT offset + span FROM record ORDER BY offset DESC LIMIT 1", [], |row| {
            row.get(0)
        })
        .optional()?;
    if end.is_some_and(|end| end != next) {
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

#[cfg(test)]
mod tests;
