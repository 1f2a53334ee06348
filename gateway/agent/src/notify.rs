//! What the service manager is told: ready, alive, and in a line how things stand.
//!
//! - Alive is said when the alarm loop has turned, and only then: no timer feeds the watchdog. A
//!   loop that stands is restarted with its program.
//! - Away from the loop: a service manager that does not read holds up no alarm.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::alarm::LoopState;
use crate::clock::Clock;
use crate::outputs::siren::SirenState;

/// Shortest time between two signs of life: the loop turns as often as samples come.
const SIGN_MS: u64 = 1_000;

/// Runs until the alarm loop is gone.
pub(crate) async fn run(
    mut turns: watch::Receiver<LoopState>,
    alarms: watch::Receiver<SirenState>,
    clock: Clock,
) {
    let patience = sd_notify::watchdog_enabled();
    if let Some(patience) = patience {
        info!(patience_ms = patience.as_millis(), "the service manager watches the alarm loop");
    }
    let (mut ready, mut said_at) = (false, 0);
    let mut turned = turns.borrow_and_update().turns;
    while turns.changed().await.is_ok() {
        let (state, now) = (turns.borrow_and_update().clone(), clock.mono_ms());
        if state.turns == turned || (ready && now.saturating_sub(said_at) < sign_ms(patience)) {
            continue;
        }
        turned = state.turns;
        said_at = now;
        let status = status(&state, &alarms.borrow());
        tell(std::mem::replace(&mut ready, true), status).await;
    }
    if ready {
        say(&[NotifyState::Stopping]);
    }
}

/// Well below half of what the service manager waits.
fn sign_ms(patience: Option<Duration>) -> u64 {
    let third = patience.map_or(SIGN_MS, |p| u64::try_from(p.as_millis() / 3).unwrap_or(SIGN_MS));
    third.min(SIGN_MS)
}

async fn tell(was_ready: bool, status: String) {
    let told = tokio::task::spawn_blocking(move || {
        if !was_ready {
            say(&[NotifyState::Ready]);
        }
        say(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
    });
    if let Err(fault) = told.await {
        debug!(%fault, "service manager was not told");
    }
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(fault) = sd_notify::notify(what) {
        debug!(%fault, "service manager does not listen");
    }
}

fn status(state: &LoopState, alarms: &SirenState) -> String {
    let faulty = |all: &[fengsui_telemetry::wire::DeviceHealth]| {
        all.iter().filter(|one| !one.fault.is_empty()).count()
    };
    format!(
        "设备 {} 台，故障 {}；输出故障 {}；未确认报警 {}  |  devices {}, faulty {}; outputs faulty {}; \
         unacknowledged alarms {}",
        state.devices.len(),
        faulty(&state.devices),
        faulty(&state.outputs),
        alarms.alarms.len(),
        state.devices.len(),
        faulty(&state.devices),
        faulty(&state.outputs),
        alarms.alarms.len()
    )
}
