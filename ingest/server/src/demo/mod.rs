//! `fengsui demo`: a simulated plant on real Modbus TCP, the gateway, a cable that can be pulled,
//! the embedded broker and the centre, in one process and through their ordinary doors.

mod cable;
mod people;
mod proof;
mod script;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use fengsui_plant::{Fault, Plant, PlantConfig};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::cli::{Exit, asked_to_stop, say};
use crate::clock;
use crate::config::Config;
use crate::{Centre, Extras};

pub use people::DUTY;
pub use script::Control;

/// Latencies kept for the summary.
const LATENCIES_MAX: usize = 65_536;
/// How long the end waits for the last records to arrive.
const ARRIVE: Duration = Duration::from_secs(20);
const ARRIVE_STEP: Duration = Duration::from_millis(100);
/// How long the gateway may take to stop.
const GATEWAY_STOP: Duration = Duration::from_secs(10);

/// The site of `configs/demo`, carried along so that the demo needs no files.
const FILES: [(&str, &str); 5] = [
    ("calls.toml", include_str!("../../../../configs/demo/calls.toml")),
    ("site.toml", include_str!("../../../../configs/demo/site.toml")),
    ("points.csv", include_str!("../../../../configs/demo/points.csv")),
    ("limits.csv", include_str!("../../../../configs/demo/limits.csv")),
    ("gateway.toml", include_str!("../../../../configs/demo/gateway.toml")),
];

/// What the command line says.
pub struct Args {
    /// Port of the console.
    pub port: u16,
    /// End by itself after this long.
    pub runs_for: Option<Duration>,
    /// Folder for the data; none: a temporary one.
    pub data: Option<PathBuf>,
    /// Summary as JSON.
    pub json: bool,
}

/// Runs the demo.
///
/// # Errors
/// A port is taken or a folder cannot be written.
pub(crate) async fn command(args: Args) -> anyhow::Result<Exit> {
    let temporary = tempfile::tempdir().context("a temporary folder")?;
    let folder = args.data.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let (latencies_in, mut latencies) = mpsc::channel(LATENCIES_MAX);
    let demo = Demo::start(&folder, args.port, latencies_in).await?;
    welcome(&demo, args.json);
    let script = tokio::spawn(script::play(demo.control.clone(), args.runs_for));
    let asked = tokio::select! {
        () = asked_to_stop() => true,
        () = wait(args.runs_for) => false,
    };
    script.abort();
    if args.runs_for.is_none() {
        info!("stopping");
        demo.stop().await;
        return Ok(Exit::Fine);
    }
    if asked {
        warn!("ended before its time; the summary covers what has run");
    }
    let mut summary = demo.finish().await?;
    let mut list = Vec::new();
    while let Ok(latency) = latencies.try_recv() {
        list.push(latency);
    }
    summary.set_latencies(list);
    say(&if args.json { summary.json() } else { summary.text() });
    Ok(if summary.is_good() { Exit::Fine } else { Exit::Problems })
}

async fn wait(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}

fn welcome(demo: &Demo, json: bool) {
    let url = format!("http://{}/desk", demo.centre.http);
    let console = if crate::http::has_console() {
        ""
    } else {
        "\n  （未编译控制台，显示简版 /basic；make web 可编译  no console in this binary: /basic）"
    };
    let text = format!(
        "\n  烽燧演示  Fengsui demo\n\n  打开 open    {url}{console}\n  身份 as      演示值班员 duty officer（本机打开即已登录  logged in at once on this machine）\n  其他用户 others（退出后可登录  after a log-out）\n{}\n  按 Ctrl-C 结束  Ctrl-C ends\n",
        people::list(&demo.passwords)
    );
    // With --json stdout holds the summary alone.
    if json { info!(%url, "demo runs") } else { say(&text) }
}

struct Demo {
    centre: Centre,
    control: Control,
    plant: Plant,
    gateway: tokio::task::JoinHandle<anyhow::Result<()>>,
    stop_gateway: watch::Sender<bool>,
    spool: PathBuf,
    passwords: people::Passwords,
    began: std::time::Instant,
}

