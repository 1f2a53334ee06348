//! The `rules` of a sheet's row or a profile's point: `key=value; key=value`.
//!
//! - Every wrong key or value is a fault of its own with its mend; nothing is a silent default.
//! - The states of a status belong to the `status` before them. All other keys stand once.

use std::sync::Arc;

use fengsui_telemetry::{Doubt, Fault};

use super::{
    BitField, Clause, Counter, CurrentLoop, Curve, Frozen, Heartbeat, OrderBy, Register, Report,
    Rules, Status, Table, UnitCode, Verdict,
};
use crate::register::{Encoding, Function, WordOrder};
use crate::site::{Kind, Problem};

/// Every key, in the order of `docs/points.md`.
const KEYS: [&str; 36] = [
    "bit",
    "bits",
    "order_by",
    "orders",
    "divisor",
    "unit_code",
    "unit_is",
    "status",
    "bad",
    "doubt",
    "wire_break",
    "out_of_range",
    "warm_up",
    "calibrating",
    "simulated",
    "bump_test",
    "inhibited",
    "heartbeat",
    "heartbeat_bit",
    "heartbeat_s",
    "counter",
    "counter_per_s",
    "loop",
    "loop_range",
    "loop_valid",
    "loop_fail",
    "loop_fail_s",
    "calibration",
    "polynomial",
    "table",
    "margin",
    "frozen_s",
    "frozen_within",
    "rate_per_s",
    "report_within",
    "report_s",
];

/// What a status may say, and the word for it.
const VERDICTS: [(&str, Verdict); 9] = [
    ("bad", Verdict::Bad(Fault::SourceBad)),
    ("doubt", Verdict::Doubt(Doubt::SourceUncertain)),
    ("wire_break", Verdict::Bad(Fault::WireBreak)),
    ("out_of_range", Verdict::Bad(Fault::OutOfRange)),
    ("warm_up", Verdict::Bad(Fault::WarmUp)),
    ("calibrating", Verdict::Bad(Fault::Calibrating)),
    ("simulated", Verdict::Bad(Fault::Simulated)),
    ("bump_test", Verdict::Bad(Fault::BumpTest)),
    ("inhibited", Verdict::Bad(Fault::Inhibited)),
];

/// Factors of a polynomial: none that is fitted to an instrument has more.
const FACTORS_MAX: usize = 10;
/// Longest that a current, a heartbeat or a rest may be waited for: a week.
const WAIT_S_MAX: f64 = 604_800.0;
/// Longest that a point reported by exception may be quiet: an hour. A trend of a shift still has
/// its shape, and a gap is known for one within it.
const REPORT_S_MAX: f64 = 3_600.0;

/// What a wrong key or value is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RuleFault {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) problem: Problem,
}

/// The strapping table of a file; none where its faults are reported already.
pub(crate) type Tables<'a> = dyn FnMut(&str) -> Result<Option<Arc<Table>>, Problem> + 'a;

/// What the rules are about.
pub(crate) struct Context<'a> {
    pub(crate) function: Function,
    pub(crate) encoding: Encoding,
    /// The register of a name of the profile.
    pub(crate) named: &'a dyn Fn(&str) -> Result<Register, Problem>,
    /// Strapping tables, by the names of their files.
    pub(crate) table: &'a mut Tables<'a>,
}

/// Keys that mean something only together.
#[derive(Default)]
struct Halves {
    seen: Vec<String>,
    orders: Vec<(i128, WordOrder)>,
    order_by: Option<Register>,
    unit_code: Option<Register>,
    unit_is: Vec<i128>,
    heartbeat: Option<Register>,
    heartbeat_bit: Option<BitField>,
    heartbeat_ms: Option<i64>,
    counter: Option<i128>,
    counter_per_s: Option<f64>,
    frozen_ms: Option<i64>,
    frozen_within: Option<f64>,
    report_within: Option<f64>,
    report_ms: Option<u32>,
    loop_keys: bool,
    looped: bool,
}

/// Adds what `text` says to `rules`.
pub(crate) fn parse(
    text: &str,
    rules: &mut Rules,
    context: &mut Context<'_>,
    faults: &mut Vec<RuleFault>,
) {
    let mut halves = Halves { looped: rules.current_loop.is_some(), ..Halves::default() };
    for part in text.split([';', '；']).map(str::trim).filter(|part| !part.is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            faults.push(fault(
                part,
                "",
                said("缺少“=”；写作 键=值", "has no '='; write key=value"),
            ));
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        // Two ways to say which bits.
        let seen = if key == "bits" { "bit" } else { key };
        let repeats = key == "status" || VERDICTS.iter().any(|(word, _)| *word == key);
        if !repeats && halves.seen.iter().any(|one| one == seen) {
            faults.push(fault(
                key,
                value,
                said("写了两次；请删去一处", "stands twice; remove one"),
            ));
            continue;
        }
        halves.seen.push(seen.to_owned());
        if let Err(problem) = one(key, value, rules, context, &mut halves) {
            faults.push(fault(key, value, problem));
        }
    }
    join(rules, halves, context, faults);
}

