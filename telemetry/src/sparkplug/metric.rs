//! One metric of a birth or of data: a reading with its time, quality and reason.
//!
//! - Quality is a property of type Int32 (3) as the specification says: 192 good, 500 doubted or
//!   never read, 0 bad. A bad reading has no number: it is null.
//! - The word behind the quality (`timeout`, `frozen`, `wire_break`) goes along as `Reason`.

use super::layout::Signal;
use super::payload::{
    BOOLEAN, DOUBLE, INT32, INT64, Metric, Properties, Property, PropertyValue, STRING, Value,
};
use crate::{Reading, TimeMs};

const GOOD: u32 = 192;
/// The specification's word is "stale". A number with a doubt must not look good.
const STALE: u32 = 500;
const BAD: u32 = 0;

/// A whole metric, as births have it: with type, unit, range and description.
pub(super) fn birth(signal: &Signal, latest: Option<(TimeMs, Reading)>, now: TimeMs) -> Metric {
    let mut metric = data(signal, latest, now);
    metric.datatype = Some(DOUBLE);
    if let Some(properties) = &mut metric.properties {
        add_text(properties, "engUnit", &signal.unit);
        add(properties, "engLow", DOUBLE, PropertyValue::Double(signal.low));
        add(properties, "engHigh", DOUBLE, PropertyValue::Double(signal.high));
        add_text(properties, "Description", &signal.description);
    }
    metric
}

/// What data say: name, time, value, quality. The type was said at birth.
pub(super) fn data(signal: &Signal, latest: Option<(TimeMs, Reading)>, now: TimeMs) -> Metric {
    let (quality, reason) = match latest {
        None => (STALE, "not_read_yet"),
        Some((_, reading @ Reading::Good(_))) => (GOOD, reading.word()),
        Some((_, reading @ Reading::Uncertain(..))) => (STALE, reading.word()),
        Some((_, reading @ Reading::Bad(_))) => (BAD, reading.word()),
    };
    let number = latest.and_then(|(_, reading)| reading.value());
    let mut properties = Properties::default();
    add(&mut properties, "Quality", INT32, PropertyValue::Int(quality));
    add_text(&mut properties, "Reason", reason);
    Metric {
        name: Some(signal.name.clone()),
        timestamp: Some(stamp(latest.map_or(now, |(te, _)| te))),
        datatype: None,
        is_null: number.is_none().then_some(true),
        properties: Some(properties),
        value: number.map(Value::Double),
    }
}

/// A whole number of the node itself.
pub(super) fn count(name: &str, value: u64, now: TimeMs) -> Metric {
    let value = Value::Long(value.min(i64::MAX.unsigned_abs()));
    of_node(name, INT64, value, now)
}

/// A switch of the node itself.
pub(super) fn switch(name: &str, value: bool, now: TimeMs) -> Metric {
    of_node(name, BOOLEAN, Value::Boolean(value), now)
}

/// A text of the node itself.
pub(super) fn text(name: &str, value: &str, now: TimeMs) -> Metric {
    of_node(name, STRING, Value::String(value.to_owned()), now)
}

fn of_node(name: &str, datatype: u32, value: Value, now: TimeMs) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        timestamp: Some(stamp(now)),
        datatype: Some(datatype),
        is_null: None,
        properties: None,
        value: Some(value),
    }
}

/// Sparkplug knows no time before 1970.
pub(super) fn stamp(time: TimeMs) -> u64 {
    u64::try_from(time.0).unwrap_or(0)
}

fn add_text(properties: &mut Properties, key: &str, text: &str) {
    add(properties, key, STRING, PropertyValue::String(text.to_owned()));
}

fn add(properties: &mut Properties, key: &str, datatype: u32, value: PropertyValue) {
    properties.keys.push(key.to_owned());
    properties.values.push(Property { datatype: Some(datatype), value: Some(value) });
}
