//! The gateway's side of delivery: what to publish next, and what may be freed.
//!
//! - Nothing is freed but by an acknowledgement of this epoch; a PUBACK means nothing here.
//! - Live records never queue behind old ones: where the live window is full, newer records stay
//!   in the spool and become backlog.
//! - Whatever was offered and is not acknowledged in time is offered again on the backlog lane.
//! - The machine holds numbers only; the spool holds the records.
//! - An old copy of a spool may be put back: then a centre has numbers that are used a second time
//!   here. It cannot have but what stood in the spool when it was opened and what was published
//!   since; an acknowledgement of more is not of these records. Until the centre has spoken once,
//!   nothing newer is published, since it would take the first for a repetition of the other.
//!   Not seen: a copy that is opened once more between its growing and the centre's first word.

use crate::ledger::{Durable, RangeSet};
use crate::{Epoch, Lane, Offset, TimeMs};

/// Live offers awaiting their acknowledgement. 64 batches are some seconds of a large gateway on a
/// slow link; beyond it new records wait in the spool.
const LIVE_WINDOW: usize = 64;
/// Backlog offers awaiting their acknowledgement: enough to fill a link of 100 ms round trip with
/// batches of 500 records, few enough not to starve the live lane.
const BACKLOG_WINDOW: usize = 8;
/// Records in one offer.
const BATCH_RECORDS_MAX: u64 = 500;
/// First patience with an offer; doubles to [`PATIENCE_MAX_MS`] while nothing is acknowledged.
const PATIENCE_MS: i64 = 5_000;
/// Longest patience.
const PATIENCE_MAX_MS: i64 = 60_000;

/// Runs of what was published. Each is a connection whose backlog did not get through; beyond it
/// the lowest hole, which is offered next anyway, counts as published.
const GIVEN_RUNS_MAX: usize = 1_024;

/// What to read from the spool and publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// On which lane.
    pub lane: Lane,
    /// First record.
    pub from: Offset,
    /// One past the last record that may go along.
    pub to: Offset,
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// Everything below is durable at the centre and may be freed.
    Through(Offset),
    /// Known already.
    Nothing,
    /// Less than was acknowledged before: an old word, or the centre has lost data.
    Behind,
    /// Of another epoch, or of records that this spool never gave away: ignored.
    Foreign,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    offer: Offer,
    until: TimeMs,
}

/// The uplink of one gateway.
#[derive(Clone, Debug)]
pub struct Uplink {
    epoch: Epoch,
    next: Offset,
    durable: RangeSet,
    durable_next: Offset,
    /// Committed before this began: an earlier run may have published it.
    opened: Offset,
    /// All that the centre can have.
    given: RangeSet,
    /// The centre has spoken of this epoch.
    met: bool,
    connected: bool,
    live_from: Offset,
    offered: RangeSet,
    in_flight: Vec<InFlight>,
    patience_ms: i64,
}

impl Uplink {
    /// Over a spool that was opened with records up to `next` and knows that all below
    /// `durable_next` are durable at the centre. Begin it when a spool is opened or begins an epoch,
    /// never over records that were made since: what it finds counts as published.
    #[must_use]
    pub fn new(epoch: Epoch, durable_next: Offset, next: Offset) -> Self {
        let mut durable = RangeSet::default();
        durable.insert(0, durable_next);
        let mut given = RangeSet::default();
        given.insert(0, next);
        Self {
            epoch,
            next,
            durable,
            durable_next,
            opened: next,
            given,
            met: false,
            connected: false,
            live_from: next,
            offered: RangeSet::default(),
            in_flight: Vec::new(),
            patience_ms: PATIENCE_MS,
        }
    }

    /// The spool has committed records up to `next`.
    pub fn committed(&mut self, next: Offset) {
        assert!(self.next <= next, "the spool went back from {} to {next}", self.next);
        self.next = next;
    }

    /// The centre has lost data: only what is below `durable_next` counts as durable, and all from
    /// there on is offered again. What was published stays known.
    pub fn lost(&mut self, durable_next: Offset) {
        self.durable = RangeSet::default();
        self.durable.insert(0, durable_next);
        self.given.insert(0, durable_next);
        self.durable_next = durable_next;
        self.in_flight.clear();
        self.offered = RangeSet::default();
    }

