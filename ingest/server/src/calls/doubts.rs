//! What a roster allows and somebody will regret: persons whom no channel reaches, hours at which
//! a ladder has nobody.
//!
//! - No fault: a centre must start with the roster that it has. `roster check`, a reload and the
//!   start name each, with the mend.

use std::collections::BTreeSet;

use fengsui_alerting::calls::{Hole, Needs, Setup, holes};

/// Every doubt, each with its mend.
#[must_use]
pub(crate) fn doubts(setup: &Setup) -> Vec<String> {
    let duty = setup.duty.iter().map(|turn| &turn.person);
    let named = setup.rosters.values().flat_map(|roster| roster.slots.values().flatten());
    let called: BTreeSet<&String> = duty.chain(named).collect();
    let used: Vec<String> = setup
        .policies
        .values()
        .flat_map(|policy| policy.message.iter().chain(&policy.voice).cloned())
        .collect();
    let unreached = called.into_iter().filter(|person| setup.reach(person, &used).is_empty());
    let unreached =
        unreached.filter_map(|id| Some(said(setup, id, &used, &setup.persons.get(id)?.name)));
    unreached.chain(holes(setup).iter().map(empty)).collect()
}

/// A ladder that is empty for some hours of each day, or always.
fn empty(hole: &Hole) -> String {
    let Hole { priority, installation, from, to, fault, .. } = hole;
    let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let (when, when_en) = if from == to {
        ("全天".to_owned(), "at any time".to_owned())
    } else {
        let span = format!("{}-{}", time(*from), time(*to));
        (format!("每天 {span}"), format!("{span} every day"))
    };
    let (zh, en) = fault.text();
    let ladder = hole.ladder.join(", ");
    format!(
        "policy {priority}（P{priority}，ladder = {ladder}）在装置 {installation:?} {when} 无人可叫：{zh}；\
         请在 [[duty]] 中补这段时间，或在 ladder 与该装置（或 \"*\"）的 [[roster]] 中加入有号码的人 / \
         nobody can be called for priority {priority} of {installation:?} {when_en}: {en}; give a \
         [[duty]] for these hours, or add to the ladder a slot that the [[roster]] fills"
    )
}

fn said(setup: &Setup, id: &str, used: &[String], name: &str) -> String {
    let needed = |needs: Needs| {
        used.iter().any(|name| setup.channels.get(name).is_some_and(|known| known.needs == needs))
    };
    let fields = [(Needs::Phone, "phone"), (Needs::Email, "email")];
    let fields: Vec<&str> =
        fields.into_iter().filter(|(needs, _)| needed(*needs)).map(|(_, field)| field).collect();
    let fields = fields.join(" / ");
    format!(
        "person {id:?}（{name}）没有任何渠道可用的号码，叫不到此人；请在其 [[person]] 中填写 {fields} / \
         no channel of any policy reaches this person; give {fields} in the [[person]]"
    )
}

#[cfg(test)]
mod tests {
    use super::super::config::parse;
    use super::*;

    #[test]
    fn whom_no_channel_reaches_is_named_with_the_mend() {
        let text = r#"
            [[person]]
            id = "wang"
            name = "王敏"
            phone = "13800000000"
            [[person]]
            id = "li"
            name = "李强"
            [[duty]]
            person = "wang"
            [[roster]]
            installation = "*"
            ops = ["li"]
            [[channel]]
            name = "sms"
            kind = "log"
            needs = "phone"
            [[policy]]
            priority = 1
            voice = ["sms"]
            [[policy]]
            priority = 2
            voice = ["sms"]
        "#;
        let config = parse("calls.toml", text, 480).unwrap_or_else(|faults| panic!("{faults:?}"));
        let doubts = doubts(&config.setup);
        let [doubt] = doubts.as_slice() else { panic!("{doubts:?}") };
        assert!(doubt.contains("\"li\"（李强）") && doubt.contains("phone"), "{doubt}");
    }

    #[test]
    fn hours_without_anybody_are_named_with_the_mend() {
        let text = r#"
            [[person]]
            id = "wang"
            name = "王敏"
            phone = "13800000000"
            [[duty]]
            person = "wang"
            from = "08:00"
            to = "20:00"
            [[roster]]
            installation = "*"
            ops = ["wang"]
            [[channel]]
            name = "sms"
            kind = "log"
            needs = "phone"
            [[policy]]
            priority = 1
            voice = ["sms"]
            [[policy]]
            priority = 2
            ladder = ["duty"]
            voice = ["sms"]
        "#;
        let config = parse("calls.toml", text, 480).unwrap_or_else(|faults| panic!("{faults:?}"));
        let doubts = doubts(&config.setup);
        let [doubt] = doubts.as_slice() else { panic!("{doubts:?}") };
        for named in ["policy 2", "20:00-08:00", "[[duty]]", "\"*\""] {
            assert!(doubt.contains(named), "{named}: {doubt}");
        }
        let whole = text.replace("from = \"08:00\"", "").replace("to = \"20:00\"", "");
        let config = parse("calls.toml", &whole, 480).unwrap_or_else(|f| panic!("{f:?}"));
        assert_eq!(super::doubts(&config.setup), Vec::<String>::new());
    }
}
