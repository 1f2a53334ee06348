//! Rows for the journal, and the actions that go with them.
//!
//! - A row is written after the state has changed: its `to` is what the alarm shows now.
//! - Its id names the fact and not the telling: alarm, occurrence, cause and event time, never the
//!   time at which the host came to know. A replay after a crash comes to the same ids.

use fengsui_telemetry::{Revision, TimeMs};

use crate::command::Command;
use crate::condition::NEVER;
use crate::deadlines::Reason;
use crate::engine::{Engine, NONE, Out};
use crate::model::{Action, AlarmId, Cause, Flags, Letter, Occurrence, Row};
use crate::mutant::{Mutant, planted};
use crate::specs::SpecRef;
use crate::story::Story;

/// Notes about one point's samples in one minute (repeats, impossible stamps). More than this is
/// one fault told many times; it is not recorded again.
const NOTES_MAX: u16 = 16;
const MINUTE_MS: i64 = 60_000;

/// What a row says beyond the letters.
pub(crate) struct Note {
    pub(crate) cause: Cause,
    pub(crate) occurrence: u64,
    pub(crate) from: Letter,
    pub(crate) te: Option<i64>,
    pub(crate) ti: TimeMs,
    pub(crate) flags: Flags,
    pub(crate) value: Option<f64>,
    pub(crate) comment: String,
    pub(crate) by: Option<String>,
    pub(crate) command: Option<Command>,
    /// What tells this fact from another of the same occurrence and cause.
    pub(crate) mark: String,
}

impl Note {
    /// A fact of the condition or of late data.
    pub(crate) fn at(cause: Cause, occurrence: u64, from: Letter, te: i64, now: TimeMs) -> Self {
        Self {
            cause,
            occurrence,
            from,
            te: Some(te),
            ti: now,
            flags: Flags::default(),
            value: None,
            comment: String::new(),
            by: None,
            command: None,
            mark: te.to_string(),
        }
    }

    /// What a command did.
    pub(crate) fn by(
        cause: Cause,
        occurrence: u64,
        from: Letter,
        command: &Command,
        now: TimeMs,
    ) -> Self {
        let mark = if command.request.is_empty() {
            format!("ti{}", now.0)
        } else {
            command.request.clone()
        };
        Self {
            cause,
            occurrence,
            from,
            te: None,
            ti: now,
            flags: Flags::default(),
            value: None,
            comment: command.comment.clone(),
            by: Some(command.by.clone()),
            command: Some(command.clone()),
            mark,
        }
    }

    pub(crate) fn flagged(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn valued(self, value: Option<f64>) -> Self {
        Self { value, ..self }
    }

    pub(crate) fn saying(self, comment: String) -> Self {
        Self { comment, ..self }
    }
}

impl Engine {
    /// The specification of an alarm that is in the plan.
    pub(crate) fn spec(&self, id: AlarmId) -> SpecRef<'_> {
        self.specs.get(id).expect("ids are checked where they come in")
    }

    pub(crate) fn story(&self, id: AlarmId) -> Option<&Story> {
        self.alarms.get(id.0 as usize).and_then(|alarm| alarm.story.as_deref())
    }

    /// The story of an alarm that is in the plan; made if it has none yet.
    #[expect(clippy::indexing_slicing, reason = "ids are checked where they come in")]
    pub(crate) fn story_mut(&mut self, id: AlarmId) -> &mut Story {
        self.alarms[id.0 as usize].story.get_or_insert_with(Box::default)
    }

    pub(crate) fn letter(&self, id: AlarmId) -> Letter {
        self.story(id).map_or(Letter::A, Story::letter)
    }

    /// The number that an acknowledgement must name; 0 if nothing has happened yet.
    pub(crate) fn current(&self, id: AlarmId) -> u64 {
        self.story(id).map_or(0, Story::current)
    }

    /// The limits that judged at a time.
    fn revision_at(&self, id: AlarmId, te: Option<i64>) -> Revision {
        let today = self.spec(id).revision;
        let Some((te, story)) = te.zip(self.story(id)) else { return today };
        let earlier = story.earlier.iter().find(|(until, _)| te < *until);
        earlier.map_or(today, |(_, rule)| rule.revision)
    }

    fn bounds(&self, id: AlarmId, number: u64) -> Option<Occurrence> {
        let happenings = &self.story(id)?.happenings;
        let place = happenings.partition_point(|h| h.number < number);
        happenings.get(place).filter(|h| h.number == number).map(|h| h.public())
    }

    /// Writes a row and keeps the list of standing alarms.
    pub(crate) fn write(&mut self, id: AlarmId, note: Note, out: &mut Out<'_>) {
        let to = self.letter(id);
        if note.from != to {
            self.story_mut(id).since = note.ti;
            if to == Letter::A {
                self.standing.remove(&id);
            } else {
                self.standing.insert(id);
            }
            self.rearm_realarm(id);
        }
        let bounds = self.bounds(id, note.occurrence);
        let key = self.spec(id).key;
        let row = Row {
            id: format!("{key}#{}/{}@{}", note.occurrence, note.cause.word(), note.mark),
            alarm: id,
            ti: match note.te {
                Some(te) if planted(Mutant::KnewWhenItHappened) => TimeMs(te),
                Some(_) | None => note.ti,
            },
            te: note.te.map(TimeMs),
            from: note.from,
            to,
            occurrence: note.occurrence,
            bounds,
            cause: note.cause,
            flags: note.flags,
            value: note.value.filter(|value| value.is_finite()),
            by: note.by,
            comment: note.comment,
            revision: self.revision_at(id, note.te),
            command: note.command,
        };
        out.actions.push(Action::Record(row));
    }

