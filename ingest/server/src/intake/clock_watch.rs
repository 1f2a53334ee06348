//! What is known of one gateway's clock: from its beats, its scans and its clock records.
//!
//! - A message can come late and never early: a clock that seems ahead is ahead, at once. One that
//!   seems behind may be a slow link; that counts once no beat of [`BEHIND_AFTER_MS`] says better.
//! - Not synchronised = never set since the machine started. A battery clock or one that runs on
//!   its own is judged by what we measure: what its quality leaves open, the skew answers.
//! - After a birth, or a start of this centre, the clock is no better than it was until a record
//!   says so: an alarm must not return for want of news.
//! - Only the live lane counts. What a back-fill says of a clock is over.
//! - Whether a skew is an alarm decides the engine, by the gateway's CLOCK limit.

use std::collections::VecDeque;

use fengsui_telemetry::{Body, ClockQuality, TimeMs};

/// A gateway beats every five seconds: three of them.
const BEHIND_AFTER_MS: i64 = 10_000;
/// Beats older than this say nothing of a link that has changed since.
const WINDOW_MS: i64 = 20_000;
/// Beats that are looked at; a hasty gateway's older ones go first.
const BEATS_MAX: usize = 16;

/// What the engine is told of a gateway's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReport {
    /// How far it is ahead of ours, ms.
    pub skew_ms: i64,
    /// It was set since its machine started.
    pub synchronised: bool,
}

/// The clock of one gateway.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    /// (when received, its clock less ours), oldest first.
    beats: VecDeque<(TimeMs, i64)>,
    /// What was last said; before anything was, what the alarm makes of it.
    unset: bool,
    /// Which run of its machine this is.
    boot: Option<u64>,
    /// A step that nobody has been told of.
    stepped_ms: Option<i64>,
}

impl ClockWatch {
    /// A new record of the live lane.
    pub(super) fn record(&mut self, body: &Body) {
        match body {
            Body::Scan(scan) => self.unset = scan.clock == ClockQuality::Unset,
            Body::Clock(change) => {
                self.unset = change.quality == ClockQuality::Unset;
                if change.step_ms != 0 {
                    self.beats.clear();
                    self.stepped_ms = Some(change.step_ms);
                }
            }
            Body::Transition(_) | Body::Gap(_) => {}
        }
    }

    /// The gateway of a centre that began: whether its CLOCK alarm stands.
    pub(super) fn remember(&mut self, bad: bool) {
        self.unset = bad;
    }

    /// A birth: of another run of its machine what was measured is over. A link that comes and
    /// goes makes many births of one run.
    pub(super) fn born(&mut self, boot: u64) {
        if self.boot != Some(boot) {
            *self = Self { unset: self.unset, boot: Some(boot), ..Self::default() };
        }
    }

    /// A beat was received.
    pub(super) fn beat(&mut self, clock: TimeMs, now: TimeMs) {
        self.beats.retain(|(at, _)| (0..=WINDOW_MS).contains(&now.since(*at)));
        if self.beats.len() == BEATS_MAX {
            self.beats.pop_front();
        }
        self.beats.push_back((now, clock.since(now)));
    }

    /// What to tell now, in this order; nothing: what was said before stands.
    pub(super) fn reports(&mut self) -> impl Iterator<Item = ClockReport> + use<> {
        let synchronised = !self.unset;
        let step = self.stepped_ms.take();
        let skew = if synchronised { self.skew_ms() } else { Some(0) };
        let skews = step.into_iter().chain(skew);
        skews.map(move |skew_ms| ClockReport { skew_ms, synchronised })
    }

