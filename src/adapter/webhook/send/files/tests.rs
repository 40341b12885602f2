//! What each manifest takes, and how a file leaves through it.

use super::*;
use crate::settings::Setting;

const MANIFESTS: [(&str, &str); 4] = [
    ("telegram", include_str!("../../../../../channels/telegram.toml")),
    ("whatsapp-cloud", include_str!("../../../../../channels/whatsapp-cloud.toml")),
    ("360dialog", include_str!("../../../../../channels/360dialog.toml")),
    ("twilio-whatsapp", include_str!("../../../../../channels/twilio-whatsapp.toml")),
];

fn compiled(send: &str) -> Result<Send, Vec<String>> {
    let rules: SendRules = toml::from_str(send).expect("the section parses");
    let mut errors = Vec::new();
    let send = Send::compile(&rules, &mut errors);
    let told = |error: &MappingError| format!("{}.{}", error.section, error.key);
    send.ok_or_else(|| errors.iter().map(told).collect())
}

fn manifest(name: &str) -> Send {
    let (_, text) = MANIFESTS.iter().find(|(id, _)| *id == name).expect("a manifest");
    let manifest: toml::Table = toml::from_str(text).expect("the manifest parses");
    compiled(&toml::to_string(&manifest["send"]).expect("the section")).expect("no mistakes")
}

fn letter() -> Letter<'static> {
    Letter {
        to: "+6281100000001",
        to_type: "phone",
        from: "+15550001111",
        text: "",
        language: "id",
        idempotency_key: "ob_1-2",
        receipts_url: "https://loket.example/in/wa/status",
        reply_to: None,
        choices: &[],
        asks_location: false,
        is_late: false,
    }
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    for (name, value) in [
        ("graph_url", "https://graph.example"),
        ("graph", "v22.0"),
        ("phone_number_id", "777"),
        ("api_url", "https://api.example"),
        ("account_sid", "AC1"),
    ] {
        settings.insert(name, Setting::Plain(value.to_owned()));
    }
    for name in ["access_token", "api_key", "auth_token", "bot_token"] {
        settings.insert(name, Setting::Secret(vec!["s3cret".into()]));
    }
    settings
}

fn enclosed(send: &Send, media_type: &str, size: u64, caption: Option<&str>) -> Enclosed {
    let link = "https://loket.example/files/t";
    let file = FileFacts { link, media_type, size, filename: "surat.pdf", caption, boundary: "b" };
    send.enclose(&letter(), &file, &settings(), None).expect("it is composed")
}

#[test]
fn each_manifest_takes_what_its_provider_takes_and_says_what_that_is() {
    let mib = |mib: u64| mib << 20;
    for (name, media_type, size, is_taken) in [
        ("telegram", "image/jpeg", mib(9), true),
        ("telegram", "image/jpeg", mib(12), true),
        ("telegram", "application/zip", mib(47), true),
        ("telegram", "application/zip", mib(48), false),
        ("whatsapp-cloud", "image/jpeg", mib(4), true),
        ("whatsapp-cloud", "image/jpeg", mib(6), false),
        ("whatsapp-cloud", "image/gif", 1, false),
        ("whatsapp-cloud", "application/pdf", mib(90), true),
        ("360dialog", "audio/ogg", mib(15), true),
        ("360dialog", "audio/ogg", mib(16), false),
        ("twilio-whatsapp", "application/pdf", mib(15), true),
        ("twilio-whatsapp", "text/plain", 1, false),
    ] {
        let fit = manifest(name).fits(media_type, size, None);
        assert_eq!(fit.is_ok(), is_taken, "{name} {media_type} {size}: {fit:?}");
    }
    let unfit = manifest("whatsapp-cloud").fits("image/gif", 5, None).expect_err("not taken").to_string();
    assert!(unfit.contains("image/gif of 5 bytes") && unfit.contains("image (image/jpeg, image/png) up to 4880 KiB"));
    assert_eq!(manifest("telegram").fits("image/png", 1, Some(&"x".repeat(1025))), Err(Unfit::Caption { max: 1024 }));
    assert_eq!(manifest("360dialog").fits("audio/ogg", 1, Some("x")), Err(Unfit::Caption { max: 0 }));
    let text_only = compiled("url = 'https://a.example'\nbody = '1'").expect("no mistakes");
    assert_eq!(text_only.fits("image/png", 1, None), Err(Unfit::NoFiles));
}

#[test]
fn a_picture_at_whatsapp_is_a_link_with_its_words() {
    for name in ["whatsapp-cloud", "360dialog"] {
        let Enclosed { outgoing, tail } = enclosed(&manifest(name), "image/png", 9, Some("Foto \"baru\""));
        let body: Value = serde_json::from_slice(&outgoing.body).expect("JSON");
        let image = json!({ "link": "https://loket.example/files/t", "caption": "Foto \"baru\"" });
        assert_eq!((&body["type"], &body["image"], tail), (&json!("image"), &image, None), "{name}");
        let document = enclosed(&manifest(name), "application/pdf", 9, None).outgoing;
        let body: Value = serde_json::from_slice(&document.body).expect("JSON");
        let expected = json!({ "link": "https://loket.example/files/t", "filename": "surat.pdf" });
        assert_eq!((&body["to"], &body["document"]), (&json!("6281100000001"), &expected), "{name}");
    }
    let outgoing = enclosed(&manifest("twilio-whatsapp"), "image/png", 9, None).outgoing;
    let form = String::from_utf8(outgoing.body).expect("a form");
    assert!(form.contains("MediaUrl=https%3A%2F%2Floket.example%2Ffiles%2Ft") && !form.contains("Body="), "{form}");
}

#[test]
fn a_file_at_telegram_goes_to_the_method_of_its_kind() {
    for (media_type, size, method) in [
        ("image/png", 1, "sendPhoto"),
        ("image/png", 12 << 20, "sendDocument"),
        ("image/gif", 1, "sendDocument"),
        ("video/mp4", 1, "sendVideo"),
        ("audio/mpeg", 1, "sendAudio"),
        ("audio/ogg", 1, "sendDocument"),
    ] {
        let Enclosed { outgoing, tail } = enclosed(&manifest("telegram"), media_type, size, None);
        assert!(outgoing.url.ends_with(method), "{media_type}");
        assert_eq!(tail.as_deref(), Some(&b"\r\n--b--\r\n"[..]));
        let body = String::from_utf8(outgoing.body).expect("text");
        assert!(body.contains("name=\"chat_id\"\r\n\r\n+6281100000001\r\n") && !body.contains("caption"), "{body}");
    }
}

#[test]
fn mistakes_name_their_kind() {
    let send = "url = 'https://a.example'\nbody = '1'\n";
    for (rules, expected) in [
        ("[media.image]\nmax_size = '1 MiB'", "send.media.image.body"),
        ("[media.image]\nmax_size = '1 MiB'\nbody = '{{ links }}'", "send.media.image.body"),
        ("[media.document]\nmax_size = '1 MiB'\nform = { a = '1' }", "send.media.document.form"),
        ("[media.video]\nmax_size = '1 MiB'\nform = { a = '1' }\nfile = 'a b'", "send.media.video.file"),
        ("[media.audio]\nmax_size = '1 MiB'\nform = { 'a\"' = '1' }\nfile = 'a'", "send.media.audio.form.a\""),
        ("[media.audio]\nmax_size = '1 MiB'\nbody = '1'\nfile = 'a'", "send.media.audio.body"),
    ] {
        assert_eq!(compiled(&format!("{send}{rules}")).expect_err("a mistake"), [expected], "{rules}");
    }
}
