//! `fengsui gb18218`: is it a major hazard source, and of which level, with the arithmetic shown.

use std::path::{Path, PathBuf};

use fengsui_alerting::hazard::{
    DELIVERED, From, Item, ItemFault, Line, Ratio, Tables, Verdict, reckon,
};
use serde_json::{Value, json};
use tracing::error;

use super::{Exit, near::near, say, table};

/// 重大危险源辨识与分级（GB 18218-2018），逐行列出算式。Major hazard sources, step by step.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
例 Example:
  fengsui gb18218 --substance 氨=50 --substance 氯=4 --people 120
  fengsui gb18218 --substance 液化石油气=2000:W2 --people 35     类别见表 2 class of table 2
  fengsui gb18218 --csv 物质.csv --people 0 --json              列 columns: 物质,数量t,类别

数量为设计最大量（吨），不是实时存量。tonnes are the design maximum, not the live inventory")]
pub(crate) struct Args {
    /// 物质=吨数[:类别[+类别]]，可重复 substance=tonnes[:class]; name, alias, CAS or #number
    #[arg(long = "substance", value_name = "NAME=T[:CLASS]")]
    substances: Vec<String>,
    /// 物质清单 CSV：物质 name，数量t tonnes，类别 class（可无） list of substances
    #[arg(long)]
    csv: Option<PathBuf>,
    /// 厂区边界外 500 m 内常住人口 permanent residents within 500 m
    #[arg(long)]
    people: u64,
    /// JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Exit {
    let tables = match Tables::parse(&DELIVERED) {
        Ok(tables) => tables,
        Err(faults) => {
            faults.iter().for_each(|fault| error!("{fault}"));
            return Exit::Problems;
        }
    };
    let items = match items(args) {
        Ok(items) => items,
        Err(faults) => {
            faults.iter().for_each(|fault| error!("{fault}"));
            return Exit::Usage;
        }
    };
    match reckon(&tables, &items, args.people) {
        Ok(verdict) if args.json => say(&json_of(&verdict, args.people).to_string()),
        Ok(verdict) => show(&verdict, args.people),
        Err(faults) => {
            faults.iter().for_each(|fault| error!("{}", told(fault, &tables)));
            return Exit::Usage;
        }
    }
    Exit::Fine
}

/// A fault, with what may have been meant.
fn told(fault: &ItemFault, tables: &Tables) -> String {
    let ItemFault::Unknown { name } = fault else { return fault.to_string() };
    let near = near(name, tables.names());
    if near.is_empty() {
        return format!("未收录 {fault}");
    }
    format!("未收录 {fault}; 相近 near: {}", near.join("、"))
}

fn items(args: &Args) -> Result<Vec<Item>, Vec<String>> {
    let mut items = Vec::new();
    let mut faults = Vec::new();
    for text in &args.substances {
        match item(text) {
            Ok(item) => items.push(item),
            Err(why) => faults.push(format!("--substance {text:?}: {why}")),
        }
    }
    if let Some(path) = &args.csv {
        match listed(path) {
            Ok(listed) => items.extend(listed),
            Err(found) => faults.extend(found),
        }
    }
    if items.is_empty() && faults.is_empty() {
        faults
            .push("请给出 --substance 物质=吨数 或 --csv 清单 / give a substance or a list".into());
    }
    if faults.is_empty() { Ok(items) } else { Err(faults) }
}

const AMOUNT: &str = "数量须为吨数，如 50 或 0.75，最多六位小数 / tonnes, such as 50 or 0.75";

fn item(text: &str) -> Result<Item, String> {
    let Some((name, rest)) = text.rsplit_once('=') else {
        return Err("写作 物质=吨数，如 氨=50 / write substance=tonnes".to_owned());
    };
    let (tonnes, classes) = rest.split_once(':').unwrap_or((rest, ""));
    let tonnes = Ratio::parse(tonnes).ok_or(AMOUNT)?;
    Ok(Item { name: name.trim().to_owned(), tonnes, classes: split(classes) })
}

