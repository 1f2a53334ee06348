//! A limit over recorded data, judged by the engine that judges live.
//!
//! - The samples come in order of event time, each at its own time: a perfect line. What a bad
//!   line does to the order changes nothing (see the crate's tests), so this is what an alarm
//!   *would have been*, wherever the data were delayed.
//! - After the last sample no time passes: an excursion that lasts is open, its delay does not end.
//! - Not here: a search over settings, or a picture of how many alarms each would give.

mod pairs;
mod series;

pub use pairs::{Pair, pair};
pub use series::{Arranged, Row, Skipped, Why, arrange};

use std::collections::BTreeMap;

use fengsui_telemetry::{Lane, Reading, Revision, TimeMs};

use crate::engine::Engine;
use crate::model::{
    Action, AlarmSpec, Condition, Event, GatewayRef, Level, Lifecycle, Plan, PointRef, Priority,
    Subject, TimeRules,
};
use crate::plan::PlanFault;
use crate::tuning::{chatter_index, count, seconds};

/// A day, ms.
const DAY_MS: i64 = 86_400_000;

/// On which side of the limit the alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// At the limit or above.
    High,
    /// At the limit or below.
    Low,
}

/// One setting of one alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The side.
    pub side: Side,
    /// The limit.
    pub limit: f64,
    /// The deadband, in the unit of the value.
    pub deadband: f64,
    /// On-delay, ms.
    pub on_delay_ms: i64,
    /// Off-delay, ms.
    pub off_delay_ms: i64,
}

/// One occurrence: `[on, off)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Where it began.
    pub on: TimeMs,
    /// Where it ended; none while it lasts.
    pub off: Option<TimeMs>,
}

impl Span {
    /// How long it lasted, ms; an open one up to `until`.
    #[must_use]
    pub fn length_ms(&self, until: TimeMs) -> i64 {
        self.off.unwrap_or(until).since(self.on)
    }
}

/// What one setting would have done.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Outcome {
    /// The occurrences, in order of their beginning.
    pub occurrences: Vec<Span>,
    /// Samples with a number.
    pub samples: u64,
    /// Samples without one: they neither raise nor clear, and stop a running delay.
    pub bad: u64,
    /// Time of the first sample.
    pub first: Option<TimeMs>,
    /// Time of the last sample.
    pub last: Option<TimeMs>,
}

impl Outcome {
    /// Alarms per day from the first to the last sample. `None` where no time passes.
    #[must_use]
    pub fn per_day(&self) -> Option<f64> {
        let observed = self.last?.since(self.first?);
        (observed > 0).then(|| count(self.occurrences.len()) * seconds(DAY_MS) / seconds(observed))
    }

    /// Chatter index. `None` with fewer than two occurrences.
    #[must_use]
    pub fn chatter_index(&self) -> Option<f64> {
        let begins: Vec<TimeMs> = self.occurrences.iter().map(|span| span.on).collect();
        chatter_index(&begins)
    }

    /// The longest occurrence in seconds, an open one up to the last sample. `None` without one.
    #[must_use]
    pub fn longest_s(&self) -> Option<f64> {
        let last = self.last?;
        self.occurrences.iter().map(|span| span.length_ms(last)).max().map(seconds)
    }

    /// Seconds in alarm altogether, an open occurrence up to the last sample.
    #[must_use]
    pub fn in_alarm_s(&self) -> f64 {
        let last = self.last.unwrap_or_default();
        self.occurrences.iter().map(|span| seconds(span.length_ms(last))).sum()
    }
}

/// One setting at work. Samples go in, occurrences come out.
#[derive(Clone, Debug)]
pub struct Backtest {
    engine: Engine,
    actions: Vec<Action>,
    spans: BTreeMap<u64, Span>,
    outcome: Outcome,
}

/// The only point of the plan.
const POINT: PointRef = PointRef(0);

impl Backtest {
    /// # Errors
    /// The setting is none: a limit that is no number, a negative deadband or delay.
    pub fn new(setting: &Setting) -> Result<Self, Vec<PlanFault>> {
        let Setting { side, limit, deadband, on_delay_ms, off_delay_ms } = *setting;
        let level = Level::First;
        let condition = match side {
            Side::High => Condition::High { limit, deadband, level },
            Side::Low => Condition::Low { limit, deadband, level },
        };
        let alarm = AlarmSpec {
            key: "backtest".to_owned(),
            subject: Subject::Point(POINT),
            gateway: GatewayRef(0),
            condition,
            on_delay_ms,
            off_delay_ms,
            priority: Priority::P3,
            // Nobody is there to answer: an alarm that waited would be kept for nothing.
            lifecycle: Lifecycle { ack_required: false, ..Lifecycle::default() },
            times: TimeRules::default(),
            revision: Revision(0),
            statutory: false,
            suppressed_by: None,
        };
        let engine = Engine::new(Plan { revision: Revision(0), alarms: vec![alarm] })?;
        let (actions, spans, outcome) = (Vec::new(), BTreeMap::new(), Outcome::default());
        Ok(Self { engine, actions, spans, outcome })
    }

    /// Takes one sample, later than every one before ([`arrange`] sees to it).
    pub fn sample(&mut self, te: TimeMs, reading: Reading) {
        if reading.is_bad() {
            self.outcome.bad += 1;
        } else {
            self.outcome.samples += 1;
        }
        self.outcome.first.get_or_insert(te);
        self.outcome.last = Some(te);
        let event = Event::Sample { point: POINT, te, reading, lane: Lane::Live };
        self.engine.handle(event, te, &mut self.actions);
        if self.actions.is_empty() {
            return;
        }
        for action in self.actions.drain(..) {
            if let Action::Record(row) = action
                && let Some(bounds) = row.bounds
            {
                self.spans.insert(bounds.number, Span { on: bounds.on, off: bounds.off });
            }
        }
    }

    /// What the setting would have done.
    #[must_use]
    pub fn finish(self) -> Outcome {
        let occurrences = self.spans.into_values().collect();
        Outcome { occurrences, ..self.outcome }
    }
}

#[cfg(test)]
mod tests;
