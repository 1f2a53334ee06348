//! Looking at a spool from outside: where it stands, whether it is whole, what it holds.

use std::io::Write;
use std::path::Path;

use fengsui_telemetry::{Body, Catalogue, GapCause, Offset, Record, TimeMs};
use serde::Serialize;
use serde_json::{Value, json};

use super::db::{Db, Incoming, Met, Outside, RESERVE_FILE};
use crate::config::Config;

/// The spool's database in the data folder.
pub const SPOOL_FILE: &str = "spool.db";

/// Hands over every record of the spool in a gateway's data folder, oldest first, each with its
/// offset. The gateway may run meanwhile.
///
/// # Errors
/// There is no spool, it cannot be read, or a record is damaged.
pub fn each_record(data: &Path, each: &mut dyn FnMut(Offset, &Record)) -> anyhow::Result<()> {
    let spool = Outside::open(data)?;
    let (at, first) = spool.standing()?;
    spool.each(first, at.next, &mut |met| {
        match met {
            Met::Record(offset, _, record) => each(offset, record),
            Met::Unknown(offset) => anyhow::bail!("record {offset} is of a later version"),
            Met::Damaged(from, _) => anyhow::bail!("record {from} is damaged"),
            Met::Missing(from, to) => anyhow::bail!("records {from}..{to} are missing"),
        }
        Ok(())
    })
}

/// Puts records into the spool of a gateway that does not run, as if it had been cut off while it
/// made them. For tests and measurements: a week without a network takes a week otherwise.
///
/// # Errors
/// The gateway runs, or the disk refuses.
pub fn preload_spool(
    config: &Config,
    records: &mut dyn Iterator<Item = Record>,
) -> anyhow::Result<()> {
    const AT_ONCE: usize = 1_000;
    let mut db = Db::open(&config.data, TimeMs(0))?;
    db.use_catalogue(&config.site.catalogue)?;
    loop {
        let some: Vec<Incoming> =
            records.take(AT_ONCE).map(|record| Incoming::new(&record)).collect();
        if some.is_empty() {
            return Ok(());
        }
        db.append(&some, None, None)?;
    }
}

/// Where a spool stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpoolStatus {
    /// Whose it is; none where it was made by an earlier version and not opened since.
    pub gateway: Option<String>,
    /// Which life of the spool this is, in hexadecimal.
    pub epoch: String,
    /// First offset that is kept.
    pub oldest: Offset,
    /// One past the newest.
    pub next: Offset,
    /// Everything below is durable at the centre.
    pub durable_next: Offset,
    /// Offsets that the centre does not have.
    pub unacknowledged: u64,
    /// Source time of the oldest of them, ms since 1970.
    pub unacknowledged_since_ms: Option<i64>,
    /// Records of measurement.
    pub telemetry: u64,
    /// Records of alarms.
    pub alarms: u64,
    /// Gaps.
    pub gaps: u64,
    /// Bytes that the records take.
    pub bytes: u64,
    /// Bytes that they may take.
    pub quota_bytes: u64,
    /// Bytes of the files.
    pub file_bytes: u64,
    /// The file that is deleted on a full disk is there. Without it the disk is full.
    pub reserve: bool,
}

/// Reads where the spool stands.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn spool_status(data: &Path, quota_bytes: u64) -> anyhow::Result<SpoolStatus> {
    let spool = Outside::open(data)?;
    let (at, oldest) = spool.standing()?;
    let [telemetry, alarms, gaps] = spool.counts()?;
    let size = |name: String| std::fs::metadata(data.join(name)).map_or(0, |m| m.len());
    Ok(SpoolStatus {
        gateway: spool.owner()?.map(|owner| owner.to_string()),
        epoch: format!("{:016x}", at.epoch.0),
        oldest,
        next: at.next,
        durable_next: at.durable_next,
        unacknowledged: at.next - at.durable_next,
        unacknowledged_since_ms: spool.unacked_since(at.durable_next)?,
        telemetry,
        alarms,
        gaps,
        bytes: at.bytes,
        quota_bytes,
        file_bytes: ["", "-wal", "-shm"].iter().map(|end| size(format!("{SPOOL_FILE}{end}"))).sum(),
        reserve: data.join(RESERVE_FILE).exists(),
    })
}

