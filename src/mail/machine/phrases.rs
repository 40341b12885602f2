//! How machines word their letters: senders, subjects and first sentences, for those that set no header.

use super::Nature;

use Nature::{Bounce, Generated};

/// Bytes of a text that are searched: machines say at once what they are.
const LOOKED_AT: usize = 2 << 10;

/// Bytes that hold the first sentence of a bounce, with room for letters that shrink in lower case.
const LONGEST_START: usize = 256;

/// Local parts of senders that never read an answer.
const SENDERS: &[(&str, Nature)] = &[
    ("mailer-daemon", Bounce),
    ("mailerdaemon", Bounce),
    ("mail-daemon", Bounce),
    ("postmaster", Generated),
    ("noreply", Generated),
    ("no-reply", Generated),
    ("no_reply", Generated),
    ("no.reply", Generated),
    ("donotreply", Generated),
    ("do-not-reply", Generated),
    ("do_not_reply", Generated),
    ("dont-reply", Generated),
    ("noresponse", Generated),
    ("tidak-dibalas", Generated),
    ("tidakdibalas", Generated),
    ("jangan-dibalas", Generated),
    ("jangandibalas", Generated),
    ("jangan-balas", Generated),
    ("autoreply", Generated),
    ("auto-reply", Generated),
    ("autoresponder", Generated),
    ("bounce", Generated),
    ("bounces", Generated),
];

/// What a letter is, by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    Absence,
    Failure,
    Receipt,
}

use Topic::{Absence, Failure, Receipt};

/// First words of subjects as machines write them, and how many groups of sentences go with them. They are compared as they stand: `Re: Out of office` is a person's.
const SUBJECTS: &[(Topic, usize, &[&str])] = &[
    (
        Absence,
        1,
        &[
            "automatic reply",
            "auto reply",
            "auto-reply",
            "autoreply",
            "auto response",
            "auto-response",
            "autoresponse",
            "automated reply",
            "automated response",
            "auto:",
            "ooo:",
            "balasan otomatis",
            "jawaban otomatis",
            "respons otomatis",
            "balas otomatis",
            "pesan otomatis",
            "balasan automatik",
            "abwesenheitsnotiz",
            "automatische antwort",
            "réponse automatique",
            "respuesta automática",
            "resposta automática",
            "risposta automatica",
            "automatisch antwoord",
            "自动答复",
            "自动回复",
            "自動回覆",
            "自動応答",
            "자동 회신",
        ],
    ),
    // People write of offices and leave as well.
    (
        Absence,
        2,
        &[
            "out of office",
            "out of the office",
            "out-of-office",
            "vacation",
            "away from",
            "on leave",
            "i am out of",
            "di luar kantor",
            "tidak di kantor",
            "sedang cuti",
            "cuti:",
            "luar pejabat",
            "afwezig",
        ],
    ),
    (
        Failure,
        1,
        &[
            "undeliverable",
            "undelivered mail",
            "undelivered message",
            "delivery status notification",
            "delivery failure",
            "delivery failed",
            "delivery notification",
            "delivery has failed",
            "mail delivery failed",
            "mail delivery failure",
            "mail delivery system",
            "mail system error",
            "failure notice",
            "returned mail",
            "message not delivered",
            "message delivery failure",
            "non-delivery",
            "non delivery",
            "nondeliverable",
            "could not deliver",
            "warning: could not send",
            "warning: message",
            "mail failure",
            "tidak terkirim",
            "tidak dapat dikirim",
            "gagal terkirim",
            "gagal dikirim",
            "gagal mengirim",
            "pesan tidak terkirim",
            "pengiriman gagal",
            "email tidak terkirim",
            "pemberitahuan status pengiriman",
            "unzustellbar",
            "non remis",
            "no se puede entregar",
            "não entregue",
            "onbestelbaar",
            "mancato recapito",
        ],
    ),
    (
        Receipt,
        2,
        &[
            "read:",
            "dibaca:",
            "telah dibaca:",
            "read receipt",
            "return receipt",
            "tanda terima",
            "not read:",
            "tidak dibaca:",
            "gelesen:",
            "lu :",
            "leído:",
            "lida:",
        ],
    ),
];

