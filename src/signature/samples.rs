//! The manifests' own samples: verdicts as expected, and every neighbour refused as the table of §9 says.

use serde::Deserialize;

use super::{
    Scheme, VerifyMode,
    fixture::{at, request, settings},
    refusals::{Derived, derive},
    rules::{VerifyPolicy, VerifyRules},
};
use crate::receipt::VerdictResult;

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    verify: Vec<VerifyRules>,
    #[serde(default)]
    verify_policy: VerifyPolicy,
    #[serde(default)]
    sample: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    name: String,
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    settings: toml::Table,
    #[serde(default)]
    sign: bool,
    now: Option<i64>,
    remote: Option<std::net::IpAddr>,
    expect: toml::Table,
}

/// The samples that expect a verdict get it, and what is derived from them is refused as the table says.
#[test]
fn every_manifest_checks_its_samples_and_their_neighbours() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/channels");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the manifests") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a manifest");
        let table: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Those of letters need defaults and certificates: `channel` rehearses them.
        if table.get("medium").and_then(toml::Value::as_str) == Some("email") {
            continue;
        }
        let manifest: Manifest = table.try_into().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if manifest.verify.is_empty() {
            continue;
        }
        let (scheme, mistakes) = Scheme::compile(&manifest.verify, manifest.verify_policy, false);
        let scheme = scheme.unwrap_or_else(|| panic!("{}: {mistakes:?}", path.display()));
        for sample in &manifest.sample {
            seen += usize::from(check_sample(&scheme, sample, &path.display().to_string()));
        }
    }
    assert!(seen >= 8, "{seen} samples were checked");
}

fn check_sample(scheme: &Scheme, sample: &Sample, file: &str) -> bool {
    let Some(expected) = sample.expect.get("verify").and_then(toml::Value::as_str) else { return false };
    let values: Vec<(&str, Vec<&str>)> = sample
        .settings
        .iter()
        .map(|(name, value)| {
            let list = value.as_array().map(|list| list.iter().filter_map(toml::Value::as_str).collect());
            (name.as_str(), list.unwrap_or_else(|| value.as_str().into_iter().collect()))
        })
        .collect();
    let values: Vec<_> = values.iter().map(|(name, list)| (*name, list.as_slice())).collect();
    let slash = sample.url.match_indices('/').nth(2).map_or(sample.url.len(), |(at, _)| at);
    let (public_url, target) = sample.url.split_at(slash);
    let verifier = scheme.with_keys(&settings(&values), VerifyMode::Enforce, public_url);
    let verifier = verifier.unwrap_or_else(|mistakes| panic!("{file}, {}: {mistakes:?}", sample.name));
    let headers: Vec<_> = sample.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let method = sample.method.as_deref().unwrap_or("POST");
    let mut request = request(method, target, &headers, sample.body.as_bytes());
    let now = at(sample.now.unwrap_or(1_800_000_000));
    let remote = sample.remote.or_else(|| "127.0.0.1".parse().ok());
    if sample.sign {
        verifier.sign(&mut request, now).unwrap_or_else(|error| panic!("{file}, {}: {error}", sample.name));
    }
    let verdict = verifier.check(&request, remote, now);
    let wanted = if expected == "pass" { VerdictResult::Pass } else { VerdictResult::Fail };
    assert_eq!(verdict.result, wanted, "{file}, {}: {}", sample.name, verdict.detail);
    if wanted == VerdictResult::Pass {
        let derived = derive(&verifier, &request, remote, now);
        assert!(derived.len() >= 6, "{file}, {}", sample.name);
        for change in derived.iter().filter(|change| change.must_refuse) {
            assert!(!change.is_accepted(&verifier), "{file}, {}: {} was accepted", sample.name, change.name);
        }
        // A derivation that could not be accepted by anything would prove nothing.
        let same = derived.first().map(|first| Derived { request: request.clone(), remote, now, ..first.clone() });
        assert!(same.is_some_and(|same| same.is_accepted(&verifier)));
    }
    true
}
