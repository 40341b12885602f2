//! Our own mail server against the clients of others, and against those who mean no good.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
};

use crate::{
    harness::{World, is_of_message, until},
    redis_servers::CERTIFICATES,
};

/// A gateway with a mail server, and the channels `surat` and `jalan`.
async fn start(smtp: &str) -> World {
    prepare(World::prepare().await, smtp).serve().await
}

/// With a certificate, so that STARTTLS is offered.
async fn start_with_tls() -> World {
    let world = World::prepare().await;
    let made = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(world.folder.path().join("config")).output();
    assert!(made.expect("sh runs").status.success(), "openssl makes certificates");
    prepare(world, "certificate = \"server.pem\"\nkey = \"server.key\"\n").serve().await
}

fn prepare(world: World, smtp: &str) -> World {
    world.manifest("smtp");
    let config =
        format!("[mail]\nresolver = \"off\"\n[smtp]\nlisten = \"127.0.0.1:0\"\nlmtp_listen = \"127.0.0.1:0\"\n{smtp}");
    world.write("config/loket.toml", &config);
    for (id, addresses) in [("surat", "lapor@kota.example, lap\u{f6}r@kota.example"), ("jalan", "*@jalan.kota.example")]
    {
        let channel =
            format!("manifest = \"smtp\"\n[settings]\naddresses = \"{addresses}\"\nfrom = \"lapor@kota.example\"\n");
        world.write(&format!("config/channels/{id}.toml"), &channel);
    }
    world
}

fn smtp(world: &World) -> SocketAddr {
    world.gateway().smtp.expect("mail is taken")
}

/// A client that says what it likes.
struct Talk {
    wire: BufReader<TcpStream>,
}

impl Talk {
    async fn with(address: SocketAddr) -> Self {
        let mut talk = Self { wire: BufReader::new(TcpStream::connect(address).await.expect("a connection")) };
        assert!(talk.hear().await.starts_with("220"));
        talk
    }

    /// From another address of this machine; the greeting is still to be heard.
    async fn from(ours: [u8; 4], address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((ours, 0))).expect("an address of this machine");
        Self { wire: BufReader::new(socket.connect(address).await.expect("a connection")) }
    }

    /// A whole reply, all of its lines.
    async fn hear(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(20), self.wire.read_line(&mut line));
            if read.await.expect("a reply").expect("a line") == 0 {
                return reply;
            }
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.wire.get_mut().write_all(bytes).await.expect("a connection");
    }

    async fn say(&mut self, line: &str) -> String {
        self.write(format!("{line}\r\n").as_bytes()).await;
        self.hear().await
    }

    /// Up to `354`.
    async fn begin(&mut self, to: &str) {
        for line in ["EHLO client.example", "MAIL FROM:<siti@example.org>", &format!("RCPT TO:<{to}>")] {
            assert!(self.say(line).await.starts_with("250"), "{line}");
        }
        assert!(self.say("DATA").await.starts_with("354"));
    }
}

fn letter(id: &str, text: &str) -> String {
    format!(
        "From: siti@example.org\r\nTo: lapor@kota.example\r\nSubject: Jalan\r\nMessage-ID: <{id}@example.org>\r\n\r\n{text}\r\n"
    )
}

fn texts(events: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> =
        events.iter().map(|event| event["data"]["description"].as_str().unwrap_or_default().to_owned()).collect();
    texts.sort();
    texts
}

