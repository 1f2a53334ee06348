//! The engine's memory as bytes, and back.
//!
//! - Own format with a version and a checksum; alarms by key, points and gateways by number.
//! - Nothing is left out: under the same plan a restored engine answers every further event as
//!   the one that was saved would have. A restart that plays its input log depends on it.
//! - Under another plan timers follow from the state.

mod bytes;
mod deadlines;
mod past;
mod signals;

use std::collections::{BTreeMap, VecDeque};

use fengsui_telemetry::{Revision, TimeMs};

use self::bytes::{Reader, Writer};
pub(crate) use self::past::past;
use crate::condition::{Judgement, NEVER, Rule};
use crate::engine::{Engine, GatewayState, LatePart, NONE, Past, PointState};
use crate::held::{Held, Sample, Trust};
use crate::lifecycle::Phase;
use crate::model::{AlarmId, GatewayRef};
use crate::mutant::{Mutant, planted};
use crate::overlay::{Overlays, Shelf};
use crate::plan::RestoreFault;
use crate::story::{EARLIER_MAX, Happening, Story};

/// Raised with every change of the layout; an older snapshot is refused and replayed instead.
const VERSION: u32 = 6;
/// Without what allowed a shelf: such a one counts as laid by one person without a permit.
const VERSION_UNFOUNDED: u32 = 5;
/// Also without what alarms were, and without the edge of each occurrence.
const VERSION_BARE: u32 = 4;
const MAGIC: [u8; 4] = *b"FSAE";

/// The bytes of an engine.
pub(crate) fn write(engine: &Engine) -> Vec<u8> {
    let mut w = Writer::new(MAGIC, VERSION);
    past::write(&mut w, engine);
    w.signed(engine.last_tick);
    w.signed(engine.latest);
    w.maybe(engine.watch_from.map(|at| at.0));
    w.signed(engine.changed_until);
    let requests: Vec<_> = engine.requests.iter().collect();
    w.count(requests.len());
    for (alarm, request) in requests {
        w.text(engine.specs.get(AlarmId(*alarm)).map_or("", |spec| spec.key));
        w.text(request);
    }
    w.count(engine.gateways.len());
    for gateway in &engine.gateways {
        write_gateway(&mut w, gateway);
    }
    let points: Vec<_> = engine.points.iter().enumerate().filter(|(_, p)| has_memory(p)).collect();
    w.count(points.len());
    for (index, point) in points {
        w.count(index);
        write_point(&mut w, point);
    }
    w.count(engine.alarms.len());
    for (spec, alarm) in engine.specs.iter().zip(&engine.alarms) {
        w.text(spec.key);
        w.flag(alarm.silent);
        w.signed(alarm.armed);
        w.signed(alarm.realarm());
        match engine.hot.get(alarm.hot as usize) {
            Some(hot) => {
                w.flag(true);
                write_rule(&mut w, &hot.rule);
                write_judgement(&mut w, hot.judge);
            }
            None => w.flag(false),
        }
        let signal = engine.signal_at(alarm.hot as usize).and_then(|n| engine.signals.get(n));
        w.flag(signal.is_some());
        if let Some(signal) = signal {
            signals::write(&mut w, signal);
        }
        w.flag(alarm.story.is_some());
        if let Some(story) = &alarm.story {
            write_story(&mut w, story);
        }
    }
    deadlines::write(&mut w, &engine.deadlines);
    w.finish()
}

fn has_memory(point: &PointState) -> bool {
    point.newest != i64::MIN
        || point.fresh != i64::MIN
        || point.late.is_some()
        || point.held.len() > 0
}

fn write_gateway(w: &mut Writer, gateway: &GatewayState) {
    w.signed(gateway.heard);
    w.signed(gateway.restarted);
    w.maybe(gateway.held_until.map(|at| at.0));
    w.signed(gateway.tick_before);
    w.flag(gateway.cover);
    w.flag(gateway.clock_bad);
    w.signed(gateway.future_at);
    w.maybe(gateway.uncover_at.map(|at| at.0));
    for ids in [&gateway.deferred, &gateway.waiting, &gateway.covered] {
        w.count(ids.len());
        ids.iter().for_each(|id| w.unsigned(u64::from(id.0)));
    }
    w.signed(gateway.back_at);
    w.count(gateway.late_points.len());
    gateway.late_points.iter().for_each(|point| w.unsigned(u64::from(*point)));
    w.signed(gateway.late_at);
    w.maybe(gateway.quiet_at.map(|at| at.0));
    w.count(gateway.asking.len());
    gateway.asking.iter().for_each(|point| w.unsigned(u64::from(*point)));
    w.maybe(gateway.ask_at.map(|at| at.0));
    w.flag(gateway.chimed);
    w.signed(gateway.chimed_at);
}

