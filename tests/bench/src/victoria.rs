//! VictoriaMetrics as the peer: the same samples as line protocol over HTTP on loopback.
//!
//! - It only stores: no alarm is judged, and its answer comes before anything is on disk. What is
//!   written is read back and counted, since it answers 204 to lines that it does not take.
//! - Bodies of 10,000 lines, as large as our group commits.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fengsui_telemetry::Reading;

use crate::ingest::{GATEWAYS, POINTS, gateways};
use crate::load::tag;
use crate::process::{Program, cpu_of, free_port, installed};
use crate::{clock, note};

/// Seconds of the plant that are written.
const SECONDS: u32 = 1_800;
/// Seconds in one body.
const BODY_SECONDS: u32 = 5;
const READY: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(100);

/// What a sample becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The number; a bad sample is left out.
    Value,
    /// The number and the quality beside it; a bad sample has a quality only.
    ValueAndQuality,
}

/// Samples a CPU second of its process; none where it is not installed.
pub(crate) async fn measure(folder: &Path, form: Form) -> anyhow::Result<Option<f64>> {
    let Some(binary) = installed(&["victoria-metrics", "victoria-metrics-prod"]) else {
        note("  victoria-metrics is not installed: no peer");
        return Ok(None);
    };
    let port = free_port()?;
    let base = format!("http://127.0.0.1:{port}");
    let args = [
        format!("-storageDataPath={}", folder.join("data").display()),
        format!("-httpListenAddr=127.0.0.1:{port}"),
        "-retentionPeriod=10y".to_owned(),
        "-search.latencyOffset=0s".to_owned(),
    ];
    let log = folder.join("victoria.log");
    let mut peer = Program::start(&binary, &args, &[], &log)?;
    let client = reqwest::Client::new();
    ready(&client, &base, &mut peer, &log).await?;
    let begin = clock::now() - i64::from(SECONDS) * 1_000;
    let (cpu, wall) = (cpu_of(peer.id())?, clock::monotonic());
    let (mut values, mut qualities) = (0_u64, 0_u64);
    let mut gateways = gateways();
    for second in (0..SECONDS).step_by(usize::try_from(BODY_SECONDS)?) {
        let mut body = String::new();
        for second in second..second + BODY_SECONDS {
            let te = begin + i64::from(second) * 1_000;
            for gateway in &mut gateways {
                for (point, reading) in gateway.second() {
                    let (value, quality) =
                        line(&mut body, gateway.id.as_str(), point, reading, form, te.0)?;
                    values += u64::from(value);
                    qualities += u64::from(quality);
                }
            }
        }
        let url = format!("{base}/write?precision=ms");
        client.post(url).body(body).send().await?.error_for_status()?;
    }
    client.get(format!("{base}/internal/force_flush")).send().await?.error_for_status()?;
    let cpu = cpu_of(peer.id())? - cpu;
    let wall = wall.elapsed().as_secs_f64();
    let stored = count(&client, &base, "s_value").await?;
    ensure!(stored == values, "{stored} of {values} values are stored");
    if qualities > 0 {
        let stored = count(&client, &base, "s_quality").await?;
        ensure!(stored == qualities, "{stored} of {qualities} qualities are stored");
    }
    let samples = f64::from(SECONDS * GATEWAYS * POINTS);
    note(&format!(
        "  {form:?}: {samples} samples, {cpu:.2} CPU s, {wall:.2} s, {values} values read back"
    ));
    Ok(Some(samples / cpu))
}

async fn ready(
    client: &reqwest::Client,
    base: &str,
    peer: &mut Program,
    log: &Path,
) -> anyhow::Result<()> {
    let until = clock::monotonic() + READY;
    while clock::monotonic() < until {
        peer.check(log)?;
        let answer = client.get(format!("{base}/health")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(STEP).await;
    }
    bail!("victoria-metrics does not answer")
}

/// Writes one line; whether it carries a value, and a quality.
fn line(
    body: &mut String,
    gateway: &str,
    point: u32,
    reading: Reading,
    form: Form,
    te: i64,
) -> anyhow::Result<(bool, bool)> {
    let fields = match (form, reading.value()) {
        (Form::Value, Some(value)) => format!("value={value}"),
        (Form::Value, None) => return Ok((false, false)),
        (Form::ValueAndQuality, Some(value)) => format!("value={value},quality={}", reading.code()),
        (Form::ValueAndQuality, None) => format!("quality={}", reading.code()),
    };
    writeln!(body, "s,gw={gateway},tag={} {fields} {te}", tag(point))?;
    Ok((reading.value().is_some(), form == Form::ValueAndQuality))
}

async fn count(client: &reqwest::Client, base: &str, metric: &str) -> anyhow::Result<u64> {
    let at = clock::now().0 / 1_000 + 10;
    let query =
        format!("sum(count_over_time({metric}[2h]))").replace('(', "%28").replace(')', "%29");
    let query = query.replace('[', "%5B").replace(']', "%5D");
    let url = format!("{base}/api/v1/query?query={query}&time={at}");
    let text = client.get(url).send().await?.error_for_status()?.text().await?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let number = json.pointer("/data/result/0/value/1").and_then(serde_json::Value::as_str);
    Ok(number.with_context(|| format!("no count in {text}"))?.parse()?)
}
