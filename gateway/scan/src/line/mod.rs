//! One line, many devices: whose turn it is.
//!
//! - Reads that carry an alarm before orders ([`command`]), these before the other reads; among equals the one whose next turn is nearest.
//!   A line that is asked for more than it can carry starves telemetry, never alarms.
//! - No device gets more of the line for its alarm reads than its plan needs, as long as others wait
//!   for theirs ([`share`]).
//! - Dead devices together get at most a twentieth of the line's time ([`ration`]). A probe goes
//!   where it delays nobody if it can.
//! - Patience is learnt per device: three times the longest turnaround seen lately, never more than
//!   its `timeout_ms`; that long it is waited for before it is called dead. A dead device among
//!   living ones is mostly asked with the patience that it last needed, or its neighbours need; the
//!   first and every fourth probe waits the whole `timeout_ms`, for a device that has become slower.
//! - Where nobody lives, probes cost nobody anything and go as often as each device's growing pause
//!   says. The first answer has all the others asked at once.

mod command;
mod patience;
mod ration;
mod share;
mod worst;

pub use command::{COMMAND_PATIENCE_US, COMMANDS_MAX, Command, CommandTally};
pub use worst::{WorstCase, start_ms, worst_cases};

use crate::pdu::ReadRequest;
use crate::point_set::PointSet;
use crate::rtu::{OWED_US, RtuFault, Timing};
use crate::schedule::{Answer, Arrears, Class, Health, Offer, Outcome, Remembered, Scanner, Step};
use command::Commands;
use fengsui_telemetry::Fault;
use patience::Patience;
use ration::{DEAD_SHARE, Ration, is_alive};
use share::{Claim, Share};

/// Probes with the learnt patience between two that wait the whole `timeout_ms`.
const SHORT_PROBES: u8 = 3;
/// A device may fail, which takes two requests, without owing others their time: once in so long on
/// a line, and in the longest period of a point.
const PARDON_EVERY_MS: u64 = 60_000;
/// Longest sleep of a line.
const SLEEP_MAX_MS: u64 = 60_000;
/// How long nobody must have answered before a line is opened anew: every device was asked again
/// at least twice.
const SILENT_MS: u64 = 10_000;
/// How long a slave that answers no other length is not believed after its first question
/// ([`crate::rtu`]), and a little.
pub(super) const DOUBT_MS: u64 = OWED_US / 1_000 + 100;
/// How often it is then opened anew.
const REOPEN_MS: u64 = 30_000;

/// What the line does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ask this, then [`Line::answer`].
    Ask {
        /// Place of the device in the list that the line was made of.
        device: usize,
        /// Its address.
        unit: u8,
        /// What.
        request: ReadRequest,
        /// How long it may take before it answers.
        patience_us: u64,
    },
    /// Do this, then [`Line::obeyed`].
    Obey(Command),
    /// Nothing before this time, ms.
    Sleep(u64),
}

/// What came of a turn.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The outcome.
    pub outcome: Outcome,
    /// Why it is a bad frame.
    pub fault: Option<RtuFault>,
    /// What the device took beyond the time on the wire.
    pub turnaround_us: Option<u64>,
    /// How long the line was taken, with the silence after a fault.
    pub busy_us: u64,
    /// Bursts that nobody asked for.
    pub orphans: u32,
}

/// What a line has counted, for logs and health pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub asked: u64,
    /// Requests without an answer.
    pub timeouts: u64,
    /// Answers with a wrong CRC.
    pub crc_errors: u64,
    /// Other wrong answers.
    pub bad_frames: u64,
    /// Bursts that nobody asked for.
    pub orphans: u64,
    /// Time that the line was taken.
    pub busy_us: u64,
    /// The part of it that dead devices took.
    pub dead_us: u64,
    /// Longest from a scan's due time to its answer.
    pub latest_ms: u64,
}

#[derive(Clone, Debug)]
struct Lane {
    scanner: Scanner,
    patience: Patience,
    tally: Tally,
    /// Shifts its probes, so that devices that died together are not asked together.
    jitter: u64,
    /// What a probe takes on the wire.
    probe_wire_us: u64,
    /// Short probes since the last long one.
    shorts: u8,
    doubt: Doubt,
    share: Share,
    /// What it was read for last.
    last: Claim,
    /// Its failure, of which the next read decides, is none of its share.
    pardoned: bool,
}

