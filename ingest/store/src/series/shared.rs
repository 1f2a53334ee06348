//! What the writer thread and the readers of a series store share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tracing::error;

use super::hot::Hot;
use super::key::{base, unpack};
use crate::sqlite::Readers;
use crate::{Damage, GapReason, GapRow, StoreHealth, StoreOptions};

/// Damaged blocks that readers have found and the writer has not yet written down. At this many
/// further ones are counted and logged only: they are found again at the next read.
const FOUND_MAX: usize = 10_000;

pub(super) struct Shared {
    pub(super) options: StoreOptions,
    pub(super) readers: Readers,
    // The tail is changed by the writer alone and copied from by readers; a channel would make
    // every read wait for a group commit.
    hot: RwLock<Hot>,
    /// Damaged blocks by their name: "chunk 5", "journal 7".
    // Found by readers on any thread, drained by the writer; bounded, held for an insert.
    found: Mutex<BTreeMap<String, (Found, GapRow)>>,
    pub(super) hold: AtomicU64,
    pub(super) last_seq: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) failed_commits: AtomicU64,
    pub(super) tail_samples: AtomicU64,
    damaged: AtomicU64,
    pub(super) writing: AtomicBool,
}

/// Whether the gap table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    New,
    Written,
}

impl Shared {
    pub(super) fn new(path: &Path, options: StoreOptions) -> Self {
        Self {
            options,
            readers: Readers::new(path),
            hot: RwLock::new(Hot::default()),
            found: Mutex::new(BTreeMap::new()),
            hold: AtomicU64::new(0),
            last_seq: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            failed_commits: AtomicU64::new(0),
            tail_samples: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            writing: AtomicBool::new(false),
        }
    }

    pub(super) fn hot(&self) -> RwLockReadGuard<'_, Hot> {
        self.hot.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hot_mut(&self) -> RwLockWriteGuard<'_, Hot> {
        self.hot.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a damaged block: counted once, logged once, written to the gap table with the next
    /// commit.
    pub(super) fn report(&self, block: String, gap: GapRow) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.contains_key(&block) {
            return;
        }
        self.damaged.fetch_add(1, Ordering::Relaxed);
        error!(block, from = %gap.from, to = %gap.to, why = gap.detail, "stored block is damaged");
        if found.len() < FOUND_MAX {
            found.insert(block, (Found::New, gap));
        }
    }

    /// The gaps that the gap table does not know yet.
    pub(super) fn unwritten(&self) -> Vec<(String, GapRow)> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let new = found.iter().filter(|(_, (state, _))| *state == Found::New);
        new.map(|(block, (_, gap))| (block.clone(), gap.clone())).collect()
    }

    pub(super) fn written(&self, blocks: &[(String, GapRow)]) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (block, _) in blocks {
            if let Some((state, _)) = found.get_mut(block) {
                *state = Found::Written;
            }
        }
    }

    pub(super) fn health(&self) -> StoreHealth {
        StoreHealth {
            writing: self.writing.load(Ordering::Acquire),
            commits: self.commits.load(Ordering::Relaxed),
            failed_commits: self.failed_commits.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            tail_samples: self.tail_samples.load(Ordering::Relaxed),
            last_seq: self.last_seq.load(Ordering::Acquire),
        }
    }
}

/// The gap of a chunk that cannot be read.
pub(super) fn damaged_chunk(id: i64, n: u64, bucket_ms: i64, why: Damage) -> GapRow {
    let (bucket, point) = unpack(id);
    let from = base(bucket, bucket_ms);
    GapRow {
        gateway: String::new(),
        from,
        to: from + bucket_ms,
        records: n,
        cause: GapReason::StoreDamaged,
        points: vec![point],
        detail: format!("chunk {id}: {why}"),
    }
}
