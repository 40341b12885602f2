//! A mail server on the loopback interface that keeps what it is handed, for the letters that a gateway sends.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::harness::until;

/// A letter as it was handed over.
#[derive(Clone, Debug)]
pub struct Handed {
    /// Between the angle brackets; empty for the null path.
    pub mail_from: String,
    pub rcpt_to: String,
    pub letter: String,
}

impl Handed {
    /// The value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head =
            self.letter.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }
}

/// The server. It ends with the test.
#[derive(Clone)]
pub struct Sink {
    pub port: u16,
    handed: Arc<Mutex<Vec<Handed>>>,
    /// Answers to `RCPT`, in order; 250 when the list is empty.
    pub answers: Arc<Mutex<Vec<&'static str>>>,
}

impl Sink {
    pub async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let sink = Self { port, handed: Arc::default(), answers: Arc::default() };
        let server = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        sink
    }

    pub fn handed(&self) -> Vec<Handed> {
        self.handed.lock().expect("no test panics with the lock").clone()
    }

    pub async fn wait_for(&self, count: usize) -> Vec<Handed> {
        until(&format!("{count} letters sent"), async || {
            let handed = self.handed();
            (handed.len() >= count).then_some(handed)
        })
        .await
    }

    async fn serve(self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read);
        let (mut from, mut to) = (String::new(), String::new());
        write.write_all(b"220 sink.example ESMTP\r\n").await?;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let path = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            let answer = match word.as_str() {
                "EHLO" => "250-sink.example\r\n250-8BITMIME\r\n250 SMTPUTF8",
                "MAIL" => {
                    from = path();
                    "250 ok"
                }
                "RCPT" => {
                    to = path();
                    let mut answers = self.answers.lock().expect("no test panics with the lock");
                    if answers.is_empty() { "250 ok" } else { answers.remove(0) }
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
                    let handed = Handed { mail_from: from.clone(), rcpt_to: to.clone(), letter };
                    self.handed.lock().expect("no test panics with the lock").push(handed);
                    "250 taken"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
    }
}
