//! A connection to an IMAP server (RFC 9051, RFC 3501): opened, logged in, and asked one command after the other.
//!
//! The library parses and frames; what a command's answer means is read here, so that a `NO` is never taken for an empty
//! mailbox. Nothing waits for ever: see [`super::patience`].

use std::{io, time::Duration};

use async_imap::{
    Client, Session,
    imap_proto::{Capability, MailboxDatum, Response, ResponseCode, Status},
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    login::{self, Greeting},
    patience::{Patience, Patient},
    token::Token,
    trouble::{Trouble, reason},
    wire::Wire,
};
use crate::{
    adapter::mail::{Mailbox, Security, Server},
    tls,
};

/// Name and TCP.
const CONNECT: Duration = Duration::from_secs(15);
/// TLS, the greeting, and the login, each.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// Longest silence while an answer is awaited. A large mailbox is sorted through on a slow disk meanwhile.
pub(super) const SILENCE: Duration = Duration::from_mins(1);
/// From the end of IDLE to the server's yes: the server has nothing to do for it.
const DONE: Duration = Duration::from_secs(10);
/// A whole command, with a large letter over a thin line.
const COMMAND: Duration = Duration::from_mins(15);
/// How often a connection that is silent is looked at by the system, and how many times in vain.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_mins(1), Duration::from_secs(15), 4);

pub(super) type Line = Patient<Wire>;

/// A connection that is logged in.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: Session<Line>,
    patience: Patience,
    pub capabilities: Capabilities,
    pub is_encrypted: bool,
    /// Letters in the folder, as the server last said.
    exists: u32,
    /// Letters have come since [`Connection::hear`].
    has_news: bool,
}

/// What the server can do besides IMAP4rev1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub idle: bool,
    pub moves: bool,
    pub uidplus: bool,
}

/// A folder as it was when it was selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected {
    pub exists: u32,
    pub uid_validity: u32,
    pub uid_next: Option<u32>,
    pub is_read_only: bool,
}

impl Connection {
    /// Connects and logs in. An access token that the server does not take, and that was not fresh, is fetched anew.
    pub async fn open(mailbox: &Mailbox, token: &Token) -> Result<Self, Trouble> {
        let was_kept = token.is_kept();
        match Self::open_once(mailbox, token).await {
            Err(Trouble::Refused(_)) if was_kept => {
                token.forget();
                Self::open_once(mailbox, token).await
            }
            opened => opened,
        }
    }

    async fn open_once(mailbox: &Mailbox, token: &Token) -> Result<Self, Trouble> {
        // Asked for first, so that the server does not wait for it.
        let secret = login::secret(&mailbox.credential, token).await?;
        let patience = Patience::new(SILENCE);
        let (client, greeting) = reach(&mailbox.server, &patience).await?;
        let session = timed("the login", login::login(client, &mailbox.username, &secret, greeting)).await??;
        let is_encrypted = mailbox.server.security != Security::None;
        let capabilities = Capabilities::default();
        let mut connection = Self { session, patience, capabilities, is_encrypted, exists: 0, has_news: false };
        connection.capabilities = connection.ask_capabilities().await?;
        Ok(connection)
    }

    async fn ask_capabilities(&mut self) -> Result<Capabilities, Trouble> {
        let mut found = Capabilities::default();
        self.command("CAPABILITY", "CAPABILITY", |response| {
            if let Response::Capabilities(capabilities) = response {
                let has = |name: &str| {
                    let is =
                        |one: &Capability<'_>| matches!(one, Capability::Atom(atom) if atom.eq_ignore_ascii_case(name));
                    capabilities.iter().any(is)
                };
                found = Capabilities { idle: has("IDLE"), moves: has("MOVE"), uidplus: has("UIDPLUS") };
            }
        })
        .await?;
        Ok(found)
    }

