//! Derived alarms: fed with samples and edges, judged in event time through the same rule, life
//! cycle and settlement as plain limits.
//!
//! - Occurrences depend on the samples alone, whatever their order of arrival: a time that was
//!   judged too early is judged again, from a state that is known.
//! - An expression over alarms follows their occurrences, corrections included. STALE, OFFLINE and
//!   CLOCK live in processing time, and so does what is built on them.

use crate::condition::NEVER;
use crate::deadlines::Reason;
use crate::derived::{View, describe, value_at};
use crate::engine::settle::{Lateness, Window};
use crate::engine::{Engine, LatePart, Out};
use crate::held::Sample;
use crate::model::{AlarmId, Subject};
use crate::signal::{Gather, times_between};
use crate::story::Story;
use fengsui_telemetry::TimeMs;

impl Engine {
    /// The derived alarm at a place among the limit alarms.
    pub(crate) fn signal_at(&self, place: usize) -> Option<usize> {
        place.checked_sub(self.plain).filter(|n| *n < self.signals.len())
    }

    pub(crate) fn signal_of(&self, id: AlarmId) -> Option<usize> {
        self.signal_at(self.alarms.get(id.0 as usize)?.hot as usize)
    }

    /// The derived alarms that look at a point, each with the place of the point in it.
    fn fed_by(&self, index: usize) -> std::ops::Range<usize> {
        let Some(point) = self.points.get(index) else { return 0..0 };
        let first = point.feeds_first as usize;
        first..first + point.feeds_count as usize
    }

    /// A sample of the live lane.
    pub(crate) fn feed(&mut self, index: usize, sample: Sample, out: &mut Out<'_>) {
        for at in self.fed_by(index) {
            let Some((n, input)) = self.feeds.get(at).copied() else { return };
            let Some(signal) = self.signals.get_mut(n) else { return };
            if !signal.take(input, sample) {
                self.want(n, (sample.te(), sample.te()), out);
            }
            self.judge_signal(n, out);
        }
    }

    /// Late samples of a point have been judged, or are judged now.
    pub(crate) fn feed_late(&mut self, index: usize, part: &LatePart, out: &mut Out<'_>) {
        for at in self.fed_by(index) {
            let Some((n, input)) = self.feeds.get(at).copied() else { return };
            let mut missing = part.dropped.then_some(part.earliest);
            let Some(signal) = self.signals.get_mut(n) else { return };
            signal.late = true;
            for sample in &part.held {
                if !signal.take(input, *sample) {
                    missing = Some(missing.map_or(sample.te(), |te| te.min(sample.te())));
                }
            }
            if let Some(te) = missing {
                self.want(n, (te, part.latest), out);
            }
            self.judge_signal(n, out);
        }
    }

    /// Something about the occurrences of an alarm has changed from this time on.
    pub(crate) fn touch(&mut self, id: AlarmId, te: i64, late: bool) {
        if self.watched.contains(&id) {
            self.touched.push((id, te, late));
        }
    }

    /// Lets expressions follow the alarms that have changed. The plan has no circles.
    pub(crate) fn follow_alarms(&mut self, out: &mut Out<'_>) {
        while let Some((id, te, late)) = self.touched.pop() {
            for n in 0..self.signals.len() {
                let Some(signal) = self.signals.get_mut(n) else { break };
                if signal.alarms.contains(&id) {
                    signal.mark(te);
                    signal.late |= late;
                    self.judge_signal(n, out);
                }
            }
            self.follow_parent(id, te, out);
        }
    }

    /// Judges what may be judged; what may not waits for its inputs or for a tick.
    pub(crate) fn judge_signal(&mut self, n: usize, out: &mut Out<'_>) {
        let Some(signal) = self.signals.get(n) else { return };
        let Some(from) = signal.pending else { return };
        let trusted = self.trusted_by(signal.alarm);
        let up_to = signal.frontier().max(trusted).max(signal.judged_to);
        if from <= up_to {
            let in_order = from > signal.judged_to && from >= signal.ticked;
            if in_order && signal.reaches(from) {
                self.judge_onward(n, from, up_to, out);
            } else {
                self.judge_again(n, from, up_to, out);
            }
            self.put_off(n, up_to);
        }
        self.rearm_signal(n);
    }

