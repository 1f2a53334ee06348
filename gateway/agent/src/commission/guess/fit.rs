//! Which ways of reading some registers give the number on the instrument's display.
//!
//! - A way is ranked by how little it can be chance: the bits of the registers that it explains,
//!   less a few for what is rare (other addresses, byte orders and scales). Registers that are 0 or
//!   all ones explain nothing: most registers are.
//! - Nothing is left out for being unlikely; what fits is shown.

use fengsui_scan::{Encoding, Function, Scaling, WordOrder};

/// Ratios that people put between a register and a display.
const SCALES: [(f64, f64); 6] =
    [(1.0, 0.0), (0.1, 0.5), (0.01, 1.0), (0.001, 1.5), (10.0, 2.0), (100.0, 3.0)];
/// Raw values of both ends of a range, as analogue cards give them. Customary spans, not those of a
/// certain card: its manual decides.
const SPANS: [(f64, f64, &str); 9] = [
    (4_000.0, 20_000.0, "4-20 mA, µA"),
    (400.0, 2_000.0, "4-20 mA, 0.01 mA"),
    (4.0, 20.0, "4-20 mA, mA"),
    (0.0, 4_095.0, "12 bit"),
    (819.0, 4_095.0, "4-20 mA of 12 bit"),
    (0.0, 65_535.0, "16 bit"),
    (13_107.0, 65_535.0, "4-20 mA of 16 bit"),
    (0.0, 27_648.0, "27648"),
    (5_530.0, 27_648.0, "4-20 mA of 27648"),
];
/// How the name of a current loop begins.
const LOOP: &str = "4-20 mA";
/// What one span costs in the ranking: each is a guess of its own.
const SPAN_COST: f64 = 4.0;

/// Some registers, from `first` on.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) function: Function,
    pub(super) first: u16,
    pub(super) words: Vec<u16>,
}

/// How raw becomes the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) scale: f64,
    pub(super) offset: f64,
    /// Where it comes from, if it is not a plain scale.
    pub(super) span: Option<&'static str>,
    /// Scale and offset to mA, where it is a current loop: the sheet's own rule does the rest, and
    /// knows a broken wire.
    pub(super) loop_ma: Option<(f64, f64)>,
    cost: f64,
}

/// One way of reading.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Way {
    pub(super) function: Function,
    pub(super) address: u16,
    pub(super) encoding: Encoding,
    pub(super) order: WordOrder,
    pub(super) ratio: Ratio,
}

/// A way that fits, and what it gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit {
    pub(super) way: Way,
    pub(super) words: Vec<u16>,
    pub(super) value: f64,
    /// Bits that are not chance, as far as one can tell. More is better.
    pub(super) weight: f64,
}

/// What the display shows and how exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) value: f64,
    pub(super) tolerance: f64,
}

/// The ratios to try; spans only where the range is known.
pub(super) fn ratios(range: Option<(f64, f64)>) -> Vec<Ratio> {
    let plain =
        SCALES.map(|(scale, cost)| Ratio { scale, offset: 0.0, span: None, loop_ma: None, cost });
    let spans = range.into_iter().flat_map(|(low, high)| {
        SPANS.map(|(raw_low, raw_high, name)| {
            let scale = (high - low) / (raw_high - raw_low);
            // Twelve digits are what a sheet carries; the rest is float dust.
            let scale = rounded(scale);
            let offset = rounded(low - raw_low * scale);
            let ma = rounded(16.0 / (raw_high - raw_low));
            let loop_ma = name.starts_with(LOOP).then(|| (ma, rounded(4.0 - raw_low * ma)));
            Ratio { scale, offset, span: Some(name), loop_ma, cost: SPAN_COST }
        })
    });
    plain.into_iter().chain(spans).collect()
}

