//! `winmail.dat`, the wrapping of Outlook and Exchange (MS-OXTNEF): its files and its text.
//!
//! A list of attributes: level, id, length, bytes, checksum. Since Exchange the interesting ones hold lists of MAPI properties
//! (MS-OXCDATA). Lengths are believed only within the bytes that are there; a list that breaks off gives what stood before.

use std::borrow::Cow;

use super::charset::{Loss, decode};

mod rtf;

const SIGNATURE: u32 = 0x223e_9f78;
/// Attributes and properties that are looked at.
const ATTRIBUTES: usize = 10_000;
const FILES: usize = 200;

mod attribute {
    pub(super) const CODE_PAGE: u32 = 0x0006_9007;
    pub(super) const BODY: u32 = 0x0002_800c;
    pub(super) const PROPERTIES: u32 = 0x0006_9003;
    pub(super) const FILE_BEGINS: u32 = 0x0006_9002;
    pub(super) const FILE_TITLE: u32 = 0x0001_8010;
    pub(super) const FILE_DATA: u32 = 0x0006_800f;
    pub(super) const FILE_PROPERTIES: u32 = 0x0006_9005;
}

mod property {
    pub(super) const BODY: u16 = 0x1000;
    pub(super) const RTF: u16 = 0x1009;
    pub(super) const HTML: u16 = 0x1013;
    pub(super) const FILE_DATA: u16 = 0x3701;
    pub(super) const FILE_NAME: u16 = 0x3704;
    pub(super) const FILE_LONG_NAME: u16 = 0x3707;
    pub(super) const FILE_TYPE: u16 = 0x370e;
}

/// What a `winmail.dat` holds.
#[derive(Default)]
pub(super) struct Tnef<'x> {
    pub(super) text: Option<String>,
    /// In their order; a formatted body is the last, as `body.rtf`.
    pub(super) files: Vec<File<'x>>,
}

#[derive(Default)]
pub(super) struct File<'x> {
    pub(super) name: Option<String>,
    pub(super) media_type: Option<String>,
    pub(super) bytes: Cow<'x, [u8]>,
}

impl<'x> Tnef<'x> {
    /// None if the bytes are no TNEF.
    pub(super) fn of(bytes: &'x [u8]) -> Option<Self> {
        let mut input = Input(bytes);
        if input.u32()? != SIGNATURE {
            return None;
        }
        input.u16()?;
        let mut tnef = Self::default();
        let (mut code_page, mut rtf, mut html) = (None, None, None);
        for _ in 0..ATTRIBUTES {
            let Some((id, value)) = input.attribute() else { break };
            match id {
                attribute::CODE_PAGE => code_page = Input(value).u32(),
                attribute::BODY => tnef.text = text(value, code_page),
                attribute::PROPERTIES => Input(value).properties(|id, kind, value| match id {
                    property::BODY => tnef.text = property_text(kind, value, code_page).or(tnef.text.take()),
                    property::RTF => rtf = Some(value),
                    property::HTML => html = Some(value),
                    _ => {}
                }),
                attribute::FILE_BEGINS if tnef.files.len() < FILES => tnef.files.push(File::default()),
                _ => {
                    if let Some(file) = tnef.files.last_mut() {
                        file.read(id, value, code_page);
                    }
                }
            }
        }
        tnef.files.retain(|file| !file.bytes.is_empty() || file.name.is_some());
        tnef.read_bodies(rtf, html, code_page);
        Some(tnef)
    }

    fn read_bodies(&mut self, rtf: Option<&'x [u8]>, html: Option<&'x [u8]>, code_page: Option<u32>) {
        if self.text.is_none() {
            self.text = html.and_then(|page| text(page, code_page)).map(|page| super::html::text(&page));
        }
        if let Some(bytes) = rtf.and_then(rtf::decompress) {
            self.files.push(File {
                name: Some("body.rtf".to_owned()),
                media_type: Some("application/rtf".to_owned()),
                bytes: Cow::Owned(bytes),
            });
        }
    }
}

impl<'x> File<'x> {
    fn read(&mut self, id: u32, value: &'x [u8], code_page: Option<u32>) {
        match id {
            attribute::FILE_TITLE if self.name.is_none() => self.name = text(value, code_page),
            attribute::FILE_DATA => self.bytes = Cow::Borrowed(value),
            attribute::FILE_PROPERTIES => Input(value).properties(|id, kind, value| match id {
                property::FILE_LONG_NAME => self.name = property_text(kind, value, code_page).or(self.name.take()),
                property::FILE_NAME if self.name.is_none() => self.name = property_text(kind, value, code_page),
                property::FILE_TYPE => {
                    self.media_type = property_text(kind, value, code_page).map(|kind| kind.to_lowercase());
                }
                // An object begins with the identifier of its interface.
                property::FILE_DATA if self.bytes.is_empty() => {
                    self.bytes =
                        Cow::Borrowed(if kind == OBJECT { value.get(16..).unwrap_or_default() } else { value });
                }
                _ => {}
            }),
            _ => {}
        }
    }
}

const STRING8: u16 = 0x1e;
const UNICODE: u16 = 0x1f;
const OBJECT: u16 = 0x0d;
const BINARY: u16 = 0x102;

fn text(bytes: &[u8], code_page: Option<u32>) -> Option<String> {
    let label = match code_page {
        Some(65_001) => Some("utf-8".to_owned()),
        Some(932) => Some("shift_jis".to_owned()),
        Some(936) => Some("gbk".to_owned()),
        Some(949) => Some("euc-kr".to_owned()),
        Some(950) => Some("big5".to_owned()),
        Some(page) if (1_250..=1_258).contains(&page) => Some(format!("windows-{page}")),
        _ => None,
    };
    clean(&decode(bytes, label.as_deref(), &mut Loss::default()))
}

