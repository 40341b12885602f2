//! Any bytes as a letter: one message, or one that is beyond the limits. Nothing panics, and every file that is listed is found.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use loket::mail::{Circumstances, Envelope, addresses::OurAddresses, attachments, read};

static OURS: LazyLock<OurAddresses> = LazyLock::new(|| OurAddresses::parse("lapor@kota.example").expect("an address"));

fuzz_target!(|letter: &[u8]| {
    let envelope = Envelope::default();
    let trusted_servers = ["mx.kota.example".to_owned()];
    let received_at = jiff::Timestamp::UNIX_EPOCH;
    let circumstances =
        Circumstances { envelope: &envelope, ours: &OURS, trusted_servers: &trusted_servers, received_at };
    let Ok(letter_read) = read(letter, &circumstances) else { return };
    for file in letter_read.message.attachments {
        let bytes = attachments::part(letter, &file.reference.expect("a file has a reference"))
            .expect("a listed file is found");
        assert_eq!(file.size_bytes, Some(bytes.len() as u64));
    }
});
