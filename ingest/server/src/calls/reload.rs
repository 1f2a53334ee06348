//! Another roster without a restart: whole or not at all.
//!
//! - The file that the centre's own names is read anew, checked like at a start, and against what
//!   stands open: a roster that leaves an open P1 or P2 with nobody to call is refused.
//! - The difference is a row of the journal before it counts. Open ladders go on by the new roster;
//!   what a channel has taken already is delivered.
//! - Secrets of channels are never shown: only that they have changed.

use std::collections::BTreeMap;

use fengsui_alerting::calls::{Difference, LeftAlone, differences};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::config::{CallsConfig, Source};
use super::doubts::doubts;
use super::office::Office;
use super::{Refused, Said, channels};
use crate::clock;
use crate::note::Note;
use crate::stamp::Stamp;

/// The journal's word.
const ROSTER: &str = "roster";
/// Differences in one answer and one row; more are counted.
const DIFFERENCES_MAX: usize = 500;

/// What to do with what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Say what would change.
    Check,
    /// Put it in force, by this person.
    By(String),
}

impl Office {
    /// Reads the roster anew.
    pub(super) async fn reload(&mut self, what: Reload) -> Result<Value, Said> {
        let Some(source) = self.parts.config.source.clone() else {
            let why = "中心配置没有 [calls] file / the centre's file has no [calls] file";
            return Err(Said::Refused(Refused::NoRoster, why.to_owned()));
        };
        let config = read(source).await?;
        self.read().await;
        let now = clock::now();
        let alone = self.machine.left_alone(&config.setup, now);
        if !alone.is_empty() {
            return Err(Said::Roster(told_alone(&alone, &self.parts.stamp)));
        }
        let changed = self.changed(&config);
        let mut answer = json!({
            "file": config.source.as_ref().map(|source| source.path().display().to_string()),
            "in_force": false, "count": changed.len(), "changed": told(&changed),
            "warnings": doubts(&config.setup),
        });
        let Reload::By(by) = what else { return Ok(answer) };
        if !changed.is_empty() {
            let seq = self.parts.journal.last_seq();
            let count = changed.len();
            self.write(vec![Note {
                id: format!("{ROSTER}/{}/{seq}", now.0),
                cause: ROSTER,
                by: Some(by.clone()),
                comment: format!("名册变更 {count} 项 / the roster changed in {count} places"),
                body: Some(told(&changed).to_string()),
                ..Note::default()
            }])
            .await?;
            self.take_over(config);
            info!(by, count, "another roster is in force");
        }
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("in_force".to_owned(), Value::Bool(true));
        }
        self.turn().await;
        Ok(answer)
    }

    /// The roster in force.
    pub(super) fn roster(&self) -> Value {
        let all = differences(&fengsui_alerting::calls::Setup::default(), self.machine.setup());
        let source = self.parts.config.source.as_ref();
        let facts: Vec<Value> = all
            .iter()
            .filter_map(|one| Some(json!({ "what": one.what, "is": one.new.as_ref()? })))
            .collect();
        json!({ "file": source.map(|source| source.path().display().to_string()), "facts": facts })
    }

    fn changed(&self, config: &CallsConfig) -> Vec<Difference> {
        let mut changed = differences(self.machine.setup(), &config.setup);
        for channel in &config.channels {
            let was = self.parts.config.channels.iter().find(|old| old.name == channel.name);
            if was.is_some_and(|was| was != channel) {
                let hidden = || Some("（不显示 / not shown）".to_owned());
                let what = format!("channel {} settings", channel.name);
                changed.push(Difference { what, old: hidden(), new: hidden() });
            }
        }
        changed
    }

    fn take_over(&mut self, config: CallsConfig) {
        let mut senders = BTreeMap::new();
        for channel in &config.channels {
            let same = self.parts.config.channels.contains(channel);
            let kept = self.channels.remove(&channel.name).filter(|_| same);
            let sender =
                kept.unwrap_or_else(|| channels::start(channel.clone(), self.done.clone()));
            senders.insert(channel.name.clone(), sender);
        }
        // A channel that is gone delivers what it has taken, and ends.
        self.channels = senders;
        self.tokens.send_replace(config.tokens());
        self.machine.reconfigure(config.setup.clone());
        self.findings.clear();
        self.parts.config = config;
    }
}

async fn read(source: Source) -> Result<CallsConfig, Said> {
    let read = tokio::task::spawn_blocking(move || source.read()).await;
    match read {
        Ok(read) => read.map_err(|faults| {
            faults.iter().for_each(|fault| warn!("{fault}"));
            Said::faults(faults)
        }),
        Err(fault) => Err(Said::Roster(vec![fault.to_string()])),
    }
}

fn told(changed: &[Difference]) -> Value {
    changed
        .iter()
        .take(DIFFERENCES_MAX)
        .map(|one| json!({ "what": one.what, "old": one.old, "new": one.new }))
        .collect()
}

/// One line for each place and hole: hundreds of open alarms may wait for the same person.
fn told_alone(alone: &[LeftAlone], stamp: &Stamp) -> Vec<String> {
    let mut lines: BTreeMap<_, (&LeftAlone, usize)> = BTreeMap::new();
    for one in alone {
        let line = lines.entry((&one.installations, one.fault)).or_insert((one, 0));
        line.1 += 1;
        if (one.at, one.priority) < (line.0.at, line.0.priority) {
            line.0 = one;
        }
    }
    lines.values().map(|(one, count)| words(one, count - 1, &stamp.rfc3339(one.at))).collect()
}

fn words(alone: &LeftAlone, more: usize, at: &str) -> String {
    let LeftAlone { alarm, occurrence, priority, installations, fault, .. } = alone;
    let (more_zh, more_en) = match more {
        0 => (String::new(), String::new()),
        more => (format!("等 {} 条", more + 1), format!(" and {more} more")),
    };
    let (zh, en) = fault.text();
    // An alarm of the gateway itself belongs to no installation: the roster of `*` speaks for it.
    let place = |name: &String| if name.is_empty() { "*".to_owned() } else { name.clone() };
    let place = installations.iter().map(place).collect::<Vec<_>>().join(", ");
    format!(
        "未结报警 {alarm} #{occurrence}（P{priority}）{more_zh}自 {at} 起将无人可叫：{zh}；请在 [[duty]] 或 {place} 的 [[roster]] 中写入有号码的人 / open alarm {alarm} #{occurrence}{more_en} would have nobody to call from {at}: {en}; name somebody with a number in [[duty]] or in the [[roster]] of {place}"
    )
}
