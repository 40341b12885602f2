//! Ids of the complaint format: each is derived, so that a replay of the same receipt gives the same id.

use std::{fmt, fmt::Write as _, str::FromStr};

use ring::{digest, hmac};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::receipt::ChannelId;

/// Crockford's base32 symbols: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The number told to the citizen: 8 random Crockford base32 symbols and a Luhn mod 32 check symbol, `XXX-XXX-XXX`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrackingId(String);

/// The text is no tracking id: wrong length, alphabet or check symbol.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a tracking id: nine letters and digits, the last a check symbol, like E3S-3E2-8JE")]
pub struct BadTrackingId;

impl TrackingId {
    /// From 40 random bits: the first five bytes of `random`.
    pub fn from_random(random: [u8; 5]) -> Self {
        let bits = random.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let mut symbols: Vec<u8> = (0..8).rev().map(|place| ((bits >> (5 * place)) & 31) as u8).collect();
        symbols.push(check_symbol(&symbols));
        let text: String = symbols.iter().map(|symbol| char::from(ALPHABET[usize::from(*symbol)])).collect();
        Self(format!("{}-{}-{}", &text[..3], &text[3..6], &text[6..]))
    }

    /// `XXX-XXX-XXX`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Luhn mod 32: from the right every second symbol, beginning with the last, is doubled and its two digits added.
fn check_symbol(symbols: &[u8]) -> u8 {
    let sum: u32 = symbols
        .iter()
        .rev()
        .enumerate()
        .map(|(place, symbol)| {
            let addend = u32::from(*symbol) * if place % 2 == 0 { 2 } else { 1 };
            addend / 32 + addend % 32
        })
        .sum();
    ((32 - sum % 32) % 32) as u8
}

impl FromStr for TrackingId {
    type Err = BadTrackingId;

    /// Accepts what people type: lower case, spaces, hyphens, `#`, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut symbols = Vec::with_capacity(9);
        for letter in text.chars().filter(|letter| !matches!(letter, ' ' | '-' | '#' | '\u{a0}')) {
            let letter = match letter.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let value = ALPHABET.iter().position(|symbol| char::from(*symbol) == letter).ok_or(BadTrackingId)?;
            symbols.push(value as u8);
        }
        let Some((check, head)) = symbols.split_last().filter(|_| symbols.len() == 9) else {
            return Err(BadTrackingId);
        };
        if check_symbol(head) != *check {
            return Err(BadTrackingId);
        }
        let text: String = symbols.iter().map(|symbol| char::from(ALPHABET[usize::from(*symbol)])).collect();
        Ok(Self(format!("{}-{}-{}", &text[..3], &text[3..6], &text[6..])))
    }
}

