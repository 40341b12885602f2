//! The folder of the journal: names, modes, the lock, and how much the disk has left.
//!
//! ```text
//! data/journal/lock                              held while a gateway runs
//! data/journal/checkpoint                        what is settled
//! data/journal/<first sequence number>.segment   receipts
//! data/journal/bodies/<receipt id>-<number>      bodies over 64 KiB; `.new` until their record is durable
//! data/journal/quarantine/<receipt id>           receipts that could not be processed
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock, statvfs};

use super::JournalError;
use crate::receipt::ReceiptId;

/// Others of the same disk (the store, logs) and the quarantine have this much when the journal takes no more …
const FLOOR_BYTES: u64 = 64 << 20;
/// … or this part of a small disk.
const FLOOR_PART: u64 = 16;

#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub root: PathBuf,
    pub bodies: PathBuf,
    pub quarantine: PathBuf,
    /// Bytes of a pretended disk that has nothing but this folder on it; 0: the real one.
    #[cfg(test)]
    pub disk: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

/// What the disk has, bytes.
struct Disk {
    size: u64,
    free: u64,
}

impl Folder {
    /// Makes the folders, and refuses those that others can read.
    pub fn open(root: &Path) -> Result<Self, JournalError> {
        let folder = Self {
            root: root.to_owned(),
            bodies: root.join("bodies"),
            quarantine: root.join("quarantine"),
            #[cfg(test)]
            disk: std::sync::Arc::default(),
        };
        for path in [&folder.root, &folder.bodies, &folder.quarantine] {
            if !path.exists() {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
                made.and_then(|()| sync_folder(folder_of(path))).map_err(|error| unusable(path, &error))?;
            }
            refuse_wide_mode(path, "700")?;
        }
        Ok(folder)
    }

    /// Keeps a second process out, until the file is dropped.
    pub fn lock(&self) -> Result<File, JournalError> {
        let path = self.root.join("lock");
        let file = options().create(true).truncate(false).open(&path).map_err(|error| unusable(&path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => Err(JournalError::Unusable(format!(
                "{} is in use by another gateway; stop it, or give each its own data folder",
                self.root.display()
            ))),
            Err(error) => Err(unusable(&path, &error.into())),
        }
    }

    pub fn segment(&self, first: u64) -> PathBuf {
        self.root.join(format!("{first:020}.segment"))
    }

    /// First sequence numbers of the segments, in order.
    pub fn segments(&self) -> io::Result<Vec<u64>> {
        let mut segments: Vec<u64> = names(&self.root)?
            .iter()
            .filter_map(|name| name.strip_suffix(".segment").filter(|number| number.len() == 20)?.parse().ok())
            .collect();
        segments.sort_unstable();
        Ok(segments)
    }

    pub fn body(&self, id: &[u8; 16], number: u64) -> PathBuf {
        self.bodies.join(format!("{}-{number:016x}", uuid::Uuid::from_bytes(*id)))
    }

    /// The body of a record that is not durable yet.
    pub fn new_body(&self, id: &[u8; 16], number: u64) -> PathBuf {
        let mut path = self.body(id, number).into_os_string();
        path.push(".new");
        path.into()
    }

    pub fn quarantined(&self, id: ReceiptId) -> PathBuf {
        self.quarantine.join(id.to_string())
    }

    /// How many bytes the journal may still take from the disk.
    pub fn available(&self) -> io::Result<u64> {
        let disk = self.disk()?;
        Ok(disk.free.saturating_sub(disk.floor()))
    }

    /// How many bytes the disk lacks until the journal may take so many.
    pub fn lacking(&self, wanted: u64) -> io::Result<u64> {
        let disk = self.disk()?;
        Ok(disk.floor().saturating_add(wanted).saturating_sub(disk.free))
    }

    fn disk(&self) -> io::Result<Disk> {
        #[cfg(test)]
        if let size @ 1.. = self.disk.load(std::sync::atomic::Ordering::Relaxed) {
            let folders = [&self.root, &self.bodies, &self.quarantine];
            let used = folders.into_iter().map(|folder| measure(folder).map_or(0, |(bytes, _)| bytes)).sum();
            return Ok(Disk { size, free: size.saturating_sub(used) });
        }
        let disk = statvfs(&self.root)?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(Disk { size: bytes(disk.f_blocks), free: bytes(disk.f_bavail) })
    }
}

impl Disk {
    fn floor(&self) -> u64 {
        (self.size / FLOOR_PART).min(FLOOR_BYTES)
    }
}

/// Names of the files in a folder; names that are not UTF-8 are none of ours.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// Bytes and number of the files in a folder.
pub(super) fn measure(folder: &Path) -> io::Result<(u64, u64)> {
    let mut sum = (0, 0);
    for entry in fs::read_dir(folder)? {
        // A file that was deleted in the meantime counts nothing.
        if let Ok(metadata) = entry?.metadata() {
            sum = (sum.0 + metadata.len(), sum.1 + 1);
        }
    }
    Ok(sum)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// A new file that only we can read.
pub(super) fn create(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// A file that may be there already.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}

/// The folder that a file or folder lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes new and deleted names of a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Refuses what others could read.
pub(super) fn refuse_wide_mode(path: &Path, wanted: &str) -> Result<(), JournalError> {
    // The six low bits are what the group and others may do.
    let mode = fs::metadata(path).map_err(|error| unusable(path, &error))?.permissions().mode() & 0o7777;
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    let path = path.display();
    Err(JournalError::Unusable(format!(
        "{path} has mode {mode:o}, others could read what citizens wrote; run: chmod {wanted} {path}"
    )))
}

pub(super) fn unusable(path: &Path, error: &io::Error) -> JournalError {
    JournalError::Unusable(format!("{}: {error}", path.display()))
}

/// Full, or failed? `what` says what was being done.
pub(super) fn refusal(what: &str, error: &io::Error) -> JournalError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            JournalError::Full(format!("{what}: {error}; make room on the disk of the data folder"))
        }
        _ => JournalError::Failed(format!("{what}: {error}")),
    }
}
