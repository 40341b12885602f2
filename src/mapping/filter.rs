//! A jq filter of a manifest: compiled once, run over what strangers sent (`channel-manifest.md` §4).
//!
//! In: the source of a filter; later a value, the evaluation root as `$root`, and the surroundings. Out: values. A filter
//! sees no secret, no clock, no environment and no file: the functions that would give them are not there, and
//! `refusals` says so when the manifest is loaded. What a run may allocate is bounded by `value::meter`; a run that
//! passes it gives nothing.

use std::{collections::BTreeSet, fmt, thread};

use bytes::Bytes;
use jaq_core::{
    Ctx, Error, Lut, Vars,
    data::{DataT, HasLut},
    load::{self, Arena, File, Loader, parse::Term},
    path::{Opt, Part},
};
use jaq_json::Val;
use serde_json::Value as Json;

use super::{
    Surroundings,
    value::{Value, json, meter},
};

mod functions;
mod markup;
pub(super) mod moment;
mod refusals;

/// Bytes of a filter's source. The longest of a manifest has some hundreds.
const SOURCE_BYTES: usize = 8 * 1024;
/// Stack of the thread that compiles. The parser recurses once for each bracket or sign.
const COMPILER_STACK: usize = 128 << 20;
/// Outputs of one run that are looked at.
pub(super) const OUTPUTS: usize = 1000;

/// A compiled jq filter.
pub struct Filter {
    program: Program,
    facts: Facts,
}

/// Shows nothing: the compiled form says nothing to a reader.
impl fmt::Debug for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Filter")
    }
}

enum Program {
    /// `.form.From`, `$root.body`: most filters of most manifests, walked without the interpreter.
    Path {
        from_root: bool,
        keys: Vec<(Bytes, Opt)>,
    },
    Jaq(Box<jaq_core::Filter<Engine>>),
}

/// What the linter asks about a filter.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Read as `settings.NAME`, or compared by `secret_eq`.
    pub settings: BTreeSet<String>,
    /// Takes one item of a list by a constant index, so that the others of a batch would be lost.
    pub takes_one: bool,
}

/// Why a filter was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub message: String,
    pub hint: Option<String>,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

impl Filter {
    /// Compiles one filter; the error says what is wrong in a line.
    pub fn compile(source: &str) -> Result<Self, String> {
        Self::checked(source).map_err(|refusal| match refusal.hint {
            Some(hint) => format!("{}; {hint}", refusal.message),
            None => refusal.message,
        })
    }

    /// Compiles one filter; the hint stands apart.
    pub(super) fn checked(source: &str) -> Result<Self, Refusal> {
        if source.len() > SOURCE_BYTES {
            return Err(Refusal::new(format!("the filter is longer than {SOURCE_BYTES} bytes")));
        }
        // The parser and the compiler recurse into brackets. What nests too deeply is refused after parsing, and parsing
        // has the stack that the longest source needs.
        thread::scope(|scope| {
            let compiler = thread::Builder::new().stack_size(COMPILER_STACK).spawn_scoped(scope, || compile(source));
            match compiler.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(filter)) => filter,
                Ok(Err(_)) | Err(_) => Err(Refusal::new("the filter cannot be compiled")),
            }
        })
    }

    /// The first output over a JSON document, which is `$root`, too; None when there is none, or null.
    pub fn run_first(&self, input: &Json, surroundings: &Surroundings<'_>) -> Result<Option<Json>, String> {
        let input = json::from_json(input);
        match self.first(&input, &input, surroundings)? {
            Some(output) => json::to_json(&output).map(Some).ok_or_else(|| "the result is too large".to_owned()),
            None => Ok(None),
        }
    }

    /// The first output; None when there is none, or null.
    pub(super) fn first(&self, input: &Val, root: &Val, around: &Surroundings<'_>) -> Result<Option<Val>, String> {
        let output = match &self.program {
            Program::Path { from_root, keys } => walk(if *from_root { root } else { input }, keys),
            Program::Jaq(filter) => run(filter, input, root, around, 1).map(|outputs| outputs.into_iter().next()),
        }?;
        Ok(output.filter(|output| !matches!(output, Val::Null)))
    }

    /// Every output; more than `OUTPUTS` are an error.
    pub(super) fn all(&self, input: &Val, root: &Val, around: &Surroundings<'_>) -> Result<Vec<Val>, String> {
        let outputs = match &self.program {
            Program::Path { from_root, keys } => {
                walk(if *from_root { root } else { input }, keys).map(|output| output.into_iter().collect())
            }
            Program::Jaq(filter) => run(filter, input, root, around, OUTPUTS + 1),
        }?;
        if outputs.len() > OUTPUTS { Err(format!("the filter gives more than {OUTPUTS} outputs")) } else { Ok(outputs) }
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// The types that jaq runs with.
pub(super) struct Engine;

impl DataT for Engine {
    type V<'a> = Value;
    type Data<'a> = Around<'a>;
}

/// What native functions reach beside their arguments.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    lut: &'a Lut<Engine>,
    surroundings: &'a Surroundings<'a>,
}

impl<'a> HasLut<'a, Engine> for Around<'a> {
    fn lut(&self) -> &'a Lut<Engine> {
        self.lut
    }
}

