//! Holds up other people's libraries where they would fill the disk with one line: an embedded
//! broker that the system gives no descriptor says so a hundred thousand times a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::clock;

/// Lines of libraries in a minute, of all together; what comes beyond is not written.
const LINES_MAX: u32 = 60;
const SPAN: Duration = Duration::from_secs(60);

/// Counts the lines of libraries. Our own pass: they are bounded where they are said.
#[derive(Debug, Default)]
pub(super) struct Brake {
    span: Mutex<Option<(Instant, u32)>>,
}

impl Brake {
    fn lets(&self, target: &str, now: impl FnOnce() -> Instant) -> bool {
        if target.starts_with("fengsui") {
            return true;
        }
        let now = now();
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        match span.as_mut() {
            Some((began, lines)) if now.saturating_duration_since(*began) < SPAN => {
                *lines = lines.saturating_add(1);
                *lines <= LINES_MAX
            }
            Some(_) | None => {
                *span = Some((now, 1));
                true
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Brake {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.lets(event.metadata().target(), clock::monotonic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_says_so_much_a_minute_and_we_say_all() {
        let brake = Brake::default();
        let start = clock::monotonic();
        let said = |after: Duration, target: &str| {
            (0..1_000).filter(|_| brake.lets(target, || start + after)).count()
        };
        assert_eq!(said(Duration::ZERO, "mqtt5::broker::server"), LINES_MAX as usize);
        assert_eq!(said(SPAN / 2, "mqtt5::broker::server"), 0);
        assert_eq!(said(SPAN / 2, "fengsui::http"), 1_000);
        assert_eq!(said(SPAN, "rumqttc"), LINES_MAX as usize);
    }
}
