//! The mail server: takes letters for the channels of this gateway by SMTP (RFC 5321) and LMTP (RFC 2033), and nothing for
//! anybody else. It is no relay, sends nothing, and bounces nothing: what it said `250` to is in the journal.
//!
//! In: connections. Out: letters in the letterbox. `session` says which command may come when and is pure, `data` finds
//! the end of a letter, `connection` reads and writes, `spool` keeps what is not whole yet, `limits` says who may connect.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{config::SmtpSection, letterbox::Letterbox, network::Network};

mod connection;
pub mod data;
mod delivery;
pub mod limits;
pub mod session;
mod spool;

use connection::Desk;
use limits::{Gate, Limits};
use session::Dialect;
use spool::Spooling;

/// Room in memory for letters that are being handed over: 128 MiB.
const ROOM_KIB: usize = 128 << 10;
/// Room in files for letters that come in: 1 GiB.
const DISK_KIB: usize = 1 << 20;
/// After an accept that failed, for want of file handles say.
const BREATH: Duration = Duration::from_millis(100);
/// Clients that are turned away at once; more are dropped without a word, so that a flood takes no memory.
const TURNED_AWAY: usize = 64;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Unstarted {
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("{0}: {1}")]
    Certificate(PathBuf, String),
    #[error("the folder for letters that come in, {0}: {1}")]
    Folder(PathBuf, std::io::Error),
}

/// What the server needs besides its section.
#[derive(Debug)]
pub struct Parts {
    pub letterbox: Letterbox,
    /// Our name, where the section gives none.
    pub hostname: String,
    /// Relative paths begin here.
    pub config_dir: PathBuf,
    pub data_dir: PathBuf,
    /// The journal is encrypted: no letter may lie on the disk in clear.
    pub is_encrypted_at_rest: bool,
    pub trusted: Vec<Network>,
    pub stop: watch::Receiver<bool>,
}

/// Servers that run, and where.
#[derive(Debug, Default)]
pub struct Servers {
    pub smtp: Option<SocketAddr>,
    pub lmtp: Option<SocketAddr>,
    pub tasks: Vec<JoinHandle<()>>,
}

/// Starts what the section asks for; nothing by default.
pub async fn start(section: &SmtpSection, parts: Parts) -> Result<Servers, Unstarted> {
    let mut servers = Servers::default();
    if section.listen.is_none() && section.lmtp_listen.is_none() {
        return Ok(servers);
    }
    let tls = section.certificate.as_ref().zip(section.key.as_ref());
    let tls = tls.map(|(certificate, key)| {
        Certificates::load(parts.config_dir.join(certificate), parts.config_dir.join(key)).map(Arc::new)
    });
    let tls = tls.transpose()?;
    let spool = parts.data_dir.join("spool");
    if !parts.is_encrypted_at_rest {
        create_private(&spool).map_err(|error| Unstarted::Folder(spool.clone(), error))?;
    }
    let limits = Limits {
        letter: section.max_size.as_usize(),
        connections: section.max_connections,
        connections_of_one: section.max_connections_per_address,
        letters_a_minute: section.letters_per_minute,
        patience: section.timeout.duration(),
    };
    let desk = Desk {
        letterbox: parts.letterbox,
        spooling: Spooling {
            folder: (!parts.is_encrypted_at_rest).then_some(spool),
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            disk: Arc::new(Semaphore::new(DISK_KIB)),
        },
        limits,
        hostname: section.hostname.clone().filter(|name| !name.is_empty()).unwrap_or(parts.hostname).into(),
        tls: None,
        stop: parts.stop,
    };
    let gate = Arc::new(Gate::new(limits, parts.trusted));
    for (dialect, listen) in [(Dialect::Smtp, section.listen), (Dialect::Lmtp, section.lmtp_listen)] {
        let Some(listen) = listen else { continue };
        let failed = |error| Unstarted::Listen(listen, error);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        match dialect {
            Dialect::Smtp => servers.smtp = Some(address),
            Dialect::Lmtp => servers.lmtp = Some(address),
        }
        tracing::info!(%address, ?dialect, "mail is taken");
        servers.tasks.push(tokio::spawn(accept(listener, dialect, desk.clone(), gate.clone(), tls.clone())));
    }
    Ok(servers)
}

async fn accept(listener: TcpListener, dialect: Dialect, desk: Desk, gate: Arc<Gate>, tls: Option<Arc<Certificates>>) {
    let mut stop = desk.stop.clone();
    let (mut sessions, mut turned_away) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = sessions.join_next() => {}
            Some(_) = turned_away.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let _ = stream.set_nodelay(true);
                    match gate.enter(peer.ip()) {
                        Some(pass) => {
                            let desk = Desk { tls: tls.as_ref().map(|tls| tls.acceptor()), ..desk.clone() };
                            sessions.spawn(connection::serve(desk, dialect, stream, peer.ip(), pass));
                        }
                        None if turned_away.len() < TURNED_AWAY => drop(turned_away.spawn(turn_away(stream))),
                        None => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a connection for mail cannot be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
    drop(listener);
    // Those who are in the middle of a letter end it; the others are told at once. The runtime ends whoever stays.
    while sessions.join_next().await.is_some() {}
}

/// Until the gateway stops, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn turn_away(mut stream: TcpStream) {
    let words = b"421 4.7.0 too many connections, try again later\r\n";
    let _ = timeout(Duration::from_secs(2), stream.write_all(words)).await;
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// When certificate and key were written. They are seldom written at one moment: a pair that does not fit is tried again when
/// the other one has come.
type Changed = [Option<SystemTime>; 2];

/// The certificate for STARTTLS; taken up anew when its file changes, as it does every few weeks.
struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    loaded: std::sync::Mutex<(Changed, TlsAcceptor)>,
}

impl Certificates {
    fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, Unstarted> {
        let changed = [changed(&certificate), changed(&key)];
        let loaded = std::sync::Mutex::new((changed, acceptor(&certificate, &key)?));
        Ok(Self { certificate, key, loaded })
    }

    fn acceptor(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = [changed(&self.certificate), changed(&self.key)];
        if changed != loaded.0 {
            match acceptor(&self.certificate, &self.key) {
                Ok(acceptor) => *loaded = (changed, acceptor),
                Err(error) => {
                    tracing::error!(%error, "the new certificate for mail cannot be used, the old one goes on");
                    loaded.0 = changed;
                }
            }
        }
        loaded.1.clone()
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Unstarted> {
    let wrong = |path: &Path, error: String| Unstarted::Certificate(path.to_owned(), error);
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificate, error.to_string()))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| wrong(certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
