//! JSON (RFC 8259) straight into the values of filters. Strict but for lone surrogates, which become U+FFFD: a broken emoji
//! must not cost a complaint. Whole numbers keep every digit.

use std::fmt;

use bytes::Bytes;
use jaq_json::{Map, Num, Rc, Val};

use super::NODES;

/// Deepest nesting that any manifest may allow.
pub(in crate::mapping) const MAX_DEPTH: usize = 64;
/// Digits of a whole number that is calculated with; longer ones are kept as they are written.
const DIGITS: usize = 100;

/// A document, and whether something in it had to be replaced.
#[derive(Debug)]
pub(in crate::mapping) struct Parsed {
    pub value: Val,
    pub lossy: bool,
}

/// Where a document stops being JSON. Holds none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) struct Fault {
    problem: &'static str,
    place: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at byte {}", self.problem, self.place)
    }
}

/// Parses one document. `bytes` are UTF-8; `max_depth` counts lists and objects inside each other.
pub(in crate::mapping) fn parse(bytes: &[u8], max_depth: usize) -> Result<Parsed, Fault> {
    let mut reader = Reader { bytes, place: 0, nodes: NODES, lossy: false };
    reader.space();
    let value = reader.value(max_depth.min(MAX_DEPTH))?;
    reader.space();
    if reader.place < bytes.len() {
        return Err(reader.fault("something follows the value"));
    }
    Ok(Parsed { value, lossy: reader.lossy })
}

struct Reader<'b> {
    bytes: &'b [u8],
    place: usize,
    /// Values that may still come: the smallest takes two bytes in the text and a hundred in memory.
    nodes: usize,
    lossy: bool,
}

