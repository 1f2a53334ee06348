//! Each time rule is broken once, and the tests must notice: by a vector, by a story, or by a
//! seeded run within so many seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{bounds, random, random_derived, stories, stories_late};
use crate::mutant::{Mutant, plant};
use crate::vectors;

const VECTORS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/alarm-vectors.jsonl"));
/// A fault that no seed below this shows would need luck to be seen at all.
const SEEDS: u64 = 200;

/// Who notices.
enum Watch {
    Vectors,
    Story(fn()),
    Shifts(fn(u64)),
}

impl Watch {
    fn notices(&self) -> bool {
        let fails = |test: &dyn Fn()| catch_unwind(AssertUnwindSafe(test)).is_err();
        match self {
            Self::Vectors => vectors::run(VECTORS).failed > 0,
            Self::Story(story) => fails(&|| story()),
            Self::Shifts(shift) => (1..=SEEDS).any(|seed| fails(&|| shift(seed))),
        }
    }
}

fn watched() -> Vec<(Mutant, Watch)> {
    use Mutant as M;
    use Watch::{Shifts, Story, Vectors};
    vec![
        (M::LiveHoweverLate, Story(stories_late::an_occurrence_found_late_sounds_if_it_holds)),
        (M::SampleFiresNoDelay, Vectors),
        (M::TickWithoutLag, Vectors),
        (M::SampleWinsTie, Vectors),
        (M::BadDoesNotFreeze, Vectors),
        (M::DelayBeyondStale, Story(bounds::every_fault_of_a_plan_is_named)),
        (
            M::FutureMovesNewest,
            Story(stories_late::a_stamp_from_the_future_makes_no_good_sample_late),
        ),
        (
            M::TicksAfterRestart,
            Story(stories::after_a_restart_no_delay_fires_until_the_live_lane_has_caught_up),
        ),
        (M::LateClosedForgotten, Vectors),
        (M::LateOpenIsSilent, Story(stories_late::an_occurrence_found_late_sounds_if_it_holds)),
        (M::BoundsNotRevised, Vectors),
        (
            M::OverlayForgetsPast,
            Story(stories_late::a_late_occurrence_wholly_inside_a_shelf_is_journal_only),
        ),
        (M::NoHorizon, Story(stories_late::what_is_beyond_the_horizon_is_history_only)),
        (M::ChimeForEach, Story(stories_late::one_back_fill_has_one_chime)),
        (M::KnewWhenItHappened, Vectors),
        (M::RecomputesFromAnywhere, Shifts(random::shift)),
        (M::SnapshotForgetsDelay, Shifts(random::shift)),
        (M::DerivedMissesLateData, Shifts(random_derived::shift)),
        // What the vectors see, the seeded runs see as well where occurrences are at stake.
        (M::SampleWinsTie, Shifts(random::shift)),
        (M::BadDoesNotFreeze, Shifts(random::shift)),
        (M::SampleFiresNoDelay, Shifts(random::shift)),
        (M::BoundsNotRevised, Shifts(random::shift)),
        (M::NothingRefuted, Shifts(random::shift)),
        (M::BadDoesNotFreeze, Shifts(random_derived::shift)),
    ]
}

#[test]
fn every_broken_rule_is_noticed() {
    let mut missed = Vec::new();
    for (mutant, watch) in watched() {
        plant(None);
        let quiet = match &watch {
            Watch::Shifts(_) => true,
            Watch::Vectors | Watch::Story(_) => !watch.notices(),
        };
        assert!(quiet, "{mutant:?}: its test fails without the fault");
        plant(Some(mutant));
        if !watch.notices() {
            missed.push(mutant);
        }
        plant(None);
    }
    assert_eq!(missed, []);
}
