//! Birth, beat and acknowledgement.

use prost::Message;

use super::unpack::unpack;
use super::{BIRTH_UNPACKED_MAX, PACKET_MAX, WireFault, field, fields, limit, malformed, proto};
use crate::ledger::Durable;
use crate::{
    Catalogue, Epoch, GatewayId, INSTALLATIONS_MAX, Installation, Offset, POINTS_MAX, Point,
    Revision, Tag, TimeMs,
};

/// Number of the catalogue's field in a birth.
const BIRTH_CATALOGUE: u64 = 8;

/// Who a gateway is. Retained; the will replaces it with `online: false` and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// Which gateway.
    pub gateway: GatewayId,
    /// False: the broker lost it.
    pub online: bool,
    /// This life of its spool.
    pub epoch: Epoch,
    /// First record that it still has.
    pub oldest: Offset,
    /// One past its newest record: its live lane begins here.
    pub next: Offset,
    /// This run of its machine.
    pub boot: u64,
    /// Names the catalogue.
    pub catalogue_revision: Revision,
    /// What it measures; absent in a will.
    pub catalogue: Option<Catalogue>,
    /// The limits by which it judges.
    pub limits_revision: Revision,
    /// Program and version.
    pub software: String,
}

/// A heartbeat that went through the whole agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// Which gateway.
    pub gateway: GatewayId,
    /// This life of its spool.
    pub epoch: Epoch,
    /// One past its newest record.
    pub next: Offset,
    /// First record that it still has.
    pub oldest: Offset,
    /// What it takes for durable at the centre.
    pub durable_next: Offset,
    /// Size of the spool.
    pub spool_bytes: u64,
    /// Age of the oldest record not acknowledged, ms; 0 = none.
    pub oldest_unacked_ms: i64,
    /// Names its catalogue.
    pub catalogue_revision: Revision,
    /// Names its limits.
    pub limits_revision: Revision,
    /// Turns of its alarm loop: standing still means a stalled engine.
    pub alarm_loop_turns: u64,
    /// Its wall clock.
    pub clock: TimeMs,
    /// Its devices.
    pub devices: Vec<DeviceHealth>,
    /// Counts beats.
    pub counter: u64,
    /// Why the last order on `limits` was refused, in words; empty = none was.
    pub limits_fault: String,
    /// How its disk does.
    pub storage: Storage,
    /// Why, in words; empty = it is well.
    pub storage_fault: String,
    /// Bytes that the spool may have; 0 = not said.
    pub spool_quota: u64,
}

/// How the disk of a gateway does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Storage {
    /// Everything is kept.
    #[default]
    Fine,
    /// The quota is used, and what the centre does not have becomes coarser.
    Thinning,
    /// The disk is full: alarm records take the place of telemetry.
    Full,
    /// Nothing can be written; records wait in memory.
    Refusing,
    /// The disk is dead; everything is in memory.
    InMemory,
}

impl Storage {
    /// Every state, in the order of its codes.
    pub const ALL: [Self; 5] =
        [Self::Fine, Self::Thinning, Self::Full, Self::Refusing, Self::InMemory];

    /// One word, the same everywhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Thinning => "thinning",
            Self::Full => "full",
            Self::Refusing => "refusing",
            Self::InMemory => "in_memory",
        }
    }

    /// The disk takes what it is given.
    #[must_use]
    pub fn is_sound(self) -> bool {
        match self {
            Self::Fine | Self::Thinning => true,
            Self::Full | Self::Refusing | Self::InMemory => false,
        }
    }

    fn code(self) -> u32 {
        match self {
            Self::Fine => 0,
            Self::Thinning => 1,
            Self::Full => 2,
            Self::Refusing => 3,
            Self::InMemory => 4,
        }
    }

    /// What a later version says is not well, at any rate.
    fn from_code(code: u32) -> Self {
        Self::ALL.into_iter().find(|one| one.code() == code).unwrap_or(Self::Refusing)
    }
}

/// How one device of a gateway does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceHealth {
    /// Its name in the site file.
    pub name: String,
    /// Last good reply; `TimeMs(0)` = never.
    pub last_good: TimeMs,
    /// Present fault as a word, empty = none.
    pub fault: String,
}

