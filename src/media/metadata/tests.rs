use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::complaint::Geometry;

/// A little-endian EXIF block: turned by 90 degrees, in Jakarta, at noon.
fn exif() -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let rationals = |values: [(u32, u32); 3]| -> Vec<u8> {
        values.iter().flat_map(|(over, under)| [over.to_le_bytes(), under.to_le_bytes()].concat()).collect()
    };
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    // The first directory ends at 8 + 2 + 3 * 12 + 4 = 50, the one of the camera at 68, the one of the place at 122.
    tiff.extend(3_u16.to_le_bytes());
    tiff.extend([entry(0x0112, 3, 1, 6), entry(0x8769, 4, 1, 50), entry(0x8825, 4, 1, 68)].concat());
    tiff.extend([0; 4]);
    tiff.extend(1_u16.to_le_bytes());
    tiff.extend(entry(0x9003, 2, 20, 122));
    tiff.extend([0; 4]);
    tiff.extend(4_u16.to_le_bytes());
    let south = u32::from(b'S');
    let east = u32::from(b'E');
    tiff.extend([entry(1, 2, 2, south), entry(2, 5, 3, 142), entry(3, 2, 2, east), entry(4, 5, 3, 166)].concat());
    tiff.extend([0; 4]);
    tiff.extend(b"2026:01:31 12:00:00\0");
    tiff.extend(rationals([(6, 1), (10, 1), (300, 10)]));
    tiff.extend(rationals([(106, 1), (49, 1), (0, 0)]));
    tiff
}

fn segment(code: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).expect("short").to_be_bytes();
    [&[0xff, code][..], &length, data].concat()
}

pub fn jpeg_with_exif() -> Vec<u8> {
    [
        b"\xff\xd8".to_vec(),
        segment(0xe0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0"),
        segment(0xe1, &[b"Exif\0\0".to_vec(), exif()].concat()),
        segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>Siti</x:xmpmeta>"),
        segment(0xed, b"Photoshop 3.0\0Siti"),
        segment(0xfe, b"kamera Siti"),
        segment(0xdb, &[0; 65]),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
        b"\x12\xff\x00\x34\xff\xd0\x56\xff\xd9".to_vec(),
        b"another picture of Siti".to_vec(),
    ]
    .concat()
}

fn cleaned(kind: &str, bytes: &[u8]) -> (Vec<u8>, Exif) {
    let mut target = Vec::new();
    let exif = clean(kind, &mut Cursor::new(bytes), &mut target).expect("a picture");
    (target, exif)
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[test]
fn a_photo_tells_its_place_and_time_and_keeps_neither() {
    let (bytes, exif) = cleaned("image/jpeg", &jpeg_with_exif());
    assert_eq!(exif.captured_at.as_deref(), Some("2026-01-31T12:00:00"));
    let Some(Geometry::Point { coordinates: [lon, lat] }) = exif.geometry else { panic!("a place") };
    assert!((lat - -6.175).abs() < 1e-9 && (lon - 106.816_666).abs() < 1e-5, "{lat} {lon}");
    for word in [&b"Siti"[..], b"2026:01:31", b"GPS", b"xmpmeta"] {
        assert!(!holds(&bytes, word), "{}", String::from_utf8_lossy(word));
    }
    assert!(holds(&bytes, b"JFIF\0") && bytes.ends_with(b"\x12\xff\x00\x34\xff\xd0\x56\xff\xd9"));
    // It is still turned, and says no more than that.
    let (again, second) = cleaned("image/jpeg", &bytes);
    assert_eq!(again, bytes);
    assert_eq!((second.captured_at, second.geometry), (None, None));
    assert!(holds(&bytes, b"\x01\x12\0\x03\0\0\0\x01\0\x06"));
}

#[test]
fn a_png_loses_its_texts() {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        [&u32::try_from(data.len()).expect("short").to_be_bytes()[..], kind, data, &[1, 2, 3, 4]].concat()
    };
    let parts = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[0; 13]),
        chunk(b"tEXt", b"Author\0Siti"),
        chunk(b"eXIf", &exif()),
        chunk(b"IDAT", b"picture"),
        chunk(b"IEND", b""),
    ];
    let (bytes, exif) = cleaned("image/png", &parts.concat());
    assert_eq!(bytes, [&parts[0][..], &parts[1], &parts[4], &parts[5]].concat());
    assert!(exif.geometry.is_some() && exif.captured_at.is_some());
}

#[test]
fn a_webp_loses_its_exif_and_announces_none() {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let pad = vec![0; data.len() % 2];
        [kind, &u32::try_from(data.len()).expect("short").to_le_bytes()[..], data, &pad].concat()
    };
    let riff = |chunks: &[Vec<u8>]| {
        let chunks = chunks.concat();
        let length = u32::try_from(chunks.len() + 4).expect("short").to_le_bytes();
        [&b"RIFF"[..], &length, b"WEBP", &chunks].concat()
    };
    let picture = chunk(b"VP8 ", b"picture");
    let exif_chunk = chunk(b"EXIF", &exif());
    let xmp = chunk(b"XMP ", b"Siti");
    let source = riff(&[chunk(b"VP8X", &[0x1c, 0, 0, 0, 1, 0, 0, 1, 0, 0]), picture.clone(), exif_chunk, xmp]);
    let (bytes, exif) = cleaned("image/webp", &source);
    assert_eq!(bytes, riff(&[chunk(b"VP8X", &[0x10, 0, 0, 0, 1, 0, 0, 1, 0, 0]), picture]));
    assert!(exif.geometry.is_some());
}

#[test]
fn a_broken_picture_is_cut_off_where_it_breaks() {
    let whole = jpeg_with_exif();
    for length in 0..whole.len() {
        let (bytes, _) = cleaned("image/jpeg", &whole[..length]);
        assert!(!holds(&bytes, b"Siti") && !holds(&bytes, b"2026:01:31"), "{length}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_none_is_added(
        kind in prop::sample::select(vec!["image/jpeg", "image/png", "image/webp"]),
        head in prop::sample::select(vec![&b""[..], b"\xff\xd8\xff\xe1\0\x20Exif\0\0II*\0\x08\0\0\0", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBPEXIF"]),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let source = [head, &rest].concat();
        let mut target = Vec::new();
        let _ = clean(kind, &mut Cursor::new(&source), &mut target);
        prop_assert!(target.len() <= source.len() + 16);
    }

    #[test]
    fn no_exif_panics(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
        for order in [&b"II*\0"[..], b"MM\0*"] {
            let _ = tiff::read(&[order, &rest].concat());
        }
        let mut damaged = exif();
        for (place, byte) in rest.iter().take(8).enumerate() {
            let at = usize::from(*byte) % damaged.len();
            damaged[at] = rest[rest.len() - 1 - place];
        }
        let _ = tiff::read(&damaged);
    }
}
