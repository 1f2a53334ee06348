//! Horns, lamps and relays, and the buttons beside them.
//!
//! ```text
//! alarm loop ──► state ──► one task per output ──► one thread that owns the line
//! ```
//!
//! - An output that hangs or is missing holds up nobody: it is a fault in the heartbeat, closes the
//!   trouble relay and is tried again.
//! - The watchdog's relay changes only when the alarm loop has turned: no timer feeds it.
//! - What to do is decided in `wish.rs`; here are the tasks.

mod coil;
pub(crate) mod config;
mod crowded;
mod drive;
mod forbidden;
mod gpio;
mod line_coil;
mod places;
#[cfg(feature = "rpi")]
mod rpi;
mod sim;
pub(crate) mod siren;
mod wish;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fengsui_telemetry::TimeMs;
use fengsui_telemetry::wire::DeviceHealth;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::alarm::LoopState;
use crate::bus::orders::Ways;
use crate::clock::Clock;
use crate::spool::SpoolState;
use config::{Button, Does, Output, OutputPlan, Wiring};
use drive::{Drive, DriveFault, Hand};
use siren::SirenState;
use wish::{Debounce, Follows, ReadBack, Seen};

/// Each output is looked at this often, whatever has changed.
const LOOK: Duration = Duration::from_millis(250);
/// An output that failed is tried again after this.
const RETRY_MS: u64 = 5_000;
/// How long a test lasts.
const TEST_MS: u64 = 5_000;
/// A button's contact is looked at this often.
const BUTTON: Duration = Duration::from_millis(10);

/// What the outputs follow.
#[derive(Clone, Debug)]
pub(crate) struct Senses {
    pub(crate) alarms: watch::Receiver<SirenState>,
    pub(crate) turns: watch::Receiver<LoopState>,
    /// The centre is silent.
    pub(crate) alone: watch::Receiver<bool>,
    /// The disk.
    pub(crate) spool: watch::Receiver<SpoolState>,
    /// To the lines, for what hangs on one.
    pub(crate) ways: Ways,
}

/// How each output does, for the heartbeat.
pub(crate) type Healths = watch::Sender<Vec<DeviceHealth>>;

/// Starts every output and button; they end with the alarm loop.
pub(crate) fn start(
    plan: &OutputPlan,
    folder: &Path,
    clock: Clock,
    senses: &Senses,
    pressed: &mpsc::Sender<()>,
    healths: Healths,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let parts = plan.outputs.iter().map(|o| ("output", &o.name));
    let parts = parts.chain(plan.buttons.iter().map(|b| ("button", &b.name)));
    healths.send_replace(parts.map(|(what, name)| health(format!("{what}/{name}"))).collect());
    let healths = Arc::new(healths);
    let (test, tested) = watch::channel(0);
    let modules = coil::Modules::of(plan);
    for (place, output) in plan.outputs.iter().enumerate() {
        let report = Report { place, healths: Arc::clone(&healths), clock, fault: None };
        match Hand::new(&output.name, drive(output, folder, (&senses.ways, &modules, clock))) {
            Ok(hand) => {
                let (output, senses) = (output.clone(), senses.clone());
                let task = Task { output, hand, clock, senses, tested: tested.clone(), report };
                tasks.spawn(task.run());
            }
            Err(fault) => error!(output = %output.name, %fault, "output has no thread"),
        }
    }
    for (place, button) in (plan.outputs.len()..).zip(&plan.buttons) {
        let report = Report { place, healths: Arc::clone(&healths), clock, fault: None };
        let press = Press { pressed: pressed.clone(), test: test.clone(), clock };
        tasks.spawn(watch_button(button.clone(), press, senses.turns.clone(), report));
    }
    tasks
}

fn health(name: String) -> DeviceHealth {
    DeviceHealth { name, last_good: TimeMs(0), fault: String::new() }
}

