//! One ladder in all its turns.

use super::*;

const HH: &str = "GW-01/TK-101.LT/HH";

fn acknowledged(occurrence: u64) -> Event {
    Event::Acknowledged { alarm: HH.into(), occurrence, through: true }
}

#[test]
fn sent_alone_never_stops_an_escalation() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    let mut to = 0;
    while to < 4 * 3_600 {
        to += 10;
        host.accept_all();
        host.until(s(to));
    }
    let ladder = host.machine.ladder(HH, 1).unwrap();
    assert!(ladder.round > 10, "{}", ladder.round);
    assert!(ladder.attempts.iter().all(|attempt| attempt.delivery() <= Delivery::Sent));
    let persons: HashSet<_> = ladder.attempts.iter().map(|a| a.intent.person.as_str()).collect();
    assert_eq!(persons, HashSet::from(["wang", "li", "zhao"]));
}

#[test]
fn the_end_of_the_ladder_starts_from_the_top_and_says_so() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(661));
    let told: Vec<_> =
        host.attempts(HH).into_iter().map(|(at, who, _, why)| (at, who, why)).collect();
    let expected = [
        (0, "wang", Reason::First),
        (180, "wang", Reason::Unread),
        (300, "li", Reason::Unanswered),
        (420, "zhao", Reason::Unanswered),
        // 120 s for the answer, 120 s of rest.
        (660, "wang", Reason::AgainFromTop),
    ];
    assert_eq!(told, expected.map(|(at, who, why)| (at, who.to_owned(), why)));
    assert_eq!(host.machine.ladder(HH, 1).unwrap().attempts.back().unwrap().intent.round, 2);
}

#[test]
fn nobody_busy_and_no_such_number_go_on_at_once() {
    for outcome in [Outcome::NoAnswer, Outcome::Busy, Outcome::InvalidNumber] {
        let mut host = Host::new(setup());
        host.open(occurrence(HH, 1, 1));
        host.until(s(190));
        host.answer(HH, outcome, "", "a");
        let last = host.attempts(HH).pop().unwrap();
        assert_eq!(last, (190, "li".to_owned(), Kind::Both, Reason::Unanswered), "{outcome:?}");
    }
}

#[test]
fn a_message_that_no_provider_takes_rings_at_once() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(20));
    for channel in ["push", "sms"] {
        assert_eq!(host.attempts(HH).len(), 1, "one channel may still work");
        let result = SendResult::Failed { why: "500".into() };
        let (alarm, channel) = (HH.to_owned(), channel.to_owned());
        host.ledger(Entry::Result { alarm, occurrence: 1, attempt: 1, channel, again: 0, result });
    }
    let last = host.attempts(HH).pop().unwrap();
    assert_eq!(last, (20, "wang".to_owned(), Kind::Voice, Reason::Unread));
}

#[test]
fn what_was_read_waits_for_its_answer_and_no_longer() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(100));
    let (alarm, channel) = (HH.to_owned(), "push".to_owned());
    let state = Receipt::Read;
    host.ledger(Entry::Receipt { alarm, occurrence: 1, attempt: 1, channel, state });
    assert_eq!(host.next(HH), Some(220), "read at 100, 120 s to answer");
    host.until(s(220));
    assert_eq!(host.attempts(HH).len(), 2);
}

#[test]
fn an_acknowledgement_stops_by_policy_only() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(10));
    host.tell(acknowledged(1));
    host.until(s(10_000));
    assert_eq!(host.attempts(HH).len(), 1);

    let mut with = setup();
    with.policies.get_mut(&1).unwrap().ack_stops = false;
    let mut host = Host::new(with);
    host.open(occurrence(HH, 1, 1));
    host.tell(acknowledged(1));
    host.tell(Event::Normal { alarm: HH.into() });
    host.until(s(185));
    assert_eq!(host.attempts(HH).len(), 2, "a person must answer all the same");
    let digits = host.digits(HH);
    host.answer(HH, Outcome::Answered, &digits, "a");
    host.until(s(190));
    assert_eq!(host.next(HH), Some(1_085), "and reply");
}

