//! The engine under the embedded store: one `fjall` database with four keyspaces, one writer at a time, one atomic
//! batch for each write.
//!
//! A write gathers its [`Changes`], reads its own changes back, and commits them in one batch. Whatever fails in a write
//! leaves the memory of the queues in doubt, so the engine counts as failed then and is opened again from what is on
//! disk (`supervision`). It never waits for a database that is poisoned: `fjall` itself would wait for ever for a worker
//! that a full disk has ended, so room is made before each write instead.

use std::{
    collections::HashMap,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode,
    UserKey, UserValue, compaction::Leveled, config::PartitioningPolicy,
};

use tracing::info;

use super::{
    expiry::{Clock, claims_expire},
    memory::Memory,
};
use crate::store::{StoreError, StoreLimits};

/// Blocks that were read lately.
const CACHE_BYTES: u64 = 4 << 20;
/// A memtable is written to a file at this size. Each keyspace has one that fills and at most two that are being written.
/// An entry costs some 150 bytes more than is counted here, so that keyspaces of small entries have small memtables.
const MEMTABLE_BYTES: u64 = 1 << 20;
/// Files of a tree. What is large lies apart, so that these hold many entries; small ones keep a compaction short.
const TABLE_BYTES: u64 = 2 << 20;
/// So many files are merged into the tree at once.
const LEVEL_ZERO_FILES: u8 = 8;
/// The least that `fjall` allows: less to replay at start.
const JOURNAL_BYTES: u64 = 64 << 20;
/// With two, one of them turns round without a pause while the other compacts.
const WORKERS: usize = 1;
/// More memtables waiting for the disk than this and writers wait. `fjall` would wait at 4, deaf to failures.
const SEALED_MEMTABLES: usize = 1;
/// More files waiting for a compaction than this and writers wait. `fjall` would wait at 30, deaf to failures.
const LEVEL_ZERO_RUNS: usize = 20;
/// After this a disk that does not come along is treated as away.
const PATIENCE: Duration = Duration::from_secs(20);
/// At the end a slow disk is not waited for longer: the next start replays more.
const FAREWELL: Duration = Duration::from_secs(3);

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The disk or the database on it.
    Disk(fjall::Error),
    /// What was written may not have reached the disk, and the operating system may believe that it did.
    Sync(fjall::Error),
    /// The disk is too slow: nothing was begun.
    Slow,
    /// The data are not what this program writes.
    Corrupt(String),
    /// The caller asks for what cannot be; nothing was begun.
    Misuse(String),
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(fjall::Error::Io(error))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Disk(error) => Self::Away(format!("the embedded store cannot use its disk: {}", reason(&error))),
            Failure::Sync(error) => Self::Away(format!("the embedded store cannot sync its disk: {}", reason(&error))),
            Failure::Slow => Self::Away("the embedded store waits for its disk".to_owned()),
            Failure::Corrupt(what) => Self::Broken(format!("the embedded store is damaged: {what}")),
            Failure::Misuse(what) => Self::Broken(what),
        }
    }
}

/// The cause in words; the engine's own text is for its programmers.
fn reason(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Storage(error) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        fjall::Error::Locked => "another process holds it".to_owned(),
        other => other.to_string(),
    }
}

/// A keyspace of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Claims, nonces and event ids that were seen: small, at random places, forgotten by the compaction.
    Claims,
    /// What is kept of senders, and the tracking ids: at random places.
    Senders,
    /// Events and dead letters: large, in order.
    Events,
    /// Everything else, most of it in the order of time.
    State,
}

/// How many keyspaces there are.
const SPACES: usize = 4;
const NAMES: [&str; SPACES] = ["claims", "senders", "events", "state"];

/// An open database.
pub(super) struct Engine {
    database: Database,
    spaces: [Keyspace; SPACES],
    pub limits: StoreLimits,
    folder: PathBuf,
    memory: Mutex<Memory>,
    progress: Arc<Progress>,
    failed: AtomicBool,
    sync_doubtful: AtomicBool,
}

/// How many batches were written, and how many of them are known to be on disk. It outlives an engine.
#[derive(Debug, Default)]
pub(super) struct Progress {
    written: AtomicU64,
    synced: AtomicU64,
}

impl Progress {
    /// The number of batches written so far: what [`Progress::is_synced`] is asked about later.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub fn is_synced(&self, written: u64) -> bool {
        self.synced.load(Ordering::Acquire) >= written
    }

    fn count(&self) {
        self.written.fetch_add(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Engine({} batches written)", self.progress.written())
    }
}

