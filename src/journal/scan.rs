//! Reads the records of a segment one after the other, through a buffer of bounded size.
//!
//! A damaged record is stepped over: by its length when its head is whole, else by searching for the next head whose
//! checksum is right. What comes out is never wrong, and never a panic; what is lost is reported.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::{
    frame::{BLOCK, FRAME, FileHeader, Frame, MAGIC},
    seal::{FileKey, KeyError, MasterKey},
};

/// How much is read at once.
const CHUNK: u64 = 256 << 10;

/// The disk gives or refuses this much at least.
const PAGE: u64 = 4 << 10;
/// Stands where it refuses.
const UNREAD: u8 = 0xEE;

/// Why a file cannot be scanned.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Key(#[from] KeyError),
    /// Both heads of the file are damaged: nothing in it can be told from anything else.
    #[error("the head of the file is damaged")]
    NoHead,
}

/// What is done about bytes that the disk does not give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// An error: another try may do better.
    #[default]
    Fails,
    /// They are damage like any other.
    IsDamage,
}

/// What comes next in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// At this place of the file; [`Scan::payload`] has the rest.
    Record { at: u64, frame: Frame },
    /// Bytes from `at` on are no record; what follows them is. The head is known when only the payload is damaged.
    Damaged { at: u64, length: u64, frame: Option<Frame> },
    /// No record follows. `torn`: from there on are bytes that are not zero, a write that was never finished.
    End { torn: Option<u64> },
}

/// A file that is read from one record to the next.
#[derive(Debug)]
pub(super) struct Scan {
    file: File,
    pub key: FileKey,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    base: u64,
    /// Where the next record is expected.
    at: u64,
    payload: std::ops::Range<usize>,
    pub unreadable: Unreadable,
    /// Bytes that the disk does not give.
    #[cfg(test)]
    pub bad: std::ops::Range<u64>,
}

enum Probe {
    Whole(Frame),
    DamagedPayload(Frame),
    Nothing,
}

impl Scan {
    /// Reads the head of the file; the first record is expected at `from`.
    pub fn open(path: &Path, master: &MasterKey, from: u64) -> Result<Self, ScanError> {
        Self::open_with(path, master, from, Unreadable::Fails)
    }

    pub fn open_with(path: &Path, master: &MasterKey, from: u64, unreadable: Unreadable) -> Result<Self, ScanError> {
        let file = File::open(path)?;
        let mut block = [0; BLOCK];
        match (read_up_to(&file, &mut block, 0), unreadable) {
            (Err(_), Unreadable::IsDamage) => return Err(ScanError::NoHead),
            (read, _) => read?,
        };
        let header = FileHeader::decode(&block).ok_or(ScanError::NoHead)?;
        let key = FileKey::of(&header, master)?;
        Ok(Self {
            file,
            key,
            buffer: Vec::new(),
            base: 0,
            at: from,
            payload: 0..0,
            unreadable,
            #[cfg(test)]
            bad: 0..0,
        })
    }

    pub fn file_length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// The head of the record at this place, without its payload.
    pub fn head(&mut self, at: u64, limit: u64) -> io::Result<Option<Frame>> {
        self.fill(at, FRAME as u64, limit)?;
        Ok(Frame::read(&self.buffer[self.index(at)..], &self.key))
    }

    /// The payload of the record that was found last. Decryption happens in it.
    pub fn payload(&mut self) -> (&FileKey, &mut [u8]) {
        (&self.key, &mut self.buffer[self.payload.clone()])
    }

    /// The next record, looking at nothing behind `limit`.
    pub fn next(&mut self, limit: u64) -> io::Result<Found> {
        let at = self.at;
        if at >= limit {
            return Ok(Found::End { torn: None });
        }
        match self.probe(at, limit)? {
            Probe::Whole(frame) => {
                self.at = at + frame.total();
                Ok(Found::Record { at, frame })
            }
            Probe::DamagedPayload(frame) => {
                self.at = at + frame.total();
                Ok(Found::Damaged { at, length: frame.total(), frame: Some(frame) })
            }
            Probe::Nothing => self.search(limit),
        }
    }

    /// Is there a record at this place?
    fn probe(&mut self, at: u64, limit: u64) -> io::Result<Probe> {
        self.fill(at, FRAME as u64, limit)?;
        let Some(frame) = Frame::read(&self.buffer[self.index(at)..], &self.key) else { return Ok(Probe::Nothing) };
        if at + frame.total() > limit {
            return Ok(Probe::Nothing);
        }
        self.fill(at, frame.total(), limit)?;
        let from = self.index(at) + FRAME;
        let payload = from..from + frame.length as usize;
        match self.buffer.get(payload.clone()) {
            None => Ok(Probe::Nothing),
            Some(bytes) if self.key.checksum(bytes) != frame.checksum => Ok(Probe::DamagedPayload(frame)),
            Some(_) => {
                self.payload = payload;
                Ok(Probe::Whole(frame))
            }
        }
    }

