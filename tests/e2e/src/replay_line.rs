//! The whole line for a recorded series: replay server, gateway, broker, centre; and the question
//! whether everything has arrived.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::broker::Broker;
use crate::centre::{Centre, CentreSetup};
use crate::clock;
use crate::gateway::{Gateway, GatewaySetup, lay_out_site};
use crate::peers::{LIMITS, Peers, Replay, Span};
use crate::program::root;
use crate::recorded;
use crate::scene::{Scene, say};
use crate::wait;

/// The port that stands in `tests/peers/site/site.toml`.
const WRITTEN_PORT: u16 = 15_020;
/// Data of 2022 are judged as if they came at their time.
const OLD_IS_LIVE: &str = "live_s = 400000000\nlate_horizon_s = 400000000";
/// From the last row read to the last one stored and judged: a reconnection, the patience of the
/// uplink, a settlement.
const ARRIVE: Duration = Duration::from_secs(120);
/// Rows of the part of the series that `make test` plays: it holds the 201 minutes in which SE is
/// missing, and alarms of every sensor.
pub const PART: (usize, usize) = (7_300, 2_000);

/// A running line.
#[derive(Debug)]
pub struct Line {
    /// The peers.
    pub peers: Peers,
    /// What is played.
    pub series: PathBuf,
    /// The device.
    pub replay: Replay,
    /// The broker.
    pub broker: Broker,
    /// The centre.
    pub centre: Centre,
    /// The gateway.
    pub gateway: Gateway,
}

/// Whether to play the whole series (`FENGSUI_FULL=1`) or the part.
#[must_use]
pub fn full() -> bool {
    std::env::var("FENGSUI_FULL").is_ok_and(|value| value == "1")
}

