//! One request as the blocks look at it: decoded once, and only as far as a block asks.

use std::cell::OnceCell;

use ring::digest;

use super::{
    FormReading,
    failure::Failure,
    multipart,
    pairs::{Field, MAX_FIELDS, Pairs, TooManyFields},
};
use crate::receipt::Request;

/// The body seen as a form.
#[derive(Debug)]
pub(super) enum Form {
    /// The content type says that it is none.
    Absent,
    UrlEncoded(Pairs),
    /// Text fields only; files are not in it, so nothing that covers the fields covers the body.
    Multipart(Pairs),
    Unreadable,
}

/// A request with what was decoded of it so far.
#[derive(Debug)]
pub(super) struct Evidence<'r> {
    pub(super) request: &'r Request,
    reading: FormReading,
    query: OnceCell<Result<Pairs, TooManyFields>>,
    form: OnceCell<Form>,
    sorted_form: OnceCell<Vec<Field>>,
    body_sha256: OnceCell<[u8; 32]>,
}

impl<'r> Evidence<'r> {
    pub(super) fn new(request: &'r Request, reading: FormReading) -> Self {
        Self {
            request,
            reading,
            query: OnceCell::new(),
            form: OnceCell::new(),
            sorted_form: OnceCell::new(),
            body_sha256: OnceCell::new(),
        }
    }

    pub(super) fn query(&self) -> Result<&Pairs, Failure> {
        let query = self.query.get_or_init(|| Pairs::url_encoded(self.request.query().as_bytes()));
        query.as_ref().map_err(|TooManyFields| Failure::wrong(format!("the query has more than {MAX_FIELDS} fields")))
    }

    fn read_form(&self) -> &Form {
        self.form.get_or_init(|| {
            let mut types = self.request.header_values("content-type");
            let content_type = match (types.next(), types.next()) {
                (Some(content_type), None) => content_type,
                _ => b"",
            };
            let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            if media_type.eq_ignore_ascii_case(b"multipart/form-data") {
                return multipart::fields(content_type, &self.request.body).map_or(Form::Unreadable, Form::Multipart);
            }
            let is_form = media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
            if self.request.body.is_empty() || !is_form && self.reading == FormReading::ByContentType {
                return Form::Absent;
            }
            Pairs::url_encoded(&self.request.body).map_or(Form::Unreadable, Form::UrlEncoded)
        })
    }

    /// The fields of the form, if the body is one.
    pub(super) fn form(&self) -> Result<Option<&Pairs>, Failure> {
        match self.read_form() {
            Form::Absent => Ok(None),
            Form::UrlEncoded(pairs) | Form::Multipart(pairs) => Ok(Some(pairs)),
            Form::Unreadable => Err(Failure::wrong("the form cannot be read within its limits")),
        }
    }

    /// Is every byte of the body a field of a form, so that what covers the fields covers the body?
    pub(super) fn is_url_encoded(&self) -> bool {
        matches!(self.read_form(), Form::UrlEncoded(_))
    }

    /// Name and value of each field without separator, by name, then value, equal ones once.
    pub(super) fn sorted_form(&self) -> Result<impl Iterator<Item = &[u8]>, Failure> {
        let form = self.form()?;
        let sorted = self.sorted_form.get_or_init(|| {
            let Some(form) = form else { return Vec::new() };
            let mut fields = form.fields().to_vec();
            fields.sort_unstable_by(|left, right| {
                (form.name(*left), form.value(*left)).cmp(&(form.name(*right), form.value(*right)))
            });
            fields.dedup_by(|left, right| {
                form.name(*left) == form.name(*right) && form.value(*left) == form.value(*right)
            });
            fields
        });
        Ok(sorted.iter().filter_map(move |field| form.map(|form| form.both(*field))))
    }

    /// Of the raw body.
    pub(super) fn body_sha256(&self) -> &[u8; 32] {
        self.body_sha256.get_or_init(|| sha256(&[&self.request.body]))
    }
}

/// SHA-256 of the pieces, one behind the other.
pub(super) fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for piece in pieces {
        context.update(piece);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}
