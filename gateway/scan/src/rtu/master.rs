//! The master of one RTU line: what to send, when to listen, what came of it.
//!
//! - Takes (event, now) in microseconds of one monotonic clock; the shell sends and reads.
//! - A line is asked only after 3.5 characters of silence. Every answer is held for as long before
//!   it is believed: bytes behind it make it wrong.
//! - After a fault the line is in quarantine: it is read and thrown away until it is silent for
//!   3.5 characters and 50 ms, and until the owed answer has come or can hardly come any more. If
//!   it comes all the same, [`super::memory`] has made its length another than the awaited one: a
//!   slow slave's whole late answer is taken off. An order that is repeated late settles nothing.
//! - A slave that needs a pause is asked after that much silence, and that long after the opening.
//! - A line that does not become quiet within the question's patience is not asked: the question
//!   ends as [`RtuFault::Noise`], and the quarantine is there for the next one.
//! - Silence inside a frame ends it only after 50 ms: drivers hand bytes over in pieces.

mod late;

use std::collections::BTreeMap;

use super::frame::{Progress, REQUEST_BYTES, RtuFault, progress, request_frame};
use super::memory::Memory;
use super::timing::Timing;
use crate::pdu::{Question, Reply};
use crate::schedule::Outcome;

/// Silence that ends a quarantine and a frame that stopped. USB adapters deliver every 16 ms by
/// default (FTDI AN232B-04), and a busy machine may add as much.
const SILENCE_US: u64 = 50_000;
/// How long a late answer is waited for, in patiences after the request.
const LATE_FACTOR: u64 = 2;
/// Bytes kept of what nobody asked for: two of the longest frames.
const STRAY_MAX: usize = 512;
/// Requests that one question may need: itself, some of another length, itself again.
const LEGS_MAX: u32 = 6;

/// Whether the adapter gives back what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// It does not; own bytes coming back are a fault.
    None,
    /// It does; own bytes are expected and taken off.
    Own,
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Of whom.
    pub unit: u8,
    /// What.
    pub request: Question,
    /// How long the slave may take before it answers. The time on the wire comes on top.
    pub patience_us: u64,
    /// How long the line must have been silent before, if longer than the rules say.
    pub pause_us: u64,
}

/// What the shell does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Throw away what is in the port's buffer ([`Master::heard`] if there was anything: then this
    /// is void); else send this and say [`Master::sent`].
    Send([u8; REQUEST_BYTES]),
    /// Read until then; [`Master::heard`] what comes.
    Listen(u64),
    /// The question is answered, or will not be.
    Done(Done),
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// For the scanner.
    pub outcome: Outcome,
    /// Why an outcome is a bad frame.
    pub fault: Option<RtuFault>,
    /// From the request's first byte to the answer's last.
    pub rtt_us: u64,
    /// What the answer took beyond its time on the wire; none without a right answer.
    pub turnaround_us: Option<u64>,
    /// Bursts that nobody asked for, since the question before.
    pub orphans: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The question itself.
    Answer,
    /// A request of another length: its answer settles what is owed.
    Sync,
}

#[derive(Clone, Debug)]
struct Job {
    asked: Asked,
    purpose: Purpose,
    /// What is on the wire for it.
    request: Question,
    legs: u32,
    confirmed: bool,
    /// Until when the line must have become quiet for the next request of it.
    quiet_by: u64,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Nothing is awaited.
    Quiet,
    /// Something is owed or came unasked.
    Quarantine { late_until: u64, unit: Option<u8>, stray: Vec<u8> },
    /// An answer is awaited.
    Awaiting(Flight),
    /// The answer is here; silence must follow.
    Settling { flight: Flight, reply: Reply },
}

#[derive(Clone, Debug)]
struct Flight {
    began: u64,
    sent: u64,
    deadline: u64,
    bytes: Vec<u8>,
}

/// The master of one line.
#[derive(Clone, Debug)]
pub struct Master {
    timing: Timing,
    echo: Echo,
    units: BTreeMap<u8, Memory>,
    /// Somebody else asked on this line before.
    strange: bool,
    phase: Phase,
    job: Option<Job>,
    ended: Option<Done>,
    /// When a byte was last on the line.
    last: u64,
    /// When the port or connection was opened.
    opened: u64,
    orphans: u32,
}

