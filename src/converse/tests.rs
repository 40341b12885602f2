use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    assemble::{Assembly, assemble},
    complaint::{AgencyHint, COMPLAINT_SCHEMA, FOLLOWUP_SCHEMA, HintSource, Medium, ReporterDisclosure, reporter_ref},
    message::{Attachment, Identity, Location, Message},
    normalise::normalise,
    receipt::{Check, CheckResult, Origin, Proves, Verdict, VerdictResult},
    store::StatusChange,
};

mod chats;
mod letters;

static COMPLAINT: LazyLock<Validator> = LazyLock::new(|| validator(COMPLAINT_SCHEMA));
static FOLLOWUP: LazyLock<Validator> = LazyLock::new(|| validator(FOLLOWUP_SCHEMA));

fn validator(schema: &str) -> Validator {
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is one")
}

fn gateway() -> Gateway {
    Gateway::example()
}

fn channel(medium: Medium) -> ChannelFacts {
    let id = ChannelId::new("sms-1708").expect("a slug");
    let zone = TimeZone::get("Asia/Jakarta").expect("a zone");
    let mut facts = ChannelFacts::new(id, medium, zone);
    facts.provider = "generic-get".to_owned();
    facts.address = "phone".to_owned();
    facts
}

/// One person at one channel, with the memory that the store keeps.
struct Citizen {
    channel: ChannelFacts,
    gateway: Gateway,
    sender: Sender,
    number: u8,
    known: Option<ComplaintRecord>,
}

fn at(second: i64) -> Timestamp {
    // 2026-11-24T11:14:08.990+07:00 and so many seconds.
    Timestamp::from_millisecond(1_795_493_648_990 + second * 1000).expect("a time")
}

impl Citizen {
    fn on(medium: Medium) -> Self {
        Self { channel: channel(medium), gateway: gateway(), sender: Sender::default(), number: 0, known: None }
    }

    /// A channel that says nothing on its own initiative, so that it can ask nothing.
    fn on_a_silent(medium: Medium) -> Self {
        let mut citizen = Self::on(medium);
        citizen.channel.acknowledge = false;
        citizen
    }

    fn origin(&mut self, second: i64) -> Arc<Origin> {
        self.number += 1;
        let domain = (self.channel.medium == Medium::Email).then(|| "d=example.org".to_owned());
        let check =
            |method: &str| Check { method: method.to_owned(), result: CheckResult::Pass, detail: domain.clone() };
        Arc::new(Origin {
            id: ReceiptId(crate::complaint::derived_uuid7(1_795_493_648_990, &[self.number; 16], "raw")),
            channel: self.channel.id.clone(),
            received_at: at(second),
            draw: [self.number; 16],
            verdict: Verdict {
                result: VerdictResult::Pass,
                proves: Proves { sender: true, content: false, freshness: false },
                detail: String::new(),
                checks: vec![check("shared_secret"), check("ip_allowlist")],
                nonce: None,
            },
            media_type: "application/x-www-form-urlencoded".to_owned(),
            size_bytes: 211,
            sha256: [0x3b; 32],
        })
    }

    fn message(&self, text: &str) -> Message {
        Message {
            id: Some(format!("9981234{}", self.number)),
            from: Some("081100000001".to_owned()),
            to: Some("1708".to_owned()),
            text: Some(text.to_owned()),
            ..Message::default()
        }
    }

    fn writes(&mut self, second: i64, text: &str) -> Conversed {
        let message = self.message(text);
        self.sends(second, message)
    }

    fn sends(&mut self, second: i64, message: Message) -> Conversed {
        let origin = self.origin(second);
        let message = normalise(&origin, 0, message, &self.channel);
        match assemble(message, &mut self.sender, &self.channel, at(second)) {
            Assembly::Whole(assembled) => self.hears(second, &assembled),
            _ => panic!("a message without a group is whole"),
        }
    }

