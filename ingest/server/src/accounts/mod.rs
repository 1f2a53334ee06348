//! Who acts: every command needs a known person.

use serde::{Deserialize, Serialize};

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
    /// The local duty officer of a centre without accounts.
    #[must_use]
    pub fn local() -> Self {
        Self {
            id: 0,
            name: "duty".to_owned(),
            display: "值班员".to_owned(),
            role: Role::Operator,
            position: "值班台".to_owned(),
        }
    }

    /// True where the role allows it.
    #[must_use]
    pub fn may(&self, needed: Role) -> bool {
        self.role >= needed
    }
}
