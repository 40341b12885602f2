//! Texts as the format wants them: NFC, no C0 controls but line feed and tab, lines ended by a line feed alone.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Cleans a text of several lines. A text that is clean already is given back as it is, untouched.
///
/// Space at the ends stays: in a part of a long SMS it may stand between two words.
pub fn clean(text: String) -> String {
    if text.bytes().all(|byte| matches!(byte, b'\n' | b'\t' | 0x20..=0x7f)) {
        return text;
    }
    let text = if text.bytes().any(|byte| byte < 0x20 && byte != b'\n' && byte != b'\t') {
        let lines = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
        lines.chars().filter(|letter| *letter >= ' ' || matches!(letter, '\n' | '\t')).collect()
    } else {
        text
    };
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text,
        _ => text.nfc().collect(),
    }
}

/// Cleans a name, an address or a heading: one line, no space at the ends, at most `longest` characters. None: nothing is left.
pub fn clean_line(text: &str, longest: usize) -> Option<String> {
    let plain = text.len() <= longest && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    let line = if plain {
        text.trim().to_owned()
    } else {
        let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).nfc().collect();
        let line = line.trim();
        let end = line.char_indices().nth(longest).map_or(line.len(), |(end, _)| end);
        line[..end].trim_end().to_owned()
    };
    Some(line).filter(|line| !line.is_empty())
}

/// The first `longest` characters, and whether there were more.
pub fn cut(text: String, longest: usize) -> (String, bool) {
    if text.len() <= longest {
        return (text, false);
    }
    match text.char_indices().nth(longest) {
        Some((end, _)) => (text[..end].to_owned(), true),
        None => (text, false),
    }
}

/// Words in lower case, without the marks around them.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_go_and_lines_end_alike() {
        for (text, clean_text) in [
            ("a\0b", "ab"),
            ("satu\r\ndua\rtiga\tempat\n", "satu\ndua\ntiga\tempat\n"),
            ("\u{1b}[31mmerah\u{8}", "[31mmerah"),
            ("e\u{301}", "\u{e9}"),
            ("\u{202e}abc\u{85}", "\u{202e}abc\u{85}"),
            (" tepi ", " tepi "),
        ] {
            assert_eq!(clean(text.to_owned()), clean_text);
            assert_eq!(clean(clean_text.to_owned()), clean_text);
        }
    }

    #[test]
    fn a_line_is_one_line_and_has_an_end() {
        assert_eq!(clean_line(" Ibu\nSiti\0 ", 20).as_deref(), Some("Ibu Siti"));
        assert_eq!(clean_line("\u{1F600}\u{1F600}\u{1F600}", 2).as_deref(), Some("\u{1F600}\u{1F600}"));
        assert_eq!(clean_line(" \r\n", 20), None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("\u{1F600}ab".to_owned(), 2), ("\u{1F600}a".to_owned(), true));
        assert_eq!(cut("ab".to_owned(), 2), ("ab".to_owned(), false));
    }
}
