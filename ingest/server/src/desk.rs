//! The owner of what every screen shows: rows, gateways, the proof of quiet, and the live stream.
//!
//! - A change is shown when the journal has it, or when its patience is over, then marked *not
//!   recorded* until it is.
//! - The stream is one bounded ring; who does not read is told to load anew, nobody waits for them.
//! - A quiet desk proves itself: data age, points reporting, gateways, the journal's health.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fengsui_store::SeriesStore;
use fengsui_telemetry::TimeMs;
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::warn;

use crate::clock;
use crate::counters::{Counters, add, get};
use crate::first_out::FirstOuts;
use crate::intake::GatewayState;
use crate::outage::{Book, Package};
use crate::registry::{AlarmFacts, Registry};
use crate::stamp::Stamp;
use crate::steps::{Step, reached};
use crate::view::{AlarmJson, AlarmRow};

mod proof;
pub use proof::Proof;

/// Changes that wait for the desk: ten thousand alarms at once and as many acknowledgements. When
/// full, the alarm loop sends all rows anew.
pub const INPUTS_MAX: usize = 65_536;
/// Events that a slow stream may lag before it is told to load anew: ten thousand alarms at once and
/// what follows in the next seconds.
const STREAM_MAX: usize = 32_768;
/// Events kept for a browser that comes back with the number of its last one.
const RECENT_MAX: usize = 4_096;
const PING: Duration = Duration::from_secs(5);
const VALUES: Duration = Duration::from_millis(500);
const GATEWAYS: Duration = Duration::from_secs(1);
/// After three canaries that did not come the alarm path counts as broken.
const CANARY_LATEST: Duration = Duration::from_secs(9);
/// A watchdog that has not asked for this long is missed.
const WATCHDOG_LATEST: Duration = Duration::from_secs(25);
/// How far a gateway's clock may be ahead of ours (R6).
const AHEAD_MAX_MS: i64 = 5_000;

/// What the desk is told.
#[derive(Debug)]
pub enum DeskInput {
    /// Alarms changed; sound after the journal's word or the patience.
    Change {
        /// Number of the change.
        change: u64,
        /// Each alarm's rows now.
        alarms: Vec<(Arc<AlarmFacts>, Vec<AlarmRow>)>,
        /// Newest source time in it.
        te: Option<TimeMs>,
    },
    /// The journal has a change, under this number.
    Recorded {
        /// Number of the change.
        change: u64,
        /// The journal's newest number in it; none when it held all of it before.
        seq: Option<u64>,
    },
    /// A canary is on its way through the journal.
    Canary {
        /// Number of the change that it rides on.
        change: u64,
        /// When the alarm loop let it fly.
        began: Instant,
    },
    /// All rows anew.
    All(Vec<AlarmRow>),
    /// A back-fill was judged.
    Late {
        /// Whose.
        gateway: String,
        /// Records in it.
        records: u64,
        /// Samples in it.
        samples: u64,
        /// Oldest source time.
        from: TimeMs,
        /// Newest source time.
        to: TimeMs,
        /// Occurrences that it brought to light.
        excursions: u64,
    },
    /// More is announced than people can answer, since when; none: no longer.
    Flood(Option<TimeMs>),
    /// A back-fill brought something to light, or ended a silence.
    Package(Package),
    /// Somebody wants everything, and the stream from here on.
    Look(oneshot::Sender<Look>),
    /// Somebody wants the stream after an event number.
    Follow(Option<u64>, oneshot::Sender<Follow>),
}

/// Everything, at one moment.
#[derive(Clone, Debug)]
pub struct Look {
    /// Rows that are not normal.
    pub rows: Vec<AlarmRow>,
    /// Number of the newest event.
    pub seq: u64,
    /// Gateways.
    pub gateways: Arc<Vec<GatewayState>>,
    /// Why quiet may be believed.
    pub proof: Proof,
    /// Outage packages.
    pub packages: Vec<serde_json::Value>,
    /// Since when there is a flood.
    pub flood: Option<TimeMs>,
}

