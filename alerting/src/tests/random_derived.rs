//! Seeded shifts of three points and every derived condition: late, shuffled, twice, bad; ticks,
//! restarts, store answers. At the end the occurrences must be those of an oracle that sees all
//! samples at once, in order, and computes in another way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fengsui_telemetry::{Fault, Lane, Reading, TimeMs};

use super::oracle::{Asked, occurrences};
use super::{Dice, high, plan, runs};
use crate::derived::{Derived, Expression};
use crate::engine::Engine;
use crate::model::{
    Action, AlarmId, AlarmSpec, Condition, Event, GatewayRef, Plan, PointRef, Subject,
};

const GATEWAY: GatewayRef = GatewayRef(0);
const HOLD_MS: i64 = 20_000;
const WINDOW_MS: i64 = 15_000;
const ROC_LIMIT: f64 = 7.013;
const EXPRESSION: &str = "on(\"P/H\") && pv(\"p1\") > 80.0 || bad(\"p1\") && on(\"R\")";

type Walk = Vec<(i64, Option<f64>)>;
type Spans = Vec<(i64, Option<i64>)>;

fn points() -> Vec<PointRef> {
    (0..3).map(PointRef).collect()
}

fn derived_conditions() -> Vec<(&'static str, Derived)> {
    let roc = |rising| Derived::RateOfChange {
        rising,
        limit: ROC_LIMIT,
        deadband: 0.5,
        window_ms: WINDOW_MS,
    };
    let vote = |high, need| Derived::Vote {
        need,
        points: points(),
        high,
        limit: if high { 80.0 } else { 79.0 },
        deadband: 0.5,
        hold_ms: HOLD_MS,
    };
    vec![
        ("U", roc(true)),
        ("D", roc(false)),
        (
            "V",
            Derived::Deviation {
                reference: PointRef(1),
                limit: 3.0,
                deadband: 1.0,
                hold_ms: HOLD_MS,
            },
        ),
        ("S", Derived::Discrete { values: vec![80.0, 81.0, 78.0] }),
        ("F", Derived::Frozen { epsilon: 0.1, window_ms: WINDOW_MS, samples_min: 3 }),
        ("B", Derived::BadQuality),
        ("R", Derived::Range { low: 76.2, high: 82.0 }),
        ("2oo3", vote(true, 2)),
        ("3oo3", vote(true, 3)),
        ("low", vote(false, 2)),
        (
            "T",
            Derived::TimeToLimit {
                target: 84.0,
                rising: true,
                within_ms: 60_000,
                window_ms: WINDOW_MS,
            },
        ),
    ]
}

/// Of the samples without a number, two in three were refused as out of range.
fn refused_as_out_of_range(te: i64) -> bool {
    te % 3 != 0
}

fn fault(te: i64) -> Fault {
    if refused_as_out_of_range(te) { Fault::OutOfRange } else { Fault::Timeout }
}

fn some_plan(dice: &mut Dice) -> Plan {
    let delays = [0, 0, 0, 1000, 3000, 10_000];
    let mut alarms = vec![high("P/H", 80.0)];
    for (key, derived) in derived_conditions() {
        alarms
            .push(AlarmSpec { condition: Condition::Derived(Arc::new(derived)), ..high(key, 0.0) });
    }
    let composite = Derived::Composite {
        expression: Expression::parse(EXPRESSION).unwrap(),
        points: vec![PointRef(1)],
        alarms: vec!["P/H".into(), "R".into()],
        hold_ms: HOLD_MS,
    };
    let condition = Condition::Derived(Arc::new(composite));
    alarms.push(AlarmSpec { condition, ..high("C", 0.0) });
    for spec in &mut alarms {
        spec.on_delay_ms = dice.pick(&delays);
        spec.off_delay_ms = dice.pick(&delays);
    }
    // The other two points have an alarm each, so that they are known.
    for point in 1..3 {
        let subject = Subject::Point(PointRef(point));
        alarms.push(AlarmSpec { subject, ..high(&format!("P{point}/H"), 80.0) });
    }
    plan(alarms)
}