    fn hears(&mut self, second: i64, assembled: &Assembled) -> Conversed {
        let keyword = |token: &str| {
            token.eq_ignore_ascii_case("KOTACONTOH").then(|| AgencyHint {
                code: Some("KOTA-CONTOH".to_owned()),
                name: "Pemerintah Kota Contoh".to_owned(),
                source: HintSource::Keyword,
            })
        };
        let material = Material { assembled, channel: &self.channel, gateway: &self.gateway };
        let known = self.known.as_ref();
        let (flow, locales) = (Flow::default(), Locales::default());
        let turn = Turn {
            material,
            sender: &mut self.sender,
            known,
            keyword: &keyword,
            agency: &keyword,
            flow: &flow,
            locales: &locales,
            now: at(second),
        };
        let conversed = turn.take();
        self.sender = Sender::decode(&self.sender.encode()).expect("what was written");
        check(&conversed);
        if let Conversed::Complaint(whole) = &conversed {
            self.sender.routed(whole.complaint.complaint_id, "triage");
        }
        conversed
    }

    fn complains(&mut self, second: i64, text: &str) -> WholeComplaint {
        complaint(self.writes(second, text))
    }

    fn adds(&mut self, second: i64, text: &str) -> WholeFollowUp {
        follow_up(self.writes(second, text))
    }

    fn orders(&mut self, second: i64, text: &str) -> Said {
        match self.writes(second, text) {
            Conversed::Command(obeyed) => obeyed.matter.say.expect("a command is answered"),
            other => panic!("no command: {other:?}"),
        }
    }
}

fn complaint(conversed: Conversed) -> WholeComplaint {
    match conversed {
        Conversed::Complaint(whole) => *whole,
        other => panic!("no complaint: {other:?}"),
    }
}

fn follow_up(conversed: Conversed) -> WholeFollowUp {
    match conversed {
        Conversed::FollowUp(whole) => *whole,
        other => panic!("no follow-up: {other:?}"),
    }
}

/// Every document that any test makes is valid.
fn check(conversed: &Conversed) {
    let (validator, document) = match conversed {
        Conversed::Complaint(whole) => (&COMPLAINT, serde_json::to_value(&whole.complaint)),
        Conversed::FollowUp(whole) => (&FOLLOWUP, serde_json::to_value(&whole.follow_up)),
        Conversed::Drafted(_) | Conversed::Command(_) => return,
    };
    let document = document.expect("plain data");
    let errors: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

fn said(matter: &Matter) -> (&'static str, Option<String>) {
    let said = matter.say.as_ref().expect("something to say");
    let id = said.arguments.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.clone());
    (said.message, id)
}

fn record(whole: &WholeComplaint, channel: &ChannelFacts, reporter_ref: &str) -> ComplaintRecord {
    ComplaintRecord {
        complaint_id: whole.complaint.complaint_id,
        tracking_id: whole.complaint.tracking_id.clone(),
        channel: channel.id.clone(),
        reporter_ref: reporter_ref.to_owned(),
        queue: "dinas-jalan".to_owned(),
        event_id: whole.event_id.clone(),
        language: "id".to_owned(),
        receipts: whole.matter.receipts.clone(),
        received_at: whole.matter.received_at,
        enqueued_at: whole.matter.received_at,
        leased_at: None,
        acked_at: None,
        replyable: true,
        sequence: 3,
        status: vec![StatusChange { status: "in_progress".to_owned(), note: None, at: at(86_400) }],
    }
}

