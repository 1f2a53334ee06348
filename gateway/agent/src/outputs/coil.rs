//! A coil of a relay module, over Modbus TCP. Coils behind one address share one connection: many
//! modules take one or a few, and leave another unanswered.
//!
//! - Written means: the module has repeated the order byte for byte. Then the coil is read back.
//! - After anything else the connection is dropped and made anew. A module that hung up meanwhile
//!   (it restarted, or closes after each reply) is asked once more at once.
//! - Addresses are compared as text, as those of devices are.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::config::{OutputPlan, Wiring};
use super::drive::{self, Drive, DriveFault};

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

/// The addresses of all coils, each once.
pub(super) struct Modules(BTreeMap<(String, u16), Arc<Module>>);

impl Modules {
    pub(super) fn of(plan: &OutputPlan) -> Self {
        let mut coils: BTreeMap<(String, u16), u32> = BTreeMap::new();
        for output in &plan.outputs {
            if let Wiring::Coil { host, port, .. } = &output.wiring {
                *coils.entry(address(host, *port)).or_default() += 1;
            }
        }
        let module = |(at, coils): ((String, u16), u32)| {
            let module = Module::new(&at.0, at.1, coils);
            (at, Arc::new(module))
        };
        Self(coils.into_iter().map(module).collect())
    }

    /// A coil of a module of the plan.
    pub(super) fn coil(&self, (host, port): (&str, u16), unit: u8, coil: u16) -> Coil {
        let module = self.0.get(&address(host, port)).cloned();
        let module = module.unwrap_or_else(|| Arc::new(Module::new(host, port, 1)));
        Coil { module, unit, coil }
    }
}

/// By which modules are told apart.
pub(super) fn address(host: &str, port: u16) -> (String, u16) {
    (host.to_ascii_lowercase(), port)
}

/// What answers at one address.
struct Module {
    host: String,
    port: u16,
    /// How many wait for each other.
    coils: u32,
    /// Not a channel to an owner: each coil has a thread of its own that may block, and whoever has
    /// the lock is the owner for one question.
    connection: Mutex<Connection>,
}

#[derive(Default)]
struct Connection {
    stream: Option<TcpStream>,
    transaction: u16,
}

/// One coil.
pub(super) struct Coil {
    module: Arc<Module>,
    unit: u8,
    coil: u16,
}

impl Module {
    fn new(host: &str, port: u16, coils: u32) -> Self {
        Self { host: host.to_owned(), port, coils, connection: Mutex::default() }
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
}

impl Connection {
    /// The connection survives only an answer to just this question. Gives the question as well.
    fn ask<const N: usize>(
        &mut self,
        mut stream: TcpStream,
        question: Question,
    ) -> Result<(Frame, [u8; N]), Unasked> {
        self.transaction = self.transaction.wrapping_add(1);
        let request = question.frame(self.transaction);
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
        if head.get(7) == Some(&(question.function | 0x80)) {
            let why = "the module answers with an exception".to_owned();
            return Err(Unasked::Fault(DriveFault::Refused(why)));
        }
        stream.read_exact(rest).map_err(refused)?;
        if (reply.get(..4), reply.get(6..8)) != (request.get(..4), request.get(6..8)) {
            return Err(Unasked::Fault(foreign(&reply)));
        }
        self.stream = Some(stream);
        Ok((request, reply))
    }
}

impl Coil {
    /// Asks once, and once more where the connection turns out to have ended. What is not `right`
    /// ends the connection.
    fn ask<const N: usize>(
        &self,
        (function, value): (u8, u16),
        right: impl FnOnce(&Frame, &[u8; N]) -> bool,
    ) -> Result<[u8; N], DriveFault> {
        let question = Question { unit: self.unit, function, coil: self.coil, value };
        // A thread that panicked with the lock had taken the stream out.
        let mut connection = self.module.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = connection.stream.take().map(|stream| connection.ask(stream, question));
        let asked = match kept {
            Some(Ok(asked)) => asked,
            Some(Err(Unasked::Fault(fault))) => return Err(fault),
            None | Some(Err(Unasked::HungUp)) => {
                let stream = self.module.connect()?;
                connection.ask(stream, question).map_err(|fault| match fault {
                    Unasked::HungUp => DriveFault::Refused("the module hangs up".to_owned()),
                    Unasked::Fault(fault) => fault,
                })?
            }
        };
        if right(&asked.0, &asked.1) {
            return Ok(asked.1);
        }
        connection.stream = None;
        Err(foreign(&asked.1))
    }
}

fn foreign(reply: &[u8]) -> DriveFault {
    DriveFault::Refused(format!("foreign reply {reply:02x?}"))
}

/// Why there is no answer.
enum Unasked {
    /// The module had ended the connection, or does so now.
    HungUp,
    Fault(DriveFault),
}

/// A request, and the answer to an order.
type Frame = [u8; WRITE_REPLY];

#[derive(Clone, Copy)]
struct Question {
    unit: u8,
    function: u8,
    coil: u16,
    value: u16,
}

impl Question {
    fn frame(self, transaction: u16) -> Frame {
        let [t0, t1] = transaction.to_be_bytes();
        let [c0, c1] = self.coil.to_be_bytes();
        let [v0, v1] = self.value.to_be_bytes();
        [t0, t1, 0, 0, 0, 6, self.unit, self.function, c0, c1, v0, v1]
    }
}

impl Drive for Coil {
    /// The others of the module may come first, and each may need the whole of its time.
    fn patience(&self) -> Duration {
        drive::PATIENCE * self.module.coils
    }

