//! Points and limits of a site, as far as rules compare them.
//!
//! - Reads the columns tag, name, signal, unit, low, high; how a point is read from its device is
//!   no matter here.

use std::path::Path;

use fengsui_alerting::limits::LimitSet;
use fengsui_telemetry::{Catalogue, Point, Tag};

/// Columns that must be there.
const NEEDED: [&str; 5] = ["tag", "signal", "unit", "low", "high"];

/// Reads both files, or names every fault.
pub(super) fn read(points: &Path, limits: &Path) -> Result<(Catalogue, LimitSet), Vec<String>> {
    let mut faults = Vec::new();
    let text = |path: &Path, flag: &str| {
        std::fs::read_to_string(path)
            .map_err(|fault| vec![format!("{}: {fault}; 请用 {flag} 指明文件", path.display())])
    };
    let points = text(points, "--points").and_then(|text| self::points(points, &text));
    let limits = text(limits, "--limits").and_then(|text| {
        let found = LimitSet::parse(&limits.display().to_string(), &text);
        found.map_err(|found| found.iter().map(ToString::to_string).collect())
    });
    match (points, limits) {
        (Ok(points), Ok(limits)) => {
            let catalogue =
                Catalogue { enterprise: String::new(), installations: Vec::new(), points };
            let found = limits.check_against(&catalogue);
            if found.is_empty() {
                return Ok((catalogue, limits));
            }
            faults.extend(found.iter().map(ToString::to_string));
        }
        (points, limits) => {
            faults.extend(points.err().into_iter().flatten());
            faults.extend(limits.err().into_iter().flatten());
        }
    }
    Err(faults)
}

fn points(path: &Path, text: &str) -> Result<Vec<Point>, Vec<String>> {
    let name = path.display();
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let records: Vec<csv::StringRecord> = reader
        .records()
        .collect::<Result<_, _>>()
        .map_err(|fault| vec![format!("{name}: {fault}; 请存为 UTF-8 的 CSV")])?;
    let is_heading = |record: &csv::StringRecord| record.iter().any(|cell| cell.trim() == "tag");
    let Some(at) = records.iter().take(2).position(is_heading) else {
        return Err(vec![format!("{name}: 没有含 tag 的标题行 / has no heading row with tag")]);
    };
    let (heading, rows) = match records.get(at..) {
        Some([heading, rows @ ..]) => (heading, rows),
        Some([]) | None => return Ok(Vec::new()),
    };
    let place = |column: &str| heading.iter().position(|cell| cell.trim() == column);
    let missing: Vec<&str> = NEEDED.into_iter().filter(|c| place(c).is_none()).collect();
    if !missing.is_empty() {
        return Err(vec![format!("{name}: 缺少列 columns missing: {}", missing.join(", "))]);
    }
    let (mut points, mut faults) = (Vec::new(), Vec::new());
    for record in rows.iter().filter(|r| r.iter().any(|cell| !cell.trim().is_empty())) {
        let cell =
            |column: &'static str| place(column).and_then(|at| record.get(at)).unwrap_or("").trim();
        let row = record.position().map_or(0, csv::Position::line);
        match point(&cell) {
            Ok(point) => points.push(point),
            Err((column, why)) => {
                faults.push(format!("{name}, 行 row {row}, {column} {:?}: {why}", cell(column)));
            }
        }
    }
    if faults.is_empty() { Ok(points) } else { Err(faults) }
}

fn point<'a>(cell: &dyn Fn(&'static str) -> &'a str) -> Result<Point, (&'static str, String)> {
    let number = |column: &'static str| {
        let value = cell(column).parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or((column, "不是数 / is no number".to_owned()))
    };
    Ok(Point {
        tag: Tag::parse(cell("tag")).map_err(|fault| ("tag", fault.to_string()))?,
        name: cell("name").to_owned(),
        unit: cell("unit").to_owned(),
        low: number("low")?,
        high: number("high")?,
        installation: 0,
        equipment: String::new(),
        period_ms: 1_000,
        silence_ms: 0,
        signal: cell("signal").to_owned(),
    })
}
