//! The vocabulary of Fengsui, and what crosses a wire.
//!
//! - No clock, socket, file or task: a thinker. Time is an argument.
//! - Core types are not wire types: [`wire`] converts by hand, and golden files hold the bytes.
//! - A [`Reading`] has no number where there is none to trust.

mod catalogue;
mod reading;
mod record;
mod time;

pub mod ledger;
pub mod sparkplug;
pub mod uplink;
pub mod wire;

pub use catalogue::{
    Catalogue, CatalogueFault, GatewayId, INSTALLATIONS_MAX, Installation, POINTS_MAX, Point,
    Revision, Tag, TagFault,
};
pub use reading::{Doubt, Fault, Reading};
pub use record::{
    Body, ClockChange, ClockQuality, Epoch, Gap, GapCause, Lane, LocalTransition, Offset, Record,
    Scan,
};
pub use time::TimeMs;
