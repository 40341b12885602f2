//! Sends answers by mail (RFC 5321), over a pool of connections for each channel that is kept as long as its settings.
//!
//! In: a letter that is ready. Out: what a try gave. Every wait has a bound. What the server says is told to operators by
//! its status, never with an address.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    address::Envelope,
    message::{
        Attachment, Mailbox, MultiPart, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error as SmtpError, PoolConfig,
        authentication::{Credentials, Mechanism},
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{attempt::Tried, tokens::Tokens};
use crate::{
    adapter::mail::{Credential, Post, Security, Server, Submission},
    http::Http,
    mail::answer::Answer,
    receipt::ChannelId,
};

/// For each answer of the server. RFC 5321, section 4.5.3.2, allows minutes; the lease of an answer does not.
const PATIENCE: Duration = Duration::from_secs(20);
/// For a whole letter.
const WHOLE: Duration = Duration::from_secs(40);
/// Connections of one channel.
const CONNECTIONS: u32 = 4;
const IDLE: Duration = Duration::from_mins(1);

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// The connections of all channels.
#[derive(Debug, Default)]
pub(super) struct Mailer {
    pools: Mutex<HashMap<ChannelId, Pool>>,
    tokens: Tokens,
}

/// A file of a letter.
pub(super) struct LetterFile {
    /// Cleaned.
    pub filename: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

struct Pool {
    /// The settings that it was made of, and the token it signs in with.
    post: Weak<Post>,
    token: Option<SecretString>,
    transport: Transport,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Pool(***)")
    }
}

impl Mailer {
    /// One try.
    pub async fn send(
        &self,
        channel: &ChannelId,
        post: &Arc<Post>,
        http: &Http,
        answer: &Answer,
        files: Vec<LetterFile>,
    ) -> Tried {
        let letter = match letter(answer, files) {
            Ok(letter) => letter,
            Err(reason) => return Tried::never(reason),
        };
        let transport = match self.transport(channel, post, http).await {
            Ok(transport) => transport,
            Err(reason) => return Tried::again(reason),
        };
        match tokio::time::timeout(WHOLE, transport.send(letter)).await {
            Ok(Ok(_)) => Tried::Sent { external_id: Some(answer.message_id.clone()) },
            Ok(Err(error)) => {
                self.forget(channel);
                judge(&error)
            }
            Err(_) => {
                self.forget(channel);
                let reason = format!("the mail server has not taken the letter within {} s", WHOLE.as_secs());
                Tried::Again { after: None, reason, is_unknown: true }
            }
        }
    }

    /// Does the server let us in? The error is for operators.
    pub async fn probe(&self, channel: &ChannelId, post: &Arc<Post>, http: &Http) -> Result<(), String> {
        let transport = self.transport(channel, post, http).await?;
        match tokio::time::timeout(WHOLE, transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("the mail server does not answer NOOP".to_owned()),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err("the mail server does not answer".to_owned()),
        }
    }

    async fn transport(&self, channel: &ChannelId, post: &Arc<Post>, http: &Http) -> Result<Transport, String> {
        let submission = post.submission.as_ref().ok_or("the channel has no `send_host`")?;
        let token = match &submission.login {
            Some((_, Credential::OAuth(client))) => {
                Some(self.tokens.token(http, client.request(&client.refresh_token)).await?)
            }
            _ => None,
        };
        let same = |pool: &&Pool| {
            std::ptr::eq(pool.post.as_ptr(), Arc::as_ptr(post))
                && pool.token.as_ref().map(SecretString::expose_secret)
                    == token.as_ref().map(SecretString::expose_secret)
        };
        if let Some(pool) = self.pools().get(channel).filter(same) {
            return Ok(pool.transport.clone());
        }
        let transport = open(submission, token.as_ref(), &post.from)?;
        let pool = Pool { post: Arc::downgrade(post), token, transport: transport.clone() };
        self.pools().insert(channel.clone(), pool);
        Ok(transport)
    }

    /// After a failure everything is made anew, as a password or a certificate may have been changed.
    fn forget(&self, channel: &ChannelId) {
        self.pools().remove(channel);
    }

    fn pools(&self) -> std::sync::MutexGuard<'_, HashMap<ChannelId, Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(submission: &Submission, token: Option<&SecretString>, from: &str) -> Result<Transport, String> {
    let Server { host, port, security, .. } = &submission.server;
    let tls = match security {
        Security::Tls => Tls::Wrapper(tls(&submission.server)?),
        Security::StartTls => Tls::Required(tls(&submission.server)?),
        Security::None => Tls::None,
    };
    let domain = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain).to_owned();
    let mut builder = Transport::builder_dangerous(host.as_str())
        .port(*port)
        .tls(tls)
        .timeout(Some(PATIENCE))
        .hello_name(ClientId::Domain(domain))
        .pool_config(PoolConfig::new().max_size(CONNECTIONS).idle_timeout(IDLE));
    if let Some((username, credential)) = &submission.login {
        let (secret, mechanisms) = match (credential, token) {
            (Credential::Password(password), _) => (password, vec![Mechanism::Plain, Mechanism::Login]),
            (Credential::OAuth(_), Some(token)) => (token, vec![Mechanism::Xoauth2]),
            (Credential::OAuth(_), None) => return Err("there is no access token".to_owned()),
        };
        let credentials = Credentials::new(username.clone(), secret.expose_secret().to_owned());
        builder = builder.credentials(credentials).authentication(mechanisms);
    }
    Ok(builder.build())
}

