//! A chunk: the samples of one point in one bucket of source time.
//!
//! ```text
//! version 1 · n · stamps · quality runs · numbers · CRC-32C over all and the key
//! ```
//!
//! - Samples are in order of source time, each time once.
//! - "No number" is absence: a bad sample has a stamp and a quality code and takes no place among
//!   the numbers.
//! - Numbers are decimals first (see `decimal`), with the few that are not kept aside: one odd
//!   number must not throw a whole chunk to floats. pco's own choice of mode and delta is worse
//!   than trying two deltas explicitly (0.452 against 0.396 bytes a sample).

use fengsui_telemetry::TimeMs;
use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use super::bytes::{Damage, Front, Place, open, put_bytes, put_number, put_signed, seal};
use super::decimal::{PLACES_MAX, mantissa, places, restore};
use super::{code_of, number_of, reading_of};
use crate::Sample;

const VERSION: u8 = 1;
/// pco's level: above it the bytes hardly fall and the time doubles.
const LEVEL: usize = 8;
/// Samples of one chunk: 2.7 kHz for an hour. More is not plausible, so a larger count is damage.
const SAMPLES_MAX: u64 = 10_000_000;
/// One number in so many may be kept aside before the chunk goes to floats.
const ASIDE_SHARE: usize = 8;

const STAMPS_STEADY: u8 = 0;
const STAMPS_GRID: u8 = 1;
const STAMPS_STEPS: u8 = 2;

const NUMBERS_NONE: u8 = 0;
const NUMBERS_CONSTANT: u8 = 1;
const NUMBERS_STEPS: u8 = 2;
const NUMBERS_I32: u8 = 3;
const NUMBERS_I64: u8 = 4;
const NUMBERS_FLOAT: u8 = 5;

/// The bytes of a chunk. `base` is the start of its bucket; `samples` are in order of source
/// time, each time once.
#[must_use]
pub fn encode_chunk(id: i64, base: TimeMs, samples: &[Sample]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + samples.len());
    out.push(VERSION);
    put_number(&mut out, samples.len() as u64);
    let stamps: Vec<i64> = samples.iter().map(|s| s.te.0.wrapping_sub(base.0)).collect();
    put_stamps(&mut out, &stamps);
    put_quality(&mut out, samples);
    let numbers: Vec<f64> = samples.iter().filter_map(|s| number_of(s.reading)).collect();
    put_numbers(&mut out, &numbers);
    seal(Place::Chunk(id), out)
}

/// The samples of a chunk.
///
/// # Errors
/// [`Damage`] where the bytes are not what was written for this key.
pub fn decode_chunk(id: i64, base: TimeMs, blob: &[u8]) -> Result<Vec<Sample>, Damage> {
    let mut front = Front(open(Place::Chunk(id), blob)?);
    if front.byte()? != VERSION {
        return Err(Damage("unknown version of chunk"));
    }
    let n = front.count(SAMPLES_MAX)?;
    let stamps = take_stamps(&mut front, n)?;
    let codes = take_quality(&mut front, n)?;
    let with_number = codes.iter().filter(|code| **code < 100).count();
    let mut numbers = take_numbers(&mut front, with_number)?.into_iter();
    front.end()?;
    let samples = stamps.into_iter().zip(codes).map(|(stamp, code)| {
        let number = if code < 100 { numbers.next() } else { None };
        Sample { te: TimeMs(base.0.wrapping_add(stamp)), reading: reading_of(code, number) }
    });
    Ok(samples.collect())
}

// ---- stamps -------------------------------------------------------------------------------

fn put_stamps(out: &mut Vec<u8>, stamps: &[i64]) {
    let Some((first, rest)) = stamps.split_first() else { return };
    let step = rest.first().map_or(0, |second| second - first);
    if stamps.windows(2).all(|pair| matches!(pair, [a, b] if b - a == step)) {
        out.push(STAMPS_STEADY);
        put_signed(out, *first);
        put_signed(out, step);
        return;
    }
    let mut steps = Vec::with_capacity(stamps.len() + 4);
    let mut before = 0;
    for stamp in stamps {
        put_signed(&mut steps, stamp - before);
        before = *stamp;
    }
    let grid = Grid::of(stamps);
    let offs: Option<Vec<i32>> =
        stamps.iter().zip(0..).map(|(s, i)| i32::try_from(s - grid.at(i)).ok()).collect();
    match offs.map(|offs| pack(&offs)) {
        Some(packed) if packed.len() + 8 < steps.len() => {
            out.push(STAMPS_GRID);
            put_signed(out, grid.first);
            put_signed(out, grid.span);
            put_bytes(out, &packed);
        }
        Some(_) | None => {
            out.push(STAMPS_STEPS);
            out.extend_from_slice(&steps);
        }
    }
}

