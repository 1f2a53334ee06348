//! The bytes of the wire, held by files: each decodes to the value written here, and the value
//! encodes to the same bytes. What zstd packed is decoded only, since another zstd may pack it
//! otherwise and be right.
//!
//! A file of `golden/` holds pairs of hex digits; from `#` to the end of a line is a remark. The
//! examples of `docs/wire.md` must be the bytes of these files.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says where"
)]

use fengsui_telemetry::ledger::Durable;
use fengsui_telemetry::wire::{
    Ack, Batch, BatchHead, Beat, Birth, DeviceHealth, Entry, Sealed, Storage, catalogue_bytes,
    decode_ack, decode_batch, decode_beat, decode_birth, decode_catalogue, decode_limits,
    decode_limits_order, decode_record, encode_ack, encode_batch, encode_beat, encode_birth,
    encode_birth_around, seal,
};
use fengsui_telemetry::{
    Body, Catalogue, ClockChange, ClockQuality, Doubt, Epoch, Fault, Gap, GapCause, GatewayId,
    Installation, LocalTransition, Point, Reading, Record, Revision, Scan, Tag, TimeMs,
};

const SCAN: &str = include_str!("../golden/record-scan.hex");
const MIXED: &str = include_str!("../golden/record-scan-mixed.hex");
const TRANSITION: &str = include_str!("../golden/record-transition.hex");
const GAP: &str = include_str!("../golden/record-gap.hex");
const CLOCK: &str = include_str!("../golden/record-clock.hex");
const PLAIN: &str = include_str!("../golden/batch-plain.hex");
const ZSTD: &str = include_str!("../golden/batch-zstd.hex");
const CATALOGUE: &str = include_str!("../golden/catalogue.hex");
const BIRTH: &str = include_str!("../golden/birth.hex");
const WILL: &str = include_str!("../golden/will.hex");
const BEAT: &str = include_str!("../golden/beat.hex");
const ACK: &str = include_str!("../golden/ack.hex");
const LIMITS: &str = include_str!("../golden/limits.hex");
const WIRE_MD: &str = include_str!("../../docs/wire.md");

/// 2026-11-21 22:14:05.120 in Shanghai.
const TE: TimeMs = TimeMs(1_795_270_445_120);
const EPOCH: Epoch = Epoch(0x1122_3344_5566_7788);

fn bytes_of(hex: &str) -> Vec<u8> {
    let code = hex.lines().map(|line| line.split('#').next().unwrap());
    let pairs = code.flat_map(str::split_whitespace);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("pairs of hex digits")).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    let rows = bytes
        .chunks(16)
        .map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "));
    rows.collect::<Vec<_>>().join("\n")
}

fn same(name: &str, encoded: &[u8], golden: &str) {
    assert!(encoded == bytes_of(golden), "{name}: encodes now to\n{}", hex_of(encoded));
}

fn gateway() -> GatewayId {
    GatewayId::parse("GW-01").unwrap()
}

fn scan() -> Record {
    let readings =
        vec![(0, Reading::Good(61.2)), (1, Reading::Good(60.7)), (2, Reading::Good(58.9))];
    Record { te: TE, body: Body::Scan(Scan { readings, clock: ClockQuality::Synchronised }) }
}

fn mixed() -> Record {
    let readings = vec![
        (3, Reading::Good(0.0)),
        (4, Reading::Uncertain(101.3, Doubt::NearRange)),
        (10, Reading::Bad(Fault::Sentinel)),
        (11, Reading::Good(1.0 / 3.0)),
        (12, Reading::Good(-0.005)),
    ];
    Record { te: TE + 500, body: Body::Scan(Scan { readings, clock: ClockQuality::Holdover }) }
}

fn transition() -> Record {
    let transition = LocalTransition {
        alarm: "GW-01/TK-101.LT/HH".into(),
        occurrence: 3,
        from: 'A',
        to: 'B',
        revision: Revision(0x0a0b_0c0d_0e0f_1011),
        value: Some(90.5),
        why: "on".into(),
        known: TE + 12,
    };
    Record { te: TE, body: Body::Transition(transition) }
}

fn gap() -> Record {
    let gap = Gap {
        from: TE - 3_600_000,
        to: TE,
        records: 7_200,
        cause: GapCause::SpoolFull,
        points: vec![3, 4],
        detail: "磁盘已满".into(),
    };
    Record { te: TE, body: Body::Gap(gap) }
}

