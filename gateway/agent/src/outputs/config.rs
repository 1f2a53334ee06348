//! `[[output]]` and `[[button]]` of the gateway's file. Every fault, with its line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fengsui_scan::{Device, Link};
use serde::Deserialize;
use toml::Spanned;

use super::gpio::Line;
use super::wish::{Filter, Follows};

/// Outputs and buttons of one gateway. More than a cabinet holds is a mistake.
const OUTPUTS_MAX: usize = 32;
/// A relay that has not moved in half a second does not move.
const READBACK_MS: u64 = 500;
/// The alarm loop turns once a second at least.
const WATCHDOG_MS: u64 = 1_000;
/// Contacts bounce for some milliseconds; nobody presses shorter than this.
const DEBOUNCE_MS: u64 = 50;
const MS_MAX: u64 = 60_000;
/// Lines of a chip; the largest expanders have some hundred.
const LINE_MAX: u32 = 1_023;

/// What is driven, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wiring {
    Gpio { line: Line, active_low: bool, read_back: Option<Line> },
    Rpi { pin: u8, active_low: bool, read_back: Option<u8> },
    Coil { host: String, port: u16, unit: u8, coil: u16 },
    Sim,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) wiring: Wiring,
    pub(crate) follows: Follows,
    /// Released to call for attention, so that a cut wire and a dead gateway do so as well.
    pub(crate) fail_safe: bool,
    pub(crate) readback_ms: u64,
    /// A watchdog's shortest time between two changes.
    pub(crate) period_ms: u64,
}

/// What a button is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Does {
    Acknowledge,
    Test,
}

/// One push-button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Button {
    pub(crate) name: String,
    pub(crate) line: Line,
    pub(crate) active_low: bool,
    pub(crate) does: Does,
    pub(crate) debounce_ms: u64,
}