/// Offsets for which a Gap stands, or that ought to be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// First offset.
    pub from: Offset,
    /// One past the last.
    pub to: Offset,
    /// `spool_full`, `corrupt`, `queue_full`, `freed_before`; `damaged`, `missing`, `unknown`.
    pub what: &'static str,
    /// In words.
    pub detail: String,
    /// Source times, ms since 1970; none where no record says so.
    pub span_ms: Option<(i64, i64)>,
}

/// Whether a spool is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpoolCheck {
    /// No record is damaged, no offset is missing, and SQLite finds nothing wrong.
    pub whole: bool,
    /// First offset looked at.
    pub from: Offset,
    /// One past the last.
    pub to: Offset,
    /// Records that fit their checksums.
    pub records: u64,
    /// What is wrong.
    pub faults: Vec<Place>,
    /// What is known to be missing, and why.
    pub gaps: Vec<Place>,
    /// What SQLite says about its pages.
    pub pages: String,
}

/// Reads everything: checksums, density of the offsets, gaps, pages.
///
/// # Errors
/// There is no spool, or it cannot be opened.
pub fn spool_verify(data: &Path) -> anyhow::Result<SpoolCheck> {
    let spool = Outside::open(data)?;
    let (at, from) = spool.standing()?;
    let (mut records, mut faults, mut gaps) = (0, Vec::new(), Vec::new());
    let fault = |from, to, what| Place { from, to, what, detail: String::new(), span_ms: None };
    spool.each(from, at.next, &mut |met| {
        match met {
            Met::Record(offset, span, record) => {
                records += 1;
                if let Body::Gap(gap) = &record.body {
                    gaps.push(Place {
                        from: offset,
                        to: offset + span,
                        what: cause(gap.cause),
                        detail: gap.detail.clone(),
                        span_ms: Some((gap.from.0, gap.to.0)),
                    });
                }
            }
            Met::Unknown(offset) => faults.push(fault(offset, offset + 1, "unknown")),
            Met::Damaged(from, to) => faults.push(fault(from, to, "damaged")),
            Met::Missing(from, to) => faults.push(fault(from, to, "missing")),
        }
        Ok(())
    })?;
    let pages = spool.pages()?;
    let whole = faults.is_empty() && pages == "ok";
    Ok(SpoolCheck { whole, from, to: at.next, records, faults, gaps, pages })
}

fn cause(cause: GapCause) -> &'static str {
    match cause {
        GapCause::SpoolFull => "spool_full",
        GapCause::Thinned => "thinned",
        GapCause::Corrupt => "corrupt",
        GapCause::QueueFull => "queue_full",
        GapCause::FreedBefore => "freed_before",
    }
}

/// What is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Source time from which, included.
    pub from: Option<TimeMs>,
    /// Source time up to which, not included.
    pub to: Option<TimeMs>,
    /// One point; none: all, with alarms and gaps.
    pub tag: Option<String>,
    /// JSON lines instead of CSV.
    pub json: bool,
}

const HEAD: [&str; 7] = ["offset", "kind", "te_ms", "subject", "value", "quality", "detail"];

/// One line, by the columns of [`HEAD`].
type Line = [Value; 7];

enum Sheet<'a> {
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    Json(&'a mut dyn Write),
}

