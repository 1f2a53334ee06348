//! What can be wrong with a file of limits, in the words of that file.

use std::fmt;

use thiserror::Error;

/// What is wrong, and the mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LimitTrouble {
    /// The bytes are no CSV.
    #[error("is not readable as CSV ({0}); save the sheet as CSV, UTF-8")]
    Csv(String),
    /// No heading row with the keys.
    #[error("has no heading row with the keys tag, kind, limit; keep the second heading row")]
    NoHeading,
    /// A column that nothing reads.
    #[error("is no column of limits; remove it or mend its name")]
    UnknownColumn,
    /// A column twice.
    #[error("comes twice; remove one of the two columns")]
    ColumnTwice,
    /// A column that must be there.
    #[error("column is missing; add it")]
    MissingColumn,
    /// A cell that must be filled.
    #[error("is empty; give {0}")]
    Empty(&'static str),
    /// A number that is none.
    #[error("is no finite number; write it like 85 or 0.5")]
    NotANumber,
    /// A number below zero.
    #[error("must not be negative")]
    Negative,
    /// A time that is not above zero.
    #[error("must be above 0")]
    NotPositive,
    /// A time that nobody means.
    #[error("is longer than {0} s; give a shorter one")]
    TooLong(i64),
    /// A kind that is none.
    #[error(
        "is no kind of limit; use HH, H, L, LL, STALE, ROC_UP, ROC_DOWN, DEVIATION, DISCRETE, FROZEN, \
             BADQ, RANGE, VOTE, TTL, COMPOSITE or, without a tag, OFFLINE, CLOCK"
    )]
    UnknownKind,
    /// A priority that is none.
    #[error("is no priority; use P1, P2, P3 or P4")]
    UnknownPriority,
    /// Neither yes nor no.
    #[error("is neither true nor false")]
    NotYesOrNo,
    /// A value where the kind has none.
    #[error("has no meaning for {0}; leave it empty")]
    NoMeaning(&'static str),
    /// A tag that cannot be one.
    #[error("{0}")]
    Tag(String),
    /// OFFLINE with a tag, or a point's limit without one.
    #[error("OFFLINE and CLOCK are about the gateway: leave their tag empty")]
    TagOnOffline,
    /// A detail that cannot be read.
    #[error("cannot be read at {0:?}; write name=value;name=value, each name once")]
    DetailForm(String),
    /// A detail that the kind does not have.
    #[error("has {0:?}, which {1} does not know; remove it")]
    DetailUnknown(String, &'static str),
    /// A detail that must be there.
    #[error("lacks {0}=…; add it")]
    DetailMissing(&'static str),
    /// A detail whose value makes no sense.
    #[error(
        "has {0}={1:?}; write window=60s, within=25m, samples=20, of=TAG, values=1|2, \
             vote=2oo3:A,B,C, side=high or low, statutory, ack=true or false"
    )]
    DetailValue(String, String),
    /// An expression that is none.
    #[error("the expression {0}")]
    Expression(String),
    /// An alarm that is not there.
    #[error("is no alarm of this gateway; write TAG/KIND as in TK-101.LT/HH, and give that limit")]
    UnknownAlarm,
    /// Rows that look at themselves by way of others.
    #[error("looks at itself: {0}; break the circle")]
    Circle(String),
    /// More samples than are kept.
    #[error("holds more than {0} samples at this point's period; shorten the window")]
    WindowTooLong(usize),
    /// The same limit twice.
    #[error("was given already in row {0}; remove one of the two")]
    Duplicate(u64),
    /// The levels cross.
    #[error("lies on the wrong side of {other} {value} (row {row}); LL <= L < H <= HH must hold")]
    Crossed {
        /// The other kind.
        other: &'static str,
        /// Its limit.
        value: String,
        /// Its row.
        row: u64,
    },
    /// A delay outlives the supervision of the point.
    #[error(
        "is longer than STALE {0} s of this point: the value would be stale before the delay \
             ends; shorten the delay or lengthen STALE"
    )]
    DelayBeyondStale(String),
    /// A tag that the catalogue does not have.
    #[error("is not in the list of points; mend the tag or add the point")]
    UnknownTag,
    /// Beyond the instrument.
    #[error("lies outside the range {low}..{high} of the instrument; mend the limit or the range")]
    BeyondRange {
        /// Lower end.
        low: String,
        /// Upper end.
        high: String,
    },
    /// Wider than the instrument.
    #[error("is not smaller than the span {0} of the instrument: it could never clear; make it smaller")]
    WiderThanSpan(String),
    /// Would clear only beyond the range of the instrument.
    #[error(
        "puts the return to normal at {clear}, outside the range {low}..{high} of the \
             instrument: it could never clear; make it smaller"
    )]
    NeverClears {
        /// Where it would clear.
        clear: String,
        /// Lower end.
        low: String,
        /// Upper end.
        high: String,
    },
}

/// One fault of a file of limits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct LimitFault {
    /// The file, as the caller named it.
    pub file: String,
    /// Line in the file, from 1.
    pub row: u64,
    /// Key of the column.
    pub column: String,
    /// What stands there.
    pub value: String,
    /// What is wrong with it, and the mend.
    pub trouble: LimitTrouble,
}

impl fmt::Display for LimitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, row, column, value, trouble } = self;
        write!(f, "{file}, row {row}, {column} {value:?}: {trouble}")
    }
}
