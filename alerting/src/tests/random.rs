//! Thousands of seeded shifts: samples late, shuffled, twice, bad; ticks, restarts, people. At
//! the end the occurrences must be those of the oracle over all samples in order.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::{Fault, Lane, Reading, TimeMs};

use super::oracle::{Asked, occurrences};
use super::{Dice, high, plan, runs};
use crate::command::{Command, Permit, Verb};
use crate::engine::{Engine, Told, ToldRow};
use crate::model::{
    Action, AlarmId, AlarmSpec, Condition, Event, GatewayRef, Letter, Level, Lifecycle, Plan,
    PointRef,
};

const GATEWAY: GatewayRef = GatewayRef(0);
const POINT: PointRef = PointRef(0);
const LIMIT: f64 = 80.0;

fn asked(spec: &AlarmSpec) -> Asked {
    let (on_ms, off_ms) = (spec.on_delay_ms, spec.off_delay_ms);
    match spec.condition {
        Condition::High { limit, deadband, .. } => {
            Asked { high: true, limit, clear: limit - deadband, on_ms, off_ms }
        }
        Condition::Low { limit, deadband, .. } => {
            Asked { high: false, limit, clear: limit + deadband, on_ms, off_ms }
        }
        Condition::Stale { .. }
        | Condition::GatewayOffline { .. }
        | Condition::Clock { .. }
        | Condition::Unset
        | Condition::Derived(_)
        | Condition::Unjudged => unreachable!("limits only"),
    }
}

fn some_plan(dice: &mut Dice) -> Plan {
    let mut alarms = Vec::new();
    let delays = [0, 0, 1000, 2000, 5000, 10_000, 15_000, 30_000];
    let deadband = dice.pick(&[0.0, 0.5, 2.0]);
    for (key, level, offset) in
        [("P/HH", Level::Second, 3.0), ("P/H", Level::First, 0.0), ("P/L", Level::First, -4.0)]
    {
        let limit = LIMIT + offset;
        let condition = if key == "P/L" {
            Condition::Low { limit, deadband, level }
        } else {
            Condition::High { limit, deadband, level }
        };
        let mut spec = AlarmSpec { condition, ..high(key, limit) };
        spec.on_delay_ms = dice.pick(&delays);
        spec.off_delay_ms = dice.pick(&delays);
        spec.lifecycle = Lifecycle {
            latch: dice.percent(30),
            ack_required: dice.percent(85),
            ack_resets_latch: dice.percent(20),
            realarm_ms: dice.pick(&[0, 0, 20_000]),
        };
        spec.times.hold_lag_ms = dice.pick(&[0, 2000]);
        alarms.push(spec);
    }
    let lag = alarms[0].times.hold_lag_ms;
    for spec in &mut alarms {
        spec.times.hold_lag_ms = lag;
    }
    if dice.percent(30) {
        alarms.truncate(1);
    }
    plan(alarms)
}

/// A walk on the edges: the limits, the edges of the bands, and just beside them.
fn walk(dice: &mut Dice) -> Vec<(i64, Reading)> {
    let ladder = [75.0, 76.0, 76.5, 78.0, 78.1, 79.5, 79.9, 80.0, 80.1, 81.0, 82.5, 83.0, 84.0];
    let mut rung: i64 = dice.below(13);
    let mut te = 1_000_000;
    let mut bad_left = 0;
    let steps = dice.pick(&[1000, 1000, 5000, 15_000]);
    let count = 15 + dice.below(140);
    let mut samples = Vec::new();
    for _ in 0..count {
        // Steps that often make a deadline coincide with a sample.
        te += match dice.below(10) {
            0 => dice.pick(&[1, 499, 2000, 5000, 10_000, 15_000, 30_000, 60_000]),
            _ => steps,
        };
        rung = (rung + dice.pick(&[-4, -2, -1, -1, 0, 0, 1, 1, 2, 4])).clamp(0, 12);
        if bad_left == 0 && dice.percent(6) {
            bad_left = 1 + dice.below(5);
        }
        let reading = if bad_left > 0 {
            bad_left -= 1;
            Reading::Bad(Fault::Timeout)
        } else {
            Reading::Good(ladder[usize::try_from(rung).unwrap()])
        };
        samples.push((te, reading));
    }
    samples
}

