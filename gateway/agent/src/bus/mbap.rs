//! One Modbus TCP connection for a person who tries things out: a scan asks many units over one
//! connection, needs function 43, and must go on after a unit that stays silent.
//!
//! - A reply counts only if transaction, unit and length are those of the request, and if it came
//!   after it: bytes that lie there before a request is sent are nobody's answer, and the
//!   connection is made anew before asking.
//! - A reply with another number is a late one and is thrown away; everything else must match.

use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::guard::{both, chance, is_end, is_quiet, step};
use super::wire::Pace;
use crate::clock::Clock;
use crate::connect::connect;

/// A person's patience with a connection: a switch that learns an address needs a second.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// Transaction, protocol, length and unit.
const HEAD: usize = 7;
/// Unit and PDU of one message, at most (Modbus messaging on TCP/IP 1.0b: 260 bytes in all).
const LENGTH_MAX: usize = 254;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No connection: what the system said.
    Unreachable(String),
    /// Silence.
    Timeout,
    /// The connection ended.
    Lost(String),
    /// Not a Modbus TCP message, or that of another unit.
    Foreign(String),
}

/// The connection; made when first needed.
pub(crate) struct Mbap {
    host: String,
    port: u16,
    clock: Clock,
    open: Option<Open>,
    name_fault: Option<String>,
    /// When the last question ended, or the connection was made.
    quiet_since: u64,
}

struct Open {
    stream: TcpStream,
    /// The same socket, to look at without the runtime's opinion on what is readable.
    socket: std::net::TcpStream,
    inbox: Vec<u8>,
    transaction: u16,
    step: u16,
}

impl Mbap {
    pub(crate) fn new(host: &str, port: u16, clock: Clock) -> Self {
        Self {
            host: host.to_owned(),
            port,
            clock,
            open: None,
            name_fault: None,
            quiet_since: clock.line_us(),
        }
    }

    /// Leaves the device alone as long as it needs; makes the connection if there is none.
    pub(crate) async fn rest(&mut self, pace: Pace) {
        if pace.pause.is_zero() {
            return;
        }
        if self.open.as_ref().is_some_and(Open::is_quiet) || self.connect(CONNECT).await.is_ok() {
            pace.rest(&self.clock, self.quiet_since).await;
        }
    }

    /// Sends one PDU and gives back the PDU that answers it.
    pub(crate) async fn exchange(
        &mut self,
        unit: u8,
        pdu: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, Trouble> {
        if !self.open.as_ref().is_some_and(Open::is_quiet) {
            self.connect(CONNECT).await?;
        }
        let Some(open) = &mut self.open else {
            return Err(Trouble::Unreachable("no connection".to_owned()));
        };
        let done = timeout(patience, open.transact(unit, pdu)).await;
        let answer = done.unwrap_or(Err(Trouble::Timeout));
        self.quiet_since = self.clock.line_us();
        match &answer {
            // What comes late is known by its transaction number.
            Ok(_) | Err(Trouble::Timeout) => {}
            Err(Trouble::Unreachable(_) | Trouble::Lost(_) | Trouble::Foreign(_)) => self.close(),
        }
        answer
    }

    /// The next request makes a new connection.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// Makes the connection now.
    pub(crate) async fn connect(&mut self, patience: Duration) -> Result<(), Trouble> {
        self.close();
        self.name_fault = None;
        let made = connect(&self.host, self.port, patience).await.and_then(Open::new);
        self.open = Some(made.map_err(|fault| {
            let (host, port) = (&self.host, self.port);
            self.name_fault = host.parse::<IpAddr>().is_err().then(|| {
                format!(
                    "{host}:{port}：{fault}；检查主机名、网线和端口 / check name, cable and port"
                )
            });
            Trouble::Unreachable(fault.to_string())
        })?);
        self.quiet_since = self.clock.line_us();
        Ok(())
    }

    /// Why a host that is given by name cannot be reached; none while it can.
    pub(crate) fn name_fault(&self) -> Option<&str> {
        self.name_fault.as_deref()
    }
}

impl Open {
    fn new(stream: TcpStream) -> std::io::Result<Self> {
        let (stream, socket) = both(stream)?;
        Ok(Self { stream, socket, inbox: Vec::new(), transaction: chance(), step: step() })
    }

