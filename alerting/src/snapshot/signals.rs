//! What a snapshot keeps of a derived alarm: all of it, since a host may have no store.

use super::bytes::{Reader, Writer};
use super::{read_held, read_sample, write_held, write_sample};
use crate::held::Held;
use crate::plan::RestoreFault;
use crate::signal::{Gather, Signal};

pub(super) fn write(w: &mut Writer, signal: &Signal) {
    w.unsigned(u64::from(signal.mark_of_configuration()));
    w.signed(signal.judged_to);
    w.signed(signal.ticked);
    w.maybe(signal.pending);
    w.flag(signal.late);
    w.signed(signal.known_from);
    w.signed(signal.armed);
    w.signed(signal.gather_armed);
    w.flag(signal.gather.is_some());
    if let Some(gather) = &signal.gather {
        write_gather(w, gather);
    }
    w.count(signal.inputs.len());
    for input in &signal.inputs {
        write_held(w, &input.held);
    }
}

fn write_gather(w: &mut Writer, gather: &Gather) {
    w.signed(gather.earliest);
    w.signed(gather.from);
    w.signed(gather.to);
    w.signed(gather.asked_at);
    w.flag(gather.grown);
    w.count(gather.answers.len());
    for answer in &gather.answers {
        w.flag(answer.is_some());
        let answer = answer.as_deref().unwrap_or_default();
        w.count(answer.len());
        answer.iter().for_each(|sample| write_sample(w, *sample));
    }
}

fn read_gather(r: &mut Reader<'_>) -> Result<Gather, RestoreFault> {
    let (earliest, from, to) = (r.signed()?, r.signed()?, r.signed()?);
    let (asked_at, grown) = (r.signed()?, r.flag()?);
    let mut answers = Vec::new();
    for _ in 0..r.count()? {
        let there = r.flag()?;
        let mut answer = Vec::new();
        for _ in 0..r.count()? {
            answer.push(read_sample(r)?);
        }
        answers.push(there.then_some(answer));
    }
    Ok(Gather { earliest, from, to, asked_at, grown, answers })
}

/// What was read.
pub(super) struct Kept {
    mark: u64,
    judged_to: i64,
    ticked: i64,
    pending: Option<i64>,
    late: bool,
    known_from: i64,
    armed: i64,
    gather_armed: i64,
    gather: Option<Gather>,
    inputs: Vec<Held>,
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Kept, RestoreFault> {
    let mark = r.unsigned()?;
    let (judged_to, ticked, pending) = (r.signed()?, r.signed()?, r.maybe()?);
    let (late, known_from) = (r.flag()?, r.signed()?);
    let (armed, gather_armed) = (r.signed()?, r.signed()?);
    let gather = if r.flag()? { Some(read_gather(r)?) } else { None };
    let mut inputs = Vec::new();
    for _ in 0..r.count()? {
        inputs.push(read_held(r)?);
    }
    Ok(Kept {
        mark,
        judged_to,
        ticked,
        pending,
        late,
        known_from,
        armed,
        gather_armed,
        gather,
        inputs,
    })
}

impl Kept {
    /// Puts it where it belongs. Of another configuration of the same alarm only the judged times
    /// are kept: what lies before is not judged by the new one. True: the same configuration.
    pub(super) fn into_signal(self, signal: &mut Signal, latest: i64) -> bool {
        let same = self.mark == u64::from(signal.mark_of_configuration())
            && self.inputs.len() == signal.inputs.len();
        if !same {
            let now = latest.max(self.judged_to);
            (signal.judged_to, signal.ticked, signal.known_from) = (now, now, now);
            return false;
        }
        signal.judged_to = self.judged_to;
        signal.ticked = self.ticked;
        signal.pending = self.pending;
        signal.late = self.late;
        signal.known_from = self.known_from;
        for (input, held) in signal.inputs.iter_mut().zip(self.inputs) {
            input.held = held;
        }
        signal.gather = self.gather.map(Box::new);
        (signal.armed, signal.gather_armed) = (self.armed, self.gather_armed);
        true
    }
}