    /// Sounds, unless another alarm speaks for this one.
    pub(crate) fn announce(&mut self, id: AlarmId, out: &mut Out<'_>) {
        self.announce_as_of(id, out.now, out);
    }

    /// As [`Engine::announce`], where the row carries a time of its own.
    pub(crate) fn announce_as_of(&mut self, id: AlarmId, at: TimeMs, out: &mut Out<'_>) {
        let covered = self.spoken_for_by(id).is_some();
        let occurrence = self.current(id);
        let story = self.story_mut(id);
        story.announced = at;
        story.owed = covered;
        if !covered {
            out.actions.push(Action::Annunciate { alarm: id, occurrence });
        }
        self.rearm_realarm(id);
    }

    /// The alarm that speaks for this one: on, and under no overlay.
    pub(crate) fn spoken_for_by(&self, id: AlarmId) -> Option<AlarmId> {
        self.second_level_of(id).or_else(|| self.sensor_fault_of(id))
    }

    fn second_level_of(&self, id: AlarmId) -> Option<AlarmId> {
        let hot = self.alarms.get(id.0 as usize).and_then(|a| self.hot.get(a.hot as usize))?;
        let cover = AlarmId(hot.cover);
        (hot.cover != NONE && self.speaks_for(cover, id)).then_some(cover)
    }

    /// One alarm may speak for another while it is on: none is kept quiet by one of lower priority,
    /// nor by one that asks for no answer, nor by one that is silenced itself.
    pub(crate) fn speaks_for(&self, one: AlarmId, other: AlarmId) -> bool {
        let silenced = self.story(one).is_some_and(|story| story.overlays.any());
        self.is_active(one) && !silenced && self.outranks(one, other)
    }

    /// Of equal or graver priority, and it asks for an answer.
    pub(crate) fn outranks(&self, one: AlarmId, other: AlarmId) -> bool {
        let (one, other) = (self.spec(one), self.spec(other));
        one.lifecycle.ack_required && one.priority <= other.priority
    }

    /// Notes that an alarm may have stopped speaking for others.
    pub(crate) fn falls_silent(&mut self, id: AlarmId) {
        let below = self.below(id);
        self.unspoken.extend(below);
        let coarser = self.coarser(id);
        self.unspoken.extend(coarser);
    }

    /// The first levels that a second level speaks for.
    pub(crate) fn below(&self, id: AlarmId) -> Vec<AlarmId> {
        let place = self.alarms.get(id.0 as usize).map_or(NONE, |alarm| alarm.hot);
        let Some(point) = self.point_of_hot(place) else { return Vec::new() };
        let hot = self.hot.get(point).into_iter().flatten();
        hot.filter(|hot| hot.cover == id.0).map(|hot| AlarmId(hot.alarm)).collect()
    }

    /// Announces what nobody speaks for any more.
    pub(crate) fn speak_up(&mut self, out: &mut Out<'_>) {
        for id in std::mem::take(&mut self.unspoken) {
            let letter = self.letter(id);
            let owed = self.story(id).is_some_and(|story| story.owed);
            if !owed || letter != Letter::B || self.spoken_for_by(id).is_some() {
                continue;
            }
            let occurrence = self.current(id);
            let note = Note::at(Cause::ReAlarm, occurrence, letter, out.now.0, out.now);
            let note = Note { te: None, ..note };
            self.write(id, note.saying("上级报警已消失 / no longer subsumed".into()), out);
            self.announce(id, out);
        }
    }

    /// A note about a sample of a point, in the journal of the point's first alarm.
    pub(crate) fn note_sample(
        &mut self,
        point: usize,
        cause: Cause,
        te: i64,
        flags: Flags,
        out: &mut Out<'_>,
    ) {
        let Some(state) = self.points.get_mut(point) else { return };
        let minute = i32::try_from(out.now.0.div_euclid(MINUTE_MS)).unwrap_or(i32::MAX);
        if state.notes_minute != minute {
            (state.notes_minute, state.notes) = (minute, 0);
        }
        if state.notes >= NOTES_MAX {
            return;
        }
        state.notes += 1;
        let stale = state.stale;
        let first = self.hot.get(state.places()).into_iter().flatten().map(|h| h.alarm).min();
        let id = first.unwrap_or(stale);
        if id == NONE {
            return;
        }
        let id = AlarmId(id);
        let (letter, occurrence) = (self.letter(id), self.current(id));
        self.write(id, Note::at(cause, occurrence, letter, te, out.now).flagged(flags), out);
    }

    /// Keeps the re-alarm timer: it runs in B and C and counts from the newest announcement.
    pub(crate) fn rearm_realarm(&mut self, id: AlarmId) {
        let after = self.spec(id).lifecycle.realarm_ms;
        if after == 0 {
            return;
        }
        let runs = |s: &&Story| matches!(s.letter(), Letter::B | Letter::C);
        let due = self.story(id).filter(runs).map_or(NEVER, |s| (s.announced + after).0);
        let Some(alarm) = self.alarms.get_mut(id.0 as usize) else { return };
        if alarm.realarm() != due {
            self.deadlines.disarm(TimeMs(alarm.realarm()), Reason::ReAlarm(id));
            if due != NEVER {
                self.deadlines.arm(TimeMs(due), Reason::ReAlarm(id));
            }
            alarm.set_realarm(due);
        }
    }

    /// The places of the point that a limit alarm belongs to.
    fn point_of_hot(&self, place: u32) -> Option<std::ops::Range<usize>> {
        let hot = self.hot.get(place as usize)?;
        match self.spec(AlarmId(hot.alarm)).subject {
            crate::model::Subject::Point(point) => {
                self.points.get(point.0 as usize).map(super::state::PointState::places)
            }
            crate::model::Subject::Gateway(_) => None,
        }
    }
}