/// Whether a slave is believed: after a start on a line that others may have used it must answer
/// another length first, and one that never does is dead until the doubt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Unasked,
    Until(u64),
    /// It is dead, and has not been asked since.
    Ended,
    Over,
}

impl Lane {
    /// How long to wait for a dead device if not its whole `timeout_ms`: what it needed when it
    /// lived, else what its neighbours need. Where nobody lives nobody is delayed.
    fn short_us(&self, neighbours_us: Option<u64>) -> u64 {
        let most_us = self.patience.most_us();
        let Some(neighbours_us) = neighbours_us else { return most_us };
        self.patience.pace_us().unwrap_or(neighbours_us).min(most_us)
    }

    /// What a probe takes if nobody answers: the wait, and as long again for a late answer.
    fn cost_us(&self, patience_us: u64) -> u64 {
        self.probe_wire_us + self.scanner.device().pause_us() + 2 * patience_us
    }

    /// What it is offered for, how much it may take, and by when it would be done; `own` is the
    /// deadline of its plan. Only alarm reads have a share.
    fn claim(&self, offer: &Offer, timing: &Timing) -> Option<Claim> {
        let patience_us = self.patience.most_us();
        let pause_us = self.scanner.device().pause_us();
        match offer {
            Offer::Read { class: Class::Alarm, deadline, request, period_ms, .. } => {
                let cost_us = pause_us + timing.exchange_us(*request) + patience_us;
                Some(Claim { period_ms: *period_ms, own: *deadline, cost_us })
            }
            Offer::Retry(Class::Alarm) if !self.pardoned => {
                let cost_us = pause_us + self.probe_wire_us + patience_us;
                Some(Claim { cost_us, ..self.last })
            }
            Offer::Read { .. } | Offer::Retry(_) | Offer::Probe { .. } | Offer::Nothing(_) => None,
        }
    }

    /// Takes what a turn took from its share. True: it failed and is pardoned, which it `may` be.
    fn settle(&mut self, (was, claim): (Health, Option<Claim>), busy_us: u64, may: bool) -> bool {
        let is = self.scanner.health();
        self.pardoned = may && was == Health::Healthy && is != Health::Healthy;
        if let Some(claim) = claim.filter(|_| !self.pardoned) {
            self.share.spend(claim.period_ms, busy_us);
        }
        if matches!((was, is), (Health::Dead { .. }, Health::Healthy)) {
            self.share.begin_anew();
            self.share.spend(self.last.period_ms, busy_us);
        }
        self.pardoned
    }
}

/// In the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Urgency {
    class: Class,
    deadline: u64,
}

/// The devices of one line.
#[derive(Clone, Debug)]
pub struct Line {
    timing: Timing,
    lanes: Vec<Lane>,
    commands: Commands,
    ration: Ration,
    turn: Option<Taken>,
    reopen_at: u64,
    pardon_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    lane: usize,
    probe: Option<Probe>,
    due: Option<u64>,
    claim: Option<Claim>,
}

/// How a dead device is asked.
#[derive(Clone, Copy, Debug)]
struct Probe {
    patience_us: u64,
    /// Others wait for it, or will.
    delays: bool,
}

impl Line {
    /// The scanners of one line, each told which points carry an alarm.
    #[must_use]
    pub fn new(timing: Timing, scanners: Vec<Scanner>, now: u64) -> Self {
        let lane = |(place, scanner): (usize, Scanner)| Lane {
            probe_wire_us: scanner.requests().first().map_or(0, |(ask, _)| {
                timing.exchange_us(ReadRequest { count: ask.count.min(4), ..*ask })
            }),
            patience: Patience::new(u64::from(scanner.device().timeout_ms) * 1_000),
            share: Share::of(&scanner, &timing),
            last: Claim::default(),
            pardoned: false,
            scanner,
            tally: Tally::default(),
            // A quarter of the wait at most, spread by the golden ratio.
            jitter: (u64::try_from(place).unwrap_or(0) * 618) % 1_000,
            shorts: SHORT_PROBES,
            doubt: Doubt::Over,
        };
        let lanes = scanners.into_iter().enumerate().map(lane).collect();
        let (commands, ration) = (Commands::default(), Ration::new(now));
        let (reopen_at, pardon_at) = (now + SILENT_MS, now);
        let mut line = Self { timing, lanes, commands, ration, turn: None, reopen_at, pardon_at };
        line.lend();
        line
    }

