//! One session of SMTP (RFC 5321) or LMTP (RFC 2033): which command may come when, and what is said to it. Pure: it opens no
//! socket and asks for recipients through a function.

use std::{borrow::Cow, sync::Arc};

use smtp_proto::{MAIL_BODY_BINARYMIME, MailFrom, RcptTo, Request};

use super::limits::Limits;
use crate::channel::Channel;

/// Most recipients of one letter, those that are not ours among them.
const RECIPIENTS: usize = 100;
/// Digits of a chunk's size: the parser's numbers overflow later, and begin at nought again.
const DIGITS: usize = 15;
/// Commands that mean nothing before the session ends.
const MISTAKES: u32 = 20;

/// Which of the two protocols is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Smtp,
    Lmtp,
}

/// What the connection does next.
#[derive(Debug)]
pub enum Step {
    Say(String),
    /// `354` was said, the letter follows.
    Data,
    /// So many bytes follow.
    Chunk {
        size: usize,
        is_last: bool,
    },
    StartTls,
    /// The last words.
    End(String),
}

/// Whose mail is an address?
#[derive(Debug)]
pub enum Found {
    Ours(Arc<Channel>),
    Foreign,
    /// A channel that is not open may be its own: it is asked for again later.
    Later,
}

/// A recipient that was taken.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub address: String,
    pub channel: Arc<Channel>,
    /// Parameters of its `RCPT`, as they came; no other channel sees them.
    pub parameters: Vec<String>,
}

/// A letter that is being handed over.
#[derive(Debug, Default)]
pub struct Transaction {
    pub mail_from: String,
    pub recipients: Vec<Recipient>,
    /// Recipients that were asked for, whoever they belong to.
    asked: usize,
    /// Parameters of `MAIL`, as they came.
    pub parameters: Vec<String>,
    /// A chunk has come: only more of them may follow (RFC 3030).
    pub is_chunked: bool,
}

/// The state of a session.
#[derive(Debug)]
pub struct Session {
    dialect: Dialect,
    hostname: Arc<str>,
    limits: Limits,
    /// STARTTLS can be offered.
    pub has_certificate: bool,
    pub is_encrypted: bool,
    /// The name that the client gave itself.
    pub greeted: Option<String>,
    pub transaction: Option<Transaction>,
    mistakes: u32,
}

