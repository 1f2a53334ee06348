//! The room on the disk: how a full one is noticed, lived with, and found to have room again.
//!
//! - A disk without room is noticed before it refuses: the log goes on taking records in the room
//!   that it has, and nobody would be told.

use std::io::Write;
use std::{fs, io};

use tracing::{debug, error, info, warn};

use super::super::SpoolFault;
use super::super::db::Evicted;
use super::{PATIENT_PASSES, Writer};
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
        self.full = Some(self.clock.mono_ms() + ROOM_ASKED_MS);
        freed.unwrap_or(false)
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
            file.write_all(&vec![0x5a; ROOM_BYTES])?;
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
