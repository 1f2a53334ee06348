//! `fengsui roster`: check the file before it counts, put it in force in a running centre, show it.
//!
//! - `check --config` reads the file and needs no centre; with `--url` the running centre also says
//!   what would change, and whether somebody would be missing for what stands open.
//! - `reload` is a person's deed: it needs their token. SIGHUP to the centre does the same.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::centre::{Centre, Place, Running};
use super::limits::Trouble;
use super::{Exit, say};

/// What to do with the roster.
#[derive(Subcommand)]
pub(super) enum Command {
    /// 检查名册，列出全部错误；加 --url 另列与在用名册的差别。Checks the roster's file.
    #[command(after_help = "例 Example: fengsui roster check --config centre.toml")]
    Check {
        #[command(flatten)]
        place: Place,
    },
    /// 让运行中的中心重读名册，要么全部生效，要么不变。Puts it in force, whole or not at all.
    #[command(
        after_help = "例 Example: fengsui roster reload --url http://127.0.0.1:8080   （或 kill -HUP 中心进程）"
    )]
    Reload {
        #[command(flatten)]
        running: Running,
    },
    /// 在用名册。The roster in force.
    #[command(after_help = "例 Example: fengsui roster show --url http://127.0.0.1:8080")]
    Show {
        #[command(flatten)]
        running: Running,
    },
}

pub(super) fn run(command: &Command) -> Exit {
    let (done, as_json) = match command {
        Command::Check { place } => (check(place), place.json),
        Command::Reload { running } => (ask(running, Method::POST, "/roster/reload"), running.json),
        Command::Show { running } => (ask(running, Method::GET, "/roster"), running.json),
    };
    match done {
        Ok(value) if as_json => say(&value.to_string()),
        Ok(value) => lines(&value).iter().for_each(|line| say(line)),
        Err(trouble) => return trouble.tell(as_json),
    }
    Exit::Fine
}

fn ask(running: &Running, method: Method, path: &str) -> Result<Value, Trouble> {
    running.remote().ask(method, path, None)
}

fn check(place: &Place) -> Result<Value, Trouble> {
    let config = match place.open()? {
        Centre::Running(remote) => return remote.ask(Method::POST, "/roster/check", None),
        Centre::File(config) => config,
    };
    let Some(source) = &config.calls.source else {
        let why = "中心配置没有 [calls] file，无人会被叫应 / the centre's file has no [calls] file: nobody is called";
        return Err(Trouble::said(Exit::Problems, why));
    };
    let setup = &config.calls.setup;
    Ok(json!({
        "file": source.path().display().to_string(), "persons": setup.persons.len(),
        "duty": setup.duty.len(), "rosters": setup.rosters.len(),
        "policies": setup.policies.len(), "channels": setup.channels.len(),
        "warnings": crate::calls::doubts::doubts(setup),
    }))
}

fn lines(value: &Value) -> Vec<String> {
    let text = |value: &Value, field: &str| {
        value.get(field).and_then(Value::as_str).unwrap_or("—").to_owned()
    };
    let list = |field: &str| value.get(field).and_then(Value::as_array).cloned();
    let number = |field: &str| value.get(field).and_then(Value::as_u64).unwrap_or_default();
    let file = text(value, "file");
    if let Some(facts) = list("facts") {
        let facts =
            facts.iter().map(|fact| format!("{} = {}", text(fact, "what"), text(fact, "is")));
        return std::iter::once(file).chain(facts).collect();
    }
    let doubts = list("warnings").unwrap_or_default();
    let doubts: Vec<String> =
        doubts.iter().filter_map(Value::as_str).map(|doubt| format!("⚠ {doubt}")).collect();
    let Some(changed) = list("changed") else {
        let read = format!(
            "✓ {file}: {} 人 persons, {} 班 turns, {} 名册 rosters, {} 策略 policies, {} 渠道 channels",
            number("persons"),
            number("duty"),
            number("rosters"),
            number("policies"),
            number("channels")
        );
        return std::iter::once(read).chain(doubts).collect();
    };
    let change =
        |one: &Value| format!("{}: {} → {}", text(one, "what"), text(one, "old"), text(one, "new"));
    let in_force = value.get("in_force").and_then(Value::as_bool) == Some(true);
    let count = number("count");
    let end = match (count, in_force) {
        (0, _) => "与在用名册相同 / nothing differs".to_owned(),
        (_, true) => format!("{count} 项变更，已生效 / {count} changes, in force"),
        (_, false) => format!("{count} 项变更，未生效 / {count} changes, not in force"),
    };
    changed.iter().map(change).chain(doubts).chain(std::iter::once(end)).collect()
}
