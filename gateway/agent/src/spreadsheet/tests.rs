//! Spreadsheets written byte by byte, as other programs pack them, and what must be read from them.

use std::fmt::Write as _;
use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// A workbook with these sheets: name and rows; a cell without text is left out of the file.
fn book(sheets: &[(&str, &[&[&str]])]) -> Vec<u8> {
    let mut names = String::new();
    let mut relations = String::new();
    let mut parts = Vec::new();
    for (index, (name, rows)) in sheets.iter().enumerate() {
        let id = index + 1;
        write!(names, r#"<sheet name="{name}" sheetId="{id}" r:id="rId{id}"/>"#).unwrap();
        write!(relations, r#"<Relationship Id="rId{id}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{id}.xml"/>"#).unwrap();
        let mut body = String::new();
        for (row, cells) in rows.iter().enumerate().filter(|(_, cells)| !cells.is_empty()) {
            write!(body, r#"<row r="{}">"#, row + 1).unwrap();
            for (column, text) in cells.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
                let place =
                    format!("{}{}", char::from(b'A' + u8::try_from(column).unwrap()), row + 1);
                if let Some(formula) = text.strip_prefix('=') {
                    // As programs write it that work nothing out, and as others do: `formula|result`.
                    let (formula, result) = formula.split_once('|').unwrap_or((formula, ""));
                    write!(body, r#"<c r="{place}"><f>{formula}</f><v>{result}</v></c>"#).unwrap();
                    continue;
                }
                if text.starts_with('#') {
                    write!(body, r#"<c r="{place}" t="e"><v>{text}</v></c>"#).unwrap();
                    continue;
                }
                match text.parse::<f64>() {
                    Ok(_) => write!(body, r#"<c r="{place}"><v>{text}</v></c>"#).unwrap(),
                    Err(_) => {
                        write!(body, r#"<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>"#)
                            .unwrap()
                    }
                }
            }
            body.push_str("</row>");
        }
        parts.push((format!("xl/worksheets/sheet{id}.xml"), format!(r#"{HEAD}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{body}</sheetData></worksheet>"#)));
    }
    parts.push(("xl/workbook.xml".into(), format!(r#"{HEAD}<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{names}</sheets></workbook>"#)));
    parts.push(("xl/_rels/workbook.xml.rels".into(), format!(r#"{HEAD}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}</Relationships>"#)));
    parts.push(("_rels/.rels".into(), format!(r#"{HEAD}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#)));
    parts.push((
        "[Content_Types].xml".into(),
        format!(
            r#"{HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#
        ),
    ));
    let parts: Vec<_> = parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    packed(&parts)
}

fn packed(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        out.start_file(*name, SimpleFileOptions::default()).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

#[test]
fn a_cell_that_shows_something_and_holds_nothing_is_refused_by_its_place() {
    let rows = |cell| -> Vec<u8> {
        let rows: &[&[&str]] = &[&["位号", "系数"], &["tag", "scale"], &["LT-1", cell]];
        book(&[("Sheet1", rows)])
    };
    let said = csv_of(rows("=1/10")).unwrap_err();
    assert!(said.contains("B3") && said.contains("formula"), "{said}");
    assert!(csv_of(rows("=1/10|0.1")).unwrap().ends_with("LT-1,0.1\n"));

    let merged = |region: &str| {
        let mut sheet = ZipArchive::new(Cursor::new(rows("0.1"))).unwrap();
        let mut parts = Vec::new();
        for index in 0..sheet.len() {
            let mut part = sheet.by_index(index).unwrap();
            let mut text = String::new();
            part.read_to_string(&mut text).unwrap();
            let cells = format!(
                "</sheetData><mergeCells count=\"1\"><mergeCell ref=\"{region}\"/></mergeCells>"
            );
            parts.push((part.name().unwrap().into_owned(), text.replace("</sheetData>", &cells)));
        }
        let parts: Vec<_> =
            parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
        csv_of(packed(&parts))
    };
    let said = merged("B3:B4").unwrap_err();
    assert!(said.contains("B3:B4") && said.contains("unmerge"), "{said}");
    assert!(merged("A1:B1").is_ok(), "a title");
    assert_eq!(
        [place((0, 25)), place((9, 26)), place((0, 701)), place((0, 702))],
        ["Z1", "AA10", "ZZ1", "AAA1"]
    );
}

#[test]
fn a_spreadsheet_is_read_row_for_row() {
    let rows: &[&[&str]] = &[
        &["位号", "名称", "下限"],
        &["tag", "name", "low"],
        &["LT-1", "一号, 罐", "0.1"],
        &[],
        &["LT-2"],
        &["", "只有名称", "1000"],
    ];
    let csv = csv_of(book(&[("Sheet1", rows)])).unwrap();
    assert_eq!(
        csv,
        "位号,名称,下限\ntag,name,low\nLT-1,\"一号, 罐\",0.1\n\"\"\nLT-2,,\n,只有名称,1000\n"
    );
}

#[test]
fn an_error_cell_is_shown_as_the_spreadsheet_shows_it() {
    let rows: &[&[&str]] = &[&["位号", "下限"], &["tag", "low"], &["A", "#REF!"], &["B", "#N/A"]];
    let csv = csv_of(book(&[("points", rows)])).unwrap();
    assert_eq!(csv, "位号,下限\ntag,low\nA,#REF!\nB,#N/A\n");
}

#[test]
fn the_sheet_of_the_points_is_found_by_its_name() {
    let (cover, points): (&[&[&str]], &[&[&str]]) = (&[&["封面"]], &[&["位号"], &["tag"]]);
    for name in NAMES {
        let csv = csv_of(book(&[("封面", cover), (name, points)])).unwrap();
        assert_eq!(csv, "位号\ntag\n", "{name}");
    }
    assert_eq!(csv_of(book(&[("a", points), ("b", cover)])).unwrap(), "位号\ntag\n");
}

#[test]
fn what_unpacks_to_too_much_is_not_read() {
    let bomb = vec![b' '; 1 << 20];
    let name = |i: usize| format!("xl/part{i}.xml");
    let file = packed(&[(&name(0), &bomb), (&name(1), &bomb)]);
    assert!(file.len() < 1 << 14, "a small file: {}", file.len());
    assert!(weigh(&file, (2 << 20) - 1).unwrap_err().contains("文件过大"));
    assert!(weigh(&file, 2 << 20).is_ok());
    let names: Vec<_> = (0..=PARTS_MAX).map(name).collect();
    let parts: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(csv_of(packed(&parts)).unwrap_err().contains("部件"));
}

/// Somebody copies a recording over the limits, and the gateway goes on.
#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, most) in [
        ("points.csv", TABLE_MAX),
        ("points.xlsx", TABLE_MAX),
        ("site.toml", FILE_MAX),
        ("site", FILE_MAX),
    ] {
        let path = folder.path().join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_len(most).unwrap();
        assert_eq!(bytes(&path).unwrap().len() as u64, most, "{name}");
        file.set_len(most + 1).unwrap();
        let fault = bytes(&path).unwrap_err().to_string();
        assert!(fault.contains("文件过大") && fault.contains("at most"), "{name}: {fault}");
    }
}

#[test]
fn a_spreadsheet_where_text_is_wanted_is_called_one() {
    let fault = utf8(book(&[("a", &[&["位号"], &["tag"]])])).unwrap_err();
    assert!(fault.contains("是电子表格") && fault.contains("is a spreadsheet"), "{fault}");
}

#[test]
fn what_is_no_spreadsheet_is_said_and_never_a_panic() {
    let good = book(&[("a", &[&["位号"], &["tag"]])]);
    assert!(csv_of(b"tag,name".to_vec()).unwrap_err().contains("另存"));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        drop(csv_of(bad));
        drop(csv_of(good[..at].to_vec()));
    }
}

#[test]
fn another_encoding_is_named_with_its_mend() {
    assert_eq!(utf8("位号".into()).unwrap(), "位号");
    // 位号, in GBK, in the second row.
    let gbk = [b"tag\n".as_slice(), &[0xce, 0xbb, 0xba, 0xc5], b",1\n"].concat();
    let said = utf8(gbk).unwrap_err();
    assert!(
        said.contains("第 2 行") && said.contains("GBK") && said.contains("CSV UTF-8"),
        "{said}"
    );
    assert!(utf8(vec![0xff, 0xfe, 0x4d, 0x4f]).unwrap_err().contains("UTF-16"));
    assert!(utf8(vec![b'a', b'\n', 0xff, b'\n']).unwrap_err().contains("第 2 行不是 UTF-8"));
}
