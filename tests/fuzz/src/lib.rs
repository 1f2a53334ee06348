//! Damaged input for every parser: seeded mutations of a corpus.
//!
//! - Not coverage-guided: that wants a nightly compiler or its flags. In its place an input that is
//!   answered in a way not seen before joins the corpus, and is damaged further.
//! - Damage knows words and lines: a word of the corpus, or one that parsers trip over, takes the
//!   place of another, so that what comes behind the first check is reached as well.
//! - A run is named by its seed: the same seed and count give the same inputs.
//! - What is wrong: a panic, an answer that contradicts itself, an input that takes longer than
//!   [`SLOW`].

pub mod clock;
mod mutate;
mod targets;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub use mutate::Dice;
pub use targets::{TARGETS, Target};

use clock::Began;

/// Longest that one input may take, in a debug build on a busy machine.
pub const SLOW: Duration = Duration::from_secs(5);
/// Inputs that are kept for further damage: enough for every answer that was ever seen.
const CORPUS_MAX: usize = 4_000;
/// Longest input: parsers with limits of their own are shown more than those by their own tests.
const BYTES_MAX: usize = 16_384;

/// Until when a run goes on.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So many inputs.
    Inputs(u64),
    /// So long.
    Time(Duration),
}

/// What a run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many inputs.
    pub inputs: u64,
    /// How many different ways to be answered.
    pub answers: usize,
}

/// An input that was not borne.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its bytes.
    pub input: Vec<u8>,
    /// What happened.
    pub what: String,
}

/// Damages and feeds until the end, or until something breaks.
///
/// # Errors
/// The input that broke it.
pub fn run(target: &Target, seed: u64, until: Until) -> Result<Summary, Finding> {
    let began = Began::now();
    let mut dice = Dice::new(seed);
    let mut corpus = (target.corpus)();
    let mut seen = BTreeSet::new();
    let mut inputs = 0;
    let first = corpus.clone();
    let tokens = mutate::tokens(&first);
    loop {
        let over = match until {
            Until::Inputs(most) => inputs >= most,
            Until::Time(most) => began.ago() >= most,
        };
        if over {
            return Ok(Summary { inputs, answers: seen.len() });
        }
        // The corpus itself comes first: it must be borne as it is.
        let whole = usize::try_from(inputs).ok().and_then(|index| first.get(index));
        let input = whole
            .cloned()
            .unwrap_or_else(|| mutate::damage(&mut dice, &corpus, &tokens, BYTES_MAX));
        inputs += 1;
        let one = Began::now();
        let answer = catch_unwind(AssertUnwindSafe(|| (target.feed)(&input)));
        let finding = |what: String| Finding { input: input.clone(), what };
        let answer = answer
            .map_err(|panic| finding(format!("panic: {}", said(panic.as_ref()))))?
            .map_err(|what| finding(what.to_owned()))?;
        if one.ago() > SLOW {
            return Err(finding(format!("took {:?}", one.ago())));
        }
        if seen.insert(shape(&answer)) && corpus.len() < CORPUS_MAX {
            corpus.push(input);
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words").to_owned()
}

/// An answer without its numbers: what kind it is.
fn shape(answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for c in answer.chars().filter(|c| !c.is_ascii_digit()).take(2_000) {
        c.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
