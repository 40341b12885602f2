//! Mends a document behind a mistake, so that reading goes on to the next one: an unknown key is taken out, a value of
//! the wrong kind or a missing one is replaced by a value that fits. What is put in is never shown.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue, Error},
};

use super::{did_you_mean, nearest_word};

/// How many kinds of value are tried in a place.
pub const KINDS: usize = 8;

/// Marks what was put in: no file is that long.
const PUT_IN: Range<usize> = usize::MAX - 1..usize::MAX;

/// One mistake, in words.
pub struct Mistake {
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

pub enum Step {
    /// A mistake of the file; the document was mended behind it.
    Found(Mistake),
    /// What was put in did not fit; now something else is there.
    GoOn,
    /// Nothing fits.
    GiveUp,
}

/// The place that was mended last.
#[derive(Default)]
pub struct Mending {
    hole: Vec<Segment>,
    tried: usize,
    /// Keys that unknown ones were probably meant to be: that they are missing is told already.
    meant: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl Mending {
    pub fn mend(&mut self, root: &mut Spanned<DeTable<'_>>, error: &Error) -> Step {
        let span = error.span().unwrap_or_else(|| root.span());
        let words = backticked(error.message());
        if span == PUT_IN {
            return self.put_in_another(root.get_mut(), error.message(), &words);
        }
        let whole = root.span();
        let root = root.get_mut();
        match words.split_first() {
            Some((name, expected)) if error.message().starts_with("unknown field") => {
                self.take_out(root, &span, name, expected)
            }
            Some((name, _)) if error.message().starts_with("missing field") => self.fill_in(root, &whole, &span, name),
            Some((name, expected)) if error.message().starts_with("unknown variant") && !name.is_empty() => {
                let message = |path: &str| format!("`{path}` is `{name}` and must be one of {}", listed(expected));
                self.replace(root, &span, message, did_you_mean(name, expected.iter().copied()))
            }
            _ => {
                let found = error.message().replace('\n', ", ");
                let message = |path: &str| match found
                    .strip_prefix("invalid type: ")
                    .and_then(|rest| rest.split_once(", expected "))
                {
                    // What stands there may be a secret in clear: only its kind is told.
                    Some((kind, wanted)) => format!("`{path}` must be {}, not {}", in_words(wanted), kind_of(kind)),
                    None => format!("`{path}`: {found}"),
                };
                self.replace(root, &span, message, None)
            }
        }
    }

    /// An unknown key.
    fn take_out(&mut self, root: &mut DeTable<'_>, span: &Range<usize>, name: &str, expected: &[&str]) -> Step {
        let by_key = |key: Range<usize>, _: &Spanned<DeValue<'_>>| key == *span;
        // A table that is read twice (one with a `kind`) reports its own place instead of the key's.
        let path = find(root, &mut Vec::new(), &by_key).or_else(|| {
            let mut path = find(root, &mut Vec::new(), &|_, value| value.span() == *span && holds(value, name))?;
            path.push(Segment::Key(name.to_owned()));
            Some(path)
        });
        let Some((Segment::Key(key), parent)) = path.as_deref().and_then(<[Segment]>::split_last) else {
            return Step::GiveUp;
        };
        let Some(table) = table_at(root, parent) else { return Step::GiveUp };
        let Some((taken, _)) = table.remove_entry(key.as_str()) else { return Step::GiveUp };
        if let Some(meant) = nearest_word(name, expected.iter().copied()) {
            let meant = [parent, &[Segment::Key(meant.to_owned())]].concat();
            self.meant.push(dotted(&meant));
        }
        let path = path.as_deref().map(dotted).unwrap_or_default();
        let hint = did_you_mean(name, expected.iter().copied())
            .or_else(|| (!expected.is_empty()).then(|| format!("the keys here are {}", listed(expected))));
        Step::Found(Mistake { span: taken.span(), message: format!("`{path}` is no key that is known here"), hint })
    }

    /// A key that must be there.
    fn fill_in(&mut self, root: &mut DeTable<'_>, whole: &Range<usize>, span: &Range<usize>, name: &str) -> Step {
        let lacking = |_: Range<usize>, value: &Spanned<DeValue<'_>>| value.span() == *span && lacks(value, name);
        let parent = match find(root, &mut Vec::new(), &lacking) {
            Some(parent) => parent,
            None if span == whole && !root.contains_key(name) => Vec::new(),
            None => return Step::GiveUp,
        };
        let Some(table) = table_at(root, &parent) else { return Step::GiveUp };
        table.insert(Spanned::new(PUT_IN, name.to_owned().into()), Spanned::new(PUT_IN, kind(0)));
        let span = if parent.is_empty() { 0..0 } else { span.clone() };
        self.hole = parent;
        self.hole.push(Segment::Key(name.to_owned()));
        self.tried = 0;
        if self.meant.contains(&dotted(&self.hole)) {
            return Step::GoOn;
        }
        Step::Found(Mistake { span, message: format!("`{}` is missing", dotted(&self.hole)), hint: None })
    }

    /// A value that does not fit.
    fn replace(
        &mut self,
        root: &mut DeTable<'_>,
        span: &Range<usize>,
        message: impl Fn(&str) -> String,
        hint: Option<String>,
    ) -> Step {
        let Some(path) = find(root, &mut Vec::new(), &|_, value| value.span() == *span) else { return Step::GiveUp };
        let Some(value) = value_at(root, &path) else { return Step::GiveUp };
        *value = Spanned::new(PUT_IN, kind(0));
        self.hole = path;
        self.tried = 0;
        Step::Found(Mistake { span: span.clone(), message: message(&dotted(&self.hole)), hint })
    }

    fn put_in_another(&mut self, root: &mut DeTable<'_>, message: &str, words: &[&str]) -> Step {
        self.tried += 1;
        let Some(value) = value_at(root, &self.hole) else { return Step::GiveUp };
        let fitting = match words {
            [_, first, ..] if message.starts_with("unknown variant") => DeValue::String((*first).to_owned().into()),
            _ if self.tried < KINDS => kind(self.tried),
            _ => return Step::GiveUp,
        };
        *value = Spanned::new(PUT_IN, fitting);
        Step::GoOn
    }
}

/// The values that are tried, one after the other.
fn kind(number: usize) -> DeValue<'static> {
    match number {
        0 => DeValue::String("".into()),
        1 => DeValue::Integer(DeInteger::default()),
        2 => DeValue::String("1s".into()),
        3 => DeValue::String("1 B".into()),
        4 => DeValue::Boolean(false),
        5 => DeValue::Array(toml::de::DeArray::new()),
        6 => DeValue::Table(DeTable::new()),
        _ => DeValue::String("127.0.0.1".into()),
    }
}

/// The words between backticks of serde's messages: the name, then what was expected.
fn backticked(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Types of Rust in the words of people.
fn in_words(wanted: &str) -> &str {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => "a whole number",
        "f64" => "a number",
        "struct" | "a map" => "a table",
        "a sequence" => "a list",
        _ if wanted.starts_with("struct ") => "a table",
        _ => wanted,
    }
}

/// `string "abc"` -> `a string`
fn kind_of(found: &str) -> String {
    let kind = found.split(['`', '"']).next().unwrap_or_default().trim();
    match kind {
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        _ if kind.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn dotted(path: &[Segment]) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Key(key) => key.clone(),
        Segment::Index(index) => index.to_string(),
    };
    path.iter().map(segment).collect::<Vec<_>>().join(".")
}

fn holds(value: &Spanned<DeValue<'_>>, name: &str) -> bool {
    matches!(value.get_ref(), DeValue::Table(table) if table.contains_key(name))
}

fn lacks(value: &Spanned<DeValue<'_>>, name: &str) -> bool {
    matches!(value.get_ref(), DeValue::Table(table) if !table.contains_key(name))
}

/// Is this the one? Asked with the place of the key and the value.
type Wanted<'a> = dyn Fn(Range<usize>, &Spanned<DeValue<'_>>) -> bool + 'a;

