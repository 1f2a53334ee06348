//! What can go wrong, in words that say what to do.
//!
//! - Every error is `Clone`: one failed group commit answers many callers.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why the store could not do what was asked.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The folder or file cannot be made or opened.
    #[error("cannot open {path}: {source}. Check that the folder exists, that this user may write there and that the disk is not full", path = path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// Another process writes there.
    #[error("{path} is in use by another fengsui process. Stop that one first, or give this one its own data folder", path = path.display())]
    InUse {
        /// Which folder.
        path: PathBuf,
    },
    /// Made by another version, or with other settings.
    #[error("{path} has {key} = {found}, this program needs {wanted}. Start the version that made it, or set the option back; nothing was changed", path = path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Which entry of `meta`.
        key: &'static str,
        /// What the file says.
        found: String,
        /// What this program would write.
        wanted: String,
    },
    /// An option that the store cannot work with.
    #[error("option {name} = {value} is not possible: {why}")]
    Option {
        /// Which option.
        name: &'static str,
        /// Its value.
        value: i64,
        /// What it must be.
        why: &'static str,
    },
    /// SQLite refused.
    #[error("could not {doing} in {path}: {source}. Nothing of it was acknowledged; check free space and the disk's health, the store reopens the file by itself", path = path.display())]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// The write-ahead log could not be brought home after a failure.
    #[error("{path} failed before and its log is not yet safe on disk. Nothing is acknowledged until it is; check free space and the disk's health", path = path.display())]
    NotSettled {
        /// Which file.
        path: PathBuf,
    },
    /// A point number that the registry cannot have given.
    #[error("point {point} is above {max}. Point numbers come from ConfigDb::register; nothing of this intake was stored", max = crate::model::POINT_MAX)]
    PointNumber {
        /// The number.
        point: u32,
    },
    /// The registry is full.
    #[error("the point registry holds {max} points and is full. Remove gateways that are no longer used from config.db", max = crate::model::POINT_MAX)]
    RegistryFull,
    /// A stored engine snapshot does not match its checksum.
    #[error("the engine snapshot in {path} is damaged. Start without it: the journals hold everything, the start only takes longer", path = path.display())]
    SnapshotDamaged {
        /// Which file.
        path: PathBuf,
    },
    /// A snapshot holds what its rows did, and the newest rows are not recorded.
    #[error("the newest rows of {path} are not recorded, so a snapshot that holds what they did would lose them. Offer the rows again, then the snapshot", path = path.display())]
    RowsOwed {
        /// Which file.
        path: PathBuf,
    },
    /// The writer thread has ended.
    #[error("the writer of {path} has stopped. Restart the process and look for the error logged before this one", path = path.display())]
    Stopped {
        /// Which file.
        path: PathBuf,
    },
}

impl StoreError {
    /// True where the disk takes no more: it is full, fails or became read-only. What is stored can
    /// often still be read.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        use rusqlite::ErrorCode::{DiskFull, ReadOnly, SystemIoFailure};
        let Self::Database { source, .. } = self else { return false };
        matches!(source.sqlite_error_code(), Some(DiskFull | ReadOnly | SystemIoFailure))
    }
}

/// The bounded queue has no room, or its writer has stopped: nothing was taken. Give no
/// acknowledgement and offer it again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the store's queue is full. Acknowledge nothing and offer it again later")]
pub struct Full;

/// Turns what SQLite said into a [`StoreError`] that names the deed and the file.
pub(crate) fn database(
    doing: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Database { doing, path, source: Arc::new(source) }
}

/// Turns what the system said into a [`StoreError`] that names the file.
pub(crate) fn opening(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Open { path, source: Arc::new(source) }
}
