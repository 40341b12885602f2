//! `Authentication-Results` (RFC 8601): what a server that the operator runs found out about the sender.
//!
//! Only fields of trusted servers count, and of these the topmost: what a sender wrote stands below. Details name domains and
//! never a mailbox.

use super::{charset::Loss, headers::Headers, words};
use crate::{
    message::MailAuthentication,
    receipt::{Check, CheckResult},
};

/// Fields, and results within one, that are looked at.
const FIELDS: usize = 20;
const RESULTS: usize = 50;

/// `method=result property=value …`
#[derive(Default)]
struct Found {
    method: String,
    result: Option<CheckResult>,
    properties: Vec<(String, String)>,
}

impl Found {
    fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A domain that the result is about.
    fn domain(&self, names: &[&str]) -> Option<String> {
        let value = names.iter().find_map(|name| self.property(name))?;
        let domain = value.rsplit('@').next()?.trim_matches(['<', '>', '.']).to_lowercase();
        Some(domain).filter(|domain| !domain.is_empty() && domain.len() <= 255)
    }
}

/// The verdicts of the trusted servers, and their words for the message if there are any. `from` is the author's domain.
pub(super) fn read(
    headers: &Headers<'_>,
    trusted: &[String],
    from: Option<&str>,
) -> (Vec<Check>, Option<MailAuthentication>) {
    let fields = topmost(headers, trusted);
    if fields.is_empty() {
        return (Vec::new(), None);
    }
    let first = |method: &str| {
        let own = |found: &&Found| found.method == method && found.result.is_some();
        let field = fields.iter().find(|field| field.iter().any(|found| own(&found)));
        field.map(|field| field.iter().filter(own).collect::<Vec<_>>()).unwrap_or_default()
    };
    let mut checks = Vec::new();
    let mut add = |method: &str, found: Option<&Found>, detail: Option<String>| -> String {
        let Some(result) = found.and_then(|found| found.result) else { return String::new() };
        checks.push(Check { method: method.to_owned(), result, detail });
        word(result).to_owned()
    };
    let labelled = |label: &str, domain: Option<String>| domain.map(|domain| format!("{label}={domain}"));

    let spf = first("spf").into_iter().next();
    let spf = add(
        "spf",
        spf,
        labelled("smtp.mailfrom", spf.and_then(|found| found.domain(&["smtp.mailfrom", "smtp.mfrom", "smtp.helo"]))),
    );
    let dkim = best_signature(&first("dkim"), from);
    let dkim = add("dkim", dkim, labelled("d", dkim.and_then(signer)));
    let dmarc = first("dmarc").into_iter().next();
    let dmarc = add("dmarc", dmarc, labelled("header.from", dmarc.and_then(|found| found.domain(&["header.from"]))));
    add("arc", first("arc").into_iter().next(), None);
    if checks.is_empty() {
        checks.push(Check { method: "authentication_results".to_owned(), result: CheckResult::None, detail: None });
    }
    (checks, Some(MailAuthentication { spf, dkim, dmarc }))
}

/// The results in the fields of trusted servers, down to the next hop.
fn topmost(headers: &Headers<'_>, trusted: &[String]) -> Vec<Vec<Found>> {
    let mut fields = Vec::new();
    let headers = headers.iter().filter(|_| !trusted.is_empty());
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("received") && !fields.is_empty() {
            break;
        }
        if name.eq_ignore_ascii_case("authentication-results") && fields.len() < FIELDS {
            fields.extend(results(value, trusted));
        }
    }
    fields
}

/// The signature that says most: one that passes and is of the author's domain, one that passes, the first.
fn best_signature<'x>(signatures: &[&'x Found], from: Option<&str>) -> Option<&'x Found> {
    let passes = |found: &&&Found| found.result == Some(CheckResult::Pass);
    let aligns = |found: &&&Found| signer(found).zip(from).is_some_and(|(signer, from)| related(&signer, from));
    let good = || signatures.iter().filter(passes);
    good().find(aligns).or_else(|| good().next()).or_else(|| signatures.first()).copied()
}

fn signer(found: &Found) -> Option<String> {
    found.domain(&["header.d", "header.i"])
}

/// One domain is the other or lies below it.
fn related(one: &str, other: &str) -> bool {
    let below =
        |low: &str, high: &str| low.strip_suffix(high).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let other = other.to_lowercase();
    below(one, &other) || below(&other, one)
}

fn word(result: CheckResult) -> &'static str {
    match result {
        CheckResult::None => "none",
        CheckResult::Pass => "pass",
        CheckResult::Fail => "fail",
        CheckResult::Softfail => "softfail",
        CheckResult::Neutral => "neutral",
        CheckResult::Temperror => "temperror",
        CheckResult::Permerror => "permerror",
        CheckResult::Policy => "policy",
    }
}

fn result(word: &str) -> Option<CheckResult> {
    Some(match word.to_ascii_lowercase().as_str() {
        "none" | "bestguesspass" => CheckResult::None,
        "pass" => CheckResult::Pass,
        "fail" | "hardfail" => CheckResult::Fail,
        "softfail" => CheckResult::Softfail,
        "neutral" => CheckResult::Neutral,
        "temperror" | "error" => CheckResult::Temperror,
        "permerror" => CheckResult::Permerror,
        "policy" => CheckResult::Policy,
        _ => return None,
    })
}

