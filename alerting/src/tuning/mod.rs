//! The arithmetic behind limits, deadbands and delays: what a setting will do, and what to try.
//!
//! - Formulas for independent samples. Real signals are correlated: a first guess, never the
//!   decision; that is [`crate::backtest`] over recorded data.
//! - What is undefined is `None`, never zero: fewer than two alarms have no chatter index.
//! - Not here: a search over many settings at once. One setting under review stands beside the
//!   setting in force.

mod noise;

pub use noise::{deadband_for_noise, noise, off_delay_ms_for_gaps, on_delay_ms_max};

use fengsui_telemetry::TimeMs;

/// Chattering from here on: three alarms a minute.
pub const CHATTER_LIMIT: f64 = 0.05;

/// Mean of `1 / r` over the run lengths `r`, the seconds from one alarm to the next (per second,
/// 0..1). `None` with fewer than two alarms. Times in any order; two alarms at one instant count
/// as one second apart, the shortest run length that the index knows.
#[must_use]
pub fn chatter_index(alarms: &[TimeMs]) -> Option<f64> {
    let mut times = alarms.to_vec();
    times.sort_unstable();
    let runs: Vec<f64> = times
        .iter()
        .zip(times.iter().skip(1))
        .map(|(a, b)| seconds(b.since(*a)).max(1.0))
        .collect();
    if runs.is_empty() {
        return None;
    }
    Some(runs.iter().map(|run| 1.0 / run).sum::<f64>() / count(runs.len()))
}

/// A pair of delay timers, in samples. One sample is no delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// So many samples in a row beyond the limit raise the alarm.
    pub on: u32,
    /// So many samples in a row back within it clear the alarm.
    pub off: u32,
}

impl Delays {
    /// Share of normal time spent in alarm, where a sample exceeds the limit with probability `p`.
    #[must_use]
    pub fn false_alarm_rate(self, p: f64) -> Option<f64> {
        let q = other(p)?;
        let raise = power(p, self.on) * series(q, self.off);
        let clear = power(q, self.off) * series(p, self.on);
        share(raise, raise + clear)
    }

    /// Share of abnormal time without alarm, where a sample exceeds with probability `a`.
    #[must_use]
    pub fn missed_alarm_rate(self, a: f64) -> Option<f64> {
        let b = other(a)?;
        let clear = power(b, self.off) * series(a, self.on);
        let raise = power(a, self.on) * series(b, self.off);
        share(clear, clear + raise)
    }

    /// Samples from the beginning of the abnormal state to the alarm, on average.
    #[must_use]
    pub fn average_delay(self, a: f64) -> Option<f64> {
        let b = other(a)?;
        if b <= 0.0 {
            // Every sample exceeds: what the delay itself takes.
            return Some(f64::from(self.on.saturating_sub(1)));
        }
        let raised = power(a, self.on);
        share(1.0 - raised - b * raised, b * raised)
    }

    /// Alarms per sample in normal operation.
    #[must_use]
    pub fn alarms_per_sample(self, p: f64) -> Option<f64> {
        let q = other(p)?;
        if p <= 0.0 || q <= 0.0 {
            // Never beyond, or never back: no second alarm.
            return Some(0.0);
        }
        let raising = (1.0 - power(p, self.on)) / (q * power(p, self.on));
        let clearing = (1.0 - power(q, self.off)) / (p * power(q, self.off));
        share(1.0, raising + clearing)
    }
}

/// A deadband in place of delays: how often a sample lies at or beyond the limit, and how often
/// below the deadband.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Probability of a value at or beyond the limit.
    pub beyond: f64,
    /// Probability of a value back behind the deadband.
    pub behind: f64,
}

impl Band {
    /// Share of time in alarm.
    #[must_use]
    pub fn false_alarm_rate(self) -> Option<f64> {
        share(self.beyond, self.beyond + self.behind)
    }

    /// Alarms per sample.
    #[must_use]
    pub fn alarms_per_sample(self) -> Option<f64> {
        share(self.beyond * self.behind, self.beyond + self.behind)
    }
}

