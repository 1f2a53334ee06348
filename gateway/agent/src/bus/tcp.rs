//! Modbus TCP, one connection a device.
//!
//! tokio-modbus has no deadline of its own, and after a late reply every further call fails with a
//! header mismatch. So each call has its deadline here, and after anything but a clean answer the
//! connection is dropped and made anew.

use std::fmt;
use std::time::Duration;

use fengsui_scan::{Function, Outcome, Payload, ReadRequest, check};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Error, Request, Response, Slave};
use tracing::debug;

/// The connection to one device.
pub(crate) struct Tcp {
    host: String,
    port: u16,
    context: Option<Context>,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tcp({}:{})", self.host, self.port)
    }
}

impl Tcp {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, context: None }
    }

    /// The next question makes a new connection.
    pub(super) fn close(&mut self) {
        self.context = None;
    }

    /// Asks once. The connection survives only a clean answer.
    pub(super) async fn transact(
        &mut self,
        unit: u8,
        request: ReadRequest,
        patience: Duration,
    ) -> Outcome {
        let mut context = match self.context.take() {
            Some(context) => context,
            None => match self.connect(patience).await {
                Some(context) => context,
                None => return Outcome::Unreachable,
            },
        };
        context.set_slave(Slave(unit));
        let outcome = match timeout(patience, context.call(ask(request))).await {
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
            Outcome::Data(_) | Outcome::Exception(_) => self.context = Some(context),
            Outcome::Timeout | Outcome::BadFrame | Outcome::Lost | Outcome::Unreachable => {}
        }
        outcome
    }

    async fn connect(&mut self, patience: Duration) -> Option<Context> {
        let address = (self.host.as_str(), self.port);
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                if let Err(fault) = stream.set_nodelay(true) {
                    debug!(%fault, "delay stays on");
                }
                Some(tcp::attach(stream))
            }
            Ok(Err(fault)) => {
                debug!(host = self.host, port = self.port, %fault, "no connection");
                None
            }
            Err(_) => None,
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