    /// Sends a command and shows every untagged answer to `each`. `name` is what errors call it: the command itself may
    /// name folders and letters.
    pub async fn command(
        &mut self,
        name: &'static str,
        command: &str,
        mut each: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), Trouble> {
        let exchange = async {
            let sent = self.session.run_command(command).await;
            let id = sent.map_err(|error| Trouble::of_library(&error, name))?;
            loop {
                let answer = given(self.session.read_response().await)?;
                match answer.parsed() {
                    Response::Done { tag, status, outcome } if *tag == id => {
                        return judged(name, status, outcome.code.as_ref(), outcome.information.as_deref());
                    }
                    response => {
                        self.notice(response)?;
                        each(response);
                    }
                }
            }
        };
        let late = |_| Trouble::Lost(format!("{name} took longer than {} min", COMMAND.as_secs() / 60));
        timeout(COMMAND, exchange).await.map_err(late)?
    }

    /// The server tells of new letters whenever it likes, and only once.
    fn notice(&mut self, response: &Response<'_>) -> Result<(), Trouble> {
        match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => {
                self.has_news |= *count > self.exists;
                self.exists = *count;
            }
            Response::Expunge(_) => self.exists = self.exists.saturating_sub(1),
            Response::Data { status: Status::Bye, outcome } => {
                let words = reason(outcome.information.as_deref());
                return Err(Trouble::Lost(format!("the server says goodbye: {words}")));
            }
            _ => {}
        }
        Ok(())
    }

    /// From now on letters that come are news.
    pub fn hear(&mut self) {
        self.has_news = false;
    }

    /// Selects a folder, given as a quoted string.
    pub async fn select(&mut self, folder: &str) -> Result<Selected, Trouble> {
        let mut selected = Selected::default();
        let command = format!("SELECT {folder}");
        self.command("SELECT", &command, |response| match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => selected.exists = *count,
            Response::Data { outcome, .. } => match outcome.code {
                Some(ResponseCode::UidValidity(validity)) => selected.uid_validity = validity,
                Some(ResponseCode::UidNext(next)) => selected.uid_next = Some(next),
                Some(ResponseCode::ReadOnly) => selected.is_read_only = true,
                _ => {}
            },
            _ => {}
        })
        .await?;
        Ok(selected)
    }

    /// Waits until letters come, or the time is over. Returns at once if some have come since [`Connection::hear`]. Where
    /// the server cannot tell, the time is waited out.
    pub async fn wait(&mut self, limit: Duration) -> Result<(), Trouble> {
        if self.has_news {
            return Ok(());
        }
        if !self.capabilities.idle {
            tokio::time::sleep(limit).await;
            return Ok(());
        }
        let sent = self.session.run_command("IDLE").await;
        let id = sent.map_err(|error| Trouble::of_library(&error, "IDLE"))?;
        loop {
            let answer = given(self.session.read_response().await)?;
            match answer.parsed() {
                Response::Continue(_) => break,
                Response::Done { tag, status, outcome } if *tag == id => {
                    judged("IDLE", status, outcome.code.as_ref(), outcome.information.as_deref())?;
                    return Err(Trouble::Lost("the server ended IDLE by itself".to_owned()));
                }
                response => self.notice(response)?,
            }
        }
        // The server is silent by right now; the limit of silence is behind that of the wait.
        self.patience.set(limit.saturating_add(SILENCE));
        let news = timeout(limit, self.until_news()).await;
        self.patience.set(SILENCE);
        if let Ok(Err(trouble)) = news {
            return Err(trouble);
        }
        let late = |_| Trouble::Lost("the server does not end IDLE: the connection is dead".to_owned());
        timeout(DONE, self.end_idle(&id)).await.map_err(late)?
    }

    /// Given up at any point, it has lost nothing: what was read of an answer stays in the library's buffer.
    async fn until_news(&mut self) -> Result<(), Trouble> {
        while !self.has_news {
            let answer = given(self.session.read_response().await)?;
            if matches!(answer.parsed(), Response::Done { .. }) {
                return Err(Trouble::Lost("the server ended IDLE by itself".to_owned()));
            }
            self.notice(answer.parsed())?;
        }
        Ok(())
    }

    async fn end_idle(&mut self, id: &async_imap::imap_proto::RequestId) -> Result<(), Trouble> {
        let sent = self.session.run_command_untagged("DONE").await;
        sent.map_err(|error| Trouble::of_library(&error, "IDLE"))?;
        loop {
            let answer = given(self.session.read_response().await)?;
            match answer.parsed() {
                Response::Done { tag, status, outcome } if tag == id => {
                    return judged("IDLE", status, outcome.code.as_ref(), outcome.information.as_deref());
                }
                response => self.notice(response)?,
            }
        }
    }

    /// Says goodbye, if there is time for it.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(2), self.command("LOGOUT", "LOGOUT", |_| {})).await;
    }
}

