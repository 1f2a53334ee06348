//! Files that are far too large, or not what their name says.

use fengsui_telemetry::POINTS_MAX;

use super::*;

const DEVICE: &str =
    "[[device]]\nname = 'dNAME'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = 1502\nunit = 1\n";

/// A wrong file under the name of a right one is answered as quickly, and in as little room.
#[test]
fn of_a_wrong_file_a_thousand_faults_are_told_and_that_there_are_more() {
    let rows: Vec<String> = (0..3_000).map(|i| format!("2026-11-01T00:00:{i},TK-101.LT")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let long = GOOD.replace("level", &"长".repeat(5_000)).replace("holding", &"长".repeat(5_000));
    let devices: String = (0..3_000).map(|i| format!("[[device]]\nnom = {i}\n")).collect();
    let keys: String = (0..3_000).map(|i| format!("key{i} = {i}\n")).collect();
    for (site, rows, wanted) in [
        (SITE.to_owned(), &rows[..], 1_001),
        (format!("{SITE}{devices}"), &[GOOD], 1_001),
        (format!("{keys}{SITE}"), &[GOOD], 1_001),
        ("x\n".repeat(3_000), &[GOOD], 1_001),
        (SITE.to_owned(), &[&long], 1),
    ] {
        let faults = load(&site, rows).unwrap_err();
        let more = faults.iter().filter(|fault| fault.contains("只列出 1000 处")).count();
        assert_eq!((faults.len(), more), (wanted, wanted / 1_001), "{:#?}", faults.first());
        let longest = faults.iter().map(|fault| fault.chars().count()).max();
        assert!(longest.is_some_and(|chars| chars < 2_000), "{longest:?}");
    }
    let devices: String = (0..2_500).map(|i| DEVICE.replace("NAME", &i.to_string())).collect();
    let faults = load(&format!("{SITE}{devices}"), &[GOOD]).unwrap_err();
    assert!(
        faults.iter().any(|fault| fault.contains("2501") && fault.contains("2000")),
        "{faults:?}"
    );
}

/// What is beyond the points that a gateway bears is counted and not kept.
#[test]
fn a_sheet_of_too_many_points_says_how_many() {
    let row = |i: usize| {
        GOOD.replace("TK-101.LT", &format!("T{i}"))
            .replace("holding,0", &format!("holding,{}", i % 30_000 * 2))
    };
    let rows: Vec<String> = (0..POINTS_MAX + 7).map(row).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let faults = load(SITE, &rows).unwrap_err();
    assert!(faults.iter().any(|fault| fault.contains(&format!("共 {} 个", POINTS_MAX + 7))));
}
