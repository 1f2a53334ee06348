//! The centre's own key: what it signs for gateways, they can trust without trusting the broker.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use fengsui_telemetry::wire::{
    LimitsOrder, SignedLimits, WireFault, encode_limits, encode_limits_order,
};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// The private key, PKCS #8, in the data folder.
pub const KEY_FILE: &str = "centre.key";

/// An Ed25519 key pair.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

impl SigningKey {
    /// Reads the key of a data folder; makes one at the first start.
    ///
    /// # Errors
    /// The file cannot be read or written, is damaged, or can be read by others.
    pub fn open(data: &Path) -> anyhow::Result<Self> {
        let path = data.join(KEY_FILE);
        if path.exists() { Self::read(data) } else { Self::make(&path) }
    }

    /// Reads the key of a data folder.
    ///
    /// # Errors
    /// There is none, it is damaged, or others can read it.
    pub fn read(data: &Path) -> anyhow::Result<Self> {
        let path = data.join(KEY_FILE);
        let name = path.display();
        let bytes = fs::read(&path).with_context(|| format!("{name}"))?;
        let mode = fs::metadata(&path)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{name}：其他用户可以读取，请执行 chmod 600 / others can read it: chmod 600");
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes)
            .map_err(|why| anyhow!("{name}：密钥损坏 / the key is damaged: {why}"))?;
        Ok(Self(Arc::new(pair)))
    }

    fn make(path: &Path) -> anyhow::Result<Self> {
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| anyhow!("the system gives no random bytes"))?;
        let next = path.with_extension("key.next");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(bytes.as_ref())?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        let folder = path.parent().context("a file stands in a folder")?;
        fs::File::open(folder)?.sync_all()?;
        Self::read(folder)
    }

    /// The public key, hex: what a gateway's file is given.
    #[must_use]
    pub fn public(&self) -> String {
        self.0.public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// An order for a gateway, signed and encoded.
    ///
    /// # Errors
    /// It does not fit into a packet.
    pub fn sign(&self, order: &LimitsOrder) -> Result<Vec<u8>, WireFault> {
        let order = encode_limits_order(order)?;
        let signature = self.0.sign(&order.message()).as_ref().to_vec();
        Ok(encode_limits(&SignedLimits { order, signature }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_refused_when_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = SigningKey::open(folder.path()).unwrap().public();
        assert_eq!(first.len(), 64);
        assert_eq!(SigningKey::open(folder.path()).unwrap().public(), first);
        let path = folder.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = SigningKey::open(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        fs::write(&path, b"noise").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = SigningKey::open(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("centre.key"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"noise");
    }
}
