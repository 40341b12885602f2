//! Encoded words of headers (RFC 2047), also those that break its rules: cut within a character, with blanks, in quotes.

use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memchr3;

use super::{
    charset::{Loss, decode},
    transfer,
};

/// A header without a grammar: `Subject`, a name of a file.
pub(super) fn text(value: &[u8], loss: &mut Loss) -> String {
    let value = unfold(value, loss);
    if !value.contains("=?") {
        return value;
    }
    rewrite(&value, loss, |word, out| out.push_str(word))
}

/// A header with a grammar: its words are encoded again, each run of them as one, in UTF-8.
pub(super) fn mended(value: &[u8], loss: &mut Loss) -> String {
    let value = unfold(value, loss);
    if !value.contains("=?") {
        return value;
    }
    rewrite(&value, loss, |word, out| {
        out.push_str("=?utf-8?B?");
        STANDARD.encode_string(word, out);
        out.push_str("?=");
    })
}

/// One line of text (RFC 5322, section 2.2.3), without white space around it.
pub(super) fn unfold(value: &[u8], loss: &mut Loss) -> String {
    let text = decode(value, None, loss);
    let text = text.trim();
    if memchr3(b'\r', b'\n', b'\t', text.as_bytes()).is_none() {
        return text.to_owned();
    }
    text.chars().filter(|letter| !matches!(letter, '\r' | '\n')).map(|c| if c == '\t' { ' ' } else { c }).collect()
}

/// A run of words in one charset.
#[derive(Default)]
struct Run<'x> {
    charset: &'x str,
    bytes: Vec<u8>,
}

fn rewrite(value: &str, loss: &mut Loss, mut write: impl FnMut(&str, &mut String)) -> String {
    let mut out = String::with_capacity(value.len());
    let mut run: Option<Run<'_>> = None;
    let mut rest = value;
    while let Some((start, word)) = next_word(rest) {
        let between = rest.get(..start).unwrap_or_default();
        let joins = run.as_ref().is_some_and(|_| between.trim().is_empty());
        let same = run.as_ref().is_some_and(|run| run.charset.eq_ignore_ascii_case(word.charset));
        if let Some(run) = run.take_if(|_| !(joins && same)) {
            write(&decode(&run.bytes, Some(run.charset), loss), &mut out);
        }
        if !joins {
            out.push_str(between);
        }
        let run = run.get_or_insert_with(|| Run { charset: word.charset, bytes: Vec::new() });
        word.decode_into(&mut run.bytes);
        rest = rest.get(start + word.length..).unwrap_or_default();
    }
    if let Some(run) = run {
        write(&decode(&run.bytes, Some(run.charset), loss), &mut out);
    }
    out.push_str(rest);
    out
}

/// `=?charset?Q?text?=`
struct Word<'x> {
    charset: &'x str,
    is_base64: bool,
    text: &'x str,
    length: usize,
}

impl Word<'_> {
    fn decode_into(&self, out: &mut Vec<u8>) {
        if self.is_base64 {
            return transfer::base64(self.text.as_bytes(), &mut |chunk| out.extend_from_slice(chunk));
        }
        let mut rest = self.text.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            let pair = tail.get(..2).and_then(|pair| pair.try_into().ok());
            let coded = if byte == b'=' { transfer::hex_pair(pair) } else { None };
            out.push(coded.unwrap_or(if byte == b'_' { b' ' } else { byte }));
            rest = if coded.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
        }
    }
}

/// The first encoded word and where it begins. Linear: behind the last end of a word none is looked for.
fn next_word(text: &str) -> Option<(usize, Word<'_>)> {
    let last = text.rfind("?=")?;
    let mut from = 0;
    while from < last {
        let start = from + text.get(from..)?.find("=?")?;
        if let Some(word) = word(text.get(start + 2..)?) {
            return Some((start, word));
        }
        from = start + 2;
    }
    None
}

fn word(inside: &str) -> Option<Word<'_>> {
    let mark = inside.bytes().take(64).position(|byte| byte == b'?')?;
    let charset = inside.get(..mark)?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+*'()".contains(&byte);
    if charset.is_empty() || !charset.bytes().all(is_name) {
        return None;
    }
    let is_base64 = match inside.as_bytes().get(mark + 1..mark + 3)? {
        [b'b' | b'B', b'?'] => true,
        [b'q' | b'Q', b'?'] => false,
        _ => return None,
    };
    let text = inside.get(mark + 3..)?;
    let end = text.find("?=")?;
    let charset = charset.split_once('*').map_or(charset, |(charset, _)| charset);
    Some(Word { charset, is_base64, text: text.get(..end)?, length: 2 + mark + 3 + end + 2 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encoded_words_are_read_also_when_they_are_broken() {
        for (value, expected) in [
            ("Jalan rusak", "Jalan rusak"),
            ("=?utf-8?Q?Jalan_rusak_=C3=A9?=", "Jalan rusak é"),
            ("=?UTF-8?B?SmFsYW4=?= =?utf-8?B?IHJ1c2Fr?=", "Jalan rusak"),
            // A character cut between two words.
            ("=?utf-8?B?ww==?= =?utf-8?B?qQ==?= x", "é x"),
            ("=?utf-8?Q?=C3?=\r\n =?utf-8?Q?=A9?=", "é"),
            ("Re: =?iso-8859-1*id?q?caf=E9?= lama", "Re: café lama"),
            ("=?utf-8?Q?ada spasi di dalam?=", "ada spasi di dalam"),
            ("=?utf-8?X?aneh?= =?", "=?utf-8?X?aneh?= =?"),
            ("a\r\n\tb", "a b"),
            ("=?utf-8?Q?=4?=", "=4"),
        ] {
            assert_eq!(text(value.as_bytes(), &mut Loss::default()), expected, "{value}");
        }
        assert_eq!(text(b"caf\xe9", &mut Loss::default()), "café");
        assert_eq!(mended(b"=?utf-8?Q?=C3?= =?utf-8?Q?=A9,?= <a@b>", &mut Loss::default()), "=?utf-8?B?w6ks?= <a@b>");
    }

    #[test]
    fn a_hundred_thousand_words_are_read_in_time() {
        let value = "=?utf-8?Q?a?= ".repeat(100_000);
        assert_eq!(text(value.as_bytes(), &mut Loss::default()).len(), 100_000);
        let endless = "=?u?q".repeat(100_000);
        assert_eq!(text(endless.as_bytes(), &mut Loss::default()).len(), 500_000);
        let without_text = format!("{}?=", "=?utf-8".repeat(2_000));
        text(without_text.as_bytes(), &mut Loss::default());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_header_is_text(value in "(=\\?|utf-8|\\?[bqBQ]\\?|\\?=|[a-z=_? ]|\\PC){0,40}") {
            text(value.as_bytes(), &mut Loss::default());
            mended(value.as_bytes(), &mut Loss::default());
        }
    }
}
