//! Reads `routing.toml`: every key and value is looked at, so that all mistakes are shown at once, each in its place.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Fallback, PRIORITY, Routing, TRIAGE, is_queue,
    rule::{PLACEHOLDER, Queue, Rule},
};
use crate::{
    agencies::{Agencies, phrases::Phrases},
    diagnostic::{Diagnostic, Source, suggest},
    units::Span,
};

mod values;

const SECTIONS: [&str; 2] = ["default", "rule"];
const ROUTE_KEYS: [&str; 3] = ["queue", "priority", "service_level"];
/// In the order in which the conditions are asked: cheap ones first.
const CONDITION_KEYS: [&str; 10] = [
    "channel",
    "report_type",
    "sensitivity",
    "recipient",
    "keyword",
    "service_code",
    "region",
    "language",
    "words",
    "agency",
];

type Table<'a> = DeTable<'a>;
type Value<'a> = Spanned<DeValue<'a>>;

/// The rules of a file.
pub(super) fn read(source: &Arc<Source>, agencies: &Agencies) -> Result<Routing, Vec<Diagnostic>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| Diagnostic::of_toml(source, error)).collect());
    }
    let mut reader = Reader { source, agencies, words: Phrases::default(), mistakes: Vec::new() };
    let (rules, default) = reader.file(table.get_ref());
    let Reader { words, mut mistakes, .. } = reader;
    if mistakes.is_empty() {
        return Ok(Routing { rules, default, agencies: agencies.clone(), words });
    }
    mistakes.sort_by_key(|mistake| mistake.span.start);
    Err(mistakes)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    agencies: &'a Agencies,
    words: Phrases,
    mistakes: Vec<Diagnostic>,
}

/// A rule with the place of its name, for what is said about it later.
struct Placed {
    rule: Rule,
    name: Range<usize>,
}

