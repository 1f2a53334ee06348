//! What the journal keeps of a change of limits: who, why, who agreed, and what differs.

use fengsui_alerting::limits::{Direction, LimitSet, LimitsDiff, SecondPerson, diff};
use fengsui_store::{ConfigDb, LimitsDecision, LimitsRevision, LimitsStatus, StoreError};
use fengsui_telemetry::TimeMs;
use serde_json::json;

use super::rules::status_zh;
use super::shown::diff_json;
use crate::note::Note;
use crate::stamp::Stamp;

/// What a revision changes against the one that it was compared with. A row that this version
/// can no longer read counts as missing.
///
/// # Errors
/// The database cannot be read.
pub fn diff_of(db: &ConfigDb, revision: &LimitsRevision) -> Result<LimitsDiff, StoreError> {
    let gateway = &revision.proposal.gateway;
    let read = |csv: &str| LimitSet::readable("csv", csv);
    let old = match revision.proposal.base {
        0 => LimitSet::default(),
        base => db
            .limits_revision(gateway, base)?
            .map_or_else(LimitSet::default, |base| read(&base.proposal.csv)),
    };
    let new = if revision.proposal.csv.is_empty() {
        // A list carries no files.
        let whole = db.limits_revision(gateway, revision.number)?;
        whole.map_or_else(LimitSet::default, |whole| read(&whole.proposal.csv))
    } else {
        read(&revision.proposal.csv)
    };
    Ok(diff(&old, &new))
}

/// The note of a proposal (`decision` none) or of a decision. Its id is the step, so that a step
/// is told once however often it is noted.
pub(super) fn note_of(
    revision: &LimitsRevision,
    decision: Option<&LimitsDecision>,
    diff: &LimitsDiff,
    stamp: &Stamp,
) -> Note {
    let proposal = &revision.proposal;
    let status = decision.map_or(LimitsStatus::Proposed, |decision| decision.status);
    let (by, name, words) = match decision {
        Some(decision) => (&decision.by, &decision.by_name, &decision.comment),
        None => (&proposal.author, &proposal.author_name, &proposal.reason),
    };
    let at = decision.map_or(proposal.created, |decision| decision.at);
    let approver = revision.decided(LimitsStatus::Approved);
    let body = json!({
        "gateway": proposal.gateway,
        "number": revision.number,
        "revision": proposal.revision.to_string(),
        "status": status.word(),
        "at": stamp.rfc3339(at),
        "by": by,
        "author": proposal.author,
        "author_name": proposal.author_name,
        "approver": approver.map(|approver| approver.by.clone()),
        "approver_name": approver.map(|approver| approver.by_name.clone()),
        "reason": proposal.reason,
        "comment": decision.map(|decision| decision.comment.clone()),
        "evidence_sha256": sha256(&proposal.evidence),
        "csv_sha256": sha256(&proposal.csv),
        "base": proposal.base,
        "diff": diff_json(diff, &SecondPerson::default()),
    });
    let comment = format!(
        "{} 限值第 {} 版 {}：放宽 {}、收紧 {}、其他 {}；{words}",
        proposal.gateway,
        revision.number,
        status_zh(status),
        diff.count(Direction::Looser),
        diff.count(Direction::Tighter),
        diff.count(Direction::Other),
    );
    Note {
        id: format!("limits/{}/{}/{}", proposal.gateway, revision.number, status.word()),
        cause: "limits",
        by: (!name.is_empty()).then(|| name.clone()),
        comment,
        body: Some(body.to_string()),
        ..Note::default()
    }
}

/// Every note of a revision: a kill between a decision and its note must not lose the note.
pub(super) fn notes_of(revision: &LimitsRevision, diff: &LimitsDiff, stamp: &Stamp) -> Vec<Note> {
    let decisions = revision.decisions.iter().map(Some);
    std::iter::once(None)
        .chain(decisions)
        .map(|decision| note_of(revision, decision, diff, stamp))
        .collect()
}

/// A decision of a person.
pub(super) fn decision(
    status: LimitsStatus,
    at: TimeMs,
    who: (&str, &str),
    comment: &str,
) -> LimitsDecision {
    LimitsDecision {
        status,
        at,
        by: who.0.to_owned(),
        by_name: who.1.to_owned(),
        comment: comment.to_owned(),
    }
}

fn sha256(text: &str) -> Option<String> {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    (!text.is_empty()).then(|| digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
