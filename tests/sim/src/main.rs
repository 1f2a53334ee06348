//! `fengsui-plant`: the simulated plant as a program.
//!
//! Ports to stdout, logs to stderr. Exit status: 1 faulty files, 2 usage, 3 a port cannot be had.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use fengsui_plant::schedule::Schedule;
use fengsui_plant::{Plant, PlantConfig, PlantError, to_file};

const FAULTY: u8 = 1;
const NO_PORT: u8 = 3;

/// 模拟现场：在真实的 Modbus TCP 上模拟储罐、气体报警器和坝体。
///
/// A simulated plant on real Modbus TCP: tanks, gas heads, a dam.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "示例 Example:\n  fengsui-plant --config configs/demo/plant.toml --seed 7 --faults faults.toml"
)]
struct Arguments {
    /// 配置文件 | Configuration file, TOML
    #[arg(long)]
    config: PathBuf,
    /// 随机种子，覆盖配置文件 | Seed, instead of the one in the file
    #[arg(long)]
    seed: Option<u64>,
    /// 故障与操作时间表 | Faults file: what goes wrong when
    #[arg(long)]
    faults: Option<PathBuf>,
    /// 真值日志（JSON 行），不受故障影响 | Log of true values, JSON lines, untouched by faults
    #[arg(long)]
    truth: Option<PathBuf>,
    /// 运行多少秒后自行结束 | Ends by itself after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// 端口以 JSON 输出 | Ports as one JSON object
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let no_port = matches!(error.downcast_ref(), Some(PlantError::Listen { .. }));
            writeln!(std::io::stderr(), "{error:#}").ok();
            ExitCode::from(if no_port { NO_PORT } else { FAULTY })
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut config = PlantConfig::load(&arguments.config).map_err(|faults| listed(&faults))?;
    if let Some(seed) = arguments.seed {
        config.seed = seed;
    }
    let names: Vec<&str> = config.devices.iter().map(|device| device.name.as_str()).collect();
    let schedule = match &arguments.faults {
        Some(path) => Schedule::load(path, &names).map_err(|faults| listed(&faults))?,
        None => Schedule::default(),
    };
    let plant = match &arguments.truth {
        Some(path) => {
            let sink = to_file(path).with_context(|| format!("{}", path.display()))?;
            Plant::start_logged(config, sink).await?
        }
        None => Plant::start(config).await?,
    };
    announce(&plant, arguments.json)?;
    let playing = tokio::spawn(schedule.play(plant.control()));
    wait_for_end(arguments.seconds).await?;
    playing.abort();
    plant.stop().await;
    Ok(())
}

fn listed(faults: &[fengsui_plant::config::ConfigFault]) -> anyhow::Error {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    anyhow::anyhow!(lines.join("\n"))
}

fn announce(plant: &Plant, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let devices: Vec<_> = plant
            .endpoints()
            .iter()
            .map(|endpoint| {
                serde_json::json!({
                    "device": endpoint.device,
                    "host": endpoint.address.ip(),
                    "port": endpoint.address.port(),
                    "unit": endpoint.unit,
                    "units": endpoint.units,
                })
            })
            .collect();
        writeln!(out, "{}", serde_json::json!({ "devices": devices }))?;
    } else {
        for endpoint in plant.endpoints() {
            writeln!(out, "{}\t{}\tunit {}", endpoint.device, endpoint.address, endpoint.unit)?;
        }
    }
    Ok(out.flush()?)
}

/// Ctrl-C, a polite kill, or the end of the time given.
async fn wait_for_end(seconds: Option<u64>) -> anyhow::Result<()> {
    let mut polite = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let told = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = polite.recv() => {}
        }
    };
    match seconds {
        // Running out of time is the ordinary end here.
        Some(seconds) => drop(tokio::time::timeout(Duration::from_secs(seconds), told).await),
        None => told.await,
    }
    Ok(())
}
