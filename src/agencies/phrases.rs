//! Which of very many phrases stand in a text: whole words, any case, punctuation folded to a space.
//!
//! The phrases are one tree of words. A text is walked once: a word that begins no phrase costs one look-up, so that a
//! hundred thousand phrases cost no more than ten.

use rustc_hash::FxHashMap;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// One phrase of a set; phrases that differ only in case and punctuation are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhraseId(pub u32);

/// A set of phrases, ready to be looked for.
#[derive(Clone, Debug, Default)]
pub struct Phrases {
    words: FxHashMap<Box<str>, u32>,
    /// From a node of the tree (upper half) by a word (lower half) to a node; 0 is the root.
    steps: FxHashMap<u64, u32>,
    /// The phrase that ends at a node; the root ends none.
    ends: FxHashMap<u32, PhraseId>,
}

/// A text as words: lower case, split at everything that is neither letter nor digit.
#[derive(Clone, Default)]
pub struct Words {
    text: String,
    /// Where each word ends in the text; an empty word parts texts that do not belong together.
    ends: Vec<u32>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Words({})", self.ends.len())
    }
}

impl Words {
    /// The words of a text of at most 4 GiB.
    pub fn of(text: &str) -> Self {
        let mut words = Self::default();
        words.add(text);
        words
    }

    /// Adds another text; no phrase reaches from one into the other.
    pub fn add(&mut self, text: &str) {
        if !self.ends.is_empty() {
            self.end();
        }
        self.text.reserve(text.len());
        if text.is_ascii() {
            self.add_ascii(text);
        } else if is_nfc(text) {
            self.add_letters(text.chars());
        } else {
            self.add_letters(text.nfc());
        }
    }

    /// The same as [`Self::add_letters`], for most texts and in less time.
    fn add_ascii(&mut self, text: &str) {
        let start = self.text.len();
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            self.text.push_str(word);
            self.end();
        }
        self.text[start..].make_ascii_lowercase();
    }

    fn add_letters(&mut self, letters: impl Iterator<Item = char>) {
        let mut inside = false;
        for letter in letters {
            if letter.is_ascii_alphanumeric() {
                self.text.push(letter.to_ascii_lowercase());
                inside = true;
            } else if !letter.is_ascii() && letter.is_alphanumeric() {
                self.text.extend(letter.to_lowercase());
                inside = true;
            } else if inside {
                self.end();
                inside = false;
            }
        }
        if inside {
            self.end();
        }
    }

    fn end(&mut self) {
        self.ends.push(self.text.len() as u32);
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start as usize..*end as usize])
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The words with one space between them.
    pub fn joined(&self) -> String {
        self.iter().collect::<Vec<_>>().join(" ")
    }
}

/// The id of words that are in no phrase: no step leads on from them.
const UNKNOWN: u32 = u32::MAX;

impl Phrases {
    /// Adds a phrase; one that is in the set keeps its id. None: it has no word.
    pub fn insert(&mut self, phrase: &str) -> Option<PhraseId> {
        let words = Words::of(phrase);
        let mut node = 0;
        for word in words.iter() {
            let known = self.words.get(word).copied();
            let word = known.unwrap_or_else(|| {
                let fresh = self.words.len() as u32;
                self.words.insert(word.into(), fresh);
                fresh
            });
            let fresh = self.steps.len() as u32 + 1;
            node = *self.steps.entry(step(node, word)).or_insert(fresh);
        }
        let fresh = PhraseId(self.ends.len() as u32);
        (node != 0).then(|| *self.ends.entry(node).or_insert(fresh))
    }

    /// Number of phrases; their ids are below it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The phrase that the text is, as a whole.
    pub fn exact(&self, text: &str) -> Option<PhraseId> {
        let words = Words::of(text);
        let node =
            words.iter().try_fold(0, |node, word| self.steps.get(&step(node, *self.words.get(word)?)).copied())?;
        self.ends.get(&node).copied()
    }

    /// Every phrase that stands in the text, overlapping ones too, as often as it stands there.
    pub fn all(&self, words: &Words, mut found: impl FnMut(PhraseId)) {
        let ids = self.ids(words);
        for start in 0..ids.len() {
            self.walk(&ids[start..], |_, phrase| found(phrase));
        }
    }

    /// The phrases from left to right, the longest at each place, none inside another.
    pub fn longest(&self, words: &Words, mut found: impl FnMut(PhraseId)) {
        let ids = self.ids(words);
        let mut start = 0;
        while start < ids.len() {
            let mut best = None;
            self.walk(&ids[start..], |length, phrase| best = Some((length, phrase)));
            match best {
                Some((length, phrase)) => {
                    found(phrase);
                    start += length;
                }
                None => start += 1,
            }
        }
    }

