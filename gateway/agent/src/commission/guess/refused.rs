//! A device that is there and gives no registers: what its exception says, and what to do.

use fengsui_scan::Function;

use crate::commission::words;

/// Some of the registers may be there although the whole was refused.
pub(super) fn may_be_partial(code: u8) -> bool {
    !matches!(code, 4 | 5 | 6 | 10 | 11)
}

/// Why nothing could be read: (table, address of the manual, exception) of each try.
pub(super) fn text(unit: u8, refused: &[(Function, u16, u8)]) -> String {
    let each = |(function, near, code): &(Function, u16, u8)| {
        let (zh, en) = words::exception(*code);
        format!("{function} {near}：异常 {code} {zh} exception {code}, {en}")
    };
    let list = refused.iter().map(each).collect::<Vec<_>>().join("；");
    let has = |codes: &[u8]| refused.iter().any(|(_, _, code)| codes.contains(code));
    let (zh, en) = if has(&[5, 6]) {
        (
            "在，但正忙（异常 5：已收下请求，仍在处理）；稍后再试，或停掉同时读它的其他主站",
            "is there, but busy (5 means that it has taken the request and still works on it); try \
             again later, or stop other masters that read it",
        )
    } else if has(&[10, 11]) {
        (
            "没有找到：中间的网关回答说其后无此设备；检查其串口侧接线和从机地址",
            "was not found: the gateway on the way says that nobody is behind it; check its serial \
             side and the unit number",
        )
    } else if has(&[4, 8]) {
        (
            "在，但自身有故障；看设备面板",
            "is there, but has a fault of its own; look at its display",
        )
    } else if refused.iter().all(|(_, _, code)| matches!(code, 1..=3)) {
        (
            "在，但没有这些寄存器；核对手册地址",
            "is there, but has none of these registers; check the address",
        )
    } else {
        (
            "以标准中没有的异常拒绝；这不说明寄存器不存在，查设备手册的异常代码",
            "refuses with an exception that is not in the standard, which does not say that the \
             registers are missing; look the code up in the device's manual",
        )
    };
    format!("从机 {unit} {zh}（{list}）\n  unit {unit} {en}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_so_is_called_a_missing_register() {
        let said = |codes: &[u8]| {
            let all: Vec<_> = codes.iter().map(|code| (Function::Holding, 7, *code)).collect();
            text(3, &all)
        };
        for missing in [&[2][..], &[1, 3]] {
            assert!(said(missing).contains("没有这些寄存器"), "{}", said(missing));
        }
        for (codes, zh, en) in [
            (&[5][..], "正忙", "busy"),
            (&[2, 6], "正忙", "busy"),
            (&[0], "标准中没有", "not in the standard"),
            (&[2, 9], "标准中没有", "not in the standard"),
            (&[4], "自身有故障", "fault of its own"),
            (&[11], "无此设备", "nobody is behind"),
        ] {
            let said = said(codes);
            assert!(said.contains(zh) && said.contains(en), "{codes:?}: {said}");
            assert!(!said.contains("没有这些寄存器"), "{codes:?}: {said}");
        }
    }
}
