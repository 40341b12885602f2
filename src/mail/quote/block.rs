//! The header that Outlook and phones put above a quote: `From:`, `Sent:`, `To:`, `Subject:`, one a line.

use std::ops::Range;

use memchr::memchr2_iter;

use super::{
    lines::{Lines, has_time},
    markers,
};

/// Lines that a block may have.
const LONGEST: usize = 16;

/// Bytes of the longest name of a field.
const LONGEST_NAME: usize = 30;

/// A block that was found.
pub(super) struct Block {
    /// With the ruler above it.
    pub(super) lines: Range<usize>,
    /// A ruler says that a letter follows: `-----Original Message-----`.
    pub(super) is_ruled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    From,
    Date,
    To,
    Subject,
    Other,
}

use Field::{Date, From, Other, Subject, To};

/// Names of the fields, in lower case.
const FIELDS: &[(Field, &[&str])] = &[
    (
        From,
        &[
            "from",
            "dari",
            "daripada",
            "pengirim",
            "von",
            "de",
            "da",
            "van",
            "od",
            "från",
            "fra",
            "от",
            "发件人",
            "寄件者",
            "寄件人",
            "差出人",
            "보낸 사람",
            "من",
        ],
    ),
    (
        Date,
        &[
            "sent",
            "date",
            "dikirim",
            "tanggal",
            "terkirim",
            "waktu",
            "dihantar",
            "tarikh",
            "gesendet",
            "datum",
            "envoyé",
            "enviado",
            "enviado el",
            "enviado em",
            "enviada em",
            "fecha",
            "data",
            "inviato",
            "verzonden",
            "skickat",
            "sendt",
            "wysłano",
            "дата",
            "отправлено",
            "发送时间",
            "日期",
            "寄件日期",
            "送信日時",
            "日付",
            "보낸 날짜",
            "تاريخ",
            "التاريخ",
            "تم الإرسال",
        ],
    ),
    (
        To,
        &[
            "to",
            "kepada",
            "ke",
            "untuk",
            "an",
            "à",
            "para",
            "a",
            "aan",
            "till",
            "til",
            "do",
            "кому",
            "收件人",
            "宛先",
            "받는 사람",
            "إلى",
        ],
    ),
    (
        Subject,
        &[
            "subject",
            "perihal",
            "subjek",
            "subyek",
            "judul",
            "hal",
            "perkara",
            "tajuk",
            "betreff",
            "objet",
            "asunto",
            "assunto",
            "oggetto",
            "onderwerp",
            "ämne",
            "emne",
            "temat",
            "тема",
            "主题",
            "主旨",
            "件名",
            "제목",
            "الموضوع",
        ],
    ),
    (
        Other,
        &[
            "cc",
            "bcc",
            "tembusan",
            "salinan",
            "kopie",
            "copie",
            "抄送",
            "copia",
            "importance",
            "kepentingan",
            "priority",
            "prioritas",
            "reply-to",
            "balas ke",
            "attachments",
            "lampiran",
            "sensitivity",
        ],
    ),
];

impl Block {
    /// The block that begins at a line, with its ruler if there is one.
    pub(super) fn at(lines: &Lines<'_>, first: usize) -> Option<Self> {
        let line = lines.short(first);
        if markers::is_original(line) {
            let fields = lines.next_said(first + 1).and_then(|next| Fields::at(lines, next));
            let end = fields.map_or(first + 1, |fields| fields.end);
            return Some(Self { lines: first..end, is_ruled: true });
        }
        // A bare line is the ruler of a letter only when a whole header follows.
        let start = if markers::is_ruler(line) { lines.next_said(first + 1)? } else { first };
        let fields = Fields::at(lines, start).filter(Fields::is_of_a_letter)?;
        Some(Self { lines: first..fields.end, is_ruled: false })
    }
}

/// Fields that stand one below the other.
#[derive(Default)]
struct Fields {
    end: usize,
    has_from: bool,
    has_date: bool,
    has_to: bool,
    has_subject: bool,
    has_address: bool,
    has_time: bool,
}

impl Fields {
    fn at(lines: &Lines<'_>, first: usize) -> Option<Self> {
        field(lines.short(first))?;
        let mut fields = Self::default();
        let (mut at, mut gap) = (first, 0);
        // A field may go on for two lines, and in text made of HTML a blank line may stand between fields.
        while at < lines.len().min(first + LONGEST) && gap < 3 {
            let line = lines.short(at);
            match field(line) {
                Some((field, value)) => {
                    fields.note(field, value);
                    fields.end = at + 1;
                    gap = 0;
                }
                None if line.is_empty() && gap > 0 => break,
                None => gap += 1,
            }
            at += 1;
        }
        Some(fields)
    }

    fn note(&mut self, field: Field, value: &str) {
        match field {
            From => self.has_from = true,
            Date => {
                self.has_date = true;
                self.has_time |= has_time(value);
            }
            To => self.has_to = true,
            Subject => self.has_subject = true,
            Other => {}
        }
        self.has_address |= matches!(field, From | To) && value.contains('@');
    }

    /// As a client writes it: always with the time of day. Forms, formal letters (`Dari:`, `Tanggal:`, `Perihal:`) and
    /// journeys (`Dari: Jakarta`, `Ke: Bandung`) have such fields as well, but no time, or no subject and no mail address.
    fn is_of_a_letter(&self) -> bool {
        let is_whole = (self.has_to && self.has_subject) || (self.has_address && (self.has_to || self.has_subject));
        self.has_from && self.has_date && self.has_time && is_whole
    }
}

/// The first colon, also the wide one of East Asia.
fn colon(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let wide = "：".as_bytes();
    memchr2_iter(b':', wide[0], bytes).find(|at| bytes[*at] == b':' || bytes[*at..].starts_with(wide))
}

/// The field of a line, and its value.
fn field(line: &str) -> Option<(Field, &str)> {
    let at = colon(line)?;
    let is_mark = |letter: char| letter.is_whitespace() || matches!(letter, '*' | '_' | '\u{a0}');
    let name = line[..at].trim_matches(is_mark);
    if name.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    let name = name.to_lowercase();
    let value = line[at..].trim_start_matches([':', '：']).trim_matches(is_mark);
    FIELDS.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(field, _)| (*field, value))
}
