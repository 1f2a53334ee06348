//! The remembered head: `alarms.head` beside `alarms.db`.
//!
//! - One line of fixed length, `seq hash`, written in place after each commit and never before:
//!   so it can be behind the journal, never ahead of it, and being ahead proves a cut.
//! - Not synced: after a power cut it may be a few rows old, which only shortens what it proves.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Twenty digits, a space, 64 hex digits, a newline.
const LENGTH: usize = 86;

/// A row's place and hash. All zero before the first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Head {
    /// Its place in the journal.
    pub seq: u64,
    /// Its hash, which covers everything before it.
    pub hash: [u8; 32],
}

impl Head {
    /// As one line: seq and hash in hex.
    #[must_use]
    pub fn to_line(self) -> String {
        let hash: String = self.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:020} {hash}", self.seq)
    }

    /// Reads such a line.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let (seq, hex) = line.trim_end().split_once(' ')?;
        let mut hash = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        Some(Self { seq: seq.parse().ok()?, hash })
    }
}

/// What the side file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remembered {
    /// There is none: a first start, or somebody removed it.
    Nothing,
    /// It is there and says nothing that can be read.
    Unreadable,
    Head(Head),
}

/// Where the side file of a journal lies.
pub(super) fn beside(journal: &Path) -> PathBuf {
    journal.with_extension("head")
}

pub(super) fn read(path: &Path) -> Remembered {
    match std::fs::read_to_string(path) {
        Ok(text) => Head::from_line(&text).map_or(Remembered::Unreadable, Remembered::Head),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Remembered::Nothing,
        Err(_) => Remembered::Unreadable,
    }
}

/// Opens the side file for writing in place; makes it, durably, if there is none.
pub(super) fn open(path: &Path, head: Head) -> std::io::Result<File> {
    if !path.exists() {
        let mut file = File::create_new(path)?;
        file.write_all(line(head).as_bytes())?;
        file.sync_all()?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
    }
    File::options().write(true).open(path)
}

pub(super) fn write(file: &File, head: Head) -> std::io::Result<()> {
    file.write_all_at(line(head).as_bytes(), 0)
}

fn line(head: Head) -> String {
    let line = format!("{}\n", head.to_line());
    debug_assert_eq!(line.len(), LENGTH, "the line is written in place");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_what_it_wrote_and_refuses_the_rest() {
        let head =
            Head { seq: u64::MAX, hash: std::array::from_fn(|i| u8::try_from(i * 7).unwrap()) };
        assert_eq!(Head::from_line(&line(head)), Some(head));
        for bad in ["", "5", "5 zz", "x 00", &head.to_line()[..40]] {
            assert_eq!(Head::from_line(bad), None, "{bad}");
        }
    }
}
