//! The names of a sender: typed, and each in the one way to write it. Whatever is no phone number or address stays as it is.

use crate::{
    channel::ChannelFacts,
    message::{Identity, Message},
    normalise::text::clean_line,
    phone::e164,
};

/// More names of one sender are not kept.
const MOST: usize = 16;
/// Longest name in characters; an e-mail address has at most 254.
const LONGEST: usize = 320;
/// Digits of a short code.
const SHORT_CODE: usize = 8;

/// All names, the primary first: of `identities`, or of `from` and the channel's type of address. Empty: nobody is named.
pub fn identities(message: &Message, channel: &ChannelFacts) -> Vec<Identity> {
    let mut names: Vec<Identity> = Vec::new();
    for identity in &message.identities {
        push(&mut names, typed(&identity.kind, &identity.value, channel));
    }
    if names.is_empty()
        && let Some(from) = &message.from
    {
        push(&mut names, typed(&channel.address, from, channel));
    }
    names
}

fn push(names: &mut Vec<Identity>, name: Option<Identity>) {
    if let Some(name) = name
        && names.len() < MOST
        && !names.contains(&name)
    {
        names.push(name);
    }
}

fn typed(kind: &str, value: &str, channel: &ChannelFacts) -> Option<Identity> {
    if kind == "phone"
        && let Some(number) = e164(value, &channel.country)
    {
        return Some(Identity { kind: "phone".to_owned(), value: number });
    }
    let value = clean_line(value, LONGEST)?;
    let (kind, value) = match kind {
        "phone" => (no_number(&value), value),
        "email" => match value.rsplit_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {
                ("email", format!("{local}@{}", domain.to_lowercase()))
            }
            _ => ("opaque", value),
        },
        "telegram_user_id" | "whatsapp_bsuid" | "username" | "short_code" | "alphanumeric" => (kind, value),
        _ => ("opaque", value),
    };
    Some(Identity { kind: kind.to_owned(), value })
}

/// What a sender is that should be a phone number and is none.
fn no_number(value: &str) -> &'static str {
    if value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() <= SHORT_CODE {
        "short_code"
    } else if value.chars().any(char::is_alphabetic) {
        "alphanumeric"
    } else {
        "opaque"
    }
}

/// Can the sender be answered at all? Never a short code or letters, never ourselves, and nobody who is not named.
pub fn is_replyable(message: &Message, primary: Option<&Identity>) -> bool {
    if message.reply_address.is_some() {
        return true;
    }
    let Some(primary) = primary else { return false };
    let ourselves = message.to.as_deref().is_some_and(|to| same_address(to, &primary.value));
    !ourselves && !matches!(primary.kind.as_str(), "short_code" | "alphanumeric")
}

fn same_address(one: &str, other: &str) -> bool {
    one == other || one.trim_start_matches('+') == other.trim_start_matches('+')
}