impl Engine {
    /// Opens the database at `path`, or makes one.
    pub fn open(
        path: &Path,
        limits: StoreLimits,
        clock: &Arc<Clock>,
        progress: &Arc<Progress>,
    ) -> Result<Self, Failure> {
        if !path.join("version").try_exists()? {
            create(path, clock)?;
        }
        let (database, spaces) = open_database(path, clock)?;
        // The first confirmation syncs, whatever was written before.
        progress.count();
        let engine = Self {
            database,
            spaces,
            limits,
            folder: path.to_owned(),
            memory: Mutex::default(),
            progress: Arc::clone(progress),
            failed: AtomicBool::new(false),
            sync_doubtful: AtomicBool::new(false),
        };
        let memory = Memory::load(&engine)?;
        *engine.lock()? = memory;
        Ok(engine)
    }

    /// May the engine be used?
    pub fn is_whole(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    /// To be called when an operation on the engine failed so that it cannot be trusted any more.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// To be called when a sync failed: what the operating system holds may not be on the disk.
    pub fn doubt_sync(&self) {
        self.sync_doubtful.store(true, Ordering::Release);
    }

    pub fn is_sync_doubtful(&self) -> bool {
        self.sync_doubtful.load(Ordering::Acquire)
    }

    fn space(&self, space: Space) -> &Keyspace {
        &self.spaces[space as usize]
    }

    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<UserValue>, Failure> {
        Ok(self.space(space).get(key)?)
    }

    /// The pairs of a range of keys, in order.
    pub fn scan(
        &self,
        space: Space,
        range: Range<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Result<(UserKey, UserValue), Failure>> {
        self.space(space).range(range).map(|guard| guard.into_inner().map_err(Failure::from))
    }

    /// The memory of the queues. Whoever holds it is the only writer.
    pub fn lock(&self) -> Result<MutexGuard<'_, Memory>, Failure> {
        self.memory.lock().map_err(|_| Failure::Disk(fjall::Error::Poisoned))
    }

    /// Does `work` and commits its changes in one atomic batch, which is not yet durable.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&mut Memory, &mut Changes<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut memory = self.lock()?;
        self.make_room()?;
        let mut changes = Changes { engine: self, pending: Default::default() };
        let result = work(&mut memory, &mut changes).and_then(|result| self.commit(changes).map(|()| result));
        if result.as_ref().is_err_and(|failure| !matches!(failure, Failure::Misuse(_))) {
            // The memory may be ahead of the disk now.
            self.fail();
        }
        result
    }

    fn commit(&self, changes: Changes<'_>) -> Result<(), Failure> {
        let count = changes.pending.iter().map(HashMap::len).sum();
        if count == 0 {
            return Ok(());
        }
        let mut batch =
            OwnedWriteBatch::with_capacity(self.database.clone(), count).durability(Some(PersistMode::Buffer));
        for (space, pending) in self.spaces.iter().zip(changes.pending) {
            for (key, value) in pending {
                match value {
                    Some(value) => batch.insert(space, key, value),
                    None => batch.remove(space, key),
                }
            }
        }
        batch.commit()?;
        self.progress.count();
        Ok(())
    }

