//! Keys and values of the embedded store, byte by byte.
//!
//! Numbers are big-endian so that keys sort by them; times are microseconds with the sign bit flipped, for the same
//! reason. Every value begins with a version byte. What is written once per message is raw bytes behind a small fixed
//! head; what people may want to read with a tool (records, answers) is JSON behind the head.
//!
//! | space | key | value behind the version byte |
//! |---|---|---|
//! | claims | `c` claim | until, receipt |
//! | claims | `n` nonce | until, hash of the body |
//! | claims | `e` hash of the id of an event that no claim goes with | until |
//! | senders | `s` sender | version, deadline, state |
//! | senders | `v` reporter | the vault's bytes |
//! | senders | `k` tracking id | the complaint |
//! | events | `e` queue `0` number | [`Entry`]: flags, priority, complaint, time, JSON |
//! | events | `d` queue `0` number | [`Dead`]: time, attempts, reason, and the entry |
//! | state | `t` deadline, sender | nothing: the senders by deadline |
//! | state | `q` queue | head, number of dead letters |
//! | state | `l` queue `0` number | a lease or a delay |
//! | state | `r` complaint | the record in JSON |
//! | state | `L`, `A`, `S` complaint | first lease; acknowledgement; status changes in JSON |
//! | state | `o` answer | state, shown again at, the answer in JSON |
//! | state | `w` channel `0` time, answer | nothing: what waits, by time |
//! | state | `g` time, answer | nothing: what was given up on, by time |
//! | state | `x` channel `0` external id | until, the answer |
//! | state | `p` channel `0` external id | until, a parked report in JSON |
//! | state | `b` budget, `h` lease name | until, count; until, owner |
//! | state | `u` name, `c` name | a constant; a cursor |
//! | state | `z` until, key | nothing: what is swept, by time |

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use super::engine::Failure;
use crate::store::{ClaimKey, SenderKey};

/// The first byte of every value.
pub(super) const VERSION: u8 = 1;

const SIGN: u64 = 1 << 63;

/// A time as eight bytes that sort like it.
pub(super) fn stamp(time: Timestamp) -> [u8; 8] {
    ((time.as_microsecond() as u64) ^ SIGN).to_be_bytes()
}

/// The time back from its bytes; what was never a time becomes the latest there is.
pub(super) fn time_of(stamp: [u8; 8]) -> Timestamp {
    Timestamp::from_microsecond((u64::from_be_bytes(stamp) ^ SIGN) as i64).unwrap_or(Timestamp::MAX)
}

/// The next time that can be told apart from `time`.
pub(super) fn next_instant(time: Timestamp) -> Timestamp {
    let micros = time.as_microsecond().saturating_add(1);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

/// A key of one letter and fixed bytes.
fn fixed<const N: usize>(letter: u8, bytes: [u8; N]) -> Vec<u8> {
    let mut key = Vec::with_capacity(N + 1);
    key.push(letter);
    key.extend_from_slice(&bytes);
    key
}

/// A key of one letter and text, which is the key's end.
pub(super) fn named(letter: u8, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1);
    key.push(letter);
    key.extend_from_slice(name.as_bytes());
    key
}

/// A key of one letter, a name without NUL, and a tail.
pub(super) fn under(letter: u8, name: &str, tail: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + tail.len() + 2);
    key.push(letter);
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key.extend_from_slice(tail);
    key
}

/// The longest name that stands in a key as it is; the engine's own limit is 65,535 bytes for a whole key.
pub(super) const LONGEST_NAME: usize = 512;

/// A key of one letter, a channel, and a text from outside: as it is, or its hash when it is long.
pub(super) fn foreign(letter: u8, channel: &str, text: &str) -> Vec<u8> {
    if text.len() <= LONGEST_NAME {
        under(letter, channel, text.as_bytes())
    } else {
        under(letter, channel, digest(&SHA256, text.as_bytes()).as_ref())
    }
}

pub(super) fn claim(key: ClaimKey) -> Vec<u8> {
    fixed(b'c', key.0)
}

pub(super) fn nonce(key: ClaimKey) -> Vec<u8> {
    fixed(b'n', key.0)
}

/// Event ids are 64 hex digits, and 16 bytes are enough to tell them apart.
pub(super) fn event_seen(id: &str) -> Vec<u8> {
    let hash = digest(&SHA256, id.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_ref()[..16]);
    fixed(b'e', short)
}

pub(super) fn sender(key: SenderKey) -> Vec<u8> {
    fixed(b's', key.0)
}

pub(super) fn deadline(at: Timestamp, key: SenderKey) -> Vec<u8> {
    timed(b't', at, &key.0)
}

/// A key of one letter, a time and a tail.
pub(super) fn timed(letter: u8, at: Timestamp, tail: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + tail.len());
    key.push(letter);
    key.extend_from_slice(&stamp(at));
    key.extend_from_slice(tail);
    key
}

pub(super) fn of_complaint(letter: u8, complaint: Uuid) -> Vec<u8> {
    fixed(letter, complaint.into_bytes())
}

pub(super) fn numbered(letter: u8, queue: &str, number: u64) -> Vec<u8> {
    under(letter, queue, &number.to_be_bytes())
}

/// The end of a key that [`numbered`] made.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The key of the answer and when it is shown again.
pub(super) fn waiting(channel: &str, at: Timestamp, id: &str) -> Vec<u8> {
    let mut key = under(b'w', channel, &stamp(at));
    key.extend_from_slice(id.as_bytes());
    key
}

/// Writes a value: the version byte, then whatever is added.
#[derive(Debug)]
pub(super) struct Value(Vec<u8>);

