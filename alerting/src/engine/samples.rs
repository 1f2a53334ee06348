//! One sample: impossible stamp, live or late (R1, R6), and the limit alarms of its point.

use fengsui_telemetry::{Lane, Reading, TimeMs};

use crate::condition::Step;
use crate::engine::transitions::Edge;
use crate::engine::{Engine, Out};
use crate::held::{Sample, Trust};
use crate::model::{AlarmId, Cause, Flags, GatewayRef, PointRef};
use crate::mutant::{Mutant, planted};

impl Engine {
    pub(crate) fn sample(
        &mut self,
        point: PointRef,
        te: TimeMs,
        reading: Reading,
        lane: Lane,
        out: &mut Out<'_>,
    ) {
        let index = point.0 as usize;
        let Some(state) = self.points.get(index) else { return };
        let rules = self.rules_of(state);
        if te > out.now + rules.max_future_ms {
            return self.sample_from_the_future(index, te, reading, lane, out);
        }
        let value = reading.value();
        let in_order = te.0 > state.newest && te.0 >= state.ticked;
        let live = match lane {
            Lane::Live => {
                let fresh = out.now.since(te) <= rules.live_ms;
                in_order && (fresh || planted(Mutant::LiveHoweverLate))
            }
            Lane::Backlog => false,
        };
        if !live {
            return self.late_sample(index, Sample::of(te.0, reading), lane, out);
        }
        if state.held.head().is_some_and(|head| head >= te.0) {
            // Only an estimated time stands before it: in its place, and nothing late about it.
            self.insert_live(index, Sample::of(te.0, reading), out);
            return self.feed(index, Sample::of(te.0, reading), out);
        }
        if te.0 < self.changed_until {
            self.new_limits_from(index, te.0);
        }
        let (keep, asked) = (self.keep, self.keep_asked);
        let Some(state) = self.points.get_mut(index) else { return };
        state.newest = te.0;
        let keep = state.keeps(keep, asked);
        state.held.push(Sample::of(te.0, reading), keep);
        let freshens = value.is_some();
        if freshens {
            state.fresh = te.0;
        }
        let (stale_on, fed) = (state.stale_on, state.feeds_count > 0);
        for place in state.places() {
            self.judge_in_order(index, place, te.0, value, out);
        }
        if fed {
            self.feed(index, Sample::of(te.0, reading), out);
        }
        if stale_on && freshens {
            self.maybe_fresh(index, te, out);
        }
    }

    /// A live sample that was on its way while limits changed is judged by the new ones: for its
    /// point they begin with it, so that judging again comes to the same.
    fn new_limits_from(&mut self, index: usize, te: i64) {
        let Some(state) = self.points.get(index) else { return };
        for place in state.places() {
            let Some(hot) = self.hot.get(place) else { continue };
            let alarm = self.alarms.get_mut(hot.alarm as usize);
            if let Some(story) = alarm.and_then(|alarm| alarm.story.as_mut()) {
                for (until, _) in &mut story.earlier {
                    *until = (*until).min(te);
                }
            }
        }
    }

    /// One limit alarm, one sample later than all before.
    #[inline]
    pub(crate) fn judge_in_order(
        &mut self,
        point: usize,
        place: usize,
        te: i64,
        value: Option<f64>,
        out: &mut Out<'_>,
    ) {
        let Some(hot) = self.hot.get_mut(place) else { return };
        if hot.judge.unmoved_by(&hot.rule, value) {
            return;
        }
        let step = hot.judge.step(&hot.rule, te, value);
        self.stepped(point, place, step, value, out);
    }

    fn stepped(
        &mut self,
        point: usize,
        place: usize,
        step: Step,
        value: Option<f64>,
        out: &mut Out<'_>,
    ) {
        let Some(hot) = self.hot.get(place) else { return };
        let (id, active) = (AlarmId(hot.alarm), hot.judge.active);
        if let Some(stretch) = step.ran {
            let horizon = self.horizon(id, out.now);
            self.story_mut(id).note_ran(stretch, horizon);
        }
        if let Some(te) = step.fired {
            let held = self.value_before(point);
            let came_on = if step.turned.is_some() { !active } else { active };
            self.edge(id, came_on, Edge { te, value: held, flags: Flags::default() }, out);
        }
        if let Some(te) = step.turned {
            self.edge(id, active, Edge { te, value, flags: Flags::default() }, out);
        }
        self.rearm(place);
    }

    pub(crate) fn edge(&mut self, id: AlarmId, on: bool, edge: Edge, out: &mut Out<'_>) {
        if on {
            self.come_on(id, edge, out);
        } else {
            self.come_off(id, edge, out);
        }
    }

    /// The number that was held before the newest sample.
    fn value_before(&self, point: usize) -> Option<f64> {
        let held = &self.points.get(point)?.held;
        held.iter().rev().skip(1).find_map(|sample| sample.value())
    }

    /// The number that is held now.
    pub(crate) fn value_now(&self, point: usize) -> Option<f64> {
        self.points.get(point)?.held.iter().rev().find_map(|sample| sample.value())
    }

    /// R6: the stamp lies ahead of our clock. The value is judged at the time it came; it moves no
    /// W and clears nothing while trusted samples are young (Q7). In a back-fill it is history.
    fn sample_from_the_future(
        &mut self,
        index: usize,
        te: TimeMs,
        reading: Reading,
        lane: Lane,
        out: &mut Out<'_>,
    ) {
        let flags = Flags { est_time: true, ..Flags::default() };
        self.note_sample(index, Cause::FutureStamp, te.0, flags, out);
        if let Some(gateway) = self.points.get(index).map(|state| GatewayRef(state.gateway)) {
            self.future_stamp(gateway, out);
        }
        let (Some(state), Some(value)) = (self.points.get_mut(index), reading.value()) else {
            return;
        };
        match lane {
            Lane::Live => {}
            Lane::Backlog => return,
        }
        state.fresh = state.fresh.max(out.now.0);
        if planted(Mutant::FutureMovesNewest) {
            state.newest = te.0;
        }
        let (newest, stale_on) = (state.newest, state.stale_on);
        let live_ms = self.points.get(index).map_or(0, |state| self.rules_of(state).live_ms);
        let young = out.now.0.saturating_sub(newest) < live_ms;
        let trust = if young { Trust::RaisesOnly } else { Trust::Number };
        self.insert_live(index, Sample::with_trust(out.now.0, trust, value), out);
        if stale_on {
            self.maybe_fresh(index, out.now, out);
        }
    }
}
