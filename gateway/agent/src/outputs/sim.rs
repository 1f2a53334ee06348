//! An output that is a file: `1` or `0`. For demonstrations and tests; nothing sounds.
//!
//! - A file `<name>.readback` beside it, where there is one, is what the read-back says.

use std::fs;
use std::path::PathBuf;

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
        let folder = self.file.parent().map_or(Ok(()), fs::create_dir_all);
        let text = if energised { "1\n" } else { "0\n" };
        folder
            .and_then(|()| fresh::replace(&self.file, text.as_bytes(), Kept::Shown))
            .map_err(|fault| DriveFault::Missing(format!("{}: {fault}", self.file.display())))
    }

    fn read(&mut self) -> Result<Option<bool>, DriveFault> {
        let said = fs::read_to_string(self.file.with_extension("readback"));
        Ok(said.ok().map(|text| text.trim() == "1"))
    }
}