#[test]
fn the_anonymous_sms_of_the_examples_comes_out_field_for_field() {
    let mut citizen = Citizen::on(Medium::Sms);
    let mut message =
        citizen.message("KOTACONTOH ANONIM RAHASIA Ada pungutan liar saat urus KTP di kelurahan, diminta 50 ribu.");
    message.id = Some("99812345".to_owned());
    message.sent_at = Some("2026-11-24T11:14:02+07:00".parse().expect("a time"));
    let whole = complaint(citizen.sends(0, message));
    let document = serde_json::to_value(&whole.complaint).expect("plain data");
    let mut expected = json!({
        "schema_version": "1.0",
        "report_type": "unclassified",
        "description": "Ada pungutan liar saat urus KTP di kelurahan, diminta 50 ribu.",
        "description_language": "id",
        "requested_datetime": "2026-11-24T11:14:02+07:00",
        "received_datetime": "2026-11-24T11:14:08.990+07:00",
        "agency_hint": {"code": "KOTA-CONTOH", "name": "Pemerintah Kota Contoh", "source": "keyword"},
        "keywords": ["KOTACONTOH"],
        "reporter": {"preferred_language": "id", "reporter_kind": "unknown"},
        "privacy": {"reporter_disclosure": "withheld", "content_disclosure": "agency", "chosen_by": "reporter"},
        "consent": {
            "legal_basis": "public_task", "notice_version": "2026-10", "notice_language": "id",
            "method": "implied_by_message"
        },
        "channel": {
            "id": "sms-1708", "name": "sms", "provider": "generic-get", "recipient": "1708", "message_ids": ["99812345"]
        },
        "provenance": {
            "checks": [
                {"method": "shared_secret", "result": "pass", "at": "2026-11-24T11:14:08.990+07:00"},
                {"method": "ip_allowlist", "result": "pass", "at": "2026-11-24T11:14:08.990+07:00"}
            ],
            "proves": {"sender": true, "content": false, "freshness": false},
            "assurance": "transport_verified",
            "gateway": "gw-1"
        },
        "screening": {"flags": [], "disposition": "accept"},
        "completeness": {"missing": ["location", "incident_datetime"], "incomplete_parts": false, "single_shot": true},
        "raw_refs": [{
            "media_type": "application/x-www-form-urlencoded", "size_bytes": 211,
            "expires_at": "2026-12-24T11:14:08+07:00"
        }],
        "reply": {"capabilities": ["text"]}
    });
    // What is drawn, counted or hashed differs from the example's.
    expected["complaint_id"] = document["complaint_id"].clone();
    expected["tracking_id"] = document["tracking_id"].clone();
    expected["language_confidence"] = document["language_confidence"].clone();
    expected["reporter"]["ref"] = document["reporter"]["ref"].clone();
    expected["provenance"]["gateway_version"] = json!(env!("CARGO_PKG_VERSION"));
    for field in ["raw_id", "sha256"] {
        expected["raw_refs"][0][field] = document["raw_refs"][0][field].clone();
    }
    assert_eq!(document, expected);
    assert_eq!(said(&whole.matter), ("sms.ack_private", Some(whole.complaint.tracking_id.to_string())));
    assert_eq!(whole.event(&citizen.channel.id).sensitivity, Sensitivity::Confidential);
    let address: Value = serde_json::from_slice(&whole.matter.vault.to_json()).expect("JSON");
    assert_eq!(address, json!({"to": "+6281100000001", "type": "phone", "from": "1708"}));
    assert!(!format!("{whole:?}").contains("6281100000001"), "nothing prints an address");
}

#[test]
fn a_replay_makes_the_same_documents() {
    let make = || {
        let whole = Citizen::on(Medium::Sms).complains(0, "Lampu jalan di depan pasar padam");
        (serde_json::to_string(&whole.complaint).expect("plain data"), whole.event_id)
    };
    assert_eq!(make(), make());
}

#[test]
fn another_sms_within_ten_minutes_adds_to_the_complaint() {
    let mut citizen = Citizen::on(Medium::Sms);
    let first = citizen.complains(0, "Lampu jalan di depan pasar padam");
    assert_eq!(said(&first.matter).0, "sms.ack");
    let second = citizen.adds(120, "Sudah dua minggu, gelap sekali");
    assert_eq!(second.follow_up.complaint_id, first.complaint.complaint_id);
    assert_eq!((second.follow_up.sequence, second.kind, second.queue.as_str()), (1, EventKind::FollowUp, "triage"));
    assert_eq!(second.follow_up.description.as_deref(), Some("Sudah dua minggu, gelap sekali"));
    assert_eq!(said(&second.matter), ("sms.followup_saved", Some(first.complaint.tracking_id.to_string())));
    assert_eq!(
        citizen.adds(599, "KOTACONTOH masih gelap").follow_up.description.as_deref(),
        Some("KOTACONTOH masih gelap")
    );
    let third = citizen.complains(600, "Sampah menumpuk di depan pasar");
    assert_ne!(third.complaint.complaint_id, first.complaint.complaint_id);
    assert!(third.complaint.thread.is_none());
}

#[test]
fn whoever_asks_for_more_privacy_begins_a_new_report() {
    let mut citizen = Citizen::on(Medium::Sms);
    citizen.complains(0, "Lampu jalan di depan pasar padam");
    let hidden = citizen.complains(60, "ANONIM lurah di desa minta uang untuk KTP");
    assert_eq!(hidden.complaint.privacy.reporter_disclosure, ReporterDisclosure::Withheld);
    assert!(hidden.complaint.reporter.contact_points.is_empty());
    assert_eq!(said(&hidden.matter).0, "sms.ack", "the text may be published, so nothing else is promised");
    // The report is withheld now, and what is added to it asks for nothing that it has not.
    citizen.adds(120, "anonim, kejadiannya kemarin pagi");
}

