//! Alarm ids: short enough to say over the phone, the same when a recording is replayed.

use super::AlarmKind;
use crate::frame::Timestamp;

const LETTERS: &[u8] = b"abcdefghjkmnpqrstvwxyz";
const CHARACTERS: &[u8] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// An id made from the model and the moment, so that a replay gives the very same one. `attempt`
/// counts up while the id is taken by a recent alarm.
pub fn alarm_id(model: &str, kind: AlarmKind, raised_at: Timestamp, attempt: u32) -> String {
    // FNV-1a, 64 bit, finished as in splitmix64.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let kind = [kind as u8];
    let time = raised_at.nanos().to_le_bytes();
    let attempt = attempt.to_le_bytes();
    for byte in model.bytes().chain(kind).chain(time).chain(attempt) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    let mut id = String::with_capacity(4);
    id.push(char::from(LETTERS[(hash % LETTERS.len() as u64) as usize]));
    for place in 0..3 {
        let character = (hash >> (16 + 8 * place)) % CHARACTERS.len() as u64;
        id.push(char::from(CHARACTERS[character as usize]));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_stable_and_spread() {
        let at = |second: i64| {
            alarm_id(
                "plant",
                AlarmKind::Anomaly,
                Timestamp::from_seconds(second),
                0,
            )
        };
        assert_eq!(at(7), at(7));
        let ids: std::collections::HashSet<String> = (0..1_000).map(at).collect();
        assert!(ids.len() > 990, "{}", ids.len());
        assert!(
            ids.iter()
                .all(|id| id.len() == 4 && id.as_bytes()[0].is_ascii_lowercase())
        );
    }
}
