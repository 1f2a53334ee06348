//! `fengsui rules`: the rule packs, what they ask, and whether a site's limits keep to them.
//!
//! - Without `--dir` the packs that the program carries; with it those of a folder.
//! - A pack whose number was not obtained is incomplete and is never shown as complied with.

mod site;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use fengsui_alerting::packs::{
    Asked, DELIVERED, Finding, Judgement, NOT_OBTAINED, Pack, Rule, check,
};
use serde_json::{Value, json};
use tracing::error;

use super::{Exit, near::near, say, table};

/// What to do with the packs.
#[derive(Subcommand)]
pub(super) enum Command {
    /// 列出规则包。Lists the packs.
    #[command(after_help = "例 Example: fengsui rules list")]
    List {
        /// 规则包目录，默认用程序自带的 folder of packs, default those of the program
        #[arg(long)]
        dir: Option<PathBuf>,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// 显示一个规则包：每条规则、出处、可信度。Shows a pack, rule by rule.
    #[command(after_help = "例 Example: fengsui rules show gas")]
    Show {
        /// 规则包 id of the pack
        pack: String,
        /// 规则包目录 folder of packs
        #[arg(long)]
        dir: Option<PathBuf>,
        /// JSON
        #[arg(long)]
        json: bool,
    },
    /// 检查规则包本身；给出点表与限值表时，逐条检查限值。Checks packs, and limits against them.
    #[command(after_help = "\
例 Example:
  fengsui rules check --dir configs/rules
  fengsui rules check --pack gas --points configs/demo/points.csv --limits configs/demo/limits.csv")]
    Check {
        /// 规则包目录 folder of packs
        #[arg(long)]
        dir: Option<PathBuf>,
        /// 只用这些规则包 only these packs
        #[arg(long = "pack")]
        packs: Vec<String>,
        /// 点表 list of points
        #[arg(long, requires = "limits")]
        points: Option<PathBuf>,
        /// 限值表 list of limits
        #[arg(long, requires = "points")]
        limits: Option<PathBuf>,
        /// JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::List { dir, json } => with_packs(dir.as_deref(), &mut |packs| list(packs, *json)),
        Command::Show { pack, dir, json } => {
            with_packs(dir.as_deref(), &mut |packs| match named(packs, pack) {
                Ok(pack) => show(pack, *json),
                Err(why) => refuse(&why),
            })
        }
        Command::Check { dir, packs: wanted, points, limits, json } => {
            with_packs(dir.as_deref(), &mut |packs| {
                let packs: Result<Vec<&Pack>, String> = if wanted.is_empty() {
                    Ok(packs.iter().collect())
                } else {
                    wanted.iter().map(|name| named(packs, name)).collect()
                };
                match (packs, points.as_deref().zip(limits.as_deref())) {
                    (Err(why), _) => refuse(&why),
                    (Ok(packs), None) => whole(&packs, *json),
                    (Ok(packs), Some((points, limits))) => site(&packs, points, limits, *json),
                }
            })
        }
    }
}

fn refuse(why: &str) -> Exit {
    error!("{why}");
    Exit::Usage
}

fn with_packs(dir: Option<&Path>, then: &mut dyn FnMut(&[Pack]) -> Exit) -> Exit {
    let texts = match dir {
        None => DELIVERED.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec(),
        Some(dir) => match texts(dir) {
            Ok(texts) if !texts.is_empty() => texts,
            Ok(_) => {
                return refuse(&format!("{}: 没有 .toml 规则包 / no pack there", dir.display()));
            }
            Err(fault) => {
                return refuse(&format!("{}: {fault}; 请用 --dir 指明目录", dir.display()));
            }
        },
    };
    let (mut packs, mut faults) = (Vec::new(), Vec::new());
    for (name, text) in texts {
        match Pack::parse(&name, &text) {
            Ok(pack) => packs.push(pack),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() {
        return then(&packs);
    }
    faults.iter().for_each(|fault| error!("{fault}"));
    Exit::Problems
}

fn texts(dir: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            texts.push((name, std::fs::read_to_string(&path)?));
        }
    }
    texts.sort();
    Ok(texts)
}

fn named<'a>(packs: &'a [Pack], name: &str) -> Result<&'a Pack, String> {
    packs.iter().find(|pack| pack.id == name || pack.file == name).ok_or_else(|| {
        let near = near(name, packs.iter().map(|pack| pack.id.as_str()));
        let all: Vec<&str> = packs.iter().map(|pack| pack.id.as_str()).collect();
        let meant = if near.is_empty() { all } else { near };
        format!("{name:?}: 没有此规则包 / no such pack; 有 there are: {}", meant.join(", "))
    })
}

