//! A plant in numbers: what two thousand instruments say, second by second, the same in every run.
//!
//! - Half are levels with one decimal and temperatures with two, which drift; three in ten are gas
//!   heads, which say 0 but for a spike; two in ten are piezometers with three decimals.
//! - One reading in two thousand is bad.
//! - Every point has four limits. Spikes cross those of gas heads; the others are rarely reached.

use std::fmt::Write;

use bytes::Bytes;
use fengsui_telemetry::wire::{
    BatchHead, Birth, WireFault, catalogue_bytes, encode_batch, encode_birth, seal,
};
use fengsui_telemetry::{
    Body, Catalogue, ClockQuality, Epoch, Fault, GatewayId, Installation, Lane, Offset, Point,
    Reading, Record, Revision, Scan, Tag, TimeMs,
};

/// One reading in so many is bad.
const BAD_ONE_IN: u64 = 2_000;
/// A gas head spikes once in so many readings.
const SPIKE_ONE_IN: u64 = 5_000;

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll().is_multiple_of(n)
    }

    /// Between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    pub(crate) fn part(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / 9_007_199_254_740_992.0
    }
}

/// What an instrument measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Level,
    Temperature,
    Gas,
    Piezometer,
}

impl Signal {
    fn of(index: u32) -> Self {
        match index % 10 {
            0..=2 => Self::Level,
            3 | 4 => Self::Temperature,
            5..=7 => Self::Gas,
            _ => Self::Piezometer,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Temperature => "temperature",
            Self::Gas => "gas_combustible",
            Self::Piezometer => "piezometer",
        }
    }

    /// Decimal places, step of a second, lowest and highest value in ordinary life.
    fn life(self) -> (f64, f64, f64, f64) {
        match self {
            Self::Level => (10.0, 0.4, 20.0, 80.0),
            Self::Temperature => (100.0, 0.12, 10.0, 45.0),
            Self::Gas => (10.0, 0.0, 0.0, 0.0),
            Self::Piezometer => (1_000.0, 0.01, 8.0, 30.0),
        }
    }
}

/// One gateway of the load.
pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    pub(crate) epoch: Epoch,
    pub(crate) catalogue: Catalogue,
    pub(crate) revision: Revision,
    values: Vec<f64>,
    dice: Dice,
    next: Offset,
}

impl Gateway {
    /// Gateway number `number` with so many points.
    pub(crate) fn new(number: u32, points: u32) -> Self {
        let id = GatewayId::parse(&format!("GW-{number:03}")).expect("letters and digits");
        let catalogue = catalogue(points);
        let bytes = catalogue_bytes(&catalogue);
        let mut dice = Dice::new(u64::from(number) + 1);
        let values = (0..points)
            .map(|index| {
                let (_, _, low, high) = Signal::of(index).life();
                low + (high - low) * dice.part()
            })
            .collect();
        let epoch = Epoch(0x1000 + u64::from(number));
        Self { id, epoch, catalogue, revision: revision(&bytes), values, dice, next: 0 }
    }

    pub(crate) fn birth(&self) -> Result<Vec<u8>, WireFault> {
        encode_birth(&Birth {
            gateway: self.id.clone(),
            online: true,
            epoch: self.epoch,
            oldest: 0,
            next: self.next,
            boot: 1,
            catalogue_revision: self.revision,
            catalogue: Some(self.catalogue.clone()),
            limits_revision: Revision(1),
            software: "fengsui-bench".to_owned(),
        })
    }

    /// What all instruments say one second later.
    pub(crate) fn second(&mut self) -> Vec<(u32, Reading)> {
        let dice = &mut self.dice;
        (0..)
            .zip(&mut self.values)
            .map(|(index, value)| {
                let (places, step, low, high) = Signal::of(index).life();
                *value = (*value + (dice.part() - 0.5) * step).clamp(low, high);
                if dice.one_in(BAD_ONE_IN) {
                    return (index, Reading::Bad(Fault::Timeout));
                }
                let spikes = Signal::of(index) == Signal::Gas && dice.one_in(SPIKE_ONE_IN);
                let value = if spikes { 20.0 + 60.0 * dice.part() } else { *value };
                (index, Reading::Good((value * places).round() / places))
            })
            .collect()
    }

