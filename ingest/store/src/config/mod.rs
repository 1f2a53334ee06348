//! The catalogue database: `config.db`. People stand in it too, see [`crate::User`].
//!
//! - A point's number is given once for (gateway, tag) and never to another, whatever catalogue
//!   names it: stored series depend on it.
//! - Catalogues are kept as the bytes that were hashed, every revision of them.

mod sql;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};

use crate::StoreError;
use crate::error::database;
use crate::model::POINT_MAX;
use crate::sqlite::{Readers, Settled, open_writer, settle};

/// A catalogue revision: gateway, revision, bytes, and whether it is the current one.
pub type Catalogued = (String, u64, Vec<u8>, bool);

/// The point registry and the catalogues.
pub struct ConfigDb {
    pub(crate) path: PathBuf,
    pub(crate) readers: Readers,
    // Rare and short: a birth registers, a start reads. A thread of its own would only wait.
    conn: Mutex<Connection>,
}

impl ConfigDb {
    /// Opens, or makes, the file.
    ///
    /// # Errors
    /// The file cannot be used, or another version made it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let conn = open_writer(path, sql::PAGE_SIZE)?;
        match settle(&conn).map_err(database("bring the log home", path))? {
            Settled::Whole => {}
            Settled::HeldOpen => tracing::warn!("another program reads config.db"),
        }
        sql::create(&conn).map_err(database("make the tables", path))?;
        crate::accounts::create(&conn).map_err(database("make the tables", path))?;
        crate::limits::create(&conn).map_err(database("make the tables of limits", path))?;
        let found = sql::format(&conn).map_err(database("read its format", path))?;
        if found != sql::FORMAT {
            return Err(StoreError::Format {
                path: path.to_owned(),
                key: "format",
                found: found.to_string(),
                wanted: sql::FORMAT.to_string(),
            });
        }
        Ok(Self { path: path.to_owned(), readers: Readers::new(path), conn: Mutex::new(conn) })
    }

    /// Keeps a catalogue, makes it the gateway's current one, and gives each of its tags its
    /// number: the known one, or a new one. All of it is one transaction.
    ///
    /// # Errors
    /// The file cannot be written, or no number is left.
    pub fn register(
        &self,
        gateway: &str,
        catalogue_revision: u64,
        catalogue_bytes: &[u8],
        tags: &[&str],
    ) -> Result<Vec<u32>, StoreError> {
        let mut conn = self.conn();
        let mut work = || {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            sql::put_catalogue(&tx, gateway, catalogue_revision, catalogue_bytes)?;
            let mut ids = Vec::with_capacity(tags.len());
            for tag in tags {
                match u32::try_from(sql::point(&tx, gateway, tag)?) {
                    Ok(id) if id <= POINT_MAX => ids.push(id),
                    Ok(_) | Err(_) => return Ok(None),
                }
            }
            tx.commit()?;
            Ok(Some(ids))
        };
        let ids = work().map_err(database("register a catalogue", &self.path))?;
        ids.ok_or(StoreError::RegistryFull)
    }

    /// Every point that has a number: number, gateway, tag.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn points(&self) -> Result<Vec<(u32, String, String)>, StoreError> {
        sql::points(&self.conn()).map_err(database("read the points", &self.path))
    }

    /// New points get numbers above this one: a series store holds samples up to it, which are of
    /// others wherever this file was lost or put back.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn number_points_above(&self, highest: u32) -> Result<(), StoreError> {
        sql::number_above(&self.conn(), highest)
            .map_err(database("keep the numbers of points", &self.path))
    }

    /// Every catalogue that was ever registered.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn catalogues(&self) -> Result<Vec<Catalogued>, StoreError> {
        sql::catalogues(&self.conn()).map_err(database("read the catalogues", &self.path))
    }

    /// Remembers by which limits a gateway says that it judges, and why it refused the last ones
    /// that it was sent (empty: it did not).
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remember_running(
        &self,
        gateway: &str,
        limits: u64,
        fault: &str,
    ) -> Result<(), StoreError> {
        sql::put_running(&self.conn(), gateway, limits, fault)
            .map_err(database("remember a gateway's limits", &self.path))
    }

    /// What was remembered: gateway, revision of its limits, why it refused others.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn running(&self) -> Result<Vec<(String, u64, String)>, StoreError> {
        sql::running(&self.conn()).map_err(database("read the gateways' limits", &self.path))
    }

    /// Work of the other tables of this file.
    pub(crate) fn with<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        work(&mut self.conn()).map_err(database(doing, &self.path))
    }

    pub(crate) fn conn(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_whose_history_is_stored_goes_to_no_new_point() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.db");
        let config = ConfigDb::open(&path).unwrap();
        config.number_points_above(7).unwrap();
        assert_eq!(config.register("GW-02", 1, b"", &["A"]).unwrap(), [8]);
        // What is given already stands, and numbers never go back.
        config.number_points_above(3).unwrap();
        drop(config);
        let config = ConfigDb::open(&path).unwrap();
        assert_eq!(config.register("GW-02", 1, b"", &["A", "B"]).unwrap(), [8, 9]);
        config.number_points_above(20).unwrap();
        assert_eq!(config.register("GW-02", 1, b"", &["B", "C"]).unwrap(), [9, 21]);
    }

    #[test]
    fn a_tag_keeps_its_number_over_revisions_and_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.db");
        let config = ConfigDb::open(&path).unwrap();
        let first = config.register("GW-01", 7, b"one", &["TK-101.LT", "TK-101.TT"]).unwrap();
        let other = config.register("GW-02", 9, b"two", &["TK-101.LT"]).unwrap();
        assert!(!first.contains(&other[0]), "the same tag of another gateway is another point");
        drop(config);

        let config = ConfigDb::open(&path).unwrap();
        let tags = ["TK-102.LT", "TK-101.TT", "TK-101.LT"];
        let second = config.register("GW-01", u64::MAX, b"three", &tags).unwrap();
        assert_eq!(&second[1..], [first[1], first[0]]);
        assert_eq!(config.points().unwrap().len(), 4);
        let catalogues = config.catalogues().unwrap();
        assert_eq!(
            catalogues,
            [
                ("GW-01".into(), 7, b"one".to_vec(), false),
                ("GW-01".into(), u64::MAX, b"three".to_vec(), true),
                ("GW-02".into(), 9, b"two".to_vec(), true),
            ]
        );
        config.remember_running("GW-01", 3, "").unwrap();
        config.remember_running("GW-01", u64::MAX, "签名无效").unwrap();
        assert_eq!(config.running().unwrap(), [("GW-01".into(), u64::MAX, "签名无效".into())]);
        config.register("GW-01", 7, b"one", &["TK-101.LT"]).unwrap();
        assert!(config.catalogues().unwrap()[0].3, "going back is a registration as well");
    }
}
