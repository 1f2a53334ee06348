//! Revisions and their differences as JSON: one shape for the API, the command line and the journal.

use fengsui_alerting::limits::{Direction, LimitFault, LimitsDiff, RowChange, SecondPerson};
use fengsui_store::{LimitsRevision, LimitsStatus};
use serde_json::{Value, json};

use super::held::is_whole;
use super::rules::status_zh;
use crate::stamp::Stamp;

/// Rows of a difference that the journal carries; the files themselves are in `config.db`, named
/// by their hashes.
const ROWS_MAX: usize = 500;

/// A difference: its rows, how many go which way, and who must agree.
#[must_use]
pub fn diff_json(diff: &LimitsDiff, second: &SecondPerson) -> Value {
    let needing: Vec<String> = diff.needing_second(second).map(RowChange::name).collect();
    let rows: Vec<Value> = diff.rows.iter().take(ROWS_MAX).map(row_json).collect();
    json!({
        "rows": rows,
        "total": diff.rows.len(),
        "looser": diff.count(Direction::Looser),
        "tighter": diff.count(Direction::Tighter),
        "other": diff.count(Direction::Other),
        "second_person": needing.into_iter().take(ROWS_MAX).collect::<Vec<_>>(),
    })
}

fn row_json(row: &RowChange) -> Value {
    let fields: Vec<Value> = row
        .fields
        .iter()
        .map(|field| {
            json!({
                "field": field.field, "old": field.old, "new": field.new,
                "direction": field.direction.word(),
            })
        })
        .collect();
    json!({
        "tag": row.tag,
        "kind": row.kind.word(),
        "change": row.change.word(),
        "direction": row.direction.word(),
        "priority": row.priority.number(),
        "statutory": row.statutory,
        "fields": fields,
    })
}

/// A revision with everything that was said about it, without its file.
#[must_use]
pub fn revision_json(revision: &LimitsRevision, stamp: &Stamp) -> Value {
    let proposal = &revision.proposal;
    let decisions: Vec<Value> = revision
        .decisions
        .iter()
        .map(|decision| {
            json!({
                "status": decision.status.word(),
                "at": stamp.rfc3339(decision.at),
                "by": decision.by,
                "name": decision.by_name,
                "comment": decision.comment,
            })
        })
        .collect();
    let in_force = revision.decided(LimitsStatus::InForce);
    json!({
        "gateway": proposal.gateway,
        "number": revision.number,
        "revision": proposal.revision.to_string(),
        "status": revision.status().word(),
        "status_zh": status_zh(revision.status()),
        "author": proposal.author,
        "author_name": proposal.author_name,
        "reason": proposal.reason,
        "evidence": evidence(&proposal.evidence),
        "base": proposal.base,
        "created": stamp.rfc3339(proposal.created),
        "wanted_from": proposal.valid_from.map(|at| stamp.rfc3339(at)),
        "valid_from": in_force.map(|decision| stamp.rfc3339(decision.at)),
        "decisions": decisions,
    })
}

/// Adds the file of a revision to what is told of it, and whether that is no longer the text that
/// was agreed to.
pub fn put_file(json: &mut Value, revision: &LimitsRevision) {
    if let Some(json) = json.as_object_mut() {
        json.insert("csv".to_owned(), Value::String(revision.proposal.csv.clone()));
        json.insert("damaged".to_owned(), Value::Bool(!is_whole(revision)));
    }
}

/// JSON stays JSON, text stays text.
fn evidence(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Faults of a file: row, field, value, and what is wrong with the mend.
#[must_use]
pub fn faults_json(faults: &[LimitFault]) -> Value {
    let list = faults.iter().map(|fault| {
        json!({
            "file": fault.file, "row": fault.row, "field": fault.column, "value": fault.value,
            "why": fault.trouble.to_string(),
        })
    });
    Value::Array(list.collect())
}
