//! Names of files, which are a stranger's words: cleaned for whoever is shown one. None is ever a name on our disk.

/// Longest name that is told, in bytes of UTF-8.
const LONGEST: usize = 200;

/// The name without control characters and without marks that turn the direction of writing: `gpj.exe` would look like a picture.
pub fn shown(name: &str) -> String {
    let mut length = 0;
    let good = name.chars().filter(|letter| !letter.is_control() && !is_turning(*letter));
    let short = good.take_while(|letter| {
        length += letter.len_utf8();
        length <= LONGEST
    });
    short.collect()
}

/// As a provider or a mail client is told it: no folder in it, no quotes, and an ending if it has none. `kind` is the type by
/// the bytes.
pub fn sent(name: Option<&str>, kind: &str) -> String {
    let last = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = shown(last).chars().filter(|letter| !matches!(letter, '"' | '<' | '>' | ':' | ';')).collect();
    let plain = plain.trim_matches([' ', '.']);
    if !plain.is_empty() {
        return plain.to_owned();
    }
    match ending(kind) {
        Some(ending) => format!("file.{ending}"),
        None => "file".to_owned(),
    }
}

fn is_turning(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn ending(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "video/mp4" => "mp4",
        "video/3gpp" => "3gp",
        "audio/mpeg" => "mp3",
        "audio/ogg" => "ogg",
        "audio/m4a" => "m4a",
        "application/pdf" => "pdf",
        "text/plain" => "txt",
        "text/vcard" => "vcf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_data_and_leads_nowhere() {
        for (name, kind, expected) in [
            (Some("surat tugas.pdf"), "application/pdf", "surat tugas.pdf"),
            (Some("../../etc/passwd"), "text/plain", "passwd"),
            (Some("C:\\x\\foto.jpg"), "image/jpeg", "foto.jpg"),
            (Some("a\"\r\nX: y.pdf"), "application/pdf", "aX y.pdf"),
            (Some("\u{202e}gpj.exe"), "image/jpeg", "gpj.exe"),
            (Some(".."), "image/png", "file.png"),
            (None, "application/x-unknown", "file"),
        ] {
            assert_eq!(sent(name, kind), expected, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_short_and_plain(name in "\\PC{0,300}") {
            let sent = sent(Some(&name), "application/pdf");
            prop_assert!(!sent.is_empty() && sent.len() <= LONGEST);
            prop_assert!(!sent.chars().any(|letter| letter.is_control() || matches!(letter, '"' | '/' | '\\')));
        }
    }
}
