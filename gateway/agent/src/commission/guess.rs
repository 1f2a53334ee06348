//! `guess`: from the number on the instrument's display to the row of the point sheet.
//!
//! - Reads a few registers around the address of the manual, also one below it, because many
//!   manuals count from 1.
//! - Several ways often fit one value. A second value tells them apart; nothing is called certain.

mod fit;
mod refused;

use std::time::Duration;

use clap::{Args, ValueEnum};
use fengsui_scan::{Function, Outcome, Payload, ReadRequest};
use serde_json::{Value, json};

use super::line::{Line, LineArgs};
use super::{Said, show, words};
use crate::clock::Clock;
use fit::{Fit, Shown, Way, Window, fits, ratios};

/// Ways that are shown; the rest is counted.
const SHOWN_MAX: usize = 8;
/// Registers from the named one on: a 64-bit value.
const AHEAD: u16 = 4;
/// Part of the value by which a near miss may be off.
const NEAR: f64 = 0.02;
/// Times that a request is sent before the device counts as silent.
const TRIES: usize = 2;
/// Before a busy device is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// What to guess.
#[derive(Args, Debug)]
pub struct GuessArgs {
    #[command(flatten)]
    line: LineArgs,
    /// 从机地址 | Unit
    #[arg(long, default_value_t = 1)]
    unit: u8,
    /// 手册中的寄存器地址 | Address as the manual gives it
    #[arg(long, value_name = "A")]
    register: u16,
    /// 仪表面板上的显示值 | What the instrument's display shows
    #[arg(long, value_name = "VALUE", value_parser = display, allow_hyphen_values = true)]
    display: Display,
    /// 变化后的第二个显示值：程序会等您按回车再读 | A second value: it waits for Enter, then reads again
    #[arg(long, value_name = "VALUE2", value_parser = display, allow_hyphen_values = true)]
    and: Option<Display>,
    /// 只查这个表；不写则两个都查 | Only this table; both where none is named
    #[arg(long)]
    function: Option<WordTable>,
    /// 允许的差；不写则为显示值末位的一半 | Allowed difference; half of the last digit shown
    #[arg(long, value_name = "D", value_parser = tolerance)]
    tolerance: Option<f64>,
    /// 量程下限（查 4-20 mA 时需要） | Low end of the range, for 4-20 mA
    #[arg(long, requires = "high", value_parser = number, allow_hyphen_values = true)]
    low: Option<f64>,
    /// 量程上限 | High end of the range
    #[arg(long, requires = "low", value_parser = number, allow_hyphen_values = true)]
    high: Option<f64>,
    /// 每次等待，毫秒 | Patience with one reply
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(20..=60_000))]
    timeout_ms: u64,
    /// 输出 JSON | Print JSON
    #[arg(long)]
    json: bool,
}

/// The two tables that hold registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WordTable {
    /// Function 3.
    Holding,
    /// Function 4.
    Input,
}

/// A number and how many digits of it are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Display {
    value: f64,
    half_digit: f64,
}

fn display(text: &str) -> Result<Display, String> {
    let bad = || format!("{text:?} 应为面板上的数字，如 23.4 | write the number, like 23.4");
    let value: f64 = text.trim().parse().map_err(|_| bad())?;
    if !value.is_finite() || text.contains(['e', 'E']) {
        return Err(bad());
    }
    if value == 0.0 {
        return Err(
            "0 与大多数空寄存器都相符；请等显示不为 0 时再试 | 0 fits every empty register; \
                    try while the display shows something else"
                .to_owned(),
        );
    }
    let places = text.trim().split_once('.').map_or(0, |(_, tail)| tail.len());
    let places = i32::try_from(places).map_err(|_| bad())?;
    Ok(Display { value, half_digit: 0.5 * 10_f64.powi(-places) })
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("{text:?} 应为数字，如 23.4 | write a number, like 23.4"))
}

fn tolerance(text: &str) -> Result<f64, String> {
    let least = |tolerance: f64| match tolerance < 0.0 {
        true => Err(format!("{text:?} 不得小于 0 | may not be less than 0")),
        false => Ok(tolerance),
    };
    number(text).and_then(least)
}

impl GuessArgs {
    fn shown(&self, display: Display) -> Shown {
        let tolerance = self.tolerance.unwrap_or(display.half_digit);
        Shown { value: display.value, tolerance }
    }

