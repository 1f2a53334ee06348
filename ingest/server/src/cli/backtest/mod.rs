//! `fengsui backtest`: a limit over a file or over stored history, judged by the live engine.
//!
//! - One setting, or two side by side (`--against`): their occurrences and what follows from them.
//!   No search over settings.
//! - An empty cell is bad quality: it neither raises nor clears, and is named under `skipped`.

mod file;
mod show;
mod stored;
mod when;

use std::path::PathBuf;

use clap::ValueEnum;
use fengsui_alerting::backtest::{Backtest, Outcome, Setting, Side};
use fengsui_telemetry::{Reading, TimeMs};
use tracing::error;

use super::Exit;

/// 用实际报警引擎回放历史数据，看某个限值会报多少次。What a limit would have done.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
例 Example:
  fengsui backtest --csv a.csv --time time_utc --value CH4_ppm_SE --kind hi --limit 5 --deadband 1
  fengsui backtest --data var/centre --point TK-101.LT --from 2026-08-01 --to 2026-11-01 --limit 85
  … --limit 5 --against 'limit=5,deadband=1'    两种设定并列 two settings side by side")]
pub struct Args {
    /// CSV 文件 a CSV file
    #[arg(long, requires = "time", requires = "value", conflicts_with_all = ["data", "config"])]
    csv: Option<PathBuf>,
    /// 时间列 column of the time
    #[arg(long)]
    time: Option<String>,
    /// 数值列 column of the value
    #[arg(long)]
    value: Option<String>,
    /// 中心的数据目录，中心可在运行 the data folder of a centre, also of one that runs
    #[arg(long, requires = "point", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// 中心的配置文件 configuration of the centre, in place of --data
    #[arg(long, requires = "point")]
    config: Option<PathBuf>,
    /// 位号 tag of the point
    #[arg(long)]
    point: Option<String>,
    /// 网关，位号不唯一时 gateway, where the tag is not unique
    #[arg(long)]
    gateway: Option<String>,
    /// 从 from, inclusive: 2026-08-01, 2026-08-01T08:00:00+08:00
    #[arg(long, conflicts_with = "csv")]
    from: Option<String>,
    /// 到 to, exclusive
    #[arg(long, conflicts_with = "csv")]
    to: Option<String>,
    /// 无时区的时间按此时区读，结果亦以此时区给出 zone of times without one, and of the answer
    #[arg(long)]
    zone: Option<String>,
    /// 高限或低限 high or low
    #[arg(long, value_enum, default_value_t = Kind::Hi)]
    kind: Kind,
    /// 限值 limit
    #[arg(long, allow_negative_numbers = true)]
    limit: f64,
    /// 回差 deadband
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    deadband: f64,
    /// 报警延时，秒 on-delay, s
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    on_delay: f64,
    /// 恢复延时，秒 off-delay, s
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    off_delay: f64,
    /// 并列对照的另一设定，如 'limit=6,deadband=1,on-delay=5'；未写的与前者相同
    /// another setting beside it; what it does not name is as above
    #[arg(long)]
    against: Option<String>,
    /// JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// 高限 high
    Hi,
    /// 低限 low
    Lo,
}

/// Why a backtest could not be done, in words, and the exit status that says so.
#[derive(Debug)]
struct Refusal {
    exit: Exit,
    text: String,
}

impl Refusal {
    fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }

    fn problem(text: impl Into<String>) -> Self {
        Self { exit: Exit::Problems, text: text.into() }
    }
}

/// Where the samples come from, and what was not judged as it stands.
struct Source {
    samples: Box<dyn Iterator<Item = Result<(TimeMs, Reading), Refusal>>>,
    skipped: Vec<file::Note>,
    zone: when::Zone,
}

pub(super) fn run(args: &Args) -> Exit {
    match work(args) {
        Ok(()) => Exit::Fine,
        Err(refusal) => {
            error!("{}", refusal.text);
            refusal.exit
        }
    }
}