    fn ids(&self, words: &Words) -> Vec<u32> {
        if self.is_empty() {
            return Vec::new();
        }
        words.iter().map(|word| self.words.get(word).copied().unwrap_or(UNKNOWN)).collect()
    }

    /// Calls with each phrase that begins with the first word, shortest first, and its number of words.
    fn walk(&self, ids: &[u32], mut found: impl FnMut(usize, PhraseId)) {
        let mut node = 0;
        for (place, word) in ids.iter().enumerate() {
            match self.steps.get(&step(node, *word)) {
                Some(next) if *word != UNKNOWN => node = *next,
                _ => return,
            }
            if let Some(phrase) = self.ends.get(&node) {
                found(place + 1, *phrase);
            }
        }
    }
}

fn step(node: u32, word: u32) -> u64 {
    u64::from(node) << 32 | u64::from(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(phrases: &[&str]) -> (Phrases, Vec<Option<PhraseId>>) {
        let mut set = Phrases::default();
        let ids = phrases.iter().map(|phrase| set.insert(phrase)).collect();
        (set, ids)
    }

    fn longest(set: &Phrases, text: &str) -> Vec<u32> {
        let mut found = Vec::new();
        set.longest(&Words::of(text), |phrase| found.push(phrase.0));
        found
    }

    fn all(set: &Phrases, text: &str) -> Vec<u32> {
        let mut found = Vec::new();
        set.all(&Words::of(text), |phrase| found.push(phrase.0));
        found
    }

    #[test]
    fn phrases_are_whole_words_in_any_case_with_any_punctuation() {
        let (set, _) = set(&["dinas kesehatan", "pln"]);
        assert_eq!(longest(&set, "Kepada DINAS-Kesehatan, (PLN)!"), [0, 1]);
        assert_eq!(longest(&set, "dinaskesehatan plna dinas, kantor kesehatan"), [0; 0]);
        assert_eq!(set.exact(" Dinas  Kesehatan. "), Some(PhraseId(0)));
        assert_eq!(set.exact("dinas"), None);
        assert_eq!(set.exact(""), None);
    }

    #[test]
    fn the_longest_phrase_wins_and_all_phrases_can_be_had() {
        let (set, _) = set(&["dinas", "dinas pekerjaan umum", "pekerjaan umum kota"]);
        assert_eq!(longest(&set, "dinas pekerjaan umum kota"), [1]);
        assert_eq!(all(&set, "dinas pekerjaan umum kota"), [0, 1, 2]);
        assert_eq!(longest(&set, "dinas pekerjaan kota"), [0]);
    }

    #[test]
    fn phrases_that_differ_in_punctuation_are_one_and_a_phrase_needs_a_word() {
        let (set, ids) = set(&["P.L.N", "p l n", "!?", ""]);
        assert_eq!(ids, [Some(PhraseId(0)), Some(PhraseId(0)), None, None]);
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn no_phrase_reaches_from_the_title_into_the_description() {
        let (set, _) = set(&["air minum"]);
        let mut words = Words::of("soal air");
        words.add("minum kotor");
        let mut found = 0;
        set.all(&words, |_| found += 1);
        assert_eq!(found, 0);
        assert_eq!(longest(&set, "air minum"), [0]);
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same() {
        let (set, _) = set(&["café"]);
        assert_eq!(longest(&set, "CAFE\u{301}"), [0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn plain_text_has_the_same_words_in_both_ways(text in "[ -~\n]{0,80}") {
            let mut letters = Words::default();
            letters.add_letters(text.chars());
            prop_assert_eq!(letters.joined(), Words::of(&text).joined());
        }

        #[test]
        fn the_tree_finds_what_a_plain_search_finds(
            phrases in proptest::collection::vec("[ab]{1,2}( [ab]{1,2}){0,2}", 1..6),
            text in "[abAB,. ]{0,30}",
            foreign in "\\PC{0,60}",
        ) {
            let mut set = Phrases::default();
            let ids: Vec<PhraseId> = phrases.iter().filter_map(|phrase| set.insert(phrase)).collect();
            let haystack = format!(" {} ", Words::of(&text).joined());
            let found = all(&set, &text);
            for (phrase, id) in phrases.iter().zip(ids) {
                prop_assert_eq!(haystack.contains(&format!(" {phrase} ")), found.contains(&id.0));
            }
            for id in longest(&set, &text) {
                prop_assert!(found.contains(&id));
            }
            set.insert(&foreign);
            let _ = (longest(&set, &foreign), set.exact(&foreign));
        }
    }
}
