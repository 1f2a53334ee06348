//! Other files while the gateway runs: whole, or not at all.
//!
//! - Asked for by SIGHUP, or by files that have changed and then stood still for one look.
//! - Everything is loaded and checked first, the centre's limits against the new points included.
//!   A refused reload leaves the old configuration running, logs each fault and puts one into the
//!   heartbeat.
//! - What is wired to the outside (data folder, outputs, health endpoint, the gateway's name) does
//!   not change while the program runs: that takes a restart of the service.

mod change;
mod proposal;
mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::apart;
use crate::config::{Config, ConfigFault};
use crate::orders;
use crate::packed::Packed;
use crate::run::{Reloads, run_with};
use crate::spreadsheet;
pub(crate) use proposal::Proposal;
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
        let loaded: Result<Self, _> = apart::apart(|| {
            let mut files = Files::default();
            let config = Config::load_from(path, &mut |file| files.read(file))?;
            Ok(Self { path: path.to_owned(), config, files })
        });
        // What stays is laid down again, below what the check took.
        loaded.map(|Self { path, config, files }| Self {
            path: path.clone(),
            config,
            files: files.laid_anew(),
        })
    }
}

/// Files as they were read, packed: a configuration in use is many times as large, and what it
/// was is asked only when it changes. None where a file could not be read: it may come.
#[derive(Debug, Default)]
struct Files(BTreeMap<PathBuf, Option<Packed>>);

impl Files {
    fn read(&mut self, file: &Path) -> io::Result<Vec<u8>> {
        let kept = self.0.entry(file.to_owned()).or_default();
        let bytes = spreadsheet::bytes(file)?;
        *kept = Some(Packed::of(&bytes)?);
        Ok(bytes)
    }

    /// The same, in other places of the heap.
    fn laid_anew(&self) -> Self {
        let anew = |(file, kept): (&PathBuf, &Option<Packed>)| {
            (file.clone(), kept.as_ref().map(Packed::laid_anew))
        };
        Self(self.0.iter().map(anew).collect())
    }

    /// The configuration that was read from them.
    fn config(&self, path: &Path) -> Result<Config, Vec<ConfigFault>> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        Config::load_from(path, &mut |file| {
            self.0.get(file).and_then(Option::as_ref).ok_or_else(missing)?.plain()
        })
    }

    /// What was read is what they hold now, and what could not be read still cannot.
    fn stand(&self, now: &Print) -> bool {
        self.0.iter().all(|(file, kept)| match kept {
            Some(kept) => kept.plain().is_ok_and(|bytes| now.holds(file, Some(&bytes))),
            None => now.holds(file, None),
        })
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
        files: files.0.keys().cloned().collect(),
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

/// A new configuration and what is different in it, or everything that is wrong with it.
type Outcome = Result<(Config, Vec<String>), Vec<String>>;

struct Watcher {
    path: PathBuf,
    /// Looked at: all that was asked for, by what runs and by what was loaded last.
    files: Vec<PathBuf>,
    /// Of the configuration in force.
    current: Files,
    to_run: mpsc::Sender<Proposal>,
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
            let files = self.files.clone();
            let looked = tokio::task::spawn_blocking(move || Print::of(&files));
            let Ok(print) = looked.await else { continue };
            // The first look is what the gateway began with.
            let settling = settling.get_or_insert_with(|| Settling::new(print.clone()));
            if !(settling.look(print) || told) {
                continue;
            }
            info!(signal = told, "files are loaded again");
            let work = tokio::task::spawn_blocking(move || {
                let (asked, loaded, still) = self.look_and_load();
                (self, asked, loaded, still)
            });
            let (asked, loaded, still);
            (self, asked, loaded, still) = match work.await {
                Ok(done) => done,
                Err(fault) => return error!(%fault, "files are no longer followed"),
            };
            let Some(print) = still else {
                settling.unsettle();
                continue;
            };
            settling.settle(print);
            if !self.take(asked, loaded).await {
                return;
            }
        }
    }

    /// What was asked for and came of it, and how the files stand; none where they changed
    /// meanwhile: half of an old file and half of a new one would be neither.
    fn look_and_load(&mut self) -> (Files, Outcome, Option<Print>) {
        let before = Print::of(&self.files);
        let (asked, loaded) = self.load();
        let moved = before != Print::of(&self.files);
        let watched: BTreeSet<_> = self.current.0.keys().chain(asked.0.keys()).cloned().collect();
        self.files = watched.into_iter().collect();
        let print = Print::of(&self.files);
        let still = !moved && asked.stand(&print);
        (asked, loaded, still.then_some(print))
    }

    fn load(&self) -> (Files, Outcome) {
        let mut asked = Files::default();
        let next = Config::load_from(&self.path, &mut |file| asked.read(file));
        let outcome = next.map_err(|faults| texts(&faults)).and_then(|next| self.compare(next));
        (asked, outcome)
    }

    /// A configuration beside the one in force.
    fn compare(&self, next: Config) -> Outcome {
        let old = self.current.config(&self.path).map_err(|faults| texts(&faults))?;
        let fixed = change::fixed(&old, &next);
        if !fixed.is_empty() {
            return Err(fixed);
        }
        orders::kept(&next).map_err(|refusal| {
            let (why, unusable) = (
                "中心下发的限值不能随新配置生效，未重载；重启后由站点文件的限值判断",
                orders::unusable(&refusal, &next),
            );
            vec![format!(
                "{why}：{unusable}  |  not reloaded, since the limits of the centre could not be in \
                 force with the new files; after a restart the file of the site would judge"
            )]
        })?;
        let lines = change::lines(&old, &next);
        Ok((next, lines))
    }

    /// False: nobody runs any more.
    async fn take(&mut self, asked: Files, loaded: Outcome) -> bool {
        let (next, lines) = match loaded {
            Ok(loaded) => loaded,
            Err(faults) => {
                self.refuse(faults);
                return true;
            }
        };
        if lines.is_empty() {
            self.fault.send_replace(String::new());
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
        let (proposal, answer) = Proposal::new(next);
        if self.to_run.send(proposal).await.is_err() {
            return false;
        }
        match answer.await {
            Ok(Ok(())) => {
                self.current = asked;
                self.fault.send_replace(String::new());
                true
            }
            Ok(Err(why)) => {
                self.refuse(vec![why]);
                true
            }
            Err(_) => false,
        }
    }

    /// The reason stays until something is loaded, or the files are again what runs.
    fn refuse(&self, faults: Vec<String>) {
        for fault in faults.iter().take(LINES_MAX) {
            error!(fault, "reload is refused");
        }
        let count = faults.len();
        if count > LINES_MAX {
            error!(faults = count - LINES_MAX, "more faults: `fengsui-gateway check` tells them");
        }
        warn!(faults = count, "the old configuration stays");
        let first = faults.into_iter().next().unwrap_or_default();
        self.fault.send_replace(format!(
            "重载被拒，共 {count} 处错误 / reload refused, {count} faults: {first}"
        ));
    }
}

fn texts(faults: &[ConfigFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
