//! A report as tables, the same for the terminal, HTML, CSV and spreadsheets.

use fengsui_alerting::kpi::{Figures, Online};

use super::json::has_figures;
use super::{Named, Of, Report};
use crate::stamp::Stamp;

/// Points that a table names, the worst first; all are in the JSON of `/api/v1/online`.
const POINTS_MAX: usize = 500;
/// Alarms that a list names.
const LISTED_MAX: usize = 200;

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A count.
    Count(u64),
    /// A number.
    Number(f64),
    /// A share, 0..=1, shown in per cent.
    Share(f64),
    /// Undefined, or not known.
    None,
}

impl Cell {
    /// As people read it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => short(*number),
            Self::Share(share) => percent(*share),
            Self::None => "-".to_owned(),
        }
    }
}

fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Two digits, and never 100 % for what is not all of it.
fn percent(share: f64) -> String {
    let hundredths = (share * 10_000.0).round() / 100.0;
    if hundredths >= 100.0 && share < 1.0 {
        "> 99.99 %".to_owned()
    } else if hundredths <= 0.0 && share > 0.0 {
        "< 0.01 %".to_owned()
    } else {
        format!("{} %", short(hundredths))
    }
}

/// One table.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// Its name.
    pub title: &'static str,
    /// Headings.
    pub columns: Vec<&'static str>,
    /// Rows.
    pub rows: Vec<Vec<Cell>>,
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn count(count: usize) -> Cell {
    Cell::Count(u64::try_from(count).unwrap_or(u64::MAX))
}

fn number(number: Option<f64>) -> Cell {
    number.map_or(Cell::None, Cell::Number)
}

