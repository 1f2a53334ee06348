//! The demo's proof: what the gateway's disk holds against what the centre's disk holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use fengsui_store::{AlarmJournal, SeriesStore};
use fengsui_telemetry::{Body, TimeMs};
use serde_json::json;

use crate::counters::{Counters, get};
use crate::registry::Registry;

/// Rows of the journal read at once.
const PAGE: usize = 1_000;

/// What a demo showed.
#[derive(Debug, Default)]
pub(super) struct Summary {
    samples_sent: u64,
    samples_stored: u64,
    lost: u64,
    duplicated: u64,
    alarms_raised: u64,
    alarms_journaled: u64,
    kinds: BTreeMap<String, u64>,
    latency: (i64, i64, i64),
    pub(super) first_alarm_ms: Option<i64>,
}

impl Summary {
    pub(super) fn set_latencies(&mut self, mut list: Vec<i64>) {
        list.sort_unstable();
        let at = |share: usize| {
            let place = (list.len() * share / 100).min(list.len().saturating_sub(1));
            list.get(place).copied().unwrap_or(0)
        };
        self.latency = (at(50), at(99), at(100));
    }

    pub(super) fn is_good(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.samples_sent > 0
            && self.alarms_raised == self.alarms_journaled
    }

    pub(super) fn json(&self) -> String {
        let (p50, p99, max) = self.latency;
        json!({
            "samples_sent": self.samples_sent,
            "samples_stored": self.samples_stored,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "alarms_raised": self.alarms_raised,
            "alarms_journaled": self.alarms_journaled,
            "alarms_by_kind": self.kinds,
            "latency_ms": { "p50": p50, "p99": p99, "max": max },
            "first_alarm_ms": self.first_alarm_ms,
        })
        .to_string()
    }

    pub(super) fn text(&self) -> String {
        let (p50, p99, max) = self.latency;
        let kinds: Vec<String> = self.kinds.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        format!(
            "\n小结 Summary\n  样本 samples      发出 sent {}，入库 stored {}，丢失 lost {}，重复 duplicated {}\n  报警 alarm rows   产生 raised {}，入账 journaled {}（{}）\n  延迟 latency      p50 {p50} ms，p99 {p99} ms，最大 max {max} ms\n  首次报警 first alarm  {}\n",
            self.samples_sent,
            self.samples_stored,
            self.lost,
            self.duplicated,
            self.alarms_raised,
            self.alarms_journaled,
            kinds.join("，"),
            self.first_alarm_ms
                .map_or("无 none".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1_000.0)),
        )
    }
}

type Key = (u32, TimeMs);

pub(super) fn compare(
    spool: &Path,
    registry: &Registry,
    store: &SeriesStore,
    journal: &AlarmJournal,
    counters: &Counters,
) -> anyhow::Result<Summary> {
    let mut summary = Summary {
        alarms_raised: get(&counters.raised),
        alarms_journaled: get(&counters.journaled),
        ..Summary::default()
    };
    let numbered = registry.gateways.first().and_then(|gateway| gateway.numbered());
    let numbered = numbered.context("the gateway's catalogue never came")?;
    let mut sent: BTreeMap<Key, (u8, Option<u64>)> = BTreeMap::new();
    fengsui_gateway::each_record(spool, &mut |_, record| {
        if let Body::Scan(scan) = &record.body {
            for (index, reading) in &scan.readings {
                let id = usize::try_from(*index).ok().and_then(|i| numbered.ids.get(i));
                if let Some(id) = id {
                    let value = (reading.code(), reading.value().map(f64::to_bits));
                    sent.insert((*id, record.te), value);
                }
            }
        }
    })?;
    let mut seen = BTreeSet::new();
    for id in &numbered.ids {
        for sample in store.range(*id, TimeMs::MIN, TimeMs::MAX, usize::MAX)? {
            let key = (*id, sample.te);
            if !seen.insert(key) {
                summary.duplicated += 1;
            }
            let value = (sample.reading.code(), sample.reading.value().map(f64::to_bits));
            if sent.get(&key) != Some(&value) {
                summary.duplicated += 1;
            }
        }
    }
    summary.samples_sent = sent.len() as u64;
    summary.samples_stored = store.count()?.samples;
    summary.lost = sent.keys().filter(|key| !seen.contains(*key)).count() as u64;
    summary.kinds = kinds(journal)?;
    Ok(summary)
}

/// Occurrences by kind, as the journal tells them.
fn kinds(journal: &AlarmJournal) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut kinds = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = journal.page(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(kinds) };
        after = last.seq;
        for stored in page.iter().filter(|stored| stored.row.cause == "on") {
            let kind = stored.row.alarm.rsplit('/').next().unwrap_or_default().to_lowercase();
            let signal = if stored.row.alarm.contains("/GD-") { "gas_" } else { "" };
            *kinds.entry(format!("{signal}{kind}")).or_default() += 1;
        }
    }
}
