//! `calls.toml`: persons, duty, rosters, policies, channels. Whole, or every fault with its mend.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fengsui_alerting::calls::{
    Budget, Channel, Person, Policy, ReplyFrom, Roster, Setup, Slot, StopAt, Turn, URGENT,
};
use serde::Deserialize;
use toml::Spanned;

use super::channels::{ChannelConfig, ChannelText};
use crate::config::ConfigFault;

/// Digits of a read-back, where the file does not say.
const DIGITS: u32 = 4;

/// The file that rosters are read from, now and when they change.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    zone_min: i32,
}

impl Source {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it.
    ///
    /// # Errors
    /// Every fault, each with its mend.
    pub fn read(&self) -> Result<CallsConfig, Vec<ConfigFault>> {
        let name = self.path.display().to_string();
        let text = std::fs::read_to_string(&self.path).map_err(|e| {
            vec![ConfigFault(format!("{name}: {e}; calls.file names the roster file"))]
        })?;
        let read = parse(&name, &text, self.zone_min)?;
        Ok(CallsConfig { source: Some(self.clone()), ..read })
    }
}

/// Everything about calls.
#[derive(Clone, Debug, Default)]
pub struct CallsConfig {
    /// Where it was read; none: the centre's file names no roster.
    pub source: Option<Source>,
    /// What the ladder knows.
    pub setup: Setup,
    /// What the channels know.
    pub channels: Vec<ChannelConfig>,
}

impl CallsConfig {
    /// Who may send receipts: token by channel.
    #[must_use]
    pub fn tokens(&self) -> BTreeMap<String, String> {
        let token = |c: &ChannelConfig| Some((c.name.clone(), c.token.clone()?));
        self.channels.iter().filter_map(token).collect()
    }
}

