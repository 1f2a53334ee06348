//! A centre for a measurement: the real one, with its files on a real disk.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use fengsui::config::Config;
use fengsui::{Centre, Extras};

use crate::clock;
use crate::load::{Gateway, limits_csv};

/// Source times older than this take the late path. The load carries half an hour of stamps, and
/// all of it is to be judged as the present.
const LIVE_S: u32 = 7_200;
/// How long a centre may take to learn its gateways.
const LEARN: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// Starts a centre that knows these gateways, each with so many points.
pub(crate) async fn start(
    folder: &Path,
    gateways: &[Gateway],
    points: u32,
) -> anyhow::Result<Centre> {
    std::fs::write(folder.join("limits.csv"), limits_csv(points))?;
    let ids = gateways.iter().map(|gateway| gateway.id.as_str());
    start_with(folder, ids, LIVE_S).await
}

/// Starts a centre that knows these gateways; `limits.csv` stands in the folder.
pub(crate) async fn start_with(
    folder: &Path,
    ids: impl Iterator<Item = &str>,
    live_s: u32,
) -> anyhow::Result<Centre> {
    let mut text = format!(
        "data = \"centre\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nembedded = \"127.0.0.1:0\"\n[alarm]\nlive_s = {live_s}\n"
    );
    for id in ids {
        write!(text, "[[gateway]]\nid = \"{id}\"\nlimits = \"limits.csv\"\n")?;
    }
    let path = folder.join("centre.toml");
    std::fs::write(&path, text)?;
    let config = Config::load(&path).map_err(|faults| {
        let list: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("{}", list.join("; "))
    })?;
    Centre::start(config, Extras::default()).await
}

/// Waits until the centre has every catalogue and its engine judges by it.
pub(crate) async fn learned(centre: &Centre, points: usize) -> anyhow::Result<()> {
    let until = clock::monotonic() + LEARN;
    while centre.registry.borrow().points.len() < points {
        if clock::monotonic() > until {
            bail!(
                "the centre has learned {} of {points} points",
                centre.registry.borrow().points.len()
            );
        }
        tokio::time::sleep(STEP).await;
    }
    // The engine takes the last plan a moment later.
    tokio::time::sleep(STEP * 25).await;
    Ok(())
}
