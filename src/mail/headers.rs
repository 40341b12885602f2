//! The header fields of a letter or a part (RFC 5322, section 2.2), as they stand, within the limits.

use memchr::memchr;

use super::{
    charset::Loss,
    limits::{FIELD, FIELDS, HEAD},
    words,
};

/// Fields that a header line without the colon's neighbours is taken for, where a broken line stands among headers.
const KNOWN: [&str; 14] = [
    "bcc",
    "cc",
    "date",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "received",
    "references",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
];

/// Bytes in which a field's name and its colon stand.
const NAME: usize = 200;

/// Fields in their order.
#[derive(Default)]
pub(super) struct Headers<'x> {
    fields: Vec<(&'x str, &'x [u8])>,
    /// Something passed a limit and was left out.
    pub(super) is_cut: bool,
}

impl<'x> Headers<'x> {
    pub(super) fn of(head: &'x [u8]) -> Self {
        let mut headers = Self { fields: Vec::new(), is_cut: head.len() > HEAD };
        let mut rest = head.get(..HEAD).unwrap_or(head);
        while !rest.is_empty() {
            let (field, after) = rest.split_at(field_length(rest));
            rest = after;
            let Some((name, value)) = split(field) else { continue };
            if headers.fields.len() == FIELDS {
                headers.is_cut = true;
                break;
            }
            headers.is_cut |= value.len() > FIELD;
            headers.fields.push((name, value.get(..FIELD).unwrap_or(value)));
        }
        headers
    }

    /// All fields, with values that still hold their folding.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'x str, &'x [u8])> + '_ {
        self.fields.iter().copied()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'x [u8]> {
        self.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first of this name that says anything.
    pub(super) fn first(&self, name: &str) -> Option<&'x [u8]> {
        self.all(name).find(|value| !value.trim_ascii().is_empty())
    }

    /// The same, decoded; absent when empty.
    pub(super) fn text(&self, name: &str, loss: &mut Loss) -> Option<String> {
        let text = words::text(self.first(name)?, loss);
        let said = text.trim();
        match said.len() {
            0 => None,
            length if length == text.len() => Some(text),
            _ => Some(said.to_owned()),
        }
    }
}

/// Bytes of the first field with the lines that continue it.
fn field_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    loop {
        let rest = bytes.get(length..).unwrap_or_default();
        length += line_length(rest);
        if !matches!(bytes.get(length), Some(b' ' | b'\t')) {
            return length;
        }
    }
}

/// Bytes of the first line with its end.
pub(super) fn line_length(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1)
}

fn split(field: &[u8]) -> Option<(&str, &[u8])> {
    let (name, value) = split_bytes(field)?;
    Some((std::str::from_utf8(name).ok()?, value))
}

fn split_bytes(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', field.get(..NAME).unwrap_or(field))?;
    let name = field.get(..colon)?.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then_some((name, field.get(colon + 1..)?.trim_ascii()))
}

/// A line that could be a field.
pub(super) fn is_field(line: &[u8]) -> bool {
    split_bytes(line).is_some()
}

/// A line that is a field without doubt: text seldom begins so.
pub(super) fn is_known_field(line: &[u8]) -> bool {
    split(line).is_some_and(|(name, _)| {
        let starts = |own: &str| name.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(own));
        KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
            || ["x-", "content-", "list-", "arc-", "dkim-"].into_iter().any(starts)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_their_case_and_folding() {
        let head =
            b"From: a@example.org\r\nSUBJECT :\r\nsubject: satu\r\n dua\r\n\ttiga\r\nrusak\r\nTo:b@example.org\n";
        let headers = Headers::of(head);
        let mut loss = Loss::default();
        assert_eq!(headers.text("Subject", &mut loss).as_deref(), Some("satu dua tiga"));
        assert_eq!(headers.first("to"), Some(&b"b@example.org"[..]));
        assert_eq!(headers.first("cc"), None);
        assert_eq!(headers.iter().count(), 4);
        assert!(!headers.is_cut && !loss.happened());
    }

    #[test]
    fn eight_megabytes_of_headers_are_cut() {
        let one = [b"X: ".as_slice(), &vec![b'a'; 8 << 20]].concat();
        let many = b"X-Satu: dua\r\n".repeat(600_000);
        let folded = [b"X: a\r\n".as_slice(), &b" a\r\n".repeat(2_000_000)].concat();
        for head in [one, many, folded] {
            let headers = Headers::of(&head);
            assert!(headers.is_cut);
            assert!(headers.iter().count() <= FIELDS && headers.iter().all(|(_, value)| value.len() <= FIELD));
        }
    }
}
