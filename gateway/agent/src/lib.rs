//! The gateway at the plant: reads devices, judges alarms on the spot, keeps every record until the
//! centre has it.
//!
//! ```text
//! bus task per device ──► alarm loop (engine) ──► siren
//!                              │  └──► Sparkplug projection (MQTT), where asked for
//!                              │
//!                              └──► spool thread (SQLite) ◄──► uplink (MQTT)
//! ```
//!
//! - The siren needs neither disk, broker nor centre.
//! - Not here yet: serial lines, profiles, commissioning commands, GPIO outputs,
//!   acknowledgements from the centre, local supervision of the centre.

mod alarm;
mod bus;
mod check;
mod clock;
mod config;
mod orders;
mod run;
mod siren;
mod sparkplug;
mod spool;
mod uplink;

pub use check::{Report, check};
pub use config::{AlarmSettings, Config, ConfigFault, LocalOutput, SpoolConfig, UplinkConfig};
pub use orders::CentreKey;
pub use run::run;
pub use sparkplug::SparkplugConfig;
pub use spool::{SPOOL_FILE, each_record};
