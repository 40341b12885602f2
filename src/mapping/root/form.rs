//! Forms and queries (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

use bytes::Bytes;
use jaq_json::{Map, Rc, Val};

use super::text::{Charset, Plus, percent_decode_into, utf8};

/// Fields of a form, a query, or a multipart body.
pub(super) const FIELDS: usize = 1000;

/// Names and values as bytes, percent-encoding undone, in order.
pub(super) type Pairs = Vec<(Bytes, Bytes)>;

/// Splits a form. None: it has more fields than any form. All fields share one buffer.
pub(super) fn split(encoded: &[u8]) -> Option<Pairs> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut ends = Vec::new();
    for field in encoded.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        if ends.len() == FIELDS {
            return None;
        }
        let end = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        percent_decode_into(field.get(..end).unwrap_or_default(), Plus::Space, &mut decoded);
        let middle = decoded.len();
        percent_decode_into(field.get(end + 1..).unwrap_or_default(), Plus::Space, &mut decoded);
        ends.push((middle, decoded.len()));
    }
    let mut rest = Bytes::from(decoded);
    let mut start = 0;
    let pair = |(middle, end): (usize, usize)| {
        let name = rest.split_to(middle - start);
        let value = rest.split_to(end - middle);
        start = end;
        (name, value)
    };
    Some(ends.into_iter().map(pair).collect())
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
            // The first value goes into both maps; one look-up tells whether it is the first.
            let mut is_first = false;
            let values = all.entry(name.clone()).or_insert_with(|| {
                is_first = true;
                Val::Arr(Rc::new(vec![value.clone()]))
            });
            if is_first {
                first.insert(name, value);
            } else if let Val::Arr(list) = values {
                Rc::make_mut(list).push(value);
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
