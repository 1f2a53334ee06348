//! Tables of a TOML file, read key by key: every fault is found, each with its line.
//!
//! - A key that is wanted and missing, of another kind, out of bounds or unknown is a fault; what
//!   was read besides it goes on being read.
//! - Site files and the gateway's own file are read with it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{FAULTS_MAX, add};
use super::slips::{hidden, one_line};
use super::{Kind, Problem, SiteFault};

/// A file, and what is wrong with it so far.
pub struct Text<'a> {
    /// As messages name it.
    pub file: &'a str,
    /// Its text, without a byte order mark.
    pub text: &'a str,
    /// What was found.
    pub faults: &'a mut Vec<SiteFault>,
    /// Where its lines end.
    ends: Vec<usize>,
}

/// Tables of one name that are looked at: more than anything of which a site may have many.
const TABLES_MAX: usize = 2_000;

impl<'a> Text<'a> {
    /// Reads a file as far as it can be read; where it is not well formed is a fault, with the
    /// line and the column that the parser says.
    pub fn open(
        file: &'a str,
        text: &'a str,
        faults: &'a mut Vec<SiteFault>,
    ) -> (Spanned<DeTable<'a>>, Self) {
        let at = Self::new(file, text, faults);
        let (document, errors) = DeTable::parse_recoverable(at.text);
        for error in errors.into_iter().take(FAULTS_MAX + 1) {
            let span = error.span();
            let row = span.as_ref().map(|span| at.row(span));
            let place = span.map(|span| at.place(&span)).unwrap_or_default();
            let problem = Problem::Syntax(format!("{place}{}", error.message()));
            add(at.faults, SiteFault { row, ..SiteFault::of_file(file, problem) });
        }
        (document, at)
    }

    /// A file that was read before.
    pub(super) fn new(file: &'a str, text: &'a str, faults: &'a mut Vec<SiteFault>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { file, text, faults, ends: ends.map(|(at, _)| at).collect() }
    }

    /// `第 7 列 column 7: `.
    fn place(&self, span: &Range<usize>) -> String {
        let upto = self.text.get(..span.start).unwrap_or_default();
        let line = upto.rsplit('\n').next().unwrap_or_default();
        let column = line.chars().count() + 1;
        format!("第 {column} 列 column {column}: ")
    }

    /// The line of a place in the text, from 1.
    #[must_use]
    pub fn row(&self, span: &Range<usize>) -> usize {
        self.ends.partition_point(|end| *end < span.start) + 1
    }

    /// One more fault.
    pub fn fault(&mut self, row: usize, column: &str, value: Option<String>, problem: Problem) {
        let (file, column) = (self.file.to_owned(), Some(column.to_owned()));
        add(self.faults, SiteFault { file, row: Some(row), column, value, problem });
    }

    /// The tables under one `[[name]]`, each with its place; none where the file has no such key.
    pub fn tables<'t, 'i>(
        &mut self,
        root: &'t DeTable<'i>,
        name: &str,
    ) -> Vec<(Range<usize>, &'t DeTable<'i>)> {
        let Some(value) = root.get(name) else { return Vec::new() };
        let mut found = Vec::new();
        for item in value.get_ref().as_array().into_iter().flatten() {
            if let Some(table) = item.get_ref().as_table() {
                found.push((item.span(), table));
            }
        }
        if found.len() > TABLES_MAX {
            let problem = Problem::TooMany(found.len(), TABLES_MAX);
            self.fault(self.row(&value.span()), name, None, problem);
            found.truncate(TABLES_MAX);
        }
        if found.is_empty() {
            self.fault(self.row(&value.span()), name, None, Problem::NotA(Kind::Tables));
        }
        found
    }
}

/// One table of a file; keys are taken out, and what is left over was unknown.
pub struct Section<'t, 'i> {
    name: &'static str,
    /// Line of the table.
    pub row: usize,
    /// Line of the value that was taken last.
    pub value_row: usize,
    table: &'t DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'t, 'i> Section<'t, 'i> {
    /// A table by its name; the root of a file has an empty one.
    #[must_use]
    pub fn new(name: &'static str, row: usize, table: &'t DeTable<'i>) -> Self {
        Self { name, row, value_row: row, table, known: Vec::new() }
    }

