//! `[sparkplug]` of a gateway's file.

use fengsui_scan::{Problem, Section, Text};

/// Characters of a name in a topic.
const NAME_MAX: usize = 64;

/// Where live values are shown to a SCADA host, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparkplugConfig {
    /// Name or address of the host's broker.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Sparkplug group.
    pub group: String,
    /// Sparkplug edge node.
    pub node: String,
    /// Nothing is published while this host is not online; none: to whomever it may concern.
    pub primary_host: Option<String>,
}

/// What the table says; the node is named later.
pub(crate) struct SparkplugFile {
    host: String,
    port: u16,
    group: String,
    node: Option<String>,
    primary_host: Option<String>,
}

impl SparkplugFile {
    /// Reads `[sparkplug]`; none where it is faulty, which was reported.
    pub(crate) fn read(at: &mut Text<'_>, mut section: Section<'_, '_>) -> Option<Self> {
        let host = section.text(at, "host");
        let port = section.whole(at, "port", (1, 65_535), None);
        let group = name(&mut section, at, "group");
        let node = section.optional(at, "node", name);
        let primary_host = section.optional(at, "primary_host", name);
        section.finish(at);
        Some(Self {
            host: host?,
            port: u16::try_from(port?).ok()?,
            group: group?,
            node: node?,
            primary_host: primary_host?,
        })
    }

    /// The node is named as the gateway where nothing else is said.
    pub(crate) fn of_gateway(self, gateway: &str) -> SparkplugConfig {
        let Self { host, port, group, node, primary_host } = self;
        let node = node.unwrap_or_else(|| gateway.to_owned());
        SparkplugConfig { host, port, group, node, primary_host }
    }
}

/// A name that a topic can carry.
fn name(section: &mut Section<'_, '_>, at: &mut Text<'_>, key: &'static str) -> Option<String> {
    let name = section.text(at, key)?;
    let bad = name.chars().find(|c| matches!(c, '/' | '+' | '#') || c.is_control());
    let (zh, en) = if let Some(c) = bad {
        (
            format!("不能含 {c:?}；请改用字母、数字或 -"),
            format!("must not hold {c:?}; use letters, digits or -"),
        )
    } else if NAME_MAX < name.chars().count() {
        (
            format!("最多 {NAME_MAX} 个字符；请缩短"),
            format!("at most {NAME_MAX} characters; shorten it"),
        )
    } else if key == "group" && name == "STATE" {
        (
            "STATE 由 Sparkplug 保留；请换一个名称".to_owned(),
            "STATE is reserved by Sparkplug; take another name".to_owned(),
        )
    } else {
        return Some(name);
    };
    section.refuse(at, key, Some(name), Problem::Said(zh, en))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<SparkplugConfig, String> {
        let mut faults = Vec::new();
        let (document, mut at) = Text::open("gateway.toml", text, &mut faults);
        let section = Section::new("sparkplug", 1, document.get_ref());
        let file = SparkplugFile::read(&mut at, section);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        file.filter(|_| told.is_empty()).map(|file| file.of_gateway("GW-01")).ok_or(told.join("\n"))
    }

    #[test]
    fn the_node_is_the_gateway_unless_said_otherwise() {
        let config = check("host='scada'\nport=1883\ngroup='厂区'").unwrap();
        assert_eq!((config.node.as_str(), config.primary_host), ("GW-01", None));
        let config = check("host='s'\nport=1\ngroup='g'\nnode='n'\nprimary_host='h'").unwrap();
        assert_eq!((config.node.as_str(), config.primary_host.as_deref()), ("n", Some("h")));
    }

    #[test]
    fn names_that_no_topic_can_carry_are_refused_with_the_mend() {
        for (text, key) in [
            ("group='a/b'", ":3 [sparkplug.group] \"a/b\""),
            ("group=''", ":3 [sparkplug.group]"),
            ("group='STATE'", "[sparkplug.group]"),
            ("group='g'\nnode='a#'", ":4 [sparkplug.node]"),
            ("group='g'\nprimary_host='h+'", "[sparkplug.primary_host]"),
            ("group='g'\nspeed=1", ":4 [sparkplug.speed]"),
        ] {
            let fault = check(&format!("host='h'\nport=1\n{text}")).unwrap_err();
            assert!(fault.contains(key), "{text}: {fault}");
        }
        assert!(check("host=' '\nport=1\ngroup='g'").unwrap_err().contains("[sparkplug.host]"));
    }
}
