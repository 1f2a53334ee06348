//! Limits from the centre: checked at the door, kept on disk, handed to the alarm loop whole.
//!
//! - Only what the configured key has signed, for this gateway, later than what is in force, and
//!   without a fault against this site's own points. Anything else changes nothing, and the
//!   heartbeat says why.
//! - Kept before it judges, so that a restart finds it; a disk that refuses does not keep it out.
//! - Without a key in the gateway's own file nothing is taken.
//! - What was taken last is remembered apart from the order ([`Floor`]): where the order on disk is
//!   damaged, an older one is no newer one.

mod floor;

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_alerting::limits::{LimitFault, LimitSet};
use fengsui_alerting::{Plan, PlanFault, PointRef};
use fengsui_scan::{PointSet, Problem, Valve};
use fengsui_telemetry::wire::{
    LimitsOrder, WireFault, decode_catalogue, decode_limits, decode_limits_order,
};
use fengsui_telemetry::{GatewayId, Revision, TimeMs};
use ring::signature::{ED25519, UnparsedPublicKey};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::config::{AlarmSettings, Config, Ground, numbered, revision_of};
use crate::fresh::{self, Kept};
use crate::packed::Packed;
use crate::reach;
pub(crate) use floor::Floor;

/// Orders that wait for their check. One is made in a day; when full, the newest is dropped and
/// the centre sends it again.
pub(crate) const ORDERS_MAX: usize = 4;
/// The order in force, as it came.
const FILE: &str = "limits.order";

/// The centre's public key, Ed25519, as the gateway's own file gives it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CentreKey([u8; 32]);

impl CentreKey {
    /// Reads 64 hex digits, or base64.
    ///
    /// # Errors
    /// What is wrong, and the mend.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let bytes = if text.len() == 64 { from_hex(text) } else { from_base64(text) };
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            Problem::Said(
                "应为 64 位十六进制或 base64 的 32 字节公钥；请填写 fengsui limits key 给出的值".to_owned(),
                "must be a key of 32 bytes in hex or base64; write what `fengsui limits key` prints"
                    .to_owned(),
            )
        })
    }
}

impl fmt::Debug for CentreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    digits?
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair.iter().fold(0, |n, d| n * 16 + d)).ok())
        .collect()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_usize, 0);
    for c in text.trim_end_matches('=').chars() {
        held = (held << 6 | DIGITS.find(c)?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Why an order changes nothing.
#[derive(Clone, Debug, PartialEq, Error)]
pub(crate) enum Refusal {
    /// Not the message.
    #[error("报文无法解读 / not readable: {0}")]
    Unreadable(#[from] WireFault),
    /// Signed by nobody we know.
    #[error(
        "签名无效，不是本网关所配置的中心 / the signature is not that of the configured centre"
    )]
    Signature,
    /// For another gateway.
    #[error("发给 {0} / is for {0}")]
    OtherGateway(GatewayId),
    /// The file is not the one that the revision names.
    #[error("文件与版本号不符 / the file is not revision {0}")]
    Hash(Revision),
    /// A replay.
    #[error(
        "第 {number} 版签发于 {issued}，不晚于在用版本的 {held} / number {number} was issued at {issued}, not after {held} of the one in force"
    )]
    NotNewer {
        /// Its number.
        number: u64,
        /// When it was issued, ms.
        issued: TimeMs,
        /// When the one in force was.
        held: TimeMs,
    },
    /// The file.
    #[error("第 {number} 版有 {} 处错误 / number {number} has {} faults: {}", .faults.len(), .faults.len(), first(.faults))]
    Limits {
        /// Its number.
        number: u64,
        /// Every fault.
        faults: Vec<LimitFault>,
    },
    /// Our own points cannot be read.
    #[error("本网关的测点无法读出 / this gateway's own points cannot be read: {0}")]
    Catalogue(String),
    /// The engine.
    #[error("第 {number} 版不能用于判断 / number {number} cannot be judged by: {}", first(.faults))]
    Plan {
        /// Its number.
        number: u64,
        /// Every fault.
        faults: Vec<PlanFault>,
    },
}

fn first<T: ToString>(faults: &[T]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

/// An order to be put in force.
#[derive(Debug, PartialEq)]
pub(crate) struct Fresh {
    /// As it came.
    order: LimitsOrder,
    /// Read.
    limits: LimitSet,
    /// That this was taken.
    floor: Floor,
}

/// What was taken before: the order in force, and what is remembered of the last one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken<'a> {
    held: Option<&'a LimitsOrder>,
    floor: Option<&'a Floor>,
}

