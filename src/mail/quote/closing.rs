//! What stands below the words of a letter: signatures, lines of phones, disclaimers.

use std::ops::Range;

use super::{
    Kind,
    lines::{Lines, starts_with},
    markers,
};

/// Lines of the longest signature, without blank ones.
const SIGNATURE_LINES: usize = 15;
/// Bytes of the longest line of a signature.
const SIGNATURE_LINE: usize = 200;
/// Words of a sentence. Signatures hold names and addresses.
const SENTENCE: usize = 4;
/// Lines that are looked at from the end, so that a long text costs no more than a short one.
const LOOKED_AT: usize = 80;
/// Bytes of the longest disclaimer; more is a text.
const DISCLAIMER: usize = 8 << 10;
/// Bytes of the longest line of a phone, without the address behind it.
const PHONE_LINE: usize = 70;

/// First words of lines that a phone or a program adds.
const SENT_FROM: &[&str] = &[
    "sent from",
    "sent via",
    "sent with",
    "sent using",
    "dikirim dari",
    "dikirim melalui",
    "dikirim dengan",
    "dikirim menggunakan",
    "terkirim dari",
    "dihantar dari",
    "dihantar daripada",
    "gesendet von",
    "gesendet mit",
    "von meinem",
    "envoyé de",
    "envoyé depuis",
    "enviado desde",
    "enviado do",
    "enviado de",
    "inviato da",
    "inviato dal",
    "verstuurd vanaf",
    "verzonden vanaf",
    "skickat från",
    "powered by telkomsel",
    "发自我的",
    "發自我的",
    "从我的",
    "從我的",
];
/// One of these stands behind them, or it is a sentence of the citizen.
const DEVICES: &[&str] = &[
    "phone",
    "ipad",
    "samsung",
    "galaxy",
    "xiaomi",
    "redmi",
    "poco",
    "oppo",
    "vivo",
    "realme",
    "huawei",
    "infinix",
    "nokia",
    "asus",
    "android",
    "ios",
    "yahoo",
    "ymail",
    "outlook",
    "mail",
    "gmail",
    "hotmail",
    "windows",
    "blackberry",
    "ponsel",
    "telepon",
    "hp saya",
    "perangkat",
    "tablet",
    "mobile",
    "device",
    "handy",
    "spark",
    "telefon",
    "手机",
    "手機",
];
/// First words that need no device.
const GET: &[&str] =
    &["get outlook for", "dapatkan outlook untuk", "dapatkan outlook for", "unduh outlook untuk", "outlook für"];
/// Last words: `iPhoneから送信`.
const SENT_FROM_LAST: &[&str] = &["から送信", "에서 보냄"];

/// Labels the lines of a region of new words: what stands at its end may be no words of the letter.
pub(super) fn label(lines: &Lines<'_>, region: Range<usize>) -> Vec<(Kind, Range<usize>)> {
    let floor = region.end.saturating_sub(LOOKED_AT).max(region.start);
    let mut end = region.end;
    let mut labels = Vec::new();
    while let Some((kind, start)) = last_piece(lines, floor..end) {
        labels.push((kind, start..end));
        end = start;
    }
    labels.push((Kind::New, region.start..end));
    labels.reverse();
    labels
}

/// Words of somebody who answers within the quoted letter.
const BELOW: &[&str] = &[
    "di bawah",
    "dibawah",
    "see below",
    "answers below",
    "reply below",
    "replies below",
    "response below",
    "responses below",
    "comments below",
    "inline",
];
/// Bytes of the longest text that only announces them.
const ANNOUNCEMENT: usize = 400;

/// Does the text above a line only say that the answers stand below it?
pub(super) fn announces_answers_below(lines: &Lines<'_>, end: usize) -> bool {
    if lines.start(end) > ANNOUNCEMENT {
        return false;
    }
    (0..end).any(|line| {
        let words = lines.short(line).to_lowercase();
        BELOW.iter().any(|phrase| words.contains(phrase))
    })
}

/// The piece at the end of the lines that is none of their words, and where it starts.
fn last_piece(lines: &Lines<'_>, region: Range<usize>) -> Option<(Kind, usize)> {
    let last = region.clone().rev().find(|line| !lines.is_blank(*line))?;
    let region = region.start..last + 1;
    let paragraph = region.clone().rev().find(|line| lines.is_blank(*line)).map_or(region.start, |blank| blank + 1);
    let disclaimer = disclaimer_start(lines, paragraph..region.end);
    if is_disclaimer(lines, disclaimer..region.end) {
        return Some((Kind::Disclaimer, with_heading(lines, region.start, disclaimer)));
    }
    if let Some(start) = phone_line(lines, &region) {
        return Some((Kind::Signature, start));
    }
    signature(lines, &region).or_else(|| list_footer(lines, &region)).map(|start| (Kind::Signature, start))
}