impl Line {
    /// Starts everything over the whole series or its part.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(scene: &Scene, options: &[&str]) -> anyhow::Result<Self> {
        let peers = Peers::ready()?;
        let series =
            if full() { peers.series.clone() } else { peers.part(scene, PART.0, PART.1)? };
        Self::over(scene, peers, series, options).await
    }

    /// Starts everything over a series of the caller's.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn over(
        scene: &Scene,
        peers: Peers,
        series: PathBuf,
        options: &[&str],
    ) -> anyhow::Result<Self> {
        Self::under(scene, peers, series, options, |limits| limits).await
    }

    /// The same under other limits than those of the site's file.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn under(
        scene: &Scene,
        peers: Peers,
        series: PathBuf,
        options: &[&str],
        limits: impl FnOnce(String) -> String,
    ) -> anyhow::Result<Self> {
        let replay = peers.replay(scene, &series, options).await?;
        lay_out_site(scene, &root().join("tests/peers/site"), &[(WRITTEN_PORT, replay.port)])?;
        let file = scene.path().join("site/limits.csv");
        std::fs::write(&file, limits(std::fs::read_to_string(&file)?))?;
        let broker = Broker::start(scene).await?;
        let setup = CentreSetup {
            mqtt: format!("broker = \"127.0.0.1:{}\"", broker.port),
            alarm: OLD_IS_LIVE.to_owned(),
            gateways: vec![("GW-PEER".to_owned(), "site/limits.csv".to_owned())],
        };
        let centre = Centre::start(scene, &setup).await?;
        let setup = GatewaySetup {
            site: "site/site.toml".to_owned(),
            broker: broker.port,
            alarm: OLD_IS_LIVE.to_owned(),
        };
        let gateway = Gateway::start(scene, &setup)?;
        Ok(Self { peers, series, replay, broker, centre, gateway })
    }

    /// The source time of the newest stored sample; none before the first.
    ///
    /// # Errors
    /// The centre does not answer.
    pub async fn newest(&self) -> anyhow::Result<Option<i64>> {
        let points = self.centre.api.json("/api/v1/points").await?;
        let times = points.as_array().context("a list of points")?.iter();
        let times = times.filter_map(|point| point.get("te").and_then(Value::as_str));
        let mut newest = None;
        for time in times {
            newest = newest.max(Some(crate::peers::time_ms(time)?));
        }
        Ok(newest)
    }

    /// Waits until every row has been read, stored and judged, then holds the centre against the
    /// peers.
    ///
    /// # Errors
    /// A sample or an occurrence is lost, doubled or wrong.
    pub async fn check(&mut self, scene: &Scene, read: Duration) -> anyhow::Result<()> {
        let replay = &mut self.replay;
        wait::until_true("the device to be read to its end", read, async || {
            Ok(replay.status().await?.done)
        })
        .await?;
        let read = clock::monotonic();
        self.check_values(scene).await?;
        let stored = read.elapsed().as_secs_f64();
        self.check_alarms().await?;
        let judged = read.elapsed().as_secs_f64();
        say(&format!(
            "after the last read all stored in {stored:.1} s, all judged in {judged:.1} s"
        ));
        Ok(())
    }

    async fn check_values(&self, scene: &Scene) -> anyhow::Result<()> {
        let api = &self.centre.api;
        let last = recorded::bounds(&self.series)?.1;
        let rows = std::fs::read_to_string(&self.series)?.lines().count() as u64 - 1;
        let cells = 8 * rows;
        // What is still missing comes on the backlog lane; what never comes is named below.
        let arrived = wait::until_true("every cell at the centre", ARRIVE, async || {
            let newest = self.newest().await?;
            Ok(newest >= Some(last) && recorded::dump(scene, api, &self.series).await?.1 >= cells)
        })
        .await;
        let (dump, _) = recorded::dump(scene, api, &self.series).await?;
        let compared = self.peers.compare(&dump, &self.series)?;
        say(&format!("cells {} of {cells}, {compared:?}", compared.rows));
        ensure!(compared.expected == cells, "{cells} cells were played, not {compared:?}");
        ensure!((compared.lost, compared.duplicated, compared.wrong) == (0, 0, 0), "{compared:?}");
        arrived
    }

    async fn check_alarms(&self) -> anyhow::Result<()> {
        let mut wanted: Vec<(String, Vec<Span>)> = Vec::new();
        for limit in &LIMITS {
            wanted.push((limit.key(), self.peers.oracle(&self.series, limit)?));
        }
        let mut differences = Vec::new();
        let settled = wait::until_true("the oracle's occurrences", ARRIVE, async || {
            let told = recorded::occurrences(&self.centre.api.journal().await?)?;
            differences.clear();
            for (key, wanted) in &wanted {
                let got = told.get(key).map_or(&[][..], Vec::as_slice);
                if got != wanted {
                    differences.push(difference(key, wanted, got));
                }
            }
            Ok(differences.is_empty())
        })
        .await;
        let count: usize = wanted.iter().map(|(_, spans)| spans.len()).sum();
        settled.with_context(|| format!("of {count} occurrences: {}", differences.join("; ")))?;
        say(&format!("{count} occurrences as the oracle counts them"));
        self.check_trend(&wanted).await
    }

    /// What the trend shows is what the journal tells.
    async fn check_trend(&self, wanted: &[(String, Vec<Span>)]) -> anyhow::Result<()> {
        let (first, last) = recorded::bounds(&self.series)?;
        let points = recorded::points(&self.centre.api).await?;
        for (key, wanted) in wanted {
            let (tag, kind) =
                key.trim_start_matches("GW-PEER/").rsplit_once('/').context("a key")?;
            let point = *points.get(tag).with_context(|| format!("no point {tag}"))?;
            let shown = recorded::shown(&self.centre.api, point, first, last).await?;
            let got = shown.get(&kind.to_lowercase()).map_or(&[][..], Vec::as_slice);
            ensure!(got == wanted, "on the trend: {}", difference(key, wanted, got));
        }
        Ok(())
    }
}

fn difference(key: &str, wanted: &[Span], got: &[Span]) -> String {
    let missing: Vec<_> = wanted.iter().filter(|span| !got.contains(span)).take(3).collect();
    let surplus: Vec<_> = got.iter().filter(|span| !wanted.contains(span)).take(3).collect();
    format!(
        "{key}: {} wanted, {} told, missing {missing:?}, surplus {surplus:?}",
        wanted.len(),
        got.len()
    )
}
