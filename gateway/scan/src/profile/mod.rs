//! What a manual says of an instrument's registers, so that nobody types it twice.
//!
//! - A profile holds facts, each with its source and how far it is believed. What the manual does
//!   not say stays unknown, and the site must choose it.
//! - Those in `configs/profiles` are built in; a site may name a file of its own instead.
//! - A profile loads whole or lists its faults.

mod builtin;
mod file;

use crate::condition::Register;
use crate::register::{Encoding, Function, WordOrder};
use crate::site::{Problem, SiteFault};

pub use builtin::BUILTIN;

/// Points of one profile: more is a list of something else.
const POINTS_MAX: usize = 1_000;

/// One kind of instrument.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// By which a site names it.
    pub name: String,
    /// Who makes it.
    pub maker: String,
    /// What it is called.
    pub model: String,
    /// What it is.
    pub kind: String,
    /// False: something in it must be checked on the instrument before a plant relies on it.
    pub verified: bool,
    /// Where its facts come from.
    pub source: String,
    /// How far they are believed.
    pub confidence: String,
    /// What else a reader must know.
    pub note: String,
    /// The site gives the address from which its own are counted.
    pub based: bool,
    /// Registers in one request, at most.
    pub max_registers: Option<u16>,
    /// Unused registers that may be read.
    pub gap_registers: Option<u16>,
    /// One point a request.
    pub read_singly: bool,
    /// How long its line is left alone before it is asked, at least.
    pub pause_ms: u32,
    /// Writing to it is dangerous.
    pub never_write: bool,
    /// It must not be polled faster.
    pub period_min_ms: u32,
    /// What it measures and says.
    pub points: Vec<ProfilePoint>,
}

/// One quantity of a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfilePoint {
    /// By which a sheet names it.
    pub name: String,
    /// Which table.
    pub function: Function,
    /// Wire address of the first instance.
    pub address: u16,
    /// The manual's own number; empty where it has none beside.
    pub document: String,
    /// How it is encoded.
    pub encoding: Encoding,
    /// In which order its bytes stand; none: the manual does not say.
    pub order: Option<WordOrder>,
    /// Raw to unit; none: the site must say.
    pub scale: Option<f64>,
    /// Added after that.
    pub offset: f64,
    /// As the manual prints it.
    pub unit: String,
    /// As in the sheet.
    pub sentinels: String,
    /// As in the sheet.
    pub rules: String,
    /// Addresses from one instance to the next; 0: there is one.
    pub stride: u16,
    /// Numbers of the first and last instance.
    pub instances: (u16, u16),
    /// Where it comes from.
    pub source: String,
    /// How far it is believed.
    pub confidence: String,
    /// What else a reader must know.
    pub note: String,
    /// Line of the file.
    pub row: usize,
}

/// A name with the number of its instance, `gross_volume#3`.
pub(crate) fn instance(name: &str) -> Result<(&str, Option<u16>), Problem> {
    let Some((name, number)) = name.split_once('#') else { return Ok((name.trim(), None)) };
    let number = number.trim().parse().map_err(|_| {
        Problem::Said(
            "“#”之后应为序号，如 @gross_volume#3".to_owned(),
            "needs a number after '#', as in @gross_volume#3".to_owned(),
        )
    })?;
    Ok((name.trim(), Some(number)))
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// Every fault that can be found.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, Vec<SiteFault>> {
        file::parse(name, file, text)
    }

    /// The point of a name and the wire address of its instance.
    pub(crate) fn find(
        &self,
        name: &str,
        base: u16,
    ) -> Result<(&ProfilePoint, u16, Option<u16>), Problem> {
        let (name, number) = instance(name)?;
        let point = self.points.iter().find(|point| point.name == name).ok_or_else(|| {
            let names: Vec<_> = self.points.iter().map(|p| p.name.as_str()).collect();
            Problem::NotOneOf(names.join(", "))
        })?;
        let address = point.address_of(number, base)?;
        Ok((point, address, number))
    }

    /// The register of a name, for the rules of a point of instance `beside`.
    pub(crate) fn register(
        &self,
        name: &str,
        base: u16,
        beside: Option<u16>,
    ) -> Result<Register, Problem> {
        let (bare, number) = instance(name)?;
        let strided = self.points.iter().any(|p| p.name == bare && p.stride > 0);
        let full = match (strided, number, beside) {
            (true, None, Some(beside)) => format!("{bare}#{beside}"),
            (_, _, _) => name.to_owned(),
        };
        let (point, address, _) = self.find(&full, base)?;
        let order = if point.encoding.words() == 1 { Some(WordOrder::Abcd) } else { point.order };
        let order = order.ok_or_else(|| {
            Problem::Said(
                format!("型号库不知道 {bare} 的字序；请写明地址、类型和字序"),
                format!("the profile has no word order for {bare}; write address:type:order"),
            )
        })?;
        Ok(Register { function: point.function, address, encoding: point.encoding, order })
    }
}

impl ProfilePoint {
    fn address_of(&self, number: Option<u16>, base: u16) -> Result<u16, Problem> {
        let (first, last) = self.instances;
        let number = match (self.stride, number) {
            (0, None) => first,
            (0, Some(_)) => {
                return Err(Problem::Said(
                    "该量只有一个；请去掉“#”和序号".to_owned(),
                    "there is only one of it; remove '#' and the number".to_owned(),
                ));
            }
            (_, None) => {
                return Err(Problem::Said(
                    format!("该量有多个；请写序号，如 @{}#{first}（{first} 到 {last}）", self.name),
                    format!("write which: @{}#{first}, from {first} to {last}", self.name),
                ));
            }
            (_, Some(number)) if (first..=last).contains(&number) => number,
            (_, Some(_)) => {
                return Err(Problem::OutOfBounds(format!("#{first}"), format!("#{last}")));
            }
        };
        let steps = u32::from(number - first) * u32::from(self.stride);
        let address = u32::from(base) + u32::from(self.address) + steps;
        if address + u32::from(self.encoding.words()) > 65_536 {
            return Err(Problem::PastTheEnd(self.encoding.words()));
        }
        u16::try_from(address).map_err(|_| Problem::PastTheEnd(self.encoding.words()))
    }
}

#[cfg(test)]
mod tests;
