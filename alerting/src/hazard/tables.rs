//! The tables of GB 18218-2018, read from `configs/rules/gb18218`.
//!
//! - A name finds one row or none; a name that fits several is a question, not a guess.
//! - A table that cannot be read whole is not read.

use thiserror::Error;

use crate::hazard::Ratio;

/// One row of table 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substance {
    /// Its number in the table.
    pub no: u32,
    /// Its name in the table.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// CAS numbers.
    pub cas: Vec<String>,
    /// Threshold, t.
    pub threshold: Ratio,
    /// Correction coefficient of table 3; none: by class.
    pub beta: Option<Ratio>,
}

/// One row of tables 2 and 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// `J1`, `W5.3`.
    pub symbol: String,
    /// What it is.
    pub category: String,
    /// Which substances belong to it.
    pub criteria: String,
    /// Threshold, t.
    pub threshold: Ratio,
    /// Correction coefficient.
    pub beta: Ratio,
}

/// The tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Table 1.
    pub substances: Vec<Substance>,
    /// Tables 2 and 4.
    pub classes: Vec<Class>,
    /// Table 3, by name.
    pub toxic: Vec<(String, Ratio)>,
    /// Table 5: from, to (inclusive), alpha.
    pub alpha: Vec<(u64, Option<u64>, Ratio)>,
    /// Table 6: level, R from (inclusive), R to (exclusive).
    pub levels: Vec<(u8, Option<Ratio>, Option<Ratio>)>,
}

/// The five files as text.
#[derive(Clone, Copy, Debug)]
pub struct TableTexts<'a> {
    /// `substances.csv`
    pub substances: &'a str,
    /// `classes.csv`
    pub classes: &'a str,
    /// `beta-toxic-gases.csv`
    pub toxic: &'a str,
    /// `alpha.csv`
    pub alpha: &'a str,
    /// `levels.csv`
    pub levels: &'a str,
}

/// The tables that this program carries.
pub const DELIVERED: TableTexts<'static> = TableTexts {
    substances: include_str!("../../../configs/rules/gb18218/substances.csv"),
    classes: include_str!("../../../configs/rules/gb18218/classes.csv"),
    toxic: include_str!("../../../configs/rules/gb18218/beta-toxic-gases.csv"),
    alpha: include_str!("../../../configs/rules/gb18218/alpha.csv"),
    levels: include_str!("../../../configs/rules/gb18218/levels.csv"),
};

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}, row {row}, {column} {value:?}: {must}")]
pub struct TableFault {
    /// The file.
    pub file: &'static str,
    /// Line, from 1.
    pub row: u64,
    /// Column.
    pub column: &'static str,
    /// What stands there.
    pub value: String,
    /// What it must be.
    pub must: &'static str,
}

impl Tables {
    /// Reads the five files.
    ///
    /// # Errors
    /// The first fault of each row of each file.
    pub fn parse(texts: &TableTexts<'_>) -> Result<Self, Vec<TableFault>> {
        let mut faults = Vec::new();
        let mut read =
            |file, text: &str, each: &mut dyn FnMut(&Cells<'_>) -> Result<(), TableFault>| {
                rows(file, text, each, &mut faults);
            };
        let (mut substances, mut classes, mut toxic) = (Vec::new(), Vec::new(), Vec::new());
        let (mut alpha, mut levels) = (Vec::new(), Vec::new());
        read("substances.csv", texts.substances, &mut |cells| {
            substances.push(substance(cells)?);
            Ok(())
        });
        read("classes.csv", texts.classes, &mut |cells| {
            classes.push(Class {
                symbol: cells.text("symbol")?,
                category: cells.text("category_zh")?,
                criteria: cells.text("criteria_zh")?,
                threshold: cells.ratio("Q_t")?,
                beta: cells.ratio("beta")?,
            });
            Ok(())
        });
        read("beta-toxic-gases.csv", texts.toxic, &mut |cells| {
            toxic.push((cells.text("name_zh")?, cells.ratio("beta")?));
            Ok(())
        });
        read("alpha.csv", texts.alpha, &mut |cells| {
            let people = |column| cells.maybe(column, |text| text.parse::<u64>().ok());
            let from =
                people("residents_min")?.ok_or_else(|| cells.fault("residents_min", EMPTY))?;
            alpha.push((from, people("residents_max")?, cells.ratio("alpha")?));
            Ok(())
        });
        read("levels.csv", texts.levels, &mut |cells| {
            let level = cells.maybe("level", |text| text.parse::<u8>().ok())?;
            let level = level.ok_or_else(|| cells.fault("level", EMPTY))?;
            let end = |column| cells.maybe(column, Ratio::parse);
            levels.push((level, end("R_min_inclusive")?, end("R_max_exclusive")?));
            Ok(())
        });
        if faults.is_empty() {
            Ok(Self { substances, classes, toxic, alpha, levels })
        } else {
            Err(faults)
        }
    }

