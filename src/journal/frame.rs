//! The bytes around what the journal keeps: the head of a file and the head of a record. Numbers are little-endian.
//!
//! A file begins with a block of [`BLOCK`] bytes that holds its head twice, so that one damaged sector does not cost the
//! file. After it come frames: a head of [`FRAME`] bytes and a payload. The head carries what expiry and a search by id
//! need, so that neither decodes nor decrypts a payload.

use super::seal::{CHECK, FileKey, SALT};

/// Length of the head of a file.
pub const BLOCK: usize = 1024;
/// Length of the head of a record.
pub(super) const FRAME: usize = 64;
/// A frame begins with it; a search for the next frame after a damaged one looks for it.
pub(super) const MAGIC: [u8; 4] = [0xA7, b'L', b'K', b'T'];

/// The last digit is the version of the format.
const FILE_MAGIC: [u8; 8] = *b"loketjn1";
const COPY: usize = 8 + 8 + 4 + SALT + CHECK + 4;
const SECOND_COPY: usize = 512;

/// The head of a segment, a body or a quarantined receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// First sequence number of a segment; 0 in other files.
    pub first: u64,
    pub encrypted: bool,
    pub salt: [u8; SALT],
    /// Of the key; zeros in a plain file.
    pub check: [u8; CHECK],
}

impl FileHeader {
    pub fn encode(&self) -> [u8; BLOCK] {
        let mut copy = Vec::with_capacity(COPY);
        copy.extend_from_slice(&FILE_MAGIC);
        copy.extend_from_slice(&self.first.to_le_bytes());
        copy.extend_from_slice(&u32::from(self.encrypted).to_le_bytes());
        copy.extend_from_slice(&self.salt);
        copy.extend_from_slice(&self.check);
        copy.extend_from_slice(&crc32fast::hash(&copy).to_le_bytes());
        let mut block = [0; BLOCK];
        block[..COPY].copy_from_slice(&copy);
        block[SECOND_COPY..SECOND_COPY + COPY].copy_from_slice(&copy);
        block
    }

    /// None when both copies are damaged, or the file is none of ours.
    pub fn decode(block: &[u8]) -> Option<Self> {
        [0, SECOND_COPY].into_iter().find_map(|at| Self::decode_copy(block.get(at..at + COPY)?))
    }

    fn decode_copy(copy: &[u8]) -> Option<Self> {
        let (content, checksum) = copy.split_last_chunk::<4>()?;
        if !content.starts_with(&FILE_MAGIC) || crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        Some(Self {
            first: u64::from_le_bytes(array(content, 8)),
            encrypted: u32::from_le_bytes(array(content, 16)) & 1 == 1,
            salt: array(content, 20),
            check: array(content, 20 + SALT),
        })
    }
}

/// The head of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Of the payload as it lies on the disk.
    pub length: u32,
    /// Given by the writer; 0 outside of segments.
    pub sequence: u64,
    /// `received_at`, whole microseconds since 1970.
    pub micros: i64,
    /// Of the receipt.
    pub id: [u8; 16],
    /// Part of the name of the file that holds the body; 0: the body is in the payload.
    pub body: u64,
    /// Nonce of the encryption; 0: plain.
    pub counter: u64,
    /// Of the payload as it lies on the disk.
    pub checksum: u32,
}

impl Frame {
    /// Length of head and payload.
    pub fn total(&self) -> u64 {
        FRAME as u64 + u64::from(self.length)
    }

    /// Writes the head over the first bytes of a frame.
    pub fn write(&self, bytes: &mut [u8], key: &FileKey) {
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.micros.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.id);
        bytes[40..48].copy_from_slice(&self.body.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.counter.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = key.checksum(&bytes[..60]);
        bytes[60..FRAME].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Gives a frame its sequence number.
    pub fn number(bytes: &mut [u8], sequence: u64, key: &FileKey) {
        bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
        let checksum = key.checksum(&bytes[..60]);
        bytes[60..FRAME].copy_from_slice(&checksum.to_le_bytes());
    }

    /// None when the bytes are no head, or a damaged one.
    pub fn read(bytes: &[u8], key: &FileKey) -> Option<Self> {
        let head = bytes.get(..FRAME)?;
        if !head.starts_with(&MAGIC) || key.checksum(&head[..60]) != u32::from_le_bytes(array(head, 60)) {
            return None;
        }
        Some(Self {
            length: u32::from_le_bytes(array(head, 4)),
            sequence: u64::from_le_bytes(array(head, 8)),
            micros: i64::from_le_bytes(array(head, 16)),
            id: array(head, 24),
            body: u64::from_le_bytes(array(head, 40)),
            counter: u64::from_le_bytes(array(head, 48)),
            checksum: u32::from_le_bytes(array(head, 56)),
        })
    }
}

/// The callers have checked the length.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::seal::MasterKey;

    #[test]
    fn the_head_of_a_file_survives_the_loss_of_either_copy() {
        let header = FileKey::fresh(&MasterKey::default()).header(7);
        let block = header.encode();
        for at in 0..BLOCK {
            let mut block = block;
            block[at] ^= 0x10;
            assert_eq!(FileHeader::decode(&block), Some(header.clone()), "byte {at}");
        }
        assert_eq!(FileHeader::decode(&[0; BLOCK]), None);
        assert_eq!(FileHeader::decode(b""), None);
    }

    #[test]
    fn a_frame_of_another_file_is_no_frame() {
        let (ours, other) = (FileKey::fresh(&MasterKey::default()), FileKey::fresh(&MasterKey::default()));
        let frame = Frame { sequence: 1, micros: -5, id: [3; 16], body: 9, ..Frame::default() };
        let mut bytes = [0; FRAME];
        frame.write(&mut bytes, &ours);
        assert_eq!(Frame::read(&bytes, &ours), Some(frame));
        assert_eq!(Frame::read(&bytes, &other), None, "bytes that a citizen copies from elsewhere are not believed");
        Frame::number(&mut bytes, 12, &ours);
        assert_eq!(Frame::read(&bytes, &ours).map(|frame| frame.sequence), Some(12));
    }
}
