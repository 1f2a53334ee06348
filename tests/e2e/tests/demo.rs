//! `fengsui demo` for a minute, as a stranger runs it: high level, gas, a silent device and an
//! offline gateway are all announced and recorded, nothing is lost, the first alarm comes within
//! half a minute.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::program::{Program, binary};
use fengsui_e2e::scene::{act, say};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);
/// A minute, and the ends of everything.
const RUN: Duration = Duration::from_secs(150);
/// What the summary must count at least once, by what its name holds.
const KINDS: [&[&str]; 4] =
    [&["hh", "h"], &["gas_h", "gas_hh"], &["stale", "gas_stale"], &["offline"]];

#[test]
fn a_minute_of_the_demo_keeps_every_promise() {
    act("demo", LIMIT, async |scene| {
        let mut command = Command::new(binary("fengsui")?);
        command.args(["demo", "--for", "60s", "--json", "--port", "0"]);
        let mut demo = Program::start("demo", &mut command, scene.path())?;
        let status = demo.end(RUN).await?;
        let text = demo.output()?;
        say(text.trim());
        ensure!(status.code() == Some(0), "the demo ends with {status}");
        let summary: Value = serde_json::from_str(&text).context("one JSON object on stdout")?;
        let number = |key: &str| {
            summary.pointer(key).and_then(Value::as_i64).with_context(|| format!("{key}: {text}"))
        };
        ensure!(number("/samples_sent")? > 1_000, "a plant was there: {text}");
        ensure!(number("/samples_stored")? >= number("/samples_sent")?, "{text}");
        ensure!(number("/lost")? == 0 && number("/duplicated")? == 0, "{text}");
        ensure!(number("/alarms_raised")? > 0, "{text}");
        ensure!(number("/alarms_raised")? == number("/alarms_journaled")?, "{text}");
        for names in KINDS {
            let found: i64 = names
                .iter()
                .filter_map(|name| summary.pointer(&format!("/alarms_by_kind/{name}"))?.as_i64())
                .sum();
            ensure!(found >= 1, "no alarm of {names:?}: {text}");
        }
        let (p50, p99, max) =
            (number("/latency_ms/p50")?, number("/latency_ms/p99")?, number("/latency_ms/max")?);
        ensure!(0 <= p50 && p50 <= p99 && p99 <= max, "{text}");
        let first = number("/first_alarm_ms")?;
        ensure!((1..30_000).contains(&first), "the first alarm after {first} ms");
        let errors = scene.errors()?;
        ensure!(errors.is_empty(), "{errors:#?}");
        Ok(())
    });
}
