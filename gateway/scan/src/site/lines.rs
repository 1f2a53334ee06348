//! In which line of a CSV file a record stands, as an editor counts: blank lines and CRLF included.

use csv::StringRecord;

/// Counts once through a text, record after record.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    byte: usize,
    row: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text.as_bytes(), byte: 0, row: 1 }
    }

    /// The line of the next record, from 1.
    pub(super) fn row(&mut self, record: &StringRecord) -> Option<usize> {
        let start = usize::try_from(record.position()?.byte()).ok()?;
        // The reader counts the end of the line before as the begin of a record.
        while self.byte < start || matches!(self.rest.first(), Some(b'\r' | b'\n')) {
            let (byte, rest) = self.rest.split_first()?;
            self.row += usize::from(*byte == b'\n');
            self.byte += 1;
            self.rest = rest;
        }
        Some(self.row)
    }
}
