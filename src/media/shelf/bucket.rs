//! S3-compatible storage as the place of the shelf. An object is there as a whole or not at all, so that a crash leaves nothing
//! half written; parts of an upload that was cut off are the storage's to clear away.

use std::{fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use object_store::{
    BackoffConfig, Error, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{io::AsyncReadExt as _, sync::Semaphore};

use super::{Opened, Place, draft::Scrap};
use crate::http::objects::Objects;

/// Bytes of a part, and of the largest file that is sent as one: the least that the storage takes as a part.
const PART: usize = 5 << 20;
/// Files that are sent at once: so many parts are in memory.
const SENDING: usize = 4;
const RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(20);

/// Where the bucket is, and who we are there.
#[derive(Clone)]
pub struct Access {
    pub bucket: String,
    /// Before every key; empty for none.
    pub prefix: String,
    /// None: the provider's own, by its region.
    pub endpoint: Option<String>,
    pub region: String,
    pub access_key: SecretString,
    pub secret_key: SecretString,
    /// The bucket stands in the path, not in the name of the host.
    pub path_style: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Access(s3://{}/{})", self.bucket, self.prefix)
    }
}

/// The bucket.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    store: AmazonS3,
    prefix: String,
    sending: Arc<Semaphore>,
}

impl Bucket {
    /// Opens no connection.
    pub fn new(access: &Access) -> io::Result<Self> {
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_http_connector(Objects::new().map_err(io::Error::other)?)
            .with_bucket_name(&access.bucket)
            .with_region(&access.region)
            .with_access_key_id(access.access_key.expose_secret())
            .with_secret_access_key(access.secret_key.expose_secret())
            .with_virtual_hosted_style_request(!access.path_style)
            .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_FOR });
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().map_err(io::Error::other)?;
        Ok(Self { store, prefix: access.prefix.clone(), sending: Arc::new(Semaphore::new(SENDING)) })
    }

    fn path(&self, key: &str) -> Path {
        // Keys are made by the shelf: letters, digits, hyphens, dots.
        self.prefix.split('/').chain(key.split('/')).filter(|part| !part.is_empty()).collect()
    }

    /// Part by part, one at a time.
    async fn send_parts(&self, upload: &mut dyn MultipartUpload, file: &mut tokio::fs::File) -> io::Result<()> {
        loop {
            let part = part(file).await?;
            if part.is_empty() {
                break;
            }
            upload.put_part(PutPayload::from(part)).await.map_err(failed)?;
        }
        upload.complete().await.map_err(failed)?;
        Ok(())
    }
}

/// The next bytes of a file, a whole part unless it is the last.
async fn part(file: &mut tokio::fs::File) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.take(PART as u64).read_to_end(&mut part).await?;
    Ok(part)
}

#[async_trait]
impl Place for Bucket {
    async fn put_file(&self, key: &str, file: Scrap) -> io::Result<()> {
        let _lane = self.sending.acquire().await.map_err(io::Error::other)?;
        let path = self.path(key);
        let mut source = tokio::fs::File::open(&file.0).await?;
        if source.metadata().await?.len() <= PART as u64 {
            let bytes = part(&mut source).await?;
            return self.store.put(&path, PutPayload::from(bytes)).await.map(|_| ()).map_err(failed);
        }
        let mut upload = self.store.put_multipart(&path).await.map_err(failed)?;
        let sent = self.send_parts(upload.as_mut(), &mut source).await;
        if sent.is_err() {
            // What is left of it costs space only, and its end may be as far away as the rest.
            let _ = upload.abort().await;
        }
        sent
    }

    async fn write(&self, key: &str, bytes: Vec<u8>, _: Scrap) -> io::Result<()> {
        self.store.put(&self.path(key), PutPayload::from(bytes)).await.map(|_| ()).map_err(failed)
    }

    async fn create(&self, key: &str, bytes: Vec<u8>, _: Scrap) -> io::Result<bool> {
        let payload = PutPayload::from(bytes);
        match self.store.put_opts(&self.path(key), payload, PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn open(&self, key: &str) -> io::Result<Option<Opened>> {
        match self.store.get(&self.path(key)).await {
            Ok(found) => {
                let size = found.meta.size;
                Ok(Some(Opened { size, pieces: found.into_stream().map_err(failed).boxed() }))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn remove(&self, key: &str) -> io::Result<()> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn names(&self, folder: &'static str) -> io::Result<Vec<String>> {
        let found = self.store.list(Some(&self.path(folder)));
        let name = |meta: object_store::ObjectMeta| async move { Ok(meta.location.filename().map(str::to_owned)) };
        found.try_filter_map(name).try_collect().await.map_err(failed)
    }
}

/// In words of our own: those of the storage hold the access key and what it was asked to sign, and are as long as it likes.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` calls")]
fn failed(error: Error) -> io::Error {
    let reason = match &error {
        Error::NotFound { .. } => "there is no such bucket or file",
        Error::PermissionDenied { .. } => "the keys do not allow it",
        Error::Unauthenticated { .. } => "it does not know the keys, or refuses the signature",
        Error::AlreadyExists { .. } | Error::Precondition { .. } => "the file is there already",
        Error::NotSupported { .. } | Error::NotImplemented { .. } => "it cannot do what it was asked",
        Error::InvalidPath { .. } => "the key of the file is none",
        _ => "it does not answer as it should; its own log says why",
    };
    io::Error::other(format!("the S3-compatible storage: {reason}"))
}
