//! Tables as text, CSV, HTML and a spreadsheet.
//!
//! - What comes from a plant is text and stays text: a tag that begins with `=` is no formula in
//!   any program that opens the file.

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use super::{Cell, Sheet};

/// Letters of a cell in a spreadsheet: the format's own limit is 32,767.
const LETTERS_MAX: usize = 32_000;

/// For a terminal.
#[must_use]
pub fn text(sheets: &[Sheet]) -> String {
    let table = |sheet: &Sheet| {
        let mut rows = vec![sheet.columns.iter().map(|column| (*column).to_owned()).collect()];
        rows.extend(sheet.rows.iter().map(|row| row.iter().map(|c| plain(&c.text())).collect()));
        format!("【{}】\n{}\n", sheet.title, crate::cli::lines(&rows))
    };
    let filled = sheets.iter().filter(|sheet| !sheet.rows.is_empty());
    filled.map(table).collect::<Vec<_>>().join("\n")
}

/// Without what moves a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// As CSV with a mark of UTF-8, which spreadsheets in China need; tables one after the other.
#[must_use]
pub fn csv(sheets: &[Sheet]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer("\u{feff}".into());
    for sheet in sheets {
        let mut lines = vec![vec![sheet.title.to_owned()]];
        lines.push(sheet.columns.iter().map(|column| (*column).to_owned()).collect());
        lines.extend(sheet.rows.iter().map(|row| row.iter().map(csv_cell).collect()));
        lines.push(vec![String::new()]);
        for line in lines {
            // A Vec takes everything.
            writer.write_record(&line).ok();
        }
    }
    writer.into_inner().unwrap_or_default()
}

fn csv_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => unarmed(text),
        Cell::Number(number) => number.to_string(),
        Cell::Share(share) => share.to_string(),
        Cell::Count(count) => count.to_string(),
        Cell::None => "-".to_owned(),
    }
}

/// With a quote before what a spreadsheet would take for a formula.
fn unarmed(text: &str) -> String {
    let armed = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if armed { format!("'{text}") } else { text.to_owned() }
}

/// As one page that needs nothing else, for a browser and for paper.
#[must_use]
pub fn html(sheets: &[Sheet], title: &str) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\"><title>{0}</title>\n<style>body{{font:14px/1.5 sans-serif;margin:2em}}table{{border-collapse:collapse;margin:0 0 1.5em}}th,td{{border:1px solid #999;padding:2px 8px;text-align:left}}td.n{{text-align:right;font-variant-numeric:tabular-nums}}th{{background:#eee}}</style></head><body>\n<h1>{0}</h1>\n",
        escaped(title)
    );
    for sheet in sheets.iter().filter(|sheet| !sheet.rows.is_empty()) {
        page += &format!("<h2>{}</h2>\n<table><tr>", escaped(sheet.title));
        for column in &sheet.columns {
            page += &format!("<th>{}</th>", escaped(column));
        }
        page += "</tr>\n";
        for row in &sheet.rows {
            page += "<tr>";
            for cell in row {
                let class = if matches!(cell, Cell::Text(_)) { "" } else { " class=\"n\"" };
                page += &format!("<td{class}>{}</td>", escaped(&cell.text()));
            }
            page += "</tr>\n";
        }
        page += "</table>\n";
    }
    page + "</body></html>\n"
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            letter => out.push(letter),
        }
    }
    out
}

/// As a spreadsheet, a table a sheet.
///
/// # Errors
/// The library refuses a name or a size.
pub fn xlsx(sheets: &[Sheet]) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let bold = Format::new().set_bold();
    let percent = Format::new().set_num_format("0.00%");
    for sheet in sheets.iter().filter(|sheet| !sheet.rows.is_empty()) {
        let page = book.add_worksheet();
        page.set_name(sheet.title)?;
        for (place, column) in (0_u16..).zip(&sheet.columns) {
            page.write_string_with_format(0, place, *column, &bold)?;
        }
        for (line, row) in (1_u32..).zip(&sheet.rows) {
            for (place, cell) in (0_u16..).zip(row) {
                match cell {
                    // As a string whatever it begins with: no formula, no link.
                    Cell::Text(text) => {
                        let short: String = text.chars().take(LETTERS_MAX).collect();
                        page.write_string(line, place, short)?;
                    }
                    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
                    Cell::Count(count) => {
                        page.write_number(line, place, *count as f64)?;
                    }
                    Cell::Number(number) => {
                        page.write_number(line, place, *number)?;
                    }
                    Cell::Share(share) => {
                        page.write_number_with_format(line, place, *share, &percent)?;
                    }
                    Cell::None => {
                        page.write_string(line, place, "-")?;
                    }
                }
            }
        }
        page.set_freeze_panes(1, 0)?;
        page.autofit();
    }
    book.save_to_buffer()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Vec<Sheet> {
        let rows = vec![vec![
            Cell::Text("=HYPERLINK(\"http://x\",\"点我\")".to_owned()),
            Cell::Text("<script>alert(1)</script>\u{1b}[2J".to_owned()),
            Cell::Number(-1.5),
            Cell::None,
        ]];
        vec![Sheet { title: "清单", columns: vec!["甲", "乙", "丙", "丁"], rows }]
    }

    #[test]
    fn no_text_becomes_a_formula_a_tag_or_a_terminal_command() {
        let csv = String::from_utf8(csv(&hostile())).unwrap();
        assert!(csv.contains("\"'=HYPERLINK") && csv.contains(",-1.5,-"), "{csv}");
        let html = html(&hostile(), "<日报>");
        assert!(!html.contains("<script>") && html.contains("&lt;日报&gt;"), "{html}");
        assert!(!text(&hostile()).contains('\u{1b}'));
        for armed in ["+1", "-1", "@x", "\t=1", "＝1"] {
            assert!(unarmed(armed).starts_with('\''), "{armed}");
        }
        assert_eq!(unarmed("TK-101.LT"), "TK-101.LT");
    }

    #[test]
    fn a_spreadsheet_is_written_whatever_its_cells_say() {
        let bytes = xlsx(&hostile()).unwrap();
        assert!(bytes.starts_with(b"PK"), "a zip archive");
        let long = vec![vec![Cell::Text("长".repeat(40_000))]];
        let sheet = Sheet { title: "概要", columns: vec!["甲"], rows: long };
        assert!(xlsx(&[sheet]).is_ok(), "longer than a cell may be");
    }
}
