//! The files of a letter: what is told of each, and their bytes.
//!
//! Bytes are hashed piece by piece; none of them is kept. A file is found again by the number of its part, which depends on
//! the letter's bytes alone.

use std::fmt::Write;

use ring::digest;

use super::{
    charset::{Loss, decode},
    limits::{ATTACHMENTS, DECORATION},
    text::{Content, disposition},
    tnef::{self, Tnef},
    tree::{Part, Shape, Tree},
};
use crate::message::Attachment;

/// Bytes of a file that its type is recognised by.
const SNIFFED: usize = 8 << 10;

/// The bytes of the attachment that `reference` names: `part:<n>`, or `part:<n>/tnef:<m>` for a file in a `winmail.dat`.
pub fn part(letter: &[u8], reference: &str) -> Option<Vec<u8>> {
    let name = reference.strip_prefix("part:")?;
    let (number, inner) = name.split_once("/tnef:").map_or((name, None), |(number, inner)| (number, Some(inner)));
    let tree = Tree::of(letter);
    let part = tree.part(number.parse().ok()?).filter(|part| part.shape == Shape::Leaf)?;
    let bytes = part.encoding.decode(tree.body(part), usize::MAX);
    let Some(inner) = inner else { return Some(bytes.into_owned()) };
    let tnef = Tnef::of(&bytes)?;
    tnef.files.into_iter().nth(inner.parse().ok()?).map(|file| file.bytes.into_owned())
}

/// The attachments of a letter.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) attachments: Vec<Attachment>,
    /// The text in a `winmail.dat`, for a letter that has no other.
    pub(super) text: Option<String>,
    /// There were more than are listed.
    pub(super) loss: Loss,
}

impl Listed {
    pub(super) fn of(tree: &Tree<'_>, content: &Content) -> Self {
        let mut listed = Self::default();
        for (number, part) in tree.parts.iter().enumerate() {
            if part.shape == Shape::Leaf && !content.used.contains(&number) && !Self::is_nothing(tree, part) {
                listed.leaf(tree, content, number, part);
            }
        }
        listed
    }

    /// A letter without a body has no file either.
    fn is_nothing(tree: &Tree<'_>, part: &Part) -> bool {
        !part.is_typed && tree.body(part).trim_ascii().is_empty()
    }

    fn push(&mut self, attachment: Attachment) {
        if self.attachments.len() < ATTACHMENTS {
            self.attachments.push(attachment);
        } else {
            self.loss.note();
        }
    }

    fn leaf(&mut self, tree: &Tree<'_>, content: &Content, number: usize, part: &Part) {
        if self.attachments.len() >= ATTACHMENTS {
            return self.loss.note();
        }
        let disposition = disposition(tree, part, &mut self.loss);
        let named = disposition.parameter("filename").or_else(|| part.kind.parameter("name"));
        let filename = named.map(base_name).filter(|name| !name.is_empty()).map(str::to_owned);
        let is_tnef = part.kind.value.ends_with("/ms-tnef")
            || part.kind.value.ends_with("/vnd.ms-tnef")
            || filename.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("winmail.dat"));
        if is_tnef && self.tnef(tree, number, part) {
            return;
        }
        let facts = Facts::of(part, tree.body(part));
        let identifier = tree.headers(part).first("content-id").map(|id| decode(id, None, &mut self.loss));
        let identifier = identifier.as_deref().map(|id| id.trim_matches(|letter: char| "<> \t".contains(letter)));
        let is_shown = identifier.is_some_and(|id| content.shown.contains(id) || content.shown.contains(&escaped(id)));
        let declared = part.is_typed.then_some(part.kind.value.as_str());
        let media_type = media_type(declared, facts.sniffed);
        let inline = is_shown || disposition.value == "inline";
        let is_image = media_type.as_deref().is_some_and(|kind| kind.starts_with("image/"));
        if inline && is_image && facts.size < DECORATION {
            return;
        }
        self.push(Attachment {
            filename,
            media_type,
            size_bytes: Some(facts.size),
            sha256: Some(facts.sha256),
            url: None,
            reference: Some(format!("part:{number}")),
            inline,
        });
    }

    /// The files in a `winmail.dat`. False if it is none.
    fn tnef(&mut self, tree: &Tree<'_>, number: usize, part: &Part) -> bool {
        let bytes = part.encoding.decode(tree.body(part), usize::MAX);
        let Some(tnef) = Tnef::of(&bytes) else { return false };
        for (place, file) in tnef.files.iter().enumerate() {
            self.push(of_tnef(file, format!("part:{number}/tnef:{place}")));
        }
        if self.text.is_none() {
            self.text = tnef.text;
        }
        true
    }
}