/// What a gateway drives and what it is pressed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputPlan {
    pub(crate) outputs: Vec<Output>,
    pub(crate) buttons: Vec<Button>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindFile {
    Gpio,
    Rpi,
    Coil,
    Sim,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FollowsFile {
    Siren,
    Beacon,
    Relay,
    Trouble,
    Watchdog,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputFile {
    name: String,
    kind: KindFile,
    follows: FollowsFile,
    chip: Option<PathBuf>,
    line: Option<u32>,
    readback_line: Option<u32>,
    active_low: Option<bool>,
    host: Option<String>,
    port: Option<u16>,
    unit: Option<u8>,
    coil: Option<u16>,
    #[serde(default)]
    priorities: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    fail_safe: Option<bool>,
    readback_ms: Option<u64>,
    period_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ButtonFile {
    name: String,
    chip: Option<PathBuf>,
    line: u32,
    does: Does,
    active_low: Option<bool>,
    debounce_ms: Option<u64>,
}

/// A fault and the byte at which its table begins.
pub(crate) type Misfit = (usize, String);

/// Checks both lists against each other.
pub(crate) fn check(
    outputs: Vec<Spanned<OutputFile>>,
    buttons: Vec<Spanned<ButtonFile>>,
) -> Result<OutputPlan, Vec<Misfit>> {
    let mut door = Door::default();
    let mut plan = OutputPlan::default();
    if outputs.len() + buttons.len() > OUTPUTS_MAX {
        door.misfits.push((0, format!(
            "[[output]] 与 [[button]] 共 {} 个：最多 {OUTPUTS_MAX} 个  |  at most {OUTPUTS_MAX} of both",
            outputs.len() + buttons.len()
        )));
    }
    for file in outputs {
        door.at = file.span().start;
        plan.outputs.extend(door.output(file.into_inner()));
    }
    for file in buttons {
        door.at = file.span().start;
        plan.buttons.extend(door.button(file.into_inner()));
    }
    if door.misfits.is_empty() { Ok(plan) } else { Err(door.misfits) }
}

#[derive(Default)]
struct Door {
    at: usize,
    misfits: Vec<Misfit>,
    names: BTreeSet<String>,
    lines: BTreeSet<Line>,
}

impl Door {
    fn refuse(&mut self, why: String) {
        self.misfits.push((self.at, why));
    }

    fn name(&mut self, key: &str, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
            self.refuse(format!(
                "{key}.name = {name:?}：用 1 到 32 个英文字母、数字、- 或 _  |  1 to 32 letters, digits, - or _"
            ));
        } else if !self.names.insert(name.to_owned()) {
            self.refuse(format!(
                "{key}.name = {name:?}：名称重复，请改名  |  is used twice, rename one"
            ));
        }
    }

    fn line(&mut self, key: &str, chip: Option<&PathBuf>, offset: u32) -> Line {
        let chip = chip.cloned().unwrap_or_else(|| PathBuf::from("/dev/gpiochip0"));
        let line = Line { chip, offset };
        if offset > LINE_MAX {
            self.refuse(format!(
                "{key} = {offset}：应为 0 到 {LINE_MAX}  |  must be 0 to {LINE_MAX}"
            ));
        } else if !self.lines.insert(line.clone()) {
            let chip = line.chip.display();
            self.refuse(format!(
                "{key} = {offset}：{chip} 的这条线已被占用，请换一条  |  line of {chip} is used twice, choose another"
            ));
        }
        line
    }

    fn ms(&mut self, key: &str, given: Option<u64>, default: u64, least: u64) -> u64 {
        let ms = given.unwrap_or(default);
        if !(least..=MS_MAX).contains(&ms) {
            self.refuse(format!(
                "{key} = {ms}：应为 {least} 到 {MS_MAX} 毫秒  |  must be {least} to {MS_MAX} ms"
            ));
        }
        ms
    }

    /// A key that stands where it means nothing is a mistake, never a silent default.
    fn idle(&mut self, given: bool, key: &str, with: &str) {
        if given {
            self.refuse(format!(
                "output.{key}：不适用于 {with}，请删除  |  means nothing with {with}, remove it"
            ));
        }
    }

    fn needed<T>(&mut self, value: Option<T>, key: &str, with: &str) -> Option<T> {
        if value.is_none() {
            self.refuse(format!("output.{key}：{with} 必须给出  |  is needed with {with}"));
        }
        value
    }

    fn output(&mut self, file: OutputFile) -> Option<Output> {
        let before = self.misfits.len();
        self.name("output", &file.name);
        let wiring = self.wiring(&file);
        let follows = self.follows(&file);
        let watchdog = file.follows == FollowsFile::Watchdog;
        self.idle(watchdog && file.fail_safe.is_some(), "fail_safe", "follows = \"watchdog\"");
        self.idle(
            !watchdog && file.period_ms.is_some(),
            "period_ms",
            "这种 follows / this follows",
        );
        let trouble = file.follows == FollowsFile::Trouble;
        let readback_ms = self.ms("output.readback_ms", file.readback_ms, READBACK_MS, 20);
        let period_ms = self.ms("output.period_ms", file.period_ms, WATCHDOG_MS, 100);
        (self.misfits.len() == before).then_some(Output {
            name: file.name,
            wiring: wiring?,
            follows: follows?,
            fail_safe: file.fail_safe.unwrap_or(trouble),
            readback_ms,
            period_ms,
        })
    }

    fn wiring(&mut self, file: &OutputFile) -> Option<Wiring> {
        let gpio = matches!(file.kind, KindFile::Gpio | KindFile::Rpi);
        let with = match file.kind {
            KindFile::Gpio => "kind = \"gpio\"",
            KindFile::Rpi => "kind = \"rpi\"",
            KindFile::Coil => "kind = \"coil\"",
            KindFile::Sim => "kind = \"sim\"",
        };
        let coil = file.kind == KindFile::Coil;
        self.idle(file.chip.is_some() && file.kind != KindFile::Gpio, "chip", with);
        for (given, key) in [
            (file.line.is_some(), "line"),
            (file.readback_line.is_some(), "readback_line"),
            (file.active_low.is_some(), "active_low"),
        ] {
            self.idle(given && !gpio, key, with);
        }
        for (given, key) in [
            (file.host.is_some(), "host"),
            (file.port.is_some(), "port"),
            (file.unit.is_some(), "unit"),
            (file.coil.is_some(), "coil"),
        ] {
            self.idle(given && !coil, key, with);
        }
        let active_low = file.active_low.unwrap_or(false);
        match file.kind {
            KindFile::Gpio => {
                let offset = self.needed(file.line, "line", with)?;
                let line = self.line("output.line", file.chip.as_ref(), offset);
                let back = file.readback_line;
                let read_back =
                    back.map(|at| self.line("output.readback_line", file.chip.as_ref(), at));
                Some(Wiring::Gpio { line, active_low, read_back })
            }
            KindFile::Rpi => {
                if !cfg!(feature = "rpi") {
                    self.refuse("output.kind = \"rpi\"：本程序未编入该功能，请改用 gpio  |  this program was built without it, use gpio".to_owned());
                    return None;
                }
                let pin = self.needed(file.line, "line", with)?;
                let pin = self.pin(pin)?;
                let read_back = file.readback_line.map(|at| self.pin(at));
                Some(Wiring::Rpi { pin, active_low, read_back: read_back.flatten() })
            }
            KindFile::Coil => {
                let host = self.needed(file.host.clone(), "host", with);
                let coil = self.needed(file.coil, "coil", with);
                let (port, unit) = (file.port.unwrap_or(502), file.unit.unwrap_or(1));
                Some(Wiring::Coil { host: host?, port, unit, coil: coil? })
            }
            KindFile::Sim => Some(Wiring::Sim),
        }
    }

    fn pin(&mut self, line: u32) -> Option<u8> {
        let line = self.line("output.line", Some(&PathBuf::from("rpi")), line).offset;
        u8::try_from(line).ok()
    }

    fn follows(&mut self, file: &OutputFile) -> Option<Follows> {
        let mut priorities = Vec::new();
        for name in &file.priorities {
            match ["P1", "P2", "P3", "P4"].iter().zip(1..).find(|(known, _)| *known == name) {
                Some((_, number)) => priorities.push(number),
                None => self.refuse(format!(
                    "output.priorities = {name:?}：应为 P1、P2、P3 或 P4  |  must be P1, P2, P3 or P4"
                )),
            }
        }
        let filter = Filter { priorities, tags: file.tags.clone() };
        let chosen = filter != Filter::default();
        match file.follows {
            FollowsFile::Siren => Some(Follows::Siren(filter)),
            FollowsFile::Beacon => Some(Follows::Beacon(filter)),
            FollowsFile::Relay if !chosen => {
                self.refuse("output.follows = \"relay\"：请用 priorities 或 tags 指明跟随哪些报警  |  say by priorities or tags which alarms".to_owned());
                None
            }
            FollowsFile::Relay => Some(Follows::Beacon(filter)),
            FollowsFile::Trouble => {
                self.idle(chosen, "priorities, tags", "follows = \"trouble\"");
                Some(Follows::Trouble)
            }
            FollowsFile::Watchdog => {
                self.idle(chosen, "priorities, tags", "follows = \"watchdog\"");
                Some(Follows::Watchdog)
            }
        }
    }

    fn button(&mut self, file: ButtonFile) -> Option<Button> {
        let before = self.misfits.len();
        self.name("button", &file.name);
        let line = self.line("button.line", file.chip.as_ref(), file.line);
        let debounce_ms = self.ms("button.debounce_ms", file.debounce_ms, DEBOUNCE_MS, 20);
        (self.misfits.len() == before).then_some(Button {
            name: file.name,
            line,
            active_low: file.active_low.unwrap_or(true),
            does: file.does,
            debounce_ms,
        })
    }
}

impl OutputPlan {
    /// Tags that outputs name and the site does not have.
    pub(crate) fn unknown_tags(&self, known: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut unknown = Vec::new();
        for output in &self.outputs {
            let (Follows::Siren(filter) | Follows::Beacon(filter)) = &output.follows else {
                continue;
            };
            unknown.extend(filter.tags.iter().filter(|tag| !known(tag)).map(|tag| {
                format!("output.tags = {tag:?}（{}）：点表中没有该位号  |  no such tag in the point sheet", output.name)
            }));
        }
        unknown
    }

    /// Coils of devices that must not be written to: which output, and why not.
    pub(crate) fn forbidden(&self, devices: &[Device]) -> Vec<(usize, String)> {
        let of = |(place, output): (usize, &Output)| {
            let Wiring::Coil { host, port, unit, coil } = &output.wiring else { return None };
            let same = |device: &&Device| match &device.link {
                Link::ModbusTcp { host: h, port: p } => (h, p, device.unit) == (host, port, *unit),
                Link::Rtu { .. } => false,
            };
            let device = devices.iter().find(|device| device.never_write && same(device))?;
            Some((
                place,
                format!(
                    "output.coil = {coil}（{}）：设备 {} 的型号库写明不可写入（never_write），请改用继电器模块或 gpio  |  \
                 the profile of device {1} says never_write: use a relay module or a gpio line instead",
                    output.name, device.name
                ),
            ))
        };
        self.outputs.iter().enumerate().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fengsui_scan::Site;

    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        output: Vec<Spanned<OutputFile>>,
        #[serde(default)]
        button: Vec<Spanned<ButtonFile>>,
    }

    fn read(text: &str) -> Result<OutputPlan, Vec<Misfit>> {
        let file: File = toml::from_str(text).unwrap();
        check(file.output, file.button)
    }

    #[test]
    fn a_cabinet_is_read() {
        let plan = read(
            r#"
[[output]]
name = "siren"
kind = "gpio"
line = 17
readback_line = 27
follows = "siren"
[[output]]
name = "trouble"
kind = "coil"
host = "10.0.0.9"
coil = 3
follows = "trouble"
[[output]]
name = "door"
kind = "sim"
follows = "relay"
priorities = ["P1"]
[[button]]
name = "ack"
line = 22
does = "acknowledge"
"#,
        )
        .unwrap();
        assert_eq!(plan.outputs.len(), 3);
        assert!(plan.outputs[1].fail_safe, "trouble is told by a released relay");
        assert!(!plan.outputs[0].fail_safe);
        let filter = Filter { priorities: vec![1], tags: vec![] };
        assert_eq!(plan.outputs[2].follows, Follows::Beacon(filter));
        assert!(plan.buttons[0].active_low);
        assert_eq!(plan.unknown_tags(&|_| false), Vec::<String>::new());
    }

    #[test]
    fn a_coil_of_a_device_that_must_not_be_written_to_is_refused() {
        let site = |profile: &str| {
            let text = format!(
                "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n\
                 [[installation]]\nname='a'\nkind='k'\n[[device]]\nname='e3'\n\
                 kind='modbus-tcp'\nhost='10.0.0.9'\nunit=3\n{profile}\n"
            );
            let points = "h\ntag,name,installation,signal,unit,low,high,device,function,address,\
                          type,period_ms\nA,n,a,s,u,0,9,e3,holding,10,u16,1000\n";
            Site::load("s", &text, &mut |_| Ok(points.to_owned())).unwrap()
        };
        let output = |unit: u8| {
            format!(
                "[[output]]\nname='siren'\nkind='coil'\nhost='10.0.0.9'\nunit={unit}\ncoil=4\n\
                 follows='siren'\n"
            )
        };
        let careful = site("profile='honeywell_e3point'");
        let refused = read(&output(3)).unwrap().forbidden(&careful.devices);
        assert_eq!(refused.len(), 1);
        let (place, why) = &refused[0];
        assert!(*place == 0 && why.contains("output.coil = 4") && why.contains("e3"), "{why}");
        assert!(why.contains("never_write") && why.contains("gpio"), "{why}");
        assert_eq!(read(&output(4)).unwrap().forbidden(&careful.devices), []);
        assert_eq!(read(&output(3)).unwrap().forbidden(&site("").devices), []);
    }

    #[test]
    fn every_fault_has_its_own_message() {
        let text = r#"
[[output]]
name = "a b"
kind = "gpio"
follows = "siren"
[[output]]
name = "b"
kind = "coil"
line = 4
follows = "relay"
[[output]]
name = "c"
kind = "gpio"
line = 5000
follows = "watchdog"
fail_safe = true
priorities = ["P9"]
[[output]]
name = "d"
kind = "gpio"
line = 1
readback_line = 1
follows = "beacon"
readback_ms = 5
[[button]]
name = "d"
line = 1
does = "test"
"#;
        let faults = read(text).unwrap_err();
        for part in [
            "output.name = \"a b\"",
            "output.line：kind = \"gpio\" 必须给出",
            "output.line：不适用于 kind = \"coil\"",
            "output.host：",
            "output.coil：",
            "follows = \"relay\"",
            "output.line = 5000",
            "output.fail_safe：",
            "P9",
            "output.readback_line = 1：",
            "output.readback_ms = 5",
            "button.name = \"d\"",
            "button.line = 1：",
        ] {
            assert!(faults.iter().any(|(_, why)| why.contains(part)), "{part}: {faults:#?}");
        }
        assert_eq!(faults.len(), 13, "{faults:#?}");
        let last = text.find("[[button]]").unwrap();
        assert_eq!(faults.last().unwrap().0, last, "the fault names its table");
    }
}
