//! Priorities that change while alarms stand: raised ones are called for at once, lowered ones as
//! before, and a restart, which knows only today's priority, stands in the same place.

use std::collections::BTreeMap;

use super::random::Chance;
use super::*;

const HH: &str = "GW-01/TK-101.LT/HH";

/// The second priority has no SMS, and begins with the operating lead.
fn unlike() -> Setup {
    let mut with = setup();
    let second = with.policies.get_mut(&2).unwrap();
    second.message = vec!["push".into()];
    second.ladder = vec![Slot::Operational, Slot::Duty];
    with
}

fn graded(priority: u8) -> Event {
    Event::Graded { alarm: HH.into(), priority }
}

/// Started again after the priority has changed: every row is read with today's.
fn restarted_with(host: &Host, today: impl Fn(&str) -> u8) -> Host {
    let mut journal = Vec::new();
    for (at, event) in &host.journal {
        match event {
            Event::Graded { .. } => {}
            Event::Opened(facts, novelty) => {
                let facts = Occurrence { priority: today(&facts.alarm), ..facts.clone() };
                journal.push((*at, Event::Opened(facts, *novelty)));
            }
            other @ (Event::Acknowledged { .. }
            | Event::Ended { .. }
            | Event::Refuted { .. }
            | Event::Quieted { .. }
            | Event::Normal { .. }
            | Event::Ledger(..)
            | Event::Known(_)
            | Event::Wake) => journal.push((*at, other.clone())),
        }
    }
    Host { journal, ..host.restarted() }.restarted()
}

#[test]
fn what_nobody_was_called_for_is_called_for_once_its_priority_calls() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 4));
    host.until(s(600));
    assert!(host.machine.ladder(HH, 1).is_none() && host.hands.is_empty(), "nobody for P4");
    host.tell(graded(1));
    host.until(host.now);
    assert_eq!(
        host.attempts(HH),
        [(600, "wang".to_owned(), Kind::Message, Reason::First)],
        "at once"
    );
    let open = [Open { alarm: HH.into(), occurrence: 1, priority: 1 }];
    assert_eq!(audit(&host.machine, &open, host.now), []);
    // What was answered, over or refuted before asks for nobody.
    for over in [
        Event::Acknowledged { alarm: HH.into(), occurrence: 1, through: true },
        Event::Normal { alarm: HH.into() },
        Event::Refuted { alarm: HH.into(), occurrence: 1 },
    ] {
        let mut host = Host::new(setup());
        host.open(occurrence(HH, 1, 4));
        host.tell(over);
        host.tell(graded(1));
        host.until(s(600));
        assert!(host.hands.is_empty() && host.machine.waiting().next().is_none());
    }
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 4));
    host.tell(Event::Quieted { alarm: HH.into() });
    host.tell(graded(1));
    host.until(s(600));
    assert!(host.hands.is_empty(), "shelved");
    host.open(occurrence(HH, 1, 1));
    assert_eq!(host.attempts(HH).len(), 1, "and not any more");
}

#[test]
fn another_roster_calls_for_what_the_one_before_had_no_policy_for() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 3));
    let mut new = setup();
    new.policies.insert(3, new.policies[&2].clone());
    host.until(s(60));
    host.machine.reconfigure(new);
    host.until(host.now);
    assert_eq!(host.attempts(HH).len(), 1);
}

#[test]
fn a_ladder_of_an_alarm_that_became_graver_goes_on_by_the_graver_policy_at_once() {
    let mut host = Host::new(unlike());
    host.open(occurrence(HH, 1, 2));
    assert_eq!(host.attempts(HH), [(0, "li".to_owned(), Kind::Message, Reason::First)]);
    host.until(s(60));
    host.tell(graded(1));
    host.until(host.now);
    let last = host.attempts(HH).pop().unwrap();
    assert_eq!(last, (60, "wang".to_owned(), Kind::Both, Reason::Graver));
    let over: Vec<_> = host.hands.iter().skip(1).map(|(_, hand)| hand.channel.as_str()).collect();
    assert_eq!(over, ["push", "sms", "voice"]);
    // Lowered again: nobody who waits for help is left with less.
    host.tell(graded(4));
    host.until(s(180));
    let last = host.attempts(HH).pop().unwrap();
    assert_eq!(last, (180, "li".to_owned(), Kind::Both, Reason::Unanswered));
    assert_eq!(host.machine.ladder(HH, 1).map(|ladder| ladder.priority), Some(1));
    let again = restarted_with(&host, |_| 4);
    assert_eq!(again.machine.ladder(HH, 1), host.machine.ladder(HH, 1));
}

#[test]
fn whoever_was_reached_is_not_called_again_because_the_alarm_became_graver() {
    let mut host = Host::new(unlike());
    host.open(occurrence(HH, 1, 2));
    let digits = host.digits(HH);
    host.answer(HH, Outcome::Answered, &digits, "a");
    host.tell(graded(1));
    host.until(s(899));
    assert_eq!(host.attempts(HH).len(), 1);
    assert_eq!(host.next(HH), Some(900), "and owes the reply");
}

#[test]
fn a_restart_calls_by_the_same_priorities_as_before() {
    for seed in 1..=200_u64 {
        let mut chance = Chance(seed);
        let mut host = Host::new(unlike());
        let mut today: BTreeMap<String, u8> = BTreeMap::new();
        for _ in 0..40 {
            let n = chance.below(6);
            let alarm = format!("GW-01/P-{n}/HH");
            let grade = *today.entry(alarm.clone()).or_insert(4);
            match chance.below(7) {
                0..=2 => host.open(occurrence(&alarm, 1 + chance.below(3), grade)),
                3 => {
                    let (occurrence, through) = (1 + chance.below(3), true);
                    host.tell(Event::Acknowledged { alarm, occurrence, through });
                }
                _ => {
                    let priority = 1 + u8::try_from(chance.below(4)).unwrap();
                    today.insert(alarm.clone(), priority);
                    host.tell(Event::Graded { alarm, priority });
                }
            }
            let on = i64::try_from(chance.below(150)).unwrap() * 1_000;
            host.until(TimeMs(host.now.0 + on));
        }
        let restarted = restarted_with(&host, |alarm| today.get(alarm).copied().unwrap_or(4));
        let of = |host: &Host| {
            let open = host.machine.ladders().filter(|(_, ladder)| ladder.priority <= URGENT);
            let step = |ladder: &Ladder| host.machine.preview(ladder);
            open.filter_map(|(key, ladder)| Some((key.0.clone(), ladder.priority, step(ladder)?)))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&host), of(&restarted), "seed {seed}");
    }
}