fn of_tnef(file: &tnef::File<'_>, reference: String) -> Attachment {
    let sniffed = sniff(&file.bytes);
    Attachment {
        filename: file.name.as_deref().map(base_name).filter(|name| !name.is_empty()).map(str::to_owned),
        media_type: media_type(file.media_type.as_deref(), sniffed),
        size_bytes: Some(file.bytes.len() as u64),
        sha256: Some(sha256(&file.bytes)),
        url: None,
        reference: Some(reference),
        inline: false,
    }
}

/// The identifier as it stands in a link (RFC 2392).
fn escaped(identifier: &str) -> String {
    identifier.replace('%', "%25").replace('@', "%40")
}

/// A name without the folders of the sender's machine.
fn base_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name).trim()
}

/// The SHA-256 of bytes in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What a pass over the bytes of a file tells.
struct Facts {
    size: u64,
    sha256: String,
    sniffed: Option<&'static str>,
}

impl Facts {
    fn of(part: &Part, body: &[u8]) -> Self {
        let (mut size, mut first) = (0_u64, Vec::new());
        let mut hash = digest::Context::new(&digest::SHA256);
        part.encoding.pieces(body, &mut |piece| {
            size += piece.len() as u64;
            hash.update(piece);
            let room = SNIFFED.saturating_sub(first.len());
            first.extend_from_slice(piece.get(..room).unwrap_or(piece));
        });
        Self { size, sha256: hexadecimal(hash.finish().as_ref()), sniffed: sniff(&first) }
    }
}

fn sniff(bytes: &[u8]) -> Option<&'static str> {
    infer::get(bytes).map(|kind| kind.mime_type())
}

/// The declared type, unless the bytes say something else.
fn media_type(declared: Option<&str>, sniffed: Option<&str>) -> Option<String> {
    let declared = declared.map(|kind| if kind == "image/jpg" || kind == "image/pjpeg" { "image/jpeg" } else { kind });
    let says_nothing = declared.is_none_or(|kind| {
        matches!(
            kind,
            "application/octet-stream" | "application/binary" | "application/x-download" | "application/unknown"
        ) || !kind.contains('/')
    });
    let chosen = match (declared, sniffed) {
        (declared, None) => declared,
        (_, sniffed) if says_nothing => sniffed,
        (Some(declared), Some(sniffed)) if agree(declared, sniffed) => Some(declared),
        (_, sniffed) => sniffed,
    };
    chosen.map(str::to_owned)
}

