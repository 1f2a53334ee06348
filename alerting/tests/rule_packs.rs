//! No number in `configs/rules` lacks its source and its confidence: every file there, also those
//! that nobody has thought of yet, looked at without the parser that reads them.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

use toml::Value;

/// Tags as the legend of the packs has them.
const TAGS: [&str; 13] =
    ["S/H", "S/M", "S/L", "S2/H", "S2/M", "S2/L", "C/H", "C/M", "M/H", "M/M", "M/L", "I", "I/M"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn is_number(text: &str) -> bool {
    text.trim().trim_end_matches('%').trim().parse::<f64>().is_ok()
}

/// Numbers anywhere, quoted ones too.
fn holds_number(value: &Value) -> bool {
    match value {
        Value::Integer(_) | Value::Float(_) | Value::Datetime(_) => true,
        Value::String(text) => is_number(text),
        Value::Array(list) => list.iter().any(holds_number),
        Value::Table(_) | Value::Boolean(_) => false,
    }
}

fn walk(place: &str, value: &Value, numbers: &mut usize, faults: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            if table.values().any(holds_number) {
                *numbers += 1;
                let text = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or("");
                if text("source").trim().is_empty() {
                    faults.push(format!("{place}: no source"));
                }
                if !TAGS.contains(&text("confidence")) {
                    faults.push(format!("{place}: confidence {:?}", text("confidence")));
                }
            }
            for (key, inner) in table {
                walk(&format!("{place}.{key}"), inner, numbers, faults);
            }
        }
        Value::Array(list) => {
            for (at, inner) in list.iter().enumerate() {
                walk(&format!("{place}[{at}]"), inner, numbers, faults);
            }
        }
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => {}
    }
}

fn table(name: &str, text: &str, faults: &mut Vec<String>) -> usize {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heading = reader.headers().unwrap().clone();
    let mut numbers = 0;
    for record in reader.records() {
        let record = record.unwrap();
        let cell = |column: &str| {
            heading.iter().position(|name| name == column).and_then(|at| record.get(at))
        };
        if !record.iter().any(is_number) {
            continue;
        }
        numbers += 1;
        let row = record.position().unwrap().line();
        if cell("source").is_none_or(|text| text.trim().is_empty()) {
            faults.push(format!("{name}, row {row}: no source"));
        }
        if cell("confidence").is_none_or(|text| !TAGS.contains(&text)) {
            faults.push(format!("{name}, row {row}: confidence {:?}", cell("confidence")));
        }
    }
    numbers
}

#[test]
fn no_number_lacks_source_and_confidence() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/rules");
    let mut found = Vec::new();
    files(&folder, &mut found);
    let (mut faults, mut numbers, mut packs) = (Vec::new(), 0, Vec::new());
    for path in &found {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let text = fs::read_to_string(path).unwrap();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => {
                let value: toml::Table = text.parse().unwrap();
                walk(&name, &Value::Table(value), &mut numbers, &mut faults);
                packs.push(name);
            }
            Some("csv") => numbers += table(&name, &text, &mut faults),
            Some("md") => {}
            other => faults.push(format!("{name}: nobody checks files of kind {other:?}")),
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(numbers > 150, "only {numbers} numbers were looked at");
    packs.sort();
    let delivered: Vec<&str> =
        fengsui_alerting::packs::DELIVERED.iter().map(|(name, _)| *name).collect();
    assert_eq!(packs, delivered, "every pack of the folder is delivered, and no other");
}

#[test]
fn the_check_itself_finds_what_is_missing() {
    for (bad, wanted) in [
        ("[a]\nx = 1\nconfidence = \"S/H\"", "a: no source"),
        ("[a]\nx = 1\nsource = \"s\"", "a: confidence"),
        ("[a]\nx = 1\nsource = \"s\"\nconfidence = \"sure\"", "a: confidence"),
        ("source = \"s\"\nconfidence = \"S/H\"\n[a.b]\nx = [[1.5]]", "a.b: no source"),
        ("[[a]]\nx = \"25 %\"", "a[0]: no source"),
    ] {
        let mut faults = Vec::new();
        let value: toml::Table = bad.parse().unwrap();
        walk("", &Value::Table(value), &mut 0, &mut faults);
        assert!(faults.iter().any(|fault| fault.contains(wanted)), "{bad}: {faults:?}");
    }
    let mut faults = Vec::new();
    assert_eq!(table("t.csv", "no,source,confidence\n1,,S/H\nx,,\n", &mut faults), 1);
    assert_eq!(faults, ["t.csv, row 2: no source"]);
}
