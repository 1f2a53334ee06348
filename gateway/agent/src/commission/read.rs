//! `read`: every point once, with its registers and its quality in words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use fengsui_scan::Site;
use fengsui_telemetry::{Fault, Point, Reading};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::round::{Heard, Seen, line_name, rounds};
use super::{Said, show, words};
use crate::bus::source;
use crate::check::{faults_text, site_of};
use crate::clock::Clock;

/// Tags that are named to somebody who mistyped one.
const NEAR_MAX: usize = 5;

/// What to read.
#[derive(Args, Debug)]
pub struct ReadArgs {
    /// 网关或站点配置文件 | The gateway's file or the site file
    #[arg(long, value_name = "FILE", env = "FENGSUI_GATEWAY_CONFIG")]
    config: PathBuf,
    /// 只读这些位号；不写则全部 | Only these tags; all where none is named
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
    /// 输出 JSON | Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads every point once.
pub async fn read(args: ReadArgs) -> Said {
    let (site, wanted) = match choose(&args.config, &args.tags) {
        Ok(chosen) => chosen,
        Err(said) => return said,
    };
    let clock = Clock::start();
    let mut tasks = JoinSet::new();
    for round in rounds(&site, &wanted, clock) {
        tasks.spawn(round.once(clock));
    }
    let mut heard = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(more) => heard.extend(more),
            Err(fault) => return Said::fault(super::PROBLEMS, format!("{fault}\n")),
        }
    }
    let rows = rows_of(&site, &wanted, &heard);
    let bad = rows.iter().filter(|row| row.seen.reading.is_bad()).count();
    let code = if !heard.iter().any(|one| one.answered) {
        super::UNREACHABLE
    } else if bad > 0 {
        super::PROBLEMS
    } else {
        super::FINE
    };
    let out = if args.json {
        as_json(&args.config, &site, &rows, &heard)
    } else {
        as_text(&site, &rows, &heard)
    };
    Said { out, err: String::new(), code }
}

/// Loads the site and finds the named tags in it.
pub(super) fn choose(config: &Path, tags: &[String]) -> Result<(Site, BTreeSet<u32>), Said> {
    let site =
        site_of(config).map_err(|faults| Said::fault(super::REFUSED, faults_text(&faults)))?;
    let mut wanted = BTreeSet::new();
    let mut unknown = String::new();
    for tag in tags {
        let place = site.catalogue.points.iter().position(|point| point.tag.as_str() == tag);
        match place.and_then(|place| u32::try_from(place).ok()) {
            Some(place) => drop(wanted.insert(place)),
            None => {
                unknown += &format!("{tag}：点表中没有 | not in the sheet{}\n", near(&site, tag))
            }
        }
    }
    if unknown.is_empty() { Ok((site, wanted)) } else { Err(Said::fault(super::USAGE, unknown)) }
}

fn near(site: &Site, tag: &str) -> String {
    let tag = tag.to_lowercase();
    let alike = |point: &&Point| {
        let known = point.tag.as_str().to_lowercase();
        known.contains(&tag) || tag.contains(&known)
    };
    let tags = site.catalogue.points.iter().filter(alike).take(NEAR_MAX);
    let tags: Vec<&str> = tags.map(|point| point.tag.as_str()).collect();
    if tags.is_empty() { String::new() } else { format!("；相近 near: {}", tags.join(", ")) }
}

/// A point and what became of it.
struct Row<'a> {
    point: &'a Point,
    device: usize,
    seen: Seen,
    rtt_ms: Option<f64>,
}

/// In the order of the sheet. The last word about a point counts.
fn rows_of<'a>(site: &'a Site, wanted: &BTreeSet<u32>, heard: &[Heard]) -> Vec<Row<'a>> {
    let mut last = BTreeMap::new();
    for one in heard {
        let rtt = one.answered.then(|| show::ms(one.rtt));
        for seen in &one.points {
            last.insert(seen.point, (seen.clone(), rtt));
        }
    }
    let missing = |point| {
        let reading = Reading::Bad(Fault::Missing);
        (Seen { point, raw: Vec::new(), reading }, None)
    };
    (0..)
        .zip(site.catalogue.points.iter().zip(&site.mappings))
        .filter(|(index, _)| wanted.is_empty() || wanted.contains(index))
        .map(|(index, (point, mapping))| {
            let (seen, rtt_ms) = last.remove(&index).unwrap_or_else(|| missing(index));
            Row { point, device: mapping.device, seen, rtt_ms }
        })
        .collect()
}

/// The fields of a reading, for every JSON that shows one.
pub(super) fn reading_json(point: &Point, seen: &Seen, rtt_ms: Option<f64>) -> Value {
    let why = words::why(seen.reading);
    let text =
        if why.en.is_empty() { Value::Null } else { format!("{} | {}", why.zh, why.en).into() };
    json!({
        "tag": point.tag.as_str(),
        "raw": show::hex(&seen.raw),
        "value": seen.reading.value(),
        "unit": point.unit,
        "quality": words::class(seen.reading),
        "reason": seen.reading.word(),
        "words": text,
        "rtt_ms": rtt_ms,
    })
}

