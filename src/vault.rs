//! The vault: where the address of a reporter lies, sealed when a key is configured.
//!
//! In: an address. Out: bytes that the store keeps under the reporter's reference, and the address again when an answer
//! goes out. It is the only way from a reference to an address, and it must never show one.
//!
//! Bytes of an entry are JSON as it is (they begin with `{`), or `1`, a nonce of 12 bytes and ChaCha20-Poly1305 (RFC
//! 8439) of the JSON with the reference as associated data. Sealing is pure, so that a repeated transition writes the same
//! bytes: the nonce is the beginning of an HMAC over reference and JSON under a key of its own, as in SIV (RFC 5297). Two
//! different addresses have different nonces, and equal ones give equal bytes, which tells nobody more than the reference
//! does.

use std::fmt;

use jiff::Timestamp;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::VaultEntry;

/// First byte of a sealed entry.
const SEALED: u8 = 1;

/// Where an answer goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Phone number, chat id, mail address, as the provider wants it back.
    pub to: String,
    /// Type of `to`, as in `identities`: `phone`, `telegram_user_id` …
    pub kind: String,
    /// Our own number or account that the citizen wrote to: an answer comes from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When the citizen's last message reached us: some providers take free text for a day after it. None in entries from
    /// before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    /// When the last answer to the citizen's words was made, to the second: it makes an older question of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Address({}, ***)", self.kind)
    }
}

/// Why an address cannot be read. A retry helps when an operator has set the right key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("the address is sealed and there is no key; set privacy.vault_key to the key it was sealed with")]
    NoKey,
    #[error("the address was sealed with another key, or was changed; set privacy.vault_key to the key of before")]
    WrongKey,
    #[error("the entry of the vault is damaged")]
    Damaged,
}

/// Seals and opens addresses.
pub struct Vault {
    keys: Option<Keys>,
}

struct Keys {
    cipher: LessSafeKey,
    nonces: hmac::Key,
}

impl fmt::Debug for Vault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.keys.is_some() { "Vault(sealed)" } else { "Vault(plain)" })
    }
}

impl Vault {
    /// `key` is 32 bytes of `privacy.vault_key`; without it addresses are kept as they are.
    pub fn new(key: Option<[u8; 32]>) -> Self {
        Self { keys: key.map(|key| Keys::of(&Zeroizing::new(key))) }
    }

    /// The entry of a reporter; the same for the same address.
    pub fn seal(&self, reporter_ref: &str, address: &Address) -> VaultEntry {
        let plain = serde_json::to_vec(address).expect("texts and a time are always JSON");
        let sealed = match &self.keys {
            Some(keys) => keys.seal(reporter_ref, &Zeroizing::new(plain)),
            None => plain,
        };
        VaultEntry { reporter_ref: reporter_ref.to_owned(), sealed }
    }

    /// Opens what [`Self::seal`] made for the same reporter. Entries from before a key was configured stay readable.
    pub fn open(&self, reporter_ref: &str, sealed: &[u8]) -> Result<Address, VaultError> {
        let plain = match sealed.split_first() {
            Some((&SEALED, rest)) => self.keys.as_ref().ok_or(VaultError::NoKey)?.open(reporter_ref, rest)?,
            _ => Zeroizing::new(sealed.to_vec()),
        };
        serde_json::from_slice(&plain).map_err(|_| VaultError::Damaged)
    }
}

