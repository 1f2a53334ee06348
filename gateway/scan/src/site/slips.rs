//! Cells of a point sheet that say what they should not: slips so common that each has its own words.

use csv::StringRecord;

use super::Problem;
use crate::register::Function;

/// What spreadsheet programs show where a formula has no result.
const ERROR_CELLS: [&str; 8] =
    ["#N/A", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#DATA!"];

/// What a formula without a result left.
pub(super) fn error_cell(cell: &str) -> Option<Problem> {
    ERROR_CELLS.contains(&cell).then(|| {
        Problem::Said(
            format!("错误单元格 {cell}；请改正公式，或直接填写内容"),
            format!("error cell {cell}; mend the formula, or write the content"),
        )
    })
}

/// A character that nobody sees and that acts: on the terminal of whoever reads the values, in a
/// log, in the order in which a name is read.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first of them. A line break within a cell is none: see [`one_line`].
pub(super) fn hidden(cell: &str) -> Option<Problem> {
    let found = u32::from(cell.chars().find(|c| is_hidden(*c) && !c.is_whitespace())?);
    Some(Problem::Said(
        format!("含有看不见的控制字符 U+{found:04X}；请删去后重新输入"),
        format!("holds the invisible control character U+{found:04X}; type it anew without it"),
    ))
}

/// Text of a cell in one line: spreadsheets break names within a cell.
pub(super) fn one_line(cell: &str) -> String {
    let breaks = |c: char| matches!(c, '\u{2028}' | '\u{2029}') || c.is_control();
    if !cell.contains(breaks) {
        return cell.to_owned();
    }
    cell.split(breaks).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whole rows inside one cell: a quote that this row opened and a later one closed by chance. A name
/// that was broken into lines holds no row's worth of separators.
pub(super) fn swallowed(record: &StringRecord, separator: u8, width: usize) -> Option<Problem> {
    let count = |cell: &str| cell.bytes().filter(|byte| *byte == separator).count();
    let cell = record.iter().find(|c| c.contains(['\r', '\n']) && count(c) + 1 >= width)?;
    let last = cell.lines().count() - 1;
    Some(Problem::Said(
        format!("引号没有在本行结束，吞掉了后面 {last} 行；请删去多余的引号"),
        format!("opens a quote that swallows the next {last} lines; remove the stray quote"),
    ))
}

/// Six digits as manuals write them: the first names the table, the rest counts from 1.
pub(super) fn reference_number(cell: &str) -> Option<Problem> {
    let number: u32 = cell.parse().ok()?;
    let function = match number / 100_000 {
        1 => Function::Discrete,
        3 => Function::Input,
        4 => Function::Holding,
        _ => return None,
    };
    let wire = (number % 100_000).checked_sub(1).filter(|wire| *wire < 65_536)?;
    let word = function.word();
    Some(Problem::Said(
        format!("像 6 位参考编号；线上地址从 0 起，请写 {wire}，功能写 {word}"),
        format!(
            "looks like a six-digit reference number; the address on the wire counts from 0: \
             write {wire}, function {word}"
        ),
    ))
}