    /// What is left lies after `up_to`.
    pub(crate) fn put_off(&mut self, n: usize, up_to: i64) {
        let edges = self.edges_of(n);
        let Some(signal) = self.signals.get_mut(n) else { return };
        let after = |list: &[Sample]| {
            let next = list.partition_point(|sample| sample.te() <= up_to);
            list.get(next).map(|sample| sample.te())
        };
        let lists = signal.inputs.iter_mut().map(|input| input.held.slice());
        let points = lists.filter_map(&after).min();
        let alarms = edges.iter().filter_map(|list| after(list)).min();
        signal.pending = points.into_iter().chain(alarms).min();
        signal.late = false;
    }

    /// Edges of the alarms that it looks at.
    fn edges_of(&self, n: usize) -> Vec<Vec<Sample>> {
        let Some(signal) = self.signals.get(n) else { return Vec::new() };
        signal.alarms.iter().map(|id| edges(self.story(*id))).collect()
    }

    /// Times later than all before, one step each.
    fn judge_onward(&mut self, n: usize, from: i64, up_to: i64, out: &mut Out<'_>) {
        let edges = self.edges_of(n);
        let Some(signal) = self.signals.get_mut(n) else { return };
        let (place, derived, alarm) =
            (signal.place, std::sync::Arc::clone(&signal.derived), signal.alarm);
        let points: Vec<&[Sample]> =
            signal.inputs.iter_mut().map(|input| input.held.slice()).collect();
        let view = View { points, alarms: edges.iter().map(Vec::as_slice).collect() };
        let lists: Vec<&[Sample]> = view.points.iter().chain(&view.alarms).copied().collect();
        let times = times_between(&lists, from, up_to);
        let values: Vec<_> =
            times.into_iter().map(|te| (te, value_at(&derived, &view, te))).collect();
        let index = match self.spec(alarm).subject {
            Subject::Point(point) => point.0 as usize,
            Subject::Gateway(_) => return,
        };
        for (te, value) in values {
            if let Some(signal) = self.signals.get_mut(n) {
                signal.judged_to = te;
            }
            self.judge_in_order(index, place, te, value, out);
        }
    }

    /// Times that were judged before, from a state that is known.
    fn judge_again(&mut self, n: usize, from: i64, up_to: i64, out: &mut Out<'_>) {
        let Some(signal) = self.signals.get(n) else { return };
        let Some(start) = self.start_of_alarm(signal.place, from) else { return };
        let known_from = self.story(signal.alarm).map_or(i64::MIN, |story| story.known_from);
        if start < known_from.max(signal.known_from) {
            // Too old to judge; what came after it is judged as it comes.
            return self.go_on_from(n, up_to, out);
        }
        if !signal.reaches(start) {
            self.want(n, (from, from), out);
            return self.go_on_from(n, up_to, out);
        }
        let Some(signal) = self.signals.get_mut(n) else { return };
        let points: Vec<Vec<Sample>> =
            signal.inputs.iter_mut().map(|input| input.held.slice().to_vec()).collect();
        self.judge_over(n, start, up_to, &points, out);
    }

    /// Leaves alone what lies behind and judges what is new.
    fn go_on_from(&mut self, n: usize, up_to: i64, out: &mut Out<'_>) {
        let Some(signal) = self.signals.get(n) else { return };
        let from = signal.judged_to.saturating_add(1).max(signal.ticked);
        if from <= up_to {
            self.judge_onward(n, from, up_to, out);
        }
    }

    /// Judges `[start, up_to]` anew over these samples.
    pub(crate) fn judge_over(
        &mut self,
        n: usize,
        start: i64,
        up_to: i64,
        points: &[Vec<Sample>],
        out: &mut Out<'_>,
    ) {
        let edges = self.edges_of(n);
        let Some(signal) = self.signals.get(n) else { return };
        let (place, id) = (signal.place, signal.alarm);
        let lateness = if signal.late { Lateness::Late } else { Lateness::InOrder };
        let view = View {
            points: points.iter().map(Vec::as_slice).collect(),
            alarms: edges.iter().map(Vec::as_slice).collect(),
        };
        let lists: Vec<&[Sample]> = view.points.iter().chain(&view.alarms).copied().collect();
        let times = times_between(&lists, start, up_to);
        let derived = &signal.derived;
        let samples: Vec<Sample> =
            times.into_iter().map(|te| Sample::new(te, value_at(derived, &view, te))).collect();
        let trusted = self.trusted_by(id);
        let Subject::Point(point) = self.spec(id).subject else { return };
        let window = Window { start, samples: &samples, trusted, lateness };
        self.rejudge(point.0 as usize, place, id, &window, out);
        if let Some(signal) = self.signals.get_mut(n)
            && let Some(last) = samples.last()
        {
            signal.judged_to = signal.judged_to.max(last.te());
        }
    }

