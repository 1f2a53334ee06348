//! The configuration of a gateway with one RTU line of equal slaves.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The line.
pub(crate) struct Line<'a> {
    /// Of the port.
    pub(crate) path: &'a str,
    pub(crate) baud: u32,
    pub(crate) slaves: u8,
    /// Registers of the one block of each slave.
    pub(crate) words: u16,
    pub(crate) period_ms: u32,
}

impl Line<'_> {
    /// Writes site, points, limits and settings; gives the settings' path.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let Self { path, baud, slaves, words, period_ms } = self;
        let mut site = format!(
            "[site]\nenterprise = \"示例石化有限公司\"\ngateway = \"GW-LINE\"\npoints = \"points.csv\"\n\
             limits = \"limits.csv\"\n[[installation]]\nname = \"1#罐区\"\nkind = \"tank_farm\"\n\
             hazard_class = 3\n[[bus]]\nname = \"A\"\nkind = \"modbus-rtu\"\npath = \"{path}\"\n\
             baud = {baud}\nparity = \"none\"\nstop_bits = 2\n"
        );
        let mut points = String::from(
            "位号,名称,装置,信号,单位,量程下限,量程上限,仪表通信,功能,地址,类型,周期毫秒\n\
             tag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n",
        );
        for unit in 1..=*slaves {
            writeln!(
                site,
                "[[device]]\nname = \"s{unit}\"\nkind = \"modbus-rtu\"\nbus = \"A\"\nunit = {unit}\n\
                 timeout_ms = 200\ngap_registers = 125"
            )?;
            for address in [0, words - 1] {
                writeln!(
                    points,
                    "P{unit}-{address},寄存器,1#罐区,level,mm,0,65535,s{unit},holding,{address},u16,{period_ms}"
                )?;
            }
        }
        std::fs::write(folder.join("site.toml"), site)?;
        std::fs::write(folder.join("points.csv"), points)?;
        let limits = "位号,类型,限值,回差\ntag,kind,limit,deadband\nP1-0,HH,60000,10\n";
        std::fs::write(folder.join("limits.csv"), limits)?;
        let config = folder.join("gateway.toml");
        let own = "site = \"site.toml\"\ndata = \"gateway\"\n[local]\noutput = \"sim\"\n";
        std::fs::write(&config, own)?;
        Ok(config)
    }
}
