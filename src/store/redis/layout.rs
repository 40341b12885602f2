//! Keys, slots and bytes of the Redis store. `../redis.rs` says what each key is for.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use crate::{
    complaint::TrackingId,
    receipt::{ChannelId, ReceiptId},
    store::{ClaimKey, SenderKey, SenderState, Versioned},
};

/// Slots of senders. It can never change: a sender would be looked for in another slot.
pub const PARTITIONS: u8 = 64;
/// Claims of one partition and epoch, and event ids of one queue and epoch, are spread over so many small hashes. Redis keeps
/// one with up to 128 small fields as one piece of memory.
pub const CLAIM_BUCKETS: u16 = 1024;
pub const EVENT_BUCKETS: u16 = 16_384;
/// Claims that end within the same 32 days share hashes, which vanish as a whole.
const EPOCH: i64 = 32 * 86_400_000;
/// More epochs than these are not looked through: claims are then kept for a year.
const MOST_EPOCHS: usize = 13;
/// Deadline of a memory that has none.
const NO_DEADLINE: [u8; 8] = [0xff; 8];

/// Milliseconds since 1970; what came before is the beginning.
pub fn millis(time: Timestamp) -> i64 {
    time.as_millisecond().max(0)
}

pub fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// Milliseconds from one time to another, at least one: a key that lives for none would be an error of the server's.
pub fn life(from: Timestamp, until: Timestamp) -> i64 {
    (millis(until) - millis(from)).max(1)
}

/// The 32 days that a time in milliseconds belongs to.
pub fn epoch(millis: i64) -> i64 {
    millis / EPOCH
}

/// When a receipt arrived, in milliseconds.
pub fn arrival(receipt: ReceiptId) -> i64 {
    millis(receipt.arrived_at())
}

/// The partition of a sender.
pub fn partition(sender: SenderKey) -> u8 {
    sender.0[15] % PARTITIONS
}

/// A key in the slot of a partition of senders.
pub fn of_senders(partition: u8, name: &str) -> String {
    format!("loket:{{s:{partition}}}:{name}")
}

/// The hash in which the memory of a sender is a field. Many things in one hash take far less memory than a key for each,
/// and less time to walk over.
pub fn memories(sender: SenderKey) -> String {
    of_senders(partition(sender), &format!("memories:{:02x}", sender.0[14]))
}

/// A key in the slot of a queue.
pub fn of_queue(queue: &str, name: &str) -> String {
    format!("loket:{{q:{queue}}}:{name}")
}

/// A key in the slot of a channel's answers.
pub fn of_channel(channel: &ChannelId, name: &str) -> String {
    format!("loket:{{o:{channel}}}:{name}")
}

/// The first half of SHA-256.
pub fn short_hash(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest(&SHA256, bytes).as_ref()[..16]);
    half
}

/// A provider's id, which may have any length and any bytes.
pub fn hashed(foreign: &str) -> String {
    URL_SAFE_NO_PAD.encode(short_hash(foreign.as_bytes()))
}

fn spread(text: &str) -> u16 {
    let hash = short_hash(text.as_bytes());
    u16::from_be_bytes([hash[0], hash[1]])
}

/// The hash in which a tracking id is a field.
pub fn tracking_ids(id: &TrackingId) -> String {
    format!("loket:tracking:{:04x}", spread(id.as_str()))
}

/// The hash in which the sealed address behind a reference is a field.
pub fn vault(reporter_ref: &str) -> String {
    format!("loket:vault:{:03x}", spread(reporter_ref) % 4096)
}

/// A key in the slot of a complaint, which it shares with some others.
pub fn of_complaint(id: Uuid, name: &str) -> String {
    let last = id.as_bytes();
    format!("loket:{{c:{:03x}}}:{name}", u16::from_be_bytes([last[14], last[15]]) % 4096)
}

pub fn nonce(key: ClaimKey) -> String {
    format!("loket:nonce:{}", URL_SAFE_NO_PAD.encode(key.0))
}

/// The hashes in which something that ends at `until` may stand for whoever comes at `from`; the last is the one to write.
pub struct Buckets {
    pub keys: Vec<String>,
    /// Milliseconds from `from` until the written one is over.
    pub life: i64,
}

/// `prefix` ends with a colon; `hash` spreads. What was written with a window of up to `longest` milliseconds is found.
pub fn buckets(prefix: &str, count: u16, hash: [u8; 16], from: i64, until: Timestamp, longest: i64) -> Buckets {
    let bucket = u16::from_be_bytes([hash[0], hash[1]]) % count;
    let written = epoch(millis(until).max(from));
    let first = epoch(from).max(written - MOST_EPOCHS as i64 + 1);
    let key = |epoch: i64| format!("{prefix}{epoch}:{bucket:x}");
    let last = epoch(from + longest).clamp(written, written + MOST_EPOCHS as i64);
    let others = (first..=last).filter(|epoch| *epoch != written);
    let keys = others.chain([written]).map(key).collect();
    Buckets { keys, life: (written + 1) * EPOCH - from }
}

