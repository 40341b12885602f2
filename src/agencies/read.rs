//! Reads the table, and says of every line what is wrong with it.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Range,
    path::Path,
    sync::Arc,
};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{Agency, Table, is_region};
use crate::diagnostic::{Diagnostic, Source, suggest};

const COLUMNS: [&str; 5] = ["code", "name", "aliases", "keywords", "region"];
/// Largest file: a hundred thousand aliases are 3 MB.
const FILE_MAX_BYTES: u64 = 64 << 20;
/// A file with more mistakes is the wrong file; the rest is not listed.
const MISTAKES_MAX: usize = 100;
/// A code is part of a queue's name, which has 63 characters.
const CODE_MAX: usize = 40;

/// A file that is not there is an empty table.
pub(super) fn load(path: &Path) -> Result<Table, Vec<Diagnostic>> {
    let whole = |message: String| vec![Diagnostic::of_file(path, message)];
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Table::default()),
        Ok(file) if file.len() > FILE_MAX_BYTES => return Err(whole("the table is larger than 64 MiB".to_owned())),
        _ => {}
    }
    let bytes = std::fs::read(path).map_err(|error| whole(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        let mistake = Diagnostic::of_file(path, format!("byte {byte} is not UTF-8"));
        vec![mistake.with_hint("save the table as \"CSV UTF-8\"")]
    })?;
    read(&Source::new(path, text))
}

/// The table of a text.
pub(super) fn read(source: &Arc<Source>) -> Result<Table, Vec<Diagnostic>> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(source.text.as_bytes());
    let header = match reader.headers() {
        Ok(header) if header.is_empty() => return Ok(Table::default()),
        Ok(header) => header.clone(),
        Err(error) => return Err(vec![Diagnostic::error(source, 0..0, error.to_string())]),
    };
    let columns = columns(source, &header)?;
    let mut builder = Builder { source, columns, width: header.len(), table: Table::default(), mistakes: Vec::new() };
    for record in reader.records() {
        match record {
            Ok(record) => builder.add(&record),
            Err(error) => {
                let start = error.position().map_or(0, |position| position.byte() as usize);
                builder.mistakes.push(Diagnostic::error(source, start..start + 1, error.to_string()));
            }
        }
        if builder.mistakes.len() >= MISTAKES_MAX {
            break;
        }
    }
    if builder.mistakes.is_empty() { Ok(builder.table) } else { Err(builder.mistakes) }
}

/// Where each of [`COLUMNS`] stands; the first two have to.
fn columns(source: &Arc<Source>, header: &StringRecord) -> Result<[Option<usize>; 5], Vec<Diagnostic>> {
    let line = source.line(1);
    if header.len() == 1 && header[0].contains([';', '\t']) {
        let mistake = Diagnostic::error(source, line, "the columns are not parted by commas");
        return Err(vec![mistake.with_hint("save the table as CSV with `,`; `;` parts the aliases of an agency")]);
    }
    let mut mistakes = Vec::new();
    for name in header.iter().filter(|name| !COLUMNS.contains(name)) {
        let hint = match suggest(name, COLUMNS) {
            Some(column) => format!("did you mean `{column}`?"),
            None => format!("the columns are {}", COLUMNS.join(", ")),
        };
        let span = field_span(source, line.clone(), name);
        mistakes.push(Diagnostic::error(source, span, format!("there is no column `{name}`")).with_hint(hint));
    }
    let columns = COLUMNS.map(|column| header.iter().position(|name| name == column));
    for (column, place) in COLUMNS.iter().zip(columns).take(2) {
        if place.is_none() {
            let mistake = Diagnostic::error(source, line.clone(), format!("the column `{column}` is missing"));
            mistakes.push(mistake.with_hint("the first line names the columns: code,name,aliases,keywords,region"));
        }
    }
    if mistakes.is_empty() { Ok(columns) } else { Err(mistakes) }
}

