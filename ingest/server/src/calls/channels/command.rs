//! A program as a channel: its arguments, no shell, bounded time and output.
//!
//! - The message stands on its standard input as JSON, and `{phone}`, `{text}` … in its arguments.
//! - Success is its exit code; its first line is the receipt. One that takes too long is killed.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::http::fill;
use super::{ANSWER_MAX, Failure, Message};

/// Characters of the first line that are kept.
const RECEIPT_MAX: usize = 100;

pub(super) async fn run(argv: &[String], message: &Message) -> Result<String, Failure> {
    let plain = |text: &str| text.to_owned();
    let mut words = argv.iter().map(|word| fill(word, message, &plain));
    let Some(program) = words.next() else {
        return Err(Failure::Lasting("argv is empty".to_owned()));
    };
    let mut child = Command::new(&program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|fault| Failure::Lasting(format!("{program}: {fault}")))?;
    let body = serde_json::to_vec(message).unwrap_or_default();
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read its input is no fault.
        input.write_all(&body).await.ok();
    }
    let mut told = Vec::new();
    if let Some(output) = child.stdout.take() {
        let limit = u64::try_from(ANSWER_MAX).unwrap_or(u64::MAX);
        let read = output.take(limit).read_to_end(&mut told).await;
        read.map_err(|fault| Failure::Passing(fault.to_string()))?;
    }
    let status = child.wait().await.map_err(|fault| Failure::Passing(fault.to_string()))?;
    let text = String::from_utf8_lossy(&told);
    let line: String = text.lines().next().unwrap_or_default().chars().take(RECEIPT_MAX).collect();
    if status.success() { Ok(line) } else { Err(Failure::Passing(format!("{status} {line}"))) }
}
