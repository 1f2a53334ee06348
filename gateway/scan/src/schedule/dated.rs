//! The time that readings bear: that of the device where it has one to believe, else that of their
//! arrival.
//!
//! - A device whose clock was set to local time as if it were UTC is hours ahead, east of Greenwich.
//!   Nothing was measured in the future: such readings bear the time of their arrival, and a doubt.
//! - What was just read is judged as live, or a siren would wait for it: a clock that is behind by
//!   more than the device may be (`time_late_s`), that stands still or that is set back is not
//!   believed either. Where a logger tells late what it has kept, the site says how late.
//! - A gateway whose own clock was never set judges nobody's.

use fengsui_telemetry::{ClockQuality, Reading, TimeMs};

use super::{Answer, Scanner, Stamp, doubt_time};
use crate::pdu::Payload;

/// A device that is further ahead has a wrong clock. Up to here its readings bear the time of their
/// arrival, for nothing was measured later.
const AHEAD_MAX_MS: i64 = 60_000;
/// What is dated so long ago at most was measured just now.
const LIVE_MS: i64 = 60_000;
/// A device that dates what it measures now is told of from here on: what is STALE is reckoned from
/// its time.
const BEHIND_MS: i64 = 3_000;
/// 2010-01-01. A device that says less has lost its time: clocks without it begin in 1970, 1980 or
/// 2000.
const LOST_BEFORE: TimeMs = TimeMs(1_262_304_000_000);

/// What an answer says of the device's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceClock {
    /// Nothing: it has none, or nothing new.
    Unsaid,
    /// It can be believed.
    Right,
    /// It is believed, and what was just measured is so many ms behind (negative).
    Behind(i64),
    /// It is so many ms ahead of the gateway's, or behind where negative, and not believed.
    Off(i64),
}

/// An answer with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Dated {
    /// Source time of the readings.
    pub te: TimeMs,
    /// (index of the point in the catalogue, what it said).
    pub readings: Vec<(u32, Reading)>,
    /// Of the device's own clock.
    pub source: SourceClock,
}

impl Answer {
    /// The answer that arrived at `arrival` by a clock of this quality, from a device whose readings
    /// bore `last` before. The only place that decides which time readings bear.
    #[must_use]
    pub fn dated(self, arrival: TimeMs, clock: ClockQuality, last: TimeMs) -> Dated {
        let Self { mut readings, stamp } = self;
        let (te, source) = match stamp {
            Stamp::Arrival => (arrival, SourceClock::Unsaid),
            // Nobody can tell.
            Stamp::Source { te, .. } if clock == ClockQuality::Unset => (te, SourceClock::Right),
            Stamp::Source { te, stands, late_ms } => {
                let earliest = LOST_BEFORE.max(TimeMs(arrival.0.saturating_sub(late_ms)));
                let credible = (earliest..=arrival + AHEAD_MAX_MS).contains(&te);
                if credible && !stands {
                    // Of a device that dates what it measures now: what was told since then, a
                    // fault for instance, must not lie after it. What a logger tells late stays.
                    let overtaken = te <= last && last <= arrival && arrival.since(te) <= LIVE_MS;
                    let off_ms = te.since(arrival);
                    let behind = (-LIVE_MS..=-BEHIND_MS).contains(&off_ms) && late_ms <= LIVE_MS;
                    let source =
                        if behind { SourceClock::Behind(off_ms) } else { SourceClock::Right };
                    (if overtaken { arrival } else { te.min(arrival) }, source)
                } else {
                    doubt_time(&mut readings);
                    (arrival, SourceClock::Off(te.since(arrival)))
                }
            }
        };
        Dated { te, readings, source }
    }
}

/// The time that a device said last, when that was first seen, and what it dated.
#[derive(Clone, Debug)]
pub(super) struct LastTime {
    seconds: u32,
    seen: u64,
    dated: Payload,
}

/// A device tells whole seconds, and some tell the time of their last measurement: as long as this
/// after its second was first seen, other data are later by what has passed. After that the clock
/// stands still.
const SECOND_MAX_MS: u64 = 10_000;

