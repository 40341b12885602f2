//! Fields with parameters: `Content-Type` and `Content-Disposition` (RFC 2045, 2183), with continuations and charsets of
//! RFC 2231, encoded words where they are not allowed, and bare 8-bit names.

use super::{
    charset::{Loss, decode},
    limits::{PARAMETERS, SHORT_FIELD},
    transfer::hex_pair,
    words,
};

/// `value; name=parameter`
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// In lower case.
    pub(super) value: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

/// A piece of a parameter as it stands.
struct Piece<'x> {
    name: &'x str,
    /// Its number among the continuations.
    number: u32,
    is_coded: bool,
    value: Vec<u8>,
}

impl Field {
    pub(super) fn of(field: &[u8], loss: &mut Loss) -> Self {
        if field.len() > SHORT_FIELD {
            loss.note();
        }
        let field = field.get(..SHORT_FIELD).unwrap_or(field);
        let mut statements = statements(field);
        let value: Vec<u8> = statements.next().unwrap_or_default();
        let value = String::from_utf8_lossy(&value).split_whitespace().collect::<String>().to_lowercase();
        let pieces: Vec<Vec<u8>> = statements.take(PARAMETERS).collect();
        let pieces = pieces.iter().filter_map(|statement| piece(statement)).collect();
        Self { value, parameters: joined(pieces, loss) }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(own, value)| own == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// The statements between semicolons; within quotes and comments these count for nothing, and comments are dropped.
fn statements(field: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut rest = field;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut statement, mut is_quoted, mut comments) = (Vec::new(), false, 0_usize);
        let mut has_equals = false;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'\r' | b'\n' => continue,
                b'\\' if is_quoted => {
                    statement.push(byte);
                    if let Some((&escaped, tail)) = rest.split_first() {
                        statement.push(escaped);
                        rest = tail;
                    }
                    continue;
                }
                b'"' if comments == 0 => is_quoted = !is_quoted,
                // A name of a file may hold brackets without quotes.
                b'(' if !is_quoted && (comments > 0 || !has_equals) => comments += 1,
                b')' if comments > 0 => {
                    comments -= 1;
                    continue;
                }
                b';' if !is_quoted && comments == 0 => return Some(statement),
                _ => {}
            }
            if comments == 0 {
                has_equals |= byte == b'=';
                statement.push(byte);
            }
        }
        Some(statement)
    })
}

fn piece(statement: &[u8]) -> Option<Piece<'_>> {
    let equals = statement.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(statement.get(..equals)?).ok()?.trim();
    let value = unquoted(statement.get(equals + 1..)?.trim_ascii());
    let (name, is_coded) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
    let numbered = name.split_once('*').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    let (name, number) = numbered.unwrap_or((name, 0));
    (!name.is_empty()).then_some(Piece { name, number, is_coded, value })
}

fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inside) = value.strip_prefix(b"\"") else { return value.to_vec() };
    let inside = inside.strip_suffix(b"\"").unwrap_or(inside);
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        // A path of Windows is no escape.
        let is_escape = byte == b'\\' && bytes.peek().is_some_and(|next| matches!(next, b'"' | b'\\'));
        out.push(if is_escape { bytes.next().unwrap_or(byte) } else { byte });
    }
    out
}

