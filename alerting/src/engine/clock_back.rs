//! The wall clock was set back: what runs by it goes back with it.
//!
//! - A running delay, a shelf, a silence keeps what was left of it. Without this a gateway whose
//!   clock was wrong would take every new sample for an old one and keep its horn quiet until the
//!   old time has come again.
//! - Samples of times that come again are dropped from memory, and late data from before the step
//!   are history only: the order of the two is not known.
//! - A step forward needs nothing: delays and silences end early, on the safe side.

use crate::condition::NEVER;
use crate::engine::rows::Note;
use crate::engine::state::{Alarm, GatewayState};
use crate::engine::{Engine, Out};
use crate::model::{AlarmId, Cause, Flags};
use crate::signal::Signal;

impl Engine {
    pub(crate) fn clock_went_back(&mut self, out: &mut Out<'_>) {
        let back = self.latest.saturating_sub(out.now.0);
        self.latest = out.now.0;
        self.last_tick = earlier(self.last_tick, back);
        self.watch_from = self.watch_from.map(|from| from - back);
        self.deadlines.shift_back(back);
        for gateway in &mut self.gateways {
            shift_gateway(gateway, back);
        }
        for alarm in &mut self.alarms {
            shift_alarm(alarm, back);
        }
        for hot in &mut self.hot {
            let judge = &mut hot.judge;
            for time in [&mut judge.deadline, &mut judge.frozen, &mut judge.since] {
                *time = earlier(*time, back);
            }
        }
        let just_before = out.now.0.saturating_sub(1);
        for point in &mut self.points {
            let ahead = point.newest > just_before;
            let cut = point.held.cut_after(just_before);
            if ahead || cut {
                point.known_from = point.known_from.max(out.now.0);
            }
            for time in [&mut point.newest, &mut point.fresh, &mut point.ticked] {
                *time = (*time).min(just_before);
            }
        }
        for signal in &mut self.signals {
            shift_signal(signal, back, just_before);
        }
        for number in 0..self.hot.len() {
            if let Some(id) = self.hot.get(number).map(|hot| AlarmId(hot.alarm)) {
                self.outdate(id, just_before, out);
            }
        }
    }

    /// What has happened at times that come again binds no recomputation; what is open began
    /// before now at the latest.
    fn outdate(&mut self, id: AlarmId, just_before: i64, out: &mut Out<'_>) {
        if self.story(id).is_none() {
            return;
        }
        let from = self.letter(id);
        let story = self.story_mut(id);
        story.ran.retain(|(_, until)| *until <= just_before);
        let open = story.open().map(|happening| {
            let moved = happening.on > just_before;
            happening.on = happening.on.min(just_before);
            (happening.number, happening.on, moved)
        });
        story.outdated = (story.next_number - 1, open.map_or(0, |(number, _, _)| number));
        if let Some((number, on, true)) = open {
            let flags = Flags { rev: true, ..Flags::default() };
            let note = Note::at(Cause::Revised, number, from, on, out.now).flagged(flags);
            self.write(id, note.saying("时钟回拨 / the clock was set back".to_owned()), out);
        }
    }
}

fn earlier(time: i64, back: i64) -> i64 {
    if time == NEVER || time == i64::MIN { time } else { time.saturating_sub(back) }
}

fn shift_signal(signal: &mut Signal, back: i64, just_before: i64) {
    let ahead = signal.judged_to > just_before;
    let mut cut = false;
    for input in &mut signal.inputs {
        cut |= input.held.cut_after(just_before);
    }
    if ahead || cut {
        signal.known_from = signal.known_from.max(just_before.saturating_add(1));
    }
    signal.judged_to = signal.judged_to.min(just_before);
    signal.ticked = signal.ticked.min(just_before);
    signal.pending = signal.pending.filter(|te| *te <= just_before);
    for time in [&mut signal.armed, &mut signal.gather_armed] {
        *time = earlier(*time, back);
    }
}

fn shift_gateway(gateway: &mut GatewayState, back: i64) {
    for time in [
        &mut gateway.heard,
        &mut gateway.restarted,
        &mut gateway.tick_before,
        &mut gateway.late_at,
        &mut gateway.chimed_at,
        &mut gateway.back_at,
        &mut gateway.future_at,
    ] {
        *time = earlier(*time, back);
    }
    for time in [
        &mut gateway.held_until,
        &mut gateway.uncover_at,
        &mut gateway.quiet_at,
        &mut gateway.ask_at,
    ] {
        *time = time.map(|at| at - back);
    }
}

fn shift_alarm(alarm: &mut Alarm, back: i64) {
    alarm.armed = earlier(alarm.armed, back);
    let Some(story) = &mut alarm.story else { return };
    story.realarm = earlier(story.realarm, back);
    story.announced = story.announced - back;
    story.overlays.since = story.overlays.since - back;
    if let Some(shelf) = &mut story.overlays.shelf {
        shelf.until = shelf.until - back;
    }
    for (until, _) in &mut story.earlier {
        *until = earlier(*until, back);
    }
}