fn fault(key: &str, value: &str, problem: Problem) -> RuleFault {
    RuleFault { key: key.to_owned(), value: value.to_owned(), problem }
}

fn said(zh: &str, en: &str) -> Problem {
    Problem::Said(zh.to_owned(), en.to_owned())
}

fn one(
    key: &str,
    value: &str,
    rules: &mut Rules,
    context: &mut Context<'_>,
    halves: &mut Halves,
) -> Result<(), Problem> {
    if value.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some((_, verdict)) = VERDICTS.iter().find(|(word, _)| *word == key) {
        let status = rules.statuses.last_mut();
        let status = status.ok_or_else(|| {
            said("前面没有 status=寄存器；请先写 status", "no status= before it; name the register")
        })?;
        for text in value.split(',') {
            status.clauses.push(clause(text.trim(), *verdict, status.at)?);
        }
        return Ok(());
    }
    match key {
        "bit" | "bits" => rules.bits = Some(own_bits(value, context)?),
        "order_by" => halves.order_by = Some(whole_register(value, context)?),
        "orders" => halves.orders = orders(value)?,
        "divisor" => rules.divisor = Some(register(value, context)?),
        "unit_code" => halves.unit_code = Some(whole_register(value, context)?),
        "unit_is" => halves.unit_is = value.split(',').map(whole).collect::<Result<_, _>>()?,
        "status" => {
            let at = whole_register(value, context)?;
            rules.statuses.push(Status { at, clauses: Vec::new() });
        }
        "heartbeat" => halves.heartbeat = Some(whole_register(value, context)?),
        "heartbeat_bit" => halves.heartbeat_bit = Some(bits(value)?),
        "heartbeat_s" => halves.heartbeat_ms = Some(seconds(value)?),
        "counter" => halves.counter = Some(modulus(value)?),
        "counter_per_s" => halves.counter_per_s = Some(positive(value)?),
        "loop" | "loop_range" | "loop_valid" | "loop_fail" | "loop_fail_s" => {
            halves.loop_keys = true;
            let current = rules.current_loop.get_or_insert_default();
            current_loop(key, value, current, halves)?;
        }
        "calibration" => rules.curves.push(calibration(value)?),
        "polynomial" => rules.curves.push(polynomial(value)?),
        "table" => rules.curves.extend((context.table)(value)?.map(Curve::Table)),
        "margin" => rules.margin = Some(bounded(value, 0.0, 1_000.0)? / 100.0),
        "frozen_s" => halves.frozen_ms = Some(seconds(value)?),
        "frozen_within" => halves.frozen_within = Some(bounded(value, 0.0, f64::MAX)?),
        "rate_per_s" => rules.rate_max = Some(positive(value)?),
        "report_within" => halves.report_within = Some(bounded(value, 0.0, f64::MAX)?),
        "report_s" => halves.report_ms = Some(silence_ms(value)?),
        _ => return Err(Problem::UnknownKey(KEYS.join(", "))),
    }
    Ok(())
}

