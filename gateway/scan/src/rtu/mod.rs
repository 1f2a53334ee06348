//! Modbus RTU, thought through without a port: frames, times, and a master that never takes a late
//! reply for another.
//!
//! An RTU reply names neither its request nor its registers. So nothing but the exact answer is
//! taken, the line is left alone after every fault until it is silent, and no request goes out
//! whose answer could be mistaken for one that is still owed.

mod crc;
mod frame;
mod master;
mod memory;
mod timing;

pub use memory::OWED_US;

pub use crc::crc16;
pub use frame::{Progress, RtuFault, progress, reply_bytes, request_frame};
pub use master::{Asked, Done, Echo, Master, Move};
pub use timing::{Parity, SerialSettings, StopBits, Timing};
