//! `fengsui-gateway`: the program at the plant.
//!
//! Data to stdout, progress and logs to stderr. Exit: 0 fine, 1 problems found, 2 usage, 3 not
//! reachable, 4 refused.

use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use fengsui_gateway::commission::{self, GuessArgs, ReadArgs, Said, ScanArgs, WatchArgs};
use fengsui_gateway::{Loaded, Report, SpoolVerb, check, run_reloading, spool_verb};
use tokio::sync::watch;
use tracing::{Level, error, info};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Parser)]
#[command(
    name = "fengsui-gateway",
    version,
    about = "烽燧网关：读取现场仪表，就地报警，断网续传 | The gateway at the plant",
    after_help = "示例 Example:\n  fengsui-gateway check configs/demo/gateway.toml\n  \
                  fengsui-gateway run --config configs/demo/gateway.toml"
)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// 运行网关 | Run the gateway until it is told to stop
    #[command(
        after_help = "示例 Example:\n  fengsui-gateway run --config /etc/fengsui/gateway.toml"
    )]
    Run {
        /// 网关配置文件 | The gateway's file
        #[arg(long, value_name = "FILE", env = "FENGSUI_GATEWAY_CONFIG")]
        config: PathBuf,
        /// 日志输出为 JSON | Logs as JSON lines
        #[arg(long)]
        log_json: bool,
    },
    /// 检查配置，列出全部错误 | Check files and list every fault
    #[command(after_help = "示例 Example:\n  fengsui-gateway check configs/demo/site.toml --json")]
    Check {
        /// 网关配置或站点文件 | Gateway or site files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// 输出 JSON | Print JSON
        #[arg(long)]
        json: bool,
    },
    /// 扫描线路，找出有应答的从机 | Which units answer on a line
    #[command(
        after_help = "示例 Example:\n  fengsui-gateway scan --tcp 192.168.1.20:502 --units 1-32"
    )]
    Scan(ScanArgs),
    /// 每个测点读一次 | Read every point once
    #[command(after_help = "示例 Example:\n  fengsui-gateway read --config site.toml TK-101.LT")]
    Read(ReadArgs),
    /// 实时表格 | A live table
    #[command(after_help = "示例 Example:\n  fengsui-gateway watch --config site.toml")]
    Watch(WatchArgs),
    /// 由面板显示值推断类型、字序和系数 | Type, order and scale from the instrument's display
    #[command(
        after_help = "示例 Example:\n  fengsui-gateway guess --tcp 192.168.1.20:502 --unit 1 \
                      --register 100 --display 23.4"
    )]
    Guess(GuessArgs),
    /// 缓存：现状、校验、导出 | The spool: where it stands, whether it is whole, what it holds
    #[command(subcommand)]
    Spool(SpoolVerb),
    /// 生成命令补全脚本 | Print a completion script
    #[command(
        after_help = "示例 Example:\n  fengsui-gateway completion bash > fengsui-gateway.bash"
    )]
    Completion {
        /// bash, zsh, fish …
        shell: Shell,
    },
}

/// How long threads that hang are waited for at the end.
const END_MAX: Duration = Duration::from_secs(2);
const FINE: u8 = 0;
const PROBLEMS: u8 = 1;
const USAGE: u8 = 2;
const REFUSED: u8 = 4;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => {
            let code = if fault.use_stderr() { USAGE } else { FINE };
            return match fault.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::from(USAGE),
            };
        }
    };
    let code = match cli.command {
        Verb::Run { config, log_json } => run_gateway(&config, log_json),
        Verb::Check { files, json } => {
            let reports: Vec<Report> = files.iter().map(|file| check(file)).collect();
            let faulty = reports.iter().any(|report| !report.faults.is_empty());
            let text = if json { as_json(&reports) } else { as_text(&reports) };
            print(&text, if faulty { PROBLEMS } else { FINE })
        }
        Verb::Scan(args) => commissioned(commission::scan(args)),
        Verb::Read(args) => commissioned(commission::read(args)),
        Verb::Watch(args) => commissioned(commission::watch(args)),
        Verb::Guess(args) => commissioned(commission::guess(args)),
        Verb::Spool(verb) => spool_verb(&verb, &mut stdout().lock(), &mut stderr().lock()),
        Verb::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "fengsui-gateway", &mut script);
            print(&String::from_utf8_lossy(&script), FINE)
        }
    };
    ExitCode::from(code)
}

/// A reader that has gone (`| head`) is no fault of ours.
fn print(text: &str, code: u8) -> u8 {
    match stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => code,
        Err(_) => PROBLEMS,
    }
}

