//! Passwords: what is acceptable, and Argon2id, one at a time.
//!
//! - One password is computed at a time in the whole process: 19 MiB, and a processor for some
//!   tens of milliseconds. Of those from afar at most one stands in that queue, so that whoever
//!   logs in at the machine itself waits for one of them and never for a crowd.

use std::sync::Arc;
use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Shortest password of a person. ASVS 5.0 asks for eight at least and recommends fifteen.
pub const LETTERS_MIN: usize = 10;
/// Longest: a sentence. More is refused unread.
pub const LETTERS_MAX: usize = 200;
/// Passwords that wait, from afar and from the machine itself; more are told to come again.
const FAR_MAX: usize = 16;
const NEAR_MAX: usize = 64;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Too short.
    #[error("密码至少 10 个字符 (a password has at least 10 characters)")]
    Short,
    /// Too long.
    #[error("密码最多 200 个字符 (a password has at most 200 characters)")]
    Long,
    /// It is, or holds, the name.
    #[error("密码不能包含用户名 (a password must not contain the name)")]
    Name,
    /// One letter again and again.
    #[error("密码不能是重复的字符 (a password must not be one character repeated)")]
    Repeated,
}

/// Takes a password for a person of this name, or says why not. No rules about kinds of letters
/// and no end of its time: ASVS 6.2 forbids both.
///
/// # Errors
/// The password is too weak.
pub fn acceptable(name: &str, password: &str) -> Result<(), Weak> {
    let letters = password.chars().count();
    if letters < LETTERS_MIN {
        return Err(Weak::Short);
    }
    if letters > LETTERS_MAX {
        return Err(Weak::Long);
    }
    let first = password.chars().next();
    if password.chars().all(|letter| Some(letter) == first) {
        return Err(Weak::Repeated);
    }
    let (name, lower) = (name.to_lowercase(), password.to_lowercase());
    if name.chars().count() >= 3 && lower.contains(&name) { Err(Weak::Name) } else { Ok(()) }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .expect("19 MiB, two passes and one lane are within Argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The Argon2id text of a password. Blocks for tens of milliseconds.
///
/// # Errors
/// No random bytes, or no memory.
pub fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(argon2().hash_password(password.as_bytes())?.to_string())
}

/// True where the password is that of the text. Blocks for tens of milliseconds.
#[must_use]
pub fn matches(password: &str, text: &str) -> bool {
    PasswordHash::new(text)
        .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

/// What a name that nobody has is compared with, so that it takes as long as one that is known.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody has this").unwrap_or_default());

/// Where a password comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The machine itself.
    Near,
    /// A network.
    Far,
}

/// Too many passwords wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The one place where passwords are computed.
#[derive(Debug)]
pub struct Desk {
    one: Arc<Semaphore>,
    far: Semaphore,
    far_waiting: Semaphore,
    near_waiting: Semaphore,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            one: Arc::new(Semaphore::new(1)),
            far: Semaphore::new(1),
            far_waiting: Semaphore::new(FAR_MAX),
            near_waiting: Semaphore::new(NEAR_MAX),
        }
    }
}

impl Desk {
    /// Checks a password against its text; none: nobody has that name, which takes as long.
    ///
    /// # Errors
    /// Too many wait.
    pub async fn check(
        &self,
        way: Way,
        password: String,
        text: Option<String>,
    ) -> Result<bool, Busy> {
        self.compute(way, move || match text {
            Some(text) => matches(&password, &text),
            None => {
                std::hint::black_box(matches(&password, &NOBODY));
                false
            }
        })
        .await
    }

    /// Computes the text of a new password.
    ///
    /// # Errors
    /// Too many wait, or the system gives no random bytes.
    pub async fn hash(&self, way: Way, password: String) -> Result<String, Busy> {
        self.compute(way, move || hash(&password)).await?.map_err(|_| Busy)
    }

    async fn compute<T: Send + 'static>(
        &self,
        way: Way,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let waiting = match way {
            Way::Near => &self.near_waiting,
            Way::Far => &self.far_waiting,
        };
        let _place = waiting.try_acquire().map_err(|_| Busy)?;
        let _alone = match way {
            Way::Near => None,
            Way::Far => Some(self.far.acquire().await.map_err(|_| Busy)?),
        };
        let permit = self.one.clone().acquire_owned().await.map_err(|_| Busy)?;
        // The permit ends with the work and not with whoever asked: a browser that leaves must
        // not let a second one begin.
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_its_own_and_the_text_names_argon2id_with_its_costs() {
        let text = hash("correct horse").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert!(matches("correct horse", &text));
        assert!(!matches("correct horsf", &text));
        assert!(!matches("", &text));
        assert_ne!(text, hash("correct horse").unwrap(), "the same password twice shows it");
        for bad in ["", "correct horse", "$argon2id$v=19$m=19456,t=2,p=1$"] {
            assert!(!matches("correct horse", bad), "{bad}");
        }
    }

    #[test]
    fn weak_passwords_are_named() {
        assert_eq!(acceptable("wang", "wang"), Err(Weak::Short));
        assert_eq!(acceptable("wang", "WANG-2026-abc"), Err(Weak::Name));
        assert_eq!(acceptable("wang", &"a".repeat(12)), Err(Weak::Repeated));
        assert_eq!(acceptable("wang", &"ab".repeat(101)), Err(Weak::Long));
        assert_eq!(acceptable("wang", "罐区西门的第三盏灯灭了"), Ok(()));
        assert_eq!(acceptable("wang", &super::super::secret::password().unwrap()), Ok(()));
    }

    #[tokio::test]
    async fn a_crowd_from_afar_is_turned_away_and_the_machine_itself_is_not() {
        let desk = Arc::new(Desk::default());
        let held = desk.one.clone().acquire_owned().await.unwrap();
        let ask = |way| {
            let desk = desk.clone();
            async move { desk.check(way, "x".into(), None).await }
        };
        let mut crowd = Vec::new();
        for _ in 0..FAR_MAX {
            crowd.push(tokio::spawn(ask(Way::Far)));
        }
        while desk.far_waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(Way::Far).await, Err(Busy));
        let near = tokio::spawn(ask(Way::Near));
        while desk.near_waiting.available_permits() == NEAR_MAX {
            tokio::task::yield_now().await;
        }
        drop(held);
        assert_eq!(near.await.unwrap(), Ok(false));
        let done = crowd.iter().filter(|one| one.is_finished()).count();
        assert!(done <= 2, "{done} of the crowd went before the machine itself");
        for one in crowd {
            assert_eq!(one.await.unwrap(), Ok(false));
        }
    }
}
