//! What verification promises beside refusing forgeries: policies, modes, what is proven, and the mistakes that a manifest
//! is told of.

use super::{
    Peer, Refused, Scheme, VerifyMode,
    fixture::{
        HMAC, JWT, PUBLIC_URL, SLACK, TOKEN, TWILIO, at, compiled, errors, passes, receipt, request, settings,
        verifier, verifier_of,
    },
    rules::VerifyPolicy,
};
use crate::receipt::{CheckResult, Proves, VerdictResult};

#[test]
fn all_blocks_are_needed_or_one_of_them_and_those_without_settings_are_off() {
    let ip = "kind = \"ip\"\nallow = \"${networks}\"";
    let both: &[(&str, &[&str])] = &[("token", &["t"]), ("networks", &["203.0.113.0/24"])];
    let inside = "203.0.113.9".parse().ok();
    let outside = "198.51.100.7".parse().ok();
    let shown = request("POST", "/", &[("x-token", "t")], b"");
    let bare = request("POST", "/", &[], b"");
    let all = verifier_of(&[TOKEN, ip], "all", both, PUBLIC_URL);
    let any = verifier_of(&[TOKEN, ip], "any", both, PUBLIC_URL);
    for (sent, remote, of_all, of_any) in [
        (&shown, inside, true, true),
        (&shown, outside, false, true),
        (&bare, inside, false, true),
        (&bare, outside, false, false),
        (&bare, None, false, false),
    ] {
        assert_eq!(all.check(sent, remote, at(0)).result == VerdictResult::Pass, of_all);
        assert_eq!(any.check(sent, remote, at(0)).result == VerdictResult::Pass, of_any);
    }
    let verdict = all.check(&shown, inside, at(0));
    let methods: Vec<_> = verdict.checks.iter().map(|check| check.method.as_str()).collect();
    assert_eq!(methods, ["secret_token", "ip_allowlist"]);
    assert_eq!(any.check(&bare, inside, at(0)).proves, Proves::default(), "an address is no key");
    assert!(!any.proves().sender && all.proves().sender);
    let off = verifier_of(&[TOKEN, ip], "all", &[("token", &["t"])], PUBLIC_URL);
    assert_eq!(off.check(&shown, None, at(0)).result, VerdictResult::Pass);
    let (scheme, _) = compiled(&[TOKEN, ip], "all");
    let bad = scheme.expect("a scheme").with_keys(&settings(&[("networks", &["x"])]), VerifyMode::Enforce, PUBLIC_URL);
    assert_eq!(bad.expect_err("no network")[0].key, "networks");
}

#[test]
fn observe_mode_lets_a_failed_receipt_through_with_nothing_proven() {
    let (scheme, _) = compiled(&[HMAC], "any");
    let observing = scheme.expect("a scheme").with_keys(&settings(&[("key", &["k"])]), VerifyMode::Observe, PUBLIC_URL);
    let verified =
        observing.expect("keys").verify(receipt(request("POST", "/", &[], b"{}")), at(0)).expect("let through");
    assert_eq!(verified.verdict().result, VerdictResult::Fail);
    assert_eq!(verified.verdict().proves, Proves::default());
    assert_eq!(verified.verdict().checks[0].result, CheckResult::None);
}

#[test]
fn a_manifest_without_checks_has_to_say_so() {
    let (scheme, mistakes) = Scheme::compile(&[], VerifyPolicy::default(), false);
    assert!(scheme.is_none() && mistakes[0].message.contains("[[verify]]"));
    let (scheme, mistakes) = Scheme::compile(&[], VerifyPolicy::default(), true);
    assert!(mistakes.is_empty());
    let open = scheme.expect("a scheme").with_keys(&settings(&[]), VerifyMode::Enforce, PUBLIC_URL).expect("open");
    let verified = open.verify(receipt(request("POST", "/", &[], b"")), at(0)).expect("let in");
    assert_eq!(verified.verdict().result, VerdictResult::None);
    assert_eq!(verified.verdict().proves, Proves::default());
}

#[test]
fn a_generated_key_checks_samples_and_lets_no_receipt_in() {
    for (kind, extra) in [("ed25519", ""), ("ecdsa-p256", ", format = \"der\""), ("rsa\"\nhash = \"sha256", "")] {
        let block = format!(
            "kind = \"{kind}\"\nkey = \"${{key}}\"\nkey_encoding = \"base64\"\nsigned = [\"body\"]\n\
             signature = {{ from = \"header:x-sig\", encoding = \"base64\" {extra} }}"
        );
        let verifier = verifier(&block, &[("key", &["@generated"])]);
        let mut sent = request("POST", "/", &[], b"{}");
        verifier.sign(&mut sent, at(0)).expect("signed");
        assert!(passes(&verifier, &sent, 0), "{kind}");
        assert!(verifier.has_generated_keys());
        assert!(matches!(verifier.verify(receipt(sent), at(0)), Err(Refused::Unverified(_))));
    }
}

