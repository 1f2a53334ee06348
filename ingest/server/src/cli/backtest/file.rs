//! A CSV file as a series.

use std::path::Path;

use fengsui_alerting::backtest::{self, Row, Skipped, Why};
use fengsui_telemetry::{Fault, Reading};

use super::when::Zone;
use super::{Args, Refusal, Source};

/// Rows of a file: ninety days at one a second, three times. More belongs into the store.
const ROWS_MAX: usize = 24_000_000;
/// A file with this many unreadable times and not one good row is no series.
const BAD_TIMES_MAX: usize = 20;

/// A row that is not judged as it stands, in words.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) row: u64,
    pub(super) value: String,
    pub(super) why: &'static str,
}

pub(super) fn read(args: &Args, path: &Path) -> Result<Source, Refusal> {
    let name = path.display();
    let zone = Zone::of(args.zone.as_deref())?;
    let file = std::fs::File::open(path)
        .map_err(|fault| Refusal::usage(format!("{name}: {fault}; 请用 --csv 指明文件")))?;
    let size = file.metadata().map_or(0, |meta| meta.len());
    let bar = super::progress(size, "读取 reading");
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bar.wrap_read(file));
    let heading = reader
        .byte_headers()
        .map_err(|fault| Refusal::usage(format!("{name}: {fault}; 请存为 UTF-8 的 CSV")))?
        .clone();
    let heading: Vec<String> =
        heading.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
    let heading: Vec<&str> =
        heading.iter().map(|cell| cell.trim_start_matches('\u{feff}')).collect();
    let place =
        |flag: &str, wanted: Option<&str>| column(&name.to_string(), &heading, flag, wanted);
    let time = place("--time", args.time.as_deref())?;
    let value = place("--value", args.value.as_deref())?;
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    let mut utc = true;
    let mut record = csv::StringRecord::new();
    loop {
        let row = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(fault) => {
                return Err(Refusal::problem(format!(
                    "{name}, 行 row {row}: {fault}; 请存为 UTF-8 的 CSV / save it as CSV, UTF-8"
                )));
            }
        }
        let row = record.position().map_or(row, csv::Position::line);
        if record.iter().any(|cell| cell.contains('\n')) {
            return Err(Refusal::problem(format!(
                "{name}, 行 row {row}: 引号中有换行，多半是缺一个引号，后面的行会被吞掉；请改正引号或去掉换行 / \
                 a quote goes on over the line's end and would swallow the rows after it; mend it"
            )));
        }
        let cell = |at: usize| record.get(at).unwrap_or("").trim();
        let Some(te) = zone.read(cell(time)) else {
            notes.push(Note { row, value: cell(time).to_owned(), why: word(Why::Time) });
            if rows.is_empty() && notes.len() >= BAD_TIMES_MAX {
                break;
            }
            continue;
        };
        utc &= cell(time).ends_with(['Z', 'z']);
        rows.push(Row { row, te, reading: reading(cell(value)) });
        if rows.len() > ROWS_MAX {
            return Err(Refusal::usage(format!(
                "{name}: 超过 {ROWS_MAX} 行，请分段 / too many rows"
            )));
        }
    }
    bar.finish_and_clear();
    if rows.is_empty() {
        return Err(no_times(&name.to_string(), heading.get(time).copied(), &notes));
    }
    let arranged = backtest::arrange(rows);
    notes.extend(arranged.skipped.iter().map(note));
    notes.sort_by_key(|note| note.row);
    let samples = Box::new(arranged.samples.into_iter().map(Ok));
    Ok(Source { samples, skipped: notes, zone: if utc { zone.or_utc() } else { zone } })
}

fn no_times(name: &str, column: Option<&str>, notes: &[Note]) -> Refusal {
    let column = column.unwrap_or_default();
    Refusal::problem(match notes.first() {
        Some(note) => format!(
            "{name}, 行 row {}, {column} {:?}: 不是时间 / is no time; write 2022-05-09T00:01:00Z or \
             2022-05-09 08:01:00",
            note.row, note.value
        ),
        None => format!("{name}: 没有数据行 / has no rows below the heading"),
    })
}

fn column(
    name: &str,
    heading: &[&str],
    flag: &str,
    wanted: Option<&str>,
) -> Result<usize, Refusal> {
    let Some(wanted) = wanted else {
        return Err(Refusal::usage(format!("{flag}: 请指明列名 / name the column")));
    };
    if heading.iter().filter(|cell| **cell == wanted).count() > 1 {
        return Err(Refusal::usage(format!(
            "{name}, 行 row 1, {flag} {wanted:?}: 有多列同名，请改名 / several columns of this name; rename them"
        )));
    }
    heading.iter().position(|cell| *cell == wanted).ok_or_else(|| {
        Refusal::usage(format!(
            "{name}, 行 row 1, {flag} {wanted:?}: 没有此列，现有 / no such column, there are: {}",
            heading.join(", ")
        ))
    })
}

fn reading(cell: &str) -> Reading {
    if cell.is_empty() {
        return Reading::Bad(Fault::Missing);
    }
    match cell.parse::<f64>() {
        Ok(value) if value.is_finite() => Reading::Good(value),
        Ok(_) | Err(_) => Reading::Bad(Fault::NotANumber),
    }
}

fn note(skipped: &Skipped) -> Note {
    Note { row: skipped.row, value: String::new(), why: word(skipped.why) }
}

fn word(why: Why) -> &'static str {
    match why {
        Why::Empty => "空值，按坏质量处理 empty: bad quality",
        Why::NotANumber => "不是数，按坏质量处理 not a number: bad quality",
        Why::Time => "时间无法识别，略去 unreadable time: left out",
        Why::Repeated => "与另一行相同，略去 repeats another row: left out",
        Why::Contradicted => {
            "同一时刻数值不同，均不采信 contradicts another row: neither is trusted"
        }
    }
}
