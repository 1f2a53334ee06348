//! A simulated plant on real Modbus TCP: four tanks, five gas heads and a dam, and, for benches,
//! devices with as many counting registers as wanted.
//!
//! - [`process`] is the plant itself: pure and seeded; the same seed gives the same day.
//! - [`Plant`] puts it on the wire, one TCP listener per device, on free ports where asked.
//! - Faults ([`Fault`]) touch the wire or the instrument, never the process: what the truth sink
//!   records ([`TruthRow`]) is what the plant really did, so a checker needs nothing from the
//!   programs under test.
//! - Nothing of Fengsui is used here: the plant must not share a mistake with what reads it.
//!
//! Left out: serial lines, writing functions (5, 6, 15, 16: answered with exception 1), RTU.

mod clock;
pub mod config;
mod device;
mod fault;
mod image;
mod modbus;
mod noise;
mod plant;
pub mod process;
pub mod schedule;
mod truth;

pub use config::{DeviceConfig, Holes, Kind, PlantConfig};
pub use fault::Fault;
pub use plant::{Control, Endpoint, Plant, PlantError};
pub use process::{Command, Head, Signal, Tank};
pub use truth::{TruthRow, TruthSink, to_file};
