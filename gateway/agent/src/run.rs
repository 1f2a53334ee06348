//! Puts the parts together, and takes them down in order: readers, alarm loop, uplink, spool.

use std::time::Duration;

use anyhow::{Context, anyhow};
use fengsui_alerting::Engine;
use fengsui_telemetry::{Catalogue, Offset};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info, warn};

use crate::alarm::{AlarmLoop, LoopState, Outputs};
use crate::bus::{Bus, SCANS_MAX};
use crate::clock::Clock;
use crate::config::Config;
use crate::orders::{self, Keeper, ORDERS_MAX};
use crate::siren::{self, SirenState};
use crate::sparkplug::Projection;
use crate::spool::{Job, Spool, SpoolFault, SpoolHandle};
use crate::uplink::{self, Identity, Inputs};

/// Records replayed at a start without a saved state of the engine: some seconds of work, hours of
/// a small gateway.
const REPLAY_MAX: u64 = 100_000;
/// First pause after the uplink failed; doubles to [`UPLINK_RESTART_MAX`].
const UPLINK_RESTART: Duration = Duration::from_secs(1);
const UPLINK_RESTART_MAX: Duration = Duration::from_secs(30);
/// How long the last commit is waited for.
const FLUSH_MAX: Duration = Duration::from_secs(2);
/// How long each part may take to end.
const END_MAX: Duration = Duration::from_secs(8);

/// Runs a gateway until `shutdown` is true or its sender is gone, then drains for at most five
/// seconds.
///
/// # Errors
/// The data folder cannot be used, or a part ended that must not: the caller restarts the program.
pub async fn run(config: Config, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    let clock = Clock::start();
    let recall = tokio::task::spawn_blocking(move || orders::recall(config));
    let (config, held) = recall.await.context("start")?;
    let (alarm_loop, spool, thread, outputs) = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || begin(&config, clock)).await.context("start")??
    };
    let Begun { siren, state, old_catalogues, numbers } = outputs;
    let (to_loop, limits) = mpsc::channel(1);
    let (fault, limits_fault) = watch::channel(String::new());
    let keeper = Keeper { config: config.clone(), numbers, held, to_loop, fault };
    let orders = start_keeper(keeper);
    let (pressed, button) = mpsc::channel(1);
    let (alone_out, alone) = watch::channel(false);
    let siren = tokio::spawn(siren::run(config.data.clone(), siren, alone, pressed));
    let (scans, inbox) = mpsc::channel(SCANS_MAX);
    let (stop_buses, stop) = watch::channel(false);
    let mut buses = JoinSet::new();
    for bus in buses_of(&config, clock) {
        buses.spawn(bus.run(scans.clone(), stop.clone()));
    }
    drop(scans);
    let (drain, drained) = watch::channel(false);
    let uplink = config.uplink.clone().map(|uplink| {
        let identity = identity_of(&config, old_catalogues);
        let spool = spool.clone();
        tokio::spawn(keep_uplink(move || {
            let inputs = Inputs {
                alone: alone_out.clone(),
                spool: spool.clone(),
                alarms: state.clone(),
                drain: drained.clone(),
                orders: orders.clone(),
                limits_fault: limits_fault.clone(),
            };
            uplink::run(uplink.clone(), identity.clone(), clock, inputs)
        }))
    });
    info!(
        gateway = %config.site.gateway,
        points = config.site.catalogue.points.len(),
        devices = config.site.devices.len(),
        "gateway runs"
    );
    let projection = Projection::start(&config, clock);
    let mut alarm_loop = alarm_loop.showing(projection.live());
    let mut loop_task = tokio::spawn(async move {
        alarm_loop.begin();
        alarm_loop.run(inbox, button, limits).await;
    });
    let ended = wait(shutdown, &mut loop_task).await;
    stop_buses.send_replace(true);
    while buses.join_next().await.is_some() {}
    if ended.is_ok() {
        finish("alarm loop", loop_task).await;
    }
    projection.end().await;
    flush(&spool).await;
    drain.send_replace(true);
    if let Some(uplink) = uplink {
        finish("uplink", uplink).await;
    }
    finish("siren", siren).await;
    close(spool, thread).await;
    ended
}

/// Until the end is asked for. A loop that ends by itself is the end of the program: nobody would
/// be watching any more.
async fn wait(
    mut shutdown: watch::Receiver<bool>,
    loop_task: &mut JoinHandle<()>,
) -> anyhow::Result<()> {
    tokio::select! {
        biased;
        ended = loop_task => Err(match ended {
            Ok(()) => anyhow!("the alarm loop ended: no reader is left"),
            Err(fault) => anyhow!("the alarm loop failed: {fault}"),
        }),
        // A sender that is gone asks for the end as well.
        _ = shutdown.wait_for(|stop| *stop) => Ok(()),
    }
}

struct Begun {
    siren: watch::Receiver<SirenState>,
    state: watch::Receiver<LoopState>,
    old_catalogues: Vec<(Offset, Catalogue)>,
    numbers: Vec<u32>,
}

