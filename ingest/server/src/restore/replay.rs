//! Events played again into a restored engine, with the journal beside them.
//!
//! - Stored samples and commands come in the order in which the engine took them: by `ti`.
//! - The journal is what people saw. A row that no event comes to again is taken over as it is:
//!   its samples were on their way to the store, and the gateway offers them once more.
//! - Signs of life are not stored, so no gateway falls silent here unless the journal says so.

use std::collections::{BTreeMap, HashSet, VecDeque};

use fengsui_alerting::{
    Action, AlarmId, AlarmSpec, Cause, Command, Condition, Engine, Event, Flags, GatewayRef,
    Letter, Occurrence, PointRef, Row, Subject,
};
use fengsui_store::{AlarmJournal, Intake, JournalRow, StoreError};
use fengsui_telemetry::{GatewayId, Revision, TimeMs};
use tracing::warn;

use crate::registry::Registry;

/// Journal rows read at once.
const PAGE: usize = 1_000;
/// Deadlines between two replayed facts: one for every alarm of a large centre.
const WAKES_MAX: usize = 1_200_000;

/// A row of the journal that the snapshot does not cover.
struct Told {
    row: Row,
    command: Option<Command>,
}

/// A restored engine on its way to where it was.
pub(super) struct Replay<'a> {
    pub(super) engine: Engine,
    /// Rows that came out.
    pub(super) rows: Vec<Row>,
    /// Rows taken over from the journal.
    pub(super) adopted: usize,
    registry: &'a Registry,
    told: VecDeque<Told>,
    again: HashSet<String>,
    /// Silences that the journal tells. They are timed by the clock of the run that saw them, so a
    /// replay may come to the same one a little beside it.
    told_silences: HashSet<(AlarmId, u64, &'static str)>,
    /// The alarms about gateways.
    silences: Vec<(AlarmId, GatewayRef)>,
}

impl<'a> Replay<'a> {
    /// Reads what the journal tells after a snapshot.
    pub(super) fn begin(
        engine: Engine,
        registry: &'a Registry,
        journal: &AlarmJournal,
        after: u64,
    ) -> Result<Self, StoreError> {
        let alarms: BTreeMap<&str, AlarmId> = (0_u32..)
            .zip(&engine.plan().alarms)
            .map(|(id, alarm)| (alarm.key.as_str(), AlarmId(id)))
            .collect();
        let mut told = VecDeque::new();
        let mut at = after;
        loop {
            let page = journal.page(at, PAGE)?;
            let Some(last) = page.last() else { break };
            at = last.seq;
            for stored in &page {
                let alarm = alarms.get(stored.row.alarm.as_str());
                told.extend(alarm.and_then(|alarm| told_by(&stored.row, *alarm)));
            }
        }
        let silence = |(id, alarm): (u32, &AlarmSpec)| match alarm.subject {
            Subject::Gateway(gateway) => Some((AlarmId(id), gateway)),
            Subject::Point(_) => None,
        };
        let silences = (0_u32..).zip(&engine.plan().alarms).filter_map(silence).collect();
        let (rows, again) = (Vec::new(), HashSet::new());
        let mut replay = Self {
            engine,
            rows,
            adopted: 0,
            registry,
            told,
            again,
            told_silences: HashSet::new(),
            silences,
        };
        let told_silences = replay.told.iter().filter_map(|told| replay.silence(&told.row));
        replay.told_silences = told_silences.collect();
        Ok(replay)
    }

    /// Names a silence by alarm, occurrence and edge; none for other rows.
    fn silence(&self, row: &Row) -> Option<(AlarmId, u64, &'static str)> {
        let place = usize::try_from(row.alarm.0).ok()?;
        match &self.engine.plan().alarms.get(place)?.condition {
            Condition::Stale { .. }
            | Condition::GatewayOffline { .. }
            | Condition::Clock { .. }
            | Condition::Unset => Some((row.alarm, row.occurrence, row.cause.word())),
            Condition::High { .. } | Condition::Low { .. } | Condition::Derived(_) => None,
        }
    }

    /// Rows that came out and that the journal does not tell.
    pub(super) fn untold(&self) -> Vec<Row> {
        let is_told = |row: &Row| {
            self.silence(row).is_some_and(|silence| self.told_silences.contains(&silence))
        };
        self.rows.iter().filter(|row| !is_told(row)).cloned().collect()
    }

    /// One stored intake, after everything that the engine knew before.
    pub(super) fn intake(&mut self, intake: &Intake) -> u64 {
        let id = GatewayId::parse(&intake.gateway).ok();
        let gateway = id.and_then(|id| self.registry.gateway(&id));
        let Some(gateway) = gateway.and_then(|index| u32::try_from(index).ok()) else { return 0 };
        self.catch_up(intake.ti, Some(intake));
        self.play(Event::Heard { gateway: GatewayRef(gateway) }, intake.ti);
        for (point, te, reading) in &intake.samples {
            let (point, lane) = (PointRef(*point), intake.lane);
            self.play(Event::Sample { point, te: *te, reading: *reading, lane }, intake.ti);
        }
        intake.samples.len() as u64
    }

