//! Limits as revisions: proposed with a reason, approved by a second person, put in force, signed
//! and sent to their gateway, and written into the journal.
//!
//! - `config.db` leads. The file that the configuration names is revision 1 at the first start;
//!   a file that differs later is offered as a proposal, never applied on its own.
//! - What a change needs is decided in `rules`, without a database or a clock.
//! - A revision judges what comes from its moment on. Late data from before are judged by the
//!   limits of their time, which the engine keeps.

mod held;
mod key;
mod ledger;
#[cfg(test)]
mod lost_tests;
mod office;
mod rules;
mod seed;
mod shown;

pub(crate) use held::{agreed_before, held, judging};
pub use key::{KEY_FILE, SigningKey};
pub use ledger::diff_of;
pub use office::{CHANGES_MAX, Change, Draft, Office, OfficeFault, Parts, Proposed};
pub use rules::{
    CSV_MAX, EVIDENCE_MAX, Policy, Refusal, Reviewed, WORDS_MAX, check_law, check_words,
    may_approve, may_change, review, status_zh,
};
pub use seed::{FILE_AUTHOR, Orders, begin, order_of};
pub use shown::{diff_json, faults_json, put_file, revision_json};