fn clock() -> Record {
    let change = ClockChange {
        boot: 0xfeed_beef_0000_0001,
        monotonic_ms: 86_400_000,
        step_ms: -1_250,
        quality: ClockQuality::Rtc,
    };
    Record { te: TE, body: Body::Clock(change) }
}

fn head() -> BatchHead {
    BatchHead {
        gateway: gateway(),
        epoch: EPOCH,
        first: 41,
        catalogue: Revision(0x742e_ae8f_9e0d_99e3),
    }
}

fn batch_of(records: &[Record]) -> (Batch, Vec<Sealed>) {
    let mut offset = head().first;
    let mut entries = Vec::new();
    let mut all = Vec::new();
    for record in records {
        let sealed = seal(record);
        let span = fengsui_telemetry::wire::span(record);
        let bytes = sealed.bytes.clone();
        entries.push(Entry { offset, span, record: Ok(record.clone()), bytes });
        all.push(sealed);
        offset += span;
    }
    (Batch { head: head(), entries }, all)
}

/// Twenty scans of forty readings: enough for zstd.
fn many() -> Vec<Record> {
    let scan_at = |second: u32| {
        let value = |point: u32| f64::from(400 + (point * 7 + second) % 90) / 10.0;
        let readings = (0..40).map(|point| (point, Reading::Good(value(point)))).collect();
        let te = TE + i64::from(second) * 1_000;
        Record { te, body: Body::Scan(Scan { readings, clock: ClockQuality::Synchronised }) }
    };
    (0..20).map(scan_at).collect()
}

fn catalogue() -> Catalogue {
    let point = |tag: &str, name: &str, unit: &str, high, installation, signal: &str| Point {
        tag: Tag::parse(tag).unwrap(),
        name: name.into(),
        unit: unit.into(),
        low: 0.0,
        high,
        installation,
        equipment: tag.split('.').next().unwrap().into(),
        period_ms: 1_000,
        silence_ms: 0,
        signal: signal.into(),
    };
    let installation = |name: &str, hazard_class, kind: &str| Installation {
        name: name.into(),
        hazard_class,
        kind: kind.into(),
    };
    Catalogue {
        enterprise: "示例石化有限公司".into(),
        installations: vec![
            installation("1#罐区", 3, "tank_farm"),
            installation("泵区", 0, "gas_area"),
        ],
        points: vec![
            point("TK-101.LT", "101储罐液位", "%", 100.0, 0, "level"),
            point("TK-102.LT", "102储罐液位", "%", 100.0, 0, "level"),
            point("GD-01.AT", "泵区可燃气体", "%LEL", 100.0, 1, "gas_combustible"),
        ],
    }
}

fn birth() -> Birth {
    Birth {
        gateway: gateway(),
        online: true,
        epoch: EPOCH,
        oldest: 12,
        next: 41,
        boot: 0xfeed_beef_0000_0001,
        catalogue_revision: revision_of(&catalogue_bytes(&catalogue())),
        catalogue: Some(catalogue()),
        limits_revision: Revision(0x0a0b_0c0d_0e0f_1011),
        software: "fengsui-gateway 0.1.0".into(),
    }
}

fn will() -> Birth {
    Birth {
        gateway: gateway(),
        online: false,
        epoch: Epoch(0),
        oldest: 0,
        next: 0,
        boot: 0,
        catalogue_revision: Revision(0),
        catalogue: None,
        limits_revision: Revision(0),
        software: String::new(),
    }
}

fn beat() -> Beat {
    Beat {
        gateway: gateway(),
        epoch: EPOCH,
        next: 45,
        oldest: 12,
        durable_next: 43,
        spool_bytes: 1_048_576,
        oldest_unacked_ms: 1_800,
        catalogue_revision: birth().catalogue_revision,
        limits_revision: birth().limits_revision,
        alarm_loop_turns: 90_210,
        clock: TE + 1_000,
        devices: vec![
            DeviceHealth { name: "plc-tank".into(), last_good: TE, fault: String::new() },
            DeviceHealth { name: "gas".into(), last_good: TimeMs(0), fault: "timeout".into() },
        ],
        counter: 17,
        limits_fault: String::new(),
        storage: Storage::Fine,
        storage_fault: String::new(),
        spool_quota: 0,
    }
}

fn ack() -> Ack {
    Ack {
        durable: Durable { epoch: EPOCH, next: 43, islands: vec![(45, 60), (500, 502)] },
        birth_wanted: true,
        clock: TE + 1_003,
        fault: String::new(),
    }
}