    /// Keeps the timer of what is pending.
    pub(crate) fn rearm_signal(&mut self, n: usize) {
        let Some(signal) = self.signals.get(n) else { return };
        let id = signal.alarm;
        let lag = self.spec(id).times.hold_lag_ms;
        let due = signal.pending.map_or(NEVER, |te| te.saturating_add(lag));
        let Some(signal) = self.signals.get_mut(n) else { return };
        if signal.armed != due {
            self.deadlines.disarm(TimeMs(signal.armed), Reason::Signal(id));
            if due != NEVER {
                self.deadlines.arm(TimeMs(due), Reason::Signal(id));
            }
            signal.armed = due;
        }
    }

    /// A tick trusts the held values of the other inputs.
    pub(crate) fn signal_due(&mut self, id: AlarmId, out: &mut Out<'_>) {
        if let Some(n) = self.signal_of(id) {
            if let Some(signal) = self.signals.get_mut(n) {
                signal.armed = NEVER;
            }
            self.judge_signal(n, out);
        }
    }

    /// The store has to say what memory does not hold: something of this stretch is new.
    pub(crate) fn want(&mut self, n: usize, stretch: (i64, i64), out: &mut Out<'_>) {
        let (earliest, latest) = stretch;
        let Some(signal) = self.signals.get_mut(n) else { return };
        if let Some(gather) = &mut signal.gather {
            gather.earliest = gather.earliest.min(earliest);
            gather.to = gather.to.max(latest);
            gather.grown = true;
            return;
        }
        signal.gather = Some(Box::new(Gather::of(earliest, latest)));
        self.ask_for_signal(n, out);
    }

    /// What an alarm with several inputs says about them, and the reading behind a yes or no.
    pub(crate) fn told_by_signal(
        &self,
        id: AlarmId,
        te: i64,
        value: Option<f64>,
    ) -> (Option<f64>, String) {
        let Some(signal) = self.signal_of(id).and_then(|n| self.signals.get(n)) else {
            return (value, String::new());
        };
        let points: Vec<Vec<Sample>> =
            signal.inputs.iter().map(|input| input.held.iter().copied().collect()).collect();
        let edges: Vec<Vec<Sample>> = signal.alarms.iter().map(|a| edges(self.story(*a))).collect();
        let view = View {
            points: points.iter().map(Vec::as_slice).collect(),
            alarms: edges.iter().map(Vec::as_slice).collect(),
        };
        let said = describe(&signal.derived, &view, te);
        let read = || {
            let own = points.first()?;
            own.iter().rev().find(|sample| sample.te() <= te)?.value()
        };
        let derived = &signal.derived;
        let value = if derived.is_yes_or_no() { read() } else { value_at(derived, &view, te) };
        (value.filter(|v| v.is_finite()), said)
    }
}

/// Occurrences as samples: 1 where the alarm comes on, 0 where it goes off. One that is over at once
/// holds at no time, and one that begins when another ends leaves no gap.
fn edges(story: Option<&Story>) -> Vec<Sample> {
    let mut bounds: Vec<(i64, i64)> = Vec::new();
    for happening in story.into_iter().flat_map(Story::confirmed) {
        bounds.push((happening.on, 1));
        bounds.extend(happening.off.map(|off| (off, -1)));
    }
    bounds.sort_unstable();
    let mut edges: Vec<Sample> = Vec::new();
    let (mut open, mut on) = (0, false);
    for (place, (te, change)) in bounds.iter().enumerate() {
        open += change;
        let last_of_its_time = bounds.get(place + 1).is_none_or(|(next, _)| next != te);
        if last_of_its_time && (open > 0) != on {
            on = open > 0;
            edges.push(Sample::new(*te, Some(if on { 1.0 } else { 0.0 })));
        }
    }
    edges
}
