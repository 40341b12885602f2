//! A name server on the loopback interface (RFC 1035) with a few records, one that answers nothing, and how often it was asked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::net::UdpSocket;

/// A server that ends with the test.
pub struct Dns {
    pub address: SocketAddr,
    pub asked: Arc<AtomicUsize>,
}

const TXT: u16 = 16;

impl Dns {
    /// `records`: names in lower case and without a dot at the end, to a text. Every other name does not exist.
    pub async fn with(records: &[(&str, &str)]) -> Self {
        let records: BTreeMap<String, String> =
            records.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Self::answering(move |question| answer(question, &records)).await
    }

    /// The same, but of this name and those below it nothing is said.
    pub async fn silent_about(name: &str, records: &[(&str, &str)]) -> Self {
        let records: BTreeMap<String, String> =
            records.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let labels: Vec<u8> =
            name.split('.').flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat()).collect();
        Self::answering(move |question| {
            let is_about = question.to_ascii_lowercase().windows(labels.len()).any(|bytes| bytes == labels);
            if is_about { None } else { answer(question, &records) }
        })
        .await
    }

    /// It takes questions and says nothing.
    pub async fn silent() -> Self {
        Self::answering(|_| None).await
    }

    async fn answering(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(&buffer[..length]) {
                    let _ = socket.send_to(&answer, peer).await;
                }
            }
        });
        Self { address, asked }
    }
}

/// The answer to a question: one text, or that the name is not there.
fn answer(question: &[u8], records: &BTreeMap<String, String>) -> Option<Vec<u8>> {
    let (mut name, mut at) = (Vec::new(), 12);
    while let Some(length) = question.get(at).copied().filter(|length| *length > 0) {
        name.push(String::from_utf8_lossy(question.get(at + 1..at + 1 + usize::from(length))?).to_lowercase());
        at += 1 + usize::from(length);
    }
    let kind = u16::from_be_bytes([*question.get(at + 1)?, *question.get(at + 2)?]);
    let asked = question.get(12..at + 5)?;
    let found = records.get(&name.join(".")).filter(|_| kind == TXT);
    let is_there = records.contains_key(&name.join("."));
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x85, if is_there { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(found.is_some()), 0, 0, 0, 0]);
    answer.extend(asked);
    if let Some(text) = found {
        let pieces: Vec<u8> =
            text.as_bytes().chunks(255).flat_map(|piece| [&[piece.len() as u8], piece].concat()).collect();
        answer.extend([0xc0, 12, 0, TXT as u8, 0, 1, 0, 0, 0, 60]);
        answer.extend((pieces.len() as u16).to_be_bytes());
        answer.extend(pieces);
    }
    Some(answer)
}
