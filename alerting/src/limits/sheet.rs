//! A sheet as a spreadsheet program saves it: its separator, and lines that stand each for itself.
//!
//! A quote that a line opens and does not close would swallow the lines that follow. A limit stands in one line. A line break inside a cell and a stray quote look the same, so both
//! are refused by the line, and no other line is lost to them.

use std::borrow::Cow;

/// What separates the cells, told by the row of keys: `;` and tabs come from other settings of a
/// spreadsheet program.
pub(crate) fn separator(text: &str) -> u8 {
    let keys = text.lines().take(2).find(|line| line.contains("tag")).unwrap_or_default();
    let count = |separator: u8| keys.bytes().filter(|byte| *byte == separator).count();
    let commas = count(b',');
    [b';', b'\t'].into_iter().find(|other| count(*other) > commas).unwrap_or(b',')
}

/// Reads cells, one row a line.
pub(crate) fn reader_of(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(text.as_bytes())
}

/// The line of a record: the reader's position is that of the empty lines before it.
pub(crate) fn line_of(text: &str, position: &csv::Position) -> u64 {
    let at = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + ends.map(|byte| u64::from(*byte == b'\n')).sum::<u64>()
}

/// A text in which every line ends what it begins, and the lines (from 1) that did not, which are
/// empty in it: the numbers of the others stay.
pub(crate) fn closed(text: &str, separator: u8) -> (Cow<'_, str>, Vec<(u64, &str)>) {
    if !text.contains('"') {
        return (Cow::Borrowed(text), Vec::new());
    }
    let mut open = Vec::new();
    for (number, line) in (1_u64..).zip(text.split('\n')) {
        if leaves_open(line, separator) {
            open.push((number, line));
        }
    }
    if open.is_empty() {
        return (Cow::Borrowed(text), open);
    }
    let mut kept = String::with_capacity(text.len());
    let mut next = open.iter().map(|(number, _)| *number).peekable();
    for (number, line) in (1_u64..).zip(text.split('\n')) {
        if number > 1 {
            kept.push('\n');
        }
        if next.next_if_eq(&number).is_none() {
            kept.push_str(line);
        }
    }
    (Cow::Owned(kept), open)
}

/// Where a reader of CSV stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where a quote opens.
    Start,
    /// In a cell in which a quote is a letter.
    Plain,
    /// Inside quotes.
    Quoted,
    /// After a quote inside quotes: it closed them, or is the first half of a letter.
    Quote,
}

fn leaves_open(line: &str, separator: u8) -> bool {
    let mut place = Place::Start;
    for byte in line.bytes() {
        let ends = byte == separator || byte == b'\r';
        place = match (place, byte == b'"') {
            (Place::Start | Place::Quote, true) => Place::Quoted,
            (Place::Quoted, true) => Place::Quote,
            (Place::Plain, true) => Place::Plain,
            (Place::Quoted, false) => Place::Quoted,
            (Place::Start | Place::Plain | Place::Quote, false) if ends => Place::Start,
            (Place::Start | Place::Plain | Place::Quote, false) => Place::Plain,
        };
    }
    place == Place::Quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_closes_its_quotes_is_left_alone() {
        for line in [
            "A,HH,90",
            "A,COMPOSITE,,\"expr=on(\"\"A/HH\"\")\"\r",
            "A,HH,90,5\" pipe",
            "\"A\",\"HH\",\"\"",
            "A,H,\"\"\"90\"\"\"",
        ] {
            assert!(!leaves_open(line, b','), "{line}");
            assert_eq!(closed(line, b','), (Cow::Borrowed(line), Vec::new()));
        }
    }

    #[test]
    fn a_line_that_does_not_is_empty_and_the_others_keep_their_numbers() {
        let text = "tag\r\n\"A\r\nB\n;\"\"\"\nC\n";
        let (kept, open) = closed(text, b';');
        assert_eq!(kept, "tag\r\n\nB\n\nC\n");
        assert_eq!(open, [(2, "\"A\r"), (4, ";\"\"\"")]);
    }
}
