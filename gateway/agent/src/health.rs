//! `/healthz` for a person or a probe, `/metrics` for Prometheus. Reading only.
//!
//! - Little HTTP on purpose: one request a connection, its head at most [`HEAD_MAX`] bytes, at most
//!   [`CONNECTIONS_MAX`] at a time, each with a deadline. One more, and the oldest is dropped: who
//!   asks is answered at once, so the oldest is one that does not ask.
//! - Healthy means: the alarm loop has turned within [`STALLED_MS`], and the disk takes records and
//!   the siren's state.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use fengsui_telemetry::wire::Storage;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use crate::alarm::LoopState;
use crate::clock::Clock;
use crate::outputs::siren::SirenState;
use crate::spool::SpoolState;
use crate::uplink::Refusals;

/// A probe's request has some hundred bytes.
const HEAD_MAX: usize = 4_096;
/// Probes, Prometheus and people are a handful; a descriptor each for those that only hold on.
const CONNECTIONS_MAX: usize = 32;
/// Longest time for one request and its answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// Pause after the listener refused: descriptors may be short.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two tries to have a port that somebody else has.
const AGAIN: Duration = Duration::from_secs(5);
/// The loop turns once a second at least.
const STALLED_MS: u64 = 5_000;

/// What is told.
#[derive(Clone, Debug)]
pub(crate) struct Vitals {
    pub(crate) turns: watch::Receiver<LoopState>,
    pub(crate) alarms: watch::Receiver<SirenState>,
    pub(crate) spool: watch::Receiver<SpoolState>,
    pub(crate) alone: watch::Receiver<bool>,
    /// Why the siren's state cannot be written; empty while it can.
    pub(crate) siren_fault: watch::Receiver<String>,
    pub(crate) refusals: Refusals,
    pub(crate) clock: Clock,
}

#[derive(Debug, Serialize)]
struct Health {
    ok: bool,
    /// Ms since the alarm loop turned.
    loop_turned_ms: u64,
    loop_turns: u64,
    centre_silent: bool,
    clock: &'static str,
    /// Alarms that nobody has acknowledged.
    sounding: usize,
    /// Alarms to be seen, as in `siren.json`: present, or gone and not acknowledged.
    lit: usize,
    spool_bytes: u64,
    spool_quota: u64,
    spool_waiting: u64,
    /// `fine`, `thinning`, `full`, `refusing` or `in_memory`.
    storage: &'static str,
    spool_fault: Option<String>,
    /// Why `siren.json` is out of date.
    siren_fault: Option<String>,
    /// Why limits of the centre, or a reload, are not in force: the ones before judge.
    limits_fault: Option<String>,
    #[serde(skip)]
    sound: bool,
    devices: Vec<Part>,
    outputs: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    name: String,
    last_good_ms: i64,
    fault: String,
    /// Of a device: scans that were skipped because earlier ones took too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed_scans: Option<u64>,
    /// Of a device: points whose scan is overdue by more than three of its periods.
    #[serde(skip_serializing_if = "Option::is_none")]
    overdue_points: Option<u32>,
    /// Of a device: how far ahead its own clock is where it is too wrong to be believed, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_off_ms: Option<i64>,
}