/// Keys that need each other.
fn join(rules: &mut Rules, halves: Halves, context: &Context<'_>, faults: &mut Vec<RuleFault>) {
    let mut need = |have: bool, want: bool, key: &str, other: &str| {
        if have && !want {
            let problem = Problem::Said(
                format!("需要与 {other} 同时填写"),
                format!("needs {other} beside it; add it"),
            );
            faults.push(fault(key, "", problem));
        }
    };
    let orders = !halves.orders.is_empty();
    need(halves.order_by.is_some(), orders, "order_by", "orders");
    need(orders, halves.order_by.is_some(), "orders", "order_by");
    let units = !halves.unit_is.is_empty();
    need(halves.unit_code.is_some(), units, "unit_code", "unit_is");
    need(units, halves.unit_code.is_some(), "unit_is", "unit_code");
    let beats = halves.heartbeat.is_some();
    need(beats, halves.heartbeat_ms.is_some(), "heartbeat", "heartbeat_s");
    need(halves.heartbeat_ms.is_some(), beats, "heartbeat_s", "heartbeat");
    need(halves.heartbeat_bit.is_some(), beats, "heartbeat_bit", "heartbeat");
    need(halves.counter.is_some(), halves.counter_per_s.is_some(), "counter", "counter_per_s");
    need(halves.counter_per_s.is_some(), halves.counter.is_some(), "counter_per_s", "counter");
    need(halves.frozen_within.is_some(), halves.frozen_ms.is_some(), "frozen_within", "frozen_s");
    need(halves.report_within.is_some(), halves.report_ms.is_some(), "report_within", "report_s");
    need(halves.report_ms.is_some(), halves.report_within.is_some(), "report_s", "report_within");
    need(halves.loop_keys, halves.looped, "loop_…", "loop=4-20");
    if faults.is_empty() && rules.statuses.iter().any(|status| status.clauses.is_empty()) {
        let problem = said(
            "没有说明哪些状态不可信；请在其后写 bad=、inhibited=、doubt= 等",
            "says of no state what it means; write bad=, inhibited=, doubt= … behind it",
        );
        faults.push(fault("status", "", problem));
    }
    let codes = |at: Option<Register>, numbers: &[i128]| {
        at.map_or(Ok(()), |at| numbers.iter().try_for_each(|number| inside(*number, at, None)))
    };
    let order_codes: Vec<i128> = halves.orders.iter().map(|(code, _)| *code).collect();
    let beat = halves
        .heartbeat
        .zip(halves.heartbeat_bit)
        .map_or(Ok(()), |(at, field)| bits_of(&field.high.to_string(), at).map(drop));
    for (key, found) in [
        ("orders", codes(halves.order_by, &order_codes)),
        ("unit_is", codes(halves.unit_code, &halves.unit_is)),
        ("heartbeat_bit", beat),
    ] {
        if let Err(problem) = found {
            faults.push(fault(key, "", problem));
        }
    }
    let float = context.encoding.whole_range().is_none();
    if let Some(modulus) = halves.counter.filter(|_| float) {
        let problem = said("计数须为整数类型；请改类型", "a count is a whole number; mend type");
        faults.push(fault("counter", &modulus.to_string(), problem));
    }
    keep(rules, halves);
}

/// What stands together, as rules.
fn keep(rules: &mut Rules, halves: Halves) {
    if let Some(at) = halves.order_by {
        rules.order_by = Some(OrderBy { at, orders: halves.orders });
    }
    if let Some(at) = halves.unit_code {
        rules.unit_code = Some(UnitCode { at, expected: halves.unit_is });
    }
    if let Some((at, within_ms)) = halves.heartbeat.zip(halves.heartbeat_ms) {
        rules.heartbeat = Some(Heartbeat { at, bits: halves.heartbeat_bit, within_ms });
    }
    if let Some((modulus, per_s)) = halves.counter.zip(halves.counter_per_s) {
        rules.counter = Some(Counter { modulus, per_s });
    }
    if let Some(after_ms) = halves.frozen_ms {
        let within = halves.frozen_within.unwrap_or(0.0);
        rules.frozen = Some(Frozen { after_ms, within });
    }
    let report = halves.report_within.zip(halves.report_ms);
    rules.report =
        report.map(|(within, silence_ms)| Report { within, silence_ms }).or(rules.report);
}

/// `[function:]address[:type[:order]]`, or `@name` of the profile.
fn register(value: &str, context: &Context<'_>) -> Result<Register, Problem> {
    if let Some(name) = value.strip_prefix('@') {
        return (context.named)(name);
    }
    let mut parts = value.split(':').map(str::trim).peekable();
    let function = parts.peek().and_then(|word| Function::parse(word));
    if function.is_some() {
        parts.next();
    }
    let function = function.unwrap_or(context.function);
    let address = whole(parts.next().unwrap_or_default())?;
    let address = u16::try_from(address)
        .map_err(|_| Problem::OutOfBounds("0".to_owned(), u16::MAX.to_string()))?;
    let default = if function.is_bits() { Encoding::Bool } else { Encoding::U16 };
    let encoding = parts.next().map_or(Some(default), Encoding::parse);
    let words = || Problem::NotOneOf(Encoding::ALL.map(Encoding::word).join(", "));
    let encoding = encoding.ok_or_else(words)?;
    let order = parts.next().map_or(Some(WordOrder::default()), WordOrder::parse);
    let words = || Problem::NotOneOf(WordOrder::ALL.map(WordOrder::word).join(", "));
    let order = order.ok_or_else(words)?;
    if parts.next().is_some() {
        return Err(said(
            "应为 功能:地址:类型:字序",
            "must be function:address:type:order; remove the rest",
        ));
    }
    if function.is_bits() && encoding != Encoding::Bool {
        return Err(Problem::BitsAreBool);
    }
    if u32::from(address) + u32::from(encoding.words()) > 65_536 {
        return Err(Problem::PastTheEnd(encoding.words()));
    }
    Ok(Register { function, address, encoding, order })
}

