//! The time that readings bear: that of the device where it has one to believe, else that of their
//! arrival.
//!
//! - A device whose clock was set to local time as if it were UTC is hours ahead, east of Greenwich.
//!   Nothing was measured in the future: such readings bear the time of their arrival, and a doubt.
//! - Behind is legal, for it may be true: a logger tells late what it has kept.
//! - A gateway whose own clock was never set judges nobody's.

use fengsui_telemetry::{ClockQuality, Reading, TimeMs};

use super::{Answer, Stamp, doubt_time};

/// A device that is further ahead has a wrong clock. Clocks drift by minutes at most where anybody
/// sets them, and the nearest wrong time zone is fifteen minutes away. A smaller lead is the alarm
/// engine's, which judges stamps from the future by their arrival.
const AHEAD_MAX_MS: i64 = 5 * 60_000;
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
    /// The answer that arrived at `arrival` by a clock of this quality. The only place that decides
    /// which time readings bear.
    #[must_use]
    pub fn dated(self, arrival: TimeMs, clock: ClockQuality) -> Dated {
        let Self { mut readings, stamp } = self;
        let (te, source) = match stamp {
            Stamp::Arrival => (arrival, SourceClock::Unsaid),
            Stamp::Source(te) if is_credible(te, arrival, clock) => (te, SourceClock::Right),
            Stamp::Source(te) => {
                doubt_time(&mut readings);
                (arrival, SourceClock::Off(te.since(arrival)))
            }
        };
        Dated { te, readings, source }
    }
}

fn is_credible(te: TimeMs, arrival: TimeMs, clock: ClockQuality) -> bool {
    match clock {
        ClockQuality::Unset => true,
        ClockQuality::Rtc | ClockQuality::Synchronised | ClockQuality::Holdover => {
            (LOST_BEFORE..=arrival + AHEAD_MAX_MS).contains(&te)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fengsui_telemetry::{Doubt, Fault};

    const NOW: TimeMs = TimeMs(1_700_000_000_000);
    const HOUR_MS: i64 = 3_600_000;

    fn dated(ahead_ms: i64, clock: ClockQuality) -> Dated {
        let readings = vec![(0, Reading::Good(1.0)), (1, Reading::Bad(Fault::Sentinel))];
        Answer { readings, stamp: Stamp::Source(NOW + ahead_ms) }.dated(NOW, clock)
    }

    #[test]
    fn a_device_that_is_hours_ahead_is_dated_by_arrival_and_doubted() {
        use ClockQuality::{Holdover, Rtc, Synchronised};
        for clock in [Synchronised, Holdover, Rtc] {
            for ahead in [8 * HOUR_MS, AHEAD_MAX_MS + 1, LOST_BEFORE.since(NOW) - 1, -NOW.0 + 1_000]
            {
                let got = dated(ahead, clock);
                assert_eq!((got.te, got.source), (NOW, SourceClock::Off(ahead)), "{ahead}");
                let doubted = Reading::Uncertain(1.0, Doubt::EstimatedTime);
                assert_eq!(got.readings, [(0, doubted), (1, Reading::Bad(Fault::Sentinel))]);
            }
        }
    }

    #[test]
    fn what_a_logger_tells_late_keeps_its_time() {
        for ahead in [0, AHEAD_MAX_MS, -HOUR_MS, -800 * 24 * HOUR_MS, LOST_BEFORE.since(NOW)] {
            let got = dated(ahead, ClockQuality::Synchronised);
            assert_eq!((got.te, got.source), (NOW + ahead, SourceClock::Right), "{ahead}");
            assert_eq!(got.readings.first(), Some(&(0, Reading::Good(1.0))));
        }
    }

    #[test]
    fn a_gateway_without_a_clock_of_its_own_believes_the_device() {
        let got = dated(8 * HOUR_MS, ClockQuality::Unset);
        assert_eq!((got.te, got.source), (NOW + 8 * HOUR_MS, SourceClock::Right));
    }
}
