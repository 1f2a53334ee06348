//! Rule packs: what standards ask of limits, with the source of every number.
//!
//! - A number without source and confidence is a fault of the file, wherever it stands in it.
//! - A number that we do not have is `"ask"`: the pack is then incomplete, and says so. Nothing
//!   is put in its place.
//! - What was remembered or is our own proposal can be suggested and never be required.
//! - Checking changes no limit; it says what does not fit, and why.

mod check;
mod fault;
mod parse;
#[cfg(test)]
mod tests;

pub use check::{Finding, Judgement, Suggestion, check, suggest};
pub use fault::{PackFault, PackTrouble};

use std::fmt;

use crate::colour::{Aggregation, Colour, Step};
use crate::limits::LimitKind;

/// What stands where a standard's number is not known.
pub const NOT_OBTAINED: &str = "依据未取得，请按现行文件填写";

/// The packs that this program carries: file name and text.
pub const DELIVERED: [(&str, &str); 8] = [
    ("ammonia.toml", include_str!("../../../configs/rules/ammonia.toml")),
    ("coal-mine-gas.toml", include_str!("../../../configs/rules/coal-mine-gas.toml")),
    ("dust.toml", include_str!("../../../configs/rules/dust.toml")),
    ("gas.toml", include_str!("../../../configs/rules/gas.toml")),
    ("slope.toml", include_str!("../../../configs/rules/slope.toml")),
    ("starting-values.toml", include_str!("../../../configs/rules/starting-values.toml")),
    ("tailings.toml", include_str!("../../../configs/rules/tailings.toml")),
    ("tank-farm.toml", include_str!("../../../configs/rules/tank-farm.toml")),
];

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// S: the text of the source was read.
    Read,
    /// S2: a quotation of the source by a third party was read.
    Quoted,
    /// C: taken from program code.
    Code,
    /// M: from memory, unverified.
    Memory,
    /// I: our own inference or proposal.
    Own,
}

/// How sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// H
    High,
    /// M
    Medium,
    /// L
    Low,
}

/// The tag of a number: `S2/H`, `I`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Confidence {
    /// Where from.
    pub origin: Origin,
    /// How sure; our own proposals may leave it out.
    pub certainty: Option<Certainty>,
}

impl Confidence {
    /// Reads `S/H`, `S2/M`, `I`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (origin, certainty) = match text.split_once('/') {
            Some((origin, certainty)) => (origin, Some(certainty)),
            None => (text, None),
        };
        let origin = match origin {
            "S" => Origin::Read,
            "S2" => Origin::Quoted,
            "C" => Origin::Code,
            "M" => Origin::Memory,
            "I" => Origin::Own,
            _ => return None,
        };
        let certainty = match certainty {
            Some("H") => Some(Certainty::High),
            Some("M") => Some(Certainty::Medium),
            Some("L") => Some(Certainty::Low),
            Some(_) => return None,
            None if origin == Origin::Own => None,
            None => return None,
        };
        Some(Self { origin, certainty })
    }

    /// True where a number may bind: a text was read, by us or by who quotes it.
    #[must_use]
    pub fn may_require(self) -> bool {
        match self.origin {
            Origin::Read | Origin::Quoted => true,
            Origin::Code | Origin::Memory | Origin::Own => false,
        }
    }

    /// For people.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self.origin {
            Origin::Read => "已读原文",
            Origin::Quoted => "据他人引文",
            Origin::Code => "取自程序代码",
            Origin::Memory => "建议值，请核实",
            Origin::Own => "本项目建议",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.origin {
            Origin::Read => "S",
            Origin::Quoted => "S2",
            Origin::Code => "C",
            Origin::Memory => "M",
            Origin::Own => "I",
        })?;
        match self.certainty {
            Some(Certainty::High) => f.write_str("/H"),
            Some(Certainty::Medium) => f.write_str("/M"),
            Some(Certainty::Low) => f.write_str("/L"),
            None => Ok(()),
        }
    }
}

/// What a number is to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Must {
    /// A limit above it is refused.
    AtMost,
    /// A limit below it is refused.
    AtLeast,
    /// Any other limit is refused ("shall be").
    Equal,
    /// Any other limit is accepted with a warning ("should be").
    ShouldEqual,
    /// A value to begin with; nothing is refused.
    Suggested,
    /// A fact of the standard that no limit is compared with.
    Fact,
}

