//! What the engine keeps of points, gateways and alarms, and how it is laid out from a plan.
//!
//! - The limit alarms of one point lie side by side; a sample touches nothing else.
//! - What is rarely needed sits behind a pointer, for the sake of gateways with little memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fengsui_telemetry::TimeMs;

use crate::condition::{Judgement, NEVER, Rule};
use crate::deadlines::Deadlines;
use crate::engine::{Engine, Requests};
use crate::held::{Held, Sample};
use crate::model::{AlarmId, Condition, GatewayRef, Level, Plan, Subject, TimeRules};
use crate::signal::Signal;
use crate::specs::Specs;
use crate::story::Story;

/// No alarm, no place.
pub(crate) const NONE: u32 = u32::MAX;

/// Samples kept by all points together, where the host says nothing else, 16 bytes each. A late sample older than what its point
/// keeps costs a [`crate::Action::Recall`].
const HELD_TOTAL: usize = 262_144;
/// At least this many per point, so that a repeat of the newest is recognised.
const HELD_MIN: usize = 4;
/// At most this many per point: two minutes at one a second.
const HELD_MAX: usize = 128;

/// While the store is asked, a point keeps this many, so that the answer and what came since meet
/// without a gap even if the answer takes minutes. If they do not, it is asked again.
const HELD_ASKED: usize = 1_024;

/// A limit alarm, as a sample sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    pub(crate) rule: Rule,
    pub(crate) judge: Judgement,
    pub(crate) alarm: u32,
    /// The second level of the same side, which speaks for this one, or [`NONE`].
    pub(crate) cover: u32,
}

/// An alarm, as everything else sees it.
#[derive(Clone, Debug)]
pub(crate) struct Alarm {
    /// Its place among the limit alarms, or [`NONE`].
    pub(crate) hot: u32,
    /// When its delay or its silence is looked at next, or [`NEVER`].
    pub(crate) armed: i64,
    /// A silence alarm whose condition is on.
    pub(crate) silent: bool,
    pub(crate) story: Option<Box<Story>>,
}

impl Alarm {
    /// When it is announced again, or [`NEVER`]: what was never announced is not.
    pub(crate) fn realarm(&self) -> i64 {
        self.story.as_ref().map_or(NEVER, |story| story.realarm)
    }

    pub(crate) fn set_realarm(&mut self, at: i64) {
        match &mut self.story {
            Some(story) => story.realarm = at,
            None if at == NEVER => {}
            None => self.story = Some(Box::new(Story { realarm: at, ..Story::default() })),
        }
    }
}

/// Late samples of one point that nobody has judged yet.
#[derive(Clone, Debug)]
pub(crate) struct LatePart {
    pub(crate) held: Vec<Sample>,
    pub(crate) earliest: i64,
    pub(crate) latest: i64,
    /// Not all of them are in `held`.
    pub(crate) dropped: bool,
    /// The earliest of those beyond the late horizon.
    pub(crate) beyond: Option<i64>,
    /// What was asked back from the store.
    pub(crate) recall: Option<(i64, i64)>,
    /// When.
    pub(crate) asked_at: i64,
    /// Something came after that was asked.
    pub(crate) grown: bool,
    /// How many samples have replaced older ones in `held`.
    pub(crate) told: usize,
}

impl Default for LatePart {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            earliest: i64::MAX,
            latest: i64::MIN,
            dropped: false,
            beyond: None,
            recall: None,
            asked_at: i64::MIN,
            grown: false,
            told: 0,
        }
    }
}

