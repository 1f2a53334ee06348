//! The number of the last CONNECT, kept in the data folder.
//!
//! - On disk before the CONNECT goes out, so that no two connections ever share one. Where the disk
//!   is dead the projection goes on without: live values are worth more than a number.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

use crate::fresh::{self, Kept};

const FILE: &str = "sparkplug-bdseq.txt";
/// How long a disk may take to keep three digits.
const DISK: Duration = Duration::from_secs(3);

/// What was kept; none at the first start or where it cannot be read.
pub(super) async fn recall(data: &Path) -> Option<u8> {
    let path = data.join(FILE);
    match timeout(DISK, spawn_blocking(move || read(&path))).await {
        Ok(Ok(number)) => number,
        Ok(Err(_)) | Err(_) => {
            warn!("the number of the last sparkplug connection cannot be read");
            None
        }
    }
}

fn read(path: &Path) -> Option<u8> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let number = text.trim().parse().ok();
            if number.is_none() {
                warn!(file = %path.display(), "is no number from 0 to 255; counted anew");
            }
            number
        }
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => None,
        Err(fault) => {
            warn!(file = %path.display(), %fault, "cannot be read; counted anew");
            None
        }
    }
}

/// Keeps it, or says why not.
pub(super) async fn keep(data: &Path, number: u8) {
    let path = data.join(FILE);
    let why = match timeout(DISK, spawn_blocking(move || write(&path, number))).await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(fault))) => fault.to_string(),
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => "the disk does not answer".to_owned(),
    };
    warn!(why, number, "the number of this sparkplug connection is not kept");
}

/// Whole or not at all.
fn write(path: &Path, number: u8) -> std::io::Result<()> {
    fresh::replace(path, format!("{number}\n").as_bytes(), Kept::Durable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_number_outlives_the_program_and_a_broken_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(recall(folder.path()).await, None);
        for number in [0, 255] {
            keep(folder.path(), number).await;
            assert_eq!(recall(folder.path()).await, Some(number));
        }
        fs::write(folder.path().join(FILE), "256").unwrap();
        assert_eq!(recall(folder.path()).await, None);
        // A folder that is not there is no reason to stop.
        keep(&folder.path().join("gone"), 1).await;
    }
}
