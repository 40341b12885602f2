//! Places written: for samples that are signed by the harness, and for the changes that must be refused.
//!
//! Nothing here runs on a provider's request.

use bytes::Bytes;
use serde_json::Value;

use super::{
    evidence::Evidence,
    pairs::{decode, encode},
    place::Place,
    pointer::Pointer,
};
use crate::receipt::Request;

/// Where the value of a place is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Query,
    Form,
}

impl Place {
    /// Puts a value there, in place of one that stands there already.
    pub(super) fn write(&self, request: &mut Request, value: &str) -> Result<(), String> {
        match self {
            Self::Header(name) => {
                let found = request.headers.iter_mut().find(|(header, _)| header == name);
                match found {
                    Some((_, old)) => *old = value.as_bytes().to_vec(),
                    None => request.headers.push((name.clone(), value.as_bytes().to_vec())),
                }
                Ok(())
            }
            Self::Query(_) | Self::Form(_) | Self::Param(_) => self.edit(request, Some(value)),
            Self::Body(pointer) => edit_json(request, pointer, Some(value)),
            Self::Claim(_) | Self::SignaturePair(_) => Err(format!("{self} is no place of a request")),
        }
    }

    /// Takes away what stands there.
    pub(super) fn remove(&self, request: &mut Request) -> Result<(), String> {
        match self {
            Self::Header(name) => {
                request.headers.retain(|(header, _)| header != name);
                Ok(())
            }
            Self::Query(_) | Self::Form(_) | Self::Param(_) => self.edit(request, None),
            Self::Body(pointer) => edit_json(request, pointer, None),
            Self::Claim(_) | Self::SignaturePair(_) => Err(format!("{self} is no place of a request")),
        }
    }

    /// Lets what stands there occur twice.
    pub(super) fn duplicate(&self, request: &mut Request, evidence: &Evidence<'_>) -> Option<()> {
        let value = self.find(evidence).ok()??;
        match self {
            Self::Header(name) => request.headers.push((name.clone(), value.into_owned())),
            Self::Form(name) | Self::Param(name) if multer_boundary(request).is_some() => {
                let boundary = multer_boundary(request)?;
                let end = format!("--{boundary}--").into_bytes();
                let at = request.body.windows(end.len()).rposition(|bytes| bytes == end)?;
                let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
                let part = [head.as_bytes(), &value, b"\r\n"].concat();
                request.body = [&request.body[..at], &part, &request.body[at..]].concat().into();
            }
            Self::Query(name) | Self::Form(name) | Self::Param(name) => {
                let pair = format!("{}={}", encode(name.as_bytes()), encode(&value));
                match self.side(request) {
                    Side::Query => request.target = append(&request.target, request.query(), &pair),
                    Side::Form => request.body = [&request.body, &b"&"[..], pair.as_bytes()].concat().into(),
                }
            }
            Self::Body(pointer) => {
                let [name] = pointer.segments() else { return None };
                let at = request.body.iter().position(|byte| *byte == b'{')? + 1;
                let text = Value::String(String::from_utf8(value.into_owned()).ok()?);
                let pair = format!("{}:{text},", Value::String(name.clone()));
                request.body = [&request.body[..at], pair.as_bytes(), &request.body[at..]].concat().into();
            }
            Self::Claim(_) | Self::SignaturePair(_) => return None,
        }
        Some(())
    }

    /// The name stays in the form when it stands there; otherwise parameters of a request without a form go to the query.
    fn side(&self, request: &Request) -> Side {
        match self {
            Self::Form(_) => Side::Form,
            Self::Param(name) => {
                let has = |raw: &[u8]| raw.split(|byte| *byte == b'&').any(|pair| is_named(pair, name));
                let in_query = has(request.query().as_bytes());
                let is_form = request.header("content-type").is_some_and(is_url_encoded);
                if !in_query && is_form && !request.body.is_empty() { Side::Form } else { Side::Query }
            }
            _ => Side::Query,
        }
    }

    fn edit(&self, request: &mut Request, value: Option<&str>) -> Result<(), String> {
        let (Self::Query(name) | Self::Form(name) | Self::Param(name)) = self else { return Ok(()) };
        if self.side(request) == Side::Query {
            let query = edited(request.query().as_bytes(), name, value);
            let path = request.path();
            request.target = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", text(&query)) };
            return Ok(());
        }
        match request.header("content-type") {
            None if request.body.is_empty() => {
                let form = b"application/x-www-form-urlencoded".to_vec();
                request.headers.push(("content-type".to_owned(), form));
            }
            Some(content_type) if is_url_encoded(content_type) => {}
            _ => return Err(format!("the body of the sample is no urlencoded form, so that {self} cannot be written")),
        }
        request.body = Bytes::from(edited(&request.body, name, value));
        Ok(())
    }
}

/// Of a multipart body.
fn multer_boundary(request: &Request) -> Option<String> {
    multer::parse_boundary(request.header("content-type")?).ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_url_encoded(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_named(pair: &[u8], name: &str) -> bool {
    let raw = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let mut decoded = Vec::new();
    decode(raw, &mut decoded);
    decoded == name.as_bytes()
}

/// `a=1&b=2` with one name set, or taken away; everything else stays byte for byte.
fn edited(raw: &[u8], name: &str, value: Option<&str>) -> Vec<u8> {
    let mut value = value.map(|value| format!("{}={}", encode(name.as_bytes()), encode(value.as_bytes())).into_bytes());
    let mut pairs: Vec<Vec<u8>> = Vec::new();
    for pair in raw.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if is_named(pair, name) {
            pairs.extend(value.take());
        } else {
            pairs.push(pair.to_vec());
        }
    }
    pairs.extend(value);
    pairs.join(&b'&')
}

pub(super) fn append(target: &str, query: &str, pair: &str) -> String {
    match (target.contains('?'), query.is_empty()) {
        (false, _) => format!("{target}?{pair}"),
        (true, true) => format!("{target}{pair}"),
        (true, false) => format!("{target}&{pair}"),
    }
}

fn edit_json(request: &mut Request, pointer: &Pointer, value: Option<&str>) -> Result<(), String> {
    let missing = || format!("the body of the sample has no object at body:{pointer}");
    let mut json: Value = serde_json::from_slice(&request.body).map_err(|_| missing())?;
    let (name, parents) = pointer.segments().split_last().ok_or_else(missing)?;
    let mut parent = &mut json;
    for segment in parents {
        parent = match parent {
            Value::Array(list) => segment.parse().ok().and_then(|place: usize| list.get_mut(place)),
            other => other.get_mut(segment),
        }
        .ok_or_else(missing)?;
    }
    let object = parent.as_object_mut().ok_or_else(missing)?;
    match value {
        Some(value) => {
            object.insert(name.clone(), Value::String(value.to_owned()));
        }
        None => {
            object.shift_remove(name);
        }
    }
    request.body = Bytes::from(json.to_string());
    Ok(())
}