impl Must {
    const ALL: [Self; 6] =
        [Self::AtMost, Self::AtLeast, Self::Equal, Self::ShouldEqual, Self::Suggested, Self::Fact];

    /// As files write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AtMost => "at_most",
            Self::AtLeast => "at_least",
            Self::Equal => "equal",
            Self::ShouldEqual => "should_equal",
            Self::Suggested => "suggested",
            Self::Fact => "fact",
        }
    }

    /// As people say it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::AtMost => "不大于",
            Self::AtLeast => "不小于",
            Self::Equal => "应为",
            Self::ShouldEqual => "宜为",
            Self::Suggested => "建议",
            Self::Fact => "规定",
        }
    }

    fn binds(self) -> bool {
        match self {
            Self::AtMost | Self::AtLeast | Self::Equal | Self::ShouldEqual => true,
            Self::Suggested | Self::Fact => false,
        }
    }
}

/// Which number of a limit is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Of {
    /// The limit itself.
    Limit,
    /// The deadband, in percent of the instrument's span.
    DeadbandPercent,
    /// The on-delay, s.
    OnDelay,
    /// The off-delay, s.
    OffDelay,
}

impl Of {
    const ALL: [Self; 4] = [Self::Limit, Self::DeadbandPercent, Self::OnDelay, Self::OffDelay];

    /// As files write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::DeadbandPercent => "deadband_percent",
            Self::OnDelay => "on_delay_s",
            Self::OffDelay => "off_delay_s",
        }
    }
}

/// A number, or that it must be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    /// Not obtained: to be filled in from the document in force.
    Ask,
    /// This one; with `upto`, a range.
    Given {
        /// The number, or the lower end.
        value: f64,
        /// The upper end.
        upto: Option<f64>,
    },
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique in the pack.
    pub id: String,
    /// What it is about.
    pub zh: String,
    /// The same in English.
    pub en: String,
    /// The points it is about; none: to be kept by people, not compared with limits.
    pub signal: Option<String>,
    /// The unit of `value`. Points of another unit are not compared.
    pub unit: String,
    /// Which limit of the point; none: each of them.
    pub kind: Option<LimitKind>,
    /// Which number of that limit.
    pub of: Of,
    /// What `value` is to it.
    pub must: Must,
    /// The number.
    pub value: Asked,
    /// A point of this signal and unit without this limit counts as blind.
    pub required: bool,
    /// Accepted only with a reason in the limit's own source.
    pub reason_needed: bool,
    /// Where the number comes from.
    pub source: String,
    /// How sure that is; none where the number is asked for.
    pub confidence: Option<Confidence>,
}

/// One step of the aggregation of colours, with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColourStep {
    /// True: items to pond. False: points to item.
    pub pond: bool,
    /// The step.
    pub step: Step,
    /// Where it comes from.
    pub source: String,
    /// How sure that is.
    pub confidence: Confidence,
}

/// A rule pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// Its file.
    pub file: String,
    /// Unique name.
    pub id: String,
    /// Title.
    pub zh: String,
    /// Title in English.
    pub en: String,
    /// The standard, or that it was not obtained.
    pub basis: String,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Steps of the colours.
    pub steps: Vec<ColourStep>,
    /// The second step of the colours is expected and missing.
    pub pond_missing: bool,
}

impl Pack {
    /// Reads a pack.
    ///
    /// # Errors
    /// Every fault of the file, not the first.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<PackFault>> {
        parse::pack(file, text)
    }

    /// Rules whose number must be filled in.
    pub fn asked(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.value == Asked::Ask)
    }

    /// True where every number is there. An incomplete pack is never shown as complied with.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.asked().next().is_none() && !self.pond_missing
    }

    /// Its aggregation of colours.
    #[must_use]
    pub fn aggregation(&self) -> Aggregation {
        let steps = |pond| self.steps.iter().filter(move |s| s.pond == pond).map(|s| s.step);
        Aggregation { item: steps(false).collect(), pond: steps(true).collect() }
    }
}

/// A colour of a word in a pack.
fn colour(word: &str) -> Option<Colour> {
    Colour::from_word(word)
}
