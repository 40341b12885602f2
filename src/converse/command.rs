//! Commands (`conversation-flow.md` §2): any case, and the whole message must match. "Status jalan rusak belum
//! diperbaiki" is a complaint.

use super::target::Target;
use crate::complaint::TrackingId;

/// What the citizen orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The state of a report; without a number that of the last.
    Status(Option<TrackingId>),
    /// More about a report, in these words.
    Add(TrackingId, String),
    Withdraw(TrackingId),
    Erase(TrackingId),
    /// Identity or content is to be hidden after all; without a number that of the last report.
    Hide {
        anonymous: bool,
        confidential: bool,
        report: Option<TrackingId>,
    },
    /// A word that moves within a conversation.
    Move(Motion),
    /// A new report; with what stood behind `/start` in a link to a bot.
    New(Option<String>),
    Help,
    Notice,
    Language(&'static str),
    Stop,
}

impl Command {
    /// The same command in the thread of a report: without a number it is about that one.
    #[must_use]
    pub fn about(self, target: &Target) -> Self {
        let id = || Some(target.tracking_id.clone());
        match self {
            Self::Status(None) => Self::Status(id()),
            Self::Hide { anonymous, confidential, report: None } => {
                Self::Hide { anonymous, confidential, report: id() }
            }
            command => command,
        }
    }

    /// The number that stands in it.
    pub fn names(&self) -> Option<&TrackingId> {
        match self {
            Self::Status(Some(id))
            | Self::Add(id, _)
            | Self::Withdraw(id)
            | Self::Erase(id)
            | Self::Hide { report: Some(id), .. } => Some(id),
            _ => None,
        }
    }
}

/// Where to go in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    Cancel,
    Back,
    Done,
    Skip,
}

/// How a message reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// With the language that the words are in, where they tell.
    Command(Command, Option<&'static str>),
    /// Content that would be a command but for its number, which is none: a hint follows.
    Mistyped(String),
    Content,
}

/// Longest piece of text that is tried as a tracking id, in bytes.
const ID_TEXT_MAX: usize = 16;

/// Reads a whole message.
pub fn read(text: &str) -> Reading {
    let text = text.trim();
    let (first, rest) = split_word(text);
    let word = first.strip_prefix('/').unwrap_or(first).trim_end_matches([':', '.', ',', '!']).to_lowercase();
    match word.as_str() {
        "status" | "cek" | "check" => {
            about_report(rest, language_of(&word), |id| Command::Status(Some(id)), Some(Command::Status(None)))
        }
        "tarik" | "withdraw" => about_report(rest, language_of(&word), Command::Withdraw, None),
        "hapus" | "delete" => about_report(rest, language_of(&word), Command::Erase, None),
        "tambah" | "add" => addition(rest, language_of(&word)),
        "bahasa" | "lang" | "language" => language(rest),
        // A link to a bot may say where it was found: `https://t.me/<bot>?start=<payload>` (Telegram, deep linking).
        "start" if first.starts_with('/') && is_payload(rest) => {
            Reading::Command(Command::New(Some(rest.to_owned())), None)
        }
        _ if is_anonymous(&word) || is_confidential(&word) => hide(text),
        _ if rest.is_empty() => alone(&word),
        _ => Reading::Content,
    }
}

/// ANONIM and its synonyms, in lower case.
pub fn is_anonymous(word: &str) -> bool {
    matches!(word, "anonim" | "anon" | "anonymous")
}

/// RAHASIA and its synonyms, in lower case.
pub fn is_confidential(word: &str) -> bool {
    matches!(word, "rahasia" | "confidential")
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// `status` and `stop` are words of both languages.
fn language_of(word: &str) -> Option<&'static str> {
    match word {
        "cek" | "tambah" | "tarik" | "hapus" | "anonim" | "rahasia" | "batal" | "kembali" | "selesai" | "lewati"
        | "baru" | "lapor" | "bantuan" | "privasi" | "berhenti" => Some("id"),
        "check" | "add" | "withdraw" | "delete" | "anonymous" | "confidential" | "cancel" | "back" | "done"
        | "skip" | "new" | "help" | "privacy" => Some("en"),
        _ => None,
    }
}

