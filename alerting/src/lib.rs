//! The alarm engine, the same in gateway and centre.
//!
//! - The engine performs no I/O and reads no clock: `(event, now)` in, actions out.
//! - The set of occurrences depends on samples and limits alone, not on the order of arrival.
//! - A bad reading neither raises nor clears.

mod condition;
mod deadlines;
mod engine;
mod held;
mod lifecycle;
mod model;
mod overlay;
mod plan;
mod settlement;
mod snapshot;
mod story;
mod words;

#[cfg(test)]
mod tests;

pub mod limits;
pub mod vectors;

pub use engine::Engine;
pub use model::{
    Action, AlarmId, AlarmSpec, Cause, Command, Condition, Event, Flags, GatewayRef, Letter, Level,
    Lifecycle, Occurrence, Plan, PointRef, Priority, Row, Standing, Subject, TimeRules, Verb,
};
pub use plan::{ALARMS_MAX, PlanFault, REFS_MAX, RestoreFault};
