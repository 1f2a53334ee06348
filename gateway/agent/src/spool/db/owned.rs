//! Whose the spool's files are, before one is opened.
//!
//! - A file that is a link is refused: whoever may write into the folder would let this program
//!   write anywhere. The folder itself, or one above it, may be a link, and anything a mount.
//! - What is no file, a pipe for instance, is never opened.
//! - A folder that others can change is used, since a gateway must watch, and said.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tracing::warn;

use super::heal::NEW_FILE;
use super::{FILE, RESERVE_FILE};
use crate::spool::SpoolFault;

/// Write permission for everybody.
const OTHERS_WRITE: u32 = 0o002;

/// A database and what SQLite makes beside it: <https://www.sqlite.org/tempfiles.html>.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Refuses what is neither a file nor a folder: a pipe would be waited for without end.
pub(super) fn holds_still(found: &Metadata) -> io::Result<()> {
    if found.is_file() || found.is_dir() {
        return Ok(());
    }
    Err(io::Error::other("是管道或设备，请移走  |  is a pipe or a device; move it away"))
}

/// Looks at a folder in which the spool is to be opened.
pub(super) fn look(folder: &Path) -> Result<(), SpoolFault> {
    let databases = [FILE, NEW_FILE].into_iter();
    let ours = databases.flat_map(|name| BESIDE.map(|suffix| format!("{name}{suffix}")));
    for name in ours.chain(["lock".to_owned(), RESERVE_FILE.to_owned()]) {
        let path = folder.join(name);
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_symlink() {
            return Err(SpoolFault::Linked(path));
        }
        holds_still(&found).map_err(|fault| SpoolFault::File(path, fault))?;
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
    use super::super::outside::Outside;
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

    /// Nobody writes to it or reads it: to open it would be to wait for ever.
    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        for name in [FILE, "spool.db-wal", "lock", RESERVE_FILE] {
            let pipe = folder.path().join(name);
            let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
            assert!(made.success(), "{name}");
            let fault = Db::open(folder.path(), TimeMs(0)).unwrap_err().to_string();
            assert!(fault.contains(name) && fault.contains("管道"), "{fault}");
            if name == FILE {
                let fault = Outside::open(folder.path()).map(drop).unwrap_err();
                assert!(format!("{fault:#}").contains("管道"), "{fault:#}");
            }
            fs::remove_file(pipe).unwrap();
        }
        Db::open(folder.path(), TimeMs(0)).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_a_new_file_destroys_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let victim = folder.path().join("victim");
        for name in [NEW_FILE, "spool-new.db-wal", "spool-new.db-shm", "spool-new.db-journal"] {
            // With no spool beside it, a new file is taken for one that was healed.
            fs::write(&victim, "mine").unwrap();
            symlink(&victim, data.join(name)).unwrap();
            let fault = Db::open(&data, TimeMs(0)).unwrap_err().to_string();
            assert!(fault.contains(name) && fault.contains("符号链接"), "{fault}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "mine", "{name}");
            fs::remove_file(data.join(name)).unwrap();
        }
        drop(Db::open(&data, TimeMs(0)).unwrap());
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
