//! The condition came on or went off: occurrences, life cycle, overlays, sound.
//!
//! - One way in for live samples, ticks, late data and silence alike.
//! - Under an overlay the phase rests; both edges are noted, nothing sounds.

use fengsui_telemetry::TimeMs;

use crate::command::Command;
use crate::engine::rows::Note;
use crate::engine::{Engine, Out};
use crate::lifecycle::{Answer, Phase, Stimulus, Turn, Under, Way, leaving, next};
use crate::model::{Action, AlarmId, Cause, Flags, Letter};
use crate::mutant::{Mutant, planted};
use crate::overlay::Overlays;

/// An edge of a condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) te: i64,
    pub(crate) value: Option<f64>,
    pub(crate) flags: Flags,
}

impl Engine {
    /// Before this time the story of an alarm may be forgotten.
    pub(crate) fn horizon(&self, id: AlarmId, now: TimeMs) -> i64 {
        (now - self.spec(id).times.late_horizon_ms).0
    }

    /// Moves the phase by the table.
    pub(crate) fn turn(&mut self, id: AlarmId, stimulus: Stimulus) -> Turn {
        let life = self.spec(id).lifecycle;
        let story = self.story_mut(id);
        let turn = next(story.phase, stimulus, life);
        if let Turn::To(phase) = turn {
            story.phase = phase;
        }
        turn
    }

    /// The condition came on.
    pub(crate) fn come_on(&mut self, id: AlarmId, edge: Edge, out: &mut Out<'_>) {
        self.touch(id, edge.te, edge.flags.late);
        let from = self.letter(id);
        let horizon = self.horizon(id, out.now);
        let (value, said) = self.told_by_signal(id, edge.te, edge.value);
        let edge = Edge { value, ..edge };
        let answer = match (self.spec(id).lifecycle.ack_required, edge.flags.late) {
            (true, _) | (_, true) => Answer::Needed,
            (false, false) => Answer::NotNeeded,
        };
        self.lay_parent(id, out.now);
        let story = self.story_mut(id);
        let number = story.begin(edge, out.now, horizon);
        story.value = edge.value;
        let hidden = story.overlays.any();
        if !hidden {
            self.turn(id, Stimulus::On(answer));
        }
        let story = self.story_mut(id);
        let silent = edge.flags.late && planted(Mutant::LateOpenIsSilent);
        let sounds = !hidden && story.phase == Phase::Unacknowledged && !silent;
        if sounds {
            story.answered_by = None;
            if let Some(happening) = story.numbered(number) {
                happening.wants_answer = true;
            }
        }
        let comment = [self.why_quiet(id, sounds), said].into_iter().filter(|s| !s.is_empty());
        let comment = comment.collect::<Vec<_>>().join("; ");
        let note = Note::at(Cause::On, number, from, edge.te, out.now);
        self.write(id, note.flagged(edge.flags).valued(edge.value).saying(comment), out);
        if sounds {
            self.announce(id, out);
        } else if !hidden {
            // T2 counts as announced: the re-alarm timer starts here.
            self.story_mut(id).announced = out.now;
            self.rearm_realarm(id);
        }
    }

    fn why_quiet(&self, id: AlarmId, sounds: bool) -> String {
        let parent = self.story(id).is_some_and(|story| story.overlays.parent);
        match self.spoken_for_by(id).filter(|_| sounds) {
            Some(cover) => format!("从属于 / subsumed by {}", self.spec(cover).key),
            None if parent && self.is_offline(self.spec(id).gateway) => {
                "网关离线 / gateway offline".to_owned()
            }
            None if parent => {
                "网关已恢复，该点尚未上报 / the gateway is back, the point has not reported yet"
                    .to_owned()
            }
            None => String::new(),
        }
    }

