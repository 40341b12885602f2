//! What a filter may not use, found by walking its parsed form, and what the linter wants to know about it
//! (`channel-manifest.md` §4 and §10).

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Pattern, Term},
    },
    path::Part,
};

use super::{Facts, Refusal};

/// Deepest nesting of a filter: a run recurses as deeply.
const DEPTH: usize = 100;
/// Largest bound of a `range` that is written down.
const RANGE: f64 = 1000.0;

/// Functions that are refused, with the reason and what to do instead.
const REFUSED: [(&str, &str); 19] = [
    ("import", "a manifest is one file"),
    ("include", "a manifest is one file"),
    ("module", "a manifest is one file"),
    ("env", "filters see no environment; make it a setting and read `.settings`"),
    ("$ENV", "filters see no environment; make it a setting and read `.settings`"),
    ("input", "a filter has one input"),
    ("inputs", "a filter has one input"),
    ("debug", "use `loket channel try` to see what a filter gives"),
    ("stderr", "use `loket channel try` to see what a filter gives"),
    ("input_filename", "a filter has one input"),
    ("input_line_number", "a filter has one input"),
    ("now", "a replayed receipt must be read the same; use `$root.received_at`"),
    ("localtime", "the zone of this machine means nothing; use `epoch` or `gmtime`"),
    ("strflocaltime", "the zone of this machine means nothing; use `strftime`"),
    ("halt", "use `empty`"),
    ("halt_error", "use `error`"),
    ("repeat", "it may never end; use `.[]`, or `range` with a bound"),
    ("while", "it may never end; use `.[]`, or `range` with a bound"),
    ("until", "it may never end; use `.[]`, or `range` with a bound"),
];

/// The refusal of a function by its name.
pub(super) fn refusal_of(name: &str) -> Refusal {
    let hint = REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, hint)| *hint);
    match hint {
        Some(hint) => Refusal::with_hint(format!("`{name}` is not allowed in a manifest"), hint),
        None => Refusal::new(format!("`{name}` is not allowed in a manifest")),
    }
}

/// Walks the filter; the first refusal ends the walk.
pub(super) fn examine(term: &Term<&str>) -> Result<Facts, Refusal> {
    let mut walk = Walk { facts: Facts { takes_one: takes_one(term), ..Facts::default() }, depth: 0 };
    walk.term(term)?;
    Ok(walk.facts)
}

