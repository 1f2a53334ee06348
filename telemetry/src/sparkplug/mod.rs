//! The gateway as a strict Sparkplug B 3.0 edge node: live values for a SCADA host, and no more.
//!
//! - A projection, not a delivery: QoS 0, no history, the newest value of a point only. What must
//!   arrive goes the native way ([`crate::uplink`], [`crate::wire`]).
//! - [`EdgeNode`] decides what is published and when; it is handed the time and owns no socket.
//! - Commands are refused and counted, except the wish for a rebirth.
//! - The messages are written from the field numbers of the specification; nobody's `.proto` is
//!   used. No aliases, no templates, no data sets, no unsigned types.

mod layout;
mod metric;
mod node;
mod payload;

pub use layout::{DEVICE_METRICS_MAX, Device, Layout, Signal};
pub use node::{
    COMMAND_BYTES_MAX, Commanded, Counters, EdgeNode, Now, Publish, Qos, Setup, Step, Stimulus,
};
