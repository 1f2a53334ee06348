//! What is counted as wanted, and how one bad limit stays one bad limit.

use super::*;
use fengsui_alerting::Engine;
use fengsui_telemetry::Tag;

const LIMITS: &str = include_str!("../../../../configs/demo/limits.csv");

fn point(tag: &str) -> Point {
    Point {
        tag: Tag::parse(tag).unwrap(),
        name: String::new(),
        unit: "%".to_owned(),
        low: 0.0,
        high: 100.0,
        installation: 0,
        equipment: String::new(),
        period_ms: 1_000,
        silence_ms: 0,
        signal: "level".to_owned(),
    }
}

#[test]
fn a_point_with_limits_that_a_new_catalogue_lacks_is_wanted_all_the_same() {
    let limits = LimitSet::parse("limits.csv", LIMITS).unwrap();
    let tags: Vec<String> = limits.tags().map(str::to_owned).collect();
    let mut registry = Registry::new(&[KnownGateway {
        id: GatewayId::parse("GW-01").unwrap(),
        limits,
        limits_revision: Revision(1),
        limits_text: LIMITS.to_owned(),
    }]);
    assert_eq!(registry.wanted(), 0, "nothing is known of a gateway that was never heard");
    let mut learn = |revision, tags: &[String]| {
        let points: Vec<Point> = tags.iter().map(|tag| point(tag)).collect();
        let ids = (1_u32..).take(points.len()).collect();
        let enterprise = String::new();
        let catalogue = Catalogue { enterprise, installations: Vec::new(), points };
        registry.learn(0, Revision(revision), Numbered { catalogue, ids }, true);
        (registry.points.len(), registry.wanted())
    };
    let all = tags.len();
    assert_eq!(learn(1, &tags), (all, all));
    assert_eq!(learn(2, &tags[1..]), (all - 1, all), "one is not seen");
    registry.limit(0, LimitSet::default(), Revision(2));
    assert_eq!(registry.wanted(), all - 1, "what has no limits is not missed");
}

const GOOD: &str = "tag,kind,limit,priority\nA.LT,HH,90,P1\n";
const BAD: &str = "tag,kind,limit,priority\nA.LT,HH,90,P1\nA.LT,RANGE,5,P3\nB.LT,HH,90,P1\n";

fn known(id: &str, csv: &str) -> KnownGateway {
    KnownGateway {
        id: GatewayId::parse(id).unwrap(),
        limits: LimitSet::readable("limits.csv", csv),
        limits_revision: Revision(1),
        limits_text: csv.to_owned(),
    }
}

fn measured(tags: &[&str], first: u32) -> Numbered {
    let points: Vec<Point> = tags.iter().map(|tag| point(tag)).collect();
    let ids = (first..).take(points.len()).collect();
    let catalogue = Catalogue { enterprise: String::new(), installations: Vec::new(), points };
    Numbered { catalogue, ids }
}

fn keys(registry: &Registry) -> Vec<String> {
    let plan = registry.plan(AlarmSettings::default());
    assert!(Engine::new(plan.clone()).is_ok(), "{:?}", plan.faults());
    plan.alarms.into_iter().map(|spec| spec.key).collect()
}

#[test]
fn a_bad_limit_of_one_gateway_costs_neither_its_other_alarms_nor_another_gateways() {
    let mut registry = Registry::new(&[known("GW-01", GOOD), known("GW-02", BAD)]);
    registry.learn(0, Revision(1), measured(&["A.LT"], 1), true);
    registry.learn(1, Revision(1), measured(&["A.LT", "B.LT"], 2), true);
    let all = keys(&registry);
    for key in ["GW-01/A.LT/HH", "GW-02/A.LT/HH", "GW-02/B.LT/HH", "GW-02/A.LT/RANGE-UNSET"] {
        assert!(all.iter().any(|known| known == key), "{key} is not among {all:?}");
    }
    assert!(!all.iter().any(|key| key == "GW-02/A.LT/RANGE"));
    let shown: Vec<_> = registry.gateways[1].misfits.iter().map(Misfit::name).collect();
    assert_eq!(shown, ["A.LT/RANGE"]);
    let blind: Vec<u32> =
        registry.points.values().filter(|known| known.misfit).map(|known| known.id).collect();
    assert_eq!(blind, [2], "that point, and no other");

    // Another gateway's change comes into force beside it.
    let tighter = LimitSet::parse("limits.csv", &GOOD.replace("90", "60")).unwrap();
    registry.limit(0, tighter, Revision(2));
    let plan = registry.plan(AlarmSettings::default());
    let high = plan.alarms.iter().find(|spec| spec.key == "GW-01/A.LT/HH").unwrap();
    assert_eq!(high.condition.limit(), Some(60.0));
    assert!(Engine::new(plan).is_ok());

    // The mend ends it.
    registry.limit(1, LimitSet::parse("limits.csv", GOOD).unwrap(), Revision(3));
    assert_eq!(registry.misfits(), 0);
    assert!(registry.points.values().all(|known| !known.misfit));
}

#[test]
fn a_catalogue_that_puts_a_limit_out_of_reach_blinds_its_point() {
    let mut registry = Registry::new(&[known("GW-01", GOOD)]);
    registry.learn(0, Revision(1), measured(&["A.LT"], 1), true);
    assert_eq!(registry.misfits(), 0);
    let mut shorter = measured(&["A.LT"], 1);
    shorter.catalogue.points[0].high = 80.0;
    registry.learn(0, Revision(2), shorter, true);
    let [misfit] = registry.gateways[0].misfits.as_ref() else { panic!("{registry:?}") };
    assert!(!misfit.judged && misfit.zh.contains("0..80"), "{misfit:?}");
    assert!(registry.points[&1].misfit);
    assert!(keys(&registry).iter().any(|key| key == "GW-01/A.LT/HH-UNSET"), "it stands");
}

#[test]
fn limits_that_nobody_agreed_to_blind_every_point_of_their_gateway() {
    let mut bad = known("GW-01", GOOD);
    bad.limits = bad.limits.in_place_of(LimitSet::default(), "无法读取".into(), "unread".into());
    let mut registry = Registry::new(&[bad, known("GW-02", GOOD)]);
    registry.learn(0, Revision(1), measured(&["A.LT", "C.LT"], 1), true);
    registry.learn(1, Revision(1), measured(&["A.LT"], 3), true);
    let blind: Vec<u32> =
        registry.points.values().filter(|known| known.misfit).map(|known| known.id).collect();
    assert_eq!((blind, registry.misfits()), (vec![1, 2], 1));
    let all = keys(&registry);
    for key in ["GW-01//LIMITS-UNSET", "GW-01/A.LT/HH", "GW-02/A.LT/HH"] {
        assert!(all.iter().any(|known| known == key), "{key} is not among {all:?}");
    }
    registry.limit(0, LimitSet::parse("limits.csv", GOOD).unwrap(), Revision(3));
    assert_eq!(registry.misfits(), 0);
    assert!(registry.points.values().all(|known| !known.misfit));
    assert!(!keys(&registry).iter().any(|key| key.contains("LIMITS-UNSET")));
}