/// One point.
#[derive(Clone, Debug)]
pub(crate) struct PointState {
    pub(crate) first: u32,
    pub(crate) count: u16,
    /// Its stretch of `feeds`.
    pub(crate) feeds_count: u16,
    pub(crate) feeds_first: u32,
    pub(crate) times: u32,
    pub(crate) gateway: u32,
    /// Its STALE alarm, or [`NONE`].
    pub(crate) stale: u32,
    pub(crate) stale_on: bool,
    pub(crate) late_listed: bool,
    /// W: the newest time accepted.
    pub(crate) newest: i64,
    /// The newest time with a number.
    pub(crate) fresh: i64,
    /// A tick has fired a delay at this time: what is older goes down the late path (Q4).
    pub(crate) ticked: i64,
    /// Before this the clock ran otherwise: late data from there are history only.
    pub(crate) known_from: i64,
    /// How many notes there were in [`PointState::notes_minute`].
    pub(crate) notes: u16,
    /// The minute of the newest notes, from 1970.
    pub(crate) notes_minute: i32,
    pub(crate) held: Held,
    pub(crate) late: Option<Box<LatePart>>,
}

impl Default for PointState {
    fn default() -> Self {
        Self {
            first: 0,
            count: 0,
            feeds_count: 0,
            feeds_first: 0,
            times: 0,
            gateway: 0,
            stale: NONE,
            stale_on: false,
            late_listed: false,
            newest: i64::MIN,
            fresh: i64::MIN,
            ticked: i64::MIN,
            known_from: i64::MIN,
            notes: 0,
            notes_minute: i32::MIN,
            held: Held::default(),
            late: None,
        }
    }
}

impl PointState {
    /// How many samples it keeps.
    pub(crate) fn keeps(&self, usually: usize, asked: usize) -> usize {
        let waits = self.late.as_ref().is_some_and(|part| part.recall.is_some());
        if waits { asked } else { usually }
    }

    /// The places of its limit alarms.
    pub(crate) fn places(&self) -> std::ops::Range<usize> {
        let first = self.first as usize;
        first..first + usize::from(self.count)
    }
}

/// One gateway.
#[derive(Clone, Debug)]
pub(crate) struct GatewayState {
    /// Its OFFLINE alarm, or [`NONE`].
    pub(crate) offline: u32,
    /// Its CLOCK alarm, or [`NONE`].
    pub(crate) clock: u32,
    /// The host reports its clock as bad.
    pub(crate) clock_bad: bool,
    /// The newest stamp from the future came then.
    pub(crate) future_at: i64,
    pub(crate) heard: i64,
    pub(crate) restarted: i64,
    /// R7: no tick is trusted before this.
    pub(crate) held_until: Option<TimeMs>,
    /// The tick up to which held values were trusted before the restart.
    pub(crate) tick_before: i64,
    /// Delays and silences that came due while ticks were held.
    pub(crate) deferred: Vec<AlarmId>,
    /// STALE alarms that wait to know whether the gateway itself is silent.
    pub(crate) waiting: Vec<AlarmId>,
    /// STALE alarms that lie under this gateway's silence.
    pub(crate) covered: Vec<AlarmId>,
    /// The gateway's silence speaks for its points.
    pub(crate) cover: bool,
    pub(crate) uncover_at: Option<TimeMs>,
    /// When it was heard again after its silence.
    pub(crate) back_at: i64,
    /// Points with late samples.
    pub(crate) late_points: Vec<u32>,
    pub(crate) late_at: i64,
    pub(crate) quiet_at: Option<TimeMs>,
    /// Points whose stored samples were asked for.
    pub(crate) asking: BTreeSet<u32>,
    pub(crate) ask_at: Option<TimeMs>,
    /// This back-fill has had its chime.
    pub(crate) chimed: bool,
    pub(crate) chimed_at: i64,
}

impl Default for GatewayState {
    fn default() -> Self {
        Self {
            offline: NONE,
            clock: NONE,
            clock_bad: false,
            future_at: i64::MIN,
            heard: i64::MIN,
            restarted: i64::MIN,
            held_until: None,
            tick_before: i64::MIN,
            deferred: Vec::new(),
            waiting: Vec::new(),
            covered: Vec::new(),
            cover: false,
            uncover_at: None,
            back_at: i64::MIN,
            late_points: Vec::new(),
            late_at: i64::MIN,
            quiet_at: None,
            asking: BTreeSet::new(),
            ask_at: None,
            chimed: false,
            chimed_at: i64::MIN,
        }
    }
}

