//! A pack against the points and limits of a site.
//!
//! - Only what has the rule's unit is compared. A point of the right signal and another unit is
//!   named as not comparable: not compared is not complied with.
//! - An unset limit that a pack requires is a blind point, never a huge number.

use fengsui_telemetry::{Catalogue, Point};

use crate::limits::{LimitKind, LimitSet, PointLimit};
use crate::packs::{Asked, Must, Of, Pack, Rule};

/// How a limit stands to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Judgement {
    /// Against the standard.
    Refused,
    /// A required limit is not set: the point is blind.
    Unset,
    /// Accepted, with a warning.
    Warned,
    /// The pack's number was not obtained: neither kept nor broken.
    Asked,
    /// The unit of the point is another.
    NotComparable,
    /// Accepted because a reason is on record.
    Recorded,
    /// Kept.
    Kept,
}

impl Judgement {
    /// One word, the same in JSON and tests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unset => "unset",
            Self::Warned => "warned",
            Self::Asked => "asked",
            Self::NotComparable => "not_comparable",
            Self::Recorded => "recorded",
            Self::Kept => "kept",
        }
    }

    /// As people say it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Refused => "不符合",
            Self::Unset => "未设限值，视为盲点",
            Self::Warned => "与推荐值不同",
            Self::Asked => "依据未取得",
            Self::NotComparable => "单位不同，未比较",
            Self::Recorded => "已记录理由",
            Self::Kept => "符合",
        }
    }

    /// True where somebody must act.
    #[must_use]
    pub fn is_problem(self) -> bool {
        match self {
            Self::Refused | Self::Unset => true,
            Self::Warned | Self::Asked | Self::NotComparable | Self::Recorded | Self::Kept => false,
        }
    }
}

/// One rule against one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding<'a> {
    /// The rule; none where no rule of the signal has the point's unit.
    pub rule: Option<&'a Rule>,
    /// The point.
    pub tag: String,
    /// Which limit.
    pub kind: Option<LimitKind>,
    /// What is set, in the point's unit.
    pub limit: Option<f64>,
    /// The judgement.
    pub judgement: Judgement,
    /// Why it was accepted, or what to mend.
    pub note: String,
}

/// Checks the limits of a site. Findings come in order of the catalogue.
#[must_use]
pub fn check<'a>(pack: &'a Pack, catalogue: &Catalogue, limits: &LimitSet) -> Vec<Finding<'a>> {
    let mut findings = Vec::new();
    for point in &catalogue.points {
        let of_signal = || {
            pack.rules.iter().filter(|rule| {
                rule.of == Of::Limit
                    && rule.must != Must::Suggested
                    && rule.signal.as_deref() == Some(point.signal.as_str())
            })
        };
        if of_signal().next().is_none() {
            continue;
        }
        // Where the number is missing, its unit compares nothing.
        let fit = |rule: &&Rule| rule.unit == point.unit || rule.value == Asked::Ask;
        let mut fits = of_signal().filter(fit).peekable();
        if fits.peek().is_none() {
            let units: Vec<&str> = of_signal().map(|rule| rule.unit.as_str()).collect();
            findings.push(other_unit(point, &units));
            continue;
        }
        fits.for_each(|rule| one(rule, point, limits, &mut findings));
    }
    findings
}

fn other_unit<'a>(point: &Point, units: &[&str]) -> Finding<'a> {
    let mut units = units.to_vec();
    units.dedup();
    Finding {
        rule: None,
        tag: point.tag.to_string(),
        kind: None,
        limit: None,
        judgement: Judgement::NotComparable,
        note: format!(
            "点的单位为 {}，规则以 {} 给出，须换算后人工核对 / the point is in {}",
            point.unit,
            units.join("、"),
            point.unit
        ),
    }
}

fn one<'a>(rule: &'a Rule, point: &Point, limits: &LimitSet, findings: &mut Vec<Finding<'a>>) {
    let set: Vec<&PointLimit> = limits
        .of_tag(point.tag.as_str())
        .filter(|limit| limit.kind.is_level() && rule.kind.is_none_or(|kind| kind == limit.kind))
        .collect();
    let mut found = |limit: Option<&PointLimit>, judgement, note: String| {
        findings.push(Finding {
            rule: Some(rule),
            tag: point.tag.to_string(),
            kind: limit.map(|limit| limit.kind).or(rule.kind),
            limit: limit.map(|limit| limit.limit),
            judgement,
            note,
        });
    };
    if set.is_empty() && rule.required {
        let note = "请设定限值；不得以极大数代替 / set the limit; no huge number in its place";
        return found(None, Judgement::Unset, note.to_owned());
    }
    if rule.value == Asked::Ask {
        return found(set.first().copied(), Judgement::Asked, rule.source.clone());
    }
    for limit in set {
        let (judgement, note) = judge(rule, limit);
        found(Some(limit), judgement, note);
    }
}

fn judge(rule: &Rule, limit: &PointLimit) -> (Judgement, String) {
    let Asked::Given { value, .. } = rule.value else {
        return (Judgement::Asked, rule.source.clone());
    };
    let same = (limit.limit - value).abs() <= 1e-9 * value.abs().max(1.0);
    let kept = match rule.must {
        Must::AtMost => limit.limit <= value,
        Must::AtLeast => limit.limit >= value,
        Must::Equal => same,
        Must::ShouldEqual if !same => {
            return (Judgement::Warned, format!("{}（{}）", rule.told(), rule.source));
        }
        Must::ShouldEqual | Must::Suggested | Must::Fact => true,
    };
    if !kept {
        return (Judgement::Refused, format!("{}（{}）", rule.told(), rule.source));
    }
    match (rule.reason_needed, limit.source.trim()) {
        (false, _) => (Judgement::Kept, String::new()),
        (true, "") => (
            Judgement::Refused,
            "须在限值的“依据”列写明理由 / give the reason in the column source".to_owned(),
        ),
        (true, reason) => (Judgement::Recorded, reason.to_owned()),
    }
}

/// A value to begin with, in the point's unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The point.
    pub tag: String,
    /// Which limit; none: each.
    pub kind: Option<LimitKind>,
    /// Which number of it.
    pub of: Of,
    /// The number, in the unit of the point or in seconds; none: to be asked for.
    pub value: Option<f64>,
    /// The upper end of a range.
    pub upto: Option<f64>,
    /// The point needs this limit.
    pub required: bool,
}

/// What a pack has to say about the limits of each point of a site.
#[must_use]
pub fn suggest<'a>(pack: &'a Pack, catalogue: &Catalogue) -> Vec<Suggestion<'a>> {
    let mut suggestions = Vec::new();
    for point in &catalogue.points {
        for rule in &pack.rules {
            let fits = match rule.of {
                Of::Limit => rule.unit == point.unit || rule.value == Asked::Ask,
                Of::DeadbandPercent | Of::OnDelay | Of::OffDelay => true,
            };
            if rule.signal.as_deref() != Some(point.signal.as_str()) || !fits {
                continue;
            }
            let in_unit = |value: f64| match rule.of {
                Of::DeadbandPercent => value * (point.high - point.low) / 100.0,
                Of::Limit | Of::OnDelay | Of::OffDelay => value,
            };
            let (value, upto) = match rule.value {
                Asked::Ask => (None, None),
                Asked::Given { value, upto } => (Some(in_unit(value)), upto.map(in_unit)),
            };
            suggestions.push(Suggestion {
                rule,
                tag: point.tag.to_string(),
                kind: rule.kind,
                of: rule.of,
                value,
                upto,
                required: rule.required,
            });
        }
    }
    suggestions
}