#[test]
fn an_acknowledgement_covers_what_it_names() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.open(occurrence(HH, 2, 1));
    host.tell(acknowledged(1));
    assert!(host.machine.matter(HH, 1).is_none());
    assert!(host.machine.matter(HH, 2).is_some());
    let only = Event::Acknowledged { alarm: HH.into(), occurrence: 3, through: false };
    host.tell(only);
    assert!(host.machine.matter(HH, 2).is_some());
}

#[test]
fn a_shelf_rests_the_ladder_and_its_end_resumes_it() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(10));
    host.tell(Event::Quieted { alarm: HH.into() });
    host.until(s(1_800));
    assert_eq!(host.attempts(HH).len(), 1);
    host.open(occurrence(HH, 1, 1));
    assert_eq!(host.attempts(HH).len(), 2);
}

#[test]
fn an_alarm_that_comes_back_is_called_anew() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.tell(acknowledged(1));
    host.until(s(3_600));
    host.open(occurrence(HH, 1, 1));
    let last = host.attempts(HH).pop().unwrap();
    assert_eq!(last, (3_600, "wang".to_owned(), Kind::Message, Reason::First));
    assert_eq!(host.machine.ladder(HH, 1).unwrap().attempts.back().unwrap().intent.attempt, 2);
}

#[test]
fn a_higher_level_speaks_for_a_lower_one_until_it_does_not() {
    let mut host = Host::new(setup());
    host.tell(Event::Opened(occurrence(HH, 1, 2), Novelty::SpokenFor));
    host.until(s(1_000));
    assert!(host.attempts(HH).is_empty());
    let open = Open { alarm: HH.into(), occurrence: 1, priority: 2 };
    assert!(audit(&host.machine, std::slice::from_ref(&open), host.now).is_empty());
    host.open(occurrence(HH, 1, 2));
    assert_eq!(host.attempts(HH).len(), 1);
}

#[test]
fn wrong_digits_three_times_and_the_next_person_is_called() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(180));
    for n in 0..4 {
        host.answer(HH, Outcome::Answered, "nonsense", &format!("a{n}"));
    }
    let last = host.attempts(HH).pop().unwrap();
    assert_eq!(last, (180, "li".to_owned(), Kind::Both, Reason::Unanswered));
}

#[test]
fn the_same_answer_twice_has_one_effect() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(180));
    host.answer(HH, Outcome::Answered, "nonsense", "a");
    let rows = host.journal.len();
    let repeat = host.journal.iter().rev().find_map(|(_, event)| {
        let Event::Ledger(entry @ Entry::Answer { .. }, _) = event else { return None };
        Some(entry.clone())
    });
    host.ledger(repeat.unwrap());
    assert_eq!(host.journal.len(), rows);
}

#[test]
fn a_kill_between_intent_and_result_sends_again_and_says_so() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    assert_eq!(host.hands.len(), 2);
    let mut again = host.restarted();
    let rows = again.machine.unsent();
    again.act(rows);
    let repeats: Vec<_> = again.hands.iter().map(|(_, h)| (h.channel.as_str(), h.again)).collect();
    assert_eq!(repeats, [("push", 1), ("sms", 1)]);
    again.accept_all();
    let third = again.restarted();
    assert!(third.machine.unsent().is_empty(), "what has a result is not sent again");
}

#[test]
fn one_that_kills_the_process_each_time_is_given_up() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    for _ in 0..10 {
        host = host.restarted();
        let rows = host.machine.unsent();
        host.act(rows);
        host.until(host.now);
    }
    assert_eq!(host.state(HH, 1), Delivery::Failed);
    assert_eq!(host.attempts(HH)[1].2, Kind::Voice, "and the ladder goes on");
}