    /// The same, on a line that another program may have used just before.
    #[must_use]
    pub fn doubting(mut self) -> Self {
        for lane in &mut self.lanes {
            lane.doubt = Doubt::Unasked;
        }
        self
    }

    /// Asks the dead at once whose doubt has ended; when the next one ends.
    fn end_doubts(&mut self, now: u64) -> u64 {
        let mut next = u64::MAX;
        for lane in &mut self.lanes {
            match lane.doubt {
                Doubt::Until(at) if at <= now => {
                    lane.doubt = if is_alive(lane) { Doubt::Over } else { Doubt::Ended };
                    lane.scanner.probe_now(now);
                }
                Doubt::Until(at) if !is_alive(lane) => next = next.min(at),
                Doubt::Until(_) | Doubt::Unasked | Doubt::Ended | Doubt::Over => {}
            }
        }
        next
    }

    /// Whose turn it is.
    pub fn next(&mut self, now: u64) -> Turn {
        let doubt_ends = self.end_doubts(now);
        let neighbours_us = self.neighbours_us();
        let dead = self.lanes.iter().filter(|lane| !is_alive(lane));
        let most_us = dead.map(|lane| lane.cost_us(lane.short_us(neighbours_us))).max();
        self.ration.earn(now, most_us.unwrap_or(0));
        let mut best: Option<(Urgency, usize, Option<u64>)> = None;
        let mut wake = now + SLEEP_MAX_MS;
        for (place, lane) in self.lanes.iter_mut().enumerate() {
            let offer = lane.scanner.offer(now);
            let claim = lane.claim(&offer, &self.timing);
            let lent = claim.map(|claim| lane.share.deadline(claim, now));
            let (urgency, due) = match offer {
                Offer::Read { class, due, deadline, .. } => {
                    (Urgency { class, deadline: lent.unwrap_or(deadline) }, Some(due))
                }
                // At once: until then nobody knows whether the device is dead.
                Offer::Retry(class) => (Urgency { class, deadline: lent.unwrap_or(0) }, None),
                Offer::Nothing(until) => {
                    wake = wake.min(until);
                    continue;
                }
                Offer::Probe { .. } => continue,
            };
            if best.is_none_or(|(most, ..)| urgency < most) {
                best = Some((urgency, place, due));
            }
        }
        match self.commands.next(best.map(|(urgency, ..)| urgency.class), now) {
            Ok(command) => return Turn::Obey(command),
            Err(until) => wake = wake.min(until),
        }
        let (probe, probe_wake) = self.probe(now, (best.is_some(), wake), neighbours_us);
        match (probe, best) {
            (Some((place, probe)), _) => self.take(place, Some(probe), None, now),
            (None, Some((urgency, place, due))) => {
                if urgency.class == Class::Alarm {
                    self.commands.pass();
                }
                self.take(place, None, due, now)
            }
            (None, None) => Turn::Sleep(wake.min(probe_wake).min(doubt_ends).max(now + 1)),
        }
    }

    /// Something to do for an output. False: too much waits already, and it is not taken.
    pub fn order(&mut self, command: Command, now: u64) -> bool {
        self.commands.add(command, now)
    }

    /// An order to this unit was given, and took so long; whether the module answered.
    pub fn obeyed(&mut self, unit: u8, answered: bool, busy_us: u64, now: u64) {
        self.commands.obeyed(unit, answered, busy_us, now);
    }

    /// What was counted of orders.
    #[must_use]
    pub fn orders(&self) -> CommandTally {
        self.commands.tally
    }