    /// Wire addresses that the manual's number may mean, with their tables. Five digits that begin
    /// with 4 or 3 name the table and count from 1.
    fn places(&self) -> Vec<(Function, u16)> {
        let mut places = Vec::new();
        let wanted = |table| self.function.is_none_or(|only| only == table);
        for (table, function, base) in [
            (WordTable::Holding, Function::Holding, 40_001),
            (WordTable::Input, Function::Input, 30_001),
        ] {
            if !wanted(table) {
                continue;
            }
            places.push((function, self.register));
            if (base..base + 9_999).contains(&self.register) {
                places.push((function, self.register - base));
            }
        }
        places
    }
}

/// What was read around one address.
struct Around {
    near: u16,
    window: Window,
}

/// Guesses.
pub async fn guess(args: GuessArgs) -> Said {
    if let Some((low, high)) = args.low.zip(args.high).filter(|(low, high)| low >= high) {
        let why = format!(
            "--low {low} --high {high}：量程上限应大于下限 | the high end is to be above the low end\n"
        );
        return Said::fault(super::USAGE, why);
    }
    let clock = Clock::start();
    let pace = args.line.pace(args.timeout_ms);
    let mut line = match args.line.open(clock, pace.patience).await {
        Ok(line) => line,
        Err(why) => return Said::unreachable(&args.line.name(), &why),
    };
    let ratios = ratios(args.low.zip(args.high));
    let around = match around(&args, &mut line, &clock).await {
        Ok(around) => around,
        Err(said) => return said,
    };
    let shown = args.shown(args.display);
    let mut found: Vec<Fit> =
        around.iter().flat_map(|at| fits(&at.window, at.near, &ratios, shown)).collect();
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found.dedup_by(|a, b| a.way == b.way);
    let mut err = String::new();
    if let Some(second) = args.and {
        wait_for_change(second).await;
        let again = match self::around(&args, &mut line, &clock).await {
            Ok(around) => around,
            Err(said) => return said,
        };
        if around.iter().zip(&again).all(|(a, b)| a.window.words == b.window.words) {
            err += "寄存器与上次相同：显示值真的变了吗？ | the registers have not changed\n";
        }
        found.retain(|fit| still_fits(fit, &again, args.shown(second)));
    }
    let code = if found.is_empty() { super::PROBLEMS } else { super::FINE };
    let out =
        if args.json { as_json(&args, &around, &found) } else { as_text(&args, &around, &found) };
    Said { out, err, code }
}

/// Until somebody presses Enter: the display shows the second value.
async fn wait_for_change(second: Display) {
    let ask = format!(
        "第一个值已读。请改变被测量，面板显示 {0} 时按回车 | first value read; change it, and press Enter \
         when the display shows {0}\n",
        second.value
    );
    let pressed = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        // Without a terminal there is nobody to ask.
        drop(std::io::stderr().write_all(ask.as_bytes()));
        drop(std::io::stdin().read_line(&mut String::new()));
    });
    drop(pressed.await);
}

fn still_fits(fit: &Fit, again: &[Around], shown: Shown) -> bool {
    again.iter().map(|at| &at.window).any(|window| {
        let Way { function, address, encoding, .. } = fit.way;
        let Some(at) = address.checked_sub(window.first).map(usize::from) else { return false };
        let words = window.words.get(at..at + usize::from(encoding.words()));
        function == window.function
            && words
                .and_then(|words| fit::value(&fit.way, words))
                .is_some_and(|value| (value - shown.value).abs() <= shown.tolerance * (1.0 + 1e-9))
    })
}

/// Reads around every place that the manual's number may mean.
async fn around(args: &GuessArgs, line: &mut Line, clock: &Clock) -> Result<Vec<Around>, Said> {
    let mut all = Vec::new();
    let mut refused = Vec::new();
    for (function, near) in args.places() {
        let first = near.saturating_sub(1);
        let count = (near - first + AHEAD).min(u16::MAX - first);
        match words(args, line, clock, ReadRequest { function, first, count }).await? {
            Ok(words) => all.push(Around { near, window: Window { function, first, words } }),
            Err(code) if !refused::may_be_partial(code) => refused.push((function, near, code)),
            // The whole is refused where one register is missing: each on its own then.
            Err(code) => {
                let runs = runs(args, line, clock, ReadRequest { function, first, count }).await?;
                if runs.is_empty() {
                    refused.push((function, near, code));
                }
                all.extend(runs.into_iter().map(|window| Around { near, window }));
            }
        }
    }
    if all.is_empty() {
        return Err(Said::fault(super::PROBLEMS, refused::text(args.unit, &refused)));
    }
    Ok(all)
}