/// Sentences of their bodies, in groups: of a topic, each group counts once.
const SENTENCES: &[(Topic, &[&str])] = &[
    (
        Absence,
        &[
            "out of office",
            "out of the office",
            "out of my office",
            "away from the office",
            "away from my",
            "on annual leave",
            "on leave",
            "on vacation",
            "on holiday",
            "i am currently away",
            "i'm currently away",
            "i will be away",
            "limited access to",
            "no access to my e",
            "di luar kantor",
            "tidak berada di kantor",
            "tidak berada di tempat",
            "sedang cuti",
            "sedang dalam cuti",
            "saya cuti",
            "sedang dinas luar",
            "perjalanan dinas",
            "luar pejabat",
            "tidak di kantor",
            "akses terbatas",
            "nicht im büro",
            "im urlaub",
            "absent du bureau",
            "fuera de la oficina",
            "afwezig",
        ],
    ),
    (
        Absence,
        &[
            "i will return",
            "i will be back",
            "back in the office",
            "returning on",
            "until my return",
            "will respond when",
            "will reply to your",
            "when i return",
            "saya akan kembali",
            "akan kembali pada",
            "kembali bekerja",
            "kembali ke kantor",
            "akan saya balas",
            "akan membalas email",
            "setelah kembali",
            "for urgent matters",
            "if urgent",
            "for anything urgent",
            "for immediate assistance",
            "in my absence",
            "hal mendesak",
            "keperluan mendesak",
            "untuk hal yang mendesak",
        ],
    ),
    (
        Absence,
        &[
            "this is an automat",
            "this is an auto",
            "automatically generated",
            "automatic reply",
            "automatic response",
            "automated response",
            "automated reply",
            "automated message",
            "auto-generated",
            "do not reply to this",
            "please do not reply",
            "dikirim secara otomatis",
            "dikirim otomatis",
            "balasan otomatis",
            "jawaban otomatis",
            "pesan otomatis",
            "email otomatis",
            "dibuat secara otomatis",
            "mohon tidak membalas",
            "jangan membalas email",
            "jangan balas email",
            "tidak perlu membalas",
            "thank you for your email",
            "thank you for your e-mail",
            "thanks for your email",
            "thank you for your message",
            "terima kasih atas email",
            "terima kasih atas e-mail",
            "email anda telah kami terima",
            "email anda sudah kami terima",
            "we have received your email",
            "we have received your e-mail",
        ],
    ),
    (
        Failure,
        &[
            "this is the qmail-send program",
            "created automatically by mail delivery software",
            "this is the mail system at host",
            "this is the postfix program",
            "mail delivery subsystem",
            "mail delivery system",
            "mail delivery software",
            "could not be delivered to one or more",
            "delivery to the following recipient",
            "delivery to these recipients",
            "delivery has failed to these",
            "was not delivered to",
            "wasn't delivered to",
            "message wasn't delivered",
            "message was not delivered",
            "message could not be delivered",
            "unable to deliver your message",
            "i wasn't able to deliver your message",
            "couldn't be delivered",
            "your message to",
            "failed permanently",
            "undeliverable",
            "returned to sender",
            "pesan anda tidak terkirim",
            "pesan anda tidak dapat",
            "pesan anda ke",
            "email anda tidak terkirim",
            "email anda tidak dapat",
            "email anda gagal",
            "pengiriman ke penerima berikut",
            "tidak dapat mengirim pesan anda",
            "tidak dapat dikirimkan ke penerima",
        ],
    ),
    (
        Failure,
        &[
            "550 5",
            "550-5",
            "554 5",
            "552 5",
            "5.1.1",
            "5.0.0",
            "5.7.1",
            "5.2.2",
            "4.4.1",
            "user unknown",
            "no such user",
            "unknown user",
            "mailbox unavailable",
            "mailbox full",
            "mailbox is full",
            "quota exceeded",
            "over quota",
            "address not found",
            "alamat tidak ditemukan",
            "kotak surat penuh",
            "permanent error",
            "permanent fatal error",
            "fatal errors",
            "tried to reach does not exist",
            "recipient's server",
            "remote server",
            "diagnostic-code",
            "diagnostic information",
            "mailer-daemon",
            "smtp error",
            "host or domain name not found",
            "recipient address rejected",
            "recipient rejected",
        ],
    ),
    (
        Receipt,
        &[
            "your message",
            "pesan anda",
            "your mail",
            "ihre nachricht",
            "votre message",
            "the message sent on",
            "pesan yang anda kirim",
        ],
    ),
    (
        Receipt,
        &[
            "was read on",
            "has been read",
            "was displayed",
            "telah dibaca pada",
            "dibaca pada",
            "telah ditampilkan",
            "was deleted without",
            "wurde gelesen",
            "a été lu",
            "no guarantee that the message has been read",
        ],
    ),
];

