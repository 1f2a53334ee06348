//! What one device's points and auxiliary registers said so far.
//!
//! - Auxiliary registers stand behind the points in the list that is planned, so the plan reads
//!   them like points, and their blocks come first.
//! - A point whose auxiliary register has not been read yet says nothing; where that register
//!   cannot be read, or was read too long ago, the point is `Bad` with its reason.
//! - Where the register came in another reply than the point, both what it said before and what it
//!   said after count: order, divisor and unit must be the same, or nobody knows which of them the
//!   number was written in.
//! - An inhibited point moves no memory: neither its rate nor its rest is judged. So does one that
//!   could not be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use fengsui_telemetry::{Doubt, Fault, Reading};

use super::{Clause, Counter, Register, Rules, Verdict};
use crate::decode::{Raw, Scaling, judge, raw_of};
use crate::plan::AUXILIARY;
use crate::register::WordOrder;
use crate::site::{Form, Mapping};

/// Nine of ten readings may be lost while a value rests, over half of the time that it may rest.
const UNSEEN_PERIODS: i64 = 10;

/// The cells of one point or register in a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cells<'a> {
    Words(&'a [u16]),
    Bit(bool),
}

/// When something was said: by our monotonic clock, or by the device's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Monotonic(i64),
    Source(i64),
}

impl Moment {
    /// Milliseconds since then; none where the two clocks are not the same, or it went back.
    fn since(self, then: Self) -> Option<i64> {
        let ms = match (self, then) {
            (Self::Monotonic(now), Self::Monotonic(then))
            | (Self::Source(now), Self::Source(then)) => now.checked_sub(then)?,
            (Self::Monotonic(_), Self::Source(_)) | (Self::Source(_), Self::Monotonic(_)) => {
                return None;
            }
        };
        (ms >= 0).then_some(ms)
    }
}

/// What an auxiliary register said last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Seen {
    Never,
    Raw(Raw, Moment),
    Fault(Fault),
}

/// So many periods of a point, and a time-out, after it was read an auxiliary register says nothing
/// any more: like a scan that is overdue.
const STALE_PERIODS: i64 = 3;

/// Why a point has no reading.
enum No {
    /// An auxiliary register has not been read yet.
    Yet,
    /// An auxiliary register said one thing before the point was read and another after.
    Torn,
    Bad(Fault),
}

/// What came of a point that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Judged {
    Reading(Reading),
    /// Nothing yet: an auxiliary register has not been read.
    Nothing,
    /// Its registers changed their meaning while they were read.
    Torn,
}

/// When a point was read, and when it is judged; what its auxiliary registers said before, where
/// they came in another reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) read: Moment,
    pub(crate) judged: Moment,
    pub(crate) before: Option<&'a BTreeMap<usize, Seen>>,
}

impl Occasion<'_> {
    /// Registers and point in one reply.
    pub(crate) fn one(at: Moment) -> Self {
        Self { read: at, judged: at, before: None }
    }
}

/// How the auxiliary registers of a point say that it is to be understood.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sense {
    order: WordOrder,
    divisor: f64,
    doubt: Option<Doubt>,
}

/// What one point said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    last: Option<(Moment, f64)>,
    rest: Option<Rest>,
    failing: Option<Moment>,
    counted: Option<Counted>,
    beat: Option<(Moment, i128)>,
}

/// A value that does not move.
#[derive(Clone, Copy, Debug)]
struct Rest {
    value: f64,
    since: Moment,
    /// When it was seen last.
    seen: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Moment,
    raw: i128,
    total: i128,
}

/// The memory of one device.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    points: usize,
    timeout_ms: u32,
    registers: BTreeMap<Register, usize>,
    seen: Vec<Seen>,
    /// What each register said when it could be read last.
    read: Vec<Seen>,
    memory: BTreeMap<usize, Memory>,
}

impl Conditions {
    /// Of the points of a device; and the auxiliary registers that are to stand behind them.
    pub(crate) fn new(mappings: &[Mapping], timeout_ms: u32) -> (Self, Vec<Mapping>) {
        let points = mappings.len();
        let (registers, auxiliary) = auxiliaries(mappings);
        let seen = vec![Seen::Never; registers.len()];
        let (read, memory) = (seen.clone(), BTreeMap::new());
        (Self { points, timeout_ms, registers, seen, read, memory }, auxiliary)
    }

