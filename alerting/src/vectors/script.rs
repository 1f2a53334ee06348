//! A scenario as its line says it.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::command::{Permit, Verb};

/// One line.
#[derive(Debug, Deserialize)]
struct Line {
    id: String,
    #[serde(default)]
    title: String,
    config: Config,
    input: Vec<Vec<Value>>,
    expect: Vec<Expected>,
    occurrences: Vec<(i64, Option<i64>, u64)>,
    #[serde(default)]
    not_confirmed: Vec<u64>,
    r#final: String,
    compare: Option<Vec<String>>,
}

/// The alarm of a scenario. Unknown keys are an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) kind: String,
    pub(crate) limit: f64,
    pub(crate) db: f64,
    pub(crate) on: i64,
    pub(crate) off: i64,
    pub(crate) latch: bool,
    pub(crate) ack_req: bool,
    pub(crate) ack_resets_latch: bool,
    pub(crate) prio: u8,
    pub(crate) l_live: i64,
    pub(crate) hold_lag: i64,
    pub(crate) late_horizon: i64,
    pub(crate) realarm: i64,
    pub(crate) max_future: i64,
    pub(crate) badq: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: "HI".to_owned(),
            // Not a number: a scenario without its limit is refused by the plan.
            limit: f64::NAN,
            db: 0.0,
            on: 0,
            off: 0,
            latch: false,
            ack_req: true,
            ack_resets_latch: false,
            prio: 2,
            l_live: 30,
            hold_lag: 2,
            late_horizon: 604_800,
            realarm: 0,
            max_future: 5,
            badq: "freeze".to_owned(),
        }
    }
}

/// One expected journal row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Expected {
    pub(crate) ti: i64,
    pub(crate) te: Option<i64>,
    pub(crate) fr: char,
    pub(crate) to: char,
    pub(crate) occ: u64,
    #[serde(default)]
    pub(crate) why: String,
    #[serde(default)]
    pub(crate) fl: String,
}

/// One sample of a scenario; no value is bad quality.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) te: i64,
    pub(crate) value: Option<f64>,
}

/// One input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    Sample(Sent),
    Batch(Vec<Sent>),
    Tick,
    Restart,
    Command { verb: Verb, user: String, reason: String },
}

/// A scenario, read.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) config: Config,
    pub(crate) input: Vec<(i64, Input)>,
    pub(crate) expect: Vec<Expected>,
    pub(crate) occurrences: Vec<(i64, Option<i64>, u64)>,
    pub(crate) not_confirmed: Vec<u64>,
    pub(crate) last: String,
    pub(crate) compare: Vec<String>,
}

/// What is compared where a scenario does not say.
const COMPARE: [&str; 3] = ["rows", "occurrences", "final"];
/// What can be compared.
const COMPARABLE: [&str; 4] = ["rows", "occurrences", "bounds", "final"];

impl Scenario {
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let mut input = Vec::with_capacity(line.input.len());
        for (place, words) in (1_usize..).zip(&line.input) {
            input.push(self::input(words).map_err(|why| format!("input {place}: {why}"))?);
        }
        let compare = line.compare.unwrap_or_else(|| COMPARE.map(str::to_owned).to_vec());
        if let Some(unknown) = compare.iter().find(|c| !COMPARABLE.contains(&c.as_str())) {
            return Err(format!("compare: {unknown:?} is none of {COMPARABLE:?}"));
        }
        Ok(Self {
            id: line.id,
            title: line.title,
            config: line.config,
            input,
            expect: line.expect,
            occurrences: line.occurrences,
            not_confirmed: line.not_confirmed,
            last: line.r#final,
            compare,
        })
    }
}

fn input(words: &[Value]) -> Result<(i64, Input), String> {
    let [code, ti, rest @ ..] = words else { return Err("code and ti are missing".into()) };
    let code = code.as_str().ok_or("the code is no text")?;
    let ti = ti.as_i64().ok_or("ti is no integer")?;
    let input = match (code, rest) {
        ("s", rest) => Input::Sample(sent(rest)?),
        ("b", [Value::Array(rows)]) => {
            let row =
                |row: &Value| row.as_array().map_or(Err("a row is no list".into()), |r| sent(r));
            Input::Batch(rows.iter().map(row).collect::<Result<_, String>>()?)
        }
        ("t", []) => Input::Tick,
        ("r", []) => Input::Restart,
        ("c", [Value::String(name)]) => command(name, &Map::new())?,
        ("c", [Value::String(name), Value::Object(arguments)]) => command(name, arguments)?,
        (code, _) => return Err(format!("{code:?} with these arguments is no input")),
    };
    Ok((ti, input))
}

fn sent(words: &[Value]) -> Result<Sent, String> {
    let (te, value, quality) = match words {
        [te, value] => (te, value, "G"),
        [te, value, quality] => (te, value, quality.as_str().ok_or("the quality is no text")?),
        _ => return Err("a sample is te, v and perhaps q".into()),
    };
    let te = te.as_i64().ok_or("te is no integer")?;
    let value = match quality {
        "G" => Some(value.as_f64().ok_or("a good sample needs a number")?),
        "B" => None,
        other => return Err(format!("the quality {other:?} is neither G nor B")),
    };
    Ok(Sent { te, value })
}

/// Reads arguments by name and knows which were not asked for.
struct Arguments<'a> {
    left: Vec<&'a str>,
    map: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    fn new(map: &'a Map<String, Value>) -> Self {
        Self { left: map.keys().map(String::as_str).collect(), map }
    }

    fn get(&mut self, name: &str) -> Option<&'a Value> {
        self.left.retain(|left| *left != name);
        self.map.get(name)
    }

    fn text(&mut self, name: &str) -> Result<String, String> {
        match self.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(format!("{name} {other} is no text")),
        }
    }

    fn number(&mut self, name: &str) -> Result<i64, String> {
        self.get(name).and_then(Value::as_i64).ok_or_else(|| format!("{name} must be an integer"))
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| format!("{name} must be true or false")),
        }
    }
}

/// Class, person and permit rules of shelving are no matter of these scenarios.
fn permit() -> Permit {
    Permit {
        reason: "vector".to_owned(),
        position: String::new(),
        second_person: Some("second".to_owned()),
        permit_number: Some("vector".to_owned()),
    }
}

fn command(name: &str, map: &Map<String, Value>) -> Result<Input, String> {
    let mut arguments = Arguments::new(map);
    let mut says_why = true;
    let verb = match name {
        "ack" => {
            says_why = false;
            let occurrence = arguments.number("occ")?;
            let occurrence = u64::try_from(occurrence).map_err(|_| "occ must not be negative")?;
            Verb::acknowledge(occurrence)
        }
        "reset" | "unshelve" => {
            says_why = false;
            if name == "reset" { Verb::Reset } else { Verb::Unshelve }
        }
        "shelve" => Verb::Shelve {
            for_ms: super::ms(arguments.number("dur")?),
            one_shot: arguments.flag("oneshot")?,
            permit: permit(),
        },
        "sup_on" => Verb::Suppress,
        "sup_off" => Verb::Unsuppress,
        "oos_on" => Verb::OutOfService,
        "oos_off" => Verb::InService,
        other => return Err(format!("{other:?} is no command")),
    };
    let user = arguments.text("user")?;
    let reason = if says_why { arguments.text("reason")? } else { String::new() };
    if let Some(unknown) = arguments.left.first() {
        return Err(format!("{name} has no argument {unknown:?}"));
    }
    Ok(Input::Command { verb, user, reason })
}
