//! Every manifest of the catalogue, and manifests that promise too much.

use std::path::Path;

use super::*;
use crate::{
    channel::{
        ChannelFacts,
        attempt::Verification,
        folders::{Files, Folders},
        lint::tests::GOOD,
    },
    complaint::Medium,
    message::Message,
    receipt::Origin,
};

/// What the gateway hands in.
pub fn normalise(origin: &Arc<Origin>, place: usize, message: Message, channel: &ChannelFacts) -> Message {
    crate::normalise::normalise(origin, place, message, channel).message
}

fn check(name: &str, text: &str) -> Checked {
    let source = Arc::new(Source { path: format!("{name}.toml").into(), text: text.to_owned() });
    Provider::check(name, &source, &BTreeMap::new(), Timestamp::UNIX_EPOCH, normalise)
}

fn messages(checked: &Checked) -> Vec<&str> {
    checked.mistakes.iter().map(|mistake| mistake.message.as_str()).collect()
}

fn catalogue() -> Files {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("channels");
    Files::read(&Folders { manifests, channels: "nothing".into() })
}

#[test]
fn every_manifest_of_the_catalogue_passes() {
    let files = catalogue();
    assert!(files.manifests.len() >= 7, "{:?}", files.manifests.keys());
    for (name, file) in &files.manifests {
        let checked = Provider::check(name, &file.source, &files.recordings, crate::clock::now(), normalise);
        assert!(checked.provider.is_some(), "{name}: {:#?}", messages(&checked));
        let provider = checked.provider.as_ref().expect("it passes");
        // What letters may look like is shown by `tests/letters`; their manifests say how they come.
        let wanted = if provider.manifest.medium == Medium::Email { 2 } else { 4 };
        assert!(checked.rehearsals.len() >= wanted, "{name} has {} samples", checked.rehearsals.len());
        let refusals: Vec<_> = checked.rehearsals.iter().flat_map(|rehearsal| &rehearsal.refusals).collect();
        let is_native = provider.engine.mail().is_some();
        assert!(is_native || refusals.iter().any(|derived| derived.must_be_refused && derived.was_refused), "{name}");
    }
}

#[test]
fn a_bot_may_be_read_by_the_webhook_engine_alone_and_needs_a_token() {
    let files = catalogue();
    let text = &files.manifests.get("telegram").expect("it is there").source.text;
    assert!(text.contains("adapter      = \"telegram\""));
    let checked = check("telegram", text);
    assert!(!messages(&checked).iter().any(|told| told.contains("never used")), "{:#?}", messages(&checked));
    let checked = check("telegram", &text.replace("adapter      = \"telegram\"", "adapter      = \"webhook\""));
    assert!(checked.provider.is_some(), "{:#?}", messages(&checked));
    let unnamed = text.replace("[settings.bot_token]", "[settings.token]").replace("secret.bot_token", "secret.token");
    let checked = check("telegram", &unnamed);
    assert!(checked.provider.is_none());
    assert!(messages(&checked).iter().any(|told| told.contains("names the setting `bot_token`")), "{checked:#?}");
}

#[test]
fn the_catalogue_proves_what_the_specification_says() {
    let files = catalogue();
    for (name, sender, content, freshness, url) in [
        ("twilio-sms", true, true, false, true),
        ("vonage-sms", true, true, true, false),
        ("standard-webhooks", true, true, true, false),
        ("generic-json", true, true, true, false),
        ("generic-form", true, false, false, false),
        ("generic-get", true, false, false, false),
        ("infobip-sms", true, false, false, false),
    ] {
        let source = &files.manifests[name].source;
        let checked = Provider::check(name, source, &files.recordings, crate::clock::now(), normalise);
        assert_eq!(checked.proves, Some((Proves { sender, content, freshness }, url)), "{name}");
    }
}

#[test]
fn the_manifest_of_the_tests_passes() {
    let checked = check("test", GOOD);
    assert_eq!(messages(&checked), Vec::<&str>::new());
    assert_eq!(checked.rehearsals[0].failures, Vec::<String>::new());
}

#[test]
fn a_sample_that_shows_something_else_fails_its_manifest() {
    let checked = check("test", &GOOD.replace("messages = [{ id = \"1\" }]", "messages = [{ id = \"2\" }]"));
    assert!(checked.provider.is_none());
    assert_eq!(messages(&checked), ["sample \"one\" fails: messages[0].id: expected \"2\", found \"1\""]);
}