    /// What each point said so far.
    pub(crate) fn memories(self) -> BTreeMap<usize, Memory> {
        self.memory
    }

    /// What a point said under another configuration.
    pub(crate) fn recall(&mut self, place: usize, memory: Memory) {
        self.memory.insert(place, memory);
    }

    /// The places of the auxiliary registers that a point needs.
    pub(crate) fn needed_by(&self, mapping: &Mapping) -> impl Iterator<Item = usize> {
        let registers = mapping.rules.iter().flat_map(|rules| rules.registers());
        registers.filter_map(|register| Some(self.points + self.registers.get(&register)?))
    }

    fn seen_at(&mut self, place: usize, what: Seen) {
        let slot = place.checked_sub(self.points).and_then(|place| self.seen.get_mut(place));
        if let Some(slot) = slot {
            *slot = what;
        }
    }

    /// Takes an auxiliary register from a reply.
    pub(crate) fn learn(
        &mut self,
        place: usize,
        mapping: &Mapping,
        cells: Option<Cells<'_>>,
        at: Moment,
    ) {
        let raw = match cells {
            Some(Cells::Words(words)) => raw_of(mapping, mapping.order, words),
            Some(Cells::Bit(bit)) => Ok(Raw::Whole(i128::from(bit))),
            None => Err(Fault::BadFrame),
        };
        let seen = raw.map_or_else(Seen::Fault, |raw| Seen::Raw(raw, at));
        self.seen_at(place, seen);
        let read = place.checked_sub(self.points).and_then(|place| self.read.get_mut(place));
        if let Some(read) = read {
            *read = seen;
        }
    }

    /// A point or an auxiliary register could not be read.
    pub(crate) fn failed(&mut self, place: usize, fault: Fault) {
        self.seen_at(place, Seen::Fault(fault));
    }

    /// The device does not answer: what it said before says nothing of what comes after.
    pub(crate) fn lost(&mut self) {
        self.seen.fill(Seen::Never);
        self.read.fill(Seen::Never);
        for memory in self.memory.values_mut() {
            memory.rest = None;
            memory.beat = None;
        }
    }