fn walk(dice: &mut Dice) -> Walk {
    let ladder = [75.0, 76.0, 76.5, 78.0, 78.1, 79.5, 79.9, 80.0, 80.1, 81.0, 82.5, 83.0, 84.0];
    let mut rung: i64 = dice.below(13);
    let mut te = 1_000_000 + dice.pick(&[0, 0, 300]);
    let (mut bad_left, mut still_left) = (0, 0);
    let mut samples = Walk::new();
    for _ in 0..20 + dice.below(60) {
        te += match dice.below(10) {
            0 => dice.pick(&[1, 499, 2000, 5000, 10_000, 25_000]),
            _ => 1000,
        };
        if still_left == 0 {
            rung = (rung + dice.pick(&[-4, -2, -1, -1, 0, 0, 1, 1, 2, 4])).clamp(0, 12);
            still_left = if dice.percent(4) { 20 } else { 0 };
        }
        still_left = (still_left - 1).max(0);
        if bad_left == 0 && dice.percent(5) {
            bad_left = 1 + dice.below(5);
        }
        let value = ladder[usize::try_from(rung).unwrap()];
        samples.push((te, (bad_left == 0).then_some(value)));
        bad_left = (bad_left - 1).max(0);
    }
    samples
}

/// The newest sample at a time that is not too old.
fn held(walk: &Walk, te: i64) -> Option<f64> {
    walk.iter().rev().find(|(at, _)| *at <= te).filter(|(at, _)| te - at <= HOLD_MS)?.1
}

fn inside(walk: &Walk, te: i64) -> Vec<(f64, f64)> {
    let in_window = walk.iter().filter(|(at, _)| te - WINDOW_MS <= *at && *at <= te);
    in_window.filter_map(|(at, v)| v.map(|v| ((*at - te) as f64 / 1000.0, v))).collect()
}

/// Slope per second by the textbook sums, with the standard error of the slope.
fn slope(samples: &[(f64, f64)]) -> (f64, f64, f64) {
    let n = samples.len() as f64;
    let (sx, sy): (f64, f64) = samples.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let sxx: f64 = samples.iter().map(|(x, _)| (x - sx / n).powi(2)).sum();
    let slope = samples.iter().map(|(x, y)| (x - sx / n) * (y - sy / n)).sum::<f64>() / sxx;
    let level = (sy - slope * sx) / n;
    let rest: f64 = samples.iter().map(|(x, y)| (y - level - slope * x).powi(2)).sum();
    (level, slope, (rest.max(0.0) / (n - 2.0) / sxx).sqrt())
}

