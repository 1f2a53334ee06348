//! What gives way where the spool must shrink: a decision about rows, without a database.
//!
//! - The spool has four zones by age: the newest as it was measured, then one reading a point in
//!   ten seconds, in a minute, in ten minutes. The zone that holds most gives way at its old end,
//!   the oldest one to nothing. So an outage that is longer than the disk is kept whole, coarser
//!   the longer it is ago.
//! - Kept at every grain: changes of an alarm, the readings before and after them, each reading
//!   whose quality differs from the one before, and clock events. Only from the oldest zone they
//!   go, and last; changes of an alarm never.
//! - Each run of rows that goes is one Gap in its place: which points, from when to when, how many.
//! - Left out: extremes between two kept readings. They are gone, and the Gap says so.

use std::collections::{BTreeSet, HashMap};

use fengsui_telemetry::{Body, Gap, GapCause, Offset, Reading, Record, TimeMs};

/// One reading a point in so many ms is kept where raw, first and second zone give way.
pub(super) const GRAINS_MS: [i64; 3] = [10_000, 60_000, 600_000];
/// Zones by age: three that can become coarser, and one that can only go.
pub(super) const ZONES: usize = GRAINS_MS.len() + 1;
/// Points that a Gap names; where more are concerned it says "all", which is never too few.
const NAMED_MAX: usize = 32;
/// What a Gap costs, its row included: it replaces rows only where it saves this twice.
const GAP_COST: u64 = 110;

/// A row, as the plan looks at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) first: Offset,
    pub(super) end: Offset,
    pub(super) cost: u64,
    /// None: it is damaged, and not for us to touch.
    pub(super) record: Option<&'a Record>,
}

/// A Gap in the place of the rows from `first` up to `end`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) first: Offset,
    pub(super) end: Offset,
    /// Bytes of the rows that go.
    pub(super) cost: u64,
    /// How many of them are no Gaps already.
    pub(super) rows: u64,
    pub(super) gap: Gap,
}

/// What is still kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// One reading a point in so many ms.
    Every(i64),
    /// What an alarm needs.
    Alarms,
    /// Changes of an alarm alone.
    Nothing,
}

/// What stands before the rows of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Alarm,
    Other,
}

/// What comes after the rows of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    More,
    Nothing,
}

/// Which points were kept last, and with what quality: one memory for each grain, over all passes.
pub(super) type Memory = HashMap<u32, (i64, u8)>;

/// One pass over rows in order of their offsets.
#[derive(Debug)]
pub(super) struct Plan<'m> {
    grain: Grain,
    memory: &'m mut Memory,
    /// What goes as one.
    open: Option<Run>,
    /// The newest reading that may go: an alarm behind it would keep it.
    held: Option<Run>,
    after_alarm: bool,
    cuts: Vec<Cut>,
}

#[derive(Debug)]
struct Run {
    first: Offset,
    end: Offset,
    cost: u64,
    /// How many of them are no Gaps.
    rows: u64,
    from: TimeMs,
    to: TimeMs,
    /// None: all, or too many to name.
    points: Option<BTreeSet<u32>>,
}

impl Run {
    fn join(&mut self, next: Self) {
        (self.end, self.cost) = (next.end, self.cost.saturating_add(next.cost));
        self.rows += next.rows;
        (self.from, self.to) = (self.from.min(next.from), self.to.max(next.to));
        self.points = match (self.points.take(), next.points) {
            (Some(mut ours), Some(theirs)) => {
                ours.extend(theirs);
                (ours.len() <= NAMED_MAX).then_some(ours)
            }
            (None, _) | (_, None) => None,
        };
    }
}

impl<'m> Plan<'m> {
    /// After a row that was an alarm, or not.
    pub(super) fn new(grain: Grain, memory: &'m mut Memory, before: Before) -> Self {
        let after_alarm = before == Before::Alarm;
        Self { grain, memory, open: None, held: None, after_alarm, cuts: Vec::new() }
    }

