//! Limits on their way to a gateway: signed whole, packed, named by their revision.
//!
//! - The signature covers the very bytes of the order, so that nothing is decoded before it is
//!   known whose it is. Who holds keys and checks signatures are the hosts.
//! - The order names its gateway: what was signed for one is nothing to another.

use prost::Message;

use super::unpack::unpack;
use super::{LIMITS_UNPACKED_MAX, PACKET_MAX, WireFault, field, limit, malformed, proto};
use crate::{GatewayId, Revision, TimeMs};

/// What stands before the order in what is signed: a signature made for anything else is none here.
const PURPOSE: &[u8] = b"fengsui/1/limits\0";
/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;
/// How limits are packed: made once a change, sent to every gateway over its link.
const PACKING: i32 = 9;

/// Limits for one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsOrder {
    /// For whom.
    pub gateway: GatewayId,
    /// The head of the SHA-256 of `csv`.
    pub revision: Revision,
    /// Counts the revisions of this gateway at the centre, from 1.
    pub number: u64,
    /// The file.
    pub csv: String,
    /// From this source time on it judges.
    pub valid_from: TimeMs,
    /// When the centre put it in force; rises with every order.
    pub issued: TimeMs,
}

/// An order as it is signed: its bytes are its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBytes(pub Vec<u8>);

impl OrderBytes {
    /// What the signature covers.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        [PURPOSE, &self.0].concat()
    }
}

/// An order with its signature, neither of them checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedLimits {
    /// The bytes of the order.
    pub order: OrderBytes,
    /// Ed25519.
    pub signature: Vec<u8>,
}

/// The bytes of an order, to be signed.
///
/// # Errors
/// [`WireFault::TooLarge`] when it does not fit into a packet.
pub fn encode_limits_order(order: &LimitsOrder) -> Result<OrderBytes, WireFault> {
    limit("limits", order.csv.len(), LIMITS_UNPACKED_MAX)?;
    let zstd_csv = zstd::bulk::compress(order.csv.as_bytes(), PACKING)
        .map_err(|e| field("limits", "zstd_csv", e.to_string()))?;
    let wire = proto::LimitsOrder {
        gateway: order.gateway.as_str().to_owned(),
        revision: order.revision.0,
        number: order.number,
        zstd_csv,
        valid_from_ms: order.valid_from.0,
        issued_ms: order.issued.0,
    };
    let bytes = wire.encode_to_vec();
    limit("limits", bytes.len(), PACKET_MAX - 4_096)?;
    Ok(OrderBytes(bytes))
}

/// Encodes a signed order.
#[must_use]
pub fn encode_limits(signed: &SignedLimits) -> Vec<u8> {
    proto::Limits { order: signed.order.0.clone(), signature: signed.signature.clone() }
        .encode_to_vec()
}

/// Takes order and signature apart. The order is not looked at: check the signature first.
///
/// # Errors
/// [`WireFault`] names the field.
pub fn decode_limits(bytes: &[u8]) -> Result<SignedLimits, WireFault> {
    limit("limits", bytes.len(), PACKET_MAX)?;
    let wire = proto::Limits::decode(bytes).map_err(|e| malformed("limits", &e))?;
    if wire.signature.len() != SIGNATURE_BYTES {
        let why = format!("has {} bytes, an Ed25519 signature has 64", wire.signature.len());
        return Err(field("limits", "signature", why));
    }
    Ok(SignedLimits { order: OrderBytes(wire.order), signature: wire.signature })
}

/// Reads an order whose signature was good.
///
/// # Errors
/// [`WireFault`] names the field.
pub fn decode_limits_order(bytes: &OrderBytes) -> Result<LimitsOrder, WireFault> {
    let wire = proto::LimitsOrder::decode(bytes.0.as_slice())
        .map_err(|e| malformed("limits order", &e))?;
    let csv = unpack("limits order", "zstd_csv", &wire.zstd_csv, LIMITS_UNPACKED_MAX)?;
    let gateway = GatewayId::parse(&wire.gateway)
        .map_err(|fault| field("limits order", "gateway", fault.to_string()))?;
    if wire.number == 0 {
        return Err(field("limits order", "number", "is 0; revisions count from 1"));
    }
    Ok(LimitsOrder {
        gateway,
        revision: Revision(wire.revision),
        number: wire.number,
        csv: String::from_utf8(csv)
            .map_err(|_| field("limits order", "zstd_csv", "is not UTF-8"))?,
        valid_from: TimeMs(wire.valid_from_ms),
        issued: TimeMs(wire.issued_ms),
    })
}
