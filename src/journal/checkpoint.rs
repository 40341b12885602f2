//! The checkpoint: up to which sequence number everything is settled.
//!
//! Two slots in a file of fixed size, written by turns: one of them is whole whatever happens, and a full disk does not
//! matter. It is synced at the end of a segment and of a run only: a mark that is lost repeats work that is idempotent.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use super::folder;

const MAGIC: [u8; 8] = *b"loketjc1";
const SLOT: usize = 8 + 8 + 8 + 4;
/// Each slot lies in a block of its own.
const DISTANCE: u64 = 4096;

#[derive(Debug)]
pub(super) struct Checkpoint {
    file: File,
    /// Counts the writes; the higher of two slots is the newer.
    generation: u64,
    /// As it stands in the file.
    pub settled: u64,
    is_synced: bool,
}

impl Checkpoint {
    /// Opens the file; a file that is new or damaged says that nothing is settled.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = folder::open_or_create(path)?;
        let mut checkpoint = Self { file, generation: 0, settled: 0, is_synced: true };
        for slot in 0..2 {
            let mut bytes = [0; SLOT];
            let read = checkpoint.file.read_at(&mut bytes, slot * DISTANCE)?;
            if let Some((generation, settled)) = decode(&bytes[..read]).filter(|(it, _)| *it > checkpoint.generation) {
                (checkpoint.generation, checkpoint.settled) = (generation, settled);
            }
        }
        if checkpoint.generation == 0 {
            // Allocated now, while there is room; both slots are overwritten in place from here on.
            checkpoint.file.write_all_at(&[0; 2 * DISTANCE as usize], 0)?;
            checkpoint.file.sync_all()?;
        }
        Ok(checkpoint)
    }

    pub fn is_new(&self) -> bool {
        self.generation == 0
    }

    pub fn write(&mut self, settled: u64) -> io::Result<()> {
        let generation = self.generation + 1;
        let mut bytes = Vec::with_capacity(SLOT);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&generation.to_le_bytes());
        bytes.extend_from_slice(&settled.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        self.file.write_all_at(&bytes, generation % 2 * DISTANCE)?;
        (self.generation, self.settled, self.is_synced) = (generation, settled, false);
        Ok(())
    }

    pub fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Option<(u64, u64)> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    let (magic, numbers) = content.split_first_chunk::<8>()?;
    let (generation, settled) = numbers.split_first_chunk::<8>()?;
    let good = *magic == MAGIC && crc32fast::hash(content) == u32::from_le_bytes(*checksum);
    good.then_some((u64::from_le_bytes(*generation), u64::from_le_bytes(settled.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_slot_falls_back_to_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint");
        let mut checkpoint = Checkpoint::open(&path).expect("it opens");
        for settled in [5, 9, 12] {
            checkpoint.write(settled).expect("written");
        }
        assert_eq!(Checkpoint::open(&path).expect("it opens").settled, 12);
        // The third write went to the second slot.
        checkpoint.file.write_all_at(b"x", DISTANCE + 20).expect("damaged");
        assert_eq!(Checkpoint::open(&path).expect("it opens").settled, 9);
        std::fs::write(&path, b"short").expect("cut");
        assert_eq!(Checkpoint::open(&path).expect("it opens").settled, 0);
    }
}
