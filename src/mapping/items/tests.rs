use std::sync::LazyLock;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    receipt::Request,
    settings::{Setting, Settings},
};

static SETTINGS: LazyLock<Settings> = LazyLock::new(Settings::default);
static ZONE: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::get("Asia/Jakarta").unwrap());

/// Reads the sections of a manifest.
struct Sections {
    receive: ReceiveRules,
    message: MessageRules,
    receipts: Option<ReceiptRules>,
}

impl Sections {
    fn of(manifest: &toml::Table) -> Self {
        let section = |name: &str| manifest.get(name).cloned();
        Self {
            receive: section("receive").map_or_else(ReceiveRules::default, |rules| rules.try_into().unwrap()),
            message: section("message").unwrap().try_into().unwrap(),
            receipts: section("receipts").map(|rules| rules.try_into().unwrap()),
        }
    }

    fn parse(manifest: &str) -> Self {
        Self::of(&toml::from_str(manifest).unwrap())
    }

    fn compile(&self) -> Result<Mapping, Vec<MappingError>> {
        Mapping::compile(&self.receive, &self.message, self.receipts.as_ref())
    }

    fn run(&self, endpoint: &str, request: &Request) -> Result<Mapped, MappingFault> {
        let at = Timestamp::from_second(1_767_225_600).unwrap();
        let root = Root::decode(request, endpoint, None, at, &self.receive, &SETTINGS)?;
        let surroundings = Surroundings::new(&SETTINGS, "ID", &ZONE);
        self.compile().unwrap().run(&root, &surroundings)
    }

    fn json(&self, body: &Json) -> Mapped {
        self.run("main", &posted("application/json", &body.to_string())).unwrap()
    }
}

fn posted(content_type: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        target: "/in/x".to_owned(),
        headers: vec![("content-type".to_owned(), content_type.as_bytes().to_vec())],
        body: body.to_owned().into(),
    }
}

/// One message from one item with one mapped field.
fn one(field: &str, filter: &str, item: &Json) -> Result<Message, String> {
    let manifest = format!("[message]\neach = '.body'\n{field} = '''{filter}'''");
    let mapped = Sections::parse(&manifest).json(item);
    match (mapped.messages.as_slice(), mapped.faults.as_slice()) {
        ([(0, message)], []) => Ok(message.clone()),
        ([], [fault]) => Err(fault.reason.clone()),
        _ => panic!("{mapped:?}"),
    }
}

fn shown(message: &Message) -> Json {
    serde_json::to_value(message).unwrap()
}

#[test]
fn a_mapping_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Mapping>();
}

#[test]
fn every_field_is_mapped() {
    let sections = Sections::parse(
        r#"
        [message]
        each = ".body.items[]"
        id = ".id"
        from = ".from"
        to = ".to"
        identities = '[{type: "phone", value: .from}, {type: "username", value: .nick}]'
        reply_address = ".chat"
        conversation_key = '"\(.from)|\(.to)"'
        sender_name = ".name"
        subject = ".subject"
        text = ".text"
        language = ".lang"
        action = ".button"
        edit_of = ".edits"
        reply_to = ".answers"
        references = ".refs"
        sent_at = ".at"
        location = ".place"
        attachments = ".files"
        unsupported = ".odd"
        [message.group]
        key = ".album"
        window = "3s"
        "#,
    );
    let mapped = sections.json(&json!({"items": [{
        "id": 12_345_678_901_234_567_u64, "from": "6281100000001", "to": 1708, "nick": null, "chat": 77, "name": "Nama",
        "subject": "Judul", "text": "Jalan rusak", "lang": "id", "button": "b1", "edits": "e1", "answers": "r1",
        "refs": ["x", "", null, 5], "at": "2026-01-01 07:00:00", "odd": "sticker", "album": 9,
        "place": {"lat": "-6.2", "lon": 106.8, "label": "Monas", "accuracy_m": 12.5, "live": true},
        "files": [{"url": "https://h.example/1", "media_type": "image/jpeg", "size_bytes": "10"}, {"ref": "raw:1", "inline": true}],
    }]}));
    let (place, message) = &mapped.messages[0];
    assert_eq!(*place, 0);
    assert_eq!(
        shown(message),
        json!({
            "id": "12345678901234567", "from": "6281100000001", "to": "1708",
            "identities": [{"type": "phone", "value": "6281100000001"}],
            "sender_name": "Nama", "sent_at": "2026-01-01T00:00:00Z", "subject": "Judul", "text": "Jalan rusak",
            "language": "id", "action": "b1", "edit_of": "e1", "reply_to": "r1", "references": ["x", "5"],
            "unsupported": "sticker", "group": {"kind": "album", "key": "9"},
            "location": {"lat": -6.2, "lon": 106.8, "label": "Monas", "accuracy_m": 12.5, "live": true},
            "attachments": [
                {"url": "https://h.example/1", "media_type": "image/jpeg", "size_bytes": 10}, {"ref": "raw:1", "inline": true},
            ],
        })
    );
    assert_eq!(message.reply_address.as_deref(), Some("77"));
    assert_eq!(message.conversation_key.as_deref(), Some("6281100000001|1708"));
    assert!(!message.lossy);
    assert_eq!(sections.compile().unwrap().album_window(), Some((Span::from_secs(3), Span::from_secs(10))));
    assert_eq!(sections.compile().unwrap().concat_timeout(), None);
}

