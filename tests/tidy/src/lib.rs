//! Style rules that a machine can check: what stands in the style guide, made able to fail.
//!
//! - A rule is a function from a file to its breaches; it reads nothing else, so each is tried on
//!   a bad snippet beside it.
//! - A breach names file, line, what is wrong and the mend. Every breach is listed, not the first.
//! - `tests/workspace.rs` runs the rules over the tree.
//!
//! Left out, since clippy has them: functions of more than 70 lines, `_ =>` over enums, printing,
//! clocks in tests.

pub mod arrows;
pub mod lexer;
pub mod purity;
pub mod shape;
pub mod source;
pub mod tree;
pub mod words;

use std::fmt;

/// One place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// Path from the root of the workspace.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub mend: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.mend)
    }
}
