//! What the tests of verification share: schemes from a few lines of TOML, and requests.

use jiff::Timestamp;
use secrecy::SecretString;

use super::{
    Scheme, SchemeError, Verifier, VerifyMode,
    rules::{VerifyPolicy, VerifyRules},
};
use crate::{
    receipt::{ChannelId, Receipt, ReceiptId, Request, VerdictResult},
    settings::{Setting, Settings},
};

pub(super) const PUBLIC_URL: &str = "https://loket.example";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

pub(super) const TWILIO: &str = r#"
kind = "hmac"
hash = "sha1"
key = "${auth_token}"
signature = { from = "header:X-Twilio-Signature", encoding = "base64" }
signed = ["url", "form:sorted-concat"]
url_variants = ["as-configured", "with-default-port", "without-port"]
bind = [{ from = "query:bodySHA256", equals = "sha256-hex:body", required = "when-present" }]
"#;

pub(super) const HMAC: &str = r#"
kind = "hmac"
hash = "sha256"
key = "${key}"
signature = { from = "header:x-sig", prefix = "sha256=", encoding = "hex" }
signed = ["body"]
"#;

pub(super) const SLACK: &str = r#"
kind = "hmac"
hash = "sha256"
key = "${key}"
signature = { from = "header:X-Slack-Signature", prefix = "v0=", encoding = "hex" }
signed = ["literal:v0", "timestamp", "body"]
join = ":"
timestamp = { from = "header:X-Slack-Request-Timestamp", unit = "s", tolerance = "300s" }
"#;

pub(super) const JWT: &str = r#"
kind = "jwt"
algs = ["HS256"]
key = "${key}"
token = { from = "header:Authorization", prefix = "Bearer " }
claims = { iss = "Vonage" }
max_age = "300s"
bind = [{ from = "claim:payload_hash", equals = "sha256-hex:body" }]
replay = { from = "claim:jti", ttl = "10m" }
"#;

pub(super) const TOKEN: &str = "kind = \"token\"\nfrom = \"header:X-Token\"\nequals = \"${token}\"";

/// Compiles blocks; what they have in common with a manifest is the spelling.
pub(super) fn compiled(blocks: &[&str], require: &str) -> (Option<Scheme>, Vec<SchemeError>) {
    let rules: Vec<VerifyRules> = blocks.iter().map(|block| toml::from_str(block).expect(block)).collect();
    let policy: VerifyPolicy = toml::from_str(&format!("require = \"{require}\"")).expect("a policy");
    Scheme::compile(&rules, policy, false)
}

/// Only the messages of errors.
pub(super) fn errors(block: &str) -> Vec<String> {
    let (scheme, mistakes) = compiled(&[block], "any");
    let errors: Vec<_> = mistakes.into_iter().filter(|mistake| !mistake.is_warning).collect();
    assert_eq!(scheme.is_none(), !errors.is_empty());
    errors.into_iter().map(|mistake| format!("{}: {}", mistake.key, mistake.message)).collect()
}

pub(super) fn settings(values: &[(&str, &[&str])]) -> Settings {
    let mut settings = Settings::default();
    for (name, values) in values {
        settings.insert(*name, Setting::Secret(values.iter().map(|value| SecretString::from(*value)).collect()));
    }
    settings
}

pub(super) fn verifier(block: &str, values: &[(&str, &[&str])]) -> Verifier {
    verifier_of(&[block], "any", values, PUBLIC_URL)
}

pub(super) fn verifier_of(blocks: &[&str], require: &str, values: &[(&str, &[&str])], url: &str) -> Verifier {
    let (scheme, mistakes) = compiled(blocks, require);
    let scheme = scheme.unwrap_or_else(|| panic!("{mistakes:?}"));
    scheme.with_keys(&settings(values), VerifyMode::Enforce, url).expect("keys")
}

pub(super) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
    let headers = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()));
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: headers.collect(),
        body: body.to_vec().into(),
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

pub(super) fn passes(verifier: &Verifier, request: &Request, second: i64) -> bool {
    verifier.check(request, None, at(second)).result == VerdictResult::Pass
}

/// The operator's reason; panics when the request passes.
pub(super) fn reason(verifier: &Verifier, request: &Request, second: i64) -> String {
    let verdict = verifier.check(request, None, at(second));
    assert_eq!(verdict.result, VerdictResult::Fail);
    assert_eq!(verdict.proves, crate::receipt::Proves::default());
    verdict.detail
}

pub(super) fn receipt(request: Request) -> Receipt {
    Receipt {
        id: ReceiptId(uuid::Uuid::nil()),
        channel: ChannelId::new("sms").expect("a channel"),
        endpoint: "main".to_owned(),
        received_at: at(0),
        remote: None,
        draw: [0; 16],
        request,
    }
}
