//! `fengsui-bench`: measures what the goals name and writes `target/bench/summary.json`.
//!
//! - The zero-loss settings are on in all of it: QoS 1, fsync before every acknowledgement.
//! - Progress to stderr, the table to stdout. Exit 0 when everything could be measured, whether
//!   or not the goals are reached; a goal that is missed is shown as missed.
//! - Files are written below the folder of the summary, on the disk that is to be measured.

mod backlog;
mod backtest;
mod centre;
mod clock;
mod engine;
mod figures;
mod fleet;
mod gateway;
mod ingest;
mod ingest_mqtt;
mod latency;
mod line;
mod line_site;
mod load;
mod process;
mod store;
mod victoria;

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use figures::{Figure, aims};
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

/// 测量各项指标 | Measures the figures that have goals
#[derive(Parser)]
#[command(version, after_help = "示例 Example:\n  make bench\n  fengsui-bench --only latency")]
struct Arguments {
    /// 只测这些 | Only these
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// 网关程序；默认为与本程序同目录者 | The gateway's program; if not given, the one beside this
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// 汇总文件 | Where the summary goes
    #[arg(long, default_value = "target/bench/summary.json")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Engine,
    Store,
    Backtest,
    Ingest,
    Mqtt,
    Latency,
    Gateway,
    Backlog,
    Line,
}

impl Part {
    const ALL: [Self; 9] = [
        Self::Engine,
        Self::Store,
        Self::Backtest,
        Self::Ingest,
        Self::Mqtt,
        Self::Latency,
        Self::Gateway,
        Self::Backlog,
        Self::Line,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Engine => "报警引擎单独 | the engine alone",
            Self::Store => "存储单独 | the store alone",
            Self::Backtest => "回放 | ninety days of one point through the engine",
            Self::Ingest => "接入 | ingest, end to end",
            Self::Mqtt => "接入（经 MQTT）| ingest over MQTT",
            Self::Latency => "时延与线路 | latency and wire, 5,000 samples/s",
            Self::Gateway => "网关内存 | the gateway's memory",
            Self::Backlog => "断网一周后的补传 | a week of backlog beside live values",
            Self::Line => "总线 | one RTU line of 32, three of them dead",
        }
    }
}

/// A line of progress.
pub(crate) fn note(text: &str) {
    // Nobody reading progress is no fault.
    writeln!(stderr(), "{text}").ok();
}

fn main() -> ExitCode {
    // One provider for every client; nothing is encrypted here.
    rustls::crypto::ring::default_provider().install_default().ok();
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("FENGSUI_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).init();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            note(&format!("{fault:#}"));
            ExitCode::FAILURE
        }
    }
}

/// True when everything could be measured.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let folder = arguments.out.parent().map(Path::to_path_buf).unwrap_or_default();
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut all = Vec::new();
    let mut whole = true;
    for part in Part::ALL {
        if !arguments.only.is_empty() && !arguments.only.contains(&part) {
            continue;
        }
        note(part.title());
        match measure(part, &folder, arguments.gateway.as_deref()) {
            Ok(figures) => all.extend(figures),
            Err(fault) => {
                whole = false;
                note(&format!("  未测得 not measured: {fault:#}"));
            }
        }
    }
    figures::write(&all, &arguments.out)?;
    let mut out = stdout().lock();
    writeln!(out, "{}\n{}", figures::table(&all), arguments.out.display())?;
    Ok(whole)
}

fn measure(part: Part, folder: &Path, gateway: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let work = TempDir::with_prefix_in("work-", folder)?;
    let peer_folder = TempDir::with_prefix_in("peer-", folder)?;
    // Its own runtime each, so that nothing of one measurement runs in the next.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let peer = |form| runtime.block_on(victoria::measure(peer_folder.path(), form));
    match part {
        Part::Engine => engine::measure(),
        Part::Backtest => backtest::measure(work.path()),
        Part::Store => {
            let figures = store::measure(work.path())?;
            Ok(beside(
                figures,
                aims::store_samples_per_cpu_second,
                "with quality",
                peer(victoria::Form::ValueAndQuality)?,
            ))
        }
        Part::Ingest => {
            let figures = runtime.block_on(ingest::measure(work.path()))?;
            Ok(beside(
                figures,
                aims::ingest_samples_per_cpu_second,
                "store only",
                peer(victoria::Form::Value)?,
            ))
        }
        Part::Mqtt => runtime.block_on(ingest_mqtt::measure(work.path())),
        Part::Latency => runtime.block_on(latency::measure(work.path())),
        Part::Gateway => {
            let beside = || process::neighbour("fengsui-gateway");
            let binary = gateway.map(Path::to_path_buf).or_else(beside).context(
                "fengsui-gateway is not beside this program; build it, or name it with --gateway",
            )?;
            runtime.block_on(gateway::measure(&binary, work.path()))
        }
        Part::Backlog => runtime.block_on(backlog::measure(work.path())),
        Part::Line => line::measure(work.path()),
    }
}

/// Puts the peer's figure beside ours.
fn beside(
    mut figures: Vec<Figure>,
    aim: figures::Aim,
    what: &str,
    peer: Option<f64>,
) -> Vec<Figure> {
    for figure in figures.iter_mut().filter(|figure| figure.aim.name == aim.name) {
        figure.peer = peer.map(|value| (format!("VictoriaMetrics ({what})"), value));
    }
    figures
}