fn whole_register(value: &str, context: &Context<'_>) -> Result<Register, Problem> {
    let found = register(value, context)?;
    if found.encoding.whole_range().is_some() {
        return Ok(found);
    }
    Err(said("此处须为整数寄存器", "must be a register of a whole number; mend its type"))
}

/// A whole number, decimal or `0x…`.
fn numbered(text: &str) -> Option<i128> {
    let text = text.trim();
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    hex.map_or_else(|| text.parse().ok(), |digits| i128::from_str_radix(digits, 16).ok())
}

fn whole(text: &str) -> Result<i128, Problem> {
    numbered(text).ok_or(Problem::NotA(Kind::Whole))
}

fn number(text: &str) -> Result<f64, Problem> {
    let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    number.ok_or(Problem::NotA(Kind::Number))
}

fn bounded(text: &str, low: f64, high: f64) -> Result<f64, Problem> {
    let number = number(text)?;
    if (low..=high).contains(&number) {
        return Ok(number);
    }
    let shown = if high < f64::MAX { high.to_string() } else { "…".to_owned() };
    Err(Problem::OutOfBounds(low.to_string(), shown))
}

fn positive(text: &str) -> Result<f64, Problem> {
    let number = number(text)?;
    if number > 0.0 {
        return Ok(number);
    }
    Err(said("应大于 0", "must be greater than 0"))
}

#[expect(clippy::cast_possible_truncation, reason = "bounded by a week")]
fn seconds(text: &str) -> Result<i64, Problem> {
    Ok((bounded(text, 0.001, WAIT_S_MAX)? * 1_000.0).round() as i64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded by an hour, and not below 0"
)]
fn silence_ms(text: &str) -> Result<u32, Problem> {
    Ok((bounded(text, 0.001, REPORT_S_MAX)? * 1_000.0).round() as u32)
}

/// `3`, `b3`, `4-7` or `b4-7`.
fn bits(text: &str) -> Result<BitField, Problem> {
    let wrong =
        || said("应为位号，如 3 或 4-7（0 到 63）", "must be a bit or bits: 3 or 4-7, 0 to 63");
    let text = text.trim();
    let text = text.strip_prefix('b').unwrap_or(text);
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let low: u8 = low.trim().parse().map_err(|_| wrong())?;
    let high: u8 = high.trim().parse().map_err(|_| wrong())?;
    if low <= high && high < 64 { Ok(BitField { low, high }) } else { Err(wrong()) }
}

fn own_bits(value: &str, context: &Context<'_>) -> Result<BitField, Problem> {
    let field = bits(value)?;
    let width = context.encoding.words() * 16;
    let whole = context.encoding.whole_range().is_some() && context.encoding != Encoding::Bool;
    if whole && !context.function.is_bits() {
        let inside = u16::from(field.high) < width;
        let outside = || Problem::OutOfBounds("0".to_owned(), (width - 1).to_string());
        return if inside { Ok(field) } else { Err(outside()) };
    }
    Err(Problem::Said(
        format!("类型 {} 没有这些位；请用 u16 或 u32", context.encoding),
        format!("type {} has no such bits; use u16 or u32", context.encoding),
    ))
}

/// `b3`, `b4-5=2`, `b0-3!=1`, `=7`, `!=0`, `7`: something that the register may say, and may not.
fn clause(text: &str, verdict: Verdict, at: Register) -> Result<Clause, Problem> {
    let (field, number, equal) = match (text.split_once("!="), text.split_once('=')) {
        (Some((field, number)), _) => (field.trim(), whole(number)?, false),
        (None, Some((field, number))) => (field.trim(), whole(number)?, true),
        (None, None) if text.starts_with('b') => (text, 0, false),
        (None, None) => ("", whole(text)?, true),
    };
    let bits = if field.is_empty() { None } else { Some(bits_of(field, at)?) };
    inside(number, at, bits)?;
    Ok(Clause { bits, number, equal, verdict })
}

