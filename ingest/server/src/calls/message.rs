//! What is said to people: Chinese first, short, with what they need to act and to read back.

use fengsui_alerting::calls::{Attempt, Hand, Kind, Ladder, Machine, Member, Reason, Why};
use fengsui_telemetry::TimeMs;

use super::channels::Message;
use super::rows::Facts;
use crate::stamp::Stamp;

/// Members that a package names one by one; the number of all is always said.
const NAMED_MAX: usize = 10;
/// The value may still be beyond its limit, and no alarm will say so.
const UNJUDGED: &str = "（报警期间限值被取消，已无人判断，请到现场核实）";

/// Nobody has answered it, and it does not hold any more.
const ENDED: &str = "（已恢复）";
/// Known this soon after it happened, one time says both.
const SOON_MS: i64 = 60_000;

/// The message of one hand-over; none where its attempt is not known any more.
pub(super) fn of(machine: &Machine, hand: &Hand, facts: &Facts, stamp: &Stamp) -> Option<Message> {
    let ladder = machine.ladder(&hand.alarm, hand.occurrence)?;
    let attempt = ladder.attempts.iter().find(|a| a.intent.attempt == hand.attempt)?;
    let intent = &attempt.intent;
    let setup = machine.setup();
    let person = setup.persons.get(&intent.person)?;
    let policy = machine.policy(ladder)?;
    // The digits are in what can be read; what rings asks for them. Who has nothing to read on
    // is told them.
    let rings = policy.voice.contains(&hand.channel);
    let reads = !setup.reach(&intent.person, &policy.message).is_empty();
    let digits = if rings && reads { String::new() } else { intent.digits.clone() };
    let what = what(machine, ladder, facts, stamp);
    let title =
        format!("{}P{} 报警叫应 {}", repeat(hand.again), ladder.priority, first_line(&what));
    let text = [
        format!("{}【烽燧】P{}{}", repeat(hand.again), ladder.priority, priority(ladder.priority)),
        what,
        why(attempt),
        ask(&digits, policy.reply_ms),
        format!("编号 {}-{}", attempt.seq, hand.channel),
    ]
    .join("\n");
    Some(Message {
        reference: format!("{}-{}", attempt.seq, hand.channel),
        alarm: hand.alarm.clone(),
        occurrence: hand.occurrence,
        attempt: hand.attempt,
        repeat: hand.again,
        person: person.name.clone(),
        phone: person.phone.clone().unwrap_or_default(),
        email: person.email.clone().unwrap_or_default(),
        kind: kind(intent.kind),
        digits,
        title,
        text,
    })
}

fn repeat(again: u32) -> &'static str {
    if again > 0 { "【重复】" } else { "" }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// One word for each way.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "message",
        Kind::Voice => "voice",
        Kind::Both => "both",
    }
}

fn priority(priority: u8) -> &'static str {
    match priority {
        1 => "紧急报警",
        2 => "高优先级报警",
        3 => "中优先级报警",
        _ => "报警",
    }
}

fn what(machine: &Machine, ladder: &Ladder, facts: &Facts, stamp: &Stamp) -> String {
    let since = ladder.opened_at;
    let shown = shown(machine, ladder);
    match (ladder.why, shown.as_slice()) {
        (None, [one]) => {
            let told = told(machine, one, facts, stamp, since);
            format!("{}\n{told}", name(machine, one, facts))
        }
        (why, members) => {
            let because = match why {
                Some(Why::Late) => "补传数据中发现",
                Some(Why::Budget) => "短时报警过多，合并通知",
                None => "合并通知",
            };
            let mut text = format!("{because}，共 {} 条 (in all {})", members.len(), members.len());
            for member in members.iter().take(NAMED_MAX) {
                text += &format!("\n· {}", name(machine, member, facts));
            }
            if members.len() > NAMED_MAX {
                text += &format!("\n· 其余 {} 条见值班台", members.len() - NAMED_MAX);
            }
            text
        }
    }
}