fn joined(mut pieces: Vec<Piece<'_>>, loss: &mut Loss) -> Vec<(String, String)> {
    pieces.sort_by_key(|piece| piece.number);
    let mut names: Vec<String> = pieces.iter().map(|piece| piece.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    let mut value = |name: &String| {
        let own = |coded: bool| {
            let is_own = move |piece: &&Piece<'_>| piece.name.eq_ignore_ascii_case(name) && piece.is_coded == coded;
            pieces.iter().filter(is_own)
        };
        if own(true).next().is_some() {
            return coded(pieces.iter().filter(|piece| piece.name.eq_ignore_ascii_case(name)), loss);
        }
        let bytes: Vec<u8> = own(false).flat_map(|piece| piece.value.iter().copied()).collect();
        words::text(&bytes, loss)
    };
    let values: Vec<String> = names.iter().map(&mut value).collect();
    names.into_iter().zip(values).collect()
}

/// Pieces of which some are in per cent; the first names the charset. One that stands there plain as well gives way.
fn coded<'x>(pieces: impl Iterator<Item = &'x Piece<'x>>, loss: &mut Loss) -> String {
    let pieces: Vec<&Piece<'_>> = pieces.collect();
    let (mut charset, mut bytes) = (None, Vec::new());
    for (place, piece) in pieces.iter().enumerate() {
        let is_twice = |other: &&Piece<'_>| other.number == piece.number && other.is_coded;
        if !piece.is_coded && pieces.iter().any(is_twice) {
            continue;
        }
        let mut value = piece.value.as_slice();
        if piece.is_coded && (place == 0 || charset.is_none()) {
            let mut parts = value.splitn(3, |byte| *byte == b'\'');
            if let (Some(name), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
                charset = Some(String::from_utf8_lossy(name).into_owned());
                value = rest;
            }
        }
        if piece.is_coded { percent(value, &mut bytes) } else { bytes.extend_from_slice(value) }
    }
    decode(&bytes, charset.as_deref(), loss).trim().to_owned()
}

fn percent(mut value: &[u8], out: &mut Vec<u8>) {
    while let Some((&byte, tail)) = value.split_first() {
        let pair = tail.get(..2).and_then(|pair| pair.try_into().ok());
        let coded = if byte == b'%' { hex_pair(pair) } else { None };
        out.push(coded.unwrap_or(byte));
        value = if coded.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameter(field: &str, name: &str) -> Option<String> {
        Field::of(field.as_bytes(), &mut Loss::default()).parameter(name).map(str::to_owned)
    }

    #[test]
    fn parameters_are_read_in_every_dress() {
        for (field, name, expected) in [
            ("text/plain; charset=UTF-8", "charset", "UTF-8"),
            ("Text/Plain;\r\n\tCharset = \"utf-8\" ; format=flowed", "charset", "utf-8"),
            ("text/plain (a;b=c); format=flowed", "format", "flowed"),
            ("a; filename=\"a;b \\\"c\\\".pdf\"", "filename", "a;b \"c\".pdf"),
            ("a; filename=\"C:\\foto\\a.jpg\"", "filename", "C:\\foto\\a.jpg"),
            ("a; filename=foto (1).jpg", "filename", "foto (1).jpg"),
            ("a; filename=\"=?utf-8?B?w6kuanBn?=\"", "filename", "é.jpg"),
            ("a; filename*=UTF-8''%C3%A9.jpg; filename=e.jpg", "filename", "é.jpg"),
            ("a; filename*0*=iso-8859-1'id'foto%20; filename*1*=%E9; filename*2=.jpg", "filename", "foto é.jpg"),
            ("a; filename*1=b.jpg; filename*0=\"a \"", "filename", "a b.jpg"),
            ("a; filename*0*=utf-8''%C3; filename*1*=%A9", "filename", "é"),
            ("a; name=\"é.jpg\"", "name", "é.jpg"),
            ("a; filename=\"tanpa akhir", "filename", "tanpa akhir"),
        ] {
            assert_eq!(parameter(field, name).as_deref(), Some(expected), "{field}");
        }
        assert_eq!(Field::of(b"Text / HTML; x", &mut Loss::default()).value, "text/html");
        let latin = Field::of(b"a; name=caf\xe9.txt", &mut Loss::default());
        assert_eq!(latin.parameter("name"), Some("café.txt"));
    }

    #[test]
    fn continuations_without_end_are_cut() {
        let field: String = (0..200_000).map(|number| format!("; filename*{number}*=a")).collect::<Vec<_>>().concat();
        let mut loss = Loss::default();
        let field = Field::of(format!("a/b{field}").as_bytes(), &mut loss);
        assert!(loss.happened() && field.parameter("filename").is_some_and(|name| name.len() <= PARAMETERS));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_field_is_read(field in proptest::collection::vec(any::<u8>(), 0..100), like in "([a-c/]|; ?|[a-b]\\*?[01]?\\*?=|\"|\\\\|%[0-9a-f]{1,2}|'|[()]){0,40}") {
            Field::of(&field, &mut Loss::default());
            Field::of(like.as_bytes(), &mut Loss::default());
        }
    }
}
