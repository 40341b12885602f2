//! One connection: reads and writes the socket, lets the session decide, and hands whole letters to the letterbox.
//!
//! Every wait has a bound. `250` is said for a letter only with the journal's proof in hand (G1); what breaks off before
//! that leaves nothing, and the sender has it still.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    data::Unstuffing,
    delivery::{Delivered, deliver},
    limits::{Limits, Pass},
    session::{Dialect, Found, Session, Step, Transaction},
    spool::{Spool, Spooling},
};
use crate::letterbox::Letterbox;

/// Longest command line, with its end (RFC 5321, section 4.5.3.1.4 asks for 512 and more with extensions).
const LINE: usize = 4096;
/// Bytes that are read at once.
const PIECE: usize = 16 << 10;
/// A letter has to come at this pace at least, after its first seconds.
const SLOWEST_BYTES_PER_SECOND: usize = 512;
const GRACE: Duration = Duration::from_secs(20);
/// A session ends after this, whatever it does.
const LONGEST: Duration = Duration::from_hours(1);
/// More than so many times the limit of a letter is not even read to its end.
const PATIENCE_FOR_TOO_LARGE: usize = 4;

/// A socket, in clear or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Wire for T {}

/// What every connection of a server shares.
#[derive(Clone)]
pub struct Desk {
    pub letterbox: Letterbox,
    pub spooling: Spooling,
    pub limits: Limits,
    pub hostname: Arc<str>,
    /// With it STARTTLS is offered.
    pub tls: Option<TlsAcceptor>,
    pub stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Desk({})", self.hostname)
    }
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// It was closed, or its last words are said.
    Closed,
    /// It says nothing any more, or too slowly.
    Silent,
    /// It sends a letter without end.
    TooLarge,
    /// The gateway stops.
    Stopping,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Closed
    }
}

struct Connection {
    desk: Desk,
    pass: Pass,
    peer: IpAddr,
    session: Session,
    wire: Box<dyn Wire>,
    /// Read and not understood yet; never more than a line and a piece.
    input: Vec<u8>,
    output: Vec<u8>,
}

/// Serves one connection to its end.
pub async fn serve(desk: Desk, dialect: Dialect, stream: TcpStream, peer: IpAddr, pass: Pass) {
    let session = Session::new(dialect, desk.hostname.clone(), desk.limits, desk.tls.is_some());
    let mut connection =
        Connection { desk, pass, peer, session, wire: Box::new(stream), input: Vec::new(), output: Vec::new() };
    let ended = timeout(LONGEST, connection.run()).await.unwrap_or(Err(End::Silent));
    let words: &[u8] = match ended {
        Ok(()) | Err(End::Closed) => b"",
        Err(End::Silent) => b"421 4.4.2 too slow\r\n",
        Err(End::TooLarge) => b"552 5.3.4 the letter is far too large\r\n",
        Err(End::Stopping) => b"421 4.3.2 the gateway stops, try again\r\n",
    };
    let _ = timeout(Duration::from_secs(2), async {
        let _ = connection.wire.write_all(words).await;
        let _ = connection.wire.shutdown().await;
        // A socket with bytes unread takes its last words back when it is closed.
        let mut rest = [0; 4096];
        for _ in 0..if words.is_empty() { 0 } else { 64 } {
            if !matches!(connection.wire.read(&mut rest).await, Ok(1..)) {
                break;
            }
        }
    })
    .await;
}

impl Connection {
    async fn run(&mut self) -> Result<(), End> {
        self.say(&self.session.greeting()).await?;
        loop {
            let Some(line) = self.line().await? else { continue };
            let letterbox = &self.desk.letterbox;
            let find = |address: &str| match letterbox.recipient(address) {
                Some((channel, _)) => Found::Ours(channel),
                None if letterbox.has_closed_channels() => Found::Later,
                None => Found::Foreign,
            };
            match self.session.line(&line, &find) {
                Step::Say(words) => self.say(&words).await?,
                Step::End(words) => {
                    self.say(&words).await?;
                    return self.flush().await;
                }
                Step::StartTls => self.encrypt().await?,
                Step::Data => self.data().await?,
                Step::Chunk { size, is_last } => self.chunks(size, is_last).await?,
            }
        }
    }

