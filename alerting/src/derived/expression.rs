//! Expressions over points and alarms, in CEL.
//!
//! - `pv("TK-101.LT")` is the value of a point, `bad("TK-101.LT")` whether it has none,
//!   `on("TK-101.LT/HH")` whether an alarm's condition holds.
//! - A point without a value is an unknown name, so `pv("A") > 1.0 || on("B/HH")` can still be true.
//!   Whatever cannot be computed is no answer, never "false".
//! - Lists and maps are refused, and with them macros that loop; the text is at most 1 KiB.

use std::fmt;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest expression, bytes: what the parser takes without deep recursion.
pub const EXPRESSION_MAX: usize = 1_024;

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpressionFault {
    /// Nothing there.
    #[error("is empty; write for example pv(\"A\") > 80.0 && on(\"B/HH\")")]
    Empty,
    /// Too long.
    #[error("is longer than {EXPRESSION_MAX} bytes; split it into several")]
    TooLong,
    /// Lists and maps.
    #[error("has a {0:?}; lists and maps are not allowed")]
    Bracket(char),
    /// A name where a text in quotes must stand.
    #[error("{0} needs a name in double quotes: {0}(\"TK-101.LT\")")]
    NoName(&'static str),
    /// CEL cannot read it.
    #[error("cannot be read: {0}")]
    Syntax(String),
    /// It gives no yes or no.
    #[error("gives no yes or no ({0}); write numbers with a decimal point, compare at the end")]
    NotYesOrNo(String),
}

impl ExpressionFault {
    /// What is wrong, in Chinese.
    #[must_use]
    pub fn zh(&self) -> String {
        match self {
            Self::Empty => "为空；请写成 pv(\"A\") > 80.0 && on(\"B/HH\") 的样子".to_owned(),
            Self::TooLong => format!("长于 {EXPRESSION_MAX} 字节；请拆成几个"),
            Self::Bracket(bracket) => format!("含 {bracket:?}；不能用列表和映射，请改写"),
            Self::NoName(name) => {
                format!("的 {name} 须用双引号写名称；请写成 {name}(\"TK-101.LT\")")
            }
            Self::Syntax(why) => format!("读不懂（{why}）；请改正该处"),
            Self::NotYesOrNo(got) => {
                format!("得不出真假（{got}）；数字请带小数点，最后须是比较")
            }
        }
    }
}

/// An expression, read and tried. Saved as it was written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Expression {
    text: String,
    tags: Vec<String>,
    alarms: Vec<String>,
    program: Arc<Program>,
    env: Arc<Env>,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.text
    }
}

impl TryFrom<String> for Expression {
    type Error = ExpressionFault;

    fn try_from(text: String) -> Result<Self, ExpressionFault> {
        Self::parse(&text)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

/// What an expression is asked about.
pub(crate) struct Asked {
    pub(crate) points: Vec<Option<f64>>,
    pub(crate) alarms: Vec<bool>,
}

impl Expression {
    /// Reads an expression and tries it once.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ExpressionFault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ExpressionFault::Empty);
        }
        if text.len() > EXPRESSION_MAX {
            return Err(ExpressionFault::TooLong);
        }
        if let Some(bracket) = text.chars().find(|c| matches!(c, '[' | ']' | '{' | '}')) {
            return Err(ExpressionFault::Bracket(bracket));
        }
        let (mut tags, mut alarms) = (Vec::new(), Vec::new());
        let plain = with_plain_names(text, &mut tags, &mut alarms)?;
        let program = Program::compile(&plain)
            .map_err(|faults| ExpressionFault::Syntax(faults.to_string()))?;
        let (program, env) = (Arc::new(program), Arc::new(Env::stdlib()));
        let expression = Self { text: text.to_owned(), tags, alarms, program, env };
        // Tried with every input there: what is no yes or no now never will be.
        let tried = Asked {
            points: vec![Some(1.5); expression.tags.len()],
            alarms: vec![true; expression.alarms.len()],
        };
        match expression.run(&tried) {
            Ok(Value::Bool(_)) => Ok(expression),
            Ok(other) => Err(ExpressionFault::NotYesOrNo(format!("{other:?}"))),
            Err(why) => Err(ExpressionFault::NotYesOrNo(why)),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tags that it names, each once.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The alarms that it names, each once.
    #[must_use]
    pub fn alarms(&self) -> &[String] {
        &self.alarms
    }

    /// Yes, no, or no answer.
    pub(crate) fn holds(&self, asked: &Asked) -> Option<bool> {
        match self.run(asked) {
            Ok(Value::Bool(yes)) => Some(yes),
            Ok(_) | Err(_) => None,
        }
    }

    fn run(&self, asked: &Asked) -> Result<Value, String> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        for (at, value) in asked.points.iter().enumerate() {
            if let Some(value) = value {
                context.add_variable_from_value(format!("p{at}"), *value);
            }
            context.add_variable_from_value(format!("q{at}"), value.is_none());
        }
        for (at, on) in asked.alarms.iter().enumerate() {
            context.add_variable_from_value(format!("a{at}"), *on);
        }
        self.program.execute(&context).map_err(|fault| fault.to_string())
    }
}

/// Replaces `pv("…")`, `bad("…")`, `on("…")` by names that CEL knows and notes what they named.
fn with_plain_names(
    text: &str,
    tags: &mut Vec<String>,
    alarms: &mut Vec<String>,
) -> Result<String, ExpressionFault> {
    const WORDS: [(&str, char); 3] = [("pv", 'p'), ("bad", 'q'), ("on", 'a')];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    'text: while let Some(first) = rest.chars().next() {
        let inside_word = plain.chars().last().is_some_and(|c| c.is_alphanumeric() || c == '_');
        for (word, letter) in WORDS {
            let call = rest.strip_prefix(word).map(str::trim_start);
            let Some(call) = call.and_then(|c| c.strip_prefix('(')).filter(|_| !inside_word) else {
                continue;
            };
            let named = call.trim_start().strip_prefix('"').and_then(|c| c.split_once('"'));
            let closed = named.and_then(|(name, after)| {
                after.trim_start().strip_prefix(')').map(|after| (name.trim(), after))
            });
            let Some((name, after)) = closed.filter(|(name, _)| !name.is_empty()) else {
                return Err(ExpressionFault::NoName(word));
            };
            let names = if letter == 'a' { &mut *alarms } else { &mut *tags };
            let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            });
            plain.push(letter);
            plain.push_str(&at.to_string());
            rest = after;
            continue 'text;
        }
        plain.push(first);
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    Ok(plain)
}
