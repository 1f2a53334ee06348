//! The real `fengsui serve`, killed and started again on the same files and the same port.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::http::Api;
use crate::program::{Program, binary};
use crate::scene::{Scene, free_port};
use crate::wait;

/// A restart replays what came since the last snapshot.
const START: Duration = Duration::from_secs(60);
/// A centre that is told to end drains for at most five seconds, twice.
const END: Duration = Duration::from_secs(20);

/// What a centre is told.
#[derive(Clone, Debug)]
pub struct CentreSetup {
    /// Table `[mqtt]`: `broker = "…"` or `embedded = "…"`.
    pub mqtt: String,
    /// Table `[alarm]`, may be empty.
    pub alarm: String,
    /// Each gateway with the path of its limits, relative to the scene.
    pub gateways: Vec<(String, String)>,
}

/// A centre.
#[derive(Debug)]
pub struct Centre {
    /// Its API.
    pub api: Api,
    /// Its port.
    pub port: u16,
    /// Its data.
    pub data: PathBuf,
    folder: PathBuf,
    program: Option<Program>,
}

/// Makes a person of this role with a token, as an operator's script does; what to show.
///
/// # Errors
/// The command line refuses.
pub fn enrol(data: &Path, name: &str, role: &str) -> anyhow::Result<String> {
    let run = |args: &[&str]| {
        let mut command = Command::new(binary("fengsui")?);
        let output = command.arg("user").args(args).arg("--data").arg(data).output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "fengsui user {args:?}: {told}");
        Ok(String::from_utf8(output.stdout)?)
    };
    run(&["add", name, "--role", role, "--generate"])?;
    Ok(format!("Bearer {}", run(&["token", "add", name])?.trim()))
}

impl Centre {
    /// Writes its configuration and starts it.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(scene: &Scene, setup: &CentreSetup) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut text = format!(
            "data = \"centre\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n[mqtt]\n{}\n[alarm]\n{}\n",
            setup.mqtt, setup.alarm
        );
        for (id, limits) in &setup.gateways {
            text += &format!("[[gateway]]\nid = \"{id}\"\nlimits = \"{limits}\"\n");
        }
        let folder = scene.path().to_path_buf();
        std::fs::write(folder.join("centre.toml"), text)?;
        let data = folder.join("centre");
        let mut api = Api::new(port)?;
        api.token = Some(enrol(&data, "e2e", "admin")?);
        let mut centre = Self { api, port, data, folder, program: None };
        centre.restart().await?;
        Ok(centre)
    }

    /// Starts it again.
    ///
    /// # Errors
    /// It does not answer in time.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(binary("fengsui")?);
        command.arg("serve").arg("--config").arg(self.folder.join("centre.toml"));
        let mut program = Program::start("centre", &mut command, &self.folder)?;
        let api = self.api.clone();
        wait::until_true("the centre to answer", START, async || {
            program.must_run()?;
            Ok(api.get("/healthz").await.is_ok())
        })
        .await?;
        self.program = Some(program);
        Ok(())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.program.take().context("the centre does not run")?.kill()
    }

    /// SIGTERM: it drains and ends.
    ///
    /// # Errors
    /// It does not end, or with a fault.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        let status = self.program()?.terminate(END).await?;
        anyhow::ensure!(status.success(), "the centre ended with {status}");
        self.program = None;
        Ok(())
    }

    /// The process.
    ///
    /// # Errors
    /// It does not run.
    pub fn program(&mut self) -> anyhow::Result<&mut Program> {
        self.program.as_mut().context("the centre does not run")
    }
}
