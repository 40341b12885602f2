//! Mailboxes over IMAP, against a real Dovecot: every letter comes in once, whatever happens to the connection, and the
//! mailbox is told only afterwards.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    dovecot::{Dovecot, PASSWORD, Proxy, Rule, USER},
    harness::{World, until},
    redis_servers::Server,
};

/// A citizen's letter. The number is in its words.
pub fn letter(number: usize) -> Vec<u8> {
    format!(
        "From: Warga {number} <warga{number}@example.org>\r\nTo: lapor@kota.example\r\n\
         Subject: Lampu jalan nomor {number}\r\nDate: Wed, 5 Nov 2025 08:00:00 +0700\r\n\
         Message-ID: <{number}@example.org>\r\n\r\nLampu jalan nomor {number} di depan pasar padam dua minggu.\r\n"
    )
    .into_bytes()
}

/// The settings of a channel for a mailbox in clear.
pub fn settings(port: u16, more: &str) -> String {
    let after = if more.contains("poll_every") { "" } else { "poll_every = 3600\n" };
    format!(
        "addresses = \"lapor@kota.example\"\nhost = \"127.0.0.1\"\nport = {port}\nusername = \"{USER}\"\n{after}{more}\n"
    )
}

pub fn channel(world: &World, settings: &str) {
    let secret = if settings.contains("refresh_token") { "" } else { "password = { file = \"mail_password\" }\n" };
    world.write("config/mail_password", PASSWORD);
    world.write("config/channels/surat.toml", &format!("manifest = \"imap\"\n[settings]\n{settings}{secret}"));
}

/// A gateway that reads the mailbox behind this port.
pub async fn reading(port: u16, more: &str) -> World {
    let world = World::prepare().await;
    world.manifest("imap");
    channel(&world, &settings(port, &format!("security = \"none\"\n{more}")));
    world.serve().await
}

/// The numbers of the letters that became complaints.
fn numbers(events: &[Value]) -> BTreeSet<usize> {
    let number = |event: &Value| {
        let words = event["data"]["description"].as_str().expect("words");
        words.split("nomor ").nth(1).and_then(|rest| rest.split(' ').next()).expect(words).parse().expect("a number")
    };
    events.iter().map(number).collect()
}

