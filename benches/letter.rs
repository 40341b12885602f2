//! Letters on one core: how many are parsed and journalled in a second, beside Python's `email` package which only parses,
//! in turns; and what a letter with large attachments takes in time and memory. Figures: `docs/benchmarks.md`.
//!
//! Rates are by the clock on the wall. For small letters a second ratio is by the time that the processor spent (`processor`),
//! all threads of the journal counted in: other programs on the machine change it little, but it leaves out waiting for the disk.

use std::{
    io::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use loket::{
    journal::{Journal, JournalOptions},
    mail::{self, Circumstances, Envelope, addresses::OurAddresses, envelope::Protocol},
    receipt::{ChannelId, Receipt, ReceiptId},
    signature::{Transport, Verified},
    units::{Size, Span},
};
use uuid::Uuid;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;
const SMALL: usize = 20_000;
/// Appends that wait for one sync.
const TOGETHER: usize = 64;

/// Everything that the reader does, done by hand with the package: headers, body, attachments with their hashes.
const PYTHON: &str = r#"
import email, email.policy, hashlib, sys, time
letter, count = open(sys.argv[1], "rb").read(), int(sys.argv[2])
begin, spent = time.perf_counter(), time.process_time()
for _ in range(count):
    message = email.message_from_bytes(letter, policy=email.policy.default)
    message["subject"], message["from"], message["to"], message["date"], message["message-id"]
    body = message.get_body(("plain", "html"))
    text = body.get_content() if body else ""
    for part in message.iter_attachments():
        part.get_filename(), hashlib.sha256(part.get_content()).hexdigest()
print(count / (time.perf_counter() - begin), count / (time.process_time() - spent))
"#;

fn main() {
    on_one_core();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk of `target`");
    small_letters(folder.path());
    large_letters(folder.path());
}

/// Children and threads inherit it.
fn on_one_core() {
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(0);
    rustix::thread::sched_setaffinity(None, &cpus).expect("the first core is ours");
}

fn small_letters(folder: &Path) {
    let letter = small();
    let path = folder.join("small.eml");
    std::fs::write(&path, &letter).expect("written");
    println!("letters of {} bytes, one core, {ROUNDS} rounds in turns", letter.len());
    for round in 1..=ROUNDS {
        let parsed = per_second(SMALL, || read(&letter));
        let both = parsed_and_journalled(&folder.join(format!("journal-{round}")), &letter);
        let python = python(&path, 2_000);
        println!(
            "round {round}: parsed {:.0}/s, parsed and journalled {:.0}/s, python {:.0}/s, ratio {:.1} ({:.1} parsing alone); \
             processor: {:.0}/s, {:.0}/s, {:.0}/s, ratio {:.1} ({:.1})",
            parsed.wall,
            both.wall,
            python.wall,
            both.wall / python.wall,
            parsed.wall / python.wall,
            parsed.processor,
            both.processor,
            python.processor,
            both.processor / python.processor,
            parsed.processor / python.processor
        );
    }
}

fn large_letters(folder: &Path) {
    println!("letters with attachments, one core");
    for mib in [1, 5, 20] {
        let letter = large(mib);
        let path = folder.join("large.eml");
        std::fs::write(&path, &letter).expect("written");
        let before = peak_after(|| ());
        let peak = peak_after(|| read(&letter));
        let megabytes = letter.len() as f64 / 1e6;
        let count = 100 / mib;
        let rate = per_second(count, || read(&letter)).wall * megabytes;
        let python = python(&path, (count / 4).max(1)).wall * megabytes;
        println!(
            "{mib} MiB: {rate:.0} MB/s, python {python:.0} MB/s, ratio {:.1}; memory above the letter itself {:.2} times its size",
            rate / python,
            peak.saturating_sub(before) as f64 / letter.len() as f64
        );
    }
}

fn small() -> Vec<u8> {
    let mut letter = b"Return-Path: <siti@example.org>\r\nReceived: from mx.example.org (mx.example.org [203.0.113.7])\r\n\tby mx.kota.example with ESMTPS id abc; Wed, 5 Nov 2025 08:00:02 +0700\r\nMIME-Version: 1.0\r\nFrom: =?UTF-8?Q?Siti_Ramad=C3=A1n?= <siti@example.org>\r\nTo: Lapor <lapor@kota.example>\r\nSubject: =?UTF-8?B?SmFsYW4gcnVzYWsgZGkgZGVwYW4gcGFzYXI=?=\r\nDate: Wed, 5 Nov 2025 08:00:00 +0700\r\nMessage-ID: <a1@example.org>\r\nContent-Type: text/plain; charset=\"UTF-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n".to_vec();
    while letter.len() < 1700 {
        letter.extend(b"Jalan di depan pasar rusak sejak hujan kemarin, lubangnya makin besar =E2=80=93\r\ndan sudah dua orang jatuh di sana.\r\n");
    }
    letter.extend(b"\r\nPada Sel, 4 Nov 2025 pukul 09.12 Lapor <lapor@kota.example> menulis:\r\n");
    while letter.len() < 2048 {
        letter.extend(b"> Terima kasih, laporan Anda kami teruskan.\r\n");
    }
    letter
}

/// A letter with four pictures, so large in all.
fn large(mib: usize) -> Vec<u8> {
    let mut letter = b"From: siti@example.org\r\nTo: lapor@kota.example\r\nSubject: Foto\r\nMessage-ID: <b1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nFoto terlampir.\r\n".to_vec();
    let mut picture = b"\xff\xd8\xff\xe0\x00\x10JFIF".to_vec();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    while picture.len() < mib * (1 << 20) / 4 * 57 / 78 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        picture.extend(state.to_le_bytes());
    }
    for number in 0..4 {
        let head = format!(
            "--b\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=foto{number}.jpg\r\n\r\n"
        );
        letter.extend(head.as_bytes());
        for line in picture.chunks(57) {
            letter.extend(STANDARD.encode(line).as_bytes());
            letter.extend(b"\r\n");
        }
    }
    letter.extend(b"--b--\r\n");
    letter
}

