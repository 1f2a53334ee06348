//! In which line of a CSV file a record stands, as an editor counts: blank lines and CRLF included;
//! and what separates its cells.

use csv::StringRecord;

/// Lines among which the keys are looked for: headings may be broken into several.
const HEAD_LINES: usize = 8;

/// What separates the cells: a spreadsheet program of another country writes `;`, copied cells have
/// tabs between them. Told by the row of keys, or by the first line where there is none.
pub(super) fn separator(text: &str) -> u8 {
    let mut head = text.lines().take(HEAD_LINES);
    let keys = head.clone().find(|line| line.contains("tag")).or(head.next()).unwrap_or_default();
    let count = |separator: u8| keys.bytes().filter(|byte| *byte == separator).count();
    let commas = count(b',');
    [b';', b'\t'].into_iter().find(|other| count(*other) > commas).unwrap_or(b',')
}

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
