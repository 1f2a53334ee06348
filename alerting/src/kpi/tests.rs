//! Figures against counts done by hand.

use fengsui_telemetry::TimeMs;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Days by UTC, so that minutes are counted from midnight.
fn rules() -> Rules {
    Rules { offset_ms: 0, ..Rules::default() }
}

fn told(alarm: u32, minute: i64) -> Annunciation {
    let at = TimeMs(minute * MINUTE);
    Annunciation {
        alarm,
        priority: Priority::P3,
        at,
        on: at,
        off: Some(at + MINUTE),
        acknowledged: Some(at + 30_000),
        answered: None,
    }
}

fn of(annunciations: Vec<Annunciation>) -> Facts {
    Facts { annunciations, ..Facts::default() }
}

fn near(got: Option<f64>, wanted: f64) {
    assert!(got.is_some_and(|got| (got - wanted).abs() < 1e-9), "{got:?}, not {wanted}");
}

#[test]
fn rates_peaks_and_floods_of_thirty_days() {
    // Every hour one alarm, and on the third day twelve within one ten-minute period.
    let mut list: Vec<Annunciation> =
        (0..720).map(|hour| told(hour_alarm(hour), hour * 60)).collect();
    let burst = 2 * 1_440 + 30;
    list.extend(
        (0..12).map(|n| Annunciation { at: TimeMs(burst * MINUTE + n), ..told(99, burst) }),
    );
    let found = figures(&of(list), &rules(), TimeMs(0), TimeMs(30 * DAY_MS));
    assert!(found.enough);
    assert_eq!(found.load.announced, 732);
    near(found.load.per_day, 24.4);
    near(found.load.per_hour, 732.0 / 720.0);
    near(found.load.per_ten_minutes, 732.0 / 4_320.0);
    near(found.load.busy_periods, 1.0 / 4_320.0);
    assert_eq!((found.load.most_in_period, found.load.floods), (12, 1));
    // The flood ends when the twelve leave the window, to the eighth of them.
    near(found.load.flood_share, (600.0 - 0.003) / (30.0 * 86_400.0));
    assert_eq!(found.load.top[0], Frequent { alarm: 0, count: 72 });
    assert_eq!(found.load.top.len(), 10);
    assert_eq!(found.chattering, [99]);
}

fn hour_alarm(hour: i64) -> u32 {
    u32::try_from(hour % 10).unwrap()
}

#[test]
fn too_little_data_says_so_and_nothing_is_undefined_rather_than_zero() {
    let day = figures(&of(vec![told(1, 5)]), &rules(), TimeMs(0), TimeMs(30 * DAY_MS - 1));
    assert!(!day.enough);
    let none = figures(&Facts::default(), &rules(), TimeMs(0), TimeMs(DAY_MS));
    near(none.load.per_day, 0.0);
    assert_eq!(none.load.top_share, None);
    assert_eq!(none.load.by_priority, [None; 4]);
    assert_eq!(none.answering.to_acknowledge_median_s, None);
    assert_eq!((none.online_rate, none.late_median_s, none.fleeting), (None, None, None));
    let nothing = figures(&of(vec![told(1, 5)]), &rules(), TimeMs(5), TimeMs(5));
    assert_eq!((nothing.load.per_day, nothing.load.busy_periods), (None, None));
}

#[test]
fn load_is_divided_by_the_time_that_somebody_watched() {
    let dark = |from: i64, to: i64| Stretch {
        what: 0,
        from: TimeMs(from * DAY_MS),
        to: Some(TimeMs(to * DAY_MS)),
    };
    // Thirty-one days, of which only the first was watched: a flood of twelve in it.
    let list = (0..12).map(|n| Annunciation { at: TimeMs(n), ..told(1, 0) }).collect();
    let facts = Facts { dark: vec![dark(1, 9), dark(9, 40)], ..of(list) };
    let found = figures(&facts, &rules(), TimeMs(0), TimeMs(31 * DAY_MS));
    assert_eq!((found.known_ms, found.enough), (DAY_MS, false), "thirty days must be watched");
    near(found.load.per_day, 12.0);
    near(found.load.per_hour, 0.5);
    near(found.load.per_ten_minutes, 12.0 / 144.0);
    near(found.load.busy_periods, 1.0 / 144.0);
    near(found.load.flood_share, (600.0 - 0.003) / 86_400.0);
    let days = daily(&facts, &rules(), TimeMs(0), TimeMs(31 * DAY_MS));
    let load = &days[1].load;
    assert_eq!(days[1].known_ms, 0);
    assert_eq!((load.per_day, load.per_hour, load.per_ten_minutes), (None, None, None));
    assert_eq!((load.busy_periods, load.flood_share, days[1].blind_s), (None, None, None));
    // Watched for thirty of thirty-one days.
    let facts = Facts { dark: vec![dark(4, 5)], ..of(vec![told(1, 5)]) };
    let found = figures(&facts, &rules(), TimeMs(0), TimeMs(31 * DAY_MS));
    assert!(found.enough);
    near(found.load.per_day, 1.0 / 30.0);
}

