//! Faults for a person: where, what stands there, and the mend, each on its own line.

use std::collections::BTreeMap;

use super::FaultReport;

/// Every fault, then how many each file has.
pub(crate) fn faults(all: &[FaultReport]) -> String {
    let mut text: String = all.iter().map(one).collect();
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in all {
        *files.entry(&fault.file).or_default() += 1;
    }
    let list: Vec<String> = files.iter().map(|(file, count)| format!("{file} {count}")).collect();
    let count = all.len();
    text += &format!("共 {count} 处错误 | {count} faults：{}\n", list.join("，"));
    text
}

/// Every hint: the site runs as it is.
pub(crate) fn hints(all: &[FaultReport]) -> String {
    all.iter().map(|hint| format!("提示 hint：{}", one(hint))).collect()
}

/// `points.csv 第 5 行 [address] "70000"`, and below it the mend.
fn one(fault: &FaultReport) -> String {
    let mut text = fault.file.clone();
    if let Some(row) = fault.row {
        text += &format!(" 第 {row} 行 row {row}");
    }
    if let Some(column) = fault.column.as_ref().filter(|column| !column.is_empty()) {
        text += &format!(" [{column}]");
    }
    if let Some(value) = fault.value.as_ref().filter(|value| !value.is_empty()) {
        text += &format!(" {value:?}");
    }
    text.push('\n');
    for mend in [&fault.zh, &fault.en] {
        if !mend.is_empty() {
            text += &format!("    {mend}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_where_what_and_how_to_mend_it() {
        let fault = |file: &str, row, zh: &str| FaultReport {
            file: file.to_owned(),
            row,
            column: row.map(|_| "address".to_owned()),
            value: row.map(|_| "70000".to_owned()),
            zh: zh.to_owned(),
            en: "must be 0 to 65535".to_owned(),
            message: String::new(),
        };
        let text = faults(&[
            fault("points.csv", Some(5), "应为 0 到 65535"),
            fault("points.csv", Some(6), "应为 0 到 65535"),
            fault("limits.csv", None, ""),
        ]);
        assert_eq!(
            text,
            "points.csv 第 5 行 row 5 [address] \"70000\"\n    应为 0 到 65535\n    must be 0 to 65535\n\
             points.csv 第 6 行 row 6 [address] \"70000\"\n    应为 0 到 65535\n    must be 0 to 65535\n\
             limits.csv\n    must be 0 to 65535\n\
             共 3 处错误 | 3 faults：limits.csv 1，points.csv 2\n"
        );
    }
}
