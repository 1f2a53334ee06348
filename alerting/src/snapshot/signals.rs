//! What a snapshot keeps of a derived alarm: all its samples, since a host may have no store.

use super::bytes::{Reader, Writer};
use super::{read_held, write_held};
use crate::held::Held;
use crate::plan::RestoreFault;
use crate::signal::{Gather, SAMPLES_MAX, Signal};

pub(super) fn write(w: &mut Writer, signal: &Signal) {
    w.unsigned(u64::from(signal.mark_of_configuration()));
    w.signed(signal.judged_to);
    w.signed(signal.ticked);
    w.maybe(signal.pending);
    w.flag(signal.late);
    w.signed(signal.known_from);
    w.maybe(signal.gather.as_ref().map(|gather| gather.earliest));
    w.maybe(signal.gather.as_ref().map(|gather| gather.to));
    w.count(signal.inputs.len());
    for input in &signal.inputs {
        write_held(w, &input.held, SAMPLES_MAX);
    }
}

/// What was read.
pub(super) struct Kept {
    mark: u64,
    judged_to: i64,
    ticked: i64,
    pending: Option<i64>,
    late: bool,
    known_from: i64,
    gather: Option<(i64, i64)>,
    inputs: Vec<Held>,
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Kept, RestoreFault> {
    let mark = r.unsigned()?;
    let (judged_to, ticked, pending) = (r.signed()?, r.signed()?, r.maybe()?);
    let (late, known_from, gather) = (r.flag()?, r.signed()?, r.maybe()?);
    let gather = gather.zip(r.maybe()?);
    let count = r.count()?;
    let mut inputs = Vec::new();
    for _ in 0..count {
        inputs.push(read_held(r)?);
    }
    Ok(Kept { mark, judged_to, ticked, pending, late, known_from, gather, inputs })
}

impl Kept {
    /// Puts it where it belongs. Of another configuration of the same alarm only the judged times
    /// are kept: what lies before is not judged by the new one.
    pub(super) fn into_signal(self, signal: &mut Signal, latest: i64) {
        let same = self.mark == u64::from(signal.mark_of_configuration())
            && self.inputs.len() == signal.inputs.len();
        if !same {
            let now = latest.max(self.judged_to);
            (signal.judged_to, signal.ticked, signal.known_from) = (now, now, now);
            return;
        }
        signal.judged_to = self.judged_to;
        signal.ticked = self.ticked;
        signal.pending = self.pending;
        signal.late = self.late;
        signal.known_from = self.known_from;
        for (input, held) in signal.inputs.iter_mut().zip(self.inputs) {
            input.held = held;
        }
        signal.gather = self.gather.map(|(earliest, to)| Box::new(Gather::of(earliest, to)));
    }
}
