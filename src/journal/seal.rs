//! Checksums and encryption at rest. Every file has a random salt: it makes a key of its own from the operator's key, and it
//! seeds the checksums, so that bytes which a citizen sends can never be mistaken for a record of ours.
//!
//! Encrypted means AES-256-GCM. The nonce is a counter that runs for one opening of the journal, and every opening draws a
//! new salt and so a new key: a nonce is never used twice with one key.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use secrecy::{ExposeSecret, SecretSlice};

use super::frame::{FRAME, FileHeader, Frame};
use crate::clock;

/// Length of a salt.
pub(super) const SALT: usize = 32;
/// Length of the value that tells a wrong key from a damaged file.
pub(super) const CHECK: usize = 16;

/// What a sealed text is; bound into the encryption, so that one cannot stand for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Record = b'r',
    Body = b'b',
    Note = b'n',
}

/// Why a file cannot be read with the key at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    #[error("is encrypted and journal.key is not set; set the key it was written with")]
    Missing,
    #[error("was encrypted with another key; set journal.key to the one it was written with, or move the folder away")]
    Wrong,
}

/// The operator's key, if there is one.
#[derive(Clone, Default)]
pub(super) struct MasterKey(Option<SecretSlice<u8>>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "MasterKey(***)" } else { "MasterKey(none)" })
    }
}

impl MasterKey {
    /// None when a key is given that has not 32 bytes.
    pub fn new(key: Option<SecretSlice<u8>>) -> Option<Self> {
        let good = key.as_ref().is_none_or(|key| key.expose_secret().len() == 32);
        good.then_some(Self(key))
    }
}

/// The key of one file: of its salt and the operator's key.
pub(super) struct FileKey {
    salt: [u8; SALT],
    /// Checksum of the salt, with which every other checksum begins.
    seed: u32,
    sealing: Option<Sealing>,
}

struct Sealing {
    key: LessSafeKey,
    check: [u8; CHECK],
}

impl fmt::Debug for FileKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("FileKey(***)")
    }
}

/// Length of the check value, for the key derivation.
struct CheckLength;

impl KeyType for CheckLength {
    fn len(&self) -> usize {
        CHECK
    }
}

impl Sealing {
    fn derive(master: &[u8], salt: &[u8; SALT]) -> Self {
        let secret = Salt::new(HKDF_SHA256, salt).extract(master);
        let mut check = [0; CHECK];
        secret
            .expand(&[b"loket journal check"], CheckLength)
            .and_then(|okm| okm.fill(&mut check))
            .expect("16 bytes are within what HKDF gives");
        let key = secret.expand(&[b"loket journal key"], &AES_256_GCM).expect("32 bytes are within what HKDF gives");
        Self { key: LessSafeKey::new(UnboundKey::from(key)), check }
    }
}

impl FileKey {
    /// A new key, for files that are about to be written.
    pub fn fresh(master: &MasterKey) -> Self {
        let salt = clock::random();
        let sealing = master.0.as_ref().map(|key| Sealing::derive(key.expose_secret(), &salt));
        Self { salt, seed: crc32fast::hash(&salt), sealing }
    }

    /// The key of a file that was written before.
    pub fn of(header: &FileHeader, master: &MasterKey) -> Result<Self, KeyError> {
        let sealing = if header.encrypted {
            let key = master.0.as_ref().ok_or(KeyError::Missing)?;
            let sealing = Sealing::derive(key.expose_secret(), &header.salt);
            if sealing.check != header.check {
                return Err(KeyError::Wrong);
            }
            Some(sealing)
        } else {
            None
        };
        Ok(Self { salt: header.salt, seed: crc32fast::hash(&header.salt), sealing })
    }

    /// The head of a file that is written with this key; `first` is the first sequence number in it.
    pub fn header(&self, first: u64) -> FileHeader {
        let check = self.sealing.as_ref().map_or([0; CHECK], |sealing| sealing.check);
        FileHeader { first, encrypted: self.sealing.is_some(), salt: self.salt, check }
    }

    pub fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.seed);
        hasher.update(bytes);
        hasher.finalize()
    }

    pub fn is_encrypted(&self) -> bool {
        self.sealing.is_some()
    }

    fn seal(&self, counter: u64, aad: [u8; 17], bytes: &mut Vec<u8>, from: usize) {
        let Some(sealing) = &self.sealing else { return };
        let tag = sealing
            .key
            .seal_in_place_separate_tag(nonce(counter), Aad::from(aad), &mut bytes[from..])
            .expect("a text of less than 4 GiB can be sealed");
        bytes.extend_from_slice(tag.as_ref());
    }

    /// The plain text of a frame whose checksum is right; None when it is no text of this key.
    pub fn open<'a>(&self, frame: &Frame, kind: Kind, bytes: &'a mut [u8]) -> Option<&'a [u8]> {
        match &self.sealing {
            None => Some(bytes),
            Some(sealing) => {
                let aad = Aad::from(associated(kind, &frame.id));
                sealing.key.open_in_place(nonce(frame.counter), aad, bytes).ok().map(|text| &*text)
            }
        }
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn associated(kind: Kind, id: &[u8; 16]) -> [u8; 17] {
    let mut bytes = [kind as u8; 17];
    bytes[1..].copy_from_slice(id);
    bytes
}

/// What one opening of the journal writes with.
#[derive(Debug)]
pub(super) struct Session {
    pub key: FileKey,
    counter: AtomicU64,
}

impl Session {
    pub fn new(master: &MasterKey) -> Self {
        Self { key: FileKey::fresh(master), counter: AtomicU64::new(1) }
    }

    /// Room for the head of a frame, then whatever `write` adds, sealed. [`Frame::number`] completes it.
    pub fn frame(
        &self,
        kind: Kind,
        mut frame: Frame,
        capacity: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(FRAME + capacity + 16);
        bytes.resize(FRAME, 0);
        write(&mut bytes);
        if self.key.is_encrypted() {
            frame.counter = self.counter.fetch_add(1, Ordering::Relaxed);
            self.key.seal(frame.counter, associated(kind, &frame.id), &mut bytes, FRAME);
        }
        frame.length = u32::try_from(bytes.len() - FRAME).ok()?;
        frame.checksum = self.key.checksum(&bytes[FRAME..]);
        frame.write(&mut bytes, &self.key);
        Some(bytes)
    }
}
