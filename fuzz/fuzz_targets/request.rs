//! Any request at the door of the Twilio and the JSON channel: verified, decoded, mapped and normalised. Nothing panics.
#![no_main]

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use loket::{
    channel::{
        Channel,
        attempt::{Verification, stand_in, try_file},
        provider::Provider,
    },
    diagnostic::Source,
    runtime::normalised,
};

static CHANNELS: LazyLock<Vec<Channel>> = LazyLock::new(|| {
    let open = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../channels/{name}.toml"));
        let text = std::fs::read_to_string(&path).expect("a manifest");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let checked = Provider::check(name, &Source::new(path, text), &BTreeMap::new(), now, normalised);
        stand_in(&checked.provider.expect("a good manifest"), "https://loket.example").expect("a channel")
    };
    ["twilio-sms", "generic-json", "vonage-sms"].map(open).into()
});

fuzz_target!(|request: &[u8]| {
    for channel in CHANNELS.iter() {
        for verification in [Verification::Check, Verification::Skip] {
            let now = jiff::Timestamp::UNIX_EPOCH;
            let _ = try_file(channel, "request", request, verification, now, normalised);
        }
    }
});
