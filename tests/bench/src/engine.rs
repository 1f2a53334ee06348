//! The alarm engine alone: 200,000 points of four limits, each judged once a second.
//!
//! - First 100,000 points are loaded: how long that takes, and what it holds of memory.
//! - Values walk at random over the whole range, so that one in a hundred judgements or so changes
//!   something: harder than any plant.

use fengsui_alerting::{
    AlarmSpec, Condition, Engine, Event, GatewayRef, Level, Lifecycle, Plan, PointRef, Priority,
    Subject, TimeRules,
};
use fengsui_telemetry::{Reading, Revision, TimeMs};

use anyhow::anyhow;

use crate::figures::{Figure, aims};
use crate::load::{Dice, LANE};
use crate::{note, process};

const POINTS: u32 = 200_000;
const LOADED: u32 = 100_000;
/// Readings of every point before the measurement, so that every state is warm.
const WARM: u32 = 2;
const ROUNDS: u32 = 60;
/// Limits of a point.
const LIMITS: u32 = 4;
const T0: TimeMs = TimeMs(1_795_270_445_000);

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut figures = load()?;
    let mut engine = Engine::new(plan(POINTS)).map_err(|faults| anyhow!("{faults:?}"))?;
    let mut dice = Dice::new(7);
    let mut values: Vec<f64> = (0..POINTS).map(|_| 100.0 * dice.part()).collect();
    let mut actions = Vec::new();
    let mut rows = 0;
    let mut cpu = 0.0;
    for round in 0..WARM + ROUNDS {
        for value in &mut values {
            *value = (*value + (dice.part() - 0.5) * 2.0).clamp(0.0, 100.0);
        }
        let te = T0 + i64::from(round) * 1_000;
        let before = process::own_cpu()?;
        for (point, value) in (0..).zip(&values) {
            let reading = Reading::Good(*value);
            let event = Event::Sample { point: PointRef(point), te, reading, lane: LANE };
            engine.handle(event, te + 20, &mut actions);
        }
        if round >= WARM {
            cpu += process::own_cpu()? - before;
            rows += actions.len();
        }
        actions.clear();
    }
    let evaluations = f64::from(POINTS) * f64::from(LIMITS) * f64::from(ROUNDS);
    note(&format!("  {evaluations} evaluations, {cpu:.2} CPU s, {rows} actions"));
    figures.push(Figure::new(aims::limit_evaluations_per_cpu_second, evaluations / cpu));
    Ok(figures)
}

fn load() -> anyhow::Result<Vec<Figure>> {
    let (before, cpu) = (process::rss_mb(std::process::id())?, process::own_cpu()?);
    let mut engine = Engine::new(plan(LOADED)).map_err(|faults| anyhow!("{faults:?}"))?;
    let cpu = process::own_cpu()? - cpu;
    // Every state has been touched.
    let mut actions = Vec::new();
    for point in 0..LOADED {
        let reading = Reading::Good(50.0);
        let event = Event::Sample { point: PointRef(point), te: T0, reading, lane: LANE };
        engine.handle(event, T0 + 20, &mut actions);
    }
    let memory = process::rss_mb(std::process::id())? - before;
    drop(engine);
    Ok(vec![
        Figure::new(aims::engine_load_cpu_s_100000_points, cpu),
        Figure::new(aims::engine_memory_mb_100000_points, memory),
    ])
}

fn plan(points: u32) -> Plan {
    let mut alarms = Vec::new();
    for point in 0..points {
        let level = |limit, level| Condition::High { limit, deadband: 1.0, level };
        let low = |limit, level| Condition::Low { limit, deadband: 1.0, level };
        let limits = [
            ("HH", level(97.0, Level::Second)),
            ("H", level(94.0, Level::First)),
            ("L", low(6.0, Level::First)),
            ("LL", low(3.0, Level::Second)),
        ];
        for (key, condition) in limits {
            alarms.push(AlarmSpec {
                key: format!("GW/P{point}/{key}"),
                subject: Subject::Point(PointRef(point)),
                gateway: GatewayRef(0),
                condition,
                on_delay_ms: 0,
                off_delay_ms: 0,
                priority: Priority::P2,
                lifecycle: Lifecycle::default(),
                times: TimeRules::default(),
                revision: Revision(1),
                statutory: false,
                suppressed_by: None,
            });
        }
    }
    Plan { revision: Revision(1), alarms }
}
