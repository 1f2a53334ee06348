//! `fengsui user`: people and their tokens, also while the centre runs.
//!
//! - A password comes from the terminal, unseen, or as a line of stdin; never as an argument,
//!   which every program of the machine could read.
//! - What is changed here is told in the journal by the centre, see `accounts`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{Command as Program, Stdio};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use fengsui_store::{AccountFault, ConfigDb, Deed, NewUser, UserChange};
use serde_json::json;
use tracing::error;

use super::{Exit, say};
use crate::accounts::people::plain_name;
use crate::accounts::{Role, password, secret};
use crate::clock;
use crate::config::Config;
use crate::stamp::Stamp;

/// Who changes, as the journal tells it.
const BY: &str = "command line";
const DAY_MS: i64 = 86_400_000;

/// Where the accounts are.
#[derive(Args)]
pub(super) struct Place {
    /// 中心的配置文件 the centre's configuration
    #[arg(long, conflicts_with = "data", required_unless_present = "data")]
    config: Option<PathBuf>,
    /// 中心的数据目录 the centre's data folder
    #[arg(long)]
    data: Option<PathBuf>,
    /// JSON
    #[arg(long)]
    json: bool,
}

/// What to do with people.
#[derive(Subcommand)]
pub(super) enum Command {
    /// 新建用户。Makes a user; the password comes from the terminal or stdin.
    #[command(
        after_help = "例 Example: fengsui user add wang --display 王敏 --role operator --config centre.toml"
    )]
    Add {
        /// 登录名 the name that logs in
        name: String,
        /// 显示名 the name that people read
        #[arg(long)]
        display: Option<String>,
        /// 角色 viewer, operator, engineer, admin
        #[arg(long, default_value = "operator")]
        role: Role,
        /// 岗位 operator position
        #[arg(long, default_value = "值班台")]
        position: String,
        /// 生成密码并显示一次 makes a password and shows it once
        #[arg(long)]
        generate: bool,
        #[command(flatten)]
        place: Place,
    },
    /// 列出用户。Lists users.
    #[command(after_help = "例 Example: fengsui user list --config centre.toml")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// 停用：立即退出其全部会话。Disables a user and ends all their sessions.
    #[command(after_help = "例 Example: fengsui user disable wang --config centre.toml")]
    Disable {
        /// 登录名 the name that logs in
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// 重新启用。Enables a user again.
    #[command(after_help = "例 Example: fengsui user enable wang --config centre.toml")]
    Enable {
        /// 登录名 the name that logs in
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// 改密码：立即退出其全部会话。Sets a password and ends all sessions.
    #[command(after_help = "例 Example: fengsui user password admin --config centre.toml")]
    Password {
        /// 登录名 the name that logs in
        name: String,
        /// 生成密码并显示一次 makes a password and shows it once
        #[arg(long)]
        generate: bool,
        #[command(flatten)]
        place: Place,
    },
    /// 改角色。Sets a role.
    #[command(after_help = "例 Example: fengsui user role wang engineer --config centre.toml")]
    Role {
        /// 登录名 the name that logs in
        name: String,
        /// viewer, operator, engineer, admin
        role: Role,
        #[command(flatten)]
        place: Place,
    },
    /// 程序用的令牌。Tokens for programs.
    Token {
        #[command(subcommand)]
        command: Token,
    },
}

/// What to do with tokens.
#[derive(Subcommand)]
pub(super) enum Token {
    /// 新建令牌，只显示一次。Makes a token and shows it once.
    #[command(
        after_help = "例 Example: fengsui user token add grafana --label 大屏 --days 365 --config centre.toml"
    )]
    Add {
        /// 谁的令牌 whose
        name: String,
        /// 用途 what for
        #[arg(long, default_value = "")]
        label: String,
        /// 有效天数 days for which it holds
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: i64,
        #[command(flatten)]
        place: Place,
    },
    /// 列出令牌。Lists tokens.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// 撤销令牌。Revokes a token.
    Revoke {
        /// 令牌编号 its number
        id: i64,
        #[command(flatten)]
        place: Place,
    },
}

pub(super) fn run(command: Command) -> Exit {
    match act(command) {
        Ok(()) => Exit::Fine,
        Err(fault) => {
            error!("{fault:#}");
            let refused = fault.is::<AccountFault>() || fault.is::<NoConfig>();
            if refused { Exit::Refused } else { Exit::Problems }
        }
    }
}

fn deed() -> Deed<'static> {
    Deed { by: BY, now: clock::now() }
}

fn act(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add { name, display, role, position, generate, place } => {
            plain_name(&name).map_err(|why| anyhow!("{name:?}: {why}"))?;
            let db = open_or_make(&place)?;
            if db.user(&name)?.is_some() {
                return Err(AccountFault::NameTaken(name).into());
            }
            let (password, hash) = new_password(&name, generate)?;
            let display = display.as_deref().unwrap_or(&name);
            let (role, position) = (role.word(), position.as_str());
            let new = NewUser { name: &name, display, role, position, hash: &hash };
            db.add_user(new, deed())?;
            done(&place, "已建立", &name, password.as_deref());
        }
        Command::List { place } => list(&place)?,
        Command::Disable { name, place } => {
            open(&place)?.change_user(&name, UserChange::Disable, deed())?;
            done(&place, "已停用", &name, None);
        }
        Command::Enable { name, place } => {
            open(&place)?.change_user(&name, UserChange::Enable, deed())?;
            done(&place, "已启用", &name, None);
        }
        Command::Password { name, generate, place } => {
            let db = open(&place)?;
            if db.user(&name)?.is_none() {
                return Err(AccountFault::NoSuchUser(name).into());
            }
            let (password, hash) = new_password(&name, generate)?;
            db.change_user(&name, UserChange::Password(&hash), deed())?;
            done(&place, "已改密码", &name, password.as_deref());
        }
        Command::Role { name, role, place } => {
            open(&place)?.change_user(&name, UserChange::Role(role.word()), deed())?;
            done(&place, "已改角色", &name, None);
        }
        Command::Token { command } => token(command)?,
    }
    Ok(())
}