/// One thread is enough for a person.
fn commissioned(work: impl Future<Output = Said>) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            drop(writeln!(stderr(), "{fault}"));
            return PROBLEMS;
        }
    };
    let Said { out, err, code } = runtime.block_on(work);
    // Whoever still waits for a name server holds up nobody.
    runtime.shutdown_background();
    // Without stderr there is nobody to tell.
    drop(stderr().write_all(err.as_bytes()));
    print(&out, code)
}

fn as_json(reports: &[Report]) -> String {
    let text = serde_json::to_string_pretty(reports).expect("a report is plain text and numbers");
    text + "\n"
}

fn as_text(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        if report.faults.is_empty() {
            text += &format!(
                "{}：{} 个测点，{} 个报警，没有错误 | {} points, {} alarms, no fault\n",
                report.file, report.points, report.alarms, report.points, report.alarms
            );
            if report.by_exception > 0 {
                let count = report.by_exception;
                text += &format!(
                    "  {count} 个测点按例外上报 | {count} points are reported by exception\n"
                );
            }
            for device in &report.devices {
                let ms = device.answer_within_ms;
                let within =
                    ms.map_or_else(String::new, |ms| format!("，平均须在 {ms:.0} ms 内应答"));
                let within_en = ms.map_or_else(String::new, |ms| format!(", {ms:.0} ms for each"));
                text += &format!(
                    "  {}：{} 个测点，每轮 {} 次读取，每秒 {:.1} 次{within} | {} points, {} reads a round{within_en}\n",
                    device.name,
                    device.points,
                    device.requests,
                    device.requests_per_s,
                    device.points,
                    device.requests
                );
            }
            text += &lines(report);
            text += &report.hints_text();
        } else {
            text += &report.faults_text();
        }
    }
    text
}

/// Lines, and how long alarms take at worst.
fn lines(report: &Report) -> String {
    let mut text = String::new();
    for bus in &report.buses {
        text += &format!(
            "  总线 {}：{} baud，{} 台设备，占用不少于 {} % | line {}, {} devices, at least {} % used\n",
            bus.name,
            bus.baud,
            bus.devices,
            bus.used_percent,
            bus.name,
            bus.devices,
            bus.used_percent
        );
        let start_s = bus.start_ms.div_ceil(1_000);
        text += &format!(
            "    启动后 {start_s} 秒内都应有读数；对其他读取长度不应答的设备最迟 | after a start every device \
             has been read within {start_s} s; last those that answer no other length\n"
        );
        text += match bus.rs485 {
            Some("kernel") => {
                "    RS-485 方向：打开串口时交由内核切换（TIOCSRS485）；驱动不支持时记入日志并继续读取 | the kernel \
                 switches the direction; a driver that cannot is a warning in the log\n"
            }
            Some(_) => "    RS-485 方向：由适配器自行切换 | the adapter switches the direction\n",
            None => "",
        };
    }
    for reach in &report.reaches {
        let seconds = |ms: u64| ms.div_ceil(10);
        let worst = seconds(reach.worst_ms);
        let outputs = match reach.heard_by.as_deref() {
            None => String::new(),
            Some([]) => "；输出 outputs：无 none".to_owned(),
            Some(outputs) => format!("；输出 outputs：{}", outputs.join(", ")),
        };
        text += &format!(
            "  {}：从变化到就地报警最长 {}.{:02} 秒（采集 {} ms，延时 {} ms） | at most, from change to local alarm{outputs}\n",
            reach.alarm,
            worst / 100,
            worst % 100,
            reach.read_ms,
            reach.on_delay_ms
        );
    }
    text
}

fn run_gateway(path: &std::path::Path, log_json: bool) -> u8 {
    // Targets and levels: a filter for fields of spans would bring a regular expression engine
    // along, and a board with little memory holds every page of it that lies beside something used.
    let asked = std::env::var("FENGSUI_LOG").ok().and_then(|asked| asked.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(Level::INFO));
    let logs = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(stderr);
    if log_json {
        logs.json().finish().with(filter).init();
    } else {
        logs.finish().with(filter).init();
    }
    let loaded = match Loaded::load(path) {
        Ok(loaded) => loaded,
        Err(faults) => {
            for fault in &faults {
                error!(%fault, "configuration is refused");
            }
            return REFUSED;
        }
    };
    // Two threads: one is enough for the work, the other keeps alarms going while a name is
    // resolved or a file is slow.
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(fault) => {
                error!(%fault, "no runtime");
                return PROBLEMS;
            }
        };
    let ended = runtime.block_on(until_stopped(loaded));
    // A file that hangs must not hold the end.
    runtime.shutdown_timeout(END_MAX);
    match ended {
        Ok(()) => FINE,
        Err(fault) => {
            error!(fault = %format!("{fault:#}"), "gateway ends");
            PROBLEMS
        }
    }
}

async fn until_stopped(loaded: Loaded) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        info!("stopping");
        stop.send_replace(true);
    });
    run_reloading(loaded, stopped).await
}
