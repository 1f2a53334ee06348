//! The hash chain: canonical bytes of a row, and reading the whole chain again.
//!
//! - `hash = SHA-256("fengsui.journal.1" · prev · seq · fields)`, every field with its length or
//!   a presence byte before it, so no two rows share bytes.
//! - One altered row is one fault: the chain goes on from the hash that the row carries.

use ring::digest::{Context, SHA256};
use thiserror::Error;

use super::head::{Head, Remembered};
use super::{JournalRow, RowKind, StoredRow, sql};
use crate::sqlite::Readers;

/// Faults listed at most: past it the file is not in question any more, only the count.
const FAULTS_MAX: usize = 1_000;
/// Rows of one read transaction.
const PAGE: usize = 1_000;
/// The cause of the row that records a cut.
pub(super) const BREAK_CAUSE: &str = "chain_break";

/// A chain without fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Rows read.
    pub rows: u64,
    /// The newest of them.
    pub head: Head,
}

/// What is wrong with the chain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainFault {
    /// A row's content is not what was hashed.
    #[error("row {seq} was altered: its content does not match its hash")]
    Altered {
        /// Which row.
        seq: u64,
    },
    /// A row does not follow the one before.
    #[error(
        "row {seq} does not follow row {after}: something between them was removed or replaced"
    )]
    Broken {
        /// Which row.
        seq: u64,
        /// The row before it in the file.
        after: u64,
    },
    /// The end is missing.
    #[error(
        "rows up to {remembered} are remembered, the journal ends at {found}: its end was cut away"
    )]
    Cut {
        /// The remembered seq.
        remembered: u64,
        /// The newest seq in the file.
        found: u64,
    },
    /// The row that is remembered has another hash.
    #[error(
        "row {seq} is not the one that is remembered: the journal was rewritten from there or before"
    )]
    Replaced {
        /// Which row.
        seq: u64,
    },
    /// An earlier start found the end missing and wrote this row.
    #[error("row {seq} records that the journal's end had been cut away: {detail}")]
    CutBefore {
        /// The row that says so.
        seq: u64,
        /// What was remembered then.
        detail: String,
    },
    /// Nothing remembers the head.
    #[error(
        "alarms.head is missing or unreadable while the journal has {rows} rows: a cut end could not be seen"
    )]
    HeadLost {
        /// Rows in the journal.
        rows: u64,
    },
    /// The file cannot be read to its end.
    #[error("the journal cannot be read after row {after}: {why}")]
    Unreadable {
        /// The last row read.
        after: u64,
        /// What SQLite said.
        why: String,
    },
}

/// The hash of a row.
pub(super) fn hash(prev: &[u8; 32], seq: u64, row: &JournalRow) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"fengsui.journal.1");
    context.update(prev);
    context.update(&seq.to_le_bytes());
    let text = |context: &mut Context, text: &str| {
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text.as_bytes());
    };
    let maybe = |context: &mut Context, bytes: Option<&[u8]>| match bytes {
        Some(bytes) => {
            context.update(&[1]);
            context.update(&(bytes.len() as u64).to_le_bytes());
            context.update(bytes);
        }
        None => context.update(&[0]),
    };
    text(&mut context, &row.id);
    text(&mut context, row.kind.word());
    text(&mut context, &row.alarm);
    context.update(&row.ti.0.to_le_bytes());
    maybe(&mut context, row.te.map(|te| te.0.to_le_bytes()).as_ref().map(|b| &b[..]));
    context.update(&u32::from(row.from).to_le_bytes());
    context.update(&u32::from(row.to).to_le_bytes());
    context.update(&row.occurrence.to_le_bytes());
    maybe(&mut context, row.te_on.map(|te| te.0.to_le_bytes()).as_ref().map(|b| &b[..]));
    maybe(&mut context, row.te_off.map(|te| te.0.to_le_bytes()).as_ref().map(|b| &b[..]));
    text(&mut context, &row.cause);
    text(&mut context, &row.flags);
    maybe(&mut context, row.value.map(f64::to_le_bytes).as_ref().map(|b| &b[..]));
    maybe(&mut context, row.by.as_deref().map(str::as_bytes));
    text(&mut context, &row.comment);
    text(&mut context, &row.request);
    maybe(&mut context, row.command.as_deref().map(str::as_bytes));
    context.update(&row.revision.to_le_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Reads everything and compares.
pub(super) fn verify(
    readers: &Readers,
    remembered: Remembered,
) -> Result<Verified, Vec<ChainFault>> {
    let mut walk = Walk { head: Head::default(), rows: 0, faults: Vec::new(), at_head: None };
    let wanted = match remembered {
        Remembered::Head(head) => Some(head),
        Remembered::Nothing | Remembered::Unreadable => None,
    };
    loop {
        let after = walk.head.seq;
        match readers.read("verify the journal", |conn| sql::page_to_verify(conn, after, PAGE)) {
            Ok(page) if page.is_empty() => break,
            Ok(page) => page.iter().for_each(|row| walk.step(row, wanted)),
            Err(why) => {
                walk.note(ChainFault::Unreadable { after, why: why.to_string() });
                break;
            }
        }
    }
    walk.compare(remembered);
    if walk.faults.is_empty() {
        Ok(Verified { rows: walk.rows, head: walk.head })
    } else {
        Err(walk.faults)
    }
}

struct Walk {
    head: Head,
    rows: u64,
    faults: Vec<ChainFault>,
    /// The hash found at the remembered seq.
    at_head: Option<[u8; 32]>,
}

impl Walk {
    fn note(&mut self, fault: ChainFault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    fn step(&mut self, stored: &StoredRow, wanted: Option<Head>) {
        let StoredRow { seq, row, prev, hash: carried } = stored;
        if *seq != self.head.seq + 1 || *prev != self.head.hash {
            self.note(ChainFault::Broken { seq: *seq, after: self.head.seq });
        }
        if hash(prev, *seq, row) != *carried {
            self.note(ChainFault::Altered { seq: *seq });
        }
        if row.kind == RowKind::System && row.cause == BREAK_CAUSE {
            self.note(ChainFault::CutBefore { seq: *seq, detail: row.comment.clone() });
        }
        if wanted.is_some_and(|head| head.seq == *seq) {
            self.at_head = Some(*carried);
        }
        self.head = Head { seq: *seq, hash: *carried };
        self.rows += 1;
    }

    fn compare(&mut self, remembered: Remembered) {
        match remembered {
            Remembered::Head(head) if head.seq > self.head.seq => {
                self.note(ChainFault::Cut { remembered: head.seq, found: self.head.seq });
            }
            Remembered::Head(head) if head.seq > 0 && self.at_head != Some(head.hash) => {
                self.note(ChainFault::Replaced { seq: head.seq });
            }
            Remembered::Head(_) => {}
            Remembered::Nothing | Remembered::Unreadable if self.rows > 0 => {
                self.note(ChainFault::HeadLost { rows: self.rows });
            }
            Remembered::Nothing | Remembered::Unreadable => {}
        }
    }
}
