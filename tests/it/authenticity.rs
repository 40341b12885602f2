//! Who sent a letter: SPF, DKIM and DMARC against a name server on the loopback interface.

use std::{net::IpAddr, sync::atomic::Ordering, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use loket::{
    authenticity::{Authenticator, Resolver},
    mail::{Envelope, envelope::Protocol},
    receipt::{ChannelId, Receipt, ReceiptId},
};
use mail_auth::{
    common::{crypto::Ed25519Key, headers::HeaderWriter as _},
    dkim::{Canonicalization, DkimSigner},
};

use crate::dns::Dns;

const LETTER: &str = "From: Siti <siti@example.org>\r\nTo: lapor@kota.example\r\nSubject: Jalan rusak\r\nMessage-ID: <a1@example.org>\r\n\r\nJalan di depan pasar rusak.\r\n";

fn receipt(letter: &str, remote: &str, mail_from: &str) -> Receipt {
    let envelope = Envelope {
        protocol: Some(Protocol::Smtp),
        mail_from: Some(mail_from.to_owned()),
        helo: Some("mx.example.org".to_owned()),
        ..Envelope::default()
    };
    Receipt {
        id: ReceiptId(uuid::Uuid::from_u128(1)),
        channel: ChannelId::new("surat").expect("a slug"),
        endpoint: "main".to_owned(),
        received_at: Timestamp::UNIX_EPOCH,
        remote: Some(remote.parse::<IpAddr>().expect("an address")),
        draw: [0; 16],
        request: envelope.request("surat", Bytes::from(letter.to_owned())),
    }
}

fn authenticator(dns: &Dns) -> Authenticator {
    Authenticator::new(Resolver::At(dns.address), "kota.example".to_owned(), Vec::new()).expect("a resolver")
}

async fn words(authenticator: &Authenticator, receipt: &Receipt) -> String {
    let checks = authenticator.checks(receipt).await;
    let words = checks.iter().map(|check| {
        let result = serde_json::to_value(check.result).expect("JSON");
        format!("{}={}", check.method, result.as_str().expect("a word"))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The letter with a DKIM signature, and the record with its key.
fn signed(letter: &str, domain: &str) -> (String, String) {
    let pkcs8 = Ed25519Key::generate_pkcs8().expect("a key");
    let key = Ed25519Key::from_pkcs8_der(&pkcs8).expect("a key");
    let record = format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(key.public_key()));
    let signature = DkimSigner::from_key(key)
        .domain(domain)
        .selector("s1")
        .headers(["From", "To", "Subject"])
        .header_canonicalization(Canonicalization::Relaxed)
        .body_canonicalization(Canonicalization::Relaxed)
        .sign(letter.as_bytes())
        .expect("a signature");
    (format!("{}{letter}", signature.to_header()), record)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_is_told_as_it_is() {
    let (letter, key) = signed(LETTER, "example.org");
    let dns = Dns::with(&[
        ("example.org", "v=spf1 ip4:203.0.113.7 -all"),
        ("_dmarc.example.org", "v=DMARC1; p=reject"),
        ("s1._domainkey.example.org", &key),
        ("soft.example", "v=spf1 ~all"),
        ("broken.example", "v=spf1 what is this"),
    ])
    .await;
    let authenticator = authenticator(&dns);
    let forged = letter.replace("pasar", "kantor");
    for (letter, remote, from, expected) in [
        (letter.as_str(), "203.0.113.7", "siti@example.org", "spf=pass dkim=pass dmarc=pass"),
        (&letter, "198.51.100.9", "siti@example.org", "spf=fail dkim=pass dmarc=pass"),
        (LETTER, "203.0.113.7", "siti@example.org", "spf=pass dkim=none dmarc=pass"),
        (LETTER, "198.51.100.9", "siti@example.org", "spf=fail dkim=none dmarc=fail"),
        (&forged, "198.51.100.9", "siti@example.org", "spf=fail dkim=fail dmarc=fail"),
        (LETTER, "198.51.100.9", "x@soft.example", "spf=softfail dkim=none dmarc=fail"),
        (LETTER, "198.51.100.9", "x@broken.example", "spf=permerror dkim=none dmarc=fail"),
        (LETTER, "198.51.100.9", "x@nowhere.example", "spf=none dkim=none dmarc=fail"),
    ] {
        assert_eq!(words(&authenticator, &receipt(letter, remote, from)).await, expected, "{remote} {from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_that_says_nothing_makes_temperror_and_is_soon_left_alone() {
    let dns = Dns::silent().await;
    let authenticator = authenticator(&dns);
    let receipt = receipt(LETTER, "203.0.113.7", "siti@example.org");
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(words(&authenticator, &receipt).await, "spf=temperror dkim=temperror dmarc=temperror");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "four seconds for each at most");
    let asked = dns.asked.load(Ordering::Relaxed);
    for _ in 0..100 {
        assert_eq!(words(&authenticator, &receipt).await, "spf=temperror dkim=temperror dmarc=temperror");
    }
    assert_eq!(dns.asked.load(Ordering::Relaxed), asked, "it was asked again all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_a_domain_that_does_not_answer_switch_no_checks_off() {
    let dns = Dns::silent_about("slow.example", &[("_dmarc.example.org", "v=DMARC1; p=reject")]).await;
    let authenticator = authenticator(&dns);
    let slow = receipt(LETTER, "203.0.113.7", "x@slow.example");
    for _ in 0..3 {
        assert!(words(&authenticator, &slow).await.starts_with("spf=temperror"));
    }
    let forged = receipt(LETTER, "203.0.113.7", "x@nowhere.example");
    let said = words(&authenticator, &forged).await;
    assert!(said.contains("dmarc=fail"), "the next letter is checked: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_of_our_own_says_nothing_of_the_sender() {
    let dns = Dns::with(&[("example.org", "v=spf1 -all")]).await;
    let relays = vec!["192.0.2.0/24".parse().expect("a network")];
    let authenticator =
        Authenticator::new(Resolver::At(dns.address), "kota.example".to_owned(), relays).expect("a resolver");
    let receipt = receipt(LETTER, "192.0.2.9", "siti@example.org");
    assert_eq!(words(&authenticator, &receipt).await, "dkim=none dmarc=none");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forger_escapes_by_a_letter_that_is_hard_to_check() {
    let dns = Dns::silent_about("slow.example", &[("_dmarc.example.org", "v=DMARC1; p=reject")]).await;
    let authenticator = authenticator(&dns);
    let signature = "DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=s; h=from; bh=AAAA; b=AAAA\r\n";
    let (slow, _) = signed(LETTER, "slow.example");
    let lines = LETTER.replace("\r\n", "\n");
    let several = LETTER.replace("From: ", "From: x@elsewhere.example, ");
    let long = format!("X-Pad: {}\r\n{LETTER}", "x".repeat(300 << 10));
    for (letter, from, expected) in [
        (LETTER, "x@slow.example", "spf=temperror dkim=none dmarc=fail"),
        (&slow, "x@nowhere.example", "spf=none dkim=temperror dmarc=fail"),
        (&format!("{}{LETTER}", signature.repeat(11)), "x@nowhere.example", "spf=none dkim=policy dmarc=fail"),
        (&lines, "x@nowhere.example", "spf=none dkim=none dmarc=fail"),
        (LETTER.split("\r\n\r\n").next().expect("a head"), "x@nowhere.example", "spf=none dkim=none dmarc=fail"),
        (&several, "x@nowhere.example", "dmarc=policy"),
        (&long, "x@nowhere.example", "dmarc=policy"),
    ] {
        assert_eq!(words(&authenticator, &receipt(letter, "198.51.100.9", from)).await, expected, "{from}");
    }
}
