//! Any bytes as a segment of the journal: opened and read to the end. Nothing panics, and no receipt is made up twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loket::{
    journal::{Journal, JournalOptions},
    units::{Size, Span},
};

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let options = JournalOptions {
        folder: folder.path().join("journal"),
        max_bytes: Size::mib(16),
        retention: Span::from_secs(60),
        key: None,
    };
    runtime.block_on(async {
        let (journal, _) = Journal::open(options.clone()).expect("an empty journal");
        journal.close().await;
        drop(journal);
        let path = options.folder.join(format!("{:020}.segment", 1));
        std::fs::write(path, bytes).expect("written");
        let Ok((journal, mut tail)) = Journal::open(options) else { return };
        let mut last = 0;
        while journal.stats().backlog > 0 {
            let Ok(Some(receipts)) = tail.next(64).await else { break };
            for receipt in receipts {
                assert!(receipt.ticket().sequence > last, "a sequence number came twice");
                last = receipt.ticket().sequence;
            }
            journal.settled(last);
        }
        journal.close().await;
    });
});