    /// Answers of pipelined commands leave together (RFC 2920).
    async fn say(&mut self, words: &str) -> Result<(), End> {
        self.output.extend_from_slice(words.as_bytes());
        if self.input.contains(&b'\n') && self.output.len() < PIECE { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<(), End> {
        let output = std::mem::take(&mut self.output);
        let writing = async {
            self.wire.write_all(&output).await?;
            self.wire.flush().await
        };
        timeout(self.desk.limits.patience, writing).await.map_err(|_| End::Silent)?.map_err(End::from)
    }

    /// The next command without its end. None: it was too long, and is answered already. A lone LF ends a command too:
    /// there is nothing to smuggle between commands, and old devices write no CR.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, End> {
        let mut is_too_long = false;
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.input.drain(..=end).collect();
                if is_too_long || line.len() > LINE {
                    let step = self.session.mistake("500 5.5.2 the line is too long");
                    let (Step::Say(words) | Step::End(words)) = step else { return Ok(None) };
                    self.say(&words).await?;
                    return Ok(None);
                }
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if self.input.len() > LINE {
                is_too_long = true;
                self.input.clear();
            }
            self.flush_if_waiting().await?;
            self.read_idle().await?;
        }
    }

    async fn flush_if_waiting(&mut self) -> Result<(), End> {
        if self.output.is_empty() { Ok(()) } else { self.flush().await }
    }

    /// Between letters the gateway may stop.
    async fn read_idle(&mut self) -> Result<(), End> {
        let mut stop = self.desk.stop.clone();
        tokio::select! {
            () = super::stopped(&mut stop) => Err(End::Stopping),
            read = read(&mut *self.wire, &mut self.input, self.desk.limits.patience) => read,
        }
    }

    async fn encrypt(&mut self) -> Result<(), End> {
        let Some(tls) = self.desk.tls.clone() else { return Ok(()) };
        // Whatever came behind the command in clear is dropped: somebody else may have put it there.
        self.input.clear();
        self.output.extend_from_slice(b"220 2.0.0 go on\r\n");
        self.flush().await?;
        // The placeholder is never read: it goes when the handshake has ended.
        let clear = std::mem::replace(&mut self.wire, Box::new(tokio::io::duplex(1).0));
        let accepting = timeout(self.desk.limits.patience, tls.accept(clear));
        self.wire = Box::new(accepting.await.map_err(|_| End::Silent)??);
        self.session.encrypted();
        Ok(())
    }

    async fn data(&mut self) -> Result<(), End> {
        self.output.extend_from_slice(b"354 end it with CR LF . CR LF\r\n");
        self.flush().await?;
        let mut coming = Coming::new(self.desk.spooling.clone(), self.desk.limits);
        let (mut unstuffing, mut plain) = (Unstuffing::default(), Vec::with_capacity(PIECE));
        loop {
            plain.clear();
            let used = unstuffing.feed(&self.input, &mut plain);
            coming.add(&plain)?;
            match used {
                Some(used) => {
                    self.input.drain(..used);
                    break;
                }
                None => self.input.clear(),
            }
            read(&mut *self.wire, &mut self.input, self.desk.limits.patience).await?;
        }
        self.hand_over(coming).await
    }

    /// All chunks of a letter (RFC 3030).
    async fn chunks(&mut self, size: usize, is_last: bool) -> Result<(), End> {
        let mut coming = Coming::new(self.desk.spooling.clone(), self.desk.limits);
        let (mut size, mut is_last) = (size, is_last);
        loop {
            while size > 0 {
                if self.input.is_empty() {
                    self.flush_if_waiting().await?;
                    read(&mut *self.wire, &mut self.input, self.desk.limits.patience).await?;
                }
                let piece: Vec<u8> = self.input.drain(..size.min(self.input.len())).collect();
                size -= piece.len();
                coming.add(&piece)?;
            }
            if is_last {
                return self.hand_over(coming).await;
            }
            self.say("250 2.0.0 so far so good\r\n").await?;
            let Some(next) = self.between_chunks().await? else { return Ok(()) };
            (size, is_last) = next;
        }
    }