fn number(key: &str, walks: &[Walk], te: i64) -> Option<f64> {
    let own = walks[0].iter().rev().find(|(at, _)| *at <= te).and_then(|(_, value)| *value);
    let yes = |yes: bool| Some(f64::from(u8::from(yes)));
    let votes = || {
        let mut valid: Vec<f64> = walks.iter().filter_map(|walk| held(walk, te)).collect();
        valid.sort_by(|a, b| b.partial_cmp(a).unwrap());
        valid
    };
    let nth = |need: usize| {
        let valid = votes();
        let need = if 3 - valid.len() >= need { 1 } else { need - (3 - valid.len()) };
        Some(valid.get(need - 1).copied().unwrap_or(f64::INFINITY))
    };
    match key {
        "U" | "D" => {
            own?;
            let samples = inside(&walks[0], te);
            let (_, slope, _) = slope(&samples);
            let sign = if key == "U" { 60.0 } else { -60.0 };
            (samples.len() >= 3).then_some(sign * slope)
        }
        "V" => Some((held(&walks[0], te)? - held(&walks[1], te)?).abs()),
        "S" => yes([80.0, 81.0, 78.0].contains(&own?)),
        "F" => {
            own?;
            let oldest = te - WINDOW_MS - WINDOW_MS / 4;
            let covered = walks[0].iter().any(|(at, _)| oldest <= *at && *at <= te - WINDOW_MS);
            let values = inside(&walks[0], te);
            let high = values.iter().map(|(_, v)| *v).fold(f64::MIN, f64::max);
            let low = values.iter().map(|(_, v)| *v).fold(f64::MAX, f64::min);
            let still = covered && values.len() >= 3 && high - low < 0.100_001;
            yes(still)
        }
        "B" => yes(own.is_none()),
        "R" => match own {
            Some(value) => yes(!(76.2..=82.0).contains(&value)),
            None => {
                let newest = walks[0].iter().filter(|(at, _)| *at <= te).map(|(at, _)| *at).max();
                newest.filter(|at| refused_as_out_of_range(*at)).and_then(|_| yes(true))
            }
        },
        "2oo3" => nth(2),
        "3oo3" => nth(3),
        "low" => {
            let mut valid = votes();
            valid.reverse();
            let need = if valid.len() == 3 { 2 } else { 1 };
            Some(valid.get(need - 1).copied().unwrap_or(f64::NEG_INFINITY))
        }
        "T" => {
            own?;
            let samples = inside(&walks[0], te);
            let (level, slope, error) = slope(&samples);
            let table = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
            let more = [2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086];
            let student = table.iter().chain(&more).nth(samples.len().saturating_sub(3));
            if samples.len() < 5 {
                None
            } else if level >= 84.0 - 1e-9 * 84.0 {
                Some(0.0)
            } else if slope <= 0.0 {
                Some(f64::INFINITY)
            } else {
                let doubt = student.unwrap() * error;
                (slope > doubt).then(|| (84.0 - level) / (slope + doubt))
            }
        }
        other => unreachable!("{other}"),
    }
}

fn on_at(spans: &Spans, te: i64) -> bool {
    spans.iter().any(|(on, off)| *on <= te && off.is_none_or(|off| te < off))
}

/// Every occurrence of every alarm, by the operator's rule.
fn wanted(plan: &Plan, walks: &[Walk], trusted: i64) -> BTreeMap<String, Spans> {
    let own: BTreeSet<i64> = walks[0].iter().map(|(te, _)| *te).collect();
    let all: BTreeSet<i64> = walks.iter().flatten().map(|(te, _)| *te).collect();
    let both: BTreeSet<i64> = walks[..2].iter().flatten().map(|(te, _)| *te).collect();
    let mut found = BTreeMap::new();
    for spec in plan.alarms.iter().filter(|spec| spec.subject == Subject::Point(PointRef(0))) {
        let key = spec.key.as_str();
        let (high, limit, clear) = match key {
            "P/H" => (true, 80.0, 80.0),
            "U" | "D" => (true, ROC_LIMIT, ROC_LIMIT - 0.5),
            "V" => (true, 3.0, 2.0),
            "2oo3" | "3oo3" => (true, 80.0, 79.5),
            "low" => (false, 79.0, 79.5),
            "T" => (false, 60.0, 72.0),
            _ => (true, 1.0, 1.0),
        };
        let (on_ms, off_ms) = (spec.on_delay_ms, spec.off_delay_ms);
        let asked = Asked { high, limit, clear, on_ms, off_ms };
        let numbers: Walk = match key {
            "P/H" => walks[0].clone(),
            "V" => both.iter().map(|te| (*te, number(key, walks, *te))).collect(),
            "2oo3" | "3oo3" | "low" => {
                all.iter().map(|te| (*te, number(key, walks, *te))).collect()
            }
            "C" => composite(walks, &found["P/H"], &found["R"]),
            _ => own.iter().map(|te| (*te, number(key, walks, *te))).collect(),
        };
        found.insert(key.to_owned(), occurrences(asked, &numbers, trusted));
    }
    found
}

