//! Whether a Modbus TCP device can answer as often as it is asked. What a line can carry is
//! computed from its baud rate; what a TCP device takes for an answer nobody knows beforehand, so
//! the check says how long an answer may take, and hints where that is short.

use fengsui_scan::{Device, Link, Problem, Scanner, Site, SiteFault};

/// Shorter than this an answer of a device in a plant may not be: an assumption, not a measurement.
/// A controller that answers once in its cycle takes some 10 ms to 50 ms, a gateway to a serial line
/// as long as that line.
const SHORT_MS: f64 = 20.0;

/// What the devices at one address are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    per_s: f64,
    /// Of each second, in pauses that they need.
    paused_ms: f64,
}

impl Asked {
    /// How long an answer may take on average, so that every scan is done in time: 0 where the
    /// pauses alone take longer; none where nothing is read.
    pub(super) fn answer_within_ms(self) -> Option<f64> {
        (self.per_s > 0.0).then(|| ((1_000.0 - self.paused_ms) / self.per_s).max(0.0))
    }
}

/// Devices at one address, and how often that is asked.
pub(super) fn endpoints(site: &Site) -> impl Iterator<Item = (Vec<usize>, Asked)> {
    let add = |sum: Asked, index: &usize| {
        let Some(device) = site.devices.get(*index) else { return sum };
        let scanner = Scanner::new(device.clone(), site.mappings_of(*index), 0);
        let per_s = requests_per_s(&scanner);
        let paused_ms = per_s * f64::from(device.pause_ms);
        Asked { per_s: sum.per_s + per_s, paused_ms: sum.paused_ms + paused_ms }
    };
    site.endpoints().into_iter().map(move |devices| {
        let asked = devices.iter().fold(Asked { per_s: 0.0, paused_ms: 0.0 }, add);
        (devices, asked)
    })
}

/// Devices at one address share what it can carry: units behind a gateway to a serial line.
pub(super) fn hints(site: &Site) -> Vec<SiteFault> {
    let hint = |(devices, asked): (Vec<usize>, Asked)| {
        let within = asked.answer_within_ms().filter(|ms| *ms < SHORT_MS)?;
        let per_s = asked.per_s;
        let devices: Vec<&Device> =
            devices.into_iter().filter_map(|index| site.devices.get(index)).collect();
        let Link::ModbusTcp { host, port } = &devices.first()?.link else { return None };
        let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        let (at, devices) = (format!("{host}:{port}"), names.join(", "));
        let (zh, en) = match asked.paused_ms {
            0.0 => (String::new(), String::new()),
            ms => (
                format!("，停顿（pause_ms）每秒合计 {ms:.0} ms"),
                format!(" and left alone (pause_ms) for {ms:.0} ms of each"),
            ),
        };
        let problem = Problem::Said(
            format!(
                "{at} 每秒被问 {per_s:.0} 次{zh}，每次应答平均不得超过 {within:.1} ms；未加延时的现场设备常需 \
                 10–50 ms（估计值）。请用 watch 看往返时间；来不及时先读带报警的测点，其余测点读不到（/healthz \
                 的 overdue_points）。可加长 period_ms，或合并寄存器"
            ),
            format!(
                "{at} is asked {per_s:.0} times a second{en}, so that an answer may take {within:.1} ms \
                 on average; devices in a plant often take 10 to 50 ms (an estimate). See the round \
                 trip in watch; what cannot be answered is first read where alarms wait for it, and \
                 the rest falls behind (overdue_points of /healthz); lengthen period_ms or merge \
                 registers"
            ),
        );
        let (column, value) = (Some("device.name".to_owned()), Some(devices));
        Some(SiteFault { column, value, ..SiteFault::of_file(&site.file, problem) })
    };
    endpoints(site).filter_map(hint).collect()
}

/// How often a device is asked.
pub(super) fn requests_per_s(scanner: &Scanner) -> f64 {
    let per_s = |(_, period): &(_, u32)| 1_000.0 / f64::from((*period).max(1));
    scanner.requests().iter().map(per_s).sum()
}