    fn set(&mut self, energised: bool) -> Result<(), DriveFault> {
        let value = if energised { 0xff00 } else { 0 };
        self.ask::<WRITE_REPLY>((WRITE_COIL, value), |request, reply| reply == request)?;
        Ok(())
    }

    fn read(&mut self) -> Result<Option<bool>, DriveFault> {
        let one_byte = |_: &Frame, reply: &[u8; READ_REPLY]| reply.get(8) == Some(&1);
        let reply = self.ask((READ_COILS, 1), one_byte)?;
        Ok(reply.last().map(|bits| bits & 1 == 1))
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

    fn coil_at(port: u16, unit: u8, coil: u16) -> Coil {
        Modules::of(&OutputPlan::default()).coil(("127.0.0.1", port), unit, coil)
    }

    #[test]
    fn coils_behind_one_address_share_a_module_however_its_letters_are_written() {
        let output = |(place, (host, port)): (usize, (&str, u16))| {
            format!(
                "[[output]]\nname='o{place}'\nkind='coil'\nhost='{host}'\nport={port}\n\
                 coil={place}\nfollows='siren'\n"
            )
        };
        let at = [("Relay.plant", 502), ("relay.PLANT", 502), ("relay.plant", 503)];
        let text: String = at.into_iter().enumerate().map(output).collect();
        let plan = super::super::config::tests::plan_of(&text).unwrap();
        let modules = Modules::of(&plan);
        let [one, same, other] = at.map(|at| modules.coil(at, 1, 0));
        assert!(Arc::ptr_eq(&one.module, &same.module));
        assert!(!Arc::ptr_eq(&one.module, &other.module));
        assert_eq!(one.patience(), 2 * other.patience(), "one may wait for the other");
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
        let mut coil = coil_at(module(honest), 3, 16);
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
        let mut coil = coil_at(module(other), 3, 16);
        assert!(matches!(coil.set(true), Err(DriveFault::Refused(_))));
        let exception = |request: &[u8; 12], _on: bool| {
            let mut reply = request[..8].to_vec();
            (reply[5], reply[7]) = (3, request[7] | 0x80);
            reply.push(2);
            reply
        };
        let mut coil = coil_at(module(exception), 3, 16);
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
        let mut coil = coil_at(port, 3, 16);
        for on in [true, false, true] {
            coil.set(on).unwrap();
            assert_eq!(coil.read(), Ok(Some(on)));
        }
    }

    #[test]
    fn a_module_that_is_not_there_is_missing() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut coil = coil_at(port, 1, 0);
        assert!(matches!(coil.set(true), Err(DriveFault::Missing(_))));
    }
}
