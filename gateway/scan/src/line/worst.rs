//! How long it takes at worst until the gateway knows that a value has changed.
//!
//! Bound for one block with period T, all quantities from the configuration:
//!
//! ```text
//! T + 20/19 · (B + F + O + Σ n·(C + R))
//! ```
//!
//! - T: it changed just after it was read.
//! - C: the device's `pause_ms`, request, silences and answer on the wire, and its whole
//!   `timeout_ms`; over TCP `pause_ms` and `timeout_ms` alone. Summed over the alarm blocks of the line, or of the devices at one TCP
//!   address, the block itself included. Another block goes before it only with a nearer deadline: once if its period is not shorter,
//!   else ⌊T / period⌋ + 1 times.
//! - R: where a block needs registers of other blocks, these twice more and itself once more: they
//!   are read behind it, and if they have changed, everything is read again.
//! - A device that takes more than that, since it is not as its sheet says, waits for the others
//!   ([`super::share`]).
//! - B: what cannot be interrupted when it becomes due: the longest block without alarm, or a probe.
//! - F: one device of the line fails meanwhile: two requests without answer, each waited for twice
//!   as long as its patience.
//! - O: two exchanges for each output on the line, its order and the reading back, each with the
//!   whole patience with a relay module. They may go before a block that waits.
//! - 20/19: dead devices take a twentieth.
//!
//! Not in it: a reading that is lost to noise. It is `Bad` at once, and the next scan decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::share::{Share, cost_us};
use super::{COMMAND_PATIENCE_US, DEAD_SHARE, DOUBT_MS};
use crate::pdu::Question;
use crate::plan::Block;
use crate::point_set::PointSet;
use crate::rtu::Timing;
use crate::schedule::{Class, Scanner};
use crate::site::{Device, Mapping, Site};

/// The bound of one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstCase {
    /// Index of the point in the catalogue.
    pub point: u32,
    /// Index of its device.
    pub device: usize,
    /// From the change to the gateway's knowing it.
    pub read_ms: u64,
}

/// How long after a start a device of a line is silent that answers no other length than its own:
/// the line is left alone for two time-outs, every device is asked twice before it (each time waited
/// for and left alone as long again), and then nobody believes it for ten seconds. A line that is
/// full may need longer.
#[must_use]
pub fn start_ms(site: &Site, bus: usize) -> u64 {
    let on = site.devices_on(bus);
    let on: Vec<&Device> = on.iter().filter_map(|index| site.devices.get(*index)).collect();
    let longest = on.iter().map(|device| u64::from(device.timeout_ms)).max().unwrap_or(0);
    let asked_twice =
        |device: &&Device| 4 * u64::from(device.timeout_ms) + 2 * u64::from(device.pause_ms);
    2 * longest + on.iter().map(asked_twice).sum::<u64>() + DOUBT_MS
}

/// The blocks of one device.
struct Blocks {
    device: usize,
    /// Period, ms, and points of each that carries an alarm.
    urgent: Vec<(u32, Vec<u32>)>,
    share: Share,
    /// What its longest block without alarm costs.
    bulk_us: u64,
}

/// The bounds of all points that carry an alarm, in the order of the catalogue. `outputs` says how
/// many outputs hang on the line of that name.
#[must_use]
pub fn worst_cases(
    site: &Site,
    alarms: &PointSet,
    outputs: &dyn Fn(&str) -> u64,
) -> Vec<WorstCase> {
    let mut found = Vec::new();
    for devices in site.endpoints() {
        of_line((site, alarms), &devices, &Timing::of_network(), 0, &mut found);
    }
    for (bus, spec) in site.buses.iter().enumerate() {
        let timing = Timing::new(&spec.settings);
        let devices = site.devices_on(bus);
        let pauses = devices.iter().filter_map(|index| site.devices.get(*index));
        let pause_us = pauses.map(Device::pause_us).max().unwrap_or(0);
        let orders = outputs(&spec.name) * 2 * (order_us(&timing) + pause_us);
        of_line((site, alarms), &devices, &timing, orders, &mut found);
    }
    found.sort_by_key(|case| case.point);
    found
}

fn of_line(
    (site, alarms): (&Site, &PointSet),
    devices: &[usize],
    timing: &Timing,
    orders_us: u64,
    found: &mut Vec<WorstCase>,
) {
    let all = devices.iter().filter_map(|index| blocks(site, *index, timing, alarms));
    let all: Vec<Blocks> = all.collect();
    let costs = devices.iter().filter_map(|index| site.devices.get(*index));
    let probe = costs.map(|device| probe_us(device, timing)).max().unwrap_or(0);
    let probe = if devices.len() > 1 { probe } else { 0 };
    let blocked = all.iter().map(|one| one.bulk_us).max().unwrap_or(0).max(probe);
    let mut bounds = BTreeMap::new();
    for (one, (period_ms, points)) in
        all.iter().flat_map(|one| one.urgent.iter().map(move |b| (one, b)))
    {
        let read_ms = *bounds.entry(*period_ms).or_insert_with(|| {
            let accounts = all.iter().flat_map(|one| one.share.accounts());
            let before = accounts.map(|other| turns(*period_ms, other.period_ms) * other.quota_us);
            let busy = blocked + 2 * probe + orders_us + before.sum::<u64>();
            let wait = if devices.len() > 1 { busy * DEAD_SHARE / (DEAD_SHARE - 1) } else { busy };
            u64::from(*period_ms) + wait.div_ceil(1_000)
        });
        let cases = points.iter().filter(|point| alarms.contains(**point));
        found.extend(cases.map(|point| WorstCase { point: *point, device: one.device, read_ms }));
    }
}

/// How often blocks of the period `other` go before one of this period is served; itself once.
fn turns(period_ms: u32, other: u32) -> u64 {
    if other >= period_ms { 1 } else { u64::from(period_ms / other.max(1)) + 1 }
}

fn blocks(site: &Site, index: usize, timing: &Timing, alarms: &PointSet) -> Option<Blocks> {
    let device = site.devices.get(index)?;
    let mappings: Arc<[Mapping]> = site.mappings_of(index).into();
    let scanner = Scanner::new(device.clone(), Arc::clone(&mappings), 0).with_alarms(alarms);
    let points = |block: &Block| {
        let points = block.items.iter().filter_map(|item| Some(mappings.get(item.mapping)?.point));
        (block.period_ms, points.collect())
    };
    let of = |class| scanner.blocks().filter(move |block| block.1 == class).map(|block| block.0);
    let bulk_us = of(Class::Bulk).map(|block| cost_us(&scanner, block, timing)).max();
    Some(Blocks {
        device: index,
        urgent: of(Class::Alarm).map(points).collect(),
        share: Share::of(&scanner, timing),
        bulk_us: bulk_us.unwrap_or(0),
    })
}

/// An order, or the reading back of its coil, which is shorter. The patience is long enough for the
/// readings that tell late answers apart, and for a module that is silent and left alone.
fn order_us(timing: &Timing) -> u64 {
    timing.exchange_us(Question::SetCoil { coil: 0, on: true }) + COMMAND_PATIENCE_US
}

/// A small request to a device that does not answer, and the wait for what it might still say.
fn probe_us(device: &Device, timing: &Timing) -> u64 {
    let wire = device.pause_us() + timing.request_us() + 2 * timing.t35_us();
    wire + 2 * u64::from(device.timeout_ms) * 1_000
}
