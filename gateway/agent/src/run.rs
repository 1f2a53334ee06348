//! Puts the parts together, and takes them down in order: readers, alarm loop, uplink, spool.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use fengsui_alerting::Engine;
use fengsui_scan::{COMMAND_PATIENCE_US, Function, Link, ReadRequest, Site, Timing};
use fengsui_telemetry::wire::DeviceHealth;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::alarm::{AlarmLoop, LoopState, Outputs, Valves, parted, reporter_of};
use crate::bus::orders::Ways;
use crate::bus::shared::{Member, Shared, SharedBus};
use crate::bus::{Bus, First, Memories, SCANS_MAX};
use crate::clock::Clock;
use crate::config::Config;
use crate::orders::{self, CentreKey, Keeper, ORDERS_MAX, Recalled};
use crate::outputs::siren::{self, SirenState};
use crate::outputs::{self, Healths, Senses};
use crate::reload::Proposal;
use crate::sparkplug::Projection;
use crate::spool::{Job, Spool, SpoolFault, SpoolHandle, SpoolState};
use crate::uplink::{self, Identity, Inputs, Phase, Refusals};
use crate::{health, notify};

/// Records replayed at a start without a saved state of the engine: some seconds of work, hours of
/// a small gateway.
const REPLAY_MAX: u64 = 100_000;
/// First pause after the uplink failed; doubles to [`UPLINK_RESTART_MAX`].
const UPLINK_RESTART: Duration = Duration::from_secs(1);
const UPLINK_RESTART_MAX: Duration = Duration::from_secs(30);
/// How long the last commit is waited for.
const FLUSH_MAX: Duration = Duration::from_secs(2);
/// What a reader may need beside time-outs and frames: a port that takes its request in the last
/// moment, and a busy machine.
const HANDOVER_MORE: Duration = Duration::from_secs(2);
/// The longest answer: it is waited for even if somebody wants to end.
const LONGEST: ReadRequest = ReadRequest { function: Function::Holding, first: 0, count: 125 };
/// How long each part may take to end.
const END_MAX: Duration = Duration::from_secs(8);

/// Runs a gateway until `shutdown` is true or its sender is gone, then drains for at most five
/// seconds.
///
/// # Errors
/// The data folder cannot be used, or a part ended that must not: the caller restarts the program.
pub async fn run(config: Config, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    let (_never, next) = mpsc::channel(1);
    let fault = watch::channel(String::new()).0;
    run_with(config, shutdown, Reloads { next, fault }).await
}

/// Other configurations while the gateway runs.
#[derive(Debug)]
pub(crate) struct Reloads {
    /// Whole and checked.
    pub(crate) next: mpsc::Receiver<Proposal>,
    /// Why the last one was refused, for the heartbeat.
    pub(crate) fault: watch::Sender<String>,
}

/// The same, and begins again with each configuration that comes. What is outside (outputs, siren,
/// buttons, health endpoint, service manager) does not notice: a horn that sounds goes on.
pub(crate) async fn run_with(
    config: Config,
    mut shutdown: watch::Receiver<bool>,
    mut reloads: Reloads,
) -> anyhow::Result<()> {
    let mut lasting = Lasting::new(&config, reloads.fault.subscribe());
    let mut config = config;
    let ended = loop {
        for (outputs, problem) in config.outputs.crowded(&config.site) {
            warn!(outputs, hint = problem.en(), "output at an address that is read as well");
        }
        match once(config, &mut lasting, &mut shutdown, &mut reloads).await {
            Ok(End::Stop) => break Ok(()),
            Ok(End::Reload(next)) => config = *next,
            Err(fault) => break Err(fault),
        }
    };
    let outputs = lasting.outputs.take();
    let _serving = serve_last(&mut lasting);
    // Everything that follows the alarm loop ends with these.
    drop(lasting);
    if let Some(mut outputs) = outputs
        && timeout(END_MAX, async { while outputs.join_next().await.is_some() {} }).await.is_err()
    {
        warn!("an output did not end in time");
    }
    info!("gateway ended");
    ended
}

/// The lines of outputs, without devices: what an output is told at the end goes by them. They end
/// when this is dropped.
fn serve_last(lasting: &mut Lasting) -> (JoinSet<Memories>, watch::Sender<bool>) {
    let (end, stop) = watch::channel(false);
    // Nobody is read, and nobody listens.
    let (scans, _) = mpsc::channel(1);
    let mut serving = JoinSet::new();
    for line in std::mem::take(&mut lasting.lines) {
        let before = lasting.remembered.of_line(line.on.line(), &line.members);
        serving.spawn(line.run(scans.clone(), stop.clone(), before));
    }
    (serving, end)
}

