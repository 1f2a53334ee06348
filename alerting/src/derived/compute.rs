//! The number that a derived condition has at one time.

use crate::derived::expression::Asked;
use crate::derived::fit::{line, student};
use crate::derived::{COVER_PART, Derived, seconds};
use crate::held::{Sample, Trust};

/// Samples that a slope needs at least (W06).
const SLOPE_SAMPLES: usize = 3;
/// Samples that a time to a limit needs at least: a line through fewer is a poor fit (W07).
const TTL_SAMPLES: usize = 5;

/// What a derived condition looks at: samples of each point, edges of each alarm, in order of
/// time; nothing after the time that is asked for is looked at.
pub(crate) struct View<'a> {
    pub(crate) points: Vec<&'a [Sample]>,
    /// Value 1 from an occurrence's beginning, 0 from its end.
    pub(crate) alarms: Vec<&'a [Sample]>,
}

impl<'a> View<'a> {
    fn point(&self, at: usize) -> &'a [Sample] {
        self.points.get(at).copied().unwrap_or_default()
    }

    /// The newest sample at or before a time, no older than `hold_ms`.
    fn held(&self, at: usize, te: i64, hold_ms: i64) -> Option<Sample> {
        let newest = *up_to(self.point(at), te).last()?;
        (newest.te() >= te.saturating_sub(hold_ms)).then_some(newest)
    }

    fn held_value(&self, at: usize, te: i64, hold_ms: i64) -> Option<f64> {
        self.held(at, te, hold_ms).and_then(Sample::value)
    }
}

fn up_to(samples: &[Sample], te: i64) -> &[Sample] {
    let end = samples.partition_point(|sample| sample.te() <= te);
    samples.get(..end).unwrap_or_default()
}

/// The samples of `[te - window, te]`.
fn window(samples: &[Sample], te: i64, window_ms: i64) -> &[Sample] {
    let samples = up_to(samples, te);
    let from = te.saturating_sub(window_ms);
    let first = samples.partition_point(|sample| sample.te() < from);
    samples.get(first..).unwrap_or_default()
}

/// What a slope takes from a sample: two values under one time count as their mean (Q17).
fn for_slope(sample: Sample) -> Option<f64> {
    match sample.trust() {
        Trust::Number => Some(sample.raw_value()),
        Trust::Conflict => Some(sample.raw_value()).filter(|mean| mean.is_finite()),
        Trust::Bad | Trust::RaisesOnly => None,
    }
}

/// The number at a time at which one of the inputs has a sample.
pub(crate) fn value_at(derived: &Derived, view: &View<'_>, te: i64) -> Option<f64> {
    let own = || up_to(view.point(0), te).last().copied();
    let yes = |yes: bool| Some(if yes { 1.0 } else { 0.0 });
    match derived {
        Derived::RateOfChange { rising, window_ms, .. } => {
            slope(view.point(0), te, *window_ms, *rising)
        }
        Derived::Deviation { hold_ms, .. } => {
            let (pv, reference) =
                (view.held_value(0, te, *hold_ms)?, view.held_value(1, te, *hold_ms)?);
            Some((pv - reference).abs())
        }
        Derived::Discrete { values } => {
            let value = own()?.value()?;
            yes(values.contains(&value))
        }
        Derived::Frozen { window_ms, samples_min, .. } => {
            movement(view.point(0), te, *window_ms, *samples_min)
        }
        Derived::BadQuality => yes(own()?.value().is_none()),
        Derived::Range { low, high } => {
            let sample = own()?;
            if sample.is_out_of_range() {
                return yes(true);
            }
            let value = sample.value()?;
            yes(value < *low || value > *high)
        }
        Derived::Vote { need, points, high, hold_ms, .. } => {
            Some(vote(view, te, *need, points.len(), *high, *hold_ms))
        }
        Derived::TimeToLimit { target, rising, window_ms, .. } => {
            time_to(view.point(0), te, *window_ms, *target, *rising)
        }
        Derived::Composite { expression, points, hold_ms, .. } => {
            let asked = Asked {
                points: (0..points.len()).map(|at| view.held_value(at, te, *hold_ms)).collect(),
                alarms: view.alarms.iter().map(|edges| is_on(edges, te)).collect(),
            };
            yes(expression.holds(&asked)?)
        }
    }
}

fn is_on(edges: &[Sample], te: i64) -> bool {
    up_to(edges, te).last().is_some_and(|edge| edge.raw_value() > 0.0)
}

/// W06, per minute; positive in the direction that is asked for.
fn slope(samples: &[Sample], te: i64, window_ms: i64, rising: bool) -> Option<f64> {
    let inside = window(samples, te, window_ms);
    for_slope(*inside.last()?)?;
    let numbers = inside
        .iter()
        .filter_map(|sample| for_slope(*sample).map(|value| (seconds(sample.te() - te), value)));
    if numbers.clone().count() < SLOPE_SAMPLES {
        return None;
    }
    let per_minute = line(numbers)?.slope * 60.0;
    Some(if rising { per_minute } else { -per_minute })
}

