//! The messages of a Sparkplug B payload, as far as an edge node without aliases, templates and
//! data sets writes and reads them. Field numbers are those of the specification 3.0, chapter 6.
//!
//! - Presence counts (`seq` 0 is written, a missing `seq` is not 0), so every field is optional.
//! - [`Command`] reads only what a command may say; the rest of it is skipped, never kept.

use prost::{Message, Oneof};

/// Data types, as numbered by the specification.
pub(super) const INT32: u32 = 3;
pub(super) const INT64: u32 = 4;
pub(super) const DOUBLE: u32 = 10;
pub(super) const BOOLEAN: u32 = 11;
pub(super) const STRING: u32 = 12;

/// One message of an edge node.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    #[prost(uint64, optional, tag = "1")]
    pub(super) timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(super) metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) seq: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub(super) datatype: Option<u32>,
    #[prost(bool, optional, tag = "7")]
    pub(super) is_null: Option<bool>,
    #[prost(message, optional, tag = "9")]
    pub(super) properties: Option<Properties>,
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15")]
    pub(super) value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Value {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    String(String),
}

/// Keys and values stand in two lists of equal length.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Properties {
    #[prost(string, repeated, tag = "1")]
    pub(super) keys: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(super) values: Vec<Property>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Property {
    #[prost(uint32, optional, tag = "1")]
    pub(super) datatype: Option<u32>,
    #[prost(oneof = "PropertyValue", tags = "3, 6, 8")]
    pub(super) value: Option<PropertyValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum PropertyValue {
    #[prost(uint32, tag = "3")]
    Int(u32),
    #[prost(double, tag = "6")]
    Double(f64),
    #[prost(string, tag = "8")]
    String(String),
}

/// A command of a host.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Command {
    #[prost(message, repeated, tag = "2")]
    pub(super) metrics: Vec<CommandMetric>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommandMetric {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(bool, optional, tag = "14")]
    pub(super) boolean: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/data/sparkplug`: what two programs of others sent, one message a line:
    /// topic, payload in hex.
    const PYSPARKPLUG: &str = include_str!("../../../tests/data/sparkplug/pysparkplug-0.6.1.txt");
    const JAVASCRIPT: &str =
        include_str!("../../../tests/data/sparkplug/sparkplug-client-3.2.4.txt");

    fn messages(text: &'static str) -> Vec<(&'static str, Vec<u8>)> {
        let line = |line: &'static str| {
            let (topic, hex) = line.split_once(' ').unwrap();
            let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (topic, (0..hex.len()).step_by(2).map(pair).collect())
        };
        text.lines().map(line).collect()
    }

    fn metric<'a>(payload: &'a Payload, name: &str) -> &'a Metric {
        payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(name)).unwrap()
    }

    #[test]
    fn what_another_program_wrote_is_read_and_written_again_byte_by_byte() {
        let all = messages(PYSPARKPLUG);
        assert_eq!(all.len(), 5);
        for (topic, bytes) in all {
            let payload = Payload::decode(bytes.as_slice()).unwrap();
            assert!(!payload.metrics.is_empty(), "{topic}");
            assert_eq!(payload.encode_to_vec(), bytes, "{topic}");
        }
    }

    #[test]
    fn the_fields_of_others_mean_what_they_meant() {
        let python = messages(PYSPARKPLUG);
        let birth = Payload::decode(python[0].1.as_slice()).unwrap();
        assert_eq!(birth.seq, Some(0));
        let bd = metric(&birth, "bdSeq");
        assert_eq!((bd.datatype, bd.value.clone()), (Some(INT64), Some(Value::Long(0))));
        let device = Payload::decode(python[1].1.as_slice()).unwrap();
        assert_eq!(device.seq, Some(1));
        assert_eq!(metric(&device, "H2S").value, Some(Value::Double(1.5)));
        assert_eq!(metric(&device, "H2S").datatype, Some(DOUBLE));
        assert_eq!(metric(&device, "HH").value, Some(Value::Boolean(false)));
        assert_eq!(metric(&device, "HH").datatype, Some(BOOLEAN));

        let script = messages(JAVASCRIPT);
        let birth = Payload::decode(script[0].1.as_slice()).unwrap();
        let rebirth = metric(&birth, "Node Control/Rebirth");
        assert_eq!(rebirth.value, Some(Value::Boolean(false)));
        let device = Payload::decode(script[1].1.as_slice()).unwrap();
        let properties = metric(&device, "level").properties.clone().unwrap();
        assert_eq!(properties.keys, ["engUnit"]);
        assert_eq!(properties.values[0].datatype, Some(STRING));
        assert_eq!(properties.values[0].value, Some(PropertyValue::String("m".into())));
        assert_eq!(metric(&device, "nul").is_null, Some(true));
        assert_eq!(metric(&device, "txt").value, Some(Value::String("ok".into())));
    }
}
