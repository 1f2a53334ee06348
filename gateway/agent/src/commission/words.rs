//! What a fault or doubt means to somebody who stands beside the instrument, and what to look at.

use fengsui_telemetry::{Doubt, Fault, Reading};

/// A quality in words, Chinese and English.
pub(super) struct Words {
    pub(super) zh: &'static str,
    pub(super) en: &'static str,
    /// What to look at; none where there is nothing to mend.
    pub(super) mend: Option<(&'static str, &'static str)>,
}

const fn words(
    zh: &'static str,
    en: &'static str,
    mend_zh: &'static str,
    mend_en: &'static str,
) -> Words {
    Words { zh, en, mend: Some((mend_zh, mend_en)) }
}

/// `good`, `uncertain` or `bad`.
pub(super) fn class(reading: Reading) -> &'static str {
    match reading {
        Reading::Good(_) => "good",
        Reading::Uncertain(..) => "uncertain",
        Reading::Bad(_) => "bad",
    }
}

/// The same for a narrow column.
pub(super) fn class_zh(reading: Reading) -> &'static str {
    match reading {
        Reading::Good(_) => "好",
        Reading::Uncertain(..) => "存疑",
        Reading::Bad(_) => "坏",
    }
}

/// Why a reading is what it is.
pub(super) fn why(reading: Reading) -> Words {
    match reading {
        Reading::Good(_) => Words { zh: "", en: "", mend: None },
        Reading::Uncertain(_, doubt) => of_doubt(doubt),
        Reading::Bad(fault) => of_fault(fault),
    }
}

fn of_doubt(doubt: Doubt) -> Words {
    match doubt {
        Doubt::EstimatedTime => words(
            "时间为估计",
            "time is estimated",
            "检查网关和设备的时钟",
            "look at the clocks of the gateway and of the device",
        ),
        Doubt::NearRange => words(
            "略超量程",
            "just outside the range",
            "核对点表 low/high 与仪表铭牌",
            "compare low/high in the point sheet with the name plate",
        ),
        Doubt::Frozen => words(
            "长时间不变",
            "has not moved for long",
            "检查仪表是否死机或被保持",
            "see whether the instrument hangs or holds its output",
        ),
        Doubt::TooFast => words(
            "变化过快",
            "moved faster than the process can",
            "检查接线干扰、字序和类型",
            "look for interference; check type and word order",
        ),
        Doubt::Saturated => words(
            "信号到顶或到底 (NE 43)",
            "at the end of its signal (NE 43)",
            "实际值可能更大或更小：核对量程与工况",
            "the true value may lie further out: compare the range with the process",
        ),
        Doubt::CountRestarted => words(
            "计数重新开始",
            "the count began anew",
            "仪表重启过：核对累计值",
            "the instrument has restarted: compare its total",
        ),
        Doubt::SourceUncertain => words(
            "仪表自报存疑",
            "the instrument itself doubts it",
            "看仪表状态：预热、标定、抑制",
            "look at its state: warm-up, calibration, inhibit",
        ),
    }
}

/// A line on which nothing can be asked, and what to look at.
pub(super) const NOISE: &str = "线路一直不静，没有发问：检查接线、屏蔽、终端和偏置电阻，是否有另一个主站，或某台仪表不停发送（逐台断开查找） | the \
     line is never quiet, nothing was asked: check wiring, shield, termination and bias; look for a \
     second master, or an instrument that never stops sending (disconnect them one by one)";

/// A device that answers one question and not the next.
pub(super) const SOME: &str = "\
    时答时不答：问得密才不答的，在站点文件给它写 pause_ms = 100 再试；总是同几个点不答的，核对手册中的地址\n  \
    it answers some questions: try pause_ms = 100 in the site file; where the same points stay silent, \
    compare their addresses with the manual";

