//! Reads `limits.csv`: two heading rows, then one limit a row.
//!
//! - The second heading row holds the keys; the first is for people and is not read.
//! - A byte order mark, Windows line ends and empty rows are fine.
//! - A row is a line: a quote that stays open costs its own row and none after it.
//! - Columns are found by key, in any order; an unknown column is a fault.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use fengsui_telemetry::{Catalogue, Tag};

use crate::limits::derive::RANGE_DEFAULT;
use crate::limits::fault::{LimitFault, LimitTrouble};
use crate::limits::fitted::alone;
use crate::limits::names::circles;
use crate::limits::sheet::{closed, line_of, reader_of, separator};
use crate::limits::{Detail, LimitKind, LimitRow, LimitSet, PointLimit};
use crate::model::Priority;
use crate::plan::ALARMS_MAX;

/// The columns, in the order in which files are written.
const COLUMNS: [&str; 12] = [
    "tag",
    "kind",
    "limit",
    "deadband",
    "on_delay_s",
    "off_delay_s",
    "priority",
    "latch",
    "source",
    "confidence",
    "statutory",
    "detail",
];
/// Columns that must be there.
const NEEDED: [&str; 3] = ["tag", "kind", "limit"];
/// A delay or a STALE longer than a week is a slip of the hand: late data are judged for a week.
const SECONDS_MAX: i64 = 7 * 86_400;
/// RANGE below this would call values within the instrument's range outside of it.
const RANGE_LEAST: f64 = 100.0;
/// Faults that are told: nobody mends more of them before looking again, and a wrong file has
/// millions.
const FAULTS_MAX: usize = 1_000;
/// Letters of a cell that are shown.
const SHOWN_MAX: usize = 200;
/// Rows, headings and blank ones among them: as many as a plan may have alarms.
const ROWS_MAX: usize = ALARMS_MAX;
/// Characters of a row that are quoted where it cannot be cut into cells.
const QUOTED_MAX: usize = 60;
/// Cells that say no.
const NO: [&str; 5] = ["", "false", "0", "no", "否"];
/// A limit that must be there and is not known yet.
const UNSET: [&str; 3] = ["UNSET", "未设", "未定"];

impl LimitSet {
    /// Reads the text of a file of limits.
    ///
    /// # Errors
    /// Every fault of the file, not the first.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<LimitFault>> {
        let (set, faults, _) = Self::read(file_name, text);
        if faults.is_empty() { Ok(set) } else { Err(faults) }
    }

    /// Reads the text of a file of limits for these points.
    ///
    /// # Errors
    /// Every fault of the file and every one against the points. Alarms that a row names are looked
    /// up only where every row can be read: the one that is missing may stand in a faulty row.
    pub fn parse_for(
        file_name: &str,
        text: &str,
        catalogue: &Catalogue,
    ) -> Result<Self, Vec<LimitFault>> {
        let (set, mut faults, _) = Self::read(file_name, text);
        if faults.is_empty() {
            faults = set.check_against(catalogue);
        } else {
            faults.extend(set.check_points(catalogue));
            faults.sort_by_key(|fault| fault.row);
        }
        if faults.is_empty() { Ok(set) } else { Err(faults) }
    }

    /// The rows that can be read, every fault of the file, and the rows that cannot be read.
    pub(crate) fn read(file_name: &str, text: &str) -> (Self, Vec<LimitFault>, Vec<Lost>) {
        let (faults, lost) = (Vec::new(), Vec::new());
        let mut reader = Reader { file: file_name, faults, found: 0, lost, width: 0 };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let rows = reader.rows(text);
        reader.check_together(&rows);
        reader.faults.sort_by_key(|fault| fault.row);
        (Self::new(file_name, rows), reader.faults, reader.lost)
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Place of each column.
type Columns = BTreeMap<&'static str, usize>;

struct Cells<'a> {
    line: u64,
    columns: &'a Columns,
    record: &'a csv::StringRecord,
}

impl Cells<'_> {
    fn get(&self, column: &str) -> &str {
        self.columns.get(column).and_then(|at| self.record.get(*at)).unwrap_or("").trim()
    }
}

