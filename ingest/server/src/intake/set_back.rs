//! A gateway's clock was set back, or is far behind: the order of its records is told by their
//! numbers alone (R6).
//!
//! - A live record whose stamp is not after what its point already has is stamped with the time it
//!   came, and its readings say so: [`Doubt::EstimatedTime`]. Without this a real excursion would
//!   wait until the old time has come again.
//! - That a clock was set back is told by its own record, or by a beat that is older than what was
//!   received before it; that it is far behind, by its beats of ten seconds, or by one beat that is
//!   older than any that waits on its way. Nothing else is taken for it: an old stamp alone is a
//!   late sample, or a record that is played again.
//! - It is over when a beat lies after every stamp that was given.
//! - A back-fill keeps its stamps. What it says of that time is history.

use std::collections::BTreeMap;

use fengsui_telemetry::{Body, Doubt, Reading, TimeMs};

/// Records and beats leave a gateway one after the other; a scan is stamped when it begins.
const BEAT_BEHIND_MS: i64 = 2_000;
/// As the engine's: a live sample older than this is late.
const BEHIND_MS: i64 = 30_000;
/// As the engine's: beyond this nothing is judged. No beat is on its way for so long.
const HISTORY_MS: i64 = 7 * 86_400_000;
/// As the engine's: a stamp further ahead of our clock orders nothing.
const AHEAD_MS: i64 = 5_000;

/// The stamps of one gateway's live lane.
#[derive(Debug, Default)]
pub(super) struct SetBack {
    /// The latest stamp that was received or given.
    latest: Option<TimeMs>,
    /// Since the clock was set back: the latest stamp of each point that had one since, and the
    /// latest of all before.
    since: Option<(BTreeMap<u32, TimeMs>, TimeMs)>,
}

impl SetBack {
    /// What the engine has from before this centre began.
    pub(super) fn remember(&mut self, latest: Option<TimeMs>) {
        self.latest = latest;
    }

    /// A new record of any lane.
    pub(super) fn record(&mut self, body: &Body) {
        if let Body::Clock(change) = body
            && change.step_ms < 0
        {
            self.begin();
        }
    }

    /// A beat: the gateway's clock, and by how much it is ahead of ours as far as that is known.
    pub(super) fn beat(&mut self, clock: TimeMs, skew_ms: Option<i64>, now: TimeMs) {
        let behind = skew_ms.is_some_and(|skew| skew < -BEHIND_MS);
        if self.since.is_none() && (behind || now.since(clock) > HISTORY_MS) {
            self.latest = self.latest.max(Some(now));
        }
        let behind = self.latest.map(|latest| latest.since(clock));
        match behind {
            Some(behind) if behind > BEAT_BEHIND_MS => self.begin(),
            Some(behind) if behind < 0 => self.since = None,
            Some(_) | None => {}
        }
    }

    fn begin(&mut self) {
        if let (None, Some(latest)) = (&self.since, self.latest) {
            self.since = Some((BTreeMap::new(), latest));
        }
    }

    /// One live reading: its stamp, and how far it can be trusted.
    pub(super) fn stamp(
        &mut self,
        point: u32,
        te: TimeMs,
        reading: Reading,
        now: TimeMs,
    ) -> (TimeMs, Reading) {
        let mut told = (te, reading);
        if let Some((points, before)) = &mut self.since {
            let last = points.get(&point).unwrap_or(before);
            if te <= *last {
                told = (now.max(*last + 1), doubted(reading));
            }
            if told.0 <= now + AHEAD_MS {
                points.insert(point, told.0);
            }
        }
        if told.0 <= now + AHEAD_MS {
            self.latest = self.latest.max(Some(told.0));
        }
        told
    }
}

