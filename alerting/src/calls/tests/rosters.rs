//! The roster changes while ladders are open.

use super::*;

const HH: &str = "GW-01/TK-101.LT/HH";

fn called(host: &Host) -> Vec<(i64, String, Reason)> {
    host.attempts(HH).into_iter().map(|(at, who, _, why)| (at, who, why)).collect()
}

fn row(at: i64, who: &str, why: Reason) -> (i64, String, Reason) {
    (at, who.to_owned(), why)
}

#[test]
fn somebody_removed_is_not_called_again_and_nobody_is_left_out() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    // The duty officer has the message and leaves: chen has the duty, and comes before li.
    let mut new = setup();
    new.persons.remove("wang");
    new.persons.insert("chen".into(), person("chen", true));
    new.duty = vec![Turn { person: "chen".into(), from: 0, to: 0 }];
    host.until(s(60));
    assert_eq!(host.machine.left_alone(&new, s(60)), []);
    host.machine.reconfigure(new);
    host.until(s(1_000));
    let first_round = [
        row(0, "wang", Reason::First),
        row(180, "chen", Reason::Unanswered),
        row(300, "li", Reason::Unanswered),
        row(420, "zhao", Reason::Unanswered),
        row(660, "chen", Reason::AgainFromTop),
    ];
    assert_eq!(called(&host)[..5], first_round);
    assert!(called(&host)[5..].iter().all(|(_, who, _)| who != "wang"));
    let again = host.restarted();
    assert_eq!(again.machine.wake_at(), host.machine.wake_at(), "the rows alone say what is next");
}

#[test]
fn a_ladder_whose_last_person_moved_goes_on_behind_them() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 1));
    host.until(s(310));
    // li was called at 300 as the second; without the duty officer they are the first.
    let mut new = setup();
    new.duty.clear();
    host.machine.reconfigure(new);
    host.until(s(430));
    assert_eq!(
        called(&host)[2..],
        [row(300, "li", Reason::Unanswered), row(420, "zhao", Reason::Unanswered)]
    );
}

#[test]
fn a_roster_that_leaves_an_urgent_alarm_alone_is_named() {
    let mut host = Host::new(setup());
    host.open(occurrence(HH, 1, 2));
    host.open(occurrence("GW-01/TK-102.LT/H", 1, 3));
    let nobody = Setup { rosters: [].into(), duty: Vec::new(), ..setup() };
    let alone = host.machine.left_alone(&nobody, s(0));
    assert_eq!(alone.len(), 1, "the third priority has no policy and no claim");
    assert_eq!((alone[0].alarm.as_str(), alone[0].at, alone[0].fault), (HH, s(0), Fault::Nobody));
    let mut mute = setup();
    mute.channels.clear();
    assert_eq!(host.machine.left_alone(&mute, s(0))[0].fault, Fault::Unreachable);
    let mut days = setup();
    days.rosters.clear();
    let minute = days.minute(s(0));
    days.duty = vec![Turn { person: "wang".into(), from: 0, to: minute + 2 }];
    let alone = host.machine.left_alone(&days, s(0));
    assert!(alone[0].at > s(0) && alone[0].at <= s(120), "nobody after the duty: {alone:?}");
    host.machine.reconfigure(days.clone());
    assert_eq!(host.machine.left_alone(&days, s(0)), [], "no worse than what is in force");
    assert_eq!(host.machine.left_alone(&nobody, s(0)).len(), 1);
    host.tell(Event::Acknowledged { alarm: HH.into(), occurrence: 1, through: true });
    assert_eq!(host.machine.left_alone(&nobody, s(0)), [], "answered: nobody waits");
}

#[test]
fn what_a_roster_changes_is_named_as_the_file_names_it() {
    let mut new = setup();
    new.persons.remove("li");
    new.persons.insert("chen".into(), person("陈", true));
    new.duty.push(Turn { person: "chen".into(), from: 1_200, to: 480 });
    if let Some(policy) = new.policies.get_mut(&1) {
        policy.unread_ms = 60_000;
    }
    let told: Vec<_> = differences(&setup(), &new)
        .into_iter()
        .map(|d| (d.what, d.old.unwrap_or_default(), d.new.unwrap_or_default()))
        .collect();
    let expected = [
        ("duty chen", "", "20:00-08:00"),
        ("person chen name", "", "陈"),
        ("person chen phone", "", "13800000000"),
        ("person li name", "li", ""),
        ("person li phone", "13800000000", ""),
        ("policy 1 unread_s", "180", "60"),
    ];
    let expected = expected.map(|(what, old, new)| (what.into(), old.into(), new.into()));
    assert_eq!(told, expected);
    assert_eq!(differences(&new, &new), []);
}
