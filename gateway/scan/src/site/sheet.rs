//! The point sheet: CSV as spreadsheets save it. Row 1 holds headings for people, row 2 the stable
//! keys, data begin in row 3.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord};
use fengsui_telemetry::{POINTS_MAX, Point, Tag};

use super::fault::{FAULTS_MAX, add};
use super::lines::{Lines, separator};
use super::profiled::{self, Chosen, Overlay, Read};
use super::slips::{error_cell, hidden, one_line, reference_number, swallowed};
use super::system::System;
use super::{Form, Kind, Mapping, Problem, SiteFault, report, sentinels};
use crate::condition::{Rules, Table};
use crate::decode::{Raw, Scaling};
use crate::register::{Encoding, Function, WordOrder};

/// Columns and whether every sheet must have them.
const COLUMNS: [(&str, bool); 18] = [
    ("tag", true),
    ("name", true),
    ("installation", true),
    ("equipment", false),
    ("signal", true),
    ("unit", true),
    ("low", true),
    ("high", true),
    ("device", true),
    ("function", true),
    ("address", true),
    ("type", true),
    ("order", false),
    ("scale", false),
    ("offset", false),
    ("period_ms", true),
    ("sentinels", false),
    ("rules", false),
];

/// Fastest scan that a configuration may ask for. Below it a poll is mostly overhead.
const PERIOD_MIN_MS: u32 = 20;
/// Slowest scan: a day.
const PERIOD_MAX_MS: u32 = 86_400_000;

/// Forms of the same range, period and encoding that a row is compared with: orders, scalings and
/// sentinels are few, rules are nearly always a row's own.
const FORMS_COMPARED: usize = 8;

/// One row that was read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) point: Point,
    pub(super) mapping: Mapping,
}

struct Sheet<'a, 'r> {
    file: &'a str,
    columns: BTreeMap<&'static str, usize>,
    profiles: &'a [Option<Chosen>],
    read: &'a mut Read<'r>,
    tables: BTreeMap<String, Option<Arc<Table>>>,
    /// By the bits of scale and offset.
    scalings: BTreeMap<(u64, u64), Arc<Scaling>>,
    sentinels: BTreeMap<(String, Encoding), Arc<[Raw]>>,
    /// By the bits of low and high, period and encoding.
    forms: BTreeMap<(u64, u64, u32, Encoding), Vec<Arc<Form>>>,
    faults: &'a mut Vec<SiteFault>,
}

struct Cells<'a> {
    row: usize,
    record: &'a StringRecord,
    /// What the row takes from a profile; filled in once its device is known.
    overlay: &'a Overlay,
}

pub(super) fn parse(
    file: &str,
    text: &str,
    (system, profiles): (&System, &[Option<Chosen>]),
    read: &mut Read<'_>,
    faults: &mut Vec<SiteFault>,
) -> Vec<Row> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let separator = separator(text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(text.as_bytes());
    let (columns, tables) = (BTreeMap::new(), BTreeMap::new());
    let (scalings, sentinels) = (BTreeMap::new(), BTreeMap::new());
    let forms = BTreeMap::new();
    let mut sheet =
        Sheet { file, columns, profiles, read, tables, scalings, sentinels, forms, faults };
    let before = sheet.faults.len();
    let mut rows = Vec::new();
    let mut width = 0;
    let mut seen = BTreeMap::new();
    let mut lines = Lines::of(text);
    let mut more = 0;
    for (place, record) in reader.records().enumerate() {
        if sheet.faults.len() > FAULTS_MAX {
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                add(sheet.faults, SiteFault::of_file(file, Problem::Syntax(error.to_string())));
                return rows;
            }
        };
        let row = lines.row(&record).unwrap_or(place + 1);
        let lost = swallowed(&record, separator, width).filter(|_| place > 1);
        match place {
            0 => {}
            1 => {
                width = record.len();
                sheet.headings(row, &record);
            }
            _ if record.iter().all(|cell| cell.trim().is_empty()) => {}
            _ if rows.len() >= POINTS_MAX => more += 1,
            _ if lost.is_some() => {
                lost.into_iter().for_each(|problem| sheet.fault(row, None, None, problem));
            }
            _ if record.len() != width => {
                sheet.fault(row, None, None, Problem::Cells(record.len(), width));
            }
            _ => {
                let overlay = Overlay::default();
                let cells = Cells { row, record: &record, overlay: &overlay };
                if !sheet.error_cells(&cells) {
                    rows.extend(sheet.row(&cells, system, &mut seen));
                }
            }
        }
    }
    if seen.is_empty() && sheet.faults.len() == before {
        add(sheet.faults, SiteFault::of_file(file, Problem::NoPoints));
    }
    if more > 0 {
        let problem = Problem::TooMany(rows.len() + more, POINTS_MAX);
        add(sheet.faults, SiteFault::of_file(file, problem));
    }
    rows
}

