//! Dice, and what they do to bytes.

use std::collections::BTreeSet;

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

/// Words of one corpus: more are repetitions of tags and numbers.
const TOKENS_MAX: usize = 4_000;
/// Longest word of a corpus that is worth putting elsewhere.
const TOKEN_BYTES_MAX: usize = 48;

/// Between the words of tables, TOML, rules and expressions.
fn parts(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b'=' | b'|' | b':' | b'.' | b'"' | b'(' | b')' | b'[' | b']')
        || byte.is_ascii_whitespace()
}

/// The words of a corpus: keys, cells, numbers, as its parser knows them.
pub(crate) fn tokens(corpus: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let words = corpus.iter().flat_map(|input| input.split(|byte| parts(*byte)));
    let words: BTreeSet<&[u8]> =
        words.filter(|word| (1..=TOKEN_BYTES_MAX).contains(&word.len())).collect();
    words.into_iter().take(TOKENS_MAX).map(<[u8]>::to_vec).collect()
}

/// The word around a place, without what parts it from the next.
fn word_at(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let before = bytes.get(..at).unwrap_or_default();
    let start = before.iter().rposition(|byte| parts(*byte)).map_or(0, |place| place + 1);
    let after = bytes.get(at..).unwrap_or_default();
    let end = after.iter().position(|byte| parts(*byte)).map_or(bytes.len(), |place| at + place);
    start..end
}

/// The line around a place, with its end.
fn line_at(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let before = bytes.get(..at).unwrap_or_default();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    let after = bytes.get(at..).unwrap_or_default();
    let end = after.iter().position(|b| *b == b'\n').map_or(bytes.len(), |place| at + place + 1);
    start..end
}

/// Some input of the corpus with one to eight damages: to bits and bytes, to whole words, to lines.
pub(crate) fn damage(
    dice: &mut Dice,
    corpus: &[Vec<u8>],
    tokens: &[Vec<u8>],
    most: usize,
) -> Vec<u8> {
    let pick = |dice: &mut Dice| {
        let place = dice.upto(corpus.len().saturating_sub(1));
        corpus.get(place).cloned().unwrap_or_default()
    };
    let mut bytes = pick(dice);
    for _ in 0..=dice.upto(7) {
        let at = dice.upto(bytes.len());
        let end = at + dice.upto((bytes.len() - at).min(32));
        match dice.upto(11) {
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
            6 | 7 => {
                let word = tokens.get(dice.upto(tokens.len().saturating_sub(1)));
                bytes.splice(word_at(&bytes, at), word.cloned().unwrap_or_default());
            }
            8 => {
                let word = WORDS.get(dice.upto(WORDS.len() - 1)).copied().unwrap_or_default();
                bytes.splice(word_at(&bytes, at), word.bytes());
            }
            9 => {
                let other = pick(dice);
                let from = line_at(&other, dice.upto(other.len()));
                let into = line_at(&bytes, at);
                bytes.splice(into, other.get(from).unwrap_or_default().to_vec());
            }
            10 => {
                let line = bytes.get(line_at(&bytes, at)).unwrap_or_default().to_vec();
                let place = line_at(&bytes, dice.upto(bytes.len())).start;
                bytes.splice(place..place, line);
            }
            _ => {
                let word = WORDS.get(dice.upto(WORDS.len() - 1)).copied().unwrap_or_default();
                bytes.splice(at..end, word.bytes());
            }
        }
    }
    bytes.truncate(most);
    bytes
}
