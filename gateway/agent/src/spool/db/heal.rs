//! A damaged file: set aside, and what can be read carried over into a new one.
//!
//! - The new file begins a new epoch: nobody can say which offsets were given away.
//! - Order is kept; what is missing between two rows is named by a Gap in its place.
//! - Three damaged files are kept for examination, older ones are deleted.

use std::fs;
use std::path::{Path, PathBuf};

use fengsui_telemetry::{GapCause, Offset, TimeMs};
use rusqlite::{Connection, OpenFlags, params};
use tracing::{error, warn};

use super::{
    FILE, SpoolFault, Stored, connect, from_sql, gap, insert_gap, is_whole, set_meta, stored,
    to_sql,
};

/// Damaged files kept: each may be as large as the spool.
const KEPT_MAX: usize = 3;
/// How far a search jumps over unreadable rows before it gives a direction up.
const JUMP_MAX: i64 = 1 << 40;

/// Sets the file aside and opens a new one with what could be read.
pub(super) fn heal(folder: &Path, now: TimeMs) -> Result<Connection, SpoolFault> {
    let aside = set_aside(folder, now)?;
    let mut new = connect(&folder.join(FILE))?;
    match Connection::open_with_flags(&aside, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        Ok(old) => match carry_over(&old, &mut new, now) {
            Ok(kept) => warn!(file = %aside.display(), kept, "damaged spool set aside"),
            Err(fault) => error!(%fault, "damaged spool set aside, nothing could be carried over"),
        },
        Err(fault) => error!(%fault, "damaged spool cannot be read"),
    }
    prune(folder);
    Ok(new)
}

fn set_aside(folder: &Path, now: TimeMs) -> Result<PathBuf, SpoolFault> {
    let aside = folder.join(format!("spool-damaged-{now}.db"));
    for suffix in ["", "-wal", "-shm"] {
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

fn prune(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut old: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            name.is_some_and(|n| n.starts_with("spool-damaged-") && n.ends_with(".db"))
        })
        .collect();
    old.sort();
    let surplus = old.len().saturating_sub(KEPT_MAX);
    for path in old.iter().take(surplus) {
        for suffix in ["", "-wal", "-shm"] {
            let file = format!("{}{suffix}", path.display());
            if let Err(fault) = fs::remove_file(&file)
                && suffix.is_empty()
            {
                warn!(file, %fault, "an old damaged spool could not be deleted");
            }
        }
    }
}

/// Copies readable rows in order; gives back how many.
fn carry_over(old: &Connection, new: &mut Connection, now: TimeMs) -> Result<u64, SpoolFault> {
    let tx = new.transaction()?;
    let catalogues = catalogues(old);
    let mut copy = Copy {
        next: 0,
        end: None,
        kept: 0,
        bytes: 0,
        last_te: now,
        in_catalogue: false,
        catalogues,
    };
    let base = forward(old, i64::MIN, &mut |row| copy.take(&tx, &row))?;
    // Behind a damaged page the rows are found from the other end.
    let mut tail = Vec::new();
    if let Some(stopped) = base {
        backward(old, stopped, &mut tail)?;
        for row in tail.into_iter().rev() {
            copy.take(&tx, &row)?;
        }
        copy.lost_at_the_end(&tx)?;
    }
    set_meta(&tx, "next", to_sql(copy.next))?;
    set_meta(&tx, "durable_next", 0)?;
    set_meta(&tx, "bytes", to_sql(copy.bytes))?;
    tx.commit()?;
    Ok(copy.kept)
}

struct Copy {
    next: Offset,
    /// Where the previous row ended, in the old numbering.
    end: Option<Offset>,
    kept: u64,
    bytes: u64,
    last_te: TimeMs,
    in_catalogue: bool,
    /// Those that no copied row has reached yet, newest first.
    catalogues: Vec<(i64, i64, Vec<u8>)>,
}

