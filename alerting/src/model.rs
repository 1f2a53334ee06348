//! What goes into the engine and what comes out of it.
//!
//! - Both hosts (gateway and centre) speak these types and no others.
//! - A [`Row`] is a fact for the journal; its `id` is the same however often the engine, after a
//!   crash, comes to it again.

use std::sync::Arc;

use fengsui_telemetry::{Lane, Reading, Revision, TimeMs};
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::derived::Derived;

/// A point, by the number that the host gave it. Dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PointRef(pub u32);

/// A gateway, by the number that the host gave it. Dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GatewayRef(pub u32);

/// An alarm object, by its place in the [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlarmId(pub u32);

/// P1 urgent … P4 low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// 紧急
    P1,
    /// 高
    P2,
    /// 中
    P3,
    /// 低
    P4,
}

impl Priority {
    /// 1..=4.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::P1 => 1,
            Self::P2 => 2,
            Self::P3 => 3,
            Self::P4 => 4,
        }
    }

    /// The longest shelf that a person may give an alarm of this priority (W16).
    #[must_use]
    pub fn longest_shelf_ms(self) -> i64 {
        const MINUTE_MS: i64 = 60_000;
        match self {
            Self::P1 => 30 * MINUTE_MS,
            Self::P2 => 4 * 60 * MINUTE_MS,
            Self::P3 => 8 * 60 * MINUTE_MS,
            Self::P4 => 24 * 60 * MINUTE_MS,
        }
    }

    /// The priority of 1..=4.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::P1, Self::P2, Self::P3, Self::P4].into_iter().find(|p| p.number() == number)
    }
}

/// When an alarm is true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// On at `value >= limit`, off at `value < limit - deadband`.
    High {
        /// The limit.
        limit: f64,
        /// The deadband, in the point's unit.
        deadband: f64,
        /// HH subsumes H on screens; both keep their own state.
        level: Level,
    },
    /// On at `value <= limit`, off at `value > limit + deadband`.
    Low {
        /// The limit.
        limit: f64,
        /// The deadband, in the point's unit.
        deadband: f64,
        /// LL subsumes L on screens.
        level: Level,
    },
    /// The newest sample with a number is older than this. Cleared only by a fresh sample, never
    /// by back-fill.
    Stale {
        /// Milliseconds.
        after_ms: i64,
    },
    /// Nothing was heard of the gateway for this long; also when it was never heard.
    GatewayOffline {
        /// Milliseconds.
        after_ms: i64,
    },
    /// The gateway's time cannot be trusted: skew beyond this, not synchronised, or stamps from
    /// the future (R6).
    Clock {
        /// Milliseconds.
        limit_ms: i64,
    },
    /// A limit that must be there is missing: the point counts as blind.
    Unset,
    /// Something derived from several samples, points or alarms.
    Derived(Arc<Derived>),
    /// Nobody judges it any more: the plan had it, and does not have it now. It keeps its last state
    /// until a person has answered.
    Unjudged,
}

/// First or second level of a high or low alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// H or L.
    First,
    /// HH or LL.
    Second,
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A point.
    Point(PointRef),
    /// A gateway.
    Gateway(GatewayRef),
}

/// How acknowledgement and return work for one alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lifecycle {
    /// Stays after return until reset.
    pub latch: bool,
    /// False: goes to C at once (T2).
    pub ack_required: bool,
    /// T12 instead of T11.
    pub ack_resets_latch: bool,
    /// T16, ms after the last annunciation; 0 = off.
    pub realarm_ms: i64,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { latch: false, ack_required: true, ack_resets_latch: false, realarm_ms: 0 }
    }
}

/// The constants of the time rules R1–R8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRules {
    /// R1: a sample older than this at arrival takes the late path.
    pub live_ms: i64,
    /// R2: a tick trusts the held value up to now minus this.
    pub hold_lag_ms: i64,
    /// R8f: older than this is history only.
    pub late_horizon_ms: i64,
    /// R6: further ahead of the host's clock than this is not trusted.
    pub max_future_ms: i64,
}

impl Default for TimeRules {
    fn default() -> Self {
        Self {
            live_ms: 30_000,
            hold_lag_ms: 2_000,
            late_horizon_ms: 7 * 86_400_000,
            max_future_ms: 5_000,
        }
    }
}