impl Master {
    /// A line of which nothing is known: somebody may be speaking, so it is in quarantine.
    #[must_use]
    pub fn new(timing: Timing, echo: Echo, now: u64) -> Self {
        Self {
            timing,
            echo,
            units: BTreeMap::new(),
            strange: false,
            phase: Phase::Quarantine { late_until: now, unit: None, stray: Vec::new() },
            job: None,
            ended: None,
            last: now,
            opened: now,
            orphans: 0,
        }
    }

    /// A line that another program may just have used: it is left alone for so long, and no slave
    /// is believed before it has answered something that nobody can have asked it.
    #[must_use]
    pub fn strange(mut self, patience_us: u64) -> Self {
        self.strange = true;
        let late_until = self.last + LATE_FACTOR * patience_us;
        self.phase = Phase::Quarantine { late_until, unit: None, stray: Vec::new() };
        self
    }

    /// The same line under another configuration: its slaves owe what they owed.
    #[must_use]
    pub fn succeeding(mut self, before: Self) -> Self {
        self.units = before.units;
        self.strange = before.strange;
        if let Phase::Quarantine { .. } = before.phase {
            self.phase = before.phase;
        }
        self
    }

    /// The times of the line.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Takes a question. Only one at a time.
    pub fn ask(&mut self, asked: Asked, now: u64) {
        assert!(self.job.is_none(), "two questions on one line would mix their answers");
        let quiet_by = self.quiet_by(asked.patience_us, now) + asked.pause_us;
        let strange = self.strange;
        let stranger = || if strange { Memory::unsure(now) } else { Memory::default() };
        let memory = self.units.entry(asked.unit).or_insert_with(stranger);
        memory.expire(now);
        memory.heed(asked.request);
        let mut job = Job {
            asked,
            purpose: Purpose::Answer,
            request: asked.request,
            legs: 0,
            confirmed: false,
            quiet_by,
        };
        if memory.may_owe_shape_of(asked.request) {
            job.purpose = Purpose::Sync;
            job.request = memory.other_shape(asked.request);
        }
        self.job = Some(job);
    }

    /// What to do now. Called again after every event.
    pub fn step(&mut self, now: u64) -> Move {
        match &self.phase {
            Phase::Awaiting(flight) => {
                let until = match self.got(flight) {
                    0 => flight.deadline,
                    _ => flight.deadline.min(self.last + self.silence_us()),
                };
                if now < until {
                    return Move::Listen(until);
                }
                self.give_up(now);
            }
            Phase::Settling { .. } => {
                let until = self.last + self.timing.t35_us();
                if now < until {
                    return Move::Listen(until);
                }
                self.believe(now);
            }
            Phase::Quiet | Phase::Quarantine { .. } => {}
        }
        if let Some(done) = self.ended.take() {
            return Move::Done(done);
        }
        let free_at = self.free_at(now);
        let silent_since = self.last.max(self.opened);
        let job = self.job.as_mut().expect("step is called for a question");
        let rested_at = Some(silent_since + job.asked.pause_us).filter(|at| now < *at);
        let Some(free_at) = free_at.max(rested_at) else {
            let memory = self.units.entry(job.asked.unit).or_default();
            if !job.confirmed && !memory.may_owe_shape_of(job.asked.request) {
                // What was owed came while the line was left alone.
                (job.purpose, job.request) = (Purpose::Answer, job.asked.request);
            }
            return Move::Send(request_frame(job.asked.unit, job.request));
        };
        if now < job.quiet_by {
            return Move::Listen(free_at.min(job.quiet_by));
        }
        // It is not sent: nothing is owed for it, and what is owed stays so.
        self.job = None;
        Move::Done(self.done(Outcome::BadFrame, Some(RtuFault::Noise), 0, None))
    }

    /// The port or connection is open: who needs a pause needs it now, too.
    pub fn opened(&mut self, now: u64) {
        self.opened = now;
        let silence_us = self.silence_us();
        if let Some(job) = &mut self.job {
            job.quiet_by = job.quiet_by.max(now + silence_us + job.asked.pause_us);
        }
    }

