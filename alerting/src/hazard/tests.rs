//! The reckoning, against numbers worked out by hand.

use super::*;

fn tables() -> Tables {
    Tables::parse(&DELIVERED).unwrap()
}

fn r(text: &str) -> Ratio {
    Ratio::parse(text).unwrap()
}

/// `氨=50`, `液化石油气=2000:W2`.
fn items(list: &[&str]) -> Vec<Item> {
    let item = |text: &&str| {
        let (name, rest) = text.split_once('=').unwrap();
        let (tonnes, classes) = rest.split_once(':').unwrap_or((rest, ""));
        let classes = classes.split('+').filter(|class| !class.is_empty()).map(str::to_owned);
        Item { name: name.to_owned(), tonnes: r(tonnes), classes: classes.collect() }
    };
    list.iter().map(item).collect()
}

fn verdict(list: &[&str], people: u64) -> Verdict {
    reckon(&tables(), &items(list), people).unwrap()
}

#[test]
fn w11_ammonia_and_chlorine_are_level_3() {
    let found = verdict(&["氨=50", "氯=4"], 120);
    assert_eq!((found.s, found.alpha, found.r), (r("5.8"), r("2"), Some(r("26.4"))));
    assert_eq!((found.is_major, found.level), (true, Some(3)));
}

#[test]
fn w11_below_one_is_no_major_hazard_and_has_no_level() {
    let found = verdict(&["汽油=150", "甲醇=100"], 500);
    assert_eq!((found.s, found.is_major), (r("0.95"), false));
    assert_eq!((found.r, found.level), (None, None));
    assert!(found.class_needed.is_empty(), "no class is asked for where none is needed");
}

#[test]
fn w11_liquefied_gas_is_level_2() {
    let found = verdict(&["液化石油气=2000:W2"], 35);
    assert_eq!((found.s, found.r, found.level), (r("40"), Some(r("72")), Some(2)));
}

#[test]
fn w11_two_halves_are_exactly_one() {
    let found = verdict(&["氢=2.5:W2", "氯=2.5"], 0);
    assert_eq!((found.s, found.is_major), (Ratio::ONE, true));
    assert_eq!((found.r, found.level), (Some(r("1.375")), Some(4)));
    // In binary numbers 0.7 + 0.1 + 0.2 stays below 1: no major hazard source, by an error.
    let tenths = verdict(&["氨=7", "环氧乙烷=1", "溴甲烷=2"], 0);
    assert_eq!((tenths.s, tenths.is_major), (Ratio::ONE, true));
    let third = verdict(&["氨=3.333333", "环氧乙烷=3.333333", "溴甲烷=3.333333"], 0);
    assert_eq!((third.is_major, third.s.to_string().as_str()), (false, "0.999999…"));
}

#[test]
fn w11_boundaries_of_level_and_alpha() {
    let tables = tables();
    for (value, level) in
        [("100", 1), ("99.999", 2), ("50", 2), ("49.999", 3), ("10", 3), ("9.999", 4)]
    {
        assert_eq!(level_of(&tables, r(value)), Some(level), "{value}");
    }
    for (people, alpha) in [
        (0, "0.5"),
        (1, "1"),
        (29, "1"),
        (30, "1.2"),
        (49, "1.2"),
        (50, "1.5"),
        (99, "1.5"),
        (100, "2"),
        (1_000_000, "2"),
    ] {
        assert_eq!(alpha_of(&tables, people), Some(r(alpha)), "{people}");
    }
}

#[test]
fn the_tables_are_whole() {
    let tables = tables();
    assert_eq!((tables.substances.len(), tables.classes.len(), tables.toxic.len()), (85, 24, 14));
    assert!((1..).zip(&tables.substances).all(|(no, s)| s.no == no));
    let with_beta = tables.substances.iter().filter(|s| s.beta.is_some()).count();
    assert_eq!(with_beta, 13);
    let broken = TableTexts {
        levels: "level,R_min_inclusive,R_max_exclusive,source,confidence\n1,x,,s,S/H\n2,1,,,S/H\n",
        ..DELIVERED
    };
    let faults = Tables::parse(&broken).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "levels.csv, row 2, R_min_inclusive \"x\": must be a number",
            "levels.csv, row 3, source \"\": must not be empty",
        ]
    );
}

#[test]
fn a_missing_class_costs_the_level_and_nothing_else() {
    let found = verdict(&["甲醇=1000", "氨=5"], 10);
    assert_eq!((found.is_major, found.s), (true, r("2.5")));
    assert_eq!((found.r, found.level, found.class_needed), (None, None, vec!["甲醇".to_owned()]));
    let found = verdict(&["甲醇=1000:W5.3", "氨=5"], 10);
    assert_eq!(found.r, Some(r("3")), "1.0 x (1 x 2 + 2 x 0.5)");
}

#[test]
fn names_find_their_row_or_ask() {
    let no = |name: &str| verdict(&[&format!("{name}=1")], 0).lines[0].threshold_from.clone();
    for (name, row) in [
        ("液氨", 1),
        ("7664-41-7", 1),
        ("#1", 1),
        ("天然气", 49),
        ("汽油", 66),
        ("氯化氢", 11),
        ("tnt", 35),
        ("1，3-丁二烯", 0),
        ("1,3-丁二烯", 47),
        ("乙醇汽油", 0),
        ("LPG", 0),
    ] {
        let found = reckon(&tables(), &items(&[&format!("{name}=1")]), 0);
        match row {
            0 => assert!(matches!(found.unwrap_err()[0], ItemFault::Unknown { .. }), "{name}"),
            row => assert!(
                matches!(no(name), From::Row { no: Some(found), .. } if found == row),
                "{name}"
            ),
        }
    }
    // Another content is another matter: 甲醛(含量>90%) is not any formaldehyde.
    let faults = reckon(&tables(), &items(&["甲醛=1", "硝化棉=1", "氨=1:W99"]), 0).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("not in table 1"), "{}", told[0]);
    assert!(told[1].contains("#37 硝化纤维素[干的"), "{}", told[1]);
    assert!(told[2].contains("W5.3"), "{}", told[2]);
}

#[test]
fn carbon_monoxide_has_a_coefficient_and_no_threshold_of_its_own() {
    assert!(reckon(&tables(), &items(&["一氧化碳=1"]), 0).is_err());
    let found = verdict(&["一氧化碳=20:W2+J3"], 0);
    // Several classes: the lowest threshold (W2, 10 t); beta by name from table 3.
    assert_eq!((found.s, found.r), (r("2"), Some(r("2"))));
}