/// One occurrence of each alarm of a ladder: the newest that lasts, or the newest. Which one it is
/// says how often the alarm came.
fn shown<'a>(machine: &Machine, ladder: &'a Ladder) -> Vec<&'a Member> {
    let mut shown: Vec<&Member> = Vec::new();
    let rank = |member: &Member| {
        let matter = machine.matter(&member.alarm, member.occurrence);
        let lasts = matter.is_some_and(|matter| matter.facts.ended.is_none());
        (lasts, matter.is_some(), member.occurrence)
    };
    for member in &ladder.members {
        match shown.iter_mut().find(|known| known.alarm == member.alarm) {
            Some(known) if rank(known) < rank(member) => *known = member,
            Some(_) => {}
            None => shown.push(member),
        }
    }
    shown
}

/// The value that decided, when it happened, and when that became known where it was not at once.
fn told(machine: &Machine, member: &Member, facts: &Facts, stamp: &Stamp, since: TimeMs) -> String {
    let matter = machine.matter(&member.alarm, member.occurrence);
    let known = format!("中心得知 {}", stamp.people(since));
    let Some(matter) = matter else { return known };
    let unit = facts.get(&member.alarm).map_or("", |facts| facts.unit.as_str());
    let value = matter.facts.value.map(|value| format!("{} ", number(value, unit)));
    let value = value.map(|value| format!("值 {value}")).unwrap_or_default();
    let Some(happened) = matter.facts.happened else { return format!("{value}{known}") };
    let happened_zh = format!("{value}发生于 {}", stamp.people(happened));
    // An occurrence that joined later happened after the ladder began.
    if since.since(happened) < SOON_MS { happened_zh } else { format!("{happened_zh}，{known}") }
}

/// Four decimals are more than any transmitter has.
fn number(value: f64, unit: &str) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if unit.is_empty() { text.to_owned() } else { format!("{text} {unit}") }
}

fn name(machine: &Machine, member: &Member, facts: &Facts) -> String {
    let matter = machine.matter(&member.alarm, member.occurrence);
    let ended = matter.is_some_and(|matter| matter.facts.ended.is_some());
    let Some(known) = facts.get(&member.alarm) else {
        return format!("{} 第{}次", member.alarm, member.occurrence);
    };
    let limit = matter.and_then(|matter| matter.facts.limit).filter(|_| !known.unjudged);
    let limit = limit.map(|limit| format!(" 限值 {}", number(limit, &known.unit)));
    let words = [&known.enterprise, &known.installation, &known.name, &known.tag];
    let place: Vec<&str> =
        words.into_iter().map(String::as_str).filter(|w| !w.is_empty()).collect();
    let place = if place.is_empty() { known.gateway.clone() } else { place.join(" ") };
    let kind = known.kind.to_uppercase();
    let state = match (known.unjudged, ended) {
        (true, _) => UNJUDGED,
        (false, true) => ENDED,
        (false, false) => "",
    };
    format!("{place} {kind}{} 第{}次{state}", limit.unwrap_or_default(), member.occurrence)
}

fn why(attempt: &Attempt) -> String {
    let intent = &attempt.intent;
    let round = match intent.reason {
        Reason::AgainFromTop | Reason::ReplyOverdue if intent.round > 1 => {
            format!("，第{}轮", intent.round)
        }
        Reason::First
        | Reason::Unread
        | Reason::Unanswered
        | Reason::NotConfirmed
        | Reason::AgainFromTop
        | Reason::ReplyOverdue
        | Reason::Graver
        | Reason::Manual => String::new(),
    };
    format!("第{}次叫应（{}{round}）", intent.attempt, intent.reason.zh())
}

fn ask(digits: &str, reply_ms: Option<i64>) -> String {
    let reply = reply_ms.map_or(String::new(), |ms| {
        format!("；{} 分钟内反馈：现场谁指挥、影响几人、是否转移", (ms + 59_999) / 60_000)
    });
    if digits.is_empty() {
        format!("请报出消息中的核对码{reply}")
    } else {
        format!("核对码 {digits}，接听时请报出{reply}")
    }
}

