//! What the centre holds, read the way anybody can read it: values over the trend endpoint,
//! occurrences out of the journal.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::clock;
use crate::http::Api;
use crate::peers::{Span, time_ms};
use crate::scene::Scene;

/// A span that the trend endpoint answers sample by sample at one sample a minute.
const RAW_SPAN_MS: i64 = 3_000 * 60_000;
/// Slack behind now, for clocks.
const AHEAD_MS: i64 = 60_000;

/// One stored sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Source time.
    pub te: i64,
    /// The number, if there is one.
    pub value: Option<f64>,
    /// `good`, or why not.
    pub quality: String,
}

/// First and last source time of a series file.
///
/// # Errors
/// The file is not as expected.
pub fn bounds(series: &Path) -> anyhow::Result<(i64, i64)> {
    let text = std::fs::read_to_string(series)?;
    let time = |line: &str| time_ms(line.split(',').next().unwrap_or_default());
    let first = text.lines().nth(1).context("a first row")?;
    let last = text.lines().next_back().context("a last row")?;
    Ok((time(first)?, time(last)?))
}

/// The numbers of all points of the centre, by tag.
///
/// # Errors
/// The centre does not answer.
pub async fn points(api: &Api) -> anyhow::Result<BTreeMap<String, u64>> {
    let all = api.json("/api/v1/points").await?;
    let mut points = BTreeMap::new();
    for point in all.as_array().context("a list of points")? {
        let tag = point.get("tag").and_then(Value::as_str).context("tag")?;
        let number = point.get("point").and_then(Value::as_u64).context("point")?;
        points.insert(tag.to_owned(), number);
    }
    Ok(points)
}

/// The stored samples of one point in a span, both ends included.
///
/// # Errors
/// The centre does not answer, or gives an envelope instead of samples.
pub async fn samples(api: &Api, point: u64, from: i64, to: i64) -> anyhow::Result<Vec<Stored>> {
    let path = format!("/api/v1/points/{point}/trend?from={from}&to={}&buckets=1", to + 1);
    let answer = api.json(&path).await?;
    ensure!(
        answer.get("raw").and_then(Value::as_bool) == Some(true),
        "point {point} has more than 4,000 samples from {from} to {to}"
    );
    let list = answer.get("samples").and_then(Value::as_array).context("samples")?;
    list.iter().map(stored).collect()
}

fn stored(sample: &Value) -> anyhow::Result<Stored> {
    let Some([te, value, quality]) = sample.as_array().map(Vec::as_slice) else {
        bail!("a sample has three parts, not {sample}");
    };
    Ok(Stored {
        te: te.as_i64().context("te")?,
        value: value.as_f64(),
        quality: quality.as_str().context("quality")?.to_owned(),
    })
}

/// Writes everything that the centre holds of the series' points, as `compare.py` reads it. Gives
/// the file and the number of samples with a time of the series.
///
/// # Errors
/// The centre does not answer.
pub async fn dump(scene: &Scene, api: &Api, series: &Path) -> anyhow::Result<(PathBuf, u64)> {
    let (first, last) = bounds(series)?;
    let path = scene.path().join("dump.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    let mut spans = vec![(0, first - 1)];
    let mut from = first;
    while from <= last {
        spans.push((from, (from + RAW_SPAN_MS - 1).min(last)));
        from += RAW_SPAN_MS;
    }
    spans.push((last + 1, clock::wall_ms() + AHEAD_MS));
    let mut inside = 0;
    for (tag, point) in points(api).await? {
        for (from, to) in &spans {
            for one in samples(api, point, *from, *to).await? {
                inside += u64::from(first <= one.te && one.te <= last);
                let (te, value, quality) = (one.te, one.value, one.quality);
                writeln!(
                    file,
                    "{}",
                    json!({"tag": tag, "te": te, "value": value, "quality": quality})
                )?;
            }
        }
    }
    file.flush()?;
    Ok((path, inside))
}

/// The confirmed occurrences of every alarm, as the rows of the journal tell them.
///
/// # Errors
/// A row is not as the API promises.
pub fn occurrences(journal: &[Value]) -> anyhow::Result<BTreeMap<String, Vec<Span>>> {
    let mut by_number: BTreeMap<(String, u64), Span> = BTreeMap::new();
    for row in journal {
        let text = |key: &str| {
            row.get(key).and_then(Value::as_str).with_context(|| format!("{key}: {row}"))
        };
        let number = row.get("occurrence").and_then(Value::as_u64).context("occurrence")?;
        let key = (text("alarm")?.to_owned(), number);
        let ms = |key: &str| row.get(key).and_then(Value::as_i64);
        match text("cause")? {
            cause @ ("on" | "off" | "revised") => {
                let on = ms("te_on_ms").with_context(|| format!("te_on_ms: {row}"))?;
                let before = by_number.insert(key, (on, ms("te_off_ms")));
                let begins = cause == "on";
                ensure!(before.is_none() == begins, "begins twice, or goes on unbegun: {row}");
            }
            "refuted" => {
                by_number.remove(&key);
            }
            _ => {}
        }
    }
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for ((alarm, _), span) in by_number {
        spans.entry(alarm).or_default().push(span);
    }
    spans.values_mut().for_each(|spans| spans.sort_unstable());
    Ok(spans)
}

/// The occurrences that the trend of one point shows, by kind.
///
/// # Errors
/// The centre does not answer.
pub async fn shown(
    api: &Api,
    point: u64,
    from: i64,
    to: i64,
) -> anyhow::Result<BTreeMap<String, Vec<Span>>> {
    let path = format!("/api/v1/points/{point}/trend?from={from}&to={}&buckets=1", to + 1);
    let answer = api.json(&path).await?;
    let mut by_kind: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for alarm in answer.get("alarms").and_then(Value::as_array).context("alarms")? {
        let text = |key: &str| alarm.get(key).and_then(Value::as_str);
        let on = time_ms(text("te_on").context("te_on")?)?;
        let off = text("te_off").map(time_ms).transpose()?;
        by_kind.entry(text("kind").context("kind")?.to_owned()).or_default().push((on, off));
    }
    by_kind.values_mut().for_each(|spans| spans.sort_unstable());
    Ok(by_kind)
}