/// Checks an order against everything but the engine. None: it is in force already.
pub(crate) fn check(
    payload: &[u8],
    key: CentreKey,
    ground: &Ground<'_>,
    taken: Taken<'_>,
) -> Result<Option<Fresh>, Refusal> {
    let signed = decode_limits(payload)?;
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(&signed.order.message(), &signed.signature)
        .map_err(|_| Refusal::Signature)?;
    let order = decode_limits_order(&signed.order)?;
    if order.gateway != *ground.gateway {
        return Err(Refusal::OtherGateway(order.gateway));
    }
    if revision_of(order.csv.as_bytes()) != order.revision {
        return Err(Refusal::Hash(order.revision));
    }
    if taken.held.is_some_and(|held| *held == order) {
        return Ok(None);
    }
    let LimitsOrder { number, issued, .. } = order;
    let floor = Floor::of(&signed.order.message(), &order, key);
    let not_newer = |held| Err(Refusal::NotNewer { number, issued, held });
    if let Some(held) = taken.held.filter(|held| issued <= held.issued) {
        return not_newer(held.issued);
    }
    if let Some(last) = taken.floor.filter(|last| **last != floor)
        && last.is_for(key, ground.gateway)
        && issued <= last.issued
    {
        return not_newer(last.issued);
    }
    let name = format!("limits #{number}");
    let faults = |faults| Refusal::Limits { number, faults };
    let limits = LimitSet::parse(&name, &order.csv).map_err(faults)?;
    let misfits = limits.check_against(ground.catalogue);
    if !misfits.is_empty() {
        return Err(faults(misfits));
    }
    Ok(Some(Fresh { order, limits, floor }))
}

/// What is left of the centre's limits after a restart.
pub(crate) struct Recalled {
    /// Brought to the limits that the centre ordered.
    pub(crate) config: Config,
    /// The order in force.
    pub(crate) held: Option<LimitsOrder>,
    /// The last that was taken, where it is known.
    pub(crate) floor: Option<Floor>,
    /// What the centre must know: the limits that it ordered are not in force.
    pub(crate) fault: String,
}

/// Brings a configuration to the limits that the centre ordered before the restart.
pub(crate) fn recall(mut config: Config) -> Recalled {
    let (floor, mut fault) = match Floor::read(&config.data) {
        Ok(floor) => (floor, None),
        Err(fault) => (None, Some(fault)),
    };
    let gateway = &config.site.gateway;
    let is_ours = |floor: &Floor| config.centre_key.is_some_and(|key| floor.is_for(key, gateway));
    let floor = floor.filter(is_ours);
    let held = match kept(&config) {
        Ok(Some((order, limits, alarmed))) => {
            let LimitsOrder { number, revision, issued, .. } = order;
            config.alarmed = Arc::new(alarmed);
            info!(number, %revision, file = %config.limits_revision, "limits of the centre are in force, not the file of the site");
            (config.limits, config.limits_revision) = (limits, revision);
            if floor.as_ref().is_some_and(|floor| issued < floor.issued) {
                fault = Some(format!(
                    "{FILE} 是较早的第 {number} 版，不是最后下发的那版 / {FILE} is the earlier number {number}, not the last one that was taken"
                ));
            }
            Some(order)
        }
        Ok(None) => {
            if floor.is_some() {
                fault = Some(format!(
                    "{FILE} 不见了，站点文件的限值在判断，直到中心重新下发 / {FILE} is gone: the file of the site judges until the centre sends its limits again"
                ));
            }
            None
        }
        Err(refusal) => {
            fault = Some(format!(
                "{}；站点文件的限值在判断 / the file of the site judges",
                unusable(&refusal, &config)
            ));
            None
        }
    };
    let fault = fault.unwrap_or_default();
    if !fault.is_empty() {
        error!(fault, "limits of the centre");
    }
    Recalled { config, held, floor, fault }
}

/// Why the order on disk cannot be used, and what to do. Bytes that no longer bear their signature
/// are damaged, unless the key is another than the one that they were taken by.
pub(crate) fn unusable(refusal: &Refusal, config: &Config) -> String {
    let taken_by = Floor::read(&config.data).ok().flatten().map(|floor| floor.key);
    match refusal {
        Refusal::Signature if taken_by.is_some() && taken_by != config.centre_key => format!(
            "{FILE} 由原来的密钥签发，而 [centre] public_key 已更换：由新密钥的中心重新下发限值 / \
             {FILE} was signed by the key before, and [centre] public_key is another now: let the \
             centre of the new key send its limits"
        ),
        Refusal::Signature | Refusal::Unreadable(_) => format!(
            "{FILE} 已损坏：由中心重新下发限值 / {FILE} is damaged: let the centre send its limits \
             again ({refusal})"
        ),
        Refusal::OtherGateway(_)
        | Refusal::Hash(_)
        | Refusal::NotNewer { .. }
        | Refusal::Limits { .. }
        | Refusal::Catalogue(_)
        | Refusal::Plan { .. } => format!(
            "{FILE} 与本站点不符：先在中心改限值，或恢复点表 / {FILE} does not fit this site: change \
             the limits at the centre, or put the points back ({refusal})"
        ),
    }
}