fn revision_of(bytes: &[u8]) -> Revision {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    Revision(u64::from_be_bytes(digest.as_ref()[..8].try_into().unwrap()))
}

#[test]
fn records_of_every_kind_are_their_bytes() {
    let kinds = [
        ("record-scan", scan(), SCAN),
        ("record-scan-mixed", mixed(), MIXED),
        ("record-transition", transition(), TRANSITION),
        ("record-gap", gap(), GAP),
        ("record-clock", clock(), CLOCK),
    ];
    for (name, record, golden) in kinds {
        same(name, &seal(&record).bytes, golden);
        assert_eq!(decode_record(&bytes_of(golden)), Ok(record), "{name}");
    }
}

#[test]
fn a_plain_batch_is_its_bytes() {
    let (batch, sealed) = batch_of(&[scan(), gap()]);
    same("batch-plain", &encode_batch(&head(), sealed).unwrap(), PLAIN);
    let back = decode_batch(&bytes_of(PLAIN)).unwrap();
    assert_eq!(back, batch);
    // The gap stands for the 7,200 offsets that it names.
    assert_eq!(back.end(), 41 + 1 + 7_200);
}

#[test]
fn a_packed_batch_is_read_and_packed_again() {
    let (batch, sealed) = batch_of(&many());
    let encoded = encode_batch(&head(), sealed).unwrap();
    assert!(encoded.len() < batch.entries.iter().map(|e| e.bytes.len()).sum(), "zstd was worth it");
    assert_eq!(decode_batch(&encoded).as_ref(), Ok(&batch));
    assert_eq!(decode_batch(&bytes_of(ZSTD)), Ok(batch), "batch-zstd: now\n{}", hex_of(&encoded));
}

#[test]
fn a_catalogue_is_its_bytes_and_its_revision_their_hash() {
    same("catalogue", &catalogue_bytes(&catalogue()), CATALOGUE);
    assert_eq!(decode_catalogue(&bytes_of(CATALOGUE)), Ok(catalogue()));
    // docs/wire.md says this number.
    let said = revision_of(&bytes_of(CATALOGUE)).to_string();
    assert!(WIRE_MD.contains(&format!("`{said}`")), "docs/wire.md does not say {said}");
    assert_eq!(head().catalogue, revision_of(&bytes_of(CATALOGUE)));
}

#[test]
fn the_silence_of_a_point_comes_back_and_is_part_of_the_revision() {
    let mut quiet = catalogue();
    quiet.points[1].silence_ms = 300_000;
    let bytes = catalogue_bytes(&quiet);
    assert_eq!(decode_catalogue(&bytes).unwrap(), quiet);
    // Field 10, a varint of three bytes, and nothing of the points that send every sample.
    assert_eq!(bytes.len(), catalogue_bytes(&catalogue()).len() + 4);
}

#[test]
fn birth_and_will_are_read_and_packed_again() {
    for (name, value, golden) in [("birth", birth(), BIRTH), ("will", will(), WILL)] {
        let encoded = encode_birth(&value).unwrap();
        assert_eq!(decode_birth(&encoded).as_ref(), Ok(&value), "{name}");
        assert_eq!(decode_birth(&bytes_of(golden)), Ok(value), "{name}: now\n{}", hex_of(&encoded));
    }
}

/// A gateway keeps its catalogue as bytes: its birth must be the one that the points would make.
#[test]
fn a_birth_around_the_bytes_of_a_catalogue_is_the_same_birth() {
    let birth = birth();
    let catalogue = catalogue_bytes(birth.catalogue.as_ref().unwrap());
    let head = Birth { catalogue: None, ..birth.clone() };
    assert_eq!(encode_birth_around(&head, &catalogue), encode_birth(&birth));
}

#[test]
fn beat_and_acknowledgement_are_their_bytes() {
    same("beat", &encode_beat(&beat()), BEAT);
    assert_eq!(decode_beat(&bytes_of(BEAT)), Ok(beat()));
    same("ack", &encode_ack(&ack()), ACK);
    assert_eq!(decode_ack(&bytes_of(ACK)), Ok(ack()));
}

