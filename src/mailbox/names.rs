//! Names and sets as IMAP writes them: quoted strings, folder names in modified UTF-7 (RFC 3501, section 5.1.3), sets of
//! UIDs.

use base64::{Engine as _, alphabet, engine::GeneralPurpose, engine::general_purpose::NO_PAD};

/// Base64 with `,` for `/`, and without padding.
const MODIFIED: GeneralPurpose = GeneralPurpose::new(&alphabet::IMAP_MUTF7, NO_PAD);

/// A folder's name as a quoted string; None when it holds a line break or NUL, which no folder does.
pub(super) fn folder(name: &str) -> Option<String> {
    quoted(&utf7(name))
}

/// A quoted string (RFC 3501, section 4.3).
pub(super) fn quoted(text: &str) -> Option<String> {
    if text.contains(['\r', '\n', '\0']) {
        return None;
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// Printable ASCII stands for itself, `&` is `&-`, and runs of everything else are UTF-16 in Base64.
fn utf7(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut run = Vec::new();
    for letter in name.chars() {
        if matches!(letter, ' '..='~') {
            close(&mut encoded, &mut run);
            encoded.push(letter);
            if letter == '&' {
                encoded.push('-');
            }
        } else {
            let mut units = [0; 2];
            run.extend(letter.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    close(&mut encoded, &mut run);
    encoded
}

fn close(encoded: &mut String, run: &mut Vec<u8>) {
    if !run.is_empty() {
        encoded.push('&');
        MODIFIED.encode_string(&run, encoded);
        encoded.push('-');
        run.clear();
    }
}

/// A set of UIDs in rising order, as short as can be: `3:5,9`.
pub(super) fn set(uids: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &uid in uids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    let range = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}:{last}") };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folders_are_named_as_servers_name_them() {
        for (name, expected) in [
            ("INBOX", "\"INBOX\""),
            ("[Gmail]/Semua Email", "\"[Gmail]/Semua Email\""),
            ("Hukum & Kota", "\"Hukum &- Kota\""),
            // The example of RFC 3501, section 5.1.3.
            ("~peter/mail/台北/日本語", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("Éntité", "\"&AMk-ntit&AOk-\""),
            ("surat 📮", "\"surat &2D3c7g-\""),
        ] {
            assert_eq!(folder(name).as_deref(), Some(expected));
        }
        assert_eq!(quoted("a\r\nb"), None);
    }

    #[test]
    fn a_set_is_as_short_as_can_be() {
        for (uids, expected) in
            [(&[7][..], "7"), (&[1, 2, 3], "1:3"), (&[3, 4, 5, 9], "3:5,9"), (&[1, 3, u32::MAX], "1,3,4294967295")]
        {
            assert_eq!(set(uids), expected);
        }
    }

    proptest! {
        #[test]
        fn any_name_is_printable_on_one_line(name: String) {
            if let Some(quoted) = folder(&name) {
                prop_assert!(quoted.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }

        #[test]
        fn a_set_names_each_uid_once(uids in proptest::collection::btree_set(1_u32..200, 1..60)) {
            let uids: Vec<u32> = uids.into_iter().collect();
            let mut read = Vec::new();
            for range in set(&uids).split(',') {
                let (first, last) = range.split_once(':').unwrap_or((range, range));
                read.extend(first.parse::<u32>().expect("a number")..=last.parse::<u32>().expect("a number"));
            }
            prop_assert_eq!(read, uids);
        }
    }
}