#[test]
fn a_hostile_manifest_is_refused() {
    // S6: the environment, an endless range, a secret in a reply, code of its own.
    for (replace, with) in [
        ("text = \".body.text\"", "text = \"env.HOME\""),
        ("text = \".body.text\"", "text = \"$ENV.HOME\""),
        ("text = \".body.text\"", "text = \"[range(0; 1000000000)] | tostring\""),
        ("text = \".body.text\"", "text = \"def f: f; f\""),
        ("text = \".body.text\"", "text = \"[repeat(1)] | tostring\""),
        ("text = \".body.text\"", "text = \"input\""),
        ("text = \".body.text\"", "text = \".settings.key\""),
        ("[[sample]]", "[respond]\nbody = '{{ secret.key }}'\n[[sample]]"),
        ("[[sample]]", "[respond]\nbody = '{{ settings.key }}'\n[[sample]]"),
        ("[[sample]]", "[respond]\nbody = '{% include \"/etc/passwd\" %}'\n[[sample]]"),
        ("[[sample]]", "[send]\nurl = \"https://{{ to }}/\"\nbody = 'x'\n[[sample]]"),
        ("[[verify]]", "[settings.key.extra]\n[[verify]]"),
        ("equals = \"${key}\"", "equals = \"\""),
    ] {
        let checked = check("test", &GOOD.replace(replace, with));
        assert!(checked.provider.is_none() && !checked.mistakes.is_empty(), "{with}");
    }
}

#[test]
fn all_mistakes_of_a_manifest_come_at_once_and_in_order() {
    let text = GOOD
        .replace("version = \"1.0.0\"", "version = \"1\"")
        .replace("id = \".body.id\"", "id = \".body.id |\"")
        .replace("text = \".body.text\"", "text = \".a |\"")
        .replace("${key}", "${kee}");
    let checked = check("test", &text);
    let shown: Vec<_> = checked.mistakes.iter().map(|mistake| text[mistake.span.clone()].to_owned()).collect();
    for place in ["\"1\"", "\"${kee}\"", "\".body.id |\"", "\".a |\""] {
        assert!(shown.iter().any(|text| text == place), "{place}: {shown:?} {:?}", messages(&checked));
    }
    assert!(checked.mistakes.is_sorted_by_key(|mistake| mistake.span.start));
}

#[test]
fn a_bare_manifest_is_tried_with_the_settings_of_its_sample() {
    let provider = check("test", GOOD).provider.expect("a provider");
    let channel = crate::channel::attempt::stand_in(&provider, "https://loket.example").expect("a channel");
    let file = b"POST /in/test HTTP/1.1\r\nX-Key: k\r\nContent-Type: application/json\r\n\r\n{\"id\":\"7\",\"from\":\"081100000001\",\"text\":\"halo\"}";
    let run = |content: &[u8], verification| {
        crate::channel::attempt::try_file(&channel, "a.http", content, verification, Timestamp::UNIX_EPOCH, normalise)
    };
    let attempt = serde_json::to_value(run(file, Verification::Check)).expect("JSON");
    assert_eq!(attempt["verified"]["result"], "pass");
    assert_eq!(
        (&attempt["messages"][0]["from"], &attempt["messages"][0]["text"]),
        (&"+6281100000001".into(), &"halo".into())
    );
    assert_eq!((&attempt["reply"]["status"], &attempt["error"]), (&200.into(), &serde_json::Value::Null));

    let forged = String::from_utf8_lossy(file).replace("X-Key: k", "X-Key: x");
    let attempt = serde_json::to_value(run(forged.as_bytes(), Verification::Check)).expect("JSON");
    assert_eq!((&attempt["verified"]["result"], &attempt["reply"]["status"]), (&"fail".into(), &401.into()));
    assert_eq!(attempt["messages"], serde_json::json!([]));

    let attempt = serde_json::to_value(run(forged.as_bytes(), Verification::Skip)).expect("JSON");
    assert_eq!(
        (&attempt["verified"]["result"], attempt["messages"].as_array().map(Vec::len)),
        (&"none".into(), Some(1))
    );

    let attempt = run(b"no request", Verification::Check);
    assert!(attempt.error.is_some_and(|error| error.contains("blank line")) && attempt.reply.is_none());
}
