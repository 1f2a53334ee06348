//! Major hazard sources after GB 18218-2018: is it one, and of which level.
//!
//! - Exact fractions throughout: `S >= 1` is decided on the sum itself, not on a rounded one.
//! - What the standard leaves to the plant (the hazard class of a substance) is asked for, never
//!   guessed. Without it there is no level; whether it is a major hazard source is known all the
//!   same.
//! - Each step can be shown ([`Verdict`]): which row of which table gave which number.

mod ratio;
mod tables;
#[cfg(test)]
mod tests;

pub use ratio::Ratio;
pub use tables::{Class, DELIVERED, Substance, TableFault, TableTexts, Tables};

use thiserror::Error;

/// Substances of one unit.
pub const ITEMS_MAX: usize = 10_000;

/// One substance of the unit: `q`, the design maximum of tanks, equipment or store (4.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Name, alias, CAS number or `#number` of table 1; any name where a class is given.
    pub name: String,
    /// Tonnes.
    pub tonnes: Ratio,
    /// Hazard classes that the plant has found: `W5.3`, `J4`.
    pub classes: Vec<String>,
}

/// Why an item cannot be reckoned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ItemFault {
    /// Neither in table 1 nor with a class.
    #[error(
        "{name:?} is not in table 1 of GB 18218-2018 and has no hazard class; mend the name or add a class, as in {name}=10:W5.3"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// Several rows.
    #[error("{name:?} fits several rows; name one by its number: {}", .rows.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// `#37 硝化纤维素[…]`.
        rows: Vec<String>,
    },
    /// Not in table 2.
    #[error("{name}: {class:?} is no class of table 2; there are {}", .known.join(", "))]
    UnknownClass {
        /// The substance.
        name: String,
        /// The class.
        class: String,
        /// Those of the table.
        known: Vec<String>,
    },
    /// More than [`ITEMS_MAX`].
    #[error("more than {ITEMS_MAX} substances; one unit has fewer")]
    TooMany,
    /// Beyond 128 bits.
    #[error("{name}: the amount is too large or too fine to be summed exactly")]
    TooLarge {
        /// The substance.
        name: String,
    },
    /// The tables themselves.
    #[error("the tables do not cover this case: {0}")]
    Tables(&'static str),
}

/// Where a number came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// Table 1 or 3, this row.
    Row {
        /// Number in table 1; none for a gas of table 3 alone.
        no: Option<u32>,
        /// Its name in the standard.
        name: String,
    },
    /// Table 2 or 4, this class.
    Class {
        /// Its symbol.
        symbol: String,
        /// Several classes were given: the lowest threshold (4.1.2), and, as the standard names
        /// none, the highest coefficient, which is on the safe side and ours.
        chosen: bool,
    },
}

/// One line of the reckoning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As asked.
    pub name: String,
    /// Tonnes.
    pub tonnes: Ratio,
    /// Threshold Q, t.
    pub threshold: Ratio,
    /// Where Q comes from.
    pub threshold_from: From,
    /// `q / Q`.
    pub share: Ratio,
    /// Coefficient, and where it comes from; none where a class is needed and not given.
    pub beta: Option<(Ratio, From)>,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Substance by substance.
    pub lines: Vec<Line>,
    /// `sum(q / Q)`.
    pub s: Ratio,
    /// `S >= 1`.
    pub is_major: bool,
    /// Coefficient for the people within 500 m.
    pub alpha: Ratio,
    /// `alpha * sum(beta * q / Q)`; none where it is no major hazard source, or where a class is
    /// missing.
    pub r: Option<Ratio>,
    /// Level 1 (highest) to 4.
    pub level: Option<u8>,
    /// Substances whose class is needed for R and was not given.
    pub class_needed: Vec<String>,
}

