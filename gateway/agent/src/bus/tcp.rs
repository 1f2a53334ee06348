//! Modbus TCP, one connection a device: after anything but a clean answer it is dropped and made
//! anew.

use std::fmt;
use std::time::Duration;

use fengsui_scan::{Outcome, ReadRequest, Reply, parse_reply, request_pdu};
use tracing::debug;

use super::mbap::{Manner, Mbap, Trouble};

/// The connection to one device.
pub(crate) struct Tcp {
    name: String,
    mbap: Mbap,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tcp({})", self.name)
    }
}

impl Tcp {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { name: format!("{host}:{port}"), mbap: Mbap::new(host, port, Manner::Strict) }
    }

    /// The next question makes a new connection.
    pub(super) fn close(&mut self) {
        self.mbap.close();
    }

    /// Asks once.
    pub(super) async fn transact(
        &mut self,
        unit: u8,
        request: ReadRequest,
        patience: Duration,
    ) -> Outcome {
        let address = self.name.as_str();
        let reply = match self.mbap.exchange(unit, &request_pdu(request), patience).await {
            Ok(reply) => reply,
            Err(Trouble::Timeout) => return Outcome::Timeout,
            Err(Trouble::Unreachable(fault)) => {
                debug!(address, fault, "no connection");
                return Outcome::Unreachable;
            }
            Err(Trouble::Lost(fault)) => {
                debug!(address, fault, "connection ended");
                return Outcome::Lost;
            }
            Err(Trouble::Foreign(fault)) => {
                debug!(address, fault, "foreign reply");
                return Outcome::BadFrame;
            }
        };
        match parse_reply(request, &reply) {
            Ok(Reply::Data(payload)) => Outcome::Data(payload),
            Ok(Reply::Exception(code)) => Outcome::Exception(code),
            Err(fault) => {
                debug!(address, %fault, "foreign reply");
                self.mbap.close();
                Outcome::BadFrame
            }
        }
    }
}