#[test]
fn duty_goes_by_the_local_hour() {
    let mut with = setup();
    with.persons.insert("night".into(), person("night", true));
    // 08:00-20:00 and 20:00-08:00, east of Greenwich by eight hours.
    with.duty = vec![
        Turn { person: "wang".into(), from: 480, to: 1_200 },
        Turn { person: "night".into(), from: 1_200, to: 480 },
    ];
    let first = |hour: i64| {
        let midnight = 1_794_960_000_000 - 8 * 3_600_000;
        let now = TimeMs(midnight + hour * 3_600_000);
        let policy = with.policies.get(&1).unwrap();
        with.chain(policy, &["1#罐区".to_owned()].into(), now).remove(0).1
    };
    assert_eq!([first(7), first(8), first(19), first(20)], ["night", "wang", "wang", "night"]);
}

#[test]
fn the_audit_finds_every_hole() {
    let open = [Open { alarm: HH.into(), occurrence: 1, priority: 1 }];
    let found = |host: &Host| {
        audit(&host.machine, &open, host.now).into_iter().map(|f| f.fault).collect::<Vec<_>>()
    };
    let mut host = Host::new(setup());
    assert_eq!(found(&host), [Fault::NoLadder]);
    host.open(occurrence(HH, 1, 1));
    assert_eq!(found(&host), []);
    host.now = s(250);
    assert_eq!(found(&host), [Fault::PastDeadline], "nobody woke the machine");
    host.tell(acknowledged(1));
    assert_eq!(found(&host), [Fault::NoStep], "the desk says that it stands open");

    let mut with = setup();
    (with.duty, with.rosters) = (Vec::new(), Default::default());
    let mut host = Host::new(with);
    host.open(occurrence(HH, 1, 1));
    host.until(s(3_600));
    assert_eq!(found(&host), [Fault::Nobody]);

    let mut with = setup();
    with.persons.values_mut().for_each(|person| person.phone = None);
    with.policies.get_mut(&1).unwrap().message = vec!["sms".into()];
    let mut host = Host::new(with);
    host.open(occurrence(HH, 1, 1));
    host.until(s(3_600));
    assert_eq!(found(&host), [Fault::Unreachable]);
}

#[test]
fn the_audit_finds_an_urgent_alarm_whose_priority_has_no_policy() {
    let open = |alarm: &str, priority| Open { alarm: alarm.into(), occurrence: 1, priority };
    let mut with = setup();
    with.policies.remove(&1);
    let mut host = Host::new(with);
    host.open(occurrence(HH, 1, 1));
    let found = audit(&host.machine, &[open(HH, 1), open("GW-01/TK-101.LT/STALE", 3)], host.now);
    let fault = Fault::NoPolicy;
    assert_eq!(
        found,
        [Finding { alarm: HH.into(), occurrence: 1, fault }],
        "P3 has none by intent"
    );
    let unconfigured = Host::new(Setup::default());
    assert!(audit(&unconfigured.machine, &[open(HH, 1)], host.now).is_empty());
}

#[test]
fn the_audit_finds_what_is_spoken_for_by_an_alarm_that_nobody_is_called_for() {
    let high = "GW-01/TK-101.LT/H";
    let open = |alarm: &str, priority| Open { alarm: alarm.into(), occurrence: 1, priority };
    let mut host = Host::new(setup());
    host.tell(Event::Opened(occurrence(high, 1, 2), Novelty::SpokenFor));
    host.open(occurrence(HH, 1, 1));
    let found = |host: &Host, hh: u8| {
        let found = audit(&host.machine, &[open(high, 2), open(HH, hh)], host.now);
        found.into_iter().map(|f| (f.alarm, f.fault)).collect::<Vec<_>>()
    };
    assert_eq!(found(&host, 1), []);
    assert_eq!(found(&host, 3), [(high.to_owned(), Fault::NoLadder)], "nobody is called for P3");
    host.tell(acknowledged(1));
    let alone = audit(&host.machine, &[open(high, 2)], host.now);
    assert!(alone.is_empty(), "whoever acknowledged HH knows");
    let both = [(high.to_owned(), Fault::NoLadder), (HH.to_owned(), Fault::NoStep)];
    assert_eq!(found(&host, 1), both);
}

