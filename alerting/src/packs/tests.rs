//! The delivered packs against limits that an engineer might write, and packs that are none.

use fengsui_telemetry::{Catalogue, Installation, Point, Tag};

use super::*;
use crate::limits::LimitSet;

fn delivered(file: &str) -> Pack {
    let (name, text) = DELIVERED.into_iter().find(|(name, _)| *name == file).unwrap();
    Pack::parse(name, text).unwrap()
}

fn point(tag: &str, signal: &str, unit: &str, high: f64) -> Point {
    Point {
        tag: Tag::parse(tag).unwrap(),
        name: tag.to_owned(),
        unit: unit.to_owned(),
        low: 0.0,
        high,
        installation: 0,
        equipment: String::new(),
        period_ms: 1_000,
        silence_ms: 0,
        signal: signal.to_owned(),
    }
}

fn site(points: Vec<Point>) -> Catalogue {
    let installation = Installation { name: "1".into(), hazard_class: 1, kind: "gas_area".into() };
    Catalogue { enterprise: "E".into(), installations: vec![installation], points }
}

/// Judgements of the gas pack on one point with an H or L limit and an HH or H limit.
fn judged(signal: &str, unit: &str, limits: &[(&str, &str, &str)]) -> Vec<&'static str> {
    let mut text = "tag,kind,limit,source\n".to_owned();
    for (kind, limit, source) in limits {
        text += &format!("GD-1,{kind},{limit},{source}\n");
    }
    let limits = LimitSet::parse("limits.csv", &text).unwrap();
    let pack = delivered("gas.toml");
    let catalogue = site(vec![point("GD-1", signal, unit, 1_000.0)]);
    check(&pack, &catalogue, &limits).iter().map(|f| f.judgement.word()).collect()
}

#[test]
fn w12_combustible_gas() {
    let check = |one, two| judged("gas_combustible", "%LEL", &[("H", one, ""), ("HH", two, "")]);
    assert_eq!(check("25", "50"), ["kept", "kept"]);
    assert_eq!(check("30", "50"), ["refused", "kept"]);
    assert_eq!(check("25", "60"), ["kept", "refused"]);
    assert_eq!(check("10", "20"), ["kept", "kept"], "stricter is always allowed");
}

#[test]
fn w12_toxic_gas_by_oel_or_with_a_reason_by_idlh() {
    let oel = |one, two| judged("gas_toxic", "%OEL", &[("H", one, "规程"), ("HH", two, "规程")]);
    assert_eq!(oel("100", "200"), ["kept", "kept"]);
    assert_eq!(oel("120", "200"), ["refused", "kept"], "a source is no range note");
    let reason = "量程不能满足按OEL设定";
    let idlh = |one, two, why| judged("gas_toxic", "%IDLH", &[("H", one, why), ("HH", two, why)]);
    assert_eq!(idlh("5", "10", reason), ["recorded", "recorded"]);
    assert_eq!(idlh("5", "10", ""), ["refused", "refused"]);
    assert_eq!(idlh("6", "10", reason), ["refused", "recorded"]);
}

#[test]
fn w12_open_path_shall_be_and_oxygen_should_be() {
    let path = |one, two| judged("gas_combustible", "LEL.m", &[("H", one, ""), ("HH", two, "")]);
    assert_eq!(path("1", "2"), ["kept", "kept"]);
    assert_eq!(path("1.5", "2"), ["refused", "kept"]);
    assert_eq!(path("0.5", "2"), ["refused", "kept"]);
    let oxygen = |low, high| judged("oxygen", "%VOL", &[("L", low, ""), ("H", high, "")]);
    assert_eq!(oxygen("19.5", "23.5"), ["kept", "kept"]);
    assert_eq!(oxygen("18", "23.5"), ["warned", "kept"]);
}

#[test]
fn w12_an_unset_limit_is_a_blind_point_and_another_unit_is_not_compared() {
    assert_eq!(judged("gas_combustible", "%LEL", &[("H", "25", "")]), ["kept", "unset"]);
    assert_eq!(judged("gas_toxic", "ppm", &[("H", "10", "")]), ["not_comparable"]);
    assert!(judged("level", "%", &[("H", "80", "")]).is_empty(), "another pack's matter");
}

#[test]
fn w12_crossed_levels_and_limits_beyond_the_instrument_are_refused_at_the_door() {
    let crossed = LimitSet::parse("f", "tag,kind,limit\nGD-1,H,50\nGD-1,HH,25\n");
    assert!(crossed.unwrap_err()[0].to_string().contains("wrong side"));
    let beyond = LimitSet::parse("f", "tag,kind,limit\nGD-1,H,9999\n").unwrap();
    let catalogue = site(vec![point("GD-1", "gas_combustible", "%LEL", 100.0)]);
    assert_eq!(beyond.check_against(&catalogue).len(), 1);
}

