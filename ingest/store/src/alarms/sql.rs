//! Every SQL statement of `alarms.db`.

use fengsui_telemetry::TimeMs;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::head::Head;
use super::{JournalRow, RowKind, Snapshot, StoredRow};

/// Rows are short and come one by one: SQLite's own page size.
pub(super) const PAGE_SIZE: u32 = 4_096;
/// Version of the tables below and of a row's canonical bytes.
pub(super) const FORMAT: i64 = 1;

const SCHEMA: &str = "
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS meta (k TEXT PRIMARY KEY, v INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, alarm TEXT NOT NULL,
  ti INTEGER NOT NULL, te INTEGER, letter_from TEXT NOT NULL, letter_to TEXT NOT NULL,
  occurrence INTEGER NOT NULL, cause TEXT NOT NULL, flags TEXT NOT NULL, value REAL,
  by_whom TEXT, comment TEXT NOT NULL, request TEXT NOT NULL, command TEXT,
  revision INTEGER NOT NULL, te_on INTEGER, te_off INTEGER, prev BLOB NOT NULL, hash BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS journal_alarm ON journal (alarm, seq);
CREATE INDEX IF NOT EXISTS journal_system ON journal (cause, seq) WHERE kind = 'system';
CREATE TRIGGER IF NOT EXISTS journal_no_update BEFORE UPDATE ON journal
  BEGIN SELECT RAISE(ABORT, 'the alarm journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS journal_no_delete BEFORE DELETE ON journal
  BEGIN SELECT RAISE(ABORT, 'the alarm journal is append-only'); END;
-- The engine's state, replaceable; no part of the chain.
CREATE TABLE IF NOT EXISTS snapshot (
  k INTEGER PRIMARY KEY CHECK (k = 1), store_seq INTEGER NOT NULL, journal_seq INTEGER NOT NULL,
  ti INTEGER NOT NULL, data BLOB NOT NULL);
-- What that state and the inputs since were judged by.
CREATE TABLE IF NOT EXISTS plan (k INTEGER PRIMARY KEY CHECK (k = 1), data BLOB NOT NULL);
-- What the engine took since that state, in its order; no part of the chain either.
CREATE TABLE IF NOT EXISTS inputs (number INTEGER PRIMARY KEY, data BLOB NOT NULL);
COMMIT;
";

const COLUMNS: &str = "seq, id, kind, alarm, ti, te, letter_from, letter_to, occurrence, cause, \
                       flags, value, by_whom, comment, request, command, revision, te_on, te_off, prev, hash";

pub(super) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(SCHEMA)
}

/// Writes the format unless one stands there; says which.
pub(super) fn format(conn: &Connection) -> rusqlite::Result<i64> {
    conn.execute("INSERT OR IGNORE INTO meta (k, v) VALUES ('format', ?1)", [FORMAT])?;
    conn.query_row("SELECT v FROM meta WHERE k = 'format'", [], |row| row.get(0))
}

/// The newest row's seq and hash.
pub(super) fn head(conn: &Connection) -> rusqlite::Result<Head> {
    let found = conn
        .query_row("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(Head { seq: row.get::<_, i64>(0)?.cast_unsigned(), hash: row.get(1)? })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// The hash of one row.
pub(super) fn hash_at(conn: &Connection, seq: u64) -> rusqlite::Result<Option<[u8; 32]>> {
    conn.query_row("SELECT hash FROM journal WHERE seq = ?1", [seq.cast_signed()], |row| row.get(0))
        .optional()
}

pub(super) fn knows(conn: &Connection, id: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM journal WHERE id = ?1")?.exists([id])
}

pub(super) fn put(conn: &Connection, stored: &StoredRow) -> rusqlite::Result<usize> {
    let row = &stored.row;
    conn.prepare_cached(
        "INSERT INTO journal (seq, id, kind, alarm, ti, te, letter_from, letter_to, occurrence,
           cause, flags, value, by_whom, comment, request, command, revision, te_on, te_off, prev,
           hash)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21)",
    )?
    .execute(params![
        stored.seq.cast_signed(),
        row.id,
        row.kind.word(),
        row.alarm,
        row.ti.0,
        row.te.map(|te| te.0),
        row.from.to_string(),
        row.to.to_string(),
        row.occurrence.cast_signed(),
        row.cause,
        row.flags,
        row.value,
        row.by,
        row.comment,
        row.request,
        row.command,
        row.revision.cast_signed(),
        row.te_on.map(|te| te.0),
        row.te_off.map(|te| te.0),
        stored.prev,
        stored.hash
    ])
}

pub(super) fn page(
    conn: &Connection,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRow>> {
    let sql = format!("SELECT {COLUMNS} FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let after = after.min(i64::MAX.cast_unsigned()).cast_signed();
    conn.prepare_cached(&sql)?.query_map(params![after, rows(limit)], stored)?.collect()
}

/// The same to be hashed: a letter that does not stand alone becomes one that no row was ever
/// hashed with.
pub(super) fn page_to_verify(
    conn: &Connection,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRow>> {
    let strict = |row: &Row<'_>| {
        let mut found = stored(row)?;
        for (column, letter) in [(6, &mut found.row.from), (7, &mut found.row.to)] {
            if !row.get_ref(column)?.as_str().is_ok_and(|text| text.chars().count() == 1) {
                *letter = char::REPLACEMENT_CHARACTER;
            }
        }
        Ok(found)
    };
    let sql = format!("SELECT {COLUMNS} FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let after = after.min(i64::MAX.cast_unsigned()).cast_signed();
    conn.prepare_cached(&sql)?.query_map(params![after, rows(limit)], strict)?.collect()
}

pub(super) fn newest(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<StoredRow>> {
    let sql = format!("SELECT {COLUMNS} FROM journal ORDER BY seq DESC LIMIT ?1");
    conn.prepare_cached(&sql)?.query_map([rows(limit)], stored)?.collect()
}

pub(super) fn of_alarm(
    conn: &Connection,
    key: &str,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRow>> {
    let sql = format!("SELECT {COLUMNS} FROM journal WHERE alarm = ?1 ORDER BY seq DESC LIMIT ?2");
    conn.prepare_cached(&sql)?.query_map(params![key, rows(limit)], stored)?.collect()
}

/// The newest rows of one alarm up to a seq, newest first.
pub(super) fn of_alarm_through(
    conn: &Connection,
    key: &str,
    through: u64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM journal WHERE alarm = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT ?3"
    );
    let through = through.min(i64::MAX.cast_unsigned()).cast_signed();
    conn.prepare_cached(&sql)?.query_map(params![key, through, rows(limit)], stored)?.collect()
}

/// When a row was known; where it is missing, the next.
pub(super) fn ti_of(conn: &Connection, seq: u64) -> rusqlite::Result<Option<TimeMs>> {
    conn.prepare_cached("SELECT ti FROM journal WHERE seq >= ?1 ORDER BY seq LIMIT 1")?
        .query_row([seq.cast_signed()], |row| row.get(0).map(TimeMs))
        .optional()
}

/// Notes of one kind before a seq, newest first.
pub(super) fn of_cause(
    conn: &Connection,
    cause: &str,
    before: u64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM journal WHERE kind = 'system' AND cause = ?1 AND seq < ?2
         ORDER BY seq DESC LIMIT ?3"
    );
    let before = before.min(i64::MAX.cast_unsigned()).cast_signed();
    conn.prepare_cached(&sql)?.query_map(params![cause, before, rows(limit)], stored)?.collect()
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredRow> {
    let unknown = |column: usize, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.to_owned().into())
    };
    // A damaged letter costs neither its row nor those after it; `page_to_verify` tells.
    let letter = |column: usize| -> rusqlite::Result<char> {
        let text = row.get_ref(column)?.as_str().unwrap_or_default();
        Ok(text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER))
    };
    let kind: String = row.get(2)?;
    Ok(StoredRow {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        row: JournalRow {
            id: row.get(1)?,
            kind: RowKind::from_word(&kind).ok_or_else(|| unknown(2, "an unknown kind of row"))?,
            alarm: row.get(3)?,
            ti: TimeMs(row.get(4)?),
            te: row.get::<_, Option<i64>>(5)?.map(TimeMs),
            from: letter(6)?,
            to: letter(7)?,
            occurrence: row.get::<_, i64>(8)?.cast_unsigned(),
            cause: row.get(9)?,
            flags: row.get(10)?,
            value: row.get(11)?,
            by: row.get(12)?,
            comment: row.get(13)?,
            request: row.get(14)?,
            command: row.get(15)?,
            revision: row.get::<_, i64>(16)?.cast_unsigned(),
            te_on: row.get::<_, Option<i64>>(17)?.map(TimeMs),
            te_off: row.get::<_, Option<i64>>(18)?.map(TimeMs),
        },
        prev: row.get(19)?,
        hash: row.get(20)?,
    })
}

// ---- snapshot -----------------------------------------------------------------------------

pub(super) fn put_snapshot(conn: &Connection, snapshot: &Snapshot) -> rusqlite::Result<usize> {
    conn.execute(
        "INSERT OR REPLACE INTO meta (k, v) VALUES ('inputs_from', ?1)",
        [snapshot.inputs_from.cast_signed()],
    )?;
    conn.execute("DELETE FROM inputs WHERE number < ?1", [snapshot.keep_from.cast_signed()])?;
    if let Some(plan) = &snapshot.plan {
        conn.execute("INSERT OR REPLACE INTO plan (k, data) VALUES (1, ?1)", [plan])?;
    }
    conn.execute(
        "INSERT OR REPLACE INTO snapshot (k, store_seq, journal_seq, ti, data)
         VALUES (1, ?1, ?2, ?3, ?4)",
        params![
            snapshot.store_seq.cast_signed(),
            snapshot.journal_seq.cast_signed(),
            snapshot.ti.0,
            snapshot.data
        ],
    )
}

pub(super) fn snapshot(conn: &Connection) -> rusqlite::Result<Option<Snapshot>> {
    let sql = "SELECT store_seq, journal_seq, ti, data,
                 (SELECT v FROM meta WHERE k = 'inputs_from'), (SELECT data FROM plan)
               FROM snapshot";
    conn.query_row(sql, [], |row| {
        Ok(Snapshot {
            store_seq: row.get::<_, i64>(0)?.cast_unsigned(),
            journal_seq: row.get::<_, i64>(1)?.cast_unsigned(),
            ti: TimeMs(row.get(2)?),
            data: row.get(3)?,
            inputs_from: row.get::<_, Option<i64>>(4)?.unwrap_or_default().cast_unsigned(),
            keep_from: row.get::<_, Option<i64>>(4)?.unwrap_or_default().cast_unsigned(),
            plan: row.get(5)?,
        })
    })
    .optional()
}

/// When the snapshot was taken, without reading it.
pub(super) fn snapshot_ti(conn: &Connection) -> rusqlite::Result<Option<TimeMs>> {
    conn.query_row("SELECT ti FROM snapshot", [], |row| row.get(0).map(TimeMs)).optional()
}

// ---- inputs -------------------------------------------------------------------------------

/// The same chunk again is the same bytes.
pub(super) fn put_inputs(conn: &Connection, number: u64, data: &[u8]) -> rusqlite::Result<usize> {
    conn.prepare_cached("INSERT OR REPLACE INTO inputs (number, data) VALUES (?1, ?2)")?
        .execute(params![number.cast_signed(), data])
}

/// One chunk.
pub(super) fn inputs(conn: &Connection, number: u64) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached("SELECT data FROM inputs WHERE number = ?1")?
        .query_row([number.cast_signed()], |row| row.get(0))
        .optional()
}

/// The first chunk, and one past the newest, whichever of log and snapshot is further.
pub(super) fn inputs_span(conn: &Connection) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT min(number), max(number),
                 (SELECT v FROM meta WHERE k = 'inputs_from') FROM inputs";
    conn.query_row(sql, [], |row| {
        let first: Option<i64> = row.get(0)?;
        let newest: Option<i64> = row.get(1)?;
        let from = row.get::<_, Option<i64>>(2)?.unwrap_or_default();
        let end = newest.map_or(from, |newest| from.max(newest + 1));
        // What the snapshot does not hold must be there, from its first chunk on.
        Ok((first.unwrap_or(from).min(from).cast_unsigned(), end.cast_unsigned()))
    })
}
