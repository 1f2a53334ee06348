//! Starts under another plan than the one that was saved.

use std::sync::Arc;

use fengsui_alerting::limits::LimitSet;
use fengsui_alerting::{
    AlarmSpec, Condition, Letter, Level, Lifecycle, Priority, Subject, TimeRules,
};
use fengsui_store::{InputLog, StoreOptions};
use fengsui_telemetry::{Lane, Reading};

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
    let Restored { engine: mut saved, chunk, .. } =
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
        plan: None,
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
    bad.condition = Condition::Clock { limit_ms: 0 };
    plan.alarms.push(bad);
    assert!(Engine::new(plan.clone()).is_err());
    // The first start, and one on its snapshot.
    for _ in 0..2 {
        let started = engine(plan.clone(), &registry, &journal, &store).unwrap();
        let judged: Vec<_> = started.engine.specs().map(|spec| spec.key.to_owned()).collect();
        assert_eq!(judged, ["GW-01//OFFLINE"]);
    }
}

/// What an alarm of GW-02 sees.
const POINT: u32 = 7;
const KEY: &str = "GW-02/TK-201.LT/H";

fn gateways(names: &[&str]) -> Registry {
    let known = names.iter().map(|name| KnownGateway {
        id: GatewayId::parse(name).unwrap(),
        limits: LimitSet::default(),
        limits_revision: Revision(1),
        limits_text: String::new(),
    });
    Registry::new(&known.collect::<Vec<_>>())
}

/// One limit of GW-02, which has this number.
fn limited(gateway: u32, limit: f64) -> Plan {
    let alarm = AlarmSpec {
        key: KEY.to_owned(),
        subject: Subject::Point(PointRef(POINT)),
        gateway: GatewayRef(gateway),
        condition: Condition::High { limit, deadband: 0.0, level: Level::First },
        on_delay_ms: 0,
        off_delay_ms: 0,
        priority: Priority::P1,
        lifecycle: Lifecycle::default(),
        times: TimeRules::default(),
        revision: Revision(1),
        statutory: false,
        suppressed_by: None,
    };
    Plan { revision: Revision(1), alarms: vec![alarm] }
}

/// A centre between two kills.
struct Life {
    journal: AlarmJournal,
    store: SeriesStore,
    engine: Engine,
    chunk: u64,
    gateway: u32,
}

impl Life {
    fn begin(folder: &std::path::Path, registry: &Registry, plan: Plan) -> Self {
        let journal = AlarmJournal::open(&folder.join("alarms.db")).unwrap();
        let store = SeriesStore::open(folder, StoreOptions::default()).unwrap();
        let gateway = plan.alarms.first().map_or(0, |alarm| alarm.gateway.0);
        let Restored { engine, chunk, .. } = engine(plan, registry, &journal, &store).unwrap();
        Self { journal, store, engine, chunk, gateway }
    }

    /// A value of now, judged and recorded with what came of it.
    fn value(&mut self, value: f64) {
        let ti = clock::now();
        let intake = Intake {
            gateway: "GW-02".to_owned(),
            epoch: 1,
            lane: Lane::Live,
            ti,
            samples: vec![(POINT, ti, Reading::Good(value))],
            offsets: vec![(self.chunk, self.chunk + 1)],
            gaps: Vec::new(),
            locals: Vec::new(),
        };
        let (mut log, mut actions) = (InputLog::default(), Vec::new());
        log.judged(&intake, false, false);
        judge(&mut self.engine, GatewayRef(self.gateway), &intake, (false, false), &mut actions);
        let rows = actions.iter().filter_map(|action| match action {
            Action::Record(row) => Some(journaled(&self.engine, row)),
            Action::Annunciate { .. }
            | Action::Silence { .. }
            | Action::Chime { .. }
            | Action::Recall { .. } => None,
        });
        let (rows, chunk) = (rows.collect(), log.take(self.chunk));
        self.chunk += 1;
        let put = |done| self.journal.append_with(chunk, rows, done).map_err(|f| anyhow!("{f}"));
        waiting(put).unwrap();
        // The next stamp is another one.
        while clock::now() <= ti {
            std::thread::yield_now();
        }
    }

