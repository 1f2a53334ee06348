//! Plans by hand and by chance: every point once, within every limit.

use super::*;
use crate::decode::Scaling;
use crate::register::{Encoding, WordOrder};
use crate::site::{Form, Link};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn device(max_registers: u16, gap_registers: u16, read_singly: bool) -> Device {
    Device {
        name: "plc".into(),
        link: Link::ModbusTcp { host: "h".into(), port: 1 },
        unit: 1,
        timeout_ms: 500,
        pause_ms: 0,
        max_registers,
        gap_registers,
        read_singly,
        time_register: None,
        time_late_s: 60,
        response: None,
        never_write: false,
    }
}

fn mapping(
    point: u32,
    function: Function,
    address: u16,
    encoding: Encoding,
    period_ms: u32,
) -> Mapping {
    let form = Form {
        encoding,
        order: WordOrder::Abcd,
        scaling: Arc::new(Scaling::new(1.0, 0.0).unwrap()),
        sentinels: Arc::default(),
        low: 0.0,
        high: 1.0,
        period_ms,
        rules: None,
    };
    Mapping { point, device: 0, function, address, row: 3, form: form.into() }
}

/// `holding 0..8` for each block.
fn check(device: &Device, mappings: &[Mapping], expected: &[&str]) {
    let said: Vec<_> = plan(device, mappings)
        .iter()
        .map(|b| {
            let r = b.request;
            format!("{} {}..{} {} points", r.function, r.first, r.first + r.count, b.items.len())
        })
        .collect();
    assert_eq!(said, expected);
}

#[test]
fn neighbours_are_merged_and_gaps_jumped_up_to_the_limit() {
    let at = |point, address| mapping(point, Function::Holding, address, Encoding::F32, 500);
    let points = [at(0, 0), at(1, 2), at(2, 12), at(3, 22), at(4, 200)];
    check(
        &device(125, 8, false),
        &points,
        &["holding 0..24 4 points", "holding 200..202 1 points"],
    );
    check(
        &device(125, 0, false),
        &points[..3],
        &["holding 0..4 2 points", "holding 12..14 1 points"],
    );
    check(&device(3, 8, false), &points[..2], &["holding 0..2 1 points", "holding 2..4 1 points"]);
    check(&device(125, 8, true), &points[..2], &["holding 0..2 1 points", "holding 2..4 1 points"]);
}

#[test]
fn time_and_points_are_one_block_that_is_never_split() {
    let timed = Device { time_register: Some(40), ..device(125, 0, false) };
    let points = [
        mapping(0, Function::Input, 0, Encoding::F32, 500),
        mapping(1, Function::Input, 60, Encoding::U16, 500),
    ];
    check(&timed, &points, &["input 0..61 2 points"]);
    let blocks = plan(&timed, &points);
    assert_eq!(split(&blocks[0]), None);
    let mut words = vec![0; 61];
    words[40] = 0x6789;
    words[41] = 0xabcd;
    assert_eq!(time_of(&blocks[0], &words), Some(0x6789_abcd));
}

fn points() -> impl Strategy<Value = Vec<Mapping>> {
    let one = (0_usize..4, 0_u16..400, 0_usize..Encoding::ALL.len(), 0_u32..3);
    prop::collection::vec(one, 1..120).prop_map(|raw| {
        raw.into_iter()
            .enumerate()
            .map(|(i, (function, address, encoding, period))| {
                let function = Function::ALL[function];
                let encoding =
                    if function.is_bits() { Encoding::Bool } else { Encoding::ALL[encoding] };
                let period = [200, 500, 1_000][period as usize];
                mapping(u32::try_from(i).unwrap(), function, address, encoding, period)
            })
            .collect()
    })
}

/// What every plan must hold, whatever was split.
fn sound(device: &Device, mappings: &[Mapping], blocks: &[Block]) {
    let mut seen = BTreeSet::new();
    for block in blocks {
        let most = if block.request.function.is_bits() { 2_000 } else { device.max_registers };
        // One value that is wider than the limit cannot be cut.
        let widest = block.items.iter().map(|i| i.words).max().unwrap();
        assert!(block.request.count <= most.max(widest), "{block:?}");
        assert!(u32::from(block.request.first) + u32::from(block.request.count) <= 65_536);
        assert!(!device.read_singly || block.items.len() == 1);
        let mut end = 0;
        for item in &block.items {
            let m = &mappings[item.mapping];
            assert!(seen.insert(item.mapping), "{} twice", item.mapping);
            assert_eq!(block.request.function, m.function);
            assert_eq!(block.period_ms, m.period_ms);
            assert_eq!(block.request.first + item.at, m.address);
            assert_eq!(item.words, m.encoding.words());
            assert!(item.at + item.words <= block.request.count);
            assert!(item.at <= end + device.gap_registers, "gap in {block:?}");
            end = end.max(item.at + item.words);
        }
        assert_eq!(end, block.request.count, "reads on for nobody: {block:?}");
    }
    assert_eq!(seen.len(), mappings.len(), "a point is in no block");
}

proptest! {
    #[test]
    fn every_point_is_read_once_within_all_limits(
        mappings in points(), max in 1_u16..=125, gap in 0_u16..40, singly: bool,
    ) {
        let device = device(max, gap, singly);
        sound(&device, &mappings, &plan(&device, &mappings));
    }

    #[test]
    fn splitting_ends_with_single_points_and_loses_none(mappings in points(), gap in 0_u16..40) {
        let device = device(125, gap, false);
        let mut todo = plan(&device, &mappings);
        let mut single = Vec::new();
        while let Some(block) = todo.pop() {
            match split(&block) {
                Some((low, high)) => todo.extend([low, high]),
                None => single.push(block),
            }
        }
        prop_assert!(single.iter().all(|b| b.items.len() == 1));
        sound(&device, &mappings, &single);
    }
}