/// `Get Outlook for Android <https://…>`; the address may stand on a line of its own.
fn phone_line(lines: &Lines<'_>, region: &Range<usize>) -> Option<usize> {
    let last = region.end - 1;
    if is_phone_line(lines, region.start, last) {
        return Some(last);
    }
    let is_address = |line: &str| {
        let line = line.trim_matches(['<', '>', '[', ']', '(', ')']);
        (line.starts_with("http://") || line.starts_with("https://")) && !line.contains(' ')
    };
    (last > region.start && is_address(lines.short(last)) && is_phone_line(lines, region.start, last - 1))
        .then(|| last - 1)
}

fn is_phone_line(lines: &Lines<'_>, floor: usize, line: usize) -> bool {
    let is_alone = line == floor || lines.is_blank(line - 1) || lines.line(line - 1) == "--";
    let line = lines.short(line).trim_matches(|letter: char| letter.is_whitespace() || "*_-–—[]()".contains(letter));
    // The address of the program stands behind its name, in whatever brackets.
    let words =
        ["](", "<", "(", "[http", " http"].iter().fold(line, |words, mark| words.split(mark).next().unwrap_or(words));
    let words = words.trim_end().replace(['[', ']'], "");
    if words.is_empty() || words.len() > PHONE_LINE {
        return false;
    }
    let starts = |table: &[&str]| table.iter().any(|start| starts_with(&words, start));
    if starts(GET) || SENT_FROM_LAST.iter().any(|end| words.ends_with(end)) {
        return true;
    }
    let words = words.to_lowercase();
    // Right below other words it may be the end of a sentence, unless somebody speaks of a device of his own.
    let is_own = [" my ", " saya"].iter().any(|own| words.contains(own));
    let names_a_device = |rest: &str| DEVICES.iter().any(|device| rest.contains(device));
    (is_alone || is_own) && SENT_FROM.iter().any(|start| words.strip_prefix(start).is_some_and(names_a_device))
}

/// From the first `-- ` (RFC 3676, section 4.3) that has a signature below it and nothing else.
fn signature(lines: &Lines<'_>, region: &Range<usize>) -> Option<usize> {
    let (mut said, mut found, mut has_sentence) = (0, None, false);
    for line in region.clone().rev() {
        let text = lines.line(line);
        if text == "--" {
            // A line of the writer's own, or the mark with the space cut off; below the mark itself something stands,
            // and sentences only below the mark as it should be.
            let is_mark = said > 0 && (!has_sentence || lines.raw(line).ends_with("-- "));
            found = is_mark.then_some(line).or(found);
            continue;
        }
        if text.len() > SIGNATURE_LINE {
            break;
        }
        said += usize::from(!super::lines::is_blank(text));
        has_sentence |= text.ends_with(['.', '!', '?']) && text.split_whitespace().nth(SENTENCE - 1).is_some();
        if said > SIGNATURE_LINES {
            break;
        }
    }
    found
}

/// Mailman puts a ruler and the list's name below.
fn list_footer(lines: &Lines<'_>, region: &Range<usize>) -> Option<usize> {
    let first = region.end.saturating_sub(7).max(region.start);
    let ruler = (first..region.end).find(|line| markers::is_ruler(lines.short(*line)))?;
    let says = |words: &[&str]| {
        let line = |line: usize| lines.short(line).to_ascii_lowercase();
        (ruler..region.end).any(|at| words.iter().any(|word| line(at).contains(word)))
    };
    // With its address; a citizen below a rule of his own speaks of lists without one.
    (says(&["mailing list", "listinfo", "milis"]) && says(&["http", "@"])).then_some(ruler)
}

