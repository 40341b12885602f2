//! The alphabet of SMS: how much room a text takes, and where it may be cut.
//!
//! 3GPP TS 23.038: the GSM 7 bit default alphabet, whose extension table costs an escape septet more, or UCS-2 for
//! everything else. TS 23.040: 160 septets or 70 units in one message; 153 or 67 in each part of a longer one, because
//! the header that joins the parts takes the rest.

/// Septets of a single message.
pub const SINGLE_SEPTETS: usize = 160;
/// Septets of one part of several.
pub const PART_SEPTETS: usize = 153;
/// UTF-16 units of a single message.
pub const SINGLE_UNITS: usize = 70;
/// UTF-16 units of one part of several.
pub const PART_UNITS: usize = 67;

/// The default alphabet (6.2.1) without ASCII letters, digits and the escape.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
/// The extension table (6.2.1.1): an escape and a septet.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// A text cut into messages: the parts and the rest, one behind the other, are the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    pub parts: Vec<&'a str>,
    /// What found no room in the parts that were allowed.
    pub rest: &'a str,
}

/// Septets of the text; None when a character is not in the alphabet, so that the text goes as UCS-2.
pub fn septets(text: &str) -> Option<usize> {
    text.chars().try_fold(0, |sum, letter| Some(sum + septets_of(letter)?))
}

/// Does the text go in septets?
pub fn is_gsm7(text: &str) -> bool {
    text.chars().all(|letter| septets_of(letter).is_some())
}

/// UTF-16 units of the text: its room in UCS-2.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Cuts a text into at most `max_parts` messages, never inside an escape pair or a surrogate pair.
pub fn split(text: &str, max_parts: usize) -> Parts<'_> {
    let gsm7 = is_gsm7(text);
    let (single, part) = if gsm7 { (SINGLE_SEPTETS, PART_SEPTETS) } else { (SINGLE_UNITS, PART_UNITS) };
    let cost = |letter: char| if gsm7 { septets_of(letter).unwrap_or(1) } else { letter.len_utf16() };
    let whole = fitting(text, single, cost);
    // With one message there are no parts to join, so it has the room of a single one.
    let room = if whole == text.len() || max_parts == 1 { single } else { part };
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() && parts.len() < max_parts {
        let (head, tail) = rest.split_at(fitting(rest, room, cost));
        parts.push(head);
        rest = tail;
    }
    Parts { parts, rest }
}

/// The text in the alphabet: typographic signs as their plain ones, letters without the marks that the alphabet lacks,
/// `?` for the others. The gateway's own texts need none of it; names in them may.
pub fn fold(text: &str) -> String {
    use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
    let mut folded = String::with_capacity(text.len());
    for letter in text.nfc() {
        match letter {
            _ if septets_of(letter).is_some() => folded.push(letter),
            '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{2032}' | '`' | '\u{b4}' => folded.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => folded.push('"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => folded.push('-'),
            '\u{2022}' | '\u{b7}' => folded.push('*'),
            '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' => folded.push(' '),
            // Nothing is seen of these, and of a mark alone.
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            _ if is_combining_mark(letter) => {}
            _ => {
                let plain: String = std::iter::once(letter).nfkd().filter(|part| !is_combining_mark(*part)).collect();
                folded.push_str(if !plain.is_empty() && is_gsm7(&plain) { &plain } else { "?" });
            }
        }
    }
    folded
}

/// The longest beginning of at most `room` septets. The text is one of the alphabet.
pub fn cut(text: &str, room: usize) -> &str {
    &text[..fitting(text, room, |letter| septets_of(letter).unwrap_or(1))]
}

/// Bytes of the longest beginning whose letters cost no more than `room`.
fn fitting(text: &str, room: usize, cost: impl Fn(char) -> usize) -> usize {
    let mut used = 0;
    let over = text.char_indices().find(|(_, letter)| {
        used += cost(*letter);
        used > room
    });
    over.map_or(text.len(), |(byte, _)| byte)
}

fn septets_of(letter: char) -> Option<usize> {
    if letter.is_ascii_alphanumeric() || letter == ' ' || BASIC.contains(letter) {
        Some(1)
    } else if EXTENSION.contains(letter) {
        Some(2)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_alphabet_has_as_many_letters_as_the_standard_gives_it() {
        let all = (0..=0x2_0000).filter_map(char::from_u32);
        let costs: Vec<usize> = all.filter_map(septets_of).collect();
        // 128 codes but for the escape; ten in the extension table.
        assert_eq!(costs.iter().filter(|cost| **cost == 1).count(), 127);
        assert_eq!(costs.iter().filter(|cost| **cost == 2).count(), 10);
    }

    #[test]
    fn an_extension_letter_takes_two_septets_and_a_foreign_one_makes_it_ucs2() {
        assert_eq!(septets("[x]"), Some(5));
        assert_eq!(septets("Halo é"), Some(6));
        assert_eq!(septets("halo `"), None);
        assert_eq!(units("a😀"), 3);
        assert!(!is_gsm7("ê"));
    }

    #[test]
    fn texts_are_cut_at_the_limits_of_one_and_of_several_messages() {
        let (full, over) = ("a".repeat(160), "a".repeat(161));
        assert_eq!(split(&full, 9).parts.len(), 1);
        assert_eq!(split(&over, 9).parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [153, 8]);
        assert_eq!(split(&over, 1), Parts { parts: vec![&over[..160]], rest: "a" });
        let wide = "界".repeat(71);
        assert_eq!(split(&wide, 9).parts.iter().map(|part| part.chars().count()).collect::<Vec<_>>(), [67, 4]);
        assert_eq!(split("", 3), Parts { parts: vec![], rest: "" });
    }

    #[test]
    fn no_part_ends_inside_an_escape_pair_or_a_surrogate_pair() {
        let brackets = "a".repeat(152) + &"[".repeat(20);
        let split_brackets = split(&brackets, 9);
        assert_eq!(split_brackets.parts[0].len(), 152, "the bracket needs two septets and only one was left");
        let faces = "😀".repeat(40);
        assert_eq!(split(&faces, 9).parts[0].chars().count(), 33, "67 units hold 33 pairs");
    }

    #[test]
    fn names_lose_what_the_alphabet_lacks_and_nothing_else() {
        assert_eq!(fold("Dinas “Perhubungan” – Kota Café Ž"), "Dinas \"Perhubungan\" - Kota Café Z");
        assert_eq!(fold("e\u{301}"), "é");
        assert_eq!(fold("界"), "?");
        assert_eq!(cut("ab[c", 3), "ab");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn parts_and_rest_are_the_text_and_every_part_fits(text in "\\PC{0,400}", ascii in "[ -~\n]{0,400}", max in 0_usize..5) {
            for text in [text, ascii] {
                let Parts { parts, rest } = split(&text, max);
                prop_assert_eq!(parts.concat() + rest, text.clone());
                prop_assert!(parts.len() <= max);
                for part in &parts {
                    prop_assert!(!part.is_empty());
                    if is_gsm7(&text) {
                        prop_assert!(septets(part) <= Some(160));
                    } else {
                        prop_assert!(units(part) <= 70);
                    }
                }
                let folded = fold(&text);
                prop_assert!(is_gsm7(&folded));
                prop_assert!(septets(cut(&folded, 20)) <= Some(20));
            }
        }
    }
}
