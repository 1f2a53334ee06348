//! `[[output]]` and `[[button]]` of the gateway's file. Every fault, with its line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fengsui_scan::{Problem, Section, Text};
use toml::de::DeTable;

use super::gpio::Line;
use super::wish::{Filter, Follows};

/// Outputs and buttons of one gateway. More than a cabinet holds is a mistake.
const OUTPUTS_MAX: usize = 32;
/// A relay that has not moved in half a second does not move.
const READBACK_MS: i64 = 500;
/// The alarm loop turns once a second at least.
const WATCHDOG_MS: i64 = 1_000;
/// Contacts bounce for some milliseconds; nobody presses shorter than this.
const DEBOUNCE_MS: i64 = 50;
const MS_MAX: i64 = 60_000;
/// Lines of a chip; the largest expanders have some hundred.
const LINE_MAX: i64 = 1_023;

/// What is driven, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wiring {
    Gpio {
        line: Line,
        active_low: bool,
        read_back: Option<Line>,
    },
    Rpi {
        pin: u8,
        active_low: bool,
        read_back: Option<u8>,
    },
    Coil {
        host: String,
        port: u16,
        unit: u8,
        coil: u16,
    },
    /// On a line of the site, by its name.
    LineCoil {
        bus: String,
        unit: u8,
        coil: u16,
    },
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl OutputPlan {
    /// How many outputs hang on the line of this name.
    pub(crate) fn on_line(&self, name: &str) -> u64 {
        let here = |output: &&Output| match &output.wiring {
            Wiring::LineCoil { bus, .. } => bus == name,
            Wiring::Gpio { .. } | Wiring::Rpi { .. } | Wiring::Coil { .. } | Wiring::Sim => false,
        };
        u64::try_from(self.outputs.iter().filter(here).count()).unwrap_or(u64::MAX)
    }
}

/// Reads `[[output]]` and `[[button]]`; what is faulty is left out and was reported. Tags that
/// outputs name go to `tags`, each with its line. Gives the line of each output as well.
pub(crate) fn read(
    at: &mut Text<'_>,
    root: &DeTable<'_>,
    tags: &mut Vec<(usize, String)>,
) -> (OutputPlan, Vec<usize>) {
    let (outputs, buttons) = (at.tables(root, "output"), at.tables(root, "button"));
    let count = outputs.len() + buttons.len();
    if let Some((span, _)) = outputs.first().filter(|_| count > OUTPUTS_MAX) {
        let problem = said(
            format!("[[output]] 与 [[button]] 合计最多 {OUTPUTS_MAX} 个；请删减"),
            format!("at most {OUTPUTS_MAX} of [[output]] and [[button]] together; remove some"),
        );
        at.fault(at.row(span), "output", Some(count.to_string()), problem);
    }
    let (names, lines) = (BTreeSet::new(), BTreeSet::new());
    let mut door = Door { at, names, lines, tags };
    let (mut plan, mut rows) = (OutputPlan::default(), Vec::new());
    for (span, table) in outputs {
        let row = door.at.row(&span);
        if let Some(output) = door.output(Section::new("output", row, table)) {
            plan.outputs.push(output);
            rows.push(row);
        }
    }
    for (span, table) in buttons {
        let row = door.at.row(&span);
        plan.buttons.extend(door.button(Section::new("button", row, table)));
    }
    (plan, rows)
}

pub(super) fn said(zh: impl Into<String>, en: impl Into<String>) -> Problem {
    Problem::Said(zh.into(), en.into())
}

struct Door<'a, 'f> {
    at: &'a mut Text<'f>,
    names: BTreeSet<String>,
    lines: BTreeSet<Line>,
    tags: &'a mut Vec<(usize, String)>,
}

impl Door<'_, '_> {
    fn name(&mut self, section: &mut Section<'_, '_>) -> Option<String> {
        let name = section.text(self.at, "name")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let problem = if name.len() > 32 || !name.chars().all(plain) {
            said(
                "应为 1 到 32 个英文字母、数字、- 或 _；请改名",
                "must be 1 to 32 letters, digits, - or _; rename it",
            )
        } else if !self.names.insert(name.clone()) {
            said("名称重复；请改名", "is used twice; rename one")
        } else {
            return Some(name);
        };
        section.refuse(self.at, "name", Some(name), problem)
    }