fn write_point(w: &mut Writer, point: &PointState) {
    w.signed(point.newest);
    w.signed(point.fresh);
    w.signed(point.ticked);
    w.signed(point.known_from);
    w.flag(point.stale_on);
    w.flag(point.late_listed);
    w.signed(i64::from(point.notes_minute));
    w.unsigned(u64::from(point.notes));
    write_held(w, &point.held);
    w.flag(point.late.is_some());
    if let Some(part) = &point.late {
        w.count(part.held.len());
        part.held.iter().for_each(|sample| write_sample(w, *sample));
        w.signed(part.earliest);
        w.signed(part.latest);
        w.flag(part.dropped);
        w.maybe(part.beyond);
        w.maybe(part.recall.map(|(from, _)| from));
        w.maybe(part.recall.map(|(_, to)| to));
        w.signed(part.asked_at);
        w.flag(part.grown);
        w.count(part.told);
    }
}

fn write_held(w: &mut Writer, held: &Held) {
    w.signed(held.floor());
    w.count(held.len());
    held.iter().for_each(|sample| write_sample(w, *sample));
}

fn write_sample(w: &mut Writer, sample: Sample) {
    w.signed(sample.te());
    w.byte(match sample.trust() {
        Trust::Number => 0,
        Trust::Bad => 1,
        Trust::Conflict => 2,
        Trust::RaisesOnly => 3,
    });
    w.number(sample.raw_value());
}

fn write_rule(w: &mut Writer, rule: &Rule) {
    w.flag(rule.mirrored);
    w.number(rule.set);
    w.number(rule.clear);
    w.signed(rule.on_delay);
    w.signed(rule.off_delay);
    w.number_bits(rule.revision.0);
}

fn write_judgement(w: &mut Writer, judge: Judgement) {
    w.flag(judge.active);
    let forgets = planted(Mutant::SnapshotForgetsDelay);
    let never = |time: i64| (time != NEVER && !forgets).then_some(time);
    w.maybe(never(judge.deadline));
    w.maybe(never(judge.frozen));
    w.maybe(never(judge.since));
}

fn write_story(w: &mut Writer, story: &Story) {
    w.byte(match story.phase {
        Phase::Normal => 0,
        Phase::Unacknowledged => 1,
        Phase::Acknowledged => 2,
        Phase::Returned => 3,
        Phase::LatchedUnacknowledged => 4,
        Phase::LatchedAcknowledged => 5,
    });
    let overlays = &story.overlays;
    w.maybe(overlays.shelf.map(|shelf| shelf.until.0));
    w.flag(overlays.shelf.is_some_and(|shelf| shelf.one_shot));
    w.flag(overlays.shelf.is_some_and(|shelf| shelf.second_person));
    w.flag(overlays.shelf.is_some_and(|shelf| shelf.permit_number));
    w.text(&overlays.position);
    w.flag(overlays.suppressed);
    w.flag(overlays.out_of_service);
    w.flag(overlays.parent);
    w.flag(overlays.by_design);
    w.signed(overlays.since.0);
    w.flag(overlays.returned);
    w.stretches(&overlays.past);
    w.count(story.happenings.len());
    for happening in &story.happenings {
        w.unsigned(happening.number);
        w.signed(happening.on);
        w.maybe(happening.off);
        w.flag(happening.late);
        w.flag(happening.refuted);
        w.flag(happening.wants_answer);
        w.signed(happening.known);
        w.flag(happening.value.is_some());
        w.number(happening.value.unwrap_or(0.0));
    }
    w.unsigned(story.next_number);
    w.stretches(&story.ran);
    w.signed(story.known_from);
    w.unsigned(story.outdated.0);
    w.unsigned(story.outdated.1);
    w.signed(story.since.0);
    w.flag(story.value.is_some());
    w.number(story.value.unwrap_or(0.0));
    w.flag(story.answered_by.is_some());
    w.text(story.answered_by.as_deref().unwrap_or(""));
    w.signed(story.announced.0);
    w.flag(story.owed);
    w.count(story.earlier.len());
    for (until, rule) in &story.earlier {
        w.signed(*until);
        write_rule(w, rule);
    }
}