impl Copy {
    fn take(&mut self, tx: &Connection, row: &Stored) -> Result<(), SpoolFault> {
        // Without its catalogue nobody could say whose values these are.
        if !is_whole(row) || !self.enter_catalogue(tx, row.offset)? {
            return Ok(());
        }
        if let Some(end) = self.end.filter(|end| *end < row.offset) {
            let records = row.offset - end;
            let hole = gap(self.last_te, row.te, records, GapCause::Corrupt, "damage on disk");
            self.bytes += insert_gap(tx, self.next, &hole)?;
            self.next += records;
        }
        let record = fengsui_telemetry::wire::decode_record(&row.sealed.bytes);
        let kind = record.as_ref().map_or(super::Kind::Telemetry, super::Kind::of);
        tx.execute(
            "INSERT INTO record (offset, span, te, alarm, crc, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                to_sql(self.next),
                to_sql(row.span),
                row.te.0,
                kind.code(),
                row.sealed.crc,
                row.sealed.bytes
            ],
        )?;
        self.next += row.span;
        self.end = Some(row.end());
        self.last_te = row.te;
        self.bytes += super::cost(row.sealed.bytes.len());
        self.kept += 1;
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

    /// Nobody knows how much stood behind the last readable row: one offset says that something
    /// did.
    fn lost_at_the_end(&mut self, tx: &Connection) -> Result<(), SpoolFault> {
        let hole = gap(self.last_te, self.last_te, 1, GapCause::Corrupt, "damage on disk");
        self.bytes += insert_gap(tx, self.next, &hole)?;
        self.next += 1;
        Ok(())
    }
}

fn catalogues(old: &Connection) -> Vec<(i64, i64, Vec<u8>)> {
    let read = || -> rusqlite::Result<Vec<_>> {
        let mut select =
            old.prepare("SELECT first, revision, bytes FROM catalogue ORDER BY first DESC")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    read().unwrap_or_default()
}

const COLUMNS: &str = "SELECT offset, span, te, crc, bytes FROM record";

/// Rows in rising order until one cannot be read; gives back where it stopped, if it did.
fn forward(
    old: &Connection,
    from: i64,
    take: &mut dyn FnMut(Stored) -> Result<(), SpoolFault>,
) -> Result<Option<i64>, SpoolFault> {
    let mut at = from;
    let Ok(mut select) = old.prepare(&format!("{COLUMNS} WHERE offset >= ?1 ORDER BY offset"))
    else {
        return Ok(Some(at));
    };
    let Ok(mut rows) = select.query([at]) else { return Ok(Some(at)) };
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let Ok(row) = stored(row) else { return Ok(Some(at)) };
                at = to_sql(row.end());
                take(row)?;
            }
            Ok(None) => return Ok(None),
            Err(_) => return Ok(Some(at)),
        }
    }
}

/// Rows in falling order down to `stop`, as far as they can be read. From the newest end first;
/// where that is damaged too, from ever earlier starts.
fn backward(old: &Connection, stop: i64, found: &mut Vec<Stored>) -> Result<(), SpoolFault> {
    let query = format!("{COLUMNS} WHERE offset >= ?1 AND offset < ?2 ORDER BY offset DESC");
    let Ok(mut select) = old.prepare(&query) else { return Ok(()) };
    let mut upper = i64::MAX;
    let mut jump = 1;
    while found.is_empty() && jump < JUMP_MAX {
        let Ok(mut rows) = select.query([stop, upper]) else { return Ok(()) };
        while let Ok(Some(row)) = rows.next() {
            let Ok(row) = stored(row) else { break };
            found.push(row);
        }
        // The first starts beyond any spool; then downwards from where offsets can be.
        upper = from_sql(stop)
            .checked_add(JUMP_MAX.unsigned_abs() / jump.unsigned_abs())
            .map_or(upper, to_sql);
        jump *= 2;
    }
    Ok(())
}
