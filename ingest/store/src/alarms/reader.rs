//! Reading the journal without writing it: for reports, beside whoever writes.
//!
//! - Read-only connections, one short transaction a page: a report of a year holds nobody up.
//! - Rows have numbers without holes and come in order of time, as far as the clock did; that is
//!   how a time is found without an index.

use std::path::Path;

use fengsui_telemetry::TimeMs;

use super::chain::BREAK_CAUSE;
use super::{ChainFault, StoredRow, Verified, chain, head, sql};
use crate::StoreError;
use crate::codec::decode_inputs;
use crate::sqlite::Readers;

/// Rows in which the newest of a living centre is looked for.
const LAST_ROWS: usize = 8;

/// A journal that is only read.
pub struct JournalReader {
    readers: Readers,
}

impl JournalReader {
    /// Opens `alarms.db`, which must be there.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let reader = Self { readers: Readers::new(path) };
        reader.last_seq()?;
        Ok(reader)
    }

    /// Reads the whole chain and compares it with the remembered head, writing nothing.
    ///
    /// # Errors
    /// Every fault found, up to a thousand.
    pub fn verify(&self) -> Result<Verified, Vec<ChainFault>> {
        // Read before the rows: rows that come meanwhile are ahead of it, never behind.
        let remembered = head::read(&head::beside(self.readers.path()));
        chain::verify(&self.readers, remembered)
    }

    /// The newest row's number; 0 before the first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        Ok(self.readers.read("read the head", sql::head)?.seq)
    }

    /// Rows with a number above `after`, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&self, after: u64, limit: usize) -> Result<Vec<StoredRow>, StoreError> {
        self.readers.read("read the journal", |conn| sql::page(conn, after, limit))
    }

    /// Notes of one cause with a number below `before`, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_cause(
        &self,
        cause: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.readers.read("read the notes", |conn| sql::of_cause(conn, cause, before, limit))
    }

    /// The newest rows of one alarm with a number up to `through`, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_alarm(
        &self,
        key: &str,
        through: u64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let read = |conn: &rusqlite::Connection| sql::of_alarm_through(conn, key, through, limit);
        self.readers.read("read the journal", read)
    }

    /// The number of the last row before the first that was known at `at` or later, found by
    /// halving. A clock that was set back makes it inexact: read a little earlier than needed.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn before(&self, at: TimeMs) -> Result<u64, StoreError> {
        // Invariant: everything up to `low` is earlier, everything above `high` is not.
        let (mut low, mut high) = (0, self.last_seq()?);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let known = self.readers.read("read the journal", |conn| sql::ti_of(conn, middle))?;
            match known {
                Some(ti) if ti < at => low = middle,
                Some(_) | None => high = middle - 1,
            }
        }
        Ok(low)
    }

    /// When the first row was written; none before the first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn began(&self) -> Result<Option<TimeMs>, StoreError> {
        Ok(self.page(0, 1)?.first().map(|stored| stored.row.ti))
    }

    /// When the centre that writes it was last known to live: its newest row, snapshot or input.
    /// A running centre leaves an input every three seconds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn alive(&self) -> Result<Option<TimeMs>, StoreError> {
        let read = |conn: &rusqlite::Connection| {
            // A break is noted by whoever opens the file, also when no centre runs.
            let newest = sql::newest(conn, LAST_ROWS)?;
            let newest = newest.iter().find(|stored| stored.row.cause != BREAK_CAUSE);
            let newest = newest.map(|stored| stored.row.ti);
            let (_, end) = sql::inputs_span(conn)?;
            let chunk = match end.checked_sub(1) {
                Some(number) => sql::inputs(conn, number)?.map(|data| (number, data)),
                None => None,
            };
            Ok((newest.max(sql::snapshot_ti(conn)?), chunk))
        };
        let (newest, chunk) = self.readers.read("read the last sign of life", read)?;
        // A damaged chunk is the restart's affair; here it only says nothing.
        let inputs = chunk.and_then(|(number, data)| decode_inputs(number, &data).ok());
        let input = inputs.and_then(|inputs| inputs.iter().map(crate::EngineInput::at).max());
        Ok(newest.max(input))
    }
}
