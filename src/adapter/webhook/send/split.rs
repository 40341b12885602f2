//! `split`: cuts a long text into parts that the provider takes (`channel-manifest.md` §3).
//!
//! Cut at word ends; a word longer than a part is cut between characters, never inside one, nor between a letter and the
//! marks on it. White space at a cut goes away, everything else is kept.

use unicode_normalization::char::is_combining_mark;

use crate::adapter::webhook::rules::{SplitRules, SplitUnit};

/// A shorter part would hold no word of a citizen's language.
pub(super) const LEAST_CHARS: usize = 20;

/// Letters that are one character on the screen, however many code points it has; a longer run is cut all the same.
const LONGEST_CLUSTER: usize = 32;

/// What a letter costs of `max_chars`.
#[derive(Clone, Copy)]
enum Measure {
    /// `chars`, and `sms` where the text needs UCS-2. UTF-16 units are never fewer than characters, so that a part
    /// is right whichever of the two the provider counts.
    Units,
    /// `sms` in the alphabet of GSM 03.38: an escape pair costs two.
    Septets,
}

impl Measure {
    fn of(text: &str, unit: SplitUnit) -> Self {
        if unit == SplitUnit::Sms && septets(text).is_some() { Self::Septets } else { Self::Units }
    }

    fn cost(self, letter: char) -> usize {
        match self {
            Self::Units => letter.len_utf16(),
            Self::Septets => septets(letter.encode_utf8(&mut [0; 4])).unwrap_or(1),
        }
    }
}

/// The parts in order, none of them empty but that of an empty text.
pub(super) fn parts(text: &str, rules: &SplitRules) -> Result<Vec<String>, String> {
    let measure = Measure::of(text, rules.unit);
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let fits = fitting(rest, rules.max_chars, measure);
        let is_last = fits == rest.len();
        let (part, tail) = rest.split_at(if is_last { fits } else { cut(rest, fits) });
        // The first part keeps its beginning and the last its end: nothing was cut there.
        let part = if is_last { part } else { part.trim_end() };
        if !part.is_empty() || is_last {
            if parts.len() == rules.max_parts {
                let allowed = rules.max_parts;
                return Err(format!("split: the text needs more than the {allowed} parts that the manifest allows"));
            }
            parts.push(part.to_owned());
        }
        rest = tail.trim_start();
        if is_last || rest.is_empty() {
            return Ok(parts);
        }
    }
}

/// Bytes of the longest beginning that costs at most `room`.
fn fitting(text: &str, room: usize, measure: Measure) -> usize {
    let mut used = 0;
    let over = text.char_indices().find(|(_, letter)| {
        used += measure.cost(*letter);
        used > room
    });
    over.map_or(text.len(), |(byte, _)| byte)
}

/// Where to cut within the first `fits` bytes, given that more follows: behind the last word, or between two characters.
fn cut(text: &str, fits: usize) -> usize {
    let head = &text[..fits];
    if text[fits..].starts_with(char::is_whitespace) {
        return fits;
    }
    if let Some((space, letter)) = head.char_indices().rev().find(|(_, letter)| letter.is_whitespace())
        && !head[..space].trim().is_empty()
    {
        return space + letter.len_utf8();
    }
    let places = head.char_indices().rev().take(LONGEST_CLUSTER).map(|(byte, _)| byte);
    let whole = std::iter::once(fits).chain(places).find(|byte| *byte > 0 && !joins(&text[..*byte], &text[*byte..]));
    whole.unwrap_or(fits)
}

/// Are the last letter of one text and the first of the next one character?
fn joins(before: &str, behind: &str) -> bool {
    const JOINER: char = '\u{200d}';
    let (Some(last), Some(first)) = (before.chars().next_back(), behind.chars().next()) else { return false };
    let extends = is_combining_mark(first)
        || first == JOINER
        || matches!(first, '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}');
    let is_flag = |letter: &char| matches!(letter, '\u{1f1e6}'..='\u{1f1ff}');
    // Flags are pairs: an odd number of halves before the cut leaves one alone.
    let halves = before.chars().rev().take(LONGEST_CLUSTER).take_while(is_flag).count();
    extends || last == JOINER || (is_flag(&first) && halves % 2 == 1) || (last == '\r' && first == '\n')
}