#[test]
fn programs_and_forms_always_make_a_new_complaint() {
    for medium in [Medium::Api, Medium::WebForm] {
        let mut citizen = Citizen::on(medium);
        citizen.complains(0, "Lampu jalan di depan pasar padam");
        citizen.complains(5, "Sampah menumpuk di depan pasar");
        citizen.complains(6, "STATUS");
    }
    let mut chat = Citizen::on_a_silent(Medium::Chat);
    chat.complains(0, "Lampu jalan di depan pasar padam");
    assert_eq!(said(&chat.complains(5, "Sampah menumpuk di depan pasar").matter).0, "chat.submitted");
}

#[test]
fn the_same_words_within_a_day_are_a_possible_duplicate() {
    let mut citizen = Citizen::on(Medium::Sms);
    let first = citizen.complains(0, "Lampu jalan di depan pasar padam");
    for second in [30, 3_600, 86_399] {
        let again = citizen.complains(second, "lampu  jalan di depan pasar PADAM");
        let thread = again.complaint.thread.as_ref().expect("a relation");
        assert_eq!(thread.related_complaint_id, Some(first.complaint.complaint_id), "{second}");
        assert_eq!(thread.relation, Some(crate::complaint::Relation::PossibleDuplicate));
        assert_ne!(again.event_id, first.event_id);
        assert_eq!(said(&again.matter), ("chat.duplicate", Some(first.complaint.tracking_id.to_string())));
    }
    let mut later = Citizen::on(Medium::Sms);
    later.complains(0, "Lampu jalan di depan pasar padam");
    assert!(later.complains(86_400, "Lampu jalan di depan pasar padam").complaint.thread.is_none());
}

#[test]
fn a_short_text_is_a_complaint_and_the_hint_goes_out_once_an_hour() {
    let mut citizen = Citizen::on(Medium::Sms);
    let first = citizen.complains(0, "halo");
    assert_eq!(said(&first.matter).0, "sms.too_short");
    assert_eq!(first.complaint.completeness.missing, ["description", "location", "incident_datetime"]);
    assert_ne!(said(&citizen.complains(700, "permisi").matter).0, "sms.too_short");
    assert_eq!(said(&citizen.complains(4_300, "tes").matter).0, "sms.too_short");
    let empty = citizen.complains(9_000, " ");
    assert_eq!(empty.complaint.screening.flags, [crate::complaint::Flag::EmptyText]);
}

#[test]
fn a_place_that_is_not_named_is_asked_for() {
    let said_after = |text: &str| said(&Citizen::on(Medium::Sms).complains(0, text).matter).0;
    assert_eq!(said_after("jalan rusak parah pak tolong"), "sms.ack_need_location");
    assert_eq!(said_after("jalan rusak parah LOK Cilandak"), "sms.ack");
    let whole = Citizen::on(Medium::Sms).complains(0, "jalan rusak parah LOK Cilandak TGL 20/11/2026");
    assert_eq!(whole.complaint.incident_datetime.as_deref(), Some("2026-11-20"));
    assert_eq!(whole.complaint.location.and_then(|place| place.address_string).as_deref(), Some("Cilandak"));
    assert!(whole.complaint.completeness.missing.is_empty());
}

