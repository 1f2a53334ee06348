//! A disk that takes nothing, to a real centre: who has a password still gets to the desk, and who
//! leaves has left. A test of its own process: the limit that plays the full disk is a process's.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

#[expect(dead_code, reason = "the other tests of the door use the rest")]
mod door;

use std::time::Duration;

use door::{Door, PASSWORD};
use fengsui::accounts::secret;
use fengsui_store::ConfigDb;
use fengsui_telemetry::TimeMs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// What a process gets that writes beyond its limit; heard, it is no more than an error.
const BEYOND: i32 = 25;
/// Longer than the centre's round of what is owed to the disk.
const PATIENCE: Duration = Duration::from_secs(40);

fn files_may_grow(grow: bool) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = if grow { maximum } else { Some(0) };
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

fn on_disk(db: &ConfigDb, cookie: &str) -> bool {
    let hash = secret::hash_of_session(cookie.split_once('=').unwrap().1).unwrap();
    db.session(&hash, TimeMs(0), TimeMs(0)).unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_nobody_from_the_desk() {
    let _beyond = signal(SignalKind::from_raw(BEYOND)).unwrap();
    let door = Door::open().await;
    let before = door.enter("operator").await;
    files_may_grow(false);
    let during = door.enter("engineer").await;
    assert_eq!(door.me(&during).await["name"], "engineer");
    let wrong = door.log_in("engineer", "not the one", &[]).await;
    assert_eq!((wrong.status, wrong.code()), (401, "wrong_password"));
    let far = [("x-forwarded-for", "192.0.2.7")];
    let mut tries = Vec::new();
    for _ in 0..6 {
        tries.push(door.log_in("engineer", "not the one", &far).await.status);
    }
    assert_eq!(tries.last(), Some(&429), "guesses go unhindered: {tries:?}");
    let short = door.enter("viewer").await;
    for leaves in [&before, &short] {
        let answer = door.ask("POST", "/api/v1/logout", &[("cookie", leaves)], "{}").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = door.ask("GET", "/api/v1/me", &[("cookie", leaves)], "").await;
        assert_eq!(answer.status, 401, "a session outlives its end");
    }
    files_may_grow(true);
    let db = ConfigDb::open(&door.folder.path().join("centre/config.db")).unwrap();
    assert!(on_disk(&db, &before) && !on_disk(&db, &during), "the disk took something");
    let mut turn = tokio::time::interval(Duration::from_millis(50));
    let carried = async {
        while on_disk(&db, &before) || !on_disk(&db, &during) {
            turn.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, carried).await.expect("the disk is owed");
    assert!(!on_disk(&db, &short));
    assert_eq!(door.me(&during).await["name"], "engineer");
    assert_eq!(door.log_in("admin", PASSWORD, &[]).await.status, 200);
    door.close().await;
}
