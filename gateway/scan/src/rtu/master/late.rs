//! The late answer of a slave that has become slow, while it is asked again: its length tells it from
//! the awaited one ([`super::super::memory`]), so it is taken off and the next one awaited. Without
//! this such a slave would be dead for as long as it is asked anew before it has answered.
//!
//! Not of orders: which of several equal ones is repeated late, nobody knows.

use super::super::frame::{Progress, RtuFault, progress};
use super::{Flight, LATE_FACTOR, Master, Phase};
use crate::pdu::Question;

/// The answer to an earlier question, while another is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// The beginning of it.
    Coming,
    /// All of it, to this.
    Whole(Question),
}

impl Master {
    /// Bytes came that are not the awaited answer.
    pub(super) fn wrong(&mut self, flight: &Flight, bytes: &[u8], fault: RtuFault, now: u64) {
        let Some(unit) = self.job.as_ref().map(|job| job.asked.unit) else { return };
        match self.late(unit, bytes) {
            Some(Late::Coming) => {}
            Some(Late::Whole(request)) => self.came_late(unit, request, bytes, now),
            None => self.fail(flight, Some(fault), now),
        }
    }

    /// Whether this is the answer to an earlier question of the slave that is asked now: its length
    /// is another than that of the awaited one.
    fn late(&self, unit: u8, bytes: &[u8]) -> Option<Late> {
        let memory = self.units.get(&unit)?;
        let mut coming = None;
        for request in memory.owed() {
            match progress(unit, request, bytes) {
                Progress::Whole(_) if !memory.is_suspicious(request, bytes) => {
                    return Some(Late::Whole(request));
                }
                Progress::More => coming = Some(Late::Coming),
                Progress::Whole(_) | Progress::Wrong(_) => {}
            }
        }
        coming
    }

    /// What was owed is settled. The slave turns to the question that is awaited only now, and gets
    /// its patience anew, as far as anybody waits for a late answer.
    fn came_late(&mut self, unit: u8, request: Question, bytes: &[u8], now: u64) {
        let (Phase::Awaiting(flight), Some(job)) = (&mut self.phase, &self.job) else { return };
        self.orphans += 1;
        flight.bytes.truncate(flight.bytes.len() - bytes.len());
        let wait_us = self.timing.t35_us() + self.timing.reply_us(job.request);
        let latest = flight.sent + wait_us + LATE_FACTOR * job.asked.patience_us;
        flight.deadline = (now + wait_us + job.asked.patience_us).min(latest);
        if let Some(memory) = self.units.get_mut(&unit) {
            memory.see(request, bytes);
            memory.came_late(request);
        }
    }
}
