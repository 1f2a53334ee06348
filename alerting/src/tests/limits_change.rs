//! Limits that change while samples keep coming: each row names the limits that judged it.

use fengsui_telemetry::{Lane, Reading, Revision, TimeMs};

use super::{high, plan};
use crate::engine::Engine;
use crate::model::{Action, AlarmId, AlarmSpec, Cause, Event, GatewayRef, PointRef};

fn sample(engine: &mut Engine, te: i64, value: f64, lane: Lane, now: i64) -> Vec<Action> {
    let mut actions = Vec::new();
    let event =
        Event::Sample { point: PointRef(0), te: TimeMs(te), reading: Reading::Good(value), lane };
    engine.handle(event, TimeMs(now), &mut actions);
    actions
}

fn changed(engine: &Engine, limit: f64) -> Engine {
    let spec = AlarmSpec { revision: Revision(2), ..high("P/H", limit) };
    Engine::restore(plan(vec![spec]), &engine.snapshot()).unwrap()
}

fn rows(actions: &[Action]) -> Vec<(Cause, u64)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Record(row) => Some((row.cause, row.revision.0)),
            Action::Annunciate { .. }
            | Action::Silence { .. }
            | Action::Chime { .. }
            | Action::Recall { .. } => None,
        })
        .collect()
}

#[test]
fn a_sample_on_its_way_during_the_change_names_the_limits_that_judged_it() {
    let mut engine = Engine::new(plan(vec![high("P/H", 80.0)])).unwrap();
    sample(&mut engine, 1_000, 70.0, Lane::Live, 1_050);
    let mut engine = changed(&engine, 60.0);
    // Something else is the first event after the change; then comes what was measured before it.
    engine.handle(Event::Heard { gateway: GatewayRef(0) }, TimeMs(2_040), &mut Vec::new());
    let raised = sample(&mut engine, 2_000, 70.0, Lane::Live, 2_050);
    assert_eq!(rows(&raised), [(Cause::On, 2)]);
    // Judging the window again comes to the same.
    sample(&mut engine, 3_000, 70.0, Lane::Live, 3_050);
    let mut late = sample(&mut engine, 1_500, 70.0, Lane::Backlog, 3_060);
    engine.handle(Event::Settle { gateway: GatewayRef(0) }, TimeMs(3_060), &mut late);
    let found: Vec<_> = engine.occurrences(AlarmId(0)).iter().map(|o| o.on.0).collect();
    assert_eq!(found.len(), 1, "{found:?}: {late:?}");
    assert!(!rows(&late).iter().any(|(cause, _)| *cause == Cause::Refuted), "{late:?}");
}

#[test]
fn the_first_sample_of_all_may_be_on_its_way_during_the_change() {
    let engine = Engine::new(plan(vec![high("P/H", 80.0)])).unwrap();
    let mut engine = changed(&engine, 60.0);
    engine.handle(Event::Heard { gateway: GatewayRef(0) }, TimeMs(2_040), &mut Vec::new());
    let raised = sample(&mut engine, 2_000, 70.0, Lane::Live, 2_050);
    assert_eq!(rows(&raised), [(Cause::On, 2)]);
}

#[test]
fn what_an_absent_gateway_measured_before_the_change_is_judged_by_the_old_limits() {
    let mut engine = Engine::new(plan(vec![high("P/H", 80.0)])).unwrap();
    sample(&mut engine, 0, 50.0, Lane::Live, 0);
    // Gone for an hour; the limit becomes stricter in the middle of it.
    let mut engine = changed(&engine, 60.0);
    engine.handle(Event::Wake, TimeMs(1_800_000), &mut Vec::new());
    sample(&mut engine, 3_600_000, 50.0, Lane::Live, 3_600_000);
    let mut late = Vec::new();
    for (te, value) in [(900, 70.0), (1_000, 50.0), (2_000, 70.0), (2_100, 50.0)] {
        late.extend(sample(&mut engine, te * 1_000, value, Lane::Backlog, 3_600_000));
    }
    engine.handle(Event::Settle { gateway: GatewayRef(0) }, TimeMs(3_600_000), &mut late);
    let found: Vec<_> = engine.occurrences(AlarmId(0)).iter().map(|o| o.on.0).collect();
    assert_eq!(found, [2_000_000], "70 was below the limit of its time at 900 s");
}
