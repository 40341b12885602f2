//! What is composed for a provider, and how its answers are read.

use jiff::tz::TimeZone;

use super::*;
use crate::settings::Setting;

const TWILIO: &str = include_str!("../../../../channels/twilio-sms.toml");

static ZONE: TimeZone = TimeZone::UTC;

fn compiled(rules: &str) -> Send {
    let rules: SendRules = toml::from_str(rules).expect("the section parses");
    let mut errors = Vec::new();
    let send = Send::compile(&rules, &mut errors);
    assert_eq!(errors, []);
    send.expect("no mistakes")
}

fn mistakes(rules: &str) -> Vec<String> {
    let rules: SendRules = toml::from_str(rules).expect("the section parses");
    let mut errors = Vec::new();
    assert!(Send::compile(&rules, &mut errors).is_none(), "it must not compile");
    errors.into_iter().map(|error| error.key).collect()
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.insert("account_sid", Setting::Plain("AC1".to_owned()));
    settings.insert("auth_token", Setting::Secret(vec!["s3cret".into(), "old".into()]));
    settings
}

fn letter() -> Letter<'static> {
    Letter {
        to: "+6281100000001",
        to_type: "phone",
        from: "+15550001111",
        text: "Terima kasih & \"selamat\"\n😀",
        language: "id",
        idempotency_key: "ob_1",
        receipts_url: "https://loket.example/in/sms/status",
        reply_to: None,
        choices: &[],
        asks_location: false,
        is_late: false,
    }
}

fn response(status: u16, body: &str) -> Response {
    Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

fn judged(send: &Send, response: &Response) -> Judgement {
    let settings = settings();
    let surroundings = Surroundings::new(&settings, "ID", &ZONE);
    send.judge(response, &surroundings, Timestamp::UNIX_EPOCH)
}

fn header<'a>(outgoing: &'a Outgoing, name: &str) -> Option<&'a str> {
    outgoing.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

fn twilio() -> Send {
    let manifest: toml::Table = toml::from_str(TWILIO).expect("the manifest parses");
    compiled(&toml::to_string(&manifest["send"]).expect("the section"))
}

#[test]
fn all_mistakes_of_the_section_are_found_at_once() {
    let rules = r#"
        method = "get"
        url = "https://{{ settings.host }}/send"
        headers = { "Content-Length" = "1", "a b" = "x" }
        form = { to = "x" }
        retry = { max = 0, first = "2h", cap = "1h" }
        rate = { per_second = 0.0 }
        split = { max_chars = 2 }
        auth = { kind = "bearer", token = "Bearer ${auth_token}" }
    "#;
    let keys = mistakes(rules);
    for key in [
        "method",
        "url",
        "headers.Content-Length",
        "headers.a b",
        "encode",
        "retry.max",
        "retry.first",
        "rate.per_second",
        "split",
        "auth",
    ] {
        assert!(keys.iter().any(|found| found == key), "{key} is not among {keys:?}");
    }
}

#[test]
fn a_section_says_once_what_it_sends() {
    let url = "url = \"https://api.example/send\"\n";
    assert_eq!(mistakes(url), ["body"]);
    assert_eq!(mistakes(&format!("{url}body = '1'\nencode = 'form'\nform = {{ a = 'b' }}")), ["form"]);
    assert_eq!(mistakes(&format!("{url}body = '1'\nencode = 'query'")), ["body"]);
    compiled(&format!("{url}query = {{ a = 'b' }}\nencode = 'query'"));
    compiled(&format!("{url}body = '1'\nquery = {{ a = 'b' }}"));
}