    /// What the auxiliary registers of these points said so far, for [`Occasion::before`]. One that
    /// could not be read last says what it said before that: a device that is busy at every other
    /// read is no device without values. What it said longer ago than a register may stay unread is
    /// no word about this value.
    pub(crate) fn said_for<'a>(
        &self,
        points: impl Iterator<Item = &'a Mapping>,
        at: Moment,
    ) -> BTreeMap<usize, Seen> {
        let mut said = BTreeMap::new();
        for mapping in points {
            for place in self.needed_by(mapping) {
                let Some(read) = self.read.get(place - self.points) else { continue };
                let old = self.is_stale(read, mapping, at);
                said.insert(place, if old { Seen::Fault(Fault::NotRefreshed) } else { *read });
            }
        }
        said
    }

    /// The reading of a point.
    pub(crate) fn reading(
        &mut self,
        place: usize,
        mapping: &Mapping,
        cells: Option<Cells<'_>>,
        on: Occasion<'_>,
    ) -> Judged {
        let Some(cells) = cells else { return Judged::Reading(Reading::Bad(Fault::BadFrame)) };
        let Some(rules) = &mapping.rules else {
            return Judged::Reading(match cells {
                Cells::Words(words) => raw_of(mapping, mapping.order, words)
                    .map_or_else(Reading::Bad, |raw| judge(mapping, raw, 1.0)),
                Cells::Bit(bit) => judge(mapping, Raw::Whole(i128::from(bit)), 1.0),
            });
        };
        let mut memory = self.memory.remove(&place).unwrap_or_default();
        let found = self.judge(mapping, rules, cells, &mut memory, on);
        self.memory.insert(place, memory);
        match found {
            Ok(reading) => Judged::Reading(reading),
            Err(No::Bad(fault)) => Judged::Reading(Reading::Bad(fault)),
            Err(No::Yet) => Judged::Nothing,
            Err(No::Torn) => Judged::Torn,
        }
    }

    fn judge(
        &self,
        mapping: &Mapping,
        rules: &Rules,
        cells: Cells<'_>,
        memory: &mut Memory,
        on: Occasion<'_>,
    ) -> Result<Reading, No> {
        self.fresh(mapping, on.judged)?;
        let Sense { order, divisor, doubt } = self.sense(mapping, rules, on.before)?;
        self.heartbeat(rules, memory, on.judged)?;
        let at = on.read;
        let raw = match cells {
            Cells::Words(words) => raw_of(mapping, order, words).map_err(No::Bad)?,
            Cells::Bit(bit) => Raw::Whole(i128::from(bit)),
        };
        let (raw, counted) = match (rules.counter, raw) {
            (Some(counter), Raw::Whole(whole)) => {
                let (total, doubt) = count(&counter, whole, &mut memory.counted, at);
                (Raw::Whole(total), doubt)
            }
            (Some(_) | None, raw) => (raw, None),
        };
        let reading = memory.persisting(judge(mapping, raw, divisor), rules, at);
        let Some(value) = reading.value() else { return Ok(reading) };
        let frozen = memory.frozen(rules, value, at, i64::from(mapping.period_ms));
        let fast = memory.too_fast(rules, value, at);
        memory.last = Some((at, value));
        let doubts = [doubt, counted, frozen, fast];
        Ok(doubts.into_iter().flatten().fold(reading, with_doubt))
    }

    /// What is said now counts where it is a fault; where it is none, nothing else may have been
    /// said before.
    fn sense(
        &self,
        mapping: &Mapping,
        rules: &Rules,
        before: Option<&BTreeMap<usize, Seen>>,
    ) -> Result<Sense, No> {
        let now = self.sense_of(None, mapping, rules)?;
        let Some(before) = before else { return Ok(now) };
        match self.sense_of(Some(before), mapping, rules) {
            Ok(then) if (then.order, then.divisor) == (now.order, now.divisor) => {
                Ok(Sense { doubt: now.doubt.or(then.doubt), ..now })
            }
            Ok(_) | Err(_) => Err(No::Torn),
        }
    }

    fn sense_of(
        &self,
        before: Option<&BTreeMap<usize, Seen>>,
        mapping: &Mapping,
        rules: &Rules,
    ) -> Result<Sense, No> {
        let said = Said { conditions: self, before };
        let order = said.order(mapping, rules)?;
        let divisor = said.divisor(rules)?;
        let doubt = said.status(rules)?;
        said.unit(rules)?;
        Ok(Sense { order, divisor, doubt })
    }

    /// What was said long ago, or by another clock, says nothing of the value that is here now.
    fn fresh(&self, mapping: &Mapping, at: Moment) -> Result<(), No> {
        let is_stale = |place: usize| {
            self.seen.get(place - self.points).is_some_and(|seen| self.is_stale(seen, mapping, at))
        };
        if self.needed_by(mapping).any(is_stale) {
            Err(No::Bad(Fault::NotRefreshed))
        } else {
            Ok(())
        }
    }

    fn is_stale(&self, seen: &Seen, mapping: &Mapping, at: Moment) -> bool {
        let most = STALE_PERIODS * i64::from(mapping.period_ms) + i64::from(self.timeout_ms);
        match seen {
            Seen::Raw(_, then) => at.since(*then).is_none_or(|ms| ms > most),
            Seen::Never | Seen::Fault(_) => false,
        }
    }

    fn heartbeat(&self, rules: &Rules, memory: &mut Memory, at: Moment) -> Result<(), No> {
        let Some(heartbeat) = &rules.heartbeat else { return Ok(()) };
        let word = Said { conditions: self, before: None }.whole(heartbeat.at)?;
        let beat = heartbeat.bits.map_or(word, |bits| bits.of(word));
        match memory.beat.and_then(|(then, last)| Some((last, at.since(then)?))) {
            Some((last, still)) if last == beat && still > heartbeat.within_ms => {
                Err(No::Bad(Fault::NotRefreshed))
            }
            Some((last, _)) if last == beat => Ok(()),
            Some(_) | None => {
                memory.beat = Some((at, beat));
                Ok(())
            }
        }
    }
}

