//! The end of `DATA`, and the dots within it (RFC 5321, section 4.5.2). Pure.
//!
//! Only CR LF . CR LF ends the data. A lone LF or CR is a byte like any other, whatever stands around it: taking one for a
//! line end is what SMTP smuggling lives on (CVE-2023-51764 and kin). Bytes are kept as they are, but for the dot that was
//! put before a line that begins with one.

/// Takes the stuffing out of a stream of bytes, however it is cut up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unstuffing {
    /// Behind CR LF, or at the very beginning.
    #[default]
    LineStart,
    Text,
    Cr,
    /// A dot began the line; whether it was stuffed is not known yet.
    Dot,
    DotCr,
}

impl Unstuffing {
    /// Writes what is data into `out`. When the data ends: how many bytes of the input belong to them, the end with them.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if *self == Self::Text {
                // Most of a letter is this.
                let rest = &input[at..];
                let end = rest.iter().position(|byte| *byte == b'\r').map_or(rest.len(), |cr| cr + 1);
                out.extend_from_slice(&rest[..end]);
                at += end;
                if rest[end - 1] == b'\r' {
                    *self = Self::Cr;
                }
                continue;
            }
            at += 1;
            match (*self, byte) {
                (Self::LineStart, b'.') => *self = Self::Dot,
                (Self::Dot, b'\r') => *self = Self::DotCr,
                (Self::DotCr, b'\n') => {
                    *self = Self::LineStart;
                    return Some(at);
                }
                (Self::DotCr, _) => {
                    // The dot was stuffing after all, and the CR is a byte of the line.
                    out.extend_from_slice(&[b'\r', byte]);
                    *self = if byte == b'\r' { Self::Cr } else { Self::Text };
                }
                (Self::Cr, b'\n') => {
                    out.push(byte);
                    *self = Self::LineStart;
                }
                _ => {
                    out.push(byte);
                    *self = if byte == b'\r' { Self::Cr } else { Self::Text };
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Data and what is left behind their end; None: they do not end.
    fn fed(chunks: &[&[u8]]) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut state, mut out) = (Unstuffing::default(), Vec::new());
        for (place, chunk) in chunks.iter().enumerate() {
            if let Some(used) = state.feed(chunk, &mut out) {
                let rest = [&chunk[used..]].into_iter().chain(chunks[place + 1..].iter().copied());
                return Some((out, rest.flatten().copied().collect()));
            }
        }
        None
    }

    /// The same in the plainest words: the first CR LF . CR LF (the beginning counts as behind CR LF) ends it.
    fn reference(input: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let whole = [b"\r\n".as_slice(), input].concat();
        let end = whole.windows(5).position(|bytes| bytes == b"\r\n.\r\n")?;
        let (mut out, mut at) = (Vec::new(), 0);
        while at < end + 2 {
            let is_stuffed = at >= 2 && whole[at - 2..at] == *b"\r\n" && whole[at] == b'.';
            if !is_stuffed {
                out.push(whole[at]);
            }
            at += 1;
        }
        Some((out[2..].to_vec(), whole[end + 5..].to_vec()))
    }

    #[test]
    fn only_crlf_dot_crlf_ends_the_data() {
        for (input, data) in [
            ("a\r\n.\r\n", "a\r\n"),
            (".\r\n", ""),
            ("..a\r\n.b\r\n.\r\n", ".a\r\nb\r\n"),
            ("a\n.\nb\r\n.\r\n", "a\n.\nb\r\n"),
            ("a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n"),
            ("a\r.\rb\r\n.\r\n", "a\r.\rb\r\n"),
            ("a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n"),
            ("a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\r\nb\r\n"),
            ("a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n"),
        ] {
            assert_eq!(fed(&[input.as_bytes()]), Some((data.as_bytes().to_vec(), Vec::new())), "{input:?}");
        }
        for endless in ["a\n.\n", "a\n.\r\n", "a\r.\r\n", "a\r\n.\n", "a.\r\n"] {
            assert_eq!(fed(&[endless.as_bytes()]), None, "{endless:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn however_it_is_cut_up_it_is_what_the_plainest_words_say(text in "[a.\r\n]{0,40}", cuts in prop::collection::vec(0usize..40, 0..5)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(fed(&chunks), reference(bytes));
        }
    }
}