#[test]
fn a_pack_whose_number_was_not_obtained_is_incomplete_and_never_kept() {
    for (file, _) in DELIVERED {
        assert!(!delivered(file).is_complete(), "{file}");
    }
    let pack = delivered("coal-mine-gas.toml");
    let catalogue = site(vec![point("CH4-1", "methane", "%CH4", 4.0)]);
    let limits = LimitSet::parse("f", "tag,kind,limit\nCH4-1,H,1\n").unwrap();
    let findings = check(&pack, &catalogue, &limits);
    let told: Vec<Judgement> = findings.iter().map(|f| f.judgement).collect();
    assert_eq!(told, [Judgement::Asked, Judgement::Unset]);
    assert!(findings[0].note.contains(NOT_OBTAINED));
}

#[test]
fn suggestions_come_in_the_unit_of_the_point() {
    let pack = delivered("starting-values.toml");
    let catalogue = site(vec![point("LT-1", "level", "m", 12.0)]);
    let told: Vec<(Of, Option<f64>)> =
        suggest(&pack, &catalogue).iter().map(|s| (s.of, s.value)).collect();
    assert_eq!(
        told,
        [(Of::DeadbandPercent, Some(0.6)), (Of::OnDelay, Some(60.0)), (Of::OffDelay, Some(60.0)),]
    );
    let gas = delivered("gas.toml");
    let catalogue = site(vec![point("GD-1", "gas_combustible", "%LEL", 100.0)]);
    let first = &suggest(&gas, &catalogue)[0];
    assert_eq!(
        (first.kind, first.value, first.required),
        (Some(LimitKind::High), Some(25.0), true)
    );
}

const HEAD: &str = "[pack]\nid = \"x\"\nname = { zh = \"甲\", en = \"a\" }\nbasis = \"b\"\n";

fn refused(rest: &str) -> Vec<String> {
    let faults = Pack::parse("x.toml", &format!("{HEAD}{rest}")).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

fn rule(rest: &str) -> String {
    format!("[[rule]]\nid = \"r\"\nwhat = {{ zh = \"甲\", en = \"a\" }}\n{rest}")
}

#[test]
fn a_number_without_source_or_confidence_is_refused_wherever_it_stands() {
    let told = refused(&rule("must = \"fact\"\nvalue = 5\nsource = \"\"\n"));
    assert!(
        told.iter().any(|f| f.contains("x.toml, rule.r: holds a number without `source`")),
        "{told:?}"
    );
    assert!(told.iter().any(|f| f.contains("without `confidence`")), "{told:?}");
    for hidden in ["[pack.extra]\ndeep = { list = [[1, 2]] }\n", "[note]\nx = 1.5\n"] {
        assert!(refused(hidden).iter().any(|f| f.contains("without `source`")), "{hidden}");
    }
}

#[test]
fn memory_binds_nobody_and_what_is_asked_for_is_not_sure() {
    let limit = "signal = \"level\"\nunit = \"m\"\nkind = \"H\"\nsource = \"s\"\n";
    let bound = |must: &str, sure: &str| {
        rule(&format!("{limit}must = \"{must}\"\nvalue = 5\nconfidence = \"{sure}\"\n"))
    };
    for sure in ["M/H", "I", "C/H"] {
        let told = refused(&bound("at_most", sure));
        assert!(told[0].contains("cannot be required"), "{told:?}");
        assert!(Pack::parse("x", &format!("{HEAD}{}", bound("suggested", sure))).is_ok());
    }
    assert!(Pack::parse("x", &format!("{HEAD}{}", bound("at_most", "S2/H"))).is_ok());
    let asked =
        rule(&format!("{limit}must = \"at_most\"\nvalue = \"ask\"\nconfidence = \"S/H\"\n"));
    assert!(refused(&asked)[0].contains("is \"ask\""));
    for wrong in ["S", "S3/H", "H", "S/X"] {
        let told = refused(&bound("suggested", wrong));
        assert!(told[0].contains("is no confidence"), "{wrong}: {told:?}");
    }
}

#[test]
fn other_slips_are_named() {
    for (rest, wanted) in [
        ("must = \"most\"\nvalue = \"ask\"\nsource = \"s\"\n", "at_most, at_least"),
        ("must = \"fact\"\nvalue = \"about 5\"\nsource = \"s\"\n", "neither a number nor"),
        ("must = \"fact\"\nvalue = \"ask\"\nsource = \"s\"\nkind = \"HHH\"\n", "HH, H, L, LL"),
        ("must = \"at_most\"\nvalue = \"ask\"\nsource = \"s\"\n", "needs `signal`"),
        ("must = \"fact\"\nvalue = 5\nupto = 4\nsource = \"s\"\nconfidence = \"S/H\"\n", "upto"),
        ("must = \"fact\"\nvalue = \"ask\"\nsource = \"s\"\nlimit = \"x\"\n", "unknown field"),
    ] {
        let told = refused(&rule(rest));
        assert!(told.iter().any(|fault| fault.contains(wanted)), "{wanted}: {told:?}");
    }
    let step = "[[step]]\nscope = \"item\"\ncount = 2\nof = \"red\"\nmakes = \"blue\"\nsource = \"s\"\nconfidence = \"S/H\"\n";
    assert!(refused(step)[0].contains("higher one"));
    let ask = rule("must = \"fact\"\nvalue = \"ask\"\nsource = \"s\"\n");
    assert!(refused(&format!("{ask}{ask}"))[0].contains("stands twice"));
}
