//! The same load over MQTT: gateways' clients, embedded broker and centre in one process, and all
//! of its CPU counts, the clients' share as well.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use fengsui_telemetry::Offset;
use tokio::task::JoinSet;

use crate::figures::{Figure, aims};
use crate::fleet::{Member, Traffic};
use crate::ingest::{GATEWAYS, POINTS, batches, gateways, top};
use crate::{centre, clock, note, process};

/// Seconds of the plant that are taken in.
const SECONDS: u32 = 900;
/// Batches of one gateway that wait for their acknowledgement: 200 in all.
const WINDOW: Offset = 10;

pub(crate) async fn measure(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut gateways = gateways();
    let centre = centre::start(folder, &gateways, POINTS).await?;
    let broker = centre.broker.context("the broker has no address")?;
    let mut payloads: Vec<Vec<_>> = gateways.iter().map(|_| Vec::new()).collect();
    let birth_first = gateways.iter().map(|gateway| gateway.next()).max();
    ensure!(birth_first == Some(0), "births come before batches");
    let traffic = Arc::new(Traffic::default());
    let all = batches(&mut gateways, SECONDS)?;
    for (index, payload) in all {
        payloads.get_mut(index).context("a batch of no gateway")?.push(payload);
    }
    let mut members = Vec::new();
    for gateway in gateways {
        members.push(Member::join(gateway, broker, traffic.clone()).await?);
    }
    centre::learned(&centre, usize::try_from(GATEWAYS * POINTS)?).await?;
    let (cpu, begin) = (process::own_cpu()?, clock::monotonic());
    let mut tasks = JoinSet::new();
    for (mut member, payloads) in members.into_iter().zip(payloads) {
        tasks.spawn(async move {
            let mut sent: Offset = 0;
            for payload in payloads {
                member.durable(sent.saturating_sub(WINDOW)).await?;
                member.publish(payload).await?;
                sent += 1;
            }
            member.durable(sent).await?;
            anyhow::Ok(member)
        });
    }
    // Members stay until the end: a connection that ends would be seen by the centre.
    let mut ended = Vec::new();
    while let Some(member) = tasks.join_next().await {
        ended.push(member??);
    }
    let store = centre.store.clone();
    tokio::task::spawn_blocking(move || store.seal_now()).await??;
    let cpu = process::own_cpu()? - cpu;
    let samples = f64::from(SECONDS * GATEWAYS * POINTS);
    let wall = begin.elapsed().as_secs_f64();
    note(&format!("  {samples} samples, {cpu:.2} CPU s, {wall:.2} s"));
    note(&format!("  by thread, since start {:?}", top(process::own_threads())));
    let store = centre.store.clone();
    let counts = tokio::task::spawn_blocking(move || store.count()).await??;
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let stored = counts.samples as f64;
    ensure!((stored - samples).abs() < 0.5, "{stored} of {samples} samples are stored");
    centre.stop().await;
    Ok(vec![Figure::new(aims::ingest_samples_per_cpu_second_mqtt, samples / cpu)])
}