fn token(command: Token) -> anyhow::Result<()> {
    match command {
        Token::Add { name, label, days, place } => {
            let db = open(&place)?;
            let text = secret::token()?;
            let hash = secret::hash_of_token(&text).context("a new token is a token")?;
            let expires = clock::now() + days * DAY_MS;
            let id = db.add_token(&name, &label, &hash, expires, deed())?;
            if place.json {
                say(&json!({ "id": id, "user": name, "token": text }).to_string());
            } else {
                say(&text);
            }
        }
        Token::List { place } => {
            let tokens = open(&place)?.tokens(clock::now())?;
            let stamp = Stamp::in_zone("UTC")?;
            if place.json {
                let list = tokens.iter().map(|token| {
                    json!({
                        "id": token.id, "label": token.label, "user": token.user,
                        "expires": stamp.rfc3339(token.expires),
                    })
                });
                say(&json!(list.collect::<Vec<_>>()).to_string());
            } else {
                for token in tokens {
                    let until = stamp.rfc3339(token.expires);
                    say(&format!("{:<5} {:<16} {until}  {}", token.id, token.user, token.label));
                }
            }
        }
        Token::Revoke { id, place } => {
            open(&place)?.revoke_token(id, deed())?;
            done(&place, "已撤销令牌", &id.to_string(), None);
        }
    }
    Ok(())
}

fn list(place: &Place) -> anyhow::Result<()> {
    let users = open(place)?.users()?;
    if place.json {
        let list = users.iter().map(|user| {
            json!({
                "name": user.name, "display": user.display, "role": user.role,
                "position": user.position, "disabled": user.disabled,
            })
        });
        say(&json!(list.collect::<Vec<_>>()).to_string());
        return Ok(());
    }
    for user in users {
        let state = if user.disabled { "停用 disabled" } else { "" };
        say(&format!(
            "{:<16} {:<9} {} {} {state}",
            user.name, user.role, user.display, user.position
        ));
    }
    Ok(())
}

fn done(place: &Place, what: &str, object: &str, password: Option<&str>) {
    if place.json {
        say(&json!({ "ok": true, "name": object, "password": password }).to_string());
        return;
    }
    say(&format!("{what}: {object}"));
    if let Some(password) = password {
        say(&format!("密码（只显示一次） password, shown once: {password}"));
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoConfig(String);

/// The centre's accounts. A name that was mistyped must not look like a centre without people.
fn open(place: &Place) -> anyhow::Result<ConfigDb> {
    let file = folder(place)?.join("config.db");
    if !file.is_file() {
        let why = format!(
            "{}：没有用户库，请检查 --data 或 --config；新建第一个用户用 fengsui user add / no accounts \
             here: check --data or --config; fengsui user add makes the first user",
            file.display()
        );
        return Err(NoConfig(why).into());
    }
    Ok(ConfigDb::open(&file)?)
}

/// The same; a folder that is not there yet is made: people may be seated before the first start.
fn open_or_make(place: &Place) -> anyhow::Result<ConfigDb> {
    let data = folder(place)?;
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    Ok(ConfigDb::open(&data.join("config.db"))?)
}

fn folder(place: &Place) -> anyhow::Result<PathBuf> {
    match (&place.data, &place.config) {
        (Some(data), _) => Ok(data.clone()),
        (None, Some(config)) => {
            let config = Config::load(config).map_err(|faults| {
                let list: Vec<String> = faults.iter().map(ToString::to_string).collect();
                NoConfig(list.join("\n"))
            })?;
            Ok(config.data)
        }
        (None, None) => {
            bail!("请用 --config 或 --data 指明中心 / name the centre with --config or --data")
        }
    }
}

/// A generated password to be shown, or none where a person gave one; and its text.
fn new_password(name: &str, generate: bool) -> anyhow::Result<(Option<String>, String)> {
    let (shown, password) = if generate {
        let made = secret::password()?;
        (Some(made.clone()), made)
    } else {
        (None, ask_password()?)
    };
    password::acceptable(name, &password)?;
    let hash = password::hash(&password).map_err(|fault| anyhow!("{fault}"))?;
    Ok((shown, hash))
}

/// From the terminal twice and unseen, else one line of stdin.
fn ask_password() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        return read_line();
    }
    let unseen = Unseen::begin();
    let first = ask("密码 password: ")?;
    let again = ask("再输一次 once more: ")?;
    drop(unseen);
    if first != again {
        bail!("两次不一致 / the two differ");
    }
    Ok(first)
}

fn ask(question: &str) -> anyhow::Result<String> {
    let mut screen = std::io::stderr();
    screen.write_all(question.as_bytes())?;
    screen.flush()?;
    let line = read_line()?;
    screen.write_all(b"\n")?;
    Ok(line)
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("no password on stdin")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Unseen;

impl Unseen {
    fn begin() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        stty("echo");
    }
}

/// A terminal without `stty` shows what is typed; there is no other harm.
fn stty(mode: &str) {
    Program::new("stty").arg(mode).stdin(Stdio::inherit()).status().ok();
}