/// Answers until the program ends.
pub(crate) async fn run(listen: SocketAddr, vitals: Vitals) {
    let mut told = false;
    let listener = loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => break listener,
            Err(fault) if !told => {
                told = true;
                error!(%listen, %fault, "health endpoint cannot listen; tried again and again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    };
    info!(%listen, "health endpoint");
    serve(listener, vitals).await;
}

async fn serve(listener: TcpListener, vitals: Vitals) {
    let mut held: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                held.retain(|one| !one.is_finished());
                if held.len() >= CONNECTIONS_MAX
                    && let Some(oldest) = held.pop_front()
                {
                    oldest.abort();
                }
                let vitals = vitals.clone();
                let answering = tokio::spawn(async move {
                    let done = timeout(DEADLINE, answer(stream, &vitals)).await;
                    debug!(?done, "health request");
                });
                held.push_back(answering.abort_handle());
            }
            Err(fault) => {
                warn!(%fault, "health endpoint");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, vitals: &Vitals) -> std::io::Result<()> {
    let mut head = Vec::new();
    let complete = |head: &[u8]| head.windows(4).any(|end| end == b"\r\n\r\n");
    while !complete(&head) {
        let mut piece = [0; 512];
        let count = stream.read(&mut piece).await?;
        head.extend_from_slice(piece.get(..count).unwrap_or_default());
        if count == 0 || head.len() > HEAD_MAX {
            return respond(&mut stream, "431 Request Header Fields Too Large", "text/plain", "")
                .await;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/healthz")) => {
            let health = vitals.health();
            let status = if health.ok { "200 OK" } else { "503 Service Unavailable" };
            let body = serde_json::to_string(&health).unwrap_or_default() + "\n";
            respond(&mut stream, status, "application/json", &body).await
        }
        (Some(b"GET"), Some(b"/metrics")) => {
            let body = vitals.health().metrics();
            respond(&mut stream, "200 OK", "text/plain; version=0.0.4", &body).await
        }
        (Some(b"GET"), _) => respond(&mut stream, "404 Not Found", "text/plain", "").await,
        _ => respond(&mut stream, "405 Method Not Allowed", "text/plain", "").await,
    }
}

async fn respond(
    stream: &mut TcpStream,
    status: &str,
    kind: &str,
    body: &str,
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

impl Vitals {
    fn health(&self) -> Health {
        let (state, alarms) = (self.turns.borrow().clone(), self.alarms.borrow().clone());
        let spool = self.spool.borrow().clone();
        let siren_fault = Some(self.siren_fault.borrow().clone()).filter(|said| !said.is_empty());
        let loop_turned_ms = self.clock.mono_ms().saturating_sub(state.turned_at);
        let parts = |all: Vec<fengsui_telemetry::wire::DeviceHealth>| {
            let part = |one: fengsui_telemetry::wire::DeviceHealth| Part {
                name: one.name,
                last_good_ms: one.last_good.0,
                fault: one.fault,
                missed_scans: None,
                overdue_points: None,
                clock_off_ms: None,
            };
            all.into_iter().map(part).collect::<Vec<_>>()
        };
        let mut devices = parts(state.devices);
        for (part, arrears) in devices.iter_mut().zip(state.arrears) {
            part.missed_scans = Some(arrears.missed);
            part.overdue_points = Some(arrears.overdue);
        }
        for (part, off_ms) in devices.iter_mut().zip(state.clocks_off_ms) {
            part.clock_off_ms = off_ms;
        }
        Health {
            ok: loop_turned_ms < STALLED_MS
                && state.turns > 0
                && spool.storage.is_sound()
                && siren_fault.is_none(),
            loop_turned_ms,
            loop_turns: state.turns,
            centre_silent: *self.alone.borrow(),
            clock: crate::clock::word(self.clock.quality()),
            sounding: alarms.alarms.len(),
            lit: alarms.lit.len(),
            spool_bytes: spool.bytes,
            spool_quota: spool.quota,
            spool_waiting: spool.next.saturating_sub(spool.durable_next),
            storage: spool.storage.word(),
            spool_fault: Some(spool.complaint()).filter(|fault| !fault.is_empty()),
            siren_fault,
            limits_fault: Some(self.refusals.said()).filter(|said| !said.is_empty()),
            sound: spool.storage.is_sound(),
            devices,
            outputs: parts(state.outputs),
        }
    }
}

impl Health {
    /// Prometheus text format, version 0.0.4.
    fn metrics(&self) -> String {
        let mut text = String::new();
        let up = u64::from(self.ok);
        for (name, kind, help, value) in [
            ("healthy", "gauge", "1 where /healthz says ok", up),
            ("loop_turns_total", "counter", "Turns of the alarm loop", self.loop_turns),
            ("loop_turned_ms", "gauge", "Since the alarm loop turned", self.loop_turned_ms),
            ("centre_silent", "gauge", "1 while the centre is silent", self.centre_silent.into()),
            ("alarms_sounding", "gauge", "Unacknowledged alarms", self.sounding as u64),
            ("alarms_lit", "gauge", "Alarms present, or gone unacknowledged", self.lit as u64),
            ("spool_bytes", "gauge", "Bytes on disk", self.spool_bytes),
            ("spool_quota_bytes", "gauge", "Bytes that it may have", self.spool_quota),
            (
                "spool_thinning",
                "gauge",
                "1 while the quota is used and telemetry becomes coarser",
                (self.storage == Storage::Thinning.word()).into(),
            ),
            ("spool_waiting", "gauge", "Records that the centre does not have", self.spool_waiting),
            (
                "spool_failing",
                "gauge",
                "1 while the disk does not take everything",
                (!self.sound).into(),
            ),
            (
                "siren_state_failing",
                "gauge",
                "1 while the siren's state cannot be written",
                self.siren_fault.is_some().into(),
            ),
            (
                "limits_refused",
                "gauge",
                "1 while ordered limits or a reload are not in force",
                self.limits_fault.is_some().into(),
            ),
        ] {
            text += &format!(
                "# HELP fengsui_gateway_{name} {help}\n# TYPE fengsui_gateway_{name} {kind}\n\
                 fengsui_gateway_{name} {value}\n"
            );
        }
        let up = |part: &Part| Some(u64::from(part.fault.is_empty()));
        let overdue = |part: &Part| part.overdue_points.map(u64::from);
        text += &series("device_up", "gauge", "1 without a fault", &self.devices, &up);
        text += &series("output_up", "gauge", "1 without a fault", &self.outputs, &up);
        text += &series(
            "device_missed_scans_total",
            "counter",
            "Scans skipped because earlier ones took too long",
            &self.devices,
            &|part| part.missed_scans,
        );
        text += &series(
            "device_overdue_points",
            "gauge",
            "Points whose scan is overdue by more than three periods",
            &self.devices,
            &overdue,
        );
        text
    }
}

/// One number of each part.
fn series(
    what: &str,
    kind: &str,
    help: &str,
    parts: &[Part],
    value: &dyn Fn(&Part) -> Option<u64>,
) -> String {
    let mut text =
        format!("# HELP fengsui_gateway_{what} {help}\n# TYPE fengsui_gateway_{what} {kind}\n");
    for part in parts {
        let name = part.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        if let Some(value) = value(part) {
            text += &format!("fengsui_gateway_{what}{{name=\"{name}\"}} {value}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::siren::Lit;
    use fengsui_telemetry::TimeMs;
    use fengsui_telemetry::wire::DeviceHealth;

    async fn ask(at: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        // A server that has seen enough may have closed.
        stream.write_all(request).await.ok();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.ok();
        String::from_utf8(said).unwrap()
    }

    #[tokio::test]
    async fn a_probe_sees_a_stalled_loop_and_a_dead_device() {
        let clock = Clock::start();
        let device = DeviceHealth {
            name: "gas \"2\"".into(),
            last_good: TimeMs(5),
            fault: "timeout".into(),
        };
        let arrears = vec![fengsui_scan::Arrears { missed: 7, overdue: 30 }];
        let clocks_off_ms = vec![Some(28_800_000)];
        let devices = vec![device];
        let state = LoopState { devices, arrears, clocks_off_ms, ..LoopState::default() };
        let (turns, seen) = watch::channel(state);
        let (spool, _jobs) = crate::spool::SpoolHandle::double(1);
        let (complaint, siren_fault) = watch::channel(String::new());
        let (refuse, refused) = watch::channel(String::new());
        let lit = |key: &str, sounding| Lit { key: key.to_owned(), priority: 1, sounding };
        let alarms = SirenState {
            sounding: true,
            alarms: vec!["GW-01/A/H".to_owned()],
            lit: vec![lit("GW-01/A/H", true), lit("GW-01/B/H", false)],
            ..SirenState::default()
        };
        let vitals = Vitals {
            turns: seen,
            alarms: watch::channel(alarms).1,
            spool: spool.state(),
            siren_fault,
            refusals: Refusals([refused, watch::channel(String::new()).1]),
            alone: watch::channel(false).1,
            clock,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, vitals));
        let get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        let said = ask(at, get).await;
        assert!(said.starts_with("HTTP/1.1 503"), "no turn yet: {said}");
        turns.send_modify(|state| (state.turns, state.turned_at) = (1, clock.mono_ms()));
        let said = ask(at, get).await;
        assert!(said.starts_with("HTTP/1.1 200") && said.contains(r#""ok":true"#), "{said}");
        assert!(
            said.contains(
                r#""fault":"timeout","missed_scans":7,"overdue_points":30,"clock_off_ms":28800000"#
            ),
            "{said}"
        );
        assert!(said.contains(r#""sounding":1,"lit":2"#), "{said}");
        assert!(said.contains(r#""limits_fault":null"#), "{said}");
        refuse.send_replace("签名无效  |  wrong signature".to_owned());
        let said = ask(at, get).await;
        let refused = r#""limits_fault":"签名无效  |  wrong signature""#;
        assert!(said.starts_with("HTTP/1.1 200") && said.contains(refused), "{said}");
        complaint.send_replace("写不了  |  cannot be written".to_owned());
        let said = ask(at, get).await;
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("写不了  |  cannot"), "{said}");
        let said = ask(at, b"GET /metrics HTTP/1.1\r\n\r\n").await;
        assert!(said.contains("fengsui_gateway_siren_state_failing 1\n"), "{said}");
        assert!(said.contains("fengsui_gateway_limits_refused 1\n"), "{said}");
        assert!(said.contains("fengsui_gateway_device_up{name=\"gas \\\"2\\\"\"} 0\n"), "{said}");
        assert!(said.contains("fengsui_gateway_loop_turns_total 1\n"), "{said}");
        assert!(said.contains("fengsui_gateway_alarms_lit 2\n"), "{said}");
        let overdue = "fengsui_gateway_device_overdue_points{name=\"gas \\\"2\\\"\"} 30\n";
        assert!(said.contains(overdue), "{said}");
    }

    fn idle() -> Vitals {
        let (spool, _jobs) = crate::spool::SpoolHandle::double(1);
        Vitals {
            turns: watch::channel(LoopState::default()).1,
            alarms: watch::channel(SirenState::default()).1,
            spool: spool.state(),
            siren_fault: watch::channel(String::new()).1,
            refusals: Refusals([(); 2].map(|()| watch::channel(String::new()).1)),
            alone: watch::channel(false).1,
            clock: Clock::start(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_was_taken_is_had_as_soon_as_it_is_free() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        let serving = tokio::spawn(run(at, idle()));
        tokio::time::advance(3 * AGAIN).await;
        assert!(!serving.is_finished());
        drop(taken);
        let mut tries = 0;
        while TcpStream::connect(at).await.is_err() {
            tries += 1;
            assert!(tries < 20, "nobody listens");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        serving.abort();
    }

    #[tokio::test]
    async fn a_stranger_gets_little_and_holds_nobody_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, idle()));
        let said = ask(at, &[b'x'; 3 * HEAD_MAX]).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
        assert!(ask(at, b"POST /healthz HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405"));
        assert!(ask(at, b"GET /etc/passwd HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        let mut silent = Vec::new();
        for _ in 0..400 {
            silent.push(TcpStream::connect(at).await.unwrap());
        }
        // Long before the deadline of any of them.
        let asked = tokio::time::Instant::now();
        assert!(ask(at, b"GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        assert!(asked.elapsed() < DEADLINE / 2, "{:?}", asked.elapsed());
        let mut first = silent.swap_remove(0);
        assert_eq!(first.read(&mut [0]).await.unwrap_or(0), 0, "the oldest is dropped");
    }
}
