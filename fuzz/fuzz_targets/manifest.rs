//! Any text as a manifest: read, linted, compiled and rehearsed. Nothing panics, and what is wrong is told.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use loket::{channel::provider::Provider, diagnostic::Source, runtime::normalised};

fuzz_target!(|text: &str| {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let checked = Provider::check("fuzzed", &Source::new("fuzzed.toml", text), &BTreeMap::new(), now, normalised);
    for mistake in &checked.mistakes {
        let _ = mistake.render(loket::diagnostic::Style::Plain);
    }
    assert!(checked.provider.is_some() || !checked.mistakes.is_empty(), "refused without a reason");
});