impl Session {
    pub fn new(dialect: Dialect, hostname: Arc<str>, limits: Limits, has_certificate: bool) -> Self {
        Self {
            dialect,
            hostname,
            limits,
            has_certificate,
            is_encrypted: false,
            greeted: None,
            transaction: None,
            mistakes: 0,
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The first words.
    pub fn greeting(&self) -> String {
        let protocol = if self.dialect == Dialect::Smtp { "ESMTP" } else { "LMTP" };
        format!("220 {} {protocol} Loket\r\n", self.hostname)
    }

    /// After STARTTLS everything that was said in clear is forgotten (RFC 3207, section 4.2).
    pub fn encrypted(&mut self) {
        self.is_encrypted = true;
        self.greeted = None;
        self.transaction = None;
    }

    /// One line, without its end. `find` tells whose address a recipient is.
    pub fn line(&mut self, line: &[u8], find: &dyn Fn(&str) -> Found) -> Step {
        let mut whole = [line, b"\r\n"].concat();
        let mut request = Request::parse(&mut whole.iter());
        if is_chunk(line) && !matches!(request, Ok(Request::Bdat { .. }) if has_short_size(line)) {
            // How many bytes follow is not known: they must not be read as commands.
            return Step::End("501 5.5.4 write BDAT size [LAST]\r\n".to_owned());
        }
        if let Some(bracketed) =
            bracketed(line).filter(|_| matches!(request, Err(smtp_proto::Error::SyntaxError { .. })))
        {
            whole = bracketed;
            request = Request::parse(&mut whole.iter());
        }
        match request {
            Ok(request) => self.request(request, line, find),
            Err(smtp_proto::Error::InvalidSenderAddress) => self.mistake("553 5.1.7 the sender is no address"),
            Err(smtp_proto::Error::InvalidRecipientAddress) => self.mistake("553 5.1.3 the recipient is no address"),
            Err(smtp_proto::Error::SyntaxError { syntax }) => self.mistake(&format!("501 5.5.2 write {syntax}")),
            Err(smtp_proto::Error::InvalidParameter { param }) => {
                self.mistake(&format!("501 5.5.4 parameter {param} is not understood"))
            }
            Err(smtp_proto::Error::UnsupportedParameter { .. }) => {
                self.mistake("555 5.5.4 a parameter is not supported")
            }
            Err(_) => self.mistake("500 5.5.1 no such command"),
        }
    }

    fn request(&mut self, request: Request<Cow<'_, str>>, line: &[u8], find: &dyn Fn(&str) -> Found) -> Step {
        match request {
            Request::Ehlo { host } if self.dialect == Dialect::Smtp => self.greet(&host, true),
            Request::Lhlo { host } if self.dialect == Dialect::Lmtp => self.greet(&host, true),
            Request::Helo { host } if self.dialect == Dialect::Smtp => self.greet(&host, false),
            Request::Ehlo { .. } | Request::Helo { .. } => self.mistake("500 5.5.1 this is LMTP: write LHLO"),
            Request::Lhlo { .. } => self.mistake("500 5.5.1 this is SMTP: write EHLO"),
            Request::Mail { from } => self.mail(from, line),
            Request::Rcpt { to } => self.rcpt(to, line, find),
            Request::Data => self.data(),
            Request::Bdat { chunk_size, is_last } => self.bdat(chunk_size, is_last),
            Request::Rset => {
                self.transaction = None;
                Step::Say("250 2.0.0 forgotten\r\n".to_owned())
            }
            Request::Noop { .. } => Step::Say("250 2.0.0 here\r\n".to_owned()),
            Request::Quit => Step::End("221 2.0.0 goodbye\r\n".to_owned()),
            // The same words for every name: nobody learns who is here.
            Request::Vrfy { .. } => Step::Say("252 2.1.5 send it and see\r\n".to_owned()),
            Request::Help { .. } => {
                Step::Say("214 2.0.0 RFC 5321; only mail for our own addresses is taken\r\n".to_owned())
            }
            Request::StartTls => self.start_tls(),
            Request::Auth { .. } => self.mistake("502 5.5.1 nobody signs in here"),
            _ => self.mistake("502 5.5.1 not here"),
        }
    }

    fn greet(&mut self, host: &str, is_extended: bool) -> Step {
        self.greeted = Some(host.chars().filter(|letter| !letter.is_control()).take(255).collect());
        self.transaction = None;
        if !is_extended {
            return Step::Say(format!("250 {}\r\n", self.hostname));
        }
        let mut words = format!("250-{}\r\n", self.hostname);
        for extension in ["PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"] {
            words = words + "250-" + extension + "\r\n";
        }
        if self.has_certificate && !self.is_encrypted {
            words.push_str("250-STARTTLS\r\n");
        }
        Step::Say(format!("{words}250 SIZE {}\r\n", self.limits.letter))
    }

    fn mail(&mut self, from: MailFrom<Cow<'_, str>>, line: &[u8]) -> Step {
        if self.greeted.is_none() {
            return self.mistake("503 5.5.1 say EHLO first");
        }
        if self.transaction.is_some() {
            return self.mistake("503 5.5.1 there is a letter already: RSET forgets it");
        }
        if from.flags & MAIL_BODY_BINARYMIME != 0 {
            return self.mistake("555 5.5.4 BINARYMIME is not supported");
        }
        if from.size > self.limits.letter {
            return Step::Say(format!("552 5.3.4 a letter has at most {} bytes here\r\n", self.limits.letter));
        }
        let parameters = parameters(line);
        self.transaction =
            Some(Transaction { mail_from: from.address.into_owned(), parameters, ..Transaction::default() });
        Step::Say("250 2.1.0 the sender is noted\r\n".to_owned())
    }

    fn rcpt(&mut self, to: RcptTo<Cow<'_, str>>, line: &[u8], find: &dyn Fn(&str) -> Found) -> Step {
        let Some(transaction) = self.transaction.as_mut().filter(|transaction| !transaction.is_chunked) else {
            return self.mistake("503 5.5.1 say MAIL first");
        };
        transaction.asked += 1;
        if transaction.asked > RECIPIENTS {
            return Step::Say(
                "452 4.5.3 too many recipients at once, send the letter again to the others\r\n".to_owned(),
            );
        }
        // RFC 5321, section 4.5.1: the one name without a domain. The parser gives nothing for it, as it does for `<>`.
        let is_postmaster = to.address.is_empty() && holds(line, b"<postmaster>");
        let address = if is_postmaster { format!("postmaster@{}", self.hostname) } else { to.address.into_owned() };
        match find(&address) {
            Found::Ours(channel) => {
                transaction.recipients.push(Recipient { address, channel, parameters: parameters(line) });
                Step::Say("250 2.1.5 the recipient is here\r\n".to_owned())
            }
            Found::Later => Step::Say("451 4.3.0 this address may be open later\r\n".to_owned()),
            // One answer for an address that is not here and for one elsewhere: this is no relay. It is no mistake either: a
            // letter to many whom we do not know, and to one whom we do, has to arrive.
            Found::Foreign => Step::Say("550 5.7.1 no mail for this address is taken here\r\n".to_owned()),
        }
    }

    fn data(&mut self) -> Step {
        match &self.transaction {
            None => self.mistake("503 5.5.1 say MAIL first"),
            Some(transaction) if transaction.is_chunked => self.mistake("503 5.5.1 BDAT has begun"),
            Some(transaction) if transaction.recipients.is_empty() => {
                self.mistake("554 5.5.1 there is no recipient that is here")
            }
            Some(_) => Step::Data,
        }
    }

    fn bdat(&mut self, size: usize, is_last: bool) -> Step {
        match &mut self.transaction {
            Some(transaction) if !transaction.recipients.is_empty() => {
                transaction.is_chunked = true;
                Step::Chunk { size, is_last }
            }
            // The bytes come all the same and must not be taken for commands.
            _ => Step::End("503 5.5.1 say MAIL and RCPT first\r\n".to_owned()),
        }
    }

    fn start_tls(&mut self) -> Step {
        if !self.has_certificate {
            return self.mistake("502 5.5.1 there is no certificate");
        }
        if self.is_encrypted {
            return self.mistake("503 5.5.1 it is encrypted already");
        }
        Step::StartTls
    }

    /// Says what was wrong, and the last words to who does little else.
    pub fn mistake(&mut self, words: &str) -> Step {
        self.mistakes += 1;
        self.patience(format!("{words}\r\n"))
    }

    fn patience(&self, words: String) -> Step {
        if self.mistakes > MISTAKES {
            return Step::End("421 4.7.0 too many mistakes\r\n".to_owned());
        }
        Step::Say(words)
    }
}

fn is_chunk(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
        && line.get(4).is_none_or(u8::is_ascii_whitespace)
}

fn has_short_size(line: &[u8]) -> bool {
    let size = line.get(4..).unwrap_or_default().trim_ascii_start();
    (1..=DIGITS).contains(&size.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn holds(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|bytes| bytes.eq_ignore_ascii_case(word))
}

/// `MAIL FROM:siti@example.org`, as some scanners write it, with the brackets that are missing.
fn bracketed(line: &[u8]) -> Option<Vec<u8>> {
    let starts = |start: &[u8]| line.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let is_path = starts(b"MAIL FROM:") || starts(b"RCPT TO:");
    if !is_path || line.iter().any(|byte| matches!(byte, b'<' | b'>' | b'"')) {
        return None;
    }
    let (verb, rest) = line.split_at(line.iter().position(|byte| *byte == b':')? + 1);
    let rest = rest.trim_ascii_start();
    let (path, parameters) = rest.split_at(rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len()));
    (!path.is_empty()).then(|| [verb, b"<", path, b">", parameters, b"\r\n"].concat())
}

/// What stands behind the path, cut up: evidence, and for those who know of delivery status notifications.
fn parameters(line: &[u8]) -> Vec<String> {
    let line = String::from_utf8_lossy(line);
    let behind = line.split_once('>').map_or("", |(_, behind)| behind);
    behind.split_ascii_whitespace().take(16).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