#[test]
fn commands_are_obeyed_for_the_own_report() {
    let mut citizen = Citizen::on(Medium::Sms);
    let first = citizen.complains(0, "Lampu jalan di depan pasar padam");
    let id = first.complaint.tracking_id.to_string();
    let status = citizen.orders(1_000, &format!("status #{id}"));
    assert_eq!(status.message, "sms.status");
    assert!(status.arguments.contains(&("status", "Diterima".to_owned())), "{status:?}");
    assert!(status.arguments.contains(&("date", "24/11/2026".to_owned())), "{status:?}");
    let added = citizen.adds(2_000, &format!("TAMBAH {id} di RT 03"));
    assert_eq!((added.follow_up.sequence, added.follow_up.description.as_deref()), (1, Some("di RT 03")));
    let changed = citizen.adds(3_000, "ANONIM");
    assert_eq!((changed.kind, changed.follow_up.sequence), (EventKind::PrivacyChanged, 2));
    assert_eq!(
        changed.follow_up.privacy.map(|privacy| privacy.reporter_disclosure),
        Some(ReporterDisclosure::Withheld)
    );
    assert_eq!(changed.sensitivity, Sensitivity::Normal);
    let changed = citizen.adds(3_100, &format!("RAHASIA {id}"));
    let privacy = changed.follow_up.privacy.expect("a privacy change says which");
    assert_eq!(
        (privacy.reporter_disclosure, changed.sensitivity),
        (ReporterDisclosure::Withheld, Sensitivity::Confidential)
    );
    let erased = citizen.adds(4_000, &format!("HAPUS {id}"));
    assert_eq!((erased.kind, said(&erased.matter).0), (EventKind::ErasureRequested, "sms.erasure_received"));
    let withdrawn = citizen.adds(5_000, &format!("TARIK {id}"));
    assert_eq!((withdrawn.kind, said(&withdrawn.matter).0), (EventKind::Withdrawn, "sms.withdrawn"));
    assert_eq!(withdrawn.follow_up.sequence, 5);
}

#[test]
fn a_foreign_report_and_one_that_is_not_there_get_the_same_words() {
    let mut owner = Citizen::on(Medium::Sms);
    let theirs = owner.complains(0, "Lampu jalan di depan pasar padam");
    let id = theirs.complaint.tracking_id.to_string();
    let mut stranger = Citizen::on(Medium::Sms);
    stranger.number = 50;
    let unknown = |citizen: &mut Citizen, text: &str| citizen.orders(0, &text.replace("ID", &id));
    for order in ["STATUS ID", "TARIK ID", "HAPUS ID", "ANONIM ID"] {
        let missing = unknown(&mut stranger, order);
        stranger.known = Some(record(&theirs, &stranger.channel, "rp_somebodyelse2222222"));
        let foreign = unknown(&mut stranger, order);
        assert_eq!((missing.message, &missing), ("sms.status_not_found", &foreign), "{order}");
        stranger.known = None;
    }
    stranger.known = Some(record(&theirs, &stranger.channel, "rp_somebodyelse2222222"));
    let mention = stranger.complains(100, &format!("TAMBAH {id} lampunya juga mati"));
    let thread = mention.complaint.thread.expect("a relation");
    assert_eq!(thread.relation, Some(crate::complaint::Relation::Mentions));
    assert_eq!(thread.related_complaint_id, Some(theirs.complaint.complaint_id));
    assert_eq!(mention.complaint.description, format!("TAMBAH {id} lampunya juga mati"));
}

#[test]
fn the_index_knows_reports_that_the_memory_has_forgotten() {
    let mut citizen = Citizen::on(Medium::Sms);
    let first = citizen.complains(0, "Lampu jalan di depan pasar padam");
    let id = first.complaint.tracking_id.to_string();
    let own = reporter_ref(citizen.gateway.reporter_key(), &citizen.channel.id, "+6281100000001");
    citizen.known = Some(record(&first, &citizen.channel, &own));
    citizen.sender = Sender::default();
    let status = citizen.orders(90_000, &format!("CHECK {id}"));
    assert_eq!((status.message, status.language.as_str()), ("sms.status", "en"));
    assert!(status.arguments.contains(&("status", "In progress".to_owned())), "{status:?}");
    let added = citizen.adds(90_100, &format!("TAMBAH {id} masih padam"));
    assert_eq!((added.follow_up.sequence, added.queue.as_str()), (4, "dinas-jalan"));
    assert_eq!(added.sensitivity, Sensitivity::Confidential, "nobody remembers that it may be public");
    assert_eq!(citizen.adds(90_200, &format!("TAMBAH {id} terus padam")).follow_up.sequence, 5);
}

#[test]
fn look_ups_are_limited() {
    let mut citizen = Citizen::on(Medium::Sms);
    let words: Vec<_> = (0..12).map(|second| citizen.orders(second, "STATUS E3S-3E2-8JE").message).collect();
    assert_eq!(words[9], "sms.status_not_found");
    assert_eq!(words[10..], ["sms.rate_limited", "sms.rate_limited"]);
}