/// What the centre says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// What is durable.
    pub durable: Durable,
    /// The centre lacks the catalogue: publish the birth again.
    pub birth_wanted: bool,
    /// The centre's wall clock.
    pub clock: TimeMs,
    /// What the centre could not use of this gateway's messages, in words; empty = nothing.
    pub fault: String,
}

/// The canonical bytes of a catalogue; the head of their SHA-256 is its [`Revision`].
#[must_use]
pub fn catalogue_bytes(catalogue: &Catalogue) -> Vec<u8> {
    let Catalogue { enterprise, installations, points } = catalogue;
    let (enterprise, installations) = (enterprise.clone(), installations.clone());
    let head = Catalogue { enterprise, installations, points: Vec::new() };
    let mut bytes = catalogue_to_wire(&head).encode_to_vec();
    // Point by point, as a message joined to the one before: a copy of all of them would be the
    // catalogue a second time.
    for point in points {
        let point = vec![point_to_wire(point)];
        let one = proto::Catalogue { point, ..proto::Catalogue::default() };
        bytes.extend(one.encode_to_vec());
    }
    bytes
}

fn catalogue_to_wire(catalogue: &Catalogue) -> proto::Catalogue {
    proto::Catalogue {
        enterprise: catalogue.enterprise.clone(),
        installation: catalogue
            .installations
            .iter()
            .map(|i| proto::Installation {
                name: i.name.clone(),
                hazard_class: u32::from(i.hazard_class),
                kind: i.kind.clone(),
            })
            .collect(),
        point: catalogue.points.iter().map(point_to_wire).collect(),
    }
}

fn point_to_wire(p: &Point) -> proto::Point {
    proto::Point {
        tag: p.tag.as_str().to_owned(),
        name: p.name.clone(),
        unit: p.unit.clone(),
        low: p.low,
        high: p.high,
        installation: p.installation,
        equipment: p.equipment.clone(),
        period_ms: p.period_ms,
        silence_ms: p.silence_ms,
        signal: p.signal.clone(),
    }
}

/// Reads canonical bytes back.
///
/// # Errors
/// [`WireFault`] names the field.
pub fn decode_catalogue(bytes: &[u8]) -> Result<Catalogue, WireFault> {
    limit("catalogue", bytes.len(), BIRTH_UNPACKED_MAX)?;
    limit_catalogues(&[bytes])?;
    let wire = proto::Catalogue::decode(bytes).map_err(|e| malformed("catalogue", &e))?;
    catalogue_from_wire(wire)
}

/// Counts before anything is allocated for it. Catalogues that stand apart add up.
fn limit_catalogues(catalogues: &[&[u8]]) -> Result<(), WireFault> {
    const INSTALLATION: u64 = 2;
    const POINT: u64 = 3;
    let (mut installations, mut points) = (0, 0);
    for catalogue in catalogues {
        installations += fields::count("catalogue", catalogue, INSTALLATION)?;
        points += fields::count("catalogue", catalogue, POINT)?;
    }
    limit("installations of a catalogue", installations, INSTALLATIONS_MAX)?;
    limit("points of a catalogue", points, POINTS_MAX)
}

fn catalogue_from_wire(wire: proto::Catalogue) -> Result<Catalogue, WireFault> {
    let mut points = Vec::with_capacity(wire.point.len());
    for p in wire.point {
        let tag = Tag::parse(&p.tag)
            .map_err(|fault| field("point", "tag", format!("{:?} {fault}", p.tag)))?;
        points.push(Point {
            tag,
            name: p.name,
            unit: p.unit,
            low: p.low,
            high: p.high,
            installation: p.installation,
            equipment: p.equipment,
            period_ms: p.period_ms,
            silence_ms: p.silence_ms,
            signal: p.signal,
        });
    }
    let installations = wire
        .installation
        .into_iter()
        .map(|i| Installation {
            name: i.name,
            hazard_class: u8::try_from(i.hazard_class).unwrap_or(0),
            kind: i.kind,
        })
        .collect();
    let catalogue = Catalogue { enterprise: wire.enterprise, installations, points };
    match catalogue.faults().first() {
        Some(fault) => Err(field("birth", "catalogue", fault.to_string())),
        None => Ok(catalogue),
    }
}

