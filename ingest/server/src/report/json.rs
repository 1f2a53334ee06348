//! A report as JSON: one shape for API and command line. What is undefined is null.

use fengsui_alerting::kpi::{Figures, Online, Ranked};
use serde_json::{Value, json};

use super::{Line, Named, Of, Period, Report, Suspicious};
use crate::stamp::Stamp;

/// Points of an answer, the worst first; the number of all stands beside them.
const POINTS_MAX: usize = 5_000;

fn period_json(period: &Period, stamp: &Stamp) -> Value {
    json!({
        "kind": period.kind.word(), "name": period.name, "zone": stamp.zone(),
        "from": stamp.rfc3339(period.from), "to": stamp.rfc3339(period.to),
        "complete": period.complete,
    })
}

fn named_json(list: &[Named]) -> Vec<Value> {
    let one =
        |named: &Named| json!({ "alarm": named.key, "name": named.name, "count": named.count });
    list.iter().map(one).collect()
}

/// A report. Without data the figures are null.
#[must_use]
pub fn report_json(report: &Report, stamp: &Stamp) -> Value {
    let mut json = json!({
        "period": period_json(&report.period, stamp),
        "data": report.has_data,
        "enough": report.figures.enough,
        "figures": null,
    });
    if !report.has_data {
        return json;
    }
    let counts = &report.counts;
    let with = json!({
        "figures": figures_json(&report.figures),
        "days": report.days.iter().map(|day| {
            let figures = has_figures(day).then(|| figures_json(day));
            json!({ "date": stamp.date(day.from).to_string(), "figures": figures })
        }).collect::<Vec<_>>(),
        "counts": {
            "announced": counts.announced, "by_hour": report.by_hour,
            "by_priority": counts.by_priority, "no_longer_configured": counts.foreign,
            "by_installation": counts.by_installation,
            "calls": counts.calls, "calls_answered": counts.answered,
            "rows": counts.rows, "rows_not_understood": counts.unread,
            "chain_breaks": counts.chain_breaks, "cut": counts.cut,
        },
        "top": named_json(&report.top),
        "chattering": named_json(&report.chattering),
        "fleeting": report.fleeting.as_deref().map(named_json),
        "stale_at_end": named_json(&report.stale),
        "hidden_dangers": { "owed": report.owed, "overdue": report.overdue },
        "online": lines_json(&report.online),
        "suspicious": suspicious_json(&report.suspicious),
    });
    if let (Some(json), Value::Object(with)) = (json.as_object_mut(), with) {
        json.extend(with);
    }
    json
}

/// Somebody watched, or something is known all the same.
pub(super) fn has_figures(day: &Figures) -> bool {
    day.known_ms > 0 || day.load.announced > 0
}

fn figures_json(figures: &Figures) -> Value {
    let (load, answering) = (&figures.load, &figures.answering);
    json!({
        "watched_s": figures.known_ms / 1_000,
        "announced": load.announced, "per_day": load.per_day, "per_hour": load.per_hour,
        "per_ten_minutes": load.per_ten_minutes, "busy_periods": load.busy_periods,
        "most_in_period": load.most_in_period, "flood_share": load.flood_share,
        "floods": load.floods, "top_share": load.top_share,
        "to_acknowledge_median_s": answering.to_acknowledge_median_s,
        "to_acknowledge_p95_s": answering.to_acknowledge_p95_s,
        "not_acknowledged": answering.not_acknowledged,
        "to_answer_median_s": answering.to_answer_median_s,
        "to_answer_p95_s": answering.to_answer_p95_s,
        "disposal_rate": answering.disposal_rate, "done_in_time": answering.done_in_time,
        "chattering": figures.chattering.len(),
        "fleeting": figures.fleeting.as_ref().map(Vec::len),
        "stale_most": figures.stale_most,
        "late": figures.late, "late_median_s": figures.late_median_s,
        "shelved_s": figures.shelved_s, "blind_s": figures.blind_s,
        "online_rate": figures.online_rate, "unknown_share": figures.online_unknown,
        "unauthorised_suppressions": figures.unauthorised_suppressions,
        "unauthorised_changes": figures.unauthorised_changes,
    })
}

fn line_json(line: &Line) -> Value {
    let Online { online, gateway_offline, stale, bad, unknown } = line.online;
    json!({
        "name": line.name, "within": line.within, "points": line.points,
        "rate": line.online.rate(), "unknown_share": line.online.unknown_share(),
        "online_ms": online, "unknown_ms": unknown,
        "offline_ms": { "gateway_offline": gateway_offline, "stale": stale, "bad_quality": bad },
        "state": line.now.map(super::Now::word),
        "state_zh": line.now.map(super::Now::zh),
    })
}

fn lines_json(lines: &[Line]) -> Value {
    let of = |level: Of, most: usize| -> Vec<Value> {
        lines.iter().filter(|line| line.of == level).take(most).map(line_json).collect()
    };
    json!({
        "enterprises": of(Of::Enterprise, usize::MAX),
        "installations": of(Of::Installation, usize::MAX),
        "gateways": of(Of::Gateway, usize::MAX),
        "points": of(Of::Point, POINTS_MAX),
        "points_total": lines.iter().filter(|line| line.of == Of::Point).count(),
    })
}

/// The online rate by level.
#[must_use]
pub fn online_json(report: &Report, stamp: &Stamp) -> Value {
    json!({
        "period": period_json(&report.period, stamp),
        "data": report.has_data,
        "unknown_share": report.figures.online_unknown,
        "online": lines_json(&report.online),
    })
}

fn ranked_json(ranked: &[Ranked]) -> Vec<Value> {
    let one = |ranked: &Ranked| json!({ "name": ranked.name, "index": ranked.index, "points": ranked.points.len() });
    ranked.iter().map(one).collect()
}

fn suspicious_json(found: &Suspicious) -> Value {
    let point = |point: &super::Doubted| {
        let reasons = point
            .reasons
            .iter()
            .map(|(zh, word, share)| json!({ "reason": word, "zh": zh, "share": share }));
        json!({
            "tag": point.tag, "name": point.name, "gateway": point.gateway, "installation": point.installation,
            "suspicion": point.suspicion, "reasons": reasons.collect::<Vec<_>>(),
        })
    };
    json!({
        "enterprises": ranked_json(&found.enterprises),
        "gateways": ranked_json(&found.gateways),
        "points": found.points.iter().take(POINTS_MAX).map(point).collect::<Vec<_>>(),
        "points_total": found.points.len(),
        "required_points": found.required,
        "points_without_limit": found.without_limit,
        "not_judged": found.not_judged,
    })
}

/// The ranking of what is suspiciously green, with the blind time.
#[must_use]
pub fn blind_json(report: &Report, stamp: &Stamp) -> Value {
    json!({
        "period": period_json(&report.period, stamp),
        "data": report.has_data,
        "blind_s": report.figures.blind_s,
        "unknown_share": report.figures.online_unknown,
        "suspicious": suspicious_json(&report.suspicious),
    })
}