/// Fills a freshly laid out engine. True where the plan is the one that was saved, so that the
/// timers are in place as well.
pub(crate) fn read_into(
    engine: &mut Engine,
    bytes: &[u8],
    now: &dyn Fn(GatewayRef) -> GatewayRef,
) -> Result<bool, RestoreFault> {
    let (mut r, past) = past::open(bytes)?;
    let past: BTreeMap<&str, &Past> = past.iter().map(|one| (one.key.as_str(), one)).collect();
    let places: BTreeMap<String, usize> =
        engine.specs.iter().enumerate().map(|(at, spec)| (spec.key.to_owned(), at)).collect();
    engine.last_tick = r.signed()?;
    engine.latest = r.signed()?;
    let watch_from = r.maybe()?.map(TimeMs);
    engine.changed_until = r.signed()?;
    for _ in 0..r.count()? {
        let (key, request) = (r.text()?, r.text()?);
        if let Some(id) = places.get(&key).and_then(|at| u32::try_from(*at).ok()) {
            engine.requests.remember(AlarmId(id), &request);
        }
    }
    let mut same = true;
    for number in 0..u32::try_from(r.count()?).unwrap_or(u32::MAX) {
        let gateway = read_gateway(&mut r)?;
        let place = now(GatewayRef(number)).0;
        same &= place == number;
        if let Some(state) = engine.gateways.get_mut(place as usize) {
            let GatewayState { offline, clock, .. } = *state;
            *state = GatewayState { offline, clock, ..gateway };
        }
    }
    for _ in 0..r.count()? {
        let index = r.plain_count()?;
        let point = read_point(&mut r)?;
        if let Some(state) = engine.points.get_mut(index) {
            let PointState { first, count, feeds_first, feeds_count, .. } = *state;
            let PointState { times, gateway, stale, .. } = *state;
            let place = PointState { first, count, feeds_first, feeds_count, ..point };
            *state = PointState { times, gateway, stale, ..place };
            engine.late_held += state.late.as_ref().map_or(0, |part| part.held.len());
        }
    }
    let count = r.count()?;
    same &= count == engine.alarms.len();
    for saved in 0..count {
        let key = r.text()?;
        let place = places.get(&key).copied();
        same &= place == Some(saved);
        let was = past.get(key.as_str()).copied();
        same &= read_alarm(engine, &mut r, place, was)?;
    }
    let deadlines = deadlines::read(&mut r)?;
    r.end()?;
    if same {
        engine.watch_from = watch_from;
        engine.deadlines = deadlines;
    } else {
        forget_places(engine);
    }
    Ok(same)
}

/// Alarms have other numbers now: what named them by number is found anew.
fn forget_places(engine: &mut Engine) {
    for alarm in &mut engine.alarms {
        alarm.armed = NEVER;
        alarm.set_realarm(NEVER);
    }
    for (number, gateway) in (0_u32..).zip(&mut engine.gateways) {
        gateway.deferred.clear();
        gateway.waiting.clear();
        gateway.late_points.clear();
        gateway.asking.clear();
        (gateway.quiet_at, gateway.ask_at) = (None, None);
        let covered = engine.specs.iter().zip(&engine.alarms).zip(0_u32..);
        let covered = covered.filter(|((spec, alarm), _)| {
            let parent = alarm.story.as_ref().is_some_and(|story| story.overlays.parent);
            parent && spec.gateway.0 == number
        });
        gateway.covered = covered.map(|(_, id)| AlarmId(id)).collect();
    }
    for signal in &mut engine.signals {
        (signal.armed, signal.gather_armed) = (NEVER, NEVER);
    }
    for point in &mut engine.points {
        point.late_listed = false;
        let stale = engine.alarms.get(point.stale as usize);
        point.stale_on = stale.is_some_and(|alarm| alarm.silent);
    }
}

