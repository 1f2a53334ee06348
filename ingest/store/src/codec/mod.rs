//! Bytes of chunks and of journal rows.
//!
//! - Whatever goes in comes out bit for bit: −0.0, subnormals and 2⁵³ included.
//! - Every blob ends in a CRC-32C that also covers where the blob belongs, so a block that turns
//!   up in the wrong row is found.
//! - Bytes that do not check are a [`Damage`] with a reason: never a panic, never "empty".

mod bytes;
mod chunk;
mod decimal;
mod inputs;
mod intake;

pub use bytes::Damage;
pub(crate) use bytes::{Place, open, seal};
pub use chunk::{decode_chunk, encode_chunk};
pub(crate) use inputs::decode_inputs;
pub use inputs::{EngineInput, InputLog, Inputs};
pub(crate) use intake::{decode_group, encode_group};

use fengsui_telemetry::Reading;

/// The quality code of a reading. Nearly all are good: that one is answered here, inline.
#[inline]
fn code_of(reading: Reading) -> u8 {
    match reading {
        Reading::Good(_) => 0,
        Reading::Uncertain(..) | Reading::Bad(_) => reading.code(),
    }
}

/// The number of a reading.
#[inline]
fn number_of(reading: Reading) -> Option<f64> {
    match reading {
        Reading::Good(number) | Reading::Uncertain(number, _) => Some(number),
        Reading::Bad(_) => None,
    }
}

/// The reading of a code and a number.
#[inline]
fn reading_of(code: u8, number: Option<f64>) -> Reading {
    match number {
        Some(number) if code == 0 && number.is_finite() => Reading::Good(number),
        Some(_) | None => Reading::from_code(code, number),
    }
}