fn composite(walks: &[Walk], h: &Spans, r: &Spans) -> Walk {
    let mut times: BTreeSet<i64> = walks[1].iter().map(|(te, _)| *te).collect();
    for spans in [h, r] {
        let bounds = spans.iter().flat_map(|(on, off)| [Some(*on), *off]).flatten();
        times.extend(bounds.filter(|te| on_at(spans, *te) != on_at(spans, te - 1)));
    }
    let value = |te: i64| {
        let p1 = held(&walks[1], te);
        let left = if on_at(h, te) { p1.map(|v| v > 80.0) } else { Some(false) };
        let right = p1.is_none() && on_at(r, te);
        match (left, right) {
            (Some(true), _) | (_, true) => Some(1.0),
            (Some(false), false) => Some(0.0),
            (None, false) => None,
        }
    };
    times.into_iter().map(|te| (te, value(te))).collect()
}

/// What was told, when, and what came of it.
type Step = (Event, TimeMs, Vec<Action>);

struct Shift {
    seed: u64,
    dice: Dice,
    engine: Engine,
    now: i64,
    told: BTreeMap<(PointRef, TimeMs), Reading>,
    asked: Vec<(PointRef, TimeMs, TimeMs)>,
    saved: (Vec<u8>, Vec<Step>),
    punctual: bool,
}