/// The first doubt of a number stays: it says more of the number.
fn doubted(reading: Reading) -> Reading {
    match reading {
        Reading::Good(value) => Reading::Uncertain(value, Doubt::EstimatedTime),
        Reading::Uncertain(..) | Reading::Bad(_) => reading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fengsui_telemetry::{ClockChange, ClockQuality};

    const NOON: TimeMs = TimeMs(1_700_000_000_000);
    const A: u32 = 7;
    const B: u32 = 8;

    fn step(step_ms: i64) -> Body {
        let quality = ClockQuality::Synchronised;
        Body::Clock(ClockChange { boot: 1, monotonic_ms: 1, step_ms, quality })
    }

    /// A beat of a clock whose skew is not known yet.
    fn beat(back: &mut SetBack, clock: TimeMs) {
        back.beat(clock, None, NOON);
    }

    /// Good 1.0 of a point with this stamp, received at this second: the stamp that it gets, ms,
    /// and whether that is an estimate.
    fn stamped(back: &mut SetBack, point: u32, te: TimeMs, second: i64) -> (i64, bool) {
        let (te, reading) = back.stamp(point, te, Reading::Good(1.0), NOON + second * 1_000);
        (te.since(NOON), reading == Reading::Uncertain(1.0, Doubt::EstimatedTime))
    }

    #[test]
    fn an_old_stamp_alone_is_a_late_sample() {
        let mut back = SetBack::default();
        assert_eq!(stamped(&mut back, A, NOON + 9_990, 10), (9_990, false));
        assert_eq!(stamped(&mut back, A, NOON + 2_000, 11), (2_000, false));
        back.record(&step(3_600_000));
        back.record(&step(0));
        beat(&mut back, NOON + 9_980);
        assert_eq!(stamped(&mut back, A, NOON + 3_000, 12), (3_000, false), "no step back");
    }

    #[test]
    fn after_a_step_back_every_stamp_lies_after_the_one_before() {
        let by_its_record: fn(&mut SetBack) = |back| back.record(&step(-25_000));
        let by_a_beat: fn(&mut SetBack) = |back| beat(back, NOON - 14_000);
        for told in [by_its_record, by_a_beat] {
            let mut back = SetBack::default();
            stamped(&mut back, A, NOON + 9_990, 10);
            stamped(&mut back, B, NOON + 9_000, 10);
            told(&mut back);
            assert_eq!(stamped(&mut back, A, NOON - 14_010, 11), (11_000, true));
            assert_eq!(stamped(&mut back, B, NOON - 14_000, 11), (11_000, true));
            assert_eq!(stamped(&mut back, A, NOON - 13_500, 11), (11_001, true), "one batch");
            // The old time has come again, and the clock is still behind.
            beat(&mut back, NOON + 11_000);
            assert_eq!(stamped(&mut back, A, NOON + 15_000, 40), (15_000, false), "in order");
            assert_eq!(stamped(&mut back, A, NOON + 14_000, 41), (41_000, true));
            beat(&mut back, NOON + 41_001);
            assert_eq!(stamped(&mut back, A, NOON + 30_000, 42), (30_000, false), "over: late");
        }
    }

    #[test]
    fn stamps_from_far_ahead_order_nothing_and_faults_stay_faults() {
        let mut back = SetBack::default();
        stamped(&mut back, A, NOON + 1_000, 1);
        assert_eq!(stamped(&mut back, A, NOON + 3_600_000, 2), (3_600_000, false));
        back.record(&step(-3_600_000));
        assert_eq!(stamped(&mut back, A, NOON + 3_000, 3), (3_000, false), "now it is right");
        let bad = Reading::Bad(fengsui_telemetry::Fault::Timeout);
        assert_eq!(back.stamp(A, NOON, bad, NOON + 4_000), (NOON + 4_000, bad));
    }

    #[test]
    fn a_clock_a_year_behind_makes_no_history_of_what_is_now() {
        const YEAR: i64 = 31_536_000_000;
        let mut back = SetBack::default();
        back.beat(NOON - 1_000, Some(0), NOON);
        assert_eq!(stamped(&mut back, A, NOON - YEAR, 0), (-YEAR, false), "the clock is right");
        back.beat(NOON - YEAR, None, NOON);
        assert_eq!(stamped(&mut back, A, NOON - YEAR, 1), (1_000, true), "at once");
        back.beat(NOON - YEAR + 10_000, Some(-YEAR), NOON + 10_000);
        assert_eq!(stamped(&mut back, B, NOON - YEAR + 12_000, 12), (12_000, true));
        back.beat(NOON + 13_000, Some(0), NOON + 13_000);
        assert_eq!(stamped(&mut back, A, NOON + 13_500, 14), (13_500, false), "it was set right");
    }

    #[test]
    fn a_clock_an_hour_behind_is_told_by_its_beats() {
        const HOUR: i64 = 3_600_000;
        let mut back = SetBack::default();
        for (skew_ms, estimated) in [(-29_000, false), (-HOUR, true)] {
            back.beat(NOON - HOUR + 10_000, Some(skew_ms), NOON + 10_000);
            let (_, doubted) = stamped(&mut back, A, NOON - HOUR + 11_000, 11);
            assert_eq!(doubted, estimated, "{skew_ms}");
        }
    }

    #[test]
    fn a_centre_that_began_anew_knows_what_the_engine_has() {
        let mut back = SetBack::default();
        back.remember(Some(NOON));
        beat(&mut back, NOON - 60_000);
        assert_eq!(stamped(&mut back, A, NOON - 59_000, 5), (5_000, true));
        let mut fresh = SetBack::default();
        fresh.record(&step(-1_000));
        beat(&mut fresh, NOON);
        assert_eq!(stamped(&mut fresh, A, NOON - 5_000, 1), (-5_000, false), "nothing before it");
    }
}
