//! A damaged file: set aside, and what can be read carried over into a new one.
//!
//! - The new file begins a new epoch: nobody can say which offsets were given away.
//! - Order is kept; what is missing between two rows is named by a Gap in its place.
//! - What the centre has is not carried over, where the file can say so: under a new epoch it
//!   would be judged twice.
//! - Three damaged files are kept for examination, older ones are deleted.

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use fengsui_telemetry::{GapCause, Offset, TimeMs};
use rusqlite::{Connection, OpenFlags, params};
use tracing::{error, warn};

use super::file::{FORMAT, connect};
use super::names::known_numbers;
use super::standing::{Standing, point_crc, read_snapshot, write_snapshot};
use super::{
    COLUMNS, FILE, Kind, Snapshot, SpoolFault, Stored, cost, decode_record, from_sql, gap,
    insert_gap, is_whole, new_epoch, owner, placed, stored, to_sql,
};

/// Damaged files kept: each may be as large as the spool.
const KEPT_MAX: usize = 3;
/// How far a search jumps over unreadable rows before it gives up.
const JUMP_MAX: i64 = 1 << 40;
/// SQLite's pages, as this program makes them.
const PAGE: usize = 4_096;

/// The new file while it is being filled: until it is whole, the old one stays where it is.
pub(super) const NEW_FILE: &str = "spool-new.db";
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// What is carried over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    All,
    /// The disk has no room for more.
    Alarms,
}

/// Fills a new file with what can be read of the old one, sets the old one aside and opens the
/// new one. When it fails, the old file is where it was, and this may be tried again.
pub(super) fn heal(folder: &Path, now: TimeMs) -> Result<Connection, SpoolFault> {
    let kept = fill_new(folder, now, What::All).or_else(|fault| {
        if !super::is_full(&fault) {
            return Err(fault);
        }
        warn!("no room for a copy of the damaged spool: only its alarms are carried over");
        prune(folder, 0);
        fill_new(folder, now, What::Alarms)
    })?;
    let aside = set_aside(folder, now)?;
    let path = folder.join(FILE);
    fs::rename(folder.join(NEW_FILE), &path).map_err(|e| SpoolFault::File(path.clone(), e))?;
    warn!(file = %aside.display(), kept, "damaged spool set aside");
    prune(folder, KEPT_MAX);
    connect(&path)
}

/// A healing that was cut short after the old file was set aside: the new one is whole.
pub(super) fn finish(folder: &Path) -> std::io::Result<()> {
    let (path, new) = (folder.join(FILE), folder.join(NEW_FILE));
    if !path.exists() && new.exists() { fs::rename(new, path) } else { Ok(()) }
}

fn fill_new(folder: &Path, now: TimeMs, what: What) -> Result<u64, SpoolFault> {
    let path = folder.join(NEW_FILE);
    clear_new(folder)?;
    let mut new = connect(&path)?;
    new.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let old = open_old(&folder.join(FILE), &path);
    let kept = match old.and_then(|old| carry_over(&old, &mut new, now, what)) {
        Ok(kept) => kept,
        Err(fault) if super::is_full(&fault) => return Err(fault),
        Err(fault) => {
            error!(%fault, "nothing of the damaged spool could be carried over");
            all_lost(&mut new, now)?;
            0
        }
    };
    // Everything into the one file that is renamed.
    new.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    new.close().map_err(|(_, fault)| fault)?;
    Ok(kept)
}

fn remove(path: &Path) -> Result<(), SpoolFault> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(SpoolFault::File(path.to_owned(), e)),
    }
}

/// Nothing is left of a copy that was begun before.
pub(super) fn clear_new(folder: &Path) -> Result<(), SpoolFault> {
    let path = folder.join(NEW_FILE);
    SUFFIXES
        .iter()
        .try_for_each(|suffix| remove(&PathBuf::from(format!("{}{suffix}", path.display()))))
}

