//! Tables as plants keep them: CSV in UTF-8, or a spreadsheet, which is read as the same rows.
//!
//! - A spreadsheet's sheet `测点` or `points` is read, else its first. Row 5 there is row 5 in every
//!   message.
//! - A spreadsheet is a packed file from anywhere: what it unpacks to is counted before it is read.
//! - Nothing is guessed: text that is not UTF-8 is refused with the mend. So is a cell that shows a
//!   person something and holds nothing: a formula that was never worked out, cells made one.

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::Path;

use calamine::{DataRef, Reader, Xlsx};
use zip::ZipArchive;

/// Sheets that are read whatever their place in the file.
const NAMES: [&str; 2] = ["测点", "points"];
/// A sheet of 120,000 points has some twelve megabytes.
const TABLE_MAX: u64 = 32 << 20;
/// Every other file: a site of a thousand devices has a third of a megabyte.
const FILE_MAX: u64 = 1 << 20;
/// The same sheet unpacked, and as much again.
const UNPACKED_MAX: u64 = 192 << 20;
/// Parts of a spreadsheet: sheets, styles, pictures.
const PARTS_MAX: usize = 2_000;
/// Rows of a sheet: headings and as many points as a gateway bears, and blank ones between.
const ROWS_MAX: u32 = 200_000;
/// Columns: three times what a point sheet has.
const COLUMNS_MAX: u32 = 64;

/// Where the bytes of a file come from: the disk, or what was kept of it.
pub(crate) type Reading<'a> = dyn FnMut(&Path) -> io::Result<Vec<u8>> + 'a;

/// What a file holds. A pipe or a device would be waited for without end.
pub(crate) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::other("不是普通文件 / is no regular file"));
    }
    let ending = ending(path);
    let is_table = is_packed(&ending) || matches!(ending.as_str(), "csv" | "tsv" | "txt");
    let most = if is_table { TABLE_MAX } else { FILE_MAX };
    let large = |found| Err(io::Error::other(too_large(found, most)));
    if about.len() > most {
        return large(about.len());
    }
    // It may grow while it is read.
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0));
    let found = fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)? as u64;
    if found > most { large(found) } else { Ok(bytes) }
}

fn ending(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase()
}

fn is_packed(ending: &str) -> bool {
    matches!(ending, "xlsx" | "xlsm")
}

/// The text of a file that is a table, as CSV.
pub(crate) fn read_table(path: &Path, bytes: &mut Reading<'_>) -> Result<String, String> {
    let of_file = |e: io::Error| format!("{}: {e}", path.display());
    let ending = ending(path);
    match ending.as_str() {
        packed if is_packed(packed) => csv_of(bytes(path).map_err(of_file)?),
        "xls" | "et" | "ods" | "numbers" => {
            Err(format!("不能读取 .{ending}，请另存为 .xlsx 或 CSV UTF-8 / save it as .xlsx"))
        }
        _ => utf8(bytes(path).map_err(of_file)?),
    }
}

/// Text in UTF-8, or what it is instead.
pub(crate) fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let row = bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        if bytes.starts_with(b"PK\x03\x04") {
            return "是电子表格，此处须为文本；请另存为“CSV UTF-8” / is a spreadsheet, and text is wanted here: save it as CSV UTF-8".to_owned();
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return "编码为 UTF-16，请另存为“CSV UTF-8” / is UTF-16, save it as CSV UTF-8".to_owned();
        }
        if is_gbk(bytes) {
            return format!(
                "第 {row} 行起为 GBK 编码；请在 Excel 中另存为“CSV UTF-8（逗号分隔）”，或直接使用 .xlsx / \
                 is GBK from row {row} on: save it as CSV UTF-8, or name the .xlsx"
            );
        }
        format!("第 {row} 行不是 UTF-8；请另存为“CSV UTF-8” / is not UTF-8 in row {row}")
    })
}

/// True where every byte fits into GBK: pairs of a lead byte and a trail byte, or ASCII.
fn is_gbk(mut bytes: &[u8]) -> bool {
    loop {
        bytes = match bytes {
            [] => return true,
            [0..=0x7f, rest @ ..] => rest,
            [0x81..=0xfe, 0x40..=0x7e | 0x80..=0xfe, rest @ ..] => rest,
            _ => return false,
        };
    }
}

fn too_large(found: u64, most: u64) -> String {
    let (found, most) = (found.div_ceil(1 << 20), most >> 20);
    format!(
        "文件过大：{found} MB，最大 {most} MB；请核对是不是这个文件，只保留所需内容 / has {found} MB, at most {most}: look whether it is the right one, and keep what is needed"
    )
}

