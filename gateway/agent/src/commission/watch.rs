//! `watch`: a live table for a terminal; one JSON line for each request where nobody looks.
//!
//! - The screen is given back as it was found, also when the program fails.
//! - A value that went bad disappears: no old number stays beside a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fengsui_scan::{Site, SourceClock};
use fengsui_telemetry::Fault;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::read::{cells, choose, reading_json};
use super::round::{HEARD_MAX, Heard, Seen, rounds};
use super::{Said, show, words};
use crate::bus::source;
use crate::clock::Clock;

/// Between two pictures: faster than this nobody reads, and a serial console cannot.
const REDRAW: Duration = Duration::from_millis(250);
/// Lines of a screen that does not say how many it has.
const LINES: u16 = 24;
/// Lines of the table that are no points: three rules, two of headings, one of what was left out.
const TABLE_LINES: usize = 6;
/// Another screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the top, and what is left of the last picture is cleared.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";

/// What to watch.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// 网关或站点配置文件 | The gateway's file or the site file
    #[arg(long, value_name = "FILE", env = "FENGSUI_GATEWAY_CONFIG")]
    config: PathBuf,
    /// 只看这些位号；不写则全部 | Only these tags; all where none is named
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
    /// 到时自行结束，如 60s | Ends by itself
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    time: Option<Duration>,
    /// 每次读取输出一行 JSON | One JSON line for each request
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse().ok().filter(|s| *s > 0);
    number
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} 应写成秒数，如 60s | write seconds, like 60s"))
}

/// Watches until Ctrl-C, or for the time given.
pub async fn watch(args: WatchArgs) -> Said {
    let (site, wanted) = match choose(&args.config, &args.tags) {
        Ok(chosen) => chosen,
        Err(said) => return said,
    };
    let clock = Clock::start();
    let (out, mut heard) = mpsc::channel(HEARD_MAX);
    let mut readers = JoinSet::new();
    for round in rounds(&site, &wanted, clock) {
        readers.spawn(round.follow(clock, out.clone()));
    }
    drop(out);
    let mut watched =
        Watched { site: &site, wanted, clock, points: BTreeMap::new(), devices: BTreeMap::new() };
    let screen = (stdout().is_terminal() && !args.json).then(Screen::enter);
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(told_to_stop(args.time));
    loop {
        let kept = tokio::select! {
            biased;
            () = &mut stop => break,
            _ = redraw.tick() => screen.is_none() || put(&watched.picture()),
            one = heard.recv() => match one {
                Some(one) => {
                    let line = screen.is_none().then(|| watched.line(&one));
                    watched.take(one);
                    line.is_none_or(|line| put(&line))
                }
                None => break,
            },
        };
        // Whoever was reading has gone (`| head`).
        if !kept {
            break;
        }
    }
    let was_screen = screen.is_some();
    drop(screen);
    readers.shutdown().await;
    let reached = watched.devices.values().any(|device| device.answers > 0);
    let out = if was_screen { watched.table(usize::MAX) } else { String::new() };
    let code = if reached { super::FINE } else { super::UNREACHABLE };
    Said { out, err: String::new(), code }
}

async fn told_to_stop(time: Option<Duration>) {
    let timed = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
        () = timed => {}
    }
}

/// A polite kill must give the screen back as well.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut told) => drop(told.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// False: nobody reads any more.
fn put(text: &str) -> bool {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// The other screen, until it is dropped.
struct Screen;

impl Screen {
    fn enter() -> Self {
        put(ENTER);
        Self
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        put(LEAVE);
    }
}

struct Watched<'a> {
    site: &'a Site,
    wanted: BTreeSet<u32>,
    clock: Clock,
    /// Last word of each point, when it came (µs), and how long it took.
    points: BTreeMap<u32, (Seen, u64, Option<f64>)>,
    devices: BTreeMap<usize, DeviceSeen>,
}

#[derive(Default)]
struct DeviceSeen {
    answers: u64,
    faults: u64,
    /// The last fault.
    last: Option<Fault>,
    /// How it does now.
    now: Option<Fault>,
    /// What is wrong with its line, with the mend.
    line_fault: Option<String>,
    /// Where its own clock is off: what to do.
    clock_off: Option<String>,
    rtt_ms: f64,
    rtt_max_ms: f64,
}