/// `不完整：缺 5 项`, for people.
fn state(pack: &Pack) -> String {
    if pack.is_complete() {
        return "完整 complete".to_owned();
    }
    let missing = pack.asked().count() + usize::from(pack.pond_missing);
    format!("不完整，缺 {missing} 项 incomplete")
}

fn list(packs: &[Pack], as_json: bool) -> Exit {
    if as_json {
        say(&packs.iter().map(head).collect::<Value>().to_string());
        return Exit::Fine;
    }
    let heading = ["规则包 id", "名称 name", "规则 rules", "状态 state", "依据 basis"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for pack in packs {
        rows.push(vec![
            pack.id.clone(),
            pack.zh.clone(),
            pack.rules.len().to_string(),
            state(pack),
            pack.basis.clone(),
        ]);
    }
    say(&table::lines(&rows));
    Exit::Fine
}

fn head(pack: &Pack) -> Value {
    json!({
        "id": pack.id, "file": pack.file, "name": { "zh": pack.zh, "en": pack.en },
        "basis": pack.basis, "rules": pack.rules.len(), "asked": pack.asked().count(),
        "pond_missing": pack.pond_missing, "complete": pack.is_complete(),
    })
}

fn show(pack: &Pack, as_json: bool) -> Exit {
    if as_json {
        let mut body = head(pack);
        let rules = pack.rules.iter().map(rule_json).collect();
        let steps: Vec<Value> = pack
            .steps
            .iter()
            .map(|step| {
                json!({
                    "scope": if step.pond { "pond" } else { "item" }, "count": step.step.count,
                    "of": step.step.of.word(), "makes": step.step.makes.word(),
                    "source": step.source, "confidence": step.confidence.to_string(),
                })
            })
            .collect();
        if let Value::Object(map) = &mut body {
            map.insert("rule".to_owned(), rules);
            map.insert("step".to_owned(), Value::Array(steps));
        }
        say(&body.to_string());
        return Exit::Fine;
    }
    say(&format!("{}  {}（{}）\n依据 basis：{}\n", pack.zh, pack.en, state(pack), pack.basis));
    let heading = ["规则 rule", "内容", "数值", "可信度", "出处 source"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for rule in &pack.rules {
        let sure = rule.confidence;
        rows.push(vec![
            rule.id.clone(),
            rule.zh.clone(),
            rule.told(),
            sure.map_or("-".to_owned(), |sure| format!("{sure} {}", sure.zh())),
            rule.source.clone(),
        ]);
    }
    for step in &pack.steps {
        let (of, makes) = (step.step.of.zh(), step.step.makes.zh());
        rows.push(vec![
            if step.pond { "整库 pond" } else { "监测项 item" }.to_owned(),
            format!("{} 个{of}色 → {makes}色", step.step.count),
            String::new(),
            format!("{} {}", step.confidence, step.confidence.zh()),
            step.source.clone(),
        ]);
    }
    say(&table::lines(&rows));
    if pack.pond_missing {
        say(&format!("监测项到整库的汇总：未配置，{NOT_OBTAINED} / not configured"));
    }
    Exit::Fine
}

fn rule_json(rule: &Rule) -> Value {
    let (value, upto) = match rule.value {
        Asked::Ask => (json!("ask"), None),
        Asked::Given { value, upto } => (json!(value), upto),
    };
    json!({
        "id": rule.id, "what": { "zh": rule.zh, "en": rule.en }, "signal": rule.signal,
        "unit": rule.unit, "kind": rule.kind.map(fengsui_alerting::limits::LimitKind::key),
        "of": rule.of.word(), "must": rule.must.word(), "value": value, "upto": upto,
        "required": rule.required, "reason_needed": rule.reason_needed, "source": rule.source,
        "confidence": rule.confidence.map(|sure| sure.to_string()),
    })
}

fn whole(packs: &[&Pack], as_json: bool) -> Exit {
    if as_json {
        say(&json!({ "packs": packs.len(), "faults": [],
            "incomplete": packs.iter().filter(|p| !p.is_complete()).map(|p| &p.id).collect::<Vec<_>>() })
        .to_string());
    } else {
        packs.iter().for_each(|pack| say(&format!("✓ {}：{}", pack.id, state(pack))));
        say(&format!(
            "{} 个规则包，每个数字都有出处与可信度 / every number has its source",
            packs.len()
        ));
    }
    Exit::Fine
}

fn site(packs: &[&Pack], points: &Path, limits: &Path, as_json: bool) -> Exit {
    let (catalogue, limits) = match site::read(points, limits) {
        Ok(read) => read,
        Err(faults) => {
            faults.iter().for_each(|fault| error!("{fault}"));
            return Exit::Problems;
        }
    };
    let mut problems = 0;
    let mut rows = vec![
        ["", "位号 tag", "限值 limit", "判断", "规则 rule", "说明"].map(str::to_owned).to_vec(),
    ];
    let mut found = Vec::new();
    for pack in packs {
        for finding in check(pack, &catalogue, &limits) {
            problems += usize::from(finding.judgement.is_problem());
            rows.push(row(pack, &finding));
            found.push(finding_json(pack, &finding));
        }
    }
    let incomplete: Vec<&String> =
        packs.iter().filter(|pack| !pack.is_complete()).map(|pack| &pack.id).collect();
    if as_json {
        say(&json!({ "problems": problems, "incomplete": incomplete, "findings": found })
            .to_string());
    } else {
        say(&table::lines(&rows));
        say(&format!(
            "{} 条，{problems} 处须处理 / {} findings, {problems} problems",
            found.len(),
            found.len()
        ));
        let names: Vec<&str> = incomplete.iter().map(|id| id.as_str()).collect();
        if !names.is_empty() {
            say(&format!("不完整的规则包（不代表符合）：{} / incomplete packs", names.join("、")));
        }
    }
    if problems == 0 { Exit::Fine } else { Exit::Problems }
}

fn row(pack: &Pack, finding: &Finding<'_>) -> Vec<String> {
    let sign = match finding.judgement {
        Judgement::Refused | Judgement::Unset => "✕",
        Judgement::Warned | Judgement::Asked | Judgement::NotComparable => "!",
        Judgement::Recorded | Judgement::Kept => "✓",
    };
    let kind = finding.kind.map_or("", fengsui_alerting::limits::LimitKind::key);
    let limit = finding.limit.map_or(String::new(), |limit| format!(" {limit}"));
    let rule = finding.rule.map_or("", |rule| rule.id.as_str());
    vec![
        sign.to_owned(),
        finding.tag.clone(),
        format!("{kind}{limit}"),
        finding.judgement.zh().to_owned(),
        format!("{}/{rule}", pack.id),
        finding.note.clone(),
    ]
}

fn finding_json(pack: &Pack, finding: &Finding<'_>) -> Value {
    json!({
        "pack": pack.id, "rule": finding.rule.map(|rule| &rule.id), "tag": finding.tag,
        "kind": finding.kind.map(fengsui_alerting::limits::LimitKind::key), "limit": finding.limit,
        "judgement": finding.judgement.word(), "problem": finding.judgement.is_problem(),
        "note": finding.note, "source": finding.rule.map(|rule| &rule.source),
        "confidence": finding.rule.and_then(|rule| rule.confidence).map(|sure| sure.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_demonstration_keep_to_the_gas_pack() {
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/demo");
        let read = site::read(&configs.join("points.csv"), &configs.join("limits.csv"));
        let (catalogue, limits) = read.unwrap();
        let (name, text) = DELIVERED.into_iter().find(|(name, _)| *name == "gas.toml").unwrap();
        let pack = Pack::parse(name, text).unwrap();
        let told: Vec<(String, &str)> = check(&pack, &catalogue, &limits)
            .iter()
            .map(|finding| (finding.tag.clone(), finding.judgement.word()))
            .collect();
        assert_eq!(told.len(), 9, "{told:?}");
        let kept = told.iter().filter(|(_, word)| *word == "kept").count();
        assert_eq!(kept, 8, "{told:?}");
        assert_eq!(told[8], ("GD-211.AT".to_owned(), "not_comparable"), "in ppm");
    }

    #[test]
    fn a_folder_with_a_number_without_source_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bad = "[pack]\nid = \"x\"\nname = { zh = \"甲\", en = \"a\" }\nbasis = \"b\"\n[[rule]]\n\
                   id = \"r\"\nwhat = { zh = \"甲\", en = \"a\" }\nmust = \"fact\"\nvalue = 5\nsource = \"\"\n";
        std::fs::write(dir.path().join("x.toml"), bad).unwrap();
        let exit = run(&Command::List { dir: Some(dir.path().to_owned()), json: true });
        assert_eq!(exit, Exit::Problems);
        let none = run(&Command::List { dir: Some(dir.path().join("none")), json: true });
        assert_eq!(none, Exit::Usage);
        let show = Command::Show { pack: "gass".to_owned(), dir: None, json: false };
        assert_eq!(run(&show), Exit::Usage);
        let check =
            Command::Check { dir: None, packs: Vec::new(), points: None, limits: None, json: true };
        assert_eq!(run(&check), Exit::Fine);
    }
}
