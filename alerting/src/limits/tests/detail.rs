//! The column `detail`: what each kind reads from it, what is refused, and the alarms that come of
//! it.

use fengsui_telemetry::Revision;

use super::{catalogue, load, places, point};
use crate::derived::Derived;
use crate::engine::Engine;
use crate::limits::{LimitSet, LimitTrouble};
use crate::model::{AlarmSpec, Condition, GatewayRef, Lifecycle, Plan, PointRef};

const HEAD: &str = "tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,detail\n";

fn parse(rows: &str) -> LimitSet {
    LimitSet::parse("limits.csv", &format!("{HEAD}{rows}")).unwrap()
}

fn alarms(set: &LimitSet, tags: &[&str]) -> Vec<AlarmSpec> {
    let catalogue = catalogue(tags.iter().map(|tag| point(tag, 1000)).collect());
    assert_eq!(set.check_against(&catalogue), []);
    let alarms = set.plan("GW", GatewayRef(0), &catalogue, &PointRef, Revision(1));
    Engine::new(Plan { revision: Revision(1), alarms: alarms.clone() }).unwrap();
    alarms
}

fn derived<'a>(alarms: &'a [AlarmSpec], key: &str) -> &'a Derived {
    let spec = alarms.iter().find(|spec| spec.key == key);
    match spec.map(|spec| &spec.condition) {
        Some(Condition::Derived(derived)) => derived,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn every_kind_becomes_its_alarm() {
    let set = parse(
        "A,ROC_UP,5,0.5,0,0,P2,,window=60s\n\
         A,ROC_DOWN,5,,,,,,window=1m\n\
         A,DEVIATION,3,1,10,0,,,of=B\n\
         A,DISCRETE,,,2,0,P3,,values=1|2;ack=false\n\
         A,FROZEN,0.01,,,,,,window=1h;suppressed_by=A/DISCRETE\n\
         A,BADQ,30,,,,,,\n\
         A,RANGE,,,,,,,\n\
         A,VOTE,25,1,0,30,P1,true,\"vote=2oo3:A,B,C;statutory=true\"\n\
         A,TTL,90,,,,,,within=25m;window=240s\n\
         A,COMPOSITE,,,5,0,P2,,\"expr=on(\"\"A/VOTE\"\") && pv(\"\"B\"\") > 5.0 || on(\"\"/OFFLINE\"\")\"\n\
         C,STALE,60,,,,,,\n\
         ,CLOCK,2,,,,,,\n",
    );
    let alarms = alarms(&set, &["A", "B", "C"]);
    let of = |key: &str| alarms.iter().find(|spec| spec.key == key).unwrap();
    let (limit, window_ms) = (5.0, 60_000);
    let up = Derived::RateOfChange { rising: true, limit, deadband: 0.5, window_ms };
    assert_eq!(derived(&alarms, "GW/A/ROC_UP"), &up);
    let down = Derived::RateOfChange { rising: false, limit, deadband: 0.0, window_ms };
    assert_eq!(derived(&alarms, "GW/A/ROC_DOWN"), &down);
    let reference = PointRef(1);
    assert_eq!(
        derived(&alarms, "GW/A/DEVIATION"),
        &Derived::Deviation { reference, limit: 3.0, deadband: 1.0, hold_ms: 5_000 }
    );
    assert_eq!(derived(&alarms, "GW/A/DISCRETE"), &Derived::Discrete { values: vec![1.0, 2.0] });
    assert!(!of("GW/A/DISCRETE").lifecycle.ack_required);
    assert_eq!(
        derived(&alarms, "GW/A/FROZEN"),
        &Derived::Frozen { epsilon: 0.01, window_ms: 3_600_000, samples_min: 20 }
    );
    assert_eq!(of("GW/A/FROZEN").suppressed_by.as_deref(), Some("GW/A/DISCRETE"));
    assert_eq!(
        (derived(&alarms, "GW/A/BADQ"), of("GW/A/BADQ").on_delay_ms),
        (&Derived::BadQuality, 30_000)
    );
    assert_eq!(derived(&alarms, "GW/A/RANGE"), &Derived::Range { low: -5.0, high: 105.0 });
    let vote = Derived::Vote {
        need: 2,
        points: vec![PointRef(0), PointRef(1), PointRef(2)],
        high: true,
        limit: 25.0,
        deadband: 1.0,
        hold_ms: 60_000,
    };
    assert_eq!(derived(&alarms, "GW/A/VOTE"), &vote);
    assert!(of("GW/A/VOTE").statutory && of("GW/A/VOTE").lifecycle.latch);
    let (within_ms, window_ms) = (1_500_000, 240_000);
    assert_eq!(
        derived(&alarms, "GW/A/TTL"),
        &Derived::TimeToLimit { target: 90.0, rising: true, within_ms, window_ms }
    );
    assert_eq!(derived(&alarms, "GW/A/COMPOSITE").alarms(), ["GW/A/VOTE", "GW//OFFLINE"]);
    assert_eq!(of("GW//CLOCK").condition, Condition::Clock { limit_ms: 2_000 });
}

#[test]
fn a_slow_point_gets_a_longer_window_for_frozen() {
    let set = parse("A,FROZEN,0.01,,,,,,window=60s\n");
    let catalogue = catalogue(vec![point("A", 3_600_000)]);
    let alarms = set.plan("GW", GatewayRef(0), &catalogue, &PointRef, Revision(1));
    assert_eq!(
        derived(&alarms, "GW/A/FROZEN"),
        &Derived::Frozen { epsilon: 0.01, window_ms: 72_000_000, samples_min: 20 }
    );
}

#[test]
fn a_limit_that_is_not_set_is_shown_as_missing_and_never_as_a_number() {
    let set = parse("A,HH,UNSET,,,,P1,,\nA,H,85,,,,,,\n");
    let alarms = alarms(&set, &["A"]);
    let missing = alarms.iter().find(|spec| spec.key == "GW/A/HH-UNSET").unwrap();
    assert_eq!(missing.condition, Condition::Unset);
    assert_eq!(missing.lifecycle, Lifecycle { ack_required: false, ..Lifecycle::default() });
    assert_eq!(missing.condition.limit(), None);
    assert!(set.of_tag("A").all(|limit| limit.limit.is_nan() || limit.limit < 100.0));
    assert!(load("A,H,85,1,0,0,P2,,,\n").of_tag("A").all(|limit| !limit.detail.unset));
}

#[test]
fn every_fault_of_a_detail_is_named() {
    let rows = "A,ROC_UP,5,,,,,,\n\
                A,ROC_DOWN,-5,,,,,,window=60s\n\
                A,DEVIATION,3,,,,,,of=B;window=3s\n\
                A,DISCRETE,,,,,,,values=1|x\n\
                A,FROZEN,0.01,1,,,,,window=1h\n\
                A,VOTE,25,,,,,,\"vote=4oo3:A,B,C\"\n\
                A,TTL,90,,,,,,within=25m\n\
                A,COMPOSITE,,,,,,,expr=[1].size() > 0\n\
                A,HH,UNSET,,,,,,of=B\n\
                B,COMPOSITE,7,,,,,,expr=true\n\
                ,CLOCK,2,,5,,,,\n\
                A,BADQ,30,,10,,,,\n";
    let faults = LimitSet::parse("limits.csv", &format!("{HEAD}{rows}")).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let wanted = [
        (2, "detail"),
        (3, "limit"),
        (4, "detail"),
        (5, "detail"),
        (6, "deadband"),
        (7, "detail"),
        (8, "detail"),
        (9, "detail"),
        (10, "detail"),
        (11, "limit"),
        (12, "on_delay_s"),
        (13, "on_delay_s"),
    ];
    assert_eq!(places(&faults), wanted, "{told:#?}");
    assert_eq!(told[0], "limits.csv:2 [detail]：缺少 window=…；请补上  |  lacks window=…; add it");
    assert!(told[7].contains("lists and maps are not allowed"), "{}", told[7]);
}

#[test]
fn names_of_points_and_alarms_that_are_not_there_and_circles_are_refused() {
    let set = parse(
        "A,DEVIATION,3,,,,,,of=NOWHERE\n\
         A,COMPOSITE,,,,,,,\"expr=on(\"\"A/HH\"\") || pv(\"\"B\"\") > 1.0\"\n\
         A,FROZEN,0.01,,,,,,window=2h;suppressed_by=A/STALE\n",
    );
    let known = catalogue(vec![point("A", 1000)]);
    let faults = set.check_against(&known);
    let told: Vec<(u64, &str, &LimitTrouble)> =
        faults.iter().map(|f| (f.row, f.value.as_str(), &f.trouble)).collect();
    assert_eq!(
        told,
        [
            (2, "NOWHERE", &LimitTrouble::UnknownTag),
            (3, "B", &LimitTrouble::UnknownTag),
            (3, "A/HH", &LimitTrouble::UnknownAlarm),
            (4, "window=7200s", &LimitTrouble::WindowTooLong(6_144)),
        ]
    );
    // A host that goes on all the same gets a plan that holds.
    let alarms = set.plan("GW", GatewayRef(0), &known, &PointRef, Revision(1));
    let keys: Vec<&str> = alarms.iter().map(|spec| spec.key.as_str()).collect();
    assert_eq!(keys, ["GW/A/FROZEN", "GW/A/STALE", "GW//OFFLINE"]);
    Engine::new(Plan { revision: Revision(1), alarms }).unwrap();

    let circle = "A,COMPOSITE,,,,,,,\"expr=on(\"\"B/COMPOSITE\"\")\"\n\
                  B,COMPOSITE,,,,,,,\"expr=on(\"\"A/COMPOSITE\"\")\"\n";
    let faults = LimitSet::parse("limits.csv", &format!("{HEAD}{circle}")).unwrap_err();
    assert_eq!(places(&faults), [(2, "detail"), (3, "detail")]);
    let way = "A/COMPOSITE -> B/COMPOSITE -> A/COMPOSITE".to_owned();
    assert_eq!(faults[0].trouble, LimitTrouble::Circle(way));
}
