//! Every SQL statement about people.

use fengsui_telemetry::TimeMs;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{AccountNote, ApiToken, Deed, NewUser, User};

const SCHEMA: &str = "
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS user (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  display TEXT NOT NULL, role TEXT NOT NULL, position TEXT NOT NULL, hash TEXT NOT NULL,
  disabled INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS session (
  hash BLOB PRIMARY KEY, user INTEGER NOT NULL REFERENCES user (id), created INTEGER NOT NULL,
  seen INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_user ON session (user, seen);
CREATE TABLE IF NOT EXISTS api_token (
  id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, label TEXT NOT NULL,
  user INTEGER NOT NULL REFERENCES user (id), created INTEGER NOT NULL, expires INTEGER NOT NULL);
-- What the journal does not tell yet.
CREATE TABLE IF NOT EXISTS account_note (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, by_whom TEXT NOT NULL,
  verb TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL);
COMMIT;
";

const USER: &str = "u.id, u.name, u.display, u.role, u.position, u.hash, u.disabled, u.created";

pub(crate) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(SCHEMA)
}

fn user_of(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(0)?,
        name: row.get(1)?,
        display: row.get(2)?,
        role: row.get(3)?,
        position: row.get(4)?,
        hash: row.get(5)?,
        disabled: row.get(6)?,
        created: TimeMs(row.get(7)?),
    })
}

// ---- people -------------------------------------------------------------------------------

pub(super) fn users(conn: &Connection) -> rusqlite::Result<Vec<User>> {
    let sql = format!("SELECT {USER} FROM user u ORDER BY u.name");
    conn.prepare_cached(&sql)?.query_map([], user_of)?.collect()
}

pub(super) fn user(conn: &Connection, name: &str) -> rusqlite::Result<Option<User>> {
    let sql = format!("SELECT {USER} FROM user u WHERE u.name = ?1");
    conn.prepare_cached(&sql)?.query_row([name], user_of).optional()
}

pub(super) fn anybody(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM user LIMIT 1")?.exists([])
}

/// People who can manage accounts now.
pub(super) fn admins(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT COUNT(*) FROM user WHERE role = ?1 AND disabled = 0", ["admin"], |row| {
        row.get(0)
    })
}

pub(super) fn add_user(conn: &Connection, new: NewUser<'_>, now: TimeMs) -> rusqlite::Result<i64> {
    conn.prepare_cached(
        "INSERT INTO user (name, display, role, position, hash, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .insert(params![new.name, new.display, new.role, new.position, new.hash, now.0])
}

pub(super) fn set_hash(conn: &Connection, id: i64, hash: &str) -> rusqlite::Result<usize> {
    conn.execute("UPDATE user SET hash = ?2 WHERE id = ?1", params![id, hash])
}

pub(super) fn set_disabled(conn: &Connection, id: i64, disabled: bool) -> rusqlite::Result<usize> {
    conn.execute("UPDATE user SET disabled = ?2 WHERE id = ?1", params![id, disabled])
}

pub(super) fn set_role(conn: &Connection, id: i64, role: &str) -> rusqlite::Result<usize> {
    conn.execute("UPDATE user SET role = ?2 WHERE id = ?1", params![id, role])
}

// ---- sessions -----------------------------------------------------------------------------

/// Leaves a person at most `keep` sessions, those used last.
pub(super) fn make_room(conn: &Connection, user: i64, keep: i64) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "DELETE FROM session WHERE user = ?1 AND hash NOT IN
           (SELECT hash FROM session WHERE user = ?1 ORDER BY seen DESC LIMIT ?2)",
    )?
    .execute(params![user, keep])
}

pub(super) fn open_session(
    conn: &Connection,
    user: i64,
    hash: &[u8; 32],
    now: TimeMs,
    expires: TimeMs,
) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT INTO session (hash, user, created, seen, expires) VALUES (?1, ?2, ?3, ?3, ?4)",
    )?
    .execute(params![hash, user, now.0, expires.0])
}

pub(super) fn session(
    conn: &Connection,
    hash: &[u8; 32],
    now: TimeMs,
    used_since: TimeMs,
) -> rusqlite::Result<Option<User>> {
    let sql = format!(
        "SELECT {USER} FROM session s JOIN user u ON u.id = s.user
         WHERE s.hash = ?1 AND s.expires > ?2 AND s.seen > ?3 AND u.disabled = 0"
    );
    conn.prepare_cached(&sql)?.query_row(params![hash, now.0, used_since.0], user_of).optional()
}

