//! Which points are read together.
//!
//! - Every point stands in exactly one block; a block never asks for more than its device and the
//!   protocol allow.
//! - A block never mixes tables or periods. Unused registers are read only up to the device's gap.
//! - A device with a time register has one block: points and time come from one reply.
//! - Refused blocks are split in halves until the refused register stands alone.

use std::sync::Arc;

use crate::pdu::ReadRequest;
use crate::register::Function;
use crate::site::{Device, Mapping, TIME_WORDS, time_span};

/// The index of what is no point of the catalogue.
pub(crate) const AUXILIARY: u32 = u32::MAX;

/// One point or auxiliary register in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Place in the list of mappings that was planned.
    pub mapping: usize,
    /// First register, counted from the block's first.
    pub at: u16,
    /// How many registers.
    pub words: u16,
}

/// What a device is read for: its points, which the device's readers share, and behind them the
/// auxiliary registers.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) points: Arc<[Mapping]>,
    pub(crate) auxiliary: Vec<Mapping>,
}

impl Places {
    /// What an item is that is no point, but read for the sake of points.
    pub(crate) fn auxiliary(&self, item: Item) -> Option<&Mapping> {
        self.auxiliary.get(item.mapping.checked_sub(self.points.len())?)
    }

    /// Plans the device.
    pub(crate) fn plan(&self, device: &Device) -> Vec<Block> {
        let all: Vec<&Mapping> = self.points.iter().chain(&self.auxiliary).collect();
        plan_all(device, &all)
    }
}

/// Points that one request reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What to ask for.
    pub request: ReadRequest,
    /// Its points, by address.
    pub items: Vec<Item>,
    /// Scan period.
    pub period_ms: u32,
    /// Where the device's time stands, counted from the block's first register.
    pub time_at: Option<u16>,
}

/// Plans one device.
#[must_use]
pub fn plan(device: &Device, mappings: &[Mapping]) -> Vec<Block> {
    plan_all(device, &mappings.iter().collect::<Vec<_>>())
}

fn plan_all(device: &Device, mappings: &[&Mapping]) -> Vec<Block> {
    if let Some(at) = device.time_register {
        return time_block(at, mappings).into_iter().collect();
    }
    let mut order: Vec<usize> = (0..mappings.len()).collect();
    let key =
        |place: &usize| mappings.get(*place).map(|m| (m.function, m.period_ms, m.address, m.point));
    order.sort_by_key(key);
    let mut blocks: Vec<Block> = Vec::new();
    for place in order {
        let Some(mapping) = mappings.get(place) else { continue };
        match blocks.last_mut() {
            Some(block) if fits(device, block, mapping) => block.push(place, mapping),
            Some(_) | None => blocks.push(Block::new(place, mapping)),
        }
    }
    blocks
}

fn fits(device: &Device, block: &Block, mapping: &Mapping) -> bool {
    let most = match mapping.function {
        Function::Holding | Function::Input => device.max_registers,
        Function::Coil | Function::Discrete => mapping.function.quantity_max(),
    };
    let first = u32::from(block.request.first);
    let end = first + u32::from(block.request.count);
    let gap = u32::from(mapping.address).saturating_sub(end);
    !device.read_singly
        && (block.request.function, block.period_ms) == (mapping.function, mapping.period_ms)
        && gap <= u32::from(device.gap_registers)
        && mapping.end().max(end) - first <= u32::from(most)
}

impl Block {
    fn new(place: usize, mapping: &Mapping) -> Self {
        let count = mapping.encoding.words();
        let request = ReadRequest { function: mapping.function, first: mapping.address, count };
        let item = Item { mapping: place, at: 0, words: count };
        Self { request, items: vec![item], period_ms: mapping.period_ms, time_at: None }
    }

    /// Addresses come in rising order.
    fn push(&mut self, place: usize, mapping: &Mapping) {
        let words = mapping.encoding.words();
        let at = mapping.address.saturating_sub(self.request.first);
        self.items.push(Item { mapping: place, at, words });
        self.request.count = self.request.count.max(at.saturating_add(words));
    }

    /// The part of a block that holds these items.
    fn part(&self, items: &[Item]) -> Option<Self> {
        let at = items.first()?.at;
        let end = items.iter().map(|i| i.at + i.words).max()?;
        let request = ReadRequest {
            function: self.request.function,
            first: self.request.first + at,
            count: end - at,
        };
        let items = items.iter().map(|i| Item { at: i.at - at, ..*i }).collect();
        Some(Self { request, items, period_ms: self.period_ms, time_at: None })
    }
}

fn time_block(at: u16, mappings: &[&Mapping]) -> Option<Block> {
    let head = mappings.first()?;
    let (first, end) = time_span(at, mappings);
    let count = u16::try_from(end - u32::from(first)).ok()?;
    let request = ReadRequest { function: head.function, first, count };
    let items = mappings.iter().enumerate().map(|(mapping, m)| Item {
        mapping,
        at: m.address - first,
        words: m.encoding.words(),
    });
    let items = items.collect();
    Some(Block { request, items, period_ms: head.period_ms, time_at: Some(at - first) })
}

/// Halves a refused block; none where a single point is left or points and time must stay
/// together. The halves shrink to their own points, so a hole between them is no longer read.
#[must_use]
pub fn split(block: &Block) -> Option<(Block, Block)> {
    if block.time_at.is_some() || block.items.len() < 2 {
        return None;
    }
    let (low, high) = block.items.split_at(block.items.len() / 2);
    block.part(low).zip(block.part(high))
}

/// The time of a device from the registers of its block.
pub(crate) fn time_of(block: &Block, words: &[u16]) -> Option<u32> {
    let at = usize::from(block.time_at?);
    match words.get(at..at + usize::from(TIME_WORDS))? {
        [high, low] => Some((u32::from(*high) << 16) | u32::from(*low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