/// A limit alarm on its way into the layout.
struct Placed {
    point: u32,
    /// 0 high, 1 low.
    side: u8,
    level: Level,
    alarm: u32,
    rule: Rule,
}

impl Engine {
    /// Lays out a plan without faults.
    pub(crate) fn lay_out(plan: Plan) -> Self {
        let specs = Specs::of(plan);
        let mut engine = Self {
            alarms: Vec::with_capacity(specs.len()),
            hot: Vec::new(),
            points: Vec::new(),
            gateways: Vec::new(),
            times: Vec::new(),
            deadlines: Deadlines::default(),
            standing: BTreeSet::new(),
            requests: Requests::default(),
            watch_from: None,
            changed_until: i64::MIN,
            last_tick: i64::MIN,
            latest: i64::MIN,
            keep: HELD_MAX,
            keep_asked: HELD_ASKED,
            late_held: 0,
            unspoken: Vec::new(),
            plain: 0,
            signals: Vec::new(),
            feeds: Vec::new(),
            watched: BTreeSet::new(),
            children: BTreeMap::new(),
            parents_by: BTreeMap::new(),
            regarded: Vec::new(),
            sensors: BTreeMap::new(),
            touched: Vec::new(),
            realarms: Vec::new(),
            changed: Vec::new(),
            replanned: false,
            specs,
        };
        let mut placed = Vec::new();
        for id in (0_u32..).map(AlarmId).take(engine.specs.len()) {
            placed.extend(engine.lay_alarm(id));
        }
        placed.sort_by_key(|p| (p.point, p.level == Level::First, p.side, p.alarm));
        engine.lay_hot(&placed);
        engine.lay_signals();
        engine.lay_parents();
        engine.lay_sensor_faults();
        // Grown as they came: a gateway has no memory for what doubled last.
        engine.points.shrink_to_fit();
        engine.hot.shrink_to_fit();
        engine.keeping(HELD_TOTAL)
    }

    /// The same, keeping about so many samples of all points together, 16 bytes each: a host with
    /// little memory asks its store earlier.
    #[must_use]
    pub fn keeping(mut self, samples: usize) -> Self {
        self.keep = (samples / self.points.len().max(1)).clamp(HELD_MIN, HELD_MAX);
        self
    }

    fn lay_alarm(&mut self, AlarmId(id): AlarmId) -> Option<Placed> {
        let spec = self.specs.get(AlarmId(id))?;
        let (subject, condition, times) = (spec.subject, spec.condition.clone(), spec.times);
        let (gateway, rule) = (spec.gateway.0, Rule::of(spec));
        self.alarms.push(Alarm { hot: NONE, armed: NEVER, silent: false, story: None });
        reach(&mut self.gateways, gateway);
        let times = self.times_place(times);
        if let Subject::Point(point) = subject {
            reach(&mut self.points, point.0);
            if let Some(state) = self.point_mut(point).filter(|_| condition != Condition::Unjudged)
            {
                state.gateway = gateway;
                state.times = times;
            }
        }
        match (condition, subject) {
            (Condition::Stale { .. }, Subject::Point(point)) => {
                if let Some(state) = self.point_mut(point) {
                    state.stale = id;
                }
                None
            }
            (Condition::GatewayOffline { .. }, _) => {
                if let Some(state) = self.gateway_mut(GatewayRef(gateway)) {
                    state.offline = id;
                }
                None
            }
            (Condition::Clock { .. }, _) => {
                if let Some(state) = self.gateway_mut(GatewayRef(gateway)) {
                    state.clock = id;
                }
                None
            }
            // The derived ones come after all plain limits.
            (Condition::Unset | Condition::Derived(_) | Condition::Unjudged, _) => None,
            (Condition::High { level, .. }, Subject::Point(point)) => {
                Some(Placed { point: point.0, side: 0, level, alarm: id, rule: rule? })
            }
            (Condition::Low { level, .. }, Subject::Point(point)) => {
                Some(Placed { point: point.0, side: 1, level, alarm: id, rule: rule? })
            }
            (
                Condition::Stale { .. } | Condition::High { .. } | Condition::Low { .. },
                Subject::Gateway(_),
            ) => None,
        }
    }

