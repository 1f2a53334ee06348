//! Whether the files that a gateway is told by have changed and stand still.

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

    /// What was read of a file is still what it holds; none: it could not be read.
    pub(super) fn holds(&self, path: &Path, read: Option<&[u8]>) -> bool {
        let seen = self.0.iter().find(|(file, _)| file == path).and_then(|(_, seen)| *seen);
        seen.map(|(_, _, hash)| hash) == read.map(|bytes| revision_of(bytes).0)
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

    /// This is acted on, without waiting.
    pub(super) fn settle(&mut self, now: Print) {
        (self.acted, self.last) = (now.clone(), now);
    }

    /// What was acted on had changed meanwhile.
    pub(super) fn unsettle(&mut self) {
        self.acted = Print(Vec::new());
    }
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
}
