//! Who a gateway is, as its births say it.
//!
//! A catalogue of 30,000 points takes megabytes, and a birth is rare: it is kept packed.

use std::io;

use fengsui_scan::Site;
use fengsui_telemetry::wire::catalogue_bytes;
use fengsui_telemetry::{GatewayId, Offset, Revision};

use crate::config::revision_of;
use crate::packed::Packed;

/// What does not change while a gateway runs.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) gateway: GatewayId,
    /// Canonical bytes: a birth is made around them, and is rare.
    pub(crate) catalogue: Packed,
    pub(crate) catalogue_revision: Revision,
    /// Catalogues of kept records from before, each with the offset at which the next begins.
    pub(crate) old_catalogues: Vec<OldCatalogue>,
}

/// A catalogue of kept records that is not the present one.
#[derive(Clone, Debug)]
pub(crate) struct OldCatalogue {
    /// The offset at which the next one begins.
    pub(crate) until: Offset,
    pub(crate) revision: Revision,
    /// Canonical bytes.
    pub(crate) bytes: Packed,
}

impl Identity {
    /// Of a site; `kept` are the canonical bytes of older catalogues.
    pub(crate) fn of(site: &Site, kept: Vec<(Offset, Vec<u8>)>) -> io::Result<Self> {
        let bytes = catalogue_bytes(&site.catalogue);
        let old = |(until, bytes): (Offset, Vec<u8>)| {
            let (revision, bytes) = (revision_of(&bytes), Packed::of(&bytes)?);
            Ok(OldCatalogue { until, revision, bytes })
        };
        Ok(Self {
            gateway: site.gateway.clone(),
            catalogue_revision: revision_of(&bytes),
            catalogue: Packed::of(&bytes)?,
            old_catalogues: kept.into_iter().map(old).collect::<io::Result<_>>()?,
        })
    }
}