fn tls(server: &Server) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(server.host.clone()).certificate_store(CertificateStore::WebpkiRoots);
    if let Some(path) = &server.ca_file {
        let pem = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|_| format!("{} holds no certificate", path.display()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| words(&error))
}

/// The letter as it goes out: two bodies, its files, and headers that say what wrote it (RFC 3834, section 5).
fn letter(answer: &Answer, files: Vec<LetterFile>) -> Result<Message, String> {
    let from = mailbox(answer.from_name.as_deref(), &answer.from).ok_or("`from` is no mail address")?;
    let to = mailbox(None, &answer.to).ok_or("the vault holds no mail address of this reporter")?;
    let reply_to = mailbox(None, &answer.reply_to).ok_or("the reply address is no mail address")?;
    let return_path = answer.return_path.as_deref().and_then(|path| path.parse::<Address>().ok());
    let envelope = Envelope::new(return_path, vec![to.email.clone()]).map_err(|error| error.to_string())?;
    let mut builder = Message::builder()
        .envelope(envelope)
        .from(from)
        .to(to)
        .reply_to(reply_to)
        .subject(answer.subject.clone())
        .message_id(Some(answer.message_id.clone()))
        .raw_header(header("X-Loop", &answer.from))
        .raw_header(header("Content-Language", &answer.language));
    if let Some(id) = &answer.in_reply_to {
        builder = builder.in_reply_to(id.clone()).references(id.clone());
    }
    if answer.is_automatic {
        builder = builder
            .raw_header(header("Auto-Submitted", "auto-replied"))
            .raw_header(header("X-Auto-Response-Suppress", "All"))
            .raw_header(header("Precedence", "bulk"));
    }
    let part = |kind: ContentType, body: &str| SinglePart::builder().header(kind).body(body.to_owned());
    let bodies = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, &answer.text))
        .singlepart(part(ContentType::TEXT_HTML, &answer.html));
    let content = if files.is_empty() { bodies } else { with_files(bodies, files)? };
    builder.multipart(content).map_err(|error| error.to_string())
}

fn with_files(bodies: MultiPart, files: Vec<LetterFile>) -> Result<MultiPart, String> {
    let mut content = MultiPart::mixed().multipart(bodies);
    for LetterFile { filename, media_type, bytes } in files {
        let kind = ContentType::parse(&media_type).map_err(|_| "the type of a file is none")?;
        content = content.singlepart(Attachment::new(filename).body(bytes, kind));
    }
    Ok(content)
}

