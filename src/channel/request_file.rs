//! A captured HTTP request in a file: request line, headers, a blank line, and the body byte for byte, as
//! `loket channel capture` writes it and `loket channel try` reads it.

use bytes::Bytes;

use crate::receipt::Request;

/// Largest request line with headers (`channel-manifest.md` §11).
const HEAD_BYTES: usize = 32 * 1024;
/// Most headers.
const HEADERS: usize = 100;

/// Why a file is no request. Shows nothing of the file but names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequestFile {
    #[error("there is no blank line between headers and body; end the headers with an empty line")]
    NoBlankLine,
    #[error("the request line and headers are larger than 32 KiB or more than 100")]
    TooLarge,
    #[error("the first line is no request line; write it like: POST /in/sms HTTP/1.1")]
    RequestLine,
    #[error("line {0} is no header; write it like: content-type: application/json")]
    Header(usize),
}

/// Reads a file; lines of the head end with CRLF or LF.
///
/// The target may be a whole URL, as a proxy sees it: scheme and host are cut off. Headers are kept in order, their names
/// in lower case. Line ends behind the length that `content-length` gives were added by an editor and are cut off.
pub fn parse(file: &[u8]) -> Result<Request, BadRequestFile> {
    let (head, body) = split_head(file)?;
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).enumerate();
    let (_, request_line) = lines.next().ok_or(BadRequestFile::RequestLine)?;
    let request_line = std::str::from_utf8(request_line).map_err(|_| BadRequestFile::RequestLine)?;
    let (method, target) = request_line_of(request_line)?;
    let mut headers = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        headers.push(header_of(line).ok_or(BadRequestFile::Header(number + 1))?);
        if headers.len() > HEADERS {
            return Err(BadRequestFile::TooLarge);
        }
    }
    let mut request = Request { method, target, headers, body: Bytes::new() };
    request.body = Bytes::copy_from_slice(cut_added_newline(body, request.header("content-length")));
    Ok(request)
}

/// `/in/{channel}/{endpoint}` gives the channel and the endpoint, `main` without one. A target of another form is a
/// provider's published example: only `status` as its last segment is an endpoint.
pub fn endpoint_of(path: &str) -> &str {
    let mut segments = path.trim_matches('/').split('/');
    match (segments.next(), segments.next(), segments.next(), segments.next()) {
        (Some("in"), Some(_), Some(endpoint), None) if !endpoint.is_empty() => endpoint,
        _ if path.trim_end_matches('/').ends_with("/status") => "status",
        _ => "main",
    }
}

fn split_head(file: &[u8]) -> Result<(&[u8], &[u8]), BadRequestFile> {
    let window = &file[..file.len().min(HEAD_BYTES + 4)];
    let mut begin = 0;
    while let Some(length) = window[begin..].iter().position(|byte| *byte == b'\n') {
        let end = begin + length;
        let line = window[begin..end].strip_suffix(b"\r").unwrap_or(&window[begin..end]);
        if line.is_empty() && begin > 0 {
            return Ok((&file[..begin], &file[end + 1..]));
        }
        begin = end + 1;
    }
    if file.len() > HEAD_BYTES {
        return Err(BadRequestFile::TooLarge);
    }
    // A request without headers' end and without a body, as an editor leaves a GET.
    if file.ends_with(b"\n") { Ok((file, &[])) } else { Err(BadRequestFile::NoBlankLine) }
}

fn request_line_of(line: &str) -> Result<(String, String), BadRequestFile> {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let (Some(method), Some(target), version, None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(BadRequestFile::RequestLine);
    };
    let is_version = version.is_none_or(|version| version.starts_with("HTTP/"));
    let path = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |slash| &rest[slash..]),
        _ => target,
    };
    if !is_version || !path.starts_with('/') || !method.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(BadRequestFile::RequestLine);
    }
    Ok((method.to_ascii_uppercase(), path.to_owned()))
}

/// The value may be any bytes, the name may not.
fn header_of(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let name =
        std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && name.bytes().all(|byte| is_token(&byte)))?;
    Some((name.to_ascii_lowercase(), value.trim_ascii().to_vec()))
}

fn cut_added_newline<'a>(body: &'a [u8], declared: Option<&str>) -> &'a [u8] {
    let declared = declared.and_then(|declared| declared.parse().ok()).unwrap_or(body.len());
    match body.split_at_checked(declared) {
        Some((body, added)) if added.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => body,
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_either_line_end() {
        let crlf = b"POST /in/sms?x=%41 HTTP/1.1\r\nHost: a\r\nX-Sig:  1 \r\nx-sig: 2\r\n\r\n{\"a\":\r\n1}\n";
        let lf = b"POST https://loket.example/in/sms?x=%41\nHost: a\nX-Sig:  1 \nx-sig: 2\n\n{\"a\":\r\n1}\n";
        for file in [&crlf[..], &lf[..]] {
            let request = parse(file).expect("a request");
            assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/in/sms?x=%41"));
            assert_eq!(request.headers.len(), 3);
            assert_eq!(request.header_values("x-sig").collect::<Vec<_>>(), [b"1", b"2"]);
            assert_eq!(request.body.as_ref(), b"{\"a\":\r\n1}\n");
        }
    }

    #[test]
    fn a_newline_behind_the_declared_length_is_an_editors() {
        let request = parse(b"POST / HTTP/1.1\ncontent-length: 3\n\nabc\r\n").expect("a request");
        assert_eq!(request.body.as_ref(), b"abc");
        // More than a newline is not cut: a wrong length is the sender's business, and shows.
        let request = parse(b"POST / HTTP/1.1\ncontent-length: 3\n\nabcd").expect("a request");
        assert_eq!(request.body.as_ref(), b"abcd");
    }

    #[test]
    fn a_get_needs_no_blank_line() {
        let request = parse(b"get /in/sms?a=b\n").expect("a request");
        assert_eq!((request.method.as_str(), request.body.len()), ("GET", 0));
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_line() {
        assert_eq!(parse(b""), Err(BadRequestFile::NoBlankLine));
        assert_eq!(parse(b"{\"from\":1}\n"), Err(BadRequestFile::RequestLine));
        assert_eq!(parse(b"POST / HTTP/1.1\nnot a header\n\n"), Err(BadRequestFile::Header(2)));
        assert_eq!(parse(b"POST / HTTP/1.1\na: 1\n folded\n\n"), Err(BadRequestFile::Header(3)));
        assert_eq!(parse(&vec![b'a'; 40_000]), Err(BadRequestFile::TooLarge));
        let many = format!("POST / HTTP/1.1\n{}\n", "a: 1\n".repeat(101));
        assert_eq!(parse(many.as_bytes()), Err(BadRequestFile::TooLarge));
    }

    #[test]
    fn the_endpoint_stands_behind_the_channel() {
        for (path, endpoint) in [
            ("/in/sms", "main"),
            ("/in/sms/", "main"),
            ("/in/sms/status", "status"),
            ("/in/sms/alerts", "alerts"),
            ("/myapp.php", "main"),
            ("/hooks/status", "status"),
        ] {
            assert_eq!(endpoint_of(path), endpoint, "{path}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]

        #[test]
        fn any_bytes_are_read_or_refused(file in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&file);
            let _ = parse(&[b"POST / HTTP/1.1\r\n", file.as_slice()].concat());
        }

        #[test]
        fn a_body_comes_back_byte_for_byte(body in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let file = [b"POST /in/a HTTP/1.1\r\na: b\r\n\r\n", body.as_slice()].concat();
            let request = parse(&file).expect("a request");
            proptest::prop_assert_eq!(request.body.as_ref(), body.as_slice());
        }
    }
}
