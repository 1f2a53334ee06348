//! The faults file: what goes wrong when, and what people do to the plant meanwhile.
//!
//! ```toml
//! [[fault]]
//! at_s = 30
//! device = "gas"
//! fault = "dead"
//! for_s = 20        # left out: for good
//!
//! [[command]]
//! at_s = 60
//! do = "fill"
//! tank = 1
//! to = 95
//! ```
//!
//! Times are wall seconds since the start of the plant.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tracing::{error, info};

use crate::clock::Clock;
use crate::config::ConfigFault;
use crate::fault::Fault;
use crate::plant::{Control, PlantError};
use crate::process::Command;

/// A year; more is a slip of the pen.
const SECONDS_MAX: f64 = 31_536_000.0;
/// Acts happen at most this much late.
const PACE: Duration = Duration::from_millis(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "fault")]
    faults: Vec<FaultEntry>,
    #[serde(default, rename = "command")]
    commands: Vec<CommandEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultEntry {
    at_s: f64,
    device: String,
    fault: Fault,
    for_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct CommandEntry {
    at_s: f64,
    #[serde(flatten)]
    command: Command,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A fault begins, or ends with [`Fault::None`].
    Fault {
        /// Where.
        device: String,
        /// What.
        fault: Fault,
    },
    /// Somebody does something.
    Command(Command),
}

/// Acts in order of time.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Schedule(Vec<(Duration, Act)>);

impl Schedule {
    /// Reads a faults file and checks its devices.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn load(path: &Path, devices: &[&str]) -> Result<Self, Vec<ConfigFault>> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let mend = "name a file that can be read";
            vec![ConfigFault { place: place.clone(), fault: error.to_string(), mend }]
        })?;
        Self::parse(&text, &place, devices)
    }

    /// The same from text.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn parse(text: &str, place: &str, devices: &[&str]) -> Result<Self, Vec<ConfigFault>> {
        let fault = |fault, mend| ConfigFault { place: place.to_owned(), fault, mend };
        let file: File = toml::from_str(text)
            .map_err(|e| vec![fault(e.to_string(), "write [[fault]] and [[command]] tables")])?;
        let mut faults = Vec::new();
        let mut acts = Vec::new();
        let mut span = |seconds: f64, what: &str| {
            if (0.0..=SECONDS_MAX).contains(&seconds) {
                Duration::from_secs_f64(seconds)
            } else {
                faults.push(fault(format!("{what} is {seconds}"), "write 0 to 31536000 seconds"));
                Duration::ZERO
            }
        };
        let mut strangers = Vec::new();
        for entry in file.faults {
            let at = span(entry.at_s, "at_s");
            if !devices.contains(&entry.device.as_str()) {
                strangers.push(fault(
                    format!("there is no device {:?}", entry.device),
                    "use a name of the configuration file",
                ));
            }
            if let Some(for_s) = entry.for_s {
                let end = at + span(for_s, "for_s");
                acts.push((end, Act::Fault { device: entry.device.clone(), fault: Fault::None }));
            }
            acts.push((at, Act::Fault { device: entry.device, fault: entry.fault }));
        }
        for entry in file.commands {
            acts.push((span(entry.at_s, "at_s"), Act::Command(entry.command)));
        }
        faults.append(&mut strangers);
        // An end comes before a beginning of the same instant: back to back faults follow on.
        acts.sort_by_key(|(at, act)| {
            let begins = !matches!(act, Act::Fault { fault: Fault::None, .. });
            (*at, begins)
        });
        if faults.is_empty() { Ok(Self(acts)) } else { Err(faults) }
    }

    /// The acts and when they happen.
    #[must_use]
    pub fn acts(&self) -> &[(Duration, Act)] {
        &self.0
    }

    /// Plays the acts, from now. Ends after the last, or when the plant stops.
    pub async fn play(self, control: Control) {
        let clock = Clock::start();
        let mut ticks = tokio::time::interval(PACE);
        for (at, act) in self.0 {
            let at_ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
            while clock.elapsed_ms() < at_ms {
                ticks.tick().await;
            }
            let done = match &act {
                Act::Fault { device, fault } => control.fault(device, *fault).await,
                Act::Command(command) => control.command(*command).await,
            };
            match done {
                Ok(_) => info!(?act, "played"),
                Err(PlantError::Stopped) => return,
                Err(error) => error!(?act, %error, "cannot be played"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICES: &[&str] = &["gas", "dam"];

    #[test]
    fn a_fault_has_a_beginning_and_an_end_and_commands_lie_between() {
        let text = "[[command]]\nat_s = 2\ndo = 'spike'\nhead = 1\nto = 60\nfor_s = 5\n\
                    [[fault]]\nat_s = 1\ndevice = 'gas'\nfault = 'late:300'\nfor_s = 3\n\
                    [[fault]]\nat_s = 4\ndevice = 'gas'\nfault = 'dead'";
        let schedule = Schedule::parse(text, "faults.toml", DEVICES).expect("right");
        let story: Vec<String> = schedule
            .acts()
            .iter()
            .map(|(at, act)| match act {
                Act::Fault { device, fault } => format!("{} {device} {fault}", at.as_secs()),
                Act::Command(_) => format!("{} command", at.as_secs()),
            })
            .collect();
        assert_eq!(story, ["1 gas late:300", "2 command", "4 gas none", "4 gas dead"]);
    }

    #[test]
    fn every_fault_of_the_file_is_listed() {
        let text = "[[fault]]\nat_s = -1\ndevice = 'gass'\nfault = 'dead'";
        let faults = Schedule::parse(text, "faults.toml", DEVICES).expect_err("two faults");
        assert_eq!(faults.len(), 2, "{faults:?}");
        for bad in [
            "[[fault]]\nat_s = 1\ndevice = 'gas'\nfault = 'ded'",
            "[[falt]]\nat_s = 1",
            "[[command]]\nat_s = 1\ndo = 'fill'\ntank = 9\nto = 95",
            "[[command]]\nat_s = 1\ndo = 'fill'\ntank = 1\nto = 95\nrate = 3",
        ] {
            assert!(Schedule::parse(bad, "faults.toml", DEVICES).is_err(), "{bad}");
        }
    }
}
