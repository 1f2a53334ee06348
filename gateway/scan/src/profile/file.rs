//! The file of a profile: TOML, a head and its points.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{POINTS_MAX, Profile, ProfilePoint};
use crate::condition::{Context, Rules, parse as parse_rules};
use crate::register::{Encoding, Function, WordOrder};
use crate::site::{PAUSE_MS_MAX, Problem, SiteFault, add_fault, sentinels};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: Head,
    point: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    maker: String,
    model: String,
    kind: String,
    verified: bool,
    source: String,
    confidence: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    based: bool,
    max_registers: Option<u16>,
    gap_registers: Option<u16>,
    #[serde(default)]
    read_singly: bool,
    #[serde(default)]
    pause_ms: u32,
    #[serde(default)]
    never_write: bool,
    #[serde(default)]
    period_min_s: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    function: String,
    address: u16,
    #[serde(default)]
    document: String,
    r#type: String,
    order: Option<String>,
    scale: Option<f64>,
    offset: Option<f64>,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    sentinels: String,
    #[serde(default)]
    rules: String,
    stride: Option<u16>,
    instances: Option<(u16, u16)>,
    #[serde(default)]
    choose: Vec<String>,
    source: Option<String>,
    confidence: Option<String>,
    #[serde(default)]
    note: String,
}

struct Reader<'a> {
    file: &'a str,
    faults: Vec<SiteFault>,
}

impl Reader<'_> {
    fn fault(&mut self, row: usize, column: &str, value: &str, problem: Problem) {
        let (file, column) = (self.file.to_owned(), Some(column.to_owned()));
        let (row, value) = (Some(row), Some(value.to_owned()));
        add_fault(&mut self.faults, SiteFault { file, row, column, value, problem });
    }

    fn word<T>(
        &mut self,
        row: usize,
        column: &str,
        value: &str,
        parse: fn(&str) -> Option<T>,
        words: &[&str],
    ) -> Option<T> {
        let found = parse(value);
        if found.is_none() {
            self.fault(row, column, value, Problem::NotOneOf(words.join(", ")));
        }
        found
    }
}

pub(super) fn parse(name: &str, file: &str, text: &str) -> Result<Profile, Vec<SiteFault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let row_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let read: File = toml::from_str(text).map_err(|error| {
        let mut fault = SiteFault::of_file(file, Problem::Syntax(error.message().to_owned()));
        fault.row = error.span().map(|span| row_of(span.start));
        vec![fault]
    })?;
    let mut reader = Reader { file, faults: Vec::new() };
    for (column, value) in
        [("source", &read.profile.source), ("confidence", &read.profile.confidence)]
    {
        if value.trim().is_empty() {
            reader.fault(1, column, value, Problem::Empty);
        }
    }
    if read.profile.pause_ms > PAUSE_MS_MAX {
        let (shown, most) = (read.profile.pause_ms.to_string(), PAUSE_MS_MAX.to_string());
        reader.fault(1, "pause_ms", &shown, Problem::OutOfBounds("0".to_owned(), most));
    }
    if read.point.len() > POINTS_MAX {
        reader.fault(1, "point", "", Problem::TooMany(read.point.len(), POINTS_MAX));
    }
    let mut seen = BTreeMap::new();
    let mut points = Vec::new();
    for entry in read.point.into_iter().take(POINTS_MAX) {
        let row = row_of(entry.name.span().start);
        if let Some(first) = seen.insert(entry.name.get_ref().clone(), row) {
            reader.fault(row, "name", entry.name.get_ref(), Problem::Duplicate(first));
            continue;
        }
        points.extend(point(entry, row, &read.profile, &mut reader));
    }
    let head = read.profile;
    let profile = Profile {
        name: name.to_owned(),
        maker: head.maker,
        model: head.model,
        kind: head.kind,
        verified: head.verified,
        source: head.source,
        confidence: head.confidence,
        note: head.note,
        based: head.based,
        max_registers: head.max_registers,
        gap_registers: head.gap_registers,
        read_singly: head.read_singly,
        pause_ms: head.pause_ms,
        never_write: head.never_write,
        period_min_ms: head.period_min_s.saturating_mul(1_000),
        points,
    };
    check_rules(&profile, &mut reader);
    if reader.faults.is_empty() { Ok(profile) } else { Err(reader.faults) }
}

