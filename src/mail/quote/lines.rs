//! A text as lines.

use std::ops::Range;

use memchr::memchr_iter;

/// Longest line that can be a header or a marker, in bytes.
const SHORT: usize = 300;

/// The lines of a text. A line's number past the last one is the end of the text.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// The lines, and an empty one at the end of the text.
    lines: Vec<Line>,
}

/// Bytes of a line. Four for each number, as texts that are split are short: there may be as many lines as bytes.
#[derive(Clone, Copy)]
struct Line {
    start: u32,
    /// Without the space around it. All of these are asked for many times.
    said: (u32, u32),
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut lines = Vec::with_capacity(text.len() / 32 + 2);
        let mut start = 0;
        for end in memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1).chain([text.len()]) {
            if start < end {
                let line = text.get(start..end).unwrap_or_default();
                let said = trim_start(line);
                let from = start + line.len() - said.len();
                let to = from + trim_end(said).len();
                lines.push(Line { start: start as u32, said: (from as u32, to as u32) });
            }
            start = end;
        }
        let end = text.len() as u32;
        lines.push(Line { start: end, said: (end, end) });
        Self { text, lines }
    }

    fn at(&self, line: usize) -> Line {
        let end = self.text.len() as u32;
        self.lines.get(line).copied().unwrap_or(Line { start: end, said: (end, end) })
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len() - 1
    }

    /// The byte where a line starts.
    pub(super) fn start(&self, line: usize) -> usize {
        self.at(line).start as usize
    }

    /// A line without its end.
    pub(super) fn raw(&self, line: usize) -> &'a str {
        let text = self.text.get(self.start(line)..self.start(line + 1)).unwrap_or_default();
        let text = text.strip_suffix('\n').unwrap_or(text);
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// A line without the space around it.
    pub(super) fn line(&self, line: usize) -> &'a str {
        let (from, to) = self.at(line).said;
        self.text.get(from as usize..to as usize).unwrap_or_default()
    }

    /// The line, or nothing when it is too long for a header or a marker.
    pub(super) fn short(&self, line: usize) -> &'a str {
        if self.start(line + 1) - self.start(line) > SHORT { "" } else { self.line(line) }
    }

    pub(super) fn is_blank(&self, line: usize) -> bool {
        let (from, to) = self.at(line).said;
        from == to
    }

    pub(super) fn is_all_blank(&self, mut range: Range<usize>) -> bool {
        range.all(|line| self.is_blank(line))
    }

    /// Does the line begin with `>`, or stand for quoted lines that the client hid?
    pub(super) fn is_quoted(&self, line: usize) -> bool {
        let text = self.line(line);
        text.starts_with('>') || (text.starts_with('[') && HIDDEN.iter().any(|hidden| starts_with(text, hidden)))
    }

    /// The next line that is not blank. It looks two lines ahead and no further.
    pub(super) fn next_said(&self, from: usize) -> Option<usize> {
        (from..self.len().min(from + 3)).find(|line| !self.is_blank(*line))
    }

    /// The quoted lines from `from` on, with the blank ones between them.
    pub(super) fn quoted_run(&self, from: usize) -> Range<usize> {
        let (mut at, mut end) = (from, from);
        while at < self.len() && (self.is_quoted(at) || self.is_blank(at)) {
            at += 1;
            if !self.is_blank(at - 1) {
                end = at;
            }
        }
        from..end
    }

    /// Are lines with `>` and without a header above them a quote? A single one may be a thought, numbers behind it mean
    /// "more than", and below a colon they are a list.
    pub(super) fn is_quote(&self, run: &Range<usize>) -> bool {
        let (mut said, mut numbers, mut is_nested) = (0, 0, false);
        for line in run.clone() {
            let text = self.line(line).trim_start_matches('>').trim_start_matches(is_space);
            is_nested |= text.starts_with('>') || self.line(line).starts_with(">>");
            said += usize::from(!text.is_empty());
            numbers += usize::from(text.starts_with(|letter: char| letter.is_ascii_digit()));
        }
        let is_list = (run.start.saturating_sub(2)..run.start).any(|line| self.line(line).ends_with([':', '：']));
        !is_list && (is_nested || (said > 1 && numbers < said))
    }
}

/// What Gmail leaves of a quote when a conversation is printed.
const HIDDEN: &[&str] = &["[quoted text hidden]", "[kutipan teks disembunyikan]", "[teks kutipan disembunyikan]"];

/// Does the text begin so, in whatever ASCII case?
pub(super) fn starts_with(text: &str, start: &str) -> bool {
    text.as_bytes().get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

/// Marks that nobody sees count as space: phones leave them in front of quotes.
pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}' | '\u{ad}')
}

/// Most lines begin and end with a letter that is no mark.
fn trim_start(text: &str) -> &str {
    let text = text.trim_ascii_start();
    if text.as_bytes().first().is_some_and(u8::is_ascii_graphic) { text } else { text.trim_start_matches(is_space) }
}

fn trim_end(text: &str) -> &str {
    let text = text.trim_ascii_end();
    if text.as_bytes().last().is_some_and(u8::is_ascii_graphic) { text } else { text.trim_end_matches(is_space) }
}

pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// Is there a time of day in it: `8:15`, `08.15`?
pub(super) fn has_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    (1..bytes.len()).any(|at| {
        matches!(bytes[at], b':' | b'.')
            && is_digit(at - 1)
            && is_digit(at + 1)
            && is_digit(at + 2)
            && !is_digit(at + 3)
    })
}