/// `1 - p`, for a probability.
fn other(p: f64) -> Option<f64> {
    (0.0..=1.0).contains(&p).then_some(1.0 - p)
}

/// `S(x, k) = 1 + x + … + x^(k-1)`.
fn series(x: f64, k: u32) -> f64 {
    (0..k).map(|exponent| power(x, exponent)).sum()
}

fn power(x: f64, k: u32) -> f64 {
    x.powi(i32::try_from(k).unwrap_or(i32::MAX))
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole.is_finite() && whole > 0.0).then(|| part / whole)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries are below 2^53")]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: Option<f64>, wanted: f64, within: f64) {
        let got = got.unwrap();
        assert!((got - wanted).abs() <= within, "{got}, not {wanted}");
    }

    fn at(seconds: &[i64]) -> Vec<TimeMs> {
        seconds.iter().map(|s| TimeMs(s * 1_000)).collect()
    }

    #[test]
    fn w13_chatter_index() {
        let index = chatter_index(&at(&[0, 10, 20, 32, 40, 600, 610, 4_000]));
        near(index, 0.0729, 5e-5);
        assert!(index.unwrap() >= CHATTER_LIMIT);
        near(chatter_index(&at(&[0, 20, 40, 60, 80])), 0.05, 1e-12);
        assert_eq!(chatter_index(&at(&[5])), None);
        assert_eq!(chatter_index(&[]), None);
        near(chatter_index(&at(&[40, 0, 20])), 0.05, 1e-12);
        near(chatter_index(&at(&[7, 7])), 1.0, 0.0);
    }

    #[test]
    fn w14_delay_timers() {
        for (p, on, off, far, rate) in [
            (0.05, 1, 1, 0.05, 0.0475),
            (0.05, 3, 1, 0.000_13, 0.000_119),
            (0.20, 2, 3, 0.137_08, 0.028_764),
            (0.20, 3, 5, 0.062_08, 0.006_051),
        ] {
            let delays = Delays { on, off };
            near(delays.false_alarm_rate(p), far, 1e-4);
            near(delays.alarms_per_sample(p), rate, 1e-6);
        }
        for (a, on, delay) in [(0.9, 1, 0.1111), (0.9, 3, 2.7174), (0.7, 4, 9.5498)] {
            near(Delays { on, off: 1 }.average_delay(a), delay, 1e-4);
        }
    }

    #[test]
    fn w14_missed_alarms_mirror_false_ones_and_edges_are_defined() {
        // What is missed in abnormal time is what is false in normal time, seen from the other side.
        near(
            Delays { on: 3, off: 2 }.missed_alarm_rate(0.8),
            Delays { on: 2, off: 3 }.false_alarm_rate(0.2).unwrap(),
            1e-12,
        );
        near(Delays { on: 1, off: 1 }.missed_alarm_rate(1.0), 0.0, 0.0);
        near(Delays { on: 4, off: 1 }.average_delay(1.0), 3.0, 0.0);
        near(Delays { on: 2, off: 2 }.alarms_per_sample(0.0), 0.0, 0.0);
        assert_eq!(Delays { on: 1, off: 1 }.average_delay(0.0), None, "it never alarms");
        assert_eq!(Delays { on: 1, off: 1 }.false_alarm_rate(1.5), None);
        assert_eq!(Delays { on: 1, off: 1 }.false_alarm_rate(f64::NAN), None);
    }

    #[test]
    fn a_deadband_helps_at_the_limit_and_hardly_below_it() {
        // Mean at the limit, deadband two sigma: from 0.25 to 0.022 alarms a sample.
        near(Band { beyond: 0.5, behind: 0.5 }.alarms_per_sample(), 0.25, 1e-12);
        near(Band { beyond: 0.5, behind: 0.022_75 }.alarms_per_sample(), 0.022, 5e-4);
        near(Band { beyond: 0.1, behind: 0.3 }.false_alarm_rate(), 0.25, 1e-12);
        assert_eq!(Band { beyond: 0.0, behind: 0.0 }.false_alarm_rate(), None);
    }
}
