//! Whatever part of the line stops, somebody who is still alive says so within thirty seconds.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::http::Api;
use fengsui_e2e::peers::Peers;
use fengsui_e2e::program::{Program, binary, root};
use fengsui_e2e::replay_line::Line;
use fengsui_e2e::scene::{Scene, act, say};
use fengsui_e2e::{clock, wait};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(300);
/// What invariant 2 allows.
const SUPERVISED: Duration = Duration::from_secs(30);
const SERIES: &str =
    "time_utc,CH4_ppm_E,CH4_ppm_N,CH4_ppm_NE,CH4_ppm_NW,CH4_ppm_S,CH4_ppm_SE,CH4_ppm_SW,CH4_ppm_W
2022-05-09T00:00:00Z,2,2,2,2,2,2,2,2
";

/// A thread that stands still until this is dropped.
struct Stopped(Child);

impl Stopped {
    fn thread(process: u32, name: &str) -> anyhow::Result<Self> {
        let mut child = Command::new("python3")
            .arg(root().join("tests/peers/stop_thread.py"))
            .args([&process.to_string(), name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut line)?;
        ensure!(line.trim() == "stopped", "the thread was not stopped: {line:?}");
        Ok(Self(child))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It lets go and ends; a process that is gone already needs no letting go.
        self.0.wait().ok();
    }
}

fn signal(process: u32, name: &str) -> anyhow::Result<()> {
    let status = Command::new("kill").args([name, &process.to_string()]).status()?;
    ensure!(status.success(), "kill {name} {process}: {status}");
    Ok(())
}

async fn proof(api: &Api, key: &str) -> anyhow::Result<Value> {
    let desk = api.json("/api/v1/desk").await?;
    Ok(desk.pointer(&format!("/proof/{key}")).cloned().unwrap_or_default())
}

fn spoken(folder: &Path, word: &str) -> usize {
    let text = std::fs::read_to_string(folder.join("spoken.txt")).unwrap_or_default();
    text.lines().filter(|line| line.contains(word)).count()
}

fn lost(folder: &Path) -> usize {
    spoken(folder, "失去监护")
}

fn back(folder: &Path) -> usize {
    spoken(folder, "恢复监护")
}

/// The gateway's silence stands on the desk.
async fn missed(api: &Api) -> anyhow::Result<bool> {
    let desk = api.json("/api/v1/desk").await?;
    let rows = desk.get("alarms").and_then(Value::as_array).context("alarms")?;
    let is =
        |row: &Value, key: &str, word: &str| row.get(key).and_then(Value::as_str) == Some(word);
    Ok(rows.iter().any(|row| is(row, "kind", "gateway_offline") && is(row, "state", "unack")))
}

/// Waits until it is said, and says how long that took.
async fn told(what: &str, look: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let began = clock::monotonic();
    wait::until_true(what, SUPERVISED, look).await?;
    say(&format!("{what}: after {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}

async fn play(scene: &Scene) -> anyhow::Result<()> {
    let folder = scene.path().to_path_buf();
    let series = folder.join("one.csv");
    std::fs::write(&series, SERIES)?;
    // The site allows an hour of silence; these people do not.
    let limits = |text: String| text.replace(",OFFLINE,3600,", ",OFFLINE,15,");
    let mut line = Line::under(scene, Peers::ready()?, series, &[], limits).await?;
    let config = folder.join("centre.toml");
    let text = std::fs::read_to_string(&config)? + "[watchdog]\nfile = \"spoken.txt\"\n";
    std::fs::write(&config, text)?;
    line.centre.kill()?;
    line.centre.restart().await?;
    let mut command = Command::new(binary("fengsui")?);
    command.arg("watchdog").arg("--config").arg(&config);
    let mut watchdog = Program::start("watchdog", &mut command, &folder)?;
    let api = line.centre.api.clone();
    told("the desk to vouch for itself and its watchdog", async || {
        let seen = proof(&api, "watchdog_ok").await? == true;
        Ok(seen
            && proof(&api, "engine_ok").await? == true
            && proof(&api, "canary_ms").await?.is_u64())
    })
    .await?;

    let centre = line.centre.program()?.id();
    let stopped = Stopped::thread(centre, "alarm-loop")?;
    told("the desk to say that no alarm would come", async || {
        Ok(proof(&api, "engine_ok").await? == false)
    })
    .await?;
    drop(stopped);
    told("the desk to vouch again", async || Ok(proof(&api, "engine_ok").await? == true)).await?;

    let before = lost(&folder);
    let stopped = Stopped::thread(centre, "alarm-loop")?;
    told("the watchdog to speak of the alarm loop", async || Ok(lost(&folder) > before)).await?;
    drop(stopped);
    told("the watchdog to take it back", async || Ok(back(&folder) >= lost(&folder))).await?;

    let before = lost(&folder);
    signal(centre, "-STOP")?;
    let siren = folder.join("gateway/siren.json");
    told("watchdog and gateway to say that the centre is silent", async || {
        let siren = std::fs::read_to_string(&siren).unwrap_or_default();
        Ok(lost(&folder) > before && siren.contains("\"alone\":true"))
    })
    .await?;
    signal(centre, "-CONT")?;
    told("the gateway to hear the centre again", async || {
        Ok(std::fs::read_to_string(&siren)?.contains("\"alone\":false"))
    })
    .await?;

    ensure!(!missed(&api).await?, "the centre stood still, not the gateway");
    signal(line.gateway.program()?.id(), "-STOP")?;
    told("the desk to miss the gateway", async || missed(&api).await).await?;
    signal(line.gateway.program()?.id(), "-CONT")?;

    watchdog.kill()?;
    told("the desk to miss its watchdog", async || Ok(proof(&api, "watchdog_ok").await? == false))
        .await
}

#[test]
fn whatever_stops_is_missed_within_thirty_seconds() {
    act("supervision", LIMIT, play);
}
