//! `limits.csv`: what loads, what is refused and in which words, and the alarms that come of it.

mod detail;

use fengsui_telemetry::{Catalogue, Installation, Point, Revision, Tag};

use crate::engine::Engine;
use crate::limits::{LimitFault, LimitKind, LimitSet};
use crate::model::{AlarmSpec, Condition, GatewayRef, Level, Plan, PointRef, Priority, Subject};

const HEAD: &str = "位号,类型,限值,回差,延时_秒,恢复延时_秒,优先级,锁存,依据,可信度\n\
                    tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,confidence\n";

pub(super) fn point(tag: &str, period_ms: u32) -> Point {
    Point {
        tag: Tag::parse(tag).unwrap(),
        name: "液位".into(),
        unit: "%".into(),
        low: 0.0,
        high: 100.0,
        installation: 0,
        equipment: "TK-101".into(),
        period_ms,
        silence_ms: 0,
        signal: "level".into(),
    }
}

pub(super) fn catalogue(points: Vec<Point>) -> Catalogue {
    let installations =
        vec![Installation { name: "1#罐区".into(), hazard_class: 3, kind: "tank_farm".into() }];
    Catalogue { enterprise: "示例".into(), installations, points }
}

pub(super) fn load(rows: &str) -> LimitSet {
    LimitSet::parse("limits.csv", &format!("{HEAD}{rows}")).unwrap()
}

/// Row and column of every fault.
pub(super) fn places(faults: &[LimitFault]) -> Vec<(u64, &str)> {
    faults.iter().map(|fault| (fault.row, fault.column.as_str())).collect()
}

fn refuse(rows: &str, wanted: &[(u64, &str)]) -> Vec<LimitFault> {
    let faults = LimitSet::parse("limits.csv", &format!("{HEAD}{rows}")).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(places(&faults), wanted, "{told:#?}");
    faults
}

#[test]
fn a_quote_that_stays_open_is_named_and_no_other_row_is_lost() {
    let rows =
        "A,HH,90,,,,,,\"note,\nA,H,x,,,,,,,\nA,L,5,,,,,,\"say \"\"so\"\"\",\nB,H,y,,,,,,a\"b,\n";
    let faults = refuse(rows, &[(3, ""), (4, "limit"), (6, "limit")]);
    let told = faults[0].to_string();
    assert!(told.contains("引号") && told.contains("A,HH,90"), "{told}");
    refuse("A,HH,90,,,,,,,\r\n\r\n\nA,H,x,,,,,,,", &[(6, "limit")]);
    // A line break inside a cell looks the same and is named the same.
    refuse("A,HH,90,,,,,,\"two\nlines\",\n", &[(3, ""), (4, "kind"), (4, "limit")]);
}

#[test]
fn a_file_with_mark_windows_ends_and_empty_rows_loads() {
    let text = format!(
        "\u{feff}{HEAD}TK-101.LT,HH,90,1,0,30,P1,true,规程,高\n,,,,,,,,,\n\n,OFFLINE,30,,,,P2,,,\n"
    );
    let set = LimitSet::parse("limits.csv", &text.replace('\n', "\r\n")).unwrap();
    assert_eq!(set.len(), 2);
    let limits: Vec<_> = set.of_tag("TK-101.LT").collect();
    assert_eq!(limits.len(), 1);
    assert_eq!(
        (limits[0].kind, limits[0].limit, limits[0].deadband),
        (LimitKind::HighHigh, 90.0, 1.0)
    );
    assert_eq!((limits[0].on_delay_ms, limits[0].off_delay_ms), (0, 30_000));
    assert_eq!((limits[0].priority, limits[0].latch), (Priority::P1, true));
    assert_eq!(limits[0].source, "规程");
}

#[test]
fn semicolons_and_tabs_between_cells_are_read_as_well() {
    let text = format!("{HEAD}TK-101.LT,HH,90.5,1,0,30,P1,true,规程,高\n");
    for separator in [";", "\t"] {
        let set = LimitSet::parse("limits.csv", &text.replace(',', separator)).unwrap();
        let limit = set.of_tag("TK-101.LT").next().unwrap();
        assert_eq!((limit.kind, limit.limit), (LimitKind::HighHigh, 90.5));
    }
}

