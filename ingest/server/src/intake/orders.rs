//! Limits in force: taken over from the office, and sent until their gateway says that it runs
//! them.
//!
//! - A change reaches the alarm loop or changes nothing: the registry follows only then.
//! - What is sent is retained by the broker. It is sent again where the gateway names another
//!   revision, at growing distances: one without the centre's key never takes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::Intake;
use crate::alarm_loop::Input;
use crate::clock;
use crate::limits::Change;

/// First pause before an order is sent again; doubles to [`AGAIN_MAX`].
const AGAIN: Duration = Duration::from_secs(30);
const AGAIN_MAX: Duration = Duration::from_secs(3_600);
/// Patience of a change with a full alarm loop.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_STEP: Duration = Duration::from_millis(5);

/// The order of one gateway.
#[derive(Debug, Default)]
pub(super) struct Sending {
    payload: Option<Vec<u8>>,
    due: Option<Instant>,
    pause: Duration,
}

impl Sending {
    /// Nothing is due before the gateway is heard.
    pub(super) fn new(payload: Option<Vec<u8>>) -> Self {
        Self { payload, due: None, pause: AGAIN }
    }

    /// Another order, due at once.
    fn replace(&mut self, payload: Option<Vec<u8>>, now: Instant) {
        *self = Self { payload, due: Some(now), pause: AGAIN };
    }

    /// The gateway has begun anew: it is told at once where it differs.
    pub(super) fn born(&mut self) {
        (self.due, self.pause) = (None, AGAIN);
    }

    /// What to send now, if anything.
    fn next(&mut self, differs: bool, now: Instant) -> Option<Vec<u8>> {
        if !differs && self.pause > AGAIN {
            // It has taken it.
            self.born();
        }
        let due = match self.due {
            None if differs => true,
            None => false,
            // A fresh one goes out whatever the gateway said before.
            Some(due) => (differs || self.pause == AGAIN) && due <= now,
        };
        if !due {
            return None;
        }
        self.due = Some(now + self.pause);
        self.pause = (self.pause * 2).min(AGAIN_MAX);
        self.payload.clone()
    }
}

impl Intake {
    /// Puts other limits in force, whole.
    pub(super) async fn change(&mut self, change: Change) {
        let Change { gateway: index, limits, revision, order, reply } = change;
        let mut registry = self.parts.registry.clone();
        registry.limit(index, limits, revision);
        let shared = Arc::new(registry.clone());
        let plan = shared.plan(self.parts.settings);
        let taken = self.insist(Input::Registry(shared.clone(), plan)).await;
        if taken {
            self.parts.registry = registry;
            self.parts.registry_out.send_replace(shared);
            if let Some(watched) = self.watched.get_mut(index) {
                info!(gateway = %watched.id, %revision, "limits handed to the alarm loop");
                watched.sending.replace(order, clock::monotonic());
            }
            self.send_orders();
            self.publish_states();
        } else {
            error!(%revision, "the alarm loop did not take other limits; the old ones stay");
        }
        if reply.send(taken).is_err() {
            warn!("limits were changed and nobody waits for the answer");
        }
    }

    /// To the alarm loop, which may be busy for a while.
    async fn insist(&self, mut input: Input) -> bool {
        use std::sync::mpsc::TrySendError;
        let patience = clock::monotonic() + PATIENCE;
        loop {
            input = match self.parts.alarms.try_send(input) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) if clock::monotonic() < patience => back,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return false,
            };
            tokio::time::sleep(PATIENCE_STEP).await;
        }
    }

    /// Orders that are due.
    pub(super) fn send_orders(&mut self) {
        let now = clock::monotonic();
        for (watched, gateway) in self.watched.iter_mut().zip(&self.parts.registry.gateways) {
            let differs = watched.wants_limits(gateway.limits_revision);
            let Some(order) = watched.sending.next(differs, now) else { continue };
            let revision = gateway.limits_revision;
            if self.parts.answers.send_limits(&watched.id, order) {
                info!(gateway = %watched.id, %revision, "limits sent");
            } else {
                debug!(gateway = %watched.id, %revision, "no room for limits; sent later");
                watched.sending.born();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_sent_until_the_gateway_runs_it() {
        let start = clock::monotonic();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut sending = Sending::new(Some(vec![1]));
        assert_eq!(sending.next(false, at(0)), None, "it runs them, or was never heard");
        assert_eq!(sending.next(true, at(2)), Some(vec![1]));
        assert_eq!(sending.next(true, at(4)), None);
        assert_eq!(sending.next(true, at(32)), Some(vec![1]), "after half a minute");
        assert_eq!(sending.next(true, at(64)), None, "then after a whole one");
        assert_eq!(sending.next(true, at(92)), Some(vec![1]));
        sending.born();
        assert_eq!(sending.next(true, at(93)), Some(vec![1]), "it began anew without them");
        assert_eq!(sending.next(false, at(200)), None, "taken");
        sending.replace(Some(vec![2]), at(300));
        assert_eq!(sending.next(false, at(300)), Some(vec![2]), "a fresh one goes out at once");
        assert_eq!(sending.next(false, at(400)), None, "and once, where it is not missed");
        let mut nothing = Sending::new(None);
        assert_eq!(nothing.next(true, at(500)), None);
    }
}
