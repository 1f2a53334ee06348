//! One experiment: a folder, a seed, a runtime, a time limit; one at a time in a process.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tempfile::TempDir;

use crate::chance::Chance;
use crate::clock;

/// Experiments share two processors and measure times: one after the other.
static STAGE: Mutex<()> = Mutex::new(());
/// Ports below those that systems give to outgoing connections, so that a port stays free while
/// its program is dead.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Lines of every log that a failure shows.
const TAIL: usize = 40;

/// The folder of one experiment and its luck.
#[derive(Debug)]
pub struct Scene {
    folder: TempDir,
    seed: u64,
}

/// Runs one experiment. A failure prints its seed and the ends of all logs, and keeps the folder.
///
/// # Panics
/// The experiment failed, or took longer than `limit`.
pub fn act(name: &str, limit: Duration, play: impl AsyncFnOnce(&Scene) -> anyhow::Result<()>) {
    // An experiment that failed before leaves nothing behind that could spoil this one.
    let _alone = STAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let began = clock::monotonic();
    let ended = Scene::open(name).and_then(|mut scene| {
        let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
        let ended = runtime.block_on(async {
            match tokio::time::timeout(limit, play(&scene)).await {
                Ok(ended) => ended,
                Err(_) => Err(anyhow!("not over after {limit:?}")),
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        if ended.is_err() {
            scene.keep();
        }
        ended
    });
    match ended {
        Ok(()) => say(&format!("{name}: {:.1} s", began.elapsed().as_secs_f64())),
        Err(fault) => panic!("{name}: {fault:#}"),
    }
}

/// A line of a measurement, for whoever runs with `--nocapture`.
#[expect(clippy::print_stdout, reason = "cargo test shows it on demand")]
pub fn say(line: &str) {
    println!("{line}");
}

impl Scene {
    fn open(name: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("fengsui-{name}-")).tempdir()?;
        let seed = match std::env::var("FENGSUI_SEED") {
            Ok(text) => text.parse().with_context(|| format!("FENGSUI_SEED={text}"))?,
            Err(_) => clock::wall_ms().unsigned_abs(),
        };
        say(&format!("{name}: FENGSUI_SEED={seed}"));
        Ok(Self { folder, seed })
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its luck: the same seed, the same choices.
    #[must_use]
    pub fn chance(&self) -> Chance {
        Chance::new(self.seed)
    }

    /// Lines that say ERROR in any log: facts for which a person would have been called.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn errors(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for (name, text) in self.logs()? {
            let errors = text
                .lines()
                .filter(|line| line.contains(" ERROR ") || line.contains("panicked at"));
            found.extend(errors.map(|line| format!("{name}: {line}")));
        }
        Ok(found)
    }

    fn logs(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut logs = Vec::new();
        for entry in std::fs::read_dir(self.path())? {
            let path: PathBuf = entry?.path();
            if path.extension().is_some_and(|ending| ending == "log") {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                logs.push((name, String::from_utf8_lossy(&std::fs::read(&path)?).into_owned()));
            }
        }
        logs.sort();
        Ok(logs)
    }

    fn keep(&mut self) {
        self.folder.disable_cleanup(true);
        say(&format!("kept in {}", self.path().display()));
        for (name, text) in self.logs().unwrap_or_default() {
            let lines: Vec<&str> = text.lines().rev().take(TAIL).collect();
            say(&format!("--- end of {name}"));
            lines.iter().rev().for_each(|line| say(line));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep();
        }
    }
}

/// A loopback port that nothing listens on, and that this process has not given away before.
///
/// # Errors
/// None is left.
pub fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = PORTS.end - PORTS.start;
    let start = u16::try_from(std::process::id() % u32::from(width)).unwrap_or(0);
    for _ in 0..width {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + start.wrapping_add(step) % width;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(anyhow!("no free port in {PORTS:?}"))
}
