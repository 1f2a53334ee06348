//! Late samples on their way to judgement: held, settled, asked back from the store (R8).
//!
//! - A late sample of the live lane is a batch of one; those of the backlog wait for `Settle` or
//!   for quiet.
//! - Memory is bounded: of a long back-fill only the span is remembered, and the store is asked
//!   for the samples when it is settled.
//! - What lies beyond the late horizon, or before what an alarm remembers, is history only.

use fengsui_telemetry::{Lane, Reading, TimeMs};

use crate::condition::NEVER;
use crate::deadlines::Reason;
use crate::engine::settle::Lateness;
use crate::engine::{Engine, LatePart, Out, QUIET_MS};
use crate::held::Sample;
use crate::model::{Action, AlarmId, Cause, Flags, GatewayRef, PointRef};
use crate::mutant::{Mutant, planted};

/// Late samples held for one point. Of more, only the span is remembered.
const LATE_POINT_MAX: usize = 1_024;
/// At least this many for each, however many there are in all: those told last.
const LATE_POINT_FEW: usize = 16;
/// Late samples held for all points together: 8 MiB.
const LATE_TOTAL_MAX: usize = 524_288;
/// An answer that has not come by then was lost, or refused by a full queue: it is asked again.
pub(crate) const ASK_AGAIN_MS: i64 = 30_000;
/// After a restart what was asked before is asked again this soon.
pub(crate) const ASK_SOON_MS: i64 = 1_000;

impl Engine {
    /// A sample that R1 or its lane sends down the late path.
    pub(crate) fn late_sample(
        &mut self,
        index: usize,
        sample: Sample,
        lane: Lane,
        out: &mut Out<'_>,
    ) {
        let te = sample.te();
        let Some(state) = self.points.get_mut(index) else { return };
        let same = state.held.at(te).is_some_and(|known| known.meet(sample).is_none());
        if same {
            if lane == Lane::Live {
                self.note_sample(index, Cause::Duplicate, te, Flags::default(), out);
            }
            return;
        }
        let freshens = sample.value().is_some() && te > state.fresh;
        if freshens {
            state.fresh = te;
        }
        self.hold_late(index, sample, out.now);
        match lane {
            Lane::Live => {
                self.settle_point(index, out);
                if freshens {
                    self.maybe_fresh(index, TimeMs(te), out);
                }
            }
            Lane::Backlog => self.expect_quiet(index, out.now),
        }
    }

    fn hold_late(&mut self, index: usize, sample: Sample, now: TimeMs) {
        let Some(state) = self.points.get(index) else { return };
        let horizon = (now - self.rules_of(state).late_horizon_ms).0;
        let room = self.late_held < LATE_TOTAL_MAX;
        let Some(state) = self.points.get_mut(index) else { return };
        let te = sample.te();
        let part = state.late.get_or_insert_with(Box::default);
        if te < horizon && !planted(Mutant::NoHorizon) {
            part.beyond = Some(part.beyond.map_or(te, |beyond| beyond.min(te)));
            return;
        }
        part.earliest = part.earliest.min(te);
        part.latest = part.latest.max(te);
        part.grown = true;
        if (room && part.held.len() < LATE_POINT_MAX) || part.held.len() < LATE_POINT_FEW {
            part.held.push(sample);
            self.late_held += 1;
            return;
        }
        // The newest told replace the oldest told: the store may not have committed them yet
        // when it is asked.
        let oldest = part.told % part.held.len().max(1);
        if let Some(place) = part.held.get_mut(oldest) {
            *place = sample;
        }
        part.told += 1;
        part.dropped = true;
    }

    fn expect_quiet(&mut self, index: usize, now: TimeMs) {
        let Some(state) = self.points.get_mut(index) else { return };
        let gateway = GatewayRef(state.gateway);
        let listed = std::mem::replace(&mut state.late_listed, true);
        let Some(state) = self.gateway_mut(gateway) else { return };
        if !listed {
            state.late_points.push(u32::try_from(index).unwrap_or(u32::MAX));
        }
        state.late_at = now.0;
        if state.quiet_at.is_none() {
            let at = now + QUIET_MS;
            state.quiet_at = Some(at);
            self.deadlines.arm(at, Reason::Quiet(gateway));
        }
    }

    /// The quiet time may have passed.
    pub(crate) fn quiet(&mut self, gateway: GatewayRef, out: &mut Out<'_>) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        let due = TimeMs(state.late_at) + QUIET_MS;
        if due > out.now {
            state.quiet_at = Some(due);
            self.deadlines.arm(due, Reason::Quiet(gateway));
            return;
        }
        state.quiet_at = None;
        self.settle(gateway, out);
    }

    /// A back-fill has ended: judge every point that had part in it.
    pub(crate) fn settle(&mut self, gateway: GatewayRef, out: &mut Out<'_>) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        state.chimed = false;
        let mut points = std::mem::take(&mut state.late_points);
        if let Some(at) = state.quiet_at.take() {
            self.deadlines.disarm(at, Reason::Quiet(gateway));
        }
        points.sort_unstable();
        for point in points {
            if let Some(state) = self.points.get_mut(point as usize) {
                state.late_listed = false;
            }
            self.settle_point(point as usize, out);
        }
    }

    /// Judges one point's late samples, or asks for what is needed to judge them.
    fn settle_point(&mut self, index: usize, out: &mut Out<'_>) {
        let Some(state) = self.points.get_mut(index) else { return };
        let floor = state.held.floor();
        let Some(mut part) = state.late.take() else { return };
        if let Some(te) = part.beyond.take() {
            let flags = Flags { history: true, ..Flags::default() };
            self.note_sample(index, Cause::History, te, flags, out);
        }
        if part.earliest == i64::MAX {
            return;
        }
        let start = self.start_of(index, part.earliest);
        if part.recall.is_some() {
            // The answer is on its way; it will judge these as well.
        } else if start.is_none_or(|start| start >= floor) && !part.dropped {
            self.judge_late(index, &[], &part, Lateness::Late, out);
            return;
        } else {
            self.ask(index, start, &mut part, out);
        }
        if let Some(state) = self.points.get_mut(index) {
            state.late = Some(part);
        }
    }

