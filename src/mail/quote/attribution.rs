//! The line above a quote: `On Mon, 3 Nov 2025 at 08:15, X <x@example.org> wrote:`, in whatever language, over one line or
//! several.

use std::ops::Range;

use super::lines::{Lines, has_time};

/// Lines that a header may be folded into.
const FOLDS: usize = 4;

/// Bytes of the line in which a header with a quote behind it is looked for.
const GLUED: usize = 300;
/// Bytes of the last line of the shortest one: a verb.
const SHORTEST: usize = 5;

/// A header that was found.
pub(super) struct Attribution {
    pub(super) lines: Range<usize>,
    /// It has a date and an address as only a client writes them, so that what follows is quoted even without `>`.
    pub(super) is_sure: bool,
}

/// Verbs right before the colon.
const ENDS: &[&str] = &[
    // Indonesian and Malay; English
    "menulis",
    "menulis berikut",
    "menuliskan",
    "wrote",
    "writes",
    "wrote the following",
    // French, Spanish, Portuguese, Italian
    "écrit",
    "escribió",
    "escribio",
    "escreveu",
    "ha scritto",
    "scrive",
    // German, Dutch, Scandinavian, where the name stands before the verb
    "schrieb",
    "geschrieben",
    "schreef",
    "het volgende geschreven",
    "skrev",
    "skrev følgende",
    // Polish, Czech, Hungarian, Finnish, Romanian, Turkish, Vietnamese, Russian
    "pisze",
    "napisał",
    "napisała",
    "napisał(a)",
    "napsal(a)",
    "írta",
    "kirjoitti",
    "a scris",
    "yazdı",
    "đã viết",
    "пишет",
    "писал(а)",
    // Chinese, Korean, Thai
    "写道",
    "寫道",
    "님이 작성",
    "เขียนว่า",
];

/// First words of headers that begin with the date.
const STARTS: &[&str] = &[
    "on ",
    "pada ",
    "am ",
    "op ",
    "den ",
    "le ",
    "el ",
    "em ",
    "il ",
    "w dniu ",
    "dnia ",
    "vào ",
    "ngày ",
    "ในวันที่ ",
    "在",
    "于",
];

/// First words and verbs where the name stands behind the verb: `Am 3. Nov. 2025 schrieb X <x@example.org>:`
const INSIDE: &[(&str, &str)] = &[
    ("am ", " schrieb "),
    ("op ", " schreef "),
    ("den ", " skrev "),
    ("på ", " skrev "),
    ("في ", "كتب"),
    ("في ", "بواسطة"),
];

/// The header whose last line is `last`.
pub(super) fn ending_at(lines: &Lines<'_>, last: usize) -> Option<Attribution> {
    let line = lines.short(last);
    // Most lines end with a letter, and are soon known to be none.
    if line.ends_with(|letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | ',')) {
        return None;
    }
    let end = without_marks(line).strip_suffix([':', '：'])?.trim_end();
    if end.len() < SHORTEST {
        return None;
    }
    let end = end.to_lowercase();
    if ENDS.iter().any(|verb| ends_with_word(&end, verb)) {
        return Some(from_its_start(lines, last).unwrap_or_else(|| without_start(lines, last, &end)));
    }
    named_last(lines, last).or_else(|| without_verb(lines, last))
}

/// Two clients write headers of a line that does not end with a colon. Yahoo on phones puts the quoted words right behind it:
/// `Pada Sen, 3 Nov 2025 pada 8:16, X<x@example.org> menulis:   Terima kasih.`; GroupWise writes
/// `>>> "X" <x@example.org> 11/3/2025 4:20 PM >>>`. What follows has no `>`.
pub(super) fn is_glued(lines: &Lines<'_>, line: usize) -> bool {
    let text = lines.line(line);
    let is_groupwise = text.starts_with(">>>") && text.ends_with(">>>") && has_time(lines.short(line));
    is_groupwise || is_of_yahoo(text)
}

fn is_of_yahoo(text: &str) -> bool {
    let Some(start) = ["On ", "Pada "].iter().find(|start| text.starts_with(**start)) else { return false };
    let end = (start.len()..=text.len().min(GLUED)).rev().find(|end| text.is_char_boundary(*end));
    let head = end.map_or("", |end| &text[..end]);
    let found = ["> menulis:", "> wrote:"].iter().find_map(|verb| head.split_once(verb));
    found.is_some_and(|(before, behind)| before.contains('@') && has_time(before) && !behind.trim().is_empty())
}

