//! Which catalogue gives a record's point indexes their meaning, and the numbers that points keep
//! over all catalogues.

use std::collections::HashMap;

use fengsui_telemetry::{Catalogue, Offset, wire};
use rusqlite::{Connection, OptionalExtension, params};

use super::standing::point_crc;
use super::{Db, from_sql, to_sql};
use crate::spool::SpoolFault;

/// Pages that are kept in memory, KiB: rows are written in order and read in order, so that little
/// helps. A transaction of a large site touches more of them.
const CACHE_KIB: usize = 192;
const CACHE_KIB_MAX: usize = 512;
/// Points for each further KiB.
const POINTS_A_KIB: usize = 64;

impl Db {
    /// Records from here on belong to this catalogue.
    pub(in crate::spool) fn use_catalogue(
        &mut self,
        catalogue: &Catalogue,
    ) -> Result<(), SpoolFault> {
        let bytes = wire::catalogue_bytes(catalogue);
        let revision = crate::config::revision_of(&bytes);
        let name = revision.0.cast_signed();
        let last: Option<(i64, i64, Vec<u8>)> = self
            .sql
            .query_row(
                "SELECT first, revision, bytes FROM catalogue ORDER BY first DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let first = match last {
            Some((_, known, kept)) if known == name && kept == bytes => None,
            // Damaged in its name or in its bytes.
            Some((first, known, kept)) if known == name || kept == bytes => Some(first),
            Some(_) | None => Some(to_sql(self.next)),
        };
        if let Some(first) = first {
            self.sql.execute(
                "INSERT OR REPLACE INTO catalogue (first, revision, bytes) VALUES (?1, ?2, ?3)",
                params![first, name, bytes],
            )?;
        }
        self.catalogue = revision;
        let most = CACHE_KIB_MAX.min(CACHE_KIB + catalogue.points.len() / POINTS_A_KIB);
        self.sql.pragma_update(None, "cache_size", -i64::try_from(most).unwrap_or(0))?;
        Ok(())
    }

    /// A number for each point of the catalogue that its tag keeps over all catalogues: a saved
    /// state of the engine knows points by number.
    pub(in crate::spool) fn numbers(
        &mut self,
        catalogue: &Catalogue,
    ) -> Result<Vec<u32>, SpoolFault> {
        let tx = self.sql.transaction()?;
        let mut numbers = Vec::with_capacity(catalogue.points.len());
        {
            // A catalogue names no tag twice.
            let known = known_numbers(&tx)?;
            let mut free = known.values().max().map_or(0, |number| number.saturating_add(1));
            let mut add =
                tx.prepare("INSERT OR REPLACE INTO point (tag, number, crc) VALUES (?1, ?2, ?3)")?;
            for point in &catalogue.points {
                let tag = point.tag.as_str();
                let number = match known.get(tag) {
                    Some(number) => *number,
                    None => {
                        add.execute(params![tag, free, point_crc(tag, free)])?;
                        free += 1;
                        free - 1
                    }
                };
                numbers.push(number);
            }
        }
        tx.commit()?;
        Ok(numbers)
    }

    /// Catalogues of records that the centre may not have, oldest first, without the present one;
    /// each with the offset at which the next one begins.
    pub(in crate::spool) fn old_catalogues(&self) -> Result<Vec<(Offset, Vec<u8>)>, SpoolFault> {
        let mut select = self.sql.prepare(
            "SELECT (SELECT min(first) FROM catalogue n WHERE n.first > c.first) AS until, c.bytes
             FROM catalogue c WHERE c.revision <> ?1 AND until > ?2 ORDER BY c.first",
        )?;
        let rows = select.query_map(
            params![self.catalogue.0.cast_signed(), to_sql(self.durable_next)],
            |row| Ok((from_sql(row.get(0)?), row.get(1)?)),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Tags and numbers that fit their checksums.
pub(super) fn known_numbers(sql: &Connection) -> rusqlite::Result<HashMap<String, u32>> {
    let mut select = sql.prepare("SELECT tag, number, crc FROM point")?;
    let mut rows = select.query([])?;
    let mut known = HashMap::new();
    while let Some(row) = rows.next()? {
        let (tag, number, crc): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if let Ok(number) = u32::try_from(number)
            && i64::from(point_crc(&tag, number)) == crc
        {
            known.insert(tag, number);
        }
    }
    Ok(known)
}