pub(super) fn set_aside(folder: &Path, now: TimeMs) -> Result<PathBuf, SpoolFault> {
    let aside = folder.join(format!("spool-damaged-{now}.db"));
    for suffix in SUFFIXES {
        let from = folder.join(format!("{FILE}{suffix}"));
        let to = PathBuf::from(format!("{}{suffix}", aside.display()));
        match fs::rename(&from, to) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(SpoolFault::File(from, e)),
        }
    }
    Ok(aside)
}

fn prune(folder: &Path, most: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut old: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            name.is_some_and(|n| n.starts_with("spool-damaged-") && n.ends_with(".db"))
        })
        .collect();
    old.sort();
    let surplus = old.len().saturating_sub(most);
    for path in old.iter().take(surplus) {
        for suffix in SUFFIXES {
            let file = format!("{}{suffix}", path.display());
            if let Err(fault) = fs::remove_file(&file)
                && suffix.is_empty()
            {
                warn!(file, %fault, "an old damaged spool could not be deleted");
            }
        }
    }
}

/// Opens the old file. Where its first page is damaged, nothing behind it could be found: that
/// page is the same in every spool but for counters, so the new one's is put in its place.
fn open_old(path: &Path, new: &Path) -> Result<Connection, SpoolFault> {
    let open = || -> Result<Connection, SpoolFault> {
        let old = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        old.prepare(COLUMNS)?;
        Ok(old)
    };
    let opened = open().and_then(|old| {
        let (_, ours) = tables(&Connection::open(new)?)?;
        let (format, theirs) = tables(&old)?;
        // Of another format: read as it is.
        if format != FORMAT || theirs == ours {
            Ok(old)
        } else {
            Err(SpoolFault::Implausible("other tables"))
        }
    });
    opened.or_else(|fault| {
        warn!(%fault, "first page of the damaged spool is replaced");
        graft(path, new).map_err(|e| SpoolFault::File(path.to_owned(), e))?;
        open()
    })
}

/// The format, and every table: its name, its first page, and how it was made.
fn tables(sql: &Connection) -> rusqlite::Result<(i64, String)> {
    let format = sql.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let all = "SELECT group_concat(name || rootpage || coalesce(sql, ''), ';')
               FROM (SELECT * FROM sqlite_schema ORDER BY rootpage)";
    Ok((format, sql.query_row(all, [], |row| row.get(0))?))
}

fn graft(path: &Path, new: &Path) -> std::io::Result<()> {
    let mut page = vec![0; PAGE];
    fs::File::open(new)?.read_exact(&mut page)?;
    let mut old = fs::OpenOptions::new().write(true).open(path)?;
    let pages = u32::try_from(old.metadata()?.len() / PAGE as u64).unwrap_or(u32::MAX);
    // Size of the file, and no free pages: <https://www.sqlite.org/fileformat2.html#the_database_header>.
    let header = [pages.to_be_bytes(), [0; 4], [0; 4]].concat();
    if let Some(place) = page.get_mut(28..40) {
        place.copy_from_slice(&header);
    }
    old.rewind()?;
    old.write_all(&page)
}

/// Copies readable rows in order; gives back how many.
fn carry_over(
    old: &Connection,
    new: &mut Connection,
    now: TimeMs,
    what: What,
) -> Result<u64, SpoolFault> {
    let standing = Standing::read(old).ok().flatten();
    let base = standing.map_or(0, |at| row_holding(old, at.durable_next));
    let tx = new.transaction()?;
    let mut copy = Copy {
        what,
        next: 0,
        end: standing.map(|_| base),
        shift: None,
        kept: 0,
        bytes: 0,
        last_te: now,
        in_catalogue: false,
        catalogues: catalogues(old),
    };
    let whole = rows_from(old, to_sql(base), &mut |row| copy.take(&tx, &row))?;
    match standing {
        Some(at) => copy.lost_up_to(&tx, at.next)?,
        // Nobody knows how much stood behind the last readable row: one offset says that
        // something did.
        None if !whole => {
            let end = *copy.end.get_or_insert(0);
            copy.lost_up_to(&tx, end + 1)?;
        }
        None => {}
    }
    if let Some(shift) = copy.shift {
        carry_engine(old, &tx, shift)?;
    }
    if let Ok(Some(owner)) = owner::read(old) {
        owner::write(&tx, &owner)?;
    }
    Standing { epoch: new_epoch(), next: copy.next, durable_next: 0, bytes: copy.bytes }
        .write(&tx)?;
    tx.commit()?;
    Ok(copy.kept)
}

