//! Assemble: parts of a long SMS and members of an album become one message (`channel-manifest.md` §8).
//!
//! In: a normalised message and the memory of its sender. Out: the whole message, or the news that it waits there. Nothing
//! waits anywhere else, so what waits survives a crash and goes on once, on whatever gateway. Fragments come in any order;
//! what is not whole when its time is up goes on as it is, and a fragment that comes later still finds its complaint.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use ring::digest::{Context, SHA256};
use uuid::Uuid;

use crate::{
    channel::ChannelFacts,
    complaint::hex,
    message::Group,
    normalise::Normalised,
    receipt::{Origin, ReceiptId},
    sender::{Flushed, FurtherReceipt, Gathering, Kept, Part, Sender, Waiting},
    store::{ClaimKey, SenderKey},
};

mod join;

/// Messages of one sender that may wait at the same time; one more goes on at once.
const OPEN_MAX: usize = 16;
/// Text of one sender that may wait: 255 parts of the longest kind have less.
const TEXT_MAX: usize = 256 << 10;
/// Members of an album.
const ALBUM_MAX: usize = 30;
/// Messages that went on before they were whole and are remembered.
const FLUSHED_MAX: usize = 16;
/// How long a late fragment finds its complaint. Longer, and a reference that is used again would be taken for it.
const LATE: SignedDuration = SignedDuration::from_hours(2);

/// A message with all its fragments.
#[derive(Debug)]
pub struct Assembled {
    /// What the fragments say together. Its origin and place are those of the first one, and ids are derived from them.
    pub message: Normalised,
    /// Words of the claims of all parts, in order, and the provider's ids beside them.
    pub claims: Vec<String>,
    pub message_ids: Vec<String>,
    /// The claims to make now: those of fragments that waited were made then.
    pub claim_keys: Vec<ClaimKey>,
    /// Facts of all receipts, each once, in order.
    pub origins: Vec<Arc<Origin>>,
    /// When the receipt that completed it came.
    pub received_at: Timestamp,
    /// Parts are missing.
    pub incomplete: bool,
    /// The complaint that this fragment is too late for.
    pub late_for: Option<Uuid>,
    /// Under which late fragments will look for the complaint that this message becomes.
    flushed: Vec<String>,
    _made_here: (),
}

/// What became of a message.
#[derive(Debug)]
pub enum Assembly {
    Whole(Box<Assembled>),
    /// It waits in the sender's memory for the others: `drafted`.
    Waits {
        claim_keys: Vec<ClaimKey>,
        receipt: ReceiptId,
    },
    /// The same part with the same text waits already, under another id: `duplicate`.
    Repeated {
        claim_keys: Vec<ClaimKey>,
        receipt: ReceiptId,
    },
}

impl Assembled {
    /// Receipts it was made from, each once, in order.
    pub fn receipts(&self) -> Vec<ReceiptId> {
        self.origins.iter().map(|origin| origin.id).collect()
    }

    /// Notes which complaint it became, so that a late fragment finds it.
    pub fn became(&self, complaint_id: Uuid, sender: &mut Sender) {
        for key in &self.flushed {
            if let Some(flushed) = sender.flushed.iter_mut().rev().find(|flushed| flushed.key == *key) {
                flushed.complaint_id = Some(complaint_id);
            }
        }
    }

    /// What has to be remembered of it while a chat asks on.
    pub fn kept(&self, part: Part) -> Kept {
        let further = |list: &[String]| list.get(1..).unwrap_or_default().to_vec();
        let other = |origin: &&Arc<Origin>| origin.id != self.message.origin.id;
        let receipt = |origin: &Arc<Origin>| FurtherReceipt {
            id: origin.id,
            received_at: origin.received_at,
            verdict: origin.verdict.clone(),
            media_type: origin.media_type.clone(),
            size_bytes: origin.size_bytes,
            sha256: hex(&origin.sha256),
        };
        Kept {
            part,
            fragment: self.message.clone().into_fragment(),
            claims: further(&self.claims),
            message_ids: further(&self.message_ids),
            receipts: self.origins.iter().filter(other).map(receipt).collect(),
            flushed: self.flushed.clone(),
        }
    }

    /// All messages of a draft as one; None of an empty draft. `now` is the message that completed it: its claims are made
    /// now, those of the others were made when they came.
    pub fn of_draft(draft: Vec<Kept>, now: &Self, channel: &ChannelFacts) -> Option<Self> {
        join::draft(draft, now, channel)
    }