/// Septets in the GSM 7 bit default alphabet (3GPP TS 23.038); None when a letter is not in it.
fn septets(text: &str) -> Option<usize> {
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
    const EXTENSION: &str = "\u{c}^{}\\[~]|€";
    text.chars().try_fold(0, |sum, letter| {
        if letter.is_ascii_alphanumeric() || BASIC.contains(letter) {
            Some(sum + 1)
        } else {
            EXTENSION.contains(letter).then_some(sum + 2)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(max_chars: usize, unit: SplitUnit) -> SplitRules {
        SplitRules { max_chars, unit, max_parts: 50 }
    }

    #[test]
    fn a_text_is_cut_at_word_ends() {
        let text = "Laporan Anda kami teruskan ke Dinas Pekerjaan Umum";
        let parts = parts(text, &rules(20, SplitUnit::Chars)).expect("it fits");
        assert_eq!(parts, ["Laporan Anda kami", "teruskan ke Dinas", "Pekerjaan Umum"]);
    }

    #[test]
    fn a_text_that_fits_is_left_as_it_is() {
        for text in ["", " a ", "\n"] {
            assert_eq!(parts(text, &rules(20, SplitUnit::Chars)), Ok(vec![text.to_owned()]));
        }
    }

    #[test]
    fn escape_pairs_and_surrogate_pairs_are_never_cut() {
        // Twenty septets: nine euro signs and two letters, then the next sign finds room for one half only.
        let text = format!("x{}", "€".repeat(20));
        let cut = parts(&text, &rules(20, SplitUnit::Sms)).expect("it fits");
        assert_eq!(cut[0], format!("x{}", "€".repeat(9)));
        assert_eq!(cut.concat(), text);
        let text = format!("x{}", "😀".repeat(20));
        let cut = parts(&text, &rules(20, SplitUnit::Sms)).expect("it fits");
        assert_eq!(cut[0], format!("x{}", "😀".repeat(9)));
    }

    #[test]
    fn a_letter_keeps_its_marks() {
        for cluster in ["e\u{301}", "👨\u{200d}👩\u{200d}👧", "👍\u{1f3fd}", "🇮🇩"] {
            for shift in 0..6 {
                let text = format!("{}{}", "x".repeat(shift), cluster.repeat(30));
                let cut = parts(&text, &rules(20, SplitUnit::Chars)).expect("it fits");
                assert_eq!(cut.concat(), text);
                for part in &cut[1..] {
                    assert!(part.starts_with(cluster), "{part:?} of {cluster:?}");
                }
            }
        }
    }

    #[test]
    fn a_text_beyond_all_parts_is_an_error_not_half_an_answer() {
        let rules = SplitRules { max_chars: 20, unit: SplitUnit::Chars, max_parts: 2 };
        assert!(parts(&"kata ".repeat(8), &rules).is_ok());
        assert!(parts(&"kata ".repeat(9), &rules).is_err());
    }

    proptest! {
        #[test]
        fn nothing_but_white_space_is_lost_and_every_part_fits(
            text in "[a-c €{é😀e\u{301}\n]{0,300}",
            room in 20_usize..60,
            is_sms: bool,
        ) {
            let unit = if is_sms { SplitUnit::Sms } else { SplitUnit::Chars };
            let measure = Measure::of(&text, unit);
            let parts = parts(&text, &rules(room, unit)).expect("fifty parts are enough");
            let words = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(words(&parts.concat()), words(&text));
            for part in &parts {
                prop_assert!(part.chars().map(|letter| measure.cost(letter)).sum::<usize>() <= room);
            }
        }
    }
}
