//! `fengsui limits`: import, export, diff, history, approve, reject, key.
//!
//! - With `--url` through the API of a running centre, as the person whose token it is. Without,
//!   on `config.db` itself, as far as that is safe: a change only while the centre does not run,
//!   and approval never, since a file knows no persons.
//! - Both ways give the same JSON; tables are made from it.

mod direct;
pub(super) mod remote;
mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tracing::{error, info};

use super::centre::{self, Centre};
use super::{Exit, say};
use crate::config::ConfigFault;
use direct::Direct;
use remote::Remote;

/// What is said of a revision whose text is not the one that was agreed to.
const DAMAGED: &str = "config.db 中这一版限值的内容已损坏，以上不是当时批准的内容，不要照此提交 / this revision is damaged in config.db: the text above is not what was agreed to; do not import it as it stands";

/// What to do with limits.
#[derive(Subcommand)]
pub(super) enum Command {
    /// 提交限值文件，待批准。Proposes a file of limits.
    #[command(
        after_help = "例 Example: fengsui limits import limits.csv --reason 抖动 --evidence backtest.json --url http://127.0.0.1:8080"
    )]
    Import {
        /// 限值文件 CSV, UTF-8
        file: PathBuf,
        /// 变更理由 why
        #[arg(long)]
        reason: String,
        /// 依据文件，如回测结果 what supports it, such as the result of a back-test
        #[arg(long)]
        evidence: Option<PathBuf>,
        /// 生效时间，如 2026-12-01T08:00:00+08:00  not before this
        #[arg(long)]
        valid_from: Option<String>,
        /// 提出人（仅在不用 --url 时） who proposes, without --url
        #[arg(long, env = "USER")]
        by: Option<String>,
        #[command(flatten)]
        place: Where,
    },
    /// 导出某一版限值文件，默认在用版本。Writes a revision's file, by default the one in force.
    #[command(after_help = "例 Example: fengsui limits export --config centre.toml > limits.csv")]
    Export {
        /// 版次 number
        #[arg(long)]
        number: Option<u64>,
        #[command(flatten)]
        place: Where,
    },
    /// 比较：文件与在用版本，或某一版与它提出时的在用版本。What a file or a revision changes.
    #[command(after_help = "例 Example: fengsui limits diff limits.csv --config centre.toml")]
    Diff {
        /// 限值文件 a file
        #[arg(conflicts_with = "number", required_unless_present = "number")]
        file: Option<PathBuf>,
        /// 版次 number
        #[arg(long)]
        number: Option<u64>,
        #[command(flatten)]
        place: Where,
    },
    /// 全部版本，新的在前。Every revision, newest first.
    #[command(after_help = "例 Example: fengsui limits history --config centre.toml --json")]
    History {
        #[command(flatten)]
        place: Where,
    },
    /// 批准（须经 --url）。Approves, through --url.
    #[command(
        after_help = "例 Example: fengsui limits approve 3 --comment 同意 --url http://127.0.0.1:8080"
    )]
    Approve {
        /// 版次 number
        number: u64,
        /// 意见 comment
        #[arg(long, default_value = "")]
        comment: String,
        #[command(flatten)]
        running: Deciding,
    },
    /// 驳回（须经 --url）。Rejects, through --url.
    #[command(
        after_help = "例 Example: fengsui limits reject 3 --comment 依据不足 --url http://127.0.0.1:8080"
    )]
    Reject {
        /// 版次 number
        number: u64,
        /// 意见 comment
        #[arg(long, default_value = "")]
        comment: String,
        #[command(flatten)]
        running: Deciding,
    },
    /// 中心公钥，写入网关配置 [centre]。The centre's public key, for the gateways' files.
    #[command(after_help = "例 Example: fengsui limits key --config centre.toml >> gateway.toml")]
    Key {
        #[command(flatten)]
        place: Where,
    },
}

/// Where the limits are.
#[derive(Args)]
pub(super) struct Where {
    #[command(flatten)]
    centre: centre::Place,
    /// 网关；只有一个时可省略 which gateway, where there are several
    #[arg(long)]
    gateway: Option<String>,
}

/// Of which gateway a running centre is to decide.
#[derive(Args)]
pub(super) struct Deciding {
    #[command(flatten)]
    centre: centre::Running,
    /// 网关；只有一个时可省略 which gateway, where there are several
    #[arg(long)]
    gateway: Option<String>,
}

/// Why a command did not do its work.
pub(super) enum Trouble {
    /// As the API words it: `title`, `detail`, `fix`, `faults`.
    Problem(Exit, Value),
    /// In words.
    Said(Exit, String),
}

impl Trouble {
    pub(super) fn said(exit: Exit, why: impl Into<String>) -> Self {
        Self::Said(exit, why.into())
    }

    /// Every fault of a centre's file.
    pub(super) fn faults(faults: &[ConfigFault]) -> Self {
        let list: Vec<&str> = faults.iter().map(|fault| fault.0.as_str()).collect();
        let detail = format!("{0} 处错误 / {0} faults", faults.len());
        Self::Problem(Exit::Problems, json!({ "detail": detail, "faults": list }))
    }

