//! The alarm engine, the same in gateway and centre.
//!
//! - The engine performs no I/O and reads no clock: `(event, now)` in, actions out.
//! - The set of occurrences depends on samples and limits alone, not on the order of arrival.
//! - A bad reading neither raises nor clears.
//!
//! # How a host drives it
//!
//! 1. [`Engine::new`], or [`Engine::restore`] from the newest snapshot. Then play again what came
//!    after the snapshot: samples with the `now` of then, and the commands of the journal's rows,
//!    in the order of that time; where it can, [`Event::Wake`] in between at [`Engine::wake_at`].
//!    Rows that come out again have the ids that the journal knows. Recalls of a replay need no
//!    answer: they are asked again. Then [`Event::Restarted`].
//! 2. Sound what [`Engine::all_standing`] says is unanswered.
//! 3. Every event with the wall clock's `now`; [`Event::Wake`] when [`Engine::wake_at`] has come.
//!    [`Event::Heard`] whenever a gateway gives a sign of life: STALE of its points is announced
//!    only once its gateway has proved to be alive, or is kept quiet under its OFFLINE.
//! 4. [`Action::Record`] goes to the journal before the annunciation that follows it.
//! 5. [`Action::Recall`] is answered from the store with [`Event::History`], complete, those of
//!    one point in order. An answer that is lost is asked for again after 30 s.

mod command;
mod condition;
mod deadlines;
mod derived;
mod engine;
mod held;
mod lifecycle;
mod model;
mod mutant;
mod overlay;
mod plan;
mod refusal;
mod settlement;
mod signal;
mod snapshot;
mod sound;
mod specs;
mod story;
#[cfg(test)]
mod tests;
mod words;

pub mod backtest;
pub mod calls;
pub mod closure;
pub mod colour;
pub mod compare;
pub mod first_out;
pub mod flood;
pub mod hazard;
pub mod kpi;
pub mod limits;
pub mod packs;
pub mod tuning;
pub mod vectors;

pub use command::{Command, Permit, Verb};
pub use derived::{Derived, EXPRESSION_MAX, Expression, ExpressionFault, INPUTS_MAX};
pub use engine::{Engine, Told, ToldRow};
pub use model::{
    Action, AlarmId, AlarmSpec, Cause, Condition, Event, Flags, GatewayRef, Letter, Level,
    Lifecycle, Occurrence, Plan, PointRef, Priority, Row, Standing, Subject, TimeRules,
};
pub use plan::{ALARMS_MAX, PlanFault, REFS_MAX, RestoreFault};
pub use refusal::SHELVES_MAX;
pub use specs::{SpecRef, Terms};
