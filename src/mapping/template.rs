//! Templates of answers and of requests of ours (`channel-manifest.md` §5): MiniJinja, with values escaped for the place
//! they stand in.
//!
//! In: the source and how it is escaped; later a JSON object of variables. Out: text, at most 64 KiB. A variable that is
//! missing is an error, never an empty text. There are no includes and nothing that switches the escaping off. A text without
//! `{` is no template and costs nothing.

use std::{collections::BTreeSet, fmt, io};

use base64::{Engine, engine::general_purpose};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value as Variable};
use ring::digest::{SHA256, digest};
use serde_json::Value as Json;

use super::{Escape, root::text::to_hex};

mod escaping;

/// Steps of one rendering.
const FUEL: u64 = 10_000;
/// Bytes that a template may write.
const OUTPUT_BYTES: usize = 64 * 1024;
/// Bytes of a template's source.
const SOURCE_BYTES: usize = 64 * 1024;
/// The only template of an environment.
const NAME: &str = "template";
/// Statements that read other templates.
const REFUSED_STATEMENTS: [&str; 4] = ["include", "import", "from", "extends"];
/// Filters that would write a value unescaped, or escape it for another place.
const REFUSED_FILTERS: [&str; 4] = ["safe", "escape", "e", "tojson"];

/// A compiled template.
pub struct Template(Form);

enum Form {
    /// No variable in it.
    Fixed(String),
    Program(Box<Program>),
}

struct Program {
    environment: Environment<'static>,
    /// Of a URL: the variable that it begins with. It is scheme, host and perhaps more, and is written as it is; whoever
    /// sends the request checks the host.
    leading: Option<String>,
    /// The leading variable is the whole template.
    is_bare: bool,
    paths: BTreeSet<String>,
    words: BTreeSet<String>,
}

/// Shows nothing: a source may be long, and the compiled form says nothing to a reader.
impl fmt::Debug for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Template")
    }
}

impl Template {
    /// Compiles a template; the error says what is wrong in a line.
    pub fn compile(source: &str, escape: Escape) -> Result<Self, String> {
        if source.len() > SOURCE_BYTES {
            return Err("the template is longer than 64 KiB".to_owned());
        }
        if !source.contains('{') {
            return Ok(Self(Form::Fixed(source.to_owned())));
        }
        if let Some(statement) = statements(source).find(|statement| REFUSED_STATEMENTS.contains(statement)) {
            return Err(format!("`{statement}` is not allowed: a template stands alone"));
        }
        let (leading, rest) = match escape {
            Escape::Url => {
                leading_variable(source).map_or((None, source), |(path, rest)| (Some(path.to_owned()), rest))
            }
            _ => (None, source),
        };
        let mut environment = environment(escape);
        environment.add_template_owned(NAME, rest.to_owned()).map_err(|error| mistake(&error))?;
        let template = environment.get_template(NAME).map_err(|error| mistake(&error))?;
        let paths = template.undeclared_variables(true).into_iter().chain(leading.clone()).collect();
        let is_bare = leading.is_some() && rest.trim().is_empty();
        let words = words(rest);
        Ok(Self(Form::Program(Box::new(Program { environment, leading, is_bare, paths, words }))))
    }

    /// Names of the variables at the top level that the template reads (`settings.x` gives `settings`).
    pub fn variables(&self) -> Vec<String> {
        let names: BTreeSet<String> = self.path_set().map(|path| top(path).to_owned()).collect();
        names.into_iter().collect()
    }

    /// Dotted paths (`settings.account_sid`, `secret.token`) that the template reads.
    pub fn paths(&self) -> Vec<String> {
        self.path_set().cloned().collect()
    }

    /// Of a URL: the template is one variable and nothing else (`{{ resolved }}`), so that the variable is the whole URL.
    pub fn is_bare_variable(&self) -> bool {
        matches!(&self.0, Form::Program(program) if program.is_bare)
    }

    /// Of a URL: the path of the variable that it begins with (`settings.base_url`). It is written as it is.
    pub fn leading(&self) -> Option<&str> {
        match &self.0 {
            Form::Program(program) => program.leading.as_deref(),
            Form::Fixed(_) => None,
        }
    }