impl Watched<'_> {
    fn take(&mut self, heard: Heard) {
        let device = self.devices.entry(heard.device).or_default();
        let rtt_ms = show::ms(heard.rtt);
        device.now = heard.fault;
        device.line_fault = heard.refusal;
        if heard.source != SourceClock::Unsaid {
            device.clock_off = source::off(heard.source).map(|(_, told)| told);
        }
        if heard.answered {
            device.answers += 1;
            (device.rtt_ms, device.rtt_max_ms) = (rtt_ms, device.rtt_max_ms.max(rtt_ms));
        }
        if heard.failed.is_some() {
            device.faults += 1;
            device.last = heard.failed;
        }
        let rtt = heard.answered.then_some(rtt_ms);
        let at = self.clock.line_us();
        for seen in heard.points {
            self.points.insert(seen.point, (seen, at, rtt));
        }
    }

    /// One request as JSON.
    fn line(&self, heard: &Heard) -> String {
        let rtt = heard.answered.then(|| show::ms(heard.rtt));
        let points: Vec<Value> = heard
            .points
            .iter()
            .filter_map(|seen| {
                let point = self.site.catalogue.points.get(usize::try_from(seen.point).ok()?)?;
                Some(reading_json(point, seen, rtt))
            })
            .collect();
        let device = self.site.devices.get(heard.device).map(|device| device.name.as_str());
        let clock_off_ms = source::off(heard.source).map(|(off_ms, _)| off_ms);
        let line = json!({
            "t": self.clock.wall().0,
            "device": device,
            "rtt_ms": rtt,
            "failed": heard.failed.map(Fault::word),
            "fault": heard.fault.map(Fault::word),
            "line_fault": heard.refusal,
            "clock_off_ms": clock_off_ms,
            "points": points,
        });
        format!("{line}\n")
    }

    fn picture(&self) -> String {
        let lines = lines();
        let room = usize::from(lines).saturating_sub(self.devices.len() + 1);
        let text = self.table(room);
        let mut picture = HOME.to_owned();
        for line in text.lines().take(usize::from(lines).saturating_sub(1)) {
            picture += line;
            picture += CLEAR_LINE;
            picture += "\r\n";
        }
        picture + CLEAR_REST
    }

    /// The table in at most so many lines.
    fn table(&self, room: usize) -> String {
        let now = self.clock.line_us();
        let mut table = show::table(&[
            "位号\ntag",
            "原始寄存器\nraw",
            "值\nvalue",
            "单位\nunit",
            "质量\nquality",
            "往返\nms",
            "龄期\nage s",
        ]);
        let shown = (0..)
            .zip(&self.site.catalogue.points)
            .filter(|(index, _)| self.wanted.is_empty() || self.wanted.contains(index));
        let shown: Vec<_> = shown.collect();
        let most = room.saturating_sub(TABLE_LINES).max(1);
        for (index, point) in shown.iter().take(most) {
            let row = match self.points.get(index) {
                Some((seen, at, rtt)) => {
                    let mut row = cells(point, seen, *rtt);
                    row.push(format!(
                        "{:.1}",
                        Duration::from_micros(now.saturating_sub(*at)).as_secs_f64()
                    ));
                    row
                }
                None => vec![point.tag.to_string(), "…".to_owned()],
            };
            table.add_row(row);
        }
        let mut text = format!("{table}\n");
        for (index, seen) in &self.devices {
            text += &self.device_line(*index, seen);
        }
        let line_faults = self.devices.values().filter_map(|seen| seen.line_fault.as_deref());
        for line_fault in line_faults.collect::<BTreeSet<_>>() {
            text += &format!("▸ {line_fault}\n");
        }
        if shown.len() > most {
            let left = shown.len() - most;
            text += &format!("还有 {left} 个测点：写出位号，或加高窗口 | {left} more: name tags\n");
        }
        text
    }

    fn device_line(&self, index: usize, seen: &DeviceSeen) -> String {
        let name = self.site.devices.get(index).map_or("", |device| device.name.as_str());
        let state = match seen.now {
            None => "正常 ok".to_owned(),
            Some(fault) => words::of_fault(fault).zh.to_owned(),
        };
        let last = seen.last.map_or_else(String::new, |fault| format!("，最近 {}", fault.word()));
        let DeviceSeen { answers, faults, rtt_ms, rtt_max_ms, .. } = seen;
        let wrong_clock = seen.clock_off.as_ref().map(|told| format!("▸ {name}：{told}\n"));
        let wrong_clock = wrong_clock.unwrap_or_default();
        format!(
            "{name}：{state}；应答 ok {answers}，故障 faults {faults}{last}；往返 {rtt_ms} ms，最长 max \
             {rtt_max_ms}\n{wrong_clock}"
        )
    }
}

/// Lines of the terminal.
fn lines() -> u16 {
    crossterm::terminal::size().map_or(LINES, |(_, lines)| lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_whole_seconds() {
        assert_eq!(seconds("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(seconds("5"), Ok(Duration::from_secs(5)));
        for bad in ["", "0", "1m", "-1", "1.5s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