/// `[calls]` of the centre's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallsText {
    /// The file, beside the centre's own.
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    digits: Option<u32>,
    package_s: Option<u32>,
    digest_s: Option<u32>,
    #[serde(default)]
    person: Vec<Spanned<PersonText>>,
    #[serde(default)]
    duty: Vec<Spanned<DutyText>>,
    #[serde(default)]
    roster: Vec<Spanned<RosterText>>,
    #[serde(default)]
    policy: Vec<Spanned<PolicyText>>,
    #[serde(default)]
    channel: Vec<Spanned<ChannelText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonText {
    id: String,
    name: String,
    phone: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DutyText {
    person: String,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RosterText {
    installation: String,
    #[serde(default)]
    lead: Vec<String>,
    #[serde(default)]
    ops: Vec<String>,
    #[serde(default)]
    tech: Vec<String>,
    #[serde(default)]
    principal: Vec<String>,
    #[serde(default)]
    town: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    priority: u8,
    ladder: Option<Vec<String>>,
    #[serde(default)]
    message: Vec<String>,
    #[serde(default)]
    voice: Vec<String>,
    unread_s: Option<u32>,
    unanswered_s: Option<u32>,
    /// 0: no reply is asked for.
    reply_s: Option<u32>,
    reply_from: Option<StateText>,
    stop_at: Option<StateText>,
    ack_stops: Option<bool>,
    end_stops: Option<bool>,
    rest_s: Option<u32>,
    repeats: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateText {
    Answered,
    Confirmed,
}

/// Faults with the file's name before each.
struct Faults<'a> {
    name: &'a str,
    text: &'a str,
    list: Vec<ConfigFault>,
}

impl Faults<'_> {
    /// Where a table of the file stands, and which it is.
    fn place<T>(&self, table: &Spanned<T>, what: &str) -> String {
        let before = self.text.get(..table.span().start).unwrap_or_default();
        format!("第 {0} 行 line {0}: {what}", before.matches('\n').count() + 1)
    }

    fn say(&mut self, place: &str, why: &str) {
        self.list.push(ConfigFault(format!("{}: {place}: {why}", self.name)));
    }
}

/// Reads the file that `[calls]` names.
///
/// # Errors
/// Every fault, each with its mend.
pub fn load(base: &Path, text: &CallsText, zone_min: i32) -> Result<CallsConfig, Vec<ConfigFault>> {
    Source { path: base.join(&text.file), zone_min }.read()
}

/// For tests.
#[cfg(test)]
pub(super) fn from_file(path: &Path) -> Result<CallsConfig, Vec<ConfigFault>> {
    Source { path: path.to_owned(), zone_min: 480 }.read()
}

/// The same from a text.
///
/// # Errors
/// Every fault, each with its mend.
pub fn parse(name: &str, text: &str, zone_min: i32) -> Result<CallsConfig, Vec<ConfigFault>> {
    let mut faults = Faults { name, text, list: Vec::new() };
    let text: Text = toml::from_str(text)
        .map_err(|e| vec![ConfigFault(format!("{name}: {}", e.to_string().trim_end()))])?;
    let persons = persons(text.person, &mut faults);
    let channels = channels(&text.channel, &mut faults);
    let defaults = Setup::default();
    let ms = |seconds: Option<u32>, or: i64| seconds.map_or(or, |s| i64::from(s) * 1_000);
    let digits = text.digits.unwrap_or(DIGITS);
    if digits < 2 || digits > 8 {
        faults.say("digits", &format!("{digits} cannot be read back; use 2 to 8"));
    }
    let mut setup = Setup {
        duty: duty(&text.duty, &persons, &mut faults),
        rosters: rosters(&text.roster, &persons, &mut faults),
        policies: BTreeMap::new(),
        channels: channels.iter().map(|c| (c.name.clone(), spec(c))).collect(),
        package_ms: ms(text.package_s, defaults.package_ms),
        digest_ms: ms(text.digest_s, defaults.digest_ms),
        digits,
        zone_min,
        persons,
    };
    for policy in &text.policy {
        let what = format!("policy of priority {}", policy.get_ref().priority);
        let (place, policy) = (faults.place(policy, &what), policy.get_ref());
        if policy.priority < 1 || policy.priority > 4 {
            faults.say(&place, "priorities are 1 to 4");
        }
        let read = read_policy(policy, &setup, &place, &mut faults);
        if setup.policies.insert(policy.priority, read).is_some() {
            faults.say(&place, "stands twice; remove one");
        }
    }
    for urgent in (1..=URGENT).filter(|urgent| !setup.policies.contains_key(urgent)) {
        let why = "no [[policy]] has it, so nobody would be called; add a [[policy]] with";
        faults.say("policy", &format!("priority {urgent}: {why} priority = {urgent}"));
    }
    if !faults.list.is_empty() {
        return Err(faults.list);
    }
    Ok(CallsConfig { source: None, setup, channels })
}

fn spec(channel: &ChannelConfig) -> Channel {
    let budget = Budget { per_hour: channel.per_hour, for_p1: channel.for_p1 };
    Channel { needs: channel.needs, budget }
}

fn persons(list: Vec<Spanned<PersonText>>, faults: &mut Faults<'_>) -> BTreeMap<String, Person> {
    let mut persons = BTreeMap::new();
    for text in list {
        let place = faults.place(&text, &format!("person {:?}", text.get_ref().id));
        let text = text.into_inner();
        if text.id.is_empty() || text.name.trim().is_empty() {
            faults.say(&place, "needs an id and a name");
        }
        let phone = text.phone.filter(|phone| !phone.is_empty());
        let digits = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ');
        if phone.as_deref().is_some_and(|phone| !phone.chars().all(digits)) {
            faults.say(&place, "phone is no number; write digits, for example 13800000000");
        }
        let email = text.email.filter(|email| !email.is_empty());
        if email.as_deref().is_some_and(|email| !email.contains('@')) {
            faults.say(&place, "email has no @");
        }
        let person = Person { name: text.name, phone, email };
        if persons.insert(text.id, person).is_some() {
            faults.say(&place, "stands twice; remove one or give another id");
        }
    }
    persons
}

fn known(place: &str, id: &str, persons: &BTreeMap<String, Person>, faults: &mut Faults<'_>) {
    if !persons.contains_key(id) {
        faults.say(place, &format!("nobody is called {id:?}; add a [[person]] with this id"));
    }
}

fn duty(
    list: &[Spanned<DutyText>],
    persons: &BTreeMap<String, Person>,
    faults: &mut Faults<'_>,
) -> Vec<Turn> {
    let mut turns = Vec::new();
    for text in list {
        let place = faults.place(text, &format!("duty of {:?}", text.get_ref().person));
        let text = text.get_ref();
        known(&place, &text.person, persons, faults);
        let mut minute = |field: &str, value: Option<&String>| match value.map(|v| clock(v)) {
            None => 0,
            Some(Some(minute)) => minute,
            Some(None) => {
                faults.say(&place, &format!("{field} is no time of day; write \"08:00\""));
                0
            }
        };
        let from = minute("from", text.from.as_ref());
        let to = minute("to", text.to.as_ref());
        turns.push(Turn { person: text.person.clone(), from, to });
    }
    turns
}

/// `08:00` as minutes; `24:00` is midnight.
fn clock(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (hours <= 24 && minutes < 60 && minute <= 1_440).then_some(minute % 1_440)
}

fn rosters(
    list: &[Spanned<RosterText>],
    persons: &BTreeMap<String, Person>,
    faults: &mut Faults<'_>,
) -> BTreeMap<String, Roster> {
    let mut rosters = BTreeMap::new();
    for text in list {
        let what = format!("roster of {:?}", text.get_ref().installation);
        let (place, text) = (faults.place(text, &what), text.get_ref());
        let mut roster = Roster::default();
        let slots = [
            (Slot::Lead, &text.lead),
            (Slot::Operational, &text.ops),
            (Slot::Technical, &text.tech),
            (Slot::Principal, &text.principal),
            (Slot::Township, &text.town),
        ];
        for (slot, ids) in slots {
            let mut seen = BTreeSet::new();
            for id in ids {
                known(&format!("{place}, {}", slot.word()), id, persons, faults);
                if !seen.insert(id) {
                    let why = format!("{id:?} stands twice in {}; remove one", slot.word());
                    faults.say(&place, &why);
                }
            }
            if !ids.is_empty() {
                roster.slots.insert(slot, ids.clone());
            }
        }
        if roster.slots.is_empty() {
            faults.say(&place, "has nobody in it; name lead, ops, tech, principal or town");
        }
        if rosters.insert(text.installation.clone(), roster).is_some() {
            faults.say(&place, "stands twice; keep one");
        }
    }
    rosters
}

fn channels(list: &[Spanned<ChannelText>], faults: &mut Faults<'_>) -> Vec<ChannelConfig> {
    let mut channels: Vec<ChannelConfig> = Vec::new();
    for text in list {
        let place = faults.place(text, &format!("channel {:?}", text.get_ref().name()));
        match ChannelConfig::parse(text.get_ref()) {
            Ok(channel) if channels.iter().any(|other| other.name == channel.name) => {
                faults.say(&place, "stands twice; give another name");
            }
            Ok(channel) => channels.push(channel),
            Err(whys) => whys.iter().for_each(|why| faults.say(&place, why)),
        }
    }
    channels
}

fn read_policy(text: &PolicyText, setup: &Setup, place: &str, faults: &mut Faults<'_>) -> Policy {
    let defaults = Policy::default();
    let mut ladder = Vec::new();
    for word in text.ladder.iter().flatten() {
        match Slot::from_word(word) {
            Some(slot) => ladder.push(slot),
            None => {
                let words = Slot::ALL.map(Slot::word).join(", ");
                faults.say(place, &format!("ladder: {word:?} is none of {words}"));
            }
        }
    }
    let ladder = if text.ladder.is_some() { ladder } else { defaults.ladder };
    for name in text.message.iter().chain(&text.voice) {
        if !setup.channels.contains_key(name) {
            faults.say(place, &format!("no channel is called {name:?}; add a [[channel]]"));
        }
    }
    if text.message.is_empty() && text.voice.is_empty() {
        faults.say(place, "has no channel; name message or voice");
    }
    let anybody = ladder.iter().any(|slot| match slot {
        Slot::Duty => !setup.duty.is_empty(),
        Slot::Lead | Slot::Operational | Slot::Technical | Slot::Principal | Slot::Township => {
            setup.rosters.values().any(|roster| roster.slots.contains_key(slot))
        }
    });
    if !anybody {
        faults.say(place, "its ladder has nobody in it; complete [[duty]] or [[roster]]");
    }
    let ms = |seconds: Option<u32>, or: i64| seconds.map_or(or, |s| i64::from(s) * 1_000);
    Policy {
        ladder,
        message: text.message.clone(),
        voice: text.voice.clone(),
        unread_ms: ms(text.unread_s, defaults.unread_ms),
        unanswered_ms: ms(text.unanswered_s, defaults.unanswered_ms),
        reply_ms: match text.reply_s {
            None => defaults.reply_ms,
            Some(0) => None,
            Some(seconds) => Some(i64::from(seconds) * 1_000),
        },
        reply_from: match text.reply_from {
            None => defaults.reply_from,
            Some(StateText::Answered) => ReplyFrom::Answered,
            Some(StateText::Confirmed) => ReplyFrom::Confirmed,
        },
        stop_at: match text.stop_at {
            None => defaults.stop_at,
            Some(StateText::Answered) => StopAt::Answered,
            Some(StateText::Confirmed) => StopAt::Confirmed,
        },
        ack_stops: text.ack_stops.unwrap_or(defaults.ack_stops),
        end_stops: text.end_stops.unwrap_or(defaults.end_stops),
        rest_ms: ms(text.rest_s, defaults.rest_ms),
        repeats: text.repeats.unwrap_or(defaults.repeats),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[person]]
id = "wang"
name = "王敏"
phone = "13800000001"
[[duty]]
person = "wang"
from = "20:00"
to = "08:00"
[[roster]]
installation = "*"
principal = ["wang"]
[[channel]]
name = "log"
kind = "log"
[[policy]]
priority = 1
message = ["log"]
[[policy]]
priority = 2
message = ["log"]
"#;

    fn faults(text: &str) -> Vec<String> {
        let list = parse("calls.toml", text, 480).err().unwrap_or_default();
        list.into_iter().map(|fault| fault.0.replace("calls.toml: ", "")).collect()
    }

    #[test]
    fn a_good_file_is_taken_with_the_defaults_of_the_vector() {
        let config = parse("calls.toml", GOOD, 480).unwrap();
        let policy = &config.setup.policies[&1];
        assert_eq!((policy.unread_ms, policy.unanswered_ms), (180_000, 120_000));
        assert_eq!(policy.reply_ms, Some(900_000));
        assert_eq!(config.setup.duty[0], Turn { person: "wang".into(), from: 1_200, to: 480 });
    }

    #[test]
    fn every_fault_is_named_with_its_mend() {
        let bad = GOOD.to_owned()
            + r#"
[[person]]
id = "wang"
name = "重名"
[[duty]]
person = "nobody"
from = "8 o'clock"
[[roster]]
installation = "1#罐区"
[[roster]]
installation = "2#罐区"
ops = ["ghost"]
[[channel]]
name = "robot"
kind = "dingtalk"
[[policy]]
priority = 3
ladder = ["boss"]
message = ["pigeon"]
"#;
        let found = faults(&bad).join("\n");
        for part in [
            "第 23 行 line 23: person \"wang\": stands twice",
            "channel \"robot\": has no url",
            "nobody is called \"nobody\"; add a [[person]]",
            "from is no time of day; write \"08:00\"",
            "roster of \"1#罐区\": has nobody in it",
            "roster of \"2#罐区\", ops: nobody is called \"ghost\"",
            "ladder: \"boss\" is none of duty, lead",
            "no channel is called \"pigeon\"",
            "its ladder has nobody in it",
        ] {
            assert!(found.contains(part), "{part} is not in\n{found}");
        }
        assert!(faults("people = 1").join("").contains("unknown field `people`"));
    }

    #[test]
    fn a_file_that_calls_nobody_for_an_urgent_alarm_is_refused_with_the_mend() {
        for (urgent, other) in [(1, 3), (2, 4)] {
            let lacking =
                GOOD.replace(&format!("priority = {urgent}\n"), &format!("priority = {other}\n"));
            let found = faults(&lacking);
            assert_eq!(found.len(), 1, "{found:?}");
            let mend = format!("add a [[policy]] with priority = {urgent}");
            assert!(found[0].contains(&mend), "{found:?}");
        }
        assert_eq!(faults("").len(), 2, "an empty file calls nobody at all");
    }
}
