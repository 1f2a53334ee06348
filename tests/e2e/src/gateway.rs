//! The real `fengsui-gateway run`, killed and started again on the same spool.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::program::{Program, binary};
use crate::scene::Scene;

/// A gateway that is told to end drains for at most five seconds and ends its parts.
const END: Duration = Duration::from_secs(30);

/// A gateway.
#[derive(Debug)]
pub struct Gateway {
    folder: PathBuf,
    config: PathBuf,
    program: Option<Program>,
}

/// What a gateway is told.
#[derive(Clone, Debug)]
pub struct GatewaySetup {
    /// Its site file, relative to the scene.
    pub site: String,
    /// Port of its broker.
    pub broker: u16,
    /// Table `[alarm]`, may be empty.
    pub alarm: String,
}

impl Gateway {
    /// Writes its configuration and starts it.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(scene: &Scene, setup: &GatewaySetup) -> anyhow::Result<Self> {
        let folder = scene.path().to_path_buf();
        let text = format!(
            "site = \"{}\"\ndata = \"gateway\"\n[uplink]\nhost = \"127.0.0.1\"\nport = {}\n[local]\noutput = \"sim\"\n[spool]\ncommit_ms = 100\nmax_mb = 64\n[alarm]\n{}\n",
            setup.site, setup.broker, setup.alarm
        );
        let config = folder.join("gateway.toml");
        std::fs::write(&config, text)?;
        let mut gateway = Self { folder, config, program: None };
        gateway.restart()?;
        Ok(gateway)
    }

    /// Starts it again.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(binary("fengsui-gateway")?);
        command.arg("run").arg("--config").arg(&self.config);
        self.program = Some(Program::start("gateway", &mut command, &self.folder)?);
        Ok(())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.program.take().context("the gateway does not run")?.kill()
    }

    /// SIGTERM: it drains and ends.
    ///
    /// # Errors
    /// It does not end, or with a fault.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        let status = self.program()?.terminate(END).await?;
        anyhow::ensure!(status.success(), "the gateway ended with {status}");
        self.program = None;
        Ok(())
    }

    /// The process.
    ///
    /// # Errors
    /// It does not run.
    pub fn program(&mut self) -> anyhow::Result<&mut Program> {
        self.program.as_mut().context("the gateway does not run")
    }
}

/// Copies a site into the scene's folder `site`, with another port for its device.
///
/// # Errors
/// A file cannot be read or written.
pub fn lay_out_site(scene: &Scene, from: &Path, ports: &[(u16, u16)]) -> anyhow::Result<()> {
    let folder = scene.path().join("site");
    std::fs::create_dir_all(&folder)?;
    for name in ["site.toml", "points.csv", "limits.csv"] {
        let path = from.join(name);
        let mut text =
            std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        for (written, given) in ports.iter().filter(|_| name == "site.toml") {
            let (old, new) = (format!("port = {written}\n"), format!("port = {given}\n"));
            anyhow::ensure!(text.contains(&old), "{} has no {old}", path.display());
            text = text.replace(&old, &new);
        }
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