    /// A connection stands. What was in flight may be lost with the old one: all of it is offered
    /// again. Records from here on are live, earlier ones are backlog.
    pub fn connected(&mut self) {
        self.connected = true;
        self.live_from = self.next;
        self.in_flight.clear();
        self.offered = RangeSet::default();
        self.patience_ms = PATIENCE_MS;
    }

    /// The connection is gone: nothing is offered until there is another.
    pub fn disconnected(&mut self) {
        self.connected = false;
    }

    /// What to publish now, live before backlog. Publish some or all of it, then call
    /// [`Uplink::published`] with what went out.
    #[must_use]
    pub fn offer(&mut self, now: TimeMs) -> Option<Offer> {
        if !self.connected {
            return None;
        }
        self.expire(now);
        let in_lane =
            |lane| self.in_flight.iter().filter(|flight| flight.offer.lane == lane).count();
        if self.met && self.live_from < self.next {
            if in_lane(Lane::Live) < LIVE_WINDOW {
                let to = self.next.min(self.live_from + BATCH_RECORDS_MAX);
                return Some(Offer { lane: Lane::Live, from: self.live_from, to });
            }
            // Full: newer records become backlog; the next one that comes is live again.
            self.live_from = self.next;
        }
        if in_lane(Lane::Backlog) >= BACKLOG_WINDOW {
            return None;
        }
        let (from, to) = self.first_unoffered()?;
        Some(Offer { lane: Lane::Backlog, from, to: to.min(from + BATCH_RECORDS_MAX) })
    }

    fn first_unoffered(&self) -> Option<(Offset, Offset)> {
        let old = if self.met { self.live_from } else { self.live_from.min(self.opened) };
        let mut at = self.durable_next;
        while at < old {
            let free = self.offered.first_missing(at);
            let missing = self.durable.first_missing(free);
            if missing == free && free < old {
                let (_, end) = *self.durable.missing(free, old).first()?;
                let (_, end) = *self.offered.missing(free, end).first()?;
                return Some((free, end));
            }
            at = missing;
        }
        None
    }

    /// `offer.from..to` went out.
    pub fn published(&mut self, offer: Offer, now: TimeMs) {
        assert!(offer.from < offer.to && offer.to <= self.next, "published what is not there");
        self.offered.insert(offer.from, offer.to);
        self.gave(offer.from, offer.to);
        if offer.lane == Lane::Live {
            self.live_from = self.live_from.max(offer.to);
        }
        self.in_flight.push(InFlight { offer, until: now + self.patience_ms });
    }

    /// `from..to` went out: more than was offered where a gap stands for more.
    pub fn gave(&mut self, from: Offset, to: Offset) {
        self.given.insert(from, to);
        if self.given.runs().len() > GIVEN_RUNS_MAX {
            let through = self.given.runs().get(1).map_or(0, |(_, end)| *end);
            self.given.insert(0, through);
        }
    }

    fn can_have(&self, ack: &Durable) -> bool {
        let gave = |(lo, hi): (Offset, Offset)| self.given.missing(lo, hi).is_empty();
        gave((0, ack.next)) && ack.islands.iter().copied().all(gave)
    }

    /// An acknowledgement came. It alone counts, and nothing that an earlier one said: the centre
    /// may have lost its data in between.
    pub fn acknowledged(&mut self, ack: &Durable) -> Acked {
        if ack.epoch != self.epoch || !self.can_have(ack) {
            return Acked::Foreign;
        }
        self.met = true;
        let mut durable = RangeSet::default();
        durable.insert(0, ack.next);
        for (lo, hi) in &ack.islands {
            durable.insert(*lo, *hi);
        }
        let through = durable.first_missing(0);
        if through < self.durable_next {
            return Acked::Behind;
        }
        let before = self.in_flight.len();
        self.in_flight
            .retain(|flight| !durable.missing(flight.offer.from, flight.offer.to).is_empty());
        if self.in_flight.len() < before {
            self.patience_ms = PATIENCE_MS;
        }
        for (lo, hi) in self.durable.runs() {
            for (lo, hi) in durable.missing(*lo, *hi) {
                self.offered.remove(lo, hi);
            }
        }
        self.still_offered();
        self.durable = durable;
        if through == self.durable_next {
            return Acked::Nothing;
        }
        self.durable_next = through;
        Acked::Through(through)
    }

