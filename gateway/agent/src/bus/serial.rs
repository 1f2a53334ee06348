//! An RTU line: a serial port, or a connection to a converter. What to send and what to believe is
//! decided by [`Master`]; here are only the port and the waiting.
//!
//! - The direction of an RS-485 transceiver is switched by the kernel's driver ([`direction`]) or by
//!   the adapter, never here: doing it in a program is too late by milliseconds.
//! - The port is opened for this process alone. It is opened anew only after the system reports an
//!   error, or when its owner says so.

mod direction;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use fengsui_scan::{
    Asked, Done, Echo, Master, Move, Outcome, Parity, SerialSettings, StopBits, Timing,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{sleep_until, timeout, timeout_at};
use tokio_serial::{ClearBuffer, DataBits, SerialPort, SerialPortBuilderExt};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::connect::connect;

/// A request is eight bytes: a port that does not take them in a second is stuck.
const WRITE_MAX: Duration = Duration::from_secs(1);
/// Read at once: more than the longest frame.
const READ_BYTES: usize = 512;
/// Up to here a wait is slept by a thread: the silence between two frames at 9,600 baud, and a
/// little.
const NAP_MAX_US: u64 = 5_000;
/// Reads before a request; a line that never stops speaking is a fault, not a wait without end.
const DRAINS_MAX: usize = 64;

/// Where the line begins.
#[derive(Debug)]
pub(super) enum Opener {
    /// A serial port. `by_kernel` names the bus where the kernel switches the direction.
    Serial { path: PathBuf, settings: SerialSettings, by_kernel: Option<String> },
    /// A converter.
    Tcp { host: String, port: u16 },
}

impl fmt::Display for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, .. } => write!(f, "{}", path.display()),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Opener {
    /// What to do about a line that does not open. The library that opens ports has kinds of its
    /// own: a port that somebody else has locked is "not found".
    fn mend(&self, fault: &io::Error) -> &'static str {
        let Self::Serial { path, .. } = self else {
            return "请检查网线、转换器的 IP 和端口 | check cable, address and port of the converter";
        };
        let (there, kind) = (path.exists(), fault.kind());
        if kind == io::ErrorKind::PermissionDenied {
            "没有权限，请将用户加入 dialout 组 | no permission: join group dialout"
        } else if !there {
            "没有该串口，请检查 path（建议 /dev/serial/by-id/…）| no such port: check path"
        } else if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy) {
            "串口被其他程序占用：如网关正在运行，请先停下再试 | another program has the port: a running \
             gateway must be stopped first"
        } else {
            "不是串口设备，或不支持这些参数，请检查 path、波特率和校验 | not a serial port, or not with \
             these settings: check path, baud rate and parity"
        }
    }
}

/// Both directions of a line.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// One line and its master.
pub(crate) struct RtuLine {
    opener: Opener,
    stream: Option<Box<dyn Duplex>>,
    master: Master,
    clock: Clock,
    /// Why the opening failed last, with the mend; it was logged.
    refusal: Option<String>,
}

impl fmt::Debug for RtuLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.stream.is_some();
        f.debug_struct("RtuLine").field("opener", &self.opener).field("open", &open).finish()
    }
}

impl RtuLine {
    pub(super) fn new(opener: Opener, settings: SerialSettings, echo: Echo, clock: Clock) -> Self {
        let master = Master::new(Timing::new(&settings), echo, clock.line_us());
        Self { opener, stream: None, master, clock, refusal: None }
    }