#[test]
fn a_call_by_hand_leaves_the_ladder_where_it_is() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(60));
    let request = CallRequest {
        alarm: HH.into(),
        occurrence: 1,
        person: "zhao".into(),
        channel: "voice".into(),
        by: "王敏".into(),
        request: "c".into(),
    };
    let entry = host.machine.call(&request).unwrap().unwrap();
    host.ledger(entry);
    assert_eq!(host.machine.call(&request), Ok(None), "the same request is one call");
    assert_eq!(host.next(HH), Some(180));
    let digits = host.digits(HH);
    host.answer(HH, Outcome::Answered, &digits, "a");
    assert_eq!(host.next(HH), Some(960), "but whoever reads back has been reached");
    let other = CallRequest { person: "li".into(), ..request.clone() };
    assert_eq!(
        host.machine.call(&other),
        Err(Refusal::RequestUsed),
        "nobody is called twice by it"
    );
    let unknown = CallRequest { person: "nobody".into(), request: "d".into(), ..request };
    assert_eq!(host.machine.call(&unknown), Err(Refusal::NoPerson("nobody".into())));
}

#[test]
fn another_answer_under_the_id_of_an_earlier_one_is_no_repeat() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(1));
    let answer = |outcome| AnswerRequest {
        alarm: HH.into(),
        occurrence: 1,
        attempt: Some(1),
        outcome: Some(outcome),
        request: "a".into(),
        ..AnswerRequest::default()
    };
    let entry = host.machine.answer(answer(Outcome::NoAnswer)).unwrap();
    host.ledger(entry.clone());
    assert!(host.machine.repeats(&entry));
    let other = host.machine.answer(answer(Outcome::Answered)).unwrap();
    assert_eq!(entry.id(), other.id(), "the journal drops it");
    assert!(!host.machine.repeats(&other));
}

#[test]
fn the_rows_keep_their_form() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    let Some((_, Event::Ledger(entry, _))) = host.journal.last() else { panic!("an intent") };
    assert_eq!(entry.id(), "call/GW-01/TK-101.LT/HH/1/1/intent");
    let text = entry.to_json();
    let digits = host.digits(HH);
    let golden = format!(
        r#"{{"call":"intent","alarm":"{HH}","occurrence":1,"attempt":1,"person":"wang","slot":"duty","kind":"message","reason":"first","round":1,"rung":0,"channels":["push","sms"],"digits":"{digits}","priority":1}}"#
    );
    assert_eq!(text, golden);
    assert_eq!(Entry::from_json(&text).unwrap(), *entry);
    let old = text.replace(r#","priority":1"#, "");
    assert_eq!(Entry::from_json(&old).unwrap().to_json(), old, "a row of an older version");
    let text = r#"{"call":"result","alarm":"a","occurrence":1,"attempt":2,"channel":"sms","again":0,"result":"accepted","receipt":"x"}"#;
    assert_eq!(Entry::from_json(text).unwrap().to_json(), text);
    let text = r#"{"call":"answer","alarm":"a","occurrence":1,"attempt":2,"outcome":"busy","digits":"","by":"王","request":"r"}"#;
    assert_eq!(Entry::from_json(text).unwrap().to_json(), text);
}

#[test]
fn a_clock_set_back_does_not_make_a_ladder_stand_still() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(100));
    host.machine.mind_clock(host.now);
    host.now = s(100 - 86_400);
    host.machine.mind_clock(host.now);
    assert_eq!(host.next(HH), Some(180 - 86_400), "80 s are left, as before");
    host.until(s(180 - 86_400));
    assert_eq!(host.attempts(HH).last().unwrap().0, 180 - 86_400);
    assert_eq!(host.next(HH), Some(300 - 86_400));
    // A restart sees the same from the rows alone.
    assert_eq!(host.restarted().next(HH), Some(300 - 86_400));
}