/// A fault in words.
#[expect(clippy::too_many_lines, reason = "one table: a line for each fault")]
pub(super) fn of_fault(fault: Fault) -> Words {
    match fault {
        Fault::Timeout => words(
            "超时无应答",
            "no answer in time",
            "检查供电、接线、从机地址（scan 可找地址）",
            "check power, wiring and unit number (`scan` finds it)",
        ),
        Fault::IllegalFunction => words(
            "异常1 功能不支持",
            "exception 1: function not supported",
            "点表 function 换成 holding 或 input 再试",
            "try holding instead of input, or the reverse",
        ),
        Fault::IllegalAddress => words(
            "异常2 地址不存在",
            "exception 2: no such address",
            "核对手册地址；手册从 1 数时应减 1（guess 可试）",
            "check the address; manuals that count from 1 are one too high (`guess` tries it)",
        ),
        Fault::IllegalValue => words(
            "异常3 数量不允许",
            "exception 3: count not allowed",
            "减小 max_registers，或设 read_singly = true",
            "lower max_registers, or set read_singly = true",
        ),
        Fault::DeviceFailure => words(
            "异常4 设备故障",
            "exception 4: device failure",
            "看设备面板的故障指示",
            "look at the device's own fault display",
        ),
        Fault::DeviceBusy => words(
            "异常5/6 设备忙",
            "exception 5 or 6: busy",
            "加大 period_ms，少读几次",
            "raise period_ms",
        ),
        Fault::PathUnavailable => words(
            "异常10/11 网关后无此设备",
            "exception 10 or 11: nothing behind the serial gateway",
            "检查串口服务器的接线和从机地址",
            "check the wiring behind the serial gateway and the unit number",
        ),
        Fault::DeviceException => words(
            "设备以异常拒绝",
            "refused with another exception",
            "查手册的异常代码",
            "look the exception code up in the manual",
        ),
        Fault::BadFrame => words(
            "应答报文错误",
            "the reply is damaged or belongs to something else",
            "检查波特率、校验、终端电阻、地址冲突；线路上是否一直有干扰，或另有主站",
            "check baud rate, parity, termination, two devices with one number; noise that never \
             ends, or a second master",
        ),
        Fault::NotConnected => words(
            "连接不上",
            "no connection",
            "检查网线、IP、端口；有的设备只允许一个连接：先停网关再试",
            "check cable, address and port; some devices allow one connection only: stop the \
             gateway first",
        ),
        Fault::NotANumber => words(
            "不是数 (NaN)",
            "not a number",
            "核对类型与字序（guess 可试）；或仪表无信号",
            "check type and word order (`guess` tries them); or the instrument has no signal",
        ),
        Fault::Sentinel => words(
            "仪表报无效值",
            "the instrument says that it has no value",
            "看仪表：探头断线、预热或故障",
            "look at the instrument: probe open, warm-up or fault",
        ),
        Fault::OutOfRange => words(
            "超出量程",
            "outside the range",
            "核对类型、字序、系数和 low/high（guess 可试）",
            "check type, word order, scale and low/high (`guess` tries them)",
        ),
        Fault::WireBreak => words(
            "断线 (NAMUR NE 43)",
            "wire break (NAMUR NE 43)",
            "检查 4-20 mA 回路",
            "check the 4-20 mA loop",
        ),
        Fault::Undecodable => words(
            "位型不是数 (BCD)，或字序、除数、单位边读边变",
            "the digits are no number (BCD), or its order, divisor or unit changes while it is read",
            "核对类型；仪表频繁换档时把这些寄存器与值放进一次读取 (gap_registers)",
            "check the type; where the instrument keeps changing its range, read both in one \
             request (gap_registers)",
        ),
        Fault::WrongUnit => words(
            "单位与点表不符",
            "measures in another unit than the sheet says",
            "在仪表上改单位，或改点表",
            "change the unit on the instrument, or in the sheet",
        ),
        Fault::NotRefreshed => words(
            "有应答但不再测量",
            "answers, but has stopped measuring",
            "心跳寄存器不动：重启仪表；或其状态等寄存器来不及读：加长 period_ms",
            "its heartbeat stands still: restart the instrument; or its status is read too rarely: \
             lengthen period_ms",
        ),
        Fault::WarmUp => words("预热中", "warming up", "等预热结束", "wait until it is warm"),
        Fault::Calibrating => words(
            "标定中",
            "being calibrated",
            "标定结束后再读",
            "read again after the calibration",
        ),
        Fault::Simulated => words(
            "模拟值",
            "a simulated value",
            "在仪表上退出模拟",
            "end the simulation on the instrument",
        ),
        Fault::BumpTest => words(
            "通气测试中",
            "being tested with gas",
            "测试结束后再读",
            "read again after the test",
        ),
        Fault::Inhibited => words(
            "仪表报警被抑制",
            "its own alarms are switched off",
            "在仪表上取消抑制",
            "switch them on again on the instrument",
        ),
        Fault::Missing => words("无数据", "nothing was sent", "检查数据源", "check the source"),
        Fault::SourceBad => words(
            "仪表自报无效",
            "the instrument itself calls it bad",
            "看仪表状态",
            "look at the instrument's state",
        ),
        Fault::ReaderFailed => words(
            "读取程序出错",
            "the reader failed",
            "看日志，重启网关",
            "read the log; restart the gateway",
        ),
        Fault::UnknownQuality => words(
            "未知的质量",
            "a quality that this version does not know",
            "升级程序",
            "use a newer version",
        ),
    }
}

/// The name of a Modbus exception (application protocol 1.1b3, section 7), in both languages.
pub(super) fn exception(code: u8) -> (&'static str, &'static str) {
    match code {
        1 => ("功能不支持", "illegal function"),
        2 => ("地址不存在", "illegal data address"),
        3 => ("数量或数值不允许", "illegal data value"),
        4 => ("设备故障", "server device failure"),
        5 => ("已收下请求，仍在处理", "acknowledge"),
        6 => ("设备忙", "server device busy"),
        8 => ("内存校验错", "memory parity error"),
        10 => ("网关通路不可用", "gateway path unavailable"),
        11 => ("网关后的设备无应答", "gateway target failed to respond"),
        _ => ("标准中没有", "not in the standard"),
    }
}
