//! A browser's live stream, and browsers that behave badly.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::http::Api;

/// A receive window that is soon full.
const NARROW: u32 = 64 * 1_024;

/// One event.
#[derive(Clone, Debug)]
pub struct StreamEvent {
    /// `alarm`, `ping`, …
    pub name: String,
    /// Its number, if it has one.
    pub id: Option<u64>,
    /// What it says.
    pub data: Value,
}

/// A stream that is read.
pub struct Stream {
    bytes: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    pending: Vec<u8>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl Stream {
    /// Opens one; `after` as a browser that comes back says it.
    ///
    /// # Errors
    /// The centre does not answer.
    pub async fn open(api: &Api, after: Option<u64>) -> anyhow::Result<Self> {
        // No time limit of the whole: a stream has no end.
        crate::tls();
        let client = reqwest::Client::builder().build()?;
        let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
        let request = client.get(format!("{}/api/v1/stream{query}", api.base));
        let answer = api.known(request).send().await?;
        ensure!(answer.status().is_success(), "the stream answers {}", answer.status());
        Ok(Self { bytes: Box::pin(answer.bytes_stream()), pending: Vec::new() })
    }

    /// The next event.
    ///
    /// # Errors
    /// None came within `limit`, or the stream ended.
    pub async fn next(&mut self, limit: Duration) -> anyhow::Result<StreamEvent> {
        let next = async {
            loop {
                if let Some(at) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
                    let rest = self.pending.split_off(at + 2);
                    let block = std::mem::replace(&mut self.pending, rest);
                    match event_of(&String::from_utf8_lossy(&block))? {
                        Some(event) => return Ok(event),
                        None => continue,
                    }
                }
                match self.bytes.next().await {
                    Some(bytes) => self.pending.extend_from_slice(&bytes?),
                    None => bail!("the stream ended"),
                }
            }
        };
        tokio::time::timeout(limit, next).await.with_context(|| format!("no event in {limit:?}"))?
    }

    /// The next event that is as wanted.
    ///
    /// # Errors
    /// None came within `limit`, or the stream ended.
    pub async fn find(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&StreamEvent) -> bool,
    ) -> anyhow::Result<StreamEvent> {
        let search = async {
            loop {
                let event = self.next(limit).await?;
                if wanted(&event) {
                    return Ok(event);
                }
            }
        };
        let found: Result<anyhow::Result<StreamEvent>, _> =
            tokio::time::timeout(limit, search).await;
        found.with_context(|| format!("after {limit:?} not on the stream: {what}"))?
    }
}

fn event_of(block: &str) -> anyhow::Result<Option<StreamEvent>> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let Some(name) = field("event: ") else { return Ok(None) };
    let data = field("data: ").unwrap_or("null");
    let data = serde_json::from_str(data).with_context(|| format!("event {name}: {data}"))?;
    let id = field("id: ").map(str::parse).transpose()?;
    Ok(Some(StreamEvent { name: name.to_owned(), id, data }))
}

/// A browser that asks for the stream and never reads it.
///
/// # Errors
/// The centre does not take the connection.
pub async fn never_read(port: u16, token: &str) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(NARROW)?;
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
    let ask =
        format!("GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await?;
    Ok(stream)
}

/// A client that begins a request and never ends it.
///
/// # Errors
/// The centre does not take the connection.
pub async fn never_ask(port: u16) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ").await?;
    Ok(stream)
}