impl Sheet<'_, '_> {
    fn fault(&mut self, row: usize, column: Option<&str>, value: Option<&str>, problem: Problem) {
        let (file, row) = (self.file.to_owned(), Some(row));
        let (column, value) = (column.map(str::to_owned), value.map(str::to_owned));
        add(self.faults, SiteFault { file, row, column, value, problem });
    }

    fn headings(&mut self, row: usize, record: &StringRecord) {
        for (place, cell) in record.iter().enumerate() {
            let cell = cell.trim();
            let known = COLUMNS.iter().find(|(name, _)| *name == cell);
            match known {
                None => {
                    let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
                    let problem = Problem::UnknownKey(names.join(", "));
                    self.fault(row, Some(cell), None, problem);
                }
                Some((name, _)) => {
                    if self.columns.insert(name, place).is_some() {
                        self.fault(row, Some(cell), None, Problem::Duplicate(row));
                    }
                }
            }
        }
        for (name, needed) in COLUMNS {
            if needed && !self.columns.contains_key(name) {
                self.fault(row, Some(name), None, Problem::MissingKey);
            }
        }
    }

    /// What a formula without a result left in a row; nothing else of the row is judged then. And
    /// what acts without being seen.
    fn error_cells(&mut self, cells: &Cells<'_>) -> bool {
        let columns: Vec<_> = self.columns.iter().map(|(name, place)| (*name, *place)).collect();
        let mut broken = false;
        for (column, place) in columns {
            let cell = cells.record.get(place).unwrap_or_default().trim();
            if let Some(problem) = error_cell(cell) {
                broken = true;
                self.fault(cells.row, Some(column), Some(cell), problem);
            } else if let Some(problem) = hidden(cell).filter(|_| column != "tag") {
                self.fault(cells.row, Some(column), Some(cell), problem);
            }
        }
        broken
    }

