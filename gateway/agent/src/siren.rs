//! The local siren. So far it is simulated: a state file and log lines.
//!
//! - Its own task: a slow disk never holds up the alarm loop. Only the latest state matters, so the
//!   way to it is one value, not a queue.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::sync::watch;
use tracing::{info, warn};

/// What sounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SirenState {
    pub(crate) sounding: bool,
    /// When it began or fell silent, ms since 1970.
    pub(crate) since_ms: i64,
    /// Keys of the alarms that want it.
    pub(crate) alarms: Vec<String>,
}

/// Follows the state until the alarm loop is gone.
pub(crate) async fn run(folder: PathBuf, mut state: watch::Receiver<SirenState>) {
    loop {
        let now = state.borrow_and_update().clone();
        info!(sounding = now.sounding, alarms = now.alarms.len(), "siren");
        let file = folder.join("siren.json");
        match tokio::task::spawn_blocking(move || write(&file, &now)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => warn!(%fault, "siren state could not be written"),
            Err(fault) => warn!(%fault, "siren task failed"),
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// Whole or not at all: readers never see half a file.
fn write(file: &Path, state: &SirenState) -> std::io::Result<()> {
    let beside = file.with_extension("json.new");
    let mut out = fs::File::create(&beside)?;
    out.write_all(serde_json::to_string(state)?.as_bytes())?;
    out.write_all(b"\n")?;
    drop(out);
    fs::rename(beside, file)
}
