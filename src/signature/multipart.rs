//! The text fields of a `multipart/form-data` body (RFC 7578), for places like `form:signature`.
//!
//! Only what verification needs: names and values of parts without a file name. Nothing is decoded. Files are skipped.

use super::pairs::Pairs;

/// More parts than this are refused (`channel-manifest.md` §11).
const MAX_PARTS: usize = 100;

/// The body does not keep to RFC 7578, or passes a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadMultipart;

/// Reads every text field. `content_type` is the whole header.
pub(super) fn fields(content_type: &[u8], body: &[u8]) -> Result<Pairs, BadMultipart> {
    let boundary = parameter(content_type, b"boundary").ok_or(BadMultipart)?;
    if boundary.is_empty() || boundary.len() > 70 {
        return Err(BadMultipart);
    }
    let delimiter = [b"\r\n--", boundary].concat();
    // The first delimiter may stand at the very start, without the line end in front.
    let mut rest = match body.strip_prefix(&delimiter[2..]) {
        Some(rest) => rest,
        None => split_at(body, &delimiter).ok_or(BadMultipart)?.1,
    };
    let mut pairs = Pairs::default();
    for _ in 0..=MAX_PARTS {
        if rest.starts_with(b"--") {
            return Ok(pairs);
        }
        let part = rest.strip_prefix(b"\r\n").ok_or(BadMultipart)?;
        let (part, behind) = split_at(part, &delimiter).ok_or(BadMultipart)?;
        rest = behind;
        let (headers, value) = split_at(part, b"\r\n\r\n").ok_or(BadMultipart)?;
        if let Some(name) = text_name(headers) {
            pairs.push(name, value).map_err(|_| BadMultipart)?;
        }
    }
    Err(BadMultipart)
}

/// Name of a part that is no file.
fn text_name(headers: &[u8]) -> Option<&[u8]> {
    let disposition = headers.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = split_at(line, b":")?;
        name.trim_ascii().eq_ignore_ascii_case(b"content-disposition").then_some(value)
    })?;
    if parameter(disposition, b"filename").is_some() || parameter(disposition, b"filename*").is_some() {
        return None;
    }
    parameter(disposition, b"name")
}

/// A parameter of a header: `; name=value` or `; name="value"`.
fn parameter<'a>(header: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut rest = header;
    while let Some((_, behind)) = split_at(rest, b";") {
        let behind = behind.trim_ascii_start();
        let (name, value) = split_at(behind, b"=")?;
        let (value, next) = if let Some(quoted) = value.strip_prefix(b"\"") {
            split_at(quoted, b"\"")?
        } else {
            let end = value.iter().position(|byte| matches!(byte, b';' | b'\r' | b'\n')).unwrap_or(value.len());
            (value[..end].trim_ascii(), &value[end..])
        };
        if name.trim_ascii().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// What stands before and behind the first occurrence.
fn split_at<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| *byte == first) {
        let start = from + at;
        if text[start..].starts_with(needle) {
            return Some((&text[..start], &text[start + needle.len()..]));
        }
        from = start + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] = b"--xx\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nt1\r\n--xx\r\n\
        Content-Disposition: form-data; name=\"photo\"; filename=\"a;b.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\r\n\
        --xx\r\ncontent-disposition: form-data; name=text\r\n\r\n\r\n--xx--\r\n";

    #[test]
    fn text_fields_are_read_and_files_are_skipped() {
        let pairs = fields(b"multipart/form-data; charset=utf-8; boundary=\"xx\"", BODY).expect("a form");
        assert_eq!(pairs.values(b"token").collect::<Vec<_>>(), [b"t1"]);
        assert_eq!(pairs.values(b"text").collect::<Vec<_>>(), [b""]);
        assert_eq!(pairs.values(b"photo").count(), 0);
    }

    #[test]
    fn a_body_without_its_end_or_with_too_many_parts_is_refused() {
        assert!(fields(b"multipart/form-data; boundary=xx", &BODY[..BODY.len() - 6]).is_err());
        assert!(fields(b"multipart/form-data", BODY).is_err());
        let part = b"--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n";
        let many = [part.repeat(MAX_PARTS + 1).as_slice(), b"--xx--"].concat();
        assert!(fields(b"multipart/form-data; boundary=xx", &many).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_bytes_can_be_read(header: Vec<u8>, body: Vec<u8>, cut in 0..BODY.len(), with: u8) {
            let _ = fields(&header, &body);
            let _ = fields(b"multipart/form-data; boundary=xx", &body);
            let mut changed = BODY.to_vec();
            changed[cut] = with;
            let _ = fields(b"multipart/form-data; boundary=xx", &changed);
        }
    }
}