impl Reader<'_> {
    fn fault(&self, problem: &'static str) -> Fault {
        Fault { problem, place: self.place }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.place).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.place += 1;
        }
    }

    /// The byte that must come next, spaces before it skipped.
    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), Fault> {
        self.space();
        if self.peek() == Some(byte) {
            self.place += 1;
            Ok(())
        } else {
            Err(self.fault(problem))
        }
    }

    fn value(&mut self, depth: usize) -> Result<Val, Fault> {
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| self.fault("too many values"))?;
        match self.peek() {
            Some(b'"') => self.string().map(Val::utf8_str),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Val::Bool(true)),
            Some(b'f') => self.word("false", Val::Bool(false)),
            Some(b'n') => self.word("null", Val::Null),
            Some(_) => Err(self.fault("no value")),
            None => Err(self.fault("the text ends too early")),
        }
    }

    fn word(&mut self, word: &str, value: Val) -> Result<Val, Fault> {
        if self.bytes.get(self.place..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.place += word.len();
            Ok(value)
        } else {
            Err(self.fault("no value"))
        }
    }

    fn list(&mut self, depth: usize) -> Result<Val, Fault> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.fault("nested too deeply"))?;
        self.place += 1;
        self.space();
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.place += 1;
            return Ok(Val::Arr(Rc::new(items)));
        }
        loop {
            self.space();
            items.push(self.value(depth)?);
            self.space();
            match self.peek() {
                Some(b',') => self.place += 1,
                Some(b']') => {
                    self.place += 1;
                    return Ok(Val::Arr(Rc::new(items)));
                }
                _ => return Err(self.fault("no `,` or `]` behind an item")),
            }
        }
    }

    /// Of a name that occurs twice the last value counts, as in jq.
    fn object(&mut self, depth: usize) -> Result<Val, Fault> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.fault("nested too deeply"))?;
        self.place += 1;
        self.space();
        let mut entries = Map::default();
        if self.peek() == Some(b'}') {
            self.place += 1;
            return Ok(Val::obj(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.fault("no name"));
            }
            let name = Val::utf8_str(self.string()?);
            self.expect(b':', "no `:` behind a name")?;
            self.space();
            let value = self.value(depth)?;
            entries.insert(name, value);
            self.space();
            match self.peek() {
                Some(b',') => self.place += 1,
                Some(b'}') => {
                    self.place += 1;
                    return Ok(Val::obj(entries));
                }
                _ => return Err(self.fault("no `,` or `}` behind a value")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.place;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.place += 1;
        }
        if self.place == start { Err(self.fault("no digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Val, Fault> {
        let start = self.place;
        if self.peek() == Some(b'-') {
            self.place += 1;
        }
        if self.peek() == Some(b'0') {
            self.place += 1;
        } else {
            self.digits()?;
        }
        let mut is_whole = true;
        if self.peek() == Some(b'.') {
            is_whole = false;
            self.place += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_whole = false;
            self.place += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.place += 1;
            }
            self.digits()?;
        }
        let written = self.bytes.get(start..self.place).unwrap_or_default();
        let written = std::str::from_utf8(written).unwrap_or_default();
        let whole = if is_whole && written.len() <= DIGITS { Num::from_str_radix(written, 10) } else { None };
        Ok(Val::Num(whole.unwrap_or_else(|| Num::Dec(Rc::new(written.to_owned())))))
    }

    fn string(&mut self) -> Result<Bytes, Fault> {
        self.place += 1;
        let start = self.place;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
        let plain = rest.get(..end).unwrap_or_default();
        self.place += end;
        if self.peek() == Some(b'"') {
            self.place += 1;
            return Ok(Bytes::copy_from_slice(plain));
        }
        self.escaped(plain.to_vec())
    }

    /// The rest of a string from its first escape on.
    fn escaped(&mut self, mut text: Vec<u8>) -> Result<Bytes, Fault> {
        loop {
            let byte = self.peek().ok_or_else(|| self.fault("the text ends too early"))?;
            match byte {
                b'"' => {
                    self.place += 1;
                    return Ok(Bytes::from(text));
                }
                b'\\' => {
                    self.place += 1;
                    let character = self.escape()?;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..=0x1f => return Err(self.fault("a control character in a string")),
                other => {
                    text.push(other);
                    self.place += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let byte = self.peek().ok_or_else(|| self.fault("the text ends too early"))?;
        self.place += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.fault("no escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, Fault> {
        let high = self.four_digits()?;
        if let Some(character) = char::from_u32(high) {
            return Ok(character);
        }
        // A high surrogate wants a low one behind it.
        let before = self.place;
        if high < 0xDC00 && self.bytes.get(before..before + 2) == Some(b"\\u") {
            self.place += 2;
            let low = self.four_digits()?;
            if (0xDC00..0xE000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.place = before;
        }
        self.lossy = true;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn four_digits(&mut self) -> Result<u32, Fault> {
        let digits = self.bytes.get(self.place..self.place + 4).ok_or_else(|| self.fault("the text ends too early"))?;
        let code = digits.iter().try_fold(0, |code, byte| Some(code << 4 | char::from(*byte).to_digit(16)?));
        self.place += 4;
        code.ok_or_else(|| self.fault("no hexadecimal digit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: &str) -> Result<String, String> {
        parse(source.as_bytes(), MAX_DEPTH).map(|parsed| parsed.value.to_string()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn json_is_read_as_it_is_written() {
        for source in [
            "null",
            "true",
            "-0.5",
            "[]",
            "{}",
            "12345678901234567890123456789",
            "1.10",
            "1E400",
            r#"{"a":[1,{"b":"c"}],"d":null}"#,
        ] {
            assert_eq!(written(source).as_deref(), Ok(source));
        }
        assert_eq!(written(" { \"a\" : [ 1 , 2 ] } ").as_deref(), Ok(r#"{"a":[1,2]}"#));
        assert_eq!(written(r#""\u00e9\ud83d\ude00\n\/""#).as_deref(), Ok("\"é😀\\n/\""));
        assert_eq!(written(r#"{"a":1,"a":2}"#).as_deref(), Ok(r#"{"a":2}"#));
    }

    #[test]
    fn a_lone_surrogate_is_replaced_and_flagged() {
        for source in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#] {
            let parsed = parse(source.as_bytes(), 1).unwrap();
            assert!(parsed.lossy, "{source}");
            assert!(parsed.value.to_string().contains('\u{FFFD}'));
        }
    }

    #[test]
    fn what_is_no_json_names_the_place() {
        for (source, fault) in [
            ("", "the text ends too early at byte 0"),
            ("[1,]", "no value at byte 3"),
            ("{\"a\" 1}", "no `:` behind a name at byte 5"),
            ("{a:1}", "no name at byte 1"),
            ("[1 2]", "no `,` or `]` behind an item at byte 3"),
            ("01", "something follows the value at byte 1"),
            ("1.", "no digit at byte 2"),
            ("NaN", "no value at byte 0"),
            ("\"\t\"", "a control character in a string at byte 1"),
            ("\"\\x\"", "no escape at byte 3"),
            ("\"abc", "the text ends too early at byte 4"),
            ("nul", "no value at byte 0"),
        ] {
            assert_eq!(written(source), Err(fault.to_owned()), "{source}");
        }
    }

    #[test]
    fn nesting_and_number_of_values_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(64).as_bytes(), 64).is_ok());
        assert!(parse(nested(65).as_bytes(), 1000).is_err());
        assert!(parse("[".repeat(1_000_000).as_bytes(), 64).is_err());
        assert!(parse(("[".to_owned() + &"0,".repeat(NODES) + "0]").as_bytes(), 64).is_err());
    }
}
