//! `fengsui journal verify`: is the journal whole? `compare`: does a gateway's tell the same?

use std::path::{Path, PathBuf};

use clap::Subcommand;
use fengsui_alerting::compare::Side;
use fengsui_store::{JournalReader, SeriesStore};
use fengsui_telemetry::TimeMs;
use tracing::error;

use super::{Exit, say};
use crate::clock;
use crate::compare::{CHANGES_MAX, SETTLED_MS, agree, as_json, of_gateway};
use crate::stamp::Stamp;

/// What to do with the journal.
#[derive(Subcommand)]
pub(super) enum Command {
    /// 核对哈希链。Checks the hash chain.
    #[command(after_help = "例 Example: fengsui journal verify --data var/centre")]
    Verify {
        /// 中心的数据目录 the centre's data folder
        #[arg(long)]
        data: PathBuf,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// 与网关自己的台账比对：两边的引擎是否报出同样的报警。Compares with what the gateway's own
    /// engine did.
    #[command(
        after_help = "例 Example: fengsui journal compare --data var/centre --gateway GW-01 --from 2026-11-21"
    )]
    Compare {
        /// 中心的数据目录，中心可以在运行 the centre's data folder; the centre may be running
        #[arg(long)]
        data: PathBuf,
        /// 网关 the gateway
        #[arg(long)]
        gateway: String,
        /// 起，缺省为最早 from; the beginning without it
        #[arg(long)]
        from: Option<String>,
        /// 止，缺省为一分钟前 to; a minute ago without it
        #[arg(long)]
        to: Option<String>,
        /// 时区 zone of the times
        #[arg(long, default_value = "Asia/Shanghai")]
        zone: String,
        /// JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::Verify { data, json } => verify(data, *json),
        Command::Compare { data, gateway, from, to, zone, json } => {
            let asked = Asked { data, gateway, from: from.as_deref(), to: to.as_deref(), zone };
            compared(&asked, *json)
        }
    }
}

/// Only read: what verifies must not mend.
fn open(data: &Path) -> Result<JournalReader, Exit> {
    let path = data.join("alarms.db");
    if !path.is_file() {
        error!(
            "{}: 没有台账文件，请用 --data 指明数据目录 / no journal there; name the data folder",
            path.display()
        );
        return Err(Exit::Usage);
    }
    JournalReader::open(&path).map_err(|fault| {
        error!("{fault}");
        Exit::Problems
    })
}

fn verify(data: &Path, json: bool) -> Exit {
    let journal = match open(data) {
        Ok(journal) => journal,
        Err(exit) => return exit,
    };
    match journal.verify() {
        Ok(verified) => {
            if json {
                say(&serde_json::json!({ "whole": true, "rows": verified.rows, "faults": [] })
                    .to_string());
            } else {
                say(&format!(
                    "台账完整：{} 行，哈希链无断裂 / whole: {} rows",
                    verified.rows, verified.rows
                ));
            }
            Exit::Fine
        }
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            if json {
                say(&serde_json::json!({ "whole": false, "faults": faults }).to_string());
            } else {
                faults.iter().for_each(|fault| say(&format!("✕ {fault}")));
            }
            Exit::Problems
        }
    }
}

struct Asked<'a> {
    data: &'a Path,
    gateway: &'a str,
    from: Option<&'a str>,
    to: Option<&'a str>,
    zone: &'a str,
}

fn compared(asked: &Asked<'_>, json: bool) -> Exit {
    let (stamp, mut span) = match span(asked) {
        Ok(asked) => asked,
        Err(why) => {
            error!("{why}");
            return Exit::Usage;
        }
    };
    let journal = match open(asked.data) {
        Ok(journal) => journal,
        Err(exit) => return exit,
    };
    let locals = match SeriesStore::locals_of(asked.data, asked.gateway, span, CHANGES_MAX) {
        Ok(locals) => locals,
        Err(fault) => {
            error!("{fault}");
            return Exit::Problems;
        }
    };
    let cut = locals.len() == CHANGES_MAX;
    if let Some(last) = locals.last().filter(|_| cut) {
        span.1 = last.te;
    }
    let found = match of_gateway(&journal, asked.gateway, &locals, span) {
        Ok(found) => found,
        Err(fault) => {
            error!("{fault}");
            return Exit::Problems;
        }
    };
    if json {
        say(&as_json(asked.gateway, span, cut, &found, &stamp).to_string());
    } else {
        for (side, began) in &found.alone {
            say(&format!(
                "只在{}：{} {} / only the {}",
                match side {
                    Side::Gateway => "网关",
                    Side::Centre => "中心",
                },
                stamp.people(began.te),
                began.alarm,
                side.word()
            ));
        }
        let (same, alone) = (found.same, found.alone.len());
        say(&format!(
            "{}：相同 {same} 次，不同 {alone} 次{} / the same {same}, different {alone}",
            asked.gateway,
            match agree(&found, cut) {
                None if cut => "（未读完，请缩短时段）",
                None => "（没有可比较的报警：网关名和时段对吗？nothing to compare）",
                Some(_) => "",
            }
        ));
    }
    match agree(&found, cut) {
        Some(true) => Exit::Fine,
        Some(false) | None => Exit::Problems,
    }
}

fn span(asked: &Asked<'_>) -> Result<(Stamp, (TimeMs, TimeMs)), String> {
    let stamp = Stamp::in_zone(asked.zone).map_err(|fault| {
        format!("--zone {:?}: {fault}；请写如 / write e.g. Asia/Shanghai", asked.zone)
    })?;
    let time = |flag: &str, text: Option<&str>| match text {
        None => Ok(None),
        Some(text) => stamp.read(text).map(Some).ok_or_else(|| {
            format!("{flag} {text:?}: 不是时间，请写如 2026-11-21 / is no time; write 2026-11-21")
        }),
    };
    let from = time("--from", asked.from)?.unwrap_or(TimeMs::MIN);
    let to = time("--to", asked.to)?.unwrap_or_else(|| clock::now() - SETTLED_MS);
    if from >= to {
        return Err("--from 必须早于 --to / must be before --to".to_owned());
    }
    Ok((stamp, (from, to)))
}