    fn alone(message: Normalised) -> Self {
        Self {
            claims: vec![message.claim.clone()],
            message_ids: vec![message.message_id().to_owned()],
            claim_keys: message.claim_keys.clone(),
            origins: vec![Arc::clone(&message.origin)],
            received_at: message.origin.received_at,
            incomplete: false,
            late_for: None,
            flushed: Vec::new(),
            message,
            _made_here: (),
        }
    }
}

/// Takes a message as far as it goes now. Changes nothing but the sender's memory.
pub fn assemble(message: Normalised, sender: &mut Sender, channel: &ChannelFacts, now: Timestamp) -> Assembly {
    let whole = |assembled: Assembled| Assembly::Whole(Box::new(assembled));
    match message.message.group.clone() {
        None if channel.converses() && message.replyable => burst(message, sender, channel, now),
        None => whole(Assembled::alone(message)),
        Some(Group::Parts { part: 1, total: 1, .. }) => whole(join::one(message)),
        Some(Group::Parts { part, total, .. }) if part == 0 || part > total => {
            // A part that cannot be: its words are a message of their own, and say that they are not the whole.
            whole(Assembled { incomplete: true, ..join::one(message) })
        }
        Some(Group::Parts { key, part, total }) => {
            let key = hashed(&message, &["parts", &key, &total.to_string()]);
            gather(message, Place { key, part, gathering: Gathering::Parts { total } }, sender, channel, now)
        }
        Some(Group::Album { key }) => {
            let key = hashed(&message, &["album", &key]);
            gather(message, Place { key, part: 0, gathering: Gathering::Album }, sender, channel, now)
        }
    }
}

/// In a chat a photo and a pin wait for a moment for what comes with them: words or a button complete them, and many of
/// them become one message, which is answered once.
fn burst(message: Normalised, sender: &mut Sender, channel: &ChannelFacts, now: Timestamp) -> Assembly {
    let said = &message.message;
    let is_silent = said.text.is_none() && said.action.is_none() && said.edit_of.is_none() && said.reply_to.is_none();
    if is_silent && (!said.attachments.is_empty() || said.location.is_some()) {
        let key = hashed(&message, &["burst"]);
        return gather(message, Place { key, part: 0, gathering: Gathering::Burst }, sender, channel, now);
    }
    let open = sender.waiting.iter().position(|waiting| waiting.gathering == Gathering::Burst);
    match open.filter(|_| message.message.edit_of.is_none()) {
        Some(open) => {
            let waiting = sender.waiting.remove(open);
            let key = message.sender;
            Assembly::Whole(Box::new(join::all(waiting, Some(message), key, channel)))
        }
        None => Assembly::Whole(Box::new(Assembled::alone(message))),
    }
}

/// Fragments whose deadline has passed go on as they are.
pub fn flush_due(sender: &mut Sender, key: SenderKey, channel: &ChannelFacts, now: Timestamp) -> Vec<Assembled> {
    let mut due = Vec::new();
    while let Some(place) = sender.waiting.iter().position(|waiting| waiting.deadline <= now.as_millisecond()) {
        let waiting = sender.waiting.remove(place);
        // Nothing is ever too late for a burst: what comes next is a message of its own.
        let flushed = (waiting.gathering != Gathering::Burst).then(|| remember_flushed(sender, &waiting, now));
        let flushed = flushed.into_iter().collect();
        let incomplete = matches!(waiting.gathering, Gathering::Parts { .. });
        due.push(Assembled { incomplete, flushed, ..join::all(waiting, None, key, channel) });
    }
    due
}

/// Where a fragment belongs.
struct Place {
    key: String,
    /// From 1; 0 in an album.
    part: u8,
    gathering: Gathering,
}

