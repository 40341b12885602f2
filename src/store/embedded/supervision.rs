//! Keeps an engine open: one that failed (a full disk, say) is closed, and opened again as soon as that works.
//!
//! A database that could not write refuses all later writes, and rightly: what it has in memory and what is on disk may
//! differ. What is on disk is whole, though, and everything that was confirmed is there. So the failed engine is dropped
//! when nobody uses it any more, and a new one reads the disk. Meanwhile callers hear that the store is away and
//! repeat, which is harmless by contract. Nothing here needs a restart or a person.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing::{error, info};

use super::{
    engine::{Engine, Failure, Progress},
    expiry::Clock,
    torn,
};
use crate::store::{StoreError, StoreLimits};

/// Between two tries to open.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a failed engine may still be in use before the next try waits for it.
const FAREWELL: Duration = Duration::from_secs(5);

/// The engine of a store, whichever it is at the moment.
#[derive(Debug)]
pub(super) struct Supervision {
    path: PathBuf,
    limits: StoreLimits,
    pub clock: Arc<Clock>,
    pub progress: Arc<Progress>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open {
        engine: Arc<Engine>,
        /// When it may be opened again, should it fail.
        again: Instant,
    },
    /// Somebody is closing and opening it.
    Busy,
    Closed {
        /// The failed engine, if it was still in use.
        old: Option<Arc<Engine>>,
        again: Instant,
    },
}

impl Supervision {
    /// Opens the store at `path` for the first time.
    pub fn open(path: &Path, limits: StoreLimits) -> Result<Self, Failure> {
        let (clock, progress) = (Arc::default(), Arc::default());
        let open = || Engine::open(path, limits, &clock, &progress);
        // The engine refuses a torn journal, or panics where it checks itself.
        let engine = match panic::catch_unwind(AssertUnwindSafe(open)) {
            Ok(Err(Failure::Disk(fjall::Error::JournalRecovery(_)))) | Err(_) if torn::mend(path)? => open()?,
            Ok(opened) => opened?,
            Err(_) => return Err(Failure::Corrupt("its files cannot be read; the log says more".to_owned())),
        };
        let state = Mutex::new(State::Open { engine: Arc::new(engine), again: Instant::now() });
        Ok(Self { path: path.to_owned(), limits, clock, progress, state })
    }

    fn swap(&self, next: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Does `work` with the engine. A failure of the disk closes the engine for those who come later.
    pub fn with<T>(&self, work: impl FnOnce(&Engine) -> Result<T, Failure>) -> Result<T, StoreError> {
        let engine = self.engine()?;
        let watch = Watch(&engine);
        let result = work(&engine);
        drop(watch);
        if let Err(failure) = &result
            && matches!(failure, Failure::Disk(_) | Failure::Sync(_))
        {
            engine.fail();
        }
        if let Err(Failure::Sync(_)) = result {
            engine.doubt_sync();
        }
        Ok(result?)
    }

    /// The engine, opened again if it failed and the pause is over.
    fn engine(&self) -> Result<Arc<Engine>, StoreError> {
        let old = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *state {
                State::Open { engine, .. } if engine.is_whole() => return Ok(Arc::clone(engine)),
                State::Open { again, .. } | State::Closed { again, .. } if *again > Instant::now() => {
                    return Err(away());
                }
                State::Open { engine, .. } => {
                    let old = Some(Arc::clone(engine));
                    *state = State::Busy;
                    error!("the embedded store failed and is opened again");
                    old
                }
                State::Closed { old, .. } => {
                    let old = old.take();
                    *state = State::Busy;
                    old
                }
                State::Busy => return Err(away()),
            }
        };
        let begin = Instant::now();
        let opened = self.reopen(old);
        let again = Instant::now() + PAUSE;
        match opened {
            Ok(engine) => {
                info!(duration_ms = begin.elapsed().as_millis() as u64, "the embedded store is open again");
                let engine = Arc::new(engine);
                self.swap(State::Open { engine: Arc::clone(&engine), again });
                Ok(engine)
            }
            Err((old, error)) => {
                self.swap(State::Closed { old, again });
                Err(error)
            }
        }
    }

    /// Closes the old engine and opens a new one; gives the old one back when it is still in use.
    fn reopen(&self, old: Option<Arc<Engine>>) -> Result<Engine, (Option<Arc<Engine>>, StoreError)> {
        if let Some(old) = old {
            let begin = Instant::now();
            while Arc::strong_count(&old) > 1 {
                if begin.elapsed() > FAREWELL {
                    return Err((Some(old), away()));
                }
                thread::sleep(Duration::from_millis(2));
            }
            let doubtful = old.is_sync_doubtful();
            drop(old);
            if doubtful {
                rewrite_journals(&self.path).map_err(|error| (None, Failure::from(error).into()))?;
            }
        }
        Engine::open(&self.path, self.limits, &self.clock, &self.progress).map_err(|failure| (None, failure.into()))
    }
}

fn away() -> StoreError {
    StoreError::Away("the embedded store failed and is being opened again".to_owned())
}

/// Counts an engine as failed when the work on it panics.
struct Watch<'a>(&'a Engine);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail();
        }
    }
}

/// Writes the journals of the database over themselves and syncs them.
///
/// After a sync that failed, the operating system may count pages as written that never reached the disk. The
/// database would read them back as if they were safe, and so they are made safe.
fn rewrite_journals(folder: &Path) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            rewrite(&path)?;
        }
    }
    Ok(())
}

fn rewrite(path: &Path) -> io::Result<()> {
    let mut file = fs::File::options().read(true).write(true).open(path)?;
    let mut chunk = vec![0; 64 << 10];
    let mut place = 0;
    loop {
        file.seek(SeekFrom::Start(place))?;
        let length = file.read(&mut chunk)?;
        if length == 0 {
            return file.sync_all();
        }
        // The part that was reserved and never written stays so.
        if chunk[..length].iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start(place))?;
            file.write_all(&chunk[..length])?;
        }
        place += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_the_same_after_it_was_written_over_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.jnl");
        let content: Vec<u8> =
            (0..200_000_u32).map(|place| if place < 70_000 { 0 } else { (place % 251) as u8 }).collect();
        fs::write(&path, &content).unwrap();
        fs::write(folder.path().join("lock"), b"").unwrap();

        rewrite_journals(folder.path()).unwrap();

        assert!(fs::read(&path).unwrap() == content);
    }
}
