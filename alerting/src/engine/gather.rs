//! What a derived alarm asks back from the store: all its inputs over one stretch, judged when the
//! last answer is there.
//!
//! - Asked again after 30 s, and whenever something came that the answers cannot hold.
//! - A host without a store gives no answer; what is too late for memory is not judged there.

use fengsui_telemetry::{Reading, TimeMs};

use crate::condition::NEVER;
use crate::deadlines::Reason;
use crate::engine::late::{ASK_AGAIN_MS, ASK_SOON_MS};
use crate::engine::{Engine, Out};
use crate::held::{Sample, lay_together};
use crate::model::{Action, AlarmId, PointRef};

impl Engine {
    /// Asks for every input of a gather from where its recomputation must start.
    pub(crate) fn ask_for_signal(&mut self, n: usize, out: &mut Out<'_>) {
        let Some(signal) = self.signals.get(n) else { return };
        let Some(gather) = &signal.gather else { return };
        let start = self.start_of_alarm(signal.place, gather.earliest);
        let start = start.unwrap_or(gather.earliest);
        // A little earlier than the last time: a late answer to that is not taken for this one.
        let before = gather.from.saturating_sub(1);
        let from = start.saturating_sub(signal.derived.reach_ms()).min(before);
        let to = signal.head().max(gather.earliest).max(gather.to);
        let points: Vec<u32> = signal.inputs.iter().map(|input| input.point).collect();
        let Some(gather) = self.signals.get_mut(n).and_then(|s| s.gather.as_mut()) else { return };
        (gather.from, gather.to, gather.asked_at) = (from, to, out.now.0);
        gather.grown = false;
        gather.answers = vec![None; points.len()];
        for point in points {
            let (from, to) = (TimeMs(from), TimeMs(to));
            out.actions.push(Action::Recall { point: PointRef(point), from, to });
        }
        self.arm_gather(n, out.now + ASK_AGAIN_MS);
    }

    fn arm_gather(&mut self, n: usize, at: TimeMs) {
        let Some(signal) = self.signals.get_mut(n) else { return };
        let reason = Reason::Gather(signal.alarm);
        self.deadlines.disarm(TimeMs(signal.gather_armed), reason);
        self.deadlines.arm(at, reason);
        signal.gather_armed = at.0;
    }

    /// The answers may be overdue.
    pub(crate) fn gather_due(&mut self, id: AlarmId, out: &mut Out<'_>) {
        let Some(n) = self.signal_of(id) else { return };
        let Some(signal) = self.signals.get_mut(n) else { return };
        signal.gather_armed = NEVER;
        let Some(gather) = &signal.gather else { return };
        let due = gather.asked_at.saturating_add(ASK_AGAIN_MS);
        if due <= out.now.0 {
            self.ask_for_signal(n, out);
        } else {
            self.arm_gather(n, TimeMs(due));
        }
    }

    /// After a restart or a restore: nothing is asked at once, a host that replays does not
    /// listen yet.
    pub(crate) fn resume_gathers(&mut self, now: Option<TimeMs>) {
        for n in 0..self.signals.len() {
            let at = now.map_or(TimeMs(self.last_tick), |now| now + ASK_SOON_MS);
            let Some(gather) = self.signals.get_mut(n).and_then(|s| s.gather.as_mut()) else {
                continue;
            };
            gather.asked_at = i64::MIN;
            self.arm_gather(n, at);
        }
    }

    /// An answer of the store, which may be for several derived alarms.
    pub(crate) fn gathered(
        &mut self,
        point: PointRef,
        from: TimeMs,
        samples: &[(TimeMs, Reading)],
        out: &mut Out<'_>,
    ) {
        for n in 0..self.signals.len() {
            let Some(signal) = self.signals.get_mut(n) else { return };
            let at = signal.inputs.iter().position(|input| input.point == point.0);
            let Some((gather, at)) = signal.gather.as_mut().zip(at) else { continue };
            let Some(slot) = gather.answers.get_mut(at) else { continue };
            if gather.from != from.0 || slot.is_some() {
                continue;
            }
            let wanted = samples.iter().filter(|(te, _)| from <= *te && te.0 <= gather.to);
            let mut stored: Vec<Sample> = wanted.map(|(te, r)| Sample::of(te.0, *r)).collect();
            stored.sort_by_key(|sample| sample.te());
            stored.dedup_by_key(|sample| sample.te());
            *slot = Some(stored);
            if gather.answers.iter().all(Option::is_some) {
                self.judge_gathered(n, out);
            }
        }
    }

    fn judge_gathered(&mut self, n: usize, out: &mut Out<'_>) {
        let Some(signal) = self.signals.get(n) else { return };
        let Some(gather) = &signal.gather else { return };
        let start = self.start_of_alarm(signal.place, gather.earliest);
        let start = start.unwrap_or(gather.earliest);
        let enough = gather.from <= start.saturating_sub(signal.derived.reach_ms());
        let to = gather.to;
        let meets = |held: &crate::held::Held| held.floor().saturating_sub(1) <= to;
        let complete = signal.inputs.iter().all(|input| meets(&input.held));
        if !enough || !complete || gather.grown {
            return self.ask_for_signal(n, out);
        }
        let known_from = self.story(signal.alarm).map_or(i64::MIN, |story| story.known_from);
        let known_from = known_from.max(signal.known_from);
        let up_to = signal.judged_to;
        let Some(signal) = self.signals.get_mut(n) else { return };
        let Some(gather) = signal.gather.take() else { return };
        self.deadlines.disarm(TimeMs(signal.gather_armed), Reason::Gather(signal.alarm));
        signal.gather_armed = NEVER;
        if start < known_from {
            return;
        }
        let mut points = Vec::with_capacity(signal.inputs.len());
        for (input, stored) in signal.inputs.iter_mut().zip(gather.answers) {
            let all = lay_together(&stored.unwrap_or_default(), &input.held, &[]);
            input.held.refill(&all);
            points.push(all);
        }
        signal.late = true;
        let up_to = up_to.max(self.trusted_by(self.signals.get(n).map_or(AlarmId(0), |s| s.alarm)));
        self.judge_over(n, start, up_to, &points, out);
        self.after_gather(n, up_to);
    }

    /// Times after what was judged stay pending.
    fn after_gather(&mut self, n: usize, up_to: i64) {
        self.put_off(n, up_to);
        self.rearm_signal(n);
    }
}
