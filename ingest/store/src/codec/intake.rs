//! A journal row: the intakes of one group commit.
//!
//! ```text
//! version 1 · first seq · count · intakes · CRC-32C over all and the row's seq
//! sample: control byte · [point step] · [time step] · [quality] · [mantissa or 8 bytes]
//! ```
//!
//! - Three to four bytes a sample without a compressor: a scan is many points of one time, so
//!   most samples are a control byte and a mantissa.
//! - Intake number i of the row has seq `first + i`; the row's own seq is the last of them.

use fengsui_telemetry::{Lane, Reading, TimeMs};

use super::bytes::{Damage, Front, Place, open, put_bytes, put_number, put_signed, seal};
use super::decimal::{PLACES_MAX, mantissa, places, restore};
use super::{code_of, number_of, reading_of};
use crate::{GapReason, GapRow, Intake, LocalRow};

const VERSION: u8 = 1;

/// Beside the lane: changes of alarms follow the gaps.
const LOCALS: u8 = 0b10;

const NEW_TIME: u8 = 0b0000_0001;
const NEW_POINT: u8 = 0b0000_0010;
const NOT_GOOD: u8 = 0b0000_0100;
const FORM_SHIFT: u8 = 3;
const FORM_MASK: u8 = 0b111;
const FORM_EXACT: u8 = 7;

/// The bytes of a journal row whose intakes have the seqs `first..=last`.
pub(crate) fn encode_group<'a>(
    first: u64,
    last: u64,
    intakes: impl Iterator<Item = &'a Intake>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 16);
    out.push(VERSION);
    put_number(&mut out, first);
    put_number(&mut out, last - first + 1);
    for intake in intakes {
        put_intake(&mut out, intake);
    }
    seal(Place::Journal(last), out)
}

/// The intakes of a journal row with their seqs, oldest first.
pub(crate) fn decode_group(seq: u64, blob: &[u8]) -> Result<Vec<(u64, Intake)>, Damage> {
    let mut front = Front(open(Place::Journal(seq), blob)?);
    if front.byte()? != VERSION {
        return Err(Damage("unknown version of journal row"));
    }
    let first = front.number()?;
    let count = front.count(front.0.len() as u64)?;
    let mut intakes = Vec::with_capacity(count);
    for i in 0..count {
        intakes.push((first.wrapping_add(i as u64), take_intake(&mut front)?));
    }
    front.end()?;
    Ok(intakes)
}

pub(super) fn put_intake(out: &mut Vec<u8>, intake: &Intake) {
    put_bytes(out, intake.gateway.as_bytes());
    out.extend_from_slice(&intake.epoch.to_le_bytes());
    let lane = match intake.lane {
        Lane::Live => 0,
        Lane::Backlog => 1,
    };
    out.push(if intake.locals.is_empty() { lane } else { lane | LOCALS });
    put_signed(out, intake.ti.0);
    put_number(out, intake.offsets.len() as u64);
    for (lo, hi) in &intake.offsets {
        put_number(out, *lo);
        put_number(out, *hi);
    }
    put_number(out, intake.gaps.len() as u64);
    for gap in &intake.gaps {
        put_gap(out, gap);
    }
    if !intake.locals.is_empty() {
        put_number(out, intake.locals.len() as u64);
        for local in &intake.locals {
            put_local(out, local);
        }
    }
    put_readings(out, intake.ti, intake.samples.iter().copied());
}

pub(super) fn take_intake(front: &mut Front<'_>) -> Result<Intake, Damage> {
    let gateway = front.text()?;
    let epoch = u64::from_le_bytes(front.array()?);
    let marks = front.byte()?;
    let lane = match marks & !LOCALS {
        0 => Lane::Live,
        1 => Lane::Backlog,
        _ => return Err(Damage("unknown lane")),
    };
    let ti = TimeMs(front.signed()?);
    let mut offsets = Vec::new();
    for _ in 0..front.count(front.0.len() as u64)? {
        offsets.push((front.number()?, front.number()?));
    }
    let mut gaps = Vec::new();
    for _ in 0..front.count(front.0.len() as u64)? {
        gaps.push(take_gap(front)?);
    }
    let mut locals = Vec::new();
    if marks & LOCALS != 0 {
        for _ in 0..front.count(front.0.len() as u64)? {
            locals.push(take_local(front)?);
        }
    }
    let samples = take_readings(front, ti)?;
    Ok(Intake { gateway, epoch, lane, ti, samples, offsets, gaps, locals })
}

fn put_gap(out: &mut Vec<u8>, gap: &GapRow) {
    put_bytes(out, gap.gateway.as_bytes());
    put_signed(out, gap.from.0);
    put_signed(out, gap.to.0);
    put_number(out, gap.records);
    put_bytes(out, gap.cause.word().as_bytes());
    put_number(out, gap.points.len() as u64);
    for point in &gap.points {
        put_number(out, u64::from(*point));
    }
    put_bytes(out, gap.detail.as_bytes());
}

