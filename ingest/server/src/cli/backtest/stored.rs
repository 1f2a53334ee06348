//! Stored history of one point as a series, a page at a time.
//!
//! - Beside a centre that runs: what was durable when the reading began.

use std::path::{Path, PathBuf};

use fengsui_store::{ConfigDb, Sample, SeriesStore, StoreError};
use fengsui_telemetry::{Reading, TimeMs};

use super::when::Zone;
use super::{Args, Refusal, Source};
use crate::config::Config;

/// Samples of one read: 24 bytes each.
const PAGE: usize = 100_000;

pub(super) fn read(args: &Args) -> Result<Source, Refusal> {
    let zone = Zone::of(args.zone.as_deref())?;
    let data = folder(args)?;
    let tag = args.point.as_deref().unwrap_or_default();
    let time = |flag: &str, text: Option<&str>| -> Result<Option<TimeMs>, Refusal> {
        text.map(|text| {
            zone.read(text).ok_or_else(|| {
                Refusal::usage(format!("{flag} {text:?}: 不是时间 / is no time; write 2026-08-01"))
            })
        })
        .transpose()
    };
    let from = time("--from", args.from.as_deref())?.unwrap_or(TimeMs::MIN);
    let to = time("--to", args.to.as_deref())?.unwrap_or(TimeMs::MAX);
    if from >= to {
        return Err(Refusal::usage("--from 必须早于 --to / must be before --to"));
    }
    let point = number_of(&data, tag, args.gateway.as_deref())?;
    let store =
        SeriesStore::open_beside(&data).map_err(|fault| Refusal::problem(fault.to_string()))?;
    let newest = store.latest(point).map(|sample| sample.te);
    let to = newest.map_or(to, |newest| to.min(newest + 1));
    Ok(Source {
        samples: Box::new(Watched::new(walk(store, point, from, to), to)),
        skipped: Vec::new(),
        zone,
    })
}

fn folder(args: &Args) -> Result<PathBuf, Refusal> {
    let data = match (&args.data, &args.config) {
        (Some(data), _) => data.clone(),
        (None, Some(path)) => Config::load(path).map(|config| config.data).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Refusal::usage(faults.join("; "))
        })?,
        (None, None) => return Err(Refusal::usage("--data or --config")),
    };
    for file in ["config.db", "ts/hot.db"] {
        if !data.join(file).is_file() {
            return Err(Refusal::usage(format!(
                "{}: 没有 {file}，不是中心的数据目录 / is no data folder of a centre",
                data.display()
            )));
        }
    }
    Ok(data)
}

fn number_of(data: &Path, tag: &str, gateway: Option<&str>) -> Result<u32, Refusal> {
    let problem = |fault: StoreError| Refusal::problem(fault.to_string());
    let points = ConfigDb::open(&data.join("config.db")).map_err(problem)?;
    let points = points.points().map_err(problem)?;
    let wanted = |gateway_of: &str| gateway.is_none_or(|wanted| wanted == gateway_of);
    let found: Vec<_> = points.iter().filter(|(_, of, name)| name == tag && wanted(of)).collect();
    match found.as_slice() {
        [(number, ..)] => Ok(*number),
        [] => {
            let near: Vec<&str> = crate::cli::near::near(tag, points.iter().map(|p| p.2.as_str()));
            let hint = if near.is_empty() {
                String::from("全部位号见 / all tags: GET /api/v1/points")
            } else {
                format!("相近 near: {}", near.join(", "))
            };
            Err(Refusal::usage(format!("--point {tag:?}: 没有此位号 / no such tag; {hint}")))
        }
        several => {
            let gateways: Vec<&str> = several.iter().map(|(_, of, _)| of.as_str()).collect();
            Err(Refusal::usage(format!(
                "--point {tag:?}: 多个网关都有，请加 --gateway / add --gateway: {}",
                gateways.join(", ")
            )))
        }
    }
}

/// The samples of a point in order, a page at a time.
pub(super) fn walk(
    store: SeriesStore,
    point: u32,
    from: TimeMs,
    to: TimeMs,
) -> impl Iterator<Item = Result<(TimeMs, Reading), Refusal>> {
    let mut page: std::vec::IntoIter<Sample> = Vec::new().into_iter();
    let mut next = Some(from);
    std::iter::from_fn(move || {
        loop {
            if let Some(sample) = page.next() {
                return Some(Ok((sample.te, sample.reading)));
            }
            match store.range(point, next?, to, PAGE) {
                Ok(samples) => {
                    next = samples.last().map(|last| last.te + 1);
                    page = samples.into_iter();
                }
                Err(fault) => {
                    next = None;
                    return Some(Err(Refusal::problem(fault.to_string())));
                }
            }
        }
    })
}

/// Shows how far the samples have come.
struct Watched<I> {
    inner: I,
    bar: Option<(indicatif::ProgressBar, TimeMs)>,
    to: TimeMs,
    seen: u32,
}

impl<I> Watched<I> {
    fn new(inner: I, to: TimeMs) -> Self {
        Self { inner, bar: None, to, seen: 0 }
    }
}

impl<I: Iterator<Item = Result<(TimeMs, Reading), Refusal>>> Iterator for Watched<I> {
    type Item = Result<(TimeMs, Reading), Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.inner.next();
        self.seen = self.seen.wrapping_add(1);
        match &next {
            Some(Ok((te, _))) if self.seen % 65_536 == 1 => {
                let to = self.to;
                let whole = |from: TimeMs| u64::try_from(to.since(from)).unwrap_or(0);
                let (bar, begin) = self
                    .bar
                    .get_or_insert_with(|| (super::progress(whole(*te), "回放 replaying"), *te));
                bar.set_position(u64::try_from(te.since(*begin)).unwrap_or(0));
            }
            Some(_) => {}
            None => {
                if let Some((bar, _)) = &self.bar {
                    bar.finish_and_clear();
                }
            }
        }
        next
    }
}
