//! Every built-in profile is read, and every point of it is served by an encoder that shares
//! nothing with the decoder.

use std::collections::BTreeMap;

use super::*;
use crate::decode::Raw;
use crate::pdu::Payload;
use crate::schedule::{Outcome, Scanner, Step};
use crate::site::Site;

/// Profiles of which something must be checked on the instrument first.
const UNVERIFIED: [&str; 9] = [
    "advantech_adam4017p",
    "geokon_6150f_inclinometer",
    "honeywell_e3point",
    "msa_ultima_x",
    "oldham_itrans2",
    "pemtech_pt2008",
    "rosemount_5300_htm",
    "vega_levelsensor",
    "waveshare_ai8",
];

fn all() -> Vec<Profile> {
    let read = |(name, text): &(&str, &str)| {
        Profile::parse(name, name, text).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"))
    };
    BUILTIN.iter().map(read).collect()
}

#[test]
fn every_file_is_built_in_and_says_where_its_facts_come_from() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/profiles");
    let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name());
    let files: Vec<_> =
        files.filter_map(|f| f.to_str()?.strip_suffix(".toml").map(str::to_owned)).collect();
    assert_eq!(files.len(), BUILTIN.len());
    assert!(BUILTIN.len() >= 20 && files.iter().all(|f| BUILTIN.iter().any(|(name, _)| name == f)));
    for profile in all() {
        assert!(!profile.points.is_empty(), "{}", profile.name);
        for point in &profile.points {
            let place = format!("{}.{}", profile.name, point.name);
            assert!(point.source.len() > 5, "{place} has no source");
            assert!(point.confidence.len() > 2, "{place} has no confidence");
            let weak = point.confidence.contains("medium") || point.confidence.contains("low");
            assert!(!(weak && profile.verified), "{place} is weak and its profile is not marked");
        }
        assert_eq!(
            UNVERIFIED.contains(&profile.name.as_str()),
            !profile.verified,
            "{}",
            profile.name
        );
    }
}

/// Units that profiles print; a new one is a slip of the hand until it stands here.
const UNITS: [&str; 29] = [
    "",
    "%",
    "%FS",
    "A",
    "Hz",
    "V",
    "V / mA",
    "VDC",
    "d",
    "deg",
    "degC",
    "degC / F",
    "ft",
    "l / gal",
    "m",
    "mA",
    "mA / V",
    "min",
    "ml/min",
    "mm",
    "mm (0.1 in)",
    "ms",
    "ppm",
    "ppm / %",
    "ppm / %LEL / %vol",
    "psi",
    "rpm",
    "s",
    "见 units  see units",
];

/// Whose registers are read signed or unsigned, as the instrument's own parameter of each says.
const READ_BOTH_WAYS: [&str; 1] = ["lufft_wsxxx"];

/// Function, first, one past the last address, encoding, and whose it is; every instance.
fn taken(profile: &Profile) -> Vec<(Function, u32, u32, Encoding, &ProfilePoint)> {
    let of_point = |point: &'_ ProfilePoint| {
        let (first, last) = point.instances;
        let begin = (first..=last).map(|number| {
            u32::from(point.address) + u32::from(number - first) * u32::from(point.stride)
        });
        begin.collect::<Vec<_>>()
    };
    let points = profile.points.iter();
    let all = points.flat_map(|point| of_point(point).into_iter().map(move |at| (at, point)));
    all.map(|(at, p)| (p.function, at, at + u32::from(p.encoding.words()), p.encoding, p)).collect()
}