/// What the journal's comment says of a contact.
pub(super) fn comment(person: &str, channels: &[String], reason: Reason) -> String {
    let over = channels.join("+");
    format!("{}：{person}（{over}）/ {}", reason.zh(), reason.word())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fengsui_alerting::calls::{Action, Event, Novelty, Occurrence};

    use super::super::config::parse;
    use super::*;
    use crate::registry::AlarmFacts;

    const HH: &str = "GW-01/TK-101.LT/HH";
    const ROSTER: &str = r#"
        [[person]]
        id = "wang"
        name = "王敏"
        phone = "13800000000"
        [[duty]]
        person = "wang"
        [[channel]]
        name = "sms"
        kind = "log"
        needs = "phone"
        [[policy]]
        priority = 1
        message = ["sms"]
        [[policy]]
        priority = 2
        message = ["sms"]
    "#;

    /// What a person reads after these events, with the limits of today.
    fn text(events: Vec<Event>) -> String {
        let setup = parse("calls.toml", ROSTER, 480).unwrap_or_else(|f| panic!("{f:?}")).setup;
        let mut machine = Machine::new(setup, 1);
        let now = TimeMs(1_795_000_000_000);
        let mut actions = Vec::new();
        for event in events {
            machine.handle(event, now, &mut actions);
        }
        machine.handle(Event::Wake, now, &mut actions);
        let Some(Action::Record(entry)) = actions.pop() else { panic!("no attempt") };
        machine.handle(Event::Ledger(entry, 7), now, &mut actions);
        let Some(Action::Hand(hand)) = actions.pop() else { panic!("no message") };
        let known = AlarmFacts {
            kind: "hh",
            tag: "TK-101.LT".into(),
            unit: "%".into(),
            limit: Some(80.0),
            ..AlarmFacts::default()
        };
        let facts: Facts = [(HH.to_owned(), Arc::new(known))].into();
        let stamp = Stamp::in_zone("Asia/Shanghai").unwrap();
        of(&machine, &hand, &facts, &stamp).unwrap().text
    }

    fn opened(occurrence: u64, happened: i64) -> Event {
        let facts = Occurrence {
            alarm: HH.into(),
            occurrence,
            priority: 1,
            gateway: "GW-01".into(),
            happened: Some(TimeMs(1_795_000_000_000 - happened)),
            value: Some(95.25),
            limit: Some(90.0),
            ..Occurrence::default()
        };
        Event::Opened(facts, Novelty::Live)
    }

    #[test]
    fn a_message_says_value_limit_and_time_of_what_was_judged() {
        let said = text(vec![opened(1, 1_000)]);
        assert!(said.contains("TK-101.LT HH 限值 90 % 第1次\n"), "{said}");
        assert!(said.contains("值 95.25 % 发生于 2026-11-18 19:06:39\n"), "{said}");
        assert!(!said.contains("已恢复") && !said.contains("80"), "{said}");
        let late = text(vec![opened(1, 600_000)]);
        assert!(
            late.contains("发生于 2026-11-18 18:56:40，中心得知 2026-11-18 19:06:40"),
            "{late}"
        );
    }

    #[test]
    fn a_message_says_how_often_it_came_and_that_it_is_over() {
        let ended = |occurrence| Event::Ended { alarm: HH.into(), occurrence };
        let said = text(vec![opened(1, 1_000), ended(1)]);
        assert!(said.contains("第1次（已恢复）"), "{said}");
        let said = text(vec![opened(1, 9_000), ended(1), opened(2, 1_000)]);
        assert!(said.contains("第2次\n") && !said.contains("合并"), "{said}");
        let said = text(vec![opened(1, 9_000), ended(1), opened(2, 1_000), ended(2)]);
        assert!(said.contains("第2次（已恢复）"), "{said}");
    }
}
