//! A short run of every parser in every test; `make fuzz` runs each for a minute.

use super::*;

/// Inputs a parser is shown in each test.
const INPUTS: u64 = 300;

#[test]
fn every_parser_bears_damaged_input() {
    for target in TARGETS {
        let found = run(target, 20_261_122, Until::Inputs(INPUTS));
        let summary = found.unwrap_or_else(|f| panic!("{}: {} {:?}", target.name, f.what, f.input));
        assert!(summary.answers >= 3, "{}: nothing was reached: {summary:?}", target.name);
    }
}

#[test]
fn the_corpus_is_good_before_it_is_damaged() {
    for name in ["frame", "sheet", "site", "gateway", "profile", "limits", "table"] {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        let first = (target.corpus)().into_iter().next().unwrap();
        let answer = (target.feed)(&first).unwrap();
        assert!(answer.starts_with("good") || answer == "words", "{name}: {answer}");
    }
}

#[test]
fn one_row_of_every_kind_of_limit_is_read() {
    let target = TARGETS.iter().find(|target| target.name == "limits").unwrap();
    let kinds = (target.corpus)().into_iter().nth(1).unwrap();
    let answer = (target.feed)(&kinds).unwrap();
    assert!(answer.starts_with("good"), "{answer}");
}

/// A parser with a mistake is caught, and the same seed catches it with the same input.
#[test]
fn a_panic_and_a_contradiction_are_found_again_by_their_seed() {
    let broken = Target {
        name: "broken",
        corpus: || vec![b"0123456789".to_vec()],
        feed: |input| if input.len() < 4 { panic!("too short") } else { Ok(String::new()) },
    };
    let found = run(&broken, 7, Until::Inputs(100_000)).unwrap_err();
    assert_eq!(found.what, "panic: too short");
    assert_eq!(run(&broken, 7, Until::Inputs(100_000)).unwrap_err(), found);
    let wrong = Target {
        feed: |input| if input.contains(&b'@') { Err("@") } else { Ok(String::new()) },
        ..broken
    };
    assert_eq!(run(&wrong, 7, Until::Inputs(100_000)).unwrap_err().what, "@");
}
