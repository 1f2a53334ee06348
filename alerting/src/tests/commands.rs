//! What people may do to an alarm: comments, HH with H (W01), shelves (W16).

use fengsui_telemetry::{Lane, Reading, TimeMs};

use super::high;
use super::story::check;
use crate::model::{Action, AlarmId, Cause, Event, PointRef};
use crate::model::{AlarmSpec, Condition, Level, Priority};
use crate::{Command, Engine, Verb};

fn two_levels() -> Vec<AlarmSpec> {
    let condition = Condition::High { limit: 90.0, deadband: 0.0, level: Level::Second };
    vec![high("P/H", 80.0), AlarmSpec { condition, ..high("P/HH", 90.0) }]
}

fn of(priority: Priority) -> AlarmSpec {
    AlarmSpec { priority, ..high("P/H", 80.0) }
}

#[test]
fn w01_acknowledging_hh_acknowledges_the_h_that_was_on_the_screen() {
    check(
        two_levels(),
        "0 s 70
         10 s 85
         20 s 92
         25 ack 1 with=1 on P/HH
         30 s 88
         40 s 70",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/HH AB #1 on te=20
         20 P/HH sounds #1
         25 P/HH BC #1 acknowledged
         25 P/HH is silent
         25 P/H BC #1 acknowledged
         25 P/H is silent
         30 P/HH CA #1 off te=30
         40 P/H CA #1 off te=40",
    );
}

#[test]
fn w01_acknowledging_h_leaves_hh_and_an_h_that_nobody_saw_is_not_covered() {
    check(
        two_levels(),
        "10 s 85
         20 s 92
         25 ack 1 on P/H
         30 s 70
         40 s 95
         41 ack 2 with=1 on P/HH",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/HH AB #1 on te=20
         20 P/HH sounds #1
         25 P/H BC #1 acknowledged
         25 P/H is silent
         30 P/HH BD #1 off te=30
         30 P/H CA #1 off te=30
         40 P/HH DB #2 on te=40
         40 P/HH sounds #2
         40 P/H AB #2 on te=40
         41 P/HH BC #2 acknowledged
         41 P/HH is silent",
    );
}

fn levels_of(first: Priority, second: Priority) -> Vec<AlarmSpec> {
    let mut both = two_levels();
    (both[0].priority, both[1].priority) = (first, second);
    both
}

#[test]
fn w01_a_second_level_of_lower_priority_speaks_for_no_first_level() {
    check(
        levels_of(Priority::P1, Priority::P4),
        "10 s 95
         20 ack 1 with=1 saying= on P/HH
         21 ack 1 with=1 on P/HH",
        "10 P/HH AB #1 on te=10
         10 P/HH sounds #1
         10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/HH BB #1 refused: acknowledging P1, P2 or a late occurrence needs a comment
         21 P/HH BC #1 acknowledged
         21 P/HH is silent
         21 P/H BC #1 acknowledged
         21 P/H is silent",
    );
}

#[test]
fn w01_a_second_level_that_asks_for_no_answer_speaks_for_no_first_level() {
    let mut both = levels_of(Priority::P3, Priority::P3);
    both[1].lifecycle.ack_required = false;
    check(
        both,
        "10 s 95",
        "10 P/HH AC #1 on te=10
         10 P/H AB #1 on te=10
         10 P/H sounds #1",
    );
}

#[test]
fn w01_words_are_wanted_only_for_what_is_answered() {
    check(
        levels_of(Priority::P2, Priority::P3),
        "10 s 85
         20 s 95
         21 ack 1 with=7 saying= on P/HH",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/HH AB #1 on te=20
         20 P/HH sounds #1
         21 P/HH BC #1 acknowledged
         21 P/HH is silent",
    );
}

#[test]
fn an_answer_to_p1_p2_or_anything_late_is_given_in_words() {
    let needs = "refused: acknowledging P1, P2 or a late occurrence needs a comment";
    for priority in [Priority::P1, Priority::P2] {
        check(
            vec![of(priority)],
            "10 s 85
             11 ack 1 saying=
             12 ack 1",
            &format!(
                "10 P/H AB #1 on te=10
                 10 P/H sounds #1
                 11 P/H BB #1 {needs}
                 12 P/H BC #1 acknowledged
                 12 P/H is silent"
            ),
        );
    }
    check(
        vec![of(Priority::P3)],
        "10 s 85
         11 ack 1 saying=
         20 s 70
         100 s 71
         110 b 50:90 60:70
         111 ack 2 saying=
         112 ack 2",
        &format!(
            "10 P/H AB #1 on te=10
             10 P/H sounds #1
             11 P/H BC #1 acknowledged
             11 P/H is silent
             20 P/H CA #1 off te=20
             110 P/H AD #2 on te=50 late
             110 chime
             111 P/H DD #2 {needs}
             112 P/H DA #2 acknowledged
             112 P/H is silent"
        ),
    );
}

