//! Forms and queries (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

use bytes::Bytes;
use jaq_json::{Map, Rc, Val};

use super::text::{Charset, Plus, percent_decoded, utf8};

/// Fields of a form, a query, or a multipart body.
pub(super) const FIELDS: usize = 1000;

/// Names and values as bytes, percent-encoding undone, in order.
pub(super) type Pairs = Vec<(Bytes, Bytes)>;

/// Splits a form. None: it has more fields than any form.
pub(super) fn split(encoded: &Bytes) -> Option<Pairs> {
    let mut pairs = Vec::new();
    for field in encoded.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        if pairs.len() == FIELDS {
            return None;
        }
        let end = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        let name = field.get(..end).unwrap_or_default();
        let value = field.get(end + 1..).unwrap_or_default();
        pairs.push((plain(encoded, name), plain(encoded, value)));
    }
    Some(pairs)
}

/// A part that is not encoded shares the bytes of the whole.
fn plain(whole: &Bytes, part: &[u8]) -> Bytes {
    if part.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        Bytes::from(percent_decoded(part, Plus::Space))
    } else {
        whole.slice_ref(part)
    }
}

/// The first value of a name, for charsets that a parameter gives.
pub(super) fn first<'p>(pairs: &'p Pairs, name: &str) -> Option<Cow<'p, str>> {
    pairs.iter().find(|(found, _)| found == name.as_bytes()).map(|(_, value)| String::from_utf8_lossy(value))
}

/// Fields as filters see them.
#[derive(Clone, Default)]
pub(super) struct Fields {
    /// The first value of each name.
    pub first: Rc<Map>,
    /// Every value of each name, as lists.
    pub all: Rc<Map>,
    pub lossy: bool,
}

impl Fields {
    pub(super) fn of(pairs: Pairs, charset: Charset) -> Self {
        let mut fields = Self::default();
        let first = Rc::get_mut(&mut fields.first).expect("nobody else holds the new map");
        let all = Rc::get_mut(&mut fields.all).expect("nobody else holds the new map");
        first.reserve(pairs.len());
        all.reserve(pairs.len());
        for (name, value) in pairs {
            let name = Val::utf8_str(utf8(name).0);
            let (value, lossy) = charset.decode_value(value);
            fields.lossy |= lossy;
            let value = Val::utf8_str(value);
            if let Some(Val::Arr(list)) = all.get_mut(&name) {
                Rc::make_mut(list).push(value);
            } else {
                all.insert(name.clone(), Val::Arr(Rc::new(vec![value.clone()])));
                first.insert(name, value);
            }
        }
        fields
    }
}

/// The first value per name, of the query and then of the form.
pub(super) fn params(query: &Fields, form: &Fields) -> Rc<Map> {
    if form.first.is_empty() {
        return Rc::clone(&query.first);
    }
    if query.first.is_empty() {
        return Rc::clone(&form.first);
    }
    let mut params = Map::clone(&query.first);
    for (name, value) in form.first.iter() {
        if !params.contains_key(name) {
            params.insert(name.clone(), value.clone());
        }
    }
    Rc::new(params)
}
