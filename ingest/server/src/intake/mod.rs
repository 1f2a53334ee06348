//! The intake: what gateways send becomes samples, ledger entries and acknowledgements.
//!
//! - Whatever cannot be used is counted, quarantined and answered; the stream goes on.
//! - A batch under an unknown catalogue is parked, bounded, until the birth that it asks for comes.
//! - Nothing is acknowledged but what the store has committed.

mod clock_watch;
mod gateway;
mod orders;
mod quarantine;
mod set_back;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use fengsui_store::{ConfigDb, SeriesStore};
use fengsui_telemetry::wire::{
    Birth, Channel, WireFault, catalogue_bytes, decode_batch, decode_beat, decode_birth,
};
use fengsui_telemetry::{Epoch, Lane, Revision, TimeMs};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::alarm_loop::{Input, Judge, Stored};
use crate::clock;
use crate::config::AlarmSettings;
use crate::counters::{Counters, add};
use crate::limits::Change;
use crate::link::{Answers, Incoming};
use crate::registry::{Numbered, Registry};

pub use clock_watch::ClockReport;
use gateway::{Taken, Watched};
pub use quarantine::Quarantine;
pub use state::GatewayState;

/// Messages between the connection and the intake: at 100 samples each, a burst of 25,000.
pub const MESSAGES_MAX: usize = 256;
/// Notices of the store that wait for the intake.
pub const NOTICES_MAX: usize = 4_096;
/// Acknowledgements are repeated this often, since any of them may be lost.
const REPEAT: Duration = Duration::from_secs(2);
/// Patience of live samples with a full alarm loop.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_STEP: Duration = Duration::from_millis(5);
/// Limits that do not fit a catalogue and that the log names; the desk lists more.
const MISFITS_NAMED: usize = 20;

/// What the intake works with.
pub struct Parts {
    /// The series store.
    pub store: SeriesStore,
    /// The catalogues.
    pub config_db: Arc<ConfigDb>,
    /// The alarm loop.
    pub alarms: SyncSender<Input>,
    /// The engine's constants.
    pub settings: AlarmSettings,
    /// Gateways and points, as restored.
    pub registry: Registry,
    /// What the engine knows of each gateway.
    pub engine: Vec<Remembered>,
    /// Tells everybody of a new registry.
    pub registry_out: watch::Sender<Arc<Registry>>,
    /// Tells everybody how the gateways do.
    pub gateways_out: watch::Sender<Arc<Vec<GatewayState>>>,
    /// Acknowledgements.
    pub answers: Answers,
    /// Counters.
    pub counters: Arc<Counters>,
    /// Where unusable messages go.
    pub quarantine: Quarantine,
    /// The signed limits of each gateway, as far as there are any.
    pub orders: Vec<Option<Vec<u8>>>,
    /// Limits that come into force.
    pub changes: mpsc::Receiver<Change>,
}

/// What a restored engine knows of a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Remembered {
    /// When it was last heard.
    pub heard: Option<TimeMs>,
    /// The latest stamp that was taken in order.
    pub newest: Option<TimeMs>,
    /// Its clock was last found wrong.
    pub clock_bad: bool,
}

struct Intake {
    parts: Parts,
    watched: Vec<Watched>,
}