/// A block of the document that begins with ```` ```hex golden/NAME ```` holds the bytes of that
/// file, with remarks of its own.
#[test]
fn the_examples_of_the_document_are_the_bytes_of_the_files() {
    let files = [
        ("record-scan", SCAN),
        ("batch-plain", PLAIN),
        ("ack", ACK),
        ("will", WILL),
        ("limits", LIMITS),
    ];
    let mut quoted = Vec::new();
    let mut blocks = WIRE_MD.split("```hex golden/").skip(1);
    for block in &mut blocks {
        let (name, rest) = block.split_once('\n').unwrap();
        let (text, _) = rest.split_once("```").expect("the block ends");
        let name = name.trim().trim_end_matches(".hex");
        let (_, golden) = files.iter().find(|(file, _)| *file == name).expect("a file of golden/");
        assert_eq!(hex_of(&bytes_of(text)), hex_of(&bytes_of(golden)), "{name} in docs/wire.md");
        quoted.push(name);
    }
    assert!(quoted.len() >= 2 && quoted.contains(&"batch-plain"), "{quoted:?}");
}

/// The document names every code of a reading and every limit by its value.
#[test]
fn the_codes_and_limits_of_the_document_are_those_of_the_code() {
    use fengsui_telemetry::{INSTALLATIONS_MAX, POINTS_MAX, ledger, wire};
    let doubts = Doubt::ALL.iter().map(|doubt| (doubt.code(), doubt.word()));
    let faults = Fault::ALL.iter().map(|fault| (fault.code(), fault.word()));
    for (code, word) in doubts.chain(faults) {
        assert!(WIRE_MD.contains(&format!("| {code} | `{word}` |")), "{code} {word}");
    }
    let limits = [
        ("PACKET_MAX", wire::PACKET_MAX),
        ("BATCH_BYTES_MAX", wire::BATCH_BYTES_MAX),
        ("UNPACKED_MAX", wire::UNPACKED_MAX),
        ("BIRTH_UNPACKED_MAX", wire::BIRTH_UNPACKED_MAX),
        ("LIMITS_UNPACKED_MAX", wire::LIMITS_UNPACKED_MAX),
        ("RECORD_BYTES_MAX", wire::RECORD_BYTES_MAX),
        ("BATCH_RECORDS_MAX", wire::BATCH_RECORDS_MAX),
        ("BATCH_READINGS_MAX", wire::BATCH_READINGS_MAX),
        ("SCAN_READINGS_MAX", wire::SCAN_READINGS_MAX),
        ("POINTS_MAX", POINTS_MAX),
        ("INSTALLATIONS_MAX", INSTALLATIONS_MAX),
        ("ISLANDS_MAX", ledger::ISLANDS_MAX),
        ("EPOCHS_MAX", ledger::EPOCHS_MAX),
    ];
    let said = WIRE_MD.replace(',', "");
    for (name, value) in limits {
        assert!(said.contains(&format!("| `{name}` | {value} |")), "{name} is {value}");
    }
}

/// Damage of every kind to every message: the answer is a value or a fault, never a panic.
mod damage {
    use super::*;

    fn decode_all(bytes: &[u8]) {
        // Whether it decodes is no matter here; that it returns is.
        let _answers = (
            decode_batch(bytes).is_ok(),
            decode_birth(bytes).is_ok(),
            decode_beat(bytes).is_ok(),
            decode_ack(bytes).is_ok(),
            decode_record(bytes).is_ok(),
            decode_catalogue(bytes).is_ok(),
            decode_limits(bytes).is_ok_and(|signed| decode_limits_order(&signed.order).is_ok()),
        );
    }