    /// The dead device to ask now, and when there may be one. It waits for a gap in which it delays
    /// nobody, but no longer than it has waited already, and than the living must be spared.
    fn probe(
        &self,
        now: u64,
        (somebody_waits, next_due): (bool, u64),
        neighbours_us: Option<u64>,
    ) -> (Option<(usize, Probe)>, u64) {
        let (mut wake, mut found) = (u64::MAX, None);
        let mut earliest = u64::MAX;
        for (place, lane) in self.lanes.iter().enumerate() {
            let Offer::Probe { at, wait_ms } = lane.scanner.offer(now) else { continue };
            if lane.doubt == Doubt::Ended {
                // Once in a start, whoever it delays.
                let probe = Probe { patience_us: lane.patience.most_us(), delays: false };
                return (Some((place, probe)), now);
            }
            let at = at + wait_ms / 4 * lane.jitter / 1_000;
            let (short_us, long_us) = (lane.short_us(neighbours_us), lane.patience.most_us());
            // Where nobody lives nobody pays.
            let paid_at =
                neighbours_us.map_or(now, |_| self.ration.paid_at(lane.cost_us(short_us), now));
            if at > now || paid_at > now {
                wake = wake.min(at.max(paid_at));
                continue;
            }
            // From when on it may go, and whether somebody waits for it then.
            let may = |patience_us| {
                let cost_us = lane.cost_us(patience_us);
                match !somebody_waits && now + cost_us.div_ceil(1_000) <= next_due {
                    true => (now, false),
                    false => (self.ration.spared_at(cost_us, now).max(at + wait_ms), true),
                }
            };
            let (patience_us, (from, delays)) = match may(long_us) {
                long if lane.shorts >= SHORT_PROBES && long.0 <= now => (long_us, long),
                _ => (short_us, may(short_us)),
            };
            if from > now {
                wake = wake.min(from);
            } else if at < earliest {
                earliest = at;
                found = Some((place, Probe { patience_us, delays }));
            }
        }
        (found, wake)
    }

    /// What the slowest of the living needs: as much as there is where nobody knows yet, none where
    /// nobody lives.
    fn neighbours_us(&self) -> Option<u64> {
        let living = || self.lanes.iter().filter(|lane| is_alive(lane));
        living().next()?;
        Some(living().filter_map(|lane| lane.patience.pace_us()).max().unwrap_or(u64::MAX))
    }

    fn take(&mut self, place: usize, probe: Option<Probe>, due: Option<u64>, now: u64) -> Turn {
        let Some(lane) = self.lanes.get_mut(place) else { return Turn::Sleep(now + 1) };
        let claim = lane.claim(&lane.scanner.offer(now), &self.timing);
        match lane.scanner.next(now) {
            Step::Read(request) => {
                self.turn = Some(Taken { lane: place, probe, due, claim });
                if let Some(claim) = claim {
                    lane.share.begin(claim, now);
                    lane.last = claim;
                }
                lane.doubt = match lane.doubt {
                    Doubt::Unasked => Doubt::Until(now + DOUBT_MS),
                    Doubt::Ended => Doubt::Over,
                    Doubt::Until(_) | Doubt::Over => lane.doubt,
                };
                let unit = lane.scanner.device().unit;
                let patience_us = match (probe, lane.scanner.health()) {
                    (Some(probe), _) => probe.patience_us,
                    // The last question before it is dead: it may only have become slower.
                    (None, Health::Suspect(_)) => lane.patience.most_us(),
                    (None, Health::Healthy | Health::Dead { .. }) => lane.patience.now_us(),
                };
                lane.shorts = match probe {
                    Some(_) if patience_us < lane.patience.most_us() => {
                        lane.shorts.saturating_add(1)
                    }
                    Some(_) => 0,
                    None => SHORT_PROBES,
                };
                Turn::Ask { device: place, unit, request, patience_us }
            }
            Step::Sleep(until) => Turn::Sleep(until.clamp(now + 1, now + SLEEP_MAX_MS)),
        }
    }

