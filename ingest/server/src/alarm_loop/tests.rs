//! What a deed leaves on the desk, and what a new plan leaves in the journal.

use std::sync::Arc;

use fengsui_alerting::limits::LimitSet;
use fengsui_alerting::{
    Action, AlarmId, Cause, Command, Engine, Event, GatewayRef, Plan, Row, Verb,
};
use fengsui_store::RowKind;
use fengsui_telemetry::{GatewayId, Revision, TimeMs};

use super::{Outcome, annotate, shared_facts};
use crate::config::{AlarmSettings, KnownGateway};
use crate::registry::Registry;
use crate::view::{AlarmRow, rows_of};

const LIMITS: &str = include_str!("../../../../configs/demo/limits.csv");
const NOON: TimeMs = TimeMs(1_700_000_000_000);
const OFFLINE: AlarmId = AlarmId(0);

/// A gateway that was heard once and then no more.
struct Silent {
    registry: Registry,
    plan: Plan,
    engine: Engine,
}

fn silent() -> Silent {
    let registry = Registry::new(&[KnownGateway {
        id: GatewayId::parse("GW-01").unwrap(),
        limits: LimitSet::parse("limits.csv", LIMITS).unwrap(),
        limits_revision: Revision(1),
        limits_text: LIMITS.to_owned(),
    }]);
    let plan = registry.plan(AlarmSettings::default());
    let mut engine = Engine::new(plan.clone()).unwrap();
    let mut actions = Vec::new();
    engine.handle(Event::Heard { gateway: GatewayRef(0) }, NOON, &mut actions);
    engine.handle(Event::Wake, NOON + 60_000, &mut actions);
    Silent { registry, plan, engine }
}

impl Silent {
    fn told(&mut self, verb: Verb, comment: &str, request: &str) -> Row {
        let command = Command {
            alarm: OFFLINE,
            verb,
            by: "王敏".to_owned(),
            comment: comment.to_owned(),
            request: request.to_owned(),
        };
        let mut actions = Vec::new();
        self.engine.handle(Event::Command(command), NOON + 61_000, &mut actions);
        let row = actions.into_iter().find_map(|action| match action {
            Action::Record(row) => Some(row),
            Action::Annunciate { .. }
            | Action::Silence { .. }
            | Action::Chime { .. }
            | Action::Recall { .. } => None,
        });
        row.unwrap()
    }

    fn shown(&self, row: &Row) -> AlarmRow {
        let facts = shared_facts(&self.registry, &self.plan);
        let mut shown = rows_of(&self.engine, OFFLINE, &Arc::clone(&facts[0]));
        annotate(&mut shown, [row].into_iter());
        shown.remove(0)
    }
}

#[test]
fn a_standing_alarm_that_a_new_plan_leaves_out_stays_on_the_desk() {
    let Silent { registry, engine, .. } = silent();
    let now = NOON + 70_000;
    let mut engine = Engine::restore_with_past(Plan::default(), &engine.snapshot()).unwrap();
    let mut actions = Vec::new();
    engine.handle(Event::Wake, now, &mut actions);
    let Some(Action::Record(row)) = actions.first() else { panic!("{actions:#?}") };
    let told = super::journal_row(row, "GW-01//OFFLINE");
    assert_eq!((told.kind, told.cause.as_str()), (RowKind::Alarm, "no_longer_judged"));
    assert_eq!((told.from, told.to, told.occurrence), ('B', 'B', 1));
    assert!(told.comment.starts_with("不再判断"), "{}", told.comment);
    let facts = shared_facts(&registry, &engine.plan());
    assert_eq!((facts[0].key.as_str(), facts[0].kind), ("GW-01//OFFLINE", "gateway_offline"));
    let [shown] = rows_of(&engine, OFFLINE, &facts[0]).try_into().unwrap();
    assert!(shown.facts.0.unjudged && shown.wants_person(), "{shown:#?}");
}

#[test]
fn nothing_is_left_behind_by_an_alarm_that_is_normal() {
    let Silent { plan, .. } = silent();
    let fresh = Engine::new(plan).unwrap();
    let mut engine = Engine::restore_with_past(Plan::default(), &fresh.snapshot()).unwrap();
    let mut actions = Vec::new();
    engine.handle(Event::Wake, NOON, &mut actions);
    assert_eq!(actions, []);
    assert_eq!(engine.specs().count(), 0);
}

#[test]
fn a_deed_that_the_state_refuses_has_not_the_askers_words_as_its_reason() {
    let mut silent = silent();
    let row = silent.told(Verb::Reset, "我要复位", "r1");
    assert_eq!((row.cause, row.comment.as_str()), (Cause::Refused, "我要复位"));
    assert_eq!(Outcome::of(&row).why, "");
    assert_eq!(silent.shown(&row).comment, "", "nor are they a note on the alarm");
}

#[test]
fn a_second_persons_comment_on_an_acknowledged_alarm_is_a_note() {
    let mut silent = silent();
    let verb = || Verb::Acknowledge { occurrence: 1, first_level: None };
    assert_eq!(silent.told(verb(), "已派人", "a1").cause, Cause::Acknowledged);
    let row = silent.told(verb(), "路由器断电", "a2");
    assert_eq!(row.cause, Cause::Refused);
    assert_eq!(silent.shown(&row).comment, "路由器断电");
}