    /// Nothing has come that nobody asked for, and the other end has not hung up.
    fn is_quiet(&self) -> bool {
        self.inbox.is_empty() && is_quiet(&self.socket)
    }

    /// Other bytes behind an answer tell that it was pieced together of two messages.
    fn ends(&self) -> bool {
        let [a, b] = self.transaction.to_be_bytes();
        is_end(&self.inbox, &[a, b, 0, 0])
    }

    async fn transact(&mut self, unit: u8, pdu: &[u8]) -> Result<Vec<u8>, Trouble> {
        if !self.is_quiet() {
            return Err(Trouble::Foreign("it speaks before it is asked".to_owned()));
        }
        self.transaction = self.transaction.wrapping_add(self.step);
        let lost = |fault: std::io::Error| Trouble::Lost(fault.to_string());
        let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
        let mut message = Vec::with_capacity(HEAD + pdu.len());
        message.extend_from_slice(&self.transaction.to_be_bytes());
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(&length.to_be_bytes());
        message.push(unit);
        message.extend_from_slice(pdu);
        self.stream.write_all(&message).await.map_err(lost)?;
        loop {
            while let Some((transaction, from, reply)) = take(&mut self.inbox)? {
                if transaction != self.transaction {
                    continue;
                }
                if from != unit {
                    return Err(Trouble::Foreign(format!("unit {from} answered for {unit}")));
                }
                if !self.ends() {
                    let why = "other bytes stand behind the answer".to_owned();
                    return Err(Trouble::Foreign(why));
                }
                return Ok(reply);
            }
            // Cancel-safe: what has come stays in the inbox.
            if self.stream.read_buf(&mut self.inbox).await.map_err(lost)? == 0 {
                return Err(Trouble::Lost("the device closed the connection".to_owned()));
            }
        }
    }
}

/// The first whole message of the inbox: transaction, unit, PDU.
fn take(inbox: &mut Vec<u8>) -> Result<Option<(u16, u8, Vec<u8>)>, Trouble> {
    let [a, b, c, d, e, f, unit, ..] = *inbox.as_slice() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([e, f]));
    if (c, d) != (0, 0) || !(3..=LENGTH_MAX).contains(&length) {
        return Err(Trouble::Foreign("what answers there is not Modbus TCP".to_owned()));
    }
    let end = HEAD - 1 + length;
    if inbox.len() < end {
        return Ok(None);
    }
    let message: Vec<u8> = inbox.drain(..end).collect();
    let pdu = message.get(HEAD..).unwrap_or_default().to_vec();
    Ok(Some((u16::from_be_bytes([a, b]), unit, pdu)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_messages_are_taken() {
        let whole = [0, 7, 0, 0, 0, 5, 1, 3, 2, 0x12, 0x34];
        for cut in 0..whole.len() {
            let mut inbox = whole[..cut].to_vec();
            assert_eq!(take(&mut inbox), Ok(None), "{cut}");
        }
        let mut inbox = [&whole[..], &whole[..4]].concat();
        assert_eq!(take(&mut inbox), Ok(Some((7, 1, vec![3, 2, 0x12, 0x34]))));
        assert_eq!(inbox, &whole[..4]);
        for bad in [&b"HTTP/1.1 400"[..], &[0, 7, 0, 0, 1, 5, 1, 3], &[0, 7, 0, 0, 0, 2, 1, 3]] {
            assert!(take(&mut bad.to_vec()).is_err(), "{bad:?}");
        }
    }
}
