//! From a scaled number to a unit where no straight line does.

use std::sync::Arc;

use thiserror::Error;

/// Lines of a strapping table: every millimetre of a tank of 20 m, and as much again.
pub(crate) const TABLE_MAX: usize = 40_000;

/// One step of a calculation.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// Through two points that somebody measured.
    Line {
        /// First: instrument, truth.
        from: (f64, f64),
        /// Second: instrument, truth.
        to: (f64, f64),
    },
    /// c0 + c1·x + c2·x² …
    Polynomial(Vec<f64>),
    /// Between the lines of a table.
    Table(Arc<Table>),
}

/// What a curve makes of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Found {
    /// This.
    Value(f64),
    /// Just beyond the table: its end.
    End(f64),
    /// Nothing: far beyond the table.
    Outside,
}

impl Curve {
    /// `margin`: how far beyond its ends a table is still believed, as a part of its span.
    pub(crate) fn apply(&self, x: f64, margin: f64) -> Found {
        match self {
            Self::Line { from, to } => {
                let slope = (to.1 - from.1) / (to.0 - from.0);
                Found::Value(from.1 + (x - from.0) * slope)
            }
            Self::Polynomial(factors) => {
                Found::Value(factors.iter().rev().fold(0.0, |sum, factor| sum * x + factor))
            }
            Self::Table(table) => table.apply(x, margin),
        }
    }
}

/// A strapping table: levels that rise, volumes that never fall.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    lines: Vec<(f64, f64)>,
}

/// Why lines are no strapping table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TableFault {
    /// Fewer than two lines.
    #[error("needs at least two lines")]
    Short,
    /// More than can be handled.
    #[error("has more than {TABLE_MAX} lines")]
    Long,
    /// This line, counted from 0, has a level that is not above the one before, a smaller volume,
    /// or a number that is not finite.
    #[error("level must rise and volume must not fall")]
    Falls(usize),
}

impl Table {
    /// Checks the lines: (level, volume).
    ///
    /// # Errors
    /// [`TableFault`] says which line.
    pub fn new(lines: Vec<(f64, f64)>) -> Result<Self, TableFault> {
        if lines.len() < 2 {
            return Err(TableFault::Short);
        }
        if lines.len() > TABLE_MAX {
            return Err(TableFault::Long);
        }
        if let Some(at) = lines.iter().position(|(x, y)| !(x.is_finite() && y.is_finite())) {
            return Err(TableFault::Falls(at));
        }
        let falls = |pair: &[(f64, f64)]| match pair {
            [(x0, y0), (x1, y1)] => x1 <= x0 || y1 < y0,
            _ => false,
        };
        match lines.windows(2).position(falls) {
            Some(at) => Err(TableFault::Falls(at + 1)),
            None => Ok(Self { lines }),
        }
    }

    fn apply(&self, x: f64, margin: f64) -> Found {
        let (Some(first), Some(last)) = (self.lines.first(), self.lines.last()) else {
            return Found::Outside;
        };
        let slack = (last.0 - first.0) * margin;
        if x < first.0 - slack || x > last.0 + slack || x.is_nan() {
            return Found::Outside;
        }
        if x < first.0 {
            return Found::End(first.1);
        }
        if x > last.0 {
            return Found::End(last.1);
        }
        let above = self.lines.partition_point(|line| line.0 <= x);
        let pair = self.lines.get(above.saturating_sub(1)).zip(self.lines.get(above));
        Found::Value(
            pair.map_or(last.1, |((x0, y0), (x1, y1))| y0 + (x - x0) / (x1 - x0) * (y1 - y0)),
        )
    }
}