impl Keys {
    /// Two keys for two purposes, from the one that is configured.
    fn of(key: &[u8; 32]) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, key);
        let derived = |label: &[u8]| hmac::sign(&master, label);
        let cipher = UnboundKey::new(&CHACHA20_POLY1305, derived(b"loket vault cipher 1").as_ref());
        Self {
            cipher: LessSafeKey::new(cipher.expect("HMAC-SHA256 gives the 32 bytes that the cipher takes")),
            nonces: hmac::Key::new(hmac::HMAC_SHA256, derived(b"loket vault nonce 1").as_ref()),
        }
    }

    fn nonce(&self, reporter_ref: &str, plain: &[u8]) -> [u8; NONCE_LEN] {
        let mut context = hmac::Context::with_key(&self.nonces);
        // The length keeps the reference and the address apart.
        context.update(&(reporter_ref.len() as u64).to_be_bytes());
        context.update(reporter_ref.as_bytes());
        context.update(plain);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&context.sign().as_ref()[..NONCE_LEN]);
        nonce
    }

    fn seal(&self, reporter_ref: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = self.nonce(reporter_ref, plain);
        let mut text = plain.to_vec();
        let aad = Aad::from(reporter_ref.as_bytes());
        self.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .expect("an address is shorter than the cipher's limit of 256 GiB");
        [&[SEALED], nonce.as_slice(), &text].concat()
    }

    fn open(&self, reporter_ref: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Damaged)?;
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(reporter_ref.as_bytes());
        let opened = self.cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text);
        let length = opened.map_err(|_| VaultError::WrongKey)?.len();
        text.truncate(length);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFERENCE: &str = "rp_0123456789";

    fn address() -> Address {
        Address {
            to: "+6281100000001".to_owned(),
            kind: "phone".to_owned(),
            from: Some("1708".to_owned()),
            heard_at: None,
            answered_at: None,
        }
    }

    #[test]
    fn an_address_comes_back_and_is_sealed_the_same_each_time() {
        for vault in [Vault::new(None), Vault::new(Some([7; 32]))] {
            let entry = vault.seal(REFERENCE, &address());
            assert_eq!(entry, vault.seal(REFERENCE, &address()));
            assert_eq!(vault.open(REFERENCE, &entry.sealed), Ok(address()));
        }
    }

    #[test]
    fn a_sealed_address_is_readable_for_this_reporter_and_this_key_only() {
        let vault = Vault::new(Some([7; 32]));
        let sealed = vault.seal(REFERENCE, &address()).sealed;
        let readable = |needle: &[u8]| sealed.windows(needle.len()).any(|window| window == needle);
        assert!(!readable(b"6281100000001") && !readable(b"phone"));
        assert_eq!(vault.open("rp_another", &sealed), Err(VaultError::WrongKey));
        assert_eq!(Vault::new(Some([8; 32])).open(REFERENCE, &sealed), Err(VaultError::WrongKey));
        assert_eq!(Vault::new(None).open(REFERENCE, &sealed), Err(VaultError::NoKey));
        for place in 1..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(vault.open(REFERENCE, &changed), Err(VaultError::WrongKey), "byte {place}");
        }
    }

    #[test]
    fn entries_from_before_the_key_stay_readable() {
        let plain = Vault::new(None).seal(REFERENCE, &address()).sealed;
        assert_eq!(Vault::new(Some([7; 32])).open(REFERENCE, &plain), Ok(address()));
    }

    #[test]
    fn an_address_prints_nothing() {
        let shown = format!(
            "{:?} {:?} {:?}",
            address(),
            Vault::new(Some([7; 32])),
            Vault::new(None).seal(REFERENCE, &address())
        );
        assert!(!shown.contains("628") && !shown.contains("1708"), "{shown}");
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80), first in 0_u8..3) {
            let vault = Vault::new(Some([7; 32]));
            prop_assert!(vault.open(REFERENCE, &bytes).is_err());
            let mut versioned = vec![first];
            versioned.extend(&bytes);
            prop_assert!(vault.open(REFERENCE, &versioned).is_err());
        }

        #[test]
        fn every_address_comes_back(to in "\\PC{0,60}", kind in "[a-z_]{1,12}", from in proptest::option::of("\\PC{0,20}"), heard in proptest::option::of(0_i64..4_000_000_000)) {
            let vault = Vault::new(Some([9; 32]));
            let heard_at = heard.and_then(|second| Timestamp::from_second(second).ok());
            let address = Address { to, kind, from, heard_at, answered_at: heard_at };
            let entry = vault.seal(REFERENCE, &address);
            prop_assert_eq!(vault.open(REFERENCE, &entry.sealed), Ok(address));
        }
    }
}
