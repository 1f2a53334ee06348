//! Other files while the gateway runs: whole, or not at all.
//!
//! - Asked for by SIGHUP, or by files that have changed and then stood still for one look.
//! - Everything is loaded and checked first, the centre's limits against the new points included.
//!   A refused reload leaves the old configuration running, logs each fault and puts one into the
//!   heartbeat.
//! - What is wired to the outside (data folder, outputs, health endpoint, the gateway's name) does
//!   not change while the program runs: that takes a restart of the service.

mod change;
mod settle;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::config::{Config, ConfigFault};
use crate::orders;
use crate::packed::Packed;
use crate::run::{Reloads, run_with};
use crate::spreadsheet;
use settle::{Print, Settling};

/// How often the files are looked at: a person who saves a sheet waits so long twice.
const LOOK: Duration = Duration::from_secs(2);
/// Lines of a difference that go to the log one by one; the rest is counted.
const LINES_MAX: usize = 50;

/// A configuration and the files that it was read from: they tell later what has changed.
#[derive(Debug)]
pub struct Loaded {
    path: PathBuf,
    config: Config,
    files: Files,
}

impl Loaded {
    /// As [`Config::load`].
    ///
    /// # Errors
    /// Every fault.
    pub fn load(path: &Path) -> Result<Self, Vec<ConfigFault>> {
        let mut files = Files::default();
        let config = Config::load_from(path, &mut |file| files.read(file))?;
        Ok(Self { path: path.to_owned(), config, files })
    }
}

/// Files as they were read, packed: a configuration in use is many times as large, and what it
/// was is asked only when it changes.
#[derive(Debug, Default)]
struct Files(BTreeMap<PathBuf, Packed>);

impl Files {
    fn read(&mut self, file: &Path) -> io::Result<Vec<u8>> {
        let bytes = spreadsheet::bytes(file)?;
        self.0.insert(file.to_owned(), Packed::of(&bytes)?);
        Ok(bytes)
    }

    /// The configuration that was read from them.
    fn config(&self, path: &Path) -> Result<Config, Vec<ConfigFault>> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        Config::load_from(path, &mut |file| self.0.get(file).ok_or_else(missing)?.plain())
    }
}

/// Runs a gateway by what was loaded, and follows the changes of its files.
///
/// # Errors
/// As [`crate::run`].
pub async fn run_reloading(loaded: Loaded, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    let Loaded { path, config, files } = loaded;
    let hangup = signal(SignalKind::hangup())?;
    // One at a time: the next is looked for when this one runs.
    let (to_run, next) = mpsc::channel(1);
    let fault = watch::channel(String::new()).0;
    let watcher = Watcher {
        files: settle::files(&path, &[]),
        path,
        current: files,
        to_run,
        fault: fault.clone(),
    };
    let task = tokio::spawn(watcher.run(hangup));
    let ended = run_with(config, shutdown, Reloads { next, fault }).await;
    task.abort();
    ended
}

struct Watcher {
    path: PathBuf,
    files: Vec<PathBuf>,
    /// Of the configuration in force.
    current: Files,
    to_run: mpsc::Sender<Config>,
    fault: watch::Sender<String>,
}

impl Watcher {
    async fn run(mut self, mut hangup: Signal) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settling: Option<Settling> = None;
        loop {
            let told = tokio::select! {
                told = hangup.recv() => match told {
                    Some(()) => true,
                    None => return,
                },
                _ = look.tick() => false,
            };
            let (path, files) = (self.path.clone(), self.files.clone());
            let looked = tokio::task::spawn_blocking(move || {
                let files = settle::files(&path, &files);
                let print = Print::of(&files);
                (files, print)
            });
            let Ok((files, print)) = looked.await else { continue };
            self.files = files;
            // The first look is what the gateway began with.
            let settling = settling.get_or_insert_with(|| Settling::new(print.clone()));
            if !(settling.look(print) || told) {
                continue;
            }
            settling.settle();
            info!(signal = told, "files are loaded again");
            let work = tokio::task::spawn_blocking(move || {
                let before = Print::of(&self.files);
                let loaded = self.load();
                // Half of an old file and half of a new one would be neither.
                let moved = before != Print::of(&self.files);
                (self, loaded, moved)
            });
            let loaded;
            let moved;
            (self, loaded, moved) = match work.await {
                Ok(done) => done,
                Err(fault) => return error!(%fault, "files are no longer followed"),
            };
            if moved {
                settling.unsettle();
                continue;
            }
            if !self.take(loaded).await {
                return;
            }
        }
    }

    /// The new configuration and what is different in it, or everything that is wrong with it.
    fn load(&self) -> Result<(Loaded, Vec<String>), Vec<String>> {
        let texts = |faults: Vec<ConfigFault>| -> Vec<String> {
            faults.iter().map(ToString::to_string).collect()
        };
        let next = Loaded::load(&self.path).map_err(texts)?;
        let old = self.current.config(&self.path).map_err(texts)?;
        let fixed = change::fixed(&old, &next.config);
        if !fixed.is_empty() {
            return Err(fixed);
        }
        orders::kept(&next.config).map_err(|refusal| {
            vec![format!(
                "中心下发的限值与新点表不符；请先在中心改限值，或恢复点表  |  the centre's limits do not \
                 fit the new points; change them there first, or put the points back: {refusal}"
            )]
        })?;
        let lines = change::lines(&old, &next.config);
        Ok((next, lines))
    }

    /// False: nobody runs any more.
    async fn take(&mut self, loaded: Result<(Loaded, Vec<String>), Vec<String>>) -> bool {
        let (next, lines) = match loaded {
            Ok(loaded) => loaded,
            Err(faults) => {
                for fault in &faults {
                    error!(fault, "reload is refused");
                }
                let count = faults.len();
                warn!(faults = count, "the old configuration stays");
                let first = faults.into_iter().next().unwrap_or_default();
                self.fault.send_replace(format!(
                    "重载被拒，共 {count} 处错误 / reload refused, {count} faults: {first}"
                ));
                return true;
            }
        };
        self.fault.send_replace(String::new());
        if lines.is_empty() {
            info!("nothing has changed");
            return true;
        }
        for line in lines.iter().take(LINES_MAX) {
            info!(change = line, "reload");
        }
        if lines.len() > LINES_MAX {
            info!(changes = lines.len() - LINES_MAX, "reload: more changes");
        }
        info!(changes = lines.len(), "reload begins");
        self.current = next.files;
        self.to_run.send(next.config).await.is_ok()
    }
}