/// The stream: what was missed, then what comes.
#[derive(Debug)]
pub struct Follow {
    /// Missed events in order; none when they are no longer kept: load anew.
    pub missed: Option<Vec<StreamEvent>>,
    /// What comes.
    pub events: broadcast::Receiver<StreamEvent>,
}

/// One event of the stream.
#[derive(Clone, Debug)]
pub struct StreamEvent {
    /// Its number, where it can be resumed from.
    pub id: Option<u64>,
    /// Its name.
    pub name: &'static str,
    /// Its JSON.
    pub data: Arc<str>,
}

struct Pending {
    alarms: Vec<(Arc<AlarmFacts>, Vec<AlarmRow>)>,
    te: Option<TimeMs>,
    until: Instant,
    shown: bool,
}

/// What the desk works with.
pub struct Parts {
    /// Values.
    pub store: SeriesStore,
    /// Points.
    pub registry: watch::Receiver<Arc<Registry>>,
    /// Gateways.
    pub gateways: watch::Receiver<Arc<Vec<GatewayState>>>,
    /// Zone.
    pub stamp: Stamp,
    /// Counters.
    pub counters: Arc<Counters>,
    /// How long an annunciation waits for the journal.
    pub patience: Duration,
    /// For measurements: source time to stream, ms.
    pub latencies: Option<mpsc::Sender<i64>>,
    /// A watchdog is configured.
    pub watchdog: bool,
    /// What the journal tells of outages.
    pub packages: Book,
}

struct Desk {
    parts: Parts,
    rows: BTreeMap<(String, u64), AlarmRow>,
    firsts: FirstOuts,
    pending: BTreeMap<u64, Pending>,
    events: broadcast::Sender<StreamEvent>,
    recent: VecDeque<StreamEvent>,
    seq: u64,
    proof: Proof,
    sent_values: BTreeMap<u32, TimeMs>,
    gateways: Arc<Vec<GatewayState>>,
    flood: Option<TimeMs>,
    /// The canary in flight.
    flying: Option<(u64, Instant)>,
    /// When the newest came, and how long it took; the start counts as one.
    canary: (Instant, Option<Duration>),
    /// The watchdog's questions, and when their number grew.
    watchdog: (u64, Instant),
}

/// Starts the desk with the rows of a restored engine.
#[must_use]
pub fn start(
    parts: Parts,
    rows: Vec<AlarmRow>,
    stop: watch::Receiver<bool>,
) -> mpsc::Sender<DeskInput> {
    let (inputs, queue) = mpsc::channel(INPUTS_MAX);
    let (events, _) = broadcast::channel(STREAM_MAX);
    let mut desk = Desk {
        parts,
        rows: BTreeMap::new(),
        firsts: FirstOuts::restored(&rows),
        pending: BTreeMap::new(),
        events,
        recent: VecDeque::new(),
        seq: 1,
        proof: Proof { journal_ok: true, engine_ok: true, ..Proof::default() },
        sent_values: BTreeMap::new(),
        gateways: Arc::default(),
        flood: None,
        flying: None,
        canary: (clock::monotonic(), None),
        watchdog: (0, clock::monotonic()),
    };
    desk.replace(rows);
    tokio::spawn(desk.run(queue, stop));
    inputs
}

impl Desk {
    async fn run(mut self, mut queue: mpsc::Receiver<DeskInput>, mut stop: watch::Receiver<bool>) {
        let mut ping = tokio::time::interval(PING);
        let mut values = tokio::time::interval(VALUES);
        let mut gateways = tokio::time::interval(GATEWAYS);
        loop {
            let patience = self.next_patience();
            tokio::select! {
                biased;
                () = crate::stop::asked(&mut stop) => return,
                () = wait_until(patience) => self.lose_patience(),
                input = queue.recv() => match input {
                    Some(input) => self.take(input),
                    None => return,
                },
                _ = gateways.tick() => self.look_around(),
                _ = values.tick() => self.send_values(),
                _ = ping.tick() => self.ping(),
            }
        }
    }