fn share(share: Option<f64>) -> Cell {
    share.map_or(Cell::None, Cell::Share)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of years")]
fn hours(ms: i64) -> Cell {
    Cell::Number(ms as f64 / 3_600_000.0)
}

/// All tables of a report. Without data there is one, which says so.
#[must_use]
pub fn sheets(report: &Report, stamp: &Stamp) -> Vec<Sheet> {
    let mut sheets = vec![head(report, stamp)];
    if !report.has_data {
        return sheets;
    }
    sheets.push(summary(report));
    if !report.days.is_empty() {
        sheets.push(days(report, stamp));
    }
    sheets.extend([distribution(report), hourly(report), lists(report)]);
    sheets.extend([online(report), suspicious(report), doubted(report)]);
    sheets
}

fn head(report: &Report, stamp: &Stamp) -> Sheet {
    let period = &report.period;
    let row = |name: &str, value: String| vec![text(name), text(value)];
    let mut rows = vec![
        row("期间 Period", format!("{} {}", period.kind.zh(), period.name)),
        row("从 From", stamp.rfc3339(period.from)),
        row("至 To", stamp.rfc3339(period.to)),
        row("时区 Zone", stamp.zone().to_owned()),
    ];
    if !period.complete {
        rows.push(row("状态 State", "期间未结束，截至上面的时刻  |  not over yet".to_owned()));
    }
    if !report.has_data {
        let why = "没有数据：该期间没有中心运行的记录，不是零报警  |  no data: nobody watched";
        rows.push(row("数据 Data", why.to_owned()));
        return Sheet { title: "报告", columns: vec!["项目 Item", "内容 Value"], rows };
    }
    let Figures { from, to, known_ms, .. } = report.figures;
    let all_ms = to.since(from);
    if known_ms < all_ms {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a year")]
        let dark = percent((all_ms - known_ms) as f64 / all_ms as f64);
        let why = format!(
            "{dark} 的时间中心未运行，情况未知，不计入观察时间  |  unknown: the centre was down"
        );
        rows.push(row("未知 Unknown", why));
    }
    if !report.figures.enough {
        let why = "观察时间不足 30 天，数据不足，各项指标仅供参考  |  under thirty watched days: not enough data";
        rows.push(row("数据 Data", why.to_owned()));
    }
    if report.counts.cut {
        let why = "条数超过上限：计数完整，清单与时间只据前面部分  |  cut: counts are whole, lists are not";
        rows.push(row("截断 Cut", why.to_owned()));
    }
    if report.counts.unread > 0 {
        let why = format!("{} 行台账本版本无法理解  |  rows not understood", report.counts.unread);
        rows.push(row("未读 Unread", why));
    }
    if report.counts.chain_breaks > 0 {
        let why =
            format!("台账断裂 {} 处，请运行 fengsui journal verify", report.counts.chain_breaks);
        rows.push(row("台账 Journal", why));
    }
    Sheet { title: "报告", columns: vec!["项目 Item", "内容 Value"], rows }
}

fn summary(report: &Report) -> Sheet {
    let Figures { load, answering, .. } = &report.figures;
    let figures = &report.figures;
    let row = |name: &str, value: Cell, unit: &str, target: &str| {
        vec![text(name), value, text(unit), text(target)]
    };
    let rows = vec![
        row("报警数 Alarms announced", Cell::Count(report.counts.announced), "次", ""),
        row("每天 Per day", number(load.per_day), "次/天", "~150（≤300，请核实）"),
        row("每小时 Per hour", number(load.per_hour), "次/h", "~6（≤12）"),
        row("每 10 分钟 Per 10 min", number(load.per_ten_minutes), "次", "~1（≤2）"),
        row("多于 10 个的时段 Busy periods", share(load.busy_periods), "", "~<1 %"),
        row("10 分钟内最多 Most in 10 min", count(load.most_in_period), "次", "≤10"),
        row("洪泛时间占比 Time in flood", share(load.flood_share), "", "~<1 %"),
        row("洪泛次数 Floods", count(load.floods), "次", ""),
        row("前十占比 Top ten", share(load.top_share), "", "~1 %–5 %"),
        row("抖动报警 Chattering", count(report.chattering.len()), "个", "0"),
        row(
            "瞬时报警 Fleeting",
            report.fleeting.as_ref().map_or(Cell::None, |list| count(list.len())),
            "个",
            "0（时间由企业设定 report.fleeting_s）",
        ),
        row("长期报警（最多的一天） Stale", count(figures.stale_most), "个", "<5"),
        row("确认时间中位 To acknowledge", number(answering.to_acknowledge_median_s), "s", ""),
        row("确认时间 95 %", number(answering.to_acknowledge_p95_s), "s", ""),
        row("未确认 Not acknowledged", count(answering.not_acknowledged), "次", "0"),
        row("叫应 Calls", Cell::Count(report.counts.calls), "次", ""),
        row("叫应有人应答 Answered", Cell::Count(report.counts.answered), "次", ""),
        row("应答时间中位 To answer", number(answering.to_answer_median_s), "s", ""),
        row("应答时间 95 %", number(answering.to_answer_p95_s), "s", ""),
        row("处置率 Disposal rate", share(answering.disposal_rate), "", ""),
        row("按期完成率 Done in time", share(answering.done_in_time), "", ""),
        row("未完成隐患 Owed", count(report.owed), "件", ""),
        row("逾期隐患 Overdue", count(report.overdue), "件", "0"),
        row("网关在线率 Gateways online", share(figures.online_rate), "已知时间", ""),
        row("未知时间 Unknown", share(figures.online_unknown), "", "0"),
        row("搁置时间 Shelved", Cell::Number(figures.shelved_s / 3_600.0), "报警·h", ""),
        row("盲区时间 Blind", number(figures.blind_s.map(|s| s / 3_600.0)), "点·h", ""),
        row("迟到越限 Late excursions", count(figures.late), "次", ""),
        row("迟到中位 Late by", number(figures.late_median_s), "s", ""),
        row(
            "未授权屏蔽 Unauthorised suppression",
            Cell::Count(figures.unauthorised_suppressions),
            "次",
            "0",
        ),
        row("未授权更改 Unauthorised change", Cell::Count(figures.unauthorised_changes), "次", "0"),
    ];
    Sheet {
        title: "概要",
        columns: vec!["指标 Figure", "值 Value", "单位 Unit", "参考 Target"],
        rows,
    }
}

fn days(report: &Report, stamp: &Stamp) -> Sheet {
    let row = |day: &Figures| {
        vec![
            text(stamp.date(day.from).to_string()),
            count(day.load.announced),
            count(day.load.most_in_period),
            share(day.load.flood_share),
            number(day.answering.to_acknowledge_median_s),
            count(day.answering.not_acknowledged),
            share(day.online_rate),
            share(day.online_unknown),
            number(day.blind_s.map(|s| s / 3_600.0)),
            count(day.late),
        ]
    };
    let rows = report.days.iter().map(|day| {
        // A day that nobody watched has no figures.
        if !has_figures(day) {
            let mut row = vec![text(stamp.date(day.from).to_string())];
            row.resize(10, Cell::None);
            row
        } else {
            row(day)
        }
    });
    Sheet {
        title: "每日",
        columns: vec![
            "日期 Date",
            "报警 Alarms",
            "10 分钟最多 Peak",
            "洪泛 Flood",
            "确认中位 s",
            "未确认 Open",
            "在线率 Online",
            "未知 Unknown",
            "盲区 点·h",
            "迟到 Late",
        ],
        rows: rows.collect(),
    }
}

fn distribution(report: &Report) -> Sheet {
    let counts = &report.counts;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let part = |n: u64| match counts.announced {
        0 => Cell::None,
        all => Cell::Share(n as f64 / all as f64),
    };
    let names = ["P1 紧急", "P2 高", "P3 中", "P4 低"];
    let line = |name: &str, n: u64| vec![text(name), Cell::Count(n), part(n)];
    let mut rows: Vec<_> =
        names.iter().zip(counts.by_priority).map(|(name, n)| line(name, n)).collect();
    if counts.foreign > 0 {
        rows.push(line("已不在配置中 No longer configured", counts.foreign));
    }
    for (installation, n) in &counts.by_installation {
        let name = if installation.is_empty() { "（已不在配置中）" } else { installation };
        rows.push(line(name, *n));
    }
    Sheet {
        title: "分布", columns: vec!["优先级、装置 Of", "报警 Alarms", "占比 Share"], rows
    }
}

fn hourly(report: &Report) -> Sheet {
    let row = |(hour, n): (usize, &Option<u64>)| {
        vec![text(format!("{hour:02}:00")), n.map_or(Cell::None, Cell::Count)]
    };
    let rows = report.by_hour.iter().enumerate().map(row).collect();
    Sheet { title: "各小时", columns: vec!["时刻 Hour", "报警 Alarms"], rows }
}

fn lists(report: &Report) -> Sheet {
    let mut rows = Vec::new();
    let mut add = |list: &str, named: &[Named]| {
        rows.extend(named.iter().take(LISTED_MAX).map(|named| {
            vec![text(list), text(&named.key), text(&named.name), count(named.count)]
        }));
    };
    add("前十 Top ten", &report.top);
    add("抖动 Chattering", &report.chattering);
    add("瞬时 Fleeting", report.fleeting.as_deref().unwrap_or_default());
    add("期末仍超 24 h Stale", &report.stale);
    let columns = vec!["清单 List", "报警 Alarm", "名称 Name", "次数 Count"];
    Sheet { title: "清单", columns, rows }
}

fn online(report: &Report) -> Sheet {
    let mut points = 0;
    let shown = report.online.iter().filter(|line| {
        points += usize::from(line.of == Of::Point);
        line.of != Of::Point || points <= POINTS_MAX
    });
    let rows = shown.map(|line| {
        let Online { gateway_offline, stale, bad, unknown, .. } = line.online;
        vec![
            text(line.of.zh()),
            text(&line.name),
            text(&line.within),
            count(line.points),
            share(line.online.rate()),
            hours(gateway_offline),
            hours(stale),
            hours(bad),
            hours(unknown),
            line.now.map_or(Cell::None, |now| text(now.zh())),
        ]
    });
    Sheet {
        title: "在线率",
        columns: vec![
            "级别 Level",
            "名称 Name",
            "属于 Within",
            "点数 Points",
            "在线率 Online",
            "网关离线 h",
            "失效 h",
            "坏质量 h",
            "未知 h",
            "期末 At the end",
        ],
        rows: rows.collect(),
    }
}

fn suspicious(report: &Report) -> Sheet {
    let found = &report.suspicious;
    let line = |of: &str, ranked: &fengsui_alerting::kpi::Ranked| {
        let worst = ranked.points.iter().take(3).map(|(tag, _)| tag.as_str());
        let worst = worst.collect::<Vec<_>>().join("、");
        vec![
            text(of),
            text(&ranked.name),
            number(ranked.index),
            count(ranked.points.len()),
            text(worst),
        ]
    };
    let mut rows: Vec<_> = found.enterprises.iter().map(|ranked| line("企业", ranked)).collect();
    rows.extend(found.gateways.iter().map(|ranked| line("网关", ranked)));
    rows.push(vec![
        text("点位"),
        text("只测无限值 measured without a limit"),
        Cell::None,
        count(found.without_limit),
        text("不计入指数 not in the index"),
    ]);
    Sheet {
        title: "绿得可疑",
        columns: vec![
            "级别 Level",
            "名称 Name",
            "指数 0–100 Index",
            "可疑点数 Points",
            "最可疑 Worst",
        ],
        rows,
    }
}

fn doubted(report: &Report) -> Sheet {
    let row = |point: &super::Doubted| {
        let reasons =
            point.reasons.iter().map(|(zh, _, share)| format!("{zh} {}", percent(*share)));
        vec![
            text(&point.tag),
            text(&point.name),
            text(&point.gateway),
            text(&point.installation),
            Cell::Share(point.suspicion),
            text(reasons.collect::<Vec<_>>().join("；")),
        ]
    };
    let rows = report.suspicious.points.iter().take(POINTS_MAX).map(row).collect();
    let columns = vec![
        "点位 Point",
        "名称 Name",
        "网关 Gateway",
        "装置 Installation",
        "疑点 Doubt",
        "原因 Why",
    ];
    Sheet { title: "可疑点位", columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_all_is_never_shown_as_all() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.999_999), "> 99.99 %");
        assert_eq!(percent(0.000_001), "< 0.01 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.1234), "12.34 %");
        assert_eq!(Cell::None.text(), "-");
        assert_eq!(Cell::Number(-2.5).text(), "-2.5");
    }
}
