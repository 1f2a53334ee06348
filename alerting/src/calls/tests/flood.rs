//! Packages: late batches and floods. Nothing is dropped, nobody is called without end.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn packages(host: &Host) -> Vec<(u64, Why, Vec<Member>)> {
    let package = |(_, event): &(TimeMs, Event)| {
        let Event::Ledger(Entry::Package { number, why, members, .. }, _) = event else {
            return None;
        };
        Some((*number, *why, members.clone()))
    };
    host.journal.iter().filter_map(package).collect()
}

fn contacts(host: &Host) -> BTreeMap<(String, String), Vec<TimeMs>> {
    let mut contacts: BTreeMap<_, Vec<TimeMs>> = BTreeMap::new();
    for (at, event) in &host.journal {
        if let Event::Ledger(Entry::Intent { intent, .. }, _) = event {
            for channel in &intent.channels {
                contacts.entry((intent.person.clone(), channel.clone())).or_default().push(*at);
            }
        }
    }
    contacts
}

#[test]
fn a_late_batch_is_one_message() {
    let mut host = Host::new(setup());
    for n in 0..30 {
        host.tell(Event::Opened(occurrence(&format!("GW-01/P-{n}/HH"), 1, 1), Novelty::Late));
    }
    host.until(s(10));
    let packages = packages(&host);
    assert_eq!(packages.len(), 1);
    assert_eq!((packages[0].1, packages[0].2.len()), (Why::Late, 30));
    assert_eq!(host.hands.len(), 2, "one push, one SMS");
    assert!(host.hands.iter().all(|(_, hand)| hand.alarm == PACKAGE));

    // It escalates as one, and each member that is acknowledged leaves it.
    host.until(s(200));
    let before = host.hands.len();
    assert_eq!(before, 3);
    for n in 0..30 {
        let alarm = format!("GW-01/P-{n}/HH");
        host.tell(Event::Acknowledged { alarm, occurrence: 1, through: true });
    }
    host.until(s(36_000));
    assert_eq!(host.hands.len(), before, "nothing is left to call for");
}

#[test]
fn one_late_occurrence_needs_no_package() {
    let mut host = Host::new(setup());
    host.tell(Event::Opened(occurrence("GW-01/P/HH", 1, 1), Novelty::Late));
    host.until(s(10));
    assert!(packages(&host).is_empty());
    assert_eq!(host.hands.len(), 2);
}

#[test]
fn a_flood_keeps_the_budget_and_names_every_one() {
    let mut with = setup();
    for name in ["push", "sms", "voice"] {
        with.channels.insert(name.into(), channel(Needs::Phone, 20));
    }
    let mut host = Host::new(with);
    let alarms: Vec<String> = (0..500).map(|n| format!("GW-01/P-{n:03}/H")).collect();
    for (n, alarm) in alarms.iter().enumerate() {
        host.now = s(i64::try_from(n / 50).unwrap());
        host.tell(Event::Opened(occurrence(alarm, 1, 2), Novelty::Live));
        host.until(host.now);
    }
    // The first package five seconds after the first of the flood, the second with the rest.
    host.until(s(5 + 300));
    let mut named: BTreeSet<String> = packages(&host)
        .into_iter()
        .flat_map(|(_, _, members)| members.into_iter().map(|member| member.alarm))
        .collect();
    let single: Vec<_> = alarms.iter().filter(|a| !host.attempts(a).is_empty()).cloned().collect();
    // A quarter of twenty is kept for P1.
    assert_eq!(single.len(), 15);
    named.extend(single);
    assert_eq!(named.len(), 500, "every alarm was told of");

    host.until(s(4 * 3_600));
    for ((person, channel), times) in contacts(&host) {
        for from in &times {
            let hour =
                times.iter().filter(|at| at.since(*from) >= 0 && at.since(*from) < 3_600_000);
            let count = hour.count();
            // Twenty, and a package of each kind every five minutes.
            assert!(count <= 20 + 2 * 12 + 2, "{person} {channel}: {count} in an hour");
        }
    }
    let open: Vec<Open> = alarms
        .iter()
        .map(|alarm| Open { alarm: alarm.clone(), occurrence: 1, priority: 2 })
        .collect();
    assert_eq!(audit(&host.machine, &open, host.now), []);
    assert!(host.journal.len() < 5_000, "{} rows", host.journal.len());
}

#[test]
fn a_p1_is_told_by_itself_in_a_flood_of_p2() {
    let mut with = setup();
    for name in ["push", "sms", "voice"] {
        with.channels.insert(name.into(), channel(Needs::Phone, 20));
    }
    let mut host = Host::new(with);
    for n in 0..200 {
        host.open(occurrence(&format!("GW-01/P-{n}/H"), 1, 2));
    }
    host.until(s(30));
    host.open(occurrence("GW-01/G-1/HH", 1, 1));
    assert_eq!(host.attempts("GW-01/G-1/HH").len(), 1);
    assert_eq!(host.attempts("GW-01/G-1/HH")[0].0, 30, "at once");
}

/// Alarms of one priority, each a second after the one before, over a spent budget: how long each
/// waited until somebody was called for it.
fn waits(priority: u8) -> Vec<i64> {
    let mut with = setup();
    with.policies.insert(3, with.policies[&2].clone());
    for name in ["push", "sms", "voice"] {
        with.channels.insert(name.into(), channel(Needs::Phone, 4));
    }
    let mut host = Host::new(with);
    let alarms: Vec<String> = (0..40).map(|n| format!("GW-01/P-{n:02}/HH")).collect();
    for (second, alarm) in (0..).zip(&alarms) {
        host.until(s(second));
        host.now = s(second);
        host.open(occurrence(alarm, 1, priority));
    }
    host.until(s(3_600));
    let told = |(second, alarm): (i64, &String)| {
        let alone = host.attempts(alarm).first().map(|attempt| attempt.0);
        let together = packages(&host).into_iter().find_map(|(number, _, members)| {
            let named = members.iter().any(|member| member.alarm == *alarm);
            let ladder = host.machine.ladder(PACKAGE, number)?;
            let first = ladder.attempts.front().filter(|_| named)?;
            Some(first.at.since(s(0)) / 1_000)
        });
        alone.into_iter().chain(together).min().unwrap() - second
    };
    (0..).zip(&alarms).map(told).collect()
}

#[test]
fn what_is_urgent_waits_for_no_budget() {
    assert_eq!(waits(1), vec![0; 40], "P1: at once");
    assert!(waits(2).into_iter().all(|wait| wait <= 5), "P2: as long as a package is gathered");
    assert!(waits(3).into_iter().any(|wait| wait > 60), "P3: a digest");
}

#[test]
fn who_reads_back_a_package_has_been_reached_for_all_of_it() {
    let mut host = Host::new(setup());
    for n in 0..5 {
        host.tell(Event::Opened(occurrence(&format!("GW-01/P-{n}/HH"), 1, 1), Novelty::Late));
    }
    host.until(s(10));
    let digits = host.digits(PACKAGE);
    // Recorded under the name of one member: the package speaks for it.
    host.answer("GW-01/P-3/HH", Outcome::Answered, &digits, "a");
    assert_eq!(host.next(PACKAGE), Some(910));
    let open: Vec<Open> = (0..5)
        .map(|n| Open { alarm: format!("GW-01/P-{n}/HH"), occurrence: 1, priority: 1 })
        .collect();
    assert_eq!(audit(&host.machine, &open, host.now), []);
}
