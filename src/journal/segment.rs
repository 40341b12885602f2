//! The segment that is being written: preallocated, appended to, one fdatasync for each append.
//!
//! A sync is cheap when it need not change what the file system knows of the file. Its size is therefore set at the
//! beginning (`fallocate`), and zeros are written ahead of the records, because the first write to a preallocated
//! block changes the block's state and costs the file system a commit of its own. Figures: `docs/decisions/journal-engine.md`.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::{folder, frame::BLOCK};

/// How far zeros are written ahead of the records.
const AHEAD: u64 = 1 << 20;
/// The disk's room is taken in such steps. A whole segment at once would go on taking receipts for a long time after
/// the disk has filled up, while everything else on it fails already.
const STEP: u64 = 2 << 20;

/// A segment open for writing.
#[derive(Debug)]
pub struct Segment {
    file: File,
    path: PathBuf,
    /// Everything before it is on the disk.
    end: u64,
    /// Everything from `end` to here was overwritten with zeros.
    zeroed: u64,
    /// The disk has room set aside up to here.
    reserved: u64,
    size: u64,
    #[cfg(test)]
    broken: bool,
}

impl Segment {
    /// Makes the file, with mode 0600, and returns when it is durable. `size` is what it may grow to, in bytes.
    pub fn create(path: &Path, head: &[u8; BLOCK], size: u64) -> io::Result<Self> {
        let file = folder::create(path)?;
        let mut segment = Self {
            file,
            path: path.to_owned(),
            end: BLOCK as u64,
            zeroed: BLOCK as u64,
            reserved: 0,
            size,
            #[cfg(test)]
            broken: false,
        };
        let prepared = segment.prepare(head);
        if prepared.is_err() {
            // Nothing is in it: an empty file that stays behind would be a nuisance at most.
            let _ = std::fs::remove_file(path);
        }
        prepared.map(|()| segment)
    }

    fn prepare(&mut self, head: &[u8; BLOCK]) -> io::Result<()> {
        self.reserve(BLOCK as u64)?;
        self.file.write_all_at(head, 0)?;
        self.file.sync_all()?;
        folder::sync_folder(folder::folder_of(&self.path))
    }

    /// Sets room aside up to a place at least: then a sync need not change the file's size, and a full disk shows before
    /// anything is written.
    fn reserve(&mut self, place: u64) -> io::Result<()> {
        while self.reserved < place.min(self.size) {
            let step = STEP.min(self.size - self.reserved);
            match fallocate(&self.file, FallocateFlags::empty(), self.reserved, step) {
                // Without preallocation syncs are slower and a full disk shows at the write.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.reserved += step,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Bytes before `end` are durable.
    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that can still be appended.
    pub fn room(&self) -> u64 {
        self.size.saturating_sub(self.end)
    }

    /// Appends and syncs. After an error the segment must be abandoned: the kernel may have dropped pages that it could
    /// not write and call the next sync a success.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        let ahead = AHEAD.min(self.size.saturating_sub(end));
        if end > self.zeroed {
            self.reserve(end + ahead)?;
        }
        self.file.write_all_at(bytes, self.end)?;
        if end > self.zeroed {
            self.file.write_all_at(&ZEROS[..ahead as usize], end)?;
            self.zeroed = end + ahead;
        }
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }

    /// Gives back what was preallocated and not used. Not synced: zeros at the end of a segment mean nothing.
    pub fn cut(self) -> io::Result<()> {
        #[cfg(test)]
        if self.broken {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.set_len(self.end)
    }

    /// Fails as a disk does that took the bytes and then cannot sync, nor anything else.
    #[cfg(test)]
    pub(super) fn break_off(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.broken = true;
        self.file.write_all_at(bytes, self.end)?;
        Err(io::ErrorKind::StorageFull.into())
    }
}

static ZEROS: [u8; AHEAD as usize] = [0; AHEAD as usize];
