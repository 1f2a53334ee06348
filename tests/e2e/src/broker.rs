//! A real mosquitto: no persistence, default queue limits, so that what it says it took it may
//! forget.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpStream;

use crate::program::Program;
use crate::scene::{Scene, free_port};
use crate::wait;

const START: Duration = Duration::from_secs(10);
/// Where distributions put it; servers' folders are not in everybody's path.
const PLACES: [&str; 3] =
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"];

/// A broker on a port that stays the same over its lives.
#[derive(Debug)]
pub struct Broker {
    /// Where it listens.
    pub port: u16,
    folder: PathBuf,
    program: Option<Program>,
}

impl Broker {
    /// Starts one.
    ///
    /// # Errors
    /// mosquitto is not installed or does not start.
    pub async fn start(scene: &Scene) -> anyhow::Result<Self> {
        let port = free_port()?;
        let folder = scene.path().to_path_buf();
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\nlog_type error\nlog_type warning\nlog_type notice\n"
        );
        std::fs::write(folder.join("mosquitto.conf"), text)?;
        let mut broker = Self { port, folder, program: None };
        broker.restart().await?;
        Ok(broker)
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(mosquitto()?);
        command.arg("-c").arg(self.folder.join("mosquitto.conf"));
        let mut program = Program::start("mosquitto", &mut command, &self.folder)?;
        let port = self.port;
        wait::until_true("mosquitto to listen", START, async || {
            program.must_run()?;
            Ok(TcpStream::connect(("127.0.0.1", port)).await.is_ok())
        })
        .await?;
        self.program = Some(program);
        Ok(())
    }

    /// SIGKILL: sessions, retained births and queued messages are gone.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.program.take().context("mosquitto does not run")?.kill()
    }
}

fn mosquitto() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("mosquitto"));
    let places = PLACES.iter().map(|place| Path::new(place).to_path_buf());
    match in_path.chain(places).find(|place| place.is_file()) {
        Some(place) => Ok(place),
        None => bail!("mosquitto is not installed: apt-get install mosquitto"),
    }
}