fn rounded(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

/// Every way of reading these registers that gives what the display shows. `near` is the address
/// that the person named.
pub(super) fn fits(window: &Window, near: u16, ratios: &[Ratio], shown: Shown) -> Vec<Fit> {
    let mut found = Vec::new();
    for (place, _) in window.words.iter().enumerate() {
        let Some(address) = u16::try_from(place).ok().and_then(|at| window.first.checked_add(at))
        else {
            continue;
        };
        // Further on there is a value of its own; nobody miscounts by more than one.
        if address > near {
            break;
        }
        for encoding in Encoding::ALL {
            let end = place + usize::from(encoding.words());
            let Some(words) = window.words.get(place..end) else { continue };
            for order in orders(encoding) {
                for ratio in ratios {
                    let function = window.function;
                    let way = Way { function, address, encoding, order: *order, ratio: *ratio };
                    found.extend(fit(way, words, near, shown));
                }
            }
        }
    }
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found
}

/// The orders that make a difference. A byte swapped is the other byte, which has a type of its
/// own.
fn orders(encoding: Encoding) -> &'static [WordOrder] {
    match (shape(encoding), encoding.words()) {
        (Shape::Byte, _) => &[WordOrder::Abcd],
        (Shape::Whole | Shape::Digits | Shape::Float, 1) => &[WordOrder::Abcd, WordOrder::Badc],
        (Shape::Whole | Shape::Digits | Shape::Float, _) => &WordOrder::ALL,
    }
}

/// What registers are filled with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Half a register.
    Byte,
    Whole,
    Digits,
    Float,
}

fn shape(encoding: Encoding) -> Shape {
    match encoding {
        Encoding::U8High | Encoding::U8Low | Encoding::I8High | Encoding::I8Low => Shape::Byte,
        Encoding::Bool
        | Encoding::U16
        | Encoding::I16
        | Encoding::U32
        | Encoding::I32
        | Encoding::U48
        | Encoding::I48
        | Encoding::U64
        | Encoding::I64 => Shape::Whole,
        Encoding::Bcd16 | Encoding::Bcd32 | Encoding::Bcd64 => Shape::Digits,
        Encoding::F32 | Encoding::F64 => Shape::Float,
    }
}

/// The value of a way; none where it is no number.
pub(super) fn value(way: &Way, words: &[u16]) -> Option<f64> {
    let scaling = Scaling::new(way.ratio.scale, way.ratio.offset)?;
    let value = scaling.apply(way.encoding.raw(way.order, words)?);
    value.is_finite().then_some(value)
}

fn fit(way: Way, words: &[u16], near: u16, shown: Shown) -> Option<Fit> {
    if way.encoding == Encoding::Bool {
        return None;
    }
    let value = value(&way, words)?;
    // A hair more than the tolerance: 23.45 is not quite 23.45 in a float.
    let slack = shown.tolerance * 1e-9 + shown.value.abs() * 1e-12;
    if (value - shown.value).abs() > shown.tolerance + slack {
        return None;
    }
    let weight = weight(&way, words, near, shown, value);
    Some(Fit { words: words.to_vec(), value, weight, way })
}