fn property_text(kind: u16, bytes: &[u8], code_page: Option<u32>) -> Option<String> {
    match kind {
        UNICODE => clean(&encoding_rs::UTF_16LE.decode_without_bom_handling(bytes).0),
        STRING8 => text(bytes, code_page),
        _ => None,
    }
}

fn clean(text: &str) -> Option<String> {
    let text = text.trim_matches(|letter: char| letter == '\0' || letter.is_whitespace()).replace("\r\n", "\n");
    Some(text).filter(|text| !text.is_empty())
}

/// Bytes that are taken from the front, little end first.
#[derive(Clone, Copy)]
struct Input<'x>(&'x [u8]);

impl<'x> Input<'x> {
    fn take(&mut self, length: usize) -> Option<&'x [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn attribute(&mut self) -> Option<(u32, &'x [u8])> {
        self.take(1)?;
        let id = self.u32()?;
        let length = self.u32()? as usize;
        // One that is cut off is taken as far as it goes.
        let value = self.take(length.min(self.0.len()))?;
        self.take(2.min(self.0.len()))?;
        Some((id, value))
    }

    /// Hands each property on: identifier, type, first value.
    fn properties(mut self, mut take: impl FnMut(u16, u16, &'x [u8])) {
        let count = self.u32().unwrap_or_default() as usize;
        for _ in 0..count.min(ATTRIBUTES) {
            let Some((id, kind, value)) = self.property() else { break };
            take(id, kind, value);
        }
    }

    fn property(&mut self) -> Option<(u16, u16, &'x [u8])> {
        let kind = self.u16()?;
        let id = self.u16()?;
        if id >= 0x8000 {
            self.take(16)?;
            if self.u32()? == 0 {
                self.take(4)?;
            } else {
                let length = self.u32()? as usize;
                self.padded(length)?;
            }
        }
        let is_list = kind & 0x1000 != 0;
        let kind = kind & 0x0fff;
        let is_long = matches!(kind, STRING8 | UNICODE | OBJECT | BINARY);
        let count = if is_list || is_long { self.u32()? as usize } else { 1 };
        let mut first = None;
        for _ in 0..count.min(ATTRIBUTES) {
            let length = if is_long { self.u32()? as usize } else { size(kind)? };
            let value = self.padded(length)?;
            first.get_or_insert(value);
        }
        Some((id, kind, first.unwrap_or_default()))
    }

    /// A value that is filled up to four bytes.
    fn padded(&mut self, length: usize) -> Option<&'x [u8]> {
        let value = self.take(length)?;
        self.take((length.wrapping_neg() & 3).min(self.0.len()))?;
        Some(value)
    }
}

/// Bytes of a value of fixed size.
fn size(kind: u16) -> Option<usize> {
    match kind {
        0x02..=0x04 | 0x0a | 0x0b => Some(4),
        0x05..=0x07 | 0x14 | 0x40 => Some(8),
        0x48 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute_bytes(id: u32, value: &[u8]) -> Vec<u8> {
        [&[1_u8], &id.to_le_bytes()[..], &(value.len() as u32).to_le_bytes(), value, &[0, 0]].concat()
    }

    fn property_bytes(id: u16, kind: u16, value: &[u8]) -> Vec<u8> {
        let padding = vec![0; value.len().wrapping_neg() & 3];
        [
            &kind.to_le_bytes()[..],
            &id.to_le_bytes(),
            &1_u32.to_le_bytes(),
            &(value.len() as u32).to_le_bytes(),
            value,
            &padding,
        ]
        .concat()
    }

    pub(crate) fn sample() -> Vec<u8> {
        let name: Vec<u8> = "foto jalan.jpg\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let file = [
            &2_u32.to_le_bytes()[..],
            &property_bytes(0x3707, UNICODE, &name),
            &property_bytes(0x370e, STRING8, b"image/jpeg\0"),
        ]
        .concat();
        [
            [&SIGNATURE.to_le_bytes()[..], &[1, 0]].concat(),
            attribute_bytes(attribute::CODE_PAGE, &1252_u32.to_le_bytes()),
            attribute_bytes(attribute::BODY, b"Jalan rusak caf\xe9\0"),
            attribute_bytes(attribute::FILE_BEGINS, &[0; 14]),
            attribute_bytes(attribute::FILE_TITLE, b"FOTOJA~1.JPG\0"),
            attribute_bytes(attribute::FILE_DATA, b"isi foto"),
            attribute_bytes(attribute::FILE_PROPERTIES, &file),
        ]
        .concat()
    }

    #[test]
    fn files_and_text_are_found() {
        let bytes = sample();
        let tnef = Tnef::of(&bytes).expect("TNEF");
        assert_eq!(tnef.text.as_deref(), Some("Jalan rusak café"));
        let [file] = &tnef.files[..] else { panic!("{} files", tnef.files.len()) };
        assert_eq!((file.name.as_deref(), file.media_type.as_deref()), (Some("foto jalan.jpg"), Some("image/jpeg")));
        assert_eq!(&*file.bytes, b"isi foto");
        assert!(Tnef::of(b"PK").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_bytes_are_read(at in 0..200_usize, byte: u8, cut in 0..300_usize, tail in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut bytes = sample();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut);
            bytes.extend(&tail);
            Tnef::of(&bytes);
            Tnef::of(&tail);
            Input(&tail).properties(|_, _, _| {});
        }
    }
}
