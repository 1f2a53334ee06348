//! What screens say of the next step: who, how, when.

use fengsui_telemetry::TimeMs;

use super::decide::Resolved;
use super::entry::{Kind, Reason};
use super::ladder::{Ladder, Next};
use super::machine::Machine;

/// The next contact, as the roster stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// When.
    pub at: TimeMs,
    /// Whom.
    pub person: String,
    /// As which of the ladder.
    pub slot: &'static str,
    /// How.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
    /// Over what.
    pub channels: Vec<String>,
}

impl Machine {
    /// The next contact of a ladder; none where nothing is due or nobody can be called.
    #[must_use]
    pub fn preview(&self, ladder: &Ladder) -> Option<Preview> {
        let policy = self.policy(ladder)?;
        let Next::At(due, step) = ladder.next(policy) else { return None };
        let Next::At(at, _) = self.next(ladder)? else { return None };
        // The second look is for the rest between the end of the ladder and its top.
        for at in [at, at.max(due + policy.rest_ms)] {
            match self.resolve(ladder, policy, step, due, at) {
                Resolved::Call(call) => {
                    return Some(Preview {
                        at,
                        person: call.person,
                        slot: call.slot,
                        kind: call.kind,
                        reason: call.reason,
                        channels: call.channels,
                    });
                }
                Resolved::Later(_) => {}
                Resolved::Nobody => return None,
            }
        }
        None
    }
}
