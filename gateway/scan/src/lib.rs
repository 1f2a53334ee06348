//! Modbus reading at the plant, thought through without a socket: what to ask, when to ask it, and
//! what the answer means.
//!
//! - A thinker: no clock, socket, file or task. Time is an argument.
//! - Never a zero in place of an error: what cannot be trusted is `Bad` with its reason.
//! - [`Site`] is checked once, at the door; past it nothing is re-checked or optional.
//! - [`Master`] speaks RTU, [`Line`] shares one serial line among its devices.

mod condition;
mod decimal;
mod decode;
mod line;
mod pdu;
mod plan;
mod point_set;
mod profile;
mod register;
mod reporter;
mod rtu;
mod schedule;
mod shutoff;
mod site;

pub use condition::{
    BitField, Clause, Counter, CurrentLoop, Curve, Frozen, Heartbeat, OrderBy, Register, Report,
    Rules, Status, Table, TableFault, UnitCode, Verdict,
};
pub use decode::{Raw, Scaling, decode_bit, decode_words};
pub use line::{
    COMMAND_PATIENCE_US, COMMANDS_MAX, Command, CommandTally, Heard, Line, Tally, Turn, WorstCase,
    start_ms, worst_cases,
};
pub use pdu::{FrameFault, Payload, Question, ReadRequest, Reply, check, parse_reply, request_pdu};
pub use plan::{Block, Item, plan, split};
pub use point_set::PointSet;
pub use profile::{BUILTIN, Profile, ProfilePoint};
pub use register::{Encoding, Function, WordOrder};
pub use reporter::Reporter;
pub use rtu::{
    Asked, Done, Echo, Master, Move, OWED_US, Parity, Progress, RtuFault, SerialSettings, StopBits,
    Timing, crc16, progress, reply_bytes, request_frame,
};
pub use schedule::{
    Answer, Arrears, Class, Dated, Health, Offer, Outcome, Remembered, Scanner, SourceClock, Stamp,
    Step,
};
pub use shutoff::{
    Position, Seen, Shutoff, ShutoffFault, ShutoffMemory, ShutoffPoints, ShutoffSettings, Signals,
};
pub use site::{
    BusKind, BusSpec, Device, Direction, Form, Kind, LATE_S, Link, Mapping, PAUSE_MS_MAX, Problem,
    Required, Section, Site, SiteFault, Text, UsedProfile, Valve, is_hidden,
};