fn split(classes: &str) -> Vec<String> {
    let parts = classes.split(['+', ';', '、']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn listed(path: &Path) -> Result<Vec<Item>, Vec<String>> {
    let name = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(path)
        .map_err(|fault| vec![format!("{name}: {fault}; 请用 --csv 指明文件")])?;
    let heading = reader.headers().map_err(|fault| vec![format!("{name}: {fault}")])?.clone();
    let place = |names: &[&str]| {
        heading.iter().position(|cell| names.contains(&cell.trim().trim_start_matches('\u{feff}')))
    };
    let substance = place(&["物质", "name", "substance", "name_zh"]);
    let tonnes = place(&["数量t", "数量", "tonnes", "q_t"]);
    let class = place(&["类别", "class"]);
    let (Some(substance), Some(tonnes)) = (substance, tonnes) else {
        let there: Vec<&str> = heading.iter().collect();
        return Err(vec![format!(
            "{name}, 行 row 1: 须有列 物质、数量t（或 name、tonnes），现有 / needs these columns, there are: {}",
            there.join(", ")
        )]);
    };
    let (mut items, mut faults) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(fault) => {
                faults.push(format!("{name}: {fault}; 请存为 UTF-8 的 CSV"));
                continue;
            }
        };
        let row = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).unwrap_or("").trim();
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        match Ratio::parse(cell(tonnes)) {
            Some(amount) if !cell(substance).is_empty() => items.push(Item {
                name: cell(substance).to_owned(),
                tonnes: amount,
                classes: class.map(|at| split(cell(at))).unwrap_or_default(),
            }),
            Some(_) => faults.push(format!("{name}, 行 row {row}, 物质 \"\": 不得为空 / is empty")),
            None => {
                faults.push(format!("{name}, 行 row {row}, 数量t {:?}: {AMOUNT}", cell(tonnes)))
            }
        }
    }
    if faults.is_empty() { Ok(items) } else { Err(faults) }
}

fn source(from: &From, table: (&str, &str)) -> String {
    match from {
        From::Row { no: Some(no), name } => format!("{} 第{no}行 {name}", table.0),
        From::Row { no: None, name } => format!("表3 {name}"),
        From::Class { symbol, chosen: false } => format!("{} {symbol}", table.1),
        From::Class { symbol, chosen: true } => format!("{} {symbol}（多类别，取不利者）", table.1),
    }
}

fn show(verdict: &Verdict, people: u64) {
    let heading = ["物质", "q (t)", "Q (t)", "Q 依据", "q/Q", "β", "β 依据", "β·q/Q"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for line in &verdict.lines {
        let beta = line.beta.as_ref();
        let weighted = beta.and_then(|(beta, _)| beta.times(line.share));
        rows.push(vec![
            line.name.clone(),
            line.tonnes.to_string(),
            line.threshold.to_string(),
            source(&line.threshold_from, ("表1", "表2")),
            line.share.to_string(),
            beta.map_or("?".to_owned(), |(beta, _)| beta.to_string()),
            beta.map_or("需类别".to_owned(), |(_, from)| source(from, ("表3", "表4"))),
            weighted.map_or("?".to_owned(), |weighted| weighted.to_string()),
        ]);
    }
    say(&table::lines(&rows));
    say("");
    let terms = |each: &dyn Fn(&Line) -> String| {
        verdict.lines.iter().map(each).collect::<Vec<_>>().join(" + ")
    };
    say(&format!(
        "S = Σ q/Q = {} = {}",
        terms(&|line| format!("{}/{}", line.tonnes, line.threshold)),
        verdict.s
    ));
    if !verdict.is_major {
        say("S < 1：不构成重大危险源，不分级 / not a major hazard source, no level");
        return;
    }
    say("S ≥ 1：构成重大危险源（4.2.1）/ a major hazard source");
    say(&format!("α = {}（500 m 内 {people} 人，表5）", verdict.alpha));
    match (verdict.r, verdict.level) {
        (Some(r), Some(level)) => {
            let sum = terms(&|line| {
                let beta = line.beta.as_ref().map_or(Ratio::ZERO, |(beta, _)| *beta);
                format!("{beta}×{}", line.share)
            });
            say(&format!("R = α·Σ β·q/Q = {} × ({sum}) = {r}", verdict.alpha));
            say(&format!("{}级重大危险源（表6）/ level {level}", grade(level)));
        }
        (_, _) => say(&format!(
            "未分级：以下物质须给出危险性类别（企业按 GB 30000 系列判定，程序不猜）：{}；写作 甲醇=100:W5.3 \
             / no level: the hazard class of these is needed",
            verdict.class_needed.join("、")
        )),
    }
    say(
        "数据：GB 18218-2018 表 1 至表 6（configs/rules/gb18218）；用于真实企业前请与正式出版物核对。",
    );
}

fn grade(level: u8) -> &'static str {
    match level {
        1 => "一",
        2 => "二",
        3 => "三",
        _ => "四",
    }
}

