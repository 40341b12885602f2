//! One condition of a rule: what it asks of a complaint, and what it says when it is not met.

use std::{cell::OnceCell, fmt::Write as _};

use crate::{
    agencies::{
        Agencies,
        phrases::{PhraseId, Phrases, Words},
        within,
    },
    complaint::{Complaint, ReportType, Sensitivity},
};

/// Most alternatives that a reason lists.
const LISTED: usize = 5;

/// A condition holds when one of its alternatives does. The cheap ones stand first, and are asked first.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Channel(Vec<String>),
    ReportType(Vec<ReportType>),
    Sensitivity(Vec<Sensitivity>),
    /// As it stands in `channel.recipient`.
    Recipient(Vec<String>),
    /// Lower case.
    Keyword(Vec<String>),
    ServiceCode(Vec<String>),
    /// Prefixes, at a dot.
    Region(Vec<String>),
    /// Prefixes, at a hyphen.
    Language(Vec<String>),
    /// The phrases with their words, one space between.
    Words(Vec<(PhraseId, String)>),
    /// Places in the agencies table, with their codes.
    Agency(Vec<(usize, String)>),
}

/// What is asked of one complaint; the text is looked through when the first rule wants to know, and once.
pub(super) struct Facts<'a> {
    pub complaint: &'a Complaint,
    pub agencies: &'a Agencies,
    phrases: &'a Phrases,
    words: OnceCell<Words>,
    /// One bit a phrase.
    found: OnceCell<Vec<u64>>,
    named: OnceCell<Vec<usize>>,
}

impl<'a> Facts<'a> {
    pub fn new(complaint: &'a Complaint, agencies: &'a Agencies, phrases: &'a Phrases) -> Self {
        let (words, found, named) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { complaint, agencies, phrases, words, found, named }
    }

    fn region(&self) -> Option<&'a str> {
        Some(self.complaint.location.as_ref()?.region.as_ref()?.code.as_str())
    }

    fn words(&self) -> &Words {
        self.words.get_or_init(|| {
            let mut words = Words::of(self.complaint.title.as_deref().unwrap_or_default());
            words.add(&self.complaint.description);
            words
        })
    }

    fn has_phrase(&self, phrase: PhraseId) -> bool {
        let found = self.found.get_or_init(|| {
            let mut found = vec![0_u64; self.phrases.len().div_ceil(64)];
            self.phrases.all(self.words(), |phrase| found[phrase.0 as usize / 64] |= 1 << (phrase.0 % 64));
            found
        });
        found[phrase.0 as usize / 64] & 1 << (phrase.0 % 64) != 0
    }

    /// The agencies that the complaint is about, by their places in the table: the hint, then those of the text.
    pub fn named(&self) -> &[usize] {
        self.named.get_or_init(|| {
            let hint = self.complaint.agency_hint.as_ref().and_then(|hint| {
                let by_code = hint.code.as_deref().and_then(|code| self.agencies.place_of_code(code));
                by_code.or_else(|| self.agencies.place_of_name(&hint.name, self.region()))
            });
            let in_text = self.agencies.places_in(self.words(), self.region());
            let others = in_text.into_iter().filter(|place| Some(*place) != hint);
            hint.into_iter().chain(others).collect()
        })
    }
}