fn take_stamps(front: &mut Front<'_>, n: usize) -> Result<Vec<i64>, Damage> {
    if n == 0 {
        return Ok(Vec::new());
    }
    match front.byte()? {
        STAMPS_STEADY => {
            let (first, step) = (front.signed()?, front.signed()?);
            Ok((0..).take(n).map(|i: i64| first.wrapping_add(step.wrapping_mul(i))).collect())
        }
        STAMPS_GRID => {
            let (first, span) = (front.signed()?, front.signed()?);
            let grid = Grid { first, span, last: last_of(n) };
            let offs: Vec<i32> = unpack(front.bytes()?, n)?;
            Ok(offs.into_iter().zip(0..).map(|(o, i)| grid.at(i) + i64::from(o)).collect())
        }
        STAMPS_STEPS => {
            let mut at = 0_i64;
            let mut step = || {
                at = at.wrapping_add(front.signed()?);
                Ok(at)
            };
            (0..n).map(|_| step()).collect()
        }
        _ => Err(Damage("unknown form of stamps")),
    }
}

/// Evenly spaced stamps from the first to the last: what a jittered scan stays close to.
struct Grid {
    first: i64,
    span: i64,
    last: i64,
}

impl Grid {
    fn of(stamps: &[i64]) -> Self {
        let first = stamps.first().copied().unwrap_or(0);
        let span = stamps.last().copied().unwrap_or(0) - first;
        Self { first, span, last: last_of(stamps.len()) }
    }

    fn at(&self, i: i64) -> i64 {
        self.first.wrapping_add(self.span.wrapping_mul(i) / self.last)
    }
}

fn last_of(n: usize) -> i64 {
    i64::try_from(n.saturating_sub(1).max(1)).unwrap_or(i64::MAX)
}

// ---- quality ------------------------------------------------------------------------------

fn put_quality(out: &mut Vec<u8>, samples: &[Sample]) {
    let mut runs: Vec<(u8, u64)> = Vec::new();
    for sample in samples {
        let code = code_of(sample.reading);
        match runs.last_mut() {
            Some((last, length)) if *last == code => *length += 1,
            Some(_) | None => runs.push((code, 1)),
        }
    }
    if matches!(runs.as_slice(), [(0, _)]) {
        runs.clear();
    }
    put_number(out, runs.len() as u64);
    for (code, length) in runs {
        out.push(code);
        put_number(out, length);
    }
}

/// No run at all means that everything is good.
fn take_quality(front: &mut Front<'_>, n: usize) -> Result<Vec<u8>, Damage> {
    let runs = front.count(n as u64)?;
    if runs == 0 {
        return Ok(vec![0; n]);
    }
    let mut codes = Vec::with_capacity(n);
    for _ in 0..runs {
        let code = front.byte()?;
        let length = front.count((n - codes.len()) as u64)?;
        codes.resize(codes.len() + length, code);
    }
    if codes.len() == n { Ok(codes) } else { Err(Damage("quality does not cover all samples")) }
}

// ---- numbers ------------------------------------------------------------------------------

