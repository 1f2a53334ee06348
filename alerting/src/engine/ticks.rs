//! Time passing: delays on held values, shelves, re-alarms, and what a restart holds back (R2b, R7).

use fengsui_telemetry::TimeMs;

use crate::condition::NEVER;
use crate::deadlines::Reason;
use crate::engine::rows::Note;
use crate::engine::transitions::Edge;
use crate::engine::{Engine, Out, RELEASE_MS};
use crate::lifecycle::{Stimulus, Turn};
use crate::model::{AlarmId, Cause, Flags, GatewayRef, Letter, Subject};
use crate::mutant::{Mutant, planted};

impl Engine {
    /// Everything that is due, in order; re-alarms last.
    pub(crate) fn tick(&mut self, out: &mut Out<'_>) {
        self.last_tick = self.last_tick.max(out.now.0);
        loop {
            if self.deadlines.shelf_comes_first()
                && let Some((until, id)) = self.deadlines.take_shelf(out.now)
            {
                self.end_shelf(id, until, until, out);
                continue;
            }
            let Some((at, reason)) = self.deadlines.take_timer(out.now) else { break };
            self.due(at, reason, out);
        }
        self.end_shelves(out);
        for (at, id) in std::mem::take(&mut self.realarms) {
            self.realarm(at, id, out);
        }
    }

    fn due(&mut self, at: TimeMs, reason: Reason, out: &mut Out<'_>) {
        match reason {
            Reason::Delay(id) => {
                if let Some(alarm) = self.alarms.get_mut(id.0 as usize) {
                    alarm.armed = NEVER;
                }
                if !self.defers(id) {
                    self.delay_due(id, out);
                }
            }
            Reason::Signal(id) => {
                if self.defers(id) {
                    // Armed anew when the gateway's ticks are let go.
                    self.forget_signal_timer(id);
                } else {
                    self.signal_due(id, out);
                }
            }
            Reason::Gather(id) => self.gather_due(id, out),
            Reason::Clock(id) => self.clock_due(id, out),
            Reason::Stale(id) => {
                if !self.defers(id) {
                    self.stale_due(id, out);
                }
            }
            Reason::Offline(id) => self.offline_due(id, out),
            Reason::Uncover(gateway) => self.uncover(gateway, out),
            Reason::Quiet(gateway) => self.quiet(gateway, out),
            Reason::Ask(gateway) => self.ask_overdue(gateway, out),
            Reason::Release(gateway) => self.release(gateway),
            Reason::ReAlarm(id) => {
                if let Some(alarm) = self.alarms.get_mut(id.0 as usize) {
                    alarm.set_realarm(NEVER);
                }
                self.realarms.push((at, id));
            }
        }
    }

    /// R7: puts aside what a gateway's restart holds back.
    fn defers(&mut self, id: AlarmId) -> bool {
        let gateway = self.spec(id).gateway;
        match self.gateway_mut(gateway) {
            Some(state) if state.held_until.is_some() && !planted(Mutant::TicksAfterRestart) => {
                state.deferred.push(id);
                true
            }
            Some(_) | None => false,
        }
    }

    /// A delay has run out on the held value.
    fn delay_due(&mut self, id: AlarmId, out: &mut Out<'_>) {
        let Subject::Point(point) = self.spec(id).subject else { return };
        let lag = if planted(Mutant::TickWithoutLag) { 0 } else { self.spec(id).times.hold_lag_ms };
        let restarted = self.gateways.get(self.spec(id).gateway.0 as usize).map(|g| g.restarted);
        let Some(alarm) = self.alarms.get(id.0 as usize) else { return };
        let place = alarm.hot as usize;
        let Some(hot) = self.hot.get_mut(place) else { return };
        if let Some((since, te)) = hot.judge.expire(out.now.0.saturating_sub(lag)) {
            let on = hot.judge.active;
            let horizon = self.horizon(id, out.now);
            self.story_mut(id).note_ran((since, te), horizon);
            let index = point.0 as usize;
            self.ticked_at(index, place, te);
            let recovered = restarted.is_some_and(|at| te.saturating_add(lag) <= at);
            let flags = Flags { hold: true, recovered, ..Flags::default() };
            let value = self.value_now(index);
            self.edge(id, on, Edge { te, value, flags }, out);
        }
        self.rearm(place);
    }

