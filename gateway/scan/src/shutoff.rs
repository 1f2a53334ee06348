//! An emergency shut-off valve (紧急切断阀), watched: what was demanded, where the valve stands, how
//! long it took.
//!
//! - Watching only. This is no part of a safety function and moves nothing: what closes the valve
//!   is the plant's own safety system, which must work without this program.
//! - Time is an argument, ms of the engine that asks. A reading that is bad tells nothing: the
//!   watcher says *unknown* and never the last position.
//! - A demand that stands while the valve is not closed is always timed. Where its beginning was
//!   not seen (a start, a device that could not be read) it counts from the first sight of it, and
//!   until it is decided the fault is bad: no 0 then ends an alarm that stands.
//! - So it is where a valve left its open switch and the demand has not been read since.

mod trip;

use fengsui_telemetry::{Fault, Reading};

use trip::Trip;

/// How one valve is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutoffSettings {
    /// Longest travel from a demand to the closed switch (manual or proof test), ms.
    pub travel_ms: i64,
    /// Both switches may be off, or contradict each other, for so long while the valve passes, ms.
    pub settle_ms: i64,
    /// Between two proof tests at most, ms; none: not watched.
    pub proof_ms: Option<i64>,
    /// The last proof test, ms since 1970.
    pub proved_at: Option<i64>,
}

/// A reading of one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// It is demanded, or the switch is made.
    pub on: bool,
    /// When it was read, ms.
    pub at: i64,
}

/// What is known of the three signals. None: the reading was bad, or none has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Closing is demanded.
    pub demand: Option<Seen>,
    /// The open limit switch is made.
    pub open: Option<Seen>,
    /// The closed limit switch is made.
    pub closed: Option<Seen>,
}

/// Where the valve stands. The numbers are the values of its `.state` point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Position {
    /// Open, no demand.
    Open,
    /// Between its switches.
    Travelling,
    /// Closed.
    Closed,
    /// Both switches made.
    Contradiction,
}

impl Position {
    /// The value of the `.state` point.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Travelling => 1,
            Self::Closed => 2,
            Self::Contradiction => 3,
        }
    }
}

/// What is wrong with the valve. The numbers are the values of its `.fault` point; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShutoffFault {
    /// Demanded, and not closed in time.
    NotClosed,
    /// Both switches made for longer than the valve passes.
    Contradiction,
    /// Left its open switch without a demand.
    SpuriousTrip,
    /// No demand, and neither switch made for longer than a travel.
    StuckBetween,
    /// The proof test is due.
    ProofDue,
}

impl ShutoffFault {
    /// The value of the `.fault` point.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::NotClosed => 1,
            Self::Contradiction => 2,
            Self::SpuriousTrip => 3,
            Self::StuckBetween => 4,
            Self::ProofDue => 5,
        }
    }
}

/// The three points of a valve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShutoffPoints {
    /// [`Position::code`].
    pub state: Reading,
    /// Seconds of the last travel whose demand was seen to begin; bad until there was one.
    pub travel_s: Reading,
    /// [`ShutoffFault::code`], 0 for none.
    pub fault: Reading,
}

/// A demand that is not obeyed yet.
#[derive(Clone, Copy, Debug)]
struct Demand {
    /// When it was seen first.
    since: i64,
    /// It was seen to begin; without that it may be older, and the valve may have been closed.
    begun: bool,
}

/// What is known of a valve over a restart: a trip stands until the valve was seen open again, and
/// one that happens meanwhile is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutoffMemory {
    /// The valve left its open switch without a demand and has not been open since.
    pub tripped: bool,
    /// When it was seen last it was open, and no demand has been seen since.
    pub open: bool,
    /// The last travel whose demand was seen to begin, ms.
    pub travel_ms: Option<i64>,
}

/// The watcher of one valve.
#[derive(Clone, Debug)]
pub struct Shutoff {
    settings: ShutoffSettings,
    signals: Signals,
    /// The demand that stands and that the valve has not obeyed yet.
    demand: Option<Demand>,
    /// Since when the present pair of switches has been seen.
    position: Option<(Position, i64)>,
    trip: Trip,
    travel_ms: Option<i64>,
}

impl Shutoff {
    /// Begins with nothing known.
    #[must_use]
    pub fn new(settings: ShutoffSettings) -> Self {
        let signals = Signals::default();
        let trip = Trip::default();
        Self { settings, signals, demand: None, position: None, trip, travel_ms: None }
    }