fn drive(
    output: &Output,
    folder: &Path,
    (ways, modules, clock): (&Ways, &coil::Modules, Clock),
) -> Box<dyn Drive> {
    match &output.wiring {
        Wiring::Gpio { line, active_low, read_back } => {
            Box::new(gpio::GpioOut::new(line.clone(), *active_low, read_back.clone()))
        }
        #[cfg(feature = "rpi")]
        Wiring::Rpi { pin, active_low, read_back } => {
            Box::new(rpi::RpiOut::new(*pin, *active_low, *read_back))
        }
        Wiring::Coil { host, port, unit, coil } => {
            Box::new(modules.coil((host, *port), *unit, *coil))
        }
        Wiring::LineCoil { bus, unit, coil } => {
            Box::new(line_coil::LineCoil::new(ways, bus, (*unit, *coil), clock))
        }
        #[cfg(not(feature = "rpi"))]
        Wiring::Rpi { .. } => Box::new(sim::Sim::new(sim_file(folder, &output.name))),
        Wiring::Sim => Box::new(sim::Sim::new(sim_file(folder, &output.name))),
    }
}

fn sim_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("outputs").join(name)
}

/// What the heartbeat is told of one output.
struct Report {
    place: usize,
    healths: Arc<Healths>,
    clock: Clock,
    fault: Option<DriveFault>,
}

impl Report {
    fn say(&mut self, name: &str, now: Result<(), DriveFault>) {
        let fault = now.err();
        if fault.as_ref().map(DriveFault::word) != self.fault.as_ref().map(DriveFault::word) {
            match &fault {
                Some(fault) => error!(output = name, %fault, "output does not work"),
                None => info!(output = name, "output works again"),
            }
        }
        self.fault = fault;
        let (word, wall) = (self.fault.as_ref().map_or("", |f| f.word()), self.clock.wall());
        self.healths.send_if_modified(|healths| {
            let Some(health) = healths.get_mut(self.place) else { return false };
            if word.is_empty() {
                health.last_good = wall;
            }
            let news = health.fault != word;
            word.clone_into(&mut health.fault);
            news
        });
    }
}

/// One output.
struct Task {
    output: Output,
    hand: Hand,
    clock: Clock,
    senses: Senses,
    /// Until when everything is tested, monotonic ms.
    tested: watch::Receiver<u64>,
    report: Report,
}

impl Task {
    async fn run(self) {
        match self.output.follows {
            Follows::Watchdog => self.guard().await,
            Follows::Siren(_) | Follows::Beacon(_) | Follows::Trouble => self.follow().await,
        }
    }

    /// Changes state with the turns of the loop, at most once a period. A loop that stands leaves
    /// the relay at rest, and the guard behind it lets go.
    async fn guard(mut self) {
        let (mut turns, mut changed_at, mut level) = (0, 0, false);
        while self.senses.turns.changed().await.is_ok() {
            let (turned, now) = (self.senses.turns.borrow_and_update().turns, self.clock.mono_ms());
            if turned == turns || now.saturating_sub(changed_at) < self.output.period_ms {
                continue;
            }
            (turns, changed_at, level) = (turned, now, !level);
            let done = self.hand.set(level).await;
            self.report.say(&self.output.name, done);
        }
    }

