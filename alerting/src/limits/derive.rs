//! From a row of the file to the condition that it means.

use std::collections::BTreeMap;
use std::sync::Arc;

use fengsui_telemetry::Point;

use crate::derived::{Derived, Expression};
use crate::limits::parse::milliseconds;
use crate::limits::{LimitKind, OFFLINE_DEFAULT_MS, PointLimit};
use crate::model::{Condition, Level, PointRef};

/// Good samples that FROZEN wants in its window (W04).
const FROZEN_SAMPLES: u32 = 20;
/// The longest window that FROZEN is stretched to for a slow point (Q27).
const FROZEN_WINDOW_MAX_MS: i64 = 86_400_000;
/// The least that it then wants (Q27).
const FROZEN_SAMPLES_FEW: u32 = 4;
/// RANGE where the file gives no number: percent of the span.
pub(crate) const RANGE_DEFAULT: f64 = 105.0;

/// What the rest of the gateway knows of a row's inputs.
pub(crate) struct Around<'a> {
    pub(crate) gateway: &'a str,
    /// Number of a point and its STALE, ms, by tag.
    pub(crate) points: &'a BTreeMap<&'a str, (PointRef, i64)>,
}

/// The condition of a row; none where it names a point that is not there.
pub(crate) fn condition(row: &PointLimit, point: &Point, around: &Around<'_>) -> Option<Condition> {
    let PointLimit { limit, deadband, .. } = *row;
    let detail = &row.detail;
    let after_ms = milliseconds(limit).unwrap_or(OFFLINE_DEFAULT_MS);
    if detail.unset {
        return Some(Condition::Unset);
    }
    let window_ms = detail.window_ms.unwrap_or(0);
    let derived = match row.kind {
        LimitKind::HighHigh => {
            return Some(Condition::High { limit, deadband, level: Level::Second });
        }
        LimitKind::High => return Some(Condition::High { limit, deadband, level: Level::First }),
        LimitKind::Low => return Some(Condition::Low { limit, deadband, level: Level::First }),
        LimitKind::LowLow => return Some(Condition::Low { limit, deadband, level: Level::Second }),
        LimitKind::Stale => return Some(Condition::Stale { after_ms }),
        LimitKind::Offline => return Some(Condition::GatewayOffline { after_ms }),
        LimitKind::Clock => return Some(Condition::Clock { limit_ms: after_ms }),
        LimitKind::RateUp => Derived::RateOfChange { rising: true, limit, deadband, window_ms },
        LimitKind::RateDown => Derived::RateOfChange { rising: false, limit, deadband, window_ms },
        LimitKind::Deviation => {
            let tags = [point.tag.as_str(), detail.of.as_deref()?];
            let (refs, hold_ms) = around.inputs(&tags)?;
            Derived::Deviation { reference: *refs.get(1)?, limit, deadband, hold_ms }
        }
        LimitKind::Discrete => Derived::Discrete { values: detail.values.clone() },
        LimitKind::Frozen => frozen(limit, window_ms, detail.samples, point),
        LimitKind::BadQuality => Derived::BadQuality,
        LimitKind::Range => {
            let over = (point.high - point.low) * (limit - 100.0) / 100.0;
            Derived::Range { low: point.low - over, high: point.high + over }
        }
        LimitKind::Vote => {
            let (need, tags) = detail.vote.as_ref()?;
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let (points, hold_ms) = around.inputs(&tags)?;
            Derived::Vote { need: *need, points, high: !detail.low, limit, deadband, hold_ms }
        }
        LimitKind::TimeToLimit => Derived::TimeToLimit {
            target: limit,
            rising: !detail.low,
            within_ms: detail.within_ms.unwrap_or(0),
            window_ms,
        },
        LimitKind::Composite => composite(detail.expression.as_ref()?, point, around)?,
    };
    Some(Condition::Derived(Arc::new(derived)))
}

fn composite(expression: &Expression, own: &Point, around: &Around<'_>) -> Option<Derived> {
    let tags: Vec<&str> = expression.tags().iter().map(String::as_str).collect();
    let (points, hold_ms) = around.inputs(&tags)?;
    let own_hold = || around.points.get(own.tag.as_str()).map_or(1, |(_, stale)| *stale);
    let hold_ms = if tags.is_empty() { own_hold() } else { hold_ms };
    let alarms = expression.alarms().iter().map(|name| around.key(name)).collect();
    Some(Derived::Composite { expression: expression.clone(), points, alarms, hold_ms })
}

/// Q27: a slow point gets a longer window, or fewer samples.
fn frozen(epsilon: f64, window_ms: i64, samples: Option<u32>, point: &Point) -> Derived {
    let wanted = samples.unwrap_or(FROZEN_SAMPLES);
    let stretched = i64::from(wanted) * i64::from(point.period_ms);
    let samples_min =
        if stretched > FROZEN_WINDOW_MAX_MS { FROZEN_SAMPLES_FEW.min(wanted) } else { wanted };
    let window_ms = window_ms.max(stretched.min(FROZEN_WINDOW_MAX_MS));
    Derived::Frozen { epsilon, window_ms, samples_min }
}

impl Around<'_> {
    /// The points, and for how long a sample of the slowest of them says something.
    fn inputs(&self, tags: &[&str]) -> Option<(Vec<PointRef>, i64)> {
        let known: Option<Vec<_>> = tags.iter().map(|tag| self.points.get(tag).copied()).collect();
        let known = known?;
        let hold_ms = known.iter().map(|(_, stale)| *stale).max().unwrap_or(1);
        Some((known.into_iter().map(|(point, _)| point).collect(), hold_ms))
    }

    /// The key of `TAG/KIND`.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.gateway)
    }
}