impl Demo {
    async fn start(folder: &Path, port: u16, latencies: mpsc::Sender<i64>) -> anyhow::Result<Self> {
        let began = clock::monotonic();
        let site = folder.join("site");
        std::fs::create_dir_all(&site)
            .with_context(|| format!("cannot make {}", site.display()))?;
        for (name, text) in FILES {
            std::fs::write(site.join(name), text)
                .with_context(|| format!("cannot write {name}"))?;
        }
        let centre_toml = format!(
            "data = \"../centre\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n[mqtt]\nembedded = \"127.0.0.1:0\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"limits.csv\"\n[calls]\nfile = \"calls.toml\"\n"
        );
        std::fs::write(site.join("centre.toml"), centre_toml)?;
        let config = Config::load(&site.join("centre.toml"))
            .map_err(|faults| anyhow!("{}", list(&faults)))?;
        let data = config.data.clone();
        let passwords = tokio::task::spawn_blocking(move || people::seat(&data)).await??;
        let plant = Plant::start(PlantConfig::demo()).await?;
        let (cable_in, cable_out) = watch::channel(false);
        let control = Control::new(plant.control(), cable_in);
        let extras = Extras { demo: Some(control.clone()), latencies: Some(latencies) };
        let centre = Centre::start(config, extras).await?;
        let broker = centre.broker.context("the embedded broker has no address")?;
        let uplink = cable::lay(broker, cable_out).await?;
        let mut gateway = fengsui_gateway::Config::load(&site.join("gateway.toml"))
            .map_err(|faults| anyhow!("{}", list(&faults)))?;
        for endpoint in plant.endpoints() {
            gateway.site.set_endpoint(
                &endpoint.device,
                &endpoint.address.ip().to_string(),
                endpoint.address.port(),
            );
        }
        gateway.data = folder.join("gateway");
        let key = centre.limits.parts().key.public();
        gateway.centre_key = fengsui_gateway::CentreKey::parse(&key).ok();
        let spool = gateway.data.clone();
        gateway.uplink = Some(fengsui_gateway::UplinkConfig {
            host: uplink.ip().to_string(),
            port: uplink.port(),
        });
        let (stop_gateway, stopped) = watch::channel(false);
        let gateway = tokio::spawn(fengsui_gateway::run(gateway, stopped));
        Ok(Self { centre, control, plant, gateway, stop_gateway, spool, passwords, began })
    }

    async fn stop(self) {
        self.stop_gateway.send_replace(true);
        drop(tokio::time::timeout(GATEWAY_STOP, self.gateway).await);
        self.centre.stop().await;
        self.plant.stop().await;
    }

    /// Lets the last records arrive, stops everything and compares what the gateway's disk holds
    /// with what the centre's disk holds, record by record.
    async fn finish(self) -> anyhow::Result<proof::Summary> {
        self.control.cable(false);
        let deadline = clock::monotonic() + ARRIVE;
        // The gateway stops first: it drains what it has, and then nothing new comes.
        let backlog = self.centre.gateways.clone();
        while clock::monotonic() < deadline
            && backlog.borrow().iter().any(|gateway| gateway.backlog > 50)
        {
            tokio::time::sleep(ARRIVE_STEP).await;
        }
        self.stop_gateway.send_replace(true);
        match tokio::time::timeout(GATEWAY_STOP, self.gateway).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(fault))) => warn!(%fault, "the gateway ended with a fault"),
            Ok(Err(fault)) => warn!(%fault, "the gateway ended with a fault"),
            Err(_) => warn!("the gateway did not stop in time"),
        }
        let registry = self.centre.registry.borrow().clone();
        let (store, journal) = (self.centre.store.clone(), self.centre.journal.clone());
        let (counters, began) = (Arc::clone(&self.centre.counters), self.began);
        let first_alarm = self.control.first_alarm_ms(&journal, clock::now(), began);
        self.centre.stop().await;
        self.plant.stop().await;
        let spool = self.spool.clone();
        let summary = tokio::task::spawn_blocking(move || {
            proof::compare(&spool, &registry, &store, &journal, &counters)
        });
        let mut summary = summary.await??;
        summary.first_alarm_ms = first_alarm;
        Ok(summary)
    }
}

fn list<T: std::fmt::Display>(faults: &[T]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A fault of the plant by its word.
fn fault_of(word: &str) -> Result<Fault, String> {
    word.parse::<Fault>().map_err(|fault| fault.to_string())
}
