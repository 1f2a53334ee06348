//! Alarms that a new plan leaves out, takes back, or makes something else of.
//!
//! - What is in alarm when its limit goes away does not become normal by that: it keeps its last
//!   state, is announced as *no longer judged*, and stands until a person has answered.
//! - Its story stays for as long as the engine lives, so that the numbers of its occurrences go on
//!   where the alarm comes back: an acknowledgement never means another occurrence.
//! - The rows are written with the first event under the new plan, which knows the time.

use crate::condition::Judgement;
use crate::engine::rows::Note;
use crate::engine::transitions::Edge;
use crate::engine::{Engine, NONE, Out};
use crate::lifecycle::{Phase, Stimulus};
use crate::model::{
    AlarmId, AlarmSpec, Cause, Condition, Flags, GatewayRef, Letter, Lifecycle, Plan, Priority,
    Subject, TimeRules,
};
use fengsui_telemetry::Revision;

/// Alarms kept for nothing but their numbers. A site of thirty thousand points may rename each of
/// them once; beyond that the numbers of the ones that are left out begin anew.
pub(crate) const PAST_MAX: usize = 120_000;
/// What the rows say to people.
const SAYS: &str = "不再判断：报警期间点表或限值已改，无人监视该点 / no longer judged: the limit was removed in alarm";
const SAYS_ENDED: &str =
    "不再判断的报警经人确认后结束 / closed by a person; nobody judges it any more";
const SAYS_AGAIN: &str = "重新判断 / judged again";

/// What an alarm was before the plan changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    /// It was judged by a condition of another kind.
    Judged,
    /// It said that its limit was missing.
    Unset,
    /// It was left out before.
    Unjudged,
}

/// What a snapshot tells of an alarm that has a story, so that it can stand without its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) key: String,
    pub(crate) word: String,
    pub(crate) priority: Priority,
    pub(crate) gateway: GatewayRef,
    pub(crate) subject: Subject,
    pub(crate) statutory: bool,
    pub(crate) revision: Revision,
    pub(crate) stands: bool,
}

impl Past {
    pub(crate) fn was(&self) -> Was {
        if self.word == Condition::Unset.word() {
            Was::Unset
        } else if self.word == Condition::Unjudged.word() {
            Was::Unjudged
        } else {
            Was::Judged
        }
    }

    pub(crate) fn renumber(&mut self, now: &dyn Fn(GatewayRef) -> GatewayRef) {
        self.gateway = now(self.gateway);
        if let Subject::Gateway(gateway) = &mut self.subject {
            *gateway = now(*gateway);
        }
    }

    fn spec(self) -> AlarmSpec {
        // A person ends it: no latch holds it, no timer repeats it.
        let lifecycle = Lifecycle { ack_resets_latch: true, ..Lifecycle::default() };
        AlarmSpec {
            key: self.key,
            subject: self.subject,
            gateway: self.gateway,
            condition: Condition::Unjudged,
            on_delay_ms: 0,
            off_delay_ms: 0,
            priority: self.priority,
            lifecycle,
            times: TimeRules::default(),
            revision: self.revision,
            statutory: self.statutory,
            suppressed_by: None,
        }
    }
}

/// The plan, and behind it what the snapshot knows and the plan does not have.
pub(crate) fn with_past(mut plan: Plan, past: Vec<Past>) -> Plan {
    // By the few that have a story: a gateway has little memory at its start.
    let mut missing: std::collections::HashSet<&str> =
        past.iter().map(|one| one.key.as_str()).collect();
    for alarm in &plan.alarms {
        missing.remove(alarm.key.as_str());
    }
    let missing: Vec<bool> = past.iter().map(|one| missing.contains(one.key.as_str())).collect();
    let mut room = PAST_MAX;
    for (one, missing) in past.into_iter().zip(missing) {
        if !missing {
            continue;
        }
        if !one.stands {
            if room == 0 {
                continue;
            }
            room -= 1;
        }
        plan.alarms.push(one.spec());
    }
    plan
}

