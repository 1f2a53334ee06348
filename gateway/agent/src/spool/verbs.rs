//! `fengsui-gateway spool status|verify|export`: the spool, for a person or a script.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fengsui_telemetry::TimeMs;
use serde::Serialize;

use super::export::{
    Place, SpoolCheck, SpoolStatus, Wanted, spool_export, spool_status, spool_verify,
};
use crate::config::Config;

const FINE: u8 = 0;
const PROBLEMS: u8 = 1;
const REFUSED: u8 = 4;
/// Places listed for a person; `--json` lists all.
const PLACES_MAX: usize = 50;

/// What can be asked of a spool. The gateway may run meanwhile.
#[derive(Clone, Debug, Subcommand)]
pub enum SpoolVerb {
    /// 缓存现状 | Where the spool stands
    #[command(after_help = "示例 Example:\n  fengsui-gateway spool status --config gateway.toml")]
    Status(Which),
    /// 逐条校验 | Check every record, list every gap
    #[command(
        after_help = "示例 Example:\n  fengsui-gateway spool verify --config gateway.toml --json"
    )]
    Verify(Which),
    /// 导出样本、报警、缺口 | Write samples, alarms and gaps as CSV or JSON lines
    #[command(
        after_help = "示例 Example:\n  fengsui-gateway spool export --config gateway.toml \\\n    \
                            --from 2026-11-21T08:00:00+08:00 --tag TK-101.LT > level.csv"
    )]
    Export {
        /// Which spool.
        #[command(flatten)]
        which: Which,
        /// 起始时刻（含）| Source time from which: RFC 3339, or ms since 1970
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        from: Option<TimeMs>,
        /// 结束时刻（不含）| Source time up to which
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        to: Option<TimeMs>,
        /// 只要这个位号 | Only this point
        #[arg(long)]
        tag: Option<String>,
    },
}

/// Which spool, and for whom.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// 网关配置文件 | The gateway's file
    #[arg(long, value_name = "FILE", env = "FENGSUI_GATEWAY_CONFIG")]
    config: PathBuf,
    /// 输出 JSON | Print JSON
    #[arg(long)]
    json: bool,
}

/// Does it; gives back the exit code of the program.
pub fn spool_verb(verb: &SpoolVerb, out: &mut dyn Write, complain: &mut dyn Write) -> u8 {
    let which = match verb {
        SpoolVerb::Status(which) | SpoolVerb::Verify(which) => which,
        SpoolVerb::Export { which, .. } => which,
    };
    let mut out = Piped { out, gone: false };
    let done = match Config::load(&which.config) {
        Ok(config) => answer(verb, &config, which.json, &mut out),
        Err(faults) => {
            let said: std::io::Result<()> =
                faults.iter().try_for_each(|fault| writeln!(complain, "{fault}"));
            said.map(|()| REFUSED).map_err(Into::into)
        }
    };
    done.unwrap_or_else(|fault| {
        // A reader that has gone (`| head`) is no fault of ours.
        if out.gone {
            return FINE;
        }
        // Nobody reads the complaint either: the code says it.
        writeln!(complain, "{fault:#}").ok();
        PROBLEMS
    })
}

fn answer(
    verb: &SpoolVerb,
    config: &Config,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    match verb {
        SpoolVerb::Status(_) => {
            let status = spool_status(&config.data, config.spool.bytes_max)?;
            print(out, json, &status, || status_text(&status, &config.data))?;
            Ok(FINE)
        }
        SpoolVerb::Verify(_) => {
            let check = spool_verify(&config.data)?;
            print(out, json, &check, || check_text(&check))?;
            Ok(if check.whole { FINE } else { PROBLEMS })
        }
        SpoolVerb::Export { from, to, tag, .. } => {
            let wanted = Wanted { from: *from, to: *to, tag: tag.clone(), json };
            spool_export(&config.data, &wanted, out)?;
            Ok(FINE)
        }
    }
}

/// Remembers that its reader has gone: what writes through it may wrap the error beyond recognition.
struct Piped<'a> {
    out: &'a mut dyn Write,
    gone: bool,
}

impl Piped<'_> {
    fn note<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        self.gone |= done.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe);
        done
    }
}