fn count(rows: &[Row<'_>], class: &str) -> usize {
    rows.iter().filter(|row| words::class(row.seen.reading) == class).count()
}

fn as_json(config: &Path, site: &Site, rows: &[Row<'_>], heard: &[Heard]) -> String {
    let points: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut one = reading_json(row.point, &row.seen, row.rtt_ms);
            let name = site.devices.get(row.device).map(|device| device.name.clone());
            if let Some(one) = one.as_object_mut() {
                one.insert("device".to_owned(), name.into());
            }
            one
        })
        .collect();
    let devices: Vec<Value> = devices(site, heard)
        .into_iter()
        .map(|(device, said)| {
            json!({
                "name": device.name, "line": line_name(site, device), "unit": device.unit,
                "answers": said.answers, "requests": said.requests,
                "fault": said.fault.map(Fault::word), "line_fault": said.refusal,
                "clock_off_ms": said.clock_off.map(|(off_ms, _)| off_ms),
            })
        })
        .collect();
    let all = json!({
        "file": config.display().to_string(),
        "points": points,
        "devices": devices,
        "good": count(rows, "good"),
        "uncertain": count(rows, "uncertain"),
        "bad": count(rows, "bad"),
    });
    format!("{all:#}\n")
}

#[derive(Default)]
struct DeviceSaid {
    requests: usize,
    answers: usize,
    fault: Option<Fault>,
    /// Why the line does not open, or cannot be asked over.
    refusal: Option<String>,
    /// Where its own clock is off: how far ahead, and what to do.
    clock_off: Option<(i64, String)>,
}

/// The devices that were asked, in the order of the site.
fn devices<'a>(site: &'a Site, heard: &[Heard]) -> Vec<(&'a fengsui_scan::Device, DeviceSaid)> {
    let mut said: BTreeMap<usize, DeviceSaid> = BTreeMap::new();
    for one in heard {
        let entry = said.entry(one.device).or_default();
        entry.requests += 1;
        entry.answers += usize::from(one.answered);
        entry.fault = one.fault;
        if one.refusal.is_some() {
            entry.refusal.clone_from(&one.refusal);
        }
        entry.clock_off = source::off(one.source).or(entry.clock_off.take());
    }
    said.into_iter().filter_map(|(index, said)| Some((site.devices.get(index)?, said))).collect()
}

fn as_text(site: &Site, rows: &[Row<'_>], heard: &[Heard]) -> String {
    let mut table = show::table(&[
        "位号\ntag",
        "原始寄存器\nraw",
        "值\nvalue",
        "单位\nunit",
        "质量\nquality",
        "往返\nms",
    ]);
    for row in rows {
        table.add_row(cells(row.point, &row.seen, row.rtt_ms));
    }
    let mut out = format!("{table}\n");
    let refusals: BTreeMap<usize, &str> =
        heard.iter().filter_map(|one| Some((one.device, one.refusal.as_deref()?))).collect();
    // What is known of the line is better than what is usual.
    let unexplained = rows.iter().filter(|row| !refusals.contains_key(&row.device));
    out += &mends(unexplained.map(|row| row.seen.reading));
    for refusal in refusals.values().collect::<BTreeSet<_>>() {
        out += &format!("▸ {refusal}\n");
    }
    for (device, said) in devices(site, heard) {
        let (line, unit) = (line_name(site, device), device.unit);
        let DeviceSaid { requests, answers, .. } = said;
        out += &format!(
            "{}（{line}，从机 unit {unit}）：读 {requests} 次，应答 {answers} 次 | {answers} of \
             {requests} requests answered\n",
            device.name
        );
        let timed_out = |row: &&Row<'_>| row.seen.reading == Reading::Bad(Fault::Timeout);
        let of_device = |row: &&Row<'_>| site.devices.get(row.device) == Some(device);
        if answers > 0 && rows.iter().filter(of_device).any(|row| timed_out(&row)) {
            out += &format!("▸ {}：{}\n", device.name, words::SOME);
        }
        if let Some((_, told)) = said.clock_off {
            out += &format!("▸ {}：{told}\n", device.name);
        }
    }
    let [good, uncertain, bad] = ["good", "uncertain", "bad"].map(|class| count(rows, class));
    out += &format!(
        "{} 个测点：好 {good}，存疑 {uncertain}，坏 {bad} | {good} good, {uncertain} uncertain, {bad} bad\n",
        rows.len()
    );
    out
}

/// Tag, registers, value, unit, quality, round trip.
pub(super) fn cells(point: &Point, seen: &Seen, rtt_ms: Option<f64>) -> Vec<String> {
    let dash = || "–".to_owned();
    let raw = if seen.raw.is_empty() { dash() } else { show::hex(&seen.raw).join(" ") };
    let quality = format!("{} {}", words::class_zh(seen.reading), words::why(seen.reading).zh);
    vec![
        point.tag.to_string(),
        raw,
        seen.reading.value().map_or_else(dash, show::number),
        point.unit.clone(),
        quality.trim().to_owned(),
        rtt_ms.map_or_else(dash, |ms| ms.to_string()),
    ]
}

/// What to look at, once for each reason.
fn mends(readings: impl Iterator<Item = Reading>) -> String {
    let mut seen = BTreeMap::new();
    for reading in readings {
        let why = words::why(reading);
        if let Some(mend) = why.mend {
            seen.insert(why.zh, (why.en, mend));
        }
    }
    seen.into_iter()
        .map(|(zh, (en, (mend_zh, mend_en)))| format!("▸ {zh}：{mend_zh}\n  {en}: {mend_en}\n"))
        .collect()
}