#[test]
fn words_of_the_whole_conversation_change_the_memory_only() {
    let mut citizen = Citizen::on(Medium::Sms);
    assert_eq!(citizen.orders(0, "BANTUAN").message, "sms.help");
    assert_eq!(citizen.orders(0, "ANONIM").message, "sms.help", "there is no report to hide");
    let set = citizen.orders(0, "BAHASA en");
    assert_eq!((set.message, set.language.as_str()), ("chat.language_set", "en"));
    assert_eq!(citizen.orders(1, "bantuan").language, "en", "what was chosen stays");
    assert_eq!(citizen.orders(2, "STOP").message, "chat.stopped");
    assert!(citizen.sender.stopped);
    citizen.orders(3, "BARU");
    assert!(!citizen.sender.stopped);
    let whole = citizen.complains(4, "Lampu jalan di depan pasar padam");
    assert_eq!(whole.complaint.reporter.preferred_language.as_deref(), Some("en"));
    let mistyped = citizen.adds(5, "STATUS E3S-3E2-8JF");
    assert_eq!(mistyped.follow_up.description.as_deref(), Some("STATUS E3S-3E2-8JF"));
}

#[test]
fn an_edited_message_corrects_its_report() {
    let mut citizen = Citizen::on_a_silent(Medium::Chat);
    let first = citizen.complains(0, "Lampu jalan di depan pasar padam");
    let mut edit = citizen.message("Lampu jalan di depan sekolah padam");
    edit.edit_of = Some(first.complaint.channel.message_ids[0].clone());
    let corrected = follow_up(citizen.sends(60, edit));
    assert_eq!(corrected.follow_up.intent, crate::complaint::Intent::Correction);
    assert_eq!(corrected.follow_up.complaint_id, first.complaint.complaint_id);
}

#[test]
fn nobody_is_joined_to_another_nobody() {
    let mut citizen = Citizen::on(Medium::Sms);
    let nameless = |text: &str, citizen: &mut Citizen| {
        let message = Message { from: None, ..citizen.message(text) };
        complaint(citizen.sends(0, message))
    };
    let one = nameless("Lampu jalan di depan pasar padam", &mut citizen);
    let two = nameless("Lampu jalan di depan pasar padam", &mut citizen);
    assert_ne!(one.complaint.reporter.reference, two.complaint.reporter.reference);
    assert!(two.complaint.thread.is_none());
    assert_eq!(one.complaint.privacy.reporter_disclosure, ReporterDisclosure::NotCollected);
    assert!(one.complaint.reply.capabilities.is_empty() && !one.matter.replyable);
}

#[test]
fn a_machine_is_taken_in_and_not_answered() {
    let mut citizen = Citizen::on(Medium::Email);
    let mut message = citizen.message("Saya sedang tidak di kantor");
    message.auto = Some(crate::message::Automatic { auto_generated: true, ..Default::default() });
    let whole = complaint(citizen.sends(0, message));
    assert!(whole.matter.say.is_none());
    assert_eq!(whole.complaint.screening.flags, [crate::complaint::Flag::AutoReply]);
}

#[test]
fn a_late_part_follows_the_complaint_that_went_without_it() {
    let mut citizen = Citizen::on(Medium::Sms);
    let part = |part: u8, text: &str, citizen: &Citizen| Message {
        group: Some(crate::message::Group::Parts { key: "7".to_owned(), part, total: 2 }),
        ..citizen.message(text)
    };
    let origin = citizen.origin(0);
    let first = normalise(&origin, 0, part(1, "Lampu jalan di depan pasar ", &citizen), &citizen.channel);
    let key = first.sender;
    assert!(matches!(assemble(first, &mut citizen.sender, &citizen.channel, at(0)), Assembly::Waits { .. }));
    let flushed = crate::assemble::flush_due(&mut citizen.sender, key, &citizen.channel, at(600)).remove(0);
    let material = Material { assembled: &flushed, channel: &citizen.channel, gateway: &citizen.gateway };
    let turn = Turn {
        material,
        sender: &mut citizen.sender,
        known: None,
        keyword: &|_| None,
        agency: &|_| None,
        flow: &Flow::default(),
        locales: &Locales::default(),
        now: at(600),
    };
    let whole = complaint(turn.take());
    assert!(whole.complaint.completeness.incomplete_parts && whole.matter.claim_keys.is_empty());
    let message = part(2, "padam", &citizen);
    let late = follow_up(citizen.sends(4_000, message));
    assert_eq!(late.follow_up.complaint_id, whole.complaint.complaint_id);
    assert_eq!(late.follow_up.description.as_deref(), Some("padam"));
}

