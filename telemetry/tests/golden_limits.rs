//! Signed limits, held by `golden/limits.hex` and the example of `docs/wire.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use fengsui_telemetry::wire::{
    LimitsOrder, SignedLimits, decode_limits, decode_limits_order, encode_limits,
    encode_limits_order,
};
use fengsui_telemetry::{GatewayId, Revision, TimeMs};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

const GOLDEN: &str = include_str!("../golden/limits.hex");
const WIRE_MD: &str = include_str!("../../docs/wire.md");
/// 2026-11-21 22:14:05.120 in Shanghai.
const TE: TimeMs = TimeMs(1_795_270_445_120);

fn bytes_of(hex: &str) -> Vec<u8> {
    let code = hex.lines().map(|line| line.split('#').next().unwrap());
    let pairs = code.flat_map(str::split_whitespace);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("pairs of hex digits")).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn revision_of(bytes: &[u8]) -> Revision {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    Revision(u64::from_be_bytes(*digest.as_ref().first_chunk().unwrap()))
}

/// The file of the example, 67 bytes.
const CSV: &str = "位号,类型,限值\ntag,kind,limit\nTK-101.LT,HH,88\nTK-101.LT,H,85\n";

fn limits() -> LimitsOrder {
    LimitsOrder {
        gateway: GatewayId::parse("GW-01").unwrap(),
        revision: revision_of(CSV.as_bytes()),
        number: 2,
        csv: CSV.into(),
        valid_from: TE,
        issued: TE + 40,
    }
}

/// The example's key pair: its seed is 0, 1, … 31. Nobody may use it for anything else.
fn centre_key() -> Ed25519KeyPair {
    let seed: Vec<u8> = (0..32).collect();
    Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()
}

#[test]
fn signed_limits_are_read_and_their_signature_holds() {
    let order = encode_limits_order(&limits()).unwrap();
    let signature = centre_key().sign(&order.message()).as_ref().to_vec();
    let encoded = encode_limits(&SignedLimits { order, signature });
    let key = UnparsedPublicKey::new(&ED25519, centre_key().public_key().as_ref().to_vec());
    for (name, bytes) in [("encoded", encoded.clone()), ("golden", bytes_of(GOLDEN))] {
        let SignedLimits { order, signature } = decode_limits(&bytes).expect(name);
        key.verify(&order.message(), &signature).unwrap_or_else(|_| {
            panic!("{name}: the signature does not hold; now\n{}", hex_of(&encoded))
        });
        assert_eq!(decode_limits_order(&order), Ok(limits()), "{name}");
        assert!(key.verify(&order.0, &signature).is_err(), "without its purpose it is no order");
    }
    let public = hex_of(key.as_ref()).replace(' ', "");
    assert!(WIRE_MD.contains(&public), "docs/wire.md does not say the example's key {public}");
    // One flipped bit anywhere: not decodable, or not signed.
    for bit in 0..encoded.len() * 8 {
        let mut bytes = encoded.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let holds = decode_limits(&bytes)
            .is_ok_and(|signed| key.verify(&signed.order.message(), &signed.signature).is_ok());
        assert!(!holds, "bit {bit}");
    }
}
