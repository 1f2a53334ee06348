//! The engine: every alarm of one host behind one `handle`.
//!
//! - One event at a time, deadlines and late data included; nothing happens between events.
//! - What a sample costs: one append and one comparison per limit, no allocation, unless
//!   something changes.
//! - Silence alarms (STALE, OFFLINE) live in processing time; limit alarms in event time.

mod by_design;
mod clock_back;
mod clocks;
mod commands;
mod gather;
mod late;
mod one_sensor;
mod rows;
mod samples;
mod settle;
mod shelve;
mod signals;
mod silence;
mod state;
mod ticks;
mod told;
mod transitions;
mod unjudged;

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::{Revision, TimeMs};

pub(crate) use self::commands::Requests;
pub(crate) use self::state::{Alarm, GatewayState, Hot, LatePart, NONE, PointState};
pub use self::told::{Told, ToldRow};
pub(crate) use self::transitions::Edge;
pub(crate) use self::unjudged::{Past, Was};

use crate::deadlines::{Deadlines, Reason};
use crate::model::{
    Action, AlarmId, Event, GatewayRef, Letter, Occurrence, Plan, PointRef, Standing, TimeRules,
};
use crate::plan::{PlanFault, RestoreFault, faults};
use crate::signal::Signal;
use crate::snapshot;
use crate::specs::{SpecRef, Specs};

/// R7: after a restart a gateway's ticks wait for its live lane, at most this long (Q29).
pub(crate) const RELEASE_MS: i64 = 5_000;
/// R8: a back-fill that has been quiet for this long has ended.
pub(crate) const QUIET_MS: i64 = 5_000;
/// A clock that goes back by more than this was set; less is jitter between tasks.
pub(crate) const CLOCK_BACK_MS: i64 = 10_000;
/// Once a gateway is heard again, its points have this long to report before their own STALE
/// speaks (W05).
pub(crate) const UNCOVER_MS: i64 = 60_000;
/// A back-fill that is under way lengthens that, up to this (W05).
pub(crate) const UNCOVER_MAX_MS: i64 = 600_000;

/// The alarm engine of one host.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) specs: Specs,
    pub(crate) alarms: Vec<Alarm>,
    /// Limit alarms, those of one point side by side, second levels first.
    pub(crate) hot: Vec<Hot>,
    pub(crate) points: Vec<PointState>,
    pub(crate) gateways: Vec<GatewayState>,
    pub(crate) times: Vec<TimeRules>,
    pub(crate) deadlines: Deadlines,
    pub(crate) standing: BTreeSet<AlarmId>,
    pub(crate) requests: Requests,
    /// The first event, or the newest restart: silence is counted from here.
    pub(crate) watch_from: Option<TimeMs>,
    /// Limits before a change judge up to here at the latest.
    pub(crate) changed_until: i64,
    /// The newest tick: held values are trusted up to here, less the lag.
    pub(crate) last_tick: i64,
    /// The latest time of any event.
    pub(crate) latest: i64,
    /// Samples kept per point.
    pub(crate) keep: usize,
    /// The same while the store is asked.
    pub(crate) keep_asked: usize,
    /// Backlog samples held until they are settled.
    pub(crate) late_held: usize,
    /// Alarms that another alarm may have stopped speaking for, looked at when an event is done.
    pub(crate) unspoken: Vec<AlarmId>,
    /// How many of `hot` are plain limits; after them come the derived alarms, as in `signals`.
    pub(crate) plain: usize,
    pub(crate) signals: Vec<Signal>,
    /// For each point a stretch: which derived alarms look at it, and as which input.
    pub(crate) feeds: Vec<(usize, usize)>,
    /// Alarms that others look at.
    pub(crate) watched: BTreeSet<AlarmId>,
    /// What each alarm suppresses while it is on.
    pub(crate) children: BTreeMap<AlarmId, Vec<AlarmId>>,
    /// Which of the alarms that suppress judge by a point.
    pub(crate) parents_by: BTreeMap<u32, Vec<AlarmId>>,
    /// Alarms that may suppress now, or no longer, and since when; looked at when an event is done.
    pub(crate) regarded: Vec<(AlarmId, i64)>,
    /// Points with RANGE or BADQ, and what these speak for.
    pub(crate) sensors: BTreeMap<PointRef, one_sensor::SensorFaults>,
    /// Alarms whose occurrences have changed in this event, from when on, and whether by late data.
    pub(crate) touched: Vec<(AlarmId, i64, bool)>,
    /// Re-alarms of the tick in progress.
    pub(crate) realarms: Vec<(TimeMs, AlarmId)>,
    /// Alarms of which the plan has made something else, until the first event under it.
    pub(crate) changed: Vec<(AlarmId, Was)>,
    /// The plan may be another one since the last event: what was laid under it is measured anew.
    pub(crate) replanned: bool,
}

