//! The spool's database, and all its SQL.
//!
//! - WAL, `synchronous=FULL`: what a commit has returned is on the disk.
//! - From the oldest row to `next` the offsets are dense: a row stands for `span` of them, more
//!   than one only where it is a Gap.
//! - A row whose checksum or place is wrong is replaced by a Gap when it is met; rows that are out
//!   of order mean a damaged tree: the file is healed.

mod evict;
mod file;
mod heal;
mod home;
mod names;
mod outside;
mod owned;
mod owner;
mod reading;
mod room;
mod standing;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fengsui_telemetry::wire::{self, Sealed, Storage, decode_record, seal};
use fengsui_telemetry::{Body, Epoch, Gap, GapCause, GatewayId, Offset, Record, Revision, TimeMs};
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tracing::{error, warn};

use super::thin::Zones;
use super::{SpoolFault, SpoolState};
pub(super) use evict::{Evicted, Haste};
use file::{connect, lay_out, verify};
pub(super) use outside::{Met, Outside};
use standing::Standing;

const FILE: &str = "spool.db";
/// A file that is deleted on a full disk, so that the alarm about it can be written.
pub(super) const RESERVE_FILE: &str = "reserve";
/// A row's share of pages, index and header beside its bytes.
const ROW_OVERHEAD: u64 = 40;

/// The same query everywhere, so that [`stored`] fits.
const COLUMNS: &str = "SELECT offset, span, te, crc, bytes, alarm FROM record";

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
    /// As its column says.
    kind: i64,
}

impl Stored {
    fn end(&self) -> Offset {
        self.offset.saturating_add(self.span)
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let crc: i64 = row.get(3)?;
    let offset = from_sql(row.get(0)?);
    Ok(Stored {
        offset,
        span: from_sql(row.get(1)?).max(1),
        te: TimeMs(row.get(2)?),
        sealed: Sealed { bytes: row.get(4)?, crc: placed(u32::try_from(crc).unwrap_or(0), offset) },
        kind: row.get(5)?,
    })
}

/// A record's checksum as the column holds it, and back: with its offset in it, so that a record
/// whose key was damaged is no whole record of another place.
fn placed(crc: u32, offset: Offset) -> u32 {
    crc ^ crc32c::crc32c(&offset.to_le_bytes())
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
    lock: Option<File>,
    sql: Connection,
    /// The file that is open; none in memory.
    inode: Option<home::Inode>,
    /// Whose it is.
    owner: Option<GatewayId>,
    epoch: Epoch,
    oldest: Offset,
    next: Offset,
    durable_next: Offset,
    bytes: u64,
    catalogue: Revision,
    zones: Zones,
}

impl Db {
    pub(super) fn open(folder: &Path, now: TimeMs) -> Result<Self, SpoolFault> {
        let file_fault = |e| SpoolFault::File(folder.to_owned(), e);
        fs::create_dir_all(folder).map_err(file_fault)?;
        owned::look(folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(folder.join("lock"))
            .map_err(file_fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolFault::InUse(folder.to_owned())),
            Err(TryLockError::Error(e)) => return Err(file_fault(e)),
        }
        let path = folder.join(FILE);
        heal::finish(folder).map_err(file_fault)?;
        let open = || connect(&path).and_then(|sql| verify(&path, sql));
        let opened = open().or_else(|fault| {
            // A full disk is no damage: the reserve is there for this.
            let reserve = folder.join(RESERVE_FILE);
            if fs::remove_file(reserve).is_ok() { open() } else { Err(fault) }
        });
        let sql = match opened {
            Ok(sql) => sql,
            Err(fault) if is_full(&fault) => return Err(fault),
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
            inode: home::inode(folder),
            owner: None,
            lock,
            sql,
            epoch: Epoch(0),
            oldest: 0,
            next: 0,
            durable_next: 0,
            bytes: 0,
            catalogue: Revision(0),
            zones: Zones::default(),
        };
        db.load()?;
        Ok(db)
    }

    /// Where its files are; none in memory.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.lock.as_ref().map(|_| self.folder.as_path())
    }

    /// After a failed write: sets the file aside and goes on in a new one, in a new epoch.
    pub(super) fn reopen(&mut self, now: TimeMs) -> Result<(), SpoolFault> {
        if self.lock.is_none() {
            self.sql = Connection::open_in_memory()?;
            lay_out(&mut self.sql)?;
            return self.load();
        }
        // The old handle must be gone before its files are moved.
        self.sql = Connection::open_in_memory()?;
        self.sql = heal::heal(&self.folder, now)?;
        self.inode = home::inode(&self.folder);
        if let Some(owner) = &self.owner {
            owner::write(&self.sql, owner)?;
        }
        self.load()
    }

    fn load(&mut self) -> Result<(), SpoolFault> {
        let at = Standing::read(&self.sql)?.ok_or(SpoolFault::Implausible("no standing"))?;
        let known = self.epoch == at.epoch;
        self.epoch = at.epoch;
        self.next = at.next;
        self.durable_next = at.durable_next;
        self.bytes = at.bytes;
        self.oldest = oldest(&self.sql)?.unwrap_or(self.next);
        if !known {
            self.zones = Zones::raw(self.oldest, self.bytes);
        }
        Ok(())
    }

