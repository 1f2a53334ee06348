//! Whose the spool's files are, before one is opened.
//!
//! - A file that is a link is refused: whoever may write into the folder would let this program
//!   write anywhere. The folder itself, or one above it, may be a link, and anything a mount.
//! - A folder that others can change is used, since a gateway must watch, and said.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tracing::warn;

use super::{FILE, RESERVE_FILE};
use crate::spool::SpoolFault;

/// Write permission for everybody.
const OTHERS_WRITE: u32 = 0o002;

/// Looks at a folder in which the spool is to be opened.
pub(super) fn look(folder: &Path) -> Result<(), SpoolFault> {
    for name in [FILE, "spool.db-wal", "spool.db-shm", "lock", RESERVE_FILE] {
        let path = folder.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(SpoolFault::Linked(path));
        }
    }
    let Ok(found) = fs::metadata(folder) else { return Ok(()) };
    let folder = folder.display();
    if found.mode() & OTHERS_WRITE != 0 {
        warn!(%folder, "任何用户都能改缓存目录；请执行 chmod o-w  |  everybody may change the spool's folder; chmod o-w");
    }
    // The owner of this program's entry is the user that it runs as.
    let user = fs::metadata("/proc/self").map(|own| own.uid());
    if user.is_ok_and(|user| user != found.uid()) {
        let owner = found.uid();
        warn!(%folder, owner, "缓存目录属于别的用户；请执行 chown  |  the spool's folder belongs to another user; chown it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Db;
    use super::*;
    use fengsui_telemetry::TimeMs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_in_the_place_of_a_file_is_refused_by_name_and_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        for name in [FILE, "spool.db-wal", "lock"] {
            let victim = folder.path().join(format!("victim-{name}"));
            symlink(&victim, data.join(name)).unwrap();
            let fault = Db::open(&data, TimeMs(0)).unwrap_err().to_string();
            assert!(fault.contains(name) && fault.contains("符号链接"), "{fault}");
            assert!(!victim.exists(), "{name}");
            fs::remove_file(data.join(name)).unwrap();
        }
    }

    #[test]
    fn a_folder_that_is_reached_through_a_link_is_as_good_as_any() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("disk")).unwrap();
        let data = folder.path().join("data");
        symlink(folder.path().join("disk"), &data).unwrap();
        drop(Db::open(&data, TimeMs(0)).unwrap());
        assert!(folder.path().join("disk").join(FILE).exists());
    }
}
