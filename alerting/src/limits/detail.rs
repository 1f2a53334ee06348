//! The column `detail`: what a kind needs beyond limit and deadband.
//!
//! - `window=60s;samples=20`, `of=TK-102.LT`, `values=1|2`, `vote=2oo3:A,B,C`, `within=1500s`,
//!   `side=low`, `statutory=true`, `ack=false`, `suppressed_by=P-101.RUN/DISCRETE`.
//! - `expr=…` comes last: everything after it is the expression.
//! - A name that the kind does not know is a fault, and so is one that is missing.

use crate::derived::Expression;
use crate::limits::LimitKind;
use crate::limits::fault::LimitTrouble;
use crate::limits::parse::milliseconds;

/// What a row says in `detail`.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Length of the window, ms.
    pub window_ms: Option<i64>,
    /// Samples that the window must hold.
    pub samples: Option<u32>,
    /// Tag of the other point.
    pub of: Option<String>,
    /// Values of a state.
    pub values: Vec<f64>,
    /// M and the tags of MooN.
    pub vote: Option<(u32, Vec<String>)>,
    /// TTL, ms.
    pub within_ms: Option<i64>,
    /// The low side, where the high one is usual.
    pub low: bool,
    /// The expression.
    pub expression: Option<Expression>,
    /// A shelf needs a permit number.
    pub statutory: bool,
    /// False: shown, never sounded (T2).
    pub ack: bool,
    /// `TAG/KIND` of the alarm that suppresses this one.
    pub suppressed_by: Option<String>,
    /// The limit must be there and is not known yet.
    pub unset: bool,
}

impl Detail {
    /// As a file writes it, in one order.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let seconds = |ms: i64| format!("{}s", ms as f64 / 1000.0);
        parts.extend(self.window_ms.map(|ms| format!("window={}", seconds(ms))));
        parts.extend(self.samples.map(|samples| format!("samples={samples}")));
        parts.extend(self.of.as_ref().map(|of| format!("of={of}")));
        if !self.values.is_empty() {
            let values: Vec<String> = self.values.iter().map(f64::to_string).collect();
            parts.push(format!("values={}", values.join("|")));
        }
        if let Some((m, tags)) = &self.vote {
            parts.push(format!("vote={m}oo{}:{}", tags.len(), tags.join(",")));
        }
        parts.extend(self.within_ms.map(|ms| format!("within={}", seconds(ms))));
        let marks =
            [(self.low, "side=low"), (self.statutory, "statutory=true"), (!self.ack, "ack=false")];
        parts.extend(marks.iter().filter(|(on, _)| *on).map(|(_, text)| (*text).to_owned()));
        parts.extend(self.suppressed_by.as_ref().map(|by| format!("suppressed_by={by}")));
        parts.extend(self.expression.as_ref().map(|e| format!("expr={}", e.text())));
        parts.join(";")
    }
}

impl Default for Detail {
    fn default() -> Self {
        Self {
            window_ms: None,
            samples: None,
            of: None,
            values: Vec::new(),
            vote: None,
            within_ms: None,
            low: false,
            expression: None,
            statutory: false,
            ack: true,
            suppressed_by: None,
            unset: false,
        }
    }
}

/// Names that every alarm of a point may have.
const COMMON: [&str; 3] = ["statutory", "ack", "suppressed_by"];

/// Names that a kind needs, and those that it may have.
fn names(kind: LimitKind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        LimitKind::RateUp | LimitKind::RateDown => (&["window"], &[]),
        LimitKind::Deviation => (&["of"], &[]),
        LimitKind::Discrete => (&["values"], &[]),
        LimitKind::Frozen => (&["window"], &["samples"]),
        LimitKind::Vote => (&["vote"], &["side"]),
        LimitKind::TimeToLimit => (&["within", "window"], &["side"]),
        LimitKind::Composite => (&["expr"], &[]),
        LimitKind::HighHigh
        | LimitKind::High
        | LimitKind::Low
        | LimitKind::LowLow
        | LimitKind::Stale
        | LimitKind::Offline
        | LimitKind::BadQuality
        | LimitKind::Range
        | LimitKind::Clock => (&[], &[]),
    }
}

