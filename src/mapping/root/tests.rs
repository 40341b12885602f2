use std::io::Write;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::settings::Setting;

const NOW: i64 = 1_767_225_600;

fn request(method: &str, target: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    let mut headers = vec![("x-twice".to_owned(), b"1".to_vec()), ("x-twice".to_owned(), b"2".to_vec())];
    if !content_type.is_empty() {
        headers.push(("content-type".to_owned(), content_type.as_bytes().to_vec()));
    }
    Request { method: method.to_owned(), target: target.to_owned(), headers, body: body.into().into() }
}

fn decode(request: &Request, rules: &ReceiveRules) -> Result<Root, MappingFault> {
    let mut settings = Settings::default();
    settings.insert("sid", Setting::Plain("AC1".to_owned()));
    settings.insert("token", Setting::Secret(vec!["hidden".to_owned().into()]));
    let remote = Some("203.0.113.9".parse().unwrap());
    Root::decode(request, "main", remote, Timestamp::from_second(NOW).unwrap(), rules, &settings)
}

fn root(request: &Request, rules: &ReceiveRules) -> Json {
    decode(request, rules).unwrap().to_json()
}

fn reason(request: &Request, rules: &ReceiveRules) -> String {
    let fault = decode(request, rules).unwrap_err();
    assert_eq!(fault.item, None);
    fault.reason
}

fn kind(body: BodyKind) -> ReceiveRules {
    ReceiveRules { body, ..ReceiveRules::default() }
}

#[test]
fn the_root_holds_what_the_specification_names() {
    let request =
        request("POST", "/in/sms?a=1&b=2&a=3", "application/x-www-form-urlencoded", "b=4&c=%2B62+8&c=x&c=y&d");
    assert_eq!(
        root(&request, &ReceiveRules::default()),
        json!({
            "method": "POST", "path": "/in/sms", "endpoint": "main",
            "query": {"a": "1", "b": "2"}, "query_all": {"a": ["1", "3"], "b": ["2"]},
            "form": {"b": "4", "c": "+62 8", "d": ""}, "form_all": {"b": ["4"], "c": ["+62 8", "x", "y"], "d": [""]},
            "params": {"a": "1", "b": "2", "c": "+62 8", "d": ""},
            "headers": {"x-twice": "1", "content-type": "application/x-www-form-urlencoded"},
            "body": null, "body_text": "b=4&c=%2B62+8&c=x&c=y&d", "files": [],
            "remote": "203.0.113.9", "received_at": NOW, "settings": {"sid": "AC1"},
        })
    );
}

