//! A gateway's file and a file of limits with ten faults each: all of them at once, in both
//! languages, each with file, line, key, value and mend.

use std::path::Path;

use fengsui_gateway::check;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/broken-gateway/");
const WANTED: &str = include_str!("../../../tests/data/broken-gateway/expected.txt");

#[test]
fn ten_faults_of_each_file_are_told_at_once() {
    let report = check(&Path::new(FOLDER).join("gateway.toml"));
    let told: Vec<String> =
        report.faults.iter().map(|fault| fault.message.replace(FOLDER, "")).collect();
    let wanted: Vec<&str> = WANTED.lines().collect();
    assert_eq!(told, wanted, "\n{}\n", told.join("\n"));
    for (file, count) in [("gateway.toml", 10), ("limits.csv", 10)] {
        let of_file = wanted.iter().filter(|line| line.starts_with(file)).count();
        assert_eq!(of_file, count, "{file}");
    }
    for fault in &report.faults {
        assert!(!fault.zh.is_empty() && fault.row.is_some(), "{fault:?}");
        assert!(fault.en != fault.zh && fault.column.is_some(), "{fault:?}");
    }
}