/// What the auxiliary registers said at some time.
#[derive(Clone, Copy)]
struct Said<'a> {
    conditions: &'a Conditions,
    /// Then; none: now.
    before: Option<&'a BTreeMap<usize, Seen>>,
}

impl Said<'_> {
    fn raw(self, register: Register) -> Result<Raw, No> {
        let Conditions { points, registers, seen, .. } = self.conditions;
        let said = registers.get(&register).and_then(|place| match self.before {
            Some(before) => before.get(&(points + place)),
            None => seen.get(*place),
        });
        match said {
            Some(Seen::Raw(raw, _)) => Ok(*raw),
            Some(Seen::Fault(fault)) => Err(No::Bad(*fault)),
            Some(Seen::Never) | None => Err(No::Yet),
        }
    }

    fn whole(self, register: Register) -> Result<i128, No> {
        match self.raw(register)? {
            Raw::Whole(whole) => Ok(whole),
            Raw::Float(_) => Err(No::Bad(Fault::Undecodable)),
        }
    }

    fn order(self, mapping: &Mapping, rules: &Rules) -> Result<WordOrder, No> {
        let Some(by) = &rules.order_by else { return Ok(mapping.order) };
        let code = self.whole(by.at)?;
        let order = by.orders.iter().find(|(number, _)| *number == code);
        order.map(|(_, order)| *order).ok_or(No::Bad(Fault::Undecodable))
    }

    /// A divisor of 0 is the word of an instrument that is not ready.
    fn divisor(self, rules: &Rules) -> Result<f64, No> {
        let Some(register) = rules.divisor else { return Ok(1.0) };
        let plain = Scaling::new(1.0, 0.0).ok_or(No::Bad(Fault::Undecodable))?;
        let divisor = plain.apply(self.raw(register)?);
        if divisor == 0.0 || !divisor.is_finite() {
            return Err(No::Bad(Fault::Undecodable));
        }
        Ok(divisor)
    }

    fn unit(self, rules: &Rules) -> Result<(), No> {
        let Some(unit) = &rules.unit_code else { return Ok(()) };
        let code = self.whole(unit.at)?;
        if unit.expected.contains(&code) { Ok(()) } else { Err(No::Bad(Fault::WrongUnit)) }
    }

    fn status(self, rules: &Rules) -> Result<Option<Doubt>, No> {
        let mut doubt = None;
        for status in &rules.statuses {
            let word = self.whole(status.at)?;
            for clause in status.clauses.iter().filter(|clause| clause.holds(word)) {
                match clause.verdict {
                    Verdict::Bad(fault) => return Err(No::Bad(fault)),
                    Verdict::Doubt(found) => doubt = doubt.or(Some(found)),
                }
            }
        }
        Ok(doubt)
    }
}

impl Clause {
    fn holds(&self, word: i128) -> bool {
        let found = self.bits.map_or(word, |bits| bits.of(word));
        (found == self.number) == self.equal
    }
}

impl Memory {
    /// A current that failed is out of range first, and a broken wire once that has lasted.
    fn persisting(&mut self, reading: Reading, rules: &Rules, at: Moment) -> Reading {
        let Some(current) = rules.current_loop else { return reading };
        if reading != Reading::Bad(Fault::WireBreak) {
            self.failing = None;
            return reading;
        }
        let since = *self.failing.get_or_insert(at);
        match at.since(since) {
            Some(ms) if ms >= current.fail_ms => reading,
            Some(_) => Reading::Bad(Fault::OutOfRange),
            None => {
                self.failing = Some(at);
                Reading::Bad(Fault::OutOfRange)
            }
        }
    }