    /// A line of a chip that nobody has taken yet.
    fn line(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        chip: &Path,
    ) -> Option<Line> {
        let offset = section.whole(self.at, key, (0, LINE_MAX), None)?;
        let line = Line { chip: chip.to_owned(), offset: u32::try_from(offset).ok()? };
        if self.lines.insert(line.clone()) {
            return Some(line);
        }
        let chip = chip.display();
        let problem = said(
            format!("{chip} 的这条线已被占用；请换一条"),
            format!("line of {chip} is used twice; choose another"),
        );
        section.refuse(self.at, key, Some(offset.to_string()), problem)
    }

    /// The same, where it may be missing; the outer none is a fault that was reported.
    fn read_back(&mut self, section: &mut Section<'_, '_>, chip: &Path) -> Option<Option<Line>> {
        if section.has("readback_line") {
            return self.line(section, "readback_line", chip).map(Some);
        }
        section.allow(&["readback_line"]);
        Some(None)
    }

    fn ms(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        (default, least): (i64, i64),
    ) -> Option<u64> {
        let ms = section.whole(self.at, key, (least, MS_MAX), Some(default))?;
        u64::try_from(ms).ok()
    }

    /// Keys that stand where they mean nothing are a mistake, never a silent default.
    fn idle(&mut self, section: &mut Section<'_, '_>, keys: &[&'static str], with: &str) {
        for key in keys {
            let Some(value) = section.get(key) else { continue };
            let row = self.at.row(&value.span());
            let shown = self.at.text.get(value.span()).map(str::to_owned);
            let problem = said(
                format!("不适用于 {with}；请删除"),
                format!("means nothing with {with}; remove it"),
            );
            self.at.fault(row, &section.column(key), shown, problem);
        }
    }

    fn output(&mut self, mut section: Section<'_, '_>) -> Option<Output> {
        let before = self.at.faults.len();
        let name = self.name(&mut section);
        let wiring = self.wiring(&mut section);
        let followed = section.word(
            self.at,
            "follows",
            None,
            &["siren", "beacon", "relay", "trouble", "watchdog"],
        );
        let follows = self.follows(&mut section, followed);
        let trouble = followed == Some("trouble");
        let fail_safe = match followed {
            Some("watchdog") => {
                self.idle(&mut section, &["fail_safe"], "follows = \"watchdog\"");
                if let Some(Wiring::LineCoil { bus, .. }) = &wiring {
                    let problem = said(
                        "看门狗不能接在总线上：每秒一次会占用采集时间，且随总线延迟；请改用 gpio，\
                         或用 host 的继电器模块",
                        "a watchdog does not hang on a line: every second it would take the time of \
                         reads, and wait for them; use a gpio line, or a module with a host",
                    );
                    section.refuse::<()>(self.at, "bus", Some(bus.clone()), problem);
                }
                None
            }
            Some(_) | None => section.flagged(self.at, "fail_safe"),
        };
        let period_ms = match followed {
            Some(other) if other != "watchdog" => {
                self.idle(&mut section, &["period_ms"], &format!("follows = {other:?}"));
                u64::try_from(WATCHDOG_MS).ok()
            }
            Some(_) | None => self.ms(&mut section, "period_ms", (WATCHDOG_MS, 100)),
        };
        let readback_ms = self.ms(&mut section, "readback_ms", (READBACK_MS, 20));
        section.finish(self.at);
        let sound = self.at.faults.len() == before;
        sound.then_some(Output {
            name: name?,
            wiring: wiring?,
            follows: follows?,
            fail_safe: fail_safe.unwrap_or(trouble),
            readback_ms: readback_ms?,
            period_ms: period_ms?,
        })
    }

    fn wiring(&mut self, section: &mut Section<'_, '_>) -> Option<Wiring> {
        const OF_LINES: [&str; 3] = ["line", "readback_line", "active_low"];
        const OF_COILS: [&str; 5] = ["host", "port", "bus", "unit", "coil"];
        match section.word(self.at, "kind", None, &["gpio", "rpi", "coil", "sim"]) {
            Some("gpio") => {
                self.idle(section, &OF_COILS, "kind = \"gpio\"");
                let chip = self.chip(section)?;
                let line = self.line(section, "line", &chip);
                let read_back = self.read_back(section, &chip);
                let active_low = section.flag(self.at, "active_low");
                Some(Wiring::Gpio { line: line?, active_low, read_back: read_back? })
            }
            Some("rpi") => self.rpi(section, &OF_COILS),
            Some("coil") => {
                self.idle(section, &["chip"], "kind = \"coil\"");
                self.idle(section, &OF_LINES, "kind = \"coil\"");
                if section.has("bus") { self.line_coil(section) } else { self.coil(section) }
            }
            Some(_) => {
                self.idle(section, &["chip"], "kind = \"sim\"");
                self.idle(section, &OF_LINES, "kind = \"sim\"");
                self.idle(section, &OF_COILS, "kind = \"sim\"");
                Some(Wiring::Sim)
            }
            None => {
                section.allow(&["chip"]);
                section.allow(&OF_LINES);
                section.allow(&OF_COILS);
                None
            }
        }
    }

    fn coil(&mut self, section: &mut Section<'_, '_>) -> Option<Wiring> {
        section.allow(&["bus"]);
        let host = section.text(self.at, "host");
        let port = section.whole(self.at, "port", (1, 65_535), Some(502));
        let unit = section.whole(self.at, "unit", (0, 255), Some(1));
        let coil = section.whole(self.at, "coil", (0, 65_535), None);
        let (port, coil) = (u16::try_from(port?).ok()?, u16::try_from(coil?).ok()?);
        Some(Wiring::Coil { host: host?, port, unit: u8::try_from(unit?).ok()?, coil })
    }

    /// Whether the line exists, the site says.
    fn line_coil(&mut self, section: &mut Section<'_, '_>) -> Option<Wiring> {
        self.idle(section, &["host", "port"], "bus");
        let bus = section.text(self.at, "bus");
        let unit = section.whole(self.at, "unit", (1, 247), None);
        let coil = section.whole(self.at, "coil", (0, 65_535), None);
        let (unit, coil) = (u8::try_from(unit?).ok()?, u16::try_from(coil?).ok()?);
        Some(Wiring::LineCoil { bus: bus?, unit, coil })
    }

    fn chip(&mut self, section: &mut Section<'_, '_>) -> Option<PathBuf> {
        let chip = section.optional(self.at, "chip", Section::text)?;
        Some(chip.map_or_else(|| PathBuf::from("/dev/gpiochip0"), PathBuf::from))
    }

    fn rpi(&mut self, section: &mut Section<'_, '_>, idle: &[&'static str]) -> Option<Wiring> {
        if !cfg!(feature = "rpi") {
            section.allow(&["chip", "line", "readback_line", "active_low"]);
            section.allow(idle);
            let problem = said(
                "本程序未编入该功能；请改用 gpio",
                "this program was built without it; use gpio",
            );
            return section.refuse(self.at, "kind", Some("rpi".to_owned()), problem);
        }
        self.idle(section, &["chip"], "kind = \"rpi\"");
        self.idle(section, idle, "kind = \"rpi\"");
        let chip = Path::new("rpi");
        let pin = self.line(section, "line", chip);
        let back = self.read_back(section, chip);
        let active_low = section.flag(self.at, "active_low");
        let read_back = back?.map(|line| u8::try_from(line.offset)).transpose().ok()?;
        Some(Wiring::Rpi { pin: u8::try_from(pin?.offset).ok()?, active_low, read_back })
    }

    fn follows(
        &mut self,
        section: &mut Section<'_, '_>,
        followed: Option<&'static str>,
    ) -> Option<Follows> {
        let row = section.value_row;
        if let Some(word @ ("trouble" | "watchdog")) = followed {
            self.idle(section, &["priorities", "tags"], &format!("follows = {word:?}"));
            return Some(if word == "trouble" { Follows::Trouble } else { Follows::Watchdog });
        }
        let before = self.at.faults.len();
        let filter = self.filter(section);
        let unfiltered = filter == Filter::default() && self.at.faults.len() == before;
        match followed? {
            "siren" => Some(Follows::Siren(filter)),
            "relay" if unfiltered => {
                let problem = said(
                    "请用 priorities 或 tags 指明跟随哪些报警",
                    "say by priorities or tags which alarms it follows",
                );
                let shown = Some("relay".to_owned());
                self.at.fault(row, &section.column("follows"), shown, problem);
                None
            }
            _ => Some(Follows::Beacon(filter)),
        }
    }

    fn filter(&mut self, section: &mut Section<'_, '_>) -> Filter {
        let mut priorities = Vec::new();
        for name in section.texts(self.at, "priorities") {
            match ["P1", "P2", "P3", "P4"].iter().zip(1..).find(|(known, _)| **known == name) {
                Some((_, number)) => priorities.push(number),
                None => {
                    let problem = Problem::NotOneOf("P1, P2, P3, P4".to_owned());
                    section.refuse::<()>(self.at, "priorities", Some(name), problem);
                }
            }
        }
        let tags = section.texts(self.at, "tags");
        self.tags.extend(tags.iter().map(|tag| (section.value_row, tag.clone())));
        Filter { priorities, tags }
    }

    fn button(&mut self, mut section: Section<'_, '_>) -> Option<Button> {
        let before = self.at.faults.len();
        let name = self.name(&mut section);
        let line = match self.chip(&mut section) {
            Some(chip) => self.line(&mut section, "line", &chip),
            None => {
                section.allow(&["line"]);
                None
            }
        };
        let does = section.word(self.at, "does", None, &["acknowledge", "test"]);
        let active_low = section.flagged(self.at, "active_low");
        let debounce_ms = self.ms(&mut section, "debounce_ms", (DEBOUNCE_MS, 20));
        section.finish(self.at);
        let sound = self.at.faults.len() == before;
        sound.then_some(Button {
            name: name?,
            line: line?,
            active_low: active_low.unwrap_or(true),
            does: if does? == "test" { Does::Test } else { Does::Acknowledge },
            debounce_ms: debounce_ms?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use fengsui_scan::SiteFault;

    pub(in crate::outputs) fn plan_of(text: &str) -> Result<OutputPlan, Vec<SiteFault>> {
        let (mut faults, mut tags) = (Vec::new(), Vec::new());
        let (document, mut at) = Text::open("gateway.toml", text, &mut faults);
        let (plan, _) = read(&mut at, document.get_ref(), &mut tags);
        if faults.is_empty() { Ok(plan) } else { Err(faults) }
    }

    #[test]
    fn a_cabinet_is_read() {
        let plan = plan_of(
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
    }

    #[test]
    fn a_coil_hangs_on_a_line_or_behind_an_address() {
        let read = |keys: &str, follows: &str| {
            plan_of(&format!(
                "[[output]]\nname='horn'\nkind='coil'\n{keys}\ncoil=2\nfollows='{follows}'\n"
            ))
        };
        let plan = read("bus='A'\nunit=9", "siren").unwrap();
        let wiring = Wiring::LineCoil { bus: "A".to_owned(), unit: 9, coil: 2 };
        assert_eq!(plan.outputs[0].wiring, wiring);
        assert_eq!((plan.on_line("A"), plan.on_line("B")), (1, 0));
        for (keys, follows, part) in [
            ("bus='A'\nhost='h'\nunit=9", "siren", ":5 [output.host] \"'h'\"：不适用于 bus"),
            ("bus='A'\nport=502\nunit=9", "siren", ":5 [output.port] \"502\"：不适用于 bus"),
            ("unit=9", "siren", ":1 [output.host]：缺少"),
            ("bus='A'", "siren", ":1 [output.unit]：缺少"),
            ("bus='A'\nunit=0", "siren", ":5 [output.unit] \"0\""),
            ("bus='A'\nunit=248", "siren", ":5 [output.unit] \"248\""),
            ("bus='A'\nunit=9", "watchdog", "[output.bus] \"A\"：看门狗不能接在总线上"),
        ] {
            let faults = read(keys, follows).unwrap_err();
            let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
            assert!(said.len() == 1 && said[0].contains(part), "{part}: {said:#?}");
            assert!(said[0].contains("  |  "), "{said:?}");
        }
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
        let faults: Vec<String> =
            plan_of(text).unwrap_err().iter().map(ToString::to_string).collect();
        for part in [
            ":3 [output.name] \"a b\"",
            ":2 [output.line]：缺少",
            ":9 [output.line] \"4\"：不适用于 kind = \"coil\"",
            ":6 [output.host]",
            ":6 [output.coil]",
            ":10 [output.follows] \"relay\"",
            ":14 [output.line] \"5000\"",
            ":16 [output.fail_safe] \"true\"：不适用于",
            ":17 [output.priorities]",
            ":22 [output.readback_line] \"1\"",
            ":24 [output.readback_ms] \"5\"",
            ":26 [button.name] \"d\"",
            ":27 [button.line] \"1\"",
        ] {
            assert!(faults.iter().any(|why| why.contains(part)), "{part}: {faults:#?}");
        }
        assert!(faults.iter().all(|why| why.contains("  |  ")), "{faults:#?}");
        assert_eq!(faults.len(), 13, "{faults:#?}");
    }
}