/// Nobody knows what a lost file held: one offset says that it was lost.
fn all_lost(new: &mut Connection, now: TimeMs) -> Result<(), SpoolFault> {
    let tx = new.transaction()?;
    let bytes = insert_gap(&tx, 0, &gap(now, now, 1, GapCause::Corrupt, "damage on disk"))?;
    Standing { epoch: new_epoch(), next: 1, durable_next: 0, bytes }.write(&tx)?;
    Ok(tx.commit()?)
}

/// The saved state of the engine, and the numbers by which it knows points: without them every
/// alarm that stands would be a new one.
fn carry_engine(old: &Connection, tx: &Connection, shift: Offset) -> Result<(), SpoolFault> {
    let Ok(numbers) = known_numbers(old) else { return Ok(()) };
    let Ok(Some(saved)) = read_snapshot(old) else { return Ok(()) };
    let mut add = tx.prepare("INSERT INTO point (tag, number, crc) VALUES (?1, ?2, ?3)")?;
    for (tag, number) in numbers {
        add.execute(params![tag, number, point_crc(&tag, number)])?;
    }
    let covers = saved.covers.saturating_sub(shift);
    Ok(write_snapshot(tx, &Snapshot { covers, ..saved })?)
}

struct Copy {
    what: What,
    next: Offset,
    /// Where the previous row ended, in the old numbering.
    end: Option<Offset>,
    /// Old offset less new one: the same for all rows.
    shift: Option<Offset>,
    kept: u64,
    bytes: u64,
    last_te: TimeMs,
    in_catalogue: bool,
    /// Those that no copied row has reached yet, newest first.
    catalogues: Vec<(i64, i64, Vec<u8>)>,
}

impl Copy {
    fn take(&mut self, tx: &Connection, row: &Stored) -> Result<bool, SpoolFault> {
        // Without its catalogue nobody could say whose values these are; what is out of its place
        // is damage.
        let in_place = self.end.is_none_or(|end| end <= row.offset);
        if !in_place || !is_whole(row) {
            return Ok(false);
        }
        if !self.enter_catalogue(tx, row.offset)? {
            return Ok(true);
        }
        let kind = decode_record(&row.sealed.bytes).as_ref().map_or(Kind::Telemetry, Kind::of);
        if self.what == What::Alarms && kind == Kind::Telemetry {
            return Ok(true);
        }
        self.lost_up_to(tx, row.offset)?;
        self.shift.get_or_insert(row.offset - self.next);
        tx.prepare_cached(
            "INSERT INTO record (offset, span, te, alarm, crc, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            to_sql(self.next),
            to_sql(row.span),
            row.te.0,
            kind.code(),
            placed(row.sealed.crc, self.next),
            row.sealed.bytes
        ])?;
        self.next += row.span;
        self.end = Some(row.end());
        self.last_te = row.te;
        self.bytes += cost(row.sealed.bytes.len());
        self.kept += 1;
        Ok(true)
    }

    /// A Gap from where the previous row ended.
    fn lost_up_to(&mut self, tx: &Connection, offset: Offset) -> Result<(), SpoolFault> {
        let Some(end) = self.end.filter(|end| *end < offset) else {
            self.end.get_or_insert(offset);
            return Ok(());
        };
        let records = offset - end;
        let hole = gap(self.last_te, self.last_te, records, GapCause::Corrupt, "damage on disk");
        self.bytes += insert_gap(tx, self.next, &hole)?;
        self.next += records;
        self.end = Some(offset);
        Ok(())
    }

    /// Carries over the catalogue of this row, once. False where there is none.
    fn enter_catalogue(&mut self, tx: &Connection, offset: Offset) -> Result<bool, SpoolFault> {
        let mut entered = None;
        while let Some(one) = self.catalogues.pop_if(|(first, ..)| *first <= to_sql(offset)) {
            entered = Some(one);
        }
        if let Some((_, revision, bytes)) = entered {
            self.in_catalogue = true;
            // A hole before this row belongs to neither, so it may stand under the new one.
            tx.execute(
                "INSERT OR REPLACE INTO catalogue (first, revision, bytes) VALUES (?1, ?2, ?3)",
                params![to_sql(self.next), revision, bytes],
            )?;
        }
        Ok(self.in_catalogue)
    }
}