#[test]
fn a_flood_counts_only_while_somebody_watched() {
    let list = (0..12).map(|n| Annunciation { at: TimeMs(n), ..told(1, 0) }).collect();
    // The centre dies a minute after the flood began, until the end of the day.
    let dark = vec![Stretch { what: 0, from: TimeMs(MINUTE), to: None }];
    let found = figures(&Facts { dark, ..of(list) }, &rules(), TimeMs(0), TimeMs(DAY_MS));
    near(found.load.flood_share, (60.0 - 0.010) / 60.0);
    near(found.load.busy_periods, 1.0);
}

#[test]
fn tags_with_a_limit_of_the_plant_are_required() {
    let csv = "tag,kind,limit\nTK-1.LT,H,80\nTK-2.LT,STALE,60\nTK-3.LT,LL,UNSET\n,OFFLINE,15\n";
    let limits = crate::limits::LimitSet::parse("limits.csv", csv).unwrap();
    assert_eq!(required_tags(&limits).into_iter().collect::<Vec<_>>(), ["TK-1.LT", "TK-3.LT"]);
}

#[test]
fn days_are_those_on_the_wall_and_add_up() {
    let rules = Rules::default();
    let facts = of((0..48).map(|hour| told(1, hour * 60)).collect());
    let days = daily(&facts, &rules, TimeMs(0), TimeMs(2 * DAY_MS));
    // Midnight in China is 16:00 UTC: eight hours of a day are left over at each end.
    let counts: Vec<usize> = days.iter().map(|day| day.load.announced).collect();
    assert_eq!(counts, [16, 24, 8]);
    assert_eq!(days[1].from, TimeMs(16 * HOUR));
}

#[test]
fn priorities_and_times_to_answer() {
    let mut list: Vec<Annunciation> = (0..20).map(|n| told(1, n * 60)).collect();
    for (n, one) in (0..).zip(&mut list) {
        one.acknowledged = (n < 19).then(|| one.at + (n + 1) * 1_000);
        one.answered = (n < 2).then(|| one.at + 60_000 * (n + 1));
        one.priority = if n == 0 { Priority::P1 } else { Priority::P4 };
    }
    let found = figures(&of(list), &rules(), TimeMs(0), TimeMs(DAY_MS));
    near(found.load.by_priority[0], 0.05);
    near(found.load.by_priority[3], 0.95);
    near(found.answering.to_acknowledge_median_s, 10.0);
    near(found.answering.to_acknowledge_p95_s, 19.0);
    near(found.answering.to_answer_median_s, 60.0);
    near(found.answering.to_answer_p95_s, 120.0);
    assert_eq!(found.answering.not_acknowledged, 1);
}

#[test]
fn disposals_count_by_their_date_and_by_their_opening() {
    let at = |hours: i64| TimeMs(hours * HOUR);
    let one = |opened, due: Option<i64>, done: Option<i64>| Disposal {
        opened: at(opened),
        due: due.map(at),
        done: done.map(at),
    };
    let disposals = vec![
        one(1, Some(5), Some(4)),
        one(1, Some(5), Some(6)),
        one(1, Some(5), None),
        one(1, None, None),
        one(-5, Some(2), Some(1)),
    ];
    let found = figures(&Facts { disposals, ..Facts::default() }, &rules(), at(0), at(24));
    near(found.answering.done_in_time, 2.0 / 4.0);
    near(found.answering.disposal_rate, 2.0 / 4.0);
}