/// Where a field's text stands in its record: the first place where it is written like this.
fn field_span(source: &Source, record: Range<usize>, field: &str) -> Range<usize> {
    match source.text.get(record.clone()).and_then(|text| text.find(field)) {
        Some(start) if !field.is_empty() => record.start + start..record.start + start + field.len(),
        _ => record,
    }
}

/// The table as far as it has been read.
struct Builder<'a> {
    source: &'a Arc<Source>,
    columns: [Option<usize>; 5],
    /// Number of columns.
    width: usize,
    table: Table,
    mistakes: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn add(&mut self, record: &StringRecord) {
        let start = record.position().map_or(0, |position| position.byte() as usize);
        let length = self.source.text.get(start..).and_then(|rest| rest.find('\n'));
        let line = start..length.map_or(self.source.text.len(), |length| start + length);
        if record.len() > self.width {
            let message = format!("{} fields, but the first line names {} columns", record.len(), self.width);
            self.mistake(&line, "", message, "put a field with commas in it between double quotes");
            return;
        }
        let field = |column: usize| self.columns[column].and_then(|place| record.get(place)).unwrap_or_default();
        let [code, name, aliases, keywords, region] = [field(0), field(1), field(2), field(3), field(4)];
        self.check(&line, code, name, region);
        // A table with a mistake is thrown away in the end; until then its lines are read on for their other mistakes.
        let place = self.table.agencies.len();
        let slug = code.to_ascii_lowercase();
        self.table.agencies.push(Agency {
            code: code.to_owned(),
            name: name.to_owned(),
            region: (!region.is_empty()).then(|| region.to_owned()),
            slug: slug.clone(),
        });
        self.table.by_slug.entry(slug).or_insert(place);
        self.add_names(&line, place, name, aliases);
        self.add_keywords(&line, place, keywords);
    }

    fn check(&mut self, line: &Range<usize>, code: &str, name: &str, region: &str) {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if code.is_empty() || code.len() > CODE_MAX || code.starts_with('-') || !code.bytes().all(good) {
            let message = format!("code: {code:?} is not 1 to {CODE_MAX} letters, digits and `-`");
            self.mistake(line, code, message, "the code becomes part of a queue's name, like DINKES-A");
        } else if let Some(place) = self.table.by_slug.get(&code.to_ascii_lowercase()) {
            let message = format!("code: {code:?} is the code of {:?} already", self.table.agencies[*place].name);
            self.mistake(line, code, message, "give each agency its own code; case does not count");
        }
        if name.is_empty() {
            self.mistake(line, "", "name: it is empty".to_owned(), "write the agency's name, as citizens read it");
        }
        if !region.is_empty() && !is_region(region) {
            let message = format!("region: {region:?} is no region code");
            self.mistake(line, region, message, "write digits and dots, like 31.74");
        }
    }

    fn add_names(&mut self, line: &Range<usize>, place: usize, name: &str, aliases: &str) {
        for alias in std::iter::once(name).filter(|name| !name.is_empty()).chain(listed(aliases)) {
            if let Some(phrase) = self.table.names.insert(alias) {
                let phrase = phrase.0 as usize;
                if phrase == self.table.bearers.len() {
                    self.table.bearers.push(Vec::with_capacity(1));
                }
                if !self.table.bearers[phrase].contains(&place) {
                    self.table.bearers[phrase].push(place);
                }
            } else {
                let message = format!("aliases: {alias:?} has neither letters nor digits");
                self.mistake(line, alias, message, "remove it");
            }
        }
    }

    fn add_keywords(&mut self, line: &Range<usize>, place: usize, keywords: &str) {
        for keyword in listed(keywords) {
            let by_keyword: &mut HashMap<_, _> = &mut self.table.by_keyword;
            let (message, hint) = match by_keyword.entry(keyword.to_lowercase()) {
                _ if keyword.contains(char::is_whitespace) || keyword.len() > super::KEYWORD_MAX_BYTES => (
                    format!("keywords: {keyword:?} is more than one word"),
                    "a keyword is the first word of an SMS; several are parted by `;`",
                ),
                Entry::Occupied(first) if *first.get() != place => (
                    format!(
                        "keywords: {keyword:?} is a keyword of {:?} already",
                        self.table.agencies[*first.get()].name
                    ),
                    "a keyword belongs to one agency; case does not count",
                ),
                entry => {
                    entry.or_insert(place);
                    continue;
                }
            };
            self.mistake(line, keyword, message, hint);
        }
    }

    fn mistake(&mut self, line: &Range<usize>, field: &str, message: String, hint: &str) {
        let span = field_span(self.source, line.clone(), field);
        self.mistakes.push(Diagnostic::error(self.source, span, message).with_hint(hint));
    }
}

