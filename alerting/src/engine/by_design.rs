//! Suppression by design: while its parent alarm is on, an alarm is quiet because a rule says so.
//!
//! - The rule is configuration (Q26). Each beginning and each end is a row that names the parent.
//! - The alarm runs on underneath. When the parent ends and the alarm is still on, it is announced.
//! - A parent that is shelved, suppressed by command or out of service, and one that cannot see
//!   (reading bad, point stale, gateway offline), keeps nothing quiet.

use std::collections::BTreeSet;

use crate::derived::Derived;
use crate::engine::rows::Note;
use crate::engine::{Engine, Out};
use crate::lifecycle::Way;
use crate::model::{Action, AlarmId, Cause, Condition, GatewayRef, Subject};

impl Engine {
    /// Finds the points by which parents judge.
    pub(crate) fn lay_parents(&mut self) {
        let parents: Vec<AlarmId> = self.children.keys().copied().collect();
        for parent in parents {
            let (mut looked_at, mut points) = (vec![parent], BTreeSet::new());
            // The plan has no circles.
            while let Some(id) = looked_at.pop() {
                let spec = self.spec(id);
                let Subject::Point(own) = spec.subject else { continue };
                points.insert(own.0);
                if let Condition::Derived(derived) = spec.condition {
                    points.extend(derived.points(own).iter().map(|point| point.0));
                }
                looked_at.extend(self.looked_at_by(id));
            }
            for point in points {
                self.parents_by.entry(point).or_default().push(parent);
            }
        }
    }

    fn looked_at_by(&self, id: AlarmId) -> &[AlarmId] {
        let signal = self.signal_of(id).and_then(|n| self.signals.get(n));
        signal.map_or(&[], |signal| &signal.alarms)
    }

    /// What lies over a parent may have changed.
    pub(crate) fn look_at_parent(&mut self, parent: AlarmId, te: i64) {
        if self.has_moved(parent) {
            self.regarded.push((parent, te));
        }
    }

    /// What a point says has changed.
    pub(crate) fn look_at_parents_of(&mut self, point: u32, te: i64) {
        if let Some(parents) = self.parents_by.get(&point) {
            let moved = parents.iter().filter(|parent| self.has_moved(**parent));
            let moved: Vec<_> = moved.map(|parent| (*parent, te)).collect();
            self.regarded.extend(moved);
        }
    }

    /// Something has changed for all of them.
    pub(crate) fn look_at_parents(&mut self) {
        let moved = self.children.keys().filter(|parent| self.has_moved(**parent));
        let moved: Vec<_> = moved.map(|parent| (*parent, self.latest)).collect();
        self.regarded.extend(moved);
    }

    /// Whether what it suppresses does not follow it yet: all of that is in one state.
    fn has_moved(&self, parent: AlarmId) -> bool {
        let first = self.children.get(&parent).and_then(|all| all.first());
        let is_quiet =
            |child: &AlarmId| self.story(*child).is_some_and(|story| story.overlays.by_design);
        first.is_some_and(|child| is_quiet(child) != self.quietens(parent))
    }

    /// Looks at the parents that may suppress now, or no longer.
    pub(crate) fn follow_regarded(&mut self, out: &mut Out<'_>) {
        for (parent, te) in std::mem::take(&mut self.regarded) {
            self.follow_parent(parent, te, out);
        }
    }

    /// On, heard, and not blind.
    fn quietens(&self, parent: AlarmId) -> bool {
        let silenced = self.story(parent).is_some_and(|story| {
            let over = &story.overlays;
            over.shelf.is_some() || over.suppressed || over.out_of_service
        });
        self.is_active(parent) && !silenced && !self.is_blind(parent)
    }

    /// The alarm keeps a state that nothing confirms any more. Of several inputs each counts: when
    /// in doubt, nothing is kept quiet.
    fn is_blind(&self, id: AlarmId) -> bool {
        let spec = self.spec(id);
        match (spec.condition, spec.subject) {
            (Condition::High { .. } | Condition::Low { .. }, Subject::Point(point)) => {
                self.reads_nothing(point.0)
            }
            (Condition::Derived(derived), Subject::Point(own)) => {
                let of_quality =
                    matches!(derived.as_ref(), Derived::BadQuality | Derived::Range { .. });
                let points = derived.points(own);
                points.iter().any(|point| {
                    self.hears_nothing(point.0) || (!of_quality && self.reads_nothing(point.0))
                }) || self.looked_at_by(id).iter().any(|alarm| self.is_blind(*alarm))
            }
            // They are about silence, clocks and limits themselves.
            (
                Condition::Stale { .. }
                | Condition::GatewayOffline { .. }
                | Condition::Clock { .. }
                | Condition::Unset,
                _,
            ) => false,
            (Condition::Unjudged, _)
            | (
                Condition::High { .. } | Condition::Low { .. } | Condition::Derived(_),
                Subject::Gateway(_),
            ) => true,
        }
    }

    fn hears_nothing(&self, point: u32) -> bool {
        let state = self.points.get(point as usize);
        state.is_none_or(|state| state.stale_on || self.is_offline(GatewayRef(state.gateway)))
    }

    fn reads_nothing(&self, point: u32) -> bool {
        let newest = self.points.get(point as usize).and_then(|state| state.held.iter().last());
        self.hears_nothing(point) || newest.is_none_or(|sample| sample.value().is_none())
    }

    /// An alarm that may suppress others has changed at this time: they follow.
    pub(crate) fn follow_parent(&mut self, parent: AlarmId, te: i64, out: &mut Out<'_>) {
        for child in self.children.get(&parent).cloned().unwrap_or_default() {
            let quiet = self.quietens(parent);
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