    /// These keys may stand here as well.
    pub fn allow(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Whether the key stands here.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// The value as it is.
    pub fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// As messages name a key: `device.host`.
    #[must_use]
    pub fn column(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// A key that may be missing; the outer none is a fault that was reported.
    pub fn optional<T>(
        &mut self,
        at: &mut Text<'_>,
        key: &'static str,
        read: impl Fn(&mut Self, &mut Text<'_>, &'static str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.has(key) {
            return read(self, at, key).map(Some);
        }
        self.known.push(key);
        Some(None)
    }

    /// A value that must be there, with its line and how it is written.
    fn wanted(
        &mut self,
        at: &mut Text<'_>,
        key: &'static str,
    ) -> Option<(&'t DeValue<'i>, Option<String>)> {
        let Some(value) = self.get(key) else {
            at.fault(self.row, &self.column(key), None, Problem::MissingKey);
            return None;
        };
        self.value_row = at.row(&value.span());
        Some((value.get_ref(), at.text.get(value.span()).map(str::to_owned)))
    }

    /// Text that is not empty.
    pub fn text(&mut self, at: &mut Text<'_>, key: &'static str) -> Option<String> {
        let (value, shown) = self.wanted(at, key)?;
        let problem = match value.as_str().map(str::trim) {
            Some("") => return self.refuse(at, key, None, Problem::Empty),
            Some(text) => match hidden(text) {
                None => return Some(one_line(text)),
                Some(problem) => problem,
            },
            None => Problem::NotA(Kind::Text),
        };
        self.refuse(at, key, shown, problem)
    }

    /// One of a few words.
    pub fn word(
        &mut self,
        at: &mut Text<'_>,
        key: &'static str,
        default: Option<&'static str>,
        words: &[&'static str],
    ) -> Option<&'static str> {
        if default.is_some() && !self.has(key) {
            self.known.push(key);
            return default;
        }
        let text = self.text(at, key)?;
        match words.iter().find(|word| **word == text) {
            Some(word) => Some(word),
            None => self.refuse(at, key, Some(text), Problem::NotOneOf(words.join(", "))),
        }
    }

    /// A whole number within bounds.
    pub fn whole(
        &mut self,
        at: &mut Text<'_>,
        key: &'static str,
        bounds: (i64, i64),
        default: Option<i64>,
    ) -> Option<i64> {
        if default.is_some() && !self.has(key) {
            self.known.push(key);
            return default;
        }
        let (value, shown) = self.wanted(at, key)?;
        let number =
            value.as_integer().and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
        let problem = match number {
            Some(number) if (bounds.0..=bounds.1).contains(&number) => return Some(number),
            Some(_) => Problem::OutOfBounds(bounds.0.to_string(), bounds.1.to_string()),
            None => Problem::NotA(Kind::Whole),
        };
        self.refuse(at, key, shown, problem)
    }

    /// True or false, where it is given.
    pub fn flagged(&mut self, at: &mut Text<'_>, key: &'static str) -> Option<bool> {
        if !self.has(key) {
            self.known.push(key);
            return None;
        }
        let (value, shown) = self.wanted(at, key)?;
        match value.as_bool() {
            Some(flag) => Some(flag),
            None => self.refuse(at, key, shown, Problem::NotA(Kind::Flag)),
        }
    }

    /// True or false; false where it is missing.
    pub fn flag(&mut self, at: &mut Text<'_>, key: &'static str) -> bool {
        self.flagged(at, key).unwrap_or(false)
    }

    /// A list of texts; empty where it is missing. What is no text is a fault of its own.
    pub fn texts(&mut self, at: &mut Text<'_>, key: &'static str) -> Vec<String> {
        if !self.has(key) {
            self.known.push(key);
            return Vec::new();
        }
        let Some((value, shown)) = self.wanted(at, key) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.refuse::<()>(at, key, shown, Problem::NotA(Kind::Texts));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    let shown = at.text.get(item.span()).map(str::to_owned);
                    self.refuse::<()>(at, key, shown, Problem::NotA(Kind::Texts));
                }
            }
        }
        texts
    }

    /// A table within this one.
    pub fn table(&mut self, at: &mut Text<'_>, key: &'static str) -> Option<Section<'t, 'i>> {
        let value = self.get(key)?;
        let row = at.row(&value.span());
        let Some(table) = value.get_ref().as_table() else {
            at.fault(row, &self.column(key), None, Problem::NotA(Kind::Table));
            return None;
        };
        Some(Section::new(key, row, table))
    }

    /// A fault of the value that was taken last; always none.
    pub fn refuse<T>(
        &self,
        at: &mut Text<'_>,
        key: &str,
        shown: Option<String>,
        problem: Problem,
    ) -> Option<T> {
        at.fault(self.value_row, &self.column(key), shown, problem);
        None
    }

    /// Every key that nobody asked for is a fault.
    pub fn finish(self, at: &mut Text<'_>) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let row = at.row(&key.span());
                at.fault(row, &self.column(name), None, Problem::UnknownKey(self.known.join(", ")));
            }
        }
    }
}