async fn wait_for_seen(dovecot: &Dovecot, count: usize) {
    until(&format!("{count} letters marked as read"), async || (dovecot.seen("INBOX") == count).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_ten_thousand_letters_are_drained_each_once() {
    const LETTERS: usize = 10_000;
    let dovecot = Dovecot::start().await;
    for number in 1..=LETTERS {
        dovecot.deliver("INBOX", &format!("{number}.M{number}P1.host"), &letter(number));
    }

    let begin = Instant::now();
    let world = reading(dovecot.port, "").await;
    while dovecot.seen("INBOX") < LETTERS {
        assert!(begin.elapsed() < Duration::from_mins(2), "{} letters are read", dovecot.seen("INBOX"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{LETTERS} letters in {:?}", begin.elapsed());
    while world.gateway().app.journal.stats().backlog > 0 {
        assert!(begin.elapsed() < Duration::from_mins(3), "the pipeline lags");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let events: Vec<Value> = world.events().await.into_iter().map(|(_, event)| event).collect();
    assert_eq!(events.len(), LETTERS);
    assert_eq!(numbers(&events).len(), LETTERS);
    assert_eq!(world.metric("loket_mailbox_letters_total", "surat").await, LETTERS as u64);
    assert_eq!(world.metric("loket_mailbox_failures_total", "surat").await, 0);
    assert!(world.metric("loket_mailbox_last_success_timestamp_seconds", "surat").await > 1_700_000_000);
    world.stop_and_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_numbers_anew_is_read_again_and_nothing_comes_twice() {
    let mut dovecot = Dovecot::start().await;
    for number in 1..=20 {
        dovecot.deliver("INBOX", &format!("{number}.M1P1.host"), &letter(number));
    }
    let world = reading(dovecot.port, "poll_every = 5").await;
    world.wait_for_events(20).await;
    wait_for_seen(&dovecot, 20).await;

    dovecot.stop();
    dovecot.renumber("INBOX");
    dovecot.deliver("INBOX", "21.M1P1.host", &letter(21));
    dovecot.resume().await;

    let events = world.wait_for_events(21).await;
    assert_eq!(numbers(&events), (1..=21).collect());
    wait_for_seen(&dovecot, 21).await;
    assert_eq!(world.metric("loket_mailbox_letters_total", "surat").await, 41);
    world.quiet().await;
    assert_eq!(world.metric("loket_outcome_total", "duplicate").await, 20);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_between_fetch_and_store_loses_and_doubles_nothing() {
    let dovecot = Dovecot::start().await;
    let proxy = Proxy::before(dovecot.port).await;
    proxy.set(Rule::CutAtClient("UID STORE"));
    for number in 1..=5 {
        dovecot.deliver("INBOX", &format!("{number}.M1P1.host"), &letter(number));
    }

    let world = reading(proxy.port, "after = \"delete\"\npoll_every = 5").await;

    until("a cut", async || (proxy.cuts() > 0).then_some(())).await;
    assert_eq!(dovecot.letters("INBOX").len(), 5, "nothing was deleted yet");
    proxy.set(Rule::Pass);
    let events = world.wait_for_events(5).await;
    assert_eq!(numbers(&events), (1..=5).collect());
    // What could not be deleted then is deleted now, though it lies below the cursor.
    until("an empty mailbox", async || dovecot.letters("INBOX").is_empty().then_some(())).await;
    assert!(world.metric("loket_mailbox_failures_total", "surat").await >= 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_within_a_letter_takes_it_in_once() {
    let dovecot = Dovecot::start().await;
    let proxy = Proxy::before(dovecot.port).await;
    proxy.set(Rule::CutAtServer("nomor 3 "));
    for number in 1..=5 {
        dovecot.deliver("INBOX", &format!("{number}.M1P1.host"), &letter(number));
    }

    let world = reading(proxy.port, "").await;

    until("a cut", async || (proxy.cuts() > 0).then_some(())).await;
    proxy.set(Rule::Pass);
    assert_eq!(numbers(&world.wait_for_events(5).await), (1..=5).collect());
    wait_for_seen(&dovecot, 5).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_cannot_be_fetched_does_not_stop_the_mailbox() {
    let dovecot = Dovecot::start().await;
    let proxy = Proxy::before(dovecot.port).await;
    // Whoever asks for this letter loses the connection, every time.
    proxy.set(Rule::CutAtServer("nomor 7 "));
    for number in 1..=12 {
        dovecot.deliver("INBOX", &format!("{number:03}.M1P1.host"), &letter(number));
    }

    let mut world = reading(proxy.port, "poll_every = 5").await;

    let events = world.wait_for_events(11).await;
    assert_eq!(numbers(&events), (1..=12).filter(|number| *number != 7).collect());
    wait_for_seen(&dovecot, 11).await;
    let cursor = world.gateway().app.store.cursor("mailbox:surat:INBOX").await.expect("the store answers");
    let cursor: Value = serde_json::from_slice(&cursor.expect("a cursor")).expect("JSON");
    assert_eq!(cursor["skipped"].as_array().map(Vec::len), Some(1), "{cursor}");
    assert_eq!(cursor["uid"], 12);

    // It is not forgotten: when the server can give it, it comes in.
    world.stop().await;
    proxy.set(Rule::Pass);
    world.resume().await;
    assert_eq!(numbers(&world.wait_for_events(12).await), (1..=12).collect());
    wait_for_seen(&dovecot, 12).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_letter_at_all_is_taken_in_like_any_other() {
    let dovecot = Dovecot::start().await;
    let nested = (0..2000).fold(String::new(), |text, depth| {
        text + &format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n")
    });
    let odd: [&[u8]; 6] = [
        b"",
        b"\0\0\0\xff\xfe",
        b"no header",
        b"\r\n\r\n",
        b"From: \xff\xff <\r\n: :\r\n\r\n\xc3\x28",
        nested.as_bytes(),
    ];
    for (place, letter) in odd.iter().enumerate() {
        dovecot.deliver("INBOX", &format!("{place}.M1P1.host"), letter);
    }
    dovecot.deliver("INBOX", "9.M1P1.host", &letter(9));

    let world = reading(dovecot.port, "").await;

    // Dovecot itself takes an empty file for no letter, or for an empty one: whatever it gives is taken.
    until("the good letter", async || {
        let events = world.events().await;
        events
            .iter()
            .any(|(_, event)| event["data"]["description"].as_str().is_some_and(|words| words.contains("nomor 9")))
            .then_some(())
    })
    .await;
    until("all are marked", async || (dovecot.seen("INBOX") == dovecot.letters("INBOX").len()).then_some(())).await;
    assert_eq!(world.metric("loket_mailbox_failures_total", "surat").await, 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_over_every_limit_comes_in_without_its_end() {
    let dovecot = Dovecot::start().await;
    let mut large = letter(1);
    large.extend(
        std::iter::repeat_n(*b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n", 33 << 14).flatten(),
    );
    dovecot.deliver("INBOX", "1.M1P1.host", &large);
    dovecot.deliver("INBOX", "2.M1P1.host", &letter(2));

    let world = reading(dovecot.port, "").await;

    wait_for_seen(&dovecot, 2).await;
    world.quiet().await;
    // Whether so large a letter is read in time depends on the machine; its bytes are kept in any case.
    let app = &world.gateway().app;
    let quarantined = app.journal.quarantined().await.expect("the journal answers");
    let mut receipts: Vec<_> = quarantined.into_iter().map(|quarantined| quarantined.receipt).collect();
    for (_, event) in world.events().await {
        let id = event["data"]["complaint_id"].as_str().expect("an id").parse().expect("an id");
        receipts.extend(app.store.complaint(id).await.expect("the store answers").expect("a record").receipts);
    }
    let mut sizes = Vec::new();
    for receipt in receipts {
        let found = app.journal.find(receipt).await.expect("the journal answers");
        let request = found.expect("a receipt").0.request;
        sizes.push((request.body.len(), request.header("parameter").map(str::to_owned)));
    }
    sizes.sort();
    let whole = Some(format!("SIZE={}", large.len()));
    assert_eq!(sizes, [(letter(2).len(), None), (32 << 20, whole)]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_read_a_mailbox_one_at_a_time_and_each_letter_once() {
    let dovecot = Dovecot::start().await;
    let server = Server::start(&[]).await;
    for number in 1..=50 {
        dovecot.deliver("INBOX", &format!("{number}.M1P1.host"), &letter(number));
    }
    let mut worlds = Vec::new();
    for _ in 0..2 {
        let mut world = World::prepare().await;
        world.store = server.url();
        world.manifest("imap");
        channel(&world, &settings(dovecot.port, "security = \"none\"\npoll_every = 5"));
        worlds.push(world.serve().await);
    }
    let [mut one, mut two]: [World; 2] = worlds.try_into().ok().expect("two");

    one.wait_for_events(50).await;
    wait_for_seen(&dovecot, 50).await;
    let taken = [
        one.metric("loket_mailbox_letters_total", "surat").await,
        two.metric("loket_mailbox_letters_total", "surat").await,
    ];
    assert!(taken == [50, 0] || taken == [0, 50], "both read: {taken:?}");

    // The one that reads stops, and the other goes on where it was.
    if taken[0] == 0 {
        std::mem::swap(&mut one, &mut two);
    }
    one.stop().await;
    dovecot.deliver("INBOX", "51.M1P1.host", &letter(51));
    assert_eq!(numbers(&two.wait_for_events(51).await), (1..=51).collect());
    wait_for_seen(&dovecot, 51).await;
    assert_eq!(two.metric("loket_mailbox_letters_total", "surat").await, 1);
    two.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_wakes_within_two_seconds() {
    let dovecot = Dovecot::start().await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    let world = reading(dovecot.port, "").await;
    world.wait_for_events(1).await;
    wait_for_seen(&dovecot, 1).await;
    // The look behind the first letter is over, and IDLE is on.
    tokio::time::sleep(Duration::from_millis(300)).await;

    for number in 2..=4 {
        let begin = Instant::now();
        dovecot.deliver("INBOX", &format!("{number}.M1P1.host"), &letter(number));
        world.wait_for_events(number).await;
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(2), "letter {number} came after {took:?}");
        println!("letter {number} came after {took:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_several_folders_are_moved_when_they_are_safe() {
    let dovecot = Dovecot::start().await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    dovecot.deliver("Aduan", "2.M1P1.host", &letter(2));

    // The folder that they go to is not there yet.
    let world =
        reading(dovecot.port, "folders = \"INBOX, Aduan\"\nafter = \"move\"\nmove_to = \"Sudah & dibaca\"").await;

    assert_eq!(numbers(&world.wait_for_events(2).await), [1, 2].into());
    until("both are moved", async || (dovecot.letters("Sudah &- dibaca").len() == 2).then_some(())).await;
    until("nothing is left", async || {
        (dovecot.letters("INBOX").is_empty() && dovecot.letters("Aduan").is_empty()).then_some(())
    })
    .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_move_and_idle_letters_are_polled_copied_and_deleted() {
    let dovecot = Dovecot::with("imap_capability = IMAP4rev1 UIDPLUS\n").await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    let world = reading(dovecot.port, "after = \"move\"\nmove_to = \"Selesai\"\npoll_every = 5").await;
    world.wait_for_events(1).await;
    until("it is moved", async || (dovecot.letters("Selesai").len() == 1).then_some(())).await;

    dovecot.deliver("INBOX", "2.M1P1.host", &letter(2));

    world.wait_for_events(2).await;
    until("both are moved", async || (dovecot.letters("Selesai").len() == 2).then_some(())).await;
    until("the mailbox is empty", async || dovecot.letters("INBOX").is_empty().then_some(())).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_connection_is_noticed_and_replaced() {
    let dovecot = Dovecot::start().await;
    let proxy = Proxy::before(dovecot.port).await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    let world = reading(proxy.port, "poll_every = 5").await;
    world.wait_for_events(1).await;
    wait_for_seen(&dovecot, 1).await;

    // From now on the connection is open and silent, as behind a firewall that forgot it.
    proxy.set(Rule::Swallow);
    let connections = proxy.connections();
    dovecot.deliver("INBOX", "2.M1P1.host", &letter(2));
    until("another connection", async || (proxy.connections() > connections).then_some(())).await;
    proxy.set(Rule::Pass);

    // The connection that was opened into the silence is given up too.
    let begin = Instant::now();
    while world.events().await.len() < 2 {
        assert!(begin.elapsed() < Duration::from_mins(1), "the letter does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_a_full_journal_leaves_letters_unread_and_takes_them_later() {
    let dovecot = Dovecot::start().await;
    for number in 1..=3 {
        let mut large = letter(number);
        large.extend(
            std::iter::repeat_n(*b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n", 1 << 14)
                .flatten(),
        );
        dovecot.deliver("INBOX", &format!("{number}.M1P1.host"), &large);
    }
    let mut world = World::prepare().await;
    world.manifest("imap");
    world.write("config/loket.toml", "[journal]\nmax_size = \"1 MiB\"\n");
    channel(&world, &settings(dovecot.port, "security = \"none\"\npoll_every = 5"));
    world = world.serve().await;

    until("a refusal", async || (world.metric("loket_mailbox_failures_total", "surat").await > 0).then_some(())).await;
    assert_eq!(dovecot.seen("INBOX"), 0, "nothing is marked that is not safe");

    world.stop().await;
    world.write("config/loket.toml", "[journal]\nmax_size = \"64 MiB\"\n");
    world.resume().await;
    wait_for_seen(&dovecot, 3).await;
    world.quiet().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_loses_its_lease_stops_reading() {
    let dovecot = Dovecot::start().await;
    let server = Server::start(&[]).await;
    let mut world = World::prepare().await;
    world.store = server.url();
    world.manifest("imap");
    channel(&world, &settings(dovecot.port, "security = \"none\""));
    let world = world.serve().await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    world.wait_for_events(1).await;
    wait_for_seen(&dovecot, 1).await;

    // Somebody else has it now, as after a long pause of this process.
    server.command(&["DEL", "loket:lease:mailbox:surat"]).await;
    let store = world.gateway().app.store.clone();
    let (hour, now) = (jiff::SignedDuration::from_secs(12), loket::clock::now());
    assert!(store.hold("mailbox:surat", "somebody else", hour, now).await.expect("the store answers"));
    until("the connection is closed", async || {
        dovecot.log().contains("Disconnected: Connection closed (IDLE").then_some(())
    })
    .await;
    dovecot.deliver("INBOX", "2.M1P1.host", &letter(2));
    assert_eq!(world.events().await.len(), 1);

    // Its lease runs out, and this gateway goes on.
    world.wait_for_events(2).await;
    wait_for_seen(&dovecot, 2).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_closed_or_changed_is_followed_at_once() {
    let dovecot = Dovecot::start().await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    dovecot.deliver("Lama", "2.M1P1.host", &letter(2));
    let world = reading(dovecot.port, "").await;
    world.wait_for_events(1).await;
    wait_for_seen(&dovecot, 1).await;
    let logins = || dovecot.log().matches("Login: user").count();
    assert_eq!(logins(), 1);

    // Another channel comes and goes: the mailbox is left alone. Then it gets a folder more.
    world.add_twilio("sms");
    until("another channel", async || world.gateway().app.channels.borrow().open("sms").map(|_| ())).await;
    assert_eq!(logins(), 1, "an unchanged channel keeps its connection");
    channel(&world, &settings(dovecot.port, "security = \"none\"\nfolders = \"INBOX, Lama\""));
    world.wait_for_events(2).await;

    std::fs::remove_file(world.folder.path().join("config/channels/surat.toml")).expect("removed");
    until("every connection is closed", async || {
        let log = dovecot.log();
        (log.matches("Disconnected: Connection closed (IDLE").count() == 3).then_some(())
    })
    .await;
    dovecot.deliver("INBOX", "3.M1P1.host", &letter(3));
    world.quiet().await;
    assert_eq!(world.events().await.len(), 2);
    world.finish().await;
}