/// Elements of a list have no key.
const NO_KEY: Range<usize> = usize::MAX..usize::MAX;

/// The path of the first entry that is wanted.
fn find(table: &DeTable<'_>, path: &mut Vec<Segment>, wanted: &Wanted<'_>) -> Option<Vec<Segment>> {
    for (key, value) in table {
        path.push(Segment::Key(key.get_ref().to_string()));
        if wanted(key.span(), value) {
            return Some(path.clone());
        }
        if let Some(found) = find_inside(value, path, wanted) {
            return Some(found);
        }
        path.pop();
    }
    None
}

fn find_inside(value: &Spanned<DeValue<'_>>, path: &mut Vec<Segment>, wanted: &Wanted<'_>) -> Option<Vec<Segment>> {
    match value.get_ref() {
        DeValue::Table(inner) => find(inner, path, wanted),
        DeValue::Array(array) => array.iter().enumerate().find_map(|(index, element)| {
            path.push(Segment::Index(index));
            if wanted(NO_KEY, element) {
                return Some(path.clone());
            }
            let found = find_inside(element, path, wanted);
            path.pop();
            found
        }),
        _ => None,
    }
}

fn value_at<'a, 'i>(root: &'a mut DeTable<'i>, path: &[Segment]) -> Option<&'a mut Spanned<DeValue<'i>>> {
    let (first, rest) = path.split_first()?;
    let Segment::Key(key) = first else { return None };
    let mut value = root.get_mut(key.as_str())?;
    for segment in rest {
        value = match (value.get_mut(), segment) {
            (DeValue::Table(table), Segment::Key(key)) => table.get_mut(key.as_str())?,
            (DeValue::Array(array), Segment::Index(index)) => array.get_mut(*index)?,
            _ => return None,
        };
    }
    Some(value)
}

fn table_at<'a, 'i>(root: &'a mut DeTable<'i>, path: &[Segment]) -> Option<&'a mut DeTable<'i>> {
    if path.is_empty() {
        return Some(root);
    }
    match value_at(root, path)?.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}
