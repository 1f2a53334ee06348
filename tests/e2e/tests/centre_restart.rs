//! The centre is killed while an alarm stands: afterwards it stands as it stood, answered or not,
//! under the same number, and nothing is announced as new.

use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::http::Api;
use fengsui_e2e::peers::Peers;
use fengsui_e2e::replay_line::Line;
use fengsui_e2e::scene::{Scene, act};
use fengsui_e2e::stream::Stream;
use fengsui_e2e::wait;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);
const SOON: Duration = Duration::from_secs(30);
/// A ping every five seconds: two of them without an alarm between are silence.
const PING: Duration = Duration::from_secs(8);
const ALARM: &str = "GW-PEER/CH4.SE/H";

/// What a desk shows of an alarm, but when the centre last looked at it.
const SAME: [&str; 14] = [
    "state",
    "occurrence",
    "active",
    "value",
    "te_on",
    "te_off",
    "known",
    "late",
    "recorded",
    "acked_by",
    "acked_at",
    "comment",
    "priority",
    "limit",
];

/// Four minutes of eight sensors: SE goes above 5 ppm and comes back, W does so a minute later.
const SERIES: &str =
    "time_utc,CH4_ppm_E,CH4_ppm_N,CH4_ppm_NE,CH4_ppm_NW,CH4_ppm_S,CH4_ppm_SE,CH4_ppm_SW,CH4_ppm_W
2022-05-09T00:00:00Z,2,2,2,2,2,2,2,2
2022-05-09T00:01:00Z,2,2,2,2,2,7.5,2,2
2022-05-09T00:02:00Z,2,2,2,2,2,7.25,2,6
2022-05-09T00:03:00Z,2,2,2,2,2,2.5,2,6
";

async fn on_desk(api: &Api, alarm: &str) -> anyhow::Result<Option<Value>> {
    let desk = api.json("/api/v1/desk").await?;
    let alarms = desk.get("alarms").and_then(Value::as_array).context("alarms")?;
    Ok(alarms.iter().find(|row| row.get("alarm").and_then(Value::as_str) == Some(alarm)).cloned())
}

async fn stands(api: &Api, alarm: &str, state: &str) -> anyhow::Result<Value> {
    let what = format!("{alarm} to stand as {state}");
    wait::until(&what, SOON, async || {
        let row = on_desk(api, alarm).await?;
        Ok(row.filter(|row| row.get("state").and_then(Value::as_str) == Some(state)))
    })
    .await
}

/// Lets the next row come, and waits until the gateway has read it.
async fn play_row(line: &mut Line) -> anyhow::Result<()> {
    let unread = line.replay.next().await?.unread;
    let replay = &mut line.replay;
    wait::until_true("the next row to be read", SOON, async || {
        Ok(replay.status().await?.unread < unread)
    })
    .await
}

fn number(row: &Value) -> anyhow::Result<u64> {
    row.get("occurrence").and_then(Value::as_u64).with_context(|| format!("occurrence: {row}"))
}

/// Kills the centre; what it shows of an alarm afterwards must be what it showed before.
async fn same_after_a_kill(line: &mut Line, alarm: &str, state: &str) -> anyhow::Result<()> {
    let before = stands(&line.centre.api, alarm, state).await?;
    let rows = line.centre.api.journal().await?.len();
    line.centre.kill()?;
    line.centre.restart().await?;
    let mut stream = Stream::open(&line.centre.api, None).await?;
    let after = on_desk(&line.centre.api, alarm).await?;
    let after = after.with_context(|| format!("{alarm} is not on the desk; it was {before}"))?;
    for key in SAME {
        ensure!(before.get(key) == after.get(key), "{key}: {before} became {after}");
    }
    let mut pings = 0;
    while pings < 2 {
        let event = stream.next(PING).await?;
        ensure!(event.name != "alarm", "announced again: {}", event.data);
        pings += u32::from(event.name == "ping");
    }
    let now = line.centre.api.journal().await?;
    let new = now.get(rows..).unwrap_or_default();
    let told = |row: &&Value| row.get("cause").and_then(Value::as_str) != Some("duplicate");
    ensure!(!new.iter().any(|row| told(&row)), "the journal has new rows: {new:#?}");
    Ok(())
}

async fn play(scene: &Scene) -> anyhow::Result<()> {
    let peers = Peers::ready()?;
    let series = scene.path().join("four.csv");
    std::fs::write(&series, SERIES)?;
    let mut line = Line::over(scene, peers, series, &["--hold"]).await?;
    let api = line.centre.api.clone();
    let replay = &mut line.replay;
    wait::until_true("the first row", SOON, async || Ok(replay.status().await?.unread == 3))
        .await?;
    play_row(&mut line).await?;
    let first = number(&stands(&api, ALARM, "unack").await?)?;

    same_after_a_kill(&mut line, ALARM, "unack").await?;
    let outcome = api.acknowledge(ALARM, first).await?;
    ensure!(outcome == "acknowledged", "{outcome}");
    same_after_a_kill(&mut line, ALARM, "acked").await?;
    // The same answer again, by a browser that never heard of its first: no second effect.
    let outcome = api.acknowledge(ALARM, first).await?;
    ensure!(outcome == "acknowledged", "{outcome}");

    play_row(&mut line).await?;
    let other = number(&stands(&api, "GW-PEER/CH4.W/H", "unack").await?)?;
    ensure!(number(&stands(&api, ALARM, "acked").await?)? == first, "still the same");
    play_row(&mut line).await?;
    wait::until_true("the alarm to leave the desk", SOON, async || {
        Ok(on_desk(&api, ALARM).await?.is_none())
    })
    .await?;
    ensure!(number(&stands(&api, "GW-PEER/CH4.W/H", "unack").await?)? == other, "W stands");
    let errors = scene.errors()?;
    ensure!(errors.is_empty(), "{errors:#?}");
    Ok(())
}

#[test]
fn a_standing_alarm_stands_after_the_centre_was_killed() {
    act("centre-restart", LIMIT, play);
}