async fn runs(
    args: &GuessArgs,
    line: &mut Line,
    clock: &Clock,
    whole: ReadRequest,
) -> Result<Vec<Window>, Said> {
    let mut runs: Vec<Window> = Vec::new();
    let function = whole.function;
    for first in whole.first..whole.first + whole.count {
        let Ok(words) = words(args, line, clock, ReadRequest { function, first, count: 1 }).await?
        else {
            continue;
        };
        match runs.last_mut() {
            Some(run) if usize::from(first - run.first) == run.words.len() => {
                run.words.extend(words);
            }
            Some(_) | None => runs.push(Window { function, first, words }),
        }
    }
    Ok(runs)
}

/// The words, or the exception. A device that does not answer ends the command.
async fn words(
    args: &GuessArgs,
    line: &mut Line,
    clock: &Clock,
    request: ReadRequest,
) -> Result<Result<Vec<u16>, u8>, Said> {
    let pace = args.line.pace(args.timeout_ms);
    let (mut why, mut busy) = ("没有应答 no answer", None);
    for _ in 0..TRIES {
        let heard = line.ask(clock, args.unit, request, pace).await;
        match heard.outcome {
            Outcome::Data(Payload::Words(words)) => return Ok(Ok(words)),
            Outcome::Exception(code @ (5 | 6)) => {
                busy = Some(code);
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            Outcome::Exception(code) => return Ok(Err(code)),
            Outcome::BadFrame if heard.is_noise => why = words::NOISE,
            Outcome::Data(Payload::Bits(_)) | Outcome::BadFrame => {
                why = "应答报文错误 the reply is damaged or not the answer to this request";
            }
            Outcome::Timeout => why = "超时无应答 no answer in time",
            Outcome::Lost | Outcome::Unreachable => why = "连接中断 connection lost",
        }
    }
    if let Some(code) = busy {
        return Ok(Err(code));
    }
    let named = format!("{} 从机 unit {}", args.line.name(), args.unit);
    Err(Said::unreachable(&named, line.refusal().unwrap_or(why)))
}

/// Headings of the sheet in the order of [`row`].
const HEADINGS: &str = "tag,name,installation,signal,unit,low,high,device,function,address,type,order,scale,offset,period_ms,rules";

/// A row of the point sheet; what only the plant knows stands in words.
fn row(args: &GuessArgs, way: &Way) -> String {
    let Way { function, address, encoding, order, ratio } = way;
    let end = |value: Option<f64>, word: &str| value.map_or_else(|| word.to_owned(), show::number);
    let (low, high) = (end(args.low, "量程下限"), end(args.high, "量程上限"));
    let (scale, offset, rules) = match ratio.loop_ma {
        Some((scale, offset)) => (scale, offset, "loop=4-20"),
        None => (ratio.scale, ratio.offset, ""),
    };
    format!(
        "位号,名称,装置,信号,单位,{low},{high},设备,{function},{address},{encoding},{order},{scale},{offset},1000,{rules}"
    )
}

fn as_json(args: &GuessArgs, around: &[Around], found: &[Fit]) -> String {
    let registers: Vec<Value> = around
        .iter()
        .map(|Around { window, .. }| {
            json!({
                "function": window.function.word(), "first": window.first,
                "words": show::hex(&window.words),
            })
        })
        .collect();
    let ways: Vec<Value> = found
        .iter()
        .map(|fit| {
            let Way { function, address, encoding, order, ratio } = &fit.way;
            json!({
                "function": function.word(), "address": address, "type": encoding.word(),
                "order": order.word(), "scale": ratio.scale, "offset": ratio.offset,
                "span": ratio.span, "value": fit.value, "raw": show::hex(&fit.words),
                "row": row(args, &fit.way),
            })
        })
        .collect();
    let all = json!({
        "line": args.line.name(), "unit": args.unit, "register": args.register,
        "display": args.display.value, "and": args.and.map(|second| second.value),
        "registers": registers, "fits": ways, "headings": HEADINGS,
    });
    format!("{all:#}\n")
}

fn as_text(args: &GuessArgs, around: &[Around], found: &[Fit]) -> String {
    let mut out = String::new();
    for Around { window, .. } in around {
        let words = show::hex(&window.words).join(" ");
        out += &format!("{} {}: {words}\n", window.function, window.first);
    }
    let Some(best) = found.first() else {
        return out + &nothing(args, around);
    };
    out += &format!("{}\n", ways_table(found));
    if found.len() > SHOWN_MAX {
        let left = found.len() - SHOWN_MAX;
        out +=
            &format!("另有 {left} 种更牵强的读法（--json 全部列出） | {left} less likely ones\n");
    }
    if best.way.address != args.register {
        out += &format!(
            "注意：手册写 {}，线上地址是 {}（手册从 1 数）；点表填线上地址 | the manual counts from 1: \
             the sheet wants {1}\n",
            args.register, best.way.address
        );
    }
    out += &format!(
        "最可能的一行，粘贴到点表 | the likeliest, for the point sheet:\n{HEADINGS}\n{}\n",
        row(args, &best.way)
    );
    out + &how_to_tell(args, found, best)
}

/// Several ways fit: what tells them apart.
fn how_to_tell(args: &GuessArgs, found: &[Fit], best: &Fit) -> String {
    let count = found.len();
    let but_for_sign = found.iter().all(|fit| {
        let (a, b) = (&fit.way, &best.way);
        let values = |way: &Way| way.encoding.whole_range().map(|(low, high)| high - low);
        let layout = |way: &Way| (way.function, way.address, way.order, values(way));
        layout(a) == layout(b) && a.ratio == b.ratio
    });
    if count == 1 {
        String::new()
    } else if but_for_sign {
        "只差有无符号（仅负值时不同）：查手册，或等显示为负时再试\n  they differ below zero only: see the \
         manual, or try while the display is negative\n"
            .to_owned()
    } else if args.and.is_none() {
        format!(
            "有 {count} 种读法都符合。区分：同一命令加 --and 新显示值，改变被测量后按回车\n  {count} ways \
             fit. To tell them apart add --and VALUE2, change the value and press Enter\n"
        )
    } else {
        "两个值仍不能区分：查手册，或再试一个差别更大的值\n  two values do not tell these apart: see the \
         manual, or try a value further away\n"
            .to_owned()
    }
}

/// Nothing fits: what comes near, for a value that moves, and what else to try.
fn nothing(args: &GuessArgs, around: &[Around]) -> String {
    let shown = Shown { tolerance: args.display.value.abs() * NEAR, ..args.shown(args.display) };
    let ratios = ratios(args.low.zip(args.high));
    let near: Vec<Fit> =
        around.iter().flat_map(|at| fits(&at.window, at.near, &ratios, shown)).collect();
    let mut out = "没有一种读法符合显示值。可试：--tolerance 放宽（值在变化时）；4-20 mA 加 --low \
                   --high；核对从机和地址\n  no way of reading fits: try a wider --tolerance where \
                   the value moves, --low and --high for 4-20 mA, another unit or address\n"
        .to_owned();
    if !near.is_empty() && args.and.is_none() {
        out += &format!("接近的读法 | near misses:\n{}\n", ways_table(&near));
    }
    out
}

fn ways_table(found: &[Fit]) -> comfy_table::Table {
    let mut table = show::table(&[
        "",
        "功能\nfunction",
        "地址\naddress",
        "类型\ntype",
        "字序\norder",
        "系数\nscale",
        "偏移\noffset",
        "值\nvalue",
        "原始\nraw",
    ]);
    for (rank, fit) in (1..).zip(found.iter().take(SHOWN_MAX)) {
        let Way { function, address, encoding, order, ratio } = &fit.way;
        let span = ratio.span.map_or_else(String::new, |span| format!("\n{span}"));
        table.add_row(vec![
            rank.to_string(),
            function.to_string(),
            address.to_string(),
            encoding.to_string(),
            order.to_string(),
            format!("{}{span}", ratio.scale),
            ratio.offset.to_string(),
            show::number(fit.value),
            show::hex(&fit.words).join(" "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_no_tolerance_and_no_end_of_a_range() {
        assert_eq!((number("-2.5"), tolerance("0")), (Ok(-2.5), Ok(0.0)));
        for bad in ["nan", "inf", "1e999", "x", ""] {
            assert!(number(bad).is_err() && tolerance(bad).is_err(), "{bad}");
        }
        assert!(tolerance("-1").is_err());
    }

    #[test]
    fn the_digits_of_a_display_are_its_tolerance() {
        let got = display("23.40").unwrap();
        assert_eq!((got.value, got.half_digit), (23.4, 0.005));
        assert!((display("-5").unwrap().half_digit - 0.5).abs() < 1e-12);
        for bad in ["", "0", "0.00", "1e3", "NaN", "12 m"] {
            assert!(display(bad).is_err(), "{bad}");
        }
    }
}
