//! The agencies table (`agencies.csv`: code, name, aliases, keywords, region).
//!
//! In: the operator's file. Out: the agency of an SMS keyword, the agencies that a text names. A name that several
//! agencies bear (every regency has a Dinas Kesehatan) means the one whose region the complaint is in, or none: the
//! table never guesses.

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::{
    complaint::{AgencyHint, HintSource},
    diagnostic::Diagnostic,
};

pub mod phrases;
mod read;

use phrases::{Phrases, Words};

/// Longer tokens are no keyword; it keeps a look-up from copying a whole message without spaces.
const KEYWORD_MAX_BYTES: usize = 64;

/// One agency of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agency {
    /// As written in the table: letters, digits and `-`.
    pub code: String,
    pub name: String,
    /// The part of the country it serves: dotted code of `id-kemendagri`, any depth.
    pub region: Option<String>,
    /// The code in lower case: `{agency}` of a queue.
    pub slug: String,
}

/// The table, compiled. A clone is a reference.
#[derive(Clone, Debug, Default)]
pub struct Agencies {
    table: Arc<Table>,
}

/// Agencies are named by their place in the table.
#[derive(Debug, Default)]
struct Table {
    agencies: Vec<Agency>,
    by_slug: HashMap<String, usize>,
    by_keyword: HashMap<String, usize>,
    names: Phrases,
    /// By phrase: the agencies that bear the name.
    bearers: Vec<Vec<usize>>,
}

impl Agencies {
    /// Reads `agencies.csv` of the folder; a file that is not there is an empty table. All mistakes at once.
    pub fn load(folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        read::load(&folder.join("agencies.csv")).map(|table| Self { table: Arc::new(table) })
    }

    /// The agency of an SMS keyword (the first token of the text), if it is in the table.
    pub fn keyword(&self, token: &str) -> Option<AgencyHint> {
        if token.len() > KEYWORD_MAX_BYTES {
            return None;
        }
        let place = *self.table.by_keyword.get(&token.to_lowercase())?;
        Some(self.hint(place, HintSource::Keyword))
    }

    /// The agency whose code, name or alias the text is, as a whole: the answer to "which agency?".
    pub fn named(&self, text: &str, region: Option<&str>) -> Option<AgencyHint> {
        Some(self.hint(self.place_of_name(text, region)?, HintSource::Citizen))
    }

    fn hint(&self, place: usize, source: HintSource) -> AgencyHint {
        let agency = &self.table.agencies[place];
        AgencyHint { code: Some(agency.code.clone()), name: agency.name.clone(), source }
    }

    /// All agencies in the order of the table; their place in it is how [`Self::places_in`] names them.
    pub fn all(&self) -> &[Agency] {
        &self.table.agencies
    }

    /// The place of a code, in any case.
    pub fn place_of_code(&self, code: &str) -> Option<usize> {
        match self.table.by_slug.get(code) {
            Some(place) => Some(*place),
            None => self.table.by_slug.get(&code.to_ascii_lowercase()).copied(),
        }
    }

    /// The place of the agency whose code, name or alias this is.
    pub fn place_of_name(&self, name: &str, region: Option<&str>) -> Option<usize> {
        let by_name = self.table.names.exact(name);
        let by_name = by_name.and_then(|phrase| self.bearer(&self.table.bearers[phrase.0 as usize], region));
        by_name.or_else(|| self.place_of_code(name.trim()))
    }

    /// The agencies that a text names, in its order, each once.
    pub fn places_in(&self, words: &Words, region: Option<&str>) -> Vec<usize> {
        let mut places = Vec::new();
        self.table.names.longest(words, |phrase| {
            let place = self.bearer(&self.table.bearers[phrase.0 as usize], region);
            places.extend(place.filter(|place| !places.contains(place)));
        });
        places
    }

