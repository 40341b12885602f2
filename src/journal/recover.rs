//! What an earlier run left: which segments there are, where the last one ends, and which number comes next.
//!
//! Only the heads of the segments and the records of the last one are read, so that a start does not take longer when
//! there is much evidence. Receipts that are not settled are read by the tail as the pipeline asks for them.

use std::{fs, io, path::Path};

use tracing::{error, info, warn};

use super::{
    JournalError, folder,
    folder::{Folder, unusable},
    frame::BLOCK,
    index::{Entry, Index},
    scan::{Found, Scan, ScanError},
    seal::MasterKey,
};

/// The last segment of an earlier run.
struct Survey {
    /// Number of the last record; None: there is no record.
    last: Option<u64>,
    /// Behind the last record.
    end: u64,
    /// Are there bytes behind it that are neither a record nor zeros?
    torn: bool,
}

/// The segments, and the number of the next receipt. `settled` is what the checkpoint says.
pub(super) fn recover(folder: &Folder, master: &MasterKey, settled: u64) -> Result<(Index, u64), JournalError> {
    let mut index = Index::default();
    for first in folder.segments().map_err(|error| unusable(&folder.root, &error))? {
        let path = folder.segment(first);
        folder::refuse_wide_mode(&path, "600")?;
        index.push(Entry::found(first, check(&path, master)?));
    }
    let mut next = settled + 1;
    while let Some(entry) = index.last_mut() {
        let path = folder.segment(entry.first);
        let survey = survey(&path, master, entry).map_err(|error| unusable(&path, &error))?;
        next = next.max(entry.first).max(survey.last.map_or(0, |last| last + 1));
        if survey.last.is_none() && !survey.torn {
            // Nothing was ever written to it.
            fs::remove_file(&path).map_err(|error| unusable(&path, &error))?;
            index.pop_last();
            continue;
        }
        if survey.torn {
            warn!(
                segment = entry.first,
                from = survey.end,
                "the end of the journal is no whole record: a write that was never finished, or damage"
            );
            // Its name is taken, even where none of it can be read.
            next = next.max(entry.first + 1);
        } else if survey.end < entry.size && cut(&path, survey.end).is_ok() {
            entry.size = survey.end;
        }
        entry.end = survey.end;
        break;
    }
    if let Some(entry) = index.first() {
        info!(first = entry.first, last = next - 1, settled, bytes = index.bytes(), "the journal is open");
    }
    Ok((index, next))
}

/// Can the segment be read with this key? Returns its length.
fn check(path: &Path, master: &MasterKey) -> Result<u64, JournalError> {
    match Scan::open(path, master, BLOCK as u64) {
        Ok(scan) => scan.file_length().map_err(|error| unusable(path, &error)),
        Err(ScanError::NoHead) => {
            // A crash while it was made, or damage: the survey and the reader say which.
            fs::metadata(path).map(|metadata| metadata.len()).map_err(|error| unusable(path, &error))
        }
        Err(ScanError::Io(error)) => Err(unusable(path, &error)),
        Err(ScanError::Key(error)) => Err(JournalError::Unusable(format!("{} {error}", path.display()))),
    }
}

fn survey(path: &Path, master: &MasterKey, entry: &mut Entry) -> io::Result<Survey> {
    let mut survey = Survey { last: None, end: BLOCK as u64, torn: false };
    let mut scan = match Scan::open(path, master, BLOCK as u64) {
        Ok(scan) => scan,
        Err(ScanError::Io(error)) => return Err(error),
        Err(ScanError::Key(error)) => return Err(io::Error::other(error)),
        Err(ScanError::NoHead) => {
            // While a segment is made its head is written after its blocks are taken, and before any record.
            survey.torn = !is_empty(path)?;
            return Ok(survey);
        }
    };
    entry.has_bodies = Some(false);
    loop {
        match scan.next(entry.size)? {
            Found::Record { at, frame } => {
                entry.record(&frame, at);
                survey.last = survey.last.max(Some(frame.sequence));
                survey.end = at + frame.total();
            }
            Found::Damaged { at, length, .. } => {
                error!(segment = entry.first, at, length, "a record of the journal is damaged");
                survey.end = at + length;
            }
            Found::End { torn } => {
                // A damaged record at the very end leaves no other trace than that something lies there.
                survey.torn |= torn.is_some() || survey.last.is_none() && survey.end > BLOCK as u64;
                return Ok(survey);
            }
        }
    }
}

/// A file with nothing but zeros behind its head.
fn is_empty(path: &Path) -> io::Result<bool> {
    use io::Read;
    let mut file = fs::File::open(path)?;
    let mut bytes = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        let read = file.read(&mut bytes)?;
        if read == 0 {
            return Ok(true);
        }
        let skip = BLOCK.saturating_sub(at).min(read);
        if bytes[skip..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += read;
    }
}

fn cut(path: &Path, end: u64) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.set_len(end)
}