    /// A request is on the wire: its answer must be waited for.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        match &self.phase {
            Phase::Awaiting(_) | Phase::Settling { .. } => true,
            Phase::Quiet | Phase::Quarantine { .. } => false,
        }
    }

    /// The question is not asked any more. Nothing of it may be on the wire.
    pub fn withdraw(&mut self) {
        assert!(!self.is_asking(), "nobody would know that an answer is owed");
        self.job = None;
    }

    /// Until when a line that nobody disturbs is quiet, and as long as the slave may take: who
    /// speaks still then speaks unasked.
    fn quiet_by(&self, patience_us: u64, now: u64) -> u64 {
        let owed_until = match &self.phase {
            Phase::Quarantine { late_until, .. } => *late_until,
            Phase::Quiet | Phase::Awaiting(_) | Phase::Settling { .. } => now,
        };
        owed_until.max(now) + self.silence_us() + patience_us
    }

    /// Until when the line must still be left alone and read; none when it is free.
    pub fn free_at(&mut self, now: u64) -> Option<u64> {
        let until = match &self.phase {
            Phase::Quiet => self.last + self.timing.t35_us(),
            Phase::Quarantine { late_until, .. } => {
                (self.last + self.silence_us()).max(*late_until)
            }
            Phase::Awaiting(flight) => flight.deadline,
            Phase::Settling { .. } => self.last + self.timing.t35_us(),
        };
        if now < until {
            return Some(until);
        }
        self.phase = Phase::Quiet;
        None
    }

    fn silence_us(&self) -> u64 {
        self.timing.t35_us().max(SILENCE_US)
    }

    /// The request of [`Move::Send`] was handed to the port at `now`.
    pub fn sent(&mut self, now: u64) {
        let Some(job) = &mut self.job else { return };
        job.legs += 1;
        let sent = now + self.timing.request_us();
        let reply_us = self.timing.reply_us(job.request);
        let deadline = sent + self.timing.t35_us() + job.asked.patience_us + reply_us;
        self.last = sent;
        self.phase = Phase::Awaiting(Flight { began: now, sent, deadline, bytes: Vec::new() });
    }

    /// Bytes came.
    pub fn heard(&mut self, bytes: &[u8], now: u64) {
        if bytes.is_empty() {
            return;
        }
        let gap = now.saturating_sub(self.last);
        self.last = now;
        match &mut self.phase {
            Phase::Quiet => {
                self.orphans += 1;
                self.phase = Phase::Quarantine { late_until: now, unit: None, stray: Vec::new() };
            }
            Phase::Quarantine { late_until, unit, stray } => {
                if stray.is_empty() || gap > self.timing.t35_us().max(SILENCE_US / 2) {
                    self.orphans += 1;
                    stray.clear();
                }
                let room = STRAY_MAX.saturating_sub(stray.len());
                stray.extend(bytes.iter().take(room));
                let memory = unit.and_then(|unit| Some((unit, self.units.get_mut(&unit)?)));
                if let Some((unit, memory)) = memory {
                    let whole =
                        |ask: &Question| matches!(progress(unit, *ask, stray), Progress::Whole(_));
                    // An answer to another question that came twice settles nothing.
                    let late = memory
                        .owed()
                        .find(whole)
                        .filter(|request| !memory.is_suspicious(*request, stray));
                    if let Some(request) = late {
                        memory.see(request, stray);
                        memory.came_late(request);
                        *late_until = now;
                        stray.clear();
                    }
                }
            }
            Phase::Awaiting(flight) => {
                flight.bytes.extend(bytes);
                self.judge(now);
            }
            Phase::Settling { flight, .. } => {
                let flight = flight.clone();
                self.fail(&flight, Some(RtuFault::Long), now);
            }
        }
    }

    /// The port or connection is gone.
    pub fn lost(&mut self, outcome: Outcome, now: u64) {
        if let Some(job) = self.job.take() {
            if let Phase::Awaiting(flight) | Phase::Settling { flight, .. } = &self.phase {
                let memory = self.units.entry(job.asked.unit).or_default();
                memory.owe(job.request, flight.began);
            }
            self.end(outcome, None, 0, None);
        }
        self.last = now;
        self.phase = Phase::Quarantine { late_until: now, unit: None, stray: Vec::new() };
    }

    fn judge(&mut self, now: u64) {
        let (Phase::Awaiting(flight), Some(job)) = (&self.phase, &self.job) else { return };
        let mut bytes = flight.bytes.as_slice();
        if self.echo == Echo::Own {
            let own = request_frame(job.asked.unit, job.request);
            let head = bytes.len().min(own.len());
            if bytes.get(..head) != own.get(..head) {
                let flight = flight.clone();
                return self.fail(&flight, Some(RtuFault::Collision), now);
            }
            bytes = bytes.get(head..).unwrap_or_default();
        }
        match progress(job.asked.unit, job.request, bytes) {
            Progress::More => {}
            Progress::Whole(reply) => {
                let mut flight = flight.clone();
                flight.bytes = bytes.to_vec();
                self.phase = Phase::Settling { flight, reply };
            }
            Progress::Wrong(fault) => {
                let (flight, bytes) = (flight.clone(), bytes.to_vec());
                self.wrong(&flight, &bytes, fault, now);
            }
        }
    }

    /// Bytes of the answer so far, without the echo.
    fn got(&self, flight: &Flight) -> usize {
        match self.echo {
            Echo::None => flight.bytes.len(),
            Echo::Own => flight.bytes.len().saturating_sub(REQUEST_BYTES),
        }
    }

    fn give_up(&mut self, now: u64) {
        let Phase::Awaiting(flight) = &self.phase else { return };
        let (flight, got) = (flight.clone(), self.got(flight));
        self.fail(&flight, (got > 0).then_some(RtuFault::Short { got }), now);
    }

    /// No right answer: the question ends, its answer is owed, the line is in quarantine.
    fn fail(&mut self, flight: &Flight, fault: Option<RtuFault>, now: u64) {
        let Some(job) = self.job.take() else { return };
        let memory = self.units.entry(job.asked.unit).or_default();
        memory.owe(job.request, flight.began);
        let reply_us = self.timing.reply_us(job.request);
        let late = flight.sent + LATE_FACTOR * job.asked.patience_us + reply_us;
        // A damaged answer of full length has come: nothing more is awaited.
        let late_until = if fault == Some(RtuFault::Crc) { now } else { late };
        self.phase =
            Phase::Quarantine { late_until, unit: Some(job.asked.unit), stray: Vec::new() };
        let outcome = if fault.is_some() { Outcome::BadFrame } else { Outcome::Timeout };
        self.end(outcome, fault, now.saturating_sub(flight.began), None);
    }

    /// Silence followed the answer.
    fn believe(&mut self, now: u64) {
        let Phase::Settling { flight, reply } = std::mem::replace(&mut self.phase, Phase::Quiet)
        else {
            return;
        };
        let quiet_us = self.silence_us();
        let Some(job) = &mut self.job else { return };
        let memory = self.units.entry(job.asked.unit).or_default();
        let data = matches!(reply, Reply::Data(_));
        // A request of another length may be answered by an answer that came twice, too.
        let suspicious = data
            && (job.purpose == Purpose::Sync || !job.confirmed)
            && memory.is_suspicious(job.request, &flight.bytes);
        match data {
            true if suspicious && job.purpose == Purpose::Sync => {}
            true => memory.settle(job.request),
            false => memory.refused(job.request, flight.began),
        }
        if data && (!suspicious || job.purpose == Purpose::Sync) {
            memory.see(job.request, &flight.bytes);
        }
        let again = match job.purpose {
            Purpose::Sync if suspicious => Some(Purpose::Sync),
            Purpose::Sync if memory.may_owe_shape_of(job.asked.request) => Some(Purpose::Sync),
            Purpose::Sync => Some(Purpose::Answer),
            Purpose::Answer if suspicious => {
                job.confirmed = true;
                Some(Purpose::Sync)
            }
            Purpose::Answer => None,
        };
        match again {
            Some(_) if job.legs >= LEGS_MAX => self.fail(&flight, Some(RtuFault::Doubtful), now),
            Some(purpose) => {
                job.quiet_by = now + quiet_us + job.asked.patience_us + job.asked.pause_us;
                job.purpose = purpose;
                job.request = match purpose {
                    Purpose::Sync => memory.other_shape(job.asked.request),
                    Purpose::Answer => job.asked.request,
                };
            }
            None => {
                let reply_us = self.timing.reply_us(job.request);
                let turnaround = self.last.saturating_sub(reply_us).saturating_sub(flight.sent);
                let outcome = match reply {
                    Reply::Data(payload) => Outcome::Data(payload),
                    Reply::Exception(code) => Outcome::Exception(code),
                };
                let rtt = self.last.saturating_sub(flight.began);
                self.job = None;
                self.end(outcome, None, rtt, Some(turnaround));
            }
        }
    }

    fn end(
        &mut self,
        outcome: Outcome,
        fault: Option<RtuFault>,
        rtt_us: u64,
        turnaround_us: Option<u64>,
    ) {
        self.ended = Some(self.done(outcome, fault, rtt_us, turnaround_us));
    }

    fn done(
        &mut self,
        outcome: Outcome,
        fault: Option<RtuFault>,
        rtt_us: u64,
        turnaround_us: Option<u64>,
    ) -> Done {
        let orphans = std::mem::take(&mut self.orphans);
        Done { outcome, fault, rtt_us, turnaround_us, orphans }
    }
}

#[cfg(test)]
mod tests;
