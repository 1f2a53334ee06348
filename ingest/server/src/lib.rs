//! The centre: intake, alarm loop, desk, API, and a broker for those who have none.
//!
//! - The alarm path (intake, engine, journal, desk) never waits for the series store, a browser
//!   or another gateway.
//! - [`run`] starts everything, waits for the stop signal, drains and says what was late.

pub mod accounts;
pub mod alarm_loop;
pub mod broker;
pub mod calls;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod compare;
pub mod config;
pub mod counters;
pub mod demo;
pub mod descriptors;
pub mod desk;
pub mod first_out;
pub mod history;
pub mod http;
pub mod intake;
pub mod limits;
pub mod link;
pub mod note;
pub mod outage;
pub mod registry;
pub mod report;
pub mod restore;
pub mod stamp;
pub mod steps;
pub mod stop;
pub mod view;
pub mod watchdog;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::Context;
use fengsui_alerting::GatewayRef;
use fengsui_store::{AlarmJournal, ConfigDb, SeriesStore, StoreError, StoreOptions};
use fengsui_telemetry::Revision;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::accounts::Accounts;
use crate::alarm_loop::Input;
use crate::config::{Config, Mqtt};
use crate::counters::Counters;
use crate::intake::{GatewayState, Remembered};
use crate::registry::Registry;

/// How long an annunciation waits for the journal, where the configuration does not say.
const JOURNAL_PATIENCE_MS: u64 = 50;
/// How long a stop waits for the last commits.
const DRAIN: Duration = Duration::from_secs(5);

/// A running centre.
pub struct Centre {
    /// Where console and API listen.
    pub http: SocketAddr,
    /// Where the embedded broker listens, if there is one.
    pub broker: Option<SocketAddr>,
    /// Counters.
    pub counters: Arc<Counters>,
    /// Values.
    pub store: SeriesStore,
    /// The journal.
    pub journal: AlarmJournal,
    /// Points.
    pub registry: watch::Receiver<Arc<Registry>>,
    /// Gateways.
    pub gateways: watch::Receiver<Arc<Vec<GatewayState>>>,
    /// The desk.
    pub desk: mpsc::Sender<desk::DeskInput>,
    /// Limits: propose, approve, put in force.
    pub limits: limits::Office,
    /// Messages for the intake beside those of the broker: a bench measures without one.
    pub messages: mpsc::Sender<link::Incoming>,
    /// Who may log in.
    pub accounts: Arc<Accounts>,
    /// Calls, and whom.
    pub calls: calls::Calls,
    alarms: SyncSender<Input>,
    intake: tokio::task::JoinHandle<anyhow::Result<()>>,
    stop: watch::Sender<bool>,
}

/// What a demo or a bench adds to a centre.
#[derive(Default)]
pub struct Extras {
    /// The demo's handles for the API.
    pub demo: Option<demo::Control>,
    /// Source time to stream of each alarm, ms.
    pub latencies: Option<mpsc::Sender<i64>>,
}

/// Runs a centre until `shutdown` turns true.
///
/// # Errors
/// A file, an address or the limits cannot be used; or the intake ended by itself.
pub async fn run(config: Config, mut shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut centre = Centre::start(config, Extras::default()).await?;
    tokio::spawn(reload_on_hangup(centre.calls.clone(), shutdown.clone()));
    let ended = tokio::select! {
        () = stop::asked(&mut shutdown) => {
            centre.stop().await;
            return Ok(());
        }
        ended = &mut centre.intake => ended?.context("the intake ended"),
        // A page that nobody feeds would show old rows as new: better no page, and a restart.
        () = centre.desk.closed() => Err(anyhow::anyhow!("the desk ended by itself")),
    };
    ended?;
    anyhow::bail!("the intake ended by itself")
}

