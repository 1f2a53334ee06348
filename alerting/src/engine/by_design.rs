//! Suppression by design: while its parent alarm is on, an alarm is quiet because a rule says so.
//!
//! - The rule is configuration (Q26). Each beginning and each end is a row that names the parent.
//! - The alarm runs on underneath. When the parent ends and the alarm is still on, it is announced.

use crate::engine::rows::Note;
use crate::engine::{Engine, Out};
use crate::lifecycle::Way;
use crate::model::{Action, AlarmId, Cause};

impl Engine {
    /// The condition of an alarm has changed at this time: what it suppresses follows.
    pub(crate) fn follow_parent(&mut self, parent: AlarmId, te: i64, out: &mut Out<'_>) {
        for child in self.children.get(&parent).cloned().unwrap_or_default() {
            let quiet = self.is_active(parent);
            let is_quiet = self.story(child).is_some_and(|story| story.overlays.by_design);
            if quiet && !is_quiet {
                self.quieten(child, parent, te, out);
            } else if !quiet && is_quiet {
                self.let_speak(child, parent, te, out);
            }
        }
    }

    /// After a restart: the rules may have changed.
    pub(crate) fn follow_parents(&mut self, out: &mut Out<'_>) {
        let parents: Vec<AlarmId> = self.children.keys().copied().collect();
        for parent in parents {
            self.follow_parent(parent, out.now.0, out);
        }
        for id in (0_u32..).map(AlarmId).take(self.alarms.len()) {
            let quiet = self.story(id).is_some_and(|story| story.overlays.by_design);
            if quiet && self.spec(id).suppressed_by.is_none() {
                self.let_speak(id, id, out.now.0, out);
            }
        }
    }

    fn quieten(&mut self, id: AlarmId, parent: AlarmId, te: i64, out: &mut Out<'_>) {
        let from = self.letter(id);
        let story = self.story_mut(id);
        let sounding = !story.overlays.any() && story.phase.wants_answer();
        story.overlays.begin(out.now);
        story.overlays.by_design = true;
        story.owed = false;
        let note = self.rule_note(Cause::Suppressed, id, parent, te, out);
        self.write(id, Note { from, ..note }, out);
        if sounding {
            out.actions.push(Action::Silence { alarm: id });
        }
        self.falls_silent(id);
    }

    pub(crate) fn let_speak(&mut self, id: AlarmId, parent: AlarmId, te: i64, out: &mut Out<'_>) {
        let note = self.rule_note(Cause::Unsuppressed, id, parent, te, out);
        self.end_overlay(id, Way::ByRule, note, |overlays| overlays.by_design = false, out);
    }

    fn rule_note(
        &self,
        cause: Cause,
        id: AlarmId,
        parent: AlarmId,
        te: i64,
        out: &Out<'_>,
    ) -> Note {
        let note = Note::at(cause, self.current(id), self.letter(id), te, out.now);
        let key = self.spec(parent).key;
        Note { te: None, ..note }.saying(format!("按设计 / by design: {key}"))
    }
}