    /// Lays out the derived alarms, and who looks at whom.
    fn lay_signals(&mut self) {
        self.plain = self.hot.len();
        let looks = self.specs.iter().any(|spec| spec.looks_at_alarms());
        let named = (0_u32..).map(AlarmId).zip(self.specs.iter()).filter(|_| looks);
        let keys: BTreeMap<String, AlarmId> =
            named.map(|(id, spec)| (spec.key.to_owned(), id)).collect();
        let mut feeds: Vec<(u32, usize, usize)> = Vec::new();
        for (id, spec) in (0_u32..).map(AlarmId).zip(self.specs.iter()) {
            if let Some(parent) = spec.suppressed_by.as_deref().and_then(|key| keys.get(key)) {
                self.watched.insert(*parent);
                self.children.entry(*parent).or_default().push(id);
            }
            let (Condition::Derived(derived), Subject::Point(own)) = (spec.condition, spec.subject)
            else {
                continue;
            };
            let Some(rule) = Rule::of(spec) else { continue };
            let points: Vec<u32> = derived.points(own).iter().map(|point| point.0).collect();
            let alarms: Vec<AlarmId> =
                derived.alarms().iter().filter_map(|key| keys.get(key)).copied().collect();
            self.watched.extend(&alarms);
            let (n, place) = (self.signals.len(), self.hot.len());
            for (input, point) in points.iter().enumerate() {
                reach(&mut self.points, *point);
                feeds.push((*point, n, input));
            }
            let judge = Judgement::settled(false);
            self.hot.push(Hot { rule, judge, alarm: id.0, cover: NONE });
            if let Some(alarm) = self.alarms.get_mut(id.0 as usize) {
                alarm.hot = u32::try_from(place).unwrap_or(NONE);
            }
            let derived = Arc::clone(derived);
            self.signals.push(Signal::new(id, place, derived, &points, alarms));
        }
        feeds.sort_unstable();
        for (at, (point, n, input)) in (0_u32..).zip(feeds) {
            if let Some(state) = self.points.get_mut(point as usize) {
                if state.feeds_count == 0 {
                    state.feeds_first = at;
                }
                state.feeds_count = state.feeds_count.saturating_add(1);
            }
            self.feeds.push((n, input));
        }
    }

    fn times_place(&mut self, times: TimeRules) -> u32 {
        let place = self.times.iter().position(|t| *t == times).unwrap_or_else(|| {
            self.times.push(times);
            self.times.len() - 1
        });
        u32::try_from(place).unwrap_or(0)
    }

    fn lay_hot(&mut self, placed: &[Placed]) {
        for (place, p) in (0_u32..).zip(placed) {
            let same = |other: &&Placed| other.point == p.point && other.side == p.side;
            let second = || {
                let mut before = placed.iter().take(place as usize).rev();
                // The second levels of a point stand before its first levels.
                before
                    .by_ref()
                    .take_while(|o| o.point == p.point)
                    .find(|o| same(o) && o.level == Level::Second)
            };
            let cover =
                if p.level == Level::First { second().map_or(NONE, |o| o.alarm) } else { NONE };
            let judge = Judgement::settled(false);
            self.hot.push(Hot { rule: p.rule, judge, alarm: p.alarm, cover });
            if let Some(alarm) = self.alarms.get_mut(p.alarm as usize) {
                alarm.hot = place;
            }
            if let Some(point) = self.points.get_mut(p.point as usize) {
                if point.count == 0 {
                    point.first = place;
                }
                point.count = point.count.saturating_add(1);
            }
        }
    }
}

/// Makes room up to a number.
fn reach<T: Default>(all: &mut Vec<T>, number: u32) {
    let wanted = number as usize + 1;
    if all.len() < wanted {
        all.resize_with(wanted, T::default);
    }
}
