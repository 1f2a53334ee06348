//! Signatures, and what they are written in.

use ring::hmac;

/// HMAC-SHA256.
#[must_use]
pub(super) fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text).as_ref().to_vec()
}

/// Lower-case hex.
#[must_use]
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Base64 with padding.
#[must_use]
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let byte = |n: usize| u32::from(part.get(n).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let place = usize::try_from(word >> (18 - 6 * n) & 63).unwrap_or(0);
            let letter = ALPHABET.get(place).copied().unwrap_or(b'=');
            text.push(if n <= part.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// For a query or a form.
#[must_use]
pub(super) fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // RFC 4231, case 2.
        let sum = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&sum), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        // RFC 4648, section 10.
        let told: Vec<_> = ["", "f", "fo", "foo", "foob", "fooba", "foobar"]
            .map(|text| base64(text.as_bytes()))
            .into();
        assert_eq!(told, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(percent("a b+/=罐"), "a%20b%2B%2F%3D%E7%BD%90");
    }
}