impl Reader<'_> {
    fn file(&mut self, table: &Table<'_>) -> (Vec<Rule>, Fallback) {
        self.known_keys(table, &SECTIONS, "section");
        let mut default = Fallback { queue: TRIAGE.to_owned(), priority: PRIORITY, service_level: None };
        if let Some(value) = table.get("default") {
            match value.get_ref().as_table() {
                Some(table) => self.default(table, &mut default),
                None => self.mistake(value.span(), "`default` is no table", "write [default] on a line of its own"),
            }
        }
        let mut rules: Vec<Placed> = Vec::new();
        if let Some(value) = table.get("rule") {
            match value.get_ref().as_array() {
                Some(array) => {
                    for value in array {
                        rules.extend(self.rule(value, &default));
                    }
                }
                None => self.mistake(value.span(), "`rule` is no list of tables", "write [[rule]], with two brackets"),
            }
        }
        self.check_order(&rules);
        (rules.into_iter().map(|placed| placed.rule).collect(), default)
    }

    fn default(&mut self, table: &Table<'_>, default: &mut Fallback) {
        self.known_keys(table, &ROUTE_KEYS, "key");
        if let Some(name) = table.get("queue").and_then(|value| self.queue_name(value)) {
            default.queue = name;
        }
        if let Some(priority) = table.get("priority").and_then(|value| self.priority(value)) {
            default.priority = priority;
        }
        default.service_level = table.get("service_level").and_then(|value| self.span(value));
    }

    /// None where the rule cannot be one; what is wrong with it has been noted.
    fn rule(&mut self, value: &Value<'_>, default: &Fallback) -> Option<Placed> {
        let Some(table) = value.get_ref().as_table() else {
            self.mistake(value.span(), "a rule is no table", "write [[rule]] and the keys below it");
            return None;
        };
        let keys: Vec<&str> = ["name"].into_iter().chain(CONDITION_KEYS).chain(ROUTE_KEYS).collect();
        self.known_keys(table, &keys, "key");
        let name = self.required(table, value.span(), "name", "every rule has a name, for `loket route explain`");
        let queue = self.required(table, value.span(), "queue", "say where the rule sends complaints");
        let before = self.mistakes.len();
        let mut conditions = Vec::new();
        for key in CONDITION_KEYS {
            conditions.extend(table.get(key).and_then(|value| self.condition(key, value)));
        }
        let queue = queue.and_then(|value| self.queue(value));
        let priority = table.get("priority").map_or(Some(default.priority), |value| self.priority(value));
        let service_level = table.get("service_level").map(|value| self.span(value));
        let text = name.and_then(|value| self.text(value, "name").map(|text| (text.to_owned(), value.span())));
        if let Some((text, span)) = text.as_ref().filter(|(text, _)| text.trim().is_empty()) {
            self.mistake(
                span.clone(),
                format!("name: {text:?} is empty"),
                "give the rule a name that says what it is for",
            );
        }
        let (name, place) = text?;
        let service_level = service_level.unwrap_or(default.service_level);
        let rule = Rule { name, conditions, queue: queue?, priority: priority?, service_level };
        // A rule with a mistake in a condition would be compared as if the condition were not there.
        (self.mistakes.len() == before).then_some(Placed { rule, name: place })
    }

    /// A rule's queue, which may be an agency's.
    fn queue(&mut self, value: &Value<'_>) -> Option<Queue> {
        let Some((before, after)) = value.get_ref().as_str().and_then(|text| text.split_once(PLACEHOLDER)) else {
            return self.queue_name(value).map(Queue::Named);
        };
        // The alphabet of codes is that of queues; the longest code of the table has to find room.
        let longest = self.agencies.all().iter().map(|agency| agency.slug.len()).max().unwrap_or(1);
        if !is_queue(&format!("{before}{}{after}", "a".repeat(longest))) {
            let hint = "around {agency}, which stands once for a code of the table, write a-z, 0-9 and `-`; 63 in all";
            self.mistake(value.span(), format!("queue: \"{before}{PLACEHOLDER}{after}\" is no queue name"), hint);
            return None;
        }
        Some(Queue::OfAgency { before: before.to_owned(), after: after.to_owned() })
    }

    fn queue_name(&mut self, value: &Value<'_>) -> Option<String> {
        let text = self.text(value, "queue")?;
        if !is_queue(text) {
            let hint = "write 1 to 63 of a-z, 0-9 and `-`, not beginning with `-`";
            self.mistake(value.span(), format!("queue: {text:?} is no queue name"), hint);
            return None;
        }
        Some(text.to_owned())
    }

    fn priority(&mut self, value: &Value<'_>) -> Option<u8> {
        let number = value.get_ref().as_integer().and_then(|number| number.as_str().parse().ok());
        let priority = number.filter(|priority| *priority <= 9);
        if priority.is_none() {
            self.mistake(
                value.span(),
                "priority: it is no whole number from 0 to 9",
                "more is more urgent; 5 is usual",
            );
        }
        priority
    }

    fn span(&mut self, value: &Value<'_>) -> Option<Span> {
        match self.text(value, "service_level")?.parse() {
            Ok(span) => Some(span),
            Err(error) => {
                self.mistake(value.span(), format!("service_level: {error}"), "like \"24h\" or \"3d\"");
                None
            }
        }
    }

    fn text<'v>(&mut self, value: &'v Value<'_>, key: &str) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let message = format!("{key}: a text is wanted here, not {}", article(value.get_ref().type_str()));
            self.mistake(value.span(), message, "put it between double quotes");
        }
        text
    }

    fn required<'v, 't>(
        &mut self,
        table: &'v Table<'t>,
        place: Range<usize>,
        key: &str,
        hint: &str,
    ) -> Option<&'v Value<'t>> {
        let value = table.get(key);
        if value.is_none() {
            self.mistake(place, format!("a rule has no `{key}`"), hint);
        }
        value
    }

    fn known_keys(&mut self, table: &Table<'_>, known: &[&str], what: &str) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let hint = match suggest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", known.join(", ")),
                };
                self.mistake(key.span(), format!("unknown {what} `{name}`"), hint);
            }
        }
    }

    /// Names are told apart, and no rule stands where none can reach it.
    fn check_order(&mut self, rules: &[Placed]) {
        let mut names = BTreeMap::new();
        for (place, later) in rules.iter().enumerate() {
            let name = later.rule.name.as_str();
            if let Some(line) = names.insert(name, self.source.place(later.name.start).line) {
                let message = format!("name: {name:?} is the name of the rule on line {line} already");
                self.mistake(later.name.clone(), message, "give each rule its own name");
            } else if let Some(first) = rules[..place].iter().find(|earlier| earlier.rule.hides(&later.rule)) {
                let line = self.source.place(first.name.start).line;
                let message =
                    format!("the rule {name:?} is never reached: {:?} on line {line} matches first", first.rule.name);
                self.mistake(later.name.clone(), message, "put the narrower rule first, or remove it");
            }
        }
    }

    fn mistake(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Diagnostic::error(self.source, span, message).with_hint(hint));
    }
}