    fn ask(&mut self, index: usize, start: Option<i64>, part: &mut LatePart, out: &mut Out<'_>) {
        let Some(state) = self.points.get(index) else { return };
        // Asked again: from a little earlier, so that the answer to the first question, if it
        // still comes, is not taken for the answer to this one.
        let before = part.recall.map_or(i64::MAX, |(from, _)| from.saturating_sub(1));
        let from = start.unwrap_or(part.earliest).min(before);
        let head = state.held.head().unwrap_or(i64::MIN);
        let to = part.latest.max(state.newest).max(head);
        let gateway = GatewayRef(state.gateway);
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        part.recall = Some((from, to));
        part.asked_at = out.now.0;
        part.grown = false;
        let action = Action::Recall { point: PointRef(number), from: TimeMs(from), to: TimeMs(to) };
        out.actions.push(action);
        self.expect_answer(gateway, number, out.now + ASK_AGAIN_MS);
    }

    fn expect_answer(&mut self, gateway: GatewayRef, point: u32, at: TimeMs) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        state.asking.insert(point);
        let known = state.ask_at;
        if known.is_none_or(|known| at < known) {
            state.ask_at = Some(at);
            known.into_iter().for_each(|at| self.deadlines.disarm(at, Reason::Ask(gateway)));
            self.deadlines.arm(at, Reason::Ask(gateway));
        }
    }

    /// Answers may be overdue.
    pub(crate) fn ask_overdue(&mut self, gateway: GatewayRef, out: &mut Out<'_>) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        state.ask_at = None;
        for point in std::mem::take(&mut state.asking) {
            let index = point as usize;
            let Some(state) = self.points.get_mut(index) else { continue };
            let Some(mut part) = state.late.take_if(|part| part.recall.is_some()) else {
                continue;
            };
            let due = part.asked_at.saturating_add(ASK_AGAIN_MS);
            if due <= out.now.0 {
                let start = self.start_of(index, part.earliest);
                self.ask(index, start, &mut part, out);
            } else {
                self.expect_answer(gateway, point, TimeMs(due));
            }
            if let Some(state) = self.points.get_mut(index) {
                state.late = Some(part);
            }
        }
    }

    /// What the store answered.
    pub(crate) fn history(
        &mut self,
        point: PointRef,
        from: TimeMs,
        samples: &[(TimeMs, Reading)],
        out: &mut Out<'_>,
    ) {
        let index = point.0 as usize;
        let Some(state) = self.points.get_mut(index) else { return };
        let Some(mut part) = state.late.take() else { return };
        let Some((asked, to)) = part.recall.filter(|(asked, _)| *asked == from.0) else {
            state.late = Some(part);
            return;
        };
        let forgotten = state.held.floor().saturating_sub(1) > to;
        let start = self.start_of(index, part.earliest);
        let reaches = start.is_none_or(|start| asked <= start) && !(part.grown && part.dropped);
        if forgotten || !reaches {
            // Something was dropped, or came, that the answer cannot hold.
            self.ask(index, start, &mut part, out);
            if let Some(state) = self.points.get_mut(index) {
                state.late = Some(part);
            }
            return;
        }
        part.recall = None;
        let wanted = samples.iter().filter(|(te, _)| asked <= te.0 && te.0 <= to);
        let mut stored: Vec<Sample> = wanted.map(|(te, r)| Sample::of(te.0, *r)).collect();
        stored.sort_by_key(|sample| sample.te());
        stored.dedup_by(|later, earlier| {
            let same = later.te() == earlier.te();
            if same {
                *earlier = *later;
            }
            same
        });
        self.judge_late(index, &stored, &part, Lateness::Late, out);
    }

    /// After a restart or a restore: what was asked is asked again, what waited for quiet waits
    /// again. Nothing is asked at once: a host that replays is not listening yet.
    pub(crate) fn resume_late(&mut self, now: Option<TimeMs>) {
        let past = TimeMs(self.last_tick);
        for index in 0..self.points.len() {
            let Some(state) = self.points.get_mut(index) else { return };
            let gateway = GatewayRef(state.gateway);
            let Some(part) = &mut state.late else { continue };
            if part.recall.is_some() {
                part.asked_at = i64::MIN;
                let at = now.map_or(past, |now| now + ASK_SOON_MS);
                self.expect_answer(gateway, u32::try_from(index).unwrap_or(u32::MAX), at);
            } else {
                self.expect_quiet(index, now.unwrap_or(past));
            }
        }
    }

    /// Where the recomputation of a point must start when samples from `from` on have changed;
    /// none for a point without limits.
    pub(crate) fn start_of(&self, index: usize, from: i64) -> Option<i64> {
        let places = self.points.get(index)?.places();
        places.filter_map(|place| self.start_of_alarm(place, from)).min()
    }

    pub(crate) fn start_of_alarm(&self, place: usize, from: i64) -> Option<i64> {
        let hot = self.hot.get(place)?;
        let just_before = from.saturating_sub(1);
        let past = self.story(AlarmId(hot.alarm)).map_or(just_before, |s| s.start_before(from));
        let runs = hot.judge.deadline != NEVER && hot.judge.since <= just_before;
        Some(if runs { past.min(hot.judge.since) } else { past })
    }
}
