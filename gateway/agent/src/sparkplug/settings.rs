//! `[sparkplug]` of a gateway's file.

use serde::Deserialize;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SparkplugFile {
    host: String,
    port: u16,
    group: String,
    node: Option<String>,
    primary_host: Option<String>,
}

impl SparkplugFile {
    /// Checked; the node is named as the gateway where nothing else is said.
    pub(crate) fn check(self, gateway: &str) -> Result<SparkplugConfig, String> {
        let node = self.node.unwrap_or_else(|| gateway.to_owned());
        check_name("group", &self.group)?;
        check_name("node", &node)?;
        if let Some(host) = &self.primary_host {
            check_name("primary_host", host)?;
        }
        if self.host.trim().is_empty() {
            return Err(
                "sparkplug.host = \"\"：请填写上位机 MQTT 服务器的地址  |  give the address of the \
                 SCADA's broker"
                    .to_owned(),
            );
        }
        let Self { host, port, group, primary_host, .. } = self;
        Ok(SparkplugConfig { host, port, group, node, primary_host })
    }
}

fn check_name(key: &str, name: &str) -> Result<(), String> {
    let bad = name.chars().find(|c| matches!(c, '/' | '+' | '#') || c.is_control());
    let why = if name.trim() != name || name.is_empty() {
        "不能为空，首尾不能有空格  |  must not be empty nor begin or end with a blank".to_owned()
    } else if let Some(c) = bad {
        format!(
            "不能含 {c:?}，请改用字母、数字或 -  |  must not hold {c:?}; use letters, digits or -"
        )
    } else if NAME_MAX < name.chars().count() {
        format!("最多 {NAME_MAX} 个字符，请缩短  |  at most {NAME_MAX} characters; shorten it")
    } else if key == "group" && name == "STATE" {
        "STATE 由 Sparkplug 保留，请换一个名称  |  STATE is reserved by Sparkplug; take another name"
            .to_owned()
    } else {
        return Ok(());
    };
    Err(format!("sparkplug.{key} = {name:?}：{why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<SparkplugConfig, String> {
        toml::from_str::<SparkplugFile>(text).map_err(|e| e.to_string())?.check("GW-01")
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
            ("group='a/b'", "sparkplug.group"),
            ("group=''", "sparkplug.group"),
            ("group='STATE'", "sparkplug.group"),
            ("group='g'\nnode='a#'", "sparkplug.node"),
            ("group='g'\nprimary_host=' h'", "sparkplug.primary_host"),
            ("group='g'\nspeed=1", "unknown field"),
        ] {
            let fault = check(&format!("host='h'\nport=1\n{text}")).unwrap_err();
            assert!(fault.contains(key), "{text}: {fault}");
        }
        assert!(check("host=' '\nport=1\ngroup='g'").unwrap_err().contains("sparkplug.host"));
    }
}