    /// The trimmed cell; empty where the sheet has no such column.
    fn cell<'r>(&self, cells: &Cells<'r>, column: &str) -> &'r str {
        let place = self.columns.get(column);
        let own = place.and_then(|place| cells.record.get(*place)).unwrap_or_default().trim();
        match cells.overlay.cells.get(column) {
            Some(cell) if own.is_empty() || own.starts_with('@') => cell,
            Some(_) | None => own,
        }
    }

    fn filled<'r>(&mut self, cells: &Cells<'r>, column: &'static str) -> Option<&'r str> {
        let cell = self.cell(cells, column);
        if cell.is_empty() {
            // A missing column was reported once, with the headings.
            if self.columns.contains_key(column) {
                self.fault(cells.row, Some(column), None, Problem::Empty);
            }
            return None;
        }
        Some(cell)
    }

    fn number(
        &mut self,
        cells: &Cells<'_>,
        column: &'static str,
        default: Option<f64>,
    ) -> Option<f64> {
        let cell = match default {
            Some(default) if self.cell(cells, column).is_empty() => return Some(default),
            Some(_) => self.cell(cells, column),
            None => self.filled(cells, column)?,
        };
        let number = cell.parse().ok();
        if number.is_none() {
            self.fault(cells.row, Some(column), Some(cell), Problem::NotA(Kind::Number));
        }
        number
    }

    fn whole(
        &mut self,
        cells: &Cells<'_>,
        column: &'static str,
        bounds: (u32, u32),
    ) -> Option<u32> {
        let cell = self.filled(cells, column)?;
        let problem = match cell.parse::<i64>() {
            Ok(number) => match u32::try_from(number) {
                Ok(number) if (bounds.0..=bounds.1).contains(&number) => return Some(number),
                Ok(_) | Err(_) => Problem::OutOfBounds(bounds.0.to_string(), bounds.1.to_string()),
            },
            Err(_) => Problem::NotA(Kind::Whole),
        };
        self.fault(cells.row, Some(column), Some(cell), problem);
        None
    }

    fn word<T>(
        &mut self,
        cells: &Cells<'_>,
        column: &'static str,
        cell: &str,
        parse: fn(&str) -> Option<T>,
        words: &[&str],
    ) -> Option<T> {
        let found = parse(cell);
        if found.is_none() {
            let problem = Problem::NotOneOf(words.join(", "));
            self.fault(cells.row, Some(column), Some(cell), problem);
        }
        found
    }

    fn defined(
        &mut self,
        cells: &Cells<'_>,
        column: &'static str,
        names: &[&str],
        faulty: &BTreeSet<String>,
    ) -> Option<usize> {
        let cell = self.filled(cells, column)?;
        let found = names.iter().position(|name| *name == cell);
        if found.is_none() && !faulty.contains(cell) {
            let problem = Problem::Undefined(names.join(", "));
            self.fault(cells.row, Some(column), Some(cell), problem);
        }
        found
    }

    fn row(
        &mut self,
        cells: &Cells<'_>,
        system: &System,
        seen: &mut BTreeMap<Tag, usize>,
    ) -> Option<Row> {
        let tag = self.tag(cells, seen);
        let installations: Vec<_> = system.installations.iter().map(|i| i.name.as_str()).collect();
        let installation = self.defined(cells, "installation", &installations, &system.faulty);
        let name = self.filled(cells, "name").map(one_line);
        let signal = self.filled(cells, "signal").map(one_line);
        let unit = one_line(self.cell(cells, "unit"));
        let equipment = one_line(self.cell(cells, "equipment"));
        let devices: Vec<_> = system.devices.iter().map(|d| d.device.name.as_str()).collect();
        let device = self.defined(cells, "device", &devices, &system.faulty);
        let chosen = device.and_then(|device| self.profiles.get(device)?.as_ref());
        let slowest = chosen.map_or(PERIOD_MIN_MS, |c| c.period_min_ms().max(PERIOD_MIN_MS));
        let period_ms = self.whole(cells, "period_ms", (slowest, PERIOD_MAX_MS));
        let low = self.number(cells, "low", None);
        let high = self.number(cells, "high", None);
        if let Some((low, high)) = low.zip(high)
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            let shown = format!("{low}..{high}");
            self.fault(cells.row, Some("low"), Some(&shown), Problem::RangeUpsideDown);
        }
        let overlay = self.overlay(cells, chosen);
        let mapping = overlay.as_ref().and_then(|overlay| {
            let cells = Cells { overlay, ..*cells };
            self.mapping(&cells, device, chosen, (low.zip(high), period_ms))
        });
        let (low, high, period_ms) = (low?, high?, period_ms?);
        let point = Point {
            tag: tag?,
            name: name?,
            unit,
            low,
            high,
            installation: u32::try_from(installation?).ok()?,
            equipment,
            period_ms,
            silence_ms: mapping.as_ref().map_or(0, report::silence_ms),
            signal: signal?,
        };
        let place = u32::try_from(seen.len().saturating_sub(1)).ok()?;
        Some(Row { point, mapping: Mapping { point: place, ..mapping? } })
    }

    fn tag(&mut self, cells: &Cells<'_>, seen: &mut BTreeMap<Tag, usize>) -> Option<Tag> {
        let cell = self.filled(cells, "tag")?;
        match Tag::parse(cell) {
            Ok(tag) => {
                if let Some(first) = seen.get(&tag) {
                    let first = *first;
                    self.fault(cells.row, Some("tag"), Some(cell), Problem::Duplicate(first));
                    return None;
                }
                seen.insert(tag.clone(), cells.row);
                Some(tag)
            }
            Err(fault) => {
                let problem = Problem::BadName(fault.to_string());
                self.fault(cells.row, Some("tag"), Some(cell), problem);
                None
            }
        }
    }

    /// What `@name` in the address stands for; an empty overlay where there is none, and none
    /// where it is faulty.
    fn overlay(&mut self, cells: &Cells<'_>, chosen: Option<&Chosen>) -> Option<Overlay> {
        let Some(name) = self.cell(cells, "address").strip_prefix('@') else {
            return Some(Overlay::default());
        };
        let Some(chosen) = chosen else {
            let problem = Problem::Said(
                "该设备没有 profile；请在站点文件中写 profile = \"型号\"，或填写数字地址"
                    .to_owned(),
                "this device has no profile; name one in the site file, or write a number"
                    .to_owned(),
            );
            self.fault(cells.row, Some("address"), Some(name), problem);
            return None;
        };
        let mut faults = Vec::new();
        let cell = |column: &str| self.cell(cells, column).to_owned();
        let overlay = chosen.overlay(name, &cell, &mut |column, value, problem| {
            faults.push((column, value, problem));
        });
        let sound = faults.is_empty();
        for (column, value, problem) in faults {
            self.fault(cells.row, Some(column), Some(&value), problem);
        }
        overlay.filter(|_| sound)
    }

    fn rules(
        &mut self,
        cells: &Cells<'_>,
        about: (Function, Encoding),
        chosen: Option<&Chosen>,
    ) -> Option<Option<Box<Rules>>> {
        let Self { file, read, tables, faults, .. } = self;
        let mut more = Vec::new();
        let mut table = |name: &str| {
            if let Some(known) = tables.get(name) {
                return Ok(known.clone());
            }
            let text = (*read)(name).map_err(Problem::Unreadable)?;
            let table = profiled::table(name, &text).map(Arc::new);
            let table = table.map_err(|wrong| more.extend(wrong)).ok();
            tables.insert(name.to_owned(), table.clone());
            Ok(table)
        };
        let place = self.columns.get("rules");
        let text = place.and_then(|place| cells.record.get(*place)).unwrap_or_default().trim();
        let mut wrong = Vec::new();
        let rules = profiled::rules(
            text,
            about,
            chosen,
            cells.overlay,
            &mut table,
            &mut |key, value, problem| {
                wrong.push(SiteFault {
                    file: (*file).to_owned(),
                    row: Some(cells.row),
                    column: Some(format!("rules.{key}")),
                    value: Some(value).filter(|value| !value.is_empty()),
                    problem,
                });
            },
        );
        let sound = wrong.is_empty() && more.is_empty();
        faults.extend(wrong);
        faults.extend(more);
        sound.then_some(rules)
    }

    fn mapping(
        &mut self,
        cells: &Cells<'_>,
        device: Option<usize>,
        chosen: Option<&Chosen>,
        (range, period_ms): (Option<(f64, f64)>, Option<u32>),
    ) -> Option<Mapping> {
        let function = self.filled(cells, "function").and_then(|cell| {
            let words = Function::ALL.map(Function::word);
            self.word(cells, "function", cell, Function::parse, &words)
        });
        let address = match reference_number(self.cell(cells, "address")) {
            Some(problem) => {
                let cell = self.cell(cells, "address").to_owned();
                self.fault(cells.row, Some("address"), Some(&cell), problem);
                None
            }
            None => self.whole(cells, "address", (0, 65_535)),
        };
        let encoding = self.filled(cells, "type").and_then(|cell| {
            let words = Encoding::ALL.map(Encoding::word);
            self.word(cells, "type", cell, Encoding::parse, &words)
        });
        let order = match self.cell(cells, "order") {
            "" => Some(WordOrder::default()),
            cell => {
                let words = WordOrder::ALL.map(WordOrder::word);
                self.word(cells, "order", cell, WordOrder::parse, &words)
            }
        };
        let scaling = self.scaling(cells);
        if let Some((function, encoding)) = function.zip(encoding)
            && function.is_bits()
            && encoding != Encoding::Bool
        {
            let cell = self.cell(cells, "type").to_owned();
            self.fault(cells.row, Some("type"), Some(&cell), Problem::BitsAreBool);
        }
        if let Some((address, encoding)) = address.zip(encoding)
            && address + u32::from(encoding.words()) > 65_536
        {
            let cell = self.cell(cells, "address").to_owned();
            let problem = Problem::PastTheEnd(encoding.words());
            self.fault(cells.row, Some("address"), Some(&cell), problem);
        }
        let sentinels = encoding.and_then(|encoding| self.sentinels(cells, encoding));
        let rules = function.zip(encoding).and_then(|about| self.rules(cells, about, chosen));
        let (low, high) = range?;
        self.report(cells, rules.as_ref()?.as_deref(), (high - low, period_ms?));
        let form = Form {
            encoding: encoding?,
            order: order?,
            scaling: scaling?,
            sentinels: sentinels?,
            low,
            high,
            period_ms: period_ms?,
            rules: rules?,
        };
        Some(Mapping {
            point: 0,
            function: function?,
            address: u16::try_from(address?).ok()?,
            device: device?,
            row: cells.row,
            form: self.shared(form),
        })
    }

    fn report(&mut self, cells: &Cells<'_>, rules: Option<&Rules>, about: (f64, u32)) {
        for (key, value, problem) in report::faults(rules, about) {
            self.fault(cells.row, Some(key), Some(&value), problem);
        }
    }

    /// The form of an earlier row, where it is the same.
    fn shared(&mut self, form: Form) -> Arc<Form> {
        let same = |known: &&Arc<Form>| report::shareable(known) && ***known == form;
        let key = (form.low.to_bits(), form.high.to_bits(), form.period_ms, form.encoding);
        let known = self.forms.entry(key).or_default();
        match known.iter().rev().take(FORMS_COMPARED).find(same) {
            Some(known) => Arc::clone(known),
            None => {
                let form = Arc::new(form);
                known.push(Arc::clone(&form));
                form
            }
        }
    }

    fn scaling(&mut self, cells: &Cells<'_>) -> Option<Arc<Scaling>> {
        let scale = self.number(cells, "scale", Some(1.0));
        let offset = self.number(cells, "offset", Some(0.0));
        let (scale, offset) = scale.zip(offset)?;
        let bits = (scale.to_bits(), offset.to_bits());
        if let Some(known) = self.scalings.get(&bits) {
            return Some(Arc::clone(known));
        }
        let scaling = Scaling::new(scale, offset).map(Arc::new);
        match &scaling {
            Some(scaling) => {
                self.scalings.insert(bits, Arc::clone(scaling));
            }
            None => {
                let shown = format!("{scale} / {offset}");
                self.fault(cells.row, Some("scale"), Some(&shown), Problem::BadScale);
            }
        }
        scaling
    }

    fn sentinels(&mut self, cells: &Cells<'_>, encoding: Encoding) -> Option<Arc<[Raw]>> {
        let cell = (self.cell(cells, "sentinels").to_owned(), encoding);
        if let Some(known) = self.sentinels.get(&cell) {
            return Some(Arc::clone(known));
        }
        let (found, faults) = sentinels(&cell.0, encoding);
        let sound = faults.is_empty();
        for (part, problem) in faults {
            self.fault(cells.row, Some("sentinels"), Some(&part), problem);
        }
        let found: Option<Arc<[Raw]>> = sound.then(|| found.into());
        self.sentinels.extend(found.clone().map(|found| (cell, found)));
        found
    }
}
