//! Random secrets, their hashes, and proofs for forms.

use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

/// Bytes of a session or a token: nobody guesses 256 bits.
const TOKEN_BYTES: usize = 32;
/// What a token for programs begins with, so that one in a log or a repository is recognised.
const TOKEN_MARK: &str = "fengsui_";
/// Letters of generated passwords: none is taken for another on a printout.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789x";
/// Letters of a generated password: 16 of 5 bits, 80 bits.
const PASSWORD_LETTERS: usize = 16;

/// The system gives no random bytes: nothing secret can be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandom;

fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0_u8; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// What a session's cookie carries.
///
/// # Errors
/// No random bytes.
pub fn session() -> Result<String, NoRandom> {
    Ok(hex(&random::<TOKEN_BYTES>()?))
}

/// A token for programs.
///
/// # Errors
/// No random bytes.
pub fn token() -> Result<String, NoRandom> {
    Ok(format!("{TOKEN_MARK}{}", session()?))
}

/// A password that people can copy from paper.
///
/// # Errors
/// No random bytes.
pub fn password() -> Result<String, NoRandom> {
    let bytes = random::<PASSWORD_LETTERS>()?;
    let letters = bytes.iter().map(|byte| LETTERS.get(usize::from(byte % 32)).copied());
    let letters: Vec<u8> = letters.map(|letter| letter.unwrap_or(b'x')).collect();
    let groups: Vec<String> =
        letters.chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    Ok(groups.join("-"))
}

/// Sixteen random bytes as hex.
///
/// # Errors
/// No random bytes.
pub fn key() -> Result<String, NoRandom> {
    Ok(hex(&random::<16>()?))
}

/// What the database keeps of a session's cookie; none: it cannot be one.
#[must_use]
pub fn hash_of_session(text: &str) -> Option<[u8; 32]> {
    let plain = text.len() == 2 * TOKEN_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| hash(text))
}

/// What the database keeps of a token; none: it cannot be one.
#[must_use]
pub fn hash_of_token(text: &str) -> Option<[u8; 32]> {
    hash_of_session(text.strip_prefix(TOKEN_MARK)?)
}

fn hash(text: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// What a form for this purpose carries: nobody else's form does, and it ends with the process.
#[must_use]
pub fn proof(key: &str, purpose: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), purpose.as_bytes()).as_ref())
}

/// True where a form carries the proof of its purpose.
#[must_use]
pub fn proves(key: &str, purpose: &str, given: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    unhex(given).is_some_and(|given| hmac::verify(&key, purpose.as_bytes(), &given).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() > 2 * TOKEN_BYTES {
        return None;
    }
    let pairs = text.as_bytes().chunks(2).map(std::str::from_utf8);
    pairs.map(|pair| u8::from_str_radix(pair.ok()?, 16).ok()).collect()
}

/// Bytes as hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_only_their_own_kind_is_taken() {
        let (one, other) = (session().unwrap(), session().unwrap());
        assert_ne!(hash_of_session(&one), hash_of_session(&other));
        assert!(hash_of_session(&one).is_some());
        let token = token().unwrap();
        assert!(hash_of_token(&token).is_some() && hash_of_session(&token).is_none());
        assert!(hash_of_token(&one).is_none());
        for bad in ["", "out", &one[1..], &format!("{one}0"), &one.replace(&one[..1], "é")] {
            assert_eq!(hash_of_session(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_proof_holds_for_its_key_and_purpose_alone() {
        let given = proof("key", "ack by 7");
        assert!(proves("key", "ack by 7", &given));
        assert!(!proves("key", "ack by 8", &given));
        assert!(!proves("other", "ack by 7", &given));
        for bad in ["", "zz", "0", &given[2..], "é"] {
            assert!(!proves("key", "ack by 7", bad), "{bad}");
        }
    }

    #[test]
    fn generated_passwords_are_long_and_differ() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 19);
        assert!(!one.contains(['0', 'o', '1', 'l', 'i']), "{one}");
    }
}
