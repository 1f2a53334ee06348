//! Small files that are replaced as a whole: readers see the old one or the new one.
//!
//! - The new one is made beside the old one, and never through a link that somebody laid in its
//!   place: what lies there is removed, and the file is made only where there is none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// A new, empty file; what had its name is gone, and not what a link of that name led to.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(fault) if fault.kind() == ErrorKind::NotFound => {}
        Err(fault) => return Err(fault),
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Puts this in the place of a file. On disk before it returns only where `Durable` asks for it.
pub(crate) fn replace(path: &Path, bytes: &[u8], kept: Kept) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut file = create(beside)?;
    file.write_all(bytes)?;
    match kept {
        Kept::Durable => file.sync_all()?,
        Kept::Shown => {}
    }
    drop(file);
    fs::rename(beside, path)
}

/// How long it must last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Over a power cut.
    Durable,
    /// It shows a state that the next start writes anew.
    Shown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_in_the_place_of_the_new_file_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "mine").unwrap();
        for kept in [Kept::Shown, Kept::Durable] {
            symlink(at("victim"), at("siren.json.new")).unwrap();
            replace(&at("siren.json"), b"{}", kept).unwrap();
            assert_eq!(fs::read_to_string(at("siren.json")).unwrap(), "{}");
            assert_eq!(fs::read_to_string(at("victim")).unwrap(), "mine");
            assert!(!fs::symlink_metadata(at("siren.json")).unwrap().is_symlink());
        }
        // A half of a former try is no hindrance.
        fs::write(at("siren.json.new"), "half").unwrap();
        replace(&at("siren.json"), b"[]", Kept::Shown).unwrap();
        assert_eq!(fs::read_to_string(at("siren.json")).unwrap(), "[]");
    }
}
