//! One way to tell a story: a script in seconds, and what the host must do, line by line.
//!
//! Script, one input a line: `10 s 85` a live sample, `10 s 85 @4` with its own time, `10 s bad`,
//! `10 s over` (refused as out of range), `10 b 4:85 6:bad` a back-fill that is settled, `10 beat`, `10 wake`, `10 restart` (snapshot,
//! restore), `10 caught-up`, `10 ack 1`, `10 reset`, `10 shelve 60`, `10 one-shot 60`, `10 unshelve`,
//! `10 clock 7` (its skew), `10 clock 0 unsynchronised`, `10 suppress`, `10 unsuppress`, `10 out`, `10 in`. A command for another alarm than the first:
//! `10 ack 1 on P/HH`; a sample of another point: `10 s 85 of 1`. With a command may go `saying=`
//! (the comment, else "seen"), `reason=`, `at=`, `second=`, `permit=`, `with=` (the occurrence of
//! the first level). A refusal that gives a reason shows it.

use std::collections::BTreeMap;

use fengsui_telemetry::{Fault, Lane, Reading, TimeMs};

use crate::command::{Command, Permit, Verb};
use crate::engine::Engine;
use crate::model::{Action, AlarmId, AlarmSpec, Event, GatewayRef, PointRef, Row};

const GATEWAY: GatewayRef = GatewayRef(0);

struct Told {
    engine: Engine,
    store: BTreeMap<(PointRef, TimeMs), Reading>,
    lines: Vec<String>,
}

/// Plays a script and compares what came of it.
pub(crate) fn check(alarms: Vec<AlarmSpec>, script: &str, wanted: &str) {
    let engine = Engine::new(super::plan(alarms)).unwrap();
    let mut told = Told { engine, store: BTreeMap::new(), lines: Vec::new() };
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        told.input(line);
    }
    let wanted: Vec<&str> = wanted.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(told.lines, wanted, "\n{}\n", told.lines.join("\n"));
}

fn seconds(text: &str) -> TimeMs {
    let seconds: f64 = text.parse().unwrap();
    TimeMs(format!("{:.0}", seconds * 1000.0).parse().unwrap())
}

fn reading(text: &str) -> Reading {
    match text {
        "bad" => Reading::Bad(Fault::Timeout),
        "over" => Reading::Bad(Fault::OutOfRange),
        number => Reading::Good(number.parse().unwrap()),
    }
}

