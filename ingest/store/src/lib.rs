//! The centre's memory: the series store, the alarm journal and the catalogue database.
//!
//! - Synchronous, with its own threads: a caller on an async runtime passes a callback, or calls
//!   a read from a blocking task.
//! - Durable means committed: an answer `Ok` comes after the fsync, never before.
//! - Three database files, one writer each, so that bulk telemetry delays no alarm record.
//! - Not here yet: month files and compaction tiers, rollups, retention, forwarding. The `meta`
//!   table names the format, so that a later version can tell what it opens.

mod accounts;
mod alarms;
mod clock;
mod codec;
mod config;
mod error;
mod limits;
mod model;
mod series;
mod sqlite;

pub use accounts::{AccountFault, AccountNote, ApiToken, Deed, NewUser, User, UserChange};
pub use alarms::{
    AlarmJournal, ChainFault, Head, JournalDone, JournalReader, JournalRow, RowKind, Snapshot,
    StoredRow, Verified,
};
pub use codec::{Damage, EngineInput, InputLog, Inputs, decode_chunk, encode_chunk};
pub use config::{Catalogued, ConfigDb};
pub use error::{Full, StoreError};
pub use limits::{Decided, LimitsDecision, LimitsProposal, LimitsRevision, LimitsStatus};
pub use model::{
    Bucket, Counts, GapReason, GapRow, Intake, LedgerRow, LocalRow, Sample, StoreHealth,
    StoreOptions,
};
pub use series::{Done, SeriesStore};