fn work(args: &Args) -> Result<(), Refusal> {
    let setting = setting_of(args)?;
    let other = args.against.as_deref().map(|text| against(text, setting)).transpose()?;
    let mut first = start(&setting, "--limit")?;
    let mut second = other.map(|other| start(&other, "--against")).transpose()?;
    let source = match (&args.csv, &args.data, &args.config) {
        (Some(path), None, None) => file::read(args, path)?,
        (None, Some(_), None) | (None, None, Some(_)) => stored::read(args)?,
        (None, ..) | (Some(_), ..) => {
            return Err(Refusal::usage(
                "请给出 --csv 文件，或 --data 目录与 --point 位号 / give --csv FILE, or --data DIR \
                 with --point TAG",
            ));
        }
    };
    for sample in source.samples {
        let (te, reading) = sample?;
        first.sample(te, reading);
        if let Some(second) = &mut second {
            second.sample(te, reading);
        }
    }
    let one = show::Tried { setting, outcome: first.finish() };
    let other =
        other.zip(second).map(|(setting, test)| show::Tried { setting, outcome: test.finish() });
    if one.outcome.samples == 0 {
        return Err(Refusal::problem(
            "没有一个可用的数值 / there is not a single number to judge; check column, tag and times",
        ));
    }
    show::show(&one, other.as_ref(), &source.skipped, &source.zone, args.json);
    Ok(())
}

fn start(setting: &Setting, flag: &str) -> Result<Backtest, Refusal> {
    Backtest::new(setting).map_err(|faults| {
        let faults: Vec<String> =
            faults.iter().map(|fault| format!("{} / {fault}", fault.zh())).collect();
        Refusal::usage(format!("{flag}: {}", faults.join("; ")))
    })
}

fn setting_of(args: &Args) -> Result<Setting, Refusal> {
    let side = match args.kind {
        Kind::Hi => Side::High,
        Kind::Lo => Side::Low,
    };
    Ok(Setting {
        side,
        limit: args.limit,
        deadband: args.deadband,
        on_delay_ms: ms("--on-delay", args.on_delay)?,
        off_delay_ms: ms("--off-delay", args.off_delay)?,
    })
}

/// A delay longer than a week is a slip of the hand.
const DELAY_S_MAX: f64 = 7.0 * 86_400.0;

fn ms(flag: &str, seconds: f64) -> Result<i64, Refusal> {
    if !(0.0..=DELAY_S_MAX).contains(&seconds) {
        return Err(Refusal::usage(format!(
            "{flag} {seconds}: 须为 0 至 {DELAY_S_MAX} 秒 / must be 0 to {DELAY_S_MAX} s"
        )));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
    Ok((seconds * 1_000.0).round() as i64)
}

fn against(text: &str, base: Setting) -> Result<Setting, Refusal> {
    let mut setting = base;
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            return Err(Refusal::usage(format!(
                "--against {part:?}: 应为 名称=值 / write key=value"
            )));
        };
        let (key, value) = (key.trim(), value.trim());
        let number = || {
            value.parse::<f64>().map_err(|_| {
                Refusal::usage(format!("--against {key}={value:?}: 不是数 / is no number"))
            })
        };
        match key {
            "limit" => setting.limit = number()?,
            "deadband" => setting.deadband = number()?,
            "on-delay" | "on_delay" => setting.on_delay_ms = ms("--against on-delay", number()?)?,
            "off-delay" | "off_delay" => {
                setting.off_delay_ms = ms("--against off-delay", number()?)?;
            }
            "kind" => {
                setting.side = match value {
                    "hi" => Side::High,
                    "lo" => Side::Low,
                    other => {
                        return Err(Refusal::usage(format!(
                            "--against kind={other:?}: hi 或 lo / is neither hi nor lo"
                        )));
                    }
                };
            }
            other => {
                return Err(Refusal::usage(format!(
                    "--against {other:?}: 没有此项 / no such key; use kind, limit, deadband, \
                     on-delay, off-delay"
                )));
            }
        }
    }
    Ok(setting)
}

/// Progress on stderr, where that is a terminal.
fn progress(of: u64, what: &'static str) -> indicatif::ProgressBar {
    let style = indicatif::ProgressStyle::with_template("{msg} {bar:30} {percent}% {eta}")
        .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
    indicatif::ProgressBar::new(of).with_style(style).with_message(what)
}

/// Judges a stored point, for the benchmark: how long a replay takes without the command line.
///
/// # Errors
/// The setting is none, or the store cannot be read.
pub fn over_store(
    store: &fengsui_store::SeriesStore,
    point: u32,
    (from, to): (TimeMs, TimeMs),
    setting: &Setting,
) -> anyhow::Result<Outcome> {
    let mut test = start(setting, "setting").map_err(|refusal| anyhow::anyhow!(refusal.text))?;
    for sample in stored::walk(store.clone(), point, from, to) {
        let (te, reading) = sample.map_err(|refusal| anyhow::anyhow!(refusal.text))?;
        test.sample(te, reading);
    }
    Ok(test.finish())
}

#[cfg(test)]
mod tests;