/// What would judge by this configuration: the limits that [`recall`] brings it to.
pub(crate) fn judged(config: &Config) -> Plan {
    match kept(config) {
        Ok(Some((order, limits, _))) => config.ground().plan(&limits, order.revision, &PointRef),
        Ok(None) | Err(_) => config.plan(),
    }
}

/// The order on disk, checked against this configuration, and the points that come first by it.
///
/// # Errors
/// It does not fit: the engine's own check included.
pub(crate) fn kept(config: &Config) -> Result<Option<(LimitsOrder, LimitSet, PointSet)>, Refusal> {
    let Ok(payload) = fs::read(config.data.join(FILE)) else { return Ok(None) };
    let Some(key) = config.centre_key else {
        warn!(
            "limits from the centre are kept, but no [centre] public_key is configured: the file of the site judges"
        );
        return Ok(None);
    };
    let Some(Fresh { order, limits, .. }) =
        check(&payload, key, &config.ground(), Taken::default())?
    else {
        return Ok(None);
    };
    let LimitsOrder { number, revision, .. } = order;
    let plan = config.ground().plan(&limits, revision, &PointRef);
    let faults = plan.faults();
    if !faults.is_empty() {
        return Err(Refusal::Plan { number, faults });
    }
    Ok(Some((order, limits, reach::alarmed(&plan, &config.site.valves))))
}

/// Takes orders until nobody can send any.
pub(crate) struct Keeper {
    pub(crate) key: CentreKey,
    pub(crate) gateway: GatewayId,
    /// Where the order in force is kept.
    pub(crate) data: PathBuf,
    pub(crate) alarm: AlarmSettings,
    /// Canonical bytes of what this gateway measures: unpacked for an order, which are rare.
    pub(crate) catalogue: Packed,
    /// The engine's number of each point.
    pub(crate) numbers: Arc<[u32]>,
    /// The order in force.
    pub(crate) held: Option<LimitsOrder>,
    /// The last that was taken.
    pub(crate) floor: Option<Floor>,
    /// The alarm loop.
    pub(crate) to_loop: mpsc::Sender<Plan>,
    /// The readers: which points come before others.
    pub(crate) first: watch::Sender<Arc<PointSet>>,
    pub(crate) valves: Vec<Valve>,
    /// Why the last one was refused, for the heartbeat.
    pub(crate) fault: watch::Sender<String>,
}

impl Keeper {
    /// Runs beside the alarm loop: a check may take long, a disk longer.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Vec<u8>>) {
        while let Some(payload) = orders.recv().await {
            let work = tokio::task::spawn_blocking(move || {
                let taken = self.take(&payload);
                (self, taken)
            });
            let taken;
            (self, taken) = match work.await {
                Ok(done) => done,
                Err(fault) => return error!(%fault, "limits of the centre are no longer taken"),
            };
            let plan = match taken {
                Ok(plan) => plan,
                Err(refusal) => {
                    warn!(%refusal, "limits of the centre are refused; the old ones stay");
                    self.fault.send_replace(refusal.to_string());
                    continue;
                }
            };
            self.fault.send_replace(String::new());
            if let Some(plan) = plan
                && self.to_loop.send(plan).await.is_err()
            {
                return;
            }
        }
    }

    /// The plan to judge by from now on; none where it is in force already.
    fn take(&mut self, payload: &[u8]) -> Result<Option<Plan>, Refusal> {
        let catalogue = self.catalogue.plain().map_err(|fault| fault.to_string());
        let catalogue =
            catalogue.and_then(|bytes| decode_catalogue(&bytes).map_err(|fault| fault.to_string()));
        let catalogue = catalogue.map_err(Refusal::Catalogue)?;
        let (gateway, alarm) = (&self.gateway, self.alarm);
        let ground = Ground { gateway, catalogue: &catalogue, alarm };
        let taken = Taken { held: self.held.as_ref(), floor: self.floor.as_ref() };
        let Some(Fresh { order, limits, floor }) = check(payload, self.key, &ground, taken)? else {
            return Ok(None);
        };
        let LimitsOrder { number, revision, .. } = order;
        let alarmed = reach::alarmed(&ground.plan(&limits, revision, &PointRef), &self.valves);
        let plan = ground.plan(&limits, revision, &numbered(&self.numbers));
        let faults = plan.faults();
        if !faults.is_empty() {
            return Err(Refusal::Plan { number, faults });
        }
        if let Err(fault) = floor.keep(&self.data).and_then(|()| keep(&self.data, payload)) {
            error!(%fault, number, "limits of the centre are not on disk: they judge until the next restart");
        }
        info!(number, %revision, "limits of the centre are taken");
        (self.held, self.floor) = (Some(order), Some(floor));
        self.first.send_replace(Arc::new(alarmed));
        Ok(Some(plan))
    }
}

/// On disk under its name, or not at all.
fn keep(data: &Path, payload: &[u8]) -> std::io::Result<()> {
    fresh::replace(&data.join(FILE), payload, Kept::Durable)?;
    File::open(data)?.sync_all()
}

#[cfg(test)]
mod tests;
