//! Fragments in a sender's memory: parts of a long SMS and members of an album, with everything that is needed to go on
//! after a crash, on any gateway.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    complaint::Flag,
    message::Message,
    receipt::{ChannelId, ReceiptId, Verdict},
};

/// One fragment: the message after normalising, and the facts of its receipt.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Fragment {
    pub receipt: ReceiptId,
    pub received_at: Timestamp,
    #[serde(with = "hexadecimal")]
    pub draw: [u8; 16],
    pub verdict: Verdict,
    pub media_type: String,
    pub size_bytes: u64,
    #[serde(with = "hexadecimal")]
    pub sha256: [u8; 32],
    pub place: usize,
    pub message: Message,
    /// Beside the message, which never prints them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_key: Option<String>,
    pub claim: String,
    pub weak: bool,
    pub replyable: bool,
    pub flags: Vec<Flag>,
}

/// What the fragments become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gathering {
    #[serde(rename = "p")]
    Parts { total: u8 },
    #[serde(rename = "a")]
    Album,
    /// Photos and pins that a chat brings one by one, each without a word: the words follow in a moment.
    #[serde(rename = "b")]
    Burst,
}

/// Fragments that wait for the others.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Hash of sender, recipient, reference and total; two open ones may share it, as references are used again.
    #[serde(rename = "k")]
    pub key: String,
    /// The channel that they came by: a timer has to know it.
    #[serde(rename = "c")]
    pub channel: ChannelId,
    #[serde(rename = "g")]
    pub gathering: Gathering,
    /// When the first came, Unix milliseconds.
    #[serde(rename = "o")]
    pub opened: i64,
    /// When what is there goes on, Unix milliseconds.
    #[serde(rename = "d")]
    pub deadline: i64,
    #[serde(rename = "m")]
    pub fragments: Vec<Fragment>,
}

/// A message that went on before it was whole.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Flushed {
    #[serde(rename = "k")]
    pub key: String,
    /// Parts that were there; empty for an album.
    #[serde(rename = "s")]
    pub seen: Vec<u8>,
    /// Until when a late fragment belongs to it, Unix milliseconds.
    #[serde(rename = "u")]
    pub until: i64,
    /// The complaint that it became; None until the conversation has said so.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub complaint_id: Option<Uuid>,
}

macro_rules! redacted {
    ($($name:ident),+) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(concat!(stringify!($name), "(***)"))
            }
        })+
    };
}

redacted!(Fragment, Waiting, Flushed);

impl Waiting {
    /// Bytes of text that wait.
    pub fn text_bytes(&self) -> usize {
        self.fragments.iter().filter_map(|fragment| fragment.message.text.as_deref()).map(str::len).sum()
    }
}

/// Bytes as lower-case hex: half of what a list of numbers takes.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::complaint::hex;

    pub fn serialize<const N: usize, S: Serializer>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(bytes))
    }

    pub fn deserialize<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        if text.len() != 2 * N || !text.is_ascii() {
            return Err(D::Error::custom("not the number of hex digits expected"));
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(pair, 16).map_err(D::Error::custom)?;
        }
        Ok(bytes)
    }
}
