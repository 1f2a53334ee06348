//! A real program as a child: started from where cargo puts it, its output kept in files, ended
//! by its handle whatever happens.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::wait;

/// Where the project stands.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A binary of the workspace, of the same profile as this test.
///
/// # Errors
/// It is not built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("where this test stands")?;
    // target/<profile>/deps/<test>
    let folder = this.parent().and_then(Path::parent).context("a test stands in target/…/deps")?;
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    bail!("{} is not built: run make test, or cargo build --workspace first", path.display())
}

/// A running child.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Program {
    /// Starts a command; stdout goes to `<folder>/<name>.out`, stderr to `<name>.log`, both
    /// appended to.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> anyhow::Result<Self> {
        let out = folder.join(format!("{name}.out"));
        let log = folder.join(format!("{name}.log"));
        let child = command
            .stdin(Stdio::null())
            .stdout(append_to(&out)?)
            .stderr(append_to(&log)?)
            .env("NO_COLOR", "1")
            .spawn()
            .with_context(|| format!("{name} cannot be started ({command:?})"))?;
        Ok(Self { name: name.to_owned(), child, out, log })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and wait until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.child.wait().with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// SIGTERM, and wait until it is gone.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn terminate(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let id = self.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().context("kill -TERM")?;
        if !told.success() {
            bail!("{} could not be told to end: {told}", self.name);
        }
        self.end(limit).await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn end(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        let child = &mut self.child;
        wait::until(&what, limit, async || Ok(child.try_wait()?)).await
    }

    /// Fails if it has ended.
    ///
    /// # Errors
    /// It has ended, and how.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} has ended: {status}; its log ends: {}", self.name, self.tail())
            }
        }
    }

    /// What it has written to stdout.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn output(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.out)?)
    }

    /// What it has logged, over all its lives in this folder.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn logged(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    /// Memory in use, KiB, as the system counts it.
    ///
    /// # Errors
    /// It does not run.
    pub fn memory_kb(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).context("VmRSS")?;
        Ok(number.parse()?)
    }

    fn tail(&self) -> String {
        let text = self.logged().unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn append_to(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).with_context(|| format!("{}", path.display()))
}