#[test]
fn a_fixed_request_is_composed_without_a_template() {
    let send = compiled(
        r#"
        url = "https://api.example/send?v=1"
        encode = "form"
        form = { Kind = "a&b c", Left = "" }
        query = { key = "ä" }
        headers = { X-Source = "loket", X-Left = "" }
        idempotency = {}
        auth = { kind = "basic", user = "${account_sid}", password = "${auth_token}" }
        "#,
    );
    let outgoing = send.compose(&letter(), &settings(), None).expect("composed");
    assert_eq!(outgoing.url, "https://api.example/send?v=1&key=%C3%A4");
    assert_eq!(outgoing.body, b"Kind=a%26b%20c");
    assert_eq!(header(&outgoing, "content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(header(&outgoing, "Idempotency-Key"), Some("ob_1"));
    assert_eq!(header(&outgoing, "authorization"), Some("Basic QUMxOnMzY3JldA=="));
    assert_eq!((header(&outgoing, "X-Source"), header(&outgoing, "X-Left")), (Some("loket"), None));
    assert!(!format!("{outgoing:?} {:?}", letter()).contains("628110"));
}

#[test]
fn a_body_that_is_no_json_is_never_sent() {
    let send = compiled("url = 'https://api.example/send'\nbody = '{\"a\": }'");
    let error = send.compose(&letter(), &settings(), None).expect_err("no JSON");
    assert!(error.contains("body"), "{error}");
}

#[test]
fn a_status_alone_decides_without_filters() {
    let send = compiled("url = 'https://api.example/send'\nbody = '1'\nretry = { on = [429, 500] }");
    let again = |status| Judgement::Again { after: None, reason: format!("the provider answers {status}") };
    let never = |status| Judgement::Never { reason: format!("the provider answers {status}") };
    for (status, expected) in [
        (200, Judgement::Accepted { external_id: None }),
        (204, Judgement::Accepted { external_id: None }),
        (302, never(302)),
        (400, never(400)),
        (401, never(401)),
        (429, again(429)),
        (500, again(500)),
        (503, never(503)),
    ] {
        assert_eq!(judged(&send, &response(status, "")), expected);
    }
}

#[test]
fn retry_after_is_handed_on_in_both_forms() {
    let send = compiled("url = 'https://api.example/send'\nbody = '1'");
    for value in ["90", "Thu, 01 Jan 1970 00:01:30 GMT"] {
        let mut busy = response(503, "");
        busy.headers.push(("retry-after".to_owned(), value.to_owned()));
        let expected = Some(Duration::from_secs(90));
        assert!(matches!(judged(&send, &busy), Judgement::Again { after, .. } if after == expected), "{value}");
    }
}

#[test]
fn twilio_gets_a_form_with_basic_authentication_and_where_to_report() {
    let outgoing = twilio().compose(&letter(), &settings(), None).expect("composed");
    assert_eq!(outgoing.method, "POST");
    assert_eq!(outgoing.url, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(header(&outgoing, "authorization"), Some("Basic QUMxOnMzY3JldA=="));
    let form = String::from_utf8(outgoing.body).expect("ASCII");
    let mut fields: Vec<_> = form.split('&').collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "Body=Terima%20kasih%20%26%20%22selamat%22%0A%F0%9F%98%80",
            "From=%2B15550001111",
            "StatusCallback=https%3A%2F%2Floket.example%2Fin%2Fsms%2Fstatus",
            "To=%2B6281100000001",
        ]
    );
}

#[test]
fn twilios_answers_are_read_as_the_manifest_says() {
    let send = twilio();
    let accepted = Judgement::Accepted { external_id: Some("SM1".to_owned()) };
    assert_eq!(judged(&send, &response(201, r#"{"sid":"SM1","status":"queued"}"#)), accepted);
    let failed = judged(&send, &response(201, r#"{"sid":"SM1","status":"failed","error_code":30006}"#));
    assert!(matches!(failed, Judgement::Again { .. }), "{failed:?}");
    // A number in the answer stands for a number in the list, and so does a word.
    for body in [r#"{"code":21610,"message":"unsubscribed"}"#, r#"{"code":"21610"}"#] {
        let reason = "the provider answers 400, code 21610".to_owned();
        assert_eq!(judged(&send, &response(400, body)), Judgement::Never { reason });
    }
    // Permanent wins over a status that would be tried again.
    assert!(matches!(judged(&send, &response(429, r#"{"code":21614}"#)), Judgement::Never { .. }));
    assert!(matches!(judged(&send, &response(429, r#"{"code":20429}"#)), Judgement::Again { .. }));
    assert!(matches!(judged(&send, &response(503, "<html>")), Judgement::Again { .. }));
}

#[test]
fn a_code_says_more_than_the_status_it_comes_with() {
    let send = compiled(
        "url = 'https://api.example/send'\nbody = '1'\nerror_code = '.body.code'\npermanent = [7]\ntemporary = [4, 7, 'busy']",
    );
    for body in [r#"{"code":4}"#, r#"{"code":"busy"}"#] {
        assert!(matches!(judged(&send, &response(400, body)), Judgement::Again { .. }), "{body}");
    }
    for body in [r#"{"code":5}"#, r#"{"code":7}"#, "{}"] {
        assert!(matches!(judged(&send, &response(400, body)), Judgement::Never { .. }), "{body}");
    }
}

#[test]
fn a_json_body_holds_any_text_as_one_value() {
    let send = compiled(
        r#"
        url = "https://api.example/send"
        body = '{"chat_id": {{ to }}, "text": {{ text }}, "answers": {{ reply_to }}}'
        "#,
    );
    let outgoing = send.compose(&letter(), &settings(), None).expect("composed");
    let body: Value = serde_json::from_slice(&outgoing.body).expect("JSON");
    assert_eq!(body, json!({ "chat_id": letter().to, "text": letter().text, "answers": null }));
}

#[test]
fn a_secret_and_a_number_in_the_url_are_not_shown() {
    let send = compiled(
        r#"
        url = "https://api.example/bot{{ secret.auth_token }}/send"
        encode = "query"
        query = { to = "{{ to }}", text = "{{ text }}", reply = "{{ reply_to }}" }
        "#,
    );
    let outgoing = send.compose(&letter(), &settings(), None).expect("composed");
    assert!(outgoing.url.starts_with("https://api.example/bots3cret/send?"), "{}", outgoing.url);
    assert!(outgoing.url.contains("to=%2B6281100000001") && !outgoing.url.contains("reply="));
    assert_eq!(outgoing.shown, "https://api.example/bot{{ secret.auth_token }}/send");
    assert!(!format!("{outgoing:?}").contains("s3cret"));
}

#[test]
fn a_value_cannot_add_a_header_or_leave_its_path() {
    let send = compiled(
        r#"
        url = "https://api.example/{{ to }}/send"
        headers = { X-From = "{{ from }}" }
        body = "1"
        "#,
    );
    let evil = Letter { from: "a\r\nX-Evil: 1", ..letter() };
    assert!(send.compose(&evil, &settings(), None).is_err());
    let evil = Letter { to: "..", ..letter() };
    assert!(send.compose(&evil, &settings(), None).is_err());
    let odd = Letter { to: "a/b?c#d", ..letter() };
    let outgoing = send.compose(&odd, &settings(), None).expect("composed");
    assert_eq!(outgoing.url, "https://api.example/a%2Fb%3Fc%23d/send");
}

#[test]
fn a_setting_gives_scheme_and_host() {
    let send = compiled("url = '{{ settings.base }}/send'\nbody = '1'");
    assert_eq!(send.url_setting(), Some("base"));
    let mut settings = settings();
    assert!(send.compose(&letter(), &settings, None).is_err(), "it is not set");
    settings.insert("base", Setting::Plain("http://10.0.0.5:8080/api/".to_owned()));
    let outgoing = send.compose(&letter(), &settings, None).expect("composed");
    assert_eq!(
        (outgoing.url.as_str(), outgoing.shown.as_str()),
        ("http://10.0.0.5:8080/api/send", "http://10.0.0.5:8080/api/send")
    );
}

#[test]
fn a_variable_that_there_is_not_is_a_mistake() {
    assert_eq!(mistakes("url = 'https://api.example/send'\nbody = '{{ phone }}'"), ["body"]);
}

#[test]
fn a_probe_is_asked_and_judged() {
    let manifest: toml::Table = toml::from_str(TWILIO).expect("the manifest parses");
    let rules: ProbeRules = manifest["probe"].clone().try_into().expect("the section");
    let mut errors = Vec::new();
    let probe = Probe::compile(&rules, &mut errors).expect("no mistakes");
    let outgoing = probe.compose(&settings(), None).expect("composed");
    assert_eq!(
        (outgoing.method.as_str(), outgoing.url.as_str()),
        ("GET", "https://api.twilio.com/2010-04-01/Accounts/AC1.json")
    );
    let settings = settings();
    let surroundings = Surroundings::new(&settings, "ID", &ZONE);
    assert_eq!(probe.judge(&response(200, r#"{"status":"active"}"#), &surroundings), (true, None));
    assert_eq!(probe.judge(&response(200, r#"{"status":"suspended"}"#), &surroundings), (false, None));
    assert_eq!(probe.judge(&response(401, ""), &surroundings), (false, None));
}

const CHOOSING: &str = r#"
    url = "https://api.example/send"
    body = '{"text": {{ text }}}'
    split = { max_chars = 40 }
    buttons = { max = 2, label_max = 6, text_max = 20, body = '{"keys": [{% for b in buttons %}{{ b.key }}{% if not loop.last %},{% endif %}{% endfor %}]}' }
    list = { max = 3, body = '{"rows": {{ buttons }}}' }
"#;

fn choices(labels: &[&str]) -> Vec<Choice> {
    labels.iter().map(|label| Choice { key: label.to_lowercase(), label: (*label).to_owned() }).collect()
}

/// The body that leaves for a text with choices, and the parts before it.
fn offered(send: &Send, text: &str, labels: &[&str]) -> (Vec<String>, Value) {
    let choices = choices(labels);
    let parts = send.parts(text, &choices, Question::Words).expect("it fits");
    let shown: &[Choice] = if parts.choices_are_shown { &choices } else { &[] };
    let letter = Letter { text: parts.texts.last().expect("a part"), choices: shown, ..letter() };
    let outgoing = send.compose(&letter, &settings(), None).expect("composed");
    (parts.texts.clone(), serde_json::from_slice(&outgoing.body).expect("JSON"))
}

#[test]
fn choices_that_fit_leave_as_buttons() {
    let send = compiled(CHOOSING);
    let (_, body) = offered(&send, "Benar?", &["Ya", "Tidak"]);
    assert_eq!(body, json!({ "keys": ["ya", "tidak"] }));
    let (_, body) = offered(&send, "Benar?", &[]);
    assert_eq!(body, json!({ "text": "Benar?" }));
}

#[test]
fn a_position_is_asked_for_as_the_provider_does_with_the_choices_that_it_has_room_for() {
    let asking = |max: usize| {
        compiled(&format!(
            "{CHOOSING}\nlocation = {{ max = {max}, text_max = 30, body = '{{\"where\": {{{{ text }}}}, \"keys\": {{{{ buttons }}}}}}' }}"
        ))
    };
    let asked = |send: &Send, text: &str| {
        let choices = choices(&["Lewati"]);
        let parts = send.parts(text, &choices, Question::Position).expect("it fits");
        let shown: &[Choice] = if parts.choices_are_shown { &choices } else { &[] };
        let letter = Letter {
            text: parts.texts.last().expect("a part"),
            choices: shown,
            asks_location: parts.asks_location,
            ..letter()
        };
        let outgoing = send.compose(&letter, &settings(), None).expect("composed");
        serde_json::from_slice::<Value>(&outgoing.body).expect("JSON")
    };
    let keys = json!([{ "key": "lewati", "label": "Lewati" }]);
    assert_eq!(asked(&asking(1), "Di mana?"), json!({ "where": "Di mana?", "keys": keys }));
    assert_eq!(asked(&asking(0), "Di mana?"), json!({ "where": "Di mana?\n1. Lewati", "keys": [] }));
    // Too long for it: the choices as ever, and no request for a position.
    assert_eq!(asked(&asking(0), "Di mana kejadiannya, di kota apa?"), json!({ "rows": keys }));
    assert_eq!(asked(&compiled(CHOOSING), "Di mana?"), json!({ "keys": ["lewati"] }));
}

#[test]
fn choices_without_room_as_buttons_leave_as_a_list() {
    let send = compiled(CHOOSING);
    for (text, labels) in [
        ("Benar?", ["Ya", "Tidak", "Nanti"].as_slice()),
        ("Benar?", &["Ya", "Mungkin"]),
        ("Apakah semua ini benar?", &["Ya"]),
    ] {
        let (texts, body) = offered(&send, text, labels);
        assert_eq!(texts, [text]);
        assert_eq!(body["rows"].as_array().map(Vec::len), Some(labels.len()), "{text} {labels:?}");
    }
}

#[test]
fn choices_without_room_anywhere_are_numbered_before_the_text_is_cut() {
    let send = compiled(CHOOSING);
    let (texts, body) = offered(&send, "Benar?", &["A", "B", "C", "D"]);
    assert_eq!(
        (texts, body),
        (vec!["Benar?\n1. A\n2. B\n3. C\n4. D".to_owned()], json!({ "text": "Benar?\n1. A\n2. B\n3. C\n4. D" }))
    );
    // A list has room for it, but the text goes in two parts.
    let (texts, body) = offered(&send, "Laporan Anda kami teruskan ke Dinas Pekerjaan Umum", &["Ya"]);
    assert_eq!(texts.len(), 2);
    assert!(body["text"].as_str().is_some_and(|text| text.ends_with("1. Ya")), "{body}");
}

#[test]
fn free_text_leaves_within_the_window_and_its_own_body_after_it() {
    let rules = "url = 'https://api.example/send'\nbody = '{\"text\": {{ text }}}'\n";
    let template = compiled(&format!(
        "{rules}window = {{ hours = 24, outside = 'template', body = '{{\"template\": {{{{ text }}}}}}' }}"
    ));
    let hold = compiled(&format!("{rules}window = {{ hours = 24, outside = 'hold' }}"));
    let heard = Timestamp::UNIX_EPOCH;
    let at = |minutes| heard + jiff::SignedDuration::from_mins(minutes);
    for send in [&template, &hold, &compiled(rules)] {
        assert_eq!(send.standing(Some(heard), at(24 * 60 - 1)), Standing::Free);
        assert_eq!(send.standing(Some(at(60)), heard), Standing::Free, "the clock was set back");
        assert_eq!(send.standing(None, at(9_000_000)), Standing::Free, "the provider decides");
    }
    assert_eq!(template.standing(Some(heard), at(24 * 60)), Standing::Template);
    let held = hold.standing(Some(heard), at(72 * 60));
    assert!(matches!(&held, Standing::Held { reason } if reason.contains("72 hours ago")), "{held:?}");
    let late = Letter { text: "halo", is_late: true, ..letter() };
    let outgoing = template.compose(&late, &settings(), None).expect("composed");
    assert_eq!(outgoing.body, br#"{"template": "halo"}"#);
}

#[test]
fn a_window_says_what_it_does_and_a_choice_has_room_for_one() {
    let rules = "url = 'https://api.example/send'\nbody = '1'\n";
    assert_eq!(mistakes(&format!("{rules}window = {{ hours = 24, outside = 'template' }}")), ["window.body"]);
    assert_eq!(mistakes(&format!("{rules}window = {{ hours = 24, outside = 'hold', body = '1' }}")), ["window.body"]);
    assert_eq!(mistakes(&format!("{rules}list = {{ max = 0, body = '1' }}")), ["list.max"]);
    assert_eq!(mistakes(&format!("{rules}buttons = {{ max = 1, body = '{{{{ phone }}}}' }}")), ["buttons.body"]);
}

#[test]
fn whatsapp_gets_buttons_a_list_or_a_template_in_its_own_shapes() {
    let manifest: toml::Table =
        toml::from_str(include_str!("../../../../channels/whatsapp-cloud.toml")).expect("the manifest parses");
    let send = compiled(&toml::to_string(&manifest["send"]).expect("the section"));
    let mut settings = Settings::default();
    for (name, value) in [("graph_url", "https://graph.example"), ("graph", "v22.0"), ("phone_number_id", "777")] {
        settings.insert(name, Setting::Plain(value.to_owned()));
    }
    settings.insert("template", Setting::Plain("jawaban".to_owned()));
    settings.insert("access_token", Setting::Secret(vec!["s3cret".into()]));
    let body = |letter: &Letter<'_>| {
        let outgoing = send.compose(letter, &settings, None).expect("composed");
        assert_eq!(outgoing.url, "https://graph.example/v22.0/777/messages");
        serde_json::from_slice::<Value>(&outgoing.body).expect("JSON")
    };
    let (three, four) = (choices(&["Ya", "Tidak", "Ubah"]), choices(&["A", "B", "C", "D"]));
    let buttons = body(&Letter { choices: &three, ..letter() });
    assert_eq!(buttons["to"], "6281100000001");
    let action = &buttons["interactive"]["action"];
    assert_eq!(action["buttons"][1], json!({ "type": "reply", "reply": { "id": "tidak", "title": "Tidak" } }));
    let list = body(&Letter { choices: &four, ..letter() });
    assert_eq!(list["interactive"]["action"]["sections"][0]["rows"][3], json!({ "id": "d", "title": "D" }));
    let template = body(&Letter { is_late: true, to: "ID.42", to_type: "whatsapp_bsuid", ..letter() });
    assert_eq!((&template["recipient"], &template["template"]["name"]), (&json!("ID.42"), &json!("jawaban")));
    // A variable of a template takes no line break.
    let words = &template["template"]["components"][0]["parameters"][0]["text"];
    assert_eq!(words, "Terima kasih & \"selamat\" 😀");
}