type Parts = (AlarmLoop, SpoolHandle, std::thread::JoinHandle<()>, Begun);

/// Opens the spool and brings the engine to where it was.
fn begin(config: &Config, clock: Clock) -> anyhow::Result<Parts> {
    let site = &config.site;
    let mut spool = match Spool::open(&config.data, config.spool, &site.catalogue, clock) {
        Ok(spool) => spool,
        Err(fault @ SpoolFault::InUse(_)) => return Err(fault.into()),
        Err(fault) => {
            error!(%fault, "disk cannot be used: records are kept in memory only");
            Spool::in_memory(&config.data, config.spool, &site.catalogue, clock)?
        }
    };
    let numbers = spool.numbers(&site.catalogue)?;
    let plan = config.plan_numbered(&numbers);
    let (engine, from, most) = match spool.snapshot() {
        Some(saved) => match Engine::restore(plan.clone(), &saved.bytes) {
            Ok(engine) => (engine, saved.covers, u64::MAX),
            Err(fault) => {
                warn!(%fault, limits = %saved.limits, "saved engine state is not used");
                (new_engine(plan)?, 0, REPLAY_MAX)
            }
        },
        None => (new_engine(plan)?, 0, REPLAY_MAX),
    };
    let mut kept = Vec::new();
    let unread = spool.replay(from, most, &mut |one| kept.push(one))?;
    if unread > 0 {
        error!(records = unread, "kept records could not be replayed");
    }
    info!(from, records = kept.len(), next = spool.state().next, "spool opened");
    let old_catalogues = spool.old_catalogues();
    let (spool, thread) = spool.start().context("spool thread")?;
    let (siren, siren_state) = watch::channel(SirenState::default());
    let limits = config.limits_revision;
    let (state, loop_state) = watch::channel(LoopState { limits, ..LoopState::default() });
    let names: Vec<String> = site.devices.iter().map(|device| device.name.clone()).collect();
    let out = Outputs { siren, state, spool: spool.clone() };
    let mut alarm_loop = AlarmLoop::new(engine, numbers.clone(), &names, clock, out);
    for record in kept {
        alarm_loop.replay(record);
    }
    let begun = Begun { siren: siren_state, state: loop_state, old_catalogues, numbers };
    Ok((alarm_loop, spool, thread, begun))
}

fn new_engine(plan: fengsui_alerting::Plan) -> anyhow::Result<Engine> {
    Engine::new(plan).map_err(|faults| anyhow!("limits were changed after their check: {faults:?}"))
}

fn buses_of(config: &Config, clock: Clock) -> Vec<Bus> {
    let site = &config.site;
    let bus = |(index, device): (usize, &fengsui_scan::Device)| Bus {
        index,
        device: device.clone(),
        mappings: site.mappings_of(index),
        clock,
    };
    site.devices.iter().enumerate().map(bus).filter(|bus| !bus.mappings.is_empty()).collect()
}

fn identity_of(config: &Config, old_catalogues: Vec<(Offset, Catalogue)>) -> Identity {
    let catalogue = config.site.catalogue.clone();
    Identity {
        gateway: config.site.gateway.clone(),
        catalogue_revision: uplink::catalogue_revision(&catalogue),
        catalogue,
        old_catalogues,
    }
}

/// Limits of the centre are taken only where a key is configured.
fn start_keeper(keeper: Keeper) -> Option<mpsc::Sender<Vec<u8>>> {
    if keeper.config.centre_key.is_none() {
        if keeper.config.uplink.is_some() {
            info!("no [centre] public_key: limits of the centre are not taken");
        }
        return None;
    }
    let (orders, inbox) = mpsc::channel(ORDERS_MAX);
    tokio::spawn(keeper.run(inbox));
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

async fn finish(part: &str, task: JoinHandle<()>) {
    let stop = task.abort_handle();
    match tokio::time::timeout(END_MAX, task).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => error!(part, %fault, "part failed"),
        Err(_) => {
            stop.abort();
            warn!(part, "part did not end in time");
        }
    }
}

/// What the readers said last goes to the centre as well.
async fn flush(spool: &SpoolHandle) {
    let (reply, done) = oneshot::channel();
    if spool.send(Job::Flush(reply)).is_err()
        || tokio::time::timeout(FLUSH_MAX, done).await.is_err()
    {
        warn!("spool does not keep up; its last records go out at the next start");
    }
}

async fn close(spool: SpoolHandle, thread: std::thread::JoinHandle<()>) {
    if spool.send(Job::Stop).is_err() {
        warn!("spool is busy; it ends with its last job");
    }
    drop(spool);
    let joined =
        tokio::time::timeout(END_MAX, tokio::task::spawn_blocking(move || thread.join().is_ok()));
    match joined.await {
        Ok(Ok(true)) => info!("gateway ended"),
        Ok(_) => error!("spool thread failed"),
        Err(_) => error!("spool did not end in time"),
    }
}
