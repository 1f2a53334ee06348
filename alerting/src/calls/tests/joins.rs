//! One alarm for one thing: occurrences of an alarm that still calls join its ladder.

use super::*;

const HH: &str = "GW-01/TK-101.LT/HH";

fn quick() -> Setup {
    let mut with = setup();
    for policy in with.policies.values_mut() {
        (policy.unread_ms, policy.unanswered_ms) = (10_000, 10_000);
    }
    with
}

/// Thirteen excursions in thirty seconds; the last one holds.
fn chatter(host: &mut Host) {
    for n in 0_u32..13 {
        host.until(s(i64::from(n) * 12 / 5));
        host.open(occurrence(HH, u64::from(n) + 1, 1));
        if n < 12 {
            host.tell(Event::Ended { alarm: HH.into(), occurrence: u64::from(n) + 1 });
        }
    }
}

fn all_open() -> Vec<Open> {
    (1..=13).map(|n| Open { alarm: HH.into(), occurrence: n, priority: 1 }).collect()
}

#[test]
fn a_chattering_alarm_is_one_ladder() {
    let mut host = Host::new(quick());
    chatter(&mut host);
    assert_eq!(host.machine.ladders().count(), 1);
    host.until(s(60));
    // Exactly what one occurrence that holds would have had, never later.
    let mut one = Host::new(quick());
    one.open(occurrence(HH, 1, 1));
    one.until(s(60));
    assert_eq!(host.attempts(HH), one.attempts(HH));
    assert_eq!(audit(&host.machine, &all_open(), host.now), []);
    assert_eq!(host.machine.speaker(HH, 13), (HH.to_owned(), 1));
    assert_eq!(host.machine.ladder(HH, 1).map(|ladder| ladder.members.len()), Some(13));
    let again = host.restarted();
    let preview = |host: &Host| host.machine.preview(host.machine.ladder(HH, 1)?);
    assert_eq!((preview(&again), again.attempts(HH)), (preview(&host), host.attempts(HH)));
    assert_eq!(again.machine.speaker(HH, 13), (HH.to_owned(), 1));
}

#[test]
fn an_answer_covers_all_of_them_and_what_comes_after_it_is_new() {
    let mut host = Host::new(quick());
    chatter(&mut host);
    host.until(s(32));
    let calls = host.attempts(HH).len();
    let request = AnswerRequest {
        alarm: HH.into(),
        // Recorded under the newest: the ladder of the first speaks for it.
        occurrence: 13,
        digits: host.digits(HH),
        request: "a".into(),
        ..AnswerRequest::default()
    };
    let entry = host.machine.answer(request).unwrap();
    host.ledger(entry);
    host.until(s(600));
    assert_eq!(host.attempts(HH).len(), calls, "nobody is called any more");
    assert_eq!(audit(&host.machine, &all_open(), host.now), []);
    host.open(occurrence(HH, 14, 1));
    let own = host.machine.ladder(HH, 14).expect("a ladder of its own");
    assert_eq!(own.attempts.front().map(|first| first.at), Some(s(600)), "at once");
}

#[test]
fn an_acknowledgement_ends_the_joined_ladder_with_its_newest_and_not_before() {
    let mut host = Host::new(quick());
    chatter(&mut host);
    host.until(s(32));
    let acknowledged =
        |occurrence, through| Event::Acknowledged { alarm: HH.into(), occurrence, through };
    host.tell(acknowledged(5, true));
    host.tell(acknowledged(1, false));
    assert!(host.next(HH).is_some(), "newer ones wait");
    host.tell(acknowledged(13, true));
    let calls = host.attempts(HH).len();
    host.until(s(3_600));
    assert_eq!((host.attempts(HH).len(), host.next(HH)), (calls, None));
    host.open(occurrence(HH, 14, 1));
    assert!(host.machine.ladder(HH, 14).is_some());
}

#[test]
fn what_holds_now_does_not_join_what_told_of_the_past() {
    let mut host = Host::new(setup());
    host.tell(Event::Opened(occurrence(HH, 1, 1), Novelty::Late));
    host.until(s(10));
    host.open(occurrence(HH, 2, 1));
    let own = host.machine.ladder(HH, 2).expect("a ladder of its own");
    assert_eq!(own.attempts.front().map(|first| first.at), Some(s(10)));
}

#[test]
fn a_joined_ladder_goes_into_a_package_whole_and_comes_back_whole() {
    let mut with = setup();
    for name in ["push", "sms", "voice"] {
        with.channels.insert(name.into(), channel(Needs::Phone, 4));
    }
    let mut host = Host::new(with);
    for n in 0..8 {
        host.open(occurrence(&format!("GW-01/P-{n}/H"), 1, 2));
    }
    host.until(s(1));
    host.open(occurrence("GW-01/P-7/H", 2, 2));
    host.open(occurrence("GW-01/P-0/H", 2, 2));
    host.until(s(4_000));
    let open: Vec<Open> = (0..8)
        .flat_map(|n| [1, 2].map(|occurrence| (format!("GW-01/P-{n}/H"), occurrence)))
        .filter(|(alarm, occurrence)| host.machine.matter(alarm, *occurrence).is_some())
        .map(|(alarm, occurrence)| Open { alarm, occurrence, priority: 2 })
        .collect();
    assert_eq!(open.len(), 10);
    assert_eq!(audit(&host.machine, &open, host.now), []);
    // Whoever reads back the first message of an alarm has been reached for all of that alarm.
    let digits = host.machine.ladder("GW-01/P-0/H", 1).unwrap().attempts[0].intent.digits.clone();
    host.answer("GW-01/P-0/H", Outcome::Answered, &digits, "a");
    assert_eq!(audit(&host.machine, &open, host.now), []);
}

#[test]
fn rows_of_a_journal_that_had_a_ladder_for_each_are_read_as_they_were() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    let Some((_, Event::Ledger(Entry::Intent { intent, .. }, _))) = host.journal.last().cloned()
    else {
        panic!("an intent")
    };
    host.open(occurrence(HH, 2, 1));
    assert!(host.machine.ladder(HH, 2).is_none(), "joined");
    host.ledger(Entry::Intent { alarm: HH.into(), occurrence: 2, intent });
    let own = host.machine.ladder(HH, 2).expect("its own, as the row says");
    assert_eq!((own.attempts.len(), own.members.len()), (1, 1));
    assert_eq!(host.machine.ladder(HH, 1).map(|ladder| ladder.members.len()), Some(1));
}
