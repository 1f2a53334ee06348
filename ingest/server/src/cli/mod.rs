//! The command line. Data to stdout, progress and logs to stderr.
//!
//! Exit status: 0 fine, 1 problems found, 2 usage, 3 not reachable, 4 refused.

pub mod backtest;
mod brake;
mod centre;
mod gb18218;
mod journal;
mod limits;
mod near;
mod replay;
mod report;
mod roster;
mod rules;
mod table;
mod user;

pub(crate) use table::lines;

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use tokio::sync::watch;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Config;
use crate::demo;

/// 烽燧 Fengsui：重大危险源监测预警中心。The centre: intake, alarms, console.
#[derive(Parser)]
#[command(name = "fengsui", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "例 Example: fengsui demo     打开所示网址，一分钟内听到第一次报警")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 演示：模拟现场、网关、中心一起运行。A simulated plant, a gateway and a centre.
    #[command(after_help = "例 Example: fengsui demo --for 60s --json")]
    Demo {
        /// 控制台端口 port of the console
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// 运行多久后自行结束并给出小结，如 60s、5m  end by itself after this long
        #[arg(long = "for", value_parser = span)]
        runs_for: Option<Duration>,
        /// 数据目录（默认临时目录，结束即删） folder for the data, default a temporary one
        #[arg(long)]
        data: Option<PathBuf>,
        /// 小结以 JSON 输出 summary as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// 运行中心。Runs the centre.
    #[command(after_help = "例 Example: fengsui serve --config configs/demo/centre.toml")]
    Serve {
        /// 配置文件 configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// 检查配置，列出全部错误。Checks configurations and lists every fault.
    #[command(after_help = "例 Example: fengsui check configs/demo/centre.toml")]
    Check {
        /// 文件 files
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// 看门狗：独立进程，中心不出声时由它出声。Speaks when the centre does not.
    #[command(after_help = "例 Example: fengsui watchdog --config configs/demo/centre.toml")]
    Watchdog {
        /// 中心的配置文件（其中的 [watchdog]） the centre's configuration, table [watchdog]
        #[arg(long)]
        config: PathBuf,
    },
    /// 报警台账。The alarm journal.
    Journal {
        #[command(subcommand)]
        command: journal::Command,
    },
    /// 用户与令牌。Users and tokens.
    User {
        #[command(subcommand)]
        command: user::Command,
    },
    /// 限值：提交、导出、比较、历史、批准。Limits and their revisions.
    Limits {
        #[command(subcommand)]
        command: limits::Command,
    },
    /// 名册：检查、生效、查看。Who is called: check, put in force, show.
    Roster {
        #[command(subcommand)]
        command: roster::Command,
    },
    /// 用报警引擎重放测试向量。Runs alarm vectors through the engine.
    #[command(after_help = "例 Example: fengsui replay --vectors tests/data/alarm-vectors.jsonl")]
    Replay {
        /// 每行一个场景的文件 a file with one scenario a line
        #[arg(long)]
        vectors: PathBuf,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// 用实际报警引擎回放历史数据。What a limit would have done.
    Backtest(Box<backtest::Args>),
    /// 重大危险源辨识与分级（GB 18218-2018）。Major hazard sources.
    Gb18218(gb18218::Args),
    /// 规则包：标准对限值的要求。Rule packs: what standards ask of limits.
    Rules {
        #[command(subcommand)]
        command: rules::Command,
    },
    /// 日报、月报、班报。Figures of a day, a month or a shift, also while the centre runs.
    Report(report::Args),
    /// 命令补全脚本。Completion for a shell.
    Completion {
        /// bash, zsh, fish …
        shell: clap_complete::Shell,
    },
}

/// Reads `60s`, `5m`, `2h` or plain seconds.
fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().find(|(_, c)| c.is_ascii_alphabetic()) {
        Some((at, _)) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        other => return Err(format!("{other:?} is not s, m or h; write for example 60s")),
    };
    let number: u64 =
        number.parse().map_err(|_| format!("{number:?} is not a number; write for example 60s"))?;
    let seconds = number.checked_mul(factor).filter(|s| (1..=31_536_000).contains(s));
    seconds.map(Duration::from_secs).ok_or_else(|| "must be 1 s to one year".to_owned())
}

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0
    Fine,
    /// 1
    Problems,
    /// 2
    Usage,
    /// 3
    Unreachable,
    /// 4
    Refused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Problems => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Refused => 4,
        })
    }
}