    fn take(&mut self, input: DeskInput) {
        match input {
            DeskInput::Change { change, alarms, te } => {
                let until = clock::monotonic() + self.parts.patience;
                self.pending.insert(change, Pending { alarms, te, until, shown: false });
            }
            DeskInput::Recorded { change, seq } => self.recorded(change, seq),
            DeskInput::Canary { change, began } => self.flying = Some((change, began)),
            DeskInput::All(rows) => {
                self.replace(rows);
                self.send("reset", None, "{}".into());
            }
            DeskInput::Late { gateway, records, samples, from, to, excursions } => {
                let data = serde_json::json!({
                    "gateway": gateway, "records": records, "samples": samples,
                    "from": self.parts.stamp.rfc3339(from), "to": self.parts.stamp.rfc3339(to),
                    "excursions": excursions,
                });
                self.send("late", None, data.to_string());
            }
            DeskInput::Flood(since) => self.flood = since,
            DeskInput::Package(package) => self.parts.packages.take(package),
            DeskInput::Look(reply) => {
                let rows: Vec<_> = self.rows.values().cloned().collect();
                let (packages, stamp) = (&self.parts.packages, &self.parts.stamp);
                let look = Look {
                    flood: self.flood,
                    packages: packages.shown(&rows, stamp, clock::now()),
                    rows,
                    seq: self.seq,
                    gateways: self.parts.gateways.borrow().clone(),
                    proof: self.proof,
                };
                // Who asked may be gone.
                reply.send(look).ok();
            }
            DeskInput::Follow(after, reply) => {
                let follow = Follow {
                    missed: missed(&self.recent, self.seq, after),
                    events: self.events.subscribe(),
                };
                reply.send(follow).ok();
            }
        }
    }

    fn next_patience(&self) -> Option<Instant> {
        self.pending.values().filter(|p| !p.shown).map(|p| p.until).min()
    }