/// W04: how far the value has moved over the window; infinite where the window is not covered.
fn movement(samples: &[Sample], te: i64, window_ms: i64, samples_min: u32) -> Option<f64> {
    let inside = window(samples, te, window_ms);
    inside.last()?.value()?;
    let begin = te.saturating_sub(window_ms);
    let before = up_to(samples, begin).last();
    let oldest_allowed = begin.saturating_sub(window_ms / COVER_PART);
    if before.is_none_or(|sample| sample.te() < oldest_allowed) {
        return Some(f64::INFINITY);
    }
    let (mut low, mut high, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0_u32);
    for value in inside.iter().filter_map(|sample| sample.value()) {
        (low, high, count) = (low.min(value), high.max(value), count + 1);
    }
    Some(if count < samples_min { f64::INFINITY } else { apart(low, high) })
}

/// `high - low` as a person computes it: 10.01 - 10 is 0.01 and not a little less or more.
fn apart(low: f64, high: f64) -> f64 {
    let binary = high - low;
    let decimal = format!("{binary:.9e}").parse().unwrap_or(binary);
    let rounding = 4.0 * f64::EPSILON * low.abs().max(high.abs());
    let difference: f64 = decimal - binary;
    if difference.abs() <= rounding { decimal } else { binary }
}

/// W02: the value that as many valid inputs as are needed reach or exceed. With it at the limit,
/// so many inputs are at the limit; the deadband acts on it as on any value.
fn vote(view: &View<'_>, te: i64, need: u32, inputs: usize, high: bool, hold_ms: i64) -> f64 {
    let mut valid: Vec<f64> =
        (0..inputs).filter_map(|at| view.held_value(at, te, hold_ms)).collect();
    valid.sort_by(f64::total_cmp);
    if high {
        valid.reverse();
    }
    let need = still_needed(need, inputs, valid.len());
    let none_left = if high { f64::INFINITY } else { f64::NEG_INFINITY };
    valid.get(need - 1).copied().unwrap_or(none_left)
}

/// One bad -> 1oo2, two bad -> 1oo1.
fn still_needed(need: u32, inputs: usize, valid: usize) -> usize {
    (need as usize).saturating_sub(inputs - valid.min(inputs)).max(1)
}

/// Far above what sums of doubles lose, far below what an instrument tells.
const ROUNDING: f64 = 1e-9;

/// W07, seconds. Infinite where the value does not approach; none where the slope cannot be told
/// from none.
fn time_to(samples: &[Sample], te: i64, window_ms: i64, target: f64, rising: bool) -> Option<f64> {
    let inside = window(samples, te, window_ms);
    for_slope(*inside.last()?)?;
    let sign = if rising { 1.0 } else { -1.0 };
    let numbers = inside.iter().filter_map(|sample| {
        for_slope(*sample).map(|value| (seconds(sample.te() - te), sign * value))
    });
    if numbers.clone().count() < TTL_SAMPLES {
        return None;
    }
    let line = line(numbers)?;
    let left = sign * target - line.level;
    // What only rounding keeps from the limit has reached it.
    if left <= ROUNDING * target.abs().max(1.0) {
        return Some(0.0);
    }
    if line.slope <= 0.0 {
        return Some(f64::INFINITY);
    }
    let doubt = student(line.freedom) * line.error?;
    (line.slope > doubt).then_some(left / (line.slope + doubt))
}

/// What each input said, for the row of an alarm that has several.
pub(crate) fn describe(derived: &Derived, view: &View<'_>, te: i64) -> String {
    let shown = |at: usize, hold_ms| match view.held(at, te, hold_ms) {
        Some(sample) => sample.value().map_or("bad".to_owned(), |value| value.to_string()),
        None => "-".to_owned(),
    };
    match derived {
        Derived::Vote { need, points, hold_ms, .. } => {
            let inputs = points.len();
            let said: Vec<String> = (0..inputs).map(|at| shown(at, *hold_ms)).collect();
            let valid = (0..inputs).filter(|at| view.held_value(*at, te, *hold_ms).is_some());
            let valid = valid.count();
            if valid == 0 {
                return format!("无有效输入 / no valid input: {}", said.join(", "));
            }
            let need = still_needed(*need, inputs, valid);
            format!("{need}oo{valid}: {}", said.join(", "))
        }
        Derived::Deviation { hold_ms, .. } => {
            format!("{} ~ {}", shown(0, *hold_ms), shown(1, *hold_ms))
        }
        Derived::Composite { expression, hold_ms, .. } => {
            let points = expression.tags().iter().enumerate();
            let points = points.map(|(at, tag)| format!("{tag} {}", shown(at, *hold_ms)));
            let alarms = expression.alarms().iter().zip(&view.alarms);
            let alarms = alarms.map(|(key, edges)| {
                format!("{key} {}", if is_on(edges, te) { "on" } else { "off" })
            });
            points.chain(alarms).collect::<Vec<_>>().join("; ")
        }
        Derived::BadQuality | Derived::Range { .. } => match up_to(view.point(0), te).last() {
            Some(sample) if sample.is_out_of_range() => {
                "超出仪表量程，无可用数值 / beyond the instrument's range, no number to use"
                    .to_owned()
            }
            Some(_) | None => String::new(),
        },
        Derived::RateOfChange { .. }
        | Derived::Discrete { .. }
        | Derived::Frozen { .. }
        | Derived::TimeToLimit { .. } => String::new(),
    }
}
