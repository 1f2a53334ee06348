//! What the gateway's own program takes of memory and processor: it reads 1,000 points a second, and
//! 30,000 points in two, from simulated devices, judges them, writes its spool and publishes to a
//! centre. Four limits a point in the small plant, one in the large.
//!
//! The program is the one of the package (`make bench` builds it), with the variables that the
//! package's unit sets.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_plant::{Plant, PlantConfig};

use crate::figures::{Aim, Figure, aims};
use crate::process::{Memory, Program, cpu_of};
use crate::{centre, note};

/// One plant.
pub(crate) struct Load {
    pub(crate) points: u32,
    pub(crate) period_ms: u32,
    pub(crate) limits: &'static [(&'static str, i32)],
    pub(crate) warm: Duration,
}

/// Its id.
pub(crate) const GATEWAY: &str = "GW-RSS";
const SMALL: Load = Load {
    points: 1_000,
    period_ms: 1_000,
    limits: &[("HH", 65_000), ("H", 64_000), ("L", -500), ("LL", -800)],
    warm: WARM_SMALL,
};
const LARGE: Load = Load { points: 30_000, period_ms: 2_000, limits: &[("H", 64_000)], warm: WARM };
/// Long enough for spool, connection and every buffer to have found their size: in the small plant
/// the engine's windows of two minutes at most.
const WARM: Duration = Duration::from_secs(25);
const WARM_SMALL: Duration = Duration::from_secs(130);
const UNIT: &str = include_str!("../../../configs/deploy/fengsui-gateway.service");
/// Then looked at this often; the largest counts.
const LOOKS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LIVE_S: u32 = 30;

pub(crate) async fn measure(binary: &Path, folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let small = folder.join("small");
    let large = folder.join("large");
    std::fs::create_dir_all(&small)?;
    std::fs::create_dir_all(&large)?;
    note(&format!("  {}", binary.display()));
    let (memory, _) = of(binary, &small, &SMALL).await?;
    let (memory_large, share) = of(binary, &large, &LARGE).await?;
    Ok(vec![
        resident(aims::gateway_rss_mb_1000_points, memory),
        resident(aims::gateway_rss_mb_30000_points, memory_large),
        Figure::new(aims::gateway_cpu_percent_15000_points_s, share),
    ])
}

fn resident(aim: Aim, memory: Memory) -> Figure {
    let Memory { resident, own, of_files, peak } = memory;
    let detail = format!("自有 own {own:.1} + 文件 files {of_files:.1}; 启动峰值 peak {peak:.1}");
    Figure { detail: Some(detail), ..Figure::new(aim, resident) }
}

/// `Environment=NAME=VALUE` of the unit.
fn variables() -> Vec<(&'static str, &'static str)> {
    let set = UNIT.lines().filter_map(|line| line.strip_prefix("Environment="));
    set.filter_map(|pair| pair.split_once('=')).collect()
}

/// Memory, and processor, percent of one.
async fn of(binary: &Path, folder: &Path, load: &Load) -> anyhow::Result<(Memory, f64)> {
    let plant = Plant::start(PlantConfig::wide(load.points, 1)).await?;
    let device = plant.endpoints().first().context("the plant has no device")?.address;
    write_limits(folder, load)?;
    let centre = centre::start_with(folder, std::iter::once(GATEWAY), LIVE_S).await?;
    let broker = centre.broker.context("the broker has no address")?;
    write_site(folder, load, device.port(), broker.port())?;
    let args = ["run".into(), "--config".into(), folder.join("gateway.toml").display().to_string()];
    let log = folder.join("gateway.log");
    let mut gateway = Program::start(binary, &args, &variables(), &log)?;
    tokio::time::sleep(load.warm).await;
    gateway.check(&log)?;
    let before = centre.store.count()?;
    let cpu = cpu_of(gateway.id())?;
    let mut memory = Memory::default();
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = Memory::of(gateway.id())?;
        memory = if now.resident > memory.resident { now } else { memory };
    }
    let cpu = cpu_of(gateway.id())? - cpu;
    let after = centre.store.count()?;
    let came = after.samples - before.samples;
    let share = 100.0 * cpu / (f64::from(LOOKS) * LOOK_EVERY.as_secs_f64());
    let Memory { resident, own, of_files, peak } = memory;
    note(&format!(
        "  {resident:.1} MB = own {own:.1} + files {of_files:.1}, peak {peak:.1}; {share:.1} % CPU, \
         {came} samples in {LOOKS} s at the centre"
    ));
    drop(gateway);
    centre.stop().await;
    plant.stop().await;
    let least =
        u64::from(load.points) * 1_000 / u64::from(load.period_ms) * u64::from(LOOKS) * 8 / 10;
    ensure!(came >= least, "only {came} samples came in {LOOKS} s, so this is no load");
    Ok((memory, share))
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