    /// Takes the signals as they are now.
    pub fn observe(&mut self, signals: Signals, now: i64) {
        let before = std::mem::replace(&mut self.signals, signals);
        let position = position_of(signals);
        let was = self.position.map(|(position, _)| position);
        if position != was {
            self.position = position.map(|position| (position, now));
        }
        match signals.demand.map(|demand| demand.on) {
            Some(true) if self.demand.is_none() && position != Some(Position::Closed) => {
                let begun = before.demand.is_some_and(|demand| !demand.on);
                self.demand = Some(Demand { since: now, begun });
            }
            Some(false) => self.demand = None,
            Some(true) | None => {}
        }
        if position == Some(Position::Closed)
            && let Some(demand) = self.demand.take().filter(|demand| demand.begun)
        {
            self.travel_ms = Some(now.saturating_sub(demand.since));
        }
        self.trip = self.trip.after(before, signals, now);
    }

    /// What outlives a restart.
    #[must_use]
    pub fn memory(&self) -> ShutoffMemory {
        let (tripped, open) = match self.trip {
            Trip::Unwatched => (false, false),
            // Where it is not judged yet it is seen to have left again.
            Trip::Watched | Trip::Left { .. } => (false, true),
            Trip::Tripped => (true, false),
        };
        ShutoffMemory { tripped, open, travel_ms: self.travel_ms }
    }

    /// Begins with this and nothing else known: a signal of before says nothing of now.
    #[must_use]
    pub fn recalling(settings: ShutoffSettings, memory: ShutoffMemory) -> Self {
        let ShutoffMemory { tripped, open, travel_ms } = memory;
        let trip = if tripped {
            Trip::Tripped
        } else if open {
            Trip::Watched
        } else {
            Trip::Unwatched
        };
        Self { trip, travel_ms, ..Self::new(settings) }
    }

    /// A proof test was made.
    pub fn proved(&mut self, at: i64) {
        self.settings.proved_at = Some(at);
    }

    /// The worst of what is wrong now.
    #[must_use]
    pub fn fault(&self, now: i64) -> Option<ShutoffFault> {
        let lasts =
            |ms: i64| self.position.is_some_and(|(_, since)| now.saturating_sub(since) > ms);
        let position = self.position.map(|(position, _)| position);
        let late = self.demand.is_some_and(|demand| {
            // Unless it was seen to begin, a valve that cannot be seen may be closed since long.
            let open = demand.begun || position.is_some();
            open && now.saturating_sub(demand.since) > self.settings.travel_ms
        });
        if late {
            return Some(ShutoffFault::NotClosed);
        }
        if position == Some(Position::Contradiction) && lasts(self.settings.settle_ms) {
            return Some(ShutoffFault::Contradiction);
        }
        if self.trip == Trip::Tripped {
            return Some(ShutoffFault::SpuriousTrip);
        }
        let between = position == Some(Position::Travelling);
        if between && lasts(self.settings.travel_ms.saturating_add(self.settings.settle_ms)) {
            return Some(ShutoffFault::StuckBetween);
        }
        let due = self.settings.proof_ms.is_some_and(|every| {
            self.settings.proved_at.is_none_or(|at| now.saturating_sub(at) > every)
        });
        due.then_some(ShutoffFault::ProofDue)
    }

    /// The points as they are now. Without all three signals there is no position and no word that
    /// all is well; nor is there while a demand stands of which nobody knows how old it is, or
    /// while nobody knows whether a valve that left its open switch was demanded to.
    #[must_use]
    pub fn points(&self, now: i64) -> ShutoffPoints {
        let left = matches!(self.trip, Trip::Left { .. });
        let undecided = left || self.demand.is_some_and(|demand| !demand.begun);
        let known = self.signals.demand.is_some() && self.position.is_some() && !undecided;
        let fault = self.fault(now);
        let code = |fault: Option<ShutoffFault>| f64::from(fault.map_or(0, ShutoffFault::code));
        ShutoffPoints {
            state: match self.position {
                Some((position, _)) => Reading::Good(f64::from(position.code())),
                None => Reading::Bad(Fault::Missing),
            },
            travel_s: match self.travel_ms {
                #[expect(clippy::cast_precision_loss, reason = "a travel takes seconds")]
                Some(ms) => Reading::Good(ms as f64 / 1_000.0),
                None => Reading::Bad(Fault::Missing),
            },
            fault: match fault {
                Some(ShutoffFault::ProofDue) | None if !known => Reading::Bad(Fault::Missing),
                Some(_) | None => Reading::Good(code(fault)),
            },
        }
    }

    /// When the points may change without a signal.
    #[must_use]
    pub fn wake_at(&self, now: i64) -> Option<i64> {
        let settings = &self.settings;
        let travel = self.demand.map(|demand| demand.since.saturating_add(settings.travel_ms));
        let position = self.position.and_then(|(position, since)| match position {
            Position::Contradiction => Some(since.saturating_add(settings.settle_ms)),
            Position::Travelling => {
                Some(since.saturating_add(settings.travel_ms).saturating_add(settings.settle_ms))
            }
            Position::Open | Position::Closed => None,
        });
        let proof = settings.proved_at.zip(settings.proof_ms).map(|(at, ms)| at.saturating_add(ms));
        let due = [travel, position, proof].into_iter().flatten();
        due.map(|at| at.saturating_add(1)).filter(|at| *at > now).min()
    }
}