    /// The one that is meant by a name: the only bearer, or the one with the narrowest region around the complaint.
    fn bearer(&self, bearers: &[usize], region: Option<&str>) -> Option<usize> {
        if let [only] = bearers {
            return Some(*only);
        }
        let depth = |place: usize| {
            let area = self.table.agencies[place].region.as_deref()?;
            within(region?, area).then_some(area.len())
        };
        let around = bearers.iter().filter_map(|place| Some((depth(*place)?, *place)));
        let (deepest, place) = around.clone().max()?;
        (around.filter(|(depth, _)| *depth == deepest).count() == 1).then_some(place)
    }
}

/// Is a region code the area's, or one inside it? `31.74.06` lies within `31.74`, `31.740` does not.
pub fn within(region: &str, area: &str) -> bool {
    region.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Is it a dotted code of digits?
pub fn is_region(code: &str) -> bool {
    code.len() <= 20 && code.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
pub(crate) fn table(csv: &str) -> Agencies {
    let source = crate::diagnostic::Source::new("agencies.csv", csv);
    Agencies { table: Arc::new(read::read(&source).expect("a good table")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
code,name,aliases,keywords,region
DINKES-A,Dinas Kesehatan Kota Melati,Dinas Kesehatan;Dinkes,DINKES,99.71
DINKES-B,Dinas Kesehatan Kabupaten Kenanga,Dinas Kesehatan;Dinkes,,99.02
PLN,Perusahaan Listrik,PLN;listrik negara,PLN;LISTRIK,
";

    fn codes(text: &str, region: Option<&str>) -> Vec<String> {
        let agencies = table(TABLE);
        let places = agencies.places_in(&Words::of(text), region);
        places.into_iter().map(|place| agencies.all()[place].code.clone()).collect()
    }

    #[test]
    fn a_keyword_is_found_in_any_case_and_is_a_hint() {
        let agencies = table(TABLE);
        let hint = agencies.keyword("Listrik").expect("in the table");
        assert_eq!(
            hint,
            AgencyHint { code: Some("PLN".into()), name: "Perusahaan Listrik".into(), source: HintSource::Keyword }
        );
        for other in ["", "Listriknya", "Dinas", &"x".repeat(100_000)] {
            assert_eq!(agencies.keyword(other), None, "{other}");
        }
        assert_eq!(Agencies::default().keyword("PLN"), None);
    }

    #[test]
    fn a_text_names_agencies_in_its_order_each_once() {
        assert_eq!(codes("PLN, lalu Dinas Kesehatan Kota Melati, lalu pln lagi", None), ["PLN", "DINKES-A"]);
        assert_eq!(codes("listrik mati", None), [""; 0]);
    }

    #[test]
    fn a_name_of_several_agencies_is_the_one_around_the_complaint_or_none() {
        assert_eq!(codes("ke dinas kesehatan", None), [""; 0]);
        assert_eq!(codes("ke dinas kesehatan", Some("99.02.01.2001")), ["DINKES-B"]);
        assert_eq!(codes("ke dinas kesehatan", Some("99.71")), ["DINKES-A"]);
        assert_eq!(codes("ke dinas kesehatan", Some("99")), [""; 0]);
        assert_eq!(codes("ke dinas kesehatan", Some("99.710")), [""; 0]);
    }

    #[test]
    fn an_answer_can_be_a_name_an_alias_or_a_code() {
        let agencies = table(TABLE);
        for text in ["dinas kesehatan kota melati", "DINKES-A", " dinkes-a "] {
            assert_eq!(agencies.named(text, None).and_then(|hint| hint.code).as_deref(), Some("DINKES-A"), "{text}");
        }
        assert_eq!(agencies.named("Dinkes", Some("99.71.01")).and_then(|hint| hint.code).as_deref(), Some("DINKES-A"));
        assert_eq!(agencies.named("Dinkes", None), None);
        assert_eq!(agencies.named("", None), None);
    }

    #[test]
    fn a_region_lies_within_its_prefix_at_a_dot() {
        assert!(within("31.74.06", "31.74") && within("31", "31"));
        assert!(!within("31.740", "31.74") && !within("3", "31"));
        assert!(is_region("31.74.06.1003") && !is_region("31.") && !is_region("") && !is_region("31,74"));
    }
}
