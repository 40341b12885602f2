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

/// The text behind an encoding. What is no encoding stays as it is, and bytes that are no UTF-8 become U+FFFD.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digit = |place: usize| char::from(*behind.get(place)?).to_digit(16);
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push((high << 4 | low) as u8);
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_is_decoded_to_what_it_was(text: String) {
            prop_assert_eq!(super::decoded(&super::encoded(&text)), text.clone());
            let _ = super::decoded(&text);
        }
    }

    #[test]
    fn what_is_no_encoding_stays() {
        assert_eq!(super::decoded("100%, %4 %zz %41"), "100%, %4 %zz A");
    }

    #[test]
    fn only_unreserved_characters_stay_as_they_are() {
        assert_eq!(super::encoded("a-B_9.~"), "a-B_9.~");
        assert_eq!(super::encoded("a b/é&+"), "a%20b%2F%C3%A9%26%2B");
    }
}