    /// SplitMix64: the same damage in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((z ^ (z >> 31)) % below.max(1) as u64).unwrap()
        }

        fn byte(&mut self) -> u8 {
            u8::try_from(self.roll(256)).unwrap()
        }
    }

    fn goldens() -> Vec<Vec<u8>> {
        let all = [
            SCAN, MIXED, TRANSITION, GAP, CLOCK, PLAIN, ZSTD, CATALOGUE, BIRTH, WILL, BEAT, ACK,
            LIMITS,
        ];
        all.iter().map(|hex| bytes_of(hex)).collect()
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_returns() {
        for golden in goldens() {
            for length in 0..golden.len() {
                decode_all(&golden[..length]);
            }
            for bit in 0..golden.len() * 8 {
                let mut bytes = golden.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                decode_all(&bytes);
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_a_record_refuses_its_batch() {
        let golden = bytes_of(PLAIN);
        let record = bytes_of(SCAN);
        let at = golden.windows(record.len()).position(|part| part == record).unwrap();
        for bit in 0..record.len() * 8 {
            let mut bytes = golden.clone();
            bytes[at + bit / 8] ^= 1 << (bit % 8);
            assert!(decode_batch(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn random_bytes_and_random_edits_return() {
        let mut dice = Dice(20_261_121);
        for _ in 0..20_000 {
            let length = dice.roll(300);
            let bytes: Vec<u8> = (0..length).map(|_| dice.byte()).collect();
            decode_all(&bytes);
        }
        let goldens = goldens();
        for _ in 0..20_000 {
            let mut bytes = goldens[dice.roll(goldens.len())].clone();
            for _ in 0..1 + dice.roll(6) {
                if bytes.is_empty() {
                    bytes.push(0);
                }
                let at = dice.roll(bytes.len());
                match dice.roll(4) {
                    0 => bytes[at] = dice.byte(),
                    1 => bytes.insert(at, dice.byte()),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.extend_from_within(at..),
                }
                bytes.truncate(4_096);
            }
            decode_all(&bytes);
        }
    }
}

/// Small messages that would be large in memory are refused before they are.
mod bombs {
    use super::*;
    use std::io::Write;

    /// What a decoder may take beyond what it gives back: some packets.
    const ROOM_KB: u64 = 96 * 1_024;

    fn highest_kb() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn check(name: &str, bytes: &[u8]) {
        let before = highest_kb();
        assert!(decode_batch(bytes).is_err(), "{name} as a batch");
        assert!(decode_birth(bytes).is_err(), "{name} as a birth");
        let taken = highest_kb() - before;
        assert!(taken < ROOM_KB, "{name} took {taken} KB");
    }

    fn field(number: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = payload.len();
        while length >= 0x80 {
            out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap());
        out.extend(payload);
        out
    }

    fn packed(chunk: &[u8], times: usize) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        for _ in 0..times {
            encoder.write_all(chunk).unwrap();
        }
        encoder.finish().unwrap()
    }

    fn batch_around(packed: &[u8]) -> Vec<u8> {
        let mut out = field(1, b"GW-01");
        out.push(2 << 3 | 1);
        out.extend(EPOCH.0.to_le_bytes());
        out.extend(field(6, packed));
        out
    }

    #[test]
    fn what_unpacks_to_a_gigabyte_is_refused() {
        let zeros = packed(&[0; 1 << 16], 1 << 14);
        assert!(zeros.len() < 200_000, "a bomb is small");
        check("zeros", &zeros);
        check("zeros in a batch", &batch_around(&zeros));
    }

    #[test]
    fn four_million_empty_points_are_refused() {
        // Sixteen mebibytes of catalogue.point of no content, two bytes each.
        let catalogue = vec![[0x1a, 0x00]; 4 << 20].concat();
        let mut birth = field(1, b"GW-01");
        birth.extend(field(8, &catalogue));
        check("empty points", &packed(&birth, 1));
        assert!(decode_catalogue(&catalogue[..4 << 20]).is_err());
        // The same in a million catalogues, which protobuf adds up.
        let apart = field(8, &[0x1a, 0x00]);
        check("empty points apart", &packed(&apart.repeat(1 << 20), 1));
    }

    #[test]
    fn records_that_claim_readings_without_bytes_are_refused() {
        // count = 120,000, one form for all: none; no quality.
        let scan = [0x1a, 0x01, 0x11, 0x38, 0xc0, 0xa9, 0x07];
        let record = field(2, &scan);
        let mut records = Vec::new();
        for _ in 0..10_000 {
            records.extend(field(1, &record));
        }
        let crc = crc32c::crc32c(&record).to_le_bytes();
        records.extend(field(2, &crc.repeat(10_000)));
        let before = highest_kb();
        let readings = decode_batch(&batch_around(&packed(&records, 1))).map(|batch| {
            let scans = batch.entries.iter().filter_map(|entry| entry.record.as_ref().ok());
            scans.filter(|record| matches!(record.body, Body::Scan(_))).count()
        });
        assert_eq!(readings.unwrap_or(0), 0, "readings from nothing");
        assert!(highest_kb() - before < ROOM_KB);
    }

    #[test]
    fn a_batch_of_too_many_readings_is_refused() {
        // Five scans of 120,000 zeros: one byte a reading, honest, and too many for one batch.
        let readings = (0..120_000).map(|point| (point, Reading::Good(0.0))).collect();
        let body = Body::Scan(Scan { readings, clock: ClockQuality::Synchronised });
        let sealed = seal(&Record { te: TE, body });
        let one = encode_batch(&head(), vec![sealed.clone(); 4]).unwrap();
        assert!(decode_batch(&one).is_ok(), "480,000 readings are taken");
        let five = encode_batch(&head(), vec![sealed; 5]).unwrap();
        assert!(decode_batch(&five).is_err(), "600,000 are not");
    }
}
