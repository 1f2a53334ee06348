//! `fengsui report day|month|shift`: reads the journal of a data folder, also while the centre
//! runs, and writes nothing into it.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args as Arguments, ValueEnum};
use fengsui_store::{ConfigDb, JournalReader};
use indicatif::{ProgressBar, ProgressStyle};
use tracing::error;

use super::{Exit, say};
use crate::clock;
use crate::config::Config;
use crate::limits::{held, judging};
use crate::report::{self, Ask, Kind, Period, Report, Site, report_json, sheets, write};
use crate::restore;

/// A running centre leaves a sign of life every three seconds; after five that did not come it is
/// taken for one that does not run.
const LIVES_MS: i64 = 15_000;

/// Which period.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    /// 日报 a day
    Day,
    /// 月报 a month
    Month,
    /// 班报 a shift
    Shift,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// 文本 text
    Text,
    /// JSON
    Json,
    /// 网页 one HTML page
    Html,
    /// Excel
    Xlsx,
    /// CSV
    Csv,
}

/// What to report.
#[derive(Arguments)]
#[command(
    after_help = "例 Example: fengsui report day --date 2026-11-21 --config configs/demo/centre.toml\n            fengsui report month --date 2026-11 --config centre.toml --format xlsx --out 11月.xlsx"
)]
pub(super) struct Args {
    /// day, month, shift
    which: Which,
    /// 日期，如 2026-11-21；月报可写 2026-11；班报可写 "2026-11-21 08:00"；默认最近一个已结束的期间
    /// the date; without it the newest period that is over
    #[arg(long)]
    date: Option<String>,
    /// 中心的配置文件 the centre's configuration
    #[arg(long, default_value = "centre.toml")]
    config: PathBuf,
    /// 格式 format
    #[arg(long, value_enum, default_value = "text")]
    format: Shape,
    /// 同 --format json  the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// 写入文件，默认标准输出 a file; otherwise stdout
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What stopped it.
struct Stop {
    exit: Exit,
    text: String,
}

fn stop(exit: Exit) -> impl Fn(String) -> Stop {
    move |text| Stop { exit, text }
}

pub(super) fn run(args: &Args) -> Exit {
    match work(args) {
        Ok(()) => Exit::Fine,
        Err(stop) => {
            error!("{}", stop.text);
            stop.exit
        }
    }
}

fn work(args: &Args) -> Result<(), Stop> {
    let shape = if args.json { Shape::Json } else { args.format };
    if shape == Shape::Xlsx && args.out.is_none() && std::io::stdout().is_terminal() {
        let text =
            "xlsx 不能显示在终端：请加 --out 文件名 / a terminal shows no xlsx: add --out FILE";
        return Err(stop(Exit::Usage)(text.to_owned()));
    }
    let config = Config::load(&args.config).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        stop(Exit::Refused)(faults.join("\n"))
    })?;
    let report = read(args, config.clone())?;
    let bytes = match shape {
        Shape::Text => write::text(&sheets(&report, &config.stamp)).into_bytes(),
        Shape::Json => format!("{}\n", report_json(&report, &config.stamp)).into_bytes(),
        Shape::Csv => write::csv(&sheets(&report, &config.stamp)),
        Shape::Html => {
            let title = format!("{} {}", report.period.kind.zh(), report.period.name);
            write::html(&sheets(&report, &config.stamp), &title).into_bytes()
        }
        Shape::Xlsx => write::xlsx(&sheets(&report, &config.stamp))
            .map_err(|fault| stop(Exit::Problems)(fault.to_string()))?,
    };
    match &args.out {
        Some(path) => {
            std::fs::write(path, bytes)
                .map_err(|fault| stop(Exit::Refused)(format!("{}: {fault}", path.display())))?;
            say(&format!("已写入 written: {}", path.display()));
        }
        // A reader that has gone away is no fault of ours.
        None => drop(std::io::stdout().write_all(&bytes)),
    }
    Ok(())
}

fn read(args: &Args, mut config: Config) -> Result<Report, Stop> {
    let kind = match args.which {
        Which::Day => Kind::Day,
        Which::Month => Kind::Month,
        Which::Shift => Kind::Shift,
    };
    let period =
        Period::of(kind, args.date.as_deref(), &config.report, &config.stamp, clock::now())
            .map_err(|fault| stop(Exit::Usage)(format!("--date {fault}")))?;
    let problem = |fault: &dyn std::fmt::Display| stop(Exit::Problems)(fault.to_string());
    for file in ["alarms.db", "config.db"] {
        there(&config.data.join(file))?;
    }
    let journal =
        JournalReader::open(&config.data.join("alarms.db")).map_err(|fault| problem(&fault))?;
    let db = ConfigDb::open(&config.data.join("config.db")).map_err(|fault| problem(&fault))?;
    in_force(&mut config, &db);
    let registry = restore::registry(&config, &db).map_err(|fault| problem(&fault))?;
    let as_of = journal.alive().map_err(|fault| problem(&fault))?;
    let now = clock::now();
    let as_of = as_of.map(|alive| if now.since(alive) < LIVES_MS { now } else { alive });
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent} % {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let progress = |done: u64, all: u64| {
        bar.set_length(all);
        bar.set_position(done);
        true
    };
    let report = report::make(&Ask {
        journal: &journal,
        site: &Site::of(&registry),
        period,
        as_of: as_of.unwrap_or_default(),
        stamp: &config.stamp,
        settings: &config.report,
        flood_window_ms: config.alarm.flood_window_ms,
        progress: &progress,
    });
    bar.finish_and_clear();
    report.map_err(|fault| problem(&fault))
}

fn there(path: &Path) -> Result<(), Stop> {
    if path.is_file() {
        return Ok(());
    }
    let text = "没有这个文件：中心还没有在此目录运行过，请检查配置的 data / not there: no centre has run in this folder; check `data`";
    Err(stop(Exit::Refused)(format!("{}: {text}", path.display())))
}

/// The limits that judge, in place of those of the file.
fn in_force(config: &mut Config, db: &ConfigDb) {
    for gateway in &mut config.gateways {
        (gateway.limits, gateway.limits_revision) = judging(gateway, &held(db, gateway));
    }
}
