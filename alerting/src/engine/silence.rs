//! STALE and OFFLINE: alarms about what does not come.
//!
//! - They live in processing time. Only a fresh sample clears STALE, never a back-fill (W03).
//! - A timer is looked at when it is due, not moved with every sample.
//! - A point's silence is announced once its gateway has proved to be alive; an offline gateway
//!   speaks for its points: their STALE stands as suppressed (H) and ends with the next sample,
//!   or is announced when the gateway has been back for [`UNCOVER_MS`] and its back-fill has ended
//!   (W05). A STALE that is graver than OFFLINE speaks for itself.

use fengsui_telemetry::TimeMs;

use crate::deadlines::Reason;
use crate::engine::rows::Note;
use crate::engine::transitions::Edge;
use crate::engine::{Engine, NONE, Out, QUIET_MS, UNCOVER_MAX_MS, UNCOVER_MS};
use crate::lifecycle::Way;
use crate::model::{AlarmId, Cause, Condition, Flags, GatewayRef, Subject};

/// How long a point's silence waits for a dead-man that has yet to decide: beyond it no fault may
/// stay unannounced (the ceiling of panels for fire and gas, 100 s). A slower dead-man is not waited
/// for.
const UNSURE_MS: i64 = 100_000;

impl Engine {
    /// Counts silence from now on: the first event, or a restart.
    pub(crate) fn begin_watch(&mut self, now: TimeMs) {
        self.watch_from = Some(now);
        // A wall clock that was set back must not leave signs of life in the future.
        for gateway in &mut self.gateways {
            gateway.heard = gateway.heard.min(now.0);
        }
        for point in &mut self.points {
            point.fresh = point.fresh.min(now.0);
        }
        for place in 0..self.alarms.len() {
            let Ok(number) = u32::try_from(place) else { continue };
            let id = AlarmId(number);
            match self.spec(id).condition {
                Condition::Stale { .. } => self.watch(id, Reason::Stale(id)),
                Condition::GatewayOffline { .. } => self.watch(id, Reason::Offline(id)),
                Condition::High { .. }
                | Condition::Low { .. }
                | Condition::Clock { .. }
                | Condition::Unset
                | Condition::Derived(_)
                | Condition::Unjudged => {}
            }
            if let Some(story) = self.alarms.get_mut(place).and_then(|a| a.story.as_mut()) {
                for (until, _) in &mut story.earlier {
                    *until = (*until).min(now.0);
                    self.changed_until = self.changed_until.max(*until);
                }
            }
        }
    }

    fn watch(&mut self, id: AlarmId, reason: Reason) {
        if let Some((due, _)) = self.silent_at(id) {
            self.deadlines.arm(TimeMs(due), reason);
        }
    }

    /// When silence is due, and since when it then counts; none while it is on.
    fn silent_at(&self, id: AlarmId) -> Option<(i64, i64)> {
        let from = self.watch_from?.0;
        let spec = self.spec(id);
        if self.alarms.get(id.0 as usize)?.silent {
            return None;
        }
        match (spec.condition, spec.subject) {
            (Condition::Stale { after_ms }, Subject::Point(point)) => {
                let fresh = self.points.get(point.0 as usize)?.fresh;
                let known = if fresh == i64::MIN { from } else { fresh };
                let due = fresh.max(from).saturating_add(*after_ms);
                Some((due, known.saturating_add(*after_ms)))
            }
            (Condition::GatewayOffline { after_ms }, Subject::Gateway(gateway)) => {
                let heard = self.gateways.get(gateway.0 as usize)?.heard;
                let due = heard.max(from).saturating_add(*after_ms);
                Some((due, due))
            }
            (
                Condition::High { .. }
                | Condition::Low { .. }
                | Condition::Clock { .. }
                | Condition::Unset
                | Condition::Derived(_)
                | Condition::Unjudged,
                _,
            )
            | (Condition::Stale { .. }, Subject::Gateway(_))
            | (Condition::GatewayOffline { .. }, Subject::Point(_)) => None,
        }
    }

    pub(crate) fn stale_due(&mut self, id: AlarmId, out: &mut Out<'_>) {
        let Some((due, te)) = self.silent_at(id) else { return };
        if due > out.now.0 {
            self.deadlines.arm(TimeMs(due), Reason::Stale(id));
            return;
        }
        let gateway = self.spec(id).gateway;
        let Some(state) = self.gateway_mut(gateway) else { return };
        let unsure = state.offline != NONE && !state.cover && state.heard < due;
        let offline = AlarmId(state.offline);
        let unsure = unsure && self.outranks(offline, id);
        if unsure && self.silent_at(offline).is_some_and(|(at, _)| at - out.now.0 <= UNSURE_MS) {
            // Is it the point, or the gateway? The next beat or the dead-man will tell.
            if let Some(state) = self.gateway_mut(gateway) {
                state.waiting.push(id);
            }
            return;
        }
        self.set_silent(id, true);
        self.come_on(id, Edge { te, value: None, flags: Flags::default() }, out);
    }

    pub(crate) fn offline_due(&mut self, id: AlarmId, out: &mut Out<'_>) {
        let Some((due, te)) = self.silent_at(id) else { return };
        if due > out.now.0 {
            self.deadlines.arm(TimeMs(due), Reason::Offline(id));
            return;
        }
        let gateway = self.spec(id).gateway;
        self.set_silent(id, true);
        if let Some(state) = self.gateway_mut(gateway) {
            state.cover = true;
            if let Some(at) = state.uncover_at.take() {
                self.deadlines.disarm(at, Reason::Uncover(gateway));
            }
        }
        self.come_on(id, Edge { te, value: None, flags: Flags::default() }, out);
        self.look_at_waiting(gateway, out);
    }