/// SIGHUP: the roster is read anew, whole or not at all.
async fn reload_on_hangup(calls: calls::Calls, mut stop: watch::Receiver<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(fault) => return warn!(%fault, "no SIGHUP: fengsui roster reload does the same"),
    };
    loop {
        tokio::select! {
            () = stop::asked(&mut stop) => return,
            _ = hangups.recv() => {}
        }
        match calls.reload(calls::Reload::By("SIGHUP".to_owned())).await {
            Some(Ok(changed)) => info!(%changed, "roster read anew"),
            Some(Err(calls::Said::Roster(faults))) => {
                faults.iter().for_each(|fault| error!("{fault}"));
                error!(faults = faults.len(), "the roster was not changed; the old one stays");
            }
            Some(Err(why)) => error!(?why, "the roster was not changed"),
            None => return,
        }
    }
}

/// What the pages and the API reach.
fn app_of(
    config: &Config,
    files: &Files,
    core: &Core,
    (accounts, calls, limits): (Arc<Accounts>, calls::Calls, limits::Office),
    demo: Option<demo::Control>,
) -> anyhow::Result<http::App> {
    Ok(http::App {
        accounts,
        calls,
        desk: core.desk.clone(),
        alarms: core.alarms.clone(),
        registry: core.registry.clone(),
        store: files.store.clone(),
        journal: files.journal.clone(),
        config_db: files.config_db.clone(),
        limits,
        stamp: config.stamp.clone(),
        counters: core.counters.clone(),
        streams: http::Streams::new(core.counters.clone()),
        demo,
        console_dist: config.console_dist.clone(),
        report: http::Reports::new(config.report.clone(), config.alarm.flood_window_ms),
        origins: config.origins.clone().into(),
        form_secret: accounts::secret::key()?.into(),
    })
}

impl Centre {
    /// Opens the files, restores the engine and starts everything.
    ///
    /// # Errors
    /// A file, an address or the limits cannot be used.
    pub async fn start(mut config: Config, extras: Extras) -> anyhow::Result<Self> {
        if let Some(warning) = config.exposure() {
            warn!("{warning}");
        }
        let room = descriptors::Room::make();
        let (stop, stopped) = watch::channel(false);
        let files = open(&config)?;
        let alive = report::life::last_alive(&files.journal)?;
        let (key, orders) =
            limits::begin(&mut config, &files.config_db, || judged_by(&files.journal))?;
        let core = Core::start(&config, &files, extras.latencies, &stopped)?;
        report::life::began(&files.journal, alive, clock::now());
        let calls = start_calls(&config, &files, &core, &stopped)?;
        let (to_change, changes) = mpsc::channel(limits::CHANGES_MAX);
        let office = office(&config, &files, &core, key, to_change);
        tokio::spawn(office.clone().run(stopped.clone()));
        let accounts = people(&config, &files, &core.counters, extras.demo.is_some()).await?;
        tokio::spawn(accounts.clone().tend(stopped.clone()));
        let owners = (accounts.clone(), calls.clone(), office.clone());
        let app = app_of(&config, &files, &core, owners, extras.demo)?;
        let (broker, host, port) = broker_of(&config.mqtt, room.clients, stopped.clone()).await?;
        let (to_intake, messages) = mpsc::channel(intake::MESSAGES_MAX);
        let counters = core.counters.clone();
        let answers =
            link::start(&host, port, to_intake.clone(), counters.clone(), stopped.clone());
        let (gateways_out, gateways) = (core.gateways_out, core.gateways.clone());
        let intake = tokio::spawn(intake::run(
            intake::Parts {
                store: files.store.clone(),
                config_db: files.config_db.clone(),
                alarms: core.alarms.clone(),
                settings: config.alarm,
                registry: core.registry.borrow().as_ref().clone(),
                engine: core.remembered,
                registry_out: core.registry_out,
                gateways_out,
                answers,
                counters: counters.clone(),
                quarantine: intake::Quarantine::open(&config.data.join("quarantine"))?,
                orders,
                changes,
            },
            messages,
            core.notices,
            stopped.clone(),
        ));
        let http =
            http::start(app, config.listen, room.http, stopped).await.with_context(|| {
                format!("cannot listen on {}; is another one running there?", config.listen)
            })?;
        info!(%http, "console and API listen");
        Ok(Self {
            http,
            broker: broker.map(|broker| broker.address),
            counters,
            store: files.store,
            journal: files.journal,
            registry: core.registry,
            gateways,
            desk: core.desk,
            limits: office,
            messages: to_intake,
            accounts,
            calls,
            alarms: core.alarms,
            intake,
            stop,
        })
    }

