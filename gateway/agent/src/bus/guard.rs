//! The socket below tokio-modbus: a reply counts only if it came after its request and bears a
//! number that nobody could know before.
//!
//! - Bytes that lie there before a request is sent are nobody's answer: the request fails, and with
//!   it the connection.
//! - An answer ends where its length says. If anything but a whole message stands right behind it,
//!   it was pieced together of two, and is none.
//! - tokio-modbus counts transactions from 0 on each connection. On the wire they begin anywhere
//!   and go on by a step of their own, so that a stale or invented reply bears the next one by
//!   chance alone.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The longest message (Modbus messaging on TCP/IP 1.0b).
const MESSAGE_MAX: usize = 260;
/// Transaction, protocol and length: how long the rest is stands in the last two.
const HEAD: usize = 6;

/// A connection.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: TcpStream,
    socket: std::net::TcpStream,
    /// The number of the last transaction on the wire.
    number: u16,
    step: u16,
    /// What makes tokio-modbus's number of it, byte for byte; none is left after the first two
    /// bytes of the reply.
    mask: std::array::IntoIter<u8, 2>,
    /// The answer so far, as it came.
    answer: Vec<u8>,
}

/// A number that nobody can guess from the one before.
pub(super) fn chance() -> u16 {
    let [low, high, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Odd, so that every number comes once before one comes twice, and never 1.
pub(super) fn step() -> u16 {
    (chance() | 1).max(3)
}

/// The stream, and the same socket, to look at without the runtime's opinion on what is readable.
pub(super) fn both(stream: TcpStream) -> Result<(TcpStream, std::net::TcpStream)> {
    // Small requests must not wait for company; without it they are only slower.
    drop(stream.set_nodelay(true));
    let own = stream.into_std()?;
    let socket = own.try_clone()?;
    Ok((TcpStream::from_std(own)?, socket))
}

/// Nothing has come that nobody asked for, and the other end has not hung up.
pub(super) fn is_quiet(socket: &std::net::TcpStream) -> bool {
    let nothing = |fault: Error| fault.kind() == ErrorKind::WouldBlock;
    socket.peek(&mut [0]).is_err_and(nothing)
}

/// These bytes behind an answer are none of it: there are none, or they are a message of their own,
/// be it the beginning of the same answer.
pub(super) fn is_end(more: &[u8], answer: &[u8]) -> bool {
    let whole = match *more {
        [_, _, 0, 0, high, low, ..] => HEAD + usize::from(u16::from_be_bytes([high, low])),
        _ => return answer.starts_with(more),
    };
    whole == more.len() || answer.starts_with(more)
}

impl Guarded {
    /// The connection, and its socket to look at between two requests.
    pub(super) fn new(stream: TcpStream) -> Result<(Self, std::net::TcpStream)> {
        let (stream, socket) = both(stream)?;
        let (own, mask) = (socket.try_clone()?, [0; 2].into_iter());
        let answer = Vec::with_capacity(MESSAGE_MAX);
        Ok((Self { stream, socket: own, number: chance(), step: step(), mask, answer }, socket))
    }

    /// How many bytes may still belong to the answer; none once it is whole.
    fn missing(&self) -> usize {
        let whole = match self.answer.get(HEAD - 2..HEAD) {
            Some(&[high, low]) => HEAD + usize::from(u16::from_be_bytes([high, low])),
            Some(_) | None => HEAD,
        };
        whole.saturating_sub(self.answer.len())
    }

    /// What stands right behind a whole answer is nothing, or a whole message.
    fn ends(&self) -> bool {
        let mut more = [0; MESSAGE_MAX];
        let count = self.socket.peek(&mut more).unwrap_or(0);
        is_end(more.get(..count).unwrap_or_default(), &self.answer)
    }
}

impl AsyncWrite for Guarded {
    /// One request: tokio-modbus sends each as a whole, and the next after its reply.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let wrong = |why: &str| Poll::Ready(Err(Error::new(ErrorKind::InvalidData, why)));
        let this = self.get_mut();
        if !is_quiet(&this.socket) {
            return wrong("it speaks before it is asked");
        }
        let mut message = [0; MESSAGE_MAX];
        let (Some(whole), [high, low, ..]) = (message.get_mut(..buf.len()), buf) else {
            return wrong("no request of Modbus");
        };
        whole.copy_from_slice(buf);
        let number = this.number.wrapping_add(this.step);
        let own = number.to_be_bytes();
        for (byte, own) in whole.iter_mut().zip(own) {
            *byte = own;
        }
        let sent = ready!(Pin::new(&mut this.stream).poll_write(cx, whole))?;
        if sent < buf.len() {
            return wrong("the network took half a request");
        }
        this.number = number;
        this.answer.clear();
        this.mask = [own[0] ^ high, own[1] ^ low].into_iter();
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        let mut bytes = [0; MESSAGE_MAX];
        // Without an answer to come, one byte tells that somebody speaks, or has hung up.
        let most = this.missing().max(1).min(buf.remaining()).min(MESSAGE_MAX);
        let mut read = ReadBuf::new(bytes.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
        this.answer.extend_from_slice(read.filled());
        // In this order: a byte is taken before its mask, and an unused mask stays.
        for (byte, mask) in read.filled_mut().iter_mut().zip(&mut this.mask) {
            *byte ^= mask;
        }
        if this.answer.len() > HEAD && this.missing() == 0 && !this.ends() {
            let why = "other bytes stand behind the answer";
            return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, why)));
        }
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}