impl Shift {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let engine = Engine::new(some_plan(&mut dice)).unwrap();
        let saved = (engine.snapshot(), Vec::new());
        let punctual = dice.percent(50);
        let (told, asked) = (BTreeMap::new(), Vec::new());
        Self { seed, dice, engine, now: 0, told, asked, saved, punctual }
    }

    fn handle(&mut self, event: Event) {
        let now = TimeMs(self.now);
        let told = event.clone();
        if std::env::var("FENGSUI_TELL").is_ok() {
            println!("{} {event:?}", self.now);
        }
        let mut actions = Vec::new();
        self.engine.handle(event, now, &mut actions);
        self.saved.1.push((told, now, actions.clone()));
        self.take(&actions);
    }

    fn take(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Recall { point, from, to } => self.asked.push((*point, *from, *to)),
                Action::Record(row) if std::env::var("FENGSUI_TELL").is_ok() => {
                    println!("   {} {:?}->{:?} {}", row.id, row.from, row.to, row.comment);
                }
                Action::Record(row) => assert!(row.value.is_none_or(f64::is_finite)),
                Action::Annunciate { .. } | Action::Silence { .. } | Action::Chime { .. } => {}
            }
        }
    }

    fn wait(&mut self, now: i64) {
        let mut wakes = 0;
        while self.punctual
            && let Some(at) = self.engine.wake_at().filter(|at| at.0 <= now)
        {
            wakes += 1;
            assert!(wakes < 10_000, "seed {}: wants to be woken without end", self.seed);
            self.now = self.now.max(at.0);
            self.handle(Event::Wake);
        }
        self.now = self.now.max(now);
    }

    fn answer(&mut self) {
        let mut questions = 0;
        while !self.asked.is_empty() {
            questions += 1;
            assert!(questions < 10_000, "seed {}: asks without end", self.seed);
            let (point, from, to) = self.asked.remove(0);
            let span = self.told.range((point, from)..=(point, to));
            let samples = span.map(|((_, te), reading)| (*te, *reading)).collect();
            self.handle(Event::History { point, from, samples });
        }
    }

    fn tell(&mut self, (point, te, value): (u32, i64, Option<f64>), lane: Lane) {
        let (point, te) = (PointRef(point), TimeMs(te));
        let reading = value.map_or(Reading::Bad(fault(te.0)), Reading::Good);
        self.told.insert((point, te), reading);
        self.handle(Event::Sample { point, te, reading, lane });
        if self.dice.percent(5) {
            self.handle(Event::Sample { point, te, reading, lane });
        }
    }

    fn restart(&mut self) {
        let (bytes, since) = self.saved.clone();
        self.engine = Engine::restore(self.engine.plan(), &bytes).unwrap();
        self.asked.clear();
        for (event, then, answers) in since {
            let mut actions = Vec::new();
            self.engine.handle(event, then, &mut actions);
            assert_eq!(actions, answers, "seed {}: another answer at {then:?}", self.seed);
        }
        self.now += self.dice.below(20_000);
        self.saved = (self.engine.snapshot(), Vec::new());
        self.handle(Event::Restarted);
        if self.dice.percent(60) {
            self.handle(Event::CaughtUp { gateway: GATEWAY });
        }
    }

    fn between(&mut self) {
        match self.dice.below(30) {
            0 | 1 => {
                self.now += self.dice.pick(&[0, 1, 1000, 3000]);
                self.handle(Event::Wake);
            }
            2 if self.dice.percent(35) => self.restart(),
            3 => self.handle(Event::CaughtUp { gateway: GATEWAY }),
            4 | 5 => self.answer(),
            6 if self.dice.percent(30) => self.saved = (self.engine.snapshot(), Vec::new()),
            _ => {}
        }
    }

    fn work(&mut self) {
        let walks: Vec<Walk> = (0..3).map(|_| walk(&mut self.dice)).collect();
        let mut order: Vec<(i64, u32, Option<f64>)> = Vec::new();
        for (point, walk) in (0..).zip(&walks) {
            order.extend(walk.iter().map(|(te, value)| (*te, point, *value)));
        }
        order.sort_by_key(|(te, point, _)| (*te, *point));
        let held_back = self.dice.pick(&[0, 5, 35]);
        let mut back = Vec::new();
        for (te, point, value) in order {
            let latency = self.dice.pick(&[0, 0, 0, 20, 900, 3000]);
            self.wait(te + latency);
            if self.dice.percent(held_back) {
                back.push((point, te, value));
            } else {
                self.tell((point, te, value), Lane::Live);
            }
            if !back.is_empty() && self.dice.percent(4) {
                self.bring(&mut back);
            }
            self.between();
        }
        while !back.is_empty() {
            self.bring(&mut back);
            self.between();
        }
        self.finish(&walks);
    }

    fn bring(&mut self, back: &mut Vec<(u32, i64, Option<f64>)>) {
        self.dice.shuffle(back);
        let size = 1 + self.dice.below(i64::try_from(back.len()).unwrap());
        let size = usize::try_from(size).unwrap().min(back.len());
        for sample in back.split_off(back.len() - size) {
            let lane = if self.dice.percent(15) { Lane::Live } else { Lane::Backlog };
            self.tell(sample, lane);
        }
        if self.dice.percent(70) {
            self.handle(Event::Settle { gateway: GATEWAY });
        }
        if self.dice.percent(60) {
            self.answer();
        }
    }

    fn finish(&mut self, walks: &[Walk]) {
        self.now += self.dice.pick(&[6_000, 100_000]);
        self.handle(Event::Settle { gateway: GATEWAY });
        for _ in 0..3 {
            self.handle(Event::Wake);
            self.answer();
        }
        for signal in &self.engine.signals {
            assert!(signal.gather.is_none(), "seed {}: {signal:?}", self.seed);
            let trusted = self.now - self.engine.plan().alarms[0].times.hold_lag_ms;
            let judged = signal.pending.is_none_or(|te| te > trusted);
            assert!(judged, "seed {}: {signal:?}", self.seed);
        }
        let plan = self.engine.plan();
        let wanted = wanted(&plan, walks, self.now - plan.alarms[0].times.hold_lag_ms);
        for (id, spec) in (0..).map(AlarmId).zip(&plan.alarms) {
            let Some(wanted) = wanted.get(&spec.key) else { continue };
            let mut got = self.engine.occurrences(id);
            got.retain(|o| !o.refuted);
            let mut got: Spans = got.iter().map(|o| (o.on.0, o.off.map(|off| off.0))).collect();
            got.sort_unstable();
            assert_eq!(&got, wanted, "seed {} alarm {spec:?}", self.seed);
        }
    }
}

/// One shift, from its seed.
pub(crate) fn shift(seed: u64) {
    Shift::new(seed).work();
}

#[test]
fn derived_occurrences_do_not_depend_on_order_batches_repeats_or_restarts() {
    for seed in runs(400) {
        shift(seed);
    }
}