#[test]
fn null_and_empty_and_nothing_are_absent() {
    for filter in [".x", "\"\"", "empty", "null", ".a.b.c"] {
        for field in ["id", "text", "sent_at", "location", "attachments", "references", "identities"] {
            if filter == "\"\"" && matches!(field, "location" | "attachments" | "identities") {
                continue;
            }
            assert_eq!(shown(&one(field, filter, &json!({})).unwrap()), json!({}), "{field} {filter}");
        }
    }
}

#[test]
fn whole_numbers_become_strings_digit_for_digit() {
    let body = r#"{"big":123456789012345678901234567890,"n":-7,"half":14.0,"f":1.5}"#;
    for (filter, id) in [
        (".big", "123456789012345678901234567890"),
        (".n", "-7"),
        (".n / 1", "-7"),
        (".big | tostring", "123456789012345678901234567890"),
    ] {
        let manifest = format!("[message]\neach = '.body'\nid = '{filter}'");
        let mapped = Sections::parse(&manifest).run("main", &posted("application/json", body)).unwrap();
        assert_eq!(mapped.messages[0].1.id.as_deref(), Some(id), "{filter}");
    }
}

#[test]
fn a_result_of_another_type_is_a_fault_that_names_the_field() {
    for (field, filter, reason) in [
        ("text", ".o", "message.text gives an object, not a string"),
        ("text", ".f", "message.text gives a number with a fraction, not a string"),
        ("id", "true", "message.id gives a boolean, not a string"),
        ("sent_at", "\"soon\"", "message.sent_at gives no time that is known"),
        ("sent_at", "[]", "message.sent_at gives an array, not a time"),
        ("location", "{lat: 1}", "message.location `lon` gives no number"),
        ("location", "{lat: 91, lon: 1}", "message.location `lat` is beyond 90 degrees"),
        ("location", "\"here\"", "message.location gives a string, not an object"),
        ("attachments", "[{}]", "message.attachments gives an entry with neither `url` nor `ref`"),
        ("attachments", "{url: \"u\"}", "message.attachments gives an object, not a list"),
        ("attachments", "[range(101) | {url: \"u\"}]", "message.attachments gives a list of more than 100"),
        ("attachments", "[{url: [1]}]", "message.attachments `url` gives an array, not a string"),
        ("identities", "[{value: \"1\"}]", "message.identities gives a name without a `type`"),
        ("when", ".o.x.y.z | error", "message.when: the filter raised an error"),
        ("text", ".t.x", "message.text: cannot index a string with a string"),
    ] {
        let item = json!({"o": {}, "f": 1.5, "t": "jalan rusak"});
        assert_eq!(one(field, filter, &item).unwrap_err(), reason, "{field} {filter}");
    }
    let error = one("identities", "[{type: \"fax\", value: \"1\"}]", &json!({})).unwrap_err();
    assert!(error.contains("none of phone"), "{error}");
}

#[test]
fn one_bad_item_does_not_hold_up_the_others() {
    let sections = Sections::parse("[message]\neach = '.body[]'\nid = '.id'\nwhen = '.skip != true'");
    let mapped = sections.json(&json!([{"id": "a"}, {"id": {}}, {"skip": true}, "text", {"id": "b"}]));
    let places: Vec<_> = mapped.messages.iter().map(|(place, message)| (*place, message.id.as_deref())).collect();
    assert_eq!(places, [(0, Some("a")), (4, Some("b"))]);
    assert_eq!(mapped.faults.iter().map(|fault| fault.item).collect::<Vec<_>>(), [Some(1), Some(3)]);
    assert_eq!(mapped.ignored, 1);
}

#[test]
fn a_receipt_without_items_is_ignored() {
    let sections = Sections::parse("[message]\neach = '.body[]?'");
    let mapped = sections.json(&json!({}));
    assert_eq!((mapped.messages.len(), mapped.faults.len(), mapped.ignored), (0, 0, 1));
}

