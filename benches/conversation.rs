//! Conversations a second on one core, and what an open draft weighs: the pure stages, with the memory of each sender written
//! and read with every message as a store does. `cargo bench --bench conversation`.
//!
//! A conversation is four messages: a long first one, the consent, the place, and the one that sends the report. The ratio is to a step
//! that only writes and reads the memory, the least that any conversation has to do.

use std::{sync::Arc, time::Instant};

use jiff::{Timestamp, tz::TimeZone};
use loket::{
    agencies::Agencies,
    assemble::{Assembly, assemble},
    channel::ChannelFacts,
    complaint::{ContentDisclosure, Medium, ReporterDisclosure, derived_uuid7},
    converse::{Conversed, Rules, chat::flow::Flow, converse},
    gateway::Gateway,
    locale::Locales,
    message::Message,
    normalise::normalise,
    receipt::{ChannelId, Origin, Proves, ReceiptId, Verdict, VerdictResult},
    sender::Sender,
    units::Span,
};
use ring::hmac;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONVERSATIONS: u32 = 20_000;
const ROUNDS: usize = 3;
const MESSAGES: [&str; 4] = [
    "Lampu jalan di depan pasar padam sejak Senin, warga takut lewat malam hari.",
    "ya",
    "Jl. Melati, Cilandak",
    "kirim",
];

fn gateway() -> Gateway {
    Gateway {
        name: "bench".to_owned(),
        organisation: "Kota Contoh".to_owned(),
        public_url: "https://loket.example".to_owned(),
        privacy_url: "loket.example/data".to_owned(),
        working_days: 3,
        country: "ID".to_owned(),
        timezone: TimeZone::UTC,
        language: "id".to_owned(),
        notice_version: "1".to_owned(),
        reporter_disclosure: ReporterDisclosure::Agency,
        content_disclosure: ContentDisclosure::Public,
        reporter_key: hmac::Key::new(hmac::HMAC_SHA256, b"a key").into(),
        raw_retention: Span::from_secs(86_400),
        claim_window: Span::from_secs(86_400),
    }
}

struct Bench {
    gateway: Gateway,
    channel: ChannelFacts,
    agencies: Agencies,
    flow: Flow,
    locales: Locales,
}

impl Bench {
    fn message(&self, citizen: u32, place: usize) -> (Arc<Origin>, Message) {
        let now = Timestamp::from_second(1_795_493_648 + place as i64).expect("a time");
        let mut draw = [7; 16];
        draw[..4].copy_from_slice(&citizen.to_be_bytes());
        draw[4] = place as u8;
        let origin = Origin {
            id: ReceiptId(derived_uuid7(1_795_493_648_000, &draw, "raw")),
            channel: self.channel.id.clone(),
            received_at: now,
            draw,
            verdict: Verdict {
                result: VerdictResult::Pass,
                proves: Proves { sender: true, content: false, freshness: false },
                detail: String::new(),
                checks: Vec::new(),
                nonce: None,
            },
            media_type: "application/json".to_owned(),
            size_bytes: 400,
            sha256: [1; 32],
        };
        let message = Message {
            id: Some(format!("{citizen}:{place}")),
            from: Some(citizen.to_string()),
            text: Some(MESSAGES[place].to_owned()),
            sent_at: Some(now),
            ..Message::default()
        };
        (Arc::new(origin), message)
    }

    /// One message into the memory, which comes as bytes and goes as bytes.
    fn step(&self, memory: &mut Vec<u8>, citizen: u32, place: usize) -> bool {
        let mut sender = Sender::decode(memory).expect("what was written");
        let (origin, message) = self.message(citizen, place);
        let now = origin.received_at;
        let message = normalise(&origin, 0, message, &self.channel);
        let Assembly::Whole(assembled) = assemble(message, &mut sender, &self.channel, now) else { return false };
        let rules = Rules { agencies: &self.agencies, flow: &self.flow, locales: &self.locales };
        let conversed = converse(*assembled, &mut sender, None, rules, &self.channel, &self.gateway, now);
        *memory = sender.encode();
        matches!(conversed, Conversed::Complaint(_))
    }
}

fn main() {
    let id = ChannelId::new("bot").expect("a slug");
    let mut channel = ChannelFacts::new(id, Medium::Telegram, TimeZone::UTC);
    "telegram_user_id".clone_into(&mut channel.address);
    let (agencies, flow, locales) = (Agencies::default(), Flow::default(), Locales::default());
    let bench = Bench { gateway: gateway(), channel, agencies, flow, locales };
    println!("{CONVERSATIONS} conversations of {} messages, one core, {ROUNDS} rounds in turns", MESSAGES.len());
    for round in 1..=ROUNDS {
        let begin = Instant::now();
        let mut complaints = 0_u32;
        for citizen in 0..CONVERSATIONS {
            let mut memory = Vec::new();
            for place in 0..MESSAGES.len() {
                complaints += u32::from(bench.step(&mut memory, citizen, place));
            }
        }
        let whole = begin.elapsed().as_secs_f64();
        assert_eq!(complaints, CONVERSATIONS, "each conversation ends in a complaint");
        let mut open = Vec::new();
        (0..2).for_each(|place| {
            bench.step(&mut open, 0, place);
        });
        let begin = Instant::now();
        let mut bytes = 0;
        for _ in 0..CONVERSATIONS {
            for _ in 0..MESSAGES.len() {
                bytes += Sender::decode(&open).expect("what was written").encode().len();
            }
        }
        let floor = begin.elapsed().as_secs_f64();
        let draft = bytes / (CONVERSATIONS as usize * MESSAGES.len());
        let per_second = f64::from(CONVERSATIONS) / whole;
        println!(
            "round {round}: {per_second:.0} conversations/s, {:.1} times the time of writing and reading the memory alone; an open draft of two messages has {draft} bytes",
            whole / floor
        );
    }
}