/// What a reload does not touch.
struct Lasting {
    clock: Clock,
    siren: watch::Sender<SirenState>,
    state: watch::Sender<LoopState>,
    healths: watch::Receiver<Vec<DeviceHealth>>,
    /// Taken by the outputs.
    report: Option<Healths>,
    alone: watch::Sender<bool>,
    pressed: mpsc::Sender<()>,
    /// Lent to the alarm loop. What is pressed meanwhile waits.
    button: Option<mpsc::Receiver<()>>,
    /// Of the present spool.
    spool: Option<watch::Sender<SpoolState>>,
    outputs: Option<JoinSet<()>>,
    /// From outputs to the present readers of their lines.
    ways: Ways,
    /// On which outputs hang, without their devices.
    lines: Vec<SharedBus>,
    /// What the points said until the reload.
    remembered: Memories,
    /// When the readers were stopped for a reload, monotonic ms.
    blind_since: Option<u64>,
    /// Why the limits in force are not those that were ordered.
    limits_fault: watch::Sender<String>,
    /// Why the last reload was refused.
    reload_fault: watch::Receiver<String>,
}

impl Lasting {
    fn new(config: &Config, reload_fault: watch::Receiver<String>) -> Self {
        let (pressed, button) = mpsc::channel(1);
        let limits = config.limits_revision;
        let (report, healths) = watch::channel(Vec::new());
        Self {
            clock: clock_of(config),
            siren: watch::channel(SirenState::default()).0,
            state: watch::channel(LoopState { limits, ..LoopState::default() }).0,
            healths,
            report: Some(report),
            alone: watch::channel(false).0,
            pressed,
            button: Some(button),
            spool: None,
            outputs: None,
            ways: Ways::default(),
            lines: Vec::new(),
            remembered: Memories::default(),
            blind_since: None,
            limits_fault: watch::channel(String::new()).0,
            reload_fault,
        }
    }

    /// What the heartbeat and the health page say.
    fn refusals(&self) -> Refusals {
        Refusals([self.limits_fault.subscribe(), self.reload_fault.clone()])
    }