/// One alarm object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmSpec {
    /// Unique in the plan and stable over revisions: `GW-01/TK-101.LT/HH`.
    pub key: String,
    /// What it is about.
    pub subject: Subject,
    /// The gateway whose live lane it waits for (R7).
    pub gateway: GatewayRef,
    /// When it is true.
    pub condition: Condition,
    /// On-delay, ms.
    pub on_delay_ms: i64,
    /// Off-delay, ms.
    pub off_delay_ms: i64,
    /// Priority.
    pub priority: Priority,
    /// Acknowledgement and latch.
    pub lifecycle: Lifecycle,
    /// Time rules. The same for every alarm of one point.
    pub times: TimeRules,
    /// The limits that this alarm came from: gateways change theirs one by one.
    pub revision: Revision,
    /// A shelf needs the number of a written permit (gas level 2, HH with interlock).
    pub statutory: bool,
    /// Key of the alarm that suppresses this one while it is on (Q26).
    pub suppressed_by: Option<Arc<str>>,
}

impl AlarmSpec {
    /// True where the alarm depends on others of the plan.
    pub(crate) fn looks_at_alarms(&self) -> bool {
        self.condition.looks_at_alarms() || self.suppressed_by.is_some()
    }
}

impl Condition {
    /// True where other alarms decide as well.
    pub(crate) fn looks_at_alarms(&self) -> bool {
        match self {
            Self::Derived(derived) => !derived.alarms().is_empty(),
            Self::High { .. }
            | Self::Low { .. }
            | Self::Stale { .. }
            | Self::GatewayOffline { .. }
            | Self::Clock { .. }
            | Self::Unset
            | Self::Unjudged => false,
        }
    }
}

/// Every alarm of a host, under one revision.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Names the whole plan; an alarm's rows name the revision of its own [`AlarmSpec`].
    pub revision: Revision,
    /// The alarms; an [`AlarmId`] is a place in here.
    pub alarms: Vec<AlarmSpec>,
}

/// What can happen to the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// One sample. Backlog samples wait for `Settle` (or five quiet seconds).
    Sample {
        /// Which point.
        point: PointRef,
        /// Source time.
        te: TimeMs,
        /// What it said.
        reading: Reading,
        /// How it came.
        lane: Lane,
    },
    /// A back-fill of this gateway has ended: judge its late samples now.
    Settle {
        /// Which gateway.
        gateway: GatewayRef,
    },
    /// Something was heard of the gateway: a beat, a birth, a batch.
    Heard {
        /// Which gateway.
        gateway: GatewayRef,
    },
    /// What the host knows of a gateway's clock.
    Clock {
        /// Which gateway.
        gateway: GatewayRef,
        /// How far it is ahead of the host's, ms.
        skew_ms: i64,
        /// It says that it is synchronised.
        synchronised: bool,
    },
    /// The engine was restored after a stop: no tick is trusted for a gateway's points until its
    /// live lane has caught up, at most five seconds (R7, Q29).
    Restarted,
    /// The live lane of this gateway has reached what its birth or first beat named.
    CaughtUp {
        /// Which gateway.
        gateway: GatewayRef,
    },
    /// A person did something.
    Command(Command),
    /// Stored samples that a `Recall` asked for, in order of te: all of them, or the engine would
    /// take what is missing for what never was. Recalls of one point are answered in order.
    History {
        /// Which point.
        point: PointRef,
        /// From where, inclusive: the `from` of the recall.
        from: TimeMs,
        /// What the store holds from there to the recall's `to`.
        samples: Vec<(TimeMs, Reading)>,
    },
    /// The time that `wake_at` named has come. Needless wakes are harmless.
    Wake,
}

/// State letters of the alarm model, overlays included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Letter {
    /// Normal.
    A,
    /// Unacknowledged.
    B,
    /// Acknowledged.
    C,
    /// Returned, unacknowledged.
    D,
    /// Latched, unacknowledged.
    E,
    /// Latched, acknowledged.
    F,
    /// Shelved.
    G,
    /// Suppressed by design.
    H,
    /// Out of service.
    I,
}

