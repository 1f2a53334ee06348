//! The one owner of the ladders: reads rows, wakes the machine, records, hands over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fengsui_alerting::calls::{
    Action, AnswerRequest, CallRequest, Entry, Event, Finding, Hand, Machine, Open, PACKAGE,
    SendResult, audit,
};
use fengsui_alerting::closure::{self, Cases};
use fengsui_store::StoredRow;
use fengsui_telemetry::TimeMs;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use super::channels::{self, Done, Job};
use super::rows::{CALL, CLOSURE, Facts, Told, told};
use super::{Ask, Parts, ReceiptRequest, Refused, Said, message, view};
use crate::clock;
use crate::note::{self, Note};
use crate::registry::AlarmFacts;

/// Between two looks at the journal: what a person notices as "at once" is ten times as long.
const POLL: Duration = Duration::from_millis(100);
/// Rows read at once.
const PAGE: usize = 1_000;
/// Results recorded in one transaction.
const RESULTS_MAX: usize = 64;
/// Between two audits.
const AUDIT_EVERY_MS: i64 = 10_000;
/// Persons named to whoever named an unknown one.
const PERSONS_NAMED: usize = 20;
/// Newest rows of an alarm in which its newest occurrence is looked for.
const ROWS_OF_ALARM: usize = 100;
/// A desk that does not answer must not hold the ladders.
const DESK_PATIENCE: Duration = Duration::from_secs(2);

/// All ladders and cases, and the ways out.
pub(super) struct Office {
    pub(super) machine: Machine,
    pub(super) cases: Cases,
    pub(super) parts: Parts,
    pub(super) facts: Arc<Facts>,
    pub(super) findings: BTreeMap<Finding, TimeMs>,
    pub(super) channels: BTreeMap<String, mpsc::Sender<Job>>,
    /// Results of channels come back by this.
    pub(super) done: mpsc::Sender<Done>,
    /// Who may send receipts.
    pub(super) tokens: watch::Sender<BTreeMap<String, String>>,
    /// Seen once: a finding if it is seen again.
    suspects: BTreeSet<Finding>,
    /// Alarms that are in no plan and not on the desk, seen once.
    orphans: BTreeSet<String>,
    audit_at: TimeMs,
    /// Read up to here.
    at: u64,
    /// Read from the journal, to be handed over.
    hands: Vec<Hand>,
    /// Hand-overs that could not even be queued.
    lost: Vec<Entry>,
    /// False while an earlier life is read.
    live: bool,
}

impl Office {
    pub(super) fn new(
        parts: Parts,
        (done, tokens): (mpsc::Sender<Done>, watch::Sender<BTreeMap<String, String>>),
        seed: u64,
    ) -> Self {
        let all = parts.config.channels.iter();
        let started = all.map(|c| (c.name.clone(), channels::start(c.clone(), done.clone())));
        let channels = started.collect();
        Self {
            machine: Machine::new(parts.config.setup.clone(), seed),
            cases: Cases::default(),
            parts,
            facts: Arc::default(),
            findings: BTreeMap::new(),
            channels,
            done,
            tokens,
            suspects: BTreeSet::new(),
            orphans: BTreeSet::new(),
            audit_at: clock::now() + AUDIT_EVERY_MS,
            at: 0,
            hands: Vec::new(),
            lost: Vec::new(),
            live: false,
        }
    }