/// Bits that the register has.
fn bits_of(text: &str, at: Register) -> Result<BitField, Problem> {
    let field = bits(text)?;
    let Some((low, high)) = at.encoding.whole_range() else { return Ok(field) };
    let width = i128::BITS - high.leading_zeros() + u32::from(low < 0);
    if u32::from(field.high) < width {
        return Ok(field);
    }
    let last = width - 1;
    Err(Problem::Said(
        format!("类型 {} 的寄存器只有第 0 到 {last} 位（从 0 数起）", at.encoding),
        format!("a register of type {} has the bits 0 to {last}, counted from 0", at.encoding),
    ))
}

/// A number that these bits of the register, or all of it, may hold.
fn inside(number: i128, at: Register, bits: Option<BitField>) -> Result<(), Problem> {
    let range = match bits {
        Some(BitField { low, high }) => Some((0, (1_i128 << (high - low + 1)) - 1)),
        None => at.encoding.whole_range(),
    };
    match range {
        Some((low, high)) if !(low..=high).contains(&number) => {
            Err(Problem::OutOfBounds(low.to_string(), high.to_string()))
        }
        Some(_) | None => Ok(()),
    }
}

fn orders(value: &str) -> Result<Vec<(i128, WordOrder)>, Problem> {
    let one = |part: &str| {
        let (code, order) = part.split_once(':').ok_or_else(|| {
            said("应为 代码:字序，如 0:ABCD,1:CDAB", "must be code:order, as in 0:ABCD,1:CDAB")
        })?;
        let words = || Problem::NotOneOf(WordOrder::ALL.map(WordOrder::word).join(", "));
        Ok((whole(code)?, WordOrder::parse(order.trim()).ok_or_else(words)?))
    };
    value.split(',').map(one).collect()
}

fn modulus(value: &str) -> Result<i128, Problem> {
    let modulus = whole(value)?;
    if (2..=1 << 64).contains(&modulus) {
        return Ok(modulus);
    }
    Err(Problem::OutOfBounds("2".to_owned(), (1_i128 << 64).to_string()))
}

/// `3.8-20.5`, `0:1500`: two numbers, the second greater.
fn pair(value: &str, between: char) -> Result<(f64, f64), Problem> {
    let wrong = || {
        Problem::Said(
            format!("应为两个由小到大的数，如 1{between}2"),
            format!("must be two rising numbers, as in 1{between}2"),
        )
    };
    let (low, high) = value.split_once(between).ok_or_else(wrong)?;
    let (low, high) = (number(low)?, number(high)?);
    if low < high { Ok((low, high)) } else { Err(wrong()) }
}

fn current_loop(
    key: &str,
    value: &str,
    current: &mut CurrentLoop,
    halves: &mut Halves,
) -> Result<(), Problem> {
    match key {
        "loop" if value == "4-20" => halves.looped = true,
        "loop" => return Err(Problem::NotOneOf("4-20".to_owned())),
        "loop_range" => current.range = Some(pair(value, ':')?),
        "loop_valid" => (current.low, current.high) = pair(value, '-')?,
        "loop_fail" => (current.fail_low, current.fail_high) = pair(value, '-')?,
        _ => current.fail_ms = seconds(value)?,
    }
    if current.fail_low < current.low && current.high < current.fail_high {
        return Ok(());
    }
    Err(said(
        "故障限须在有效范围之外：loop_fail 应比 loop_valid 更宽",
        "failure lies outside what is valid: loop_fail must be wider than loop_valid",
    ))
}

/// `raw:true,raw:true`.
fn calibration(value: &str) -> Result<Curve, Problem> {
    let wrong = || {
        said(
            "应为两点 读数:真值,读数:真值，且读数不同",
            "must be two points, reading:truth,reading:truth, of different readings",
        )
    };
    let points: Vec<(f64, f64)> = value
        .split(',')
        .map(|point| {
            let (x, y) = point.split_once(':').ok_or_else(wrong)?;
            Ok((number(x)?, number(y)?))
        })
        .collect::<Result<_, Problem>>()?;
    match points.as_slice() {
        [from, to] if (from.0 - to.0).abs() > 0.0 && (from.1 - to.1).abs() > 0.0 => {
            Ok(Curve::Line { from: *from, to: *to })
        }
        _ => Err(wrong()),
    }
}

fn polynomial(value: &str) -> Result<Curve, Problem> {
    let factors: Vec<f64> = value.split(',').map(number).collect::<Result<_, _>>()?;
    if (2..=FACTORS_MAX).contains(&factors.len()) {
        return Ok(Curve::Polynomial(factors));
    }
    Err(Problem::Said(
        format!("应有 2 到 {FACTORS_MAX} 个系数，常数项在前"),
        format!("needs 2 to {FACTORS_MAX} factors, the constant first"),
    ))
}
