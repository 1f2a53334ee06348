//! What was added for full disks means nothing else to a receiver of before.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use fengsui_telemetry::wire::{Beat, Storage, decode_beat, decode_record, encode_beat, seal, span};
use fengsui_telemetry::{Body, Epoch, Gap, GapCause, GatewayId, Record, Revision, TimeMs};

fn beat(storage: Storage, fault: &str, quota: u64) -> Beat {
    Beat {
        gateway: GatewayId::parse("GW-01").unwrap(),
        epoch: Epoch(7),
        next: 45,
        oldest: 12,
        durable_next: 43,
        spool_bytes: 1_048_576,
        oldest_unacked_ms: 1_800,
        catalogue_revision: Revision(1),
        limits_revision: Revision(2),
        alarm_loop_turns: 90_210,
        clock: TimeMs(1_795_270_445_120),
        devices: Vec::new(),
        counter: 17,
        limits_fault: "x".into(),
        storage,
        storage_fault: fault.into(),
        spool_quota: quota,
    }
}

#[test]
fn a_beat_says_how_the_disk_does_behind_everything_that_it_said_before() {
    let before = encode_beat(&beat(Storage::Fine, "", 0));
    for storage in Storage::ALL {
        let full = beat(storage, "磁盘已满  |  the disk is full", 512 << 20);
        let bytes = encode_beat(&full);
        assert_eq!(decode_beat(&bytes).unwrap(), full);
        assert_eq!(bytes.get(..before.len()), Some(&before[..]), "{storage:?}");
    }
    // Field 15, varint, of a later version: not well, at any rate.
    let later = [&before[..], &[0x78, 9]].concat();
    assert_eq!(decode_beat(&later).unwrap().storage, Storage::Refusing);
}

#[test]
fn a_thinned_stretch_counts_its_offsets_as_a_full_spool_does() {
    let gap = |cause| {
        let gap = Gap {
            from: TimeMs(1_000),
            to: TimeMs(9_000),
            records: 9,
            cause,
            points: vec![3],
            detail: String::new(),
        };
        Record { te: TimeMs(9_000), body: Body::Gap(gap) }
    };
    let (thinned, full) = (gap(GapCause::Thinned), gap(GapCause::SpoolFull));
    assert_eq!((span(&thinned), span(&full)), (9, 9));
    let (ours, theirs) = (seal(&thinned).bytes, seal(&full).bytes);
    assert_eq!(decode_record(&ours).unwrap(), thinned);
    assert_eq!(decode_record(&theirs).unwrap(), full);
    // Behind the same gap, field 7: true. Only the length of the gap differs besides.
    assert_eq!(ours.len(), theirs.len() + 2);
    assert!(ours.ends_with(&[0x38, 1]), "{ours:x?}");
    let place = ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap();
    assert_eq!(ours.get(place + 1..ours.len() - 2), theirs.get(place + 1..));
}