    fn standing(&self) -> Standing {
        Standing {
            epoch: self.epoch,
            next: self.next,
            durable_next: self.durable_next,
            bytes: self.bytes,
        }
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
            storage: if self.lock.is_some() { Storage::Fine } else { Storage::InMemory },
            quota: 0,
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
                    placed(one.sealed.crc, next),
                    one.sealed.bytes
                ])?;
                next += one.span;
                bytes += one.cost();
            }
        }
        if let Some((limits, state)) = snapshot {
            let one = Snapshot { covers: next, limits, bytes: state.to_vec() };
            standing::write_snapshot(&tx, &one)?;
        }
        let durable_next = durable.unwrap_or(self.durable_next).min(next);
        Standing { epoch: self.epoch, next, durable_next, bytes }.write(&tx)?;
        tx.commit()?;
        self.zones.added(bytes - self.bytes);
        if durable_next < self.durable_next {
            // The centre has lost what it had: all of it counts again.
            self.zones = Zones::raw(self.oldest, bytes);
        }
        (self.next, self.bytes, self.durable_next) = (next, bytes, durable_next);
        Ok(())
    }

    pub(super) fn snapshot(&self) -> Result<Option<Snapshot>, SpoolFault> {
        standing::read_snapshot(&self.sql)
    }

    /// Begins a new epoch: what the centre has is dropped, the rest is numbered from 0.
    pub(super) fn new_epoch(&mut self) -> Result<(), SpoolFault> {
        let base = self.row_holding(self.durable_next)?;
        let epoch = new_epoch();
        let tx = self.sql.transaction()?;
        tx.execute("DELETE FROM record WHERE offset < ?1", [to_sql(base)])?;
        renumber(&tx, base)?;
        if let Some(saved) = standing::read_snapshot(&tx)? {
            let covers = saved.covers.saturating_sub(base);
            standing::write_snapshot(&tx, &Snapshot { covers, ..saved })?;
        }
        tx.execute(
            "DELETE FROM catalogue WHERE first <
             (SELECT max(first) FROM catalogue WHERE first <= ?1)",
            [to_sql(base)],
        )?;
        // Over negative numbers, since an UPDATE may visit rows in any order.
        tx.execute("UPDATE catalogue SET first = -1 - max(first - ?1, 0)", [to_sql(base)])?;
        tx.execute("UPDATE catalogue SET first = -1 - first", [])?;
        let bytes = from_sql(tx.query_row(
            "SELECT coalesce(sum(length(bytes) + ?1), 0) FROM record",
            [to_sql(ROW_OVERHEAD)],
            |row| row.get(0),
        )?);
        let next = self.next.saturating_sub(base);
        Standing { epoch, next, durable_next: 0, bytes }.write(&tx)?;
        tx.commit()?;
        warn!(epoch = epoch.0, kept = self.next - base, "spool begins a new epoch");
        self.load()
    }
}

/// The bytes fit their checksum, and the columns say what the bytes say.
fn is_whole(row: &Stored) -> bool {
    let said = |record: Record| {
        let kind = Kind::of(&record).code();
        wire::span(&record) == row.span && record.te == row.te && kind == row.kind
    };
    row.sealed.is_whole() && decode_record(&row.sealed.bytes).map_or(row.span == 1, said)
}

/// The disk has no room.
pub(super) fn is_full(fault: &SpoolFault) -> bool {
    match fault {
        SpoolFault::Database(e) => e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
        SpoolFault::File(_, e) => {
            matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        }
        SpoolFault::InUse(_) | SpoolFault::Linked(_) | SpoolFault::Implausible(_) => false,
    }
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
            placed(one.sealed.crc, at),
            one.sealed.bytes
        ],
    )?;
    Ok(one.cost())
}

/// Moves every record down by so much. In rising order each finds its new place free.
fn renumber(sql: &Connection, by: Offset) -> rusqlite::Result<()> {
    if by == 0 {
        return Ok(());
    }
    let mut select = sql
        .prepare("SELECT offset, crc FROM record WHERE offset >= ?1 ORDER BY offset LIMIT 1000")?;
    let mut update = sql.prepare("UPDATE record SET offset = ?1, crc = ?2 WHERE offset = ?3")?;
    let mut from = by;
    loop {
        let rows = select.query_map([to_sql(from)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(i64, u32)> = rows.collect::<Result<_, _>>()?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = from_sql(*last) + 1;
        for (old, crc) in rows {
            let (before, after) = (from_sql(old), from_sql(old) - by);
            update.execute(params![to_sql(after), placed(placed(crc, before), after), old])?;
        }
    }
}

fn oldest(sql: &Connection) -> rusqlite::Result<Option<Offset>> {
    sql.query_row("SELECT min(offset) FROM record", [], |row| row.get::<_, Option<i64>>(0))
        .map(|found| found.map(from_sql))
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