#[test]
fn no_two_points_of_a_profile_take_the_same_registers_in_two_ways() {
    for profile in all() {
        let all = taken(&profile);
        for (place, (function, from, to, encoding, point)) in all.iter().enumerate() {
            for (_, other_from, other_to, other_encoding, other) in
                all.iter().take(place).filter(|other| other.0 == *function)
            {
                let meet = from < other_to && other_from < to;
                let same = from == other_from && to == other_to;
                let halves = |a: Encoding, b: Encoding| {
                    matches!(a, Encoding::U8High | Encoding::I8High)
                        && matches!(b, Encoding::U8Low | Encoding::I8Low)
                };
                let apart =
                    halves(*encoding, *other_encoding) || halves(*other_encoding, *encoding);
                let both_ways = READ_BOTH_WAYS.contains(&profile.name.as_str());
                assert!(
                    !meet || (same && (apart || both_ways)),
                    "{}: {} and {} at {from}",
                    profile.name,
                    point.name,
                    other.name
                );
            }
        }
    }
}

#[test]
fn every_point_fits_in_one_request_between_its_instances_and_in_a_known_unit() {
    for profile in all() {
        for point in &profile.points {
            let place = format!("{}.{}", profile.name, point.name);
            assert!(UNITS.contains(&point.unit.as_str()), "{place}: {:?}", point.unit);
            let words = point.encoding.words();
            assert!(words <= profile.max_registers.unwrap_or(125), "{place}: more than a request");
            assert!(point.stride == 0 || point.stride >= words, "{place}: its instances overlap");
            let (first, last) = (point.instances.0, point.instances.1);
            let end = u32::from(point.address)
                + u32::from(last - first) * u32::from(point.stride)
                + u32::from(words);
            assert!(end <= 65_536, "{place} ends at {end}");
        }
    }
}

#[test]
fn what_an_instrument_cannot_bear_is_in_its_profile() {
    let of = |name: &str| all().into_iter().find(|p| p.name == name).unwrap();
    assert!(of("honeywell_e3point").never_write);
    assert_eq!(of("lufft_wsxxx").period_min_ms, 10_000);
    assert_eq!(of("danfoss_vlt").gap_registers, Some(0));
    assert_eq!(of("newcosmos_ps7").gap_registers, Some(0), "40008 is a hole");
    assert!(of("msa_ultima_x").based);
    assert!(of("ysi_h3553t").points.iter().all(|p| p.order.is_none()), "the manual does not say");
    let tank = of("pneumercator_tms");
    assert_eq!(tank.find("gross_volume#3", 0).unwrap().1, 5 + 16 * 2);
    assert_eq!(of("pemtech_pt2008").find("gas#2", 0).unwrap().1, 4 * 2 + 26);
    assert_eq!(of("msa_ultima_x").find("gas_level_1", 1_000).unwrap().1, 1_207);
    for wrong in ["gross_volume", "gross_volume#0", "gross_volume#13", "gross_volume#x", "nothing"]
    {
        assert!(tank.find(wrong, 0).is_err(), "{wrong}");
    }
}

/// Some number of this encoding, as it is written and as it stands in bytes, highest first.
fn specimen(encoding: Encoding) -> (f64, Vec<u8>) {
    match encoding {
        Encoding::Bool => (1.0, vec![0, 1]),
        Encoding::U16 => (258.0, vec![1, 2]),
        Encoding::I16 => (-2.0, vec![0xff, 0xfe]),
        Encoding::U32 => (16_909_060.0, vec![1, 2, 3, 4]),
        Encoding::I32 => (-2.0, vec![0xff, 0xff, 0xff, 0xfe]),
        Encoding::U48 => (1_108_152_157_446.0, vec![1, 2, 3, 4, 5, 6]),
        Encoding::F32 => (12.5, vec![0x41, 0x48, 0, 0]),
        Encoding::F64 => (0.1, vec![0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]),
        Encoding::U8High => (7.0, vec![7, 9]),
        Encoding::U8Low => (9.0, vec![7, 9]),
        Encoding::U64 | Encoding::I64 | Encoding::I8High | Encoding::I8Low => {
            panic!("no profile has {encoding} yet: add a specimen")
        }
        Encoding::I48 | Encoding::Bcd16 | Encoding::Bcd32 | Encoding::Bcd64 => {
            panic!("no profile has {encoding} yet: add a specimen")
        }
    }
}

