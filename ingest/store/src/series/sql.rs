//! Every SQL statement of `ts/hot.db`.
//!
//! - Numbers without a sign are kept as the signed number of the same bits; floats that must come
//!   back bit for bit as the integer of their bits, because SQLite stores −0.0 as 0.
//! - Room is left for compaction: a chunk's key has the time first, so that a month is one
//!   stretch of the table.

use fengsui_telemetry::{Reading, TimeMs};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{GapReason, GapRow, LedgerRow, LocalRow, Sample};

/// Eight kilobytes: measured best for chunks of a few hundred bytes.
pub(super) const PAGE_SIZE: u32 = 8_192;
/// Version of the tables below.
pub(super) const FORMAT: i64 = 1;
/// Version of chunk and journal blobs.
pub(super) const CODEC: i64 = 1;

const SCHEMA: &str = "
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS meta (k TEXT PRIMARY KEY, v INTEGER NOT NULL) WITHOUT ROWID;
-- One row a group commit: its intakes have the seqs first..=seq.
CREATE TABLE IF NOT EXISTS journal (
  seq INTEGER PRIMARY KEY, first INTEGER NOT NULL,
  t_min INTEGER, t_max INTEGER, data BLOB NOT NULL);
-- id = bucket << 24 | point; seq_hi = newest intake that the chunk has seen of its point.
CREATE TABLE IF NOT EXISTS chunk (
  id INTEGER PRIMARY KEY, seq_hi INTEGER NOT NULL,
  n INTEGER NOT NULL, n_good INTEGER NOT NULL, data BLOB NOT NULL);
-- The newest sample of a point as of its last seal; v = bits of the number.
CREATE TABLE IF NOT EXISTS last (
  point INTEGER PRIMARY KEY, ts INTEGER NOT NULL, v INTEGER, q INTEGER NOT NULL);
-- Ranges of offsets held: lo inclusive, hi exclusive.
CREATE TABLE IF NOT EXISTS ledger (
  gateway TEXT NOT NULL, epoch INTEGER NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL,
  PRIMARY KEY (gateway, epoch, lo)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gap (
  id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, t_from INTEGER NOT NULL, t_to INTEGER NOT NULL,
  records INTEGER NOT NULL, cause TEXT NOT NULL, points TEXT NOT NULL, detail TEXT NOT NULL,
  UNIQUE (gateway, t_from, t_to, cause, points, detail));
-- What the gateways' own engines did.
CREATE TABLE IF NOT EXISTS local (
  gateway TEXT NOT NULL, epoch INTEGER NOT NULL, place INTEGER NOT NULL, alarm TEXT NOT NULL,
  occurrence INTEGER NOT NULL, letter_from TEXT NOT NULL, letter_to TEXT NOT NULL,
  te INTEGER NOT NULL, known INTEGER NOT NULL, revision INTEGER NOT NULL, value REAL,
  why TEXT NOT NULL, PRIMARY KEY (gateway, epoch, place)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS local_te ON local (gateway, te);
-- Damaged blobs, moved out of the way and kept as evidence.
CREATE TABLE IF NOT EXISTS aside (
  id INTEGER PRIMARY KEY, what TEXT NOT NULL, place INTEGER NOT NULL, data BLOB NOT NULL);
COMMIT;
";

pub(super) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(SCHEMA)
}

/// Writes an entry of `meta` unless there is one; says what stands there now.
pub(super) fn meta(conn: &Connection, key: &str, wanted: i64) -> rusqlite::Result<i64> {
    conn.execute("INSERT OR IGNORE INTO meta (k, v) VALUES (?1, ?2)", params![key, wanted])?;
    meta_of(conn, key)
}

/// An entry of `meta` that is there.
pub(super) fn meta_of(conn: &Connection, key: &str) -> rusqlite::Result<i64> {
    conn.query_row("SELECT v FROM meta WHERE k = ?1", [key], |row| row.get(0))
}

// ---- journal ------------------------------------------------------------------------------

/// One row of the journal.
pub(super) struct JournalBlob {
    pub(super) seq: u64,
    pub(super) t_min: Option<i64>,
    pub(super) t_max: Option<i64>,
    pub(super) data: Vec<u8>,
}

pub(super) fn put_journal(
    conn: &Connection,
    first: u64,
    row: &JournalBlob,
) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT INTO journal (seq, first, t_min, t_max, data) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        row.seq.cast_signed(),
        first.cast_signed(),
        row.t_min,
        row.t_max,
        row.data
    ])
}

pub(super) fn next_journal(conn: &Connection, after: u64) -> rusqlite::Result<Option<JournalBlob>> {
    conn.prepare_cached(
        "SELECT seq, t_min, t_max, data FROM journal WHERE seq > ?1 ORDER BY seq LIMIT 1",
    )?
    .query_row([after.min(i64::MAX.cast_unsigned()).cast_signed()], |row| {
        Ok(JournalBlob {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            t_min: row.get(1)?,
            t_max: row.get(2)?,
            data: row.get(3)?,
        })
    })
    .optional()
}

