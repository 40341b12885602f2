//! What a signature is made over: the parts of `signed`, in order, joined.
//!
//! A message is resolved once per request into pieces that borrow from it, and then fed straight into the hash for each
//! key and each spelling of the URL. Nothing is put together in memory unless a public key or `sort` needs it whole.

use std::borrow::Cow;

use ring::{digest, hmac};

use super::{
    evidence::{Evidence, hex},
    failure::Failure,
    place::Place,
    rules::ParamsRules,
};

/// One part, in the specification's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Body,
    BodySha256Hex,
    Timestamp,
    Url,
    UrlNoQuery,
    Path,
    Method,
    Place(Place),
    Literal(Vec<u8>),
    /// The secret's place in the list, of `hash`.
    Key,
    FormSortedConcat,
    ParamsSortedAmp,
}

impl Part {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "body" => Self::Body,
            "body-sha256-hex" => Self::BodySha256Hex,
            "timestamp" => Self::Timestamp,
            "url" => Self::Url,
            "url-no-query" => Self::UrlNoQuery,
            "path" => Self::Path,
            "method" => Self::Method,
            "key" => Self::Key,
            "form:sorted-concat" => Self::FormSortedConcat,
            "params:sorted-amp" => Self::ParamsSortedAmp,
            _ => match text.strip_prefix("literal:") {
                Some(literal) => Self::Literal(literal.as_bytes().to_vec()),
                None => match Place::parse(text) {
                    Ok(Place::Claim(_) | Place::SignaturePair(_)) | Err(_) => return Err(unknown(text)),
                    Ok(place) => Self::Place(place),
                },
            },
        })
    }
}

fn unknown(text: &str) -> String {
    format!(
        "`{text}` is no part; parts are body, body-sha256-hex, timestamp, url, url-no-query, path, method, key, \
         header:X, query:X, form:X, param:X, body:/json/pointer, literal:TEXT, form:sorted-concat, params:sorted-amp"
    )
}

/// The parts of a block with what stands between them.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) parts: Vec<Part>,
    pub(super) join: Vec<u8>,
    pub(super) is_sorted: bool,
    pub(super) params: ParamsRules,
}