    /// As far as it can be told: the beat that was on its way for the shortest time.
    pub(super) fn skew_ms(&self) -> Option<i64> {
        let least_delayed = self.beats.iter().map(|(_, skew)| *skew).max()?;
        let (first, last) = (self.beats.front()?.0, self.beats.back()?.0);
        let enough = least_delayed >= 0 || last.since(first) >= BEHIND_AFTER_MS;
        enough.then_some(least_delayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fengsui_telemetry::{ClockChange, Scan};

    const NOON: TimeMs = TimeMs(1_700_000_000_000);

    fn scan(clock: ClockQuality) -> Body {
        Body::Scan(Scan { readings: Vec::new(), clock })
    }

    fn step(step_ms: i64) -> Body {
        let quality = ClockQuality::Synchronised;
        Body::Clock(ClockChange { boot: 1, monotonic_ms: 1, step_ms, quality })
    }

    /// Beats as (second received, skew, what is then told of the skew).
    #[track_caller]
    fn check(watch: &mut ClockWatch, beats: &[(i64, i64, Option<i64>)]) {
        for (second, skew, told) in beats {
            let now = NOON + second * 1_000;
            watch.beat(now + *skew, now);
            let skews: Vec<i64> = watch.reports().map(|report| report.skew_ms).collect();
            assert_eq!(skews, told.iter().copied().collect::<Vec<_>>(), "at {second} s");
        }
    }

    #[test]
    fn a_clock_ahead_is_told_at_once_and_one_behind_when_no_beat_says_better() {
        check(&mut ClockWatch::default(), &[(0, 7_000, Some(7_000)), (5, 6_990, Some(7_000))]);
        let behind = [(0, -7_040, None), (5, -7_010, None), (10, -7_900, Some(-7_010))];
        check(&mut ClockWatch::default(), &behind);
    }

    #[test]
    fn beats_that_queued_for_minutes_accuse_no_clock() {
        let burst = [(0, -180_000, None), (0, -175_000, None), (0, -10_000, None)];
        let mut watch = ClockWatch::default();
        check(&mut watch, &burst);
        check(&mut watch, &[(1, -40, None), (6, -900, None), (11, -6_500, Some(-40))]);
        // What the queue says is forgotten, and so is what the clock was before it was set.
        check(&mut watch, &[(26, -50, Some(-50))]);
    }

    #[test]
    fn a_clock_that_was_never_set_is_not_synchronised_until_it_says_otherwise() {
        let mut watch = ClockWatch::default();
        watch.record(&scan(ClockQuality::Unset));
        let said: Vec<_> = watch.reports().collect();
        assert_eq!(said, [ClockReport { skew_ms: 0, synchronised: false }], "without any beat");
        for quality in [ClockQuality::Rtc, ClockQuality::Holdover, ClockQuality::Synchronised] {
            watch.record(&scan(quality));
            watch.beat(NOON + 20, NOON);
            let said: Vec<_> = watch.reports().collect();
            assert_eq!(said, [ClockReport { skew_ms: 20, synchronised: true }], "{quality:?}");
        }
    }

    #[test]
    fn a_link_that_comes_and_goes_hides_no_clock() {
        let mut watch = ClockWatch::default();
        for (second, told) in [(0, None), (4, None), (8, None), (12, Some(-3_600_000))] {
            watch.born(7);
            check(&mut watch, &[(second, -3_600_000, told)]);
        }
        watch.born(8);
        check(&mut watch, &[(13, -3_600_000, None)]);
    }

    #[test]
    fn a_birth_makes_no_clock_better() {
        let mut watch = ClockWatch::default();
        watch.record(&scan(ClockQuality::Unset));
        let mut again = ClockWatch::default();
        again.remember(true);
        for watch in [&mut watch, &mut again] {
            watch.born(7);
            watch.beat(NOON, NOON);
            assert!(watch.reports().all(|report| !report.synchronised), "no record says so");
            watch.record(&scan(ClockQuality::Synchronised));
            let said: Vec<_> = watch.reports().collect();
            assert_eq!(said, [ClockReport { skew_ms: 0, synchronised: true }]);
        }
    }

    #[test]
    fn a_jump_is_told_once_and_what_was_measured_before_it_is_forgotten() {
        let mut watch = ClockWatch::default();
        check(&mut watch, &[(0, -3_600_000, None), (10, -3_600_000, Some(-3_600_000))]);
        watch.record(&step(0));
        watch.record(&step(3_600_000));
        let now = NOON + 15_000;
        watch.beat(now + 3, now);
        let skews: Vec<i64> = watch.reports().map(|report| report.skew_ms).collect();
        assert_eq!(skews, [3_600_000, 3]);
        check(&mut watch, &[(20, -4, Some(3))]);
    }
}