fn alone(word: &str) -> Reading {
    let command = match word {
        "batal" | "cancel" => Command::Move(Motion::Cancel),
        "kembali" | "back" => Command::Move(Motion::Back),
        "selesai" | "done" => Command::Move(Motion::Done),
        "lewati" | "skip" => Command::Move(Motion::Skip),
        "baru" | "new" | "lapor" | "start" => Command::New(None),
        "bantuan" | "help" | "menu" => Command::Help,
        "privasi" | "privacy" => Command::Notice,
        "berhenti" | "stop" => Command::Stop,
        _ => return Reading::Content,
    };
    Reading::Command(command, language_of(word))
}

/// A-Z, a-z, 0-9, `_` and `-`, up to 64 of them.
fn is_payload(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(is_good)
}

fn language(rest: &str) -> Reading {
    let language = match rest.to_lowercase().as_str() {
        "id" | "indonesia" => "id",
        "en" | "english" | "inggris" => "en",
        _ => return Reading::Content,
    };
    Reading::Command(Command::Language(language), Some(language))
}

fn about_report(
    rest: &str,
    language: Option<&'static str>,
    command: impl Fn(TrackingId) -> Command,
    without: Option<Command>,
) -> Reading {
    if rest.is_empty() {
        return without.map_or(Reading::Content, |command| Reading::Command(command, language));
    }
    match leading_id(rest) {
        Some((id, "")) => Reading::Command(command(id), language),
        Some(_) => Reading::Content,
        None => mistyped(rest).map_or(Reading::Content, Reading::Mistyped),
    }
}

fn addition(rest: &str, language: Option<&'static str>) -> Reading {
    match leading_id(rest) {
        Some((id, words)) => {
            let words = words.trim_start_matches([':', '-', ',']).trim_start();
            Reading::Command(Command::Add(id, words.to_owned()), language)
        }
        None => mistyped(split_word(rest).0).map_or(Reading::Content, Reading::Mistyped),
    }
}

/// Nothing but flags, and perhaps a number behind them.
fn hide(text: &str) -> Reading {
    let (mut anonymous, mut confidential, mut language, mut rest) = (false, false, None, text);
    loop {
        let (first, after) = split_word(rest);
        let word = first.trim_start_matches('/').trim_end_matches([':', '.', ',', '!']).to_lowercase();
        match word.as_str() {
            word if is_anonymous(word) => anonymous = true,
            word if is_confidential(word) => confidential = true,
            _ => break,
        }
        language = language.or(language_of(&word));
        rest = after;
    }
    let report = match leading_id(rest) {
        _ if rest.is_empty() => None,
        Some((id, "")) => Some(id),
        _ => return Reading::Content,
    };
    Reading::Command(Command::Hide { anonymous, confidential, report }, language)
}

/// A tracking id at the beginning, with or without `#`, in one piece or in three (`E3S 3E2 8JE`), and what follows it.
fn leading_id(text: &str) -> Option<(TrackingId, &str)> {
    let text = text.trim_start().trim_start_matches('#').trim_start();
    let (first, rest) = split_word(text);
    let parse = |piece: &str| (piece.len() <= ID_TEXT_MAX).then(|| piece.parse::<TrackingId>().ok()).flatten();
    if let Some(id) = parse(first.trim_end_matches([':', '.', ','])) {
        return Some((id, rest));
    }
    let (second, after) = split_word(rest);
    let (third, after) = split_word(after);
    let third = third.trim_end_matches([':', '.', ',']);
    if [first, second, third].iter().any(|piece| piece.len() != 3) {
        return None;
    }
    Some((parse(&[first, second, third].concat())?, after))
}

