//! Tags and the text between them, in one pass. Whatever is no tag is text.

/// A piece of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'x> {
    /// Text, with its entities.
    Text(&'x str),
    Open {
        name: &'x str,
        attributes: &'x str,
    },
    Close(&'x str),
}

/// The pieces of a page; comments, declarations, and elements whose content is no text are left out.
pub(super) struct Tokens<'x> {
    rest: &'x str,
    /// No `>` follows any more.
    is_open_ended: bool,
}

/// Their content is no text, and no tags are looked for in it.
const RAW: [&str; 7] = ["script", "style", "title", "template", "noframes", "xmp", "textarea"];

impl<'x> Tokens<'x> {
    pub(super) fn of(html: &'x str) -> Self {
        Self { rest: html, is_open_ended: false }
    }

    fn take(&mut self, length: usize) -> &'x str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn skip_past(&mut self, end: &str) {
        self.rest = self.rest.find(end).and_then(|at| self.rest.get(at + end.len()..)).unwrap_or_default();
    }

    /// The bytes of the tag that begins here; quotes in it are heeded unless they are never closed.
    fn tag_length(&mut self) -> Option<usize> {
        if self.is_open_ended {
            return None;
        }
        let mut quote = None;
        let bytes = self.rest.bytes().enumerate();
        for (at, byte) in bytes {
            match (byte, quote) {
                (b'>', None) => return Some(at + 1),
                (b'"' | b'\'', None) if self.rest.as_bytes().get(at.wrapping_sub(1)) == Some(&b'=') => {
                    quote = Some(byte);
                }
                (byte, Some(open)) if byte == open => quote = None,
                _ => {}
            }
        }
        let plain = self.rest.find('>').map(|at| at + 1);
        self.is_open_ended = plain.is_none();
        plain
    }

    /// Leaves out the content of a raw element.
    fn skip_raw(&mut self, name: &str) {
        while let Some(at) = self.rest.find("</") {
            self.rest = self.rest.get(at + 2..).unwrap_or_default();
            if self.rest.get(..name.len()).is_some_and(|closed| closed.eq_ignore_ascii_case(name)) {
                return self.skip_past(">");
            }
        }
        self.rest = "";
    }
}

impl<'x> Iterator for Tokens<'x> {
    type Item = Token<'x>;

    fn next(&mut self) -> Option<Token<'x>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            if !self.rest.starts_with('<') {
                let length = self.rest.find('<').unwrap_or(self.rest.len());
                return Some(Token::Text(self.take(length)));
            }
            if self.rest.starts_with("<!--") {
                self.skip_past("-->");
                continue;
            }
            let second = self.rest.as_bytes().get(1..3).unwrap_or_default();
            let is_tag = match second {
                [b'/', letter] | [letter, _] => letter.is_ascii_alphabetic() || matches!(letter, b'!' | b'?'),
                _ => false,
            };
            let Some(length) = is_tag.then(|| self.tag_length()).flatten() else {
                return Some(Token::Text(self.take(1)));
            };
            let tag = self.take(length);
            let inside = tag.get(1..tag.len() - 1).unwrap_or_default();
            if inside.starts_with(['!', '?']) {
                continue;
            }
            let (inside, is_close) = inside.strip_prefix('/').map_or((inside, false), |inside| (inside, true));
            let end = |letter: char| letter.is_whitespace() || letter == '/';
            let (name, attributes) = inside.split_once(end).unwrap_or((inside, ""));
            if is_close {
                return Some(Token::Close(name));
            }
            if RAW.iter().any(|raw| raw.eq_ignore_ascii_case(name)) {
                self.skip_raw(name);
                continue;
            }
            return Some(Token::Open { name, attributes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_text_are_told_apart() {
        let tokens: Vec<Token<'_>> = Tokens::of("a<b c='>'>d</b ><!x><STYLE>e</style>f<3").collect();
        let open = Token::Open { name: "b", attributes: "c='>'" };
        let text = |text| Token::Text(text);
        assert_eq!(tokens, [text("a"), open, text("d"), Token::Close("b"), text("f"), text("<"), text("3")]);
    }
}
