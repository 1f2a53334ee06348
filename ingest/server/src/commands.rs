//! Commands as the journal keeps them, so that a restart can play them again.

use fengsui_alerting::{AlarmId, Command, Permit, Verb};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
enum Text {
    Acknowledge {
        occurrence: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first_level: Option<u64>,
        by: String,
        comment: String,
        request: String,
    },
    Reset {
        by: String,
        comment: String,
        request: String,
    },
    Shelve {
        for_ms: i64,
        one_shot: bool,
        reason: String,
        position: String,
        second_person: Option<String>,
        permit_number: Option<String>,
        by: String,
        comment: String,
        request: String,
    },
    Unshelve {
        by: String,
        comment: String,
        request: String,
    },
    Suppress {
        by: String,
        comment: String,
        request: String,
    },
    Unsuppress {
        by: String,
        comment: String,
        request: String,
    },
    OutOfService {
        by: String,
        comment: String,
        request: String,
    },
    InService {
        by: String,
        comment: String,
        request: String,
    },
}

/// A command as JSON.
#[must_use]
pub fn to_json(command: &Command) -> String {
    let (by, comment, request) =
        (command.by.clone(), command.comment.clone(), command.request.clone());
    let text = match command.verb.clone() {
        Verb::Acknowledge { occurrence, first_level } => {
            Text::Acknowledge { occurrence, first_level, by, comment, request }
        }
        Verb::Reset => Text::Reset { by, comment, request },
        Verb::Shelve { for_ms, one_shot, permit } => {
            let Permit { reason, position, second_person, permit_number } = permit;
            Text::Shelve {
                for_ms,
                one_shot,
                reason,
                position,
                second_person,
                permit_number,
                by,
                comment,
                request,
            }
        }
        Verb::Unshelve => Text::Unshelve { by, comment, request },
        Verb::Suppress => Text::Suppress { by, comment, request },
        Verb::Unsuppress => Text::Unsuppress { by, comment, request },
        Verb::OutOfService => Text::OutOfService { by, comment, request },
        Verb::InService => Text::InService { by, comment, request },
    };
    serde_json::to_string(&text).expect("a command of strings and numbers is always JSON")
}

/// A command from the journal.
///
/// # Errors
/// The text is no command of this version.
pub fn from_json(alarm: AlarmId, text: &str) -> Result<Command, serde_json::Error> {
    let (verb, by, comment, request) = match serde_json::from_str(text)? {
        Text::Acknowledge { occurrence, first_level, by, comment, request } => {
            (Verb::Acknowledge { occurrence, first_level }, by, comment, request)
        }
        Text::Reset { by, comment, request } => (Verb::Reset, by, comment, request),
        Text::Shelve {
            for_ms,
            one_shot,
            reason,
            position,
            second_person,
            permit_number,
            by,
            comment,
            request,
        } => {
            let permit = Permit { reason, position, second_person, permit_number };
            (Verb::Shelve { for_ms, one_shot, permit }, by, comment, request)
        }
        Text::Unshelve { by, comment, request } => (Verb::Unshelve, by, comment, request),
        Text::Suppress { by, comment, request } => (Verb::Suppress, by, comment, request),
        Text::Unsuppress { by, comment, request } => (Verb::Unsuppress, by, comment, request),
        Text::OutOfService { by, comment, request } => (Verb::OutOfService, by, comment, request),
        Text::InService { by, comment, request } => (Verb::InService, by, comment, request),
    };
    Ok(Command { alarm, verb, by, comment, request })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_comes_back() {
        for verb in [
            Verb::acknowledge(7),
            Verb::Acknowledge { occurrence: 7, first_level: Some(3) },
            Verb::Reset,
            Verb::Shelve {
                for_ms: 60_000,
                one_shot: true,
                permit: Permit {
                    reason: "检修".into(),
                    position: "主控".into(),
                    second_person: Some("李强".into()),
                    permit_number: None,
                },
            },
            Verb::Unshelve,
            Verb::Suppress,
            Verb::Unsuppress,
            Verb::OutOfService,
            Verb::InService,
        ] {
            let command = Command {
                alarm: AlarmId(3),
                verb,
                by: "王敏".into(),
                comment: "\"引号\"".into(),
                request: "r-1".into(),
            };
            assert_eq!(from_json(AlarmId(3), &to_json(&command)).unwrap(), command);
        }
    }
}
