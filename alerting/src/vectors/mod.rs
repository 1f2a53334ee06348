//! Runs alarm vectors (JSON lines) through the engine and says where it differs.
//!
//! - One scenario a line: one alarm on one point, inputs in order, the expected journal.
//! - The runner plays the store as well: it answers every recall from the samples of the scenario.
//! - A line that cannot be read is a failure, named by its number.

mod compare;
mod script;

use std::collections::BTreeMap;

use fengsui_telemetry::{Fault, Lane, Reading, Revision, TimeMs};

use self::compare::Got;
use self::script::{Config, Input, Scenario, Sent};
use crate::command::Command;
use crate::engine::Engine;
use crate::model::{
    Action, AlarmId, AlarmSpec, Condition, Event, GatewayRef, Level, Lifecycle, Plan, PointRef,
    Priority, Subject, TimeRules,
};

const POINT: PointRef = PointRef(0);
const GATEWAY: GatewayRef = GatewayRef(0);
const ALARM: AlarmId = AlarmId(0);

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Scenarios that came out as written.
    pub passed: usize,
    /// Scenarios that did not, and lines that could not be read.
    pub failed: usize,
    /// `FAIL id title` with each difference for every failure; last `N passed, M failed`.
    pub lines: Vec<String>,
}

/// Runs every scenario of a JSON-lines text.
#[must_use]
pub fn run(text: &str) -> Report {
    let mut report = Report::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1_usize..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let differences = match Scenario::parse(line) {
            Ok(scenario) => match play(&scenario) {
                Ok(got) => {
                    let title = format!("{} {}", scenario.id, scenario.title);
                    (title, compare::differences(&scenario, &got))
                }
                Err(why) => (format!("line {number} ({})", scenario.id), vec![why]),
            },
            Err(why) => (format!("line {number}"), vec![why]),
        };
        let (title, differences) = differences;
        if differences.is_empty() {
            report.passed += 1;
        } else {
            report.failed += 1;
            report.lines.push(format!("FAIL {}", title.trim()));
            report.lines.extend(differences.iter().map(|d| format!("  {d}")));
        }
    }
    report.lines.push(format!("{} passed, {} failed", report.passed, report.failed));
    report
}

/// Seconds of the script, milliseconds of the engine.
fn ms(seconds: i64) -> i64 {
    seconds.saturating_mul(1000)
}

fn plan_of(config: &Config) -> Result<Plan, String> {
    let (limit, deadband, level) = (config.limit, config.db, Level::First);
    let condition = match config.kind.as_str() {
        "HI" => Condition::High { limit, deadband, level },
        "LO" => Condition::Low { limit, deadband, level },
        other => return Err(format!("config: kind {other:?} is neither HI nor LO")),
    };
    if config.badq != "freeze" {
        return Err(format!("config: badq {:?} is not freeze", config.badq));
    }
    let priority = Priority::from_number(config.prio)
        .ok_or_else(|| format!("config: prio {} is not 1..4", config.prio))?;
    let lifecycle = Lifecycle {
        latch: config.latch,
        ack_required: config.ack_req,
        ack_resets_latch: config.ack_resets_latch,
        realarm_ms: ms(config.realarm),
    };
    let times = TimeRules {
        live_ms: ms(config.l_live),
        hold_lag_ms: ms(config.hold_lag),
        late_horizon_ms: ms(config.late_horizon),
        max_future_ms: ms(config.max_future),
    };
    let spec = AlarmSpec {
        key: format!("vectors/point/{}", config.kind),
        subject: Subject::Point(POINT),
        gateway: GATEWAY,
        condition,
        on_delay_ms: ms(config.on),
        off_delay_ms: ms(config.off),
        priority,
        lifecycle,
        times,
        revision: Revision(0),
        statutory: false,
        suppressed_by: None,
    };
    Ok(Plan { revision: Revision(0), alarms: vec![spec] })
}

/// The engine, the journal it writes, and the store that it asks.
struct Player {
    engine: Engine,
    stored: BTreeMap<TimeMs, Reading>,
    actions: Vec<Action>,
}

impl Player {
    fn handle(&mut self, event: Event, now: TimeMs) {
        let mut actions = Vec::new();
        self.engine.handle(event, now, &mut actions);
        for action in actions {
            if let Action::Recall { point, from, to } = action {
                let samples = self.stored.range(from..=to).map(|(te, r)| (*te, *r)).collect();
                self.handle(Event::History { point, from, samples }, now);
            } else {
                self.actions.push(action);
            }
        }
    }

    fn sample(&mut self, sent: &Sent, lane: Lane, now: TimeMs) {
        let te = TimeMs(ms(sent.te));
        let reading = sent.value.map_or(Reading::Bad(Fault::SourceBad), Reading::Good);
        self.stored.insert(te, reading);
        self.handle(Event::Sample { point: POINT, te, reading, lane }, now);
    }

    /// Down, and up again with what the snapshot holds.
    fn restart(&mut self, now: TimeMs) -> Result<(), String> {
        let snapshot = self.engine.snapshot();
        let plan = self.engine.plan();
        self.engine = Engine::restore(plan, &snapshot).map_err(|fault| fault.to_string())?;
        self.handle(Event::Restarted, now);
        self.handle(Event::CaughtUp { gateway: GATEWAY }, now);
        Ok(())
    }
}

fn play(scenario: &Scenario) -> Result<Got, String> {
    let plan = plan_of(&scenario.config)?;
    let engine = Engine::new(plan)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let mut player = Player { engine, stored: BTreeMap::new(), actions: Vec::new() };
    for (place, (ti, input)) in scenario.input.iter().enumerate() {
        let now = TimeMs(ms(*ti));
        match input {
            Input::Sample(sent) => player.sample(sent, Lane::Live, now),
            Input::Batch(rows) => {
                for sent in rows {
                    player.sample(sent, Lane::Backlog, now);
                }
                player.handle(Event::Settle { gateway: GATEWAY }, now);
            }
            Input::Tick => player.handle(Event::Wake, now),
            Input::Restart => player.restart(now)?,
            Input::Command { verb, user, reason } => {
                // Who must say what is no matter of these scenarios.
                let said = if reason.is_empty() { "-" } else { reason };
                let (by, comment) = (user.clone(), said.to_owned());
                let request = format!("input {place}");
                let verb = verb.clone();
                let command = Command { alarm: ALARM, verb, by, comment, request };
                player.handle(Event::Command(command), now);
            }
        }
    }
    Ok(Got::of(&player.engine, ALARM, &player.actions))
}
