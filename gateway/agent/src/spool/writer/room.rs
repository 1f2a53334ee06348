//! The room on the disk: how a full one is noticed, lived with, and found to have room again.
//!
//! - A disk without room is noticed before it refuses: the log goes on taking records in the room
//!   that it has, and nobody would be told.

use std::io::Write;
use std::{fs, io};

use tracing::{debug, error, info, warn};

use super::super::SpoolFault;
use super::super::db::Evicted;
use super::{PATIENT_PASSES, Waiting, Writer};
use crate::fresh;

/// Size of the reserve: the log, once over.
const RESERVE_BYTES: usize = 1 << 20;
/// There is room again when the reserve fits in and as much beside it.
const ROOM_BYTES: usize = 2 * RESERVE_BYTES;
/// Between two questions whether there is room again.
const ROOM_ASKED_MS: u64 = 2_000;
/// Between two looks whether the disk still has room, while it refuses nothing.
const ROOM_LOOK_MS: u64 = 10_000;
/// What must fit in then. Less than what ends a full disk, so that the two do not take turns; it is
/// deleted before the kernel has written it, so that a flash card hears of it hardly anything.
const PROBE_BYTES: usize = 256 << 10;
/// What a full file keeps free beside what waits: the pages that a commit and a pass may split.
const FREE_BYTES: u64 = 128 << 10;
/// On a full disk, between two tries to write the engine's state: each may cost its whole size.
const SAVE_PAUSE_MS: u64 = 10_000;

impl Writer {
    /// Somebody else may have filled the disk.
    pub(super) fn look_for_room(&mut self, now: u64) {
        if now < self.look_at || self.full.is_some() {
            return;
        }
        self.look_at = now + ROOM_LOOK_MS;
        let Some(fault) = self.probe().err().filter(is_no_room) else { return };
        if let Err(fault) = self.settle_in(&fault.to_string()) {
            warn!(%fault, "the spool could not be held to its size");
        }
        self.full = Some(now + ROOM_ASKED_MS);
        self.tell();
    }

    fn probe(&self) -> io::Result<()> {
        let Some(reserve) = &self.reserve else { return Ok(()) };
        let probe = reserve.with_extension("probe");
        let written =
            fresh::create(&probe).and_then(|mut file| file.write_all(&vec![0; PROBE_BYTES]));
        if let Err(fault) = fs::remove_file(&probe) {
            debug!(%fault, "a probe is left");
        }
        written
    }

    /// First the log into the file, which grows into the reserve's place; from then on the spool
    /// lives in the room that it has.
    fn settle_in(&mut self, why: &str) -> Result<(), SpoolFault> {
        if self.full.is_none() {
            error!(fault = why, "disk is full; telemetry gives way to alarms");
        }
        self.failing = Some(why.to_owned());
        self.free_reserve();
        self.db.restart_log().and_then(|()| self.db.hold_size())
    }

    /// Makes room for the alarm that says that there is no room, and lets the spool grow no more.
    /// False: nothing gave way.
    pub(super) fn disk_is_full(&mut self, why: &str) -> bool {
        let freed = self.settle_in(why).and_then(|()| {
            let mut evicted = Evicted::default();
            for pass in 0..=PATIENT_PASSES {
                evicted = self.evict(pass)?;
                if !evicted.looks_on {
                    break;
                }
            }
            Ok(evicted.freed + evicted.lost > 0)
        });
        if let Err(fault) = &freed {
            warn!(%fault, "no room could be made");
        }
        self.ask_soon();
        freed.unwrap_or(false)
    }

    /// Never later than before: commits that fail must not put the question off.
    fn ask_soon(&mut self) {
        let at = self.clock.mono_ms() + ROOM_ASKED_MS;
        self.full = Some(self.full.map_or(at, |before| before.min(at)));
    }

    /// The engine's state found no room. It waits for it, and nothing gives way to it.
    pub(super) fn state_waits(&mut self, fault: &SpoolFault) {
        warn!(%fault, "no room for the engine's state; the older one stays until there is");
        if let Err(fault) = self.settle_in(&fault.to_string()) {
            warn!(%fault, "the spool could not be held to its size");
        }
        self.ask_soon();
        self.save_at = self.clock.mono_ms() + SAVE_PAUSE_MS;
    }

    /// On a full disk: the engine's state fits in the place of the older one and in what no record
    /// needs.
    pub(super) fn fits(&self, state: &Waiting) -> bool {
        let free = self.db.free_bytes().unwrap_or(0) + self.db.saved_bytes().unwrap_or(0);
        free >= state.bytes.len() as u64 + 2 * FREE_BYTES
    }

    pub(super) fn free_reserve(&self) {
        if let Some(reserve) = &self.reserve
            && let Err(fault) = fs::remove_file(reserve)
            && fault.kind() != io::ErrorKind::NotFound
        {
            warn!(%fault, "reserve could not be deleted");
        }
    }

    /// After a full disk: as soon as the reserve can be laid down again, there is room.
    pub(super) fn ask_for_room(&mut self, now: u64) {
        let Some(at) = self.full else { return };
        if now < at {
            return;
        }
        if self.make_reserve().is_err() {
            self.full = Some(now + ROOM_ASKED_MS);
            return;
        }
        if let Err(fault) = self.db.let_grow() {
            warn!(%fault, "the spool cannot grow");
        }
        self.full = None;
        if !self.refused {
            self.failing = None;
        }
        if self.waits() || self.snapshot.is_some() {
            self.commit_at = Some(now);
        }
        info!("disk has room again");
        self.tell();
    }

    /// On a full disk: what waits does not fit into the file as it is.
    pub(super) fn is_tight(&self) -> bool {
        let needed = 2 * self.pending_bytes + FREE_BYTES;
        self.full.is_some() && self.db.free_bytes().is_ok_and(|free| free < needed)
    }

    /// Lays the reserve down, where it is not: real bytes, since a hole reserves nothing.
    pub(super) fn make_reserve(&self) -> io::Result<()> {
        let Some(reserve) = self.reserve.as_deref().filter(|path| !path.exists()) else {
            return Ok(());
        };
        let new = reserve.with_extension("new");
        let lay_down = || {
            let mut file = fresh::create(&new)?;
            // The engine's state goes through the log into the file.
            let state = self.snapshot.as_ref().map_or(0, |state| 2 * state.bytes.len());
            file.write_all(&vec![0x5a; ROOM_BYTES + state])?;
            file.set_len(RESERVE_BYTES as u64)?;
            file.sync_all()?;
            fs::rename(&new, reserve)
        };
        lay_down().inspect_err(|_| {
            if let Err(fault) = fs::remove_file(&new) {
                debug!(%fault, "half a reserve is left");
            }
        })
    }
}

pub(super) fn is_no_room(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
