//! What a row takes from the profile of its device, and the facts in its column `rules`.

use std::collections::BTreeMap;
use std::sync::Arc;

use csv::ReaderBuilder;

use super::fault::add;
use super::lines::{Lines, separator};
use super::system::Found;
use super::{Problem, SiteFault};
use crate::condition::{Context, Rules, Table, TableFault, Tables, parse};
use crate::profile::{BUILTIN, Profile, ProfilePoint};
use crate::register::{Encoding, Function};

/// The text of a file by the name that the site uses, or why there is none.
pub(super) type Read<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

/// The profile of a device and the address from which its own are counted.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) profile: Arc<Profile>,
    base: u16,
}

/// What a row takes from a profile.
#[derive(Default)]
pub(super) struct Overlay {
    /// Cells that the row leaves empty.
    pub(super) cells: BTreeMap<&'static str, String>,
    rules: String,
    instance: Option<u16>,
}

/// The profile of every device, where it has one; what the profile says of block lengths is
/// applied to the device.
pub(super) fn profiles(
    site_file: &str,
    devices: &mut [Found],
    read: &mut Read<'_>,
    faults: &mut Vec<SiteFault>,
) -> Vec<Option<Chosen>> {
    let mut known: BTreeMap<String, Option<Arc<Profile>>> = BTreeMap::new();
    let mut chosen = Vec::new();
    for found in devices {
        let Some(name) = found.profile.clone() else {
            chosen.push(None);
            continue;
        };
        if !known.contains_key(&name) {
            let profile = match load(&name, read) {
                Ok(profile) => Some(Arc::new(profile)),
                Err(Missing::Unknown(problem)) => {
                    add(faults, of_device(site_file, found.row, "profile", &name, problem));
                    None
                }
                Err(Missing::Faulty(more)) => {
                    more.into_iter().for_each(|fault| add(faults, fault));
                    None
                }
            };
            known.insert(name.clone(), profile);
        }
        let profile = known.get(&name).cloned().flatten();
        chosen.push(profile.map(|profile| {
            limit(&mut found.device, &profile);
            let base = found.profile_base;
            if let Some(problem) = wrong_base(&profile, base) {
                let shown = base.map(|base| base.to_string()).unwrap_or_default();
                add(faults, of_device(site_file, found.row, "profile_base", &shown, problem));
            }
            Chosen { profile, base: base.unwrap_or(0) }
        }));
    }
    chosen
}

fn of_device(file: &str, row: usize, key: &str, value: &str, problem: Problem) -> SiteFault {
    SiteFault {
        file: file.to_owned(),
        row: Some(row),
        column: Some(format!("device.{key}")),
        value: Some(value.to_owned()),
        problem,
    }
}

fn wrong_base(profile: &Profile, base: Option<u16>) -> Option<Problem> {
    match (profile.based, base) {
        (true, Some(_)) | (false, None) => None,
        (true, None) => Some(Problem::Said(
            "该仪表的起始地址可设；请写 profile_base = 仪表上设定的值".to_owned(),
            "its first address is set on the instrument; write profile_base".to_owned(),
        )),
        (false, Some(_)) => Some(Problem::Said(
            "该型号的地址是固定的；请删去".to_owned(),
            "this profile has fixed addresses; remove it".to_owned(),
        )),
    }
}

enum Missing {
    Unknown(Problem),
    Faulty(Vec<SiteFault>),
}

fn load(name: &str, read: &mut Read<'_>) -> Result<Profile, Missing> {
    if name.ends_with(".toml") {
        let text = read(name).map_err(|why| Missing::Unknown(Problem::Unreadable(why)))?;
        return Profile::parse(name, name, &text).map_err(Missing::Faulty);
    }
    let found = BUILTIN.iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let names: Vec<_> = BUILTIN.iter().map(|(name, _)| *name).collect();
        Missing::Unknown(Problem::NotOneOf(format!("{}, *.toml", names.join(", "))))
    })?;
    Profile::parse(name, &format!("configs/profiles/{name}.toml"), found.1).map_err(Missing::Faulty)
}

/// A profile only narrows: what the site says more carefully stays.
fn limit(device: &mut super::Device, profile: &Profile) {
    device.max_registers = device.max_registers.min(profile.max_registers.unwrap_or(u16::MAX));
    device.gap_registers = device.gap_registers.min(profile.gap_registers.unwrap_or(u16::MAX));
    device.pause_ms = device.pause_ms.max(profile.pause_ms);
    device.read_singly |= profile.read_singly;
    device.never_write |= profile.never_write;
}