impl Engine {
    /// What became of alarms by the new plan.
    pub(crate) fn tell_changed(&mut self, out: &mut Out<'_>) {
        for (id, was) in std::mem::take(&mut self.changed) {
            let open = self.story_mut(id).open().map(|happening| happening.on);
            let judged = *self.spec(id).condition != Condition::Unjudged;
            match (was, open) {
                (Was::Unset, Some(_)) => {
                    let edge = Edge { te: out.now.0, value: None, flags: Flags::default() };
                    self.come_off(id, edge, out);
                }
                (Was::Unjudged, _) if *self.spec(id).condition != Condition::Unset => {
                    self.take_back(id, open.is_some(), out);
                }
                (Was::Judged | Was::Unjudged, Some(_)) => self.leave_unjudged(id, judged, out),
                (Was::Judged | Was::Unset | Was::Unjudged, None) => {
                    if !judged && self.letter(id) != Letter::A {
                        self.write(id, self.unjudged_note(id, out), out);
                    }
                }
            }
            if !judged && self.story(id).is_some_and(|story| story.overlays.by_design) {
                self.let_speak(id, id, out.now.0, out);
            }
        }
    }

    /// What lies over alarms must fit them as the plan has them now.
    pub(crate) fn measure_anew(&mut self, out: &mut Out<'_>) {
        self.measure_shelves(out);
        self.measure_covers(out);
        self.follow_parents(out);
        // Whoever spoke for another may no longer do so.
        self.unspoken.extend(&self.standing);
    }

    /// It was in alarm: it stays so, and a person must answer, whoever answered before.
    fn leave_unjudged(&mut self, id: AlarmId, kept: bool, out: &mut Out<'_>) {
        if let Some(alarm) = self.alarms.get_mut(id.0 as usize) {
            alarm.silent = !kept;
        }
        let (now, current) = (out.now, self.current(id));
        let note = self.unjudged_note(id, out);
        let story = self.story_mut(id);
        if let Some(happening) = story.numbered(current) {
            happening.wants_answer = true;
            // Under this key something else is judged from now on.
            happening.off = if kept { Some(now.0) } else { happening.off };
        }
        story.answered_by = None;
        story.phase = Phase::Unacknowledged;
        let sounds = !story.overlays.any() && (note.from != Letter::B || story.owed);
        self.write(id, note, out);
        if sounds {
            self.announce(id, out);
        }
    }

    fn unjudged_note(&self, id: AlarmId, out: &Out<'_>) -> Note {
        let (current, letter) = (self.current(id), self.letter(id));
        let value = self.story(id).and_then(|story| story.value);
        let note = Note::at(Cause::NoLongerJudged, current, letter, out.now.0, out.now);
        note.valued(value).saying(SAYS.to_owned())
    }

    /// The plan has it again: it goes on from its last state.
    fn take_back(&mut self, id: AlarmId, open: bool, out: &mut Out<'_>) {
        let place = self.alarms.get(id.0 as usize).map_or(NONE, |alarm| alarm.hot);
        match self.hot.get_mut(place as usize) {
            Some(hot) => hot.judge = Judgement::settled(open),
            None => self.set_silent(id, open),
        }
        // Nobody judged meanwhile, and nobody does afterwards.
        let story = self.story_mut(id);
        story.known_from = story.known_from.max(out.now.0);
        if self.letter(id) != Letter::A {
            let (current, letter) = (self.current(id), self.letter(id));
            let note = Note::at(Cause::JudgedAgain, current, letter, out.now.0, out.now);
            self.write(id, note.saying(SAYS_AGAIN.to_owned()), out);
        }
    }

    /// A person has answered an alarm that nobody judges: nothing is left that could end it.
    pub(crate) fn close_unjudged(&mut self, id: AlarmId, out: &mut Out<'_>) {
        let unjudged = *self.spec(id).condition == Condition::Unjudged;
        if !unjudged || self.letter(id) != Letter::C {
            return;
        }
        if let Some(alarm) = self.alarms.get_mut(id.0 as usize) {
            alarm.silent = false;
        }
        let current = self.current(id);
        let others = self.story_mut(id).others();
        if let Some(happening) = self.story_mut(id).open() {
            happening.off = Some(out.now.0);
        }
        self.turn(id, Stimulus::Off(others));
        let note = Note::at(Cause::Off, current, Letter::C, out.now.0, out.now);
        self.write(id, note.saying(SAYS_ENDED.to_owned()), out);
    }
}
