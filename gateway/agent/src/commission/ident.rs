//! Function 43/14, read device identification, where a device has it (Modbus application protocol
//! 1.1b3, 6.21). Modbus TCP only: most devices on a serial line do not know it, and some fall
//! silent over it.

use std::collections::BTreeMap;

use fengsui_scan::is_hidden;
use serde::Serialize;

use crate::bus::mbap::Mbap;
use crate::bus::wire::Pace;

/// The three basic objects come in one reply; a device may cut it in two.
const REPLIES_MAX: usize = 4;

/// What a device says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Identity {
    pub(super) vendor: String,
    pub(super) product: String,
    pub(super) revision: String,
}

impl Identity {
    /// In one line.
    pub(super) fn line(&self) -> String {
        [&self.vendor, &self.product, &self.revision]
            .map(String::as_str)
            .join(" ")
            .trim()
            .to_owned()
    }
}

/// Asks one unit. None where it has nothing to say.
pub(super) async fn ask(mbap: &mut Mbap, unit: u8, pace: Pace) -> Option<Identity> {
    let mut objects = BTreeMap::new();
    let mut first = 0;
    for _ in 0..REPLIES_MAX {
        mbap.rest(pace).await;
        let reply = mbap.exchange(unit, &[43, 14, 1, first], pace.patience).await.ok()?;
        match take(&reply, &mut objects)? {
            Some(next) if next > first => first = next,
            Some(_) | None => break,
        }
    }
    let mut object = |number: u8| objects.remove(&number).unwrap_or_default();
    let identity = Identity { vendor: object(0), product: object(1), revision: object(2) };
    (identity != Identity::default()).then_some(identity)
}

/// Takes the objects of a reply; gives back the next object to ask for, if more follow.
fn take(reply: &[u8], objects: &mut BTreeMap<u8, String>) -> Option<Option<u8>> {
    let [43, 14, _code, _conformity, more, next, count, rest @ ..] = reply else { return None };
    let mut rest = rest;
    for _ in 0..*count {
        let [number, length, tail @ ..] = rest else { return None };
        let (text, tail) = tail.split_at_checked(usize::from(*length))?;
        objects.insert(*number, printable(text));
        rest = tail;
    }
    Some((*more == 0xff).then_some(*next))
}

/// A device may not steer the terminal.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|c| !is_hidden(*c)).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_of_a_reply_are_taken_and_nothing_else() {
        let mut objects = BTreeMap::new();
        let hidden = "A\u{1b}\u{202e}B".as_bytes();
        let reply = [&[43, 14, 1, 1, 0, 0, 2, 0, 6][..], hidden, &[1, 2], b"PX"].concat();
        assert_eq!(take(&reply, &mut objects), Some(None));
        assert_eq!(objects, BTreeMap::from([(0, "AB".to_owned()), (1, "PX".to_owned())]));
        for cut in 0..reply.len() {
            assert_eq!(take(&reply[..cut], &mut BTreeMap::new()), None, "{cut}");
        }
        let more = [43, 14, 1, 1, 0xff, 2, 0];
        assert_eq!(take(&more, &mut objects), Some(Some(2)));
        assert_eq!(take(&[0xab, 1], &mut objects), None);
    }
}
