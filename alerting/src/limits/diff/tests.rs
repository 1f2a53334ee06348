//! What a change of limits means.

use super::*;

const BASE: &str = "TK-1,HH,90,1,0,0,P1,,设计,高,true\nTK-1,H,85,1,5,0,P3,,,,\n\
    TK-1,L,10,1,0,0,P2,,,,\nTK-2,H,40,,,,P4,true,,,\n,OFFLINE,20,,,,P2,,,,\n";

fn set(rows: &str) -> LimitSet {
    let heading = "tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,\
        confidence,statutory";
    LimitSet::parse("l.csv", &format!("{heading}\n{rows}")).unwrap()
}

/// The base with one text replaced, as `TK-1 HH changed looser: limit 90>92 looser`.
fn told(from: &str, to: &str) -> Vec<String> {
    assert!(BASE.contains(from), "{from}");
    let found = diff(&set(BASE), &set(&BASE.replace(from, to)));
    found.rows.iter().map(tell).collect()
}

fn tell(row: &RowChange) -> String {
    let fields: Vec<String> = row
        .fields
        .iter()
        .map(|f| format!("{} {}>{} {}", f.field, f.old, f.new, f.direction.word()))
        .collect();
    let head = format!("{} {} {}", row.name(), row.change.word(), row.direction.word());
    format!("{head}: {}", fields.join(", "))
}

#[test]
fn the_same_limits_in_another_order_are_no_change() {
    let mut rows: Vec<&str> = BASE.lines().collect();
    rows.reverse();
    assert!(diff(&set(BASE), &set(&rows.join("\n"))).is_empty());
}

#[test]
fn each_field_says_which_way_it_goes() {
    for (from, to, want) in [
        ("HH,90", "HH,92", "TK-1 HH changed looser: limit 90>92 looser"),
        ("HH,90", "HH,88", "TK-1 HH changed tighter: limit 90>88 tighter"),
        ("L,10", "L,8", "TK-1 L changed looser: limit 10>8 looser"),
        ("L,10", "L,12", "TK-1 L changed tighter: limit 10>12 tighter"),
        ("OFFLINE,20", "OFFLINE,60", "OFFLINE changed looser: limit 20>60 looser"),
        ("H,85,1,5", "H,85,1,9", "TK-1 H changed looser: on_delay_s 5>9 looser"),
        ("H,85,1,5", "H,85,1,0", "TK-1 H changed tighter: on_delay_s 5> tighter"),
        ("H,85,1,5,0", "H,85,1,5,3", "TK-1 H changed other: off_delay_s >3 other"),
        ("H,85,1", "H,85,2", "TK-1 H changed other: deadband 1>2 other"),
        ("P2,,,,\nTK-2", "P3,,,,\nTK-2", "TK-1 L changed looser: priority P2>P3 looser"),
        ("P4,true", "P4,", "TK-2 H changed looser: latch true> looser"),
        ("高,true", "高,", "TK-1 HH changed looser: statutory true> looser"),
        ("设计", "国标", "TK-1 HH changed other: source 设计>国标 other"),
    ] {
        assert_eq!(told(from, to), [want], "{from} -> {to}");
    }
}

#[test]
fn the_worst_field_decides_for_its_row() {
    let rows = told("TK-1,HH,90,1", "TK-1,HH,88,2");
    assert_eq!(rows, ["TK-1 HH changed other: limit 90>88 tighter, deadband 1>2 other"]);
    let rows = told("TK-1,H,85,1,5", "TK-1,H,84,1,9");
    assert_eq!(rows, ["TK-1 H changed looser: limit 85>84 tighter, on_delay_s 5>9 looser"]);
}

#[test]
fn rows_come_and_go() {
    assert_eq!(
        told("TK-2,H,40,,,,P4,true,,,\n", "TK-2,L,4,,,,P4,,,,\nTK-2,STALE,600,,,,P3,,,,\n"),
        [
            "TK-2 H removed looser: limit 40> looser, priority P4> looser, latch true> looser",
            "TK-2 L added tighter: limit >4 tighter, priority >P4 tighter",
            // It replaces the default, which may have been shorter.
            "TK-2 STALE added other: limit >600 other, priority >P3 other",
        ]
    );
}

#[test]
fn an_added_row_that_may_silence_is_not_done_alone() {
    let heading = "tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,detail";
    let parse = |rows: &str| LimitSet::parse("l.csv", &format!("{heading}\n{rows}")).unwrap();
    let old = "C,H,80,,,,P3,\nC,L,20,,,,P3,\nD,H,1,,,,P4,\nE,HH,9,,,,P3,\n";
    for (row, alone) in [
        ("C,HH,90,,,,P3,", true),
        ("C,HH,90,,,,P4,", false),
        ("C,LL,10,,,,P3,", true),
        ("C,LL,10,,,,P4,", false),
        ("C,HH,90,,,,P3,ack=false", false),
        ("C,HH,90,,,,P3,suppressed_by=D/H", false),
        ("D,L,0,,,,P4,ack=false", false),
        // The first level is spoken for by the second, never the other way round.
        ("E,H,8,,,,P4,", true),
    ] {
        let found = diff(&parse(old), &parse(&format!("{old}{row}\n")));
        assert_eq!(found.rows.len(), 1, "{row}");
        let needing = found.needing_second(&SecondPerson::default()).count();
        assert_eq!(needing == 0, alone, "{row}: {}", tell(&found.rows[0]));
    }
}

