//! Turning tails into chunks inside a group commit.

use fengsui_telemetry::Reading;
use rusqlite::Connection;

use super::key::{base, pack};
use super::shared::{Shared, damaged_chunk};
use super::sql::{self, ChunkRow};
use super::tail::overlay;
use crate::codec::{decode_chunk, encode_chunk};

/// Encodes the tails of these (bucket, point), each merged into the chunk that is there, and
/// writes them with the newest sample of their points. `seen` is the newest intake in the tails.
pub(super) fn seal(
    shared: &Shared,
    conn: &Connection,
    tails: &[(i64, u32)],
    seen: u64,
) -> rusqlite::Result<()> {
    let hot = shared.hot();
    for (bucket, point) in tails {
        let Some(tail) = hot.tail(*point, *bucket) else { continue };
        let id = pack(*bucket, *point);
        let base = base(*bucket, shared.options.bucket_ms);
        let newer = tail.in_order();
        let samples = match sql::chunk(conn, id)? {
            None => newer,
            Some(row) => match decode_chunk(id, base, &row.data) {
                Ok(older) => overlay(older, &newer),
                Err(why) => {
                    let gap = damaged_chunk(id, row.n, shared.options.bucket_ms, why);
                    sql::put_gap(conn, &gap)?;
                    sql::set_chunk_aside(conn, &row)?;
                    shared.report(format!("chunk {id}"), gap);
                    newer
                }
            },
        };
        let n_good =
            samples.iter().filter(|s| !matches!(s.reading, Reading::Bad(_))).count() as u64;
        let data = encode_chunk(id, base, &samples);
        let n = samples.len() as u64;
        sql::put_chunk(conn, &ChunkRow { id, seq_hi: seen, n, n_good, data })?;
        if let Some(last) = hot.latest(*point) {
            sql::put_last(conn, *point, last)?;
        }
    }
    Ok(())
}