/// With a first word that goes before a date, here or some lines above.
fn from_its_start(lines: &Lines<'_>, last: usize) -> Option<Attribution> {
    folded(lines, last).find_map(|first| {
        let head = head(lines, first);
        let is_start = STARTS.iter().any(|start| head.starts_with(start))
            || head.starts_with(|letter: char| letter.is_ascii_digit());
        let header = first..last + 1;
        let has_digit = header.clone().any(|line| has_digit(lines, line));
        // A client puts the address between angle brackets; a citizen who tells what somebody wrote does not.
        let has = |mark: char| header.clone().any(|line| lines.short(line).contains(mark));
        let has_address = has('@') && has('<');
        (is_start && has_digit).then_some(Attribution { lines: header, is_sure: has_address })
    })
}

/// `Budi Santoso <budi@example.org> wrote:`; the name may stand on the line above its address.
fn without_start(lines: &Lines<'_>, last: usize, end: &str) -> Attribution {
    let is_torn = last > 0 && end.starts_with('<') && !lines.is_blank(last - 1) && !lines.is_quoted(last - 1);
    let first = if is_torn { last - 1 } else { last };
    // In Chinese the address goes before the date.
    let is_sure = end.ends_with('道') && end.contains('@') && end.bytes().any(|byte| byte.is_ascii_digit());
    Attribution { lines: first..last + 1, is_sure }
}

fn named_last(lines: &Lines<'_>, last: usize) -> Option<Attribution> {
    if !folded(lines, last).any(|line| has_digit(lines, line)) {
        return None;
    }
    folded(lines, last).find_map(|first| {
        let head = head(lines, first);
        if !INSIDE.iter().any(|(start, _)| head.starts_with(start)) {
            return None;
        }
        let header = first..last + 1;
        let mut words = String::with_capacity(128);
        for line in header.clone() {
            words.push_str(&lines.short(line).to_lowercase());
            words.push(' ');
        }
        let has_verb = INSIDE.iter().any(|(start, verb)| head.starts_with(start) && words.contains(verb));
        let has_digit = header.clone().any(|line| has_digit(lines, line));
        (has_verb && has_digit).then(|| Attribution { lines: header, is_sure: words.contains('@') })
    })
}

/// Gmail in Japanese and Russian has no verb: `2025年11月3日(月) 8:15 X <x@example.org>:`. It is believed above `>` only.
fn without_verb(lines: &Lines<'_>, last: usize) -> Option<Attribution> {
    if !without_marks(lines.short(last)).ends_with(">:") {
        return None;
    }
    folded(lines, last).take(2).find_map(|first| {
        let header = first..last + 1;
        let has = |sign: &dyn Fn(&str) -> bool| header.clone().any(|line| sign(lines.short(line)));
        let is_dated = has(&|line| line.contains("20")) && has(&has_time) && has(&|line| line.contains('@'));
        is_dated.then(|| Attribution { lines: header.clone(), is_sure: false })
    })
}

/// The lines where a header may begin, the nearest first: those of the same paragraph.
fn folded<'a>(lines: &'a Lines<'_>, last: usize) -> impl Iterator<Item = usize> + 'a {
    let first = last.saturating_sub(FOLDS - 1);
    (first..=last).rev().take_while(|line| !lines.short(*line).is_empty() && !lines.is_quoted(*line))
}

fn has_digit(lines: &Lines<'_>, line: usize) -> bool {
    lines.short(line).bytes().any(|byte| byte.is_ascii_digit())
}

fn head(lines: &Lines<'_>, line: usize) -> String {
    let mut head = without_marks(lines.short(line)).to_lowercase();
    head.push(' ');
    head
}

/// Without the marks of bold type and the dashes that some clients put around a header.
fn without_marks(line: &str) -> &str {
    line.trim_matches(|letter: char| letter.is_whitespace() || "*_-–—\u{200e}\u{200f}\u{a0}".contains(letter))
}

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|before| {
        // Chinese, Korean and Thai put no space between words.
        !word.starts_with(|letter: char| letter.is_ascii_alphabetic()) || !before.ends_with(char::is_alphanumeric)
    })
}