fn read_gateway(r: &mut Reader<'_>) -> Result<GatewayState, RestoreFault> {
    Ok(GatewayState {
        offline: NONE,
        clock: NONE,
        heard: r.signed()?,
        restarted: r.signed()?,
        held_until: r.maybe()?.map(TimeMs),
        tick_before: r.signed()?,
        cover: r.flag()?,
        clock_bad: r.flag()?,
        future_at: r.signed()?,
        uncover_at: r.maybe()?.map(TimeMs),
        deferred: read_ids(r)?,
        waiting: read_ids(r)?,
        covered: read_ids(r)?,
        back_at: r.signed()?,
        late_points: (0..r.count()?).map(|_| r.small()).collect::<Result<_, _>>()?,
        late_at: r.signed()?,
        quiet_at: r.maybe()?.map(TimeMs),
        asking: (0..r.count()?).map(|_| r.small()).collect::<Result<_, _>>()?,
        ask_at: r.maybe()?.map(TimeMs),
        chimed: r.flag()?,
        chimed_at: r.signed()?,
    })
}

fn read_ids(r: &mut Reader<'_>) -> Result<Vec<AlarmId>, RestoreFault> {
    (0..r.count()?).map(|_| r.small().map(AlarmId)).collect()
}

fn read_point(r: &mut Reader<'_>) -> Result<PointState, RestoreFault> {
    let (newest, fresh, ticked) = (r.signed()?, r.signed()?, r.signed()?);
    let known_from = r.signed()?;
    let (stale_on, late_listed) = (r.flag()?, r.flag()?);
    let notes_minute = i32::try_from(r.signed()?).unwrap_or(i32::MIN);
    let notes = u16::try_from(r.unsigned()?).unwrap_or(u16::MAX);
    let held = read_held(r)?;
    let late = if r.flag()? { Some(Box::new(read_late(r)?)) } else { None };
    Ok(PointState {
        newest,
        fresh,
        ticked,
        known_from,
        stale_on,
        late_listed,
        notes,
        notes_minute,
        held,
        late,
        ..PointState::default()
    })
}

fn read_held(r: &mut Reader<'_>) -> Result<Held, RestoreFault> {
    let floor = r.signed()?;
    let mut samples = VecDeque::new();
    for _ in 0..r.count()? {
        samples.push_back(read_sample(r)?);
    }
    Ok(Held::restored(samples, floor))
}

fn read_sample(r: &mut Reader<'_>) -> Result<Sample, RestoreFault> {
    let te = r.signed()?;
    let trust = match r.byte()? {
        0 => Trust::Number,
        1 => Trust::Bad,
        2 => Trust::Conflict,
        3 => Trust::RaisesOnly,
        _ => return Err(r.damaged()),
    };
    Ok(Sample::with_trust(te, trust, r.number()?))
}

fn read_late(r: &mut Reader<'_>) -> Result<LatePart, RestoreFault> {
    let mut held = Vec::new();
    for _ in 0..r.count()? {
        held.push(read_sample(r)?);
    }
    Ok(LatePart {
        held,
        earliest: r.signed()?,
        latest: r.signed()?,
        dropped: r.flag()?,
        beyond: r.maybe()?,
        recall: r.maybe()?.zip(r.maybe()?),
        asked_at: r.signed()?,
        grown: r.flag()?,
        told: r.plain_count()?,
    })
}

fn read_rule(r: &mut Reader<'_>) -> Result<Rule, RestoreFault> {
    Ok(Rule {
        mirrored: r.flag()?,
        set: r.number()?,
        clear: r.number()?,
        on_delay: r.signed()?,
        off_delay: r.signed()?,
        revision: Revision(r.number_bits()?),
    })
}

fn read_judgement(r: &mut Reader<'_>) -> Result<Judgement, RestoreFault> {
    Ok(Judgement {
        active: r.flag()?,
        deadline: r.maybe()?.unwrap_or(NEVER),
        frozen: r.maybe()?.unwrap_or(NEVER),
        since: r.maybe()?.unwrap_or(NEVER),
    })
}

