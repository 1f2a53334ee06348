//! What can be wrong with a file of limits, in the words of that file.

use std::fmt;

use thiserror::Error;

/// What is wrong, and the mend: in Chinese, and after `  |  ` in English.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LimitTrouble {
    /// The bytes are no CSV.
    #[error(
        "不是 CSV（{0}）；请另存为“CSV UTF-8”  |  \
         is not readable as CSV ({0}); save the sheet as CSV, UTF-8"
    )]
    Csv(String),
    /// A quote, or a line break in a cell.
    #[error(
        "这一行的引号没有在本行结束；请删去多余的引号，单元格内不要换行  |  \
         opens a quote that is not closed in this row; remove the stray quote, and write no line \
         break into a cell"
    )]
    OpenQuote,
    /// More faults than anybody mends before looking again: so many are told.
    #[error(
        "错误太多，只列出 {0} 处；请核对是不是这个文件，改正后再检查  |  \
         too many faults, the first {0} are told; look whether it is the right file, mend them and \
         check again"
    )]
    TooMany(usize),
    /// More rows than a plan may have alarms.
    #[error(
        "超过 {0} 行；请核对是不是这个文件  |  more than {0} rows; look whether it is the right file"
    )]
    TooLarge(usize),
    /// No heading row with the keys.
    #[error(
        "没有写着 tag、kind、limit 等键名的标题行；请保留第二行标题  |  \
         has no heading row with the keys tag, kind, limit; keep the second heading row"
    )]
    NoHeading,
    /// A column that nothing reads.
    #[error(
        "不是限值表的列；请删除或改正列名  |  \
         is no column of limits; remove it or mend its name"
    )]
    UnknownColumn,
    /// A column twice.
    #[error("该列重复；请删去其一  |  comes twice; remove one of the two columns")]
    ColumnTwice,
    /// A column that must be there.
    #[error("缺少该列；请补上  |  column is missing; add it")]
    MissingColumn,
    /// A cell that must be filled.
    #[error("为空；请填写{0}  |  is empty; give {1}")]
    Empty(&'static str, &'static str),
    /// More cells than headings: how many of each.
    #[error(
        "有 {0} 格，标题只有 {1} 格；小数点请写成 .（0.5 而不是 0,5），并删去多余的逗号  |  \
         {0} cells stand under {1} headings; write 0.5 and not 0,5, and remove stray commas"
    )]
    Cells(usize, usize),
    /// What no program shows.
    #[error(
        "含有看不见的控制字符；请清空该格后重新输入  |  \
         holds a control character, which nobody can see; empty the cell and type it again"
    )]
    Control,
    /// A number that is none.
    #[error(
        "不是有限的数字；请写成 85 或 0.5 的样子  |  \
         is no finite number; write it like 85 or 0.5"
    )]
    NotANumber,
    /// A number below zero.
    #[error("不能为负；请改为 0 或正数  |  must not be negative; write 0 or more")]
    Negative,
    /// A time that is not above zero.
    #[error("应大于 0；请改正  |  must be above 0; mend it")]
    NotPositive,
    /// RANGE that lies within the instrument's range.
    #[error(
        "小于 100：RANGE 是量程跨度的百分数；请改为 100 以上，如 105  |  \
         is below 100: RANGE is percent of the instrument's span; write 100 or more, such as 105"
    )]
    InsideTheSpan,
    /// What the engine does not take, whatever the point is.
    #[error("{0}  |  {1}")]
    Engine(String, String),
    /// A time that nobody means.
    #[error("超过 {0} 秒；请改短  |  is longer than {0} s; give a shorter one")]
    TooLong(i64),
    /// A kind that is none.
    #[error(
        "不是限值的类型；请用 HH、H、L、LL、STALE、ROC_UP、ROC_DOWN、DEVIATION、DISCRETE、FROZEN、BADQ、\
             RANGE、VOTE、TTL、COMPOSITE，或不写位号的 OFFLINE、CLOCK  |  is no kind of limit; use HH, H, L, LL, STALE, ROC_UP, ROC_DOWN, DEVIATION, DISCRETE, FROZEN, \
             BADQ, RANGE, VOTE, TTL, COMPOSITE or, without a tag, OFFLINE, CLOCK"
    )]
    UnknownKind,
    /// A priority that is none.
    #[error("不是优先级；请用 P1、P2、P3 或 P4  |  is no priority; use P1, P2, P3 or P4")]
    UnknownPriority,
    /// Neither yes nor no.
    #[error("应为 true 或 false；请改正  |  is neither true nor false; write one of them")]
    NotYesOrNo,
    /// A value where the kind has none.
    #[error("对 {0} 没有意义；请留空  |  has no meaning for {0}; leave it empty")]
    NoMeaning(&'static str),
    /// A tag that cannot be one.
    #[error("名称只能用字母、数字、-、_ 和 .，最长 64 字节；请改名  |  {0}")]
    Tag(String),
    /// OFFLINE with a tag, or a point's limit without one.
    #[error(
        "OFFLINE 和 CLOCK 说的是网关；请把位号留空  |  \
         OFFLINE and CLOCK are about the gateway: leave their tag empty"
    )]
    TagOnOffline,
    /// A detail that cannot be read.
    #[error(
        "读到 {0:?} 处读不下去；请写成 名=值;名=值，每个名只写一次  |  \
         cannot be read at {0:?}; write name=value;name=value, each name once"
    )]
    DetailForm(String),
    /// A detail that the kind does not have.
    #[error("{1} 没有 {0:?} 这一项；请删除  |  has {0:?}, which {1} does not know; remove it")]
    DetailUnknown(String, &'static str),
    /// A detail that must be there.
    #[error("缺少 {0}=…；请补上  |  lacks {0}=…; add it")]
    DetailMissing(&'static str),
    /// A detail whose value makes no sense.
    #[error(
        "{0}={1:?} 看不懂；请写成 window=60s、within=25m、samples=20、of=位号、values=1|2、\
             vote=2oo3:A,B,C、side=high 或 low、statutory、ack=true 或 false  |  has {0}={1:?}; write window=60s, within=25m, samples=20, of=TAG, values=1|2, \
             vote=2oo3:A,B,C, side=high or low, statutory, ack=true or false"
    )]
    DetailValue(String, String),
    /// An expression that is none.
    #[error("表达式 {0}  |  the expression {1}")]
    Expression(String, String),
    /// An alarm that is not there.
    #[error(
        "本网关没有这个报警；请写成 位号/类型，如 TK-101.LT/HH，并给出该限值  |  \
         is no alarm of this gateway; write TAG/KIND as in TK-101.LT/HH, and give that limit"
    )]
    UnknownAlarm,
    /// Rows that look at themselves by way of others.
    #[error("绕回到自身：{0}；请断开循环  |  looks at itself: {0}; break the circle")]
    Circle(String),
    /// More samples than are kept.
    #[error(
        "按该点的采集周期，窗口内多于 {0} 个数；请缩短 window  |  \
         holds more than {0} samples at this point's period; shorten the window"
    )]
    WindowTooLong(usize),
    /// The same limit twice.
    #[error(
        "与第 {0} 行重复；请删去其一  |  \
         was given already in row {0}; remove one of the two"
    )]
    Duplicate(u64),
    /// The levels cross.
    #[error(
        "与 {other} {value}（第 {row} 行）次序不对；须 LL <= L < H <= HH，请改正  |  \
         lies on the wrong side of {other} {value} (row {row}); LL <= L < H <= HH must hold"
    )]
    Crossed {
        /// The other kind.
        other: &'static str,
        /// Its limit.
        value: String,
        /// Its row.
        row: u64,
    },
    /// A delay outlives the supervision of the point.
    #[error(
        "比该点的 STALE {0} 秒还长，延时未到数据已陈旧；请缩短延时或加长 STALE  |  \
             is longer than STALE {0} s of this point: the value would be stale before the delay \
             ends; shorten the delay or lengthen STALE"
    )]
    DelayBeyondStale(String),
    /// A tag that the catalogue does not have.
    #[error(
        "点表中没有该位号；请改正，或在点表中添加  |  \
         is not in the list of points; mend the tag or add the point"
    )]
    UnknownTag,
    /// Beyond the instrument.
    #[error(
        "在仪表量程 {low}..{high} 之外；请改限值或量程  |  \
         lies outside the range {low}..{high} of the instrument; mend the limit or the range"
    )]
    BeyondRange {
        /// Lower end.
        low: String,
        /// Upper end.
        high: String,
    },
    /// Wider than the instrument.
    #[error(
        "不小于仪表量程跨度 {0}，报警永远不能恢复；请改小  |  \
         is not smaller than the span {0} of the instrument; it could never clear: make it smaller"
    )]
    WiderThanSpan(String),
    /// Would clear only beyond the range of the instrument.
    #[error(
        "使恢复点为 {clear}，在仪表量程 {low}..{high} 之外，永远不能恢复；请改小  |  \
             puts the return to normal at {clear}, outside the range {low}..{high} of the \
             instrument: it could never clear; make it smaller"
    )]
    NeverClears {
        /// Where it would clear.
        clear: String,
        /// Lower end.
        low: String,
        /// Upper end.
        high: String,
    },
}

/// One fault of a file of limits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct LimitFault {
    /// The file, as the caller named it.
    pub file: String,
    /// Line in the file, from 1.
    pub row: u64,
    /// Key of the column.
    pub column: String,
    /// What stands there.
    pub value: String,
    /// What is wrong with it, and the mend.
    pub trouble: LimitTrouble,
}

impl fmt::Display for LimitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, row, column, value, trouble } = self;
        write!(f, "{file}:{row}")?;
        if !column.is_empty() {
            write!(f, " [{column}]")?;
        }
        if !value.is_empty() {
            write!(f, " {value:?}")?;
        }
        write!(f, "：{trouble}")
    }
}
