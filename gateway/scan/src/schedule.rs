//! What one device is asked next, and what its answers mean.
//!
//! - Points that carry an alarm before the others, earliest deadline first; scans keep their phase: a late scan shifts nothing, a missed one is
//!   counted and skipped.
//! - One failed request makes the device suspect and is followed by one small read at once. If that
//!   fails too the device is dead: all its points are `Bad`, and one small read a visit asks again,
//!   after 2 s doubling to 30 s.
//! - Exceptions 2 and 3 split a block until the refused point stands alone; it is `Bad` and asked
//!   ever more rarely: after 2 s doubling to 30 s where it carries an alarm, else to ten minutes. A
//!   device that refuses everything is at fault.
//! - All that was learnt is forgotten after ten minutes, after a dead device came back, and when
//!   nothing is refused any more, so that a device that was rebuilt is read whole again.

mod arrears;
mod dated;
mod held;
mod refused;
mod remembered;
mod urgency;

use std::sync::Arc;

use fengsui_telemetry::{Doubt, Fault, Reading, TimeMs};

use crate::condition::{Conditions, Moment};
use crate::pdu::{Payload, ReadRequest, check};
use crate::plan::{Block, Places, split, time_of};
use crate::point_set::PointSet;
use crate::site::{Device, Mapping};
pub use arrears::Arrears;
use dated::LastTime;
pub use dated::{Dated, SourceClock};
use held::{Again, Held, Turn, in_order, readers};
use refused::Refused;
pub use remembered::Remembered;
use urgency::class_of;

/// First wait before a dead device is asked again: a controller restarts in a few seconds.
const PROBE_FIRST_MS: u64 = 2_000;
/// Longest wait: a device that was switched on again is seen within half a minute.
const PROBE_MAX_MS: u64 = 30_000;
/// How long what was learnt of a device's registers counts.
const RELEARN_MS: u64 = 600_000;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, and give [`Scanner::answer`] what became of it.
    Read(ReadRequest),
    /// Nothing is due before this monotonic time, ms.
    Sleep(u64),
}

/// How urgent a read is. The order is the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A point that carries an alarm is in it, or a register that such a point needs.
    Alarm,
    /// Nothing but telemetry.
    Bulk,
}

/// What a device would be asked, for whoever shares one line among many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A read that is due.
    Read {
        /// How urgent.
        class: Class,
        /// When it became due.
        due: u64,
        /// When the next one of the same becomes due.
        deadline: u64,
        /// What would be asked.
        request: ReadRequest,
        /// How often it is asked.
        period_ms: u32,
    },
    /// The small read after a failed one.
    Retry(Class),
    /// A dead device, asked again from this time on.
    Probe {
        /// Not before.
        at: u64,
        /// The wait that led there.
        wait_ms: u64,
    },
    /// Nothing before this time.
    Nothing(u64),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The device answered with data.
    Data(Payload),
    /// The device refused.
    Exception(u8),
    /// No answer in time.
    Timeout,
    /// Something came that is not the answer.
    BadFrame,
    /// The connection ended before the answer.
    Lost,
    /// There was no connection, and none could be made.
    Unreachable,
}

/// Where the time of readings comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The reply's arrival.
    Arrival,
    /// The device's own time.
    Source {
        /// That.
        te: TimeMs,
        /// It has not moved for long, though what it dates has.
        stands: bool,
        /// How far behind it may be and be believed, ms.
        late_ms: i64,
    },
}

/// What an outcome says about points. May hold none: a refused block about to be split, or a
/// device time that has not moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// (index of the point in the catalogue, what it said).
    pub readings: Vec<(u32, Reading)>,
    /// When that was; [`Answer::dated`] decides whether that is believed.
    pub stamp: Stamp,
}

impl Answer {
    fn none() -> Self {
        Self { readings: Vec::new(), stamp: Stamp::Arrival }
    }
}

/// How a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Answers.
    Healthy,
    /// One request failed; the next decides.
    Suspect(Fault),
    /// Does not answer.
    Dead {
        /// How it failed last.
        fault: Fault,
        /// When it is asked again, monotonic ms.
        probe_at: u64,
        /// The wait before that.
        wait_ms: u64,
    },
}

/// What an outcome says about the device.
#[derive(Clone, Copy)]
enum Sign {
    Alive,
    Failed(Fault),
    Gone,
}

#[derive(Clone, Debug)]
struct Slot {
    block: Block,
    class: Class,
    due: u64,
    refused: Option<Refused>,
    /// Its last answer was an exception.
    denied: Option<Fault>,
    /// Its last read failed.
    failed: bool,
    /// It is to be read before it is due.
    again: Option<Again>,
    /// Points that wait for other blocks.
    held: Option<Box<Held>>,
    /// What its points need changed while they were read.
    torn: bool,
}

