//! What is said to people: Chinese first, short, with what they need to act and to read back.

use fengsui_alerting::calls::{Attempt, Hand, Kind, Ladder, Machine, Member, Reason, Why};

use super::channels::Message;
use super::rows::Facts;
use crate::stamp::Stamp;

/// Members that a package names one by one; the number of all is always said.
const NAMED_MAX: usize = 10;
/// The value may still be beyond its limit, and no alarm will say so.
const UNJUDGED: &str = "（报警期间限值被取消，已无人判断，请到现场核实）";

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
    let what = what(ladder, facts, stamp);
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

fn what(ladder: &Ladder, facts: &Facts, stamp: &Stamp) -> String {
    let since = stamp.people(ladder.opened_at);
    match (ladder.why, ladder.members.as_slice()) {
        (None, [one]) => format!("{}\n中心得知 {since}", name(one, facts)),
        (why, members) => {
            let because = match why {
                Some(Why::Late) => "补传数据中发现",
                Some(Why::Budget) => "短时报警过多，合并通知",
                None => "合并通知",
            };
            let mut text = format!("{because}，共 {} 条 (in all {})", members.len(), members.len());
            for member in members.iter().take(NAMED_MAX) {
                text += &format!("\n· {}", name(member, facts));
            }
            if members.len() > NAMED_MAX {
                text += &format!("\n· 其余 {} 条见值班台", members.len() - NAMED_MAX);
            }
            text
        }
    }
}

fn name(member: &Member, facts: &Facts) -> String {
    let Some(known) = facts.get(&member.alarm) else {
        return format!("{} 第{}次", member.alarm, member.occurrence);
    };
    let limit = known.limit.map(|limit| format!(" 限值 {limit} {}", known.unit));
    let words = [&known.enterprise, &known.installation, &known.name, &known.tag];
    let place: Vec<&str> =
        words.into_iter().map(String::as_str).filter(|w| !w.is_empty()).collect();
    let place = if place.is_empty() { known.gateway.clone() } else { place.join(" ") };
    let kind = known.kind.to_uppercase();
    let left = if known.unjudged { UNJUDGED } else { "" };
    format!("{place} {kind}{} 第{}次{left}", limit.unwrap_or_default(), member.occurrence)
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
