//! Whose spool this is: records go out under the name of the gateway that sends them, so a file of
//! another one must not be taken for one's own.
//!
//! - A file that says nothing, as earlier versions made them, belongs to whoever opens it.
//! - One of another gateway is set aside whole, and a new one is begun. Nothing of it is deleted:
//!   under its own name its records can still be sent.

use std::fs;
use std::path::PathBuf;

use fengsui_telemetry::{GatewayId, Offset, Revision, TimeMs};
use rusqlite::{Connection, OptionalExtension, params};
use tracing::{error, warn};

use super::file::connect;
use super::standing::snapshot_crc;
use super::{Db, FILE, Snapshot, home};
use crate::spool::SpoolFault;

/// Its row beside the saved state of the engine, which is row 1 and sealed the same way.
const ROW: i64 = 2;
const COVERS: Offset = 0;
const LIMITS: Revision = Revision(0);

/// Who it belongs to; none where that is not said, or damaged.
pub(super) fn read(sql: &Connection) -> rusqlite::Result<Option<GatewayId>> {
    let row = sql
        .query_row("SELECT bytes, crc FROM snapshot WHERE id = ?1", [ROW], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    let whole = row.filter(|(bytes, crc)| i64::from(sealed(bytes)) == *crc);
    let name = whole.and_then(|(bytes, _)| String::from_utf8(bytes).ok());
    Ok(name.and_then(|name| GatewayId::parse(&name).ok()))
}

pub(super) fn write(sql: &Connection, owner: &GatewayId) -> rusqlite::Result<()> {
    let bytes = owner.as_str().as_bytes();
    sql.execute(
        "INSERT OR REPLACE INTO snapshot (id, covers, limits, bytes, crc) VALUES (?1, 0, 0, ?2, ?3)",
        params![ROW, bytes, sealed(bytes)],
    )
    .map(|_| ())
}

fn sealed(bytes: &[u8]) -> u32 {
    snapshot_crc(&Snapshot { covers: COVERS, limits: LIMITS, bytes: bytes.to_vec() })
}

impl Db {
    /// Takes it for this gateway. Where it is another's, that one is set aside, and this is new.
    ///
    /// # Errors
    /// It can be neither read nor set aside.
    pub(in crate::spool) fn claim(
        &mut self,
        gateway: &GatewayId,
        now: TimeMs,
    ) -> Result<(), SpoolFault> {
        // What is damaged here is healed where it is met.
        match read(&self.sql).unwrap_or(None) {
            Some(owner) if owner == *gateway => {}
            Some(owner) => self.leave(&owner, gateway, now)?,
            None => {
                if let Err(fault) = write(&self.sql, gateway) {
                    warn!(%fault, "the spool does not say whose it is");
                }
            }
        }
        self.owner = Some(gateway.clone());
        Ok(())
    }

    fn leave(
        &mut self,
        owner: &GatewayId,
        gateway: &GatewayId,
        now: TimeMs,
    ) -> Result<(), SpoolFault> {
        // All of it into the one file that is renamed.
        let busy: i64 =
            self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            return Err(SpoolFault::Implausible("of another gateway, and some program reads it"));
        }
        self.sql = Connection::open_in_memory()?;
        let path = self.folder.join(FILE);
        let aside = self.folder.join(format!("spool-of-{}-{now}.db", owner.as_str()));
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(PathBuf::from(format!("{}{suffix}", path.display()))).ok();
        }
        fs::rename(&path, &aside).map_err(|fault| SpoolFault::File(path.clone(), fault))?;
        self.sql = connect(&path)?;
        self.inode = home::inode(&self.folder);
        write(&self.sql, gateway)?;
        self.load()?;
        error!(
            file = %aside.display(),
            "缓存属于网关 {owner}，本网关是 {gateway}：已原样移到一旁，另起新缓存。若是改了名，想把旧记录发出去，\
             请停网关，恢复原名，把该文件改回 spool.db 再启动；不需要即可删除 / the spool is that of \
             gateway {owner}, and this one is {gateway}: it is set aside as it was, and a new one is \
             begun. Was it renamed? To send what the old one still holds, stop the gateway, give it \
             its old name, call the file spool.db and start it. Delete it where nobody needs it"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::heal;
    use super::super::tests::{NOW, append, catalogue, scan};
    use super::*;
    use tempfile::TempDir;

    fn id(name: &str) -> GatewayId {
        GatewayId::parse(name).unwrap()
    }

    fn open(folder: &TempDir, name: &str) -> Db {
        let mut db = Db::open(folder.path(), NOW).unwrap();
        db.claim(&id(name), NOW).unwrap();
        db.use_catalogue(&catalogue("A")).unwrap();
        db
    }

    #[test]
    fn the_spool_of_another_gateway_is_set_aside_whole_and_can_be_given_back() {
        let folder = TempDir::new().unwrap();
        let mut db = open(&folder, "GW-01");
        for number in 0..20 {
            append(&mut db, &[scan(number)]);
        }
        let (epoch, next) = (db.epoch, db.next);
        drop(db);
        let other = open(&folder, "GW-02");
        assert_eq!(other.next, 0);
        assert_ne!(other.epoch, epoch);
        drop(other);
        let again = open(&folder, "GW-02");
        assert_eq!(again.next, 0, "its own the second time");
        drop(again);
        let aside = folder.path().join(format!("spool-of-GW-01-{NOW}.db"));
        fs::rename(aside, folder.path().join(FILE)).unwrap();
        let mut back = open(&folder, "GW-01");
        assert_eq!((back.epoch, back.next), (epoch, next));
        assert_eq!(back.read(0, next, 1 << 20).unwrap().unwrap().sealed.len(), 20);
    }

    #[test]
    fn a_spool_that_says_nothing_is_taken_and_says_it_from_then_on_also_after_healing() {
        let folder = TempDir::new().unwrap();
        let mut db = Db::open(folder.path(), NOW).unwrap();
        db.use_catalogue(&catalogue("A")).unwrap();
        append(&mut db, &[scan(1)]);
        let next = db.next;
        drop(db);
        let mut db = open(&folder, "GW-01");
        assert_eq!(db.next, next, "an earlier version's");
        heal::heal(folder.path(), NOW).unwrap();
        db.reopen(NOW + 1).unwrap();
        assert_eq!(read(&db.sql).unwrap(), Some(id("GW-01")));
        drop(db);
        assert_eq!(open(&folder, "GW-02").next, 0);
    }
}
