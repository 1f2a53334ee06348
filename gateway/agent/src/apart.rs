//! Loads apart from everything that stays.
//!
//! The C library gives back only what is free at the heap's upper end. A configuration of 30,000
//! points is megabytes of short strings, and checking it takes as much again; what is made
//! afterwards, and stays, must not come to lie above that.

/// Loads in a thread of its own: what a thread freed last it uses again first, wherever that lies,
/// until it ends.
pub(crate) fn apart<T: Send>(load: impl FnOnce() -> T + Send) -> T {
    let loaded = std::thread::scope(|scope| scope.spawn(load).join());
    match loaded {
        Ok(loaded) => loaded,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
