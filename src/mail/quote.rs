//! What a letter says anew, and what it quotes.
//!
//! In: the plain text of a letter. Out: its [`Split`]: which stretch is new, which is quoted, which is a signature or a
//! disclaimer. Nothing is thrown away: the parts are the whole text, in order. In doubt a stretch is new, as a complaint with
//! too many words is read and one with too few is lost. What is forwarded is new: it is what the citizen complains about.
//!
//! Clients agree on little (RFC 3676 has `>` and `-- `, and there is no standard for the line above a quote), so this is
//! a table of what they are known to write, read line by line. It takes linear time whatever the text: each line is looked
//! at with a constant number of its neighbours, long lines are never headers, and there is no regular expression.

use std::ops::Range;

mod attribution;
mod block;
mod closing;
mod lines;
mod markers;

use block::Block;
use lines::Lines;

/// Longest text that is looked at, in bytes; a longer one is all new.
const LONGEST: usize = 1 << 20;

/// What a stretch of lines is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    New,
    /// `On Monday, X wrote:`, or the block of `From:`, `Sent:`, `To:`, `Subject:`.
    ReplyHeader,
    Quote,
    /// From `-- ` on, and lines like `Sent from my iPhone`.
    Signature,
    Disclaimer,
}

/// A text in parts: byte ranges in order, without gaps, from its first byte to its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub parts: Vec<(Kind, Range<usize>)>,
}

impl Split {
    /// The new parts of the text that was split. A letter that says nothing new (only a quote, only a signature) says
    /// everything that stands in it.
    pub fn new_text(&self, text: &str) -> String {
        let mut new = String::new();
        for (_, range) in self.parts.iter().filter(|(kind, _)| *kind == Kind::New) {
            let part = text.get(range.clone()).unwrap_or_default().trim();
            if lines::is_blank(part) {
                continue;
            }
            if !new.is_empty() {
                new.push_str("\n\n");
            }
            new.push_str(part);
        }
        if new.is_empty() { text.trim().to_owned() } else { new }
    }
}

/// Does the subject say that the letter is forwarded? Outlook writes the same header above a forwarded letter as above a
/// quoted one; only the subject tells them apart, so the caller takes all of such a letter as new.
pub fn is_forwarded(subject: &str) -> bool {
    markers::is_forwarding_subject(subject)
}

/// Finds what is new.
pub fn split(text: &str) -> Split {
    if text.is_empty() {
        return Split { parts: Vec::new() };
    }
    if text.len() > LONGEST {
        return Split { parts: vec![(Kind::New, 0..text.len())] };
    }
    let lines = Lines::of(text);
    let survey = Survey::of(&lines);
    Split { parts: parts(&lines, &survey.label(&lines)) }
}

/// What stands where: made in one pass over the lines. Ranges count lines.
#[derive(Default)]
struct Survey {
    /// Quoted by `>`, each with the header above it, if there is one.
    quotes: Vec<(Range<usize>, Range<usize>)>,
    /// What goes on to the end of the text.
    rest: Option<Rest>,
}

/// What goes on to the end of the text.
enum Rest {
    /// A forwarded letter, from this line.
    Forwarded(usize),
    /// A quoted letter without `>`, and its header.
    Quoted(Range<usize>),
}

impl Survey {
    fn of(lines: &Lines<'_>) -> Self {
        let mut survey = Self::default();
        let (mut at, mut header, mut is_top) = (0, None, true);
        while at < lines.len() {
            if attribution::is_glued(lines, at) {
                survey.rest = Some(Rest::Quoted(at..at + 1));
                return survey;
            }
            if lines.is_quoted(at) {
                let run = lines.quoted_run(at);
                at = run.end;
                survey.add(lines, run, header.take());
                is_top = false;
                continue;
            }
            if lines.is_blank(at) {
                at += 1;
                continue;
            }
            if markers::is_forward(lines.short(at)) {
                survey.rest = Some(Rest::Forwarded(at));
                return survey;
            }
            match Block::at(lines, at) {
                // A formal letter begins with its own `Dari:` and `Kepada:`.
                Some(block) if is_top && !block.is_ruled => at = block.lines.end,
                Some(block) => {
                    survey.rest = Some(Rest::Quoted(block.lines));
                    return survey;
                }
                None => {
                    if let Some(found) = attribution::ending_at(lines, at) {
                        let is_quoted = lines.next_said(at + 1).is_some_and(|next| lines.is_quoted(next));
                        if !is_quoted && found.is_sure {
                            survey.rest = Some(Rest::Quoted(found.lines));
                            return survey;
                        }
                        header = is_quoted.then_some(found.lines);
                    }
                    at += 1;
                }
            }
            is_top = false;
        }
        survey
    }

