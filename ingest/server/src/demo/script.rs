//! What happens in the demo by itself, and the handles for whoever wants to do it by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fengsui_plant::{Command, Control as PlantControl, Fault, Head, Tank};
use fengsui_store::{AlarmJournal, RowKind};
use fengsui_telemetry::TimeMs;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{info, warn};

use super::fault_of;
use crate::clock;

/// The demo's handles: plant and cable.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    plant: PlantControl,
    cable: watch::Sender<bool>,
    by_hand: AtomicBool,
    began: Instant,
}

/// One step of the script.
#[derive(Clone, Copy)]
enum Step {
    Fill(u8, f64),
    Spike(u8, f64, f64),
    Fault(&'static str, Fault),
    Cable(bool),
}

/// Seconds from the start. It makes, in this order: high level, gas high, stale, gateway offline,
/// and late data. All of it is over before a minute has passed. A demo without an end leaves the
/// cable to its visitor.
const SCRIPT: [(u64, Step, &str); 7] = [
    (3, Step::Fill(1, 93.0), "101 储罐快速进料，液位高高 tank 101 fills to HH"),
    (8, Step::Spike(1, 62.0, 12.0), "泵区可燃气体泄漏 gas release at the pumps"),
    (12, Step::Fault("dam", Fault::Dead), "坝体仪表无应答，数据中断 the dam's device falls silent"),
    (26, Step::Cable(true), "拔网线：网关离线 the gateway's cable is pulled"),
    (28, Step::Spike(3, 40.0, 6.0), "断网期间又一次超限 an excursion that nobody can see"),
    (43, Step::Cable(false), "插回网线：补传 plugged in again, late data arrive"),
    (45, Step::Fault("dam", Fault::None), "坝体仪表恢复 the dam's device answers again"),
];

/// Rows among which the first alarm is.
const FIRST_ROWS: usize = 1_000;
/// What happens unseen after the visitor has pulled the cable.
const UNSEEN: Step = Step::Spike(3, 40.0, 6.0);
const UNSEEN_AFTER: Duration = Duration::from_secs(3);
/// A demo without an end goes on with these, one after another, this far apart.
const AGAIN: [(Step, &str); 4] = [
    (Step::Fill(2, 87.5), "102 储罐快速进料，液位高 tank 102 fills to H"),
    (Step::Spike(2, 33.0, 10.0), "装卸区可燃气体报警 gas at the loading bay"),
    (Step::Fill(3, 92.0), "103 储罐快速进料，液位高高 tank 103 fills to HH"),
    (Step::Spike(5, 14.0, 10.0), "泵区硫化氢报警 hydrogen sulphide at the pumps"),
];
const AGAIN_EVERY: Duration = Duration::from_secs(45);

impl Control {
    pub(super) fn new(plant: PlantControl, cable: watch::Sender<bool>) -> Self {
        let by_hand = AtomicBool::new(false);
        Self(Arc::new(Inner { plant, cable, by_hand, began: clock::monotonic() }))
    }

    /// Pulls the cable between gateway and broker, or plugs it in.
    pub(super) fn cable(&self, pulled: bool) {
        info!(pulled, "cable");
        self.0.cable.send_replace(pulled);
    }

    /// The same by the visitor's hand: the script leaves the cable alone from now on, and while it
    /// is out something happens that only late data will tell.
    pub fn cable_by_hand(&self, pulled: bool) {
        self.0.by_hand.store(true, Ordering::Relaxed);
        self.cable(pulled);
        if pulled {
            let control = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(UNSEEN_AFTER).await;
                control.step(UNSEEN).await;
            });
        }
    }

    /// Gives a device a fault, `none` to mend it.
    ///
    /// # Errors
    /// No such device or fault.
    pub async fn fault(&self, device: &str, fault: &str) -> Result<(), String> {
        let fault = fault_of(fault)?;
        self.0.plant.fault(device, fault).await.map(|_| ()).map_err(|e| e.to_string())
    }

    /// As JSON says it.
    #[must_use]
    pub fn status(&self) -> Value {
        let elapsed = self.0.began.elapsed().as_secs();
        let script: Vec<Value> = SCRIPT
            .iter()
            .map(|(at, _, what)| json!({ "at_s": at, "what": what, "done": elapsed >= *at }))
            .collect();
        json!({ "cable_pulled": *self.0.cable.borrow(), "elapsed_s": elapsed, "script": script })
    }

    /// Milliseconds from the start of the demo to the first row of the journal.
    pub(super) fn first_alarm_ms(
        &self,
        journal: &AlarmJournal,
        now: TimeMs,
        began: Instant,
    ) -> Option<i64> {
        // The notes about the demo's people come first.
        let first = journal.page(0, FIRST_ROWS).ok()?;
        let start = now - i64::try_from(began.elapsed().as_millis()).ok()?;
        let first = first.iter().find(|row| row.row.kind != RowKind::System)?;
        Some(first.row.ti.since(start))
    }

    async fn step(&self, step: Step) {
        let done = match step {
            Step::Fill(tank, to) => match Tank::try_from(tank) {
                Ok(tank) => {
                    let fill = Command::Fill { tank, to, per_s: 12.0, hold_s: 10.0 };
                    self.0.plant.command(fill).await
                }
                Err(_) => return,
            },
            Step::Spike(head, to, for_s) => match Head::try_from(head) {
                Ok(head) => self.0.plant.command(Command::Spike { head, to, for_s }).await,
                Err(_) => return,
            },
            Step::Fault(device, fault) => self.0.plant.fault(device, fault).await,
            Step::Cable(pulled) => {
                self.cable(pulled);
                return;
            }
        };
        if let Err(fault) = done {
            warn!(%fault, "the script's step did not work");
        }
    }
}

/// Plays the script once; without an end, goes on with small things until it is stopped.
pub(super) async fn play(control: Control, runs_for: Option<Duration>) {
    let began = tokio::time::Instant::from_std(clock::monotonic());
    for (at, step, what) in SCRIPT {
        let at = Duration::from_secs(at);
        if runs_for.is_some_and(|span| at >= span) {
            return;
        }
        let cable = matches!(step, Step::Cable(_));
        if cable && (runs_for.is_none() || control.0.by_hand.load(Ordering::Relaxed)) {
            continue;
        }
        tokio::time::sleep_until(began + at).await;
        info!("{what}");
        control.step(step).await;
    }
    for (step, what) in AGAIN.iter().cycle() {
        tokio::time::sleep(AGAIN_EVERY).await;
        info!("{what}");
        control.step(*step).await;
    }
}
