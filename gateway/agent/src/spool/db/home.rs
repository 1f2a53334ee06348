//! The file under its name: somebody may delete, move or replace it while it is open.
//!
//! - What is written then goes into a file that nobody finds at the next start. The open file still
//!   has everything, so a copy of it is laid down under the name; whatever lies there is set aside.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fengsui_telemetry::TimeMs;
use rusqlite::Connection;

use super::super::SpoolFault;
use super::file::connect;
use super::{Db, FILE, heal};

/// A file by its device and number.
pub(super) type Inode = (u64, u64);

/// Which file lies under the name; nothing is opened, for that would end the locks of this process.
pub(super) fn inode(folder: &Path) -> Option<Inode> {
    fs::metadata(folder.join(FILE)).ok().map(|found| (found.dev(), found.ino()))
}

impl Db {
    /// True where the open file is the one that the next start will find.
    pub(in crate::spool) fn is_home(&self) -> bool {
        self.lock.is_none() || inode(&self.folder) == self.inode
    }

    /// Lays the open file down under its name once more.
    ///
    /// # Errors
    /// It cannot be read or written; the spool is then as it was.
    pub(in crate::spool) fn lay_down(&mut self, now: TimeMs) -> Result<(), SpoolFault> {
        let (path, new) = (self.folder.join(FILE), self.folder.join(heal::NEW_FILE));
        let of = |path: &PathBuf| {
            let path = path.clone();
            move |fault| SpoolFault::File(path, fault)
        };
        heal::clear_new(&self.folder)?;
        self.sql.execute("VACUUM INTO ?1", [new.to_string_lossy()])?;
        File::open(&new).and_then(|file| file.sync_all()).map_err(of(&new))?;
        heal::set_aside(&self.folder, now)?;
        // The old handle deletes its log by name when it goes.
        self.sql = Connection::open_in_memory()?;
        fs::rename(&new, &path).map_err(of(&path))?;
        self.sql = connect(&path)?;
        self.inode = inode(&self.folder);
        self.load()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, append, catalogue, scan};
    use super::*;
    use tempfile::TempDir;

    fn filled(folder: &Path) -> Db {
        let mut db = Db::open(folder, NOW).unwrap();
        db.use_catalogue(&catalogue("A")).unwrap();
        for number in 0..50 {
            append(&mut db, &[scan(number)]);
        }
        db
    }

    #[test]
    fn a_spool_that_is_deleted_moved_or_replaced_lies_under_its_name_again_with_everything() {
        for what in ["deleted", "moved", "replaced"] {
            let folder = TempDir::new().unwrap();
            let mut db = filled(folder.path());
            assert!(db.is_home(), "{what}");
            let (epoch, next) = (db.epoch, db.next);
            for suffix in ["", "-wal", "-shm"] {
                let file = folder.path().join(format!("{FILE}{suffix}"));
                match what {
                    "moved" => fs::rename(&file, file.with_extension("gone")).unwrap(),
                    _ => fs::remove_file(&file).unwrap(),
                }
            }
            if what == "replaced" {
                fs::write(folder.path().join(FILE), b"another").unwrap();
            }
            assert!(!db.is_home(), "{what}");
            append(&mut db, &[scan(50)]);
            db.lay_down(NOW).unwrap();
            assert!(db.is_home(), "{what}");
            append(&mut db, &[scan(51)]);
            drop(db);
            let mut again = Db::open(folder.path(), NOW).unwrap();
            assert_eq!((again.epoch, again.next), (epoch, next + 2), "{what}");
            let whole = again.read(0, again.next, 1 << 20).unwrap().unwrap();
            assert_eq!(whole.sealed.len(), 52, "{what}");
        }
    }
}
