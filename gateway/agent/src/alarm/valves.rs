//! Shut-off valves beside the engine: their points come of readings and of deadlines.
//!
//! - What outlives a restart (a trip that stands, a valve that was open and may trip meanwhile) is
//!   saved behind the engine's own state, in one piece with it, and followed over the records that
//!   are replayed. A state without it is one of a program before this one, and is taken as it is.

use fengsui_scan::{PointSet, Seen, Shutoff, ShutoffMemory, Signals, Valve};
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

/// The end of a state that says something of valves.
const MARK: &[u8; 8] = b"fsvalve1";
/// Before it, for each valve: the number of its first point, [`TRIPPED`] or [`OPEN`] or 0, whether
/// a travel is known, and its ms.
const VALVE_BYTES: usize = 4 + 1 + 1 + 8;
/// It left its open switch without a demand.
const TRIPPED: u8 = 1;
/// It was seen open last. A program that does not know this takes it for nothing.
const OPEN: u8 = 2;
/// Between the valves and the mark: how many there are.
const COUNT_BYTES: usize = 4;

/// All valves of the site.
#[derive(Debug, Default)]
pub(crate) struct Valves(Vec<Watched>);

/// What was saved of valves, each by the number of its first point.
type Saved = Vec<(u32, ShutoffMemory)>;

/// A saved state: the engine's, and what it says of valves.
pub(crate) fn parted(saved: &[u8]) -> (&[u8], Saved) {
    part(saved).unwrap_or((saved, Vec::new()))
}

fn part(saved: &[u8]) -> Option<(&[u8], Saved)> {
    let (rest, count) = saved.strip_suffix(MARK)?.split_last_chunk::<COUNT_BYTES>()?;
    let bytes = usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(VALVE_BYTES)?;
    let (engine, valves) = rest.split_at_checked(rest.len().checked_sub(bytes)?)?;
    let (valves, []) = valves.as_chunks::<VALVE_BYTES>() else { return None };
    let memory = |bytes: &[u8; VALVE_BYTES]| {
        let [a, b, c, d, trip, known, travel @ ..] = *bytes;
        let travel_ms = (known == 1).then_some(i64::from_le_bytes(travel));
        let (tripped, open) = (trip == TRIPPED, trip == OPEN);
        (u32::from_le_bytes([a, b, c, d]), ShutoffMemory { tripped, open, travel_ms })
    };
    Some((engine, valves.iter().map(memory).collect()))
}

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

    /// The points whose readings they follow.
    pub(super) fn looked_at(&self) -> PointSet {
        let points = |one: &Watched| [one.valve.demand, one.valve.open, one.valve.closed];
        self.0.iter().flat_map(points).collect()
    }

    /// The same, which know what was saved.
    pub(crate) fn recalling(mut self, saved: &[(u32, ShutoffMemory)], numbers: &[u32]) -> Self {
        for one in &mut self.0 {
            let number = number(numbers, one.valve.first);
            if let Some((_, memory)) = saved.iter().find(|(known, _)| Some(*known) == number) {
                one.begin(*memory);
            }
        }
        self
    }

    /// The engine's state with what is to be known of valves behind it.
    pub(super) fn sealed(&self, mut engine: Vec<u8>, numbers: &[u32]) -> Vec<u8> {
        let known = self.0.iter().filter_map(|one| {
            Some((number(numbers, one.valve.first)?, one.shutoff.memory()))
                .filter(|(_, memory)| *memory != ShutoffMemory::default())
        });
        let mut count = 0_u32;
        for (number, ShutoffMemory { tripped, open, travel_ms }) in known {
            let trip = if tripped { TRIPPED } else { u8::from(open) * OPEN };
            engine.extend(number.to_le_bytes());
            engine.extend([trip, u8::from(travel_ms.is_some())]);
            engine.extend(travel_ms.unwrap_or(0).to_le_bytes());
            count += 1;
        }
        engine.extend(count.to_le_bytes());
        engine.extend(MARK);
        engine
    }

    /// After a replay: what was seen then says nothing of now.
    pub(super) fn begin(&mut self) {
        for one in &mut self.0 {
            one.begin(one.shutoff.memory());
        }
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

/// The number of a point over all catalogues.
fn number(numbers: &[u32], index: u32) -> Option<u32> {
    numbers.get(usize::try_from(index).ok()?).copied()
}

impl Watched {
    fn begin(&mut self, memory: ShutoffMemory) {
        self.shutoff = Shutoff::recalling(self.valve.settings.clone(), memory);
        (self.signals, self.due) = (Signals::default(), None);
    }

    fn observe(&mut self, readings: &[(u32, Reading)], te: i64) -> Option<[(u32, Reading); 3]> {
        let mut touched = false;
        for (point, reading) in readings {
            let state = match reading {
                Reading::Good(value) | Reading::Uncertain(value, _) => {
                    Some(Seen { on: *value >= 0.5, at: te })
                }
                Reading::Bad(_) => None,
            };
            if *point == self.valve.demand {
                let turned = |seen: Seen| Seen { on: seen.on != self.valve.demand_on_zero, ..seen };
                self.signals.demand = state.map(turned);
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
