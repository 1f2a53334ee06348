//! How many samples a CPU second takes in: decoded, entered into the ledger, judged against four
//! limits each, journaled where they alarm, committed with fsync, and packed into chunks.
//!
//! - Through the centre's own intake; batches come by its queue, without a broker. All CPU of the
//!   process counts, of every thread.
//! - At the end the store is read and counted: a sample that is not there fails the measurement.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use fengsui::Centre;
use fengsui::link::Incoming;
use fengsui_telemetry::TimeMs;
use fengsui_telemetry::wire::{Channel, Topic};

use crate::figures::{Figure, aims};
use crate::load::Gateway;
use crate::{centre, clock, note, process};

/// Gateways of the load.
pub(crate) const GATEWAYS: u32 = 20;
/// Points of each: 2,000 in all, and a batch of 100 samples a second from each gateway.
pub(crate) const POINTS: u32 = 100;
/// Seconds of the plant that are taken in.
const SECONDS: u32 = 1_800;
/// Batches on their way: below the store's queue of 256, so that none is shed.
const WINDOW: u64 = 200;
const STEP: Duration = Duration::from_millis(1);
/// Without a commit for this long the measurement has failed.
const STALLED: Duration = Duration::from_secs(20);

/// The gateways of the load.
pub(crate) fn gateways() -> Vec<Gateway> {
    (0..GATEWAYS).map(|number| Gateway::new(number, POINTS)).collect()
}

/// Batches of so many seconds in order of time, and how many samples they hold.
pub(crate) fn batches(
    gateways: &mut [Gateway],
    seconds: u32,
) -> anyhow::Result<Vec<(usize, Bytes)>> {
    let begin = clock::now() - i64::from(seconds) * 1_000;
    let mut all = Vec::new();
    for second in 0..seconds {
        let te = TimeMs((begin + i64::from(second) * 1_000).0);
        for (index, gateway) in gateways.iter_mut().enumerate() {
            let readings = gateway.second();
            all.push((index, gateway.batch(te, readings)?));
        }
    }
    Ok(all)
}

pub(crate) async fn measure(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut gateways = gateways();
    let centre = centre::start(folder, &gateways, POINTS).await?;
    for gateway in &gateways {
        let topic = Topic { gateway: gateway.id.clone(), channel: Channel::Birth };
        let payload = gateway.birth()?.into();
        centre.messages.send(Incoming { topic, payload }).await.context("the intake has ended")?;
    }
    let points = usize::try_from(GATEWAYS * POINTS)?;
    centre::learned(&centre, points).await?;
    let batches = batches(&mut gateways, SECONDS)?;
    let count = batches.len() as u64;
    let samples = f64::from(SECONDS * GATEWAYS * POINTS);
    let (cpu, begin) = (process::own_cpu()?, clock::monotonic());
    feed(&centre, &gateways, batches).await?;
    let store = centre.store.clone();
    tokio::task::spawn_blocking(move || store.seal_now()).await??;
    let cpu = process::own_cpu()? - cpu;
    let wall = begin.elapsed().as_secs_f64();
    let rows = centre.journal.last_seq();
    let counts = {
        let store = centre.store.clone();
        tokio::task::spawn_blocking(move || store.count()).await??
    };
    note(&format!(
        "  {samples} samples, {count} batches, {cpu:.2} CPU s, {wall:.2} s, {rows} journal rows, {} bad",
        counts.bad
    ));
    note(&format!("  by thread {:?}", top(process::own_threads())));
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let stored = counts.samples as f64;
    ensure!((stored - samples).abs() < 0.5, "{stored} of {samples} samples are stored");
    centre.stop().await;
    Ok(vec![Figure::new(aims::ingest_samples_per_cpu_second, samples / cpu)])
}

/// The busiest threads.
pub(crate) fn top(mut threads: Vec<(String, f64)>) -> Vec<(String, f64)> {
    threads.truncate(6);
    threads
}

async fn feed(
    centre: &Centre,
    gateways: &[Gateway],
    batches: Vec<(usize, Bytes)>,
) -> anyhow::Result<()> {
    let before = centre.store.last_seq();
    let topics: Vec<Topic> = gateways
        .iter()
        .map(|gateway| Topic { gateway: gateway.id.clone(), channel: Channel::Live })
        .collect();
    let mut sent = 0;
    for (index, payload) in batches {
        let topic = topics.get(index).context("a batch of no gateway")?.clone();
        wait(centre, before, sent, WINDOW).await?;
        centre.messages.send(Incoming { topic, payload }).await.context("the intake has ended")?;
        sent += 1;
    }
    wait(centre, before, sent, 1).await
}

/// Until fewer than `most` of the batches are not yet durable.
async fn wait(centre: &Centre, before: u64, sent: u64, most: u64) -> anyhow::Result<()> {
    let mut known = centre.store.last_seq();
    let mut since = clock::monotonic();
    while sent - (known - before) >= most {
        tokio::time::sleep(STEP).await;
        let now = centre.store.last_seq();
        if now != known {
            (known, since) = (now, clock::monotonic());
        }
        if since.elapsed() > STALLED {
            bail!("{} of {sent} batches are durable, and no further one", known - before);
        }
    }
    Ok(())
}