    fn still_offered(&mut self) {
        for flight in &self.in_flight {
            self.offered.insert(flight.offer.from, flight.offer.to);
        }
    }

    fn expire(&mut self, now: TimeMs) {
        let (late, kept): (Vec<_>, Vec<_>) =
            self.in_flight.iter().copied().partition(|flight| flight.until <= now);
        if late.is_empty() {
            return;
        }
        self.in_flight = kept;
        for flight in &late {
            self.offered.remove(flight.offer.from, flight.offer.to);
        }
        self.still_offered();
        self.patience_ms = (self.patience_ms * 2).min(PATIENCE_MAX_MS);
    }

    /// When to call [`Uplink::offer`] again, if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<TimeMs> {
        self.in_flight.iter().map(|flight| flight.until).min().filter(|_| self.connected)
    }

    /// All below is durable at the centre.
    #[must_use]
    pub fn durable_next(&self) -> Offset {
        self.durable_next
    }

    /// One past the newest record.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Which life of the spool this is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: TimeMs = TimeMs(1_000);

    fn sent(uplink: &mut Uplink, now: TimeMs) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(offer) = uplink.offer(now) {
            said.push(format!("{:?} {}..{}", offer.lane, offer.from, offer.to));
            uplink.published(offer, now);
        }
        said
    }

    fn ack(next: Offset, islands: &[(Offset, Offset)]) -> Durable {
        Durable { epoch: Epoch(1), next, islands: islands.to_vec() }
    }

    /// Over a spool that was opened with so many records; the centre has said that it has none.
    fn met(next: Offset) -> Uplink {
        let mut uplink = Uplink::new(Epoch(1), 0, next);
        uplink.connected();
        assert_eq!(uplink.acknowledged(&ack(0, &[])), Acked::Nothing);
        uplink
    }

    #[test]
    fn live_goes_first_and_the_backlog_beside_it() {
        assert_eq!(sent(&mut Uplink::new(Epoch(1), 0, 1_200), T0), [""; 0]);
        let mut uplink = met(1_200);
        uplink.committed(1_203);
        assert_eq!(
            sent(&mut uplink, T0),
            ["Live 1200..1203", "Backlog 0..500", "Backlog 500..1000", "Backlog 1000..1200"]
        );
        assert_eq!(uplink.acknowledged(&ack(500, &[(1_200, 1_203)])), Acked::Through(500));
        uplink.committed(1_204);
        assert_eq!(sent(&mut uplink, T0), ["Live 1203..1204"]);
    }

    #[test]
    fn what_is_not_acknowledged_is_offered_again() {
        let mut uplink = met(0);
        uplink.committed(3);
        assert_eq!(sent(&mut uplink, T0), ["Live 0..3"]);
        assert_eq!(sent(&mut uplink, T0 + (PATIENCE_MS - 1)), [""; 0]);
        assert_eq!(sent(&mut uplink, T0 + PATIENCE_MS), ["Backlog 0..3"]);
    }

    #[test]
    fn an_ack_of_another_epoch_or_beyond_the_spool_frees_nothing() {
        let mut uplink = Uplink::new(Epoch(1), 0, 5);
        let foreign = Durable { epoch: Epoch(2), next: 5, islands: vec![] };
        assert_eq!(uplink.acknowledged(&foreign), Acked::Foreign);
        assert_eq!(uplink.acknowledged(&ack(6, &[])), Acked::Foreign);
        assert_eq!(uplink.durable_next(), 0);
        assert_eq!(uplink.acknowledged(&ack(4, &[])), Acked::Through(4));
        assert_eq!(uplink.acknowledged(&ack(4, &[])), Acked::Nothing);
        assert_eq!(uplink.acknowledged(&ack(2, &[])), Acked::Behind);
        assert_eq!(uplink.durable_next(), 4);
    }

    #[test]
    fn a_centre_that_begins_anew_where_the_old_one_ended_has_not_what_was_before() {
        let mut uplink = Uplink::new(Epoch(1), 0, 31);
        uplink.connected();
        assert_eq!(uplink.acknowledged(&ack(31, &[])), Acked::Through(31));
        uplink.committed(40);
        assert_eq!(sent(&mut uplink, T0), ["Live 31..40"]);
        assert_eq!(uplink.acknowledged(&ack(0, &[(31, 40)])), Acked::Behind);
        assert_eq!(uplink.durable_next(), 31);
    }

    #[test]
    fn what_the_centre_had_beyond_a_hole_and_has_no_more_is_offered_again() {
        let mut uplink = met(0);
        uplink.committed(5);
        assert_eq!(sent(&mut uplink, T0), ["Live 0..5"]);
        uplink.committed(8);
        assert_eq!(sent(&mut uplink, T0), ["Live 5..8"]);
        uplink.committed(9);
        assert_eq!(sent(&mut uplink, T0), ["Live 8..9"]);
        assert_eq!(uplink.acknowledged(&ack(0, &[(5, 9)])), Acked::Nothing);
        assert_eq!(uplink.acknowledged(&ack(0, &[(8, 9)])), Acked::Nothing);
        assert_eq!(sent(&mut uplink, T0), ["Backlog 5..8"]);
        assert_eq!(uplink.acknowledged(&ack(5, &[(8, 9)])), Acked::Through(5));
        assert_eq!(uplink.durable_next(), 5);
    }

    #[test]
    fn a_centre_that_has_what_was_never_given_away_has_other_records() {
        // An old copy was put back that ended at 61, and grew beyond what the centre has.
        let mut uplink = Uplink::new(Epoch(1), 50, 61);
        uplink.committed(312);
        uplink.connected();
        uplink.committed(313);
        assert_eq!(sent(&mut uplink, T0), ["Backlog 50..61"], "not before the centre has spoken");
        assert_eq!(uplink.acknowledged(&ack(183, &[])), Acked::Foreign);
        assert_eq!(uplink.acknowledged(&ack(61, &[(100, 183)])), Acked::Foreign);
        assert_eq!(sent(&mut uplink, T0), [""; 0]);
        assert_eq!((uplink.durable_next(), uplink.next()), (50, 313));
        // A centre that has less is in order, and may lag behind what is published from now on.
        assert_eq!(uplink.acknowledged(&ack(61, &[])), Acked::Through(61));
        assert_eq!(sent(&mut uplink, T0), ["Live 312..313", "Backlog 61..312"]);
        assert_eq!(uplink.acknowledged(&ack(61, &[(312, 313)])), Acked::Nothing);
        assert_eq!(uplink.acknowledged(&ack(313, &[])), Acked::Through(313));
    }

    #[test]
    fn what_was_published_stays_known_when_the_centre_lost_it() {
        let mut uplink = met(0);
        uplink.committed(5);
        assert_eq!(sent(&mut uplink, T0), ["Live 0..5"]);
        assert_eq!(uplink.acknowledged(&ack(4, &[])), Acked::Through(4));
        uplink.committed(9);
        assert_eq!(uplink.acknowledged(&ack(2, &[])), Acked::Behind);
        uplink.lost(2);
        uplink.connected();
        assert_eq!(uplink.acknowledged(&ack(6, &[])), Acked::Foreign);
        assert_eq!(uplink.acknowledged(&ack(5, &[])), Acked::Through(5));
        assert_eq!(sent(&mut uplink, T0), ["Backlog 5..9"]);
    }

    #[test]
    fn of_many_holes_the_lowest_is_given_up() {
        let mut uplink = met(0);
        let most = GIVEN_RUNS_MAX as Offset;
        uplink.committed(2 * most + 2);
        (0..=most).for_each(|n| uplink.gave(2 * n + 1, 2 * n + 2));
        assert_eq!(uplink.given.runs().len(), GIVEN_RUNS_MAX);
        assert_eq!(uplink.acknowledged(&ack(5, &[])), Acked::Foreign);
        assert_eq!(uplink.acknowledged(&ack(4, &[])), Acked::Through(4));
    }

    #[test]
    fn a_full_live_window_makes_backlog_and_not_a_queue() {
        let mut uplink = met(0);
        for next in 1..=64 {
            uplink.committed(next);
            assert_eq!(sent(&mut uplink, T0).len(), 1);
        }
        uplink.committed(100);
        assert_eq!(sent(&mut uplink, T0), ["Backlog 64..100"]);
        assert_eq!(uplink.acknowledged(&ack(10, &[])), Acked::Through(10));
        uplink.committed(101);
        assert_eq!(sent(&mut uplink, T0), ["Live 100..101"]);
    }
}