/// Runs until asked to stop.
///
/// # Errors
/// The store's ledger cannot be read.
pub async fn run(
    mut parts: Parts,
    mut messages: mpsc::Receiver<Incoming>,
    mut notices: mpsc::Receiver<Stored>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut watched: Vec<Watched> =
        parts.registry.gateways.iter().map(|gateway| Watched::new(gateway.id.clone())).collect();
    for (gateway, order) in watched.iter_mut().zip(parts.orders.drain(..)) {
        gateway.sending = orders::Sending::new(order);
    }
    let mut running: BTreeMap<_, _> =
        parts.config_db.running()?.into_iter().map(|(id, run, why)| (id, (run, why))).collect();
    for (gateway, engine) in watched.iter_mut().zip(parts.engine.drain(..)) {
        let running = running.remove(gateway.id.as_str());
        gateway.remember(engine, running.map(|(limits, fault)| (Revision(limits), fault)));
    }
    for row in parts.store.ledgers()? {
        if let Some(gateway) = watched.iter_mut().find(|w| w.id.as_str() == row.gateway) {
            gateway.ledger.restore(Epoch(row.epoch), row.lo, row.hi);
        }
    }
    let mut intake = Intake { parts, watched };
    let mut repeat = tokio::time::interval(REPEAT);
    loop {
        tokio::select! {
            biased;
            () = crate::stop::asked(&mut stop) => return Ok(()),
            Some(notice) = notices.recv() => {
                intake.stored(&notice);
                while let Ok(notice) = notices.try_recv() {
                    intake.stored(&notice);
                }
                intake.acknowledge(false);
            }
            Some(change) = intake.parts.changes.recv() => intake.change(change).await,
            message = messages.recv() => match message {
                Some(message) => intake.take(message).await,
                None => return Ok(()),
            },
            _ = repeat.tick() => {
                intake.settle_waiting().await;
                intake.acknowledge(true);
                intake.send_orders();
                intake.publish_states();
            }
        }
    }
}

impl Intake {
    async fn take(&mut self, message: Incoming) {
        let Some(index) = self.parts.registry.gateway(&message.topic.gateway) else {
            add(&self.parts.counters.strangers, 1);
            let gateway = &message.topic.gateway;
            self.parts.quarantine.keep(&message.topic, &message.payload, "unknown gateway");
            warn!(%gateway, "a gateway that no [[gateway]] names; add it to the configuration");
            return;
        };
        let result = match message.topic.channel {
            Channel::Live => self.batch(index, Lane::Live, &message).await,
            Channel::Backlog => self.batch(index, Lane::Backlog, &message).await,
            Channel::Birth => self.birth(index, &message).await,
            Channel::Beat => self.beat(index, &message),
            Channel::Ack | Channel::Limits => Ok(()),
        };
        if let Err(fault) = result {
            self.refuse(index, &message, &fault);
        }
    }

    fn refuse(&mut self, index: usize, message: &Incoming, fault: &WireFault) {
        add(&self.parts.counters.undecodable, 1);
        let why = format!("{}: {fault}", message.topic.channel.word());
        warn!(gateway = %message.topic.gateway, %fault, "message not usable");
        self.parts.quarantine.keep(&message.topic, &message.payload, &why);
        if let Some(watched) = self.watched.get_mut(index) {
            watched.refused(why);
        }
    }

    async fn batch(
        &mut self,
        index: usize,
        lane: Lane,
        message: &Incoming,
    ) -> Result<(), WireFault> {
        let batch = decode_batch(&message.payload)?;
        if batch.head.gateway != message.topic.gateway {
            let why =
                format!("is {}, the topic says {}", batch.head.gateway, message.topic.gateway);
            return Err(WireFault::Field { message: "batch", field: "gateway", why });
        }
        add(&self.parts.counters.batches, 1);
        add(&self.parts.counters.batch_bytes, message.payload.len() as u64);
        let Some(watched) = self.watched.get_mut(index) else { return Ok(()) };
        watched.heard(clock::now());
        let catalogues = self.parts.registry.gateways.get(index).map(|g| &g.catalogues);
        let Some(numbered) = catalogues.and_then(|all| all.get(&batch.head.catalogue)).cloned()
        else {
            watched.park(lane, batch, &self.parts.counters);
            self.acknowledge(false);
            return Ok(());
        };
        self.judge(index, lane, batch, &numbered).await;
        Ok(())
    }

