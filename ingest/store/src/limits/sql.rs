//! Every SQL statement of the revisions of limits.

use fengsui_telemetry::{Revision, TimeMs};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{LimitsDecision, LimitsProposal, LimitsRevision, LimitsStatus};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS limits_revision (
  id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, number INTEGER NOT NULL,
  revision INTEGER NOT NULL, csv TEXT NOT NULL, base INTEGER NOT NULL,
  author TEXT NOT NULL, author_name TEXT NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL,
  valid_from INTEGER, created INTEGER NOT NULL, UNIQUE (gateway, number));
CREATE TABLE IF NOT EXISTS limits_decision (
  id INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, number INTEGER NOT NULL,
  status TEXT NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL, by_name TEXT NOT NULL,
  comment TEXT NOT NULL, FOREIGN KEY (gateway, number) REFERENCES limits_revision (gateway, number));
CREATE INDEX IF NOT EXISTS limits_decision_of ON limits_decision (gateway, number, id);
CREATE TRIGGER IF NOT EXISTS limits_revision_stays BEFORE UPDATE ON limits_revision
  BEGIN SELECT RAISE(ABORT, 'a revision of limits is never edited'); END;
CREATE TRIGGER IF NOT EXISTS limits_revision_kept BEFORE DELETE ON limits_revision
  BEGIN SELECT RAISE(ABORT, 'a revision of limits is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS limits_decision_stays BEFORE UPDATE ON limits_decision
  BEGIN SELECT RAISE(ABORT, 'a decision about limits is never edited'); END;
CREATE TRIGGER IF NOT EXISTS limits_decision_kept BEFORE DELETE ON limits_decision
  BEGIN SELECT RAISE(ABORT, 'a decision about limits is never deleted'); END;
";

/// The newest decision of a revision, or `proposed`.
const STATUS: &str = "COALESCE((SELECT d.status FROM limits_decision d
  WHERE d.gateway = r.gateway AND d.number = r.number ORDER BY d.id DESC LIMIT 1), 'proposed')";

const COLUMNS: &str = "r.number, r.gateway, r.revision, r.base, r.author, r.author_name, r.reason,
  r.evidence, r.valid_from, r.created";

/// Makes the tables, if they are not there.
pub(crate) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(SCHEMA)
}

pub(super) fn insert(conn: &Connection, proposal: &LimitsProposal) -> rusqlite::Result<u64> {
    // A number that decisions are about is taken, although its revision was lost: they would be
    // about the new one.
    let last: i64 = conn
        .prepare_cached(
            "SELECT MAX(
               (SELECT COALESCE(MAX(number), 0) FROM limits_revision WHERE gateway = ?1),
               (SELECT COALESCE(MAX(number), 0) FROM limits_decision WHERE gateway = ?1))",
        )?
        .query_row([&proposal.gateway], |row| row.get(0))?;
    let number = last + 1;
    conn.prepare_cached(
        "INSERT INTO limits_revision (gateway, number, revision, csv, base, author, author_name,
           reason, evidence, valid_from, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        proposal.gateway,
        number,
        proposal.revision.0.cast_signed(),
        proposal.csv,
        proposal.base.cast_signed(),
        proposal.author,
        proposal.author_name,
        proposal.reason,
        proposal.evidence,
        proposal.valid_from.map(|at| at.0),
        proposal.created.0,
    ])?;
    Ok(number.cast_unsigned())
}

pub(super) fn decide(
    conn: &Connection,
    gateway: &str,
    number: u64,
    decision: &LimitsDecision,
) -> rusqlite::Result<()> {
    let LimitsDecision { status, at, by, by_name, comment } = decision;
    conn.prepare_cached(
        "INSERT INTO limits_decision (gateway, number, status, at, by, by_name, comment)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        gateway,
        number.cast_signed(),
        status.word(),
        at.0,
        by,
        by_name,
        comment
    ])?;
    Ok(())
}

/// Status and base of a revision.
pub(super) fn status(
    conn: &Connection,
    gateway: &str,
    number: u64,
) -> rusqlite::Result<Option<(LimitsStatus, u64)>> {
    conn.prepare_cached(&format!(
        "SELECT {STATUS}, r.base FROM limits_revision r WHERE r.gateway = ?1 AND r.number = ?2"
    ))?
    .query_row(params![gateway, number.cast_signed()], |row| {
        Ok((word(row, 0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    })
    .optional()
}

pub(super) fn in_force(conn: &Connection, gateway: &str) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached(&format!(
        "SELECT r.number FROM limits_revision r WHERE r.gateway = ?1 AND {STATUS} = 'in_force'
         ORDER BY r.number DESC LIMIT 1"
    ))?
    .query_row([gateway], |row| row.get::<_, i64>(0))
    .optional()
    .map(|number| number.map(i64::cast_unsigned))
}

/// True where anything was ever said of a gateway's limits.
pub(super) fn known(conn: &Connection, gateway: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM limits_revision WHERE gateway = ?1)
             OR EXISTS (SELECT 1 FROM limits_decision WHERE gateway = ?1)",
    )?
    .query_row([gateway], |row| row.get(0))
}

