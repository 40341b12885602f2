//! Words of an emergency. They only set a flag: a complaint about last year's fire goes on like any other.

use super::text::words;

/// Words, or pairs of words, in lower case.
const SIGNS: &[&[&str]] = &[
    &["kebakaran"],
    &["terbakar"],
    &["kecelakaan"],
    &["tenggelam"],
    &["longsor"],
    &["bunuh", "diri"],
    &["kekerasan", "sekarang"],
    &["tolong", "darurat"],
    &["gawat", "darurat"],
    &["suicide"],
    &["dying"],
    &["fire"],
    &["emergency"],
];

/// Is somebody in danger, perhaps?
pub fn is_suspected(text: &str) -> bool {
    let mut before = String::new();
    for word in words(text) {
        let found = SIGNS.iter().any(|sign| match sign {
            [one] => word == *one,
            [one, two] => before == *one && word == *two,
            _ => false,
        });
        if found {
            return true;
        }
        before = word;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_suspected;

    #[test]
    fn whole_words_are_signs_and_parts_of_words_are_not() {
        for text in ["KEBAKARAN di pasar!", "dia mau bunuh  diri", "There is a fire"] {
            assert!(is_suspected(text), "{text}");
        }
        for text in ["pemadam kebakarannya", "bunuh nyamuk, diri saya sehat", "fireworks", ""] {
            assert!(!is_suspected(text), "{text}");
        }
    }
}
