//! A coil of a relay module, over a Modbus TCP connection of its own.
//!
//! - Written means: the module has repeated the order byte for byte. Then the coil is read back.
//! - After anything else the connection is dropped and made anew. A module that hung up meanwhile
//!   (it restarted, or closes after each reply) is asked once more at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::drive::{Drive, DriveFault};

/// For connecting and for each reply; two of them stay below the patience with an output.
const PATIENCE: Duration = Duration::from_millis(800);
const WRITE_COIL: u8 = 5;
const READ_COILS: u8 = 1;
/// Transaction, protocol, length, unit, function.
const HEAD: usize = 8;
/// The head, address and value.
const WRITE_REPLY: usize = 12;
/// The head, count of bytes, one byte.
const READ_REPLY: usize = 10;

/// One coil.
pub(super) struct Coil {
    host: String,
    port: u16,
    unit: u8,
    coil: u16,
    stream: Option<TcpStream>,
    transaction: u16,
}

impl Coil {
    pub(super) fn new(host: &str, port: u16, unit: u8, coil: u16) -> Self {
        Self { host: host.to_owned(), port, unit, coil, stream: None, transaction: 0 }
    }

    fn connect(&self) -> Result<TcpStream, DriveFault> {
        let missing =
            |why: String| DriveFault::Missing(format!("{}:{}: {why}", self.host, self.port));
        let mut addresses = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|fault| missing(fault.to_string()))?;
        let address = addresses.next().ok_or_else(|| missing("no address".to_owned()))?;
        let begin = || {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        begin().map_err(|fault: std::io::Error| missing(fault.to_string()))
    }

    /// Asks once, and once more where the connection turns out to have ended.
    fn ask<const N: usize>(&mut self, function: u8, value: u16) -> Result<[u8; N], DriveFault> {
        if let Some(stream) = self.stream.take() {
            match self.ask_on(stream, function, value) {
                Err(Unasked::HungUp) => {}
                Err(Unasked::Fault(fault)) => return Err(fault),
                Ok(reply) => return Ok(reply),
            }
        }
        let stream = self.connect()?;
        self.ask_on(stream, function, value).map_err(|fault| match fault {
            Unasked::HungUp => DriveFault::Refused("the module hangs up".to_owned()),
            Unasked::Fault(fault) => fault,
        })
    }

    /// The connection survives only an answer to just this question.
    fn ask_on<const N: usize>(
        &mut self,
        mut stream: TcpStream,
        function: u8,
        value: u16,
    ) -> Result<[u8; N], Unasked> {
        self.transaction = self.transaction.wrapping_add(1);
        let request = frame(self.transaction, self.unit, function, self.coil, value);
        let mut reply = [0; N];
        let refused = |fault: std::io::Error| {
            let hung_up = matches!(
                fault.kind(),
                ErrorKind::UnexpectedEof
                    | ErrorKind::BrokenPipe
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
            );
            match hung_up {
                true => Unasked::HungUp,
                false => Unasked::Fault(DriveFault::Refused(fault.to_string())),
            }
        };
        let (head, rest) = reply.split_at_mut(HEAD.min(N));
        stream.write_all(&request).map_err(refused)?;
        stream.read_exact(head).map_err(refused)?;
        if head.get(7) == Some(&(function | 0x80)) {
            let why = "the module answers with an exception".to_owned();
            return Err(Unasked::Fault(DriveFault::Refused(why)));
        }
        stream.read_exact(rest).map_err(refused)?;
        if (reply.get(..4), reply.get(6..8)) != (request.get(..4), request.get(6..8)) {
            let why = format!("foreign reply {reply:02x?}");
            return Err(Unasked::Fault(DriveFault::Refused(why)));
        }
        self.stream = Some(stream);
        Ok(reply)
    }
}

/// Why there is no answer.
enum Unasked {
    /// The module had ended the connection, or does so now.
    HungUp,
    Fault(DriveFault),
}

