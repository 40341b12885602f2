//! Bodies over 64 KiB, each in a file of its own, so that a large photo neither holds up the group commit nor fills memory.
//! The file and its name are durable before the record that names it is written.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::{
    JournalError, folder,
    frame::{BLOCK, FRAME, Frame},
    retain,
    scan::{Found, Scan, ScanError, Unreadable},
    seal::Kind,
    shared::Shared,
};
use crate::{clock, receipt::ReceiptId};

/// Larger bodies go to a file.
pub(super) const INSIDE: usize = 64 << 10;

/// A body that was written, and whose record is not durable yet. It goes when this is dropped, whether its record was
/// refused, or nobody waits for it any more.
pub(super) struct Written {
    shared: Arc<Shared>,
    /// Part of the name, as one receipt can be journalled twice.
    pub number: u64,
    new: PathBuf,
    name: PathBuf,
    /// On the books.
    length: u64,
    is_kept: bool,
}

impl Written {
    /// The record is durable: the body gets its final name. One that is left with the other is found as well.
    pub fn keep(mut self) {
        let _ = fs::rename(&self.new, &self.name);
        self.is_kept = true;
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if !self.is_kept && fs::remove_file(&self.new).is_ok() {
            self.shared.freed(self.length);
        }
        self.shared.in_flight().remove(&self.number);
    }
}

/// Writes a body. Blocking.
pub(super) fn write(shared: &Arc<Shared>, id: ReceiptId, body: &Bytes) -> Result<Written, JournalError> {
    let length = (BLOCK + FRAME + 16 + body.len()) as u64;
    if retain::make_room(shared, length) < length {
        return Err(JournalError::Full(
            "no room for a large body; see why the store does not take receipts".to_owned(),
        ));
    }
    if retain::make_disk_room(shared, length).is_ok_and(|available| available < length) {
        return Err(JournalError::Full("the disk of the data folder has no room for a large body".to_owned()));
    }
    let id = *id.0.as_bytes();
    let number = u64::from_le_bytes(clock::random()).max(1);
    let frame = Frame { id, body: number, ..Frame::default() };
    let bytes = shared.session.frame(Kind::Body, frame, body.len(), |out| out.extend_from_slice(body));
    let bytes = bytes.ok_or_else(|| JournalError::Failed("a body of more than 4 GiB".to_owned()))?;
    let head = shared.session.key.header(0).encode();
    shared.in_flight().insert(number);
    let mut written = Written {
        shared: Arc::clone(shared),
        number,
        new: shared.folder.new_body(&id, number),
        name: shared.folder.body(&id, number),
        length: 0,
        is_kept: false,
    };
    let file = write_file(&written.new, &[&head, &bytes]);
    let file = file.and_then(|length| folder::sync_folder(&shared.folder.bodies).map(|()| length));
    written.length = file.map_err(|error| folder::refusal("the body of a receipt", &error))?;
    shared.bytes.fetch_add(written.length, Ordering::Relaxed);
    Ok(written)
}

/// A file with these bytes, durable when its folder is synced; returns its length.
pub(super) fn write_file(path: &Path, parts: &[&[u8]]) -> io::Result<u64> {
    let mut file = folder::create(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    Ok(parts.iter().map(|part| part.len() as u64).sum())
}

/// The body of a record; None when its file is gone or damaged. Blocking.
pub(super) fn read(shared: &Shared, record: &Frame, unreadable: Unreadable) -> Result<Option<Bytes>, ScanError> {
    let name = shared.folder.body(&record.id, record.body);
    // It may get its final name between two looks: the third one finds it then.
    let mut scan = None;
    for path in [&name, &shared.folder.new_body(&record.id, record.body), &name] {
        match Scan::open_with(path, &shared.master, BLOCK as u64, unreadable) {
            Err(ScanError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(ScanError::NoHead) => return Ok(None),
            Err(error) => return Err(error),
            Ok(found) => {
                scan = Some(found);
                break;
            }
        }
    }
    let Some(mut scan) = scan else { return Ok(None) };
    let length = scan.file_length()?;
    let Found::Record { frame, .. } = scan.next(length)? else { return Ok(None) };
    let (key, payload) = scan.payload();
    let is_ours = frame.id == record.id && frame.body == record.body;
    Ok(key.open(&frame, Kind::Body, payload).filter(|_| is_ours).map(Bytes::copy_from_slice))
}

/// Deletes a body that no record names, or whose record expired; returns how many bytes went. Blocking.
pub(super) fn remove(shared: &Shared, id: &[u8; 16], number: u64) -> u64 {
    let mut gone = 0;
    for path in [shared.folder.body(id, number), shared.folder.new_body(id, number)] {
        let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if fs::remove_file(&path).is_ok() {
            shared.freed(length);
            gone += length;
        }
    }
    gone
}