impl TryFrom<String> for TrackingId {
    type Error = BadTrackingId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TrackingId> for String {
    fn from(id: TrackingId) -> Self {
        id.0
    }
}

impl fmt::Display for TrackingId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A `UUIDv7` that a replay makes again: the time is `unix_ms`, the rest comes from SHA-256 of `draw` and `purpose`.
pub fn derived_uuid7(unix_ms: u64, draw: &[u8; 16], purpose: &str) -> Uuid {
    let hash = derived_bytes(draw, purpose);
    let mut random = [0; 10];
    random.copy_from_slice(&hash[..10]);
    uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()
}

/// SHA-256 of `draw` and `purpose`: random to whoever does not know the draw, the same for each replay.
pub fn derived_bytes(draw: &[u8; 16], purpose: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(draw);
    context.update(purpose.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Event id of `complaint-format.md` §1: SHA-256 of channel id, event kind and claims, joined by line feeds; lower-case hex.
pub fn event_id<'a>(channel: &ChannelId, kind: &str, claims: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = format!("{channel}\n{kind}");
    for claim in claims {
        text.push('\n');
        text.push_str(claim);
    }
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// `rp_` and 20 base32 symbols (RFC 4648, lower case) of HMAC-SHA-256(key, channel id and primary identity).
pub fn reporter_ref(key: &hmac::Key, channel: &ChannelId, identity: &str) -> String {
    let tag = hmac::sign(key, format!("{channel}\n{identity}").as_bytes());
    format!("rp_{}", &base32(&tag.as_ref()[..15])[..20])
}

/// The symbols of RFC 4648, section 6, in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Base32 (RFC 4648, section 6) in lower case, without padding.
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for five in bytes.chunks(5) {
        let mut bits = [0; 8];
        bits[3..3 + five.len()].copy_from_slice(five);
        let bits = u64::from_be_bytes(bits);
        let symbols = (five.len() * 8).div_ceil(5);
        text.extend((0..symbols).map(|place| char::from(BASE32[((bits >> (35 - 5 * place)) & 31) as usize])));
    }
    text
}

/// What [`base32`] wrote; None for anything that it does not write.
pub fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    for symbols in text.as_bytes().chunks(8) {
        let mut bits = 0_u64;
        for symbol in symbols {
            bits = bits << 5 | BASE32.iter().position(|other| other == symbol)? as u64;
        }
        bits <<= 5 * (8 - symbols.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[3..3 + symbols.len() * 5 / 8]);
    }
    (base32(&bytes) == text).then_some(bytes)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn base32_agrees_with_the_vectors_of_its_rfc() {
        // RFC 4648, section 10, in lower case and without padding.
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
            assert_eq!(from_base32(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(from_base32("mz"), None, "bits that mean nothing are zero");
        assert_eq!(from_base32("a1"), None);
    }

    use super::*;

    #[test]
    fn the_tracking_ids_of_the_examples_pass_and_their_neighbours_do_not() {
        for good in ["E3S-3E2-8JE", "S34-6Q3-D23", "e3s 3e2 8je", "#s346q3d23", "S34-6Q3-D23"] {
            assert!(good.parse::<TrackingId>().is_ok(), "{good}");
        }
        for bad in ["E3S-3E2-8JF", "3ES-3E2-8JE", "E3S-3E2-8J", "E3S-3E2-8JEE", "U3S-3E2-8JE", ""] {
            assert_eq!(bad.parse::<TrackingId>(), Err(BadTrackingId), "{bad}");
        }
    }

    #[test]
    fn a_drawn_tracking_id_passes_its_own_check() {
        for seed in 0..=255 {
            let id = TrackingId::from_random([seed, 7, seed ^ 0x5a, 0, seed.wrapping_mul(31)]);
            assert_eq!(id.as_str().parse::<TrackingId>().as_ref(), Ok(&id));
        }
    }

    #[test]
    fn the_event_ids_of_the_examples_can_be_computed_again() {
        let channel = ChannelId::new("wa-main").expect("a slug");
        let claims = ["wamid.EXAMPLE1", "wamid.EXAMPLE2", "wamid.EXAMPLE3"];
        assert_eq!(
            event_id(&channel, "complaint.received", claims),
            "d5da1d0bc8ff09488072cea9d7b661985515f62088d88a4ba43b3ba976ce5362"
        );
        let followup = event_id(&channel, "complaint.followup", ["wamid.EXAMPLE9"]);
        assert_eq!(followup, "4eced62822a689a459f540c540204de91f831a3555e130f70e7bb4af8cc20c5d");
        let sms = ChannelId::new("sms-1708").expect("a slug");
        let text = "Ada pungutan liar saat urus KTP di kelurahan, diminta 50 ribu.";
        let content = hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let claim = format!("99812345~{}", &content[..16]);
        assert_eq!(
            event_id(&sms, "complaint.received", [claim.as_str()]),
            "307293881bf26ddee3562c6f9060202d99a3095f4bf39eaf9b17142bfd940fc0"
        );
    }

    #[test]
    fn a_reporter_has_one_ref_on_one_channel() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"k");
        let (one, two) = (ChannelId::new("a").expect("a slug"), ChannelId::new("b").expect("a slug"));
        let reference = reporter_ref(&key, &one, "+6281100000001");
        assert_eq!(reference.len(), 23);
        assert_eq!(reference, reporter_ref(&key, &one, "+6281100000001"));
        assert_ne!(reference, reporter_ref(&key, &two, "+6281100000001"));
    }
}