/// The text has the length and the letters of a tracking id, and is none: a slip of the finger.
fn mistyped(text: &str) -> Option<String> {
    let symbols: String = text.chars().filter(|letter| !matches!(letter, ' ' | '-' | '#')).collect();
    let looks_like = (8..=10).contains(&symbols.len())
        && symbols.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && symbols.bytes().any(|byte| byte.is_ascii_digit());
    looks_like.then(|| symbols.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> TrackingId {
        "E3S-3E2-8JE".parse().expect("the id of the example")
    }

    #[test]
    fn a_command_is_the_whole_message() {
        let hide = |anonymous, confidential, report| Command::Hide { anonymous, confidential, report };
        for (text, command) in [
            ("STATUS E3S-3E2-8JE", Command::Status(Some(id()))),
            ("status #e3s3e28je", Command::Status(Some(id()))),
            (" /Status  # E3S 3E2 8JE ", Command::Status(Some(id()))),
            ("cek E3S-3E2-8JE", Command::Status(Some(id()))),
            ("CHECK", Command::Status(None)),
            ("TAMBAH E3S-3E2-8JE di RT 03\nRW 02", Command::Add(id(), "di RT 03\nRW 02".to_owned())),
            ("add e3s 3e2 8je: the lamp", Command::Add(id(), "the lamp".to_owned())),
            ("TARIK E3S-3E2-8JE", Command::Withdraw(id())),
            ("withdraw #E3S-3E2-8JE", Command::Withdraw(id())),
            ("hapus E3S-3E2-8JE", Command::Erase(id())),
            ("ANONIM", hide(true, false, None)),
            ("rahasia E3S-3E2-8JE", hide(false, true, Some(id()))),
            ("Anonymous, confidential", hide(true, true, None)),
            ("BANTUAN", Command::Help),
            ("/help", Command::Help),
            ("menu!", Command::Help),
            ("privasi", Command::Notice),
            ("BAHASA en", Command::Language("en")),
            ("lang id", Command::Language("id")),
            ("STOP", Command::Stop),
            ("berhenti", Command::Stop),
            ("batal", Command::Move(Motion::Cancel)),
            ("DONE", Command::Move(Motion::Done)),
            ("/start", Command::New(None)),
            ("/start dinas-jalan", Command::New(Some("dinas-jalan".to_owned()))),
        ] {
            match read(text) {
                Reading::Command(read, _) => assert_eq!(read, command, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn sentences_that_begin_like_a_command_are_content() {
        for text in [
            "Status jalan rusak belum diperbaiki",
            "Batal terbang karena bandara banjir",
            "ANONIM jalan rusak di Jl Melati",
            "tarik tambang di jalan raya",
            "hapus pungli di kelurahan",
            "tambah petugas di loket",
            "bahasa petugas kasar sekali",
            "stop pungli!",
            "start dinas",
            "/start jalan rusak",
            "help us please",
            "status E3S-3E2-8JE sampai mana",
            "",
        ] {
            assert_eq!(read(text), Reading::Content, "{text}");
        }
    }

    #[test]
    fn a_number_that_fails_its_check_is_content_with_a_hint() {
        assert_eq!(read("STATUS E3S-3E2-8JF"), Reading::Mistyped("E3S3E28JF".to_owned()));
        assert_eq!(read("tambah E3S-3E2-8JF teks"), Reading::Mistyped("E3S3E28JF".to_owned()));
        assert_eq!(read("status pengaduan"), Reading::Content);
    }

    #[test]
    fn words_of_one_language_tell_the_language() {
        for (text, language) in
            [("HELP", Some("en")), ("BANTUAN", Some("id")), ("STATUS", None), ("ADD E3S-3E2-8JE x", Some("en"))]
        {
            assert!(matches!(read(text), Reading::Command(_, found) if found == language), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_text_makes_it_panic(head in "(?i)(status|tambah|tarik|anonim|bahasa|)", rest in "(?s).{0,60}") {
            let _ = read(&format!("{head} {rest}"));
        }
    }
}