/// The results of a field if a trusted server wrote it.
fn results(field: &[u8], trusted: &[String]) -> Option<Vec<Found>> {
    let field = words::unfold(field, &mut Loss::default());
    let mut statements = statements(&field).into_iter();
    let server = statements.next()?.into_iter().next()?;
    let Token::Word(server) = server else { return None };
    if !trusted.iter().any(|own| own.eq_ignore_ascii_case(server.trim_end_matches('.'))) {
        return None;
    }
    Some(statements.take(RESULTS).filter_map(|statement| found(&statement)).collect())
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Equals,
}

/// Words between semicolons; comments are dropped, and what stands in quotes is one word.
fn statements(field: &str) -> Vec<Vec<Token>> {
    let mut all = vec![Vec::new()];
    let mut word = String::new();
    let (mut comments, mut is_quoted, mut was_quoted) = (0_usize, false, false);
    let mut letters = field.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if is_quoted || comments > 0 => {
                let escaped = letters.next();
                word.extend(escaped.filter(|_| comments == 0));
            }
            '"' if comments == 0 => (is_quoted, was_quoted) = (!is_quoted, true),
            letter if is_quoted => word.push(letter),
            '(' => comments += 1,
            ')' => comments = comments.saturating_sub(1),
            _ if comments > 0 => {}
            ';' | '=' | ' ' | '\t' => {
                let tokens = all.last_mut();
                if let Some(tokens) = tokens {
                    // Within a value an equals sign is a letter, as in a signature's `b=`.
                    if !word.is_empty() || was_quoted {
                        tokens.push(Token::Word(std::mem::take(&mut word)));
                    }
                    if letter == '=' {
                        tokens.push(Token::Equals);
                    }
                }
                was_quoted = false;
                if letter == ';' && all.len() <= RESULTS {
                    all.push(Vec::new());
                }
            }
            letter => word.push(letter),
        }
    }
    if let Some(tokens) = all.last_mut().filter(|_| !word.is_empty() || was_quoted) {
        tokens.push(Token::Word(word));
    }
    all
}

fn found(statement: &[Token]) -> Option<Found> {
    let mut pairs = statement.windows(3).filter_map(|three| match three {
        [Token::Word(name), Token::Equals, Token::Word(value)] => Some((name.to_ascii_lowercase(), value.clone())),
        _ => None,
    });
    let (method, value) = pairs.next()?;
    // A version of the method may stand behind a slash.
    let method = method.split('/').next().unwrap_or_default().to_owned();
    Some(Found { method, result: result(&value), properties: pairs.collect() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checked(head: &str) -> (Vec<Check>, Option<MailAuthentication>) {
        let trusted = ["mx.kota.example".to_owned()];
        read(&Headers::of(head.as_bytes()), &trusted, Some("example.org"))
    }

    fn words(spf: &str, dkim: &str, dmarc: &str) -> MailAuthentication {
        MailAuthentication { spf: spf.to_owned(), dkim: dkim.to_owned(), dmarc: dmarc.to_owned() }
    }

    fn check(method: &str, result: CheckResult, detail: Option<&str>) -> Check {
        Check { method: method.to_owned(), result, detail: detail.map(str::to_owned) }
    }

    #[test]
    fn results_of_a_trusted_server_are_read() {
        let head = "Authentication-Results: MX.kota.example 1 (a; b);\r\n\tspf=pass (ok; sender) smtp.mailfrom=budi@example.org;\r\n \
            dkim=fail header.d=lain.example; dkim = pass header.i=@mail.example.org header.b=\"ab;c\" ;\r\n dmarc=pass (p=none) header.from=example.org; arc=none; iprev=pass";
        let (checks, found) = checked(head);
        let expected = [
            check("spf", CheckResult::Pass, Some("smtp.mailfrom=example.org")),
            check("dkim", CheckResult::Pass, Some("d=mail.example.org")),
            check("dmarc", CheckResult::Pass, Some("header.from=example.org")),
            check("arc", CheckResult::None, None),
        ];
        assert_eq!(checks, expected);
        assert_eq!(found, Some(words("pass", "pass", "pass")));
    }

    #[test]
    fn forged_results_are_ignored() {
        assert_eq!(checked("Authentication-Results: mx.lain.example; spf=pass").1, None);
        assert_eq!(checked("Authentication-Results: mx.kota.example.org; spf=pass").1, None);
        let topmost = "Authentication-Results: mx.kota.example; spf=fail\nAuthentication-Results: mx.kota.example; spf=pass; dkim=none";
        assert_eq!(checked(topmost).1, Some(words("fail", "none", "")));
        let below = "Authentication-Results: mx.kota.example; spf=fail\nReceived: x\nAuthentication-Results: mx.kota.example; dmarc=pass";
        assert_eq!(checked(below).1, Some(words("fail", "", "")));
        let quoted = "Authentication-Results: \"mx.lain.example; mx.kota.example\"; spf=pass";
        assert_eq!(checked(quoted).1, None);
        let (checks, found) = checked("Authentication-Results: mx.kota.example; none");
        assert_eq!(checks, [check("authentication_results", CheckResult::None, None)]);
        assert_eq!(found, Some(words("", "", "")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_field_is_read(field in "mx\\.kota\\.example;?(spf|dkim|=|pass|;|\"|\\\\|[()]| |header\\.d|\\PC){0,30}") {
            checked(&format!("Authentication-Results: {field}"));
        }
    }
}