/// A letter that speaks of itself.
const ITSELF: &[&str] = &[
    "this e-mail",
    "this email",
    "this message",
    "this mail",
    "this communication",
    "this transmission",
    "this electronic",
    "e-mail ini",
    "email ini",
    "surel ini",
    "pesan ini",
    "surat elektronik ini",
    "the information contained",
    "informasi yang terkandung",
];
/// What disclaimers are about. Three of these groups have to be there as well.
const SIGNS: &[&[&str]] = &[
    &[
        "confidential",
        "privileged",
        "proprietary",
        "bersifat rahasia",
        "informasi rahasia",
        "rahasia dan",
        "konfidensial",
    ],
    &["attachment", "files transmitted", "lampiran"],
    &[
        "intended recipient",
        "intended solely",
        "intended only",
        "addressee",
        "addressed",
        "penerima yang dituju",
        "bukan penerima",
        "penerima yang dimaksud",
        "ditujukan kepada",
        "ditujukan hanya",
        "hanya ditujukan",
        "hanya untuk penerima",
        "yang berhak",
    ],
    &[
        "received this",
        "in error",
        "by mistake",
        "secara keliru",
        "karena kesalahan",
        "salah kirim",
        "menerima email ini",
        "menerima pesan ini",
        "menerima e-mail ini",
    ],
    &["delete", "destroy", "notify", "hapus", "musnahkan", "beritahu", "memberitahu"],
    &[
        "unauthorized",
        "unauthorised",
        "strictly prohibited",
        "disclosure",
        "dissemination",
        "dilarang",
        "menyebarluaskan",
        "penyebaran",
        "tanpa izin",
    ],
    &[
        "liability",
        "liable",
        "virus",
        "tidak bertanggung jawab",
        "views or opinions",
        "opinions expressed",
        "pendapat",
        "tanggung jawab",
    ],
];
/// Words of a person: a citizen may write a letter that is confidential and addressed to somebody.
const PERSONAL: &[&str] = &[" saya ", " saya.", " saya,", " aku ", " i ", " my ", " mohon identitas", " laporan ini"];
/// Short ones that stand alone.
const PRINTING: &[&str] = &[
    "please consider the environment",
    "consider the environment before printing",
    "think before you print",
    "pertimbangkan lingkungan sebelum mencetak",
    "selamatkan bumi",
    "mohon pertimbangkan lingkungan",
];
/// Headings above them.
const HEADINGS: &[&str] = &[
    "disclaimer",
    "penafian",
    "pernyataan",
    "perhatian",
    "confidentiality notice",
    "confidentiality",
    "pemberitahuan kerahasiaan",
    "important notice",
    "legal notice",
    "notice",
];

/// The line of a paragraph on which a disclaimer begins: servers put theirs right below the last words.
fn disclaimer_start(lines: &Lines<'_>, paragraph: Range<usize>) -> usize {
    let begins = |line: usize| {
        let words = lines.short(line).to_lowercase();
        [ITSELF, PRINTING].iter().any(|table| table.iter().any(|phrase| words.contains(phrase)))
            || HEADINGS.iter().take(2).any(|heading| words.starts_with(heading))
    };
    paragraph.clone().find(|line| begins(*line)).unwrap_or(paragraph.start)
}

fn is_disclaimer(lines: &Lines<'_>, paragraph: Range<usize>) -> bool {
    if lines.start(paragraph.end) - lines.start(paragraph.start) > DISCLAIMER {
        return false;
    }
    let mut words = " ".to_owned();
    for line in paragraph {
        words.push_str(&lines.line(line).to_lowercase());
        words.push(' ');
    }
    let has = |table: &[&str]| table.iter().any(|phrase| words.contains(phrase));
    if words.len() < 300 && has(PRINTING) {
        return true;
    }
    // What is soon known goes first: most paragraphs do not speak of themselves.
    let speaks_of_itself = || has(ITSELF) || HEADINGS.iter().take(2).any(|heading| words[1..].starts_with(heading));
    words.len() > 80
        && speaks_of_itself()
        && !has(PERSONAL)
        && SIGNS.iter().filter(|group| has(group)).take(3).count() == 3
}

/// Where a disclaimer starts when the ruler and the heading above it are counted in.
fn with_heading(lines: &Lines<'_>, floor: usize, paragraph: usize) -> usize {
    let mut start = paragraph;
    for line in (floor..paragraph).rev().take(4) {
        let text = lines.short(line);
        let words = text.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
        let is_heading = HEADINGS.contains(&words.as_str());
        let is_ruler = text.len() >= 3 && text.chars().all(|letter| "_-=*~".contains(letter));
        if is_heading || is_ruler {
            start = line;
        } else if !lines.is_blank(line) {
            break;
        }
    }
    start
}