fn article(what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {what}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::{super::tests::agencies, *};

    fn mistakes(text: &str) -> Vec<String> {
        match Routing::read(Path::new("r"), text, &agencies()) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
        }
    }

    /// The mistakes of one rule whose first lines are good.
    fn of_rule(lines: &str) -> Vec<String> {
        mistakes(&format!("[[rule]]\nname = \"n\"\nqueue = \"q\"\n{lines}\n"))
    }

    #[test]
    fn every_bad_value_is_shown_in_its_place_with_a_hint() {
        for (line, shown) in [
            ("regoin = \"1\"", "r:4:1: error: unknown key `regoin` (did you mean `region`?)"),
            (
                "region = \"31-74\"",
                "r:4:10: error: region: \"31-74\" is no region code (write the first parts of the code, like 31.74; all below it are meant)",
            ),
            (
                "priority = 10",
                "r:4:12: error: priority: it is no whole number from 0 to 9 (more is more urgent; 5 is usual)",
            ),
            (
                "priority = \"5\"",
                "r:4:12: error: priority: it is no whole number from 0 to 9 (more is more urgent; 5 is usual)",
            ),
            (
                "service_level = \"3 days\"",
                "r:4:17: error: service_level: `3 days` is no duration: write a whole number and ms, s, m, h or d, like \"300s\" (like \"24h\" or \"3d\")",
            ),
            (
                "report_type = [\"complaint\", \"complain\"]",
                "r:4:29: error: report_type: there is no \"complain\" (did you mean `complaint`?)",
            ),
            (
                "sensitivity = \"secret\"",
                "r:4:15: error: sensitivity: there is no \"secret\" (expected `normal` or `confidential`)",
            ),
            (
                "words = []",
                "r:4:9: error: words: the list is empty, so the rule never matches (list what it may be, or remove the key)",
            ),
            (
                "words = [\"a\", \"?!\"]",
                "r:4:15: error: words: \"?!\" has no word (whole words are compared; punctuation does not count)",
            ),
            (
                "words = [\"a\", 3]",
                "r:4:15: error: words: a text is wanted here, not an integer (put it between double quotes)",
            ),
            (
                "keyword = \"dua kata\"",
                "r:4:11: error: keyword: \"dua kata\" is more than one word (use `words` for words anywhere in the text)",
            ),
            (
                "agency = \"LISTRK\"",
                "r:4:10: error: agency: \"LISTRK\" is not in the agencies table (did you mean `LISTRIK`?)",
            ),
            (
                "channel = \"SMS\"",
                "r:4:11: error: channel: \"SMS\" is no channel id (write the name of its file in `channels/` without `.toml`)",
            ),
            (
                "language = \"indonesian\"",
                "r:4:12: error: language: \"indonesian\" is no language (write a code, like id, jv or en)",
            ),
            ("recipient = \" \"", "r:4:13: error: recipient: it is empty (write what it has to be, or remove the key)"),
        ] {
            assert_eq!(of_rule(line), [shown]);
        }
    }

    #[test]
    fn all_mistakes_of_a_file_are_shown_in_the_order_of_the_file() {
        let shown = mistakes(
            "[defaults]\n[default]\nqueue = \"Tri age\"\n[[rule]]\nqueue = \"a_b\"\n[[rule]]\nname = \"x\"\n[[rule]]\nname = \"y\"\nqueue = \"{agency}-{agency}\"\n",
        );
        let places: Vec<&str> =
            shown.iter().map(|mistake| mistake.split(" error").next().unwrap_or_default()).collect();
        assert_eq!(places, ["r:1:2:", "r:3:9:", "r:4:1:", "r:5:9:", "r:6:1:", "r:10:9:"], "{shown:#?}");
    }

    #[test]
    fn wrong_shapes_are_mistakes() {
        assert!(mistakes("rule = 3")[0].contains("write [[rule]]"));
        assert!(mistakes("rule = [3]")[0].contains("a rule is no table"));
        assert!(mistakes("[rule]\nname = \"x\"")[0].contains("two brackets"));
        assert!(mistakes("default = 3")[0].contains("write [default]"));
        assert!(mistakes("[[rule]\n")[0].starts_with("r:1:"));
        assert_eq!(mistakes(""), [""; 0]);
    }

    fn order(first: &str, second: &str) -> Vec<String> {
        let rule = |name: &str, lines: &str| format!("[[rule]]\nname = \"{name}\"\n{lines}\n");
        let with_queue =
            |lines: &str| if lines.contains("queue") { lines.to_owned() } else { format!("queue = \"q\"\n{lines}") };
        mistakes(&(rule("a", &with_queue(first)) + &rule("b", &with_queue(second))))
    }

    #[test]
    fn a_rule_that_an_earlier_one_hides_is_refused() {
        for (first, second) in [
            ("", "words = \"a\""),
            ("words = \"jalan\"", "words = [\"jalan rusak\", \"Jalan!\"]"),
            ("region = \"31\"", "region = \"31.74\"\nchannel = \"x\""),
            ("language = [\"id\", \"en\"]", "language = \"en-GB\""),
            ("queue = \"{agency}\"", "agency = \"LISTRIK\""),
            ("keyword = [\"A\", \"B\"]", "keyword = \"b\""),
        ] {
            let shown = order(first, second);
            assert!(
                shown.len() == 1 && shown[0].contains("\"b\" is never reached: \"a\" on line 2"),
                "{first} {shown:?}"
            );
        }
    }

    #[test]
    fn a_rule_that_is_wider_or_other_than_the_earlier_ones_stays() {
        for (first, second) in [
            ("words = \"a\"", ""),
            ("words = \"jalan rusak\"", "words = \"jalan\""),
            ("region = \"31.7\"", "region = \"31.74\""),
            ("queue = \"{agency}\"", "words = \"a\""),
            ("channel = \"x\"", "words = \"a\""),
            ("channel = [\"x\"]", "channel = [\"x\", \"y\"]"),
        ] {
            assert_eq!(order(first, second), [""; 0], "{first} / {second}");
        }
    }

    #[test]
    fn two_rules_have_two_names() {
        let shown =
            mistakes("[[rule]]\nname = \"a\"\nqueue = \"a\"\nwords = \"a\"\n[[rule]]\nname = \"a\"\nqueue = \"b\"\n");
        assert_eq!(
            shown,
            ["r:6:8: error: name: \"a\" is the name of the rule on line 2 already (give each rule its own name)"]
        );
    }

    #[test]
    fn the_longest_code_of_the_table_has_to_fit_into_the_queue() {
        let long = format!("[[rule]]\nname = \"a\"\nqueue = \"{}{{agency}}\"\n", "a".repeat(50));
        assert!(mistakes(&long)[0].contains("is no queue name"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_text_is_rules_or_mistakes_with_places(text in "(\\[\\[rule\\]\\]\n|name|queue|words|region|agency|default| = |\"|\\[|\\]|\n|\\{agency\\}|31\\.74|\\PC){0,30}") {
            if let Err(mistakes) = Routing::read(Path::new("r"), &text, &agencies()) {
                prop_assert!(!mistakes.is_empty());
                for mistake in mistakes {
                    prop_assert!(!mistake.render(crate::diagnostic::Style::Plain).is_empty());
                }
            }
        }
    }
}