    /// Renders with an object of variables. The error names no value.
    pub fn render(&self, context: &Json) -> Result<String, String> {
        let program = match &self.0 {
            Form::Fixed(text) => return Ok(text.clone()),
            Form::Program(program) => program,
        };
        let mut out = Bounded::default();
        if let Some(path) = &program.leading {
            let value = path.split('.').try_fold(context, |value, name| value.get(name));
            let url = value.and_then(Json::as_str).ok_or_else(|| format!("`{path}` is missing or no text"))?;
            io::Write::write_all(&mut out, url.as_bytes()).map_err(|_| too_long())?;
        }
        let variables: std::collections::BTreeMap<&str, Variable> =
            program.words.iter().filter_map(|name| Some((name.as_str(), variable(context.get(name)?)))).collect();
        let template = program.environment.get_template(NAME).map_err(|error| mistake(&error))?;
        let rendered = template.render_captured_to(Variable::from(variables), &mut out).map(drop);
        if out.overrun {
            return Err(too_long());
        }
        rendered.map_err(|error| mistake(&error))?;
        String::from_utf8(out.bytes).map_err(|_| "the template wrote no text".to_owned())
    }

    fn path_set(&self) -> impl Iterator<Item = &String> {
        match &self.0 {
            Form::Program(program) => Some(program.paths.iter()),
            Form::Fixed(_) => None,
        }
        .into_iter()
        .flatten()
    }
}

/// Every word of a template, among them its variables: those that stand in a slice are not among the undeclared ones of the
/// library.
fn words(source: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    source.split(|letter| !is_part(letter)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn too_long() -> String {
    "the template wrote more than 64 KiB".to_owned()
}

fn top(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

/// What MiniJinja says, without the values that it was given.
fn mistake(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest => {
            format!("{}{line}", error.detail().unwrap_or("the template does not compile"))
        }
        ErrorKind::InvalidOperation if error.detail().is_some_and(|detail| detail.starts_with('`')) => {
            error.detail().unwrap_or_default().to_owned()
        }
        kind => format!("{kind}{line}"),
    }
}

/// The words behind `{%`.
fn statements(source: &str) -> impl Iterator<Item = &str> {
    source
        .split("{%")
        .skip(1)
        .filter_map(|statement| statement.trim_start_matches(['-', '+']).split_whitespace().next())
}

/// `{{ settings.base_url }}/messages` gives the path of the variable, and the rest.
fn leading_variable(source: &str) -> Option<(&str, &str)> {
    let (expression, rest) = source.trim_start().strip_prefix("{{")?.split_once("}}")?;
    let path = expression.trim_matches(['-', '+']).trim();
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
    };
    path.split('.').all(is_name).then_some((path, rest))
}

/// JSON as variables.
fn variable(value: &Json) -> Variable {
    match value {
        Json::Null => Variable::from(()),
        Json::Bool(flag) => Variable::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Variable::from(whole),
            (None, Some(whole)) => Variable::from(whole),
            (None, None) => Variable::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Variable::from(text.as_str()),
        Json::Array(items) => items.iter().map(variable).collect(),
        Json::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| (name.as_str(), variable(value)));
            Variable::from(entries.collect::<std::collections::BTreeMap<_, _>>())
        }
    }
}

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    for filter in REFUSED_FILTERS {
        environment.remove_filter(filter);
    }
    environment.add_filter("digits", |text: String| text.chars().filter(char::is_ascii_digit).collect::<String>());
    environment.add_filter("b64e", |text: String| general_purpose::STANDARD.encode(text));
    environment.add_filter("sha256", |text: String| to_hex(digest(&SHA256, text.as_bytes()).as_ref()));
    if escape == Escape::Url {
        environment.add_filter("path", |text: String| escaping::path(&text));
    }
    // With an escaping named, what a block captures counts as safe and is not escaped a second time.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("place".into()));
    environment.set_formatter(move |out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Variable| {
        escaping::write(out, escape, value).map_err(escaping::Failure::into)
    });
    environment
}