    async fn follow(mut self) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read_back = ReadBack::new(self.output.readback_ms);
        // `failed` is what was tried last without success: anything else is tried at once.
        let (mut driven, mut failed, mut retry_at) = (None, None, 0);
        let mut again_at = 0;
        loop {
            let now = self.clock.mono_ms();
            let energised = self.wants(now) != self.output.fail_safe;
            if driven != Some(energised) && (now >= retry_at || failed != Some(energised)) {
                match self.hand.set(energised).await {
                    Ok(()) => {
                        info!(output = %self.output.name, energised, "output");
                        (driven, failed) = (Some(energised), None);
                        read_back = ReadBack::new(self.output.readback_ms);
                    }
                    Err(fault) => {
                        (driven, failed, retry_at) = (None, Some(energised), now + RETRY_MS);
                        self.report.say(&self.output.name, Err(fault));
                    }
                }
            }
            if let Some(driven_now) = driven {
                let mut checked = self.check(driven_now, &mut read_back).await;
                match &checked {
                    Err(DriveFault::Missing(_) | DriveFault::Refused(_)) => {
                        // It is to be driven anew, whatever it showed before.
                        (driven, failed, retry_at) = (None, Some(driven_now), now + RETRY_MS);
                    }
                    // A module that was without power for a moment has forgotten its order. It
                    // stays a fault until the read-back agrees.
                    Err(DriveFault::Contradicted) if now >= again_at => {
                        again_at = now + RETRY_MS;
                        checked = self.hand.set(driven_now).await.and(checked);
                    }
                    Err(DriveFault::Contradicted | DriveFault::Hangs) | Ok(()) => {}
                }
                self.report.say(&self.output.name, checked);
            }
            tokio::select! {
                biased;
                changed = self.senses.alarms.changed() => if changed.is_err() { break },
                Ok(()) = self.tested.changed() => {}
                _ = look.tick() => {}
            }
        }
        // Nobody watches any more: what is released to call for attention is released.
        if self.output.fail_safe {
            let done = self.hand.set(false).await;
            self.report.say(&self.output.name, done);
        }
    }

    async fn check(&self, driven: bool, read_back: &mut ReadBack) -> Result<(), DriveFault> {
        match self.hand.read().await? {
            Some(read) if read_back.contradicts(driven, read, self.clock.mono_ms()) => {
                Err(DriveFault::Contradicted)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn wants(&mut self, now: u64) -> bool {
        let test = *self.tested.borrow_and_update() > now;
        let state = self.senses.turns.borrow_and_update();
        let own = format!("output/{}", self.output.name);
        let lost = |health: &DeviceHealth| !health.fault.is_empty() && health.name != own;
        let trouble = *self.senses.alone.borrow()
            || !self.senses.spool.borrow().storage.is_sound()
            || state.devices.iter().any(lost)
            || state.outputs.iter().any(lost);
        drop(state);
        self.output.follows.wants(&self.senses.alarms.borrow_and_update(), Seen { trouble, test })
    }
}

/// What a button does.
struct Press {
    pressed: mpsc::Sender<()>,
    test: watch::Sender<u64>,
    clock: Clock,
}

impl Press {
    fn act(&self, does: Does) {
        match does {
            Does::Acknowledge => match self.pressed.try_send(()) {
                // A full queue holds a press already.
                Ok(()) | Err(_) => info!("acknowledge button pressed"),
            },
            Does::Test => {
                info!(for_ms = TEST_MS, "test button pressed: every output is on");
                self.test.send_replace(self.clock.mono_ms() + TEST_MS);
            }
        }
    }
}

/// Looks at a contact until the alarm loop is gone. The line is read in a thread that may block.
async fn watch_button(
    button: Button,
    press: Press,
    turns: watch::Receiver<LoopState>,
    mut report: Report,
) {
    let (looks, mut seen) = mpsc::channel(1);
    let (line, active_low) = (button.line.clone(), button.active_low);
    let thread = std::thread::Builder::new().name(format!("in-{}", button.name));
    let watching = thread.spawn(move || look_at(&line, active_low, &looks));
    if let Err(fault) = watching {
        error!(button = %button.name, %fault, "button has no thread");
        return;
    }
    let mut debounce = Debounce::new(button.debounce_ms);
    let mut turns = turns;
    loop {
        tokio::select! {
            biased;
            // The loop's end closes the channel; its turns are of no interest here.
            gone = turns.wait_for(|_| false) => if gone.is_err() { return },
            look = seen.recv() => match look {
                Some(Ok(down)) => {
                    report.say(&button.name, Ok(()));
                    if debounce.look(down, press.clock.mono_ms()) {
                        press.act(button.does);
                    }
                }
                Some(Err(fault)) => report.say(&button.name, Err(fault)),
                None => return,
            },
        }
    }
}

fn look_at(line: &gpio::Line, active_low: bool, looks: &mpsc::Sender<Result<bool, DriveFault>>) {
    loop {
        let request = match gpio::input(line, active_low) {
            Ok(request) => request,
            Err(fault) => {
                if looks.blocking_send(Err(fault)).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(RETRY_MS));
                continue;
            }
        };
        loop {
            let look = gpio::level(&request, line);
            let failed = look.is_err();
            if looks.blocking_send(look).is_err() {
                return;
            }
            if failed {
                break;
            }
            std::thread::sleep(BUTTON);
        }
    }
}

#[cfg(test)]
mod tests;