impl Scanner {
    /// The time of data that the device dates itself; none where neither has moved.
    pub(super) fn source(&mut self, seconds: u32, payload: &Payload, now: u64) -> Option<Stamp> {
        let late_ms = i64::from(self.device.time_late_s) * 1_000;
        let te = TimeMs(i64::from(seconds) * 1_000);
        match &mut self.last_time {
            Some(last) if last.seconds == seconds => {
                if last.dated == *payload {
                    return None;
                }
                last.dated = payload.clone();
                let passed = now.saturating_sub(last.seen);
                let stands = passed > SECOND_MAX_MS;
                let te = te + i64::try_from(passed).unwrap_or(i64::MAX);
                Some(Stamp::Source { te, stands, late_ms })
            }
            Some(_) | None => {
                self.last_time = Some(LastTime { seconds, seen: now, dated: payload.clone() });
                Some(Stamp::Source { te, stands: false, late_ms })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fengsui_telemetry::{Doubt, Fault};

    const NOW: TimeMs = TimeMs(1_700_000_000_000);
    const HOUR_MS: i64 = 3_600_000;

    const LATE_MS: i64 = 60_000;

    fn source(ahead_ms: i64, late_ms: i64, stands: bool) -> Answer {
        let readings = vec![(0, Reading::Good(1.0)), (1, Reading::Bad(Fault::Sentinel))];
        Answer { readings, stamp: Stamp::Source { te: NOW + ahead_ms, stands, late_ms } }
    }

    fn dated(ahead_ms: i64, clock: ClockQuality) -> Dated {
        source(ahead_ms, LATE_MS, false).dated(NOW, clock, TimeMs::MIN)
    }

    fn is_doubted(got: &Dated, ahead_ms: i64) {
        assert_eq!((got.te, got.source), (NOW, SourceClock::Off(ahead_ms)), "{ahead_ms}");
        let doubted = Reading::Uncertain(1.0, Doubt::EstimatedTime);
        assert_eq!(got.readings, [(0, doubted), (1, Reading::Bad(Fault::Sentinel))]);
    }

    #[test]
    fn a_device_that_is_far_ahead_or_behind_is_dated_by_arrival_and_doubted() {
        use ClockQuality::{Holdover, Rtc, Synchronised};
        for clock in [Synchronised, Holdover, Rtc] {
            for ahead in
                [8 * HOUR_MS, AHEAD_MAX_MS + 1, -LATE_MS - 1, LOST_BEFORE.since(NOW) - 1, -NOW.0]
            {
                is_doubted(&dated(ahead, clock), ahead);
            }
        }
    }

    #[test]
    fn a_little_ahead_is_now_and_a_little_behind_is_then() {
        let (right, behind) = (SourceClock::Right, SourceClock::Behind);
        for (ahead, te, source) in [
            (0, 0, right),
            (AHEAD_MAX_MS, 0, right),
            (-900, -900, right),
            (-2_999, -2_999, right),
            (-3_000, -3_000, behind(-3_000)),
            (-LATE_MS, -LATE_MS, behind(-LATE_MS)),
        ] {
            let got = dated(ahead, ClockQuality::Synchronised);
            assert_eq!((got.te, got.source), (NOW + te, source), "{ahead}");
            assert_eq!(got.readings.first(), Some(&(0, Reading::Good(1.0))));
        }
    }

    #[test]
    fn what_a_logger_tells_late_keeps_its_time_where_the_site_allows_it() {
        for ahead in [-HOUR_MS, -800 * 24 * HOUR_MS, LOST_BEFORE.since(NOW)] {
            let answer = source(ahead, i64::MAX, false);
            let got = answer.dated(NOW, ClockQuality::Synchronised, TimeMs::MIN);
            assert_eq!((got.te, got.source), (NOW + ahead, SourceClock::Right), "{ahead}");
            let after_a_fault = source(ahead, i64::MAX, false).dated(NOW, ClockQuality::Rtc, NOW);
            assert_eq!(after_a_fault.te, NOW + ahead);
        }
    }

    #[test]
    fn a_clock_that_stands_still_is_not_believed_and_none_dates_behind_what_was_told() {
        let (back, clock) = (|| source(-10_000, LATE_MS, false), ClockQuality::Rtc);
        for last in [-10_000, -1_000, 0] {
            let got = back().dated(NOW, clock, NOW + last);
            assert_eq!((got.te, got.source), (NOW, SourceClock::Behind(-10_000)), "{last}");
        }
        let set_back = back().dated(NOW, clock, NOW + HOUR_MS);
        assert_eq!(set_back.te, NOW + -10_000, "the gateway's own clock was set back");
        is_doubted(
            &source(-9_000, LATE_MS, true).dated(NOW, ClockQuality::Rtc, TimeMs::MIN),
            -9_000,
        );
    }

    #[test]
    fn a_gateway_without_a_clock_of_its_own_believes_the_device() {
        let got = dated(8 * HOUR_MS, ClockQuality::Unset);
        assert_eq!((got.te, got.source), (NOW + 8 * HOUR_MS, SourceClock::Right));
    }
}
