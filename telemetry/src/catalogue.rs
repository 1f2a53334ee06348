//! Who and what there is: gateways, installations, points.
//!
//! - [`Tag`] and [`GatewayId`] are checked once, at the door; past it nothing re-checks them.
//! - A [`Catalogue`] is immutable and named by its [`Revision`], the head of the SHA-256 of its
//!   canonical bytes (a shell computes it, see `wire::catalogue_bytes`).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Points of one gateway. 30,000 is the design load of one board; four times that is refused.
pub const POINTS_MAX: usize = 120_000;
/// Installations of one gateway.
pub const INSTALLATIONS_MAX: usize = 1_000;
/// Bytes of a tag.
const TAG_MAX: usize = 64;

/// The head (8 bytes, big endian) of a content hash that names a catalogue or a set of limits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What is wrong with a tag or a gateway's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TagFault {
    /// Nothing there.
    #[error("is empty; give it a name such as TK-101.LT")]
    Empty,
    /// Too long.
    #[error("has {0} bytes, at most {TAG_MAX} are allowed; shorten it")]
    TooLong(usize),
    /// A character that topics, files or screens cannot carry.
    #[error("may hold only letters, digits, '-', '_' and '.', got {0:?}; replace it")]
    BadCharacter(char),
}

fn check_name(text: &str) -> Result<(), TagFault> {
    if text.is_empty() {
        return Err(TagFault::Empty);
    }
    if text.len() > TAG_MAX {
        return Err(TagFault::TooLong(text.len()));
    }
    match text.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        Some(c) => Err(TagFault::BadCharacter(c)),
        None => Ok(()),
    }
}

/// The name of a point, unique within its gateway: `TK-101.LT`. Chinese letters are letters. A copy
/// shares the text: there are 30,000 in a gateway with little memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Checks the characters and the length.
    ///
    /// # Errors
    /// [`TagFault`] says which character, and the mend.
    pub fn parse(text: &str) -> Result<Self, TagFault> {
        check_name(text)?;
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a gateway: a topic level, a certificate name. ASCII only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GatewayId(String);

impl GatewayId {
    /// Checks the characters and the length.
    ///
    /// # Errors
    /// [`TagFault`] says which character, and the mend.
    pub fn parse(text: &str) -> Result<Self, TagFault> {
        check_name(text)?;
        match text.chars().find(|c| !c.is_ascii()) {
            Some(c) => Err(TagFault::BadCharacter(c)),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A major hazard installation, a tailings pond, a plant section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Name as people say it.
    pub name: String,
    /// Class 1 (highest) to 4 of GB 18218, or grade of a tailings pond; 0 = not graded.
    pub hazard_class: u8,
    /// `tank_farm`, `gas_area`, `tailings_pond`, or whatever the site calls it.
    pub kind: String,
}

/// One measured quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Unique within the gateway.
    pub tag: Tag,
    /// What it is, in the plant's words.
    pub name: String,
    /// Unit as printed: `%`, `%LEL`, `mm`.
    pub unit: String,
    /// Lower end of the instrument's range.
    pub low: f64,
    /// Upper end of the instrument's range.
    pub high: f64,
    /// Index into [`Catalogue::installations`].
    pub installation: u32,
    /// Tank, unit or dam section.
    pub equipment: String,
    /// Scan period, ms.
    pub period_ms: u32,
    /// Longest silence of a point that is reported by exception, ms; 0: every sample is sent.
    pub silence_ms: u32,
    /// `level`, `gas_combustible`, `gas_toxic`, `pressure`, `temperature`, `piezometer`, `rain`…
    pub signal: String,
}

/// What one gateway measures. A point's index is its place in `points`.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// The enterprise that owns the gateway.
    pub enterprise: String,
    /// Its installations.
    pub installations: Vec<Installation>,
    /// Its points.
    pub points: Vec<Point>,
}

/// What is wrong with a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogueFault {
    /// Two points of one name.
    #[error("point {index}: tag {tag:?} was already given to point {first}; tags must be unique")]
    DuplicateTag {
        /// The tag.
        tag: String,
        /// The second point.
        index: usize,
        /// The first point.
        first: usize,
    },
    /// Range upside down or not finite.
    #[error("point {tag:?}: range {low}..{high} must be finite and rising")]
    Range {
        /// The tag.
        tag: String,
        /// As text, since a NaN has no equality.
        low: String,
        /// As text.
        high: String,
    },
    /// An installation that is not there.
    #[error("point {tag:?}: installation {index} does not exist")]
    Installation {
        /// The tag.
        tag: String,
        /// The index it names.
        index: u32,
    },
    /// Too many of something.
    #[error("{what}: {count}, at most {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
}

impl Catalogue {
    /// Every fault, not the first; empty when the catalogue may be used.
    #[must_use]
    pub fn faults(&self) -> Vec<CatalogueFault> {
        let mut faults = Vec::new();
        if self.points.len() > POINTS_MAX {
            let count = self.points.len();
            faults.push(CatalogueFault::TooMany { what: "points", count, max: POINTS_MAX });
        }
        if self.installations.len() > INSTALLATIONS_MAX {
            let count = self.installations.len();
            let max = INSTALLATIONS_MAX;
            faults.push(CatalogueFault::TooMany { what: "installations", count, max });
        }
        let mut first_of = std::collections::BTreeMap::new();
        for (index, point) in self.points.iter().enumerate() {
            let tag = point.tag.as_str().to_owned();
            if let Some(first) = first_of.get(&point.tag) {
                faults.push(CatalogueFault::DuplicateTag {
                    tag: tag.clone(),
                    index,
                    first: *first,
                });
            } else {
                first_of.insert(point.tag.clone(), index);
            }
            if !(point.low.is_finite() && point.high.is_finite() && point.low < point.high) {
                let (low, high) = (point.low.to_string(), point.high.to_string());
                faults.push(CatalogueFault::Range { tag: tag.clone(), low, high });
            }
            let known =
                usize::try_from(point.installation).is_ok_and(|i| i < self.installations.len());
            if !known {
                let index = point.installation;
                faults.push(CatalogueFault::Installation { tag, index });
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_take_what_plants_use_and_refuse_what_topics_cannot_carry() {
        for good in ["TK-101.LT", "液位-1", "a_b"] {
            assert!(Tag::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a+b", "a b", "a#", "x\u{0}", &"x".repeat(65)] {
            assert!(Tag::parse(bad).is_err(), "{bad}");
        }
        assert!(GatewayId::parse("网关").is_err());
    }

    #[test]
    fn every_fault_of_a_catalogue_is_named() {
        let point = |tag: &str, low, high, installation| Point {
            tag: Tag::parse(tag).unwrap(),
            name: String::new(),
            unit: "%".into(),
            low,
            high,
            installation,
            equipment: String::new(),
            period_ms: 1000,
            silence_ms: 0,
            signal: "level".into(),
        };
        let catalogue = Catalogue {
            enterprise: "示例".into(),
            installations: vec![],
            points: vec![point("A", 0.0, 1.0, 0), point("A", f64::NAN, 1.0, 3)],
        };
        assert_eq!(catalogue.faults().len(), 4, "{:?}", catalogue.faults());
    }
}
