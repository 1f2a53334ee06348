//! What a process has used, from `/proc`, and programs that the bench starts.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// Clock ticks in a second: `sysconf(_SC_CLK_TCK)`, 100 on every Linux that this runs on.
const TICKS: f64 = 100.0;

/// CPU seconds of a process, user and system, all threads.
pub(crate) fn cpu_of(pid: u32) -> anyhow::Result<f64> {
    cpu_in(&PathBuf::from(format!("/proc/{pid}/stat")))
}

/// CPU seconds of this process.
pub(crate) fn own_cpu() -> anyhow::Result<f64> {
    cpu_in(Path::new("/proc/self/stat"))
}

fn cpu_in(path: &Path) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    // The name may hold spaces and brackets; what follows its last bracket is fields 3 and on.
    let (_, fields) = stat.rsplit_once(')').context("a stat file without a name")?;
    let mut fields = fields.split_whitespace();
    let user: f64 = fields.nth(11).context("no utime")?.parse()?;
    let system: f64 = fields.next().context("no stime")?.parse()?;
    Ok((user + system) / TICKS)
}

/// CPU seconds of each thread of this process by name, largest first.
pub(crate) fn own_threads() -> Vec<(String, f64)> {
    let mut by_name = std::collections::BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let cpu = cpu_in(&task.path().join("stat")).unwrap_or(0.0);
        *by_name.entry(name.trim().to_owned()).or_insert(0.0) += cpu;
    }
    let mut list: Vec<(String, f64)> = by_name.into_iter().collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1));
    list
}

/// Resident megabytes of a process (10⁶ bytes).
pub(crate) fn rss_mb(pid: u32) -> anyhow::Result<f64> {
    Ok(Memory::of(pid)?.resident)
}

/// What a process holds of memory, megabytes (10⁶ bytes).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// All in all.
    pub(crate) resident: f64,
    /// Its own: heap, stacks, changed data.
    pub(crate) own: f64,
    /// Pages of files: the program itself and the C library. The kernel may drop them.
    pub(crate) of_files: f64,
    /// The most that was resident at any time.
    pub(crate) peak: f64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mb = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let line = line.with_context(|| format!("no {name}"))?;
            let kb: f64 = line.split_whitespace().next().context("no number")?.parse()?;
            Ok(kb * 1_024.0 / 1e6)
        };
        Ok(Self {
            resident: mb("VmRSS:")?,
            own: mb("RssAnon:")?,
            of_files: mb("RssFile:")?,
            peak: mb("VmHWM:")?,
        })
    }
}

/// A program that ends with its value.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it with these variables; its output goes to a file.
    pub(crate) fn start(
        path: &Path,
        args: &[String],
        variables: &[(&str, &str)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let out = std::fs::File::create(log).with_context(|| log.display().to_string())?;
        let child = Command::new(path)
            .args(args)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {}", path.display()))?;
        Ok(Self(child))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self, log: &Path) -> anyhow::Result<()> {
        if let Some(status) = self.0.try_wait()? {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            let tail: Vec<&str> = said.lines().rev().take(5).collect();
            bail!("ended with {status}: {}", tail.join(" / "));
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A program beside this one, as `cargo build` lays them.
pub(crate) fn neighbour(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.parent()?.join(name)).filter(|path| path.is_file())
}

/// A program of the system.
pub(crate) fn installed(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = names.iter().flat_map(|name| folders.iter().map(move |f| f.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

/// A port that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