    /// Looks for the next head behind something that is none.
    fn search(&mut self, limit: u64) -> io::Result<Found> {
        let start = self.at;
        let mut at = start;
        let mut torn = None;
        while at < limit {
            self.fill(at, FRAME as u64, limit)?;
            let window = &self.buffer[self.index(at)..];
            if window.is_empty() {
                break;
            }
            if is_zero(window) {
                at += window.len() as u64;
                continue;
            }
            torn = Some(start);
            let Some(offset) = find_magic(window) else {
                // The first bytes of a head may stand at the end of the window.
                at += window.len().saturating_sub(MAGIC.len() - 1).max(1) as u64;
                continue;
            };
            let candidate = at + offset as u64;
            if candidate > start && !matches!(self.probe(candidate, limit)?, Probe::Nothing) {
                self.at = candidate;
                return Ok(Found::Damaged { at: start, length: candidate - start, frame: None });
            }
            at = candidate + 1;
        }
        self.at = limit;
        Ok(Found::End { torn })
    }

    fn index(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX).min(self.buffer.len())
    }

    /// Has the bytes from `at` on in the buffer, as far as the file and the limit have them.
    fn fill(&mut self, at: u64, length: u64, limit: u64) -> io::Result<()> {
        let held = self.base + self.buffer.len() as u64;
        let wanted = (at + length).min(limit);
        if at >= self.base && wanted <= held {
            return Ok(());
        }
        let keep = if at >= self.base && at < held { self.index(at) } else { self.buffer.len() };
        self.buffer.drain(..keep);
        self.base = at;
        let filled = self.buffer.len();
        let target = length.max(CHUNK).min(limit.saturating_sub(at)) as usize;
        if target > filled {
            self.buffer.resize(target, 0);
            let from = at + filled as u64;
            let read = self.read(filled, from);
            let read = match self.unreadable {
                Unreadable::IsDamage if read.is_err() => self.read_around(filled, from),
                _ => read,
            };
            self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
            read?;
        }
        Ok(())
    }

    /// Fills the buffer behind `filled` with what lies at `at` in the file; returns how many bytes there were.
    fn read(&mut self, filled: usize, at: u64) -> io::Result<usize> {
        #[cfg(test)]
        if at < self.bad.end && at + (self.buffer.len() - filled) as u64 > self.bad.start {
            return Err(io::Error::from_raw_os_error(5));
        }
        read_up_to(&self.file, &mut self.buffer[filled..], at)
    }

    /// The same, page by page. Where the disk does not give a page something else stands there that is no record: checksums
    /// tell, and empty space is never taken for it.
    fn read_around(&mut self, filled: usize, at: u64) -> io::Result<usize> {
        let end = self.file_length()?;
        let target = self.buffer.len();
        let mut done = filled;
        while done < target {
            let from = at + (done - filled) as u64;
            if from >= end {
                break;
            }
            let page = (PAGE - from % PAGE).min(end - from).min((target - done) as u64) as usize;
            self.buffer.truncate(done + page);
            self.buffer.resize(done + page, 0);
            if self.read(done, from).is_err() {
                self.buffer[done..].fill(UNREAD);
            }
            done += page;
        }
        self.buffer.resize(target, 0);
        Ok(done - filled)
    }
}

/// Reads until the slice is full or the file ends.
fn read_up_to(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

fn find_magic(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(place) = bytes[from..].iter().position(|byte| *byte == MAGIC[0]) {
        if bytes[from + place..].starts_with(&MAGIC) {
            return Some(from + place);
        }
        from += place + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of records of 6,000 bytes.
    fn write(path: &Path, records: u64) {
        let key = FileKey::fresh(&MasterKey::default());
        let mut bytes = key.header(1).encode().to_vec();
        for sequence in 1..=records {
            let payload = [sequence as u8; 6000];
            let frame = Frame { sequence, length: 6000, checksum: key.checksum(&payload), ..Frame::default() };
            let mut head = [0; FRAME];
            frame.write(&mut head, &key);
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(&payload);
        }
        std::fs::write(path, bytes).expect("written");
    }

    fn sequences(scan: &mut Scan, limit: u64) -> io::Result<Vec<u64>> {
        let mut sequences = Vec::new();
        loop {
            match scan.next(limit)? {
                Found::Record { frame, .. } => sequences.push(frame.sequence),
                Found::Damaged { .. } => {}
                Found::End { .. } => return Ok(sequences),
            }
        }
    }

    #[test]
    fn a_page_that_the_disk_does_not_give_costs_the_records_that_lie_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("segment");
        write(&path, 60);
        let length = std::fs::metadata(&path).expect("there").len();
        for page in [1, 7, 40, length / PAGE] {
            let bad = page * PAGE..(page + 1) * PAGE;
            let mut scan = Scan::open(&path, &MasterKey::default(), BLOCK as u64).expect("opens");
            scan.bad = bad.clone();
            assert!(sequences(&mut scan, length).is_err(), "page {page}");
            let mut scan =
                Scan::open_with(&path, &MasterKey::default(), BLOCK as u64, Unreadable::IsDamage).expect("opens");
            scan.bad = bad.clone();
            let whole = (1..=60).filter(|sequence| {
                let begin = BLOCK as u64 + (sequence - 1) * 6064;
                begin >= bad.end || begin + 6064 <= bad.start
            });
            assert_eq!(sequences(&mut scan, length).expect("readable"), whole.collect::<Vec<_>>(), "page {page}");
        }
    }
}
