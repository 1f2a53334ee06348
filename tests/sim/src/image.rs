//! Registers: which reading lies where, and what the words are.
//!
//! - An [`Image`] is immutable; the plant publishes a new one and connections read the newest, so
//!   one reply never mixes two moments.
//! - The layouts are those of `configs/demo/points.csv`; addresses are wire addresses.

use std::collections::BTreeMap;

use crate::config::{Holes, Kind};
use crate::process::{Head, Process, Signal, Tank};

/// The four tables of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    Coil,
    Discrete,
    Holding,
    Input,
}

impl Table {
    /// The word that point sheets use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

/// How a reading becomes words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Two words, high word first.
    F32Abcd,
    /// Two words, low word first.
    F32Cdab,
    /// One signed word, tenths; 32767 is the instrument's own fault signal.
    I16Tenths,
    /// One unsigned word, tenths; 65535 is the instrument's own fault signal.
    U16Tenths,
    /// One bit.
    Bit,
}

/// What the words show when the instrument reports its own fault.
const BROKEN: u16 = 65_535;
const BROKEN_SIGNED: i16 = 32_767;

/// One reading at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) table: Table,
    pub(crate) address: u16,
    pub(crate) encoding: Encoding,
    pub(crate) signal: Signal,
}

impl Cell {
    /// The words, and the value that a correct reader makes of them.
    pub(crate) fn encode(self, reading: Option<f64>) -> (Vec<u16>, Option<f64>) {
        match self.encoding {
            Encoding::F32Abcd => (words_of(reading).to_vec(), reading.and_then(shortest)),
            Encoding::F32Cdab => {
                let [high, low] = words_of(reading);
                (vec![low, high], reading.and_then(shortest))
            }
            Encoding::I16Tenths => {
                let tenths = reading.map(|value| clamped::<i16>(value * 10.0, -32_767.0, 32_766.0));
                let word = tenths.unwrap_or(BROKEN_SIGNED).cast_unsigned();
                (vec![word], tenths.map(|tenths| f64::from(tenths) / 10.0))
            }
            Encoding::U16Tenths => {
                let tenths = reading.map(|value| clamped::<u16>(value * 10.0, 0.0, 65_534.0));
                (vec![tenths.unwrap_or(BROKEN)], tenths.map(|tenths| f64::from(tenths) / 10.0))
            }
            Encoding::Bit => {
                let on = reading.map(|value| 0.5 <= value);
                (vec![u16::from(on == Some(true))], on.map(f64::from))
            }
        }
    }
}

/// A broken instrument shows NaN.
fn words_of(reading: Option<f64>) -> [u16; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "the register holds a single float")]
    let single = reading.unwrap_or(f64::NAN) as f32;
    let [a, b, c, d] = single.to_be_bytes();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

/// The double whose decimal is the shortest that names this single float: 61.2, not 61.20000076.
fn shortest(value: f64) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "the register holds a single float")]
    let single = value as f32;
    if single.is_finite() { single.to_string().parse().ok() } else { None }
}

fn clamped<T: TryFrom<i32> + Default>(value: f64, low: f64, high: f64) -> T {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 17 bits just before")]
    let whole = value.round().clamp(low, high) as i32;
    T::try_from(whole).unwrap_or_default()
}

/// Where everything lies in one kind of device. `Kind::Wide` has no readings of the process.
pub(crate) fn layout(kind: Kind) -> Vec<Cell> {
    match kind {
        Kind::Tank => tank_cells(),
        Kind::Gas => gas_cells(),
        Kind::Dam => vec![
            Cell {
                table: Table::Holding,
                address: 100,
                encoding: Encoding::F32Cdab,
                signal: Signal::Piezometer,
            },
            Cell {
                table: Table::Holding,
                address: 102,
                encoding: Encoding::F32Cdab,
                signal: Signal::Rain,
            },
        ],
        Kind::Wide => Vec::new(),
    }
}

fn tank_cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for number in 0..4_u8 {
        let Ok(tank) = Tank::try_from(number + 1) else { continue };
        let place = u16::from(number);
        let mut cell = |table, address, encoding, signal| {
            cells.push(Cell { table, address, encoding, signal });
        };
        cell(Table::Holding, 2 * place, Encoding::F32Abcd, Signal::Level(tank));
        cell(Table::Holding, 20 + place, Encoding::I16Tenths, Signal::Temperature(tank));
        cell(Table::Coil, place, Encoding::Bit, Signal::InletPump(tank));
        cell(Table::Coil, 4 + place, Encoding::Bit, Signal::OutletPump(tank));
        cell(Table::Discrete, place, Encoding::Bit, Signal::Overfill(tank));
    }
    cells
}

fn gas_cells() -> Vec<Cell> {
    (1..=5_u8)
        .filter_map(|number| Head::try_from(number).ok().map(|head| (number, head)))
        .map(|(number, head)| Cell {
            table: Table::Input,
            address: if number == 5 { 10 } else { u16::from(number) - 1 },
            encoding: Encoding::U16Tenths,
            signal: Signal::Gas(head),
        })
        .collect()
}

/// Consecutive words of one table; `None` is a hole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Words {
    first: u16,
    words: Vec<Option<u16>>,
}