/// Deletes rows up to a seq, but never the newest: it remembers where seqs go on.
pub(super) fn trim_journal(conn: &Connection, through: u64) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "DELETE FROM journal WHERE seq <= ?1 AND seq < (SELECT max(seq) FROM journal)",
    )?
    .execute([through.min(i64::MAX.cast_unsigned()).cast_signed()])
}

pub(super) fn last_seq(conn: &Connection) -> rusqlite::Result<u64> {
    let seq: Option<i64> = conn.query_row("SELECT max(seq) FROM journal", [], |row| row.get(0))?;
    Ok(seq.unwrap_or(0).cast_unsigned())
}

// ---- chunks -------------------------------------------------------------------------------

/// One chunk as it is stored.
pub(super) struct ChunkRow {
    pub(super) id: i64,
    pub(super) seq_hi: u64,
    pub(super) n: u64,
    pub(super) n_good: u64,
    pub(super) data: Vec<u8>,
}

fn chunk_row(row: &Row<'_>) -> rusqlite::Result<ChunkRow> {
    Ok(ChunkRow {
        id: row.get(0)?,
        seq_hi: row.get::<_, i64>(1)?.cast_unsigned(),
        n: row.get::<_, i64>(2)?.cast_unsigned(),
        n_good: row.get::<_, i64>(3)?.cast_unsigned(),
        data: row.get(4)?,
    })
}

pub(super) fn put_chunk(conn: &Connection, chunk: &ChunkRow) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO chunk (id, seq_hi, n, n_good, data) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        chunk.id,
        chunk.seq_hi.cast_signed(),
        chunk.n.cast_signed(),
        chunk.n_good.cast_signed(),
        chunk.data
    ])
}

pub(super) fn chunk(conn: &Connection, id: i64) -> rusqlite::Result<Option<ChunkRow>> {
    conn.prepare_cached("SELECT id, seq_hi, n, n_good, data FROM chunk WHERE id = ?1")?
        .query_row([id], chunk_row)
        .optional()
}

pub(super) fn chunk_seq(conn: &Connection, id: i64) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached("SELECT seq_hi FROM chunk WHERE id = ?1")?
        .query_row([id], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
        .optional()
}

/// The first key at or after this one.
pub(super) fn next_chunk_id(conn: &Connection, id: i64) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM chunk WHERE id >= ?1 ORDER BY id LIMIT 1")?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// Chunks of all points from a key on.
pub(super) fn chunks_from(
    conn: &Connection,
    id: i64,
    most: usize,
) -> rusqlite::Result<Vec<ChunkRow>> {
    conn.prepare_cached(
        "SELECT id, seq_hi, n, n_good, data FROM chunk WHERE id >= ?1 ORDER BY id LIMIT ?2",
    )?
    .query_map(params![id, i64::try_from(most).unwrap_or(i64::MAX)], chunk_row)?
    .collect()
}

// ---- newest samples -----------------------------------------------------------------------

pub(super) fn put_last(conn: &Connection, point: u32, sample: Sample) -> rusqlite::Result<usize> {
    let bits = sample.reading.value().map(|v| v.to_bits().cast_signed());
    conn.prepare_cached("INSERT OR REPLACE INTO last (point, ts, v, q) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![point, sample.te.0, bits, sample.reading.code()])
}

pub(super) fn lasts(conn: &Connection) -> rusqlite::Result<Vec<(u32, Sample)>> {
    conn.prepare_cached("SELECT point, ts, v, q FROM last")?
        .query_map([], |row| {
            let number = row.get::<_, Option<i64>>(2)?.map(|v| f64::from_bits(v.cast_unsigned()));
            let reading = Reading::from_code(row.get(3)?, number);
            Ok((row.get(0)?, Sample { te: TimeMs(row.get(1)?), reading }))
        })?
        .collect()
}

// ---- ledger -------------------------------------------------------------------------------

pub(super) fn put_range(conn: &Connection, row: &LedgerRow) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO ledger (gateway, epoch, lo, hi) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        row.gateway,
        row.epoch.cast_signed(),
        row.lo.cast_signed(),
        row.hi.cast_signed()
    ])
}

pub(super) fn drop_range(
    conn: &Connection,
    gateway: &str,
    epoch: u64,
    lo: u64,
) -> rusqlite::Result<usize> {
    conn.prepare_cached("DELETE FROM ledger WHERE gateway = ?1 AND epoch = ?2 AND lo = ?3")?
        .execute(params![gateway, epoch.cast_signed(), lo.cast_signed()])
}

pub(super) fn ledger_rows(conn: &Connection) -> rusqlite::Result<Vec<LedgerRow>> {
    let mut rows: Vec<LedgerRow> = conn
        .prepare_cached("SELECT gateway, epoch, lo, hi FROM ledger")?
        .query_map([], |row| {
            Ok(LedgerRow {
                gateway: row.get(0)?,
                epoch: row.get::<_, i64>(1)?.cast_unsigned(),
                lo: row.get::<_, i64>(2)?.cast_unsigned(),
                hi: row.get::<_, i64>(3)?.cast_unsigned(),
            })
        })?
        .collect::<Result<_, _>>()?;
    // Not ORDER BY: the signed numbers in the table do not have the order of the unsigned ones.
    rows.sort_by(|a, b| (&a.gateway, a.epoch, a.lo).cmp(&(&b.gateway, b.epoch, b.lo)));
    Ok(rows)
}