    /// The class of a symbol, in either case.
    #[must_use]
    pub fn class(&self, symbol: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.symbol.eq_ignore_ascii_case(symbol))
    }

    /// The rows that a name, an alias, a CAS number or `#number` fits.
    #[must_use]
    pub fn find(&self, name: &str) -> Vec<&Substance> {
        let name = name.trim();
        if let Some(no) = name.strip_prefix('#') {
            return self.substances.iter().filter(|s| s.no.to_string() == no).collect();
        }
        let wanted = plain(name);
        let exact: Vec<&Substance> =
            self.substances.iter().filter(|s| plain(&s.name) == wanted).collect();
        if exact.is_empty() {
            self.substances.iter().filter(|s| s.is_called(&wanted)).collect()
        } else {
            exact
        }
    }

    /// Every name by which a row can be found, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.substances.iter().flat_map(|s| {
            std::iter::once(s.name.as_str()).chain(s.aliases.iter().map(String::as_str))
        });
        names.chain(self.toxic.iter().map(|(name, _)| name.as_str()))
    }
}

impl Substance {
    fn is_called(&self, wanted: &str) -> bool {
        self.aliases.iter().any(|alias| plain(alias) == wanted)
            || self.cas.iter().any(|cas| cas == wanted)
            || short_names(&self.name).iter().any(|short| short == wanted)
    }
}

/// `汽油(乙醇汽油、甲醇汽油)` is 汽油, `甲烷，天然气` is either. A bracket that limits the
/// content (`含量>90%`) is part of the name: another content is another matter.
fn short_names(name: &str) -> Vec<String> {
    let plain = plain(name);
    let head = match plain.split_once(['(', '[']) {
        Some((_, bracket)) if bracket.contains(['<', '>', '≤', '≥']) => return Vec::new(),
        Some((head, _)) => head,
        None => plain.as_str(),
    };
    // In `1,3-丁二烯` the comma joins digits.
    let parts = head.split('，').filter(|part| !part.is_empty()).map(str::to_owned);
    parts.collect()
}

/// Full-width signs as half-width ones, no blanks, small letters.
fn plain(text: &str) -> String {
    let plain = |letter: char| match letter {
        '（' => '(',
        '）' => ')',
        '－' | '—' => '-',
        '＜' => '<',
        '＞' => '>',
        other => other.to_ascii_lowercase(),
    };
    text.chars().filter(|letter| !letter.is_whitespace()).map(plain).collect()
}

const EMPTY: &str = "must not be empty";

struct Cells<'a> {
    file: &'static str,
    row: u64,
    heading: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
}

impl Cells<'_> {
    fn get(&self, column: &str) -> &str {
        let at = self.heading.iter().position(|name| name == column);
        at.and_then(|at| self.record.get(at)).unwrap_or("").trim()
    }

    fn fault(&self, column: &'static str, must: &'static str) -> TableFault {
        let value = self.get(column).to_owned();
        TableFault { file: self.file, row: self.row, column, value, must }
    }

    fn text(&self, column: &'static str) -> Result<String, TableFault> {
        match self.get(column) {
            "" => Err(self.fault(column, EMPTY)),
            text => Ok(text.to_owned()),
        }
    }

    fn maybe<T>(
        &self,
        column: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, TableFault> {
        match self.get(column) {
            "" => Ok(None),
            text => read(text).map(Some).ok_or_else(|| self.fault(column, "must be a number")),
        }
    }

    fn ratio(&self, column: &'static str) -> Result<Ratio, TableFault> {
        self.maybe(column, Ratio::parse)?.ok_or_else(|| self.fault(column, EMPTY))
    }
}

fn substance(cells: &Cells<'_>) -> Result<Substance, TableFault> {
    let list = |column| {
        let parts = cells.get(column).split(';').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let no = cells.maybe("no", |text| text.parse().ok())?;
    let threshold = cells.ratio("Q_t")?;
    if threshold == Ratio::ZERO {
        return Err(cells.fault("Q_t", "must be above 0"));
    }
    Ok(Substance {
        no: no.ok_or_else(|| cells.fault("no", EMPTY))?,
        name: cells.text("name_zh")?,
        aliases: list("alias_zh"),
        cas: list("cas"),
        threshold,
        beta: cells.maybe("beta", Ratio::parse)?,
    })
}

/// Every row needs its source and how sure it is, whatever else it holds.
fn rows(
    file: &'static str,
    text: &str,
    each: &mut dyn FnMut(&Cells<'_>) -> Result<(), TableFault>,
    faults: &mut Vec<TableFault>,
) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let unreadable = |row, value: String| TableFault {
        file,
        row,
        column: "",
        value,
        must: "must be readable as CSV, UTF-8",
    };
    let heading = match reader.headers() {
        Ok(heading) => heading.clone(),
        Err(fault) => return faults.push(unreadable(1, fault.to_string())),
    };
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(fault) => {
                faults.push(unreadable(0, fault.to_string()));
                continue;
            }
        };
        let row = record.position().map_or(0, csv::Position::line);
        let cells = Cells { file, row, heading: &heading, record: &record };
        let read = cells.text("source").and_then(|_| cells.text("confidence"));
        if let Err(fault) = read.and_then(|_| each(&cells)) {
            faults.push(fault);
        }
    }
}
