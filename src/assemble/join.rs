//! Joins fragments: texts in order, attachments in order, claims and receipts of all, the weakest verdict of all.

use std::sync::Arc;

use super::{Assembled, part_of};
use crate::{
    channel::ChannelFacts,
    message::Message,
    normalise::Normalised,
    receipt::{Origin, VerdictResult},
    sender::{FurtherReceipt, Gathering, Kept, Part, Waiting},
    store::SenderKey,
};

/// A fragment that stands alone.
pub fn one(mut message: Normalised) -> Assembled {
    message.message.group = None;
    if let Some(text) = message.message.text.take() {
        message.set_text(text);
    }
    Assembled::alone(message)
}

/// What waited, and the fragment that completed it, if one did.
pub fn all(waiting: Waiting, last: Option<Normalised>, sender: SenderKey, channel: &ChannelFacts) -> Assembled {
    let claim_keys = last.as_ref().map(|last| last.claim_keys.clone()).unwrap_or_default();
    let redraw = last.as_ref().map_or(0, |last| last.redraw);
    let mut members: Vec<Normalised> = waiting
        .fragments
        .into_iter()
        .map(|fragment| Normalised::from_fragment(fragment, sender, channel))
        .chain(last)
        .collect();
    let received_at = members.iter().map(|member| member.origin.received_at).max();
    if matches!(waiting.gathering, Gathering::Parts { .. }) {
        members.sort_by_key(|member| part_of(member.message.group.as_ref()));
    } else {
        members.sort_by_cached_key(|member| (member.message.sent_at, member.message.id.clone()));
    }
    let text = joined_text(&members, waiting.gathering);
    let mut members = members.into_iter();
    let first = members.next().expect("what waits has a fragment");
    let mut assembled = Assembled::alone(first);
    for member in members {
        add(&mut assembled, member);
    }
    assembled.received_at = received_at.unwrap_or(assembled.received_at);
    assembled.claim_keys = claim_keys;
    // Whoever finds the tracking id taken tells the message that is at hand.
    assembled.message.redraw = redraw;
    assembled.message.message.group = None;
    assembled.message.set_text(text);
    assembled
}

/// Parts follow each other without a gap; captions of an album stand on lines of their own, equal ones once.
fn joined_text(members: &[Normalised], gathering: Gathering) -> String {
    let texts = members.iter().filter_map(|member| member.message.text.as_deref());
    match gathering {
        Gathering::Parts { .. } => texts.collect(),
        Gathering::Album | Gathering::Burst => {
            let mut captions: Vec<&str> = Vec::new();
            for text in texts.map(str::trim) {
                if !text.is_empty() && !captions.contains(&text) {
                    captions.push(text);
                }
            }
            captions.join("\n")
        }
    }
}

/// The messages of a draft in the order in which they were written. Answers to questions give their ids and receipts, and
/// no words: those stand in the fields that they fill.
pub fn draft(kept: Vec<Kept>, now: &Assembled, channel: &ChannelFacts) -> Option<Assembled> {
    let mut kept = kept;
    kept.sort_by_key(|kept| kept.fragment.message.sent_at.unwrap_or(kept.fragment.received_at));
    let mut whole: Option<Assembled> = None;
    let mut words: Vec<String> = Vec::new();
    for Kept { part, mut fragment, claims, message_ids, receipts, flushed } in kept {
        let message = &mut fragment.message;
        if part == Part::Answer {
            let bare = Message { id: message.id.take(), sent_at: message.sent_at, ..Message::default() };
            let names = (message.from.take(), std::mem::take(&mut message.identities), message.sender_name.take());
            *message =
                Message { from: names.0, identities: names.1, sender_name: names.2, to: message.to.take(), ..bare };
        }
        words.extend(message.text.take());
        let member = Normalised::from_fragment(fragment, now.message.sender, channel);
        let assembled = match whole.as_mut() {
            None => whole.insert(Assembled::alone(member)),
            Some(assembled) => {
                add(assembled, member);
                assembled
            }
        };
        assembled.claims.extend(claims);
        assembled.message_ids.extend(message_ids);
        assembled.flushed.extend(flushed);
        for receipt in receipts {
            assembled.origins.push(Arc::new(further(receipt, channel)));
        }
    }
    let mut whole = whole?;
    whole.received_at = whole.origins.iter().map(|origin| origin.received_at).max().unwrap_or(whole.received_at);
    whole.claim_keys.clone_from(&now.claim_keys);
    whole.message.redraw = now.message.redraw;
    whole.message.replyable = now.message.replyable;
    whole.message.set_text(words.join("\n"));
    Some(whole)
}

/// Nothing is drawn from it: only the first receipt of a draft gives ids.
fn further(receipt: FurtherReceipt, channel: &ChannelFacts) -> Origin {
    Origin {
        id: receipt.id,
        channel: channel.id.clone(),
        received_at: receipt.received_at,
        draw: [0; 16],
        verdict: receipt.verdict,
        media_type: receipt.media_type,
        size_bytes: receipt.size_bytes,
        sha256: digest(&receipt.sha256),
    }
}

/// 64 hex digits, as they were written by us.
fn digest(hex: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    }
    bytes
}

fn add(assembled: &mut Assembled, member: Normalised) {
    assembled.message_ids.push(member.message_id().to_owned());
    assembled.claims.push(member.claim);
    if !assembled.origins.iter().any(|origin| origin.id == member.origin.id) {
        assembled.origins.push(Arc::clone(&member.origin));
    }
    let whole = &mut assembled.message;
    whole.replyable &= member.replyable;
    whole.claim_is_weak |= member.claim_is_weak;
    for flag in member.flags {
        if !whole.flags.contains(&flag) {
            whole.flags.push(flag);
        }
    }
    let (into, from) = (&mut whole.message, member.message);
    into.attachments.extend(from.attachments);
    into.action = into.action.take().or(from.action);
    into.location = into.location.take().or(from.location);
    into.subject = into.subject.take().or(from.subject);
    into.sender_name = into.sender_name.take().or(from.sender_name);
    into.sent_at = [into.sent_at, from.sent_at].into_iter().flatten().min();
    weaken(whole, &member.origin);
}

/// The whole is proven as far as its weakest fragment is.
fn weaken(whole: &mut Normalised, other: &Origin) {
    let mine = &whole.origin.verdict;
    let mut verdict = if mine.result == VerdictResult::Pass && other.verdict.result != VerdictResult::Pass {
        other.verdict.clone()
    } else {
        mine.clone()
    };
    verdict.proves.sender = mine.proves.sender && other.verdict.proves.sender;
    verdict.proves.content = mine.proves.content && other.verdict.proves.content;
    verdict.proves.freshness = mine.proves.freshness && other.verdict.proves.freshness;
    if verdict != *mine {
        let mut origin = (*whole.origin).clone();
        origin.verdict = verdict;
        whole.origin = Arc::new(origin);
    }
}