#[test]
fn a_long_text_is_cut_and_says_so() {
    let whole = Citizen::on(Medium::Api).complains(0, &"kata ".repeat(5_000));
    assert_eq!(whole.complaint.description.chars().count(), 20_000);
    assert!(whole.complaint.screening.flags.contains(&crate::complaint::Flag::TextTruncated));
}

#[test]
fn a_provider_time_that_is_a_day_off_is_not_believed() {
    for (sent_at, requested) in [
        ("2026-11-23T11:14:10+07:00", "2026-11-23T11:14:10+07:00"),
        ("2026-11-23T11:14:00+07:00", "2026-11-24T11:14:08.990+07:00"),
        ("1970-01-01T00:00:00Z", "2026-11-24T11:14:08.990+07:00"),
    ] {
        let mut citizen = Citizen::on(Medium::Sms);
        let mut message = citizen.message("Lampu jalan di depan pasar padam");
        message.sent_at = Some(sent_at.parse().expect("a time"));
        assert_eq!(complaint(citizen.sends(0, message)).complaint.requested_datetime, requested, "{sent_at}");
    }
}

fn mediums() -> impl Strategy<Value = Medium> {
    prop_oneof![
        Just(Medium::Sms),
        Just(Medium::Chat),
        Just(Medium::Api),
        Just(Medium::WebForm),
        Just(Medium::Email),
        Just(Medium::Whatsapp),
    ]
}

fn texts() -> impl Strategy<Value = String> {
    let head = "(?i)(kotacontoh |anonim |rahasia |status |tambah |tarik |hapus |lok |tgl |bahasa |)";
    (head, "(?s)(E3S-3E2-8JE|.{0,80})").prop_map(|(head, rest)| head + &rest)
}

prop_compose! {
    fn messages()(
        id in proptest::option::of("(?s).{0,20}"),
        from in proptest::option::of("081100000001|(?s).{0,20}"),
        to in proptest::option::of("(?s).{0,10}"),
        name in proptest::option::of("(?s).{0,300}"),
        subject in proptest::option::of("(?s)((?i)re: )?.{0,200}"),
        text in proptest::option::of(texts()),
        sent_at in proptest::option::of(-377_705_023_201_i64..253_402_207_200),
        kind in "phone|email|opaque|[a-z_]{0,8}",
        pin in proptest::option::of((proptest::num::f64::ANY, proptest::num::f64::ANY)),
        file in proptest::option::of("(?s).{0,300}"),
        unsupported in proptest::option::of("[a-z]{0,4}"),
        reply_to in proptest::option::of("(?s).{0,20}"),
        keyed: bool,
    ) -> Message {
        Message {
            id, to, subject, text, unsupported,
            identities: from.iter().map(|value| Identity { kind: kind.clone(), value: value.clone() }).collect(),
            conversation_key: from.clone().filter(|_| keyed),
            sender_name: name,
            sent_at: sent_at.and_then(|second| Timestamp::from_second(second).ok()),
            location: pin.map(|(lat, lon)| Location { lat, lon, label: file.clone(), address: None, accuracy_m: Some(lat), live: false }),
            attachments: file.iter().map(|name| Attachment {
                filename: Some(name.clone()), media_type: Some(name.clone()), reference: Some(name.clone()), ..Attachment::default()
            }).collect(),
            references: reply_to.iter().cloned().collect(),
            reply_to,
            from,
            ..Message::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_comes_every_document_is_valid(medium in mediums(), all in proptest::collection::vec((0_i64..2_000, messages()), 1..5)) {
        let mut citizen = Citizen::on_a_silent(medium);
        for (second, message) in all {
            // `sends` validates what it makes.
            let conversed = citizen.sends(second, message);
            if let Conversed::Complaint(whole) = &conversed {
                prop_assert_eq!(whole.complaint.raw_refs.len(), 1);
            }
        }
        prop_assert!(citizen.sender.reports.len() <= 5);
    }
}