fn json_of(verdict: &Verdict, people: u64) -> Value {
    let number = |ratio: Ratio| json!({ "value": ratio.to_f64(), "exact": ratio.exact() });
    let lines: Vec<Value> = verdict
        .lines
        .iter()
        .map(|line| {
            json!({
                "substance": line.name,
                "q_t": line.tonnes.to_f64(),
                "Q_t": line.threshold.to_f64(),
                "Q_from": source(&line.threshold_from, ("表1", "表2")),
                "share": number(line.share),
                "beta": line.beta.as_ref().map(|(beta, _)| beta.to_f64()),
                "beta_from": line.beta.as_ref().map(|(_, from)| source(from, ("表3", "表4"))),
            })
        })
        .collect();
    json!({
        "standard": "GB 18218-2018",
        "people": people,
        "lines": lines,
        "S": number(verdict.s),
        "major": verdict.is_major,
        "alpha": verdict.alpha.to_f64(),
        "R": verdict.r.map(number),
        "level": verdict.level,
        "class_needed": verdict.class_needed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(substances: &[&str]) -> Args {
        let substances = substances.iter().map(|text| (*text).to_owned()).collect();
        Args { substances, csv: None, people: 120, json: true }
    }

    #[test]
    fn a_list_on_the_command_line_and_one_in_a_file_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "\u{feff}物质,数量t,类别\r\n氨,50,\r\n\r\n汽油,10,W5.3+W5.1\r\n")
            .unwrap();
        let from_file = items(&Args { csv: Some(path), ..args(&[]) }).unwrap();
        assert_eq!(from_file, items(&args(&["氨=50", "汽油=10:W5.3+W5.1"])).unwrap());
        let tables = Tables::parse(&DELIVERED).unwrap();
        let verdict = reckon(&tables, &items(&args(&["氨=50", "氯=4"])).unwrap(), 120).unwrap();
        let body = json_of(&verdict, 120);
        assert_eq!((&body["S"]["exact"], &body["level"]), (&json!("29/5"), &json!(3)));
        assert_eq!(body["R"]["value"], json!(26.4));
    }

    #[test]
    fn slips_are_named_with_the_mend() {
        let faults = items(&args(&["氨", "氨=x", "氨=1e3"])).unwrap_err();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert_eq!(items(&args(&[])).unwrap_err().len(), 1);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "物质,数量t\n氨,50\n氯,many\n,3\n").unwrap();
        let faults = listed(&path).unwrap_err();
        assert!(faults[0].contains("row 3, 数量t \"many\""), "{faults:?}");
        assert!(faults[1].contains("row 4"), "{faults:?}");
        let tables = Tables::parse(&DELIVERED).unwrap();
        let slip = reckon(&tables, &items(&args(&["环氧乙稀=5"])).unwrap(), 0).unwrap_err();
        assert!(told(&slip[0], &tables).contains("环氧乙烷"), "{}", told(&slip[0], &tables));
    }
}
