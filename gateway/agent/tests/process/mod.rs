//! The real `fengsui-gateway` as a child, and what its log says is on the disk.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running gateway; ended by SIGKILL when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it on `<folder>/gateway.toml`; its log goes to a file of this number.
    pub(crate) fn start(folder: &Path, number: usize) -> Self {
        Self::start_under(Command::new(env!("CARGO_BIN_EXE_fengsui-gateway")), folder, number)
    }

    pub(crate) fn start_under(mut command: Command, folder: &Path, number: usize) -> Self {
        let log = folder.join(format!("gateway-{number}.log"));
        let child = command
            .args(["run", "--log-json", "--config"])
            .arg(folder.join("gateway.toml"))
            // The spool says at this level what it has committed.
            .env("FENGSUI_LOG", "info,fengsui_gateway::spool=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// It has not ended by itself.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// One past the last record that it holds for durable.
    pub(crate) fn committed(&self) -> Option<u64> {
        self.log().lines().filter_map(committed).next_back().map(|(_, next)| next)
    }

    /// SIGKILL; the log that it leaves.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log()
    }

    /// SIGTERM, and the end of it.
    pub(crate) fn terminate(mut self) -> String {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
        self.log()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// (epoch, next) of a line that says so. The last line of a killed program may be half a line.
pub(crate) fn committed(line: &str) -> Option<(u64, u64)> {
    if !line.contains("\"committed\"") {
        return None;
    }
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    Some((fields.get("epoch")?.as_u64()?, fields.get("next")?.as_u64()?))
}
