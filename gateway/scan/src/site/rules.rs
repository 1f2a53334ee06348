//! What no single row can show: registers taken twice, and a time register that cannot be read
//! together with its points.

use super::fault::add;
use super::sheet::Row;
use super::system::Found;
use super::{Device, Link, Mapping, Problem, SiteFault};
use crate::condition::BitField;
use crate::register::{Encoding, Function};

/// Registers of the time of a device.
pub(crate) const TIME_WORDS: u16 = 2;

pub(super) fn check(
    site_file: &str,
    points_file: &str,
    devices: &[Found],
    rows: &[Row],
    faults: &mut Vec<SiteFault>,
) {
    overlaps(points_file, rows, faults);
    own_divisors(points_file, rows, faults);
    shared_units(site_file, devices, faults);
    for (index, found) in devices.iter().enumerate() {
        let Some(at) = found.device.time_register else { continue };
        let own = rows.iter().map(|row| &row.mapping).filter(|m| m.device == index);
        let mappings: Vec<_> = own.clone().collect();
        // What points depend on is read in the same request.
        let auxiliary: Vec<_> = own.flat_map(auxiliaries).collect();
        let mappings: Vec<_> = mappings.into_iter().chain(&auxiliary).collect();
        let wrong = time_block(&found.device, at, &mappings).into_iter();
        for problem in wrong {
            let fault = SiteFault {
                file: site_file.to_owned(),
                row: Some(found.row),
                column: Some("device.time_register".to_owned()),
                value: Some(at.to_string()),
                problem,
            };
            add(faults, fault);
        }
    }
}

/// Two devices of one line with one address would both answer.
fn shared_units(site_file: &str, devices: &[Found], faults: &mut Vec<SiteFault>) {
    for (place, late) in devices.iter().enumerate() {
        let Link::Rtu { .. } = late.device.link else { continue };
        let same = |early: &&Found| {
            early.device.link == late.device.link && early.device.unit == late.device.unit
        };
        if let Some(early) = devices.iter().take(place).find(same) {
            let fault = SiteFault {
                file: site_file.to_owned(),
                row: Some(late.row),
                column: Some("device.unit".to_owned()),
                value: Some(late.device.unit.to_string()),
                problem: Problem::SameUnit(early.row),
            };
            add(faults, fault);
        }
    }
}

/// Any two points that share a register: one of both rows is wrong. Different bits of one
/// register are different points, and the whole register may be one beside them.
fn overlaps(points_file: &str, rows: &[Row], faults: &mut Vec<SiteFault>) {
    let mut sorted: Vec<_> = rows.iter().collect();
    let place = |m: &Mapping| (m.device, m.function, m.address, m.row);
    sorted.sort_by_key(|row| place(&row.mapping));
    let mut widest: Option<&Row> = None;
    let mut beside: Vec<&Row> = Vec::new();
    for row in sorted {
        let m = &row.mapping;
        beside.retain(|other| same_registers(&other.mapping, m));
        let twin = beside.iter().copied().find(|other| !apart(&other.mapping, m));
        beside.push(row);
        let before = twin.or(widest.filter(|w| {
            (w.mapping.device, w.mapping.function) == (m.device, m.function)
                && u32::from(m.address) < w.mapping.end()
                && !same_registers(&w.mapping, m)
        }));
        if let Some(before) = before {
            let (early, late) =
                if before.mapping.row < m.row { (before, row) } else { (row, before) };
            let fault = SiteFault {
                file: points_file.to_owned(),
                row: Some(late.mapping.row),
                column: Some("address".to_owned()),
                value: Some(late.mapping.address.to_string()),
                problem: Problem::Overlap(early.mapping.row, early.point.tag.to_string()),
            };
            add(faults, fault);
        }
        widest = match before {
            Some(before) if before.mapping.end() > m.end() => Some(before),
            Some(_) | None => Some(row),
        };
    }
}

/// A value divided by itself is 1, whatever the instrument measures.
fn own_divisors(points_file: &str, rows: &[Row], faults: &mut Vec<SiteFault>) {
    for Row { mapping: m, .. } in rows {
        let Some(at) = m.rules.as_ref().and_then(|rules| rules.divisor) else { continue };
        let Some(divisor) = at.mapping(m.device, m.period_ms, m.row) else { continue };
        if same_registers(m, &divisor) && !apart(m, &divisor) {
            let problem = Problem::Said(
                "除数就是测点自己的寄存器，值总是 1；请写除数所在的寄存器".to_owned(),
                "is the point's own register, and the value always 1; name the register of the \
                 divisor"
                    .to_owned(),
            );
            let fault = SiteFault {
                file: points_file.to_owned(),
                row: Some(m.row),
                column: Some("rules.divisor".to_owned()),
                value: Some(at.address.to_string()),
                problem,
            };
            add(faults, fault);
        }
    }
}