    /// What is known of the line from the reader before; without that somebody may have asked
    /// whose patience was up to this.
    pub(super) fn recalling(mut self, before: Option<Master>, patience: Duration) -> Self {
        let patience_us = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX >> 8);
        self.master = match before {
            Some(before) => self.master.succeeding(before),
            None => self.master.strange(patience_us),
        };
        self
    }

    /// Why the line does not open; none while it does.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    pub(super) fn into_master(self) -> Master {
        self.master
    }

    /// A line that is open already and cannot be opened anew.
    #[cfg(test)]
    fn given(stream: Box<dyn Duplex>, settings: SerialSettings, clock: Clock) -> Self {
        let opener = Opener::Tcp { host: "127.0.0.1".to_owned(), port: 1 };
        Self { stream: Some(stream), ..Self::new(opener, settings, Echo::None, clock) }
    }

    /// Asks once. When told to stop, a question of which nothing is on the wire is given up: there
    /// is no answer then. One that is on the wire ends first.
    pub(super) async fn transact(
        &mut self,
        asked: Asked,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<Done> {
        self.master.ask(asked, self.clock.line_us());
        loop {
            match self.master.step(self.clock.line_us()) {
                Move::Done(done) => return Some(done),
                Move::Listen(until) if self.master.is_asking() => self.listen(until).await,
                Move::Listen(until) => tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => break,
                    () = self.listen(until) => {}
                },
                Move::Send(_) if *stop.borrow() => break,
                Move::Send(_) if self.stream.is_none() => match self.open(asked).await {
                    true => self.master.opened(self.clock.line_us()),
                    false => self.master.lost(Outcome::Unreachable, self.clock.line_us()),
                },
                Move::Send(frame) => {
                    if !self.drain().await {
                        self.send(&frame).await;
                    }
                }
            }
        }
        self.master.withdraw();
        None
    }

    /// Reads until nobody can answer any more, as far as that is known at its beginning: who
    /// prolongs it then speaks unasked, and is the next question's fault. Ends at once when told
    /// to stop.
    pub(super) async fn settle(&mut self, stop: &mut watch::Receiver<bool>) {
        let quiet_by = self.master.free_at(self.clock.line_us());
        while self.stream.is_some()
            && let Some(until) = self.master.free_at(self.clock.line_us())
            && quiet_by.is_some_and(|by| self.clock.line_us() < by)
        {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.listen(until) => {}
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.stream = None;
        self.master.lost(Outcome::Lost, self.clock.line_us());
    }

    async fn listen(&mut self, until: u64) {
        let left = until.saturating_sub(self.clock.line_us());
        if left <= NAP_MAX_US && self.stream.is_some() {
            nap(Duration::from_micros(left)).await;
            if self.clock.line_us() >= until {
                self.glance().await;
                return;
            }
        }
        let until = self.clock.line_instant(until);
        let Some(stream) = &mut self.stream else { return sleep_until(until).await };
        let mut buffer = [0; READ_BYTES];
        let read = timeout_at(until, stream.read(&mut buffer)).await;
        if let Ok(read) = read {
            self.took(read, &buffer);
        }
    }

    /// Takes what already stands in the port's buffer; true if there was anything.
    async fn drain(&mut self) -> bool {
        for drained in 0..DRAINS_MAX {
            // The runtime looks at its sockets meanwhile.
            yield_now().await;
            if self.stream.is_none() {
                return true;
            }
            if !self.glance().await {
                return drained > 0;
            }
        }
        true
    }

    /// Takes what is there without waiting; false if nothing was.
    async fn glance(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut buffer = [0; READ_BYTES];
        let mut bytes = ReadBuf::new(&mut buffer);
        let looked = poll_fn(|context| {
            let looked = Pin::new(&mut *stream).poll_read(context, &mut bytes);
            Poll::Ready(match looked {
                Poll::Ready(read) => Some(read),
                Poll::Pending => None,
            })
        });
        let Some(read) = looked.await else { return false };
        let read = read.map(|()| bytes.filled().len());
        self.took(read, &buffer);
        true
    }

    fn took(&mut self, read: io::Result<usize>, buffer: &[u8]) {
        let now = self.clock.line_us();
        match read {
            Ok(0) => self.broken(&io::Error::from(io::ErrorKind::UnexpectedEof)),
            Ok(count) => self.master.heard(buffer.get(..count).unwrap_or_default(), now),
            Err(fault) => self.broken(&fault),
        }
    }

    async fn send(&mut self, frame: &[u8]) {
        let Some(stream) = &mut self.stream else { return };
        match timeout(WRITE_MAX, stream.write_all(frame)).await {
            Ok(Ok(())) => self.master.sent(self.clock.line_us()),
            Ok(Err(fault)) => self.broken(&fault),
            Err(_) => self.broken(&io::Error::from(io::ErrorKind::TimedOut)),
        }
    }

    fn broken(&mut self, fault: &io::Error) {
        warn!(line = %self.opener, %fault, "line broke");
        self.close();
    }

    async fn open(&mut self, asked: Asked) -> bool {
        let opened: io::Result<Box<dyn Duplex>> = match &self.opener {
            Opener::Serial { path, settings, by_kernel } => {
                serial(path, settings, by_kernel.as_deref())
            }
            Opener::Tcp { host, port } => {
                let patience = Duration::from_micros(asked.patience_us);
                let made = connect(host, *port, patience).await;
                made.and_then(|stream| {
                    stream.set_nodelay(true)?;
                    Ok(Box::new(stream) as _)
                })
            }
        };
        match opened {
            Ok(stream) => {
                info!(line = %self.opener, "line opened");
                self.stream = Some(stream);
                self.refusal = None;
                true
            }
            Err(fault) => {
                let mend = self.opener.mend(&fault);
                if self.refusal.is_none() {
                    warn!(line = %self.opener, %fault, mend, "line does not open");
                }
                self.refusal = Some(format!("{}：{mend}（{fault}）", self.opener));
                false
            }
        }
    }
}

/// The runtime's timers go by whole milliseconds, and round up: between two frames that would cost
/// a fast line a tenth of its time. A thread sleeps to the tenth of a millisecond.
async fn nap(time: Duration) {
    // If it fails, whoever naps looks at the clock and waits for the rest.
    drop(spawn_blocking(move || std::thread::sleep(time)).await);
}

fn serial(
    path: &std::path::Path,
    settings: &SerialSettings,
    by_kernel: Option<&str>,
) -> io::Result<Box<dyn Duplex>> {
    let parity = match settings.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let stop_bits = match settings.stop_bits {
        StopBits::One => tokio_serial::StopBits::One,
        StopBits::Two => tokio_serial::StopBits::Two,
    };
    let port = tokio_serial::new(path.to_string_lossy(), settings.baud)
        .data_bits(DataBits::Eight)
        .parity(parity)
        .stop_bits(stop_bits)
        .open_native_async()?;
    port.clear(ClearBuffer::All)?;
    if let Some(bus) = by_kernel {
        direction::hand_over(&port, bus, path);
    }
    Ok(Box::new(port))
}

#[cfg(test)]
mod tests;