fn point(entry: Entry, row: usize, head: &Head, reader: &mut Reader<'_>) -> Option<ProfilePoint> {
    let functions = Function::ALL.map(Function::word);
    let function = reader.word(row, "function", &entry.function, Function::parse, &functions);
    let encodings = Encoding::ALL.map(Encoding::word);
    let encoding = reader.word(row, "type", &entry.r#type, Encoding::parse, &encodings);
    let order = match entry.order.as_deref() {
        // A single register has but one order; of more the file must say that it does not know.
        None if encoding.is_none_or(|e| e.words() == 1) => Some(WordOrder::Abcd),
        None => {
            reader.fault(row, "order", "", Problem::MissingKey);
            None
        }
        Some("unknown") => None,
        Some(word) => {
            let words = WordOrder::ALL.map(WordOrder::word);
            reader.word(row, "order", word, WordOrder::parse, &words)
        }
    };
    let choose = entry.choose.iter().any(|word| word == "scale");
    for word in entry.choose.iter().filter(|word| *word != "scale") {
        reader.fault(row, "choose", word, Problem::NotOneOf("scale".to_owned()));
    }
    if let Some(encoding) = encoding {
        for part in sentinels(&entry.sentinels, encoding).1 {
            reader.fault(row, "sentinels", &part.0, part.1);
        }
    }
    let stride = entry.stride.unwrap_or(0);
    let instances = entry.instances.unwrap_or((1, 1));
    if instances.0 > instances.1 || (stride == 0) != entry.instances.is_none() {
        let shown = format!("{}..{}", instances.0, instances.1);
        let problem = Problem::Said(
            "stride 与 instances = [首, 末] 须同时填写".to_owned(),
            "stride and instances = [first, last] go together; mend them".to_owned(),
        );
        reader.fault(row, "instances", &shown, problem);
        return None;
    }
    let function = function?;
    let encoding = encoding?;
    if function.is_bits() && encoding != Encoding::Bool {
        reader.fault(row, "type", encoding.word(), Problem::BitsAreBool);
        return None;
    }
    let scale = if choose { None } else { Some(entry.scale.unwrap_or(1.0)) };
    Some(ProfilePoint {
        name: entry.name.into_inner(),
        function,
        address: entry.address,
        document: entry.document,
        encoding,
        order,
        scale,
        offset: entry.offset.unwrap_or(0.0),
        unit: entry.unit,
        sentinels: entry.sentinels,
        rules: entry.rules,
        stride,
        instances,
        source: entry.source.unwrap_or_else(|| head.source.clone()),
        confidence: entry.confidence.unwrap_or_else(|| head.confidence.clone()),
        note: entry.note,
        row,
    })
}

/// The rules of every point, and the addresses of its last instance.
fn check_rules(profile: &Profile, reader: &mut Reader<'_>) {
    for point in &profile.points {
        let (first, last) = point.instances;
        let beside = (point.stride > 0).then_some(last);
        if let Err(problem) = point.address_of(beside, 0) {
            reader.fault(point.row, "address", &point.address.to_string(), problem);
        }
        let number = (point.stride > 0).then_some(first);
        let named = |name: &str| profile.register(name, 0, number);
        let mut faults = Vec::new();
        let mut context = Context {
            function: point.function,
            encoding: point.encoding,
            named: &named,
            // A tank is no instrument: its table belongs to the sheet.
            table: &mut |_| Err(Problem::UnknownKey("table: points.csv".to_owned())),
        };
        parse_rules(&point.rules, &mut Rules::default(), &mut context, &mut faults);
        for fault in faults {
            let column = format!("rules.{}", fault.key);
            reader.fault(point.row, &column, &fault.value, fault.problem);
        }
    }
}
