//! What the gateway's own program takes of memory and processor: the release binary reads 1,000
//! points a second, and 30,000 points in two, from simulated devices, judges them, writes its spool
//! and publishes to a centre. Four limits a point in the small plant, one in the large.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fengsui_plant::{Plant, PlantConfig};

use crate::figures::{Figure, aims};
use crate::process::{Program, cpu_of, neighbour, rss_mb};
use crate::{centre, note};

/// One plant.
pub(crate) struct Load {
    pub(crate) points: u32,
    pub(crate) period_ms: u32,
    pub(crate) limits: &'static [(&'static str, i32)],
}

/// Its id.
pub(crate) const GATEWAY: &str = "GW-RSS";
const SMALL: Load = Load {
    points: 1_000,
    period_ms: 1_000,
    limits: &[("HH", 65_000), ("H", 64_000), ("L", -500), ("LL", -800)],
};
const LARGE: Load = Load { points: 30_000, period_ms: 2_000, limits: &[("H", 64_000)] };
/// Long enough for spool, connection and every buffer to have found their size.
const WARM: Duration = Duration::from_secs(25);
/// Then looked at this often; the largest counts.
const LOOKS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LIVE_S: u32 = 30;

pub(crate) async fn measure(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let small = folder.join("small");
    let large = folder.join("large");
    std::fs::create_dir_all(&small)?;
    std::fs::create_dir_all(&large)?;
    let (rss, _) = of(&small, &SMALL).await?;
    let (rss_large, share) = of(&large, &LARGE).await?;
    Ok(vec![
        Figure::new(aims::gateway_rss_mb_1000_points, rss),
        Figure::new(aims::gateway_rss_mb_30000_points, rss_large),
        Figure::new(aims::gateway_cpu_percent_15000_points_s, share),
    ])
}

/// Memory, MB, and processor, percent of one.
async fn of(folder: &Path, load: &Load) -> anyhow::Result<(f64, f64)> {
    let Some(binary) = neighbour("fengsui-gateway") else {
        bail!("fengsui-gateway is not beside this program; build it with the same profile");
    };
    let plant = Plant::start(PlantConfig::wide(load.points, 1)).await?;
    let device = plant.endpoints().first().context("the plant has no device")?.address;
    write_limits(folder, load)?;
    let centre = centre::start_with(folder, std::iter::once(GATEWAY), LIVE_S).await?;
    let broker = centre.broker.context("the broker has no address")?;
    write_site(folder, load, device.port(), broker.port())?;
    let args = ["run".into(), "--config".into(), folder.join("gateway.toml").display().to_string()];
    let log = folder.join("gateway.log");
    let mut gateway = Program::start(&binary, &args, &log)?;
    tokio::time::sleep(WARM).await;
    gateway.check(&log)?;
    let before = centre.store.count()?;
    let cpu = cpu_of(gateway.id())?;
    let mut rss: f64 = 0.0;
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        rss = rss.max(rss_mb(gateway.id())?);
    }
    let cpu = cpu_of(gateway.id())? - cpu;
    let after = centre.store.count()?;
    let came = after.samples - before.samples;
    let share = 100.0 * cpu / (f64::from(LOOKS) * LOOK_EVERY.as_secs_f64());
    note(&format!("  {rss:.1} MB, {share:.1} % CPU, {came} samples in {LOOKS} s at the centre"));
    drop(gateway);
    centre.stop().await;
    plant.stop().await;
    let least =
        u64::from(load.points) * 1_000 / u64::from(load.period_ms) * u64::from(LOOKS) * 8 / 10;
    ensure!(came >= least, "only {came} samples came in {LOOKS} s, so this is no load");
    Ok((rss, share))
}

pub(crate) fn write_limits(folder: &Path, load: &Load) -> anyhow::Result<()> {
    let mut text = String::from("位号,类型,限值,回差\ntag,kind,limit,deadband\n");
    for point in 0..load.points {
        for (kind, limit) in load.limits {
            writeln!(text, "R{point},{kind},{limit},10")?;
        }
    }
    Ok(std::fs::write(folder.join("limits.csv"), text)?)
}

pub(crate) fn write_site(
    folder: &Path,
    load: &Load,
    device: u16,
    broker: u16,
) -> anyhow::Result<()> {
    let site = format!(
        "[site]\nenterprise = \"示例石化有限公司\"\ngateway = \"{GATEWAY}\"\npoints = \"points.csv\"\nlimits = \"limits.csv\"\n\
         [[installation]]\nname = \"1#罐区\"\nkind = \"tank_farm\"\nhazard_class = 3\n\
         [[device]]\nname = \"wide\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = {device}\nunit = 1\n\
         timeout_ms = 500\nmax_registers = 125\ngap_registers = 8\n"
    );
    std::fs::write(folder.join("site.toml"), site)?;
    let mut points = String::from(
        "位号,名称,装置,设备,信号,单位,量程下限,量程上限,仪表通信,功能,地址,类型,字序,系数,偏移,周期毫秒,无效值\n\
         tag,name,installation,equipment,signal,unit,low,high,device,function,address,type,order,scale,offset,period_ms,sentinels\n",
    );
    for point in 0..load.points {
        writeln!(
            points,
            "R{point},寄存器{point},1#罐区,TK-{},level,mm,-1000,65535,wide,holding,{point},u16,ABCD,1,0,{},",
            point / 10,
            load.period_ms
        )?;
    }
    std::fs::write(folder.join("points.csv"), points)?;
    let own = format!(
        "site = \"site.toml\"\ndata = \"gateway\"\n[uplink]\nhost = \"127.0.0.1\"\nport = {broker}\n[local]\noutput = \"sim\"\n"
    );
    Ok(std::fs::write(folder.join("gateway.toml"), own)?)
}
