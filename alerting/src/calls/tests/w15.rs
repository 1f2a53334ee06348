//! The vector W15, row by row, and its two open points (Q14).

use super::*;

const HH: &str = "GW-01/TK-101.LT/HH";

fn receipt(state: Receipt) -> Entry {
    Entry::Receipt {
        alarm: HH.to_owned(),
        occurrence: 1,
        attempt: 1,
        channel: "push".to_owned(),
        state,
    }
}

/// Up to the wrong digits at 205.
fn to_wrong_digits(setup: Setup) -> Host {
    let mut host = Host::new(setup);
    host.open(occurrence(HH, 1, 1));
    let first = (0, "wang".to_owned(), Kind::Message, Reason::First);
    assert_eq!(host.attempts(HH), std::slice::from_ref(&first));
    let over: Vec<_> = host.hands.iter().map(|(_, hand)| hand.channel.clone()).collect();
    assert_eq!(over, ["push", "sms"]);
    assert_eq!(host.state(HH, 1), Delivery::Intended);
    host.accept_all();
    assert_eq!(host.state(HH, 1), Delivery::Sent);
    host.until(s(4));
    host.ledger(receipt(Receipt::Delivered));
    assert_eq!(host.state(HH, 1), Delivery::Delivered);
    host.until(s(179));
    assert_eq!(host.attempts(HH), std::slice::from_ref(&first));
    host.until(s(180));
    let second = (180, "wang".to_owned(), Kind::Voice, Reason::Unread);
    assert_eq!(host.attempts(HH), [first, second]);
    host.accept_all();
    host.until(s(205));
    host.answer(HH, Outcome::Answered, "wrong", "a1");
    assert_eq!(host.state(HH, 2), Delivery::Answered);
    host
}

#[test]
fn w15_as_the_table_says() {
    let mut host = to_wrong_digits(setup());
    let third = (205, "wang".to_owned(), Kind::Voice, Reason::NotConfirmed);
    assert_eq!(host.attempts(HH).last(), Some(&third));
    host.accept_all();
    host.until(s(240));
    let digits = host.digits(HH);
    host.answer(HH, Outcome::Answered, &digits, "a2");
    assert_eq!(host.state(HH, 3), Delivery::Confirmed);
    assert_eq!(host.next(HH), Some(1_140), "the reply is due");
    host.until(s(1_139));
    assert_eq!(host.attempts(HH).len(), 3, "the escalation has stopped");
    host.until(s(1_140));
    let overdue = (1_140, "li".to_owned(), Kind::Both, Reason::ReplyOverdue);
    assert_eq!(host.attempts(HH).last(), Some(&overdue));
    assert_eq!(host.next(HH), Some(1_260), "and the next person owes an answer again");
}

#[test]
fn w15_with_the_reply_counted_from_the_first_answer() {
    let mut with = setup();
    with.policies.get_mut(&1).unwrap().reply_from = ReplyFrom::Answered;
    let mut host = to_wrong_digits(with);
    host.until(s(240));
    let digits = host.digits(HH);
    host.answer(HH, Outcome::Answered, &digits, "a2");
    assert_eq!(host.next(HH), Some(1_105));
}

#[test]
fn w15_with_an_answer_that_stops_the_ladder() {
    let mut with = setup();
    with.policies.get_mut(&1).unwrap().stop_at = StopAt::Answered;
    let host = to_wrong_digits(with);
    assert_eq!(host.attempts(HH).len(), 2, "no repeat is asked for");
    assert_eq!(host.next(HH), Some(1_105));
}

#[test]
fn a_structured_reply_ends_the_waiting() {
    let mut host = to_wrong_digits(setup());
    let digits = host.digits(HH);
    host.answer(HH, Outcome::Answered, &digits, "a2");
    let reply = Reply {
        commander: "李强".into(),
        affected: Some(3),
        moved: Some(true),
        ..Reply::default()
    };
    let request = AnswerRequest {
        alarm: HH.into(),
        occurrence: 1,
        reply,
        request: "r".into(),
        ..AnswerRequest::default()
    };
    let entry = host.machine.answer(request).unwrap();
    host.ledger(entry);
    assert_eq!(host.state(HH, 3), Delivery::Replied);
    assert_eq!(host.next(HH), None);
    host.until(s(86_400));
    assert_eq!(host.attempts(HH).len(), 3);
}