    /// The condition went off: the open occurrence ends.
    pub(crate) fn come_off(&mut self, id: AlarmId, edge: Edge, out: &mut Out<'_>) {
        self.touch(id, edge.te, edge.flags.late);
        let from = self.letter(id);
        let (value, _) = self.told_by_signal(id, edge.te, edge.value);
        let edge = Edge { value, ..edge };
        let story = self.story_mut(id);
        story.value = edge.value.or(story.value);
        let Some(happening) = story.open() else { return };
        happening.off = Some(edge.te);
        happening.known = out.now.0;
        happening.value = edge.value.or(happening.value);
        let number = happening.number;
        let hidden = story.overlays.any();
        let one_shot = story.overlays.shelf.filter(|shelf| shelf.one_shot);
        let parent = story.overlays.parent;
        let others = story.others();
        if hidden {
            story.overlays.returned = true;
        } else {
            self.turn(id, Stimulus::Off(others));
        }
        if parent {
            // The suppression ends with what it suppressed: one row for both.
            self.lift(id, Way::ByRule, false, out.now, |overlays| overlays.parent = false);
        }
        let note = Note::at(Cause::Off, number, from, edge.te, out.now);
        self.write(id, note.flagged(edge.flags).valued(edge.value), out);
        if let Some(shelf) = one_shot {
            self.deadlines.unshelve(shelf.until, id);
            let from = self.letter(id);
            let left = self.lift(id, Way::ByRule, false, out.now, |overlays| overlays.shelf = None);
            let note = Note::at(Cause::Unshelved, number, from, edge.te, out.now);
            self.write(id, note.saying(left.map(unanswered).unwrap_or_default()), out);
        }
        self.falls_silent(id);
    }

    /// Takes an overlay away and, if it was the last, lets out what lay under it. Returns the
    /// number that was left without an answer, if there is one.
    pub(crate) fn lift(
        &mut self,
        id: AlarmId,
        way: Way,
        active: bool,
        until: TimeMs,
        take: impl FnOnce(&mut Overlays),
    ) -> Option<u64> {
        let life = self.spec(id).lifecycle;
        let story = self.story_mut(id);
        take(&mut story.overlays);
        let covered = story.overlays.any();
        self.look_at_parent(id, until.0);
        if covered {
            return None;
        }
        let story = self.story_mut(id);
        story.overlays.finish(until);
        let entered = story.phase;
        let returned = story.overlays.returned;
        let current = story.current();
        let unanswered = story.numbered(current).is_some_and(|h| h.wants_answer);
        let waiting_now = entered == Phase::Unacknowledged && unanswered;
        if waiting_now && !active {
            // What was announced before the overlay is not what Q6 asks about.
            if let Some(happening) = story.numbered(current) {
                happening.wants_answer = false;
            }
        }
        let others = match entered {
            Phase::Normal | Phase::Unacknowledged | Phase::Acknowledged => story.late_waiting(),
            Phase::Returned | Phase::LatchedUnacknowledged | Phase::LatchedAcknowledged => {
                story.others()
            }
        };
        story.phase = leaving(Under { entered, active, returned, others }, way, life);
        match story.phase {
            Phase::Normal => story.answer_through(u64::MAX),
            Phase::Acknowledged | Phase::LatchedAcknowledged => story.answer_through(current),
            Phase::Unacknowledged | Phase::LatchedUnacknowledged => {
                story.answered_by = None;
                if let Some(happening) = story.numbered(current) {
                    happening.wants_answer = true;
                }
            }
            Phase::Returned => {}
        }
        let left_open = story.phase == Phase::Normal && waiting_now;
        left_open.then_some(current)
    }

    /// Ends one overlay, with its row and, where the condition is on, its announcement.
    pub(crate) fn end_overlay(
        &mut self,
        id: AlarmId,
        way: Way,
        ended: Note,
        take: impl FnOnce(&mut Overlays),
        out: &mut Out<'_>,
    ) {
        let active = self.is_active(id);
        let at = ended.ti;
        let left = self.lift(id, way, active, at, take);
        let comment = match left {
            Some(number) => {
                let said = &ended.comment;
                let gap = if said.is_empty() { "" } else { "; " };
                format!("{said}{gap}{}", unanswered(number))
            }
            None => ended.comment.clone(),
        };
        self.write(id, ended.saying(comment), out);
        if self.letter(id) == Letter::B {
            self.announce_as_of(id, at, out);
        }
    }

    /// Lays one overlay, with its row; the horn of what lies under it stops.
    pub(crate) fn begin_overlay(
        &mut self,
        command: &Command,
        cause: Cause,
        lay: impl FnOnce(&mut Overlays),
        out: &mut Out<'_>,
    ) {
        let id = command.alarm;
        let from = self.letter(id);
        let story = self.story_mut(id);
        let sounding = !story.overlays.any() && story.phase.wants_answer();
        story.overlays.begin(out.now);
        lay(&mut story.overlays);
        story.owed = false;
        self.look_at_parent(id, out.now.0);
        let note = Note::by(cause, self.current(id), from, command, out.now);
        self.write(id, note, out);
        if sounding {
            out.actions.push(Action::Silence { alarm: id });
        }
        self.falls_silent(id);
    }
}

/// Q2: what an overlay ended without an answer is named in the row.
fn unanswered(number: u64) -> String {
    format!("未确认 / unacknowledged: {number}")
}
