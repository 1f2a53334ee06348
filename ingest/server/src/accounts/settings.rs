//! Table `[accounts]` of the configuration.
//!
//! ```toml
//! [accounts]
//! session_hours = 168        # a log-in lasts a week at most
//! idle_hours = 12            # and ends when unused for this long; an open desk uses it
//! secure_cookie = true       # browsers come by https, also where no proxy says so
//! metrics = "loopback"       # who may read /metrics: loopback, login, open
//! ```

use serde::Deserialize;

/// How sessions live and who may read the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A session lives no longer, ms.
    pub session_ms: i64,
    /// A session that is not used ends after this, ms. An open desk uses its session.
    pub idle_ms: i64,
    /// Cookies go by https alone.
    pub secure_cookie: bool,
    /// Who may read `/metrics`.
    pub metrics: Metrics,
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metrics {
    /// Programs on this machine, and everybody with a log-in or a token.
    #[default]
    Loopback,
    /// Everybody with a log-in or a token.
    Login,
    /// Everybody.
    Open,
}

const HOUR_MS: i64 = 3_600_000;
/// A week: a duty desk is not logged out in the middle of a shift by a shorter one.
const SESSION_HOURS: u32 = 168;
/// One shift.
const IDLE_HOURS: u32 = 12;
/// A year.
const HOURS_MAX: u32 = 8_760;

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_ms: i64::from(SESSION_HOURS) * HOUR_MS,
            idle_ms: i64::from(IDLE_HOURS) * HOUR_MS,
            secure_cookie: false,
            metrics: Metrics::Loopback,
        }
    }
}

/// The table as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsText {
    session_hours: Option<u32>,
    idle_hours: Option<u32>,
    #[serde(default)]
    secure_cookie: bool,
    #[serde(default)]
    metrics: Metrics,
}

impl SettingsText {
    /// Checks it.
    ///
    /// # Errors
    /// Key and reason.
    pub(crate) fn settle(&self) -> Result<Settings, String> {
        let hours = |key: &str, given: Option<u32>, default: u32| match given.unwrap_or(default) {
            hours @ 1..=HOURS_MAX => Ok(i64::from(hours) * HOUR_MS),
            hours => Err(format!("{key} = {hours} is not 1 to {HOURS_MAX}; write {default}")),
        };
        let session_ms = hours("session_hours", self.session_hours, SESSION_HOURS)?;
        let idle_ms = hours("idle_hours", self.idle_hours, IDLE_HOURS)?;
        Ok(Settings {
            session_ms,
            idle_ms,
            secure_cookie: self.secure_cookie,
            metrics: self.metrics,
        })
    }
}
