//! A week of real methane monitors, served by a Modbus stack that nobody here wrote, through the
//! real gateway, a real broker and the real centre: every cell is stored as it was, every alarm
//! is the one that an independent oracle counts.
//!
//! `make test` plays 2,000 of the 10,080 rows; `FENGSUI_FULL=1` plays all.

use std::time::Duration;

use anyhow::ensure;
use fengsui_e2e::clock;
use fengsui_e2e::replay_line::{Line, full};
use fengsui_e2e::scene::{act, say};

#[test]
fn every_cell_and_every_alarm_of_a_foreign_device_arrives() {
    let limit = Duration::from_secs(if full() { 1_200 } else { 400 });
    act("peer-replay", limit, async |scene| {
        let mut line = Line::start(scene, &[]).await?;
        let began = clock::monotonic();
        line.check(scene, limit / 2).await?;
        say(&format!("played and checked in {:.1} s", began.elapsed().as_secs_f64()));
        line.gateway.terminate().await?;
        line.centre.terminate().await?;
        let errors = scene.errors()?;
        ensure!(errors.is_empty(), "{errors:#?}");
        Ok(())
    });
}
