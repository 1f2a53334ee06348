//! Dice, and what they do to bytes.

/// What parsers trip over.
const WORDS: &[&str] = &[
    "NaN",
    "inf",
    "-0",
    "1e400",
    "-1",
    "0",
    "65535",
    "65536",
    "4294967296",
    "18446744073709551616",
    "170141183460469231731687303715884105728",
    "\u{feff}",
    "\"",
    "\"\"",
    "\r\n",
    "\n",
    "\r",
    ",",
    ";",
    "=",
    "@",
    "#",
    "-",
    ":",
    "..",
    "[",
    "]",
    "[[",
    "{",
    "位号",
    "\u{0}",
    "\u{2028}",
    "status=@status",
    "bits=0-63",
    "loop=4-20",
    "counter=2;counter_per_s=1e300",
    "table=tank.csv",
    "orders=0:ABCD",
    "holding",
    "bool",
    "bcd64",
    "ABCD",
    "true",
    "'''",
    "9223372036854775807",
];

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Every seed gives another row of throws.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `most`, both included.
    fn upto(&mut self, most: usize) -> usize {
        let sides = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        usize::try_from(self.next() % sides).unwrap_or(0)
    }
}

/// Some input of the corpus with one to eight damages.
pub(crate) fn damage(dice: &mut Dice, corpus: &[Vec<u8>], most: usize) -> Vec<u8> {
    let pick = |dice: &mut Dice| {
        let place = dice.upto(corpus.len().saturating_sub(1));
        corpus.get(place).cloned().unwrap_or_default()
    };
    let mut bytes = pick(dice);
    for _ in 0..=dice.upto(7) {
        let at = dice.upto(bytes.len());
        let end = at + dice.upto((bytes.len() - at).min(32));
        match dice.upto(7) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.upto(7);
                }
            }
            1 => {
                let [byte, ..] = dice.next().to_le_bytes();
                bytes.insert(at, byte);
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again: Vec<u8> = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let other = pick(dice);
                let from = dice.upto(other.len());
                let to = from + dice.upto((other.len() - from).min(64));
                bytes.splice(at..end, other.get(from..to).unwrap_or_default().to_vec());
            }
            5 => bytes.truncate(at),
            _ => {
                let word = WORDS.get(dice.upto(WORDS.len() - 1)).copied().unwrap_or_default();
                bytes.splice(at..end, word.bytes());
            }
        }
    }
    bytes.truncate(most);
    bytes
}