fn compile(source: &str) -> Result<Filter, Refusal> {
    let Some(term) = load::parse(source, |parser| parser.term()) else { return Err(mistake_in(source)) };
    let facts = refusals::examine(&term)?;
    let program = match simple_path(&term) {
        Some(path) => path,
        None => Program::Jaq(Box::new(assemble(source)?)),
    };
    Ok(Filter { program, facts })
}

fn assemble(source: &str) -> Result<jaq_core::Filter<Engine>, Refusal> {
    let arena = Arena::default();
    let file = File { code: source, path: () };
    let modules = Loader::new(functions::definitions()).load(&arena, file).map_err(|_| mistake_in(source))?;
    let compiler = jaq_core::Compiler::default().with_funs(functions::natives()).with_global_vars(["$root"]);
    compiler.compile(modules).map_err(|errors| {
        let unknown = errors.iter().flat_map(|(_, errors)| errors).next();
        Refusal::new(unknown.map_or_else(
            || "the filter cannot be compiled".to_owned(),
            |(name, what)| match what {
                jaq_core::compile::Undefined::Filter(arguments) => format!("there is no filter `{name}/{arguments}`"),
                what => format!("there is no {} `{name}`", what.as_str()),
            },
        ))
    })
}

/// What the parser says about a source that is no filter.
fn mistake_in(source: &str) -> Refusal {
    let first = source.split_whitespace().next().unwrap_or_default();
    if matches!(first, "import" | "include" | "module") {
        return refusals::refusal_of(first);
    }
    let arena = Arena::default();
    let result = Loader::new([]).load(&arena, File { code: source, path: () });
    let Some((_, error)) = result.err().and_then(|errors| errors.into_iter().next()) else {
        return Refusal::new("this is no jq filter");
    };
    let (expected, found) = match error {
        load::Error::Lex(errors) => match errors.into_iter().next() {
            Some((expected, rest)) => (expected.as_str(), rest),
            None => return Refusal::new("this is no jq filter"),
        },
        load::Error::Parse(errors) => match errors.into_iter().next() {
            Some((expected, found)) => (expected.as_str(), found),
            None => return Refusal::new("this is no jq filter"),
        },
        load::Error::Io(_) => return refusals::refusal_of("import"),
    };
    let found: String = found.chars().take(20).collect();
    let found = if found.is_empty() { "the end".to_owned() } else { format!("`{found}`") };
    Refusal::new(format!("this is no jq filter: expected {expected}, found {found}"))
}

/// `.`, `.a.b`, `$root.a["b c"]?`
fn simple_path(term: &Term<&str>) -> Option<Program> {
    let (head, parts) = match term {
        Term::Path(head, parts) => (head.as_ref(), parts.0.as_slice()),
        head => (head, [].as_slice()),
    };
    let from_root = match head {
        Term::Id => false,
        Term::Var("$root") => true,
        _ => return None,
    };
    let key = |(part, opt): &(Part<Term<&str>>, Opt)| match part {
        Part::Index(index) => Some((Bytes::copy_from_slice(refusals::literal(index)?.as_bytes()), *opt)),
        Part::Range(..) => None,
    };
    Some(Program::Path { from_root, keys: parts.iter().map(key).collect::<Option<_>>()? })
}

/// Follows a simple path as jq does: null stays null, and only objects have names.
fn walk(start: &Val, keys: &[(Bytes, Opt)]) -> Result<Option<Val>, String> {
    let mut place = start;
    for (key, opt) in keys {
        place = match place {
            Val::Obj(map) => map.get(&Val::utf8_str(key.clone())).unwrap_or(&Val::Null),
            Val::Null => return Ok(Some(Val::Null)),
            _ if matches!(opt, Opt::Optional) => return Ok(None),
            other => return Err(Error::index(Value(other.clone()), Value::text("")).to_string()),
        };
    }
    Ok(Some(place.clone()))
}

/// Takes at most `most` outputs.
fn run(
    filter: &jaq_core::Filter<Engine>,
    input: &Val,
    root: &Val,
    surroundings: &Surroundings<'_>,
    most: usize,
) -> Result<Vec<Val>, String> {
    let outputs = meter::metered(|| {
        let around = Around { lut: &filter.lut, surroundings };
        let context = Ctx::<Engine>::new(around, Vars::new([Value(root.clone())]));
        let outputs = filter.id.run((context, Value(input.clone()))).take(most);
        let result: Result<Vec<Val>, String> = outputs
            .map(|output| match output {
                Ok(value) => Ok(value.0),
                Err(exception) => Err(exception.get_err().map_or_else(|_| "a label is missing".to_owned(), describe)),
            })
            .collect();
        result
    });
    outputs.unwrap_or_else(|meter::Overrun| Err("the filter used more than it may".to_owned()))
}

/// What went wrong, without any words of the request. Our own functions name themselves in backquotes; the text of any other
/// error may hold what a citizen wrote.
fn describe(error: Error<Value>) -> String {
    let shown = error.to_string();
    match error.into_val() {
        Value(Val::TStr(text)) if text.starts_with(b"`") => String::from_utf8_lossy(&text).into_owned(),
        _ if shown.starts_with("cannot ") || shown.starts_with("invalid path") => shown,
        _ => "the filter raised an error".to_owned(),
    }
}

#[cfg(test)]
mod tests;