fn gateway_of(message: &'static str, name: &str) -> Result<GatewayId, WireFault> {
    GatewayId::parse(name).map_err(|fault| field(message, "gateway", fault.to_string()))
}

/// Encodes a birth.
///
/// # Errors
/// [`WireFault::TooLarge`] when the catalogue does not fit into a packet.
pub fn encode_birth(birth: &Birth) -> Result<Vec<u8>, WireFault> {
    pack_birth(&birth_to_wire(birth).encode_to_vec())
}

/// The same birth from a catalogue in its canonical bytes, which are not unpacked into points; the
/// birth's own `catalogue` is not looked at.
///
/// # Errors
/// [`WireFault::TooLarge`] when the catalogue does not fit into a packet.
pub fn encode_birth_around(birth: &Birth, catalogue: &[u8]) -> Result<Vec<u8>, WireFault> {
    /// Of a field that is a message.
    const LENGTH_DELIMITED: u64 = 2;
    let whole = birth_to_wire(&Birth { catalogue: None, ..birth.clone() });
    // Fields stand in the order of their numbers: those before the catalogue, and those behind it.
    let head = proto::Birth { limits_revision: 0, software: String::new(), ..whole.clone() };
    let (limits_revision, software) = (whole.limits_revision, whole.software);
    let tail = proto::Birth { limits_revision, software, ..proto::Birth::default() };
    let tail = tail.encode_to_vec();
    let mut plain = Vec::with_capacity(head.encoded_len() + catalogue.len() + tail.len() + 16);
    plain.extend(head.encode_to_vec());
    for number in [BIRTH_CATALOGUE << 3 | LENGTH_DELIMITED, catalogue.len() as u64] {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        prost::encode_length_delimiter(number, &mut plain).expect("a vector has room");
    }
    plain.extend_from_slice(catalogue);
    plain.extend(tail);
    pack_birth(&plain)
}

fn birth_to_wire(birth: &Birth) -> proto::Birth {
    proto::Birth {
        gateway: birth.gateway.as_str().to_owned(),
        online: birth.online,
        epoch: birth.epoch.0,
        oldest_offset: birth.oldest,
        next_offset: birth.next,
        boot: birth.boot,
        catalogue_revision: birth.catalogue_revision.0,
        catalogue: birth.catalogue.as_ref().map(catalogue_to_wire),
        limits_revision: birth.limits_revision.0,
        software: birth.software.clone(),
    }
}

fn pack_birth(plain: &[u8]) -> Result<Vec<u8>, WireFault> {
    let packed =
        zstd::bulk::compress(plain, 3).map_err(|e| field("birth", "zstd", e.to_string()))?;
    limit("birth", packed.len(), PACKET_MAX - 4_096)?;
    Ok(packed)
}

/// Decodes a birth: one zstd frame of a `Birth` message.
///
/// # Errors
/// [`WireFault`] names the field.
pub fn decode_birth(bytes: &[u8]) -> Result<Birth, WireFault> {
    limit("birth", bytes.len(), PACKET_MAX)?;
    let plain = unpack("birth", "zstd", bytes, BIRTH_UNPACKED_MAX)?;
    limit_catalogues(&fields::contents("birth", &plain, BIRTH_CATALOGUE)?)?;
    let wire = proto::Birth::decode(plain.as_slice()).map_err(|e| malformed("birth", &e))?;
    if wire.oldest_offset > wire.next_offset || wire.next_offset > Offset::MAX / 2 {
        return Err(field("birth", "oldest_offset", "lies beyond next_offset"));
    }
    if wire.online && wire.epoch == 0 {
        return Err(field("birth", "epoch", "is 0; an epoch is a random number"));
    }
    Ok(Birth {
        gateway: gateway_of("birth", &wire.gateway)?,
        online: wire.online,
        epoch: Epoch(wire.epoch),
        oldest: wire.oldest_offset,
        next: wire.next_offset,
        boot: wire.boot,
        catalogue_revision: Revision(wire.catalogue_revision),
        catalogue: wire.catalogue.map(catalogue_from_wire).transpose()?,
        limits_revision: Revision(wire.limits_revision),
        software: wire.software,
    })
}