    /// The next row.
    pub(super) fn meet(&mut self, row: Seen<'_>) {
        let Some(record) = row.record else { return self.keep() };
        match &record.body {
            Body::Scan(scan) => {
                let wanted = self.remembers_anew(record.te, &scan.readings);
                let after_alarm = std::mem::take(&mut self.after_alarm);
                if wanted || (after_alarm && self.grain != Grain::Nothing) {
                    self.keep();
                } else {
                    self.drop_held();
                    let few = scan.readings.len() <= NAMED_MAX;
                    let points = few.then(|| scan.readings.iter().map(|(index, _)| *index));
                    let points = points.map(Iterator::collect);
                    self.held = Some(Self::run(&row, (record.te, record.te), points, 1));
                }
            }
            Body::Transition(_) => {
                match self.grain {
                    Grain::Every(_) | Grain::Alarms => self.held = None,
                    Grain::Nothing => self.drop_held(),
                }
                self.close();
                self.after_alarm = true;
            }
            Body::Clock(_) => match self.grain {
                Grain::Every(_) => self.keep(),
                Grain::Alarms | Grain::Nothing => {
                    self.drop_held();
                    let run = Self::run(&row, (record.te, record.te), Some(BTreeSet::new()), 1);
                    self.add(run);
                }
            },
            Body::Gap(gap) => self.meet_gap(&row, gap),
        }
    }

    fn meet_gap(&mut self, row: &Seen<'_>, gap: &Gap) {
        let ours = match (gap.cause, self.grain) {
            (GapCause::Thinned, _) | (GapCause::SpoolFull, Grain::Alarms | Grain::Nothing) => true,
            (GapCause::SpoolFull, Grain::Every(_))
            | (GapCause::Corrupt | GapCause::QueueFull | GapCause::FreedBefore, _) => false,
        };
        if !ours {
            return self.keep();
        }
        self.drop_held();
        let points = gap.points.iter().copied().collect();
        let points = (!gap.points.is_empty()).then_some(points);
        self.add(Self::run(row, (gap.from, gap.to), points, 0));
    }

    /// What is to go, oldest first. Where more rows follow, the place of the reading that only
    /// they decide about.
    pub(super) fn end(mut self, follows: Follows) -> (Vec<Cut>, Option<Offset>) {
        let undecided = match follows {
            Follows::More => self.held.take().map(|run| run.first),
            Follows::Nothing => None,
        };
        self.keep();
        (self.cuts, undecided)
    }

    fn run(
        row: &Seen<'_>,
        (from, to): (TimeMs, TimeMs),
        points: Option<BTreeSet<u32>>,
        rows: u64,
    ) -> Run {
        Run { first: row.first, end: row.end, cost: row.cost, rows, from, to, points }
    }

    /// True where one of these is the first of its window, or says something else of its quality.
    fn remembers_anew(&mut self, te: TimeMs, readings: &[(u32, Reading)]) -> bool {
        let window = match self.grain {
            Grain::Every(ms) => te.0.div_euclid(ms),
            Grain::Alarms | Grain::Nothing => return false,
        };
        let mut anew = false;
        for (point, reading) in readings {
            let now = (window, reading.code());
            anew |= self.memory.insert(*point, now) != Some(now);
        }
        anew
    }

    /// This row stays, and ends what goes before it.
    fn keep(&mut self) {
        self.drop_held();
        self.close();
    }

    fn drop_held(&mut self) {
        if let Some(run) = self.held.take() {
            self.add(run);
        }
    }

    fn add(&mut self, run: Run) {
        match &mut self.open {
            Some(open) if open.end == run.first => open.join(run),
            Some(_) | None => {
                self.close();
                self.open = Some(run);
            }
        }
    }

    fn close(&mut self) {
        let Some(run) = self.open.take() else { return };
        let pays = match self.grain {
            Grain::Every(_) => run.cost >= 2 * GAP_COST,
            // A Gap for each second reading would be no less; here nothing else is left.
            Grain::Alarms | Grain::Nothing => true,
        };
        if run.rows == 0 || !pays {
            return;
        }
        let (cause, detail) = match self.grain {
            Grain::Every(ms) => {
                (GapCause::Thinned, format!("one reading a point in {} s is kept", ms / 1_000))
            }
            Grain::Alarms | Grain::Nothing => (GapCause::SpoolFull, "spool full".to_owned()),
        };
        let points = run.points.map_or_else(Vec::new, |points| points.into_iter().collect());
        let records = run.end - run.first;
        let gap = Gap { from: run.from, to: run.to, records, cause, points, detail };
        self.cuts.push(Cut { first: run.first, end: run.end, cost: run.cost, rows: run.rows, gap });
    }
}