#[test]
fn w16_a_shelf_needs_a_reason_a_text_an_end_and_keeps_to_the_maximum() {
    check(
        vec![of(Priority::P2)],
        "10 shelve 60 reason=
         11 shelve 60 saying=
         12 shelve 0
         13 shelve 14401
         14 shelve 14400
         20 shelve 14394
         21 shelve 14392",
        "10 P/H AA #0 refused: a shelf needs a reason code and a free text
         11 P/H AA #0 refused: a shelf needs a reason code and a free text
         12 P/H AA #0 refused: a shelf needs an end time
         13 P/H AA #0 refused: longer than the 240 min that the gravest priority it hides allows
         14 P/H AG #0 shelved
         20 P/H GG #0 refused: a shelf with less than 240 min left is replaced only by an earlier end; \
         for a later one end it and get a new approval
         21 P/H GG #0 shelved",
    );
}

#[test]
fn w16_p1_needs_two_people_and_a_statutory_alarm_a_permit() {
    check(
        vec![of(Priority::P1)],
        "10 shelve 60
         11 shelve 60 second=duty
         12 shelve 1801 second=li
         13 shelve 60 second=li",
        "10 P/H AA #0 refused: this shelf hides a P1 alarm, and OFFLINE stands for all of its gateway: a second person is needed
         11 P/H AA #0 refused: the second person must not be the one who asks
         12 P/H AA #0 refused: longer than the 30 min that the gravest priority it hides allows
         13 P/H AG #0 shelved",
    );
    check(
        vec![AlarmSpec { statutory: true, ..of(Priority::P3) }],
        "10 shelve 60
         11 shelve 60 permit=ZX-2026-17",
        "10 P/H AA #0 refused: a statutory alarm needs the number of a written permit
         11 P/H AG #0 shelved",
    );
}

#[test]
fn w16_a_position_holds_fifty_shelves_and_another_its_own() {
    let alarms: Vec<_> = (0..52).map(|n| high(&format!("P/{n}"), 80.0)).collect();
    let mut script = String::new();
    let mut wanted = String::new();
    for n in 0..50 {
        script.push_str(&format!("10 shelve 100 on P/{n}\n"));
        wanted.push_str(&format!("10 P/{n} AG #0 shelved\n"));
    }
    script.push_str(
        "11 shelve 60 on P/50
         12 shelve 60 at=field on P/50
         13 restart
         14 shelve 60 on P/51
         15 unshelve on P/0
         16 shelve 60 on P/51",
    );
    let full = "refused: this position holds 50 shelves, the most allowed";
    wanted.push_str(&format!(
        "11 P/50 AA #0 {full}
         12 P/50 AG #0 shelved
         14 P/51 AA #0 {full}
         15 P/0 GA #0 unshelved
         16 P/51 AG #0 shelved"
    ));
    check(alarms, &script, &wanted);
}

#[test]
fn w16_a_shelf_ends_on_time_although_the_power_failed() {
    check(
        vec![high("P/H", 80.0)],
        "10 shelve 60
         20 s 85
         30 restart
         80 restart",
        "10 P/H AG #0 shelved
         20 P/H GG #1 on te=20
         80 P/H GB #1 unshelved te=70 recovered
         80 P/H sounds #1",
    );
}

#[test]
fn a_request_that_a_rule_refused_may_come_again_mended() {
    let mut engine = Engine::new(super::plan(vec![of(Priority::P1)])).unwrap();
    let mut say = |event: Event| {
        let mut actions = Vec::new();
        engine.handle(event, TimeMs(1_000), &mut actions);
        let cause = |action: &Action| match action {
            Action::Record(row) => Some(row.cause),
            Action::Annunciate { .. }
            | Action::Silence { .. }
            | Action::Chime { .. }
            | Action::Recall { .. } => None,
        };
        actions.iter().find_map(cause)
    };
    let (point, te, reading) = (PointRef(0), TimeMs(1_000), Reading::Good(1e9));
    let on = say(Event::Sample { point, te, reading, lane: Lane::Live });
    assert_eq!(on, Some(Cause::On));
    let ack = |comment: &str| {
        Event::Command(Command {
            alarm: AlarmId(0),
            verb: Verb::acknowledge(1),
            by: "duty".into(),
            comment: comment.into(),
            request: "r".into(),
        })
    };
    assert_eq!(say(ack("")), Some(Cause::Refused));
    assert_eq!(say(ack("")), Some(Cause::Refused), "and says so again");
    assert_eq!(say(ack("现场已确认")), Some(Cause::Acknowledged));
    assert_eq!(say(ack("现场已确认")), None, "the same request has one effect");
}