    /// A batch of one scan, and its number.
    pub(crate) fn batch(
        &mut self,
        te: TimeMs,
        readings: Vec<(u32, Reading)>,
    ) -> Result<Bytes, WireFault> {
        let body = Body::Scan(Scan { readings, clock: ClockQuality::Synchronised });
        let head = BatchHead {
            gateway: self.id.clone(),
            epoch: self.epoch,
            first: self.next,
            catalogue: self.revision,
        };
        self.next += 1;
        Ok(encode_batch(&head, vec![seal(&Record { te, body })])?.into())
    }

    /// One past the newest record.
    pub(crate) fn next(&self) -> Offset {
        self.next
    }
}

/// The lane of the load: the present.
pub(crate) const LANE: Lane = Lane::Live;

fn catalogue(points: u32) -> Catalogue {
    let point = |index: u32| {
        let signal = Signal::of(index);
        Point {
            tag: tag(index),
            name: format!("{} {index}", signal.word()),
            unit: "%".to_owned(),
            low: -10.0,
            high: 110.0,
            installation: 0,
            equipment: format!("TK-{:03}", index / 5),
            period_ms: 1_000,
            silence_ms: 0,
            signal: signal.word().to_owned(),
        }
    };
    let installation =
        Installation { name: "1#罐区".to_owned(), hazard_class: 3, kind: "tank_farm".to_owned() };
    Catalogue {
        enterprise: "示例石化有限公司".to_owned(),
        installations: vec![installation],
        points: (0..points).map(point).collect(),
    }
}

/// The tag of a point.
pub(crate) fn tag(index: u32) -> Tag {
    Tag::parse(&format!("P{index:04}")).expect("letters and digits")
}

/// `limits.csv`: four limits a point, and a silence that no run reaches.
pub(crate) fn limits_csv(points: u32) -> String {
    let mut text = String::from("位号,类型,限值,回差\ntag,kind,limit,deadband\n");
    for index in 0..points {
        let tag = tag(index);
        let (high_high, high) = match Signal::of(index) {
            Signal::Gas => (50, 25),
            Signal::Level | Signal::Temperature | Signal::Piezometer => (95, 85),
        };
        let mut row = |kind: &str, limit: i32, deadband: u32| {
            writeln!(text, "{tag},{kind},{limit},{deadband}").expect("a String takes all");
        };
        row("HH", high_high, 1);
        row("H", high, 1);
        row("L", -5, 1);
        row("LL", -8, 1);
        row("STALE", 86_400, 0);
    }
    text
}

/// A name for a catalogue. The centre takes it as a name, so any hash will do.
fn revision(bytes: &[u8]) -> Revision {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Revision(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_the_same_in_every_run_and_looks_like_a_plant() {
        let (mut one, mut two) = (Gateway::new(3, 100), Gateway::new(3, 100));
        let (mut bad, mut zero, mut all) = (0, 0, 0);
        for _ in 0..200 {
            let readings = one.second();
            assert_eq!(readings, two.second());
            bad += readings.iter().filter(|(_, r)| r.is_bad()).count();
            zero += readings.iter().filter(|(_, r)| r.value() == Some(0.0)).count();
            all += readings.len();
        }
        assert!(bad > 0 && bad < all / 500, "{bad} bad of {all}");
        assert!(zero > all / 4 && zero < all / 3, "{zero} zeros of {all}");
    }

    #[test]
    fn the_limits_are_taken() {
        let text = limits_csv(30);
        let set = fengsui_alerting::limits::LimitSet::parse("limits.csv", &text).unwrap();
        assert_eq!(set.len(), 150);
        assert!(set.check_against(&catalogue(30)).is_empty());
    }
}