/// May bytes that look like `sniffed` be of type `declared`? A container may hold what is declared.
fn agree(declared: &str, sniffed: &str) -> bool {
    let family = |kind: &str| kind.split('/').next().unwrap_or_default().to_owned();
    let is_application = family(declared) == "application";
    match sniffed {
        _ if declared == sniffed => true,
        // One format under two names.
        "image/heif" => declared == "image/heic",
        "application/zip" | "application/x-ole-storage" | "application/gzip" | "application/x-tar" => is_application,
        "text/xml" | "application/xml" => is_application || declared == "image/svg+xml" || family(declared) == "text",
        sniffed if matches!(family(sniffed).as_str(), "audio" | "video") => {
            matches!(family(declared).as_str(), "audio" | "video")
        }
        sniffed if family(sniffed) == "text" => family(declared) == "text",
        // Office files are told apart by names deep in them, and the sniffer does not always see so far.
        sniffed if sniffed.contains("officedocument") || sniffed.contains("ms-") || sniffed == "application/msword" => {
            is_application && (declared.contains("office") || declared.contains("ms-") || declared.contains("msword"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==";

    fn listed(letter: &str) -> Vec<Attachment> {
        let tree = Tree::of(letter.as_bytes());
        Listed::of(&tree, &Content::of(&tree)).attachments
    }

    #[test]
    fn a_file_is_described_and_found_again() {
        let letter = format!(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nhalo\n--x\nContent-Type: application/octet-stream; \
             name=\"C:\\foto\\a.jpg\"\nContent-Transfer-Encoding: base64\n\n{JPEG}\n--x--"
        );
        let [file] = listed(&letter).try_into().expect("one file");
        assert_eq!(file.filename.as_deref(), Some("a.jpg"));
        assert_eq!(file.media_type.as_deref(), Some("image/jpeg"));
        let bytes = part(letter.as_bytes(), file.reference.as_deref().expect("a reference")).expect("its bytes");
        assert_eq!(file.size_bytes, Some(bytes.len() as u64));
        assert_eq!(file.sha256, Some(sha256(&bytes)));
        for foreign in ["part:0", "part:9", "part:x", "part:2/tnef:0", "x"] {
            assert_eq!(part(letter.as_bytes(), foreign), None, "{foreign}");
        }
    }

    #[test]
    fn small_images_in_the_midst_of_a_page_are_decoration() {
        let letter = |size: usize, disposition: &str| {
            let image = format!("{JPEG}{}", "A".repeat(size));
            format!(
                "Content-Type: multipart/related; boundary=x\n\n--x\nContent-Type: text/html\n\n<img src='cid:a@b'>halo\n--x\n\
                 Content-Type: image/jpeg\nContent-ID: <a@b>\n{disposition}Content-Transfer-Encoding: base64\n\n{image}\n--x--"
            )
        };
        assert_eq!(listed(&letter(100, "")), []);
        assert_eq!(listed(&letter(100, "Content-Disposition: inline\n")), []);
        let large = listed(&letter(8_000, "Content-Disposition: attachment; filename=a.jpg\n"));
        assert!(large.len() == 1 && large[0].inline);
    }

    #[test]
    fn a_type_is_believed_unless_the_bytes_say_otherwise() {
        for (declared, sniffed, expected) in [
            (
                Some("image/jpeg"),
                Some("application/vnd.microsoft.portable-executable"),
                "application/vnd.microsoft.portable-executable",
            ),
            (
                Some("application/vnd.oasis.opendocument.text"),
                Some("application/zip"),
                "application/vnd.oasis.opendocument.text",
            ),
            (Some("image/png"), Some("image/jpeg"), "image/jpeg"),
            (Some("audio/mp4"), Some("video/mp4"), "audio/mp4"),
            (Some("application/octet-stream"), Some("application/pdf"), "application/pdf"),
            (Some("application/pdf"), None, "application/pdf"),
            (Some("image/jpg"), Some("image/jpeg"), "image/jpeg"),
            (None, Some("image/png"), "image/png"),
        ] {
            assert_eq!(media_type(declared, sniffed).as_deref(), Some(expected));
        }
    }

    #[test]
    fn no_more_than_a_hundred_files_are_listed() {
        let file = "--x\nContent-Type: application/pdf\n\n%PDF-1.4\n";
        let letter = format!("Content-Type: multipart/mixed; boundary=x\n\n{}", file.repeat(300));
        let tree = Tree::of(letter.as_bytes());
        let listed = Listed::of(&tree, &Content::of(&tree));
        assert!(listed.attachments.len() == ATTACHMENTS && listed.loss.happened());
    }
}