impl<'a> Sheet<'a> {
    fn begin(json: bool, out: &'a mut dyn Write) -> anyhow::Result<Self> {
        if json {
            return Ok(Self::Json(out));
        }
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(HEAD)?;
        Ok(Self::Csv(Box::new(csv)))
    }

    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        match self {
            Self::Csv(csv) => Ok(csv.write_record(line.iter().map(cell))?),
            Self::Json(out) => {
                let pairs = HEAD.iter().map(|k| (*k).to_owned()).zip(line.iter().cloned());
                let object: serde_json::Map<String, Value> = pairs.collect();
                serde_json::to_writer(&mut **out, &object)?;
                Ok(out.write_all(b"\n")?)
            }
        }
    }

    fn end(self) -> std::io::Result<()> {
        match self {
            Self::Csv(mut csv) => csv.flush(),
            Self::Json(out) => out.flush(),
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Writes samples, alarms and gaps of a range of source time, in order of their offsets.
///
/// # Errors
/// The spool cannot be read, or nobody takes what is written.
pub fn spool_export(data: &Path, wanted: &Wanted, out: &mut dyn Write) -> anyhow::Result<()> {
    let spool = Outside::open(data)?;
    let (at, first) = spool.standing()?;
    let catalogues = spool.catalogues()?;
    let mut sheet = Sheet::begin(wanted.json, out)?;
    spool.each(first, at.next, &mut |met| {
        let lines = match met {
            Met::Record(offset, _, record) if wanted.covers(record.te) => {
                let place = catalogues.partition_point(|(first, _)| *first <= offset);
                let catalogue = place.checked_sub(1).and_then(|at| catalogues.get(at));
                describe(offset, record, catalogue.map(|(_, catalogue)| catalogue))
            }
            Met::Record(..) => Vec::new(),
            Met::Unknown(at) => vec![broken(at, at + 1, "unknown")],
            Met::Damaged(from, to) => vec![broken(from, to, "damaged")],
            Met::Missing(from, to) => vec![broken(from, to, "missing")],
        };
        let wanted = |line: &&Line| {
            let subject = line.get(3).and_then(Value::as_str);
            wanted.tag.as_deref().is_none_or(|tag| subject == Some(tag))
        };
        lines.iter().filter(wanted).try_for_each(|line| sheet.write(line))
    })?;
    Ok(sheet.end()?)
}

impl Wanted {
    fn covers(&self, te: TimeMs) -> bool {
        self.from.is_none_or(|from| from <= te) && self.to.is_none_or(|to| te < to)
    }
}

fn describe(offset: Offset, record: &Record, catalogue: Option<&Catalogue>) -> Vec<Line> {
    let te = record.te.0;
    match &record.body {
        Body::Scan(scan) => {
            let tag = |index: u32| {
                let place = usize::try_from(index).unwrap_or(usize::MAX);
                let point = catalogue.and_then(|c| c.points.get(place));
                point.map_or_else(|| format!("#{index}"), |point| point.tag.to_string())
            };
            let line = |(index, reading): &(u32, fengsui_telemetry::Reading)| {
                let (value, quality) = (json!(reading.value()), json!(reading.word()));
                [
                    json!(offset),
                    json!("sample"),
                    json!(te),
                    json!(tag(*index)),
                    value,
                    quality,
                    Value::Null,
                ]
            };
            scan.readings.iter().map(line).collect()
        }
        Body::Transition(t) => {
            let detail = format!("{}{} #{} {}", t.from, t.to, t.occurrence, t.why);
            let (subject, value) = (json!(t.alarm), json!(t.value));
            vec![[
                json!(offset),
                json!("alarm"),
                json!(te),
                subject,
                value,
                Value::Null,
                json!(detail),
            ]]
        }
        Body::Gap(gap) => {
            let detail =
                format!("{} records, {}..{} ms: {}", gap.records, gap.from, gap.to, gap.detail);
            let why = json!(cause(gap.cause));
            vec![[
                json!(offset),
                json!("gap"),
                json!(te),
                Value::Null,
                Value::Null,
                why,
                json!(detail),
            ]]
        }
        Body::Clock(change) => {
            let detail = format!("boot {:016x}, step {} ms", change.boot, change.step_ms);
            vec![[
                json!(offset),
                json!("clock"),
                json!(te),
                Value::Null,
                Value::Null,
                Value::Null,
                json!(detail),
            ]]
        }
    }
}

fn broken(from: Offset, to: Offset, why: &str) -> Line {
    let detail = format!("{} offsets", to - from);
    [json!(from), json!(why), Value::Null, Value::Null, Value::Null, Value::Null, json!(detail)]
}
