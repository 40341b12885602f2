//! Routing with 657 agencies, 100,000 aliases and 200 rules: a complaint has to take less than 20 µs.

use std::fmt::Write as _;

use loket::{agencies::Agencies, complaint::Complaint, route::Routing};

fn main() {
    divan::main();
}

const AGENCIES: usize = 657;
const ALIASES: usize = 100_000;
const RULES: usize = 200;

/// A word for a number: the same each time, and not like a number.
fn word(mut number: usize) -> String {
    const SYLLABLES: [&str; 16] =
        ["ka", "mi", "ru", "se", "to", "la", "ni", "pu", "de", "go", "ja", "bi", "wu", "ne", "so", "ta"];
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES[number % 16]);
        number /= 16;
        if number == 0 {
            return word;
        }
    }
}

/// Aliases share their first words, as those of real agencies do.
fn alias(number: usize) -> String {
    match number % 4 {
        0 => format!("Dinas {} {}", word(number / 97), word(number + 5000)),
        1 => format!("Badan {} Kota {}", word(number / 31), word(number)),
        2 => format!("Kantor {}", word(number + 9000)),
        _ => format!("{}{}", word(number), word(number * 7)),
    }
}

fn routing() -> Routing {
    let folder = std::env::temp_dir().join(format!("loket-bench-route-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut table = String::from("code,name,aliases,keywords,region\n");
    for agency in 0..AGENCIES {
        let aliases: Vec<String> = (agency..ALIASES).step_by(AGENCIES).map(alias).collect();
        writeln!(table, "A{agency},Instansi {},{},K{agency},99.{:02}", word(agency), aliases.join(";"), agency % 80)
            .expect("a string takes it");
    }
    std::fs::write(folder.join("agencies.csv"), table).expect("written");
    let mut rules = String::new();
    for rule in 0..RULES {
        let condition = match rule % 5 {
            0 => format!("words = [\"{} {}\", \"{}\"]", word(rule), word(rule + 1), word(rule + 70_000)),
            1 => format!("keyword = \"K{rule}\"\nchannel = \"sms-{rule}\""),
            2 => format!("region = \"98.{rule}\""),
            3 => format!("agency = \"A{rule}\"\nlanguage = \"id\""),
            _ => format!("service_code = \"S{rule}\"\nreport_type = \"complaint\""),
        };
        writeln!(rules, "[[rule]]\nname = \"r{rule}\"\n{condition}\nqueue = \"q{rule}\"").expect("a string takes it");
    }
    std::fs::write(folder.join("routing.toml"), rules).expect("written");
    let agencies = Agencies::load(&folder).expect("a good table");
    let routing = Routing::load(&folder, &agencies).expect("good rules");
    std::fs::remove_dir_all(&folder).expect("removed");
    routing
}

/// A complaint of `words` words that no rule wants, so that every rule is asked.
fn complaint(words: usize) -> Complaint {
    let text: Vec<String> = (0..words)
        .map(|place| match place % 6 {
            0 => "Dinas".to_owned(),
            1 => word(place + 200_000),
            2 => "di jalan".to_owned(),
            _ => word(place * 31 + 300_000),
        })
        .collect();
    let document = serde_json::json!({
        "schema_version": "1.0",
        "complaint_id": "01a20b8b-e418-726b-b2a7-4de452e6b438",
        "tracking_id": "S34-6Q3-D23",
        "report_type": "complaint",
        "description": text.join(" "),
        "description_language": "id",
        "requested_datetime": "2026-11-24T10:13:55+07:00",
        "received_datetime": "2026-11-24T10:14:07.380+07:00",
        "keywords": ["JALAN"],
        "location": { "region": { "scheme": "id-kemendagri", "code": "99.71.06" }, "source": "text" },
        "reporter": { "ref": "rp_aaaaaaaaaaaaaaaaaaaa" },
        "privacy": { "reporter_disclosure": "agency", "content_disclosure": "public", "chosen_by": "default" },
        "consent": { "legal_basis": "public_task", "notice_version": "2026-10", "method": "implied_by_message" },
        "channel": { "id": "sms-1708", "name": "sms", "recipient": "1708", "message_ids": ["1"] },
        "provenance": { "checks": [], "proves": { "sender": false, "content": true, "freshness": true },
            "assurance": "transport_verified", "gateway": "gw-1", "gateway_version": "0.1.0" },
        "screening": { "flags": [], "disposition": "accept" },
        "completeness": { "missing": [], "incomplete_parts": false, "single_shot": true },
        "raw_refs": [], "reply": { "capabilities": ["text"] }
    });
    serde_json::from_value(document).expect("a complaint")
}

/// An SMS of one part has about 25 words, a long letter 500.
#[divan::bench(args = [25, 100, 500])]
fn route(bencher: divan::Bencher<'_, '_>, words: usize) {
    let (routing, complaint) = (routing(), complaint(words));
    assert_eq!(routing.route(&complaint, None).rule, None, "every rule is asked");
    bencher.bench(|| routing.route(divan::black_box(&complaint), None));
}

/// What an operator waits for when the tables change.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn load() -> Routing {
    routing()
}