#[test]
fn faults_of_cells_and_faults_against_the_points_come_together() {
    let text = format!("{HEAD}A,HH,much,1,0,0,P1,,,\nB,H,80,1,0,0,P2,,,\nA,L,-5,1,0,0,P2,,,\n");
    let faults =
        LimitSet::parse_for("limits.csv", &text, &catalogue(vec![point("A", 500)])).unwrap_err();
    assert_eq!(places(&faults), [(3, "limit"), (4, "tag"), (5, "limit")]);
}

#[test]
fn what_nobody_can_see_in_a_cell_is_refused_at_its_place() {
    let text = format!("{HEAD}A,HH,90,1,0,0,P1,,GB\0 1,\nA,H,80,1,0,0,P2,,GB 2,\u{1b}[2J\n");
    let faults = LimitSet::parse("limits.csv", &text).unwrap_err();
    assert_eq!(places(&faults), [(3, "source"), (4, "confidence")]);
    assert!(
        faults[0].to_string().starts_with("limits.csv:3 [source] \"GB\\0 1\"：含有"),
        "{}",
        faults[0]
    );
    let tab = format!("{HEAD}A,HH,90,1,0,0,P1,,GB\t1,\n");
    LimitSet::parse("limits.csv", &tab).unwrap();
}

#[test]
fn columns_are_found_by_key_and_most_may_be_left_out() {
    let set = LimitSet::parse("limits.csv", "limit,tag,kind\n85.5,TK-101.LT,h\n").unwrap();
    let limit = set.of_tag("TK-101.LT").next().unwrap();
    assert_eq!((limit.kind, limit.limit, limit.priority), (LimitKind::High, 85.5, Priority::P2));
}

#[test]
fn every_fault_is_named_with_row_column_value_and_mend() {
    let faults = refuse(
        "TK-101.LT,HH,NaN,1,0,0,P1,,,\n\
         TK-102.LT,HHH,90,1,0,0,P1,,,\n\
         TK-103.LT,H,85,-1,0,0,P9,perhaps,,\n\
         ,H,85,1,0,0,P2,,,\n\
         TK/1,H,85,1,0,0,P2,,,\n\
         TK-104.LT,STALE,0,,,,P3,,,\n\
         TK-104.LT,OFFLINE,30,,,,P2,,,\n\
         TK-105.LT,H,,1,0,0,P2,,,\n\
         TK-106.LT,STALE,30,2,5,,P3,true,,\n",
        &[
            (3, "limit"),
            (4, "kind"),
            (5, "deadband"),
            (5, "priority"),
            (5, "latch"),
            (6, "tag"),
            (7, "tag"),
            (8, "limit"),
            (9, "tag"),
            (10, "limit"),
            (11, "deadband"),
            (11, "on_delay_s"),
            (11, "latch"),
        ],
    );
    assert_eq!(
        faults[0].to_string(),
        "limits.csv:3 [limit] \"NaN\"：不是有限的数字；请写成 85 或 0.5 的样子  |  is no finite number; write it \
         like 85 or 0.5"
    );
}

/// A comma in a number is a cell of its own: 0,5 would be a limit of 0 with a deadband of 5.
#[test]
fn a_row_with_more_cells_than_headings_is_refused_unless_the_rest_is_empty() {
    let faults = refuse(
        "A,L,0,5,,,,,,,\nB,H,1,500,1,0,0,P2,,,x\nC,H,85,1,0,0,P2,,,,示例\nD,H,85,,,,P2,,,,\n",
        &[(3, "limit"), (4, "limit"), (4, "priority"), (4, "latch"), (5, "limit")],
    );
    let told = faults[0].to_string();
    assert!(
        told.contains("11 格") && told.contains("0.5") && told.contains("10 headings"),
        "{told}"
    );
}

