//! Starts after `config.db` was deleted: limits and the numbers of points.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use fengsui_store::{Decided, Intake, LimitsDecision, LimitsProposal, LimitsStatus};
use fengsui_telemetry::{Lane, Reading, TimeMs};

use crate::Files;
use crate::config::Config;

const FILE: &str = "tag,kind,limit\nA,H,80\n";

/// A centre's files as a start leaves them, and by what it judges.
fn start(folder: &Path) -> (Files, Config) {
    std::fs::write(folder.join("l.csv"), FILE).unwrap();
    let toml = "data = \"data\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"l.csv\"\n";
    std::fs::write(folder.join("centre.toml"), toml).unwrap();
    let mut config = Config::load(&folder.join("centre.toml")).unwrap();
    let files = crate::open(&config).unwrap();
    let (_, orders) =
        super::begin(&mut config, &files.config_db, || crate::judged_by(&files.journal)).unwrap();
    let blind = config.gateways[0].limits.is_in_place_of_others();
    assert_eq!(orders[0].is_none(), blind, "only what was agreed to is sent");
    let registry = crate::restore::registry(&config, &files.config_db).unwrap();
    let plan = registry.plan(config.alarm);
    crate::restore::engine(plan, &registry, &files.journal, &files.store).unwrap();
    (files, config)
}

fn delete_config(folder: &Path) {
    for entry in std::fs::read_dir(folder.join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("config.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn limits_that_judged_before_are_not_the_files_because_the_database_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (files, config) = start(folder.path());
    let csv = FILE.replace("80", "70");
    let revision = crate::config::revision(csv.as_bytes());
    let first = files.config_db.limits_in_force("GW-01").unwrap().unwrap().proposal;
    let second = LimitsProposal { csv, revision, base: 1, ..first };
    files.config_db.propose_limits(&second).unwrap();
    let word = LimitsDecision {
        status: LimitsStatus::InForce,
        at: TimeMs(6_000),
        by: "wang".into(),
        by_name: "王工".into(),
        comment: String::new(),
    };
    assert_eq!(files.config_db.decide_limits("GW-01", 2, &word).unwrap(), Decided::Done);
    drop((files, config));
    let (files, config) = start(folder.path());
    assert_eq!(config.gateways[0].limits_revision, revision, "70 judges");
    drop(files);

    delete_config(folder.path());
    for _restart in 0..2 {
        let (_files, config) = start(folder.path());
        assert!(config.gateways[0].limits.is_in_place_of_others(), "80 judges, and shows it");
    }
}

#[test]
fn a_database_that_is_gone_while_the_file_judged_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    drop(start(folder.path()));
    delete_config(folder.path());
    let (files, config) = start(folder.path());
    assert!(config.gateways[0].limits.is_whole());
    assert_eq!(files.config_db.limits_in_force("GW-01").unwrap().unwrap().number, 1);
}

#[test]
fn a_new_point_never_shows_the_history_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = start(folder.path());
    let old = files.config_db.register("GW-01", 1, b"", &["A.LT", "B.LT"]).unwrap();
    let intake = Intake {
        gateway: "GW-01".into(),
        epoch: 1,
        lane: Lane::Live,
        ti: TimeMs(2_000),
        samples: old.iter().map(|point| (*point, TimeMs(1_000), Reading::Good(71.0))).collect(),
        offsets: vec![(0, 2)],
        gaps: Vec::new(),
        locals: Vec::new(),
    };
    let (done, stored) = sync_channel(1);
    files.store.append(intake, Box::new(move |result| drop(done.send(result)))).unwrap();
    stored.recv().unwrap().unwrap();
    drop(files);

    delete_config(folder.path());
    let (files, _) = start(folder.path());
    let new = files.config_db.register("GW-02", 1, b"", &["A.LT", "B.LT", "C.LT"]).unwrap();
    assert!(new.iter().all(|point| files.store.latest(*point).is_none()), "{old:?} {new:?}");
    assert!(new[0] > old[1]);
}