/// Why a row was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The condition came on.
    On,
    /// The condition went off.
    Off,
    /// Acknowledged.
    Acknowledged,
    /// An acknowledgement that names an older occurrence.
    StaleAcknowledgement,
    /// Reset.
    Reset,
    /// A command that the state does not allow; nothing changed.
    Refused,
    /// Shelved.
    Shelved,
    /// The shelf ended, by time, return or person.
    Unshelved,
    /// Suppressed.
    Suppressed,
    /// Suppression ended.
    Unsuppressed,
    /// Out of service.
    OutOfService,
    /// Back in service.
    InService,
    /// Re-alarm timer.
    ReAlarm,
    /// A sample that was known already.
    Duplicate,
    /// A stamp from the future.
    FutureStamp,
    /// Late data gave the occurrence other bounds.
    Revised,
    /// Late data refuted the occurrence.
    Refuted,
    /// Samples beyond the late horizon.
    History,
    /// The plan does not have this alarm any more, and it is not normal.
    NoLongerJudged,
    /// The plan has it again.
    JudgedAgain,
}

/// Marks on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Flags {
    /// Fired by a tick on the held value.
    pub hold: bool,
    /// Found by settlement of late data.
    pub late: bool,
    /// Changes what an earlier row said.
    pub rev: bool,
    /// Done after a restart.
    pub recovered: bool,
    /// The stamp was not trusted.
    pub est_time: bool,
    /// Too old to judge.
    pub history: bool,
}

/// One fact for the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Same fact, same id: a journal that holds it already drops the repeat.
    pub id: String,
    /// Which alarm.
    pub alarm: AlarmId,
    /// When the host knew.
    pub ti: TimeMs,
    /// When it happened; none for what people do.
    pub te: Option<TimeMs>,
    /// Letter shown before.
    pub from: Letter,
    /// Letter shown after. Equal to `from`: a note.
    pub to: Letter,
    /// Number of the occurrence.
    pub occurrence: u64,
    /// The bounds of that occurrence as this row leaves them, where there is one.
    pub bounds: Option<Occurrence>,
    /// Why.
    pub cause: Cause,
    /// Marks.
    pub flags: Flags,
    /// The value that decided, if one did.
    pub value: Option<f64>,
    /// Who, for commands.
    pub by: Option<String>,
    /// Free text of a command, or a reason.
    pub comment: String,
    /// The command that made it, so that a restart can play it again.
    pub command: Option<Command>,
    /// The limits that judged.
    pub revision: Revision,
}

/// What the host must do, in this order.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most actions are rows; a box would cost more")]
pub enum Action {
    /// Write this to the journal. Comes before the annunciation that it causes.
    Record(Row),
    /// Sound, list and notify.
    Annunciate {
        /// Which alarm.
        alarm: AlarmId,
        /// Which occurrence.
        occurrence: u64,
    },
    /// A person has answered, or the latch was reset: this alarm sounds no more.
    Silence {
        /// Which alarm.
        alarm: AlarmId,
    },
    /// Late data showed excursions that are over: one chime for the package (R8a).
    Chime {
        /// The gateway whose back-fill it was.
        gateway: GatewayRef,
    },
    /// The engine needs these stored samples to judge late ones; answer with `History`, once the
    /// store holds everything that the engine has been told. A host without a store gives no
    /// answer, and what is too late for the engine's own memory is not judged there.
    Recall {
        /// Which point.
        point: PointRef,
        /// From, inclusive.
        from: TimeMs,
        /// To, inclusive.
        to: TimeMs,
    },
}

/// One occurrence of one alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Its number, from 1, in order of discovery.
    pub number: u64,
    /// Event time of its beginning.
    pub on: TimeMs,
    /// Event time of its end; none while it lasts.
    pub off: Option<TimeMs>,
    /// Found in late data.
    pub late: bool,
    /// Late data refuted it.
    pub refuted: bool,
}

/// How an alarm stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Which alarm.
    pub alarm: AlarmId,
    /// Letter shown, overlays first.
    pub letter: Letter,
    /// Newest occurrence.
    pub occurrence: Option<Occurrence>,
    /// True while the condition holds.
    pub active: bool,
    /// Occurrences that still want an acknowledgement (late ones beside the newest).
    pub unacknowledged: Vec<u64>,
    /// Value at the latest transition.
    pub value: Option<f64>,
    /// When the host knew of the latest change.
    pub since: TimeMs,
    /// Who acknowledged, if somebody did.
    pub acknowledged_by: Option<String>,
    /// End of a running shelf.
    pub shelf_until: Option<TimeMs>,
}
