//! Content transfer encodings (RFC 2045, section 6), and uuencode of older servers. Tolerant: what is not of the alphabet is
//! skipped, as a gateway on the way put it there. Bodies are decoded in pieces, so that a file never lies in memory twice.

use std::borrow::Cow;

use memchr::memchr;

/// Bytes that one piece holds at most.
const PIECE: usize = 8 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// 7bit, 8bit, binary, and whatever nobody knows.
    #[default]
    Identity,
    QuotedPrintable,
    Base64,
    Uuencode,
}

impl Encoding {
    /// From a `Content-Transfer-Encoding`.
    pub(super) fn named(name: &str) -> Self {
        let name = name.split([';', '(']).next().unwrap_or_default();
        match name.trim_matches(|letter: char| letter.is_whitespace() || letter == '"').to_ascii_lowercase().as_str() {
            "base64" => Self::Base64,
            "quoted-printable" | "quoted printable" => Self::QuotedPrintable,
            "x-uuencode" | "uuencode" | "x-uue" => Self::Uuencode,
            _ => Self::Identity,
        }
    }

    /// Hands the decoded bytes on, piece by piece.
    pub(super) fn pieces(self, bytes: &[u8], take: &mut impl FnMut(&[u8])) {
        match self {
            Self::Identity => take(bytes),
            Self::QuotedPrintable => quoted_printable(bytes, take),
            Self::Base64 => base64(bytes, take),
            Self::Uuencode => uuencode(bytes, take),
        }
    }

    /// All of it, at most `limit` bytes.
    pub(super) fn decode(self, bytes: &[u8], limit: usize) -> Cow<'_, [u8]> {
        if self == Self::Identity {
            return Cow::Borrowed(bytes.get(..limit).unwrap_or(bytes));
        }
        let expected = if self == Self::QuotedPrintable { bytes.len() } else { bytes.len() / 4 * 3 + 3 };
        let mut all = Vec::with_capacity(limit.min(expected));
        self.pieces(bytes, &mut |piece| {
            let room = limit.saturating_sub(all.len());
            all.extend_from_slice(piece.get(..room).unwrap_or(piece));
        });
        Cow::Owned(all)
    }
}

/// Gathers bytes and hands them on when there are enough.
struct Gather<'x, T> {
    bytes: Vec<u8>,
    take: &'x mut T,
}

impl<'x, T: FnMut(&[u8])> Gather<'x, T> {
    fn new(take: &'x mut T, expected: usize) -> Self {
        Self { bytes: Vec::with_capacity(expected.min(PIECE)), take }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > PIECE {
            self.flush();
        }
        if bytes.len() > PIECE {
            (self.take)(bytes);
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            (self.take)(&self.bytes);
            self.bytes.clear();
        }
    }
}

const NO_DIGIT: u8 = 0xff;

static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < 64 {
        digits[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(NO_DIGIT)
}

/// Base64 with line ends, with padding in the midst (several files glued), or without any at the end.
pub(super) fn base64(bytes: &[u8], take: &mut impl FnMut(&[u8])) {
    let mut out = Gather::new(take, bytes.len() / 4 * 3 + 3);
    let (mut word, mut digits) = (0_u32, 0_u8);
    let mut rest = bytes;
    loop {
        if digits == 0 {
            rest = whole_groups(rest, &mut out);
        }
        let Some((&byte, tail)) = rest.split_first() else { break };
        rest = tail;
        match digit(byte) {
            NO_DIGIT if byte == b'=' => {
                end_of_base64(word, digits, &mut out);
                (word, digits) = (0, 0);
            }
            NO_DIGIT => {}
            value => {
                word = word << 6 | u32::from(value);
                digits += 1;
                if digits == 4 {
                    let [_, one, two, three] = word.to_be_bytes();
                    out.push(&[one, two, three]);
                    (word, digits) = (0, 0);
                }
            }
        }
    }
    end_of_base64(word, digits, &mut out);
    out.flush();
}

/// Decodes groups of four digits up to the first other byte, or until a piece is full. Gives what is left.
fn whole_groups<'x, T: FnMut(&[u8])>(bytes: &'x [u8], out: &mut Gather<'_, T>) -> &'x [u8] {
    let room = PIECE.saturating_sub(out.bytes.len()) / 3;
    let mut taken = 0;
    for group in bytes.chunks_exact(4).take(room) {
        let [a, b, c, d] = group else { break };
        let four = [digit(*a), digit(*b), digit(*c), digit(*d)];
        if four.contains(&NO_DIGIT) {
            break;
        }
        let [a, b, c, d] = four.map(u32::from);
        let [_, one, two, three] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
        out.bytes.extend_from_slice(&[one, two, three]);
        taken += 4;
    }
    if taken == room * 4 {
        out.flush();
    }
    bytes.get(taken..).unwrap_or_default()
}

fn end_of_base64<T: FnMut(&[u8])>(word: u32, digits: u8, out: &mut Gather<'_, T>) {
    match digits {
        2 => out.push(&[(word >> 4) as u8]),
        3 => out.push(&[(word >> 10) as u8, (word >> 2) as u8]),
        _ => {}
    }
}

/// Two hexadecimal digits.
pub(super) fn hex_pair(pair: Option<[u8; 2]>) -> Option<u8> {
    let [high, low] = pair?.map(|byte| char::from(byte).to_digit(16));
    Some((high? << 4 | low?) as u8)
}

/// White space at the end of a line was put there on the way and is dropped (RFC 2045, section 6.7, rule 3).
fn quoted_printable(bytes: &[u8], take: &mut impl FnMut(&[u8])) {
    let mut out = Gather::new(take, bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |end| end + 1));
        rest = after;
        let content = line.trim_ascii_end();
        let end: &[u8] = if line.ends_with(b"\r\n") {
            b"\r\n"
        } else if line.ends_with(b"\n") {
            b"\n"
        } else {
            b""
        };
        let joined = content.strip_suffix(b"=");
        quoted_line(joined.unwrap_or(content), &mut out);
        if joined.is_none() {
            out.push(end);
        }
    }
    out.flush();
}