impl Detail {
    /// Reads the cell, or says everything that is wrong with it.
    pub(crate) fn parse(kind: LimitKind, text: &str) -> Result<Self, Vec<LimitTrouble>> {
        let (mut detail, mut troubles) = (Self::default(), Vec::new());
        let (needed, allowed) = names(kind);
        let mut seen: Vec<&str> = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let Some((name, after)) = rest.split_once('=') else {
                troubles.push(LimitTrouble::DetailForm(rest.to_owned()));
                break;
            };
            let name = name.trim();
            let (value, left) = if name == "expr" {
                (after, "")
            } else {
                after.split_once(';').unwrap_or((after, ""))
            };
            if !needed.iter().chain(allowed).chain(&COMMON).any(|known| *known == name) {
                troubles.push(LimitTrouble::DetailUnknown(name.to_owned(), kind.key()));
            } else if seen.contains(&name) {
                troubles.push(LimitTrouble::DetailForm(rest.to_owned()));
            } else {
                seen.push(name);
                troubles.extend(detail.set(name, value.trim()).err());
            }
            rest = left.trim();
        }
        let missing = needed.iter().filter(|name| !seen.contains(name));
        troubles.extend(missing.map(|name| LimitTrouble::DetailMissing(name)));
        if troubles.is_empty() { Ok(detail) } else { Err(troubles) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), LimitTrouble> {
        let wrong = || LimitTrouble::DetailValue(name.to_owned(), value.to_owned());
        match name {
            "window" => self.window_ms = Some(time(value).ok_or_else(wrong)?),
            "within" => self.within_ms = Some(time(value).ok_or_else(wrong)?),
            "samples" => {
                let samples = value.parse().ok().filter(|samples| *samples >= 2);
                self.samples = Some(samples.ok_or_else(wrong)?);
            }
            "of" if !value.is_empty() => self.of = Some(value.to_owned()),
            "suppressed_by" if !value.is_empty() => self.suppressed_by = Some(value.to_owned()),
            "values" => {
                let values: Option<Vec<f64>> = value.split('|').map(number).collect();
                self.values = values.ok_or_else(wrong)?;
            }
            "vote" => self.vote = Some(vote(value).ok_or_else(wrong)?),
            "side" => {
                self.low = match value {
                    "low" => true,
                    "high" => false,
                    _ => return Err(wrong()),
                }
            }
            "statutory" => self.statutory = yes(value).ok_or_else(wrong)?,
            "ack" => self.ack = yes(value).ok_or_else(wrong)?,
            "expr" => {
                let expression = Expression::parse(value);
                self.expression =
                    Some(expression.map_err(|fault| {
                        LimitTrouble::Expression(fault.zh(), fault.to_string())
                    })?);
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// Tags of other points that it names.
    pub(crate) fn tags(&self) -> Vec<&str> {
        let mut tags: Vec<&str> = self.of.as_deref().into_iter().collect();
        tags.extend(self.vote.iter().flat_map(|(_, tags)| tags).map(String::as_str));
        tags.extend(self.expression.iter().flat_map(Expression::tags).map(String::as_str));
        tags
    }

    /// Alarms that it names, as `TAG/KIND`.
    pub(crate) fn alarms(&self) -> Vec<&str> {
        let mut alarms: Vec<&str> = self.suppressed_by.as_deref().into_iter().collect();
        alarms.extend(self.expression.iter().flat_map(Expression::alarms).map(String::as_str));
        alarms
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

fn yes(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" | "1" | "是" => Some(true),
        "false" | "no" | "0" | "否" => Some(false),
        _ => None,
    }
}

/// `60s`, `5m`, `1h`; bare numbers are seconds.
fn time(text: &str) -> Option<i64> {
    let (digits, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit.trim() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    milliseconds(number(digits)? * factor).filter(|ms| *ms > 0)
}

/// `2oo3:A,B,C`.
fn vote(text: &str) -> Option<(u32, Vec<String>)> {
    let (how, tags) = text.split_once(':')?;
    let (need, inputs) = how.split_once("oo")?;
    let (need, inputs): (u32, usize) = (need.trim().parse().ok()?, inputs.trim().parse().ok()?);
    let tags: Vec<String> = tags.split(',').map(|tag| tag.trim().to_owned()).collect();
    let right = tags.len() == inputs && need >= 1 && need as usize <= inputs;
    (right && tags.iter().all(|tag| !tag.is_empty())).then_some((need, tags))
}
