//! Modbus TCP, one connection a device.
//!
//! tokio-modbus has no deadline of its own, and after a late reply every further call fails with a
//! header mismatch. So each call has its deadline here, and after anything but a clean answer the
//! connection is dropped and made anew; so is one on which something came that nobody asked for.

use std::fmt;
use std::time::Duration;

use fengsui_scan::{Function, Outcome, Payload, ReadRequest, check};
use tokio::time::{sleep, timeout};
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Error, Request, Response, Slave};
use tracing::debug;

use super::guard::{Guarded, is_quiet};
use super::wire::Pace;
use crate::clock::Clock;
use crate::connect::connect;

/// A converter that takes one connection may refuse the next one for so long after the last ended.
const BUSY_US: u64 = 1_000_000;
/// So often it is asked again.
const AGAIN: Duration = Duration::from_millis(25);

/// The connection to one device.
pub(crate) struct Tcp {
    host: String,
    port: u16,
    clock: Clock,
    open: Option<Open>,
    /// When the last question ended, or the connection was made.
    quiet_since: u64,
    /// When a connection was dropped last.
    dropped_at: Option<u64>,
}

struct Open {
    context: Context,
    /// The same socket, to look at before the next request.
    socket: std::net::TcpStream,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tcp({}:{})", self.host, self.port)
    }
}

impl Tcp {
    pub(super) fn new(host: &str, port: u16, clock: Clock) -> Self {
        let quiet_since = clock.line_us();
        Self { host: host.to_owned(), port, clock, open: None, quiet_since, dropped_at: None }
    }

    /// The next question makes a new connection.
    pub(super) fn close(&mut self) {
        if self.open.take().is_some() {
            self.dropped_at = Some(self.clock.line_us());
        }
    }

    /// Asks once, and says how long the answer took. The connection survives only a clean answer.
    pub(super) async fn transact(
        &mut self,
        unit: u8,
        request: ReadRequest,
        pace: Pace,
    ) -> (Outcome, Duration) {
        if self.open.is_some() {
            pace.rest(&self.clock, self.quiet_since).await;
        }
        let mut began = self.clock.line_us();
        if self.open.as_ref().is_some_and(|open| !is_quiet(&open.socket)) {
            self.close();
        }
        let quiet = self.open.take();
        let mut open = match quiet {
            Some(open) => open,
            None => match self.connect(pace.patience).await {
                Some(open) => {
                    self.quiet_since = self.clock.line_us();
                    pace.rest(&self.clock, self.quiet_since).await;
                    began = self.clock.line_us();
                    open
                }
                None => return (Outcome::Unreachable, self.since(began)),
            },
        };
        let context = &mut open.context;
        context.set_slave(Slave(unit));
        let outcome = match timeout(pace.patience, context.call(ask(request))).await {
            Err(_) => Outcome::Timeout,
            Ok(Err(Error::Protocol(fault))) => {
                debug!(%fault, "foreign reply");
                Outcome::BadFrame
            }
            Ok(Err(Error::Transport(fault))) => {
                debug!(%fault, "connection ended");
                if fault.kind() == std::io::ErrorKind::InvalidData {
                    Outcome::BadFrame
                } else {
                    Outcome::Lost
                }
            }
            Ok(Ok(Err(exception))) => Outcome::Exception(u8::from(exception)),
            Ok(Ok(Ok(response))) => taken(request, response),
        };
        match outcome {
            Outcome::Data(_) | Outcome::Exception(_) => self.open = Some(open),
            Outcome::Timeout | Outcome::BadFrame | Outcome::Lost | Outcome::Unreachable => {
                drop(open);
                self.dropped_at = Some(self.clock.line_us());
            }
        }
        self.quiet_since = self.clock.line_us();
        (outcome, self.since(began))
    }

    fn since(&self, us: u64) -> Duration {
        Duration::from_micros(self.clock.line_us().saturating_sub(us))
    }

    async fn connect(&mut self, patience: Duration) -> Option<Open> {
        let until = self.clock.line_us() + u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
        let until = self.dropped_at.map_or(0, |at| until.min(at + BUSY_US));
        loop {
            let made = connect(&self.host, self.port, patience).await.and_then(Guarded::new);
            let fault = match made {
                Ok((stream, socket)) => {
                    return Some(Open { context: tcp::attach(stream), socket });
                }
                Err(fault) => fault,
            };
            debug!(host = self.host, port = self.port, %fault, "no connection");
            let refused = fault.kind() == std::io::ErrorKind::ConnectionRefused;
            if !refused || self.clock.line_us() >= until {
                return None;
            }
            sleep(AGAIN).await;
        }
    }
}

fn ask(request: ReadRequest) -> Request<'static> {
    let ReadRequest { function, first, count } = request;
    match function {
        Function::Coil => Request::ReadCoils(first, count),
        Function::Discrete => Request::ReadDiscreteInputs(first, count),
        Function::Holding => Request::ReadHoldingRegisters(first, count),
        Function::Input => Request::ReadInputRegisters(first, count),
    }
}

fn taken(request: ReadRequest, response: Response) -> Outcome {
    let payload = match (request.function, response) {
        (Function::Coil, Response::ReadCoils(bits))
        | (Function::Discrete, Response::ReadDiscreteInputs(bits)) => Payload::Bits(bits),
        (Function::Holding, Response::ReadHoldingRegisters(words))
        | (Function::Input, Response::ReadInputRegisters(words)) => Payload::Words(words),
        _ => return Outcome::BadFrame,
    };
    match check(request, &payload) {
        Ok(()) => Outcome::Data(payload),
        Err(fault) => {
            debug!(%fault, "foreign reply");
            Outcome::BadFrame
        }
    }
}
