//! Limits as lines for people, made from the JSON of the API.

use serde_json::Value;

/// Names of rows in one line.
const SECOND_A_LINE: usize = 6;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn count(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Columns of a terminal: a Han character takes two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if u32::from(c) >= 0x2e80 { 2 } else { 1 }).sum()
}

/// Rows with their columns in line.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |at: usize| {
        rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..most).map(widest).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide.saturating_sub(width(cell)))));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn direction(word: &str) -> &str {
    match word {
        "looser" => "放宽 looser",
        "tighter" => "收紧 tighter",
        "other" => "其他 other",
        other => other,
    }
}

fn change(word: &str) -> &str {
    match word {
        "added" => "新增 added",
        "removed" => "删除 removed",
        "changed" => "修改 changed",
        other => other,
    }
}

/// A difference, row by row and field by field.
pub(super) fn diff(value: &Value) -> Vec<String> {
    let Some(diff) = value.get("diff") else { return Vec::new() };
    let mut rows = Vec::new();
    for row in list(diff, "rows") {
        let law = row.get("statutory").and_then(Value::as_bool).unwrap_or(false);
        let name = format!("{} {}", text(row, "tag"), text(row, "kind").to_uppercase());
        rows.push(vec![
            change(text(row, "change")).to_owned(),
            name.trim().to_owned(),
            format!("P{}", count(row, "priority")),
            direction(text(row, "direction")).to_owned(),
            if law { "法定 statutory".to_owned() } else { String::new() },
        ]);
        rows.extend(list(row, "fields").iter().map(|field| {
            vec![
                String::new(),
                format!("  {}", text(field, "field")),
                String::new(),
                direction(text(field, "direction")).to_owned(),
                format!("{} → {}", shown(text(field, "old")), shown(text(field, "new"))),
            ]
        }));
    }
    let mut lines = columns(&rows);
    lines.push(format!(
        "共 {} 行：放宽 {}，收紧 {}，其他 {} / {} rows: {} looser, {} tighter, {} other",
        count(diff, "total"),
        count(diff, "looser"),
        count(diff, "tighter"),
        count(diff, "other"),
        count(diff, "total"),
        count(diff, "looser"),
        count(diff, "tighter"),
        count(diff, "other"),
    ));
    let second: Vec<&str> = list(diff, "second_person").iter().filter_map(Value::as_str).collect();
    if !second.is_empty() {
        let n = second.len();
        lines.push(format!("须另一人批准 {n} 行 / a second person must approve {n}:"));
        let each = |some: &[&str]| format!("  {}", some.join("、"));
        lines.extend(second.chunks(SECOND_A_LINE).map(each));
    }
    lines
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "∅" } else { text }
}

/// What became of a proposal.
pub(super) fn proposed(value: &Value) -> String {
    let (gateway, number) = (text(value, "gateway"), count(value, "number"));
    format!(
        "已提交 {gateway} 第 {number} 版，批准后生效 / proposed as {gateway} number {number}; it judges \
         nothing until it is approved"
    )
}

/// What became of a decision.
pub(super) fn decided(value: &Value) -> String {
    format!(
        "{} 第 {} 版：{} {}",
        text(value, "gateway"),
        count(value, "number"),
        text(value, "status_zh"),
        text(value, "status")
    )
}

