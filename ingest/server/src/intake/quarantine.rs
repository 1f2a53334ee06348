//! Messages that could not be used, kept for whoever looks into it. Bounded; the newest stay.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use bytes::Bytes;
use fengsui_telemetry::wire::Topic;
use tracing::warn;

use crate::clock;

/// Files kept; the oldest goes.
const FILES_MAX: usize = 100;
/// Bytes kept of one message.
const BYTES_MAX: usize = 64 * 1_024;
/// Messages that wait for the disk; a further one is counted by the intake and not kept.
const WAITING_MAX: usize = 64;

/// Writes to a folder, on a thread of its own.
#[derive(Clone, Debug)]
pub struct Quarantine(SyncSender<(String, Bytes)>);

impl Quarantine {
    /// Keeps messages in a folder.
    ///
    /// # Errors
    /// The folder cannot be made or the system has no thread left.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.to_path_buf();
        let (keep, kept) = sync_channel::<(String, Bytes)>(WAITING_MAX);
        std::thread::Builder::new().name("quarantine".into()).spawn(move || {
            while let Ok((name, bytes)) = kept.recv() {
                if let Err(fault) = write(&folder, &name, &bytes) {
                    warn!(%fault, "a message could not be quarantined");
                }
            }
        })?;
        Ok(Self(keep))
    }

    /// Keeps a message with the reason.
    pub fn keep(&self, topic: &Topic, payload: &Bytes, why: &str) {
        let name = format!("{}-{}-{}", clock::now(), topic.gateway, topic.channel.word());
        let mut bytes = format!("{topic}\n{why}\n{} bytes\n\n", payload.len()).into_bytes();
        bytes.extend(payload.iter().take(BYTES_MAX));
        // Full: it is counted all the same.
        self.0.try_send((name, bytes.into())).ok();
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::write(folder.join(name), bytes)?;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let surplus = files.len().saturating_sub(FILES_MAX);
    files.iter().take(surplus).try_for_each(std::fs::remove_file)
}