    /// Starts what stands around the alarm loop, the first time, and shows it the present spool.
    fn surround(&mut self, config: &Config, spool: &SpoolHandle) {
        let mut now = spool.state();
        let shown = now.borrow_and_update().clone();
        let shown = self.spool.get_or_insert_with(|| watch::channel(shown).0).clone();
        let (alarms, turns, alone) =
            (self.siren.subscribe(), self.state.subscribe(), self.alone.subscribe());
        if let Some(report) = self.report.take() {
            let senses =
                Senses { alarms, turns, alone, spool: shown.subscribe(), ways: self.ways.clone() };
            let pressed = (self.pressed.clone(), report);
            let around = surroundings(config, self.clock, senses, pressed, self.refusals());
            self.outputs = Some(around);
        }
        tokio::spawn(async move {
            loop {
                let state = now.borrow_and_update().clone();
                shown.send_replace(state);
                if now.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

/// How one configuration ends.
enum End {
    Stop,
    Reload(Box<Config>),
}

/// One configuration, from its spool to its uplink, until it is to end.
#[expect(
    clippy::too_many_lines,
    reason = "begin and end of each part side by side, in their order"
)]
async fn once(
    config: Config,
    lasting: &mut Lasting,
    shutdown: &mut watch::Receiver<bool>,
    reloads: &mut Reloads,
) -> anyhow::Result<End> {
    let clock = lasting.clock;
    let recall = tokio::task::spawn_blocking(move || orders::recall(config));
    let Recalled { config, held, floor, fault } = recall.await.context("start")?;
    let out = (lasting.siren.clone(), lasting.state.clone(), lasting.healths.clone());
    let begin = move || (begin(&config, clock, out), config.begun());
    let (parts, config) = tokio::task::spawn_blocking(begin).await.context("start")?;
    let (alarm_loop, spool, thread, begun) = parts?;
    let mut alarm_loop = alarm_loop.laid_anew();
    // Before the outputs: they must not let a horn fall silent that sounded before.
    alarm_loop.begin();
    let Begun { identity, numbers, in_memory } = begun;
    let points = numbers.len();
    let (to_loop, limits) = mpsc::channel(1);
    lasting.limits_fault.send_replace(fault);
    let fault = lasting.limits_fault.clone();
    let catalogue = identity.catalogue.clone();
    let (first, read_first) = watch::channel(Arc::clone(&config.alarmed));
    let orders = start_keeper(&config, |key| Keeper {
        key,
        gateway: config.site.gateway.clone(),
        data: config.data.clone(),
        alarm: config.alarm,
        catalogue,
        numbers,
        held,
        floor,
        to_loop,
        first,
        valves: config.site.valves.clone(),
        fault,
    });
    lasting.surround(&config, &spool);
    let (scans, inbox) = mpsc::channel(SCANS_MAX);
    let (stop_buses, stop) = watch::channel(false);
    let mut buses = JoinSet::new();
    let mut remembered = std::mem::take(&mut lasting.remembered);
    let (alone, shared) = readers_of(&config, &read_first, clock, &lasting.ways);
    let of_outputs = shared.iter().filter(|bus| bus.ways.is_some());
    lasting.lines =
        of_outputs.map(|bus| SharedBus { members: Vec::new(), ..bus.clone() }).collect();
    for bus in alone {
        let before = remembered.recall(None, &bus.device);
        buses.spawn(bus.run(scans.clone(), stop.clone(), before));
    }
    for bus in shared {
        let before = remembered.of_line(bus.on.line(), &bus.members);
        buses.spawn(bus.run(scans.clone(), stop.clone(), before));
    }
    drop((scans, remembered));
    let (phase, phased) = watch::channel(Phase::Run);
    let refusals = lasting.refusals();
    let (state, alone) = (lasting.state.subscribe(), lasting.alone.clone());
    let uplink = config.uplink.clone().map(|uplink| {
        let identity = Arc::new(identity);
        let spool = spool.clone();
        tokio::spawn(keep_uplink(move || {
            let inputs = Inputs {
                alone: alone.clone(),
                spool: spool.clone(),
                alarms: state.clone(),
                phase: phased.clone(),
                orders: orders.clone(),
                refusals: refusals.clone(),
            };
            uplink::run(uplink.clone(), identity.clone(), clock, inputs)
        }))
    });
    say_begun(&config, points, lasting);
    let projection = Projection::start(&config, clock);
    // Everybody has what it needs of it.
    let reached = config.uplink.clone();
    let handover = handover_max(&config);
    drop(config);
    let button = lasting.button.take().context("the button is lent already")?;
    let alarm_loop = alarm_loop.showing(projection.live());
    let mut loop_task = tokio::spawn(alarm_loop.live(inbox, button, limits));
    let ended = wait(shutdown, &mut loop_task, reloads, in_memory, &lasting.siren).await;
    lasting.blind_since = Some(clock.mono_ms());
    stop_buses.send_replace(true);
    hand_over(buses, handover, &mut lasting.remembered).await;
    if ended.is_ok() {
        lasting.button = finish("alarm loop", loop_task).await;
    }
    projection.end().await;
    flush(&spool).await;
    // A connection that comes back at once is no absence: the centre is not told of one.
    let pause = matches!(&ended, Ok(End::Reload(next)) if next.uplink == reached);
    phase.send_replace(if pause { Phase::Pause } else { Phase::Drain });
    if let Some(uplink) = uplink {
        finish("uplink", uplink).await;
    }
    close(spool, thread).await;
    ended
}

/// How long readers may take to end: a connection and an answer, each waited for, and frames.
fn handover_max(config: &Config) -> Duration {
    let Site { devices, buses, .. } = &config.site;
    let waits = devices.iter().map(|device| device.timeout_ms + device.pause_ms);
    let frames = buses.iter().map(|bus| Timing::new(&bus.settings).exchange_us(LONGEST));
    let most = Duration::from_millis(waits.max().unwrap_or_default().into());
    let most = most.max(Duration::from_micros(COMMAND_PATIENCE_US));
    most * 2 + Duration::from_micros(frames.max().unwrap_or_default()) + HANDOVER_MORE
}

/// Waits for readers that were told to stop, and takes what they remember. One that does not end
/// holds up no other device: it is given up, and its successor trusts nothing on its line.
async fn hand_over(mut buses: JoinSet<Memories>, most: Duration, remembered: &mut Memories) {
    let all = async {
        while let Some(said) = buses.join_next().await {
            remembered.add(said.unwrap_or_default());
        }
    };
    if timeout(most, all).await.is_err() {
        error!(readers = buses.len(), "readers did not end in time and are given up");
        buses.shutdown().await;
    }
}

fn say_begun(config: &Config, points: usize, lasting: &mut Lasting) {
    info!(
        gateway = %config.site.gateway,
        points,
        devices = config.site.devices.len(),
        "gateway runs"
    );
    if let Some(since) = lasting.blind_since.take() {
        let blind_ms = lasting.clock.mono_ms().saturating_sub(since);
        info!(blind_ms, "reloaded");
    }
}

fn clock_of(config: &Config) -> Clock {
    let clock = Clock::start();
    if !config.clock_battery {
        clock.without_battery();
    }
    clock
}

/// Until the end is asked for. A loop that ends by itself is the end of the program: nobody would
/// be watching any more.
async fn wait<T>(
    shutdown: &mut watch::Receiver<bool>,
    loop_task: &mut JoinHandle<T>,
    reloads: &mut Reloads,
    in_memory: bool,
    siren: &watch::Sender<SirenState>,
) -> anyhow::Result<End> {
    loop {
        let next = tokio::select! {
            biased;
            ended = &mut *loop_task => return Err(match ended {
                Ok(_) => anyhow!("the alarm loop ended: no reader is left"),
                Err(fault) => anyhow!("the alarm loop failed: {fault}"),
            }),
            // A sender that is gone asks for the end as well.
            _ = shutdown.wait_for(|stop| *stop) => return Ok(End::Stop),
            Some(next) = reloads.next.recv() => next,
        };
        if let Some(next) = next.decide(in_memory, siren).await {
            return Ok(End::Reload(Box::new(next)));
        }
    }
}

struct Begun {
    identity: Identity,
    numbers: Arc<[u32]>,
    /// The disk could not be used.
    in_memory: bool,
}

type Out =
    (watch::Sender<SirenState>, watch::Sender<LoopState>, watch::Receiver<Vec<DeviceHealth>>);

type Parts = (AlarmLoop, SpoolHandle, std::thread::JoinHandle<()>, Begun);

/// Opens the spool and brings the engine to where it was.
fn begin(config: &Config, clock: Clock, out: Out) -> anyhow::Result<Parts> {
    let site = &config.site;
    let mut in_memory = false;
    let whose = (&site.gateway, &site.catalogue);
    let mut spool = match Spool::open(&config.data, config.spool, whose, clock) {
        Ok(spool) => spool,
        Err(fault @ (SpoolFault::InUse(_) | SpoolFault::Linked(_))) => return Err(fault.into()),
        Err(fault) => {
            error!(%fault, "disk cannot be used: records are kept in memory only");
            in_memory = true;
            Spool::in_memory(&config.data, config.spool, &site.catalogue, clock)?
        }
    };
    let numbers = spool.numbers(&site.catalogue)?;
    // Made where it is used: two at once would be the most that a start takes.
    let plan = || config.plan_numbered(&numbers);
    let saved = spool.snapshot();
    let (bytes, tripped) = saved.as_ref().map(|saved| parted(&saved.bytes)).unwrap_or_default();
    let (engine, from, most) = match &saved {
        Some(saved) => match Engine::restore_with_past(plan(), bytes) {
            Ok(engine) => (engine, saved.covers, u64::MAX),
            Err(fault) => {
                warn!(%fault, limits = %saved.limits, "saved engine state is not used");
                (new_engine(plan())?, 0, REPLAY_MAX)
            }
        },
        None => (new_engine(plan())?, 0, REPLAY_MAX),
    };
    drop(saved);
    let mut kept = Vec::new();
    let unread = spool.replay(from, most, &mut |one| kept.push(one))?;
    if unread > 0 {
        error!(records = unread, "kept records could not be replayed");
    }
    info!(from, records = kept.len(), next = spool.state().next, "spool opened");
    let identity = Identity::of(site, spool.old_catalogues()).context("catalogue")?;
    let numbers: Arc<[u32]> = numbers.into();
    let (spool, thread) = spool.start().context("spool thread")?;
    let names: Vec<String> = site.devices.iter().map(|device| device.name.clone()).collect();
    let (siren, state, healths) = out;
    let out = Outputs { siren, state, healths, spool: spool.clone() };
    let mut alarm_loop = AlarmLoop::new(engine, Arc::clone(&numbers), &names, clock, out)
        .watching(Valves::new(&site.valves).recalling(&tripped, &numbers))
        .reporting(reporter_of(config));
    for record in kept {
        alarm_loop.replay(record);
    }
    Ok((alarm_loop, spool, thread, Begun { identity, numbers, in_memory }))
}

fn new_engine(plan: fengsui_alerting::Plan) -> anyhow::Result<Engine> {
    Engine::new(plan).map_err(|faults| anyhow!("limits were changed after their check: {faults:?}"))
}

/// Readers of devices that have a connection of their own, and of lines and addresses that several
/// share.
fn readers_of(
    config: &Config,
    first: &First,
    clock: Clock,
    ways: &Ways,
) -> (Vec<Bus>, Vec<SharedBus>) {
    let site = &config.site;
    let member = |index: usize| {
        let device = site.devices.get(index).cloned().expect("an index of the site");
        Member { index, device, mappings: site.mappings_of(index).into() }
    };
    let (mut alone, mut shared) = (Vec::new(), Vec::new());
    for devices in site.endpoints() {
        let asked = |member: &Member| !member.mappings.is_empty();
        let mut members: Vec<Member> = devices.into_iter().map(member).filter(asked).collect();
        let Some(Link::ModbusTcp { host, port }) = members.first().map(|m| &m.device.link) else {
            continue;
        };
        let on = Shared::Endpoint { host: host.clone(), port: *port };
        match members.pop() {
            Some(Member { index, device, mappings }) if members.is_empty() => {
                alone.push(Bus { index, device, mappings, first: first.clone(), clock });
            }
            last => {
                members.extend(last);
                shared.push(SharedBus { on, members, first: first.clone(), clock, ways: None });
            }
        }
    }
    for (bus, spec) in site.buses.iter().enumerate() {
        let members: Vec<Member> = site.devices_on(bus).into_iter().map(member).collect();
        let ways = (config.outputs.on_line(&spec.name) > 0).then(|| ways.clone());
        if ways.is_some() || members.iter().any(|member| !member.mappings.is_empty()) {
            let on = Shared::Bus(spec.clone());
            shared.push(SharedBus { on, members, first: first.clone(), clock, ways });
        }
    }
    (alone, shared)
}

/// What stands around the alarm loop and follows it: outputs, the siren's state, service manager.
/// They end with the loop; the health endpoint ends with the program.
fn surroundings(
    config: &Config,
    clock: Clock,
    senses: Senses,
    (pressed, healths): (mpsc::Sender<()>, Healths),
    refusals: Refusals,
) -> JoinSet<()> {
    let mut tasks =
        outputs::start(&config.outputs, &config.data, clock, &senses, &pressed, healths);
    tasks.spawn(notify::run(senses.turns.clone(), senses.alarms.clone(), clock));
    let Senses { alarms, turns, alone, spool, ways: _ } = senses;
    let (complaint, siren_fault) = watch::channel(String::new());
    if let Some(listen) = config.health {
        let (alarms, alone, spool) = (alarms.clone(), alone.clone(), spool.clone());
        let vitals = health::Vitals { turns, alarms, spool, alone, siren_fault, refusals, clock };
        tokio::spawn(health::run(listen, vitals));
    }
    tasks.spawn(siren::run(config.data.clone(), alarms, alone, spool, pressed, complaint));
    tasks
}

/// Limits of the centre are taken only where a key is configured.
fn start_keeper(
    config: &Config,
    keeper: impl FnOnce(CentreKey) -> Keeper,
) -> Option<mpsc::Sender<Vec<u8>>> {
    let Some(key) = config.centre_key else {
        if config.uplink.is_some() {
            info!("no [centre] public_key: limits of the centre are not taken");
        }
        return None;
    };
    let (orders, inbox) = mpsc::channel(ORDERS_MAX);
    tokio::spawn(keeper(key).run(inbox));
    Some(orders)
}

/// A failing uplink silences nothing: it begins again after a pause.
async fn keep_uplink<F>(uplink: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = UPLINK_RESTART;
    loop {
        match tokio::spawn(uplink()).await {
            Ok(()) => return,
            Err(fault) => error!(%fault, "uplink failed"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(UPLINK_RESTART_MAX);
    }
}

async fn finish<T>(part: &str, task: JoinHandle<T>) -> Option<T> {
    let stop = task.abort_handle();
    match timeout(END_MAX, task).await {
        Ok(Ok(left)) => return Some(left),
        Ok(Err(fault)) => error!(part, %fault, "part failed"),
        Err(_) => {
            stop.abort();
            warn!(part, "part did not end in time");
        }
    }
    None
}

/// What the readers said last goes to the centre as well.
async fn flush(spool: &SpoolHandle) {
    let (reply, done) = oneshot::channel();
    if spool.send(Job::Flush(reply)).is_err() || timeout(FLUSH_MAX, done).await.is_err() {
        warn!("spool does not keep up; its last records go out at the next start");
    }
}

async fn close(spool: SpoolHandle, thread: std::thread::JoinHandle<()>) {
    if spool.send(Job::Stop).is_err() {
        warn!("spool is busy; it ends with its last job");
    }
    drop(spool);
    let joined = timeout(END_MAX, tokio::task::spawn_blocking(move || thread.join().is_ok()));
    match joined.await {
        Ok(Ok(true)) => info!("spool closed"),
        Ok(_) => error!("spool thread failed"),
        Err(_) => error!("spool did not end in time"),
    }
}

#[cfg(test)]
mod tests;