    async fn judge(
        &mut self,
        index: usize,
        lane: Lane,
        batch: fengsui_telemetry::wire::Batch,
        numbered: &Numbered,
    ) {
        let Some(watched) = self.watched.get_mut(index) else { return };
        let (epoch, end) = (batch.head.epoch, batch.end());
        match watched.accept(lane, batch, numbered, clock::now(), &self.parts) {
            Taken::Nothing => {}
            Taken::Judge(judge) => {
                if !self.hand_over(judge, lane).await {
                    add(&self.parts.counters.shed, 1);
                    if let Some(watched) = self.watched.get_mut(index) {
                        watched.shed(epoch, end);
                    }
                }
            }
        }
    }

    /// To the alarm loop; live samples wait for room, backlog does not.
    async fn hand_over(&mut self, judge: Box<Judge>, lane: Lane) -> bool {
        let offsets = judge.intake.offsets.clone();
        let (gateway, epoch) = (judge.gateway, Epoch(judge.intake.epoch));
        let mut input = Input::Judge(judge);
        let patience = clock::monotonic() + PATIENCE;
        loop {
            match self.parts.alarms.try_send(input) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) => {
                    if lane == Lane::Backlog || clock::monotonic() > patience {
                        break;
                    }
                    input = back;
                    tokio::time::sleep(PATIENCE_STEP).await;
                }
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        if let Some(watched) = self.watched.get_mut(gateway) {
            for (lo, hi) in offsets {
                watched.ledger.forget(epoch, lo, hi);
            }
        }
        false
    }

    async fn birth(&mut self, index: usize, message: &Incoming) -> Result<(), WireFault> {
        let birth = decode_birth(&message.payload)?;
        if birth.gateway != message.topic.gateway {
            let why = format!("is {}, the topic says {}", birth.gateway, message.topic.gateway);
            return Err(WireFault::Field { message: "birth", field: "gateway", why });
        }
        let Some(watched) = self.watched.get_mut(index) else { return Ok(()) };
        if !birth.online {
            watched.said_offline();
            info!(gateway = %birth.gateway, "the broker has lost the gateway");
            self.publish_states();
            return Ok(());
        }
        self.learn(index, &birth);
        let Some(watched) = self.watched.get_mut(index) else { return Ok(()) };
        let lost = watched.born(index, &birth, clock::now());
        self.remember(index);
        self.tell(Input::Heard(index));
        if let Some(judge) = lost {
            self.hand_over(judge, Lane::Live).await;
        }
        self.unpark(index).await;
        self.acknowledge(false);
        self.send_orders();
        self.publish_states();
        Ok(())
    }

    /// Takes the birth's catalogue into force, if it is another one.
    fn learn(&mut self, index: usize, birth: &Birth) {
        let Some(catalogue) = &birth.catalogue else { return };
        let revision = birth.catalogue_revision;
        let Some(gateway) = self.parts.registry.gateways.get(index) else { return };
        if gateway.current == Some(revision) {
            return;
        }
        let bytes = catalogue_bytes(catalogue);
        let tags: Vec<&str> = catalogue.points.iter().map(|point| point.tag.as_str()).collect();
        let ids = self.parts.config_db.register(birth.gateway.as_str(), revision.0, &bytes, &tags);
        let ids = match ids {
            Ok(ids) => ids,
            Err(fault) => {
                warn!(gateway = %birth.gateway, %fault, "catalogue not saved; asking for it again");
                return;
            }
        };
        info!(gateway = %birth.gateway, %revision, points = tags.len(), "catalogue in force");
        let numbered = Numbered { catalogue: catalogue.clone(), ids };
        self.parts.registry.learn(index, revision, numbered, true);
        self.warn_of_misfits(index);
        let registry = Arc::new(self.parts.registry.clone());
        let plan = registry.plan(self.parts.settings);
        self.parts.registry_out.send_replace(registry.clone());
        self.tell(Input::Registry(registry, plan));
    }