pub(super) fn issued(conn: &Connection, gateway: &str) -> rusqlite::Result<Option<TimeMs>> {
    let at: Option<i64> = conn
        .prepare_cached(
            "SELECT MAX(at) FROM limits_decision WHERE gateway = ?1 AND status = 'in_force'",
        )?
        .query_row([gateway], |row| row.get(0))?;
    Ok(at.map(TimeMs))
}

pub(super) fn revision(
    conn: &Connection,
    gateway: &str,
    number: u64,
) -> rusqlite::Result<Option<LimitsRevision>> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, r.csv FROM limits_revision r
             WHERE r.gateway = ?1 AND r.number = ?2"
        ))?
        .query_row(params![gateway, number.cast_signed()], |row| read(row, text(row, 10)?))
        .optional()?;
    found.map(|revision| with_decisions(conn, revision)).transpose()
}

pub(super) fn history(
    conn: &Connection,
    gateway: Option<&str>,
    most: usize,
) -> rusqlite::Result<Vec<LimitsRevision>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let revisions: Vec<LimitsRevision> = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM limits_revision r WHERE ?1 IS NULL OR r.gateway = ?1
             ORDER BY r.id DESC LIMIT ?2"
        ))?
        .query_map(params![gateway, most], |row| read(row, String::new()))?
        .collect::<rusqlite::Result<_>>()?;
    revisions.into_iter().map(|revision| with_decisions(conn, revision)).collect()
}

pub(super) fn waiting(conn: &Connection) -> rusqlite::Result<Vec<LimitsRevision>> {
    let revisions: Vec<LimitsRevision> = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM limits_revision r WHERE {STATUS} = 'approved'
             ORDER BY (SELECT MAX(d.id) FROM limits_decision d
                       WHERE d.gateway = r.gateway AND d.number = r.number)"
        ))?
        .query_map([], |row| read(row, String::new()))?
        .collect::<rusqlite::Result<_>>()?;
    revisions.into_iter().map(|revision| with_decisions(conn, revision)).collect()
}

fn with_decisions(conn: &Connection, revision: LimitsRevision) -> rusqlite::Result<LimitsRevision> {
    let decisions = conn
        .prepare_cached(
            "SELECT status, at, by, by_name, comment FROM limits_decision
             WHERE gateway = ?1 AND number = ?2 ORDER BY id",
        )?
        .query_map(params![revision.proposal.gateway, revision.number.cast_signed()], |row| {
            // A damaged word is no word; the others stand, and so does every other revision.
            let Some(status) = LimitsStatus::from_word(&text(row, 0)?) else { return Ok(None) };
            Ok(Some(LimitsDecision {
                status,
                at: TimeMs(row.get(1)?),
                by: text(row, 2)?,
                by_name: text(row, 3)?,
                comment: text(row, 4)?,
            }))
        })?
        .filter_map(Result::transpose)
        .collect::<rusqlite::Result<_>>()?;
    Ok(LimitsRevision { decisions, ..revision })
}

fn read(row: &Row<'_>, csv: String) -> rusqlite::Result<LimitsRevision> {
    Ok(LimitsRevision {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        proposal: LimitsProposal {
            gateway: text(row, 1)?,
            revision: Revision(row.get::<_, i64>(2)?.cast_unsigned()),
            csv,
            base: row.get::<_, i64>(3)?.cast_unsigned(),
            author: text(row, 4)?,
            author_name: text(row, 5)?,
            reason: text(row, 6)?,
            evidence: text(row, 7)?,
            valid_from: row.get::<_, Option<i64>>(8)?.map(TimeMs),
            created: TimeMs(row.get(9)?),
        },
        decisions: Vec::new(),
    })
}

/// A text as far as it is one: a damaged letter must not cost the rest of the row. Whether a file
/// is the one that was agreed to, its hash tells.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?).into_owned())
}

fn word(row: &Row<'_>, column: usize) -> rusqlite::Result<LimitsStatus> {
    let text = text(row, column)?;
    LimitsStatus::from_word(&text).ok_or_else(|| {
        let why = format!("{text:?} is no status of limits").into();
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why)
    })
}