pub(super) fn touch_session(
    conn: &Connection,
    hash: &[u8; 32],
    now: TimeMs,
) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE session SET seen = max(seen, ?2) WHERE hash = ?1")?
        .execute(params![hash, now.0])
        .map(|_| ())
}

pub(super) fn end_session(conn: &Connection, hash: &[u8; 32]) -> rusqlite::Result<bool> {
    conn.execute("DELETE FROM session WHERE hash = ?1", [hash]).map(|rows| rows > 0)
}

pub(super) fn end_sessions_of(conn: &Connection, user: i64) -> rusqlite::Result<usize> {
    conn.execute("DELETE FROM session WHERE user = ?1", [user])
}

pub(super) fn sweep(conn: &Connection, now: TimeMs, used_since: TimeMs) -> rusqlite::Result<usize> {
    let sessions = conn.execute(
        "DELETE FROM session WHERE expires <= ?1 OR seen <= ?2",
        params![now.0, used_since.0],
    )?;
    let tokens = conn.execute("DELETE FROM api_token WHERE expires <= ?1", [now.0])?;
    Ok(sessions + tokens)
}

// ---- tokens -------------------------------------------------------------------------------

pub(super) fn tokens_of(conn: &Connection, user: i64) -> rusqlite::Result<i64> {
    conn.query_row("SELECT COUNT(*) FROM api_token WHERE user = ?1", [user], |row| row.get(0))
}

pub(super) fn add_token(
    conn: &Connection,
    user: i64,
    label: &str,
    hash: &[u8; 32],
    now: TimeMs,
    expires: TimeMs,
) -> rusqlite::Result<i64> {
    conn.prepare_cached(
        "INSERT INTO api_token (user, label, hash, created, expires) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .insert(params![user, label, hash, now.0, expires.0])
}

pub(super) fn token(
    conn: &Connection,
    hash: &[u8; 32],
    now: TimeMs,
) -> rusqlite::Result<Option<User>> {
    let sql = format!(
        "SELECT {USER} FROM api_token t JOIN user u ON u.id = t.user
         WHERE t.hash = ?1 AND t.expires > ?2 AND u.disabled = 0"
    );
    conn.prepare_cached(&sql)?.query_row(params![hash, now.0], user_of).optional()
}

pub(super) fn tokens(conn: &Connection, now: TimeMs) -> rusqlite::Result<Vec<ApiToken>> {
    conn.prepare_cached(
        "SELECT t.id, t.label, u.name, t.created, t.expires FROM api_token t
         JOIN user u ON u.id = t.user WHERE t.expires > ?1 ORDER BY t.id",
    )?
    .query_map([now.0], |row| {
        Ok(ApiToken {
            id: row.get(0)?,
            label: row.get(1)?,
            user: row.get(2)?,
            created: TimeMs(row.get(3)?),
            expires: TimeMs(row.get(4)?),
        })
    })?
    .collect()
}

/// Removes a token; whose it was and what for.
pub(super) fn take_token(conn: &Connection, id: i64) -> rusqlite::Result<Option<(String, String)>> {
    let found = conn
        .query_row(
            "SELECT u.name, t.label FROM api_token t JOIN user u ON u.id = t.user WHERE t.id = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    conn.execute("DELETE FROM api_token WHERE id = ?1", [id])?;
    Ok(found)
}

// ---- notes --------------------------------------------------------------------------------

pub(super) fn note(
    conn: &Connection,
    deed: Deed<'_>,
    verb: &str,
    object: &str,
    detail: &str,
) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT INTO account_note (at, by_whom, verb, object, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![deed.now.0, deed.by, verb, object, detail])
}

pub(super) fn notes(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<AccountNote>> {
    conn.prepare_cached(
        "SELECT id, at, by_whom, verb, object, detail FROM account_note ORDER BY id LIMIT ?1",
    )?
    .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(AccountNote {
            id: row.get(0)?,
            at: TimeMs(row.get(1)?),
            by: row.get(2)?,
            verb: row.get(3)?,
            object: row.get(4)?,
            detail: row.get(5)?,
        })
    })?
    .collect()
}

pub(super) fn forget_notes(conn: &Connection, through: i64) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM account_note WHERE id <= ?1", [through]).map(|_| ())
}
