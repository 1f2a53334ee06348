//! `scan`: who answers on a line, and with what.
//!
//! - An exception is an answer: the device is there. Exceptions 10 and 11 come from a gateway that
//!   found nobody.
//! - Each unit is asked for holding register 0. Who is silent at that, and at any other length on a
//!   line, is found by the question that its manual gives (`--ask`).
//! - Only reads: nothing is ever written to a device.
//! - Interrupted, it shows what was found so far.
//! - A line that is never quiet is named and left after a few units: no unit can be asked on it.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use fengsui_scan::{Function, OWED_US, Outcome, Payload, ReadRequest};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::ident::{self, Identity};
use super::line::{Line, LineArgs};
use super::{Said, show, words};
use crate::bus::wire::Pace;
use crate::clock::Clock;

/// Units of the Modbus standard; 248 to 255 are reserved, and 0 is for everybody.
const UNITS: &str = "1-247";

/// Units in a row that could not be asked because the line was never quiet: then it is the line,
/// and the others are spared.
const NOISY_MAX: usize = 3;
/// Times that a unit is asked which gives another answer than the one to the question: the first
/// may have been the answer to a program that was ended.
const TRIES: usize = 2;

/// Most that one answer holds, by the Modbus standard.
const WORDS_MAX: u16 = 125;
const BITS_MAX: u16 = 2_000;
/// After this a slave of a line owes nothing that it was asked before; and a little.
const OWED_MS: u64 = OWED_US / 1_000 + 100;

/// What to scan.
#[derive(Args, Debug)]
pub struct ScanArgs {
    #[command(flatten)]
    line: LineArgs,
    /// 从机地址，如 1-247 或 1,5,10-20 | Units
    #[arg(long, default_value = UNITS, value_parser = units)]
    units: Units,
    /// 依次试这些波特率，如 9600,19200（只用于 --serial） | Several baud rates in turn
    #[arg(long, value_name = "N,N", value_delimiter = ',', conflicts_with = "baud",
          value_parser = clap::value_parser!(u32).range(300..=1_000_000))]
    bauds: Vec<u32>,
    /// 每次等待，毫秒 | Patience with each unit
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(20..=60_000))]
    timeout_ms: u64,
    /// 改问手册中的一块，如 holding:100:2（表:线上地址:个数） | Another question, as the manual gives it
    #[arg(long, value_name = "TABLE:ADDRESS:COUNT", value_parser = question)]
    ask: Option<ReadRequest>,
    /// 输出 JSON | Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads `holding:100:2`.
fn question(text: &str) -> Result<ReadRequest, String> {
    let parse = || {
        let mut parts = text.split(':');
        let function = Function::parse(parts.next()?)?;
        let (first, count) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let most = if function.is_bits() { BITS_MAX } else { WORDS_MAX };
        let fits = (1..=most).contains(&count) && u16::checked_add(first, count - 1).is_some();
        (fits && parts.next().is_none()).then_some(ReadRequest { function, first, count })
    };
    parse().ok_or_else(|| {
        format!(
            "{text:?} 应写成 表:线上地址:个数，如 holding:100:2（表为 holding、input、coil、discrete；寄存器至多 \
             {WORDS_MAX} 个，位至多 {BITS_MAX} 个）| write TABLE:ADDRESS:COUNT, like holding:100:2 \
             (at most {WORDS_MAX} registers or {BITS_MAX} bits)"
        )
    })
}

/// As it is written.
fn written(ask: ReadRequest) -> String {
    format!("{}:{}:{}", ask.function.word(), ask.first, ask.count)
}

/// Units in rising order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Units(Vec<u8>);

fn units(text: &str) -> Result<Units, String> {
    let bad =
        || format!("{text:?} 应写成 1-247 或 1,5,10-20（0 到 255）| write 1-247 or 1,5,10-20");
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u8 = first.trim().parse().map_err(|_| bad())?;
        let last: u8 = last.trim().parse().map_err(|_| bad())?;
        if first > last {
            return Err(bad());
        }
        found.extend(first..=last);
    }
    found.sort_unstable();
    found.dedup();
    Ok(Units(found))
}