fn lay(order: WordOrder, bytes: &[u8]) -> Vec<u16> {
    let mut pairs: Vec<[u8; 2]> = bytes.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
    if ["CDAB", "DCBA"].contains(&order.word()) {
        pairs.reverse();
    }
    if ["BADC", "DCBA"].contains(&order.word()) {
        pairs.iter_mut().for_each(|pair| pair.reverse());
    }
    pairs.into_iter().map(u16::from_be_bytes).collect()
}

/// What the instruments say when all is well.
const WELL: [(&str, u16, u16); 3] =
    [("honeywell_midas", 0, 1), ("honeywell_e3point", 23, 10), ("msa_ultima_x", 40_000 + 216, 7)];
const BASE: u16 = 40_000;

fn serve(profile: &Profile, point: &ProfilePoint, number: u16, order: WordOrder) {
    let suffix = if point.stride > 0 { format!("#{number}") } else { String::new() };
    let shown = if point.order.is_none() { order.word() } else { "" };
    let scale = if point.scale.is_none() { "0.5" } else { "" };
    let base = if profile.based { BASE } else { 0 };
    let extra = if profile.based { format!("profile_base = {BASE}") } else { String::new() };
    let site = format!(
        "[site]\nenterprise=\"e\"\ngateway=\"G\"\npoints=\"p\"\nlimits=\"l\"\n\
         [[installation]]\nname=\"a\"\nkind=\"k\"\n\
         [[device]]\nname=\"d\"\nkind=\"modbus-tcp\"\nhost=\"h\"\nprofile=\"{}\"\n{extra}\n",
        profile.name
    );
    let place = format!("{}.{}{suffix} {order}", profile.name, point.name);
    let row = format!("T,n,a,s,u,-1e18,1e18,d,,@{}{suffix},,{shown},{scale},10000", point.name);
    let sheet = format!(
        "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,order,scale,period_ms\n{row}\n"
    );
    let site = Site::load("s", &site, &mut |_| Ok(sheet.clone()))
        .unwrap_or_else(|faults| panic!("{place}: {faults:#?}"));
    let (value, bytes) = specimen(point.encoding);
    let at = base + point.address + (number - point.instances.0) * point.stride;
    let mut memory: BTreeMap<u16, u16> = BTreeMap::new();
    for (_, address, word) in WELL.iter().filter(|(name, ..)| *name == profile.name) {
        memory.insert(*address, *word);
    }
    let order = if point.encoding.words() == 1 { WordOrder::Abcd } else { order };
    memory.extend((at..).zip(lay(order, &bytes)));
    let mut scanner = Scanner::new(site.devices[0].clone(), site.mappings_of(0), 0);
    let mut readings = Vec::new();
    while let Step::Read(ask) = scanner.next(0) {
        let range = ask.first..ask.first + ask.count;
        let word = |at| memory.get(&at).copied().unwrap_or(0);
        let payload = if ask.function.is_bits() {
            Payload::Bits(range.map(|at| word(at) != 0).collect())
        } else {
            Payload::Words(range.map(word).collect())
        };
        readings.extend(scanner.answer(Outcome::Data(payload), 0).readings);
    }
    let divisor = if point.rules.contains("divisor") { 10.0 } else { 1.0 };
    let wanted = value * point.scale.unwrap_or(0.5) / divisor;
    let [(0, reading)] = readings.as_slice() else { panic!("{place}: {readings:?}") };
    let got = reading.value().unwrap_or_else(|| panic!("{place}: {reading:?}"));
    assert!((got - wanted).abs() <= wanted.abs() * 1e-12, "{place}: {got}, not {wanted}");
}

#[test]
fn every_point_of_every_profile_is_read_as_it_was_written() {
    let mut served = 0;
    for profile in all() {
        for point in &profile.points {
            let orders = point.order.map_or(WordOrder::ALL.to_vec(), |order| vec![order]);
            for order in orders {
                for number in [point.instances.0, point.instances.1] {
                    serve(&profile, point, number, order);
                    served += 1;
                }
            }
        }
    }
    assert!(served > 200, "{served}");
}

