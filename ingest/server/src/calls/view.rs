//! Ladders and cases as JSON says them.

use fengsui_alerting::calls::{Attempt, Ladder, Member, Next, PACKAGE, Reason, Slot};
use fengsui_alerting::closure::Case;
use fengsui_telemetry::TimeMs;
use serde_json::{Value, json};

use super::message;
use super::office::Office;
use crate::clock;

/// Ladders in one answer: more than a person reads; `total` says how many there are.
const LADDERS_MAX: usize = 500;
/// Members of a package in one answer.
const MEMBERS_MAX: usize = 200;
/// Cases in one answer.
const CASES_MAX: usize = 500;

/// Every ladder, urgent and newest first.
pub(super) fn ladders(office: &Office, open: bool) -> Value {
    let stamp = |at: TimeMs| office.parts.stamp.rfc3339(at);
    let mut found: Vec<_> =
        office.machine.ladders().filter(|(_, ladder)| !open || ladder.settled.is_none()).collect();
    found.sort_by_key(|(_, l)| (l.settled.is_some(), l.priority, std::cmp::Reverse(l.opened_at)));
    let total = found.len();
    let list: Vec<Value> = found
        .into_iter()
        .take(LADDERS_MAX)
        .map(|((alarm, occurrence), ladder)| json(office, alarm, *occurrence, ladder))
        .collect();
    let findings: Vec<Value> = office
        .findings
        .iter()
        .map(|(finding, since)| {
            let (zh, en) = finding.fault.text();
            json!({
                "alarm": finding.alarm, "occurrence": finding.occurrence,
                "fault": finding.fault.word(), "text": { "zh": zh, "en": en },
                "since": stamp(*since),
            })
        })
        .collect();
    let now = clock::now();
    let setup = office.machine.setup();
    let persons: Vec<Value> = setup
        .persons
        .iter()
        .map(|(id, person)| {
            let all: Vec<String> = setup.channels.keys().cloned().collect();
            let channels: Vec<Value> = setup
                .reach(id, &all)
                .iter()
                .map(|name| {
                    let per_hour = setup.channels.get(name).map_or(0, |c| c.budget.per_hour);
                    let spent = office.machine.spent(id, name, now);
                    json!({ "channel": name, "spent": spent, "per_hour": per_hour })
                })
                .collect();
            json!({ "id": id, "name": person.name, "channels": channels })
        })
        .collect();
    json!({
        "configured": !setup.policies.is_empty(),
        "server_time": stamp(now),
        "total": total,
        "calls": list,
        "findings": findings,
        "persons": persons,
    })
}

/// One ladder by its own name, or by that of an occurrence in a package.
pub(super) fn named(office: &Office, alarm: &str, occurrence: u64) -> Option<Value> {
    let machine = &office.machine;
    let package = machine.matter(alarm, occurrence).and_then(|matter| matter.package);
    let mut json = match machine.ladder(alarm, occurrence) {
        Some(own) => json(office, alarm, occurrence, own),
        None => {
            let (speaker, number) = machine.speaker(alarm, occurrence);
            return Some(json(office, &speaker, number, machine.ladder(&speaker, number)?));
        }
    };
    if let (Some(object), Some(number)) = (json.as_object_mut(), package)
        && let Some(ladder) = machine.ladder(PACKAGE, number)
    {
        object.insert("package".to_owned(), self::json(office, PACKAGE, number, ladder));
    }
    Some(json)
}

fn json(office: &Office, alarm: &str, occurrence: u64, ladder: &Ladder) -> Value {
    let stamp = |at: TimeMs| office.parts.stamp.rfc3339(at);
    let machine = &office.machine;
    let state = match machine.next(ladder) {
        None => "not_called",
        Some(Next::At(..)) if machine.reply_due(ladder).is_some() => "awaiting_feedback",
        Some(Next::At(..)) => "calling",
        Some(Next::Reached) => "reached",
        Some(Next::Quiet) => "quiet",
        Some(Next::SpokenFor) => "spoken_for",
        Some(Next::Settled(_)) => "settled",
    };
    let next = machine.preview(ladder).map(|next| {
        json!({
            "at": stamp(next.at), "person": next.person, "name": name(office, &next.person),
            "slot": next.slot, "kind": message::kind(next.kind), "reason": reason(next.reason),
            "channels": next.channels,
        })
    });
    let members: Vec<Value> = ladder
        .members
        .iter()
        .take(MEMBERS_MAX)
        .map(|m| json!({ "alarm": m.alarm, "occurrence": m.occurrence }))
        .collect();
    let attempts: Vec<Value> = ladder.attempts.iter().map(|a| attempt(office, a)).collect();
    json!({
        "alarm": alarm, "occurrence": occurrence, "priority": ladder.priority,
        "installations": ladder.installations,
        "count": ladder.members.len(), "members": members,
        "late": ladder.late.is_some(), "unjudged": unjudged(office, ladder),
        "opened_at": stamp(ladder.opened_at), "round": ladder.round, "state": state,
        "answered_at": ladder.answered_at.map(stamp),
        "confirmed_at": ladder.confirmed_at.map(stamp),
        "replied_at": ladder.replied_at.map(stamp),
        "reply_due": machine.reply_due(ladder).map(stamp),
        "settled": ladder.settled.map(|(why, at)| json!({ "why": why.word(), "at": stamp(at) })),
        "next": next,
        "attempts": attempts,
    })
}

