//! The figures, their goals, and how they are shown.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// What a figure is and what it should be. The goals are those of the design.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) name: &'static str,
    pub(crate) zh: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goal: f64,
    pub(crate) better: Better,
}

macro_rules! aims {
    ($($id:ident = $zh:literal, $unit:literal, $goal:literal, $better:ident;)+) => {
        $(pub(crate) const $id: Aim = Aim {
            name: stringify!($id), zh: $zh, unit: $unit, goal: $goal, better: Better::$better,
        };)+
    };
}

/// Named as in the summary.
#[expect(non_upper_case_globals, reason = "the names of the summary")]
pub(crate) mod aims {
    use super::{Aim, Better};
    aims! {
        ingest_samples_per_cpu_second = "每核接入（解码、判警、落盘）", "samples/s", 400_000.0, Higher;
        ingest_samples_per_cpu_second_mqtt = "每核接入，含 MQTT 收发两端", "samples/s", 150_000.0, Higher;
        store_samples_per_cpu_second = "每核存储（单独）", "samples/s", 1_000_000.0, Higher;
        limit_evaluations_per_cpu_second = "每核限值判断（单独）", "evaluations/s", 4_000_000.0, Higher;
        engine_load_cpu_s_100000_points = "载入 100000 点各四个限值", "s", 3.0, Lower;
        engine_memory_mb_100000_points = "上述限值所占内存", "MB", 200.0, Lower;
        backtest_90_days_s = "回放一点 90 天（每秒一个样本）", "s", 3.0, Lower;
        latency_change_to_sse_p50_ms = "变化到界面事件，中位", "ms", 10.0, Lower;
        latency_change_to_sse_p99_ms = "变化到界面事件，99%", "ms", 40.0, Lower;
        latency_change_to_sse_p999_ms = "变化到界面事件，99.9%", "ms", 120.0, Lower;
        wire_bytes_per_sample = "每样本线路字节，含全部开销", "bytes", 8.0, Lower;
        gateway_rss_mb_1000_points = "网关常驻内存，1000 点", "MB", 12.0, Lower;
        gateway_rss_mb_30000_points = "网关常驻内存，30000 点", "MB", 30.0, Lower;
        backlog_drain_times_real_time = "补传速度，实时的倍数", "x", 20.0, Higher;
        backlog_live_p99_times_alone = "补传时实时数据时延，99%，与平时之比", "x", 2.0, Lower;
        gateway_cpu_percent_15000_points_s = "网关处理器，每秒 15000 点", "%", 10.0, Lower;
        line_scan_p99_ratio_3_of_32_dead = "32 站失联 3 站，其余扫描周期 99% 与全好之比，满载", "ratio", 1.2, Lower;
        line_scan_p99_ratio_3_of_32_dead_1_s = "同上，每秒一轮", "ratio", 1.2, Lower;
        line_efficiency_percent = "整块读取的总线效率，对时间公式", "%", 95.0, Higher;
    }
}

/// One measured figure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) aim: Aim,
    pub(crate) value: f64,
    pub(crate) peer: Option<(String, f64)>,
    /// What it consists of.
    pub(crate) detail: Option<String>,
}

impl Figure {
    pub(crate) fn new(aim: Aim, value: f64) -> Self {
        Self { aim, value, peer: None, detail: None }
    }

    /// The goal is reached.
    fn is_met(&self) -> bool {
        match self.aim.better {
            Better::Higher => self.value >= self.aim.goal,
            Better::Lower => self.value <= self.aim.goal,
        }
    }
}

#[derive(Serialize)]
struct Entry {
    value: f64,
    unit: &'static str,
    goal: f64,
    better: Better,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Writes the summary: one object of named figures.
pub(crate) fn write(figures: &[Figure], path: &Path) -> anyhow::Result<()> {
    let entries: BTreeMap<&str, Entry> = figures
        .iter()
        .map(|figure| {
            let (peer, peer_value) = figure.peer.clone().unzip();
            let entry = Entry {
                value: rounded(figure.value),
                unit: figure.aim.unit,
                goal: figure.aim.goal,
                better: figure.aim.better,
                peer,
                peer_value: peer_value.map(rounded),
                detail: figure.detail.clone(),
            };
            (figure.aim.name, entry)
        })
        .collect();
    let text = serde_json::to_string_pretty(&entries)?;
    std::fs::write(path, text + "\n").with_context(|| path.display().to_string())
}

/// A table for people.
pub(crate) fn table(figures: &[Figure]) -> String {
    let heading = [
        "指标",
        "figure",
        "实测 value",
        "目标 goal",
        "单位 unit",
        "结果 result",
        "对照或其中 peer, or of which",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    for figure in figures {
        let sign = match figure.aim.better {
            Better::Higher => "≥",
            Better::Lower => "≤",
        };
        let result = if figure.is_met() { "达到 met" } else { "未达到 MISSED" };
        let peer = figure.peer.as_ref();
        rows.push([
            figure.aim.zh.to_owned(),
            figure.aim.name.to_owned(),
            people(figure.value),
            format!("{sign} {}", people(figure.aim.goal)),
            figure.aim.unit.to_owned(),
            result.to_owned(),
            peer.map(|(name, value)| format!("{} {name}", people(*value)))
                .or(figure.detail.clone())
                .unwrap_or_default(),
        ]);
    }
    let mut widths = [0; 7];
    for row in &rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = width(cell).max(*most);
        }
    }
    let line = |row: &[String; 7]| -> String {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide - width(cell))));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Columns on a screen: Chinese letters take two.
fn width(text: &str) -> usize {
    text.chars().map(|letter| if letter >= '\u{2e80}' { 2 } else { 1 }).sum()
}

/// Three digits that mean something, or whole numbers with separators.
pub(crate) fn people(value: f64) -> String {
    if value.abs() < 1_000.0 {
        return rounded(value).to_string();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rounded(value: f64) -> f64 {
    if value.abs() < 1_000.0 { (value * 100.0).round() / 100.0 } else { value.round() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_goal_says_so_and_numbers_are_readable() {
        let met = Figure::new(aims::wire_bytes_per_sample, 7.999);
        let missed = Figure::new(aims::gateway_rss_mb_1000_points, 12.5);
        let text = table(&[met, missed]);
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("wire_bytes").contains("达到 met"));
        assert!(line("gateway_rss").contains("未达到 MISSED"));
        assert_eq!(people(1_234_567.8), "1,234,568");
        assert_eq!(people(12.345), "12.35");
    }

    #[test]
    fn the_summary_has_the_agreed_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        let mut figure = Figure::new(aims::ingest_samples_per_cpu_second, 410_000.4);
        figure.peer = Some(("x".into(), 1.0));
        write(&[figure], &path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let entry = &json["ingest_samples_per_cpu_second"];
        assert_eq!(entry["value"], 410_000.0);
        assert_eq!(entry["better"], "higher");
        assert_eq!(entry["peer"], "x");
        assert_eq!(entry["goal"], 400_000.0);
    }
}
