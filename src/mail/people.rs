//! Who wrote a letter, to whom, and where the answer goes.

use mail_parser::{Addr, Address, HeaderValue, parsers::MessageStream};

use super::{
    Circumstances,
    addresses::{OurAddresses, Recipient},
    charset::Loss,
    headers::Headers,
    words,
};

/// Addresses of one field that are looked at.
const ADDRESSES: usize = 1_000;
/// Fields that name recipients, the likeliest first.
const RECIPIENTS: [&str; 6] = ["to", "cc", "delivered-to", "x-original-to", "envelope-to", "resent-to"];

/// A mailbox: somebody's address with a name.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Mailbox {
    pub(super) name: Option<String>,
    /// The domain in lower case, the rest as it is.
    pub(super) address: String,
}

/// The people of a letter.
#[derive(Default)]
pub(super) struct People {
    pub(super) from: Option<Mailbox>,
    pub(super) reply: Option<String>,
    pub(super) to: Option<String>,
    /// What stood behind `+` in an address of ours.
    pub(super) detail: Option<String>,
    /// One of our own addresses wrote it, or passed it on.
    pub(super) is_ours: bool,
}

impl People {
    pub(super) fn of(headers: &Headers<'_>, circumstances: &Circumstances<'_>, loss: &mut Loss) -> Self {
        let ours = circumstances.ours;
        let from = author(headers, circumstances, loss);
        let reply = headers.first("reply-to").and_then(|field| mailboxes(field, loss).into_iter().next());
        let reply = reply.map(|reply| reply.address);
        let is_authors =
            |reply: &str| from.as_ref().is_some_and(|from| from.address.to_lowercase() == reply.to_lowercase());
        let differs = |reply: &String| !is_authors(reply) && ours.find(reply).is_none();
        let recipients = recipients(headers, circumstances, loss);
        let found: Vec<Recipient> = recipients.iter().filter_map(|address| ours.find(address)).collect();
        Self {
            reply: reply.filter(differs),
            to: found.first().map(|found| found.address.clone()).or_else(|| {
                // Of a blind copy the other recipients are the writer's friends, or the writer.
                recipients.first().filter(|_| ours.is_empty()).cloned()
            }),
            detail: found.into_iter().find_map(|found| found.detail),
            is_ours: from.as_ref().is_some_and(|from| ours.find(&from.address).is_some()) || loops(headers, ours),
            from,
        }
    }
}

/// `From`, else `Sender`, else the return path.
fn author(headers: &Headers<'_>, circumstances: &Circumstances<'_>, loss: &mut Loss) -> Option<Mailbox> {
    let named = ["from", "sender", "return-path"];
    let found = named.into_iter().find_map(|name| {
        let mut fields = headers.all(name);
        fields.find_map(|field| mailboxes(field, loss).into_iter().next())
    });
    let envelope = || {
        let address = clean(circumstances.envelope.mail_from.as_deref()?)?;
        Some(Mailbox { name: None, address })
    };
    let mut found = found.or_else(envelope)?;
    if found.name.is_none() {
        found.name = headers.first("from").and_then(|field| name_alone(field, loss));
    }
    Some(found)
}

/// All recipients in the order in which one of ours is looked for.
fn recipients(headers: &Headers<'_>, circumstances: &Circumstances<'_>, loss: &mut Loss) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in RECIPIENTS {
        for field in headers.all(name).take(20) {
            all.extend(mailboxes(field, loss).into_iter().map(|mailbox| mailbox.address));
        }
    }
    all.extend(circumstances.envelope.rcpt_to.iter().filter_map(|address| clean(address)));
    all
}

/// A letter that went through a gateway of ours already (`X-Loop`).
fn loops(headers: &Headers<'_>, ours: &OurAddresses) -> bool {
    headers.all("x-loop").take(20).any(|field| {
        let field = String::from_utf8_lossy(field);
        field.split([',', ' ', ';']).any(|address| ours.find(address).is_some())
    })
}

/// The mailboxes of a field that have an address.
pub(super) fn mailboxes(field: &[u8], loss: &mut Loss) -> Vec<Mailbox> {
    let found = listed(&words::mended(field, loss));
    if !found.is_empty() {
        return found;
    }
    // Some programs encode the whole field; and some fields have no grammar, such as `budi@example.org via kantor`.
    let field = words::text(field, loss);
    let found = listed(&field);
    if !found.is_empty() {
        return found;
    }
    let bare = field.split([' ', ',', ';', '"', '\'']).find_map(clean);
    bare.map(|address| Mailbox { name: None, address }).into_iter().collect()
}

fn listed(field: &str) -> Vec<Mailbox> {
    with_addresses(field, |addresses| {
        let found =
            addresses.filter_map(|found| Some(Mailbox { name: name(found), address: clean(found.address()?)? }));
        found.take(ADDRESSES).collect()
    })
}

/// The name of an author without an address.
fn name_alone(field: &[u8], loss: &mut Loss) -> Option<String> {
    let field = words::mended(field, loss);
    with_addresses(&field, |addresses| Iterator::find_map(&mut { addresses }, name))
}

