//! The series store alone: intakes of 100 samples to durable and into chunks.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use anyhow::{Context, ensure};
use fengsui_store::{Intake, SeriesStore, StoreOptions};

use crate::figures::{Figure, aims};
use crate::ingest::{GATEWAYS, POINTS, gateways};
use crate::load::LANE;
use crate::{clock, note, process};

const SECONDS: u32 = 1_800;
/// Intakes on their way: below the store's queue.
const WINDOW: usize = 200;

pub(crate) fn measure(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let store = SeriesStore::open(folder, StoreOptions::default())?;
    store.hold_journal_from(u64::MAX);
    let intakes = intakes()?;
    let count = intakes.len();
    let (tell, told) = sync_channel(WINDOW + 1);
    let answer = |told: &std::sync::mpsc::Receiver<_>| -> anyhow::Result<()> {
        let answer: Result<u64, fengsui_store::StoreError> =
            told.recv().context("the writer has ended")?;
        answer.map(drop).map_err(Into::into)
    };
    let (cpu, begin) = (process::own_cpu()?, clock::monotonic());
    for (sent, intake) in intakes.into_iter().enumerate() {
        if sent >= WINDOW {
            answer(&told)?;
        }
        let tell = tell.clone();
        // The window keeps room for every answer.
        store.append(intake, Box::new(move |answer| tell.send(answer).unwrap_or(())))?;
    }
    for _ in 0..WINDOW.min(count) {
        answer(&told)?;
    }
    store.seal_now()?;
    let cpu = process::own_cpu()? - cpu;
    let samples = f64::from(SECONDS * GATEWAYS * POINTS);
    let bytes = std::fs::metadata(folder.join("ts/hot.db"))?.len();
    #[expect(clippy::cast_precision_loss, reason = "some hundred megabytes")]
    let each = bytes as f64 / samples;
    note(&format!(
        "  {samples} samples, {cpu:.2} CPU s, {:.2} s, {each:.1} bytes a sample on disk",
        begin.elapsed().as_secs_f64()
    ));
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let stored = store.count()?.samples as f64;
    ensure!((stored - samples).abs() < 0.5, "{stored} of {samples} samples are stored");
    Ok(vec![Figure::new(aims::store_samples_per_cpu_second, samples / cpu)])
}

fn intakes() -> anyhow::Result<Vec<Intake>> {
    let begin = clock::now() - i64::from(SECONDS) * 1_000;
    let mut gateways = gateways();
    let mut intakes = Vec::new();
    for second in 0..SECONDS {
        for (number, gateway) in (0..).zip(&mut gateways) {
            let te = begin + i64::from(second) * 1_000;
            let first: u32 = number * POINTS;
            let readings = gateway.second().into_iter();
            let offset = u64::from(second);
            intakes.push(Intake {
                gateway: gateway.id.to_string(),
                epoch: gateway.epoch.0,
                lane: LANE,
                ti: te,
                samples: readings.map(|(point, reading)| (first + point, te, reading)).collect(),
                offsets: vec![(offset, offset + 1)],
                gaps: Vec::new(),
                locals: Vec::new(),
            });
        }
    }
    Ok(intakes)
}
