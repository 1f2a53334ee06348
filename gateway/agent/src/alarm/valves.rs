//! Shut-off valves beside the engine: their points come of readings and of deadlines.

use fengsui_scan::{Shutoff, Signals, Valve};
use fengsui_telemetry::{Reading, TimeMs};

/// Readings of points: (index in the catalogue, what it said).
type Readings = Vec<(u32, Reading)>;

#[derive(Debug)]
struct Watched {
    valve: Valve,
    shutoff: Shutoff,
    signals: Signals,
    due: Option<i64>,
}

/// All valves of the site.
#[derive(Debug, Default)]
pub(crate) struct Valves(Vec<Watched>);

impl Valves {
    pub(crate) fn new(valves: &[Valve]) -> Self {
        let watched = |valve: &Valve| Watched {
            valve: valve.clone(),
            shutoff: Shutoff::new(valve.settings.clone()),
            signals: Signals::default(),
            due: None,
        };
        Self(valves.iter().map(watched).collect())
    }

    /// What the points of the valves say after these readings.
    pub(super) fn observe(&mut self, readings: &[(u32, Reading)], te: TimeMs) -> Readings {
        self.0.iter_mut().filter_map(|one| one.observe(readings, te.0)).flatten().collect()
    }

    /// What they say because time has passed.
    pub(super) fn due(&mut self, now: TimeMs) -> Readings {
        let due = self.0.iter_mut().filter(|one| one.due.is_some_and(|at| at <= now.0));
        due.flat_map(|one| one.points(now.0)).collect()
    }
}

impl Watched {
    fn observe(&mut self, readings: &[(u32, Reading)], te: i64) -> Option<[(u32, Reading); 3]> {
        let mut touched = false;
        for (point, reading) in readings {
            let state = match reading {
                Reading::Good(value) | Reading::Uncertain(value, _) => Some(*value >= 0.5),
                Reading::Bad(_) => None,
            };
            if *point == self.valve.demand {
                self.signals.demand = state.map(|on| on != self.valve.demand_on_zero);
            } else if *point == self.valve.open {
                self.signals.open = state;
            } else if *point == self.valve.closed {
                self.signals.closed = state;
            } else {
                continue;
            }
            touched = true;
        }
        if !touched {
            return None;
        }
        self.shutoff.observe(self.signals, te);
        Some(self.points(te))
    }

    fn points(&mut self, now: i64) -> [(u32, Reading); 3] {
        self.due = self.shutoff.wake_at(now);
        let (first, points) = (self.valve.first, self.shutoff.points(now));
        [(first, points.state), (first + 1, points.travel_s), (first + 2, points.fault)]
    }
}