/// Newest first. Damaged bytes of the present catalogue are mended when it is entered; of an old
/// one the centre has its own copy.
fn catalogues(old: &Connection) -> Vec<(i64, i64, Vec<u8>)> {
    let read = || -> rusqlite::Result<Vec<(i64, i64)>> {
        let mut select =
            old.prepare("SELECT first, revision FROM catalogue ORDER BY first DESC")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let bytes = |first: i64| {
        old.query_row("SELECT bytes FROM catalogue WHERE first = ?1", [first], |row| row.get(0))
    };
    let found = read().unwrap_or_default();
    found.into_iter().map(|(first, name)| (first, name, bytes(first).unwrap_or_default())).collect()
}

/// The offset of the row that stands for this one.
fn row_holding(old: &Connection, offset: Offset) -> Offset {
    let query = "SELECT offset, offset + span FROM record WHERE offset <= ?1
                 ORDER BY offset DESC LIMIT 1";
    let found: rusqlite::Result<(i64, i64)> =
        old.query_row(query, [to_sql(offset)], |row| Ok((row.get(0)?, row.get(1)?)));
    found.ok().filter(|(_, end)| *end > to_sql(offset)).map_or(offset, |(first, _)| from_sql(first))
}

/// Hands over every row from here on that can be read, until it has been taken. A row that was
/// not taken moves nothing: its key may be what is damaged. Behind a damaged page it goes on with
/// the first row that can be found again. False: something at the end could not be read.
fn rows_from(
    old: &Connection,
    from: i64,
    take: &mut dyn FnMut(Stored) -> Result<bool, SpoolFault>,
) -> Result<bool, SpoolFault> {
    let mut select = old.prepare(&format!("{COLUMNS} WHERE offset >= ?1 ORDER BY offset"))?;
    let mut at = from;
    loop {
        let Ok(mut rows) = select.query([at]) else { return Ok(false) };
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let Ok(row) = stored(row) else { break };
                    let next = to_sql(row.end());
                    if take(row)? {
                        at = next;
                    }
                }
                Ok(None) => return Ok(true),
                Err(_) => break,
            }
        }
        drop(rows);
        match readable_after(old, at) {
            Some(next) => at = next,
            None => return Ok(false),
        }
    }
}

/// The first place beyond an unreadable one from which rows can be read: ever longer jumps, then
/// back by halves.
fn readable_after(old: &Connection, at: i64) -> Option<i64> {
    let leads_on = |from: i64| {
        let read = || -> rusqlite::Result<bool> {
            let mut select = old
                .prepare_cached(&format!("{COLUMNS} WHERE offset >= ?1 ORDER BY offset LIMIT 1"))?;
            let mut rows = select.query([from])?;
            match rows.next()? {
                Some(row) => Ok(to_sql(stored(row)?.offset) >= from),
                None => Ok(true),
            }
        };
        read().unwrap_or(false)
    };
    let mut jump = 1_i64;
    while jump < JUMP_MAX && !leads_on(at.saturating_add(jump)) {
        jump *= 2;
    }
    if jump >= JUMP_MAX {
        return None;
    }
    let (mut bad, mut good) = (at.saturating_add(jump / 2), at.saturating_add(jump));
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if leads_on(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}