fn gather(message: Normalised, place: Place, sender: &mut Sender, channel: &ChannelFacts, now: Timestamp) -> Assembly {
    if let Some(complaint_id) = late(&place, sender, now) {
        return Assembly::Whole(Box::new(Assembled { late_for: Some(complaint_id), ..join::one(message) }));
    }
    let receipt = message.origin.id;
    if place.part > 0
        && sender.waiting.iter().any(|waiting| waiting.key == place.key && has_same(waiting, place.part, &message))
    {
        return Assembly::Repeated { claim_keys: message.claim_keys, receipt };
    }
    let text: usize = sender.waiting.iter().map(Waiting::text_bytes).sum();
    let grows = text + message.message.text.as_deref().map_or(0, str::len) <= TEXT_MAX;
    // The newest with this key, as references are used again: an older one has lost a part for good.
    let open = sender.waiting.iter().rposition(|waiting| waiting.key == place.key && !has_part(waiting, place.part));
    let key = message.sender;
    match open {
        Some(open) if is_last(&sender.waiting[open], place.gathering) => {
            let waiting = sender.waiting.remove(open);
            Assembly::Whole(Box::new(join::all(waiting, Some(message), key, channel)))
        }
        Some(open) if grows => {
            let claim_keys = message.claim_keys.clone();
            let waiting = &mut sender.waiting[open];
            waiting.fragments.push(message.into_fragment());
            waiting.deadline = deadline(waiting, channel, now);
            Assembly::Waits { claim_keys, receipt }
        }
        None if grows && sender.waiting.len() < OPEN_MAX => {
            let claim_keys = message.claim_keys.clone();
            let mut waiting = Waiting {
                key: place.key,
                channel: channel.id.clone(),
                gathering: place.gathering,
                opened: now.as_millisecond(),
                deadline: 0,
                fragments: vec![message.into_fragment()],
            };
            waiting.deadline = deadline(&waiting, channel, now);
            sender.waiting.push(waiting);
            Assembly::Waits { claim_keys, receipt }
        }
        _ => {
            // No room to wait: it goes on alone, and what belongs to it follows it.
            let flushed = note_flushed(sender, place.key, vec![place.part], now);
            Assembly::Whole(Box::new(Assembled { incomplete: true, flushed: vec![flushed], ..join::one(message) }))
        }
    }
}

/// The complaint of a message that went on without this fragment.
fn late(place: &Place, sender: &mut Sender, now: Timestamp) -> Option<Uuid> {
    sender.flushed.retain(|flushed| flushed.until > now.as_millisecond());
    let missing = |flushed: &&mut Flushed| {
        flushed.key == place.key
            && flushed.complaint_id.is_some()
            && (place.part == 0 || !flushed.seen.contains(&place.part))
    };
    let flushed = sender.flushed.iter_mut().rev().find(missing)?;
    if place.part > 0 {
        flushed.seen.push(place.part);
    }
    flushed.complaint_id
}

fn has_part(waiting: &Waiting, part: u8) -> bool {
    part > 0 && waiting.fragments.iter().any(|fragment| part_of(fragment.message.group.as_ref()) == part)
}

fn has_same(waiting: &Waiting, part: u8, message: &Normalised) -> bool {
    waiting.fragments.iter().any(|fragment| {
        part_of(fragment.message.group.as_ref()) == part && fragment.message.text == message.message.text
    })
}

fn part_of(group: Option<&Group>) -> u8 {
    match group {
        Some(Group::Parts { part, .. }) => *part,
        _ => 0,
    }
}

/// Does one more fragment make it whole?
fn is_last(waiting: &Waiting, gathering: Gathering) -> bool {
    match gathering {
        Gathering::Parts { total } => waiting.fragments.len() + 1 == usize::from(total),
        Gathering::Album | Gathering::Burst => waiting.fragments.len() + 1 == ALBUM_MAX,
    }
}

/// Parts wait from the first on; an album waits until nothing has come for a while, but not for ever.
fn deadline(waiting: &Waiting, channel: &ChannelFacts, now: Timestamp) -> i64 {
    let millis = |span: crate::units::Span| i64::try_from(span.duration().as_millis()).unwrap_or(i64::MAX);
    let after = |from: i64, span: crate::units::Span| from.saturating_add(millis(span));
    match waiting.gathering {
        Gathering::Parts { .. } => after(waiting.opened, channel.parts_timeout),
        Gathering::Album | Gathering::Burst => {
            after(now.as_millisecond(), channel.album_window).min(after(waiting.opened, channel.album_max))
        }
    }
}

fn remember_flushed(sender: &mut Sender, waiting: &Waiting, now: Timestamp) -> String {
    let seen = waiting.fragments.iter().map(|fragment| part_of(fragment.message.group.as_ref())).collect();
    note_flushed(sender, waiting.key.clone(), seen, now)
}

fn note_flushed(sender: &mut Sender, key: String, seen: Vec<u8>, now: Timestamp) -> String {
    let until = now.as_millisecond().saturating_add(i64::try_from(LATE.as_millis()).unwrap_or(i64::MAX));
    sender.flushed.push(Flushed { key: key.clone(), seen, until, complaint_id: None });
    let surplus = sender.flushed.len().saturating_sub(FLUSHED_MAX);
    sender.flushed.drain(..surplus);
    key
}

/// Sender, recipient and whatever tells one message from another. The channel is that of the memory.
fn hashed(message: &Normalised, parts: &[&str]) -> String {
    let mut context = Context::new(&SHA256);
    let to = message.message.to.as_deref().unwrap_or_default();
    for part in [message.identity.value.as_str(), to].iter().chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex(&context.finish().as_ref()[..8])
}

#[cfg(test)]
mod tests;