    /// Stops: no new messages, a last snapshot, at most five seconds.
    pub async fn stop(self) {
        let (done, saved) = oneshot::channel();
        let alarms = self.alarms.clone();
        let asked = tokio::task::spawn_blocking(move || alarms.send(Input::Stop(done)));
        let drained = tokio::time::timeout(DRAIN, async {
            // A loop that has ended already has nothing to save.
            drop(asked.await);
            drop(saved.await);
        });
        if drained.await.is_err() {
            warn!("the alarm loop did not end in {DRAIN:?}; the journal replays at the next start");
        }
        self.stop.send_replace(true);
        drop(tokio::time::timeout(DRAIN, self.intake).await);
    }
}

/// The alarm path: engine, desk, and the ways between them.
struct Core {
    counters: Arc<Counters>,
    registry: watch::Receiver<Arc<Registry>>,
    registry_out: watch::Sender<Arc<Registry>>,
    gateways: watch::Receiver<Arc<Vec<GatewayState>>>,
    gateways_out: watch::Sender<Arc<Vec<GatewayState>>>,
    desk: mpsc::Sender<desk::DeskInput>,
    alarms: SyncSender<Input>,
    notices: mpsc::Receiver<alarm_loop::Stored>,
    remembered: Vec<Remembered>,
}

impl Core {
    /// Restores the engine and starts alarm loop and desk.
    fn start(
        config: &Config,
        files: &Files,
        latencies: Option<mpsc::Sender<i64>>,
        stopped: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let counters = Arc::new(Counters::default());
        let registry = Arc::new(restore::registry(config, &files.config_db)?);
        let plan = registry.plan(config.alarm);
        let restore::Restored { engine, chunk, plan } =
            restore::engine(plan, &registry, &files.journal, &files.store)?;
        let gateways = (0_u32..).zip(&registry.gateways);
        let remembered = gateways.map(|(n, _)| GatewayRef(n)).map(|gateway| Remembered {
            heard: engine.last_heard(gateway),
            newest: engine.newest_of(gateway),
            clock_bad: engine.clock_bad(gateway),
        });
        let remembered = remembered.collect();
        let (registry_out, registry_in) = watch::channel(registry.clone());
        let (gateways_out, gateways) = watch::channel(Arc::new(Vec::<GatewayState>::new()));
        let patience = config.alarm.journal_patience_ms.unwrap_or(JOURNAL_PATIENCE_MS);
        let desk = desk::start(
            desk::Parts {
                store: files.store.clone(),
                registry: registry_in.clone(),
                gateways: gateways.clone(),
                stamp: config.stamp.clone(),
                counters: counters.clone(),
                patience: Duration::from_millis(patience),
                latencies,
                watchdog: config.watchdog.is_some(),
                packages: outage::Book::of(&files.journal)?,
            },
            restore::desk_rows(&engine, &registry, &files.journal)?,
            stopped.clone(),
        );
        let (stored, notices) = mpsc::channel(intake::NOTICES_MAX);
        let alarms = alarm_loop::start(alarm_loop::Parts {
            engine,
            chunk,
            plan,
            flood: alarm_loop::flood_restored(
                &files.journal,
                config.alarm.flood_window_ms,
                clock::now(),
            )?,
            registry,
            journal: files.journal.clone(),
            store: files.store.clone(),
            desk: desk.clone(),
            stored,
            counters: counters.clone(),
        })?;
        Ok(Self {
            counters,
            registry: registry_in,
            registry_out,
            gateways,
            gateways_out,
            desk,
            alarms,
            notices,
            remembered,
        })
    }
}

