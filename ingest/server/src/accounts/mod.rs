//! Who acts: every command needs a known person.
//!
//! - A person is asked for anew every two seconds, so that what another process changed (a
//!   disabled account, a new password) holds here at once.
//! - Passwords are checked one at a time beside the web server's threads: a flood of them takes
//!   one processor at most, and none from the alarm path.
//! - While `config.db` cannot be read, people who were here a moment ago stay: a failing disk
//!   blinds nobody. While it cannot be written, sessions begin and end in memory: see `spare`.

pub mod audit;
pub mod password;
pub mod people;
pub mod secret;
pub mod settings;
mod spare;
pub mod throttle;

use serde::{Deserialize, Serialize};

pub use people::{Accounts, Credential, Peer, Refusal};
pub use settings::Settings;

/// What a person may do; each may do what the ones before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Acknowledges, shelves, calls, dispatches.
    Operator,
    /// Changes limits and rosters.
    Engineer,
    /// Manages accounts.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Engineer, Self::Admin];

    /// One word, the same in database, API and command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Engineer => "engineer",
            Self::Admin => "admin",
        }
    }

    /// As people call it.
    #[must_use]
    pub fn people(self) -> &'static str {
        match self {
            Self::Viewer => "查看",
            Self::Operator => "值班员",
            Self::Engineer => "工程师",
            Self::Admin => "管理员",
        }
    }

    /// The role of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::from_word(word)
            .ok_or_else(|| format!("{word:?} is not viewer, operator, engineer or admin"))
    }
}

/// The person behind a request, in its extensions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The account's number; 0 where there is no account yet.
    pub id: i64,
    /// The name that logs in.
    pub name: String,
    /// The name that people read and the journal keeps.
    pub display: String,
    /// What they may do.
    pub role: Role,
    /// The operator position that they sit at; alarms are counted per position.
    pub position: String,
}

impl Identity {
    /// True where the role allows it.
    #[must_use]
    pub fn may(&self, needed: Role) -> bool {
        self.role >= needed
    }

    /// Of an account; an unknown role, of a newer version, only looks.
    #[must_use]
    pub fn of(user: &fengsui_store::User) -> Self {
        Self {
            id: user.id,
            name: user.name.clone(),
            display: user.display.clone(),
            role: Role::from_word(&user.role).unwrap_or(Role::Viewer),
            position: user.position.clone(),
        }
    }
}