    /// A tick has decided something at this time: what is older goes down the late path (Q4).
    pub(crate) fn ticked_at(&mut self, index: usize, place: usize, te: i64) {
        if let Some(signal) = self.signal_at(place).and_then(|n| self.signals.get_mut(n)) {
            signal.ticked = signal.ticked.max(te);
        } else if let Some(state) = self.points.get_mut(index) {
            state.ticked = state.ticked.max(te);
        }
    }

    fn forget_signal_timer(&mut self, id: AlarmId) {
        let signal = self.signal_of(id).and_then(|n| self.signals.get_mut(n));
        if let Some(signal) = signal {
            signal.armed = NEVER;
        }
    }

    /// Keeps the timer of a limit alarm in step with its delay.
    pub(crate) fn rearm(&mut self, place: usize) {
        let Some(hot) = self.hot.get(place) else { return };
        let id = AlarmId(hot.alarm);
        let lag = if planted(Mutant::TickWithoutLag) { 0 } else { self.spec(id).times.hold_lag_ms };
        let due = hot.judge.due().map_or(NEVER, |deadline| deadline.saturating_add(lag));
        let Some(alarm) = self.alarms.get_mut(id.0 as usize) else { return };
        if alarm.armed != due {
            self.deadlines.disarm(TimeMs(alarm.armed), Reason::Delay(id));
            if due != NEVER {
                self.deadlines.arm(TimeMs(due), Reason::Delay(id));
            }
            alarm.armed = due;
        }
    }

    /// T16: announced again, and asked again.
    fn realarm(&mut self, due: TimeMs, id: AlarmId, out: &mut Out<'_>) {
        let from = self.letter(id);
        if !matches!(from, Letter::B | Letter::C)
            || self.turn(id, Stimulus::ReAlarm) == Turn::Refused
        {
            return;
        }
        let current = self.current(id);
        let story = self.story_mut(id);
        story.answered_by = None;
        if let Some(happening) = story.numbered(current) {
            happening.wants_answer = true;
        }
        let note = Note::at(Cause::ReAlarm, current, from, due.0, out.now);
        self.write(id, Note { te: None, ..note }, out);
        self.announce(id, out);
    }

    /// R7: the engine was down. Shelves end first, with the time of this restart; delays and
    /// silence wait for each gateway's live lane.
    pub(crate) fn restarted(&mut self, out: &mut Out<'_>) {
        while let Some((until, id)) = self.deadlines.take_shelf(out.now) {
            self.end_shelf(id, until, out.now, out);
        }
        let tick_before = self.last_tick;
        for (number, state) in (0_u32..).zip(&mut self.gateways) {
            let gateway = GatewayRef(number);
            if let Some(until) = state.held_until.take() {
                self.deadlines.disarm(until, Reason::Release(gateway));
            } else {
                state.tick_before = tick_before;
            }
            let until = out.now + RELEASE_MS;
            state.held_until = Some(until);
            state.restarted = out.now.0;
            self.deadlines.arm(until, Reason::Release(gateway));
        }
        self.begin_watch(out.now);
        self.resume_late(Some(out.now));
        self.resume_gathers(Some(out.now));
        self.show_unset(out);
        self.follow_parents(out);
    }

    /// The live lane is where the gateway was: held values may be trusted again.
    pub(crate) fn caught_up(&mut self, gateway: GatewayRef, out: &mut Out<'_>) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        let Some(until) = state.held_until else { return };
        self.deadlines.disarm(until, Reason::Release(gateway));
        self.release(gateway);
        self.tick(out);
    }

    fn release(&mut self, gateway: GatewayRef) {
        let Some(state) = self.gateway_mut(gateway) else { return };
        state.held_until = None;
        for id in std::mem::take(&mut state.deferred) {
            match self.alarms.get(id.0 as usize).map(|alarm| alarm.hot as usize) {
                Some(place) if place < self.hot.len() => {
                    self.rearm(place);
                    if let Some(n) = self.signal_at(place) {
                        self.rearm_signal(n);
                    }
                }
                Some(_) => self.deadlines.arm(TimeMs(self.last_tick), Reason::Stale(id)),
                None => {}
            }
        }
    }
}
