//! Settlement: recompute, compare, and let the life cycle follow (R8a to R8e, Q3, Q5, Q6, Q18).
//!
//! - Rows come in the order of the recomputed occurrences, the refuted ones last.
//! - An announced occurrence is never deleted: it gets other bounds, or is marked refuted.

use crate::condition::{Folded, Found, fold};
use crate::engine::rows::Note;
use crate::engine::transitions::Edge;
use crate::engine::{Engine, LatePart, Out, QUIET_MS};
use crate::held::{Sample, Trust, lay_together};
use crate::lifecycle::Stimulus;
use crate::model::{Action, AlarmId, Cause, Flags};
use crate::mutant::{Mutant, planted};
use crate::settlement::pair;
use crate::story::{Happening, Story};

/// Whether a recomputation is about late data, or about a sample that only an estimated time
/// had overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lateness {
    Late,
    InOrder,
}

/// What a recomputation of one alarm looks at.
pub(crate) struct Window<'a> {
    pub(crate) start: i64,
    pub(crate) samples: &'a [Sample],
    pub(crate) trusted: i64,
    pub(crate) lateness: Lateness,
}

impl Engine {
    /// Puts a sample in its place although something stands after it or its time is estimated.
    pub(crate) fn insert_live(&mut self, index: usize, sample: Sample, out: &mut Out<'_>) {
        let (keep, asked) = (self.keep, self.keep_asked);
        let Some(state) = self.points.get_mut(index) else { return };
        let te = sample.te();
        let trusted_time = sample.te() > state.newest && te <= out.now.0;
        if state.held.head().is_none_or(|head| head < te) {
            let keep = state.keeps(keep, asked);
            state.held.push(sample, keep);
            for place in state.places() {
                if self.hot.get(place).is_some_and(|hot| hot.rule.counts(sample)) {
                    self.judge_in_order(index, place, te, sample.value(), out);
                }
            }
            return;
        }
        if sample.trust() != Trust::RaisesOnly && trusted_time && te < out.now.0 {
            state.newest = te;
            if sample.value().is_some() {
                state.fresh = state.fresh.max(te);
            }
        }
        let part =
            LatePart { held: vec![sample], earliest: te, latest: i64::MIN, ..LatePart::default() };
        self.late_held += 1;
        self.judge_late(index, &[], &part, Lateness::InOrder, out);
    }

    /// Recomputes every limit alarm of a point with its late samples in their places.
    pub(crate) fn judge_late(
        &mut self,
        index: usize,
        stored: &[Sample],
        part: &LatePart,
        lateness: Lateness,
        out: &mut Out<'_>,
    ) {
        let Some(state) = self.points.get(index) else { return };
        let all = lay_together(stored, &state.held, &part.held);
        let trusted = self.trusted(state);
        let (places, clock_from) = (state.places(), state.known_from);
        for place in places {
            let Some(start) = self.start_of_alarm(place, part.earliest) else { continue };
            let id = AlarmId(self.hot.get(place).map_or(u32::MAX, |hot| hot.alarm));
            let known_from = self.story(id).map_or(i64::MIN, |story| story.known_from);
            if start < known_from.max(clock_from) {
                let flags = Flags { history: true, ..Flags::default() };
                self.note_sample(index, Cause::History, part.earliest, flags, out);
                continue;
            }
            let first = all.partition_point(|sample| sample.te() < start);
            let samples = all.get(first..).unwrap_or_default();
            let window = Window { start, samples, trusted, lateness };
            self.rejudge(index, place, id, &window, out);
        }
        let keep = self.keep;
        self.late_held = self.late_held.saturating_sub(part.held.len());
        let Some(state) = self.points.get_mut(index) else { return };
        state.held.refill(&all);
        state.held.trim(keep);
        state.newest = state.newest.max(part.latest);
        let fed = state.feeds_count > 0;
        if fed && lateness == Lateness::Late && !planted(Mutant::DerivedMissesLateData) {
            self.feed_late(index, part, out);
        }
        if let Ok(point) = u32::try_from(index) {
            self.look_at_parents_of(point, part.latest.max(part.earliest));
        }
    }