fn start_calls(
    config: &Config,
    files: &Files,
    core: &Core,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<calls::Calls> {
    let parts = calls::Parts {
        config: config.calls.clone(),
        journal: files.journal.clone(),
        registry: core.registry.clone(),
        settings: config.alarm,
        desk: core.desk.clone(),
        stamp: config.stamp.clone(),
    };
    calls::start(parts, stopped.clone())
}

fn office(
    config: &Config,
    files: &Files,
    core: &Core,
    key: limits::SigningKey,
    changes: mpsc::Sender<limits::Change>,
) -> limits::Office {
    limits::Office::new(limits::Parts {
        db: files.config_db.clone(),
        journal: files.journal.clone(),
        registry: core.registry.clone(),
        gateways: core.gateways.clone(),
        policy: config.limits.clone(),
        key,
        changes,
        stamp: config.stamp.clone(),
    })
}

struct Files {
    store: SeriesStore,
    journal: AlarmJournal,
    config_db: Arc<ConfigDb>,
}

/// By which limits each gateway was judged, as the journal keeps it beside its snapshot.
fn judged_by(journal: &AlarmJournal) -> BTreeMap<String, Revision> {
    let snapshot = journal.load_snapshot();
    let snapshot = snapshot.inspect_err(|fault| warn!(%fault, "the limits that judged before"));
    let kept = snapshot.ok().flatten().and_then(|s| restore::plan::decode(&s.plan?));
    kept.map(|kept| kept.judged_by()).unwrap_or_default()
}

fn open(config: &Config) -> anyhow::Result<Files> {
    opened(config).map_err(|fault| {
        let unwritable = fault.downcast_ref::<StoreError>().is_some_and(StoreError::is_unwritable);
        if !unwritable {
            return fault;
        }
        let data = config.data.display();
        fault.context(format!("{data} 所在的盘写不进（多半已满），中心无法启动：先用 df -h {data} 查看，把同一盘上的其他文件移走，再启动；勿删 alarms.db、config.db 和 ts/  |  the disk of {data} takes nothing, most likely it is full: see df -h {data}, move other files off that disk and start again; leave alarms.db, config.db and ts/ alone"))
    })
}

fn opened(config: &Config) -> anyhow::Result<Files> {
    let data = &config.data;
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    let options = StoreOptions { commit_ms: config.commit_ms, ..StoreOptions::default() };
    let store = SeriesStore::open(data, options)?;
    let config_db = ConfigDb::open(&data.join("config.db"))?;
    // Where config.db was lost, what is stored is orphaned and not shown as another point's.
    if let Some(highest) = store.latest_all().iter().map(|(point, _)| *point).max() {
        config_db.number_points_above(highest)?;
    }
    let journal = AlarmJournal::open(&data.join("alarms.db"))?;
    Ok(Files { store, journal, config_db: Arc::new(config_db) })
}

/// The accounts; the first start makes an admin and shows the password once, on the terminal and
/// in no log.
async fn people(
    config: &Config,
    files: &Files,
    counters: &Arc<Counters>,
    is_demo: bool,
) -> anyhow::Result<Arc<Accounts>> {
    let (db, journal) = (files.config_db.clone(), files.journal.clone());
    let mut accounts = Accounts::new(db, journal, counters.clone(), config.accounts)?;
    if is_demo {
        let duty = files.config_db.user(demo::DUTY)?;
        accounts.visitor = duty.as_ref().map(accounts::Identity::of);
    }
    let accounts = Arc::new(accounts);
    let first = accounts.clone();
    let password = tokio::task::spawn_blocking(move || first.first_start()).await??;
    if let Some(password) = password {
        let text = format!(
            "\n  首次启动：已建立管理员  first start: an admin was made\n  名称 name      admin\n  密码 password  {password}\n  只显示这一次；更改： fengsui user password admin --config FILE\n  shown this once\n\n"
        );
        // A terminal that has gone away reads no password; the command line makes a new one.
        std::io::stderr().write_all(text.as_bytes()).ok();
    }
    Ok(accounts)
}

async fn broker_of(
    mqtt: &Mqtt,
    clients: usize,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<(Option<broker::Broker>, String, u16)> {
    match mqtt {
        Mqtt::Embedded(address) => {
            let broker = broker::Broker::start(*address, clients, stop).await?;
            let at = broker.address;
            let host =
                if at.ip().is_unspecified() { "127.0.0.1".to_owned() } else { at.ip().to_string() };
            Ok((Some(broker), host, at.port()))
        }
        Mqtt::External { host, port } => Ok((None, host.clone(), *port)),
    }
}