fn frame(transaction: u16, unit: u8, function: u8, coil: u16, value: u16) -> [u8; WRITE_REPLY] {
    let [t0, t1] = transaction.to_be_bytes();
    let [c0, c1] = coil.to_be_bytes();
    let [v0, v1] = value.to_be_bytes();
    [t0, t1, 0, 0, 0, 6, unit, function, c0, c1, v0, v1]
}

impl Drive for Coil {
    fn set(&mut self, energised: bool) -> Result<(), DriveFault> {
        let value = if energised { 0xff00 } else { 0 };
        let reply: [u8; WRITE_REPLY] = self.ask(WRITE_COIL, value)?;
        if reply == frame(self.transaction, self.unit, WRITE_COIL, self.coil, value) {
            return Ok(());
        }
        self.stream = None;
        Err(DriveFault::Refused(format!("foreign reply {reply:02x?}")))
    }

    fn read(&mut self) -> Result<Option<bool>, DriveFault> {
        let reply: [u8; READ_REPLY] = self.ask(READ_COILS, 1)?;
        match reply {
            [.., 1, bits] => Ok(Some(bits & 1 == 1)),
            _ => {
                self.stream = None;
                Err(DriveFault::Refused(format!("foreign reply {reply:02x?}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers each request by what `answer` makes of it, one connection after the other.
    fn module(answer: fn(&[u8; 12], bool) -> Vec<u8>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut on = false;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 12];
                while stream.read_exact(&mut request).is_ok() {
                    if request[7] == WRITE_COIL {
                        on = request[10] == 0xff;
                    }
                    if stream.write_all(&answer(&request, on)).is_err() {
                        break;
                    }
                }
            }
        });
        port
    }

    fn honest(request: &[u8; 12], on: bool) -> Vec<u8> {
        if request[7] == WRITE_COIL {
            return request.to_vec();
        }
        let mut reply = request[..8].to_vec();
        reply[5] = 4;
        reply.extend([1, u8::from(on)]);
        reply
    }

    #[test]
    fn a_coil_is_written_confirmed_and_read_back() {
        let mut coil = Coil::new("127.0.0.1", module(honest), 3, 16);
        for on in [true, false, true] {
            coil.set(on).unwrap();
            assert_eq!(coil.read(), Ok(Some(on)));
        }
    }

    #[test]
    fn an_order_that_is_not_repeated_is_not_done() {
        let other = |request: &[u8; 12], _on: bool| {
            let mut reply = request.to_vec();
            reply[9] ^= 1;
            reply
        };
        let mut coil = Coil::new("127.0.0.1", module(other), 3, 16);
        assert!(matches!(coil.set(true), Err(DriveFault::Refused(_))));
        let exception = |request: &[u8; 12], _on: bool| {
            let mut reply = request[..8].to_vec();
            (reply[5], reply[7]) = (3, request[7] | 0x80);
            reply.push(2);
            reply
        };
        let mut coil = Coil::new("127.0.0.1", module(exception), 3, 16);
        let refused = coil.set(true).unwrap_err();
        assert!(refused.to_string().contains("exception"), "{refused}");
    }

    #[test]
    fn a_module_that_hangs_up_after_each_reply_is_driven_all_the_same() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut on = false;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 12];
                stream.read_exact(&mut request).unwrap();
                on = if request[7] == WRITE_COIL { request[10] == 0xff } else { on };
                stream.write_all(&honest(&request, on)).unwrap();
            }
        });
        let mut coil = Coil::new("127.0.0.1", port, 3, 16);
        for on in [true, false, true] {
            coil.set(on).unwrap();
            assert_eq!(coil.read(), Ok(Some(on)));
        }
    }

    #[test]
    fn a_module_that_is_not_there_is_missing() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut coil = Coil::new("127.0.0.1", port, 1, 0);
        assert!(matches!(coil.set(true), Err(DriveFault::Missing(_))));
    }
}