impl Value {
    pub fn with_room(bytes: usize) -> Self {
        let mut value = Vec::with_capacity(bytes + 1);
        value.push(VERSION);
        Self(value)
    }

    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    #[must_use]
    pub fn time(self, time: Timestamp) -> Self {
        self.bytes(&stamp(time))
    }

    /// Appends JSON.
    pub fn json(mut self, document: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
        serde_json::to_writer(&mut self.0, document)
            .map_err(|error| Failure::Corrupt(format!("a value cannot be written: {error}")))?;
        Ok(self.0)
    }

    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a value. Its errors say that the bytes are not what this program writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(value: &'a [u8]) -> Result<Self, Failure> {
        match value.split_first() {
            Some((&VERSION, rest)) => Ok(Self(rest)),
            Some((version, _)) => Err(Failure::Corrupt(format!(
                "a value has format {version}, and this program knows {VERSION}: a newer program wrote it"
            ))),
            None => Err(Failure::Corrupt("a value is empty".to_owned())),
        }
    }

    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let Some((head, rest)) = self.0.split_first_chunk::<N>() else {
            return Err(Failure::Corrupt("a value is too short".to_owned()));
        };
        self.0 = rest;
        Ok(*head)
    }

    pub fn byte(&mut self) -> Result<u8, Failure> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    pub fn number(&mut self) -> Result<u64, Failure> {
        self.bytes().map(u64::from_be_bytes)
    }

    pub fn small(&mut self) -> Result<u32, Failure> {
        self.bytes().map(u32::from_be_bytes)
    }

    pub fn time(&mut self) -> Result<Timestamp, Failure> {
        self.bytes().map(time_of)
    }

    /// What is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// What is left, as text.
    pub fn text(self) -> Result<&'a str, Failure> {
        std::str::from_utf8(self.0).map_err(|_| Failure::Corrupt("a value is no text".to_owned()))
    }

    /// What is left, as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Failure> {
        serde_json::from_slice(self.0).map_err(|error| Failure::Corrupt(format!("a value cannot be read: {error}")))
    }
}

/// The entry is the complaint itself: its first lease and its acknowledgement are told in the record.
pub(super) const FIRST_EVENT: u8 = 1;
/// It was leased before it was dead and put back.
pub(super) const LEASED_BEFORE: u8 = 2;

/// An event in its queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub flags: u8,
    pub priority: u8,
    pub complaint: [u8; 16],
    pub enqueued_at: Timestamp,
    /// Structured mode, JSON.
    pub event: &'a str,
}

impl<'a> Entry<'a> {
    fn head(self, value: Value) -> Value {
        value.bytes(&[self.flags, self.priority]).bytes(&self.complaint).time(self.enqueued_at)
    }

    pub fn write(self) -> Vec<u8> {
        self.head(Value::with_room(26 + self.event.len())).bytes(self.event.as_bytes()).done()
    }

    pub fn read(value: &'a [u8]) -> Result<Self, Failure> {
        Self::read_from(Reader::new(value)?)
    }

    fn read_from(mut reader: Reader<'a>) -> Result<Self, Failure> {
        Ok(Self {
            flags: reader.byte()?,
            priority: reader.byte()?,
            complaint: reader.bytes()?,
            enqueued_at: reader.time()?,
            event: reader.text()?,
        })
    }
}

/// A dead letter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dead<'a> {
    pub dead_at: Timestamp,
    pub attempts: u32,
    pub reason: &'a str,
    pub entry: Entry<'a>,
}

impl<'a> Dead<'a> {
    pub fn write(self) -> Vec<u8> {
        let value = Value::with_room(42 + self.reason.len() + self.entry.event.len())
            .time(self.dead_at)
            .bytes(&self.attempts.to_be_bytes())
            .bytes(&(self.reason.len() as u32).to_be_bytes())
            .bytes(self.reason.as_bytes());
        self.entry.head(value).bytes(self.entry.event.as_bytes()).done()
    }

    pub fn read(value: &'a [u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(value)?;
        let (dead_at, attempts, length) = (reader.time()?, reader.small()?, reader.small()? as usize);
        let Some((reason, rest)) = reader.0.split_at_checked(length) else {
            return Err(Failure::Corrupt("a dead letter is too short".to_owned()));
        };
        Ok(Self { dead_at, attempts, reason: Reader(reason).text()?, entry: Entry::read_from(Reader(rest))? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn times_sort_as_their_bytes(one in -1_000_000_000_000_000_i64..4_000_000_000_000_000, other in any::<i32>()) {
            let one = Timestamp::from_microsecond(one).expect("in range");
            let other = Timestamp::from_second(i64::from(other)).expect("in range");
            prop_assert_eq!(time_of(stamp(one)), one);
            prop_assert_eq!(one.cmp(&other), stamp(one).cmp(&stamp(other)));
        }

        #[test]
        fn a_dead_letter_reads_back_as_it_was_written(
            attempts in any::<u32>(), reason in ".{0,40}", event in ".{0,80}", flags in any::<u8>(), complaint in any::<[u8; 16]>(),
        ) {
            let now = Timestamp::from_second(1_800_000_000).expect("in range");
            let entry = Entry { flags, priority: 3, complaint, enqueued_at: now, event: &event };
            let written = Dead { dead_at: now, attempts, reason: &reason, entry }.write();
            let dead = Dead::read(&written).expect("just written");
            prop_assert_eq!((dead.attempts, dead.reason, dead.dead_at), (attempts, reason.as_str(), now));
            prop_assert_eq!((dead.entry.event, dead.entry.flags, dead.entry.complaint), (event.as_str(), flags, complaint));
            let written = dead.entry.write();
            prop_assert_eq!(Entry::read(&written).expect("just written").event, event.as_str());
        }

        #[test]
        fn foreign_bytes_are_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Dead::read(&bytes);
            let _ = Entry::read(&bytes);
        }
    }
}