/// The text of a string without interpolation.
pub(super) fn literal<'s>(term: &Term<&'s str>) -> Option<&'s str> {
    match term {
        Term::Str(None, parts) => match parts.as_slice() {
            [] => Some(""),
            [StrPart::Str(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}

struct Walk {
    facts: Facts,
    depth: usize,
}

impl Walk {
    fn term(&mut self, term: &Term<&str>) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Refusal::new(format!("the filter nests deeper than {DEPTH} levels")));
        }
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Arr(None) | Term::Break(_) => {}
            Term::Var(name) => Self::variable(name)?,
            Term::Str(format, parts) => self.string(*format, parts)?,
            Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => self.term(inner)?,
            Term::Obj(entries) => {
                for (key, value) in entries {
                    self.term(key)?;
                    value.iter().try_for_each(|value| self.term(value))?;
                }
            }
            Term::BinOp(left, operator, right) => {
                self.term(left)?;
                if let BinaryOp::Pipe(Some(pattern)) = operator {
                    self.pattern(pattern)?;
                }
                self.term(right)?;
            }
            Term::Fold(_, items, pattern, arguments) => {
                self.term(items)?;
                self.pattern(pattern)?;
                arguments.iter().try_for_each(|argument| self.term(argument))?;
            }
            Term::TryCatch(body, handler) => {
                self.term(body)?;
                handler.iter().try_for_each(|handler| self.term(handler))?;
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, branch) in branches {
                    self.term(condition)?;
                    self.term(branch)?;
                }
                otherwise.iter().try_for_each(|otherwise| self.term(otherwise))?;
            }
            Term::Def(..) => {
                return Err(Refusal::with_hint(
                    "`def` is not allowed in a manifest",
                    "a function of its own could call itself for ever; write the filter out",
                ));
            }
            Term::Call(name, arguments) => self.call(name, arguments)?,
            Term::Path(head, path) => {
                self.term(head)?;
                self.settings(head, &path.0);
                path.0.iter().try_for_each(|(part, _)| self.part(part))?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn string(&mut self, format: Option<&str>, parts: &[StrPart<&str, Term<&str>>]) -> Result<(), Refusal> {
        if let Some(format) = format {
            self.call(format, &[])?;
        }
        parts.iter().try_for_each(|part| match part {
            StrPart::Term(inner) => self.term(inner),
            StrPart::Str(_) | StrPart::Char(_) => Ok(()),
        })
    }

    fn pattern(&mut self, pattern: &Pattern<&str>) -> Result<(), Refusal> {
        match pattern {
            Pattern::Var(_) => Ok(()),
            Pattern::Arr(inner) => inner.iter().try_for_each(|inner| self.pattern(inner)),
            Pattern::Obj(entries) => entries.iter().try_for_each(|(key, inner)| {
                self.term(key)?;
                self.pattern(inner)
            }),
        }
    }

    fn part(&mut self, part: &Part<Term<&str>>) -> Result<(), Refusal> {
        match part {
            Part::Index(index) => self.term(index),
            Part::Range(from, to) => from.iter().chain(to).try_for_each(|bound| self.term(bound)),
        }
    }

    fn variable(name: &str) -> Result<(), Refusal> {
        if REFUSED.iter().any(|(refused, _)| *refused == name) { Err(refusal_of(name)) } else { Ok(()) }
    }

    fn call(&mut self, name: &str, arguments: &[Term<&str>]) -> Result<(), Refusal> {
        if REFUSED.iter().any(|(refused, _)| *refused == name) || name.starts_with("loket_") {
            return Err(refusal_of(name));
        }
        match (name, arguments) {
            ("recurse", [_, ..]) => {
                return Err(Refusal::with_hint(
                    "`recurse` with an argument is not allowed in a manifest",
                    "it may never end; `recurse` alone and `..` are allowed",
                ));
            }
            ("range", bounds) if bounds.iter().any(beyond_range) => {
                return Err(Refusal::with_hint(
                    "`range` goes beyond 1000",
                    "no receipt holds more than 1000 items; use `.[]`",
                ));
            }
            ("secret_eq", [_, secret]) => {
                let Some(secret) = literal(secret) else {
                    return Err(Refusal::with_hint(
                        "`secret_eq` wants the name of a setting as its second argument",
                        "write it as a string: `secret_eq(.query.token; \"verify_token\")`",
                    ));
                };
                self.facts.settings.insert(secret.to_owned());
            }
            _ => {}
        }
        arguments.iter().try_for_each(|argument| self.term(argument))
    }

    /// `.settings.NAME` of the root.
    fn settings(&mut self, head: &Term<&str>, parts: &[(Part<Term<&str>>, jaq_core::path::Opt)]) {
        if !matches!(head, Term::Id | Term::Var("$root")) {
            return;
        }
        let name = |place: usize| match parts.get(place) {
            Some((Part::Index(index), _)) => literal(index),
            _ => None,
        };
        if let (Some("settings"), Some(name)) = (name(0), name(1)) {
            self.facts.settings.insert(name.to_owned());
        }
    }
}

fn beyond_range(bound: &Term<&str>) -> bool {
    number(bound).is_some_and(|bound| bound.abs() > RANGE)
}

fn number(term: &Term<&str>) -> Option<f64> {
    match term {
        Term::Num(digits) => digits.parse().ok(),
        Term::Neg(inner) => number(inner).map(|value| -value),
        _ => None,
    }
}

/// Does what comes out of the filter pass through a constant index of a list? Conditions and bound variables do not
/// count: they choose, they are not what is taken.
fn takes_one(term: &Term<&str>) -> bool {
    match term {
        Term::Path(head, path) => takes_one(head) || path.0.iter().any(|(part, _)| is_one(part)),
        Term::BinOp(left, BinaryOp::Pipe(None) | BinaryOp::Comma | BinaryOp::Alt, right) => {
            takes_one(left) || takes_one(right)
        }
        Term::BinOp(_, BinaryOp::Pipe(Some(_)), right) => takes_one(right),
        Term::Call("first" | "last" | "nth" | "limit", _) => true,
        Term::TryCatch(body, _) | Term::Label(_, body) => takes_one(body),
        Term::IfThenElse(branches, otherwise) => {
            branches.iter().any(|(_, branch)| takes_one(branch))
                || otherwise.as_ref().is_some_and(|otherwise| takes_one(otherwise))
        }
        _ => false,
    }
}

fn is_one(part: &Part<Term<&str>>) -> bool {
    match part {
        Part::Index(index) => number(index).is_some(),
        Part::Range(from, to) => from.iter().chain(to).any(|bound| number(bound).is_some()),
    }
}
