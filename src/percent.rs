//! Percent-encoding (RFC 3986 §2.1), the one way in which texts get into URLs and forms.

/// Everything but unreserved characters is encoded, so that the result fits a path segment, a query and a form.
pub fn encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 15] {
                encoded.push(char::from(DIGITS[usize::from(nibble)]));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_unreserved_characters_stay_as_they_are() {
        assert_eq!(super::encoded("a-B_9.~"), "a-B_9.~");
        assert_eq!(super::encoded("a b/é&+"), "a%20b%2F%C3%A9%26%2B");
    }
}
