//! Any bytes as a picture: cleaned of its metadata. Nothing panics, and what comes out is no longer than what went in, but for
//! a few bytes of padding.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use loket::media::metadata::clean;

fuzz_target!(|bytes: &[u8]| {
    for kind in ["image/jpeg", "image/png", "image/webp"] {
        let mut target = Vec::new();
        let _ = clean(kind, &mut Cursor::new(bytes), &mut target);
        assert!(target.len() <= bytes.len() + 16, "a picture grew");
    }
});