    /// Waits until the disk has taken what was written before, as far as needed to keep memory and files bounded.
    fn make_room(&self) -> Result<(), Failure> {
        let full = |space: &Keyspace| {
            space.sealed_memtable_count() > SEALED_MEMTABLES || space.tree.l0_run_count() > LEVEL_ZERO_RUNS
        };
        let begin = Instant::now();
        while self.spaces.iter().any(full) {
            self.probe()?;
            if begin.elapsed() > PATIENCE {
                return Err(Failure::Slow);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Fails when an earlier write or a worker of the database has failed.
    pub fn probe(&self) -> Result<(), Failure> {
        Ok(self.database.persist(PersistMode::Buffer)?)
    }

    /// Brings everything written so far to the disk.
    pub fn sync(&self) -> Result<(), Failure> {
        let written = self.progress.written();
        match self.database.persist(PersistMode::SyncData) {
            Ok(()) => {
                self.progress.synced.fetch_max(written, Ordering::AcqRel);
                Ok(())
            }
            Err(fjall::Error::Poisoned) => Err(Failure::Disk(fjall::Error::Poisoned)),
            Err(error) => Err(Failure::Sync(error)),
        }
    }
}

impl Engine {
    /// Writes what is in memory to files, and empties the journal that nothing needs any more, so that the next start has
    /// nothing to replay.
    fn tidy(&self) -> Result<(), Failure> {
        for space in &self.spaces {
            space.rotate_memtable()?;
        }
        let begin = Instant::now();
        while self.spaces.iter().any(|space| space.sealed_memtable_count() > 0) {
            self.probe()?;
            if begin.elapsed() > FAREWELL {
                return Err(Failure::Slow);
            }
            thread::sleep(Duration::from_millis(1));
        }
        let only_journal = self.database.journal_count() == 1;
        let written = self.spaces.iter().all(|space| space.tree.active_memtable().size() == 0);
        if only_journal && written {
            for file in fs::read_dir(&self.folder)? {
                let path = file?.path();
                if path.extension().is_some_and(|extension| extension == "jnl") {
                    let journal = fs::File::options().write(true).open(path)?;
                    journal.set_len(0)?;
                    journal.sync_all()?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.is_whole()
            && let Err(failure) = self.tidy()
        {
            info!("the embedded store leaves its journal for the next start: {}", StoreError::from(failure));
        }
    }
}

/// What one write changes. Each key is written once, with its last value.
pub(super) struct Changes<'a> {
    engine: &'a Engine,
    pending: [HashMap<UserKey, Option<UserValue>>; SPACES],
}

impl<'a> Changes<'a> {
    /// The value as it will be after this write.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<UserValue>, Failure> {
        match self.pending[space as usize].get(key) {
            Some(value) => Ok(value.clone()),
            None => self.engine.get(space, key),
        }
    }

    pub fn put(&mut self, space: Space, key: impl Into<UserKey>, value: impl Into<UserValue>) {
        self.pending[space as usize].insert(key.into(), Some(value.into()));
    }

    pub fn remove(&mut self, space: Space, key: impl Into<UserKey>) {
        self.pending[space as usize].insert(key.into(), None);
    }

    /// The engine as it was before this write.
    pub fn before(&self) -> &'a Engine {
        self.engine
    }
}

fn open_database(path: &Path, clock: &Arc<Clock>) -> Result<(Database, [Keyspace; SPACES]), Failure> {
    let clock = Arc::clone(clock);
    let database = Database::builder(path)
        .cache_size(CACHE_BYTES)
        .worker_threads(WORKERS)
        .max_journaling_size(JOURNAL_BYTES)
        .with_compaction_filter_factories(Arc::new(move |name| claims_expire(name, &clock)))
        .open()?;
    let open = |space: Space| database.keyspace(NAMES[space as usize], || options(space));
    let spaces = [open(Space::Claims)?, open(Space::Senders)?, open(Space::Events)?, open(Space::State)?];
    Ok((database, spaces))
}

fn options(space: Space) -> KeyspaceCreateOptions {
    let compaction = Leveled::default().with_l0_threshold(LEVEL_ZERO_FILES).with_table_target_size(TABLE_BYTES);
    // Values of this size go to files of their own when a memtable is written, and no compaction copies them again.
    let (memtable, apart) = match space {
        Space::Claims => (MEMTABLE_BYTES, None),
        Space::Senders => (MEMTABLE_BYTES, Some(96)),
        Space::Events => (2 * MEMTABLE_BYTES, Some(512)),
        Space::State => (2 * MEMTABLE_BYTES, Some(128)),
    };
    // Filters and indexes are read piece by piece, or the cache would hold a few whole ones.
    let in_pieces = PartitioningPolicy::new([false, true]);
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable)
        .compaction_strategy(Arc::new(compaction))
        .filter_block_partitioning_policy(in_pieces.clone())
        .index_block_partitioning_policy(in_pieces)
        .with_kv_separation(apart.map(|bytes| KvSeparationOptions::default().separation_threshold(bytes)))
}

/// Makes a database beside `path` and moves it there when it is whole: a disk that fills meanwhile leaves nothing that
/// cannot be opened.
fn create(path: &Path, clock: &Arc<Clock>) -> Result<(), Failure> {
    let mut staging = path.as_os_str().to_owned();
    staging.push(".new");
    let staging = PathBuf::from(staging);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&staging)?,
    }
    drop(open_database(&staging, clock)?);
    // An empty folder may stand in the way, one with foreign files in it is not ours to remove.
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::rename(&staging, path)?,
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}