/// Every revision.
pub(super) fn history(value: &Value) -> Vec<String> {
    let heading =
        ["网关", "版次", "状态", "版本", "提出人", "提出时间", "批准人", "生效时间", "理由"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for revision in list(value, "revisions") {
        let approver = list(revision, "decisions")
            .iter()
            .find(|decision| text(decision, "status") == "approved")
            .map_or("", |decision| text(decision, "name"));
        rows.push(vec![
            text(revision, "gateway").to_owned(),
            count(revision, "number").to_string(),
            text(revision, "status_zh").to_owned(),
            text(revision, "revision").to_owned(),
            text(revision, "author_name").to_owned(),
            text(revision, "created").to_owned(),
            approver.to_owned(),
            text(revision, "valid_from").to_owned(),
            text(revision, "reason").to_owned(),
        ]);
    }
    let mut lines = columns(&rows);
    lines.extend(list(value, "not_judged").iter().map(not_judged));
    lines
}

/// A limit in force that is not judged as it is meant: whoever looks at revisions must see it.
fn not_judged(misfit: &Value) -> String {
    let row = misfit.get("row").and_then(Value::as_u64);
    let row = row.map_or(String::new(), |row| format!("（第 {row} 行 row）"));
    let judged = misfit.get("judged").and_then(Value::as_bool) == Some(true);
    let what = if judged {
        "未按原意判断 not judged as it is meant"
    } else {
        "无人判断 nobody judges it"
    };
    let (alarm, zh, en) = (text(misfit, "alarm"), text(misfit, "zh"), text(misfit, "en"));
    format!("⚠ {alarm}{row} {what}：{zh}  |  {en}")
}

/// For a gateway's file, as it stands.
pub(super) fn key(value: &Value) -> Vec<String> {
    vec!["[centre]".to_owned(), format!("public_key = \"{}\"", text(value, "public_key"))]
}

/// Why something was not done: what, every fault, and the mend.
pub(super) fn problem(value: &Value) -> Vec<String> {
    let mut lines = vec![text(value, "detail").to_owned()];
    for fault in list(value, "faults") {
        let row = fault.get("row").and_then(Value::as_u64);
        let place = row.map_or_else(String::new, |row| {
            let (field, was) = (text(fault, "field"), text(fault, "value"));
            let cell = match (field, was) {
                ("", "") => String::new(),
                ("", was) => format!("，{was:?}"),
                (field, was) => format!("，{field} = {was:?}"),
            };
            format!("第 {row} 行 row {row}{cell}：")
        });
        // A roster's faults are words.
        let why = fault.as_str().unwrap_or_else(|| text(fault, "why"));
        lines.push(format!("{place}{why}"));
    }
    let fix = text(value, "fix");
    if !fix.is_empty() {
        lines.push(format!("→ {fix}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_in_line_with_two_scripts() {
        let rows = [["位号", "a"], ["TK-101", "b"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), ["位号    a", "TK-101  b"]);
    }

    #[test]
    fn a_difference_names_each_field_and_who_must_agree() {
        let value = json!({ "diff": {
            "rows": [{ "tag": "A", "kind": "hh", "change": "changed", "direction": "looser",
                "priority": 1, "statutory": true,
                "fields": [{ "field": "latch", "old": "true", "new": "", "direction": "looser" }] }],
            "total": 1, "looser": 1, "tighter": 0, "other": 0, "second_person": ["A HH"],
        }});
        let lines = diff(&value).join("\n");
        for part in ["  A HH", "P1", "放宽 looser", "法定", "true → ∅", "须另一人批准 1 行"]
        {
            assert!(lines.contains(part), "{part}: {lines}");
        }
    }

    #[test]
    fn a_problem_names_row_field_value_and_mend() {
        let value = json!({ "detail": "有错误", "fix": "修改", "faults": [
            { "row": 3, "field": "limit", "value": "abc", "why": "is no finite number" }] });
        let lines = problem(&value);
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("第 3 行") && lines[1].contains("\"abc\""), "{lines:?}");
        let value = json!({ "faults": [{ "row": 4, "field": "", "value": "A,\"x", "why": "w" }] });
        assert_eq!(problem(&value)[1], "第 4 行 row 4，\"A,\\\"x\"：w");
    }

    #[test]
    fn the_list_of_revisions_ends_with_what_nobody_judges() {
        let value = json!({ "revisions": [], "not_judged": [
            { "alarm": "GW-01//LIMITS", "row": null, "judged": false, "zh": "无法读取", "en": "e" }] });
        let last = history(&value).pop().unwrap();
        for part in ["⚠ GW-01//LIMITS ", "无人判断", "无法读取"] {
            assert!(last.contains(part), "{part}: {last}");
        }
    }
}