impl Words {
    fn put(&mut self, address: u16, word: u16) {
        if self.words.is_empty() {
            self.first = address;
        }
        if address < self.first {
            let missing = usize::from(self.first - address);
            self.words.splice(0..0, std::iter::repeat_n(None, missing));
            self.first = address;
        }
        let place = usize::from(address - self.first);
        if self.words.len() <= place {
            self.words.resize(place + 1, None);
        }
        if let Some(slot) = self.words.get_mut(place) {
            *slot = Some(word);
        }
    }

    fn read(&self, address: u16, count: u16, holes: Holes) -> Option<Vec<u16>> {
        let from = usize::from(address.checked_sub(self.first)?);
        let words = self.words.get(from..from + usize::from(count))?;
        words
            .iter()
            .map(|word| match (word, holes) {
                (Some(word), Holes::Zero | Holes::Refuse) => Some(*word),
                (None, Holes::Zero) => Some(0),
                (None, Holes::Refuse) => None,
            })
            .collect()
    }
}

/// What one device would answer at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    holes: Holes,
    tables: BTreeMap<(u8, Table), Words>,
}

impl Image {
    pub(crate) fn new(holes: Holes) -> Self {
        Self { holes, tables: BTreeMap::new() }
    }

    /// The image of a device with process readings. `shown` may disturb them.
    pub(crate) fn of_process(
        unit: u8,
        holes: Holes,
        cells: &[Cell],
        process: &Process,
        mut shown: impl FnMut(Signal, f64) -> f64,
    ) -> Self {
        let mut image = Self::new(holes);
        for cell in cells {
            let reading = process.reading(cell.signal).map(|value| shown(cell.signal, value));
            let (words, _) = cell.encode(reading);
            for (address, word) in (cell.address..).zip(words) {
                image.put(unit, cell.table, address, word);
            }
        }
        image
    }

    /// `total` holding registers spread evenly over `units`; register number n (from 0, counted
    /// through all units) shows `count + n`, modulo 65,536.
    pub(crate) fn counting(units: u8, total: u32, count: u64) -> Self {
        let mut image = Self::new(Holes::Refuse);
        let a_unit = total.div_ceil(u32::from(units).max(1));
        for number in 0..total {
            let unit = 1 + number / a_unit.max(1);
            let (Ok(unit), Ok(address), Ok(word)) = (
                u8::try_from(unit),
                u16::try_from(number % a_unit),
                u16::try_from((count + u64::from(number)) % 65_536),
            ) else {
                continue;
            };
            image.put(unit, Table::Holding, address, word);
        }
        image
    }

    fn put(&mut self, unit: u8, table: Table, address: u16, word: u16) {
        self.tables.entry((unit, table)).or_default().put(address, word);
    }

    pub(crate) fn has_unit(&self, unit: u8) -> bool {
        self.tables.keys().any(|(there, _)| *there == unit)
    }

    /// `None` when one of the words is not there.
    pub(crate) fn read(
        &self,
        unit: u8,
        table: Table,
        address: u16,
        count: u16,
    ) -> Option<Vec<u16>> {
        self.tables.get(&(unit, table))?.read(address, count, self.holes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level() -> Cell {
        *tank_cells().first().expect("a cell")
    }

    #[test]
    fn floats_are_laid_out_in_the_order_they_promise() {
        let (abcd, value) = level().encode(Some(61.2));
        assert_eq!((abcd, value), (vec![0x4274, 0xCCCD], Some(61.2)));
        let cdab = Cell { encoding: Encoding::F32Cdab, ..level() };
        assert_eq!(cdab.encode(Some(61.2)).0, vec![0xCCCD, 0x4274]);
    }

    #[test]
    fn tenths_are_signed_or_carry_a_fault_code() {
        let signed = Cell { encoding: Encoding::I16Tenths, ..level() };
        assert_eq!(signed.encode(Some(-12.34)), (vec![0xFF85], Some(-12.3)));
        let unsigned = Cell { encoding: Encoding::U16Tenths, ..level() };
        assert_eq!(unsigned.encode(Some(25.0)), (vec![250], Some(25.0)));
        assert_eq!(unsigned.encode(None), (vec![65_535], None));
        assert_eq!(signed.encode(None), (vec![32_767], None));
        assert_eq!(level().encode(None), (vec![0x7FC0, 0], None));
    }

    #[test]
    fn holes_read_zero_or_are_refused() {
        let process = Process::new(1);
        let image = |holes| Image::of_process(1, holes, &gas_cells(), &process, |_, value| value);
        let across = image(Holes::Zero).read(1, Table::Input, 0, 11).expect("holes are zero");
        assert_eq!(across.get(4..10), Some(&[0; 6][..]));
        assert_eq!(image(Holes::Refuse).read(1, Table::Input, 0, 11), None);
        assert_eq!(image(Holes::Refuse).read(1, Table::Input, 0, 4).map(|w| w.len()), Some(4));
        assert_eq!(image(Holes::Zero).read(1, Table::Input, 0, 12), None);
        assert_eq!(image(Holes::Zero).read(1, Table::Holding, 0, 1), None);
    }

    #[test]
    fn counting_registers_go_on_from_unit_to_unit() {
        let image = Image::counting(3, 30_000, 65_530);
        assert_eq!(image.read(1, Table::Holding, 0, 2), Some(vec![65_530, 65_531]));
        assert_eq!(image.read(1, Table::Holding, 6, 1), Some(vec![0]));
        assert_eq!(image.read(3, Table::Holding, 9_999, 1), Some(vec![29_993]));
        assert_eq!(image.read(3, Table::Holding, 10_000, 1), None);
        assert!(!image.has_unit(4));
    }
}