#[test]
fn levels_that_cross_repeats_and_delays_beyond_stale_are_refused() {
    let faults = refuse(
        "A,HH,80,1,0,0,P1,,,\n\
         A,H,85,1,0,0,P2,,,\n\
         B,L,5,1,0,0,P2,,,\n\
         B,LL,10,1,0,0,P1,,,\n\
         C,H,10,1,0,0,P2,,,\n\
         C,L,20,1,0,0,P2,,,\n\
         D,H,80,1,0,0,P2,,,\n\
         D,H,81,1,0,0,P2,,,\n\
         E,H,80,1,60,0,P2,,,\n\
         E,STALE,30,,,,P3,,,\n\
         F,HH,10,1,0,0,P1,,,\n\
         F,LL,20,1,0,0,P1,,,\n",
        &[
            (3, "limit"),
            (5, "limit"),
            (7, "limit"),
            (10, "kind"),
            (11, "on_delay_s"),
            (13, "limit"),
        ],
    );
    let told = faults[0].to_string();
    assert!(told.contains("wrong side of H 85 (row 4)"), "{told}");
    assert!(faults[3].to_string().contains("given already in row 9"));
}

#[test]
fn of_a_wrong_file_a_thousand_faults_are_told_and_every_row_is_lost() {
    let rows: String = (0..3_000).map(|i| format!("T{i},HH,x\n")).collect();
    let (set, faults, lost) = LimitSet::read("limits.csv", &format!("tag,kind,limit\n{rows}"));
    assert_eq!((set.rows.len(), faults.len(), lost.len()), (0, 1_001, 3_000));
    let last = faults.last().unwrap();
    assert!(last.row == 1_002 && last.to_string().contains("只列出 1000 处"), "{last}");
    let long = "长".repeat(5_000);
    let [fault] = &LimitSet::parse("f", &format!("tag,kind,limit\nA,{long},1\n")).unwrap_err()[..]
    else {
        panic!("one fault")
    };
    assert!(fault.to_string().chars().count() < 2_000);
}

#[test]
fn headings_that_are_wrong_are_refused() {
    let parse = |text: &str| LimitSet::parse("f", text).unwrap_err();
    assert_eq!(places(&parse("")), [(1, "")]);
    assert_eq!(places(&parse("a,b,c\nd,e,f\n")), [(1, "")]);
    assert_eq!(
        places(&parse("tag,kind,limitt\nA,H,1\n")),
        [(1, "limitt"), (1, "limit"), (2, "limit")]
    );
    assert_eq!(places(&parse("tag,kind,limit,limit\nA,H,1,2\n")), [(1, "limit")]);
}

#[test]
fn what_the_catalogue_cannot_bear_is_refused() {
    let set = load(
        "A,HH,120,1,0,0,P1,,,\n\
         A,H,85,100,0,0,P2,,,\n\
         A,L,5,96,0,0,P2,,,\n\
         X,H,85,1,0,0,P2,,,\n\
         ,OFFLINE,30,,,,P2,,,\n",
    );
    let faults = set.check_against(&catalogue(vec![point("A", 1000)]));
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let wanted = [(3, "limit"), (4, "deadband"), (5, "deadband"), (6, "tag")];
    assert_eq!(places(&faults), wanted, "{told:#?}");
    assert!(told[2].contains("return to normal at 101"), "{told:#?}");
}

#[test]
fn every_point_and_the_gateway_are_supervised_whether_the_file_says_so_or_not() {
    let set = load("B,H,85,1,0,60,P2,,,\nA,H,85,1,5,0,P2,true,,\nA,HH,90,1,0,0,P1,,,\n");
    let points = vec![point("A", 500), point("B", 1000), point("C", 60_000), point("D", 5000)];
    let point_of = |index: u32| PointRef(100 + index);
    let alarms = set.plan("GW-01", GatewayRef(3), &catalogue(points), &point_of, Revision(9));
    let told: Vec<(&str, Condition)> =
        alarms.iter().map(|spec| (spec.key.as_str(), spec.condition.clone())).collect();
    let (first, second) = (Level::First, Level::Second);
    assert_eq!(
        told,
        [
            ("GW-01/A/HH", Condition::High { limit: 90.0, deadband: 1.0, level: second }),
            ("GW-01/A/H", Condition::High { limit: 85.0, deadband: 1.0, level: first }),
            ("GW-01/A/STALE", Condition::Stale { after_ms: 5_000 }),
            ("GW-01/B/H", Condition::High { limit: 85.0, deadband: 1.0, level: first }),
            // Not shorter than a delay of the same point.
            ("GW-01/B/STALE", Condition::Stale { after_ms: 60_000 }),
            ("GW-01/C/STALE", Condition::Stale { after_ms: 180_000 }),
            ("GW-01/D/STALE", Condition::Stale { after_ms: 15_000 }),
            ("GW-01//OFFLINE", Condition::GatewayOffline { after_ms: 15_000 }),
        ]
    );
    let of = |key: &str| -> &AlarmSpec { alarms.iter().find(|spec| spec.key == key).unwrap() };
    assert_eq!(of("GW-01/B/H").subject, Subject::Point(PointRef(101)));
    assert!(of("GW-01/A/H").lifecycle.latch);
    assert_eq!(of("GW-01/C/STALE").times.live_ms, 180_000);
    assert_eq!(of("GW-01/A/HH").times.live_ms, 30_000);
    assert_eq!(of("GW-01//OFFLINE").priority, Priority::P2);
    assert!(
        alarms.iter().all(|spec| spec.gateway == GatewayRef(3) && spec.revision == Revision(9))
    );
    Engine::new(Plan { revision: Revision(9), alarms }).unwrap();
}