fn auxiliaries(m: &Mapping) -> Vec<Mapping> {
    let registers = m.rules.iter().flat_map(|rules| rules.registers());
    registers.filter_map(|r| r.mapping(m.device, m.period_ms, m.row)).collect()
}

fn same_registers(a: &Mapping, b: &Mapping) -> bool {
    let place = |m: &Mapping| (m.device, m.function, m.address, m.end());
    place(a) == place(b)
}

/// Of the same registers: bits that have none in common, or bits beside the whole.
fn apart(a: &Mapping, b: &Mapping) -> bool {
    match (bits_of(a), bits_of(b)) {
        (Some(a), Some(b)) => !a.meets(b),
        (Some(_), None) | (None, Some(_)) => true,
        (None, None) => false,
    }
}

fn bits_of(m: &Mapping) -> Option<BitField> {
    match m.encoding {
        Encoding::U8High | Encoding::I8High => Some(BitField { low: 8, high: 15 }),
        Encoding::U8Low | Encoding::I8Low => Some(BitField { low: 0, high: 7 }),
        Encoding::Bool
        | Encoding::U16
        | Encoding::I16
        | Encoding::U32
        | Encoding::I32
        | Encoding::U48
        | Encoding::I48
        | Encoding::U64
        | Encoding::I64
        | Encoding::F32
        | Encoding::F64
        | Encoding::Bcd16
        | Encoding::Bcd32
        | Encoding::Bcd64 => m.rules.as_ref().and_then(|rules| rules.bits),
    }
}

/// First and one past the last address of the one request that reads points and time.
pub(crate) fn time_span(at: u16, mappings: &[&Mapping]) -> (u16, u32) {
    let first = mappings.iter().map(|m| m.address).fold(at, u16::min);
    let end = mappings.iter().map(|m| m.end()).fold(u32::from(at + TIME_WORDS), u32::max);
    (first, end)
}

/// Everything that keeps points and time from one request.
fn time_block(device: &Device, at: u16, mappings: &[&Mapping]) -> Vec<Problem> {
    let mut wrong = Vec::new();
    let mut mend = |zh: String, en: String| wrong.push(Problem::TimeBlock(zh, en));
    if device.read_singly {
        mend(
            "与 read_singly 矛盾：时间须与测点在同一请求中读取；请去掉其一".to_owned(),
            "contradicts read_singly: time and points are read in one request; remove one"
                .to_owned(),
        );
    }
    let Some(first) = mappings.first() else { return wrong };
    let same = |m: &&&Mapping| (m.function, m.period_ms) == (first.function, first.period_ms);
    match mappings.iter().find(|m| !same(m)) {
        Some(other) if other.row == first.row => mend(
            format!(
                "第 {} 行 rules 中的寄存器（status、order 等）与该行测点不在同一个表中；请改其功能，或去掉其一",
                other.row
            ),
            format!(
                "a register in the rules of row {} (status, order, ...) stands in another table than \
                 the point; mend its function, or remove one of the two",
                other.row
            ),
        ),
        Some(other) => mend(
            format!("第 {} 行与第 {} 行的功能或周期不同；请统一", first.row, other.row),
            format!(
                "function or period of rows {} and {} differ; make them equal",
                first.row, other.row
            ),
        ),
        None => {}
    }
    let is_bits = |m: &&&Mapping| match m.function {
        Function::Holding | Function::Input => false,
        Function::Coil | Function::Discrete => true,
    };
    if mappings.iter().any(|m| is_bits(&m)) {
        mend(
            "时间只能在寄存器中；请把测点功能改为 holding 或 input".to_owned(),
            "a time stands in registers; give the points function holding or input".to_owned(),
        );
    }
    let taken = |m: &&&Mapping| {
        u32::from(m.address) < u32::from(at + TIME_WORDS) && u32::from(at) < m.end()
    };
    if let Some(other) = mappings.iter().filter(|m| !is_bits(m)).find(taken) {
        mend(
            format!("与第 {} 行的寄存器重叠；请改地址", other.row),
            format!("takes registers of row {}; mend the address", other.row),
        );
    }
    let (low, end) = time_span(at, mappings);
    let span = end - u32::from(low);
    if span > u32::from(device.max_registers) {
        let most = device.max_registers;
        mend(
            format!("时间和测点共跨 {span} 个寄存器，一次最多 {most} 个；请拆成多个设备"),
            format!("time and points span {span} registers, one request reads {most}; split it"),
        );
    }
    wrong
}
