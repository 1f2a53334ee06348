//! What can be wrong with a rule pack, in the words of its file.

use thiserror::Error;

/// What is wrong, and the mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PackTrouble {
    /// No TOML, or not of the shape of a pack.
    #[error("{0}")]
    Toml(String),
    /// A number that nobody can trace.
    #[error(
        "holds a number without `source`: 数字没有出处; name the document and clause beside it"
    )]
    NoSource,
    /// A number of which nobody knows how sure it is.
    #[error("holds a number without `confidence`: 数字没有可信度; use S/H, S2/M, C/H, M/L or I")]
    NoConfidence,
    /// A tag that is none.
    #[error("{0:?} is no confidence; use S, S2, C, M with /H, /M or /L, or I")]
    Confidence(String),
    /// A word that is none.
    #[error("{word:?} is none of: {known}")]
    Word {
        /// What stands there.
        word: String,
        /// What may stand there.
        known: String,
    },
    /// A value that is neither a number nor `"ask"`.
    #[error("{0:?} is neither a number nor \"ask\"")]
    Value(String),
    /// A number that was asked for and given.
    #[error("is \"ask\": leave `confidence` out and write in `source` why the number is missing")]
    AskedAndSure,
    /// Memory and proposals bind nobody.
    #[error("{0} cannot be required: only what was read (S, S2) may be; use must = \"suggested\"")]
    NotBinding(String),
    /// A range that is none.
    #[error("upto must be above value")]
    Range,
    /// Something empty.
    #[error("must not be empty")]
    Empty,
    /// Twice.
    #[error("{0:?} stands twice; ids must be unique")]
    Twice(String),
    /// A rule that is compared with a limit needs a signal.
    #[error("needs `signal` and `unit`: it is compared with limits of points")]
    NoSignal,
    /// A step that does not rise.
    #[error("a step must lead from a colour to a higher one, from one or more")]
    Step,
}

/// One fault of a rule pack.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}, {place}: {trouble}")]
pub struct PackFault {
    /// The file.
    pub file: String,
    /// `rule combustible-1`, `pack.note`.
    pub place: String,
    /// What is wrong.
    pub trouble: PackTrouble,
}
