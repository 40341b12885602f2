//! A text as lines.

use std::ops::Range;

/// Longest line that can be a header or a marker, in bytes.
const SHORT: usize = 300;

/// The lines of a text. A line's number past the last one is the end of the text.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Where each line starts, and the end of the text.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        if starts.last() != Some(&text.len()) {
            starts.push(text.len());
        }
        Self { text, starts }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The byte where a line starts.
    pub(super) fn start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.text.len())
    }

    /// A line without its end.
    pub(super) fn raw(&self, line: usize) -> &'a str {
        let text = self.text.get(self.start(line)..self.start(line + 1)).unwrap_or_default();
        let text = text.strip_suffix('\n').unwrap_or(text);
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// A line without the space around it.
    pub(super) fn line(&self, line: usize) -> &'a str {
        trim(self.raw(line))
    }

    /// The line, or nothing when it is too long for a header or a marker.
    pub(super) fn short(&self, line: usize) -> &'a str {
        if self.start(line + 1) - self.start(line) > SHORT { "" } else { self.line(line) }
    }

    pub(super) fn is_blank(&self, line: usize) -> bool {
        is_blank(self.raw(line))
    }

    pub(super) fn is_all_blank(&self, mut range: Range<usize>) -> bool {
        range.all(|line| self.is_blank(line))
    }

    /// Does the line begin with `>`, or stand for quoted lines that the client hid?
    pub(super) fn is_quoted(&self, line: usize) -> bool {
        let text = self.raw(line).trim_start_matches(is_space);
        text.starts_with('>') || HIDDEN.iter().any(|hidden| starts_with(text, hidden))
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
            let text = self.raw(line).trim_start_matches(is_space).trim_start_matches('>');
            let text = text.trim_start_matches(is_space);
            is_nested |= text.starts_with('>') || self.raw(line).trim_start_matches(is_space).starts_with(">>");
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

pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
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