// ---- gaps ---------------------------------------------------------------------------------

/// Writes a gap unless the same one stands there.
pub(super) fn put_gap(conn: &Connection, gap: &GapRow) -> rusqlite::Result<usize> {
    let points: Vec<String> = gap.points.iter().map(u32::to_string).collect();
    conn.prepare_cached(
        "INSERT OR IGNORE INTO gap (gateway, t_from, t_to, records, cause, points, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        gap.gateway,
        gap.from.0,
        gap.to.0,
        gap.records.cast_signed(),
        gap.cause.word(),
        points.join(","),
        gap.detail
    ])
}

/// Gaps that touch a stretch of time, oldest first.
pub(super) fn gaps(conn: &Connection, from: TimeMs, to: TimeMs) -> rusqlite::Result<Vec<GapRow>> {
    conn.prepare_cached(
        "SELECT gateway, t_from, t_to, records, cause, points, detail FROM gap
         WHERE t_from < ?2 AND t_to >= ?1 ORDER BY t_from, id",
    )?
    .query_map([from.0, to.0], |row| {
        let cause: String = row.get(4)?;
        let points: String = row.get(5)?;
        Ok(GapRow {
            gateway: row.get(0)?,
            from: TimeMs(row.get(1)?),
            to: TimeMs(row.get(2)?),
            records: row.get::<_, i64>(3)?.cast_unsigned(),
            // A word that a later version wrote: something is missing, whatever it calls it.
            cause: GapReason::from_word(&cause).unwrap_or(GapReason::Corrupt),
            points: points.split(',').filter_map(|p| p.parse().ok()).collect(),
            detail: row.get(6)?,
        })
    })?
    .collect()
}

// ---- what gateways did ----------------------------------------------------------------------

/// Writes a change of a gateway's engine unless it stands there.
pub(super) fn put_local(
    conn: &Connection,
    gateway: &str,
    epoch: u64,
    local: &LocalRow,
) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO local (gateway, epoch, place, alarm, occurrence, letter_from,
           letter_to, te, known, revision, value, why)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        gateway,
        epoch.cast_signed(),
        local.offset.cast_signed(),
        local.alarm,
        local.occurrence.cast_signed(),
        local.from.to_string(),
        local.to.to_string(),
        local.te.0,
        local.known.0,
        local.revision.cast_signed(),
        local.value,
        local.why,
    ])
}

/// Changes of a gateway's engine that happened in a stretch of time, oldest first, at most `most`.
pub(super) fn locals(
    conn: &Connection,
    gateway: &str,
    (from, to): (TimeMs, TimeMs),
    most: usize,
) -> rusqlite::Result<Vec<LocalRow>> {
    let letter = |text: String| text.chars().next().unwrap_or('?');
    conn.prepare_cached(
        "SELECT place, alarm, occurrence, letter_from, letter_to, te, known, revision, value, why
         FROM local WHERE gateway = ?1 AND te >= ?2 AND te < ?3
         ORDER BY te, epoch, place LIMIT ?4",
    )?
    .query_map(params![gateway, from.0, to.0, most as i64], |row| {
        Ok(LocalRow {
            offset: row.get::<_, i64>(0)?.cast_unsigned(),
            alarm: row.get(1)?,
            occurrence: row.get::<_, i64>(2)?.cast_unsigned(),
            from: letter(row.get(3)?),
            to: letter(row.get(4)?),
            te: TimeMs(row.get(5)?),
            known: TimeMs(row.get(6)?),
            revision: row.get::<_, i64>(7)?.cast_unsigned(),
            value: row.get(8)?,
            why: row.get(9)?,
        })
    })?
    .collect()
}

// ---- damage -------------------------------------------------------------------------------

/// Moves a damaged journal row out of the way.
pub(super) fn set_journal_aside(conn: &Connection, seq: u64) -> rusqlite::Result<()> {
    let seq = seq.cast_signed();
    conn.execute(
        "INSERT INTO aside (what, place, data) SELECT 'journal', seq, data FROM journal
         WHERE seq = ?1 AND data <> x''",
        [seq],
    )?;
    // The row itself stays, emptied: it may be the newest, which remembers where seqs go on.
    conn.execute("UPDATE journal SET data = x'' WHERE seq = ?1", [seq])?;
    Ok(())
}

/// Keeps a damaged chunk's bytes before its row is written anew.
pub(super) fn set_chunk_aside(conn: &Connection, chunk: &ChunkRow) -> rusqlite::Result<usize> {
    conn.execute(
        "INSERT INTO aside (what, place, data) VALUES ('chunk', ?1, ?2)",
        params![chunk.id, chunk.data],
    )
}