impl Condition {
    /// The key in the file.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Channel(_) => "channel",
            Self::ReportType(_) => "report_type",
            Self::Sensitivity(_) => "sensitivity",
            Self::Recipient(_) => "recipient",
            Self::Keyword(_) => "keyword",
            Self::ServiceCode(_) => "service_code",
            Self::Region(_) => "region",
            Self::Language(_) => "language",
            Self::Words(_) => "words",
            Self::Agency(_) => "agency",
        }
    }

    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let complaint = facts.complaint;
        match self {
            Self::Channel(ids) => ids.contains(&complaint.channel.id),
            Self::ReportType(types) => types.contains(&complaint.report_type),
            Self::Sensitivity(all) => all.contains(&complaint.sensitivity()),
            Self::Recipient(all) => {
                complaint.channel.recipient.as_ref().is_some_and(|recipient| all.contains(recipient))
            }
            Self::Keyword(all) => {
                complaint.keywords.iter().any(|keyword| all.iter().any(|one| same_word(one, keyword)))
            }
            Self::ServiceCode(all) => {
                complaint.service_code.as_ref().is_some_and(|code| all.iter().any(|one| one.eq_ignore_ascii_case(code)))
            }
            Self::Region(areas) => facts.region().is_some_and(|region| areas.iter().any(|area| within(region, area))),
            Self::Language(all) => {
                complaint.description_language.as_ref().is_some_and(|tag| all.iter().any(|one| is_variant(tag, one)))
            }
            Self::Words(phrases) => phrases.iter().any(|(phrase, _)| facts.has_phrase(*phrase)),
            Self::Agency(places) => facts.named().iter().any(|named| places.iter().any(|(place, _)| place == named)),
        }
    }

    /// Why it does not hold, in words for operators: what the complaint has and what was wanted. The citizen's words are
    /// never quoted.
    pub fn reason(&self, facts: &Facts<'_>) -> String {
        let complaint = facts.complaint;
        let has = match self {
            Self::Channel(_) => Some(complaint.channel.id.clone()),
            Self::ReportType(_) => Some(word(complaint.report_type)),
            Self::Sensitivity(_) => Some(word(complaint.sensitivity())),
            Self::Recipient(_) => complaint.channel.recipient.clone(),
            Self::Keyword(_) => Some(complaint.keywords.join(", ")).filter(|keywords| !keywords.is_empty()),
            Self::ServiceCode(_) => complaint.service_code.clone(),
            Self::Region(_) => facts.region().map(ToOwned::to_owned),
            Self::Language(_) => complaint.description_language.clone(),
            Self::Words(_) => return format!("words: the text has none of {}", self.wanted()),
            Self::Agency(_) => {
                let codes = facts.named().iter().map(|place| facts.agencies.all()[*place].code.as_str());
                Some(codes.collect::<Vec<_>>().join(", ")).filter(|codes| !codes.is_empty())
            }
        };
        match has {
            Some(has) => format!("{}: it is {has}, not {}", self.key(), self.wanted()),
            None => format!("{}: the complaint has none; wanted is {}", self.key(), self.wanted()),
        }
    }

    /// The alternatives, the first few of many.
    fn wanted(&self) -> String {
        let all: Vec<String> = match self {
            Self::ReportType(types) => types.iter().map(word).collect(),
            Self::Sensitivity(all) => all.iter().map(word).collect(),
            Self::Words(phrases) => phrases.iter().map(|(_, words)| format!("{words:?}")).collect(),
            Self::Agency(places) => places.iter().map(|(_, code)| code.clone()).collect(),
            Self::Channel(all)
            | Self::Recipient(all)
            | Self::Keyword(all)
            | Self::ServiceCode(all)
            | Self::Region(all)
            | Self::Language(all) => all.clone(),
        };
        let mut wanted = all.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(" or ");
        if all.len() > LISTED {
            // Writing to a string cannot fail.
            let _ = write!(wanted, " or {} others", all.len() - LISTED);
        }
        wanted
    }

    /// Does this hold whenever `other` holds?
    pub fn covers(&self, other: &Self) -> bool {
        fn each<T>(wide: &[T], narrow: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
            narrow.iter().all(|narrow| wide.iter().any(|wide| covers(wide, narrow)))
        }
        match (self, other) {
            (Self::Channel(wide), Self::Channel(narrow))
            | (Self::Recipient(wide), Self::Recipient(narrow))
            | (Self::Keyword(wide), Self::Keyword(narrow)) => each(wide, narrow, |one, two| one == two),
            (Self::ServiceCode(wide), Self::ServiceCode(narrow)) => {
                each(wide, narrow, |one, two| one.eq_ignore_ascii_case(two))
            }
            (Self::Region(wide), Self::Region(narrow)) => each(wide, narrow, |area, region| within(region, area)),
            (Self::Language(wide), Self::Language(narrow)) => each(wide, narrow, |one, two| is_variant(two, one)),
            (Self::ReportType(wide), Self::ReportType(narrow)) => each(wide, narrow, |one, two| one == two),
            (Self::Sensitivity(wide), Self::Sensitivity(narrow)) => each(wide, narrow, |one, two| one == two),
            (Self::Agency(wide), Self::Agency(narrow)) => each(wide, narrow, |one, two| one.0 == two.0),
            (Self::Words(wide), Self::Words(narrow)) => {
                each(wide, narrow, |one, two| format!(" {} ", two.1).contains(&format!(" {} ", one.1)))
            }
            _ => false,
        }
    }
}

/// Is the second word the first, which is in lower case?
fn same_word(lower: &str, word: &str) -> bool {
    if word.is_ascii() { lower.eq_ignore_ascii_case(word) } else { lower == word.to_lowercase() }
}

/// `zh-Hant-TW` is a variant of `zh-Hant` and of `zh`.
fn is_variant(tag: &str, of: &str) -> bool {
    let begins = tag.get(..of.len()).is_some_and(|head| head.eq_ignore_ascii_case(of));
    begins && matches!(tag.as_bytes().get(of.len()), None | Some(b'-'))
}

/// A fieldless variant as it is written in files.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
