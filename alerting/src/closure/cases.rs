//! All cases, folded from their rows.

use std::collections::BTreeMap;

use fengsui_telemetry::TimeMs;

use super::{Grade, Row, State, Step, allowed, next};

/// Steps of one case kept here; earlier ones are in the journal.
const STEPS_KEPT: usize = 200;
/// Cases that have ended and are still listed; older ones are in the journal.
const ENDED_MAX: usize = 2_000;
/// Characters of a case's name.
const NAME_MAX: usize = 100;

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub case: String,
    /// What it is.
    pub title: String,
    /// The alarm that showed it.
    pub alarm: String,
    /// Its occurrence.
    pub occurrence: u64,
    /// Where it stands.
    pub state: State,
    /// How grave.
    pub grade: Option<Grade>,
    /// Who is to put it right.
    pub person: String,
    /// Until when.
    pub deadline: Option<TimeMs>,
    /// More time was given.
    pub extended: bool,
    /// Since when it stands there.
    pub since: TimeMs,
    /// Every step with its time.
    pub steps: Vec<(TimeMs, Row)>,
    number: u64,
}

impl Case {
    /// True where work is owed and its time has passed.
    #[must_use]
    pub fn is_overdue(&self, now: TimeMs) -> bool {
        let owed = matches!(self.state, State::Dispatched | State::Returned);
        owed && self.deadline.is_some_and(|deadline| deadline < now)
    }
}

/// A step that somebody wants to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The case; a new name with [`Step::Find`].
    pub case: String,
    /// What.
    pub step: Step,
    /// Who.
    pub by: String,
    /// Their request: the same twice has one effect.
    pub request: String,
}

/// Why a step was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such case.
    #[error("没有这个隐患 (no case {0:?}); 先 find (start with find)")]
    NoCase(String),
    /// The name is taken.
    #[error("编号已被使用 (the case {0:?} exists)")]
    Taken(String),
    /// The name cannot be used.
    #[error("编号须为 1 至 100 个字符，不含 / (a case is named by 1 to 100 characters without /)")]
    BadName,
    /// The state does not allow it.
    #[error("状态“{}”下不能 {step}，可以：{} (in state {} {step} is refused, allowed: {})",
        .state.zh(), list(*.state), .state.word(), list(*.state))]
    NotAllowed {
        /// Where it stands.
        state: State,
        /// What was asked.
        step: &'static str,
    },
    /// Something must be said.
    #[error("缺少 {0} ({0} must not be empty)")]
    Missing(&'static str),
    /// The id of the request belongs to another step.
    #[error(
        "此请求编号已用于另一步骤，请换新编号 (this request id was used for another step; use a new one)"
    )]
    RequestUsed,
    /// A deadline that has passed.
    #[error("期限已过 (the deadline has passed already)")]
    Past,
}

fn list(state: State) -> String {
    let steps = allowed(state);
    if steps.is_empty() { "无 none".to_owned() } else { steps.join(", ") }
}

/// All cases.
#[derive(Clone, Debug, Default)]
pub struct Cases {
    cases: BTreeMap<String, Case>,
}

impl Cases {
    /// The row of a step; none where the same request was taken before.
    ///
    /// # Errors
    /// The state, or what is missing.
    pub fn step(&self, request: Request, now: TimeMs) -> Result<Option<Row>, Refusal> {
        let Request { case: name, step, by, request } = request;
        let known = self.cases.get(&name);
        let before = known.and_then(|case| {
            case.steps.iter().map(|(_, row)| row).find(|row| row.request == request)
        });
        if let Some(before) = before {
            let same = before.step == step && before.by == by;
            return if same { Ok(None) } else { Err(Refusal::RequestUsed) };
        }
        let number = match (known, &step) {
            (None, Step::Find { .. }) => 1,
            (Some(_), Step::Find { .. }) => return Err(Refusal::Taken(name)),
            (None, _) => return Err(Refusal::NoCase(name)),
            (Some(case), step) if next(case.state, step).is_none() => {
                return Err(Refusal::NotAllowed { state: case.state, step: step.word() });
            }
            (Some(case), _) => case.number + 1,
        };
        if name.is_empty() || name.chars().count() > NAME_MAX || name.contains('/') {
            return Err(Refusal::BadName);
        }
        if let Some(field) = step.missing() {
            return Err(Refusal::Missing(field));
        }
        let past = |deadline: i64| TimeMs(deadline) <= now;
        match &step {
            Step::Dispatch { deadline, .. } | Step::Extend { deadline, .. } if past(*deadline) => {
                Err(Refusal::Past)
            }
            Step::Find { .. }
            | Step::Confirm { .. }
            | Step::NotADanger { .. }
            | Step::Grade { .. }
            | Step::Dispatch { .. }
            | Step::Feedback { .. }
            | Step::Accept { .. }
            | Step::Return { .. }
            | Step::Extend { .. }
            | Step::Close { .. } => Ok(Some(Row { case: name, number, step, by, request })),
        }
    }

    /// Takes a row that is durable. One that comes twice, or out of its order, has no effect.
    pub fn fold(&mut self, row: Row, at: TimeMs) {
        if let Step::Find { title, alarm, occurrence } = &row.step {
            let case = Case {
                case: row.case.clone(),
                title: title.clone(),
                alarm: alarm.clone(),
                occurrence: *occurrence,
                state: State::Found,
                grade: None,
                person: String::new(),
                deadline: None,
                extended: false,
                since: at,
                steps: vec![(at, row.clone())],
                number: row.number,
            };
            self.cases.entry(row.case).or_insert(case);
            return;
        }
        let Some(case) = self.cases.get_mut(&row.case) else { return };
        let Some(state) = next(case.state, &row.step) else { return };
        if row.number != case.number + 1 {
            return;
        }
        case.number = row.number;
        match &row.step {
            Step::Grade { grade } => case.grade = Some(*grade),
            Step::Dispatch { person, deadline, .. } => {
                case.person.clone_from(person);
                case.deadline = Some(TimeMs(*deadline));
            }
            Step::Extend { deadline, .. } => {
                case.deadline = Some(TimeMs(*deadline));
                case.extended = true;
            }
            Step::Find { .. }
            | Step::Confirm { .. }
            | Step::NotADanger { .. }
            | Step::Feedback { .. }
            | Step::Accept { .. }
            | Step::Return { .. }
            | Step::Close { .. } => {}
        }
        if case.state != state {
            (case.state, case.since) = (state, at);
        }
        if case.steps.len() < STEPS_KEPT {
            case.steps.push((at, row));
        }
        self.forget_ended();
    }

    fn forget_ended(&mut self) {
        if self.cases.len() <= ENDED_MAX {
            return;
        }
        let ended = self.cases.values().filter(|case| case.state.is_end());
        let oldest = ended.min_by_key(|case| case.since).map(|case| case.case.clone());
        if let Some(oldest) = oldest {
            self.cases.remove(&oldest);
        }
    }

    /// One case.
    #[must_use]
    pub fn get(&self, case: &str) -> Option<&Case> {
        self.cases.get(case)
    }

    /// Every case that is kept.
    pub fn all(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }
}
