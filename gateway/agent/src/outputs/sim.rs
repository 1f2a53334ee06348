//! An output that is a file: `1` or `0`. For demonstrations and tests; nothing sounds.
//!
//! - A folder that is a link is refused: the file would be written where somebody else's may lie.
//!   The file itself is replaced, and never what a link of its name leads to.
//! - A file `<name>.readback` beside it, where there is one, is what the read-back says.

use std::fs;
use std::path::{Path, PathBuf};

use super::drive::{Drive, DriveFault};
use crate::fresh::{self, Kept};

/// One file.
pub(super) struct Sim {
    file: PathBuf,
}

impl Sim {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file }
    }
}

impl Drive for Sim {
    fn set(&mut self, energised: bool) -> Result<(), DriveFault> {
        self.file.parent().map_or(Ok(()), folder)?;
        let text = if energised { "1\n" } else { "0\n" };
        fresh::replace(&self.file, text.as_bytes(), Kept::Shown)
            .map_err(|fault| missing(&self.file, &fault))
    }

    fn read(&mut self) -> Result<Option<bool>, DriveFault> {
        let said = fs::read_to_string(self.file.with_extension("readback"));
        Ok(said.ok().map(|text| text.trim() == "1"))
    }
}

/// Makes the folder where there is none.
fn folder(folder: &Path) -> Result<(), DriveFault> {
    if fs::symlink_metadata(folder).is_ok_and(|found| found.is_symlink()) {
        return Err(DriveFault::Refused(format!(
            "{}：是符号链接，输出不写到链接指向的地方；请删除该链接  |  is a symbolic link, and outputs \
             are not written to where it leads; remove the link",
            folder.display()
        )));
    }
    fs::create_dir_all(folder).map_err(|fault| missing(folder, &fault))
}

fn missing(path: &Path, fault: &std::io::Error) -> DriveFault {
    DriveFault::Missing(format!("{}: {fault}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_in_the_place_of_the_folder_or_of_a_file_destroys_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (foreign, data) = (folder.path().join("foreign"), folder.path().join("data"));
        fs::create_dir(&foreign).unwrap();
        fs::create_dir(&data).unwrap();
        let victim = foreign.join("siren");
        fs::write(&victim, "mine").unwrap();
        symlink(&foreign, data.join("outputs")).unwrap();
        let mut sim = Sim::new(data.join("outputs").join("siren"));
        let refused = sim.set(true);
        assert!(
            matches!(&refused, Err(DriveFault::Refused(why)) if why.contains("outputs：是符号链接")),
            "{refused:?}"
        );
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
        fs::remove_file(data.join("outputs")).unwrap();
        fs::create_dir(data.join("outputs")).unwrap();
        for name in ["siren", "siren.new"] {
            symlink(&victim, data.join("outputs").join(name)).unwrap();
        }
        assert_eq!(sim.set(true), Ok(()));
        assert_eq!(fs::read_to_string(data.join("outputs").join("siren")).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    }
}
