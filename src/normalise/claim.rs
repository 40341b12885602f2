//! The claim of a message (`complaint-format.md` §5.1, `channel-manifest.md` §7): what makes it the same message again.

use ring::digest::{Context, SHA256, digest};

use crate::{
    channel::ChannelFacts,
    complaint::{Medium, hex},
    message::Message,
    receipt::Origin,
    store::{ClaimKey, SenderKey},
    units::Span,
};

/// Without an id and without a time, the same content again is the same message for so long.
const WINDOW: Span = Span::from_secs(600);

/// The claim in words and as keys.
pub struct Claim {
    pub claim: String,
    pub keys: Vec<ClaimKey>,
    pub weak: bool,
    pub window: Option<Span>,
}

impl Claim {
    /// Of a message that is normalised but for its claim.
    pub fn of(message: &Message, origin: &Origin, channel: &ChannelFacts) -> Self {
        let strong = |claim: String| Self { keys: vec![key(channel, &claim)], claim, weak: false, window: None };
        match &message.id {
            // The Message-ID of a letter is its writer's own: nobody vouches that it is not used twice.
            Some(id) if origin.verdict.proves.content && channel.medium != Medium::Email => strong(id.clone()),
            Some(id) => {
                let hash = hex(&content(message).finish().as_ref()[..8]);
                strong(format!("{id}~{hash}"))
            }
            None => Self::weak(message, origin, channel),
        }
    }

    /// Without a time the content is claimed for this stretch of ten minutes and for the next: a repetition is found for
    /// ten minutes at least, and the same words an hour later make another claim, and so another event id.
    fn weak(message: &Message, origin: &Origin, channel: &ChannelFacts) -> Self {
        let of = |time: &str| {
            let mut context = content(message);
            field(&mut context, time.as_bytes());
            format!("sha256:{}", hex(context.finish().as_ref()))
        };
        if let Some(sent_at) = message.sent_at {
            let claim = of(&sent_at.as_second().to_string());
            return Self { keys: vec![key(channel, &claim)], claim, weak: true, window: None };
        }
        let stretch = origin.received_at.as_second().div_euclid(i64::try_from(WINDOW.as_secs()).unwrap_or(i64::MAX));
        let claim = of(&format!("stretch {stretch}"));
        let next = of(&format!("stretch {}", stretch + 1));
        Self { keys: vec![key(channel, &claim), key(channel, &next)], claim, weak: true, window: Some(WINDOW) }
    }
}

/// The lane and the memory of the sender. Where nobody is named, every message is a sender of its own: absent matches nothing.
pub fn sender(message: &Message, channel: &ChannelFacts, claim: &str) -> SenderKey {
    let name = message.conversation_key.as_deref().or(message.from.as_deref());
    SenderKey(match name {
        Some(name) => cut(&[channel.id.as_str().as_bytes(), b"\0", name.as_bytes()]),
        None => cut(&[channel.id.as_str().as_bytes(), b"\0\0", claim.as_bytes()]),
    })
}

fn key(channel: &ChannelFacts, claim: &str) -> ClaimKey {
    ClaimKey(cut(&[channel.id.as_str().as_bytes(), b"\0", claim.as_bytes()]))
}

fn cut(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&context.finish().as_ref()[..16]);
    key
}

/// Hash over sender, recipient, subject, text, location and attachments (their names, and their bytes where they are known),
/// each with its length before it. Scanners send other pages under the same words and names.
fn content(message: &Message) -> Context {
    let mut context = Context::new(&SHA256);
    for text in [&message.from, &message.to, &message.subject, &message.text] {
        field(&mut context, text.as_deref().unwrap_or_default().as_bytes());
    }
    if let Some(location) = &message.location {
        field(&mut context, &location.lat.to_be_bytes());
        field(&mut context, &location.lon.to_be_bytes());
    }
    for file in &message.attachments {
        let name = file.filename.as_deref().or(file.reference.as_deref()).or(file.url.as_deref());
        field(&mut context, name.unwrap_or_default().as_bytes());
        file.sha256.iter().for_each(|hash| field(&mut context, hash.as_bytes()));
    }
    // A button pressed and an edit have no words of their own.
    for text in [&message.action, &message.edit_of].into_iter().flatten() {
        field(&mut context, text.as_bytes());
    }
    context
}

fn field(context: &mut Context, bytes: &[u8]) {
    context.update(&(bytes.len() as u64).to_be_bytes());
    context.update(bytes);
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}