/// The frame that its maker prints: 01 03 02 02 18 is 53.6 mm.
#[test]
fn the_rain_gauge_reads_what_its_manual_prints() {
    let profile = all().into_iter().find(|p| p.name == "xunchip_xm9505_rain").unwrap();
    let (point, address, _) = profile.find("rainfall", 0).unwrap();
    assert_eq!(
        (address, point.encoding.raw(WordOrder::Abcd, &[0x0218])),
        (0, Some(Raw::Whole(536)))
    );
    assert!((536.0 * point.scale.unwrap() - 53.6).abs() < 1e-9);
}

#[test]
fn every_fault_of_a_profile_is_named_with_its_line() {
    let text = "[profile]\nmaker = \"m\"\nmodel = \"m\"\nkind = \"k\"\nverified = true\nsource = \"\"\nconfidence = \"high\"\npause_ms = 5001\n\
        [[point]]\nname = \"a\"\nfunction = \"register\"\naddress = 0\ntype = \"f32\"\n\
        [[point]]\nname = \"a\"\nfunction = \"holding\"\naddress = 0\ntype = \"u16\"\n\
        [[point]]\nname = \"b\"\nfunction = \"holding\"\naddress = 0\ntype = \"u16\"\nchoose = [\"unit\"]\nrules = \"status=@none;divisor=x;speed=1\"\n\
        [[point]]\nname = \"c\"\nfunction = \"holding\"\naddress = 65535\ntype = \"u32\"\norder = \"ABDC\"\n\
        [[point]]\nname = \"d\"\nfunction = \"holding\"\naddress = 0\ntype = \"u16\"\nstride = 4\n";
    let faults = Profile::parse("x", "x.toml", text).unwrap_err();
    let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
    for wanted in [
        "x.toml:1 [source]",
        "x.toml:1 [pause_ms] \"5001\"",
        "x.toml:10 [function] \"register\"",
        "x.toml:10 [order]",
        "x.toml:15 [name] \"a\"：与第 10 行重复",
        "x.toml:20 [choose] \"unit\"",
        "x.toml:20 [rules.status] \"@none\"",
        "x.toml:20 [rules.divisor] \"x\"",
        "x.toml:20 [rules.speed] \"1\"",
        "x.toml:27 [order] \"ABDC\"",
        "x.toml:27 [address] \"65535\"",
        "x.toml:33 [instances]",
    ] {
        assert_eq!(said.iter().filter(|s| s.starts_with(wanted)).count(), 1, "{wanted}: {said:#?}");
    }
    assert_eq!(said.len(), 12, "{said:#?}");
    assert!(Profile::parse("x", "x.toml", "[profile]\nmaker = 3").is_err());
}

/// What an instrument needs is not the site's to cut short.
#[test]
fn the_longer_pause_of_site_and_profile_counts() {
    let profile = "[profile]\nmaker='m'\nmodel='m'\nkind='k'\nverified=true\nsource='s'\n\
                   confidence='high'\npause_ms=50\n[[point]]\nname='a'\nfunction='holding'\n\
                   address=0\ntype='u16'\n";
    let pause = |own: u32| {
        let site = format!(
            "[site]\nenterprise='e'\ngateway='G'\npoints='p'\nlimits='l'\n[[installation]]\n\
             name='a'\nkind='k'\n[[device]]\nname='d'\nkind='modbus-tcp'\nhost='h'\n\
             profile='x.toml'\npause_ms={own}\n"
        );
        let sheet = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n\
             T,n,a,s,u,0,9,d,,@a,,1000\n";
        let mut read = |name: &str| Ok(if name == "p" { sheet } else { profile }.to_owned());
        Site::load("s", &site, &mut read).unwrap().devices[0].pause_ms
    };
    assert_eq!((pause(0), pause(20), pause(200)), (50, 50, 200));
}
