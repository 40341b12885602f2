//! The token of a thread: what stands in our reply addresses and Message-IDs, so that an answer finds its complaint
//! without anything being stored (`complaint-format.md` §5.2, 4). It names the complaint and is signed, so that nobody can
//! make one up; whoever holds one was written to by us.
//!
//! 39 letters of base32 in lower case, which survive mail servers that change case: 16 bytes of the complaint id, 8 bytes
//! of HMAC-SHA-256.

use ring::hmac;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::complaint::{base32, from_base32};

/// Bytes of the signature.
const TAG: usize = 8;
/// Letters of a token.
const LENGTH: usize = 39;

/// The token of a complaint.
pub fn token(key: &hmac::Key, complaint_id: Uuid) -> String {
    base32(&[complaint_id.as_bytes().as_slice(), &tag(key, complaint_id)].concat())
}

/// The complaint that a token names. None for anything that is no token of ours, and for the nil id.
pub fn complaint_of(key: &hmac::Key, token: &str) -> Option<Uuid> {
    if token.len() != LENGTH {
        return None;
    }
    let bytes = from_base32(&token.to_ascii_lowercase())?;
    let (id, found) = bytes.split_at_checked(16)?;
    let id = Uuid::from_slice(id).ok().filter(|id| !id.is_nil())?;
    bool::from(found.ct_eq(&tag(key, id))).then_some(id)
}

/// The Message-ID of an answer: `<token.answer@domain>`; one that is about no complaint has no token.
pub fn message_id(key: &hmac::Key, complaint_id: Option<Uuid>, answer: &str, domain: &str) -> String {
    let answer = answer.get(..16).unwrap_or(answer);
    match complaint_id {
        Some(id) => format!("<{}.{answer}@{domain}>", token(key, id)),
        None => format!("<{answer}.loket@{domain}>"),
    }
}

/// The complaint that a Message-ID of ours names.
pub fn complaint_of_message_id(key: &hmac::Key, id: &str) -> Option<Uuid> {
    let (local, _) = id.trim().trim_start_matches('<').rsplit_once('@')?;
    complaint_of(key, local.split('.').next()?)
}

fn tag(key: &hmac::Key, complaint_id: Uuid) -> [u8; TAG] {
    let mut context = hmac::Context::with_key(key);
    // The key signs other things too: the words keep them apart.
    context.update(b"loket mail thread\0");
    context.update(complaint_id.as_bytes());
    let mut tag = [0; TAG];
    tag.copy_from_slice(&context.sign().as_ref()[..TAG]);
    tag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(secret: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret)
    }

    #[test]
    fn a_token_names_its_complaint_whatever_a_mail_server_did_to_its_case() {
        let id = Uuid::from_u128(0x0192_aaaa_bbbb_7ccc_8ddd_eeee_ffff_0001);
        let token = token(&key(b"k"), id);
        assert_eq!((token.len(), complaint_of(&key(b"k"), &token)), (LENGTH, Some(id)));
        assert_eq!(complaint_of(&key(b"k"), &token.to_uppercase()), Some(id));
        assert_eq!(complaint_of(&key(b"other"), &token), None);
        let message_id = message_id(&key(b"k"), Some(id), "0123456789abcdef0123", "kota.example");
        assert_eq!(message_id, format!("<{token}.0123456789abcdef@kota.example>"));
        assert_eq!(complaint_of_message_id(&key(b"k"), &message_id), Some(id));
        assert!("lapor+".len() + token.len() <= 64, "a local part has 64 bytes (RFC 5321, section 4.5.3.1.1)");
    }

    #[test]
    fn nil_and_made_up_tokens_match_nothing() {
        let key = key(b"k");
        assert_eq!(complaint_of(&key, &token(&key, Uuid::nil())), None);
        for made_up in ["", "a", &"a".repeat(39), "abc.def@kota.example"] {
            assert_eq!(complaint_of(&key, made_up), None, "{made_up}");
            assert_eq!(complaint_of_message_id(&key, made_up), None, "{made_up}");
        }
        assert_eq!(complaint_of_message_id(&key, &message_id(&key, None, "0123", "kota.example")), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn one_letter_changed_is_no_token(id: u128, place in 0..LENGTH, letter in "[a-z2-7]") {
            let key = key(b"k");
            let whole = token(&key, Uuid::from_u128(id.max(1)));
            let mut changed = whole.clone();
            changed.replace_range(place..=place, &letter);
            // The last letter holds three bits that mean nothing; they must be zero.
            prop_assert_eq!(complaint_of(&key, &changed).is_some(), changed == whole);
        }

        #[test]
        fn whatever_stands_there_is_looked_at_without_a_panic(text in "\\PC{0,60}") {
            let _ = (complaint_of(&key(b"k"), &text), complaint_of_message_id(&key(b"k"), &text));
        }
    }
}