/// One shift.
/// What was told, when, and what came of it.
type Step = (Event, TimeMs, Vec<Action>);

struct Shift {
    seed: u64,
    dice: Dice,
    engine: Engine,
    keep: (usize, usize),
    now: i64,
    told: BTreeMap<TimeMs, Reading>,
    /// Recalls not yet answered.
    asked: Vec<(PointRef, TimeMs, TimeMs)>,
    letters: BTreeMap<AlarmId, Letter>,
    /// What the journal tells.
    journal: BTreeMap<AlarmId, Told>,
    ids: BTreeSet<String>,
    /// The newest snapshot, and what was told and answered since.
    saved: (Vec<u8>, Vec<Step>),
    punctual: bool,
}

impl Shift {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut engine = Engine::new(some_plan(&mut dice)).unwrap();
        let keep = (dice.pick(&[4, 6, 16, 128]), dice.pick(&[8, 32, 1024]));
        (engine.keep, engine.keep_asked) = keep;
        let punctual = dice.percent(50);
        let saved = (engine.snapshot(), Vec::new());
        Self {
            seed,
            dice,
            engine,
            keep,
            now: 0,
            told: BTreeMap::new(),
            asked: Vec::new(),
            letters: BTreeMap::new(),
            journal: BTreeMap::new(),
            ids: BTreeSet::new(),
            saved,
            punctual,
        }
    }

    /// Waits until `now`, waking the engine on the way if this shift's host is punctual.
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

    fn handle(&mut self, event: Event) {
        let now = TimeMs(self.now);
        let told = event.clone();
        let mut actions = Vec::new();
        let wakes = matches!(event, Event::Wake);
        if std::env::var("FENGSUI_TELL").is_ok() {
            println!("{} {event:?}", self.now);
        }
        self.engine.handle(event, now, &mut actions);
        self.saved.1.push((told, now, actions.clone()));
        self.take(actions);
        if wakes {
            let next = self.engine.wake_at();
            assert!(next.is_none_or(|at| at > now), "seed {}: woken again at once", self.seed);
        }
    }

    fn take(&mut self, actions: Vec<Action>) {
        let mut newest = None;
        for action in actions {
            match action {
                Action::Recall { point, from, to } => self.asked.push((point, from, to)),
                Action::Record(row) => {
                    if std::env::var("FENGSUI_TELL").is_ok() {
                        println!(
                            "   row {} {:?}->{:?} {:?} {}",
                            row.id,
                            row.from,
                            row.to,
                            row.flags.words(),
                            row.comment
                        );
                    }
                    let letter = self.letters.entry(row.alarm).or_insert(Letter::A);
                    assert_eq!(*letter, row.from, "seed {}: the journal has a gap", self.seed);
                    *letter = row.to;
                    newest = Some((row.alarm, row.to));
                    let key = || self.engine.spec_of(row.alarm).unwrap().key;
                    let told = self.journal.entry(row.alarm);
                    told.or_insert_with(|| Told::of(key(), GATEWAY)).take(ToldRow::from(&row));
                    self.ids.insert(row.id);
                }
                Action::Annunciate { alarm, .. } => {
                    assert_eq!(newest, Some((alarm, Letter::B)), "seed {}", self.seed);
                }
                Action::Silence { .. } | Action::Chime { .. } => {}
            }
        }
    }

    fn answer(&mut self) {
        let mut questions = 0;
        while !self.asked.is_empty() {
            questions += 1;
            assert!(questions < 10_000, "seed {}: asks without end", self.seed);
            let (point, from, to) = self.asked.remove(0);
            let samples = self.told.range(from..=to).map(|(te, r)| (*te, *r)).collect();
            self.handle(Event::History { point, from, samples });
        }
    }

    fn tell(&mut self, sample: (i64, Reading), lane: Lane) {
        let (te, reading) = (TimeMs(sample.0), sample.1);
        self.told.insert(te, reading);
        self.handle(Event::Sample { point: POINT, te, reading, lane });
        if self.dice.percent(10) {
            self.handle(Event::Sample { point: POINT, te, reading, lane });
        }
    }

    fn restart(&mut self) {
        if self.dice.percent(50) {
            self.saved = (self.engine.snapshot(), Vec::new());
        }
        let (bytes, since) = self.saved.clone();
        self.engine = Engine::restore(self.engine.plan(), &bytes).unwrap();
        (self.engine.keep, self.engine.keep_asked) = self.keep;
        // What the old engine had asked died with it.
        self.asked.clear();
        for (event, then, answers) in since {
            let mut actions = Vec::new();
            self.engine.handle(event, then, &mut actions);
            assert_eq!(actions, answers, "seed {}: another answer at {then:?}", self.seed);
        }
        // The process is up again a while later, and tells it.
        self.now += self.dice.below(20_000);
        self.saved = (self.engine.snapshot(), Vec::new());
        self.handle(Event::Restarted);
        if self.dice.percent(60) {
            self.handle(Event::CaughtUp { gateway: GATEWAY });
        }
    }

    fn somebody(&mut self) {
        let count = i64::try_from(self.engine.plan().alarms.len()).unwrap();
        let alarm = AlarmId(u32::try_from(self.dice.below(count)).unwrap());
        let occurrence = self.dice.below(6).cast_unsigned();
        let for_ms = 1000 * (1 + self.dice.below(60));
        let one_shot = self.dice.percent(30);
        let first_level = Some(self.dice.below(6).cast_unsigned());
        let permit = Permit { reason: "test".into(), ..Permit::default() };
        let verb = self.dice.pick(&[
            Verb::acknowledge(occurrence),
            Verb::Acknowledge { occurrence, first_level },
            Verb::Reset,
            Verb::Shelve { for_ms, one_shot, permit },
            Verb::Unshelve,
            Verb::Suppress,
            Verb::Unsuppress,
            Verb::OutOfService,
            Verb::InService,
        ]);
        let request = self.dice.roll().to_string();
        let comment = self.dice.pick(&["seen", "seen", ""]);
        let command = Command { alarm, verb, by: "duty".into(), comment: comment.into(), request };
        self.handle(Event::Command(command));
    }

    /// What happens between two samples.
    fn between(&mut self) {
        match self.dice.below(14) {
            0 | 1 => {
                self.now += self.dice.pick(&[0, 1, 1000, 3000]);
                self.handle(Event::Wake);
            }
            2 => self.somebody(),
            3 if self.dice.percent(35) => self.restart(),
            4 => self.handle(Event::CaughtUp { gateway: GATEWAY }),
            5 | 6 => self.answer(),
            7 if self.dice.percent(20) => self.saved = (self.engine.snapshot(), Vec::new()),
            _ => {}
        }
    }

    fn work(&mut self) {
        let samples = walk(&mut self.dice);
        let mut back: Vec<(i64, Reading)> = Vec::new();
        let outage = self.dice.percent(50);
        let mut cut = 0;
        for sample in &samples {
            if cut == 0 && outage && self.dice.percent(4) {
                cut = 3 + self.dice.below(30);
            }
            cut = (cut - 1).max(0);
            let latency = self.dice.pick(&[0, 0, 0, 20, 900, 3000]);
            self.wait(sample.0 + latency);
            let hold = if outage { cut > 0 } else { self.dice.percent(35) };
            if hold {
                back.push(*sample);
            } else if self.dice.percent(4) {
                // Overtaken on the live lane.
                back.insert(0, *sample);
            } else {
                self.tell(*sample, Lane::Live);
            }
            if !back.is_empty() && self.dice.percent(4) {
                self.bring(&mut back);
            }
            if !back.is_empty() && self.dice.percent(5) {
                let late = back.remove(0);
                self.tell(late, Lane::Live);
            }
            self.between();
        }
        while !back.is_empty() {
            self.bring(&mut back);
            self.between();
        }
        self.finish(&samples);
    }

    /// Some of what was held back, in any order, as a back-fill.
    fn bring(&mut self, back: &mut Vec<(i64, Reading)>) {
        self.dice.shuffle(back);
        let size = 1 + self.dice.below(i64::try_from(back.len()).unwrap() + 3);
        let size = usize::try_from(size).unwrap().min(back.len());
        for sample in back.split_off(back.len() - size) {
            self.tell(sample, Lane::Backlog);
            if self.dice.percent(3) {
                self.between();
            }
        }
        if self.dice.percent(70) {
            self.handle(Event::Settle { gateway: GATEWAY });
        }
        if self.dice.percent(60) {
            self.answer();
        }
    }

    fn finish(&mut self, samples: &[(i64, Reading)]) {
        self.now += self.dice.pick(&[6_000, 100_000]);
        self.handle(Event::Settle { gateway: GATEWAY });
        self.handle(Event::Wake);
        self.answer();
        self.handle(Event::Wake);
        self.answer();
        let values: Vec<_> = samples.iter().map(|(te, r)| (*te, r.value())).collect();
        for (place, spec) in self.engine.plan().alarms.iter().enumerate() {
            let alarm = AlarmId(u32::try_from(place).unwrap());
            let trusted = self.now - spec.times.hold_lag_ms;
            let wanted = occurrences(asked(spec), &values, trusted);
            let mut got: Vec<_> = self.engine.occurrences(alarm);
            got.retain(|o| !o.refuted);
            let mut got: Vec<_> = got.iter().map(|o| (o.on.0, o.off.map(|off| off.0))).collect();
            got.sort_unstable();
            assert_eq!(got, wanted, "seed {} alarm {:?}", self.seed, spec);
            assert_eq!(
                self.engine.standing(alarm).active,
                wanted.last().is_some_and(|(_, off)| off.is_none()),
                "seed {}",
                self.seed
            );
        }
        self.compare_with_the_journal();
    }

    /// The journal tells nothing that the engine does not know, and all that an engine without a
    /// memory has to know.
    fn compare_with_the_journal(&self) {
        let told: Vec<Told> = self.journal.values().cloned().collect();
        let taken = self.engine.clone().held_to(told.clone()).unwrap();
        assert_eq!(taken, [""; 0], "seed {}", self.seed);
        let mut held = Engine::new(self.engine.plan()).unwrap();
        held.held_to(told).unwrap();
        for number in (0..).take(self.engine.specs().count()) {
            let alarm = AlarmId(number);
            let (was, is) = (self.engine.standing(alarm), held.standing(alarm));
            let seed = self.seed;
            assert_eq!(held.highest(alarm), self.engine.highest(alarm), "seed {seed}");
            assert_eq!(is.active, was.active, "seed {seed} {alarm:?}");
            match was.letter {
                Letter::G | Letter::H | Letter::I => {
                    assert!(is.letter == Letter::A || !is.unacknowledged.is_empty(), "seed {seed}");
                }
                Letter::A | Letter::B | Letter::C | Letter::D | Letter::E | Letter::F => {
                    assert_eq!(is.letter, was.letter, "seed {seed} {alarm:?}");
                    // Which older ones wait the rows do not always say; that somebody must answer
                    // they do.
                    let waits = was.unacknowledged.is_empty() || !is.unacknowledged.is_empty();
                    assert!(waits, "seed {seed} {alarm:?} {was:?} {is:?}");
                }
            }
        }
    }
}

/// One shift, from its seed.
pub(crate) fn shift(seed: u64) {
    Shift::new(seed).work();
}

#[test]
fn occurrences_do_not_depend_on_order_batches_repeats_or_restarts() {
    for seed in runs(3_000) {
        shift(seed);
    }
}
