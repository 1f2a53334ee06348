//! What three dead devices of 32 cost the others on one RTU line, and how much of the line block
//! reads use: the release binary of the gateway on a pseudo-terminal, whose other end answers with
//! the wire time of 115,200 baud.
//!
//! - Measured by the simulated slaves: when each of the living was read, not what the gateway says.
//! - Two lines at once: one that is asked for more than it can carry, one that has a second for a
//!   round. First all live, then three fall silent in mid-run.
//! - The first seconds after that are left out: a failed block and its second try cost once, not at
//!   every scan. The longest interval with them is printed.
//! - What a busy machine does to it stays in: a late reply of the simulation counts against us.

use std::io::{ErrorKind, Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serialport::{SerialPort, TTYPort};

use crate::clock::monotonic;
use crate::figures::{Figure, aims};
use crate::process::{Program, neighbour};
use crate::{line_site, note};

/// What the standard allows on one segment.
const SLAVES: u8 = 32;
const DEAD: [u8; 3] = [4, 12, 28];
/// Registers of a block.
const WORDS: u16 = 50;
const BAUD: u32 = 115_200;
/// Start, eight data, two stop: a pseudo-terminal has no parity.
const CHAR_BITS: u32 = 11;
/// Fixed above 19,200 baud.
const T35: Duration = Duration::from_micros(1_750);
/// What a slave takes before it answers.
const TURNAROUND: Duration = Duration::from_millis(5);
/// Patience is learnt from 32 answers of each.
const WARM: Duration = Duration::from_secs(3);
const ALIVE: Duration = Duration::from_secs(21);
const DYING: Duration = Duration::from_secs(5);
const WITH_DEAD: Duration = Duration::from_secs(21);
/// The last of a wait is spent awake: a thread wakes up to this much late.
const SPIN: Duration = Duration::from_micros(200);

/// One line.
struct Load {
    name: &'static str,
    period_ms: u32,
}

/// More than the line can carry: a round takes 0.6 s.
const FULL: Load = Load { name: "full", period_ms: 100 };
const USUAL: Load = Load { name: "usual", period_ms: 1_000 };

/// A block that was answered to its end.
#[derive(Clone, Copy)]
struct Answered {
    unit: u8,
    at: Instant,
}

pub(crate) fn measure(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let other = folder.to_path_buf();
    let usual = thread::spawn(move || run(&other, &USUAL));
    let full = run(folder, &FULL);
    let Ok(usual) = usual.join() else { bail!("the second line's thread ended") };
    let (full, usual) = (full?, usual?);
    Ok(vec![
        Figure::new(aims::line_scan_p99_ratio_3_of_32_dead, full.ratio),
        Figure::new(aims::line_scan_p99_ratio_3_of_32_dead_1_s, usual.ratio),
        Figure::new(aims::line_efficiency_percent, full.efficiency),
    ])
}

struct Found {
    ratio: f64,
    efficiency: f64,
}

fn run(folder: &Path, load: &Load) -> anyhow::Result<Found> {
    let Some(binary) = neighbour("fengsui-gateway") else {
        bail!("fengsui-gateway is not beside this program; build it with the same profile");
    };
    let (ours, theirs) = TTYPort::pair().context("no pseudo-terminal")?;
    let path = theirs.name().context("the pseudo-terminal has no name")?;
    let own = folder.join(load.name);
    std::fs::create_dir_all(&own)?;
    let line = line_site::Line {
        path: &path,
        baud: BAUD,
        slaves: SLAVES,
        words: WORDS,
        period_ms: load.period_ms,
    };
    let config = line.write(&own)?;
    let (silent, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let bus = thread::spawn({
        let (silent, end) = (silent.clone(), end.clone());
        move || serve(ours, &silent, &end)
    });
    let log = own.join("gateway.log");
    let args = ["run".into(), "--config".into(), config.display().to_string()];
    let mut gateway = Program::start(&binary, &args, &[], &log)?;
    thread::sleep(WARM);
    let alive_from = monotonic();
    thread::sleep(ALIVE);
    let died = monotonic();
    silent.store(true, Ordering::SeqCst);
    thread::sleep(DYING);
    let dead_from = monotonic();
    thread::sleep(WITH_DEAD);
    let until = monotonic();
    gateway.check(&log)?;
    end.store(true, Ordering::SeqCst);
    let Ok(answered) = bus.join() else { bail!("the slaves' thread ended") };
    let answered = answered?;
    let before = intervals(&answered, (alive_from, died));
    let after = intervals(&answered, (dead_from, until));
    let dying = intervals(&answered, (died, until));
    let (p50, p99) = (quantile(&before, 50)?, quantile(&before, 99)?);
    let (p50_dead, p99_dead) = (quantile(&after, 50)?, quantile(&after, 99)?);
    let whole = answered.iter().filter(|a| (alive_from..died).contains(&a.at)).count();
    let efficiency =
        100.0 * formula().as_secs_f64() * whole as f64 / (died - alive_from).as_secs_f64();
    note(&format!(
        "  {}: scan p50/p99 {p50:.0}/{p99:.0} ms, three dead {p50_dead:.0}/{p99_dead:.0} ms, \
         longest {:.0} ms and {:.0} ms while they died; {efficiency:.1} % of the line",
        load.name,
        after.last().copied().unwrap_or_default(),
        dying.last().copied().unwrap_or_default(),
    ));
    drop(theirs);
    Ok(Found { ratio: p99_dead / p99, efficiency })
}

/// Request, answer, both silences, and what the slave takes.
fn formula() -> Duration {
    chars(8 + 5 + 2 * u32::from(WORDS)) + 2 * T35 + TURNAROUND
}

fn chars(count: u32) -> Duration {
    Duration::from_secs(1) * (count * CHAR_BITS) / BAUD
}

/// Between two answers of one living slave, ms, shortest first.
fn intervals(answered: &[Answered], (from, until): (Instant, Instant)) -> Vec<f64> {
    let mut found = Vec::new();
    for unit in (1..=SLAVES).filter(|unit| !DEAD.contains(unit)) {
        let mine = answered.iter().filter(|a| a.unit == unit && (from..until).contains(&a.at));
        let times: Vec<Instant> = mine.map(|a| a.at).collect();
        found.extend(times.windows(2).filter_map(|pair| match pair {
            [one, next] => Some((*next - *one).as_secs_f64() * 1e3),
            _ => None,
        }));
    }
    found.sort_by(f64::total_cmp);
    found
}

fn quantile(sorted: &[f64], percent: usize) -> anyhow::Result<f64> {
    ensure!(sorted.len() >= 400, "only {} scans, so the quantiles say nothing", sorted.len());
    sorted.get(sorted.len() * percent / 100).copied().context("no scans")
}

/// All slaves of the line, until the end.
fn serve(
    mut line: TTYPort,
    silent: &AtomicBool,
    end: &AtomicBool,
) -> anyhow::Result<Vec<Answered>> {
    line.set_timeout(Duration::from_millis(20))?;
    let (mut answered, mut request) = (Vec::new(), Vec::new());
    while !end.load(Ordering::SeqCst) {
        let mut bytes = [0; 8];
        let Some(room) = bytes.get_mut(request.len()..) else { bail!("more than a request") };
        match line.read(room) {
            Ok(count) => request.extend(room.iter().take(count)),
            Err(fault) if fault.kind() == ErrorKind::TimedOut => continue,
            Err(fault) => return Err(fault.into()),
        }
        let arrived = monotonic();
        let [unit, function, _, _, high, low, _, _] = *request.as_slice() else { continue };
        request.clear();
        ensure!(function == 3, "only holding registers are asked for, not function {function}");
        let count = u16::from_be_bytes([high, low]);
        if silent.load(Ordering::SeqCst) && DEAD.contains(&unit) {
            continue;
        }
        let reply = answer(unit, count);
        let long = u32::try_from(reply.len())?;
        wait_until(arrived + chars(8) + T35 + TURNAROUND + chars(long));
        line.write_all(&reply)?;
        if count == WORDS {
            answered.push(Answered { unit, at: monotonic() });
        }
    }
    Ok(answered)
}

fn wait_until(instant: Instant) {
    let rest = instant.saturating_duration_since(monotonic());
    thread::sleep(rest.saturating_sub(SPIN));
    while monotonic() < instant {
        std::hint::spin_loop();
    }
}

fn answer(unit: u8, count: u16) -> Vec<u8> {
    let mut bytes = vec![unit, 3, u8::try_from(count * 2).unwrap_or(u8::MAX)];
    bytes.extend((0..count).flat_map(|word| (word + u16::from(unit)).to_be_bytes()));
    bytes.extend(crc16(&bytes).to_le_bytes());
    bytes
}

/// CRC-16/MODBUS, written again here: the other end of the line is nobody's copy.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| match crc & 1 {
            0 => crc >> 1,
            _ => (crc >> 1) ^ 0xa001,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_and_the_crc_are_the_published_ones() {
        assert_eq!(crc16(b"123456789"), 0x4b37);
        // Fifty registers at 115,200 baud: 10.79 ms of characters, two silences, the slave.
        assert_eq!(formula().as_micros(), 10_789 + 3_500 + 5_000);
        assert_eq!(answer(1, WORDS).len(), 5 + 2 * usize::from(WORDS));
    }

    #[test]
    fn intervals_are_those_of_the_living_inside_the_window() {
        let from = monotonic();
        let at = |unit, ms| Answered { unit, at: from + Duration::from_millis(ms) };
        let all = [at(1, 0), at(4, 10), at(1, 100), at(4, 500), at(1, 350), at(1, 2_000)];
        let found = intervals(&all, (from, from + Duration::from_secs(1)));
        assert_eq!(found.iter().map(|ms| ms.round()).collect::<Vec<_>>(), [100.0, 250.0]);
    }
}