impl Write for Piped<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.out.write(bytes);
        self.note(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.out.flush();
        self.note(done)
    }
}

fn print<T: Serialize>(
    out: &mut dyn Write,
    json: bool,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let said = if json { serde_json::to_string_pretty(value)? + "\n" } else { text() };
    Ok(out.write_all(said.as_bytes())?)
}

fn mb(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

fn status_text(one: &SpoolStatus, data: &Path) -> String {
    let reserve =
        if one.reserve { "有 there" } else { "无：磁盘已满 none: the disk is full" };
    format!(
        "缓存 spool         {}\n\
         网关 gateway       {}\n\
         纪元 epoch         {}\n\
         序号 offsets       {} .. {}\n\
         中心已存 durable   {}\n\
         待确认 unacked     {}\n\
         记录 records       {} 测量 telemetry, {} 报警 alarms, {} 缺口 gaps\n\
         占用 bytes         {} / {}（文件 files {}）\n\
         预留 reserve       {reserve}\n",
        data.display(),
        one.gateway.as_deref().unwrap_or("-"),
        one.epoch,
        one.oldest,
        one.next,
        one.durable_next,
        one.unacknowledged,
        one.telemetry,
        one.alarms,
        one.gaps,
        mb(one.bytes),
        mb(one.quota_bytes),
        mb(one.file_bytes),
    )
}

fn check_text(one: &SpoolCheck) -> String {
    let mut text = String::new();
    list(&mut text, "错误 fault", &one.faults);
    list(&mut text, "缺口 gap", &one.gaps);
    let word = if one.whole { "完好 whole" } else { "有损坏 damaged" };
    text += &format!(
        "{word}：序号 offsets {} .. {}，{} 条完好 records whole，{} 处错误 faults，{} 处缺口 gaps；\
         数据页 pages: {}\n",
        one.from,
        one.to,
        one.records,
        one.faults.len(),
        one.gaps.len(),
        one.pages
    );
    text
}

fn list(text: &mut String, title: &str, places: &[Place]) {
    for place in places.iter().take(PLACES_MAX) {
        *text += &format!("{title}  {} .. {}  {}", place.from, place.to, place.what);
        if let Some((from, to)) = place.span_ms {
            *text += &format!("  {from} .. {to} ms");
        }
        *text += &format!("  {}\n", place.detail);
    }
    if let Some(more) = places.len().checked_sub(PLACES_MAX).filter(|more| *more > 0) {
        *text += &format!("{title}  另有 {more} 处，用 --json 查看 | {more} more, see --json\n");
    }
}

/// `2026-11-21T08:00:00+08:00` or ms since 1970. A time without its zone would be a guess.
fn parse_time(text: &str) -> Result<TimeMs, String> {
    if let Ok(ms) = text.parse() {
        return Ok(TimeMs(ms));
    }
    let wrong = || {
        format!(
            "{text}：应为 2026-11-21T08:00:00+08:00 的形式（含时区）或 1970 年起的毫秒数  |  \
             must be like 2026-11-21T08:00:00+08:00, with its zone, or ms since 1970"
        )
    };
    let stamp: toml::value::Datetime = text.parse().map_err(|_| wrong())?;
    let (Some(date), Some(time), Some(zone)) = (stamp.date, stamp.time, stamp.offset) else {
        return Err(wrong());
    };
    let minutes = match zone {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let second = i64::from(time.second.unwrap_or(0));
    let seconds = i64::from(time.hour) * 3_600 + (i64::from(time.minute) - minutes) * 60 + second;
    let ms = i64::from(time.nanosecond.unwrap_or(0) / 1_000_000);
    Ok(TimeMs((days * 86_400 + seconds) * 1_000 + ms))
}

/// The proleptic Gregorian calendar, counted from March so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_understood_with_its_zone_only() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T08:00:00.120+08:00", 120),
            ("2026-11-21T22:14:05+08:00", 1_795_270_445_000),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("-5", -5),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_time(text), Ok(TimeMs(ms)), "{text}");
        }
        for text in ["2026-11-21T22:14:05", "2026-11-21", "yesterday", ""] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