#[test]
fn the_screen_sees_the_limits_that_hold() {
    let set = load("A,H,85,1,5,0,P2,,,\nA,LL,2,1,0,0,P1,,,\n");
    let kinds: Vec<_> = set.of_point(&point("A", 500)).iter().map(|l| l.kind.word()).collect();
    assert_eq!(kinds, ["h", "ll", "stale"]);
    for kind in LimitKind::ALL {
        assert_eq!(LimitKind::from_key(kind.key()), Some(kind));
    }
}

#[test]
fn a_point_that_is_reported_by_exception_is_waited_for_unless_something_judges_it() {
    let quiet = |tag: &str| Point { silence_ms: 300_000, ..point(tag, 1_000) };
    let stale = |set: &LimitSet, point: &Point| {
        let limits = set.of_point(point);
        limits.iter().find(|limit| limit.kind == LimitKind::Stale).unwrap().limit
    };
    let set = load("A,H,85,1,5,0,P2,,,\nB,STALE,30,,,,,,,\n");
    let usual = stale(&set, &point("C", 1_000));
    assert!((stale(&set, &quiet("A")) - usual).abs() < 1e-9, "it reports every sample");
    assert!((stale(&set, &quiet("B")) - 30.0).abs() < 1e-9, "as the file says");
    assert!((stale(&set, &quiet("C")) - usual - 300.0).abs() < 1e-9);
    let head = format!("{},detail\n", HEAD.lines().nth(1).unwrap());
    let row = "A,DEVIATION,3,1,10,0,P3,,,,of=C\n";
    let set = LimitSet::parse("limits.csv", &format!("h\n{head}{row}")).unwrap();
    assert!((stale(&set, &quiet("C")) - usual).abs() < 1e-9, "A is judged by it");
}

#[test]
fn the_limits_of_the_demonstration_load() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/demo/limits.csv"));
    let set = LimitSet::parse("limits.csv", text).unwrap();
    assert!(set.of_tag("TK-101.LT").any(|limit| limit.kind == LimitKind::HighHigh));
}

#[test]
fn what_the_engine_never_takes_is_refused_where_it_stands() {
    let refused = |row: &str| -> Vec<(u64, String)> {
        let head = format!("{},detail\n", HEAD.lines().nth(1).unwrap());
        let faults = LimitSet::parse("limits.csv", &format!("{head}{row}\n")).unwrap_err();
        faults.iter().map(|fault| (fault.row, fault.column.clone())).collect()
    };
    let values: Vec<String> = (0..33).map(|n| n.to_string()).collect();
    for (row, column) in [
        ("A,RANGE,5,,,,P3,false,,,", "limit"),
        ("A,RANGE,99.9,,,,P3,false,,,", "limit"),
        ("A,RANGE,1e308,,,,P3,false,,,", "kind"),
        ("A,STALE,0.0001,,,,P3,false,,,", "limit"),
        (",OFFLINE,0.0001,,,,P3,false,,,", "limit"),
        (",CLOCK,0.0001,,,,P3,false,,,", "limit"),
        ("A,VOTE,9,,,,P1,false,,,\"vote=2oo3:A,A,B\"", "kind"),
        (&format!("A,DISCRETE,,,,,P2,false,,,values={}", values.join("|")), "kind"),
    ] {
        assert_eq!(refused(row), [(2, column.to_owned())], "{row}");
    }
    assert_eq!(load("A,RANGE,100,,,,P3,false,,\n").len(), 1);
}