/// What one table of a unit said to one read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Table {
    Word(u16),
    Bit(bool),
    Exception(u8),
    Fault(&'static str),
}

/// One unit that is there.
#[derive(Clone, Debug)]
struct Found {
    unit: u8,
    /// On a serial line.
    baud: Option<u32>,
    rtt_ms: f64,
    tables: Vec<(Function, Table)>,
    identity: Option<Identity>,
}

/// What a scan saw.
#[derive(Debug, Default)]
struct Seen {
    found: Vec<Found>,
    /// Units at which something answered that was not the answer.
    garbled: Vec<u8>,
    /// Units that a gateway on the way has nobody for.
    nobody: Vec<u8>,
    asked: usize,
    /// Lines that were never quiet, by their names.
    noisy: Vec<String>,
    interrupted: bool,
    /// The line was lost for good.
    lost: Option<String>,
}

/// Scans a line.
pub async fn scan(args: ScanArgs) -> Said {
    if !args.bauds.is_empty() && !args.line.is_serial() {
        let err = "--bauds 只用于 --serial | --bauds is for --serial\n".to_owned();
        return Said::fault(super::USAGE, err);
    }
    let clock = Clock::start();
    let lines: Vec<LineArgs> = match args.bauds.as_slice() {
        [] => vec![args.line.clone()],
        bauds => bauds.iter().map(|baud| args.line.at(*baud)).collect(),
    };
    let bar = progress(args.units.0.len() * lines.len());
    let mut seen = Seen::default();
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    for line in &lines {
        tokio::select! {
            biased;
            _ = &mut stop => {
                seen.interrupted = true;
                break;
            }
            opened = all(line, &args, clock, &mut seen, &bar) => {
                if let Err(why) = opened {
                    return Said::unreachable(&line.name(), &why);
                }
            }
        }
    }
    bar.finish_and_clear();
    if let Some(why) = seen.lost.as_ref().filter(|_| seen.found.is_empty() && seen.asked <= 1) {
        return Said::unreachable(&args.line.name(), why);
    }
    let code = match (seen.found.is_empty(), seen.noisy.is_empty()) {
        (true, false) if !seen.interrupted => super::UNREACHABLE,
        (true, _) | (false, false) => super::PROBLEMS,
        (false, true) => super::FINE,
    };
    let out = if args.json { as_json(&args, &seen) } else { as_text(&args, &seen) };
    Said { out, err: String::new(), code }
}

/// Asks every unit over one line.
async fn all(
    line: &LineArgs,
    args: &ScanArgs,
    clock: Clock,
    seen: &mut Seen,
    bar: &ProgressBar,
) -> Result<(), String> {
    let pace = line.pace(args.timeout_ms);
    let mut open = line.open(clock, pace.patience).await?;
    let (mut noisy, mut silent, found) = (0, Vec::new(), seen.found.len());
    for unit in &args.units.0 {
        bar.set_message(format!("{} unit {unit}, {} found", line.name(), seen.found.len()));
        let before = seen.found.len();
        let began = clock.mono_ms();
        let sign = one(&mut open, &clock, *unit, (args.ask, pace), seen).await;
        if let Some(new) = seen.found.get_mut(before) {
            new.baud = line.is_serial().then_some(line.baud);
        }
        let is_noise = sign == Sign::Noise;
        if sign == Sign::Silent {
            silent.push((*unit, began + OWED_MS));
        }
        noisy = if is_noise { noisy + 1 } else { 0 };
        if noisy >= NOISY_MAX {
            seen.noisy.push(line.name());
            break;
        }
        seen.asked += usize::from(!is_noise);
        bar.inc(1);
        if seen.lost.is_some() {
            break;
        }
    }
    // On a line each slave is asked another length first; who is silent at that has not heard the
    // question itself. Without one of a manual it would take as long again for next to nothing.
    if args.ask.is_none() || !open.is_rtu() || noisy >= NOISY_MAX {
        silent.clear();
    }
    for (unit, at) in silent {
        if seen.lost.is_some() {
            break;
        }
        bar.set_message(format!("{} unit {unit} again, {} found", line.name(), seen.found.len()));
        sleep(Duration::from_millis(at.saturating_sub(clock.mono_ms()))).await;
        let before = seen.found.len();
        one(&mut open, &clock, unit, (args.ask, pace), seen).await;
        if let Some(new) = seen.found.get_mut(before) {
            new.baud = line.is_serial().then_some(line.baud);
        }
    }
    if let Some(found) = seen.found.get_mut(found..) {
        found.sort_by_key(|one| one.unit);
    }
    Ok(())
}

