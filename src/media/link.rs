//! The link under which a provider fetches a file of an answer: `<public_url>/files/<token>`. Pure.
//!
//! A token is for one file and one answer, until a time, and says so under an HMAC: nothing is kept, every gateway of the store
//! can read it, and nobody can make one. It is an address of a file, so that it stands in no log.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{digest, hmac};
use uuid::Uuid;

/// File, answer and time.
const SAID: usize = 16 + 16 + 8;
const TAG: usize = 32;

/// The token for a file of this answer. `key` is the one that the gateways of a store share.
pub fn token(key: &hmac::Key, attachment_id: Uuid, answer: &str, until: Timestamp) -> String {
    let mut bytes = Vec::with_capacity(SAID + TAG);
    bytes.extend_from_slice(attachment_id.as_bytes());
    bytes.extend_from_slice(&digest::digest(&digest::SHA256, answer.as_bytes()).as_ref()[..16]);
    bytes.extend_from_slice(&until.as_second().to_be_bytes());
    bytes.extend_from_slice(hmac::sign(&own(key), &bytes).as_ref());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The file that a token is for; None for what is none, or over.
pub fn attachment_of(key: &hmac::Key, token: &str, now: Timestamp) -> Option<Uuid> {
    if token.len() > 2 * (SAID + TAG) {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (said, tag) = bytes.split_at_checked(SAID)?;
    hmac::verify(&own(key), said, tag).ok()?;
    let (file, rest) = said.split_first_chunk::<16>()?;
    let until = Timestamp::from_second(i64::from_be_bytes(*rest.last_chunk::<8>()?)).ok()?;
    (now < until).then(|| Uuid::from_bytes(*file))
}

/// The shared key signs other things too; none of them is a link.
fn own(key: &hmac::Key) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(key, b"loket links of files").as_ref())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const FILE: Uuid = Uuid::from_u128(7);

    fn key(secret: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret)
    }

    fn until() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a time")
    }

    #[test]
    fn a_token_is_good_until_its_time_and_under_its_key() {
        let token = token(&key(b"k"), FILE, "answer", until());
        assert_eq!(token.len(), 96);
        let before = until() - SignedDuration::from_secs(1);
        assert_eq!(attachment_of(&key(b"k"), &token, before), Some(FILE));
        assert_eq!(attachment_of(&key(b"k"), &token, until()), None);
        assert_eq!(attachment_of(&key(b"other"), &token, before), None);
    }

    #[test]
    fn each_answer_has_a_token_of_its_own() {
        let of = |answer: &str| token(&key(b"k"), FILE, answer, until());
        assert_ne!(of("one"), of("two"));
    }

    proptest! {
        #[test]
        fn one_letter_changed_is_no_token(place in 0..96usize, letter in "[A-Za-z0-9_-]") {
            let whole = token(&key(b"k"), FILE, "answer", until());
            let mut changed = whole.clone();
            changed.replace_range(place..=place, &letter);
            prop_assume!(changed != whole);
            prop_assert_eq!(attachment_of(&key(b"k"), &changed, Timestamp::UNIX_EPOCH), None);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            prop_assert_eq!(attachment_of(&key(b"k"), &text, Timestamp::UNIX_EPOCH), None);
        }
    }
}