/// The parts of a list between `;`.
fn listed(field: &str) -> impl Iterator<Item = &str> {
    field.split(';').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mistakes(csv: &str) -> Vec<String> {
        match read(&Source::new("agencies.csv", csv)) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_example_table_is_good() {
        let table = read(&Source::new("agencies.csv", include_str!("../../config/agencies.csv"))).expect("good");
        assert!(table.agencies.len() >= 5);
    }

    #[test]
    fn every_mistake_is_shown_with_its_line_and_a_hint() {
        let shown = mistakes(
            "code,name,keywords,region\nA_B,One,,\nC,Two,air,31.74\nc,Three,,\nD,,,\nE,Five,AIR;dua kata,31-74\nF,Six,AIR,\nG,\"a\nb\",,,\n",
        );
        assert_eq!(
            shown,
            [
                "agencies.csv:2:1: error: code: \"A_B\" is not 1 to 40 letters, digits and `-` (the code becomes part of a queue's name, like DINKES-A)",
                "agencies.csv:4:1: error: code: \"c\" is the code of \"Two\" already (give each agency its own code; case does not count)",
                "agencies.csv:5:1: error: name: it is empty (write the agency's name, as citizens read it)",
                "agencies.csv:6:21: error: region: \"31-74\" is no region code (write digits and dots, like 31.74)",
                "agencies.csv:6:8: error: keywords: \"AIR\" is a keyword of \"Two\" already (a keyword belongs to one agency; case does not count)",
                "agencies.csv:6:12: error: keywords: \"dua kata\" is more than one word (a keyword is the first word of an SMS; several are parted by `;`)",
                "agencies.csv:7:7: error: keywords: \"AIR\" is a keyword of \"Two\" already (a keyword belongs to one agency; case does not count)",
                "agencies.csv:8:1: error: 5 fields, but the first line names 4 columns (put a field with commas in it between double quotes)",
            ]
        );
    }

    #[test]
    fn a_wrong_first_line_says_what_the_right_one_is() {
        assert_eq!(
            mistakes("code,nama,region\n"),
            [
                "agencies.csv:1:6: error: there is no column `nama` (did you mean `name`?)",
                "agencies.csv:1:1: error: the column `name` is missing (the first line names the columns: code,name,aliases,keywords,region)",
            ]
        );
        assert!(mistakes("code;name\nA;b\n")[0].contains("not parted by commas"));
        assert_eq!(mistakes(""), [""; 0]);
        assert_eq!(mistakes("\u{feff}code,name\nA,b\n"), [""; 0], "the mark that Excel writes is no part of a name");
    }

    #[test]
    fn a_file_that_is_not_there_is_empty_and_one_that_is_not_utf8_is_refused() {
        assert!(load(Path::new("/nowhere/agencies.csv")).expect("empty").agencies.is_empty());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agencies.csv");
        std::fs::write(&path, b"code,name\nA,\xe9\n").expect("written");
        let mistakes = load(&path).expect_err("Latin 1");
        assert_eq!(mistakes[0].message, "byte 12 is not UTF-8");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_text_is_a_table_or_mistakes_with_places(text in "(code,name,aliases,keywords\n)?(\\PC|[,\n\";\r]){0,80}") {
            if let Err(mistakes) = read(&Source::new("x", text)) {
                prop_assert!(!mistakes.is_empty() && mistakes.len() <= MISTAKES_MAX + 4);
                for mistake in mistakes {
                    prop_assert!(!mistake.to_string().is_empty());
                }
            }
        }
    }
}