/// What a row that cannot be read is about, as far as that can be told.
pub(crate) struct Lost {
    pub(crate) line: u64,
    pub(crate) tag: String,
    pub(crate) kind: Option<LimitKind>,
    pub(crate) priority: Option<Priority>,
    /// It says somewhere that it is set by a rule of law.
    pub(crate) statutory: bool,
}

impl Lost {
    fn of(cells: &Cells<'_>, kind: Option<LimitKind>, priority: Option<Priority>) -> Self {
        let marked = !NO.contains(&cells.get("statutory").to_ascii_lowercase().as_str());
        let statutory = marked || cells.get("detail").contains("statutory");
        Self { line: cells.line, tag: cells.get("tag").to_owned(), kind, priority, statutory }
    }
}

struct Reader<'a> {
    file: &'a str,
    /// The first [`FAULTS_MAX`] of them, and that there are more.
    faults: Vec<LimitFault>,
    /// How many were found.
    found: usize,
    lost: Vec<Lost>,
    /// Cells of the heading row.
    width: usize,
}

impl Reader<'_> {
    fn fault(&mut self, row: u64, column: &str, value: &str, trouble: LimitTrouble) {
        self.found += 1;
        let (column, value, trouble) = match self.faults.len().cmp(&FAULTS_MAX) {
            Ordering::Less => (column, value, trouble),
            Ordering::Equal => ("", "", LimitTrouble::TooMany(FAULTS_MAX)),
            Ordering::Greater => return,
        };
        let file = self.file.to_owned();
        let (column, value) = (shown(column), shown(value));
        self.faults.push(LimitFault { file, row, column, value, trouble });
    }

    /// Row by row: a file of 30,000 is not held a second time.
    fn rows(&mut self, text: &str) -> Vec<LimitRow> {
        let separator = separator(text);
        let (text, open) = closed(text, separator);
        let mut reader = reader_of(&text, separator);
        let is_heading = |record: &csv::StringRecord| record.iter().any(|c| c.trim() == "tag");
        let mut columns: Option<Columns> = None;
        let (mut before, mut rows) = (0, Vec::new());
        for (place, record) in reader.records().enumerate() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let row = error.position().map_or(0, csv::Position::line);
                    self.fault(row, "", "", LimitTrouble::Csv(error.to_string()));
                    continue;
                }
            };
            let line = record.position().map_or(0, |position| line_of(&text, position));
            if place > ROWS_MAX {
                self.fault(line, "", "", LimitTrouble::TooLarge(ROWS_MAX));
                break;
            }
            if place >= 2 && record.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            match &columns {
                Some(columns) => rows.extend(self.row(&Cells { line, columns, record: &record })),
                None if before < 2 && is_heading(&record) => {
                    columns = Some(self.columns(line, &record));
                }
                None => before += 1,
            }
        }
        for (line, text) in open {
            self.open_quote(line, text, separator, columns.as_ref());
        }
        if columns.is_none() {
            self.fault(1, "", "", LimitTrouble::NoHeading);
        }
        rows
    }

    /// A row that would swallow those after it, and what it is about as far as that can be told.
    fn open_quote(&mut self, line: u64, text: &str, separator: u8, columns: Option<&Columns>) {
        let head: String = text.trim().chars().take(QUOTED_MAX).collect();
        self.fault(line, "", &head, LimitTrouble::OpenQuote);
        let without = text.replace('"', "");
        let record = reader_of(&without, separator).records().next();
        let (Some(columns), Some(Ok(record))) = (columns, record) else { return };
        let cells = Cells { line, columns, record: &record };
        self.lost.push(Lost::of(&cells, LimitKind::from_key(cells.get("kind")), None));
    }

    fn columns(&mut self, line: u64, heading: &csv::StringRecord) -> Columns {
        let mut columns = Columns::new();
        self.width = heading.len();
        for (at, cell) in heading.iter().enumerate() {
            let cell = cell.trim();
            match COLUMNS.iter().find(|name| **name == cell) {
                Some(name) => {
                    if columns.insert(*name, at).is_some() {
                        self.fault(line, name, cell, LimitTrouble::ColumnTwice);
                    }
                }
                None if cell.is_empty() => {}
                None => self.fault(line, cell, cell, LimitTrouble::UnknownColumn),
            }
        }
        for name in NEEDED {
            if !columns.contains_key(name) {
                self.fault(line, name, "", LimitTrouble::MissingColumn);
            }
        }
        columns
    }

    fn row(&mut self, cells: &Cells<'_>) -> Option<LimitRow> {
        let before = self.found;
        for column in COLUMNS {
            let text = cells.get(column);
            // A tab is a slip of the hand that every program shows as a gap.
            if text.chars().any(|letter| letter.is_control() && letter != '\t') {
                self.fault(cells.line, column, text, LimitTrouble::Control);
            }
        }
        self.width(cells);
        let kind = self.kind(cells);
        let tag = cells.get("tag").to_owned();
        if let Some(kind) = kind {
            self.tag(cells, kind, &tag);
        }
        let limit = self.limit(cells, kind);
        let bands = kind.is_none_or(LimitKind::has_deadband);
        let delays = kind.is_none_or(|kind| !kind.is_about_the_system());
        let name = kind.map_or("", LimitKind::key);
        let number = |reader: &mut Self, column, allowed: bool| {
            let value = reader.not_negative(cells, column);
            if !allowed && value.is_some_and(|v| v > 0.0) {
                reader.fault(cells.line, column, cells.get(column), LimitTrouble::NoMeaning(name));
            }
            value.unwrap_or(0.0)
        };
        let deadband = number(self, "deadband", bands);
        let on_delay_s = number(self, "on_delay_s", delays && kind != Some(LimitKind::BadQuality));
        let off_delay_s = number(self, "off_delay_s", delays);
        let on_delay_ms = self.seconds(cells, "on_delay_s", on_delay_s);
        let off_delay_ms = self.seconds(cells, "off_delay_s", off_delay_s);
        let priority = self.priority(cells, kind);
        let latch = self.yes_or_no(cells, "latch");
        let statutory = self.yes_or_no(cells, "statutory");
        if !delays && latch {
            self.fault(cells.line, "latch", cells.get("latch"), LimitTrouble::NoMeaning(name));
        }
        let detail = self.detail(cells, kind);
        if self.found > before {
            self.lost.push(Lost::of(cells, kind, priority));
            return None;
        }
        let (limit, mut detail) = (limit?, detail?);
        detail.unset = limit.is_nan() && kind.is_some_and(LimitKind::is_level);
        // BADQ: its limit is the time for which there must be no number.
        let on_delay_ms = match kind {
            Some(LimitKind::BadQuality) => self.seconds(cells, "limit", limit),
            Some(_) | None => on_delay_ms,
        };
        let (source, confidence) = (cells.get("source").into(), cells.get("confidence").into());
        let limit = PointLimit {
            kind: kind?,
            limit,
            deadband,
            on_delay_ms,
            off_delay_ms,
            priority: priority?,
            latch,
            source,
            confidence,
            // One mark, wherever the file writes it.
            statutory: statutory || detail.statutory,
            detail,
        };
        // What the engine would refuse whatever the point is.
        if let Some(fault) = alone(&tag, &limit) {
            let trouble = LimitTrouble::Engine(fault.zh(), fault.to_string());
            self.fault(cells.line, "kind", name, trouble);
            self.lost.push(Lost::of(cells, kind, priority));
            return None;
        }
        Some(LimitRow { line: cells.line, tag, limit })
    }

    /// A limit of `0,5` is one cell too many, and would be a limit of 0 with a deadband of 5. A
    /// stray separator at the end of a row does no harm.
    fn width(&mut self, cells: &Cells<'_>) {
        let (found, wanted) = (cells.record.len(), self.width);
        let more = cells.record.iter().skip(wanted).find(|cell| !cell.trim().is_empty());
        let shifted = Some(cells.get("deadband")).filter(|cell| !cell.is_empty());
        if let Some(shown) = more.or(shifted).filter(|_| found > wanted) {
            self.fault(cells.line, "limit", shown, LimitTrouble::Cells(found, wanted));
        }
    }

    fn kind(&mut self, cells: &Cells<'_>) -> Option<LimitKind> {
        let text = cells.get("kind");
        let kind = LimitKind::from_key(text);
        if text.is_empty() {
            let wanted = LimitTrouble::Empty(
                "类型，如 HH、H、L、LL、STALE 或 OFFLINE",
                "a kind such as HH, H, L, LL, STALE or OFFLINE",
            );
            self.fault(cells.line, "kind", text, wanted);
        } else if kind.is_none() {
            self.fault(cells.line, "kind", text, LimitTrouble::UnknownKind);
        }
        kind
    }

    fn tag(&mut self, cells: &Cells<'_>, kind: LimitKind, tag: &str) {
        if kind.is_of_gateway() {
            if !tag.is_empty() {
                self.fault(cells.line, "tag", tag, LimitTrouble::TagOnOffline);
            }
        } else if tag.is_empty() {
            self.fault(cells.line, "tag", tag, LimitTrouble::Empty("位号", "the tag of the point"));
        } else if let Err(fault) = Tag::parse(tag) {
            self.fault(cells.line, "tag", tag, LimitTrouble::Tag(fault.to_string()));
        }
    }

    fn limit(&mut self, cells: &Cells<'_>, kind: Option<LimitKind>) -> Option<f64> {
        let text = cells.get("limit");
        let level = kind.is_some_and(LimitKind::is_level);
        if level && UNSET.iter().any(|word| word.eq_ignore_ascii_case(text)) {
            return Some(f64::NAN);
        }
        if kind.is_some_and(LimitKind::is_without_limit) {
            let name = kind.map_or("", LimitKind::key);
            if !text.is_empty() {
                self.fault(cells.line, "limit", text, LimitTrouble::NoMeaning(name));
            }
            return Some(f64::NAN);
        }
        if kind == Some(LimitKind::Range) && text.is_empty() {
            return Some(RANGE_DEFAULT);
        }
        if text.is_empty() {
            self.fault(cells.line, "limit", text, LimitTrouble::Empty("数字", "a number"));
            return None;
        }
        let value = self.number(cells, "limit", text)?;
        if kind.is_some_and(LimitKind::is_positive) && value <= 0.0 {
            self.fault(cells.line, "limit", text, LimitTrouble::NotPositive);
            return None;
        }
        if kind == Some(LimitKind::Range) && value < RANGE_LEAST {
            self.fault(cells.line, "limit", text, LimitTrouble::InsideTheSpan);
            return None;
        }
        if kind == Some(LimitKind::Frozen) && value < 0.0 {
            self.fault(cells.line, "limit", text, LimitTrouble::Negative);
            return None;
        }
        if kind.is_some_and(LimitKind::is_time) {
            let tail = self.found;
            if self.seconds(cells, "limit", value) == 0 && self.found == tail {
                self.fault(cells.line, "limit", text, LimitTrouble::NotPositive);
                return None;
            }
        }
        Some(value)
    }

    fn number(&mut self, cells: &Cells<'_>, column: &str, text: &str) -> Option<f64> {
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Some(value),
            Ok(_) | Err(_) => {
                self.fault(cells.line, column, text, LimitTrouble::NotANumber);
                None
            }
        }
    }

    fn not_negative(&mut self, cells: &Cells<'_>, column: &str) -> Option<f64> {
        let text = cells.get(column);
        if text.is_empty() {
            return None;
        }
        let value = self.number(cells, column, text)?;
        if value < 0.0 {
            self.fault(cells.line, column, text, LimitTrouble::Negative);
            return None;
        }
        Some(value)
    }

    fn seconds(&mut self, cells: &Cells<'_>, column: &str, seconds: f64) -> i64 {
        match milliseconds(seconds) {
            Some(ms) => ms,
            None => {
                let text = cells.get(column);
                self.fault(cells.line, column, text, LimitTrouble::TooLong(SECONDS_MAX));
                0
            }
        }
    }

    fn priority(&mut self, cells: &Cells<'_>, kind: Option<LimitKind>) -> Option<Priority> {
        let text = cells.get("priority");
        let priority = match text {
            "" => kind.map(LimitKind::default_priority),
            "P1" | "p1" | "1" => Some(Priority::P1),
            "P2" | "p2" | "2" => Some(Priority::P2),
            "P3" | "p3" | "3" => Some(Priority::P3),
            "P4" | "p4" | "4" => Some(Priority::P4),
            _ => None,
        };
        if priority.is_none() && !text.is_empty() {
            self.fault(cells.line, "priority", text, LimitTrouble::UnknownPriority);
        }
        priority
    }

    fn yes_or_no(&mut self, cells: &Cells<'_>, column: &str) -> bool {
        let text = cells.get(column);
        match text.to_ascii_lowercase().as_str() {
            no if NO.contains(&no) => false,
            "true" | "1" | "yes" | "是" => true,
            _ => {
                self.fault(cells.line, column, text, LimitTrouble::NotYesOrNo);
                false
            }
        }
    }

    fn detail(&mut self, cells: &Cells<'_>, kind: Option<LimitKind>) -> Option<Detail> {
        let text = cells.get("detail");
        match Detail::parse(kind?, text) {
            Ok(detail) => Some(detail),
            Err(troubles) => {
                for trouble in troubles {
                    self.fault(cells.line, "detail", text, trouble);
                }
                None
            }
        }
    }

    /// What only shows when rows are laid side by side.
    fn check_together(&mut self, rows: &[LimitRow]) {
        let mut by_tag: BTreeMap<&str, BTreeMap<LimitKind, &LimitRow>> = BTreeMap::new();
        for row in rows {
            let kinds = by_tag.entry(&row.tag).or_default();
            if let Some(first) = kinds.get(&row.limit.kind) {
                let value = format!("{} {}", row.tag, row.limit.kind.key());
                self.fault(row.line, "kind", value.trim(), LimitTrouble::Duplicate(first.line));
            } else {
                kinds.insert(row.limit.kind, row);
            }
        }
        for (row, way) in circles(rows) {
            let name = format!("{}/{}", row.tag, row.limit.kind.key());
            self.fault(row.line, "detail", &name, LimitTrouble::Circle(way));
        }
        for kinds in by_tag.values() {
            self.check_order(kinds);
            self.check_delays(kinds);
        }
    }

    fn check_order(&mut self, kinds: &BTreeMap<LimitKind, &LimitRow>) {
        use LimitKind::{High, HighHigh, Low, LowLow};
        for (upper, lower) in [
            (HighHigh, High),
            (High, Low),
            (HighHigh, Low),
            (Low, LowLow),
            (High, LowLow),
            (HighHigh, LowLow),
        ] {
            let (Some(up), Some(low)) = (kinds.get(&upper), kinds.get(&lower)) else { continue };
            let same_side = matches!((upper, lower), (HighHigh, High) | (Low, LowLow));
            let (u, l) = (up.limit.limit, low.limit.limit);
            if u.is_nan() || l.is_nan() || u > l || (same_side && u >= l) {
                continue;
            }
            let trouble =
                LimitTrouble::Crossed { other: lower.key(), value: l.to_string(), row: low.line };
            let value = format!("{} {u}", upper.key());
            self.fault(up.line, "limit", &value, trouble);
        }
    }

    fn check_delays(&mut self, kinds: &BTreeMap<LimitKind, &LimitRow>) {
        let Some(stale) = kinds.get(&LimitKind::Stale) else { return };
        let after_ms = milliseconds(stale.limit.limit).unwrap_or(i64::MAX);
        for row in kinds.values().filter(|row| !row.limit.kind.is_about_the_system()) {
            for (column, ms) in
                [("on_delay_s", row.limit.on_delay_ms), ("off_delay_s", row.limit.off_delay_ms)]
            {
                if ms > after_ms {
                    let trouble = LimitTrouble::DelayBeyondStale(stale.limit.limit.to_string());
                    let value = format!("{}", (ms as f64) / 1000.0);
                    self.fault(row.line, column, &value, trouble);
                }
            }
        }
    }
}

/// Seconds as the file gives them; none when longer than [`SECONDS_MAX`].
pub(crate) fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    if !(0.0..=(SECONDS_MAX * 1000) as f64).contains(&ms) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie within a week")]
    let ms = ms as i64;
    Some(ms)
}