fn mailbox(name: Option<&str>, address: &str) -> Option<Mailbox> {
    Some(Mailbox::new(name.map(str::to_owned), address.parse().ok()?))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// 5xx never gets better, 4xx does. What breaks off in between may have been sent.
fn judge(error: &SmtpError) -> Tried {
    if error.is_permanent() && !is_about_us(error) {
        return Tried::never(words(error));
    }
    let has_answer = error.status().is_some() || error.is_client() || error.is_tls();
    Tried::Again { after: None, reason: words(error), is_unknown: !has_answer }
}

/// A refused login is a matter of the operator's, not of this letter: it is tried again.
fn is_about_us(error: &SmtpError) -> bool {
    error.status().is_some_and(|code| matches!(code.to_string().as_str(), "530" | "534" | "535" | "538"))
}

/// The status and the kind, without the server's words: they may repeat an address.
fn words(error: &SmtpError) -> String {
    match error.status() {
        Some(code) if is_about_us(error) => format!("the mail server refuses the login ({code})"),
        Some(code) => format!("the mail server answers {code}"),
        None if error.is_timeout() => "the mail server does not answer".to_owned(),
        None if error.is_tls() => "TLS to the mail server fails: is its certificate trusted?".to_owned(),
        None => "the connection to the mail server failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ring::hmac;
    use uuid::Uuid;

    use super::*;
    use crate::mail::answer::{Desk, Draft, Writer, answer};

    fn sent(writer: Writer, subject: &str) -> String {
        let draft = Draft {
            id: "0123456789abcdef0123",
            complaint_id: Some(Uuid::from_u128(7)),
            to: "siti@example.org",
            subject,
            text: "Terima kasih, Bu Siti – nomor Anda E3S-3E2-8JE.",
            language: "id",
            in_reply_to: Some("<a1@example.org>"),
            writer,
        };
        let from = "lapor@kota.example";
        let desk = Desk { from, from_name: Some("Kota \u{e9}"), mailbox: from, plus_addressing: true };
        let answer = answer(&draft, &desk, &hmac::Key::new(hmac::HMAC_SHA256, b"k"));
        String::from_utf8(letter(&answer, Vec::new()).expect("a letter").formatted()).expect("plain letters")
    }

    fn headers(letter: &str) -> Vec<String> {
        let head = letter.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ").replace("\r\n\t", " ");
        head.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn an_automatic_letter_says_so_and_threads() {
        let letter = sent(Writer::Machine, "[#E3S-3E2-8JE] Laporan Anda kami terima");
        for line in [
            "Auto-Submitted: auto-replied",
            "X-Auto-Response-Suppress: All",
            "X-Loop: lapor@kota.example",
            "In-Reply-To: <a1@example.org>",
            "References: <a1@example.org>",
            "Content-Language: id",
            "Subject: [#E3S-3E2-8JE] Laporan Anda kami terima",
        ] {
            assert!(letter.contains(&format!("{line}\r\n")), "{line}\n{letter}");
        }
        assert!(letter.contains("Content-Type: multipart/alternative"));
        assert!(letter.contains("text/plain; charset=utf-8") && letter.contains("text/html; charset=utf-8"));
    }

    #[test]
    fn a_persons_letter_does_not_say_that_a_machine_wrote_it() {
        assert!(!sent(Writer::Person, "x").contains("Auto-Submitted"));
    }

    #[test]
    fn whatever_the_subject_there_are_no_other_headers() {
        let plain = headers(&sent(Writer::Machine, "x"));
        for subject in
            ["a\r\nBcc: b@example.org", "a\n\nb", "=?utf-8?q?a=0D=0ABcc:_b?=", "\u{2028}Bcc: x", &"x ".repeat(500)]
        {
            assert_eq!(headers(&sent(Writer::Machine, subject)), plain, "{subject:?}");
        }
    }
}
