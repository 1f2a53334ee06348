//! Which catalogue gives a record's point indexes their meaning, and the numbers that points keep
//! over all catalogues.

use fengsui_telemetry::{Catalogue, Offset, wire};
use rusqlite::{OptionalExtension, params};

use super::{Db, from_sql, to_sql};
use crate::spool::SpoolFault;

impl Db {
    /// Records from here on belong to this catalogue.
    pub(in crate::spool) fn use_catalogue(
        &mut self,
        catalogue: &Catalogue,
    ) -> Result<(), SpoolFault> {
        let bytes = wire::catalogue_bytes(catalogue);
        let revision = crate::config::revision_of(&bytes);
        let last: Option<i64> = self
            .sql
            .query_row("SELECT revision FROM catalogue ORDER BY first DESC LIMIT 1", [], |row| {
                row.get(0)
            })
            .optional()?;
        if last != Some(revision.0.cast_signed()) {
            self.sql.execute(
                "INSERT OR REPLACE INTO catalogue (first, revision, bytes) VALUES (?1, ?2, ?3)",
                params![to_sql(self.next), revision.0.cast_signed(), bytes],
            )?;
        }
        self.catalogue = revision;
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
            let mut known = tx.prepare("SELECT number FROM point WHERE tag = ?1")?;
            let mut add = tx.prepare(
                "INSERT INTO point (tag, number)
                 VALUES (?1, (SELECT coalesce(max(number) + 1, 0) FROM point)) RETURNING number",
            )?;
            for point in &catalogue.points {
                let tag = point.tag.as_str();
                let number = match known.query_row([tag], |row| row.get(0)).optional()? {
                    Some(number) => number,
                    None => add.query_row([tag], |row| row.get(0))?,
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