#[test]
fn the_body_is_read_by_its_content_type() {
    for (content_type, body, read) in [
        ("application/json; charset=utf-8", r#"{"a":[1]}"#, json!({"a": [1]})),
        ("application/cloudevents+json", "[1]", json!([1])),
        ("text/xml", "<a>1</a>", json!({"a": "1"})),
        ("application/soap+xml", "<a/>", json!({"a": ""})),
        ("text/plain", "[1]", json!(null)),
        ("", "[1]", json!(null)),
        ("application/json", "", json!(null)),
    ] {
        let root = root(&request("POST", "/", content_type, body), &ReceiveRules::default());
        assert_eq!(root["body"], read, "{content_type}");
        assert_eq!(root["body_text"], if body.is_empty() { json!(null) } else { json!(body) }, "{content_type}");
    }
    let mislabelled = request("POST", "/", "text/plain", "{\"a\":1}");
    assert_eq!(root(&mislabelled, &kind(BodyKind::Json))["body"], json!({"a": 1}));
    assert_eq!(root(&mislabelled, &kind(BodyKind::None))["body_text"], json!(null));
    let form = request("POST", "/", "text/plain", "a=1");
    assert_eq!(root(&form, &kind(BodyKind::Form))["form"], json!({"a": "1"}));
}

#[test]
fn multipart_fields_become_a_form_and_files_are_named() {
    let body = "--x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhalo\r\n\
        --x\r\nContent-Disposition: form-data; name=\"old\"\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\u{e9}\r\n\
        --x\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\nContent-Type: image/JPEG\r\n\r\nabc\r\n--x--\r\n";
    // The second field is in the charset that its part names.
    let body: Vec<u8> = body.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
    let root = root(&request("POST", "/", "multipart/form-data; boundary=x", body), &ReceiveRules::default());
    assert_eq!(root["form"], json!({"text": "halo", "old": "café"}));
    assert_eq!(
        root["files"],
        json!([{
            "field": "photo", "filename": "a.jpg", "media_type": "image/jpeg", "size_bytes": 3,
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "ref": "raw:2",
        }])
    );
}

#[test]
fn a_field_of_multipart_is_read_in_one_charset() {
    let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xE9\r\n\
        --x\r\nContent-Disposition: form-data; name=\"b\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xC3\xA9\r\n--x--\r\n";
    let request = request("POST", "/", "multipart/form-data; boundary=x", body.as_slice());
    let latin = ReceiveRules { charset: "iso-8859-1".to_owned(), ..ReceiveRules::default() };
    assert_eq!(root(&request, &latin)["form"], json!({"a": "é", "b": "é"}));
    let unnamed = decode(&request, &ReceiveRules::default()).unwrap();
    assert!(unnamed.is_lossy());
}

#[test]
fn a_body_that_is_not_what_it_says_is_a_fault_without_its_words() {
    for (content_type, body, part) in [
        ("application/json", "rahasia", "no JSON: no value at byte 0"),
        ("application/json", "[1", "no JSON"),
        ("text/xml", "<rahasia>", "one root element"),
        ("multipart/form-data", "rahasia", "names no boundary"),
        ("multipart/form-data; boundary=x", "rahasia", "not read"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhalo",
            "not read",
        ),
    ] {
        let reason = reason(&request("POST", "/", content_type, body), &ReceiveRules::default());
        assert!(reason.contains(part) && !reason.contains("rahasia"), "{content_type}: {reason}");
    }
}

#[test]
fn charsets_of_forms_and_texts_are_followed() {
    let latin = ReceiveRules { charset: "iso-8859-1".to_owned(), ..ReceiveRules::default() };
    let named = ReceiveRules { charset: "param:charset".to_owned(), ..ReceiveRules::default() };
    let form = "application/x-www-form-urlencoded";
    for (rules, target, content_type, body, field, text) in [
        (&latin, "/?t=caf%E9", "", b"".as_slice(), "query", "café"),
        (&latin, "/", form, b"t=caf%E9", "form", "café"),
        (&latin, "/", "application/x-www-form-urlencoded; charset=utf-8", b"t=caf%C3%A9", "form", "café"),
        (&named, "/?charset=UTF-16BE&t=%00h%20%ac", "", b"", "query", "h€"),
        (&named, "/", form, b"charset=windows-1252&t=%80", "form", "€"),
        (&named, "/", form, b"charset=klingon&t=%C3%A9", "form", "é"),
    ] {
        let decoded = decode(&request("POST", target, content_type, body), rules).unwrap();
        assert!(!decoded.is_lossy());
        assert_eq!(decoded.to_json()[field]["t"], json!(text), "{target}");
    }
    for (rules, content_type, body, text) in [
        (&latin, "text/plain", b"caf\xE9".as_slice(), "café"),
        (&latin, "text/plain; charset=\"utf-8\"", b"caf\xC3\xA9", "café"),
        (&ReceiveRules::default(), "text/xml; charset=iso-8859-1", b"<a>\xE9</a>", "<a>é</a>"),
        (
            &ReceiveRules::default(),
            "text/xml",
            b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xE9</a>",
            "<?xml version='1.0' encoding='iso-8859-1'?><a>é</a>",
        ),
        (&ReceiveRules::default(), "text/xml", b"\xFE\xFF\0<\0a\0/\0>", "<a/>"),
        (&ReceiveRules::default(), "application/json", b"\xEF\xBB\xBF\"x\"", "\"x\""),
    ] {
        assert_eq!(root(&request("POST", "/", content_type, body), rules)["body_text"], json!(text));
    }
}

#[test]
fn bytes_that_are_no_text_are_replaced_and_flagged() {
    for (target, content_type, body) in [
        ("/?t=%FF", "", b"".as_slice()),
        ("/", "application/x-www-form-urlencoded", b"t=%FF"),
        ("/", "text/plain", b"\xFF"),
        ("/", "application/json", b"\"\xFF\""),
        ("/", "application/json", b"\"\\ud800\""),
        ("/", "text/xml", b"<a>\xFF</a>"),
    ] {
        let decoded = decode(&request("POST", target, content_type, body), &ReceiveRules::default()).unwrap();
        assert!(decoded.is_lossy(), "{target} {content_type}");
        assert!(decoded.to_json().to_string().contains('\u{FFFD}'), "{target} {content_type}");
    }
}

#[test]
fn the_steps_of_decode_run_in_order() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let steps = |steps: &[&str]| ReceiveRules {
        decode: steps.iter().map(|step| (*step).to_owned()).collect(),
        ..ReceiveRules::default()
    };
    let packed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, gzip(br#"{"a":1}"#));
    for (body, rules) in [
        (gzip(br#"{"a":1}"#), steps(&["gzip"])),
        (b"eyJh\nIjoxfQ==".to_vec(), steps(&["base64"])),
        (b"7b2261223a317d\n".to_vec(), steps(&["hex"])),
        (b"\0{\0\"\0a\0\"\0:\x001\0}".to_vec(), steps(&["utf-16be"])),
        (packed.into_bytes(), steps(&["base64", "gzip"])),
    ] {
        assert_eq!(root(&request("POST", "/", "application/json", body), &rules)["body"], json!({"a": 1}));
    }
    let bomb = request("POST", "/", "text/plain", gzip(&vec![0; (32 << 20) + 1]));
    assert!(reason(&bomb, &steps(&["gzip"])).contains("32 MiB"));
    for step in ["gzip", "base64", "hex"] {
        assert!(reason(&request("POST", "/", "text/plain", "\u{1}!"), &steps(&[step])).starts_with("the body is not"));
    }
}

#[test]
fn fields_and_parts_are_counted() {
    let many = |separator: &str, count: usize| vec!["a=1"; count].join(separator);
    let form = "application/x-www-form-urlencoded";
    assert!(decode(&request("POST", "/", form, many("&", 1000)), &ReceiveRules::default()).is_ok());
    assert!(reason(&request("POST", "/", form, many("&", 1001)), &ReceiveRules::default()).contains("1000"));
    let target = format!("/?{}", many("&", 1001));
    assert!(reason(&request("GET", &target, "", ""), &ReceiveRules::default()).contains("1000"));
    let part = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    let body = part.repeat(101) + "--x--\r\n";
    let multipart = request("POST", "/", "multipart/form-data; boundary=x", body);
    assert!(reason(&multipart, &ReceiveRules::default()).contains("100 parts"));
    let deep = request("POST", "/", "application/json", "[[[]]]");
    assert!(decode(&deep, &ReceiveRules { max_depth: 2, ..ReceiveRules::default() }).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_the_decoder_panic(
        body in prop::collection::vec(any::<u8>(), 0..300),
        query in "[ -~]{0,40}",
        kind in prop::sample::select(vec![
            BodyKind::Auto, BodyKind::Json, BodyKind::Form, BodyKind::Multipart, BodyKind::Xml, BodyKind::Text, BodyKind::None,
        ]),
        content_type in prop::sample::select(vec![
            "", "multipart/form-data; boundary=x", "application/json", "text/xml; charset=utf-16", "text/plain; charset=gbk", ";=\"",
        ]),
        step in prop::sample::select(vec!["", "gzip", "base64", "hex", "utf-16le"]),
    ) {
        let rules = ReceiveRules {
            body: kind,
            decode: Some(step).filter(|step| !step.is_empty()).map(str::to_owned).into_iter().collect(),
            ..ReceiveRules::default()
        };
        if let Ok(root) = decode(&request("POST", &format!("/?{query}"), content_type, body), &rules) {
            root.to_json();
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(
        json in "[\\[\\]{}\",:0-9a-z\\\\u.eE+-]{0,60}",
        xml in "(<[a-c/!?]?[a-c= '\"\\[\\]-]{0,6}>?|[&;#x0-9a-z ]{0,5}|<!\\[CDATA\\[|\\]\\]>){0,12}",
        multipart in "(--x(--)?\r\n|Content-Disposition: form-data; name=\"a\"(; filename=\"\")?\r\n|\r\n|[a-z]{0,5}){0,12}",
    ) {
        let _ = json::parse(json.as_bytes(), 64);
        let _ = xml::parse(&xml, 64);
        let _ = multipart::parse("multipart/form-data; boundary=x", multipart.into(), Charset::UTF_8);
    }

    #[test]
    fn json_is_read_as_serde_reads_it(source in "[\\[\\]{}\",:0-9a-c.e-]{0,30}|\\{\"a\":[0-9]{1,5}(\\.[0-9]{1,3})?,\"b\":\\[(true|null|\"[a-z]{0,5}\"),-[1-9][0-9]{0,2}\\]\\}") {
        let ours = json::parse(source.as_bytes(), 64).ok().map(|parsed| value::json::to_json(&parsed.value).unwrap());
        let theirs = serde_json::from_str::<Json>(&source).ok();
        prop_assert_eq!(ours, theirs);
    }
}