#[test]
fn chattering_fleeting_and_stale_alarms_are_told_apart() {
    let second = |alarm, s: i64, off: Option<i64>| Annunciation {
        at: TimeMs(s * 1_000),
        on: TimeMs(s * 1_000),
        off: off.map(|s| TimeMs(s * 1_000)),
        acknowledged: None,
        ..told(alarm, 0)
    };
    // 1: three in a minute. 2: returns after five seconds, once. 3: the same, but comes again at
    // once. 4: somebody had acknowledged before it returned. 5: stands for two days.
    let mut acknowledged = second(4, 0, Some(5));
    acknowledged.acknowledged = Some(TimeMs(1_000));
    let list = vec![
        second(1, 0, Some(100)),
        second(1, 30, Some(100)),
        second(1, 60, Some(100)),
        second(2, 0, Some(5)),
        second(3, 0, Some(5)),
        second(3, 20, Some(900)),
        acknowledged,
        second(5, 0, None),
    ];
    assert_eq!(chattering(&list), [1, 3], "3: index 1/20");
    assert_eq!(fleeting(&list, 10_000, 60_000), [Frequent { alarm: 2, count: 1 }]);
    let day = |n: i64| TimeMs(n * DAY_MS);
    assert!(stale(&list, DAY_MS, day(0), day(1)).is_empty());
    assert_eq!(stale(&list, DAY_MS, day(1), day(2)).into_iter().collect::<Vec<_>>(), [5]);
    let found = figures(&of(list), &rules(), day(0), day(2));
    assert_eq!(found.stale_most, 1);
}

#[test]
fn late_excursions_are_no_load_and_blind_time_counts_once() {
    let at = |minutes: i64| TimeMs(minutes * MINUTE);
    let stretch = |what, from, to: Option<i64>| Stretch { what, from: at(from), to: to.map(at) };
    let facts = Facts {
        late: vec![
            Late { on: at(10), known: at(110) },
            Late { on: at(20), known: at(220) },
            Late { on: at(30), known: at(60) },
        ],
        // Point 7 stale and behind a silent gateway at once; point 8 still blind.
        judged: vec![stretch(1, 0, None)],
        blind: vec![stretch(7, 0, Some(30)), stretch(7, 10, Some(40)), stretch(8, 1_430, None)],
        shelved: vec![stretch(1, -60, Some(30))],
        online: vec![stretch(1, 0, Some(1_440)), stretch(2, 720, None)],
        gateways: 2,
        ..Facts::default()
    };
    let found = figures(&facts, &rules(), at(0), at(1_440));
    assert_eq!((found.load.announced, found.late), (0, 3));
    near(found.late_median_s, 6_000.0);
    near(found.blind_s, 50.0 * 60.0);
    near(Some(found.shelved_s), 30.0 * 60.0);
    near(found.online_rate, 0.75);
}

#[test]
fn green_is_suspicious_where_nobody_can_see() {
    let point = |tag: &str, doubts| PointDoubts { tag: tag.to_owned(), doubts };
    let plant = |name: &str, points| Plant { name: name.to_owned(), points };
    let clear = Doubts::default();
    let plants = [
        plant("清", vec![point("A", clear), point("B", clear)]),
        plant(
            "半",
            vec![
                point("A", Doubts { unset: true, silent: 1.0, ..clear }),
                point("B", Doubts { never_in_a_year: true, ..clear }),
            ],
        ),
        plant(
            "盲",
            vec![
                point("A", Doubts { silent: 1.0, ..clear }),
                point("B", Doubts { muted: f64::NAN, ..clear }),
            ],
        ),
        plant("空", vec![]),
    ];
    let ranked = rank(&plants, &IndexWeights::default());
    let told: Vec<(&str, Option<f64>)> =
        ranked.iter().map(|r| (r.name.as_str(), r.index.map(f64::round))).collect();
    assert_eq!(told, [("空", None), ("盲", Some(100.0)), ("半", Some(55.0)), ("清", Some(0.0))]);
    assert_eq!(ranked[2].points[0].0, "A", "the strongest doubt counts once");
    assert!(ranked[3].points.is_empty());
    let hours =
        Doubts { muted: 0.25, frozen: 0.5, copied: 0.1, looser_than_yesterday: true, ..clear };
    assert!((suspicion(&hours, &IndexWeights::default()) - 0.5).abs() < 1e-12);
}
