//! Reading a spool from outside, for checks and exports: what the gateway's disk holds.

use std::path::Path;

use anyhow::Context;
use fengsui_telemetry::wire::{Sealed, decode_record};
use fengsui_telemetry::{Offset, Record};
use rusqlite::{Connection, OpenFlags};

/// The spool's database in the data folder.
pub const SPOOL_FILE: &str = "spool.db";

/// Hands over every record of the spool in a gateway's data folder, oldest first, each with its
/// offset. The gateway may run meanwhile.
///
/// # Errors
/// There is no spool, it cannot be read, or a record is damaged.
pub fn each_record(data: &Path, each: &mut dyn FnMut(Offset, &Record)) -> anyhow::Result<()> {
    let path = data.join(SPOOL_FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(&path, flags)
        .with_context(|| format!("{}: no spool to read", path.display()))?;
    let mut select = database.prepare("SELECT offset, bytes, crc FROM record ORDER BY offset")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (offset, crc): (i64, i64) = (row.get(0)?, row.get(2)?);
        let sealed = Sealed { bytes: row.get(1)?, crc: u32::try_from(crc).unwrap_or(0) };
        anyhow::ensure!(sealed.is_whole(), "record {offset} is damaged");
        let record = decode_record(&sealed.bytes).with_context(|| format!("record {offset}"))?;
        each(Offset::try_from(offset).unwrap_or(0), &record);
    }
    Ok(())
}
