//! What a file is, by its bytes alone. What its sender calls it is shown beside that, and decides nothing.

/// A type by its first bytes. Text is a type only where all that was seen of it is text.
pub fn sniff(head: &[u8]) -> &'static str {
    if let Some(kind) = infer::get(head) {
        return match kind.mime_type() {
            // A page, or a picture that is one.
            "text/html" | "text/xml" => markup(head),
            other => other,
        };
    }
    if is_text(head) { markup(head) } else { "application/octet-stream" }
}

/// Text that a browser would run is named as what it is.
fn markup(head: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if text.contains("<svg") {
        return "image/svg+xml";
    }
    if ["<!doctype html", "<html", "<script", "<body", "<iframe"].iter().any(|mark| text.contains(mark)) {
        return "text/html";
    }
    if text.starts_with("<?xml") {
        return "text/xml";
    }
    if text.starts_with("begin:vcard") { "text/vcard" } else { "text/plain" }
}

/// UTF-8 without control characters; the last character may be cut off.
fn is_text(head: &[u8]) -> bool {
    let whole = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !whole.is_empty() && !whole.chars().any(|letter| letter.is_control() && !"\t\r\n\u{c}".contains(letter))
}

/// Is it on the list? An entry is a type, or `image/*`; what a browser would run is named whole or not meant.
pub fn is_allowed(kind: &str, allowed: &[String]) -> bool {
    let is_active = matches!(kind, "image/svg+xml" | "text/html" | "text/xml");
    allowed.iter().any(|entry| match entry.strip_suffix("/*") {
        Some(family) => !is_active && kind.split('/').next() == Some(family),
        None => entry == kind,
    })
}

/// A picture that a browser only paints.
pub fn is_picture(kind: &str) -> bool {
    matches!(kind, "image/jpeg" | "image/png" | "image/gif" | "image/webp")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_type_comes_from_the_bytes() {
        for (bytes, kind) in [
            (&b"\xff\xd8\xff\xe0\0\x10JFIF"[..], "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>", "image/svg+xml"),
            (b"<?xml version=\"1.0\"?><svg></svg>", "image/svg+xml"),
            (b" \n<html><script>alert(1)</script>", "text/html"),
            (b"jalan rusak", "text/plain"),
            (b"BEGIN:VCARD\r\nVERSION:3.0", "text/vcard"),
            (&[&b"\x7fELF\x02\x01\x01"[..], &[0; 60]].concat(), "application/x-executable"),
            (b"MZ\x90\0\x03\0\0\0", "application/vnd.microsoft.portable-executable"),
            (b"\0\x01\x02", "application/octet-stream"),
            ("jalan rusak \u{2026}".as_bytes().split_last().expect("bytes").1, "text/plain"),
        ] {
            assert_eq!(sniff(bytes), kind, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_family_does_not_let_pages_in() {
        let allowed = ["image/*".to_owned(), "text/*".to_owned(), "application/pdf".to_owned()];
        for (kind, expected) in [
            ("image/png", true),
            ("image/svg+xml", false),
            ("text/html", false),
            ("application/pdf", true),
            ("application/zip", false),
        ] {
            assert_eq!(is_allowed(kind, &allowed), expected, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = sniff(&bytes);
        }
    }
}
