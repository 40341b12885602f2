//! Joins fragments: texts in order, attachments in order, claims and receipts of all, the weakest verdict of all.

use std::sync::Arc;

use super::{Assembled, part_of};
use crate::{
    channel::ChannelFacts,
    normalise::Normalised,
    receipt::VerdictResult,
    sender::{Gathering, Waiting},
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
    if waiting.gathering == Gathering::Album {
        members.sort_by_cached_key(|member| (member.message.sent_at, member.message.id.clone()));
    } else {
        members.sort_by_key(|member| part_of(member.message.group.as_ref()));
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
        Gathering::Album => {
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
    into.location = into.location.take().or(from.location);
    into.subject = into.subject.take().or(from.subject);
    into.sender_name = into.sender_name.take().or(from.sender_name);
    into.sent_at = [into.sent_at, from.sent_at].into_iter().flatten().min();
    weaken(whole, &member.origin);
}

/// The whole is proven as far as its weakest fragment is.
fn weaken(whole: &mut Normalised, other: &crate::receipt::Origin) {
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
