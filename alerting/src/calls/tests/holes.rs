//! Hours at which a ladder has nobody.

use super::*;

fn found(setup: &Setup) -> Vec<(u8, String, u32, u32, Fault)> {
    let told = |hole: Hole| (hole.priority, hole.installation, hole.from, hole.to, hole.fault);
    holes(setup).into_iter().map(told).collect()
}

fn turn(person: &str, from: u32, to: u32) -> Turn {
    Turn { person: person.to_owned(), from, to }
}

#[test]
fn a_night_without_duty_is_a_hole_where_duty_is_all_there_is() {
    let mut with = setup();
    assert_eq!(found(&with), []);
    with.duty = vec![turn("wang", 480, 1_200)];
    assert_eq!(found(&with), [], "others of the ladder are there");
    with.policies.get_mut(&2).unwrap().ladder = vec![Slot::Duty];
    let night = (2, "*".to_owned(), 1_200, 480, Fault::Nobody);
    assert_eq!(found(&with), [night]);
    // Two turns with two gaps, and one whom nothing reaches.
    with.duty = vec![turn("wang", 360, 720), turn("wang", 780, 1_200), turn("li", 1_200, 1_320)];
    with.persons.get_mut("li").unwrap().phone = None;
    with.policies.get_mut(&2).unwrap().message = vec!["sms".into()];
    let hole = |from, to, fault| (2, "*".to_owned(), from, to, fault);
    assert_eq!(
        found(&with),
        [
            hole(720, 780, Fault::Nobody),
            hole(1_200, 1_320, Fault::Unreachable),
            hole(1_320, 360, Fault::Nobody)
        ]
    );
    // The zone is the plant's: the same hours east and west of Greenwich.
    let east = found(&with);
    with.zone_min = -300;
    assert_eq!(found(&with), east);
    with.duty.clear();
    assert_eq!(found(&with), [hole(0, 0, Fault::Nobody)], "always");
}

#[test]
fn each_installation_has_its_own_holes() {
    let mut with = setup();
    let any = with.rosters.remove("*").unwrap();
    with.rosters.insert("1#罐区".into(), any);
    for policy in with.policies.values_mut() {
        policy.ladder = vec![Slot::Operational];
    }
    let places: Vec<_> = found(&with).into_iter().map(|hole| (hole.0, hole.1)).collect();
    assert_eq!(places, [(1, "*".to_owned()), (2, "*".to_owned())]);
}
