//! What can be wrong with a site, in the words of the file, each with its mend.
//!
//! Chinese first: the people who mend a point sheet stand in the plant.

use std::cmp::Ordering;
use std::fmt;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFault {
    /// Which file.
    pub file: String,
    /// Line of the file, from 1.
    pub row: Option<usize>,
    /// Column or key.
    pub column: Option<String>,
    /// What stands there.
    pub value: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// Faults that are told: nobody mends more of them before looking again, and a wrong file has
/// millions.
pub(crate) const FAULTS_MAX: usize = 1_000;
/// Letters of a value or a key that are shown.
const SHOWN_MAX: usize = 200;

/// One more fault, unless there are enough.
pub(crate) fn add(faults: &mut Vec<SiteFault>, mut fault: SiteFault) {
    match faults.len().cmp(&FAULTS_MAX) {
        Ordering::Less => {
            [&mut fault.column, &mut fault.value].into_iter().flatten().for_each(shorten);
            faults.push(fault);
        }
        Ordering::Equal => {
            let problem = Problem::Said(
                format!("错误太多，只列出 {FAULTS_MAX} 处；请核对是不是这个文件，改正后再检查"),
                format!(
                    "too many faults, the first {FAULTS_MAX} are told: look whether it is the right \
                     file, mend them and check again"
                ),
            );
            faults.push(SiteFault::of_file(&fault.file, problem));
        }
        Ordering::Greater => {}
    }
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(SHOWN_MAX) {
        text.truncate(end);
        text.push('…');
    }
}

impl SiteFault {
    /// A fault of the file as a whole.
    #[must_use]
    pub fn of_file(file: &str, problem: Problem) -> Self {
        Self { file: file.to_owned(), row: None, column: None, value: None, problem }
    }
}

impl fmt::Display for SiteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(row) = self.row {
            write!(f, ":{row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, " [{column}]")?;
        }
        if let Some(value) = &self.value {
            write!(f, " {value:?}")?;
        }
        write!(f, "：{}  |  {}", self.problem.zh(), self.problem.en())
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file cannot be read: the reason.
    Unreadable(String),
    /// The text is not what it should be: what the parser said.
    Syntax(String),
    /// A key or column that does not exist; the known ones.
    UnknownKey(String),
    /// A key or column that is needed.
    MissingKey,
    /// A cell or key without content.
    Empty,
    /// Not of this kind.
    NotA(Kind),
    /// Outside these bounds.
    OutOfBounds(String, String),
    /// Not one of these words.
    NotOneOf(String),
    /// A name that cannot be used, and why.
    BadName(String),
    /// Given already, in this row.
    Duplicate(usize),
    /// A name that the site file does not define; the defined ones.
    Undefined(String),
    /// Range upside down.
    RangeUpsideDown,
    /// Scale 0 or not finite.
    BadScale,
    /// Address and length go past 65535.
    PastTheEnd(u16),
    /// Registers that another row takes: that row and its tag.
    Overlap(usize, String),
    /// A coil or discrete input of another type than bool.
    BitsAreBool,
    /// A sentinel that this type cannot hold.
    SentinelRange,
    /// Wrong number of cells: found, wanted.
    Cells(usize, usize),
    /// No point at all.
    NoPoints,
    /// More than can be handled: found, allowed.
    TooMany(usize, usize),
    /// The time register and the points do not fit in one request.
    TimeBlock(String, String),
    /// What no other word says: in Chinese, in English, each with its mend.
    Said(String, String),
    /// A unit that another device of the same line has: its row.
    SameUnit(usize),
    /// An alarm that comes too late: tag, what it takes at worst, ms.
    TooSlow(String, u64),
}

impl Problem {
    /// In Chinese, with the mend.
    #[must_use]
    pub fn zh(&self) -> String {
        match self {
            Self::Unreadable(why) => format!("无法读取（{why}）；请检查文件名和编码（UTF-8）"),
            Self::Syntax(why) => format!("格式错误（{why}）；请改正该处"),
            Self::UnknownKey(known) => format!("未知的键或列；可用：{known}"),
            Self::MissingKey => "缺少该键或列；请补上".to_owned(),
            Self::Empty => "为空；请填写".to_owned(),
            Self::NotA(kind) => format!("类型不对；应为{}", kind.zh()),
            Self::OutOfBounds(low, high) => format!("超出范围；应为 {low} 到 {high}"),
            Self::NotOneOf(words) => format!("不是可用的值；应为 {words} 之一"),
            Self::BadName(_) => {
                "名称只能用字母、数字、-、_ 和 .，最长 64 字节，网关名不含汉字；请改名".to_owned()
            }
            Self::Duplicate(row) => format!("与第 {row} 行重复；请改名"),
            Self::Undefined(known) => format!("站点文件中没有定义；已定义：{known}"),
            Self::RangeUpsideDown => "量程下限应小于上限，且均为有限数；请改正 low/high".to_owned(),
            Self::BadScale => {
                "系数不能为 0 或小到无法计算，系数、偏移和换算结果须为有限数；请改正".to_owned()
            }
            Self::PastTheEnd(words) => {
                format!("占 {words} 个地址，超出 65535；请改地址或类型")
            }
            Self::Overlap(row, tag) => {
                format!("与第 {row} 行（{tag}）占用相同寄存器；请改其中一行的地址或类型")
            }
            Self::BitsAreBool => "线圈和离散量的类型应为 bool；请改类型或功能".to_owned(),
            Self::SentinelRange => "该类型不可能出现此无效值；请删除或改正".to_owned(),
            Self::Cells(found, wanted) => {
                format!("有 {found} 格，应为 {wanted} 格；请检查逗号和引号")
            }
            Self::NoPoints => "没有测点；数据从第 3 行开始".to_owned(),
            Self::TooMany(found, most) => format!("共 {found} 个，最多 {most} 个；请拆分"),
            Self::TimeBlock(zh, _) | Self::Said(zh, _) => zh.clone(),
            Self::SameUnit(row) => {
                format!("与第 {row} 行的设备在同一总线上站号相同，两台会同时应答；请改站号")
            }
            Self::TooSlow(tag, ms) => format!(
                "{tag} 从变化到就地报警最长 {} 秒；请缩短扫描周期、timeout_ms 或报警延时，提高波特率，\
                 减少同一总线上的设备，或放宽 response_s",
                seconds(*ms)
            ),
        }
    }

    /// In English, with the mend.
    #[must_use]
    pub fn en(&self) -> String {
        match self {
            Self::Unreadable(why) => {
                format!("cannot be read ({why}); check the name, and save it as UTF-8")
            }
            Self::Syntax(why) => format!("not well formed ({why}); mend this place"),
            Self::UnknownKey(known) => format!("unknown key or column; known are {known}"),
            Self::MissingKey => "is missing; add it".to_owned(),
            Self::Empty => "is empty; fill it in".to_owned(),
            Self::NotA(kind) => format!("must be {}", kind.en()),
            Self::OutOfBounds(low, high) => format!("must be {low} to {high}"),
            Self::NotOneOf(words) => format!("must be one of {words}"),
            Self::BadName(why) => why.clone(),
            Self::Duplicate(row) => format!("was already given in row {row}; rename one"),
            Self::Undefined(known) => format!("is not defined in the site file; defined: {known}"),
            Self::RangeUpsideDown => {
                "low must be less than high, both finite; mend low or high".to_owned()
            }
            Self::BadScale => {
                "scale must not be 0 or next to it, scale, offset and what they make of a register must \
                 be finite; mend them"
                    .to_owned()
            }
            Self::PastTheEnd(words) => {
                format!("takes {words} addresses and ends past 65535; mend address or type")
            }
            Self::Overlap(row, tag) => {
                format!("takes registers of row {row} ({tag}); mend address or type of one")
            }
            Self::BitsAreBool => {
                "coils and discrete inputs have type bool; mend type or function".to_owned()
            }
            Self::SentinelRange => "this type can never hold it; remove or mend it".to_owned(),
            Self::Cells(found, wanted) => {
                format!("has {found} cells where {wanted} belong; look for commas and quotes")
            }
            Self::NoPoints => "has no points; data begin in row 3".to_owned(),
            Self::TooMany(found, most) => format!("{found}, at most {most}; split the site"),
            Self::TimeBlock(_, en) | Self::Said(_, en) => en.clone(),
            Self::SameUnit(row) => {
                format!(
                    "the device of row {row} has this unit on the same line and both would answer; mend one"
                )
            }
            Self::TooSlow(tag, ms) => format!(
                "{tag} takes up to {} s from change to local alarm; shorten period, timeout_ms or \
                 on-delay, raise baud, put fewer devices on the line, or relax response_s",
                seconds(*ms)
            ),
        }
    }
}

/// Rounded up: a bound stays one.
fn seconds(ms: u64) -> String {
    let tenths = ms.div_ceil(100);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What a key or cell may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// One table.
    Table,
    /// A list of tables.
    Tables,
    /// A day.
    Date,
}

impl Kind {
    fn zh(self) -> &'static str {
        match self {
            Self::Text => "加引号的文字",
            Self::Whole => "整数",
            Self::Number => "数字",
            Self::Flag => " true 或 false",
            Self::Texts => "一组加引号的文字，如 [\"A\", \"B\"]",
            Self::Table => "一个 [表]",
            Self::Tables => "若干 [[表]]",
            Self::Date => "不加引号的日期，如 2026-03-01",
        }
    }

    fn en(self) -> &'static str {
        match self {
            Self::Text => "text in quotes",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::Texts => "a list of texts in quotes, such as [\"A\", \"B\"]",
            Self::Table => "one [table]",
            Self::Tables => "tables, each under its [[heading]]",
            Self::Date => "a date without quotes, such as 2026-03-01",
        }
    }
}
