//! Which centre a command is for: its file, or a running one with the token of a person.

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use super::limits::Trouble;
use super::limits::remote::Remote;
use crate::config::Config;

/// A running centre, where a person decides.
#[derive(Args)]
pub(super) struct Running {
    /// 运行中的中心，如 http://127.0.0.1:8080  a running centre
    #[arg(long)]
    url: String,
    /// 访问令牌 token
    #[arg(long, env = "FENGSUI_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Running {
    pub(super) fn remote(&self) -> Remote {
        Remote::new(&self.url, self.token.as_deref())
    }
}

/// A centre's file, or a running centre.
#[derive(Args)]
pub(super) struct Place {
    /// 中心配置文件 the centre's file
    #[arg(long, required_unless_present = "url")]
    config: Option<PathBuf>,
    /// 运行中的中心，如 http://127.0.0.1:8080  a running centre
    #[arg(long, conflicts_with = "config")]
    url: Option<String>,
    /// 访问令牌（与 --url 同用） token, for --url
    // Not `requires = "url"`: the variable is set for the whole shell.
    #[arg(long, env = "FENGSUI_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What a place is.
pub(super) enum Centre {
    /// One that runs.
    Running(Remote),
    /// Its file, read and checked.
    File(Box<Config>),
}

impl Place {
    /// # Errors
    /// The file has faults.
    pub(super) fn open(&self) -> Result<Centre, Trouble> {
        if let Some(url) = &self.url {
            return Ok(Centre::Running(Remote::new(url, self.token.as_deref())));
        }
        let Some(path) = &self.config else {
            let why = "请给出 --config 或 --url / give --config or --url";
            return Err(Trouble::said(Exit::Usage, why));
        };
        let config = Config::load(path).map_err(|faults| Trouble::faults(&faults))?;
        Ok(Centre::File(Box::new(config)))
    }
}