/// Output that takes no more than a template may write.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    overrun: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_BYTES {
            self.overrun = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(source: &str, escape: Escape) -> Result<String, String> {
        let context = json!({
            "to": "+62 811-1", "text": "a \"b\" <c> & d/é", "n": 7, "f": 1.5, "yes": true, "none": null,
            "list": [1, "x"], "settings": {"base": "https://sms.example:8443/x", "key": "k/1"}, "up": "..",
        });
        Template::compile(source, escape).and_then(|template| template.render(&context))
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        for (source, escape, expected) in [
            (
                r#"{"t": {{ text }}, "n": {{ n }}, "o": {{ none }}, "l": {{ list }}, "y": {{ yes }}, "s": {{ settings }}}"#,
                Escape::Json,
                r#"{"t": "a \"b\" <c> & d/é", "n": 7, "o": null, "l": [1,"x"], "y": true, "s": {"base":"https://sms.example:8443/x","key":"k/1"}}"#,
            ),
            ("<t>{{ text }}</t>{{ none }}", Escape::Xml, "<t>a &quot;b&quot; &lt;c&gt; &amp; d/é</t>"),
            ("{{ text }}", Escape::Form, "a%20%22b%22%20%3Cc%3E%20%26%20d%2F%C3%A9"),
            ("https://h.example/{{ settings.key }}/{{ n }}", Escape::Url, "https://h.example/k%2F1/7"),
            ("https://h.example/{{ settings.key|path }}", Escape::Url, "https://h.example/k/1"),
            ("{{ settings.base }}/send/{{ settings.key }}", Escape::Url, "https://sms.example:8443/x/send/k%2F1"),
            ("{{ text }} {{ f }} {{ none }}{{ yes }}", Escape::Text, "a \"b\" <c> & d/é 1.5 true"),
            (
                "{{ to|digits }} {{ 'a'|b64e }} {{ 'abc'|sha256 }}",
                Escape::Text,
                "628111 YQ== ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            ("{{ (to|digits)[:3] }} {{ (to|digits)[1:3] }} {{ to[-1:] }}", Escape::Text, "628 28 1"),
            ("{% if n > 3 %}{{ to }}{% endif %}", Escape::Form, "%2B62%20811-1"),
            ("{% set x %}<{{ text }}>{% endset %}{{ x }}", Escape::Xml, "<a &quot;b&quot; &lt;c&gt; &amp; d/é>"),
            ("OK", Escape::Json, "OK"),
        ] {
            assert_eq!(rendered(source, escape).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_could_escape_its_place_is_refused() {
        for (source, escape) in [
            ("{{ missing }}", Escape::Text),
            ("{{ settings.missing }}", Escape::Text),
            ("{{ missing }}/x", Escape::Url),
            ("{{ list }}/x", Escape::Url),
            ("https://h.example/{{ up }}/x", Escape::Url),
            ("https://h.example/{{ up|path }}/x", Escape::Url),
            ("{{ text|safe }}", Escape::Json),
            ("{{ text|path }}", Escape::Json),
            ("{% include 'template' %}", Escape::Text),
            ("{%- extends 'x' %}", Escape::Text),
            ("{% from 'x' import y %}", Escape::Text),
            ("{{ text", Escape::Text),
            ("{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}", Escape::Text),
            ("{% for a in range(700) %}{{ 'xxxxxxxxxx' * 10 }}{% endfor %}", Escape::Text),
        ] {
            assert!(rendered(source, escape).is_err(), "{source}: {:?}", rendered(source, escape));
        }
    }

    #[test]
    fn an_error_names_no_value() {
        for source in ["{{ text + 1 }}", "{{ text.x.y }}", "{{ text|int }}", "{{ nothing_here }}"] {
            let error = rendered(source, Escape::Text).unwrap_err();
            assert!(!error.contains("a \"b\""), "{error}");
        }
    }

    #[test]
    fn the_linter_sees_what_a_template_reads() {
        let template = Template::compile("{{ settings.base }}/{{ to }}?k={{ secret.token }}", Escape::Url).unwrap();
        assert_eq!(template.paths(), ["secret.token", "settings.base", "to"]);
        assert_eq!(template.variables(), ["secret", "settings", "to"]);
        assert_eq!(template.leading(), Some("settings.base"));
        assert!(!template.is_bare_variable());
        assert!(Template::compile("{{ resolved }}", Escape::Url).unwrap().is_bare_variable());
        assert!(!Template::compile("{{ resolved|path }}", Escape::Url).unwrap().is_bare_variable());
        assert!(Template::compile("plain", Escape::Text).unwrap().paths().is_empty());
    }
}