/// The sheet of a spreadsheet as CSV, row for row.
fn csv_of(bytes: Vec<u8>) -> Result<String, String> {
    weigh(&bytes, UNPACKED_MAX)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(broken)?;
    let names = book.sheet_names();
    let named = names.iter().find(|name| NAMES.contains(&name.as_str()));
    let Some(name) = named.or(names.first()).cloned() else {
        return Err("没有工作表；请新建一张 / has no sheet; add one".to_owned());
    };
    let merged = book.merge_cells_by_sheet_name(&name).map_err(broken)?;
    // The first row is for people.
    if let Some(one) = merged.iter().find(|one| one.end.0 > 0) {
        let (from, to) = (place(one.start), place(one.end));
        return Err(format!(
            "{from}:{to} 是合并单元格，除左上角外都是空的；请取消合并并逐格填写 / {from}:{to} are merged cells, all \
             but the first of them empty: unmerge them and fill in each"
        ));
    }
    let mut cells = book.worksheet_cells_reader(&name).map_err(broken)?;
    let mut sheet = Rows::default();
    while let Some(cell) = cells.next_cell_with_formula_metadata().map_err(broken)? {
        if cell.formula.is_some() && cell.value == DataRef::Empty {
            let at = place(cell.pos);
            return Err(format!(
                "{at} 是公式，文件中没有它的结果；请用表格软件打开后保存，或填写数值 / {at} is a formula whose result \
                 is not in the file: open and save it with a spreadsheet program, or write the value"
            ));
        }
        let text = text_of(&cell.value);
        if !text.trim().is_empty() {
            sheet.put(cell.pos, text)?;
        }
    }
    sheet.csv()
}

/// `B12`, as spreadsheets name a cell.
fn place((row, column): (u32, u32)) -> String {
    let letter = |n: u32| char::from_u32(u32::from('A') + n % 26).unwrap_or('?');
    let mut letters = vec![letter(column)];
    let mut rest = column / 26;
    while rest > 0 {
        letters.insert(0, letter(rest - 1));
        rest = (rest - 1) / 26;
    }
    format!("{}{}", letters.iter().collect::<String>(), row + 1)
}

fn broken(why: impl std::fmt::Display) -> String {
    format!(
        "不是完好的 .xlsx（{why}）；请用表格软件打开后另存 / is no sound .xlsx: open and save it again"
    )
}

/// Unpacks every part into nothing and counts.
fn weigh(bytes: &[u8], most: u64) -> Result<(), String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let parts = archive.len();
    if parts > PARTS_MAX {
        return Err(format!(
            "含 {parts} 个部件，最多 {PARTS_MAX} 个 / has {parts} parts, at most {PARTS_MAX}"
        ));
    }
    let mut left = most;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(broken)?;
        let size = io::copy(&mut part.take(left + 1), &mut io::sink()).map_err(broken)?;
        left = left.checked_sub(size).ok_or_else(|| too_large(most + size, most))?;
    }
    Ok(())
}

/// A cell as a person would have typed it into a CSV file. Line breaks become blanks: a row is a
/// line.
fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(whole) => whole.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) => text.replace(['\r', '\n'], " "),
        DataRef::SharedString(text) => text.replace(['\r', '\n'], " "),
        DataRef::Bool(flag) => flag.to_string(),
        DataRef::Empty => String::new(),
        // A date or an error where a number belongs: shown as it is, and refused as what it is.
        DataRef::Error(error) => error.to_string(),
        DataRef::DateTime(date) => format!("日期 date {}", date.as_f64()),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => format!("日期 date {text}"),
    }
}

#[derive(Default)]
struct Rows {
    rows: Vec<Vec<String>>,
    width: usize,
}

impl Rows {
    fn put(&mut self, (row, column): (u32, u32), text: String) -> Result<(), String> {
        if row >= ROWS_MAX || column >= COLUMNS_MAX {
            return Err(format!(
                "第 {} 行第 {} 列有内容，最多 {ROWS_MAX} 行 {COLUMNS_MAX} 列；请删去表外内容 / has a cell in row {}, \
                 column {}: remove what is no point",
                row + 1,
                column + 1,
                row + 1,
                column + 1
            ));
        }
        let (row, column) = (usize::try_from(row), usize::try_from(column));
        let (Ok(row), Ok(column)) = (row, column) else { return Ok(()) };
        if self.rows.len() <= row {
            self.rows.resize(row + 1, Vec::new());
        }
        self.width = self.width.max(column + 1);
        if let Some(cells) = self.rows.get_mut(row) {
            if cells.len() <= column {
                cells.resize(column + 1, String::new());
            }
            if let Some(cell) = cells.get_mut(column) {
                *cell = text;
            }
        }
        Ok(())
    }

    /// A row ends with its last filled cell; all are made as wide as the keys in row 2.
    fn csv(self) -> Result<String, String> {
        let width = self.rows.get(1).map_or(self.width, Vec::len);
        let mut out = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for mut cells in self.rows {
            if cells.is_empty() {
                cells.push(String::new());
            } else if cells.len() < width {
                cells.resize(width, String::new());
            }
            out.write_record(&cells).map_err(|e| e.to_string())?;
        }
        let bytes = out.into_inner().map_err(|e| e.to_string())?;
        String::from_utf8(bytes).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests;
