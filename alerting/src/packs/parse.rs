//! Reads a rule pack: every number first, then the shape.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Value;

use crate::colour::Step;
use crate::limits::LimitKind;
use crate::packs::{
    Asked, ColourStep, Confidence, Must, NOT_OBTAINED, Of, Pack, PackFault, PackTrouble, Rule,
    colour,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    pack: Head,
    #[serde(default)]
    rule: Vec<RuleText>,
    #[serde(default)]
    step: Vec<StepText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    id: String,
    name: Both,
    basis: String,
    /// `"not_configured"`: the second step of the colours is expected and missing.
    pond: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Both {
    zh: String,
    en: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrWord {
    Number(f64),
    Word(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    id: String,
    what: Both,
    signal: Option<String>,
    #[serde(default)]
    unit: String,
    kind: Option<String>,
    #[serde(default = "of_limit")]
    of: String,
    must: String,
    value: NumberOrWord,
    upto: Option<f64>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    reason_needed: bool,
    source: String,
    confidence: Option<String>,
}

fn of_limit() -> String {
    Of::Limit.word().to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    scope: String,
    count: u32,
    of: String,
    makes: String,
    source: String,
    confidence: String,
}

struct Reader<'a> {
    file: &'a str,
    faults: Vec<PackFault>,
}

/// Reads a pack, or names every fault.
pub(super) fn pack(file: &str, text: &str) -> Result<Pack, Vec<PackFault>> {
    let mut reader = Reader { file, faults: Vec::new() };
    let toml_fault = |fault: &toml::de::Error| PackTrouble::Toml(fault.to_string().trim().into());
    match text.parse::<toml::Table>() {
        Ok(table) => reader.numbers("", &Value::Table(table)),
        Err(fault) => {
            reader.fault("file", toml_fault(&fault));
            return Err(reader.faults);
        }
    }
    let read = match toml::from_str::<Text>(text) {
        Ok(read) => reader.pack(read),
        Err(fault) => {
            reader.fault("file", toml_fault(&fault));
            None
        }
    };
    match read {
        Some(pack) if reader.faults.is_empty() => Ok(pack),
        Some(_) | None => Err(reader.faults),
    }
}

impl Reader<'_> {
    fn fault(&mut self, place: &str, trouble: PackTrouble) {
        self.faults.push(PackFault {
            file: self.file.to_owned(),
            place: place.to_owned(),
            trouble,
        });
    }

    /// Every table that holds a number holds its source and its confidence too.
    fn numbers(&mut self, place: &str, value: &Value) {
        match value {
            Value::Table(table) => {
                let text = |key| table.get(key).and_then(Value::as_str).unwrap_or("").trim();
                if table.values().any(holds_number) {
                    if text("source").is_empty() {
                        self.fault(place, PackTrouble::NoSource);
                    }
                    if text("confidence").is_empty() {
                        self.fault(place, PackTrouble::NoConfidence);
                    }
                }
                for (key, inner) in table {
                    let name = inner.get("id").and_then(Value::as_str).unwrap_or(key);
                    self.numbers(&join(place, name), inner);
                }
            }
            Value::Array(list) => {
                for (at, inner) in list.iter().enumerate() {
                    let id = inner.get("id").and_then(Value::as_str);
                    let name = id.map_or_else(|| at.to_string(), str::to_owned);
                    self.numbers(&join(place, &name), inner);
                }
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => {}
        }
    }

    fn pack(&mut self, text: Text) -> Option<Pack> {
        let Head { id, name, basis, pond } = text.pack;
        for (place, value) in [("pack.id", &id), ("pack.name.zh", &name.zh), ("pack.basis", &basis)]
        {
            self.not_empty(place, value);
        }
        let pond_missing = match pond.as_deref() {
            None => false,
            Some("not_configured") => true,
            Some(other) => {
                self.unknown::<()>("pack.pond", other, "not_configured");
                true
            }
        };
        let mut ids = BTreeSet::new();
        let mut rules = Vec::new();
        for rule in text.rule {
            let place = format!("rule.{}", rule.id);
            if !ids.insert(rule.id.clone()) {
                self.fault(&place, PackTrouble::Twice(rule.id.clone()));
            }
            rules.extend(self.rule(&place, rule));
        }
        let mut steps = Vec::new();
        for (at, step) in text.step.into_iter().enumerate() {
            steps.extend(self.step(&format!("step.{at}"), step));
        }
        // Somebody has filled it in.
        let pond_missing = pond_missing && !steps.iter().any(|step: &ColourStep| step.pond);
        let (zh, en) = (name.zh, name.en);
        Some(Pack { file: self.file.to_owned(), id, zh, en, basis, rules, steps, pond_missing })
    }

    fn rule(&mut self, place: &str, text: RuleText) -> Option<Rule> {
        self.not_empty(place, &text.id);
        self.not_empty(&format!("{place}.what"), &text.what.zh);
        self.not_empty(&format!("{place}.source"), &text.source);
        let kind = match text.kind.as_deref() {
            None => Some(None),
            Some(word) => match LimitKind::from_key(word).filter(|kind| kind.is_level()) {
                Some(kind) => Some(Some(kind)),
                None => self.unknown(&format!("{place}.kind"), word, "HH, H, L, LL"),
            },
        };
        let of = Of::ALL.into_iter().find(|of| of.word() == text.of).or_else(|| {
            let known = Of::ALL.map(Of::word).join(", ");
            self.unknown(&format!("{place}.of"), &text.of, &known)
        });
        let must = Must::ALL.into_iter().find(|must| must.word() == text.must).or_else(|| {
            let known = Must::ALL.map(Must::word).join(", ");
            self.unknown(&format!("{place}.must"), &text.must, &known)
        });
        let value = self.value(place, &text);
        let confidence = text.confidence.as_deref().and_then(|tag| self.confidence(place, tag));
        let (kind, of, must, value) = (kind?, of?, must?, value?);
        match (value, confidence) {
            (Asked::Ask, Some(_)) => self.fault(place, PackTrouble::AskedAndSure),
            (Asked::Given { .. }, Some(sure)) if must.binds() && !sure.may_require() => {
                self.fault(place, PackTrouble::NotBinding(sure.to_string()));
            }
            // A number without a confidence was named already.
            (Asked::Ask, None) | (Asked::Given { .. }, Some(_) | None) => {}
        }
        let compared = must.binds() || kind.is_some() || of != Of::Limit;
        if compared && (text.signal.is_none() || text.unit.is_empty()) {
            self.fault(place, PackTrouble::NoSignal);
        }
        Some(Rule {
            id: text.id,
            zh: text.what.zh,
            en: text.what.en,
            signal: text.signal,
            unit: text.unit,
            kind,
            of,
            must,
            value,
            required: text.required,
            reason_needed: text.reason_needed,
            source: text.source,
            confidence,
        })
    }

    fn value(&mut self, place: &str, text: &RuleText) -> Option<Asked> {
        match &text.value {
            NumberOrWord::Word(word) if word == "ask" => Some(Asked::Ask),
            NumberOrWord::Word(word) => {
                self.fault(place, PackTrouble::Value(word.clone()));
                None
            }
            NumberOrWord::Number(value) if !value.is_finite() => {
                self.fault(place, PackTrouble::Value(value.to_string()));
                None
            }
            NumberOrWord::Number(value) => {
                if text.upto.is_some_and(|upto| !upto.is_finite() || upto <= *value) {
                    self.fault(place, PackTrouble::Range);
                }
                Some(Asked::Given { value: *value, upto: text.upto })
            }
        }
    }

    fn step(&mut self, place: &str, text: StepText) -> Option<ColourStep> {
        let known = "blue, yellow, orange, red";
        let of = colour(&text.of).or_else(|| self.unknown(place, &text.of, known));
        let makes = colour(&text.makes).or_else(|| self.unknown(place, &text.makes, known));
        let pond = match text.scope.as_str() {
            "item" => Some(false),
            "pond" => Some(true),
            other => self.unknown(place, other, "item, pond"),
        };
        let confidence = self.confidence(place, &text.confidence);
        let (of, makes, pond, confidence) = (of?, makes?, pond?, confidence?);
        if makes <= of || text.count == 0 {
            self.fault(place, PackTrouble::Step);
        }
        let step = Step { count: text.count, of, makes };
        Some(ColourStep { pond, step, source: text.source, confidence })
    }

    fn confidence(&mut self, place: &str, tag: &str) -> Option<Confidence> {
        let read = Confidence::parse(tag);
        if read.is_none() {
            self.fault(place, PackTrouble::Confidence(tag.to_owned()));
        }
        read
    }

    fn not_empty(&mut self, place: &str, text: &str) {
        if text.trim().is_empty() {
            self.fault(place, PackTrouble::Empty);
        }
    }

    fn unknown<T>(&mut self, place: &str, word: &str, known: &str) -> Option<T> {
        let (word, known) = (word.to_owned(), known.to_owned());
        self.fault(place, PackTrouble::Word { word, known });
        None
    }
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// A number, or a list with one in it.
fn holds_number(value: &Value) -> bool {
    match value {
        Value::Integer(_) | Value::Float(_) => true,
        Value::Array(list) => list.iter().any(holds_number),
        Value::Table(_) | Value::String(_) | Value::Boolean(_) | Value::Datetime(_) => false,
    }
}

impl Rule {
    /// `≤ 25 %LEL`, or that the number is missing, for people.
    #[must_use]
    pub fn told(&self) -> String {
        match self.value {
            Asked::Ask => NOT_OBTAINED.to_owned(),
            Asked::Given { value, upto: None } => {
                format!("{} {value} {}", self.must.zh(), self.unit)
            }
            Asked::Given { value, upto: Some(upto) } => {
                format!("{} {value}–{upto} {}", self.must.zh(), self.unit)
            }
        }
    }
}
