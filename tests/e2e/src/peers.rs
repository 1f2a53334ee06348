//! The programs of `tests/peers`: a Modbus server that nobody here made plays a recorded series,
//! an oracle counts its alarms, a comparison finds what was lost.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::program::{Program, root};
use crate::scene::Scene;
use crate::wait;

const START: Duration = Duration::from_secs(30);

/// Python and the series, prepared by `tests/peers/setup.sh`.
#[derive(Clone, Debug)]
pub struct Peers {
    python: PathBuf,
    /// The whole series.
    pub series: PathBuf,
}

/// One occurrence: ms since 1970, no end while it lasts.
pub type Span = (i64, Option<i64>);

/// Which alarm of the series.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// `E` … `W`
    pub place: &'static str,
    /// `H` or `HH`
    pub kind: &'static str,
    /// ppm
    pub limit: f64,
    /// ppm
    pub deadband: f64,
}

/// The alarms of `tests/peers/site/limits.csv`.
pub const LIMITS: [Limit; 9] = [
    h("E"),
    h("N"),
    h("NE"),
    h("NW"),
    h("S"),
    h("SE"),
    h("SW"),
    h("W"),
    Limit { place: "SE", kind: "HH", limit: 50.0, deadband: 1.0 },
];

const fn h(place: &'static str) -> Limit {
    Limit { place, kind: "H", limit: 5.0, deadband: 0.0 }
}

impl Limit {
    /// Its key in the centre.
    #[must_use]
    pub fn key(&self) -> String {
        format!("GW-PEER/CH4.{}/{}", self.place, self.kind)
    }
}

#[derive(Deserialize)]
struct Counted {
    occurrences: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    on: String,
    off: Option<String>,
}

/// What a comparison found.
#[derive(Clone, Debug, Deserialize)]
pub struct Compared {
    /// Cells.
    pub expected: u64,
    /// Rows of the dump.
    pub rows: u64,
    /// Cells without a row.
    pub lost: u64,
    /// Rows beyond the first of a cell.
    pub duplicated: u64,
    /// Rows that say something else.
    pub wrong: u64,
    /// Bad rows at times that the series does not have.
    pub outside: u64,
    /// Some of them, in words.
    pub examples: Vec<String>,
}

/// What the replay server says of itself.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ReplayStatus {
    /// Rows of the series.
    pub rows: u64,
    /// Rows that nobody has read whole.
    pub unread: u64,
    /// Connections so far.
    pub connections: u64,
    /// The last row and a window more were read by one reader.
    pub done: bool,
}

impl Peers {
    /// Prepares them.
    ///
    /// # Errors
    /// `setup.sh` fails: it says why.
    pub fn ready() -> anyhow::Result<Self> {
        let root = root();
        let done = Command::new("bash").arg("tests/peers/setup.sh").current_dir(&root).output()?;
        let text = stdout_of("tests/peers/setup.sh", &done)?;
        let mut lines = text.lines().map(|line| root.join(line));
        let (python, series) = lines.next().zip(lines.next()).context("setup.sh says two paths")?;
        Ok(Self { python, series })
    }

    /// A part of the series as a file of its own.
    ///
    /// # Errors
    /// The series has fewer rows.
    pub fn part(&self, scene: &Scene, first: usize, rows: usize) -> anyhow::Result<PathBuf> {
        let text = std::fs::read_to_string(&self.series)?;
        let mut lines = text.lines();
        let heading = lines.next().context("a heading")?;
        let part: Vec<&str> = lines.skip(first).take(rows).collect();
        ensure!(part.len() == rows, "the series has no {rows} rows from {first}");
        let path = scene.path().join("part.csv");
        std::fs::write(&path, format!("{heading}\n{}\n", part.join("\n")))?;
        Ok(path)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(root().join("tests/peers").join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// The occurrences of one alarm, by the operator's rules.
    ///
    /// # Errors
    /// The oracle does not answer.
    pub fn oracle(&self, series: &Path, limit: &Limit) -> anyhow::Result<Vec<Span>> {
        let mut command = self.program("oracle.py");
        command.arg(series).args(["--column", &format!("CH4_ppm_{}", limit.place)]);
        command.args(["--kind", "hi", "--limit", &limit.limit.to_string()]);
        command.args(["--deadband", &limit.deadband.to_string(), "--json"]);
        let text = stdout_of("oracle.py", &command.output()?)?;
        let counted: Counted = serde_json::from_str(&text).context("oracle.py")?;
        let spans = counted.occurrences.iter().map(|named| {
            let off = named.off.as_deref().map(time_ms).transpose()?;
            Ok((time_ms(&named.on)?, off))
        });
        spans.collect()
    }

    /// What of the series is not in the dump, or wrong in it.
    ///
    /// # Errors
    /// The comparison does not answer.
    pub fn compare(&self, dump: &Path, series: &Path) -> anyhow::Result<Compared> {
        let mut command = self.program("compare.py");
        let done = command.arg(dump).arg(series).arg("--json").output()?;
        // Status 1 says that something is wrong with the dump: that is ours to judge.
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let said = || String::from_utf8_lossy(&done.stderr).into_owned();
        serde_json::from_str(&text).with_context(said)
    }

    /// Starts the Modbus server over a series.
    ///
    /// # Errors
    /// It does not start.
    pub async fn replay(
        &self,
        scene: &Scene,
        series: &Path,
        options: &[&str],
    ) -> anyhow::Result<Replay> {
        let mut command = self.program("replay_server.py");
        command.arg("0").arg(series).args(["--control", "0"]).args(options);
        let mut program = Program::start("replay", &mut command, scene.path())?;
        let line = wait::until("the replay server to listen", START, async || {
            program.must_run()?;
            let text = program.output()?;
            Ok(text.split_once('\n').map(|(line, _)| line.to_owned()))
        })
        .await?;
        let ports: Ports = serde_json::from_str(&line).context("replay_server.py")?;
        Ok(Replay { port: ports.listening, control: ports.control, program })
    }
}

#[derive(Deserialize)]
struct Ports {
    listening: u16,
    control: u16,
}

/// A running replay server.
#[derive(Debug)]
pub struct Replay {
    /// Where it speaks Modbus TCP.
    pub port: u16,
    control: u16,
    program: Program,
}

impl Replay {
    /// How far it is.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn status(&mut self) -> anyhow::Result<ReplayStatus> {
        self.say("status").await
    }

    /// With `--hold`: lets the next row come.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn next(&mut self) -> anyhow::Result<ReplayStatus> {
        self.say("next").await
    }

    async fn say(&mut self, word: &str) -> anyhow::Result<ReplayStatus> {
        self.program.must_run()?;
        let mut stream = TcpStream::connect(("127.0.0.1", self.control)).await?;
        stream.write_all(format!("{word}\n").as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        serde_json::from_str(&line).with_context(|| format!("{word}: {line}"))
    }
}

fn stdout_of(name: &str, done: &Output) -> anyhow::Result<String> {
    if !done.status.success() {
        bail!("{name}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Milliseconds since 1970 of an RFC 3339 time.
///
/// # Errors
/// It is none.
pub fn time_ms(text: &str) -> anyhow::Result<i64> {
    let time: jiff::Timestamp = text.parse().with_context(|| format!("time {text:?}"))?;
    Ok(time.as_millisecond())
}
