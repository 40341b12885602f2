//! The invented mailboxes: a mail server on the loopback interface that takes the gateway's answers, and a client that
//! hands letters to it, both over real sockets.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor, message::header::ContentType};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{ADDRESS, Providers, provider::Provider};
use crate::mail::{self, Circumstances, Envelope, addresses::OurAddresses};

/// A session of the invented server ends after this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of one session.
const LARGEST: u64 = 1 << 20;

/// A citizen writes a letter: it is handed to the gateway's own mail server. The answer is that of the server.
pub async fn write(provider: &Provider, from: &str, subject: &str, text: &str) -> anyhow::Result<String> {
    provider.wrote(from, &format!("{subject}\n\n{text}"));
    let gateway = provider.mail;
    let letter = Message::builder()
        .from(from.parse().context("write a mail address like siti@example.org")?)
        .to(ADDRESS.parse().context("the demonstration's address")?)
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(text.to_owned())?;
    let client = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(gateway.ip().to_string())
        .port(gateway.port())
        .timeout(Some(PATIENCE))
        .build();
    let answer = client.send(letter).await?;
    Ok(answer.code().to_string())
}

/// Takes the gateway's answers into the mailboxes of the page; ends with the process.
pub async fn serve(listener: TcpListener, providers: Arc<Providers>) {
    while let Ok((stream, _)) = listener.accept().await {
        let providers = Arc::clone(&providers);
        tokio::spawn(async move {
            let _ = timeout(PATIENCE, session(stream, &providers.sms)).await;
        });
    }
}

async fn session(stream: TcpStream, provider: &Provider) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LARGEST));
    let mut to = String::new();
    write.write_all(b"220 mailboxes.example ESMTP\r\n").await?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => b"250-mailboxes.example\r\n250 8BITMIME\r\n",
            "RCPT" => {
                line.split(['<', '>']).nth(1).unwrap_or_default().clone_into(&mut to);
                b"250 2.1.5 ok\r\n"
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut letter = String::new();
                loop {
                    let mut line = String::new();
                    if lines.read_line(&mut line).await? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    letter.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                provider.received(&to, &text_of(&letter));
                b"250 2.0.0 in the mailbox\r\n"
            }
            "QUIT" => b"221 2.0.0 goodbye\r\n",
            _ => b"250 2.0.0 ok\r\n",
        };
        write.write_all(answer).await?;
    }
}

/// Subject and words of an answer, as a mail client shows them.
fn text_of(letter: &str) -> String {
    let (envelope, ours) = (Envelope::default(), OurAddresses::none());
    let circumstances =
        Circumstances { envelope: &envelope, ours: &ours, trusted_servers: &[], received_at: crate::clock::now() };
    match mail::read(letter.as_bytes(), &circumstances) {
        Ok(letter) => {
            let (subject, text) = (letter.message.subject.unwrap_or_default(), letter.message.text.unwrap_or_default());
            format!("{subject}\n\n{text}")
        }
        Err(error) => error.to_string(),
    }
}
