//! The state of the siren, in a file: for demonstrations, tests and whoever looks after a site.
//!
//! - Its own task: a slow disk never holds up the alarm loop. Only the latest state matters, so the
//!   way to it is one value, not a queue.
//! - Its acknowledge button is a file, `siren.ack`: whoever makes it has pressed. One that lies
//!   there at the start was meant for what sounded before: it is taken away and acknowledges
//!   nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::fresh::{self, Kept};
use crate::spool::SpoolState;

/// What sounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SirenState {
    pub(crate) sounding: bool,
    /// When it began or fell silent, ms since 1970.
    pub(crate) since_ms: i64,
    /// Keys of the alarms that want it.
    pub(crate) alarms: Vec<String>,
    /// Every alarm that stands or was not acknowledged, for beacon and relays.
    pub(crate) lit: Vec<Lit>,
    /// The centre is silent: its light, not its horn.
    pub(crate) alone: bool,
    /// How the disk does, one word.
    pub(crate) storage: &'static str,
}

/// An alarm that is to be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Lit {
    pub(crate) key: String,
    /// 1 to 4.
    pub(crate) priority: u8,
    /// Nobody has acknowledged it.
    pub(crate) sounding: bool,
}

/// How often the button is looked at.
const BUTTON: Duration = Duration::from_millis(250);

/// Why the file cannot be written, in words for people; empty while it can.
pub(crate) type Complaint = watch::Sender<String>;

/// Follows the state until the alarm loop is gone, and reports the button to it.
pub(crate) async fn run(
    folder: PathBuf,
    mut state: watch::Receiver<SirenState>,
    mut alone: watch::Receiver<bool>,
    spool: watch::Receiver<SpoolState>,
    pressed: mpsc::Sender<()>,
    complaint: Complaint,
) {
    let button = folder.join("siren.ack");
    if tokio::fs::remove_file(&button).await.is_ok() {
        warn!("siren.ack lay there at the start and acknowledges nothing");
    }
    let mut look = interval(BUTTON);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut shown, mut said) = (None, None);
    loop {
        let mut now = state.borrow_and_update().clone();
        now.alone = *alone.borrow_and_update();
        now.storage = spool.borrow().storage.word();
        if shown.as_ref() != Some(&now) {
            if said.as_ref() != Some(&now) {
                let alarms = now.alarms.len();
                info!(
                    sounding = now.sounding,
                    alarms,
                    alone = now.alone,
                    storage = now.storage,
                    "siren"
                );
                said = Some(now.clone());
            }
            let file = folder.join("siren.json");
            let state = now.clone();
            match tokio::task::spawn_blocking(move || write(&file, &state)).await {
                Ok(Ok(())) => {
                    shown = Some(now);
                    complaint.send_if_modified(|said| !std::mem::take(said).is_empty());
                }
                // Tried again with the next look, and said once.
                Ok(Err(fault)) => {
                    let words = unwritten(&folder, &fault);
                    if complaint.send_if_modified(|said| std::mem::replace(said, words).is_empty())
                    {
                        warn!(%fault, "siren state could not be written");
                    }
                }
                Err(fault) => warn!(%fault, "siren task failed"),
            }
        }
        tokio::select! {
            biased;
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            // An uplink that has ended has said all that it knew.
            Ok(()) = alone.changed() => {}
            _ = look.tick() => {
                // A full queue holds a press already.
                if tokio::fs::remove_file(&button).await.is_ok() && pressed.try_send(()).is_ok() {
                    info!("acknowledge button pressed");
                }
            }
        }
    }
}

fn unwritten(folder: &Path, fault: &std::io::Error) -> String {
    let file = folder.join("siren.json");
    let file = file.display();
    format!(
        "{file} 写不了，里面的声光报警状态已过时；请检查该目录的权限和磁盘  |  cannot be written, and the \
         siren's state in it is out of date; check the folder's permissions and the disk: {fault}"
    )
}

/// Whole or not at all: readers never see half a file.
fn write(file: &Path, state: &SirenState) -> std::io::Result<()> {
    let text = serde_json::to_string(state)? + "\n";
    fresh::replace(file, text.as_bytes(), Kept::Shown)
}