fn python(script: &str, address: SocketAddr) -> String {
    let output = Command::new("python3").args(["-c", script, "127.0.0.1", &address.port().to_string()]).output();
    let output = output.expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn smtplib_hands_over_plain_8_bit_and_utf_8_letters() {
    let world = start("").await;
    let script = r#"
import smtplib, sys, email.message, email.policy
server = smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=20)
server.ehlo()
for wanted in ["pipelining", "8bitmime", "smtputf8", "chunking", "enhancedstatuscodes", "size"]:
    assert server.has_extn(wanted), wanted
plain = email.message.EmailMessage()
plain["From"], plain["To"], plain["Subject"], plain["Message-ID"] = "siti@example.org", "lapor@kota.example", "Satu", "<p1@example.org>"
plain.set_content("Surat biasa dari Python.\n.\n..titik di awal baris\n")
server.send_message(plain)
raw = "From: siti@example.org\r\nTo: lapor@kota.example\r\nSubject: Dua\r\nMessage-ID: <p2@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSurat delapan bit: caf\u00e9.\r\n".encode()
server.sendmail("siti@example.org", ["lapor@kota.example"], raw, mail_options=["BODY=8BITMIME"])
utf8 = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
utf8["From"], utf8["To"], utf8["Subject"], utf8["Message-ID"] = "s\u00efti@example.org", "lap\u00f6r@kota.example", "Tiga \u2013 utf8", "<p3@example.org>"
utf8.set_content("Surat dengan alamat UTF-8.")
server.send_message(utf8)
try:
    server.sendmail("siti@example.org", ["lain@elsewhere.example"], b"x")
    raise SystemExit("a relay")
except smtplib.SMTPRecipientsRefused as refused:
    assert list(refused.recipients.values())[0][0] == 550
print(server.verify("lapor")[0], server.verify("nobody")[0], server.expn("x")[0])
server.quit()
"#;
    let address = smtp(&world);
    let said = tokio::task::spawn_blocking(move || python(script, address)).await.expect("it ran");
    assert_eq!(said, "252 252 502");
    let events = world.wait_for_events(3).await;
    assert_eq!(
        texts(&events),
        [
            "Surat biasa dari Python.\n.\n..titik di awal baris",
            "Surat delapan bit: caf\u{e9}.",
            "Surat dengan alamat UTF-8."
        ]
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_is_served_with_pipelining_tls_lmtp_and_chunks() {
    let world = start_with_tls().await;
    let (smtp, lmtp) = (smtp(&world), world.gateway().lmtp.expect("LMTP is spoken"));
    let cases =
        [(smtp, vec!["--pipeline"], "satu"), (smtp, vec!["--tls"], "dua"), (lmtp, vec!["--protocol", "LMTP"], "tiga")];
    for (address, options, word) in cases {
        let word = format!("Surat {word} dari swaks.");
        let ran = tokio::task::spawn_blocking(move || {
            Command::new("swaks")
                .args(["--server", "127.0.0.1", "--port", &address.port().to_string(), "--timeout", "20"])
                .args(["--from", "siti@example.org", "--to", "lapor@kota.example", "--helo", "client.example"])
                .args(["--header", "Subject: Uji", "--body", &word])
                .args(options)
                .output()
        });
        let output = ran.await.expect("it ran").expect("swaks is there: apt-get install swaks");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let events = world.wait_for_events(3).await;
    assert_eq!(texts(&events), ["Surat dua dari swaks.", "Surat satu dari swaks.", "Surat tiga dari swaks."]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_only_crlf_dot_crlf_ends_a_letter() {
    let world = start("").await;
    for (number, end) in ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r\r\n", "\r.\r\n"].into_iter().enumerate() {
        let mut talk = Talk::with(smtp(&world)).await;
        talk.begin("lapor@kota.example").await;
        // A second envelope stands behind an end that is none.
        let smuggled =
            "MAIL FROM:<forged@kota.example>\r\nRCPT TO:<lapor@kota.example>\r\nDATA\r\nSubject: forged\r\n\r\nforged";
        let body = format!("{}{end}{smuggled}", letter(&format!("s{number}"), &format!("Surat {number}.")));
        talk.write(format!("{body}\r\n.\r\n").as_bytes()).await;
        assert!(talk.hear().await.starts_with("250 2.0.0"), "{end:?}");
        assert!(talk.say("QUIT").await.starts_with("221"), "nothing else was answered: {end:?}");
    }
    let events = world.wait_for_events(6).await;
    for event in &events {
        assert_ne!(event["data"]["title"], "forged");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_order_is_enforced_and_what_was_injected_before_tls_is_dropped() {
    let world = start_with_tls().await;
    let mut talk = Talk::with(smtp(&world)).await;
    assert!(talk.say("MAIL FROM:<a@b.example>").await.starts_with("503"));
    assert!(talk.say("EHLO x.example").await.contains("STARTTLS"));
    talk.write(b"STARTTLS\r\nMAIL FROM:<forged@kota.example>\r\nRCPT TO:<lapor@kota.example>\r\n").await;
    assert!(talk.hear().await.starts_with("220"));
    // In clear nothing is answered any more: the next bytes have to be a handshake.
    talk.write(b"NOOP\r\n").await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), talk.wire.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the connection ends");
    assert!(!String::from_utf8_lossy(&rest).contains("250"), "{}", String::from_utf8_lossy(&rest));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_declared_or_not_and_the_session_goes_on() {
    let world = start("max_size = \"100 KiB\"\n").await;
    let mut talk = Talk::with(smtp(&world)).await;
    talk.say("EHLO x.example").await;
    assert!(talk.say("MAIL FROM:<siti@example.org> SIZE=200000").await.starts_with("552"));
    talk.begin("lapor@kota.example").await;
    talk.write(letter("l1", &"besar ".repeat(30_000)).as_bytes()).await;
    assert!(talk.say(".").await.starts_with("552"));
    talk.begin("lapor@kota.example").await;
    talk.write(letter("l2", &"pas ".repeat(20_000)).as_bytes()).await;
    assert!(talk.say(".").await.starts_with("250"));
    world.wait_for_events(1).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_far_too_large_is_not_asked_to_come_again() {
    let world = start("max_size = \"100 KiB\"\n").await;
    let mut talk = Talk::with(smtp(&world)).await;
    talk.begin("lapor@kota.example").await;
    talk.write(&vec![b'x'; (400 << 10) + 1]).await;
    assert!(talk.hear().await.starts_with("552"));
    assert!(talk.hear().await.is_empty(), "the connection ends");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_nothing_but_long_lines_is_sent_away() {
    let world = start("").await;
    let mut talk = Talk::with(smtp(&world)).await;
    let line = "x".repeat(5000);
    for _ in 0..20 {
        assert!(talk.say(&line).await.starts_with("500"));
    }
    assert!(talk.say(&line).await.starts_with("421"));
    assert!(talk.hear().await.is_empty(), "the connection ends");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_breaks_off_leaves_nothing() {
    let world = start("").await;
    for end in ["", "\r\n", "\r\n."] {
        let mut talk = Talk::with(smtp(&world)).await;
        talk.begin("lapor@kota.example").await;
        talk.write(format!("{}{end}", letter("x", "Setengah surat")).as_bytes()).await;
        drop(talk);
    }
    let mut talk = Talk::with(smtp(&world)).await;
    talk.begin("lapor@kota.example").await;
    talk.write(letter("y", "Surat yang utuh.").as_bytes()).await;
    assert!(talk.say(".").await.starts_with("250"));
    assert_eq!(texts(&world.wait_for_events(1).await), ["Surat yang utuh."]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_are_all_taken() {
    let world = start("max_connections_per_address = 300\nletters_per_minute = 1000\n").await;
    let address = smtp(&world);
    let senders = (0..200).map(|number| async move {
        let mut talk = Talk::with(address).await;
        talk.begin("lapor@kota.example").await;
        // Some are larger than what is kept in memory.
        let padding = if number % 10 == 0 { "x".repeat(100_000) } else { String::new() };
        talk.write(letter(&format!("c{number}"), &format!("Surat nomor {number}. {padding}")).as_bytes()).await;
        talk.say(".").await
    });
    let answers = futures_util::future::join_all(senders).await;
    assert!(answers.iter().all(|answer| answer.starts_with("250")), "{answers:?}");
    world.wait_for_events(200).await;
    let spool = std::fs::read_dir(world.folder.path().join("data/spool")).expect("a folder").count();
    assert_eq!(spool, 0, "no file is left");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_a_flood_is_turned_away_and_slow_ones_are_cut_while_others_are_served() {
    let world = start("max_connections_per_address = 20\ntimeout = \"1s\"\n").await;
    let address = smtp(&world);
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(Talk::with(address).await);
    }
    let mut turned_away = BufReader::new(TcpStream::connect(address).await.expect("a connection"));
    let mut line = String::new();
    turned_away.read_line(&mut line).await.expect("an answer");
    assert!(line.starts_with("421 4.7.0"), "{line}");
    // They say nothing: within the second they are cut, and there is room again.
    let begun = Instant::now();
    until("there is room again", async || {
        let mut wire = BufReader::new(TcpStream::connect(address).await.ok()?);
        let mut line = String::new();
        wire.read_line(&mut line).await.ok()?;
        line.starts_with("220").then_some(())
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let last = held[0].hear().await;
    assert!(last.starts_with("421 4.4.2"), "{last}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_for_two_channels_is_a_complaint_of_each() {
    let world = start("").await;
    let mut talk = Talk::with(smtp(&world)).await;
    talk.say("EHLO x.example").await;
    talk.say("MAIL FROM:<siti@example.org>").await;
    for to in ["lapor@kota.example", "lubang@jalan.kota.example", "LAPOR+x@Kota.Example"] {
        assert!(talk.say(&format!("RCPT TO:<{to}>")).await.starts_with("250"), "{to}");
    }
    talk.say("DATA").await;
    talk.write(letter("t1", "Untuk dua dinas.").as_bytes()).await;
    assert!(talk.say(".").await.starts_with("250"));
    let events = world.wait_for_events(2).await;
    let mut sources: Vec<_> = events.iter().map(|event| event["source"].as_str().expect("a source")).collect();
    sources.sort_unstable();
    assert_eq!(sources, ["/channels/jalan", "/channels/surat"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lmtp_answers_for_each_recipient_and_chunks_are_joined() {
    let world = start("").await;
    let mut talk = Talk::with(world.gateway().lmtp.expect("LMTP is spoken")).await;
    talk.say("LHLO x.example").await;
    talk.say("MAIL FROM:<siti@example.org>").await;
    talk.say("RCPT TO:<lapor@kota.example>").await;
    assert!(talk.say("RCPT TO:<nobody@kota.example>").await.starts_with("550"));
    talk.say("RCPT TO:<lubang@jalan.kota.example>").await;
    talk.say("DATA").await;
    talk.write(letter("b0", "Untuk dua penerima.").as_bytes()).await;
    assert!(talk.say(".").await.starts_with("250") && talk.hear().await.starts_with("250"));
    // Chunks: the bytes are taken as they are, and a dot alone on a line is one of them.
    talk.say("MAIL FROM:<siti@example.org>").await;
    talk.say("RCPT TO:<lapor@kota.example>").await;
    let whole = letter("b1", "Surat dalam potongan.\r\n.\r\nmasih surat yang sama");
    let (one, two) = whole.split_at(90);
    assert!(talk.say(&format!("BDAT {}\r\n{one}", one.len() + 2)).await.starts_with("250"));
    talk.write(format!("BDAT {} LAST\r\n{}", two.len(), two).as_bytes()).await;
    assert!(talk.hear().await.starts_with("250"));
    assert_eq!(world.wait_for_events(3).await.len(), 3);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_a_full_journal_refuses_the_letter_before_it_is_taken() {
    let world = World::prepare().await;
    world.manifest("smtp");
    world.write(
        "config/loket.toml",
        "[mail]\nresolver = \"off\"\n[journal]\nmax_size = \"40 MiB\"\n[smtp]\nlisten = \"127.0.0.1:0\"\nletters_per_minute = 1000\n",
    );
    world.write("config/channels/surat.toml", "manifest = \"smtp\"\n[settings]\naddresses = \"lapor@kota.example\"\n");
    let world = world.serve().await;
    let mut talk = Talk::with(smtp(&world)).await;
    let (mut taken, mut refused) = (0, 0);
    for number in 0..12 {
        talk.begin("lapor@kota.example").await;
        let body = letter(&format!("f{number}"), &format!("Surat {number}. {}", "isi ".repeat(1_500_000)));
        talk.write(body.as_bytes()).await;
        let answer = talk.say(".").await;
        match &answer[..3] {
            "250" => taken += 1,
            "452" => refused += 1,
            _ => panic!("{answer}"),
        }
        if refused > 0 {
            break;
        }
    }
    assert!(taken > 0, "nothing was taken");
    until("everything taken is queued or in the quarantine", async || {
        let stats = world.gateway().app.journal.stats();
        (stats.backlog == 0).then_some(())
    })
    .await;
    let events = world.events().await.iter().filter(|(_, event)| is_of_message(event)).count() as u64;
    assert_eq!(events + world.metric("loket_outcome_total", "outcome=\"quarantined\"").await, taken);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_megabytes_is_a_complaint_with_its_files() {
    let world = start("").await;
    let mut talk = Talk::with(smtp(&world)).await;
    talk.begin("lapor@kota.example").await;
    let file = "QUJDRGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY3ODkwQUJDREVGR0hJSktMTU5PUFFSU1RVVldY\r\n".repeat(60_000);
    let letter = format!(
        "From: warga@example.org\r\nMessage-ID: <besar@example.org>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nJalan rusak di depan pasar.\r\n{}--b--\r\n.\r\n",
        format!("--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{file}").repeat(2),
    );
    talk.write(letter.as_bytes()).await;
    assert!(talk.hear().await.starts_with("250 2.0.0"));
    let events = world.wait_for_events(1).await;
    assert_eq!(events[0]["data"]["attachments"].as_array().map_or(0, Vec::len), 2, "{:#}", events[0]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_in_flight_ends_before_the_server_does() {
    let mut world = start("").await;
    let mut talk = Talk::with(smtp(&world)).await;
    talk.begin("lapor@kota.example").await;
    let mut idle = Talk::with(smtp(&world)).await;
    let text = letter("akhir", "Lampu jalan padam.");
    let (first, rest) = text.split_at(20);
    talk.write(first.as_bytes()).await;
    let stopping = tokio::spawn(world.running.take().expect("the gateway runs").stop());
    assert!(idle.hear().await.starts_with("421 4.3.2"), "who hands nothing over is told at once");
    talk.write(format!("{rest}.\r\n").as_bytes()).await;
    assert!(talk.hear().await.starts_with("250 2.0.0"));
    assert!(talk.hear().await.starts_with("421 4.3.2"));
    stopping.await.expect("it stops in order");
    world.resume().await;
    world.wait_for_events(1).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_a_flood_of_strangers_does_not_shut_our_relays_out() {
    let world = start("max_connections = 100\ntrusted_networks = [\"127.9.0.0/16\"]\n").await;
    let (address, mut held, mut turned_away) = (smtp(&world), Vec::new(), 0);
    for number in 0..500_u16 {
        let mut stranger = Talk::from([127, 1, 0, (number / 25) as u8 + 1], address).await;
        match &stranger.hear().await[..3] {
            "220" => held.push(stranger),
            "421" => turned_away += 1,
            other => panic!("{other}"),
        }
    }
    // Twenty of each address, a hundred in all.
    assert_eq!((held.len(), turned_away), (100, 400));
    let mut relay = Talk::from([127, 9, 0, 1], address).await;
    assert!(relay.hear().await.starts_with("220"));
    relay.begin("lapor@kota.example").await;
    relay.write(format!("{}.\r\n", letter("relay", "Lampu jalan padam.")).as_bytes()).await;
    assert!(relay.hear().await.starts_with("250 2.0.0"));
    world.wait_for_events(1).await;
    world.finish().await;
}