/// Encodes a beat.
#[must_use]
pub fn encode_beat(beat: &Beat) -> Vec<u8> {
    proto::Beat {
        gateway: beat.gateway.as_str().to_owned(),
        epoch: beat.epoch.0,
        next_offset: beat.next,
        oldest_offset: beat.oldest,
        durable_next: beat.durable_next,
        spool_bytes: beat.spool_bytes,
        oldest_unacked_ms: beat.oldest_unacked_ms,
        catalogue_revision: beat.catalogue_revision.0,
        limits_revision: beat.limits_revision.0,
        alarm_loop_turns: beat.alarm_loop_turns,
        clock_ms: beat.clock.0,
        device: beat
            .devices
            .iter()
            .map(|d| proto::Device {
                name: d.name.clone(),
                last_good_ms: d.last_good.0,
                fault: d.fault.clone(),
            })
            .collect(),
        counter: beat.counter,
        limits_fault: beat.limits_fault.clone(),
        storage: beat.storage.code(),
        storage_fault: beat.storage_fault.clone(),
        spool_quota: beat.spool_quota,
    }
    .encode_to_vec()
}

/// Decodes a beat.
///
/// # Errors
/// [`WireFault`] names the field.
pub fn decode_beat(bytes: &[u8]) -> Result<Beat, WireFault> {
    limit("beat", bytes.len(), PACKET_MAX)?;
    let wire = proto::Beat::decode(bytes).map_err(|e| malformed("beat", &e))?;
    if wire.oldest_offset > wire.next_offset || wire.next_offset > Offset::MAX / 2 {
        return Err(field("beat", "oldest_offset", "lies beyond next_offset"));
    }
    Ok(Beat {
        gateway: gateway_of("beat", &wire.gateway)?,
        epoch: Epoch(wire.epoch),
        next: wire.next_offset,
        oldest: wire.oldest_offset,
        durable_next: wire.durable_next,
        spool_bytes: wire.spool_bytes,
        oldest_unacked_ms: wire.oldest_unacked_ms,
        catalogue_revision: Revision(wire.catalogue_revision),
        limits_revision: Revision(wire.limits_revision),
        alarm_loop_turns: wire.alarm_loop_turns,
        clock: TimeMs(wire.clock_ms),
        devices: wire
            .device
            .into_iter()
            .map(|d| DeviceHealth {
                name: d.name,
                last_good: TimeMs(d.last_good_ms),
                fault: d.fault,
            })
            .collect(),
        counter: wire.counter,
        limits_fault: wire.limits_fault,
        storage: Storage::from_code(wire.storage),
        storage_fault: wire.storage_fault,
        spool_quota: wire.spool_quota,
    })
}

/// Encodes an acknowledgement.
#[must_use]
pub fn encode_ack(ack: &Ack) -> Vec<u8> {
    proto::Ack {
        epoch: ack.durable.epoch.0,
        durable_next: ack.durable.next,
        island: ack.durable.islands.iter().flat_map(|(lo, hi)| [*lo, *hi]).collect(),
        birth_wanted: ack.birth_wanted,
        clock_ms: ack.clock.0,
        fault: ack.fault.clone(),
    }
    .encode_to_vec()
}

/// Decodes an acknowledgement.
///
/// # Errors
/// [`WireFault`] names the field.
pub fn decode_ack(bytes: &[u8]) -> Result<Ack, WireFault> {
    limit("ack", bytes.len(), PACKET_MAX)?;
    let wire = proto::Ack::decode(bytes).map_err(|e| malformed("ack", &e))?;
    let mut islands = Vec::with_capacity(wire.island.len() / 2);
    let mut pairs = wire.island.chunks_exact(2);
    for pair in &mut pairs {
        match pair {
            [lo, hi] if lo < hi => islands.push((*lo, *hi)),
            _ => return Err(field("ack", "island", "holds a pair that does not rise")),
        }
    }
    if !pairs.remainder().is_empty() {
        return Err(field("ack", "island", "has an odd number of entries"));
    }
    let durable = Durable { epoch: Epoch(wire.epoch), next: wire.durable_next, islands };
    Ok(Ack {
        durable,
        birth_wanted: wire.birth_wanted,
        clock: TimeMs(wire.clock_ms),
        fault: wire.fault,
    })
}
