//! The last order that was taken, remembered beside the order itself: who damages the one must not
//! make an older order pass for a newer.
//!
//! - Written before the order, so that no order judges that could be taken back by an older one.
//! - Of one key and one gateway: another centre counts anew, and so does a box that was given the
//!   card of another.
//! - Whoever can write both files can undo both; the folder is the gateway's alone.

use std::fs;
use std::io;
use std::path::Path;

use fengsui_telemetry::wire::LimitsOrder;
use fengsui_telemetry::{GatewayId, TimeMs};
use ring::digest::{SHA256, digest};

use super::CentreKey;
use crate::fresh::{self, Kept};

const FILE: &str = "limits.floor";

/// What was taken last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(super) issued: TimeMs,
    /// SHA-256 of the order as it was signed.
    pub(super) order: [u8; 32],
    pub(super) key: CentreKey,
    pub(super) gateway: GatewayId,
}

impl Floor {
    pub(super) fn of(message: &[u8], order: &LimitsOrder, key: CentreKey) -> Self {
        let LimitsOrder { issued, gateway, .. } = order;
        Self { issued: *issued, order: sha256(message), key, gateway: gateway.clone() }
    }

    /// Whether it says anything of orders of this key for this gateway.
    pub(super) fn is_for(&self, key: CentreKey, gateway: &GatewayId) -> bool {
        (self.key, &self.gateway) == (key, gateway)
    }

    /// None where nothing was ever taken.
    ///
    /// # Errors
    /// It cannot be read, or not all of it is as it was written.
    pub(super) fn read(data: &Path) -> Result<Option<Self>, String> {
        let text = match fs::read_to_string(data.join(FILE)) {
            Ok(text) => text,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(format!("{FILE}: {fault}")),
        };
        let floor = Self::parse(&text).filter(|floor| floor.text() == text);
        floor.map(Some).ok_or_else(|| {
            format!("{FILE} 已损坏：旧的签名限值可能被当作新的接受 / is damaged: an older signed order may pass for a newer one")
        })
    }

    /// On disk before it returns.
    pub(super) fn keep(&self, data: &Path) -> io::Result<()> {
        fresh::replace(&data.join(FILE), self.text().as_bytes(), Kept::Durable)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let issued = TimeMs(fields.next()?.parse().ok()?);
        let mut bytes = || super::from_hex(fields.next()?)?.try_into().ok();
        let (order, key) = (bytes()?, CentreKey(bytes()?));
        Some(Self { issued, order, key, gateway: GatewayId::parse(fields.next()?).ok()? })
    }

    /// `issued order key gateway check`, the check over what stands before it.
    fn text(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (order, key) = (hex(&self.order), hex(&self.key.0));
        let said = format!("{} {order} {key} {}", self.issued.0, self.gateway);
        let check = hex(&sha256(said.as_bytes()));
        format!("{said} {check}\n")
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}
