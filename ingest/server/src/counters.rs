//! What the centre counts of itself, for `/metrics` and for tests.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident = $metric:literal, $help:literal;)+) => {
        /// Counters, each with its metric name.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$meta])* pub $name: AtomicU64,)+ }

        impl Counters {
            /// In the text format of Prometheus.
            #[must_use]
            pub fn text(&self) -> String {
                let mut out = String::new();
                $(
                    let value = self.$name.load(Ordering::Relaxed);
                    let kind = if $metric.ends_with("_total") { "counter" } else { "gauge" };
                    write!(out, "# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", $metric, $help, kind, value)
                        .expect("writing to a String cannot fail");
                )+
                out
            }
        }
    };
}

counters! {
    /// Requests and log-ins that were refused.
    refusals = "fengsui_refusals_total", "Log-ins, tokens and requests that were refused";
    /// Audit notes that the journal did not take.
    audit_lost = "fengsui_audit_lost_total", "Audit notes that the journal did not take";
    /// Batches taken.
    batches = "fengsui_batches_total", "Batches decoded";
    /// Payload bytes of batches.
    batch_bytes = "fengsui_batch_bytes_total", "Payload bytes of batches";
    /// Samples handed on.
    samples = "fengsui_samples_total", "Samples that were new";
    /// Records known already.
    repeats = "fengsui_repeated_records_total", "Records that were known already";
    /// Messages that could not be used.
    undecodable = "fengsui_undecodable_total", "Messages quarantined because they could not be decoded";
    /// Messages of gateways that the configuration does not name.
    strangers = "fengsui_unknown_gateway_total", "Messages of gateways that the configuration does not name";
    /// Batches parked for want of their catalogue.
    parked = "fengsui_parked_batches", "Batches that wait for their catalogue";
    /// Batches not taken because a queue was full; the gateway offers them again.
    shed = "fengsui_shed_batches_total", "Batches not taken because a queue was full; they come again";
    /// Rows the engine made.
    raised = "fengsui_alarm_rows_total", "Alarm rows that the engine made";
    /// Rows in the journal.
    journaled = "fengsui_journaled_rows_total", "Alarm rows that the journal holds";
    /// Annunciations that did not wait for the journal any longer.
    unrecorded = "fengsui_unrecorded_annunciations_total", "Annunciations made before the journal had them";
    /// Commits that failed.
    failed_commits = "fengsui_failed_commits_total", "Store or journal commits that failed";
    /// Live streams.
    streams = "fengsui_streams", "Browsers on the live stream";
    /// Streams ended for a newer one of the same person.
    streams_displaced = "fengsui_streams_displaced_total", "Streams ended for a newer one of the same person";
    /// Streams told to load anew because they did not read.
    resets = "fengsui_stream_resets_total", "Streams told to load anew because they did not read";
    /// Questions of the watchdog.
    watchdog = "fengsui_watchdog_questions_total", "Times that the watchdog has asked";
    /// Turns of the alarm loop.
    turns = "fengsui_alarm_loop_turns_total", "Turns of the alarm loop";
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// Reads a counter.
#[must_use]
pub fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