impl Chosen {
    /// What `@name` stands for. `cell` gives the row's own cells.
    pub(super) fn overlay(
        &self,
        name: &str,
        cell: &dyn Fn(&str) -> String,
        fault: &mut dyn FnMut(&'static str, String, Problem),
    ) -> Option<Overlay> {
        let (point, address, instance) = match self.profile.find(name, self.base) {
            Ok(found) => found,
            Err(problem) => {
                fault("address", format!("@{name}"), problem);
                return None;
            }
        };
        let mut cells = BTreeMap::new();
        cells.insert("address", address.to_string());
        let fixed = [("function", point.function.word()), ("type", point.encoding.word())];
        for (column, word) in fixed {
            let own = cell(column);
            if !own.is_empty() && own != word {
                let problem = Problem::Said(
                    format!("型号库中为 {word}；请留空"),
                    format!("the profile says {word}; leave it empty"),
                );
                fault(column, own, problem);
            }
            cells.insert(column, word.to_owned());
        }
        self.choices(point, cell, fault, &mut cells);
        cells.insert("offset", point.offset.to_string());
        cells.insert("sentinels", point.sentinels.clone());
        Some(Overlay { cells, rules: point.rules.clone(), instance })
    }

    /// Order and scale: the profile's, or the site's where the manual is silent.
    fn choices(
        &self,
        point: &ProfilePoint,
        cell: &dyn Fn(&str) -> String,
        fault: &mut dyn FnMut(&'static str, String, Problem),
        cells: &mut BTreeMap<&'static str, String>,
    ) {
        match point.order {
            Some(order) => {
                cells.insert("order", order.word().to_owned());
            }
            None if cell("order").is_empty() => {
                let problem = Problem::Said(
                    format!("{} 的说明书没有写字序；请对照仪表显示值选定", self.profile.model),
                    format!(
                        "the manual of {} does not say; choose it by the instrument's display",
                        self.profile.model
                    ),
                );
                fault("order", String::new(), problem);
            }
            None => {}
        }
        match point.scale {
            Some(scale) => {
                cells.insert("scale", scale.to_string());
            }
            None if cell("scale").is_empty() => {
                let problem = Problem::Said(
                    "系数取决于仪表的设置；请填写".to_owned(),
                    "depends on how the instrument is set; fill it in".to_owned(),
                );
                fault("scale", String::new(), problem);
            }
            None => {}
        }
    }

    /// The shortest period that the instrument bears.
    pub(super) fn period_min_ms(&self) -> u32 {
        self.profile.period_min_ms
    }
}

/// The facts of a row: the profile's first, then its own.
pub(super) fn rules(
    text: &str,
    about: (Function, Encoding),
    chosen: Option<&Chosen>,
    overlay: &Overlay,
    table: &mut Tables<'_>,
    fault: &mut dyn FnMut(String, String, Problem),
) -> Option<Box<Rules>> {
    if text.is_empty() && overlay.rules.is_empty() {
        return None;
    }
    let named = |name: &str| match chosen {
        Some(chosen) => chosen.profile.register(name, chosen.base, overlay.instance),
        None => Err(Problem::Said(
            "该设备没有 profile；请写 功能:地址".to_owned(),
            "this device has no profile; write function:address".to_owned(),
        )),
    };
    let mut context = Context { function: about.0, encoding: about.1, named: &named, table };
    let mut found = Rules::default();
    let mut faults = Vec::new();
    for text in [overlay.rules.as_str(), text] {
        parse(text, &mut found, &mut context, &mut faults);
    }
    for wrong in faults {
        fault(wrong.key, wrong.value, wrong.problem);
    }
    Some(Box::new(found))
}

/// Reads a strapping table: level, volume, with or without headings.
pub(super) fn table(file: &str, text: &str) -> Result<Table, Vec<SiteFault>> {
    let one = |problem| vec![SiteFault::of_file(file, problem)];
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut places = Lines::of(text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator(text))
        .from_reader(text.as_bytes());
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    let mut faults = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| one(Problem::Syntax(error.to_string())))?;
        let row = places.row(&record);
        let cell = |at: usize| record.get(at).and_then(|cell| cell.trim().parse::<f64>().ok());
        match cell(0).zip(cell(1)) {
            Some(_) if record.iter().skip(2).any(|cell| !cell.trim().is_empty()) => {
                let problem = Problem::Said(
                    "多于两列：每行只能是 液位,容积；小数点不能写成逗号".to_owned(),
                    "has more than two columns: a line is level,volume; no decimal commas"
                        .to_owned(),
                );
                let value = Some(record.iter().collect::<Vec<_>>().join(","));
                add(&mut faults, SiteFault { row, value, ..SiteFault::of_file(file, problem) });
            }
            Some(line) => {
                lines.push(line);
                rows.push(row);
            }
            None if lines.is_empty() || record.iter().all(|cell| cell.trim().is_empty()) => {}
            None => {
                let value = Some(record.iter().collect::<Vec<_>>().join(","));
                let fault = SiteFault::of_file(file, Problem::NotA(super::Kind::Number));
                add(&mut faults, SiteFault { row, value, ..fault });
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Table::new(lines).map_err(|fault| {
        let row = match fault {
            TableFault::Falls(at) => rows.get(at).copied().flatten(),
            TableFault::Short | TableFault::Long => None,
        };
        let problem = Problem::Said(
            "不是罐容表：每行为 液位,容积，液位递增、容积不减，至少两行".to_owned(),
            format!("is no strapping table: {fault}; mend the line"),
        );
        vec![SiteFault { row, ..SiteFault::of_file(file, problem) }]
    })
}
