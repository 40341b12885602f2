//! The wall clock and randomness, the only place where either is read.
//!
//! Everything behind the journal gets the time as an argument, so that a replay and a test decide what time it is.

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Random bytes from the operating system.
///
/// # Panics
///
/// When the operating system has no randomness: nothing that this program promises could be kept then.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A fresh `UUIDv7` of the time given.
pub fn uuid7(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random()).into_uuid()
}