fn quoted_line<T: FnMut(&[u8])>(mut content: &[u8], out: &mut Gather<'_, T>) {
    while let Some(mark) = memchr(b'=', content) {
        let (plain, rest) = content.split_at(mark);
        out.push(plain);
        match (hex_pair(rest.get(1..3).and_then(|pair| pair.try_into().ok())), rest) {
            (Some(byte), [_, _, _, tail @ ..]) => {
                out.push(&[byte]);
                content = tail;
            }
            (_, [mark, tail @ ..]) => {
                out.push(&[*mark]);
                content = tail;
            }
            _ => break,
        }
    }
    out.push(content);
}

fn uuencode(bytes: &[u8], take: &mut impl FnMut(&[u8])) {
    let mut out = Gather::new(take, bytes.len() / 4 * 3);
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let lines = lines.skip_while(|line| !line.starts_with(b"begin ")).skip(1);
    for line in lines.take_while(|line| *line != b"end") {
        let Some((&length, digits)) = line.split_first() else { continue };
        let mut left = usize::from(length.wrapping_sub(b' ') & 63);
        for group in digits.chunks(4) {
            let mut word = 0_u32;
            for place in 0..4 {
                let value = group.get(place).map_or(0, |byte| byte.wrapping_sub(b' ') & 63);
                word = word << 6 | u32::from(value);
            }
            let three = &word.to_be_bytes()[1..];
            out.push(three.get(..left.min(3)).unwrap_or_default());
            left = left.saturating_sub(3);
        }
    }
    out.flush();
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    use super::*;

    fn decoded(encoding: Encoding, text: &str) -> String {
        String::from_utf8_lossy(&encoding.decode(text.as_bytes(), 1 << 20)).into_owned()
    }

    #[test]
    fn bodies_are_decoded_as_well_as_can_be() {
        for (encoding, text, expected) in [
            (Encoding::Base64, "aGFs\r\nbw==", "halo"),
            (Encoding::Base64, "aGFs!bw", "halo"),
            (Encoding::Base64, "aGE=bG8=", "halo"),
            (Encoding::QuotedPrintable, "ha=6Co  \r\nbaris =\r\nsatu", "halo\r\nbaris satu"),
            (Encoding::QuotedPrintable, "a=zz=3d=\n", "a=zz="),
            (Encoding::QuotedPrintable, "http://x/?a=b", "http://x/?a=b"),
            (Encoding::Uuencode, "begin 644 a\n$:&%L;P``\n`\nend\n", "halo"),
            (Encoding::Identity, "halo", "halo"),
        ] {
            assert_eq!(decoded(encoding, text), expected, "{text}");
        }
        assert_eq!(Encoding::named(" \"BASE64\" (x)"), Encoding::Base64);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn base64_gives_what_was_encoded(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            let text = STANDARD.encode(&bytes);
            let lines: Vec<&str> = (0..text.len()).step_by(76).map(|at| &text[at..text.len().min(at + 76)]).collect();
            let decoded = Encoding::Base64.decode(lines.join("\r\n").as_bytes(), usize::MAX).into_owned();
            prop_assert_eq!(decoded, bytes);
        }

        #[test]
        fn any_bytes_are_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for encoding in [Encoding::Base64, Encoding::QuotedPrintable, Encoding::Uuencode, Encoding::Identity] {
                prop_assert!(encoding.decode(&bytes, 1 << 20).len() <= bytes.len() + 2);
                prop_assert!(encoding.decode(&bytes, 10).len() <= 10);
            }
        }
    }
}
