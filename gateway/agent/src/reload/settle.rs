//! Which files a gateway is told by, and whether they have changed and stand still.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::config::revision_of;
use crate::spreadsheet;

/// One file as last seen; none where it cannot be read.
type Seen = Option<(SystemTime, u64, u64)>;

/// All files as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Print(Vec<(PathBuf, Seen)>);

impl Print {
    /// Looks at the files: time, size, and the head of the SHA-256 of what they hold.
    pub(super) fn of(files: &[PathBuf]) -> Self {
        let seen = |path: &PathBuf| {
            let about = fs::metadata(path).ok()?;
            let hash = revision_of(&spreadsheet::bytes(path).ok()?).0;
            Some((about.modified().ok()?, about.len(), hash))
        };
        Self(files.iter().map(|path| (path.clone(), seen(path))).collect())
    }

    /// The same contents, whoever touched them when.
    fn holds_the_same(&self, other: &Self) -> bool {
        let contents = |all: &Self| {
            all.0.iter().map(|(path, seen)| (path.clone(), seen.map(|s| s.2))).collect()
        };
        let (own, others): (Vec<_>, Vec<_>) = (contents(self), contents(other));
        own == others
    }
}

/// Says when changed files have stood still from one look to the next.
#[derive(Debug)]
pub(super) struct Settling {
    /// What was acted on last.
    acted: Print,
    last: Print,
}

impl Settling {
    pub(super) fn new(print: Print) -> Self {
        Self { acted: print.clone(), last: print }
    }

    /// True once for each change that has settled.
    pub(super) fn look(&mut self, now: Print) -> bool {
        let still = self.last == now;
        let news = !self.acted.holds_the_same(&now);
        self.last = now;
        if still && news {
            self.acted = self.last.clone();
        }
        still && news
    }

    /// What was seen last is acted on now, without waiting.
    pub(super) fn settle(&mut self) {
        self.acted = self.last.clone();
    }

    /// What was acted on had changed meanwhile.
    pub(super) fn unsettle(&mut self) {
        self.acted = Print(Vec::new());
    }
}

/// The gateway's file and what it names, as far as that can be read now; what was known before
/// stays where it cannot. In the site file every text that names a file counts.
pub(super) fn files(path: &Path, before: &[PathBuf]) -> Vec<PathBuf> {
    let named = || {
        let own = fs::read_to_string(path).ok()?.parse::<toml::Table>().ok()?;
        let site = path.parent()?.join(own.get("site")?.as_str()?);
        let text = fs::read_to_string(&site).ok()?.parse::<toml::Table>().ok()?;
        let base = site.parent()?.to_owned();
        let mut files = vec![path.to_owned(), site];
        texts(&toml::Value::Table(text), &mut |name| {
            let file = base.join(name);
            if !files.contains(&file) && file.is_file() {
                files.push(file);
            }
        });
        Some(files)
    };
    let known = if before.is_empty() { vec![path.to_owned()] } else { before.to_vec() };
    named().unwrap_or(known)
}

fn texts(value: &toml::Value, each: &mut dyn FnMut(&str)) {
    if let Some(text) = value.as_str() {
        each(text);
    }
    let table = value.as_table().into_iter().flat_map(|table| table.values());
    let list = value.as_array().into_iter().flatten();
    table.chain(list).for_each(|inner| texts(inner, each));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(time: u64, contents: u64) -> Print {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(time);
        Print(vec![(PathBuf::from("points.csv"), Some((at, 10, contents)))])
    }

    #[test]
    fn a_change_counts_once_it_stands_still() {
        let mut settling = Settling::new(print(1, 1));
        for (now, acts) in [
            (print(1, 1), false),
            (print(2, 2), false),
            (print(3, 3), false),
            (print(3, 3), true),
            (print(3, 3), false),
            // Touched, and put back: nothing to do.
            (print(9, 3), false),
            (print(9, 3), false),
            (print(10, 4), false),
            (print(11, 3), false),
            (print(11, 3), false),
        ] {
            assert_eq!(settling.look(now.clone()), acts, "{now:?}");
        }
        settling.unsettle();
        assert!(settling.look(print(11, 3)));
    }

    #[test]
    fn the_files_of_a_gateway_are_found_and_remembered() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("gateway.toml"), "site = 'site.toml'\ndata = 'd'\n").unwrap();
        let site = "[site]\ngateway = 'GW'\npoints = 'points.csv'\n\
                    [[device]]\nprofile = 'gas.toml'\nname = 'gas'\n";
        fs::write(at("site.toml"), site).unwrap();
        fs::write(at("points.csv"), "").unwrap();
        fs::write(at("gas.toml"), "").unwrap();
        let mut found = files(&at("gateway.toml"), &[]);
        found.sort();
        assert_eq!(found, ["gas.toml", "gateway.toml", "points.csv", "site.toml"].map(at));
        fs::write(at("site.toml"), "[site\n").unwrap();
        assert_eq!(files(&at("gateway.toml"), &found), found);
        assert!(Print::of(&found) == Print::of(&found));
        assert!(files(&at("nowhere.toml"), &[]) == [at("nowhere.toml")]);
    }
}