/// Writes a line of data to stdout; a reader that has gone away is no fault of ours.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Reads the arguments and runs.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    logging();
    match args.command {
        Command::Demo { port, runs_for, data, json } => {
            block_on(async move { demo::command(demo::Args { port, runs_for, data, json }).await })
        }
        Command::Serve { config } => serve(&config),
        Command::Watchdog { config } => watchdog(&config),
        Command::Check { paths, json } => check(&paths, json),
        Command::Journal { command } => journal::run(&command),
        Command::User { command } => user::run(command),
        Command::Limits { command } => limits::run(&command),
        Command::Roster { command } => roster::run(&command),
        Command::Replay { vectors, json } => replay::run(&vectors, json),
        Command::Backtest(args) => backtest::run(&args),
        Command::Gb18218(args) => gb18218::run(&args),
        Command::Rules { command } => rules::run(&command),
        Command::Report(args) => report::run(&args),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "fengsui", &mut std::io::stdout());
            Exit::Fine
        }
    }
    .into()
}

fn logging() {
    let quiet =
        "warn,fengsui=info,fengsui_gateway=info,fengsui_store=info,mqtt5=error,rumqttc=error";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .finish()
        .with(brake::Brake::default())
        .init();
}

fn block_on(work: impl Future<Output = anyhow::Result<Exit>>) -> Exit {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(fault) => {
            error!(%fault, "no runtime");
            return Exit::Problems;
        }
    };
    let exit = runtime.block_on(work).unwrap_or_else(|fault| {
        error!("{fault:#}");
        if is_taken(&fault) { Exit::Refused } else { Exit::Problems }
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    exit
}

/// Somebody else has the address already.
fn is_taken(fault: &anyhow::Error) -> bool {
    let kinds = fault.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    kinds.into_iter().any(|fault| fault.kind() == std::io::ErrorKind::AddrInUse)
}

fn serve(path: &std::path::Path) -> Exit {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(faults) => {
            faults.iter().for_each(|fault| error!("{fault}"));
            return Exit::Refused;
        }
    };
    block_on(async move {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            asked_to_stop().await;
            info!("stopping; a second signal ends at once");
            stop.send_replace(true);
            asked_to_stop().await;
            std::process::exit(1);
        });
        crate::run(config, stopped).await?;
        Ok(Exit::Fine)
    })
}

fn watchdog(path: &std::path::Path) -> Exit {
    match Config::load(path) {
        Ok(Config { watchdog: Some(settings), .. }) => block_on(async move {
            tokio::select! {
                () = crate::watchdog::run(settings) => {}
                () = asked_to_stop() => {}
            }
            Ok(Exit::Fine)
        }),
        Ok(_) => {
            error!("{}: 没有 [watchdog] 一节 / has no table [watchdog]; add one", path.display());
            Exit::Refused
        }
        Err(faults) => {
            faults.iter().for_each(|fault| error!("{fault}"));
            Exit::Refused
        }
    }
}

/// Ctrl-C or SIGTERM.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => terminated.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

fn check(paths: &[PathBuf], json: bool) -> Exit {
    let mut all = Vec::new();
    for path in paths {
        match Config::load(path) {
            Ok(config) => {
                all.extend(config.exposure().map(|warning| (false, warning)));
                let limits = config.gateways.iter().flat_map(|known| known.limits.check_alone());
                all.extend(limits.map(|fault| (true, fault.to_string())));
            }
            Err(faults) => all.extend(faults.into_iter().map(|fault| (true, fault.0))),
        }
    }
    let bad = all.iter().filter(|(is_fault, _)| *is_fault).count();
    if json {
        let faults: Vec<_> = all
            .iter()
            .map(|(is_fault, text)| serde_json::json!({ "fault": is_fault, "text": text }))
            .collect();
        say(&serde_json::json!({ "files": paths.len(), "faults": bad, "list": faults }).to_string());
    } else {
        all.iter().for_each(|(is_fault, text)| {
            say(&format!("{} {text}", if *is_fault { "✕" } else { "!" }))
        });
        say(&format!("{} 个文件，{bad} 处错误 / {} files, {bad} faults", paths.len(), paths.len()));
    }
    if bad == 0 { Exit::Fine } else { Exit::Problems }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_nonsense_is_named() {
        assert_eq!(span("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(span("90"), Ok(Duration::from_secs(90)));
        for bad in ["", "s", "5d", "0s", "-3s", "99999999999999999999h"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }
}
