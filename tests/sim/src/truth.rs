//! What the plant really did, for checkers: every change of a reading, with wall time, recorded
//! before any fault can touch it.
//!
//! A broken instrument ([`crate::Command::Break`]) has no value: it is part of the process.
//! Frozen, noisy, dead and lying devices leave no mark here.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthRow {
    /// Wall time from which a read could see it, ms since 1970.
    pub t_ms: i64,
    /// The device's name.
    pub device: String,
    /// The unit number.
    pub unit: u8,
    /// `holding`, `input`, `coil` or `discrete`.
    pub table: String,
    /// Wire address of its first register.
    pub address: u16,
    /// What it is: `tank1.level`; `count` for a counting device, whose register n shows
    /// `value + n` modulo 65,536.
    pub signal: String,
    /// What a correct reader makes of the registers; null when the instrument reports a fault.
    pub value: Option<f64>,
}

/// Takes the rows as they come. It runs inside the plant's loop: it must not wait.
pub type TruthSink = Box<dyn FnMut(&TruthRow) + Send>;

/// A sink that writes JSON lines, flushed line by line.
///
/// # Errors
/// When the file cannot be made.
pub fn to_file(path: &Path) -> std::io::Result<TruthSink> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let mut failed = false;
    Ok(Box::new(move |row| {
        let written = serde_json::to_writer(&mut file, row)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.flush());
        if let (Err(error), false) = (written, failed) {
            failed = true;
            tracing::error!(%error, "truth file cannot be written");
        }
    }))
}
