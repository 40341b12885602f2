//! Chat: a complaint is asked about step by step (`conversation-flow.md` §1). The steps are pure and know no channel; here is
//! what time does to a draft.

use jiff::{SignedDuration, Timestamp};

use super::Said;
use crate::sender::{Draft, Sender};

pub mod ask;
pub mod flow;
pub mod step;
pub mod words;

/// When a timer has to look at the draft, Unix milliseconds.
pub fn deadline(draft: &Draft, flow: &flow::Flow) -> i64 {
    let span = if draft.warned { flow.times.expire } else { flow.times.warn };
    let millis = i64::try_from(span.duration().as_millis()).unwrap_or(i64::MAX);
    draft.touched.saturating_add(millis)
}

pub fn since(touched: i64, now: Timestamp) -> SignedDuration {
    SignedDuration::from_millis(now.as_millisecond().saturating_sub(touched))
}

/// What a timer does with a draft.
#[derive(Debug)]
pub enum Idle {
    /// The citizen is reminded.
    Warned(Said),
    /// It is deleted; so many messages of it are expired.
    Ended(u64),
    /// It is not time yet.
    Waits,
}

/// A draft whose time has come. `sender` is left as it is to be.
pub fn idle(sender: &mut Sender, flow: &flow::Flow, now: Timestamp) -> Idle {
    let Some(draft) = sender.draft.as_mut().filter(|draft| draft.next <= now.as_millisecond()) else {
        return Idle::Waits;
    };
    if since(draft.touched, now) >= flow.times.expire.signed() {
        let messages = draft.messages();
        sender.draft = None;
        sender.expired = true;
        return Idle::Ended(messages);
    }
    draft.warned = true;
    draft.next = deadline(draft, flow);
    let left = flow.times.expire.as_secs().saturating_sub(flow.times.warn.as_secs()) / 60;
    Idle::Warned(Said::new("chat.idle_warning", vec![("minutes", left.max(1).to_string())], &draft.language))
}
