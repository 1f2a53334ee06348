//! Starts under another plan than the one that was saved.

use std::sync::Arc;

use fengsui_alerting::limits::LimitSet;
use fengsui_store::StoreOptions;

use super::*;
use crate::config::{AlarmSettings, KnownGateway};

const LIMITS: &str = include_str!("../../../../configs/demo/limits.csv");

/// A centre with the limits of the demo, before its first start.
fn begin(folder: &std::path::Path) -> (Registry, AlarmJournal, SeriesStore) {
    let registry = Registry::new(&[KnownGateway {
        id: GatewayId::parse("GW-01").unwrap(),
        limits: LimitSet::parse("limits.csv", LIMITS).unwrap(),
        limits_revision: Revision(1),
        limits_text: LIMITS.to_owned(),
    }]);
    let journal = AlarmJournal::open(&folder.join("alarms.db")).unwrap();
    (registry, journal, SeriesStore::open(folder, StoreOptions::default()).unwrap())
}

#[test]
fn an_alarm_whose_limit_went_away_while_the_centre_was_down_stands_after_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, journal, store) = begin(folder.path());
    let plan = registry.plan(AlarmSettings::default());
    let Restored { engine: mut saved, chunk } =
        engine(plan.clone(), &registry, &journal, &store).unwrap();
    let mut actions = Vec::new();
    saved.handle(Event::Wake, clock::now() + 3_600_000, &mut actions);
    let offline = "GW-01//OFFLINE";
    assert_eq!(saved.all_standing().len(), 1, "{actions:#?}");
    let snapshot = Snapshot {
        data: saved.snapshot(),
        store_seq: 0,
        journal_seq: 0,
        inputs_from: chunk,
        keep_from: chunk,
        ti: clock::now(),
    };
    let save = |done| journal.save_snapshot(snapshot, Vec::new(), done).map_err(|f| anyhow!("{f}"));
    waiting(save).unwrap();

    // The same gateway, and no limit any more; twice, since the second start says nothing new.
    for _ in 0..2 {
        let other = Registry::new(&[]);
        let started = engine(Plan::default(), &other, &journal, &store).unwrap();
        let told = journal.of_alarm(offline, 10).unwrap();
        let told: Vec<_> = told.iter().filter(|t| t.row.cause == "no_longer_judged").collect();
        let [row] = told.as_slice() else { panic!("{told:#?}") };
        assert_eq!((row.row.occurrence, row.row.to), (1, 'B'));
        let rows = desk_rows(&started.engine, &Arc::new(other), &journal).unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:#?}") };
        assert_eq!((row.facts.0.key.as_str(), row.wants_person()), (offline, true));
        assert!(row.facts.0.unjudged);
    }
}

#[test]
fn one_alarm_that_cannot_be_judged_ends_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, journal, store) = begin(folder.path());
    let mut plan = registry.plan(AlarmSettings::default());
    let mut bad = plan.alarms[0].clone();
    bad.key = "GW-01//CLOCK".to_owned();
    bad.condition = fengsui_alerting::Condition::Clock { limit_ms: 0 };
    plan.alarms.push(bad);
    assert!(Engine::new(plan.clone()).is_err());
    // The first start, and one on its snapshot.
    for _ in 0..2 {
        let started = engine(plan.clone(), &registry, &journal, &store).unwrap();
        let judged: Vec<_> = started.engine.specs().map(|spec| spec.key.to_owned()).collect();
        assert_eq!(judged, ["GW-01//OFFLINE"]);
    }
}
