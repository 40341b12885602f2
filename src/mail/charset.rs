//! Bytes to text, whatever their charset and whatever it was called.
//!
//! Bytes that are UTF-8 are taken as such where the label names no other multi-byte charset, as the wrong label is the
//! common mistake; other unlabelled bytes are windows-1252. Nothing is refused: what is no character is replaced, and noted.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memchr;

/// Notes that something of the letter was replaced or cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss(bool);

impl Loss {
    pub(super) fn note(&mut self) {
        self.0 = true;
    }

    pub(super) fn happened(self) -> bool {
        self.0
    }
}

/// What a label says.
enum Label {
    /// No label, or one that says nothing.
    Silent,
    Utf8,
    /// ASCII and the two that are mistaken for each other.
    Western,
    Other(fn(&[u8]) -> String),
    Unknown,
}

/// Text from bytes in the charset `label`. Borrowed where the bytes are UTF-8, as they mostly are.
pub(super) fn decode<'x>(bytes: &'x [u8], label: Option<&str>, loss: &mut Loss) -> Cow<'x, str> {
    if let Some(text) = marked(bytes, loss) {
        return Cow::Owned(text);
    }
    // Nobody sends UTF-16 through SMTP, but some programs name the charset that they have in memory.
    let is_text = || !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
    let label =
        label.filter(|label| !(label.get(..6).is_some_and(|name| name.eq_ignore_ascii_case("utf-16")) && is_text()));
    match read_label(label) {
        Label::Other(decoder) => Cow::Owned(foreign(bytes, decoder, loss)),
        Label::Silent | Label::Western if is_iso_2022_jp(bytes) => {
            let decoder = |bytes: &[u8]| encoding_rs::ISO_2022_JP.decode_without_bom_handling(bytes).0.into_owned();
            Cow::Owned(foreign(bytes, decoder, loss))
        }
        label => common(bytes, &label, loss),
    }
}

/// Bytes that begin with a byte order mark say themselves what they are.
fn marked(bytes: &[u8], loss: &mut Loss) -> Option<String> {
    let (encoding, _) = encoding_rs::Encoding::for_bom(bytes)?;
    let (text, had_errors) = encoding.decode_with_bom_removal(bytes);
    if had_errors {
        loss.note();
    }
    Some(text.into_owned())
}

fn read_label(label: Option<&str>) -> Label {
    let label = label.unwrap_or_default().trim_matches(|letter: char| letter.is_whitespace() || "\"'".contains(letter));
    if label.is_empty() {
        return Label::Silent;
    }
    if label.eq_ignore_ascii_case("utf-8") {
        return Label::Utf8;
    }
    match label.to_ascii_lowercase().as_str() {
        "default" | "8bit" | "7bit" | "unknown-8bit" | "x-unknown" | "unknown" | "binary" => Label::Silent,
        "utf8" | "utf_8" | "unicode-1-1-utf-8" | "utf8mb4" => Label::Utf8,
        "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "iso88591" | "latin1"
        | "windows-1252" | "cp1252" => Label::Western,
        // Charsets whose decoding depends on what went before, and which browsers give up on.
        "utf-7" | "utf7" => charset_decoder(b"utf-7").map_or(Label::Unknown, Label::Other),
        name => charset_decoder(name.as_bytes())
            .map(Label::Other)
            .or_else(|| encoding_rs::Encoding::for_label(name.as_bytes()).map(|_| Label::Silent))
            .unwrap_or(Label::Unknown),
    }
}

/// The letters of a Japanese mail without a label: only ASCII, and an escape to the double-byte set.
fn is_iso_2022_jp(bytes: &[u8]) -> bool {
    let escape = |three: &[u8]| matches!(three, [0x1b, b'$', b'B' | b'@']);
    memchr(0x1b, bytes).is_some() && bytes.is_ascii() && bytes.windows(3).any(escape)
}

fn foreign(bytes: &[u8], decoder: fn(&[u8]) -> String, loss: &mut Loss) -> String {
    let text = decoder(bytes);
    if text.contains(char::REPLACEMENT_CHARACTER) {
        // A letter in another charset than its label: UTF-8 is not valid by chance.
        if let Ok(text) = std::str::from_utf8(bytes) {
            return text.to_owned();
        }
        loss.note();
    }
    text
}

/// UTF-8 if it is, else windows-1252. Under the label UTF-8 bytes that are neither only now and then are replaced.
fn common<'x>(bytes: &'x [u8], label: &Label, loss: &mut Loss) -> Cow<'x, str> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Cow::Borrowed(text),
        Err(error) => error,
    };
    let has_utf8 = bytes.get(..error.valid_up_to()).is_some_and(|valid| !valid.is_ascii())
        || bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii());
    match label {
        Label::Utf8 if has_utf8 => {
            loss.note();
            return String::from_utf8_lossy(bytes);
        }
        Label::Utf8 | Label::Unknown => loss.note(),
        _ => {}
    }
    encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], label: &str) -> (String, bool) {
        let mut loss = Loss::default();
        let text = decode(bytes, Some(label).filter(|label| !label.is_empty()), &mut loss);
        (text.into_owned(), loss.happened())
    }

    #[test]
    fn text_is_read_in_its_charset_and_past_a_wrong_label() {
        let cases: [(&[u8], &str, &str, bool); 16] = [
            (b"jalan", "", "jalan", false),
            ("jalan é".as_bytes(), "us-ascii", "jalan é", false),
            ("jalan é".as_bytes(), "iso-8859-1", "jalan é", false),
            (b"caf\xe9", "", "café", false),
            (b"caf\xe9", "ISO-8859-1", "café", false),
            (b"caf\xe9", "utf-8", "café", true),
            (b"\xc3\xa9 caf\xe9", "utf-8", "é caf\u{fffd}", true),
            (b"caf\xe9", "x-mine", "café", true),
            (b"\xc4\xe3\xba\xc3", "gb2312", "你好", false),
            (b"\x1b$B%O\x1b(B", "", "ハ", false),
            (b"\xcf\xf0\xe8", "\"windows-1251\"", "При", false),
            (b"halo", "UTF-16LE", "halo", false),
            (b"h\x00i\x00", "utf-16le", "hi", false),
            (b"+AKM-1", "utf-7", "£1", false),
            (b"\xff\xfeh\x00i\x00", "", "hi", false),
            (b"\xef\xbb\xbfhalo", "utf-8", "halo", false),
        ];
        for (bytes, label, text, is_lossy) in cases {
            assert_eq!(decoded(bytes, label), (text.to_owned(), is_lossy), "{bytes:?} as {label}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_bytes_in_any_charset_are_text(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            label in "utf-7|utf-16|utf-16le|shift_jis|big5|gb18030|iso-2022-jp|iso-2022-kr|hz-gb-2312|euc-kr|koi8-r|[a-z0-9-]{0,50}",
        ) {
            decode(&bytes, Some(&label), &mut Loss::default());
        }
    }
}
