//! Lines that clients put above a letter that they forward or quote.

/// Above a forwarded letter, between dashes.
const FORWARDED: &[&str] = &[
    "forwarded message",
    "forwarded by",
    "forwarded mail",
    "forwarded email",
    "forward message",
    "pesan terusan",
    "pesan diteruskan",
    "pesan yang diteruskan",
    "pesan yang dikirim ulang",
    "email terusan",
    "email diteruskan",
    "surat terusan",
    "diteruskan oleh",
    "mesej yang dimajukan",
    "mesej dimajukan",
    "mesej majuan",
    "weitergeleitete nachricht",
    "weitergeleitet von",
    "message transféré",
    "message transfere",
    "message réexpédié",
    "mensaje reenviado",
    "mensagem encaminhada",
    "mensagem reencaminhada",
    "messaggio inoltrato",
    "doorgestuurd bericht",
    "vidarebefordrat meddelande",
    "videresendt melding",
    "videresendt meddelelse",
    "пересылаемое сообщение",
    "пересланное сообщение",
    "转发的邮件",
    "转发邮件",
    "轉寄郵件",
    "転送メッセージ",
    "전달된 메시지",
    "رسالة معاد توجيهها",
];

/// The same without dashes: the whole line.
const FORWARDED_LINES: &[&str] = &[
    "begin forwarded message:",
    "mulai pesan yang diteruskan:",
    "mulai pesan terusan:",
    "awal pesan yang diteruskan:",
    "awal pesan terusan:",
    "mulakan mesej yang dimajukan:",
    "pesan yang diteruskan:",
    "anfang der weitergeleiteten nachricht:",
    "début du message réexpédié :",
    "inicio del mensaje reenviado:",
    "início da mensagem encaminhada:",
    "inizio messaggio inoltrato:",
    "begin doorgestuurd bericht:",
    "下面是被转发的邮件：",
    "転送されたメッセージ:",
];

/// Above a quoted letter, between dashes.
const ORIGINAL: &[&str] = &[
    "original message",
    "original email",
    "original mail",
    "original appointment",
    "reply message",
    "pesan asli",
    "pesan asal",
    "pesan awal",
    "pesan semula",
    "email asli",
    "mesej asal",
    "mesej asli",
    "ursprüngliche nachricht",
    "originalnachricht",
    "original-nachricht",
    "message d'origine",
    "message d’origine",
    "message original",
    "message initial",
    "mensaje original",
    "mensagem original",
    "messaggio originale",
    "oorspronkelijk bericht",
    "origineel bericht",
    "ursprungligt meddelande",
    "opprinnelig melding",
    "oprindelig meddelelse",
    "исходное сообщение",
    "原始邮件",
    "原邮件",
    "原始信件",
    "元のメッセージ",
    "원본 메시지",
    "الرسالة الأصلية",
];

/// First words of the subject of a forwarded letter.
const SUBJECTS: &[&str] = &[
    "fwd:",
    "fw:",
    "trs:",
    "terusan:",
    "teruskan:",
    "diteruskan:",
    "wg:",
    "tr:",
    "rv:",
    "enc:",
    "i:",
    "doorst:",
    "转发:",
    "转发：",
    "轉寄:",
];

pub(super) fn is_forward(line: &str) -> bool {
    if line.is_empty() {
        return false;
    }
    between_dashes(line).is_some_and(|words| FORWARDED.iter().any(|marker| words.starts_with(marker)))
        || (line.ends_with([':', '：']) && FORWARDED_LINES.contains(&line.to_lowercase().trim_matches('*')))
}

pub(super) fn is_original(line: &str) -> bool {
    between_dashes(line).is_some_and(|words| ORIGINAL.contains(&words.as_str()))
}

/// A line of underscores or dashes alone.
pub(super) fn is_ruler(line: &str) -> bool {
    line.len() >= 10 && (line.bytes().all(|byte| byte == b'_') || line.bytes().all(|byte| byte == b'-'))
}

pub(super) fn is_forwarding_subject(subject: &str) -> bool {
    let subject = subject.trim_start();
    let head: String = subject.chars().take(12).collect::<String>().to_lowercase();
    SUBJECTS.iter().any(|start| head.starts_with(start))
}

/// The words of `----- Original Message -----` in lower case.
fn between_dashes(line: &str) -> Option<String> {
    let is_dash = |letter: char| matches!(letter, '-' | '_' | '=' | '*' | '—' | '–' | '>' | '<');
    if line.chars().take(2).filter(|letter| is_dash(*letter)).count() < 2 {
        return None;
    }
    let words = line.trim_matches(|letter: char| is_dash(letter) || letter.is_whitespace() || letter == ':');
    (!words.is_empty() && words.len() < 120).then(|| words.to_lowercase())
}