    /// A rest goes on over readings that were lost here and there; what nobody saw for long is no
    /// rest.
    fn frozen(&mut self, rules: &Rules, value: f64, at: Moment, period_ms: i64) -> Option<Doubt> {
        let frozen = rules.frozen?;
        let unseen_ms = (UNSEEN_PERIODS * period_ms).min(frozen.after_ms / 2).max(2 * period_ms);
        let rested = self.rest.as_mut().filter(|rest| {
            (value - rest.value).abs() <= frozen.within
                && at.since(rest.seen).is_some_and(|ms| ms <= unseen_ms)
        });
        match rested {
            Some(rest) => {
                rest.seen = at;
                at.since(rest.since).filter(|ms| *ms >= frozen.after_ms).map(|_| Doubt::Frozen)
            }
            None => {
                self.rest = Some(Rest { value, since: at, seen: at });
                None
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of some years are exact")]
    fn too_fast(&self, rules: &Rules, value: f64, at: Moment) -> Option<Doubt> {
        let most = rules.rate_max?;
        let (then, before) = self.last?;
        let ms = at.since(then).filter(|ms| *ms > 0)?;
        ((value - before).abs() * 1_000.0 > most * ms as f64).then_some(Doubt::TooFast)
    }
}

/// The running total. A wrap goes on counting; after a restart of the device what it counted since
/// is added, and a doubt says that something may be missing. Whatever else happens the total
/// stands still: there is never a jump.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the most that can be counted is an estimate, and saturates"
)]
fn count(
    counter: &Counter,
    raw: i128,
    counted: &mut Option<Counted>,
    at: Moment,
) -> (i128, Option<Doubt>) {
    let anew = Some(Doubt::CountRestarted);
    let Some(before) = *counted else {
        *counted = Some(Counted { at, raw, total: raw });
        return (raw, anew);
    };
    let elapsed = at.since(before.at);
    let most = elapsed.map(|ms| (counter.per_s * ms as f64 / 1_000.0).ceil() as i128 + 1);
    let forward = (raw - before.raw).rem_euclid(counter.modulus);
    let (step, doubt) = match most {
        // So long that it may have wrapped more than once.
        Some(most) if most >= counter.modulus => (forward, anew),
        Some(most) if forward <= most => (forward, None),
        Some(most) if raw < before.raw && raw <= most => (raw, anew),
        Some(_) | None => (0, anew),
    };
    let total = before.total.saturating_add(step);
    *counted = Some(Counted { at, raw, total });
    (total, doubt)
}

/// The first doubt counts.
fn with_doubt(reading: Reading, doubt: Doubt) -> Reading {
    match reading {
        Reading::Good(value) => Reading::Uncertain(value, doubt),
        Reading::Uncertain(..) | Reading::Bad(_) => reading,
    }
}

/// One mapping a register, as often as the fastest point that needs it.
fn auxiliaries(mappings: &[Mapping]) -> (BTreeMap<Register, usize>, Vec<Mapping>) {
    let mut needed: BTreeMap<Register, (u32, usize, usize)> = BTreeMap::new();
    for mapping in mappings {
        let registers = mapping.rules.iter().flat_map(|rules| rules.registers());
        for register in registers {
            let first = (mapping.period_ms, mapping.device, mapping.row);
            let entry = needed.entry(register).or_insert(first);
            entry.0 = entry.0.min(mapping.period_ms);
        }
    }
    let (mut places, mut found) = (BTreeMap::new(), Vec::new());
    for (place, (register, (period_ms, device, row))) in needed.into_iter().enumerate() {
        places.insert(register, place);
        found.extend(register.mapping(device, period_ms, row));
    }
    (places, found)
}

impl Register {
    /// As something that can be planned. It is no point: its index names none.
    pub(crate) fn mapping(self, device: usize, period_ms: u32, row: usize) -> Option<Mapping> {
        let form = Form {
            encoding: self.encoding,
            order: self.order,
            scaling: Arc::new(Scaling::new(1.0, 0.0)?),
            sentinels: Arc::default(),
            low: f64::MIN,
            high: f64::MAX,
            period_ms,
            rules: None,
        };
        let Self { function, address, .. } = self;
        Some(Mapping { point: AUXILIARY, function, address, device, row, form: Arc::new(form) })
    }
}
