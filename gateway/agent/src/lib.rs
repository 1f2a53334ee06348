//! The gateway at the plant: reads devices, judges alarms on the spot, keeps every record until the
//! centre has it.
//!
//! ```text
//! bus task per device ──► alarm loop (engine) ──► outputs
//!                              │  └──► Sparkplug projection (MQTT), where asked for
//!                              │
//!                              └──► spool thread (SQLite) ◄──► uplink (MQTT)
//! ```
//!
//! - The siren needs neither disk, broker nor centre.

mod alarm;
mod apart;
mod bus;
mod check;
mod clock;
pub mod commission;
mod config;
mod connect;
mod fresh;
mod health;
mod notify;
mod orders;
mod outputs;
mod packed;
mod reach;
mod reload;
mod run;
mod sparkplug;
mod spool;
mod spreadsheet;
mod uplink;

pub use check::{BusReport, Report, check};
pub use config::{
    AlarmSettings, Config, ConfigFault, LocalOutput, SpoolConfig, UplinkConfig, check_own,
};
pub use orders::CentreKey;
pub use outputs::config::OutputPlan;
pub use reach::Reach;
pub use reload::{Loaded, run_reloading};
pub use run::run;
pub use sparkplug::SparkplugConfig;
pub use spool::{
    Place, SPOOL_FILE, SpoolCheck, SpoolStatus, SpoolVerb, Wanted, each_record, preload_spool,
    spool_export, spool_status, spool_verb, spool_verify,
};