fn read(letter: &[u8]) {
    let ours = OurAddresses::parse("lapor@kota.example").expect("an address");
    let envelope = Envelope::default();
    let received_at = Timestamp::from_second(1_762_304_405).expect("a time");
    let circumstances = Circumstances { envelope: &envelope, ours: &ours, trusted_servers: &[], received_at };
    std::hint::black_box(mail::read(letter, &circumstances).expect("a letter"));
}

/// Letters in a second.
struct Rate {
    wall: f64,
    processor: f64,
}

/// Where a measurement began.
struct Begin {
    wall: Instant,
    processor: Duration,
}

impl Begin {
    fn now() -> Self {
        Self { wall: Instant::now(), processor: processor_time() }
    }

    fn rate(&self, count: usize) -> Rate {
        let processor = processor_time().saturating_sub(self.processor);
        Rate {
            wall: count as f64 / self.wall.elapsed().as_secs_f64(),
            processor: count as f64 / processor.as_secs_f64(),
        }
    }
}

/// What the threads that this process has now spent on the processor. Linux: `/proc/self/task/*/schedstat`.
fn processor_time() -> Duration {
    let spent = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.expect("a thread").path().join("schedstat")).unwrap_or_default();
        Duration::from_nanos(text.split_whitespace().next().and_then(|spent| spent.parse().ok()).unwrap_or_default())
    };
    std::fs::read_dir("/proc/self/task").expect("Linux").map(spent).sum()
}

fn per_second(count: usize, mut work: impl FnMut()) -> Rate {
    let begin = Begin::now();
    (0..count).for_each(|_| work());
    begin.rate(count)
}

/// Each letter on the disk and read, as many at once as a busy server has.
fn parsed_and_journalled(folder: &Path, letter: &[u8]) -> Rate {
    let options = JournalOptions {
        folder: folder.to_owned(),
        max_bytes: Size::mib(1024),
        retention: Span::from_secs(86_400),
        key: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (journal, _tail) = Journal::open(options).expect("a journal");
    let envelope = Envelope { protocol: Some(Protocol::Smtp), ..Envelope::default() };
    let letter = Bytes::copy_from_slice(letter);
    let one = |number: usize| {
        let receipt = Receipt {
            id: ReceiptId(Uuid::from_u128(number as u128 + 1)),
            channel: ChannelId::new("surat").expect("a slug"),
            endpoint: "main".to_owned(),
            received_at: Timestamp::UNIX_EPOCH,
            remote: None,
            draw: [0; 16],
            request: envelope.request("surat", letter.clone()),
        };
        let (journal, letter) = (&journal, &letter);
        async move {
            journal.append(Verified::brought(receipt, Transport::Unasked)).await.expect("room");
            read(letter);
        }
    };
    let begin = Begin::now();
    runtime.block_on(stream::iter(0..SMALL).map(one).buffer_unordered(TOGETHER).for_each(|()| async {}));
    let rate = begin.rate(SMALL);
    runtime.block_on(journal.close());
    rate
}

fn python(letter: &Path, count: usize) -> Rate {
    let output = Command::new("python3").args(["-c", PYTHON]).arg(letter).arg(count.to_string()).output();
    let output = output.expect("python3 is there");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let rates = text.split_once(' ').and_then(|(wall, processor)| Some((wall.parse().ok()?, processor.parse().ok()?)));
    assert!(rates.is_some(), "python3: {}", String::from_utf8_lossy(&output.stderr));
    let (wall, processor) = rates.unwrap_or_default();
    Rate { wall, processor }
}

/// The most memory that this process had while it worked, in bytes. Linux: `/proc/self/clear_refs` begins anew.
fn peak_after(work: impl FnOnce()) -> u64 {
    let mut file = std::fs::OpenOptions::new().write(true).open("/proc/self/clear_refs").expect("Linux");
    file.write_all(b"5").expect("the peak begins anew");
    std::thread::sleep(Duration::from_millis(20));
    work();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}
