//! Bytes that become text: transfer encodings, percent-encoding, charsets.

use bytes::Bytes;
use encoding_rs::Encoding;

/// Text and whether bytes were replaced that stood for nothing in their charset.
pub(in crate::mapping) type Text = (Bytes, bool);

/// A charset by one of its labels (the WHATWG registry). None: nobody knows it.
pub(in crate::mapping) fn charset(label: &str) -> Option<Charset> {
    Encoding::for_label(label.trim().as_bytes()).map(Charset)
}

/// A charset that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) struct Charset(&'static Encoding);

impl Charset {
    pub(in crate::mapping) const UTF_8: Self = Self(encoding_rs::UTF_8);

    /// UTF-8 text; a byte order mark is dropped. What is UTF-8 already is not copied.
    pub(in crate::mapping) fn decode(self, bytes: Bytes) -> Text {
        if self == Self::UTF_8 {
            return utf8(bytes);
        }
        let (text, _, lossy) = self.0.decode(&bytes);
        (Bytes::from(text.into_owned()), lossy)
    }

    /// The text of one value of a form. In a charset of two bytes only the values that need it are in it (numbers and ids
    /// are plain), and those hold a zero byte or one beyond ASCII.
    pub(in crate::mapping) fn decode_value(self, bytes: Bytes) -> Text {
        if self.0.is_ascii_compatible() || bytes.iter().any(|byte| *byte == 0 || !byte.is_ascii()) {
            self.decode(bytes)
        } else {
            utf8(bytes)
        }
    }
}

/// Bytes that should be UTF-8; what is not is replaced.
pub(in crate::mapping) fn utf8(bytes: impl Into<Bytes>) -> Text {
    let bytes = bytes.into();
    let bytes = if bytes.starts_with(b"\xEF\xBB\xBF") { bytes.slice(3..) } else { bytes };
    match String::from_utf8_lossy(&bytes) {
        std::borrow::Cow::Borrowed(_) => (bytes, false),
        std::borrow::Cow::Owned(text) => (Bytes::from(text), true),
    }
}

/// What `+` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) enum Plus {
    /// In forms and queries.
    Space,
    Kept,
}

/// Undoes percent-encoding. A `%` that begins no pair of hexadecimal digits stays, as browsers read it.
pub(in crate::mapping) fn percent_decoded(encoded: &[u8], plus: Plus) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    percent_decode_into(encoded, plus, &mut decoded);
    decoded
}

/// Adds what the encoded bytes stand for; never more bytes than they are.
pub(in crate::mapping) fn percent_decode_into(encoded: &[u8], plus: Plus, decoded: &mut Vec<u8>) {
    let mut rest = encoded;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, following @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = following;
                }
                _ => decoded.push(b'%'),
            },
            (b'+', _) if plus == Plus::Space => decoded.push(b' '),
            (byte, _) => decoded.push(*byte),
        }
    }
}

/// None: an odd number of digits, or a byte that is none.
pub(in crate::mapping) fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Lower case.
pub(in crate::mapping) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| DIGITS.get(usize::from(nibble))).collect()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_as_browsers_do() {
        assert_eq!(percent_decoded(b"a+b%20c%2Bd%zz%4", Plus::Space), b"a b c+d%zz%4");
        assert_eq!(percent_decoded(b"a+b%41", Plus::Kept), b"a+bA");
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(from_hex(b"00fFa1"), Some(vec![0, 255, 161]));
        assert_eq!(to_hex(&[0, 255, 161]), "00ffa1");
        assert_eq!(from_hex(b"0"), None);
        assert_eq!(from_hex(b"0g"), None);
    }

    #[test]
    fn charsets_that_providers_use_are_known() {
        for (label, bytes, text) in [
            ("utf-8", b"caf\xC3\xA9".as_slice(), "café"),
            ("UTF8", b"\xEF\xBB\xBFx", "x"),
            ("iso-8859-1", b"caf\xE9", "café"),
            ("windows-1252", b"\x80", "€"),
            ("utf-16be", b"\0h\0i\x20\xac", "hi€"),
            ("utf-16le", b"h\0i\0", "hi"),
            ("gb18030", b"\xC4\xE3", "你"),
        ] {
            let (decoded, lossy) = charset(label).unwrap().decode(Bytes::from_static(bytes));
            assert_eq!((decoded.as_ref(), lossy), (text.as_bytes(), false), "{label}");
        }
        assert_eq!(charset("klingon"), None);
    }

    #[test]
    fn what_stands_for_nothing_is_replaced_and_flagged() {
        assert_eq!(utf8(b"a\xFFb".as_slice()), (Bytes::from("a\u{FFFD}b"), true));
        let utf16 = charset("utf-16be").unwrap();
        assert!(utf16.decode(Bytes::from_static(b"\xD8\0")).1);
    }

    #[test]
    fn plain_values_of_a_form_in_two_bytes_stay() {
        let utf16 = charset("utf-16be").unwrap();
        assert_eq!(utf16.decode_value(Bytes::from_static(b"+62811")).0, Bytes::from("+62811"));
        assert_eq!(utf16.decode_value(Bytes::from_static(b"\0h\0i")).0, Bytes::from("hi"));
    }
}