    /// Limits that are not judged as they are meant; the desk lists them as well.
    fn warn_of_misfits(&self, index: usize) {
        let Some(gateway) = self.parts.registry.gateways.get(index) else { return };
        for misfit in gateway.misfits.iter().take(MISFITS_NAMED) {
            let alarm = misfit.name();
            warn!(gateway = %gateway.id, alarm, row = misfit.row, judged = misfit.judged,
                "限值与点表不符 {} / limits and catalogue do not fit: {}", misfit.zh, misfit.en);
        }
    }

    async fn unpark(&mut self, index: usize) {
        let Some(watched) = self.watched.get_mut(index) else { return };
        for (lane, batch) in watched.unpark(&self.parts.counters) {
            let catalogues = self.parts.registry.gateways.get(index).map(|g| &g.catalogues);
            let known = catalogues.and_then(|all| all.get(&batch.head.catalogue)).cloned();
            match (known, self.watched.get_mut(index)) {
                (Some(numbered), _) => self.judge(index, lane, batch, &numbered).await,
                (None, Some(watched)) => watched.park(lane, batch, &self.parts.counters),
                (None, None) => {}
            }
        }
    }

    fn beat(&mut self, index: usize, message: &Incoming) -> Result<(), WireFault> {
        let beat = decode_beat(&message.payload)?;
        if beat.gateway != message.topic.gateway {
            let why = format!("is {}, the topic says {}", beat.gateway, message.topic.gateway);
            return Err(WireFault::Field { message: "beat", field: "gateway", why });
        }
        let known = self.parts.registry.gateways.get(index).and_then(|g| g.current);
        self.tell(Input::Heard(index));
        if let Some(watched) = self.watched.get_mut(index) {
            watched.beat(&beat, known, clock::now());
            for report in watched.clock.reports() {
                self.tell(Input::Clock(index, report));
            }
        }
        self.remember(index);
        Ok(())
    }

    /// Keeps what a gateway says of its limits: rare, like a birth.
    fn remember(&mut self, index: usize) {
        let Some(watched) = self.watched.get_mut(index) else { return };
        let Some((limits, fault)) = watched.unremembered() else { return };
        let name = watched.id.as_str();
        match self.parts.config_db.remember_running(name, limits.0, &fault) {
            Ok(()) => watched.is_remembered((limits, fault)),
            Err(fault) => warn!(gateway = name, %fault, "its limits are not remembered yet"),
        }
    }

    fn tell(&self, input: Input) {
        // A full queue means that the gateway's samples are on their way: a sign of life as well.
        if let Err(TrySendError::Disconnected(_)) = self.parts.alarms.try_send(input) {
            warn!("the alarm loop has ended");
        }
    }

    async fn settle_waiting(&mut self) {
        let now = clock::monotonic();
        let due: Vec<usize> =
            (0..).zip(&self.watched).filter(|(_, w)| w.settle_due(now)).map(|(i, _)| i).collect();
        for index in due {
            if let Some(judge) = self.watched.get_mut(index).map(|w| w.settle(index)) {
                self.hand_over(judge, Lane::Live).await;
            }
        }
    }

    fn stored(&mut self, notice: &Stored) {
        let Some(watched) = self.watched.get_mut(notice.gateway) else { return };
        watched.stored(notice);
    }

    fn acknowledge(&mut self, all: bool) {
        for watched in &mut self.watched {
            if let Some(ack) = watched.ack(all, clock::now()) {
                self.parts.answers.send(&watched.id, &ack);
            }
        }
    }

    fn publish_states(&mut self) {
        let now = clock::now();
        let states: Vec<GatewayState> = self
            .watched
            .iter()
            .zip(&self.parts.registry.gateways)
            .map(|(watched, gateway)| watched.state(gateway, now))
            .collect();
        self.parts.gateways_out.send_if_modified(|old| {
            let differs = **old != states;
            if differs {
                *old = Arc::new(states);
            }
            differs
        });
    }
}
