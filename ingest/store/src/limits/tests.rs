//! Revisions and their decisions.

use super::*;
use rusqlite::Connection;

fn proposal(gateway: &str, csv: &str, base: u64) -> LimitsProposal {
    LimitsProposal {
        gateway: gateway.into(),
        revision: Revision(u64::MAX - csv.len() as u64),
        csv: csv.into(),
        base,
        author: "li".into(),
        author_name: "李工".into(),
        reason: "抖动".into(),
        evidence: "{\"count\":3}".into(),
        valid_from: Some(TimeMs(-5)),
        created: TimeMs(100),
    }
}

fn decision(status: LimitsStatus, at: i64) -> LimitsDecision {
    LimitsDecision {
        status,
        at: TimeMs(at),
        by: "wang".into(),
        by_name: "王工".into(),
        comment: "同意".into(),
    }
}

fn open() -> (tempfile::TempDir, ConfigDb) {
    let folder = tempfile::tempdir().unwrap();
    let db = ConfigDb::open(&folder.path().join("config.db")).unwrap();
    (folder, db)
}

#[test]
fn one_revision_judges_and_the_others_are_history() {
    let (folder, db) = open();
    assert_eq!(db.propose_limits(&proposal("GW-01", "one", 0)).unwrap(), 1);
    assert_eq!(db.propose_limits(&proposal("GW-02", "other", 0)).unwrap(), 1, "counted apart");
    let force = |n, at| db.decide_limits("GW-01", n, &decision(LimitsStatus::InForce, at)).unwrap();
    assert_eq!(force(1, 200), Decided::Done);
    assert_eq!(db.propose_limits(&proposal("GW-01", "two", 1)).unwrap(), 2);
    let approve = decision(LimitsStatus::Approved, 300);
    assert_eq!(db.decide_limits("GW-01", 2, &approve).unwrap(), Decided::Done);
    assert_eq!(db.limits_in_force("GW-01").unwrap().unwrap().number, 1, "approved only");
    let waiting = db.limits_waiting().unwrap();
    assert_eq!(waiting.iter().map(|w| w.number).collect::<Vec<_>>(), [2]);
    assert_eq!(force(2, 400), Decided::Done);
    assert_eq!(db.limits_issued("GW-01").unwrap(), Some(TimeMs(400)));
    assert_eq!(db.limits_issued("GW-02").unwrap(), None);
    drop(db);

    let db = ConfigDb::open(&folder.path().join("config.db")).unwrap();
    let now = db.limits_in_force("GW-01").unwrap().unwrap();
    assert_eq!((now.number, now.proposal.csv.as_str()), (2, "two"));
    assert_eq!(now.proposal, proposal("GW-01", "two", 1));
    assert_eq!(now.decisions, [approve, decision(LimitsStatus::InForce, 400)]);
    let first = db.limits_revision("GW-01", 1).unwrap().unwrap();
    assert_eq!(first.status(), LimitsStatus::Superseded);
    assert_eq!(first.decisions[1].comment, "#2", "by whom");
    let all = db.limits_history(None, 10).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].number, 2, "newest first");
    assert_eq!(db.limits_history(Some("GW-02"), 10).unwrap().len(), 1);
    assert_eq!(db.limits_history(None, 1).unwrap().len(), 1);
    assert!(db.limits_waiting().unwrap().is_empty());
}

#[test]
fn a_step_that_is_not_allowed_changes_nothing() {
    let (_folder, db) = open();
    db.propose_limits(&proposal("GW-01", "one", 0)).unwrap();
    let decide = |n, status| db.decide_limits("GW-01", n, &decision(status, 1)).unwrap();
    assert_eq!(decide(9, LimitsStatus::Approved), Decided::Unknown);
    assert_eq!(decide(1, LimitsStatus::Rejected), Decided::Done);
    for next in LimitsStatus::ALL {
        assert_eq!(decide(1, next), Decided::Refused(LimitsStatus::Rejected), "{next:?}");
    }
    assert_eq!(db.limits_revision("GW-01", 1).unwrap().unwrap().decisions.len(), 1);
}

#[test]
fn what_was_compared_with_other_limits_cannot_come_into_force() {
    let (_folder, db) = open();
    db.propose_limits(&proposal("GW-01", "one", 0)).unwrap();
    let decide = |n, status| db.decide_limits("GW-01", n, &decision(status, 1)).unwrap();
    decide(1, LimitsStatus::InForce);
    db.propose_limits(&proposal("GW-01", "two", 1)).unwrap();
    db.propose_limits(&proposal("GW-01", "three", 1)).unwrap();
    assert_eq!(decide(2, LimitsStatus::Approved), Decided::Done);
    assert_eq!(decide(3, LimitsStatus::Approved), Decided::Done);
    assert_eq!(decide(2, LimitsStatus::InForce), Decided::Done);
    assert_eq!(decide(3, LimitsStatus::InForce), Decided::Overtaken(2));
    assert_eq!(decide(3, LimitsStatus::Rejected), Decided::Done, "it can be turned down");
    db.propose_limits(&proposal("GW-01", "four", 1)).unwrap();
    assert_eq!(decide(4, LimitsStatus::Approved), Decided::Overtaken(2));
}

#[test]
fn nothing_is_edited_or_deleted() {
    let (folder, db) = open();
    db.propose_limits(&proposal("GW-01", "one", 0)).unwrap();
    db.decide_limits("GW-01", 1, &decision(LimitsStatus::InForce, 1)).unwrap();
    drop(db);
    let conn = Connection::open(folder.path().join("config.db")).unwrap();
    for statement in [
        "UPDATE limits_revision SET csv = 'other'",
        "DELETE FROM limits_revision",
        "UPDATE limits_decision SET by = 'nobody'",
        "DELETE FROM limits_decision",
    ] {
        let refused = conn.execute(statement, []).unwrap_err().to_string();
        assert!(refused.contains("never"), "{statement}: {refused}");
    }
}

#[test]
fn a_number_that_was_decided_about_is_not_given_again_and_a_damaged_letter_costs_no_row() {
    let (folder, db) = open();
    db.propose_limits(&proposal("GW-01", "one,H,90", 0)).unwrap();
    let force = |n| db.decide_limits("GW-01", n, &decision(LimitsStatus::InForce, 1)).unwrap();
    assert_eq!(force(1), Decided::Done);
    let raw = Connection::open(folder.path().join("config.db")).unwrap();
    raw.execute_batch(
        "DROP TRIGGER limits_revision_stays; DROP TRIGGER limits_revision_kept;
         UPDATE limits_revision SET csv = CAST(x'6f6e652cc82c3930' AS TEXT)",
    )
    .unwrap();
    let read = db.limits_in_force("GW-01").unwrap().unwrap();
    assert_eq!(read.proposal.csv, "one,\u{fffd},90");

    raw.execute_batch("PRAGMA foreign_keys = 0; DELETE FROM limits_revision").unwrap();
    assert!(db.limits_in_force("GW-01").unwrap().is_none());
    assert!(db.limits_known("GW-01").unwrap() && !db.limits_known("GW-02").unwrap());
    assert_eq!(db.propose_limits(&proposal("GW-01", "two", 0)).unwrap(), 2);
    assert_eq!(db.limits_revision("GW-01", 2).unwrap().unwrap().status(), LimitsStatus::Proposed);
    assert_eq!(force(2), Decided::Done);
}
