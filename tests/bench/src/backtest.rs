//! `fengsui backtest` over stored history: ninety days of one point, one sample a second.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use anyhow::{Context, ensure};
use fengsui::cli::backtest::over_store;
use fengsui_alerting::backtest::{Setting, Side};
use fengsui_store::{Intake, SeriesStore, StoreOptions};
use fengsui_telemetry::{Reading, TimeMs};

use crate::figures::{Figure, aims};
use crate::load::{Dice, LANE};
use crate::{clock, note};

const POINT: u32 = 1;
const DAYS: u32 = 90;
const HOURS: u32 = DAYS * 24;
/// Samples of one intake: an hour.
const HOUR_S: u32 = 3_600;
const T0: TimeMs = TimeMs(1_795_270_400_000);
/// Intakes on their way: below the store's queue.
const WINDOW: u32 = 100;

pub(crate) fn measure(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let store = SeriesStore::open(folder, StoreOptions::default())?;
    store.hold_journal_from(u64::MAX);
    fill(&store)?;
    store.seal_now()?;
    let to = T0 + i64::from(HOURS) * i64::from(HOUR_S) * 1_000;
    let setting =
        Setting { side: Side::High, limit: 85.0, deadband: 1.0, on_delay_ms: 0, off_delay_ms: 0 };
    let begin = clock::monotonic();
    let outcome = over_store(&store, POINT, (T0, to), &setting)?;
    let took = begin.elapsed().as_secs_f64();
    ensure!(outcome.samples == u64::from(HOURS * HOUR_S), "{} samples", outcome.samples);
    ensure!(!outcome.occurrences.is_empty(), "nothing ever came on: nothing was measured");
    note(&format!(
        "  {} samples, {} occurrences, {took:.2} s",
        outcome.samples,
        outcome.occurrences.len()
    ));
    Ok(vec![Figure::new(aims::backtest_90_days_s, took)])
}

fn fill(store: &SeriesStore) -> anyhow::Result<()> {
    let mut dice = Dice::new(11);
    let mut value = 50.0_f64;
    let (tell, told) = sync_channel(WINDOW as usize + 1);
    for hour in 0..HOURS {
        let begin = T0 + i64::from(hour) * i64::from(HOUR_S) * 1_000;
        let samples = (0..HOUR_S)
            .map(|second| {
                value = (value + (dice.part() - 0.5) * 0.5).clamp(0.0, 100.0);
                let shown = (value * 100.0).round() / 100.0;
                (POINT, begin + i64::from(second) * 1_000, Reading::Good(shown))
            })
            .collect();
        let offset = u64::from(hour);
        let intake = Intake {
            gateway: "GW-01".to_owned(),
            epoch: 1,
            lane: LANE,
            ti: begin + i64::from(HOUR_S) * 1_000,
            samples,
            offsets: vec![(offset, offset + 1)],
            gaps: Vec::new(),
            locals: Vec::new(),
        };
        if hour >= WINDOW {
            told.recv().context("the writer has ended")??;
        }
        let tell = tell.clone();
        // The window keeps room for every answer.
        store.append(
            intake,
            Box::new(move |answer: Result<u64, fengsui_store::StoreError>| {
                tell.send(answer.map(drop)).unwrap_or(());
            }),
        )?;
    }
    for _ in 0..WINDOW.min(HOURS) {
        told.recv().context("the writer has ended")??;
    }
    Ok(())
}
