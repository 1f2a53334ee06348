//! Rows in, cuts out.

use super::*;
use fengsui_telemetry::{ClockQuality, Fault, LocalTransition, Revision, Scan};

fn at(te: i64, points: &[(u32, Reading)]) -> Record {
    let scan = Scan { readings: points.to_vec(), clock: ClockQuality::Synchronised };
    Record { te: TimeMs(te), body: Body::Scan(scan) }
}

fn good(te: i64, point: u32) -> Record {
    at(te, &[(point, Reading::Good(1.0))])
}

fn alarm(te: i64) -> Record {
    let transition = LocalTransition {
        alarm: "GW-01/A/HH".into(),
        occurrence: 1,
        from: 'A',
        to: 'B',
        revision: Revision(1),
        value: None,
        why: "on".into(),
        known: TimeMs(te),
    };
    Record { te: TimeMs(te), body: Body::Transition(transition) }
}

fn gap(from: i64, to: i64, records: u64, cause: GapCause) -> Record {
    let (from, to) = (TimeMs(from), TimeMs(to));
    let gap = Gap { from, to, records, cause, points: vec![0], detail: String::new() };
    Record { te: to, body: Body::Gap(gap) }
}

/// `2..9 1000..8000 Thinned [0]`: which offsets go, from when to when, why, and whose.
fn check(grain: Grain, records: &[Record], expected: &[&str]) {
    let mut memory = Memory::new();
    let mut plan = Plan::new(grain, &mut memory, Before::Other);
    let mut first = 0;
    for record in records {
        let end = first + fengsui_telemetry::wire::span(record);
        plan.meet(Seen { first, end, cost: 100, record: Some(record) });
        first = end;
    }
    let said = plan.end(Follows::Nothing).0.into_iter().map(|cut| {
        let Gap { from, to, records, cause, points, .. } = cut.gap;
        assert_eq!(records, cut.end - cut.first, "a Gap stands for its offsets");
        format!("{}..{} {from}..{to} {cause:?} {points:?}", cut.first, cut.end)
    });
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

const TEN_S: Grain = Grain::Every(10_000);

#[test]
fn one_reading_a_point_is_kept_in_each_window() {
    let records: Vec<_> = (0..20).map(|s| good(s * 1_000, 0)).collect();
    check(TEN_S, &records, &["1..10 1000..9000 Thinned [0]", "11..20 11000..19000 Thinned [0]"]);
}

#[test]
fn groups_that_take_turns_share_their_gaps() {
    let records: Vec<_> =
        (0..10).flat_map(|s| [good(s * 1_000, 0), good(s * 1_000 + 300, 1)]).collect();
    check(TEN_S, &records, &["2..20 1000..9300 Thinned [0, 1]"]);
}

#[test]
fn a_point_that_speaks_seldom_is_not_thinned() {
    let records: Vec<_> = (0..9).map(|n| good(n * 10_000, 0)).collect();
    check(TEN_S, &records, &[]);
    // A Gap for a single record costs more than it saves.
    let records: Vec<_> = (0..8).map(|n| good(n * 5_000, 0)).collect();
    check(TEN_S, &records, &[]);
}

#[test]
fn a_change_of_quality_is_kept() {
    let mut records: Vec<_> = (0..10).map(|s| good(s * 1_000, 0)).collect();
    records[4] = at(4_000, &[(0, Reading::Bad(Fault::Timeout))]);
    check(TEN_S, &records, &["1..4 1000..3000 Thinned [0]", "6..10 6000..9000 Thinned [0]"]);
}

#[test]
fn what_was_read_before_and_after_an_alarm_is_kept_also_when_all_else_goes() {
    let mut records: Vec<_> = (0..10).map(|s| good(s * 1_000, 0)).collect();
    records.insert(5, alarm(4_000));
    check(TEN_S, &records, &["1..4 1000..3000 Thinned [0]", "7..11 6000..9000 Thinned [0]"]);
    check(
        Grain::Alarms,
        &records,
        &["0..4 0..3000 SpoolFull [0]", "7..11 6000..9000 SpoolFull [0]"],
    );
    check(
        Grain::Nothing,
        &records,
        &["0..5 0..4000 SpoolFull [0]", "6..11 5000..9000 SpoolFull [0]"],
    );
}

#[test]
fn an_alarm_keeps_its_readings_across_the_border_of_two_passes() {
    let records: Vec<_> = (0..8).map(|s| good(s * 1_000, 0)).collect();
    let mut memory = Memory::new();
    let mut plan = Plan::new(Grain::Alarms, &mut memory, Before::Alarm);
    for (first, record) in (0..).zip(&records) {
        plan.meet(Seen { first, end: first + 1, cost: 100, record: Some(record) });
    }
    let (cuts, undecided) = plan.end(Follows::More);
    assert_eq!(cuts.iter().map(|cut| (cut.first, cut.end)).collect::<Vec<_>>(), [(1, 7)]);
    assert_eq!(undecided, Some(7), "the next row may be an alarm");
}

#[test]
fn what_is_thinned_already_is_taken_in_and_damage_is_not() {
    let thinned = |te| gap(te, te + 8_000, 9, GapCause::Thinned);
    let records = [good(0, 0), thinned(1_000), good(10_000, 0), thinned(11_000), good(20_000, 0)];
    check(TEN_S, &records, &[]);
    check(Grain::Every(60_000), &records, &["1..21 1000..20000 Thinned [0]"]);
    check(Grain::Alarms, &records, &["0..21 0..20000 SpoolFull [0]"]);
    let records = [good(0, 0), gap(1, 2, 3, GapCause::Corrupt), good(3, 0), good(4, 0), good(5, 0)];
    check(TEN_S, &records, &["4..7 3..5 Thinned [0]"]);
    // What has gone altogether is no part of what is only coarser.
    let records =
        [gap(0, 9, 5, GapCause::SpoolFull), good(10, 0), good(11, 0), good(12, 0), good(13, 0)];
    check(TEN_S, &records, &["6..9 11..13 Thinned [0]"]);
}

#[test]
fn many_points_are_called_all() {
    let wide: Vec<_> = (0..40).map(|point| (point, Reading::Good(0.5))).collect();
    let records: Vec<_> = (0..10).map(|s| at(s * 1_000, &wide)).collect();
    check(TEN_S, &records, &["1..10 1000..9000 Thinned []"]);
}

#[test]
fn the_zone_that_holds_most_gives_way() {
    let mut zones = Zones::raw(0, 1_000);
    let step = |zones: &Zones| zones.coarsen(100).map(|step| (step.zone, step.from, step.to));
    assert_eq!(step(&zones), Some((0, 0, 100)));
    let first = zones.coarsen(100).unwrap();
    zones.stepped(&first, 90, 900, 450);
    assert_eq!(step(&zones), Some((1, 0, 90)), "450 in the first grain, 100 raw");
    let second = zones.coarsen(100).unwrap();
    assert_eq!(second.grain, Grain::Every(60_000));
    zones.stepped(&second, 80, 400, 60);
    assert_eq!(step(&zones), Some((0, 90, 100)));
    let oldest = zones.evict(100).unwrap();
    assert_eq!((oldest.zone, oldest.from, oldest.to, oldest.grain), (2, 0, 80, Grain::Alarms));
    zones.stepped(&oldest, 80, 60, 0);
    assert_eq!(zones.evict(100).map(|step| step.zone), Some(1), "the next older");
    // What the centre has is nobody's loss.
    zones.freed(100, 200);
    assert_eq!((step(&zones), zones.evict(100)), (None, None));
    zones.added(10);
    assert_eq!(zones.coarsen(101).map(|step| (step.zone, step.from)), Some((0, 100)));
}
