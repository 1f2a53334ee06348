//! Whether a valve left its open switch although nobody demanded it.
//!
//! - A reading that is bad, a restart and a reload do not end the watch: a valve that was seen open
//!   and is seen elsewhere afterwards has left, whatever could not be read in between.
//! - The demand may be read more rarely than the switches, or of another device. What it said
//!   before the valve left says nothing: judged is by what it says afterwards.

use super::{Position, Seen, Signals};

/// Readings of the demand after the valve was seen to have left by which it is judged at the
/// latest, whatever their times: devices stamp by clocks of their own, and the second was asked
/// for when the valve had left already.
const READS_MAX: u8 = 2;

/// What is known of a valve that may leave its open switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Trip {
    /// It was not seen open since it was demanded last.
    #[default]
    Unwatched,
    /// When it was seen last it was open, and no demand has been seen since.
    Watched,
    /// It was seen to have left, and the demand has not been read since.
    Left { at: i64, reads: u8 },
    /// It left without a demand and has not been open since.
    Tripped,
}

/// What the signals say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// Open, and closing is demanded.
    OpenDemanded,
    /// Elsewhere or not known, and closing is demanded.
    Demanded,
    /// Read open while the demand was known not to stand.
    OpenQuiet,
    /// Open; of the demand nothing is known, or the switch was not read again since.
    Open,
    /// Neither open nor at both of its switches.
    Away,
    /// Not known.
    Unseen,
}

impl Trip {
    /// What is known after these signals, the ones before them being `before`.
    pub(super) fn after(self, before: Signals, signals: Signals, now: i64) -> Self {
        let seen = match (self, sight(before, signals)) {
            (_, Sight::OpenDemanded)
            | (Self::Unwatched | Self::Watched | Self::Left { .. }, Sight::Demanded)
            | (Self::Unwatched, Sight::Open | Sight::Away | Sight::Unseen)
            | (Self::Tripped, Sight::Open) => Self::Unwatched,
            (_, Sight::OpenQuiet)
            | (Self::Watched | Self::Left { .. }, Sight::Open)
            | (Self::Watched, Sight::Unseen) => Self::Watched,
            (Self::Watched, Sight::Away) => Self::Left { at: now, reads: 0 },
            (Self::Left { .. }, Sight::Away | Sight::Unseen) => self,
            (Self::Tripped, Sight::Demanded | Sight::Away | Sight::Unseen) => Self::Tripped,
        };
        match (seen, signals.demand) {
            // A demand that stands was told above: this one does not.
            (Self::Left { at, reads }, Some(demand)) if is_new(before.demand, demand) => {
                let reads = reads + 1;
                let judged = demand.at >= at || reads >= READS_MAX;
                if judged { Self::Tripped } else { Self::Left { at, reads } }
            }
            (seen, Some(_) | None) => seen,
        }
    }
}

fn sight(before: Signals, signals: Signals) -> Sight {
    let open = super::position_of(signals) == Some(Position::Open);
    match signals.demand {
        Some(demand) if demand.on => {
            return if open { Sight::OpenDemanded } else { Sight::Demanded };
        }
        Some(_) if open && signals.open.is_some_and(|seen| is_new(before.open, seen)) => {
            return Sight::OpenQuiet;
        }
        Some(_) | None => {}
    }
    match super::position_of(signals) {
        Some(Position::Open) => Sight::Open,
        Some(Position::Travelling | Position::Closed) => Sight::Away,
        Some(Position::Contradiction) | None => Sight::Unseen,
    }
}