/// The number that a gateway has now, by the one that it had.
type Renumber<'a> = &'a dyn Fn(GatewayRef) -> GatewayRef;

/// Where actions go, and the time of the event.
pub(crate) struct Out<'a> {
    pub(crate) now: TimeMs,
    pub(crate) actions: &'a mut Vec<Action>,
}

impl Engine {
    /// An engine that has seen nothing yet.
    ///
    /// # Errors
    /// Every fault of the plan.
    pub fn new(plan: Plan) -> Result<Self, Vec<PlanFault>> {
        let faults = faults(&plan);
        if faults.is_empty() { Ok(Self::lay_out(plan)) } else { Err(faults) }
    }

    /// The engine of a snapshot, under this plan. Alarms are found again by their key, points and
    /// gateways by their number; alarms that the snapshot does not know start in A. A limit that
    /// differs holds from the next event on; late data from before are judged by the old one.
    ///
    /// # Errors
    /// The plan has faults, or the bytes are no whole snapshot of this version.
    pub fn restore(plan: Plan, snapshot: &[u8]) -> Result<Self, RestoreFault> {
        Self::restore_as(plan, snapshot, &|gateway| gateway)
    }

    fn restore_as(plan: Plan, snapshot: &[u8], now: Renumber<'_>) -> Result<Self, RestoreFault> {
        let mut engine = Self::new(plan).map_err(RestoreFault::Plan)?;
        let same = snapshot::read_into(&mut engine, snapshot, now)?;
        engine.stand_restored();
        if !same {
            engine.arm_restored();
        }
        // Also where nothing but a priority is another: under the same plan nothing comes of it.
        engine.replanned = true;
        Ok(engine)
    }

    /// As [`Engine::restore`], and what the snapshot knows and the plan does not have goes on as
    /// [`Condition::Unjudged`] behind the alarms of the plan: what is in alarm stands until a person
    /// has answered it, and the numbers of its occurrences go on when it comes back.
    ///
    /// # Errors
    /// As [`Engine::restore`].
    pub fn restore_with_past(plan: Plan, snapshot: &[u8]) -> Result<Self, RestoreFault> {
        Self::restore_renumbered(plan, snapshot, &|gateway| gateway)
    }

    /// As [`Engine::restore_with_past`], where the host has numbered its gateways anew: `now` tells
    /// the number of each that the snapshot has. Gateways that are gone share one that the plan
    /// does not use.
    ///
    /// # Errors
    /// As [`Engine::restore`].
    pub fn restore_renumbered(
        plan: Plan,
        snapshot: &[u8],
        now: &dyn Fn(GatewayRef) -> GatewayRef,
    ) -> Result<Self, RestoreFault> {
        let mut past = snapshot::past(snapshot)?;
        past.iter_mut().for_each(|one| one.renumber(now));
        Self::restore_as(unjudged::with_past(plan, past), snapshot, now)
    }

