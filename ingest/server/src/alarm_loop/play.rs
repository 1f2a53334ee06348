//! What one intake does to the engine: the same here and when a restart plays it again.

use fengsui_alerting::{Action, Engine, Event, GatewayRef, PointRef};
use fengsui_store::Intake;

/// Judges an intake at its own `ti`.
pub(crate) fn judge(
    engine: &mut Engine,
    gateway: GatewayRef,
    intake: &Intake,
    (settle, caught_up): (bool, bool),
    actions: &mut Vec<Action>,
) {
    let now = intake.ti;
    engine.handle(Event::Heard { gateway }, now, actions);
    if caught_up {
        engine.handle(Event::CaughtUp { gateway }, now, actions);
    }
    let lane = intake.lane;
    for (point, te, reading) in &intake.samples {
        let event = Event::Sample { point: PointRef(*point), te: *te, reading: *reading, lane };
        engine.handle(event, now, actions);
    }
    if settle {
        engine.handle(Event::Settle { gateway }, now, actions);
    }
}
