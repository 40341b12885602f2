//! A connection that never waits for ever: silence on a read or a write ends it with an error.
//!
//! A firewall that forgets a connection, or a server whose machine is gone, says nothing; only a clock finds that out. The
//! limit is on silence and not on a whole answer, so that a large letter over a thin line comes through.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How long silence is borne, in milliseconds. Shared, as it is longer while the server is asked to speak first (IDLE).
#[derive(Clone, Debug)]
pub(super) struct Patience(Arc<AtomicU64>);

impl Patience {
    pub fn new(limit: Duration) -> Self {
        let patience = Self(Arc::default());
        patience.set(limit);
        patience
    }

    /// A wait that is under way begins anew with the other limit.
    pub fn set(&self, limit: Duration) {
        self.0.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn limit(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream with patience.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    patience: Patience,
    read: Watch,
    write: Watch,
}

/// One direction.
#[derive(Debug)]
struct Watch {
    sleep: Pin<Box<Sleep>>,
    /// The limit that the sleep was begun with; None while nobody waits.
    begun: Option<u64>,
}

impl Watch {
    fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), begun: None }
    }

    /// The same, unless it is pending for too long.
    fn over<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        patience: &Patience,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.begun = None;
            return polled;
        }
        let limit = patience.limit();
        if self.begun != Some(limit) {
            self.sleep.as_mut().reset(Instant::now() + Duration::from_millis(limit));
            self.begun = Some(limit);
        }
        ready!(self.sleep.as_mut().poll(context));
        self.begun = None;
        let seconds = limit / 1000;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, format!("silent for {seconds} s"))))
    }
}

impl<S> Patient<S> {
    pub fn new(stream: S, patience: Patience) -> Self {
        Self { stream, patience, read: Watch::new(), write: Watch::new() }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_read(context, buf);
        this.read.over(polled, &this.patience, context)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_write(context, buf);
        this.write.over(polled, &this.patience, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_flush(context);
        this.write.over(polled, &this.patience, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_shutdown(context);
        this.write.over(polled, &this.patience, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn pair(limit: Duration) -> (Patient<tokio::io::DuplexStream>, tokio::io::DuplexStream, Patience) {
        let (ours, theirs) = tokio::io::duplex(64);
        let patience = Patience::new(limit);
        (Patient::new(ours, patience.clone()), theirs, patience)
    }

    #[tokio::test]
    async fn silence_ends_a_read_and_each_byte_begins_the_wait_anew() {
        let (mut ours, mut theirs, _) = pair(Duration::from_secs(2));
        let speaking = tokio::spawn(async move {
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                theirs.write_all(b"x").await.expect("written");
            }
            theirs
        });
        let begin = Instant::now();
        let mut bytes = [0; 12];
        ours.read_exact(&mut bytes).await.expect("slow is not silent");
        assert!(begin.elapsed() > Duration::from_secs(2));
        let begin = Instant::now();
        let _theirs = speaking.await.expect("spoken");
        let error = ours.read_u8().await.expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() >= Duration::from_millis(1900));
    }

    #[tokio::test]
    async fn another_limit_holds_for_the_wait_that_is_under_way() {
        let (mut ours, _theirs, patience) = pair(Duration::from_millis(100));
        patience.set(Duration::from_mins(5));
        // A read that is given up, as IDLE is when its time is over.
        assert!(tokio::time::timeout(Duration::from_millis(300), ours.read_u8()).await.is_err());
        patience.set(Duration::from_millis(100));
        let error = ours.read_u8().await.expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_write_that_nobody_takes_ends_too() {
        let (mut ours, _theirs, _) = pair(Duration::from_millis(100));
        let error = ours.write_all(&[0; 1000]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