    /// Everything else that the journal tells, then the restart itself.
    pub(super) fn end(&mut self, now: TimeMs) {
        self.catch_up(TimeMs::MAX, None);
        self.play(Event::Restarted, now);
    }

    /// Rows told up to a time, but those that an intake of this very moment will bring itself.
    fn catch_up(&mut self, until: TimeMs, intake: Option<&Intake>) {
        loop {
            let due = self.told.front().is_some_and(|told| {
                let brings = |intake: &Intake| brings(&self.engine, intake, &told.row);
                told.row.ti < until || (told.row.ti == until && !intake.is_some_and(brings))
            });
            match self.told.pop_front() {
                Some(told) if due => self.tell(told),
                Some(told) => return self.told.push_front(told),
                None => return,
            }
        }
    }

    fn tell(&mut self, told: Told) {
        let Told { row, command } = told;
        let at = row.ti;
        if self.again.contains(&row.id) {
            return;
        }
        self.wake(at);
        if let Some(command) = command {
            return self.play(Event::Command(command), at);
        }
        if (row.flags.late || row.flags.rev) && !self.again.contains(&row.id) {
            let gateway = self.engine.plan().alarms.get(row.alarm.0 as usize).map(|a| a.gateway);
            gateway.into_iter().for_each(|gateway| self.play(Event::Settle { gateway }, at));
        }
        if !self.again.contains(&row.id) {
            self.adopted += usize::from(self.engine.adopt(&row));
        }
    }

    /// Deadlines up to a time, each at its own.
    fn wake(&mut self, until: TimeMs) {
        self.keep_alive(until);
        for _ in 0..WAKES_MAX {
            match self.engine.wake_at() {
                Some(at) if at <= until => self.play(Event::Wake, at),
                Some(_) | None => return,
            }
        }
        warn!("deadlines do not end; the rest is done at the next wake");
    }

    /// Every gateway that the journal does not tell to be offline was heard somehow.
    fn keep_alive(&mut self, now: TimeMs) {
        let online = |(alarm, _): &&(AlarmId, GatewayRef)| !self.engine.standing(*alarm).active;
        let heard: Vec<_> = self.silences.iter().filter(online).map(|(_, g)| *g).collect();
        for gateway in heard {
            self.play(Event::Heard { gateway }, now);
        }
    }

    fn play(&mut self, event: Event, at: TimeMs) {
        let mut actions = Vec::new();
        self.engine.handle(event, at, &mut actions);
        for action in actions {
            match action {
                Action::Record(row) => {
                    self.again.insert(row.id.clone());
                    self.rows.push(row);
                }
                Action::Annunciate { .. }
                | Action::Silence { .. }
                | Action::Chime { .. }
                | Action::Recall { .. } => {}
            }
        }
    }
}

/// True where a row is about a sample of this intake, or about the settlement that it ended.
fn brings(engine: &Engine, intake: &Intake, row: &Row) -> bool {
    let place = usize::try_from(row.alarm.0).unwrap_or(usize::MAX);
    let subject = engine.plan().alarms.get(place).map(|alarm| alarm.subject);
    let is = |sample: &(u32, TimeMs, _)| {
        subject == Some(Subject::Point(PointRef(sample.0))) && row.te == Some(sample.1)
    };
    row.flags.late || row.flags.rev || intake.samples.iter().any(is)
}

/// A row of the journal as the engine made it; none for what no engine made.
fn told_by(row: &JournalRow, alarm: AlarmId) -> Option<Told> {
    let cause = Cause::from_word(&row.cause)?;
    let command = match row.command.as_ref().map(|text| crate::commands::from_json(alarm, text)) {
        Some(Ok(command)) => Some(command),
        Some(Err(fault)) => {
            warn!(id = %row.id, %fault, "a command of the journal is unreadable");
            None
        }
        None => None,
    };
    let flags = Flags::from_words(&row.flags).unwrap_or_default();
    let bounds = row.te_on.map(|on| Occurrence {
        number: row.occurrence,
        on,
        off: row.te_off,
        late: flags.late,
        refuted: cause == Cause::Refuted,
    });
    let row = Row {
        id: row.id.clone(),
        alarm,
        ti: row.ti,
        te: row.te,
        from: Letter::from_char(row.from)?,
        to: Letter::from_char(row.to)?,
        occurrence: row.occurrence,
        bounds,
        cause,
        flags,
        value: row.value,
        by: row.by.clone(),
        comment: row.comment.clone(),
        command: None,
        revision: Revision(row.revision),
    };
    Some(Told { row, command })
}
