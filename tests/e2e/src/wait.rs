//! Waiting for something that can be seen. The only place where an experiment waits.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock;

/// Between two looks: short beside every delay that is measured, long beside one look.
const STEP: Duration = Duration::from_millis(20);

/// Looks again and again until there is something to see.
///
/// # Errors
/// The look failed, or there was nothing to see within `limit`.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let began = clock::monotonic();
    let mut step = interval(STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        step.tick().await;
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if began.elapsed() > limit {
            bail!("after {limit:?} still waiting for: {what}");
        }
    }
}

/// As [`until`], for a condition.
///
/// # Errors
/// As [`until`].
pub async fn until_true(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    until(what, limit, async || Ok(look().await?.then_some(()))).await
}