#[test]
fn what_a_scheme_proves_is_the_table_of_the_specification() {
    let plivo = HMAC.replace("[\"body\"]", "[\"url-no-query\", \"header:nonce\"]")
        + "replay = { from = \"header:nonce\", ttl = \"30d\" }";
    let bird = JWT.replace("bind = [", "bind = [{ from = \"claim:url_hash\", equals = \"sha256-hex:url\" }, ");
    for (block, sender, content, url, freshness) in [
        (TWILIO, true, true, true, false),
        (&bird, true, true, true, true),
        (JWT, true, true, false, true),
        (SLACK, true, true, false, true),
        (HMAC, true, true, false, false),
        (&plivo, true, false, true, false),
        (TOKEN, true, false, false, false),
        ("kind = \"ip\"\nallow = \"${n}\"", false, false, false, false),
    ] {
        let (scheme, _) = compiled(&[block], "any");
        let scheme = scheme.expect("a scheme");
        assert_eq!(scheme.proves(), Proves { sender, content, freshness }, "{block}");
        assert_eq!(scheme.binds_url(), url, "{block}");
    }
}

#[test]
fn a_mistake_in_a_block_is_an_error_that_names_its_key() {
    let replaced = |from: &str, to: &str| SLACK.replace(from, to);
    for (block, key) in [
        (replaced("hash = \"sha256\"", ""), "hash"),
        (replaced("\"sha256\"", "\"md5\""), "hash"),
        (replaced("\"${key}\"", "\"secret in clear\""), "key"),
        (replaced("\"body\"]", "\"boddy\"]"), "signed"),
        (replaced("\"body\"]", "\"claim:x\"]"), "signed"),
        (replaced("\"body\"]", "\"key\"]"), "signed"),
        (replaced("\"body\"]", "\"method\"]"), "signed"),
        (replaced("header:X-Slack-Signature", "X-Slack-Signature"), "signature.from"),
        (replaced("header:X-Slack-Request-Timestamp", "kv:t"), "timestamp.from"),
        (replaced("300s", "2h"), "timestamp.tolerance"),
        (format!("{SLACK}replay = {{ from = \"header:n\", ttl = \"599s\" }}"), "replay.ttl"),
        (format!("{HMAC}replay = {{ from = \"header:n\", ttl = \"29d\" }}"), "replay.ttl"),
        (format!("{SLACK}url_variants = [\"as-configured\"]"), "url_variants"),
        (format!("{SLACK}equals = \"${{x}}\""), "equals"),
        (format!("{SLACK}params = {{ leading = \"&\" }}"), "params"),
        (format!("{SLACK}key_encoding = \"pem\""), "key_encoding"),
        (HMAC.replace("header:x-sig", "body:/sig"), "signed"),
        (HMAC.replace("\"hmac\"", "\"hash\""), "signed"),
        (format!("{TOKEN}\nsigned = [\"body\"]"), "signed"),
        (TOKEN.replace("${token}", "tok"), "equals"),
    ] {
        let found = errors(&block);
        assert!(found.iter().any(|error| error.starts_with(&format!("{key}: "))), "{block}: {found:?}");
    }
    for (block, key) in [
        (TWILIO.to_owned(), "hash"),
        (replaced("300s", "10m"), "timestamp.tolerance"),
        (replaced("\"timestamp\", ", ""), "timestamp"),
        (format!("{HMAC}bind = [{{ from = \"header:digest\", equals = \"sha256-hex:body\" }}]"), "bind"),
    ] {
        assert_eq!(errors(&block), Vec::<String>::new());
        let warnings = compiled(&[&block], "any").1;
        assert!(warnings.iter().any(|warning| warning.is_warning && warning.key == key), "{block}: {warnings:?}");
    }
}

#[test]
fn a_client_certificate_counts_when_the_connection_showed_it() {
    let verifier = verifier("kind = \"mtls\"\nsubject = \"${subject}\"", &[("subject", &["*.provider.example"])]);
    let sent = request("POST", "/", &[("x-client-cert-subject", "a.provider.example")], b"");
    assert!(!passes(&verifier, &sent, 0), "a header of the request is nobody's word");
    for (subject, wanted) in
        [("a.provider.example", true), ("provider.example", false), ("a.b.provider.example", false)]
    {
        let peer = Peer { remote: None, client_subject: Some(subject) };
        assert_eq!(verifier.check_from(&sent, peer, at(0)).result == VerdictResult::Pass, wanted, "{subject}");
    }
}