/// What came of asking one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// The line was never quiet, and nothing was asked.
    Noise,
    Silent,
    Heard,
}

fn progress(units: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(units).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Asks one unit: its holding registers first, and the rest only if somebody is there. Where a
/// question is given, that alone.
async fn one(
    line: &mut Line,
    clock: &Clock,
    unit: u8,
    (ask, pace): (Option<ReadRequest>, Pace),
    seen: &mut Seen,
) -> Sign {
    let question = ask.unwrap_or(of_table(Function::Holding));
    let mut first = line.ask(clock, unit, question, pace).await;
    for _ in 1..TRIES {
        if first.outcome == Outcome::BadFrame && !first.is_noise {
            first = line.ask(clock, unit, question, pace).await;
        }
    }
    match first.outcome {
        // A device may close the connection over a unit that it does not know.
        Outcome::Timeout | Outcome::Lost => return Sign::Silent,
        Outcome::BadFrame if first.is_noise => return Sign::Noise,
        Outcome::BadFrame => {
            seen.garbled.push(unit);
            return Sign::Heard;
        }
        Outcome::Exception(10 | 11) => {
            seen.nobody.push(unit);
            return Sign::Heard;
        }
        Outcome::Unreachable => {
            let lost = || format!("line lost at unit {unit}");
            seen.lost = Some(line.refusal().map_or_else(lost, str::to_owned));
            return Sign::Heard;
        }
        Outcome::Data(_) | Outcome::Exception(_) => {}
    }
    let rtt_ms = show::ms(first.rtt);
    let mut tables = vec![(question.function, table(&first.outcome))];
    let others = [Function::Input, Function::Coil, Function::Discrete];
    for function in others.into_iter().filter(|_| ask.is_none()) {
        let heard = line.ask(clock, unit, of_table(function), pace).await;
        tables.push((function, table(&heard.outcome)));
    }
    let identity = match line {
        Line::Tcp(mbap) => ident::ask(mbap, unit, pace).await,
        Line::Wire(_) => None,
    };
    seen.found.push(Found { unit, baud: None, rtt_ms, tables, identity });
    Sign::Heard
}

/// The first of a table.
fn of_table(function: Function) -> ReadRequest {
    ReadRequest { function, first: 0, count: 1 }
}

fn table(outcome: &Outcome) -> Table {
    match outcome {
        Outcome::Data(Payload::Words(words)) => {
            Table::Word(words.first().copied().unwrap_or_default())
        }
        Outcome::Data(Payload::Bits(bits)) => Table::Bit(bits.first().copied().unwrap_or_default()),
        Outcome::Exception(code) => Table::Exception(*code),
        Outcome::Timeout => Table::Fault("timeout"),
        Outcome::BadFrame => Table::Fault("bad_frame"),
        Outcome::Lost | Outcome::Unreachable => Table::Fault("not_connected"),
    }
}

fn as_json(args: &ScanArgs, seen: &Seen) -> String {
    let of_table = |table: &Table| match table {
        Table::Word(word) => json!({ "word": format!("0x{word:04X}") }),
        Table::Bit(bit) => json!({ "bit": bit }),
        Table::Exception(code) => {
            json!({ "exception": code, "words": words::exception(*code).1 })
        }
        Table::Fault(fault) => json!({ "fault": fault }),
    };
    let units: Vec<Value> = seen
        .found
        .iter()
        .map(|one| {
            let mut unit = json!({
                "unit": one.unit, "baud": one.baud, "rtt_ms": one.rtt_ms, "identity": one.identity,
            });
            for (function, table) in &one.tables {
                if let Some(unit) = unit.as_object_mut() {
                    unit.insert(function.word().to_owned(), of_table(table));
                }
            }
            unit
        })
        .collect();
    let all = json!({
        "line": args.line.name(),
        "ask": args.ask.map(written),
        "asked": seen.asked,
        "interrupted": seen.interrupted,
        "units": units,
        "garbled": seen.garbled,
        "nobody": seen.nobody,
        "same_for_every_unit": ignores_unit(seen),
        "lost": seen.lost,
        "line_fault": (!seen.noisy.is_empty()).then_some(words::NOISE),
    });
    format!("{all:#}\n")
}

/// A device that answers whatever the unit number is not many devices.
fn ignores_unit(seen: &Seen) -> bool {
    let Some(first) = seen.found.first() else { return false };
    let same = seen.found.iter().all(|one| one.tables == first.tables);
    same && seen.found.len() == seen.asked && seen.asked >= 8
}

fn as_text(args: &ScanArgs, seen: &Seen) -> String {
    let name = args.line.name();
    let mut out = String::new();
    let ignores = ignores_unit(seen);
    if !seen.found.is_empty() {
        let asked = args
            .ask
            .map(|ask| format!("所问\n{} {} ×{}", ask.function.word(), ask.first, ask.count));
        let tables = match &asked {
            Some(asked) => &[asked.as_str()][..],
            None => &[
                "保持 03\nholding 0",
                "输入 04\ninput 0",
                "线圈 01\ncoil 0",
                "离散 02\ndiscrete 0",
            ],
        };
        let heads = [&["从机\nunit", "往返\nms"], tables, &["标识\nidentification"]].concat();
        let mut table = show::table(&heads);
        let shown = if ignores { 1 } else { seen.found.len() };
        for one in seen.found.iter().take(shown) {
            let baud = match args.bauds.as_slice() {
                [] => String::new(),
                _ => one.baud.map_or_else(String::new, |baud| format!("\n{baud}")),
            };
            let mut row = vec![format!("{}{baud}", one.unit), one.rtt_ms.to_string()];
            row.extend(one.tables.iter().map(|(_, table)| cell(table)));
            row.push(one.identity.as_ref().map_or_else(|| "–".to_owned(), Identity::line));
            table.add_row(row);
        }
        out += &format!("{table}\n");
        out += &exceptions(seen);
    }
    if ignores {
        out += "每个从机地址的应答都相同：该设备不看从机地址，填 unit = 1 即可\n  \
                every unit gives the same answer: the device ignores the number; write unit = 1\n";
    }
    let list = |units: &[u8]| units.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    if !seen.garbled.is_empty() {
        out += &garbled(&list(&seen.garbled), args.line.is_tcp());
    }
    if !seen.nobody.is_empty() {
        let count = seen.nobody.len();
        out += &format!(
            "有 {count} 个从机地址由中间网关回答“无此设备”（异常 10/11） | a gateway on the way has \
             nobody for {count} units (exception 10 or 11)\n"
        );
    }
    for line in &seen.noisy {
        out += &format!("▸ {line}，未扫完 given up：{}\n", words::NOISE);
    }
    if let Some(why) = &seen.lost {
        out += &format!("线路中断，未扫完：{why} | the line was lost before the end\n");
    }
    if seen.interrupted {
        out += "已中断，以上为目前结果 | interrupted; this was found so far\n";
    }
    let (found, asked) = (seen.found.len(), seen.asked);
    out += &format!("{name}：{found}/{asked} 个从机地址有应答 | {found} of {asked} units answer\n");
    // What is known of the line is better than what is usual.
    if found == 0 && seen.noisy.is_empty() {
        out += "没有应答：检查供电、接线（A/B 是否接反）、波特率、从机地址；可加大 --timeout-ms；连着问就不答的设备（或串口服务器）加 --pause-ms 100\n  \
                nobody answers: check power, wiring (A/B swapped?), baud rate, unit numbers; try a \
                longer --timeout-ms, or --pause-ms 100 for what needs rest between two questions\n";
        if args.ask.is_none() {
            out += "有的设备只答手册写明的那一块：加 --ask 表:地址:个数，如 --ask holding:100:2\n  some \
                    devices answer the block of their manual alone: --ask TABLE:ADDRESS:COUNT\n";
        }
    }
    out
}

/// What the exceptions in the table mean. Only refusals of a table or an address say so.
fn exceptions(seen: &Seen) -> String {
    let tables = seen.found.iter().flat_map(|one| &one.tables);
    let codes: BTreeSet<u8> = tables
        .filter_map(|(_, table)| match table {
            Table::Exception(code) => Some(*code),
            Table::Word(_) | Table::Bit(_) | Table::Fault(_) => None,
        })
        .collect();
    let each = |code: &u8| {
        let (zh, en) = words::exception(*code);
        format!("异常 {code} = {zh} {en}")
    };
    match codes.is_empty() {
        true => String::new(),
        false => {
            let list = codes.iter().map(each).collect::<Vec<_>>().join("；");
            format!("“异常”也说明设备在 | an exception is an answer: {list}\n")
        }
    }
}

/// Answers that are none: on a serial line damaged, over TCP not what was asked for.
fn garbled(units: &str, is_tcp: bool) -> String {
    if is_tcp {
        format!(
            "从机 {units} 的应答不是对所问的应答（Modbus TCP 报文错误）：该端口可能不是 Modbus TCP（串口服务器\
             透传请用 --rtu-tcp），或中间网关转来迟到或别的设备的应答（加大 --timeout-ms，检查网关的从机地址）\n  \
             units {units} gave answers that do not belong to the question: the port may not be \
             Modbus TCP (use --rtu-tcp for a transparent converter), or a gateway on the way \
             passes on late or foreign answers (a longer --timeout-ms; check its unit numbers)\n"
        )
    } else {
        format!(
            "从机 {units} 有应答但报文错误：检查波特率、校验、终端电阻，或两台设备同一地址\n  units {units} \
             gave damaged answers: check baud rate, parity, termination, two devices with one \
             number\n"
        )
    }
}

fn cell(table: &Table) -> String {
    match table {
        Table::Word(word) => format!("0x{word:04X}"),
        Table::Bit(bit) => u8::from(*bit).to_string(),
        Table::Exception(code) => format!("异常 {code}"),
        Table::Fault(_) => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_answers_over_tcp_have_other_causes_than_on_a_serial_line() {
        let (tcp, serial) = (garbled("3, 4", true), garbled("3, 4", false));
        assert!(tcp.contains("--rtu-tcp") && tcp.contains("units 3, 4"), "{tcp}");
        assert!(!tcp.contains("波特率") && !tcp.contains("parity"), "{tcp}");
        assert!(serial.contains("波特率") && serial.contains("parity"), "{serial}");
    }

    #[test]
    fn units_are_read_as_people_write_them() {
        assert_eq!(units("1-247").map(|u| u.0.len()), Ok(247));
        assert_eq!(units("5, 1-3,2"), Ok(Units(vec![1, 2, 3, 5])));
        assert_eq!(units("0,255"), Ok(Units(vec![0, 255])));
        for bad in ["", "3-1", "256", "1-", "a", "1,,2"] {
            assert!(units(bad).is_err(), "{bad}");
        }
    }
}
