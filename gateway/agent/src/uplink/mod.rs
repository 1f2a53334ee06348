//! From the spool to the centre.
//!
//! - [`Uplink`] decides what to offer on which lane; here are the connection, the reading from the
//!   spool and the heartbeat.
//! - A record is published only after the spool has committed it, and counts as delivered only
//!   when the centre's acknowledgement says so.
//! - A slow spool holds up offers, never heartbeats.

mod identity;
mod pump;

use std::sync::Arc;
use std::time::Duration;

use fengsui_telemetry::ledger::Durable;
use fengsui_telemetry::uplink::{Acked, Offer, Uplink};
use fengsui_telemetry::wire::{
    BatchHead, Beat, Birth, Channel, Topic, decode_ack, encode_batch, encode_beat, encode_birth,
    encode_birth_around,
};
use fengsui_telemetry::{Epoch, Lane, Offset, Revision, TimeMs};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use crate::alarm::LoopState;
use crate::clock::Clock;
use crate::config::UplinkConfig;
use crate::packed::Packed;
use crate::spool::{Chunk, Job, SpoolHandle, SpoolState};
pub(crate) use identity::Identity;
use pump::Said;

/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(5);
/// Bytes of records in one batch: an eighth of a packet, so that a slow link turns often between
/// the lanes.
const BATCH_BYTES: usize = 128 << 10;
/// Pause after a full request channel or a busy spool.
const AGAIN_MS: u64 = 20;
/// A centre that said nothing for three of its rounds was away.
const AWAY_MS: u64 = 6_000;
/// A centre that said nothing for three heartbeats is silent: it repeats its word every four
/// seconds at least.
const ALONE_MS: u64 = 15_000;
/// How long the last records may take to be acknowledged at the end.
const DRAIN_MS: u64 = 5_000;
/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_millis(500);
/// An acknowledgement below what was acknowledged before must come twice: then the centre has lost
/// data and is offered again what is kept.
const REGRESSIONS: u32 = 2;
/// Between two requests for a new epoch: acknowledgements that a broker kept come in a flood, and
/// one new epoch is the answer to all of them.
const ANEW_MS: u64 = 10_000;

/// What the uplink listens to.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) spool: SpoolHandle,
    pub(crate) alarms: watch::Receiver<LoopState>,
    /// To the siren: the centre is silent.
    pub(crate) alone: watch::Sender<bool>,
    /// Turns once everything is in the spool and the end is near.
    pub(crate) phase: watch::Receiver<Phase>,
    /// Where limits of the centre go; none: they are not asked for.
    pub(crate) orders: Option<mpsc::Sender<Vec<u8>>>,
    pub(crate) refusals: Refusals,
}

/// Why the last limits of the centre were refused, and why the last reload was; empty while they
/// were not.
#[derive(Clone, Debug)]
pub(crate) struct Refusals(pub(crate) [watch::Receiver<String>; 2]);

