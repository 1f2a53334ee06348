//! The engine's memory as bytes, and back.
//!
//! - Own format with a version and a checksum; alarms by key, points and gateways by number.
//! - Of each point's samples only the newest few go along; what is older is asked back from the
//!   store when late data need it. Late samples that wait go along as their span.
//! - Timers are not written: they follow from the state.

mod bytes;
mod signals;

use std::collections::{BTreeMap, VecDeque};

use fengsui_telemetry::{Revision, TimeMs};

use self::bytes::{Reader, Writer};
use crate::condition::{Judgement, NEVER, Rule};
use crate::engine::{Engine, GatewayState, LatePart, NONE, PointState};
use crate::held::{Held, Sample, Trust};
use crate::lifecycle::Phase;
use crate::model::AlarmId;
use crate::mutant::{Mutant, planted};
use crate::overlay::{Overlays, Shelf};
use crate::plan::RestoreFault;
use crate::story::{EARLIER_MAX, Happening, Story};

/// Raised with every change of the layout; an older snapshot is refused and replayed instead.
const VERSION: u32 = 3;
const MAGIC: [u8; 4] = *b"FSAE";
/// Samples of each point that go along.
const SAMPLES: usize = 8;

/// The bytes of an engine.
pub(crate) fn write(engine: &Engine) -> Vec<u8> {
    let mut w = Writer::new(MAGIC, VERSION);
    w.signed(engine.last_tick);
    w.signed(engine.latest);
    let requests: Vec<_> = engine.requests.iter().collect();
    w.count(requests.len());
    for (alarm, request) in requests {
        w.text(engine.plan.alarms.get(*alarm as usize).map_or("", |spec| spec.key.as_str()));
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
    for (spec, alarm) in engine.plan.alarms.iter().zip(&engine.alarms) {
        w.text(&spec.key);
        w.flag(alarm.silent);
        match engine.hot.get(alarm.hot as usize) {
            Some(hot) => {
                w.flag(true);
                write_rule(&mut w, &hot.rule);
                write_judgement(&mut w, hot.judge);
            }
            None => w.flag(false),
        }
        let signal = alarm.hot as usize;
        let signal = engine.signal_at(signal).and_then(|n| engine.signals.get(n));
        w.flag(signal.is_some());
        if let Some(signal) = signal {
            signals::write(&mut w, signal);
        }
        w.flag(alarm.story.is_some());
        if let Some(story) = &alarm.story {
            write_story(&mut w, story);
        }
    }
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
}

fn write_point(w: &mut Writer, point: &PointState) {
    w.signed(point.newest);
    w.signed(point.fresh);
    w.signed(point.ticked);
    w.signed(point.known_from);
    write_held(w, &point.held, SAMPLES);
    w.flag(point.late.is_some());
    if let Some(part) = &point.late {
        w.signed(part.earliest);
        w.signed(part.latest);
        w.maybe(part.beyond);
        w.maybe(part.recall.map(|(from, _)| from));
        w.maybe(part.recall.map(|(_, to)| to));
        w.flag(part.grown);
    }
}

/// The newest `most` samples.
fn write_held(w: &mut Writer, held: &Held, most: usize) {
    let left_out = held.len().saturating_sub(most);
    let floor = match left_out.checked_sub(1).and_then(|last| held.iter().nth(last)) {
        Some(last) => last.te().saturating_add(1).max(held.floor()),
        None => held.floor(),
    };
    w.signed(floor);
    w.count(held.len() - left_out);
    for sample in held.iter().skip(left_out) {
        w.signed(sample.te());
        w.byte(match sample.trust() {
            Trust::Number => 0,
            Trust::Bad => 1,
            Trust::Conflict => 2,
            Trust::RaisesOnly => 3,
        });
        w.number(sample.raw_value());
    }
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

/// Fills a freshly laid out engine.
pub(crate) fn read_into(engine: &mut Engine, bytes: &[u8]) -> Result<(), RestoreFault> {
    let mut r = Reader::open(bytes, MAGIC, VERSION)?;
    let places: BTreeMap<String, usize> =
        engine.plan.alarms.iter().enumerate().map(|(at, spec)| (spec.key.clone(), at)).collect();
    engine.last_tick = r.signed()?;
    engine.latest = r.signed()?;
    for _ in 0..r.count()? {
        let (key, request) = (r.text()?, r.text()?);
        if let Some(id) = places.get(&key).and_then(|at| u32::try_from(*at).ok()) {
            engine.requests.remember(AlarmId(id), &request);
        }
    }
    for index in 0..r.count()? {
        let gateway = read_gateway(&mut r)?;
        if let Some(state) = engine.gateways.get_mut(index) {
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
        }
    }
    for _ in 0..r.count()? {
        let key = r.text()?;
        read_alarm(engine, &mut r, places.get(&key).copied())?;
    }
    r.end()
}

fn read_gateway(r: &mut Reader<'_>) -> Result<GatewayState, RestoreFault> {
    Ok(GatewayState {
        heard: r.signed()?,
        restarted: r.signed()?,
        held_until: r.maybe()?.map(TimeMs),
        tick_before: r.signed()?,
        cover: r.flag()?,
        clock_bad: r.flag()?,
        future_at: r.signed()?,
        uncover_at: r.maybe()?.map(TimeMs),
        ..GatewayState::default()
    })
}

fn read_point(r: &mut Reader<'_>) -> Result<PointState, RestoreFault> {
    let (newest, fresh, ticked) = (r.signed()?, r.signed()?, r.signed()?);
    let known_from = r.signed()?;
    let held = read_held(r)?;
    let late = if r.flag()? { Some(Box::new(read_late(r)?)) } else { None };
    Ok(PointState { newest, fresh, ticked, known_from, held, late, ..PointState::default() })
}

fn read_held(r: &mut Reader<'_>) -> Result<Held, RestoreFault> {
    let floor = r.signed()?;
    let mut samples = VecDeque::new();
    for _ in 0..r.count()? {
        let te = r.signed()?;
        let trust = match r.byte()? {
            0 => Trust::Number,
            1 => Trust::Bad,
            2 => Trust::Conflict,
            3 => Trust::RaisesOnly,
            _ => return Err(r.damaged()),
        };
        samples.push_back(Sample::with_trust(te, trust, r.number()?));
    }
    Ok(Held::restored(samples, floor))
}

fn read_late(r: &mut Reader<'_>) -> Result<LatePart, RestoreFault> {
    let (earliest, latest, beyond) = (r.signed()?, r.signed()?, r.maybe()?);
    let recall = r.maybe()?.zip(r.maybe()?);
    let grown = r.flag()?;
    Ok(LatePart { earliest, latest, beyond, recall, grown, dropped: true, ..LatePart::default() })
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
) -> Result<(), RestoreFault> {
    let silent = r.flag()?;
    let judged = if r.flag()? { Some((read_rule(r)?, read_judgement(r)?)) } else { None };
    let signal = if r.flag()? { Some(signals::read(r)?) } else { None };
    let mut story = if r.flag()? { Some(Box::new(read_story(r)?)) } else { None };
    let latest = engine.latest;
    if let (Some(kept), Some(place)) = (signal, place) {
        let hot = engine.alarms.get(place).map_or(NONE, |alarm| alarm.hot);
        let signal = engine.signal_at(hot as usize).and_then(|n| engine.signals.get_mut(n));
        if let Some(signal) = signal {
            kept.into_signal(signal, latest);
        }
    }
    let Some(alarm) = place.and_then(|at| engine.alarms.get_mut(at)) else { return Ok(()) };
    if let (Some((rule, judge)), Some(hot)) = (judged, engine.hot.get_mut(alarm.hot as usize)) {
        hot.judge = judge;
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
        return Ok(());
    }
    alarm.silent = silent;
    alarm.story = story;
    let (id, parent) = (place, alarm.story.as_ref().is_some_and(|s| s.overlays.parent));
    let Some((spec, id)) =
        id.and_then(|at| Some((engine.plan.alarms.get(at)?, AlarmId(u32::try_from(at).ok()?))))
    else {
        return Ok(());
    };
    if let crate::model::Subject::Point(point) = spec.subject
        && silent
        && let Some(state) = engine.points.get_mut(point.0 as usize)
    {
        state.stale_on = true;
    }
    if parent && let Some(gateway) = engine.gateways.get_mut(spec.gateway.0 as usize) {
        gateway.covered.push(id);
    }
    Ok(())
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
        happenings.push(Happening {
            number: r.unsigned()?,
            on: r.signed()?,
            off: r.maybe()?,
            late: r.flag()?,
            refuted: r.flag()?,
            wants_answer: r.flag()?,
        });
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
        owed,
        earlier,
    })
}

fn read_overlays(r: &mut Reader<'_>) -> Result<Overlays, RestoreFault> {
    let until = r.maybe()?.map(TimeMs);
    let one_shot = r.flag()?;
    Ok(Overlays {
        shelf: until.map(|until| Shelf { until, one_shot }),
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