/// What of it lost its limit while it stood: nobody judges the point any more.
fn unjudged(office: &Office, ladder: &Ladder) -> Option<Value> {
    let left = |m: &&Member| office.facts.get(&m.alarm).is_some_and(|facts| facts.unjudged);
    let left: Vec<&str> = ladder.members.iter().filter(left).map(|m| m.alarm.as_str()).collect();
    (!left.is_empty()).then(|| {
        json!({
            "alarms": left.iter().take(MEMBERS_MAX).collect::<Vec<_>>(),
            "zh": "报警期间限值被取消，已无人判断该点",
            "en": "the limit was removed in alarm; nobody judges the point any more",
        })
    })
}

fn name(office: &Office, person: &str) -> String {
    office.machine.setup().persons.get(person).map_or_else(String::new, |p| p.name.clone())
}

fn reason(reason: Reason) -> Value {
    json!({ "key": reason.word(), "zh": reason.zh() })
}

/// The digits are not shown: whoever records an answer must have heard them.
fn attempt(office: &Office, attempt: &Attempt) -> Value {
    let stamp = |at: TimeMs| office.parts.stamp.rfc3339(at);
    let intent = &attempt.intent;
    let sends: Vec<Value> = attempt
        .sends
        .iter()
        .map(|send| {
            let failed = send.failed.as_ref();
            json!({
                "channel": send.channel, "again": send.again, "receipt": send.receipt,
                "accepted_at": send.accepted_at.map(stamp),
                "delivered_at": send.delivered_at.map(stamp),
                "read_at": send.read_at.map(stamp),
                "failed": failed.map(|(at, why)| json!({ "at": stamp(*at), "why": why })),
            })
        })
        .collect();
    let reply = attempt.reply.as_ref().map(|(at, reply)| {
        json!({
            "at": stamp(*at), "commander": reply.commander, "affected": reply.affected,
            "moved": reply.moved, "text": reply.text,
        })
    });
    let slot = Slot::from_word(&intent.slot);
    json!({
        "attempt": intent.attempt, "at": stamp(attempt.at), "seq": attempt.seq,
        "person": intent.person, "name": name(office, &intent.person),
        "slot": { "key": intent.slot, "zh": slot.map_or("人工", Slot::zh) },
        "kind": message::kind(intent.kind), "reason": reason(intent.reason),
        "round": intent.round, "by": intent.by,
        "state": attempt.delivery().word(),
        "outcome": attempt.outcome.map(|(outcome, _)| outcome.word()),
        "answered_at": attempt.answered_at.map(stamp),
        "confirmed_at": attempt.confirmed_at.map(stamp),
        "wrong_digits": attempt.wrong, "recorded_by": attempt.recorded_by,
        "reply": reply, "sends": sends,
    })
}

/// Every case, newest first.
pub(super) fn cases(office: &Office, open: bool) -> Value {
    let mut found: Vec<&Case> =
        office.cases.all().filter(|case| !open || !case.state.is_end()).collect();
    found.sort_by_key(|case| std::cmp::Reverse(case.since));
    let total = found.len();
    let list: Vec<Value> =
        found.into_iter().take(CASES_MAX).map(|case| case_json(office, case)).collect();
    json!({ "total": total, "cases": list })
}

/// One case.
pub(super) fn case(office: &Office, name: &str) -> Option<Value> {
    office.cases.get(name).map(|case| case_json(office, case))
}

fn case_json(office: &Office, case: &Case) -> Value {
    let stamp = |at: TimeMs| office.parts.stamp.rfc3339(at);
    let steps: Vec<Value> = case
        .steps
        .iter()
        .map(|(at, row)| {
            let step = serde_json::to_value(&row.step).unwrap_or_default();
            json!({ "number": row.number, "at": stamp(*at), "by": row.by, "what": step })
        })
        .collect();
    json!({
        "case": case.case, "title": case.title, "alarm": case.alarm,
        "occurrence": case.occurrence,
        "state": { "key": case.state.word(), "zh": case.state.zh() },
        "grade": case.grade.map(fengsui_alerting::closure::Grade::word),
        "person": case.person, "deadline": case.deadline.map(stamp),
        "overdue": case.is_overdue(clock::now()), "extended": case.extended,
        "since": stamp(case.since),
        "allowed": fengsui_alerting::closure::allowed(case.state),
        "steps": steps,
    })
}
