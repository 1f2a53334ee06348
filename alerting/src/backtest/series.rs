//! Rows of a file, put in order of their time and freed of what cannot be judged.
//!
//! - Nothing is dropped in silence: each row that is not judged as it stands is named.
//! - A cell without a number stays in the series as bad quality: it stops a running delay, which
//!   leaving it out would not.

use fengsui_telemetry::{Fault, Reading, TimeMs};

/// One row of a file whose time could be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Line in the file, from 1.
    pub row: u64,
    /// Its time.
    pub te: TimeMs,
    /// Its value, or why it has none.
    pub reading: Reading,
}

/// Why a row is not judged as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The cell is empty: bad quality.
    Empty,
    /// The cell is no finite number: bad quality.
    NotANumber,
    /// The time cannot be read: the row is left out.
    Time,
    /// The same time and value as another row: left out.
    Repeated,
    /// The same time as another row and another value: neither is trusted.
    Contradicted,
}

/// A row that is not judged as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Line in the file, from 1.
    pub row: u64,
    /// Why.
    pub why: Why,
}

/// A series ready to be judged.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Arranged {
    /// In order of time, each time once.
    pub samples: Vec<(TimeMs, Reading)>,
    /// What is not judged as it stands, in order of the file.
    pub skipped: Vec<Skipped>,
}

/// Puts rows in order.
#[must_use]
pub fn arrange(mut rows: Vec<Row>) -> Arranged {
    rows.sort_by_key(|row| (row.te, row.row));
    let mut arranged = Arranged { samples: Vec::with_capacity(rows.len()), skipped: Vec::new() };
    for row in rows {
        if let Reading::Bad(fault) = row.reading {
            let why = if fault == Fault::Missing { Why::Empty } else { Why::NotANumber };
            arranged.skipped.push(Skipped { row: row.row, why });
        }
        match arranged.samples.last_mut() {
            Some((te, before)) if *te == row.te => {
                if row.reading.is_bad() {
                    // Named above; a number of the same time stays.
                } else if before.value() == row.reading.value() {
                    arranged.skipped.push(Skipped { row: row.row, why: Why::Repeated });
                } else if *before == Reading::Bad(Fault::Missing) {
                    *before = row.reading;
                } else {
                    *before = Reading::Bad(Fault::SourceBad);
                    arranged.skipped.push(Skipped { row: row.row, why: Why::Contradicted });
                }
            }
            Some(_) | None => arranged.samples.push((row.te, row.reading)),
        }
    }
    arranged.skipped.sort_by_key(|skipped| skipped.row);
    arranged
}