    /// Takes what came of the turn that [`Line::next`] gave.
    pub fn answer(&mut self, heard: Heard, now: u64) -> Answer {
        let taken = self.turn.take().expect("an answer follows a turn");
        let nobody_lived = !self.lanes.iter().any(is_alive);
        let lane = self.lanes.get_mut(taken.lane).expect("lanes do not change");
        let tally = &mut lane.tally;
        tally.asked += 1;
        tally.orphans += u64::from(heard.orphans);
        tally.busy_us += heard.busy_us;
        match (&heard.outcome, &heard.fault) {
            (Outcome::Timeout, _) => tally.timeouts += 1,
            (Outcome::BadFrame, Some(RtuFault::Crc)) => tally.crc_errors += 1,
            (Outcome::BadFrame, _) => tally.bad_frames += 1,
            (
                Outcome::Data(_) | Outcome::Exception(_) | Outcome::Lost | Outcome::Unreachable,
                _,
            ) => {}
        }
        if let Some(due) = taken.due {
            tally.latest_ms = tally.latest_ms.max(now.saturating_sub(due));
        }
        lane.patience.learn(&heard.outcome, heard.turnaround_us);
        let (health, before) = (lane.scanner.health(), is_alive(lane));
        let answer = lane.scanner.answer(heard.outcome, now);
        let after = is_alive(lane);
        let pardoned = lane.settle((health, taken.claim), heard.busy_us, self.pardon_at <= now);
        // A probe that is answered was a living device's.
        if let Some(probe) = taken.probe.filter(|_| !after) {
            lane.tally.dead_us += heard.busy_us;
            if !nobody_lived {
                self.ration.spend(heard.busy_us, probe.delays, now);
            }
        }
        if pardoned {
            self.pardon_at = now + PARDON_EVERY_MS.max(self.longest_ms());
        }
        if before != after || taken.probe.is_some() {
            self.ration.reckon(&self.lanes, &self.timing);
        }
        if before && !after {
            self.ration.delayed(heard.busy_us, now);
        }
        if nobody_lived && after {
            // What silenced them all is over.
            for lane in self.lanes.iter_mut().filter(|lane| !is_alive(lane)) {
                lane.scanner.probe_now(now);
            }
        }
        answer
    }

    /// True where nobody answers any more, once in a while; to be asked after every answer: the port is then opened anew.
    pub fn wants_reopening(&mut self, now: u64) -> bool {
        let dead = |lane: &Lane| matches!(lane.scanner.health(), Health::Dead { .. });
        if self.lanes.is_empty() || !self.lanes.iter().all(dead) {
            self.reopen_at = now + SILENT_MS;
            return false;
        }
        if now < self.reopen_at {
            return false;
        }
        self.reopen_at = now + REOPEN_MS;
        true
    }

    /// How a device does.
    #[must_use]
    pub fn health(&self, device: usize) -> Option<Health> {
        self.lanes.get(device).map(|lane| lane.scanner.health())
    }

    /// Why nothing of a device can be read.
    #[must_use]
    pub fn fault(&self, device: usize) -> Option<Fault> {
        self.lanes.get(device).and_then(|lane| lane.scanner.fault())
    }

    /// The longest period of an alarm block.
    fn longest_ms(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.share.longest_ms()).max().unwrap_or(0)
    }

    fn lend(&mut self) {
        let most_ms = self.longest_ms();
        self.lanes.iter_mut().for_each(|lane| lane.share.lend_for(most_ms));
    }

    /// Other points carry an alarm from now on.
    pub fn set_alarms(&mut self, points: &PointSet) {
        for lane in &mut self.lanes {
            lane.scanner.set_alarms(points);
            let share = Share::of(&lane.scanner.afresh(points), &self.timing);
            lane.share = share.succeeding(&lane.share);
        }
        self.lend();
    }

    /// What a device is behind with.
    #[must_use]
    pub fn arrears(&self, device: usize, now: u64) -> Arrears {
        self.lanes.get(device).map(|lane| lane.scanner.arrears(now)).unwrap_or_default()
    }

    /// What the points of its devices said so far.
    pub fn into_memories(self) -> impl Iterator<Item = Remembered> {
        self.lanes.into_iter().filter_map(|lane| lane.scanner.into_memory())
    }

    /// What was counted of each device.
    pub fn tallies(&self) -> impl Iterator<Item = (&str, Tally)> {
        self.lanes.iter().map(|lane| (lane.scanner.device().name.as_str(), lane.tally))
    }

    /// Which scans are late is remembered no longer than one report.
    pub fn forget_latest(&mut self) {
        for lane in &mut self.lanes {
            lane.tally.latest_ms = 0;
        }
    }
}

#[cfg(test)]
mod tests;