    pub(crate) fn rejudge(
        &mut self,
        index: usize,
        place: usize,
        id: AlarmId,
        window: &Window<'_>,
        out: &mut Out<'_>,
    ) {
        let Some(hot) = self.hot.get(place) else { return };
        let story = self.story(id);
        let rules = story.map_or_else(|| vec![(i64::MIN, hot.rule)], |s| s.rules(hot.rule));
        let open_since = story.and_then(|s| s.open_at(window.start)).map(|h| h.on);
        let folded = fold(&rules, open_since, window.samples, window.trusted);
        let known = self.known_in(id, window.start);
        if let Some(hot) = self.hot.get_mut(place) {
            hot.judge = folded.end;
        }
        self.replace_ran(id, window.start, &folded, out);
        self.note_ticked(index, place, window.samples, &folded);
        let same = |(k, f): (&Happening, &Found)| k.on == f.on && k.off == f.off;
        if known.len() != folded.found.len() || !known.iter().zip(&folded.found).all(same) {
            self.reconcile(id, &known, &folded.found, window.lateness, out);
        }
        self.rearm(place);
    }

    /// Confirmed occurrences that reach into a window, in order of beginning.
    fn known_in(&self, id: AlarmId, start: i64) -> Vec<Happening> {
        let happenings = self.story(id).map(Story::confirmed);
        let reaches =
            |h: &&Happening| !h.refuted && (h.on > start || h.off.is_none_or(|off| off > start));
        let mut known: Vec<Happening> =
            happenings.into_iter().flatten().filter(reaches).copied().collect();
        known.sort_by_key(|h| (h.on, h.number));
        known
    }

    fn replace_ran(&mut self, id: AlarmId, start: i64, folded: &Folded, out: &Out<'_>) {
        if folded.ran.is_empty() && self.story(id).is_none() {
            return;
        }
        let horizon = self.horizon(id, out.now);
        let story = self.story_mut(id);
        story.ran.retain(|(_, until)| *until <= start);
        for stretch in &folded.ran {
            story.note_ran(*stretch, horizon);
        }
    }

    /// Q4: what ticks had trusted beyond the newest sample stays decided.
    fn note_ticked(&mut self, index: usize, place: usize, samples: &[Sample], folded: &Folded) {
        let newest = samples.last().map_or(i64::MIN, |sample| sample.te());
        let Some(last) = folded.found.last() else { return };
        let edge = last.off.unwrap_or(last.on);
        if edge > newest {
            self.ticked_at(index, place, edge);
        }
    }

    fn reconcile(
        &mut self,
        id: AlarmId,
        known: &[Happening],
        found: &[Found],
        lateness: Lateness,
        out: &mut Out<'_>,
    ) {
        let pairing = pair(known, found);
        let mut numbers = Vec::with_capacity(found.len());
        for (found, partner) in found.iter().zip(&pairing.known_of) {
            match partner.and_then(|place| known.get(place)) {
                Some(was) => {
                    numbers.push(was.number);
                    self.revise(id, *was, found, lateness, out);
                }
                None => {
                    let next = self.story(id).map_or(1, |story| story.next_number);
                    numbers.push(next);
                    self.discover(id, found, lateness, out);
                }
            }
        }
        for (place, into) in pairing.refuted {
            if let Some(was) = known.get(place) {
                let into = into.and_then(|at| numbers.get(at)).copied();
                self.refute(id, *was, into, out);
            }
        }
    }

    /// A known occurrence has other bounds (R8c, Q3).
    fn revise(
        &mut self,
        id: AlarmId,
        was: Happening,
        found: &Found,
        lateness: Lateness,
        out: &mut Out<'_>,
    ) {
        let same = was.on == found.on && was.off == found.off;
        if same || planted(Mutant::BoundsNotRevised) {
            return;
        }
        self.touch(id, was.on.min(found.on), lateness == Lateness::Late);
        let late = Flags { late: lateness == Lateness::Late, ..Flags::default() };
        let from = self.letter(id);
        let story = self.story_mut(id);
        if let Some(happening) = story.numbered(was.number) {
            happening.on = found.on;
            happening.known = out.now.0;
            if was.off.is_some() {
                happening.off = found.off;
            }
        }
        let closes_now = was.off.is_none() && found.off.is_some();
        if was.off.is_some() && found.off.is_none() {
            self.reopen(id, was, found, out);
            return;
        }
        if was.on != found.on || !closes_now {
            let flags = Flags { rev: true, ..Flags::default() };
            let note = self.revised(was, found, from, out).flagged(flags);
            self.write(id, note, out);
        }
        if let Some(te) = found.off.filter(|_| closes_now) {
            self.come_off(id, Edge { te, value: found.value_off, flags: late }, out);
        }
    }