    /// Life before bookkeeping: what the journal has not answered in time is sounded all the same.
    fn lose_patience(&mut self) {
        let now = clock::monotonic();
        let due: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, p)| !p.shown && p.until <= now)
            .map(|(n, _)| *n)
            .collect();
        for change in due {
            let Some(pending) = self.pending.get_mut(&change) else { continue };
            pending.shown = true;
            let (alarms, te) = (pending.alarms.clone(), pending.te);
            add(&self.parts.counters.unrecorded, 1);
            warn!(change, "the journal is slow: annunciated before it is recorded");
            self.show(alarms, te, false);
        }
    }

    fn recorded(&mut self, change: u64, seq: Option<u64>) {
        if let Some((_, began)) = self.flying.take_if(|(flying, _)| *flying == change) {
            let now = clock::monotonic();
            self.canary = (now, Some(now.duration_since(began)));
        }
        let Some(pending) = self.pending.remove(&change) else { return };
        let te = pending.te.filter(|_| !pending.shown);
        self.show(pending.alarms, te, true);
        reached(Step::Annunciated);
        if let Some(seq) = seq {
            self.seq = self.seq.max(seq);
        }
    }

    fn show(
        &mut self,
        alarms: Vec<(Arc<AlarmFacts>, Vec<AlarmRow>)>,
        te: Option<TimeMs>,
        recorded: bool,
    ) {
        let registry = self.parts.registry.borrow().clone();
        for (facts, rows) in alarms {
            let others = self.firsts.change(&facts, &rows, &registry, &self.gateways);
            let lo = (facts.key.clone(), 0);
            let hi = (facts.key.clone(), u64::MAX);
            let gone: Vec<_> = self
                .rows
                .range(lo..=hi)
                .filter(|((_, number), _)| !rows.iter().any(|row| row.occurrence == *number))
                .map(|(key, _)| key.clone())
                .collect();
            for key in gone {
                if let Some(mut row) = self.rows.remove(&key) {
                    row.state = "normal";
                    row.active = false;
                    self.send_row(&row);
                }
            }
            for mut row in rows {
                row.recorded = recorded;
                let key = (facts.key.clone(), row.occurrence);
                if let Some(old) = self.rows.get(&key) {
                    keep_acknowledgement(&mut row, old);
                }
                row.first_out = self.firsts.place(&facts);
                self.send_row(&row);
                self.rows.insert(key, row);
            }
            for row in self.firsts.place_anew(&others, &mut self.rows) {
                self.send_row(&row);
            }
        }
        if let (Some(te), Some(latencies)) = (te, &self.parts.latencies) {
            // A full or closed measurement loses a figure and nothing else.
            latencies.try_send(clock::now().since(te)).ok();
        }
    }

    fn send_row(&mut self, row: &AlarmRow) {
        let data = to_json(&row.json(&self.parts.stamp));
        self.seq += 1;
        let id = Some(self.seq);
        self.send("alarm", id, data);
    }

    fn send(&mut self, name: &'static str, id: Option<u64>, data: String) {
        let event = StreamEvent { id, name, data: data.into() };
        if id.is_some() {
            if self.recent.len() >= RECENT_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(event.clone());
        }
        // No stream open is no fault.
        self.events.send(event).ok();
    }

    fn replace(&mut self, rows: Vec<AlarmRow>) {
        let old = std::mem::take(&mut self.rows);
        for mut row in rows {
            let key = (row.facts.0.key.clone(), row.occurrence);
            if let Some(old) = old.get(&key) {
                keep_acknowledgement(&mut row, old);
            }
            row.first_out = self.firsts.place(&row.facts.0);
            self.rows.insert(key, row);
        }
    }

    fn ping(&mut self) {
        let data = serde_json::json!({
            "server_time": self.parts.stamp.rfc3339(clock::now()), "proof": self.proof,
        });
        self.send("ping", None, data.to_string());
    }

    /// Once a second: gateways, and whether quiet may be believed.
    fn look_around(&mut self) {
        let gateways = self.parts.gateways.borrow_and_update().clone();
        let registry = self.parts.registry.borrow_and_update().clone();
        let now = clock::now();
        let mut newest = None;
        let mut reporting = 0;
        for known in registry.points.values() {
            let online = gateways.get(known.gateway).is_some_and(|gateway| gateway.is_online());
            let Some(sample) = self.parts.store.latest(known.id) else { continue };
            let age_ms = now.since(sample.te);
            if age_ms < -AHEAD_MAX_MS {
                // A stamp from the future proves nothing about now.
                continue;
            }
            newest = newest.max(Some(sample.te));
            let fresh = proof::is_fresh(&known.point, age_ms);
            // A value by which no limit is judged is seen by nobody.
            if online && !known.misfit && !sample.reading.is_bad() && fresh {
                reporting += 1;
            }
        }
        let points = registry.wanted();
        let steady = clock::monotonic();
        let canary_age = steady.duration_since(self.canary.0);
        let asked = get(&self.parts.counters.watchdog);
        if asked != self.watchdog.0 {
            self.watchdog = (asked, steady);
        }
        let watched = steady.duration_since(self.watchdog.1) <= WATCHDOG_LATEST;
        let was_healthy = self.proof.engine_ok && self.proof.watchdog_ok != Some(false);
        self.proof = Proof {
            data_age_ms: newest.map(|te| now.since(te).max(0)),
            points,
            reporting,
            blind: points - reporting,
            misfits: registry.misfits(),
            gateways: gateways.len(),
            gateways_online: gateways.iter().filter(|gateway| gateway.is_online()).count(),
            journal_ok: self.pending.values().all(|pending| !pending.shown),
            unrecorded: self.pending.values().filter(|pending| pending.shown).count(),
            engine_ok: canary_age <= CANARY_LATEST,
            canary_age_ms: self.canary.1.map(|_| millis(canary_age)),
            canary_ms: self.canary.1.map(millis),
            watchdog_ok: self.parts.watchdog.then_some(watched),
        };
        let healthy = self.proof.engine_ok && self.proof.watchdog_ok != Some(false);
        if healthy != was_healthy {
            // Not at the next ping: somebody must see it now.
            self.ping();
        }
        if *gateways != *self.gateways {
            for gateway in gateways.iter() {
                let known = self.gateways.iter().find(|old| old.gateway == gateway.gateway);
                if known.is_none_or(|old| old.visibly_differs(gateway)) {
                    self.send("gateway", None, to_json(&gateway.json(&self.parts.stamp)));
                }
            }
            self.gateways = gateways;
        }
    }

    fn send_values(&mut self) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let mut changed = Vec::new();
        for (point, sample) in self.parts.store.latest_all() {
            if self.sent_values.insert(point, sample.te) == Some(sample.te) {
                continue;
            }
            changed.push((
                point,
                sample.reading.value(),
                sample.reading.word(),
                self.parts.stamp.rfc3339(sample.te),
            ));
        }
        if changed.is_empty() {
            return;
        }
        let t = self.parts.stamp.rfc3339(clock::now());
        let data = serde_json::json!({ "t": t, "v": changed });
        self.send("values", None, data.to_string());
    }
}

