//! Orders among the reads of one line: behind alarm reads that are due, before all else.
//!
//! - An order lets two alarm blocks pass, or half a second, whichever ends first: a line that is
//!   asked for more alarm reads than it can carry still sounds its horn.
//! - Orders to a module that does not answer take a fifth of the line at most, however many outputs
//!   hang on it.
//! - An order that was not begun in time is dropped: whoever gave it has given up, and may want the
//!   opposite by now.

use std::collections::{BTreeMap, VecDeque};

use crate::pdu::Question;
use crate::schedule::Class;

/// Orders that wait for one line. Each of the 32 outputs of a gateway waits for one, and may have
/// given up one before that is not dropped yet.
pub const COMMANDS_MAX: usize = 64;
/// How long a module of a line may take before it answers. Our choice, not a standard's: it has one
/// relay to switch.
pub const COMMAND_PATIENCE_US: u64 = 200_000;
/// How long an order lets alarm reads pass.
const PASS_MS: u64 = 500;
/// How many alarm blocks it lets pass.
const PASS_BLOCKS: u8 = 2;
/// Orders in a row without an answer that make a module silent: one may fail by noise, and is given
/// once more.
const SILENT_AFTER: u8 = 3;
/// Of the line, orders to silent modules get one part in so many.
const SILENT_SHARE: u64 = 5;
/// The longest pause between them, so that an order to a module that is back is not given up.
const SILENT_PAUSE_MAX_MS: u64 = 2_000;

/// Something to do for an output: to set its coil, or to read it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// By what whoever gave it knows it.
    pub id: u64,
    /// The module's address.
    pub unit: u8,
    /// What.
    pub question: Question,
    /// To be begun before this, monotonic ms.
    pub until: u64,
}

/// What a line has counted of its orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandTally {
    /// Orders and readings back.
    pub asked: u64,
    /// Of these without an answer.
    pub unanswered: u64,
    /// Time that they took.
    pub busy_us: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    command: Command,
    since: u64,
    /// Alarm blocks that went before it.
    passed: u8,
}

/// The orders of one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Commands {
    waiting: VecDeque<Waiting>,
    /// Failures in a row, by module.
    failures: BTreeMap<u8, u8>,
    /// No order to a silent module before this.
    silent_until: u64,
    pub(super) tally: CommandTally,
}

impl Commands {
    /// False: there are too many.
    pub(super) fn add(&mut self, command: Command, now: u64) -> bool {
        let free = self.waiting.len() < COMMANDS_MAX;
        if free {
            self.waiting.push_back(Waiting { command, since: now, passed: 0 });
        }
        free
    }

    /// The order whose turn it is, beside the most urgent read that is due; else when there may be
    /// one.
    pub(super) fn next(&mut self, due: Option<Class>, now: u64) -> Result<Command, u64> {
        self.waiting.retain(|waiting| waiting.command.until > now);
        let mut wake = u64::MAX;
        for (place, waiting) in self.waiting.iter().enumerate() {
            let late = waiting.passed >= PASS_BLOCKS || waiting.since + PASS_MS <= now;
            if due == Some(Class::Alarm) && !late {
                continue;
            }
            if self.is_silent(waiting.command.unit) && now < self.silent_until {
                wake = wake.min(self.silent_until);
                continue;
            }
            return self.waiting.remove(place).map(|taken| taken.command).ok_or(wake);
        }
        Err(wake)
    }

    /// An alarm read goes first.
    pub(super) fn pass(&mut self) {
        for waiting in &mut self.waiting {
            waiting.passed = waiting.passed.saturating_add(1);
        }
    }

    /// What came of an order.
    pub(super) fn obeyed(&mut self, unit: u8, answered: bool, busy_us: u64, now: u64) {
        self.tally.asked += 1;
        self.tally.busy_us += busy_us;
        if answered {
            self.failures.remove(&unit);
            return;
        }
        self.tally.unanswered += 1;
        let failures = self.failures.entry(unit).or_default();
        *failures = failures.saturating_add(1);
        let pause = (busy_us * (SILENT_SHARE - 1) / 1_000).min(SILENT_PAUSE_MAX_MS);
        self.silent_until = now + pause;
    }

    fn is_silent(&self, unit: u8) -> bool {
        self.failures.get(&unit).is_some_and(|failures| *failures >= SILENT_AFTER)
    }
}