fn position_of(signals: Signals) -> Option<Position> {
    match (signals.open?.on, signals.closed?.on) {
        (true, false) => Some(Position::Open),
        (false, true) => Some(Position::Closed),
        (false, false) => Some(Position::Travelling),
        (true, true) => Some(Position::Contradiction),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    pub(super) fn valve() -> Shutoff {
        Shutoff::new(ShutoffSettings {
            travel_ms: 10_000,
            settle_ms: 2_000,
            proof_ms: None,
            proved_at: None,
        })
    }

    /// `d` demanded, `o` open switch, `c` closed switch; `?` in front: that signal is bad.
    pub(super) fn see(valve: &mut Shutoff, signals: &str, now: i64) -> Option<ShutoffFault> {
        let signal = |letter: char| {
            let bad = signals.contains(&format!("?{letter}"));
            (!bad).then(|| Seen { on: signals.contains(letter), at: now })
        };
        let signals = Signals { demand: signal('d'), open: signal('o'), closed: signal('c') };
        valve.observe(signals, now);
        valve.fault(now)
    }

    #[test]
    fn a_demand_that_is_obeyed_gives_its_travel_time() {
        let mut valve = valve();
        assert_eq!(see(&mut valve, "o", 0), None);
        assert_eq!(valve.points(0).travel_s, Reading::Bad(Fault::Missing));
        assert_eq!(see(&mut valve, "do", 1_000), None);
        assert_eq!(see(&mut valve, "d", 2_500), None);
        assert_eq!(valve.points(2_500).state, Reading::Good(1.0));
        assert_eq!(see(&mut valve, "dc", 7_300), None);
        let points = valve.points(7_300);
        assert_eq!((points.state, points.travel_s), (Reading::Good(2.0), Reading::Good(6.3)));
        assert_eq!(see(&mut valve, "c", 60_000), None, "it stays closed after the demand");
        assert_eq!(see(&mut valve, "", 61_000), None);
        assert_eq!(see(&mut valve, "o", 65_000), None, "reopened: no trip");
    }

    #[test]
    fn a_valve_that_does_not_close_in_time_is_told_at_the_deadline() {
        let mut valve = valve();
        see(&mut valve, "o", 0);
        see(&mut valve, "do", 1_000);
        assert_eq!(valve.wake_at(1_000), Some(11_001));
        assert_eq!(valve.fault(11_000), None);
        assert_eq!(valve.fault(11_001), Some(ShutoffFault::NotClosed));
        assert_eq!(
            see(&mut valve, "d", 12_000),
            Some(ShutoffFault::NotClosed),
            "half way is not closed"
        );
        assert_eq!(see(&mut valve, "dc", 13_000), None);
        assert_eq!(valve.points(13_000).travel_s, Reading::Good(12.0));
    }

    #[test]
    fn closing_without_a_demand_is_a_trip_until_it_is_open_again() {
        let mut valve = valve();
        see(&mut valve, "o", 0);
        assert_eq!(see(&mut valve, "", 1_000), Some(ShutoffFault::SpuriousTrip));
        assert_eq!(see(&mut valve, "c", 5_000), Some(ShutoffFault::SpuriousTrip));
        assert_eq!(see(&mut valve, "o", 9_000), None);
    }

    #[test]
    fn a_restart_forgets_no_trip_and_takes_no_signal_for_granted() {
        let mut valve = valve();
        see(&mut valve, "o", 0);
        see(&mut valve, "do", 1_000);
        see(&mut valve, "dc", 4_000);
        see(&mut valve, "o", 8_000);
        see(&mut valve, "c", 9_000);
        let settings = valve.settings.clone();
        let mut again = Shutoff::recalling(settings, valve.memory());
        assert_eq!(again.points(10_000).state, Reading::Bad(Fault::Missing));
        assert_eq!(see(&mut again, "c", 11_000), Some(ShutoffFault::SpuriousTrip));
        assert_eq!(again.points(11_000).travel_s, Reading::Good(3.0));
        assert_eq!(see(&mut again, "o", 12_000), None, "open again: it is over");
        assert!(!again.memory().tripped);
    }

    #[test]
    fn both_switches_are_a_contradiction_after_a_moment() {
        let mut valve = valve();
        assert_eq!(see(&mut valve, "oc", 0), None);
        assert_eq!(valve.points(0).state, Reading::Good(3.0));
        assert_eq!(valve.wake_at(0), Some(2_001));
        assert_eq!(valve.fault(2_001), Some(ShutoffFault::Contradiction));
        assert_eq!(see(&mut valve, "o", 3_000), None);
    }

    #[test]
    fn between_its_switches_for_good_is_stuck() {
        let mut valve = valve();
        assert_eq!(see(&mut valve, "", 0), None);
        assert_eq!(valve.fault(12_000), None);
        assert_eq!(valve.fault(12_001), Some(ShutoffFault::StuckBetween));
    }

    #[test]
    fn a_bad_signal_is_never_the_last_position_and_never_all_well() {
        let mut valve = valve();
        see(&mut valve, "o", 0);
        assert_eq!(valve.points(0).fault, Reading::Good(0.0));
        see(&mut valve, "?oc", 1_000);
        let points = valve.points(1_000);
        assert_eq!(
            (points.state, points.fault),
            (Reading::Bad(Fault::Missing), Reading::Bad(Fault::Missing))
        );
        see(&mut valve, "o?d", 2_000);
        assert_eq!(
            valve.points(2_000).fault,
            Reading::Bad(Fault::Missing),
            "the demand is not known"
        );
    }

    #[test]
    fn a_demand_that_stands_at_the_start_runs_out_and_is_no_word_that_all_is_well() {
        let mut valve = valve();
        assert_eq!(see(&mut valve, "do", 1_000), None);
        assert_eq!(valve.points(1_000).fault, Reading::Bad(Fault::Missing), "not yet decided");
        assert_eq!(valve.wake_at(1_000), Some(11_001));
        assert_eq!(see(&mut valve, "d", 11_000), None);
        assert_eq!(valve.points(11_000).fault, Reading::Bad(Fault::Missing));
        assert_eq!(valve.points(11_001).fault, Reading::Good(1.0), "not closed in time");
        see(&mut valve, "dc", 12_000);
        let points = valve.points(12_000);
        assert_eq!(points.fault, Reading::Good(0.0), "closed at last");
        assert_eq!(points.travel_s, Reading::Bad(Fault::Missing), "nobody saw how long it took");
    }

    #[test]
    fn a_demand_that_comes_while_nothing_can_be_read_runs_out() {
        let mut valve = valve();
        see(&mut valve, "o", 0);
        see(&mut valve, "?d?o?c", 1_000);
        see(&mut valve, "do", 2_000);
        assert_eq!(valve.points(12_000).fault, Reading::Bad(Fault::Missing));
        assert_eq!(valve.points(12_001).fault, Reading::Good(1.0));
        see(&mut valve, "o", 13_000);
        assert_eq!(valve.points(13_000).fault, Reading::Good(0.0), "withdrawn");
    }

    #[test]
    fn a_closed_valve_under_a_lasting_demand_is_well_until_it_leaves_its_switch() {
        let mut valve = valve();
        see(&mut valve, "dc", 0);
        assert_eq!(valve.points(DAY).fault, Reading::Good(0.0));
        assert_eq!(see(&mut valve, "d?c", DAY), None);
        assert_eq!(valve.points(2 * DAY).fault, Reading::Bad(Fault::Missing), "nor a false word");
        see(&mut valve, "dc", 2 * DAY);
        assert_eq!(valve.points(2 * DAY).fault, Reading::Good(0.0));
        assert_eq!(see(&mut valve, "do", 3 * DAY), None);
        assert_eq!(valve.fault(3 * DAY + 10_001), Some(ShutoffFault::NotClosed));
    }

    #[test]
    fn a_demand_during_a_lost_switch_still_runs_out() {
        let mut valve = valve();
        see(&mut valve, "o", 0);
        see(&mut valve, "d?o", 1_000);
        assert_eq!(valve.fault(11_001), Some(ShutoffFault::NotClosed));
        assert_eq!(valve.points(11_001).fault, Reading::Good(1.0), "what is known is said");
    }

    #[test]
    fn the_proof_test_comes_due_and_yields_to_what_is_worse() {
        let mut valve = Shutoff::new(ShutoffSettings {
            proof_ms: Some(365 * DAY),
            proved_at: Some(0),
            ..valve().settings
        });
        see(&mut valve, "o", 0);
        assert_eq!(valve.wake_at(0), Some(365 * DAY + 1));
        assert_eq!(valve.fault(365 * DAY + 1), Some(ShutoffFault::ProofDue));
        assert_eq!(see(&mut valve, "", 365 * DAY + 5), Some(ShutoffFault::SpuriousTrip));
        see(&mut valve, "o", 365 * DAY + 9);
        valve.proved(365 * DAY + 10);
        assert_eq!(valve.fault(365 * DAY + 11), None);
    }
}