    /// Everything that [`Engine::restore`] needs.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        snapshot::write(self)
    }

    /// Takes one event; `actions` grows by what the host must do, in that order. `now` is the
    /// host's wall clock. Where it steps back by more than ten seconds, everything that runs by
    /// it steps back with it.
    pub fn handle(&mut self, event: Event, now: TimeMs, actions: &mut Vec<Action>) {
        let mut out = Out { now, actions };
        if now.0 < self.latest.saturating_sub(CLOCK_BACK_MS) {
            self.clock_went_back(&mut out);
            self.look_at_parents();
        }
        self.latest = self.latest.max(now.0);
        if !self.changed.is_empty() {
            self.tell_changed(&mut out);
        }
        if std::mem::take(&mut self.replanned) {
            self.measure_anew(&mut out);
        }
        if self.watch_from.is_none() {
            self.begin_watch(now);
            self.show_unset(&mut out);
        }
        if self.deadlines.next_shelf().is_some_and(|(until, _)| until <= now) {
            match event {
                // At a tick shelves and delays end in the order in which they are due (Q9).
                Event::Wake | Event::Restarted => {}
                Event::Sample { .. }
                | Event::Settle { .. }
                | Event::Heard { .. }
                | Event::CaughtUp { .. }
                | Event::Clock { .. }
                | Event::Command(_)
                | Event::History { .. } => self.end_shelves(&mut out),
            }
        }
        match event {
            Event::Sample { point, te, reading, lane } => {
                self.sample(point, te, reading, lane, &mut out);
                self.look_at_parents_of(point.0, te.0.min(now.0));
            }
            Event::Settle { gateway } => self.settle(gateway, &mut out),
            Event::Heard { gateway } => self.heard(gateway, &mut out),
            Event::Clock { gateway, skew_ms, synchronised } => {
                self.clock_report(gateway, skew_ms, synchronised, &mut out);
            }
            Event::Restarted => self.restarted(&mut out),
            Event::CaughtUp { gateway } => self.caught_up(gateway, &mut out),
            Event::Command(command) => self.command(&command, &mut out),
            Event::History { point, from, samples } => {
                self.history(point, from, &samples, &mut out);
                self.gathered(point, from, &samples, &mut out);
            }
            Event::Wake => self.tick(&mut out),
        }
        while !self.touched.is_empty() || !self.regarded.is_empty() {
            self.follow_alarms(&mut out);
            self.follow_regarded(&mut out);
        }
        if !self.unspoken.is_empty() {
            self.speak_up(&mut out);
        }
    }

    /// When the engine wants [`Event::Wake`]; a time that has passed means at once.
    #[must_use]
    pub fn wake_at(&self) -> Option<TimeMs> {
        match self.watch_from {
            Some(_) => self.deadlines.next(),
            // Silence is counted from the first event: have it soon.
            None => Some(TimeMs(0)),
        }
    }

    /// The plan, put together anew: for whoever needs all of it.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.specs.plan()
    }

    /// Names the plan.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.specs.revision()
    }

    /// The alarms of the plan, in order of [`AlarmId`].
    pub fn specs(&self) -> impl Iterator<Item = SpecRef<'_>> {
        self.specs.iter()
    }

    /// One alarm of the plan; none where the plan does not have it.
    #[must_use]
    pub fn spec_of(&self, alarm: AlarmId) -> Option<SpecRef<'_>> {
        self.specs.get(alarm)
    }

    /// How one alarm stands. An alarm that the plan does not have stands in A.
    #[must_use]
    pub fn standing(&self, alarm: AlarmId) -> Standing {
        let mut standing = Standing {
            alarm,
            letter: Letter::A,
            occurrence: None,
            active: self.is_active(alarm),
            unacknowledged: Vec::new(),
            value: None,
            since: TimeMs(0),
            acknowledged_by: None,
            shelf_until: None,
        };
        if let Some(story) = self.story(alarm) {
            let current = story.current();
            let shown = story.happenings.iter().rev().find(|h| h.number == current);
            standing.letter = story.letter();
            standing.occurrence = shown.map(|h| h.public());
            let waiting = story.happenings.iter().filter(|h| h.wants_answer);
            standing.unacknowledged = waiting.map(|h| h.number).collect();
            // Of two occurrences each has its own.
            standing.value = shown.map_or(story.value, |h| h.value);
            standing.since = story.since;
            standing.acknowledged_by.clone_from(&story.answered_by);
            standing.shelf_until = story.overlays.shelf.map(|shelf| shelf.until);
        }
        standing
    }

    /// When the host knew of the newest edge of one occurrence, and the value there; none where it is
    /// not known any more.
    #[must_use]
    pub fn edge_of(&self, alarm: AlarmId, occurrence: u64) -> Option<(TimeMs, Option<f64>)> {
        let happenings = &self.story(alarm)?.happenings;
        let place = happenings.partition_point(|h| h.number < occurrence);
        let found = happenings.get(place).filter(|h| h.number == occurrence)?;
        Some((TimeMs(found.known), found.value))
    }

    /// The number of the newest occurrence that an alarm has had; 0: none yet.
    #[must_use]
    pub fn highest(&self, alarm: AlarmId) -> u64 {
        self.story(alarm).map_or(0, |story| story.next_number - 1)
    }

    /// When something was last heard of a gateway; none: never.
    #[must_use]
    pub fn last_heard(&self, gateway: GatewayRef) -> Option<TimeMs> {
        let heard = self.gateways.get(gateway.0 as usize)?.heard;
        (heard != i64::MIN).then_some(TimeMs(heard))
    }

    /// The clock of a gateway was last reported wrong.
    #[must_use]
    pub fn clock_bad(&self, gateway: GatewayRef) -> bool {
        self.gateways.get(gateway.0 as usize).is_some_and(|state| state.clock_bad)
    }

    /// The latest stamp that was taken in order from any point of a gateway; none: no such sample.
    #[must_use]
    pub fn newest_of(&self, gateway: GatewayRef) -> Option<TimeMs> {
        let points = self.points.iter().filter(|point| point.gateway == gateway.0);
        let newest = points.map(|point| point.newest).max()?;
        (newest != i64::MIN).then_some(TimeMs(newest))
    }

    /// Every alarm whose letter is not A, in order of [`AlarmId`].
    #[must_use]
    pub fn all_standing(&self) -> Vec<Standing> {
        self.standing.iter().map(|alarm| self.standing(*alarm)).collect()
    }

    /// The occurrences of one alarm that are still kept, refuted ones included, in order of
    /// number.
    #[must_use]
    pub fn occurrences(&self, alarm: AlarmId) -> Vec<Occurrence> {
        let happenings = self.story(alarm).map(|story| &story.happenings);
        happenings.into_iter().flatten().map(|h| h.public()).collect()
    }

    /// How far the held values of a point's gateway are trusted.
    pub(crate) fn trusted(&self, point: &PointState) -> i64 {
        self.trusted_for(point.gateway, self.rules_of(point).hold_lag_ms)
    }

    /// How far an alarm trusts held values.
    pub(crate) fn trusted_by(&self, id: AlarmId) -> i64 {
        let spec = self.spec(id);
        self.trusted_for(spec.gateway.0, spec.times.hold_lag_ms)
    }

    fn trusted_for(&self, gateway: u32, lag: i64) -> i64 {
        let gateway = self.gateways.get(gateway as usize);
        let held = gateway.filter(|g| g.held_until.is_some()).map(|g| g.tick_before);
        held.unwrap_or(self.last_tick).saturating_sub(lag)
    }

    pub(crate) fn rules_of(&self, point: &PointState) -> TimeRules {
        self.times.get(point.times as usize).copied().unwrap_or_default()
    }

    pub(crate) fn gateway_mut(&mut self, gateway: GatewayRef) -> Option<&mut GatewayState> {
        self.gateways.get_mut(gateway.0 as usize)
    }

    pub(crate) fn point_mut(&mut self, point: PointRef) -> Option<&mut PointState> {
        self.points.get_mut(point.0 as usize)
    }

    pub(crate) fn is_active(&self, alarm: AlarmId) -> bool {
        match self.alarms.get(alarm.0 as usize) {
            Some(state) if state.hot == NONE => state.silent,
            Some(state) => self.hot.get(state.hot as usize).is_some_and(|h| h.judge.active),
            None => false,
        }
    }

    /// Arms what a snapshot had armed.
    fn stand_restored(&mut self) {
        let ids = (0_u32..).zip(&self.alarms).filter(|(_, alarm)| alarm.story.is_some());
        let ids: Vec<AlarmId> = ids.map(|(id, _)| AlarmId(id)).collect();
        for id in ids {
            if let Some(shelf) = self.story(id).and_then(|story| story.overlays.shelf) {
                self.deadlines.shelve(shelf.until, id);
            }
            if self.story(id).is_some_and(|story| story.letter() != Letter::A) {
                self.standing.insert(id);
            }
        }
    }

    /// Timers follow from the state where the plan is another one.
    fn arm_restored(&mut self) {
        for index in 0..self.hot.len() {
            self.rearm(index);
        }
        for n in 0..self.signals.len() {
            self.rearm_signal(n);
        }
        self.resume_late(None);
        self.resume_gathers(None);
        for place in 0..self.alarms.len() {
            if let Ok(id) = u32::try_from(place) {
                self.rearm_realarm(AlarmId(id));
            }
        }
        for (number, state) in (0_u32..).zip(&self.gateways) {
            if let Some(at) = state.held_until {
                self.deadlines.arm(at, Reason::Release(GatewayRef(number)));
            }
            if let Some(at) = state.uncover_at {
                self.deadlines.arm(at, Reason::Uncover(GatewayRef(number)));
            }
            if state.clock != NONE && state.future_at != i64::MIN {
                let at = TimeMs(state.future_at) + clocks::CLOCK_QUIET_MS;
                self.deadlines.arm(at, Reason::Clock(AlarmId(state.clock)));
            }
        }
    }
}