/// What came after an event, oldest first; none when it is no longer kept or was never sent.
fn missed(
    recent: &VecDeque<StreamEvent>,
    newest: u64,
    after: Option<u64>,
) -> Option<Vec<StreamEvent>> {
    let Some(after) = after.filter(|after| *after != newest) else { return Some(Vec::new()) };
    let oldest = recent.front().and_then(|event| event.id)?;
    if after > newest || after.saturating_add(1) < oldest {
        return None;
    }
    Some(recent.iter().filter(|event| event.id.is_some_and(|id| id > after)).cloned().collect())
}

fn keep_acknowledgement(row: &mut AlarmRow, old: &AlarmRow) {
    if row.acked_at.is_none() && row.acked_by == old.acked_by {
        row.acked_at = old.acked_at;
        if row.comment.is_empty() {
            row.comment.clone_from(&old.comment);
        }
    }
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

/// As JSON rows.
#[must_use]
pub fn json_rows<'a>(rows: &'a [AlarmRow], stamp: &Stamp) -> Vec<AlarmJson<'a>> {
    rows.iter().map(|row| row.json(stamp)).collect()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Asks the desk for everything.
pub async fn look(desk: &mpsc::Sender<DeskInput>) -> Option<Look> {
    let (reply, answer) = oneshot::channel();
    desk.send(DeskInput::Look(reply)).await.ok()?;
    answer.await.ok()
}

/// Asks the desk for the stream.
pub async fn follow(desk: &mpsc::Sender<DeskInput>, after: Option<u64>) -> Option<Follow> {
    let (reply, answer) = oneshot::channel();
    desk.send(DeskInput::Follow(after, reply)).await.ok()?;
    answer.await.ok()
}

/// True when at least one row of the journal was made and none is missing.
#[must_use]
pub fn all_journaled(counters: &Counters) -> bool {
    get(&counters.raised) == get(&counters.journaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_comes_back_gets_what_it_missed_or_is_told_to_load_anew() {
        let event = |id| StreamEvent { id: Some(id), name: "alarm", data: "{}".into() };
        let recent: VecDeque<StreamEvent> = (10..=14).map(event).collect();
        let ids = |after| {
            let missed = missed(&recent, 14, after)?;
            Some(missed.iter().filter_map(|event| event.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(None), Some(vec![]));
        assert_eq!(ids(Some(14)), Some(vec![]));
        assert_eq!(ids(Some(12)), Some(vec![13, 14]));
        assert_eq!(ids(Some(9)), Some(vec![10, 11, 12, 13, 14]));
        assert_eq!(ids(Some(8)), None, "no longer kept");
        assert_eq!(ids(Some(15)), None, "never sent");
        assert_eq!(ids(Some(u64::MAX)), None, "nor this");
    }
}