/// The zones: where each begins, and about what it holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Zones {
    /// First offset of raw, first, second, third zone; each ends where the one before begins.
    start: [Offset; ZONES],
    bytes: [u64; ZONES],
    memory: [Memory; ZONES],
    /// Up to here even what alarms need has gone.
    bare: Offset,
}

/// What is to be done to the old end of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    zone: usize,
    /// Zones that it is to pass at once.
    through: usize,
    pub(super) from: Offset,
    pub(super) to: Offset,
    pub(super) grain: Grain,
}

impl Zones {
    /// A spool of which nothing is known: all of it as it was measured.
    pub(super) fn raw(oldest: Offset, bytes: u64) -> Self {
        let mut zones = Self { start: [oldest; ZONES], bare: oldest, ..Self::default() };
        zones.added(bytes);
        zones
    }

    /// So many bytes of new rows.
    pub(super) fn added(&mut self, bytes: u64) {
        if let Some(raw) = self.bytes.first_mut() {
            *raw = raw.saturating_add(bytes);
        }
    }

    /// Everything below is the centre's, or gone. The oldest zone is the first to lose it.
    pub(super) fn freed(&mut self, below: Offset, bytes: u64) {
        self.bare = below.max(self.bare);
        let mut left = bytes;
        for (start, held) in self.start.iter_mut().zip(&mut self.bytes).rev() {
            *start = below.max(*start);
            let taken = left.min(*held);
            (*held, left) = (*held - taken, left - taken);
        }
    }

    fn end(&self, zone: usize, next: Offset) -> Offset {
        let before = zone.checked_sub(1).and_then(|before| self.start.get(before));
        before.copied().unwrap_or(next)
    }

    fn step(&self, zone: usize, through: usize, next: Offset) -> Option<Step> {
        let (from, to) = (*self.start.get(zone)?, self.end(zone, next));
        let grain = GRAINS_MS.get(through).map_or(Grain::Alarms, |ms| Grain::Every(*ms));
        (from < to).then_some(Step { zone, through, from, to, grain })
    }

    /// The zone that holds most becomes coarser at its old end. None where all are empty.
    pub(super) fn coarsen(&self, next: Offset) -> Option<Step> {
        let steps = (0..ZONES).filter_map(|zone| self.step(zone, zone, next));
        let held = |step: &Step| self.bytes.get(step.zone).copied().unwrap_or(0);
        // The newest of those that are equal: rev, since max_by_key takes the last.
        steps.rev().max_by_key(held)
    }

    /// The oldest of all goes.
    pub(super) fn evict(&self, next: Offset) -> Option<Step> {
        (0..ZONES).rev().find_map(|zone| self.step(zone, ZONES - 1, next))
    }

    /// Where all zones are empty: what alarms need of telemetry goes as well.
    pub(super) fn strip(&self, next: Offset) -> Option<Step> {
        let from = self.bare;
        let step = Step { zone: ZONES, through: ZONES, from, to: next, grain: Grain::Nothing };
        (from < next).then_some(step)
    }

    /// What the points of a step were kept for last.
    pub(super) fn memory(&mut self, step: &Step) -> &mut Memory {
        let place = step.through.min(ZONES - 1);
        self.memory.get_mut(place).expect("a zone of this spool")
    }

    /// A step was done up to here, over rows of `before` bytes of which `after` are left.
    pub(super) fn stepped(&mut self, step: &Step, up_to: Offset, before: u64, after: u64) {
        if step.grain == Grain::Nothing {
            self.bare = up_to.max(self.bare);
        }
        for start in self.start.iter_mut().take(step.through + 1).skip(step.zone) {
            *start = up_to.max(*start);
        }
        if let Some(held) = self.bytes.get_mut(step.zone) {
            *held = held.saturating_sub(before);
        }
        if let Some(held) = self.bytes.get_mut(step.through + 1) {
            *held = held.saturating_add(after);
        }
        // What is estimated must not drift: an empty zone holds nothing.
        for (pair, held) in self.start.windows(2).zip(self.bytes.iter_mut().skip(1)) {
            if let [newer, own] = pair
                && own >= newer
            {
                *held = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests;
