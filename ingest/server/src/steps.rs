//! Where an experiment may end the process, as a kill between two steps would.
//!
//! - `FENGSUI_DIE_AT=journaled:3` ends it when that step is reached for the third time. Release
//!   builds know nothing of it.

/// Steps on the way of a transition, in their order; judged comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The engine has judged; nothing is written.
    Judged,
    /// Rows and inputs are durable; nobody has been told.
    Journaled,
    /// The desk has shown it.
    Annunciated,
    /// The samples are durable; the gateway has not been told.
    Stored,
    /// The gateway has been told.
    Acknowledged,
}

/// A step has been reached.
#[cfg(debug_assertions)]
pub fn reached(step: Step) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static DEATH: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let death = DEATH.get_or_init(|| {
        let text = std::env::var("FENGSUI_DIE_AT").ok()?;
        let (name, count) = text.split_once(':')?;
        Some((name.to_owned(), AtomicU64::new(count.parse().ok()?)))
    });
    let Some((name, left)) = death else { return };
    if *name == format!("{step:?}").to_lowercase() && left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

/// A step has been reached.
#[cfg(not(debug_assertions))]
#[inline]
pub fn reached(_: Step) {}
