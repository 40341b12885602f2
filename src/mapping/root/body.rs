//! The body of a request: what it is, and how its bytes become text.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use super::text::{Charset, charset, from_hex};
use crate::mapping::rules::{BodyKind, ReceiveRules};

/// Bytes of a body after decompression.
const DECOMPRESSED: u64 = 32 << 20;

/// A step of `[receive] decode`.
#[derive(Clone, Copy, Debug)]
pub(in crate::mapping) enum Step {
    Gzip,
    Base64,
    Hex,
    Charset(Charset),
}

impl Step {
    /// None: nobody knows it.
    pub(in crate::mapping) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gzip" => Self::Gzip,
            "base64" => Self::Base64,
            "hex" => Self::Hex,
            label => Self::Charset(charset(label)?),
        })
    }
}

/// A body after the steps.
pub(super) struct Decoded {
    pub bytes: Bytes,
    /// A step gave the charset: the bytes are UTF-8 by now.
    pub is_utf8: bool,
    pub lossy: bool,
}

/// Runs the steps of `[receive] decode`.
pub(super) fn decoded(body: Bytes, rules: &ReceiveRules) -> Result<Decoded, String> {
    let mut decoded = Decoded { bytes: body, is_utf8: false, lossy: false };
    for name in &rules.decode {
        match Step::named(name).ok_or_else(|| format!("`{name}` is no step of receive.decode"))? {
            Step::Gzip => decoded.bytes = gunzipped(&decoded.bytes)?,
            Step::Base64 => {
                let packed: Vec<u8> =
                    decoded.bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
                decoded.bytes = STANDARD.decode(packed).map_err(|_| "the body is not base64".to_owned())?.into();
            }
            Step::Hex => {
                let digits = decoded.bytes.trim_ascii();
                decoded.bytes = from_hex(digits).ok_or_else(|| "the body is not hexadecimal".to_owned())?.into();
            }
            Step::Charset(charset) => {
                let (text, lossy) = charset.decode(decoded.bytes);
                decoded = Decoded { bytes: text, is_utf8: true, lossy };
            }
        }
    }
    Ok(decoded)
}

fn gunzipped(bytes: &[u8]) -> Result<Bytes, String> {
    let mut plain = Vec::new();
    // One byte more than allowed shows that there is more.
    let read = MultiGzDecoder::new(bytes).take(DECOMPRESSED + 1).read_to_end(&mut plain);
    match read {
        Ok(length) if length as u64 > DECOMPRESSED => {
            Err("the body is larger than 32 MiB when it is decompressed".to_owned())
        }
        Ok(_) => Ok(plain.into()),
        Err(_) => Err("the body is not gzip".to_owned()),
    }
}

/// How to read the body. An empty one is none.
pub(super) fn kind(rules: &ReceiveRules, media_type: &str, is_empty: bool) -> BodyKind {
    if is_empty {
        return BodyKind::None;
    }
    if rules.body != BodyKind::Auto {
        return rules.body;
    }
    match media_type {
        "application/x-www-form-urlencoded" => BodyKind::Form,
        "multipart/form-data" => BodyKind::Multipart,
        "application/json" | "text/json" => BodyKind::Json,
        "application/xml" | "text/xml" => BodyKind::Xml,
        other if other.ends_with("+json") => BodyKind::Json,
        other if other.ends_with("+xml") => BodyKind::Xml,
        _ => BodyKind::Text,
    }
}

/// Media type in lower case, without parameters, and the `charset` parameter.
pub(super) fn content_type(header: &str) -> (String, Option<Charset>) {
    let mut parts = header.split(';');
    let media_type = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let label = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    (media_type, label.and_then(charset))
}

/// The charset that an XML declaration names; UTF-16 is told by its first bytes.
pub(super) fn xml_charset(bytes: &[u8]) -> Option<Charset> {
    match bytes {
        [0xFE, 0xFF, ..] | [0, b'<', ..] => return charset("utf-16be"),
        [0xFF, 0xFE, ..] | [b'<', 0, ..] => return charset("utf-16le"),
        _ => {}
    }
    let head = bytes.get(..bytes.len().min(200)).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let declaration = head.trim_start_matches('\u{FEFF}').strip_prefix("<?xml")?.split_once("?>")?.0;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    charset(value.get(1..)?.split_once(quote)?.0)
}