fn take_gap(front: &mut Front<'_>) -> Result<GapRow, Damage> {
    let gateway = front.text()?;
    let (from, to) = (TimeMs(front.signed()?), TimeMs(front.signed()?));
    let records = front.number()?;
    let cause = GapReason::from_word(&front.text()?).ok_or(Damage("unknown cause of a gap"))?;
    let mut points = Vec::new();
    for _ in 0..front.count(front.0.len() as u64)? {
        points.push(take_point(front.number()?)?);
    }
    let detail = front.text()?;
    Ok(GapRow { gateway, from, to, records, cause, points, detail })
}

fn put_local(out: &mut Vec<u8>, local: &LocalRow) {
    put_number(out, local.offset);
    put_bytes(out, local.alarm.as_bytes());
    put_number(out, local.occurrence);
    put_number(out, u64::from(u32::from(local.from)));
    put_number(out, u64::from(u32::from(local.to)));
    put_signed(out, local.te.0);
    put_signed(out, local.known.0);
    out.extend_from_slice(&local.revision.to_le_bytes());
    out.extend_from_slice(&local.value.unwrap_or(f64::NAN).to_le_bytes());
    put_bytes(out, local.why.as_bytes());
}

fn take_local(front: &mut Front<'_>) -> Result<LocalRow, Damage> {
    let offset = front.number()?;
    let alarm = front.text()?;
    let occurrence = front.number()?;
    let (from, to) = (take_letter(front)?, take_letter(front)?);
    let (te, known) = (TimeMs(front.signed()?), TimeMs(front.signed()?));
    let revision = u64::from_le_bytes(front.array()?);
    let value = Some(f64::from_le_bytes(front.array()?)).filter(|value| value.is_finite());
    let why = front.text()?;
    Ok(LocalRow { offset, alarm, occurrence, from, to, te, known, revision, value, why })
}

fn take_letter(front: &mut Front<'_>) -> Result<char, Damage> {
    let letter = u32::try_from(front.number()?).ok().and_then(char::from_u32);
    letter.ok_or(Damage("unknown letter of a state"))
}

/// Readings in any order; the first time is told from `time` on.
pub(super) fn put_readings(
    out: &mut Vec<u8>,
    mut time: TimeMs,
    samples: impl ExactSizeIterator<Item = (u32, TimeMs, Reading)>,
) {
    put_number(out, samples.len() as u64);
    let mut next_point = 0_i64;
    // The places of the sample before fit most often: one try instead of three.
    let mut usual = 1;
    for (point, te, reading) in samples {
        let at = out.len();
        out.push(0);
        let mut control = 0;
        let point = i64::from(point);
        if point != next_point {
            control |= NEW_POINT;
            put_signed(out, point - next_point);
        }
        next_point = point + 1;
        if te != time {
            control |= NEW_TIME;
            put_signed(out, te.0.wrapping_sub(time.0));
            time = te;
        }
        let code = code_of(reading);
        if code != 0 {
            control |= NOT_GOOD;
            out.push(code);
        }
        if let Some(number) = number_of(reading) {
            control |= put_value(out, number, &mut usual) << FORM_SHIFT;
        }
        if let Some(byte) = out.get_mut(at) {
            *byte = control;
        }
    }
}

#[inline]
fn put_value(out: &mut Vec<u8>, number: f64, usual: &mut u8) -> u8 {
    let found = match mantissa(number, *usual) {
        Some(mantissa) => Some((mantissa, *usual)),
        None => places(number, 0).and_then(|p| mantissa(number, p).map(|m| (m, p))),
    };
    match found {
        Some((mantissa, places)) => {
            put_signed(out, mantissa);
            *usual = places;
            places
        }
        None => {
            out.extend_from_slice(&number.to_le_bytes());
            FORM_EXACT
        }
    }
}

/// The readings that [`put_readings`] wrote.
pub(super) fn take_readings(
    front: &mut Front<'_>,
    mut time: TimeMs,
) -> Result<Vec<(u32, TimeMs, Reading)>, Damage> {
    let count = front.count(front.0.len() as u64)?;
    let mut samples = Vec::with_capacity(count);
    let mut next_point = 0_i64;
    for _ in 0..count {
        let control = front.byte()?;
        if control & NEW_POINT != 0 {
            next_point = next_point.wrapping_add(front.signed()?);
        }
        let point = take_point(next_point.cast_unsigned())?;
        next_point += 1;
        if control & NEW_TIME != 0 {
            time = TimeMs(time.0.wrapping_add(front.signed()?));
        }
        let code = if control & NOT_GOOD != 0 { front.byte()? } else { 0 };
        let number = match (control >> FORM_SHIFT) & FORM_MASK {
            _ if code >= 100 => None,
            FORM_EXACT => Some(f64::from_le_bytes(front.array()?)),
            places if places <= PLACES_MAX => Some(restore(front.signed()?, places)),
            _ => return Err(Damage("unknown form of a number")),
        };
        samples.push((point, time, reading_of(code, number)));
    }
    Ok(samples)
}

fn take_point(number: u64) -> Result<u32, Damage> {
    u32::try_from(number).map_err(|_| Damage("a point number is too large"))
}
