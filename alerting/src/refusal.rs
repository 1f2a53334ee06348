//! Why a command was refused, in words for the person who gave it.

use std::fmt;

/// Shelves that one operator position may hold at a time (W16).
pub const SHELVES_MAX: usize = 50;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The state does not allow it (Q19). The person's own words stay in the row, as a note.
    State,
    /// There never was an occurrence of this number; the highest is the second.
    NoOccurrence(u64, u64),
    /// Section 6, Q15.
    CommentNeeded,
    /// W16: the reason or its free text is missing.
    ReasonNeeded,
    /// W16: no end.
    EndNeeded,
    /// W16: longer than the priority allows, in ms.
    TooLong(i64),
    /// W16: P1.
    SecondPersonNeeded,
    /// W16: the second person must be another one.
    SamePerson,
    /// W16: a statutory alarm.
    PermitNeeded,
    /// W16: a running shelf ends in so many ms, the new one would not end earlier.
    NotEarlier(i64),
    /// W16: the position holds as many as it may.
    TooMany,
}

impl Refusal {
    /// The comment of the row; none where the person's own stays.
    pub(crate) fn says(self) -> Option<String> {
        match self {
            Self::State => None,
            Self::NoOccurrence(..)
            | Self::CommentNeeded
            | Self::ReasonNeeded
            | Self::EndNeeded
            | Self::TooLong(_)
            | Self::SecondPersonNeeded
            | Self::SamePerson
            | Self::PermitNeeded
            | Self::NotEarlier(_)
            | Self::TooMany => Some(self.to_string()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => write!(f, "当前状态不允许 / not possible in this state"),
            Self::NoOccurrence(named, 0) => write!(
                f,
                "没有第{named}次：该报警尚未发生过 / no occurrence {named}: this alarm has had none yet"
            ),
            Self::NoOccurrence(named, highest) => write!(
                f,
                "没有第{named}次，最新为第{highest}次 / no occurrence {named}; the highest is {highest}"
            ),
            Self::CommentNeeded => write!(
                f,
                "确认P1、P2和迟到的报警必须填写说明 / acknowledging P1, P2 or a late occurrence needs a comment"
            ),
            Self::ReasonNeeded => write!(
                f,
                "搁置必须选择原因并填写说明 / a shelf needs a reason code and a free text"
            ),
            Self::EndNeeded => {
                write!(f, "搁置必须有结束时间 / a shelf needs an end time")
            }
            Self::TooLong(most) => {
                let minutes = most / 60_000;
                write!(
                    f,
                    "搁置时间超过所遮住的最高优先级的上限{minutes}分钟 / longer than the {minutes} min that the gravest priority it hides allows"
                )
            }
            Self::SecondPersonNeeded => {
                write!(
                    f,
                    "此搁置会遮住P1报警（网关离线代表其全部报警），须两人批准 / this shelf hides a P1 alarm, and OFFLINE stands for all of its gateway: a second person is needed"
                )
            }
            Self::SamePerson => {
                write!(f, "第二批准人须为另一人 / the second person must not be the one who asks")
            }
            Self::PermitNeeded => write!(
                f,
                "法定报警须填写许可票号 / a statutory alarm needs the number of a written permit"
            ),
            Self::NotEarlier(left) => {
                let minutes = left.div_euclid(60_000) + 1;
                write!(
                    f,
                    "已有搁置（余{minutes}分钟内），只能改为更早结束；延长须先取消再重新审批 / a shelf with less than {minutes} min left is replaced only by an earlier end; for a later one end it and get a new approval"
                )
            }
            Self::TooMany => write!(
                f,
                "本岗位已有{SHELVES_MAX}个搁置，达到上限 / this position holds {SHELVES_MAX} shelves, the most allowed"
            ),
        }
    }
}