/// A part of one request. How the URL is spelt and which key is tried is known when it is fed.
#[derive(Debug)]
pub(super) enum Piece<'e> {
    Bytes(Cow<'e, [u8]>),
    /// The configured public URL in one of its spellings, and this behind it.
    Url(&'e str),
    Key,
    Many(Vec<&'e [u8]>),
}

/// Takes bytes in, one slice after the other.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for hmac::Context {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Sink for digest::Context {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Sink for md5::Md5 {
    fn put(&mut self, bytes: &[u8]) {
        md5::Digest::update(self, bytes);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Message {
    /// Does the outcome depend on how the public URL is spelt?
    pub(super) fn has_url(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Url | Part::UrlNoQuery))
    }

    /// Looks every part up. `timestamp` is the text as received.
    pub(super) fn resolve<'e>(
        &'e self,
        evidence: &'e Evidence<'_>,
        timestamp: Option<&'e [u8]>,
    ) -> Result<Vec<Piece<'e>>, Failure> {
        let mut pieces = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            pieces.push(self.piece(part, evidence, timestamp)?);
        }
        Ok(pieces)
    }

    fn piece<'e>(
        &'e self,
        part: &'e Part,
        evidence: &'e Evidence<'_>,
        timestamp: Option<&'e [u8]>,
    ) -> Result<Piece<'e>, Failure> {
        let request = evidence.request;
        let borrowed = |bytes: &'e [u8]| Piece::Bytes(Cow::Borrowed(bytes));
        Ok(match part {
            Part::Body => borrowed(&request.body),
            Part::BodySha256Hex => Piece::Bytes(Cow::Owned(hex(evidence.body_sha256()).into_bytes())),
            Part::Timestamp => borrowed(timestamp.ok_or_else(|| Failure::absent("there is no timestamp"))?),
            Part::Url => Piece::Url(&request.target),
            Part::UrlNoQuery => Piece::Url(request.path()),
            Part::Path => borrowed(request.path().as_bytes()),
            Part::Method => borrowed(request.method.as_bytes()),
            Part::Place(place) => {
                let value = place.find(evidence)?;
                Piece::Bytes(value.ok_or_else(|| Failure::wrong(format!("{place} is signed and missing")))?)
            }
            Part::Literal(text) => borrowed(text),
            Part::Key => Piece::Key,
            Part::FormSortedConcat => Piece::Many(evidence.sorted_form()?.collect()),
            Part::ParamsSortedAmp => Piece::Bytes(Cow::Owned(self.sorted_params(evidence)?)),
        })
    }

    /// Values of one name keep their order: who reads the first one must not be told another by a reordering.
    fn sorted_params(&self, evidence: &Evidence<'_>) -> Result<Vec<u8>, Failure> {
        let query = evidence.query()?;
        let mut params: Vec<(&[u8], &[u8])> =
            query.fields().iter().map(|field| (query.name(*field), query.value(*field))).collect();
        if let Some(form) = evidence.form()? {
            params.extend(form.fields().iter().map(|field| (form.name(*field), form.value(*field))));
        }
        params.retain(|(name, _)| !self.params.exclude.iter().any(|excluded| excluded.as_bytes() == *name));
        params.sort_by_key(|(name, _)| *name);
        let size: usize = params.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut out = Vec::with_capacity(size + self.params.leading.len());
        out.extend_from_slice(self.params.leading.as_bytes());
        for (place, (name, value)) in params.into_iter().enumerate() {
            if place > 0 {
                out.push(b'&');
            }
            out.extend_from_slice(name);
            out.push(b'=');
            self.put_replaced(value, &mut out);
        }
        Ok(out)
    }

    fn put_replaced(&self, value: &[u8], out: &mut Vec<u8>) {
        let mut rest = value;
        while let Some(first) = rest.first() {
            let found = self.params.replace.iter().find(|(from, _)| rest.starts_with(from.as_bytes()));
            if let Some((from, to)) = found {
                out.extend_from_slice(to.as_bytes());
                rest = &rest[from.len().max(1)..];
            } else {
                out.push(*first);
                rest = &rest[1..];
            }
        }
    }

    /// Feeds the pieces into a hash, with one spelling of the public URL and one key.
    pub(super) fn feed(&self, pieces: &[Piece<'_>], url: &str, key: &[u8], sink: &mut impl Sink) {
        if self.is_sorted {
            return self.feed_sorted(pieces, url, key, sink);
        }
        for (place, piece) in pieces.iter().enumerate() {
            if place > 0 && !self.join.is_empty() {
                sink.put(&self.join);
            }
            piece.feed(url, key, sink);
        }
    }

    fn feed_sorted(&self, pieces: &[Piece<'_>], url: &str, key: &[u8], sink: &mut impl Sink) {
        let mut whole: Vec<Vec<u8>> = pieces
            .iter()
            .map(|piece| {
                let mut bytes = Vec::new();
                piece.feed(url, key, &mut bytes);
                bytes
            })
            .collect();
        whole.sort_unstable();
        for (place, bytes) in whole.iter().enumerate() {
            if place > 0 {
                sink.put(&self.join);
            }
            sink.put(bytes);
        }
    }
}

impl Piece<'_> {
    fn feed(&self, url: &str, key: &[u8], sink: &mut impl Sink) {
        match self {
            Self::Bytes(bytes) => sink.put(bytes),
            Self::Url(target) => {
                sink.put(url.as_bytes());
                sink.put(target.as_bytes());
            }
            Self::Key => sink.put(key),
            Self::Many(many) => many.iter().for_each(|bytes| sink.put(bytes)),
        }
    }
}