#[test]
fn who_may_do_it_alone_depends_on_priority_and_direction() {
    let rule = SecondPerson::default();
    let needing = |from: &str, to: &str| -> Vec<String> {
        let found = diff(&set(BASE), &set(&BASE.replace(from, to)));
        found.needing_second(&rule).map(RowChange::name).collect()
    };
    assert_eq!(needing("HH,90", "HH,88"), ["TK-1 HH"], "P1, even stricter");
    assert_eq!(needing("H,85", "H,84"), [""; 0], "P3, stricter");
    assert_eq!(needing("H,85", "H,86"), ["TK-1 H"], "P3, looser");
    assert_eq!(needing("TK-2,H,40,", "TK-2,H,40,2"), ["TK-2 H"], "P4, who knows");
    assert_eq!(needing("H,85,1,5,0,P3", "H,85,1,5,0,P2"), ["TK-1 H"], "P3 becomes P2");
    let nobody = SecondPerson { priorities: Vec::new(), unless_tighter: false };
    let found = diff(&set(BASE), &set(""));
    assert_eq!(found.rows.len(), 5);
    assert_eq!(found.needing_second(&nobody).count(), 0);
}

#[test]
fn what_the_law_sets_may_only_become_stricter() {
    let loosened = |from: &str, to: &str| -> Vec<String> {
        let found = diff(&set(BASE), &set(&BASE.replace(from, to)));
        found.loosened_by_law().map(RowChange::name).collect()
    };
    assert_eq!(loosened("HH,90", "HH,91"), ["TK-1 HH"]);
    assert_eq!(loosened("HH,90,1,0,0,P1", "HH,90,1,3,0,P1"), ["TK-1 HH"], "later");
    assert_eq!(loosened("高,true", "高,"), ["TK-1 HH"], "no longer statutory");
    assert_eq!(loosened("TK-1,HH,90,1,0,0,P1,,设计,高,true\n", ""), ["TK-1 HH"], "gone");
    assert_eq!(loosened("HH,90", "HH,89"), [""; 0]);
    assert_eq!(loosened("H,85", "H,89"), [""; 0], "not statutory");
}

#[test]
fn a_mark_in_the_detail_is_the_same_mark() {
    let set = |limit: &str, detail: &str| {
        let text = format!("tag,kind,limit,detail\nTK-1,HH,{limit},{detail}\n");
        LimitSet::parse("l.csv", &text).unwrap()
    };
    let marked = set("90", "statutory=true");
    assert_eq!(diff(&marked, &set("95", "statutory=true")).loosened_by_law().count(), 1);
    assert_eq!(diff(&marked, &set("90", "")).loosened_by_law().count(), 1, "unmarked");
    assert_eq!(diff(&marked, &LimitSet::default()).loosened_by_law().count(), 1, "gone");
    let quiet = set("90", "statutory=true;suppressed_by=TK-2/L");
    assert_eq!(diff(&marked, &quiet).loosened_by_law().count(), 1, "another may silence it");
    assert_eq!(diff(&quiet, &marked).loosened_by_law().count(), 0);
    let unheard = set("90", "statutory=true;ack=false");
    assert_eq!(diff(&marked, &unheard).loosened_by_law().count(), 1, "nobody need answer");
}

#[test]
fn the_dead_men_of_a_statutory_alarm_belong_to_it() {
    let set = |stale: &str, offline: &str| {
        let text = format!(
            "tag,kind,limit,detail\nTK-1,HH,90,statutory=true\nTK-1,STALE,{stale},\n\
             TK-2,H,5,\nTK-2,STALE,{stale},\n,OFFLINE,{offline},\n"
        );
        LimitSet::parse("l.csv", &text).unwrap()
    };
    let names = |to: &LimitSet| -> Vec<String> {
        diff(&set("10", "15"), to).loosened_by_law().map(RowChange::name).collect()
    };
    assert_eq!(names(&set("600", "15")), ["TK-1 STALE"]);
    assert_eq!(names(&set("10", "600")), ["OFFLINE"]);
    assert_eq!(names(&set("5", "10")), [""; 0]);
}

#[test]
fn a_row_that_nobody_can_read_is_not_given_up_unseen() {
    let broken = BASE.replace("HH,90", "HH,x").replace("H,40", "H,y");
    let heading = "tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,\
        confidence,statutory";
    let old = LimitSet::readable("l.csv", &format!("{heading}\n{broken}"));
    let tell_of = |rows: &str| -> Vec<(String, bool)> {
        let found = diff(&old, &set(rows));
        let law: Vec<_> = found.loosened_by_law().map(RowChange::name).collect();
        let told = |row: &RowChange| {
            let head = format!("{} {} {}", row.name(), row.change.word(), row.direction.word());
            (head, law.contains(&row.name()))
        };
        found.rows.iter().map(told).collect()
    };
    let told = |text: &str, law| (text.to_owned(), law);
    assert_eq!(
        tell_of(BASE),
        [told("TK-1 HH added other", false), told("TK-2 H added other", false)]
    );
    assert_eq!(
        tell_of(&BASE.replace("高,true", "高,")),
        [told("TK-1 HH added looser", true), told("TK-2 H added other", false)]
    );
    let without: Vec<&str> = BASE.lines().filter(|line| !line.contains("0,1,0,0,P1")).collect();
    assert_eq!(
        tell_of(&without.join("\n")),
        [told("TK-1 HH removed looser", true), told("TK-2 H added other", false)]
    );
    assert!(diff(&old, &old).is_empty());
}