    /// Notes lines with `>`, unless they are a list or mean "more than". Below a quote every such line is quoted.
    fn add(&mut self, lines: &Lines<'_>, run: Range<usize>, header: Option<Range<usize>>) {
        let header = header.unwrap_or(run.start..run.start);
        if !header.is_empty() || !self.quotes.is_empty() || lines.is_quote(&run) {
            self.quotes.push((header, run));
        }
    }

    /// The kind of each stretch of lines.
    fn label(&self, lines: &Lines<'_>) -> Vec<(Kind, Range<usize>)> {
        let end = match &self.rest {
            Some(Rest::Forwarded(start)) => *start,
            // Without `>` nobody can tell the answers from what they answer.
            Some(Rest::Quoted(header)) if closing::announces_answers_below(lines, header.start) => {
                return vec![(Kind::New, 0..lines.len())];
            }
            Some(Rest::Quoted(header)) => header.start,
            None => lines.len(),
        };
        let Some(mut labels) = self.label_quotes(lines, end) else { return vec![(Kind::New, 0..lines.len())] };
        match &self.rest {
            Some(Rest::Forwarded(start)) => labels.push((Kind::New, *start..lines.len())),
            Some(Rest::Quoted(header)) => {
                labels.push((Kind::ReplyHeader, header.clone()));
                labels.push((Kind::Quote, header.end..lines.len()));
            }
            None => {}
        }
        labels
    }

    /// The kinds of the lines before `end`; None when the new words stand among the quoted ones, so that neither is
    /// understood without the other.
    fn label_quotes(&self, lines: &Lines<'_>, end: usize) -> Option<Vec<(Kind, Range<usize>)>> {
        let (Some((first, _)), Some((_, last))) = (self.quotes.first(), self.quotes.last()) else {
            return Some(closing::label(lines, 0..end));
        };
        let is_answered_inside = self.quotes.windows(2).any(|pair| !lines.is_all_blank(pair[0].1.end..pair[1].0.start));
        if is_answered_inside {
            return None;
        }
        let above = closing::label(lines, 0..first.start);
        let below = closing::label(lines, last.end..end);
        let is_said = |labels: &[(Kind, Range<usize>)]| {
            labels.iter().any(|(kind, range)| *kind == Kind::New && !lines.is_all_blank(range.clone()))
        };
        if is_said(&below) && (is_said(&above) || first.is_empty()) {
            return None;
        }
        let quotes = self
            .quotes
            .iter()
            .flat_map(|(header, quote)| [(Kind::ReplyHeader, header.clone()), (Kind::Quote, quote.clone())]);
        Some(above.into_iter().chain(quotes).chain(below).collect())
    }
}

/// Bytes for lines: blank stretches go with what stands before them, and neighbours of one kind are one part.
fn parts(lines: &Lines<'_>, labels: &[(Kind, Range<usize>)]) -> Vec<(Kind, Range<usize>)> {
    let mut parts: Vec<(Kind, Range<usize>)> = Vec::new();
    let said = labels.iter().filter(|(_, range)| !range.is_empty() && !lines.is_all_blank(range.clone()));
    for (kind, range) in said {
        let start = if parts.is_empty() { 0 } else { lines.start(range.start) };
        match parts.last_mut() {
            Some((last, _)) if last == kind => {}
            last => {
                if let Some((_, last)) = last {
                    last.end = start;
                }
                parts.push((*kind, start..start));
            }
        }
    }
    let end = lines.start(lines.len());
    match parts.last_mut() {
        Some((_, last)) => last.end = end,
        None => parts.push((Kind::New, 0..end)),
    }
    parts
}

#[cfg(test)]
mod tests;
