//! A scanner for malware: `clamd`, by its `INSTREAM` command (clamd(8)). The file is sent in pieces with their lengths before
//! them, and a piece of length 0 at the end. A scanner that is away, or says anything but yes or no, has found nothing out.

use std::{path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const CONNECT: Duration = Duration::from_secs(5);
/// For a whole file: the signatures of a large archive take their time.
const SCAN: Duration = Duration::from_mins(2);
/// Bytes of a piece.
const PIECE: usize = 32 << 10;
/// Bytes of an answer: a name of a signature and a few words.
const ANSWER: u64 = 4 << 10;

/// What it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Clean,
    Infected,
}

/// `host:port` of the scanner.
#[derive(Clone, Debug)]
pub struct Scanner(pub String);

impl Scanner {
    /// Is it there? Asked before a file is fetched, so that a provider is not asked for a file again and again for nothing.
    pub async fn ping(&self) -> Result<(), String> {
        let answer = tokio::time::timeout(CONNECT, async {
            let mut stream = TcpStream::connect(&self.0).await?;
            stream.write_all(b"zPING\0").await?;
            read(stream).await
        });
        match answer.await {
            Ok(Ok(answer)) if answer == "PONG" => Ok(()),
            Ok(Ok(_)) => Err("the scanner does not answer PONG".to_owned()),
            Ok(Err(error)) => Err(format!("the scanner is away: {error}")),
            Err(_) => Err("the scanner does not answer in time".to_owned()),
        }
    }

    pub async fn scan(&self, path: &Path) -> Result<Verdict, String> {
        let answer = tokio::time::timeout(SCAN, self.stream(path)).await;
        let answer = answer.map_err(|_| "the scanner does not answer in time".to_owned())?;
        let answer = answer.map_err(|error| format!("the scanner is away: {error}"))?;
        if answer == "stream: OK" {
            return Ok(Verdict::Clean);
        }
        // The name of the signature is the scanner's, and says nothing to whoever is told of the file.
        if answer.starts_with("stream: ") && answer.ends_with(" FOUND") {
            return Ok(Verdict::Infected);
        }
        Err("the scanner could not look at the file".to_owned())
    }

    async fn stream(&self, path: &Path) -> std::io::Result<String> {
        let mut file = tokio::fs::File::open(path).await?;
        let mut stream = TcpStream::connect(&self.0).await?;
        stream.write_all(b"zINSTREAM\0").await?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = file.read(&mut piece).await?;
            stream.write_all(&u32::try_from(length).unwrap_or(0).to_be_bytes()).await?;
            if length == 0 {
                break;
            }
            stream.write_all(&piece[..length]).await?;
        }
        stream.flush().await?;
        read(stream).await
    }
}

async fn read(stream: TcpStream) -> std::io::Result<String> {
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    Ok(text.trim_end_matches(['\0', '\n']).to_owned())
}
