//! The same line while gateway, broker and centre are killed in turn (SIGKILL, no farewell), each
//! time after rows have been seen to arrive. Nothing is lost, nothing doubled, and the alarms are
//! those of an oracle that saw no kill.
//!
//! `FENGSUI_SEED` repeats a choice of kills; `FENGSUI_FULL=1` plays the whole week with more of
//! them.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::chance::Chance;
use fengsui_e2e::clock;
use fengsui_e2e::program::binary;
use fengsui_e2e::replay_line::{Line, full};
use fengsui_e2e::scene::{act, say};
use fengsui_e2e::wait;

const MINUTE_MS: i64 = 60_000;
/// Most rows that are awaited between two kills: a part of them has to survive the next.
const SHARE_MAX: u64 = 200;
/// From a restart until rows arrive again: the longest pause between two connections is ten
/// seconds, the patience of the uplink five and more.
const RECOVER: Duration = Duration::from_secs(90);

#[derive(Clone, Copy, Debug)]
enum Victim {
    Gateway,
    Broker,
    Centre,
}

fn victims(chance: &mut Chance) -> Vec<Victim> {
    let rounds = if full() { 20 } else { 7 };
    let mut victims = Vec::new();
    for _ in 0..rounds {
        let mut round = [Victim::Gateway, Victim::Broker, Victim::Centre];
        chance.shuffle(&mut round);
        victims.extend(round);
    }
    victims
}

/// Waits until the newest stored row is `rows` further than it was.
async fn see_progress(line: &Line, rows: u64) -> anyhow::Result<()> {
    let before = line.newest().await?.unwrap_or(0);
    let after = before + MINUTE_MS * i64::try_from(rows)?;
    let what = format!("{rows} more rows to be stored");
    wait::until_true(&what, RECOVER, async || Ok(line.newest().await? >= Some(after))).await
}

/// While something is dead the device is read on: so many rows must survive without it.
async fn see_reading(line: &mut Line, rows: u64) -> anyhow::Result<()> {
    let unread = line.replay.status().await?.unread;
    let replay = &mut line.replay;
    let what = format!("{rows} more rows to be read");
    wait::until_true(&what, RECOVER, async || {
        let status = replay.status().await?;
        Ok(status.unread + rows <= unread || status.unread == 0)
    })
    .await
}

async fn kill(line: &mut Line, victim: Victim, chance: &mut Chance) -> anyhow::Result<()> {
    let dead_for = chance.within(0, 25);
    match victim {
        Victim::Gateway => {
            line.gateway.kill()?;
            line.gateway.restart()?;
        }
        Victim::Broker => {
            line.broker.kill()?;
            see_reading(line, dead_for).await?;
            line.broker.restart().await?;
        }
        Victim::Centre => {
            line.centre.kill()?;
            see_reading(line, dead_for).await?;
            line.centre.restart().await?;
        }
    }
    Ok(())
}

async fn no_record_is_missing(line: &Line) -> anyhow::Result<()> {
    let what = "the centre to miss no record of the gateway";
    wait::until_true(what, RECOVER, async || {
        let desk = line.centre.api.json("/api/v1/desk").await?;
        let gateway = desk.pointer("/gateways/0").context("a gateway")?;
        let number = |key: &str| gateway.get(key).and_then(serde_json::Value::as_u64);
        ensure!(number("gaps") == Some(0), "records are gone: {gateway}");
        Ok(number("backlog") == Some(0))
    })
    .await
}

#[test]
fn twenty_one_kills_lose_nothing_and_double_nothing() {
    let limit = Duration::from_secs(if full() { 2_400 } else { 540 });
    act("kill-replay", limit, async |scene| {
        let mut line = Line::start(scene, &[]).await?;
        let mut chance = scene.chance();
        let victims = victims(&mut chance);
        let began = clock::monotonic();
        for (n, victim) in (1_u64..).zip(&victims) {
            // The kills spread over the series: two shares are left for the calm after them.
            let share = line.replay.status().await?.unread / (victims.len() as u64 + 3 - n);
            let rows = chance.within(2, share.clamp(3, SHARE_MAX));
            see_progress(&line, rows).await.with_context(|| format!("before kill {n}"))?;
            kill(&mut line, *victim, &mut chance)
                .await
                .with_context(|| format!("kill {n}, {victim:?}"))?;
        }
        let left = line.replay.status().await?.unread;
        let seconds = began.elapsed().as_secs_f64();
        say(&format!("{} kills in {seconds:.1} s, {left} rows still unread", victims.len()));
        line.check(scene, limit / 2).await?;
        no_record_is_missing(&line).await?;
        say(&format!("played and checked in {:.1} s", began.elapsed().as_secs_f64()));
        line.gateway.terminate().await?;
        line.centre.terminate().await?;
        let data = line.centre.data.as_os_str();
        let verified = Command::new(binary("fengsui")?)
            .args(["journal", "verify", "--data"])
            .arg(data)
            .output()?;
        ensure!(verified.status.success(), "the journal is not whole: {verified:?}");
        let errors = scene.errors()?;
        ensure!(errors.is_empty(), "{errors:#?}");
        Ok(())
    });
}