    /// Cause and occurrence of every row of the alarm.
    fn told(&self) -> Vec<(String, u64)> {
        let mut told = self.journal.of_alarm(KEY, 50).unwrap();
        told.reverse();
        told.into_iter().map(|stored| (stored.row.cause, stored.row.occurrence)).collect()
    }

    fn stands(&self) -> Vec<(String, u64, bool)> {
        let engine = &self.engine;
        let all = engine.all_standing().into_iter().map(|standing| {
            let key = engine.spec_of(standing.alarm).unwrap().key.to_owned();
            (key, standing.occurrence.unwrap().number, !standing.unacknowledged.is_empty())
        });
        all.collect()
    }

    /// The engine's state, as a disk that forgets leaves it.
    fn damage(&self) {
        let snapshot = Snapshot {
            data: b"nothing of use".to_vec(),
            store_seq: self.store.last_seq(),
            journal_seq: 0,
            inputs_from: self.chunk,
            keep_from: self.chunk,
            plan: None,
            ti: clock::now(),
        };
        let save = |done| {
            self.journal.save_snapshot(snapshot, Vec::new(), done).map_err(|f| anyhow!("{f}"))
        };
        waiting(save).unwrap();
    }
}

fn told(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|(cause, number)| ((*cause).to_owned(), *number)).collect()
}

#[test]
fn a_kill_behind_a_change_of_limits_and_gateways_leaves_each_number_its_occurrence() {
    let folder = tempfile::tempdir().unwrap();
    let mut life = Life::begin(folder.path(), &gateways(&["GW-01", "GW-02"]), limited(1, 80.0));
    // Over the old limit, and not over the one that comes.
    [70.0, 85.0].into_iter().for_each(|value| life.value(value));
    assert_eq!(life.told(), told(&[("on", 1)]));
    drop(life);

    let mut life = Life::begin(folder.path(), &gateways(&["GW-02"]), limited(0, 90.0));
    assert_eq!(life.stands(), [(KEY.to_owned(), 1, true)]);
    assert_eq!(life.told(), told(&[("on", 1)]), "nothing is told twice or otherwise");
    [85.0, 95.0].into_iter().for_each(|value| life.value(value));
    assert_eq!(life.told(), told(&[("on", 1), ("off", 1), ("on", 2)]));
    drop(life);

    // And with one more gateway, in another order.
    let life = Life::begin(folder.path(), &gateways(&["GW-03", "GW-02"]), limited(1, 80.0));
    assert_eq!(life.stands(), [(KEY.to_owned(), 2, true)]);
    assert!(life.engine.last_heard(GatewayRef(1)).is_some(), "heard under its other number");
    assert_eq!(life.engine.last_heard(GatewayRef(0)), None, "GW-03 was never heard");
}

#[test]
fn what_stands_in_the_journal_stands_where_the_engines_state_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let both = gateways(&["GW-01", "GW-02"]);
    let mut life = Life::begin(folder.path(), &both, limited(1, 80.0));
    [85.0, 70.0, 85.0].into_iter().for_each(|value| life.value(value));
    life.damage();
    drop(life);

    let mut life = Life::begin(folder.path(), &both, limited(1, 80.0));
    assert_eq!(life.stands(), [(KEY.to_owned(), 2, true)]);
    // Still over its limit: it is the same one. Then it goes, and the next has the next number.
    [86.0, 70.0, 85.0].into_iter().for_each(|value| life.value(value));
    let rows = [("on", 1), ("off", 1), ("on", 2), ("off", 2), ("on", 3)];
    assert_eq!(life.told(), told(&rows));
    life.damage();
    drop(life);

    // Its limit and its gateway went away as well: a person has to look.
    let life = Life::begin(folder.path(), &gateways(&["GW-01"]), Plan::default());
    assert_eq!(life.stands(), [(KEY.to_owned(), 3, true)]);
    let spec = life.engine.spec_of(AlarmId(0)).unwrap();
    assert_eq!((spec.condition, spec.priority), (&Condition::Unjudged, Priority::P1));
    assert_eq!(life.engine.standing(AlarmId(0)).letter, Letter::B);
}