fn with_addresses<T>(field: &str, take: impl FnOnce(&mut dyn Iterator<Item = &Addr<'_>>) -> T) -> T {
    let line = format!("{field}\n");
    match MessageStream::new(line.as_bytes()).parse_address() {
        HeaderValue::Address(Address::List(list)) => take(&mut list.iter()),
        HeaderValue::Address(Address::Group(groups)) => {
            take(&mut groups.iter().flat_map(|group| group.addresses.iter()))
        }
        _ => take(&mut std::iter::empty()),
    }
}

fn name(found: &Addr<'_>) -> Option<String> {
    let name = found.name()?.trim().trim_matches(['\'', '"']).trim();
    (!name.is_empty() && Some(name) != found.address()).then(|| name.to_owned())
}

/// An address with something on both sides of the `@`.
fn clean(address: &str) -> Option<String> {
    let address = address.trim().trim_start_matches('<').trim_end_matches('>').trim();
    let address = address.strip_prefix("mailto:").unwrap_or(address);
    let (local, domain) = address.rsplit_once('@')?;
    let domain = domain.trim().trim_end_matches('.');
    let is_bad = |letter: char| letter.is_control() || letter.is_whitespace() || "<>()[],;:\"".contains(letter);
    // A literal such as `[192.0.2.1]` is a domain as well.
    let inside = domain.strip_prefix('[').and_then(|inside| inside.strip_suffix(']'));
    let is_domain = match inside {
        Some(literal) => {
            !literal.is_empty() && literal.chars().all(|letter| letter.is_ascii_hexdigit() || ".:IPv6".contains(letter))
        }
        None => !domain.is_empty() && !domain.contains(is_bad),
    };
    let is_local = !local.is_empty() && !local.contains(|letter: char| letter.is_control() || "<>,;".contains(letter));
    (is_domain && is_local && address.len() <= 320).then(|| format!("{local}@{}", domain.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::Envelope;

    fn found(field: &str) -> Vec<(Option<String>, String)> {
        let found = mailboxes(field.as_bytes(), &mut Loss::default());
        found.into_iter().map(|mailbox| (mailbox.name, mailbox.address)).collect()
    }

    #[test]
    fn mailboxes_are_read_with_their_names() {
        for (field, name, address) in [
            ("budi@example.org", None, "budi@example.org"),
            ("Budi Santoso <Budi@Example.ORG>", Some("Budi Santoso"), "Budi@example.org"),
            ("\"Santoso, Budi\" <budi@example.org>", Some("Santoso, Budi"), "budi@example.org"),
            ("=?utf-8?Q?Santoso,_Budi?= <budi@example.org>", Some("Santoso, Budi"), "budi@example.org"),
            ("\"=?utf-8?B?QnVkaQ==?=\" <budi@example.org>", Some("Budi"), "budi@example.org"),
            ("budi@example.org (Budi)", Some("Budi"), "budi@example.org"),
            ("<pelapor@münchen.example>", None, "pelapor@münchen.example"),
            ("Warga: budi@example.org, ani@example.org;", None, "budi@example.org"),
            ("=?utf-8?Q?Budi_<budi@example.org>?=", Some("Budi"), "budi@example.org"),
            ("'Budi' <budi@example.org>", Some("Budi"), "budi@example.org"),
        ] {
            assert_eq!(found(field).first(), Some(&(name.map(str::to_owned), address.to_owned())), "{field}");
        }
        assert_eq!(found("MAILER-DAEMON (Mail Delivery System)"), []);
        assert_eq!(found("undisclosed-recipients:;"), []);
    }

    #[test]
    fn the_author_and_our_address_are_found() {
        let ours = OurAddresses::parse("lapor@kota.example").expect("an address");
        let envelope = Envelope {
            mail_from: Some("pulang@example.org".to_owned()),
            rcpt_to: vec!["lapor+tok@kota.example".to_owned()],
            ..Envelope::default()
        };
        let received_at = jiff::Timestamp::UNIX_EPOCH;
        let circumstances = Circumstances { envelope: &envelope, ours: &ours, trusted_servers: &[], received_at };
        let people = |head: &str| People::of(&Headers::of(head.as_bytes()), &circumstances, &mut Loss::default());

        let letter = people("From: a@example.org\nTo: Semua <semua@example.org>\nReply-To: b@example.org\n");
        assert_eq!(letter.from.map(|from| from.address).as_deref(), Some("a@example.org"));
        assert_eq!(letter.reply.as_deref(), Some("b@example.org"));
        assert_eq!((letter.to.as_deref(), letter.detail.as_deref()), (Some("lapor@kota.example"), Some("tok")));
        assert!(!letter.is_ours);

        let blind = Circumstances { envelope: &Envelope::default(), ours: &ours, trusted_servers: &[], received_at };
        let head = b"From: a@example.org\nTo: a@example.org\n";
        assert_eq!(People::of(&Headers::of(head), &blind, &mut Loss::default()).to, None, "who got a blind copy");

        let nobody = people("From: Budi\nReply-To: lapor@kota.example\nX-Loop: lapor@kota.example");
        let from = nobody.from.expect("the return path");
        assert_eq!((from.address.as_str(), from.name.as_deref()), ("pulang@example.org", Some("Budi")));
        assert!(nobody.is_ours && nobody.reply.is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_field_gives_good_addresses(field in "([a-z]@b\\.c|[<>\"(),;:\\\\@ ]|=\\?utf-8\\?q\\?|\\?=|\r\n |\\PC){0,30}") {
            for mailbox in mailboxes(field.as_bytes(), &mut Loss::default()) {
                prop_assert!(mailbox.address.contains('@'));
            }
            name_alone(field.as_bytes(), &mut Loss::default());
        }
    }
}
