//! From files to a writer that can go on: at a start, and after a failed commit.
//!
//! - The log is brought home first, so that nothing chains onto frames that a failed fsync left
//!   in doubt.
//! - Then the journal is replayed into tails, skipping what a chunk holds already. A damaged row
//!   becomes a gap and is set aside: a start needs nobody.

use std::collections::HashMap;
use std::path::Path;

use fengsui_telemetry::TimeMs;
use rusqlite::Connection;
use tracing::warn;

use super::book::Book;
use super::hot::Hot;
use super::key::{Spreading, pack};
use super::ranges::Ranges;
use super::shared::Shared;
use super::sql;
use crate::codec::decode_group;
use crate::error::database;
use crate::sqlite::{Readers, Settled, open_writer, settle};
use crate::{Damage, GapReason, GapRow, StoreError, StoreOptions};

/// What the writer owns while its file is well.
pub(super) struct State {
    pub(super) conn: Connection,
    pub(super) book: Book,
    pub(super) ledger: HashMap<(String, u64), Ranges>,
    pub(super) last_seq: u64,
    /// The journal was trimmed through this seq.
    pub(super) trimmed: u64,
}

/// Why the file is being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    Start,
    AfterFailure,
}

/// Opens the file and rebuilds everything that is kept in memory.
pub(super) fn load(shared: &Shared, occasion: Occasion) -> Result<(State, Hot), StoreError> {
    let path = shared.readers.path();
    let conn = open_writer(path, sql::PAGE_SIZE)?;
    let settled = settle(&conn).map_err(database("bring the log home", path))?;
    match (occasion, settled) {
        (_, Settled::Whole) => {}
        (Occasion::Start, Settled::HeldOpen) => warn!("another program reads hot.db"),
        (Occasion::AfterFailure, Settled::HeldOpen) => {
            return Err(StoreError::NotSettled { path: path.to_owned() });
        }
    }
    sql::create(&conn).map_err(database("make the tables", path))?;
    check_meta(shared, &conn)?;

    let mut state = State {
        book: Book::new(shared.options.bucket_ms),
        ledger: HashMap::new(),
        last_seq: sql::last_seq(&conn).map_err(database("read the journal", path))?,
        trimmed: 0,
        conn,
    };
    for row in sql::ledger_rows(&state.conn).map_err(database("read the ledger", path))? {
        state.ledger.entry((row.gateway, row.epoch)).or_default().add(row.lo, row.hi);
    }
    let (hot, damaged) =
        tails(&state.conn, &mut state.book).map_err(database("replay the journal", path))?;
    set_aside(&mut state.conn, &damaged).map_err(database("set damaged rows aside", path))?;
    Ok((state, hot))
}

/// The tails of a file that another process may be writing, as they stand now. Writes nothing.
pub(super) fn beside(path: &Path, mut options: StoreOptions) -> Result<Shared, StoreError> {
    let readers = Readers::new(path);
    let meta = |conn: &Connection| {
        let found = |key| sql::meta_of(conn, key);
        Ok((found("format")?, found("codec")?, found("bucket_ms")?))
    };
    let (format, codec, bucket_ms) = readers.read("read its format", meta)?;
    for (key, found, wanted) in [("format", format, sql::FORMAT), ("codec", codec, sql::CODEC)] {
        fits(path, key, found, wanted)?;
    }
    options.bucket_ms = bucket_ms;
    let shared = Shared::new(path, options);
    let mut book = Book::new(bucket_ms);
    let (hot, damaged) =
        shared.readers.read("replay the journal", |conn| tails(conn, &mut book))?;
    for (seq, gap) in damaged {
        shared.report(journal_block(seq), gap);
    }
    *shared.hot_mut() = hot;
    Ok(shared)
}

fn check_meta(shared: &Shared, conn: &Connection) -> Result<(), StoreError> {
    let path = shared.readers.path();
    let wanted =
        [("format", sql::FORMAT), ("codec", sql::CODEC), ("bucket_ms", shared.options.bucket_ms)];
    for (key, wanted) in wanted {
        let found = sql::meta(conn, key, wanted).map_err(database("read its format", path))?;
        fits(path, key, found, wanted)?;
    }
    Ok(())
}

fn fits(path: &Path, key: &'static str, found: i64, wanted: i64) -> Result<(), StoreError> {
    if found == wanted {
        return Ok(());
    }
    Err(StoreError::Format {
        path: path.to_owned(),
        key,
        found: found.to_string(),
        wanted: wanted.to_string(),
    })
}

/// Journal rows that cannot be read, and their gaps.
type Damaged = Vec<(u64, GapRow)>;

/// The newest samples and what of the journal no chunk holds yet.
fn tails(conn: &Connection, book: &mut Book) -> rusqlite::Result<(Hot, Damaged)> {
    let mut hot = Hot::default();
    for (point, sample) in sql::lasts(conn)? {
        hot.see_last(point, sample);
    }
    // The newest intake that each chunk has seen, asked for once a chunk.
    let mut sealed: HashMap<i64, u64, Spreading> = HashMap::default();
    let mut damaged = Vec::new();
    let mut at = 0;
    while let Some(row) = sql::next_journal(conn, at)? {
        at = row.seq;
        if row.data.is_empty() {
            continue;
        }
        let intakes = match decode_group(row.seq, &row.data) {
            Ok(intakes) => intakes,
            Err(why) => {
                damaged.push((row.seq, damaged_row(&row, why)));
                continue;
            }
        };
        for (seq, intake) in &intakes {
            let mut failed = None;
            hot.apply(book, *seq, intake, |bucket, point| {
                let id = pack(bucket, point);
                let seen = *sealed.entry(id).or_insert_with(|| {
                    sql::chunk_seq(conn, id)
                        .unwrap_or_else(|error| {
                            failed = Some(error);
                            None
                        })
                        .unwrap_or(0)
                });
                seen >= *seq
            });
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }
    Ok((hot, damaged))
}

fn set_aside(conn: &mut Connection, damaged: &[(u64, GapRow)]) -> rusqlite::Result<()> {
    if damaged.is_empty() {
        return Ok(());
    }
    let tx = conn.transaction()?;
    for (seq, gap) in damaged {
        tracing::error!(seq, why = gap.detail, "journal row is damaged");
        sql::put_gap(&tx, gap)?;
        sql::set_journal_aside(&tx, *seq)?;
    }
    tx.commit()
}

/// The name of a damaged journal row.
pub(super) fn journal_block(seq: u64) -> String {
    format!("journal {seq}")
}

/// The gap of a journal row that cannot be read.
pub(super) fn damaged_row(row: &sql::JournalBlob, why: Damage) -> GapRow {
    GapRow {
        gateway: String::new(),
        from: row.t_min.map_or(TimeMs::MIN, TimeMs),
        to: row.t_max.map_or(TimeMs::MAX, TimeMs),
        records: 0,
        cause: GapReason::StoreDamaged,
        points: Vec::new(),
        detail: format!("journal {}: {why}", row.seq),
    }
}
