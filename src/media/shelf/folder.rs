//! A local folder as the place of the shelf. Files are `0600` and folders `0700`; what is written is on the disk, folder and all,
//! before a method returns.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::io::AsyncReadExt as _;

use super::{
    Opened, Place,
    draft::{Scrap, private_file},
};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// The folder. Keys are paths below it, made by the shelf alone.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let place = self.root.join(key);
        tokio::task::spawn_blocking(move || {
            make_private(place.parent().expect("a key is below the folder"))?;
            work(&place)
        })
        .await
        .map_err(io::Error::other)?
    }
}

#[async_trait]
impl Place for Folder {
    async fn put_file(&self, key: &str, file: Scrap) -> io::Result<()> {
        self.blocking(key, move |place| {
            std::fs::rename(&file.0, place)?;
            sync_folder(place)
        })
        .await
    }

    async fn write(&self, key: &str, bytes: Vec<u8>, scrap: Scrap) -> io::Result<()> {
        self.blocking(key, move |place| {
            write_new(&scrap.0, &bytes)?;
            std::fs::rename(&scrap.0, place)?;
            sync_folder(place)
        })
        .await
    }

    async fn create(&self, key: &str, bytes: Vec<u8>, scrap: Scrap) -> io::Result<bool> {
        self.blocking(key, move |place| {
            write_new(&scrap.0, &bytes)?;
            match std::fs::hard_link(&scrap.0, place) {
                Ok(()) => sync_folder(place).map(|()| true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn open(&self, key: &str) -> io::Result<Option<Opened>> {
        let file = match tokio::fs::File::open(self.root.join(key)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = file.metadata().await?.len();
        let pieces = stream::try_unfold(file, |mut file| async move {
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece).await?;
            piece.truncate(length);
            Ok::<_, io::Error>((length > 0).then(|| (Bytes::from(piece), file)))
        });
        Ok(Some(Opened { size, pieces: pieces.boxed() }))
    }

    async fn remove(&self, key: &str) -> io::Result<()> {
        match tokio::fs::remove_file(self.root.join(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn names(&self, folder: &'static str) -> io::Result<Vec<String>> {
        let path = self.root.join(folder);
        tokio::task::spawn_blocking(move || {
            let entries = match std::fs::read_dir(path) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        })
        .await
        .map_err(io::Error::other)?
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = private_file(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(place: &Path) -> io::Result<()> {
    let folder = place.parent().expect("the place is in a folder");
    std::fs::File::open(folder)?.sync_all()
}

pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