impl Refusals {
    /// In one line.
    pub(crate) fn said(&self) -> String {
        let said: Vec<String> = self.0.iter().map(|fault| fault.borrow().clone()).collect();
        said.into_iter().filter(|fault| !fault.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Go on.
    Run,
    /// The gateway ends: deliver what can be delivered, and say goodbye.
    Drain,
    /// The gateway comes back at once: hang up without a word.
    Pause,
}

/// A read on its way from the spool.
struct Reading {
    offer: Offer,
    answer: oneshot::Receiver<Option<Chunk>>,
}

struct Task {
    identity: Arc<Identity>,
    clock: Clock,
    client: AsyncClient,
    spool: SpoolHandle,
    alarms: watch::Receiver<LoopState>,
    orders: Option<mpsc::Sender<Vec<u8>>>,
    refusals: Refusals,
    state: SpoolState,
    machine: Uplink,
    connected: bool,
    /// Subscription and birth are still to be sent.
    greeting: bool,
    reading: Option<Reading>,
    /// Nothing is offered before this, monotonic ms.
    not_before: u64,
    regressions: u32,
    /// Before this, monotonic ms, no further epoch is asked for.
    anew_at: u64,
    beats: u64,
    /// When the centre was heard last, monotonic ms.
    heard_at: u64,
    /// The same, untouched by what was done about it.
    acked_at: u64,
    /// The siren has been told that the centre is silent.
    alone: bool,
    /// To the siren: nobody at the centre sees what is measured here.
    alone_out: watch::Sender<bool>,
    /// What the centre complained of last.
    complaint: String,
    /// Why the broker refused last.
    refusal: String,
}

/// Runs until drained.
pub(crate) async fn run(
    config: UplinkConfig,
    identity: Arc<Identity>,
    clock: Clock,
    inputs: Inputs,
) {
    let client_id = format!("fengsui-{}", identity.gateway);
    let topic = Topic { gateway: identity.gateway.clone(), channel: Channel::Birth };
    let will = match encode_birth(&offline(&identity)) {
        Ok(will) => will,
        Err(fault) => {
            error!(%fault, "the will cannot be encoded; nothing is sent to the centre");
            return;
        }
    };
    let (client, mut said, pump) = pump::start(&config, &client_id, (&topic, will));
    let mut spool = inputs.spool.state();
    let state = spool.borrow_and_update().clone();
    let machine = Uplink::new(state.epoch, state.durable_next, state.next);
    let mut task = Task {
        identity,
        clock,
        client,
        spool: inputs.spool,
        alarms: inputs.alarms,
        orders: inputs.orders,
        refusals: inputs.refusals,
        state,
        machine,
        connected: false,
        greeting: false,
        reading: None,
        not_before: 0,
        regressions: 0,
        anew_at: 0,
        beats: 0,
        heard_at: clock.mono_ms(),
        acked_at: clock.mono_ms(),
        alone: false,
        alone_out: inputs.alone,
        complaint: String::new(),
        refusal: String::new(),
    };
    task.work(&mut said, &mut spool, inputs.phase.clone()).await;
    let phase = *inputs.phase.borrow();
    task.farewell(&mut said, phase).await;
    pump.abort();
}

impl Task {
    async fn work(
        &mut self,
        said: &mut mpsc::Receiver<Said>,
        spool: &mut watch::Receiver<SpoolState>,
        mut phase: watch::Receiver<Phase>,
    ) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drain_until = None;
        loop {
            self.offer();
            self.notice_silence();
            if let Some(until) = drain_until
                && (self.is_drained() || self.clock.mono_ms() >= until)
            {
                return;
            }
            let wake = self.wake(drain_until);
            tokio::select! {
                biased;
                ended = phase.wait_for(|phase| *phase != Phase::Run), if drain_until.is_none() => {
                    // A sender that is gone asks for the end as well.
                    match ended.map_or(Phase::Drain, |phase| *phase) {
                        Phase::Pause => return,
                        Phase::Run | Phase::Drain => {}
                    }
                    drain_until = Some(self.clock.mono_ms() + DRAIN_MS);
                    let state = spool.borrow_and_update().clone();
                    self.committed(state);
                }
                event = said.recv() => match event {
                    Some(event) => self.hear(event),
                    None => return,
                },
                chunk = answer(&mut self.reading) => self.publish(chunk),
                changed = spool.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let state = spool.borrow_and_update().clone();
                    self.committed(state);
                }
                _ = beat.tick() => self.beat(),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Nothing can be delivered any more, or nothing is left.
    fn is_drained(&self) -> bool {
        !self.connected || self.machine.durable_next() == self.machine.next()
    }

    fn wake(&self, drain_until: Option<u64>) -> tokio::time::Instant {
        let now = self.clock.mono_ms();
        let beat_ms = u64::try_from(BEAT.as_millis()).unwrap_or(5_000);
        let machine = self.machine.wake_at().map(|at| at.since(self.steady()));
        let machine = machine.map(|ms| u64::try_from(ms).unwrap_or(0));
        let paused = (self.not_before > now).then(|| self.not_before - now);
        let drain = drain_until.map(|until| until.saturating_sub(now));
        let ms = [machine, paused, drain].into_iter().flatten().min().unwrap_or(beat_ms);
        self.clock.instant_after(ms.clamp(1, beat_ms))
    }

    /// Asks the spool for what is to be published next. Before that the centre must know whose it
    /// is, and the way back must be open.
    fn offer(&mut self) {
        if self.reading.is_some() || self.clock.mono_ms() < self.not_before {
            return;
        }
        if self.greeting && self.connected {
            if !(self.subscribe() && self.birth()) {
                self.pause();
                return;
            }
            self.greeting = false;
        }
        let Some(offer) = self.machine.offer(self.steady()) else { return };
        let (reply, answer) = oneshot::channel();
        let job = Job::Read { from: offer.from, to: offer.to, bytes: BATCH_BYTES, reply };
        match self.spool.send(job) {
            Ok(()) => self.reading = Some(Reading { offer, answer }),
            Err(_busy) => self.pause(),
        }
    }

    /// Patience is measured on the monotonic clock: setting the wall clock moves no delay.
    fn steady(&self) -> TimeMs {
        TimeMs(i64::try_from(self.clock.mono_ms()).unwrap_or(i64::MAX))
    }

    fn pause(&mut self) {
        self.not_before = self.clock.mono_ms() + AGAIN_MS;
    }

    fn publish(&mut self, chunk: Option<Chunk>) {
        let Some(Reading { offer, .. }) = self.reading.take() else { return };
        let Some(chunk) = chunk.filter(|chunk| chunk.epoch == self.machine.epoch()) else {
            self.pause();
            return;
        };
        if !self.connected {
            return;
        }
        let channel = match offer.lane {
            Lane::Live => Channel::Live,
            Lane::Backlog => Channel::Backlog,
        };
        let head = BatchHead {
            gateway: self.identity.gateway.clone(),
            epoch: chunk.epoch,
            first: chunk.first,
            catalogue: chunk.catalogue,
        };
        let (first, end) = (chunk.first, chunk.end);
        let bytes = match encode_batch(&head, chunk.sealed) {
            Ok(bytes) => bytes,
            Err(fault) => {
                error!(first, end, %fault, "records cannot be sent");
                self.pause();
                return;
            }
        };
        if self.send(channel, false, bytes) {
            self.machine.gave(first, end);
            let to = end.min(self.machine.next()).max(offer.from + 1);
            self.machine.published(Offer { to, ..offer }, self.steady());
        } else {
            self.pause();
        }
    }

    /// False: the channel to the connection is full; nothing was sent.
    fn send(&self, channel: Channel, retain: bool, payload: Vec<u8>) -> bool {
        let topic = Topic { gateway: self.identity.gateway.clone(), channel };
        self.client.try_publish(topic.to_string(), QoS::AtLeastOnce, retain, payload).is_ok()
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Connected => self.greet(),
            Said::Gone => {
                self.connected = false;
                self.machine.disconnected();
            }
            Said::Ack(bytes) => self.acknowledged(&bytes),
            Said::Limits(bytes) => self.ordered(bytes),
            Said::Refused(why) => {
                if why != self.refusal {
                    warn!(why, "broker refuses publications");
                }
                self.refusal = why;
            }
        }
    }

    fn greet(&mut self) {
        self.connected = true;
        self.heard_at = self.clock.mono_ms();
        self.machine.connected();
        self.greeting = true;
    }

    fn subscribe(&self) -> bool {
        let ask = |channel| {
            let topic = Topic { gateway: self.identity.gateway.clone(), channel };
            self.client.try_subscribe(topic.to_string(), QoS::AtLeastOnce).is_ok()
        };
        ask(Channel::Ack) && (self.orders.is_none() || ask(Channel::Limits))
    }

    /// The centre repeats what was not taken.
    fn ordered(&self, payload: Vec<u8>) {
        if let Some(orders) = &self.orders
            && orders.try_send(payload).is_err()
        {
            warn!("limits of the centre are left out: others are still being checked");
        }
    }

    /// The present catalogue, retained; before it those of older records that the centre may not
    /// have. False: not everything could be sent.
    fn birth(&self) -> bool {
        let durable = self.machine.durable_next();
        let old = self.identity.old_catalogues.iter().filter(|old| durable < old.until);
        let mut sent = true;
        for old in old {
            sent &= self.send_birth(old.revision, &old.bytes, false);
        }
        sent && self.send_birth(self.identity.catalogue_revision, &self.identity.catalogue, true)
    }

    fn send_birth(&self, revision: Revision, catalogue: &Packed, retain: bool) -> bool {
        let birth = Birth {
            gateway: self.identity.gateway.clone(),
            online: true,
            epoch: self.machine.epoch(),
            oldest: self.state.oldest.min(self.machine.next()),
            next: self.machine.next(),
            boot: self.clock.boot(),
            catalogue_revision: revision,
            catalogue: None,
            limits_revision: self.alarms.borrow().limits,
            software: format!("fengsui-gateway {}", env!("CARGO_PKG_VERSION")),
        };
        let plain = catalogue.plain().map_err(|fault| fault.to_string());
        let encoded = plain.and_then(|catalogue| {
            encode_birth_around(&birth, &catalogue).map_err(|fault| fault.to_string())
        });
        match encoded {
            Ok(bytes) => self.send(Channel::Birth, retain, bytes),
            Err(fault) => {
                error!(%fault, "birth cannot be encoded");
                true
            }
        }
    }

    fn beat(&mut self) {
        if !self.connected {
            return;
        }
        self.beats += 1;
        let now = self.clock.wall();
        let unacked_for = self.state.unacked_since.map_or(0, |te| now.since(te).max(0));
        let alarms = self.alarms.borrow().clone();
        let beat = Beat {
            gateway: self.identity.gateway.clone(),
            epoch: self.machine.epoch(),
            next: self.machine.next(),
            oldest: self.state.oldest.min(self.machine.next()),
            durable_next: self.machine.durable_next(),
            spool_bytes: self.state.bytes,
            oldest_unacked_ms: unacked_for,
            catalogue_revision: self.identity.catalogue_revision,
            limits_revision: alarms.limits,
            alarm_loop_turns: alarms.turns,
            clock: now,
            devices: alarms.devices.into_iter().chain(alarms.outputs).collect(),
            counter: self.beats,
            limits_fault: self.refusals.said(),
            storage: self.state.storage,
            storage_fault: self.state.complaint(),
            spool_quota: self.state.quota,
        };
        if !self.send(Channel::Beat, false, encode_beat(&beat)) {
            debug!("no room for a beat");
        }
    }

    fn committed(&mut self, state: SpoolState) {
        if state.epoch == self.machine.epoch() {
            self.machine.committed(state.next);
            self.state = state;
            return;
        }
        info!(epoch = state.epoch.0, "spool began a new epoch");
        self.state = state;
        let SpoolState { epoch, durable_next, next, .. } = self.state;
        self.machine = Uplink::new(epoch, durable_next, next);
        self.begin_again();
    }

    fn begin_again(&mut self) {
        self.reading = None;
        self.regressions = 0;
        if self.connected {
            self.greet();
        }
    }

    fn acknowledged(&mut self, bytes: &[u8]) {
        let ack = match decode_ack(bytes) {
            Ok(ack) => ack,
            Err(fault) => {
                warn!(%fault, "acknowledgement is not readable");
                return;
            }
        };
        self.notice_return();
        if ack.durable.epoch == self.machine.epoch() {
            self.clock.told(ack.clock);
        }
        if ack.birth_wanted {
            self.greeting = true;
        }
        if !ack.fault.is_empty() && ack.fault != self.complaint {
            warn!(fault = ack.fault, "centre cannot use what is sent");
        }
        self.complaint.clone_from(&ack.fault);
        let durable = &ack.durable;
        match self.machine.acknowledged(durable) {
            Acked::Through(next) => {
                self.regressions = 0;
                self.durable(next);
            }
            Acked::Behind => self.regressed(durable.next),
            Acked::Nothing => self.regressions = 0,
            Acked::Foreign if durable.epoch == self.machine.epoch() => self.went_back(durable),
            Acked::Foreign => debug!(epoch = durable.epoch.0, "acknowledgement of another epoch"),
        }
    }

    /// The centre has offsets that this spool never gave away: an old copy of it was put back.
    fn went_back(&mut self, durable: &Durable) {
        let now = self.clock.mono_ms();
        if now < self.anew_at {
            return;
        }
        let theirs = durable.islands.last().map_or(durable.next, |(_, end)| *end);
        error!(theirs, ours = self.machine.next(), "spool went back");
        if self.spool.send(Job::NewEpoch).is_err() {
            warn!("spool is busy; asked again with the next acknowledgement");
            return;
        }
        self.anew_at = now + ANEW_MS;
    }

    /// The centre speaks every two seconds. After a longer silence it was away, and what was on
    /// its way to it may be gone: all of it is offered again at once, and new records are live.
    fn notice_return(&mut self) {
        let now = self.clock.mono_ms();
        if self.connected && now.saturating_sub(self.heard_at) > AWAY_MS {
            self.machine.connected();
        }
        self.heard_at = now;
        self.acked_at = now;
    }

    /// A centre that says nothing for too long leaves this site alone: the people here must know.
    fn notice_silence(&mut self) {
        let silent = self.clock.mono_ms().saturating_sub(self.acked_at);
        let alone = silent >= ALONE_MS;
        if alone != self.alone {
            self.alone = alone;
            self.alone_out.send_replace(alone);
            if alone {
                warn!(silent_ms = silent, "the centre is silent: only the local alarms are left");
            } else {
                info!("the centre is back");
            }
        }
    }

    /// The centre says that it has less than it had.
    fn regressed(&mut self, next: Offset) {
        self.regressions += 1;
        if self.regressions >= REGRESSIONS {
            warn!(had = self.machine.durable_next(), has = next, "centre lost records; sent again");
            let from = next.max(self.state.oldest).min(self.state.next);
            self.machine.lost(from);
            self.begin_again();
            self.durable(from);
        }
    }

    fn durable(&self, next: Offset) {
        if self.spool.send(Job::Durable(next)).is_err() {
            debug!("spool is busy; the next acknowledgement says it again");
        }
    }

    /// Says good-bye, so that nobody waits for the will; before a pause it only hangs up, which
    /// takes the will back.
    async fn farewell(&mut self, said: &mut mpsc::Receiver<Said>, phase: Phase) {
        if !self.connected {
            return;
        }
        let topic = Topic { gateway: self.identity.gateway.clone(), channel: Channel::Birth };
        let Ok(bytes) = encode_birth(&offline(&self.identity)) else { return };
        let client = self.client.clone();
        let goodbye = async move {
            let said_so = phase == Phase::Pause
                || client.publish(topic.to_string(), QoS::AtLeastOnce, true, bytes).await.is_ok();
            if said_so && let Err(fault) = client.disconnect().await {
                debug!(%fault, "no farewell");
            }
            // The pump ends with the connection.
            while said.recv().await.is_some_and(|event| event != Said::Gone) {}
        };
        if timeout(FAREWELL, goodbye).await.is_err() {
            debug!("farewell took too long");
        }
    }
}

/// The answer of a read on its way; for ever where there is none.
async fn answer(reading: &mut Option<Reading>) -> Option<Chunk> {
    match reading {
        Some(reading) => (&mut reading.answer).await.ok().flatten(),
        None => std::future::pending().await,
    }
}

fn offline(identity: &Identity) -> Birth {
    Birth {
        gateway: identity.gateway.clone(),
        online: false,
        epoch: Epoch(0),
        oldest: 0,
        next: 0,
        boot: 0,
        catalogue_revision: Revision(0),
        catalogue: None,
        limits_revision: Revision(0),
        software: String::new(),
    }
}