/// It was read just now, and is not what was read before.
fn is_new(before: Option<Seen>, seen: Seen) -> bool {
    before.is_none_or(|before| before.at != seen.at)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{see, valve};
    use super::super::{Shutoff, ShutoffFault, Signals};
    use super::*;
    use fengsui_telemetry::{Fault, Reading};

    const UNKNOWN: Reading = Reading::Bad(Fault::Missing);
    const TRIP: Reading = Reading::Good(3.0);
    const FINE: Reading = Reading::Good(0.0);

    fn seen(on: bool, at: i64) -> Option<Seen> {
        Some(Seen { on, at })
    }

    /// The switches read now, open or closed; the demand was read at its own time.
    fn switches(valve: &mut Shutoff, open: bool, demand: Option<Seen>, now: i64) -> Reading {
        let signals = Signals { demand, open: seen(open, now), closed: seen(!open, now) };
        valve.observe(signals, now);
        valve.points(now).fault
    }

    /// The demand read now; the switches were read before.
    fn demand(valve: &mut Shutoff, on: bool, (open, read): (bool, i64), now: i64) -> Reading {
        let (open, closed) = (seen(open, read), seen(!open, read));
        valve.observe(Signals { demand: seen(on, now), open, closed }, now);
        valve.points(now).fault
    }

    #[test]
    fn a_valve_that_trips_while_nothing_can_be_read_has_tripped() {
        for blind in ["?d?o?c", "?o", "?c", "?d", "oc"] {
            let mut valve = valve();
            see(&mut valve, "o", 0);
            assert_ne!(see(&mut valve, blind, 1_000), Some(ShutoffFault::SpuriousTrip), "{blind}");
            assert_eq!(see(&mut valve, "c", 2_000), Some(ShutoffFault::SpuriousTrip), "{blind}");
            assert_eq!(valve.points(2_000).fault, TRIP, "{blind}");
            assert_eq!(see(&mut valve, "o", 9_000), None, "{blind}");
        }
    }

    #[test]
    fn a_valve_that_was_demanded_while_it_could_not_be_seen_has_not_tripped() {
        let mut valve = valve();
        see(&mut valve, "o", 0);
        see(&mut valve, "d?o?c", 1_000);
        see(&mut valve, "?d?o?c", 2_000);
        assert_eq!(see(&mut valve, "c", 3_000), None);
        assert_eq!(valve.points(3_000).fault, FINE);
    }

    #[test]
    fn a_restart_between_open_and_closed_hides_no_trip() {
        let mut before = valve();
        see(&mut before, "o", 0);
        let again = || Shutoff::recalling(valve().settings, before.memory());
        assert_eq!(see(&mut again(), "c", 60_000), Some(ShutoffFault::SpuriousTrip));
        assert_eq!(see(&mut again(), "dc", 60_000), None, "it was demanded meanwhile");
        // The first word after it is the switches', of a device of their own.
        let mut one = again();
        assert_eq!(switches(&mut one, false, None, 60_000), UNKNOWN);
        let memory = one.memory();
        assert_eq!(demand(&mut one, false, (false, 60_000), 61_000), TRIP);
        let mut third = Shutoff::recalling(valve().settings, memory);
        assert_eq!(see(&mut third, "c", 90_000), Some(ShutoffFault::SpuriousTrip), "nor a second");
        // One that was closed, or that was not seen, has left nothing.
        see(&mut before, "d", 1_000);
        see(&mut before, "dc", 2_000);
        let mut closed = Shutoff::recalling(valve().settings, before.memory());
        assert_eq!(see(&mut closed, "c", 60_000), None);
    }

    #[test]
    fn a_demand_that_is_read_after_the_switches_is_no_trip() {
        let mut valve = valve();
        let quiet = seen(false, 0);
        assert_eq!(switches(&mut valve, true, quiet, 0), FINE);
        assert_eq!(
            switches(&mut valve, false, quiet, 200),
            UNKNOWN,
            "0 would be a lie, so would 3"
        );
        assert_eq!(switches(&mut valve, false, quiet, 2_800), UNKNOWN);
        assert_eq!(demand(&mut valve, true, (false, 2_800), 3_000), FINE, "demanded, and closed");
        assert_eq!(demand(&mut valve, false, (false, 2_800), 6_000), FINE, "it stays closed");
        // The demand is withdrawn before that is read, and the valve opens and closes again.
        assert_eq!(switches(&mut valve, true, seen(false, 6_000), 6_200), FINE);
        assert_eq!(switches(&mut valve, false, seen(false, 6_000), 6_400), UNKNOWN);
        assert_eq!(demand(&mut valve, false, (false, 6_400), 9_000), TRIP, "nobody demanded that");
    }

    #[test]
    fn a_demand_that_cannot_be_read_leaves_it_unknown_for_as_long_as_that_lasts() {
        let mut valve = valve();
        switches(&mut valve, true, seen(false, 0), 0);
        switches(&mut valve, false, seen(false, 0), 200);
        for at in [3_000, 60_000, 86_400_000] {
            assert_eq!(switches(&mut valve, false, None, at), UNKNOWN);
        }
        assert_eq!(demand(&mut valve, false, (false, 86_400_000), 86_400_100), TRIP);
    }

    #[test]
    fn a_device_whose_clock_is_late_delays_a_trip_by_one_reading() {
        let mut valve = valve();
        let hour = 3_600_000;
        switches(&mut valve, true, seen(false, 0), hour);
        assert_eq!(switches(&mut valve, false, seen(false, 0), hour + 200), UNKNOWN);
        assert_eq!(
            demand(&mut valve, false, (false, hour + 200), 1_000),
            UNKNOWN,
            "under way then"
        );
        assert_eq!(demand(&mut valve, false, (false, hour + 200), 2_000), TRIP);
    }

    #[test]
    fn a_short_demand_between_two_readings_of_the_switches_is_no_trip() {
        let mut valve = valve();
        switches(&mut valve, true, seen(false, 0), 0);
        demand(&mut valve, true, (true, 0), 200);
        demand(&mut valve, false, (true, 0), 400);
        assert_eq!(switches(&mut valve, false, seen(false, 2_800), 3_000), FINE);
    }
}