impl Slot {
    fn new(block: Block, alarms: &PointSet, due: u64) -> Self {
        let class = class_of(&block, alarms);
        let (refused, denied, again, held) = (None, None, None, None);
        Self { block, class, due, refused, denied, failed: false, again, held, torn: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Slot(usize, Turn),
    Probe,
}

/// The reader of one device.
#[derive(Clone, Debug)]
pub struct Scanner {
    device: Device,
    places: Places,
    conditions: Conditions,
    /// Places of points that carry an alarm, and of what they need.
    alarms: PointSet,
    slots: Vec<Slot>,
    /// Which of them reads each auxiliary register.
    readers: Vec<usize>,
    health: Health,
    flight: Option<(Flight, ReadRequest)>,
    relearn_at: Option<u64>,
    last_time: Option<LastTime>,
    missed: u64,
}

impl Scanner {
    /// Plans the device; everything is due at once.
    #[must_use]
    pub fn new(device: Device, mappings: impl Into<Arc<[Mapping]>>, now: u64) -> Self {
        let points = mappings.into();
        let (conditions, auxiliary) = Conditions::new(&points, device.timeout_ms);
        let places = Places { points, auxiliary };
        let alarms = PointSet::default();
        let mut scanner = Self {
            device,
            places,
            conditions,
            alarms,
            slots: Vec::new(),
            readers: Vec::new(),
            health: Health::Healthy,
            flight: None,
            relearn_at: None,
            last_time: None,
            missed: 0,
        };
        scanner.replan(now);
        scanner
    }

    /// The device that is read.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The blocks of one round, and how urgent each is.
    pub fn blocks(&self) -> impl Iterator<Item = (&Block, Class)> {
        self.slots.iter().map(|slot| (&slot.block, slot.class))
    }

    /// What [`Scanner::next`] would ask, without asking it.
    #[must_use]
    pub fn offer(&self, now: u64) -> Offer {
        match self.health {
            Health::Healthy => match self.first_slot(now) {
                Some((_, slot)) => match slot.turn(now) {
                    Some((class, deadline, turn)) => Offer::Read {
                        class,
                        due: slot.since(turn),
                        deadline,
                        request: slot.block.request,
                        period_ms: slot.block.period_ms,
                    },
                    None => Offer::Nothing(slot.due),
                },
                None => Offer::Nothing(now + PROBE_MAX_MS),
            },
            Health::Suspect(_) => {
                let most = self.slots.iter().map(|slot| slot.class).min();
                Offer::Retry(most.unwrap_or(Class::Bulk))
            }
            Health::Dead { probe_at, wait_ms, .. } => Offer::Probe { at: probe_at, wait_ms },
        }
    }

    /// The slot to read first: of those due the most urgent whose next turn is nearest, else the
    /// next to become due.
    fn first_slot(&self, now: u64) -> Option<(usize, &Slot)> {
        let urgency = |(_, slot): &(usize, &Slot)| match slot.turn(now) {
            Some((class, deadline, _)) => (0, Some(class), deadline),
            None => (1, None, slot.due),
        };
        self.slots.iter().enumerate().min_by_key(urgency)
    }

    /// How the device does.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// A device that is dead is asked again now, as if it had just died: what kept it silent may be
    /// over.
    pub fn probe_now(&mut self, now: u64) {
        if let Health::Dead { probe_at, wait_ms, .. } = &mut self.health {
            (*probe_at, *wait_ms) = (now.min(*probe_at), PROBE_FIRST_MS);
        }
    }

    /// The requests of one round and their periods, ms, for `check` and logs.
    #[must_use]
    pub fn requests(&self) -> Vec<(ReadRequest, u32)> {
        self.slots.iter().map(|slot| (slot.block.request, slot.block.period_ms)).collect()
    }

    /// Every point as `Bad`: the device is dead, or its reader failed.
    #[must_use]
    pub fn all_bad(&self, fault: Fault) -> Vec<(u32, Reading)> {
        self.places.points.iter().map(|m| (m.point, Reading::Bad(fault))).collect()
    }

    /// What to do now. A request that is not answered is asked again.
    pub fn next(&mut self, now: u64) -> Step {
        match self.health {
            Health::Healthy => self.next_slot(now),
            Health::Suspect(_) => self.probe(),
            Health::Dead { probe_at, .. } if probe_at > now => Step::Sleep(probe_at),
            Health::Dead { .. } => self.probe(),
        }
    }

    fn next_slot(&mut self, now: u64) -> Step {
        let nobody_waits = || self.slots.iter().all(|slot| slot.held.is_none());
        if self.relearn_at.is_some_and(|at| at <= now) && nobody_waits() {
            let due = self.slots.iter().filter(|s| s.refused.is_none()).map(|s| s.due).min();
            self.replan(due.unwrap_or(now));
        }
        let Some((place, slot)) = self.first_slot(now) else {
            return Step::Sleep(now + PROBE_MAX_MS);
        };
        let Some((_, _, turn)) = slot.turn(now) else {
            return Step::Sleep(self.relearn_at.map_or(slot.due, |at| at.min(slot.due)));
        };
        let request = slot.block.request;
        self.flight = Some((Flight::Slot(place, turn), request));
        Step::Read(request)
    }

    /// One small read: the first point of the plan.
    fn probe(&mut self) -> Step {
        let small = self.slots.first().and_then(|slot| {
            let item = slot.block.items.first()?;
            let first = slot.block.request.first + item.at;
            Some(ReadRequest { first, count: item.words, ..slot.block.request })
        });
        let Some(request) = small else { return Step::Sleep(u64::MAX) };
        self.flight = Some((Flight::Probe, request));
        Step::Read(request)
    }

    fn replan(&mut self, due: u64) {
        let blocks = self.places.plan(&self.device);
        let slots = blocks.into_iter().map(|block| Slot::new(block, &self.alarms, due)).collect();
        self.slots = in_order(slots, &self.conditions, &self.places);
        self.readers = readers(&self.slots, &self.places);
        self.relearn_at = None;
    }

    /// Takes what became of the request that [`Scanner::next`] gave.
    pub fn answer(&mut self, outcome: Outcome, now: u64) -> Answer {
        let Some((flight, request)) = self.flight.take() else { return Answer::none() };
        let outcome = match outcome {
            Outcome::Data(payload) if check(request, &payload).is_err() => Outcome::BadFrame,
            Outcome::Data(_)
            | Outcome::Exception(_)
            | Outcome::Timeout
            | Outcome::BadFrame
            | Outcome::Lost
            | Outcome::Unreachable => outcome,
        };
        let before = self.health;
        let sign = sign(&outcome);
        self.health = step(before, sign, now);
        match (before, self.health) {
            (Health::Healthy, Health::Healthy) => match flight {
                Flight::Slot(place, turn) => self.judge(place, turn, outcome, now),
                Flight::Probe => Answer::none(),
            },
            (Health::Healthy, Health::Suspect(fault)) => match flight {
                Flight::Slot(place, turn) => {
                    let over = self.fail(place, turn, now);
                    self.bad_block(place, fault, over, now)
                }
                Flight::Probe => Answer::none(),
            },
            (Health::Suspect(_), Health::Healthy) => Answer::none(),
            (Health::Dead { .. }, Health::Healthy) => {
                self.replan(now);
                Answer::none()
            }
            (_, Health::Dead { fault, .. }) => {
                self.last_time = None;
                self.forget_held();
                self.conditions.lost();
                Answer { readings: self.all_bad(fault), stamp: Stamp::Arrival }
            }
            (Health::Suspect(_) | Health::Dead { .. }, Health::Suspect(_)) => Answer::none(),
        }
    }

    /// A block is asked again at once, and if that fails too, in its next turn: a device that
    /// answers small reads alone must not be asked without a pause. True: not at once.
    fn fail(&mut self, place: usize, turn: Turn, now: u64) -> bool {
        let again = self.slots.get_mut(place).is_some_and(|slot| {
            slot.failed = !slot.failed;
            slot.failed
        });
        if !again {
            self.reschedule(place, turn, now);
        }
        !again
    }

    /// A block could not be read. What others need of it and will be asked for at once may still
    /// come.
    fn bad_block(&mut self, place: usize, fault: Fault, over: bool, now: u64) -> Answer {
        self.last_time = None;
        let Some(block) = self.slots.get(place).map(|slot| slot.block.clone()) else {
            return Answer::none();
        };
        let mut readings = Vec::new();
        for item in &block.items {
            if let Some(m) = self.places.points.get(item.mapping) {
                readings.push((m.point, Reading::Bad(fault)));
            } else if over {
                self.conditions.failed(item.mapping, fault);
            }
        }
        if over {
            readings.extend(self.release(&block, monotonic(now), now));
        }
        Answer { readings, stamp: Stamp::Arrival }
    }

    fn judge(&mut self, place: usize, turn: Turn, outcome: Outcome, now: u64) -> Answer {
        match outcome {
            Outcome::Exception(2 | 3) if self.halve(place, now) => Answer::none(),
            Outcome::Exception(code) => {
                self.reschedule(place, turn, now);
                self.refuse(place, code, now);
                self.bad_block(place, exception_fault(code), true, now)
            }
            Outcome::Data(payload) => {
                if let Some(slot) = self.slots.get_mut(place) {
                    slot.failed = false;
                }
                self.accepted(place, now);
                self.reschedule(place, turn, now);
                self.decode(place, turn, &payload, now)
            }
            Outcome::Timeout | Outcome::BadFrame | Outcome::Lost | Outcome::Unreachable => {
                Answer::none()
            }
        }
    }

    fn halve(&mut self, place: usize, now: u64) -> bool {
        let Some((low, high)) = self.slots.get(place).and_then(|slot| split(&slot.block)) else {
            return false;
        };
        let Some(whole) = self.slots.get(place) else { return false };
        let half = |block| {
            let mut half = Slot::new(block, &self.alarms, whole.due);
            (half.again, half.denied) = (whole.again, whole.denied);
            if whole.held.is_some() {
                half.ask_points(now);
            }
            half
        };
        let halves = [half(low), half(high)];
        self.slots.splice(place..=place, halves);
        self.readers = readers(&self.slots, &self.places);
        self.relearn_at.get_or_insert(now + RELEARN_MS);
        true
    }

    fn reschedule(&mut self, place: usize, turn: Turn, now: u64) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.again = None;
        if turn != Turn::Due {
            return;
        }
        let period = u64::from(slot.block.period_ms.max(1));
        slot.due += period;
        if slot.due <= now {
            let late = (now - slot.due) / period + 1;
            slot.due += late * period;
            self.missed += late;
        }
    }

    fn decode(&mut self, place: usize, turn: Turn, payload: &Payload, now: u64) -> Answer {
        let Some(block) = self.slots.get(place).map(|slot| &slot.block) else {
            return Answer::none();
        };
        let time = match payload {
            Payload::Words(words) => time_of(block, words),
            Payload::Bits(_) => None,
        };
        let stamp = match time {
            None | Some(0) => Stamp::Arrival,
            Some(time) => match self.source(time, payload, now) {
                Some(stamp) => stamp,
                None => return Answer::none(),
            },
        };
        let at = match stamp {
            Stamp::Arrival => monotonic(now),
            Stamp::Source { te, .. } => Moment::Source(te.0),
        };
        let mut readings = self.take_block(place, turn, payload, at, now);
        if time == Some(0) {
            doubt_time(&mut readings);
        }
        Answer { readings, stamp }
    }
}

fn monotonic(now: u64) -> Moment {
    Moment::Monotonic(i64::try_from(now).unwrap_or(i64::MAX))
}

/// The time is none of the device's: its clock was never set and says 0, or is wrong.
fn doubt_time(readings: &mut [(u32, Reading)]) {
    for (_, reading) in readings {
        *reading = match *reading {
            Reading::Good(value) => Reading::Uncertain(value, Doubt::EstimatedTime),
            Reading::Uncertain(..) | Reading::Bad(_) => *reading,
        };
    }
}

fn exception_fault(code: u8) -> Fault {
    match code {
        1 => Fault::IllegalFunction,
        2 => Fault::IllegalAddress,
        3 => Fault::IllegalValue,
        4 => Fault::DeviceFailure,
        5 | 6 => Fault::DeviceBusy,
        10 | 11 => Fault::PathUnavailable,
        _ => Fault::DeviceException,
    }
}

/// Exceptions 10 and 11 come from a converter on the way: the device itself is silent.
fn sign(outcome: &Outcome) -> Sign {
    match outcome {
        Outcome::Data(_) => Sign::Alive,
        Outcome::Exception(10 | 11) => Sign::Failed(Fault::PathUnavailable),
        Outcome::Exception(_) => Sign::Alive,
        Outcome::Timeout => Sign::Failed(Fault::Timeout),
        Outcome::BadFrame => Sign::Failed(Fault::BadFrame),
        Outcome::Lost => Sign::Failed(Fault::NotConnected),
        Outcome::Unreachable => Sign::Gone,
    }
}

fn step(health: Health, sign: Sign, now: u64) -> Health {
    let dead = |fault, wait_ms| Health::Dead { fault, probe_at: now + wait_ms, wait_ms };
    match (health, sign) {
        (Health::Healthy | Health::Suspect(_) | Health::Dead { .. }, Sign::Alive) => {
            Health::Healthy
        }
        (Health::Healthy, Sign::Failed(fault)) => Health::Suspect(fault),
        (Health::Suspect(_), Sign::Failed(fault)) => dead(fault, PROBE_FIRST_MS),
        (Health::Healthy | Health::Suspect(_), Sign::Gone) => {
            dead(Fault::NotConnected, PROBE_FIRST_MS)
        }
        (Health::Dead { wait_ms, .. }, Sign::Failed(fault)) => {
            dead(fault, (wait_ms * 2).min(PROBE_MAX_MS))
        }
        (Health::Dead { wait_ms, .. }, Sign::Gone) => {
            dead(Fault::NotConnected, (wait_ms * 2).min(PROBE_MAX_MS))
        }
    }
}

#[cfg(test)]
mod tests;