    pub(super) fn tell(self, as_json: bool) -> Exit {
        let (exit, problem) = match self {
            Self::Problem(exit, problem) => (exit, problem),
            Self::Said(exit, why) => (exit, json!({ "detail": why })),
        };
        if as_json {
            say(&problem.to_string());
        } else {
            table::problem(&problem).iter().for_each(|line| error!("{line}"));
        }
        exit
    }
}

/// A change as the command line gives it.
pub(super) struct Import {
    csv: String,
    reason: String,
    evidence: String,
    valid_from: Option<String>,
    by: Option<String>,
}

enum Source {
    Remote(Remote),
    Direct(Box<Direct>),
}

pub(super) fn run(command: &Command) -> Exit {
    let as_json = match command {
        Command::Approve { running, .. } | Command::Reject { running, .. } => running.centre.json,
        Command::Import { place, .. }
        | Command::Export { place, .. }
        | Command::Diff { place, .. }
        | Command::History { place }
        | Command::Key { place } => place.centre.json,
    };
    match work(command) {
        Ok((value, lines)) => {
            let lines = if as_json { vec![value.to_string()] } else { lines };
            lines.iter().for_each(|line| say(line));
            Exit::Fine
        }
        Err(trouble) => trouble.tell(as_json),
    }
}

fn work(command: &Command) -> Result<(Value, Vec<String>), Trouble> {
    match command {
        Command::Import { file, reason, evidence, valid_from, by, place } => {
            let import = Import {
                csv: read(file)?,
                reason: reason.clone(),
                evidence: evidence.as_deref().map(read).transpose()?.unwrap_or_default(),
                valid_from: valid_from.clone(),
                by: by.clone(),
            };
            let gateway = place.gateway.as_deref();
            let made = match open(place)? {
                Source::Remote(remote) => remote.import(gateway, &import)?,
                Source::Direct(direct) => direct.import(gateway, import)?,
            };
            let mut lines = table::diff(&made);
            lines.push(table::proposed(&made));
            Ok((made, lines))
        }
        Command::Export { number, place } => {
            let found = revision(&open(place)?, place, *number)?;
            if !place.centre.json {
                let csv = found.get("csv").and_then(Value::as_str).unwrap_or_default();
                // Byte for byte; a reader that has gone is no fault of ours.
                drop(std::io::stdout().write_all(csv.as_bytes()));
                if found.get("damaged") == Some(&Value::Bool(true)) {
                    return Err(Trouble::said(Exit::Problems, DAMAGED));
                }
            }
            Ok((found, Vec::new()))
        }
        Command::Diff { file, number, place } => {
            let (source, gateway) = (open(place)?, place.gateway.as_deref());
            let found = match (file, &source) {
                (None, _) => revision(&source, place, *number)?,
                (Some(file), Source::Remote(remote)) => remote.diff(gateway, &read(file)?)?,
                (Some(file), Source::Direct(direct)) => direct.diff(gateway, &read(file)?)?,
            };
            let lines = table::diff(&found);
            Ok((found, lines))
        }
        Command::History { place } => {
            let all = match open(place)? {
                Source::Remote(remote) => remote.history(place.gateway.as_deref())?,
                Source::Direct(direct) => direct.history(place.gateway.as_deref())?,
            };
            let lines = table::history(&all);
            Ok((all, lines))
        }
        Command::Approve { number, comment, running } => {
            decide(running, ("approve", *number, comment))
        }
        Command::Reject { number, comment, running } => {
            decide(running, ("reject", *number, comment))
        }
        Command::Key { place } => {
            let key = match open(place)? {
                Source::Remote(remote) => remote.key()?,
                Source::Direct(direct) => direct.key()?,
            };
            let lines = table::key(&key);
            Ok((key, lines))
        }
    }
}

fn revision(source: &Source, place: &Where, number: Option<u64>) -> Result<Value, Trouble> {
    match source {
        Source::Remote(remote) => remote.revision(place.gateway.as_deref(), number),
        Source::Direct(direct) => direct.revision(place.gateway.as_deref(), number),
    }
}

fn decide(
    running: &Deciding,
    (verb, number, comment): (&str, u64, &str),
) -> Result<(Value, Vec<String>), Trouble> {
    let remote = running.centre.remote();
    let done = remote.decide(running.gateway.as_deref(), verb, number, comment)?;
    let lines = vec![table::decided(&done)];
    Ok((done, lines))
}

fn open(place: &Where) -> Result<Source, Trouble> {
    match place.centre.open()? {
        Centre::Running(remote) => Ok(Source::Remote(remote)),
        Centre::File(config) => {
            let direct = Direct::open(*config)?;
            info!(file = %direct.file().display(), "直接使用数据库 / on the database itself");
            Ok(Source::Direct(Box::new(direct)))
        }
    }
}

fn read(path: &Path) -> Result<String, Trouble> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|e| {
        let why = format!("{name}: {e}；请检查文件名与权限 / check its name and rights");
        Trouble::said(Exit::Usage, why)
    })?;
    String::from_utf8(bytes).map_err(|_| {
        let why =
            format!("{name}：不是 UTF-8，请另存为 CSV UTF-8 / is not UTF-8; save it as CSV UTF-8");
        Trouble::said(Exit::Problems, why)
    })
}
