//! Call-and-respond (叫应): who is told of an open alarm, by what, by when, and who comes next.
//!
//! - The ledger is the truth. Nothing changes here but by a row that is durable: the host records
//!   what [`Machine::handle`] asks for, reads it back from the journal and hands it in as
//!   [`Event::Ledger`]. A restart that reads the same rows stands in the same place.
//! - *Sent is not answered.* Only the stopping state of the policy, the acknowledgement of the
//!   alarm or an overlay that a person or an approved rule laid ends an escalation.
//! - Nothing is dropped in silence: what exceeds a person's budget joins a package that names how
//!   many and which.
//! - Delivery never changes the life cycle of an alarm.
//!
//! # How a host drives it
//!
//! 1. At the start: every row of the journal in order, alarm rows as `Opened`, `Acknowledged` …,
//!    ledger rows as `Ledger`, each with the row's own time; [`Action::Hand`] is ignored. Then
//!    [`Machine::unsent`] is recorded, which says that it is a repeat.
//! 2. Afterwards the same with every new row; `Hand` goes to the channel.
//! 3. At [`Machine::wake_at`], once every row was read: [`Event::Wake`]. What it asks to record is
//!    recorded and read back before the next `Wake`.
//!
//! Left out: drills, the closing report, a voice of our own (a gateway with its own HTTP call does
//! it); the persons of several installations in one package are called one after the other.

mod audit;
mod change;
mod decide;
mod entry;
mod fold;
mod grade;
mod holes;
mod join;
mod ladder;
mod machine;
mod preview;
mod request;
mod setup;
#[cfg(test)]
mod tests;

pub use audit::{Fault, Finding, Open, audit};
pub use change::{Difference, LeftAlone, URGENT, differences};
pub use entry::{
    Entry, Intent, Kind, Member, Outcome, PACKAGE, Reason, Receipt, Reply, SendResult, Why,
};
pub use holes::{Hole, holes};
pub use ladder::{Attempt, Delivery, Ladder, Next, Settled, Step};
pub use machine::{Action, Event, Hand, Machine, Matter, Novelty, Occurrence};
pub use preview::Preview;
pub use request::{AnswerRequest, CallRequest, Refusal};
pub use setup::{
    Budget, Channel, Needs, Person, Policy, ReplyFrom, Roster, Setup, Slot, StopAt, Turn,
};
