//! The project's alarm vectors, all of them.

use fengsui_alerting::vectors;

const VECTORS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/alarm-vectors.jsonl"));

#[test]
fn every_vector_comes_out_as_written() {
    let report = vectors::run(VECTORS);
    assert_eq!(report.failed, 0, "\n{}", report.lines.join("\n"));
    assert_eq!(report.passed, VECTORS.lines().count());
}

#[test]
fn a_wrong_row_and_an_unreadable_line_are_named() {
    let mut lines: Vec<String> = VECTORS.lines().take(2).map(str::to_owned).collect();
    lines[0] = lines[0].replacen("\"te\":10,\"fr\":\"A\"", "\"te\":11,\"fr\":\"A\"", 1);
    lines.push("{\"id\":".to_owned());
    let unknown = lines[1].replacen("\"prio\":2", "\"prio\":2,\"colour\":\"red\"", 1);
    lines.push(unknown);
    let report = vectors::run(&lines.join("\n"));
    assert_eq!((report.passed, report.failed), (1, 3), "{:#?}", report.lines);
    assert!(report.lines[0].starts_with("FAIL V01 "), "{:#?}", report.lines);
    assert!(report.lines[1].contains("wanted ti=10 te=11 A->B"), "{:#?}", report.lines);
    assert!(report.lines.iter().any(|l| l == "FAIL line 3"), "{:#?}", report.lines);
    assert!(report.lines.iter().any(|l| l.contains("colour")), "{:#?}", report.lines);
    assert_eq!(report.lines.last().map(String::as_str), Some("1 passed, 3 failed"));
}
