//! Planted faults: one for each time rule, at the line that carries it. Tests turn one on and must
//! notice. In a program there is none: the switch is the constant `false`.

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// R1: a sample is live however late it comes.
    LiveHoweverLate,
    /// R2: a sample does not fire a delay that ended before it.
    SampleFiresNoDelay,
    /// R2: a tick trusts the held value up to now.
    TickWithoutLag,
    /// R3: a clearing sample wins a tie.
    SampleWinsTie,
    /// R4: bad quality does not freeze a delay.
    BadDoesNotFreeze,
    /// R5, Q8: a delay may outlive the supervision of its point.
    DelayBeyondStale,
    /// R6: a stamp from the future moves W.
    FutureMovesNewest,
    /// R7: ticks are trusted at once after a restart.
    TicksAfterRestart,
    /// R8a: what is over when it is found needs no answer.
    LateClosedForgotten,
    /// R8b: what still holds when it is found is not announced.
    LateOpenIsSilent,
    /// R8c: other bounds are not written down.
    BoundsNotRevised,
    /// R8d: what never was stays confirmed.
    NothingRefuted,
    /// R8e: a shelf says nothing about the past.
    OverlayForgetsPast,
    /// R8f: there is no horizon.
    NoHorizon,
    /// R9: every late occurrence has its chime.
    ChimeForEach,
    /// R10: a row says that the host knew when it happened.
    KnewWhenItHappened,
    /// R11, P1: a recomputation begins in the middle of a delay.
    RecomputesFromAnywhere,
    /// R11, P3: a snapshot forgets a running delay.
    SnapshotForgetsDelay,
    /// R11, P1: late data do not reach what is derived from them.
    DerivedMissesLateData,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether this fault is planted.
#[cfg(test)]
pub(crate) fn planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// Whether this fault is planted: never.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn planted(_: Mutant) -> bool {
    false
}

#[cfg(test)]
pub(crate) fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}