/// Who holds a claim, and until when: 16 bytes and 6.
pub fn claim_value(receipt: ReceiptId, until: Timestamp) -> Vec<u8> {
    let mut value = receipt.0.as_bytes().to_vec();
    value.extend_from_slice(&millis(until).to_be_bytes()[2..]);
    value
}

/// A nonce's value: the hash of the body that it came with, and until when it holds.
pub fn nonce_value(body: [u8; 16], until: Timestamp) -> Vec<u8> {
    let mut value = body.to_vec();
    value.extend_from_slice(&millis(until).to_be_bytes());
    value
}

/// Body and end of a nonce.
pub fn read_nonce(value: &[u8]) -> Option<([u8; 16], i64)> {
    let (body, until) = value.split_first_chunk::<16>()?;
    Some((*body, i64::from_be_bytes(until.try_into().ok()?)))
}

/// A sender's memory: version, deadline and writer of 8 bytes each, then the pipeline's bytes.
pub fn write_memory(version: u64, writer: [u8; 8], state: &SenderState) -> Vec<u8> {
    let mut value = Vec::with_capacity(24 + state.value.len());
    value.extend_from_slice(&version.to_be_bytes());
    value.extend_from_slice(&state.deadline.map_or(NO_DEADLINE, |deadline| millis(deadline).to_be_bytes()));
    value.extend_from_slice(&writer);
    value.extend_from_slice(&state.value);
    value
}

/// None when the bytes are no memory.
pub fn read_memory(value: &[u8]) -> Option<Versioned> {
    let (version, rest) = value.split_first_chunk::<8>()?;
    let (deadline, rest) = rest.split_first_chunk::<8>()?;
    let (_writer, value) = rest.split_first_chunk::<8>()?;
    let deadline = (*deadline != NO_DEADLINE).then(|| time(i64::from_be_bytes(*deadline)));
    let state = SenderState { value: value.to_vec(), deadline };
    Some(Versioned { version: u64::from_be_bytes(*version), state })
}

/// The id of an entry, `<milliseconds>-<sequence>`, if it is one.
pub fn is_entry_id(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(ms, sequence)| number(ms) && number(sequence))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[test]
    fn a_claim_is_found_on_each_day_of_its_window_and_its_hash_lives_as_long() {
        let hash = [7; 16];
        for beginning in 0..40 {
            let start = time(1_770_000_000_000) + DAY * beginning;
            let until = start + DAY * 30;
            let written = buckets("p:", CLAIM_BUCKETS, hash, millis(start), until, 0);
            assert!(written.life >= life(start, until), "on day {beginning}");
            assert!(written.life <= life(start, until) + EPOCH, "on day {beginning}");
            for day in 0..30 {
                let now = start + DAY * day;
                let looked = buckets("p:", CLAIM_BUCKETS, hash, millis(now), now + DAY * 30, 0);
                assert!(looked.keys.contains(written.keys.last().expect("one")), "day {day} after day {beginning}");
                assert!(looked.keys.len() <= 2);
            }
        }
    }

    #[test]
    fn a_claim_of_a_longer_window_is_found_after_the_window_was_shortened() {
        let start = time(1_770_000_000_000);
        let written = buckets("p:", CLAIM_BUCKETS, [7; 16], millis(start), start + DAY * 90, 0);
        for day in 0..90 {
            let now = start + DAY * day;
            let looked =
                buckets("p:", CLAIM_BUCKETS, [7; 16], millis(now), now + DAY * 30, (DAY * 90).as_millis() as i64);
            assert!(looked.keys.contains(written.keys.last().expect("one")), "day {day}");
        }
    }

    proptest! {
        #[test]
        fn a_memory_is_read_as_it_was_written(version: u64, deadline in proptest::option::of(0_i64..9_000_000_000_000), value: Vec<u8>) {
            let state = SenderState { value, deadline: deadline.map(time) };
            let versioned = Versioned { version, state };
            prop_assert_eq!(read_memory(&write_memory(version, [7; 8], &versioned.state)), Some(versioned));
        }

        #[test]
        fn foreign_bytes_are_no_memory_and_no_panic(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read_nonce(&value);
            prop_assert_eq!(read_memory(&value).is_some(), value.len() >= 24);
        }

        #[test]
        fn any_times_give_a_few_buckets(
            from in 0_i64..9_000_000_000_000,
            until in 0_i64..9_000_000_000_000,
            longest in 0_i64..9_000_000_000_000,
        ) {
            let buckets = buckets("p:", CLAIM_BUCKETS, [1; 16], from, time(until), longest);
            prop_assert!((1..=2 * MOST_EPOCHS).contains(&buckets.keys.len()));
            prop_assert!(buckets.life > 0);
        }

        #[test]
        fn any_text_may_be_asked_whether_it_is_an_entry(text: String) {
            prop_assert!(!is_entry_id(&text) || text.contains('-'));
        }
    }
}