    /// The next chunk; None when the letter was given up.
    async fn between_chunks(&mut self) -> Result<Option<(usize, bool)>, End> {
        loop {
            let Some(line) = self.line().await? else { continue };
            match self.session.line(&line, &|_| Found::Foreign) {
                Step::Chunk { size, is_last } => return Ok(Some((size, is_last))),
                Step::Say(words) => {
                    self.say(&words).await?;
                    if self.session.transaction.is_none() {
                        return Ok(None);
                    }
                }
                Step::End(words) => {
                    self.say(&words).await?;
                    self.flush().await?;
                    return Err(End::Closed);
                }
                Step::Data | Step::StartTls => return Err(End::Closed),
            }
        }
    }

    /// The letter is whole: into the journal with it, and then, only then, the answer.
    async fn hand_over(&mut self, coming: Coming) -> Result<(), End> {
        let transaction = self.session.transaction.take().unwrap_or_default();
        let count = if self.session.dialect() == Dialect::Lmtp { transaction.recipients.len() } else { 1 };
        let words = match coming.refusal(&self.pass) {
            Some(refusal) => vec![refusal; count],
            None => self.delivered(transaction, coming.spool).await,
        };
        for line in words {
            self.say(&format!("{line}\r\n")).await?;
        }
        Ok(())
    }

    async fn delivered(&self, transaction: Transaction, spool: Spool) -> Vec<String> {
        let delivering = Delivered {
            dialect: self.session.dialect(),
            transaction,
            helo: self.session.greeted.clone(),
            is_encrypted: self.session.is_encrypted,
            peer: self.peer,
        };
        deliver(&self.desk.letterbox, delivering, spool).await
    }
}

/// A letter that comes, within its limits.
struct Coming {
    spool: Spool,
    limits: Limits,
    begun: Instant,
    came: usize,
    /// It cannot be kept; it is read to its end all the same, so that the answer is understood.
    failed: Option<String>,
}

impl Coming {
    fn new(spooling: Spooling, limits: Limits) -> Self {
        Self { spool: Spool::new(spooling), limits, begun: Instant::now(), came: 0, failed: None }
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.came += bytes.len();
        let took = self.begun.elapsed();
        let is_slow = took > GRACE && self.came < SLOWEST_BYTES_PER_SECOND * took.as_secs() as usize;
        if is_slow {
            return Err(End::Silent);
        }
        if self.came > self.limits.letter.saturating_mul(PATIENCE_FOR_TOO_LARGE) {
            return Err(End::TooLarge);
        }
        if self.came > self.limits.letter && self.failed.is_none() {
            self.failed = Some(format!("552 5.3.4 a letter has at most {} bytes here", self.limits.letter));
        }
        if self.failed.is_none()
            && let Err(error) = self.spool.add(bytes)
        {
            tracing::error!(%error, "a letter cannot be kept and is refused for now");
            self.failed = Some("452 4.3.1 no room for the letter now, try again".to_owned());
        }
        Ok(())
    }

    fn refusal(&self, pass: &Pass) -> Option<String> {
        self.failed.clone().or_else(|| {
            let is_too_often = !pass.may_send();
            is_too_often.then(|| "451 4.7.1 too many letters in a minute, try again".to_owned())
        })
    }
}

async fn read(wire: &mut dyn Wire, input: &mut Vec<u8>, patience: Duration) -> Result<(), End> {
    input.reserve(PIECE);
    let read = timeout(patience, wire.read_buf(input)).await.map_err(|_| End::Silent)??;
    if read == 0 { Err(End::Closed) } else { Ok(()) }
}
