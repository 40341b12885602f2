//! Mail: the native adapters `imap` and `smtp`. A letter is the body of its receipt, as the mailbox or the server took it;
//! the mail reader makes one message of it. Provider's webhooks that carry whole letters use the same reader by `mime`.
//!
//! In: a journalled receipt, or the settings of a channel. Out: a message, or a [`Post`] that cannot be wrong. It opens no
//! socket: `mailbox`, `smtp` and the outbox do.

use std::{fmt, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::{Parsed, webhook::send::Outgoing};
use crate::{
    journal::Journalled,
    mail::{self, Circumstances, Envelope, addresses::OurAddresses, envelope::Protocol},
    mapping::{Mapped, MappingFault, Surroundings},
    message::MailAuthentication,
    percent,
    receipt::{Origin, Receipt},
    settings::{SettingError, Settings},
    signature::Transport,
    units::Span,
};

mod settings;

pub use settings::known_settings;

/// What brings the letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// `adapter = "imap"`: a mailbox is read.
    Imap,
    /// `adapter = "smtp"`: our own server takes them, by SMTP or LMTP.
    Smtp,
}

/// What a mail channel's settings say.
#[derive(Debug)]
pub struct Post {
    pub ours: OurAddresses,
    /// Names of servers whose `Authentication-Results` are believed.
    pub trusted_servers: Vec<String>,
    /// The mailbox that is read; of `imap` alone.
    pub mailbox: Option<Mailbox>,
    /// How answers leave; None: the channel cannot answer.
    pub submission: Option<Submission>,
    /// Answers come from it.
    pub from: String,
    /// The name beside it.
    pub from_name: Option<String>,
    /// The reply address holds a token behind a `+`.
    pub plus_addressing: bool,
    /// Answers on our own initiative to one sender in a day.
    pub answers_a_day: usize,
    /// Who is answered.
    pub answer: Answering,
}

/// Whom the channel answers on its own initiative (`threats.md` L4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Everybody but those whose DMARC fails.
    UnlessForged,
    /// Only those whose DMARC passes.
    OnlyAligned,
}

/// A mailbox and what is done with its letters.
#[derive(Debug)]
pub struct Mailbox {
    pub server: Server,
    pub username: String,
    pub credential: Credential,
    pub folders: Vec<String>,
    pub after: After,
    /// A full look is taken so often, whatever IDLE says.
    pub poll_every: Span,
}

/// How mail of ours leaves.
#[derive(Debug)]
pub struct Submission {
    pub server: Server,
    pub login: Option<(String, Credential)>,
}

/// Where a server is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// Certificates in PEM that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// In clear until STARTTLS, and never on without it.
    StartTls,
    /// In clear: for a server on the same machine.
    None,
}

/// How we prove who we are.
#[derive(Debug)]
pub enum Credential {
    Password(SecretString),
    /// XOAUTH2: an access token is asked for with a refresh token.
    OAuth(OAuth),
}

/// An OAuth 2.0 client with a refresh token (RFC 6749, section 6).
pub struct OAuth {
    pub token_url: String,
    pub client_id: String,
    pub client_secret: Option<SecretString>,
    pub refresh_token: SecretString,
    pub scope: Option<String>,
}

impl fmt::Debug for OAuth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "OAuth({})", self.token_url)
    }
}

/// What becomes of a letter in the mailbox once the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// It gets `\Seen` and stays.
    Seen,
    /// It goes into this folder.
    Move(String),
    Delete,
}

impl OAuth {
    /// The request that gets an access token for a refresh token: the channel's own, or what the provider gave in its place.
    pub fn request(&self, refresh: &SecretString) -> Outgoing {
        let mut fields = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose_secret()),
            ("client_id", self.client_id.as_str()),
        ];
        fields.extend(self.client_secret.as_ref().map(|secret| ("client_secret", secret.expose_secret())));
        fields.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        let body = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", percent::encoded(value)))
            .collect::<Vec<_>>()
            .join("&");
        Outgoing {
            method: "POST".to_owned(),
            url: self.token_url.clone(),
            shown: self.token_url.split(['?', '#']).next().unwrap_or_default().to_owned(),
            headers: vec![
                ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("accept".to_owned(), "application/json".to_owned()),
            ],
            body: body.into_bytes(),
        }
    }
}

impl Mail {
    /// By the word of a manifest.
    pub fn named(adapter: &str) -> Option<Self> {
        match adapter {
            "imap" => Some(Self::Imap),
            "smtp" => Some(Self::Smtp),
            _ => None,
        }
    }

    /// The envelope of a letter that is tried: its headers say all that is known.
    pub fn envelope(self) -> Envelope {
        let protocol = match self {
            Self::Imap => Protocol::Imap,
            Self::Smtp => Protocol::Smtp,
        };
        Envelope { protocol: Some(protocol), ..Envelope::default() }
    }

    /// What the way of a letter proves.
    pub fn transport(self) -> Transport {
        match self {
            Self::Imap => Transport::AskedOverTls,
            Self::Smtp => Transport::Unasked,
        }
    }

    /// Checks the settings; all mistakes at once.
    pub fn post(self, settings: &Settings, config_dir: &std::path::Path) -> Result<Post, Vec<SettingError>> {
        settings::read(self, settings, config_dir)
    }

    /// Takes a receipt apart. What cannot be read is in the faults, never a failure of the channel.
    pub fn parse(journalled: Journalled, surroundings: &Surroundings<'_>) -> Parsed {
        let (receipt, verdict, _) = journalled.into_parts();
        let mut origin = Origin::of(&receipt, verdict);
        match Self::read(&receipt, surroundings) {
            Ok(mut mapped) => {
                origin.verdict.checks.append(&mut mapped.checks);
                for (_, message) in &mut mapped.messages {
                    message.auth = message.auth.take().or_else(|| MailAuthentication::of(&origin.verdict.checks));
                }
                Parsed::new(origin, mapped)
            }
            Err(fault) => Parsed::unreadable(origin, fault),
        }
    }

    /// What a letter says, for samples and `loket channel try`: there the journal is not asked.
    pub fn read(receipt: &Receipt, surroundings: &Surroundings<'_>) -> Result<Mapped, MappingFault> {
        let envelope = Envelope::of(&receipt.request);
        let circumstances = Circumstances {
            envelope: &envelope,
            ours: surroundings.ours,
            trusted_servers: surroundings.trusted_servers,
            received_at: receipt.received_at,
        };
        let letter = mail::read(&receipt.request.body, &circumstances)
            .map_err(|unreadable| MappingFault { item: None, reason: unreadable.to_string() })?;
        let mut mapped = Mapped::of_letter(letter);
        if is_cut(&envelope, receipt.request.body.len()) {
            mapped.messages.iter_mut().for_each(|(_, message)| message.lossy = true);
        }
        Ok(mapped)
    }
}

/// Of a letter that was too large for us the mailbox gave a part; the envelope has its whole size.
fn is_cut(envelope: &Envelope, came: usize) -> bool {
    let size = envelope.parameters.iter().find_map(|parameter| parameter.strip_prefix("SIZE=")?.parse::<usize>().ok());
    envelope.protocol == Some(Protocol::Imap) && size.is_some_and(|size| size > came)
}