fn put_numbers(out: &mut Vec<u8>, numbers: &[f64]) {
    let Some(first) = numbers.first() else {
        out.push(NUMBERS_NONE);
        return;
    };
    if numbers.iter().all(|number| number.to_bits() == first.to_bits()) {
        out.push(NUMBERS_CONSTANT);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    match Decimals::of(numbers) {
        Some(decimals) => decimals.put(out),
        None => {
            out.push(NUMBERS_FLOAT);
            put_bytes(out, &pack(numbers));
        }
    }
}

fn take_numbers(front: &mut Front<'_>, n: usize) -> Result<Vec<f64>, Damage> {
    let form = front.byte()?;
    match form {
        NUMBERS_NONE if n == 0 => Ok(Vec::new()),
        NUMBERS_CONSTANT => Ok(vec![f64::from_le_bytes(front.array()?); n]),
        NUMBERS_FLOAT => unpack(front.bytes()?, n),
        NUMBERS_STEPS | NUMBERS_I32 | NUMBERS_I64 => take_decimals(front, form, n),
        _ => Err(Damage("unknown form of numbers")),
    }
}

/// Mantissas, and the numbers that have none, by their place.
struct Decimals {
    places: u8,
    mantissas: Vec<i64>,
    aside: Vec<(usize, f64)>,
}

impl Decimals {
    /// The fewest places that fit all but a few numbers.
    fn of(numbers: &[f64]) -> Option<Self> {
        let aside_max = numbers.len() / ASIDE_SHARE;
        let mut most = 0;
        let mut misfits = 0;
        for number in numbers {
            if mantissa(*number, most).is_none() {
                match places(*number, most) {
                    Some(found) => most = found,
                    None => misfits += 1,
                }
            }
            if misfits > aside_max {
                return None;
            }
        }
        let mut decimals =
            Self { places: most, mantissas: Vec::with_capacity(numbers.len()), aside: Vec::new() };
        let mut before = 0;
        for (at, number) in numbers.iter().enumerate() {
            match mantissa(*number, most) {
                Some(found) => before = found,
                None => decimals.aside.push((at, *number)),
            }
            decimals.mantissas.push(before);
        }
        // A large number fits with few places and not with many: then some more stand aside.
        (decimals.aside.len() <= aside_max).then_some(decimals)
    }

    fn put(&self, out: &mut Vec<u8>) {
        let narrow: Option<Vec<i32>> =
            self.mantissas.iter().map(|m| i32::try_from(*m).ok()).collect();
        let (form, packed) = match narrow {
            Some(narrow) => (NUMBERS_I32, pack(&narrow)),
            None => (NUMBERS_I64, pack(&self.mantissas)),
        };
        let mut steps = Vec::new();
        let mut before = 0;
        for mantissa in &self.mantissas {
            put_signed(&mut steps, mantissa - before);
            before = *mantissa;
            if steps.len() > packed.len() {
                break;
            }
        }
        let (form, body) =
            if steps.len() <= packed.len() { (NUMBERS_STEPS, steps) } else { (form, packed) };
        out.push(form);
        out.push(self.places);
        put_bytes(out, &body);
        put_number(out, self.aside.len() as u64);
        let mut before = 0;
        for (at, number) in &self.aside {
            put_number(out, (at - before) as u64);
            out.extend_from_slice(&number.to_le_bytes());
            before = *at;
        }
    }
}

fn take_decimals(front: &mut Front<'_>, form: u8, n: usize) -> Result<Vec<f64>, Damage> {
    let places = front.byte()?;
    if places > PLACES_MAX {
        return Err(Damage("more decimal places than possible"));
    }
    let body = front.bytes()?;
    let mut numbers: Vec<f64> = match form {
        NUMBERS_I32 => {
            unpack::<i32>(body, n)?.into_iter().map(|m| restore(i64::from(m), places)).collect()
        }
        NUMBERS_I64 => unpack::<i64>(body, n)?.into_iter().map(|m| restore(m, places)).collect(),
        _ => {
            let mut steps = Front(body);
            let mut at = 0_i64;
            let mut step = || {
                at = at.wrapping_add(steps.signed()?);
                Ok(restore(at, places))
            };
            let numbers = (0..n).map(|_| step()).collect::<Result<_, Damage>>()?;
            steps.end()?;
            numbers
        }
    };
    let mut at = 0_usize;
    for _ in 0..front.count(n as u64)? {
        at = at.saturating_add(front.count(n as u64)?);
        let number = f64::from_le_bytes(front.array()?);
        *numbers.get_mut(at).ok_or(Damage("a number set aside has no place"))? = number;
    }
    Ok(numbers)
}

// ---- pco ----------------------------------------------------------------------------------

/// The smaller of two tries: as they are, and their differences.
fn pack<T: Number>(numbers: &[T]) -> Vec<u8> {
    let attempt = |delta| {
        let config = ChunkConfig::default()
            .with_compression_level(LEVEL)
            .with_mode_spec(ModeSpec::Classic)
            .with_delta_spec(delta);
        simple_compress(numbers, &config).expect("level, mode and delta are ones that pco knows")
    };
    let plain = attempt(DeltaSpec::NoOp);
    let steps = attempt(DeltaSpec::TryConsecutive(1));
    if steps.len() < plain.len() { steps } else { plain }
}

fn unpack<T: Number + Default>(body: &[u8], n: usize) -> Result<Vec<T>, Damage> {
    let mut numbers = vec![T::default(); n];
    let progress = simple_decompress_into(body, &mut numbers).map_err(|_| Damage("pco refused"))?;
    if progress.n_processed == n { Ok(numbers) } else { Err(Damage("pco gave too few numbers")) }
}
