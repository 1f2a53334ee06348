//! Every SQL statement of `config.db`.

use rusqlite::{Connection, OptionalExtension, params};

use super::Catalogued;

/// Small rows: SQLite's own page size.
pub(super) const PAGE_SIZE: u32 = 4_096;
/// Version of the tables below.
pub(super) const FORMAT: i64 = 1;

const SCHEMA: &str = "
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS meta (k TEXT PRIMARY KEY, v INTEGER NOT NULL) WITHOUT ROWID;
-- AUTOINCREMENT: a number that was given once is not given again, even after a deletion.
CREATE TABLE IF NOT EXISTS point (
  id INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, tag TEXT NOT NULL,
  UNIQUE (gateway, tag));
CREATE TABLE IF NOT EXISTS catalogue (
  id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, revision INTEGER NOT NULL, data BLOB NOT NULL,
  UNIQUE (gateway, revision));
CREATE TABLE IF NOT EXISTS current (
  gateway TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
-- What a gateway said of its limits when it last spoke of them.
CREATE TABLE IF NOT EXISTS running (
  gateway TEXT PRIMARY KEY, limits INTEGER NOT NULL, fault TEXT NOT NULL) WITHOUT ROWID;
COMMIT;
";

pub(super) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(SCHEMA)
}

/// Writes the format unless one stands there; says which.
pub(super) fn format(conn: &Connection) -> rusqlite::Result<i64> {
    conn.execute("INSERT OR IGNORE INTO meta (k, v) VALUES ('format', ?1)", [FORMAT])?;
    conn.query_row("SELECT v FROM meta WHERE k = 'format'", [], |row| row.get(0))
}

/// Keeps a catalogue and makes it current.
pub(super) fn put_catalogue(
    conn: &Connection,
    gateway: &str,
    revision: u64,
    data: &[u8],
) -> rusqlite::Result<()> {
    let revision = revision.cast_signed();
    conn.prepare_cached(
        "INSERT OR IGNORE INTO catalogue (gateway, revision, data) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![gateway, revision, data])?;
    conn.prepare_cached("INSERT OR REPLACE INTO current (gateway, revision) VALUES (?1, ?2)")?
        .execute(params![gateway, revision])?;
    Ok(())
}

/// The number of a point, new if it had none.
pub(super) fn point(conn: &Connection, gateway: &str, tag: &str) -> rusqlite::Result<i64> {
    let known = conn
        .prepare_cached("SELECT id FROM point WHERE gateway = ?1 AND tag = ?2")?
        .query_row([gateway, tag], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    conn.prepare_cached("INSERT INTO point (gateway, tag) VALUES (?1, ?2)")?.insert([gateway, tag])
}

/// The next number is above this one, and above all that were given.
pub(super) fn number_above(conn: &Connection, highest: u32) -> rusqlite::Result<()> {
    let last: Option<i64> = conn
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'point'", [], |row| row.get(0))
        .optional()?;
    let statement = match last {
        Some(last) if last >= i64::from(highest) => return Ok(()),
        Some(_) => "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'point'",
        None => "INSERT INTO sqlite_sequence (name, seq) VALUES ('point', ?1)",
    };
    conn.execute(statement, [highest]).map(drop)
}

pub(super) fn points(conn: &Connection) -> rusqlite::Result<Vec<(u32, String, String)>> {
    conn.prepare_cached("SELECT id, gateway, tag FROM point ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

pub(super) fn catalogues(conn: &Connection) -> rusqlite::Result<Vec<Catalogued>> {
    conn.prepare_cached(
        "SELECT c.gateway, c.revision, c.data, n.revision IS NOT NULL
         FROM catalogue c LEFT JOIN current n ON n.gateway = c.gateway AND n.revision = c.revision
         ORDER BY c.gateway, c.id",
    )?
    .query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned(), row.get(2)?, row.get(3)?))
    })?
    .collect()
}

pub(super) fn put_running(
    conn: &Connection,
    gateway: &str,
    limits: u64,
    fault: &str,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO running (gateway, limits, fault) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![gateway, limits.cast_signed(), fault])?;
    Ok(())
}

pub(super) fn running(conn: &Connection) -> rusqlite::Result<Vec<(String, u64, String)>> {
    conn.prepare_cached("SELECT gateway, limits, fault FROM running ORDER BY gateway")?
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned(), row.get(2)?)))?
        .collect()
}