/// Who takes no answers, by the local part, with or without words around it: `noreply-laporan`, `info.noreply`.
pub(super) fn sender(from: &str) -> Option<Nature> {
    let local = from.rsplit_once('@').map_or(from, |(local, _)| local);
    if local.len() > 128 {
        return None;
    }
    let local = local.trim_matches(['<', '"', ' ']).to_lowercase();
    let is_end = |rest: &str| rest.is_empty() || rest.starts_with(['-', '_', '.', '+', '=']);
    let fits = |name: &str| {
        local.strip_prefix(name).is_some_and(is_end)
            || local.strip_suffix(name).is_some_and(|before| before.ends_with(['-', '_', '.']))
    };
    SENDERS.iter().find(|(name, _)| fits(name)).map(|(_, nature)| *nature)
}

/// What the words of a letter say.
#[derive(Debug)]
pub(super) struct Wording {
    subject: Option<(Topic, usize)>,
    /// Groups of sentences found, for absence, failure and receipt; looked for only where a verdict can come of them.
    sentences: [usize; 3],
    starts_as_a_bounce: bool,
}

pub(super) fn wording(subject: &str, text: &str) -> Wording {
    let subject: String = subject.trim_start().chars().take(60).collect::<String>().to_lowercase();
    let subject = SUBJECTS.iter().find(|(_, _, starts)| starts.iter().any(|start| starts_so(&subject, start)));
    let text = &text[..text.floor_char_boundary(LOOKED_AT)];
    let starts_as_a_bounce = starts_as_a_bounce(&words(text, LONGEST_START));
    let subject = subject.map(|(topic, needed, _)| (*topic, *needed));
    // No verdict comes of sentences alone, and most letters are spared the search.
    let is_suspect = subject.is_some() || starts_as_a_bounce;
    Wording { subject, sentences: if is_suspect { sentences(text) } else { [0; 3] }, starts_as_a_bounce }
}

/// Groups of sentences in a text, for absence, failure and receipt.
fn sentences(text: &str) -> [usize; 3] {
    let words = words(text, usize::MAX);
    let mut found = [0; 3];
    for (topic, group) in SENTENCES {
        found[*topic as usize] += usize::from(group.iter().any(|sentence| words.contains(sentence)));
    }
    found
}

/// The first words in lower case, as many as give `enough` bytes. Machines fold their lines, and set apostrophes in their
/// own ways.
fn words(text: &str, enough: usize) -> String {
    let mut words = String::with_capacity(text.len().min(enough));
    for word in text.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
        if words.len() > enough {
            break;
        }
    }
    let words = words.to_lowercase();
    if words.contains('\u{2019}') { words.replace('\u{2019}', "'") } else { words }
}

/// Programs that write no headers of bounces: qmail, Exim and old Postfix begin with the same sentence for ever.
fn starts_as_a_bounce(words: &str) -> bool {
    [
        "hi. this is the qmail-send program",
        "this message was created automatically by mail delivery software",
        "this is the mail system at host",
    ]
    .iter()
    .any(|start| words.starts_with(start))
}

/// At the end of the start a word ends: `Vacation: …`, not `Vacations`.
fn starts_so(subject: &str, start: &str) -> bool {
    subject.strip_prefix(start).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric) || !start.is_ascii())
}

impl Wording {
    /// Two signs of one kind. With `suspicion` the sender or the return path is one of them.
    pub(super) fn verdict(&self, suspicion: bool) -> Option<(Nature, &'static str)> {
        let said = |topic: Topic| self.sentences[topic as usize];
        if self.starts_as_a_bounce && (said(Failure) > 1 || suspicion) {
            return Some((Bounce, "text of a bounce"));
        }
        let (topic, needed) = self.subject?;
        let is_sure = said(topic) >= needed || (suspicion && topic != Receipt);
        is_sure.then_some(match topic {
            // A person may say that a file was not sent, and a bounce of ours is put aside: a sentence is not enough.
            Failure if suspicion || self.starts_as_a_bounce || said(Failure) > 1 => {
                (Bounce, "subject and text of a bounce")
            }
            Failure => (Generated, "subject and text of a bounce"),
            Absence => (Generated, "subject and text of an automatic reply"),
            Receipt => (Generated, "subject and text of a read receipt"),
        })
    }
}