fn shown(time: TimeMs) -> String {
    let text = format!("{:.3}", time.0 as f64 / 1000.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Told {
    fn input(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (now, verb, rest) = (seconds(words[0]), words[1], &words[2..]);
        let after = |mark: &str| rest.iter().position(|w| *w == mark).map(|at| rest[at + 1]);
        match verb {
            "s" => {
                let te = rest.iter().find_map(|w| w.strip_prefix('@')).map_or(now, seconds);
                let point = PointRef(after("of").map_or(0, |n| n.parse().unwrap()));
                self.sample(point, te, reading(rest[0]), Lane::Live, now);
            }
            "b" => {
                for pair in rest {
                    let (te, value) = pair.split_once(':').unwrap();
                    self.sample(PointRef(0), seconds(te), reading(value), Lane::Backlog, now);
                }
                self.handle(Event::Settle { gateway: GATEWAY }, now);
            }
            "clock" => self.handle(
                Event::Clock {
                    gateway: GATEWAY,
                    skew_ms: seconds(rest[0]).0,
                    synchronised: rest.get(1).is_none(),
                },
                now,
            ),
            "beat" => self.handle(Event::Heard { gateway: GATEWAY }, now),
            "wake" => self.handle(Event::Wake, now),
            "caught-up" => self.handle(Event::CaughtUp { gateway: GATEWAY }, now),
            "restart" => {
                let plan = self.engine.plan();
                self.engine = Engine::restore(plan, &self.engine.snapshot()).unwrap();
                self.handle(Event::Restarted, now);
            }
            verb => {
                let alarm = after("on").map_or(AlarmId(0), |key| self.alarm(key));
                self.command(alarm, verb, rest, now);
            }
        }
    }

    fn alarm(&self, key: &str) -> AlarmId {
        let alarms = &self.engine.plan().alarms;
        let place = alarms.iter().position(|spec| spec.key == key).unwrap();
        AlarmId(u32::try_from(place).unwrap())
    }

    fn command(&mut self, alarm: AlarmId, verb: &str, rest: &[&str], now: TimeMs) {
        let given = |name: &str| rest.iter().find_map(|word| word.strip_prefix(name));
        let verb = match verb {
            "ack" => Verb::Acknowledge {
                occurrence: rest[0].parse().unwrap(),
                first_level: given("with=").map(|n| n.parse().unwrap()),
            },
            "reset" => Verb::Reset,
            "shelve" | "one-shot" => Verb::Shelve {
                for_ms: seconds(rest[0]).0,
                one_shot: verb == "one-shot",
                permit: Permit {
                    reason: given("reason=").unwrap_or("maintenance").to_owned(),
                    position: given("at=").unwrap_or("desk").to_owned(),
                    second_person: given("second=").map(str::to_owned),
                    permit_number: given("permit=").map(str::to_owned),
                },
            },
            "unshelve" => Verb::Unshelve,
            "suppress" => Verb::Suppress,
            "unsuppress" => Verb::Unsuppress,
            "out" => Verb::OutOfService,
            "in" => Verb::InService,
            other => panic!("no such input: {other}"),
        };
        let comment = given("saying=").unwrap_or("seen").to_owned();
        let (by, request) = ("duty".to_owned(), format!("{now:?} {}", alarm.0));
        let command = Command { alarm, verb, by, comment, request };
        self.handle(Event::Command(command), now);
    }

    fn sample(&mut self, point: PointRef, te: TimeMs, reading: Reading, lane: Lane, now: TimeMs) {
        self.store.insert((point, te), reading);
        self.handle(Event::Sample { point, te, reading, lane }, now);
    }

    fn handle(&mut self, event: Event, now: TimeMs) {
        let mut actions = Vec::new();
        self.engine.handle(event, now, &mut actions);
        let key = |alarm: AlarmId| {
            self.engine.plan().alarms[usize::try_from(alarm.0).unwrap()].key.clone()
        };
        let mut recalls = Vec::new();
        for action in actions {
            let at = shown(now);
            self.lines.push(match action {
                Action::Record(row) => told_row(&key(row.alarm), &row),
                Action::Annunciate { alarm, occurrence } => {
                    format!("{at} {} sounds #{occurrence}", key(alarm))
                }
                Action::Silence { alarm } => format!("{at} {} is silent", key(alarm)),
                Action::Chime { .. } => format!("{at} chime"),
                Action::Recall { point, from, to } => {
                    recalls.push((point, from, to));
                    continue;
                }
            });
        }
        for (point, from, to) in recalls {
            let span = self.store.range((point, from)..=(point, to));
            let samples = span.map(|((_, te), reading)| (*te, *reading)).collect();
            self.handle(Event::History { point, from, samples }, now);
        }
    }
}

fn told_row(key: &str, row: &Row) -> String {
    let (from, to) = (row.from.as_char(), row.to.as_char());
    let te = row.te.map(|te| format!(" te={}", shown(te))).unwrap_or_default();
    let (flags, cause) = (row.flags.words(), row.cause.word());
    let at = shown(row.ti);
    let why = match row.comment.split_once(" / ") {
        Some((_, english)) if cause == "refused" => format!(": {english}"),
        Some(_) | None if says_inputs(&row.comment) => format!(" ({})", row.comment),
        Some(_) | None => String::new(),
    };
    let told = format!("{at} {key} {from}{to} #{} {cause}{te} {flags}", row.occurrence);
    format!("{}{why}", told.trim_end())
}

/// What votes and expressions say about their inputs.
fn says_inputs(comment: &str) -> bool {
    ["oo", "no valid input", "; P/H", "no number to use"].iter().any(|mark| comment.contains(mark))
}