    pub(super) async fn run(
        mut self,
        mut asks: mpsc::Receiver<Ask>,
        mut results: mpsc::Receiver<Done>,
        mut stop: watch::Receiver<bool>,
    ) {
        self.learn().await;
        self.read().await;
        // What an earlier life handed over, or was about to: without a result it is made again.
        self.live = true;
        let repeats = self.machine.unsent();
        info!(rows = self.at, repeats = repeats.len(), "call ledger read");
        self.act(repeats).await;
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = crate::stop::asked(&mut stop) => return,
                _ = poll.tick() => self.turn().await,
                Some(done) = results.recv() => {
                    let mut list = vec![done];
                    while list.len() < RESULTS_MAX && let Ok(done) = results.try_recv() {
                        list.push(done);
                    }
                    self.results(list).await;
                }
                Some(ask) = asks.recv() => self.asked(ask).await,
            }
        }
    }

    pub(super) async fn turn(&mut self) {
        self.read().await;
        self.machine.mind_clock(clock::now());
        if self.machine.wake_at().is_some_and(|at| at <= clock::now()) {
            let mut actions = Vec::new();
            self.machine.handle(Event::Wake, clock::now(), &mut actions);
            self.act(actions).await;
        }
        self.hand_over().await;
        if clock::now() >= self.audit_at || self.audit_at.since(clock::now()) > AUDIT_EVERY_MS {
            self.audit_at = clock::now() + AUDIT_EVERY_MS;
            self.audit().await;
        }
    }

    /// Which alarms there are: their priorities and places.
    async fn learn(&mut self) {
        let registry = self.parts.registry.borrow_and_update().clone();
        let settings = self.parts.settings;
        let list = tokio::task::spawn_blocking(move || {
            let facts = crate::registry::facts(&registry, &registry.plan(settings));
            facts.into_iter().map(|one| (one.key.clone(), Arc::new(one))).collect::<Facts>()
        });
        match list.await {
            Ok(facts) => {
                self.facts = Arc::new(self.with_unjudged(facts).await);
                self.grade();
            }
            Err(fault) => error!(%fault, "alarms unknown; calls go by the last known list"),
        }
    }

    /// What waits may have become graver, or one that somebody is called for.
    fn grade(&mut self) {
        let graded = self.machine.waiting().filter_map(|alarm| {
            let priority = self.facts.get(alarm)?.priority;
            Some(Event::Graded { alarm: alarm.to_owned(), priority })
        });
        for graded in graded.collect::<Vec<_>>() {
            self.machine.handle(graded, clock::now(), &mut Vec::new());
        }
    }

    /// An alarm whose limit was taken away while it stood is called for until a person has answered
    /// it: its facts are those of before, or those of the desk, which has it after a restart.
    async fn with_unjudged(&self, mut facts: Facts) -> Facts {
        let look = tokio::time::timeout(DESK_PATIENCE, crate::desk::look(&self.parts.desk)).await;
        let shown = look.ok().flatten().map(|look| look.rows).unwrap_or_default();
        for row in shown.into_iter().filter(|row| row.facts.0.unjudged) {
            facts.entry(row.facts.0.key.clone()).or_insert(row.facts.0);
        }
        for matter in self.machine.matters() {
            let alarm = &matter.facts.alarm;
            if let Some(known) = self.facts.get(alarm).filter(|_| !facts.contains_key(alarm)) {
                let left = AlarmFacts { unjudged: true, limit: None, ..(**known).clone() };
                facts.insert(alarm.clone(), Arc::new(left));
            }
        }
        facts
    }

    /// Reads everything that is durable and not yet read.
    pub(super) async fn read(&mut self) {
        if self.parts.registry.has_changed().unwrap_or(false) {
            self.learn().await;
        }
        while self.parts.journal.last_seq() > self.at {
            let (journal, after) = (self.parts.journal.clone(), self.at);
            let page = tokio::task::spawn_blocking(move || journal.page(after, PAGE)).await;
            match page {
                Ok(Ok(page)) if page.is_empty() => return,
                Ok(Ok(page)) => page.iter().for_each(|row| self.take(row)),
                Ok(Err(fault)) => return warn!(%fault, "the journal cannot be read; trying again"),
                Err(fault) => return warn!(%fault, "the journal cannot be read; trying again"),
            }
        }
    }

    fn take(&mut self, stored: &StoredRow) {
        self.at = stored.seq;
        let now = stored.row.ti;
        match told(&stored.row, stored.seq, &self.facts) {
            Told::Case(row) => self.cases.fold(row, now),
            Told::Call(events) => {
                let mut actions = Vec::new();
                for event in events {
                    self.machine.handle(event, now, &mut actions);
                }
                let hands = actions.into_iter().filter_map(|action| match action {
                    Action::Hand(hand) => Some(hand),
                    Action::Record(_) => None,
                });
                if self.live {
                    self.hands.extend(hands);
                }
            }
        }
    }

    /// Records what the machine asks for, and reads it back.
    async fn act(&mut self, actions: Vec<Action>) {
        let entries = actions.into_iter().filter_map(|action| match action {
            Action::Record(entry) => Some(entry),
            Action::Hand(_) => None,
        });
        let entries: Vec<Entry> = entries.collect();
        if let Err(Said::NotRecorded(why)) = self.record(entries).await {
            error!(%why, "calls are not recorded and wait; call by hand");
        }
        self.hand_over().await;
    }

    /// Records rows of the ledger; for each, whether it was new.
    async fn record(&mut self, entries: Vec<Entry>) -> Result<Vec<bool>, Said> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let notes = entries.iter().map(|entry| self.note(entry)).collect();
        let seqs = self.write(notes).await?;
        let now = clock::now();
        for (entry, seq) in entries.into_iter().zip(&seqs) {
            if seq.is_none() {
                self.machine.handle(Event::Known(entry), now, &mut Vec::new());
            }
        }
        Ok(seqs.iter().map(Option::is_some).collect())
    }

    pub(super) async fn write(&mut self, notes: Vec<Note>) -> Result<Vec<Option<u64>>, Said> {
        let seqs = note::record(&self.parts.journal, notes, clock::now()).await;
        let seqs = seqs.map_err(|fault| Said::NotRecorded(fault.to_string()))?;
        self.read().await;
        Ok(seqs)
    }

    fn note(&self, entry: &Entry) -> Note {
        let (alarm, occurrence) = entry.ladder();
        let alarm = if alarm == PACKAGE { "" } else { alarm };
        let name = |person: &String| {
            let known = self.machine.setup().persons.get(person);
            known.map_or(person.clone(), |known| known.name.clone())
        };
        let (by, comment) = match entry {
            Entry::Intent { intent, .. } => {
                let by = (!intent.by.is_empty()).then(|| intent.by.clone());
                let person = name(&intent.person);
                (by, message::comment(&person, &intent.channels, intent.reason))
            }
            Entry::Package { members, .. } => {
                (None, format!("合并通知 {} 条 / package of {}", members.len(), members.len()))
            }
            Entry::Again { channel, again, .. } => {
                (None, format!("重复 {again}（{channel}）/ repeat"))
            }
            Entry::Result { channel, result, .. } => (
                None,
                match result {
                    SendResult::Accepted { .. } => format!("已提交 {channel}，不等于叫应 / sent"),
                    SendResult::Failed { why } => format!("未发出 {channel}：{why} / failed"),
                },
            ),
            Entry::Receipt { channel, state, .. } => {
                (None, format!("回执 {channel}：{} / receipt", state.word()))
            }
            Entry::Answer { outcome, by, .. } => {
                (Some(by.clone()), format!("应答：{} / answer", outcome.word()))
            }
            Entry::Finding { fault, .. } => (None, format!("叫应核查：{fault} / audit")),
        };
        Note {
            id: entry.id(),
            cause: CALL,
            alarm: alarm.to_owned(),
            occurrence,
            by,
            comment,
            body: Some(entry.to_json()),
        }
    }

    /// Gives what was read to the channels. What a full queue refuses has failed.
    async fn hand_over(&mut self) {
        for hand in std::mem::take(&mut self.hands) {
            let said = message::of(&self.machine, &hand, &self.facts, &self.parts.stamp);
            let Some(said) = said else { continue };
            let refused = match self.channels.get(&hand.channel) {
                None => Some("渠道已不存在 / no such channel"),
                Some(channel) => {
                    let job = Job { hand: hand.clone(), message: said };
                    channel.try_send(job).is_err().then_some("渠道队列已满 / queue full")
                }
            };
            if let Some(why) = refused {
                warn!(channel = %hand.channel, why, "not handed over");
                self.lost.push(result(hand, SendResult::Failed { why: why.to_owned() }));
            }
        }
        let lost = std::mem::take(&mut self.lost);
        if let Err(Said::NotRecorded(why)) = self.record(lost).await {
            warn!(%why, "a failed hand-over is not recorded; the next start repeats it");
        }
    }

    async fn results(&mut self, list: Vec<Done>) {
        let entries = list.into_iter().map(|done| result(done.hand, done.result)).collect();
        if let Err(Said::NotRecorded(why)) = self.record(entries).await {
            warn!(%why, "results of channels are not recorded; the next start repeats them");
        }
        self.turn().await;
    }

    async fn asked(&mut self, ask: Ask) {
        // Whoever asked may have gone; what they asked is done all the same.
        match ask {
            Ask::Ladders { open, reply } => drop(reply.send(view::ladders(self, open))),
            Ask::Ladder { alarm, occurrence, reply } => {
                drop(reply.send(view::named(self, &alarm, occurrence)));
            }
            Ask::Answer(request, reply) => drop(reply.send(self.answer(request).await)),
            Ask::Call(request, reply) => drop(reply.send(self.call(&request).await)),
            Ask::Receipt(request, reply) => drop(reply.send(self.receipt(&request).await)),
            Ask::Cases { open, reply } => drop(reply.send(view::cases(self, open))),
            Ask::Step(request, reply) => drop(reply.send(self.step(request).await)),
            Ask::Roster(reply) => drop(reply.send(self.roster())),
            Ask::Reload(what, reply) => drop(reply.send(self.reload(what).await)),
        }
    }

    async fn answer(&mut self, request: AnswerRequest) -> Result<Value, Said> {
        self.read().await;
        let entry = self.machine.answer(request)?;
        self.told_by_a_person(entry).await
    }

    async fn call(&mut self, request: &CallRequest) -> Result<Value, Said> {
        self.read().await;
        let (alarm, occurrence) = (request.alarm.clone(), request.occurrence);
        match self.machine.call(request)? {
            Some(entry) => self.told_by_a_person(entry).await,
            None => Ok(view::named(self, &alarm, occurrence).unwrap_or_default()),
        }
    }

    async fn told_by_a_person(&mut self, entry: Entry) -> Result<Value, Said> {
        let (alarm, occurrence) = entry.ladder();
        let (alarm, occurrence) = (alarm.to_owned(), occurrence);
        let new = self.record(vec![entry.clone()]).await?;
        if new == [false] && !self.machine.repeats(&entry) {
            return Err(fengsui_alerting::calls::Refusal::RequestUsed.into());
        }
        self.turn().await;
        Ok(view::named(self, &alarm, occurrence).unwrap_or_default())
    }

    async fn receipt(&mut self, request: &ReceiptRequest) -> Result<bool, Said> {
        self.read().await;
        let unknown = || Said::no_reference(&request.reference);
        let (seq, channel) = request.reference.split_once('-').ok_or_else(unknown)?;
        let seq: u64 = seq.parse().map_err(|_| unknown())?;
        if channel != request.channel {
            return Err(unknown());
        }
        let (alarm, occurrence, attempt) = self.machine.by_seq(seq).ok_or_else(unknown)?;
        let alarm = alarm.to_owned();
        let mut entries = Vec::new();
        if let Some(state) = request.state {
            entries.push(self.machine.receipt(seq, channel, state).ok_or_else(unknown)?);
        }
        if let Some(outcome) = request.outcome {
            let digits = request.digits.trim().to_owned();
            // The provider may tell the same again: its request is what it tells.
            let told = format!("{channel}/{}/{digits}", outcome.word());
            let covers = self.machine.covers(&alarm, occurrence);
            entries.push(Entry::Answer {
                covers,
                alarm,
                occurrence,
                attempt,
                outcome,
                digits,
                reply: fengsui_alerting::calls::Reply::default(),
                by: format!("渠道 {channel}"),
                request: told,
            });
        }
        let new = self.record(entries).await?;
        self.turn().await;
        Ok(new.into_iter().any(|new| new))
    }

    async fn step(&mut self, request: closure::Request) -> Result<Value, Said> {
        self.read().await;
        let case = request.case.clone();
        let row = self.cases.step(request, clock::now())?;
        if let Some(row) = row {
            self.knows_who(&row.step)?;
            self.knows_alarm(&row.step)?;
            let known = self.cases.get(&case).map(|known| (known.alarm.clone(), known.occurrence));
            let (alarm, occurrence) =
                if let closure::Step::Find { alarm, occurrence, .. } = &row.step {
                    (alarm.clone(), *occurrence)
                } else {
                    known.unwrap_or_default()
                };
            let note = Note {
                id: row.id(),
                cause: CLOSURE,
                alarm,
                occurrence,
                by: Some(row.by.clone()),
                comment: format!("隐患 {case}：{}", row.step.word()),
                body: Some(row.to_json()),
            };
            if self.write(vec![note]).await?.contains(&None) {
                let why =
                    "别人刚刚处理了这一步，请刷新 / somebody else has just taken a step: reload";
                return Err(Said::Refused(Refused::Overtaken, why.to_owned()));
            }
        }
        Ok(view::case(self, &case).unwrap_or_default())
    }

    /// What is found by an alarm names an occurrence that the journal has.
    fn knows_alarm(&self, step: &closure::Step) -> Result<(), Said> {
        let closure::Step::Find { alarm, occurrence, .. } = step else { return Ok(()) };
        if alarm.is_empty() {
            return Ok(());
        }
        let rows = self.parts.journal.of_alarm(alarm, ROWS_OF_ALARM);
        let rows = rows.map_err(|fault| Said::NotRecorded(fault.to_string()))?;
        let newest = rows.iter().map(|told| told.row.occurrence).max().unwrap_or(0);
        if (1..=newest).contains(occurrence) {
            return Ok(());
        }
        let why = format!(
            "{alarm} 没有第 {occurrence} 次报警，最新为第 {newest} 次 / {alarm} has no occurrence \
             {occurrence}, the newest is {newest}"
        );
        Err(Said::Refused(Refused::NoAlarm, why))
    }

    /// What is dispatched goes to a person of the roster, by id or by name: nobody else could be
    /// reminded. Where no roster is configured, nobody is known, and any name will do.
    fn knows_who(&self, step: &closure::Step) -> Result<(), Said> {
        let closure::Step::Dispatch { person, .. } = step else { return Ok(()) };
        let persons = &self.machine.setup().persons;
        let named = |name: &str| persons.values().any(|known| known.name == name);
        if persons.is_empty() || persons.contains_key(person) || named(person) {
            return Ok(());
        }
        let why = format!(
            "名册中没有 {person:?}，现有 / the roster has no {person:?}, but: {}",
            persons.keys().take(PERSONS_NAMED).cloned().collect::<Vec<_>>().join(", ")
        );
        Err(Said::Refused(Refused::NoPerson, why))
    }

    /// An alarm that no plan has and that is not on the desk either can be answered by nobody: its
    /// calls end. Seen twice running, since a row may be on its way to the desk.
    fn end_orphans(&mut self, look: &crate::desk::Look) {
        let shown: BTreeSet<&str> = look.rows.iter().map(|row| row.facts.0.key.as_str()).collect();
        let judged = |alarm: &str| self.facts.get(alarm).is_some_and(|facts| !facts.unjudged);
        let matters = self.machine.matters().map(|matter| matter.facts.alarm.as_str());
        let gone = matters.filter(|alarm| !judged(alarm) && !shown.contains(alarm));
        let gone: BTreeSet<String> = gone.map(str::to_owned).collect();
        for alarm in gone.intersection(&self.orphans) {
            warn!(%alarm, "no such alarm any more; its calls end");
            let ended = Event::Normal { alarm: alarm.clone() };
            self.machine.handle(ended, clock::now(), &mut Vec::new());
        }
        self.orphans = gone;
    }

    /// Asks the desk what stands open. What is found twice running is a finding.
    async fn audit(&mut self) {
        let look = tokio::time::timeout(DESK_PATIENCE, crate::desk::look(&self.parts.desk)).await;
        let Ok(Some(look)) = look else { return warn!("the desk does not answer the call audit") };
        let open: Vec<Open> = look
            .rows
            .iter()
            .filter(|row| row.wants_person())
            .map(|row| Open {
                alarm: row.facts.0.key.clone(),
                occurrence: row.occurrence,
                priority: row.facts.0.priority,
            })
            .collect();
        self.end_orphans(&look);
        let now = clock::now();
        let found: BTreeSet<Finding> = audit(&self.machine, &open, now).into_iter().collect();
        let again: Vec<Finding> = found.intersection(&self.suspects).cloned().collect();
        self.findings.retain(|finding, _| found.contains(finding));
        let mut entries = Vec::new();
        for finding in again {
            if self.findings.contains_key(&finding) {
                continue;
            }
            let fault = finding.fault.word();
            error!(alarm = %finding.alarm, occurrence = finding.occurrence, fault, "nobody will be called");
            entries.push(Entry::Finding {
                alarm: finding.alarm.clone(),
                occurrence: finding.occurrence,
                fault: fault.to_owned(),
                at: now.0,
            });
            self.findings.insert(finding, now);
        }
        self.suspects = found;
        if let Err(Said::NotRecorded(why)) = self.record(entries).await {
            warn!(%why, "findings of the call audit are not recorded");
        }
    }
}

fn result(hand: Hand, result: SendResult) -> Entry {
    let Hand { alarm, occurrence, attempt, channel, again } = hand;
    Entry::Result { alarm, occurrence, attempt, channel, again, result }
}