#[test]
fn a_broken_each_is_a_fault_of_the_receipt() {
    let sections = Sections::parse("[message]\neach = '.body[]'");
    let fault = sections.run("main", &posted("application/json", "7")).unwrap_err();
    assert_eq!(fault.item, None);
    assert!(fault.reason.starts_with("message.each: cannot"), "{}", fault.reason);
    let many = Json::Array(vec![json!(1); 1001]);
    let fault = sections.run("main", &posted("application/json", &many.to_string())).unwrap_err();
    assert!(fault.reason.contains("more than 1000"), "{}", fault.reason);
}

#[test]
fn the_results_of_one_receipt_take_a_mebibyte_at_most() {
    let sections = Sections::parse("[message]\neach = '.body[]'\ntext = '.'");
    let text = "x".repeat(400_000);
    let mapped = sections.json(&json!([text, text, text, "short"]));
    assert_eq!(mapped.messages.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!(mapped.faults[0].item, Some(2));
    assert!(mapped.faults[0].reason.contains("1 MiB"));
}

#[test]
fn parts_of_an_sms_are_announced_within_their_bounds() {
    let manifest =
        "[message]\neach = '.body'\n[message.concat]\nref = '.ref'\npart = '.part'\ntotal = '.total'\ntimeout = '5m'";
    let sections = Sections::parse(manifest);
    let group = |item: Json| sections.json(&item).messages[0].1.group.clone();
    let parts = |key: &str, part, total| Some(Group::Parts { key: key.to_owned(), part, total });
    for (item, expected) in [
        (json!({"ref": 77, "part": "2", "total": 3}), parts("77", 2, 3)),
        (json!({"ref": "a", "part": 1, "total": 255}), parts("a", 1, 255)),
        (json!({"ref": "a", "part": 1, "total": 256}), None),
        (json!({"ref": "a", "part": 0, "total": 2}), None),
        (json!({"ref": "a", "part": 3, "total": 2}), None),
        (json!({"ref": "a", "part": "x", "total": 2}), None),
        (json!({"part": 1, "total": 2}), None),
        (json!({}), None),
    ] {
        assert_eq!(group(item.clone()), expected, "{item}");
    }
    assert_eq!(sections.compile().unwrap().concat_timeout(), Some(Span::from_secs(300)));
    let guarded = Sections::parse(&manifest.replace("[message.concat]", "[message.concat]\nwhen = '.concat == true'"));
    let whole = guarded.json(&json!({"ref": 1, "part": 1, "total": 2}));
    assert_eq!(whole.messages[0].1.group, None);
}

#[test]
fn reports_come_in_at_their_endpoint() {
    let manifest = |endpoint: &str| {
        format!(
            "[message]\neach = '.body.messages[]?'\nid = '.id'\n[receipts]\nendpoint = '{endpoint}'\n\
            each = '.body.statuses[]?'\nid = '.id'\nstatus = '.status'\nerror = '.code'"
        )
    };
    let body = json!({
        "messages": [{"id": "m1"}],
        "statuses": [{"id": 9, "status": "failed", "code": 30003}, {"id": "s2", "status": "odd"}, {"status": "sent"}, {"id": {}, "status": "sent"}],
    });
    let request = posted("application/json", &body.to_string());
    let report = DeliveryReport { id: "9".to_owned(), status: DeliveryStatus::Failed, error: Some("30003".to_owned()) };

    let apart = Sections::parse(&manifest("status"));
    let main = apart.run("main", &request).unwrap();
    assert_eq!((main.messages.len(), main.reports.len(), main.ignored), (1, 0, 0));
    let status = apart.run("status", &request).unwrap();
    assert_eq!((status.messages.len(), status.reports.as_slice(), status.ignored), (0, [report.clone()].as_slice(), 2));
    assert_eq!(status.faults.len(), 1);

    let mixed = Sections::parse(&manifest("main"));
    let main = mixed.run("main", &request).unwrap();
    assert_eq!((main.messages.len(), main.reports.as_slice()), (1, [report].as_slice()));
    let status = mixed.run("status", &request).unwrap();
    assert_eq!((status.messages.len(), status.reports.len(), status.ignored), (0, 0, 1));
}

#[test]
fn all_mistakes_of_a_manifest_are_named_at_once() {
    let manifest = r#"
        [receive]
        charset = "klingon"
        decode = ["rot13"]
        max_depth = 65
        max_body = "33 MiB"
        pick = { from = ".a |", setting = "number" }
        [message]
        each = ".body.entry[0]"
        id = "now"
        text = ".a |"
        mime = ".body"
        [message.group]
        key = "env"
        window = "10s"
        max = "5s"
        [message.concat]
        ref = "input"
        part = ".p"
        total = "until(.;.)"
        [receipts]
        each = ".body | first"
        id = "nothing"
        status = ".s"
    "#;
    let errors = Sections::parse(manifest).compile().unwrap_err();
    let named: Vec<_> = errors.iter().map(|error| format!("{}.{}", error.section, error.key)).collect();
    assert_eq!(
        named,
        [
            "receive.charset",
            "receive.decode",
            "receive.max_depth",
            "receive.max_body",
            "receive.pick",
            "message.each",
            "message.id",
            "message.text",
            "message.group.max",
            "message.group.key",
            "message.concat.ref",
            "message.concat.total",
            "receipts.each",
            "receipts.id",
        ]
    );
    let now = &errors[6];
    assert_eq!(now.message, "`now` is not allowed in a manifest");
    assert!(now.hint.as_deref().unwrap().contains("received_at"));
}

#[test]
fn the_linter_sees_the_settings_of_every_filter() {
    let manifest = "[receive]\npick = { from = '.to', setting = 'number' }\n[message]\neach = '.'\nid = '.settings.sid'\n\
        when = 'secret_eq(.query.k; \"key\")'\n[message.group]\nkey = '$root.settings.album'";
    let mapping = Sections::parse(manifest).compile().unwrap();
    assert_eq!(mapping.settings_used(), ["album", "key", "number", "sid"]);
    assert_eq!(mapping.pick().map(|(_, setting)| setting), Some("number"));
}

#[test]
fn a_message_knows_that_its_text_was_mended() {
    let sections = Sections::parse("[message]\neach = '.'\ntext = '.form.t'");
    let mapped = sections.run("main", &posted("application/x-www-form-urlencoded", "t=a%FFb")).unwrap();
    assert!(mapped.messages[0].1.lossy);
    assert_eq!(mapped.messages[0].1.text.as_deref(), Some("a\u{FFFD}b"));
}

#[test]
fn an_item_goes_to_the_channel_it_names_and_to_no_other() {
    let settings = |number: &str| {
        let mut settings = Settings::default();
        settings.insert("number", Setting::Plain(number.to_owned()));
        settings
    };
    let (main, second) = (settings("1"), settings("2"));
    let sections = Sections::parse(
        "[receive]\npick = { from = '.to', setting = 'number' }\n[message]\neach = '.body.messages[]?'\n\
        id = '.id'\nsent_at = '.at'\n[receipts]\nendpoint = 'main'\neach = '.body.statuses[]?'\nid = '.id'\nstatus = '.status'",
    );
    let body = json!({
        "messages": [
            {"id": "a", "to": "2", "at": "2026-01-01 00:00:00"}, {"id": "b", "to": 1, "at": "2026-01-01 00:00:00"},
            {"id": "c", "to": "3"}, {"id": "d"}, {"id": "e", "to": "2", "at": "yesterday"}, {"id": "f", "to": {}},
        ],
        "statuses": [{"id": "x", "to": "2", "status": "sent"}, {"id": "y", "status": "sent"}],
    });
    let (utc, at) = (TimeZone::UTC, Timestamp::UNIX_EPOCH);
    let sharers = [Surroundings::new(&second, "ID", &utc)];
    let surroundings = Surroundings { sharers: &sharers, ..Surroundings::new(&main, "ID", &ZONE) };
    let request = posted("application/json", &body.to_string());
    let root = Root::decode(&request, "main", None, at, &sections.receive, &main).unwrap();
    let mapped = sections.compile().unwrap().run(&root, &surroundings).unwrap();
    let owner = |place: usize| mapped.owners.messages.get(&place).copied();
    assert_eq!(
        [owner(0), owner(1), owner(2), owner(3)],
        [Owner::Sharer(0), Owner::Receiver, Owner::Nobody, Owner::Nobody].map(Some)
    );
    // Each is read with what its own channel knows: here the zone of a time without one.
    let hours = |place: usize| mapped.messages[place].1.sent_at.unwrap().as_second() / 3600;
    assert_eq!(hours(0) - hours(1), 7);
    assert_eq!(mapped.messages.len(), 4);
    assert_eq!(mapped.owners.faults.values().copied().collect::<Vec<_>>(), [Owner::Sharer(0), Owner::Receiver]);
    assert_eq!(mapped.owners.reports.values().copied().collect::<Vec<_>>(), [Owner::Sharer(0), Owner::Nobody]);
}
