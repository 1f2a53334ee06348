//! People, sessions and tokens: what ends what, and what another process sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

use fengsui_store::{AccountFault, ConfigDb, Deed, NewUser, UserChange};
use fengsui_telemetry::TimeMs;

const T0: TimeMs = TimeMs(1_795_270_445_000);
const HOUR: i64 = 3_600_000;
const FAR: TimeMs = TimeMs(T0.0 + 100 * HOUR);
const DEED: Deed<'static> = Deed { by: "test", now: T0 };

fn person<'a>(name: &'a str, role: &'a str) -> NewUser<'a> {
    NewUser { name, display: "王敏", role, position: "值班台", hash: "$argon2id$one" }
}

fn open() -> (tempfile::TempDir, ConfigDb) {
    let dir = tempfile::tempdir().unwrap();
    let db = ConfigDb::open(&dir.path().join("config.db")).unwrap();
    (dir, db)
}

/// Opens a session at `T0`; the answer is its hash.
fn session(db: &ConfigDb, name: &str, byte: u8) -> [u8; 32] {
    let user = db.user(name).unwrap().unwrap();
    assert!(db.open_session(&user, &[byte; 32], T0, FAR).unwrap());
    [byte; 32]
}

fn holds(db: &ConfigDb, hash: &[u8; 32]) -> bool {
    db.session(hash, T0 + 1, T0 - HOUR).unwrap().is_some()
}

#[test]
fn a_new_password_or_a_disabled_person_ends_all_sessions_for_every_process() {
    let (dir, db) = open();
    db.add_user(person("root", "admin"), DEED).unwrap();
    db.add_user(person("wang", "operator"), DEED).unwrap();
    let (one, other) = (session(&db, "wang", 1), session(&db, "root", 2));
    // The command line is another process with its own connection.
    let beside = ConfigDb::open(&dir.path().join("config.db")).unwrap();
    beside.change_user("wang", UserChange::Password("$argon2id$two"), DEED).unwrap();
    assert!(!holds(&db, &one), "a stolen session outlives the new password");
    assert!(holds(&db, &other), "somebody else was logged out");

    let again = session(&db, "wang", 3);
    beside.change_user("wang", UserChange::Disable, DEED).unwrap();
    assert!(!holds(&db, &again));
    beside.change_user("wang", UserChange::Enable, DEED).unwrap();
    assert!(!holds(&db, &again), "enabling again must not bring old sessions back");
}

#[test]
fn a_password_changed_while_it_was_checked_opens_nothing() {
    let (_dir, db) = open();
    db.add_user(person("root", "admin"), DEED).unwrap();
    let read_before = db.user("root").unwrap().unwrap();
    db.change_user("root", UserChange::Password("$argon2id$two"), DEED).unwrap();
    assert!(!db.open_session(&read_before, &[1; 32], T0, FAR).unwrap());
    assert!(!holds(&db, &[1; 32]));
}

#[test]
fn a_session_ends_by_age_by_idleness_and_by_log_out() {
    let (_dir, db) = open();
    db.add_user(person("root", "admin"), DEED).unwrap();
    let hash = session(&db, "root", 1);
    let idle = |now: TimeMs| now - 12 * HOUR;
    let at = T0 + 13 * HOUR;
    assert!(db.session(&hash, at, idle(at)).unwrap().is_none(), "unused for 13 hours");
    db.touch_session(&hash, T0 + 6 * HOUR).unwrap();
    assert!(db.session(&hash, at, idle(at)).unwrap().is_some(), "used 7 hours ago");
    db.touch_session(&hash, FAR).unwrap();
    assert!(db.session(&hash, FAR, idle(FAR)).unwrap().is_none(), "its time is over");
    assert!(db.end_session(&hash).unwrap());
    assert!(!db.end_session(&hash).unwrap());
    db.touch_session(&hash, T0).unwrap();
    assert!(!holds(&db, &hash), "a touch after the log-out brings nothing back");
}