/// Reckons one unit.
///
/// # Errors
/// Every item that cannot be reckoned.
pub fn reckon(tables: &Tables, items: &[Item], people: u64) -> Result<Verdict, Vec<ItemFault>> {
    if items.len() > ITEMS_MAX {
        return Err(vec![ItemFault::TooMany]);
    }
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for item in items {
        match line(tables, item) {
            Ok(line) => lines.push(line),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let alpha = alpha_of(tables, people).ok_or_else(|| vec![ItemFault::Tables("table 5")])?;
    let s = sum(lines.iter().map(|line| (line.name.as_str(), Some(line.share))))
        .map_err(|f| vec![f])?;
    let is_major = s >= Ratio::ONE;
    let needed = lines.iter().filter(|line| line.beta.is_none()).map(|line| line.name.clone());
    let class_needed: Vec<String> = if is_major { needed.collect() } else { Vec::new() };
    let mut verdict = Verdict { lines, s, is_major, alpha, r: None, level: None, class_needed };
    if is_major && verdict.class_needed.is_empty() {
        let weighted = verdict.lines.iter().map(|line| {
            let beta = line.beta.as_ref().map_or(Ratio::ZERO, |(beta, _)| *beta);
            (line.name.as_str(), beta.times(line.share))
        });
        let weighted = sum(weighted).map_err(|fault| vec![fault])?;
        let r = alpha.times(weighted).ok_or_else(|| vec![too_large("R")])?;
        let level = level_of(tables, r).ok_or_else(|| vec![ItemFault::Tables("table 6")])?;
        (verdict.r, verdict.level) = (Some(r), Some(level));
    }
    Ok(verdict)
}

fn too_large(name: &str) -> ItemFault {
    ItemFault::TooLarge { name: name.to_owned() }
}

fn sum<'a>(parts: impl Iterator<Item = (&'a str, Option<Ratio>)>) -> Result<Ratio, ItemFault> {
    let mut sum = Ratio::ZERO;
    for (name, part) in parts {
        sum = part.and_then(|part| sum.plus(part)).ok_or_else(|| too_large(name))?;
    }
    Ok(sum)
}

fn line(tables: &Tables, item: &Item) -> Result<Line, ItemFault> {
    let name = item.name.trim();
    let classes = item
        .classes
        .iter()
        .map(|class| tables.class(class).ok_or_else(|| unknown_class(tables, name, class)))
        .collect::<Result<Vec<&Class>, ItemFault>>()?;
    let rows = tables.find(name);
    let row = match rows.as_slice() {
        [] => None,
        [row] => Some(*row),
        several => {
            let rows = several.iter().map(|row| format!("#{} {}", row.no, row.name)).collect();
            return Err(ItemFault::Ambiguous { name: name.to_owned(), rows });
        }
    };
    let chosen = classes.len() > 1;
    let from = |class: &Class| From::Class { symbol: class.symbol.clone(), chosen };
    let (threshold, threshold_from) = match (row, classes.iter().min_by_key(|c| c.threshold)) {
        (Some(row), _) => (row.threshold, From::Row { no: Some(row.no), name: row.name.clone() }),
        (None, Some(class)) => (class.threshold, from(class)),
        (None, None) => return Err(ItemFault::Unknown { name: name.to_owned() }),
    };
    let toxic = tables.toxic.iter().find(|(gas, _)| gas == name);
    let beta = match (row.and_then(|row| row.beta.map(|beta| (beta, row))), toxic) {
        (Some((beta, row)), _) => {
            Some((beta, From::Row { no: Some(row.no), name: row.name.clone() }))
        }
        (None, Some((gas, beta))) => Some((*beta, From::Row { no: None, name: gas.clone() })),
        (None, None) => {
            classes.iter().max_by_key(|class| class.beta).map(|class| (class.beta, from(class)))
        }
    };
    let share = item.tonnes.divided_by(threshold).ok_or_else(|| too_large(name))?;
    Ok(Line { name: name.to_owned(), tonnes: item.tonnes, threshold, threshold_from, share, beta })
}

fn unknown_class(tables: &Tables, name: &str, class: &str) -> ItemFault {
    ItemFault::UnknownClass {
        name: name.to_owned(),
        class: class.to_owned(),
        known: tables.classes.iter().map(|class| class.symbol.clone()).collect(),
    }
}

/// Table 5: the coefficient for so many permanent residents within 500 m.
#[must_use]
pub fn alpha_of(tables: &Tables, people: u64) -> Option<Ratio> {
    let within = |(from, to, _): &&(u64, Option<u64>, Ratio)| {
        *from <= people && to.is_none_or(|to| people <= to)
    };
    tables.alpha.iter().find(within).map(|(_, _, alpha)| *alpha)
}

/// Table 6: the level of an R.
#[must_use]
pub fn level_of(tables: &Tables, r: Ratio) -> Option<u8> {
    let within = |(_, from, to): &&(u8, Option<Ratio>, Option<Ratio>)| {
        from.is_none_or(|from| from <= r) && to.is_none_or(|to| r < to)
    };
    tables.levels.iter().find(within).map(|(level, ..)| *level)
}