fn read_alarm(
    engine: &mut Engine,
    r: &mut Reader<'_>,
    place: Option<usize>,
    past: Option<&Past>,
) -> Result<bool, RestoreFault> {
    let silent = r.flag()?;
    let (armed, realarm) = (r.signed()?, r.signed()?);
    let judged = if r.flag()? { Some((read_rule(r)?, read_judgement(r)?)) } else { None };
    let signal = if r.flag()? { Some(signals::read(r)?) } else { None };
    let mut story = if r.flag()? { Some(Box::new(read_story(r)?)) } else { None };
    let mut same = true;
    let latest = engine.latest;
    if let Some(place) = place {
        let hot = engine.alarms.get(place).map_or(NONE, |alarm| alarm.hot);
        let known = engine.signal_at(hot as usize).and_then(|n| engine.signals.get_mut(n));
        match (signal, known) {
            (Some(kept), Some(known)) => same = kept.into_signal(known, latest),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => same = false,
        }
    }
    let word = place.and_then(|at| engine.specs.get(AlarmId(u32::try_from(at).ok()?)));
    let other = past.filter(|past| word.is_some_and(|spec| spec.condition.word() != past.word));
    let Some(alarm) = place.and_then(|at| engine.alarms.get_mut(at)) else { return Ok(false) };
    if let (Some(past), Some(place)) = (other, place.and_then(|at| u32::try_from(at).ok())) {
        // Its story and its numbers go on; what it is now was never judged.
        alarm.story = story;
        engine.changed.push((AlarmId(place), past.was()));
        return Ok(false);
    }
    if let (Some((rule, judge)), Some(hot)) = (judged, engine.hot.get_mut(alarm.hot as usize)) {
        hot.judge = judge;
        same &= hot.rule == rule;
        if !hot.rule.judges_like(&rule) {
            let story = story.get_or_insert_with(Box::default);
            if story.earlier.len() >= EARLIER_MAX {
                story.earlier.remove(0);
            }
            // Until the first event says when.
            story.earlier.push((i64::MAX, rule));
        }
    }
    let kind_kept = judged.is_some() == (alarm.hot != NONE);
    if !kind_kept {
        return Ok(false);
    }
    alarm.silent = silent;
    (alarm.armed, alarm.story) = (armed, story);
    alarm.set_realarm(realarm);
    Ok(same)
}

fn read_happening(r: &mut Reader<'_>) -> Result<Happening, RestoreFault> {
    let (number, on, off) = (r.unsigned()?, r.signed()?, r.maybe()?);
    let (late, refuted, wants_answer) = (r.flag()?, r.flag()?, r.flag()?);
    let (known, value) = if r.version() == VERSION_BARE {
        (off.unwrap_or(on), None)
    } else {
        let (known, has_value, value) = (r.signed()?, r.flag()?, r.number()?);
        (known, has_value.then_some(value))
    };
    Ok(Happening { number, on, off, late, refuted, wants_answer, known, value })
}

fn read_story(r: &mut Reader<'_>) -> Result<Story, RestoreFault> {
    let phase = match r.byte()? {
        0 => Phase::Normal,
        1 => Phase::Unacknowledged,
        2 => Phase::Acknowledged,
        3 => Phase::Returned,
        4 => Phase::LatchedUnacknowledged,
        5 => Phase::LatchedAcknowledged,
        _ => return Err(r.damaged()),
    };
    let overlays = read_overlays(r)?;
    let mut happenings = Vec::new();
    for _ in 0..r.count()? {
        happenings.push(read_happening(r)?);
    }
    let (next_number, ran, known_from) = (r.unsigned()?, r.stretches()?, r.signed()?);
    let outdated = (r.unsigned()?, r.unsigned()?);
    let since = TimeMs(r.signed()?);
    let (has_value, value) = (r.flag()?, r.number()?);
    let (has_name, name) = (r.flag()?, r.text()?);
    let (announced, owed) = (TimeMs(r.signed()?), r.flag()?);
    let mut earlier = Vec::new();
    for _ in 0..r.count()? {
        earlier.push((r.signed()?, read_rule(r)?));
    }
    if next_number == 0 {
        return Err(r.damaged());
    }
    Ok(Story {
        phase,
        overlays,
        happenings,
        next_number,
        ran,
        known_from,
        outdated,
        since,
        value: has_value.then_some(value),
        answered_by: has_name.then_some(name),
        announced,
        // Stands beside the story.
        realarm: NEVER,
        owed,
        earlier,
    })
}

fn read_overlays(r: &mut Reader<'_>) -> Result<Overlays, RestoreFault> {
    let until = r.maybe()?.map(TimeMs);
    let one_shot = r.flag()?;
    let (second_person, permit_number) =
        if r.version() == VERSION { (r.flag()?, r.flag()?) } else { (false, false) };
    Ok(Overlays {
        shelf: until.map(|until| Shelf { until, one_shot, second_person, permit_number }),
        position: r.text()?,
        suppressed: r.flag()?,
        out_of_service: r.flag()?,
        parent: r.flag()?,
        by_design: r.flag()?,
        since: TimeMs(r.signed()?),
        returned: r.flag()?,
        past: r.stretches()?,
    })
}
