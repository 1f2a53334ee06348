//! How long it takes at worst until the gateway knows that a value has changed.
//!
//! Bound for one block with period T, all quantities from the configuration:
//!
//! ```text
//! T + 20/19 · (B + F + O + Σ n·C + R)
//! ```
//!
//! - T: it changed just after it was read.
//! - C: the device's `pause_ms`, request, silences and answer on the wire, and its whole
//!   `timeout_ms`; over TCP `pause_ms` and `timeout_ms` alone. Summed over the alarm blocks of the line, or of the devices at one TCP
//!   address, the block itself included. Another block goes before it only with a nearer deadline: once if its period is not shorter,
//!   else ⌊T / period⌋ + 1 times.
//! - R: where it needs registers of other blocks, these twice more and itself once more: they are
//!   read behind it, and if they have changed, everything is read again.
//! - B: what cannot be interrupted when it becomes due: the longest block without alarm, or a probe.
//! - F: one device of the line fails meanwhile: two requests without answer, each waited for twice
//!   as long as its patience.
//! - O: two exchanges for each output on the line, its order and the reading back, each with the
//!   whole patience with a relay module. They may go before a block that waits.
//! - 20/19: dead devices take a twentieth.
//!
//! Not in it: a reading that is lost to noise. It is `Bad` at once, and the next scan decides.

use std::sync::Arc;

use super::{COMMAND_PATIENCE_US, DEAD_SHARE, DOUBT_MS};
use crate::pdu::{Question, ReadRequest};
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

struct Job {
    device: usize,
    points: Vec<u32>,
    period_us: u64,
    cost_us: u64,
    /// What is read again for its sake.
    again_us: u64,
    class: Class,
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
    let all = devices.iter().flat_map(|index| jobs(site, *index, timing, alarms));
    let jobs: Vec<Job> = all.collect();
    let costs = devices.iter().filter_map(|index| site.devices.get(*index));
    let probe = costs.map(|device| probe_us(device, timing)).max().unwrap_or(0);
    let probe = if devices.len() > 1 { probe } else { 0 };
    let bulk = jobs.iter().filter(|job| job.class == Class::Bulk).map(|job| job.cost_us).max();
    let blocked = bulk.unwrap_or(0).max(probe);
    let urgent = || jobs.iter().filter(|job| job.class == Class::Alarm);
    for job in urgent() {
        let before: u64 = urgent().map(|other| turns(job, other) * other.cost_us).sum();
        let busy = blocked + 2 * probe + orders_us + before + job.again_us;
        let wait = if devices.len() > 1 { busy * DEAD_SHARE / (DEAD_SHARE - 1) } else { busy };
        let read_ms = (job.period_us + wait).div_ceil(1_000);
        let cases = job.points.iter().filter(|point| alarms.contains(**point));
        found.extend(cases.map(|point| WorstCase { point: *point, device: job.device, read_ms }));
    }
}

/// How often `other` goes before `job` is served; itself once.
fn turns(job: &Job, other: &Job) -> u64 {
    if other.period_us >= job.period_us { 1 } else { job.period_us / other.period_us.max(1) + 1 }
}

fn jobs(site: &Site, index: usize, timing: &Timing, alarms: &PointSet) -> Vec<Job> {
    let Some(device) = site.devices.get(index) else { return Vec::new() };
    let mappings: Arc<[Mapping]> = site.mappings_of(index).into();
    let scanner = Scanner::new(device.clone(), Arc::clone(&mappings), 0).with_alarms(alarms);
    let cost = |block: &Block| cost_us(device, block.request, timing);
    let job = |(at, (block, class)): (usize, (&Block, Class))| {
        let needs = scanner.needs_of(at);
        let behind: u64 = needs.iter().map(|block| 2 * cost(block)).sum();
        Job {
            device: index,
            points: block
                .items
                .iter()
                .filter_map(|i| Some(mappings.get(i.mapping)?.point))
                .collect(),
            period_us: u64::from(block.period_ms) * 1_000,
            cost_us: cost(block),
            again_us: if needs.is_empty() { 0 } else { behind + cost(block) },
            class,
        }
    };
    scanner.blocks().enumerate().map(job).collect()
}

fn cost_us(device: &Device, request: ReadRequest, timing: &Timing) -> u64 {
    device.pause_us() + timing.exchange_us(request) + u64::from(device.timeout_ms) * 1_000
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