    fn revised(
        &self,
        was: Happening,
        found: &Found,
        from: crate::model::Letter,
        out: &Out<'_>,
    ) -> Note {
        let bounds = |on: i64, off: Option<i64>| match off {
            Some(off) => format!("{on}..{off}"),
            None => format!("{on}.."),
        };
        let now = bounds(found.on, found.off);
        let before = bounds(was.on, was.off);
        let note = Note::at(Cause::Revised, was.number, from, found.on, out.now);
        Note { mark: now.clone(), ..note }.saying(format!("{before} -> {now}"))
    }

    /// Q3: it never ended. Announced, and an earlier acknowledgement is void.
    fn reopen(&mut self, id: AlarmId, was: Happening, found: &Found, out: &mut Out<'_>) {
        let from = self.letter(id);
        let story = self.story_mut(id);
        let hidden = story.overlays.any();
        if let Some(happening) = story.numbered(was.number) {
            happening.wants_answer = !hidden;
        }
        if !hidden {
            story.answered_by = None;
            self.turn(id, Stimulus::Reopened);
        }
        let flags = Flags { rev: true, late: true, ..Flags::default() };
        let note = self.revised(was, found, from, out).flagged(flags).valued(found.value_on);
        self.write(id, note, out);
        if !hidden {
            self.announce(id, out);
        }
    }

    /// An occurrence that nobody knew of (R8a, R8b).
    fn discover(&mut self, id: AlarmId, found: &Found, lateness: Lateness, out: &mut Out<'_>) {
        let late = lateness == Lateness::Late;
        let flags = Flags { late, ..Flags::default() };
        let on = Edge { te: found.on, value: found.value_on, flags };
        match found.off {
            None => self.come_on(id, on, out),
            Some(off) if late => self.late_closed(id, on, off, out),
            Some(off) => {
                self.come_on(id, on, out);
                self.come_off(id, Edge { te: off, value: found.value_off, flags }, out);
            }
        }
    }

    /// R8a, R8e: over already. Must be acknowledged, unless it lay wholly under an overlay.
    fn late_closed(&mut self, id: AlarmId, on: Edge, off: i64, out: &mut Out<'_>) {
        let from = self.letter(id);
        let horizon = self.horizon(id, out.now);
        let story = self.story_mut(id);
        let number = story.begin(on, out.now, horizon);
        let inside = story.overlays.hid(on.te, off) && !planted(Mutant::OverlayForgetsPast);
        self.touch(id, on.te, true);
        let story = self.story_mut(id);
        let hidden = story.overlays.any();
        if let Some(happening) = story.numbered(number) {
            happening.off = Some(off);
            happening.wants_answer = !inside;
        }
        if !inside && !hidden && !planted(Mutant::LateClosedForgotten) {
            story.value = on.value;
            self.turn(id, Stimulus::LateClosed);
        }
        let note = Note::at(Cause::On, number, from, on.te, out.now);
        let said = format!("{}..{off}", on.te);
        self.write(id, note.flagged(on.flags).valued(on.value).saying(said), out);
        if !inside && !hidden {
            self.chime(id, out);
        }
    }

    fn chime(&mut self, id: AlarmId, out: &mut Out<'_>) {
        let gateway = self.spec(id).gateway;
        let Some(state) = self.gateway_mut(gateway) else { return };
        let again = out.now.0.saturating_sub(state.chimed_at) < QUIET_MS;
        if state.chimed && again && !planted(Mutant::ChimeForEach) {
            return;
        }
        state.chimed = true;
        state.chimed_at = out.now.0;
        out.actions.push(Action::Chime { gateway });
    }

    /// R8d: late data say that it never was, or that it was part of another (Q5).
    fn refute(&mut self, id: AlarmId, was: Happening, into: Option<u64>, out: &mut Out<'_>) {
        if was.off.is_none() {
            let flags = Flags { late: true, ..Flags::default() };
            self.come_off(id, Edge { te: out.now.0, value: None, flags }, out);
        }
        if let Some(happening) = self.story_mut(id).numbered(was.number) {
            happening.refuted = !planted(Mutant::NothingRefuted);
        }
        self.touch(id, was.on, true);
        let from = self.letter(id);
        let flags = Flags { rev: true, ..Flags::default() };
        let note = Note::at(Cause::Refuted, was.number, from, was.on, out.now).flagged(flags);
        let said = into.map(|n| format!("并入 / merged into {n}")).unwrap_or_default();
        self.write(id, note.saying(said), out);
    }
}