/// Bits explained, less what is rare.
fn weight(way: &Way, words: &[u16], near: u16, shown: Shown, value: f64) -> f64 {
    let shape = shape(way.encoding);
    let telling = words.iter().filter(|word| ![0, u16::MAX].contains(word)).count();
    let telling = f64::from(u16::try_from(telling).unwrap_or(u16::MAX))
        * match shape {
            Shape::Byte => 8.0,
            // Ten of sixteen values of a nibble are digits.
            Shape::Digits => 13.3,
            Shape::Whole | Shape::Float => 16.0,
        };
    // How many raw values would have fitted as well.
    let step = match way.encoding {
        Encoding::F32 => value.abs().max(1e-30) * f64::from(f32::EPSILON),
        Encoding::F64 => value.abs().max(1e-30) * f64::EPSILON,
        Encoding::Bool
        | Encoding::U8High
        | Encoding::U8Low
        | Encoding::I8High
        | Encoding::I8Low
        | Encoding::U16
        | Encoding::I16
        | Encoding::U32
        | Encoding::I32
        | Encoding::U48
        | Encoding::I48
        | Encoding::U64
        | Encoding::I64
        | Encoding::Bcd16
        | Encoding::Bcd32
        | Encoding::Bcd64 => way.ratio.scale.abs(),
    };
    let alike = shown.tolerance * 2.0 / step;
    let order = match way.order {
        WordOrder::Abcd => 0.0,
        WordOrder::Cdab => 1.0,
        WordOrder::Badc | WordOrder::Dcba => 3.0,
    };
    let encoding = match way.encoding {
        Encoding::U16 | Encoding::F32 => 0.0,
        Encoding::I16 => 0.25,
        Encoding::Bool
        | Encoding::U8High
        | Encoding::U8Low
        | Encoding::I8High
        | Encoding::I8Low
        | Encoding::U32
        | Encoding::I32
        | Encoding::Bcd16 => 1.0,
        Encoding::F64 => 1.5,
        Encoding::U48
        | Encoding::I48
        | Encoding::U64
        | Encoding::I64
        | Encoding::Bcd32
        | Encoding::Bcd64 => 2.0,
    };
    let scaled_float = if shape == Shape::Float { way.ratio.cost * 2.0 } else { way.ratio.cost };
    let moved = f64::from(near.abs_diff(way.address)) * 1.5;
    let off = (value - shown.value).abs() / shown.tolerance.max(1e-12);
    telling - alike.max(1.0).log2() - order - encoding - scaled_float - moved - off
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISPLAY: Shown = Shown { value: 23.4, tolerance: 0.05 };

    fn best(words: &[u16], range: Option<(f64, f64)>, shown: Shown) -> Vec<String> {
        let window = Window { function: Function::Holding, first: 99, words: words.to_vec() };
        fits(&window, 100, &ratios(range), shown)
            .iter()
            .map(|fit| {
                let Way { address, encoding, order, ratio, .. } = fit.way;
                format!("{address} {encoding} {order} {}", ratio.scale)
            })
            .collect()
    }

    #[test]
    fn a_scaled_register_is_found_before_its_likenesses() {
        let found = best(&[7, 234, 9, 9, 9], None, DISPLAY);
        assert_eq!(found[0], "100 u16 ABCD 0.1");
        assert!(found.contains(&"100 i16 ABCD 0.1".to_owned()), "{found:?}");
    }

    #[test]
    fn every_order_of_a_float_is_found_first() {
        let [high, low] = [0x41BB, 0x3333];
        let swapped = |word: u16| word.swap_bytes();
        for (words, order) in [
            ([high, low], "ABCD"),
            ([low, high], "CDAB"),
            ([swapped(high), swapped(low)], "BADC"),
            ([swapped(low), swapped(high)], "DCBA"),
        ] {
            let found = best(&[7, words[0], words[1], 9, 9], None, DISPLAY);
            assert_eq!(found[0], format!("100 f32 {order} 1"), "{found:?}");
        }
    }

    #[test]
    fn a_manual_that_counts_from_one_is_found_one_below() {
        let found = best(&[0x41BB, 0x3333, 9, 9, 9], None, DISPLAY);
        assert_eq!(found[0], "99 f32 ABCD 1", "{found:?}");
    }

    #[test]
    fn a_current_is_found_where_the_range_is_known() {
        // 12 mA of 0..50 is 25.
        let shown = Shown { value: 25.0, tolerance: 0.05 };
        assert_eq!(best(&[7, 12_000, 9, 9, 9], None, shown), Vec::<String>::new());
        let found = best(&[7, 12_000, 9, 9, 9], Some((0.0, 50.0)), shown);
        assert_eq!(found[0], "100 u16 ABCD 0.003125", "{found:?}");
    }

    #[test]
    fn sixty_four_bits_are_tried_and_nonsense_fits_nothing() {
        let bits = 23.4_f64.to_bits();
        let word = |at: u32| u16::try_from(bits >> (48 - 16 * at) & 0xffff).unwrap();
        let found = best(&[7, word(0), word(1), word(2), word(3)], None, DISPLAY);
        assert_eq!(found[0], "100 f64 ABCD 1", "{found:?}");
        assert_eq!(best(&[7, 50_001, 50_003, 50_005, 50_007], None, DISPLAY), Vec::<String>::new());
    }
}
