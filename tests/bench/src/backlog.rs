//! A week without a network: how fast it comes in afterwards, and what live values wait meanwhile.
//! The release binary, its spool filled with a week of 20 points every two seconds, beside a plant
//! that it reads ten times a second, and a real centre.
//!
//! - Bounded: what is not in after [`DRAIN_MAX`] is not waited for; the speed is that of what came.
//! - The age of a live record is taken where it passes the broker.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use fengsui_gateway::{Config, preload_spool};
use fengsui_plant::{Plant, PlantConfig};
use fengsui_telemetry::wire::{Channel, Topic, decode_batch};
use fengsui_telemetry::{Body, ClockQuality, Reading, Record, Scan, TimeMs};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

use crate::figures::{Figure, aims};
use crate::gateway::{GATEWAY, Load, write_limits, write_site};
use crate::process::{Program, neighbour};
use crate::{centre, clock, note};

// Its memory is not looked at, so it needs no time to settle.
const LOAD: Load =
    Load { points: 20, period_ms: 100, limits: &[("H", 64_000)], warm: Duration::ZERO };
/// Of the records of the past.
const EVERY_MS: i64 = 2_000;
const WEEK: i64 = 7 * 86_400_000 / EVERY_MS;
/// Older stamps take the late path, as they would after a week.
const LIVE_S: u32 = 30;
/// Longest time for the backlog.
const DRAIN_MAX: Duration = Duration::from_secs(25);
/// Then live values alone, for comparison.
const ALONE: Duration = Duration::from_secs(10);
/// The gateway is up when it has published this long.
const BEGIN_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Packets of the broker are at most this large.
const PACKET_MAX: u32 = 1 << 20;

/// Ages of live records, ms, as they pass.
type Ages = Arc<Mutex<Vec<i64>>>;

pub(crate) async fn measure(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let Some(binary) = neighbour("fengsui-gateway") else {
        bail!("fengsui-gateway is not beside this program; build it with the same profile");
    };
    let plant = Plant::start(PlantConfig::wide(LOAD.points, 1)).await?;
    let device = plant.endpoints().first().context("the plant has no device")?.address;
    write_limits(folder, &LOAD)?;
    let centre = centre::start_with(folder, std::iter::once(GATEWAY), LIVE_S).await?;
    let broker = centre.broker.context("the broker has no address")?;
    write_site(folder, &LOAD, device.port(), broker.port())?;
    fill(folder)?;
    let ages = Ages::default();
    let listening = listen(broker.port(), ages.clone());
    let args = ["run".into(), "--config".into(), folder.join("gateway.toml").display().to_string()];
    let log = folder.join("gateway.log");
    let mut gateway = Program::start(&binary, &args, &[], &log)?;
    let points = u64::from(LOAD.points);
    let all = u64::try_from(WEEK)? * points;
    let begun = wait(BEGIN_MAX, || Ok(centre.store.count()?.samples > 0)).await?;
    ensure!(begun.1, "nothing came in {BEGIN_MAX:?}");
    let (took, _) = wait(DRAIN_MAX, || Ok(centre.store.count()?.samples >= all)).await?;
    gateway.check(&log)?;
    let during = taken(&ages);
    let came = centre.store.count()?.samples.saturating_sub(during.len() as u64 * points).min(all);
    wait(ALONE, || Ok(false)).await?;
    let alone = taken(&ages);
    drop(gateway);
    listening.abort();
    centre.stop().await;
    plant.stop().await;
    let past_s = came as f64 / f64::from(LOAD.points) * EVERY_MS as f64 / 1_000.0;
    let times = past_s / took.as_secs_f64();
    let (beside, alone) = (p99(during)?, p99(alone)?);
    note(&format!(
        "  {came} of {all} samples in {took:.1?}; live p99 {beside} ms beside it, {alone} ms alone"
    ));
    Ok(vec![
        Figure::new(aims::backlog_drain_times_real_time, times),
        Figure::new(aims::backlog_live_p99_times_alone, beside as f64 / alone.max(1) as f64),
    ])
}

/// A slowly moving value with two decimals, as instruments give it.
fn scan(n: i64, now: TimeMs) -> Record {
    let value = |point: u32| ((n * 7 + i64::from(point) * 31) % 4_000) as f64 / 100.0 + 40.0;
    let readings = (0..LOAD.points).map(|point| (point, Reading::Good(value(point)))).collect();
    let te = now + (n - WEEK) * EVERY_MS;
    Record { te, body: Body::Scan(Scan { readings, clock: ClockQuality::Synchronised }) }
}

fn fill(folder: &Path) -> anyhow::Result<()> {
    let config = Config::load(&folder.join("gateway.toml")).map_err(|faults| {
        let list: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("{}", list.join("; "))
    })?;
    let now = clock::now();
    preload_spool(&config, &mut (0..WEEK).map(|n| scan(n, now)))
}

/// Until this holds, or so long: how long it took, and whether it holds.
async fn wait(
    most: Duration,
    mut holds: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<(Duration, bool)> {
    let begun = clock::monotonic();
    loop {
        let past = clock::monotonic().duration_since(begun);
        if holds()? {
            return Ok((past, true));
        }
        if past >= most {
            return Ok((past, false));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn taken(ages: &Ages) -> Vec<i64> {
    ages.lock().map(|mut ages| std::mem::take(&mut *ages)).unwrap_or_default()
}

fn p99(mut ages: Vec<i64>) -> anyhow::Result<i64> {
    ensure!(ages.len() >= 20, "only {} live records", ages.len());
    ages.sort_unstable();
    ages.get(ages.len() * 99 / 100).copied().context("no age")
}

fn listen(port: u16, ages: Ages) -> tokio::task::JoinHandle<()> {
    let mut options = MqttOptions::new("bench-live", "127.0.0.1", port);
    options.set_max_packet_size(Some(PACKET_MAX));
    let (client, events) = AsyncClient::new(options, 8);
    tokio::spawn(hear(client, events, ages))
}

/// Ends with the broker.
async fn hear(client: AsyncClient, mut events: EventLoop, ages: Ages) {
    while let Ok(event) = events.poll().await {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                let live = Topic::filter(Channel::Live);
                if client.subscribe(live, QoS::AtLeastOnce).await.is_err() {
                    return;
                }
            }
            Event::Incoming(Packet::Publish(publish)) => {
                let Ok(batch) = decode_batch(&publish.payload) else { continue };
                let now = clock::now();
                let records = batch.entries.into_iter().filter_map(|entry| entry.record.ok());
                let scans = records.filter(|record| matches!(record.body, Body::Scan(_)));
                if let Ok(mut ages) = ages.lock() {
                    ages.extend(scans.map(|record| now.since(record.te)));
                }
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }
}