#[test]
fn the_last_admin_stays() {
    let (_dir, db) = open();
    assert!(db.add_first_user(person("admin", "admin"), DEED).unwrap());
    assert!(!db.add_first_user(person("second", "admin"), DEED).unwrap());
    for change in [UserChange::Disable, UserChange::Role("viewer")] {
        let refused = db.change_user("admin", change, DEED);
        assert!(matches!(refused, Err(AccountFault::LastAdmin(_))), "{refused:?}");
    }
    db.add_user(person("li", "admin"), DEED).unwrap();
    db.change_user("admin", UserChange::Disable, DEED).unwrap();
    assert!(matches!(
        db.change_user("li", UserChange::Disable, DEED),
        Err(AccountFault::LastAdmin(_))
    ));
}

#[test]
fn names_are_taken_once_whatever_their_case() {
    let (_dir, db) = open();
    db.add_user(person("Wang", "viewer"), DEED).unwrap();
    assert!(matches!(db.add_user(person("wang", "admin"), DEED), Err(AccountFault::NameTaken(_))));
    assert_eq!(db.users().unwrap().len(), 1);
    assert!(matches!(
        db.change_user("li", UserChange::Disable, DEED),
        Err(AccountFault::NoSuchUser(_))
    ));
}

#[test]
fn tokens_hold_until_they_are_revoked_expire_or_their_owner_is_disabled() {
    let (_dir, db) = open();
    db.add_user(person("root", "admin"), DEED).unwrap();
    db.add_user(person("grafana", "viewer"), DEED).unwrap();
    let id = db.add_token("grafana", "dashboards", &[9; 32], FAR, DEED).unwrap();
    let whose = |now: TimeMs| db.token(&[9; 32], now).unwrap().map(|user| user.name);
    assert_eq!(whose(T0).as_deref(), Some("grafana"));
    assert_eq!(whose(FAR), None);
    assert!(db.token(&[8; 32], T0).unwrap().is_none());
    db.change_user("grafana", UserChange::Disable, DEED).unwrap();
    assert_eq!(whose(T0), None);
    db.change_user("grafana", UserChange::Enable, DEED).unwrap();
    assert_eq!(whose(T0).as_deref(), Some("grafana"));
    assert_eq!(db.tokens(T0).unwrap().len(), 1);
    db.revoke_token(id, DEED).unwrap();
    assert_eq!(whose(T0), None);
    assert!(matches!(db.revoke_token(id, DEED), Err(AccountFault::NoSuchToken(_))));
}

#[test]
fn one_person_never_fills_the_table() {
    let (_dir, db) = open();
    db.add_user(person("root", "admin"), DEED).unwrap();
    let user = db.user("root").unwrap().unwrap();
    for n in 0..60_u8 {
        assert!(db.open_session(&user, &[n; 32], T0 + i64::from(n), FAR).unwrap());
    }
    let open: Vec<u8> = (0..60).filter(|n| holds(&db, &[*n; 32])).collect();
    assert_eq!(open, (10..60).collect::<Vec<u8>>(), "the longest unused go first");
    let (now, idle) = (T0 + 30 * HOUR, T0 + 20 * HOUR);
    assert_eq!(db.sweep_sessions(now, idle).unwrap(), 50);
}

#[test]
fn every_change_leaves_its_note_and_a_refused_one_none() {
    let (_dir, db) = open();
    db.add_user(person("root", "admin"), DEED).unwrap();
    drop(db.add_user(person("root", "admin"), DEED));
    drop(db.change_user("root", UserChange::Disable, DEED));
    db.change_user("root", UserChange::Password("$argon2id$two"), DEED).unwrap();
    let notes = db.account_notes(10).unwrap();
    let verbs: Vec<&str> = notes.iter().map(|note| note.verb.as_str()).collect();
    assert_eq!(verbs, ["user_add", "user_password"]);
    assert!(!notes.iter().any(|note| note.detail.contains("argon2")), "no hash in the journal");
    db.forget_account_notes(notes[0].id).unwrap();
    assert_eq!(db.account_notes(10).unwrap(), notes[1..]);
}
