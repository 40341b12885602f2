//! Multipart bodies (RFC 7578): fields become a form, files stay in the journal and are named by their place.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use jaq_json::{Map, Num, Val};
use multer::Multipart;
use ring::digest::{SHA256, digest};

use super::{
    form::Pairs,
    text::{self, Charset},
};

/// Parts of a body.
const PARTS: usize = 100;

/// A body taken apart.
pub(super) struct Parts {
    pub fields: Pairs,
    /// `{field, filename, media_type, size_bytes, sha256, ref}`
    pub files: Vec<Val>,
    pub lossy: bool,
    /// The same, byte for byte.
    pub raw_fields: Pairs,
    pub raw_files: Vec<(String, Bytes)>,
}

/// Parses the whole body; it is in memory, so nothing is ever waited for.
/// A field without a charset of its own is read in `charset`; all fields are UTF-8 afterwards.
pub(super) fn parse(content_type: &str, body: Bytes, charset: Charset) -> Result<Parts, &'static str> {
    let boundary = multer::parse_boundary(content_type).map_err(|_| "it names no boundary")?;
    let mut multipart = Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let mut parts =
        Parts { fields: Vec::new(), files: Vec::new(), lossy: false, raw_fields: Vec::new(), raw_files: Vec::new() };
    for place in 0.. {
        let next = multipart.next_field().now_or_never().ok_or("it ends too early")?;
        let Some(field) = next.map_err(|_| "it is not well formed")? else { break };
        if place == PARTS {
            return Err("it has more than 100 parts");
        }
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().map(str::to_owned);
        let media_type = field.content_type().map(|media_type| media_type.essence_str().to_ascii_lowercase());
        let declared =
            field.content_type().and_then(|media_type| text::charset(media_type.get_param("charset")?.as_str()));
        let bytes = field.bytes().now_or_never().ok_or("it ends too early")?;
        let bytes = bytes.map_err(|_| "it is not well formed")?;
        if let Some(filename) = filename {
            parts.files.push(file(place, name, filename, media_type, &bytes));
            parts.raw_files.push((reference(place), bytes));
        } else {
            parts.raw_fields.push((Bytes::from(name.clone()), bytes.clone()));
            let (value, lossy) = match declared {
                Some(declared) => declared.decode(bytes),
                None => charset.decode_value(bytes),
            };
            parts.lossy |= lossy;
            parts.fields.push((Bytes::from(name), value));
        }
    }
    Ok(parts)
}

fn reference(place: usize) -> String {
    format!("raw:{place}")
}

/// `ref` names the bytes in the journal: the place among all parts.
fn file(place: usize, field: String, filename: String, media_type: Option<String>, bytes: &[u8]) -> Val {
    let sha256 = text::to_hex(digest(&SHA256, bytes).as_ref());
    let entries = [
        ("field", Val::utf8_str(field)),
        ("filename", Val::utf8_str(filename)),
        ("media_type", media_type.map_or(Val::Null, Val::utf8_str)),
        ("size_bytes", Val::Num(Num::from_integral(bytes.len()))),
        ("sha256", Val::utf8_str(sha256)),
        ("ref", Val::utf8_str(reference(place))),
    ];
    Val::obj(entries.into_iter().map(|(name, value)| (Val::utf8_str(name), value)).collect::<Map>())
}
