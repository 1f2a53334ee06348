//! `fengsui journal verify`: is the journal whole?

use std::path::PathBuf;

use clap::Subcommand;
use fengsui_store::AlarmJournal;
use tracing::error;

use super::{Exit, say};

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
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::Verify { data, json } = command;
    let path = data.join("alarms.db");
    if !path.is_file() {
        error!(
            "{}: 没有台账文件，请用 --data 指明数据目录 / no journal there; name the data folder",
            path.display()
        );
        return Exit::Usage;
    }
    let journal = match AlarmJournal::open(&path) {
        Ok(journal) => journal,
        Err(fault) => {
            error!("{fault}");
            return Exit::Problems;
        }
    };
    match journal.verify() {
        Ok(verified) => {
            if *json {
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
            if *json {
                say(&serde_json::json!({ "whole": false, "faults": faults }).to_string());
            } else {
                faults.iter().for_each(|fault| say(&format!("✕ {fault}")));
            }
            Exit::Problems
        }
    }
}
