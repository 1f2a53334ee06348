//! The answer, for people and for programs.

use std::collections::BTreeMap;

use fengsui_alerting::backtest::{Outcome, Setting, Side, Span, pair};
use fengsui_telemetry::TimeMs;
use serde_json::{Value, json};

use super::file::Note;
use super::when::Zone;
use crate::cli::{say, table};

/// Lines of a table for people; `--json` has them all.
const LINES_MAX: usize = 200;

/// A setting and what it would have done.
pub(super) struct Tried {
    pub(super) setting: Setting,
    pub(super) outcome: Outcome,
}

pub(super) fn show(
    one: &Tried,
    other: Option<&Tried>,
    skipped: &[Note],
    zone: &Zone,
    as_json: bool,
) {
    if as_json {
        let mut body = json_of(one, zone);
        let notes = skipped.iter().map(|note| json!({ "row": note.row, "why": note.why }));
        body.insert("skipped".to_owned(), notes.collect());
        if let Some(other) = other {
            body.insert("against".to_owned(), Value::Object(json_of(other, zone)));
        }
        say(&Value::Object(body).to_string());
        return;
    }
    match other {
        None => list(one, zone),
        Some(other) => side_by_side(one, other, zone),
    }
    summary(one, other, skipped, zone);
}

fn json_of(tried: &Tried, zone: &Zone) -> serde_json::Map<String, Value> {
    let Tried { setting, outcome } = tried;
    let stamp = |at: TimeMs| zone.rfc3339(at);
    let occurrences: Vec<Value> = outcome
        .occurrences
        .iter()
        .map(|span| json!({ "on": stamp(span.on), "off": span.off.map(stamp) }))
        .collect();
    let body = json!({
        "setting": {
            "kind": word(setting.side), "limit": setting.limit, "deadband": setting.deadband,
            "on_delay_s": seconds(setting.on_delay_ms), "off_delay_s": seconds(setting.off_delay_ms),
        },
        "count": outcome.occurrences.len(),
        "occurrences": occurrences,
        "per_day": outcome.per_day(),
        "chatter_index": outcome.chatter_index(),
        "longest_s": outcome.longest_s(),
        "in_alarm_s": outcome.in_alarm_s(),
        "samples": outcome.samples,
        "bad": outcome.bad,
        "first": outcome.first.map(stamp),
        "last": outcome.last.map(stamp),
    });
    if let Value::Object(map) = body { map } else { serde_json::Map::new() }
}

fn word(side: Side) -> &'static str {
    match side {
        Side::High => "hi",
        Side::Low => "lo",
    }
}

#[expect(clippy::cast_precision_loss, reason = "delays of a week at most")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

fn times(span: Option<Span>, last: TimeMs, zone: &Zone) -> [String; 3] {
    match span {
        None => ["—".to_owned(), String::new(), String::new()],
        Some(span) => [
            zone.people(span.on),
            span.off.map_or("持续 lasts".to_owned(), |off| zone.people(off)),
            length(span.length_ms(last)),
        ],
    }
}

/// `1:02:03`, hours first.
fn length(ms: i64) -> String {
    let s = ms / 1_000;
    format!("{}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}

fn list(tried: &Tried, zone: &Zone) {
    let last = tried.outcome.last.unwrap_or_default();
    let mut rows =
        vec![["序号 no.", "开始 on", "恢复 off", "时长 length"].map(str::to_owned).to_vec()];
    for (number, span) in (1..).zip(&tried.outcome.occurrences).take(LINES_MAX) {
        let mut row = vec![number.to_string()];
        row.extend(times(Some(*span), last, zone));
        rows.push(row);
    }
    say(&table::lines(&rows));
    cut(tried.outcome.occurrences.len());
}

fn side_by_side(one: &Tried, other: &Tried, zone: &Zone) {
    let last = one.outcome.last.unwrap_or_default();
    let heading = ["A 开始 on", "A 恢复 off", "A 时长", "B 开始 on", "B 恢复 off", "B 时长"]
        .map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    let pairs = pair(&one.outcome.occurrences, &other.outcome.occurrences);
    for pair in pairs.iter().take(LINES_MAX) {
        let mut row = times(pair.one, last, zone).to_vec();
        row.extend(times(pair.other, last, zone));
        rows.push(row);
    }
    say(&table::lines(&rows));
    cut(pairs.len());
}

fn cut(count: usize) {
    if count > LINES_MAX {
        say(&format!("… 共 {count} 行，只列前 {LINES_MAX} 行；--json 给出全部 / --json gives all"));
    }
}

fn summary(one: &Tried, other: Option<&Tried>, skipped: &[Note], zone: &Zone) {
    let tried: Vec<&Tried> = std::iter::once(one).chain(other).collect();
    let number = |value: Option<f64>, digits: usize| {
        value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let row = |name: &str, cell: &dyn Fn(&Tried) -> String| {
        let mut row = vec![name.to_owned()];
        row.extend(tried.iter().map(|tried| cell(tried)));
        row
    };
    let mut rows = vec![
        row("设定 setting", &|t| {
            let Setting { side, limit, deadband, on_delay_ms, off_delay_ms } = t.setting;
            let (on, off) = (seconds(on_delay_ms), seconds(off_delay_ms));
            format!("{} {limit} 回差 {deadband} 延时 {on}/{off} s", word(side))
        }),
        row("次数 count", &|t| t.outcome.occurrences.len().to_string()),
        row("每天 per day", &|t| number(t.outcome.per_day(), 2)),
        row("抖动指数 chatter index", &|t| number(t.outcome.chatter_index(), 4)),
        row("最长 longest, s", &|t| number(t.outcome.longest_s(), 0)),
        row("报警总时长 in alarm, s", &|t| number(Some(t.outcome.in_alarm_s()), 0)),
        row("样本 samples", &|t| t.outcome.samples.to_string()),
        row("坏质量 bad", &|t| t.outcome.bad.to_string()),
    ];
    if other.is_some() {
        rows.insert(0, ["", "A", "B"].map(str::to_owned).to_vec());
    }
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    skipped.iter().for_each(|note| *why.entry(note.why).or_default() += 1);
    say("");
    say(&table::lines(&rows));
    for (why, count) in why {
        say(&format!("{count} 行 rows: {why}"));
    }
    say(&format!("时间按 {} / times in {}", zone.name(), zone.name()));
}