/// The end of the connection is a failure too.
pub(super) fn given<T>(answer: io::Result<Option<T>>) -> Result<T, Trouble> {
    let answer = answer.map_err(|error| Trouble::lost(&error))?;
    answer.ok_or_else(|| Trouble::lost(&io::ErrorKind::UnexpectedEof.into()))
}

fn judged(
    command: &'static str,
    status: &Status,
    code: Option<&ResponseCode<'_>>,
    information: Option<&str>,
) -> Result<(), Trouble> {
    let is_folder_missing = matches!(code, Some(ResponseCode::TryCreate));
    match status {
        Status::Ok => Ok(()),
        Status::No => Err(Trouble::No { command, words: reason(information), is_folder_missing }),
        // The words of a `BAD` may repeat the command.
        _ => Err(Trouble::No { command, words: "it does not understand it".to_owned(), is_folder_missing: false }),
    }
}

/// Connects, and brings the connection to where a login is awaited.
async fn reach(server: &Server, patience: &Patience) -> Result<(Client<Line>, Greeting), Trouble> {
    let connected = timeout(CONNECT, TcpStream::connect((server.host.as_str(), server.port))).await;
    let stream = connected.map_err(|_| Trouble::Lost("connecting took too long".to_owned()))?;
    let stream = stream.map_err(|error| Trouble::Lost(format!("the server cannot be reached: {error}")))?;
    keep_alive(&stream);
    if server.security == Security::Tls {
        let stream = encrypt(stream, server).await?;
        return timed("the greeting", login::greeted(Patient::new(stream, patience.clone()))).await?;
    }
    let line = Patient::new(Wire::Plain(stream), patience.clone());
    let (client, greeting) = timed("the greeting", login::greeted(line)).await??;
    if server.security == Security::None {
        return Ok((client, greeting));
    }
    let stream = timed("STARTTLS", login::start_tls(client)).await??;
    let Wire::Plain(stream) = stream.into_inner() else {
        return Err(Trouble::Lost("the connection is encrypted already".to_owned()));
    };
    let stream = encrypt(stream, server).await?;
    // What the server said before is worth nothing: anybody could have said it.
    Ok((Client::new(Patient::new(stream, patience.clone())), Greeting::default()))
}

async fn encrypt(stream: TcpStream, server: &Server) -> Result<Wire, Trouble> {
    let ca_file = server.ca_file.clone();
    let read = tokio::task::spawn_blocking(move || tls::client_config(ca_file.as_deref())).await;
    let config = read.map_err(|_| Trouble::Lost("the certificates were not read".to_owned()))?;
    let config = config.map_err(|error| Trouble::Settings(error.to_string()))?;
    let name = ServerName::try_from(server.host.clone());
    let name = name.map_err(|_| Trouble::Settings("setting `host` is no name of a server".to_owned()))?;
    let shaken = timed("the TLS handshake", TlsConnector::from(config).connect(name, stream)).await?;
    shaken.map(|stream| Wire::Tls(Box::new(stream))).map_err(|error| Trouble::lost(&error))
}

/// A connection works without these, only worse.
fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    let (idle, interval, count) = KEEP_ALIVE;
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, idle);
    let _ = sockopt::set_tcp_keepintvl(stream, interval);
    let _ = sockopt::set_tcp_keepcnt(stream, count);
}

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> Result<T, Trouble> {
    timeout(HANDSHAKE, work).await.map_err(|_| Trouble::Lost(format!("{what} took too long")))
}