    /// A sign of life.
    pub(crate) fn heard(&mut self, gateway: GatewayRef, out: &mut Out<'_>) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        state.heard = out.now.0;
        let offline = AlarmId(state.offline);
        let was_offline = self.alarms.get(offline.0 as usize).is_some_and(|alarm| alarm.silent);
        if was_offline {
            self.set_silent(offline, false);
            let edge = Edge { te: out.now.0, value: None, flags: Flags::default() };
            self.come_off(offline, edge, out);
            self.watch(offline, Reason::Offline(offline));
            let at = out.now + UNCOVER_MS;
            if let Some(state) = self.gateway_mut(gateway) {
                state.uncover_at = Some(at);
                state.back_at = out.now.0;
            }
            self.deadlines.arm(at, Reason::Uncover(gateway));
        }
        self.look_at_waiting(gateway, out);
    }

    /// The gateway is silent now; its points may stay covered for a while after its return.
    pub(crate) fn is_offline(&self, gateway: GatewayRef) -> bool {
        let offline = self.gateways.get(gateway.0 as usize).map_or(NONE, |state| state.offline);
        offline != NONE && self.is_active(AlarmId(offline))
    }

    fn look_at_waiting(&mut self, gateway: GatewayRef, out: &mut Out<'_>) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        for id in std::mem::take(&mut state.waiting) {
            self.stale_due(id, out);
        }
    }

    /// Lays the gateway's silence over the STALE of one of its points.
    pub(crate) fn lay_parent(&mut self, id: AlarmId, now: TimeMs) {
        if !matches!(self.spec(id).condition, Condition::Stale { .. }) || !self.is_covered(id) {
            return;
        }
        let gateway = self.spec(id).gateway;
        let Some(state) = self.gateway_mut(gateway) else { return };
        state.covered.push(id);
        let overlays = &mut self.story_mut(id).overlays;
        overlays.begin(now);
        overlays.parent = true;
    }

    /// The silence of its gateway may speak for this alarm, and does.
    fn is_covered(&self, id: AlarmId) -> bool {
        let state = self.gateways.get(self.spec(id).gateway.0 as usize);
        state.is_some_and(|state| {
            state.cover && state.offline != NONE && self.outranks(AlarmId(state.offline), id)
        })
    }

    /// Under a new plan OFFLINE may be of lower priority than what it covers.
    pub(crate) fn measure_covers(&mut self, out: &mut Out<'_>) {
        for number in 0..self.gateways.len() {
            let covered = self.gateways.get(number).map_or(Vec::new(), |g| g.covered.clone());
            let (stay, speak) = covered.into_iter().partition(|id| self.is_covered(*id));
            if let Some(state) = self.gateways.get_mut(number) {
                state.covered = stay;
            }
            self.let_go(speak, out);
        }
    }

    /// The gateway has been back for long enough: what is still silent speaks for itself.
    pub(crate) fn uncover(&mut self, gateway: GatewayRef, out: &mut Out<'_>) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        let back_for = out.now.0.saturating_sub(state.back_at);
        let filling = state.quiet_at.is_some() || !state.asking.is_empty();
        if filling && back_for < UNCOVER_MAX_MS {
            let at = out.now + QUIET_MS;
            state.uncover_at = Some(at);
            self.deadlines.arm(at, Reason::Uncover(gateway));
            return;
        }
        state.uncover_at = None;
        state.cover = false;
        let covered = std::mem::take(&mut state.covered);
        self.let_go(covered, out);
    }

    /// What is still silent is covered no longer.
    fn let_go(&mut self, covered: Vec<AlarmId>, out: &mut Out<'_>) {
        for id in covered {
            if !self.story(id).is_some_and(|story| story.overlays.parent) {
                continue;
            }
            let (current, letter) = (self.current(id), self.letter(id));
            let note = Note::at(Cause::Unsuppressed, current, letter, out.now.0, out.now);
            let note = Note { te: None, ..note };
            self.end_overlay(id, Way::ByRule, note, |overlays| overlays.parent = false, out);
        }
    }

    /// A live sample with a number came while STALE was on.
    pub(crate) fn maybe_fresh(&mut self, point: usize, te: TimeMs, out: &mut Out<'_>) {
        let Some(state) = self.points.get(point) else { return };
        let id = AlarmId(state.stale);
        let Some(alarm) = self.alarms.get(id.0 as usize).filter(|alarm| alarm.silent) else {
            return;
        };
        debug_assert!(alarm.hot == NONE, "STALE is no limit alarm");
        let Condition::Stale { after_ms } = *self.spec(id).condition else { return };
        if out.now.since(te) >= after_ms {
            return;
        }
        let value = self.value_now(point);
        self.set_silent(id, false);
        self.come_off(id, Edge { te: te.0, value, flags: Flags::default() }, out);
        self.watch(id, Reason::Stale(id));
    }

    pub(crate) fn set_silent(&mut self, id: AlarmId, on: bool) {
        if let Some(alarm) = self.alarms.get_mut(id.0 as usize) {
            alarm.silent = on;
        }
        if let (Condition::Stale { .. }, Subject::Point(point)) =
            (self.spec(id).condition, self.spec(id).subject)
            && let Some(state) = self.point_mut(point)
        {
            state.stale_on = on;
            self.look_at_parents_of(point.0, self.latest);
        }
        if let Subject::Gateway(_) = self.spec(id).subject {
            self.look_at_parents();
        }
    }
}
